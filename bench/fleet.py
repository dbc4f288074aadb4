"""How fast fixes come in, in batches and one by one, and how soon open maps have them."""

from __future__ import annotations

import asyncio
import io
import json
import random
import statistics
import struct
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psycopg
import uvloop

from bench import load
from bench.county import end_of_seeds, key
from bench.report import Figure

ROUNDS = {5_000: 11, 500: 41}
WARM = 3
SENDERS = 300
"""Vehicles that send single fixes; the first two send batches."""
TRACKS = (
    "subscription { vehicleMoved { cursor positions { vehicle { id plate } recordedAt location speedKmh heading } } }"
)
PARSED = 20
"""Every so manieth map's events are looked at: a client that parsed all of them would be what is measured."""
LINES = 24
"""Connections that single fixes come by."""


# -- batches -----------------------------------------------------------------------------------------------------------


async def batches(url: str, owner_url: str, rows: int) -> Figure:
    """The same rows by the door and by COPY, in turns: prepared text into a table like `positions` without anything,
    and into one with its keys, checks and indexes; and from a program that has the rows as values, into a bare one."""
    owner = await asyncpg.connect(owner_url)
    number = sorted(ROUNDS).index(rows)
    device, vehicle = await owner.fetchrow(
        "select device_id, d.vehicle_id from device_keys k join devices d on d.id = k.device_id "
        "where k.digest = sha256(convert_to($1, 'UTF8'))",
        key(number),
    )
    await owner.execute("create table bench_bare (like positions)")
    await owner.execute("create table bench_kept (like positions including all)")
    await owner.set_type_codec("geometry", schema="public", format="binary", encoder=bytes, decoder=bytes)
    chance, at = random.Random(rows), end_of_seeds() + timedelta(hours=1)
    took: dict[str, list[float]] = {"hub": [], "copy": [], "copy_kept": [], "copy_records": []}
    async with httpx.AsyncClient(timeout=60) as http:
        for turn in range(ROUNDS[rows] + WARM):
            fixes = [
                (at + timedelta(seconds=step), round(chance.uniform(34.5, 35.2), 6), round(chance.uniform(-0.3, 0), 6))
                for step in range(rows)
            ]
            at += timedelta(seconds=rows)
            body = "\n".join(
                json.dumps({"recordedAt": t.isoformat(), "location": [x, y], "speedKmh": 30, "heading": 10})
                for t, x, y in fixes
            )
            records = [_record(device, vehicle, *fix) for fix in fixes]
            copied = "".join(map(_text, records)).encode()
            began = time.perf_counter()
            answer = await http.post(
                f"{url}/intake/batch",
                content=body,
                headers={"content-type": "application/x-ndjson", "authorization": f"Bearer {key(number)}"},
            )
            spent = {"hub": time.perf_counter() - began}
            assert answer.json().get("stored") == rows, answer.text[:300]
            for name, table in (("copy", "bench_bare"), ("copy_kept", "bench_kept")):
                began = time.perf_counter()
                await owner.copy_to_table(table, source=io.BytesIO(copied))
                spent[name] = time.perf_counter() - began
            began = time.perf_counter()
            await owner.copy_records_to_table("bench_bare", records=records)
            spent["copy_records"] = time.perf_counter() - began
            if turn >= WARM:
                for name, seconds in spent.items():
                    took[name].append(seconds)
    await owner.execute("drop table bench_bare, bench_kept")
    await owner.close()
    rates = {name: rows / statistics.median(seconds) for name, seconds in took.items()}
    tails = {name: tuple(1000 * at_part(seconds, part) for part in (50, 95, 99)) for name, seconds in took.items()}
    return Figure(
        f"ingest_{rows}",
        f"fixes of one sender in batches of {rows:,}, each durable",
        "rows/s",
        "higher",
        rates.pop("hub"),
        rates,
        tails,  # type: ignore[arg-type]
    )


def _record(device: uuid.UUID, vehicle: uuid.UUID, at: datetime, x: float, y: float) -> tuple[Any, ...]:
    point = b"\x01\x01\x00\x00\x20\xe6\x10\x00\x00" + struct.pack("<dd", x, y)
    return (uuid.uuid4(), device, at, vehicle, 1, datetime.now(UTC), point, None, 30, 10, None, None, None, [], None)


def _text(record: tuple[Any, ...]) -> str:
    """A record as COPY's text has it."""
    return "\t".join(map(_word, record)) + "\n"


