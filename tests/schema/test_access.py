"""The access table means what it says: tried with roles that are to come, on tables made for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from hub.database.policies import listed, rendered
from schema.access import ACCESS, Access, Noun, Reach, Right, Role, Scope
from schema.compiler.mapping import metadata
from schema.people import Role as PersonRole

if TYPE_CHECKING:
    from tests.conftest import County

EAST, WEST = UUID(int=1), UUID(int=2)
AMINA, BARAKA = UUID(int=11), UUID(int=12)

TRIED = Access(
    nouns={
        "notices": Noun(("notices",)),
        "calls": Noun(("calls",), person="caller_id", area="ward_id"),
        "payrolls": Noun(("payrolls",)),
    },
    roles={
        "public": Role(Scope.PUBLIC, {"notices": Right(Reach.COUNTY), "calls": Right(Reach.COUNTS)}),
        "caller": Role(Scope.OWN, {"calls": Right(Reach.OWN, Reach.OWN)}),
        "ward": Role(Scope.AREA, {"calls": Right(Reach.AREA)}),
        "desk": Role(Scope.COUNTY, {"calls": Right(Reach.COUNTY, Reach.COUNTY)}),
        "auditor": Role(Scope.COUNTY, {"calls": Right(Reach.COUNTY), "payrolls": Right(Reach.COUNTY)}),
    },
)


@pytest.fixture
def county(fresh_database: County) -> Iterator[psycopg.Connection]:
    """The hub's login, where the tables of the tried access table hold rows."""
    with psycopg.connect(fresh_database.owner_url) as owner:
        owner.execute("set role hub_owner")
        owner.execute("create table notices (id int primary key)")
        owner.execute("create table calls (id int primary key, caller_id uuid not null, ward_id uuid not null)")
        owner.execute("create table payrolls (id int primary key)")
        for table in ("notices", "calls", "payrolls"):
            owner.execute("call guard_table(%s)", (table,))
        owner.execute(rendered(TRIED).encode())
        owner.execute("insert into notices values (1); insert into payrolls values (1)")
        for number, (caller, ward) in enumerate([(AMINA, EAST), (AMINA, WEST), (BARAKA, EAST), (BARAKA, WEST)], 1):
            owner.execute("insert into calls values (%s, %s, %s)", (number, caller, ward))
    with psycopg.connect(fresh_database.login_url, autocommit=True) as login:
        yield login


def come(
    login: psycopg.Connection, scope: Scope, *roles: str, person: UUID | None = None, areas: tuple[UUID, ...] = ()
) -> None:
    login.execute(
        "select set_config('role', %s, false), set_config('hub.roles', %s, false), "
        "set_config('hub.person', %s, false), set_config('hub.areas', %s, false)",
        (str(scope), ",".join(roles), str(person or ""), f"{{{','.join(map(str, areas))}}}" if areas else ""),
    )


def calls(login: psycopg.Connection) -> list[int]:
    return [number for (number,) in login.execute("select id from calls order by id")]


def test_everybody_reads_what_is_public(county: psycopg.Connection) -> None:
    for scope in Scope:
        come(county, scope)
        assert county.execute("select count(*) from notices").fetchone() == (1,)


