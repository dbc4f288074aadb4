"""What goes on live: each caller hears of the incidents that they may see, with what they may see of them, by websocket
and by server-sent events, from now on and from a cursor that somebody else was given."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import httpx
import pytest
from graphql import get_named_type
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.leaks.callers import CALLERS, Caller
from tests.leaks.conftest import World
from tests.leaks.questions import SDL, selection
from tests.leaks.rights import Facts
from tests.leaks.test_answers import EVERYTHING, exposed
from tests.leaks.world import SEME, canaries, canary
from tests.sockets import PROTOCOL, Listening, serving

PRESENT = [each for each in CALLERS if not each.gone]


AHERO = (
    '{type: "Polygon", coordinates: [[[34.92, -0.18], [34.93, -0.18], [34.93, -0.16], [34.92, -0.16], [34.92, -0.18]]]}'
)
"""Where the devices of `driven` are, and were not before."""


def document(name: str) -> str:
    assert SDL.subscription_type is not None
    event = get_named_type(SDL.subscription_type.fields[name].type)
    given = "after: $after" + (f", area: {AHERO}" if name == "areaCrossed" else "")
    return f"subscription Live($after: String) {{ {name}({given}) {{ {selection(event)} }} }}"


class Ear:
    """A caller who listens, and everything that they were sent."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.heard: list[str] = []

    @property
    def events(self) -> list[dict[str, Any]]:
        payloads = [json.loads(said) for said in self.heard]
        payloads = [said.get("payload", said) for said in payloads if said.get("type", "next") == "next"]
        return [said["data"]["incidentChanged"] for said in payloads]


async def by_socket(
    hub: Listening, world: World, ear: Ear, after: str | None, ready: asyncio.Event, name: str = "incidentChanged"
) -> None:
    init = {"authorization": world.headers(ear.caller).get("authorization"), "seeAs": ear.caller.sees_as or None}
    payload = {name: value for name, value in init.items() if value}
    async with connect(hub.socket_address, subprotocols=[PROTOCOL], max_size=None) as connection:
        await connection.send(json.dumps({"type": "connection_init", "payload": payload}))
        assert json.loads(await connection.recv()) == {"type": "connection_ack"}
        asked = {"query": document(name), "variables": {"after": after}}
        await connection.send(json.dumps({"id": "1", "type": "subscribe", "payload": asked}))
        ready.set()
        async for said in connection:
            ear.heard.append(str(said))


async def by_sse(hub: Listening, world: World, ear: Ear, after: str | None, ready: asyncio.Event) -> None:
    asked = {"query": document("incidentChanged"), "variables": {"after": after}}
    head = {**world.headers(ear.caller), "accept": "text/event-stream"}
    async with hub.http.stream("POST", "/graphql", json=asked, headers=head, timeout=60) as answer:
        assert answer.status_code == 200, (await answer.aread(), ear.caller.name)
        ready.set()
        async for line in answer.aiter_lines():
            if line.startswith("data:") and line[5:].strip():
                ear.heard.append(line[5:].strip())


async def settled(ears: list[Ear], count: int) -> None:
    """Until whoever hears everything has heard it, and then a moment for the others."""

    async def heard() -> bool:
        return all(len(ear.heard) >= count for ear in ears if ear.caller is EVERYTHING)

    await until(heard)
    await asyncio.sleep(0.7)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 40) -> None:
    for _ in range(round(seconds / 0.05)):
        if await condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come about")


@pytest.mark.parametrize("way", [by_socket, by_sse], ids=["websocket", "server-sent events"])
async def test_each_caller_hears_what_they_may_see(world: World, way: Any) -> None:
    county = world.copy()
    before = Facts(county.owner_url)
    resumed, live = [Ear(each) for each in PRESENT], [Ear(each) for each in PRESENT]
    async with serving(county.login_url) as hub, AsyncExitStack() as ending:

        async def asks(query: str, **variables: Any) -> Any:
            answer = await hub.http.post(
                "/graphql", json={"query": query, "variables": variables}, headers=world.headers(EVERYTHING)
            )
            assert "errors" not in answer.json(), answer.text
            return answer.json()["data"]

        async def listen(ears: list[Ear], after: str | None) -> None:
            ready = [asyncio.Event() for _ in ears]
            for ear, event in zip(ears, ready, strict=True):
                task = asyncio.create_task(way(hub, world, ear, after, event))
                ending.push_async_callback(ended, task)
            await asyncio.gather(*(event.wait() for event in ready))

        await until(lambda: sealed(county.owner_url))  # what the world began with
        cursor = (await asks("{ liveCursor }"))["liveCursor"]
        await listen(live, None)
        await asyncio.sleep(0.5)
        note = "mutation($input: NoteOnIncidentInput!) { noteOnIncident(input: $input) { incident { id } } }"
        for key in before.rows["incidents"]:
            await asks(note, input={"id": key, "note": f"Heard {key}"})
        await settled(live, len(before.rows["incidents"]))
        noted = Facts(county.owner_url)
        # A goes to Seme: gone for Ahero, there for Seme, changed for those who see both.
        moved = next(key for key, row in before.rows["incidents"].items() if "zqtitleazq" in row["title"])
        edit = "mutation($input: EditIncidentInput!) { editIncident(input: $input) { incident { id } } }"
        version = before.rows["incidents"][moved]["version"]
        await asks(edit, input={"id": moved, "expectedVersion": version, "location": [SEME[0], SEME[1]]})
        await settled(live, len(before.rows["incidents"]) + 1)
        # Everybody resumes with the dispatcher's cursor.
        await listen(resumed, cursor)
        await settled(resumed, len(before.rows["incidents"]) + 1)
    after = Facts(county.owner_url)
    for ear in (*live, *resumed):
        name = f"{ear.caller.name}, {'live' if ear in live else 'resumed'}"
        saw, sees = before.seen(ear.caller, "incidents"), after.seen(ear.caller, "incidents")
        told = {event["id"] for event in ear.events if event["change"] != "GONE"}
        gone = {event["id"] for event in ear.events if event["change"] == "GONE"}
        assert told <= saw | sees, name
        assert told >= sees - {moved}, name
        assert gone <= (saw - sees), name
        for event in ear.events:
            if event["change"] == "GONE":
                assert event["incident"] is None, name
        words = canaries(" ".join(ear.heard))
        times = (before, noted, after)
        leaked = words & set().union(*(facts.register for facts in times))
        leaked -= set().union(*(exposed(facts, ear.caller) for facts in times))
        assert not leaked, (name, sorted(leaked))


