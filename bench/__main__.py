"""`make bench`: starts a county of its own, the hub and its peers over the same rows, and holds them beside each other.

Everything listens on loopback, nothing is left running, and nothing of it is part of a test: figures belong to the
machine, ratios hold.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path

import psycopg

from bench import exports, fleet, maps, reads, report
from bench.county import NAME, ORDINARY, SMALL, Scale, fill
from bench.load import Broken
from bench.peers import installing, serving
from bench.questions import ANEW, KEPT, QUESTIONS, Question
from bench.report import Figure
from tests.faults.ground import Ground

READS = tuple(question.name for question in QUESTIONS)
TILES = tuple(f"tiles_z{zoom}" for zoom in maps.ZOOMS)
PARTS = (
    *READS,
    *TILES,
    "export_50k_ms",
    "export_memory_mb",
    "ingest_5000",
    "ingest_500",
    "osmand_single",
    "fanout_p99_ms",
)
SCALES = {"ordinary": ORDINARY, "small": SMALL}
EXPORTED, MAPS, FIXES_A_SECOND, FANOUT_SECONDS = 50_000, 1_000, 500, 20
SECONDS_OF_TILES = 3
"""Of each run at most: there are seven zooms."""
RAISED = {"HUB_FIXES_AT_ONCE": "1000000", "HUB_FIXES_PER_SECOND": "10000", "HUB_STATEMENT_SECONDS": "60"}


Lack = Callable[[str, str], None]


class Bench:
    """One run: who is there, who is missing, and what was measured."""

    def __init__(self, scale: Scale, wanted: set[str], rounds: int, seconds: int) -> None:
        self.scale = scale
        self.wanted = wanted
        self.rounds = rounds
        self.seconds = seconds
        self.figures: list[Figure] = []
        self.missing: list[tuple[str, str]] = []
        self.urls: dict[str, str] = {}
        self.made_of: dict[str, str] = {}
        self.began = time.monotonic()

    def run(self) -> None:
        work = Path(tempfile.mkdtemp(prefix="hub-bench-"))
        try:
            with ExitStack() as held:
                self._run(work, held)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _run(self, work: Path, held: ExitStack) -> None:
        self.say(f"a private PostGIS with {self.scale}")
        ground = held.enter_context(Ground(workers=serving.PROCESSES))
        fill(ground, self.scale)
        owner = held.enter_context(psycopg.connect(ground.county.owner_url, autocommit=True))
        owner.execute((installing.HERE / "views.sql").read_text())
        if "osmand_single" in self.wanted:
            owner.execute((installing.HERE / "fixes.sql").read_text())
            owner.execute("vacuum peer.fixes")
        self.made_of = report.versions_of(owner)
        self.say("the hub and its peers start")
        ground.person(NAME, NAME)
        ground.start_hub(**RAISED)
        self.urls["hub"] = f"http://127.0.0.1:{ground.port}"
        token = ground.token(NAME)
        self._start(work, held, ground, token)
        for part, measure in self._parts(work, ground, owner, token):
            try:
                figure = measure(lambda name, why, part=part: self.lack(name, f"{part}: {why}"))  # type: ignore[misc]
            except Broken as error:
                self.lack("hub", f"{part}: {error}")
                continue
            self.figures.append(figure)
            report.show(figure)

    def _start(self, work: Path, held: ExitStack, ground: Ground, token: str) -> None:
        """Whoever is needed for what is wanted. Who cannot be had is said so, and the others go on."""
        database = ground.county.owner_url
        bodies = work / "bodies"
        bodies.write_bytes(b"\n".join(body for question in QUESTIONS for body in question.bodies("hub")) + b"\n")
        starts: list[tuple[str, set[str], Callable[[], serving.Peer]]] = [
            ("raw", set(READS), lambda: serving.raw(work, ground.county.login_url, token, bodies)),
            ("tipg", set(TILES), lambda: serving.tipg(work, database)),
            (
                "anew",
                {*TILES, *(question.name for question in QUESTIONS if question.kept)},
                lambda: serving.forgetful(ground.county.login_url, work),
            ),
        ]
        for plans in (ANEW, KEPT):
            asked = {question.name for question in QUESTIONS if question.plans == plans}
            created = {"osmand_single"} if plans == KEPT else set()
            starts += [
                (f"postgraphile {plans}", asked | created, partial(serving.postgraphile, work, database, plans)),
                (f"strawberry {plans}", asked, partial(serving.strawberry, work, database, plans)),
            ]
        for name, needed_for, start in starts:
            if not needed_for & self.wanted:
                continue
            try:
                self.urls[name] = held.enter_context(start()).url
            except installing.Missing as error:
                self.lack(name.split()[0], str(error))

    def _readers(self, question: Question) -> dict[str, str]:
        """Who answers a question, each in the way that is best for it."""
        found = {"hub": self.urls["hub"]}
        for name in ("raw", "postgraphile", "strawberry", *(["anew"] if question.kept else [])):
            url = self.urls.get(f"{name} {question.plans}") or self.urls.get(name)
            if url:
                found[name] = url
        return found

    def _parts(
        self, work: Path, ground: Ground, owner: psycopg.Connection, token: str
    ) -> Iterator[tuple[str, Callable[[Lack], Figure]]]:
        """What is wanted, in the order in which it disturbs the rest least: what writes comes last."""
        hub, tipg = self.urls["hub"], self.urls.get("tipg", "")
        shared = (owner, work, self.rounds, self.seconds)
        database = ground.county.owner_url
        made: dict[str, Callable[[Lack], Figure]] = {}
        for question in QUESTIONS:
            made[question.name] = partial(reads.measured, question, self._readers(question), token, *shared)
        anew = self.urls.get("anew", "")
        for zoom in maps.ZOOMS:
            seconds = min(self.seconds, SECONDS_OF_TILES)
            made[f"tiles_z{zoom}"] = partial(
                maps.measured, zoom, hub, token, tipg, anew, owner, work, self.rounds, seconds
            )
        made["export_50k_ms"] = lambda _: exports.frames(hub, token, owner, database, EXPORTED)
        made["export_memory_mb"] = lambda _: exports.memory(hub, token, ground.pids(), owner)
        made["ingest_5000"] = lambda _: asyncio.run(fleet.batches(hub, database, 5_000))
        made["ingest_500"] = lambda _: asyncio.run(fleet.batches(hub, database, 500))
        made["osmand_single"] = partial(fleet.singles, hub, self.urls.get(f"postgraphile {KEPT}", ""), *shared)
        made["fanout_p99_ms"] = lambda _: fleet.maps(hub, token, MAPS, FIXES_A_SECOND, FANOUT_SECONDS)
        return ((part, measure) for part, measure in made.items() if part in self.wanted)

    def lack(self, name: str, why: str) -> None:
        """A peer that is not measured, or not everywhere: never in silence."""
        self.missing.append((name, why))
        print(f"NOT MEASURED {report.NAMES.get(name, name)}: {why}", flush=True)

    def say(self, what: str) -> None:
        print(f"{time.monotonic() - self.began:4.0f} s  {what}", flush=True)

    def versions(self) -> dict[str, str]:
        """What was measured, by version."""
        told = self.made_of | {"geopandas": version("geopandas")}
        started = {name.split()[0] for name in self.urls}
        if "postgraphile" in started:
            told["PostGraphile"] = report.locked("postgraphile")
            told["Node"] = report.version_of([str(installing.node_program()), "--version"])
        if "strawberry" in started:
            told["Strawberry"] = version("strawberry-graphql")
        if "tipg" in started:
            told["tipg"] = report.pinned("tipg")
        return {name: said for name, said in told.items() if said}


def parts(words: str) -> set[str]:
    """The parts that are meant by `q1,ingest,tiles`. Raises ValueError."""
    if not words:
        return set(PARTS)
    chosen: set[str] = set()
    for word in filter(None, words.replace(" ", ",").split(",")):
        found = {part for part in PARTS if part == word or part.startswith(f"{word}_")}
        if not found:
            raise ValueError(f"there is no part {word}; there are {', '.join(PARTS)}")
        chosen |= found
    return chosen


def main() -> int:
    told = argparse.ArgumentParser(prog="make bench", description=__doc__)
    told.add_argument("--only", default="", help=f"a part of it: {', '.join(PARTS)}, or the beginning of several")
    told.add_argument("--scale", choices=SCALES, default="ordinary")
    told.add_argument("--rounds", type=int, default=3)
    told.add_argument("--seconds", type=int, default=4, help="of each run of wrk")
    given = told.parse_args()
    try:
        wanted = parts(given.only)
    except ValueError as error:
        told.error(str(error))
    bench = Bench(SCALES[given.scale], wanted, given.rounds, given.seconds)
    bench.run()
    print()
    for verdict in report.verdicts(bench.figures):
        print(verdict)
    report.keep(bench.figures)
    if not given.only and given.scale != "small":
        report.write(bench.figures, bench.missing, str(bench.scale), bench.versions(), given.scale)
    bench.say(f"done; {report.RESULTS.name} holds the figures")
    return 0 if len(bench.figures) == len(wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
