"""A database comes up to date from any state, and says what is wrong where it cannot."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import ForeignKeyConstraint, UniqueConstraint

from hub.database import ground
from hub.database.embedded import Cluster
from hub.database.migrate import FOLDER, MigrationFailed, migrate, pending
from schema import api, journal
from schema.access import ACCESS, Noun
from schema.compiler.mapping import metadata

if TYPE_CHECKING:
    from tests.conftest import County

BOOKKEEPING = {"migrations", "migration_log"}
"""The runner's own tables: no domain declares them."""

VIEWS = {name for name, table in metadata.tables.items() if table.info.get("view")}

EVERY_STEP = [path.stem for path in sorted(FOLDER.glob("*.sql"))] + ["access"]

assert api  # importing them is what fills the metadata
assert journal


@pytest.fixture
def folder() -> Iterator[Path]:
    """A copy of the migrations to add to."""
    with tempfile.TemporaryDirectory() as place:
        for path in FOLDER.glob("*.sql"):
            (Path(place) / path.name).write_text(path.read_text())
        yield Path(place)


def ask(url: str, question: str, *values: object) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(question.encode(), values or None).fetchall()


def steps(county: County) -> list[object]:
    return [step for (step,) in ask(county.owner_url, "select step from migration_log order by entry")]


# -- migrations equal the declared tables ------------------------------------------------------------------------------


def test_every_declared_table_is_made_and_no_other(database: County) -> None:
    made = ask(
        database.owner_url,
        "select relname from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') "
        "and not relispartition and not exists (select from pg_depend where objid = c.oid and deptype = 'e')",
    )
    assert {name for (name,) in made} == set(metadata.tables) - VIEWS | BOOKKEEPING
    viewed = (
        "select relname from pg_class c where relnamespace = 'public'::regnamespace and relkind = 'v' and not exists "
    )
    viewed += "(select from pg_depend where objid = c.oid and deptype = 'e')"
    assert {name for (name,) in ask(database.owner_url, viewed)} == VIEWS


@pytest.mark.parametrize("name", sorted(metadata.tables))
def test_columns_equal_the_declared_ones(database: County, name: str) -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    declared = [
        (
            column.name,
            column.type.compile(dialect).lower(),
            not column.nullable,
            str(column.computed.sqltext) if column.computed is not None else None,
            str(column.server_default.arg)  # type: ignore[attr-defined]
            if column.server_default is not None and column.computed is None and column.identity is None
            else None,
        )
        for column in metadata.tables[name].columns
    ]
    made = ask(
        database.owner_url,
        """
        select attname, lower(format_type(atttypid, atttypmod)), attnotnull,
          case when attgenerated = 's' then pg_get_expr(adbin, adrelid) end,
          case when attgenerated = '' then replace(pg_get_expr(adbin, adrelid), 'public.', '') end
        from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
        where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum
        """,
        name,
    )
    if name in VIEWS:  # whose columns say nothing of nulls
        assert [row[:2] for row in made] == [row[:2] for row in declared]
        return
    assert made == declared


@pytest.mark.parametrize("name", sorted(set(metadata.tables) - VIEWS))
def test_keys_equal_the_declared_ones(database: County, name: str) -> None:
    table = metadata.tables[name]
    declared = {("p", tuple(column.name for column in table.primary_key), None, (), None)}
    for constraint in table.constraints:
        columns = tuple(column.name for column in constraint.columns) if hasattr(constraint, "columns") else ()
        if isinstance(constraint, UniqueConstraint):
            declared.add(("u", columns, None, (), None))
        elif isinstance(constraint, ForeignKeyConstraint):
            (element,) = constraint.elements
            target = element.column
            declared.add(("f", columns, target.table.name, (target.name,), constraint.ondelete))
    made = ask(
        database.owner_url,
        """
        select contype::text,
          array(select attname::text from unnest(conkey) with ordinality k (n, i)
                join pg_attribute on attrelid = conrelid and attnum = n order by i),
          (select relname from pg_class where oid = confrelid),
          array(select attname::text from unnest(confkey) with ordinality k (n, i)
                join pg_attribute on attrelid = confrelid and attnum = n order by i),
          case when contype = 'f' then
            case confdeltype when 'r' then 'restrict' when 'c' then 'cascade' when 'n' then 'set null' else 'other' end
          end
        from pg_constraint where conrelid = %s::regclass and contype in ('p', 'u', 'f')
        """,
        name,
    )
    assert {
        (kind, tuple(columns), target, tuple(keys), on_delete)  # type: ignore[arg-type]
        for kind, columns, target, keys, on_delete in made
    } == declared


# -- again, interrupted, at once ---------------------------------------------------------------------------------------

