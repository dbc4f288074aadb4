"""The roads that demonstrations drive on: synthetic, a line an edge in `roads.geojson`, between places by their names.

They come into no database. No road runs exactly there: not for navigation, and not for sending anybody.
"""

from __future__ import annotations

import json
from pathlib import Path

from geo.routing import Road
from hub.county.files import FOLDER, Row


def read_rows(folder: Path = FOLDER) -> list[Row]:
    """The file's rows in its order: `from`, `to`, `road`, `class`, `speed_kmh`, `source`, and `line` as positions."""
    features = json.loads((folder / "roads.geojson").read_text("utf-8"))["features"]
    return [{**feature["properties"], "line": feature["geometry"]["coordinates"]} for feature in features]


def roads(folder: Path = FOLDER) -> list[Road]:
    """The roads as `geo.routing` takes them."""
    return [
        Road(row["from"], row["to"], tuple((lon, lat) for lon, lat in row["line"]), row["speed_kmh"])
        for row in read_rows(folder)
    ]
