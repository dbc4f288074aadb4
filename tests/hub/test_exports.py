"""Layers as files: every format holds the same rows, other programs open them, and nothing is held in memory."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import geopandas
import psycopg
import pyarrow
import pyarrow.parquet
import pyogrio
import pytest
import pytest_asyncio
import shapely

from schema.layers import LAYERS
from tests.conftest import County, Hub, make_person, running

MORNING = Path(__file__).parent.parent / "queries" / "morning.sql"
MANY = 23_456


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hub_(copies: Callable[[], AbstractContextManager[County]]) -> AsyncIterator[Hub]:
    """A morning's work and more incidents than are read at a time; one title is a formula."""
    with copies() as county:
        make_person(county, "coordinator", "coordinator")
        make_person(county, "citizen")
        with psycopg.connect(county.owner_url) as connection:
            connection.execute("set role hub_owner")
            connection.execute(MORNING.read_text().encode())
            # Nothing here reads the journal of what is only many.
            for table in ("incidents", "incident_entries"):
                connection.execute(f"alter table {table} disable trigger journal".encode())
            connection.execute(
                "insert into incidents (kind, title, severity, certainty, urgency, location, occurred_at, source) "
                "select 'flood', case when n = 1 then '=1+1' when n = 2 then 'Say \"é\", 😀' || chr(10) || 'again' "
                "else 'Flood ' || n end, case when n %% 3 = 0 then 'severe' else 'minor' end, 'observed', 'immediate', "
                "st_setsrid(st_point(34.6 + (n %% 400) / 1000.0, -0.2 + (n %% 150) / 1000.0), 4326), "
                "'2026-03-02T06:00:00.123456Z'::timestamptz + n * interval '1 second', 'phone' "
                "from generate_series(1, %s) n",
                (MANY,),
            )
            for table in ("incidents", "incident_entries"):
                connection.execute(f"alter table {table} enable always trigger journal".encode())
        async with running(county.login_url) as made:
            yield made


async def fetched(hub: Hub, what: str, who: str | None = "coordinator", **query: Any) -> bytes:
    head = {"authorization": f"Bearer {await hub.token(who)}"} if who else {}
    asked = {name: value if isinstance(value, int) else json.dumps(value) for name, value in query.items()}
    answer = await hub.http.get(f"/export/{what}", params=asked, headers=head)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.content


def table(content: bytes) -> Any:
    return pyarrow.ipc.open_stream(content).read_all()


@pytest.mark.parametrize("layer", LAYERS)
async def test_every_format_of_a_layer_holds_the_same(hub_: Hub, layer: str, tmp_path: Path) -> None:
    some = {"first": 300}
    arrow = table(await fetched(hub_, f"{layer}.arrow", **some))
    parquet = pyarrow.parquet.read_table(io.BytesIO(await fetched(hub_, f"{layer}.parquet", **some)))
    assert arrow.num_rows > 0
    assert arrow.equals(parquet)
    assert arrow.column_names == [column.name for column in LAYERS[layer].columns]
    assert all(arrow.schema.field(column.name).metadata[b"description"] for column in LAYERS[layer].columns)
    rows = arrow.to_pylist()
    collection = json.loads(await fetched(hub_, f"{layer}.geojson", **some))
    lines = list(csv.DictReader(io.StringIO((await fetched(hub_, f"{layer}.csv", **some)).decode(), newline="")))
    assert len(collection["features"]) == len(lines) == len(rows)
    for row, feature, line in zip(rows, collection["features"], lines, strict=True):
        shape = row.pop("geometry")
        assert (feature["geometry"] is None) == (shape is None) == (line["geometry"] == "")
        if shape is not None:
            drawn = shapely.from_wkb(shape)
            for other in (shapely.from_geojson(json.dumps(feature["geometry"])), shapely.from_wkt(line["geometry"])):
                assert shapely.hausdorff_distance(drawn, other) < 1e-6
        assert feature["properties"].keys() == row.keys()
        for name, value in row.items():
            said = feature["properties"][name]
            if hasattr(value, "astimezone"):
                assert said == value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") == line[name]
            elif isinstance(value, float):
                assert said == pytest.approx(value, rel=1e-6)
                assert float(line[name]) == pytest.approx(value, rel=1e-6)
            elif hasattr(value, "isoformat"):
                assert said == value.isoformat() == line[name]
            else:
                assert said == value
    frame = geopandas.read_parquet(io.BytesIO(await fetched(hub_, f"{layer}.parquet", **some)))
    assert frame.crs.to_epsg() in (4326, None)
    assert frame.crs.equals("OGC:CRS84")


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("format", ["geojson", "csv"])
async def test_gdal_opens_it(hub_: Hub, layer: str, format: str, tmp_path: Path) -> None:
    """By `ogrinfo` where it is installed, and by the GDAL that pyogrio brings."""
    path = tmp_path / f"{layer}.{format}"
    path.write_bytes(await fetched(hub_, f"{layer}.{format}", first=50))
    rows = table(await fetched(hub_, f"{layer}.arrow", first=50)).num_rows
    info = pyogrio.read_info(path)
    assert info["features"] == rows
    assert set(info["fields"]) >= {column.name for column in LAYERS[layer].columns} - {"geometry"}
    if ogrinfo := shutil.which("ogrinfo"):
        said = subprocess.run([ogrinfo, "-so", "-al", path], capture_output=True, text=True, check=True).stdout  # noqa: ASYNC221
        assert f"Feature Count: {rows}" in said


