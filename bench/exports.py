"""How fast rows become a GeoDataFrame, and what a large export holds in memory: `python -m bench.exports --help`."""

from __future__ import annotations

import argparse
import statistics
import time
import urllib.request
from datetime import UTC, datetime, timedelta

import geopandas
import psycopg
import sqlalchemy

from bench.fleet import resident
from hub.client import Hub
from tests.faults.ground import Ground

ROUNDS = 7
READ = """
select i.id::text, i.reference, upper(i.kind) as kind, i.title, upper(i.severity) as severity,
  upper(i.certainty) as certainty, upper(i.urgency) as urgency,
  upper(i.status) as status, upper(i.source) as source, upper(i.precision) as precision,
  i.beyond_border, i.place, i.occurred_at, i.reported_at, w.code as ward_code, w.name as ward_name,
  s.name as sub_county_name, i.location as geometry
from incidents i left join wards w on w.id = i.ward_id left join sub_counties s on s.id = w.sub_county_id
order by i.reported_at, i.id
"""
"""The same rows, columns and order as the export's, read without the hub, HTTP and policies."""


def incidents(ground: Ground, hub: Hub, rows: int) -> None:
    """The same rows by the hub and by geopandas.read_postgis, in turns."""
    with psycopg.connect(ground.county.owner_url, autocommit=True) as owner:
        owner.execute("set role hub_owner")
        owner.execute(
            "insert into incidents (kind, title, severity, certainty, urgency, location, occurred_at, source) "
            "select 'flood', 'Flood ' || n, 'severe', 'observed', 'immediate', "
            "st_setsrid(st_point(34.6 + random() * 0.4, -0.2 + random() * 0.15), 4326), now(), 'phone' "
            "from generate_series(1, %s) n",
            (rows,),
        )
        owner.execute("vacuum analyze incidents")
    engine = sqlalchemy.create_engine(ground.county.owner_url.replace("postgresql://", "postgresql+psycopg://"))
    took: dict[str, list[float]] = {"hub": [], "read_postgis": []}
    for number in range(ROUNDS + 1):
        began = time.perf_counter()
        ours = hub.incidents()
        between = time.perf_counter()
        with engine.connect() as connection:
            theirs = geopandas.read_postgis(sqlalchemy.text(READ), connection, geom_col="geometry")
        ended = time.perf_counter()
        assert len(ours) == len(theirs) == rows
        assert ours["id"].tolist() == theirs["id"].tolist()
        assert ours.geometry.geom_equals(theirs.geometry).all()
        if number:
            took["hub"].append(between - began)
            took["read_postgis"].append(ended - between)
    engine.dispose()
    hub_, read = (statistics.median(took[name]) for name in ("hub", "read_postgis"))
    print(
        f"{rows:,} incidents into a GeoDataFrame: hub {hub_ * 1000:.0f} ms, read_postgis {read * 1000:.0f} ms; "
        f"the hub takes {hub_ / read:.2f} of its time"
    )


def positions(ground: Ground, hub: Hub, rows: int) -> None:
    """A large export, read by somebody who keeps none of it; the hub's memory meanwhile."""
    assert ground.hub is not None
    with psycopg.connect(ground.county.owner_url, autocommit=True) as owner:
        owner.execute("set role hub_owner")
        (device, vehicle) = owner.execute(
            "with v as (insert into vehicles (plate, kind) values ('KBN 001', 'car') returning id) "
            "insert into devices (vehicle_id, label) select id, 'bench' from v returning id, vehicle_id"
        ).fetchone() or (None, None)
        began = datetime.now(UTC) - timedelta(days=14)
        owner.execute("select make_position_weeks(%s, now())", (began,))
        owner.execute(
            "insert into positions (id, device_id, recorded_at, vehicle_id, batch, received_at, location) "
            "select gen_random_uuid(), %s, %s::timestamptz + n * interval '1 second', %s, 1, now(), "
            "st_setsrid(st_point(34.6 + random() * 0.4, -0.2 + random() * 0.15), 4326) "
            "from generate_series(1, %s) n",
            (device, began, vehicle, rows),
        )
        owner.execute("vacuum analyze positions")
    pid = ground.hub.process.pid
    head = hub.asynchronous._asking.head
    for format in ("arrow", "parquet", "geojson", "csv"):
        before = highest = resident(pid)
        request = urllib.request.Request(f"{hub.url}/export/positions.{format}", headers=head)
        size, at = 0, time.perf_counter()
        with urllib.request.urlopen(request) as answer:
            while piece := answer.read(1 << 20):
                size += len(piece)
                highest = max(highest, resident(pid))
        print(
            f"{rows:,} positions as {format}: {size / 1e6:.0f} MB in {time.perf_counter() - at:.1f} s; "
            f"the hub {before} MB before, {highest} MB at most"
        )


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--incidents", type=int, default=50_000)
    told.add_argument("--positions", type=int, default=1_000_000)
    given = told.parse_args()
    with Ground(workers=1) as ground:
        ground.person("coordinator", "coordinator")
        ground.start_hub(HUB_STATEMENT_SECONDS="60")
        with Hub(f"http://127.0.0.1:{ground.port}", ground.token("coordinator")) as hub:
            incidents(ground, hub, given.incidents)
            positions(ground, hub, given.positions)


if __name__ == "__main__":
    main()
