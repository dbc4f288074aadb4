"""Proving who one is: passwords, tokens, the cookie, and how soon what was taken away is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from http.cookies import SimpleCookie
from statistics import median

import httpx
import psycopg
import pytest
import pytest_asyncio

from hub.identity import passwords, sign_ins, throttle, tokens
from hub.identity.door import COOKIE
from hub.identity.passwords import HASHER, Passwords, judge
from hub.identity.tokens import BadToken, Key, UnknownKey
from hub.settings import Database, Settings, SignIn
from hub.users import accounts, change_roles, disable, enable, new_key
from schema.access import Scope
from schema.errors import BadUserInput, Unavailable
from tests.conftest import PASSWORD, SIGN_IN, County, Hub, make_person, running

NOW = 1_900_000_000.0
ME = "{ me { name roles } }"


@pytest.fixture(scope="module")
def county(copies: Callable[[], AbstractContextManager[County]]) -> Iterator[County]:
    with copies() as made:
        make_person(made, "achieng", "coordinator", display="Achieng Otieno")
        make_person(made, "okello", "ward_administrator", "planner", areas=("1208",))
        make_person(made, "grace", "sub_county_administrator", areas=("242",))
        make_person(made, "plain")
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def hub(county: County) -> AsyncIterator[Hub]:
    async with running(county.login_url) as made:
        yield made
    forget_failures(county)


def forget_failures(county: County) -> None:
    with psycopg.connect(county.owner_url) as owner:
        owner.execute("delete from sign_in_failures")


def at_once(monkeypatch: pytest.MonkeyPatch, seconds: float = 0) -> None:
    """Ask the database again after so many seconds instead of five."""
    monkeypatch.setattr(sign_ins, "ASKED_AGAIN_AFTER", seconds)


# -- passwords ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("password", "refusal"),
    [
        ("short", "5 characters: take 12 or more"),
        ("elevenchars", "11 characters"),
        ("a" * 1025, "over 1,024"),
        ("my name is achieng", "holds “achieng”"),
        ("OTIENO was here 42", "holds “otieno”"),
        ("aaaaaaaaaaaaaaa", "repeats a few"),
        ("121212121212", "repeats a few"),
        ("123456789012", "row of figures"),
        ("password1234", "tried first"),
        ("P@ssw0rd!2026", "tried first"),
        ("KisumuCounty1!", "tried first"),
        ("qwertyuiop123", "tried first"),
        ("2026kisumu2026", "tried first"),
    ],
)
def test_a_password_that_others_would_try_is_refused(password: str, refusal: str) -> None:
    with pytest.raises(BadUserInput, match=refusal):
        judge(password, "achieng", "Achieng Otieno")


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD,
        "correct horse battery",
        "ndizi na maziwa",
        "nyama choma kesho",
        "8467 1920 3755 31",
        "🦒🐘🦓🦏🐊🦛🐆🦁🐃🦌🐒🦜",
    ],
)
def test_a_long_password_needs_nothing_else(password: str) -> None:
    judge(password, "achieng", "Achieng Otieno")


def test_hashes_have_the_parameters_that_owasp_names() -> None:
    assert HASHER.hash("x").startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    # Nobody's hash takes as long as anybody's.
    nobodys = Passwords()._nobodys
    assert nobodys.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert len(nobodys) == len(HASHER.hash("x"))
    assert not passwords.is_outdated(nobodys)


async def test_the_same_letters_are_the_same_password() -> None:
    keeper = Passwords()
    hashed = await keeper.hash("café au lait né")
    assert await keeper.matches(hashed, "cafe\u0301 au lait ne\u0301")
    assert not await keeper.matches(hashed, "cafe au lait ne")
    assert not await keeper.matches(None, "café au lait né")
    # Half a pair of surrogates and a NUL are letters like any other.
    odd = await keeper.hash("\ud800 \x00 odd")
    assert await keeper.matches(odd, "\ud800 \x00 odd")


async def test_few_hash_at_once_and_a_crowd_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    running_now = most = 0

    def slow(hashed: str, password: bytes) -> bool:
        nonlocal running_now, most
        running_now += 1
        most = max(most, running_now)
        time.sleep(0.005)
        running_now -= 1
        return True

    monkeypatch.setattr(passwords, "_matches", slow)
    keeper = Passwords()
    answers = await asyncio.gather(
        *(keeper.matches("x", "y") for _ in range(passwords.MOST_WAITING + 5)), return_exceptions=True
    )
    assert most <= passwords.AT_ONCE
    assert answers.count(True) == passwords.MOST_WAITING
    assert sum(isinstance(answer, Unavailable) for answer in answers) == 5
    assert await keeper.matches("x", "y")


async def test_a_hash_of_old_parameters_is_renewed(hub: Hub, county: County) -> None:
    from argon2 import PasswordHasher

    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    update = "update credentials set password_hash = %s where person_id = (select id from people where name = 'plain')"
    with psycopg.connect(county.owner_url) as owner:
        owner.execute(update, (weak,))
    await hub.token("plain")
    with psycopg.connect(county.owner_url) as owner:
        (kept,) = owner.execute(
            "select password_hash from credentials join people on id = person_id where name = 'plain'"
        ).fetchone() or ("",)
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    await hub.token("plain")


# -- tokens ------------------------------------------------------------------------------------------------------------

KEY = Key("0badcafe", b"k" * 32, 0.0, None)


def test_a_token_is_read_with_its_key_until_it_expires() -> None:
    token = tokens.write(KEY, int(NOW) + 60)
    seen = tokens.read(token, {KEY.id: KEY}, NOW)
    assert seen.expires_at.timestamp() == NOW + 60
    assert seen.digest == tokens.digest(token)
    assert token not in repr(seen)
    with pytest.raises(BadToken):
        tokens.read(token, {KEY.id: KEY}, NOW + 60)
    assert tokens.write(KEY, int(NOW)) != tokens.write(KEY, int(NOW))


def test_a_token_with_any_character_changed_is_refused() -> None:
    token = tokens.write(KEY, int(NOW) + 60)
    for at, letter in enumerate(token):
        for other in {"A", "B", "0", "1", ".", "-", "é"} - {letter}:
            forged = token[:at] + other + token[at + 1 :]
            with pytest.raises(BadToken):
                tokens.read(forged, {KEY.id: KEY}, NOW)
        with pytest.raises(BadToken):
            tokens.read(token[:at], {KEY.id: KEY}, NOW)


def test_a_token_of_another_key_is_refused() -> None:
    token = tokens.write(KEY, int(NOW) + 60)
    with pytest.raises(UnknownKey):
        tokens.read(token, {}, NOW)
    with pytest.raises(BadToken):
        tokens.read(token, {KEY.id: Key(KEY.id, b"x" * 32, 0.0, None)}, NOW)
    with pytest.raises(BadToken):
        tokens.read(token, {KEY.id: Key(KEY.id, KEY.secret, 0.0, NOW)}, NOW)


async def test_a_rotated_key_leaves_everybody_signed_in(county: County, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once(monkeypatch)
    keys = "select count(*) filter (where valid_until is null or valid_until > now()), count(*) from token_keys"
    async with running(county.login_url) as one, running(county.login_url) as two:
        before = await one.token("achieng")
        with accounts(county.login_url) as connection:
            new_key(connection, timedelta(hours=12), at_once=False)
        # It signs only once every worker can know it.
        assert (await one.token("achieng")).split(".")[1] == before.split(".")[1]
        with psycopg.connect(county.owner_url) as owner:
            owner.execute("update token_keys set signs_from = now() - interval '1 s' where signs_from > now()")
            assert owner.execute(keys).fetchone() == (2, 2)
        after = await one.token("achieng")
        assert after.split(".")[1] != before.split(".")[1]
        for hub in (one, two):
            for token in (before, after):
                assert (await hub.ask(ME, token=token))["me"]["name"] == "achieng"
        # Two at a time: with the next one the first is over.
        with accounts(county.login_url) as connection:
            new_key(connection, timedelta(hours=12), at_once=False)
        with psycopg.connect(county.owner_url) as owner:
            owner.execute("update token_keys set signs_from = now() - interval '1 s' where signs_from > now()")
            assert owner.execute(keys).fetchone() == (2, 3)
        assert (await two.post(ME, token=after)).status_code == 200
        assert (await two.post(ME, token=before)).status_code == 401
        # A key that leaked: nobody stays signed in.
        with accounts(county.login_url) as connection:
            new_key(connection, timedelta(hours=12), at_once=True)
        newest = await one.token("achieng")
        assert (await two.post(ME, token=newest)).status_code == 200
        assert (await two.post(ME, token=after)).status_code == 401


async def test_a_token_lasts_as_long_as_the_setting_says(county: County) -> None:
    settings = Settings(database=Database(database_url=county.login_url), sign_in=SignIn(token_hours=1.2 / 3600))
    async with running(county.login_url, settings) as hub:
        token = await hub.token("achieng")
        assert (await hub.ask(ME, token=token))["me"]["name"] == "achieng"
        await asyncio.sleep(1.5)
        assert (await hub.post(ME, token=token)).status_code == 401


async def test_bad_tokens_are_refused_without_the_database(county: County, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(county.login_url) as hub:
        good = await hub.token("achieng")
        _, key, expiry, secret, mark = good.split(".")
        bad = [
            "",
            "x",
            good[:-1],
            f"hub1.{key}.{expiry}.{secret[::-1]}.{mark}",
            f"hub1.{key}.1000000000.{secret}.{mark}",
            f"hub1.{key}.{int(expiry) + 3600}.{secret}.{mark}",
            *(f"hub1.{at:08x}.{expiry}.{secret}.{mark}" for at in range(50)),
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhY2hpZW5nIn0.",
        ]
        await hub.app.state.sessions.close()  # whatever would ask the database now is 503
        monkeypatch.setattr(hub.app.state.identity, "_keys_at", time.monotonic())
        for token in bad:
            response = await hub.post(ME, headers={"authorization": f"Bearer {token}"})
            assert response.status_code == 401, token
            assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
            assert response.headers["www-authenticate"] == "Bearer"
        # The good one was looked up a moment ago; a good one that was not must be asked after.
        hub.app.state.identity._kept.clear()
        assert (await hub.post(ME, token=good)).status_code == 503


# -- who one is --------------------------------------------------------------------------------------------------------


async def test_a_caller_has_the_widest_scope_and_the_areas_with_what_lies_in_them(hub: Hub) -> None:
    async def caller(name: str):  # type: ignore[no-untyped-def]
        return (await hub.app.state.identity.recognise(await hub.token(name))).caller

    okello, grace, plain = [await caller(name) for name in ("okello", "grace", "plain")]
    assert (okello.scope, okello.roles) == (Scope.COUNTY, ("citizen", "planner", "ward_administrator"))
    assert len(okello.areas) == 1
    assert (grace.scope, grace.roles) == (Scope.AREA, ("citizen", "sub_county_administrator"))
    assert len(grace.areas) == 6  # Nyando and its five wards
    assert set(okello.areas) < set(grace.areas)
    assert (plain.scope, plain.roles, plain.areas) == (Scope.OWN, ("citizen",), ())


async def test_what_is_taken_away_is_gone_within_ten_seconds_on_every_worker(county: County) -> None:
    make_person(county, "baraka", "coordinator")
    async with running(county.login_url) as one, running(county.login_url) as two:
        out, off = await one.token("baraka"), await one.token("baraka")
        for token in (out, off):
            for hub in (one, two):
                assert (await hub.ask("{ people { totalCount } }", token=token))["people"]["totalCount"] > 1
        await one.post("mutation { signOut }", token=out)
        assert (await one.post(ME, token=out)).status_code == 401
        # Straight in the table, as an administrator's change would be: the sign-in goes on with what is left.
        with psycopg.connect(county.owner_url) as owner:
            owner.execute(
                "update person_roles set revoked_at = now() where role = 'coordinator' "
                "and person_id = (select id from people where name = 'baraka')"
            )
        begun = time.monotonic()
        await asyncio.sleep(5.1)
        assert (await two.post(ME, token=out)).status_code == 401
        assert (await two.ask("{ me { roles } people { totalCount } }", token=off)) == {
            "me": {"roles": []},
            "people": {"totalCount": 1},
        }
        with accounts(county.login_url) as connection:
            disable(connection, "baraka")
        await asyncio.sleep(5.1)
        assert (await two.post(ME, token=off)).status_code == 401
        assert time.monotonic() - begun < 20
        with accounts(county.login_url) as connection:
            enable(connection, "baraka")
        # An account that is opened again does not bring its sign-ins back.
        await asyncio.sleep(5.1)
        assert (await two.post(ME, token=off)).status_code == 401


async def test_changed_roles_end_the_sign_ins(hub: Hub, county: County, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once(monkeypatch)
    make_person(county, "chebet", "planner")
    token = await hub.token("chebet")
    with accounts(county.login_url) as connection:
        change_roles(connection, "chebet", ["planner"], [])  # held already: nothing changes
    assert (await hub.post(ME, token=token)).status_code == 200
    with accounts(county.login_url) as connection:
        assert change_roles(connection, "chebet", ["coordinator"], ["planner"]) == ["coordinator"]
    assert (await hub.post(ME, token=token)).status_code == 401
    assert (await hub.ask(ME, token=await hub.token("chebet")))["me"]["roles"] == ["COORDINATOR"]


async def test_a_disabled_person_cannot_sign_in(hub: Hub, county: County) -> None:
    make_person(county, "daudi", "planner")
    with accounts(county.login_url) as connection:
        disable(connection, "daudi")
    variables = {"input": {"name": "daudi", "password": PASSWORD}}
    status, code, message = await hub.refusal(SIGN_IN, variables)
    assert (status, code) == (401, "UNAUTHENTICATED")
    assert message == sign_ins.WRONG
    with accounts(county.login_url) as connection:
        enable(connection, "daudi")
    assert await hub.token("daudi")


async def test_a_restarted_database_needs_no_restarted_hub(hub: Hub, county: County) -> None:
    token = await hub.token("achieng")
    with psycopg.connect(county.owner_url, autocommit=True) as owner:
        owner.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> "
            "pg_backend_pid()"
        )
    hub.app.state.identity._kept.clear()
    assert (await hub.post(ME, token=token)).status_code == 200


# -- the cookie --------------------------------------------------------------------------------------------------------

PAGE = {"x-hub": "1"}


def held(response: httpx.Response) -> str | None:
    """The token in the answer's cookie; None where none is set. Its attributes are checked."""
    set_cookie = response.headers.get_list("set-cookie")
    if not set_cookie:
        return None
    (one,) = set_cookie
    morsel = SimpleCookie(one)[COOKIE]
    assert one.startswith("__Host-hub=")
    assert (morsel["path"], morsel["secure"], morsel["httponly"], morsel["samesite"]) == ("/", True, True, "Lax")
    assert not morsel["domain"]
    assert (int(morsel["max-age"]) > 0) is bool(morsel.value)
    return morsel.value


