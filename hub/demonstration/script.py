"""What a day is made of, as its author writes it down: trips, calls, silences and captions, each at a time of day."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Trip:
    """A vehicle sets off; it stays where it came to until its next trip."""

    call_sign: str
    at: str
    to: str
    """A place of the vehicle's roads or lanes."""
    by: tuple[str, ...] = ()
    """Places that it passes on purpose; without them it takes the quickest way."""
    call: str | None = None
    """The call to which it is sent."""


@dataclass(frozen=True)
class Then:
    """A step of what a call becomes, so many minutes after it came."""

    minutes: int
    status: str
    note: str | None = None


@dataclass(frozen=True)
class Call:
    """Something happened, and somebody tells the hub. Words are those of the API's `reportIncident`."""

    name: str
    at: str
    kind: str
    title: str
    place: str
    location: tuple[float, float]
    severity: str
    source: str
    description: str
    then: tuple[Then, ...] = ()
    certainty: str = "OBSERVED"
    urgency: str = "IMMEDIATE"


@dataclass(frozen=True)
class Silence:
    """Where a vehicle has no network: what its device measures in this time comes after it, in any order."""

    call_sign: str
    start: str
    end: str


@dataclass(frozen=True)
class Script:
    """A day or a night, from one time of day to another; after midnight hours go on with 24."""

    name: str
    title: str
    start: str
    end: str
    trips: tuple[Trip, ...]
    calls: tuple[Call, ...]
    captions: tuple[tuple[str, str], ...]
    """Times, and the sentence that is said then."""
    silences: tuple[Silence, ...] = ()

    def seconds(self, time: str) -> int:
        """Seconds from the beginning to a time of day, such as `24:40`."""
        return _clock(time) - _clock(self.start)

    def time(self, seconds: float) -> str:
        """The time of day so many seconds after the beginning, as a watch shows it."""
        minutes = (_clock(self.start) + int(seconds)) // 60
        return f"{minutes // 60 % 24:02}:{minutes % 60:02}"


def _clock(time: str) -> int:
    hours, minutes = time.split(":")
    return int(hours) * 3600 + int(minutes) * 60
