"""Trackers that send on while everything is killed: batches with devices' keys, each sent until it is acknowledged."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.faults.ground import Cut, NotSent

if TYPE_CHECKING:
    from types import TracebackType

    import psycopg

    from tests.faults.ground import Ground

ROWS = 25
KEY = "proof-of-tracker-{}"


@dataclass
class Counted:
    """What trackers were told, and what the database holds of it."""

    acknowledged: int = 0
    found: int = 0
    more: int = 0
    """Stored and not acknowledged: somebody was killed between the commit and the answer."""
    again: int = 0
    """Batches that were sent once more."""
    wrong: list[str] = field(default_factory=list)


class Tracker(threading.Thread):
    """One device: it drives on, and sends what it has measured until the hub says that it has it."""

    def __init__(self, ground: Ground, number: int, seed: int, over: threading.Event) -> None:
        super().__init__(name=f"tracker {number}", daemon=True)
        self._dice = random.Random(f"{seed}/tracker/{number}")
        self._door = ground.door()
        self._key = KEY.format(number)
        self._over = over
        self._at = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
        self.acknowledged: set[datetime] = set()
        self.sent: set[datetime] = set()
        self.again = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            with self._door:
                while not self._over.is_set():
                    self._batch()
        except BaseException as error:  # noqa: BLE001  told by whoever joins
            self.failure = error

    def _batch(self) -> None:
        rows = []
        for _ in range(ROWS):
            self._at += timedelta(seconds=1)
            place = [round(self._dice.uniform(34.6, 35.0), 6), round(self._dice.uniform(-0.2, 0.0), 6)]
            rows.append({"recordedAt": self._at.isoformat(), "location": place})
            self.sent.add(self._at)
        self._dice.shuffle(rows)
        body = "\n".join(json.dumps(row) for row in rows).encode()
        tries = 0
        while tries == 0 or not self._over.is_set():
            tries += 1
            try:
                answer = self._door.send(
                    body,
                    "/intake/batch",
                    {"content-type": "application/x-ndjson", "authorization": f"Bearer {self._key}"},
                )
            except (NotSent, Cut):
                time.sleep(self._dice.uniform(0.02, 0.2))
                continue
            if answer.status == 200:
                told: Any = json.loads(answer.body)
                assert told["refused"] == [], told
                self.acknowledged |= {datetime.fromisoformat(row["recordedAt"]) for row in rows}
                self.again += tries - 1
                return
            assert answer.status in (429, 503), answer
            time.sleep(self._dice.uniform(0.02, 0.2))


class Trackers:
    """Some of them, for as long as the block."""

    def __init__(self, ground: Ground, seed: int, many: int = 4) -> None:
        self._ground = ground
        self._over = threading.Event()
        with ground.owner() as owner:
            owner.execute("set role hub_owner")
            for number in range(many):
                owner.execute(
                    "with v as (insert into vehicles (plate, kind) values (%s, 'car') on conflict (plate) do nothing "
                    "returning id), "
                    "d as (insert into devices (vehicle_id, label) select id, 'proof' from v returning id) "
                    "insert into device_keys (device_id, digest) select id, %s from d",
                    (f"KPR {number:03d}", hashlib.sha256(KEY.format(number).encode()).digest()),
                )
            owner.execute("reset role")
        self._trackers = [Tracker(ground, number, seed, self._over) for number in range(many)]

    def __enter__(self) -> Trackers:
        for each in self._trackers:
            each.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for each in self._trackers:
            each.join(30)

    def count(self, owner: psycopg.Connection[Any]) -> Counted:
        """Compare what was acknowledged with what is there."""
        counted = Counted()
        for number, each in enumerate(self._trackers):
            if each.failure is not None:
                counted.wrong.append(f"tracker {number}: {each.failure!r}")
            held = {
                at
                for (at,) in owner.execute(
                    "select p.recorded_at from positions p join vehicles v on v.id = p.vehicle_id where v.plate = %s",
                    (f"KPR {number:03d}",),
                )
            }
            counted.acknowledged += len(each.acknowledged)
            counted.found += len(each.acknowledged & held)
            counted.more += len(held - each.acknowledged)
            counted.again += each.again
            if lost := each.acknowledged - held:
                counted.wrong.append(f"tracker {number}: {len(lost)} acknowledged fixes are gone, such as {min(lost)}")
            if strange := held - each.sent:
                counted.wrong.append(f"tracker {number}: {len(strange)} fixes that nobody sent")
        return counted
