"""Squares that tell at once which area a place lies in: never another one than the outlines do."""

from __future__ import annotations

import math
import random

import pytest
import shapely
from hypothesis import example, given
from hypothesis import strategies as st
from shapely.affinity import rotate, translate
from shapely.geometry import MultiPolygon, Point, Polygon, box

from geo.squares import MOST, NOWHERE, PER_DEGREE, UNDECIDED, Squares

SIDE = 1 / PER_DEGREE


def wkb(*areas: Polygon | MultiPolygon) -> list[bytes]:
    return [shapely.to_wkb(area) for area in areas]


def true(areas: list[Polygon], lon: float, lat: float) -> int:
    return next((number for number, area in enumerate(areas, 1) if area.covers(Point(lon, lat))), NOWHERE)


@st.composite
def areas(draw: st.DrawFn) -> list[Polygon]:
    """Stars, some of a few squares and some of many, that may overlap, touch or have a hole."""
    made = []
    for _ in range(draw(st.integers(1, 4))):
        dice = random.Random(draw(st.integers(0, 10_000)))
        size, corners = draw(st.sampled_from([2.3, 9, 40])) * SIDE, draw(st.integers(3, 12))
        middle = 34.7 + dice.uniform(-60, 60) * SIDE, dice.uniform(-60, 60) * SIDE
        turns = [2 * math.pi * corner / corners for corner in range(corners)]
        ring = [
            (middle[0] + reach * math.cos(turn), middle[1] + reach * math.sin(turn))
            for turn in turns
            for reach in [size * dice.uniform(0.3, 1)]
        ]
        area = Polygon(ring)
        made.append(area.difference(Point(middle).buffer(size / 5)) if draw(st.booleans()) else area)
    return [area for area in made if area.is_valid and not area.is_empty]


@given(areas(), st.integers(0, 10_000))
@example([box(34.5, -0.25, 34.75, 0)], 1)  # along the edges of squares
@example([box(34.5, -0.25, 34.625, 0), box(34.625, -0.25, 34.75, 0)], 1)  # side by side
@example([box(34.5, -0.25, 34.75, 0), box(34.6, -0.2, 34.9, 0.1)], 2)  # two that overlap
@example([rotate(box(34.5, -0.25, 34.75, 0), 45)], 3)
@example([], 0)
def test_what_is_decided_is_as_the_outlines_say(given_: list[Polygon], seed: int) -> None:
    squares, dice = Squares(wkb(*given_)), random.Random(seed)
    near = [point for area in given_ for point in shapely.get_coordinates(area)[:40].tolist()]
    places = [(34.7 + dice.uniform(-150, 150) * SIDE, dice.uniform(-150, 150) * SIDE) for _ in range(200)]
    places += [(x + dice.uniform(-3, 3) * SIDE, y + dice.uniform(-3, 3) * SIDE) for x, y in near]
    places += [(x + nudge, y - nudge) for x, y in near for nudge in (0, 1e-15, -1e-12)]
    places += [(0, 0), (180, 90), (-180, -90)]
    told = squares.numbers([x for x, _ in places], [y for _, y in places])
    assert len(told) == len(places)
    for number, (lon, lat) in zip(told, places, strict=True):
        assert number == UNDECIDED or number == true(given_, lon, lat), (lon, lat)


def test_most_places_are_decided() -> None:
    areas_ = [translate(Point(34.7, 0).buffer(0.1), xoff=step * 0.15) for step in range(3)]
    squares, dice = Squares(wkb(*areas_)), random.Random(5)
    lon, lat = [dice.uniform(34.5, 35.2) for _ in range(5_000)], [dice.uniform(-0.15, 0.15) for _ in range(5_000)]
    told = squares.numbers(lon, lat)
    assert told.count(UNDECIDED) < 100
    assert {*told} >= {NOWHERE, 1, 2, 3}


def test_islands_of_one_area_are_one_number() -> None:
    squares = Squares(wkb(MultiPolygon([box(34.1, 0, 34.2, 0.1), box(34.4, 0, 34.5, 0.1)])))
    assert squares.numbers([34.15, 34.3, 34.45], [0.05] * 3) == bytes([1, NOWHERE, 1])


def test_more_areas_than_a_byte_holds_are_refused() -> None:
    one = wkb(box(34, 0, 34.001, 0.001))
    Squares(one * MOST)
    with pytest.raises(ValueError, match="at most 254"):
        Squares(one * (MOST + 1))
