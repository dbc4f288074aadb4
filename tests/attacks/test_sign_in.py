"""Guessing, forging, replaying and smuggling at the door: each is refused, and nothing is written or run."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from hub.identity import throttle
from hub.settings import Database, Settings, SignIn
from tests.conftest import PASSWORD, SIGN_IN, County, Hub, make_person, running

WRONG = "not the password"


@pytest.fixture(scope="module")
def county(copies: Callable[[], AbstractContextManager[County]]) -> Iterator[County]:
    with copies() as made:
        make_person(made, "achieng", "coordinator")
        make_person(made, "okello", "planner")
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def hub(county: County) -> AsyncIterator[Hub]:
    with psycopg.connect(county.owner_url) as owner:
        owner.execute("delete from sign_in_failures")
    # Addresses have a test of their own: all of a test's requests come from one.
    settings = Settings(database=Database(database_url=county.login_url), sign_in=SignIn(sign_in_address_tries=1000))
    async with running(county.login_url, settings) as made:
        yield made


async def attempt(hub: Hub, name: str, password: str = WRONG) -> tuple[int, dict[str, Any], dict[str, str]]:
    asked = json.dumps({"query": SIGN_IN, "variables": {"input": {"name": name, "password": password}}})  # also halves
    response = await hub.http.post("/graphql", content=asked, headers={"content-type": "application/json"})
    errors = response.json().get("errors") or [{}]
    return response.status_code, errors[0], dict(response.headers)


def count(county: County, question: str) -> Any:
    with psycopg.connect(county.owner_url) as owner:
        (answer,) = owner.execute(question.encode()).fetchone() or (None,)
    return answer


# -- guessing ----------------------------------------------------------------------------------------------------------


async def test_five_tries_then_a_growing_wait(hub: Hub, county: County) -> None:
    for _ in range(5):
        assert (await attempt(hub, "achieng"))[0] == 401
    # Not even the right password, and nobody learns that it is right.
    status, error, headers = await attempt(hub, "Achieng", PASSWORD)
    assert (status, error["extensions"]["code"]) == (429, "RATE_LIMITED")
    assert headers["retry-after"] == str(error["extensions"]["retryAfter"])
    assert 1 <= error["extensions"]["retryAfter"] <= 2
    # Somebody else is not kept waiting.
    assert await hub.token("okello")
    waits = []
    for _ in range(12):
        with psycopg.connect(county.owner_url) as owner:  # the wait is over
            owner.execute("update sign_in_failures set free_at = now() where kind = 'account'")
        assert (await attempt(hub, "achieng"))[0] == 401
        waits.append((await attempt(hub, "achieng"))[1]["extensions"]["retryAfter"])
    assert waits[:4] == [4, 8, 16, 32]
    assert all(899 <= wait <= 900 for wait in waits[-3:])  # a second may pass while it is asked
    # Who waited and knows it comes in, and the count is over.
    with psycopg.connect(county.owner_url) as owner:
        owner.execute("update sign_in_failures set free_at = now()")
    assert await hub.token("achieng")
    assert count(county, "select count(*) from sign_in_failures where kind = 'account'") == 0


async def test_names_that_nobody_has_are_slowed_down_alike(hub: Hub) -> None:
    answers = {name: [await attempt(hub, name) for _ in range(6)] for name in ("achieng", "nobody.at.all")}
    known, unknown = ([(status, error["message"]) for status, error, _ in each] for each in answers.values())
    assert known == unknown
    assert known[-1][0] == 429


async def test_an_address_is_slowed_down_over_all_names(county: County) -> None:
    settings = Settings(database=Database(database_url=county.login_url))
    with psycopg.connect(county.owner_url) as owner:
        owner.execute("delete from sign_in_failures")
    async with running(county.login_url, settings) as hub:
        for at in range(5):
            assert (await attempt(hub, f"guess{at}"))[0] == 401
        assert (await attempt(hub, "guess6"))[0] == 429
        waits = []
        for at in range(8):
            with psycopg.connect(county.owner_url) as owner:
                owner.execute("update sign_in_failures set free_at = now() where kind = 'address'")
            await attempt(hub, f"more{at}")
            waits.append((await attempt(hub, f"again{at}"))[1]["extensions"]["retryAfter"])
        assert waits[:3] == [4, 8, 16]
        assert max(waits) == throttle.LONGEST_FOR_ADDRESS
        # Signing in oneself does not buy further guesses.
        with psycopg.connect(county.owner_url) as owner:
            owner.execute("update sign_in_failures set free_at = now()")
        before = count(county, "select tries from sign_in_failures where kind = 'address'")
        await hub.token("okello")
        assert count(county, "select tries from sign_in_failures where kind = 'address'") == before


async def test_a_hundred_guesses_at_once_on_two_workers_are_five_guesses(hub: Hub, county: County) -> None:
    settings = Settings(database=Database(database_url=county.login_url), sign_in=SignIn(sign_in_address_tries=1000))
    async with running(county.login_url, settings) as other:
        answers = await asyncio.gather(*(attempt((hub, other)[at % 2], "okello") for at in range(100)))
    statuses = [status for status, _, _ in answers]
    assert statuses.count(401) <= 5
    assert statuses.count(429) >= 90  # the rest found no free connection


def test_addresses_of_one_household_are_one() -> None:
    assert throttle._network("2001:db8:1:2:3:4:5:6") == throttle._network("2001:db8:1:2::9")
    assert throttle._network("2001:db8:1:2::1") != throttle._network("2001:db8:1:3::1")
    assert throttle._network("::ffff:192.0.2.7") == "192.0.2.7"
    assert throttle._network("") == ""


async def test_what_was_typed_is_kept_nowhere(hub: Hub, county: County) -> None:
    typed = "My-Secret-Typed-Into-The-Name"
    await attempt(hub, typed)
    with psycopg.connect(county.owner_url) as owner:
        tables = owner.execute(
            "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
        )
        for (table,) in tables.fetchall():
            if table == "spatial_ref_sys":
                continue
            found = owner.execute(f"select count(*) from {table} t where t::text ilike %s".encode(), (f"%{typed}%",))
            assert found.fetchone() == (0,), table


async def test_old_failures_are_removed(hub: Hub, county: County) -> None:
    await attempt(hub, "stale")
    with psycopg.connect(county.owner_url) as owner:
        owner.execute("update sign_in_failures set tried_at = now() - interval '2 days'")
    hub.app.state.identity._throttle._pruned = -1e9
    await attempt(hub, "fresh")
    assert count(county, "select count(*) from sign_in_failures where tried_at < now() - interval '1 day'") == 0


# -- many in one operation ---------------------------------------------------------------------------------------------

ONE = f'signIn(input: {{ name: "achieng", password: "{WRONG}" }}) {{ token }}'


@pytest.mark.parametrize(
    "document",
    [
        f"mutation {{ a: {ONE} b: {ONE} }}",
        f"mutation {{ {ONE} signOut }}",
        "mutation { a: signOut b: signOut }",
        f"mutation {{ ...F b: {ONE} }} fragment F on Mutation {{ a: {ONE} }}",
        f"mutation {{ ...F ...G }} fragment F on Mutation {{ a: {ONE} }} fragment G on Mutation {{ b: {ONE} }}",
        f"mutation {{ ... on Mutation {{ a: {ONE} }} ... {{ b: {ONE} }} }}",
        f"mutation {{ {ONE} b: signOut @skip(if: true) }}",
    ],
)
async def test_one_sign_in_an_operation(hub: Hub, county: County, document: str) -> None:
    status, code, message = await hub.refusal(document)
    assert (status, code) == (400, "BAD_USER_INPUT")
    assert "one at a time" in message
    assert count(county, "select count(*) from sign_in_failures") == 0


async def test_many_operations_in_a_document_run_one(hub: Hub, county: County) -> None:
    document = f"mutation A {{ {ONE} }} mutation B {{ {ONE} }}"
    assert (await hub.post(document, name="A")).status_code == 401
    assert count(county, "select tries from sign_in_failures where kind = 'account'") == 1


@pytest.mark.parametrize(
    ("method", "options", "status"),
    [
        ("GET", {"params": {"query": f"mutation {{ {ONE} }}"}}, 405),
        ("POST", {"data": {"query": f"mutation {{ {ONE} }}"}}, 415),
        (
            "POST",
            {"content": json.dumps({"query": f"mutation {{ {ONE} }}"}), "headers": {"content-type": "text/plain"}},
            415,
        ),
        ("POST", {"files": {"query": ("q", f"mutation {{ {ONE} }}")}}, 415),
        ("POST", {"content": json.dumps({"query": f"mutation {{ {ONE} }}"})}, 415),
        ("POST", {"json": [{"query": f"mutation {{ {ONE} }}"}]}, 400),
    ],
)
async def test_no_other_door_signs_in(
    hub: Hub, county: County, method: str, options: dict[str, Any], status: int
) -> None:
    response = await hub.http.request(method, "/graphql", **options)
    assert response.status_code == status
    assert "set-cookie" not in response.headers
    assert count(county, "select count(*) from sign_in_failures") == 0


@pytest.mark.parametrize("path", ["/welcome/invitation", "/welcome/acceptance"])
@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"json": {"code": "x", "displayName": "x", "password": PASSWORD}}, 403),  # without our header
        ({"content": b'{"code": "x"}', "headers": {"x-hub": "1", "content-type": "text/plain"}}, 400),
        ({"content": b"{", "headers": {"x-hub": "1", "content-type": "application/json"}}, 400),
        ({"content": b"[" * 10_000, "headers": {"x-hub": "1", "content-type": "application/json"}}, 400),
        ({"content": b'{"code":"' + b"x" * 20_000, "headers": {"x-hub": "1", "content-type": "application/json"}}, 400),
        ({"json": {"code": 7, "displayName": None, "password": []}, "headers": {"x-hub": "1"}}, 400),
        (
            {
                "content": rb'{"code": "x\u0000\udc00", "displayName": "x", "password": "lantern harbour"}',
                "headers": {"x-hub": "1", "content-type": "application/json"},
            },
            404,
        ),
    ],
)
async def test_the_welcome_page_asks_for_itself_only(hub: Hub, path: str, options: dict[str, Any], status: int) -> None:
    response = await hub.http.post(path, **options)
    assert response.status_code == status, response.text
    assert "set-cookie" not in response.headers


# -- strange input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("", ""),
        ("achieng\x00", PASSWORD),
        ("\ud800achieng", PASSWORD),
        ("achieng", "\ud800\x00"),
        ("аchieng", PASSWORD),  # a Cyrillic а
        ("achieng' or '1'='1", PASSWORD),
        ("%", PASSWORD),
        ("a" * 100_000, "b" * 100_000),
    ],
)
async def test_strange_names_and_passwords_are_wrong_ones(hub: Hub, name: str, password: str) -> None:
    status, error, _ = await attempt(hub, name, password)
    assert (status, error["extensions"]["code"]) == (401, "UNAUTHENTICATED")
    assert error["message"] == "Name and password do not fit, or the account is closed."


@pytest.mark.parametrize("given", [{"name": "achieng"}, {"name": 1, "password": "x"}, {"name": None, "password": "x"}])
async def test_what_does_not_fit_the_schema_is_refused(hub: Hub, given: dict[str, Any]) -> None:
    response = await hub.post(SIGN_IN, {"input": given})
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


# -- tokens ------------------------------------------------------------------------------------------------------------


async def test_an_old_token_replayed_after_signing_out(hub: Hub) -> None:
    token = await hub.token("achieng")
    assert (await hub.post("mutation { signOut }", token=token)).json() == {"data": {"signOut": True}}
    for operation in ("{ me { id } }", "mutation { signOut }", f"mutation {{ {ONE} }}", "{ wards { totalCount } }"):
        assert (await hub.post(operation, token=token)).status_code == 401


async def test_a_token_in_an_address_or_a_body_is_nothing(hub: Hub) -> None:
    token = await hub.token("achieng")
    asked = {"query": "{ me { id } }", "token": token, "extensions": {"authorization": f"Bearer {token}"}}
    response = await hub.http.post("/graphql", params={"token": token, "access_token": token}, json=asked)
    assert response.json() == {"data": {"me": None}}
    assert (await hub.http.post("/graphql", json=asked, headers={"x-authorization": f"Bearer {token}"})).json() == {
        "data": {"me": None}
    }


async def test_a_flood_of_forged_tokens_does_not_reach_the_database(hub: Hub) -> None:
    good = await hub.token("achieng")
    _, key, expiry, secret, mark = good.split(".")
    asked = 0
    fetch = hub.app.state.sessions.fetch

    async def counted(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        return await fetch(*arguments)

    hub.app.state.sessions.fetch = counted
    begun = time.perf_counter()
    for at in range(500):
        forged = f"hub1.{at:08x}.{expiry}.{secret}.{mark}" if at % 2 else f"hub1.{key}.{expiry}.{secret[1:]}x.{mark}"
        assert (await hub.post("{ me { id } }", token=forged)).status_code == 401
    seconds = time.perf_counter() - begun
    # A key that nobody here knows is looked for once in five seconds, however many tokens name one.
    assert asked <= 1 + seconds / 5
    assert seconds / 500 < 0.05


async def test_a_token_that_is_ours_but_was_never_given_is_refused_and_remembered(hub: Hub) -> None:
    from hub.identity import tokens

    await hub.token("achieng")
    (key,) = hub.app.state.identity._keys.values()
    made = tokens.write(key, int(time.time()) + 600)
    for _ in range(3):
        assert (await hub.post("{ me { id } }", token=made)).status_code == 401


# -- what is written down ----------------------------------------------------------------------------------------------


async def test_neither_logs_nor_answers_nor_tables_hold_secrets(
    hub: Hub, county: County, caplog: pytest.LogCaptureFixture, cluster: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    canary = "canary-7f3a lantern millet"
    await attempt(hub, "achieng", canary)
    token = await hub.token("achieng")
    await hub.ask("{ me { id } }", token=token)
    await hub.post("{ me { id } }", token=token[:-1])
    # A hub that breaks over it keeps it to itself, too.
    hub.app.state.identity._throttle._settings = None
    broken = await hub.post(SIGN_IN, {"input": {"name": "achieng", "password": canary}}, token=token)
    assert broken.json()["errors"][0]["extensions"]["code"] == "INTERNAL"
    logged = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    for secret in (canary, token, token.split(".")[3]):
        assert secret not in logged
        assert secret not in broken.text
    for file in cluster.log.glob("*"):
        written = file.read_text(errors="replace")
        assert canary not in written
        assert token.split(".")[3] not in written
    with psycopg.connect(county.owner_url) as owner:
        for table in ("sign_ins", "credentials", "invitations", "sign_in_failures"):
            rows = owner.execute(f"select t::text from {table} t".encode()).fetchall()
            assert not any(token in row or canary in row or PASSWORD in row for (row,) in rows)
