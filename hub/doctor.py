"""`hub doctor`: what must be right under the hub, checked one by one, each with its way out."""

from __future__ import annotations

import ctypes
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString
from urllib.parse import urlsplit

from hub.database.installations import NEWEST, OLDEST
from hub.settings import Settings

if TYPE_CHECKING:
    import psycopg

    from hub.database.embedded import Cluster

MINORS = {15: 18, 16: 14, 17: 10, 18: 4}
"""The security release of 14 May 2026 of each line."""

LIBRARIES = {
    "strawberry-graphql": "0.323.2",
    "graphql-core": "3.3.2",
    "starlette": "1.0.1",
    "python-multipart": "0.0.27",
}
"""The least versions without holes that an outsider could use; a library that is not installed needs none."""

SAFE = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "data_checksums": "on",
    "data_sync_retry": "off",
    "wal_level": "logical",
}
"""Settings of the server that make an acknowledged write one that stays."""

LEAKPROOF = ("geometry_overlaps", "geometry_contains", "geometry_within")
"""PostGIS's box operators: unmarked, an area-scoped caller's box searches lose the spatial index, and nothing else."""


class Verdict(StrEnum):
    """How a check ended."""

    FINE = "ok"
    NOTE = "note"
    BROKEN = "mend"


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    verdict: Verdict
    sentence: str

    def __str__(self) -> str:
        return f"{self.verdict:5} {self.sentence}"

    @property
    def must_be_mended(self) -> bool:
        return self.verdict is Verdict.BROKEN


def fine(sentence: str) -> Finding:
    return Finding(Verdict.FINE, sentence)


def note(sentence: str) -> Finding:
    return Finding(Verdict.NOTE, sentence)


def broken(sentence: str) -> Finding:
    return Finding(Verdict.BROKEN, sentence)


def examine(settings: Settings, cluster: Cluster | None) -> list[Finding]:
    """All checks in order; those of the database only where `settings` names one."""
    findings = [*_libraries(), *_clock(), *_disk(cluster.home if cluster else Path.cwd(), "here")]
    url = settings.database.owner_url or settings.database.database_url
    if url is None:
        return findings
    import psycopg

    try:
        connection = psycopg.connect(url, connect_timeout=10, autocommit=True)
    except psycopg.OperationalError as error:
        return [*findings, broken(f"The database does not answer ({' '.join(str(error).split())}). {_ask(cluster)}")]
    with connection:
        findings += [*_server(connection), *_durability(connection, cluster)]
        findings += _clock_of(connection)
        if settings.database.owner_url is None:
            findings.append(
                note(
                    "HUB_OWNER_URL is not set: roles, migrations and leakproof marks are not for the login role to see."
                )
            )
        else:
            login = urlsplit(settings.database.database_url or "").username or ""
            findings += [*_migrations(settings.database.owner_url), *_login(connection, login), *_leakproof(connection)]
    return findings


# -- the machine -------------------------------------------------------------------------------------------------------


def _libraries() -> Iterator[Finding]:
    for name, floor in LIBRARIES.items():
        try:
            there = version(name)
        except PackageNotFoundError:
            continue
        if _numbers(there) < _numbers(floor):
            yield broken(
                f"{name} is {there}; below {floor} it has known holes. Run `make up`, which installs the locked one."
            )
        else:
            yield fine(f"{name} is {there}, {floor} is the least.")


def _clock() -> Iterator[Finding]:
    now = datetime.now(UTC)
    made = datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC)
    if now < made:
        yield broken(
            f"The clock says {now:%Y-%m-%d %H:%M} UTC, before this copy of the hub was made ({made:%Y-%m-%d}). "
            "Set it: `timedatectl set-ntp true`."
        )
    elif _kernel_says_adrift():
        yield note(
            f"The clock says {now:%Y-%m-%d %H:%M} UTC, and nothing keeps it right. "
            "Times of reports depend on it: `timedatectl set-ntp true`."
        )
    else:
        yield fine(f"The clock says {now:%Y-%m-%d %H:%M} UTC.")


def _kernel_says_adrift() -> bool:
    """Linux knows whether a time service steers its clock; others are taken at their word."""
    if sys.platform != "linux":
        return False
    time_error = 5
    # Only the answer's code matters; the kernel fills a struct of 208 bytes, and its first word 0 asks for nothing.
    return ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)) == time_error


def _disk(folder: Path, where: str) -> Iterator[Finding]:
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    share, free = 100 * usage.free // usage.total, usage.free // 1024**2
    sentence = f"{free:,} MB ({share} %) are free at {folder}"
    if free < 300:
        yield broken(f"Only {sentence}: PostgreSQL stops when it is full. Free some space.")
    elif share < 10 and free < 10_000:
        yield note(f"{sentence}: readiness asks for 10 %. Free some space before long.")
    else:
        yield fine(f"{sentence}.")


