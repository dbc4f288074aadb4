"""Shapes that people send: GeoJSON (RFC 7946), boxes and positions, checked before anything computes with them.

Longitude comes first, EPSG:4326, two dimensions. PostGIS takes NaN, text and null for coordinates and repairs crossing
polygons at any cost, so nothing reaches it that was not checked here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import shapely
from shapely.geometry import shape as shapely_shape
from shapely.geometry.base import BaseGeometry

REGION: Final = (33.0, -2.0, 37.0, 2.0)
"""Where a position of this county may lie (west, south, east, north): Kisumu with a wide margin, as in the tables."""

WORLD: Final = (-180.0, -90.0, 180.0, 90.0)
WIDEST_BOX: Final = 20.0
"""Degrees that a box may span: a county hub has no use for a wider one."""

MAX_VERTICES: Final = 2_000
MAX_RINGS: Final = 1_000
AREAL: Final = ("Polygon", "MultiPolygon")
LINEAL: Final = ("LineString", "MultiLineString")
_DEPTH: Final = {"Point": 0, "LineString": 1, "MultiPoint": 1, "Polygon": 2, "MultiLineString": 2, "MultiPolygon": 3}


class ShapeError(ValueError):
    """A shape that cannot be used. The message names the place in it and what would be right."""


def position(value: Any, *, region: tuple[float, float, float, float] = REGION) -> tuple[float, float]:
    """A position `[longitude, latitude]` inside `region`, as two finite floats.

    Raises ShapeError: not two numbers, outside of the region, or plainly latitude first.

    >>> position([34.75, -0.1])
    (34.75, -0.1)
    """
    lon, lat = _pair(value, "a position")
    if not _inside(lon, lat, region):
        if _inside(lat, lon, region):
            raise ShapeError(
                f"[{lon:g}, {lat:g}] looks like latitude first; send [longitude, latitude]: [{lat:g}, {lon:g}]"
            )
        west, south, east, north = region
        raise ShapeError(
            f"[{lon:g}, {lat:g}] lies far outside of the county; longitude goes from {west:g} to {east:g} "
            f"and latitude from {south:g} to {north:g} here"
        )
    return lon, lat


def box(value: Any) -> tuple[float, float, float, float]:
    """A box `[west, south, east, north]` in degrees, at most `WIDEST_BOX` wide and high.

    >>> box([34.4, -0.45, 35.4, 0.1])
    (34.4, -0.45, 35.4, 0.1)
    """
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        raise ShapeError("a box is four numbers: [west, south, east, north]")
    west, south, east, north = (_number(part, f"the box's {side}") for part, side in zip(value, _SIDES, strict=True))
    if not (-180 <= west <= 180 and -180 <= east <= 180):
        raise ShapeError("a box's west and east are longitudes from -180 to 180")
    if not (-90 <= south <= 90 and -90 <= north <= 90):
        raise ShapeError("a box's south and north are latitudes from -90 to 90")
    if west > east or south > north:
        raise ShapeError(
            f"a box goes from west to east and from south to north: [{west:g}, {south:g}, {east:g}, {north:g}] does not"
        )
    if east - west > WIDEST_BOX or north - south > WIDEST_BOX:
        raise ShapeError(
            f"a box spans at most {WIDEST_BOX:g} degrees; this one spans {max(east - west, north - south):g}"
        )
    if _box_inside((south, west, north, east), REGION) and not _touches((west, south, east, north), REGION):
        raise ShapeError("the box looks like latitude first; send [west, south, east, north]")
    return west, south, east, north


def area(value: Any, *, max_vertices: int = MAX_VERTICES) -> BaseGeometry:
    """A valid Polygon or MultiPolygon from a GeoJSON geometry, with the region's own longitudes and latitudes.

    Raises ShapeError with the place: another type, over `max_vertices` vertices, over `MAX_RINGS` rings, an open or
    crossing ring, text, null or non-finite numbers, a third dimension, swapped axes.

    >>> area({"type": "Polygon", "coordinates": [[[34, 0], [35, 0], [35, 1], [34, 0]]]}).area
    0.5
    """
    kind, coordinates = _geometry(
        value, AREAL, "an area", '{"type": "Polygon", "coordinates": [[[longitude, latitude], …]]}'
    )
    rings = list(_rings(coordinates, _DEPTH[kind]))
    if sum(len(ring) for _, ring in rings) > max_vertices:
        raise ShapeError(f"the area has over {max_vertices:,} vertices: simplify it first")
    for place, ring in rings:
        if len(ring) < 4:
            raise ShapeError(
                f"{place} has {len(ring)} positions: a ring has at least four, the last equal to the first"
            )
        for at, pair in enumerate(ring):
            lon, lat = _pair(pair, f"{place}[{at}]")
            if not _inside(lon, lat, WORLD):
                raise ShapeError(f"{place}[{at}] is [{lon:g}, {lat:g}]: no longitude and latitude")
        if list(ring[0]) != list(ring[-1]):
            raise ShapeError(f"{place} is open: its last position must equal its first")
    made = shapely_shape({"type": kind, "coordinates": coordinates})
    west, south, east, north = made.bounds
    if east - west > WIDEST_BOX or north - south > WIDEST_BOX:
        raise ShapeError(
            f"an area spans at most {WIDEST_BOX:g} degrees; this one spans {max(east - west, north - south):g}"
        )
    if _box_inside((south, west, north, east), REGION) and not _touches((west, south, east, north), REGION):
        raise ShapeError("the area looks like latitude first; every position is [longitude, latitude]")
    if not made.is_valid:
        raise ShapeError(f"the area is not valid: {shapely.is_valid_reason(made)} (longitude latitude)")
    if made.area == 0:
        raise ShapeError("the area is empty")
    return made


def line(value: Any, *, max_vertices: int = MAX_VERTICES) -> BaseGeometry:
    """A LineString or MultiLineString from a GeoJSON geometry, inside of the region; lines may cross themselves.

    Raises ShapeError with the place, like `area`.

    >>> line({"type": "LineString", "coordinates": [[34, 0], [35, 0]]}).length
    1.0
    """
    kind, coordinates = _geometry(value, LINEAL, "a line", '{"type": "LineString", "coordinates": [[lon, lat], …]}')
    parts = list(_rings(coordinates, _DEPTH[kind]))
    if sum(len(part) for _, part in parts) > max_vertices:
        raise ShapeError(f"the line has over {max_vertices:,} vertices: simplify it first")
    for place, part in parts:
        if len(part) < 2:
            raise ShapeError(f"{place} has {len(part)} position: a line has at least two")
        for at, pair in enumerate(part):
            try:
                position(pair)
            except ShapeError as error:
                raise ShapeError(f"{place}[{at}]: {error}") from error
        if all(list(pair) == list(part[0]) for pair in part):
            raise ShapeError(f"{place} goes nowhere: its positions are all the same")
    return shapely_shape({"type": kind, "coordinates": coordinates})


def _geometry(value: Any, kinds: tuple[str, ...], what: str, example: str) -> tuple[str, Any]:
    """Type and coordinates of a GeoJSON geometry of one of some types."""
    if not isinstance(value, dict):
        raise ShapeError(f"{what} is a GeoJSON geometry: {example}")
    kind = value.get("type")
    if kind not in kinds:
        raise ShapeError(f"type is {_shown(kind)}; {what} is a {' or a '.join(kinds)}")
    unknown = sorted(set(value) - {"type", "coordinates", "bbox"})
    if unknown:
        raise ShapeError(f"{_shown(unknown[0])} is no member of a GeoJSON geometry: send type and coordinates only")
    return kind, value.get("coordinates")


_SIDES: Final = ("west", "south", "east", "north")


def _rings(value: Any, depth: int, place: str = "coordinates") -> Iterator[tuple[str, Sequence[Any]]]:
    if not isinstance(value, (list, tuple)) or not value:
        raise ShapeError(f"{place} must be a list that is not empty")
    if depth == 1:
        yield place, value
        return
    if len(value) > MAX_RINGS:
        raise ShapeError(f"{place} has {len(value)} parts; at most {MAX_RINGS} are taken")
    for at, part in enumerate(value):
        yield from _rings(part, depth - 1, f"{place}[{at}]")


def _pair(value: Any, place: str) -> tuple[float, float]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise ShapeError(f"{place} must be [longitude, latitude], two numbers")
    return _number(value[0], f"{place}'s longitude"), _number(value[1], f"{place}'s latitude")


def _number(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ShapeError(f"{place} must be a number, not {_shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ShapeError(f"{place} must be a finite number")
    return number


def _shown(value: Any) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 40 else text[:39] + "…"


def _inside(lon: float, lat: float, region: tuple[float, float, float, float]) -> bool:
    west, south, east, north = region
    return west <= lon <= east and south <= lat <= north


def _box_inside(inner: tuple[float, float, float, float], outer: tuple[float, float, float, float]) -> bool:
    return _inside(inner[0], inner[1], outer) and _inside(inner[2], inner[3], outer)


def _touches(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]
