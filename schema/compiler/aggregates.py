"""Figures over the rows of an entity: grouped, counted, measured, in the caller's sight.

    @aggregate(Incident)
    class IncidentStats:
        '''How many incidents …'''
        ward: Ward | None = group("…", lambda incident: incident.ward_id)
        kind: IncidentKind | None = group("…")
        hexagon: GeoJSON | None = hexagon("…", lambda incident: incident.location)
        count: int = measure("…", lambda incident: func.count())
        delay_minutes: Spread | None = spread("…", lambda incident: minutes)

    @totals(IncidentStats)
    def incident_stats(incident):
        '''…'''

Every group is a value of the enum that `groupBy` takes (`IncidentGroup`); one that is not asked for is null. Row
security decides which rows are counted, so that a count never says more than the list would.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

import strawberry
from sqlalchemy import Double, Integer, Table, Text, case, cast, func, literal_column, select, true
from sqlalchemy.dialects.postgresql import aggregate_order_by
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField

from geo import sql as spatial
from schema.compiler.filters import condition
from schema.compiler.mapping import ENTITIES, SPEC, CompiledRoot, Entity, described
from schema.compiler.pieces import Piece, as_json, fixed, joined, or_null
from schema.compiler.pieces import members as pieces_of
from schema.compiler.selection import SHAPING, Leaf, Selected
from schema.errors import BadUserInput

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from schema.compiler.render import Renderer

T = TypeVar("T")

MAX_GROUPS = 5000
"""Groups that one answer may hold: more of them are refused, never cut off."""

_NOUGHT = literal_column("0", Double)


DEFAULT_CELL = 1000.0
LEAST_CELL, MOST_CELL = 50.0, 50_000.0


@dataclass(frozen=True)
class GroupSpec:
    """The field tells groups apart: by the column of its own name, or by `key(row)`; of an entity by its key."""

    key: Callable[[Any], Any] | None


@dataclass(frozen=True)
class CellSpec:
    """The field tells groups apart by the cell that a place lies in: its key, and the outline that belongs to a key."""

    place: Callable[[Any], Any]
    key: Callable[[Any, Any], Any]
    shape: Callable[[Any, Any], Any]


@dataclass(frozen=True)
class SpreadSpec:
    """The field tells how a quantity is spread over the rows of a group; rows without it do not count."""

    of: Callable[[Any], Any]
    present: bool = False
    """Whether it is worked out from what is there now, so that the past cannot be asked."""


@dataclass(frozen=True)
class RateSpec:
    """The field is the count of a group for each unit of a figure of its area, such as land or people."""

    areas: Mapping[str, tuple[Table, str]]
    """By which groups (Python names) there is an area: its table, and the column of the figure. The first one that is
    asked for counts."""
    times: float


@dataclass(frozen=True)
class MeasureSpec:
    """The field is an aggregate over the rows of a group."""

    of: Callable[[Any], Any]


@dataclass(frozen=True)
class TotalsSpec(CompiledRoot):
    """A root field that gives an aggregate's groups; `body(row)` may narrow the rows."""

    aggregate: type
    body: Callable[..., Any]


Spec = GroupSpec | CellSpec | MeasureSpec | SpreadSpec | RateSpec


def _percentile() -> Any:
    field: StrawberryField = strawberry.field(
        description="What a share `at` of the rows stays at or below, interpolated between two: 0.5 is the median."
    )
    field.arguments = [
        StrawberryArgument(
            python_name="at",
            graphql_name=None,
            type_annotation=StrawberryAnnotation(float),
            description="The share, 0 to 1.",
        )
    ]
    return field


@strawberry.type(description="How a quantity is spread over the rows of a group that have it.")
class Spread:
    count: int = strawberry.field(description="How many rows have it.")
    sum: float | None = strawberry.field(description="All of it together.")
    min: float | None = strawberry.field(description="The least.")
    max: float | None = strawberry.field(description="The most.")
    avg: float | None = strawberry.field(description="The arithmetic mean.")
    percentile: float | None = _percentile()


@dataclass(frozen=True)
class Aggregate:
    """A Strawberry type of figures over an entity, and the enum of what it can be grouped by."""

    of: type
    groups: type[Enum]
    specs: dict[str, Spec]
    """By Python name."""
    past: bool = False
    """Whether figures of the past can be asked for, as those of the present: with `asOf` and `knownAt`."""

    @property
    def has_cells(self) -> bool:
        return any(isinstance(spec, CellSpec) for spec in self.specs.values())


AGGREGATES: dict[type, Aggregate] = {}


def group(description: str, key: Callable[[Any], Any] | None = None) -> Any:
    """A field by whose value rows are grouped; null where nobody asked to group by it, or the rows have no value."""
    return strawberry.field(description=description, metadata={SPEC: GroupSpec(key)})


