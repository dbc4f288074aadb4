"""`hub user …` and the one-time links: from the first start to a closed account."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg
import pytest
from click.testing import CliRunner, Result

from hub.identity.door import COOKIE
from hub.settings import Settings
from hub.users import FIRST, UserRefused, accounts, add, first_link, link, user
from schema.access import ACCESS
from tests.conftest import PASSWORD, County, Hub, make_person, running

BASE = "http://127.0.0.1:8000"

Run = Callable[..., Result]


@pytest.fixture
def run(fresh_database: County, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`hub user …` on a county of its own."""
    monkeypatch.setenv("HUB_DATABASE_URL", fresh_database.login_url)
    monkeypatch.setenv("HUB_PORT", "8123")

    def ran(*arguments: str) -> Result:
        return CliRunner().invoke(user, arguments)

    return ran


def one(county: County, question: str, *values: object) -> object:
    with psycopg.connect(county.owner_url) as owner:
        row = owner.execute(question.encode(), values).fetchone()
    return row[0] if row else None


def code_of(made: str) -> str:
    address, _, code = made.partition("#")
    assert address.endswith("/welcome")
    assert len(code) == 43
    return code


async def accept(hub: Hub, code: str, password: str = PASSWORD, called: str = "Achieng Otieno") -> tuple[int, str]:
    response = await hub.http.post(
        "/welcome/acceptance",
        json={"code": code, "displayName": called, "password": password},
        headers={"x-hub": "1"},
    )
    set_cookie = response.headers.get("set-cookie", "")
    assert bool(set_cookie) == (response.status_code == 200)
    return response.status_code, set_cookie.partition(";")[0].removeprefix(f"{COOKIE}=")


# -- the first start ---------------------------------------------------------------------------------------------------


async def test_the_first_start_makes_an_administrator_who_chooses_a_password(fresh_database: County) -> None:
    first = first_link(fresh_database.login_url, BASE + "/")
    assert first is not None
    assert first.startswith(f"{BASE}/welcome#")
    # Started again before anybody came: the newer link counts.
    second = first_link(fresh_database.login_url, BASE)
    assert second is not None
    async with running(fresh_database.login_url) as hub:
        assert (await accept(hub, code_of(first)))[0] == 404
        looked = await hub.http.post("/welcome/invitation", json={"code": code_of(second)}, headers={"x-hub": "1"})
        assert looked.json()["data"]["name"] == FIRST
        # Nobody signs in without a password, whatever they try.
        for password in ("", "admin", "administrator", "password"):
            status, code, _ = await hub.refusal(
                f'mutation {{ signIn(input: {{ name: "{FIRST}", password: "{password}" }}) {{ token }} }}'
            )
            assert (status, code) == (401, "UNAUTHENTICATED")
        with psycopg.connect(fresh_database.owner_url) as owner:
            owner.execute("delete from sign_in_failures")
        status, token = await accept(hub, code_of(second))
        assert status == 200
        me = await hub.ask("{ me { name displayName roles } }", token=token)
        assert me["me"] == {"name": FIRST, "displayName": "Achieng Otieno", "roles": ["ADMINISTRATOR"]}
        assert await hub.token(FIRST)
    assert first_link(fresh_database.login_url, BASE) is None


def test_no_first_link_where_somebody_administers_or_did(fresh_database: County) -> None:
    make_person(fresh_database, "juma", "administrator")
    assert first_link(fresh_database.login_url, BASE) is None
    with psycopg.connect(fresh_database.owner_url) as owner:
        owner.execute("update people set disabled_at = now()")
    assert first_link(fresh_database.login_url, BASE) is None


def test_two_first_starts_at_once_make_one_person(fresh_database: County) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor() as pool:
        links = list(pool.map(lambda _: first_link(fresh_database.login_url, BASE), range(4)))
    assert len(set(links)) == 4
    assert one(fresh_database, "select count(*) from people") == 1
    assert one(fresh_database, "select count(*) from invitations where used_at is null and expires_at > now()") == 1


# -- links -------------------------------------------------------------------------------------------------------------


