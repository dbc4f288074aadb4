"""Patrols: units that go out on beats, who is with them, where they went, and how much of it they covered.

Coverage and checkpoints are worked out by the database from where the devices were (migration 0011: `driven`,
`coverage`), whenever they are asked for: a fix that comes hours late counts from then on, and nothing goes stale.
"""

from __future__ import annotations

import datetime
from enum import Enum
from typing import Annotated, Any

import shapely
import strawberry
from shapely import MultiLineString, MultiPolygon
from shapely.geometry.base import BaseGeometry
from sqlalchemy import (
    REAL,
    Boolean,
    Column,
    Computed,
    Date,
    DateTime,
    Double,
    ForeignKey,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    case,
    func,
    insert,
    literal,
    literal_column,
    select,
    text,
    update,
)

from geo.columns import geometry
from geo.sql import bound, from_wkb, lines_of, point, thinned, web_zoom
from schema import periods
from schema.changing import REPEATED, id_of, locked, seen, signed_in
from schema.columns import demonstration, key, origin
from schema.compiler.aggregates import Spread, aggregate, group, measure, spread, totals
from schema.compiler.events import ChangeKind, changes
from schema.compiler.mapping import column, computed, entity, few, many, metadata, one, row, rows
from schema.compiler.nodes import Node
from schema.compiler.paging import Connection
from schema.compiler.writes import Change, stale, write
from schema.errors import CONSTRAINTS, BadUserInput, Conflict, Forbidden, NotFound
from schema.fleet import Department, Vehicle, department_called, vehicles
from schema.people import Person, people
from schema.scalars import AreaGeoJSON, GeoJSON, LineGeoJSON, Position

MOST_CHECKPOINTS = 40
MOST_MEMBERS = 20


units = Table(
    "units",
    metadata,
    key(),
    *origin(),
    Column("name", Text, nullable=False, unique=True),
    Column("call_sign", Text),
    Column("department_id", Uuid, ForeignKey("departments.id", ondelete="restrict")),
    demonstration(),
)

beats = Table(
    "beats",
    metadata,
    key(),
    *origin(),
    Column("name", Text, nullable=False, unique=True),
    geometry("area", "MULTIPOLYGON", nullable=True),
    geometry("line", "MULTILINESTRING", nullable=True),
    Column("retired_at", DateTime(timezone=True)),
    demonstration(),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    key(),
    Column("beat_id", Uuid, ForeignKey("beats.id", ondelete="restrict"), nullable=False),
    Column("name", Text, nullable=False),
    geometry("location", "POINT"),
    Column("radius_meters", REAL, nullable=False, server_default=text("50")),
    UniqueConstraint("beat_id", "name"),
)

