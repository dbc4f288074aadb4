"""`make bench-steady`: an hour of everything at once at a moderate pace, and what the workers' memory does meanwhile.

    python -m bench.steady [--minutes N]

A county and a hub of two workers of its own. One client, which gives way to whoever else uses the machine, asks ever
new questions, sends fixes, reports incidents, opens maps and closes them, signs in, exports, and is refused. Ends with
1 where a worker grew by more than 5 %, was replaced, or answered something that nobody expected.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import statistics
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from bench import mixed, report
from bench.county import Scale, fill
from hub.following import LOOK_SECONDS
from tests.faults.ground import Ground

SCALE = Scale(incidents=50_000, vehicles=300, positions=500_000)
WORKERS = 2
MOST_GROWTH = 0.05
MOST_BUSY = 0.001
"""The part of all requests that may be put off (429, 503, a line that ended) on a machine that others use as well."""
SAMPLE_SECONDS = 30.0
TOLD_FROM = 30
"""Minutes of a run that is told in bench/README.md."""
NICE = 5
"""How far the client gives way to others."""


@dataclass
class Sample:
    """What the workers hold at one moment."""

    at: float
    """Seconds since the load began."""
    resident: list[int]
    """Bytes, by worker."""
    proportional: list[int]
    """The same, with what several processes share counted once."""


def held(pids: list[int], at: float) -> Sample:
    """What these processes hold now."""
    found: dict[str, list[int]] = {"Rss": [], "Pss": []}
    for pid in pids:
        told = Path(f"/proc/{pid}/smaps_rollup").read_text()
        for name, values in found.items():
            values.append(1024 * int(re.search(rf"^{name}:\s+(\d+)", told, re.MULTILINE)[1]))  # type: ignore[index]
    return Sample(at, found["Rss"], found["Pss"])


def metrics(text: str) -> dict[str, float]:
    """What `/metrics` says of what is kept and how many were answered."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("hub_kept_bytes"):
            found[name] = float(value)
        elif name.startswith(("hub_requests_total", "hub_subscriptions")):
            found[name.partition("{")[0]] = found.get(name.partition("{")[0], 0) + float(value)
    return found


def window(minutes: float) -> float:
    """Minutes of which medians are compared: ten of an hour."""
    return min(10.0, minutes / 6)


def medians(samples: list[Sample], begin: float, end: float) -> list[float]:
    """The median of what each worker had resident between two minutes."""
    chosen = [sample.resident for sample in samples if begin * 60 < sample.at <= end * 60]
    return [statistics.median(each) for each in zip(*chosen, strict=True)]


def growth(samples: list[Sample], minutes: float) -> list[float]:
    """By how much each worker grew, as a part: the end against the second window, because stores fill in the first."""
    wide = window(minutes)
    begin, end = medians(samples, wide, 2 * wide), medians(samples, minutes - wide, minutes)
    return [after / before - 1 for before, after in zip(begin, end, strict=False)]  # none where it ended early