async def test_what_is_asked_for_is_what_graphql_answers(hub_: Hub) -> None:
    where = {"severity": {"eq": "SEVERE"}, "location": {"bbox": [34.6, -0.2, 34.8, -0.1]}}
    order = [{"reference": "DESC"}]
    found = table(await fetched(hub_, "incidents.arrow", where=where, orderBy=order))
    assert 0 < found.num_rows < MANY / 3
    asked = """query ($where: IncidentFilter, $orderBy: [IncidentOrder!]) {
      incidents(where: $where, orderBy: $orderBy, first: 5000) { totalCount nodes { reference occurredAt title } }
    }"""
    token = await hub_.token("coordinator")
    answer = (await hub_.ask(asked, {"where": where, "orderBy": order}, token=token))["incidents"]
    assert answer["totalCount"] == found.num_rows
    assert [each["reference"] for each in answer["nodes"]] == found["reference"].to_pylist()
    assert [each["title"] for each in answer["nodes"]] == found["title"].to_pylist()
    assert [each["occurredAt"] for each in answer["nodes"]] == [
        each.strftime("%Y-%m-%dT%H:%M:%S.%fZ") for each in found["occurred_at"].to_pylist()
    ]


async def test_all_rows_come_in_pieces(hub_: Hub) -> None:
    content = await fetched(hub_, "incidents.arrow")
    batches = list(pyarrow.ipc.open_stream(content))
    assert [batch.num_rows for batch in batches] == [10_000, 10_000, MANY - 20_000]
    told = json.loads(pyarrow.ipc.open_stream(content).schema.metadata[b"hub"])
    assert told["layer"] == "incidents"
    positions = table(await fetched(hub_, "positions.arrow", where={"vehicle": {"plate": {"eq": "KDA 123B"}}}))
    assert positions["doubts"].to_pylist().count("mock") == 1
    none = await fetched(hub_, "positions.geojson", where={"vehicle": {"plate": {"eq": "NOBODY"}}})
    assert json.loads(none)["features"] == []


async def test_a_spreadsheet_is_handed_no_formula(hub_: Hub) -> None:
    content = (await fetched(hub_, "incidents.csv", where={"title": {"eq": "=1+1"}})).decode()
    (row,) = csv.DictReader(io.StringIO(content, newline=""))
    assert row["title"] == "'=1+1"
    (kept,) = table(await fetched(hub_, "incidents.arrow", where={"title": {"eq": "=1+1"}}))["title"].to_pylist()
    assert kept == "=1+1"


async def test_who_sees_nothing_gets_a_file_with_nothing(hub_: Hub) -> None:
    for who in (None, "citizen"):
        assert table(await fetched(hub_, "incidents.arrow", who)).num_rows == 0
        assert table(await fetched(hub_, "vehicles.arrow", who)).num_rows == 0
        assert table(await fetched(hub_, "wards.arrow", who)).num_rows == 35


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("people.csv", 404, "layer: there is none of this name"),
        ("wards.xlsx", 404, "format: there is none of this name"),
        ("wards.csv?limit=1", 400, "limit: no such parameter"),
        ("wards.csv?first=-1", 400, "first: send a whole number"),
        ("wards.csv?where={", 400, "where: send JSON"),
        ('wards.csv?where={"nam":{"eq":"x"}}', 400, "nam"),
        ('wards.csv?where={"boundary":{"bbox":[1,2,3]}}', 400, "$where' has invalid value at .boundary.bbox"),
        ('wards.csv?orderBy=[{"code":"UP"}]', 400, "UP"),
        ("wards.csv?where=" + "[" * 5000, 400, "where: send JSON"),
        (f"wards.csv?where={'x' * 40_000}", 400, "where: it has 40,000 letters"),
    ],
)
async def test_what_is_wrong_is_refused_in_words(hub_: Hub, path: str, status: int, said: str) -> None:
    answer = await hub_.http.get(f"/export/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json"), answer.text
    assert said in answer.json()["errors"][0]["message"]
