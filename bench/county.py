"""The county that is measured: a private cluster, seeded with the same rows on the same day, whoever runs it.

Rows are made in SQL and stored past the triggers, which would number, place and journal them one by one; what the
triggers would have said stands in them. Everything that is written while the benchmark runs goes through all of them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import LiteralString

import psycopg

from tests.faults.ground import Ground


@dataclass(frozen=True)
class Scale:
    """How much there is of what."""

    incidents: int = 200_000
    vehicles: int = 1_000
    positions: int = 5_000_000

    def __str__(self) -> str:
        return f"{self.incidents:,} incidents, {self.vehicles:,} vehicles, {self.positions:,} positions"


ORDINARY = Scale()
LARGE = Scale(incidents=10_000_000, positions=100_000_000)
SMALL = Scale(positions=50_000)
"""Only to try the harness itself: its figures mean nothing."""

NAME = "coordinator"
"""Who asks: somebody who sees the whole county, and whom policies apply to all the same."""
DAYS_OF_INCIDENTS, DAYS_OF_POSITIONS = 730, 14
TOGETHER = 100
"""Positions that were stored in one batch."""


SEEDED = (
    "incidents",
    "vehicles",
    "devices",
    "device_keys",
    "latest_positions",
    "positions",
    "position_batches",
    "wards",
)


def end_of_seeds() -> datetime:
    """No seeded row is later: what is sent while the benchmark runs is news. Midnight before yesterday's end."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)


def key(number: int) -> str:
    """What the tracker of the vehicle with this number shows."""
    return f"bench-{number}"


_FILL: tuple[tuple[str, LiteralString], ...] = (
    (
        "places",
        """
        create unlogged table bench_places as
        select row_number() over (order by md5(code || ' ' || (d).path[1])) as n, id as ward_id,
               -- To two metres, as people and trackers tell them. No box has an edge within a metre of such a place, so
               -- that exact coordinates and those of an index, which are rounded, say the same of what lies in it.
               st_setsrid(st_point(round(st_x((d).geom) * 50000) / 50000, round(st_y((d).geom) * 50000) / 50000), 4326)
                 ::geometry(point, 4326) as location
        from (
          select w.id, w.code, st_dump(st_generatepoints(
            w.boundary, ceil(%(incidents)s::float8 * w.population / t.people)::integer, w.code::integer)) as d
          from wards w, (select sum(population) as people from wards) t
        ) made;
        create unique index on bench_places (n);
        analyze bench_places;
        """,
    ),
    (
        "incidents",
        """
        insert into incidents (
          id, reference, kind, title, severity, certainty, urgency, status, location, ward_id, occurred_at, reported_at,
          source)
        select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(said, 1, 3) || '8'
                 || substr(said, 4, 15))::uuid,
               'INC-' || to_char(at at time zone 'Africa/Nairobi', 'YYYY') || '-' || lpad(n::text, 6, '0'),
               kind, initcap(replace(kind, '_', ' ')) || ' in ' || name || ', call ' || n,
               (array['extreme', 'severe', 'severe', 'moderate', 'moderate', 'moderate', 'minor', 'unknown'])
                 [1 + b %% 8],
               (array['observed', 'likely', 'possible', 'unknown'])[1 + (b >> 4) %% 4],
               (array['immediate', 'expected', 'future', 'past'])[1 + (b >> 8) %% 4],
               case when b %% 100 < 60 then 'closed' when b %% 100 < 70 then 'rejected'
                    when b %% 100 < 80 then 'reported' when b %% 100 < 90 then 'verified'
                    when b %% 100 < 97 then 'responding' else 'contained' end,
               location, ward_id, at - interval '10 minutes', at,
               (array['public', 'phone', 'radio', 'field', 'partner', 'sensor'])[1 + (b >> 12) %% 6]
        from (
          select p.n, p.location, p.ward_id, w.name, md5('incident ' || p.n) as said,
                 hashint8extended(p.n, 1) & 1048575 as b,
                 (array['flood', 'road_crash', 'fire', 'medical', 'drowning', 'crime', 'disease_outbreak',
                        'blocked_road', 'power_failure', 'water_failure'])[1 + (hashint8extended(p.n, 2) & 1023) %% 10]
                   as kind,
                 %(end)s::timestamptz
                   - (%(incidents)s - p.n) * (interval '1 day' * %(incident_days)s / %(incidents)s::float8) as at
          from bench_places p join wards w on w.id = p.ward_id where p.n <= %(incidents)s
          order by p.n
        ) made;
        """,
    ),
    (
        "vehicles",
        """
        insert into vehicles (id, plate, kind, status)
        select md5('vehicle ' || n)::uuid, 'KBN ' || lpad(n::text, 4, '0'),
               (array['ambulance', 'fire_engine', 'patrol_car', 'motorcycle', 'pickup', 'truck', 'car', 'bus'])
                 [1 + n %% 8],
               (array['available', 'available', 'available', 'assigned', 'out_of_service'])[1 + n %% 5]
        from generate_series(0, %(vehicles)s - 1) n;
        insert into devices (id, vehicle_id, label, created_at)
        select md5('device ' || n)::uuid, md5('vehicle ' || n)::uuid, 'Tracker ' || n,
               %(end)s::timestamptz - interval '100 days'
        from generate_series(0, %(vehicles)s - 1) n;
        insert into device_keys (device_id, digest)
        select md5('device ' || n)::uuid, sha256(convert_to('bench-' || n, 'UTF8'))
        from generate_series(0, %(vehicles)s - 1) n;
        insert into latest_positions (
          vehicle_id, device_id, recorded_at, received_at, location, ward_id, speed_kmh, heading)
        select md5('vehicle ' || v)::uuid, md5('device ' || v)::uuid, %(end)s::timestamptz - v * interval '1 second',
               %(end)s::timestamptz, p.location, p.ward_id, (v * 7) %% 90 + 0.5, (v * 37) %% 360
        from generate_series(0, %(vehicles)s - 1) v
        join bench_places p on p.n = 1 + (v * 7919::bigint) %% %(incidents)s;
        """,
    ),
    (
        "positions",
        """
        insert into positions (
          id, device_id, recorded_at, vehicle_id, batch, received_at, location, ward_id, speed_kmh, heading)
        select md5('position ' || made.n)::uuid, md5('device ' || v)::uuid, at, md5('vehicle ' || v)::uuid,
               1 + (%(positions)s - 1 - made.n) / %(together)s, at, p.location, p.ward_id,
               made.n %% 90 + 0.5, made.n %% 360
        from (
          select n, n %% %(vehicles)s as v,
                 %(end)s::timestamptz - interval '1 hour'
                   - (n / %(vehicles)s)
                     * (interval '1 day' * %(position_days)s / (%(positions)s / %(vehicles)s)::float8) as at
          from generate_series(0::bigint, %(positions)s - 1) n
        ) made
        join bench_places p on p.n = 1 + (made.n * 7919) %% %(incidents)s;
        insert into position_batches (cursor, batch, stored_at, count)
        select batch, batch, max(received_at), count(*) from positions group by batch;
        update position_streams set cursor = (select max(cursor) from position_batches);
        select setval('position_batch', (select max(batch) from position_batches));
        """,
    ),
)


