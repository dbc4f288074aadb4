"""Clients that write numbered facts. Each logs what it means to do, then what became of it, to a file of its own.

A verdict is `ok` (acknowledged), `refused` (the hub said no, and nothing may be left of it) or `unknown` (the line
broke, or the hub said that it does not know): then the same is sent again under the same `clientMutationId` until there
is an answer.
"""

from __future__ import annotations

import json
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.faults.ground import Answer, Cut, Door, Ground, NotSent

REPORT = """mutation Report($input: ReportIncidentInput!) {
  reportIncident(input: $input) { incident { id reference version } }
}"""
MOVE = """mutation Move($input: ChangeIncidentStatusInput!) {
  changeIncidentStatus(input: $input) { incident { id status version } }
}"""

PLACES = ([34.9189, -0.1723], [34.45, -0.09], [34.7617, -0.0917], [34.6, -0.2], [34.85, -0.2])
FAR_AWAY = [36.0, -0.5]
STEPS = ("VERIFIED", "RESPONDING", "CONTAINED", "CLOSED")

OK, REFUSED, UNKNOWN = "ok", "refused", "unknown"
DOES_NOT_KNOW = "UNKNOWN"
"""What the hub says when the database went away while it committed."""


@dataclass
class Fact:
    """Something that a client means to be true, and what became of it."""

    marker: str
    """A word that is nowhere else: it stands in the fact's title or note."""
    kind: str
    verdict: str = ""
    """Empty: the client ended before it knew."""
    was_unknown: bool = False
    id: str = ""
    replays: int = 0
    code: str = ""


@dataclass
class Tally:
    """What all the clients say."""

    facts: list[Fact] = field(default_factory=list)

    def of(self, verdict: str) -> list[Fact]:
        return [fact for fact in self.facts if fact.verdict == verdict]

    @property
    def retried(self) -> int:
        return sum(fact.was_unknown for fact in self.facts)

    @property
    def replays(self) -> int:
        return sum(fact.replays for fact in self.facts)


