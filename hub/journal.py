"""The journal at work: sealing it, reading on from a cursor, forgetting by law, and proving that nothing was changed.

What is written stands in hub/database/migrations/0002_journal.sql. The proof is computed here once more, by other means
than the database's own functions: whoever tampers with the tables can tamper with those, too.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from random import uniform
from typing import Any
from uuid import UUID

import asyncpg
import psycopg
from psycopg import sql

from schema.access import Scope
from schema.errors import BadUserInput, Conflict

log = logging.getLogger(__name__)

SEALED = "sealed"
"""The channel on which the database says how far sealing has come."""

START = bytes(32)
"""What the first entry of a chain is hashed with."""


# -- sealing -----------------------------------------------------------------------------------------------------------

_SEALER_LOCK = 0x7365_616C_6572  # "sealer": held by the one worker that seals
_MOST = 20_000
_CALM_SECONDS = 1.0

AWAY = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # What asyncpg says of a connection that the server ended while nothing was asked.
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""What a connection of its own may meet while the database is away."""


class Sealer:
    """Gives what was committed its place in the order, over and over. Run one in every worker: one of them seals."""

    def __init__(
        self,
        url: str,
        *,
        busy_seconds: float = 0.02,
        idle_seconds: float = 0.2,
        stand_by_seconds: float = 0.25,
        most: int = _MOST,
    ) -> None:
        self._url = url
        self._busy = busy_seconds
        self._idle = idle_seconds
        self._stand_by = stand_by_seconds
        self._most = most
        self._woken = asyncio.Event()
        self.sealing = False
        """Whether it is this one that seals."""

    def wake(self) -> None:
        """Something was committed: look now, not after the pause."""
        self._woken.set()

    async def run(self) -> None:
        """Seal until cancelled. A database that is away is waited for, however long."""
        failures = 0
        while True:
            connection = None
            try:
                connection = await self._connected()
                await self._hold(connection)
                failures = 0
                await self._seal(connection)
            except AWAY as error:
                failures += 1
                # A restart is no news; what lasts is.
                level = logging.WARNING if failures in {3, 30} or failures % 300 == 0 else logging.DEBUG
                log.log(level, "sealing stands still: %s", error or type(error).__name__)
            finally:
                self.sealing = False
                if connection is not None:
                    # The lock goes with the connection, also where nobody answers any more.
                    with suppress(*AWAY):
                        await connection.close(timeout=1)
                    connection.terminate()
            await asyncio.sleep(min(0.05 * 2 ** min(failures, 6), 2) * uniform(0.5, 1))  # noqa: S311

    async def _connected(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            self._url,
            timeout=5,
            command_timeout=60,
            server_settings={
                "application_name": "hub sealer",
                "search_path": "public",
                "timezone": "UTC",
                "jit": "off",
                # Readers are told of what is on the disk: else a crash could give the same cursors to other entries.
                "synchronous_commit": "on",
                "role": Scope.SERVICE.value,
            },
        )

    async def _hold(self, connection: asyncpg.Connection) -> None:
        """Become the one that seals. Asked now and then: a waiting statement would keep old rows from being cleared."""
        while not await connection.fetchval("select pg_try_advisory_lock($1)", _SEALER_LOCK):  # noqa: ASYNC110
            await asyncio.sleep(self._stand_by * uniform(0.8, 1.2))  # noqa: S311
        self.sealing = True

    async def _seal(self, connection: asyncpg.Connection) -> None:
        clock = asyncio.get_running_loop().time
        sealed_at, pause = clock(), self._busy
        while True:
            self._woken.clear()
            begun = clock()
            sealed = await connection.fetchval("select seal($1)", self._most)
            ended = clock()
            took = ended - begun
            if sealed >= self._most:
                continue
            if sealed:
                sealed_at, pause = ended, self._busy
            elif ended - sealed_at > _CALM_SECONDS:
                pause = min(pause * 1.5, self._idle)
            with suppress(TimeoutError):
                # Behind a transaction that stays open each look costs more: let it take half of the time at most.
                async with asyncio.timeout(max(pause, took)):
                    await self._woken.wait()


# -- reading on --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Position:
    """How far a reader has come: a cursor, and the epoch in which it means what it means. Written `epoch:cursor`."""

    epoch: UUID
    cursor: int

    def __str__(self) -> str:
        return f"{self.epoch.hex}:{self.cursor}"

    @classmethod
    def read(cls, written: str) -> Position:
        epoch, _, cursor = written.partition(":")
        if len(written) > 64 or not cursor.isascii() or not cursor.isdecimal() or int(cursor) >= 1 << 63:
            raise BadUserInput("This is no cursor: take the one that came with the last event.")
        try:
            return cls(UUID(epoch), int(cursor))
        except ValueError as error:
            raise BadUserInput("This is no cursor: take the one that came with the last event.") from error


