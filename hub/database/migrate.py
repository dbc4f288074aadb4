"""Brings a database up to date: migrations, then the access table, then the role that the hub logs in as.

A migration is a file of SQL in `migrations/`, run once, in its own transaction, in the order of the names; Alembic runs
them and keeps the newest one's name. Nothing is generated from the declared tables: a test proves both equal.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import sqlalchemy
from alembic.runtime.migration import MigrationContext, MigrationInfo, MigrationStep
from alembic.script import Script
from alembic.script.revision import RevisionMap
from psycopg import errors

from hub.database import ground
from hub.database.ground import OWNER, MigrationFailed, Say
from hub.database.policies import listed, rendered
from schema.access import ACCESS, Access, Scope

__all__ = ["MigrationFailed", "migrate", "pending"]

FOLDER = Path(__file__).parent / "migrations"

ACCESS_STEP = "access"
"""What the log calls an application of schema/access.py."""

_LOCK = 0x6B69_7375_6D75  # "kisumu": the advisory lock that one migration of a database at a time holds
_WAIT_SECONDS = 300
_LOCK_TIMEOUT = "2s"
_TRIES = 10


@dataclass(frozen=True)
class Migration:
    """One file: `0001_areas.sql`."""

    name: str
    text: str
    path: Path

    @property
    def digest(self) -> str:
        return _digest(self.text)


def migrations(folder: Path = FOLDER) -> list[Migration]:
    """Every migration in the order of their numbers."""
    return [Migration(path.stem, path.read_text("utf-8"), path) for path in sorted(folder.glob("[0-9]*.sql"))]


def migrate(
    owner_url: str,
    login_url: str,
    say: Say = lambda sentence: None,
    *,
    folder: Path = FOLDER,
    access: Access = ACCESS,
) -> None:
    """Bring the database up to date; changes nothing where it is. Safe to interrupt, to repeat and to run at once."""
    with _connected(owner_url) as connection, _alone(connection, say):
        ground.check_server(connection)
        ground.make_extensions(connection)
        ground.make_roles(connection)
        ground.open_schema(connection)
        done = _migrate(connection, migrations(folder), say)
        _check_journal(connection)
        _apply_access(connection, access, say, again=bool(done))
        ground.mark_leakproof(connection, say)
        ground.make_login(connection, login_url)


def pending(url: str, *, folder: Path = FOLDER, access: Access = ACCESS) -> list[str]:
    """Steps that `migrate` would run, as names; empty when the database is up to date. The hub's login may ask."""
    steps = [(one.name, one.digest) for one in migrations(folder)]
    steps.append((ACCESS_STEP, _digest(rendered(access))))
    with _connected(url) as connection:
        applied = _applied(connection)
    return [name for name, digest in steps if name not in applied or (name == ACCESS_STEP and applied[name] != digest)]


def _migrate(connection: psycopg.Connection, every: Sequence[Migration], say: Say) -> list[str]:
    applied = _applied(connection)
    for one in every:
        if applied.get(one.name, one.digest) != one.digest:
            raise MigrationFailed(
                f"{one.path.name} was edited after it had run on this database. A migration that has run stays as it "
                "is: put the change into a new one."
            )
    if newer := sorted(applied.keys() - {one.name for one in every} - {ACCESS_STEP}):
        raise MigrationFailed(
            f"The database is newer than this hub: it has {', '.join(newer)}, which this version does not know. "
            "Run the version of the hub that made it, or a later one."
        )
    if all(one.name in applied for one in every):
        return []
    done: list[str] = []
    for attempt in range(1, _TRIES + 1):
        try:
            _run(connection, every, say, done)
        except sqlalchemy.exc.OperationalError as error:
            # Waiting longer would make everybody behind us wait too: let them pass, then ask again.
            if not isinstance(error.orig, errors.LockNotAvailable) or attempt == _TRIES:
                raise MigrationFailed(_why(error)) from error
            say(f"The tables are in use; trying again ({attempt} of {_TRIES}).")
            time.sleep(random.uniform(0.1, 0.3) * attempt)  # noqa: S311
        except sqlalchemy.exc.DBAPIError as error:
            raise MigrationFailed(_why(error)) from error
        else:
            break
    return done


def _run(connection: psycopg.Connection, every: Sequence[Migration], say: Say, done: list[str]) -> None:
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: connection, poolclass=sqlalchemy.pool.StaticPool
    )
    connection.execute(f"set role {OWNER}")
    # SQLAlchemy drives the transactions from here on; everything else in this file says itself where they begin.
    connection.autocommit = False
    try:
        with engine.connect() as through:
            steps = _scripts(every, through)

            def to_run(heads: tuple[str, ...], _: MigrationContext) -> Iterator[MigrationStep]:
                for script in reversed(list(steps.iterate_revisions("heads", heads or "base"))):
                    say(f"Migration {script.revision}")
                    yield MigrationStep.upgrade_from_script(steps, script)  # type: ignore[arg-type]

            def log(*, step: MigrationInfo, **_: Any) -> None:
                name = str(step.up_revision_id)
                digest = next(one.digest for one in every if one.name == name)
                through.execute(
                    sqlalchemy.text("insert into migration_log (step, digest) values (:step, :digest)"),
                    {"step": name, "digest": digest},
                )
                done.append(name)

            context = MigrationContext.configure(
                through,
                opts={
                    "fn": to_run,
                    "version_table": "migrations",
                    "transaction_per_migration": True,
                    "on_version_apply": (log,),
                },
            )
            with context.begin_transaction():
                context.run_migrations()
    finally:
        connection.rollback()
        connection.autocommit = True
        connection.execute("reset role")


