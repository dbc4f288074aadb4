"""Who is asking, as the database needs to know it. How somebody proves it stands in the modules beside.

`passwords` hashes, `tokens` reads and writes what a caller shows, `throttle` slows guessing down, `sign_ins` holds it
all against the database, `door` finds the caller of a request, `seeing` shows an administrator what others see.
"""

from __future__ import annotations

from dataclasses import dataclass

from schema.access import Scope


@dataclass(frozen=True)
class Caller:
    """The scope that statements run in, the person behind it, and what the policies of `schema/access.py` ask for."""

    scope: Scope | None
    """None: nobody; every table is closed."""
    person: str = ""
    """Id of the person; empty for the public."""
    roles: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()
    """Ids of the areas that the person answers for."""
    seen_by: str = ""
    """Id of the administrator who looks at what such a caller sees: to look is all that this caller does."""


NOBODY = Caller(None)
PUBLIC = Caller(Scope.PUBLIC)
SERVICE = Caller(Scope.SERVICE, roles=("service",))
"""The hub itself, at its own chores."""