class Resync(Conflict):
    """What came after this cursor can't be told any more: read everything anew, and go on from there."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, reason="RESYNC")


@dataclass(frozen=True)
class Entry:
    """A sealed entry, as a caller may see it."""

    cursor: int
    ends: int
    """The cursor of the last entry of its transaction."""
    sealed_at: datetime
    node: str
    entry: int
    effective_at: datetime
    recorded_at: datetime
    actor: UUID | None
    table: str
    object_id: UUID
    op: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    areas: tuple[UUID, ...]
    audience: str


@dataclass(frozen=True)
class Batch:
    """What a reader learns at once: where it is now, and what it may see of what came on the way there."""

    position: Position
    entries: tuple[Entry, ...]


_AFTER = """
select epoch, upto, cursor, ends, sealed_at, node, entry, effective_at, recorded_at, actor, tbl, object_id, op,
       before::text, after::text, areas, audience
from journal_after($1, $2, $3)
"""


async def head(connection: asyncpg.Connection) -> Position | None:
    """Where a reader begins who reads everything right after this; None: nothing was ever sealed here."""
    row = await connection.fetchrow("select epoch, cursor from journal_head()")
    return Position(row["epoch"], row["cursor"]) if row["epoch"] else None


async def after(connection: asyncpg.Connection, position: Position, window: int = 200) -> Batch:
    """What the connection's caller may see after `position`, at most `window` cursors on, in whole transactions.

    There is always a new position, also where nothing is to be seen. Raises Resync for one that means nothing here.
    """
    try:
        rows = await connection.fetch(_AFTER, position.epoch, position.cursor, window)
    except asyncpg.PostgresError as error:
        if error.sqlstate == "HJ001":
            raise Resync from error
        raise
    return Batch(
        Position(rows[0]["epoch"], rows[0]["upto"]),
        tuple(
            Entry(
                row["cursor"],
                row["ends"],
                row["sealed_at"],
                row["node"],
                row["entry"],
                row["effective_at"],
                row["recorded_at"],
                row["actor"],
                row["tbl"],
                row["object_id"],
                row["op"],
                json.loads(row["before"]) if row["before"] else None,
                json.loads(row["after"]) if row["after"] else None,
                tuple(row["areas"]),
                row["audience"],
            )
            for row in rows
            if row["cursor"] is not None
        ),
    )


# -- forgetting --------------------------------------------------------------------------------------------------------


async def erase(connection: asyncpg.Connection, table: str, object_id: UUID, blanks: dict[str, Any]) -> int:
    """Forget what an object was: `blanks` take the place of its fields, its entries are emptied. How many were.

    Runs in the service's scope, in the caller's transaction. Columns that the journal leaves out, and copies of the
    values in other objects, are for the caller to blank.
    """
    blanked: int = await connection.fetchval("select erase($1, $2, $3)", table, object_id, json.dumps(blanks))
    return blanked


# -- proving -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Flaw:
    """Something in the journal is not as it was written."""

    cursor: int | None
    """Where, in the order of sealing; None where it has no place in it."""
    sentence: str

    def __str__(self) -> str:
        return f"Cursor {self.cursor}: {self.sentence}" if self.cursor is not None else self.sentence


@dataclass(frozen=True)
class Proof:
    """What verify() found."""

    entries: int
    """How many entries were looked at."""
    erased: int
    """How many of them had been forgotten by law: they are proven without what they said."""
    flaws: tuple[Flaw, ...]
    """In the order of cursors; the first one is the first bad cursor."""


_MOST_FLAWS = 20

_ENTRIES = """
select h.seq, h.hash, h.entry as chained, c.cursor, c.ends, j.entry, j.hlc,
       (extract(epoch from j.effective_at) * 1000000)::bigint, (extract(epoch from j.recorded_at) * 1000000)::bigint,
       j.actor, j.tbl, j.object_id, j.op, j.areas, j.audience, j.schema_version, j.payload_hash, j.salt,
       coalesce(j.before::text, '') || e'\\n' || coalesce(j.after::text, '')
from chain h
left join journal j on j.node = h.node and j.entry = h.entry
left join cursors c on c.node = h.node and c.entry = h.entry
where h.node = %s order by h.seq
"""

_UNERASED = """
select j.entry, c.cursor from journal j left join cursors c on c.node = j.node and c.entry = j.entry
where j.salt is null and not exists (
  select from journal e where e.object_id = j.object_id and e.tbl = j.tbl and e.op = 'erase'
  and (e.effective_at, e.hlc) > (j.effective_at, j.hlc)
)
order by c.cursor limit %s
"""

_GAPS = """
select cursor, expected from (
  select cursor, row_number() over (order by cursor) as expected from cursors
) numbered
where cursor <> expected order by cursor limit 1
"""

_UNCHAINED = """
select c.cursor, c.node, c.entry, j.entry is null from cursors c
left join journal j on j.node = c.node and j.entry = c.entry
left join chain h on h.node = c.node and h.entry = c.entry
where j.entry is null or (h.entry is null and c.node = hub_node())
order by c.cursor limit %s
"""

_UNSEALED = """
select j.node, j.entry,
       (select max(c.cursor) from cursors c join journal k on k.node = c.node and k.entry = c.entry
        where k.arrival < j.arrival)
