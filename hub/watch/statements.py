"""What the database is asked: how long each statement takes, and a line in the log for those that take long.

The line says which operation it was, never with which values: the text of a statement holds none, and even that is told
by its fingerprint alone.
"""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from functools import lru_cache
from hashlib import sha256
from time import perf_counter
from typing import Any, Protocol

from hub.watch import figures, traces
from schema.access import Scope

log = logging.getLogger("hub.slow")

LONGEST_NAME = 60
"""Letters of an operation's name in the log."""


class AtWork(Protocol):
    """The operation that a statement is part of."""

    operation: str
    """Its name, empty where it has none."""
    request: str
    """The id that the proxy gave the request; empty without."""
    cost: int | None
    """Rows that it may return; None where nobody counted."""


AT_WORK: ContextVar[AtWork | None] = ContextVar("at_work", default=None)
"""The operation that this task answers; None for the hub's own chores."""


@lru_cache(2000)
def fingerprint(sql: str) -> str:
    """The same for the same text, on every worker and after every start. `hub sql` prints that of a file."""
    return sha256(sql.encode()).hexdigest()[:16]


class timed:
    """Around a statement: count it and its time, and tell of it when it takes over `slow_ms` milliseconds, however it
    ends."""

    __slots__ = ("_begun", "_slow_ms", "_span", "_sql", "_who")

    def __init__(self, scope: Scope | None, sql: str, slow_ms: float) -> None:
        self._who = scope.value if scope else "none"
        self._sql = sql
        self._slow_ms = slow_ms
        self._span = traces.span("statement") if traces.tracing() else None

    def __enter__(self) -> None:
        if self._span is not None and (span := self._span.__enter__()) is not None:
            span.set_attributes({"hub.statement": fingerprint(self._sql), "hub.scope": self._who})
        self._begun = perf_counter()

    def __exit__(self, *raised: Any) -> None:
        seconds = perf_counter() - self._begun
        figures.took(figures.STATEMENT_SECONDS, self._who, seconds)
        if seconds * 1000 > self._slow_ms:
            figures.count(figures.SLOW_STATEMENTS, self._who)
            log.warning("slow statement %s", json.dumps(_told(self._who, self._sql, seconds)))
        if self._span is not None:
            self._span.__exit__(*raised)


def _told(scope: str, sql: str, seconds: float) -> dict[str, object]:
    work = AT_WORK.get()
    return {
        "operation": (work.operation[:LONGEST_NAME] or None) if work else None,
        "request": (work.request or None) if work else None,
        "scope": scope,
        "statement": fingerprint(sql),
        "ms": round(seconds * 1000, 1),
        "cost": work.cost if work else None,
    }
