"""Figures over the fleet: how many vehicles there are of what kind and where, and what their positions say."""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import func, select

from geo.sql import centroid, extent
from schema import periods
from schema.areas import LAND, PEOPLE, SubCounty, Ward, sub_county_of
from schema.compiler.aggregates import Spread, aggregate, group, hexagon, measure, rate, spread, square, totals
from schema.fleet import Department, Vehicle, VehicleKind, VehiclePosition, VehicleStatus, latest_positions
from schema.scalars import BBox, GeoJSON


def _placed(vehicle: Any, column: str) -> Any:
    latest = latest_positions.alias()
    return select(latest.c[column]).where(latest.c.vehicle_id == vehicle.id).correlate_except(latest).scalar_subquery()


@aggregate(Vehicle)
class FleetStats:
    """How many vehicles there are of a kind, in a state, in a place; the caller counts what the caller may see."""

    ward: Ward | None = group(
        "Last heard of in one ward; null: on the lake, outside, or never heard of.",
        lambda vehicle: _placed(vehicle, "ward_id"),
    )
    sub_county: SubCounty | None = group(
        "Last heard of in one sub-county, by the wards that it has now.",
        lambda vehicle: sub_county_of(_placed(vehicle, "ward_id")),
    )
    kind: VehicleKind | None = group("Of one kind.")
    status: VehicleStatus | None = group("Of one status.")
    department: Department | None = group("Of one department.", lambda vehicle: vehicle.department_id)
    square: GeoJSON | None = square(
        "Last heard of in one square of a grid.", lambda vehicle: _placed(vehicle, "location")
    )
    hexagon: GeoJSON | None = hexagon(
        "Last heard of in one hexagon of a grid.", lambda vehicle: _placed(vehicle, "location")
    )
    count: int = measure("How many.", lambda vehicle: func.count())
    located: int = measure(
        "How many of them ever said where they are.", lambda vehicle: func.count(_placed(vehicle, "recorded_at"))
    )
    oldest_recorded_at: datetime.datetime | None = measure(
        "When the one that is silent the longest was last heard of.",
        lambda vehicle: func.min(_placed(vehicle, "recorded_at")),
    )
    newest_recorded_at: datetime.datetime | None = measure(
        "When any of them was last heard of.", lambda vehicle: func.max(_placed(vehicle, "recorded_at"))
    )
    speed_kmh: Spread = spread(
        "Speeds when they were last heard of, km/h.", lambda vehicle: _placed(vehicle, "speed_kmh")
    )
    extent: BBox | None = measure(
        "The box around where they were last.", lambda vehicle: extent(_placed(vehicle, "location"))
    )
    centroid: GeoJSON | None = measure(
        "The middle of where they were last, a Point: the mean of the coordinates.",
        lambda vehicle: centroid(_placed(vehicle, "location")),
    )
    per_km2: float | None = rate(
        "How many for each km² of the ward's or the sub-county's LAND; null where they are grouped by neither.",
        LAND,
    )
    per_10000_people: float | None = rate(
        "How many for each 10,000 people of the ward or the sub-county, as counted in 2009 (`Ward.populationYear`); "
        "null where they are grouped by neither.",
        PEOPLE,
        times=10_000,
    )


@totals(FleetStats)
def fleet_stats(vehicle: Any) -> None:
    """How many vehicles you may see, by kind, state, ward or whatever `groupBy` names; the largest groups first."""


@aggregate(VehiclePosition)
class PositionStats:
    """Where and when vehicles drove, and how fast, from their positions: ask for a period by `recordedAt`."""

    vehicle: Vehicle | None = group("Of one vehicle.", lambda position: position.vehicle_id)
    ward: Ward | None = group(
        "In one ward; null: on the lake and outside of the county.", lambda position: position.ward_id
    )
    hour: datetime.datetime | None = group(
        "Of one hour: when it begins.", lambda position: periods.hour(position.recorded_at)
    )
    day: datetime.date | None = group("Of one day, in Kenya.", lambda position: periods.day(position.recorded_at))
    hour_of_day: int | None = group(
        "Of one hour of the day, in Kenya, 0 to 23.", lambda position: periods.hour_of_day(position.recorded_at)
    )
    square: GeoJSON | None = square("In one square of a grid.", lambda position: position.location)
    hexagon: GeoJSON | None = hexagon("In one hexagon of a grid.", lambda position: position.location)
    count: int = measure("How many positions.", lambda position: func.count())
    vehicles: int = measure("Of how many vehicles.", lambda position: func.count(position.vehicle_id.distinct()))
    first_recorded_at: datetime.datetime | None = measure(
        "When the first was measured.", lambda position: func.min(position.recorded_at)
    )
    last_recorded_at: datetime.datetime | None = measure(
        "When the last was measured.", lambda position: func.max(position.recorded_at)
    )
    speed_kmh: Spread = spread("Speeds over ground, km/h.", lambda position: position.speed_kmh)
    extent: BBox | None = measure("The box around them.", lambda position: extent(position.location))


@totals(PositionStats)
def position_stats(position: Any) -> None:
    """What the positions say that you may see, by vehicle, ward, hour or cell; the largest groups first."""


ROOTS = (fleet_stats, position_stats)
