"""Where faults are made: a private cluster with the county in it, and a hub of real processes over it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg

from hub.county.load import load_county
from hub.database.embedded import Cluster
from hub.database.ground import open_schema
from hub.database.migrate import migrate
from tests.commands import Process
from tests.commands import hub as command
from tests.conftest import PASSWORD, SIGN_IN, County, at, ended, make_person, started

PATIENCE_SECONDS = 60.0
"""For what must come again by itself, on a machine that others use."""


class NotSent(Exception):
    """Nobody listened: the request never left."""


class Cut(Exception):
    """The line broke after something was sent: nobody knows what became of it."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    seconds: float
    retry_after: str | None = None

    @property
    def data(self) -> Any:
        return self._said.get("data")

    @property
    def code(self) -> str:
        """The first error's code; empty where there is no error."""
        errors = self._said.get("errors") or ()
        return str(errors[0].get("extensions", {}).get("code", "?")) if errors else ""

    @property
    def reason(self) -> str:
        """What the first error says beside its code, for programs."""
        errors = self._said.get("errors") or ()
        return str(errors[0].get("extensions", {}).get("reason", "")) if errors else ""

    @property
    def message(self) -> str:
        errors = self._said.get("errors") or ()
        return str(errors[0]["message"]) if errors else ""

    @property
    def _said(self) -> dict[str, Any]:
        said = json.loads(self.body)
        return said if isinstance(said, dict) else {}


IDLE_SECONDS = 2.0
"""A line that was idle for longer is made anew: the hub ends those that nobody uses."""


