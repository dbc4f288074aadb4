"""The county that is measured: a private cluster, seeded with the same rows on the same day, whoever runs it.

Rows are made in SQL and stored past the triggers, which would number, place and journal them one by one; what the
triggers would have said stands in them. Everything that is written while the benchmark runs goes through all of them.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import LiteralString

import psycopg

from tests.faults.ground import Ground


@dataclass(frozen=True)
class Scale:
    """How much there is of what."""

    incidents: int = 200_000
    vehicles: int = 1_000
    positions: int = 5_000_000
    position_days: int = 14
    """The days that the positions are of."""

    def __str__(self) -> str:
        return (
            f"{self.incidents:,} incidents, {self.vehicles:,} vehicles, {self.positions:,} positions of "
            f"{self.position_days} days"
        )


ORDINARY = Scale()
LARGE = Scale(incidents=10_000_000, positions=100_000_000, position_days=280)
"""Twenty times the days: trackers send no oftener in a county that has kept more."""
SMALL, GROWN = Scale(positions=50_000), Scale(incidents=1_000_000, positions=250_000, position_days=70)
"""Only to try the harness itself: its figures mean nothing."""

NAME = "coordinator"
"""Who asks: somebody who sees the whole county, and whom policies apply to all the same."""
DAYS_OF_INCIDENTS = 730
TOGETHER = 100
"""Positions that were stored in one batch."""
STOPS = 200_000
"""Places of the map, at most, where vehicles were."""

FILLING = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
}
"""The cluster's settings while it is filled: who is interrupted begins anew. None of them needs a restart."""


SEEDED = (
    "incidents",
    "vehicles",
    "devices",
    "device_keys",
    "latest_positions",
    "position_batches",
    "wards",
)


def end_of_seeds() -> datetime:
    """No seeded row is later: what is sent while the benchmark runs is news. Midnight before yesterday's end."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)


def key(number: int) -> str:
    """What the tracker of the vehicle with this number shows."""
    return f"bench-{number}"


_PLACES: LiteralString = """
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
"""

_INCIDENTS: LiteralString = """
insert into incidents (
  id, reference, kind, title, severity, certainty, urgency, status, location, ward_id, occurred_at, reported_at,
  source)
select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(said, 1, 3) || '8'
         || substr(said, 4, 15))::uuid,
       'INC-' || to_char(at at time zone 'Africa/Nairobi', 'YYYY') || '-'
         || lpad(n::text, greatest(6, length(n::text)), '0'),
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
"""

_VEHICLES: LiteralString = """
insert into vehicles (id, plate, kind, status)
select md5('vehicle ' || n)::uuid, 'KBN ' || lpad(n::text, 4, '0'),
       (array['ambulance', 'fire_engine', 'patrol_car', 'motorcycle', 'pickup', 'truck', 'car', 'bus'])
         [1 + n %% 8],
       (array['available', 'available', 'available', 'assigned', 'out_of_service'])[1 + n %% 5]
from generate_series(0, %(vehicles)s - 1) n;
insert into devices (id, vehicle_id, label, created_at)
select md5('device ' || n)::uuid, md5('vehicle ' || n)::uuid, 'Tracker ' || n,
       %(end)s::timestamptz - interval '1 day' * greatest(100, %(position_days)s + 10)
from generate_series(0, %(vehicles)s - 1) n;
insert into device_keys (device_id, digest)
select md5('device ' || n)::uuid, sha256(convert_to('bench-' || n, 'UTF8'))
from generate_series(0, %(vehicles)s - 1) n;
insert into latest_positions (
  vehicle_id, device_id, recorded_at, received_at, location, ward_id, speed_kmh, heading)
select md5('vehicle ' || v)::uuid, md5('device ' || v)::uuid, %(end)s::timestamptz - v * interval '1 second',
       %(end)s::timestamptz, p.location, p.ward_id, (v * 7) %% 90 + 0.5, (v * 37) %% 360
from generate_series(0, %(vehicles)s - 1) v
join bench_places p on p.n = 1 + (v * 7919::bigint) %% %(stops)s;
create unlogged table bench_trackers as
select n as v, md5('device ' || n)::uuid as id, md5('vehicle ' || n)::uuid as vehicle_id
from generate_series(0, %(vehicles)s - 1) n;
analyze bench_trackers;
"""

_WEEK: LiteralString = """
insert into {week} (
  id, device_id, recorded_at, vehicle_id, batch, received_at, location, ward_id, speed_kmh, heading)
