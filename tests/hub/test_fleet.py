"""What one asks of the fleet: who is nearest, where a vehicle drove, and that an index answers it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from schema.api import schema
from tests.conftest import County, Hub, copied, make_person, running

NEAREST = """query ($to: Position!, $first: Int!, $where: VehicleFilter) {
  nearestVehicles(to: $to, first: $first, where: $where) { distanceMeters vehicle { id status } }
}"""
BEGAN = datetime(2026, 3, 2, 5, tzinfo=UTC)
VEHICLES = 400


@pytest.fixture(scope="module")
def fleet(cluster: Any, template: str) -> Iterator[County]:
    """Four hundred vehicles, a quarter of them in one yard, with an hour of positions each."""
    draw = random.Random(11)
    with copied(cluster, template) as county:
        make_person(county, "dispatcher", "dispatcher")
        with psycopg.connect(county.owner_url, autocommit=True) as connection:
            connection.execute("set role hub_owner")
            for number in range(VEHICLES):
                (vehicle,) = connection.execute(
                    "insert into vehicles (plate, kind, status) values (%s, 'car', %s) returning id",
                    (f"KDA {number:03d}X", draw.choice(["available", "assigned", "out_of_service"])),
                ).fetchone()  # type: ignore[misc]
                (device,) = connection.execute(
                    "insert into devices (vehicle_id, label) values (%s, 'tracker') returning id", (vehicle,)
                ).fetchone()  # type: ignore[misc]
                yard = number % 4 == 0
                lon, lat = (34.76, -0.09) if yard else (draw.uniform(34.4, 35.3), draw.uniform(-0.4, 0.03))
                steps = [
                    (BEGAN + timedelta(minutes=at), lon + (0 if yard else at * 1e-5), lat) for at in range(0, 60, 10)
                ]
                connection.execute(
                    "select take_fixes(array_fill(%s::uuid, array[6]), %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                    (
                        device,
                        [step[0].timestamp() for step in steps],
                        [step[1] for step in steps],
                        [step[2] for step in steps],
                        *([[None] * 6] * 5),
                        [""] * 6,
                        [None] * 6,
                    ),
                )
            connection.execute("analyze")
        yield county


@pytest.mark.parametrize("where", [None, {"status": {"eq": "AVAILABLE"}}])
async def test_the_nearest_are_the_nearest_in_metres(fleet: County, where: Any) -> None:
    """Against every distance, worked out one by one; in the yard a hundred are equally far."""
    draw = random.Random(5)
    async with running(fleet.login_url) as hub:
        token = await hub.token("dispatcher")
        with psycopg.connect(fleet.owner_url) as connection:
            for _ in range(25):
                to = [round(draw.uniform(34.5, 35.2), 6), round(draw.uniform(-0.35, 0.0), 6)]
                if draw.random() < 0.3:
                    to = [34.7601, -0.0901]
                first = draw.choice([1, 5, 40])
                answer = await hub.ask(NEAREST, {"to": to, "first": first, "where": where}, token=token)
                expected = connection.execute(
                    "select v.id::text, "
                    "st_distance(p.location::geography, st_setsrid(st_point(%s, %s), 4326)::geography) m "
                    "from latest_positions p join vehicles v on v.id = p.vehicle_id "
                    "where %s or v.status = 'available' "
                    "order by m, v.id limit %s",
                    (*to, where is None, first),
                ).fetchall()
                found = [(each["vehicle"]["id"], each["distanceMeters"]) for each in answer["nearestVehicles"]]
                assert [id for id, _ in found] == [id for id, _ in expected]
                assert [meters for _, meters in found] == pytest.approx([meters for _, meters in expected], abs=1e-6)


async def test_how_many_are_nearest_is_bounded(fleet: County) -> None:
    async with running(fleet.login_url) as hub:
        token = await hub.token("dispatcher")
        for first in (101, -1):
            _, code, message = await hub.refusal(NEAREST, {"to": [34.7, -0.1], "first": first}, token=token)
            assert (code, "0 to 100" in message) == ("BAD_USER_INPUT", True)
        assert (await hub.ask(NEAREST, {"to": [34.7, -0.1], "first": 0}, token=token))["nearestVehicles"] == []


async def test_a_track_is_a_line_in_order_thinned_by_zoom(fleet: County) -> None:
    asked = """query ($from: DateTime!, $to: DateTime!, $zoom: Float) {
      vehicle(plate: "KDA 001X") { track(from: $from, to: $to, zoom: $zoom) }
    }"""
    async with running(fleet.login_url) as hub:
        token = await hub.token("dispatcher")

        async def track(minutes: int, zoom: float | None) -> Any:
            until = (BEGAN + timedelta(minutes=minutes)).isoformat()
            given = {"from": BEGAN.isoformat(), "to": until, "zoom": zoom}
            return (await hub.ask(asked, given, token=token))["vehicle"]["track"]

        whole = await track(60, 22)
        assert whole["type"] == "LineString"
        assert whole["coordinates"] == sorted(whole["coordinates"])
        assert len((await track(60, 3))["coordinates"]) == 2
        assert await track(1, None) is None


def plan(county: County, document: str, variables: dict[str, Any], hub: Hub) -> str:
    statement, parameters = schema.compiled(document, variables, None, hub.settings.limits)
    with psycopg.connect(county.owner_url) as connection:
        connection.execute("set role hub_county")
        connection.execute("select set_config('hub.roles', 'dispatcher', false)")
        prepared = statement.sql
        for at in range(len(parameters), 0, -1):
            prepared = prepared.replace(f"${at}", f"%({at})s")
        rows = connection.execute(
            f"explain (analyze) {prepared}".encode(), {str(at): value for at, value in enumerate(parameters, 1)}
        )
        return "\n".join(row[0] for row in rows)


async def test_the_nearest_and_a_day_are_answered_by_an_index(fleet: County) -> None:
    async with running(fleet.login_url) as hub:
        said = plan(fleet, NEAREST, {"to": [34.9, -0.2], "first": 5, "where": None}, hub)
        assert said.count("latest_positions_location") == 2, said
        day = (
            "query ($id: ID!, $from: DateTime!, $to: DateTime!) { vehicle(id: $id) { "
            "positions(where: {recordedAt: {gte: $from, lt: $to}}) { nodes { location } } } }"
        )
        with psycopg.connect(fleet.owner_url) as connection:
            (id,) = connection.execute("select id from vehicles limit 1").fetchone()  # type: ignore[misc]
        given = {"id": str(id), "from": "2026-03-02T00:00:00Z", "to": "2026-03-03T00:00:00Z"}
        said = plan(fleet, day, given, hub)
        assert "Index Scan using positions_20260302_pkey" in said, said
        assert said.count("on positions_") <= 2, said  # one week, not all of them
