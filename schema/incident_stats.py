"""Figures over incidents: those that a caller sees, by place, time and kind, and what is published for everybody."""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import BigInteger, Date, case, cast, func, literal_column, select

from geo.sql import centroid, extent
from schema import periods
from schema.areas import LAND, PEOPLE, SubCounty, Ward, sub_county_of
from schema.compiler.aggregates import Spread, aggregate, group, hexagon, measure, rate, spread, square, totals
from schema.incidents import (
    Incident,
    IncidentCount,
    IncidentKind,
    IncidentSource,
    IncidentStatus,
    Severity,
    incident_entries,
)
from schema.scalars import BBox, GeoJSON


def _first(incident: Any, status: str, of: Any = func.min) -> Any:
    """When an incident first took a status; NULL: never."""
    entry = incident_entries.alias()
    steps = select(of(entry.c.at)).where(entry.c.incident_id == incident.id)
    return steps.where(entry.c.to_status == literal_column(f"'{status}'")).correlate_except(entry).scalar_subquery()


def _last(incident: Any, status: str) -> Any:
    """When an incident last took a status; NULL: never."""
    return _first(incident, status, func.max)


@aggregate(Incident, past=True)
class IncidentStats:
    """How many incidents there are of a kind, in a place, at a time; the caller counts what the caller may see."""

    ward: Ward | None = group("Of one ward; null: on the lake or beyond the border.", lambda incident: incident.ward_id)
    sub_county: SubCounty | None = group(
        "Of one sub-county, by the wards that it has now.",
        lambda incident: sub_county_of(incident.ward_id),
    )
    kind: IncidentKind | None = group("Of one kind.")
    status: IncidentStatus | None = group("Of one status.")
    severity: Severity | None = group("Of one severity.")
    source: IncidentSource | None = group("Of those that came one way.")
    hour: datetime.datetime | None = group(
        "Of one hour in which they happened: when it begins.", lambda incident: periods.hour(incident.occurred_at)
    )
    day: datetime.date | None = group(
        "Of one day on which they happened, midnight to midnight in Kenya (UTC+3).",
        lambda incident: periods.day(incident.occurred_at),
    )
    week: datetime.date | None = group(
        "Of one week in which they happened, in Kenya: its Monday.",
        lambda incident: periods.week(incident.occurred_at),
    )
    month: datetime.date | None = group(
        "Of one month in which they happened, in Kenya: its first day.",
        lambda incident: periods.month(incident.occurred_at),
    )
    hour_of_day: int | None = group(
        "Of one hour of the day at which they happened, in Kenya, 0 to 23.",
        lambda incident: periods.hour_of_day(incident.occurred_at),
    )
    day_of_week: int | None = group(
        "Of one day of the week on which they happened, in Kenya, 1 (Monday) to 7 (Sunday).",
        lambda incident: periods.day_of_week(incident.occurred_at),
    )
    square: GeoJSON | None = square("Of one square of a grid.", lambda incident: incident.location)
    hexagon: GeoJSON | None = hexagon("Of one hexagon of a grid.", lambda incident: incident.location)
    count: int = measure("How many.", lambda incident: func.count())
    wards: int = measure("In how many wards.", lambda incident: func.count(incident.ward_id.distinct()))
    per_km2: float | None = rate(
        "How many for each km² of the ward's or the sub-county's LAND, as gazetted; null where they are grouped by "
        "neither. Of a ward on the shore those on the lake are no part.",
        LAND,
    )
    per_10000_people: float | None = rate(
        "How many for each 10,000 people of the ward or the sub-county, as counted in 2009 (`Ward.populationYear`); "
        "null where they are grouped by neither.",
        PEOPLE,
        times=10_000,
    )
    extent: BBox | None = measure("The box around them.", lambda incident: extent(incident.location))
    centroid: GeoJSON | None = measure(
        "Their middle, a Point: the mean of their coordinates.", lambda incident: centroid(incident.location)
    )
    report_minutes: Spread = spread(
        "Minutes from when they happened until the hub learned of them.",
        lambda incident: periods.minutes(incident.occurred_at, incident.reported_at),
    )
    response_minutes: Spread = spread(
        "Minutes from when the hub learned of them until they were first RESPONDING, of those that were.",
        lambda incident: periods.minutes(incident.reported_at, _first(incident, "responding")),
        present=True,
    )
    close_minutes: Spread = spread(
        "Minutes from when the hub learned of them until they were last CLOSED, of those that are.",
        lambda incident: case(
            (
                incident.status == literal_column("'closed'"),
                periods.minutes(incident.reported_at, _last(incident, "closed")),
            )
        ),
        present=True,
    )
    oldest_reported_at: datetime.datetime | None = measure(
        "When the hub learned of the first of them.", lambda incident: func.min(incident.reported_at)
    )
    newest_reported_at: datetime.datetime | None = measure(
        "When the hub learned of the last of them.", lambda incident: func.max(incident.reported_at)
    )


@totals(IncidentStats)
def incident_stats(incident: Any) -> None:
    """How many incidents you may see, by ward, kind or whatever `groupBy` names; the largest groups first."""


@aggregate(IncidentCount)
class IncidentCountStats:
    """Published counts, added up: what everybody may know of where and when what happens. Only what is published is
    added, so that small numbers stay withheld however it is grouped; and a figure is less than there were."""

    ward: Ward | None = group("Of one ward; null: on the lake or beyond the border.", lambda counted: counted.ward_id)
    sub_county: SubCounty | None = group(
        "Of one sub-county, by the wards that it has now.",
        lambda counted: sub_county_of(counted.ward_id),
    )
    kind: IncidentKind | None = group("Of one kind.")
    day: datetime.date | None = group("Of one day on which they happened, in Kenya.")
    week: datetime.date | None = group(
        "Of one week, in Kenya: its Monday.",
        lambda counted: cast(func.date_trunc(literal_column("'week'"), counted.day), Date),
    )
    month: datetime.date | None = group(
        "Of one month, in Kenya: its first day.",
        lambda counted: cast(func.date_trunc(literal_column("'month'"), counted.day), Date),
    )
    count: int = measure(
        "How many, of those that are published.",
        lambda counted: func.coalesce(func.sum(counted.count), literal_column("0"), type_=BigInteger),
    )


@totals(IncidentCountStats)
def incident_count_stats(counted: Any) -> None:
    """Published counts of incidents added up, for everybody, by ward, kind, week or whatever `groupBy` names."""


ROOTS = (incident_stats, incident_count_stats)
