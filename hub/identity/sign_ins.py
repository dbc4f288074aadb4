"""Who holds which token: signing in, being recognised, signing out, and the one-time links by which people begin.

Everything here happens as the hub's own service; no caller's role reads these tables. What was asked about a token is
kept for five seconds, so that signing out, disabling an account and changing its roles act on every worker within ten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from hub.identity import SERVICE, Caller
from hub.identity.passwords import Passwords, is_outdated, judge
from hub.identity.throttle import Throttle
from hub.identity.tokens import LONGEST, BadToken, Key, Read, UnknownKey, digest, read, write
from hub.watch import figures
from schema.access import ACCESS
from schema.errors import BadUserInput, Conflict, NotFound, RateLimited, Unauthenticated, Unavailable

if TYPE_CHECKING:
    from hub.database.session import Sessions
    from hub.settings import SignIn

ASKED_AGAIN_AFTER = 5.0
"""Seconds for which an answer about a token is kept."""

SIGNS_AFTER = timedelta(seconds=60)
"""A new key signs only once every worker has had the time to learn of it."""

_MOST_KEPT = 10_000

WRONG = "Name and password do not fit, or the account is closed."

_HASH = """
select p.id, c.password_hash from people p join credentials c on c.person_id = p.id
where p.name = $1 and p.disabled_at is null
"""

_WHO = """
select s.id, s.person_id, s.expires_at,
  s.revoked_at is null and s.expires_at > now() and p.disabled_at is null,
  array(select role from person_roles r where r.person_id = p.id and r.revoked_at is null order by role),
  array(
    with held as (select area_id from person_areas where person_id = p.id and until is null and since <= now()),
    parts as (
      select area_id from held
      union select c.id from sub_counties c join held on c.county_id = held.area_id
    )
    select area_id::text from parts
    union select w.id::text from wards w join parts on w.sub_county_id = parts.area_id
    order by 1
  )
