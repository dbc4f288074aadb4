"""Keyword arguments as the API's filters: what a planner writes in Python, in the words of GraphQL."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any

SHAPES = {
    "wards": "boundary",
    "subCounties": "boundary",
    "landmarks": "location",
    "incidents": "location",
    "vehicles": "latestPosition.location",
    "positions": "location",
    "patrols": "route",
}
"""Each layer, and its field that is a geometry."""

_BY_NAME = {
    "ward": "code",
    "sub_county": "code",
    "vehicle": "plate",
    "unit": "name",
    "beat": "name",
    "department": "name",
}
"""Relations that people name by a code or a word of their own."""


def where(layer: str, given: dict[str, Any]) -> dict[str, Any]:
    """The API's `where`. A value is `eq`, a list `in`, a pair of moments from and until (the end left out), None a
    missing value, and a dict is taken as it is. `bbox`, `within`, `intersects` and `near=(point, meters)` are about the
    layer's shape."""
    made: dict[str, Any] = dict(given.pop("where", None) or {})
    shape: dict[str, Any] = {}
    for name, value in given.items():
        if name == "bbox":
            shape["bbox"] = [float(side) for side in value]
        elif name in ("within", "intersects"):
            shape[name] = geojson(value)
        elif name == "near":
            point, meters = value
            shape["near"] = {"point": position(point), "meters": float(meters)}
        elif name in _BY_NAME and not isinstance(value, dict):
            made[camel(name)] = {_BY_NAME[name]: condition(value)}
        else:
            made[camel(name)] = value if isinstance(value, dict) else condition(value)
    if shape:
        inner: dict[str, Any] = shape
        for part in reversed(SHAPES[layer].split(".")):
            inner = {part: inner}
        made = {**made, **inner}
    return made


def condition(value: Any) -> dict[str, Any]:
    if value is None:
        return {"isNull": True}
    if isinstance(value, tuple) and len(value) == 2:
        begin, end = value
        ends = {"gte": plain(begin), "lt": plain(end)}
        return {name: said for name, said in ends.items() if said is not None}
    if isinstance(value, (list, set, frozenset)) or hasattr(value, "tolist"):
        listed = value.tolist() if hasattr(value, "tolist") else list(value)
        return {"in": [plain(each) for each in listed]} if isinstance(listed, list) else {"eq": plain(listed)}
    return {"eq": plain(value)}


def plain(value: Any) -> Any:
    """As JSON takes it. A moment without a zone is one in Kenya, as people write it."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, datetime):
        from zoneinfo import ZoneInfo

        aware = value if value.tzinfo else value.replace(tzinfo=ZoneInfo("Africa/Nairobi"))
        return aware.astimezone(UTC).isoformat()
    return value.isoformat() if isinstance(value, date) else value


def geojson(shape: Any) -> dict[str, Any]:
    """A shape of shapely, a frame of one, or GeoJSON, as GeoJSON."""
    if isinstance(shape, dict):
        return shape
    if hasattr(shape, "union_all"):
        shape = shape.union_all()
    import shapely

    return dict(json.loads(shapely.to_geojson(shape)))


def position(point: Any) -> list[float]:
    """[longitude, latitude]"""
    return [point.x, point.y] if hasattr(point, "x") else [float(point[0]), float(point[1])]


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
