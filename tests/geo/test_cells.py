"""Cells that figures are grouped by, as the database cuts them: squares and hexagons without gaps or overlaps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import pairwise

import psycopg
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.routing import metres
from tests.conftest import County

sizes = st.floats(50, 50_000)
places = st.tuples(st.floats(34.2, 35.4), st.floats(-0.7, 0.2))
anywhere = st.tuples(st.floats(-180, 180), st.floats(-89, 89))


@pytest.fixture(scope="module")
def ask(copies: Callable[[], AbstractContextManager[County]]) -> Iterator[psycopg.Connection]:
    with copies() as county, psycopg.connect(county.owner_url, autocommit=True) as connection:
        yield connection


def cell(ask: psycopg.Connection, kind: str, place: tuple[float, float], size: float) -> tuple[int, shapely.Polygon]:
    (key, outline) = ask.execute(
        f"select key, st_asbinary({kind}_shape(key, %s)) from {kind}_key(st_point(%s, %s, 4326), %s) key",
        (size, *place, size),
    ).fetchone() or (0, b"")
    return key, shapely.from_wkb(bytes(outline))


@pytest.mark.parametrize("kind", ["square", "hexagon"])
@settings(max_examples=80, deadline=None)
@given(place=places | anywhere, size=sizes)
def test_a_place_lies_in_its_cell_and_in_the_cell_of_its_middle(
    ask: psycopg.Connection, kind: str, place: tuple[float, float], size: float
) -> None:
    key, outline = cell(ask, kind, place, size)
    assert outline.is_valid
    assert outline.distance(shapely.Point(place)) < 1e-9
    middle = outline.centroid
    assert cell(ask, kind, (middle.x, middle.y), size)[0] == key


@pytest.mark.parametrize(("kind", "corners"), [("square", 4), ("hexagon", 6)])
@settings(max_examples=40, deadline=None)
@given(place=places, size=sizes)
def test_a_cell_has_the_size_that_was_asked_for(
    ask: psycopg.Connection, kind: str, corners: int, place: tuple[float, float], size: float
) -> None:
    ring = list(cell(ask, kind, place, size)[1].exterior.coords)
    assert len(ring) == corners + 1
    edge = size if kind == "square" else size / math.sqrt(3)
    for one, other in pairwise(ring):
        assert metres(one, other) == pytest.approx(edge, rel=3e-4)


@pytest.mark.parametrize("kind", ["square", "hexagon"])
@settings(max_examples=40, deadline=None)
@given(place=places, size=sizes, bearing=st.floats(0, 2 * math.pi))
def test_cells_side_by_side_meet_and_do_not_overlap(
    ask: psycopg.Connection, kind: str, place: tuple[float, float], size: float, bearing: float
) -> None:
    key, outline = cell(ask, kind, place, size)
    step = size * 1.2 / 111_000
    beside = (outline.centroid.x + step * math.cos(bearing), outline.centroid.y + step * math.sin(bearing))
    other, neighbour = cell(ask, kind, beside, size)
    assert other != key
    assert outline.distance(neighbour) < step
    assert outline.intersection(neighbour).area < outline.area * 1e-6
