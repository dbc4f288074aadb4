"""Plays a script against a hub by its public doors only: what devices and dispatchers send, at the pace of a clock.

Script time is pressed together by `speed`, and every recorded time is a real time of now, so that whoever watches sees
positions that are seconds old. The hub is told nothing that a device or a person could not tell it.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from hub.demonstration.client import Answer, Client, Unreachable
from hub.demonstration.days import Caption, Event, Fix, Report, Step

Say = Callable[[str], None]

INTAKE: Final = "/intake/osmand"
GRAPHQL: Final = "/graphql"
REPORT: Final = "mutation Report($input: ReportIncidentInput!) { reportIncident(input: $input) { incident { id } } }"
STEP: Final = (
    "mutation Step($input: ChangeIncidentStatusInput!) { changeIncidentStatus(input: $input) { incident { id } } }"
)

_LATER: Final = (429, 502, 503, 504)
"""Answers after which the same thing is sent again."""

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0
_KMH_PER_KNOT = 1.852


@dataclass
class Played:
    """What came of it, counted while it goes on."""

    at_seconds: float = 0.0
    """How far the script has come."""
    positions: int = 0
    """Sent and taken, those that were sent twice among them."""
    thinned: int = 0
    """Left out, because the second already had one: time is sent in whole seconds."""
    reports: int = 0
    steps: int = 0
    retries: int = 0
    refused: int = 0
    """The hub said no."""
    lost: int = 0
    """The hub could not be reached for too long."""


async def play(
    events: Iterable[Event],
    base_url: str,
    keys: Mapping[str, str],
    token: str | None,
    speed: float = 60.0,
    pause: asyncio.Event | None = None,
    *,
    caption: Say = lambda text: None,
    say: Say = lambda sentence: None,
    patience: float = 120.0,
    played: Played | None = None,
) -> Played:
    """Play events, which are ordered by `sent_at_seconds`, to their end, and count what came of it.

    `keys` are device keys by plate: a vehicle without one stays silent. Without a `token` no report is written. While
    `pause` is set the script's clock stands still. What the hub cannot take now is sent again, for `patience` seconds.
    """
    told = played if played is not None else Played()
    clock = _Clock(speed, pause)
    devices: dict[str, _Sender] = {}
    desk = _Desk(base_url, token, told, say, patience) if token else None
    try:
        async with asyncio.TaskGroup() as group:
            if desk is not None:
                group.create_task(desk.send())
            for event in events:
                await clock.until(event.sent_at_seconds)
                told.at_seconds = event.sent_at_seconds
                if isinstance(event, Caption):
                    caption(event.text)
                elif isinstance(event, Fix):
                    if event.vehicle not in keys:
                        continue
                    device = devices.get(event.vehicle)
                    if device is None:
                        key = keys[event.vehicle]
                        device = devices[event.vehicle] = _Device(
                            event.vehicle, key, clock, base_url, told, say, patience
                        )
                        group.create_task(device.send())
                    device.waiting.put_nowait(event)
                elif desk is not None:
                    desk.waiting.put_nowait(event)
            for sender in [*devices.values(), *([desk] if desk is not None else [])]:
                sender.waiting.put_nowait(None)
    finally:
        for sender in [*devices.values(), *([desk] if desk is not None else [])]:
            await sender.client.close()
    return told


class _Clock:
    """Script time on a real clock."""

    def __init__(self, speed: float, pause: asyncio.Event | None) -> None:
        if not (math.isfinite(speed) and speed > 0):
            raise ValueError(f"a speed is more than 0, not {speed:g}")
        self._speed = speed
        self._pause = pause
        self._began = time.monotonic()
        # Fixed once: a clock that is set meanwhile must not send the script back.
        self._real = time.time() - self._began

    def recorded(self, at_seconds: float) -> int:
        """The real time of a moment of the script, Unix seconds; rounded down, so that none lies ahead."""
        return math.floor(self._real + self._began + at_seconds / self._speed)

    async def until(self, at_seconds: float) -> None:
        """Wait for a moment of the script."""
        while True:
            if self._pause is not None and self._pause.is_set():
                stood = time.monotonic()
                while self._pause.is_set():  # noqa: ASYNC110  an Event can be waited for until it is set, not until it is clear
                    await asyncio.sleep(0.05)
                self._began += time.monotonic() - stood
            left = self._began + at_seconds / self._speed - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(left if self._pause is None else min(left, 0.2))


class _Sender(ABC):
    """Sends what waits, one after the other, each until it is answered; behind one connection of its own."""

    def __init__(self, base_url: str, played: Played, say: Say, patience: float) -> None:
        self.client = Client(base_url)
        self.played = played
        self.say = say
        self.waiting: asyncio.Queue[Any] = asyncio.Queue()
        self._patience = patience
        self._given_up = False

    async def send(self) -> None:
        """Until a None waits."""
        while (event := await self.waiting.get()) is not None:
            await self.take(event)

    @abstractmethod
    async def take(self, event: Any) -> None:
        """Send one thing until it is answered, and count what came of it."""

    async def answered(self, ask: Callable[[], Any]) -> Answer | None:
        """The hub's answer to a request, asked again while it says later or cannot be reached; None after too long."""
        # Having given up once, try the next thing once only, or a hub that is gone would hold up the end for hours.
        until = time.monotonic() + (0.0 if self._given_up else self._patience)
        for attempt in count():
            wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(attempt, 10))
            try:
                answer: Answer = await ask()
            except Unreachable as error:
                why = str(error)
            else:
                if answer.status not in _LATER:
                    self._given_up = False
                    return answer
                why = f"it answers {answer.status}"
                after = answer.headers.get("retry-after", "")
                wait = max(wait, min(float(after), _LONGEST_WAIT) if after.isdigit() else 0.0)
            # Never all at the same moment: two dozen devices come back together after a break.
            wait *= random.uniform(1.0, 1.5)  # noqa: S311  no secret
            if time.monotonic() + wait > until:
                if not self._given_up:
                    self.say(f"The hub cannot be reached ({why}).")
                self._given_up = True
                self.played.lost += 1
                return None
            self.played.retries += 1
            await asyncio.sleep(wait)
        raise AssertionError("count() does not end")


