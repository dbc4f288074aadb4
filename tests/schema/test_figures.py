"""Figures over incidents: what they count, for whom, and what the public is told of them."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import combinations
from typing import Any

import psycopg
import pytest
import pytest_asyncio
import shapely
import shapely.geometry

from tests.conftest import County, Hub, make_person, running

REPORT = """mutation ($input: ReportIncidentInput!) {
  reportIncident(input: $input) { incident { id reference place precision location ward { code } } }
}"""
MOVE = "mutation ($input: ChangeIncidentStatusInput!) { changeIncidentStatus(input: $input) { incident { id } } }"
EDIT = "mutation ($input: EditIncidentInput!) { editIncident(input: $input) { incident { id precision } } }"
LIST = """{
  incidents(first: 500) {
    nodes {
      kind severity status source occurredAt reportedAt location timeline { nodes { at toStatus } }
      ward { code population areaKm2 subCounty { code population areaKm2 } }
    }
  }
}"""
STATS = """query ($by: [IncidentGroup!]!, $where: IncidentFilter, $cell: Float = 1000) {
  incidentStats(groupBy: $by, where: $where, cellMeters: $cell) {
    ward { code population areaKm2 } subCounty { code population areaKm2 } kind severity status source
    day hour week month hourOfDay dayOfWeek square hexagon
    count oldestReportedAt newestReportedAt wards extent centroid perKm2 per10000People
    reportMinutes { count sum min max avg low: percentile(at: 0.1) median: percentile(at: 0.5) most: percentile(at: 1) }
    responseMinutes { count avg }
    closeMinutes { count max }
  }
}"""
COUNTS = "{ incidentCounts(orderBy: [{ day: ASC }, { kind: ASC }]) { nodes { day kind count ward { code } } } }"
EAT = timezone(timedelta(hours=3))
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


GROUPS = (
    "WARD", "SUB_COUNTY", "KIND", "SEVERITY", "STATUS", "SOURCE",
    "HOUR", "DAY", "WEEK", "MONTH", "HOUR_OF_DAY", "DAY_OF_WEEK",
)  # fmt: skip


def camel(name: str) -> str:
    first, *rest = name.lower().split("_")
    return first + "".join(word.title() for word in rest)


def minutes(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds() / 60


def percentile(values: list[float], at: float) -> float:
    """Between the two nearest, as `percentile_cont` does."""
    ordered, place = sorted(values), at * (len(values) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


def measured(figure: dict[str, Any], rows: list[dict[str, Any]], by: tuple[str, ...]) -> None:
    """A figure's measures are those of its rows, worked out one by one."""
    times = [row["reportedAt"] for row in rows]
    assert (figure["oldestReportedAt"], figure["newestReportedAt"]) == (min(times), max(times))
    assert figure["wards"] == len({row["ward"]["code"] for row in rows if row["ward"]})
    xs, ys = zip(*(row["location"]["coordinates"] for row in rows), strict=True)
    assert figure["extent"] == pytest.approx([min(xs), min(ys), max(xs), max(ys)], abs=1e-7)
    assert figure["centroid"]["coordinates"] == pytest.approx([sum(xs) / len(xs), sum(ys) / len(ys)], abs=1e-6)
    late = [minutes(row["occurredAt"], row["reportedAt"]) for row in rows]
    spread = figure["reportMinutes"]
    assert spread == pytest.approx(
        {
            "count": len(late),
            "sum": sum(late),
            "min": min(late),
            "max": max(late),
            "avg": sum(late) / len(late),
            "low": percentile(late, 0.1),
            "median": percentile(late, 0.5),
            "most": max(late),
        }
    )
    area = rows[0]["ward"] if "WARD" in by else (rows[0]["ward"] or {}).get("subCounty") if "SUB_COUNTY" in by else None
    if area is None:
        assert (figure["perKm2"], figure["per10000People"]) == (None, None)
    else:
        assert figure["perKm2"] == pytest.approx(len(rows) / area["areaKm2"])
        assert figure["per10000People"] == pytest.approx(len(rows) * 10_000 / area["population"])


def key_of(row: dict[str, Any], by: tuple[str, ...]) -> tuple[Any, ...]:
    ward = row["ward"] or {}
    there = datetime.fromisoformat(row["occurredAt"]).astimezone(EAT)
    every = {
        "WARD": ward.get("code"),
        "SUB_COUNTY": ward.get("subCounty", {}).get("code"),
        "KIND": row["kind"],
        "SEVERITY": row["severity"],
        "STATUS": row["status"],
        "SOURCE": row["source"],
        "HOUR": f"{there.astimezone(UTC):%Y-%m-%dT%H}:00:00.000000Z",
        "DAY": str(there.date()),
        "WEEK": str(there.date() - timedelta(days=there.weekday())),
        "MONTH": str(there.date().replace(day=1)),
        "HOUR_OF_DAY": there.hour,
        "DAY_OF_WEEK": there.isoweekday(),
    }
    return tuple(every[name] for name in by)


