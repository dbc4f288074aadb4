"""What follows from the wards: the larger units' shapes and sums, label points, and the lake.

`python -m hub.county.derive` writes it into the files of this folder after somebody changed a ward's shape, figure or
membership. It is kept as data, not worked out at every start: another version of the geometry library would move a
point by a hair, and facts are never overwritten.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import shapely
from shapely import LineString, MultiPolygon
from shapely.geometry import mapping, shape

from geo.boundaries import area_km2, enclosed_by, joined, label_point, multipolygon
from hub.county.files import FOLDER, Row, read, write

SOURCE = "hub-derived"

GULF_MOUTH = ((34.4408, -0.1744), (34.7569, -0.2951))
"""Where the county's border meets Winam Gulf: in the north between Seme and Siaya County, in the south between West
Nyakach and Homa Bay County. Both are points of the wards' outlines."""

REPORTED_WATER_KM2 = 567


def wards_of(code: str, folder: Path = FOLDER) -> list[str]:
    """Codes of the wards in a unit, by the memberships that are accepted and open; a ward is in itself."""
    parts = [
        row["area"]
        for row in read("area_memberships", folder)
        if row["parent"] == code and row["accepted"] == "true" and row["until"] is None
    ]
    return [ward for part in sorted(parts) for ward in wards_of(part, folder)] or [code]


def boundaries(folder: Path = FOLDER) -> list[Row]:
    """Every unit's shape and label point: the wards' as they stand, the larger units' as the union of their wards."""
    rows = {row["area"]: row for row in read("area_boundaries", folder) if row["until"] is None}
    closed = [row for row in read("area_boundaries", folder) if row["until"] is not None]
    result = []
    for area in read("areas", folder):
        code, known = area["code"], rows.get(area["code"])
        if area["level"] == "ward":
            assert known is not None, f"ward {code} has no outline"
            outline = multipolygon(shape(known["boundary"]))
            kept = {name: known[name] for name in ("generalised_meters", "from", "until", "source", "note")}
        else:
            wards = [rows[ward] for ward in wards_of(code, folder)]
            outline = joined(shape(ward["boundary"]) for ward in wards)
            kept = {
                "generalised_meters": max(ward["generalised_meters"] for ward in wards),
                "from": max(ward["from"] for ward in wards),
                "until": None,
                "source": SOURCE,
                "note": "Union of its wards' outlines.",
            }
        result.append(
            {
                "id": known["id"] if known else _uuidv7(),
                "area": code,
                "label_point": list(label_point(outline).coords[0]),
                **kept,
                "boundary": _geojson(outline),
            }
        )
    return closed + result


def figures(folder: Path = FOLDER) -> list[Row]:
    """Every unit's population and land area: the larger units' as the sum of their wards'."""
    rows = read("area_figures", folder)
    levels = {row["code"]: row["level"] for row in read("areas", folder)}
    known = {(row["area"], row["figure"], row["as_of"], row["source"]): row["id"] for row in rows}
    wards = [row for row in rows if levels[row["area"]] == "ward"]
    sums = []
    for code in (code for code, level in levels.items() if level != "ward"):
        inside = set(wards_of(code, folder))
        for figure, as_of in sorted({(row["figure"], row["as_of"]) for row in wards}, reverse=True):
            parts = [row for row in wards if row["area"] in inside and (row["figure"], row["as_of"]) == (figure, as_of)]
            assert len(parts) == len(inside), f"not every ward of {code} has {figure} of {as_of}"
            sums.append(
                {
                    "id": known.get((code, figure, as_of, SOURCE)) or _uuidv7(),
                    "area": code,
                    "figure": figure,
                    "value": str(sum(Decimal(part["value"]) for part in parts)),
                    "as_of": as_of,
                    "source": SOURCE,
                    "note": f"Sum of its {len(parts)} wards, as the 2012 delimitation gives them.",
                }
            )
    return sums + wards


def lake(folder: Path = FOLDER) -> Row:
    """The county's part of Winam Gulf: what a straight line across its mouth and the shore enclose."""
    known = {row["name"]: row["id"] for row in read("waters", folder)} if (folder / "waters.geojson").exists() else {}
    water = enclosed_by(_land(boundaries(folder)), LineString(GULF_MOUTH))
    size = round(area_km2(water), 1)
    return {
        "id": known.get("Winam Gulf") or _uuidv7(),
        "county": "042",
        "name": "Winam Gulf",
        "area_km2": size,
        "approximate": True,
        "from": "2012-03-06",
        "until": None,
        "source": SOURCE,
        "note": (
            "Approximation: the water between the wards' generalised shore and a straight line from where the county's "
            "border meets the lake in Seme to where it does in Nyakach. "
            f"It covers {size} km2; {REPORTED_WATER_KM2} km2 of water are reported for the county, so that about "
            f"{round(REPORTED_WATER_KM2 - size)} km2 farther out in the gulf are missing. Not for navigation."
        ),
        "boundary": _geojson(water),
    }


def _land(rows: Iterable[Row]) -> MultiPolygon:
    return next(multipolygon(shape(row["boundary"])) for row in rows if row["area"] == "042")


def _geojson(outline: MultiPolygon) -> dict[str, object]:
    # The wards come with four decimals, and a union of them adds no point but where lines cross: seven lose nothing.
    return {
        "type": "MultiPolygon",
        "coordinates": mapping(shapely.transform(outline, lambda c: c.round(7)))["coordinates"],
    }


def _uuidv7() -> str:
    """A new key for a fact that has none yet."""
    number = int.from_bytes((int(time.time() * 1000)).to_bytes(6, "big") + os.urandom(10), "big")
    number = number & ~(0xF << 76) | 7 << 76
    return str(uuid.UUID(int=number & ~(3 << 62) | 2 << 62))


if __name__ == "__main__":
    write("area_boundaries", boundaries())
    write("area_figures", figures())
    write("waters", [lake()])
