"""The OsmAnd protocol as Traccar Client speaks it: one fix a request, as query, as form, or as JSON since version 9.

Answers are the protocol's own: 200 when it is stored, 400 for what cannot be taken or an unknown device (404 in JSON),
429 and 503 for "keep it and send it again". https://www.traccar.org/osmand/
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from hub.intake.fixes import (
    KMH_PER_KNOT,
    KMH_PER_MPS,
    Fix,
    Unfit,
    direction,
    extras,
    moment,
    optional,
    place,
    yes,
)

_KNOWN = frozenset(
    {
        "id", "deviceid", "valid", "timestamp", "lat", "lon", "location", "cell", "wifi", "speed", "bearing", "heading",
        "altitude", "accuracy", "hdop", "batt", "charge", "driverUniqueId", "notificationToken",
    }
)  # fmt: skip
"""Names that mean something of their own; any other is kept as it is."""

_KEPT = ("cell", "wifi", "hdop", "charge", "driverUniqueId")
"""Of those, what is kept beside the position. A token for notifications is nobody's business."""

MOST_PARAMETERS = 100


def from_form(text: str) -> tuple[str, Fix | None]:
    """The device's key and its fix, from a query or form; None for a report without a place. Raises Unfit."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError:
        raise Unfit("query", f"at most {MOST_PARAMETERS} parameters are taken") from None
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in _KNOWN and name in given:
            raise Unfit(name, "it is given twice")
        given[name] = value
    key = given.get("id") or given.get("deviceid") or ""
    if not key:
        raise Unfit("id", "the device's key is missing")
    recorded_at = moment(given.get("timestamp"), "timestamp")
    if "location" in given and "lat" not in given:
        latitude, comma, longitude = given["location"].partition(",")
        if not comma:
            raise Unfit("location", "latitude,longitude is expected")
        where = place(longitude.strip(), latitude.strip(), ("location", "location"))
    elif given.get("lat") and given.get("lon"):
        where = place(given["lon"], given["lat"], ("lon", "lat"))
    elif given.get("lat") or given.get("lon"):
        raise Unfit("lon" if given.get("lat") else "lat", "it is missing")
    else:
        return key, None
    knots = optional(given.get("speed"), "speed", 0, 5_000)
    charge = optional(given.get("batt"), "batt", 0, 100)
    further = {name: value for name, value in given.items() if name not in _KNOWN or (name in _KEPT and value)}
    return key, Fix(
        *where,
        recorded_at=recorded_at,
        speed_kmh=None if knots is None else knots * KMH_PER_KNOT,
        heading=direction(given.get("bearing") or given.get("heading"), "bearing"),
        altitude_meters=optional(given.get("altitude"), "altitude", -500, 100_000),
        accuracy_meters=optional(given.get("accuracy"), "accuracy", 0, 1e7),
        battery=None if charge is None else charge / 100,
        valid=yes(given["valid"], "valid") if given.get("valid") else True,
        extra=extras(further),
    )


def from_json(body: bytes) -> tuple[str, Fix | None]:
    """The same from the JSON of Traccar Client 9 and later. Raises Unfit."""
    told = strict_json(body)
    if not isinstance(told, dict):
        raise Unfit("body", "a JSON object is expected")
    key = told.get("device_id")
    if not isinstance(key, (str, int)) or isinstance(key, bool) or key == "":
        raise Unfit("device_id", "the device's key is missing")
    location = _object(told, "location", "location")
    if not location:
        return str(key), None
    coords = _object(location, "coords", "location.coords")
    if not coords:
        return str(key), None
    battery, activity = (
        _object(location, "battery", "location.battery"),
        _object(location, "activity", "location.activity"),
    )
    level = optional(battery.get("level"), "location.battery.level", 0, 1)
    speed = optional(coords.get("speed"), "location.coords.speed", 0, 3_000)
    further: dict[str, Any] = {
        name: value
        for name, value in {
            "event": location.get("event"),
            "alarm": location.get("alarm"),
            "isMoving": location.get("is_moving"),
            "odometer": location.get("odometer"),
            "activity": activity.get("type"),
            "isCharging": battery.get("is_charging"),
            **_object(location, "extras", "location.extras"),
        }.items()
        if value is not None
    }
    return str(key), Fix(
        *place(
            coords.get("longitude"), coords.get("latitude"), ("location.coords.longitude", "location.coords.latitude")
        ),
        recorded_at=moment(location.get("timestamp"), "location.timestamp"),
        speed_kmh=None if speed is None else speed * KMH_PER_MPS,
        heading=direction(coords.get("heading"), "location.coords.heading"),
        altitude_meters=optional(coords.get("altitude"), "location.coords.altitude", -500, 100_000),
        accuracy_meters=optional(coords.get("accuracy"), "location.coords.accuracy", 0, 1e7),
        battery=level,
        mock=yes(location["mock"], "location.mock") if location.get("mock") is not None else False,
        extra=extras(further),
    )


def _no_constant(word: str) -> Any:
    raise Unfit("body", f"{word} is no JSON: a finite number is expected")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
"""Made once: `json.loads` makes one for each call that says what a constant is, and a batch has thousands of lines."""


def strict_json(body: bytes | str) -> Any:
    """JSON without NaN and Infinity, which are none. Raises Unfit."""
    try:
        return _DECODER.decode(body if isinstance(body, str) else body.decode(json.detect_encoding(body)))
    except (ValueError, RecursionError) as error:
        if isinstance(error, Unfit):
            raise
        raise Unfit("body", "it is no JSON") from None


def _object(parent: Mapping[str, Any], name: str, path: str) -> Mapping[str, Any]:
    found = parent.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Unfit(path, "an object is expected")
    return found
