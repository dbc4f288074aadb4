"""`hub simulate`: what a hub gets to hear, over real sockets, also when it stumbles."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from hub.demonstration.client import Client, Unreachable
from hub.demonstration.county import CAST
from hub.demonstration.days import Caption, Event, Fix, Report, Step, flood_night
from hub.demonstration.player import Played, play
from tests.commands import crowd

KEYS = {vehicle.plate: f"key of {vehicle.plate} & more" for vehicle in CAST}


@dataclass
class Heard:
    """A request, as it came."""

    at: float
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    connection: int
    answered: int


@dataclass
class FakeHub:
    """As much of a hub as the player sees: it writes down what it is told, and stumbles when it should."""

    heard: list[Heard] = field(default_factory=list)
    stumbles: list[str] = field(default_factory=list)
    """What to do instead of answering, one for each request: `503` or `drop`."""
    unknown: set[str] = field(default_factory=set)
    """Keys of devices that it does not know."""
    chunked: bool = False
    slow: float = 0.0
    address: str = ""
    connections: int = 0
    incidents: dict[str, str] = field(default_factory=dict)
    """Ids by clientMutationId: a write happens once."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        this = self.connections
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, target, _ = head[0].split(" ")
                headers = {name.lower(): value.strip() for name, _, value in (h.partition(":") for h in head[1:] if h)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                parts = urlsplit(target)
                heard = Heard(
                    time.time(),
                    method,
                    parts.path,
                    dict(parse_qsl(parts.query)),
                    headers,
                    json.loads(body) if body else None,
                    this,
                    0,
                )
                stumble = self.stumbles.pop(0) if self.stumbles and parts.path != "/health/live" else ""
                self.heard.append(heard)
                await asyncio.sleep(self.slow)
                if stumble == "drop":
                    return
                heard.answered, answer = (503, {}) if stumble == "503" else self.answer(heard)
                said = json.dumps(answer).encode()
                writer.write(f"HTTP/1.1 {heard.answered} Said\r\ncontent-type: application/json\r\n".encode())
                if self.chunked:
                    writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
                    for part in (said[:9], said[9:], b""):
                        writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                else:
                    writer.write(f"content-length: {len(said)}\r\n\r\n".encode() + said)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(self, heard: Heard) -> tuple[int, Any]:
        if heard.path == "/intake/osmand":
            return (404, {}) if heard.query["id"] in self.unknown else (200, {})
        if heard.path != "/graphql":
            return 200, {}
        given = heard.body["variables"]["input"]
        key = given["clientMutationId"]
        if "reportIncident" in heard.body["query"]:
            made = self.incidents.setdefault(key, f"incident {len(self.incidents)}")
            return 200, {"data": {"reportIncident": {"incident": {"id": made}}}}
        if given["id"] not in self.incidents.values():
            return 404, {"data": None, "errors": [{"message": "There is no such incident."}]}
        return 200, {"data": {"changeIncidentStatus": {"incident": {"id": given["id"]}}}}

    def positions(self, status: int = 200) -> list[Heard]:
        return [each for each in self.heard if each.path == "/intake/osmand" and each.answered == status]

    def writes(self, status: int = 200) -> list[Heard]:
        return [each for each in self.heard if each.path == "/graphql" and each.answered == status]


@asynccontextmanager
async def listening(port: int = 0, **how: Any) -> AsyncIterator[FakeHub]:
    fake = FakeHub(**how)
    server = await asyncio.start_server(fake.serve, "127.0.0.1", port)
    fake.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield fake
    finally:
        server.close()
        await asyncio.sleep(0)


@contextmanager
def in_a_thread(**how: Any) -> Iterator[FakeHub]:
    """The same for a player in another process."""
    fakes: list[FakeHub] = []
    ready, over = threading.Event(), threading.Event()

    async def run() -> None:
        async with listening(**how) as fake:
            fakes.append(fake)
            ready.set()
            while not over.is_set():  # noqa: ASYNC110  an event of threads
                await asyncio.sleep(0.02)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    ready.wait(10)
    try:
        yield fakes[0]
    finally:
        over.set()
        thread.join(10)


def fix(at: float, plate: str = "DEMO 001", sent: float | None = None, **other: float) -> Fix:
    said = {"lon": 34.75, "lat": -0.1, "speed": 37.04, "heading": 91.5, "accuracy": 6.0, "battery": 88.5} | other
    return Fix(at_seconds=at, vehicle=plate, sent_at_seconds=at if sent is None else sent, **said)


def report(name: str = "bridge", at: float = 0.0) -> Report:
    return Report(at, name, {"kind": "FLOOD", "title": f"DEMO: {name}", "clientMutationId": f"demonstration 1 {name}"})


def step(status: str, name: str = "bridge", at: float = 0.0) -> Step:
    return Step(at, name, {"status": status, "note": None, "clientMutationId": f"demonstration 1 {name} {status}"})


# -- positions ---------------------------------------------------------------------------------------------------------


async def test_a_position_goes_out_as_osmand_sends_it() -> None:
    async with listening() as fake:
        began = int(time.time())
        await play([fix(0)], fake.address, KEYS, None)
    (heard,) = fake.positions()
    assert heard.method == "GET"
    assert began <= int(heard.query.pop("timestamp")) <= time.time()
    assert heard.query == {
        "id": "key of DEMO 001 & more",
        "lat": "-0.100000",
        "lon": "34.750000",
        "speed": "20.00",  # knots
        "bearing": "91.5",
        "accuracy": "6.0",
        "batt": "88.5",
    }
    assert "authorization" not in heard.headers


async def test_script_time_is_pressed_together_and_recorded_times_are_of_now() -> None:
    async with listening() as fake:
        began = time.time()
        await play([fix(0), fix(60), fix(120), fix(30, "DEMO 002", sent=150)], fake.address, KEYS, None, speed=60)
    lasted = time.time() - began
    assert 2.5 <= lasted < 2.5 + 2 * crowd()
    driving = [int(heard.query["timestamp"]) for heard in fake.positions() if "001" in heard.query["id"]]
    assert [at - driving[0] for at in driving] == [0, 1, 2]
    assert all(0 <= heard.at - int(heard.query["timestamp"]) < 1 + crowd() for heard in fake.positions()[:3])
    late = fake.positions()[-1]
    # Measured after half a second, sent after two and a half.
    assert 2 <= late.at - int(late.query["timestamp"]) < 3 + crowd()


async def test_what_is_sent_twice_is_the_same_both_times() -> None:
    async with listening() as fake:
        told = await play([fix(0), fix(0, sent=3), fix(60), fix(60, sent=63)], fake.address, KEYS, None, speed=60)
    sent = Counter(json.dumps(heard.query) for heard in fake.positions())
    assert list(sent.values()) == [2, 2]
    assert told.positions == 4


async def test_two_positions_of_one_second_are_thinned_not_mixed_up() -> None:
    async with listening() as fake:
        told = await play(
            [fix(at, lat=-0.1 - at / 1e5) for at in range(0, 240, 10)], fake.address, KEYS, None, speed=120
        )
    times = [heard.query["timestamp"] for heard in fake.positions()]
    assert len(set(times)) == len(times) == told.positions
    assert told.thinned == 24 - told.positions > 15


async def test_each_device_keeps_its_connection_and_waits_for_no_other() -> None:
    events: list[Event] = [fix(at, plate) for at in range(3) for plate in ("DEMO 001", "DEMO 002", "DEMO 003")]
    async with listening(slow=0.1) as fake:
        await play(events, fake.address, KEYS, None, speed=1)
    assert fake.connections == 3
    assert len({(heard.connection, heard.query["id"]) for heard in fake.heard}) == 3


async def test_a_vehicle_without_a_key_stays_silent() -> None:
    async with listening() as fake:
        await play([fix(0), fix(0, "DEMO 002")], fake.address, {"DEMO 002": "two"}, None)
    assert [heard.query["id"] for heard in fake.positions()] == ["two"]


# -- when the hub stumbles ---------------------------------------------------------------------------------------------


async def test_please_retry_and_dropped_connections_lose_nothing() -> None:
    async with listening(stumbles=["503", "drop", "503"]) as fake:
        told = await play([fix(0), fix(60), fix(120)], fake.address, KEYS, None, speed=60)
    assert [heard.answered for heard in fake.heard] == [503, 0, 503, 200, 200, 200]
    assert len({json.dumps(heard.query) for heard in fake.heard[:4]}) == 1, "the same fix is sent again"
    assert told.retries == 3
    assert told.lost == told.refused == told.thinned == 0
    assert told.positions == 3
    waits = [other.at - one.at for one, other in zip(fake.heard[:3], fake.heard[1:4], strict=True)]
    assert waits[0] >= 0.1
    assert waits[2] > waits[0], "it waits longer each time"


async def test_a_report_whose_answer_was_lost_is_made_once() -> None:
    async with listening(stumbles=["drop", "503"]) as fake:
        told = await play([report(), step("VERIFIED")], fake.address, KEYS, "t")
    assert list(fake.incidents) == ["demonstration 1 bridge"]
    assert [heard.body["variables"]["input"].get("status") for heard in fake.heard] == [None, None, None, "VERIFIED"]
    assert (told.reports, told.steps, told.retries) == (1, 1, 2)


async def test_a_hub_that_starts_late_gets_everything() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    playing = asyncio.create_task(play([fix(0), report()], f"http://127.0.0.1:{port}", KEYS, "t"))
    await asyncio.sleep(0.4)
    async with listening(port) as fake:
        told = await playing
    assert (told.positions, told.reports, told.lost) == (1, 1, 0)
    assert told.retries >= 2
    assert len(fake.heard) == 2


async def test_a_hub_that_never_comes_is_given_up_and_told_of_once() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: refused
        said: list[str] = []
        began = time.monotonic()
        told = await play(
            [fix(at) for at in range(0, 300, 60)],
            f"http://127.0.0.1:{held.getsockname()[1]}",
            KEYS,
            None,
            speed=3600,
            say=said.append,
            patience=0.3,
        )
    assert time.monotonic() - began < 2 + crowd()
    assert told.positions == 0
    assert told.lost + told.thinned == 5
    assert len(said) == 1
    assert said[0].startswith("The hub cannot be reached")


async def test_a_refused_device_is_told_of_once_and_the_others_go_on() -> None:
    said: list[str] = []
    events: list[Event] = [fix(at, plate) for at in (0, 60) for plate in ("DEMO 001", "DEMO 002")]
    async with listening(unknown={KEYS["DEMO 001"]}) as fake:
        told = await play(events, fake.address, KEYS, None, speed=60, say=said.append)
    assert (told.positions, told.refused) == (2, 2)
    assert said == ["DEMO 001: the hub refuses its positions, with 404. Is its key still good?"]


async def test_a_connection_that_answers_nonsense_is_unreachable() -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    client = Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout=2)
    try:
        with pytest.raises(Unreachable):
            await client.get("/")
    finally:
        await client.close()
        server.close()


