"""`hub …` commands as real processes, for tests that start, stop and kill them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType

HUB = Path(sys.executable).with_name("hub")
STOPPING = "Stopping; once more stops at once."


class Process:
    """A `hub` command that runs, and what it has said so far."""

    def __init__(self, *arguments: str, **settings: str) -> None:
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [HUB, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(settings)
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def says(self, beginning: str, seconds: float = 30) -> str:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in self.lines:
                if line.startswith(beginning):
                    return line
            assert self.process.poll() is None or self._reader.is_alive(), self.lines
            time.sleep(0.02)
        raise AssertionError(f"never said {beginning!r}: {self.lines}")

    def address(self) -> str:
        return self.says("Kisumu hub: ").removeprefix("Kisumu hub: ")

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(30)
        self._reader.join(5)
        return code

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def environment(settings: dict[str, str]) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    return own | {"HUB_PORT": "0", "HUB_DEMONSTRATION": "0"} | settings


def hub(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HUB, *arguments], capture_output=True, text=True, env=environment(settings), check=False)


def crowd() -> float:
    """How many times slower than promised things may be, because others use the machine."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def new_home() -> Path:
    place = Path(tempfile.mkdtemp(prefix=f"hub-tests-{os.getpid()}-"))
    place.chmod(0o711)
    return place / "home"


def processes(home: Path) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink() == home / "data":
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def eventually_gone(home: Path) -> bool:
    deadline = time.monotonic() + 10
    while processes(home) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not processes(home)