CATALOGS = (
    "pg_class",
    "pg_attribute",
    "pg_constraint",
    "pg_policy",
    "pg_proc",
    "pg_trigger",
    "pg_namespace",
    "pg_extension",
    "pg_default_acl",
    "pg_index",
    "pg_description",
)


def catalog_rows(county: County) -> list[tuple[object, ...]]:
    """How many rows the catalogs have and which transaction wrote the latest: a change of anything shows."""
    wrote = " union all ".join(f"select '{name}', count(*), max(xmin::text::bigint) from {name}" for name in CATALOGS)
    return ask(county.owner_url, wrote)


def test_running_twice_changes_nothing(fresh_database: County) -> None:
    before = catalog_rows(fresh_database), steps(fresh_database)
    said: list[str] = []
    migrate(fresh_database.owner_url, fresh_database.login_url, said.append)
    assert (catalog_rows(fresh_database), steps(fresh_database)) == before
    assert said == []


def test_a_killed_migration_leaves_nothing_and_runs_again(fresh_database: County, folder: Path) -> None:
    slow = folder / "9999_slow.sql"
    slow.write_text("create table half (id uuid primary key);\nselect pg_sleep(60);")
    call = "import sys; from pathlib import Path; from hub.database.migrate import migrate; "
    call += "migrate(sys.argv[1], sys.argv[2], folder=Path(sys.argv[3]))"
    runs = subprocess.Popen(
        [sys.executable, "-c", call, fresh_database.owner_url, fresh_database.login_url, str(folder)]
    )
    asleep = "select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'"
    until = time.monotonic() + 20
    while not ask(fresh_database.owner_url, asleep):
        assert time.monotonic() < until
        assert runs.poll() is None
        time.sleep(0.05)
    runs.kill()
    runs.wait()

    slow.write_text("create table half (id uuid primary key);\ncall guard_table('half');")
    assert pending(fresh_database.login_url, folder=folder) == ["9999_slow"]
    started = time.monotonic()
    access = replace(ACCESS, nouns={**ACCESS.nouns, "halves": Noun(("half",))})
    migrate(fresh_database.owner_url, fresh_database.login_url, folder=folder, access=access)
    # The killed one's statement would have slept on, with its locks, had nobody told it that nobody waits.
    assert time.monotonic() - started < 10
    assert pending(fresh_database.login_url, folder=folder, access=access) == []


def test_a_migration_with_an_error_leaves_nothing(fresh_database: County, folder: Path) -> None:
    before = catalog_rows(fresh_database)
    (folder / "9999_wrong.sql").write_text("create table half (id uuid primary key);\nselect 1 / 0;")
    with pytest.raises(MigrationFailed, match="left nothing behind: division by zero"):
        migrate(fresh_database.owner_url, fresh_database.login_url, folder=folder)
    assert [row[:2] for row in catalog_rows(fresh_database)] == [row[:2] for row in before]


def test_two_migrations_at_once_do_the_work_once(empty_database: County) -> None:
    with ThreadPoolExecutor() as pool:
        for run in [pool.submit(migrate, empty_database.owner_url, empty_database.login_url) for _ in range(3)]:
            run.result()
    assert steps(empty_database) == EVERY_STEP


def test_two_databases_of_a_young_cluster_at_once() -> None:
    # The roles belong to the cluster: both migrations want to make them.
    with tempfile.TemporaryDirectory(prefix="hub-test-") as place:
        Path(place).chmod(0o711)
        with Cluster(Path(place) / "home") as cluster, ThreadPoolExecutor() as pool:
            names = ("one", "two", "three")
            for name in names:
                cluster.create_database(name)
            gate = threading.Barrier(len(names))

            def run(name: str) -> None:
                gate.wait()
                migrate(cluster.url(cluster.OWNER, name), cluster.url(cluster.LOGIN, name))

            for done in [pool.submit(run, name) for name in names]:
                done.result()
            assert [pending(cluster.url(cluster.LOGIN, name)) for name in names] == [[], [], []]


def test_waits_for_readers_in_short_turns(fresh_database: County, folder: Path) -> None:
    (folder / "9999_wider.sql").write_text("alter table wards add column wide integer;")
    said: list[str] = []
    with psycopg.connect(fresh_database.owner_url) as reader:
        reader.execute("select from wards")
        with ThreadPoolExecutor() as pool:
            run = pool.submit(migrate, fresh_database.owner_url, fresh_database.login_url, said.append, folder=folder)
            until = time.monotonic() + 10
            while not any("in use" in sentence for sentence in said):
                assert time.monotonic() < until
                time.sleep(0.05)
            reader.commit()
            run.result()
    assert pending(fresh_database.login_url, folder=folder) == []


