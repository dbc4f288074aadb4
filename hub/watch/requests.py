"""Counts what comes in, by the path's pattern and the answer's status: never by the path itself, which holds ids."""

from __future__ import annotations

from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.watch import figures, traces

NO_DOOR = "none"
"""Where no path fits, or the request was refused before one was looked for."""


class Counted:
    """The outermost of what every request goes through."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        begun = perf_counter()
        code = ""

        async def counted(message: Message) -> None:
            nonlocal code
            if not code:
                match message["type"]:
                    case "http.response.start":
                        code = str(message["status"])
                    case "websocket.accept":
                        code = "101"
                    case "websocket.close" | "websocket.http.response.start":
                        code = "403"
                if code:
                    _count(scope, kind, code, perf_counter() - begun)
            await send(message)

        with traces.span("request") as span:
            try:
                await self.app(scope, receive, counted)
            finally:
                if not code:  # it broke before it said anything, which Starlette answers with 500
                    code = "500"
                    _count(scope, kind, code, perf_counter() - begun)
                if span is not None:
                    span.set_attributes({"hub.door": _door(scope, kind), "http.response.status_code": int(code)})


def _count(scope: Scope, kind: str, code: str, seconds: float) -> None:
    if kind == "http":
        count(_door(scope, kind), code, seconds)
    else:
        figures.count(figures.REQUESTS, _door(scope, kind), code)


def count(door: str, code: str, seconds: float) -> None:
    """A request to a door, and how long its answer took to begin."""
    figures.count(figures.REQUESTS, door, code)
    figures.took(figures.REQUEST_SECONDS, door, seconds)


def _door(scope: Scope, kind: str) -> str:
    path = getattr(scope.get("route"), "path", NO_DOOR)
    return f"ws {path}" if kind == "websocket" else path
