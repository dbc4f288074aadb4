"""What was made before (tiles, answers), given out again for as long as nothing that it shows has changed.

Nothing is kept for a time: with each request the database is asked whether the tables that it was made from are still
as they were (hub/docs/tiles.md says by what it knows). Whoever asks while an answer is on its way waits for the next
one, so that each request has one that began after it, and many of them share it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Generic, TypeVar

import asyncpg

from hub.database.session import Sessions
from hub.identity import SERVICE, Caller
from hub.watch import figures
from schema.access import ACCESS, Reach, Scope
from schema.errors import HubError

FOLD_SECONDS = 10.0
MOST_STAMPS = 50
"""So many may lie there before they are added up."""
ENTRY_BYTES = 1_000
"""What a kept thing takes beside its bytes, roughly."""

T = TypeVar("T")

# What a table holds for somebody can change by a write (its stamps), by what keeps it (a trigger that was off for a
# while, a table that was rewritten or made anew, a server that came up with other files) and by who may see what
# (grants, policies). No version: its writes are not noted, so that nothing can be said.
_VERSIONS = """
select c.relname as name, case when t.tgenabled = 'A' then concat_ws(' ',
  pg_postmaster_start_time(), c.oid, c.xmin, t.oid, t.xmin,
  (select sum(s.times) from stamps s where s.tbl = c.relname),
  (select string_agg(p.oid || '.' || p.xmin, ' ' order by p.oid) from pg_policy p where p.polrelid = c.oid)
) end as version
from pg_class c join pg_trigger t on t.tgrelid = c.oid and t.tgname = 'stamped'
where c.relnamespace = 'public'::regnamespace and c.relname in ({tables})
"""

# One statement: whoever sums before or after it finds the same. What it does not see yet stays for the next time.
_FOLD = """
with gone as (
  delete from stamps where (select count(*) from stamps) > $1 returning tbl, times
)
insert into stamps (tbl, times) select tbl, sum(times) from gone group by tbl
"""


class Versions:
    """How tables stand: equal versions are equal rows, for whoever sees alike."""

    def __init__(self, sessions: Sessions, tables: Sequence[str]) -> None:
        """`sessions` are their own: whether something holds must not wait behind the making of others."""
        self._sessions = sessions
        self.tables = frozenset(tables)
        # Without parameters, so that PostgreSQL keeps its plan: to make one takes three times as long as to ask.
        self._statement = _VERSIONS.format(tables=", ".join(f"'{table}'" for table in tables))
        self._turn = asyncio.Lock()
        self._coming: asyncio.Task[Mapping[str, str | None]] | None = None

    async def now(self) -> Mapping[str, str | None]:
        """By table, as of a moment after the call."""
        if self._coming is None:
            self._coming = asyncio.create_task(self._look())
            # Whoever waits has its failure; there may be nobody left.
            self._coming.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._coming)

    async def _look(self) -> Mapping[str, str | None]:
        async with self._turn:
            self._coming = None  # whoever comes from here on may have changed what this one does not see
            rows = await self._sessions.fetch(SERVICE, self._statement, [])
            return {row["name"]: row["version"] for row in rows}

    async def fold(self) -> None:
        """Keep the stamps few until cancelled, whether or not anybody asks for anything."""
        while True:
            await asyncio.sleep(FOLD_SECONDS)
            with suppress(HubError, asyncpg.PostgresError):
                await self._sessions.fetch(SERVICE, _FOLD, [MOST_STAMPS])


class _Store(Generic[T]):
    """Things by key, with the version that they show: those that were wanted last, as many as there is room for."""

    def __init__(self, most: int, size: Callable[[T], int]) -> None:
        self._most = most
        self._size = size
        self._held: OrderedDict[Hashable, tuple[Hashable, T]] = OrderedDict()
        self.bytes = 0

    def get(self, key: Hashable, version: Hashable) -> T | None:
        held = self._held.get(key)
        if held is None or held[0] != version:
            return None
        self._held.move_to_end(key)
        return held[1]

    def put(self, key: Hashable, version: Hashable, thing: T) -> None:
        former = self._held.pop(key, None)
        if former is not None:
            self.bytes -= self._size(former[1])
        size = self._size(thing)
        if size > self._most:
            return
        self._held[key] = version, thing
        self.bytes += size
        while self.bytes > self._most:
            _, (_, oldest) = self._held.popitem(last=False)
            self.bytes -= self._size(oldest)


class Keeper(Generic[T]):
    """What a worker keeps of one kind."""

    def __init__(self, versions: Versions, size: Callable[[T], int], megabytes: int, *, what: str, worker: int) -> None:
        """`size` is how many bytes a thing takes, with all that hangs on it; `what` is how the kind is counted."""
        self.versions = versions
        self._keeps = megabytes > 0
        self._store = _Store(megabytes * 1_000_000, size)
        self._making: dict[Hashable, asyncio.Future[T]] = {}
        self._labels = what, str(worker)

    async def kept(
        self,
        name: str,
        tables: Sequence[str],
        parameters: Sequence[Hashable],
        caller: Caller,
        make: Callable[[], Awaitable[T]],
    ) -> T:
        """What `make` makes for the caller now, or has made for somebody who sees the same. `parameters` are all that
        it depends on beside the rows of `tables` and who asks; without tables, or with one of which no version is
        known, nothing is kept. `name` is how it is counted."""
        version = await self._version(tables) if self._keeps and tables else None
        if version is None:
            figures.count(figures.KEPT, name, "passing")
            return await make()
        key = name, *parameters, sight(tuple(tables), caller)
        held = self._store.get(key, version)
        if held is not None:
            figures.count(figures.KEPT, name, "kept")
            return held
        work = key, version
        while (others := self._making.get(work)) is not None:
            await asyncio.wait([others])
            if not others.cancelled():
                figures.count(figures.KEPT, name, "shared")
                return others.result()
        mine = self._making[work] = asyncio.get_running_loop().create_future()
        try:
            made = await make()
            mine.set_result(made)
        finally:
            # Who waits for one that failed makes their own: it may have failed for its maker alone.
            mine.cancel()
            del self._making[work]
        figures.count(figures.KEPT, name, "made")
        self._store.put(key, version, made)
        figures.KEPT_BYTES.labels(*self._labels).set(self._store.bytes)
        return made

    async def _version(self, tables: Sequence[str]) -> Hashable | None:
        if not self.versions.tables.issuperset(tables):
            return None
        stand = await self.versions.now()
        found = tuple(stand.get(table) for table in tables)
        return None if None in found else found


_NOUN = {table: name for name, noun in ACCESS.nouns.items() for table in noun.tables}


def sight(tables: tuple[str, ...], caller: Caller) -> Hashable:
    """What two callers have in common who see the same rows of these tables: their scope where everybody in it sees all
    of them, else everything that policies may look at."""
    return caller.scope if caller.scope is not None and _all_of(tables, caller.scope) else caller


@cache
def _all_of(tables: tuple[str, ...], scope: Scope) -> bool:
    return all(ACCESS.alike(_NOUN[table], scope, "read") is Reach.COUNTY for table in tables)
