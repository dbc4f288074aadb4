"""How PostgreSQL goes about a statement: EXPLAIN as the caller, where its counts give nothing away.

A plan counts what its steps went through, also the rows that a policy then hid: "Rows Removed by Filter" is a count of
hidden rows, and so is what an index found before the policy was asked. No choice of fields helps, because the very
shape of a plan follows from how many rows there are. So a plan is for who is signed in and sees every row of every
table that it reads, which `schema/access.py` says; everybody else gets none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import asyncpg

from hub.database.session import Sessions
from hub.identity import Caller
from schema.access import ACCESS, Reach
from schema.errors import Forbidden

LONGEST_TEXT: Final = 400
"""Letters of a condition: a shape that was asked about would stand there whole."""

CONDITIONS: Final = (
    "Index Cond",
    "Recheck Cond",
    "Hash Cond",
    "Merge Cond",
    "Join Filter",
    "Filter",
    "One-Time Filter",
)

# Weeks of positions are tables of their own, which the access table names by their whole.
_WHOLES = """
select distinct coalesce(p.relname, c.relname) as name
from pg_class c
left join pg_inherits i on i.inhrelid = c.oid
left join pg_class p on p.oid = i.inhparent
where c.relnamespace = 'public'::regnamespace and c.relname = any ($1::text[])
"""


async def explained(sessions: Sessions, caller: Caller, sql: str, parameters: Sequence[Any]) -> dict[str, Any]:
    """The plan of a statement that is run as the caller, changing nothing. Raises Forbidden where it would count rows
    that the caller does not see."""
    if caller.seen_by:
        raise Forbidden("You are looking at what others see: be yourself again to see a plan.")
    async with sessions.connection(caller) as connection, connection.transaction(readonly=True):
        # Planned before it is run: what may not be told is not counted either.
        await _check(connection, caller, await _explain(connection, "", sql, parameters))
        found = await _explain(connection, "analyze, buffers,", sql, parameters)
        await _check(connection, caller, found)
    return {
        "plan": _step(found["Plan"]),
        "planningMs": found["Planning Time"],
        "executionMs": found["Execution Time"],
    }


async def _explain(connection: asyncpg.Connection, options: str, sql: str, parameters: Sequence[Any]) -> dict[str, Any]:
    (found,) = json.loads(await connection.fetchval(f"explain ({options} format json) {sql}", *parameters))
    return dict(found)


async def _check(connection: asyncpg.Connection, caller: Caller, found: dict[str, Any]) -> None:
    named = sorted({step["Relation Name"] for step in _steps(found["Plan"]) if "Relation Name" in step})
    tables = {row["name"] for row in await connection.fetch(_WHOLES, named)} if named else set()
    if not all(sees_every_row(caller, table) for table in tables):
        raise Forbidden("This reads tables of which you do not see every row: its plan would count the others.")


def sees_every_row(caller: Caller, table: str) -> bool:
    """Whether no policy hides a row of a table from a caller. Of a table that nobody knows: no."""
    return any(
        table in noun.tables
        and noun.audience is None
        and any(ACCESS.right(role, name).read is Reach.COUNTY for role in (ACCESS.public, *caller.roles))
        for name, noun in ACCESS.nouns.items()
    )


def _steps(step: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield step
    for below in step.get("Plans", ()):
        yield from _steps(below)


def _step(step: dict[str, Any]) -> dict[str, Any]:
    """A step and those below it, by the fields that a reader needs."""
    loops = step["Actual Loops"]
    told: dict[str, Any] = {
        "does": step["Node Type"] if "Join Type" not in step else f"{step['Node Type']} ({step['Join Type']})",
        "table": step.get("Relation Name"),
        "index": step.get("Index Name"),
        "part": step.get("Subplan Name"),
        "function": step.get("Function Name"),
        "rows": round(step["Actual Rows"] * loops),
        "expected": step["Plan Rows"],
        "loops": loops,
        "ms": round(step["Actual Total Time"] * loops, 3),
        "removed": round(step.get("Rows Removed by Filter", 0) * loops),
        "pages": step.get("Shared Hit Blocks", 0) + step.get("Shared Read Blocks", 0),
        "conditions": {name: _short(step[name]) for name in CONDITIONS if name in step},
    }
    kept = {name: value for name, value in told.items() if value not in (None, {})}
    return {**kept, "steps": [_step(below) for below in step.get("Plans", ())]}


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
