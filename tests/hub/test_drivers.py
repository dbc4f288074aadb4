"""Who drives what: one at a wheel, nobody at two, and what was stays known."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.conftest import County, Hub, copied, make_person, running

ADD = "mutation ($input: AddVehicleInput!) { addVehicle(input: $input) { vehicle { id } } }"
ASSIGN = """mutation ($input: AssignDriverInput!) {
  assignDriver(input: $input) { driver { id since until person { name } vehicle { plate } } }
}"""
RELIEVE = "mutation ($input: RelieveDriverInput!) { relieveDriver(input: $input) { driver { id until } } }"
WHO = """query { vehicles(orderBy: [{ plate: ASC }]) { nodes {
  plate driver { person { name } } drivers { nodes { until person { name } } }
} } }"""


@pytest.fixture
def garage(cluster: Any, template: str) -> Iterator[County]:
    with copied(cluster, template) as county:
        make_person(county, "manager", "fleet_manager")
        make_person(county, "planner", "planner")
        for name in ("achieng", "baraka"):
            make_person(county, name, "field_officer", areas=("1208",))
        yield county


def person(county: County, name: str) -> str:
    with psycopg.connect(county.owner_url) as connection:
        (id,) = connection.execute("select id::text from people where name = %s", (name,)).fetchone()  # type: ignore[misc]
    return str(id)


async def drivers(hub: Hub, token: str) -> dict[str, tuple[str | None, list[tuple[str, bool]]]]:
    """Of each vehicle: who drives it, and everybody who did, with whether they still do."""
    answer = await hub.ask(WHO, token=token)
    return {
        each["plate"]: (
            each["driver"] and each["driver"]["person"]["name"],
            [(row["person"]["name"], row["until"] is None) for row in each["drivers"]["nodes"]],
        )
        for each in answer["vehicles"]["nodes"]
    }


async def test_a_vehicle_is_handed_over_and_a_driver_leaves_the_one_before(garage: County) -> None:
    async with running(garage.login_url) as hub:
        token = await hub.token("manager")
        first, second = [
            (await hub.ask(ADD, {"input": {"plate": plate, "kind": "CAR"}}, token=token))["addVehicle"]["vehicle"]["id"]
            for plate in ("KDD 001A", "KDD 002A")
        ]
        achieng, baraka = person(garage, "achieng"), person(garage, "baraka")

        async def assign(vehicle: str, who: str) -> Any:
            given = {"input": {"vehicle": vehicle, "person": who}}
            return (await hub.ask(ASSIGN, given, token=token))["assignDriver"]["driver"]

        begun = await assign(first, achieng)
        assert (begun["person"]["name"], begun["vehicle"]["plate"], begun["until"]) == ("achieng", "KDD 001A", None)
        assert (await assign(first, achieng))["id"] == begun["id"]  # who drives it already goes on
        await assign(first, baraka)
        assert await drivers(hub, token) == {
            "KDD 001A": ("baraka", [("achieng", False), ("baraka", True)]),
            "KDD 002A": (None, []),
        }
        taken = await assign(second, baraka)
        assert await drivers(hub, token) == {
            "KDD 001A": (None, [("achieng", False), ("baraka", False)]),
            "KDD 002A": ("baraka", [("baraka", True)]),
        }
        for _ in range(2):  # said twice it ends once
            relieved = await hub.ask(RELIEVE, {"input": {"id": taken["id"]}}, token=token)
            assert relieved["relieveDriver"]["driver"]["until"]
        assert (await drivers(hub, token))["KDD 002A"][0] is None


async def test_of_many_who_take_a_vehicle_at_once_one_drives_it(garage: County) -> None:
    async with running(garage.login_url) as hub:
        token = await hub.token("manager")
        vehicle = (await hub.ask(ADD, {"input": {"plate": "KDD 003A", "kind": "CAR"}}, token=token))["addVehicle"]
        people = [person(garage, name) for name in ("achieng", "baraka", "manager", "planner")]
        given = [{"input": {"vehicle": vehicle["vehicle"]["id"], "person": who}} for who in people]
        answers = await asyncio.gather(*(hub.post(ASSIGN, each, token=token) for each in given))
        assert {answer.status_code for answer in answers} == {200}  # each in its turn
        _, everybody = (await drivers(hub, token))["KDD 003A"]
        assert (len(everybody), sum(still for _, still in everybody)) == (4, 1)


async def test_two_who_change_vehicles_with_each_other_at_once_do_not_block_each_other(garage: County) -> None:
    async with running(garage.login_url) as hub:
        token = await hub.token("manager")
        made = [
            (await hub.ask(ADD, {"input": {"plate": plate, "kind": "CAR"}}, token=token))["addVehicle"]["vehicle"]["id"]
            for plate in ("KDD 006A", "KDD 007A")
        ]
        people = [person(garage, name) for name in ("achieng", "baraka")]
        for turn in range(12):
            given = [{"input": {"vehicle": made[at], "person": people[(at + turn) % 2]}} for at in (0, 1)]
            answers = await asyncio.gather(*(hub.post(ASSIGN, each, token=token) for each in given))
            assert [answer.status_code for answer in answers] == [200, 200], [answer.text for answer in answers]
            at_the_wheel = [who for who, _ in (await drivers(hub, token)).values()]
            # The later one took the person from where the earlier one had put them, or both changed places.
            assert len(set(at_the_wheel) - {None}) == sum(who is not None for who in at_the_wheel) >= 1


async def test_who_drives_is_not_for_everybody_who_sees_vehicles(garage: County) -> None:
    async with running(garage.login_url) as hub:
        token = await hub.token("manager")
        vehicle = (await hub.ask(ADD, {"input": {"plate": "KDD 004A", "kind": "CAR"}}, token=token))["addVehicle"]
        given = {"input": {"vehicle": vehicle["vehicle"]["id"], "person": person(garage, "achieng")}}
        await hub.ask(ASSIGN, given, token=token)
        planner = await hub.token("planner")
        assert await drivers(hub, planner) == {"KDD 004A": (None, [])}
        _, code, _ = await hub.refusal(ASSIGN, given, token=planner)
        assert code == "NOT_FOUND"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"vehicle": "x"}, "input.vehicle is no id"),
        ({"person": "x"}, "input.person is no id"),
        ({"vehicle": "018f0000-0000-7000-8000-000000000000"}, "input.vehicle: there is no such vehicle"),
        ({"person": "018f0000-0000-7000-8000-000000000000"}, "input.person: there is no such row"),
    ],
)
async def test_what_is_wrong_is_named_and_nobody_drives(garage: County, wrong: dict[str, str], said: str) -> None:
    async with running(garage.login_url) as hub:
        token = await hub.token("manager")
        vehicle = (await hub.ask(ADD, {"input": {"plate": "KDD 005A", "kind": "CAR"}}, token=token))["addVehicle"]
        given = {"vehicle": vehicle["vehicle"]["id"], "person": person(garage, "achieng"), **wrong}
        _, _, message = await hub.refusal(ASSIGN, {"input": given}, token=token)
        assert said in message
        assert await drivers(hub, token) == {"KDD 005A": (None, [])}
