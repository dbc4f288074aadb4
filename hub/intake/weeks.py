"""The weeks of positions: made ahead, given an index of places when they are over, and old ones taken away with their
batches, without blocking anybody.

A week that still grows has no index of places: to keep one costs more than all else of storing a fix. Made at once for
a week that is over it costs seconds; who is late is stored there all the same.

What is done `concurrently` waits for whoever still reads a week instead of holding up everybody else, and may stand in
no transaction: only the tables' owner can do it, on a connection of its own. Where the hub does not know the owner
(HUB_DATABASE_URL without HUB_OWNER_URL) weeks are still made when a fix needs one, but none gets an index, and none is
taken away.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import asyncpg

EVERY = 3600.0
AHEAD = timedelta(weeks=4)
WEEK = timedelta(days=7)
GROWS = timedelta(days=1)
"""For so long after its end a week still grows: who was without a network sends late."""

log = logging.getLogger(__name__)

_PARTS = """
select
  c.relname, i.inhrelid is not null as attached, coalesce(i.inhdetachpending, false) as half,
  (select x.indisvalid from pg_index x where x.indexrelid = to_regclass(c.relname || '_location')) as indexed
from pg_class c
left join pg_inherits i on i.inhrelid = c.oid and i.inhparent = 'public.positions'::regclass
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relname ~ '^positions_[0-9]{8}$'
order by c.relname
"""


class Weeks:
    """Tends the weeks of one database, whichever worker comes first."""

    def __init__(self, owner_url: str, days: int) -> None:
        self._url = owner_url
        self._days = days

    async def run(self) -> None:
        while True:
            try:
                await self.tend()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                log.warning("weeks of positions could not be tended: %s", error)
            await asyncio.sleep(EVERY)

    async def tend(self, now: datetime | None = None) -> list[str]:
        """Make the weeks to come, take away the old ones, and give the others that are over their index; the names
        of the old ones. Raises what asyncpg raises."""
        now = now or datetime.now(UTC)
        oldest = now - timedelta(days=self._days)
        gone: list[str] = []
        connection = await asyncpg.connect(self._url, server_settings={"application_name": "hub weeks"})
        try:
            if not await connection.fetchval("select pg_try_advisory_lock(hashtext('position_weeks'))"):
                return gone
            await connection.execute("set role hub_owner")
            await connection.execute("select make_position_weeks($1, $2)", now, now + AHEAD)
            over: list[tuple[str, bool | None]] = []
            for name, attached, half, indexed in await connection.fetch(_PARTS):
                ends = datetime.strptime(name.removeprefix("positions_"), "%Y%m%d").replace(tzinfo=UTC) + WEEK
                if ends > oldest:
                    if ends + GROWS < now and not indexed:
                        over.append((name, indexed))
                    continue
                # An interrupted run left a week half detached, or detached and not dropped: it is finished here.
                if attached:
                    how = "finalize" if half else "concurrently"
                    await connection.execute(f"alter table positions detach partition {name} {how}")
                await connection.execute(f"drop table {name}")
                gone.append(name)
            # Of batches that old every position is gone: whoever resumes there is told to read anew.
            await connection.execute("delete from position_batches where stored_at < $1", oldest - WEEK)
            for name, indexed in over:
                if indexed is False:  # an interrupted run left half of one
                    await connection.execute(f"drop index concurrently {name}_location")
                await connection.execute(f"create index concurrently {name}_location on {name} using gist (location)")
        finally:
            await connection.close()
        return gone
