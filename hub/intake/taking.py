"""Fixes of many senders in one commit: whoever comes while one is under way goes with the next."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

import asyncpg

from hub.database.session import Sessions
from hub.identity import SERVICE
from hub.intake.devices import Devices
from hub.intake.fixes import AHEAD, Fixes
from hub.intake.wards import Wards
from hub.settings import Intake
from hub.watch import figures
from schema.errors import Unavailable

AT_ONCE = 5_000
"""Fixes in one commit, unless one sender brings more."""

PART = 2_500
"""Fixes of one sender that are stored together; more of them are stored in parts."""

LARGE = 1_000
"""So many go by the second connection where the first is busy."""

MOST_WAITING = 50_000
"""Fixes that may wait in one worker; further ones are told to come again."""

_TAKE = "select take_fixes($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) as known"
_ASIDE = "select quarantine_fixes($1, $2, $3)"


class Verdict(Enum):
    """What became of a fix that was not stored."""

    DUPLICATE = "duplicate"
    FUTURE = "future"
    TOO_OLD = "too_old"
    FAR_AWAY = "far_away"

    @property
    def is_aside(self) -> bool:
        """It cannot be true, and is kept apart."""
        return self is not Verdict.DUPLICATE

    @property
    def outcome(self) -> str:
        """The same, with everything that was put aside as one."""
        return "quarantined" if self.is_aside else "duplicate"


@dataclass(frozen=True, slots=True)
class _Waiting:
    devices: Sequence[UUID]
    fixes: Fixes
    done: asyncio.Future[dict[int, Verdict]]


class Taking:
    """A worker's intake, with connections that nothing else can use up."""

    def __init__(self, sessions: Sessions, settings: Intake) -> None:
        self._sessions = sessions
        self.settings = settings
        self.devices = Devices(sessions, settings)
        self._wards = Wards(sessions)
        self._waiting: deque[_Waiting] = deque()
        self._held = 0
        self._come = asyncio.Event()
        self._much = asyncio.Event()

    async def take(self, devices: Sequence[UUID], fixes: Fixes) -> dict[int, Verdict]:
        """Store fixes, each once; after the commit, what became of those that were not stored, by their places. Raises
        Unavailable: then nobody knows, and the same may be sent again."""
        if self._held + len(fixes) > MOST_WAITING:
            raise Unavailable("Many fixes are coming in: send them again in a moment.")
        waiting = _Waiting(devices, fixes, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._held += len(fixes)
        self._come.set()
        if len(fixes) >= LARGE:
            self._much.set()
        try:
            verdicts = await waiting.done
        finally:
            self._held -= len(fixes)
        outcomes = Counter(verdict.outcome for verdict in verdicts.values())
        outcomes["stored"] = len(fixes) - len(verdicts)
        for outcome, count in outcomes.items():
            figures.count(figures.FIXES, outcome, by=count)
        return verdicts

    async def run(self) -> None:
        """Commit what waits, until cancelled; of large batches two parts at once, each by a connection of its own."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._commits(self._come))
            tasks.create_task(self._commits(self._much))
            tasks.create_task(self._wards.follow())

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
        devices, fixes = group[0].devices, group[0].fixes
        if len(group) > 1:
            devices, fixes = [device for each in group for device in each.devices], Fixes()
            for each in group:
                fixes.extend(each.fixes)
        try:
            verdicts = await self._store(devices, fixes)
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
                end = at + len(each.fixes)
                if not each.done.done():
                    each.done.set_result({place - at: verdicts[place] for place in range(at, end) if place in verdicts})
                at = end

    async def _store(self, devices: Sequence[UUID], fixes: Fixes) -> dict[int, Verdict]:
        now = datetime.now(UTC)
        earliest, latest = now - timedelta(days=self.settings.position_days), now + AHEAD
        kept: Sequence[int] = range(len(fixes))
        verdicts: dict[int, Verdict] = {}
        if asides := fixes.asides(earliest.timestamp(), latest.timestamp()):
            aside = [(devices[at], reason, json.dumps(fixes.said(at))) for at, reason in asides.items()]
            await self._sessions.fetch(SERVICE, _ASIDE, [list(column) for column in zip(*aside, strict=True)])
            verdicts = {at: Verdict(reason) for at, reason in asides.items()}
            kept = [at for at in kept if at not in asides]
            devices, fixes = [devices[at] for at in kept], fixes.at(kept)
        if kept:
            # Asked twice where the line was lost: what was stored meanwhile is found as a duplicate, and is stored.
            columns = [*_columns(devices, fixes), *self._wards.told(fixes)]
            (row,) = await self._sessions.fetch(SERVICE, _TAKE, columns)
            for number in row["known"]:
                verdicts[kept[number - 1]] = Verdict.DUPLICATE
        return verdicts


def _columns(devices: Sequence[UUID], fixes: Fixes) -> list[Sequence[Any]]:
    """What take_fixes() takes before what is told of wards."""
    further: tuple[list[Any], ...] = (
        fixes.speeds,
        fixes.headings,
        fixes.altitudes,
        fixes.accuracies,
        fixes.batteries,
        fixes.doubts,
        fixes.extras,
    )
    return [
        # asyncpg takes four times as long for a UUID as for a number.
        devices[:1] if devices.count(devices[0]) == len(devices) else devices,
        fixes.seconds,
        fixes.longitudes,
        fixes.latitudes,
        # Of most columns nothing is said: an empty one costs nothing to send.
        *(column if column.count(None) < len(column) else [] for column in further),
    ]


def _told(waiting: _Waiting, error: BaseException) -> None:
    with suppress(asyncio.InvalidStateError):  # whoever waited is gone
        waiting.done.set_exception(error)
        waiting.done.exception()
