"""For each caller a county in which what they may not see never was, and nothing is guarded.

The policies are right when nobody can tell the two apart: whatever is asked (a filter, an order, a distance, a count, a
cursor, something forged), the guarded county must answer with the very bytes of the other. What is left in it comes
from `rights.py`, which knows nothing of policies.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tests.leaks.rights import KEYS, TABLES

if TYPE_CHECKING:
    from tests.conftest import County
    from tests.leaks.callers import Caller
    from tests.leaks.conftest import World


def twin(world: World, caller: Caller) -> County:
    """A copy of the world with the rows that the caller may see, open to everybody."""
    county = world.copy()
    with psycopg.connect(county.owner_url) as connection:
        for table in TABLES:
            name = sql.Identifier(table)
            for change in ("disable trigger all", "no force row level security", "disable row level security"):
                connection.execute(sql.SQL("alter table {} " + change).format(name))
            kept = list(world.facts.seen(caller, table))
            key = sql.Identifier(_key(table))
            connection.execute(sql.SQL("delete from {} where not {}::text = any (%s)").format(name, key), (kept,))
    return county


def _key(table: str) -> str:
    from schema.compiler.mapping import metadata

    return KEYS.get(table, [str(next(iter(metadata.tables[table].primary_key.columns)).name)])[0]


def first_difference(found: Any, expected: Any, path: str = "") -> str:
    """Where two answers part: `incidents.nodes[0].reporter.phone: "…", but nothing is expected`."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for name in dict.fromkeys([*found, *expected]):
            if found.get(name) != expected.get(name):
                return first_difference(found.get(name), expected.get(name), f"{path}.{name}".lstrip("."))
    if isinstance(found, list) and isinstance(expected, list):
        for number in range(max(len(found), len(expected))):
            pair = [each[number] if number < len(each) else None for each in (found, expected)]
            if pair[0] != pair[1]:
                return first_difference(pair[0], pair[1], f"{path}[{number}]")
    return f"{path}: {_short(found)} instead of {_short(expected)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 160 else f"{text[:160]}…"