class Client(threading.Thread):
    """Reports incidents and takes them through their life, one after the other, until told to end."""

    def __init__(self, ground: Ground, person: str, number: int, seed: int, over: threading.Event) -> None:
        super().__init__(name=f"client {number}", daemon=True)
        self._dice = random.Random(f"{seed}/{number}")
        self._door: Door = ground.door(person)
        self._over = over
        self._prefix = f"fact{seed:x}x{number}x"
        self._count = 0
        self._file = ground.folder / f"client-{seed:x}-{number}.log"
        self.acknowledged_at = 0.0
        """When it last heard that something was stored."""
        self.acknowledged = 0
        self.abandoned = False
        """Nobody wants its answers any more: it ends also where it does not know."""
        self.failure: BaseException | None = None

    @property
    def log(self) -> Path:
        return self._file

    def run(self) -> None:
        try:
            with self._file.open("w", encoding="utf-8") as out, self._door:
                while not self._over.is_set():
                    self._one_incident(out)
                    time.sleep(self._dice.uniform(0, 0.03))
        except BaseException as error:  # noqa: BLE001  told by whoever joins
            self.failure = error

    def _one_incident(self, out: IO[str]) -> None:
        if self._dice.random() < 0.15:
            self._one_that_is_refused(out)
            return
        made = self._do(out, "report", REPORT, self._report())
        if made is None:
            return
        for step in STEPS[: self._dice.randint(0, len(STEPS))]:
            if self._over.is_set() or self._do(out, "move", MOVE, {"id": made, "status": step}) is None:
                return

    def _one_that_is_refused(self, out: IO[str]) -> None:
        match self._dice.randrange(3):
            case 0:
                self._do(out, "report", REPORT, self._report(location=FAR_AWAY))
            case 1:
                self._do(out, "report", REPORT, self._report(reporterPhone="no number"))
            case 2:
                made = self._do(out, "report", REPORT, self._report())
                if made is not None:
                    self._do(out, "move", MOVE, {"id": made, "status": "CONTAINED"})

    def _report(self, **more: Any) -> dict[str, Any]:
        return {"kind": "FLOOD", "location": self._dice.choice(PLACES), "severity": "SEVERE", **more}

    def _do(self, out: IO[str], kind: str, mutation: str, given: dict[str, Any]) -> str | None:
        """Send until there is an answer; the object's id, or None when it was refused."""
        self._count += 1
        marker = f"{self._prefix}{self._count}x"
        words = {"title": f"Flood {marker}"} if kind == "report" else {"note": f"Seen {marker}"}
        body = json.dumps(
            {"query": mutation, "variables": {"input": {**given, **words, "clientMutationId": marker}}}
        ).encode()
        fact = Fact(marker, kind)
        self._write(out, "intent", fact)
        while not self.abandoned:
            answer = self._send(body)
            if answer is not None:
                verdict = verdict_of(answer)
                if verdict == OK:
                    fact.verdict, fact.id = OK, _id(answer)
                    self.acknowledged_at = time.monotonic()
                    self.acknowledged += 1
                    break
                # The hub says no for itself; but where an earlier try is unknown, only a rule's no is an answer.
                if verdict == REFUSED and (answer.status < 500 or not fact.was_unknown):
                    fact.verdict, fact.code = REFUSED, answer.code
                    break
                if verdict == REFUSED:
                    time.sleep(0.1)
                    continue
            elif self._not_sent:
                if self._over.wait(0.1) and not fact.was_unknown:
                    fact.verdict = REFUSED  # nobody ever got it
                    break
                continue
            fact.was_unknown = True
            time.sleep(self._dice.uniform(0.02, 0.2))
        self._write(out, "verdict", fact)
        if fact.verdict == OK and self._dice.random() < 0.1:
            again = self._send(body)
            if again is not None and verdict_of(again) == OK:
                assert _id(again) == fact.id, (fact, again.body)
                fact.replays += 1
                self._write(out, "verdict", fact)
        return fact.id or None

    def _send(self, body: bytes) -> Answer | None:
        self._not_sent = False
        try:
            return self._door.send(body)
        except NotSent:
            self._not_sent = True
        except Cut:
            pass
        return None

    def _write(self, out: IO[str], what: str, fact: Fact) -> None:
        out.write(json.dumps([what, vars(fact)]) + "\n")
        out.flush()


def verdict_of(answer: Answer) -> str:
    """How an answer to a write is to be taken."""
    if answer.code == "":
        return OK
    if answer.code == "UNAVAILABLE" and answer.reason != DOES_NOT_KNOW:
        return REFUSED
    return REFUSED if answer.status < 500 else UNKNOWN


def _id(answer: Answer) -> str:
    (payload,) = answer.data.values()
    return str(payload["incident"]["id"])


class Load:
    """Clients at work for as long as the block runs."""

    def __init__(self, ground: Ground, people: list[str], seed: int, count: int) -> None:
        self._over = threading.Event()
        self.clients = [
            Client(ground, people[number % len(people)], number, seed, self._over) for number in range(count)
        ]

    def __enter__(self) -> Load:
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for client in self.clients:
            client.abandoned = kind is not None
        self._over.set()
        for client in self.clients:
            client.join(60)

    def acknowledged_since(self, moment: float) -> bool:
        """Whether anybody heard that something was stored, after that moment."""
        return any(client.acknowledged_at > moment for client in self.clients)

    @property
    def acknowledged(self) -> int:
        """How many facts the clients have been told are stored, so far."""
        return sum(client.acknowledged for client in self.clients)

    def tally(self) -> Tally:
        """Read from the files, as whoever finds a dead client would."""
        tally = Tally()
        for client in self.clients:
            if client.failure is not None:
                raise AssertionError(f"{client.name} broke") from client.failure
            assert not client.is_alive(), f"{client.name} does not end"
            facts: dict[str, Fact] = {}
            for line in client.log.read_text("utf-8").splitlines():
                _, said = json.loads(line)
                facts[said["marker"]] = Fact(**said)
            tally.facts += facts.values()
        return tally
