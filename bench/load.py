"""Drives servers with wrk, in turns: a round asks everybody once, and nobody is asked while another still works."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

SCRIPT = Path(__file__).with_name("load.lua")
PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class Target:
    """A server and what it is sent: lines of method, path and body with tabs between."""

    url: str
    requests: Iterable[bytes]
    token: str = ""


@dataclass
class Heard:
    """What a target answered, round by round."""

    rates: list[float] = field(default_factory=list)
    milliseconds: dict[str, list[float]] = field(default_factory=lambda: {"p50": [], "p95": [], "p99": []})
    bytes_each: float = 0

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    def at(self, part: str) -> float:
        return statistics.median(self.milliseconds[part])


class Broken(Exception):
    """A target failed under load, so that its rate would mean nothing."""


def post(path: str, bodies: Iterable[bytes]) -> list[bytes]:
    """Requests that send these bodies."""
    return [b"POST\t" + path.encode() + b"\t" + body.replace(b"\n", b" ") for body in bodies]


def get(paths: Iterable[str]) -> list[bytes]:
    """Requests for these paths."""
    return [b"GET\t" + path.encode() + b"\t" for path in paths]


def in_turns(
    targets: Mapping[str, Target],
    owners: psycopg.Connection | Iterable[psycopg.Connection],
    work: Path,
    *,
    rounds: int,
    seconds: int,
    connections: int = 8,
    files_go_on: bool = False,
    lack: Callable[[str, str], None],
) -> dict[str, Heard]:
    """Ask every target once in each round, each time in another order, after a warm second that does not count.

    `files_go_on`: no request may be sent twice, so that each run goes on in the file where the last one stopped. A peer
    that fails under load is told of by `lack` and left out; when the hub does, Broken is raised. `owners` are of the
    clusters that must come to rest in between.
    """
    resting = [owners] if isinstance(owners, psycopg.Connection) else list(owners)
    heard = {name: Heard() for name in targets}
    kept = {name: list(target.requests) for name, target in targets.items()}

    def run(name: str, seconds: int) -> dict[str, float] | None:
        file = work / f"{name}.requests"
        file.write_bytes(b"\n".join(kept[name]) + b"\n")
        try:
            told = _wrk(name, targets[name], file, seconds, connections)
            if files_go_on:
                # What wrk had on its way when it stopped counts as sent.
                del kept[name][: int(told["requests"]) + 2 * connections]
                if not kept[name]:
                    raise Broken(f"{name} answered more than there was to ask")
        except Broken as error:
            if name == "hub":
                raise
            lack(name, str(error))
            heard.pop(name, None)
            return None
        finally:
            for owner in resting:
                drain(owner)
        return told

    for name in targets:
        run(name, 1)
    names = list(targets)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            told = run(name, seconds) if name in heard else None
            if told is None:
                continue
            one = heard[name]
            one.rates.append(told["requests"] / told["microseconds"] * 1e6)
            for part, milliseconds in one.milliseconds.items():
                milliseconds.append(told[part] / 1000)
            one.bytes_each = told["bytes"] / max(told["requests"], 1)
    return heard


def _wrk(name: str, target: Target, file: Path, seconds: int, connections: int) -> dict[str, float]:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(SCRIPT), target.url]
    told = subprocess.run(
        command,
        env={**os.environ, "BENCH_REQUESTS": str(file), "BENCH_TOKEN": target.token},
        capture_output=True,
        text=True,
        timeout=seconds + PATIENCE_SECONDS,
        check=False,
    )
    lines = [line for line in told.stdout.splitlines() if line.startswith("BENCH ")]
    if told.returncode or not lines:
        raise Broken(f"{name}: wrk failed: {(told.stderr or told.stdout)[-300:]}")
    figures: dict[str, float] = json.loads(lines[0].removeprefix("BENCH "))
    if figures["failed"] or not figures["requests"]:
        raise Broken(f"{name}: {figures['failed']:.0f} of {figures['requests']:.0f} requests failed")
    return figures


def drain(owner: psycopg.Connection) -> None:
    """Until the database works for nobody: what one target left behind must not slow the next."""
    quiet, deadline = 0, time.monotonic() + PATIENCE_SECONDS
    while quiet < 3 and time.monotonic() < deadline:
        (busy,) = owner.execute(
            "select count(*) from pg_stat_activity "
            "where state = 'active' and backend_type = 'client backend' and pid <> pg_backend_pid()"
        ).fetchone() or (0,)
        quiet = 0 if busy else quiet + 1
        time.sleep(0.05)
