"""A hub that listens, and clients that stay with it: what tests of live events share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from hub.app import create_app
from hub.serving import address_of, configured, listen
from hub.settings import Database, Settings
from tests.conftest import PASSWORD, SIGN_IN

PROTOCOL = Subprotocol("graphql-transport-ws")

REPORT = "mutation ($input: ReportIncidentInput!) { reportIncident(input: $input) { incident { id version } } }"
MOVE = (
    "mutation ($input: ChangeIncidentStatusInput!) { changeIncidentStatus(input: $input) { incident { id version } } }"
)
EDIT = "mutation ($input: EditIncidentInput!) { editIncident(input: $input) { incident { id version ward { code } } } }"
NOTE = "mutation ($input: NoteOnIncidentInput!) { noteOnIncident(input: $input) { incident { id version } } }"
LIVE = """subscription Live($bbox: BBox, $where: IncidentFilter, $after: String) {
  incidentChanged(bbox: $bbox, where: $where, after: $after) {
    cursor change id at incident { id title status severity location ward { code } }
  }
}"""
AHERO = [34.9189, -0.1723]  # ward 1208
LAKE = [34.6, -0.2]


class Quiet(uvicorn.Server):
    """A server that leaves the signals of the tests' process alone."""

    def capture_signals(self) -> Any:
        return nullcontext()


class Listening:
    """A hub behind a port, in this process."""

    def __init__(self, app: Starlette, address: str) -> None:
        self.app = app
        self.address = address
        self.http = httpx.AsyncClient(base_url=address, timeout=30)
        self.tokens: dict[str, str] = {}

    @property
    def live(self) -> Any:
        return self.app.state.live

    @property
    def socket_address(self) -> str:
        return self.address.replace("http://", "ws://") + "/graphql"

    async def token(self, name: str, *, anew: bool = False) -> str:
        if anew or name not in self.tokens:
            answer = await self.http.post(
                "/graphql", json={"query": SIGN_IN, "variables": {"input": {"name": name, "password": PASSWORD}}}
            )
            self.tokens[name] = answer.json()["data"]["signIn"]["token"]
        return self.tokens[name]

    async def ask(self, who: str | None, query: str, **variables: Any) -> Any:
        headers = {"authorization": f"Bearer {await self.token(who)}"} if who else {}
        answer = (
            await self.http.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
        ).json()
        assert "errors" not in answer, answer
        return answer["data"]

    async def report(self, who: str = "dispatcher", **more: Any) -> str:
        """A new incident's id."""
        given = {"kind": "FLOOD", "title": "Nyando over its banks", "location": AHERO, "severity": "SEVERE", **more}
        return str((await self.ask(who, REPORT, input=given))["reportIncident"]["incident"]["id"])

    async def edit(self, id: str, version: int, who: str = "dispatcher", **more: Any) -> Any:
        given = {"id": id, "expectedVersion": version, **more}
        return (await self.ask(who, EDIT, input=given))["editIncident"]["incident"]

    @asynccontextmanager
    async def socket(self, who: str | None = None, **init: Any) -> AsyncIterator[Client]:
        """A client that was welcomed."""
        if who is not None:
            init["authorization"] = f"Bearer {await self.token(who)}"
        async with connect(self.socket_address, subprotocols=[PROTOCOL], max_size=None) as connection:
            client = Client(connection)
            await client.say({"type": "connection_init", "payload": init})
            assert await client.hear() == {"type": "connection_ack"}
            yield client


class Client:
    """One end of a websocket."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, message: Any) -> None:
        await self.connection.send(message if isinstance(message, (str, bytes)) else json.dumps(message))

    async def hear(self, seconds: float = 10) -> Any:
        """The next message; it must come as text."""
        said = await asyncio.wait_for(self.connection.recv(), seconds)
        assert isinstance(said, str)
        return json.loads(said)

    async def ask(self, query: str, id: str = "q", **variables: Any) -> Any:
        """A query's whole answer."""
        await self.subscribe(query, id, **variables)
        said = await self.hear()
        if said["type"] == "next":
            assert await self.hear() == {"id": id, "type": "complete"}
        return said["payload"]

    async def subscribe(self, query: str = LIVE, id: str = "1", **variables: Any) -> None:
        await self.say({"id": id, "type": "subscribe", "payload": {"query": query, "variables": variables}})

    async def event(self, seconds: float = 10) -> Any:
        """The next event."""
        said = await self.hear(seconds)
        assert said["type"] == "next", said
        return said["payload"]["data"]["incidentChanged"]

    async def silence(self, seconds: float = 0.6) -> None:
        """Nothing more comes."""
        try:
            said = await self.hear(seconds)
        except TimeoutError:
            return
        raise AssertionError(f"nothing should have come, but {said}")

    async def closed(self, seconds: float = 15) -> tuple[int, str]:
        """How the hub closed it."""
        async with asyncio.timeout(seconds):
            with suppress(ConnectionClosed):
                while True:
                    await self.connection.recv()
        # The hub's own word, not what the library makes of a line that was cut.
        assert self.connection.protocol.close_rcvd is not None, "it was cut without a word"
        return self.connection.protocol.close_rcvd.code, self.connection.protocol.close_rcvd.reason


@asynccontextmanager
async def serving(login_url: str, **settings: Any) -> AsyncIterator[Listening]:
    """The whole hub behind a port, with what runs beside the requests."""
    made = Settings(database=Database(database_url=login_url, **settings.pop("database", {})), **settings)
    app = create_app(made)
    listener = listen("127.0.0.1", 0)
    server = Quiet(configured(app, made.server))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    hub = Listening(app, address_of(listener))
    try:
        while not server.started:
            await asyncio.sleep(0.01)
            assert not task.done()
        yield hub
    finally:
        await hub.http.aclose()
        await app.state.live.drain()
        server.should_exit = True
        await asyncio.wait_for(task, 20)
