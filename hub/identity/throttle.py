"""Slows guessing down: after a few tries that failed, an account and an address wait longer and longer.

Counted in the database, so that all workers of the hub count together, and before the password is looked at, so that a
hundred tries at once are a hundred tries. Names and addresses are kept as digests: people type passwords into the field
for names. A refused try counts nowhere; who waits has waited.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING

from hub.identity import SERVICE
from schema.errors import RateLimited

if TYPE_CHECKING:
    from hub.database.session import Sessions
    from hub.settings import SignIn

LONGEST_FOR_ACCOUNT = 900
LONGEST_FOR_ADDRESS = 30
"""Seconds. A whole office may share an address: it must not be locked out for long by one of it."""

FORGOTTEN_AFTER = 3600
"""Seconds without a try, after which counting begins anew."""

_PRUNE_EVERY = 600

_COUNT = """
with asked (kind, subject, free, longest) as (
  values ('account', $1::bytea, $3::int, $5::int), ('address', $2, $4, $6)
), waiting (seconds) as (
  select extract(epoch from max(f.free_at) - now())::float
  from sign_in_failures f join asked using (kind, subject) where f.free_at > now()
), counted (kind) as (
  insert into sign_in_failures as f (kind, subject, tries, tried_at, free_at)
  select kind, subject, 1, now(), case when free > 1 then '-infinity' else now() + interval '2 seconds' end
  from asked where (select seconds from waiting) is null order by kind
  on conflict (kind, subject) do update set (tries, tried_at, free_at) = (
    select n.tries, now(), case
      when n.tries < a.free then '-infinity'
      else now() + least(power(2, least(n.tries - a.free + 1, 20)), a.longest) * interval '1 second'
    end
    from asked a, lateral (
      select case when f.tried_at < now() - $7 * interval '1 second' then 1 else f.tries + 1 end
    ) n (tries)
    where a.kind = excluded.kind
  )
  -- Another try may have come between the look above and here: then this one waits like the rest.
  where f.free_at <= now()
  returning kind
)
select (select seconds from waiting), (select count(*) from counted)
"""

_FORGIVE = """
with account as (delete from sign_in_failures where kind = 'account' and subject = $1)
update sign_in_failures set tries = greatest(tries - 1, 0), free_at = '-infinity'
where kind = 'address' and subject = $2
"""

_PRUNE = "delete from sign_in_failures where tried_at < now() - interval '1 day'"


@dataclass(frozen=True)
class Tried:
    """A try that was counted."""

    account: bytes
    address: bytes


class Throttle:
    """The counters of `sign_in_failures`."""

    def __init__(self, sessions: Sessions, settings: SignIn) -> None:
        self._sessions = sessions
        self._settings = settings
        self._pruned = -float(_PRUNE_EVERY)

    async def count(self, name: str, address: str) -> Tried:
        """Count a try before it is made. Raises RateLimited, with the seconds to wait, while it must not be."""
        tried = Tried(_digest(f"account {name}"), _digest(f"address {_network(address)}"))
        if monotonic() - self._pruned > _PRUNE_EVERY:
            self._pruned = monotonic()
            async with self._sessions.connection(SERVICE) as connection:
                await connection.execute(_PRUNE)
        free = (self._settings.sign_in_tries, self._settings.sign_in_address_tries)
        longest = (LONGEST_FOR_ACCOUNT, LONGEST_FOR_ADDRESS, FORGOTTEN_AFTER)
        ((seconds, counted),) = await self._sessions.fetch(
            SERVICE, _COUNT, [tried.account, tried.address, *free, *longest]
        )
        if counted < 2:
            wait = max(1, ceil(seconds or 1))
            raise RateLimited(
                f"Too many tries that failed: wait {wait} second{'' if wait == 1 else 's'}, then try again.",
                retryAfter=wait,
            )
        return tried

    async def forgive(self, tried: Tried) -> None:
        """The try succeeded: the account's count is over, the address's is as before it."""
        async with self._sessions.connection(SERVICE) as connection:
            await connection.execute(_FORGIVE, tried.account, tried.address)


def _network(address: str) -> str:
    """A household has one IPv4 address, or 2^64 of IPv6: they are one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def _digest(subject: str) -> bytes:
    return hashlib.sha256(subject.encode("utf-8", "surrogatepass")).digest()
