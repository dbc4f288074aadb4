"""Several processes serve one socket: who starts them, listens for their pulse, and replaces those that die or freeze.

The parent takes the port and holds the private database, and answers nobody itself. Each worker (hub/worker.py) is a
program of its own that inherits the listening socket and one end of a line: it says on it that it answers, that it
lives, that it drains. A line that ends tells the parent of a death at once, and a worker that it is an orphan.

To load takes a worker two seconds of work, on a full machine three times as long. So one more stands by that has loaded
and has no orders yet: it takes the place of the next that dies.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub.serving import Interrupted, address_of
from hub.settings import PROJECT, Settings
from hub.watch import figures

if TYPE_CHECKING:
    from hub.serving import Ending

READY, ALIVE, DRAINING = b"r", b".", b"d"
"""What a worker says on its line: it answers; its loop turns; it was told to stop and lets its requests end."""

PULSE_SECONDS = 1.0
FROZEN_SECONDS = 10.0
"""A worker that says nothing for so long is killed: whatever holds it, it answers nobody. The time for which it was
ready and others had the processors does not count: on a machine that is full another worker would be no quicker, and
have to load."""

STARVED_SECONDS = 60.0
"""For so long it may say nothing, whatever for."""

STARTING_SECONDS = 60.0
"""The same for one that has not answered yet: loading takes a second or two, on a busy machine longer."""

STEADY_SECONDS = 10.0
"""Who served for so long and died did not die at once."""

LONGEST_PAUSE = 30.0
GRACE_SECONDS = 15.0
"""What a worker gets beyond its requests' time to take leave of websockets and the database, before it is killed."""

HASTE_SECONDS = 3.0
"""The same after a second signal."""

CONNECTIONS_BESIDE_POOL = 10
"""What a worker takes of the database beside its pool: sealing, two that listen, two for what trackers send, two for
exports, the check of migrations, one that looks how things stand, one that asks whether kept tiles still hold."""


def connections_of(settings: Settings) -> int:
    """How many connections to the database the hub may hold at a time."""
    return settings.server.workers * (settings.database.pool_size + CONNECTIONS_BESIDE_POOL)


