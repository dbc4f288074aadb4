"""What is written: hidden objects are answered like absent ones, what ACCESS does not give changes nothing, and what a
write reads back is no more than the writer may see. New mutations fail here until somebody says how to try them."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import AsyncIterator, Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest_asyncio
from graphql import GraphQLObjectType, get_named_type

from tests.leaks.callers import CALLERS, Caller
from tests.leaks.conftest import World, opened
from tests.leaks.questions import NOBODYS, SDL, selection
from tests.leaks.rights import Facts
from tests.leaks.test_answers import EVERYTHING, describe, exposed
from tests.leaks.world import SEME, canaries, canary, sign_in_name

if TYPE_CHECKING:
    import httpx

    from tests.conftest import County, Hub

PRESENT = [each for each in CALLERS if not each.gone and not each.sees_as]
CITIZEN = next(each for each in CALLERS if each.name.startswith("citizen who"))
OFFICER = next(each for each in CALLERS if each.roles == ("field_officer",) and each.areas)

CHANGES: dict[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
    "changeIncidentStatus": ("incidents", lambda id: {"id": id, "status": "VERIFIED", "note": "Tried"}),
    "editIncident": ("incidents", lambda id: {"id": id, "expectedVersion": 1, "title": "Tried"}),
    "noteOnIncident": ("incidents", lambda id: {"id": id, "note": "Tried"}),
    "changeVehicleStatus": ("vehicles", lambda id: {"id": id, "status": "ASSIGNED"}),
    "relieveDriver": ("vehicle_drivers", lambda id: {"id": id}),
    "revokeDevice": ("devices", lambda id: {"id": id}),
    "changePatrolStatus": ("patrols", lambda id: {"id": id, "status": "CANCELLED"}),
}
"""Mutations of something that is there: its table, and an input that names it."""

ADDITIONS: dict[str, Callable[[int], dict[str, Any]]] = {
    "reportIncident": lambda number: {
        "kind": "FLOOD",
        "title": "Tried",
        "location": [round(SEME[0] + 0.000103 * number, 6), SEME[1]],
        "reporterName": canary("fresh", str(number)),
    },
}
"""Mutations that add something, each time something else."""

ABOUT_ONESELF = {"signIn", "signOut"}

FLEETS = {"addVehicle", "assignDriver", "registerDevice", "addUnit", "addBeat", "planPatrol"}
"""Additions for those who keep the fleet or patrols: tried apart, because not everybody who is signed in may."""

Ask = Callable[..., Any]


def document(name: str) -> str:
    assert SDL.mutation_type is not None
    field = SDL.mutation_type.fields[name]
    payload = get_named_type(field.type)
    assert isinstance(payload, GraphQLObjectType)
    return f"mutation Try($input: {field.args['input'].type}) {{ {name}(input: $input) {{ {selection(payload)} }} }}"


class Writers:
    """A copy of the world that is written to."""

    def __init__(self, world: World, county: County, hub: Hub) -> None:
        self.world = world
        self.county = county
        self.hub = hub

    async def tries(self, caller: Caller, name: str, /, **given: Any) -> httpx.Response:
        return await self.hub.post(document(name), {"input": given}, headers=self.world.headers(caller))

    def facts(self) -> Facts:
        return Facts(self.county.owner_url)


@pytest_asyncio.fixture(loop_scope="session")
async def writers(world: World) -> AsyncIterator[Writers]:
    county = world.copy()
    async with opened(county) as hub:
        yield Writers(world, county, hub)


def test_every_mutation_is_tried() -> None:
    assert SDL.mutation_type is not None
    assert set(SDL.mutation_type.fields) == CHANGES.keys() | ADDITIONS.keys() | ABOUT_ONESELF | FLEETS


async def test_only_who_keeps_the_fleet_adds_to_it(writers: Writers) -> None:
    facts = writers.facts()
    vehicle = next(iter(facts.rows["vehicles"]))
    for number, caller in enumerate(PRESENT):
        before = writers.facts()
        keeps = bool(before.seen(caller, "vehicles", "write"))
        added = await writers.tries(caller, "addVehicle", plate=f"KDZ {number:03d}", kind="CAR")
        made = await writers.tries(caller, "registerDevice", vehicle=vehicle, label="Tried")
        after = writers.facts()
        for answer in (added, made):
            assert (answer.status_code == 200) is keeps, (caller.name, answer.text)
        if keeps:
            assert len(after.rows["devices"]) == len(before.rows["devices"]) + 1
            self_contained(after, caller, "addVehicle", added)
            self_contained(after, caller, "registerDevice", made)
        else:
            assert after.rows == before.rows, caller.name


async def test_only_who_keeps_drivers_puts_somebody_at_the_wheel(writers: Writers) -> None:
    facts = writers.facts()
    vehicles, people = (sorted(facts.rows[table]) for table in ("vehicles", "people"))
    for number, caller in enumerate(PRESENT):
        before = writers.facts()
        keeps = bool(before.seen(caller, "vehicle_drivers", "write"))
        given = {"vehicle": vehicles[number % len(vehicles)], "person": people[number % len(people)]}
        answer = await writers.tries(caller, "assignDriver", **given)
        assert (answer.status_code == 200) is keeps, (caller.name, answer.text)
        after = writers.facts()
        if keeps:
            self_contained(after, caller, "assignDriver", answer)
        else:
            assert after.rows == before.rows, caller.name


async def test_only_who_keeps_patrols_adds_to_them(writers: Writers) -> None:
    unit = next(iter(writers.facts().rows["units"]))
    line = {"type": "LineString", "coordinates": [[34.75, -0.1], [34.76, -0.1]]}
    times = {"plannedStart": "2026-03-02T06:00:00Z", "plannedEnd": "2026-03-02T08:00:00Z"}
    for number, caller in enumerate(PRESENT):
        before = writers.facts()
        keeps = bool(before.seen(caller, "patrols", "write"))
        answers = {
            "addUnit": await writers.tries(caller, "addUnit", name=f"Unit {number}"),
            "addBeat": await writers.tries(caller, "addBeat", name=f"Beat {number}", line=line),
            "planPatrol": await writers.tries(caller, "planPatrol", unit=unit, **times),
        }
        after = writers.facts()
        for name, answer in answers.items():
            assert (answer.status_code == 200) is keeps, (caller.name, answer.text)
            if keeps:
                self_contained(after, caller, name, answer)
        if not keeps:
            assert after.rows == before.rows, caller.name


async def test_what_is_hidden_is_answered_like_what_is_not_there_and_stays(writers: Writers) -> None:
    before = writers.facts()
    tried = 0
    for caller, (name, (table, given)) in itertools.product(PRESENT, CHANGES.items()):
        absent = await writers.tries(caller, name, **given(NOBODYS))
        assert absent.status_code == (404 if caller.person else 401), (caller.name, name, absent.text)
        writable = before.seen(caller, table, "write") & before.seen(caller, table)
        for number, key in enumerate(sorted(before.rows[table].keys() - writable)):
            answer = await writers.tries(caller, name, **given(key))
            assert answer.content == absent.content, (caller.name, name, key)
            assert answer.status_code == absent.status_code
            if number == 0:
                answer = await writers.tries(caller, name, **{**given(key), "clientMutationId": "tried"})
                assert answer.content == absent.content, (caller.name, name, key)
            tried += 1
    assert tried > 100
    after = writers.facts()
    assert after.rows == before.rows
    assert after.journal == before.journal


async def test_a_person_without_a_person_adds_nothing(writers: Writers) -> None:
    nobody = PRESENT[0]
    before = writers.facts().rows
    for name, make in ADDITIONS.items():
        assert (await writers.tries(nobody, name, **make(0))).status_code == 401
    assert writers.facts().rows == before


async def test_a_write_reads_back_what_the_writer_may_see(writers: Writers) -> None:
    written = 0
    facts = writers.facts()
    for number, caller in enumerate((each for each in PRESENT if each.person), 1):
        answers: list[tuple[str, httpx.Response]] = []
        for name, new in ADDITIONS.items():
            answer = await writers.tries(caller, name, **new(number))
            assert answer.status_code == 200, (caller.name, answer.text)
            answers.append((name, answer))
        for name, (table, make) in CHANGES.items():
            for key in sorted(facts.seen(caller, table, "write") & facts.seen(caller, table))[:3]:
                row = facts.rows[table][key]
                answer = await writers.tries(caller, name, **make(key))
                if answer.status_code == 409 and "expectedVersion" in make(key):  # shows what it is now
                    answers.append((name, answer))
                    given = {**make(key), "expectedVersion": row["version"]}
                    answer = await writers.tries(caller, name, **given)
                answers.append((name, answer))
        before, facts = facts, writers.facts()
        for name, answer in answers:
            self_contained(before, caller, name, answer)
            written += self_contained(facts, caller, name, answer, before)
    assert written > 300, written


def self_contained(facts: Facts, caller: Caller, name: str, answer: httpx.Response, before: Facts | None = None) -> int:
    """What an answer told before a row's next change stands in the row's history from then on."""
    told = canaries(answer.text) & facts.register.keys()
    leaked = told - exposed(facts, caller) - (exposed(before, caller) if before else set())
    assert not leaked, (caller.name, name, [describe(facts, word) for word in leaked])
    return len(told)


async def test_nobody_pushes_an_incident_out_of_their_area_or_pulls_one_in(writers: Writers) -> None:
    facts = writers.facts()
    key = next(key for key in facts.seen(OFFICER, "incidents", "write"))
    version = facts.rows["incidents"][key]["version"]
    answer = await writers.tries(OFFICER, "editIncident", id=key, expectedVersion=version, location=list(SEME))
    assert answer.status_code == 403, answer.text
    assert not canaries(answer.text) & facts.register.keys()
    assert writers.facts().rows == facts.rows


async def test_the_key_of_somebody_elses_write_opens_nothing(writers: Writers) -> None:
    key = next(key for key, row in writers.facts().rows["incidents"].items() if "titled" in row["title"])
    note = {"id": key, "note": "Their own", "clientMutationId": "radio-17"}
    report = {**ADDITIONS["reportIncident"](0), "clientMutationId": "radio-18"}
    theirs = (await writers.tries(EVERYTHING, "noteOnIncident", **note)).json()["data"]["noteOnIncident"]
    first = (await writers.tries(EVERYTHING, "reportIncident", **report)).json()["data"]["reportIncident"]
    hidden = await writers.tries(CITIZEN, "noteOnIncident", **note)
    assert theirs["incident"]["id"] == key
    assert hidden.status_code == 404
    assert hidden.content == (await writers.tries(CITIZEN, "noteOnIncident", id=NOBODYS, note="Their own")).content
    # Other input under a key that somebody else has used is no conflict: that would say that it was used.
    other = await writers.tries(CITIZEN, "reportIncident", **{**report, "title": "Something else"})
    assert other.status_code == 200, other.text
    assert other.json()["data"]["reportIncident"]["incident"]["id"] != first["incident"]["id"]


async def test_a_refusal_repeats_no_value(writers: Writers) -> None:
    """Neither of the database's rows nor of what was sent: it may be what somebody else told on the telephone."""
    secret = canary("sent")
    before = writers.facts()
    for more in (
        {"reporterPhone": secret},
        {"reporterPhone": "+254 700 999 999 " * 3},
        {"reporterName": secret * 40},
        {"title": secret * 40},
        {"description": secret * 1000},
        {"place": secret * 40},
        {"location": [36.123456, -0.5]},
        {"occurredAt": "2044-03-02T06:00:00.123456Z", "description": secret},
        {"title": f"{secret}\x00"},
    ):
        answer = await writers.tries(EVERYTHING, "reportIncident", **{**ADDITIONS["reportIncident"](0), **more})
        assert answer.status_code == 400, (more, answer.text)
        assert canaries(answer.text) == set(), answer.text
    assert writers.facts().rows == before.rows


