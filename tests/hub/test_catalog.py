"""Rules that every object in the database keeps, whichever migration made it: read from PostgreSQL's own catalogs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import psycopg
import pytest

from hub.database.ground import JOURNAL, LEAKPROOF, OWNER
from schema.access import ACCESS, Reach, Right, Scope

if TYPE_CHECKING:
    from tests.conftest import County

OURS = "not exists (select from pg_depend d where d.objid = {}.oid and d.deptype = 'e')"
"""What extensions bring along is theirs."""

TABLES = f"pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and {OURS.format('c')}"

JOURNALS_HAND = {
    # Nobody may write into the journal: it adds the one entry that its caller, a trigger, has seen happen.
    "journal_write(text,uuid,text,jsonb,jsonb,uuid[],text,integer,timestamp with time zone)",
    # Writes a row as its entries say, which is no change to journal.
    "project(text,uuid)",
    # Does so for what comes from another hub.
    "journal_arrived()",
    # The one that may blank entries.
    "erase(text,uuid,jsonb)",
}
"""Functions that belong to the role whose writing is not journalled once more."""

TAKES_FIXES = (
    "take_fixes(uuid[],double precision[],double precision[],double precision[],"
    "real[],real[],real[],real[],real[],text[],jsonb[],uuid[],bytea,bigint)"
)

OPEN_TO_INTAKE = {
    TAKES_FIXES,
    "devices_by(bytea[])",
    "make_position_weeks(timestamp with time zone,timestamp with time zone)",
    "position_batches_after(bigint,bigint,integer)",
    "position_head()",
    "quarantine_fixes(uuid[],text[],jsonb[])",
    "ward_outlines()",
    "wards_stamp()",
}
"""Devices have no role: what they send is stored by these alone, and followed by the hub."""

SECURITY_DEFINERS = (
    JOURNALS_HAND
    | OPEN_TO_INTAKE
    | {
        # Versions are made from the journal by nobody else.
        "keep_version()",
        "move_versions()",
        # Keys of devices are nobody's to read: one is kept with the device that is made with it.
        "keep_device_key(uuid,bytea)",
        # That a table was written to is noted, whoever writes.
        "stamp()",
        # Nobody writes cursors and hashes but this.
        "seal(integer)",
        # Compares rows with entries of every noun, and tells ids only.
        "differences(text)",
        # Cursors are not for callers to read; these tell a reader where it stands, whatever it may see there.
        "journal_head()",
        "sealed_upto(uuid,bigint,integer)",
        "sealed_between(bigint,bigint)",
        # Keys of writes are between a caller and the hub: no scope reads or writes their table.
        "claim_write(text,bytea)",
        "settle_write(text,jsonb)",
        # A ward is looked up, and a number taken, whoever reports.
        "place_incident()",
        "number_incident()",
        "number_patrol()",
        # Nobody is on two patrols at once, whoever sees them.
        "muster_patrol()",
        # Small counts are nobody's to read, and published ones nobody's to write.
        "tally_incident()",
        # An incident's photos are counted, whoever adds one and whatever they see.
        "admit_photo()",
    }
)
"""Functions that run with their owner's rights. Each one is a door: it stands here with the reason why it must.

Beside them each journalled table has a trigger of its own that does: nobody may write into the journal, and no trigger
can be called."""

OPEN_TO_CALLERS = {"uuidv7()", "hub_node()"}
OPEN_TO_HISTORY = {"areas_on(date)", "latest_positions_on(timestamp with time zone,timestamp with time zone)"}
"""What was: read with the rights of who asks."""
OPEN_TO_FIGURES = OPEN_TO_HISTORY | {
    "cell_key(bigint,bigint)",
    "square_key(geometry,double precision)",
    "square_shape(bigint,double precision)",
    "hexagon_key(geometry,double precision)",
    "hexagon_shape(bigint,double precision)",
}
"""Cells of a grid: arithmetic."""
"""Functions that every scope role may call."""

OPEN_TO_ANSWERS = {
    "live_cursor()",
    # Worked out from rows that the caller sees.
    "coverage(geometry,geometry,geometry,geometry,double precision)",
    "driven(uuid,timestamp with time zone,timestamp with time zone)",
}
"""Functions for every scope that a caller comes in: what an answer says beside its rows."""

OPEN_TO_WRITERS = {"claim_write(text,bytea)", "settle_write(text,jsonb)"}
"""Functions for every scope that a caller comes in."""

OPEN_TO_READERS = {
    "conflicts(text,uuid)",
    "journal_after(uuid,bigint,integer)",
    "journal_head()",
    "sealed_between(bigint,bigint)",
    "sealed_upto(uuid,bigint,integer)",
}
"""Functions for scopes whose roles may hear of changes."""

OPEN_TO_THE_SERVICE = {
    "differences(text)",
    "erase(text,uuid,jsonb)",
    "rebuilt(text,uuid)",
    "seal(integer)",
    "sealing()",
}
"""Functions for the hub's own chores."""

