"""Who stands at the door: from a request's headers to a caller, and the cookie that the hub's own pages hold.

A bearer token counts as it is. The cookie counts only when the browser says that the request comes from our own page
(`Sec-Fetch-Site: same-origin`) or when it carries our own header, which no other site can make a browser send. Its name
begins with `__Host-`: the browser keeps it to this host, to the whole of it, and to HTTPS or to this very machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from starlette.requests import HTTPConnection

from hub.identity import PUBLIC, Caller
from hub.identity.seeing import seen_as
from hub.identity.sign_ins import Identity, Presence, SignedIn
from hub.identity.tokens import BadToken
from schema.errors import Unauthenticated

COOKIE = "__Host-hub"
HEADER = "x-hub"
SEE_AS = "x-hub-see-as"

_KINDS = f"{COOKIE}={{value}}; Path=/; Max-Age={{seconds}}; Secure; HttpOnly; SameSite=Lax"


@dataclass
class Visit:
    """One request's caller, and what its answer must say about the cookie."""

    identity: Identity
    address: str
    from_page: bool
    """The request carries our own header: the answer may set the cookie."""
    presence: Presence | None = None
    cookies: list[str] = field(default_factory=list)
    """`Set-Cookie` headers of the answer."""
    seen_as: Caller | None = None
    """As whom an administrator looks; see `seeing.py`."""

    @property
    def caller(self) -> Caller:
        return self.seen_as or (self.presence.caller if self.presence else PUBLIC)

    async def sign_in(self, name: str, password: str) -> SignedIn:
        """Sign somebody in; a page that was signed in before gets another token, and its old one ends."""
        signed = await self.identity.sign_in(name, password, self.address, self.presence if self.from_page else None)
        self.welcome(signed)
        return signed

    def welcome(self, signed: SignedIn) -> None:
        """Let the page hold the token where no script can read it."""
        if self.from_page:
            self.cookies.append(cookie(signed.token, signed.expires_at))

    async def sign_out(self) -> bool:
        presence, self.presence = self.presence, None
        if presence is not None:
            await self.identity.sign_out(presence)
        if self.from_page:
            self.cookies.append(NO_COOKIE)
        return presence is not None


class TurnedAway(Unauthenticated):
    """The token is not one of this hub's, or no longer good: sign in again."""

    headers: tuple[tuple[str, str], ...] = ()


async def caller_of(request: HTTPConnection) -> Caller:
    """Who asks: the public without a token. Raises Unauthenticated for a token that is no good."""
    return (await visit_of(request)).caller


async def visit_of(request: HTTPConnection) -> Visit:
    """Who asks, with what is needed to sign them in or out. Works for a websocket's handshake as well.

    Raises Unauthenticated for a token that is no good, Forbidden and BadUserInput for `X-Hub-See-As`."""
    visit = await _visit(request)
    words = request.headers.get(SEE_AS)
    if words is not None:
        visit.seen_as = await seen_as(request.app.state.sessions, visit.caller, words)
    return visit


async def _visit(request: HTTPConnection) -> Visit:
    identity: Identity = request.app.state.identity
    visit = Visit(identity, request.client.host if request.client else "", request.headers.get(HEADER) == "1")
    shown = request.headers.get("authorization")
    if shown is not None:
        token = bearer(shown)
        try:
            visit.presence = await identity.recognise(token)
        except BadToken as error:
            raise _turned_away(("www-authenticate", "Bearer")) from error
        return visit
    held = cookie_of(request.headers)
    if held is not None:
        try:
            visit.presence = await identity.recognise(held)
        except BadToken as error:
            # Or the page could ask nothing at all, not even to sign in.
            raise _turned_away(("set-cookie", NO_COOKIE)) from error
    return visit


def token_of(headers: Mapping[str, str]) -> str | None:
    """The token that a request shows, as `visit_of` takes it."""
    shown = headers.get("authorization")
    return bearer(shown) if shown is not None else cookie_of(headers)


def bearer(shown: str) -> str:
    """The token in `Bearer …`. Raises Unauthenticated for anything else."""
    kind, _, token = shown.partition(" ")
    if kind.lower() != "bearer":
        raise _turned_away(("www-authenticate", "Bearer"))
    return token.strip()


def cookie_of(headers: Mapping[str, str]) -> str | None:
    """The token of our cookie, where it counts."""
    if headers.get("sec-fetch-site") != "same-origin" and headers.get(HEADER) != "1":
        return None
    return held_cookie(headers)


def held_cookie(headers: Mapping[str, str]) -> str | None:
    """The token of our cookie, whoever made the browser send it: only for who has seen the Origin."""
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return None


def cookie(token: str, expires_at: datetime) -> str:
    seconds = max(0, int((expires_at - datetime.now(UTC)).total_seconds()))
    return _KINDS.format(value=token, seconds=seconds)


NO_COOKIE = _KINDS.format(value="", seconds=0)


def _turned_away(*headers: tuple[str, str]) -> TurnedAway:
    refusal = TurnedAway()
    refusal.headers = headers
    return refusal
