"""Row by row: what each caller's connection finds in each table is what `schema/access.py` says, worked out by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from hub.identity import NOBODY
from hub.identity import Caller as Identified
from hub.identity.seeing import seen_as
from schema.access import ACCESS, Reach, Scope
from tests.leaks.callers import CALLERS, Caller
from tests.leaks.conftest import opened
from tests.leaks.rights import CLOSED, GUARDED, KEYS, TABLES, VIEWS, Facts, differences

if TYPE_CHECKING:
    from hub.database.session import Sessions
    from tests.leaks.conftest import World

STANDING = [pytest.param(each, id=each.name) for each in CALLERS if not each.gone]


ADMINISTRATOR = next(each for each in CALLERS if each.roles == ("administrator",))


async def identified(sessions: Sessions, facts: Facts, caller: Caller) -> Identified:
    """The caller as the database is told."""
    if caller.person is None:
        return Identified(Scope.PUBLIC)
    if caller.sees_as:
        return await seen_as(sessions, await identified(sessions, facts, ADMINISTRATOR), caller.sees_as)
    held = tuple(sorted(facts.roles(caller) - {ACCESS.public}))
    return Identified(ACCESS.widest(held), facts.person(caller), held, tuple(sorted(facts.areas(caller))))


async def keys(sessions: Sessions, caller: Identified, table: str, key: str, more: str = "") -> set[str]:
    try:
        async with sessions.connection(caller) as connection, connection.transaction():
            return {str(row[0]) for row in await connection.fetch(f"select {key} from {table} {more}")}
    except (asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError):
        return set()


@pytest.mark.parametrize("caller", STANDING)
async def test_a_connection_finds_the_rows_that_the_access_table_gives_its_caller(world: World, caller: Caller) -> None:
    facts = world.facts
    async with opened(world.county) as hub:
        sessions = hub.app.state.sessions
        who = await identified(sessions, facts, caller)
        wrong = []
        for table in TABLES:
            expected = facts.seen(caller, table)
            wrong += [
                f"{table}: {each}" for each in differences(expected, await keys(sessions, who, table, _key(table)))
            ]
            # What one may change is what `for update` finds: policies of reading and of changing both.
            expected &= facts.seen(caller, table, "write")
            found = await keys(sessions, who, table, _key(table), "for update")
            wrong += [f"{table}, to change: {each}" for each in differences(expected, found)]
        heard = {str(entry) for entry in facts.heard(caller)}
        wrong += [
            f"journal: {each}" for each in differences(heard, await keys(sessions, who, "public.journal", "entry"))
        ]
        for name in CLOSED - {"journal"}:
            for table in ACCESS.nouns[name].tables:
                found = await keys(sessions, who, table, "1")
                wrong += [f"{table} is open"] if found else []
        assert wrong == [], caller.name


async def test_with_nobody_asking_every_table_is_closed(world: World) -> None:
    async with opened(world.county) as hub:
        for table in sorted(table for noun in ACCESS.nouns.values() for table in noun.tables):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with hub.app.state.sessions.connection(NOBODY) as connection:
                    await connection.fetch(f"select from public.{table}")


def test_every_role_asks() -> None:
    alone = {each.roles for each in CALLERS if not each.gone and not each.sees_as}
    assert {(role,) for role in ACCESS.personal} <= alone
    assert any(each.person is None for each in CALLERS)
    assert any(len(roles) > 1 for roles in alone)


def test_the_world_tells_every_caller_apart_from_the_next(world: World) -> None:
    """A matrix in which everybody sees the same, or a noun is empty, would prove nothing."""
    facts = world.facts
    for table in TABLES:
        assert facts.rows[table], f"the world holds no row of {table}: put one in tests/leaks/world.py"
        counts = {len(facts.seen(each, table)) for each in CALLERS}
        assert 0 in counts, f"{table}: everybody sees some of it"
        some = {right.read for role in ACCESS.roles.values() if (right := role.rights.get(TABLES[table]))}
        if some & {Reach.OWN, Reach.AREA}:
            assert len(counts) > 2, f"{table}: nobody sees a part of it"


def test_every_text_of_the_world_is_a_canary(world: World) -> None:
    """A new column is not proven by rows that leave it empty."""
    bare = []
    for table, rows in world.facts.rows.items():
        if table in VIEWS:  # worked out from rows that are canaries themselves
            continue
        held = {column for places in world.facts.register.values() for at, _, column in places if at == table}
        columns = {column for row in rows.values() for column in row} - held - PLAIN.get(table, set()) - COMMON
        bare += [f"{table}.{column}" for column in columns]
    assert sorted(bare) == []


COMMON = {"node", "version"}
MEASURED = {"speed_kmh", "heading", "altitude_meters", "accuracy_meters", "battery"}
INCIDENT = {
    "kind",
    "severity",
    "certainty",
    "urgency",
    "status",
    "source",
    "ward_id",
    "beyond_border",
    "precision",
}
VEHICLE = {"kind", "status", "demonstration"}
VERSION = {"number", "valid", "known"}
PLAIN = {
    # Words of a vocabulary; which row they come from is told by the rows' keys.
    "people": {"disabled_at", "created_at"},
    "person_roles": {"role", "granted_by", "revoked_at"},
    "person_areas": {"area_id", "until"},
    "incidents": INCIDENT,
    "incident_versions": INCIDENT | VERSION,
    "incident_entries": {"kind", "from_status", "to_status"},
    # The bytes are canaries, too: test_doors.py looks for them where they go out.
    "vehicles": VEHICLE,
    "vehicle_versions": VEHICLE | VERSION,
    "devices": {"revoked_at"},
    "vehicle_drivers": {"until"},
    "positions": {"ward_id", *MEASURED, "batch", "doubts", "extra"},
    "latest_positions": {"ward_id", *MEASURED},
    "quarantined_fixes": {"reason", "said"},
    "units": {"demonstration"},
    "beats": {"retired_at", "demonstration"},
    "checkpoints": {"radius_meters"},
    "patrols": {"status", "day", "buffer_meters", "ended_at", "demonstration"},
    "patrol_members": {"leads"},
    "photos": {"width", "height", "image", "thumbnail", "erased_at"},
}


def _key(table: str) -> str:
    from schema.compiler.mapping import metadata

    return KEYS.get(table, [str(next(iter(metadata.tables[table].primary_key.columns)).name)])[0]


def test_guarded_nouns_are_read_by_somebody() -> None:
    assert {name for name in GUARDED if not ACCESS.is_asked_for(name)} == set()
