"""The websocket door: graphql-transport-ws, and nothing else.

Written here instead of taken from Strawberry because each operation needs a context of its own and the caller of now,
errors need our codes, frames are put together from finished bytes, and whatever a client may send must be refused by a
close code, not by an exception.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
from graphql import GraphQLError
from starlette.datastructures import Headers
from starlette.websockets import WebSocket, WebSocketDisconnect

from hub.graphql import (
    Asked,
    Context,
    Refused,
    as_answer,
    encode,
    execute,
    read_json,
    read_operation,
    request_id,
    subscribed,
)
from hub.identity import Caller
from hub.identity.door import Visit, bearer, held_cookie
from hub.identity.seeing import seen_as
from hub.identity.stays import Stay, Stays
from hub.live import Listener, Live, goodbye
from schema.api import schema
from schema.errors import BadUserInput, Forbidden, HubError, Unauthenticated, Unavailable

log = logging.getLogger(__name__)

PROTOCOL: Final = "graphql-transport-ws"

INIT_SECONDS: Final = 5.0
"""How long a client may take to say who it is."""

MOST_OPERATIONS: Final = 20
"""Operations that run on one socket at a time."""

MOST_ID: Final = 200
"""Letters of an operation's id, which comes back with each of its events."""

SEND_SECONDS: Final = 20.0
"""How long a reader may take nothing before the socket is closed."""

CLOSE_SECONDS: Final = 20.0
"""How long the last word may wait for its reader."""

FINISH_SECONDS: Final = 5.0
"""How long what is no subscription may take to end when the hub stops."""

INVALID, UNAUTHORIZED, FORBIDDEN, TOO_LATE, TAKEN, TWICE = 4400, 4401, 4403, 4408, 4409, 4429
GOING_AWAY, TOO_SLOW, FAILED = 1001, 1013, 1011


