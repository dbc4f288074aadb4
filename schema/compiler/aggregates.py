"""Figures over the rows of an entity: grouped, counted, measured, in the caller's sight.

    @aggregate(Incident)
    class IncidentStats:
        '''How many incidents …'''
        ward: Ward | None = group("…", lambda incident: incident.ward_id)
        kind: IncidentKind | None = group("…")
        count: int = measure("…", lambda incident: func.count())

    @totals(IncidentStats)
    def incident_stats(incident):
        '''…'''

Every group is a value of the enum that `groupBy` takes (`IncidentGroup`); one that is not asked for is null. Row
security decides which rows are counted, so that a count never says more than the list would.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

import strawberry
from sqlalchemy import Integer, Text, case, func, literal_column, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField

from schema.compiler.filters import condition
from schema.compiler.mapping import ENTITIES, SPEC, CompiledRoot, Entity, described
from schema.compiler.pieces import Piece, as_json, fixed, joined, or_null
from schema.compiler.pieces import members as pieces_of
from schema.compiler.selection import SHAPING, Selected
from schema.errors import BadUserInput

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from schema.compiler.render import Renderer

T = TypeVar("T")

MAX_GROUPS = 5000
"""Groups that one answer may hold: more of them are refused, never cut off."""


@dataclass(frozen=True)
class GroupSpec:
    """The field tells groups apart: by the column of its own name, or by `key(row)`; of an entity by its key."""

    key: Callable[[Any], Any] | None


@dataclass(frozen=True)
class MeasureSpec:
    """The field is an aggregate over the rows of a group."""

    of: Callable[[Any], Any]


@dataclass(frozen=True)
class TotalsSpec(CompiledRoot):
    """A root field that gives an aggregate's groups; `body(row)` may narrow the rows."""

    aggregate: type
    body: Callable[..., Any]


@dataclass(frozen=True)
class Aggregate:
    """A Strawberry type of figures over an entity, and the enum of what it can be grouped by."""

    of: type
    groups: type[Enum]
    specs: dict[str, GroupSpec | MeasureSpec]
    """By Python name."""


AGGREGATES: dict[type, Aggregate] = {}


def group(description: str, key: Callable[[Any], Any] | None = None) -> Any:
    """A field by whose value rows are grouped; null where nobody asked to group by it, or the rows have no value."""
    return strawberry.field(description=description, metadata={SPEC: GroupSpec(key)})


def measure(description: str, of: Callable[[Any], Any]) -> Any:
    """A figure over the rows of a group: `of(row)` is an SQL aggregate."""
    return strawberry.field(description=description, metadata={SPEC: MeasureSpec(of)})


def aggregate(of: type) -> Callable[[type[T]], type[T]]:
    """Declare a type of figures over an entity; its docstring describes it in the API."""

    def declare(cls: type[T]) -> type[T]:
        specs: dict[str, GroupSpec | MeasureSpec] = {}
        for name in cls.__annotations__:
            field = vars(cls).get(name)
            spec = field.metadata.get(SPEC) if isinstance(field, StrawberryField) else None
            if not isinstance(spec, (GroupSpec, MeasureSpec)):
                raise TypeError(f"{cls.__name__}.{name}: say group or measure")
            specs[name] = spec
        named = {
            name.upper(): strawberry.enum_value(name, description=vars(cls)[name].description)
            for name, spec in specs.items()
            if isinstance(spec, GroupSpec)
        }
        kind = f"{of.__name__}Group"
        groups = strawberry.enum(Enum(kind, named), name=kind, description="What figures are grouped by.")  # type: ignore[call-overload]
        SHAPING.add(kind)
        made = strawberry.type(cls, description=inspect.getdoc(cls))
        AGGREGATES[made] = Aggregate(of, groups, specs)
        return made

    return declare


