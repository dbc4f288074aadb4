"""Fixes of many senders in one commit: whoever comes while one is under way goes with the next."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

import asyncpg

from geo.shapes import REGION
from hub.database.session import Sessions
from hub.identity import SERVICE
from hub.intake.devices import Devices
from hub.intake.fixes import AHEAD, Fix
from hub.settings import Intake
from hub.watch import figures
from schema.errors import Unavailable

AT_ONCE = 5_000
"""Fixes in one commit, unless one sender brings more."""

PART = 2_500
"""Fixes of one sender that are stored together; more of them are stored in parts, two at a time."""

MOST_WAITING = 50_000
"""Fixes that may wait in one worker; further ones are told to come again."""

_TAKE = "select take_fixes($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) as known"
_ASIDE = "select quarantine_fixes($1, $2, $3)"


class Verdict(Enum):
    """What became of a fix."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    FUTURE = "future"
    TOO_OLD = "too_old"
    FAR_AWAY = "far_away"

    @property
    def outcome(self) -> str:
        """The same, with everything that was put aside as one."""
        return self.value if self in (Verdict.STORED, Verdict.DUPLICATE) else "quarantined"


@dataclass(frozen=True, slots=True)
class _Waiting:
    devices: Sequence[UUID]
    fixes: Sequence[Fix]
    done: asyncio.Future[list[Verdict]]


class Taking:
    """A worker's intake, with connections that nothing else can use up."""

    def __init__(self, sessions: Sessions, settings: Intake) -> None:
        self._sessions = sessions
        self.settings = settings
        self.devices = Devices(sessions, settings)
        self._waiting: deque[_Waiting] = deque()
        self._held = 0
        self._come = asyncio.Event()
        self._much = asyncio.Event()

    async def take(self, devices: Sequence[UUID], fixes: Sequence[Fix]) -> list[Verdict]:
        """Store fixes, each once; what became of each, after the commit. Raises Unavailable: then nobody knows, and
        the same may be sent again."""
        if self._held + len(fixes) > MOST_WAITING:
            raise Unavailable("Many fixes are coming in: send them again in a moment.")
        loop, size = asyncio.get_running_loop(), len(fixes)
        # Of two fixes of one moment the first counts: only what holds none such may be stored in any order.
        if size > PART and len(set(zip(devices, (fix.recorded_at for fix in fixes), strict=True))) == size:
            size = PART
        parts = [
            _Waiting(devices[at : at + size], fixes[at : at + size], loop.create_future())
            for at in range(0, len(fixes), max(size, 1))
        ]
        self._waiting.extend(parts)
        self._held += len(fixes)
        self._come.set()
        if len(parts) > 1:
            self._much.set()
        try:
            # Each to its end, also when another failed: what was stored is stored, a duplicate when it comes again.
            done = await asyncio.gather(*(part.done for part in parts), return_exceptions=True)
        finally:
            self._held -= len(fixes)
        for each in done:
            if isinstance(each, BaseException):
                raise each
        verdicts = [verdict for each in done for verdict in each]  # type: ignore[union-attr]
        for verdict in Verdict:
            if count := verdicts.count(verdict):
                figures.count(figures.FIXES, verdict.outcome, by=count)
        return verdicts

    async def run(self) -> None:
        """Commit what waits, until cancelled; of large batches two parts at once, each by a connection of its own."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._commits(self._come))
            both.create_task(self._commits(self._much))

    async def _commits(self, called: asyncio.Event) -> None:
        while True:
            await called.wait()
            called.clear()
            while self._waiting:
                group = [self._waiting.popleft()]
                size = len(group[0].fixes)
                while self._waiting and size < PART and size + len(self._waiting[0].fixes) <= AT_ONCE:
                    group.append(self._waiting.popleft())
                    size += len(group[-1].fixes)
                await self._commit(group)

    async def _commit(self, group: list[_Waiting]) -> None:
        try:
            devices = [device for each in group for device in each.devices]
            verdicts = await self._store(devices, [fix for each in group for fix in each.fixes])
        except asyncpg.PostgresError as error:
            if len(group) == 1:
                _told(group[0], error)
                return
            # Nothing of it was stored. Whoever brought what the database refused must not take the others along.
            for each in group:
                await self._commit([each])
        except BaseException as error:
            told = Unavailable("The hub stops: send it again.") if isinstance(error, asyncio.CancelledError) else error
            for each in group:
                _told(each, told)
            if not isinstance(error, Exception):
                raise
        else:
            at = 0
            for each in group:
                if not each.done.done():
                    each.done.set_result(verdicts[at : at + len(each.fixes)])
                at += len(each.fixes)

    async def _store(self, devices: list[UUID], fixes: list[Fix]) -> list[Verdict]:
        now = datetime.now(UTC)
        verdicts = [Verdict.STORED] * len(fixes)
        kept = list(range(len(fixes)))
        columns = _columns(devices, fixes, now)
        if asides := self._asides(fixes, columns, now):
            aside = [(devices[at], reason, json.dumps(fixes[at].said())) for at, reason in asides.items()]
            await self._sessions.fetch(SERVICE, _ASIDE, [list(column) for column in zip(*aside, strict=True)])
            for at, reason in asides.items():
                verdicts[at] = Verdict(reason)
            kept = [at for at in kept if at not in asides]
            devices, fixes = [devices[at] for at in kept], [fixes[at] for at in kept]
            columns = _columns(devices, fixes, now) if kept else []
        if kept:
            # Asked twice where the line was lost: what was stored meanwhile is found as a duplicate, and is stored.
            (row,) = await self._sessions.fetch(SERVICE, _TAKE, columns)
            for number in row["known"]:
                verdicts[kept[number - 1]] = Verdict.DUPLICATE
        return verdicts

    def _asides(self, fixes: list[Fix], columns: list[list[Any]], now: datetime) -> dict[int, str]:
        """Why fixes cannot be true, by their places. Nearly always the least and the most tell that all of them can."""
        earliest, latest = now - timedelta(days=self.settings.position_days), now + AHEAD
        _, seconds, longitudes, latitudes, *_ = columns
        west, south, east, north = REGION
        if (
            earliest.timestamp() <= min(seconds)
            and max(seconds) <= latest.timestamp()
            and west <= min(longitudes)
            and max(longitudes) <= east
            and south <= min(latitudes)
            and max(latitudes) <= north
        ):
            return {}
        return {at: reason for at, fix in enumerate(fixes) if (reason := fix.aside(earliest, latest))}


def _columns(devices: list[UUID], fixes: list[Fix], now: datetime) -> list[list[Any]]:
    """What take_fixes() takes."""
    further = (
        [fix.speed_kmh for fix in fixes],
        [fix.heading for fix in fixes],
        [fix.altitude_meters for fix in fixes],
        [fix.accuracy_meters for fix in fixes],
        [fix.battery for fix in fixes],
        [",".join(fix.doubts()) or None for fix in fixes],
        [json.dumps(fix.extra) if fix.extra else None for fix in fixes],
    )
    return [
        # asyncpg takes four times as long for a UUID, and ten times for a time, as for a number.
        devices[:1] if devices.count(devices[0]) == len(devices) else devices,
        [(fix.recorded_at or now).timestamp() for fix in fixes],
        [fix.longitude for fix in fixes],
        [fix.latitude for fix in fixes],
        # Of most columns nothing is said: an empty one costs nothing to send.
        *(column if column.count(None) < len(column) else [] for column in further),
    ]


def _told(waiting: _Waiting, error: BaseException) -> None:
    with suppress(asyncio.InvalidStateError):  # whoever waited is gone
        waiting.done.set_exception(error)
        waiting.done.exception()