async def test_a_link_opens_once_even_for_two_at_the_same_time(fresh_database: County) -> None:
    with accounts(fresh_database.login_url) as connection:
        add(connection, "achieng")
        code = code_of(link(connection, "achieng", BASE, 24))
    async with running(fresh_database.login_url) as hub:
        answers = await asyncio.gather(*(accept(hub, code, f"{PASSWORD} {at}") for at in range(6)))
        assert sorted(status for status, _ in answers)[0] == 200
        assert [status for status, _ in answers].count(200) == 1
        assert {status for status, _ in answers} <= {200, 404, 409}
        assert (await accept(hub, code))[0] == 404
    assert one(fresh_database, "select count(*) from sign_ins") == 1


async def test_a_link_that_is_old_forged_or_of_a_closed_account_does_not_open(fresh_database: County, run: Run) -> None:
    async with running(fresh_database.login_url) as hub:
        with accounts(fresh_database.login_url) as connection:
            add(connection, "achieng")
            code = code_of(link(connection, "achieng", BASE, 24))
        with psycopg.connect(fresh_database.owner_url) as owner:
            owner.execute(
                "update invitations set created_at = now() - interval '2 days', expires_at = now() - interval '1 s'"
            )
        for dead in (code, code[:-1], "", "x" * 43, "ü" * 43):
            assert (await accept(hub, dead))[0] == 404
            looked = await hub.http.post("/welcome/invitation", json={"code": dead}, headers={"x-hub": "1"})
            assert looked.status_code == 404
        with accounts(fresh_database.login_url) as connection:
            code = code_of(link(connection, "achieng", BASE, 24))
        assert run("disable", "achieng").exit_code == 0
        assert (await accept(hub, code))[0] == 404
        assert "hub user enable achieng" in run("link", "achieng").output
    assert one(fresh_database, "select count(*) from credentials") == 0


async def test_a_refused_password_leaves_the_link_open(fresh_database: County) -> None:
    with accounts(fresh_database.login_url) as connection:
        add(connection, "achieng")
        code = code_of(link(connection, "achieng", BASE, 24))
    async with running(fresh_database.login_url) as hub:
        for password in ("short", "achieng for ever", "password2026!"):
            assert (await accept(hub, code, password))[0] == 400
        assert (await accept(hub, code, called="\u202e" * 3))[0] == 400
        assert (await accept(hub, code))[0] == 200


async def test_a_new_password_ends_every_other_sign_in(fresh_database: County, run: Run) -> None:
    make_person(fresh_database, "achieng", "planner")
    async with running(fresh_database.login_url) as hub:
        before = await hub.token("achieng")
        told = run("link", "achieng", "--address", "https://hub.example").output
        assert "https://hub.example/welcome#" in told
        status, after = await accept(hub, code_of(told.split()[-1]), "another harbour drum lantern")
        assert status == 200
        hub.app.state.identity._kept.clear()
        assert (await hub.post("{ me { id } }", token=before)).status_code == 401
        assert (await hub.post("{ me { id } }", token=after)).status_code == 200
        with pytest.raises(AssertionError):
            await hub.token("achieng")
        assert await hub.token("achieng", "another harbour drum lantern")
    assert one(fresh_database, "select revoked_reason from sign_ins order by created_at limit 1") == "password"


# -- commands ----------------------------------------------------------------------------------------------------------


