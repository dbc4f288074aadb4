"""Who may read and write what: one table of role x noun, from which policies, grants and the leak test are made.

A caller holds roles. The database knows only how far a caller reaches at most, the scope (`hub_public`, `hub_own`,
`hub_area`, `hub_county`): the hub takes the widest scope among the caller's roles and says who is asking in settings
(`hub.person`, `hub.areas`, `hub.roles`). What the public may do, everybody may.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum


class Reach(IntEnum):
    """How far a right goes within one noun. COUNTY takes in the others; one's own rows may lie outside one's area."""

    NONE = 0  # nothing, not even that a row exists
    COUNTS = 1  # published counts, which are tables of their own; no row of these
    OWN = 2  # rows that are about the caller
    AREA = 3  # rows in the caller's areas
    COUNTY = 4  # every row


class Scope(StrEnum):
    """The database role that a caller's statements run as."""

    PUBLIC = "hub_public"
    OWN = "hub_own"
    AREA = "hub_area"
    COUNTY = "hub_county"

    @property
    def width(self) -> int:
        return tuple(Scope).index(self)


@dataclass(frozen=True)
class Right:
    """How far one role reaches within one noun. Writing is adding and changing; nothing is ever deleted."""

    read: Reach = Reach.NONE
    write: Reach = Reach.NONE


@dataclass(frozen=True)
class Noun:
    """Tables that are guarded alike, and the columns by which a row belongs to somebody or lies somewhere."""

    tables: tuple[str, ...]
    person: str | None = None  # the column that reach OWN looks at
    area: str | None = None  # the column that reach AREA looks at


@dataclass(frozen=True)
class Role:
    """One row of the table: what a role may do, noun by noun; a noun that is not named is not reached."""

    scope: Scope
    rights: Mapping[str, Right] = field(default_factory=dict)


@dataclass(frozen=True)
class Access:
    """The whole table."""

    nouns: Mapping[str, Noun]
    roles: Mapping[str, Role]
    public: str = "public"  # the role that everybody holds

    def __post_init__(self) -> None:
        for name, role in self.roles.items():
            if unknown := set(role.rights) - set(self.nouns):
                raise ValueError(f"role {name} has rights on {', '.join(sorted(unknown))}, which is no noun")
            for noun, right in role.rights.items():
                reaches = {right.read, right.write}
                if name == self.public and reaches & {Reach.OWN, Reach.AREA}:
                    raise ValueError(
                        f"the public is nobody and nowhere, so that it reaches nothing of its own in {noun}"
                    )
                widest = max(reaches)
                if widest > _WIDEST[role.scope]:
                    raise ValueError(
                        f"role {name} reaches {widest.name} in {noun}: farther than its scope {role.scope}"
                    )
                for reach, column in (("OWN", self.nouns[noun].person), ("AREA", self.nouns[noun].area)):
                    if Reach[reach] in reaches and column is None:
                        raise ValueError(f"role {name} reaches {reach} in {noun}, which names no column for it")
        tables = [table for noun in self.nouns.values() for table in noun.tables]
        if twice := {table for table in tables if tables.count(table) > 1}:
            raise ValueError(f"in two nouns at once: {', '.join(sorted(twice))}")

    def right(self, role: str, noun: str) -> Right:
        """What a role may do with a noun; never less than the public."""
        own = self.roles[role].rights.get(noun, Right())
        all_ = self.roles[self.public].rights.get(noun, Right())
        return Right(max(own.read, all_.read), max(own.write, all_.write))


_WIDEST = {Scope.PUBLIC: Reach.COUNTY, Scope.OWN: Reach.OWN, Scope.AREA: Reach.AREA, Scope.COUNTY: Reach.COUNTY}
# The public reaches COUNTY where a noun is public: there is nothing to narrow it to.

SEE = Right(read=Reach.COUNTY)

ACCESS = Access(
    nouns={
        "areas": Noun(
            (
                "sources",
                "areas",
                "area_names",
                "area_memberships",
                "area_boundaries",
                "area_figures",
                "waters",
                "counties",
                "sub_counties",
                "wards",
            )
        ),
        # What was done to this database: the hub must learn before anybody signs in whether a migration is due.
        "installation": Noun(("migrations", "migration_log")),
    },
    roles={
        # role           scope         areas         installation
        "public": Role(Scope.PUBLIC, {"areas": SEE, "installation": SEE}),
    },
)