async def test_a_server_that_says_nothing_is_not_waited_for_for_ever() -> None:
    async with listening(slow=5) as fake:
        client = Client(fake.address, timeout=0.2)
        with pytest.raises(Unreachable):
            await client.get("/")
        await client.close()


async def test_an_answer_in_chunks_is_read_whole_and_the_connection_kept() -> None:
    async with listening(chunked=True) as fake:
        told = await play([report(), step("VERIFIED"), step("RESPONDING")], fake.address, KEYS, "t")
    assert (told.reports, told.steps, fake.connections) == (1, 2, 1)


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="is no address of a hub"):
        Client(address)


# -- reports -----------------------------------------------------------------------------------------------------------


async def test_reports_and_steps_are_written_by_the_bearer_of_the_token() -> None:
    async with listening() as fake:
        told = await play([report(), step("VERIFIED"), step("RESPONDING")], fake.address, {}, "secret")
    assert [heard.headers["authorization"] for heard in fake.writes()] == ["Bearer secret"] * 3
    assert all(heard.method == "POST" for heard in fake.writes())
    inputs = [heard.body["variables"]["input"] for heard in fake.writes()]
    assert [given.get("id") for given in inputs] == [None, "incident 0", "incident 0"]
    assert (told.reports, told.steps) == (1, 2)


