"""Callers who stay: a socket lives for hours, and its caller's rights may not.

Each token is asked about once in every worker, however many sockets it holds. A stay ends when the token expires, at
the second; and within ten seconds when it is revoked, when its person is disabled, or when their roles or areas change.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final

import asyncpg

from hub.identity import PUBLIC, Caller
from hub.identity.sign_ins import Identity, Presence
from hub.identity.tokens import BadToken
from schema.errors import Unauthenticated, Unavailable

LOOK_SECONDS: Final = 2.0
"""How often a token is asked about. With the five seconds for which answers are kept that makes seven at most."""

UNSEEN_SECONDS: Final = 9.0
"""How old a caller's rights may be: when the database was away they are asked for before anything else is."""

EXPIRED = "the token has expired: sign in again"
REVOKED = "the token is no longer good: sign in again"
CHANGED = "your rights have changed: connect again"


class Ended(Unauthenticated):
    """The sign-in ended, or its rights changed: sign in again."""


class Stay:
    """Somebody who stays, with the rights that they came with."""

    def __init__(self, identity: Identity | None = None, token: str = "", presence: Presence | None = None) -> None:
        self._identity = identity
        self._token = token
        self._seen = monotonic()
        self._looking: asyncio.Lock = asyncio.Lock()
        self._tell: set[Callable[[str], None]] = set()
        self.presence = presence
        self.ended: str | None = None
        """Why it ended."""

    @property
    def caller(self) -> Caller:
        return self.presence.caller if self.presence else PUBLIC

    async def now(self) -> Caller:
        """As whom to ask just now. Raises Ended."""
        if self.presence is not None and self.ended is None and monotonic() - self._seen > UNSEEN_SECONDS:
            async with self._looking:
                if monotonic() - self._seen > UNSEEN_SECONDS:
                    await self.look()
        if self.ended is not None:
            raise Ended(f"{self.ended[0].upper()}{self.ended[1:]}.")
        return self.caller

    def on_end(self, tell: Callable[[str], None]) -> Callable[[], None]:
        """Call `tell` with the reason when it ends; gives back how to call that off."""
        if self.ended is not None:
            tell(self.ended)
        self._tell.add(tell)
        return lambda: self._tell.discard(tell)

    async def watch(self) -> None:
        """Look until it ends."""
        assert self._identity is not None
        assert self.presence is not None
        while self.ended is None:
            await asyncio.sleep(max(0.0, min(LOOK_SECONDS, self._identity.remaining(self.presence))))
            try:
                await self.look()
            except (Unavailable, asyncpg.PostgresError):
                continue  # nobody is told anything meanwhile, see `now`

    async def look(self) -> None:
        """Ask whether the token is still good for what it was."""
        assert self._identity is not None
        assert self.presence is not None
        try:
            presence = await self._identity.recognise(self._token)
        except BadToken:
            self.end(EXPIRED if self._identity.remaining(self.presence) <= 0 else REVOKED)
            return
        if presence.caller != self.presence.caller:
            self.end(CHANGED)
        self._seen = monotonic()

    def end(self, reason: str) -> None:
        if self.ended is None:
            self.ended = reason
            for tell in list(self._tell):
                tell(reason)


class Stays:
    """Everybody who stays with one worker."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._stays: dict[bytes, tuple[Stay, asyncio.Task[None], list[None]]] = {}

    @asynccontextmanager
    async def of(self, token: str | None) -> AsyncIterator[Stay]:
        """The stay of whoever holds this token; without one, of the public. Raises Unauthenticated for a bad one."""
        if token is None:
            yield Stay()
            return
        presence = await self._identity.recognise(token)
        held = self._stays.get(presence.digest)
        if held is not None and (held[0].ended is not None or held[0].caller != presence.caller):
            held[0].end(CHANGED)  # who comes now has other rights than those who are here
            held = None
        if held is None:
            stay = Stay(self._identity, token, presence)
            held = self._stays[presence.digest] = (stay, asyncio.create_task(stay.watch()), [])
        held[2].append(None)
        try:
            yield held[0]
        finally:
            held[2].pop()
            if not held[2]:
                held[1].cancel()
                if self._stays.get(presence.digest) is held:
                    del self._stays[presence.digest]

    def __len__(self) -> int:
        return len(self._stays)
