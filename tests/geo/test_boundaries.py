"""Shapes of areas: joined, measured, labelled, and a bay closed by a line."""

from __future__ import annotations

import doctest

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely import LineString, MultiPolygon, Polygon

from geo import boundaries
from geo.boundaries import area_km2, enclosed_by, joined, label_point, multipolygon


def test_the_examples_hold() -> None:
    assert doctest.testmod(boundaries).failed == 0


def test_outer_rings_turn_left_and_inner_rings_right() -> None:
    clockwise = Polygon([(0, 0), (0, 3), (3, 3), (3, 0)], [[(1, 1), (2, 1), (2, 2), (1, 2)]])
    (part,) = multipolygon(clockwise).geoms
    assert part.exterior.is_ccw
    assert not part.interiors[0].is_ccw


def test_only_areas_are_kept_of_a_mixed_shape() -> None:
    mixed = shapely.GeometryCollection([shapely.box(0, 0, 1, 1), LineString([(5, 5), (6, 6)]), shapely.Point(9, 9)])
    assert multipolygon(mixed).equals(shapely.box(0, 0, 1, 1))


def test_slivers_between_neighbours_are_closed() -> None:
    # Drawn apart: the right-hand outline leaves the common border for a few metres in the middle.
    left = shapely.box(34, 0, 34.1, 0.1)
    right = Polygon([(34.1, 0), (34.2, 0), (34.2, 0.1), (34.1, 0.1), (34.1, 0.06), (34.1001, 0.05), (34.1, 0.04)])
    assert len(shapely.union_all([left, right]).interiors) == 1
    assert joined([left, right]).equals(shapely.box(34, 0, 34.2, 0.1))


def test_lakes_and_enclaves_are_no_slivers() -> None:
    ring = shapely.box(34, 0, 34.3, 0.3).difference(shapely.box(34.1, 0.1, 34.2, 0.2))
    assert joined([ring]).equals(ring)
    apart = [shapely.box(34, 0, 34.1, 0.1), shapely.box(34.2, 0, 34.3, 0.1)]
    assert len(joined(apart).geoms) == 2


def test_crumbs_go_and_the_largest_part_stays_however_small() -> None:
    crumb = shapely.box(34.5, 0, 34.5001, 0.0001)
    assert joined([shapely.box(34, 0, 34.1, 0.1), crumb]).equals(shapely.box(34, 0, 34.1, 0.1))
    assert joined([crumb]).equals(crumb)


def test_a_label_sits_in_the_largest_part() -> None:
    small, large = shapely.box(34, 0, 34.1, 0.1), shapely.box(35, 0, 35.4, 0.4)
    assert label_point(MultiPolygon([small, large])).equals(shapely.Point(35.2, 0.2))


def test_a_label_sits_inside_where_the_centroid_does_not() -> None:
    horseshoe = Polygon([(34, 0), (35, 0), (35, 1), (34.8, 1), (34.8, 0.2), (34.2, 0.2), (34.2, 1), (34, 1)])
    assert not horseshoe.contains(horseshoe.centroid)
    assert horseshoe.contains(label_point(horseshoe))


def degrees(least: float, most: float) -> st.SearchStrategy[float]:
    """As data hold them: with nine digits, not a denormal number's 308."""
    return st.floats(least, most).map(lambda value: round(value, 9))


@given(
    st.lists(st.tuples(degrees(33, 37), degrees(-2, 2)), min_size=3, max_size=12).map(
        lambda points: shapely.convex_hull(shapely.MultiPoint(points))
    )
)
def test_a_label_is_always_inside(hull: object) -> None:
    if isinstance(hull, Polygon) and area_km2(hull) > 1e-6:
        assert hull.contains(label_point(hull))


def test_areas_are_those_of_the_ellipsoid() -> None:
    # A degree at the equator: 110.574 km from south to north, 111.320 km from west to east.
    assert area_km2(shapely.box(34, -0.5, 35, 0.5)) == pytest.approx(110.574 * 111.320, rel=1e-4)
    # The whole earth, pole to pole.
    assert area_km2(shapely.box(-180, -90, 180, 90)) == pytest.approx(510_065_622, rel=1e-6)
    assert area_km2(shapely.box(34, 0, 34.1, 0.1)) == pytest.approx(area_km2(shapely.box(34, -0.1, 34.1, 0)))


BAY = Polygon([(0, 0), (3, 0), (3, 2), (2, 2), (2, 1), (1, 1), (1, 2), (0, 2)])


def test_a_line_that_runs_over_land_encloses_only_water() -> None:
    headland = Polygon([(0, 0), (5, 0), (5, 2), (4, 2), (4, 1), (3, 1), (3, 3), (2, 3), (2, 1), (1, 1), (1, 2), (0, 2)])
    water = enclosed_by(headland, LineString([(1, 2), (4, 2)]))
    assert water.equals(MultiPolygon([shapely.box(1, 1, 2, 2), shapely.box(3, 1, 4, 2)]))
    assert area_km2(water.intersection(headland)) == 0


def test_a_lake_inside_the_land_is_another_water() -> None:
    with_lake = BAY.difference(shapely.box(0.2, 0.2, 0.8, 0.8))
    assert enclosed_by(with_lake, LineString([(1, 2), (2, 2)])).equals(shapely.box(1, 1, 2, 2))


def test_an_island_in_the_bay_stays_land() -> None:
    island = shapely.box(1.4, 1.4, 1.6, 1.6)
    water = enclosed_by(MultiPolygon([BAY, island]), LineString([(1, 2), (2, 2)]))
    assert water.equals(shapely.box(1, 1, 2, 2).difference(island))


def test_a_line_that_does_not_reach_the_shore_encloses_nothing() -> None:
    assert enclosed_by(BAY, LineString([(1.2, 2), (1.8, 2)])).is_empty