def _word(value: Any) -> str:
    if value is None:
        return r"\N"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    return "{}" if value == [] else str(value)


def at_part(seconds: list[float], part: int) -> float:
    """The value that so many percent are not above."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, len(ordered) * part // 100)]


# -- one by one --------------------------------------------------------------------------------------------------------


def singles(
    hub: str,
    postgraphile: str,
    owner: psycopg.Connection,
    work: Path,
    rounds: int,
    seconds: int,
    lack: Callable[[str, str], None],
) -> Figure:
    """Fixes in requests of their own: the hub's OsmAnd door, and a row that PostGraphile creates."""
    count = (rounds * seconds + 2) * 9_000
    targets = {"hub": load.Target(hub, _osmand(count))}
    if postgraphile:
        targets["postgraphile"] = load.Target(postgraphile, _creates(owner, count))
    heard = load.in_turns(
        targets, owner, work, rounds=rounds, seconds=seconds, connections=32, files_go_on=True, lack=lack
    )
    rates = {name: one.rate for name, one in heard.items()}
    return Figure(
        "osmand_single",
        "single fixes by 32 connections",
        "requests/s",
        "higher",
        rates.pop("hub"),
        rates,
        {name: (one.at("p50"), one.at("p95"), one.at("p99")) for name, one in heard.items()},
    )


def _fixes(count: int) -> Iterator[tuple[int, datetime, float, float]]:
    """Of `SENDERS` vehicles in turns, each a second after its last."""
    chance, began = random.Random(7), end_of_seeds() + timedelta(hours=2)
    for number in range(count):
        sender, turn = number % SENDERS, number // SENDERS
        at = began + timedelta(seconds=turn)
        yield 10 + sender, at, round(chance.uniform(34.5, 35.2), 6), round(chance.uniform(-0.3, 0), 6)


def _osmand(count: int) -> Iterator[bytes]:
    return iter(
        load.get(
            f"/intake/osmand?id={key(sender)}&lat={y}&lon={x}&timestamp={int(at.timestamp())}&speed=12&bearing=80"
            for sender, at, x, y in _fixes(count)
        )
    )


def _creates(owner: psycopg.Connection, count: int) -> Iterator[bytes]:
    known = owner.execute(
        "select d.id, d.vehicle_id from generate_series(0, 10 + %s) n join device_keys k "
        "on k.digest = sha256(convert_to('bench-' || n, 'UTF8')) join devices d on d.id = k.device_id order by n",
        (SENDERS,),
    ).fetchall()
    query = "mutation($fix: FixInput!) { createFix(input: { fix: $fix }) { fix { rowId } } }"
    return iter(
        load.post(
            "/graphql",
            (
                json.dumps(
                    {
                        "query": query,
                        "variables": {
                            "fix": {
                                "deviceId": str(known[sender][0]),
                                "vehicleId": str(known[sender][1]),
                                "recordedAt": at.isoformat(),
                                "longitude": x,
                                "latitude": y,
                                "speedKmh": 22.2,
                                "heading": 80,
                            }
                        },
                    }
                ).encode()
                for sender, at, x, y in _fixes(count)
            ),
        )
    )


# -- open maps ---------------------------------------------------------------------------------------------------------


