"""Moves: what a subscription tells of facts that are stored in batches and never change, such as positions.

    @moves(VehiclePosition, VehicleMove, batch="batch", place="location")
    def vehicle_moved(position):
        '''…'''

The event's type has `cursor`, and a list of the entity. One event tells what came in one or more batches; the batches
have cursors in the order of their commits (`hub/live.py`), so that nothing is missed and nothing told twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import strawberry
from graphql.execution.values import VariableValues
from sqlalchemy import Table, exists, false, func, literal_column, select
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.field import StrawberryField

from geo import sql as spatial
from schema.compiler.admit import Ceilings
from schema.compiler.filters import condition
from schema.compiler.mapping import ENTITIES, SPEC, described
from schema.compiler.mapping import Mapping as Entities
from schema.compiler.render import IDS, Renderer
from schema.compiler.selection import Leaf, Selected
from schema.compiler.statements import Statement
from schema.compiler.vocabulary import crossing_arguments, event_arguments

MOST = 2_000
"""Rows that one event may bring; what one batch brought is never torn apart."""


@dataclass(frozen=True)
class Edges:
    """Whose rows cross edges, and where those are that may be left inside."""

    of: type
    """The entity that moves."""
    belongs: str
    """The column that says whose row it is, in the rows that are told of and in `latest`."""
    latest: Table
    """The table of where each was last."""
    order: str
    """The column of the rows' own time."""
    sound: Callable[[Any], Any]
    """Which rows count: a doubtful one crosses nothing."""


@dataclass(frozen=True)
class MovesSpec:
    """A root field of the subscriptions: rows of an entity, as they are stored."""

    entity: type
    body: Callable[..., Any]
    batch: str
    """The column that says with which batch a row was stored."""
    place: str
    """The field that `bbox` is about."""
    edges: Edges | None = None
    """Where only those are told that crossed the edge of an area."""

    @property
    def table(self) -> str:
        return str(ENTITIES[self.entity].table.name)


def moves(entity: type, event: type, *, batch: str, place: str) -> Callable[[Callable[..., Any]], StrawberryField]:
    """Declare a subscription to the new rows of an entity; `event` is the type of what is told."""

    def declare(body: Callable[..., Any]) -> StrawberryField:
        spec = MovesSpec(entity, body, batch, place)
        made: StrawberryField = strawberry.field(description=described(body), metadata={SPEC: spec})
        made.python_name = made.name = body.__name__
        made.type_annotation = StrawberryAnnotation(event)
        made.arguments = event_arguments(entity.__name__)
        return made

    return declare


def crossings(
    entity: type, event: type, *, batch: str, place: str, edges: Edges
) -> Callable[[Callable[..., Any]], StrawberryField]:
    """Declare a subscription to the edges of an area: `event` has the lists `entered` and `left` of the entity, which
    are the first row inside and the first outside, and `remaining`, how many are inside now."""

    def declare(body: Callable[..., Any]) -> StrawberryField:
        spec = MovesSpec(entity, body, batch, place, edges)
        made: StrawberryField = strawberry.field(description=described(body), metadata={SPEC: spec})
        made.python_name = made.name = body.__name__
        made.type_annotation = StrawberryAnnotation(event)
        made.arguments = crossing_arguments(edges.of.__name__)
        return made

    return declare


@dataclass(frozen=True)
class Followed:
    """A subscription's selection, compiled: the statement that reads the rows of some batches."""

    spec: MovesSpec
    selected: Selected
    statement: Statement
    columns: dict[int, int]
    """Which of the statement's answers stands at which of the selected fields."""

    def bind(self, variables: VariableValues, _: int) -> Following:
        """One request's subscription."""
        after = self.selected.arguments.get("after")
        return Following(
            self,
            self.statement.parameters(variables),
            after.read(variables) if isinstance(after, Leaf) else None,
        )


