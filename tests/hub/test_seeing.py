"""An administrator looks at the hub as others see it, and sees no more by it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from schema.access import ACCESS
from tests.conftest import County, Hub, make_person, running

AHERO, KONDELE = [34.9189, -0.1723], [34.7700, -0.0850]
REPORT = "mutation ($input: ReportIncidentInput!) { reportIncident(input: $input) { incident { id } } }"
SEEN = """{ incidents { totalCount nodes { title reporter { name } timeline { totalCount } reportedBy { name } } }
  people { totalCount } }"""


@pytest_asyncio.fixture
async def place(fresh_database: County) -> AsyncIterator[Hub]:
    """Two incidents in two wards, one with a caller; an administrator, a dispatcher, a planner."""
    for name in ("administrator", "dispatcher", "planner"):
        make_person(fresh_database, name, name)
    async with running(fresh_database.login_url) as hub:
        token = await hub.token("dispatcher")
        for title, location, more in (
            ("Nyando over its banks", AHERO, {"reporterName": "Akinyi Canary"}),
            ("Fire at the market", KONDELE, {}),
        ):
            given = {"kind": "OTHER", "title": title, "location": location, **more}
            await hub.ask(REPORT, {"input": given}, token=token)
        yield hub


async def seen(hub: Hub, who: str, words: str | None) -> Any:
    headers = {"x-hub-see-as": words} if words is not None else {}
    return (await hub.post(SEEN, token=await hub.token(who), headers=headers)).json()


async def titles(hub: Hub, words: str | None) -> list[str]:
    answer = await seen(hub, "administrator", words)
    assert "errors" not in answer, answer
    return sorted(node["title"] for node in answer["data"]["incidents"]["nodes"])


async def test_the_same_question_redacts_itself(place: Hub) -> None:
    assert await titles(place, None) == ["Fire at the market", "Nyando over its banks"]
    assert await titles(place, "coordinator") == ["Fire at the market", "Nyando over its banks"]
    assert await titles(place, "ward_administrator@1208") == ["Nyando over its banks"]
    assert await titles(place, "sub_county_administrator@242") == ["Nyando over its banks"]
    assert await titles(place, "public") == []
    assert await titles(place, "citizen") == []
    # What the role sees of people beside: a coordinator reads them, a planner does not.
    for words, sees in (("coordinator", 3), ("planner", 0), ("public", 0)):
        assert (await seen(place, "administrator", words))["data"]["people"]["totalCount"] == sees


@pytest.mark.parametrize("role", ["public", *ACCESS.personal])
async def test_nobody_sees_callers_by_it_who_may_not_see_them(place: Hub, role: str) -> None:
    words = f"{role}@1208" if ACCESS.roles[role].scope == "hub_area" else role
    answer = await place.post(SEEN, token=await place.token("administrator"), headers={"x-hub-see-as": words})
    assert answer.status_code == 200
    assert "Canary" not in answer.text
    # A dispatcher does see them: the question would show it.
    assert "Canary" in (await place.post(SEEN, token=await place.token("dispatcher"))).text


@pytest.mark.parametrize("role", sorted(ACCESS.personal))
def test_a_part_of_a_role_gives_no_more_than_the_viewer_has(role: str) -> None:
    parts = ACCESS.shown(["citizen", "administrator"], role)
    assert parts is not None
    for part in parts:
        noun = part.partition("/")[2]
        assert noun == "journal" or ACCESS.right("administrator", noun).read.name == "COUNTY"
    assert f"{role}/callers" not in parts


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("emperor", "BAD_USER_INPUT", "there is no such role"),
        ("service", "BAD_USER_INPUT", "there is no such role"),
        ("", "BAD_USER_INPUT", "there is no such role"),
        ("ward_administrator", "BAD_USER_INPUT", "say where"),
        ("ward_administrator@9999", "BAD_USER_INPUT", "no unit of the county"),
        ("ward_administrator@1208' or true --", "BAD_USER_INPUT", "no unit of the county"),
        ("coordinator@1208", "BAD_USER_INPUT", "leave @1208 out"),
    ],
)
async def test_words_that_describe_nobody_are_refused(place: Hub, words: str, code: str, says: str) -> None:
    (error,) = (await seen(place, "administrator", words))["errors"]
    assert error["extensions"]["code"] == code
    assert says in error["message"]


@pytest.mark.parametrize("who", ["dispatcher", "planner"])
async def test_only_an_administrator_looks(place: Hub, who: str) -> None:
    (error,) = (await seen(place, who, "public"))["errors"]
    assert error["extensions"]["code"] == "FORBIDDEN"


async def test_looking_changes_nothing(place: Hub) -> None:
    given = {"kind": "OTHER", "title": "Made while looking", "location": AHERO}
    headers = {"x-hub-see-as": "coordinator"}
    answer = await place.post(REPORT, {"input": given}, token=await place.token("administrator"), headers=headers)
    (error,) = answer.json()["errors"]
    assert (error["extensions"]["code"], answer.status_code) == ("FORBIDDEN", 403)
    assert len(await titles(place, None)) == 2


async def test_two_who_look_from_two_places_share_no_connection_state(place: Hub) -> None:
    for _ in range(3):
        assert await titles(place, "ward_administrator@1208") == ["Nyando over its banks"]
        assert await titles(place, "public") == []
        assert len(await titles(place, None)) == 2