# -- the database ------------------------------------------------------------------------------------------------------


def _server(connection: psycopg.Connection) -> Iterator[Finding]:
    number = connection.info.server_version
    major, minor = number // 10000, number % 10000
    if not OLDEST <= major <= NEWEST:
        yield broken(f"PostgreSQL is {major}.{minor}; the hub runs on {OLDEST} to {NEWEST}.")
    elif minor < MINORS[major]:
        yield note(
            f"PostgreSQL is {major}.{minor}; {major}.{MINORS[major]} closed holes. "
            "Upgrade the package (`apt-get install --only-upgrade postgresql`), then restart the hub."
        )
    else:
        yield fine(f"PostgreSQL is {major}.{minor}.")
    postgis = _one(connection, "select extversion from pg_extension where extname = 'postgis'")
    if postgis is None:
        yield broken("PostGIS is not in the database: `hub migrate` brings it, given its packages and a superuser.")
    else:
        yield fine(f"PostGIS is {postgis}.")


def _durability(connection: psycopg.Connection, cluster: Cluster | None) -> Iterator[Finding]:
    for name, wanted in SAFE.items():
        found = _one(connection, "select current_setting(%s, true)", name)
        if found == wanted:
            yield fine(f"{name} is {wanted}.")
        elif name == "wal_level":
            yield note(
                f"wal_level is {found}: exchange between hubs will need `logical` and a restart of the database."
            )
        elif name == "data_checksums":
            yield note(
                "Data checksums are off: a rotten disk goes unseen. Stop the database and run `pg_checksums --enable`."
            )
        else:
            where = (
                f"Remove it from {cluster.data}/postgresql.conf and postgresql.auto.conf"
                if cluster
                else "Change it there"
            )
            yield broken(f"{name} is {found}, so an acknowledged report may be lost. {where} and restart.")


def _clock_of(connection: psycopg.Connection) -> Iterator[Finding]:
    theirs = _one(connection, "select extract(epoch from clock_timestamp())")
    apart = abs(float(str(theirs)) - datetime.now(UTC).timestamp())
    if apart > 1:
        yield broken(f"The database's clock and this machine's are {apart:.0f} s apart: set both by a time service.")


def _migrations(owner_url: str) -> Iterator[Finding]:
    from hub.database.migrate import pending

    missing = pending(owner_url)
    if missing:
        yield broken(f"Migrations are missing: {', '.join(missing)}. Run `hub migrate`.")
    else:
        yield fine("All migrations are in.")


def _login(connection: psycopg.Connection, login: str) -> Iterator[Finding]:
    row = connection.execute(
        "select rolinherit, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, "
        "(select count(*) from pg_shdepend where refclassid = 'pg_authid'::regclass and refobjid = r.oid "
        " and deptype = 'o') from pg_roles r where rolname = %s",
        (login,),
    ).fetchone()
    if row is None:
        yield broken(f"The role {login} is missing: run `hub migrate`.")
        return
    marks = ("inherit", "superuser", "bypassrls", "createrole", "createdb", "replication")
    wrong = [mark for mark, has in zip(marks, row, strict=False) if has]
    if wrong:
        # Each of these lets the hub see rows that its policies hide, in silence.
        yield broken(
            f"The role {login} is {', '.join(wrong)}: it would see what policies hide. "
            f"As a superuser: alter role {login} {' '.join(f'no{mark}' for mark in wrong)}"
        )
    if row[-1]:
        yield broken(
            f"The role {login} owns {row[-1]} objects, and owners may change policies. "
            f"As a superuser, in each database: reassign owned by {login} to current_user"
        )
    if not wrong and not row[-1]:
        yield fine(f"The role {login} inherits nothing, owns nothing and bypasses nothing.")


def _leakproof(connection: psycopg.Connection) -> Iterator[Finding]:
    found = connection.execute(
        "select distinct p.proname from pg_proc p join pg_depend d on d.objid = p.oid and d.deptype = 'e' "
        "join pg_extension e on e.oid = d.refobjid and e.extname = 'postgis' "
        "where p.proleakproof and p.proname = any(%s)",
        (list(LEAKPROOF),),
    ).fetchall()
    if found:
        yield fine(
            f"Leakproof: {', '.join(sorted(name for (name,) in found))}. Spatial indexes work under every policy."
        )
    else:
        yield note(
            "PostGIS's box operators are not marked leakproof (that needs a superuser): "
            "searches in a box are slower for callers whose rights end at an area, and right all the same."
        )


# -- small print -------------------------------------------------------------------------------------------------------


def _one(connection: psycopg.Connection, question: LiteralString, *values: str) -> object:
    row = connection.execute(question, values).fetchone()
    return row[0] if row else None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _ask(cluster: Cluster | None) -> str:
    return f"Look into {cluster.log}." if cluster else "Check HUB_DATABASE_URL and HUB_OWNER_URL, and that it runs."
