"""Several workers: real processes that are killed, stopped and orphaned while somebody asks them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path

import pytest

from hub.database.embedded import SETTINGS
from hub.settings import Database, Limits, Server, Settings, SignIn
from hub.supervising import FROZEN_SECONDS, LONGEST_PAUSE, _Worker, connections_of, pause_after
from tests.commands import STOPPING, Process, crowd, eventually_gone, hub, new_home, processes
from tests.conftest import County

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

BACK_SECONDS = 5


def children(pid: int) -> list[int]:
    """The processes that it started and that live, the oldest first."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def workers(process: Process) -> list[int]:
    """Those that have a place, by their numbers; not the one that stands by."""
    named = {name(pid): pid for pid in children(process.process.pid)}
    return [named[each] for each in sorted(named) if each.startswith("hub worker ")]


def standing_by(process: Process) -> list[int]:
    return [pid for pid in children(process.process.pid) if name(pid) == "hub standing by"]


def name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def lives(pid: int) -> bool:
    """A zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def connections(pid: int, port: int) -> int:
    """How many clients of the port the process holds."""
    served = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == "01":  # established
            served.add(f"socket:[{fields[9]}]")
    found = 0
    for file in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += str(file.readlink()) in served
        except OSError:
            continue
    return found


def within(seconds: float, what: Callable[[], bool]) -> float:
    """How long it took until it was so."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds, "it never came to be"
        time.sleep(0.02)
    return time.monotonic() - began


def asked(address: str) -> bool:
    with urllib.request.urlopen(f"{address}/health/live", timeout=10) as answer:
        return bool(json.load(answer)["status"] == "live")


class Askers:
    """Clients that ask on, each on a new connection, until the block ends; what fails is counted."""

    def __init__(self, address: str, count: int = 4) -> None:
        self._address = address
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]
        self.answered = 0
        self.failed = 0
        self.refused = 0

    def _ask(self) -> None:
        while not self._over.is_set():
            try:
                asked(self._address)
                self.answered += 1
            except ConnectionRefusedError:
                self.refused += 1
            except (OSError, HTTPException) as error:  # a request that the killed one held
                if isinstance(getattr(error, "reason", None), ConnectionRefusedError):
                    self.refused += 1
                else:
                    self.failed += 1
            time.sleep(0.005)

    def __enter__(self) -> Askers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture(scope="module")
def three(database: County) -> Iterator[Process]:
    """A hub of three workers over the county that nobody changes."""
    with Process("serve", "--workers", "3", HUB_DATABASE_URL=database.login_url) as process:
        process.address()
        yield process


# -- serving -----------------------------------------------------------------------------------------------------------


def test_the_address_is_told_once_when_all_of_them_answer(three: Process) -> None:
    assert len(workers(three)) == 3
    assert [line for line in three.lines if "http://" in line] == [f"Kisumu hub: {three.address()}"]
    assert asked(three.address())


