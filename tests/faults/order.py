"""Commits out of order: writers that sleep before they commit, and readers who must not miss one of them."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass

import asyncpg
import psycopg

from hub.journal import Position, after, head
from tests.faults.ground import Ground

WRITERS = 8
READERS = 3

AS_DISPATCHER = (
    "select set_config('role', 'hub_county', false), set_config('hub.person', %s, false), "
    "set_config('hub.roles', 'dispatcher,citizen', false), set_config('hub.areas', '', false)"
)


@dataclass(frozen=True)
class Heard:
    """What came of it."""

    written: int
    heard: tuple[int, ...]
    """How many of them each reader heard."""
    overtaken: int
    """Transactions that committed after one that had begun later: what makes this hard."""
    wrong: tuple[str, ...]


def out_of_order(ground: Ground, seed: int, seconds: float) -> Heard:
    """Write for so long by direct SQL under the hub's login, and read on all the while as a dispatcher."""
    with ground.owner() as owner:
        person = _one(owner, "select id::text from people where name = 'dispatcher'")
        ids = _made(ground, person)
    over, written, spans = threading.Event(), [], []
    failures: list[BaseException] = []

    def write(seat: int) -> None:
        dice, count = random.Random(f"{seed}/{seat}"), 0
        try:
            with psycopg.connect(ground.county.login_url) as writer:
                writer.execute(AS_DISPATCHER, (person,))
                writer.commit()
                while not over.is_set():
                    begun, new = time.monotonic(), []
                    for _ in range(dice.randint(1, 3)):
                        count += 1
                        new.append(f"turn {seed:x} {seat} {count}")
                        writer.execute("update incidents set place = %s where id = %s", (new[-1], ids[seat]))
                    time.sleep(dice.choice((0, 0.001, 0.01, dice.uniform(0, 0.15))))
                    writer.commit()
                    written.extend(new)
                    spans.append((begun, time.monotonic()))
        except BaseException as error:  # noqa: BLE001  told below
            failures.append(error)

    async def listen(start: Position, goal: asyncio.Event) -> tuple[Position, list[tuple[int, str]]]:
        reader = await asyncpg.connect(
            ground.county.login_url, server_settings={"role": "hub_county", "timezone": "UTC"}
        )
        try:
            await reader.execute("select set_config('hub.roles', 'dispatcher,citizen', false)")
            await reader.execute(f"select set_config('hub.person', '{person}', false)")
            position, heard = start, []
            window = 7
            while True:
                last_look = goal.is_set()
                batch = await after(reader, position, window)
                heard += [
                    (entry.cursor, str(entry.after["place"]))
                    for entry in batch.entries
                    if entry.after and entry.after.get("place")
                ]
                if last_look and batch.position == position:
                    return position, heard
                position = batch.position
                await asyncio.sleep(0)  # at once again
        finally:
            await reader.close()

    async def run() -> list[tuple[Position, list[tuple[int, str]]]]:
        reader = await asyncpg.connect(ground.county.login_url, server_settings={"role": "hub_county"})
        start = await head(reader)
        await reader.close()
        assert start is not None
        goal = asyncio.Event()
        threads = [threading.Thread(target=write, args=(seat,), daemon=True) for seat in range(WRITERS)]
        for thread in threads:
            thread.start()
        reading = [asyncio.create_task(listen(start, goal)) for _ in range(READERS)]
        await asyncio.sleep(seconds)
        over.set()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        await asyncio.to_thread(ground.await_sealed)
        goal.set()
        return await asyncio.gather(*reading)

    results = asyncio.run(run())
    if failures:
        raise AssertionError("a writer broke") from failures[0]
    wrong = []
    for number, (_, heard) in enumerate(results, 1):
        cursors = [cursor for cursor, _ in heard]
        counted = Counter(place for _, place in heard if place.startswith(f"turn {seed:x} "))
        if missing := [place for place in written if not counted[place]]:
            wrong.append(f"reader {number} missed {len(missing)}, the first is {missing[0]}")
        if twice := [place for place, times in counted.items() if times > 1]:
            wrong.append(f"reader {number} heard {len(twice)} twice")
        if cursors != sorted(cursors):
            wrong.append(f"reader {number} heard them out of order")
        if strange := set(counted) - set(written):
            wrong.append(f"reader {number} heard {len(strange)} that were never committed")
    # By the time of commit, how many had begun before one that committed earlier.
    spans.sort(key=lambda span: span[1])
    latest, overtaken = 0.0, 0
    for begun, _ in spans:
        overtaken += begun < latest
        latest = max(latest, begun)
    heard_each = tuple(
        len([place for _, place in heard if place.startswith(f"turn {seed:x} ")]) for _, heard in results
    )
    return Heard(len(written), heard_each, overtaken, tuple(wrong))


def _made(ground: Ground, person: str) -> list[str]:
    """An incident for each writer."""
    with psycopg.connect(ground.county.login_url) as writer:
        writer.execute(AS_DISPATCHER, (person,))
        return [
            _one(
                writer,
                "insert into incidents (kind, title, severity, certainty, urgency, location, occurred_at, source, "
                "reported_by) values ('flood', %s, 'minor', 'likely', 'past', "
                "st_setsrid(st_point(34.76, -0.09), 4326), now(), 'radio', %s) returning id::text",
                f"Writer {seat}",
                person,
            )
            for seat in range(WRITERS)
        ]


def _one(connection: psycopg.Connection, question: str, *values: str) -> str:
    row = connection.execute(question.encode(), values).fetchone()
    assert row is not None
    return str(row[0])