async def in_page(hub: Hub, name: str = "achieng", **headers: str) -> httpx.Response:
    return await hub.post(SIGN_IN, {"input": {"name": name, "password": PASSWORD}}, headers=PAGE | headers)


async def test_only_the_page_is_given_a_cookie(hub: Hub) -> None:
    plain = await hub.post(SIGN_IN, {"input": {"name": "achieng", "password": PASSWORD}})
    assert held(plain) is None
    from_page = await in_page(hub)
    assert held(from_page) == from_page.json()["data"]["signIn"]["token"]
    wrong = await hub.post(SIGN_IN, {"input": {"name": "achieng", "password": "no"}}, headers=PAGE)
    assert (wrong.status_code, held(wrong)) == (401, None)


@pytest.mark.parametrize(
    ("headers", "counts"),
    [
        ({}, False),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"x-hub": "1"}, True),
        ({"x-hub": "yes"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"origin": "http://127.0.0.1"}, False),
    ],
)
async def test_the_cookie_counts_only_with_a_word_of_our_page(hub: Hub, headers: dict[str, str], counts: bool) -> None:
    token = held(await in_page(hub))
    answer = await hub.post(ME, headers={"cookie": f"other=1; {COOKIE}={token}; more=2"} | headers)
    assert answer.status_code == 200
    assert (answer.json()["data"]["me"] is not None) is counts


