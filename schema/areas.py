"""The county's administrative units: one county with its lake, 7 sub-counties, 35 wards.

What is true of a unit changes by gazette notice, so names, membership, shapes and figures are dated facts with a source
(`area_names`, `area_memberships`, `area_boundaries`, `area_figures`) that are added to, never overwritten. `counties`,
`sub_counties` and `wards` are their projection on the day of the last refresh: what maps and filters read.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Computed, Date, Double, ForeignKey, Integer, Numeric, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, DATERANGE

from geo.columns import geometry
from schema.compiler.mapping import metadata


def _key() -> Column[object]:
    return Column("id", Uuid, primary_key=True)


def _area(name: str = "area_id") -> Column[object]:
    return Column(name, Uuid, ForeignKey("areas.id", ondelete="restrict"), nullable=False)


def _dated() -> tuple[Column[object], ...]:
    """When a fact holds, who says so, and what to know about it."""
    return (
        Column("valid", DATERANGE, nullable=False),
        Column("source_id", Uuid, ForeignKey("sources.id", ondelete="restrict"), nullable=False),
        Column("note", Text),
    )


sources = Table(
    "sources",
    metadata,
    _key(),
    Column("slug", Text, nullable=False, unique=True),
    Column("title", Text, nullable=False),
    Column("publisher", Text, nullable=False),
    Column("published", Date),
    Column("licence", Text),
    Column("attribution", Text, nullable=False),
    Column("note", Text),
)

areas = Table(
    "areas",
    metadata,
    _key(),
    Column("level", Text, nullable=False),  # county, sub_county, ward; unique with code
    Column("code", Text, nullable=False),
)

area_names = Table(
    "area_names",
    metadata,
    _key(),
    _area(),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),  # official, alias
    *_dated(),
)

area_memberships = Table(
    "area_memberships",
    metadata,
    _key(),
    _area(),
    _area("parent_id"),
    Column("accepted", Boolean, nullable=False),  # false: a source says so, the county does not follow it
    *_dated(),
)

area_boundaries = Table(
    "area_boundaries",
    metadata,
    _key(),
    _area(),
    geometry("boundary", "MULTIPOLYGON"),
    geometry("label_point", "POINT"),
    Column("generalised_meters", Integer),  # null: as surveyed
    *_dated(),
)

area_figures = Table(
    "area_figures",
    metadata,
    _key(),
    _area(),
    Column("figure", Text, nullable=False),  # population, land_area_km2
    Column("value", Numeric, nullable=False),
    Column("as_of", Date, nullable=False),
    Column("source_id", Uuid, ForeignKey("sources.id", ondelete="restrict"), nullable=False),
    Column("note", Text),
)

waters = Table(
    "waters",
    metadata,
    _key(),
    _area("county_id"),
    Column("name", Text, nullable=False),
    geometry("boundary", "MULTIPOLYGON"),
    Column("boundary_json", Text, Computed("st_asgeojson(boundary, 7)", persisted=True), nullable=False),
    Column("area_km2", Double, nullable=False),
    Column("approximate", Boolean, nullable=False),
    *_dated(),
)


def _projected(*columns: Column[object]) -> tuple[Column[object], ...]:
    """What every unit shows: the facts that hold on the day of the last refresh."""
    return (
        Column("id", Uuid, ForeignKey("areas.id", ondelete="restrict"), primary_key=True),
        Column("code", Text, nullable=False, unique=True),
        Column("name", Text, nullable=False),
        Column("aliases", ARRAY(Text), nullable=False),
        *columns,
        Column("population", Integer, nullable=False),
        Column("population_year", Integer, nullable=False),
        Column("area_km2", Double, nullable=False),
        geometry("boundary", "MULTIPOLYGON"),
        Column("boundary_json", Text, Computed("st_asgeojson(boundary, 7)", persisted=True), nullable=False),
        Column("generalised_meters", Integer),
        geometry("label_point", "POINT"),
    )


counties = Table("counties", metadata, *_projected())

sub_counties = Table(
    "sub_counties",
    metadata,
    *_projected(Column("county_id", Uuid, ForeignKey("counties.id", ondelete="restrict"), nullable=False)),
)

wards = Table(
    "wards",
    metadata,
    *_projected(Column("sub_county_id", Uuid, ForeignKey("sub_counties.id", ondelete="restrict"), nullable=False)),
)
