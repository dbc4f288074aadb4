"""Subscribers that stay through every fault: each takes up again where it was, and must have heard all of it, once."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import psycopg
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from schema.access import ACCESS, EVERYTHING
from tests.faults.ground import Ground, within

LIVE = "subscription Live($after: String) { incidentChanged(after: $after) { cursor change id } }"
ROLE = "dispatcher"


@dataclass
class Heard:
    """What the subscribers heard, against what the journal holds."""

    events: int = 0
    """Each of them should have heard so many."""
    counts: list[int] = field(default_factory=list)
    twice: int = 0
    disordered: int = 0
    resumed: int = 0
    wrong: list[str] = field(default_factory=list)


class Subscriber(threading.Thread):
    """A client that listens on from its last cursor, whatever happens to the other end."""

    def __init__(self, ground: Ground, number: int, seed: int, start: str) -> None:
        super().__init__(name=f"subscriber {number}", daemon=True)
        self._dice = random.Random(f"{seed}/subscriber {number}")
        self._address = f"ws://127.0.0.1:{ground.port}/graphql"
        self._token = ground.token(ROLE)
        self._over = threading.Event()
        self.after = start
        self.events: list[tuple[int, str, str]] = []
        """Cursor, id, kind of change."""
        self.resumed = 0
        self.refusals: list[str] = []

    @property
    def cursor(self) -> int:
        return int(self.after.partition(":")[2])

    def end(self) -> None:
        self._over.set()
        self.join(30)

    def run(self) -> None:
        while not self._over.is_set():
            try:
                with connect(
                    self._address, subprotocols=[Subprotocol("graphql-transport-ws")], open_timeout=10, close_timeout=1
                ) as line:
                    self._listen(line)
            except (OSError, WebSocketException, TimeoutError):
                self._over.wait(self._dice.uniform(0.05, 0.4))
            self.resumed += 1

    def _listen(self, line: ClientConnection) -> None:
        say(line, {"type": "connection_init", "payload": {"authorization": f"Bearer {self._token}"}})
        if json.loads(line.recv(10))["type"] != "connection_ack":
            return
        payload = {"query": LIVE, "variables": {"after": self.after}}
        say(line, {"id": "1", "type": "subscribe", "payload": payload})
        # Now and then it leaves by itself, also between two events of one moment.
        leaves = self._dice.randint(50, 500)
        while not self._over.is_set() and leaves:
            try:
                message = json.loads(line.recv(0.5))
            except TimeoutError:
                continue
            if message["type"] == "next":
                event = message["payload"]["data"]["incidentChanged"]
                self.after = event["cursor"]
                self.events.append((self.cursor, event["id"], event["change"]))
                leaves -= 1
            elif message["type"] == "error":
                (error,) = message["payload"]
                if error["extensions"]["code"] != "UNAVAILABLE":
                    self.refusals.append(f"{self.name} after {self.after}: {error}")
                    self._over.wait(1)
                return


def say(line: ClientConnection, message: dict[str, Any]) -> None:
    line.send(json.dumps(message))


class Audience:
    """Subscribers for as long as the block runs, from where the journal is when it begins."""

    def __init__(self, ground: Ground, seed: int, count: int = 4) -> None:
        self._ground = ground
        # Nobody can begin where nothing was ever sealed.
        with ground.door(ROLE) as door:
            self.start = door.ask("{ liveCursor }").data["liveCursor"]
        assert self.start, "there is no cursor yet: report something first"
        self._subscribers = [Subscriber(ground, number, seed, self.start) for number in range(1, count + 1)]

    def __enter__(self) -> Audience:
        for subscriber in self._subscribers:
            subscriber.start()
        return self

    def __exit__(self, *_: object) -> None:
        for subscriber in self._subscribers:
            subscriber.end()

    def compare(self, seconds: float = 30) -> Heard:
        """Wait until they have heard the last event, and a little longer; then count."""
        self._ground.await_sealed()
        with self._ground.owner() as owner:
            expected = told(owner, int(self.start.partition(":")[2]))
        last = max((cursor for cursor, _, _ in expected), default=0)
        heard = Heard(events=len(expected))
        try:
            within(lambda: all(subscriber.cursor >= last for subscriber in self._subscribers), seconds)
        except AssertionError:
            heard.wrong.append(f"{seconds:.0f} s after the end not everybody had heard the last event")
        time.sleep(1)
        # An event's place is its transaction: it carries the cursor of the last of its entries there.
        ends = {cursor: end for cursor, _, end in expected}
        due = {(end, id_) for _, id_, end in expected}
        for subscriber in self._subscribers:
            events = list(subscriber.events)
            counted = Counter((ends.get(cursor, -cursor), id_) for cursor, id_, _ in events)
            cursors = [cursor for cursor, _, _ in events]
            heard.counts.append(len(due & set(counted)))
            heard.twice += sum(times - 1 for times in counted.values())
            heard.disordered += sum(later < earlier for earlier, later in pairwise(cursors))
            heard.resumed += subscriber.resumed
            heard.wrong += subscriber.refusals
            if missing := sorted(due - set(counted)):
                heard.wrong.append(f"{subscriber.name} missed {len(missing)}, the first at {missing[0]}")
            if strange := set(counted) - due:
                heard.wrong.append(f"{subscriber.name} heard {len(strange)} that the journal does not hold")
        return heard


def told(owner: psycopg.Connection, after: int) -> list[tuple[int, str, int]]:
    """From the tables: cursor, incident and transaction of every event that a dispatcher must hear."""
    hears = ACCESS.roles[ROLE].hears
    audiences = [noun for noun in ACCESS.nouns if noun in hears or EVERYTHING in hears]
    return owner.execute(
        """
        select max(cursor), id, ends from (
          select c.cursor, c.ends,
                 case j.tbl when 'incidents' then j.object_id::text
                 else coalesce(j.after, j.before) ->> 'incident_id' end as id
          from cursors c join journal j on j.node = c.node and j.entry = c.entry
          where c.cursor > %s and j.audience = any(%s)
        ) entries
        where id is not null group by id, ends order by 1
        """,
        (after, audiences),
    ).fetchall()