def _scripts(every: Sequence[Migration], through: sqlalchemy.Connection) -> RevisionMap:
    """The files as Alembic knows revisions: each follows the one before it."""
    scripts: list[Script] = []
    for one in every:
        module = ModuleType(one.name)
        module.down_revision = scripts[-1].revision if scripts else None  # type: ignore[attr-defined]

        def upgrade(text: str = one.text) -> None:
            through.exec_driver_sql(f"set local lock_timeout = '{_LOCK_TIMEOUT}'")
            # Without parameters the driver sends the text as it is: several statements, percent signs and all.
            through.execution_options(no_parameters=True).exec_driver_sql(text)

        module.upgrade = upgrade  # type: ignore[attr-defined]
        scripts.append(Script(module, one.name, one.path))
    return RevisionMap(lambda: scripts)


def _check_journal(connection: psycopg.Connection) -> None:
    """A column that nobody put into the journal would be missing from the history for ever: say so at once."""
    there = connection.execute("select to_regprocedure('public.unjournalled()') is not null").fetchone()
    if there != (True,):
        return
    with connection.transaction():
        connection.execute(f"set local role {OWNER}")
        unsaid = connection.execute("select tbl || '.' || col from unjournalled()").fetchall()
    if unsaid:
        raise MigrationFailed(
            f"Nobody said whether the journal holds {', '.join(name for (name,) in unsaid)}: after adding a column, a "
            "migration calls journal_table() again."
        )


def _apply_access(connection: psycopg.Connection, access: Access, say: Say, *, again: bool) -> None:
    """Grants and policies, when the table changed since or a migration ran: new tables come without any."""
    text = rendered(access)
    if not again and _applied(connection).get(ACCESS_STEP) == _digest(text):
        return
    there = {
        name
        for (name,) in connection.execute(
            "select relname from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v') "
            "and not relispartition and not exists "
            "(select from pg_depend where classid = 'pg_class'::regclass and objid = c.oid and deptype = 'e')"
        )
    }
    if forgotten := there - listed(access):
        raise MigrationFailed(
            f"Nobody said who may read {', '.join(sorted(forgotten))}: schema/access.py must name them."
        )
    if absent := listed(access) - there:
        raise MigrationFailed(f"schema/access.py names tables that no migration makes: {', '.join(sorted(absent))}.")
    say("Access: who may read and write what")
    for attempt in range(1, _TRIES + 1):
        try:
            with connection.transaction():
                connection.execute(f"set local role {OWNER}")
                connection.execute(f"set local lock_timeout = '{_LOCK_TIMEOUT}'")
                connection.execute(text.encode())
                connection.execute(
                    "insert into migration_log (step, digest) values (%s, %s)", (ACCESS_STEP, _digest(text))
                )
        except errors.LockNotAvailable as error:
            if attempt == _TRIES:
                raise MigrationFailed(f"The tables stay in use, so that policies cannot be changed: {error}") from error
            time.sleep(random.uniform(0.1, 0.3) * attempt)  # noqa: S311
        else:
            return


def _applied(connection: psycopg.Connection) -> dict[str, str]:
    """Digest by step, of the last time that each ran; empty for a database that was never migrated."""
    logged = "select 1 from pg_class where relname = 'migration_log' and relnamespace = 'public'::regnamespace"
    if connection.execute(logged).fetchone() is None:
        return {}
    # Row security is forced: the owner reads as the owner, the hub's login in the public's name.
    reader = next((role for role in (OWNER, Scope.PUBLIC) if ground.may_become(connection, role)), None)
    try:
        with connection.transaction():
            if reader is not None:
                connection.execute(f"set local role {reader}")
            return dict(connection.execute("select step, digest from migration_log order by entry").fetchall())
    except errors.InsufficientPrivilege:
        # Stopped between the migrations and the access table: until that is in, only the owner can tell.
        return {}


@contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection]:
    try:
        connection = psycopg.connect(url, autocommit=True, application_name="hub migrate")
    except psycopg.OperationalError as error:
        raise MigrationFailed(f"The database does not answer: {str(error).strip()}") from error
    with connection:
        # Where the system can tell, a statement ends soon after whoever waited for it was killed: else its locks would
        # keep the next try waiting.
        with suppress(psycopg.Error):
            connection.execute("set client_connection_check_interval = '1s'")
        yield connection


@contextmanager
def _alone(connection: psycopg.Connection, say: Say) -> Iterator[None]:
    """One migration of a database at a time; a second waits. The lock dies with the connection: none is left behind."""
    until = time.monotonic() + _WAIT_SECONDS
    waited = False
    while not connection.execute("select pg_try_advisory_lock(%s)", (_LOCK,)).fetchall()[0][0]:
        if time.monotonic() > until:
            raise MigrationFailed(
                f"Another migration of this database has been running for {_WAIT_SECONDS} s: look at it."
            )
        if not waited:
            say("Another migration of this database is running; waiting for it.")
            waited = True
        time.sleep(0.1)
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            connection.execute("select pg_advisory_unlock(%s)", (_LOCK,))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _why(error: sqlalchemy.exc.DBAPIError) -> str:
    return f"A migration failed and left nothing behind: {str(error.orig).strip()}"
