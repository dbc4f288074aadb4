"""What every worker follows: the journal from its cursors, and the batches of positions.

One `Stream` follows the journal and remembers what changed last, one `Moves` the batches of positions. They are told by
notifications, and look by themselves where none comes. What lies behind what they remember is read from the database.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from random import uniform
from sys import intern
from typing import Any, Final
from uuid import UUID

import asyncpg

from hub.database.session import Sessions
from hub.identity import SERVICE
from hub.journal import AWAY, SEALED, Position, Resync, head
from schema.access import Scope
from schema.errors import Unavailable

log = logging.getLogger(__name__)

MOST_BEHIND: Final = 50_000
"""Cursors that a subscription can be behind and still catch up; farther back it is told to read everything anew."""

REMEMBERED: Final = 20_000
"""Announcements, and batches of positions, that a worker holds in memory: about 10 MB."""

TOO_MANY: Final = REMEMBERED + 1_000
"""So many are held before the oldest are let go, all at once."""

WINDOW: Final = 2_000
"""Cursors that a worker reads from the journal at once."""

STEP: Final = 500
"""Cursors that a subscription reads at once that comes back from farther than the worker remembers."""

LOOK_SECONDS: Final = 1.0
"""How often the journal is looked at where no notification comes: one may be lost."""

_WAIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Announcement:
    """A row that a transaction changed; what became of it each caller asks for themselves."""

    cursor: int
    """Of the last entry about the row in its transaction."""
    table: str
    id: UUID
    created: bool
    areas: frozenset[UUID]
    """Every area that it lay in before and after."""
    entries: tuple[tuple[str, int], ...]
    """The journal's entries about it: node and number."""
    at: datetime


@dataclass(frozen=True)
class Window:
    """What was announced after a position, up to another one."""

    upto: Position
    announcements: Sequence[Announcement]


# The entry that made a row says what it belongs to; later ones hold only what they changed.
_ENTRIES = """
select a.epoch, a.upto, h.cursor as head, a.cursor, a.ends, a.recorded_at, a.node, a.entry, a.areas, m.about,
       case when m.col = 'id' then a.object_id else coalesce(a.after ->> m.col, (
         select k.after ->> m.col from journal k
         where k.object_id = a.object_id and k.tbl = a.tbl and k.after ? m.col order by k.hlc desc limit 1
       ))::uuid end as id,
       m.col = 'id' and a.op = 'insert' as created
from journal_head() h
cross join journal_after($1, $2, $3) a
left join unnest($4::text[], $5::text[], $6::text[]) m (tbl, about, col) on m.tbl = a.tbl
order by a.cursor
"""

# A position may lie within a transaction. To tell what the whole of it did, it is read from its beginning.
_BEGINNING = """
select coalesce((
  select case when c.ends = c.cursor then c.cursor else (
    select p.cursor from cursors p where p.cursor < c.cursor and p.ends <> c.ends order by p.cursor desc limit 1
  ) end
  from cursors c where c.cursor = $2
), 0)
from sealed_upto($1, $2, 1)
"""

# A row at least: where there is no batch, it says how far the stream goes.
_BATCHES = """
select h.epoch, h.cursor as head, b.cursor, b.batch, b.count
from position_head() h
left join lateral position_batches_after(h.cursor, $2, $3) b on h.epoch = $1
order by b.cursor
"""