# -- what the log is for -----------------------------------------------------------------------------------------------


def test_what_is_pending(empty_database: County, cluster: Cluster, template: str) -> None:
    assert pending(empty_database.owner_url) == EVERY_STEP
    assert pending(empty_database.login_url) == EVERY_STEP
    migrate(empty_database.owner_url, empty_database.login_url)
    assert pending(empty_database.owner_url) == pending(empty_database.login_url) == []


def test_a_changed_access_table_is_applied(fresh_database: County) -> None:
    closed = replace(
        ACCESS,
        roles={
            "public": replace(ACCESS.roles["public"], rights={"installation": ACCESS.right("public", "installation")})
        },
    )
    assert pending(fresh_database.login_url, access=closed) == ["access"]
    migrate(fresh_database.owner_url, fresh_database.login_url, access=closed)
    with psycopg.connect(fresh_database.login_url) as login:
        login.execute("set role hub_county")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            login.execute("select from wards")
    migrate(fresh_database.owner_url, fresh_database.login_url)
    with psycopg.connect(fresh_database.login_url) as login:
        login.execute("set role hub_county")
        assert len(login.execute("select from wards").fetchall()) == 35


def test_an_edited_migration_is_refused(fresh_database: County, folder: Path) -> None:
    with (folder / "0001_areas.sql").open("a") as file:
        file.write("-- better\n")
    with pytest.raises(MigrationFailed, match=r"0001_areas\.sql was edited after it had run"):
        migrate(fresh_database.owner_url, fresh_database.login_url, folder=folder)


def test_an_older_hub_leaves_a_newer_database_alone(fresh_database: County, folder: Path) -> None:
    (folder / "9999_next.sql").write_text("select 1;")
    migrate(fresh_database.owner_url, fresh_database.login_url, folder=folder)
    with pytest.raises(MigrationFailed, match="newer than this hub: it has 9999_next"):
        migrate(fresh_database.owner_url, fresh_database.login_url)


def test_a_table_that_nobody_thought_of_is_refused(fresh_database: County, folder: Path) -> None:
    (folder / "9999_forgotten.sql").write_text("create table forgotten (id uuid primary key);")
    with pytest.raises(MigrationFailed, match="Nobody said who may read forgotten"):
        migrate(fresh_database.owner_url, fresh_database.login_url, folder=folder)


def test_a_table_of_the_access_table_that_is_not_there_is_refused(fresh_database: County) -> None:
    access = replace(ACCESS, nouns={**ACCESS.nouns, "ghosts": Noun(("ghosts",))})
    with pytest.raises(MigrationFailed, match="no migration makes: ghosts"):
        migrate(fresh_database.owner_url, fresh_database.login_url, access=access)


# -- what cannot be migrated says why ----------------------------------------------------------------------------------


def test_no_database(cluster: Cluster) -> None:
    with pytest.raises(MigrationFailed, match=r'does not answer: .*"nowhere" does not exist'):
        migrate(cluster.url(cluster.OWNER, "nowhere"), cluster.url(cluster.LOGIN, "nowhere"))


def test_an_old_server(empty_database: County, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ground, "OLDEST", 990000)
    with pytest.raises(MigrationFailed, match="needs PostgreSQL 15 or newer; this server is 1"):
        migrate(empty_database.owner_url, empty_database.login_url)


def test_a_server_without_the_extension(empty_database: County, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ground, "EXTENSIONS", ("no_such_extension",))
    with pytest.raises(MigrationFailed, match="server lacks the extension no_such_extension: install"):
        migrate(empty_database.owner_url, empty_database.login_url)


def test_an_extension_in_another_schema(empty_database: County) -> None:
    with psycopg.connect(empty_database.owner_url) as connection:
        connection.execute("create schema elsewhere; create extension postgis schema elsewhere")
    with pytest.raises(MigrationFailed, match="installed in the schema elsewhere; the hub expects it in public"):
        migrate(empty_database.owner_url, empty_database.login_url)


@pytest.mark.parametrize(
    ("rights", "refusal"),
    [
        ("", "may not create the extension postgis"),
        ("extensions", "may not become hub_owner"),
        ("extensions, member", "lacks the right to run `revoke all on schema public|had no effect"),
    ],
)
def test_a_role_that_may_not(empty_database: County, template: str, rights: str, refusal: str) -> None:
    # The cluster lets only two names in; a session of the superuser that takes on a role has no more rights than it.
    name = f"limited_{empty_database.name[-12:]}"
    with psycopg.connect(empty_database.owner_url, autocommit=True) as connection:
        connection.execute(f"create role {name}")
        try:
            if "extensions" in rights:
                connection.execute("create extension postgis")
                connection.execute("create extension btree_gist")
            if "member" in rights:
                connection.execute(f"grant hub_owner to {name}")
            with pytest.raises(MigrationFailed, match=refusal):
                migrate(f"{empty_database.owner_url}&options=-c%20role%3D{name}", empty_database.login_url)
        finally:
            connection.execute(f"drop owned by {name}")
            connection.execute(f"drop role {name}")


