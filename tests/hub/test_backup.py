"""The restore drill: a hub is backed up while people work, a table is dropped, and a second before it is had back."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from hub.backup import bases
from hub.database.embedded import Cluster
from tests.commands import Process, hub
from tests.conftest import PASSWORD, SIGN_IN, County, make_person

REPORT = "mutation ($input: ReportIncidentInput!) { reportIncident(input: $input) { incident { reference } } }"
CHANGED = "subscription ($after: String) { incidentChanged(after: $after) { cursor } }"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the cluster's user may pass into."""
    folder = Path(tempfile.mkdtemp(prefix=f"hub-tests-{os.getpid()}-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


class Clients:
    """People at work, who write down what was acknowledged, and when."""

    def __init__(self, address: str, cluster: Cluster) -> None:
        self.http = httpx.Client(base_url=address, timeout=30)
        self.cluster = cluster
        answer = self.http.post(
            "/graphql",
            json={"query": SIGN_IN, "variables": {"input": {"name": "akinyi", "password": PASSWORD}}},
        ).json()
        self.http.headers["authorization"] = f"Bearer {answer['data']['signIn']['token']}"
        self.log: list[tuple[datetime, str]] = []

    def ask(self, query: str, **variables: Any) -> Any:
        answer = self.http.post("/graphql", json={"query": query, "variables": variables}).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def report(self, many: int) -> None:
        for _ in range(many):
            given = {"kind": "FLOOD", "title": f"Number {len(self.log)}", "location": [34.9189, -0.1723]}
            reference = self.ask(REPORT, input=given)["reportIncident"]["incident"]["reference"]
            self.log.append((datetime.now(UTC), reference))


def test_a_second_before_the_disaster_is_had_back(place: Path) -> None:
    home, copies, restored = place / "home", place / "copies", place / "restored"
    settings = {"HUB_HOME": str(home), "HUB_DEMONSTRATION": "0", "HUB_PORT": "0"}
    with Process("up", **settings) as running:
        address = running.address()
        cluster = Cluster(home)
        make_person(County("hub", cluster.url(cluster.OWNER), cluster.url(cluster.LOGIN)), "akinyi", "coordinator")
        people = Clients(address, cluster)
        people.report(5)
        with Process("backup", str(copies), "--follow", **settings) as following:
            following.says("The log is received into")
            taken = hub("backup", str(copies), **settings)
            assert taken.returncode == 0, taken.stderr
            assert re.search(r"base-\d{8}T\d{6}Z: .* MB, verified, in", taken.stdout)
            people.report(20)
            time.sleep(0.3)
            wanted = datetime.now(UTC)
            time.sleep(0.3)
            people.report(7)
            with psycopg.connect(cluster.url(cluster.OWNER), autocommit=True) as owner:
                owner.execute("set role hub_owner")
                owner.execute("drop table incident_reporters cascade")
            cursor = _a_cursor_of_now(people)
            time.sleep(1.5)  # what was flushed meanwhile is received
            assert following.end(signal.SIGTERM) == 0
        people.http.close()
        running.end()

    told = hub("restore", str(copies), "--home", str(restored), "--to", wanted.isoformat(), **settings)
    assert told.returncode == 0, told.stdout + told.stderr
    before = [reference for at, reference in people.log if at <= wanted]
    assert len(before) == 25
    assert "incidents: 25" in told.stdout
    assert "all as they were written" in told.stdout
    last = re.search(r"The last change is of (\S+)\.\n", told.stdout)
    assert last is not None
    assert people.log[24][0] - timedelta(seconds=1) < datetime.fromisoformat(last[1]) <= wanted

    with Process("up", **(settings | {"HUB_HOME": str(restored)})) as again:
        back = Clients(again.address(), Cluster(restored))
        nodes = back.ask("{ incidents(first: 100) { nodes { reference reporter { name } } } }")["incidents"]["nodes"]
        assert [node["reference"] for node in nodes] == before
        # Whoever heard what is lost now is told so, and not answered with silence.
        head = {"accept": "text/event-stream"}
        asked = {"query": CHANGED, "variables": {"after": cursor}}
        with back.http.stream("POST", "/graphql", json=asked, headers=head) as answer:
            answer.read()
            assert '"RESYNC"' in answer.text, answer.text
        # And a number that somebody wrote down in the lost future is given to nobody else.
        back.report(1)
        assert back.log[0][1] not in [reference for _, reference in people.log]
        back.http.close()


def _a_cursor_of_now(people: Clients) -> str:
    deadline = time.monotonic() + 20
    before = people.ask("{ liveCursor }")["liveCursor"]
    people.report(1)
    while (now := people.ask("{ liveCursor }")["liveCursor"]) == before:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return str(now)


def test_what_cannot_be_restored_is_said_and_nothing_is_left(place: Path) -> None:
    home, copies = place / "home", place / "copies"
    settings = {"HUB_HOME": str(home), "HUB_DEMONSTRATION": "0", "HUB_PORT": "0"}
    away = hub("backup", str(copies), **settings)
    assert (away.returncode, "does not run" in away.stderr) == (1, True)
    other = hub("backup", str(copies), HUB_DATABASE_URL="postgresql:///nowhere", **settings)
    assert (other.returncode, "by its own means" in other.stderr) == (1, True)
    copies.mkdir()
    nothing = hub("restore", str(copies), "--home", str(place / "new"), **settings)
    assert (nothing.returncode, "holds no copy" in nothing.stderr) == (1, True)
    with Cluster(home):
        assert hub("backup", str(copies), **settings).returncode == 0
        (only,) = bases(copies)
        # A second one at the same moment spoils nothing.
        held = os.open(copies, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        second = hub("backup", str(copies), **settings)
        assert (second.returncode, "is copying into" in second.stderr) == (1, True), second.stderr
        os.close(held)
        for wrong, said in (
            ("yesterday", "send a time such as"),
            ("2020-01-01", "lies before the oldest copy"),
            ("2999-01-01", "lies in the future"),
        ):
            refused = hub("restore", str(copies), "--home", str(place / "new"), "--to", wrong, **settings)
            assert (refused.returncode, said in refused.stderr) == (1, True), refused.stderr
        full = hub("restore", str(copies), "--home", str(home), **settings)
        assert full.returncode == 1
        # Without the log there is no way beyond the copy.
        time.sleep(1.1)
        beyond = hub(
            "restore", str(copies), "--home", str(place / "new"), "--to", datetime.now(UTC).isoformat(), **settings
        )
        assert (beyond.returncode, "beyond the end of the log" in beyond.stderr) == (1, True), beyond.stderr
        assert not (place / "new" / "data").exists()
        # A copy that somebody changed is none.
        victim = next((only.folder / "base").rglob("1259"))
        victim.write_bytes(victim.read_bytes()[:-1] + b"x")
        old = datetime.now(UTC) - timedelta(days=40)
        note = only.folder / "hub-backup.json"
        note.write_text(json.dumps(json.loads(note.read_text()) | {"began": old.isoformat(), "ended": old.isoformat()}))
        for _ in range(2):
            time.sleep(1.1)
            assert hub("backup", str(copies), **settings).returncode == 0
        # What no second of the last days needs goes, but for the newest before them.
        assert len(bases(copies)) == 3
