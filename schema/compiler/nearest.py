"""The nearest rows of an entity to a place, with how far they are: found by index, ranked in true metres.

    @strawberry.type
    class NearestVehicle:
        distance_meters: float = strawberry.field(description="…")
        vehicle: Vehicle = strawberry.field(description="…")

    @nearest(NearestVehicle, Vehicle, positions=latest_positions, belongs="vehicle_id")
    def nearest_vehicles(vehicle):
        '''…'''

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

_MARGIN = literal_column("0.01", Double)
"""Metres by which the two ways to compare a distance may differ."""


@dataclass(frozen=True)
class NearestSpec(CompiledRoot):
    """A root field that gives the nearest rows of `entity`, by the places that stand in another table."""

    entity: type
    positions: Table
    belongs: str
    """The column of `positions` that holds the key of the entity's row."""
    body: Callable[..., Any]


def nearest(
    answer: type, entity: type, *, positions: Table, belongs: str
) -> Callable[[Callable[..., Any]], StrawberryField]:
    """Declare a root field; `answer` has `distance_meters` and a field of the entity."""

    def declare(body: Callable[..., Any]) -> StrawberryField:
        spec = NearestSpec(entity, positions, belongs, body)
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


def rendered(render: Renderer, spec: NearestSpec, selected: Selected) -> ColumnElement[str]:
    """`[{…}, …]`, nearest first, ties by key."""
    entity = ENTITIES[spec.entity]
    place = selected.arguments["to"]
    assert isinstance(place, Leaf)
    to = render.point(place)
    size = render.parameter(size_of(selected), Integer(), (id(selected), "first"))
    filtered = selected.arguments.get("where") or {}

    def rows() -> tuple[Any, Any, Any]:
        where, row = spec.positions.alias(render.name("t")), render.alias(entity)
        both = where.join(row, row.c[entity.key] == where.c[spec.belongs])
        wanted = condition(render, entity, row.c, filtered, f"{selected.key}(where)")
        narrowed = spec.body(row.c)
        return where, row, (both, wanted if narrowed is None else wanted & narrowed)

    where, _, (both, wanted) = rows()
    closest = select(where.c.location).select_from(both).where(wanted)
    candidates = closest.order_by(spatial.by_distance(where.c.location, to)).limit(size).subquery(render.name("q"))
    reach = func.max(spatial.meters_between(candidates.c.location, to)) + _MARGIN
    farthest = select(reach.label("meters")).select_from(candidates).subquery(render.name("q"))

    where, row, (both, wanted) = rows()
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
        .correlate(None)
        .subquery(render.name("q"))
    )
    order = (ranked.c.meters, ranked.c.key)
    listed = func.string_agg(ranked.c.item, aggregate_order_by(fixed(","), *order), type_=Text)
    return select(joined("[", func.coalesce(listed, fixed("")), "]")).select_from(ranked).scalar_subquery()
