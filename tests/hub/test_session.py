"""A connection never carries a former caller: fresh, returned, errored, timed out or cancelled, with nobody asking it
sees nothing. And when the database is away, busy or back, callers learn just that."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text

from hub.county.load import load_county
from hub.database.migrate import migrate
from hub.database.session import Sessions
from hub.identity import NOBODY, PUBLIC, Caller
from hub.settings import Database, Settings
from schema.access import ACCESS, Scope
from schema.errors import NotFound, RateLimited, Unavailable
from tests.conftest import County, Hub, at, ended, running, started

AMINA, OTIENO = "01900000-0000-7000-8000-00000000000a", "01900000-0000-7000-8000-00000000000b"

TABLES = sorted(table for noun in ACCESS.nouns.values() for table in noun.tables)
OFFICER = Caller(
    Scope.AREA, "0190b4a2-7c1e-7d3a-9f00-1b2c3d4e5f60", ("warden",), ("0190b4a2-7c1e-7d3a-9f00-1b2c3d4e5f61",)
)
CHIEF = Caller(Scope.COUNTY, "0190b4a2-7c1e-7d3a-9f00-1b2c3d4e5f62", ("director", "auditor"))
CITIZEN = Caller(Scope.OWN, "0190b4a2-7c1e-7d3a-9f00-1b2c3d4e5f63")

WHO = """
select pg_backend_pid() as pid, current_user::text as role, session_user::text as login,
  current_setting('hub.person', true) as person, current_setting('hub.roles', true) as roles,
  current_setting('hub.areas', true) as areas, current_setting('statement_timeout') as timeout
