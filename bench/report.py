"""What was measured, beside what is wanted: printed, kept as `results.json`, and as tables in bench/README.md."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg

HERE = Path(__file__).parent
README, RESULTS = HERE / "README.md", HERE / "results.json"

NAMES = {
    "hub": "hub",
    "anew": "the hub, nothing kept",
    "raw": "raw",
    "postgraphile": "PostGraphile",
    "strawberry": "Strawberry",
    "tipg": "tipg",
    "copy": "COPY, bare",
    "copy_kept": "COPY, same keys",
    "copy_records": "COPY, of records",
    "read_postgis": "read_postgis",
}


@dataclass
class Figure:
    """One piece of work: the hub's figure and the peers' for the same."""

    name: str
    says: str
    unit: str
    better: str
    """`higher` or `lower`."""
    hub: float
    peers: dict[str, float] = field(default_factory=dict)
    latencies: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    """Milliseconds at p50, p95 and p99, the hub's too."""
    note: str = ""

    def ratio(self, peer: str) -> float:
        """How many times as fast as the peer the hub is."""
        return self.hub / self.peers[peer] if self.better == "higher" else self.peers[peer] / self.hub


@dataclass(frozen=True)
class Wanted:
    """A ratio that is promised of figures against a peer, and the one that is aimed at."""

    figures: str
    """A pattern of names."""
    peer: str
    least: float
    aim: float = 0
    mean: float = 0
    """The least geometric mean of them all; 0: none is promised."""
    mean_aim: float = 0
    says: str = ""


WANTED = (
    Wanted("q[1-5]", "postgraphile", 2, 3, 3, 4, "Q1–Q5 against PostGraphile"),
    Wanted("q[1-5]", "raw", 0.80, 0, 0.92, 0, "Q1–Q5 against raw"),
    Wanted("ingest_5000", "copy", 0.5, 0.6, says="batches of 5,000 against bare COPY"),
    Wanted("ingest_500", "copy", 0.33, 0.4, says="batches of 500 against bare COPY"),
    Wanted("osmand_single", "postgraphile", 1, 1.5, says="single fixes against PostGraphile's create"),
    Wanted("tiles_z[0-9]+", "tipg", 2, 4, says="tiles of the same map, kept, against tipg"),
    Wanted("export_50k_ms", "read_postgis", 1.67, says="50,000 incidents into a GeoDataFrame against read_postgis"),
)
MOST_TAIL = 1.5
"""The hub's p99 may be so many times raw's."""
MOST_FANOUT_MS = 500


@dataclass(frozen=True)
class Verdict:
    """A target, what came of it, and whether it is met."""

    says: str
    target: str
    measured: str
    met: bool

    def __str__(self) -> str:
        return f"{'met   ' if self.met else 'MISSED'}  {self.says}: {self.measured} (target {self.target})"


def verdicts(figures: Iterable[Figure]) -> list[Verdict]:
    """Every target that these figures say something about."""
    figures, told = list(figures), []
    for wanted in WANTED:
        ratios = {
            one.name: one.ratio(wanted.peer)
            for one in figures
            if re.fullmatch(wanted.figures, one.name) and wanted.peer in one.peers
        }
        if not ratios:
            continue
        shown = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()) if len(ratios) > 1 else ""
        each = shown or f"{next(iter(ratios.values())):.2f}"
        aim = f", aim {wanted.aim:g}" if wanted.aim else ""
        met = min(ratios.values()) >= wanted.least
        told.append(Verdict(wanted.says, f"{'each ' if shown else ''}≥ {wanted.least:g}{aim}", each, met))
        if wanted.mean and len(ratios) > 1:
            mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
            aim = f", aim {wanted.mean_aim:g}" if wanted.mean_aim else ""
            says = f"{wanted.says}, geometric mean of {len(ratios)}"
            told.append(Verdict(says, f"≥ {wanted.mean:g}{aim}", f"{mean:.2f}", mean >= wanted.mean))
    tails = {one.name: one.latencies["hub"][2] / one.latencies["raw"][2] for one in figures if "raw" in one.latencies}
    if tails:
        shown = ", ".join(f"{name} {tail:.2f}" for name, tail in tails.items())
        told.append(Verdict("p99 against raw's", f"each ≤ {MOST_TAIL:g}", shown, max(tails.values()) <= MOST_TAIL))
    late = [one for one in figures if one.name == "fanout_p99_ms"]
    told += [
        Verdict(one.says, f"≤ {MOST_FANOUT_MS} ms", f"{one.hub:.0f} ms", one.hub <= MOST_FANOUT_MS) for one in late
    ]
    return told


