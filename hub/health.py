"""Whether the process lives and whether it can serve: `/health/live` and `/health/ready`."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from time import monotonic

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hub.database.migrate import pending
from hub.database.session import Sessions
from hub.identity import PUBLIC
from schema.errors import HubError

KEPT_SECONDS = 5.0
"""How long the answer about migrations is kept: it is asked of the database by a connection of its own."""


class Readiness:
    """Whether the hub can answer just now, and which check says no."""

    def __init__(self, sessions: Sessions, url: str) -> None:
        self._sessions = sessions
        self._url = url
        self._migrated: tuple[float, bool] = (-KEPT_SECONDS, False)
        self.draining = False

    async def checks(self) -> dict[str, bool]:
        return {
            "serving": not self.draining,
            "database": await self._database(),
            "migrations": await self._migrations(),
        }

    async def _database(self) -> bool:
        try:
            async with self._sessions.connection(PUBLIC) as connection:
                return bool(await connection.fetchval("select exists (select 1 from wards)"))
        except HubError:
            return False

    async def _migrations(self) -> bool:
        asked, said = self._migrated
        if monotonic() - asked < KEPT_SECONDS:
            return said
        try:
            said = not await asyncio.to_thread(pending, self._url)
        except Exception:  # noqa: BLE001 - whatever keeps the question from being answered, the hub is not ready
            said = False
        self._migrated = (monotonic(), said)
        return said


async def live(_: Request) -> Response:
    """GET /health/live: the process answers; the database is not asked."""
    return JSONResponse({"status": "live", "version": version("kisumu-hub")}, headers={"cache-control": "no-store"})


async def ready(request: Request) -> Response:
    """GET /health/ready: 200 when the hub can serve, 503 with the checks that say no."""
    checks = await request.app.state.readiness.checks()
    good = all(checks.values())
    headers = {"cache-control": "no-store"} if good else {"cache-control": "no-store", "retry-after": "1"}
    return JSONResponse({"status": "ready" if good else "not ready", "checks": checks}, 200 if good else 503, headers)