"""


@asynccontextmanager
async def opened(county: County, **settings: Any) -> AsyncIterator[Sessions]:
    sessions = Sessions(county.login_url, Database(database_url=county.login_url, **settings))
    await sessions.open()
    try:
        yield sessions
    finally:
        await sessions.close()


async def who(sessions: Sessions, caller: Caller) -> asyncpg.Record:
    async with sessions.connection(caller) as connection:
        return await connection.fetchrow(WHO)


async def test_one_plan_for_all_values_is_for_who_asks_for_it_alone(database: County) -> None:
    async with opened(database, pool_size=1) as sessions:
        modes = []
        for one_plan in (False, True, True, False):
            (row,) = await sessions.fetch(PUBLIC, "show plan_cache_mode", [], one_plan=one_plan)
            modes.append(row[0])
        assert modes == ["force_custom_plan", "force_generic_plan", "force_generic_plan", "force_custom_plan"]
        await sessions.fetch(PUBLIC, "select 1", [], one_plan=True)
        async with sessions.connection(PUBLIC) as connection:  # a change, an export
            assert await connection.fetchval("show plan_cache_mode") == "force_custom_plan"


async def sees_nothing(sessions: Sessions) -> int:
    """Nobody is refused every table. Returns the server process that refused."""
    for table in TABLES:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with sessions.connection() as connection:
                await connection.fetchval(f"select count(*) from public.{table}")
    found = await who(sessions, NOBODY)
    assert found["role"] == found["login"] == "hub_login"
    assert not found["person"]
    assert not found["roles"]
    assert not found["areas"]
    return found["pid"]


async def reads_wards(sessions: Sessions, caller: Caller = PUBLIC) -> int:
    """Returns the server process that read."""
    async with sessions.connection(caller) as connection:
        assert await connection.fetchval("select count(*) from wards") == 35
        return await connection.fetchval("select pg_backend_pid()")


async def test_a_fresh_connection_sees_nothing(database: County) -> None:
    async with opened(database, pool_size=1) as sessions:
        await sees_nothing(sessions)


@pytest.mark.parametrize("caller", [PUBLIC, OFFICER, CHIEF], ids=lambda caller: caller.scope.name.lower())
async def test_a_returned_connection_sees_nothing(database: County, caller: Caller) -> None:
    async with opened(database, pool_size=1) as sessions:
        before = await reads_wards(sessions, caller)
        assert await sees_nothing(sessions) == before  # it is the very connection that could see


async def test_an_errored_connection_sees_nothing_and_serves_on(database: County) -> None:
    async with opened(database, pool_size=1) as sessions:
        before = await reads_wards(sessions)
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with sessions.connection(PUBLIC) as connection:
                await connection.fetchval("select 1 / 0")
        assert await sees_nothing(sessions) == before
        assert await reads_wards(sessions) == before


async def test_a_connection_that_erred_in_a_transaction_sees_nothing(database: County) -> None:
    async with opened(database, pool_size=1) as sessions:

        async def fails() -> None:
            async with sessions.connection(CHIEF) as connection, connection.transaction():
                await connection.execute("set local hub.person = 'somebody else'")
                await connection.fetchval("select * from no_such_table")

        with pytest.raises(asyncpg.UndefinedTableError):
            await fails()
        await sees_nothing(sessions)
        # A rollback takes back what was set in its transaction, so that who is asking must not be set in one.
        assert (await who(sessions, CHIEF))["person"] == CHIEF.person


async def test_a_cancelled_connection_is_never_used_again(database: County) -> None:
    async with opened(database, pool_size=1) as sessions:
        before = await reads_wards(sessions)
        task = asyncio.create_task(sleeps(sessions, PUBLIC, 30))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        after = await sees_nothing(sessions)
        assert after != before
        assert await eventually(lambda: gone(database, before)), "the cancelled statement still runs"


async def test_a_caller_who_fails_between_two_statements_gives_no_connection_back(database: County) -> None:
    async with opened(database, pool_size=1) as sessions:
        before = await reads_wards(sessions, CHIEF)

        async def fails() -> None:
            async with sessions.connection(CHIEF) as connection:
                assert await connection.fetchval("select pg_backend_pid()") == before
                raise KeyError

        with pytest.raises(KeyError):
            await fails()
        assert await sees_nothing(sessions) != before


async def test_a_refused_change_leaves_nothing_and_costs_no_connection(database: County) -> None:
    async with opened(database, pool_size=1) as sessions:
        before = await reads_wards(sessions, CHIEF)

        async def refused() -> None:
            async with sessions.change(CHIEF) as change:
                await change.rows(text("set local hub.person = 'somebody else'"))
                raise NotFound

        for _ in range(3):
            with pytest.raises(NotFound):
                await refused()
        assert (await who(sessions, CHIEF))["person"] == CHIEF.person
        assert await sees_nothing(sessions) == before


async def test_a_timed_out_connection_sees_nothing(database: County) -> None:
    async with opened(database, pool_size=1, statement_seconds=0.2) as sessions:
        before = await reads_wards(sessions)
        with pytest.raises(Unavailable, match=r"over 0\.2 seconds"):
            await sleeps(sessions, PUBLIC, 5)
        assert await sees_nothing(sessions) == before
        with pytest.raises(Unavailable, match=r"over 0\.2 seconds"):
            await sleeps(sessions, PUBLIC, 5)


async def test_a_connection_says_who_is_asking(database: County) -> None:
    async with opened(database, pool_size=1, statement_seconds=7) as sessions:
        for caller in (CHIEF, PUBLIC, OFFICER, NOBODY, CITIZEN, CITIZEN, NOBODY, CHIEF):
            found = await who(sessions, caller)
            assert found["role"] == (caller.scope.value if caller.scope else "hub_login")
            assert found["person"] == caller.person
            assert found["roles"] == ",".join(caller.roles)
            assert found["areas"].strip("{}") == ",".join(caller.areas)
            assert found["timeout"] == ("5s" if caller in (PUBLIC, CITIZEN) else "7s")


async def test_a_caller_is_told_to_the_database_only_when_it_differs_from_the_last(database: County) -> None:
    async with opened(database, pool_size=1) as sessions:
        said: list[str] = []
        async with sessions.connection(PUBLIC) as connection:
            connection.add_query_logger(lambda record: said.append(record.query))
        for caller in (PUBLIC, PUBLIC, CHIEF, CHIEF, PUBLIC):
            async with sessions.connection(caller):
                pass
        assert sum("set_config" in query for query in said) == 2


async def test_an_open_transaction_is_not_handed_on(database: County) -> None:
    async with opened(database, pool_size=1) as sessions:
        async with sessions.connection(PUBLIC) as connection:
            pid = await connection.fetchval("select pg_backend_pid()")
            await connection.execute("begin")
        async with sessions.connection(PUBLIC) as connection:
            assert not connection.is_in_transaction()
            assert await connection.fetchval("select pg_backend_pid()") == pid


async def test_a_full_pool_is_waited_for_and_then_unavailable(database: County) -> None:
    async with opened(database, pool_size=2, wait_seconds=0.3) as sessions:
        async with sessions.connection(PUBLIC), sessions.connection(PUBLIC):
            begun = time.monotonic()
            with pytest.raises(Unavailable, match="in use"):
                await reads_wards(sessions)
            assert 0.25 < time.monotonic() - begun < 2
        await reads_wards(sessions)
        holders = [asyncio.create_task(sleeps(sessions, PUBLIC, 0.1)) for _ in range(2)]
        await asyncio.sleep(0)
        await reads_wards(sessions)  # comes free while it waits
        await asyncio.gather(*holders)


async def test_one_caller_leaves_connections_to_the_others(database: County) -> None:
    one, other = Caller(Scope.COUNTY, AMINA, ("coordinator",)), Caller(Scope.COUNTY, OTIENO, ("coordinator",))
    async with opened(database, pool_size=4, caller_connections=2, wait_seconds=0.3) as sessions:
        async with sessions.connection(one), sessions.connection(one):
            begun = time.monotonic()
            with pytest.raises(RateLimited, match="HUB_CALLER_CONNECTIONS") as refused:
                await reads_wards(sessions, one)
            assert refused.value.details == {"limit": 2}
            assert 0.25 < time.monotonic() - begun < 2
            await reads_wards(sessions, other)
            await reads_wards(sessions, PUBLIC)
        # Everything that was used is free again, also what nobody waited for any longer.
        await asyncio.gather(*(reads_wards(sessions, one) for _ in range(20)))
        assert (sessions.turns._used, sessions.turns._waiting) == ({}, {})


async def test_who_waits_for_their_own_turn_is_next_and_may_give_up(database: County) -> None:
    one = Caller(Scope.COUNTY, AMINA, ("coordinator",))
    async with opened(database, pool_size=4, caller_connections=1, wait_seconds=2) as sessions:
        holder = asyncio.create_task(sleeps(sessions, one, 0.3))
        await asyncio.sleep(0.1)
        waiting = [asyncio.create_task(reads_wards(sessions, one)) for _ in range(4)]
        await asyncio.sleep(0.05)
        waiting[0].cancel()
        waiting[2].cancel()
        await holder
        told = await asyncio.gather(*waiting, return_exceptions=True)
        assert [isinstance(each, asyncio.CancelledError) for each in told] == [True, False, True, False]
        assert all(isinstance(each, int) for each in told[1::2])
        assert (sessions.turns._used, sessions.turns._waiting) == ({}, {})


async def test_the_public_gets_less_time_than_who_is_signed_in(database: County) -> None:
    one = Caller(Scope.COUNTY, AMINA, ("coordinator",))
    async with opened(database, statement_seconds=5, public_statement_seconds=0.2) as sessions:
        for caller in (PUBLIC, Caller(Scope.OWN, AMINA, ("citizen",))):
            with pytest.raises(Unavailable, match=r"over 0\.2 seconds"):
                await sleeps(sessions, caller, 0.5)
        await sleeps(sessions, one, 0.5)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://hub_login@/hub?host=/nonexistent",
        "postgresql://hub_login@127.0.0.1:9/hub",
    ],
)
async def test_a_database_that_does_not_answer_is_unavailable(url: str) -> None:
    sessions = Sessions(url, Database(database_url=url, wait_seconds=1))
    await sessions.open()
    with pytest.raises(Unavailable):
        await reads_wards(sessions)
    await sessions.close()


async def test_a_database_that_turns_the_hub_away_is_unavailable(database: County) -> None:
    for wrong in (
        database.login_url.replace(database.name, "no_such_database"),
        database.login_url.replace("hub_login", "no_such_role"),
    ):
        sessions = Sessions(wrong, Database(database_url=wrong))
        await sessions.open()
        with pytest.raises(Unavailable):
            await reads_wards(sessions)
        await sessions.close()


# -- over HTTP ---------------------------------------------------------------------------------------------------------


async def test_an_answer_that_takes_too_long_is_unavailable(fresh_database: County) -> None:
    settings = Settings(database=Database(database_url=fresh_database.login_url, statement_seconds=0.3))
    async with running(fresh_database.login_url, settings) as hub:
        with psycopg.connect(fresh_database.owner_url) as locker:
            locker.execute("lock table wards in access exclusive mode")
            response = await hub.post("{ wards { totalCount } }")
            assert response.status_code == 503
            assert response.headers["retry-after"] == "1"
            told = response.json()["errors"][0]
            assert told["extensions"]["code"] == "UNAVAILABLE"
            assert "0.3 seconds" in told["message"]
        assert await hub.ask("{ wards { totalCount } }") == {"wards": {"totalCount": 35}}


async def test_a_hub_whose_connections_are_all_in_use_is_unavailable(database: County) -> None:
    settings = Settings(database=Database(database_url=database.login_url, pool_size=1, wait_seconds=0.3))
    async with running(database.login_url, settings) as hub:
        async with hub.app.state.sessions.connection(PUBLIC) as connection:
            before = await connection.fetchval("select pg_backend_pid()")
            begun = time.monotonic()
            assert (await hub.refusal("{ wards { totalCount } }"))[:2] == (503, "UNAVAILABLE")
            assert time.monotonic() - begun < 0.55, "waited twice"
        # Whoever is busy is not broken: new connections would be the last thing that a busy database needs.
        assert await reads_wards(hub.app.state.sessions) == before
        assert await hub.ask("{ wards { totalCount } }") == {"wards": {"totalCount": 35}}


async def test_connections_that_died_are_replaced_unnoticed(fresh_database: County) -> None:
    async with running(fresh_database.login_url) as hub:
        await asyncio.gather(*(hub.ask("{ wards { totalCount } }") for _ in range(8)))
        for _ in range(3):
            with psycopg.connect(fresh_database.owner_url, autocommit=True) as connection:
                connection.execute(
                    "select pg_terminate_backend(pid, 1000) from pg_stat_activity "
                    "where datname = current_database() and pid <> pg_backend_pid()"
                )
            answers = await asyncio.gather(*(hub.ask("{ wards { totalCount } }") for _ in range(8)))
            assert answers == [{"wards": {"totalCount": 35}}] * 8


async def test_a_hub_survives_the_restart_of_its_database() -> None:
    cluster = await asyncio.to_thread(started)
    try:
        county = at(cluster, "restarted")
        cluster.create_database(county.name)
        migrate(county.owner_url, county.login_url)
        load_county(county.owner_url)
        settings = Settings(database=Database(database_url=county.login_url, wait_seconds=1))
        async with running(county.login_url, settings) as hub:
            assert await is_green(hub)
            for _ in range(2):
                await asyncio.to_thread(cluster.stop)
                for _ in range(3):
                    begun = time.monotonic()
                    status, code, message = await hub.refusal("{ wards { totalCount } }")
                    assert (status, code) == (503, "UNAVAILABLE"), message
                    assert time.monotonic() - begun < 3
                assert (await hub.http.get("/health/ready")).status_code == 503
                await asyncio.to_thread(cluster.start)
                assert await eventually(lambda: is_green(hub), 10)
            # Stopped under load: every answer is right or says that the hub is unavailable.
            asking = asyncio.create_task(ask_on(hub, 400))
            await asyncio.sleep(0.3)
            await asyncio.to_thread(cluster.stop)
            await asyncio.to_thread(cluster.start)
            said = await asking
            assert said <= {(200, None), (503, "UNAVAILABLE")}, said
            assert await eventually(lambda: is_green(hub), 10)
    finally:
        await asyncio.to_thread(ended, cluster)


async def ask_on(hub: Hub, times: int) -> set[tuple[int, str | None]]:
    said = set()
    for _ in range(times // 8):
        for response in await asyncio.gather(*(hub.post("{ wards { totalCount } }") for _ in range(8))):
            errors = response.json().get("errors")
            said.add((response.status_code, errors[0]["extensions"]["code"] if errors else None))
        await asyncio.sleep(0.01)
    return said


# -- many callers at once ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
async def test_callers_never_meet_on_a_connection(database: County, seed: int) -> None:
    """Random callers on two connections, some cancelled, some failing, some too slow: each sees only its own name."""
    dice = random.Random(seed)
    callers = [NOBODY, PUBLIC, OFFICER, CHIEF, CITIZEN]
    callers += [Caller(scope, f"0190b4a2-7c1e-7d3a-9f00-{number:012x}") for scope in Scope for number in range(3)]
    seen = 0

    async def work(sessions: Sessions, caller: Caller, deed: str, pause: float) -> None:
        nonlocal seen
        async with sessions.connection(caller) as connection:
            for _ in range(2):
                found = await connection.fetchrow(WHO)
                assert found["role"] == (caller.scope.value if caller.scope else "hub_login")
                assert found["person"] == caller.person
                assert found["roles"] == ",".join(caller.roles)
                seen += 1
                await asyncio.sleep(0)
            match deed:
                case "fails":
                    await connection.fetchval("select 1 / 0")
                case "breaks":
                    raise KeyError
                case "times out":
                    await connection.fetchval("select pg_sleep(5)")
                case "sleeps":
                    await connection.fetchval("select pg_sleep($1)", pause)
                case "in a transaction":
                    async with connection.transaction():
                        await connection.execute("set local hub.person = 'lost'")
                        await connection.fetchval("select 1 / 0")

    deeds = ["reads"] * 6 + ["sleeps", "fails", "breaks", "in a transaction"]
    async with opened(database, pool_size=2, wait_seconds=10, statement_seconds=0.3) as sessions:
        tasks = []
        for at_ in range(150):
            deed = "times out" if at_ % 50 == 7 else dice.choice(deeds)
            task = asyncio.create_task(work(sessions, dice.choice(callers), deed, dice.random() / 100))
            tasks.append(task)
            if dice.random() < 0.3:
                asyncio.get_running_loop().call_later(dice.random() / 10, task.cancel)
            if dice.random() < 0.2:
                await asyncio.sleep(dice.random() / 100)
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            fine = (asyncio.CancelledError, asyncpg.DivisionByZeroError, KeyError, Unavailable)
            assert outcome is None or isinstance(outcome, fine), outcome
        assert seen > 50
        # No connection was lost on the way: all of them are still to be had at once.
        async with sessions.connection(PUBLIC) as one, sessions.connection(CHIEF) as other:
            assert await one.fetchval("select current_user") == "hub_public"
            assert await other.fetchval("select current_user") == "hub_county"
        await sees_nothing(sessions)


async def sleeps(sessions: Sessions, caller: Caller, seconds: float) -> None:
    async with sessions.connection(caller) as connection:
        await connection.fetchval("select pg_sleep($1)", seconds)


async def gone(county: County, pid: int) -> bool:
    """Whether a server process has ended, or at least runs nothing."""
    with psycopg.connect(county.owner_url) as connection:
        found = connection.execute("select state from pg_stat_activity where pid = %s", (pid,)).fetchone()
    return found is None or found[0] != "active"


async def is_green(hub: Hub) -> bool:
    with suppress(AssertionError):
        assert await hub.ask("{ wards { totalCount } }") == {"wards": {"totalCount": 35}}
        return (await hub.http.get("/health/ready")).status_code == 200
    return False


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if await condition():
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_slow_reader_keeps_a_stream_and_gets_the_rows_of_its_beginning(fresh_database: County) -> None:
    with psycopg.connect(fresh_database.owner_url, autocommit=True) as owner:
        name = sql.Identifier(fresh_database.name)
        owner.execute(sql.SQL("alter database {} set idle_in_transaction_session_timeout = '300ms'").format(name))
    sessions = Sessions(fresh_database.login_url, Database())
    await sessions.open()
    try:
        found: list[int] = []
        async for rows in sessions.stream(PUBLIC, "select generate_series(1, 7)", [], 3):
            found += [number for (number,) in rows]
            await asyncio.sleep(0.6)
        assert found == list(range(1, 8))
        # None, and a number that goes in whole: at least one list, and none too many.
        for many, lists in ((0, [0]), (6, [3, 3])):
            asked = f"select generate_series(1, {many})"
            assert [len(rows) async for rows in sessions.stream(PUBLIC, asked, [], 3)] == lists
        # Whoever leaves in the middle leaves the connection to others.
        stream = sessions.stream(PUBLIC, "select generate_series(1, 100000)", [], 3)
        assert len(await anext(stream)) == 3
        await stream.aclose()  # type: ignore[attr-defined]
        assert await sessions.fetch(PUBLIC, "select 1 as one", [])
    finally:
        await sessions.close()
