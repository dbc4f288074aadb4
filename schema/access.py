"""Who may read and write what: one table of role x noun, from which policies, grants and the leak test are made.

A caller holds roles. The database knows only how far a caller reaches at most, the scope (`hub_public`, `hub_own`,
`hub_area`, `hub_county`): the hub takes the widest scope among the caller's roles and says who is asking in settings
(`hub.person`, `hub.areas`, `hub.roles`). What the public may do, everybody may; whoever is signed in holds the
citizen's rights besides. `hub_service` is nobody's: the hub itself takes it for its own chores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    SERVICE = "hub_service"  # the hub's own chores; no caller comes in it

    @property
    def width(self) -> int:
        return tuple(Scope).index(self)


@dataclass(frozen=True)
class Right:
    """How far one role reaches within one noun. Writing is adding and changing; what matters is never deleted."""

    read: Reach = Reach.NONE
    write: Reach = Reach.NONE


@dataclass(frozen=True)
class Noun:
    """Tables that are guarded alike, and the columns by which a row belongs to somebody or lies somewhere."""

    tables: tuple[str, ...]
    person: str | None = None  # the column that reach OWN looks at
    area: str | None = None  # the column that reach AREA looks at
    lies_in: str | None = None  # or, where no column says it: SQL that tells whether a row lies in one of {areas}
    through: tuple[str, str] | None = None  # or, for both, the column and the noun of the row that it belongs to
    passing: bool = False  # rows that are worth nothing after a while: whoever writes them may delete them
    audience: str | None = None  # the column that says whose changes these are: a journal, which roles hear, not read
    areas: str | None = None  # in a journal, the column with every area that a change touched
    columns: tuple[str, ...] = ()  # the columns that callers may read; none named: all of them
    views: tuple[str, ...] = ()  # views over tables of this table's nouns: they ask with the rights of who asks


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
    signed_in: str = "citizen"  # the role that everybody holds who is signed in

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
                through = self.nouns[noun].through
                place = self.nouns[noun].area or self.nouns[noun].lies_in or through
                for reach, column in (("OWN", self.nouns[noun].person or through), ("AREA", place)):
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

    @property
    def personal(self) -> tuple[str, ...]:
        """The roles that a person can be given."""
        return tuple(
            name for name, role in self.roles.items() if name != self.public and role.scope is not Scope.SERVICE
        )

    def alike(self, noun: str, scope: Scope, action: str) -> Reach:
        """How far everybody reaches who comes in a scope, whatever their roles: NONE where its roles differ."""
        held = {role for role, row in self.roles.items() if row.scope is scope} or {self.public}
        reaches: set[Reach] = {getattr(self.right(role, noun), action) for role in held}
        return reaches.pop() if len(reaches) == 1 else Reach.NONE

    def shown(self, viewers: Iterable[str], role: str) -> tuple[str, ...] | None:
        """What somebody with the roles `viewers` takes on to see what `role` sees, and nothing that they may not see
        themselves: a part of the role for each noun that they read all over the county. None: the role's scope alone
        would show them more than that."""
        viewers = tuple(viewers)

        def sees_all(noun: str) -> bool:
            return any(self.right(viewer, noun).read is Reach.COUNTY for viewer in viewers)

        seen = self.roles[role]
        if any(self.alike(noun, seen.scope, "read") > Reach.OWN and not sees_all(noun) for noun in self.nouns):
            return None
        heard = {
            noun for viewer in viewers for noun, reach in self.roles[viewer].hears.items() if reach is Reach.COUNTY
        }
        parts = [f"{role}{PART}{noun}" for noun in seen.rights if sees_all(noun)]
        if set(seen.hears) <= heard:
            parts += [f"{role}{PART}{noun}" for noun, row in self.nouns.items() if row.audience is not None]
        return tuple(sorted(parts))

    def is_asked_for(self, noun: str) -> bool:
        """Whether callers may read any row of it, so that questions of everybody may lead there."""
        return any(self.right(role, noun).read > Reach.COUNTS for role in (self.public, *self.personal))

    def widest(self, roles: Iterable[str]) -> Scope:
        """The scope that a caller with these roles comes in."""
        return max((self.roles[role].scope for role in roles), key=lambda scope: scope.width)


_WIDEST = {
    Scope.PUBLIC: Reach.COUNTY,  # where a noun is public: there is nothing to narrow it to
    Scope.OWN: Reach.OWN,
    Scope.AREA: Reach.AREA,
    Scope.COUNTY: Reach.COUNTY,
    Scope.SERVICE: Reach.COUNTY,
}

SEE = Right(read=Reach.COUNTY)
NEAR = Right(read=Reach.AREA)
SELF = Right(read=Reach.OWN)
MINE = Right(read=Reach.OWN, write=Reach.OWN)
TEND = Right(read=Reach.AREA, write=Reach.AREA)
KEEP = Right(read=Reach.COUNTY, write=Reach.COUNTY)

PART = "/"
"""`coordinator/people`: what a coordinator may read of people, and nothing else that a coordinator may."""

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
        "people": Noun(
            ("people",),
            person="id",
            lies_in="id in (select person_id from person_areas where until is null and area_id = any ({areas}))",
        ),
        "duties": Noun(
            ("person_roles",),
            person="person_id",
            lies_in="person_id in (select person_id from person_areas where until is null and area_id = any ({areas}))",
        ),
        "posts": Noun(("person_areas",), person="person_id", area="area_id"),
        "secrets": Noun(("credentials", "sign_ins", "invitations", "token_keys", "device_keys")),
        "failures": Noun(("sign_in_failures",), passing=True),
        "incidents": Noun(("incidents",), person="reported_by", area="ward_id"),
        # What incidents were: made from the journal, and written by nobody.
        "incident_history": Noun(("incident_versions",), person="reported_by", area="ward_id"),
        "timelines": Noun(("incident_entries",), through=("incident_id", "incidents")),
        "photos": Noun(("photos",), through=("incident_id", "incidents")),
        # Who told us: for those who must call back, and for nobody else.
        "callers": Noun(("incident_reporters",), through=("incident_id", "incidents")),
        "rules": Noun(("incident_transitions",)),
        # What the public may know of incidents: only what is published stands there, so that it is read by everybody.
        "counts": Noun(("incident_counts",)),
        "gazetteer": Noun(("landmarks",)),
        # Whether anything here is real.
        "demonstration": Noun(("demonstrations",)),
        "departments": Noun(("departments",)),
        "fleet": Noun(("vehicles", "devices", "quarantined_fixes")),
        "fleet_history": Noun(("vehicle_versions",)),
        # Who was where, at the wheel of what: personal data, beside the vehicles.
        "drivers": Noun(("vehicle_drivers",)),
        # Only take_fixes() writes there.
        "positions": Noun(("positions", "latest_positions")),
        "patrols": Noun(
            ("units", "beats", "checkpoints", "patrols", "patrol_members"),
            views=("patrol_coverages", "patrol_checkpoints"),
        ),
        # How often tables were written to: the hub adds up, and takes away what it added up.
        "stamps": Noun(("stamps",), passing=True),
        # Read and written by the functions that own them alone.
        "inner": Noun(("write_keys", "reference_numbers", "incident_tallies", "position_streams", "position_batches")),
    },
    roles={
        "public": Role(
            Scope.PUBLIC,
            {"areas": SEE, "installation": SEE, "rules": SEE, "counts": SEE, "gazetteer": SEE, "demonstration": SEE},
        ),
        # role                             scope         people          duties          posts
        "citizen": Role(
            Scope.OWN,
            {
                "people": SELF,
                "duties": SELF,
                "posts": SELF,
                "incidents": MINE,
                "timelines": MINE,
                "photos": MINE,
                "callers": MINE,
            },
        ),
        "field_officer": Role(
            Scope.AREA,
            {"incidents": TEND, "incident_history": NEAR, "timelines": TEND, "photos": TEND},
            hears=dict.fromkeys(("incidents", "timelines", "photos"), Reach.AREA),
        ),
        "ward_administrator": Role(
            Scope.AREA,
            {
                "people": NEAR,
                "duties": NEAR,
                "posts": NEAR,
                "incidents": TEND,
                "incident_history": NEAR,
                "timelines": TEND,
                "photos": TEND,
            },
            hears=dict.fromkeys(("incidents", "timelines", "photos"), Reach.AREA),
        ),
        "sub_county_administrator": Role(
            Scope.AREA,
            {
                "people": NEAR,
                "duties": NEAR,
                "posts": NEAR,
                "incidents": TEND,
                "incident_history": NEAR,
                "timelines": TEND,
                "photos": TEND,
            },
            hears=dict.fromkeys(("incidents", "timelines", "photos"), Reach.AREA),
        ),
        "dispatcher": Role(
            Scope.COUNTY,
            {
                "people": SEE,
                "duties": SEE,
                "posts": SEE,
                "incidents": KEEP,
                "incident_history": SEE,
                "timelines": KEEP,
                "photos": KEEP,
                "callers": KEEP,
                "departments": KEEP,
                "fleet": KEEP,
                "fleet_history": SEE,
                "drivers": KEEP,
                "positions": SEE,
                "patrols": KEEP,
            },
            hears=dict.fromkeys(("incidents", "timelines", "photos", "fleet", "drivers", "patrols"), Reach.COUNTY),
        ),
        "coordinator": Role(
            Scope.COUNTY,
            {
                "people": SEE,
                "duties": SEE,
                "posts": SEE,
                "incidents": KEEP,
                "incident_history": SEE,
                "timelines": KEEP,
                "photos": KEEP,
                "callers": KEEP,
                "departments": KEEP,
                "fleet": KEEP,
                "fleet_history": SEE,
                "drivers": SEE,
                "positions": SEE,
                "patrols": SEE,
            },
            hears=dict.fromkeys(("incidents", "timelines", "photos", "fleet", "drivers", "patrols"), Reach.COUNTY),
        ),
        "fleet_manager": Role(
            Scope.COUNTY,
            {
                # Whom they put at the wheel.
                "people": SEE,
                "duties": SEE,
                "posts": SEE,
                "incidents": SEE,
                "incident_history": SEE,
                "timelines": SEE,
                "photos": SEE,
                "departments": KEEP,
                "fleet": KEEP,
                "fleet_history": SEE,
                "drivers": KEEP,
                "positions": SEE,
                "patrols": SEE,
            },
            hears=dict.fromkeys(("fleet", "drivers", "patrols"), Reach.COUNTY),
        ),
        "enforcement_supervisor": Role(
            Scope.COUNTY,
            {
                # Whom they send on patrol.
                "people": SEE,
                "duties": SEE,
                "posts": SEE,
                "incidents": SEE,
                "incident_history": SEE,
                "timelines": SEE,
                "photos": SEE,
                "departments": KEEP,
                "fleet": SEE,
                "fleet_history": SEE,
                "drivers": SEE,
                "positions": SEE,
                "patrols": KEEP,
            },
            hears={"patrols": Reach.COUNTY},
        ),
        "planner": Role(
            Scope.COUNTY,
            {
                "incidents": SEE,
                "incident_history": SEE,
                "timelines": SEE,
                "photos": SEE,
                "departments": SEE,
                "fleet": SEE,
                "fleet_history": SEE,
                "positions": SEE,
                "patrols": SEE,
            },
        ),
        "auditor": Role(
            Scope.COUNTY,
            {
                "people": SEE,
                "duties": SEE,
                "posts": SEE,
                "incidents": SEE,
                "incident_history": SEE,
                "timelines": SEE,
                "photos": SEE,
                "departments": SEE,
                "fleet": SEE,
                "fleet_history": SEE,
                "drivers": SEE,
                "positions": SEE,
                "patrols": SEE,
            },
            hears=dict.fromkeys(
                ("people", "duties", "posts", "incidents", "timelines", "photos", "fleet", "drivers", "patrols"),
                Reach.COUNTY,
            ),
        ),
        "administrator": Role(
            Scope.COUNTY,
            {
                "people": KEEP,
                "duties": KEEP,
                "posts": KEEP,
                "incidents": KEEP,
                "incident_history": SEE,
                "timelines": KEEP,
                "photos": KEEP,
                "departments": KEEP,
                "fleet": KEEP,
                "fleet_history": SEE,
                "drivers": KEEP,
                "positions": SEE,
                "patrols": KEEP,
            },
            hears=dict.fromkeys(
                ("people", "duties", "posts", "incidents", "timelines", "photos", "fleet", "drivers", "patrols"),
                Reach.COUNTY,
            ),
        ),
        # Nobody's role: what the hub does by itself (signing in, sealing, and what an operator types on its machine).
        "service": Role(
            Scope.SERVICE,
            {
                "people": KEEP,
                "duties": KEEP,
                "posts": KEEP,
                "secrets": KEEP,
                "failures": KEEP,
                "sealing": SEE,
                "demonstration": KEEP,
                "stamps": KEEP,
            },
            hears={EVERYTHING: Reach.COUNTY},
        ),
    },
)
