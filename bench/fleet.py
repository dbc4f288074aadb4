"""How fast fixes come in, and how soon an open map has them: `python -m bench.fleet --help`."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import io
import json
import random
import statistics
import struct
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from websockets.asyncio.client import connect

from tests.faults.ground import Ground

ROWS, ROUNDS = 5_000, 10
CARS = 200
LISTENS = (
    "subscription { vehicleMoved { cursor positions { vehicle { id plate } recordedAt location speedKmh heading } } }"
)
PARSED = 20
"""Every so manieth map's events are looked at: a client that parsed all of them would be what is measured."""


def key(number: int) -> str:
    return f"bench-{number}"


async def prepare(owner: asyncpg.Connection) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """Vehicles with a device each, whose keys are known here."""
    made = []
    for number in range(CARS):
        row = await owner.fetchrow(
            "with v as (insert into vehicles (plate, kind) values ($1, 'car') returning id), "
            "d as (insert into devices (vehicle_id, label) select id, 'bench' from v returning id, vehicle_id), "
            "k as (insert into device_keys (device_id, digest) select id, $2 from d) select id, vehicle_id from d",
            f"KBN {number:03d}",
            hashlib.sha256(key(number).encode()).digest(),
        )
        made.append((row["id"], row["vehicle_id"]))
    return made


async def batches(url: str, owner: asyncpg.Connection, device: uuid.UUID, vehicle: uuid.UUID) -> None:
    """The same rows by the door and by COPY, in turns."""
    await owner.execute("create table bare (like positions)")
    await owner.execute("create table kept (like positions including all)")
    chance, at = random.Random(1), datetime.now(UTC).replace(microsecond=0) - timedelta(days=6)
    took: dict[str, list[float]] = {"door": [], "kept": [], "bare": []}
    async with httpx.AsyncClient(timeout=60) as http:
        for number in range(ROUNDS + 2):
            rows = [
                (at + timedelta(seconds=step), round(chance.uniform(34.5, 35.2), 6), round(chance.uniform(-0.3, 0), 6))
                for step in range(ROWS)
            ]
            at += timedelta(seconds=ROWS)
            body = "\n".join(
                json.dumps({"recordedAt": t.isoformat(), "location": [x, y], "speedKmh": 30, "heading": 10})
                for t, x, y in rows
            )
            copied = "".join(_line(device, vehicle, *row) for row in rows).encode()
            began = time.perf_counter()
            answer = await http.post(
                f"{url}/intake/batch",
                content=body,
                headers={"content-type": "application/x-ndjson", "authorization": f"Bearer {key(0)}"},
            )
            spent = {"door": time.perf_counter() - began}
            assert answer.json()["stored"] == ROWS, answer.text[:300]
            for table in ("kept", "bare"):
                began = time.perf_counter()
                await owner.copy_to_table(table, source=io.BytesIO(copied))
                spent[table] = time.perf_counter() - began
            if number >= 2:
                for name, seconds in spent.items():
                    took[name].append(seconds)
    await owner.execute("drop table bare, kept")
    door, kept, bare = (statistics.median(took[name]) for name in ("door", "kept", "bare"))
    print(
        f"batches of {ROWS:,}: door {door * 1000:.0f} ms ({ROWS / door:,.0f} rows/s); COPY with keys, checks and "
        f"indexes {kept * 1000:.0f} ms (door at {kept / door:.2f} of its pace), without any {bare * 1000:.0f} ms "
        f"({bare / door:.2f})"
    )


def _line(device: uuid.UUID, vehicle: uuid.UUID, at: datetime, x: float, y: float) -> str:
    point = (b"\x01\x01\x00\x00\x20\xe6\x10\x00\x00" + struct.pack("<dd", x, y)).hex()
    now = datetime.now(UTC).isoformat()
    values = (uuid.uuid4(), device, at.isoformat(), vehicle, 1, now, point, r"\N", 30, 10, *[r"\N"] * 3, "{}", r"\N")
    return "\t".join(map(str, values)) + "\n"


