"""Somebody with every right edits the journal behind the hub's back, and the proof must name where."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

import psycopg

from tests.conftest import County
from tests.faults.ground import Ground

NAMED = re.compile(r"^Cursor (\d+): ", re.MULTILINE)

EDITS = {
    "its fields": 'update journal set after = after || \'{"title": "Nothing happened"}\' where entry = %s',
    "its areas": "update journal set areas = array[gen_random_uuid()] where entry = %s",
    "its hash in the chain": "update chain set hash = sha256('forged') where entry = %s",
    "the whole entry, removed": "delete from journal where entry = %s",
}


@dataclass(frozen=True)
class Tampered:
    """Where it was done and what was named."""

    cursors: dict[str, int]
    named: frozenset[int]
    code: int
    told: str

    @property
    def found(self) -> list[str]:
        return [edit for edit, cursor in self.cursors.items() if cursor in self.named]

    @property
    def blamed_wrongly(self) -> set[int]:
        """A forged hash spoils what follows from it, too: the entry after it may be named beside it."""
        after_hash = self.cursors["its hash in the chain"] + 1
        return set(self.named) - set(self.cursors.values()) - {after_hash}


def edit_rows(ground: Ground, county: County, dice: random.Random) -> Tampered:
    """One row each: its fields, its areas, its hash, and one taken away; then `hub journal verify`."""
    with superuser(county) as connection:
        rows = connection.execute(
            "select c.cursor, c.entry from cursors c join journal j on j.node = c.node and j.entry = c.entry "
            "where j.tbl = 'incidents' and j.op = 'update' and c.node = hub_node() order by c.cursor"
        ).fetchall()
        # Far enough apart that what one edit spoils is not taken for another's place.
        stretch = len(rows) // len(EDITS)
        cursors = {}
        for number, (edit, statement) in enumerate(EDITS.items()):
            cursor, entry = rows[number * stretch + dice.randrange(stretch // 2)]
            connection.execute(statement.encode(), (entry,))
            cursors[edit] = cursor
    verified = ground.run("journal", "verify", county=county)
    named = frozenset(int(cursor) for cursor in NAMED.findall(verified.stdout))
    return Tampered(cursors, named, verified.returncode, verified.stdout + verified.stderr)


def cut_tail(county: County, count: int) -> int:
    """Take the last entries away without a trace within: entries, cursors, chain, and how far sealing had come. The
    cursor at which the journal now ends."""
    with superuser(county) as connection:
        row = connection.execute("select max(seq) from chain where node = hub_node()").fetchone()
        assert row is not None
        last = row[0] - count
        gone = "(select entry from chain where node = hub_node() and seq > %s)"
        for statement in (
            f"delete from journal where node = hub_node() and entry in {gone}",
            f"delete from cursors where node = hub_node() and entry in {gone}",
            "delete from chain where node = hub_node() and seq > %s",
        ):
            connection.execute(statement.encode(), (last,))
        connection.execute(
            "update sealer_state set (cursor, seq, hash) = "
            "(select max(c.cursor), %s, (select hash from chain where node = hub_node() and seq = %s) from cursors c)",
            (last, last),
        )
        row = connection.execute("select cursor from sealer_state").fetchone()
        assert row is not None
        return int(row[0])


def superuser(county: County) -> psycopg.Connection:
    """Somebody who can do anything, and switches off what stands in the way."""
    connection = psycopg.connect(county.owner_url)
    connection.execute("set session_replication_role = replica")
    for table in ("journal", "chain", "cursors", "sealer_state", "incidents"):
        connection.execute(f"alter table {table} disable trigger all".encode())
    return connection