def told(figure: dict[str, Any], by: tuple[str, ...]) -> tuple[Any, ...]:
    values = {
        "WARD": (figure["ward"] or {}).get("code"),
        "SUB_COUNTY": (figure["subCounty"] or {}).get("code"),
        **{name: figure[camel(name)] for name in GROUPS[2:]},
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
    pairs = some.sample(list(combinations(GROUPS, 2)), 12)
    for by in [(), *((name,) for name in GROUPS), *pairs, GROUPS]:
        answer = (await place.ask(STATS, {"by": by}, token=token))["incidentStats"]
        assert {told(figure, by): figure["count"] for figure in answer} == Counter(key_of(row, by) for row in rows)
        assert [figure["count"] for figure in answer] == sorted((figure["count"] for figure in answer), reverse=True)
        for figure in answer:
            measured(figure, [row for row in rows if key_of(row, by) == told(figure, by)], by)
    where = {"kind": {"eq": "FLOOD"}, "ward": {"code": {"eq": "1208"}}}
    answer = (await place.ask(STATS, {"by": ["KIND"], "where": where}, token=token))["incidentStats"]
    floods = [row for row in rows if row["kind"] == "FLOOD" and (row["ward"] or {}).get("code") == "1208"]
    assert sum(figure["count"] for figure in answer) == len(floods)


async def test_how_long_somebody_waited_is_told_by_the_steps_that_were_taken(place: Hub) -> None:
    token = await place.token("dispatcher")
    taken = (["VERIFIED", "RESPONDING", "CONTAINED", "CLOSED"], ["VERIFIED", "RESPONDING"], [])
    for steps in taken:
        made = await report(place)
        for status in steps:
            await place.ask(MOVE, {"input": {"id": made["id"], "status": status, "note": "so"}}, token=token)
    (figure,) = (await place.ask(STATS, {"by": []}, token=token))["incidentStats"]
    rows = (await place.ask(LIST, token=token))["incidents"]["nodes"]

    def after(row: Any, status: str) -> list[float]:
        steps = row["timeline"]["nodes"]
        return [minutes(row["reportedAt"], step["at"]) for step in steps if step["toStatus"] == status]

    responded = [after(row, "RESPONDING")[0] for row in rows if after(row, "RESPONDING")]
    closed = [after(row, "CLOSED")[-1] for row in rows if row["status"] == "CLOSED"]
    assert (len(responded), len(closed)) == (2, 1)
    assert figure["responseMinutes"] == pytest.approx({"count": 2, "avg": sum(responded) / 2})
    assert figure["closeMinutes"] == pytest.approx({"count": 1, "max": closed[0]})


@pytest.mark.parametrize("kind", ["SQUARE", "HEXAGON"])
async def test_incidents_are_counted_in_the_cell_that_they_lie_in(place: Hub, kind: str) -> None:
    some = random.Random(5)
    for _ in range(30):
        await report(place, location=[round(some.uniform(34.7, 34.8), 6), round(some.uniform(-0.12, -0.05), 6)])
    token = await place.token("planner")
    rows = (await place.ask(LIST, token=token))["incidents"]["nodes"]
    points = [shapely.Point(row["location"]["coordinates"]) for row in rows]
    for size in (300, 2500, 50_000):
        answer = (await place.ask(STATS, {"by": [kind], "cell": size}, token=token))["incidentStats"]
        for figure in answer:
            cell = shapely.geometry.shape(figure[kind.lower()])
            assert figure["count"] == sum(cell.covers(point) for point in points)
        assert sum(figure["count"] for figure in answer) == 30
    status, code, message = await place.refusal(STATS, {"by": [kind], "cell": 49}, token=token)
    assert (status, code) == (400, "BAD_USER_INPUT")
    assert "cellMeters" in message
    assert "50 to 50,000" in message


async def test_what_is_published_is_added_up_for_everybody_and_nothing_else(place: Hub) -> None:
    for day, kind, count in (("03-02", "FLOOD", 6), ("03-03", "FLOOD", 5), ("03-04", "FLOOD", 4), ("03-02", "FIRE", 5)):
        for _ in range(count):
            await report(place, kind=kind, occurredAt=f"2026-{day}T09:00:00Z")
    question = "{ incidentCountStats(groupBy: [WEEK, KIND]) { week kind count } all: incidentCountStats { count } }"
    answer = await place.ask(question)
    assert answer["incidentCountStats"] == [
        {"week": "2026-03-02", "kind": "FLOOD", "count": 11},
        {"week": "2026-03-02", "kind": "FIRE", "count": 5},
    ]
    assert answer["all"] == [{"count": 16}]


async def test_a_share_that_is_none_is_refused(place: Hub) -> None:
    status, code, message = await place.refusal("{ incidentStats { reportMinutes { percentile(at: 1.5) } } }")
    assert (status, code) == (400, "BAD_USER_INPUT")
    assert "from 0 to 1" in message


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
