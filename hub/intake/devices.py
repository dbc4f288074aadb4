"""Which device a key belongs to, and how much it may send."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable
from uuid import UUID

from hub.database.session import Sessions
from hub.identity import SERVICE
from hub.settings import Intake
from schema.errors import RateLimited
from schema.fleet import digest_of

KNOWN_SECONDS = 5.0
"""How long a key is taken for what it was: a revoked one ends within this."""

MOST_KNOWN = 20_000

_BY = "select digest, device_id from devices_by($1)"


class Devices:
    """The devices that one worker has heard of."""

    def __init__(self, sessions: Sessions, settings: Intake) -> None:
        self._sessions = sessions
        self._settings = settings
        self._known: OrderedDict[bytes, tuple[float, UUID | None]] = OrderedDict()
        self._buckets: OrderedDict[UUID, tuple[float, float]] = OrderedDict()

    async def by_keys(self, keys: Iterable[str]) -> dict[str, UUID | None]:
        """The device of each key; None for one that is unknown or revoked, and nobody learns which."""
        now = time.monotonic()
        digests = {key: digest_of(key) for key in set(keys)}
        asked = [
            digest
            for digest in digests.values()
            if digest not in self._known or self._known[digest][0] < now - KNOWN_SECONDS
        ]
        if asked:
            found = {row["digest"]: row["device_id"] for row in await self._sessions.fetch(SERVICE, _BY, [asked])}
            for digest in asked:
                self._known[digest] = (now, found.get(digest))
                self._known.move_to_end(digest)
        answer = {key: self._known[digest][1] for key, digest in digests.items()}
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return answer

    def hold_back(self, device: UUID, count: int) -> None:
        """Raises RateLimited for a device that sends more than it may. What it may grows with time, up to what comes
        after hours without a network."""
        now = time.monotonic()
        most, each = float(self._settings.fixes_at_once), self._settings.fixes_per_second
        left, since = self._buckets.get(device, (most, now))
        left = min(most, left + (now - since) * each)
        if count > left:
            self._buckets[device] = (left, now)
            wait = max(1, round((count - left) / each))
            raise RateLimited(f"The device sends too much: wait {wait} s.", retryAfter=wait)
        self._buckets[device] = (left - count, now)
        self._buckets.move_to_end(device)
        while len(self._buckets) > MOST_KNOWN:
            self._buckets.popitem(last=False)
