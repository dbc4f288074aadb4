"""The county's API in plain Python: rows read once from the tables, filtered, ordered and cut by loops.

What the compiler is compared with. It shares nothing with the compiler but the printed schema, which is the contract:
graphql-core executes over it, and what the SDL cannot say (which row belongs to which) stands in `ENTITIES` by hand.
Slow on purpose, so that it can be read and believed.
"""

from __future__ import annotations

import base64
import functools
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import psycopg
import shapely
from graphql import (
    ExecutionResult,
    GraphQLEnumType,
    GraphQLError,
    GraphQLSchema,
    build_schema,
    execute_sync,
    get_named_type,
    parse,
)
from psycopg import sql
from psycopg.rows import dict_row
from shapely.geometry import box, shape


@dataclass(frozen=True)
class Entity:
    """A type of the API: its table, the order of its lists, and where its relations lead."""

    table: str
    order: tuple[str, ...] = ()
    one: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Field -> (entity, own column that holds the other's id)."""
    many: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Field -> (entity, the other's column that holds the own id)."""
    shapes: tuple[str, ...] = ()
    back: dict[str, tuple[str, str]] = field(default_factory=dict)
    """As `many`, of which there is one at most."""
    key: str = "id"


SOURCE = {"source": ("Source", "source_id")}
FACTS = {
    "names": ("AreaName", "area_id"),
    "memberships": ("AreaMembership", "area_id"),
    "boundaries": ("AreaBoundary", "area_id"),
    "figures": ("AreaFigure", "area_id"),
}
UNIT = ("boundary", "label_point")

ENTITIES = {
    "Source": Entity("sources", ("slug",)),
    "Area": Entity("areas", ("level", "code")),
    "AreaName": Entity("area_names", ("kind", "name"), SOURCE),
    "AreaMembership": Entity("area_memberships", ("accepted",), {"parent": ("Area", "parent_id"), **SOURCE}),
    "AreaBoundary": Entity("area_boundaries", (), SOURCE, shapes=UNIT),
    "AreaFigure": Entity("area_figures", ("figure", "as_of"), SOURCE),
    "Water": Entity("waters", ("name",), SOURCE, shapes=("boundary",)),
    "County": Entity(
        "counties",
        ("code",),
        many={"waters": ("Water", "county_id"), "subCounties": ("SubCounty", "county_id")},
        shapes=UNIT,
    ),
    "SubCounty": Entity(
        "sub_counties",
        ("code",),
        {"county": ("County", "county_id")},
        {"wards": ("Ward", "sub_county_id"), **FACTS},
        UNIT,
    ),
    "Ward": Entity("wards", ("code",), {"subCounty": ("SubCounty", "sub_county_id")}, FACTS, UNIT),
    "Person": Entity("people", ("name",)),
    "Incident": Entity(
        "incidents",
        ("reported_at",),
        {"ward": ("Ward", "ward_id"), "reportedBy": ("Person", "reported_by")},
        {"timeline": ("IncidentEntry", "incident_id")},
        ("location",),
        {"reporter": ("IncidentReporter", "incident_id")},
    ),
    "IncidentEntry": Entity("incident_entries", ("at",), {"actor": ("Person", "actor_id")}),
    "IncidentReporter": Entity("incident_reporters"),
    "Department": Entity("departments", ("name",)),
    "Vehicle": Entity(
        "vehicles",
        ("plate",),
        {"department": ("Department", "department_id")},
        back={"latestPosition": ("LatestPosition", "vehicle_id")},
    ),
    "LatestPosition": Entity(
        "latest_positions", (), {"ward": ("Ward", "ward_id")}, shapes=("location",), key="vehicle_id"
    ),
    "Landmark": Entity("landmarks", ("name",), SOURCE, shapes=("location",)),
}

LEFT_OUT = {("Person", "roles"), ("Person", "areas"), ("Incident", "photos"), ("Landmark", "ward")}
"""Fields that are not drawn: what they mean is another matter than filters, orders and pages."""

PAST = {
    "Incident": Entity("incident_versions", shapes=("location",), key="number"),
    "Vehicle": Entity("vehicle_versions", key="number"),
    "LatestPosition": Entity("positions", shapes=("location",)),
}
"""What tells how an entity was: a table of versions, or of all that was measured."""

NO_PAST = {("Incident", "reporter")}
"""Fields that lead to something without a history."""

NEAREST = {
    "nearestVehicles": ("Vehicle", "LatestPosition", "vehicle"),
    "nearestLandmarks": ("Landmark", "Landmark", "landmark"),
}
"""Field -> the entity that is looked for, the one that says where it is, and its field in the answer."""

MEASURED = {"Ward": "boundary", "Incident": "location"}
"""The shape to which `distanceMeters(from:)` measures."""


@dataclass(frozen=True)
class Caller:
    """Somebody who asks: what the policies of `schema/access.py` say of them, once more and by hand."""

    name: str | None
    """How they sign in; None: nobody."""
    roles: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()
    """Codes of wards."""
    incidents: str = "own"
    """Which they see: none, own, area or all."""
    callers: bool = False
    """Whether they see who reported what others entered."""
    fleet: bool = False
    people: str = "own"


CALLERS = (
    Caller(None, incidents="none", people="none"),
    Caller("citizen", ("citizen",)),
    Caller("officer", ("field_officer",), ("1208", "1210"), incidents="area"),
    Caller("administrator-of-ahero", ("ward_administrator",), ("1208",), incidents="area", people="area"),
    Caller("planner", ("planner",), incidents="all", fleet=True),
    Caller("dispatcher", ("dispatcher",), incidents="all", callers=True, fleet=True, people="all"),
)

NODES = (
    "Source",
    "Water",
    "County",
    "SubCounty",
    "Ward",
    "Incident",
    "IncidentEntry",
    "Vehicle",
    "Department",
    "Landmark",
    "Person",
)
"""Entities whose rows `node` finds."""

LISTS = {
    "wards": "Ward",
    "subCounties": "SubCounty",
    "incidents": "Incident",
    "vehicles": "Vehicle",
    "departments": "Department",
    "landmarks": "Landmark",
    "people": "Person",
}
"""Roots that are lists, and of what."""

CURSOR = "a cursor of "
"""What stands in a plain answer where the hub gives a cursor: this, and the row's id."""


class Row(dict[str, Any]):
    """One row of a table, by column."""

    entity: str
    measured: str
    """Under which name its metres are kept: versions of one row stand at several places."""
    county: County
    """Whose row it is: as a caller sees it, at a moment."""

    @property
    def id(self) -> str:
        return str(self["id"])


@dataclass
class County:
    """All rows of the county, and the metres from `places` to their shapes, as PostGIS measures them."""

    rows: dict[str, list[Row]]
    meters: dict[tuple[str, str, tuple[float, float]], float]
    """By what was measured, column and place."""
    posts: dict[Any, set[Any]]
    """The areas that people answer for."""
    past: dict[str, list[Row]]
    """The rows of the tables in `PAST`."""
    today: County | None = None
    """Beside what was: what is."""

    def __post_init__(self) -> None:
        self.rows = {name: [self._mine(row, name) for row in rows] for name, rows in self.rows.items()}

    def _mine(self, row: Row, entity: str) -> Row:
        mine = Row(row)
        mine.entity, mine.measured, mine.county = entity, row.measured, self
        return mine

    def seen_by(self, caller: Caller) -> County:
        """The rows that the policies let somebody see."""
        me = next((row for row in self.rows["Person"] if row["name"] == caller.name), None)
        mine = {row["id"] for row in self.rows["Ward"] if row["code"] in caller.areas}

        def own(row: Row, column: str) -> bool:
            return me is not None and row[column] == me["id"]

        incidents = {
            row["id"]
            for row in self.rows["Incident"]
            if own(row, "reported_by")
            or caller.incidents == "all"
            or (caller.incidents == "area" and row["ward_id"] in mine)
        }
        told = {
            row["incident_id"]
            for row in self.rows["IncidentReporter"]
            if caller.callers or own(self.by_id["Incident", str(row["incident_id"])], "reported_by")
        }
        beside = {row["id"] for row in self.rows["Person"] if self.posts.get(row["id"], set()) & mine}
        seen = dict(self.rows)
        seen["Incident"] = [row for row in self.rows["Incident"] if row["id"] in incidents]
        seen["IncidentEntry"] = [row for row in self.rows["IncidentEntry"] if row["incident_id"] in incidents]
        seen["IncidentReporter"] = [row for row in self.rows["IncidentReporter"] if row["incident_id"] in told]
        for name in ("Vehicle", "LatestPosition", "Department"):
            seen[name] = self.rows[name] if caller.fleet else []
        seen["Person"] = [
            row
            for row in self.rows["Person"]
            if own(row, "id") or caller.people == "all" or (caller.people == "area" and row["id"] in beside)
        ]
        # What an incident was is for whoever it was for then; their own reports do not lead people into the past.
        past = {
            "Incident": [
                row
                for row in self.past["Incident"]
                if caller.incidents == "all" or (caller.incidents == "area" and row["ward_id"] in mine)
            ],
            "Vehicle": self.past["Vehicle"] if caller.fleet else [],
            "LatestPosition": self.past["LatestPosition"] if caller.fleet else [],
        }
        return County(seen, self.meters, self.posts, past)

    def at(self, as_of: datetime | None, known_at: datetime | None) -> County:
        """The county as it was at a moment, as far as was known at another: nothing of what comes after that."""
        if as_of is None and known_at is None:
            return self
        known = known_at or datetime.max.replace(tzinfo=UTC)
        then = min(as_of or known, known)
        rows = dict(self.rows)
        for name in ("Incident", "Vehicle"):
            rows[name] = [row for row in self.past[name] if then in row["valid"] and known in row["known"]]
        rows["IncidentEntry"] = [row for row in self.rows["IncidentEntry"] if row["at"] <= then]
        heard = [
            row
            for row in self.past["LatestPosition"]
            if then - timedelta(days=7) < row["recorded_at"] <= then and row["received_at"] <= known
            if row["doubts"] in ([], ["no_clock"])
        ]
        last: dict[Any, Row] = {}
        for row in sorted(sorted(heard, key=lambda row: str(row["device_id"]), reverse=True), key=_recorded):
            last[row["vehicle_id"]] = row
        rows["LatestPosition"] = list(last.values())
        units = list(self._units(then.astimezone(timezone(timedelta(hours=3))).date()))
        for name, level in (("County", "county"), ("SubCounty", "sub_county"), ("Ward", "ward")):
            rows[name] = [unit for unit in units if unit["level"] == level]
        return County(rows, self.meters, self.posts, self.past, self)

    def _units(self, day: date) -> Iterator[Row]:
        """Counties, sub-counties and wards by the facts of a day; one of which something is unknown is left out."""

        def facts(entity: str, area: Row) -> list[Row]:
            return [row for row in self.rows[entity] if row["area_id"] == area["id"]]

        def figure(area: Row, called: str) -> Row | None:
            """The latest that speaks of the day or earlier; of two sources the one published later."""
            spoken = [row for row in facts("AreaFigure", area) if row["figure"] == called and row["as_of"] <= day]
            published = {row["id"]: self.by_id["Source", str(row["source_id"])]["published"] for row in spoken}
            return max(
                spoken,
                key=lambda row: (row["as_of"], published[row["id"]] or date.min, row["id"]),
                default=None,
            )

        for area in self.rows["Area"]:
            names = [row for row in facts("AreaName", area) if day in row["valid"]]
            official = next((row["name"] for row in names if row["kind"] == "official"), None)
            memberships = [row for row in facts("AreaMembership", area) if row["accepted"] and day in row["valid"]]
            outlines = [row for row in facts("AreaBoundary", area) if row["accepted"] and day in row["valid"]]
            people, land = figure(area, "population"), figure(area, "land_area_km2")
            if official is None or not outlines or people is None or land is None:
                continue
            if not memberships and area["level"] != "county":
                continue
            (outline,) = outlines
            drawn = ("boundary", "boundary_json", "label_point", "label_point_json", "generalised_meters")
            unit = Row({column: outline[column] for column in drawn})
            unit.measured = outline.measured
            unit.update(
                id=area["id"],
                level=area["level"],
                code=area["code"],
                name=official,
                aliases=sorted(row["name"] for row in names if row["kind"] == "alias"),
                population=int(people["value"]),
                population_year=people["as_of"].year,
                area_km2=float(land["value"]),
            )
            for column in ("county_id", "sub_county_id"):
                unit[column] = memberships[0]["parent_id"] if memberships else None
            yield unit

    @functools.cached_property
    def by_id(self) -> dict[tuple[str, str], Row]:
        return {(name, row.id): row for name, rows in self.rows.items() for row in rows}

    @functools.cached_property
    def _by_column(self) -> dict[tuple[str, str], dict[str, list[Row]]]:
        return {}

    def related(self, entity: str, column: str, id_: str) -> list[Row]:
        """The rows whose column holds an id."""
        if (entity, column) not in self._by_column:
            sorted_: dict[str, list[Row]] = {}
            for row in self.rows[entity]:
                sorted_.setdefault(str(row[column]), []).append(row)
            self._by_column[entity, column] = sorted_
        return self._by_column[entity, column].get(id_, [])


def _recorded(row: Row) -> Any:
    return row["recorded_at"]


def read_county(url: str, places: Sequence[tuple[float, float]]) -> County:
    """One query for each table, and one for each shape's distances."""
    meters: dict[tuple[str, str, tuple[float, float]], float] = {}
    with psycopg.connect(url, row_factory=dict_row) as connection:
        rows = {name: _read(connection, name, entity, places, meters) for name, entity in ENTITIES.items()}
        past = {name: _read(connection, name, entity, places, meters) for name, entity in PAST.items()}
        posts: dict[Any, set[Any]] = {}
        for found in connection.execute("select person_id, area_id from person_areas where until is null"):
            posts.setdefault(found["person_id"], set()).add(found["area_id"])
    return County(rows, meters, posts, past)


def _read(
    connection: psycopg.Connection[Any],
    name: str,
    entity: Entity,
    places: Sequence[tuple[float, float]],
    meters: dict[tuple[str, str, tuple[float, float]], float],
) -> list[Row]:
    table = sql.Identifier(entity.table)
    dated = sql.SQL(", lower(valid) as valid_from, upper(valid) as valid_to") if _dated(name) else sql.SQL("")
    drawn = sql.SQL("").join(
        sql.SQL(", st_asbinary({0}) as {1}, st_asgeojson({0}, 7) as {2}").format(
            sql.Identifier(column), sql.Identifier(column), sql.Identifier(f"{column}_json")
        )
        for column in entity.shapes
    )
    rows = []
    for found in connection.execute(sql.SQL("select *{}{} from {}").format(dated, drawn, table)):
        row = Row(found)
        row.measured = f"{entity.table} {row[entity.key]}"
        row["id"] = row[ENTITIES[name].key]
        for column in entity.shapes:
            row[column] = shapely.from_wkb(bytes(row[column]))
        rows.append(row)
    for column in entity.shapes:
        distances = connection.execute(
            sql.SQL(
                "select {} as key, x, y, "
                "st_distance({}::geography, st_setsrid(st_makepoint(x, y), 4326)::geography) as meters "
                "from {}, unnest(%s::float8[], %s::float8[]) as place (x, y)"
            ).format(sql.Identifier(entity.key), sql.Identifier(column), table),
            ([x for x, _ in places], [y for _, y in places]),
        )
        for found in distances:
            meters[f"{entity.table} {found['key']}", column, (found["x"], found["y"])] = found["meters"]
    return rows


def _dated(name: str) -> bool:
    return name in ("AreaName", "AreaMembership", "AreaBoundary", "Water")


# -- the API -----------------------------------------------------------------------------------------------------------


class Plain:
    """Answers operations by loops over `county`."""

    def __init__(self, sdl: str, county: County) -> None:
        self.county = county
        self.schema: GraphQLSchema = build_schema(sdl)
        for name, type_ in self.schema.type_map.items():
            if name in ENTITIES:
                for field_name, definition in type_.fields.items():  # type: ignore[attr-defined]
                    definition.resolve = functools.partial(self._field, name, field_name)
        self.schema.get_type("Node").resolve_type = lambda row, *_: row.entity  # type: ignore[union-attr]
        query = self.schema.query_type
        assert query is not None
        query.fields["node"].resolve = self._node
        for root in ("county", "ward", "subCounty", "wardAt", "nearestWard", "nearestVehicles"):
            query.fields[root].resolve = getattr(self, f"_{root}")
        for root, listed in LISTS.items():
            query.fields[root].resolve = functools.partial(self._list, listed)
        query.fields["incident"].resolve = functools.partial(self._by_key, "Incident")
        query.fields["vehicle"].resolve = functools.partial(self._by_key, "Vehicle")

    def answer(self, document: str, variables: dict[str, Any], operation_name: str | None = None) -> ExecutionResult:
        return execute_sync(
            self.schema, parse(document), variable_values=variables, operation_name=operation_name, root_value={}
        )

    # -- root fields

    def _then(self, arguments: dict[str, Any]) -> County:
        """The county of the moment that the arguments say, which they lose."""
        moments = (arguments.pop(name, None) for name in ("asOf", "knownAt"))
        as_of, known_at = (moment and datetime.fromisoformat(moment) for moment in moments)
        return self.county.at(as_of, known_at)

    def _list(self, entity: str, _root: Any, _info: Any, **arguments: Any) -> Any:
        county = self._then(arguments)
        return self._page(county, entity, county.rows[entity], arguments)

    def _by_key(self, entity: str, _root: Any, _info: Any, **arguments: Any) -> Any:
        county = self._then(arguments)
        ((name, value),) = arguments.items()
        value = value.lower() if name == "id" else value
        return next((row for row in county.rows[entity] if str(row[name]) == value), None)

    def _nearestVehicles(self, _root: Any, _info: Any, to: Sequence[float], **arguments: Any) -> Any:
        return self._nearest(self.county, "nearestVehicles", to, arguments)

    def _nearest(self, county: County, name: str, to: Sequence[float], arguments: dict[str, Any]) -> Any:
        entity, placed, member = NEAREST[name]
        found = []
        for place in county.rows[placed]:
            row = county.by_id.get((entity, place.id))
            if row is not None and self.holds(entity, row, arguments.get("where") or {}):
                found.append((self._meters(place, "location", to), row["id"], row))
        first = arguments.get("first")
        best = sorted(found, key=lambda each: each[:2])[: 5 if first is None else first]
        return [{"distanceMeters": meters, member: row} for meters, _, row in best]

    def _node(self, _root: Any, _info: Any, id: str) -> Any:
        found = (self.county.by_id.get((entity, id.lower())) for entity in NODES)
        return next((row for row in found if row is not None), None)

    def _county(self, _root: Any, _info: Any, **moment: Any) -> Any:
        return min(self._then(moment).rows["County"], key=lambda row: (row["code"], row.id), default=None)

    def _ward(self, _root: Any, _info: Any, code: str, **moment: Any) -> Any:
        return next((row for row in self._then(moment).rows["Ward"] if row["code"] == code), None)

    def _subCounty(self, _root: Any, _info: Any, code: str, **moment: Any) -> Any:
        return next((row for row in self._then(moment).rows["SubCounty"] if row["code"] == code), None)

    def _wardAt(self, _root: Any, _info: Any, point: Sequence[float], **moment: Any) -> Any:
        place = shapely.Point(point)
        holding = [row for row in self._then(moment).rows["Ward"] if row["boundary"].covers(place)]
        return min(holding, key=lambda row: (row["code"], row.id), default=None)

    def _nearestWard(self, _root: Any, _info: Any, point: Sequence[float], **moment: Any) -> Any:
        return min(
            self._then(moment).rows["Ward"],
            key=lambda row: (self._meters(row, "boundary", point), row.id),
            default=None,
        )

    # -- fields

    def _field(self, entity: str, name: str, row: Row, _info: Any, **arguments: Any) -> Any:
        declared = ENTITIES[entity]
        if name in declared.one or name in declared.back:
            return self._other(row, name)
        if name in declared.many:
            target, column = declared.many[name]
            return self._page(row.county, target, row.county.related(target, column, row.id), arguments)
        if name in NEAREST:
            return self._nearest(row.county, name, (row["location"].x, row["location"].y), arguments)
        if name == "distanceMeters":
            return self._meters(row, MEASURED[entity], arguments["from"])
        if (entity, name) == ("Area", "name"):
            today = row.county.today or row.county
            units = (today.by_id.get((unit, row.id)) for unit in ("Ward", "SubCounty", "County"))
            return next(unit["name"] for unit in units if unit)
        column = snake(name)
        value = row[column]
        if column in declared.shapes:
            return json.loads(row[f"{column}_json"])
        if self._is_enum(entity, name):
            return value and value.upper()
        if isinstance(value, uuid.UUID):
            return str(value)
        if isinstance(value, Decimal):
            return float(value)
        if isinstance(value, datetime):
            return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
        return value.isoformat() if hasattr(value, "isoformat") else value

    def _other(self, row: Row, name: str) -> Row | None:
        """The one row that a relation leads to."""
        declared = ENTITIES[row.entity]
        if name in declared.one:
            target, column = declared.one[name]
            return row.county.by_id.get((target, str(row[column])))
        target, column = declared.back[name]
        return next(iter(row.county.related(target, column, row.id)), None)

    def _is_enum(self, entity: str, name: str) -> bool:
        return isinstance(get_named_type(self.schema.type_map[entity].fields[name].type), GraphQLEnumType)  # type: ignore[attr-defined]

    def _meters(self, row: Row, column: str, place: Sequence[float]) -> float:
        return self.county.meters[row.measured, column, (float(place[0]), float(place[1]))]

    # -- lists

    def _page(self, county: County, entity: str, rows: Iterable[Row], arguments: dict[str, Any]) -> dict[str, Any]:
        first, last = arguments.get("first"), arguments.get("last")
        if first is not None and last is not None:
            raise GraphQLError("first and last")
        for size in (first, last):
            if size is not None and not 0 <= size <= 5000:
                raise GraphQLError("size")
        where = arguments.get("where") or {}
        listed = [row for row in rows if self.holds(entity, row, where)]
        before_ = functools.cmp_to_key(functools.partial(self._compare, self._keys(entity, arguments.get("orderBy"))))
        listed.sort(key=before_)
        page = listed
        for name in ("after", "before"):
            cursor = arguments.get(name)
            if cursor is not None:
                at = before_(county.by_id[entity, id_in(cursor, {row.id for row in county.rows[entity]})])
                page = [row for row in page if (before_(row) > at if name == "after" else before_(row) < at)]
        rest = page
        page = page[len(page) - min(last, len(page)) :] if last is not None else page[: 50 if first is None else first]
        preceding, following = self._around(listed, rest, page, arguments, before_)
        ends = (CURSOR + page[0].id, CURSOR + page[-1].id) if page else (None, None)
        return {
            "totalCount": len(listed),
            "nodes": page,
            "edges": [
                {"cursor": CURSOR + row.id, "node": row, "distanceMeters": self._distance(row, arguments)}
                for row in page
            ],
            "pageInfo": {
                "hasNextPage": following,
                "hasPreviousPage": preceding,
                "startCursor": ends[0],
                "endCursor": ends[1],
            },
        }

    def _distance(self, row: Row, arguments: dict[str, Any]) -> float | None:
        """By the first key of the order that is a distance."""
        for item in arguments.get("orderBy") or ():
            names, direction = _path(item)
            if isinstance(direction, dict):
                return self._key(row.entity, names, direction)(row)
        return None

    def _around(
        self, listed: list[Row], rest: list[Row], page: list[Row], arguments: dict[str, Any], key: Any
    ) -> tuple[bool, bool]:
        """Whether rows of the list stand before the page, and after it."""
        if page:
            return key(listed[0]) < key(page[0]), key(listed[-1]) > key(page[-1])
        # An empty page stands where its cursors and its direction say.
        preceding = following = False
        if rest:  # a page of no rows
            preceding, following = (True, False) if arguments.get("last") is not None else (False, True)
        county = listed[0].county if listed else self.county
        ids = {row.id for row in county.rows[listed[0].entity]} if listed else set()
        for name in ("after", "before"):
            cursor = arguments.get(name)
            if cursor is not None and listed:
                at = key(county.by_id[listed[0].entity, id_in(cursor, ids)])
                if name == "after":
                    preceding = preceding or any(not key(row) > at for row in listed)
                else:
                    following = following or any(not key(row) < at for row in listed)
        return preceding, following

    def _keys(self, entity: str, order_by: list[dict[str, Any]] | None) -> list[tuple[Any, bool]]:
        """Functions from a row to a value, and whether it falls."""
        keys: list[tuple[Any, bool]] = []
        named = set()
        for item in order_by or ():
            names, direction = _path(item)
            named.add(".".join(names))
            keys.append((self._key(entity, names, direction), direction == "DESC"))
        if not keys:
            keys = [(functools.partial(_column, column), False) for column in ENTITIES[entity].order]
        if "id" not in named:
            keys.append((functools.partial(_column, "id"), False))
        return keys

    def _key(self, entity: str, names: list[str], direction: Any) -> Any:
        """A function from a row to the value that it stands by: of its own, or of the row that relations lead to."""
        *through, name = names

        def value(row: Row) -> Any:
            for relation in through:
                other = self._other(row, relation)
                if other is None:
                    return None
                row = other
            if isinstance(direction, dict):
                return self._meters(row, snake(name), direction["distance"]["from"])
            return row[snake(name)]

        return value

    @staticmethod
    def _compare(keys: list[tuple[Any, bool]], one: Row, other: Row) -> int:
        """Missing values are the greatest: last in a rising order, first in a falling one."""
        for key, falls in keys:
            left, right = key(one), key(other)
            if left == right:
                continue
            greater = left is None or (right is not None and left > right)
            return 1 if greater is not falls else -1
        return 0

    # -- conditions

    def holds(self, entity: str, row: Row, where: dict[str, Any]) -> bool:
        """Whether a row fulfils a filter."""
        return all(self._holds(entity, row, name, value) for name, value in where.items())

    def _holds(self, entity: str, row: Row, name: str, value: Any) -> bool:
        declared = ENTITIES[entity]
        if name == "and":
            return all(self.holds(entity, row, each) for each in value)
        if name == "or":
            return any(self.holds(entity, row, each) for each in value)
        if name == "not":
            return not self.holds(entity, row, value)
        if name in declared.one or name in declared.back:
            other = self._other(row, name)
            return other is not None and self.holds(other.entity, other, value)
        if name in declared.many:
            target, column = declared.many[name]
            others = row.county.related(target, column, row.id)
            for quantifier, inner in value.items():
                found = [self.holds(target, other, inner) for other in others]
                if not {"some": any(found), "every": all(found), "none": not any(found)}[quantifier]:
                    return False
            return True
        column = snake(name)
        if column in declared.shapes:
            return all(self._spatial(row, column, operator, given) for operator, given in value.items())
        if name == "aliases":
            return all(_texts(row[column], operator, given) for operator, given in value.items())
        enum = self._is_enum(entity, name)
        return all(_scalar(row[column], operator, given, enum) for operator, given in value.items())

    def _spatial(self, row: Row, column: str, operator: str, value: Any) -> bool:
        drawn = row[column]
        match operator:
            case "isNull":
                return (drawn is None) is value
            case "bbox":
                return bool(drawn.intersects(box_of(*value)))
            case "within":
                return bool(drawn.covered_by(shape(value)))
            case "intersects":
                return bool(drawn.intersects(shape(value)))
            case "near":
                return self._meters(row, column, value["point"]) <= value["meters"]
        raise AssertionError(operator)


def box_of(west: float, south: float, east: float, north: float) -> shapely.Geometry:
    """A box; without width or height it is a line or a point."""
    corners = [(west, south), (east, north)]
    if west == east or south == north:
        return shapely.Point(corners[0]) if corners[0] == corners[1] else shapely.LineString(corners)
    return box(west, south, east, north)


def _path(item: dict[str, Any]) -> tuple[list[str], Any]:
    """`{ subCounty: { name: DESC } }` as the names that lead to the value, and the direction, or a distance."""
    names: list[str] = []
    given: Any = item
    while isinstance(given, dict) and "distance" not in given:
        ((name, given),) = given.items()
        names.append(name)
    return names, given


def _column(column: str, row: Row) -> Any:
    return row[column]


def _scalar(value: Any, operator: str, given: Any, enum: bool) -> bool:
    if operator == "isNull":
        return (value is None) is given
    if operator in ("in", "notIn"):
        found = value is not None and any(value == _like(value, each, enum) for each in given)
        return found if operator == "in" else not found
    if value is None:
        return operator == "ne"
    given = _like(value, given, enum)
    match operator:
        case "eq":
            return bool(value == given)
        case "ne":
            return bool(value != given)
        case "lt":
            return bool(value < given)
        case "lte":
            return bool(value <= given)
        case "gt":
            return bool(value > given)
        case "gte":
            return bool(value >= given)
        case "contains":
            return given.lower() in value.lower()
        case "startsWith":
            return bool(value.lower().startswith(given.lower()))
    raise AssertionError(operator)


def _like(value: Any, given: Any, enum: bool) -> Any:
    """What a filter gives, as a value of the column's kind."""
    if enum:
        return given.lower()
    if isinstance(value, uuid.UUID):
        return uuid.UUID(given)
    if isinstance(value, Decimal):
        return Decimal(repr(given))
    if hasattr(value, "isoformat"):
        return type(value).fromisoformat(given)
    return given


def _texts(values: list[str], operator: str, given: str) -> bool:
    if operator == "has":
        return any(value.lower() == given.lower() for value in values)
    return any(given.lower() in value.lower() for value in values)


def snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def id_in(cursor: str, ids: set[str]) -> str:
    """The id of the row that a cursor of the hub speaks of: all that the plain side knows about cursors."""
    return next((part for part in json.loads(base64.b64decode(cursor)) if part in ids), "")
