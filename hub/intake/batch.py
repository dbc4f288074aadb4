"""Many fixes at once: a line of JSON each (NDJSON), or a GeoJSON FeatureCollection of points; gzip, if one likes.

    {"recordedAt": "2026-03-02T06:00:00Z", "location": [34.7617, -0.0917], "speedKmh": 42, "heading": 180}

A gateway that sends for several devices says each row's `key`. What is wrong with a row is told by its number, and
takes no other row along.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from hub.intake.fixes import (
    Fix,
    Fixes,
    Unfit,
    direction,
    doubts,
    extras,
    moment,
    optional,
    place,
    yes,
)
from hub.intake.osmand import strict_json

LONGEST_LINE = 64 * 1024
HIGHEST_RATIO = 100
"""How many times larger than it came a body may become, once it is over a MiB."""

_MEMBERS = frozenset(
    {
        "recordedAt", "location", "speedKmh", "heading", "altitudeMeters", "accuracyMeters", "battery", "valid", "mock",
        "key",
    }
)  # fmt: skip


class TooLarge(ValueError):
    """The body is, or becomes, too large."""


async def inflated(pieces: AsyncIterator[bytes], *, gzip: bool, most: int) -> AsyncIterator[bytes]:
    """The body in pieces of at most 64 KiB, as it comes. Raises TooLarge for what would fill the memory, and Unfit for
    what is no gzip."""
    reader = zlib.decompressobj(wbits=31) if gzip else None
    came = made = 0
    async for piece in pieces:
        came += len(piece)
        if reader is None:
            made += len(piece)
            if made > most:
                raise TooLarge(f"the batch is over {most:,} bytes")
            yield piece
            continue
        if reader.eof and piece:
            raise Unfit("body", "something comes after the end of the gzip: send one member")
        rest = piece
        while rest:
            try:
                whole = reader.decompress(rest, LONGEST_LINE)
            except zlib.error:
                raise Unfit("body", "it is no gzip, or a broken one") from None
            rest = reader.unconsumed_tail
            made += len(whole)
            if made > most:
                raise TooLarge(f"the batch is over {most:,} bytes when it is inflated")
            if made > 1024 * 1024 and made > HIGHEST_RATIO * came:
                raise TooLarge(f"the batch grows over {HIGHEST_RATIO} times when it is inflated")
            if whole:
                yield whole
            if reader.eof:
                if reader.unused_data:
                    raise Unfit("body", "something comes after the end of the gzip: send one member")
                break
    if reader is not None and not reader.eof:
        raise Unfit("body", "the gzip ends before its end")


def lines(body: bytes, piece: int) -> Iterator[tuple[int, bytes]]:
    """Whole lines, in pieces of about so many bytes, with the number of each piece's first, from 1. Raises TooLarge for
    an endless one."""
    number, at = 1, 0
    while at < len(body):
        end = body.find(b"\n", at + piece)
        end = len(body) if end < 0 else end
        text = body[at:end]
        yield number, text
        number += text.count(b"\n") + 1
        at = end + 1


def check(body: bytes, most: int) -> None:
    """Raises TooLarge for more than so many lines that are not blank, and for an endless one."""
    few = body.count(b"\n") < most  # so few that none needs to be blank
    at, number, rows = 0, 1, 0
    while at < len(body):
        # However many lines end within so many bytes, none of them is too long.
        end = body.rfind(b"\n", at, at + LONGEST_LINE + 1)
        if end < 0 and len(body) - at > LONGEST_LINE:
            raise TooLarge(f"line {number} is over {LONGEST_LINE:,} bytes")
        end = len(body) if end < 0 else end
        text = body[at:end]
        number, at = number + text.count(b"\n") + 1, end + 1
        rows += 0 if few else sum(bool(line) and not line.isspace() for line in text.split(b"\n"))
        if rows > most:
            raise TooLarge(f"the batch has over {most:,} rows: send several")


class _Plain(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """What nearly every row is, with values as they should be: whatever is otherwise is looked at closely."""

    recorded_at: str
    location: tuple[Annotated[float, Meta(ge=-180, le=180)], Annotated[float, Meta(ge=-90, le=90)]]
    speed_kmh: Annotated[float, Meta(ge=0, le=10_000)] | None = None
    heading: Annotated[float, Meta(ge=0, lt=360)] | None = None
    altitude_meters: Annotated[float, Meta(ge=-500, le=100_000)] | None = None
    accuracy_meters: Annotated[float, Meta(ge=0, le=1e7)] | None = None
    battery: Annotated[float, Meta(ge=0, le=1)] | None = None
    valid: bool = True
    mock: bool = False
    key: str | None = None


_EPOCH, _END_OF_TIME = datetime.fromtimestamp(0, UTC), datetime.max.replace(tzinfo=UTC).timestamp()
_decoder = msgspec.json.Decoder(_Plain)
_plain_line, _plain_lines = _decoder.decode, _decoder.decode_lines


def plain(text: bytes) -> tuple[list[str | None], Fixes] | None:
    """The keys and fixes of lines that are all plain, at a fifth of what it takes to read each by itself; None where
    not all of them are."""
    newlines = text.count(b"\n")
    # Nothing but ends of rows where lines end: then no row goes over two lines, and each line is one where their
    # numbers are equal.
    if text.count(b"}\n{") != newlines:
        return None
    made = Fixes()
    try:
        rows = _plain_lines(text)
        times = [row.recorded_at for row in rows]
        if len(rows) != newlines + 1 or "".join(times).count("T") != len(rows):
            return None
        # A time without an offset has no difference to one with.
        made.seconds = [(datetime.fromisoformat(time) - _EPOCH).total_seconds() for time in times]
    except (ValueError, TypeError, OverflowError):
        return None
    if min(made.seconds) < 0 or max(made.seconds) >= _END_OF_TIME:
        return None
    made.longitudes = [row.location[0] for row in rows]
    made.latitudes = [row.location[1] for row in rows]
    made.speeds = [row.speed_kmh for row in rows]
    made.headings = [row.heading for row in rows]
    made.altitudes = [row.altitude_meters for row in rows]
    made.accuracies = [row.accuracy_meters for row in rows]
    made.batteries = [row.battery for row in rows]
    made.doubts = [doubts(row.valid, row.mock, row.accuracy_meters, row.speed_kmh) for row in rows]
    made.extras = [None] * len(rows)
    return [row.key for row in rows], made


def _quickly(row: _Plain) -> tuple[str | None, Fix] | None:
    """The fix of a plain row; None where its time is not plain."""
    try:
        at = datetime.fromisoformat(row.recorded_at)
        if "T" not in row.recorded_at or at.tzinfo is None or at.year < 1970:
            return None
        lon, lat = row.location
        return row.key, Fix(
            lon,
            lat,
            at if at.tzinfo is UTC else at.astimezone(UTC),
            row.speed_kmh,
            row.heading,
            row.altitude_meters,
            row.accuracy_meters,
            row.battery,
            row.valid,
            row.mock,
        )
    except (ValueError, OverflowError):
        return None


def from_line(line: bytes) -> tuple[str | None, Fix]:
    """A row's key, where it says one, and its fix. Raises Unfit."""
    try:
        made = _quickly(_plain_line(line))
    except ValueError:
        made = None
    return _closely(strict_json(line)) if made is None else made


