"""The county's administrative units: one county with its lake, 7 sub-counties, 35 wards.

What is true of a unit changes by gazette notice, so names, membership, shapes and figures are dated facts with a source
(`area_names`, `area_memberships`, `area_boundaries`, `area_figures`) that are added to, never overwritten. `counties`,
`sub_counties` and `wards` are their projection on the day of the last refresh: what maps and filters read.
"""

from __future__ import annotations

import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry
from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Computed,
    Date,
    Double,
    ForeignKey,
    Integer,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, DATERANGE

from geo.columns import geometry
from geo.sql import as_geojson, covers, meters_between, nearest_id
from schema import periods
from schema.columns import key
from schema.compiler.mapping import History, Moment, column, computed, entity, many, metadata, one, row, rows
from schema.compiler.nodes import Node
from schema.compiler.paging import Connection
from schema.scalars import GeoJSON, Position


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
    key(),
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
    key(),
    Column("level", Text, nullable=False),  # county, sub_county, ward
    Column("code", Text, nullable=False),
    UniqueConstraint("level", "code"),
)

area_names = Table(
    "area_names",
    metadata,
    key(),
    _area(),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),  # official, alias
    *_dated(),
)

area_memberships = Table(
    "area_memberships",
    metadata,
    key(),
    _area(),
    _area("parent_id"),
    Column("accepted", Boolean, nullable=False),  # false: a source says so, the county does not follow it
    *_dated(),
)

area_boundaries = Table(
    "area_boundaries",
    metadata,
    key(),
    _area(),
    geometry("boundary", "MULTIPOLYGON"),
    geometry("label_point", "POINT"),
    Column("generalised_meters", Integer),  # null: as surveyed
    *_dated(),
    Column("accepted", Boolean, nullable=False, server_default=text("true")),  # false: the county does not follow it
)

area_figures = Table(
    "area_figures",
    metadata,
    key(),
    _area(),
    Column("figure", Text, nullable=False),  # population, land_area_km2
    Column("value", Numeric, nullable=False),
    Column("as_of", Date, nullable=False),
    Column("source_id", Uuid, ForeignKey("sources.id", ondelete="restrict"), nullable=False),
    Column("note", Text),
    UniqueConstraint("area_id", "figure", "as_of", "source_id"),
)

