"""The hub's counters, by labels that are few and known beforehand: doors, codes, steps, scopes, wards.

With several workers each of them keeps its figures in a file of memory that all share (`share`), under the number of
its place: whoever takes the place of one that died counts on where it stood. So any worker answers for all of them, and
no sum ever falls.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, values
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

# Whatever an environment says that was made for other programs: `share` alone decides where figures are kept.
values.ValueClass = values.MutexValue
disable_created_metrics()

REGISTRY: Final = CollectorRegistry()

QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

OTHER: Final = "other"
"""Counts what has no name of its own: callers choose operations' names, and must not choose what is shown here."""


def _counter(name: str, about: str, *labels: str) -> Counter:
    return Counter(name, about, labels, registry=REGISTRY)


def _histogram(name: str, about: str, *labels: str) -> Histogram:
    return Histogram(name, about, labels, buckets=QUICK, registry=REGISTRY)


def _sum(name: str, about: str, *labels: str) -> Gauge:
    """What a process has just now; of several processes the sum of those that live."""
    return Gauge(name, about, labels, multiprocess_mode="livesum", registry=REGISTRY)


# Each has a label: what has none would be made when this is loaded, before a worker knows its place.
REQUESTS = _counter("hub_requests", "Requests by door and status; a websocket that was taken is 101.", "door", "code")
REQUEST_SECONDS = _histogram("hub_request_seconds", "Seconds until an answer began, by door.", "door")
OPERATIONS = _counter(
    "hub_operations", "GraphQL operations by name and code; OK is one without errors.", "operation", "code"
)
STEP_SECONDS = _histogram("hub_step_seconds", "Seconds of an operation's steps.", "step")
REFUSALS = _counter("hub_refusals", "Errors that were answered, by extensions.code.", "code")

STATEMENT_SECONDS = _histogram("hub_statement_seconds", "Seconds of statements, by the caller's scope.", "scope")
SLOW_STATEMENTS = _counter("hub_slow_statements", "Statements over HUB_SLOW_STATEMENT_MS, by scope.", "scope")
POOL_WAIT_SECONDS = _histogram("hub_pool_wait_seconds", "Seconds that a connection was waited for.", "pool")
POOL_TIMEOUTS = _counter("hub_pool_timeouts", "Waits for a connection that were given up.", "pool")
POOL_SIZE = _sum("hub_pool_size", "Connections that are open.", "pool")
POOL_MOST = _sum("hub_pool_most", "Connections that may be open.", "pool")
POOL_IN_USE = _sum("hub_pool_in_use", "Connections that are in use.", "pool")

FIXES = _counter(
    "hub_intake_fixes", "Fixes by what became of them: stored, duplicate, quarantined, refused.", "outcome"
)
EVENTS = _counter("hub_events_told", "Events that subscriptions were told, by what they are about.", "about")
SUBSCRIPTIONS = _sum("hub_subscriptions", "Subscriptions that are open.", "about")
TILES = _counter(
    "hub_tiles",
    "Tiles by layer and outcome: kept (had before), shared (with one in the making), made, passing (made, not kept).",
    "layer",
    "outcome",
)
TILE_BYTES = _sum("hub_tile_bytes", "Memory that kept tiles take, by worker.", "worker")
LOGIN_FAILURES = _counter(
    "hub_login_failures", "Tries to sign in that failed: wrong, or held back after too many of them.", "why"
)
MEMORY = _sum("hub_worker_memory_bytes", "Memory of each worker that is resident.", "worker")
OLDEST_TRANSACTION = Gauge(
    "hub_oldest_transaction_seconds",
    "Age of the oldest transaction in the database, whoever holds it open.",
    ("database",),
    multiprocess_mode="livemax",
    registry=REGISTRY,
)

_counts: defaultdict[tuple[Counter, tuple[str, ...]], float] = defaultdict(float)
# How many fell into each bucket, the one beyond all of them, and their sum.
_times: defaultdict[tuple[Histogram, str], list[float]] = defaultdict(lambda: [0.0] * (len(QUICK) + 2))


def count(counter: Counter, *labels: str, by: float = 1) -> None:
    """Count something. A request does so a dozen times, so that here is only noted what `settle` adds up."""
    _counts[counter, labels] += by


def took(histogram: Histogram, label: str, seconds: float) -> None:
    """Note how long something took."""
    noted = _times[histogram, label]
    noted[bisect_left(QUICK, seconds)] += 1
    noted[-1] += seconds


def settle() -> None:
    """Add up what was noted. Once a second, before each scrape and at the end: who is killed takes a second of counts
    along."""
    for (counter, labels), by in [*_counts.items()]:
        counter.labels(*labels).inc(by)
    _counts.clear()
    for (histogram, label), noted in [*_times.items()]:
        child = histogram.labels(label)
        # As its `observe` does, but once for many: that one by one costs as much as all the rest of the counting.
        for bucket, times in zip(child._buckets, noted, strict=False):
            if times:
                bucket.inc(times)
        child._sum.inc(noted[-1])
    _times.clear()


_PREFIX = "hub-figures-"
_shared: list[Path] = []


def place() -> Path:
    """A new private folder for the figures of several workers, in memory where the system has such a place: a file on a
    full disk would end whoever writes to it. What killed hubs left behind goes."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    parent = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    for left in parent.glob(f"{_PREFIX}[0-9]*-*"):
        owner = int(left.name.removeprefix(_PREFIX).split("-")[0])
        if not _lives(owner):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def share(folder: Path, number: int) -> None:
    """Keep this process's figures in a folder, under the number of its place. Before anything is counted."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    values.ValueClass = values.MultiProcessValue(lambda: number)
    _shared[:] = [folder]


def buried(folder: Path, number: int) -> None:
    """A worker is gone: what it counted stays, what it had is no more."""
    for kind in ("livesum", "livemax"):
        (folder / f"gauge_{kind}_{number}.db").unlink(missing_ok=True)


class Figures:
    """All workers' figures, as a Prometheus collector."""

    def collect(self) -> Iterator[Metric]:
        if _shared:
            yield from MultiProcessCollector(None, str(_shared[0])).collect()
        else:
            yield from REGISTRY.collect()


_NAMED: set[str] = set()


def name_operations(names: Iterable[str]) -> None:
    """Count these operations by their names from now on."""
    _NAMED.update(names)


def operation(name: str) -> str:
    """How an operation is counted: by its name where that is one of the known."""
    return name if name in _NAMED else OTHER


@cache
def own_operations() -> frozenset[str]:
    """The names of operations that the hub's own pages send."""
    said = re.compile(r"\b(?:query|mutation|subscription) ([A-Z]\w*)")
    web = Path(__file__).resolve().parents[1] / "web"
    return frozenset(name for script in web.glob("*.js") for name in said.findall(script.read_text("utf-8")))