class Door:
    """One client's way in: a connection that is kept, and made anew when it broke."""

    def __init__(self, port: int, token: str | None = None, timeout: float = 20) -> None:
        self._port = port
        self._token = token
        self._timeout = timeout
        self._connection: http.client.HTTPConnection | None = None
        self._used = 0.0

    def send(self, body: bytes, path: str = "/graphql", head: dict[str, str] | None = None) -> Answer:
        begun = time.perf_counter()
        headers = {"content-type": "application/json"} if head is None else dict(head)
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        if begun - self._used > IDLE_SECONDS:
            self.close()
        if self._connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._timeout)
            try:
                connection.connect()
            except OSError as error:
                raise NotSent from error
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection = connection
        try:
            self._connection.request("POST", path, body, headers)
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Cut(repr(error)) from error
        if response.will_close:
            self.close()
        self._used = time.perf_counter()
        return Answer(response.status, answer, self._used - begun, response.getheader("Retry-After"))

    def ask(self, query: str, variables: dict[str, Any] | None = None) -> Answer:
        return self.send(json.dumps({"query": query, "variables": variables}).encode())

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Ground:
    """A county of its own. Its faults are called from the thread that made it: the cluster lives as long as that."""

    def __init__(self, workers: int = 3) -> None:
        self.workers = workers
        self.cluster: Cluster = started()
        self.folder = self.cluster.home.parent
        self.hub: Process | None = None
        self.port = 0
        self._tokens: dict[str, str] = {}
        try:
            self.county: County = at(self.cluster, "hub")
            self.cluster.create_database(self.county.name)
            migrate(self.county.owner_url, self.county.login_url)
            load_county(self.county.owner_url)
        except BaseException:
            ended(self.cluster)
            raise

    def __enter__(self) -> Ground:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.hub is not None:
                self.stop_hub(kind is None)
        finally:
            ended(self.cluster)

    # -- the hub

    def start_hub(self, **settings: str) -> None:
        told = {"HUB_DATABASE_URL": self.county.login_url, "HUB_PORT": str(self.port), "HUB_DRAIN_SECONDS": "3"}
        self.hub = Process("serve", "--workers", str(self.workers), **(told | settings))
        self.port = int(self.hub.address().rpartition(":")[2])

    def stop_hub(self, well: bool = True) -> None:
        """To its end, whatever it says."""
        hub, self.hub = self.hub, None
        if hub is None:
            return
        if hub.process.poll() is None:
            hub.process.send_signal(signal.SIGTERM)
            try:
                hub.process.wait(20)
            except subprocess.TimeoutExpired:
                hub.process.kill()
        code = hub.wait()
        if hub.process.stdout is not None:
            hub.process.stdout.close()
        assert code == 0 or not well, (code, hub.lines)

    def pids(self) -> list[int]:
        """The workers', by their numbers; not that of the one that stands by."""
        assert self.hub is not None
        pid = self.hub.process.pid
        named = {}
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with suppress(OSError):
                named[Path(f"/proc/{child}/comm").read_text().strip()] = int(child)
        return [named[name] for name in sorted(named) if name.startswith("hub worker ")]

    def kill_worker(self, which: int, number: signal.Signals = signal.SIGKILL) -> float:
        """One of them, with -9, or stopped with SIGSTOP. Seconds until another answers in its place."""
        assert self.hub is not None
        said, began = len(self.hub.lines), time.monotonic()
        pids = self.pids()
        os.kill(pids[which % len(pids)], number)
        hub = self.hub
        within(lambda: any("answers again" in line for line in hub.lines[said:]))
        return time.monotonic() - began

    def kill_hub(self) -> None:
        """The parent, with -9; then a new one on the same port."""
        assert self.hub is not None
        hub, self.hub = self.hub, None
        hub.process.kill()
        hub.wait()
        if hub.process.stdout is not None:
            hub.process.stdout.close()
        self.start_hub()

    # -- the database

    def break_database(self, number: signal.Signals) -> None:
        """SIGQUIT is PostgreSQL's immediate stop, SIGKILL what a full memory ends in. Then it starts again."""
        process = self.cluster.process
        assert process is not None
        process.send_signal(number)
        process.wait(30)
        self.cluster.start()

    def kill_backend(self) -> None:
        """One of the hub's own, with -9: PostgreSQL ends all the others with it and recovers."""

        def kill() -> bool:
            # It may still recover from what was done to it before.
            with suppress(psycopg.OperationalError), self.owner() as owner:
                found = owner.execute(
                    "select pid from pg_stat_activity "
                    "where application_name = 'hub' and datname = current_database() limit 1"
                ).fetchone()
                if found is None:
                    return False
                os.kill(found[0], signal.SIGKILL)
                with suppress(psycopg.OperationalError):
                    # Until we ourselves are thrown out: before that somebody may still be answered.
                    for _ in range(1000):
                        owner.execute("select pg_sleep(0.01)")
                return True
            return False

        within(kill)

    def await_answers(self) -> float:
        """Seconds until somebody who asks is answered."""

        def answered() -> bool:
            try:
                with Door(self.port, timeout=5) as door:
                    return door.ask("{ wards(first: 1) { totalCount } }").code == ""
            except (NotSent, Cut):
                return False

        return within(answered)

    @contextmanager
    def owner(self) -> Iterator[psycopg.Connection]:
        with psycopg.connect(self.county.owner_url, autocommit=True) as connection:
            yield connection

    @contextmanager
    def copy(self, name: str) -> Iterator[County]:
        """The database as it is now, under another name. Nobody may be connected to it: the hub is stopped."""
        self.cluster.create_database(name, self.county.name)
        copied = at(self.cluster, name)
        with psycopg.connect(copied.owner_url) as connection:
            open_schema(connection)
        yield copied

    # -- people and commands

    def person(self, name: str, *roles: str, areas: tuple[str, ...] = (), display: str = "") -> None:
        make_person(self.county, name, *roles, areas=areas, display=display)

    def token(self, name: str) -> str:
        if name not in self._tokens:
            with Door(self.port) as door:
                answer = door.ask(SIGN_IN, {"input": {"name": name, "password": PASSWORD}})
            assert answer.code == "", answer.body
            self._tokens[name] = answer.data["signIn"]["token"]
        return self._tokens[name]

    def door(self, name: str | None = None) -> Door:
        return Door(self.port, self.token(name) if name else None)

    def run(self, *arguments: str, county: County | None = None) -> subprocess.CompletedProcess[str]:
        """A `hub …` command against the county, or a copy of it."""
        return command(*arguments, HUB_DATABASE_URL=(county or self.county).login_url)

    def await_sealed(self) -> None:
        """Until everything that was written has its place in the order."""

        def sealed() -> bool:
            with suppress(psycopg.OperationalError), self.owner() as owner:
                left = owner.execute(
                    "select count(*) from journal j where not exists "
                    "(select from cursors c where c.node = j.node and c.entry = j.entry)"
                ).fetchone()
                return left == (0,)
            return False

        within(sealed)


def within(what: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> float:
    """How long it took until it was so."""
    began = time.monotonic()
    while not what():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not within {seconds:.0f} s")
        time.sleep(0.02)
    return time.monotonic() - began
