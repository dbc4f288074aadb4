"""Passwords: hashed slowly, a few at a time, and refused where somebody would guess them.

Argon2id with the parameters that OWASP names first (19 MiB, two passes, one lane). A hash costs tens of milliseconds of
a processor, so that half of the processors hash at most and the others wait their turn in order: a crowd that signs in,
or pretends to, leaves the rest to everybody else's work.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import secrets
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from schema.errors import BadUserInput, Unavailable

HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, hash_len=32, salt_len=16, type=Type.ID)

AT_ONCE = max(1, (os.cpu_count() or 2) // 2)
"""Hashes that run at the same time in one process."""

MOST_WAITING = 40
"""Further ones are turned away: their turn would come after a caller's patience."""

SHORTEST = 12
LONGEST = 1024


P = ParamSpec("P")
T = TypeVar("T")


class Passwords:
    """Hashes and checks passwords beside the event loop."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._nobodys = _nobodys_hash()

    async def hash(self, password: str) -> str:
        return await self._in_turn(HASHER.hash, _bytes(password))

    async def matches(self, hashed: str | None, password: str) -> bool:
        """Whether it is the password; just as slow, and false, where there is none to compare with."""
        return await self._in_turn(_matches, hashed or self._nobodys, _bytes(password)) and hashed is not None

    async def _in_turn(self, work: Callable[P, T], *values: P.args, **named: P.kwargs) -> T:
        if self._waiting >= MOST_WAITING:
            raise Unavailable("Too many people are signing in just now: try again in a moment.")
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work, *values, **named)
        finally:
            self._waiting -= 1


def _matches(hashed: str, password: bytes) -> bool:
    try:
        return HASHER.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(hashed: str) -> bool:
    """Whether the hash was made with other parameters than today's."""
    return HASHER.check_needs_rehash(hashed)


def _nobodys_hash() -> str:
    """A hash of today's parameters that no password has: checking against it takes as long as against a real one."""
    salt, digest = (base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=") for length in (16, 32))
    return f"$argon2id$v=19$m={HASHER.memory_cost},t={HASHER.time_cost},p={HASHER.parallelism}${salt}${digest}"


def _bytes(password: str) -> bytes:
    """The same letters typed on another keyboard are the same password (NFKC); half a pair of surrogates is a letter
    like any other, because a password is never shown or stored."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


# -- which passwords are taken -----------------------------------------------------------------------------------------

COMMON = frozenset((Path(__file__).parent / "common_passwords.txt").read_text("utf-8").split())
"""What people choose where a password must be long; figures and marks at both ends are taken off before comparing."""

_RUNS = ("abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiopasdfghjklzxcvbnm", "98765432109876543210")


def judge(password: str, *names: str) -> None:
    """Refuse a password that somebody else would try. Says what would be right; asks for no figures and no marks."""
    if len(password) < SHORTEST:
        raise BadUserInput(f"The password has {len(password)} characters: take {SHORTEST} or more. Four words do well.")
    if len(password) > LONGEST:
        raise BadUserInput(f"The password has over {LONGEST:,} characters.")
    plain = unicodedata.normalize("NFKC", password).casefold()
    for name in names:
        for part in {name.casefold(), *re.split(r"[\W_]+", name.casefold())}:
            if len(part) >= 4 and part in plain:
                raise BadUserInput(f"The password holds “{part}”, which is part of the name: take other words.")
    letters = re.sub(r"\s", "", plain)
    if len(set(letters)) < 5:
        raise BadUserInput("The password repeats a few characters: take several words.")
    bare = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", letters)
    if not bare and any(letters in run or letters in run + run for run in _RUNS):
        raise BadUserInput("The password is a row of figures: take several words.")
    if {letters, bare, bare.translate(_SWAPPED)} & COMMON or any(len(bare) > 5 and bare in run for run in _RUNS):
        raise BadUserInput("The password is one of those that are tried first: take several words.")


_SWAPPED = str.maketrans("@4310$5", "aaeioss")