def totals(cls: type) -> Callable[[Callable[..., Any]], StrawberryField]:
    """Declare a root field that gives the groups of an aggregate."""

    def declare(body: Callable[..., Any]) -> StrawberryField:
        field: StrawberryField = strawberry.field(description=described(body), metadata={SPEC: TotalsSpec(cls, body)})
        field.python_name = field.name = body.__name__
        field.type_annotation = StrawberryAnnotation(list[cls])  # type: ignore[valid-type]
        groups = AGGREGATES[cls].groups
        field.arguments = [
            StrawberryArgument(
                python_name="group_by",
                graphql_name=None,
                type_annotation=StrawberryAnnotation(list[groups]),  # type: ignore[valid-type]
                description=f"What tells groups apart; none: one figure over all rows. At most {MAX_GROUPS:,} groups.",
                default=[],
            )
        ]
        return field

    return declare


def rendered(render: Renderer, spec: TotalsSpec, selected: Selected) -> ColumnElement[str]:
    """`[{…}, …]`: the largest groups first. NULL where there are over MAX_GROUPS."""
    declared = AGGREGATES[spec.aggregate]
    entity = ENTITIES[declared.of]
    asked = [str(getattr(value, "value", value)) for value in selected.arguments.get("groupBy") or []]
    if len(set(asked)) < len(asked):
        raise BadUserInput(f"{selected.key}(groupBy) names a group twice")
    alias = render.alias(entity)
    keys = {name: _key(declared.specs[name], name, alias.c).label(render.name("g")) for name in asked}
    figures = {
        child.key: declared.specs[_python_name(child)].of(alias.c).label(render.name("m"))  # type: ignore[union-attr]
        for child in selected.children
        if child.field is not None and isinstance(declared.specs[_python_name(child)], MeasureSpec)
    }
    size = func.count().label(render.name("n"))
    where = condition(render, entity, alias.c, selected.arguments.get("where") or {}, f"{selected.key}(where)")
    narrowed = spec.body(alias.c)
    grouped = select(*keys.values(), *figures.values(), size).select_from(alias).where(where)
    if narrowed is not None:
        grouped = grouped.where(narrowed)
    # By number: a name could also be a column's.
    grouped = grouped.group_by(*(literal_column(str(at)) for at in range(1, len(keys) + 1)))
    groups = grouped.correlate(None).limit(literal_column(str(MAX_GROUPS + 1))).subquery(render.name("q"))
    pieces: list[tuple[str, list[Piece]]] = []
    for child in selected.children:
        if child.field is None:
            pieces.append((child.key, [f'"{spec.aggregate.__name__}"']))
        elif child.key in figures:
            figure = groups.c[figures[child.key].name]
            pieces.append((child.key, [or_null(as_json(figure, figure.type, child.type))]))
        elif _python_name(child) not in keys:
            pieces.append((child.key, ["null"]))
        else:
            pieces.append((child.key, [_told(render, child, groups.c[keys[_python_name(child)].name])]))
    order = [groups.c[size.name].desc(), *(groups.c[key.name] for key in keys.values())]
    listed = func.string_agg(joined(*pieces_of(pieces)), aggregate_order_by(fixed(","), *order), type_=Text)
    answer = joined("[", func.coalesce(listed, fixed("")), "]")
    few = func.count() <= literal_column(str(MAX_GROUPS), Integer)
    return select(case((few, answer))).select_from(groups).scalar_subquery()


def too_many(key: str) -> str:
    """What is said of an answer with too many groups."""
    return f"{key} makes over {MAX_GROUPS:,} groups: group by less, or ask for fewer rows by where."


def _python_name(child: Selected) -> str:
    assert child.field is not None
    return str(child.field.extensions["strawberry-definition"].python_name)


def _key(spec: GroupSpec | MeasureSpec, name: str, row: Any) -> Any:
    assert isinstance(spec, GroupSpec)
    return row[name] if spec.key is None else spec.key(row)


def _told(render: Renderer, child: Selected, key: Any) -> Piece:
    """A group's value: finished, or the entity that it is the key of."""
    entity: Entity | None = render.mapping.entities.get(child.type.name)
    if entity is None:
        return or_null(as_json(key, key.type, child.type))
    return render.one(entity, child, lambda row: row[entity.key] == key)