OPEN_TABLES = sorted(
    table
    for name, noun in ACCESS.nouns.items()
    for table in noun.tables
    if ACCESS.right(ACCESS.public, name).read is Reach.COUNTY
)


@pytest.fixture(scope="module")
def owner(database: County) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def login(database: County) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.login_url, autocommit=True) as connection:
        yield connection


def journalled(connection: psycopg.Connection) -> list[str]:
    return names(connection, "select tbl from journalled")


def names(connection: psycopg.Connection, question: str) -> list[str]:
    return [name for (name,) in connection.execute(question.encode())]


# -- owners and roles --------------------------------------------------------------------------------------------------


def test_every_table_has_row_security_enabled_and_forced(owner: psycopg.Connection) -> None:
    assert names(owner, f"select relname from {TABLES} and not (relrowsecurity and relforcerowsecurity)") == []


def test_every_table_is_in_the_access_table(owner: psycopg.Connection) -> None:
    listed = [table for noun in ACCESS.nouns.values() for table in noun.tables]
    assert sorted(names(owner, f"select relname from {TABLES} and not relispartition")) == sorted(listed)


def test_the_owner_owns_everything_and_the_login_nothing(owner: psycopg.Connection) -> None:
    assert names(owner, f"select distinct relowner::regrole::text from {TABLES}") == [OWNER]
    ours = f"pg_proc p where pronamespace = 'public'::regnamespace and {OURS.format('p')}"
    assert set(names(owner, f"select p.oid::regprocedure::text from {ours} and proowner = '{JOURNAL}'::regrole")) == (
        JOURNALS_HAND
    )
    assert set(names(owner, f"select distinct proowner::regrole::text from {ours}")) == {OWNER, JOURNAL}
    owned = "select count(*) from pg_shdepend where refobjid = 'hub_login'::regrole and deptype = 'o'"
    assert owner.execute(owned).fetchone() == (0,)


def test_no_role_of_ours_bypasses_anything(owner: psycopg.Connection) -> None:
    roles = [OWNER, JOURNAL, *Scope]
    found = owner.execute(
        "select rolname, rolsuper or rolcreaterole or rolcreatedb or rolbypassrls or rolreplication, rolcanlogin "
        "from pg_roles where rolname = any(%s)",
        ([*roles, "hub_login"],),
    ).fetchall()
    assert sorted(found) == sorted([(str(role), False, False) for role in roles] + [("hub_login", False, True)])


def test_the_login_inherits_nothing_and_is_member_of_the_scopes_only(owner: psycopg.Connection) -> None:
    assert names(owner, "select rolinherit::text from pg_roles where rolname = 'hub_login'") == ["false"]
    members = "select roleid::regrole::text from pg_auth_members where member = 'hub_login'::regrole"
    assert set(names(owner, members)) == set(Scope)
    of_owner = "select member::regrole::text from pg_auth_members where roleid = 'hub_owner'::regrole"
    assert "hub_login" not in names(owner, of_owner)
    # A scope that were a member of another would reach as far as that one.
    scopes = f"'{{{','.join(Scope)}}}'::text[]"
    assert names(owner, f"select member::text from pg_auth_members where member::regrole::text = any ({scopes})") == []
    # The owner hands functions over to the journal's hand; nobody else can act as it.
    hands = f"select member::regrole::text from pg_auth_members where roleid = '{JOURNAL}'::regrole"
    assert names(owner, hands) == [OWNER]
    of_hand = f"select roleid::regrole::text from pg_auth_members where member = '{JOURNAL}'::regrole"
    assert names(owner, of_hand) == [Scope.PUBLIC]


# -- views, functions, leaks -------------------------------------------------------------------------------------------


def test_views_ask_with_the_rights_of_who_asks(owner: psycopg.Connection) -> None:
    views = f"pg_class c where relnamespace = 'public'::regnamespace and {OURS.format('c')}"
    invoker = "coalesce('security_invoker=true' = any(reloptions) or 'security_invoker=on' = any(reloptions), false)"
    assert names(owner, f"select relname from {views} and relkind = 'v' and not {invoker}") == []
    # A materialised view holds rows that no policy guards.
    assert names(owner, f"select relname from {views} and relkind = 'm'") == []


