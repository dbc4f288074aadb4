"""Processes that answer beside the hub: started on a free port of loopback, ended with the benchmark."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs, quote, urlsplit

from bench.peers import installing
from hub.database.embedded import die_with_parent
from hub.settings import PROJECT

PROCESSES, CONNECTIONS = 2, 4
"""Of each server, and to the database from each of its processes: as many as the hub has."""
PATIENCE_SECONDS = 60


class Peer:
    """A server that somebody else wrote, or that is written as somebody else would."""

    def __init__(self, command: list[str], log: Path, cwd: Path = PROJECT, **variables: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        own = {name: value for name, value in os.environ.items() if not name.startswith(("HUB_", "PYTHON"))}
        self._log = log
        with log.open("wb") as said:
            self._process = subprocess.Popen(
                [part.format(port=self.port) for part in command],
                cwd=cwd,
                env=own | {name: value.format(port=self.port) for name, value in variables.items()},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent(),
            )

    def wait(self) -> None:
        """Until it listens. Raises Missing with its last words when it ends before."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    words = self._log.read_text(errors="replace").strip().splitlines()
                    raise installing.Missing(f"it did not start: {' / '.join(words[-3:])}") from error
                time.sleep(0.1)

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> Peer:
        try:
            self.wait()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def _uvicorn(python: str, app: str) -> list[str]:
    options = ["--host", "127.0.0.1", "--port", "{port}", "--workers", str(PROCESSES), "--loop", "uvloop"]
    return [python, "-m", "uvicorn", app, *options, "--http", "httptools", "--no-access-log", "--log-level", "warning"]


def raw(work: Path, login_url: str, token: str, bodies: Path) -> Peer:
    """The hub's statements without GraphQL; see `raw.py`."""
    return Peer(
        _uvicorn(sys.executable, "bench.peers.raw:app"),
        work / "raw.log",
        BENCH_DATABASE_URL=login_url,
        BENCH_TOKEN=token,
        BENCH_BODIES=str(bodies),
        HUB_POOL_SIZE=str(CONNECTIONS),
    )


def forgetful(login_url: str, work: Path, **settings: str) -> Peer:
    """A second hub over the same rows, which keeps nothing: each of its answers is a miss of the first one's."""
    return Peer(
        [sys.executable, "-c", "from hub.cli import main; main()", "serve", "--workers", str(PROCESSES)],
        work / "forgetful.log",
        HUB_DATABASE_URL=login_url,
        HUB_PORT="{port}",
        HUB_POOL_SIZE=str(CONNECTIONS),
        HUB_TILE_MEGABYTES="0",
        HUB_ANSWER_MEGABYTES="0",
        **settings,
    )


def postgraphile(work: Path, url: str, plans: str) -> Peer:
    """PostGraphile 5; see `postgraphile.mjs`."""
    place = installing.node()
    return Peer(
        [str(installing.node_program()), "postgraphile.mjs"],
        work / "postgraphile.log",
        place,
        BENCH_DATABASE_URL=url,
        BENCH_PORT="{port}",
        BENCH_PROCESSES=str(PROCESSES),
        BENCH_CONNECTIONS=str(CONNECTIONS),
        BENCH_PLANS=plans,
        NODE_ENV="production",
        GRAPHILE_ENV="production",
    )


def strawberry(work: Path, url: str, plans: str) -> Peer:
    """A conventional Strawberry app; see `conventional.py`."""
    return Peer(
        _uvicorn(str(installing.python() / "bin/python"), "conventional:app"),
        work / "strawberry.log",
        installing.HERE,
        BENCH_DATABASE_URL=url,
        BENCH_CONNECTIONS=str(CONNECTIONS),
        BENCH_PLANS=plans,
    )


def tipg(work: Path, url: str) -> Peer:
    """Development Seed's tiles from PostGIS."""
    return Peer(
        _uvicorn(str(installing.python() / "bin/python"), "tipg.main:app"),
        work / "tipg.log",
        DATABASE_URL=_with_host(url),
        DB_MIN_CONN_SIZE="1",
        DB_MAX_CONN_SIZE=str(CONNECTIONS),
        TIPG_DB_SCHEMAS='["peer"]',
        TIPG_DB_SPATIAL_EXTENT="false",
        TIPG_DB_DATETIME_EXTENT="false",
        TIPG_CATALOG_TTL="3600",
        TIPG_TILE_BUFFER="0",
    )


def _with_host(url: str) -> str:
    """The URL with its socket's folder in the host's place: pydantic takes no URL without a host."""
    parts = urlsplit(url)
    place = parse_qs(parts.query)
    return f"postgresql://{parts.netloc}{quote(place['host'][0], safe='')}:{place['port'][0]}{parts.path}"
