"""Ways along roads: metres that are true, quickest paths, and drives that obey their own speed."""

from __future__ import annotations

import doctest
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo import routing
from geo.routing import Graph, Moment, NoWay, Path, Position, Road, driven, graph, heading, length, metres, quickest

here = st.tuples(st.floats(34.3, 35.5), st.floats(-0.5, 0.1))


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[Road], list[str]]:
    """Roads between up to eight places, some of which may lie apart from the others."""
    places = {f"place {number}": draw(here) for number in range(draw(st.integers(2, 8)))}
    pairs = st.tuples(st.sampled_from(sorted(places)), st.sampled_from(sorted(places))).filter(lambda p: p[0] != p[1])
    roads = [
        Road(one, other, (places[one], draw(here), places[other]), draw(st.sampled_from([25, 40, 60, 80])))
        for one, other in draw(st.lists(pairs, min_size=1, max_size=14))
    ]
    return roads, sorted({place for road in roads for place in (road.start, road.end)})


def component(roads: Graph, start: str) -> set[str]:
    found, open_ = {start}, [start]
    while open_:
        for road in roads[open_.pop()]:
            if road.end not in found:
                found.add(road.end)
                open_.append(road.end)
    return found


def seconds(roads: Graph, start: str, end: str) -> float:
    try:
        return quickest(roads, start, end).seconds
    except NoWay:
        return math.inf


def geodesic(one: Position, other: Position) -> float:
    """Vincenty's inverse solution on WGS 84, in metres: exact to a millimetre where it converges."""
    major, flattening = 6_378_137.0, 1 / 298.257223563
    minor = major * (1 - flattening)
    sides = [math.atan((1 - flattening) * math.tan(math.radians(position[1]))) for position in (one, other)]
    (sin1, sin2), (cos1, cos2) = map(math.sin, sides), map(math.cos, sides)
    apart = lambda_ = math.radians(other[0] - one[0])
    for _ in range(100):
        sine = math.hypot(cos2 * math.sin(lambda_), cos1 * sin2 - sin1 * cos2 * math.cos(lambda_))
        if sine == 0:
            return 0.0
        cosine = sin1 * sin2 + cos1 * cos2 * math.cos(lambda_)
        sigma = math.atan2(sine, cosine)
        alpha = cos1 * cos2 * math.sin(lambda_) / sine
        square = 1 - alpha**2
        middle = cosine - 2 * sin1 * sin2 / square if square > 1e-12 else 0.0
        c = flattening / 16 * square * (4 + flattening * (4 - 3 * square))
        before = lambda_
        turned = sigma + c * sine * (middle + c * cosine * (2 * middle**2 - 1))
        lambda_ = apart + (1 - c) * flattening * alpha * turned
        if abs(lambda_ - before) < 1e-13:
            break
    u = square * (major**2 - minor**2) / minor**2
    a = 1 + u / 16384 * (4096 + u * (u * (320 - 175 * u) - 768))
    b = u / 1024 * (256 + u * (u * (74 - 47 * u) - 128))
    inner = cosine * (2 * middle**2 - 1) - b / 6 * middle * (4 * sine**2 - 3) * (4 * middle**2 - 3)
    return minor * a * (sigma - b * sine * (middle + b / 4 * inner))


def test_the_examples_hold() -> None:
    assert doctest.testmod(routing).failed == 0


# -- metres ------------------------------------------------------------------------------------------------------------


@given(here, here)
def test_metres_are_those_of_the_geodesic(one: Position, other: Position) -> None:
    assert metres(one, other) == pytest.approx(geodesic(one, other), rel=1e-4, abs=0.01)


@given(here, here)
def test_there_is_as_far_as_back_and_the_other_way_round(one: Position, other: Position) -> None:
    assert metres(one, other) == metres(other, one)
    assert 0 <= heading(one, other) < 360
    if metres(one, other) > 1:
        turn = (heading(one, other) - heading(other, one)) % 360
        assert turn == pytest.approx(180)


# -- quickest ----------------------------------------------------------------------------------------------------------


@given(networks(), st.data())
def test_a_path_exists_where_roads_lead_and_nowhere_else(
    network: tuple[list[Road], list[str]], data: st.DataObject
) -> None:
    roads, places = graph(network[0]), network[1]
    start, end = data.draw(st.sampled_from(places)), data.draw(st.sampled_from(places))
    if end not in component(roads, start):
        with pytest.raises(NoWay, match="no road leads from"):
            quickest(roads, start, end)
        return
    path = quickest(roads, start, end)
    stops = [start, *(road.end for road in path.roads)]
    assert stops[-1] == end
    assert len(set(stops)) == len(stops), "no place is passed twice"
    assert all(one.end == other.start and one.line[-1] == other.line[0] for one, other in pairwise(path.roads))


