"""Backups of the private cluster with PostgreSQL's own tools, and the way back to any second of them.

A backup folder holds `base-20261128T060000Z` folders (pg_basebackup, looked at by pg_verifybackup) and `wal`, to which
pg_receivewal writes the log as it comes. A restore copies the newest base before the wanted time into a new home, where
PostgreSQL replays the log up to it. Photos, keys and the journal are in the database, and so in the backup.

The restored database is on a timeline of its own: the hub gives it a new epoch, and cursors from the lost future are
answered with RESYNC.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import psycopg

from hub.database.embedded import Account, Cluster, give
from hub.database.installations import ClusterFailed, Installation, fitting

SKIPPED: Final = 1_000
"""Numbers of references that a restored hub leaves out in each series: people may hold some of the lost future's."""

SLOT: Final = "hub_backup"
"""The server keeps the log that the receiver has not had yet, up to 2 GB."""

_STAMP: Final = "%Y%m%dT%H%M%SZ"
_NOTE: Final = "hub-backup.json"

Say = Callable[[str], None]


class BackupFailed(ClusterFailed):
    """A backup or a restore could not be made; the sentence says why, and nothing is half there."""


@dataclass(frozen=True)
class Base:
    """A whole copy of the cluster."""

    folder: Path
    began: datetime
    ended: datetime
    """From here on its log leads to any later second."""
    first_wal: str


def bases(folder: Path) -> list[Base]:
    """The copies in a backup folder, oldest first; what was interrupted is none."""
    found = []
    for each in sorted(folder.glob("base-*")):
        with_note = each / _NOTE
        if with_note.exists():
            told = json.loads(with_note.read_text())
            began, ended = (datetime.fromisoformat(told[name]) for name in ("began", "ended"))
            found.append(Base(each, began, ended, told["first_wal"]))
    return found


# -- taking ------------------------------------------------------------------------------------------------------------


