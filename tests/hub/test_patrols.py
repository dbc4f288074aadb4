"""Patrols: planned, begun and ended by who may; what they covered, against the same worked out by Shapely."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.conftest import County, Hub, copied, make_person, running

NOW = datetime.now(UTC).replace(microsecond=0)
STREET = {"type": "LineString", "coordinates": [[34.75, -0.10], [34.76, -0.10], [34.77, -0.10]]}
"""2.2 km due east, in town."""
SQUARE = {
    "type": "Polygon",
    "coordinates": [[[34.75, -0.11], [34.77, -0.11], [34.77, -0.09], [34.75, -0.09], [34.75, -0.11]]],
}

PLAN = "mutation($input: PlanPatrolInput!) { planPatrol(input: $input) { patrol { id reference status version day } } }"
STEP = """mutation($input: ChangePatrolStatusInput!) {
  changePatrolStatus(input: $input) { patrol { id status version startedAt endedAt note } } }"""
WHOLE = """query($reference: String!) { patrol(reference: $reference) {
  status route track unit { name callSign patrol { reference } department { name } } beat { name area line }
  vehicle { plate } members { leads person { displayName } }
  coverage { bufferMeters plannedMeters coveredMeters ratio gaps areaKm2 coveredKm2 areaRatio }
  checkpoints { name visitedAt radiusMeters } } }"""


@pytest.fixture
def county(cluster: Any, template: str) -> Iterator[County]:
    with copied(cluster, template) as made:
        for name in ("enforcement_supervisor", "dispatcher", "planner", "field_officer"):
            make_person(made, name, name)
        yield made


class Desk:
    """An enforcement supervisor at work."""

    def __init__(self, hub: Hub, county: County, token: str) -> None:
        self.hub, self.county, self.token = hub, county, token

    async def ask(self, query: str, **given: Any) -> Any:
        return await self.hub.ask(query, {"input": given} if "$input" in query else given, token=self.token)

    async def refused(self, query: str, **given: Any) -> tuple[str, str]:
        _, code, message = await self.hub.refusal(query, {"input": given}, token=self.token)
        return code, message

    async def unit(self, name: str = "Kibuye market") -> str:
        added = await self.ask(
            "mutation($input: AddUnitInput!) { addUnit(input: $input) { unit { id } } }",
            name=name, callSign=f"{name[:4]} 1", department="Enforcement",
        )  # fmt: skip
        return str(added["addUnit"]["unit"]["id"])

    async def beat(self, name: str = "Oginga Odinga Street", **shape: Any) -> str:
        added = await self.ask(
            "mutation($input: AddBeatInput!) { addBeat(input: $input) { beat { id } } }", name=name, **shape
        )
        return str(added["addBeat"]["beat"]["id"])

    async def plan(self, unit: str, **more: Any) -> Any:
        times = {"plannedStart": NOW.isoformat(), "plannedEnd": (NOW + timedelta(hours=8)).isoformat()}
        return (await self.ask(PLAN, unit=unit, **{**times, **more}))["planPatrol"]["patrol"]

    async def step(self, patrol: Any, status: str, **more: Any) -> Any:
        return (await self.ask(STEP, id=patrol["id"], status=status, **more))["changePatrolStatus"]["patrol"]

    def vehicle(self, plate: str = "KDA 001X", kind: str = "on_foot") -> tuple[str, str]:
        """A vehicle and its device."""
        with psycopg.connect(self.county.owner_url) as connection:
            connection.execute("set role hub_owner")
            (vehicle,) = connection.execute(
                "insert into vehicles (plate, kind) values (%s, %s) returning id::text", (plate, kind)
            ).fetchone()  # type: ignore[misc]
            (device,) = connection.execute(
                "insert into devices (vehicle_id, label) values (%s, 'phone') returning id::text", (vehicle,)
            ).fetchone()  # type: ignore[misc]
        return vehicle, device

    def goes(self, device: str, fixes: list[tuple[float, float, float]]) -> None:
        """Minutes after NOW minus an hour, longitude, latitude."""
        went(self.county, device, [(NOW + timedelta(minutes=at - 60), lon, lat) for at, lon, lat in fixes])


def went(county: County, device: str, fixes: list[tuple[datetime, float, float]]) -> None:
    many, times = len(fixes), [at.timestamp() for at, _, _ in fixes]
    places = zip(*((x, y) for _, x, y in fixes), strict=True)
    with psycopg.connect(county.owner_url) as connection:
        connection.execute("set role hub_owner")
        connection.execute(
            "select take_fixes(array_fill(%s::uuid, array[%s]), %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (device, many, times, *map(list, places), *([[None] * many] * 5), [""] * many, [None] * many),
        )


@pytest.fixture
async def desk(county: County) -> Any:
    async with running(county.login_url) as hub:
        yield Desk(hub, county, await hub.token("enforcement_supervisor"))


async def test_a_patrol_from_its_plan_to_its_end(desk: Desk) -> None:
    unit = await desk.unit()
    beat = await desk.beat(
        line=STREET,
        checkpoints=[
            {"name": "Bus park", "location": [34.755, -0.1002]},
            {"name": "Far end", "location": [34.77, -0.1]},
        ],
    )
    vehicle, device = desk.vehicle()
    with psycopg.connect(desk.county.owner_url) as connection:
        officer = str(connection.execute("select id from people where name = 'field_officer'").fetchone()[0])  # type: ignore[index]
    planned = await desk.plan(unit, beat=beat, vehicle=vehicle, members=[officer])
    assert planned["reference"].startswith("PAT-20")
    assert (planned["status"], planned["version"]) == ("PLANNED", 1)
    began = (NOW - timedelta(minutes=60)).isoformat()
    under_way = await desk.step(planned, "UNDER_WAY", at=began, expectedVersion=1)
    assert (under_way["status"], under_way["version"]) == ("UNDER_WAY", 2)
    # Half of the street, a fix a minute; then a silence of a quarter of an hour, and the end of it.
    desk.goes(device, [(minute, 34.75 + minute * 0.001, -0.1) for minute in range(11)])
    desk.goes(device, [(26, 34.769, -0.1), (27, 34.77, -0.1)])
    seen = (await desk.ask(WHOLE, reference=planned["reference"]))["patrol"]
    assert seen["unit"]["patrol"] == {"reference": planned["reference"]}
    assert [member["person"]["displayName"] for member in seen["members"]] == ["Field Officer"] or seen["members"]
    assert seen["track"]["type"] == "MultiLineString"
    assert len(seen["track"]["coordinates"]) == 2
    zooms = "query($r: String!) { patrol(reference: $r) { far: track(zoom: -1e300) least: track(zoom: 0) "
    zooms += "near: track(zoom: 1e300) most: track(zoom: 22) } }"
    drawn = (await desk.ask(zooms, r=planned["reference"]))["patrol"]
    assert (drawn["far"], drawn["near"]) == (drawn["least"], drawn["most"])
    assert seen["route"]["type"] == "MultiLineString"  # its beat's
    coverage = seen["coverage"]
    assert coverage["plannedMeters"] == pytest.approx(2226.4, abs=1)
    # 0.011 of 0.02 degrees, and 50 m at either side of the silence.
    assert coverage["coveredMeters"] == pytest.approx(2226.4 * 0.55 + 2 * 50, abs=3)
    assert coverage["ratio"] == pytest.approx(coverage["coveredMeters"] / coverage["plannedMeters"])
    ((gap,),) = (coverage["gaps"]["coordinates"],)
    assert gap[0][0] == pytest.approx(34.76 + 50 / 111320, abs=3e-5)
    visited = {place["name"]: place["visitedAt"] for place in seen["checkpoints"]}
    assert visited["Bus park"] is not None
    assert visited["Far end"] is not None
    assert datetime.fromisoformat(visited["Bus park"]) == NOW + timedelta(minutes=5 - 60)
    ended = await desk.step(planned, "COMPLETED", expectedVersion=2, note="Quiet.")
    assert (ended["status"], ended["note"]) == ("COMPLETED", "Quiet.")
    # Hours late, the silent quarter comes in: it counts.
    desk.goes(device, [(minute, 34.75 + 0.01 + (minute - 10) * 0.0006, -0.1) for minute in range(11, 26)])
    seen = (await desk.ask(WHOLE, reference=planned["reference"]))["patrol"]
    assert seen["coverage"]["ratio"] == pytest.approx(1)
    assert seen["coverage"]["gaps"] is None
    assert len(seen["track"]["coordinates"]) == 1
    assert seen["unit"]["patrol"] is None


async def test_an_area_is_covered_on_land_only(desk: Desk) -> None:
    unit = await desk.unit()
    beat = await desk.beat("Dunga", area=SQUARE)
    vehicle, device = desk.vehicle()
    planned = await desk.plan(unit, beat=beat, vehicle=vehicle, bufferMeters=100)
    await desk.step(planned, "UNDER_WAY", at=(NOW - timedelta(minutes=60)).isoformat())
    desk.goes(device, [(minute, 34.74 + minute * 0.002, -0.1) for minute in range(21)])
    seen = (await desk.ask(WHOLE, reference=planned["reference"]))["patrol"]
    coverage = seen["coverage"]
    with psycopg.connect(desk.county.owner_url) as connection:
        (land,) = connection.execute(
            "select st_area(st_difference(area, (select st_union(boundary) from waters))::geography) / 1e6 from beats"
        ).fetchone() or (0,)
    assert coverage["areaKm2"] == pytest.approx(land, rel=1e-3)
    assert coverage["plannedMeters"] is None
    strip = 0.02 * 111.32 * 0.2  # as long as the area is wide, 200 m broad
    assert coverage["coveredKm2"] == pytest.approx(strip, rel=0.01)
    assert coverage["areaRatio"] == pytest.approx(coverage["coveredKm2"] / coverage["areaKm2"])


async def test_a_patrol_without_a_device_covers_nothing(desk: Desk) -> None:
    planned = await desk.plan(await desk.unit(), route=STREET)
    seen = (await desk.ask(WHOLE, reference=planned["reference"]))["patrol"]
    assert seen["track"] is None
    assert (seen["coverage"]["coveredMeters"], seen["coverage"]["ratio"]) == (0, 0)
    assert seen["coverage"]["gaps"]["coordinates"] == [STREET["coordinates"]]


async def test_steps_that_cannot_be_are_refused_and_change_nothing(desk: Desk) -> None:
    unit, other = await desk.unit(), await desk.unit("Jubilee market")
    vehicle, _ = desk.vehicle()
    first, second = await desk.plan(unit, vehicle=vehicle), await desk.plan(other, vehicle=vehicle)
    assert (await desk.refused(STEP, id=first["id"], status="COMPLETED"))[0] == "CONFLICT"
    assert (await desk.refused(STEP, id=first["id"], status="UNDER_WAY", expectedVersion=7))[0] == "CONFLICT"
    early = (NOW - timedelta(days=3)).isoformat()
    code, message = await desk.refused(STEP, id=first["id"], status="UNDER_WAY", at=early)
    assert (code, "input.at" in message) == ("BAD_USER_INPUT", True)
    await desk.step(first, "UNDER_WAY")
    code, message = await desk.refused(STEP, id=second["id"], status="UNDER_WAY")
    assert (code, message) == ("CONFLICT", "The vehicle is out on another patrol: that one must end first.")
    assert (await desk.refused(STEP, id=first["id"], status="CANCELLED"))[0] == "CONFLICT"
    await desk.step(first, "COMPLETED")
    assert (await desk.step(second, "UNDER_WAY"))["status"] == "UNDER_WAY"
    assert (await desk.refused(STEP, id=first["id"], status="UNDER_WAY"))[0] == "CONFLICT"


async def test_nobody_is_out_twice_even_at_once(desk: Desk) -> None:
    with psycopg.connect(desk.county.owner_url) as connection:
        officer = str(connection.execute("select id from people where name = 'field_officer'").fetchone()[0])  # type: ignore[index]
    planned = [await desk.plan(await desk.unit(f"Unit {number}"), members=[officer]) for number in range(4)]
    answers = await asyncio.gather(
        *(
            desk.hub.post(STEP, {"input": {"id": each["id"], "status": "UNDER_WAY"}}, token=desk.token)
            for each in planned
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"plannedEnd": (NOW - timedelta(hours=1)).isoformat()}, "plannedEnd"),
        ({"plannedEnd": (NOW + timedelta(hours=30)).isoformat()}, "plannedEnd"),
        ({"bufferMeters": 5000.0}, "input.bufferMeters is 5000: send 5 to 500 metres"),
        ({"route": {"type": "LineString", "coordinates": [[34.75, -0.1]]}}, "at least two"),
        ({"route": {"type": "LineString", "coordinates": [[34.75, -0.1], [34.75, -0.1]]}}, "goes nowhere"),
        ({"route": {"type": "LineString", "coordinates": [[-0.1, 34.75], [-0.1, 34.76]]}}, "looks like latitude first"),
        ({"route": {"type": "Point", "coordinates": [34.75, -0.1]}}, "LineString or a MultiLineString"),
        ({"beat": "nothing"}, "input.beat is no id"),
        ({"members": ["01900000-0000-7000-8000-000000000000"]}, "input.members[0]"),
        ({"note": "x" * 2001}, "input.note has 2001 letters"),
    ],
)
async def test_a_bad_plan_names_what_is_wrong(desk: Desk, more: dict[str, Any], says: str) -> None:
    unit = await desk.unit()
    times = {"plannedStart": NOW.isoformat(), "plannedEnd": (NOW + timedelta(hours=8)).isoformat()}
    code, message = await desk.refused(PLAN, unit=unit, **{**times, **more})
    assert code in ("BAD_USER_INPUT", "NOT_FOUND")
    assert says in message
    assert (await desk.ask("{ patrols { totalCount } }"))["patrols"]["totalCount"] == 0


async def test_figures_of_a_week(desk: Desk) -> None:
    unit = await desk.unit()
    beat = await desk.beat(line=STREET)
    vehicle, device = desk.vehicle()
    planned = await desk.plan(unit, beat=beat, vehicle=vehicle)
    await desk.step(planned, "UNDER_WAY", at=(NOW - timedelta(minutes=60)).isoformat())
    desk.goes(device, [(minute, 34.75 + minute * 0.001, -0.1) for minute in range(11)])
    await desk.step(planned, "COMPLETED", at=NOW.isoformat())
    cancelled = await desk.plan(unit, beat=beat)
    await desk.step(cancelled, "CANCELLED")
    figures = await desk.ask(
        """{ patrolStats(groupBy: [UNIT, STATUS], where: { status: { ne: CANCELLED } }) {
          unit { name } status count hours plannedMeters coveredMeters ratio } }"""
    )
    (figure,) = figures["patrolStats"]
    assert figure["unit"] == {"name": "Kibuye market"}
    assert (figure["status"], figure["count"]) == ("COMPLETED", 1)
    assert figure["hours"] == pytest.approx(1)
    assert figure["ratio"] == pytest.approx((2226.4 / 2 + 50) / 2226.4, abs=0.005)


async def test_only_supervisors_and_dispatchers_send_patrols(desk: Desk) -> None:
    unit = await desk.unit()
    times = {"plannedStart": NOW.isoformat(), "plannedEnd": (NOW + timedelta(hours=8)).isoformat()}
    for name, code in (("planner", "FORBIDDEN"), ("field_officer", "NOT_FOUND")):
        token = await desk.hub.token(name)
        _, said, _ = await desk.hub.refusal(PLAN, {"input": {"unit": unit, **times}}, token=token)
        assert said == code
    token = await desk.hub.token("dispatcher")
    made = await desk.hub.ask(PLAN, {"input": {"unit": unit, **times}}, token=token)
    assert made["planPatrol"]["patrol"]["status"] == "PLANNED"


# -- coverage against Shapely ------------------------------------------------------------------------------------------

X, Y = 111_319.5, 110_574.3
"""Metres in a degree of longitude and of latitude on the equator."""

places = st.tuples(st.integers(0, 400), st.integers(0, 400)).map(lambda at: (34.75 + at[0] * 5e-5, -0.1 + at[1] * 5e-5))
ways = st.lists(places, min_size=2, max_size=8).filter(lambda way: len(set(way)) > 1)


@pytest.fixture(scope="module")
def asking(database: County) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        yield connection


def flat(way: list[tuple[float, float]]) -> shapely.LineString:
    return shapely.LineString([(lon * X * math.cos(math.radians(lat)), lat * Y) for lon, lat in way])


def stretches(way: list[tuple[float, float]]) -> list[shapely.Geometry]:
    """What lies between one fix and the next; the point, where that is the same."""
    points = [shapely.Point(lon * X * math.cos(math.radians(lat)), lat * Y) for lon, lat in way]
    return [*points, *(shapely.LineString(pair) for pair in pairwise(points) if pair[0] != pair[1])]


@settings(max_examples=150, deadline=None)
@given(planned=ways, walked=st.lists(places, min_size=1, max_size=8), near=st.integers(10, 200))
@example(
    planned=[(34.75, -0.1), (34.76, -0.1), (34.75, -0.1)], walked=[(34.75, -0.1), (34.76, -0.1)], near=50
)  # to and fro
@example(planned=[(34.75, -0.1), (34.76, -0.1)], walked=[(34.755, -0.1), (34.755, -0.1)], near=50)  # stands
@example(  # goes the same way twice
    planned=[(34.75, -0.1), (34.751, -0.0996)],
    walked=[(34.7546, -0.1), (34.7594, -0.0908), (34.75, -0.1), (34.7546, -0.1), (34.7594, -0.0908)],
    near=35,
)
def test_coverage_is_what_shapely_says(
    asking: psycopg.Connection, planned: list[tuple[float, float]], walked: list[tuple[float, float]], near: int
) -> None:
    route = shapely.LineString(planned)
    path = shapely.LineString(walked) if len(walked) > 1 else shapely.Point(walked[0])
    meters, covered, ratio, gaps, land = (
        asking.execute(
            "select planned_meters, covered_meters, ratio, st_asbinary(gaps), covered_km2 "
            "from coverage(st_setsrid(st_geomfromwkb(%s), 4326), st_setsrid(st_geomfromwkb(%s), 4326), null, null, %s)",
            (route.wkb, path.wkb, near),
        ).fetchone()
        or (None,) * 5
    )
    ways_ = shapely.unary_union(flat(planned))
    # Stretch by stretch: GEOS 3.14 fills corners of the buffer of a line that goes the same way twice.
    seen = shapely.unary_union([shapely.buffer(each, near, quad_segs=16) for each in stretches(walked)])
    slack = 0.003 * ways_.length + 2 * len(planned) * len(walked)  # curves and the projection
    assert meters == pytest.approx(ways_.length, rel=2e-3, abs=0.5)
    assert covered == pytest.approx(ways_.intersection(seen).length, abs=slack)
    assert 0 <= ratio <= 1
    assert covered + (0 if gaps is None else shapely.from_wkb(gaps).length * X) == pytest.approx(
        meters, rel=0.01, abs=2
    )
    assert land * 1e6 == pytest.approx(seen.area, rel=0.01)


@settings(max_examples=30, deadline=None)
@given(planned=ways, walked=ways, near=st.integers(10, 100))
def test_a_wider_buffer_never_covers_less(
    asking: psycopg.Connection, planned: list[tuple[float, float]], walked: list[tuple[float, float]], near: int
) -> None:
    found = [
        asking.execute(
            "select covered_meters from coverage(st_setsrid(st_geomfromwkb(%s), 4326), "
            "st_setsrid(st_geomfromwkb(%s), 4326), null, null, %s)",
            (shapely.LineString(planned).wkb, shapely.LineString(walked).wkb, buffer),
        ).fetchone()[0]  # type: ignore[index]
        for buffer in (near, near + 5)
    ]
    assert found[1] >= found[0] - 0.5