def from_row(row: Any) -> tuple[str | None, Fix]:
    """The same of a row that was read already."""
    try:
        made = _quickly(msgspec.convert(row, _Plain))
    except (ValueError, OverflowError):
        made = None
    return _closely(row) if made is None else made


def _closely(row: Any) -> tuple[str | None, Fix]:
    """A row with everything that it may hold, or the name of what is wrong with it."""
    if not isinstance(row, dict):
        raise Unfit("row", 'a JSON object is expected: {"recordedAt": …, "location": [longitude, latitude]}')
    key = row.get("key")
    if key is not None and not isinstance(key, str):
        raise Unfit("key", "a text is expected")
    where = row.get("location")
    if not isinstance(where, list) or len(where) != 2:
        raise Unfit("location", "[longitude, latitude] is expected")
    if row.get("recordedAt") in (None, ""):
        raise Unfit("recordedAt", "it is missing: a batch says when each fix was")
    charge = optional(row.get("battery"), "battery", 0, 1)
    return key, Fix(
        *place(where[0], where[1], ("location", "location")),
        recorded_at=moment(row["recordedAt"], "recordedAt"),
        speed_kmh=optional(row.get("speedKmh"), "speedKmh", 0, 10_000),
        heading=direction(row.get("heading"), "heading"),
        altitude_meters=optional(row.get("altitudeMeters"), "altitudeMeters", -500, 100_000),
        accuracy_meters=optional(row.get("accuracyMeters"), "accuracyMeters", 0, 1e7),
        battery=charge,
        valid=yes(row["valid"], "valid") if row.get("valid") is not None else True,
        mock=yes(row["mock"], "mock") if row.get("mock") is not None else False,
        extra=extras({name: value for name, value in row.items() if name not in _MEMBERS}),
    )


def from_features(body: bytes) -> Iterator[tuple[int, Any]]:
    """The rows of a FeatureCollection with their numbers from 1: an error in one is an Unfit in its place."""
    told = strict_json(body)
    features = told.get("features") if isinstance(told, dict) and told.get("type") == "FeatureCollection" else None
    if not isinstance(features, list):
        raise Unfit("body", "a GeoJSON FeatureCollection is expected")
    for number, feature in enumerate(features, 1):
        try:
            yield number, from_feature(feature)
        except Unfit as error:
            yield number, error


def from_feature(feature: Any) -> tuple[str | None, Fix]:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise Unfit("type", "a Feature is expected")
    geometry, properties = feature.get("geometry"), feature.get("properties")
    if not isinstance(geometry, dict) or geometry.get("type") != "Point":
        raise Unfit("geometry", "a Point is expected")
    if not isinstance(properties, dict):
        raise Unfit("properties", "an object with recordedAt is expected")
    return from_row({**properties, "location": geometry.get("coordinates")})