def measure(description: str, of: Callable[[Any], Any]) -> Any:
    """A figure over the rows of a group: `of(row)` is an SQL aggregate."""
    return strawberry.field(description=description, metadata={SPEC: MeasureSpec(of)})


def square(description: str, place: Callable[[Any], Any]) -> Any:
    """A field by whose square rows are grouped: its outline."""
    return _cell(description, CellSpec(place, spatial.square_key, spatial.square_shape))


def hexagon(description: str, place: Callable[[Any], Any]) -> Any:
    """A field by whose hexagon rows are grouped: its outline."""
    return _cell(description, CellSpec(place, spatial.hexagon_key, spatial.hexagon_shape))


def _cell(description: str, spec: CellSpec) -> Any:
    return strawberry.field(
        description=f"{description} Its outline; `cellMeters` says its size.", metadata={SPEC: spec}
    )


def spread(description: str, of: Callable[[Any], Any], *, present: bool = False) -> Any:
    """How a quantity is spread over the rows of a group, annotated `Spread`: `of(row)` is a number, or NULL. `present`:
    it looks at other tables as they are now."""
    return strawberry.field(description=description, metadata={SPEC: SpreadSpec(of, present)})


def rate(description: str, areas: Mapping[str, tuple[Table, str]], times: float = 1.0) -> Any:
    """The count for each `times` units of a figure of the group's area; null where it is grouped by no area."""
    return strawberry.field(description=description, metadata={SPEC: RateSpec(areas, times)})


def aggregate(of: type, *, past: bool = False) -> Callable[[type[T]], type[T]]:
    """Declare a type of figures over an entity; its docstring describes it in the API."""

    def declare(cls: type[T]) -> type[T]:
        specs: dict[str, Spec] = {}
        for name in cls.__annotations__:
            field = vars(cls).get(name)
            spec = field.metadata.get(SPEC) if isinstance(field, StrawberryField) else None
            if not isinstance(spec, Spec):
                raise TypeError(f"{cls.__name__}.{name}: say group, square, hexagon, measure, spread or rate")
            specs[name] = spec
        named = {
            name.upper(): strawberry.enum_value(name, description=vars(cls)[name].description)
            for name, spec in specs.items()
            if isinstance(spec, (GroupSpec, CellSpec))
        }
        kind = f"{of.__name__}Group"
        groups = strawberry.enum(Enum(kind, named), name=kind, description="What figures are grouped by.")  # type: ignore[call-overload]
        SHAPING.add(kind)
        made = strawberry.type(cls, description=inspect.getdoc(cls))
        AGGREGATES[made] = Aggregate(of, groups, specs, past)
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
        if AGGREGATES[cls].has_cells:
            field.arguments.append(
                StrawberryArgument(
                    python_name="cell_meters",
                    graphql_name=None,
                    type_annotation=StrawberryAnnotation(float | None),
                    description=f"Size of squares (a side) and hexagons (from side to side), {LEAST_CELL:.0f} to "
                    f"{MOST_CELL:,.0f} metres; default {DEFAULT_CELL:,.0f}.",
                    default=DEFAULT_CELL,
                )
            )
        return field

    return declare