async def test_signing_in_reads_back_ones_own(world: World) -> None:
    field = SDL.type_map["SignInPayload"]
    asked = f"mutation($input: SignInInput!) {{ signIn(input: $input) {{ {selection(field)} }} }}"
    county = world.copy()
    async with opened(county) as hub:
        for caller in (CITIZEN, OFFICER):
            from tests.conftest import PASSWORD

            given = {"name": sign_in_name(str(caller.person)), "password": PASSWORD}
            answer = await hub.post(asked, {"input": given})
            assert answer.status_code == 200, answer.text
            assert self_contained(world.facts, caller, "signIn", answer) > 1


async def test_hidden_and_absent_take_the_same_time(writers: Writers) -> None:
    """A figure, not a rule: two medians of 200 on a busy machine say little. Read it when something here changes."""
    facts = writers.facts()
    hidden = next(key for key in facts.rows["incidents"] if key not in facts.seen(CITIZEN, "incidents"))
    head = writers.world.headers(CITIZEN)
    reading = "query($id: ID) { incident(id: $id) { id title reporter { phone } } }"
    for about, ask in (
        ("reading", lambda id: writers.hub.post(reading, {"id": id}, headers=head)),
        ("writing", lambda id: writers.tries(CITIZEN, "noteOnIncident", id=id, note="Tried")),
    ):
        took: dict[str, list[float]] = {hidden: [], NOBODYS: []}
        for _ in range(200):
            for id_, times in took.items():
                begun = perf_counter()
                await ask(id_)
                times.append(perf_counter() - begun)
        medians = [statistics.median(times) * 1000 for times in took.values()]
        print(f"{about}: hidden {medians[0]:.3f} ms, absent {medians[1]:.3f} ms")
