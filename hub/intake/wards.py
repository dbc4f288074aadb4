"""The wards as a worker knows them, to tell where fixes lie before they are sent to the database."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from geo.squares import MOST, Squares
from hub.database.session import Sessions
from hub.identity import SERVICE
from hub.intake.fixes import Fixes
from schema.errors import HubError

LOOK_SECONDS = 5.0
"""How soon a worker sees that outlines have changed. Until then the database finds the wards itself."""

_STAMP = "select wards_stamp() as stamp"
_OUTLINES = "select stamp, ward_ids, outlines from ward_outlines()"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    ids: list[UUID]
    squares: Squares
    stamp: int


class Wards:
    """Follows the outlines."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._known: _Known | None = None

    def told(self, fixes: Fixes) -> list[Any]:
        """What take_fixes() is told of wards: which ones, each fix's number among them, as of which outlines."""
        known = self._known
        if known is None:
            return [[], b"", None]
        return [known.ids, known.squares.numbers(fixes.longitudes, fixes.latitudes), known.stamp]

    async def follow(self) -> None:
        """Look whether outlines have changed, until cancelled."""
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - fixes are taken all the same, whatever is wrong with outlines
                level = logging.INFO if isinstance(error, (HubError, asyncpg.PostgresError)) else logging.ERROR
                log.log(level, "outlines of wards could not be taken up: %s", type(error).__name__)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Take up the outlines where they are others than before. Raises what `Sessions.fetch` raises."""
        (row,) = await self._sessions.fetch(SERVICE, _STAMP, [])
        if self._known is not None and self._known.stamp == row["stamp"]:
            return
        (row,) = await self._sessions.fetch(SERVICE, _OUTLINES, [])
        ids, outlines, stamp = row["ward_ids"] or [], row["outlines"] or [], row["stamp"]
        if stamp is None or len(ids) > MOST:
            self._known = None
        else:
            self._known = _Known(ids, await asyncio.to_thread(Squares, outlines), stamp)
