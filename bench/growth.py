"""`make bench-scale`: the hub over 10 million incidents and 100 million positions, beside itself over the usual county.

Both counties are private clusters that are up at once, each with a hub as it is delivered; every question goes to one
and the other in turns, so that whatever else the machine does meets both. What is told is how many times as long the
large one takes.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from bench import load, maps, report
from bench.county import GROWN, LARGE, NAME, ORDINARY, SMALL, Scale, end_of_seeds, fill
from bench.peers import installing, serving
from bench.questions import QUESTIONS, SEED, VARIETY, Question
from tests.faults.ground import Ground
from tests.tiles import read

MOST_TIMES = 1.5
"""What is promised: so many times as long as over the ordinary county, at most."""
NEEDED_GIGABYTES = 60
SCALES = {"large": (ORDINARY, LARGE), "small": (SMALL, GROWN)}
SETTINGS = {"HUB_POSITION_DAYS": "366"}
"""Positions of all these days are kept."""
PATIENT = {"HUB_STATEMENT_SECONDS": "60"}
"""Where tiles are made anew: millions are counted for some, on a machine that may do something else."""

DAY = """query Day($plate: String!, $from: DateTime!, $to: DateTime!) {
  vehicle(plate: $plate) { plate kind status track(from: $from, to: $to) }
}"""

PAIRED_ZOOMS, CLOSER = (12, 14), 3
"""A square of three zooms further in is 64 times as small: of 50 times as many incidents it holds about as many."""
SAME_ZOOMS = (8, 12, 14)


@dataclass
class Side:
    """One of the two counties, and the hubs over it."""

    name: str
    scale: Scale
    ground: Ground
    owner: psycopg.Connection
    hub: str = ""
    anew: str = ""
    """A second hub, which keeps nothing."""
    token: str = ""


@dataclass(frozen=True)
class Part:
    """One kind of work: what each side is sent."""

    name: str
    says: str
    ordinary: tuple[bytes, ...]
    large: tuple[bytes, ...]
    anew: bool = False
    promised: bool = True
    """Whether the two are alike enough for the promise; else the figure is told, and no more: each request once, one
    after the other, because some take seconds."""


@dataclass(frozen=True)
class Spent:
    """What one side took for a part. Milliseconds."""

    rate: float
    p50: float
    p99: float
    first: float
    """Asked for the first time, by nobody else at once: the median."""
    kilobytes: float
    points: float | None = None
    """Incidents in a tile, on average; None: it is none."""


@dataclass(frozen=True)
class Grown:
    """A part, measured."""

    part: Part
    ordinary: Spent
    large: Spent

    @property
    def times(self) -> float:
        """How many times as long the large county takes."""
        return self.ordinary.rate / self.large.rate

    @property
    def verdict(self) -> str:
        if not self.part.promised:
            return "no promise"
        return f"≤ {MOST_TIMES:g}: {'met' if self.times <= MOST_TIMES else 'missed'}"

    def __str__(self) -> str:
        return (
            f"{self.part.name:<20} {self.times:6.2f} times ({self.verdict})   "
            f"{self.ordinary.rate:,.1f} and {self.large.rate:,.1f} a second, "
            f"p50 {self.ordinary.p50:.1f} and {self.large.p50:.1f} ms, "
            f"at first {self.ordinary.first:.1f} and {self.large.first:.1f} ms"
        )


# -- what is asked -----------------------------------------------------------------------------------------------------


def days(scale: Scale) -> Question:
    """A vehicle's day: any vehicle, any whole day of those that there are positions of."""
    chance, asked = random.Random(SEED + 7), []
    for _ in range(VARIETY):
        plate = f"KBN {chance.randrange(scale.vehicles):04}"
        begin = end_of_seeds() - timedelta(days=chance.randint(2, scale.position_days))
        period = {"from": begin.isoformat(), "to": (begin + timedelta(days=1)).isoformat()}
        asked.append({"plate": plate, **period})
    return Question("day", "a vehicle's day: its track", DAY, tuple(asked))


def questions(ordinary: Scale, large: Scale) -> list[Part]:
    """Q1, Q3, Q4 and Q5 in the words and boxes of `make bench`, and the day."""
    found = []
    for question in QUESTIONS:
        if question.name != "q2":
            sent = _sent(question)
            found.append(Part(question.name, question.says + (", kept" if question.kept else ""), sent, sent))
            if question.kept:
                found.append(Part(f"{question.name}_anew", f"{question.says}, made anew", sent, sent, anew=True))
    small, grown = days(ordinary), days(large)
    return [*found, Part(small.name, small.says, _sent(small), _sent(grown))]


