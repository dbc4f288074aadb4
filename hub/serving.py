"""One process serves: the socket it listens on, the signals that end it, and the server between them.

Several processes on one socket: hub/supervising.py.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from hub.database.embedded import Cluster
    from hub.settings import Server
    from hub.supervising import Supervisor

LARGEST_FRAME = 64 * 1024
"""A GraphQL operation over a websocket is a document of at most 16 KiB and its variables."""

PING_SECONDS = 20
"""A half-open websocket is gone after two of these."""

STALLED_SECONDS = 45
"""How long a client may take none of what was sent before its connection is dropped."""

MALLOC = {-8: 2, -3: 1024 * 1024, -1: 64 * 1024 * 1024}
"""By mallopt(3): M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD. glibc would give each thread (exports, packing,
passwords) an arena of its own, up to eight for each core, and each keeps the most that it ever held. After the first
photo it would take blocks of megabytes from there as well, between which small ones come to lie that keep them from
being given back. Where less is free at the end it is kept: to give it back and ask for it again takes longer than some
answers.
"""

TICKS_A_PULSE = 10
"""uvicorn ticks ten times a second, in the loop that answers: while it does not turn, there is no pulse."""


class CannotListen(RuntimeError):
    """The address cannot be listened on; the message says why and what to do."""


class Interrupted(Exception):
    """Someone asked the hub to stop before it served."""


# -- the socket --------------------------------------------------------------------------------------------------------


def listen(host: str, port: int) -> socket.socket:
    """Take the port at once, before anything slow. Who connects early waits until the hub answers."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotListen(f"HUB_HOST={host} is no address of this machine ({error.strerror or error}).") from None
    try:
        # A port that a stopped hub has just left is free, though the system remembers its last connections.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Connections inherit it: one whose client takes nothing any more is dropped by the system. The server
            # itself would wait for ever until its last bytes are gone.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_SECONDS * 1000)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise CannotListen(_refused(host, port, error)) from None
    return listener


def address_of(listener: socket.socket) -> str:
    """What a person types into a browser on this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{host}:{port}"


def _refused(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        by = holder(port)
        other = port + 1 if port < 65535 else 8000
        return (
            f"Port {port} is taken{f' (by {by})' if by else ''}. "
            f"Stop that program or choose another: HUB_PORT={other} make up"
        )
    if error.errno == errno.EACCES:
        return f"Port {port} is only for root. Choose one from 1024 up: HUB_PORT=8000 make up"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"HUB_HOST={host} is no address of this machine. Unset it to listen on 127.0.0.1."
    return f"The hub cannot listen on {host}, port {port}: {error.strerror}."


def holder(port: int) -> str:
    """The program that listens on a port of this machine, as far as we may know: `nginx, process 12`."""
    if sys.platform == "linux":
        return _holder_by_proc(port)
    with suppress(OSError, subprocess.TimeoutExpired):
        told = subprocess.run(
            ["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        ).stdout
        fields = {line[0]: line[1:] for line in reversed(told.splitlines()) if line}
        if "p" in fields:
            return f"{fields.get('c', 'a program')}, process {fields['p']}"
    return ""


def _holder_by_proc(port: int) -> str:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:  # 0A: listening
                    inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").iterdir() if inodes else ():
        # Other people's processes do not show their files; some end while we look.
        with suppress(OSError):
            if process.name.isdigit() and any(str(file.readlink()) in inodes for file in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()}, process {process.name}"
    return ""


# -- the signals -------------------------------------------------------------------------------------------------------


class Ending:
    """How Ctrl-C, SIGTERM and SIGHUP end the hub: at first softly, the second time at once.

    Nothing is raised where a signal happens to strike: imports and drivers swallow that. The signal stops what is
    waited for, and `check` ends the rest.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self._asked = 0
        self.server: uvicorn.Server | None = None
        self.supervisor: Supervisor | None = None
        self.cluster: Cluster | None = None

    @contextmanager
    def caught(self) -> Iterator[Ending]:
        """From the first slow step to the last: nothing may be left running whenever the signal comes."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self._ask) for number in numbers}
        try:
            with suppress(Interrupted):
                yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Work before serving. What breaks in it after a signal broke because of the signal, and is no news."""
        self.check()
        try:
            yield
        finally:
            self.check()

    def check(self) -> None:
        """Go no further once somebody asked to stop."""
        if self._asked:
            raise Interrupted

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked += 1
        if self._asked == 1:
            self.say("Stopping; once more stops at once.")
        process = self.cluster.process if self.cluster is not None else None
        if self.server is not None:
            self.server.force_exit = self._asked > 1
            self.server.should_exit = True
        elif self.supervisor is not None:
            self.supervisor.ask(self._asked)
        elif process is not None and self._asked <= 2:
            logging.disable()  # drivers would log the loss of their connections
            # Fast, then immediate: either ends a migration at once, and the next start knows what was done.
            process.send_signal(signal.SIGINT if self._asked == 1 else signal.SIGQUIT)
        elif self._asked > 1:
            # The system ends the database with us, and a transaction that was open elsewhere is rolled back.
            os._exit(1)


# -- the server --------------------------------------------------------------------------------------------------------


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to the hub, says when it answers, and notices when its database is gone."""

    def __init__(
        self,
        config: uvicorn.Config,
        ready: Callable[[], None],
        drain: Callable[[], Awaitable[None]],
        cluster: Cluster | None,
        pulse: Callable[[], None] | None,
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._drain = drain
        self._cluster = cluster
        self._pulse = pulse
        self.database_died = False

    def capture_signals(self) -> nullcontext[None]:  # type: ignore[override]
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if not self.force_exit:
            await self._drain()  # before uvicorn closes every websocket without a word
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        process = self._cluster.process if self._cluster else None
        if process is not None and process.poll() is not None:
            self.database_died = self.should_exit = True
        if self._pulse is not None and counter % TICKS_A_PULSE == 0:
            self._pulse()
        return await super().on_tick(counter)


def configured(app: Starlette, settings: Server) -> uvicorn.Config:
    """How the server behaves, whoever runs it."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=LARGEST_FRAME,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        ws_per_message_deflate=False,  # events are small, and each socket would hold its own compressor
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,  # it would hold query strings
        proxy_headers=False,  # nobody may choose the address that we see them from
        server_header=False,
        limit_concurrency=settings.max_connections,
        timeout_graceful_shutdown=settings.drain_seconds,
    )


def serve(
    app: Starlette,
    settings: Server,
    listener: socket.socket,
    ready: Callable[[], None],
    ending: Ending,
    pulse: Callable[[], None] | None = None,
) -> int:
    """Answer until told to stop; the exit code of the command. Ends with 1 when it could not serve or go on.

    `ready` is called when it answers, `pulse` about once a second while it does.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):  # musl has none of it
            for name, value in MALLOC.items():
                ctypes.CDLL(None).mallopt(name, value)
    server = _Server(
        configured(app, settings),
        ready=ready,
        drain=app.state.live.drain,
        cluster=ending.cluster,
        pulse=pulse,
    )
    ending.check()
    ending.server = server
    try:
        server.run(sockets=[listener])
    except SystemExit:  # uvicorn's word for a lifespan that failed; the log says why
        return 1
    finally:
        ending.server = None
    if server.database_died and ending.cluster is not None:
        ending.say(f"PostgreSQL ended by itself, so the hub stops. Its last lines:\n{ending.cluster.last_lines()}")
        return 1
    return 0