async def test_a_patrol_is_heard_of_by_whoever_sees_patrols(world: World) -> None:
    """That it began and that a member came to it; by nobody else, neither now nor from somebody else's cursor."""
    county = world.copy()
    facts = Facts(county.owner_url)
    planned = sorted(key for key, row in facts.rows["patrols"].items() if row["status"] == "planned")
    connection = await asyncpg.connect(county.owner_url)
    await connection.execute("set role hub_owner")

    def told(ear: Ear) -> list[tuple[str, str]]:
        payloads = [json.loads(said).get("payload") for said in ear.heard]
        events = [each["data"]["patrolChanged"] for each in payloads if isinstance(each, dict)]
        return [(each["id"], each["change"]) for each in events]

    live, resumed = [Ear(each) for each in PRESENT], [Ear(each) for each in PRESENT]
    async with serving(county.login_url) as hub, AsyncExitStack() as ending:

        async def listen(ears: list[Ear], after: str | None) -> None:
            ready = [asyncio.Event() for _ in ears]
            for ear, event in zip(ears, ready, strict=True):
                ending.push_async_callback(
                    ended, asyncio.create_task(by_socket(hub, world, ear, after, event, "patrolChanged"))
                )
            await asyncio.gather(*(event.wait() for event in ready))

        async def all_heard(ears: list[Ear], count: int) -> None:
            async def heard() -> bool:
                return all(len(told(ear)) >= count for ear in ears if ear.caller is EVERYTHING)

            await until(heard)
            await asyncio.sleep(0.7)

        # The world itself is told, too, until it is sealed.
        await until(lambda: sealed(county.owner_url))
        await listen(live, None)
        await asyncio.sleep(0.5)
        for key in planned:
            await connection.execute(
                "update patrols set status = 'cancelled', note = $2 where id = $1::text::uuid",
                key,
                canary("patrol", "x"),
            )
        await all_heard(live, len(planned))
        first = json.loads(next(ear for ear in live if ear.caller is EVERYTHING).heard[0])
        await listen(resumed, first["payload"]["data"]["patrolChanged"]["cursor"])
        await all_heard(resumed, len(planned) - 1)
    await connection.close()
    after_ = Facts(county.owner_url)
    assert len(planned) > 1
    for ears, expected in ((live, planned), (resumed, planned[1:])):
        for ear in ears:
            sees = bool(after_.seen(ear.caller, "patrols"))
            assert sorted(told(ear)) == (sorted((key, "UPDATED") for key in expected) if sees else []), ear.caller.name
            leaked_ = canaries(" ".join(ear.heard)) & after_.register.keys() - exposed(after_, ear.caller)
            assert not leaked_, (ear.caller.name, sorted(leaked_))


async def driven(connection: asyncpg.Connection, facts: Facts, minutes: int) -> None:
    """Every device says that it is in Ahero."""
    for number, device in enumerate(facts.rows["devices"]):
        at = f"2026-03-02T09:{minutes:02d}:{number:02d}.123457Z"
        await connection.execute("set role hub_owner")
        await connection.execute(
            "select take_fixes(array[$1::text::uuid], array[extract(epoch from $2::text::timestamptz)], "
            "array[34.921011::float8], "
            "array[-0.17::float8], array[null::real], array[null::real], array[null::real], array[null::real], "
            "array[null::real], array[''], array[null::jsonb])",
            device,
            at,
        )