def test_an_account_from_beginning_to_end(run: Run, fresh_database: County) -> None:
    assert "There is nobody yet" in run("list").output
    made = run("add", "Okello", "--display", "Okello Odhiambo", "--role", "ward-administrator", "--area", "1208")
    assert made.exit_code == 0, made.output
    assert "Made the account okello." in made.output
    assert "within 24 hours" in made.output
    assert "http://127.0.0.1:8123/welcome#" in made.output
    assert one(fresh_database, "select display_name from people where name = 'okello'") == "Okello Odhiambo"
    assert run("role", "okello", "+planner", "+auditor").output == (
        "okello now holds auditor, planner, ward_administrator.\n"
    )
    assert run("role", "okello", "-auditor", "-planner").output == "okello now holds ward_administrator.\n"
    assert run("area", "okello", "+242", "-1208").output == "okello now answers for 242.\n"
    listed = run("list").output.splitlines()
    assert listed[0].split() == ["name", "called", "roles", "areas", "state", "last", "signed", "in"]
    assert listed[1].split() == ["okello", "Okello", "Odhiambo", "ward_administrator", "242", "invited", "-"]
    assert "is closed" in run("disable", "okello").output
    assert "was closed before" in run("disable", "okello").output
    assert "disabled" in run("list").output
    assert "is open" in run("enable", "okello").output
    assert "was open before" in run("enable", "okello").output
    # Nothing of it is forgotten.
    assert one(fresh_database, "select count(*) from person_roles where revoked_at is not null") == 2
    assert one(fresh_database, "select count(*) from person_areas where until is not null") == 1
    assert one(fresh_database, "select version from people") == 3


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (("add", "A B"), "“a b” is no sign-in name"),
        (("add", "x"), "is no sign-in name"),
        (("add", "-x"), "No such option"),
        (("add", "okello", "--role", "king"), "“king” is no role. There are citizen, "),
        (("add", "okello", "--role", "service"), "“service” is no role"),
        (("add", "okello", "--role", "public"), "“public” is no role"),
        (("add", "okello", "--area", "9999"), "No unit of the county has the code 9999"),
        (("add", "okello", "--display", " "), "1 to 120 characters"),
        (("add", "juma"), "somebody called juma already"),
        (("role", "nobody", "+planner"), "nobody called nobody"),
        (("role", "juma", "planner"), "say +role to give and -role to take"),
        (("role", "juma", "+planner", "-planner"), "given and taken at once"),
        (("role", "juma", "+"), "say +role to give"),
        (("area", "juma", "1208"), "say +code to give"),
        (("disable", "nobody"), "nobody called nobody"),
        (("link", "nobody"), "nobody called nobody"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    run: Run, fresh_database: County, arguments: tuple[str, ...], refusal: str
) -> None:
    make_person(fresh_database, "juma", "administrator")
    ran = run(*arguments)
    assert ran.exit_code != 0
    assert refusal in ran.output
    assert "Traceback" not in ran.output
    assert one(fresh_database, "select count(*) from people") == 1
    assert one(fresh_database, "select count(*) from person_roles") == 1


def test_what_one_should_know_is_said(run: Run) -> None:
    narrow = run("add", "faraji", "--role", "ward_administrator")
    assert "sees nothing before `hub user area faraji +CODE`" in narrow.output
    make = run("add", "juma", "--role", "administrator")
    assert make.exit_code == 0
    assert "No administrator can sign in now" in run("disable", "juma").output


def test_a_new_key(run: Run, fresh_database: County) -> None:
    assert "signs in a minute" in run("new-key").output
    assert one(fresh_database, "select count(*) from token_keys where valid_until is null") == 1
    assert "wait for it" in run("new-key").output
    assert "Everybody signs in anew" in run("new-key", "--at-once").output
    assert one(fresh_database, "select count(*) from token_keys where valid_until is null or valid_until > now()") == 1


def test_help_says_what_there_is(run: Run) -> None:
    told = run("--help").output
    for name in user.commands:
        assert name in told
        assert run(name, "--help").exit_code == 0
    assert all(role in " ".join(run("add", "--help").output.split()) for role in ACCESS.personal)


def test_without_a_database_or_its_tables(run: Run, empty_database: County, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_DATABASE_URL", empty_database.login_url)
    assert "hub migrate" in run("list").output
    monkeypatch.setenv("HUB_DATABASE_URL", "postgresql://hub_login@/nowhere?host=/nonexistent")
    assert "The database does not answer" in run("list").output


def test_a_failed_command_leaves_nothing(fresh_database: County) -> None:
    with pytest.raises(UserRefused), accounts(fresh_database.login_url) as connection:
        add(connection, "okello", roles=["planner"], areas=["9999"])
    assert one(fresh_database, "select count(*) from people") == 0


def test_times_are_settings() -> None:
    settings = Settings()
    assert (settings.sign_in.token_hours, settings.sign_in.link_hours) == (12, 24)
    assert (settings.sign_in.sign_in_tries, settings.sign_in.sign_in_address_tries) == (5, 5)
