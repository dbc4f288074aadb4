"""Who may see which row, worked out by loops from `schema/access.py` and the rows themselves.

Shares nothing with `hub/database/policies.py` but the table that both read. Rows are read as a superuser, whom no
policy holds back. A noun whose rule stands in SQL (`lies_in`) is taught here by hand; one that nobody taught fails.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import psycopg
from psycopg import sql

from schema.access import ACCESS, EVERYTHING, Reach
from tests.leaks.callers import Caller
from tests.leaks.world import canaries, sign_in_name

Row = dict[str, Any]

CLOSED = {"secrets", "failures", "sealing", "stamps", "inner", "journal"}
"""Nouns that no caller reads as rows of the API; the journal is heard (`hears`)."""

GUARDED = {
    name: noun
    for name, noun in ACCESS.nouns.items()
    if name not in CLOSED and ACCESS.right(ACCESS.public, name).read is not Reach.COUNTY
}
"""Nouns of which somebody sees less than everything."""

TABLES = {table: name for name, noun in GUARDED.items() for table in noun.tables}
VIEWS = {view: name for name, noun in GUARDED.items() for view in noun.views}
NOUNS = TABLES | VIEWS
"""What rows are read from, and whose they are."""

LIES_IN: dict[str, Callable[[Facts, Row], set[str]]] = {
    "people": lambda facts, row: facts.posts_of(row["id"]),
    "duties": lambda facts, row: facts.posts_of(row["person_id"]),
}
"""Nouns whose rows lie where SQL says: the same said in Python."""


class Facts:
    """Every row of the guarded tables, and the register of what gives each of them away."""

    def __init__(self, owner_url: str) -> None:
        with psycopg.connect(owner_url) as connection:
            self.rows: dict[str, dict[str, Row]] = {
                table: {str(row[keys[0]]): row for row in _read(connection, table)}
                for table in NOUNS
                if (keys := _keys(connection, table))
            }
            self.journal = _read(connection, "journal")
            self.parts: dict[str, set[str]] = defaultdict(set)
            self.codes: dict[str, str] = {}
            for id_, code in connection.execute("select id::text, code from areas"):
                self.parts[code].add(id_)
                self.codes[id_] = code
            for county, sub_county in connection.execute("select county_id::text, id::text from sub_counties"):
                self.parts[self.codes[county]].add(sub_county)
            for sub_county, ward in connection.execute("select sub_county_id::text, id::text from wards"):
                self.parts[self.codes[sub_county]].add(ward)
        for code in sorted(self.parts):  # the county takes in the wards of its sub-counties
            for id_ in set(self.parts[code]):
                self.parts[code] |= self.parts[self.codes[id_]]

    @cached_property
    def register(self) -> dict[str, set[tuple[str, str, str]]]:
        """Canary -> the tables, rows and columns that hold it."""
        found: dict[str, set[tuple[str, str, str]]] = defaultdict(set)
        for table, rows in self.rows.items():
            if table in VIEWS:  # worked out from rows that stand here themselves
                continue
            for key, row in rows.items():
                for column, value in row.items():
                    for word in canaries(value if isinstance(value, str) else json.dumps(value)):
                        # What everybody knows (the key of a ward) is nobody's secret.
                        if word not in self.codes:
                            found[word].add((table, key, column))
        return dict(found)

    def posts_of(self, person: str) -> set[str]:
        return {
            post["area_id"]
            for post in self.rows["person_areas"].values()
            if post["person_id"] == person and post["until"] is None
        }

    # -- who ----------------------------------------------------------------------------------------------------------

    def person(self, caller: Caller) -> str:
        """Key of the person behind a caller; empty for nobody, and for an administrator who sees as somebody else."""
        if caller.person is None or caller.sees_as:
            return ""
        return next(key for key, row in self.rows["people"].items() if row["name"] == sign_in_name(caller.person))

    def areas(self, caller: Caller) -> set[str]:
        return {part for code in caller.areas for part in self.parts[code]}

    @staticmethod
    def roles(caller: Caller) -> set[str]:
        if caller.gone:
            return set()
        return {ACCESS.public, *caller.roles} | ({ACCESS.signed_in} if caller.person and not caller.sees_as else set())

    # -- what ---------------------------------------------------------------------------------------------------------

    def may(self, action: str, caller: Caller, table: str, row: Row) -> bool:
        """Whether a caller may read (or write) a row."""
        name = NOUNS[table]
        if caller.sees_as and (action != "read" or ACCESS.right("administrator", name).read is not Reach.COUNTY):
            return False
        for role in self.roles(caller):
            right = ACCESS.roles[role].rights.get(name)
            if right is not None and self._reached(getattr(right, action), caller, name, row):
                return True
        return False

    def _reached(self, reach: Reach, caller: Caller, name: str, row: Row) -> bool:
        if reach is Reach.COUNTY:
            return True
        if reach not in (Reach.OWN, Reach.AREA):
            return False
        noun = ACCESS.nouns[name]
        if noun.through is not None:
            column, parent = noun.through
            above = self.rows[ACCESS.nouns[parent].tables[0]].get(row[column])
            return above is not None and self._reached(reach, caller, parent, above)
        if reach is Reach.OWN:
            mine = self.person(caller)
            return bool(mine) and row[str(noun.person)] == mine
        lies = LIES_IN[name](self, row) if noun.lies_in else {row[str(noun.area)]}
        return bool(lies & self.areas(caller))

    def seen(self, caller: Caller, table: str, action: str = "read") -> set[str]:
        """Keys of the rows that a caller may read."""
        return {key for key, row in self.rows[table].items() if self.may(action, caller, table, row)}

    def heard(self, caller: Caller) -> set[int]:
        """Entries of the journal of which a caller's roles hear."""
        return {row["entry"] for row in self.journal if self._hears(caller, row)}

    def _hears(self, caller: Caller, row: Row) -> bool:
        areas = self.areas(caller)
        if caller.sees_as and ACCESS.roles["administrator"].hears.get(row["audience"]) is not Reach.COUNTY:
            return False
        for role in self.roles(caller):
            for audience in (EVERYTHING, row["audience"]):
                reach = ACCESS.roles[role].hears.get(audience)
                if reach is Reach.COUNTY or (reach is Reach.AREA and bool(set(row["areas"]) & areas)):
                    return True
        return False


def _read(connection: psycopg.Connection[Any], table: str) -> list[Row]:
    statement = sql.SQL("select to_jsonb(t) from {} t").format(sql.Identifier(table))
    return [row for (row,) in connection.execute(statement)]


KEYS = {"positions": ["id"], "patrol_coverages": ["patrol_id"], "patrol_checkpoints": ["id"]}
"""What tells rows apart, where there is no primary key, or another: that of a partitioned table holds the time."""


def _keys(connection: psycopg.Connection[Any], table: str) -> list[str]:
    if table in KEYS:
        return KEYS[table]
    found = connection.execute(
        "select a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey) "
        "where i.indrelid = %s::regclass and i.indisprimary order by array_position(i.indkey::int[], a.attnum::int)",
        (table,),
    )
    return [name for (name,) in found]


def differences(expected: set[Any], found: set[Any]) -> Iterator[str]:
    if more := found - expected:
        yield f"sees too much: {sorted(map(str, more))}"
    if less := expected - found:
        yield f"sees too little: {sorted(map(str, less))}"
