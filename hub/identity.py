"""Who is asking, as the database needs to know it."""

from __future__ import annotations

from dataclasses import dataclass

from schema.access import Scope


@dataclass(frozen=True)
class Caller:
    """The scope that statements run in, the person behind it, and the areas (IEBC codes) that they answer for."""

    scope: Scope | None
    """None: nobody; every table is closed."""
    person: str = ""
    areas: tuple[str, ...] = ()


NOBODY = Caller(None)
PUBLIC = Caller(Scope.PUBLIC)
