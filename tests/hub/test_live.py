"""What goes on live: whoever watches hears every change that is theirs to hear, once, in order, and nothing else."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from hub import following, websocket
from hub.settings import SignIn
from hub.users import accounts, change_areas, disable
from tests.conftest import County, make_person
from tests.sockets import AHERO, LAKE, LIVE, MOVE, NOTE, Client, Listening, serving

IN_AHERO = [34.85, -0.25, 34.95, -0.10]
SEME = [34.4793, -0.1464]  # ward 1202
OPEN = {"status": {"notIn": ["CLOSED", "REJECTED"]}}
LIST = """query List($where: IncidentFilter) {
  liveCursor
  incidents(where: $where, first: 5000) { nodes { id title status severity location ward { code } } }
}"""


def people(county: County) -> None:
    make_person(county, "dispatcher", "dispatcher")
    make_person(county, "ahero", "ward_administrator", areas=("1208",))
    make_person(county, "seme", "ward_administrator", areas=("1202",))
    make_person(county, "kondele", "field_officer", areas=("1213",))
    make_person(county, "citizen", "citizen")
    make_person(county, "other", "citizen")
    make_person(county, "planner", "planner")
    make_person(county, "administrator", "administrator")


@pytest.fixture
def county(fresh_database: County) -> County:
    people(fresh_database)
    return fresh_database


@pytest_asyncio.fixture
async def place(county: County) -> AsyncIterator[Listening]:
    async with serving(county.login_url) as hub:
        yield hub


@contextmanager
def owner(county: County) -> Iterator[psycopg.Connection]:
    with psycopg.connect(county.owner_url, autocommit=True) as connection:
        connection.execute("set role hub_owner")
        yield connection


def add(connection: psycopg.Connection, number: int = 1, at: list[float] = AHERO) -> list[str]:
    """Incidents in one statement, so in one transaction at least."""
    made = connection.execute(
        "insert into incidents (kind, title, severity, certainty, urgency, location, occurred_at, source) "
        "select 'flood', 'Water ' || n, 'minor', 'likely', 'past', st_setsrid(st_point(%s, %s), 4326), now(), 'phone' "
        "from generate_series(1, %s) n returning id",
        (*at, number),
    )
    return [str(row[0]) for row in made.fetchall()]


def retitle(connection: psycopg.Connection, id: str, title: str) -> None:
    connection.execute("update incidents set title = %s where id = %s", (title, id))


async def heard(client: Client, number: int) -> list[tuple[str, str]]:
    return [(event["change"], event["id"]) for event in [await client.event() for _ in range(number)]]


# -- what one hears ----------------------------------------------------------------------------------------------------


async def test_a_map_hears_of_what_is_reported_changed_and_moved_away(place: Listening) -> None:
    async with place.socket("dispatcher") as map_:
        await map_.subscribe(bbox=IN_AHERO)
        id = await place.report()
        created = await map_.event()
        assert (created["change"], created["id"]) == ("CREATED", id)
        assert created["incident"] == {
            "id": id,
            "title": "Nyando over its banks",
            "status": "REPORTED",
            "severity": "SEVERE",
            "location": {"type": "Point", "coordinates": AHERO},
            "ward": {"code": "1208"},
        }
        await place.ask("dispatcher", MOVE, input={"id": id, "status": "VERIFIED"})
        verified = await map_.event()
        assert (verified["change"], verified["incident"]["status"]) == ("UPDATED", "VERIFIED")
        await place.edit(id, 2, location=LAKE)
        gone = await map_.event()
        assert gone | {"cursor": "", "at": ""} == {"cursor": "", "at": "", "change": "GONE", "id": id, "incident": None}
        await place.edit(id, 3, title="Still elsewhere")
        await map_.silence()
        await place.edit(id, 4, location=AHERO)
        assert (await map_.event())["change"] == "UPDATED"


async def test_a_filter_is_that_of_the_list(place: Listening) -> None:
    async with place.socket("planner") as desk:
        await desk.subscribe(where={**OPEN, "ward": {"code": {"eq": "1208"}}, "title": {"contains": "banks"}})
        elsewhere = await place.report(location=LAKE)
        id = await place.report()
        assert (await desk.event())["id"] == id
        await place.ask("dispatcher", MOVE, input={"id": id, "status": "REJECTED", "note": "nothing there"})
        assert ((await desk.event())["change"]) == "GONE"
        # What the watcher may have seen in a list is told as gone, once.
        await place.edit(elsewhere, 1, title="On the lake")
        gone = await desk.event()
        assert (gone["change"], gone["id"]) == ("GONE", elsewhere)
        await place.edit(elsewhere, 2, title="Still on the lake")
        await desk.silence()


async def test_whoever_loses_an_incident_hears_that_and_the_neighbour_gets_it(place: Listening) -> None:
    async with place.socket("ahero") as ahero, place.socket("seme") as seme, place.socket("kondele") as kondele:
        for each in (ahero, seme, kondele):
            await each.subscribe()
        id = await place.report()
        assert (await ahero.event())["change"] == "CREATED"
        await place.edit(id, 1, location=SEME)
        lost, won = await ahero.event(), await seme.event()
        if won["change"] == "CREATED":  # it was looked at for the first time when it had moved already
            won = await seme.event()
        assert (lost["change"], lost["id"], lost["incident"]) == ("GONE", id, None)
        assert (won["change"], won["incident"]["ward"]) == ("UPDATED", {"code": "1202"})
        await place.edit(id, 2, title="Now theirs")
        assert (await seme.event())["incident"]["title"] == "Now theirs"
        for each in (ahero, seme, kondele):
            await each.silence()


async def test_whoever_had_it_on_the_list_hears_that_it_left(place: Listening) -> None:
    """The subscription never told of it: the list did."""
    id = await place.report()
    seen = await place.ask("ahero", LIST)
    assert [each["id"] for each in seen["incidents"]["nodes"]] == [id]
    async with place.socket("ahero") as ahero:
        await ahero.subscribe(after=seen["liveCursor"])
        await place.edit(id, 1, location=SEME)
        assert (await ahero.event())["change"] == "GONE"


async def test_a_citizen_hears_of_their_own_reports_and_the_public_of_none(place: Listening) -> None:
    async with place.socket("citizen") as citizen, place.socket("other") as other, place.socket() as public:
        for each in (citizen, other, public):
            await each.subscribe()
        await place.report()
        id = await place.report("citizen")
        assert (await citizen.event())["id"] == id
        await place.ask("dispatcher", MOVE, input={"id": id, "status": "VERIFIED"})
        assert (await citizen.event())["incident"]["status"] == "VERIFIED"
        for each in (citizen, other, public):
            await each.silence()


async def test_the_public_does_not_learn_how_much_happens(place: Listening) -> None:
    await place.report()
    assert await place.ask(None, "{ liveCursor }") == {"liveCursor": None}
    assert (await place.ask("citizen", "{ liveCursor }"))["liveCursor"] is not None


async def test_a_note_is_an_update_and_a_transaction_is_one_event(county: County) -> None:
    with owner(county) as connection:
        connection.execute(
            "call journal_table('incident_entries', audience => 'timelines', occurred => 'at', "
            "areas => 'array(select i.ward_id from incidents i where i.id = it.incident_id)')"
        )
    async with serving(county.login_url) as hub, hub.socket("dispatcher") as desk:
        await desk.subscribe()
        id = await hub.report()
        assert (await desk.event())["change"] == "CREATED"
        await hub.ask("dispatcher", NOTE, input={"id": id, "note": "seen from the bridge"})
        noted = await desk.event()
        assert (noted["change"], noted["id"]) == ("UPDATED", id)
        await desk.silence()
        # The last entry's cursor: right after it nothing is left.
        assert (await hub.ask("dispatcher", "{ liveCursor }"))["liveCursor"] == noted["cursor"]


async def test_what_is_selected_twice_under_other_names_comes_twice(place: Listening) -> None:
    query = """subscription { moved: incidentChanged { __typename kind: change a: incident { reference } ...More } }
    fragment More on IncidentChange { b: incident { id reporter { phone } timeline(first: 1) { totalCount } } }"""
    async with place.socket("planner") as desk:
        await desk.subscribe(query)
        id = await place.report(reporterPhone="0700 000 000")
        said = (await desk.hear())["payload"]
        assert said["data"]["moved"] == {
            "__typename": "IncidentChange",
            "kind": "CREATED",
            "a": {"reference": said["data"]["moved"]["a"]["reference"]},
            "b": {"id": id, "reporter": None, "timeline": {"totalCount": 1}},
        }


async def test_changes_come_in_the_order_of_their_commits(place: Listening, county: County) -> None:
    async with place.socket("dispatcher") as desk:
        with owner(county) as early, owner(county) as late:
            await desk.subscribe(after=(await place.ask("dispatcher", "{ liveCursor }"))["liveCursor"])
            one, two = add(early, 2)
            await heard(desk, 2)
            with early.transaction():
                retitle(early, one, "Begun first")
                retitle(late, two, "Ended first")
                assert (await desk.event())["id"] == two
                await desk.silence(0.3)
            assert (await desk.event())["id"] == one


async def test_a_list_and_its_events_come_to_what_the_list_says_in_the_end(place: Listening) -> None:
    """Nothing is lost between a list and the subscription after it, while others go on writing."""

    async def write() -> None:
        for number in range(25):
            id = await place.report(location=random.choice([AHERO, LAKE]), title=f"Flood {number}")
            if number % 2:
                await place.edit(id, 1, location=random.choice([AHERO, LAKE]))

    box = {"location": {"bbox": IN_AHERO}}
    writing = asyncio.create_task(write())
    async with AsyncExitStack() as open_:
        watching = []
        for _ in range(4):
            await asyncio.sleep(random.uniform(0, 0.3))
            seen = await place.ask("dispatcher", LIST, where=box)
            held = {each["id"]: each for each in seen["incidents"]["nodes"]}
            client = await open_.enter_async_context(place.socket("dispatcher"))
            await client.subscribe(where=box, after=seen["liveCursor"])
            watching.append((client, held))
        await writing
        last = await place.ask("dispatcher", LIST, where=box)
        wanted = {each["id"]: each for each in last["incidents"]["nodes"]}
        for client, held in watching:
            for _ in range(400):
                if held == wanted:
                    break
                event = await client.event()
                if event["change"] == "GONE":
                    held.pop(event["id"], None)
                else:
                    held[event["id"]] = event["incident"]
            assert held == wanted


async def test_what_a_list_held_before_it_was_sealed_is_told_as_gone(place: Listening) -> None:
    """A list sees what was committed, also where its cursor does not yet: made, listed and moved on, all after it."""
    box = {"location": {"bbox": IN_AHERO}}
    before = (await place.ask("dispatcher", LIST, where=box))["liveCursor"]
    id = await place.report(location=AHERO)
    assert id in {each["id"] for each in (await place.ask("dispatcher", LIST, where=box))["incidents"]["nodes"]}
    await place.edit(id, 1, location=LAKE)
    async with place.socket("dispatcher") as desk:
        await desk.subscribe(where=box, after=before)
        event = await desk.event()
        assert (event["change"], event["id"]) == ("GONE", id)


# -- resuming ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("elsewhere", [False, True], ids=["the same worker", "a worker that remembers nothing"])
async def test_a_client_that_was_cut_off_goes_on_right_there(place: Listening, county: County, elsewhere: bool) -> None:
    """Also in the middle of a transaction."""
    async with place.socket("dispatcher") as desk:
        await desk.subscribe()
        with owner(county) as connection, connection.transaction():
            ids = add(connection, 5)
            retitle(connection, ids[0], "Changed in the same transaction")
        whole = [await desk.event() for _ in range(5)]
    changes = {event["id"]: event["change"] for event in whole}
    assert changes == dict.fromkeys(ids, "CREATED")
    assert whole[-1]["id"] == ids[0]  # its last entry is the last of all
    async with AsyncExitStack() as open_:
        hub = await open_.enter_async_context(serving(county.login_url)) if elsewhere else place
        hub.tokens = place.tokens
        for number in range(5):
            async with hub.socket("dispatcher") as again:
                await again.subscribe(after=whole[number]["cursor"])
                rest = [await again.event() for _ in range(4 - number)]
                assert rest == whole[number + 1 :]
                await again.silence(0.2)


async def refused(client: Client, after: str) -> Any:
    await client.subscribe(after=after)
    said = await client.hear()
    assert (said["type"], said["id"]) == ("error", "1")
    (error,) = said["payload"]
    return error["extensions"]


async def test_what_cannot_be_resumed_says_so(
    place: Listening, county: County, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.report()
    cursor = (await place.ask("dispatcher", "{ liveCursor }"))["liveCursor"]
    epoch = cursor.partition(":")[0]
    resync = {"code": "CONFLICT", "reason": "RESYNC"}
    async with place.socket("dispatcher") as desk:
        assert await refused(desk, f"{uuid4().hex}:0") == resync
        assert await refused(desk, f"{epoch}:999999") == resync
        assert await refused(desk, f"{epoch}:{2**63 - 1}") == resync
        for garbage in (
            "",
            "1",
            ":",
            f"{epoch}:",
            f"{epoch}:-1",
            f"{epoch}:{2**63}",
            "é:1",
            f"{epoch}:1\u0000",
            "x" * 9999,
        ):
            assert await refused(desk, garbage) == {"code": "BAD_USER_INPUT"}, garbage
        monkeypatch.setattr(following, "MOST_BEHIND", 3)
        with owner(county) as connection:
            add(connection, 10)
            (entries,) = connection.execute("select count(*) from journal").fetchone() or (0,)
        head = 0
        while head < entries:  # all is sealed before the other one starts: it would remember what it seals
            head = int((await place.ask("dispatcher", "{ liveCursor }"))["liveCursor"].partition(":")[2])
        async with serving(county.login_url) as other:  # which remembers nothing
            other.tokens = place.tokens
            async with other.socket("dispatcher") as late:
                assert await refused(late, f"{epoch}:{head - 4}") == resync
                await late.subscribe(after=f"{epoch}:{head - 3}")
                assert len(await heard(late, 3)) == 3


class Lines:
    """A hub that outlives the examples of the test below, and what happens to a client of it."""

    def __init__(self, runner: asyncio.Runner, hub: Listening, county: County) -> None:
        self.runner = runner
        self.hub = hub
        self.county = county

    def run(self, steps: list[str], seed: int) -> None:
        self.runner.run(self._steps(steps, random.Random(seed)))

    async def _steps(self, steps: list[str], chance: random.Random) -> None:
        hub, county = self.hub, self.county
        expected: list[tuple[str, str]] = []
        told: list[tuple[str, str]] = []
        cursor = (await hub.ask("dispatcher", "{ liveCursor }"))["liveCursor"]
        ids: list[str] = []
        cursors: list[int] = []
        client: Client | None = None
        open_ = AsyncExitStack()

        async def connected() -> Client:
            nonlocal client, open_
            if client is None:
                open_ = AsyncExitStack()
                client = await open_.enter_async_context(hub.socket("dispatcher"))
                await client.subscribe(after=cursor)
            return client

        async def hear(most: int) -> None:
            nonlocal cursor
            listening = await connected()
            while len(told) < len(expected) and most:
                event = await listening.event()
                told.append((event["change"], event["id"]))
                cursor = event["cursor"]
                cursors.append(int(cursor.partition(":")[2]))
                most -= 1

        with owner(county) as connection:
            for step in steps:
                if "cut" in step:
                    await open_.aclose()
                    client = None
                if step in ("add", "add many"):
                    made = add(connection, 1 if step == "add" else chance.randint(2, 7))
                    ids += made
                    expected += [("CREATED", id) for id in made]
                elif "change" in step and ids:
                    id = chance.choice(ids)
                    retitle(connection, id, f"Water {chance.random()}")
                    expected.append(("UPDATED", id))
                elif step == "transaction" and ids:
                    with connection.transaction():
                        changed = chance.sample(ids, min(3, len(ids)))
                        for id in [*changed, *changed]:
                            retitle(connection, id, f"Water {chance.random()}")
                        made = add(connection, 1)
                    ids += made
                    expected += [*(("UPDATED", id) for id in changed), ("CREATED", made[0])]
                elif step == "hear":
                    await hear(chance.randint(1, 4))
            await hear(10_000)
            listening = await connected()
            await listening.silence(0.1)
        await open_.aclose()
        assert told == expected
        assert cursors == sorted(set(cursors))


@pytest.fixture(scope="module")
def lines(copies: Any) -> Iterator[Lines]:
    with copies() as county, asyncio.Runner() as runner:
        people(county)
        stack = AsyncExitStack()
        yield Lines(runner, runner.run(stack.enter_async_context(serving(county.login_url))), county)
        runner.run(stack.aclose())


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_event_comes_once_whatever_happens_to_the_line(lines: Lines, data: st.DataObject) -> None:
    """Random changes, in transactions of any length, and a client that is cut off at any time."""
    kinds = st.sampled_from(["add", "add many", "change", "transaction", "cut", "cut and change", "hear"])
    lines.run(data.draw(st.lists(kinds, min_size=3, max_size=25)), data.draw(st.integers(0, 2**32)))


# -- workers, restarts, the end ----------------------------------------------------------------------------------------


@asynccontextmanager
async def process(county: County) -> AsyncIterator[tuple[Listening, subprocess.Popen[str]]]:
    """`hub serve` as a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    environment |= {"HUB_DATABASE_URL": county.login_url, "HUB_PORT": "0"}
    command = [sys.executable, "-c", "from hub.cli import main; main()", "serve"]
    with subprocess.Popen(  # noqa: ASYNC220 - it is started at once, and waited for elsewhere
        command, env=environment, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            said = await asyncio.to_thread(running.stdout.readline)
            assert "http://" in said, said
            hub = Listening(None, said.split()[-1])  # type: ignore[arg-type]
            yield hub, running
            await hub.http.aclose()
        finally:
            running.terminate()
            await asyncio.to_thread(running.wait, 30)


async def test_what_is_done_at_one_worker_is_heard_at_the_other_once_and_in_order(county: County) -> None:
    async with process(county) as (one, _), process(county) as (two, _), two.socket("dispatcher") as desk:
        await desk.subscribe()
        done: list[tuple[str, str]] = []
        for number in range(15):
            hub = (one, two)[number % 2]
            id = await hub.report(title=f"Flood {number}")
            done.append(("CREATED", id))
            await hub.edit(id, 1, title=f"Flood {number} rises")
            done.append(("UPDATED", id))
        told = [await desk.event() for _ in done]
        assert [(event["change"], event["id"]) for event in told] == done
        cursors = [int(event["cursor"].partition(":")[2]) for event in told]
        assert cursors == sorted(set(cursors))
        await desk.silence()


async def test_a_hub_that_stops_says_where_to_go_on(county: County) -> None:
    async with process(county) as (hub, running):
        async with hub.socket("dispatcher") as desk, hub.socket("planner") as idle:
            await desk.subscribe()
            await hub.report()
            event = await desk.event()
            running.send_signal(signal.SIGTERM)
            code, reason = await desk.closed()
            told = json.loads(reason)
            assert code == 1001
            assert told["after"] == event["cursor"] or int(told["after"][33:]) > int(event["cursor"][33:])
            assert 0 <= told["retry"] <= 10
            assert (await idle.closed())[0] == 1001
        assert await asyncio.to_thread(running.wait, 20) == 0


async def test_subscriptions_outlive_the_loss_of_every_database_connection(place: Listening, county: County) -> None:
    async with place.socket("dispatcher") as desk:
        await desk.subscribe()
        with owner(county) as connection:
            ids = add(connection, 3)
            for _ in range(3):
                connection.execute("reset role")
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and pid <> pg_backend_pid()"
                )
                connection.execute("set role hub_owner")
                ids += add(connection, 2)
                await asyncio.sleep(0.2)
            assert [id for _, id in await heard(desk, len(ids))] == ids
        await desk.silence()