def test_requests_spread_over_all_of_them(three: Process) -> None:
    port = int(three.address().rpartition(":")[2])
    held: list[socket.socket] = []
    shares: list[int] = []
    try:
        for _ in range(5):  # on a machine that is full a worker may sleep through the first of them
            for _ in range(60):
                client = socket.create_connection(("127.0.0.1", port))
                client.sendall(b"GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
                held.append(client)
            for client in held[-60:]:
                assert client.recv(20).startswith(b"HTTP/1.1 200")
            shares = [connections(pid, port) for pid in workers(three)]
            assert sum(shares) == len(held)
            if min(shares) >= 3:
                break
    finally:
        for client in held:
            client.close()
    assert min(shares) >= 3, shares


def test_nothing_secret_stands_in_a_workers_environment_or_arguments(database: County) -> None:
    settings = {"HUB_DATABASE_URL": database.login_url, "HUB_OWNER_URL": "postgresql://postgres:canary@nowhere/hub"}
    with Process("serve", "--workers", "2", **settings) as process:
        process.address()
        for pid in workers(process):
            shown = Path(f"/proc/{pid}/environ").read_bytes() + cmdline(pid)
            assert b"canary" not in shown
            assert b"HUB_" not in shown


# -- faults ------------------------------------------------------------------------------------------------------------


def test_a_killed_worker_is_back_within_five_seconds_while_the_others_serve_on(three: Process) -> None:
    before = workers(three)
    with Askers(three.address()) as askers:
        time.sleep(0.5)
        os.kill(before[1], signal.SIGKILL)
        line = three.says(f"Worker 2 (process {before[1]}) was ended by SIGKILL")
        assert line.endswith(": another one starts.")
        took = within(BACK_SECONDS * crowd(), lambda: answering(three, before))
        answered = askers.answered
        time.sleep(0.5)
        assert askers.answered > answered
    print(f"back after {took:.1f} s; {askers.answered} answered, {askers.failed} cut")
    (new,) = set(workers(three)) - set(before)
    assert three.says(f"Worker 2 answers again (process {new}), ").endswith(" s later.")
    assert askers.refused == 0
    assert askers.failed <= 4  # what the dead one was at, at most one for each client
    assert set(before) - set(workers(three)) == {before[1]}


def answering(process: Process, before: list[int]) -> bool:
    """Whether three serve again: the new one holds connections to the port like the rest."""
    new = set(workers(process)) - set(before)
    port = int(process.address().rpartition(":")[2])
    if len(new) != 1 or len(workers(process)) != 3:
        return False
    clients = []
    try:
        for _ in range(20):
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(b"GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
            clients.append(client)
        for client in clients:
            client.recv(20)
        return connections(new.pop(), port) > 0
    except OSError:
        return False
    finally:
        for client in clients:
            client.close()


def test_one_that_stands_by_takes_the_place_at_once_and_is_replaced_itself(three: Process) -> None:
    within(10 * crowd(), lambda: len(standing_by(three)) == 1)
    (spare,) = standing_by(three)
    before = workers(three)
    os.kill(before[2], signal.SIGKILL)
    took = within(2 * crowd(), lambda: workers(three) == [*before[:2], spare])
    within(1 * crowd(), lambda: answering(three, before))
    print(f"took the place after {took:.2f} s")
    within(10 * crowd(), lambda: len(standing_by(three)) == 1 and standing_by(three) != [spare])
    (next_,) = standing_by(three)
    os.kill(next_, signal.SIGKILL)
    assert three.says(f"The worker that stands by (process {next_}) was ended by SIGKILL: another one starts.")
    within(10 * crowd(), lambda: len(standing_by(three)) == 1)
    assert asked(three.address())


def test_a_frozen_worker_is_killed_and_replaced(three: Process) -> None:
    before = workers(three)
    os.kill(before[0], signal.SIGSTOP)
    took = within((FROZEN_SECONDS + BACK_SECONDS) * crowd(), lambda: answering(three, before))
    assert took > FROZEN_SECONDS - 2
    assert three.says(f"Worker 1 (process {before[0]}) said nothing for 10 s and was killed")
    assert not lives(before[0])


def test_a_worker_is_not_blamed_for_waiting_for_a_processor() -> None:
    """On a full machine it was killed for that, and the next one had to load beside all the others."""
    busy, idle = "while True: pass", "import time; time.sleep(60)"
    held = [subprocess.Popen([sys.executable, "-c", program]) for program in (busy, busy, idle)]
    try:
        for process in held:  # all on one processor
            os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
        eager, _, asleep = places = [_Worker(number, process, answers=True) for number, process in enumerate(held)]
        time.sleep(1)
        for place in places:
            place.hears()
        time.sleep(2)
        later = FROZEN_SECONDS + 5
        assert eager.silent(eager.heard + later) < later - 0.5
        assert asleep.silent(asleep.heard + later) > later - 0.2
        assert eager.silent(eager.heard + 61) == pytest.approx(61), "there is an end to it"
    finally:
        for process in held:
            process.kill()
            process.wait()


def test_a_worker_that_is_told_to_end_drains_and_is_replaced(three: Process) -> None:
    before = workers(three)
    os.kill(before[2], signal.SIGTERM)
    within(BACK_SECONDS * crowd(), lambda: answering(three, before))
    assert any(f"(process {before[2]}) was told to end: another one starts." in line for line in three.lines)


def test_one_that_dies_at_once_again_and_again_is_tried_less_and_less_often(database: County) -> None:
    with Process("serve", "--workers", "2", HUB_DATABASE_URL=database.login_url) as process:
        process.address()
        first, other = workers(process)
        within(10 * crowd(), lambda: len(standing_by(process)) == 1)
        os.kill(first, signal.SIGKILL)
        within(2 * crowd(), lambda: len(workers(process)) == 2 and first not in workers(process))
        (second,) = set(workers(process)) - {other}
        os.kill(second, signal.SIGKILL)
        line = process.says(f"Worker 1 (process {second}) was ended by SIGKILL, 2 times in a row")
        assert line.endswith("the next one starts in 1 s.")
        time.sleep(0.5)
        assert workers(process) == [other]
        within(3 * crowd(), lambda: len(workers(process)) == 2)
    assert [pause_after(deaths) for deaths in range(1, 9)] == [0, 1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE]
    assert pause_after(10_000) == LONGEST_PAUSE


# -- its end -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_of_them_with_one_line(database: County, number: signal.Signals) -> None:
    with Process("serve", "--workers", "2", HUB_DATABASE_URL=database.login_url) as process:
        process.address()
        held = children(process.process.pid)
        assert process.end(number) == 0
        assert process.lines[-1] == STOPPING
        assert process.lines.count(STOPPING) == 1
        assert not [pid for pid in held if lives(pid)]


def test_a_signal_while_they_start_leaves_none(database: County) -> None:
    with Process("serve", "--workers", "2", HUB_DATABASE_URL=database.login_url) as process:
        within(10 * crowd(), lambda: len(children(process.process.pid)) == 2)
        held = children(process.process.pid)
        assert process.end() == 0
        assert not [pid for pid in held if lives(pid)]
        assert not [line for line in process.lines if "http://" in line]


def test_a_request_may_end_and_a_second_signal_cuts_it(database: County) -> None:
    settings = {"HUB_DATABASE_URL": database.login_url, "HUB_DRAIN_SECONDS": "60"}
    with Process("serve", "--workers", "2", **settings) as process:
        port = int(process.address().rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as client:
            head = b"POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            client.sendall(head + b"content-length: 9\r\n\r\n{")
            time.sleep(0.3)
            process.process.send_signal(signal.SIGINT)
            process.says(STOPPING)
            within(3 * crowd(), lambda: len(workers(process)) == 1)  # who has nothing to do is gone
            with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                pass
            time.sleep(0.5)
            assert process.process.poll() is None
            began = time.monotonic()
            assert process.end() == 0
            assert time.monotonic() - began < 4 * crowd()


def test_a_killed_parent_takes_its_workers_along(database: County) -> None:
    with Process("serve", "--workers", "2", HUB_DATABASE_URL=database.login_url) as process:
        address = process.address()
        within(10 * crowd(), lambda: len(standing_by(process)) == 1)
        held = children(process.process.pid)
        assert len(held) == 3
        os.kill(held[0], signal.SIGSTOP)  # also one that can hear of nothing
        process.end(signal.SIGKILL)
        within(5, lambda: not [pid for pid in held if lives(pid)])
    # And the port is free for the next one.
    port = address.rpartition(":")[2]
    with Process("serve", "--workers", "2", HUB_DATABASE_URL=database.login_url, HUB_PORT=port) as process:
        assert process.address() == address


def test_up_with_workers_leaves_nothing_whether_it_is_stopped_or_killed() -> None:
    home = new_home()
    with Process("up", HUB_HOME=str(home), HUB_WORKERS="2") as process:
        assert asked(process.address())
        assert len(workers(process)) == 2
        held = children(process.process.pid)
        assert process.end() == 0
        assert process.lines[-1] == STOPPING
        assert not [pid for pid in held if lives(pid)]
        assert not processes(home)
    with Process("up", HUB_HOME=str(home), HUB_WORKERS="2") as process:
        process.address()
        held = children(process.process.pid)
        process.end(signal.SIGKILL)
        assert eventually_gone(home)
        within(5, lambda: not [pid for pid in held if lives(pid)])
    with Process("up", HUB_HOME=str(home), HUB_WORKERS="2") as process:
        process.address()
        held = children(process.process.pid)
        os.kill(int((home / "data/postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
        assert process.wait() == 1
        assert "PostgreSQL ended by itself, so the hub stops. Its last lines:" in "\n".join(process.lines)
        assert not [pid for pid in held if lives(pid)]
        assert not processes(home)


# -- settings ----------------------------------------------------------------------------------------------------------


def test_a_worker_reads_what_the_parent_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from hub.supervising import _told

    told = Settings(
        Server(allowed_hosts=("hub.example",), port=8123, workers=3),
        Database(database_url="postgresql://hub_login@/hub", owner_url="postgresql://owner@/hub", home=Path("/h")),
        Limits(max_page=7),
        SignIn(token_hours=1),
    )
    monkeypatch.setenv("HUB_PORT", "9999")
    monkeypatch.setenv("HUB_OWNER_URL", "postgresql://another@/hub")
    read = Settings.read(json.loads(json.dumps(_told(told))))
    assert (read.server, read.limits, read.sign_in) == (told.server, told.limits, told.sign_in)
    assert read.database == told.database.model_copy(update={"owner_url": None})


def test_more_workers_than_the_private_database_has_room_for_are_refused() -> None:
    home = new_home()
    refused = hub("up", "--workers", "20", HUB_HOME=str(home))
    assert refused.returncode == 1
    assert refused.stderr == (
        "HUB_WORKERS=20 with HUB_POOL_SIZE=4 may take 280 connections, and the private database has room for 115: "
        "lower one of them.\n"
    )
    assert not home.exists()
    assert connections_of(Settings(Server(workers=7))) <= int(SETTINGS["max_connections"]) - 5
    home.parent.rmdir()
