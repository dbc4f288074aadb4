"""Geofences of one's own: who enters and leaves an area, and when no unit of a kind is left in it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import pytest_asyncio

from tests.conftest import County, make_person
from tests.hub.test_intake import Tracker
from tests.sockets import serving

ADD = "mutation ($input: AddVehicleInput!) { addVehicle(input: $input) { vehicle { id } } }"
REGISTER = "mutation ($input: RegisterDeviceInput!) { registerDevice(input: $input) { device { id } key } }"
AHERO = {
    "type": "Polygon",
    "coordinates": [[[34.90, -0.19], [34.95, -0.19], [34.95, -0.14], [34.90, -0.14], [34.90, -0.19]]],
}
CROSSED = """subscription ($area: AreaGeoJSON!, $where: VehicleFilter, $after: String) {
  areaCrossed(area: $area, where: $where, after: $after) {
    cursor entered { vehicle { plate } recordedAt } left { vehicle { plate } location } remaining
  }
}"""
WITHIN = """subscription ($area: AreaGeoJSON) {
  vehicleMoved(within: $area) { positions { vehicle { plate } location } }
}"""
INSIDE, OUTSIDE, EDGE = (34.92, -0.17), (34.80, -0.10), (34.90, -0.17)


@pytest_asyncio.fixture
async def place(fresh_database: County) -> Any:
    make_person(fresh_database, "fleet", "fleet_manager")
    make_person(fresh_database, "citizen", "citizen")
    async with serving(fresh_database.login_url) as hub:
        yield hub


async def tracker(hub: Any, plate: str, kind: str) -> Tracker:
    vehicle = (await hub.ask("fleet", ADD, input={"plate": plate, "kind": kind}))["addVehicle"]["vehicle"]["id"]
    made = (await hub.ask("fleet", REGISTER, input={"vehicle": vehicle, "label": "A"}))["registerDevice"]
    return Tracker(plate, vehicle, made["device"]["id"], made["key"])


async def drive(hub: Any, it: Tracker, where: tuple[float, float], ago: float = 0, **more: Any) -> None:
    given = {"id": it.key, "lon": where[0], "lat": where[1], "timestamp": round(time.time() - ago), **more}
    assert (await hub.http.get("/intake/osmand", params=given)).status_code == 200


def plates(event: Any) -> tuple[list[str], list[str], int]:
    told = event["payload"]["data"]["areaCrossed"]
    entered, left = ([each["vehicle"]["plate"] for each in told[side]] for side in ("entered", "left"))
    return entered, left, told["remaining"]


async def test_who_enters_and_leaves_is_told_and_when_nobody_is_left(place: Any) -> None:
    ambulance = await tracker(place, "KDA 001A", "AMBULANCE")
    truck = await tracker(place, "KDA 002A", "TRUCK")
    async with place.socket("fleet") as map_, place.socket("fleet") as other, place.socket("citizen") as citizen:
        await map_.subscribe(CROSSED, area=AHERO)
        await other.subscribe(CROSSED, area=AHERO, where={"kind": {"eq": "AMBULANCE"}})
        await citizen.subscribe(CROSSED, area=AHERO)
        await asyncio.sleep(0.3)
        await drive(place, ambulance, OUTSIDE, 60)
        await map_.silence()
        await drive(place, ambulance, INSIDE, 50)
        first = await map_.hear()
        assert plates(first) == (["KDA 001A"], [], 1)
        assert plates(await other.hear()) == (["KDA 001A"], [], 1)
        await drive(place, ambulance, EDGE, 40)  # the edge belongs to it
        await drive(place, truck, INSIDE, 40)  # never heard of before: it was outside
        assert plates(await map_.hear()) == (["KDA 002A"], [], 2)
        await other.silence()
        await drive(place, ambulance, OUTSIDE, 30)
        assert plates(await map_.hear()) == ([], ["KDA 001A"], 1)
        assert plates(await other.hear()) == ([], ["KDA 001A"], 0)
        # What may be wrong crosses nothing.
        await drive(place, truck, OUTSIDE, 20, valid="false")
        await map_.silence()
        await citizen.silence()
    # Whoever was cut off hears what they missed.
    async with place.socket("fleet") as map_:
        await map_.subscribe(CROSSED, area=AHERO, after=first["payload"]["data"]["areaCrossed"]["cursor"])
        entered, left, remaining = plates(await map_.hear())
        while len(entered) + len(left) < 2:
            more = plates(await map_.hear())
            entered, left, remaining = entered + more[0], left + more[1], more[2]
        assert (entered, left, remaining) == (["KDA 002A"], ["KDA 001A"], 1)
        await map_.silence()


async def test_a_late_position_crosses_where_it_was_on_its_way(place: Any) -> None:
    truck = await tracker(place, "KDA 002A", "TRUCK")
    await drive(place, truck, OUTSIDE, 600)
    await drive(place, truck, OUTSIDE, 300)
    async with place.socket("fleet") as map_:
        await map_.subscribe(CROSSED, area=AHERO)
        await asyncio.sleep(0.3)
        await drive(place, truck, INSIDE, 450)  # it had been in the area, when there was no network
        assert plates(await map_.hear()) == (["KDA 002A"], [], 0)


async def test_positions_within_an_area_are_told_and_no_others(place: Any) -> None:
    truck = await tracker(place, "KDA 002A", "TRUCK")
    async with place.socket("fleet") as map_:
        await map_.subscribe(WITHIN, area=AHERO)
        await asyncio.sleep(0.3)
        await drive(place, truck, OUTSIDE, 60)
        await map_.silence()
        await drive(place, truck, INSIDE, 50)
        told = (await map_.hear())["payload"]["data"]["vehicleMoved"]["positions"]
        assert [each["location"]["coordinates"] for each in told] == [list(INSIDE)]


@pytest.mark.parametrize("area", [None, {"type": "Point", "coordinates": [34.9, -0.1]}, {"type": "Polygon"}])
async def test_an_area_that_is_none_is_refused(place: Any, area: Any) -> None:
    async with place.socket("fleet") as map_:
        await map_.subscribe(CROSSED, area=area)
        refused = await map_.hear()
        assert refused["type"] == "error"
        assert refused["payload"][0]["extensions"]["code"] == "BAD_USER_INPUT"