async def test_a_play_again_writes_the_same_and_so_nothing() -> None:
    events = [event for event in flood_night(3) if isinstance(event, Report | Step)]
    async with listening() as fake:
        for _ in range(2):
            await play(events, fake.address, {}, "t", speed=1e6)
    written = [json.dumps(heard.body) for heard in fake.writes()]
    assert len(written) == 2 * len(events)
    assert written[: len(events)] == written[len(events) :]
    assert len(fake.incidents) == 13


async def test_without_a_token_nothing_is_reported() -> None:
    async with listening() as fake:
        told = await play([report(), fix(0), step("VERIFIED")], fake.address, KEYS, None)
    assert fake.writes() == []
    assert (told.positions, told.reports) == (1, 0)


async def test_a_refused_report_is_told_of_and_its_steps_are_left_out() -> None:
    said: list[str] = []

    class Refusing(FakeHub):
        def answer(self, heard: Heard) -> tuple[int, Any]:
            return 403, {"data": None, "errors": [{"message": "You may not."}]}

    fake = Refusing()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    told = await play([report(), step("VERIFIED")], address, {}, "t", say=said.append)
    server.close()
    assert len(fake.heard) == 1
    assert told.refused == 1
    assert said == ["DEMO: bridge: the hub refuses it (You may not.)."]


# -- captions and pauses -----------------------------------------------------------------------------------------------


async def test_captions_come_at_their_time() -> None:
    came: list[tuple[str, float]] = []
    began = time.monotonic()
    async with listening() as fake:
        await play(
            [Caption(0, "first"), Caption(60, "second")],
            fake.address,
            {},
            None,
            speed=120,
            caption=lambda text: came.append((text, time.monotonic() - began)),
        )
    assert [text for text, _ in came] == ["first", "second"]
    assert 0.5 <= came[1][1] < 0.5 + crowd()


