"""The nearest rows of an entity to a place, with how far they are: found by index, ranked in true metres.

    @strawberry.type
    class NearestVehicle:
        distance_meters: float = strawberry.field(description="…")
        vehicle: Vehicle = strawberry.field(description="…")

    @nearest(NearestVehicle, Vehicle, positions=latest_positions, belongs="vehicle_id")
    def nearest_vehicles(vehicle):
        '''…'''

With `at="location"` it is a field of an entity, measured from that column of its row: the three nearest vehicles of
each incident, in the statement that reads the incidents.

The index orders by degrees. As many rows as are wanted are taken in that order; whatever is nearer in metres than the
farthest of them lies in a box around the place, and is ranked with them: the answer is exact, however many are alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import strawberry
from sqlalchemy import ColumnElement, Double, Integer, Table, Text, func, literal_column, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.field import StrawberryField

from geo import sql as spatial
from schema.compiler.filters import condition
from schema.compiler.mapping import ENTITIES, SPEC, CompiledRoot, described
from schema.compiler.pieces import Piece, as_json, fixed, joined
from schema.compiler.pieces import members as pieces_of
from schema.compiler.selection import Leaf, Read, Selected
from schema.errors import BadUserInput

if TYPE_CHECKING:
    from schema.compiler.render import Renderer

DEFAULT_NEAREST = 5
MAX_NEAREST = 100

SEARCH = 10
"""Rows that looking for the nearest ones of a row is counted as, beside those that are found."""

_MARGIN = literal_column("0.01", Double)
"""Metres by which the two ways to compare a distance may differ."""


@dataclass(frozen=True)
class NearestSpec(CompiledRoot):
    """A field that gives the nearest rows of `entity`, by the places that stand in another table, or in its own."""

    entity: type
    positions: Table | None
    """The table of the places; None: that of the entity."""
    belongs: str
    """The column of `positions` that holds the key of the entity's row."""
    at: str | None
    """The column of the row that it is a field of, from which is measured; None for a root field, which takes `to`."""
    body: Callable[..., Any]


def nearest(
    answer: type, entity: type, *, positions: Table | None = None, belongs: str = "id", at: str | None = None
) -> Callable[[Callable[..., Any]], StrawberryField]:
    """Declare a root field, or with `at` a field of an entity; `answer` has `distance_meters` and a field of the
    entity that is looked for."""

    def declare(body: Callable[..., Any]) -> StrawberryField:
        spec = NearestSpec(entity, positions, belongs, at, body)
        field: StrawberryField = strawberry.field(description=described(body), metadata={SPEC: spec})
        field.python_name = field.name = body.__name__
        field.type_annotation = StrawberryAnnotation(list[answer])  # type: ignore[valid-type]
        return field

    return declare


def size_of(selected: Selected) -> Read:
    """How many are asked for."""
    leaf = selected.arguments.get("first")
    if not isinstance(leaf, Leaf):
        return lambda _: DEFAULT_NEAREST

    def read(variables: Any) -> int:
        value: int = leaf.read(variables)
        if not 0 <= value <= MAX_NEAREST:
            raise BadUserInput(f"{leaf.place} is {value}: 0 to {MAX_NEAREST} are given")
        return value

    return read


def rendered(render: Renderer, spec: NearestSpec, selected: Selected, to: Any) -> ColumnElement[str]:
    """`[{…}, …]`, nearest to the point `to` first, ties by key."""
    entity = ENTITIES[spec.entity]
    size = render.parameter(size_of(selected), Integer(), (id(selected), "first"))
    filtered = selected.arguments.get("where") or {}

    def rows() -> tuple[Any, Any, Any, Any]:
        """Where the places stand, the entity's row, both joined, and which of them are wanted."""
        row = render.alias(entity)
        where = row if spec.positions is None else render.alias_of(spec.positions)
        both = row if where is row else where.join(row, row.c[entity.key] == where.c[spec.belongs])
        wanted = condition(render, entity, row.c, filtered, f"{selected.key}(where)")
        narrowed = spec.body(row.c)
        return where, row, both, wanted if narrowed is None else wanted & narrowed

    where, row, both, wanted = rows()
    closest = select(where.c.location).select_from(both).where(wanted)
    closest = closest.order_by(spatial.by_distance(where.c.location, to)).limit(size)
    candidates = closest.correlate_except(where, row).subquery(render.name("q"))
    reach = func.max(spatial.meters_between(candidates.c.location, to)) + _MARGIN
    farthest = (
        select(reach.label("meters")).select_from(candidates).correlate_except(candidates).subquery(render.name("q"))
    )

    where, row, both, wanted = rows()
    meters = spatial.meters_between(where.c.location, to).label("meters")
    pieces: list[tuple[str, list[Piece]]] = []
    for child in selected.children:
        if child.field is None:
            pieces.append((child.key, [f'"{selected.type.name}"']))
        elif child.type.name == entity.name:
            pieces.append((child.key, [render.object(entity, row.c, child.children)]))
        else:
            pieces.append((child.key, [as_json(meters.element, Double(), child.type)]))
    item = joined(*pieces_of(pieces)).label("item")
    ranked = (
        select(item, meters, row.c[entity.key].label("key"))
        .select_from(both.join(farthest, spatial.near(where.c.location, to, farthest.c.meters)))
        .where(wanted)
        .order_by(meters, row.c[entity.key])
        .limit(size)
        .correlate_except(where, row, farthest)
        .subquery(render.name("q"))
    )
    order = (ranked.c.meters, ranked.c.key)
    listed = func.string_agg(ranked.c.item, aggregate_order_by(fixed(","), *order), type_=Text)
    answer = select(joined("[", func.coalesce(listed, fixed("")), "]")).select_from(ranked)
    return answer.correlate_except(ranked).scalar_subquery()