from journal j, sealer_state s
where pg_visible_in_snapshot(j.xid, s.snapshot)
  and not exists (select from cursors c where c.node = j.node and c.entry = j.entry)
order by j.arrival limit %s
"""


def verify(url: str, say: Callable[[str], None] = lambda sentence: None) -> Proof:
    """Recompute everything that the chain proves, and compare the rows of the county with their entries.

    `url` is of the owner's login, or the hub's own. A cut tail and a chain that was rewritten whole cannot be seen from
    within: `check_anchors` sees them.
    """
    with _reading(url) as connection:
        return prove(connection, say)


def prove(connection: psycopg.Connection, say: Callable[[str], None] = lambda sentence: None) -> Proof:
    """The same in the snapshot of a transaction, which must be REPEATABLE READ where anybody writes."""
    chains = []
    for (node,) in connection.execute("select node from nodes order by node").fetchall():
        chains.append(found := _Chain(node, own=node == _own(connection)))
        for row in _stepwise(connection, node):
            found.add(row)
            if found.entries % 100_000 == 0:
                say(f"{found.entries} entries of {node} …")
    flaws = [flaw for found in chains for flaw in found.flaws]
    for own in (found for found in chains if found.own):
        state = connection.execute("select seq, hash from sealer_state").fetchone()
        if state is not None and state != (own.seq, own.hash):
            flaws.append(Flaw(own.cursor + 1, "the chain ends elsewhere than sealing had come: its tail was cut."))
    flaws += _outside_the_chain(connection)
    flaws.sort(key=lambda flaw: flaw.cursor or 0)
    flaws += _rows(connection)
    return Proof(
        sum(found.entries for found in chains), sum(found.erased for found in chains), tuple(dict.fromkeys(flaws))
    )


class _Chain:
    """One hub's chain, entry by entry: what is hashed must come to what was kept."""

    def __init__(self, node: str, *, own: bool) -> None:
        self.node = node
        self.own = own
        self.seq, self.hash, self.cursor = 0, START, 0
        self.entries = self.erased = 0
        self.flaws: list[Flaw] = []

    def add(self, row: Sequence[Any]) -> None:
        seq, kept, chained, cursor, ends, entry, *columns = row
        self.entries += 1
        if len(self.flaws) < _MOST_FLAWS:
            self._compare(seq, kept, chained, cursor, ends, entry, columns)
        # From here on with what was kept: one flaw is one flaw, and does not spoil what follows.
        self.seq, self.hash, self.cursor = seq, bytes(kept), cursor if cursor is not None else self.cursor

    def _compare(
        self, seq: int, kept: bytes, chained: int, cursor: int | None, ends: int | None, entry: int | None, columns: Any
    ) -> None:
        place = cursor if cursor is not None else self.cursor + 1
        if seq != self.seq + 1:
            self._flaw(self.cursor + 1, f"{seq - self.seq - 1} links of the chain before it were removed.")
            return
        if cursor is None:
            self._flaw(place, f"entry {chained} of {self.node} lost its cursor.")
        elif self.own and (cursor <= self.cursor or (ends or 0) < cursor):
            self._flaw(place, f"entry {chained} of {self.node} stands elsewhere than it was sealed.")
        if entry is None:
            self._flaw(place, f"entry {chained} of {self.node} was removed.")
            return
        hlc, effective, recorded, actor, table, object_id, op, areas, audience, version, digest, salt, payload = columns
        if salt is None:
            self.erased += 1
        elif sha256(bytes(salt) + payload.encode()).digest() != bytes(digest):
            self._flaw(place, f"what entry {entry} of {self.node} says was changed ({table} {object_id}).")
            return
        said = (
            self.node,
            entry,
            hlc,
            effective,
            recorded,
            actor or "",
            table,
            object_id,
            op,
            ",".join(map(str, areas)),
            audience,
            version,
            bytes(digest).hex(),
        )
        if sha256(self.hash + "\n".join(map(str, said)).encode()).digest() != bytes(kept):
            self._flaw(place, f"entry {entry} of {self.node} does not fit the chain: it or its link was changed.")

    def _flaw(self, cursor: int, sentence: str) -> None:
        self.flaws.append(Flaw(cursor, sentence))