def test_functions_state_what_they_are(owner: psycopg.Connection) -> None:
    ours = f"pg_proc p where pronamespace = 'public'::regnamespace and {OURS.format('p')}"
    definers = f"select p.oid::regprocedure::text from {ours} and prosecdef"
    assert set(names(owner, definers)) == SECURITY_DEFINERS | {f"journal_{table}()" for table in journalled(owner)}
    # Text that is resolved at each call must say where; standard SQL bodies were resolved when they were made.
    open_path = (
        f"select p.oid::regprocedure::text from {ours} and prosqlbody is null "
        "and not exists (select from unnest(proconfig) setting where setting like 'search_path=%')"
    )
    assert names(owner, open_path) == []
    assert names(owner, f"select p.oid::regprocedure::text from {ours} and proleakproof") == []


def test_migrations_state_volatility() -> None:
    from hub.database.migrate import migrations

    for migration in migrations():
        for statement in migration.text.split("\ncreate function ")[1:]:
            head = statement.split("$$")[0].split("begin atomic")[0]
            assert any(f"\n  {kind}\n" in head for kind in ("immutable", "stable", "volatile")), statement.split("(")[0]


def test_the_public_of_the_server_may_nothing(owner: psycopg.Connection) -> None:
    granted = "aclexplode(coalesce({}, acldefault('{}', {}))) a where a.grantee = 0"
    classes = f"pg_class c, {granted.format('relacl', 'r', 'relowner')} and relnamespace = 'public'::regnamespace"
    assert names(owner, f"select relname from {classes} and {OURS.format('c')}") == []
    functions = f"pg_proc p, {granted.format('proacl', 'f', 'proowner')} and pronamespace = 'public'::regnamespace"
    assert names(owner, f"select proname from {functions} and {OURS.format('p')}") == []
    schema = f"pg_namespace n, {granted.format('nspacl', 'n', 'nspowner')} and nspname = 'public'"
    assert names(owner, f"select privilege_type from {schema}") == []
    base = f"pg_database b, {granted.format('datacl', 'd', 'datdba')} and datname = current_database()"
    assert names(owner, f"select privilege_type from {base}") == ["CONNECT"]


@pytest.mark.parametrize("role", ["hub_login", *Scope])
def test_scopes_may_call_what_is_listed(owner: psycopg.Connection, role: str) -> None:
    callable_ = (
        "select replace(p.oid::regprocedure::text, 'public.', '') from pg_proc p "
        f"where pronamespace = 'public'::regnamespace and {OURS.format('p')} "
        f"and has_function_privilege('{role}', p.oid, 'execute')"
    )
    listed = {
        "hub_login": set(),
        Scope.PUBLIC: OPEN_TO_CALLERS | OPEN_TO_FIGURES | OPEN_TO_ANSWERS | OPEN_TO_WRITERS,
        # Citizens hear of their own incidents, and must learn from where on.
        Scope.OWN: OPEN_TO_CALLERS | OPEN_TO_FIGURES | OPEN_TO_ANSWERS | OPEN_TO_WRITERS | {"journal_head()"},
        Scope.AREA: OPEN_TO_CALLERS | OPEN_TO_FIGURES | OPEN_TO_ANSWERS | OPEN_TO_READERS | OPEN_TO_WRITERS,
        Scope.COUNTY: OPEN_TO_CALLERS
        | OPEN_TO_FIGURES
        | OPEN_TO_ANSWERS
        | OPEN_TO_READERS
        | OPEN_TO_WRITERS
        | {"keep_device_key(uuid,bytea)"},
        Scope.SERVICE: OPEN_TO_CALLERS | OPEN_TO_READERS | OPEN_TO_THE_SERVICE | OPEN_TO_INTAKE,
    }
    assert set(names(owner, callable_)) == listed.get(role, OPEN_TO_CALLERS)


def test_spatial_indexes_work_under_policies(owner: psycopg.Connection) -> None:
    # The tests' cluster is the hub's own, so that the marks must be there.
    leakproof = (
        "select p.oid::regprocedure::text from pg_proc p where proleakproof and pronamespace = 'public'::regnamespace"
    )
    assert set(names(owner, leakproof)) == {name.replace(", ", ",") for name in LEAKPROOF}
    behind = "select oprcode::regprocedure::text from pg_operator where oprname in ('&&', '~', '@') "
    behind += "and oprleft = 'geometry'::regtype and oprright = 'geometry'::regtype"
    assert set(names(owner, behind)) == set(names(owner, leakproof))