class Closed(Exception):
    """The socket is to be closed, with a code and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        # What a close frame can hold.
        self.reason = reason.encode()[:123].decode(errors="ignore")


async def connect(websocket: WebSocket) -> None:
    """The handshake: whose page it is, and which protocol it speaks, is seen before anything is accepted."""
    live: Live = websocket.app.state.live
    origin = websocket.headers.get("origin")
    if (origin is not None and not is_own(origin, websocket)) or PROTOCOL not in websocket.scope["subprotocols"]:
        await websocket.close()  # 403; for any other answer uvicorn logs an error
        return
    await websocket.accept(PROTOCOL)
    if live.draining:
        await websocket.close(GOING_AWAY, goodbye((), retry=True))
    else:
        await Socket(websocket).serve()


def is_own(origin: str, websocket: WebSocket) -> bool:
    """Whether a page of this very host connects. Before the hub may stand what speaks TLS for it: a page that came by
    HTTPS is more than one that did not."""
    shown = urlsplit(origin)
    schemes = {"https"} if websocket.url.scheme == "wss" else {"http", "https"}
    return origin == f"{shown.scheme}://{websocket.headers.get('host')}" and shown.scheme in schemes


class Socket:
    """One client's connection, its caller and its operations."""

    def __init__(self, websocket: WebSocket) -> None:
        state = websocket.app.state
        self._websocket = websocket
        self._live: Live = state.live
        self._stays: Stays = state.stays
        self._state = state
        self._stay: Stay | None = None
        self._seen: Caller | None = None
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._listeners: dict[str, Listener] = {}
        self._over: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()
        self._gone = asyncio.Event()

    async def serve(self) -> None:
        """Until the client leaves, or has to."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(INIT_SECONDS, self.end, TOO_LATE, f"no connection_init within {INIT_SECONDS:g} s")
        self._live.guests.add(self)
        async with AsyncExitStack() as until_the_end:
            reading = asyncio.create_task(self._read(until_the_end, timer))
            try:
                waited: set[asyncio.Future[Any]] = {reading, self._over}
                await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                if reading.done() and (error := reading.exception()) is not None:
                    if not isinstance(error, Closed):
                        log.error("a websocket failed", exc_info=error)
                    closed = error if isinstance(error, Closed) else Closed(FAILED, "the hub failed")
                    self.end(closed.code, closed.reason)
            finally:
                timer.cancel()
                self._live.guests.discard(self)
                running = [reading, *self._operations.values()]
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)
        if self._over.done():
            closed = self._over.result()
            # Whoever does not read cannot be told; the system drops the connection in the end.
            with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._websocket.close(closed.code, closed.reason)
        self._gone.set()

    def end(self, code: int, reason: str) -> None:
        """Close the socket, soon."""
        if not self._over.done():
            self._over.set_result(Closed(code, reason))

    async def dismiss(self) -> None:
        """The hub stops: what is no subscription may end first."""
        ending = [task for id, task in self._operations.items() if id not in self._listeners]
        if ending:
            await asyncio.wait(ending, timeout=FINISH_SECONDS)
        self.end(GOING_AWAY, self._last_words(retry=True))
        with suppress(TimeoutError):  # whoever does not read
            async with asyncio.timeout(FINISH_SECONDS):
                await self._gone.wait()

    def _last_words(self, *, retry: bool) -> str:
        return goodbye((listener.position for listener in self._listeners.values()), retry=retry)

    # -- what the client says -----------------------------------------------------------------------------------------

    async def _read(self, until_the_end: AsyncExitStack, timer: asyncio.TimerHandle) -> None:
        while True:
            frame = await self._websocket.receive()
            if frame["type"] == "websocket.disconnect":
                return
            text = frame.get("text")
            if text is None:
                raise Closed(INVALID, "messages are text, not bytes")
            try:
                message = read_json(text)
            except (ValueError, RecursionError) as error:
                raise Closed(INVALID, "the message is no JSON") from error
            if not isinstance(message, dict):
                raise Closed(INVALID, "a message is a JSON object")
            match message.get("type"):
                case "connection_init":
                    if self._stay is not None:
                        raise Closed(TWICE, "connection_init was sent before")
                    timer.cancel()
                    await self._welcome(message.get("payload"), until_the_end)
                case "ping":
                    await self._send(b'{"type":"pong"}')
                case "pong":
                    pass
                case "subscribe":
                    if self._stay is None:
                        raise Closed(UNAUTHORIZED, "send connection_init first")
                    await self._subscribe(message)
                case "complete":
                    self._complete(_id(message))
                case _:
                    raise Closed(INVALID, "there is no such type of message")

    async def _welcome(self, payload: Any, until_the_end: AsyncExitStack) -> None:
        """Find out who it is."""
        if payload is None:
            payload = {}
        if not isinstance(payload, dict):
            raise Closed(INVALID, "the payload of connection_init is a JSON object")
        words = payload.get("seeAs")
        shown = payload.get("authorization")
        if not isinstance(words, (str, type(None))) or not isinstance(shown, (str, type(None))):
            raise Closed(INVALID, "authorization and seeAs are texts")
        try:
            stay = await until_the_end.enter_async_context(self._stays.of(_token(shown, self._websocket.headers)))
            if words is not None:
                self._seen = await seen_as(self._state.sessions, stay.caller, words)
        except BadUserInput as error:
            raise Closed(INVALID, str(error)) from error
        except (Unauthenticated, Forbidden) as error:
            raise Closed(FORBIDDEN, str(error)) from error
        except Unavailable as error:
            raise Closed(TOO_SLOW, str(error)) from error
        until_the_end.callback(stay.on_end(lambda reason: self.end(FORBIDDEN, reason)))
        self._stay = stay
        await self._send(b'{"type":"connection_ack"}')

    async def _caller(self) -> Caller:
        """As whom the next statement runs."""
        assert self._stay is not None
        own = await self._stay.now()
        return self._seen or own

    async def _subscribe(self, message: dict[str, Any]) -> None:
        id, payload = _id(message), message.get("payload")
        if not isinstance(payload, dict):
            raise Closed(INVALID, "the payload of subscribe is a JSON object")
        try:
            asked = read_operation(payload, self._state.settings.limits)
        except Refused as error:
            raise Closed(INVALID, str(error)) from error
        if id in self._operations:
            raise Closed(TAKEN, "an operation with this id is running")
        if len(self._operations) >= MOST_OPERATIONS:
            words = f"{MOST_OPERATIONS} operations run on this socket: end one of them first."
            refused = {"message": words, "extensions": {"code": "RATE_LIMITED", "limit": MOST_OPERATIONS}}
            await self._send(_message(id, "error", json.dumps([refused]).encode()))
            return
        self._start(id, self._operate(id, asked))

    def _start(self, id: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._operations[id] = task

        def ended(_: asyncio.Task[None]) -> None:
            if self._operations.get(id) is task:
                del self._operations[id]
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("an operation failed", exc_info=error)
                self.end(FAILED, "the hub failed")

        task.add_done_callback(ended)

    def _complete(self, id: str) -> None:
        """The client has heard enough of an operation. One that is over already is no mistake."""
        task = self._operations.pop(id, None)
        self._listeners.pop(id, None)
        if task is not None:
            task.cancel()

    # -- what it is told ----------------------------------------------------------------------------------------------

    async def _operate(self, id: str, asked: Asked) -> None:
        try:
            last = await self._answered(id, asked)
        except (HubError, GraphQLError, asyncpg.PostgresError) as error:
            told = GraphQLError("", original_error=error) if isinstance(error, asyncpg.PostgresError) else error
            last = _message(id, "error", json.dumps([as_answer(told)]).encode())
        except WebSocketDisconnect:
            return
        # The id is free again before the client can know it.
        if self._operations.get(id) is asyncio.current_task():
            del self._operations[id]
        with suppress(WebSocketDisconnect):
            await self._send(last)

    async def _answered(self, id: str, asked: Asked) -> bytes:
        """Send an operation's answers; the message that ends it."""
        assert self._stay is not None
        limits = self._state.settings.limits
        client = self._websocket.client
        visit = Visit(self._state.identity, client.host if client else "", False, self._stay.presence)
        request = request_id(self._websocket.headers)
        context = Context(limits, await self._caller(), self._state.sessions, visit, request)
        heard = schema.heard(asked.query, asked.variables, asked.operation_name, limits)
        if heard is None:
            data, errors = await execute(asked, context)
            if data is None and errors:
                return _message(id, "error", json.dumps(errors).encode())
            await self._send(_message(id, "next", encode(data, errors)))
            return _message(id, "complete")
        subscribed(asked, context)
        listener = self._listeners[id] = self._live.listen(heard, self._caller)
        events = listener.events()
        try:
            async for event in events:
                await self._send(_message(id, "next", event))
        finally:
            await events.aclose()
            if self._listeners.get(id) is listener:
                del self._listeners[id]
        raise AssertionError("events come without end")

    async def _send(self, message: bytes) -> None:
        try:
            # Not `wait_for`: before Python 3.12 it may swallow a cancellation.
            async with asyncio.timeout(SEND_SECONDS):
                await self._websocket.send_text(message.decode())
        except TimeoutError:
            self.end(TOO_SLOW, self._last_words(retry=False))
            raise WebSocketDisconnect(TOO_SLOW) from None
        except RuntimeError as error:  # Starlette's word for a socket that was closed meanwhile
            raise WebSocketDisconnect from error


def _token(shown: str | None, headers: Headers) -> str | None:
    """What a client shows: in connection_init, in the handshake's header, or the cookie of one of our own pages."""
    shown = shown if shown is not None else headers.get("authorization")
    if shown is not None:
        return bearer(shown)
    return held_cookie(headers) if headers.get("origin") is not None else None


def _id(message: dict[str, Any]) -> str:
    id = message.get("id")
    if not isinstance(id, str) or not 0 < len(id) <= MOST_ID:
        raise Closed(INVALID, f"an operation's id is a text of 1 to {MOST_ID} letters")
    return id


def _message(id: str, type: str, payload: bytes | None = None) -> bytes:
    """A message of an operation, its payload as it comes."""
    begun = b'{"id":' + json.dumps(id).encode() + b',"type":"' + type.encode() + b'"'
    return begun + (b',"payload":' + payload + b"}" if payload is not None else b"}")
