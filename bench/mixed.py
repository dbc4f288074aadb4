"""Everything at once at a moderate pace: who asks the hub for an hour, as a county does on a day with much to do.

One client, one loop: ever new questions, fixes and batches, incidents that are reported and moved on, maps and event
streams that open and close, photos, exports, sign-ins, and what is refused. It keeps count of what came of each kind.
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
from PIL import Image
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from bench.county import end_of_seeds, key
from bench.maps import ZOOMS, tile_at
from bench.questions import FLEET, HERE, INCIDENTS_IN_VIEW, WARDS
from tests.conftest import PASSWORD, SIGN_IN
from tests.faults.load import MOVE, REPORT, STEPS

AT_ONCE = 32
"""Requests on their way; where the hub is slower, fewer are sent."""
MAPS, STREAMS = 20, 4
"""Websockets and event streams that are open at a time; each is closed after some seconds, and another one opens."""
SHORTEST, LONGEST = 2.0, 60.0
SENDERS = 50
"""Vehicles that send batches; the others send fixes one by one."""
ROWS = 100
MOST_OPEN = 400
"""Incidents that are taken through their life at a time."""

MOVED = (
    "subscription { vehicleMoved { cursor positions { vehicle { id plate } recordedAt location speedKmh heading } } }"
)
CHANGED = """subscription Live($bbox: BBox) {
  incidentChanged(bbox: $bbox) { cursor change id at incident { id title status severity location ward { code name } } }
}"""
PEOPLE = {f"{role}.{number}": role for role in ("coordinator", "dispatcher") for number in range(1, 5)}
"""Several of a role: what one caller may use of the connections is limited."""
ENDED = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
"""On a full machine this client may take seconds to send, when the hub has ended the line that nobody used."""
RAISED = {"HUB_SIGN_IN_ADDRESS_TRIES": "1000000"}
"""Whoever mistypes a password comes from the same address as everybody else here."""


@dataclass
class Told:
    """What came of it all."""

    answered: Counter[str] = field(default_factory=Counter)
    busy: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    events: int = 0


class Load:
    """Everybody who asks, in one loop."""

    def __init__(self, port: int, tokens: dict[str, str], vehicles: int, told: Told, seed: int) -> None:
        self._dice = random.Random(seed)
        self._port = port
        self._tokens = tokens
        self._vehicles = vehicles
        self._told = told
        # Lines that were idle are made anew: the hub ends those that nobody uses, and new ones are part of the load.
        lines = httpx.Limits(max_connections=AT_ONCE + STREAMS, keepalive_expiry=1.0)
        self._http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=lines, timeout=60)
        self.until = 0.0
        self._open: list[tuple[str, int]] = []
        """Incidents that can be moved on, with their next step."""
        self._photos: list[str] = []
        self._at = {number: end_of_seeds() + timedelta(hours=1) for number in range(SENDERS)}
        self._places = {
            number: (self._dice.uniform(34.5, 35.1), self._dice.uniform(-0.25, 0)) for number in range(vehicles)
        }
        self._exports = asyncio.Semaphore(2)
        self.kinds: dict[str, tuple[float, Callable[[], Awaitable[None]]]] = {
            "q1": (30, self._q1),
            "q2": (2, self._q2),
            "q3": (8, self._q3),
            "q4": (3, self._q4),
            "q5": (20, self._q5),
            "never asked before": (6, self._anew),
            "refused": (6, self._refused),
            "tile": (25, self._tile),
            "fix": (30, self._fix),
            "batch": (1.5, self._batch),
            "report": (1.5, self._report),
            "move": (5, self._move),
            "page": (6, self._page),
            "photo": (0.2, self._photo),
            "photo seen": (1, self._photo_seen),
            "export": (0.5, self._export),
            "sign-in": (0.2, self._sign_in),
            "wrong password": (0.2, self._wrong_password),
        }
        """How often a second each is sent, and how."""

    async def run(self, seconds: float) -> None:
        """All of it for so long."""
        kinds, rates = list(self.kinds), [rate for rate, _ in self.kinds.values()]
        room, running = asyncio.Semaphore(AT_ONCE), set()
        self.until = time.monotonic() + seconds
        staying = [asyncio.create_task(self._stay(self._map)) for _ in range(MAPS)]
        staying += [asyncio.create_task(self._stay(self._stream)) for _ in range(STREAMS)]

        async def one(kind: str) -> None:
            try:
                await self.kinds[kind][1]()
            except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                self._wrong(kind, repr(error))
            finally:
                room.release()

        due = time.monotonic()
        while time.monotonic() < self.until:
            due = max(due + self._dice.expovariate(sum(rates)), time.monotonic() - 1)
            await asyncio.sleep(due - time.monotonic())
            await room.acquire()
            task = asyncio.create_task(one(self._dice.choices(kinds, rates)[0]))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running, *staying)
        await self._http.aclose()

    def _wrong(self, kind: str, what: str) -> None:
        self._told.wrong[kind] += 1
        if self._told.wrong[kind] <= 20:
            print(f"WRONG   {kind}: {what[:600]}", flush=True)

    async def _send(
        self, kind: str, path: str, *, name: str | None = None, expected: tuple[int, ...] = (200,), **request: Any
    ) -> httpx.Response | None:
        """The answer; None where it is not what was expected, or the hub is busy."""
        headers = dict(request.pop("headers", {}))
        if name:
            headers["authorization"] = f"Bearer {self._tokens[name]}"
        method = "POST" if {"json", "content"} & request.keys() else "GET"
        try:
            answer = await self._http.request(method, path, headers=headers, **request)
        except ENDED:
            # Whatever is sent here happens once, however often it is sent.
            self._told.busy[kind] += 1
            answer = await self._http.request(method, path, headers=headers, **request)
        if answer.status_code in (429, 503) and "retry-after" in answer.headers:
            self._told.busy[kind] += 1
            return None
        if answer.status_code not in expected or (answer.status_code == 200 and b'"errors":[' in answer.content):
            self._wrong(kind, f"{answer.status_code} {answer.text[:400]} to {path} {str(request)[:400]}")
            return None
        self._told.answered[kind] += 1
        return answer

    async def _ask(
        self, kind: str, query: str, variables: dict[str, Any] | None = None, name: str | None = "", **more: Any
    ) -> Any:
        """The data of an operation; `name` empty: somebody's."""
        asked = {"query": query, "variables": variables} if variables else {"query": query}
        name = self._dice.choice(list(PEOPLE)) if name == "" else name
        answer = await self._send(kind, "/graphql", name=name, json=asked, **more)
        return answer.json().get("data") if answer is not None else None

    # -- questions

    def _box(self, least: float = 0.02, most: float = 0.2) -> list[float]:
        x, y, width = self._dice.uniform(34.6, 34.9), self._dice.uniform(-0.2, 0), self._dice.uniform(least, most)
        return [x - width / 2, y - width / 3, x + width / 2, y + width / 3]

    def _near(self) -> list[float]:
        return [round(self._dice.uniform(34.75, 34.95), 6), round(self._dice.uniform(-0.15, -0.05), 6)]

    async def _q1(self) -> None:
        await self._ask("q1", INCIDENTS_IN_VIEW, {"bbox": self._box(), "first": 50})

    async def _q2(self) -> None:
        await self._ask("q2", INCIDENTS_IN_VIEW, {"bbox": self._box(), "first": 1000})

    async def _q3(self) -> None:
        name = None if self._dice.random() < 0.5 else ""
        await self._ask("q3", WARDS.replace("100", str(self._dice.randint(35, 5000))), name=name)

    async def _q4(self) -> None:
        await self._ask("q4", FLEET.replace("1000", str(self._dice.randint(300, 5000))))

    async def _q5(self) -> None:
        await self._ask("q5", HERE, {"at": self._near()})

    async def _anew(self) -> None:
        """A document that nobody sent before, long enough to fill what is kept of documents within minutes."""
        word = f"a{self._dice.getrandbits(48):x}"
        roots = []
        for number in range(8):
            fields = self._dice.sample(["code", "name", "population", "areaKm2", "id", "subCounty { name code }"], 4)
            roots.append(f'{word}{number}: ward(code: "{self._dice.randint(1186, 1220)}") {{ {" ".join(fields)} }}')
        roots.append(f"incidents(first: 5) {{ nodes {{ {word}: title kind reportedAt }} }}")
        await self._ask("never asked before", f"query Q{word} {{ {' '.join(roots)} }}")

    async def _refused(self) -> None:
        word = f"a{self._dice.getrandbits(48):x}"
        query = self._dice.choice(
            [
                f"{{ wards {{ nodes {{ {word} }} }} }}",
                f"{{ wards(first: 10) {{ nodes {{ {word}",
                f"{{ {word}: wards(first: 100) {{ nodes {{ incidents(first: 5000) {{ totalCount }} }} }} }}",
                f'query {word} {{ wards(where: {{ code: {{ in: ["1", {word}] }} }}) {{ totalCount }} }}',
                f'mutation {{ {word}: noteOnIncident(input: {{ id: "{word}", note: "" }}) {{ incident {{ id }} }} }}',
                "{ " + " ".join(f"{word}{n}: wards {{ totalCount }}" for n in range(60)) + " }",
            ]
        )
        await self._ask("refused", query, name=None, expected=(400, 401, 403))

    async def _tile(self) -> None:
        layer = self._dice.choice(["incidents", "incidents", "vehicles", "wards", "tracks", "patrols"])
        tile = tile_at(self._dice.choice(ZOOMS), self._dice.uniform(34.5, 35.1), self._dice.uniform(-0.25, 0))
        name = None if layer == "wards" else self._dice.choice(list(PEOPLE))
        await self._send("tile", f"/tiles/{layer}/{{}}/{{}}/{{}}.mvt".format(*tile), name=name)

    async def _page(self) -> None:
        path, head = self._dice.choice(
            [
                ("/", {}),
                ("/graphql", {"accept": "text/html"}),
                ("/sign-in", {}),
                ("/static/map.js", {}),
                ("/static/incidents.js", {}),
                ("/health/ready", {}),
            ]
        )
        await self._send("page", path, headers=head)

    async def _export(self) -> None:
        layer, form = (
            self._dice.choice(["incidents", "positions"]),
            self._dice.choice(["geojson", "arrow", "csv", "parquet"]),
        )
        moment = end_of_seeds() - timedelta(seconds=self._dice.randint(0, 86_400 * 9))
        where = {"reportedAt" if layer == "incidents" else "recordedAt": {"gte": moment.isoformat()}}
        given = {"where": json.dumps(where), "first": str(self._dice.randint(100, 20_000))}
        async with self._exports:
            await self._send("export", f"/export/{layer}.{form}", name="coordinator.1", params=given)

    # -- what is told

    def _driven(self, number: int) -> tuple[float, float]:
        x, y = self._places[number]
        x += self._dice.uniform(-0.0003, 0.0003)
        y += self._dice.uniform(-0.0003, 0.0003)
        self._places[number] = x, y
        return round(x, 6), round(y, 6)

    async def _fix(self) -> None:
        number = self._dice.randrange(SENDERS, self._vehicles)
        x, y = self._driven(number)
        given = {
            "id": key(number),
            "lat": y,
            "lon": x,
            "timestamp": int(time.time() * 1000),
            "speed": 12,
            "bearing": 80,
        }
        await self._send("fix", "/intake/osmand", params=given)

    async def _batch(self) -> None:
        number, lines = self._dice.randrange(SENDERS), []
        for _ in range(ROWS):
            self._at[number] += timedelta(seconds=1)
            lines.append({"recordedAt": self._at[number].isoformat(), "location": self._driven(number), "speedKmh": 9})
        head = {"content-type": "application/x-ndjson", "authorization": f"Bearer {key(number)}"}
        content = "\n".join(map(json.dumps, lines))
        answer = await self._send("batch", "/intake/batch", headers=head, content=content)
        if answer is not None and answer.json().get("stored") != ROWS:
            self._wrong("batch", answer.text)

    async def _report(self) -> None:
        word = f"{self._dice.getrandbits(64):x}"
        given = {
            "kind": self._dice.choice(["FLOOD", "FIRE", "MEDICAL", "ROAD_CRASH"]),
            "title": f"Call {word}",
            "location": self._near(),
            "severity": self._dice.choice(["MINOR", "MODERATE", "SEVERE"]),
            "clientMutationId": word,
        }
        said = await self._ask("report", REPORT, {"input": given}, f"dispatcher.{self._dice.randint(1, 4)}")
        if said and len(self._open) < MOST_OPEN:
            self._open.append((said["reportIncident"]["incident"]["id"], 0))

    async def _move(self) -> None:
        if not self._open:
            return
        id, step = self._open.pop(self._dice.randrange(len(self._open)))
        given = {"id": id, "status": STEPS[step], "note": f"Seen at {self._near()}"}
        said = await self._ask("move", MOVE, {"input": given}, f"dispatcher.{self._dice.randint(1, 4)}")
        if said and step + 1 < len(STEPS):
            self._open.append((id, step + 1))

    async def _photo(self) -> None:
        if not self._open:
            return
        file = io.BytesIO()
        Image.frombytes("RGB", (160, 120), self._dice.randbytes(160 * 120 * 3)).resize((800, 600)).save(file, "JPEG")
        id, _ = self._dice.choice(self._open)
        head = {"content-type": "image/jpeg"}
        answer = await self._send(
            "photo",
            f"/incidents/{id}/photos",
            name="dispatcher.1",
            headers=head,
            content=file.getvalue(),
            expected=(201, 409),
        )
        if answer is not None and answer.status_code == 201:
            self._photos = [*self._photos[-50:], answer.json()["photo"]["id"]]

    async def _photo_seen(self) -> None:
        if self._photos:
            size = self._dice.choice(["", "/thumbnail"])
            await self._send("photo seen", f"/photos/{self._dice.choice(self._photos)}{size}", name="dispatcher.2")

    # -- who comes and goes

    async def _sign_in(self) -> None:
        """Somebody comes, looks who they are, and signs out half of the time."""
        name = self._dice.choice(list(PEOPLE))
        said = await self._ask("sign-in", SIGN_IN, {"input": {"name": name, "password": PASSWORD}}, None)
        if said:
            head = {"authorization": f"Bearer {said['signIn']['token']}"}
            await self._ask("sign-in", "{ me { name roles } }", name=None, headers=head)
            if self._dice.random() < 0.5:
                await self._ask("sign-in", "mutation { signOut }", name=None, headers=head)

    async def _wrong_password(self) -> None:
        given = {"name": f"nobody.{self._dice.getrandbits(40):x}", "password": f"{self._dice.getrandbits(64):x}"}
        await self._ask("wrong password", SIGN_IN, {"input": given}, None, expected=(401,))

    async def _stay(self, one: Callable[[float], Awaitable[None]]) -> None:
        """One after the other, each for a while."""
        while (left := self.until - time.monotonic()) > 0:
            stays = min(self._dice.uniform(SHORTEST, LONGEST), left)
            with suppress(TimeoutError):
                await one(stays)

    async def _map(self, seconds: float) -> None:
        """An open map."""
        begun, subprotocols = time.monotonic(), [Subprotocol("graphql-transport-ws")]
        token = f"Bearer {self._tokens[self._dice.choice(list(PEOPLE))]}"
        asked: list[dict[str, Any]] = [{"query": CHANGED, "variables": {"bbox": self._box(0.1, 0.6)}}, {"query": MOVED}]
        try:
            async with connect(
                f"ws://127.0.0.1:{self._port}/graphql", subprotocols=subprotocols, compression=None, max_size=None
            ) as line:
                await line.send(json.dumps({"type": "connection_init", "payload": {"authorization": token}}))
                await line.recv()
                for number, each in enumerate(self._dice.choice([asked, asked[:1], asked[1:]])):
                    await line.send(json.dumps({"id": str(number), "type": "subscribe", "payload": each}))
                self._told.answered["map"] += 1
                async with asyncio.timeout(max(0.0, begun + seconds - time.monotonic())):
                    async for said in line:
                        self._hear("map", said, '"type":"error"')
        except TimeoutError:
            raise  # it was open for long enough
        except (OSError, WebSocketException) as error:
            self._wrong("map", repr(error))
            await asyncio.sleep(1)

    async def _stream(self, seconds: float) -> None:
        """Whoever hears by server-sent events."""
        name = self._dice.choice(list(PEOPLE))
        head = {"accept": "text/event-stream", "authorization": f"Bearer {self._tokens[name]}"}
        asked = {"query": CHANGED, "variables": {"bbox": self._box(0.1, 0.6)}}
        begun = False
        try:
            async with (
                asyncio.timeout(seconds),
                self._http.stream("POST", "/graphql", json=asked, headers=head) as answer,
            ):
                begun = True
                if answer.status_code != 200:
                    self._wrong("stream", str(answer.status_code))
                self._told.answered["stream"] += 1
                async for line in answer.aiter_lines():
                    if line.startswith("data:"):
                        self._hear("stream", line, '"errors"')
        except httpx.HTTPError as error:
            if begun or not isinstance(error, ENDED):
                self._wrong("stream", repr(error))
            else:
                self._told.busy["stream"] += 1
            await asyncio.sleep(1)

    def _hear(self, kind: str, said: str | bytes, fault: str) -> None:
        assert isinstance(said, str)
        if fault in said:
            self._wrong(kind, said)
        self._told.events += 1