@given(networks(), st.data())
def test_the_way_back_takes_as_long(network: tuple[list[Road], list[str]], data: st.DataObject) -> None:
    roads, places = graph(network[0]), network[1]
    start, end = data.draw(st.sampled_from(places)), data.draw(st.sampled_from(places))
    assert seconds(roads, start, end) == pytest.approx(seconds(roads, end, start))


@given(networks(), st.data())
def test_no_detour_is_quicker(network: tuple[list[Road], list[str]], data: st.DataObject) -> None:
    roads, places = graph(network[0]), network[1]
    one, two, three = (data.draw(st.sampled_from(places)) for _ in range(3))
    assert seconds(roads, one, three) <= seconds(roads, one, two) + seconds(roads, two, three) + 1e-6


def test_the_quicker_way_is_taken_not_the_shorter() -> None:
    a, b, c = (34.0, 0.0), (34.1, 0.0), (34.05, 0.03)
    slow = Road("a", "b", (a, b), 20)
    quick = [Road("a", "c", (a, c), 80), Road("c", "b", (c, b), 80)]
    assert [road.end for road in quickest(graph([slow, *quick]), "a", "b").roads] == ["c", "b"]


def test_an_unknown_place_is_named() -> None:
    with pytest.raises(NoWay, match="Atlantis is no place of these roads"):
        quickest(graph([Road("a", "b", ((34, 0), (34.1, 0)), 50)]), "a", "Atlantis")


# -- driven ------------------------------------------------------------------------------------------------------------


@given(networks(), st.data(), st.sampled_from([20.0, 50.0, math.inf]), st.sampled_from([1.0, 10.0, 60.0]))
def test_a_drive_goes_from_rest_to_rest_within_its_speed(
    network: tuple[list[Road], list[str]], data: st.DataObject, top: float, every: float
) -> None:
    roads, places = graph(network[0]), network[1]
    start = data.draw(st.sampled_from(places))
    path = quickest(roads, start, data.draw(st.sampled_from(sorted(component(roads, start)))))
    moments = list(driven(path, top, every=every))
    if all(metres(path.line[0], place) < 0.001 for place in path.line):
        assert moments == []
        return
    assert moments[0][:3] == (0.0, *path.line[0])
    assert moments[-1][1:3] == pytest.approx(path.line[-1])
    assert moments[0].speed_kmh == moments[-1].speed_kmh == 0
    limit = min(top, max(road.speed_kmh for road in path.roads))
    assert all(-1e-6 <= moment.speed_kmh <= limit + 1e-6 for moment in moments)
    for one, other in pairwise(moments):
        assert 0 < other.seconds - one.seconds <= every + 1e-6
        # In a straight line at most as far as the limit allows; a centimetre for rounding.
        assert metres(one[1:3], other[1:3]) <= limit / 3.6 * (other.seconds - one.seconds) + 0.01
    assert moments[-1].seconds >= length(path.line) / (limit / 3.6) - 1e-6


def test_speed_grows_and_falls_as_told() -> None:
    path = Path((Road("a", "b", ((34.0, 0.0), (34.02, 0.0)), 72),))
    moments = list(driven(path, every=1, acceleration=1))
    assert [round(moment.speed_kmh / 3.6) for moment in moments[:5]] == [0, 1, 2, 3, 4]
    assert max(moment.speed_kmh for moment in moments) == pytest.approx(72)
    # The road's 2,226 m at 20 m/s, and ten seconds more at each end.
    assert moments[-1].seconds == pytest.approx(2226.4 / 20 + 20, abs=0.1)
    assert {moment.heading for moment in moments} == {90.0}


def test_a_slower_road_is_entered_at_its_speed() -> None:
    path = Path((Road("a", "b", ((34.0, 0), (34.02, 0)), 80), Road("b", "c", ((34.02, 0), (34.04, 0)), 30)))
    beyond = [moment for moment in driven(path, every=1) if moment.longitude >= 34.02]
    assert beyond
    assert all(moment.speed_kmh <= 30 + 1e-6 for moment in beyond)


def test_a_drive_without_roads_is_none() -> None:
    assert list(driven(Path(()))) == []
    assert list(driven(Path((Road("a", "b", ((34.0, 0.0), (34.0, 0.0)), 50),)))) == []


@pytest.mark.parametrize("one", [34.3, 34.300000000000004])
def test_points_that_rounding_alone_parts_are_one(one: float) -> None:
    other = 34.3 + 34.300000000000004 - one
    assert list(driven(Path((Road("a", "b", ((one, 0.0), (other, 0.0)), 25),)))) == []
    line = ((34.2999, 0.0), (one, 0.0), (other, 0.0), (34.3001, 0.0))
    moments = list(driven(Path((Road("a", "b", line, 25),)), every=1))
    assert moments[0][1:3] == line[0]
    assert moments[-1][1:3] == line[-1]
    assert max(moment.speed_kmh for moment in moments) > 10


def test_a_moment_says_where_and_how_fast() -> None:
    assert Moment._fields == ("seconds", "longitude", "latitude", "speed_kmh", "heading")
