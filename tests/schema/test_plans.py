"""How PostgreSQL goes about the hub's hottest questions, as whoever asks them: by which index, and how many rows it
looks at for each that it gives.

On 30,000 incidents and 400 vehicles, under the policies. A statement is planned anew for its values
(`hub/database/session.py`): with one plan for all of them a box reads every row in it. Only what reads few rows for any
values (`Statement.one_plan`) keeps its plan, and is looked at here with that one.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from hub.database.session import Sessions
from hub.identity import Caller
from hub.settings import Database, Limits
from schema.access import Scope
from schema.api import schema
from tests.conftest import County

SEEDS = """
set session_replication_role = replica;
-- It fires all the same, and takes longer than all of the rest.
alter table incidents disable trigger journal;
insert into incidents (reference, kind, title, severity, certainty, urgency, status, location, ward_id, occurred_at,
                       reported_at, source)
select 'INC-2026-' || lpad(row_number() over (order by n)::text, 6, '0'),
       (array['flood', 'fire', 'crime', 'medical'])[1 + n % 4], 'Incident ' || n,
       (array['minor', 'severe', 'moderate'])[1 + n % 3], 'observed', 'past',
       case when n % 50 = 0 then 'reported' when n % 50 = 1 then 'responding' else 'closed' end,
       place, w.id, now() - n * interval '20 minutes', now() - n * interval '20 minutes', 'phone'
from (
  -- A lattice over the county's wards: the same places each time.
  select n, st_point(
      34.45 + (n * 7919::bigint % 10007) / 10007.0 * 0.7, -0.45 + (n * 104729::bigint % 9973) / 9973.0 * 0.4, 4326
    ) as place
  from generate_series(1, 60000) n
) spread
join wards w on st_covers(w.boundary, place)
limit 30000;
insert into vehicles (plate, kind, status)
select 'KDA ' || lpad(n::text, 3, '0') || 'A', 'truck', (array['available', 'assigned'])[1 + n % 2]
from generate_series(1, 400) n;
insert into devices (vehicle_id, label) select id, 'A' from vehicles;
insert into latest_positions (vehicle_id, device_id, recorded_at, received_at, location)
select d.vehicle_id, d.id, now(), now(), i.location
from (select *, row_number() over (order by vehicle_id) n from devices) d
join (select location, row_number() over (order by reference) n from incidents) i using (n);
select make_position_weeks(now() - interval '3 days', now());
insert into positions (id, device_id, recorded_at, vehicle_id, batch, received_at, location)
select gen_random_uuid(), d.id, now() - n * interval '30 minutes', d.vehicle_id, 1, now(), st_point(34.7, -0.1, 4326)
from devices d, generate_series(0, 99) n;
alter table incidents enable always trigger journal;
"""

KNOWN = "INC-2026-000777"
IN_VIEW = """query ($bbox: BBox!, $first: Int!, $after: String) {
  incidents(where: { location: { bbox: $bbox } }, orderBy: [{ reportedAt: DESC }], first: $first, after: $after) {
    nodes { id title status location ward { code } }
    pageInfo { hasNextPage endCursor }
  }
}"""
OPEN = """{
  incidents(where: { status: { notIn: [CLOSED, REJECTED] } }, orderBy: [{ reportedAt: DESC }], first: 100) {
    nodes { id title status ward { code } }
  }
}"""
NEAR = """query ($at: Position!) {
  incidents(where: { location: { near: { point: $at, meters: 1500 } } }, first: 100) { nodes { id title } }
}"""
DAY = """query ($from: DateTime!, $to: DateTime!) {
  vehicle(plate: "KDA 007A") {
    positions(where: { recordedAt: { gte: $from, lt: $to } }, first: 1000) { nodes { recordedAt location } }
  }
}"""
FIGURES = """{
  incidentStats(groupBy: [WARD, SEVERITY], where: { status: { notIn: [CLOSED, REJECTED] } }) {
    ward { code } severity count
  }
}"""
HERE = """query ($at: Position!) {
  nearestVehicles(to: $at, first: 5, where: { status: { eq: AVAILABLE } }) { distanceMeters vehicle { plate } }
}"""
WIDE, TOWN, AT = [34.4, -0.4, 35.1, 0.0], [34.90, -0.19, 34.95, -0.14], [34.9189, -0.1723]


@dataclass(frozen=True)
class Hot:
    """A hot question, and what may be expected of its plan."""

    document: str
    variables: dict[str, Any]
    table: str
    """The large table that it is about."""
    indexes: tuple[str, ...]
    """One of which it goes by."""
    beside: float = 0
    """Rows that it may look at beside three for each that it gives: candidates that are ranked, a page's next row."""
    others: float = 0
    """The same where the caller sees two wards of 35."""
    small: bool = False
    """Whether the table is so small that it may as well be read whole."""
    one_plan: bool = False
    """Whether it is planned once for all values."""


