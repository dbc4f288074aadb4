"""OwnTracks over HTTP: a JSON object a request, the device's key as the password of HTTP Basic.

Speed (`vel`) is km/h, charge (`batt`) per cent. Other messages than locations, and empty bodies, are normal: they are
answered and not kept. https://owntracks.org/booklet/tech/http/
"""

from __future__ import annotations

from typing import Any

from hub.intake.fixes import Fix, Unfit, direction, extras, moment, optional, place
from hub.intake.osmand import strict_json

_IGNORED = frozenset(
    {
        "transition", "waypoint", "waypoints", "lwt", "status", "steps", "card", "cmd", "configuration", "request",
        "beacon",
    }
)  # fmt: skip


def from_json(body: bytes) -> Fix | None:
    """The fix of a `location`; None for what is not kept. Raises Unfit."""
    if not body.strip():
        return None
    told = strict_json(body)
    if not isinstance(told, dict):
        raise Unfit("body", "a JSON object is expected")
    kind = told.get("_type")
    if kind in _IGNORED:
        return None
    if kind == "encrypted":
        raise Unfit("_type", "the hub has no key for encrypted messages: leave the secret empty and send by HTTPS")
    if kind != "location":
        raise Unfit("_type", "location is expected")
    charge = optional(told.get("batt"), "batt", 0, 100)
    further: dict[str, Any] = {name: told[name] for name in ("tid", "t", "m", "bs", "conn", "vac") if name in told}
    return Fix(
        *place(told.get("lon"), told.get("lat"), ("lon", "lat")),
        recorded_at=moment(told.get("tst"), "tst"),
        speed_kmh=optional(told.get("vel"), "vel", 0, 10_000),
        heading=direction(told.get("cog"), "cog"),
        altitude_meters=optional(told.get("alt"), "alt", -500, 100_000),
        accuracy_meters=optional(told.get("acc"), "acc", 0, 1e7),
        battery=None if charge is None else charge / 100,
        extra=extras(further),
    )