def _sent(question: Question) -> tuple[bytes, ...]:
    return tuple(load.post("/graphql", question.bodies("hub")))


def _tiles(ordinary: Side, large: Side) -> list[Part]:
    """Squares that hold about as many open incidents, so that the tile is as large; then the very same squares."""

    def sent(side: Side, zoom: int) -> tuple[bytes, ...]:
        sample = maps.SAMPLE * side.scale.incidents // ordinary.scale.incidents
        return tuple(load.get(map(maps.hub_path, maps.tiles_of(side.owner, zoom, sample))))

    found = []
    for zoom in PAIRED_ZOOMS:
        small, grown = sent(ordinary, zoom), sent(large, zoom + CLOSER)
        says = f"tile of as many incidents, zoom {zoom} and {zoom + CLOSER}"
        found.append(Part(f"tile_z{zoom}", f"{says}, kept", small, grown))
        found.append(Part(f"tile_z{zoom}_anew", f"{says}, made anew", small, grown, anew=True))
    for zoom in SAME_ZOOMS:
        same = sent(ordinary, zoom)
        says = f"the same tile, zoom {zoom}"
        found.append(Part(f"same_z{zoom}", f"{says}, kept", same, same))
        found.append(Part(f"same_z{zoom}_anew", f"{says}, made anew", same, same, anew=True, promised=False))
    return found


def parts(ordinary: Side, large: Side, only: str = "") -> list[Part]:
    """All that is measured, or what begins with one of these words."""
    found = [*questions(ordinary.scale, large.scale), *_tiles(ordinary, large)]
    words = tuple(filter(None, only.replace(" ", ",").split(",")))
    return [part for part in found if part.name.startswith(words)] if words else found


# -- how it is measured ------------------------------------------------------------------------------------------------


def measured(part: Part, ordinary: Side, large: Side, work: Path, rounds: int, seconds: int) -> Grown:
    """One part, of both in turns. Raises Broken."""
    sides = {"large": (large, part.large), "ordinary": (ordinary, part.ordinary)}
    targets = {
        name: load.Target(side.anew if part.anew else side.hub, sent, side.token)
        for name, (side, sent) in sides.items()
    }
    first = {name: _singly(target) for name, target in targets.items()}
    points = {name: _points(bodies) if _is_tile(part) else None for name, (bodies, _) in first.items()}
    spent = {}
    if not part.anew:
        for target in targets.values():
            _warm(target)
    if part.promised:
        owners = (large.owner, ordinary.owner)
        for name, one in load.in_turns(targets, owners, work, rounds=rounds, seconds=seconds, lack=_break).items():
            once, kilobytes = statistics.median(first[name][1]), one.bytes_each / 1000
            spent[name] = Spent(one.rate, one.at("p50"), one.at("p99"), once, kilobytes, points[name])
    else:
        for name, (bodies, took) in first.items():
            middle, kilobytes = statistics.median(took), statistics.fmean(map(len, bodies)) / 1000
            spent[name] = Spent(1000 / statistics.fmean(took), middle, max(took), middle, kilobytes, points[name])
    return Grown(part, spent["ordinary"], spent["large"])


def _break(name: str, why: str) -> None:
    raise load.Broken(why)


def _singly(target: load.Target) -> tuple[list[bytes], list[float]]:
    """Everything once over one connection: the answers, and how long each took, in milliseconds. Raises Broken."""
    place = urlsplit(target.url)
    line = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    headers = {"content-type": "application/json", "authorization": f"Bearer {target.token}"}
    bodies, took = [], []
    for request in target.requests:
        method, path, body = request.decode().split("\t")
        began = time.perf_counter()
        line.request(method, path, body or None, headers)
        answer = line.getresponse()
        bodies.append(answer.read())
        took.append(1000 * (time.perf_counter() - began))
        if answer.status != 200 or (body and not _answered(bodies[-1])):
            raise load.Broken(f"{path} {body}: {answer.status} {bodies[-1][:200]!r}")
    line.close()
    return bodies, took


def _warm(target: load.Target) -> None:
    """Until every process of the hub keeps what it can: each has some of these connections."""
    with ThreadPoolExecutor(8) as hands, suppress(load.Broken):
        list(hands.map(_singly, [target] * 8))


def _is_tile(part: Part) -> bool:
    return part.name.startswith(("tile_", "same_"))


