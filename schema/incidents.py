"""Incidents: what happened where in the county, who deals with it, and how it went on.

Words are CAP 1.2's for severity, certainty and urgency. The state machine, the place in the county and the versions are
held by the database (migration 0004); what is said of people stands in a table of its own.
"""

from __future__ import annotations

import datetime
import uuid
from enum import Enum
from typing import Annotated, Any

import strawberry
from sqlalchemy import (
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from geo.columns import geometry
from geo.sql import bound, meters_between, point
from schema.areas import Ward, wards
from schema.changing import REPEATED, id_of, locked, signed_in
from schema.columns import as_dated, as_versions, key, origin, versions
from schema.compiler.events import ChangeKind, changes
from schema.compiler.mapping import column, computed, entity, few, many, metadata, one, row, rows
from schema.compiler.nearest import nearest
from schema.compiler.nodes import Node
from schema.compiler.paging import Connection
from schema.compiler.writes import Change, stale, write
from schema.errors import CONSTRAINTS, BadUserInput, Conflict, Forbidden, NotFound
from schema.fleet import NearestVehicle, Vehicle, latest_positions
from schema.landmarks import Landmark, NearestLandmark, landmarks
from schema.people import Person
from schema.photos import MOST_PHOTOS, Photo
from schema.scalars import GeoJSON, Position

write_keys = Table(
    "write_keys",
    metadata,
    key(),
    Column("person_id", Uuid, ForeignKey("people.id", ondelete="restrict")),
    Column("key", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("members", JSONB),
    Column("claimed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("person_id", "key"),
)

reference_numbers = Table(
    "reference_numbers",
    metadata,
    Column("series", Text, primary_key=True),
    Column("year", Integer, primary_key=True, autoincrement=False),
    Column("last", Integer, nullable=False),
)

incident_transitions = Table(
    "incident_transitions",
    metadata,
    key(),
    Column("from_status", Text, nullable=False),
    Column("to_status", Text, nullable=False),
    Column("note_needed", Boolean, nullable=False),
    UniqueConstraint("from_status", "to_status"),
)

incidents = Table(
    "incidents",
    metadata,
    key(),
    Column("reference", Text, nullable=False, unique=True),
    *origin(),
    Column("kind", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("description", Text),
    Column("severity", Text, nullable=False),
    Column("certainty", Text, nullable=False),
    Column("urgency", Text, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'reported'::text")),
    geometry("location", "POINT"),
    Column("place", Text),
    Column("ward_id", Uuid, ForeignKey("wards.id", ondelete="restrict")),
    Column("beyond_border", Boolean, nullable=False, server_default=text("false")),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("reported_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("source", Text, nullable=False),
    Column("reported_by", Uuid, ForeignKey("people.id", ondelete="restrict")),
    Column("precision", Text, nullable=False, server_default=text("'point'::text")),
)


incident_versions = versions(incidents, "incident_versions")


def _counted(name: str, key: Column[Any], *constraints: UniqueConstraint) -> Table:
    return Table(
        name,
        metadata,
        key,
        Column("ward_id", Uuid, ForeignKey("wards.id", ondelete="restrict")),
        Column("day", Date, nullable=False),
        Column("kind", Text, nullable=False),
        Column("count", Integer, nullable=False),
        *constraints,
    )


incident_tallies = _counted(
    "incident_tallies",
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    UniqueConstraint("ward_id", "day", "kind"),
)
incident_counts = _counted("incident_counts", Column("id", Uuid, primary_key=True))

incident_reporters = Table(
    "incident_reporters",
    metadata,
    key(),
    Column("incident_id", Uuid, ForeignKey("incidents.id", ondelete="restrict"), nullable=False, unique=True),
    Column("name", Text),
    Column("phone", Text),
)

incident_entries = Table(
    "incident_entries",
    metadata,
    key(),
    Column("incident_id", Uuid, ForeignKey("incidents.id", ondelete="restrict"), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("kind", Text, nullable=False),
    Column("from_status", Text),
    Column("to_status", Text),
    Column("note", Text),
    Column("actor_id", Uuid, ForeignKey("people.id", ondelete="restrict")),
)


# -- vocabulary --------------------------------------------------------------------------------------------------------


@strawberry.enum(description="What kind of thing happened.")
class IncidentKind(Enum):
    FLOOD = strawberry.enum_value(
        "flood", description="A river over its banks, backflow from the lake, standing water."
    )
    DROWNING = strawberry.enum_value("drowning", description="A person in the water.")
    BOAT_ACCIDENT = strawberry.enum_value("boat_accident", description="A boat capsized, adrift or missing.")
    FIRE = strawberry.enum_value("fire", description="A fire of any kind.")
    ROAD_CRASH = strawberry.enum_value("road_crash", description="A crash on a road, boda bodas included.")
    BUILDING_COLLAPSE = strawberry.enum_value("building_collapse", description="A building fell or is about to.")
    LANDSLIDE = strawberry.enum_value("landslide", description="Earth or rocks came down.")
    LIGHTNING = strawberry.enum_value("lightning", description="A strike that hurt or destroyed.")
    STORM = strawberry.enum_value("storm", description="Wind, hail or high waves.")
    DISEASE_OUTBREAK = strawberry.enum_value(
        "disease_outbreak", description="Several cases of one disease, such as cholera."
    )
    MEDICAL = strawberry.enum_value("medical", description="Somebody needs an ambulance.")
    MISSING_PERSON = strawberry.enum_value("missing_person", description="Somebody cannot be found.")
    WILD_ANIMAL = strawberry.enum_value(
        "wild_animal", description="A hippo, crocodile, snake or other animal among people."
    )
    PUBLIC_DISORDER = strawberry.enum_value(
        "public_disorder", description="A crowd that may turn, or has turned, violent."
    )
    CRIME = strawberry.enum_value("crime", description="A crime that needs a response on the spot.")
    HAZARDOUS_SPILL = strawberry.enum_value("hazardous_spill", description="Fuel, chemicals or sewage spilled.")
    POWER_FAILURE = strawberry.enum_value("power_failure", description="Electricity failed or endangers.")
    WATER_FAILURE = strawberry.enum_value("water_failure", description="Water supply failed or is unsafe.")
    BLOCKED_ROAD = strawberry.enum_value("blocked_road", description="A road or bridge that cannot be passed.")
    OTHER = strawberry.enum_value("other", description="None of these.")


@strawberry.enum(description="How bad it is: CAP 1.2 severity.")
class Severity(Enum):
    EXTREME = strawberry.enum_value("extreme", description="Extraordinary threat to life or property.")
    SEVERE = strawberry.enum_value("severe", description="Significant threat to life or property.")
    MODERATE = strawberry.enum_value("moderate", description="Possible threat to life or property.")
    MINOR = strawberry.enum_value("minor", description="Minimal or no known threat.")
    UNKNOWN = strawberry.enum_value("unknown", description="Not known.")


@strawberry.enum(description="How sure it is: CAP 1.2 certainty.")
class Certainty(Enum):
    OBSERVED = strawberry.enum_value("observed", description="It happened, or is happening.")
    LIKELY = strawberry.enum_value("likely", description="More likely than not.")
    POSSIBLE = strawberry.enum_value("possible", description="Possible, but not likely.")
    UNLIKELY = strawberry.enum_value("unlikely", description="Not expected.")
    UNKNOWN = strawberry.enum_value("unknown", description="Not known.")


@strawberry.enum(description="How soon something must be done: CAP 1.2 urgency.")
class Urgency(Enum):
    IMMEDIATE = strawberry.enum_value("immediate", description="At once.")
    EXPECTED = strawberry.enum_value("expected", description="Within the hour.")
    FUTURE = strawberry.enum_value("future", description="In the near future.")
    PAST = strawberry.enum_value("past", description="No longer.")
    UNKNOWN = strawberry.enum_value("unknown", description="Not known.")


@strawberry.enum(description="Where an incident stands.")
class IncidentStatus(Enum):
    REPORTED = strawberry.enum_value("reported", description="Told to the hub, not checked yet.")
    VERIFIED = strawberry.enum_value("verified", description="Checked: it is so.")
    RESPONDING = strawberry.enum_value("responding", description="Somebody is dealing with it.")
    CONTAINED = strawberry.enum_value("contained", description="It no longer grows.")
    CLOSED = strawberry.enum_value("closed", description="Nothing is left to do.")
    REJECTED = strawberry.enum_value("rejected", description="It was not so, or is another incident.")


@strawberry.enum(description="By which way an incident came to the hub.")
class IncidentSource(Enum):
    PUBLIC = strawberry.enum_value("public", description="Somebody from the public.")
    PHONE = strawberry.enum_value("phone", description="A call to the centre.")
    RADIO = strawberry.enum_value("radio", description="A radio message.")
    FIELD = strawberry.enum_value("field", description="An officer on the spot.")
    PARTNER = strawberry.enum_value("partner", description="A partner, such as the Red Cross.")
    SENSOR = strawberry.enum_value("sensor", description="A gauge or another device.")


@strawberry.enum(description="How exactly the place of an incident is known.")
class IncidentPrecision(Enum):
    POINT = strawberry.enum_value("point", description="A point on a map or of a device.")
    LANDMARK = strawberry.enum_value("landmark", description="Near a landmark.")
    WARD = strawberry.enum_value("ward", description="Somewhere in a ward; the point is the one of its label.")


@strawberry.enum(description="What an entry of a timeline records.")
class IncidentEntryKind(Enum):
    REPORTED = strawberry.enum_value("reported", description="The incident was reported.")
    STATUS = strawberry.enum_value("status", description="Its status changed.")
    EDITED = strawberry.enum_value("edited", description="What is known of it changed.")
    NOTE = strawberry.enum_value("note", description="Somebody wrote something down.")


# -- entities ----------------------------------------------------------------------------------------------------------


@entity(incident_entries, order=("at",), history=as_dated(incident_entries, "at"))
class IncidentEntry(Node):
    """One line of an incident's timeline."""

    id: strawberry.ID = column("Key of the entry, a UUIDv7.")
    at: datetime.datetime = column("When it was done.")
    kind: IncidentEntryKind = column("What it records.")
    from_status: IncidentStatus | None = column("Status before, for a change of status.")
    to_status: IncidentStatus | None = column("Status after, for a change of status.")
    note: str | None = column("Why, in words.")
    actor: Person | None = one("Who did it, where you may see them.", lambda entry, person: person.id == entry.actor_id)


@entity(incident_reporters)
class IncidentReporter:
    """Who told us. Personal data: only those who must call back see it."""

    name: str | None = column("Name as given.", filterable=False)
    phone: str | None = column("Number as given.", filterable=False)


@entity(incidents, order=("reported_at",), history=as_versions(incidents, incident_versions))
class Incident(Node):
    """Something that happened and that the county deals with."""

    id: strawberry.ID = column("Key of the incident, a UUIDv7.")
    reference: str = column("What people say on the radio: `INC-2026-000123`.")
    version: int = column("Grows by one with each change: send it as `expectedVersion`.")
    kind: IncidentKind = column("What kind of thing happened.")
    title: str = column("The incident in a line.")
    description: str | None = column("What is known, in words.")
    severity: Severity = column("How bad it is.")
    certainty: Certainty = column("How sure it is.")
    urgency: Urgency = column("How soon something must be done.")
    status: IncidentStatus = column("Where it stands.")
    location: GeoJSON = column("Where it happened, a Point.")
    place: str | None = column("The place in words: a landmark, a road, a beach.")
    precision: IncidentPrecision = column("How exactly the place is known.")
    beyond_border: bool = column("Whether it lies outside of the county, at most 2 km.")
    occurred_at: datetime.datetime = column("When it happened, as far as it is known.")
    reported_at: datetime.datetime = column("When the hub learned it.")
    source: IncidentSource = column("By which way it came.")
    ward: Ward | None = one(
        "The ward that held the place on the day it happened; null on the lake and beyond the border.",
        lambda incident, ward: ward.id == incident.ward_id,
    )
    reported_by: Person | None = one(
        "Who entered it, where you may see them.", lambda incident, person: person.id == incident.reported_by
    )
    reporter: IncidentReporter | None = one(
        "Who told us, for those who must call back.",
        lambda incident, reporter: reporter.incident_id == incident.id,
    )
    timeline: Connection[IncidentEntry] = many(
        "What was done, oldest first.", lambda incident, entry: entry.incident_id == incident.id
    )
    photos: list[Photo] = few(
        "What it looks like, oldest photo first; at most 20. `POST /incidents/{id}/photos` adds one.",
        lambda incident, photo: (photo.incident_id == incident.id) & photo.erased_at.is_(None),
        most=MOST_PHOTOS,
    )

    @nearest(NearestVehicle, Vehicle, positions=latest_positions, belongs="vehicle_id", at="location")
    def nearest_vehicles(vehicle: Any) -> None:
        """The vehicles whose latest position is nearest to the incident, nearest first: of those that can be sent by
        `where: { status: { eq: AVAILABLE } }`."""

    @nearest(NearestLandmark, Landmark, at="location")
    def nearest_landmarks(landmark: Any) -> None:
        """The landmarks nearest to the incident, nearest first: `where: { kind: { eq: HOSPITAL } }`."""

    @computed
    def distance_meters(
        incident: Any,
        from_: Annotated[
            Position, strawberry.argument(name="from", description="Where to measure from, `[longitude, latitude]`.")
        ],
    ) -> float:
        """Metres from a place to the incident."""
        return meters_between(incident.location, from_)


@entity(incident_counts, order=("day", "kind"))
class IncidentCount:
    """A published count of incidents: of one kind, in one ward, on one day. Counts under five are withheld."""

    id: strawberry.ID = column("Key of the count, by chance.")
    ward: Ward | None = one(
        "The ward; null: on the lake or beyond the border.", lambda counted, ward: ward.id == counted.ward_id
    )
    day: datetime.date = column("The day on which they happened, in Kenya.")
    kind: IncidentKind = column("What kind of thing happened.")
    count: int = column("How many, but for the rejected ones; five at least.")


@rows(IncidentCount)
def incident_counts_(counted: Any) -> None:
    """How many incidents there were, for everybody: of five and more of a kind in a ward on a day."""


@rows(Incident)
def incidents_(incident: Any) -> None:
    """Incidents that you may see, oldest first unless ordered otherwise."""


@row(Incident)
def incident(
    incident: Any,
    reference: Annotated[str | None, strawberry.argument(description="Its reference, such as `INC-2026-000123`.")],
    id: Annotated[strawberry.ID | None, strawberry.argument(description="Its id.")],
) -> Any:
    """The incident with this reference, or with this id; null where there is none that you may see."""
    if (reference is None) is (id is None):
        raise BadUserInput("incident: send its reference or its id, one of them")
    return incident.id == id if reference is None else incident.reference == reference


# -- writes ------------------------------------------------------------------------------------------------------------


@strawberry.input(description="What is known of a new incident.")
class ReportIncidentInput:
    kind: IncidentKind = strawberry.field(description="What kind of thing happened.")
    title: str = strawberry.field(description="The incident in a line, 3 to 200 letters.")
    location: Position | None = strawberry.field(
        description="Where, `[longitude, latitude]`: in the county, on its lake, or at most 2 km outside. "
        "This, a landmark or a ward is needed.",
        default=None,
    )
    landmark: strawberry.ID | None = strawberry.field(description="Or near which landmark, by its id.", default=None)
    ward: str | None = strawberry.field(description="Or in which ward, by its IEBC code: `1208`.", default=None)
    severity: Severity = strawberry.field(description="How bad it is.", default=Severity.UNKNOWN)
    certainty: Certainty = strawberry.field(description="How sure it is.", default=Certainty.UNKNOWN)
    urgency: Urgency = strawberry.field(description="How soon something must be done.", default=Urgency.UNKNOWN)
    description: str | None = strawberry.field(description="What is known, at most 5,000 letters.", default=None)
    place: str | None = strawberry.field(description="The place in words, at most 200 letters.", default=None)
    occurred_at: datetime.datetime | None = strawberry.field(
        description="When it happened; without it: now. Not in the future.", default=None
    )
    source: IncidentSource = strawberry.field(description="By which way it came.", default=IncidentSource.FIELD)
    reporter_name: str | None = strawberry.field(description="Who told us, to call back.", default=None)
    reporter_phone: str | None = strawberry.field(description="Their number, to call back.", default=None)
    client_mutation_id: str | None = strawberry.field(description=REPEATED, default=None)


@strawberry.type(description="The incident that was reported.")
class ReportIncidentPayload:
    incident: Incident = strawberry.field(description="The incident.")


@strawberry.input(description="A step of an incident's state machine.")
class ChangeIncidentStatusInput:
    id: strawberry.ID = strawberry.field(description="The incident.")
    status: IncidentStatus = strawberry.field(description="What it becomes.")
    note: str | None = strawberry.field(
        description="Why. Needed to reject, to reopen, and to close what was never responded to.", default=None
    )
    expected_version: int | None = strawberry.field(
        description="The version that you saw: an older one is refused with CONFLICT.", default=None
    )
    client_mutation_id: str | None = strawberry.field(description=REPEATED, default=None)


@strawberry.type(description="The incident after the step.")
class ChangeIncidentStatusPayload:
    incident: Incident = strawberry.field(description="The incident.")


@strawberry.input(description="What is known better now; what is left out stays.")
class EditIncidentInput:
    id: strawberry.ID = strawberry.field(description="The incident.")
    expected_version: int = strawberry.field(
        description="The version that you saw: an older one is refused with CONFLICT."
    )
    kind: IncidentKind | None = strawberry.field(description="What kind of thing happened.", default=strawberry.UNSET)
    title: str | None = strawberry.field(description="The incident in a line.", default=strawberry.UNSET)
    description: str | None = strawberry.field(description="What is known; null: nothing.", default=strawberry.UNSET)
    severity: Severity | None = strawberry.field(description="How bad it is.", default=strawberry.UNSET)
    certainty: Certainty | None = strawberry.field(description="How sure it is.", default=strawberry.UNSET)
    urgency: Urgency | None = strawberry.field(description="How soon something must be done.", default=strawberry.UNSET)
    location: Position | None = strawberry.field(
        description="Where, `[longitude, latitude]`.", default=strawberry.UNSET
    )
    place: str | None = strawberry.field(description="The place in words; null: none.", default=strawberry.UNSET)
    occurred_at: datetime.datetime | None = strawberry.field(description="When it happened.", default=strawberry.UNSET)
    note: str | None = strawberry.field(description="Why it is changed.", default=None)
    client_mutation_id: str | None = strawberry.field(description=REPEATED, default=None)


@strawberry.type(description="The incident after the change.")
class EditIncidentPayload:
    incident: Incident = strawberry.field(description="The incident.")


@strawberry.input(description="Something to write down.")
class NoteOnIncidentInput:
    id: strawberry.ID = strawberry.field(description="The incident.")
    note: str = strawberry.field(description="The note, at most 2,000 letters.")
    client_mutation_id: str | None = strawberry.field(description=REPEATED, default=None)


@strawberry.type(description="The incident with the note in its timeline.")
class NoteOnIncidentPayload:
    incident: Incident = strawberry.field(description="The incident.")


def _said(value: str | None, place: str, most: int, least: int = 1) -> str | None:
    """A text without blanks around it; None where nothing was said."""
    text = (value or "").strip()
    if not text:
        if value is None or least == 1:
            return None
        raise BadUserInput(f"{place} is empty: send {least} to {most:,} letters")
    if not least <= len(text) <= most:
        raise BadUserInput(f"{place} has {len(text):,} letters: send {least} to {most:,}")
    return text


def _moment(value: datetime.datetime | None, place: str) -> datetime.datetime | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise BadUserInput(f"{place} says no time zone: end it with Z or +03:00")
    if value.year < 1970:
        raise BadUserInput(f"{place} lies before 1970")
    return value


async def _entry(change: Change, incident_id: Any, kind: str, note: str | None, **steps: str) -> None:
    entry = {"incident_id": incident_id, "kind": kind, "note": note, "actor_id": change.person, **steps}
    await change.rows(insert(incident_entries).values(**entry))


async def _locked(change: Change, id: str, expected: int | None) -> Any:
    """The incident, locked for this change. Hidden and absent ones are answered alike."""
    columns = (incidents.c.id, incidents.c.version, incidents.c.status, incidents.c.title, incidents.c.severity)
    found = await locked(change, incidents, id_of(id, "input.id", "an incident"), *columns)
    if not found:
        raise NotFound("There is no such incident, or you may not change it.")
    present = found[0]
    shown = {"status": present["status"].upper(), "title": present["title"], "severity": present["severity"].upper()}
    stale(expected, present["version"], shown)
    return present


async def _placed(change: Change, input: ReportIncidentInput) -> dict[str, Any]:
    """Where a new incident lies, however it was said."""
    said = [name for name in ("location", "landmark", "ward") if getattr(input, name) is not None]
    if len(said) != 1:
        given = " and ".join(f"input.{name}" for name in said) or "no place"
        raise BadUserInput(f"{given} given: say where by one of input.location, input.landmark and input.ward")
    if input.location is not None:
        longitude, latitude = input.location
        return {"location": point(bound(longitude), bound(latitude)), "precision": "point"}
    if input.landmark is not None:
        key = id_of(input.landmark, "input.landmark", "a landmark")
        found = await change.rows(select(landmarks.c.name).where(landmarks.c.id == key))
        if not found:
            raise NotFound("input.landmark: there is no such landmark; `landmarks` lists them")
        near = select(landmarks.c.location).where(landmarks.c.id == key).scalar_subquery()
        return {
            "location": near,
            "precision": "landmark",
            "place": _said(input.place, "input.place", 200) or found[0]["name"],
        }
    code = input.ward if input.ward and input.ward.isascii() and input.ward.isdecimal() else ""
    if not await change.rows(select(wards.c.id).where(wards.c.code == code)):
        raise NotFound("input.ward: there is no such ward; codes go from 1186 to 1220")
    middle = select(wards.c.label_point).where(wards.c.code == code).scalar_subquery()
    return {"location": middle, "precision": "ward"}


@write
async def report_incident(
    change: Change,
    input: Annotated[ReportIncidentInput, strawberry.argument(description="What is known.")],
) -> ReportIncidentPayload:
    """Report an incident. It gets its reference and its ward, and begins as REPORTED."""
    person = signed_in(change)
    now = datetime.datetime.now(datetime.UTC)
    values = {
        "kind": input.kind.value,
        "title": _said(input.title, "input.title", 200, 3),
        "description": _said(input.description, "input.description", 5000),
        "severity": input.severity.value,
        "certainty": input.certainty.value,
        "urgency": input.urgency.value,
        "place": _said(input.place, "input.place", 200),
        "occurred_at": _moment(input.occurred_at, "input.occurredAt") or now,
        "source": input.source.value,
        "reported_by": uuid.UUID(person),
        **await _placed(change, input),
    }
    made = await change.rows(insert(incidents).values(**values).returning(incidents.c.id))
    id = made[0]["id"]
    name = _said(input.reporter_name, "input.reporterName", 200)
    phone = _said(input.reporter_phone, "input.reporterPhone", 30)
    if name or phone:
        await change.rows(insert(incident_reporters).values(incident_id=id, name=name, phone=phone))
    await _entry(change, id, "reported", None)
    return {"incident": id}  # type: ignore[return-value]


@write
async def change_incident_status(
    change: Change,
    input: Annotated[ChangeIncidentStatusInput, strawberry.argument(description="The step.")],
) -> ChangeIncidentStatusPayload:
    """Take an incident one step on: verify, respond, contain, close, reject, reopen."""
    signed_in(change)
    present = await _locked(change, input.id, input.expected_version)
    before, after = str(present["status"]), str(input.status.value)
    steps = incident_transitions.c
    possible = {
        each["to_status"]: each["note_needed"]
        for each in await change.rows(select(steps.to_status, steps.note_needed).where(steps.from_status == before))
    }
    if after not in possible:
        names = ", ".join(sorted(each.upper() for each in possible))
        raise Conflict(f"input.status: an incident that is {before.upper()} becomes {names}, not {after.upper()}.")
    note = _said(input.note, "input.note", 2000)
    if possible[after] and note is None:
        raise BadUserInput(
            f"input.note is missing: say why an incident that is {before.upper()} becomes {after.upper()}"
        )
    await change.rows(update(incidents).where(incidents.c.id == present["id"]).values(status=after))
    await _entry(change, present["id"], "status", note, from_status=before, to_status=after)
    return {"incident": present["id"]}  # type: ignore[return-value]


@write
async def edit_incident(
    change: Change,
    input: Annotated[EditIncidentInput, strawberry.argument(description="What is known better.")],
) -> EditIncidentPayload:
    """Correct what is known of an incident. What is left out stays as it is."""
    signed_in(change)
    present = await _locked(change, input.id, input.expected_version)
    values: dict[str, Any] = {}
    for name in ("kind", "severity", "certainty", "urgency"):
        value = getattr(input, name)
        if value is None:
            raise BadUserInput(f"input.{name} is null: leave it out to keep it")
        if value is not strawberry.UNSET:
            values[name] = value.value
    if input.title is not strawberry.UNSET:
        values["title"] = _said(input.title or "", "input.title", 200, 3)
    for name, most in (("description", 5000), ("place", 200)):
        if getattr(input, name) is not strawberry.UNSET:
            values[name] = _said(getattr(input, name), f"input.{name}", most)
    if input.location is None or input.occurred_at is None:
        raise BadUserInput("input.location and input.occurredAt cannot be null: leave them out to keep them")
    if input.location is not strawberry.UNSET:
        longitude, latitude = input.location
        values |= {"location": point(bound(longitude), bound(latitude)), "precision": "point"}
    if input.occurred_at is not strawberry.UNSET:
        values["occurred_at"] = _moment(input.occurred_at, "input.occurredAt")
    if not values:
        raise BadUserInput("input changes nothing: send at least one field beside id and expectedVersion")
    await change.rows(update(incidents).where(incidents.c.id == present["id"]).values(**values))
    await _entry(change, present["id"], "edited", _said(input.note, "input.note", 2000))
    return {"incident": present["id"]}  # type: ignore[return-value]


@write
async def note_on_incident(
    change: Change,
    input: Annotated[NoteOnIncidentInput, strawberry.argument(description="The note.")],
) -> NoteOnIncidentPayload:
    """Write something down on an incident's timeline."""
    signed_in(change)
    present = await _locked(change, input.id, None)
    note = _said(input.note, "input.note", 2000)
    if note is None:
        raise BadUserInput("input.note is empty")
    await _entry(change, present["id"], "note", note)
    return {"incident": present["id"]}  # type: ignore[return-value]


CONSTRAINTS.update(
    {
        "incidents_location_in_county": (
            BadUserInput,
            "input.location lies more than 2 km outside of the county: send a place in it, on its lake, or close by",
        ),
        "incidents_occurred_before": (BadUserInput, "input.occurredAt lies in the future"),
        "incidents_transition": (Conflict, "input.status: the incident does not become that; somebody was faster"),
        "incident_reporters_phone_form": (
            BadUserInput,
            "input.reporterPhone: send 5 to 30 digits, blanks, brackets and hyphens, with + in front if there is one",
        ),
        "incidents_identity": (Forbidden, "What an incident is does not change."),
    }
)

ROOTS = (incidents_, incident, incident_counts_)
MUTATIONS = (report_incident, change_incident_status, edit_incident, note_on_incident)


# -- events ------------------------------------------------------------------------------------------------------------


@strawberry.type(description="An incident was reported, changed, or left your sight.")
class IncidentChange:
    cursor: str = strawberry.field(description="Where the event stands among all: resume with it as `after`.")
    change: ChangeKind = strawberry.field(description="What happened to it.")
    id: strawberry.ID = strawberry.field(description="The incident's id.")
    at: datetime.datetime = strawberry.field(description="When the hub learned of the change.")
    incident: Incident | None = strawberry.field(
        description="The incident as it is when the event is told; null when it is GONE."
    )


@changes(
    Incident,
    IncidentChange,
    place="location",
    # Who told us is left out: that there is somebody must not show.
    journalled={"incidents": "id", "incident_entries": "incident_id", "photos": "incident_id"},
)
def incident_changed(incident: Any) -> None:
    """Incidents that you may see, as they are reported and changed: one event for each incident in each change, in the
    order of their cursors. Resumed with `after: cursor` nothing is lost; what cannot be resumed is refused with
    `reason: RESYNC`: read everything anew then."""


SUBSCRIPTIONS = (incident_changed,)
