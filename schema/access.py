"""Who may read and write what: one table of role x noun, from which policies, grants and the leak test are made.

A caller holds roles. The database knows only how far a caller reaches at most, the scope (`hub_public`, `hub_own`,
`hub_area`, `hub_county`): the hub takes the widest scope among the caller's roles and says who is asking in settings
(`hub.person`, `hub.areas`, `hub.roles`). What the public may do, everybody may. The hub's own chores run in a scope of
their own (`hub_service`), which no caller ever gets and which takes in none of the others.
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
    SERVICE = "hub_service"  # the hub itself, on nobody's behalf

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
    audience: str | None = None  # the column that says whose changes these are: a journal, which roles hear, not read
    areas: str | None = None  # in a journal, the column with every area that a change touched
    columns: tuple[str, ...] = ()  # the columns that callers may read; none named: all of them


@dataclass(frozen=True)
class Role:
    """One row of the table: what a role may do, noun by noun; a noun that is not named is not reached."""

    scope: Scope
    rights: Mapping[str, Right] = field(default_factory=dict)
    hears: Mapping[str, Reach] = field(default_factory=dict)
    """Of which noun's changes the journal tells the role, and where: AREA or COUNTY. A noun's name is the audience of
    its journal rows. Apart from the rights, because what a row was may be for fewer eyes than what it is."""


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
                if self.nouns[noun].audience is not None:
                    raise ValueError(f"{noun} is heard, not read: say of whose changes role {name} hears")
            self._check_hearing(name, role)
        tables = [table for noun in self.nouns.values() for table in noun.tables]
        if twice := {table for table in tables if tables.count(table) > 1}:
            raise ValueError(f"in two nouns at once: {', '.join(sorted(twice))}")

    def _check_hearing(self, name: str, role: Role) -> None:
        if unknown := set(role.hears) - set(self.nouns) - {EVERYTHING}:
            raise ValueError(f"role {name} hears of {', '.join(sorted(unknown))}, which is no noun")
        if name == self.public and role.hears:
            raise ValueError("the public hears nothing: what was changed, by whom, is not public")
        for noun, reach in role.hears.items():
            if reach not in {Reach.AREA, Reach.COUNTY}:
                raise ValueError(f"role {name} hears of {noun} as {reach.name}: a change has areas, and no owner")
            if reach > _WIDEST[role.scope]:
                raise ValueError(f"role {name} hears of {noun} as {reach.name}: farther than its scope {role.scope}")

    def right(self, role: str, noun: str) -> Right:
        """What a role may do with a noun; never less than the public."""
        own = self.roles[role].rights.get(noun, Right())
        all_ = self.roles[self.public].rights.get(noun, Right())
        return Right(max(own.read, all_.read), max(own.write, all_.write))


_WIDEST = {
    Scope.PUBLIC: Reach.COUNTY,  # where a noun is public: there is nothing to narrow it to
    Scope.OWN: Reach.OWN,
    Scope.AREA: Reach.AREA,
    Scope.COUNTY: Reach.COUNTY,
    Scope.SERVICE: Reach.COUNTY,
}

SEE = Right(read=Reach.COUNTY)

EVERYTHING = "*"
"""In `hears`: the changes of every noun."""

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
        # What was done to this database: the hub must learn before anybody signs in whether a migration is due. And
        # which hub it is: the letter in a reference says where a thing was reported.
        "installation": Noun(("migrations", "migration_log", "nodes")),
        # What was changed. The salt stays behind: with it, what was erased could be guessed from its hash.
        "journal": Noun(
            ("journal",),
            audience="audience",
            areas="areas",
            columns=(
                "node",
                "entry",
                "hlc",
                "effective_at",
                "recorded_at",
                "actor",
                "tbl",
                "object_id",
                "op",
                "before",
                "after",
                "areas",
                "audience",
                "schema_version",
                "arrived_at",
            ),
        ),
        # In which order it was changed, and the proof. Only seal() writes there.
        "sealing": Noun(("journalled", "chain", "cursors", "sealer_state", "epochs")),
    },
    roles={
        # role            scope         areas         installation
        "public": Role(Scope.PUBLIC, {"areas": SEE, "installation": SEE}),
        # The hub's own chores: sealing, proving, handing out what was sealed.
        "service": Role(Scope.SERVICE, {"sealing": SEE}, hears={EVERYTHING: Reach.COUNTY}),
    },
)
