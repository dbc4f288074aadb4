"""Figures over incidents: what they count, for whom, and what the public is told of them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from itertools import combinations
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from tests.conftest import County, Hub, make_person, running

REPORT = """mutation ($input: ReportIncidentInput!) {
  reportIncident(input: $input) { incident { id reference place precision location ward { code } } }
}"""
MOVE = "mutation ($input: ChangeIncidentStatusInput!) { changeIncidentStatus(input: $input) { incident { id } } }"
EDIT = "mutation ($input: EditIncidentInput!) { editIncident(input: $input) { incident { id precision } } }"
LIST = """{
  incidents(first: 500) { nodes { kind severity status occurredAt reportedAt ward { code subCounty { code } } } }
}"""
STATS = """query ($by: [IncidentGroup!]!, $where: IncidentFilter) {
  incidentStats(groupBy: $by, where: $where) {
    ward { code } subCounty { code } kind severity status day count oldestReportedAt newestReportedAt
  }
}"""
COUNTS = "{ incidentCounts(orderBy: [{ day: ASC }, { kind: ASC }]) { nodes { day kind count ward { code } } } }"
PLACES = [[34.9189, -0.1723], [34.77, -0.085], [34.6, -0.2], [34.45, -0.1], [35.2, -0.156]]


@pytest_asyncio.fixture
async def place(fresh_database: County) -> AsyncIterator[Hub]:
    for name, areas in (("dispatcher", ()), ("planner", ()), ("citizen", ()), ("ward_administrator", ("1208",))):
        make_person(fresh_database, name, name, areas=areas)
    async with running(fresh_database.login_url) as hub:
        yield hub


async def report(hub: Hub, who: str = "dispatcher", **given: Any) -> Any:
    given = {"kind": "FLOOD", "title": "Water in the road", "location": PLACES[0], **given}
    token = await hub.token(who)
    return (await hub.ask(REPORT, {"input": given}, token=token))["reportIncident"]["incident"]


def key_of(row: dict[str, Any], by: tuple[str, ...]) -> tuple[Any, ...]:
    ward = row["ward"] or {}
    day = str((datetime.fromisoformat(row["occurredAt"]) + (datetime.min.replace(hour=3) - datetime.min)).date())
    every = {
        "WARD": ward.get("code"),
        "SUB_COUNTY": ward.get("subCounty", {}).get("code"),
        "KIND": row["kind"],
        "SEVERITY": row["severity"],
        "STATUS": row["status"],
        "DAY": day,
    }
    return tuple(every[name] for name in by)


def told(figure: dict[str, Any], by: tuple[str, ...]) -> tuple[Any, ...]:
    values = {
        "WARD": (figure["ward"] or {}).get("code"),
        "SUB_COUNTY": (figure["subCounty"] or {}).get("code"),
        **{name: figure[name.lower()] for name in ("KIND", "SEVERITY", "STATUS", "DAY")},
    }
    assert all(value is None for name, value in values.items() if name not in by)
    return tuple(values[name] for name in by)


@pytest.mark.parametrize("who", ["planner", "ward_administrator", "citizen"])
async def test_figures_are_those_of_the_rows_that_one_may_see(place: Hub, who: str) -> None:
    some = random.Random(7)
    for number in range(40):
        await report(
            place,
            "citizen" if number % 5 == 0 else "dispatcher",
            kind=some.choice(["FLOOD", "FIRE", "DROWNING"]),
            severity=some.choice(["SEVERE", "MINOR", "UNKNOWN"]),
            location=some.choice(PLACES),
            occurredAt=f"2026-03-0{some.randint(1, 3)}T{some.choice(['20:59:59', '21:00:00', '12:00:00'])}Z",
        )
    token = await place.token(who)
    rows = (await place.ask(LIST, token=token))["incidents"]["nodes"]
    assert 0 < len(rows) <= 40
    groups = ("WARD", "SUB_COUNTY", "KIND", "SEVERITY", "STATUS", "DAY")
    for by in [each for size in (0, 1, 2, 6) for each in combinations(groups, size)]:
        answer = (await place.ask(STATS, {"by": by}, token=token))["incidentStats"]
        assert {told(figure, by): figure["count"] for figure in answer} == Counter(key_of(row, by) for row in rows)
        assert [figure["count"] for figure in answer] == sorted((figure["count"] for figure in answer), reverse=True)
        for figure in answer:
            times = [row["reportedAt"] for row in rows if key_of(row, by) == told(figure, by)]
            assert (figure["oldestReportedAt"], figure["newestReportedAt"]) == (min(times), max(times))
    where = {"kind": {"eq": "FLOOD"}, "ward": {"code": {"eq": "1208"}}}
    answer = (await place.ask(STATS, {"by": ["KIND"], "where": where}, token=token))["incidentStats"]
    floods = [row for row in rows if row["kind"] == "FLOOD" and (row["ward"] or {}).get("code") == "1208"]
    assert sum(figure["count"] for figure in answer) == len(floods)


async def test_the_public_counts_nothing_of_what_it_may_not_see(place: Hub) -> None:
    await report(place)
    assert (await place.ask("{ incidentStats { count } }"))["incidentStats"] == [{"count": 0}]
    assert (await place.ask("{ incidentStats(groupBy: [KIND]) { count } }"))["incidentStats"] == []


async def test_a_group_is_named_once(place: Hub) -> None:
    status, code, message = await place.refusal("{ incidentStats(groupBy: [KIND, KIND]) { count } }")
    assert (status, code) == (400, "BAD_USER_INPUT")
    assert "groupBy" in message


async def test_too_many_groups_are_refused_and_not_cut_off(place: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schema.compiler.aggregates.MAX_GROUPS", 2)
    for location in PLACES[:3]:
        await report(place, location=location)
    token = await place.token("planner")
    status, code, message = await place.refusal("{ a: incidentStats(groupBy: [WARD]) { count } }", token=token)
    assert (status, code) == (400, "QUERY_TOO_COMPLEX")
    assert "2 groups" in message
    # Two groups are no more than two.
    asked = await place.ask("{ incidentStats(groupBy: [KIND, STATUS]) { count } }", token=token)
    assert asked["incidentStats"] == [{"count": 3}]


# -- what everybody may know -------------------------------------------------------------------------------------------


async def published(hub: Hub) -> list[tuple[Any, ...]]:
    nodes = (await hub.ask(COUNTS))["incidentCounts"]["nodes"]
    return [(node["day"], node["kind"], (node["ward"] or {}).get("code"), node["count"]) for node in nodes]


async def test_four_are_withheld_and_five_are_told(place: Hub) -> None:
    when = "2026-03-01T20:30:00Z"  # 23:30 in Kenya
    made = [await report(place, occurredAt=when) for _ in range(4)]
    assert await published(place) == []
    made.append(await report(place, occurredAt=when))
    assert await published(place) == [("2026-03-01", "FLOOD", "1208", 5)]
    # After midnight in Kenya is another day, another kind another count.
    await report(place, occurredAt="2026-03-01T21:30:00Z")
    await report(place, occurredAt=when, kind="FIRE")
    assert await published(place) == [("2026-03-01", "FLOOD", "1208", 5)]
    token = await place.token("dispatcher")
    given = {"id": made[0]["id"], "status": "REJECTED", "note": "a prank"}
    await place.ask(MOVE, {"input": given}, token=token)
    assert await published(place) == []
    await place.ask(MOVE, {"input": given | {"status": "REPORTED"}}, token=token)
    assert await published(place) == [("2026-03-01", "FLOOD", "1208", 5)]
    await place.ask(EDIT, {"input": {"id": made[1]["id"], "expectedVersion": 1, "location": PLACES[2]}}, token=token)
    assert await published(place) == []


async def test_counts_equal_the_incidents_whatever_happens(place: Hub, fresh_database: County) -> None:
    some = random.Random(11)
    token = await place.token("dispatcher")
    made = [await report(place, location=some.choice(PLACES)) for _ in range(12)]
    for number in range(30):
        given = {"id": some.choice(made)["id"]}
        edited = {"expectedVersion": some.randint(1, 3), "kind": some.choice(["FIRE", "FLOOD"])}
        edited |= {"location": some.choice(PLACES)}
        moved = {"status": some.choice(["REJECTED", "REPORTED", "VERIFIED"]), "note": "so"}
        # Some are refused, by the state machine or a version: nothing may be counted for those.
        mutation, more = (EDIT, edited) if number % 2 else (MOVE, moved)
        await place.post(mutation, {"input": given | more}, token=token)
    with psycopg.connect(fresh_database.owner_url) as owner:
        wrong = owner.execute(
            """
            select from (
              select ward_id, (occurred_at at time zone 'Africa/Nairobi')::date as day, kind, count(*)::int as count
              from incidents where status <> 'rejected' group by 1, 2, 3
            ) i
            full join (select * from incident_tallies where count > 0) t
              on t.ward_id is not distinct from i.ward_id and t.day = i.day and t.kind = i.kind
            left join incident_counts c on c.id = t.id
            where t.count is distinct from i.count or (t.count >= 5) is distinct from (c.id is not null)
              or c.count is distinct from case when t.count >= 5 then t.count end
            """
        ).fetchall()
        assert wrong == []
        tallied = owner.execute("select sum(count) from incident_tallies").fetchone()
    assert tallied is not None
    assert 0 < tallied[0] <= 12


# -- by landmark and by ward -------------------------------------------------------------------------------------------


async def test_an_incident_is_placed_by_what_the_caller_names(place: Hub) -> None:
    named = '{ landmarks(where: { name: { contains: "nyando" } }) { nodes { id name location } } }'
    asked = await place.ask(named)
    (bridge,) = asked["landmarks"]["nodes"]
    made = await report(place, location=None, landmark=bridge["id"])
    assert (made["place"], made["precision"]) == ("Nyando bridge at Ahero", "LANDMARK")
    assert (made["location"], made["ward"]["code"]) == (bridge["location"], "1208")
    made = await report(place, location=None, landmark=bridge["id"], place="under the bridge")
    assert made["place"] == "under the bridge"
    made = await report(place, location=None, ward="1200")
    assert (made["precision"], made["ward"]["code"], made["place"]) == ("WARD", "1200", None)
    # Once somebody knows better, it is a point.
    token = await place.token("dispatcher")
    given = {"id": made["id"], "expectedVersion": 1, "location": PLACES[0]}
    assert (await place.ask(EDIT, {"input": given}, token=token))["editIncident"]["incident"]["precision"] == "POINT"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"location": None}, "no place given"),
        ({"ward": "1208"}, "input.location and input.ward given"),
        ({"location": None, "ward": "9999"}, "input.ward: there is no such ward"),
        ({"location": None, "ward": "12\x0008"}, "input.ward: the text holds a character that no database can store"),
        ({"location": None, "landmark": "bridge"}, "input.landmark is no id"),
        ({"location": None, "landmark": "01a20791-0000-7000-8000-000000000000"}, "input.landmark: there is no such"),
    ],
)
async def test_a_place_that_is_none_is_refused(place: Hub, given: dict[str, Any], says: str) -> None:
    token = await place.token("dispatcher")
    flood = {"kind": "FLOOD", "title": "Water in the road", "location": PLACES[0]}
    _, _, message = await place.refusal(REPORT, {"input": flood | given}, token=token)
    assert says in message
    assert (await place.ask("{ incidents { totalCount } }", token=token))["incidents"]["totalCount"] == 0


async def test_every_landmark_lies_in_a_ward(hub: Hub) -> None:
    nodes = (await hub.ask("{ landmarks(first: 500) { nodes { name ward { name } } } }"))["landmarks"]["nodes"]
    assert len(nodes) > 25
    assert [node["name"] for node in nodes if node["ward"] is None] == []