def _answered(body: bytes) -> bool:
    """Whether a GraphQL answer has no errors, and a track where one was asked for."""
    said = json.loads(body)
    data: dict[str, Any] = said.get("data") or {}
    return "errors" not in said and (data.get("vehicle", {"track": True}) or {}).get("track") is not None


def _points(tiles: Iterable[bytes]) -> float:
    return statistics.fmean(
        sum(int(each.attributes.get("count", 1)) for layer in read(tile).values() for each in layer) for tile in tiles
    )


# -- what is told ------------------------------------------------------------------------------------------------------


def table(grown: Iterable[Grown], missing: Iterable[str], scales: tuple[Scale, Scale], versions: dict[str, str]) -> str:
    """The table of bench/README.md."""
    ordinary, large = scales
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}; ordinary: {ordinary}; large: {large}. {report.machine()}. {told}.",
        "",
        "| work | ordinary | large | times as long | wanted | p50 / p99, ms: ordinary | large | at first, ms | KB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in grown:
        small, big = one.ordinary, one.large
        points = "" if small.points is None else f" ({small.points:,.0f} and {big.points:,.0f} incidents)"
        cells = (
            f"`{one.part.name}` {one.part.says}{points}",
            f"{report.number(small.rate)}/s",
            f"{report.number(big.rate)}/s",
            f"{one.times:.2f}",
            one.verdict,
            f"{small.p50:.1f} / {small.p99:.1f}",
            f"{big.p50:.1f} / {big.p99:.1f}",
            f"{small.first:.1f} and {big.first:.1f}",
            f"{small.kilobytes:.1f} and {big.kilobytes:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    notes = [f"- not measured: {why}" for why in missing]
    return "\n".join([*lines, "", *notes, ""]) if notes else "\n".join([*lines, ""])


# -- the run -----------------------------------------------------------------------------------------------------------


def opened(name: str, scale: Scale, ground: Ground, work: Path, held: ExitStack) -> Side:
    """A filled county with its hubs up."""
    owner = held.enter_context(psycopg.connect(ground.county.owner_url, autocommit=True))
    owner.execute((installing.HERE / "views.sql").read_text())
    ground.person(NAME, NAME)
    ground.start_hub(**SETTINGS)
    side = Side(name, scale, ground, owner, f"http://127.0.0.1:{ground.port}", token=ground.token(NAME))
    (work / name).mkdir()
    side.anew = held.enter_context(serving.forgetful(ground.county.login_url, work / name, **PATIENT)).url
    return side


def compare(
    ordinary: Side, large: Side, work: Path, only: str, rounds: int, seconds: int, say: Callable[[str], None]
) -> tuple[list[Grown], list[str]]:
    """Every part, and what could not be measured."""
    grown, missing = [], []
    for part in parts(ordinary, large, only):
        try:
            grown.append(measured(part, ordinary, large, work, rounds, seconds))
            say(str(grown[-1]))
        except load.Broken as error:
            missing.append(f"{part.name}: {error}")
            say(f"NOT MEASURED {missing[-1]}")
    return grown, missing


def main() -> int:
    told = argparse.ArgumentParser(prog="make bench-scale", description=__doc__)
    told.add_argument("--only", default="", help="how the parts begin that are meant: q1,day,tile")
    told.add_argument("--scale", choices=SCALES, default="large")
    told.add_argument("--rounds", type=int, default=5)
    told.add_argument("--seconds", type=int, default=4, help="of each run of wrk")
    given = told.parse_args()
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:4.0f} s  {what}", flush=True)

    scales = SCALES[given.scale]
    with ExitStack() as held:
        work = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="hub-bench-")))
        free = shutil.disk_usage(work).free / 1e9
        if given.scale == "large" and free < NEEDED_GIGABYTES:
            told.error(f"{free:.0f} GB are free at {work.parent}, and {NEEDED_GIGABYTES} are needed")
        sides = []
        for name, scale in zip(("ordinary", "large"), scales, strict=True):
            say(f"a private PostGIS with {scale}")
            ground = held.enter_context(Ground(workers=serving.PROCESSES))
            fill(ground, scale)
            sides.append((name, scale, ground))
        say("the hubs start")
        ordinary, large = (opened(*side, work, held) for side in sides)
        grown, missing = compare(ordinary, large, work, given.only, given.rounds, given.seconds, say)
        versions = report.versions_of(large.owner)
    if not given.only and given.scale == "large":
        report.put("large", table(grown, missing, scales, versions))
    say("done")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