def announced(rows: Iterable[Mapping[str, Any]]) -> list[Announcement]:
    """The rows that whole transactions changed, one announcement for each row and transaction, in cursor order."""
    found: dict[tuple[int, str, UUID], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["cursor"] is not None and row["id"] is not None:
            found.setdefault((row["ends"], row["about"], row["id"]), []).append(row)
    made = [
        Announcement(
            entries[-1]["cursor"],
            intern(table),
            id,
            any(entry["created"] for entry in entries),
            _same(frozenset(area for entry in entries for area in entry["areas"])),
            tuple((intern(entry["node"]), entry["entry"]) for entry in entries),
            entries[-1]["recorded_at"],
        )
        for (_, table, id), entries in found.items()
    ]
    return sorted(made, key=lambda each: each.cursor)


@lru_cache(4096)
def _same(areas: frozenset[UUID]) -> frozenset[UUID]:
    """The same areas in one object for all: they are most of what an announcement holds."""
    return areas


class Followed(ABC):
    """Something with cursors in the database, followed in a connection that never holds a transaction open."""

    channel: str
    """Where the database says that there is more."""
    called: str
    """What the connection is called in the server's list."""
    pace = 0.0
    """Seconds to let more come together, after something came."""

    def __init__(self, url: str, sessions: Sessions) -> None:
        self._url = url
        self._sessions = sessions
        self._woken = asyncio.Event()
        self._moved = asyncio.Event()
        self._met = asyncio.Event()
        self._failures = 0
        self.position: Position | None = None
        """How far it was read; None where there was never anything, or before it was first looked at."""

    @abstractmethod
    async def _read(self, connection: asyncpg.Connection) -> None:
        """Everything that came since."""

    # -- following ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow until cancelled. A database that is away is waited for, however long."""
        while True:
            connection = None
            try:
                connection = await asyncpg.connect(
                    self._url,
                    timeout=5,
                    command_timeout=30,
                    server_settings={
                        "application_name": self.called,
                        "search_path": "public",
                        "timezone": "UTC",
                        "jit": "off",
                        "role": Scope.SERVICE.value,
                    },
                )
                connection.add_termination_listener(lambda _: self._woken.set())
                await connection.add_listener(self.channel, lambda *_: self._woken.set())
                await self._follow(connection)
            except AWAY as error:
                self._failures += 1
                level = logging.WARNING if self._failures in {3, 30} or self._failures % 300 == 0 else logging.DEBUG
                log.log(level, "%s stands still: %s", self.called, error or type(error).__name__)
            finally:
                if connection is not None:
                    with suppress(*AWAY):
                        await connection.close(timeout=1)
                    connection.terminate()
            await pause(self._failures)

    async def _follow(self, connection: asyncpg.Connection) -> None:
        while True:
            self._woken.clear()
            before = self.position
            await self._read(connection)
            self._met.set()
            self._failures = 0
            if self.pace and self.position != before:
                await asyncio.sleep(self.pace)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._woken.wait()

    def _move(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    # -- asking -------------------------------------------------------------------------------------------------------

    async def now(self) -> Position | None:
        """Where somebody begins who asks for what comes from now on. Raises Unavailable where the journal could not be
        looked at yet."""
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await self._met.wait()
        except TimeoutError as error:
            raise Unavailable("The hub does not see its journal yet: try again in a moment.") from error
        return self.position

    async def beyond(self, position: Position | None) -> Position:
        """Wait until something was sealed after `position`; where that is (the first one for None)."""
        while True:
            if position is None:
                if self.position is not None:
                    return Position(self.position.epoch, 0)
            elif self.position is not None and (
                self.position.epoch != position.epoch or self.position.cursor > position.cursor
            ):
                return position
            await self._moved.wait()

    async def moved(self) -> None:
        """Wait until the stream goes on, or a moment."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._moved.wait()


class Stream(Followed):
    """Follows the journal."""

    channel = SEALED
    called = "hub stream"

    def __init__(self, url: str, sessions: Sessions, journalled: Mapping[str, tuple[str, str]]) -> None:
        """`journalled` says which tables' entries are about which rows: see `CompiledSchema.journalled`."""
        super().__init__(url, sessions)
        self._about = (
            list(journalled),
            [table for table, _ in journalled.values()],
            [column for _, column in journalled.values()],
        )
        self._ring: list[Announcement] = []
        self._cursors: list[int] = []
        self._since = 0
        self._catching_up: dict[Position, asyncio.Task[tuple[Position, int, list[Announcement]]]] = {}

    async def _read(self, connection: asyncpg.Connection) -> None:
        """Everything that was sealed since."""
        if self.position is None:
            found = await head(connection)
            if found is None:
                return
            # What was sealed first after this worker had seen nothing at all is news; at the first look it is history.
            self._begin(Position(found.epoch, 0) if self._met.is_set() else found)
        while True:
            assert self.position is not None
            try:
                rows = await connection.fetch(_ENTRIES, self.position.epoch, self.position.cursor, WINDOW, *self._about)
            except asyncpg.PostgresError as error:
                if error.sqlstate != "HJ001":
                    raise
                # The database was restored to before what we have seen. What is remembered may not have happened.
                found = await head(connection)
                log.warning("the journal begins anew at %s", found)
                self._begin(found or Position(self.position.epoch, 0))
                return
            upto = Position(rows[0]["epoch"], rows[0]["upto"])
            made = announced(rows)
            self._ring += made
            self._cursors += [each.cursor for each in made]
            if len(self._ring) > TOO_MANY:
                self._since = self._cursors[-REMEMBERED - 1]
                del self._ring[:-REMEMBERED], self._cursors[:-REMEMBERED]
            if upto != self.position:
                self.position = upto
                self._move()
            if upto.cursor >= rows[0]["head"]:
                return

    def _begin(self, position: Position) -> None:
        self.position, self._since = position, position.cursor
        self._ring, self._cursors = [], []
        self._move()

    async def window(self, position: Position, most: int) -> Window:
        """What was announced after a position, at most so many rows on. Raises Resync for one that means nothing here,
        or that lies too far back."""
        here = self.position
        if here is not None and position.epoch == here.epoch and self._since <= position.cursor <= here.cursor:
            at = bisect_right(self._cursors, position.cursor)
            return _cut(here, self._ring[at : at + most + 1], most)
        # Many come back at once after a restart, and from the same place: one of them asks.
        task = self._catching_up.get(position)
        if task is None:
            task = self._catching_up[position] = asyncio.create_task(self._catch_up(position))
            task.add_done_callback(lambda done: forgotten(self._catching_up, position, done))
        upto, last, made = await asyncio.shield(task)
        if last - position.cursor > MOST_BEHIND:
            raise Resync(
                f"This cursor lies over {MOST_BEHIND:,} changes back: read everything anew, and go on from there."
            )
        return _cut(upto, made, most)

    async def _catch_up(self, position: Position) -> tuple[Position, int, list[Announcement]]:
        try:
            beginning = await self._sessions.fetch(SERVICE, _BEGINNING, [position.epoch, position.cursor])
            rows = await self._sessions.fetch(SERVICE, _ENTRIES, [position.epoch, beginning[0][0], STEP, *self._about])
        except asyncpg.PostgresError as error:
            if error.sqlstate == "HJ001":
                raise Resync from error
            raise
        upto = Position(rows[0]["epoch"], max(rows[0]["upto"], position.cursor))
        return upto, rows[0]["head"], [each for each in announced(rows) if each.cursor > position.cursor]


@dataclass(frozen=True, slots=True)
class Batch:
    """Positions that were stored together."""

    cursor: int
    batch: int
    count: int


class Moves(Followed):
    """Follows the batches of positions."""

    channel = "moved"
    called = "hub moves"
    pace = 0.1

    def __init__(self, url: str, sessions: Sessions) -> None:
        super().__init__(url, sessions)
        self._ring: list[Batch] = []
        self._since = 0

    async def _read(self, connection: asyncpg.Connection) -> None:
        if self.position is None:
            await self._begin(connection)
        assert self.position is not None
        while True:
            rows = await connection.fetch(_BATCHES, self.position.epoch, self.position.cursor, WINDOW)
            if rows[0]["epoch"] != self.position.epoch or rows[0]["head"] < self.position.cursor:
                # Restored to before what we have seen. What is remembered may not have happened.
                await self._begin(connection)
                log.warning("positions begin anew at %s", self.position)
                return
            made = [Batch(row["cursor"], row["batch"], row["count"]) for row in rows if row["cursor"] is not None]
            if not made:
                return
            self._ring += made
            if len(self._ring) > TOO_MANY:
                self._since = self._ring[-REMEMBERED - 1].cursor
                del self._ring[:-REMEMBERED]
            self.position = Position(self.position.epoch, made[-1].cursor)
            self._move()
            if made[-1].cursor >= rows[0]["head"]:
                return

    async def _begin(self, connection: asyncpg.Connection) -> None:
        row = await connection.fetchrow("select epoch, cursor from position_head()")
        self.position, self._since, self._ring = Position(row["epoch"], row["cursor"]), row["cursor"], []
        self._move()

    async def batches(self, position: Position, most: int) -> tuple[Position, list[int]]:
        """What was stored after a position, at most so many positions (but one batch at least), and where that ends.
        Raises Resync for a position that means nothing here, or that lies too far back."""
        here = self.position
        assert here is not None
        if position.epoch != here.epoch or position.cursor > here.cursor:
            raise Resync
        if here.cursor - position.cursor > MOST_BEHIND:
            raise Resync(
                f"This cursor lies over {MOST_BEHIND:,} batches back: read everything anew, and go on from there."
            )
        if position.cursor >= self._since:
            made = self._ring[position.cursor - self._since :][:STEP]
        else:
            rows = await self._sessions.fetch(SERVICE, _BATCHES, [position.epoch, position.cursor, STEP])
            if rows[0]["epoch"] != position.epoch:
                raise Resync
            made = [Batch(row["cursor"], row["batch"], row["count"]) for row in rows if row["cursor"] is not None]
            if made and made[0].cursor != position.cursor + 1:  # what came next went with its week
                raise Resync
        taken: list[int] = []
        upto, brought = position.cursor, 0
        for each in made:
            if taken and brought + each.count > most:
                break
            taken.append(each.batch)
            upto, brought = each.cursor, brought + each.count
        return Position(position.epoch, upto), taken


async def pause(failures: int) -> None:
    """Longer from time to time, and not all at once."""
    await asyncio.sleep(min(0.05 * 2 ** min(failures, 6), 2) * uniform(0.5, 1))  # noqa: S311


def _cut(upto: Position, made: Sequence[Announcement], most: int) -> Window:
    if len(made) > most:
        return Window(Position(upto.epoch, made[most - 1].cursor), made[:most])
    return Window(upto, made)


def forgotten(kept: dict[Any, Any], key: Any, done: asyncio.Task[Any]) -> None:
    kept.pop(key, None)
    if not done.cancelled():
        done.exception()  # whoever waited has it; there may be nobody left
