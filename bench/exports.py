"""How fast rows become a GeoDataFrame, and what a large export holds in memory."""

from __future__ import annotations

import json
import statistics
import time
import urllib.parse
import urllib.request
from pathlib import Path

import geopandas
import psycopg
import sqlalchemy

from bench.fleet import at_part
from bench.report import Figure
from hub.client import Hub

ROUNDS = 7
LARGE_EXPORT = 1_000_000
READ = """
select i.id::text, i.reference, upper(i.kind) as kind, i.title, upper(i.severity) as severity,
  upper(i.certainty) as certainty, upper(i.urgency) as urgency,
  upper(i.status) as status, upper(i.source) as source, upper(i.precision) as precision,
  i.beyond_border, i.place, i.occurred_at, i.reported_at, w.code as ward_code, w.name as ward_name,
  s.name as sub_county_name, i.location as geometry
from incidents i left join wards w on w.id = i.ward_id left join sub_counties s on s.id = w.sub_county_id
where i.reported_at >= :since
order by i.reported_at, i.id
"""
"""The same rows, columns and order as the export's, read without the hub, HTTP and policies."""


def frames(url: str, token: str, owner: psycopg.Connection, owner_url: str, rows: int) -> Figure:
    """The latest incidents by the hub's client and by geopandas.read_postgis, in turns."""
    (since,) = owner.execute(
        "select reported_at from incidents order by reported_at desc offset %s limit 1", (rows - 1,)
    ).fetchone() or (None,)
    engine = sqlalchemy.create_engine(owner_url.replace("postgresql://", "postgresql+psycopg://"))
    took: dict[str, list[float]] = {"hub": [], "read_postgis": []}
    with Hub(url, token) as hub, engine.connect() as connection:
        for number in range(ROUNDS + 1):
            began = time.perf_counter()
            ours = hub.incidents(where={"reportedAt": {"gte": since.isoformat()}})
            between = time.perf_counter()
            theirs = geopandas.read_postgis(
                sqlalchemy.text(READ), connection, geom_col="geometry", params={"since": since}
            )
            ended = time.perf_counter()
            assert len(ours) == len(theirs) == rows, (len(ours), len(theirs))
            assert ours["id"].tolist() == theirs["id"].tolist()
            assert ours.geometry.geom_equals(theirs.geometry).all()
            if number:
                took["hub"].append(between - began)
                took["read_postgis"].append(ended - between)
    engine.dispose()
    return Figure(
        f"export_{rows // 1000}k_ms",
        f"{rows:,} incidents into a GeoDataFrame",
        "ms",
        "lower",
        1000 * statistics.median(took["hub"]),
        {"read_postgis": 1000 * statistics.median(took["read_postgis"])},
        {name: tuple(1000 * at_part(each, part) for part in (50, 95, 99)) for name, each in took.items()},  # type: ignore[misc]
    )


def memory(url: str, token: str, pids: list[int], owner: psycopg.Connection) -> Figure:
    """A large export of positions, read by somebody who keeps none of it; the workers' memory meanwhile."""
    (since, rows) = owner.execute(
        "select min(recorded_at), count(*) from (select recorded_at from positions "
        "order by recorded_at desc limit %s) latest",
        (LARGE_EXPORT,),
    ).fetchone() or (None, 0)
    where = urllib.parse.quote(json.dumps({"recordedAt": {"gte": since.isoformat()}}))
    told, most = [], 0
    for format in ("arrow", "geojson"):
        before = highest = resident(pids)
        request = urllib.request.Request(
            f"{url}/export/positions.{format}?where={where}", headers={"authorization": f"Bearer {token}"}
        )
        size, began = 0, time.perf_counter()
        with urllib.request.urlopen(request) as answer:
            while piece := answer.read(1 << 20):
                size += len(piece)
                highest = max(highest, resident(pids))
        most = max(most, highest - before)
        took = time.perf_counter() - began
        told.append(f"{format} {size / 1e6:.0f} MB in {took:.1f} s, from {before} MB to {highest}")
    return Figure(
        "export_memory_mb",
        f"how much a worker grows while {rows:,} positions go out",
        "MB",
        "lower",
        most,
        note="; ".join(told),
    )


def resident(pids: list[int]) -> int:
    """MB that are in memory of the largest of these processes."""
    lines = (line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return max(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024