class Map(asyncio.Protocol):
    """An open map: as much of a websocket as is needed to hear what moves, and no more, so that a thousand cost little.

    What it sends is masked with zeros: the specification asks for a mask, and this one costs nothing.
    """

    def __init__(self, token: str, looks: list[tuple[float, bytes]] | None) -> None:
        self._token = token
        self._looks = looks
        self._held = bytearray()
        self._open = self._asked = False
        self.lost = False
        self.events = 0
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(
            b"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: a2lzdW11LWh1Yi1iZW5jaA==\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        )

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(f"a map was refused: {bytes(self._held[:200])!r}"))

    def data_received(self, data: bytes) -> None:
        held = self._held
        held += data
        if not self._open:
            ends = held.find(b"\r\n\r\n")
            if ends < 0:
                return
            if b" 101 " not in held[:ends]:
                self._transport.close()
                return
            del held[: ends + 4]
            self._open = True
            self._say({"type": "connection_init", "payload": {"authorization": f"Bearer {self._token}"}})
        at, have = 0, len(held)
        while have - at >= 2:
            size, begins = held[at + 1], at + 2
            if size == 126:
                size, begins = int.from_bytes(held[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                size, begins = int.from_bytes(held[at + 2 : at + 10], "big"), at + 10
            if have < begins + size:
                break
            self._hear(held[at] & 15, held, begins, begins + size)
            at = begins + size
        del held[:at]

    def _hear(self, kind: int, held: bytearray, begins: int, ends: int) -> None:
        if kind == 9:
            self._send(10, bytes(held[begins:ends]))
        elif kind == 1 and not self._asked:
            self._asked = True
            self._say({"id": "1", "type": "subscribe", "payload": {"query": TRACKS}})
            self.ready.set_result(None)
        elif kind == 1:
            self.events += 1
            if self._looks is not None:
                self._looks.append((time.perf_counter(), bytes(held[begins:ends])))

    def _say(self, message: dict[str, Any]) -> None:
        self._send(1, json.dumps(message).encode())

    def _send(self, kind: int, body: bytes) -> None:
        size = bytes([128 | len(body)]) if len(body) < 126 else b"\xfe" + len(body).to_bytes(2, "big")
        self._transport.write(bytes([128 | kind]) + size + bytes(4) + body)

    def close(self) -> None:
        self._transport.close()


def maps(url: str, token: str, many: int, rate: int, seconds: int) -> Figure:
    """From a fix's request to its event at open maps, with so many maps and so many fixes a second."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_maps(url, token, many, rate, seconds))


async def _maps(url: str, token: str, many: int, rate: int, seconds: int) -> Figure:
    port, loop = int(url.rpartition(":")[2]), asyncio.get_running_loop()
    looks: list[tuple[float, bytes]] = []
    opened: list[Map] = []
    for number in range(many):

        def made(number: int = number) -> Map:
            return Map(token, looks if number % PARSED == 0 else None)

        _, one = await loop.create_connection(made, "127.0.0.1", port)
        opened.append(one)
        if number % 50 == 49:
            await asyncio.gather(*(each.ready for each in opened[-50:]))
    await asyncio.gather(*(each.ready for each in opened))
    await asyncio.sleep(2)
    sent: dict[tuple[float, float], float] = {}
    acknowledged: list[float] = []
    chance = random.Random(3)
    lines = [await asyncio.open_connection("127.0.0.1", port) for _ in range(LINES)]
    free: asyncio.Queue[Any] = asyncio.Queue()
    for line in lines:
        free.put_nowait(line)

    async def fix(number: int) -> None:
        x, y = round(chance.uniform(34.5, 35.2), 6), round(chance.uniform(-0.3, 0), 6)
        sent[x, y] = began = time.perf_counter()
        reader, writer = line = await free.get()
        path = f"/intake/osmand?id={key(400 + number % SENDERS)}&lat={y}&lon={x}&timestamp={int(time.time() * 1000)}"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        free.put_nowait(line)
        acknowledged.append(time.perf_counter() - began)

    began, running = time.perf_counter(), set()
    for number in range(rate * seconds):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        task = asyncio.create_task(fix(number))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    took = time.perf_counter() - began
    await asyncio.sleep(3)
    lost = sum(each.lost for each in opened)
    for each in opened:
        each.close()
    for _, writer in lines:
        writer.close()
    late = list(_late(looks, sent))
    looked = len(sent) * len(range(0, many, PARSED))
    assert late, "no map heard anything"
    parts = tuple(1000 * at_part(late, part) for part in (50, 95, 99))
    return Figure(
        "fanout_p99_ms",
        f"a fix to {many:,} open maps at {rate} fixes a second, p99",
        "ms",
        "lower",
        parts[2],
        {},
        {"hub": parts},  # type: ignore[dict-item]
        f"{len(sent) / took:.0f} fixes a second sent, by a client on the same cores; acknowledged p50 "
        f"{1000 * at_part(acknowledged, 50):.0f}, p99 {1000 * at_part(acknowledged, 99):.0f} ms; {len(late):,} of "
        f"{looked:,} events heard by the {looked // len(sent)} maps looked at, {lost} maps lost.",
    )


def _late(looks: list[tuple[float, bytes]], sent: dict[tuple[float, float], float]) -> Iterator[float]:
    for heard, message in looks:
        said = json.loads(message)
        if said["type"] == "next":
            for each in said["payload"]["data"]["vehicleMoved"]["positions"]:
                place = tuple(each["location"]["coordinates"])
                if place in sent:
                    yield heard - sent[place]