patrols = Table(
    "patrols",
    metadata,
    key(),
    Column("reference", Text, nullable=False, unique=True),
    *origin(),
    Column("unit_id", Uuid, ForeignKey("units.id", ondelete="restrict"), nullable=False),
    Column("beat_id", Uuid, ForeignKey("beats.id", ondelete="restrict")),
    Column("vehicle_id", Uuid, ForeignKey("vehicles.id", ondelete="restrict")),
    Column("status", Text, nullable=False, server_default=text("'planned'::text")),
    Column("planned_start", DateTime(timezone=True), nullable=False),
    Column("planned_end", DateTime(timezone=True), nullable=False),
    Column("day", Date, Computed("((planned_start AT TIME ZONE 'Africa/Nairobi'::text))::date"), nullable=False),
    Column("started_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    geometry("route", "MULTILINESTRING", nullable=True),
    Column("buffer_meters", REAL, nullable=False, server_default=text("50")),
    Column("note", Text),
    demonstration(),
)

patrol_members = Table(
    "patrol_members",
    metadata,
    key(),
    Column("patrol_id", Uuid, ForeignKey("patrols.id", ondelete="restrict"), nullable=False),
    Column("person_id", Uuid, ForeignKey("people.id", ondelete="restrict"), nullable=False),
    Column("leads", Boolean, nullable=False, server_default=text("false")),
    UniqueConstraint("patrol_id", "person_id"),
)

patrol_coverages = Table(
    "patrol_coverages",
    metadata,
    Column("patrol_id", Uuid, primary_key=True),
    Column("buffer_meters", REAL, nullable=False),
    Column("planned_meters", Double),
    Column("covered_meters", Double),
    Column("ratio", Double),
    geometry("gaps", "MULTILINESTRING", nullable=True),
    Column("area_km2", Double),
    Column("covered_km2", Double, nullable=False),
    Column("area_ratio", Double),
    info={"view": True},
)

patrol_checkpoints = Table(
    "patrol_checkpoints",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("patrol_id", Uuid, nullable=False),
    Column("checkpoint_id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    geometry("location", "POINT"),
    Column("radius_meters", REAL, nullable=False),
    Column("visited_at", DateTime(timezone=True)),
    info={"view": True},
)


# -- vocabulary --------------------------------------------------------------------------------------------------------


@strawberry.enum(description="Where a patrol stands.")
class PatrolStatus(Enum):
    PLANNED = strawberry.enum_value("planned", description="It shall take place.")
    UNDER_WAY = strawberry.enum_value("under_way", description="It has begun: its members are on duty.")
    COMPLETED = strawberry.enum_value("completed", description="It has ended.")
    CANCELLED = strawberry.enum_value("cancelled", description="It does not take place.")


# -- entities ----------------------------------------------------------------------------------------------------------


@entity(checkpoints, order=("name",))
class Checkpoint(Node):
    """A place of a beat at which a patrol shall have been."""

    id: strawberry.ID = column("Key of the place, a UUIDv7.")
    name: str = column("What the place is called.")
    location: GeoJSON = column("Where it is, a Point.")
    radius_meters: float = column("How near counts as having been there, metres.")


@entity(beats, order=("name",))
class Beat(Node):
    """An area or a line that patrols keep an eye on, again and again."""

    id: strawberry.ID = column("Key of the beat, a UUIDv7.")
    name: str = column("What it is called.")
    version: int = column("Grows by one with each change.")
    area: GeoJSON | None = column("The area that is watched, a MultiPolygon; null where the beat is a line.")
    line: GeoJSON | None = column(
        "The streets or the shore that is walked, a MultiLineString; null where the beat is an area."
    )
    retired_at: datetime.datetime | None = column("When it was given up; null while it is patrolled.")
    demonstration: bool = column("True: it is none, and goes with the demonstration data.")
    checkpoints: list[Checkpoint] = few(
        f"Places at which a patrol shall have been, by name; at most {MOST_CHECKPOINTS}.",
        lambda beat, checkpoint: checkpoint.beat_id == beat.id,
        most=MOST_CHECKPOINTS,
    )


@entity(units, order=("name",))
class Unit(Node):
    """An enforcement unit that goes on patrol."""

    id: strawberry.ID = column("Key of the unit, a UUIDv7.")
    name: str = column("What it is called.")
    version: int = column("Grows by one with each change.")
    call_sign: str | None = column("What it is called on the radio.")
    demonstration: bool = column("True: it is none, and goes with the demonstration data.")
    department: Department | None = one(
        "The department that it belongs to.", lambda unit, department: department.id == unit.department_id
    )
    patrol: Patrol | None = one(
        "The patrol that it is out on now; null where it is not.",
        lambda unit, patrol: (patrol.unit_id == unit.id) & (patrol.status == literal_column("'under_way'")),
    )
    patrols: Connection[Patrol] = many(
        "Its patrols: ask for days by `day`.", lambda unit, patrol: patrol.unit_id == unit.id
    )


@entity(patrol_members)
class PatrolMember(Node):
    """Somebody on a patrol: on duty while it is under way."""

    id: strawberry.ID = column("Key of the membership, a UUIDv7.")
    leads: bool = column("Whether the person leads the patrol.")
    person: Person | None = one(
        "The person, where you may see them.", lambda member, person: person.id == member.person_id
    )


@entity(patrol_coverages)
class PatrolCoverage:
    """How much a patrol covered, from where its devices were. The way between two fixes is straight; a silence of over
    ten minutes breaks it, and doubtful fixes do not count. Worked out when it is asked for: late fixes count."""

    buffer_meters: float = column("How near counted as covered, metres.")
    planned_meters: float | None = column(
        "Length of its route in metres, each stretch once; null where it had none.", filterable=False
    )
    covered_meters: float | None = column("How much of the route was covered, metres.", filterable=False)
    ratio: float | None = column("Covered of planned metres, 0 to 1.", filterable=False)
    gaps: GeoJSON | None = column(
        "The stretches that nobody came near enough to, a MultiLineString; null where there are none.", filterable=False
    )
    area_km2: float | None = column(
        "Land of its beat's area, square kilometres; null where the beat has none.", filterable=False
    )
    covered_km2: float = column(
        "Land that lies near enough to where it went, square kilometres; in the beat's area, where it has one.",
        filterable=False,
    )
    area_ratio: float | None = column("Covered of the beat's land, 0 to 1.", filterable=False)


@entity(patrol_checkpoints, order=("name",))
class PatrolCheckpoint:
    """Whether a patrol was at a place at which it shall have been."""

    id: strawberry.ID = column("Key of it, the same for the same patrol and place.")
    name: str = column("What the place is called.")
    location: GeoJSON = column("Where it is, a Point.")
    radius_meters: float = column("How near counts as having been there, metres.")
    visited_at: datetime.datetime | None = column(
        "When the patrol first was that near; null: not yet, or never.", filterable=False
    )


_INFINITY: Any = literal_column("'infinity'::timestamptz")


@entity(patrols, order=("planned_start",))
class Patrol(Node):
    """A unit goes out on a beat."""

    id: strawberry.ID = column("Key of the patrol, a UUIDv7.")
    reference: str = column("What people say on the radio: `PAT-2026-000123`.")
    version: int = column("Grows by one with each change: send it as `expectedVersion`.")
    status: PatrolStatus = column("Where it stands.")
    day: datetime.date = column("The day on which it shall begin, in Kenya.")
    planned_start: datetime.datetime = column("When it shall begin.")
    planned_end: datetime.datetime = column("When it shall end.")
    started_at: datetime.datetime | None = column("When it began.")
    ended_at: datetime.datetime | None = column("When it ended.")
    buffer_meters: float = column("How near a way counts as covered, metres.")
    note: str | None = column("What is to be said of it.")
    demonstration: bool = column("True: it is none, and goes with the demonstration data.")
    route: GeoJSON | None = column(
        "The way that it shall take, a MultiLineString: its own, or the line of its beat; null where it has none."
    )
    unit: Unit | None = one("The unit that goes.", lambda patrol, unit: unit.id == patrol.unit_id)
    beat: Beat | None = one("The beat that it goes on.", lambda patrol, beat: beat.id == patrol.beat_id)
    vehicle: Vehicle | None = one(
        "What carries the devices that say where it is: a vehicle, or who goes on foot.",
        lambda patrol, vehicle: vehicle.id == patrol.vehicle_id,
    )
    members: list[PatrolMember] = few(
        f"Who is on it; at most {MOST_MEMBERS}.",
        lambda patrol, member: member.patrol_id == patrol.id,
        most=MOST_MEMBERS,
    )
    coverage: PatrolCoverage | None = one(
        "How much of its route and its beat it covered.",
        lambda patrol, coverage: coverage.patrol_id == patrol.id,
    )
    checkpoints: list[PatrolCheckpoint] = few(
        f"The places of its beat, by name, and when it was there; at most {MOST_CHECKPOINTS}.",
        lambda patrol, checkpoint: checkpoint.patrol_id == patrol.id,
        most=MOST_CHECKPOINTS,
    )

    @computed
    def track(
        patrol: Any,
        zoom: Annotated[
            float | None,
            strawberry.argument(
                description="Zoom of the map that shows it, 0 to 22: thinned to half a pixel. Default 14."
            ),
        ],
    ) -> GeoJSON | None:
        """Where it went, a MultiLineString, broken where it was silent for over ten minutes; null for nowhere."""
        went = func.driven(patrol.vehicle_id, patrol.started_at, func.coalesce(patrol.ended_at, _INFINITY))
        drawn = thinned(lines_of(went), web_zoom(zoom), "MULTILINESTRING")
        return case((~func.st_isempty(drawn), drawn))  # type: ignore[return-value]


@rows(Patrol)
def patrols_(patrol: Any) -> None:
    """Patrols that you may see, by their planned beginning unless ordered otherwise."""


@row(Patrol)
def patrol(
    patrol: Any,
    reference: Annotated[str | None, strawberry.argument(description="Its reference, such as `PAT-2026-000123`.")],
    id: Annotated[strawberry.ID | None, strawberry.argument(description="Its id.")],
) -> Any:
    """The patrol with this reference, or with this id; null where there is none that you may see."""
    if (reference is None) is (id is None):
        raise BadUserInput("patrol: send its reference or its id, one of them")
    return patrol.id == id if reference is None else patrol.reference == reference


@rows(Unit)
def units_(unit: Any) -> None:
    """Units that go on patrol, by name."""


@rows(Beat)
def beats_(beat: Any) -> None:
    """Beats, by name; those that were given up have `retiredAt`."""


_NOTHING: Any = literal_column("0::double precision", Double)
_SECONDS_OF_AN_HOUR: Any = literal_column("3600::double precision", Double)


def _seconds(patrol: Any) -> Any:
    out = patrol.ended_at - patrol.started_at
    return func.date_part(literal_column("'epoch'"), out, type_=Double)


def _of(patrol: Any, figure: str) -> Any:
    covered = patrol_coverages.alias()
    return select(covered.c[figure]).where(covered.c.patrol_id == patrol.id).scalar_subquery()


@aggregate(Patrol)
class PatrolStats:
    """How many patrols there were, and how much they covered; the caller counts what the caller may see."""

    day: datetime.date | None = group("Of one day, in Kenya.")
    week: datetime.date | None = group(
        "Of one week, in Kenya: its Monday.", lambda patrol: periods.week(patrol.planned_start)
    )
    month: datetime.date | None = group(
        "Of one month, in Kenya: its first day.", lambda patrol: periods.month(patrol.planned_start)
    )
    day_of_week: int | None = group(
        "Of one day of the week, in Kenya, 1 (Monday) to 7 (Sunday).",
        lambda patrol: periods.day_of_week(patrol.planned_start),
    )
    status: PatrolStatus | None = group("Of one status.")
    unit: Unit | None = group("Of one unit.", lambda patrol: patrol.unit_id)
    beat: Beat | None = group("On one beat; null: on none.", lambda patrol: patrol.beat_id)
    count: int = measure("How many.", lambda patrol: func.count())
    hours: float | None = measure(
        "Hours that they were out, of those that have ended.",
        lambda patrol: func.sum(_seconds(patrol)) / _SECONDS_OF_AN_HOUR,
    )
    units: int = measure("Of how many units.", lambda patrol: func.count(patrol.unit_id.distinct()))
    late_minutes: Spread = spread(
        "Minutes by which they began after they should, of those that began; before it: less than 0.",
        lambda patrol: periods.minutes(patrol.planned_start, patrol.started_at),
    )
    planned_meters: float | None = measure(
        "Length of their routes, metres.", lambda patrol: func.sum(_of(patrol, "planned_meters"))
    )
    covered_meters: float | None = measure(
        "How much of the routes was covered, metres.", lambda patrol: func.sum(_of(patrol, "covered_meters"))
    )
    ratio: float | None = measure(
        "Covered of planned metres, 0 to 1.",
        lambda patrol: (
            func.sum(_of(patrol, "covered_meters")) / func.nullif(func.sum(_of(patrol, "planned_meters")), _NOTHING)
        ),
    )


@totals(PatrolStats)
def patrol_stats(patrol: Any) -> None:
    """How many patrols you may see and what they covered, by day, unit, beat or status; the largest groups first."""


# -- events ------------------------------------------------------------------------------------------------------------


@strawberry.type(description="A patrol was planned, began, ended, or left your sight.")
class PatrolChange:
    cursor: str = strawberry.field(description="Where the event stands among all: resume with it as `after`.")
    change: ChangeKind = strawberry.field(description="What happened to it.")
    id: strawberry.ID = strawberry.field(description="The patrol's id.")
    at: datetime.datetime = strawberry.field(description="When the hub learned of the change.")
    patrol: Patrol | None = strawberry.field(
        description="The patrol as it is when the event is told; null when it is GONE."
    )


@changes(Patrol, PatrolChange, place="route", journalled={"patrols": "id", "patrol_members": "patrol_id"})
def patrol_changed(patrol: Any) -> None:
    """Patrols that you may see, as they are planned, begin and end: one event for each patrol in each change, in the
    order of their cursors. Where they are is told by `vehicleMoved`."""


# -- writes ------------------------------------------------------------------------------------------------------------


@strawberry.input(description="A new unit.")
class AddUnitInput:
    name: str = strawberry.field(description="What it is called, 2 to 120 letters.")
    call_sign: str | None = strawberry.field(description="What it is called on the radio.", default=None)
    department: str | None = strawberry.field(
        description="Name of the department that it belongs to; a new name makes a department.", default=None
    )
    client_mutation_id: str | None = strawberry.field(description=REPEATED, default=None)


@strawberry.type(description="The new unit.")
class AddUnitPayload:
    unit: Unit = strawberry.field(description="The unit.")


@strawberry.input(description="A place at which a patrol shall have been.")
class CheckpointInput:
    name: str = strawberry.field(description="What the place is called, 2 to 120 letters.")
    location: Position = strawberry.field(description="Where it is, `[longitude, latitude]`.")
    radius_meters: float = strawberry.field(
        description="How near counts as having been there, 10 to 1,000 metres.", default=50.0
    )


@strawberry.input(description="A new beat: an area or a line.")
class AddBeatInput:
    name: str = strawberry.field(description="What it is called, 2 to 120 letters.")
    area: AreaGeoJSON | None = strawberry.field(description="The area that is watched. Or send `line`.", default=None)
    line: LineGeoJSON | None = strawberry.field(
        description="The streets or the shore that is walked. Or send `area`.", default=None
    )
    checkpoints: list[CheckpointInput] = strawberry.field(
        description=f"Places at which a patrol shall have been; at most {MOST_CHECKPOINTS}.", default_factory=list
    )
    client_mutation_id: str | None = strawberry.field(description=REPEATED, default=None)


@strawberry.type(description="The new beat.")
class AddBeatPayload:
    beat: Beat = strawberry.field(description="The beat.")


@strawberry.input(description="A patrol that shall take place.")
class PlanPatrolInput:
    unit: strawberry.ID = strawberry.field(description="The unit that goes.")
    beat: strawberry.ID | None = strawberry.field(description="The beat that it goes on.", default=None)
    vehicle: strawberry.ID | None = strawberry.field(
        description="What carries the devices that say where it is: without one nothing can be covered.", default=None
    )
    planned_start: datetime.datetime = strawberry.field(description="When it shall begin.")
    planned_end: datetime.datetime = strawberry.field(description="When it shall end: at most 24 hours after it began.")
    route: LineGeoJSON | None = strawberry.field(
        description="The way that it shall take; left out: the line of its beat.", default=None
    )
    buffer_meters: float = strawberry.field(
        description="How near a way counts as covered, 5 to 500 metres.", default=50.0
    )
    members: list[strawberry.ID] = strawberry.field(
        description=f"Who is on it, the leader first; at most {MOST_MEMBERS}.", default_factory=list
    )
    note: str | None = strawberry.field(description="What is to be said of it, up to 2,000 letters.", default=None)
    client_mutation_id: str | None = strawberry.field(description=REPEATED, default=None)


@strawberry.type(description="The planned patrol.")
class PlanPatrolPayload:
    patrol: Patrol = strawberry.field(description="The patrol.")


@strawberry.input(description="A step of a patrol: it begins, ends, or is cancelled.")
class ChangePatrolStatusInput:
    id: strawberry.ID = strawberry.field(description="The patrol.")
    status: PatrolStatus = strawberry.field(
        description="PLANNED becomes UNDER_WAY or CANCELLED, UNDER_WAY becomes COMPLETED."
    )
    at: datetime.datetime | None = strawberry.field(
        description="When it began or ended, where that was earlier: at most 24 hours ago.", default=None
    )
    note: str | None = strawberry.field(description="What is to be said of it, up to 2,000 letters.", default=None)
    expected_version: int | None = strawberry.field(
        description="The version that you saw: an older one is refused with CONFLICT.", default=None
    )
    client_mutation_id: str | None = strawberry.field(description=REPEATED, default=None)


@strawberry.type(description="The patrol after the step.")
class ChangePatrolStatusPayload:
    patrol: Patrol = strawberry.field(description="The patrol.")


def _between(value: float, least: float, most: float, place: str) -> float:
    if not least <= value <= most:
        raise BadUserInput(f"{place} is {value:g}: send {least:g} to {most:g} metres")
    return value


def _text(value: str | None, least: int, most: int, place: str) -> str | None:
    said = (value or "").strip()
    if not said:
        return None
    if not least <= len(said) <= most:
        raise BadUserInput(f"{place} has {len(said)} letters: send {least} to {most:,}")
    return said


def _named(value: str, place: str) -> str:
    said = _text(value, 2, 120, place)
    if said is None:
        raise BadUserInput(f"{place} is empty: send 2 to 120 letters")
    return said


def _stored(shape: BaseGeometry, many_of: type[BaseGeometry]) -> Any:
    """A checked shape for a column of many."""
    whole = shape if isinstance(shape, many_of) else many_of([shape])
    return from_wkb(literal(shapely.to_wkb(whole), LargeBinary))


@write
async def add_unit(
    change: Change, input: Annotated[AddUnitInput, strawberry.argument(description="The unit.")]
) -> AddUnitPayload:
    """Add a unit that goes on patrol."""
    signed_in(change)
    values = {
        "name": _named(input.name, "input.name"),
        "call_sign": _text(input.call_sign, 2, 40, "input.callSign"),
        "department_id": await department_called(change, input.department),
    }
    made = await change.rows(insert(units).values(**values).returning(units.c.id))
    return {"unit": made[0]["id"]}  # type: ignore[return-value]


@write
async def add_beat(
    change: Change, input: Annotated[AddBeatInput, strawberry.argument(description="The beat.")]
) -> AddBeatPayload:
    """Add a beat: an area or a line, with the places at which a patrol shall have been."""
    signed_in(change)
    if (input.area is None) is (input.line is None):
        raise BadUserInput("input: send area or line, one of them")
    if len(input.checkpoints) > MOST_CHECKPOINTS:
        raise BadUserInput(f"input.checkpoints has {len(input.checkpoints)} places: at most {MOST_CHECKPOINTS}")
    values: dict[str, Any] = {"name": _named(input.name, "input.name")}
    if input.area is not None:
        values["area"] = _stored(input.area, MultiPolygon)
    if input.line is not None:
        values["line"] = _stored(input.line, MultiLineString)
    places = [
        {
            "name": _named(place.name, f"input.checkpoints[{at}].name"),
            "location": point(bound(place.location[0]), bound(place.location[1])),
            "radius_meters": _between(place.radius_meters, 10, 1000, f"input.checkpoints[{at}].radiusMeters"),
        }
        for at, place in enumerate(input.checkpoints)
    ]
    made = await change.rows(insert(beats).values(**values).returning(beats.c.id))
    for place in places:
        await change.rows(insert(checkpoints).values(beat_id=made[0]["id"], **place).returning(checkpoints.c.id))
    return {"beat": made[0]["id"]}  # type: ignore[return-value]


@write
async def plan_patrol(
    change: Change, input: Annotated[PlanPatrolInput, strawberry.argument(description="The patrol.")]
) -> PlanPatrolPayload:
    """Plan a patrol. What was planned is final once it began, so that what is measured against it stays."""
    signed_in(change)
    if len(input.members) > MOST_MEMBERS:
        raise BadUserInput(f"input.members has {len(input.members)} people: at most {MOST_MEMBERS}")
    values: dict[str, Any] = {
        "unit_id": await seen(change, units, input.unit, "input.unit", "a unit"),
        "planned_start": input.planned_start,
        "planned_end": input.planned_end,
        "buffer_meters": _between(input.buffer_meters, 5, 500, "input.bufferMeters"),
        "note": _text(input.note, 1, 2000, "input.note"),
    }
    if input.beat is not None:
        values["beat_id"] = await seen(change, beats, input.beat, "input.beat", "a beat")
    if input.vehicle is not None:
        values["vehicle_id"] = await seen(change, vehicles, input.vehicle, "input.vehicle", "a vehicle")
    if input.route is not None:
        values["route"] = _stored(input.route, MultiLineString)
    made = await change.rows(insert(patrols).values(**values).returning(patrols.c.id))
    for at, given in enumerate(input.members):
        person = await seen(change, people, given, f"input.members[{at}]", "a person")
        await change.rows(
            insert(patrol_members)
            .values(patrol_id=made[0]["id"], person_id=person, leads=at == 0)
            .returning(patrol_members.c.id)
        )
    return {"patrol": made[0]["id"]}  # type: ignore[return-value]


@write
async def change_patrol_status(
    change: Change, input: Annotated[ChangePatrolStatusInput, strawberry.argument(description="The step.")]
) -> ChangePatrolStatusPayload:
    """Say that a patrol begins, ends, or does not take place."""
    signed_in(change)
    key = id_of(input.id, "input.id", "a patrol")
    found = await locked(change, patrols, key, patrols.c.version, patrols.c.status, patrols.c.started_at)
    if not found:
        raise NotFound("There is no such patrol, or you may not change it.")
    present = found[0]
    stale(input.expected_version, present["version"], {"status": present["status"].upper()})
    now = datetime.datetime.now(datetime.UTC)
    at = input.at or now
    if not now - datetime.timedelta(hours=24) <= at <= now + datetime.timedelta(minutes=5):
        raise BadUserInput("input.at lies more than 24 hours ago, or ahead")
    values: dict[str, Any] = {"status": input.status.value}
    if input.status is PatrolStatus.UNDER_WAY:
        values["started_at"] = at
    if input.status is PatrolStatus.COMPLETED:
        if present["started_at"] is not None and at < present["started_at"]:
            raise BadUserInput(f"input.at lies before its beginning, {present['started_at'].isoformat()}")
        values["ended_at"] = at
    note = _text(input.note, 1, 2000, "input.note")
    if note is not None:
        values["note"] = note
    await change.rows(update(patrols).where(patrols.c.id == key).values(**values).returning(patrols.c.id))
    return {"patrol": key}  # type: ignore[return-value]


CONSTRAINTS.update(
    {
        "units_name_key": (Conflict, "input.name: there is a unit with this name"),
        "beats_name_key": (Conflict, "input.name: there is a beat with this name"),
        "checkpoints_once": (BadUserInput, "input.checkpoints: two places have the same name"),
        "patrols_plan": (BadUserInput, "input.plannedEnd: send a time after plannedStart, at most 24 hours later"),
        "patrols_transition": (
            Conflict,
            "input.status: PLANNED becomes UNDER_WAY or CANCELLED, UNDER_WAY becomes COMPLETED, and nothing else",
        ),
        "patrols_started": (
            Conflict,
            "input.status: PLANNED becomes UNDER_WAY or CANCELLED, UNDER_WAY becomes COMPLETED, and nothing else",
        ),
        "patrols_unit_once": (Conflict, "The unit is out on another patrol: that one must end first."),
        "patrols_vehicle_once": (Conflict, "The vehicle is out on another patrol: that one must end first."),
        "patrols_member_once": (Conflict, "A member is out on another patrol: that one must end first."),
        "patrol_members_once": (BadUserInput, "input.members names somebody twice"),
        "patrols_plan_final": (Forbidden, "What was planned is final once the patrol began."),
    }
)

ROOTS = (patrols_, patrol, patrol_stats, units_, beats_)
MUTATIONS = (add_unit, add_beat, plan_patrol, change_patrol_status)
SUBSCRIPTIONS = (patrol_changed,)
