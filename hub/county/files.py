"""The files of this folder: one per table, one row per fact, named and spelt as people read them.

A unit is named by its code, a source by its slug; `from` and `until` say when a fact holds. Ids were made once and
stay, so that every installation of the hub agrees on them.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

Row = dict[str, Any]

FOLDER = Path(__file__).parent

TABLES = (
    "sources",
    "areas",
    "area_names",
    "area_memberships",
    "area_boundaries",
    "area_figures",
    "waters",
    "landmarks",
)
"""Every table that has a file, in the order in which they can be filled."""

_SHAPES = ("area_boundaries", "waters")


def path(table: str, folder: Path = FOLDER) -> Path:
    """The file of a table: GeoJSON where rows have a shape, else CSV."""
    return folder / f"{table}{'.geojson' if table in _SHAPES else '.csv'}"


def read(table: str, folder: Path = FOLDER) -> list[Row]:
    """The rows of a file in its order; an empty cell is None, a shape stands under `boundary` as GeoJSON."""
    text = path(table, folder).read_text("utf-8")
    if table in _SHAPES:
        return [
            {"id": feature["id"], **feature["properties"], "boundary": feature["geometry"]}
            for feature in json.loads(text)["features"]
        ]
    return [
        {column: value or None for column, value in row.items()}
        for row in csv.DictReader(io.StringIO(text), strict=True)
    ]


def write(table: str, rows: list[Row], folder: Path = FOLDER) -> None:
    """Write a file as `read` takes it: a line a row, so that a change shows as the lines that changed."""
    if table in _SHAPES:
        features = [
            {
                "type": "Feature",
                "id": row["id"],
                "properties": {name: value for name, value in row.items() if name not in ("id", "boundary")},
                "geometry": row["boundary"],
            }
            for row in rows
        ]
        lines = ",\n".join(json.dumps(feature, ensure_ascii=False) for feature in features)
        text = f'{{"type": "FeatureCollection", "features": [\n{lines}\n]}}\n'
    else:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        text = buffer.getvalue()
    path(table, folder).write_text(text, "utf-8")