def show(figure: Figure) -> None:
    """Print one figure as soon as it is there."""
    everybody = {"hub": figure.hub, **figure.peers}
    print(f"\n{figure.name}: {figure.says}", flush=True)
    for name, value in everybody.items():
        line = f"  {NAMES.get(name, name):<16}{number(value):>10} {figure.unit}"
        if name in figure.latencies:
            p50, p95, p99 = figure.latencies[name]
            line += f"   p50 {p50:8.2f}   p95 {p95:8.2f}   p99 {p99:8.2f} ms"
        if name != "hub":
            line += f"   hub: {figure.ratio(name):.2f} times"
        print(line, flush=True)
    if figure.note:
        print(f"  {figure.note}", flush=True)


def keep(figures: Iterable[Figure]) -> None:
    """`results.json`: a list of what was measured, for other programs."""
    told = [
        {
            "name": one.name,
            "unit": one.unit,
            "better": one.better,
            "hub": round(one.hub, 3),
            "peers": {name: round(value, 3) for name, value in one.peers.items()},
        }
        for one in figures
    ]
    RESULTS.write_text(json.dumps(told, indent=1) + "\n")


def write(
    figures: list[Figure], missing: Iterable[tuple[str, str]], scale: str, versions: dict[str, str], part: str
) -> None:
    """The table of one kind of run in bench/README.md."""
    put(part, _table(figures, missing, scale, versions))


def put(part: str, text: str) -> None:
    """What bench/README.md says of one kind of run, between its two marks; the rest stays."""
    begin, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
    whole = README.read_text()
    if begin not in whole or end not in whole:
        raise ValueError(f"{README} has no place for the table of {part}: the lines {begin} and {end}")
    before, _, rest = whole.partition(begin)
    after = rest.partition(end)[2]
    README.write_text(before + begin + "\n" + text + end + after)


def _table(figures: list[Figure], missing: Iterable[tuple[str, str]], scale: str, versions: dict[str, str]) -> str:
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}; {scale}. {machine()}. "
        + ", ".join(f"{k} {v}" for k, v in versions.items())
        + ".",
        "",
        "| work | hub | peers | the hub's ratio | p50 / p95 / p99 of the hub, ms |",
        "|---|---|---|---|---|",
    ]
    for one in figures:
        peers = "; ".join(f"{NAMES.get(name, name)} {number(value)}" for name, value in one.peers.items())
        ratios = "; ".join(f"{NAMES.get(name, name)} {one.ratio(name):.2f}" for name in one.peers)
        tail = " / ".join(f"{value:.1f}" for value in one.latencies["hub"]) if "hub" in one.latencies else ""
        lines.append(f"| `{one.name}` {one.says} | {number(one.hub)} {one.unit} | {peers} | {ratios} | {tail} |")
    lines += ["", "| target | wanted | measured | |", "|---|---|---|---|"]
    lines += [
        f"| {one.says} | {one.target} | {one.measured} | {'met' if one.met else 'missed'} |"
        for one in verdicts(figures)
    ]
    notes = [f"- `{one.name}`: {one.note}" for one in figures if one.note]
    notes += [f"- {NAMES.get(name, name)} could not be measured: {why}" for name, why in missing]
    return "\n".join([*lines, "", *notes, ""]) if notes else "\n".join([*lines, ""])


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def versions_of(owner: psycopg.Connection) -> dict[str, str]:
    """What every run is made of: the hub's parts, the database, and what makes the load."""
    asked = "select split_part(current_setting('server_version'), ' ', 1), postgis_lib_version()"
    told = {"Python": sys.version.split()[0], "wrk": version_of(["wrk", "--version"])}
    told |= dict(zip(("PostgreSQL", "PostGIS"), owner.execute(asked).fetchone() or (), strict=False))
    return told | {name: version(name) for name in ("uvicorn", "asyncpg")}


def machine() -> str:
    """What this runs on, as far as the system says."""
    cores = os.cpu_count()
    model = memory = ""
    try:
        model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line)
        memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line)
    except (OSError, StopIteration):
        return f"{cores} cores, {platform.system()} {platform.machine()}"
    gigabytes = round(int(memory.split()[1]) / 1024**2)
    return f"{cores} cores of {model.partition(':')[2].strip()}, {gigabytes} GB, {platform.system()}"


def pinned(package: str) -> str:
    """The version of a peer that is Python."""
    found = re.search(rf"^{package}==(\S+)", (HERE / "peers/requirements.txt").read_text(), re.MULTILINE)
    return found[1] if found else ""


def locked(package: str) -> str:
    """The version of a peer that is JavaScript."""
    packages = json.loads((HERE / "peers/package-lock.json").read_text())["packages"]
    return str(packages[f"node_modules/{package}"]["version"])


def version_of(command: list[str]) -> str:
    """What a program says of itself, its first number; empty where it is not there."""
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    found: Any = re.search(r"\d+(\.\d+)+", told.stdout + told.stderr)
    return found[0] if found else ""
