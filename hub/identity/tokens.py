"""What a caller shows: an opaque token that says itself until when it lasts and that the hub gave it.

    hub1.<key>.<expiry>.<secret>.<mark>

`<key>` names the key of the mark (an HMAC over all before it), `<expiry>` is seconds since 1970, `<secret>` 256 random
bits. So what is unreadable, forged or expired is refused by looking at it: a flood of bad tokens never reaches the
database. Whether a token that passes is still good (not signed out, its person not disabled) only `sign_ins` can say.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from schema.errors import Unauthenticated

_FORM = re.compile(r"(hub1\.([0-9a-f]{8})\.([0-9]{10,11})\.[A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})", re.ASCII)

LONGEST = 200
"""Characters that no token of ours reaches."""


class BadToken(Unauthenticated):
    """The token is not one of this hub's, or no longer good: sign in again."""


class UnknownKey(BadToken):
    """The token is not one of this hub's, or no longer good: sign in again."""


@dataclass(frozen=True)
class Key:
    """A key that marks tokens; a row of `token_keys`."""

    id: str
    secret: bytes
    signs_from: float
    valid_until: float | None

    def is_valid(self, now: float) -> bool:
        return self.valid_until is None or now < self.valid_until


@dataclass(frozen=True)
class Read:
    """A token that was looked at: it is ours and has not expired."""

    digest: bytes
    expires_at: datetime


def write(key: Key, expires: int) -> str:
    """A new token. Only its digest is ever kept."""
    body = f"hub1.{key.id}.{expires}.{secrets.token_urlsafe(32)}"
    return f"{body}.{_mark(key, body)}"


def read(token: str, keys: Mapping[str, Key], now: float) -> Read:
    """Refuse what is no token of ours or has expired; raises UnknownKey where a newer key might know it."""
    found = _FORM.fullmatch(token)
    if found is None:
        raise BadToken
    body, id_, expires, mark = found.groups()
    if int(expires) <= now:
        raise BadToken
    key = keys.get(id_)
    if key is None:
        raise UnknownKey
    if not hmac.compare_digest(mark, _mark(key, body)) or not key.is_valid(now):
        raise BadToken
    return Read(digest(token), datetime.fromtimestamp(int(expires), UTC))


def digest(secret: str) -> bytes:
    """What is kept of a token or of a link's code. Its 256 random bits make one round of SHA-256 enough."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _mark(key: Key, body: str) -> str:
    mark = hmac.digest(key.secret, body.encode(), "sha256")
    return base64.urlsafe_b64encode(mark).decode().rstrip("=")
