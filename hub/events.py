"""Server-sent events: POST /graphql with `Accept: text/event-stream`, one operation a connection (graphql-sse).

What is refused before anything runs is refused as any other request is, with a status and JSON. Everything else comes
as `event: next`, and ends with `event: complete`. A stream that ends without it was cut: come back with the last
cursor.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final

import asyncpg
from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from hub.graphql import (
    Context,
    Refused,
    as_answer,
    encode,
    execute,
    read_request,
    request_id,
    subscribed,
    turned_away,
)
from hub.identity import Caller
from hub.identity.door import Visit, token_of
from hub.identity.stays import Ended, Stay, Stays
from hub.live import Listener, Live, goodbye
from schema.api import schema
from schema.errors import STATUS, HubError, Unavailable

MEDIA: Final = "text/event-stream"

COMMENT_SECONDS: Final = 12.0
"""How often a line is sent that says nothing: whoever stands between must not take the connection for dead."""

SEND_SECONDS: Final = 20.0
"""How long a reader may take nothing before the connection is given up."""

_COMMENT = b":\n\n"
_COMPLETE = b"event: complete\ndata:\n\n"
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


async def answer(request: Request) -> Response:
    """The stream of an operation's answers, or the refusal of it."""
    live: Live = request.app.state.live
    try:
        asked, visit = await read_request(request)
        limits, sessions = request.app.state.settings.limits, request.app.state.sessions
        context = Context(limits, visit.caller, sessions, visit, request_id(request.headers))
        heard = schema.heard(asked.query, asked.variables, asked.operation_name, context.limits)
        if heard is not None:
            if live.draining:
                raise Unavailable("The hub is about to stop: try again in a moment.")
            subscribed(asked, context)
            guest = _Guest(live)
            listener = live.listen(heard, guest.caller)
            return _Stream(_told(request, visit, guest, listener))
    except Refused as refusal:
        return refusal.response
    except (HubError, GraphQLError) as error:
        return turned_away(error)
    data, errors = await execute(asked, context)
    if data is None and errors:
        status = STATUS[errors[0]["extensions"]["code"]]
        return Response(encode(data, errors), status, {"cache-control": "no-store"}, "application/json")
    response = Response(_next(encode(data, errors)) + _COMPLETE, headers=_HEADERS, media_type=MEDIA)
    for each in visit.cookies:
        response.headers.append("set-cookie", each)
    return response


def _next(answered: bytes) -> bytes:
    """JSON holds no line break of its own."""
    return b"event: next\ndata: " + answered + b"\n\n"


def _failed(error: HubError | asyncpg.PostgresError) -> bytes:
    told = error if isinstance(error, HubError) else GraphQLError("", original_error=error)
    return _next(encode(None, [as_answer(told)])) + _COMPLETE


class _Guest:
    """The one who holds a stream open."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self.stay = Stay()
        self.seen: Caller | None = None
        """As whom an administrator looks."""
        self.listener: Listener | None = None
        self.over: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        """The last words, once there is no more to come."""

    async def caller(self) -> Caller:
        own = await self.stay.now()
        return self.seen or own

    def end(self, words: bytes) -> None:
        if not self.over.done():
            self.over.set_result(words)

    async def dismiss(self) -> None:
        position = self.listener.position if self.listener is not None else None
        told = json.loads(goodbye([position], retry=True))
        self.end(f"retry: {round(told['retry'] * 1000)}\n: {json.dumps(told)}\n\n".encode())


async def _told(request: Request, visit: Visit, guest: _Guest, listener: Listener) -> AsyncGenerator[bytes]:
    live: Live = request.app.state.live
    stays: Stays = request.app.state.stays
    events = listener.events()
    coming: asyncio.Future[bytes] | None = None
    guest.listener = listener
    guest.seen = visit.seen_as
    live.guests.add(guest)
    try:
        yield _COMMENT
        async with stays.of(token_of(request.headers)) as guest.stay:
            forget = guest.stay.on_end(lambda _: guest.end(_failed(Ended())))
            try:
                while True:
                    coming = coming or asyncio.ensure_future(anext(events))
                    waited = {coming, guest.over}
                    await asyncio.wait(waited, timeout=COMMENT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                    if guest.over.done():
                        break
                    if coming.done():
                        said, coming = coming.result(), None
                        yield _next(said)
                    else:
                        yield _COMMENT
            finally:
                forget()
        yield guest.over.result()
    except (HubError, asyncpg.PostgresError) as error:
        yield _failed(error)
    finally:
        live.guests.discard(guest)
        if coming is not None:
            coming.cancel()
        else:
            await events.aclose()


class _Stream(StreamingResponse):
    """A stream whose reader may not stand still, and that leaves nothing behind."""

    def __init__(self, told: AsyncGenerator[bytes]) -> None:
        super().__init__(told, headers=_HEADERS, media_type=MEDIA)
        self._told = told

    async def stream_response(self, send: Send) -> None:
        async def hurried(message: object) -> None:
            async with asyncio.timeout(SEND_SECONDS):
                await send(message)  # type: ignore[arg-type]

        try:
            with suppress(TimeoutError):
                await super().stream_response(hurried)
        finally:
            await self._told.aclose()
