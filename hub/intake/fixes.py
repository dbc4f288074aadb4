"""A fix as every protocol says it, and what the hub makes of it: keep, keep with a doubt, put aside, refuse."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from geo.shapes import REGION

AHEAD: Final = timedelta(minutes=5)
"""How far a device's clock may be ahead."""

INACCURATE_METERS: Final = 500.0
TOO_FAST_KMH: Final = 200.0

MOST_EXTRAS: Final = 50
LONGEST_EXTRA: Final = 200

KMH_PER_KNOT: Final = 1.852
KMH_PER_MPS: Final = 3.6


class Unfit(ValueError):
    """A fix that cannot be taken: `field` is what its sender calls the part that is wrong."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class Fix(msgspec.Struct, gc=False):
    """Where a device says it was. Degrees, EPSG:4326; km/h; degrees clockwise from north; metres; charge 0 to 1."""

    longitude: float
    latitude: float
    recorded_at: datetime | None = None
    speed_kmh: float | None = None
    heading: float | None = None
    altitude_meters: float | None = None
    accuracy_meters: float | None = None
    battery: float | None = None
    valid: bool = True
    mock: bool = False
    extra: dict[str, Any] = {}


def doubts(valid: bool, mock: bool, accuracy: float | None, speed: float | None, *, clock: bool = True) -> str | None:
    """Why a fix may be wrong, with commas between; None for no reason. Told by the fix alone: the same one has the same
    doubts whenever it comes."""
    if valid and not mock and accuracy is None and clock and (speed is None or speed <= TOO_FAST_KMH):
        return None
    found = (
        "" if valid else "invalid",
        "mock" if mock else "",
        "inaccurate" if accuracy is not None and accuracy > INACCURATE_METERS else "",
        "too_fast" if speed is not None and speed > TOO_FAST_KMH else "",
        "" if clock else "no_clock",
    )
    return ",".join(filter(None, found)) or None


class Fixes:
    """Many of them, in lists beside each other: thousands come at once, and are looked at and sent on by what they say,
    not one by one."""

    __slots__ = (
        "accuracies", "altitudes", "batteries", "doubts", "extras", "headings", "latitudes", "longitudes", "seconds",
        "speeds",
    )  # fmt: skip

    def __init__(self) -> None:
        self.seconds: list[float] = []
        """Since 1970."""
        self.longitudes: list[float] = []
        self.latitudes: list[float] = []
        self.speeds: list[float | None] = []
        self.headings: list[float | None] = []
        self.altitudes: list[float | None] = []
        self.accuracies: list[float | None] = []
        self.batteries: list[float | None] = []
        self.doubts: list[str | None] = []
        """With commas between them; None for none."""
        self.extras: list[str | None] = []
        """As JSON."""

    @classmethod
    def of(cls, fixes: Iterable[Fix]) -> Fixes:
        made = cls()
        for fix in fixes:
            made.add(fix)
        return made

    def __len__(self) -> int:
        return len(self.seconds)

    def add(self, fix: Fix) -> None:
        """One more. Without a time of its own it was just now."""
        self.seconds.append((fix.recorded_at or datetime.now(UTC)).timestamp())
        self.longitudes.append(fix.longitude)
        self.latitudes.append(fix.latitude)
        self.speeds.append(fix.speed_kmh)
        self.headings.append(fix.heading)
        self.altitudes.append(fix.altitude_meters)
        self.accuracies.append(fix.accuracy_meters)
        self.batteries.append(fix.battery)
        clock = fix.recorded_at is not None
        self.doubts.append(doubts(fix.valid, fix.mock, fix.accuracy_meters, fix.speed_kmh, clock=clock))
        self.extras.append(json.dumps(fix.extra) if fix.extra else None)

    def extend(self, others: Fixes) -> None:
        for name in self.__slots__:
            getattr(self, name).extend(getattr(others, name))

    def part(self, start: int, stop: int) -> Fixes:
        made = Fixes()
        for name in self.__slots__:
            setattr(made, name, getattr(self, name)[start:stop])
        return made

    def at(self, places: Iterable[int]) -> Fixes:
        """Those in these places."""
        made, places = Fixes(), list(places)
        for name in self.__slots__:
            column = getattr(self, name)
            setattr(made, name, [column[place] for place in places])
        return made

    def asides(self, earliest: float, latest: float) -> dict[int, str]:
        """Why fixes cannot be true, which lie between two moments, by their places. Nearly always the least and the
        most of all tell that every one can."""
        west, south, east, north = REGION
        if not self.seconds or (
            earliest <= min(self.seconds)
            and max(self.seconds) <= latest
            and west <= min(self.longitudes)
            and max(self.longitudes) <= east
            and south <= min(self.latitudes)
            and max(self.latitudes) <= north
        ):
            return {}
        found = {}
        for place, (at, lon, lat) in enumerate(zip(self.seconds, self.longitudes, self.latitudes, strict=True)):
            if not (west <= lon <= east and south <= lat <= north):
                found[place] = "far_away"
            elif at > latest:
                found[place] = "future"
            elif at < earliest:
                found[place] = "too_old"
        return found

    def said(self, place: int) -> dict[str, Any]:
        """The one there as JSON, for the quarantine."""
        clock = "no_clock" not in (self.doubts[place] or "")
        return {
            "location": [self.longitudes[place], self.latitudes[place]],
            "recordedAt": datetime.fromtimestamp(self.seconds[place], UTC).isoformat() if clock else None,
            "speedKmh": self.speeds[place],
            "heading": self.headings[place],
            "accuracyMeters": self.accuracies[place],
        }


# -- values, by the names that their senders gave them -----------------------------------------------------------------


def number(value: Any, name: str) -> float:
    """A finite number, also as text. Raises Unfit."""
    if type(value) is float and math.isfinite(value):
        return value  # what nearly all are
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise Unfit(name, "a number is expected")
    try:
        # float() takes `1_000`, and digits of any script.
        if isinstance(value, str) and not (value.isascii() and "_" not in value):
            raise ValueError
        made = float(value)
    except (ValueError, OverflowError):
        raise Unfit(name, f"a number is expected, not {_shown(value)}") from None
    if not math.isfinite(made):
        raise Unfit(name, "a finite number is expected")
    return made


def place(longitude: Any, latitude: Any, names: tuple[str, str]) -> tuple[float, float]:
    """Longitude and latitude, in degrees on this earth. Raises Unfit."""
    lon, lat = number(longitude, names[0]), number(latitude, names[1])
    if not -180 <= lon <= 180:
        raise Unfit(names[0], f"{lon:g} is no longitude: -180 to 180 degrees")
    if not -90 <= lat <= 90:
        raise Unfit(names[1], f"{lat:g} is no latitude: -90 to 90 degrees")
    return lon, lat


def optional(value: Any, name: str, least: float, most: float) -> float | None:
    """A number that may be missing; devices say -1 for what they do not know. Raises Unfit for one over `most`."""
    if value is None or value == "":
        return None
    made = number(value, name)
    if made < least:
        return None
    if made > most:
        raise Unfit(name, f"{made:g} is more than {most:g}")
    return made


def direction(value: Any, name: str) -> float | None:
    """Degrees clockwise from north, under 360."""
    made = optional(value, name, 0, 720)
    return None if made is None else made % 360


def moment(value: Any, name: str) -> datetime | None:
    """Unix seconds, or milliseconds where the number is too large for those; ISO 8601; `2026-03-02 06:00:00` in UTC."""
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str) and ("T" in value or " " in value.strip()):
            made = datetime.fromisoformat(value.strip())
            return made.astimezone(UTC) if made.tzinfo else made.replace(tzinfo=UTC)
        seconds = number(value, name)
        if seconds >= 2**31 - 1:
            seconds /= 1000
        made = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        if isinstance(error, Unfit):
            raise
        raise Unfit(name, "a time is expected: Unix seconds, or 2026-03-02T06:00:00Z") from None
    if made.year < 1970:
        raise Unfit(name, "the time lies before 1970")
    return made


def yes(value: Any, name: str) -> bool:
    """A yes or no, as protocols say it."""
    said = str(value).strip().lower()
    if said in ("true", "1", "yes"):
        return True
    if said in ("false", "0", "no"):
        return False
    raise Unfit(name, "true or false is expected")


def extras(given: dict[str, Any]) -> dict[str, Any]:
    """What else a device said: numbers, yes and no, short texts. Raises Unfit."""
    if len(given) > MOST_EXTRAS:
        raise Unfit(_name(next(iter(given))), f"there are {len(given)} further values; at most {MOST_EXTRAS} are kept")
    kept: dict[str, Any] = {}
    for name, value in given.items():
        shown = _name(name)
        if len(name) > LONGEST_EXTRA or _unstorable(name):
            raise Unfit(shown, "a short name without NUL is expected")
        kept[name] = value
        if isinstance(value, str):
            if len(value) > LONGEST_EXTRA or _unstorable(value):
                raise Unfit(shown, f"a text of at most {LONGEST_EXTRA} letters without NUL is expected")
            kept[name] = _read(value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise Unfit(shown, "a finite number is expected")
        elif value is not None and not isinstance(value, (bool, int, float)):
            raise Unfit(shown, "a number, a text, true or false is expected")
        elif isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 63:
            raise Unfit(shown, "the number has over 63 bits")
    return kept


def _read(text: str) -> Any:
    """A number, else a yes or no, else the text."""
    try:
        return number(text, "")
    except Unfit:
        return {"true": True, "false": False}.get(text.lower(), text)


def _unstorable(text: str) -> bool:
    return "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text)


def _name(name: Any) -> str:
    return _shown(str(name)).strip("'\"")


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
