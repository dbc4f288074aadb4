"""Events: what a subscription tells of an entity's rows that changed, read by one statement for many of them.

    @changes(Incident, IncidentChange, place="location", journalled={"incidents": "id", "photos": "incident_id"})
    def incident_changed(incident):
        '''Incidents that you may see, as they change.'''

The change's type has `cursor`, `change`, `id`, `at`, and a field of the entity, which is null where the row is gone.
The body says which rows at all are told of, as that of a root field does. What is asked of the rows (their place,
`where`) is an expression of the statement, not a condition on it: whoever had a row in sight must hear that it no
longer fits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

import strawberry
from graphql.execution.values import VariableValues
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.field import StrawberryField

from schema.compiler.admit import Ceilings
from schema.compiler.filters import condition
from schema.compiler.mapping import ENTITIES, SPEC, described
from schema.compiler.mapping import Mapping as Entities
from schema.compiler.render import IDS, Renderer
from schema.compiler.selection import Leaf, Selected
from schema.compiler.statements import Statement
from schema.compiler.vocabulary import event_arguments

MOST = 200
"""Events that one statement answers."""


@strawberry.enum(description="What happened to a row.")
class ChangeKind(Enum):
    CREATED = strawberry.enum_value("created", description="It is new.")
    UPDATED = strawberry.enum_value(
        "updated",
        description="It changed, or something was added to it. You may not have seen it before: it came to you.",
    )
    GONE = strawberry.enum_value("gone", description="It left your sight, or is no longer what you asked for.")


@dataclass(frozen=True)
class EventSpec:
    """A root field of the subscriptions: changes of an entity's rows."""

    entity: type
    body: Callable[..., Any]
    place: str | None
    """The field that `bbox` is about."""
    journalled: Mapping[str, str]
    """Journalled tables by whose changes a row changes, with the column that holds the row's id."""

    @property
    def table(self) -> str:
        """The table of the rows that are told of."""
        return str(ENTITIES[self.entity].table.name)


def changes(
    entity: type, change: type, *, journalled: Mapping[str, str], place: str | None = None
) -> Callable[[Callable[..., Any]], StrawberryField]:
    """Declare a subscription to the changes of an entity's rows; `change` is the type of its events."""

    def declare(body: Callable[..., Any]) -> StrawberryField:
        made: StrawberryField = strawberry.field(
            description=described(body), metadata={SPEC: EventSpec(entity, body, place, dict(journalled))}
        )
        made.python_name = made.name = body.__name__
        made.type_annotation = StrawberryAnnotation(change)
        made.arguments = event_arguments(entity.__name__)
        return made

    return declare


@dataclass(frozen=True)
class Told:
    """A subscription's selection, compiled: the statement that reads the rows, and how its events are put together."""

    spec: EventSpec
    selected: Selected
    statement: Statement
    columns: Mapping[int, int]
    """Which of the statement's answers stands at which of the selected fields."""

    def bind(self, variables: VariableValues, most_rows: int) -> Heard:
        """One request's subscription."""
        after = self.selected.arguments.get("after")
        cost = max(1, self.statement.cost(variables))
        return Heard(
            self,
            self.statement.parameters(variables),
            after.read(variables) if isinstance(after, Leaf) else None,
            max(1, min(MOST, most_rows // cost)),
        )


@dataclass(frozen=True, eq=False)
class Heard:
    """A subscription as one caller asked for it."""

    told: Told
    _parameters: list[Any]
    after: str | None
    """The cursor that it begins after; None: now."""
    most: int
    """How many rows one statement may be asked for: each brings the lists below it."""
    question: tuple[str, str] = field(init=False)
    """The same for the same statement with the same values: asked by the same caller it has the same answer."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "question", (self.told.statement.sql, repr(self._parameters)))

    @property
    def table(self) -> str:
        return self.told.spec.table

    @property
    def sql(self) -> str:
        """Gives of each row that the caller sees its id, whether it fits, and its JSON for each answer wanted."""
        return self.told.statement.sql

    def parameters(self, ids: Sequence[UUID]) -> list[Any]:
        return [list(ids) if value is IDS else value for value in self._parameters]

    def event(self, cursor: str, change: ChangeKind, id: UUID, at: datetime, answers: Sequence[bytes] | None) -> bytes:
        """`{"data": …}` of one event; without answers for a row that is gone."""
        pieces = [f'{{"data":{{"{self.told.selected.key}":{{'.encode()]
        for number, child in enumerate(self.told.selected.children):
            pieces.append(f'{"," if number else ""}"{child.key}":'.encode())
            if number in self.told.columns:
                pieces.append(b"null" if answers is None else answers[self.told.columns[number]])
                continue
            match child.name:
                case "cursor":
                    value = cursor
                case "change":
                    value = change.name
                case "id":
                    value = str(id)
                case "at":
                    value = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
                case _:
                    value = self.told.selected.type.name
            pieces.append(json.dumps(value).encode())
        pieces.append(b"}}}")
        return b"".join(pieces)


def render_events(mapping: Entities, selected: Selected, limits: Ceilings) -> Told:
    """The statement behind a subscription's root field."""
    assert selected.field is not None
    spec: EventSpec = selected.field.extensions["strawberry-definition"].metadata[SPEC]
    entity = ENTITIES[spec.entity]
    renderer = Renderer(mapping, limits)
    wanted: list[Selected] = []
    columns: dict[int, int] = {}
    for number, child in enumerate(selected.children):
        if child.field is not None and child.type.name == entity.name:
            columns[number] = len(wanted)
            wanted.append(child)

    def conditions(row: Any) -> list[Any]:
        found = [spec.body(row)]
        box, within, where = (selected.arguments.get(name) for name in ("bbox", "within", "where"))
        if box is not None:
            assert spec.place is not None
            found.append(condition(renderer, entity, row, {spec.place: {"bbox": box}}, f"{selected.key}(bbox)"))
        if within is not None:
            assert spec.place is not None
            found.append(condition(renderer, entity, row, {spec.place: {"within": within}}, f"{selected.key}(within)"))
        if where is not None:
            found.append(condition(renderer, entity, row, where, f"{selected.key}(where)"))
        return [each for each in found if each is not None]

    return Told(spec, selected, renderer.changed(entity, wanted, conditions), columns)
