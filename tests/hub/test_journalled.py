"""What people do with the hub stands in the journal whole, and can be forgotten where the law demands it."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import asyncpg
import psycopg

from hub.identity import SERVICE
from hub.journal import erase, verify
from hub.users import accounts, add, change_areas, change_roles, disable, enable
from tests.conftest import County, Hub, make_person, running

REPORT = "mutation ($input: ReportIncidentInput!) { reportIncident(input: $input) { incident { id version } } }"
MOVE = "mutation ($input: ChangeIncidentStatusInput!) { changeIncidentStatus(input: $input) { incident { id } } }"
EDIT = "mutation ($input: EditIncidentInput!) { editIncident(input: $input) { incident { id } } }"
NOTE = "mutation ($input: NoteOnIncidentInput!) { noteOnIncident(input: $input) { incident { id } } }"
FLOOD = {"kind": "FLOOD", "title": "Nyando over its banks", "location": [34.9189, -0.1723]}
CALLER = {"reporterName": "Akinyi Canary", "reporterPhone": "+254 700 000 001"}


def differing(county: County) -> dict[str, int]:
    """Rows that are not what their entries say, by table."""
    with closing(psycopg.connect(county.owner_url)) as connection:
        tables = [name for (name,) in connection.execute("select tbl from journalled order by tbl").fetchall()]
        assert {"incidents", "incident_entries", "incident_reporters", "people", "person_roles", "person_areas"} <= {
            *tables
        }
        found = {
            table: connection.execute("select count(*) from differences(%s)", (table,)).fetchone() for table in tables
        }
        return {table: row[0] for table, row in found.items() if row and row[0]}


async def lived(hub: Hub) -> str:
    """An incident with everything that can happen to one; its id."""
    token = await hub.token("dispatcher")

    async def tell(mutation: str, **given: Any) -> Any:
        return await hub.ask(mutation, {"input": given}, token=token)

    made = (await tell(REPORT, **FLOOD, **CALLER))["reportIncident"]["incident"]
    await tell(MOVE, id=made["id"], status="VERIFIED", note="seen from the bridge")
    await tell(EDIT, id=made["id"], expectedVersion=2, location=[34.6, -0.2], occurredAt="2026-01-01T00:00:00Z")
    await tell(NOTE, id=made["id"], note="Akinyi Canary called again")
    return str(made["id"])


async def test_rows_of_people_and_incidents_are_what_their_entries_say(fresh_database: County) -> None:
    make_person(fresh_database, "dispatcher", "dispatcher")
    async with running(fresh_database.login_url) as hub:
        await lived(hub)
    with accounts(fresh_database.login_url) as connection:
        add(connection, "okello", "Okello", ["ward_administrator"], ["1208"])
        change_roles(connection, "okello", ["planner"], ["ward_administrator"])
        change_areas(connection, "okello", ["1210"], ["1208"])
        disable(connection, "okello")
        enable(connection, "okello")
    assert differing(fresh_database) == {}
    assert verify(fresh_database.login_url).flaws == ()


async def test_the_journal_tells_who_gave_a_role_and_who_took_it(fresh_database: County) -> None:
    with accounts(fresh_database.login_url) as connection:
        add(connection, "okello", "Okello", ["planner"], ["1208"])
        change_roles(connection, "okello", [], ["planner"])
    with closing(psycopg.connect(fresh_database.owner_url)) as connection:
        entries = connection.execute(
            "select op, after ->> 'role', after ->> 'revoked_at' is not null, audience from journal "
            "where tbl = 'person_roles' order by entry"
        ).fetchall()
    assert entries == [("insert", "planner", False, "duties"), ("update", None, True, "duties")]


async def test_a_caller_is_forgotten_and_the_journal_still_proves(fresh_database: County) -> None:
    make_person(fresh_database, "dispatcher", "dispatcher")
    async with running(fresh_database.login_url) as hub:
        await lived(hub)
        async with hub.app.state.sessions.connection(SERVICE) as connection:
            await forget(connection)
    with closing(psycopg.connect(fresh_database.owner_url)) as owner:
        for table in ("journal", "incident_reporters", "incident_entries"):
            kept = owner.execute(f"select string_agg(t::text, ' ') from {table} t").fetchone()
            assert kept is not None
            assert "Canary" not in kept[0]
    assert differing(fresh_database) == {}
    proof = verify(fresh_database.login_url)
    assert proof.flaws == ()
    assert proof.erased == 2


async def forget(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch("select object_id as id from journal where tbl = 'incident_reporters'")
    for row in rows:
        assert await erase(connection, "incident_reporters", row["id"], {"name": None, "phone": None}) == 1
    notes = await connection.fetch(
        "select object_id as id from journal where tbl = 'incident_entries' and after ->> 'note' like '%Canary%'"
    )
    assert len(notes) == 1
    for row in notes:
        assert await erase(connection, "incident_entries", row["id"], {"note": None}) == 1
    await connection.fetchval("select seal(1000)")
