"""A hub that is watched: every statement that reaches its database is counted."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import asyncpg
import httpx
import pytest_asyncio

from hub.database.session import Sessions
from hub.identity import NOBODY, Caller
from tests.conftest import County, Hub, running

DOORS = ("/graphql", "/graphql/sql", "/graphql/explain")
"""Where operations come in. An attack on a document is sent through each."""

GUARD_SECONDS = 1.0
"""Far above what a refusal takes (`HUB_TEST_TIMES=1` prints that): a guard against work that grows with the attack."""


class Watched(Sessions):
    """The hub's own sessions, with a list of what was sent through them."""

    statements: list[str]

    @asynccontextmanager
    async def connection(  # type: ignore[override]
        self, caller: Caller = NOBODY, *, one_plan: bool = False
    ) -> AsyncIterator[asyncpg.Connection]:
        self.statements.append("a connection")
        async with super().connection(caller, one_plan=one_plan) as connection:
            with connection.query_logger(self._note):
                yield connection

    def _note(self, record: Any) -> None:
        self.statements.append(record.query)

    def sent(self) -> list[str]:
        """What was sent since the last call; the taking of connections aside."""
        sent = [statement for statement in self.statements if statement != "a connection"]
        self.statements.clear()
        return sent


class Refusal(NamedTuple):
    """What an attacker learns."""

    status: int
    code: str
    message: str


@dataclass
class Watch:
    """Attacks a hub, and sees to it that refusals come fast and without its database."""

    hub: Hub
    sessions: Watched
    times: dict[str, list[float]] = field(default_factory=dict, repr=False)

    async def refused(
        self,
        query: str,
        variables: Any = None,
        name: str | None = None,
        *,
        doors: tuple[str, ...] = DOORS,
        kind: str = "",
    ) -> Refusal:
        """The refusal of an operation, the same at every door."""
        asked = {"query": query, "variables": variables, "operationName": name}
        body = json.dumps(asked)  # which writes half a pair as JSON can: \ud800
        headers = {"content-type": "application/json"}
        found = [await self.refuses(door, kind or "documents", content=body, headers=headers) for door in doors]
        events = {**headers, "accept": "text/event-stream"}
        found.append(await self.refuses("/graphql", "documents as events", content=body, headers=events))
        assert len({refusal[:2] for refusal in found}) == 1, found
        assert await self._refuses_over_websocket(asked) == found[0].code
        return found[0]

    async def _refuses_over_websocket(self, asked: dict[str, Any]) -> str:
        """The code that an operation gets through the third door."""
        self.sessions.statements.clear()
        begun = time.perf_counter()
        coming: asyncio.Queue[Any] = asyncio.Queue()
        told: asyncio.Queue[Any] = asyncio.Queue()
        headers = [(b"host", b"127.0.0.1")]
        scope = {
            "type": "websocket",
            "scheme": "ws",
            "path": "/graphql",
            "headers": headers,
            "subprotocols": ["graphql-transport-ws"],
        }
        serving = asyncio.create_task(self.hub.app({**scope, "query_string": b""}, coming.get, told.put))
        subscribe = {"type": "subscribe", "id": "1", "payload": asked}
        coming.put_nowait({"type": "websocket.connect"})
        for message in ({"type": "connection_init"}, subscribe):
            coming.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})
        async with asyncio.timeout(10):
            assert (await told.get())["type"] == "websocket.accept"
            assert json.loads((await told.get())["text"]) == {"type": "connection_ack"}
            refusal = await told.get()
        self.times.setdefault("over a websocket", []).append((time.perf_counter() - begun) * 1000)
        coming.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await serving
        assert not self.sessions.statements, f"asked the database: {self.sessions.statements}"
        if refusal["type"] == "websocket.close":
            assert refusal["code"] == 4400, refusal
            return "BAD_USER_INPUT"
        said = json.loads(refusal["text"])
        assert (said["type"], said["id"]) == ("error", "1"), said
        return str(said["payload"][0]["extensions"]["code"])

    async def refuses(self, door: str, kind: str = "requests", *, method: str = "POST", **request: Any) -> Refusal:
        """The refusal of a request, seen to be one."""
        self.sessions.statements.clear()
        begun = time.perf_counter()
        response = await self.hub.http.request(method, door, **request)
        took = time.perf_counter() - begun
        self.times.setdefault(kind, []).append(took * 1000)
        assert not self.sessions.statements, f"asked the database: {self.sessions.statements}"
        assert took < GUARD_SECONDS, f"took {took:.2f} s"
        return refusal_of(response)

    async def passes(self, query: str, variables: Any = None, name: str | None = None) -> Any:
        """The answer to an operation that is just admitted."""
        response = await self.hub.post(query, variables, name)
        answer = response.json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]


def refusal_of(response: httpx.Response) -> Refusal:
    answer = response.json()
    assert response.status_code >= 400, answer
    assert answer.get("data") is None, answer
    errors = answer["errors"]
    for error in errors:
        for word in ("Traceback", "asyncpg", "select ", "SELECT ", ".py", "sqlalchemy"):
            assert word not in error["message"], error
    return Refusal(response.status_code, errors[0]["extensions"]["code"], errors[0]["message"])


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def watch(database: County) -> AsyncIterator[Watch]:
    async with running(database.login_url) as hub:
        sessions = Watched(database.login_url, hub.settings.database)
        sessions.statements = []
        await sessions.open()
        hub.app.state.sessions = sessions
        made = Watch(hub, sessions)
        await made.passes("{ wards { totalCount } }")
        yield made
        await sessions.close()
    if os.environ.get("HUB_TEST_TIMES"):
        print("\nrefusals               count   median      p95      max (ms)")
        for kind, times in sorted(made.times.items()):
            ordered = sorted(times)
            print(
                f"{kind:20} {len(times):7} {statistics.median(times):8.1f} "
                f"{ordered[int(len(times) * 0.95)]:8.1f} {ordered[-1]:8.1f}"
            )