# -- indexes, geometries, words ----------------------------------------------------------------------------------------


def test_every_foreign_key_is_indexed(owner: psycopg.Connection) -> None:
    bare = """
        select conrelid::regclass || '.' || conname from pg_constraint k
        where contype = 'f' and connamespace = 'public'::regnamespace and not exists (
          select from pg_index i where i.indrelid = k.conrelid and i.indpred is null
          and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] operator(pg_catalog.@>) k.conkey
        )
    """
    assert names(owner, bare) == []


def test_every_foreign_key_says_what_deleting_does(owner: psycopg.Connection) -> None:
    silent = "select conname from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace "
    assert names(owner, f"{silent} and confdeltype = 'a'") == []


def geometries(connection: psycopg.Connection) -> list[tuple[str, str]]:
    return connection.execute(
        f"select c.relname, attname from pg_attribute, {TABLES} and attrelid = c.oid and not attisdropped "
        "and not relispartition and atttypid in ('geometry'::regtype, 'geography'::regtype)".encode()
    ).fetchall()


def test_every_geometry_has_its_spatial_index_reference_system_and_checks(owner: psycopg.Connection) -> None:
    found = geometries(owner)
    assert found
    for table, column in found:
        (indexed,) = owner.execute(
            "select count(*) from pg_index join pg_class i on i.oid = indexrelid join pg_am on pg_am.oid = relam "
            "where indrelid = %s::regclass and amname = 'gist' and indpred is null and indkey[0] = "
            "(select attnum from pg_attribute where attrelid = indrelid and attname = %s)",
            (table, column),
        ).fetchone() or (0,)
        # Weeks of positions get theirs when they are over: tests/hub/test_weeks.py.
        assert indexed or table == "positions", f"{table}.{column} has no GiST index"
        kind = owner.execute(
            "select format_type(atttypid, atttypmod) from pg_attribute where attrelid = %s::regclass and attname = %s",
            (table, column),
        ).fetchone()
        assert kind is not None
        assert kind[0].endswith(",4326)"), f"{table}.{column} is {kind[0]}"
        checks = names(
            owner, f"select conname from pg_constraint where conrelid = '{table}'::regclass and contype = 'c'"
        )
        # A point inside a checked outline is valid and in range by that; inside a fixed box it is not empty, either.
        assert f"{table}_{column}_not_empty" in checks or table == "positions"
        assert f"{table}_{column}_inside" in checks or {f"{table}_{column}_valid", f"{table}_{column}_in_range"} <= set(
            checks
        )


def test_no_position_is_kept_that_is_nowhere_or_outside_of_the_region(owner: psycopg.Connection) -> None:
    for place in (
        "point empty",
        "point(nan -0.1)",
        "point(34.7 nan)",
        "point(1e308 -0.1)",
        "point(40 -0.1)",
        "point(34 -3)",
    ):
        with pytest.raises(psycopg.errors.CheckViolation, match="positions_location_inside"), owner.transaction():
            owner.execute(
                "insert into positions (id, device_id, recorded_at, vehicle_id, batch, received_at, location) "
                "values (gen_random_uuid(), gen_random_uuid(), now(), gen_random_uuid(), 1, now(), "
                "st_geomfromtext(%s, 4326))",
                (place,),
            )


def test_everything_is_explained(owner: psycopg.Connection) -> None:
    whole = f"{TABLES} and not relispartition"
    assert names(owner, f"select relname from {whole} and obj_description(c.oid, 'pg_class') is null") == []
    silent = (
        f"select relname || '.' || attname from pg_attribute, {whole} and attrelid = c.oid and attnum > 0 "
        "and not attisdropped and col_description(c.oid, attnum) is null"
    )
    assert names(owner, silent) == []
    ours = f"pg_proc p where pronamespace = 'public'::regnamespace and {OURS.format('p')}"
    assert names(owner, f"select proname from {ours} and obj_description(p.oid, 'pg_proc') is null") == []


# -- what callers can do -----------------------------------------------------------------------------------------------

EMPTY = {"incident_counts", "demonstrations"}
"""Public tables that hold nothing before anything happens."""

EVERY_TABLE = sorted(table for noun in ACCESS.nouns.values() for table in noun.tables)

