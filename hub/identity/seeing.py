"""See as: what the public, a ward administrator or another role sees, shown to an administrator.

An operation with `X-Hub-See-As` runs in that role's scope and areas, as nobody in particular: the database itself
redacts what comes back. It shows no more than the administrator may see anyway (`Access.shown`), and it only reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.identity import SERVICE, Caller
from schema.access import ACCESS, Scope
from schema.errors import BadUserInput, Forbidden

if TYPE_CHECKING:
    from hub.database.session import Sessions

_WITH_PARTS = """
with held as (select id from areas where code = $1), parts as (
  select id from held union select c.id from sub_counties c join held on c.county_id = held.id
)
select id::text from parts union select w.id::text from wards w join parts on w.sub_county_id = parts.id order by 1
"""

_ROLES = ("public", *ACCESS.personal)


async def seen_as(sessions: Sessions, caller: Caller, words: str) -> Caller:
    """The caller that `words` describe: `public`, `coordinator`, `ward_administrator@1208`.

    Raises Forbidden for whoever is no administrator, and for a role that sees what an administrator may not;
    BadUserInput, naming what would be right, for words that describe nobody.
    """
    if "administrator" not in caller.roles:
        raise Forbidden("Only an administrator looks at what others see.")
    role, at, code = words.strip().partition("@")
    if role not in _ROLES:
        raise BadUserInput(f"X-Hub-See-As: there is no such role; there are {', '.join(_ROLES)}")
    scope = ACCESS.roles[role].scope
    if scope is Scope.AREA and not at:
        raise BadUserInput(
            f"X-Hub-See-As: say where, such as {role}@1208: a {role} sees what lies in a ward or sub-county"
        )
    if at and scope is not Scope.AREA:
        raise BadUserInput(f"X-Hub-See-As: a {role} sees the same everywhere: leave @{code[:20]} out")
    areas: tuple[str, ...] = ()
    if at:
        if code.isascii() and code.isprintable():
            areas = tuple(row[0] for row in await sessions.fetch(SERVICE, _WITH_PARTS, [code]))
        if not areas:
            raise BadUserInput("X-Hub-See-As: no unit of the county has this code: wards have 1186 to 1220")
    parts = ACCESS.shown(caller.roles, role)
    if parts is None:
        raise Forbidden(f"A {role} sees what an administrator may not.")
    return Caller(scope, roles=parts, areas=areas, seen_by=caller.person)
