"""The synthetic roads: on land, whole, and said to be what they are."""

from __future__ import annotations

import json

import pytest
import shapely
from shapely.geometry import shape

from geo.routing import Road, graph, length, metres, quickest
from hub.county.files import FOLDER, read
from hub.county.roads import read_rows, roads
from hub.settings import PROJECT

METRES = 111_320  # of a degree, here
WARDS = {str(code) for code in range(1186, 1221)}
LAND = shapely.union_all([shape(row["boundary"]) for row in read("area_boundaries") if row["area"] in WARDS])
WATER = shapely.union_all([shape(row["boundary"]) for row in read("waters")])


@pytest.mark.parametrize("road", roads(), ids=lambda road: f"{road.start} - {road.end}")
def test_every_road_lies_in_a_ward_and_never_on_the_lake(road: Road) -> None:
    line = shapely.LineString(road.line)
    assert LAND.covers(line), f"{line.difference(LAND).length * METRES:.0f} m of it lie outside of the wards"
    # Wards are drawn to 100 or 200 m, so that a road closer to the shore than this might be in the water after all.
    assert line.distance(WATER) * METRES > 100


def test_every_road_joins_places_that_stand_where_it_ends() -> None:
    places: dict[str, tuple[float, float]] = {}
    for road in roads():
        for place, position in ((road.start, road.line[0]), (road.end, road.line[-1])):
            assert places.setdefault(place, position) == position, place


def test_every_place_is_reached_from_every_other() -> None:
    network = graph(roads())
    for place in network:
        assert quickest(network, "Kisumu", place).seconds < 2.5 * 3600


def test_places_with_a_landmark_stand_where_the_landmark_does() -> None:
    places = {road.start: road.line[0] for road in roads()} | {road.end: road.line[-1] for road in roads()}
    both = [row for row in read("landmarks") if row["name"] in places]
    assert len(both) > 20
    for row in both:
        apart = metres(places[row["name"]], (float(row["longitude"]), float(row["latitude"])))
        assert apart <= float(row["accuracy_meters"]), row["name"]


def test_a_way_is_about_as_long_as_people_say() -> None:
    # Kisumu to Ahero is about 25 km by road; a bent line through approximate places is not far from it.
    assert 18_000 < length(quickest(graph(roads()), "Kisumu", "Ahero").line) < 28_000


def test_classes_and_speeds_are_plausible() -> None:
    for row in read_rows():
        assert row["class"] in ("trunk", "primary", "secondary", "minor", "street")
        assert 20 <= row["speed_kmh"] <= 80


def test_the_file_says_that_it_is_synthetic_and_names_its_source() -> None:
    note = json.loads((FOLDER / "roads.geojson").read_text())["note"]
    assert note.startswith("Synthetic")
    assert "Not for navigation" in note
    source = next(row for row in read("sources") if row["slug"] == "roads-synthetic")
    assert {row["source"] for row in read_rows()} == {source["slug"]}
    assert source["attribution"] in " ".join((PROJECT / "NOTICE").read_text().split())