@dataclass
class _Worker:
    """One place among the workers, and the process that fills it now. Number 0 stands by."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    line: socket.socket | None = None
    began: float = 0.0
    heard: float = 0.0
    waited: float = 0.0
    """For how long it had waited for a processor when it was heard."""
    answers: bool = False
    drains: bool = False
    frozen: float = 0.0
    died: float = 0.0
    """When the process before this one did; 0: there was none."""
    deaths: int = 0
    """In a row, each of them at once."""
    due: float = field(default=0.0)
    """When the next process is to be started, while there is none."""

    @property
    def patience(self) -> float:
        return FROZEN_SECONDS if self.answers else STARTING_SECONDS

    def hears(self) -> None:
        """It has said something."""
        self.heard = time.monotonic()
        self.waited = waited_for_processor(self.process.pid) if self.process is not None else 0.0

    def silent(self, now: float) -> float:
        """Seconds for which it has said nothing and could have."""
        silent = now - self.heard
        if self.patience < silent < STARVED_SECONDS and self.process is not None:
            silent -= max(0.0, waited_for_processor(self.process.pid) - self.waited)
        return silent


def waited_for_processor(process: int) -> float:
    """Seconds for which a process's first thread was ready to run while others ran, since it began; 0 where the system
    does not say."""
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def pause_after(deaths: int) -> float:
    """Seconds before the next try: none after one death, then 1, 2, 4 up to half a minute. It never gives up."""
    return 0.0 if deaths < 2 else min(2.0 ** min(deaths - 2, 10), LONGEST_PAUSE)


class Supervisor:
    """Holds `settings.server.workers` processes on `listener`, for as long as nobody asks to stop."""

    def __init__(self, settings: Settings, listener: socket.socket, say: Callable[[str], None], ending: Ending) -> None:
        self._listener = listener
        self._say = say
        self._ending = ending
        self._cluster = ending.cluster
        self._drain = settings.server.drain_seconds
        self._figures = figures.place()
        self._orders = _told(settings) | {"figures": str(self._figures)}
        self._workers = [_Worker(number) for number in range(1, settings.server.workers + 1)]
        self._spare = _Worker(0)
        self._selector = selectors.DefaultSelector()
        self._bell, self._rope = socket.socketpair()
        self._rope.setblocking(False)
        self._asked = 0
        self._killed_at = 0.0
        self._said_ready = False
        self._database_died = False

    def ask(self, times: int) -> None:
        """A signal came, for the first time or again. Runs in the handler, and only rings."""
        self._asked = times
        with suppress(OSError):
            self._rope.send(b"!")

    def run(self) -> int:
        """Serve until told to stop; the exit code of the command."""
        self._selector.register(self._bell, selectors.EVENT_READ)
        try:
            while not self._stopping():
                self._start_due()
                self._wait()
                self._look_after()
            self._stop()
        finally:
            self._end_all()
        if self._database_died and self._cluster is not None:
            self._say(f"PostgreSQL ended by itself, so the hub stops. Its last lines:\n{self._cluster.last_lines()}")
            return 1
        return 0

    def _stopping(self) -> bool:
        return self._asked > 0 or self._database_died

    # -- serving

    def _start_due(self) -> None:
        for worker in self._workers:
            if worker.process is None and worker.due <= time.monotonic():
                self._start(worker)
        if self._spare.process is None and self._spare.due <= time.monotonic() and self._all_answer():
            self._launch(self._spare)

    def _start(self, worker: _Worker) -> None:
        """Fill the place by the one that stands by, or by a new one, and give it its orders."""
        if self._spare.process is not None and self._spare.line is not None:
            worker.process, self._spare.process = self._spare.process, None
            worker.line, self._spare.line = self._spare.line, None
            self._selector.modify(worker.line, selectors.EVENT_READ, worker)
            self._spare.deaths = 0
        else:
            self._launch(worker)
        worker.began = time.monotonic()
        worker.hears()
        worker.answers, worker.drains, worker.frozen = False, False, 0.0
        if worker.line is not None:
            with suppress(OSError):  # it has just died: its line says so
                worker.line.sendall((json.dumps(self._orders | {"number": worker.number}) + "\n").encode())

    def _all_answer(self) -> bool:
        return all(worker.answers and worker.process is not None for worker in self._workers)

    def _launch(self, worker: _Worker) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                worker.process = subprocess.Popen(
                    [sys.executable, "-m", "hub.worker", str(self._listener.fileno()), str(theirs.fileno())],
                    pass_fds=(self._listener.fileno(), theirs.fileno()),
                    stdin=subprocess.DEVNULL,
                    cwd=PROJECT,  # where this very package is found first
                    env={name: value for name, value in os.environ.items() if not name.startswith("HUB_")},
                    # Out of the terminal's reach: Ctrl-C comes to the parent, which tells them once.
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                worker.deaths += 1
                worker.due = time.monotonic() + max(1.0, pause_after(worker.deaths))
                self._say(f"{_name(worker)} cannot be started ({error.strerror}): trying again.")
                return
        ours.setblocking(False)
        worker.line = ours
        self._selector.register(ours, selectors.EVENT_READ, worker)

    def _wait(self) -> None:
        """Until a worker says something or ends, a signal comes, or it is time to look."""
        before = time.monotonic()
        for key, _ in self._selector.select(0.2):
            if key.data is None:
                with suppress(OSError):
                    self._bell.recv(64)
            else:
                self._listen(key.data)
        if (stood_still := time.monotonic() - before) > PULSE_SECONDS:
            # We ourselves were stopped for that long, by Ctrl-Z for instance: nobody may be blamed for it.
            for worker in self._workers:
                worker.heard += stood_still

    def _listen(self, worker: _Worker) -> None:
        assert worker.line is not None
        try:
            said = worker.line.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:
            self._bury(worker)
            return
        worker.hears()
        if READY in said:
            self._welcome(worker)
        worker.drains |= DRAINING in said

    def _welcome(self, worker: _Worker) -> None:
        assert worker.process is not None
        worker.answers = True
        if self._said_ready:
            later = time.monotonic() - worker.died
            self._say(f"Worker {worker.number} answers again (process {worker.process.pid}), {later:.1f} s later.")
        elif self._all_answer() and not self._stopping():
            self._said_ready = True
            self._say(f"Kisumu hub: {address_of(self._listener)}")

    def _look_after(self) -> None:
        process = self._cluster.process if self._cluster else None
        self._database_died = process is not None and process.poll() is not None
        now = time.monotonic()
        for worker in self._workers:
            if worker.process is None:
                continue
            patience = worker.patience + (self._drain + GRACE_SECONDS if worker.drains else 0)
            if not worker.frozen and worker.silent(now) > patience:
                worker.frozen = now - worker.heard
                worker.process.kill()  # the line ends with it
            elif worker.answers and now - worker.began > STEADY_SECONDS:
                worker.deaths = 0

    def _bury(self, worker: _Worker) -> None:
        """A worker's line has ended: learn why, and say when the next one comes."""
        assert worker.process is not None
        self._close(worker)
        if worker.number:
            figures.buried(self._figures, worker.number)
        try:
            code = worker.process.wait(2)
        except subprocess.TimeoutExpired:  # it closed its line and lives: nobody could hear of it any more
            worker.process.kill()
            code = worker.process.wait()
        who, why = f"{_name(worker)} (process {worker.process.pid})", _reason(code, worker)
        worker.process = None
        if self._stopping():
            return
        # One that answered and was told to end did as it was told.
        worker.deaths = 0 if code == 0 and worker.answers else worker.deaths + 1
        pause = pause_after(worker.deaths)
        worker.died = time.monotonic()
        worker.due = worker.died + pause
        again = f", {worker.deaths} times in a row" if worker.deaths > 1 else ""
        when = f"the next one starts in {pause:.0f} s" if pause else "another one starts"
        self._say(f"{who} {why}{again}: {when}.")

    # -- stopping

    def _stop(self) -> None:
        """All drain. A second signal ends them at once, and who does not end is killed."""
        self._listener.close()  # with theirs, so that who comes now is refused instead of waiting for nobody
        told, deadline = 0, time.monotonic() + self._drain + GRACE_SECONDS
        while any(worker.process for worker in self._all):
            asked = max(self._asked, 1)
            if asked > told:
                if asked > 1:
                    deadline = min(deadline, time.monotonic() + HASTE_SECONDS)
                self._signal(signal.SIGTERM if asked <= 2 else signal.SIGKILL)
                told = asked
            elif time.monotonic() > deadline:
                self._signal(signal.SIGKILL)
                deadline += GRACE_SECONDS
            self._wait()

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._all:
            if worker.process is not None:
                worker.process.send_signal(number)

    @property
    def _all(self) -> list[_Worker]:
        return [*self._workers, self._spare]

    def _end_all(self) -> None:
        """Whatever happened here, no worker is left."""
        self._signal(signal.SIGKILL)
        for worker in self._all:
            if worker.process is not None:
                worker.process.wait()
            self._close(worker)
        self._selector.close()
        for end in (self._bell, self._rope, self._listener):
            end.close()
        shutil.rmtree(self._figures, ignore_errors=True)

    def _close(self, worker: _Worker) -> None:
        if worker.line is not None:
            self._selector.unregister(worker.line)
            worker.line.close()
            worker.line = None


def supervise(settings: Settings, listener: socket.socket, say: Callable[[str], None], ending: Ending) -> int:
    """Answer by several workers until told to stop; the exit code of the command."""
    ending.check()
    supervisor = Supervisor(settings, listener, say, ending)
    ending.supervisor = supervisor
    try:
        with suppress(Interrupted):
            ending.check()  # a signal may have come while nobody listened to it
            return supervisor.run()
        return 0
    finally:
        ending.supervisor = None


def _told(settings: Settings) -> dict[str, Any]:
    """What a worker must know, for its line: nothing of it shows in its environment or arguments."""
    told = {concern.__class__.__name__: concern.model_dump(mode="json") for concern in settings.each()}
    told["Database"]["owner_url"] = None  # no worker migrates
    return told


def _name(worker: _Worker) -> str:
    return f"Worker {worker.number}" if worker.number else "The worker that stands by"


def _reason(code: int, worker: _Worker) -> str:
    if worker.frozen:
        return f"said nothing for {worker.frozen:.0f} s and was killed"
    if code < 0:
        try:
            return f"was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"was ended by signal {-code}"
    if code == 0:
        return "was told to end"
    return f"ended with code {code}{'' if worker.answers or not worker.number else ' before it answered'}"
