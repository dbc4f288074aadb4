"""Shapes of areas: joining neighbours, finding the middle, measuring, and closing a bay with a line.

Coordinates are WGS 84 longitude and latitude in degrees throughout. The functions are planar where that does no harm:
the county lies on the equator, where a degree of longitude is as long as a degree of latitude to within 1 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import shapely
from shapely import LineString, MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry

_SEMI_MAJOR_KM = 6378.137
_FLATTENING = 1 / 298.257223563
_ECCENTRICITY = math.sqrt(_FLATTENING * (2 - _FLATTENING))


def multipolygon(shape: BaseGeometry) -> MultiPolygon:
    """The areal part of a shape as RFC 7946 wants it: outer rings counter-clockwise, inner rings clockwise.

    >>> multipolygon(Polygon([(0, 0), (0, 1), (1, 1), (1, 0)])).wkt
    'MULTIPOLYGON (((0 0, 1 0, 1 1, 0 1, 0 0)))'
    >>> multipolygon(LineString([(0, 0), (1, 1)])).is_empty
    True
    """
    parts = [part for part in shapely.get_parts(shape) if part.geom_type in ("Polygon", "MultiPolygon")]
    polygons = [polygon for part in parts for polygon in shapely.get_parts(part) if not polygon.is_empty]
    return shapely.orient_polygons(MultiPolygon(polygons))


def joined(shapes: Iterable[BaseGeometry], sliver_km2: float = 0.1) -> MultiPolygon:
    """Neighbours as one shape, without the slivers that outlines drawn apart leave between them.

    A hole or a loose part smaller than `sliver_km2` is a sliver; the largest part always stays.

    >>> west, east = shapely.box(34, 0, 34.1, 0.1), shapely.box(34.1, 0, 34.2, 0.1)
    >>> joined([west, east]).equals(shapely.box(34, 0, 34.2, 0.1))
    True
    >>> joined([]).is_empty
    True
    """
    union = multipolygon(shapely.union_all(list(shapes)))
    filled = [
        Polygon(part.exterior, [hole for hole in part.interiors if area_km2(Polygon(hole)) >= sliver_km2])
        for part in union.geoms
    ]
    largest = max(filled, key=area_km2, default=None)
    return multipolygon(MultiPolygon([part for part in filled if part is largest or area_km2(part) >= sliver_km2]))


def label_point(shape: BaseGeometry, digits: int = 5) -> Point:
    """Where a label sits best: the point of the largest part that is farthest from its edge.

    >>> label_point(shapely.box(34, 0, 34.2, 0.2)).wkt
    'POINT (34.1 0.1)'
    """
    largest = max(multipolygon(shape).geoms, key=area_km2)
    radius = shapely.maximum_inscribed_circle(largest, tolerance=10.0**-digits)
    longitude, latitude = radius.coords[0]
    point = Point(round(longitude, digits), round(latitude, digits))
    # Rounding moves the point by a metre at most; a part so thin that it falls out has no better middle than inside.
    return point if largest.contains(point) else largest.representative_point()


def area_km2(shape: BaseGeometry) -> float:
    """Area on the ellipsoid in square kilometres, by an equal-area projection (Lambert's cylinder, WGS 84).

    Exact but for the edges, which the projection takes as straight: below 0.01 % for edges of some kilometres.

    >>> round(area_km2(shapely.box(34, 0, 35, 1)), 1)
    12308.5
    """

    def projected(coordinates: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
        return [(_SEMI_MAJOR_KM * math.radians(x), _SEMI_MAJOR_KM * _authalic(y) / 2) for x, y in coordinates]

    return float(shapely.area(shapely.transform(shape, projected)))


def enclosed_by(land: BaseGeometry, line: LineString) -> MultiPolygon:
    """The water that a line across a bay's mouth and the shore enclose together.

    The line's ends lie on the shore. Where the line runs over land in between, only the water counts. Holes in the land
    are lakes of their own and do not count. The water shares the shore's points, so that no overlap and no gap is left.

    >>> bay = Polygon([(0, 0), (3, 0), (3, 2), (2, 2), (2, 1), (1, 1), (1, 2), (0, 2)])
    >>> enclosed_by(bay, LineString([(1, 2), (2, 2)])).equals(shapely.box(1, 1, 2, 2))
    True
    """
    edges = shapely.union_all([shapely.boundary(land), line])
    faces = shapely.get_parts(shapely.polygonize(list(shapely.get_parts(edges))))
    water = [
        face
        for face in faces
        if not land.contains(face.representative_point())
        and shapely.length(shapely.intersection(shapely.boundary(face), line)) > 0
    ]
    return multipolygon(shapely.union_all(water))


def _authalic(latitude: float) -> float:
    """Snyder's q: twice the area from the equator to a latitude, a radian wide, on an ellipsoid of unit size."""
    sine = math.sin(math.radians(latitude))
    bent = _ECCENTRICITY * sine
    return (1 - _ECCENTRICITY**2) * (sine / (1 - bent**2) + math.atanh(bent) / _ECCENTRICITY)