def take(cluster: Cluster, folder: Path, keep_days: int, say: Say) -> Base:
    """A whole copy of the running cluster, verified; copies older than `keep_days` go, but for what restores need.
    Raises BackupFailed."""
    installation = _installation(cluster)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(folder):
        return _take(installation, cluster, folder, keep_days, say)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One copy at a time: a second one would take the first for what an interrupted one left. Raises BackupFailed."""
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise BackupFailed(f"Another `hub backup` is copying into {folder}: wait for it.") from None
    else:
        yield
    finally:
        os.close(held)


def _take(installation: Installation, cluster: Cluster, folder: Path, keep_days: int, say: Say) -> Base:
    for left in folder.glob("partial-*"):
        say(f"{left.name} was interrupted: it goes.")
        shutil.rmtree(left)
    began = datetime.now(UTC)
    partial = folder / f"partial-{began:{_STAMP}}"
    _run(
        installation, "pg_basebackup", f"--dbname={cluster.url(cluster.OWNER, 'postgres')}", f"--pgdata={partial}",
        "--wal-method=stream", "--checkpoint=fast", "--manifest-checksums=SHA256", f"--label=hub {began:{_STAMP}}",
    )  # fmt: skip
    _run(installation, "pg_verifybackup", "--quiet", str(partial))
    label = (partial / "backup_label").read_text()
    first = re.search(r"START WAL LOCATION: \S+ \(file (\w+)\)", label)
    if first is None:
        raise BackupFailed("The copy has no backup_label that says where its log begins.")
    ended = datetime.now(UTC)
    told = {"began": began.isoformat(), "ended": ended.isoformat(), "first_wal": first[1]}
    (partial / _NOTE).write_text(json.dumps(told))
    whole = folder / f"base-{began:{_STAMP}}"
    partial.rename(whole)
    size = sum(file.stat().st_size for file in whole.rglob("*") if file.is_file())
    say(f"{whole.name}: {size / 1e6:,.0f} MB, verified, in {(ended - began).total_seconds():.1f} s")
    _prune(installation, folder, keep_days, say)
    return Base(whole, began, ended, first[1])


def _prune(installation: Installation, folder: Path, keep_days: int, say: Say) -> None:
    """Copies that no second of the last `keep_days` needs, and the log before the oldest that stays."""
    every = bases(folder)
    edge = datetime.now(UTC) - timedelta(days=keep_days)
    # The newest before the edge stays: seconds after the edge are reached from it.
    before = [base for base in every if base.ended < edge]
    for base in before[:-1]:
        shutil.rmtree(base.folder)
        say(f"{base.folder.name} is older than {keep_days} days: it went.")
    kept = bases(folder)
    if kept and (folder / "wal").is_dir():
        _run(installation, "pg_archivecleanup", str(folder / "wal"), kept[0].first_wal)


def follow(cluster: Cluster, folder: Path, say: Say) -> int:
    """Receive the log into the folder as it comes, until told to stop. The exit code of pg_receivewal."""
    installation = _installation(cluster)
    wal = folder / "wal"
    wal.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = f"--dbname={cluster.url(cluster.OWNER, 'postgres')}"
    _run(installation, "pg_receivewal", place, f"--slot={SLOT}", "--create-slot", "--if-not-exists")
    receiver = subprocess.Popen(
        [installation.programs / "pg_receivewal", place, f"--slot={SLOT}", f"--directory={wal}", "--synchronous"]
    )

    def pass_on(number: int, _: object) -> None:
        receiver.send_signal(signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    say(f"The log is received into {wal}.")
    return receiver.wait()


# -- the way back ------------------------------------------------------------------------------------------------------


def restore(folder: Path, home: Path, to: datetime | None, say: Say) -> datetime:
    """A new home with the cluster as it was at a time; without one, as late as the log goes. When its last change was.
    Raises BackupFailed, and leaves no home behind that is half made."""
    every = bases(folder)
    if not every:
        raise BackupFailed(f"{folder} holds no copy: `hub backup {folder}` makes one.")
    fitting_ones = [base for base in every if to is None or base.ended <= to]
    if not fitting_ones:
        raise BackupFailed(f"--to lies before the oldest copy, which ended at {every[0].ended.isoformat()}.")
    if to is not None and to > datetime.now(UTC):
        raise BackupFailed("--to lies in the future.")
    base = fitting_ones[-1]
    cluster = Cluster(home, say)
    if home.exists() and any(each.name not in ("README", "lock") for each in home.iterdir()):
        raise BackupFailed(f"{home} is not empty: a restore makes a new home, and replaces none.")
    cluster.lock()
    account = Account.for_home(home)
    data, wal = cluster.data, cluster.home / "restored-wal"
    try:
        say(f"Copying {base.folder.name} …")
        shutil.copytree(base.folder, data, ignore=shutil.ignore_patterns(_NOTE))
        wal.mkdir(mode=0o700)
        for file in sorted((folder / "wal").glob("*")) if (folder / "wal").is_dir() else []:
            # What the receiver had not finished is the last of it.
            shutil.copyfile(file, wal / file.name.removesuffix(".partial"))
        (data / "recovery.signal").touch()
        target = f"recovery_target_time = '{to.astimezone(UTC).isoformat()}'\n" if to else ""
        with (data / "postgresql.auto.conf").open("a") as settings:
            settings.write(
                f"\nrestore_command = 'cp \"{wal}/%f\" \"%p\"'\nrecovery_target_action = 'promote'\n{target}"
            )
        data.chmod(0o700)
        for place in (data, wal):
            give(place, account)
            for each in place.rglob("*"):
                give(each, account)
        say("Replaying the log …")
        cluster.start()
        with _connected(cluster) as connection:
            last = _promoted(connection)
            for name in ("restore_command", "recovery_target_action", *(["recovery_target_time"] if to else [])):
                connection.execute(f"alter system reset {name}".encode())
            # The log of the lost future must not hold this one back.
            connection.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active")
        _skip(cluster)
        shutil.rmtree(wal)
    except BaseException as error:
        cluster.stop()
        for place in (data, wal):
            shutil.rmtree(place, ignore_errors=True)
        if isinstance(error, ClusterFailed) and "recovery ended before configured recovery target" in str(error):
            raise BackupFailed("--to lies beyond the end of the log that was received. Nothing was restored.") from None
        raise
    cluster.stop()
    return last


def _connected(cluster: Cluster) -> psycopg.Connection:
    """A connection to a server that has just come up: between replay and promotion it may refuse for a moment."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return psycopg.connect(cluster.url(cluster.OWNER, "postgres"), autocommit=True)
        except psycopg.OperationalError:
            if cluster.process is None or cluster.process.poll() is not None:
                raise BackupFailed(f"PostgreSQL ended while it replayed the log:\n{cluster.last_lines()}") from None
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _skip(cluster: Cluster) -> None:
    """Go on beyond the references that may have been given after the restored time."""
    if not cluster.has_database("hub"):
        return
    with psycopg.connect(cluster.url(cluster.OWNER)) as connection:
        if connection.execute("select to_regclass('reference_numbers')").fetchone() != (None,):
            connection.execute("update reference_numbers set last = last + %s", (SKIPPED,))


def _promoted(connection: psycopg.Connection) -> datetime:
    """Wait until the replay is over; the time of the last change that it brought."""
    last = None
    while True:
        row = connection.execute("select pg_is_in_recovery(), pg_last_xact_replay_timestamp()").fetchone()
        assert row is not None
        last = row[1] or last
        if not row[0]:
            return last or datetime.now(UTC)
        time.sleep(0.1)


def _installation(cluster: Cluster) -> Installation:
    return fitting(cluster.major(), cluster.data)


def _run(installation: Installation, program: str, *arguments: str) -> None:
    """One of PostgreSQL's own programs, to its end. Raises BackupFailed with what it says."""
    command = [str(installation.programs / program), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    if ran.returncode != 0:
        raise BackupFailed(f"{program} failed: {' '.join((ran.stderr or ran.stdout).split())[:500]}")