def test_a_database_owner_who_is_no_superuser_may(empty_database: County, template: str) -> None:
    name = f"limited_{empty_database.name[-12:]}"
    with psycopg.connect(empty_database.owner_url, autocommit=True) as connection:
        connection.execute(f"create role {name} createrole")
        connection.execute(f"alter database {empty_database.name} owner to {name}")
        connection.execute("create extension postgis")
        connection.execute(f"grant hub_owner to {name}")
        said: list[str] = []
        url = f"{empty_database.owner_url}&options=-c%20role%3D{name}"
        try:
            migrate(url, empty_database.login_url, said.append)
            assert pending(empty_database.login_url) == pending(url) == []
            assert any("no superuser: spatial indexes stay unused" in sentence for sentence in said)
        finally:
            connection.execute(f"alter database {empty_database.name} owner to hub_admin")
            connection.execute(f"reassign owned by {name} to hub_admin")
            connection.execute(f"drop owned by {name}")
            connection.execute(f"drop role {name}")


# -- the role that the hub logs in as ----------------------------------------------------------------------------------


@pytest.fixture
def new_role(fresh_database: County) -> Iterator[str]:
    name = f"login_{fresh_database.name[-12:]}"
    yield name
    with psycopg.connect(fresh_database.owner_url, autocommit=True) as connection:
        connection.execute(f"drop owned by {name}")
        connection.execute(f"drop role {name}")


def as_role(county: County, name: str, password: str = "") -> str:
    return county.login_url.replace("hub_login@", f"{name}{':' + password if password else ''}@")


def test_the_login_is_made_with_its_password_and_its_scopes(fresh_database: County, new_role: str) -> None:
    migrate(fresh_database.owner_url, as_role(fresh_database, new_role, "s3cret%20word"))
    assert ask(
        fresh_database.owner_url,
        "select rolcanlogin, rolinherit, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication, "
        "left(rolpassword, 14) from pg_authid where rolname = %s",
        new_role,
    ) == [(True, False, False, False, False, False, False, "SCRAM-SHA-256$")]
    granted = "select roleid::regrole::text from pg_auth_members where member = %s::regrole order by 1"
    assert ask(fresh_database.owner_url, granted, new_role) == [
        ("hub_area",),
        ("hub_county",),
        ("hub_own",),
        ("hub_public",),
        ("hub_service",),
    ]


def test_a_login_that_inherits_is_set_right(fresh_database: County, new_role: str) -> None:
    ask_ = sql.SQL("create role {} login inherit").format(sql.Identifier(new_role))
    with psycopg.connect(fresh_database.owner_url) as connection:
        connection.execute(ask_)
    migrate(fresh_database.owner_url, as_role(fresh_database, new_role))
    assert ask(fresh_database.owner_url, "select rolinherit from pg_roles where rolname = %s", new_role) == [(False,)]


@pytest.mark.parametrize("might", ["superuser", "bypassrls", "createrole", "createdb", "replication"])
def test_a_mighty_login_is_refused(fresh_database: County, new_role: str, might: str) -> None:
    with psycopg.connect(fresh_database.owner_url) as connection:
        connection.execute(f"create role {new_role} login noinherit {might}")
    with pytest.raises(MigrationFailed, match=f"must not log in as {new_role}"):
        migrate(fresh_database.owner_url, as_role(fresh_database, new_role))


def test_a_login_with_other_memberships_is_refused(fresh_database: County, new_role: str) -> None:
    with psycopg.connect(fresh_database.owner_url) as connection:
        connection.execute(f"create role {new_role} login noinherit in role hub_owner")
    with pytest.raises(MigrationFailed, match="is a member of hub_owner"):
        migrate(fresh_database.owner_url, as_role(fresh_database, new_role))


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("hub_admin", "cannot log in as hub_admin"),
        ("hub_owner", "cannot log in as hub_owner"),
        ("hub_county", "cannot log in as hub_county"),
        ("hub_service", "cannot log in as hub_service"),
        ("hub_journal", "cannot log in as hub_journal"),
        ("", "names no role"),
    ],
)
def test_a_name_that_is_not_for_the_login(fresh_database: County, name: str, refusal: str) -> None:
    url = as_role(fresh_database, name) if name else fresh_database.login_url.replace("hub_login@", "")
    with pytest.raises(MigrationFailed, match=refusal):
        migrate(fresh_database.owner_url, url)