def test_counts_open_no_row(county: psycopg.Connection) -> None:
    # The table is there and empty: a question that leads to it is answered without it instead of being refused.
    come(county, Scope.PUBLIC)
    assert calls(county) == []
    for statement in (
        "update calls set id = id",
        "insert into calls select * from calls",
        "select from calls for update",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            county.execute(statement.encode())


def test_what_callers_do_not_ask_for_is_refused(county: psycopg.Connection, fresh_database: County) -> None:
    kept = Access(
        {**TRIED.nouns, "secrets": Noun(("secrets",), passing=True)},
        {**TRIED.roles, "service": Role(Scope.SERVICE, {"secrets": Right(Reach.COUNTY, Reach.COUNTY)})},
    )
    with psycopg.connect(fresh_database.owner_url) as owner:
        owner.execute("set role hub_owner")
        owner.execute("create table secrets (id int primary key)")
        owner.execute("call guard_table('secrets')")
        owner.execute(rendered(kept).encode())
    for scope in set(Scope) - {Scope.SERVICE}:
        come(county, scope, "desk", "auditor", "service")
        with pytest.raises(errors.InsufficientPrivilege):
            county.execute("select from secrets")
    # The hub's own chores reach what their row says, and nothing by the roles of callers.
    come(county, Scope.SERVICE, "desk", "auditor")
    county.execute("insert into secrets values (1)")
    assert county.execute("delete from secrets").rowcount == 1
    with pytest.raises(errors.InsufficientPrivilege):
        calls(county)


def test_a_row_lies_where_sql_says(county: psycopg.Connection, fresh_database: County) -> None:
    led = Access(
        {
            **TRIED.nouns,
            "payrolls": Noun(("payrolls",), lies_in="id in (select id from calls where ward_id = any ({areas}))"),
        },
        {**TRIED.roles, "ward": Role(Scope.AREA, {"calls": Right(Reach.AREA), "payrolls": Right(Reach.AREA)})},
    )
    with psycopg.connect(fresh_database.owner_url) as owner:
        owner.execute("set role hub_owner")
        owner.execute(rendered(led).encode())
    for areas, found in (((EAST,), 1), ((WEST,), 0), ((), 0)):
        come(county, Scope.AREA, "ward", areas=areas)
        assert county.execute("select count(*) from payrolls").fetchone() == (found,)


def test_own_rows(county: psycopg.Connection) -> None:
    come(county, Scope.OWN, "caller", person=AMINA)
    assert calls(county) == [1, 2]
    come(county, Scope.OWN, "caller")
    assert calls(county) == []
    come(county, Scope.OWN, "caller", person=BARAKA)
    county.execute("insert into calls values (5, %s, %s)", (BARAKA, EAST))
    assert county.execute("update calls set ward_id = %s", (WEST,)).rowcount == 3
    with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
        county.execute("insert into calls values (6, %s, %s)", (AMINA, EAST))
    with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
        county.execute("update calls set caller_id = %s", (AMINA,))
    with pytest.raises(errors.InsufficientPrivilege):
        county.execute("delete from calls")


def test_rows_of_the_areas(county: psycopg.Connection) -> None:
    come(county, Scope.AREA, "ward", areas=(EAST,))
    assert calls(county) == [1, 3]
    come(county, Scope.AREA, "ward", areas=(EAST, WEST))
    assert calls(county) == [1, 2, 3, 4]
    come(county, Scope.AREA, "ward")
    assert calls(county) == []


def test_a_narrower_role_that_one_holds_besides_still_counts(county: psycopg.Connection) -> None:
    come(county, Scope.AREA, "ward", "caller", person=AMINA, areas=(EAST,))
    assert calls(county) == [1, 2, 3]
    assert county.execute("update calls set id = id").rowcount == 2
    # Without the role, its rights are not there, whoever one is.
    come(county, Scope.AREA, "ward", person=AMINA, areas=(EAST,))
    assert calls(county) == [1, 3]
    assert county.execute("update calls set id = id").rowcount == 0


def test_roles_of_one_scope_differ(county: psycopg.Connection) -> None:
    come(county, Scope.COUNTY, "desk")
    assert calls(county) == [1, 2, 3, 4]
    assert county.execute("select count(*) from payrolls").fetchone() == (0,)
    assert county.execute("update calls set id = id").rowcount == 4
    come(county, Scope.COUNTY, "auditor")
    assert calls(county) == [1, 2, 3, 4]
    assert county.execute("select count(*) from payrolls").fetchone() == (1,)
    assert county.execute("update calls set id = id").rowcount == 0
    come(county, Scope.COUNTY)
    assert county.execute("select count(*) from payrolls").fetchone() == (0,)


def test_the_service_takes_in_no_role_and_no_role_the_service(county: psycopg.Connection) -> None:
    come(county, Scope.SERVICE, "desk", "auditor", person=AMINA, areas=(EAST, WEST))
    with pytest.raises(errors.InsufficientPrivilege):
        calls(county)
    assert "hub_service using (true)" not in rendered(TRIED).split("-- calls", 1)[1]


def test_what_all_of_a_scope_reach_costs_no_look_at_the_row() -> None:
    # Spatial indexes are used under `true`, not under a condition that PostgreSQL must ask first.
    assert "create policy county_reads_county on calls for select to hub_county using (true);" in rendered(TRIED)


def test_applying_again_leaves_no_old_policy(county: psycopg.Connection, fresh_database: County) -> None:
    closed = Access(TRIED.nouns, {"public": Role(Scope.PUBLIC)})
    with psycopg.connect(fresh_database.owner_url) as owner:
        owner.execute("set role hub_owner")
        owner.execute("create policy forgotten on calls using (true)")
        owner.execute(rendered(closed).encode())
    come(county, Scope.COUNTY, "desk")
    for table in listed(closed):
        with pytest.raises(errors.InsufficientPrivilege):
            county.execute(f"select from {table}".encode())
        policies = "select polname from pg_policy where polrelid = %s::regclass"
        with psycopg.connect(fresh_database.owner_url) as owner:
            assert owner.execute(policies, (table,)).fetchall() == [("owner",)]


def test_the_tables_of_every_domain_are_listed() -> None:
    import schema.api  # noqa: F401  the list of domains: it fills the metadata

    assert set(metadata.tables) <= listed(ACCESS)


def test_nobody_writes_areas_and_everybody_reads_them() -> None:
    for role in ACCESS.roles:
        assert ACCESS.right(role, "areas") == Right(read=Reach.COUNTY, write=Reach.NONE)


@pytest.mark.parametrize(
    ("nouns", "roles", "refusal"),
    [
        ({}, {"public": Role(Scope.PUBLIC, {"cats": Right()})}, "rights on cats, which is no noun"),
        (
            {"calls": Noun(("calls",))},
            {"public": Role(Scope.PUBLIC), "ward": Role(Scope.AREA, {"calls": Right(Reach.COUNTY)})},
            "farther than its scope",
        ),
        (
            {"calls": Noun(("calls",), area="ward_id")},
            {"public": Role(Scope.PUBLIC), "caller": Role(Scope.OWN, {"calls": Right(Reach.OWN)})},
            "reaches OWN in calls, which names no column",
        ),
        (
            {"calls": Noun(("calls",), person="caller_id")},
            {"public": Role(Scope.PUBLIC, {"calls": Right(Reach.OWN)})},
            "the public is nobody and nowhere",
        ),
        ({"a": Noun(("calls",)), "b": Noun(("calls",))}, {"public": Role(Scope.PUBLIC)}, "two nouns at once: calls"),
        (
            {"journal": Noun(("journal",), audience="audience", areas="areas")},
            {"public": Role(Scope.PUBLIC), "auditor": Role(Scope.COUNTY, {"journal": Right(Reach.COUNTY)})},
            "journal is heard, not read",
        ),
        ({}, {"public": Role(Scope.PUBLIC), "ward": Role(Scope.AREA, hears={"cats": Reach.AREA})}, "hears of cats"),
        (
            {"calls": Noun(("calls",))},
            {"public": Role(Scope.PUBLIC, hears={"calls": Reach.COUNTY})},
            "the public hears nothing",
        ),
        (
            {"calls": Noun(("calls",))},
            {"public": Role(Scope.PUBLIC), "ward": Role(Scope.AREA, hears={"calls": Reach.COUNTY})},
            "hears of calls as COUNTY: farther than its scope",
        ),
        (
            {"calls": Noun(("calls",))},
            {"public": Role(Scope.PUBLIC), "caller": Role(Scope.COUNTY, hears={"calls": Reach.OWN})},
            "a change has areas, and no owner",
        ),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(
    nouns: dict[str, Noun], roles: dict[str, Role], refusal: str
) -> None:
    with pytest.raises(ValueError, match=refusal):
        Access(nouns, roles)


# -- the table that is in force ----------------------------------------------------------------------------------------


def test_the_roles_are_those_that_the_database_and_the_api_know(database: County) -> None:
    with psycopg.connect(database.owner_url) as owner:
        (said,) = owner.execute(
            "select pg_get_constraintdef(oid) from pg_constraint where conname = 'person_roles_role'"
        ).fetchone() or ("",)
    assert sorted(re.findall(r"'(\w+)'", said)) == sorted(ACCESS.personal)
    assert [role.value for role in PersonRole] == [
        "citizen",
        "field_officer",
        "dispatcher",
        "coordinator",
        "fleet_manager",
        "enforcement_supervisor",
        "ward_administrator",
        "sub_county_administrator",
        "planner",
        "auditor",
        "administrator",
    ]
    assert {role.value for role in PersonRole} == set(ACCESS.personal)
    assert all(role.name == role.value.upper() for role in PersonRole)


def test_only_the_service_reaches_secrets() -> None:
    for noun in ("secrets", "failures"):
        for role in (ACCESS.public, *ACCESS.personal):
            assert ACCESS.right(role, noun) == Right()
    assert [name for name, role in ACCESS.roles.items() if role.scope is Scope.SERVICE] == ["service"]


def test_a_caller_comes_in_the_widest_scope() -> None:
    assert ACCESS.widest(["citizen"]) is Scope.OWN
    assert ACCESS.widest(["citizen", "ward_administrator"]) is Scope.AREA
    assert ACCESS.widest(["ward_administrator", "planner", "citizen"]) is Scope.COUNTY