def fill(ground: Ground, scale: Scale) -> None:
    """Put the rows into a migrated, loaded county, and say how long each kind took."""
    values = {
        "incidents": scale.incidents,
        "vehicles": scale.vehicles,
        "positions": scale.positions,
        "incident_days": DAYS_OF_INCIDENTS,
        "position_days": DAYS_OF_POSITIONS,
        "together": TOGETHER,
        "end": end_of_seeds(),
    }
    with psycopg.connect(ground.county.owner_url, autocommit=True, cursor_factory=psycopg.ClientCursor) as owner:
        owner.execute("set session_replication_role = replica")
        owner.execute("set maintenance_work_mem = '512MB'")
        owner.execute("set work_mem = '256MB'")
        owner.execute(
            "select make_position_weeks(%s, now())", (end_of_seeds() - timedelta(days=DAYS_OF_POSITIONS + 1),)
        )
        for what, statement in _FILL:
            began = time.monotonic()
            if what == "positions":
                with _WithoutIndexes(owner, "positions"):
                    owner.execute(statement, values)
            else:
                owner.execute(statement, values)
            print(f"  {what}: {time.monotonic() - began:.0f} s", flush=True)
        owner.execute("drop table bench_places")
        began = time.monotonic()
        for table in SEEDED:
            owner.execute(f"vacuum analyze {table}")  # type: ignore[arg-type]
        owner.execute("checkpoint")
        print(f"  vacuumed: {time.monotonic() - began:.0f} s", flush=True)


class _WithoutIndexes:
    """While many rows come in, their table has no index and no key; afterwards it has those that it had."""

    def __init__(self, owner: psycopg.Connection, table: str) -> None:
        self._owner = owner
        self._table = table

    def __enter__(self) -> None:
        key = self._owner.execute(
            "select conname, pg_get_constraintdef(oid) from pg_constraint "
            "where conrelid = %s::regclass and contype = 'p'",
            (self._table,),
        ).fetchall()
        made = self._owner.execute(
            "select i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) from pg_index i "
            "where i.indrelid = %s::regclass and not i.indisprimary",
            (self._table,),
        ).fetchall()
        self._again = [f"alter table {self._table} add constraint {name} {told}" for name, told in key]
        self._again += [told.replace(" ON ONLY ", " ON ") for _, told in made]
        for name, _ in key:
            self._owner.execute(f"alter table {self._table} drop constraint {name}")  # type: ignore[arg-type]
        for name, _ in made:
            self._owner.execute(f"drop index {name}")  # type: ignore[arg-type]

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            for statement in self._again:
                self._owner.execute(statement)  # type: ignore[arg-type]