async def test_subscriptions_outlive_a_restart_of_the_database(place: Listening, county: County) -> None:
    """A restart begins a new epoch. What the hub sees of one here is made by hand: the cluster is that of all tests."""
    async with place.socket("dispatcher") as desk:
        await desk.subscribe()
        with owner(county) as connection:
            ids = add(connection, 2)
            first = await heard(desk, 2)
            before = (await place.ask("dispatcher", "{ liveCursor }"))["liveCursor"]
            connection.execute("update sealer_state set started_at = now()")
            ids += add(connection, 2)
            rest = [await desk.event() for _ in range(2)]
            assert [id for _, id in first] + [event["id"] for event in rest] == ids
            assert rest[0]["cursor"].partition(":")[0] != before.partition(":")[0]
            await desk.silence()
        async with place.socket("dispatcher") as again:
            await again.subscribe(after=before)
            assert [id for _, id in await heard(again, 2)] == ids[2:]


async def test_after_a_restore_everybody_reads_anew(place: Listening, county: County) -> None:
    with owner(county) as connection:
        add(connection, 1)
        then = (await place.ask("dispatcher", "{ liveCursor }"))["liveCursor"]
        async with place.socket("dispatcher") as desk, place.socket("dispatcher") as early:
            await desk.subscribe(after=then)
            await early.subscribe(after=f"{then.partition(':')[0]}:0")
            kept = int(then.partition(":")[2])
            assert len(await heard(early, 1)) == 1
            add(connection, 2)
            await heard(desk, 2)
            # As if the database had been put back to where it was at `then`, and had gone on differently.
            connection.execute(
                "insert into epochs (number, after_cursor, cause) select max(number) + 1, %s, 'restore' from epochs",
                (kept,),
            )
            said = await desk.hear()
            assert (said["type"], said["payload"][0]["extensions"]["reason"]) == ("error", "RESYNC")


