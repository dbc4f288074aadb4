"""One of several processes that serve: started by hub/supervising.py alone, with a socket and a line to its parent."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

from hub.settings import Settings

SET_PARENT_DEATH_SIGNAL, SET_NAME = 1, 15
"""Of prctl(2)."""


def main(listener_number: int, line_number: int) -> int:
    """Serve the inherited socket until told to stop, or until the parent is gone."""
    _arrange(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)  # the kernel ends also a worker that is stopped
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    line = socket.socket(fileno=line_number)

    # The slow part. After it orders are there already, or come when somebody else dies.
    from hub.app import create_app
    from hub.serving import Ending, serve
    from hub.supervising import ALIVE, DRAINING, READY
    from hub.watch import figures

    _arrange(SET_NAME, b"hub standing by")
    with line.makefile("rb") as orders:
        told = orders.readline()
    if not told.endswith(b"\n"):
        return 1  # the parent is gone
    order = json.loads(told)
    settings = Settings.read(order)
    figures.share(Path(order["figures"]), order["number"])
    _arrange(SET_NAME, b"hub worker %d" % order["number"])
    # In a thread: an orphan must free the port also while its loop stands still.
    threading.Thread(target=_end_with, args=(line,), daemon=True).start()

    def tell(word: bytes) -> None:
        # A parent that is stopped hears nothing; what it missed is told again with the next pulse.
        with suppress(OSError):
            line.send(word, socket.MSG_DONTWAIT)

    with (
        Ending(lambda _: tell(DRAINING)).caught() as ending,
        socket.socket(fileno=listener_number) as listener,
    ):
        app = create_app(settings, order["number"])
        return serve(
            app,
            settings.server,
            listener,
            ready=lambda: tell(READY),
            ending=ending,
            pulse=lambda: tell(ALIVE),
        )
    return 0  # told to end before it served


def _end_with(line: socket.socket) -> None:
    """The parent says nothing after its orders: what comes is its end."""
    with suppress(OSError):
        while line.recv(64):
            pass
    # At once: the next hub wants the port, and what was not acknowledged is rolled back.
    os._exit(1)


def _arrange(what: int, value: int | bytes) -> None:
    """What Linux can do for a process: end it with its parent, show a name in `ps` and `top`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(what, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