select md5('position ' || made.n)::uuid, d.id, at, d.vehicle_id, 1 + (%(positions)s - 1 - made.n) / %(together)s, at,
       p.location, p.ward_id, (made.n %% 90)::real + 0.5::real, made.n %% 360
from (
  select n, n %% %(vehicles)s as v,
         %(end)s::timestamptz - interval '1 hour'
           - (n / %(vehicles)s)
             * (interval '1 day' * %(position_days)s / (%(positions)s / %(vehicles)s)::float8) as at
  -- The oldest first, as they come. `offset 0`: each moment is worked out once.
  from generate_series(%(oldest)s::bigint, %(newest)s::bigint, -1) n offset 0
) made
join bench_trackers d on d.v = made.v
join bench_places p on p.n = 1 + (made.n * 7919) %% %(stops)s
where at >= %(monday)s::timestamptz and at < %(monday)s::timestamptz + interval '7 days'
"""

# A batch is as old as its last position, which has the lowest number in it.
_BATCHES: LiteralString = """
insert into position_batches (cursor, batch, stored_at, count)
select b, b,
       %(end)s::timestamptz - interval '1 hour'
         - (greatest(%(positions)s - b * %(together)s, 0) / %(vehicles)s)
           * (interval '1 day' * %(position_days)s / (%(positions)s / %(vehicles)s)::float8),
       least(%(together)s, %(positions)s - (b - 1) * %(together)s)
