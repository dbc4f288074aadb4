"""Scripts as what happens in them: positions, calls, steps and captions, in the order in which a hub gets to know them.

Pure: the same script and seed are the same events. Times are seconds after the script's beginning; a position that was
measured where there is no network is sent later, and some are sent twice, as devices do that missed an answer.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final

from geo.routing import Path, Position, driven, quickest
from hub.demonstration import flood_night as _flood_night
from hub.demonstration import ordinary_day as _ordinary_day
from hub.demonstration.county import CAST, TOP_KMH, Vehicle, ways
from hub.demonstration.script import Call, Script

EVERY: Final = 30.0
"""Seconds between the positions of a vehicle that drives."""

STANDING_EVERY: Final = 300.0
"""Seconds between the positions of one that stands."""

NOBODY: Final = "Demonstration: nothing of this happened."
"""Ends every description, so that nobody is sent to what is none."""

_LATEST_START: Final = 45.0
_SCATTER: Final = 3.0  # metres by which a fix is off, as a rule
_TWICE: Final = 0.02
_METRES_PER_DEGREE: Final = 111_000.0


@dataclass(frozen=True)
class Fix:
    """Where a vehicle's device was, and when it says so."""

    at_seconds: float
    vehicle: str
    """Its plate."""
    lon: float
    lat: float
    speed: float
    """Over ground, km/h."""
    heading: float
    """Degrees clockwise from north."""
    accuracy: float
    """Metres."""
    battery: float
    """Per cent."""
    sent_at_seconds: float


@dataclass(frozen=True)
class Report:
    """A call that somebody writes into the hub: the input of `reportIncident`."""

    at_seconds: float
    name: str
    input: Mapping[str, Any]

    @property
    def sent_at_seconds(self) -> float:
        """Written when it comes."""
        return self.at_seconds


@dataclass(frozen=True)
class Step:
    """What a report becomes: the input of `changeIncidentStatus`, but for the incident's id, which the hub gives."""

    at_seconds: float
    report: str
    """The report's name."""
    input: Mapping[str, Any]

    @property
    def sent_at_seconds(self) -> float:
        """Written when it is done."""
        return self.at_seconds


@dataclass(frozen=True)
class Caption:
    """A sentence for those who watch, with its time of day."""

    at_seconds: float
    text: str

    @property
    def sent_at_seconds(self) -> float:
        """Said at its time."""
        return self.at_seconds


Event = Fix | Report | Step | Caption

SCRIPTS: Final[Mapping[str, Script]] = MappingProxyType(
    {script.name: script for script in (_flood_night.SCRIPT, _ordinary_day.SCRIPT)}
)


def flood_night(seed: int) -> list[Event]:
    """The night in which the Nyando rises, 19:00 to 1:00."""
    return events_of(_flood_night.SCRIPT, seed)


def ordinary_day(seed: int) -> list[Event]:
    """A day like others, 6:00 to 18:00."""
    return events_of(_ordinary_day.SCRIPT, seed)


def events_of(script: Script, seed: int) -> list[Event]:
    """All that happens in a script, by the time at which the hub is told; the seed moves it by seconds and metres."""
    events: list[Event] = [
        Caption(script.seconds(at), f"{script.time(script.seconds(at))} {text}") for at, text in script.captions
    ]
    for call in script.calls:
        events += _called(script, call, seed)
    for vehicle in CAST:
        events += _fixes(script, vehicle, seed)
    return sorted(events, key=lambda event: event.sent_at_seconds)


def _chance(script: Script, seed: int, whose: str) -> random.Random:
    """Chance of one's own, so that a trip more for one vehicle changes nothing for the others."""
    return random.Random(f"{script.name} {seed} {whose}")  # noqa: S311  nothing secret hangs on it


def _called(script: Script, call: Call, seed: int) -> Iterator[Report | Step]:
    at = script.seconds(call.at) + _chance(script, seed, call.name).uniform(0, 20)
    key = f"demonstration {script.name} {seed} {call.name}"
    yield Report(
        at,
        call.name,
        {
            "kind": call.kind,
            "title": f"DEMO: {call.title}",
            "place": call.place,
            "location": list(call.location),
            "severity": call.severity,
            "certainty": call.certainty,
            "urgency": call.urgency,
            "source": call.source,
            "description": f"{call.description} {NOBODY}",
            # No time of its own: sent again the input is the same, so that the hub knows it again.
            "clientMutationId": key,
        },
    )
    for then in call.then:
        yield Step(
            at + then.minutes * 60,
            call.name,
            {"status": then.status, "note": then.note, "clientMutationId": f"{key} {then.minutes} {then.status}"},
        )


def _fixes(script: Script, vehicle: Vehicle, seed: int) -> list[Fix]:
    """Everything that a vehicle's device measures and sends, in no order."""
    chance = _chance(script, seed, vehicle.plate)
    ends = script.seconds(script.end)
    silences = [
        (script.seconds(silence.start), script.seconds(silence.end))
        for silence in script.silences
        if silence.call_sign == vehicle.call_sign
    ]
    charge = chance.uniform(72, 100)
    fixes: list[Fix] = []
    for at, position, speed, facing in _whereabouts(script, vehicle, chance):
        if at > ends:
            break
        lon, lat = (part + chance.gauss(0, _SCATTER) / _METRES_PER_DEGREE for part in position)
        sent = at + chance.uniform(0.3, 2.0)
        for begins, over in silences:
            if begins <= at < over:
                sent = over + chance.uniform(1, 60)
        fix = Fix(
            at_seconds=round(at, 1),
            vehicle=vehicle.plate,
            lon=round(lon, 6),
            lat=round(lat, 6),
            speed=round(speed, 1),
            heading=round(facing % 360, 1) % 360,
            accuracy=round(chance.uniform(4, 15), 1),
            battery=round(max(5.0, charge - at / 3600 * 4), 1),
            sent_at_seconds=round(sent, 1),
        )
        fixes.append(fix)
        if chance.random() < _TWICE:
            fixes.append(Fix(**{**vars(fix), "sent_at_seconds": round(sent + chance.uniform(2, 8), 1)}))
    return fixes


def _whereabouts(
    script: Script, vehicle: Vehicle, chance: random.Random
) -> Iterator[tuple[float, Position, float, float]]:
    """Time, place, speed and heading of a vehicle from the beginning on, standing and driving, without end."""
    place, facing = vehicle.base, round(chance.uniform(0, 359))
    network = ways(vehicle.way)
    position = network[place][0].line[0]
    at = chance.uniform(0, 20)
    for trip in (trip for trip in script.trips if trip.call_sign == vehicle.call_sign):
        # Nobody sets off to the second, and never before the way there is over.
        leaves = max(script.seconds(trip.at) + chance.uniform(0, _LATEST_START), at)
        while at < leaves - EVERY:
            yield at, position, 0.0, facing
            at += STANDING_EVERY
        for moment in driven(_way(vehicle, place, *trip.by, trip.to), TOP_KMH[vehicle.kind], every=EVERY):
            at = leaves + moment.seconds
            position, facing = (moment.longitude, moment.latitude), round(moment.heading)
            yield at, position, moment.speed_kmh, moment.heading
        place = trip.to
        at += STANDING_EVERY / 5
    while at < math.inf:
        yield at, position, 0.0, facing
        at += STANDING_EVERY


def _way(vehicle: Vehicle, *places: str) -> Path:
    network = ways(vehicle.way)
    legs = [quickest(network, one, other) for one, other in pairwise(places)]
    return Path(tuple(road for leg in legs for road in leg.roads))
