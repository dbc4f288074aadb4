"""One request after another: what is sent, what is tried again, and which error an answer is."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException

from schema.errors import ANSWERS, HubError, Unavailable

PATIENCE = 60.0
"""Seconds without a byte after which a request is given up."""
TRIES = 5
LONGEST_PAUSE = 30.0

_ERRORS: dict[str, type[HubError]] = {code: error for error, (code, _) in ANSWERS.items()}


class NotAnHub(HubError):
    """What answers there is not the hub."""


class Resync(HubError):
    """What happened since the cursor cannot be told any more: read the list anew, and listen from now on."""


def error_of(told: dict[str, Any]) -> HubError:
    """The error that an answer's entry is, with its details."""
    details = {name: value for name, value in (told.get("extensions") or {}).items() if name != "code"}
    code = (told.get("extensions") or {}).get("code", "")
    kind = Resync if details.get("reason") == "RESYNC" else _ERRORS.get(code, HubError)
    made = kind(told.get("message") or "The hub refused.")
    made.details.update(details)
    return made


class Asking:
    """The line to one hub. Reads, and changes with a `clientMutationId`, are tried again while the hub is away."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url.rstrip("/")
        self.token = token
        local = urlsplit(self.url).hostname in ("127.0.0.1", "localhost", "::1")
        # On this machine packing costs more time than it saves.
        head = {"accept-encoding": "identity"} if local else {}
        self.http = httpx.AsyncClient(base_url=self.url, timeout=PATIENCE, headers=head)

    @property
    def head(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"} if self.token else {}

    async def graphql(self, document: str, variables: dict[str, Any], operation: str | None = None) -> dict[str, Any]:
        """An operation's data. Raises what the hub's first error is."""
        body = {"query": document, "variables": variables, "operationName": operation}
        again = not _changes(document) or "clientMutationId" in json.dumps(variables)
        answer = await self._sent("POST", "/graphql", again=again, json=body)
        told = _json(answer)
        if told.get("errors"):
            raise error_of(told["errors"][0])
        return dict(told["data"])

    async def get(self, path: str, query: dict[str, str], progress: Callable[[int], None] | None) -> bytes:
        """A file. `progress` is told how many bytes there are so far."""
        answer = await self._sent("GET", path, again=True, params=query, progress=progress)
        return answer.content

    async def _sent(self, method: str, path: str, *, again: bool, progress: Any = None, **more: Any) -> httpx.Response:
        pause = 0.5
        for number in range(1, TRIES + 1):
            try:
                answer = await self._once(method, path, progress, more)
            except (httpx.TransportError, httpx.StreamError) as error:
                failed: HubError = Unavailable(f"{self.url} does not answer ({type(error).__name__}): {error}")
                if number == TRIES or not again:
                    raise failed from error
                wait = pause
            else:
                if answer.status_code == 200:
                    return answer
                failed = _refused(answer)
                if answer.status_code not in (429, 503) or number == TRIES or not again:
                    raise failed
                with suppress(ValueError):
                    pause = max(pause, float(answer.headers.get("retry-after", "0")))
                wait = pause
            await asyncio.sleep(min(wait, LONGEST_PAUSE) * random.uniform(0.8, 1.2))  # noqa: S311
            pause *= 2
        raise AssertionError("unreachable")

    async def _once(self, method: str, path: str, progress: Any, more: dict[str, Any]) -> httpx.Response:
        if progress is None:
            return await self.http.request(method, path, headers=self.head, **more)
        async with self.http.stream(method, path, headers=self.head, **more) as answer:
            pieces, so_far = [], 0
            async for piece in answer.aiter_bytes():
                pieces.append(piece)
                so_far += len(piece)
                progress(so_far)
            answer._content = b"".join(pieces)
            return answer

    async def events(self, document: str, variables: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """A subscription's events, each once: after a lost line it goes on behind the last cursor that came, where the
        document takes `$after`. Raises Resync where that cannot be, and what else the hub refuses."""
        pause = 0.5
        given = dict(variables)
        while True:
            try:
                async for event in self._line(document, given):
                    pause = 0.5
                    if (cursor := _cursor(event)) is not None and "$after" in document:
                        given["after"] = cursor
                    yield event
                return  # the hub has said that it is complete
            except (OSError, TimeoutError, WebSocketException, Unavailable) as error:
                if isinstance(error, (InvalidURI, InvalidHandshake)) and pause > LONGEST_PAUSE:
                    raise Unavailable(f"{self.url} does not answer: {error}") from error
                await asyncio.sleep(min(pause, LONGEST_PAUSE) * random.uniform(0.8, 1.2))  # noqa: S311
                pause *= 2

    async def _line(self, document: str, variables: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        address = self.url.replace("http", "ws", 1) + "/graphql"
        async with connect(address, subprotocols=["graphql-transport-ws"], max_size=None) as socket:  # type: ignore[list-item]
            await socket.send(json.dumps({"type": "connection_init", "payload": self.head}))
            begun = json.dumps({"id": "1", "type": "subscribe", "payload": {"query": document, "variables": variables}})
            async for message in socket:
                told = json.loads(message)
                match told["type"]:
                    case "connection_ack":
                        await socket.send(begun)
                    case "ping":
                        await socket.send('{"type":"pong"}')
                    case "next":
                        if told["payload"].get("errors"):
                            raise error_of(told["payload"]["errors"][0])
                        yield told["payload"]["data"]
                    case "error":
                        raise error_of(told["payload"][0])
                    case "complete":
                        return
            raise Unavailable("The line ended.")


def _cursor(event: dict[str, Any]) -> str | None:
    return next((value["cursor"] for value in event.values() if isinstance(value, dict) and "cursor" in value), None)


def _changes(document: str) -> bool:
    return "mutation" in document.partition("{")[0]


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        told = answer.json()
    except ValueError as error:
        raise NotAnHub(f"{answer.url} answered {answer.status_code} and no JSON: is the address the hub's?") from error
    if not isinstance(told, dict) or not told.keys() & {"data", "errors"}:
        raise NotAnHub(f"{answer.url} answered {answer.status_code} and something else: is the address the hub's?")
    return told


def _refused(answer: httpx.Response) -> HubError:
    told = _json(answer)
    return error_of(told["errors"][0]) if told.get("errors") else NotAnHub()
