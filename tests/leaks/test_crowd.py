"""I2: the same questions, all callers at once, shuffled, on two connections, some of them broken off in the middle:
every answer is the very bytes that its caller gets alone."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import TYPE_CHECKING

import asyncpg
import pytest

from hub.database.session import Sessions
from hub.identity import NOBODY, PUBLIC
from hub.settings import Database
from schema.errors import Unavailable
from tests.leaks.callers import CALLERS, Caller
from tests.leaks.conftest import World, opened
from tests.leaks.questions import Question
from tests.leaks.rights import TABLES
from tests.leaks.test_answers import all_questions, ask
from tests.leaks.test_rows import _key, identified

if TYPE_CHECKING:
    from tests.conftest import Hub

ROUNDS = 300
PRESENT = [each for each in CALLERS if not each.gone]


@pytest.mark.parametrize("seed", range(2))
async def test_nobody_gets_anothers_answer_in_a_crowd(world: World, seed: int) -> None:
    dice = random.Random(seed)
    async with opened(world.county, pool_size=2, wait_seconds=30) as hub:
        questions = dice.sample(await all_questions(world, hub), 12)
        alone = {
            (caller.name, question.document): (await ask(hub, world, caller, question)).content
            for caller in PRESENT
            for question in questions
        }
        assert len(set(alone.values())) > len(questions) * 2, "everybody sees the same: this would prove nothing"
        outcomes = {"answered": 0, "broken off": 0}

        async def one(caller: Caller, question: Question) -> None:
            answer = await ask(hub, world, caller, question)
            assert answer.content == alone[caller.name, question.document], (caller.name, question.about)
            outcomes["answered"] += 1

        async def holds() -> None:
            with suppress(Unavailable):
                async with hub.app.state.sessions.connection(PUBLIC) as connection:
                    await connection.fetchval("select pg_sleep($1)", dice.random() / 50)

        tasks: list[asyncio.Task[None]] = []
        for number in range(ROUNDS):
            work = holds() if number % 25 == 7 else one(dice.choice(PRESENT), dice.choice(questions))
            task = asyncio.create_task(work)
            tasks.append(task)
            if dice.random() < 0.3:
                # Somewhere between its first step and its last: while it waits, asks, or is answered.
                asyncio.get_running_loop().call_later(dice.random() / 8, task.cancel)
            if number % 16 == 0:
                await asyncio.sleep(dice.random() / 30)
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, asyncio.CancelledError):
                outcomes["broken off"] += 1
            elif outcome is not None:
                raise outcome
        assert outcomes["answered"] > ROUNDS / 4, outcomes
        assert outcomes["broken off"] > ROUNDS / 20, outcomes
        await sees_nothing(hub)
        for caller in PRESENT:
            await one(caller, questions[0])


async def sees_nothing(hub: Hub) -> None:
    """With nobody asking, each of the pool's connections is closed to everything."""
    sessions = hub.app.state.sessions
    async with sessions.connection(NOBODY) as first, sessions.connection(NOBODY) as second:
        for connection in (first, second):
            for table in (*TABLES, "journal"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.fetch(f"select from public.{table}")


@pytest.mark.parametrize("plans", ["auto", "force_generic_plan", "force_custom_plan"])
async def test_one_prepared_statement_gives_each_caller_their_own_rows(world: World, plans: str) -> None:
    """CVE-2023-2455, CVE-2024-10976: a plan that was made for one caller must not answer another."""
    sessions = Sessions(world.county.login_url, Database(database_url=world.county.login_url, pool_size=1))
    await sessions.open()
    try:
        async with sessions.connection(PUBLIC) as connection:
            await connection.execute(f"set plan_cache_mode = {plans}")
        dice = random.Random(plans)
        pids = set()
        statements = {
            table: f"with it as (select {_key(table)} as id from {table}) "
            "select id from it where id is not null and $1::int = 1"
            for table in TABLES
        }
        for _ in range(8):  # from the sixth time on a plan may be kept
            for caller in dice.sample(PRESENT, len(PRESENT)):
                who = await identified(sessions, world.facts, caller)
                async with sessions.connection(who) as connection:
                    pids.add(await connection.fetchval("select pg_backend_pid()"))
                    for table, statement in statements.items():
                        found = {str(row["id"]) for row in await connection.fetch(statement, 1)}
                        assert found == world.facts.seen(caller, table), (caller.name, table)
        assert len(pids) == 1
        async with sessions.connection(PUBLIC) as connection:
            prepared = "select statement from pg_prepared_statements where statement = any ($1)"
            assert len(await connection.fetch(prepared, list(statements.values()))) == len(statements)
    finally:
        await sessions.close()