async def test_the_cookie_rotates_and_the_old_token_ends(hub: Hub) -> None:
    first = held(await in_page(hub))
    second = held(await in_page(hub, "okello", cookie=f"{COOKIE}={first}"))
    assert second
    assert second != first
    assert (await hub.post(ME, token=first)).status_code == 401
    assert (await hub.ask(ME, token=second))["me"]["name"] == "okello"
    # A bearer's own sign-in is not the page's: signing in again leaves it.
    bearer = await hub.token("achieng")
    await hub.post(SIGN_IN, {"input": {"name": "achieng", "password": PASSWORD}}, token=bearer)
    assert (await hub.post(ME, token=bearer)).status_code == 200


async def test_signing_out_ends_the_token_and_takes_the_cookie_away(hub: Hub) -> None:
    token = held(await in_page(hub))
    out = await hub.post("mutation { signOut }", headers=PAGE | {"cookie": f"{COOKIE}={token}"})
    assert out.json() == {"data": {"signOut": True}}
    assert held(out) == ""
    assert (await hub.post(ME, token=token)).status_code == 401
    again = await hub.post("mutation { signOut }", headers=PAGE)
    assert again.json() == {"data": {"signOut": False}}


async def test_a_cookie_that_has_ended_is_taken_away_with_the_refusal(hub: Hub) -> None:
    token = held(await in_page(hub))
    await hub.post("mutation { signOut }", token=token)
    refused = await hub.post(ME, headers=PAGE | {"cookie": f"{COOKIE}={token}"})
    assert refused.status_code == 401
    assert held(refused) == ""