PUBLIC_TABLES = sorted(
    table
    for name, noun in ACCESS.nouns.items()
    if ACCESS.right(ACCESS.public, name) == Right(read=Reach.COUNTY)
    for table in noun.tables
)
"""What everybody reads and nobody writes."""


@pytest.mark.parametrize("table", EVERY_TABLE)
def test_a_login_without_a_scope_is_denied_everything(login: psycopg.Connection, table: str) -> None:
    for statement in (
        f"select from public.{table}",
        f"delete from public.{table}",
        f"insert into public.{table} default values",
        f"truncate public.{table}",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            login.execute(statement.encode())


def test_a_login_without_a_scope_makes_nothing(login: psycopg.Connection) -> None:
    for statement in ("create table mine (a int)", "create temporary table mine (a int)", "create schema mine"):
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidSchemaName)):
            login.execute(statement.encode())
    for role in (OWNER, "hub_admin", "pg_read_all_data"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            login.execute(f"set role {role}".encode())


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("table", OPEN_TABLES)
def test_every_scope_reads_what_is_public_and_writes_what_it_is_given(
    login: psycopg.Connection, owner: psycopg.Connection, scope: Scope, table: str
) -> None:
    """Which is nothing, but for the service: it writes how far a demonstration's play has come."""
    login.execute(f"set role {scope}".encode())
    everything = owner.execute(f"select count(*) from {table}".encode()).fetchone()
    assert everything is not None
    assert everything[0] > 0 or table in EMPTY
    assert login.execute(f"select count(*) from {table}".encode()).fetchone() == everything
    column = names(
        owner, f"select attname from pg_attribute where attrelid = '{table}'::regclass and attnum > 0 limit 1"
    )[0]
    writing = (
        f"insert into {table} select * from {table} limit 1",
        f"select from {table} for update",
        f"update {table} set {column} = {column}",
    )
    (noun,) = (name for name, each in ACCESS.nouns.items() if table in each.tables)
    given = {ACCESS.right(role, noun).write for role, row in ACCESS.roles.items() if row.scope is scope}
    assert given <= {Reach.NONE} or (scope, table) == (Scope.SERVICE, "demonstrations")
    for statement in writing:
        if Reach.COUNTY in given:
            with login.transaction(force_rollback=True):
                login.execute(statement.encode())
        else:
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.GeneratedAlways)):
                login.execute(statement.encode())
    for statement in (
        f"delete from {table}",
        f"truncate {table}",
        f"alter table {table} disable row level security",
        f"create policy mine on {table} using (true)",
    ):
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.GeneratedAlways)):
            login.execute(statement.encode())


CLOSED_TABLES = sorted(ACCESS.nouns["journal"].tables + ACCESS.nouns["sealing"].tables)


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("table", CLOSED_TABLES)
def test_only_the_service_reads_the_whole_journal_and_its_proof_and_nobody_writes_them(
    login: psycopg.Connection, scope: Scope, table: str
) -> None:
    login.execute(f"set role {scope}".encode())
    if scope is Scope.SERVICE:
        login.execute(f"select * from {table}".encode())
    statements = [f"delete from {table}", f"insert into {table} default values", f"truncate {table}"]
    hears = table == "journal" and scope in {Scope.AREA, Scope.COUNTY}  # whoever's role says so, and no salt
    statements += [] if scope is Scope.SERVICE else [f"select {'salt' if hears else ''} from {table}"]
    for statement in statements:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            login.execute(statement.encode())


def test_every_column_of_a_journalled_table_is_journalled_or_left_out(owner: psycopg.Connection) -> None:
    assert owner.execute("select * from unjournalled()").fetchall() == []


def test_every_audience_is_a_noun(owner: psycopg.Connection) -> None:
    assert set(names(owner, "select audience from journalled")) <= set(ACCESS.nouns)


def test_journalled_rows_are_what_their_entries_say(owner: psycopg.Connection) -> None:
    for table in journalled(owner):
        assert names(owner, f"select differences('{table}')::text") == []


@pytest.mark.parametrize("scope", list(Scope))
def test_no_scope_calls_what_writes(login: psycopg.Connection, scope: Scope) -> None:
    login.execute(f"set role {scope}".encode())
    for statement in (
        "select refresh_areas(current_date)",
        "call guard_table('wards')",
        "call keep_facts('wards', 'final')",
        "call journal_table('wards', null, 'areas')",
        "select project('wards', gen_random_uuid())",
        "select journal_write('wards', gen_random_uuid(), 'insert', null, '{}', '{}', 'areas', 1, null)",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            login.execute(statement.encode())