waters = Table(
    "waters",
    metadata,
    key(),
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


@strawberry.enum(description="What kind of name a unit carries.")
class AreaNameKind(Enum):
    OFFICIAL = strawberry.enum_value("official", description="The name in the law that made the unit.")
    ALIAS = strawberry.enum_value("alias", description="Another name or spelling in use.")


@strawberry.enum(description="Which figure of a unit.")
class AreaFigureKind(Enum):
    POPULATION = strawberry.enum_value("population", description="People counted by a census.")
    LAND_AREA_KM2 = strawberry.enum_value("land_area_km2", description="Land area as gazetted, in km².")


@strawberry.enum(description="Level of an administrative unit.")
class AreaLevel(Enum):
    COUNTY = strawberry.enum_value("county", description="The county.")
    SUB_COUNTY = strawberry.enum_value("sub_county", description="A sub-county, in the bounds of a constituency.")
    WARD = strawberry.enum_value("ward", description="A county assembly ward.")


@entity(sources, order=("slug",), lasting=True)
class Source(Node):
    """Where a fact comes from, so that a figure can be defended."""

    id: strawberry.ID = column("Key of the source, a UUIDv7.")
    slug: str = column("Short name of the source, such as `iebc-2012`.")
    title: str = column("Title of the document or data set.")
    publisher: str = column("Who published it.")
    published: datetime.date | None = column("Day of publication, as far as it is known.")
    licence: str | None = column("Licence under which the data may be used.")
    attribution: str = column("How the source wants to be named.")
    note: str | None = column("What a reader should know about the source.")


def _valid_from(fact: Any) -> ColumnElement[Any]:
    """First day on which the fact holds; null if it always did."""
    return func.lower(fact.valid, type_=Date)


def _valid_to(fact: Any) -> ColumnElement[Any]:
    """First day on which the fact no longer holds; null while it does."""
    return func.upper(fact.valid, type_=Date)


@entity(areas, order=("level", "code"), lasting=True)
class Area:
    """An administrative unit of any level."""

    id: strawberry.ID = column("Key of the unit, a UUIDv7: the same as that of its ward, sub-county or county.")
    level: AreaLevel = column("County, sub-county or ward.")
    code: str = column("IEBC code within its level.")

    @computed
    def name(area: Any) -> str:
        """The unit's official name today."""
        names: Any = (
            select(level.c.name).where(level.c.id == area.id).scalar_subquery()
            for level in (wards, sub_counties, counties)
        )
        return func.coalesce(*names)  # type: ignore[return-value]


@entity(area_names, order=("kind", "name"), lasting=True)
class AreaName:
    """A name that a unit has or had, with its days and its source."""

    id: strawberry.ID = column("Key of the fact, a UUIDv7.")
    name: str = column("The name.")
    kind: AreaNameKind = column("Official name or alias.")
    valid_from: datetime.date | None = computed(_valid_from)
    valid_to: datetime.date | None = computed(_valid_to)
    note: str | None = column("What to know about this name.")
    source: Source = one("Who says so.", lambda fact, source: source.id == fact.source_id)


@entity(area_memberships, order=("accepted",), lasting=True)
class AreaMembership:
    """Which unit a unit belongs to, with its days and its source; sources that disagree are kept too."""

    id: strawberry.ID = column("Key of the fact, a UUIDv7.")
    accepted: bool = column("Whether the county follows this source; `false` where sources disagree.")
    parent: Area = one("The unit that it belongs to.", lambda fact, area: area.id == fact.parent_id)
    valid_from: datetime.date | None = computed(_valid_from)
    valid_to: datetime.date | None = computed(_valid_to)
    note: str | None = column("What to know about this membership.")
    source: Source = one("Who says so.", lambda fact, source: source.id == fact.source_id)


@entity(area_boundaries, lasting=True)
class AreaBoundary:
    """A version of a unit's outline, with its days and its source. One is followed on any day."""

    id: strawberry.ID = column("Key of the fact, a UUIDv7.")
    boundary: GeoJSON = column("The outline, a MultiPolygon. It ends at the lake's shore.")
    generalised_meters: int | None = column(
        "How far the outline may lie from the surveyed line, in metres; null: surveyed."
    )
    accepted: bool = column("Whether the county follows it; false: its source draws it so.")
    valid_from: datetime.date | None = computed(_valid_from)
    valid_to: datetime.date | None = computed(_valid_to)
    note: str | None = column("What to know about this outline.")
    source: Source = one("Who drew it.", lambda fact, source: source.id == fact.source_id)


@entity(area_figures, order=("figure", "as_of"), lasting=True)
class AreaFigure:
    """A figure of a unit as a source gives it. Figures of different years are never mixed."""

    id: strawberry.ID = column("Key of the fact, a UUIDv7.")
    figure: AreaFigureKind = column("What was counted or measured.")
    value: float = column("The figure: people, or km².")
    as_of: datetime.date = column("The day that the figure speaks of.")
    note: str | None = column("What to know about this figure.")
    source: Source = one("Who says so.", lambda fact, source: source.id == fact.source_id)


@entity(waters, order=("name",), lasting=True)
class Water(Node):
    """Water that belongs to the county: people drown beyond the shore where the wards end."""

    id: strawberry.ID = column("Key of the water, a UUIDv7.")
    name: str = column("Name of the water.")
    boundary: GeoJSON = column("Its outline, a MultiPolygon.", json="boundary_json")
    area_km2: float = column("Area of this outline, in km².")
    approximate: bool = column("Whether the outline is only an approximation, not a surveyed or legal line.")
    note: str | None = column("How the outline was made.")
    source: Source = one("Who drew it.", lambda water, source: source.id == water.source_id)


def _units(table: Table, level: str) -> History:
    """Units as the facts have them on the day of a moment; one of which something is unknown then is left out, as it is
    now."""
    parent = {"sub_county": "county_id", "ward": "sub_county_id"}.get(level)

    def rows(moment: Moment) -> Any:
        unit = func.areas_on(periods.day(moment.as_of)).table_valued(*_UNIT)
        found = {column.name: unit.c[column.name] for column in _UNIT}
        found["boundary_json"] = as_geojson(unit.c.boundary).label("boundary_json")
        whole = [unit.c.level == literal_column(f"'{level}'")]
        whole += [unit.c[name].is_not(None) for name in ("population", "area_km2", "boundary")]
        if parent is not None:
            found[parent] = unit.c.parent_id.label(parent)
            whole.append(unit.c.parent_id.is_not(None))
        return select(*(found[column.name] for column in table.columns)).where(*whole)

    return History(rows)


_UNIT: tuple[Column[Any], ...] = (
    Column("id", Uuid),
    Column("level", Text),
    Column("code", Text),
    Column("parent_id", Uuid),
    Column("name", Text),
    Column("aliases", ARRAY(Text)),
    Column("population", Integer),
    Column("population_year", Integer),
    Column("area_km2", Double),
    geometry("boundary", "MULTIPOLYGON"),
    Column("generalised_meters", Integer),
    geometry("label_point", "POINT"),
)
"""What the function areas_on() gives (migration 0001)."""


@entity(counties, order=("code",), history=_units(counties, "county"), few=True)
class County(Node):
    """The county, today."""

    id: strawberry.ID = column("Key of the county, a UUIDv7.")
    code: str = column("County code, `042` for Kisumu.")
    name: str = column("Official name.")
    aliases: list[str] = column("Other names and spellings in use.")
    population: int = column("People counted in the year `populationYear`; never scaled to another year.")
    population_year: int = column("Year of the census behind `population`.")
    area_km2: float = column("Land area as gazetted, in km²; water is not in it.")
    boundary: GeoJSON = column(
        "Outline of the land, a MultiPolygon. It ends at the lake's shore.", json="boundary_json"
    )
    generalised_meters: int | None = column(
        "How far the outline may lie from the surveyed line, in metres; null: surveyed."
    )
    label_point: GeoJSON = column("A point inside the outline, for its label.")
    waters: Connection[Water] = many("The county's water.", lambda county, water: water.county_id == county.id)
    sub_counties: Connection[SubCounty] = many(
        "The county's sub-counties.", lambda county, sub_county: sub_county.county_id == county.id
    )


@entity(sub_counties, order=("code",), history=_units(sub_counties, "sub_county"), few=True)
class SubCounty(Node):
    """A sub-county, today; its bounds are those of a constituency."""

    id: strawberry.ID = column("Key of the sub-county, a UUIDv7.")
    code: str = column("IEBC code of the constituency, `238` to `244`.")
    name: str = column("Official name.")
    aliases: list[str] = column("Other names and spellings in use.")
    population: int = column("People counted in the year `populationYear`; never scaled to another year.")
    population_year: int = column("Year of the census behind `population`.")
    area_km2: float = column("Land area as gazetted, in km²; water is not in it.")
    boundary: GeoJSON = column(
        "Outline of the land, a MultiPolygon. It ends at the lake's shore.", json="boundary_json"
    )
    generalised_meters: int | None = column(
        "How far the outline may lie from the surveyed line, in metres; null: surveyed."
    )
    label_point: GeoJSON = column("A point inside the outline, for its label.")
    county: County = one("The county.", lambda sub_county, county: county.id == sub_county.county_id)
    wards: Connection[Ward] = many("Its wards.", lambda sub_county, ward: ward.sub_county_id == sub_county.id)
    names: Connection[AreaName] = many("Its names, with source.", lambda unit, fact: fact.area_id == unit.id)
    memberships: Connection[AreaMembership] = many(
        "Where it belongs, with source.", lambda unit, fact: fact.area_id == unit.id
    )
    boundaries: Connection[AreaBoundary] = many(
        "Its outlines, with source.", lambda unit, fact: fact.area_id == unit.id
    )
    figures: Connection[AreaFigure] = many("Its figures, with source.", lambda unit, fact: fact.area_id == unit.id)


@entity(wards, order=("code",), history=_units(wards, "ward"), few=True)
class Ward(Node):
    """A county assembly ward, today."""

    id: strawberry.ID = column("Key of the ward, a UUIDv7.")
    code: str = column("IEBC code of the ward, `1186` to `1220`.")
    name: str = column("Official name.")
    aliases: list[str] = column("Other names and spellings in use.")
    population: int = column("People counted in the year `populationYear`; never scaled to another year.")
    population_year: int = column("Year of the census behind `population`.")
    area_km2: float = column("Land area as gazetted, in km²; water is not in it.")
    boundary: GeoJSON = column(
        "Outline of the land, a MultiPolygon. It ends at the lake's shore.", json="boundary_json"
    )
    generalised_meters: int | None = column(
        "How far the outline may lie from the surveyed line, in metres; null: surveyed."
    )
    label_point: GeoJSON = column("A point inside the outline, for its label.")
    sub_county: SubCounty = one("The sub-county.", lambda ward, sub_county: sub_county.id == ward.sub_county_id)
    names: Connection[AreaName] = many("Its names, with source.", lambda unit, fact: fact.area_id == unit.id)
    memberships: Connection[AreaMembership] = many(
        "Where it belongs, with source.", lambda unit, fact: fact.area_id == unit.id
    )
    boundaries: Connection[AreaBoundary] = many(
        "Its outlines, with source.", lambda unit, fact: fact.area_id == unit.id
    )
    figures: Connection[AreaFigure] = many("Its figures, with source.", lambda unit, fact: fact.area_id == unit.id)

    @computed
    def distance_meters(
        ward: Any,
        from_: Annotated[
            Position, strawberry.argument(name="from", description="Where to measure from, `[longitude, latitude]`.")
        ],
    ) -> float:
        """Metres from a place to the nearest point of the ward; 0 inside of it."""
        return meters_between(ward.boundary, from_)


LAND = {"ward": (wards, "area_km2"), "sub_county": (sub_counties, "area_km2")}
"""Where figures of a group find the land of its area, as gazetted."""

PEOPLE = {"ward": (wards, "population"), "sub_county": (sub_counties, "population")}
"""Where figures of a group find the people of its area, as counted in 2009."""


def sub_county_of(ward_id: Any) -> Any:
    """The sub-county that a ward belongs to now."""
    ward = wards.alias()
    return select(ward.c.sub_county_id).where(ward.c.id == ward_id).correlate_except(ward).scalar_subquery()


Code = Annotated[str, strawberry.argument(description="IEBC code of the unit.")]
Place = Annotated[Position, strawberry.argument(description="The place, `[longitude, latitude]`.")]


@row(County)
def county(county: Any) -> None:
    """The county that this hub serves."""


@rows(SubCounty)
def sub_counties_(sub_county: Any) -> None:
    """The county's sub-counties."""


@row(SubCounty)
def sub_county(sub_county: Any, code: Code) -> Any:
    """The sub-county with this code, or null."""
    return sub_county.code == code


@rows(Ward)
def wards_(ward: Any) -> None:
    """The county's wards."""


@row(Ward)
def ward(ward: Any, code: Code) -> Any:
    """The ward with this code, or null."""
    return ward.code == code


@row(Ward)
def ward_at(ward: Any, point: Place) -> Any:
    """The ward that holds this place, or null: on the lake and outside of the county. On a border the lower code."""
    return covers(ward.boundary, point)


@row(Ward)
def nearest_ward(ward: Any, point: Place) -> Any:
    """The ward nearest to this place, in true metres: the one that holds it, or the nearest shore from the lake."""
    return ward.id == nearest_id(wards, "boundary", point)


ROOTS = (county, sub_counties_, sub_county, wards_, ward, ward_at, nearest_ward)
"""The root fields of this domain, in the order of the API's table of contents."""
