"""The hub's side of the darkroom: a few at a time, each in a process of its own that is ended when it takes too long.

A file that needs too much of the processor is refused for good, a machine that is too busy asks to try again: the
processor's time ends first."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import IO
from weakref import WeakValueDictionary

from hub.photos import darkroom
from hub.photos.kinds import Kind, kind_of
from hub.settings import Photos
from schema.errors import BadUserInput, Internal, Unavailable
from schema.photos import Developed

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-I", str(Path(darkroom.__file__).resolve()))

LARGEST_ANSWER = 16 * 1024 * 1024
"""The darkroom is not trusted either: noise of 2,560 x 2,560 pixels comes to 5 MB."""

END_SECONDS = 5
"""For a process that was killed to be gone."""

_INHERITED = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""All that the darkroom learns of the hub's environment: without these some Pythons do not start."""


class Developing:
    """One per worker. A person has one photo in it at a time, so that nobody fills it alone."""

    def __init__(self, settings: Photos, command: Sequence[str] = COMMAND) -> None:
        self._settings = settings
        self._command = command
        self._places = asyncio.Semaphore(settings.photos_at_once)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def develop(self, kind: Kind, file: IO[bytes], person: str) -> Developed:
        """The photo made anew. Raises BadUserInput where the file does not give one, Unavailable where there is no
        place, or no end."""
        turn = self._turns.setdefault(person, asyncio.Lock())
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(self._settings.photo_wait_seconds):
                    await held.enter_async_context(turn)
                    await held.enter_async_context(self._places)
            except TimeoutError as error:
                raise Unavailable("Many photos are being made ready: send it again in a moment.") from error
            status, told = await self._run(kind, file)
        return self._read(status, told)

    async def _run(self, kind: Kind, file: IO[bytes]) -> tuple[int, bytes]:
        seconds = self._settings.photo_seconds
        file.seek(0)
        process = await asyncio.create_subprocess_exec(
            *self._command,
            kind.value,
            str(self._settings.max_photo_megapixels),
            str(max(1, int(seconds * 0.8))),
            stdin=file,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # a traceback would hold what was sent
            cwd="/",
            env={name: os.environ[name] for name in _INHERITED if name in os.environ},
            start_new_session=True,  # Ctrl-C is the hub's to answer
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(seconds):
                told = bytearray()
                while piece := await process.stdout.read(256 * 1024):
                    told += piece
                    if len(told) > LARGEST_ANSWER:
                        log.error("the darkroom said more than a photo can be")
                        raise Internal
                return await process.wait(), bytes(told)
        except TimeoutError as error:
            raise Unavailable(
                f"The photo took over {seconds:g} seconds to be made ready: send it again, or a smaller one."
            ) from error
        finally:
            if process.returncode is None:
                await asyncio.shield(_end(process))

    def _read(self, status: int, told: bytes) -> Developed:
        most = self._settings.max_photo_megapixels
        match status:
            case 0:
                pass
            case darkroom.TOO_MANY_PIXELS:
                raise BadUserInput(
                    f"The image has over {most} megapixels (as WebP over {min(most, darkroom.WEBP_MEGAPIXELS)}): "
                    "send a smaller one."
                )
            case darkroom.TOO_MUCH_MEMORY:
                raise BadUserInput("The image needs too much memory to be read: send a smaller one, or a plain JPEG.")
            case _ if -status in (signal.SIGXCPU, signal.SIGKILL):  # the second by a system that is out of memory
                raise BadUserInput("The image takes too much to be read: send a smaller one, or a plain JPEG.")
            case _ if told.startswith(darkroom.BEGUN):
                raise BadUserInput("The image cannot be read: it ends early or is damaged.")
            case _:
                log.error("the darkroom did not begin: status %s", status)
                raise Internal
        head, begin = darkroom.HEAD, len(darkroom.BEGUN)
        if len(told) > begin + head.size:
            width, height, of_image, of_thumbnail = head.unpack_from(told, begin)
            begin += head.size
            image, thumbnail = told[begin : begin + of_image], told[begin + of_image :]
            if len(thumbnail) == of_thumbnail and kind_of(image) is kind_of(thumbnail) is Kind.JPEG:
                return Developed(width, height, image, thumbnail)
        log.error("what the darkroom gave is no photo")
        raise Internal


async def _end(process: asyncio.subprocess.Process) -> None:
    """End it with all that it may have started. What it still says is read and dropped: with a full pipe asyncio would
    wait for ever."""
    assert process.stdout is not None
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        async with asyncio.timeout(END_SECONDS):
            while await process.stdout.read(256 * 1024):
                pass
            await process.wait()
    except TimeoutError:
        log.error("process %s of the darkroom does not end", process.pid)
