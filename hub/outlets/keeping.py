"""Tiles that were made before, given out again for as long as nothing that they show has changed.

Nothing is kept for a time: with each request the database is asked whether the tables of the layer are still as they
were (hub/docs/tiles.md says by what it knows). Whoever asks while an answer is on its way waits for the next one, so
that each request has one that began after it, and many of them share it.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

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
"""What a kept tile takes beside its bytes, roughly."""
PACKED_ASIDE_FROM = 128 * 1024
"""Bytes from which on packing would keep the other requests waiting."""

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


@dataclass(slots=True)
class Tile:
    """The bytes of a tile, and what their ETag is made of."""

    body: bytes
    digest: str
    packed: bytes | None = None

    @classmethod
    def of(cls, body: bytes) -> Tile:
        return cls(body, sha256(body).hexdigest()[:32])

    @property
    def size(self) -> int:
        """What it takes at most: packed once more, it is no larger than it was."""
        return 2 * len(self.body) + ENTRY_BYTES

    async def gzip(self) -> bytes:
        """The same packed, which is done once."""
        if self.packed is None:
            large = len(self.body) >= PACKED_ASIDE_FROM
            self.packed = await asyncio.to_thread(_packed, self.body) if large else _packed(self.body)
        return self.packed


def _packed(body: bytes) -> bytes:
    packer = zlib.compressobj(4, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


class _Versions:
    """How tables stand: equal versions are equal rows, for whoever sees alike."""

    def __init__(self, sessions: Sessions, tables: Sequence[str]) -> None:
        self._sessions = sessions
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


class _Store:
    """Tiles by key, with the version that they show: those that were wanted last, as many as there is room for."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tiles: OrderedDict[Hashable, tuple[Hashable, Tile]] = OrderedDict()
        self.bytes = 0

    def get(self, key: Hashable, version: Hashable) -> Tile | None:
        held = self._tiles.get(key)
        if held is None or held[0] != version:
            return None
        self._tiles.move_to_end(key)
        return held[1]

    def put(self, key: Hashable, version: Hashable, tile: Tile) -> None:
        former = self._tiles.pop(key, None)
        if former is not None:
            self.bytes -= former[1].size
        if tile.size > self._most:
            return
        self._tiles[key] = version, tile
        self.bytes += tile.size
        while self.bytes > self._most:
            _, (_, oldest) = self._tiles.popitem(last=False)
            self.bytes -= oldest.size


class Keeper:
    """A worker's kept tiles."""

    def __init__(self, sessions: Sessions, tables: Sequence[str], megabytes: int, worker: int) -> None:
        """`sessions` are its own: whether a tile holds must not wait behind the making of others."""
        self._sessions = sessions
        self._versions = _Versions(sessions, tables)
        self._keeps = megabytes > 0
        self._store = _Store(megabytes * 1_000_000)
        self._making: dict[Hashable, asyncio.Future[Tile]] = {}
        self._worker = str(worker)

    async def tile(
        self,
        layer: str,
        tables: tuple[str, ...],
        parameters: Sequence[object],
        caller: Caller,
        make: Callable[[], Awaitable[bytes]],
    ) -> Tile:
        """What `make` makes for the caller now, or has made for somebody who sees the same. `parameters` are all that
        it depends on beside the rows of `tables` and who asks; without tables nothing is kept."""
        version = await self._version(tables) if self._keeps and tables else None
        if version is None:
            figures.count(figures.TILES, layer, "passing")
            return Tile.of(await make())
        key = layer, *parameters, sight(tables, caller)
        held = self._store.get(key, version)
        if held is not None:
            figures.count(figures.TILES, layer, "kept")
            return held
        work = key, version
        while (others := self._making.get(work)) is not None:
            await asyncio.wait([others])
            if not others.cancelled():
                figures.count(figures.TILES, layer, "shared")
                return others.result()
        mine = self._making[work] = asyncio.get_running_loop().create_future()
        try:
            made = Tile.of(await make())
            mine.set_result(made)
        finally:
            # Who waits for one that failed makes their own: it may have failed for its maker alone.
            mine.cancel()
            del self._making[work]
        figures.count(figures.TILES, layer, "made")
        self._store.put(key, version, made)
        figures.TILE_BYTES.labels(self._worker).set(self._store.bytes)
        return made

    async def _version(self, tables: tuple[str, ...]) -> Hashable | None:
        stand = await self._versions.now()
        found = tuple(stand.get(table) for table in tables)
        return None if None in found else found

    async def run(self) -> None:
        """Keep the stamps few until cancelled, whether or not anybody asks for tiles."""
        while True:
            await asyncio.sleep(FOLD_SECONDS)
            with suppress(HubError, asyncpg.PostgresError):
                await self._sessions.fetch(SERVICE, _FOLD, [MOST_STAMPS])


_NOUN = {table: name for name, noun in ACCESS.nouns.items() for table in noun.tables}


def sight(tables: tuple[str, ...], caller: Caller) -> Hashable:
    """What two callers have in common who see the same rows of these tables: their scope where everybody in it sees all
    of them, else everything that policies may look at."""
    return caller.scope if caller.scope is not None and _all_of(tables, caller.scope) else caller


@cache
def _all_of(tables: tuple[str, ...], scope: Scope) -> bool:
    return all(ACCESS.alike(_NOUN[table], scope, "read") is Reach.COUNTY for table in tables)
