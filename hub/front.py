"""What stands before everything else: operations by POST go straight to their answer.

They are most of what is asked, and finding a route, searching headers and passing messages on from one middleware to
the next costs more than all that the hub itself does for a short one. What the middleware does is done here as well:
the host is one that was let in before, the answer has the strict headers and is packed for who takes gzip, and the
request is counted. Everything else, and the first request to a host, goes the ordinary way.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hub import events, graphql, pages
from hub.outlets.tiles import PACKED_FROM
from hub.watch import requests, traces

PATH = "/graphql"

MOST_HOSTS = 100
"""Names that are kept of the host: with a pattern there are as many as callers like."""


class Asked(Request):
    """A request whose headers are looked up, not searched. Of one that came twice the first counts, as elsewhere."""

    @property
    def headers(self) -> dict[str, str]:  # type: ignore[override]
        if not hasattr(self, "_told"):
            said = reversed(self.scope["headers"])
            self._told = {name.decode("latin-1"): value.decode("latin-1") for name, value in said}
        return self._told


class Straight:
    """The outermost: answers operations."""

    def __init__(self, app: ASGIApp, hosts: set[str], packed: Callable[[ASGIApp], ASGIApp]) -> None:
        """`hosts` are names that were let in (`Hosts`), `packed` packs an answer."""
        self._app = app
        self._hosts = hosts
        self._packed = packed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST" or traces.tracing():
            await self._app(scope, receive, send)
            return
        request = Asked(scope, receive)
        headers = request.headers
        if headers.get("host") not in self._hosts or events.MEDIA in headers.get("accept", ""):
            await self._app(scope, receive, send)
            return
        begun, status = perf_counter(), 500  # what Starlette answers when something breaks
        try:
            response = await graphql.answer(request)
            status = response.status_code
        finally:
            requests.count(PATH, str(status), perf_counter() - begun)
        response.raw_headers += pages.DATA_STRICT
        await self._sent(response, headers)(scope, receive, send)

    def _sent(self, response: Response, headers: dict[str, str]) -> ASGIApp:
        if len(response.body) < PACKED_FROM:
            return response
        if "gzip" in headers.get("accept-encoding", ""):
            return self._packed(response)
        response.raw_headers.append((b"vary", b"Accept-Encoding"))  # as the middleware says it where it packs nothing
        return response


class Hosts:
    """Behind what refuses requests by their host: notes those that came through."""

    def __init__(self, app: ASGIApp, hosts: set[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and len(self._hosts) < MOST_HOSTS:
            # Of several the first, which is the one that was looked at.
            self._hosts.update([value.decode("latin-1") for name, value in scope["headers"] if name == b"host"][:1])
        await self._app(scope, receive, send)
