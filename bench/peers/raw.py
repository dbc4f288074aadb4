"""No GraphQL at all: the hub's own statements behind a bare ASGI function, run as the same caller.

Requests are the hub's, byte for byte; statement and parameters stand ready for each of them, so that what is left is
what any server over these statements has to do.
"""

from __future__ import annotations

import gc
import json
import os
from pathlib import Path
from typing import Any

from hub.database.session import Sessions
from hub.identity import Caller
from hub.identity.sign_ins import Identity
from hub.settings import Database, Limits, SignIn
from schema.api import schema
from schema.compiler.statements import Statement


class Bare:
    """The ASGI function and what it holds."""

    def __init__(self) -> None:
        self._sessions: Sessions | None = None
        self._caller: Caller | None = None
        self._known: dict[bytes, tuple[Statement, list[Any], tuple[bytes, ...]]] = {}

    async def open(self) -> None:
        database = Database(database_url=os.environ["BENCH_DATABASE_URL"])
        assert database.database_url is not None
        self._sessions = Sessions(database.database_url, database)
        await self._sessions.open()
        presence = await Identity(self._sessions, SignIn()).recognise(os.environ["BENCH_TOKEN"])
        self._caller = presence.caller
        for line in Path(os.environ["BENCH_BODIES"]).read_bytes().splitlines():
            asked = json.loads(line)
            statement, parameters = schema.compiled(asked["query"], asked.get("variables"), None, Limits())
            self._known[line] = (statement, parameters, tuple(f'"{key}":'.encode() for key in statement.keys))
        gc.collect()
        gc.freeze()

    async def answer(self, receive: Any) -> bytes:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        statement, parameters, keys = self._known[body]
        assert self._sessions is not None
        assert self._caller is not None
        found = await self._sessions.fetch_json(self._caller, statement.sql, parameters, one_plan=statement.one_plan)
        members = b",".join(key + value for key, value in zip(keys, found, strict=True))
        return b'{"data":{' + members + b"}}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await self.open()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = await self.answer(receive)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


app = Bare()
