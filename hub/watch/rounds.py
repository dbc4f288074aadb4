"""What has a state instead of a count: looked at every few seconds in each worker, and by whoever asks for figures."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from hub.database.session import Sessions
from hub.identity import NOBODY, SERVICE, Caller
from hub.watch import figures
from schema.access import PART, Scope
from schema.errors import HubError

if TYPE_CHECKING:
    from hub.live import Live

LOOK_SECONDS: Final = 5.0
"""How often a worker looks at what it holds and at the oldest transaction."""

SETTLE_SECONDS: Final = 1.0
"""How often a worker adds up what it counted: so late do the others know."""

KEPT_SECONDS: Final = 5.0
"""How long what the database said of itself is kept: many may ask at once."""

SILENT_MINUTES: Final = 15
"""From when on a device counts as silent; the map fades its vehicle then."""

WATCHER = Caller(Scope.COUNTY, roles=(f"planner{PART}fleet", f"planner{PART}positions"))
"""Counts devices by ward: reads the fleet and where it was last as planners may, and nothing else."""

# A transaction holds its own number locked, which anybody may see; when it began is told of our own sessions only.
_TRANSACTIONS = """
select l.virtualtransaction as id, l.pid, extract(epoch from now() - a.xact_start)::float as age
from pg_locks l join pg_stat_activity a using (pid)
where l.locktype = 'virtualxid' and l.granted and l.mode = 'ExclusiveLock' and l.pid <> pg_backend_pid()
  and a.datid = (select oid from pg_database where datname = current_database())
"""

_SERVER = """
select pg_notification_queue_usage() as notify,
  (select coalesce(sum(checksum_failures), 0) from pg_stat_database)::float as checksums,
  (select coalesce(max(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)), 0)
   from pg_replication_slots)::float as behind,
  (select count(*) from pg_replication_slots where wal_status = 'lost')::float as lost
"""

_SEALING = """
select waiting::float, coalesce(extract(epoch from now() - waiting_since), 0)::float as lag from sealing()
"""

_DEVICES = """
select case when l.vehicle_id is null then 'never heard' else coalesce(w.code, 'outside') end as ward,
  count(*)::float as devices,
  (count(*) filter (where l.received_at is null or l.received_at < now() - $1 * interval '1 minute'))::float as silent
from devices d
left join latest_positions l on l.vehicle_id = d.vehicle_id
left join wards w on w.id = l.ward_id
where d.revoked_at is null
group by 1
"""

_QUARANTINE = "select reason, count(*)::float as fixes from quarantined_fixes group by 1"


@dataclass
class Rounds:
    """One worker's look at itself and at its database."""

    sessions: Sessions
    """Of its own: what is wrong must be seen also where every other connection is in use."""
    pools: Mapping[str, Sessions]
    live: Live
    folder: Path
    """On the disk that fills."""
    worker: int = 1
    _about: set[str] = field(default_factory=set)
    """What was ever listened to: it is told as none when nobody does any more."""
    _open: dict[tuple[str, int], float] = field(default_factory=dict)
    """Transactions that are open, and when each began, or was first seen."""
    _kept: tuple[float, list[Metric]] = (-KEPT_SECONDS, [])
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        """Look until cancelled."""
        looked = -LOOK_SECONDS
        while True:
            if monotonic() - looked >= LOOK_SECONDS:
                looked = monotonic()
                self.look_here()
                await self._look_at_transactions()
            figures.settle()
            await asyncio.sleep(SETTLE_SECONDS)

    def look_here(self) -> None:
        """What this process holds, and what it noted."""
        figures.settle()
        for name, sessions in self.pools.items():
            size, in_use, most = sessions.held()
            figures.POOL_SIZE.labels(name).set(size)
            figures.POOL_IN_USE.labels(name).set(in_use)
            figures.POOL_MOST.labels(name).set(most)
        listening = Counter(listener.about for listener in self.live.listening)
        self._about |= listening.keys()
        for about in self._about:
            figures.SUBSCRIPTIONS.labels(about).set(listening[about])
        figures.MEMORY.labels(str(self.worker)).set(resident())

    async def _look_at_transactions(self) -> None:
        try:
            rows = await self.sessions.fetch(NOBODY, _TRANSACTIONS, [])
        except (HubError, asyncpg.PostgresError):
            self._open = {}
            rows = []
        now = monotonic()
        self._open = {
            key: now - row["age"] if row["age"] is not None else self._open.get(key, now)
            for row in rows
            if (key := (row["id"], row["pid"]))
        }
        oldest = now - min(self._open.values(), default=now)
        figures.OLDEST_TRANSACTION.labels("hub").set(max(0.0, oldest))

    async def of_the_database(self) -> list[Metric]:
        """What the database says of itself and of the county, and how full the disk is; of one that is away, that."""
        async with self._asking:
            at, kept = self._kept
            if monotonic() - at >= KEPT_SECONDS:
                try:
                    (server,) = await self.sessions.fetch(NOBODY, _SERVER, [])
                    (sealing,) = await self.sessions.fetch(SERVICE, _SEALING, [])
                    devices = await self.sessions.fetch(WATCHER, _DEVICES, [SILENT_MINUTES])
                    quarantine = await self.sessions.fetch(WATCHER, _QUARANTINE, [])
                    kept = list(_up(server, sealing, devices, quarantine))
                except (HubError, asyncpg.PostgresError):
                    kept = [_gauge("hub_database_up", "Whether the database answers.", 0)]
                kept += _disk(self.folder)
                self._kept = monotonic(), kept
            return kept


def _up(server: Any, sealing: Any, devices: list[Any], quarantine: list[Any]) -> Iterator[Metric]:
    yield _gauge("hub_database_up", "Whether the database answers.", 1)
    yield _gauge(
        "hub_sealer_lag_seconds", "Since when the oldest change waits for its place in the order.", sealing["lag"]
    )
    yield _gauge("hub_sealer_waiting", "Changes that wait for their place in the order.", sealing["waiting"])
    yield _gauge("hub_notify_queue_ratio", "How full PostgreSQL's queue of notifications is, 0 to 1.", server["notify"])
    yield _gauge(
        "hub_slot_behind_bytes",
        "Log that is kept for the slowest receiver, of a backup or a replica.",
        server["behind"],
    )
    yield _gauge("hub_slots_lost", "Receivers whose log was removed before they had it.", server["lost"])
    yield CounterMetricFamily("hub_checksum_failures", "Pages that the disk gave back otherwise.", server["checksums"])
    registered = GaugeMetricFamily(
        "hub_devices", "Devices that may send, by the ward of their last fix.", labels=["ward"]
    )
    silent = GaugeMetricFamily(
        "hub_devices_silent", f"Those of them that were not heard for {SILENT_MINUTES} minutes.", labels=["ward"]
    )
    for row in devices:
        registered.add_metric([row["ward"]], row["devices"])
        silent.add_metric([row["ward"]], row["silent"])
    yield from (registered, silent)
    aside = GaugeMetricFamily(
        "hub_quarantined_fixes", "Fixes that were put aside and lie there, by reason.", labels=["reason"]
    )
    for row in quarantine:
        aside.add_metric([row["reason"]], row["fixes"])
    yield aside


def _disk(folder: Path) -> Iterator[Metric]:
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    yield _gauge("hub_disk_free_bytes", "Free space where the data lies.", usage.free)
    yield _gauge("hub_disk_size_bytes", "The whole of it.", usage.total)


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value)


def resident() -> int:
    """Bytes of this process that are in memory."""
    if sys.platform == "linux":
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # the most it ever had: macOS says no more