HOT = {
    "the newest in a wide view": Hot(
        IN_VIEW, {"bbox": WIDE, "first": 50}, "incidents", ("incidents_reported_at",), 10, others=1000
    ),
    "all in a small view": Hot(IN_VIEW, {"bbox": TOWN, "first": 1000}, "incidents", ("incidents_location",)),
    "the open ones": Hot(OPEN, {}, "incidents", ("incidents_open",), others=1300),
    "close to a place": Hot(NEAR, {"at": AT}, "incidents", ("incidents_location",)),
    "one by its reference": Hot(
        f'{{ incident(reference: "{KNOWN}") {{ title timeline {{ nodes {{ at }} }} }} }}',
        {},
        "incidents",
        ("incidents_reference_key",),
        1,
    ),
    "figures of the open ones": Hot(FIGURES, {}, "incidents", ("incidents_open",), others=1300),
    "the ward of a place": Hot(
        "query ($at: Position!) { wardAt(point: $at) { code } }",
        {"at": AT},
        "wards",
        ("wards_boundary",),
        small=True,
        one_plan=True,
    ),
    "the nearest vehicles": Hot(
        HERE, {"at": AT}, "latest_positions", ("latest_positions_location",), 30, one_plan=True
    ),
    "the fleet": Hot(
        "{ vehicles(first: 1000) { nodes { plate latestPosition { location } } } }", {}, "vehicles", (), small=True
    ),
    "a vehicle's day": Hot(DAY, {}, "positions", ("positions_2",)),
}

CALLERS = {
    "county": Caller(Scope.COUNTY, roles=("coordinator",)),
    "area": Caller(Scope.AREA, roles=("ward_administrator",)),
    "public": Caller(Scope.PUBLIC),
}


@pytest.fixture(scope="module")
def large(copies: Callable[[], AbstractContextManager[County]]) -> Iterator[County]:
    with copies() as county:
        with psycopg.connect(county.owner_url, autocommit=True) as owner:
            owner.execute(SEEDS.encode())
            for table in ("incidents", "vehicles", "devices", "latest_positions", "positions", "wards"):
                owner.execute(f"vacuum analyze {table}".encode())
        yield county


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sessions(large: County) -> AsyncIterator[Sessions]:
    made = Sessions(large.login_url, Database(database_url=large.login_url))
    await made.open()
    yield made
    await made.close()


def steps(step: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield step
    for below in step.get("Plans", ()):
        yield from steps(below)


def looked_at(plan: dict[str, Any], table: str) -> float:
    """Rows of a table that the plan went through, also those that it then left out."""
    return sum(
        (step["Actual Rows"] + step.get("Rows Removed by Filter", 0) + step.get("Rows Removed by Index Recheck", 0))
        * step["Actual Loops"]
        for step in steps(plan)
        if step.get("Relation Name", "").startswith(table) and step["Node Type"] != "Bitmap Index Scan"
    )


def given(answer: Any) -> int:
    """How many rows an answer gives: of its (innermost) list, or one."""
    if isinstance(answer, list):
        return sum(each.get("count", 1) for each in answer)
    if not isinstance(answer, dict):
        return 0
    lists = [each for name, each in answer.items() if isinstance(each, (list, dict)) and name != "pageInfo"]
    return max((given(each) for each in lists), default=1)


@pytest.mark.parametrize("scope", CALLERS)
@pytest.mark.parametrize("name", HOT)
async def test_a_hot_question_goes_by_its_index_and_looks_at_little_more_than_it_gives(
    sessions: Sessions, large: County, name: str, scope: str
) -> None:
    hot, caller = HOT[name], CALLERS[scope]
    if scope == "area":
        with psycopg.connect(large.owner_url) as owner:
            wards = owner.execute("select id::text from wards where code in ('1208', '1210')").fetchall()
        caller = dataclasses.replace(caller, areas=tuple(id_ for (id_,) in wards))
    now = datetime.now(UTC)
    day = {"from": (now - timedelta(days=1)).isoformat(), "to": now.isoformat()}
    made, parameters = schema.compiled(
        hot.document, hot.variables or (day if "$from" in hot.document else {}), None, Limits()
    )
    assert made.one_plan is hot.one_plan
    async with sessions.connection(caller, one_plan=made.one_plan) as connection:
        for _ in range(7):  # from the sixth on PostgreSQL might take a generic plan
            (answer,) = await connection.fetchrow(made.sql, *parameters)
        if made.one_plan:  # EXPLAIN itself always plans with the values: what is prepared does not
            await connection.execute(f"prepare hot as {made.sql}")
            values = ", ".join(f"'{value}'" for value in parameters)
            found = await connection.fetchval(f"explain (analyze, format json) execute hot({values})")
            await connection.execute("deallocate hot")
        else:
            found = await connection.fetchval(f"explain (analyze, format json) {made.sql}", *parameters)
    plan, rows = json.loads(found)[0]["Plan"], given(json.loads(answer))
    read = looked_at(plan, hot.table)
    told = f"{read:.0f} rows looked at for {rows} given"
    if scope == "public" and hot.table != "wards":  # to whom nothing of it is shown, for them nothing is read
        assert (rows, read) == (0, 0)
        return
    used = {step["Index Name"] for step in steps(plan) if "Index Name" in step}
    if rows:
        assert not hot.indexes or any(index in each for index in hot.indexes for each in used), used
    # Whoever sees two wards of 35 has others' rows looked at where an order goes by an index of all: of the open ones,
    # of which there are few, all.
    others = {"area": hot.others}.get(scope, 0)
    assert read <= 3 * rows + hot.beside + others, told
    if not hot.small:
        assert not [
            step for step in steps(plan) if step["Node Type"] == "Seq Scan" and step["Relation Name"] == hot.table
        ]
