"""What a dispatcher, an officer and a citizen can do with an incident, and what they are refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from tests.conftest import County, Hub, make_person, running

REPORT = """mutation Report($input: ReportIncidentInput!) {
  reportIncident(input: $input) { incident { id reference status version ward { code name } } }
}"""
MOVE = """mutation Move($input: ChangeIncidentStatusInput!) {
  changeIncidentStatus(input: $input) {
    incident { id status version timeline(first: 20) { nodes { at kind actor { name } note } } }
  }
}"""
IN_VIEW = """query IncidentsInView($bbox: BBox!, $first: Int!) {
  incidents(where: { location: { bbox: $bbox } }, orderBy: [{ reportedAt: DESC }], first: $first) {
    nodes { id reference title kind severity status reportedAt location ward { code name subCounty { name } } }
    pageInfo { hasNextPage endCursor }
  }
}"""
AHERO = [34.9189, -0.1723]
LAKE = [34.6, -0.2]


@pytest_asyncio.fixture
async def place(fresh_database: County) -> AsyncIterator[Hub]:
    """A hub of its own with people: a dispatcher, officers of two wards, two citizens."""
    make_person(fresh_database, "dispatcher", "dispatcher")
    make_person(fresh_database, "ahero", "field_officer", areas=["1208"])
    make_person(fresh_database, "seme", "field_officer", areas=["1202"])
    make_person(fresh_database, "nyando", "sub_county_administrator", areas=["242"])
    make_person(fresh_database, "citizen", "citizen")
    make_person(fresh_database, "planner", "planner")
    async with running(fresh_database.login_url) as hub:
        yield hub


def flood(**more: Any) -> dict[str, Any]:
    return {"kind": "FLOOD", "title": "Nyando over its banks at Ahero", "location": AHERO, "severity": "SEVERE", **more}


async def tell(hub: Hub, who: str, query: str, **given: Any) -> Any:
    """The data of an answer, or (status, code, message) of a refusal."""
    response = await hub.post(query, {"input": given}, token=await hub.token(who))
    answer = response.json()
    if answer.get("data") is None:
        return response.status_code, answer["errors"][0]["extensions"]["code"], answer["errors"][0]["message"]
    assert "errors" not in answer, answer
    return answer["data"]


async def see(hub: Hub, who: str | None, query: str, **variables: Any) -> Any:
    response = await hub.post(query, variables, token=await hub.token(who) if who else None)
    assert "errors" not in response.json(), response.json()
    return response.json()["data"]


async def reported(hub: Hub, who: str = "dispatcher", **more: Any) -> Any:
    return (await tell(hub, who, REPORT, **flood(**more)))["reportIncident"]["incident"]


async def test_a_dispatcher_reports_an_incident_and_takes_it_through_its_life(place: Hub) -> None:
    made = await reported(place)
    assert re.fullmatch(r"INC-20\d\d-000001", made["reference"])
    assert (made["status"], made["version"], made["ward"]["name"]) == ("REPORTED", 1, "Ahero")
    for version, status in enumerate(("VERIFIED", "RESPONDING", "CONTAINED", "CLOSED"), 2):
        moved = await tell(place, "dispatcher", MOVE, id=made["id"], status=status, note=f"now {status}")
        assert moved["changeIncidentStatus"]["incident"]["version"] == version
    entries = moved["changeIncidentStatus"]["incident"]["timeline"]["nodes"]
    assert [entry["kind"] for entry in entries] == ["REPORTED", "STATUS", "STATUS", "STATUS", "STATUS"]
    assert {entry["actor"]["name"] for entry in entries} == {"dispatcher"}


async def test_incidents_in_view_are_listed_newest_first_with_ward_and_sub_county(place: Hub) -> None:
    first, second = await reported(place), await reported(place, title="A second one")
    away = await reported(place, location=[34.45, -0.09], title="In Seme")
    found = (await see(place, "dispatcher", IN_VIEW, bbox=[34.8, -0.3, 35.0, 0.0], first=10))["incidents"]["nodes"]
    assert [each["id"] for each in found] == [second["id"], first["id"]]
    assert found[0]["ward"] == {"code": "1208", "name": "Ahero", "subCounty": {"name": "Nyando"}}
    assert found[0]["location"] == {"type": "Point", "coordinates": AHERO}
    assert away["id"] not in {each["id"] for each in found}


async def test_an_incident_on_the_lake_is_taken_without_a_ward_and_one_far_away_is_refused(place: Hub) -> None:
    assert (await reported(place, location=LAKE, kind="DROWNING"))["ward"] is None
    nairobi_road = await tell(place, "dispatcher", REPORT, **flood(location=[36.0, -0.5]))
    assert nairobi_road[:2] == (400, "BAD_USER_INPUT")
    assert nairobi_road[2].startswith("input.location lies more than 2 km outside")


async def test_a_step_that_the_state_machine_lacks_is_refused_and_says_which_there_are(place: Hub) -> None:
    made = await reported(place)
    status, code, message = await tell(place, "dispatcher", MOVE, id=made["id"], status="CLOSED")
    assert (status, code) == (409, "CONFLICT")
    assert "REJECTED, VERIFIED" in message
    status, code, message = await tell(place, "dispatcher", MOVE, id=made["id"], status="REJECTED")
    assert (status, code) == (400, "BAD_USER_INPUT")
    assert "input.note" in message


async def test_a_change_of_an_older_version_is_a_conflict_that_shows_both(place: Hub) -> None:
    made = await reported(place)
    await tell(place, "dispatcher", MOVE, id=made["id"], status="VERIFIED", expectedVersion=1)
    response = await place.post(
        MOVE,
        {"input": {"id": made["id"], "status": "RESPONDING", "expectedVersion": 1}},
        token=await place.token("dispatcher"),
    )
    error = response.json()["errors"][0]
    assert response.status_code == 409
    assert error["extensions"] == {
        "code": "CONFLICT",
        "expectedVersion": 1,
        "version": 2,
        "present": {"status": "VERIFIED", "title": "Nyando over its banks at Ahero", "severity": "SEVERE"},
    }


async def test_a_report_sent_again_under_its_key_happens_once(place: Hub) -> None:
    sent = flood(clientMutationId="radio-17")
    first = await tell(place, "dispatcher", REPORT, **sent)
    again = await tell(place, "dispatcher", REPORT, **sent)
    assert again == first
    other = await tell(place, "dispatcher", REPORT, **{**sent, "title": "Something else"})
    assert other[:2] == (409, "CONFLICT")
    theirs = await tell(place, "ahero", REPORT, **sent)
    assert theirs["reportIncident"]["incident"]["id"] != first["reportIncident"]["incident"]["id"]
    count = await see(place, "dispatcher", "{ incidents { totalCount } }")
    assert count == {"incidents": {"totalCount": 2}}


async def test_officers_see_their_wards_citizens_their_own_the_public_nothing(place: Hub) -> None:
    ask = "{ incidents { totalCount nodes { reference reporter { phone } } } }"
    made = await reported(place, reporterName="Atieno", reporterPhone="+254 700 000000")
    own = await reported(place, "citizen", title="Water in my house")
    everything = {made["reference"], own["reference"]}

    async def references(who: str | None) -> set[str]:
        return {each["reference"] for each in (await see(place, who, ask))["incidents"]["nodes"]}

    assert await references("dispatcher") == everything
    assert await references("planner") == everything
    assert await references("ahero") == everything
    assert await references("nyando") == everything
    assert await references("seme") == set()
    assert await references("citizen") == {own["reference"]}
    assert await references(None) == set()

    async def phones(who: str) -> set[str | None]:
        found = (await see(place, who, ask))["incidents"]["nodes"]
        return {each["reporter"]["phone"] for each in found if each["reporter"]}

    assert await phones("dispatcher") == {"+254 700 000000"}
    assert await phones("planner") == await phones("ahero") == await phones("nyando") == set()


async def test_who_may_not_change_an_incident_is_told_the_same_as_if_there_were_none(place: Hub) -> None:
    made = await reported(place)
    absent = await tell(place, "seme", MOVE, id="01900000-0000-7000-8000-000000000000", status="VERIFIED")
    assert await tell(place, "seme", MOVE, id=made["id"], status="VERIFIED") == absent
    assert await tell(place, "planner", MOVE, id=made["id"], status="VERIFIED") == absent
    assert absent[:2] == (404, "NOT_FOUND")
    own = await reported(place, "citizen")
    assert (await tell(place, "citizen", MOVE, id=own["id"], status="VERIFIED"))[:2] == (403, "FORBIDDEN")
    assert "reportIncident" in await tell(place, "planner", REPORT, **flood())  # everybody may report what they see
    response = await place.post(REPORT, {"input": flood()})
    assert response.status_code == 401


async def test_an_incident_is_corrected_and_moves_to_the_ward_where_it_really_is(place: Hub) -> None:
    edit = """mutation($input: EditIncidentInput!) {
      editIncident(input: $input) { incident { version title severity ward { code } timeline { nodes { kind note } } } }
    }"""
    made = await reported(place)
    given = {"id": made["id"], "expectedVersion": 1, "location": [34.45, -0.09], "title": "  In Seme after all  "}
    changed = (await tell(place, "dispatcher", edit, **given, note="wrong pin"))["editIncident"]["incident"]
    assert (changed["version"], changed["title"], changed["severity"]) == (2, "In Seme after all", "SEVERE")
    assert changed["ward"]["code"] in {"1202", "1203", "1204", "1205"}
    assert changed["timeline"]["nodes"][-1] == {"kind": "EDITED", "note": "wrong pin"}
    nothing = await tell(place, "dispatcher", edit, id=made["id"], expectedVersion=2)
    assert nothing[:2] == (400, "BAD_USER_INPUT")


async def test_bad_input_names_its_field_and_changes_nothing(place: Hub) -> None:
    for wrong, field in (
        ({"title": "ab"}, "input.title"),
        ({"title": "x" * 201}, "input.title"),
        ({"description": "y" * 5001}, "input.description"),
        ({"occurredAt": "2031-01-01T00:00:00Z"}, "input.occurredAt"),
        ({"occurredAt": "2026-01-01T00:00:00"}, "input.occurredAt"),
        ({"reporterPhone": "call me"}, "input.reporterPhone"),
        ({"location": [-0.1723, 34.9189]}, "location"),
        ({"clientMutationId": ""}, "input.clientMutationId"),
    ):
        status, code, message = await tell(place, "dispatcher", REPORT, **flood(**wrong))
        assert (status, code) == (400, "BAD_USER_INPUT"), (wrong, message)
        assert field in message, message
    assert (await see(place, "dispatcher", "{ incidents { totalCount } }"))["incidents"]["totalCount"] == 0
