"""The scripts of the demonstration: the same every time, in the county, and true to what they say of themselves."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import pytest
import shapely
from shapely.geometry import shape

from geo.routing import length, metres
from hub.county.files import read
from hub.demonstration.county import CAST, DEPARTMENTS, LANES, TOP_KMH, called, ways
from hub.demonstration.days import (
    NOBODY,
    SCRIPTS,
    Caption,
    Event,
    Fix,
    Report,
    Step,
    events_of,
    flood_night,
    ordinary_day,
)
from schema.incidents import (
    Certainty,
    ChangeIncidentStatusInput,
    IncidentKind,
    IncidentSource,
    IncidentStatus,
    ReportIncidentInput,
    Severity,
    Urgency,
)

METRES = 111_320  # of a degree, here
LAND = shapely.union_all(
    [shape(row["boundary"]) for row in read("area_boundaries") if 1186 <= int(row["area"]) <= 1220]
)
WATER = shapely.union_all([shape(row["boundary"]) for row in read("waters")])
BOATS = {vehicle.plate for vehicle in CAST if vehicle.kind == "rescue_boat"}
TIBA_3 = called("Tiba 3").plate

EVENTS = {(name, seed): events_of(script, seed) for name, script in SCRIPTS.items() for seed in (1, 2, 77)}
played = pytest.mark.parametrize(
    ("script", "events"), [(SCRIPTS[n], e) for (n, _), e in EVENTS.items()], ids=map(str, EVENTS)
)
NIGHT = EVENTS["flood-night", 1]


def fixes(events: list[Event], plate: str | None = None) -> list[Fix]:
    return [event for event in events if isinstance(event, Fix) and plate in (None, event.vehicle)]


# -- the cast ----------------------------------------------------------------------------------------------------------


def test_the_cast_is_obviously_made_up() -> None:
    assert len(CAST) == 24
    assert [vehicle.plate for vehicle in CAST] == [f"DEMO {number:03}" for number in range(1, 25)]
    assert len({vehicle.call_sign for vehicle in CAST}) == 24


def test_the_cast_stands_where_roads_or_lanes_are() -> None:
    assert {vehicle.kind for vehicle in CAST} == set(TOP_KMH)
    assert {vehicle.department for vehicle in CAST} == set(DEPARTMENTS)
    assert all(vehicle.base in ways(vehicle.way) for vehicle in CAST)


def test_lanes_lie_on_the_lake() -> None:
    for lane in LANES:
        line = shapely.LineString(lane.line)
        assert WATER.covers(line), f"{lane.start} - {lane.end}"
        assert line.distance(LAND) * METRES > 100


# -- every script ------------------------------------------------------------------------------------------------------


def test_the_same_seed_is_the_same_day_and_another_one_is_not() -> None:
    assert flood_night(1) == NIGHT
    assert flood_night(2) != NIGHT
    assert ordinary_day(7) == ordinary_day(7) != ordinary_day(8)


@played
def test_a_seed_moves_a_day_and_does_not_rewrite_it(script, events) -> None:
    told = [event.text for event in events if isinstance(event, Caption)]
    assert told == [event.text for event in EVENTS[script.name, 1] if isinstance(event, Caption)]
    first = {event.name: event.at_seconds for event in EVENTS[script.name, 1] if isinstance(event, Report)}
    for event in events:
        if isinstance(event, Report):
            assert abs(event.at_seconds - first[event.name]) <= 20


@played
def test_events_come_in_the_order_in_which_they_are_sent(script, events) -> None:
    assert all(one.sent_at_seconds <= other.sent_at_seconds for one, other in pairwise(events))
    assert all(0 <= fix.at_seconds < fix.sent_at_seconds for fix in fixes(events))
    assert max(fix.at_seconds for fix in fixes(events)) <= script.seconds(script.end)


@played
def test_every_vehicle_is_on_land_and_every_boat_on_the_lake(script, events) -> None:
    for plates, ground in (({v.plate for v in CAST} - BOATS, LAND), (BOATS, WATER)):
        points = shapely.points([(fix.lon, fix.lat) for fix in fixes(events) if fix.vehicle in plates])
        assert len(points) > 50
        assert shapely.contains(ground, points).all()


@played
def test_every_vehicle_is_seen_all_the_time(script, events) -> None:
    for vehicle in CAST:
        times = sorted({fix.at_seconds for fix in fixes(events, vehicle.plate)})
        assert times[0] <= 20
        assert max(other - one for one, other in pairwise([*times, script.seconds(script.end)])) <= 400


@played
def test_nobody_drives_faster_than_they_can(script, events) -> None:
    for vehicle in CAST:
        top = TOP_KMH[vehicle.kind]
        driven = sorted(fixes(events, vehicle.plate), key=lambda fix: fix.at_seconds)
        for one, other in pairwise(driven):
            assert 0 <= one.speed <= top
            # Every fix is off by some metres, on both sides.
            assert (
                metres((one.lon, one.lat), (other.lon, other.lat))
                <= top / 3.6 * (other.at_seconds - one.at_seconds) + 40
            )


@played
def test_what_a_device_says_is_what_devices_say(script, events) -> None:
    for fix in fixes(events):
        assert 0 <= fix.heading < 360
        assert 1 <= fix.accuracy <= 50
        assert 0 < fix.battery <= 100


@played
def test_some_positions_are_sent_twice(script, events) -> None:
    sent = Counter((fix.vehicle, fix.at_seconds) for fix in fixes(events))
    assert set(sent.values()) == {1, 2}
    assert 0.005 < sum(count == 2 for count in sent.values()) / len(sent) < 0.05
    twice = [fix for fix in fixes(events) if sent[fix.vehicle, fix.at_seconds] == 2]
    assert len({(fix.vehicle, fix.at_seconds, fix.lon, fix.lat, fix.speed) for fix in twice}) == len(twice) / 2


@played
def test_every_report_lies_in_the_county_and_says_that_it_is_none(script, events) -> None:
    for report in (event for event in events if isinstance(event, Report)):
        point = shapely.Point(report.input["location"])
        assert LAND.contains(point) or WATER.contains(point), report.name
        assert report.input["title"].startswith("DEMO: ")
        assert report.input["description"].endswith(NOBODY)


@played
def test_reports_and_steps_are_words_of_the_api(script, events) -> None:
    for event in events:
        if isinstance(event, Report | Step):
            kind = ReportIncidentInput if isinstance(event, Report) else ChangeIncidentStatusInput
            known = {re.sub(r"_(\w)", lambda found: found[1].upper(), name) for name in kind.__annotations__}
            assert set(event.input) <= known
        if isinstance(event, Report):
            said = event.input
            for name, words in (
                ("kind", IncidentKind),
                ("severity", Severity),
                ("certainty", Certainty),
                ("urgency", Urgency),
                ("source", IncidentSource),
            ):
                assert said[name] in words.__members__
            assert 3 <= len(said["title"]) <= 200
        elif isinstance(event, Step):
            assert event.input["status"] in IncidentStatus.__members__


@played
def test_steps_follow_each_other_as_the_state_machine_has_them(script, events) -> None:
    allowed = {
        "REPORTED": {"VERIFIED", "REJECTED"},
        "VERIFIED": {"RESPONDING"},
        "RESPONDING": {"CONTAINED"},
        "CONTAINED": {"CLOSED"},
    }
    stands: dict[str, str] = {}
    for event in events:
        if isinstance(event, Report):
            stands[event.name] = "REPORTED"
        elif isinstance(event, Step):
            assert event.input["status"] in allowed[stands[event.report]], event
            assert event.input["note"] or event.input["status"] != "REJECTED"
            stands[event.report] = event.input["status"]
    assert set(stands.values()) <= {"CONTAINED", "CLOSED", "REJECTED"}, "the script ends every call"


@played
def test_keys_of_reports_and_steps_are_their_own(script, events) -> None:
    keys = [event.input["clientMutationId"] for event in events if isinstance(event, Report | Step)]
    assert len(set(keys)) == len(keys)
    assert all(1 <= len(key) <= 200 for key in keys)


@played
def test_who_is_sent_arrives_before_it_is_over(script, events) -> None:
    over = {e.report: e.at_seconds for e in events if isinstance(e, Step) and e.input["status"] == "CONTAINED"}
    for trip in script.trips:
        if trip.call is None:
            continue
        call = next(call for call in script.calls if call.name == trip.call)
        assert script.seconds(trip.at) >= script.seconds(call.at), f"{trip} sets off before the call"
        there = [
            fix.at_seconds
            for fix in fixes(events, called(trip.call_sign).plate)
            if fix.at_seconds >= script.seconds(trip.at) and metres((fix.lon, fix.lat), call.location) < 2500
        ]
        assert there, trip
        assert min(there) < over[call.name], trip


@played
def test_captions_are_a_sentence_with_its_time(script, events) -> None:
    captions = [event for event in events if isinstance(event, Caption)]
    assert captions[0].at_seconds == 0
    for caption in captions:
        assert re.fullmatch(r"\d\d:\d\d [A-Z][^.!?]*\.", caption.text), caption.text
        assert caption.text.startswith(script.time(caption.at_seconds))


@played
def test_vehicles_named_in_captions_and_calls_exist(script, events) -> None:
    text = " ".join([*(text for _, text in script.captions), *(t.note or "" for c in script.calls for t in c.then)])
    signs = {vehicle.call_sign for vehicle in CAST}
    assert set(re.findall(r"\b[A-Z][a-z]+ \d\b", text)) <= signs
    assert {trip.call_sign for trip in script.trips} <= signs


# -- the flood night ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 77])
def test_tiba_3_falls_silent_for_twenty_minutes_and_sends_them_late_and_shuffled(seed: int) -> None:
    events = EVENTS["flood-night", seed]
    begins, over = SCRIPTS["flood-night"].seconds("20:55"), SCRIPTS["flood-night"].seconds("21:15")
    assert over - begins == 1200
    sent = [fix.sent_at_seconds for fix in fixes(events, TIBA_3)]
    assert not any(begins + 2 < at < over for at in sent), "nothing is sent from there"
    assert any(begins - 300 < at <= begins + 2 for at in sent)

    late = [fix for fix in fixes(events, TIBA_3) if begins <= fix.at_seconds < over]
    assert len(late) > 30
    assert all(over <= fix.sent_at_seconds < over + 70 for fix in late)
    times = [fix.at_seconds for fix in late]
    assert times != sorted(times), "they come in disorder"
    assert length((fix.lon, fix.lat) for fix in sorted(late, key=lambda fix: fix.at_seconds)) > 5_000, "it drove on"
    # Others are heard of all the while.
    assert all(
        any(begins < fix.sent_at_seconds < over for fix in fixes(events, v.plate)) for v in CAST if v.plate != TIBA_3
    )


def test_nothing_else_comes_late() -> None:
    for fix in fixes(NIGHT):
        if fix.sent_at_seconds - fix.at_seconds > 15:
            assert fix.vehicle == TIBA_3


def test_the_night_has_the_kinds_that_it_is_about() -> None:
    kinds = Counter(event.input["kind"] for event in NIGHT if isinstance(event, Report))
    assert {"FLOOD", "BLOCKED_ROAD", "MEDICAL", "MISSING_PERSON", "BOAT_ACCIDENT"} <= set(kinds)
    assert kinds["FLOOD"] >= 4
    done = {event.input["status"] for event in NIGHT if isinstance(event, Step)}
    assert done == {"VERIFIED", "RESPONDING", "CONTAINED", "REJECTED"}


def test_after_midnight_a_watch_begins_anew() -> None:
    night = SCRIPTS["flood-night"]
    assert night.seconds("24:40") == (5 * 60 + 40) * 60
    assert night.time(night.seconds("24:40")) == "00:40"