def rendered(render: Renderer, spec: TotalsSpec, selected: Selected) -> ColumnElement[str]:
    """`[{…}, …]`: the largest groups first. NULL where there are over MAX_GROUPS."""
    declared = AGGREGATES[spec.aggregate]
    entity = ENTITIES[declared.of]
    asked = [str(getattr(value, "value", value)) for value in selected.arguments.get("groupBy") or []]
    if len(set(asked)) < len(asked):
        raise BadUserInput(f"{selected.key}(groupBy) names a group twice")
    meters = _cell_size(render, selected) if declared.has_cells else None
    alias = render.alias(entity)
    keys = {name: _key(declared.specs[name], name, alias.c, meters).label(render.name("g")) for name in asked}
    source: Any = alias
    figures: dict[Any, Any] = {}
    """By selection: the columns that are aggregated."""
    for child in selected.children:
        spec_of = declared.specs[_python_name(child)] if child.field is not None else None
        if isinstance(spec_of, MeasureSpec):
            figures[id(child)] = spec_of.of(alias.c).label(render.name("m"))
        elif isinstance(spec_of, SpreadSpec):
            if spec_of.present and render.moment is not None:
                raise BadUserInput(
                    f"{selected.key}.{child.key} is known of the present alone: leave out asOf and knownAt"
                )
            quantity = spec_of.of(alias.c)
            wanted = [below for below in child.children if below.field is not None]
            if len(wanted) > 1:
                # Worked out once for each row, not once for each figure: OFFSET keeps it from being copied into them.
                rows = select(quantity.label("quantity")).offset(literal_column("0")).correlate(alias)
                once = rows.lateral(render.name("l"))
                source, quantity = source.join(once, true()), once.c.quantity
            for below in wanted:
                figures[id(below)] = _spread(render, below, quantity).label(render.name("m"))
    size = func.count().label(render.name("n"))
    where = condition(render, entity, alias.c, selected.arguments.get("where") or {}, f"{selected.key}(where)")
    narrowed = spec.body(alias.c)
    grouped = select(*keys.values(), *figures.values(), size).select_from(source).where(where)
    if narrowed is not None:
        grouped = grouped.where(narrowed)
    # By number: a name could also be a column's.
    grouped = grouped.group_by(*(literal_column(str(at)) for at in range(1, len(keys) + 1)))
    groups = grouped.correlate(None).limit(literal_column(str(MAX_GROUPS + 1))).subquery(render.name("q"))

    def told(child: Selected) -> Piece:
        if child.field is None:
            return f'"{spec.aggregate.__name__}"'
        if id(child) in figures:
            return _figure(groups, figures[id(child)], child)
        name = _python_name(child)
        of = declared.specs[name]
        if isinstance(of, SpreadSpec):
            return joined(*pieces_of([(below.key, [spread_of(below)]) for below in child.children]))
        if isinstance(of, RateSpec):
            return _rate(render, of, {name: groups.c[key.name] for name, key in keys.items()}, groups.c[size.name])
        if name not in keys:
            return "null"
        key = groups.c[keys[name].name]
        if isinstance(of, CellSpec):
            return or_null(spatial.as_geojson(of.shape(key, meters)))
        return _told(render, child, key)

    def spread_of(below: Selected) -> Piece:
        return '"Spread"' if below.field is None else _figure(groups, figures[id(below)], below)

    pieces: list[tuple[str, list[Piece]]] = [(child.key, [told(child)]) for child in selected.children]
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


def _key(spec: Spec, name: str, row: Any, meters: Any) -> Any:
    if isinstance(spec, CellSpec):
        return spec.key(spec.place(row), meters)
    assert isinstance(spec, GroupSpec)
    return row[name] if spec.key is None else spec.key(row)


def _cell_size(render: Renderer, selected: Selected) -> ColumnElement[float]:
    leaf = selected.arguments.get("cellMeters")
    if leaf is None:
        raise BadUserInput(f"{selected.key}(cellMeters) is null: leave it out for {DEFAULT_CELL:,.0f} metres")
    assert isinstance(leaf, Leaf)

    def read(variables: Any) -> float:
        value = float(leaf.read(variables))
        if not LEAST_CELL <= value <= MOST_CELL:
            raise BadUserInput(f"{leaf.place} is {value:g}: cells have {LEAST_CELL:.0f} to {MOST_CELL:,.0f} metres")
        return value

    return render.parameter(read, Double(), (leaf, "cell"))


def _spread(render: Renderer, below: Selected, quantity: Any) -> Any:
    """One figure of a spread."""
    match below.name:
        case "count":
            return func.count(quantity)
        case "percentile":
            at = below.arguments["at"]
            assert isinstance(at, Leaf)

            def read(variables: Any) -> float:
                value = float(at.read(variables))
                if not 0 <= value <= 1:
                    raise BadUserInput(f"{at.place} is {value:g}: a share of the rows is from 0 to 1")
                return value

            share = render.parameter(read, Double(), (at, "share"))
            return func.percentile_cont(share).within_group(cast(quantity, Double))
        case name:
            return getattr(func, name)(cast(quantity, Double), type_=Double)


def _figure(groups: Any, figure: Any, child: Selected) -> Piece:
    column = groups.c[figure.name]
    return or_null(as_json(column, column.type, child.type))


def _rate(render: Renderer, spec: RateSpec, keys: Mapping[str, Any], count: Any) -> Piece:
    """By the finest of the areas that it is grouped by."""
    for name, (table, figure) in spec.areas.items():
        if name in keys:
            area = table.alias(render.name("t"))
            found = select(area.c[figure]).where(area.c.id == keys[name]).correlate_except(area).scalar_subquery()
            units = func.nullif(cast(found, Double), _NOUGHT)
            each = cast(count, Double) * literal_column(f"{spec.times}::float8", Double) / units
            return or_null(cast(func.to_json(each), Text))
    return "null"


def _told(render: Renderer, child: Selected, key: Any) -> Piece:
    """A group's value: finished, or the entity that it is the key of."""
    entity: Entity | None = render.mapping.entities.get(child.type.name)
    if entity is None:
        return or_null(as_json(key, key.type, child.type))
    return render.one(entity, child, lambda row: row[entity.key] == key)