async def test_while_it_is_paused_nothing_happens_and_afterwards_it_goes_on() -> None:
    pause = asyncio.Event()
    async with listening() as fake:
        playing = asyncio.create_task(
            play([fix(0), fix(60), fix(60, sent=61)], fake.address, KEYS, None, speed=60, pause=pause)
        )
        await asyncio.sleep(0.4)
        pause.set()
        await asyncio.sleep(1.2)
        assert len(fake.positions()) == 1
        pause.clear()
        await playing
    first, second, again = (int(heard.query["timestamp"]) for heard in fake.positions())
    assert second - first >= 2, "recorded times stay times of now"
    assert again == second


async def test_a_play_that_is_cut_off_leaves_no_connection_and_says_how_far_it_came() -> None:
    played = Played()
    async with listening() as fake:
        playing = asyncio.create_task(play([fix(0), fix(6000)], fake.address, KEYS, None, played=played))
        await asyncio.sleep(0.3)
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await playing
    assert played.positions == 1


# -- the whole night ---------------------------------------------------------------------------------------------------


async def test_the_whole_night_arrives() -> None:
    events = flood_night(1)
    captions: list[str] = []
    async with listening(stumbles=["503", "drop"] * 10) as fake:
        told = await play(events, fake.address, KEYS, "t", speed=3600, caption=captions.append)
    wanted = Counter(type(event) for event in events)
    assert told.positions + told.thinned == wanted[Fix]
    assert (told.reports, told.steps, len(captions)) == (wanted[Report], wanted[Step], wanted[Caption])
    assert told.lost == told.refused == 0
    assert told.retries == 20
    assert len({heard.query["id"] for heard in fake.positions()}) == 24


# -- the command -------------------------------------------------------------------------------------------------------


def simulate(*arguments: str, keys: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from hub.cli import main; main()", "simulate", "--keys", str(keys), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(KEYS | {"token": "t"}))
    return file


def test_the_command_plays_until_ctrl_c_and_then_says_one_line(keys: Path) -> None:
    with in_a_thread() as fake, simulate("--url", fake.address, "--seed", "5", keys=keys) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == (
                f"A flood night at Ahero, 19:00 to 01:00, on {fake.address}. Ctrl-C stops it.\n"
            )
            assert process.stdout.readline().startswith("19:00 It has rained")
            deadline = time.monotonic() + 10 * crowd()
            while len({heard.query["id"] for heard in fake.positions()}) < 24 and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=10 * crowd())
        finally:
            process.kill()
    assert err == ""
    (line,) = out.splitlines()
    assert line.startswith("Stopped at 19:0")
    assert line.endswith("0 refused, 0 lost.")
    assert process.returncode == 0
    assert len({heard.query["id"] for heard in fake.positions()}) == 24


def test_the_command_plays_to_the_end(keys: Path) -> None:
    with (
        in_a_thread() as fake,
        simulate("ordinary-day", "--url", fake.address, "--speed", "3600", keys=keys) as process,
    ):
        out, err = process.communicate(timeout=60 * crowd())
    assert err == ""
    assert out.splitlines()[-1].startswith("Played to its end: ")
    assert "6 reports and 21 steps taken" in out
    assert len(fake.incidents) == 6


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("no json", "holds no JSON"),
        ("[]", "an object of texts is needed"),
        ('{"DEMO 001": 7}', "an object of texts is needed"),
        ('{"token": "t"}', "has a key for none of the vehicles, DEMO 001 to DEMO 024."),
    ],
)
def test_keys_that_are_none_are_refused_in_a_sentence(given: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(given)
    process = simulate(keys=file)
    out, err = process.communicate(timeout=30)
    assert process.returncode != 0
    assert told in err
    assert "Traceback" not in out + err


def test_no_hub_is_a_sentence(keys: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        process = simulate("--url", url, keys=keys)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err.startswith(f"No hub answers at {url} (")
    assert err.endswith("start it with `hub up`, or say --url.\n")


def test_an_address_that_is_none_is_a_sentence(keys: Path) -> None:
    process = simulate("--url", "here", keys=keys)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "here is no address of a hub" in err


def test_silence_for_want_of_a_key_or_a_token_is_told(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({plate: key for plate, key in KEYS.items() if plate != "DEMO 024"}))
    with in_a_thread() as fake, simulate("--url", fake.address, "--speed", "3600", keys=file) as process:
        out, _ = process.communicate(timeout=60 * crowd())
    assert "No key for DEMO 024: they stay silent." in out
    assert "nothing is reported" in out
    assert fake.writes() == []
