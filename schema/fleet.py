"""The fleet: the county's vehicles and boats, the devices in them, and where they are and were.

Positions come in by `hub/intake` and never through GraphQL; they are kept out of the journal and have cursors of their
own (migration 0010). A vehicle's state is ICS's for resources; whose work it does is another matter.
"""

from __future__ import annotations

import datetime
import hashlib
import secrets
from enum import Enum
from typing import Annotated, Any

import strawberry
from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    case,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, OID

from geo.columns import geometry
from geo.sql import track, web_zoom
from schema.areas import Ward
from schema.changing import REPEATED, id_of, locked, seen, signed_in
from schema.columns import as_dated, as_versions, demonstration, key, origin, versions
from schema.compiler.mapping import History, Moment, column, computed, entity, many, metadata, one, row, rows
from schema.compiler.moves import Edges, crossings, moves
from schema.compiler.nearest import nearest
from schema.compiler.nodes import Node
from schema.compiler.paging import Connection
from schema.compiler.writes import Change, stale, write
from schema.errors import CONSTRAINTS, BadUserInput, Conflict, Forbidden, NotFound
from schema.people import Person, people
from schema.scalars import GeoJSON

departments = Table("departments", metadata, key(), Column("name", Text, nullable=False, unique=True))

vehicles = Table(
    "vehicles",
    metadata,
    key(),
    *origin(),
    Column("plate", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("call_sign", Text),
    Column("status", Text, nullable=False, server_default=text("'available'::text")),
    Column("department_id", Uuid, ForeignKey("departments.id", ondelete="restrict")),
    demonstration(),
)

vehicle_versions = versions(vehicles, "vehicle_versions")

devices = Table(
    "devices",
    metadata,
    key(),
    Column("vehicle_id", Uuid, ForeignKey("vehicles.id", ondelete="restrict"), nullable=False),
    Column("label", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("revoked_at", DateTime(timezone=True)),
)

device_keys = Table(
    "device_keys",
    metadata,
    Column("device_id", Uuid, ForeignKey("devices.id", ondelete="restrict"), primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
)


vehicle_drivers = Table(
    "vehicle_drivers",
    metadata,
    key(),
    Column("vehicle_id", Uuid, ForeignKey("vehicles.id", ondelete="restrict"), nullable=False),
    Column("person_id", Uuid, ForeignKey("people.id", ondelete="restrict"), nullable=False),
    Column("since", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("until", DateTime(timezone=True)),
)


def _measured() -> tuple[Column[Any], ...]:
    """What a device says beside where it is."""
    return (
        Column("speed_kmh", REAL),
        Column("heading", REAL),
        Column("altitude_meters", REAL),
        Column("accuracy_meters", REAL),
        Column("battery", REAL),
    )


positions = Table(
    "positions",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("device_id", Uuid, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("vehicle_id", Uuid, nullable=False),
    Column("batch", BigInteger, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    geometry("location", "POINT"),
    Column("ward_id", Uuid),
    *_measured(),
    Column("doubts", ARRAY(Text), nullable=False, server_default=text("'{}'::text[]")),
    Column("extra", JSONB),
    PrimaryKeyConstraint("vehicle_id", "recorded_at", "device_id"),
)

latest_positions = Table(
    "latest_positions",
    metadata,
    Column("vehicle_id", Uuid, ForeignKey("vehicles.id", ondelete="restrict"), primary_key=True),
    Column("device_id", Uuid, ForeignKey("devices.id", ondelete="restrict"), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    geometry("location", "POINT"),
    Column("ward_id", Uuid, ForeignKey("wards.id", ondelete="restrict")),
    *_measured(),
)

quarantined_fixes = Table(
    "quarantined_fixes",
    metadata,
    key(),
    Column("device_id", Uuid, ForeignKey("devices.id", ondelete="restrict"), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("reason", Text, nullable=False),
    Column("said", JSONB, nullable=False),
    UniqueConstraint("device_id", "said"),
)

position_streams = Table(
    "position_streams",
    metadata,
    Column("single", Boolean, primary_key=True, server_default=text("true")),
    Column("epoch", Uuid, nullable=False, server_default=func.gen_random_uuid()),
    Column("cursor", BigInteger, nullable=False, server_default=text("0")),
    Column("system_identifier", BigInteger),
    Column("timeline", Text),
    Column("database", OID),
)

position_batch = Sequence("position_batch", metadata=metadata, data_type=BigInteger)

position_batches = Table(
    "position_batches",
    metadata,
    Column("cursor", BigInteger, primary_key=True, autoincrement=False),
    Column("batch", BigInteger, nullable=False, unique=True),
    Column("stored_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("count", Integer, nullable=False),
)


# -- vocabulary --------------------------------------------------------------------------------------------------------


@strawberry.enum(description="What a vehicle is.")
class VehicleKind(Enum):
    AMBULANCE = strawberry.enum_value("ambulance", description="An ambulance.")
    FIRE_ENGINE = strawberry.enum_value("fire_engine", description="A fire engine.")
    RESCUE_BOAT = strawberry.enum_value("rescue_boat", description="A boat for rescue on the lake and in floods.")
    PATROL_CAR = strawberry.enum_value("patrol_car", description="A car of enforcement.")
    MOTORCYCLE = strawberry.enum_value("motorcycle", description="A motorcycle.")
    PICKUP = strawberry.enum_value("pickup", description="A pick-up or double cabin.")
    TRUCK = strawberry.enum_value("truck", description="A lorry.")
    TIPPER = strawberry.enum_value("tipper", description="A tipper, such as for refuse or murram.")
    BUS = strawberry.enum_value("bus", description="A bus or minibus.")
    CAR = strawberry.enum_value("car", description="A car.")
    WATER_BOWSER = strawberry.enum_value("water_bowser", description="A lorry with a water tank.")
    EXCAVATOR = strawberry.enum_value("excavator", description="An excavator, grader or other machine.")
    ON_FOOT = strawberry.enum_value("on_foot", description="None: people on foot who carry a device.")
    OTHER = strawberry.enum_value("other", description="None of these.")


@strawberry.enum(description="Whether a vehicle can be sent: the ICS status of a resource.")
class VehicleStatus(Enum):
    AVAILABLE = strawberry.enum_value("available", description="Ready to be sent.")
    ASSIGNED = strawberry.enum_value("assigned", description="At work.")
    OUT_OF_SERVICE = strawberry.enum_value(
        "out_of_service", description="Cannot be sent: broken, without crew or fuel."
    )


@strawberry.enum(description="Why a position may be wrong.")
class PositionDoubt(Enum):
    INVALID = strawberry.enum_value("invalid", description="The device itself says that it is no valid fix.")
    MOCK = strawberry.enum_value("mock", description="The telephone says that an app made it up.")
    INACCURATE = strawberry.enum_value("inaccurate", description="It may be over 500 m off, as the device says.")
    TOO_FAST = strawberry.enum_value("too_fast", description="Its speed is over 200 km/h.")
    NO_CLOCK = strawberry.enum_value("no_clock", description="It says no time: the time is that of its arrival.")


@strawberry.enum(description="Why a fix was put aside.")
class QuarantineReason(Enum):
    FUTURE = strawberry.enum_value("future", description="Its time lies over five minutes ahead.")
    TOO_OLD = strawberry.enum_value("too_old", description="It is older than positions are kept.")
    FAR_AWAY = strawberry.enum_value(
        "far_away", description="Its place lies outside of longitude 33 to 37, latitude -2 to 2."
    )


# -- what was ----------------------------------------------------------------------------------------------------------


def _positions_then(moment: Moment) -> Any:
    """Where vehicles were last heard of, in the seven days before."""
    found = func.latest_positions_on(moment.as_of, moment.known_at)
    return select(found.table_valued(*latest_positions.columns))


def _drivers_then(moment: Moment) -> Any:
    """Who drove, by the dates of their time with the vehicle: who still did, has no end."""
    row = vehicle_drivers.alias()
    ended = case((row.c.until <= moment.as_of, row.c.until)).label("until")
    columns = [ended if column.name == "until" else row.c[column.name] for column in vehicle_drivers.columns]
    return select(*columns).where(row.c.since <= moment.as_of)


# -- entities ----------------------------------------------------------------------------------------------------------


@entity(departments, order=("name",), lasting=True, few=True)
class Department(Node):
    """A department of the county that vehicles belong to."""

    id: strawberry.ID = column("Key of the department, a UUIDv7.")
    name: str = column("Its name.")


@entity(latest_positions, history=History(_positions_then))
class LatestPosition:
    """Where a vehicle was last, by its device's clock: it never goes back in time, and never by a doubtful fix."""

    recorded_at: datetime.datetime = column("When the device measured it: say its age to whoever looks.")
    received_at: datetime.datetime = column("When the hub took it.")
    location: GeoJSON = column("Where, a Point.")
    speed_kmh: float | None = column("Speed over ground, km/h.")
    heading: float | None = column("Direction of travel, degrees clockwise from north.")
    altitude_meters: float | None = column("Metres above the sea, as the device says.")
    accuracy_meters: float | None = column("How far off it may be, as the device says.")
    battery: float | None = column("Charge of the device, 0 to 1.")
    ward: Ward | None = one(
        "The ward that held it; null on the lake and outside of the county.",
        lambda position, ward: ward.id == position.ward_id,
    )


@entity(positions, order=("recorded_at",), key="id", history=as_dated(positions, "recorded_at", "received_at"))
class VehiclePosition:
    """Where a vehicle was at a moment, as its device said: kept once, however often and late it came."""

    id: strawberry.ID = column("Key of the position, the same whenever it comes.")
    recorded_at: datetime.datetime = column("When the device measured it.")
    received_at: datetime.datetime = column("When the hub took it.")
    location: GeoJSON = column("Where, a Point.")
    speed_kmh: float | None = column("Speed over ground, km/h.")
    heading: float | None = column("Direction of travel, degrees clockwise from north.")
    altitude_meters: float | None = column("Metres above the sea, as the device says.")
    accuracy_meters: float | None = column("How far off it may be, as the device says.")
    battery: float | None = column("Charge of the device, 0 to 1.")
    doubts: list[PositionDoubt] = column(
        "Why it may be wrong; empty where nothing speaks against it.", filterable=False
    )
    ward: Ward | None = one(
        "The ward that held it when it was stored; null on the lake and outside of the county.",
        lambda position, ward: ward.id == position.ward_id,
    )
    vehicle: Vehicle | None = one("The vehicle.", lambda position, vehicle: vehicle.id == position.vehicle_id)


@entity(devices, order=("created_at",))
class Device(Node):
    """A tracker or telephone that says where a vehicle is. Its key was shown once, when it was made."""

    id: strawberry.ID = column("Key of the device, a UUIDv7.")
    label: str = column("What it is called: its make, its serial number.")
    created_at: datetime.datetime = column("When it was registered.")
    revoked_at: datetime.datetime | None = column("When its key ended; null while it may send.")
    vehicle: Vehicle | None = one("The vehicle that it is in.", lambda device, vehicle: vehicle.id == device.vehicle_id)


@entity(vehicle_drivers, order=("since",), history=History(_drivers_then))
class VehicleDriver(Node):
    """Somebody who drives a vehicle, or did: a vehicle has one driver at a time, and nobody drives two at once."""

    id: strawberry.ID = column("Key of the driver's time with the vehicle, a UUIDv7.")
    since: datetime.datetime = column("Since when.")
    until: datetime.datetime | None = column("Until when; null: still.")
    person: Person | None = one(
        "The person, where you may see them.", lambda driver, person: person.id == driver.person_id
    )
    vehicle: Vehicle | None = one("The vehicle.", lambda driver, vehicle: vehicle.id == driver.vehicle_id)


@entity(quarantined_fixes, order=("received_at",))
class QuarantinedFix(Node):
    """A fix that cannot be true, kept aside: what a wrong clock or a lost satellite says."""

    id: strawberry.ID = column("Key of the fix, a UUIDv7.")
    received_at: datetime.datetime = column("When the hub took it first.")
    reason: QuarantineReason = column("Why it was put aside.")
    device: Device | None = one("The device that sent it.", lambda fix, device: device.id == fix.device_id)


_MOST_TRACK: Any = literal_column("interval '7 days'")
_NO_DOUBTS = literal_column("'{}'::text[]", ARRAY(Text))


@entity(vehicles, order=("plate",), history=as_versions(vehicles, vehicle_versions))
class Vehicle(Node):
    """A vehicle or boat of the county."""

    id: strawberry.ID = column("Key of the vehicle, a UUIDv7.")
    plate: str = column("Number plate in capitals, or a boat's number.")
    version: int = column("Grows by one with each change: send it as `expectedVersion`.")
    kind: VehicleKind = column("What it is.")
    call_sign: str | None = column("What it is called on the radio.")
    status: VehicleStatus = column("Whether it can be sent.")
    demonstration: bool = column("True: it is none, and goes with the demonstration data.")
    department: Department | None = one(
        "The department that it belongs to.", lambda vehicle, department: department.id == vehicle.department_id
    )
    latest_position: LatestPosition | None = one(
        "Where it was last; null where it never said.",
        lambda vehicle, position: position.vehicle_id == vehicle.id,
    )
    devices: Connection[Device] = many(
        "What says where it is.", lambda vehicle, device: device.vehicle_id == vehicle.id
    )
    driver: VehicleDriver | None = one(
        "Who drives it now; null where nobody does, or you may not see it.",
        lambda vehicle, driver: (driver.vehicle_id == vehicle.id) & driver.until.is_(None),
    )
    drivers: Connection[VehicleDriver] = many(
        "Who drives it and drove it: of a day by `since` and `until`.",
        lambda vehicle, driver: driver.vehicle_id == vehicle.id,
    )
    positions: Connection[VehiclePosition] = many(
        "Where it was: ask for a period by `recordedAt`.",
        lambda vehicle, position: position.vehicle_id == vehicle.id,
    )

    @computed
    def track(
        vehicle: Any,
        from_: Annotated[datetime.datetime, strawberry.argument(name="from", description="Beginning of the period.")],
        to: Annotated[
            datetime.datetime, strawberry.argument(description="End of the period, at most 7 days after its beginning.")
        ],
        zoom: Annotated[
            float | None,
            strawberry.argument(
                description="Zoom of the map that shows it, 0 to 22: thinned to half a pixel. Default 14."
            ),
        ],
    ) -> GeoJSON | None:
        """Where it drove in a period: a LineString in order of time, without doubtful positions; null for none."""
        driven = positions.alias()
        line = track(driven.c.location, driven.c.recorded_at, web_zoom(zoom))
        found: Any = (
            select(case((func.count() > literal_column("1"), line)))
            .where(
                driven.c.vehicle_id == vehicle.id,
                driven.c.recorded_at >= from_,
                driven.c.recorded_at < func.least(to, from_ + _MOST_TRACK),
                driven.c.doubts == _NO_DOUBTS,
            )
            .correlate_except(driven)
            .scalar_subquery()
        )
        # A function around it: GeoAlchemy2 would take the bare subquery for a whole feature.
        return func.coalesce(found, type_=found.type)  # type: ignore[return-value]


@rows(Vehicle)
def vehicles_(vehicle: Any) -> None:
    """Vehicles that you may see, by plate unless ordered otherwise."""


@row(Vehicle)
def vehicle(
    vehicle: Any,
    plate: Annotated[str | None, strawberry.argument(description="Its plate, in capitals.")],
    id: Annotated[strawberry.ID | None, strawberry.argument(description="Its id.")],
) -> Any:
    """The vehicle with this plate, or with this id; null where there is none that you may see."""
    if (plate is None) is (id is None):
        raise BadUserInput("vehicle: send its plate or its id, one of them")
    return vehicle.id == id if plate is None else vehicle.plate == plate


@rows(Department)
def departments_(department: Any) -> None:
    """Departments that vehicles belong to."""


@rows(QuarantinedFix)
def quarantined_fixes_(fix: Any) -> None:
    """Fixes that cannot be true, oldest first."""


@strawberry.type(description="A vehicle, and how far it was when it was last heard of.")
class NearestVehicle:
    distance_meters: float = strawberry.field(
        description="Metres from the place to its latest position, in a straight line."
    )
    vehicle: Vehicle = strawberry.field(description="The vehicle.")


@nearest(NearestVehicle, Vehicle, positions=latest_positions, belongs="vehicle_id")
def nearest_vehicles(vehicle: Any) -> None:
    """The vehicles whose latest position is nearest to a place, nearest first; who never said where is left out."""


# -- events ------------------------------------------------------------------------------------------------------------


@strawberry.type(description="Positions as they come in.")
class VehicleMove:
    cursor: str = strawberry.field(description="Where the event stands among all: resume with it as `after`.")
    positions: list[VehiclePosition] = strawberry.field(
        description="What came, oldest first; late ones are among them, hours old at times."
    )


@moves(VehiclePosition, VehicleMove, batch="batch", place="location")
def vehicle_moved(position: Any) -> None:
    """Positions that you may see, as they are stored: each once, in the order of their cursors, some together. Resumed
    with `after: cursor` nothing is lost; what cannot be resumed is refused with `reason: RESYNC`."""


@strawberry.type(description="Vehicles crossed the edge of an area.")
class AreaCrossing:
    cursor: str = strawberry.field(description="Where the event stands among all: resume with it as `after`.")
    entered: list[VehiclePosition] = strawberry.field(
        description="The first position inside of each that came in, oldest first; late ones are among them."
    )
    left: list[VehiclePosition] = strawberry.field(
        description="The first position outside of each that went out, oldest first; late ones are among them."
    )
    remaining: int = strawberry.field(
        description="How many of those that are asked about are inside by their latest position, when the event is "
        "told; 0: none is left."
    )


@crossings(
    VehiclePosition,
    AreaCrossing,
    batch="batch",
    place="location",
    edges=Edges(Vehicle, "vehicle_id", latest_positions, "recorded_at", lambda position: position.doubts == _NO_DOUBTS),
)
def area_crossed(position: Any) -> None:
    """Vehicles that you may see, as they enter or leave an area: a geofence of your own. `remaining` says when no unit
    of a kind is left in it. Doubtful positions cross nothing, and a late one tells of no other edge than its own;
    resumed with `after: cursor` nothing is lost."""


# -- writes ------------------------------------------------------------------------------------------------------------


@strawberry.input(description="A new vehicle.")
class AddVehicleInput:
    plate: str = strawberry.field(description="Number plate: capitals, digits, blanks and hyphens.")
    kind: VehicleKind = strawberry.field(description="What it is.")
    call_sign: str | None = strawberry.field(description="What it is called on the radio.", default=None)
    department: str | None = strawberry.field(
        description="Name of the department that it belongs to; a new name makes a department.", default=None
    )
    client_mutation_id: str | None = strawberry.field(description=REPEATED, default=None)


@strawberry.type(description="The new vehicle.")
class AddVehiclePayload:
    vehicle: Vehicle = strawberry.field(description="The vehicle.")


@strawberry.input(description="Whether a vehicle can be sent.")
class ChangeVehicleStatusInput:
    id: strawberry.ID = strawberry.field(description="The vehicle.")
    status: VehicleStatus = strawberry.field(description="Its status from now on.")
    expected_version: int | None = strawberry.field(
        description="The version that you saw: an older one is refused with CONFLICT.", default=None
    )
    client_mutation_id: str | None = strawberry.field(description=REPEATED, default=None)


@strawberry.type(description="The vehicle after the change.")
class ChangeVehicleStatusPayload:
    vehicle: Vehicle = strawberry.field(description="The vehicle.")


@strawberry.input(description="A new tracker or telephone in a vehicle.")
class RegisterDeviceInput:
    vehicle: strawberry.ID = strawberry.field(description="The vehicle that it is in.")
    label: str = strawberry.field(description="What it is called: its make, its serial number. 1 to 80 letters.")


@strawberry.type(description="The new device, with its key.")
class RegisterDevicePayload:
    device: Device = strawberry.field(description="The device.")
    key: str = strawberry.field(
        description="What the device shows when it sends: its identifier in Traccar Client, its password in OwnTracks. "
        "Shown this once, and kept nowhere."
    )


@strawberry.input(description="A device that may send no more.")
class RevokeDeviceInput:
    id: strawberry.ID = strawberry.field(description="The device.")
    client_mutation_id: str | None = strawberry.field(description=REPEATED, default=None)


@strawberry.type(description="The device after the change.")
class RevokeDevicePayload:
    device: Device = strawberry.field(description="The device.")


@strawberry.input(description="Who takes a vehicle.")
class AssignDriverInput:
    vehicle: strawberry.ID = strawberry.field(description="The vehicle.")
    person: strawberry.ID = strawberry.field(description="Who drives it from now on.")
    client_mutation_id: str | None = strawberry.field(description=REPEATED, default=None)


@strawberry.type(description="The driver.")
class AssignDriverPayload:
    driver: VehicleDriver = strawberry.field(description="The driver's time with the vehicle, which has begun.")


@strawberry.input(description="Who leaves a vehicle.")
class RelieveDriverInput:
    id: strawberry.ID = strawberry.field(description="The driver's time with the vehicle: `vehicle { driver { id } }`.")
    client_mutation_id: str | None = strawberry.field(description=REPEATED, default=None)


@strawberry.type(description="The driver after the change.")
class RelieveDriverPayload:
    driver: VehicleDriver = strawberry.field(description="The driver's time with the vehicle, which has ended.")


def digest_of(key: str) -> bytes:
    """What is kept of a device's key: 128 bits by chance need no slow digest."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


async def department_called(change: Change, name: str | None) -> Any:
    """The department with a name, made where there is none; None for no name."""
    said = (name or "").strip()
    if not said:
        return None
    if not 2 <= len(said) <= 120:
        raise BadUserInput(f"input.department has {len(said)} letters: send 2 to 120")
    known = select(departments.c.id).where(departments.c.name == said)
    found = await change.rows(known) or await change.rows(
        insert(departments).values(name=said).returning(departments.c.id)
    )
    return found[0]["id"]


@write
async def add_vehicle(
    change: Change, input: Annotated[AddVehicleInput, strawberry.argument(description="The vehicle.")]
) -> AddVehiclePayload:
    """Add a vehicle to the fleet. It begins as AVAILABLE."""
    signed_in(change)
    values = {
        "plate": " ".join(input.plate.upper().split()),
        "kind": input.kind.value,
        "call_sign": (input.call_sign or "").strip() or None,
        "department_id": await department_called(change, input.department),
    }
    made = await change.rows(insert(vehicles).values(**values).returning(vehicles.c.id))
    return {"vehicle": made[0]["id"]}  # type: ignore[return-value]


@write
async def change_vehicle_status(
    change: Change, input: Annotated[ChangeVehicleStatusInput, strawberry.argument(description="The status.")]
) -> ChangeVehicleStatusPayload:
    """Say whether a vehicle can be sent."""
    signed_in(change)
    key = id_of(input.id, "input.id", "a vehicle")
    found = await locked(change, vehicles, key, vehicles.c.version, vehicles.c.status)
    if not found:
        raise NotFound("There is no such vehicle, or you may not change it.")
    stale(input.expected_version, found[0]["version"], {"status": found[0]["status"].upper()})
    await change.rows(update(vehicles).where(vehicles.c.id == key).values(status=input.status.value))
    return {"vehicle": key}  # type: ignore[return-value]


@write
async def register_device(
    change: Change, input: Annotated[RegisterDeviceInput, strawberry.argument(description="The device.")]
) -> RegisterDevicePayload:
    """Register a tracker or telephone. Its key is in this answer alone: whoever loses it registers another one."""
    signed_in(change)
    key = id_of(input.vehicle, "input.vehicle", "a vehicle")
    if not await change.rows(select(vehicles.c.id).where(vehicles.c.id == key)):
        raise NotFound("input.vehicle: there is no such vehicle, or you may not see it")
    label = input.label.strip()
    if not 1 <= len(label) <= 80:
        raise BadUserInput(f"input.label has {len(label)} letters: send 1 to 80")
    made = await change.rows(insert(devices).values(vehicle_id=key, label=label).returning(devices.c.id))
    shown = secrets.token_urlsafe(16)
    await change.rows(select(func.keep_device_key(made[0]["id"], digest_of(shown))))
    return {"device": made[0]["id"], "key": shown}  # type: ignore[return-value]


@write
async def revoke_device(
    change: Change, input: Annotated[RevokeDeviceInput, strawberry.argument(description="The device.")]
) -> RevokeDevicePayload:
    """End a device's key: lost, stolen, or taken out. What it sent stays; it never sends again."""
    signed_in(change)
    key = id_of(input.id, "input.id", "a device")
    if not await locked(change, devices, key, devices.c.id):
        raise NotFound("There is no such device, or you may not change it.")
    ended = (
        update(devices)
        .where(devices.c.id == key)
        .values(revoked_at=func.coalesce(devices.c.revoked_at, func.now()))
        .returning(devices.c.id)
    )
    await change.rows(ended)
    return {"device": key}  # type: ignore[return-value]


@write
async def assign_driver(
    change: Change, input: Annotated[AssignDriverInput, strawberry.argument(description="The driver.")]
) -> AssignDriverPayload:
    """Put somebody at the wheel: who drove it before hands it over, and whatever the person drove before is left."""
    signed_in(change)
    vehicle = id_of(input.vehicle, "input.vehicle", "a vehicle")
    if not await locked(change, vehicles, vehicle, vehicles.c.id):
        raise NotFound("input.vehicle: there is no such vehicle, or you may not change it")
    person = await seen(change, people, input.person, "input.person", "a person")
    # One hand-over at a time: two people who change vehicles would wait for each other's rows.
    await change.rows(select(func.pg_advisory_xact_lock(func.hashtext("vehicle_drivers"))))
    at_the_wheel = vehicle_drivers.c.until.is_(None)
    known = await change.rows(
        select(vehicle_drivers.c.id).where(
            at_the_wheel, vehicle_drivers.c.vehicle_id == vehicle, vehicle_drivers.c.person_id == person
        )
    )
    if known:
        return {"driver": known[0]["id"]}  # type: ignore[return-value]
    # The clock's time, not the transaction's: whoever waited for another's hand-over began before it.
    moment = func.clock_timestamp()
    left = at_the_wheel & ((vehicle_drivers.c.vehicle_id == vehicle) | (vehicle_drivers.c.person_id == person))
    await change.rows(update(vehicle_drivers).where(left).values(until=moment).returning(vehicle_drivers.c.id))
    made = await change.rows(
        insert(vehicle_drivers)
        .values(vehicle_id=vehicle, person_id=person, since=moment)
        .returning(vehicle_drivers.c.id)
    )
    return {"driver": made[0]["id"]}  # type: ignore[return-value]


@write
async def relieve_driver(
    change: Change, input: Annotated[RelieveDriverInput, strawberry.argument(description="The driver.")]
) -> RelieveDriverPayload:
    """End somebody's time with a vehicle: nobody drives it until another one is assigned."""
    signed_in(change)
    key = id_of(input.id, "input.id", "a vehicle's driver")
    found = await locked(change, vehicle_drivers, key, vehicle_drivers.c.until)
    if not found:
        raise NotFound("There is no such driver, or you may not relieve them.")
    if found[0]["until"] is None:
        ended = update(vehicle_drivers).where(vehicle_drivers.c.id == key).values(until=func.clock_timestamp())
        await change.rows(ended.returning(vehicle_drivers.c.id))
    return {"driver": key}  # type: ignore[return-value]


CONSTRAINTS.update(
    {
        "vehicle_drivers_one_at_the_wheel": (Conflict, "input.vehicle: somebody else was put at its wheel meanwhile"),
        "vehicle_drivers_one_vehicle": (Conflict, "input.person: they were given another vehicle meanwhile"),
        "vehicles_plate_key": (Conflict, "input.plate: there is a vehicle with this plate"),
        "vehicles_plate_form": (
            BadUserInput,
            "input.plate: send 3 to 16 capitals, digits, blanks and hyphens, such as KDA 123B",
        ),
        "vehicles_call_sign_form": (BadUserInput, "input.callSign: send 2 to 40 letters"),
        "devices_final": (Forbidden, "A device stays in its vehicle, and revoked."),
    }
)

ROOTS = (vehicles_, vehicle, nearest_vehicles, departments_, quarantined_fixes_)
MUTATIONS = (add_vehicle, change_vehicle_status, register_device, revoke_device, assign_driver, relieve_driver)
SUBSCRIPTIONS = (vehicle_moved, area_crossed)
