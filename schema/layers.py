"""What can be had as a file: each layer a list of the API with its columns. `LAYERS` is the table of contents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from schema.areas import SubCounty, Ward, sub_counties, wards
from schema.compiler.exporting import Column, Kind, Layer
from schema.fleet import Vehicle, VehiclePosition, departments, latest_positions, vehicles
from schema.incidents import Incident
from schema.landmarks import Landmark
from schema.patrols import Patrol, beats, patrol_coverages, units

Build = Callable[[Any], tuple[Any, Sequence[Any]]]

_ID = Column("id", Kind.KEY, "Key, a UUIDv7.")
_WARD = (
    Column("ward_code", Kind.KEY, "IEBC code of the ward that holds it; missing on the lake and beyond the border."),
    Column("ward_name", Kind.TEXT, "Name of that ward."),
)


def _list(root: str, type_: str) -> str:
    """An operation that lists a root with its own filter and order."""
    return (
        f"query Export($where: {type_}Filter, $orderBy: [{type_}Order!]) "
        f"{{ {root}(where: $where, orderBy: $orderBy) {{ nodes {{ id }} }} }}"
    )


def _unit(*, in_sub_county: bool) -> tuple[tuple[Column, ...], Build]:
    columns: tuple[Column, ...] = (
        _ID,
        Column("code", Kind.KEY, "IEBC code."),
        Column("name", Kind.TEXT, "Official name."),
        *(
            (
                Column("sub_county_code", Kind.KEY, "Code of the sub-county that it belongs to."),
                Column("sub_county_name", Kind.TEXT, "Name of that sub-county."),
            )
            if in_sub_county
            else ()
        ),
        Column("aliases", Kind.WORDS, "Other names and spellings in use."),
        Column("population", Kind.INTEGER, "People counted by the census of `population_year`."),
        Column("population_year", Kind.INTEGER, "Year of that census."),
        Column("area_km2", Kind.NUMBER, "Gazetted land area, km², without the lake."),
        Column("geometry", Kind.GEOMETRY, "Boundary, which may take in lake water."),
    )

    def build(unit: Any) -> tuple[Any, Sequence[Any]]:
        row = unit.c
        source, parent = unit, []
        if in_sub_county:
            above = sub_counties.alias()
            source = unit.outerjoin(above, above.c.id == row.sub_county_id)
            parent = [above.c.code, above.c.name]
        figures = [row.aliases, row.population, row.population_year, row.area_km2]
        return source, [row.id, row.code, row.name, *parent, *figures, row.boundary]

    return columns, build


def _incidents(incident: Any) -> tuple[Any, Sequence[Any]]:
    row, ward, sub_county = incident.c, wards.alias(), sub_counties.alias()
    source = incident.outerjoin(ward, ward.c.id == row.ward_id).outerjoin(
        sub_county, sub_county.c.id == ward.c.sub_county_id
    )
    return source, [
        row.id,
        row.reference,
        row.kind,
        row.title,
        row.severity,
        row.certainty,
        row.urgency,
        row.status,
        row.source,
        row.precision,
        row.beyond_border,
        row.place,
        row.occurred_at,
        row.reported_at,
        ward.c.code,
        ward.c.name,
        sub_county.c.name,
        row.location,
    ]


def _vehicles(vehicle: Any) -> tuple[Any, Sequence[Any]]:
    row, at, ward, department = vehicle.c, latest_positions.alias(), wards.alias(), departments.alias()
    source = (
        vehicle.outerjoin(department, department.c.id == row.department_id)
        .outerjoin(at, at.c.vehicle_id == row.id)
        .outerjoin(ward, ward.c.id == at.c.ward_id)
    )
    return source, [
        row.id,
        row.plate,
        row.kind,
        row.call_sign,
        row.status,
        department.c.name,
        at.c.recorded_at,
        at.c.speed_kmh,
        at.c.heading,
        ward.c.code,
        ward.c.name,
        at.c.location,
    ]


def _positions(position: Any) -> tuple[Any, Sequence[Any]]:
    row, vehicle, ward = position.c, vehicles.alias(), wards.alias()
    source = position.outerjoin(vehicle, vehicle.c.id == row.vehicle_id).outerjoin(ward, ward.c.id == row.ward_id)
    return source, [
        row.id,
        row.vehicle_id,
        vehicle.c.plate,
        row.recorded_at,
        row.received_at,
        row.speed_kmh,
        row.heading,
        row.altitude_meters,
        row.accuracy_meters,
        row.battery,
        row.doubts,
        ward.c.code,
        ward.c.name,
        row.location,
    ]


def _patrols(patrol: Any) -> tuple[Any, Sequence[Any]]:
    row, unit, beat = patrol.c, units.alias(), beats.alias()
    vehicle, coverage = vehicles.alias(), patrol_coverages.alias()
    source = (
        patrol.outerjoin(unit, unit.c.id == row.unit_id)
        .outerjoin(beat, beat.c.id == row.beat_id)
        .outerjoin(vehicle, vehicle.c.id == row.vehicle_id)
        .outerjoin(coverage, coverage.c.patrol_id == row.id)
    )
    return source, [
        row.id,
        row.reference,
        row.status,
        row.day,
        row.planned_start,
        row.planned_end,
        row.started_at,
        row.ended_at,
        unit.c.name,
        beat.c.name,
        vehicle.c.plate,
        coverage.c.planned_meters,
        coverage.c.covered_meters,
        coverage.c.ratio,
        row.route,
    ]


def _landmarks(landmark: Any) -> tuple[Any, Sequence[Any]]:
    row = landmark.c
    return landmark, [row.id, row.name, row.kind, row.accuracy_meters, row.location]


_WARDS, _build_wards = _unit(in_sub_county=True)
_SUB_COUNTIES, _build_sub_counties = _unit(in_sub_county=False)

LAYERS: dict[str, Layer] = {
    layer.name: layer
    for layer in (
        Layer("wards", "The wards, with figures and outlines.", Ward, _list("wards", "Ward"), _WARDS, _build_wards),
        Layer(
            "subCounties",
            "The sub-counties, with figures and outlines.",
            SubCounty,
            _list("subCounties", "SubCounty"),
            _SUB_COUNTIES,
            _build_sub_counties,
        ),
        Layer(
            "landmarks",
            "Landmarks that reports name.",
            Landmark,
            _list("landmarks", "Landmark"),
            (
                _ID,
                Column("name", Kind.TEXT, "Its name."),
                Column("kind", Kind.WORD, "What it is."),
                Column("accuracy_meters", Kind.INTEGER, "How far off the point may be, metres."),
                Column("geometry", Kind.GEOMETRY, "Where, a point."),
            ),
            _landmarks,
        ),
        Layer(
            "incidents",
            "Incidents that you may see.",
            Incident,
            _list("incidents", "Incident"),
            (
                _ID,
                Column("reference", Kind.KEY, "What people call it, such as INC-2026-000123."),
                Column("kind", Kind.WORD, "What happened."),
                Column("title", Kind.TEXT, "In a line."),
                Column("severity", Kind.WORD, "CAP severity."),
                Column("certainty", Kind.WORD, "CAP certainty."),
                Column("urgency", Kind.WORD, "CAP urgency."),
                Column("status", Kind.WORD, "How far it is dealt with."),
                Column("source", Kind.WORD, "How the county learned of it."),
                Column("precision", Kind.WORD, "Whether the place is a point, a landmark or a ward."),
                Column("beyond_border", Kind.BOOLEAN, "Whether it lies up to 2 km beyond the border."),
                Column("place", Kind.TEXT, "The place in words."),
                Column("occurred_at", Kind.MOMENT, "When it happened."),
                Column("reported_at", Kind.MOMENT, "When the hub learned of it."),
                *_WARD,
                Column("sub_county_name", Kind.TEXT, "Name of the ward's sub-county."),
                Column("geometry", Kind.GEOMETRY, "Where, a point."),
            ),
            _incidents,
        ),
        Layer(
            "vehicles",
            "The fleet, each vehicle where it was last.",
            Vehicle,
            _list("vehicles", "Vehicle"),
            (
                _ID,
                Column("plate", Kind.KEY, "Number plate."),
                Column("kind", Kind.WORD, "What it is."),
                Column("call_sign", Kind.TEXT, "What it is called on the radio."),
                Column("status", Kind.WORD, "ICS status of the resource."),
                Column("department", Kind.TEXT, "Department that it belongs to."),
                Column("recorded_at", Kind.MOMENT, "When it was there, by its device."),
                Column("speed_kmh", Kind.NUMBER, "Speed over ground, km/h."),
                Column("heading", Kind.NUMBER, "Degrees clockwise from north."),
                *_WARD,
                Column("geometry", Kind.GEOMETRY, "Where it was last, a point; missing where it never said."),
            ),
            _vehicles,
        ),
        Layer(
            "positions",
            "Every fix of every vehicle. Ask for a period by `recordedAt`, and for one vehicle by `vehicle`.",
            VehiclePosition,
            "query Export($where: VehiclePositionFilter, $orderBy: [VehiclePositionOrder!]) "
            "{ vehicles { nodes { positions(where: $where, orderBy: $orderBy) { nodes { id } } } } }",
            (
                _ID,
                Column("vehicle_id", Kind.KEY, "Key of the vehicle."),
                Column("plate", Kind.KEY, "Number plate of the vehicle."),
                Column("recorded_at", Kind.MOMENT, "When the device measured it."),
                Column("received_at", Kind.MOMENT, "When the hub took it."),
                Column("speed_kmh", Kind.NUMBER, "Speed over ground, km/h."),
                Column("heading", Kind.NUMBER, "Degrees clockwise from north."),
                Column("altitude_meters", Kind.NUMBER, "Metres above the sea, as the device says."),
                Column("accuracy_meters", Kind.NUMBER, "How far off it may be, as the device says."),
                Column("battery", Kind.NUMBER, "Charge of the device, 0 to 1."),
                Column("doubts", Kind.WORDS, "Why it may be wrong; empty where nothing speaks against it."),
                *_WARD,
                Column("geometry", Kind.GEOMETRY, "Where, a point."),
            ),
            _positions,
            path=("nodes", "positions"),
        ),
        Layer(
            "patrols",
            "Patrols, with what they covered.",
            Patrol,
            _list("patrols", "Patrol"),
            (
                _ID,
                Column("reference", Kind.KEY, "What people call it, such as PAT-2026-000001."),
                Column("status", Kind.WORD, "How far it is."),
                Column("day", Kind.DAY, "The day in Kenya that it was planned for."),
                Column("planned_start", Kind.MOMENT, "When it shall begin."),
                Column("planned_end", Kind.MOMENT, "When it shall end."),
                Column("started_at", Kind.MOMENT, "When it began."),
                Column("ended_at", Kind.MOMENT, "When it ended."),
                Column("unit", Kind.TEXT, "The unit that goes."),
                Column("beat", Kind.TEXT, "The beat that it goes on."),
                Column("plate", Kind.KEY, "The vehicle whose devices say where it is."),
                Column("planned_meters", Kind.NUMBER, "Length of its route, metres."),
                Column("covered_meters", Kind.NUMBER, "Of it covered, metres."),
                Column("ratio", Kind.NUMBER, "Covered of planned, 0 to 1."),
                Column("geometry", Kind.GEOMETRY, "Its planned route, a MultiLineString."),
            ),
            _patrols,
        ),
    )
}
"""Every layer there is, by its name in `/export/{layer}.{format}`."""