async def test_a_bearer_token_goes_before_the_cookie(hub: Hub) -> None:
    cookie, bearer = held(await in_page(hub)), await hub.token("okello")
    both = PAGE | {"cookie": f"{COOKIE}={cookie}"}
    assert (await hub.post(ME, token=bearer, headers=both)).json()["data"]["me"]["name"] == "okello"
    assert (await hub.post(ME, headers=both | {"authorization": "Bearer no"})).status_code == 401
    assert (await hub.post(ME, headers=both | {"authorization": "Basic YTpi"})).status_code == 401


# -- the same time for everybody ---------------------------------------------------------------------------------------


async def test_unknown_disabled_and_wrong_take_the_same_time(
    county: County, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    make_person(county, "esther", "planner")
    with accounts(county.login_url) as connection:
        disable(connection, "esther")
    monkeypatch.setattr(throttle, "LONGEST_FOR_ACCOUNT", 0)
    monkeypatch.setattr(throttle, "LONGEST_FOR_ADDRESS", 0)
    took: dict[str, list[float]] = {"achieng": [], "nobody": [], "esther": [], "\x00\ud800": []}
    async with running(county.login_url) as hub:
        for _ in range(25):
            for name, times in took.items():
                begun = time.perf_counter()
                with pytest.raises(sign_ins.Unauthenticated, match="do not fit"):
                    await hub.app.state.identity.sign_in(name, "not the password", "192.0.2.1")
                times.append(time.perf_counter() - begun)
    forget_failures(county)
    medians = {ascii(name): round(median(times) * 1000, 1) for name, times in took.items()}
    record_property("milliseconds", medians)
    print(medians)
    # An answer without the hash would take a tenth of it.
    assert max(medians.values()) < 1.6 * min(medians.values()), medians
