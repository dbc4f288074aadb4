"""From the hub's bytes to frames: geometry in EPSG:4326, moments in UTC, the right columns also where nothing is."""

from __future__ import annotations

import json
import re
from typing import Any

import geopandas
import pandas
import pyarrow
import shapely

CRS = "EPSG:4326"

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def of_arrow(content: bytes) -> geopandas.GeoDataFrame:
    """A layer's Arrow stream as a frame."""
    table = pyarrow.ipc.open_stream(content).read_all()
    shapes = shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))
    frame = table.drop_columns("geometry").to_pandas(types_mapper=_type)
    return geopandas.GeoDataFrame(frame, geometry=geopandas.GeoSeries(shapes, crs=CRS, index=frame.index), crs=CRS)


def _type(kind: pyarrow.DataType) -> Any:
    """Whole numbers and yes or no keep their type where some are missing."""
    if pyarrow.types.is_int64(kind):
        return pandas.Int64Dtype()
    return pandas.BooleanDtype() if pyarrow.types.is_boolean(kind) else None


def of_rows(rows: list[dict[str, Any]]) -> pandas.DataFrame:
    """An answer's rows: `{ ward { name } }` is the column `ward.name`; the first GeoJSON is the geometry."""
    frame = pandas.DataFrame([_flat(row) for row in rows])
    # Where a relation is missing in some rows, what lies in it is missing there; the relation is no column itself.
    frame = frame.drop(columns=[name for name in frame if any(str(each).startswith(f"{name}.") for each in frame)])
    shapes = [
        name
        for name in frame
        if (found := frame[name].dropna()).size and found.map(lambda value: isinstance(value, _Shape)).all()
    ]
    for name in shapes:
        made = [None if not isinstance(value, _Shape) else value.shape for value in frame[name]]
        frame[name] = geopandas.GeoSeries(made, crs=CRS, index=frame.index)
    for name in frame.select_dtypes(["object", "string"]):
        if name not in shapes and _moments(frame[name]):
            frame[name] = pandas.to_datetime(frame[name], utc=True, format="ISO8601")
    return geopandas.GeoDataFrame(frame, geometry=shapes[0]) if shapes else frame


class _Shape:
    def __init__(self, told: dict[str, Any]) -> None:
        self.shape = shapely.from_geojson(json.dumps(told))


def _flat(row: dict[str, Any], before: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict) and "type" in value and "coordinates" in value:
            made[before + name] = _Shape(value)
        elif isinstance(value, dict):
            made |= _flat(value, f"{before}{name}.")
        else:
            made[before + name] = value
    return made


def _moments(column: Any) -> bool:
    said = column.dropna()
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
    return bool(len(said)) and bool(
        said.map(lambda value: isinstance(value, str)).all() and said.str.fullmatch(pattern).all()
    )