from sign_ins s join people p on p.id = s.person_id
where s.token_digest = $1
"""

_BEGIN = """
with person as (
  select p.id from people p join credentials c on c.person_id = p.id
  where p.id = $1 and c.password_hash = $2 and p.disabled_at is null
), former as (
  update sign_ins set revoked_at = now(), revoked_reason = 'replaced'
  where id = $5 and revoked_at is null and exists (select from person)
)
insert into sign_ins (person_id, token_digest, expires_at) select id, $3, $4 from person returning id
"""

_END = "update sign_ins set revoked_at = now(), revoked_reason = 'signed_out' where id = $1 and revoked_at is null"

_KEYS = (
    "select id, secret, extract(epoch from signs_from)::float, extract(epoch from valid_until)::float from token_keys"
)

_INVITED = """
select p.name, p.display_name, i.expires_at from invitations i join people p on p.id = i.person_id
where i.digest = $1 and i.used_at is null and i.expires_at > now() and p.disabled_at is null
"""

_ACCEPT = """
with used as (
  update invitations i set used_at = now() from people p
  where i.digest = $1 and i.used_at is null and i.expires_at > now() and p.id = i.person_id and p.disabled_at is null
  returning p.id
), named as (
  update people set display_name = $2, version = version + 1
  where id = (select id from used) and display_name is distinct from $2
), ended as (
  update sign_ins set revoked_at = now(), revoked_reason = 'password'
  where person_id = (select id from used) and revoked_at is null
)
insert into credentials (person_id, password_hash) select id, $3 from used
on conflict (person_id) do update set password_hash = excluded.password_hash, changed_at = now()
returning person_id
"""


@dataclass(frozen=True)
class Presence:
    """Somebody who is signed in, as they stand now."""

    caller: Caller
    sign_in: str
    expires_at: datetime
    digest: bytes


@dataclass(frozen=True)
class SignedIn:
    """Somebody who has just signed in: the one time that the token is shown."""

    token: str
    presence: Presence

    @property
    def expires_at(self) -> datetime:
        return self.presence.expires_at


@dataclass(frozen=True)
class Invited:
    """Whom a one-time link is for."""

    name: str
    display_name: str
    expires_at: datetime


class Identity:
    """One process's view of who is signed in."""

    def __init__(self, sessions: Sessions, settings: SignIn, now: Callable[[], float] = time) -> None:
        self._sessions = sessions
        self._settings = settings
        self._now = now
        self._passwords = Passwords()
        self._throttle = Throttle(sessions, settings)
        self._keys: dict[str, Key] = {}
        self._keys_at = -ASKED_AGAIN_AFTER
        self._kept: OrderedDict[bytes, tuple[float, Presence | None]] = OrderedDict()

    # -- being recognised ------------------------------------------------------------------------------------------

    async def recognise(self, token: str) -> Presence:
        """Whose token this is, as of the last five seconds. Raises Unauthenticated; what can be told from the token
        alone is refused without asking the database."""
        if len(token) > LONGEST:
            raise BadToken
        kept = self._kept.get(digest(token))  # only of tokens that were ours
        if kept is None or monotonic() - kept[0] >= ASKED_AGAIN_AFTER:
            seen = await self._read(token)
            kept = (monotonic(), await self._who(seen))
            self._keep(seen.digest, kept)
            await self._read(token)  # its key may have ended, which was found out just now
        if kept[1] is None or self.remaining(kept[1]) <= 0:
            raise BadToken
        return kept[1]

    def remaining(self, presence: Presence) -> float:
        """Seconds until the token ends by itself."""
        return presence.expires_at.timestamp() - self._now()

    async def _read(self, token: str) -> Read:
        try:
            return read(token, self._keys, self._now())
        except UnknownKey:
            # A forged token names any key it likes: however many come, the keys are looked up once in five seconds.
            if monotonic() - self._keys_at < ASKED_AGAIN_AFTER:
                raise
            await self._load_keys()
            return read(token, self._keys, self._now())

    async def _who(self, seen: Read) -> Presence | None:
        if monotonic() - self._keys_at >= ASKED_AGAIN_AFTER:
            await self._load_keys()  # a key that was ended must not live on here
        rows = await self._sessions.fetch(SERVICE, _WHO, [seen.digest])
        if not rows or not rows[0][3]:
            return None
        id_, person, expires_at, _, roles, areas = rows[0]
        return Presence(_caller(str(person), roles, areas), str(id_), expires_at, seen.digest)

    def _keep(self, key: bytes, answer: tuple[float, Presence | None]) -> None:
        self._kept[key] = answer
        self._kept.move_to_end(key)
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)

    # -- signing in and out ----------------------------------------------------------------------------------------

    async def sign_in(self, name: str, password: str, address: str, former: Presence | None = None) -> SignedIn:
        """Check a name and its password. Who is unknown, disabled or wrong is told the same after the same time."""
        name = name.strip().lower()
        try:
            tried = await self._throttle.count(name, address)
        except RateLimited:
            figures.count(figures.LOGIN_FAILURES, "held_back")
            raise
        known = name if name.isascii() and name.isprintable() else ""  # the rest no database could look for
        rows = await self._sessions.fetch(SERVICE, _HASH, [known])
        person, hashed = rows[0] if rows else (None, None)
        try:
            fits = await self._passwords.matches(hashed, password)
        except Unavailable:
            await self._throttle.forgive(tried)  # nobody looked at it
            raise
        if hashed is None or not fits:
            figures.count(figures.LOGIN_FAILURES, "wrong")
            raise Unauthenticated(WRONG)
        if is_outdated(hashed):
            renewed = await self._passwords.hash(password)
            async with self._sessions.connection(SERVICE) as connection:
                await connection.execute(
                    "update credentials set password_hash = $3 where person_id = $1 and password_hash = $2",
                    person,
                    hashed,
                    renewed,
                )
            hashed = renewed
        signed = await self._begin(person, hashed, former)
        await self._throttle.forgive(tried)
        return signed

    async def enter(self, name: str) -> SignedIn:
        """Sign somebody in whom nobody asked for a password: in a demonstration alone, where nothing is real."""
        rows = await self._sessions.fetch(SERVICE, _HASH, [name])
        if not rows or rows[0][1] is None:
            raise Unauthenticated(WRONG)
        return await self._begin(rows[0][0], rows[0][1], None)

    async def _begin(self, person: Any, hashed: str, former: Presence | None) -> SignedIn:
        key = await self._signing_key()
        expires = int(self._now() + self._settings.token_hours * 3600)
        token = write(key, expires)
        async with self._sessions.connection(SERVICE) as connection:
            # Between the look at the password and here it may have been changed, or the person disabled.
            begun = await connection.fetchval(
                _BEGIN,
                person,
                hashed,
                digest(token),
                datetime.fromtimestamp(expires, UTC),
                former.sign_in if former else None,
            )
        if begun is None:
            raise Unauthenticated(WRONG)
        if former is not None:
            self._keep(former.digest, (monotonic(), None))
        return SignedIn(token, await self.recognise(token))

    async def sign_out(self, presence: Presence) -> None:
        """End a sign-in: here at once, on the other workers when they ask next."""
        async with self._sessions.connection(SERVICE) as connection:
            await connection.execute(_END, presence.sign_in)
        self._keep(presence.digest, (monotonic(), None))

    # -- links that are used once ----------------------------------------------------------------------------------

    async def invited(self, code: str) -> Invited:
        """Whom a link is for. Raises NotFound for one that was used, has expired or never was."""
        rows = await self._sessions.fetch(SERVICE, _INVITED, [digest(code)])
        if not rows:
            raise NotFound(NO_LINK)
        return Invited(*rows[0])

    async def accept(self, code: str, display_name: str, password: str) -> SignedIn:
        """Take a link: set the name that the others read and the password, end every other sign-in, and sign in."""
        display_name = said(display_name)
        invited = await self.invited(code)
        judge(password, invited.name, display_name)
        hashed = await self._passwords.hash(password)
        async with self._sessions.connection(SERVICE) as connection:
            person = await connection.fetchval(_ACCEPT, digest(code), display_name, hashed)
        if person is None:  # another request with the same link was faster
            raise Conflict(NO_LINK)
        return await self._begin(person, hashed, None)

    # -- keys ------------------------------------------------------------------------------------------------------

    async def _load_keys(self) -> None:
        rows = await self._sessions.fetch(SERVICE, _KEYS, [])
        self._keys, self._keys_at = {row[0]: Key(*row) for row in rows}, monotonic()

    async def _signing_key(self) -> Key:
        if monotonic() - self._keys_at >= ASKED_AGAIN_AFTER:
            await self._load_keys()
        now = self._now()
        usable = [key for key in self._keys.values() if key.is_valid(now)]
        # A clock that was set back leaves keys of the future: better one of those than nobody signs in.
        signing = [key for key in usable if key.signs_from <= now] or usable
        if not signing:
            raise Unavailable("The hub has no key to sign with: `hub user new-key --at-once` makes one.")
        return max(signing, key=lambda key: key.signs_from)


NO_LINK = "This link was used, has expired or was replaced by a newer one: ask for another."


def said(display_name: str) -> str:
    """A name that others read, without what is no letter and no space."""
    name = " ".join(display_name.split())
    if not name or len(name) > 120 or not name.isprintable():
        raise BadUserInput("displayName: a name of 1 to 120 characters is expected")
    return name


def _caller(person: str, roles: list[str], areas: list[str]) -> Caller:
    """The widest scope among a person's roles. A role that this version does not know gives nothing."""
    held = tuple(sorted({ACCESS.signed_in, *(role for role in roles if role in ACCESS.personal)}))
    return Caller(ACCESS.widest(held), person, held, tuple(areas))