async def test_a_crossing_is_heard_by_whoever_sees_positions(world: World) -> None:
    """Nobody else learns that somebody came, nor how many are there."""
    county = world.copy()
    facts = Facts(county.owner_url)
    connection = await asyncpg.connect(county.owner_url)
    ears = [Ear(each) for each in PRESENT]

    def told(ear: Ear) -> list[str]:
        payloads = [json.loads(said)["payload"]["data"]["areaCrossed"] for said in ear.heard]
        return [each["vehicle"]["plate"] for payload in payloads for each in payload["entered"]]

    async with serving(county.login_url) as hub, AsyncExitStack() as ending:
        ready = [asyncio.Event() for _ in ears]
        for ear, event in zip(ears, ready, strict=True):
            ending.push_async_callback(
                ended, asyncio.create_task(by_socket(hub, world, ear, None, event, "areaCrossed"))
            )
        await asyncio.gather(*(event.wait() for event in ready))
        await asyncio.sleep(0.5)
        await driven(connection, facts, 1)

        async def heard() -> bool:
            return all(len(told(ear)) >= 3 for ear in ears if ear.caller is EVERYTHING)

        await until(heard)
        await asyncio.sleep(0.7)
    await connection.close()
    after_ = Facts(county.owner_url)
    for ear in ears:
        sees = bool(after_.seen(ear.caller, "positions"))
        assert len(told(ear)) == (3 if sees else 0), ear.caller.name
        assert sees or not ear.heard
        leaked_ = canaries(" ".join(ear.heard)) & after_.register.keys() - exposed(after_, ear.caller)
        assert not leaked_, (ear.caller.name, sorted(leaked_))


async def test_a_move_is_heard_by_whoever_sees_positions(world: World) -> None:
    """And by nobody else, neither now nor from a cursor that somebody else was given."""
    county = world.copy()
    facts = Facts(county.owner_url)
    connection = await asyncpg.connect(county.owner_url)

    async def drive(minutes: int) -> None:
        await driven(connection, facts, minutes)

    def told(ear: Ear) -> list[str]:
        payloads = [json.loads(said)["payload"]["data"]["vehicleMoved"] for said in ear.heard]
        return [each["vehicle"]["plate"] for payload in payloads for each in payload["positions"]]

    live, resumed = [Ear(each) for each in PRESENT], [Ear(each) for each in PRESENT]
    async with serving(county.login_url) as hub, AsyncExitStack() as ending:

        async def listen(ears: list[Ear], after: str | None) -> None:
            ready = [asyncio.Event() for _ in ears]
            for ear, event in zip(ears, ready, strict=True):
                ending.push_async_callback(
                    ended, asyncio.create_task(by_socket(hub, world, ear, after, event, "vehicleMoved"))
                )
            await asyncio.gather(*(event.wait() for event in ready))

        async def all_heard(ears: list[Ear], count: int) -> None:
            async def heard() -> bool:
                return all(len(told(ear)) >= count for ear in ears if ear.caller is EVERYTHING)

            await until(heard)
            await asyncio.sleep(0.7)

        await listen(live, None)
        await asyncio.sleep(0.5)
        await drive(1)
        await all_heard(live, 3)
        first = next(ear for ear in live if ear.caller is EVERYTHING).heard[0]
        await drive(2)
        await all_heard(live, 6)
        cursor = json.loads(first)["payload"]["data"]["vehicleMoved"]["cursor"]
        left = 6 - len(json.loads(first)["payload"]["data"]["vehicleMoved"]["positions"])
        await listen(resumed, cursor)
        await all_heard(resumed, left)
    await connection.close()
    after_ = Facts(county.owner_url)
    for ears, count in ((live, 6), (resumed, left)):
        for ear in ears:
            sees = bool(after_.seen(ear.caller, "positions"))
            assert len(told(ear)) == (count if sees else 0), ear.caller.name
            leaked_ = canaries(" ".join(ear.heard)) & after_.register.keys() - exposed(after_, ear.caller)
            assert not leaked_, (ear.caller.name, sorted(leaked_))


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    outcome = (await asyncio.gather(task, return_exceptions=True))[0]
    fine = (asyncio.CancelledError, ConnectionClosed, httpx.HTTPError)
    assert outcome is None or isinstance(outcome, fine), outcome


async def sealed(owner_url: str) -> bool:
    """Whether everything in the journal has its cursor."""
    connection = await asyncpg.connect(owner_url)
    try:
        waiting = "select from journal j where not exists (select from cursors c where c.entry = j.entry)"
        return bool(await connection.fetchval(f"select not exists ({waiting})"))
    finally:
        await connection.close()


async def test_a_token_that_has_ended_hears_nothing(world: World) -> None:
    async with serving(world.copy().login_url) as hub:
        for caller in (each for each in CALLERS if each.gone):
            asked = {"query": document("incidentChanged"), "variables": {}}
            head = {**world.headers(caller), "accept": "text/event-stream"}
            answer = await hub.http.post("/graphql", json=asked, headers=head)
            assert answer.status_code == 401
            assert canaries(answer.text) == set()
            async with connect(hub.socket_address, subprotocols=[PROTOCOL]) as connection:
                payload = {"authorization": world.headers(caller)["authorization"]}
                await connection.send(json.dumps({"type": "connection_init", "payload": payload}))
                with pytest.raises(ConnectionClosed) as closed:
                    await connection.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code in {4401, 4403}