from generate_series(1::bigint, (%(positions)s + %(together)s - 1) / %(together)s) b;
update position_streams set cursor = (select max(cursor) from position_batches);
select setval('position_batch', (select max(batch) from position_batches));
"""


def fill(ground: Ground, scale: Scale) -> None:
    """Put the rows into a migrated, loaded county of its own cluster, and say how long each kind took."""
    with _connected(ground.county.owner_url) as owner, _hurried(owner):
        seed(ground.county.owner_url, scale)
    os.sync()


def seed(url: str, scale: Scale) -> None:
    """The rows alone, with whatever settings the cluster has."""
    values = {
        "incidents": scale.incidents,
        "vehicles": scale.vehicles,
        "positions": scale.positions,
        "stops": min(scale.incidents, STOPS),
        "incident_days": DAYS_OF_INCIDENTS,
        "position_days": scale.position_days,
        "together": TOGETHER,
        "end": end_of_seeds(),
    }
    with _connected(url) as owner, _unjournalled(owner):
        _run(owner, "places", _PLACES, values)
        _run(owner, "vehicles", _VEHICLES, values)
        oldest = end_of_seeds() - timedelta(days=scale.position_days + 1)
        owner.execute("select make_position_weeks(%s, now())", (oldest,))
        weeks = _weeks(owner)
        incidents, positions = _Indexes(owner, "incidents"), _Indexes(owner, "positions")
        # Each table and each week is one connection's from its rows to its indexes, so that a processor has enough with
        # two of them, and rows lie in the order in which they came.
        with _progress("incidents and positions"), ThreadPoolExecutor(os.cpu_count()) as hands:
            work = [hands.submit(_incidents, url, values, incidents)]
            work += [hands.submit(_week, url, scale, values, week, positions) for week in weeks]
            for one in work:
                one.result()
        _run(owner, "batches", _BATCHES, values)
        with _progress("indexes of all positions"):
            positions.again(owner)
        owner.execute("drop table bench_places, bench_trackers")
        # Nothing was deleted, so that no index has anything to be cleaned of.
        vacuum = [f"vacuum (index_cleanup off, parallel 0) {table}" for table in (*weeks, *SEEDED)]
        analyze = [f"analyze {table}" for table in ("positions", *SEEDED)]
        with _progress("vacuumed"), ThreadPoolExecutor(os.cpu_count()) as hands:
            for statements in (vacuum, analyze):
                list(hands.map(partial(_alone, url), statements))


@contextmanager
def _hurried(owner: psycopg.Connection) -> Iterator[None]:
    """The cluster waits for no disk meanwhile; afterwards it is set up as it was, and everything is written."""
    for name, value in FILLING.items():
        owner.execute(f"alter system set {name} = '{value}'")  # type: ignore[arg-type]
    owner.execute("select pg_reload_conf()")
    yield
    for name in FILLING:
        owner.execute(f"alter system reset {name}")  # type: ignore[arg-type]
    owner.execute("select pg_reload_conf()")
    with _progress("written"):
        owner.execute("checkpoint")


@contextmanager
def _unjournalled(owner: psycopg.Connection) -> Iterator[None]:
    """The journal hears of everything, also of what is stored past the triggers: not meanwhile."""
    found = owner.execute("select tgrelid::regclass::text from pg_trigger where tgname = 'journal'").fetchall()
    tables = [table for (table,) in found if table in SEEDED]
    for table in tables:
        owner.execute(f"alter table {table} disable trigger journal")  # type: ignore[arg-type]
    yield
    for table in tables:
        owner.execute(f"alter table {table} enable always trigger journal")  # type: ignore[arg-type]


def _connected(url: str) -> psycopg.Connection:
    """One that stores past the triggers. Values stand in its statements, so that they are planned by them."""
    options = "-c session_replication_role=replica -c maintenance_work_mem=512MB -c work_mem=256MB"
    # Of a series' length PostgreSQL is not always sure, and would look places up one by one.
    options += " -c enable_nestloop=off"
    return psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor, options=options)


@contextmanager
def _progress(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    print(f"  {what}: {time.monotonic() - began:.0f} s", flush=True)


def _run(owner: psycopg.Connection, what: str, statement: LiteralString, values: dict[str, object]) -> None:
    with _progress(what):
        owner.execute(statement, values)


def _weeks(owner: psycopg.Connection) -> list[str]:
    """The partitions of positions, the oldest first."""
    found = owner.execute(
        "select inhrelid::regclass::text from pg_inherits where inhparent = 'positions'::regclass order by 1"
    )
    return [name for (name,) in found.fetchall()]


def _incidents(url: str, values: dict[str, object], indexes: _Indexes) -> None:
    with _connected(url) as owner:
        _run(owner, "incidents", _INCIDENTS, values)
        with _progress("indexes of incidents"):
            indexes.again(owner)


def _week(url: str, scale: Scale, values: dict[str, object], week: str, indexes: _Indexes) -> None:
    monday = datetime.strptime(week.removeprefix("positions_"), "%Y%m%d").replace(tzinfo=UTC)
    newest, oldest = numbers_between(scale, monday, monday + timedelta(days=7))
    if newest > oldest:
        return
    with _connected(url) as owner, owner.transaction():
        statement = _WEEK.format(week=week)
        owner.execute(statement, {**values, "monday": monday, "newest": newest, "oldest": oldest})  # type: ignore[arg-type]
        indexes.again(owner, week)


def numbers_between(scale: Scale, begin: datetime, end: datetime) -> tuple[int, int]:
    """The first and the last number of positions that may lie in a period; the higher the older."""
    rounds = scale.positions // scale.vehicles
    newest = end_of_seeds() - timedelta(hours=1)
    apart = timedelta(days=scale.position_days) / rounds
    first, last = (newest - end) // apart - 1, (newest - begin) // apart + 1
    return max(first, 0) * scale.vehicles, min((last + 1) * scale.vehicles, scale.positions) - 1


def _alone(url: str, statement: str) -> None:
    with _connected(url) as owner:
        owner.execute(statement)  # type: ignore[arg-type]


class _Indexes:
    """A table's indexes, and its key where nothing refers to it: dropped, and made again when it is full."""

    def __init__(self, owner: psycopg.Connection, table: str) -> None:
        self._table = table
        self._keys = owner.execute(
            "select conname, pg_get_constraintdef(oid) from pg_constraint c where conrelid = %s::regclass "
            "and contype = 'p' and not exists (select from pg_constraint where confrelid = c.conrelid)",
            (table,),
        ).fetchall()
        self._indexes = owner.execute(
            "select i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) from pg_index i "
            "where i.indrelid = %s::regclass and not exists (select from pg_constraint where conindid = i.indexrelid)",
            (table,),
        ).fetchall()
        for name, _ in self._keys:
            owner.execute(f"alter table {table} drop constraint {name}")  # type: ignore[arg-type]
        for name, _ in self._indexes:
            owner.execute(f"drop index {name}")  # type: ignore[arg-type]

    def again(self, owner: psycopg.Connection, part: str = "") -> None:
        """On the table, which takes those over that its parts have already; or on a part of it."""
        for name, told in self._keys:
            named = "" if part else f"constraint {name}"
            owner.execute(f"alter table {part or self._table} add {named} {told}")  # type: ignore[arg-type]
        for name, told in self._indexes:
            unique, how = re.fullmatch(r"CREATE (UNIQUE )?INDEX .*? ON .*?( USING .*)", told).groups("")  # type: ignore[union-attr]
            named = "" if part else name
            owner.execute(f"create {unique}index {named} on {part or self._table}{how}")  # type: ignore[arg-type]