async def maps(url: str, token: str, pid: int, many: int, rate: int, seconds: int) -> None:
    """Fixes by single requests; when each is acknowledged, and when open maps have it."""
    sent: dict[tuple[float, float], float] = {}
    late: list[float] = []
    acknowledged: list[float] = []
    ready = 0

    async def open_map(number: int) -> None:
        nonlocal ready
        address = url.replace("http", "ws") + "/graphql"
        async with connect(address, subprotocols=["graphql-transport-ws"], max_size=None, ping_interval=None) as socket:  # type: ignore[list-item]
            init = {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}
            await socket.send(json.dumps(init))
            await socket.recv()
            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": LISTENS}}))
            ready += 1
            async for message in socket:
                heard = time.perf_counter()
                if number % PARSED == 0 and (said := json.loads(message))["type"] == "next":
                    places = (
                        each["location"]["coordinates"] for each in said["payload"]["data"]["vehicleMoved"]["positions"]
                    )
                    late.extend(heard - sent[place] for place in map(tuple, places) if place in sent)

    opened = [asyncio.create_task(open_map(number)) for number in range(many)]
    while ready < many:
        await asyncio.sleep(0.1)
    await asyncio.sleep(2)
    chance, memory = random.Random(3), [resident(pid)]
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=40), timeout=30) as http:

        async def fix(number: int) -> None:
            x, y = round(chance.uniform(34.5, 35.2), 6), round(chance.uniform(-0.3, 0), 6)
            sent[x, y] = began = time.perf_counter()
            asked: dict[str, Any] = {"id": key(number), "lat": y, "lon": x, "timestamp": int(time.time() * 1000)}
            answer = await http.get(f"{url}/intake/osmand", params=asked)
            assert answer.status_code == 200, answer.text
            acknowledged.append(time.perf_counter() - began)

        began, running = time.perf_counter(), set()
        for number in range(rate * seconds):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            task = asyncio.create_task(fix(number % CARS))
            running.add(task)
            task.add_done_callback(running.discard)
            if number and number % (60 * rate) == 0:
                memory.append(resident(pid))
        await asyncio.gather(*running)
    await asyncio.sleep(2)
    for task in opened:
        task.cancel()
    memory.append(resident(pid))
    looked = len(sent) * len(range(0, many, PARSED))
    print(
        f"{many} maps, {rate} fixes/s, {seconds} s: acknowledged {shown(acknowledged)}; at the map {shown(late)}; "
        f"{len(late):,} of {looked:,} events heard; the hub's memory each minute, MB: {' '.join(map(str, memory))}"
    )


def shown(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return ", ".join(f"p{part} {ordered[len(ordered) * part // 100] * 1000:.0f} ms" for part in (50, 95, 99))


def resident(pid: int) -> int:
    """MB of a process that are in memory."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


async def measure(ground: Ground, given: argparse.Namespace) -> None:
    url = f"http://127.0.0.1:{ground.port}"
    owner = await asyncpg.connect(ground.county.owner_url)
    await owner.execute("set role hub_owner")
    made = await prepare(owner)
    await batches(url, owner, *made[0])
    await owner.close()
    assert ground.hub is not None
    await maps(url, ground.token("coordinator"), ground.hub.process.pid, given.maps, given.rate, given.seconds)


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--maps", type=int, default=200)
    told.add_argument("--rate", type=int, default=200, help="fixes a second")
    told.add_argument("--seconds", type=int, default=30)
    given = told.parse_args()
    with Ground(workers=1) as ground:
        ground.person("coordinator", "coordinator")
        ground.start_hub(HUB_FIXES_AT_ONCE="1000000", HUB_FIXES_PER_SECOND="10000")
        asyncio.run(measure(ground, given))


if __name__ == "__main__":
    main()