class Steady:
    """One run."""

    def __init__(self, minutes: float, seed: int) -> None:
        self.minutes = minutes
        self.seed = seed
        self.told = mixed.Told()
        self.samples: list[Sample] = []
        self.wrong: list[str] = []
        """What else went wrong than an answer."""

    def run(self) -> int:
        print(f"A private PostGIS with {SCALE}, then a hub of {WORKERS} workers for {self.minutes:g} min …", flush=True)
        with Ground(workers=WORKERS) as ground:
            fill(ground, SCALE)
            for name, role in mixed.PEOPLE.items():
                ground.person(name, role)
            ground.start_hub(**mixed.RAISED)
            ground.await_sealed()
            time.sleep(2 * LOOK_SECONDS)  # what was seeded is news to no map
            # The client alone: the hub runs already.
            os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
            asyncio.run(self._loaded(ground))
            assert ground.hub is not None
            lines = list(ground.hub.lines)
        self.wrong += [line for line in lines if line.startswith(("ERROR", "Traceback", "Worker "))]
        return self._verdict()

    async def _loaded(self, ground: Ground) -> None:
        load = mixed.Load(
            ground.port, {name: ground.token(name) for name in mixed.PEOPLE}, SCALE.vehicles, self.told, self.seed
        )
        pids, begun = ground.pids(), time.monotonic()
        assert len(pids) == WORKERS, pids
        watching = asyncio.create_task(self._watch(ground, pids, begun, load))
        await load.run(60 * self.minutes)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching

    async def _watch(self, ground: Ground, pids: list[int], begun: float, load: mixed.Load) -> None:
        every = min(SAMPLE_SECONDS, 20 * window(self.minutes))
        said, count = 0.0, 0
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ground.port}", timeout=60) as http:
            while True:
                await asyncio.sleep(begun + (len(self.samples) + 1) * every - time.monotonic())
                if ground.pids() != pids:  # the hub's own lines say why
                    load.until = 0.0
                    return
                sample = held(pids, time.monotonic() - begun)
                self.samples.append(sample)
                if sample.at - said < 60 and sample.at < 60 * self.minutes - every:
                    continue
                kept = metrics((await http.get("/metrics")).text)
                total = sum(self.told.answered.values())
                stores = [f"{value / 1e6:.1f}" for name, value in kept.items() if name.startswith("hub_kept_bytes")]
                print(
                    f"{sample.at / 60:5.1f} min  RSS {_mb(sample.resident)}  PSS {_mb(sample.proportional)} MB  "
                    f"{(total - count) / (sample.at - said):4.0f}/s  {total:,} answered, "
                    f"{sum(self.told.busy.values())} put off, {sum(self.told.wrong.values())} wrong, "
                    f"{self.told.events:,} events; kept MB {' '.join(stores)}; "
                    f"{kept.get('hub_subscriptions', 0):.0f} subscriptions",
                    flush=True,
                )
                said, count = sample.at, total

    def _verdict(self) -> int:
        told = self.told
        total, busy, wrong = (sum(each.values()) for each in (told.answered, told.busy, told.wrong))
        for kind, number in told.answered.most_common():
            print(f"  {kind:20}{number:9,} answered  {told.busy[kind]:5,} put off  {told.wrong[kind]:5,} wrong")
        print(f"{total:,} answered, {told.events:,} events heard, {busy} put off, {wrong} wrong.")
        if self.wrong:
            print(*self.wrong, sep="\n")
        wide, grown = window(self.minutes), growth(self.samples, self.minutes)
        if not grown:
            return 1
        print(
            f"Memory, the median of minutes {self.minutes - wide:g} to {self.minutes:g} against {wide:g} to "
            f"{2 * wide:g} (what is bounded fills before): "
            + ", ".join(f"worker {number} {part:+.1%}" for number, part in enumerate(grown, 1))
            + f"; at most {MOST_GROWTH:+.0%}."
        )
        good = max(grown) <= MOST_GROWTH and not wrong and not self.wrong and busy <= MOST_BUSY * total
        if self.minutes >= TOLD_FROM:
            report.put("steady", self._table(grown, good))
        return 0 if good else 1

    def _table(self, grown: list[float], good: bool) -> str:
        told, wide = self.told, window(self.minutes)
        total, busy, wrong = (sum(each.values()) for each in (told.answered, told.busy, told.wrong))
        lines = [
            f"{datetime.now(UTC):%Y-%m-%d}; {SCALE}; {self.minutes:g} minutes, {total / self.minutes / 60:.0f} "
            f"requests a second: {total:,} answered, {told.events:,} events heard, {busy} put off, {wrong} wrong. "
            f"{report.machine()}.",
            "",
            "| minutes | " + " | ".join(f"worker {n}: RSS / PSS, MB" for n in range(1, WORKERS + 1)) + " |",
            "|---" * (WORKERS + 1) + "|",
        ]
        for number in range(round(self.minutes / wide)):
            begin, end = number * wide, (number + 1) * wide
            chosen = [sample for sample in self.samples if begin * 60 < sample.at <= end * 60]
            cells = [
                f"{statistics.median(each.resident[n] for each in chosen) / 1e6:.1f} / "
                f"{statistics.median(each.proportional[n] for each in chosen) / 1e6:.1f}"
                for n in range(WORKERS)
            ]
            lines.append(f"| {begin:g} to {end:g} | {' | '.join(cells)} |")
        shown = " | ".join(f"{part:+.1%}" for part in grown)
        lines += [f"| growth, last against second | {shown} |", ""]
        lines += [f"Wanted: at most {MOST_GROWTH:+.0%}; {'met' if good else 'missed'}.", ""]
        return "\n".join(lines)


def _mb(values: list[int]) -> str:
    return " ".join(f"{value / 1e6:.1f}" for value in values)


def main() -> int:
    told = argparse.ArgumentParser(prog="make bench-steady", description=__doc__)
    told.add_argument(
        "--minutes", type=float, default=60, help="how long (default: 60, of which ten fill what is kept)"
    )
    told.add_argument("--seed", type=int, default=2026)
    given = told.parse_args()
    # In the background Ctrl-C is ignored, and whoever ends an hour there must find the cluster gone as well.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    return Steady(given.minutes, given.seed).run()


if __name__ == "__main__":
    sys.exit(main())
