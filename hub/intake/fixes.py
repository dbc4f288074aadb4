"""A fix as every protocol says it, and what the hub makes of it: keep, keep with a doubt, put aside, refuse."""

from __future__ import annotations

import math
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
    """Where a device says it was. Degrees, EPSG:4326; km/h; degrees clockwise from north; metres; charge 0 to 1.

    Thousands come at once and nothing in one leads back to it: the garbage collector need not look at them.
    """

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

    def doubts(self) -> list[str]:
        """Why it may be wrong, told by the fix alone: the same fix has the same doubts whenever it comes."""
        if self.valid and not self.mock and self.accuracy_meters is None and self.recorded_at is not None:
            return ["too_fast"] if self.speed_kmh is not None and self.speed_kmh > TOO_FAST_KMH else []
        return [
            doubt
            for doubt, holds in (
                ("invalid", not self.valid),
                ("mock", self.mock),
                ("inaccurate", self.accuracy_meters is not None and self.accuracy_meters > INACCURATE_METERS),
                ("too_fast", self.speed_kmh is not None and self.speed_kmh > TOO_FAST_KMH),
                ("no_clock", self.recorded_at is None),
            )
            if holds
        ]

    def aside(self, earliest: datetime, latest: datetime) -> str | None:
        """Why it cannot be true, which lies between two moments; None for one that can."""
        west, south, east, north = REGION
        if not (west <= self.longitude <= east and south <= self.latitude <= north):
            return "far_away"
        if self.recorded_at is not None and self.recorded_at > latest:
            return "future"
        if self.recorded_at is not None and self.recorded_at < earliest:
            return "too_old"
        return None

    def said(self) -> dict[str, Any]:
        """As JSON, for the quarantine."""
        return {
            "location": [self.longitude, self.latitude],
            "recordedAt": self.recorded_at.isoformat() if self.recorded_at else None,
            "speedKmh": self.speed_kmh,
            "heading": self.heading,
            "accuracyMeters": self.accuracy_meters,
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