# -- rights ------------------------------------------------------------------------------------------------------------


async def test_a_socket_ends_with_its_token(county: County) -> None:
    short = SignIn(token_hours=4 / 3600)
    async with serving(county.login_url, sign_in=short) as hub, hub.socket("dispatcher") as desk:
        await desk.subscribe()
        assert await desk.closed(6) == (4403, "the token has expired: sign in again")


@pytest.mark.parametrize("how", ["signed out", "disabled", "moved"])
async def test_a_socket_ends_within_ten_seconds_of_a_lost_right(place: Listening, county: County, how: str) -> None:
    await place.token("ahero")
    async with place.socket("ahero") as ahero, place.socket("dispatcher") as desk:
        await ahero.subscribe()
        await desk.subscribe()
        if how == "signed out":
            async with serving(county.login_url) as other:  # where nobody tells this worker
                other.tokens = place.tokens
                await other.ask("ahero", "mutation { signOut }")
        else:
            with accounts(county.login_url) as connection:
                if how == "disabled":
                    disable(connection, "ahero")
                else:
                    change_areas(connection, "ahero", ["1202"], ["1208"])
        code, reason = await ahero.closed(10)
        assert code == 4403
        assert reason in {"the token is no longer good: sign in again", "your rights have changed: connect again"}
        await place.report()
        assert (await desk.event())["change"] == "CREATED"


