"""The PostgreSQL installations of this machine, and which of them can hold the county."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OLDEST, NEWEST = 15, 18
"""Majors that the hub runs on: `security_invoker` views need 15; 18 is the newest that was tried."""


class ClusterFailed(RuntimeError):
    """The embedded database cannot run; the message says why and what to do, for a person at a terminal."""


@dataclass(frozen=True)
class Installation:
    """One PostgreSQL: its major version, the folder of its programs, and whether PostGIS is beside it."""

    major: int
    programs: Path
    postgis: bool


def installations() -> list[Installation]:
    """All that are found, newest first."""
    found: dict[Path, Installation] = {}
    for folder in _folders():
        folder = folder.resolve()
        if folder in found or not os.access(folder / "postgres", os.X_OK) or not os.access(folder / "initdb", os.X_OK):
            continue
        version = re.search(r"\d+", _answer(folder / "postgres", "--version"))
        if version:
            found[folder] = Installation(int(version[0]), folder, _has_postgis(folder, int(version[0])))
    return sorted(found.values(), key=lambda one: one.major, reverse=True)


def fitting(major: int | None, data: Path) -> Installation:
    """The installation for the cluster in `data`: of its major version, or the newest when there is none yet."""
    every = installations()
    usable = [one for one in every if OLDEST <= one.major <= NEWEST]
    if not usable:
        there = f" (only {', '.join(str(one.major) for one in every)} is here)" if every else ""
        raise ClusterFailed(
            f"PostgreSQL {OLDEST} to {NEWEST} is not installed{there}. {how_to_install('postgresql-postgis')}"
        )
    if major is not None:
        same = [one for one in usable if one.major == major]
        if not same:
            raise ClusterFailed(
                f"The data in {data} was made by PostgreSQL {major}, but this machine has only "
                f"{', '.join(str(one.major) for one in usable)}. "
                f"{how_to_install(f'postgresql-{major}-postgis-3')} Or move the data over with pg_upgrade."
            )
        usable = same
    with_postgis = [one for one in usable if one.postgis]
    if not with_postgis:
        newest = usable[0].major
        raise ClusterFailed(
            f"PostgreSQL {newest} is installed, but PostGIS for it is not. "
            f"{how_to_install(f'postgresql-{newest}-postgis-3')}"
        )
    return with_postgis[0]


def how_to_install(package: str) -> str:
    """The way out when a Debian package, or what stands for it elsewhere, is missing."""
    if sys.platform == "darwin":
        return "Run `brew install postgresql@18 postgis` and start again."
    if shutil.which("apt-get"):
        return f"Run `make up`, which installs it, or `sudo apt-get install {package}`."
    return "Install PostgreSQL and PostGIS with your system's packages and start again."


def _folders() -> Iterator[Path]:
    for root, pattern in (
        ("/usr/lib/postgresql", "*/bin"),  # Debian, Ubuntu
        ("/usr", "pgsql-*/bin"),  # Red Hat's packages from postgresql.org
        ("/opt/homebrew/opt", "postgresql*/bin"),
        ("/usr/local/opt", "postgresql*/bin"),
        ("/Applications/Postgres.app/Contents/Versions", "*/bin"),
    ):
        yield from Path(root).glob(pattern)
    if shutil.which("pg_config"):
        yield Path(_answer("pg_config", "--bindir") or "/nonexistent")
    if server := shutil.which("postgres"):
        yield Path(server).resolve().parent


def _has_postgis(folder: Path, major: int) -> bool:
    own = folder / "pg_config"
    # Debian keeps pg_config in another package than the server, so its folder is also known by heart.
    shares = [Path(_answer(own, "--sharedir"))] if own.exists() else []
    shares += [Path(f"/usr/share/postgresql/{major}"), folder.parent / "share", folder.parent / "share/postgresql"]
    return any((share / "extension/postgis.control").exists() for share in shares)


def _answer(program: str | Path, question: str) -> str:
    try:
        return subprocess.run(
            [program, question], capture_output=True, text=True, timeout=10, check=False
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
