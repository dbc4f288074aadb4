"""A tile's bytes, with what is made of them once: its digest, and its packed form."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass
from hashlib import sha256

from hub.keeping import ENTRY_BYTES

PACKED_ASIDE_FROM = 128 * 1024
"""Bytes from which on packing would keep the other requests waiting."""


@dataclass(slots=True)
class Tile:
    """The bytes of a tile, and what their ETag is made of."""

    body: bytes
    digest: str
    packed: bytes | None = None

    @classmethod
    def of(cls, body: bytes) -> Tile:
        return cls(body, sha256(body).hexdigest()[:32])

    def weight(self) -> int:
        """What it takes at most: packed once more, it is no larger than it was."""
        return 2 * len(self.body) + ENTRY_BYTES

    async def gzip(self) -> bytes:
        """The same packed, which is done once."""
        if self.packed is None:
            large = len(self.body) >= PACKED_ASIDE_FROM
            self.packed = await asyncio.to_thread(_packed, self.body) if large else _packed(self.body)
        return self.packed


def _packed(body: bytes) -> bytes:
    packer = zlib.compressobj(4, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()