def _outside_the_chain(connection: psycopg.Connection) -> Iterator[Flaw]:
    """What a walk along the chain does not meet."""
    for entry, cursor in connection.execute(_UNERASED, (_MOST_FLAWS,)):
        yield Flaw(cursor, f"entry {entry} was blanked, but nobody erased it.")
    for _, expected in connection.execute(_GAPS):
        yield Flaw(expected, "the cursor is missing.")
    for cursor, node, entry, removed in connection.execute(_UNCHAINED, (_MOST_FLAWS,)):
        what = "was removed" if removed else "is not in the chain: it was inserted, or its link removed"
        yield Flaw(cursor, f"entry {entry} of {node} {what}.")
    for node, entry, before in connection.execute(_UNSEALED, (_MOST_FLAWS,)):
        yield Flaw((before or 0) + 1, f"entry {entry} of {node} was inserted among sealed ones, or lost its cursor.")
    head_ = connection.execute(
        "select s.cursor, coalesce(max(c.cursor), 0) from sealer_state s left join cursors c on true group by s.cursor"
    ).fetchone()
    if head_ is None:
        yield Flaw(1, "how far sealing had come was removed.")
    elif head_[0] != head_[1]:
        yield Flaw(min(head_) + 1, f"cursors end at {head_[1]}, sealing had come to {head_[0]}.")


def _rows(connection: psycopg.Connection) -> Iterator[Flaw]:
    for (table,) in connection.execute("select tbl from journalled order by tbl").fetchall():
        for (object_id,) in connection.execute("select differences(%s) limit %s", (table, _MOST_FLAWS)).fetchall():
            yield Flaw(None, f"{table} {object_id} is not what its entries say.")


def _stepwise(connection: psycopg.Connection, node: str) -> Iterator[Sequence[Any]]:
    """The chain in pieces, so that a long one needs no more memory than a short one."""
    with connection.cursor(name="chain") as cursor:
        cursor.itersize = 5_000
        yield from cursor.execute(_ENTRIES, (node,))


# -- anchors -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Anchor:
    """The chain's head at a time, kept where nobody who can change the database can change it."""

    node: str
    seq: int
    hash: str
    cursor: int
    epoch: str
    at: str

    def __str__(self) -> str:
        return json.dumps(vars(self))


def anchor(url: str) -> Anchor | None:
    """The head as it is now; None: nothing was sealed yet."""
    with _reading(url) as connection:
        row = connection.execute("select seq, hash, cursor, epoch from sealing() where epoch is not null").fetchone()
        if row is None:
            return None
        seq, digest, cursor, epoch = row
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Anchor(_own(connection), seq, bytes(digest).hex(), cursor, str(epoch), now)


def drop_anchor(url: str, file: Path) -> Anchor | None:
    """Add the head to the file, as one line of JSON that is on the disk when this returns."""
    dropped = anchor(url)
    if dropped is not None:
        with file.open("a", encoding="utf-8") as out:
            out.write(f"{dropped}\n")
            out.flush()
            os.fsync(out.fileno())
    return dropped


def check_anchors(url: str, file: Path) -> list[Flaw]:
    """Hold the chain against every head in the file. Sees what `verify` cannot: a cut tail, a rewritten chain."""
    lines = file.read_text("utf-8").splitlines()
    with _reading(url) as connection:
        return compare(connection, lines)


def compare(connection: psycopg.Connection, lines: Sequence[str]) -> list[Flaw]:
    """The same for lines that are at hand."""
    flaws = []
    for number, line in enumerate(lines, 1):
        try:
            kept = Anchor(**json.loads(line))
        except (ValueError, TypeError):
            flaws.append(Flaw(None, f"Line {number} is no anchor."))
            continue
        if kept.seq == 0:
            continue
        link = connection.execute(
            "select hash from chain where node = %s and seq = %s", (kept.node, kept.seq)
        ).fetchone()
        if link is None:
            sentence = f"the chain was longer at {kept.at}: its tail was cut, or the database is an older copy."
        elif bytes(link[0]).hex() != kept.hash:
            sentence = f"the chain is not the one of {kept.at}: it was rewritten."
        else:
            continue
        flaws.append(Flaw(kept.cursor, sentence))
    return flaws


def _own(connection: psycopg.Connection) -> str:
    (node,) = connection.execute("select hub_node()").fetchall()[0]
    return str(node)


def _reading(url: str) -> psycopg.Connection:
    """One snapshot for everything that is asked. The hub's own login reads in the service's name."""
    connection = psycopg.connect(url, application_name="hub journal", autocommit=True)
    try:
        can = connection.execute("select pg_has_role(current_user, %s, 'member')", (Scope.SERVICE.value,)).fetchone()
        if can == (True,):
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(Scope.SERVICE)))
        connection.execute("set timezone = 'UTC'")
        connection.autocommit = False
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
    except BaseException:
        connection.close()
        raise
    return connection