async def test_no_event_is_told_to_somebody_whose_rights_are_in_doubt(
    place: Listening, county: County, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database was away for long: before the first event the caller is asked about."""
    monkeypatch.setattr("hub.identity.stays.LOOK_SECONDS", 3600)
    monkeypatch.setattr("hub.identity.stays.UNSEEN_SECONDS", 0)
    monkeypatch.setattr("hub.identity.sign_ins.ASKED_AGAIN_AFTER", 0)
    async with place.socket("ahero") as ahero:
        await ahero.subscribe()
        await place.report()
        assert (await ahero.event())["change"] == "CREATED"
        with accounts(county.login_url) as connection:
            disable(connection, "ahero")
        await place.report()
        assert (await ahero.closed(5))[0] == 4403


async def test_an_administrator_hears_what_others_hear(place: Listening) -> None:
    pytest.importorskip("hub.identity.seeing")
    async with place.socket("administrator", seeAs="ward_administrator@1202") as seen:
        await seen.subscribe()
        await place.report()
        id = await place.report(location=SEME)
        assert (await seen.event())["id"] == id
        mutation = "mutation ($input: NoteOnIncidentInput!) { noteOnIncident(input: $input) { incident { id } } }"
        refusal = await seen.ask(mutation, input={"id": id, "note": "as somebody else"})
        assert refusal[0]["extensions"]["code"] == "FORBIDDEN"


# -- many --------------------------------------------------------------------------------------------------------------


async def test_a_thousand_maps_of_one_caller_ask_once(place: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    fetch = place.app.state.sessions.fetch

    async def counted(caller: Any, sql: str, parameters: Any) -> Any:
        asked.append(sql)
        return await fetch(caller, sql, parameters)

    async with place.socket("dispatcher") as one, place.socket("dispatcher") as two, place.socket("ahero") as three:
        clients = (one, two, three)
        for client in clients:
            for number in range(20):
                await client.subscribe(id=str(number), bbox=IN_AHERO)
        await listening(place, 60)
        monkeypatch.setattr(place.app.state.sessions, "fetch", counted)
        id = await place.report()
        for client in clients:
            assert {event["id"] for event in [await client.event() for _ in range(20)]} == {id}
        assert 2 <= sum("incidents AS" in sql for sql in asked) <= 4


async def listening(hub: Listening, number: int) -> None:
    for _ in range(1000):
        if len(hub.live.listening) == number:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{len(hub.live.listening)} subscriptions are open, not {number}")


def tasks() -> int:
    return len(asyncio.all_tasks())


async def test_a_thousand_clients_that_are_dropped_leave_nothing_behind(place: Listening) -> None:
    token = await place.token("dispatcher")
    async with place.socket("dispatcher") as desk:
        await desk.ask("{ me { name } }")
    await settled(place)
    before = tasks()

    async def dropped(number: int) -> None:
        async with place.socket(authorization=f"Bearer {token}") as client:
            await client.subscribe(id=str(number))
            await client.subscribe(id="another", bbox=IN_AHERO)
            client.connection.transport.abort()  # no goodbye, as when a cable is pulled

    for _ in range(20):
        await asyncio.gather(*(dropped(number) for number in range(50)))
        await place.report(title="Meanwhile")
    await settled(place)
    assert tasks() == before
    assert not place.live.listening
    assert not place.live.guests
    assert not place.live._pulls
    assert len(place.app.state.stays) == 0


async def settled(hub: Listening) -> None:
    for _ in range(200):
        if not (hub.live.listening or hub.live.guests or len(hub.app.state.stays) or hub.live._pulls):
            break
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)
    gc.collect()


async def test_whoever_reads_slowly_falls_behind_and_is_let_go(
    place: Listening, county: County, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "SEND_SECONDS", 2.0)
    words = "subscription { incidentChanged { cursor change id incident { description } } }"
    token = await place.token("dispatcher")
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = place.address.removeprefix("http://").split(":")
        line.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(line, (host, int(port)))
        await loop.sock_sendall(
            line,
            f"GET /graphql HTTP/1.1\r\nhost: {host}:{port}\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n"
            "sec-websocket-protocol: graphql-transport-ws\r\n\r\n".encode(),
        )
        assert b"101" in await loop.sock_recv(line, 2000)
        await loop.sock_sendall(
            line, frame({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
        )
        assert b"connection_ack" in await loop.sock_recv(line, 2000)
        await loop.sock_sendall(line, frame({"id": "1", "type": "subscribe", "payload": {"query": words}}))
        async with place.socket("dispatcher") as desk:
            await desk.subscribe(words)
            with owner(county) as connection:
                ids = add(connection, 100)
                reading = asyncio.create_task(heard(desk, 2_100))
                long = "update incidents set description = repeat('wet ', 1200) || %s"
                for number in range(20):
                    await asyncio.to_thread(connection.execute, long, (number,))
            assert {id for _, id in await reading} == set(ids)
            await listening(place, 1)  # the one who reads
        told = bytearray()
        with pytest.raises((TimeoutError, ConnectionError)):  # noqa: PT012
            async with asyncio.timeout(5):
                while piece := await loop.sock_recv(line, 1 << 20):
                    told += piece
                raise ConnectionResetError
        assert (1013).to_bytes(2) + b'{"after": "' in told


def frame(message: Any) -> bytes:
    """A message as a client sends it."""
    body = json.dumps(message).encode()
    return bytes([0x81, 0x80 | 126, *len(body).to_bytes(2), 0, 0, 0, 0]) + body


# -- server-sent events ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def stream(hub: Listening, who: str | None, query: str = LIVE, **variables: Any) -> AsyncIterator[Any]:
    headers = {"accept": "text/event-stream", "accept-encoding": "gzip"}
    if who:
        headers["authorization"] = f"Bearer {await hub.token(who)}"
    asked = {"query": query, "variables": variables}
    async with hub.http.stream("POST", "/graphql", json=asked, headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream"), await response.aread()
        assert "content-encoding" not in response.headers
        lines = response.aiter_lines()

        async def event() -> tuple[str, Any]:
            name = ""
            async with asyncio.timeout(15):
                async for line in lines:
                    if line.startswith("event: "):
                        name = line.removeprefix("event: ")
                    elif line.startswith("data:"):
                        said = line.removeprefix("data:").strip()
                        return name, json.loads(said) if said else None
            return "cut", None

        yield event


async def test_events_come_as_server_sent_events_too(place: Listening) -> None:
    async with stream(place, "dispatcher", bbox=IN_AHERO) as desk:
        id = await place.report()
        name, said = await desk()
        told = said["data"]["incidentChanged"]
        assert (name, told["change"], told["id"]) == ("next", "CREATED", id)
    later = await place.report()
    async with stream(place, "dispatcher", after=told["cursor"]) as again:
        assert (await again())[1]["data"]["incidentChanged"]["id"] == later
    async with stream(place, None, "{ wards { totalCount } }") as query:
        assert await query() == ("next", {"data": {"wards": {"totalCount": 35}}})
        assert await query() == ("complete", None)
    await settled(place)
    assert not place.live.guests
    assert not place.live.listening


async def test_a_stream_of_events_ends_with_its_token_and_with_the_hub(county: County) -> None:
    async with serving(county.login_url, sign_in=SignIn(token_hours=4 / 3600)) as hub:
        async with stream(hub, "dispatcher") as desk:
            name, said = await desk()
            assert (name, said["errors"][0]["extensions"]["code"]) == ("next", "UNAUTHENTICATED")
            assert await desk() == ("complete", None)
        async with stream(hub, None) as public:
            await asyncio.sleep(0.2)
            await hub.live.drain()
            assert await public() == ("cut", None)


async def test_a_stream_that_cannot_be_resumed_says_so(place: Listening) -> None:
    await place.report()
    async with stream(place, "dispatcher", after=f"{uuid4().hex}:0") as desk:
        name, said = await desk()
        assert (name, said["errors"][0]["extensions"]) == ("next", {"code": "CONFLICT", "reason": "RESYNC"})
        assert await desk() == ("complete", None)
    headers = {"accept": "text/event-stream", "authorization": f"Bearer {await place.token('dispatcher')}"}
    asked = {"query": LIVE, "variables": {"after": "garbage"}}
    response = await place.http.post("/graphql", json=asked, headers=headers)
    assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_USER_INPUT")


async def test_a_quiet_stream_is_kept_alive(place: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.events.COMMENT_SECONDS", 0.1)
    headers = {"accept": "text/event-stream"}
    async with place.http.stream("POST", "/graphql", json={"query": LIVE}, headers=headers) as response:
        comments = 0
        async for line in response.aiter_lines():
            comments += line == ":"
            if comments == 5:
                break


async def test_a_subscription_does_not_fit_into_one_answer(place: Listening) -> None:
    response = await place.http.post("/graphql", json={"query": LIVE})
    assert response.status_code == 400
    assert "websocket" in response.json()["errors"][0]["message"]