@dataclass(frozen=True, eq=False)
class Following:
    """A subscription to moves as one caller asked for it."""

    told: Followed
    _parameters: list[Any]
    after: str | None
    """The cursor that it begins after; None: now."""
    most: int = MOST
    question: tuple[str, str] = field(init=False)
    """The same for the same statement with the same values: asked by the same caller it has the same answer."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "question", (self.told.statement.sql, repr(self._parameters)))

    @property
    def table(self) -> str:
        return self.told.spec.table

    @property
    def sql(self) -> str:
        """One row: how many rows there are, and their JSON for each answer wanted."""
        return self.told.statement.sql

    def parameters(self, batches: Sequence[int]) -> list[Any]:
        return [list(batches) if value is IDS else value for value in self._parameters]

    def event(self, cursor: str, answers: Sequence[bytes]) -> bytes:
        """`{"data": …}` of one event."""
        pieces = [f'{{"data":{{"{self.told.selected.key}":{{'.encode()]
        for number, child in enumerate(self.told.selected.children):
            pieces.append(f'{"," if number else ""}"{child.key}":'.encode())
            if number in self.told.columns:
                pieces.append(answers[self.told.columns[number]])
            else:
                pieces.append(json.dumps(cursor if child.name == "cursor" else self.told.selected.type.name).encode())
        pieces.append(b"}}}")
        return b"".join(pieces)


def render_moves(mapping: Entities, selected: Selected, limits: Ceilings) -> Followed:
    """The statement behind a subscription's root field."""
    assert selected.field is not None
    spec: MovesSpec = selected.field.extensions["strawberry-definition"].metadata[SPEC]
    entity = ENTITIES[spec.entity]
    renderer = Renderer(mapping, limits)
    wanted: list[Selected] = []
    columns: dict[int, int] = {}
    if spec.edges is not None:
        return _crossings(renderer, spec, selected)
    for number, child in enumerate(selected.children):
        if child.field is not None and child.type.name == entity.name:
            columns[number] = len(wanted)
            wanted.append(child)

    def conditions(row: Any) -> list[Any]:
        found = [spec.body(row)]
        box, within, where = (selected.arguments.get(name) for name in ("bbox", "within", "where"))
        if box is not None:
            found.append(condition(renderer, entity, row, {spec.place: {"bbox": box}}, f"{selected.key}(bbox)"))
        if within is not None:
            found.append(condition(renderer, entity, row, {spec.place: {"within": within}}, f"{selected.key}(within)"))
        if where is not None:
            found.append(condition(renderer, entity, row, where, f"{selected.key}(where)"))
        return [each for each in found if each is not None]

    return Followed(spec, selected, renderer.stored(entity, wanted, conditions, spec.batch), columns)


def _crossings(renderer: Renderer, spec: MovesSpec, selected: Selected) -> Followed:
    """Of the rows of some batches those that are on another side of the edge than the row before them. What was never
    heard of before was outside."""
    edges = spec.edges
    assert edges is not None
    moving = ENTITIES[edges.of]
    area = renderer.area(selected.arguments["area"])
    where = selected.arguments.get("where") or {}

    def is_one(key: Any) -> Any:
        """Whether it is one of those that are asked about, and that the caller sees."""
        other = renderer.alias(moving)
        fits = condition(renderer, moving, other.c, where, f"{selected.key}(where)")
        return exists(select(literal_column("1")).where(other.c[moving.key] == key, fits).correlate_except(other))

    def inside(row: Any) -> Any:
        return spatial.covers(area, row[spec.place])

    def crossed(row: Any) -> Sequence[Any]:
        before = ENTITIES[spec.entity].table.alias(renderer.name("t"))
        was = (
            select(inside(before.c))
            .where(
                before.c[edges.belongs] == row[edges.belongs],
                before.c[edges.order] < row[edges.order],
                edges.sound(before.c),
            )
            .order_by(before.c[edges.order].desc())
            .limit(literal_column("1"))
            .correlate_except(before)
            .scalar_subquery()
        )
        changed = inside(row) != func.coalesce(was, false())
        return [edges.sound(row), is_one(row[edges.belongs]), changed]

    wanted: list[Selected] = []
    columns: dict[int, int] = {}
    remaining: int | None = None
    for number, child in enumerate(selected.children):
        if child.name in ("entered", "left"):
            columns[number] = len(wanted)
            wanted.append(child)
        elif child.name == "remaining":
            remaining = number
    latest = edges.latest.alias(renderer.name("t"))
    left = select(func.count()).select_from(latest).where(inside(latest.c), is_one(latest.c[edges.belongs]))
    if remaining is not None:
        columns[remaining] = len(wanted)
    statement = renderer.stored(
        ENTITIES[spec.entity],
        wanted,
        crossed,
        spec.batch,
        sides=lambda child, row: inside(row) if child.name == "entered" else ~inside(row),
        beside=[] if remaining is None else [left.correlate_except(latest).scalar_subquery()],
    )
    return Followed(spec, selected, statement, columns)