class _Device(_Sender):
    """A device in a vehicle, as an app that speaks OsmAnd's protocol."""

    def __init__(
        self, plate: str, key: str, clock: _Clock, base_url: str, played: Played, say: Say, patience: float
    ) -> None:
        super().__init__(base_url, played, say, patience)
        self._plate = plate
        self._key = key
        self._clock = clock
        self._times: dict[float, int] = {}  # real times by script times: what is sent twice is the same both times
        self._taken: set[int] = set()
        self._refused = False

    async def take(self, fix: Fix) -> None:
        recorded = self._times.get(fix.at_seconds)
        if recorded is None:
            recorded = self._clock.recorded(fix.at_seconds)
            if recorded in self._taken:
                self.played.thinned += 1
                return
            self._taken.add(recorded)
            self._times[fix.at_seconds] = recorded
        query = osmand(fix, self._key, recorded)
        answer = await self.answered(lambda: self.client.get(INTAKE, query))
        if answer is None:
            return
        if answer.status == 200:
            self.played.positions += 1
            return
        self.played.refused += 1
        if not self._refused:
            self._refused = True
            self.say(f"{self._plate}: the hub refuses its positions, with {answer.status}. Is its key still good?")


class _Desk(_Sender):
    """Somebody at a desk, who writes reports and what becomes of them."""

    def __init__(self, base_url: str, token: str | None, played: Played, say: Say, patience: float) -> None:
        super().__init__(base_url, played, say, patience)
        self._token = token
        self._ids: dict[str, str] = {}

    async def take(self, event: Report | Step) -> None:
        if isinstance(event, Report):
            data = await self._asked(REPORT, dict(event.input), event.input["title"])
            if data is not None:
                self._ids[event.name] = data["reportIncident"]["incident"]["id"]
                self.played.reports += 1
        elif event.report in self._ids:
            said = f"{event.report}, {event.input['status']}"
            if await self._asked(STEP, {"id": self._ids[event.report], **event.input}, said) is not None:
                self.played.steps += 1

    async def _asked(self, query: str, given: dict[str, Any], what: str) -> Any:
        """The data of an operation, or None where the hub says no."""
        body = {"query": query, "variables": {"input": given}}
        answer = await self.answered(lambda: self.client.post(GRAPHQL, body, self._token))
        if answer is None:
            return None
        try:
            made = answer.json()
            if not made.get("errors") and made["data"]:
                return made["data"]
            why = made["errors"][0]["message"]
        except (ValueError, LookupError, TypeError, AttributeError):
            why = f"it answers {answer.status}"
        self.played.refused += 1
        self.say(f"{what}: the hub refuses it ({why}).")
        return None


def osmand(fix: Fix, key: str, recorded: int) -> dict[str, str]:
    """A fix in the words of OsmAnd's protocol, as Traccar takes it: knots, degrees, metres, per cent, Unix seconds."""
    return {
        "id": key,
        "lat": f"{fix.lat:.6f}",
        "lon": f"{fix.lon:.6f}",
        "timestamp": str(recorded),
        "speed": f"{fix.speed / _KMH_PER_KNOT:.2f}",
        "bearing": f"{fix.heading:.1f}",
        "accuracy": f"{fix.accuracy:.1f}",
        "batt": f"{fix.battery:.1f}",
    }
