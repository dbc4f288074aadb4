"""Who finds whom: `me` and `people` under the policies of each role, and what signing in answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from psycopg import errors

from schema.access import ACCESS, Scope
from tests.conftest import PASSWORD, County, Hub, make_person, running

EVERYBODY = {
    "achieng": (["citizen"], ()),
    "atieno": (["field_officer"], ("1208",)),
    "baraka": (["dispatcher"], ()),
    "chebet": (["coordinator"], ()),
    "daudi": (["fleet_manager"], ()),
    "esther": (["enforcement_supervisor"], ()),
    "faraji": (["ward_administrator"], ("1208",)),
    "grace": (["sub_county_administrator"], ("242",)),
    "hassan": (["planner"], ()),
    "imani": (["auditor"], ()),
    "juma": (["administrator"], ()),
    "keziah": (["ward_administrator"], ("1190",)),
    "lydia": (["coordinator", "ward_administrator"], ("1190",)),
}
"""Ward 1208 (Ahero) lies in sub-county 242 (Nyando), ward 1190 does not."""

SEEN = {
    "achieng": {"achieng"},
    "atieno": {"atieno"},
    "baraka": set(EVERYBODY),
    "chebet": set(EVERYBODY),
    "daudi": set(EVERYBODY),
    "esther": set(EVERYBODY),
    "faraji": {"atieno", "faraji"},
    "grace": {"atieno", "faraji", "grace"},
    "hassan": {"hassan"},
    "imani": set(EVERYBODY),
    "juma": set(EVERYBODY),
    "keziah": {"keziah", "lydia"},
    "lydia": set(EVERYBODY),
}

SECRETS = [table for noun in ("secrets", "failures") for table in ACCESS.nouns[noun].tables]


@pytest.fixture(scope="module")
def county(copies: Callable[[], AbstractContextManager[County]]) -> Iterator[County]:
    with copies() as made:
        for name, (roles, areas) in EVERYBODY.items():
            make_person(made, name, *roles, areas=areas, display=f"{name.title()} Display")
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def peopled(county: County) -> AsyncIterator[Hub]:
    async with running(county.login_url) as made:
        yield made


def test_each_role_is_held_by_somebody() -> None:
    assert {role for roles, _ in EVERYBODY.values() for role in roles} == set(ACCESS.personal)


async def test_signing_in_answers_as_the_contract_says(peopled: Hub) -> None:
    data = await peopled.ask(
        "mutation In($input: SignInInput!) { signIn(input: $input) "
        "{ token expiresAt person { id name roles areas { code name } } } }",
        {"input": {"name": " Faraji ", "password": PASSWORD}},
    )
    signed = data["signIn"]
    assert set(signed) == {"token", "expiresAt", "person"}
    assert set(signed["person"]) == {"id", "name", "roles", "areas"}
    assert signed["person"]["name"] == "faraji"
    assert signed["person"]["roles"] == ["WARD_ADMINISTRATOR"]
    assert signed["person"]["areas"] == [{"code": "1208", "name": "Ahero"}]
    assert await peopled.ask("{ me { id } }", token=signed["token"]) == {"me": {"id": signed["person"]["id"]}}


async def test_the_person_is_read_by_the_compiler_with_all_that_it_can(peopled: Hub) -> None:
    data = await peopled.ask(
        """
        mutation In($input: SignInInput!, $no: Boolean!) {
          signed: signIn(input: $input) {
            __typename
            first: person { ...Named areas { level } hidden: version @include(if: $no) }
            second: person { __typename called: displayName disabledAt version }
          }
        }
        fragment Named on Person { name ... on Person { kinds: roles } }
        """,
        {"input": {"name": "grace", "password": PASSWORD}, "no": False},
    )
    assert data == {
        "signed": {
            "__typename": "SignInPayload",
            "first": {"name": "grace", "kinds": ["SUB_COUNTY_ADMINISTRATOR"], "areas": [{"level": "SUB_COUNTY"}]},
            "second": {"__typename": "Person", "called": "Grace Display", "disabledAt": None, "version": 1},
        }
    }


async def test_me_is_null_for_the_public_beside_other_reads(peopled: Hub) -> None:
    data = await peopled.ask("{ me { name } people { totalCount } wards(first: 1) { nodes { code } } }")
    assert data["me"] is None
    assert data["people"] == {"totalCount": 0}
    assert len(data["wards"]["nodes"]) == 1


@pytest.mark.parametrize("name", list(EVERYBODY))
async def test_each_role_finds_itself_and_whom_it_may(peopled: Hub, name: str) -> None:
    token = await peopled.token(name)
    data = await peopled.ask(
        "{ me { name displayName roles areas { code } } "
        "people(first: 100) { totalCount nodes { name roles areas { code } } } }",
        token=token,
    )
    roles, areas = EVERYBODY[name]
    assert data["me"] == {
        "name": name,
        "displayName": f"{name.title()} Display",
        "roles": [role.upper() for role in roles],
        "areas": [{"code": code} for code in areas],
    }
    found: dict[str, Any] = {one["name"]: one for one in data["people"]["nodes"]}
    assert set(found) == SEEN[name]
    assert data["people"]["totalCount"] == len(SEEN[name])
    for other, one in found.items():
        assert one["roles"] == [role.upper() for role in EVERYBODY[other][0]]
        assert one["areas"] == [{"code": code} for code in EVERYBODY[other][1]]
    # A filter is no way round: who is not seen is not found by anything about them.
    asked = '{ people(where: { displayName: { contains: "Juma" } }) { totalCount } }'
    assert (await peopled.ask(asked, token=token))["people"]["totalCount"] == ("juma" in SEEN[name])


# -- below the API -----------------------------------------------------------------------------------------------------


@pytest.fixture
def login(county: County) -> Iterator[psycopg.Connection]:
    with psycopg.connect(county.login_url, autocommit=True) as connection:
        yield connection


def come(login: psycopg.Connection, name: str) -> None:
    """Everything that the hub could say of this caller."""
    roles = EVERYBODY[name][0]
    login.execute("reset role")
    login.execute("set role hub_service")
    (person,) = login.execute("select id::text from people where name = %s", (name,)).fetchone() or ("",)
    login.execute(
        "select set_config('role', %s, false), set_config('hub.roles', %s, false), "
        "set_config('hub.person', %s, false), set_config('hub.areas', '', false)",
        (str(ACCESS.widest([*roles, "citizen"])), ",".join(["citizen", *roles]), person),
    )


@pytest.mark.parametrize("table", SECRETS)
@pytest.mark.parametrize("name", list(EVERYBODY))
def test_no_caller_reads_or_writes_secrets(login: psycopg.Connection, name: str, table: str) -> None:
    come(login, name)
    for statement in (
        f"select from {table}",
        f"insert into {table} default values",
        f"delete from {table}",
        f"select from people p join {table} on true",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            login.execute(statement.encode())


@pytest.mark.parametrize("name", list(EVERYBODY))
def test_only_administrators_change_people_and_roles(login: psycopg.Connection, name: str) -> None:
    come(login, name)
    changes = (
        "update people set display_name = display_name || ' changed' where name = 'achieng'",
        "insert into person_roles (person_id, role) select id, 'administrator' from people where name = 'achieng'",
        "update person_roles set revoked_at = now() where role = 'citizen' and revoked_at is null",
        "insert into person_areas (person_id, area_id) select p.id, a.id from people p, areas a "
        "where p.name = 'achieng' and a.code = '1190'",
        "update person_areas set until = now() where until is null",
    )
    for change in changes:
        if name == "juma":
            with login.transaction(force_rollback=True):
                assert login.execute(change.encode()).rowcount >= 1
        else:
            # Where the scope may write at all, the policy refuses what is added and leaves nothing to change.
            try:
                changed = login.execute(change.encode()).rowcount
            except errors.InsufficientPrivilege:
                continue
            assert changed == 0
    with pytest.raises(errors.InsufficientPrivilege):
        login.execute("delete from people")


@pytest.mark.parametrize(
    "change",
    [
        "update person_roles set role = 'administrator' where role = 'citizen'",
        "update person_roles set granted_at = now() - interval '1 year'",
        "update person_areas set area_id = (select id from areas where code = '1190') where until is null",
    ],
)
def test_history_is_ended_not_rewritten(login: psycopg.Connection, change: str) -> None:
    come(login, "juma")
    with pytest.raises(errors.RestrictViolation, match="ended, never rewritten"):
        login.execute(change.encode())


def test_an_end_is_given_once(login: psycopg.Connection) -> None:
    come(login, "juma")
    with login.transaction(force_rollback=True):
        login.execute("update person_roles set revoked_at = now() where role = 'planner'")
        for again in ("null", "now() + interval '1 day'"):
            with pytest.raises(errors.RestrictViolation), login.transaction():
                login.execute(f"update person_roles set revoked_at = {again} where role = 'planner'".encode())
        # The role may be given anew; it is another row.
        login.execute(
            "insert into person_roles (person_id, role) select id, 'planner' from people where name = 'hassan'"
        )
        (count,) = login.execute("select count(*) from person_roles where role = 'planner'").fetchone() or (0,)
        assert count == 2


def test_not_even_the_owner_removes_history(county: County) -> None:
    with psycopg.connect(county.owner_url) as owner:
        owner.execute("set role hub_owner")
        for statement in ("delete from person_roles", "truncate person_areas"):
            with pytest.raises(errors.RestrictViolation), owner.transaction():
                owner.execute(statement.encode())


def test_the_scope_without_a_role_finds_nobody(login: psycopg.Connection) -> None:
    for scope in set(Scope) - {Scope.SERVICE}:
        login.execute(
            "select set_config('role', %s, false), set_config('hub.roles', '', false), "
            "set_config('hub.person', '', false)",
            (str(scope),),
        )
        for table in ("people", "person_roles", "person_areas"):
            assert login.execute(f"select from {table}".encode()).fetchall() == []
