"""What stands before the routes: operations by POST go straight to their answer.

They are most of what is asked, and finding a route, looking through headers and passing on messages costs more than all
that the hub itself does for a short one.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hub import events, graphql
from hub.outlets.tiles import PACKED_FROM


class Asked(Request):
    """A request whose headers are looked up, not searched. Of one that came twice the first counts, as elsewhere."""

    @property
    def headers(self) -> dict[str, str]:  # type: ignore[override]
        if not hasattr(self, "_told"):
            said = reversed(self.scope["headers"])
            self._told = {name.decode("latin-1"): value.decode("latin-1") for name, value in said}
        return self._told


class Straight:
    """Answers operations; everything else goes on to the routes."""

    def __init__(self, app: ASGIApp, route: Route, packed: Callable[[ASGIApp], ASGIApp]) -> None:
        """`route` is the one by which operations would be found, `packed` what packs answers for who takes gzip."""
        self._app = app
        self._route = route
        self._packed = packed(_answer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self._route.path or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        request = Asked(scope, receive)
        if events.MEDIA in request.headers.get("accept", ""):
            await self._app(scope, receive, send)
            return
        scope["route"] = self._route
        if "gzip" in request.headers.get("accept-encoding", ""):
            await self._packed(scope, receive, send)
            return
        response = await graphql.answer(request)
        if len(response.body) >= PACKED_FROM:  # as the middleware says it where it packs nothing
            response.raw_headers.append((b"vary", b"Accept-Encoding"))
        await response(scope, receive, send)


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    response = await graphql.answer(Asked(scope, receive))
    await response(scope, receive, send)
