"""Random operations that the printed schema allows: drawn from its types, with values of the county's own rows.

Nothing here knows what an operation means. Lists may be walked: such a list is asked once without cursors, then again
from real ones (`Operation.document(cursors)`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
)
from hypothesis import strategies as st

from tests.schema.plain import LEFT_OUT, NO_PAST, NODES, County, snake

T = TypeVar("T")

ROOTS = (
    *("wards", "subCounties", "vehicles", "landmarks", "people") * 2,
    *("incidents",) * 6,
    *(
        "county",
        "ward",
        "subCounty",
        "wardAt",
        "nearestWard",
        "nearestVehicles",
        "departments",
        "incident",
        "vehicle",
        "node",
    ),
)
BY_KEY = {"incident": ("Incident", ("id", "reference")), "vehicle": ("Vehicle", ("id", "plate"))}
"""Roots that take one of two keys."""
MOMENTS = ("asOf", "knownAt")
"""Arguments that lead a root, and all below it, into the past."""
ROWS = {
    "Ward": 7,
    "SubCounty": 7,
    "AreaName": 3,
    "AreaMembership": 2,
    "AreaBoundary": 2,
    "AreaFigure": 3,
    "Water": 2,
    "IncidentEntry": 3,
}
"""About how many rows a nested list brings, so that answers stay small."""
MOST_ROWS = 900
TEXTS = (
    "",
    "a",
    "e",
    "Kisumu",
    "KANO",
    "/",
    "'",
    '"',
    "\\",
    "%",
    "_",
    "%a",
    "\n",
    "É",
    "😀",
    "zzz",
    " ",
    "ward",
    "West",
)


@dataclass
class Scope:
    """Where fields are collected: a response key means one thing in it."""

    type: GraphQLObjectType | GraphQLInterfaceType
    prefix: str = ""
    """In a fragment, every key gets it: a fragment may be spread beside anything."""
    fields: dict[str, Drafted] = field(default_factory=dict)
    past: int = 0
    """Under a root of the past, a number for that root: a fragment of one moment's is not spread in another's."""


@dataclass
class Drafted:
    """A field with its arguments: the same wherever its key comes again."""

    key: str
    name: str
    arguments: dict[str, str]
    scope: Scope | None
    walk: Walk | None = None


@dataclass
class Walk:
    """A list that is asked from cursors: where in the list they stand, from 0 to 1."""

    number: int
    cursors: dict[str, float]
    by_variable: bool
    page: dict[str, str]

    @property
    def key(self) -> str:
        return f"walk{self.number}"


@dataclass(repr=False)
class Operation:
    """A drawn document with its variables."""

    name: str | None
    beside: str
    items: list[Any]
    fragments: dict[str, tuple[str, list[Any]]]
    definitions: dict[str, str]
    variables: dict[str, Any]
    walks: list[Walk]

    def document(self, cursors: dict[str, list[str]] | None = None) -> tuple[str, dict[str, Any]]:
        """The text and the variables; before the cursors are known, walked lists bring theirs."""
        given = dict(self.variables)
        body = _rendered(self.items, cursors, given)
        parts = [self.beside, "", body]
        parts += [f"fragment {name} on {on} {_rendered(items, cursors, given)}" for name, (on, items) in self._spread()]
        text = "\n".join(parts)
        cursor_names = {f"{walk.key}_{side}": "String" for walk in self.walks for side in walk.cursors}
        used = {
            name: type_
            for name, type_ in {**self.definitions, **cursor_names}.items()
            if re.search(rf"\${name}\b", text)
        }
        listed = ", ".join(f"${name}: {type_}" for name, type_ in used.items())
        parts[1] = f"query {self.name or ''}" + (f"({listed})" if listed else "")
        return "\n".join(part for part in parts if part), {name: value for name, value in given.items() if name in used}

    def __repr__(self) -> str:
        return "An operation: {}\n{}".format(*self.document({}))

    def _spread(self) -> list[tuple[str, tuple[str, list[Any]]]]:
        """The fragments that are spread somewhere; the others would be refused."""
        found: dict[str, tuple[str, list[Any]]] = {}

        def look(items: list[Any]) -> None:
            for item in items:
                if item[0] == "spread" and item[1] not in found:
                    found[item[1]] = self.fragments[item[1]]
                    look(self.fragments[item[1]][1])
                elif item[0] != "spread":
                    look(item[3])

        look(self.items)
        return list(found.items())


def _rendered(items: list[Any], cursors: dict[str, list[str]] | None, variables: dict[str, Any]) -> str:
    parts = []
    for kind, what, directives, below in items:
        if kind == "spread":
            parts.append(f"...{what}{directives}")
        elif kind == "inline":
            parts.append(f"...{f' on {what}' if what else ''}{directives} {_rendered(below, cursors, variables)}")
        else:
            parts.append(_rendered_field(what, directives, below, cursors, variables))
    return "{ " + " ".join(parts) + " }"


def _rendered_field(
    drafted: Drafted,
    directives: str,
    below: list[Any],
    cursors: dict[str, list[str]] | None,
    variables: dict[str, Any],
) -> str:
    arguments = dict(drafted.arguments)
    more = ""
    if drafted.walk is not None and cursors is None:
        arguments["first"] = "100"
        more = f" {drafted.walk.key}: edges {{ cursor }}"
    elif drafted.walk is not None and cursors is not None:
        arguments.update(drafted.walk.page)
        listed = cursors.get(drafted.walk.key, [])
        for side, place in drafted.walk.cursors.items():
            if listed:
                cursor = listed[min(int(place * len(listed)), len(listed) - 1)]
                arguments[side] = json.dumps(cursor)
                if drafted.walk.by_variable:
                    arguments[side] = f"${drafted.walk.key}_{side}"
                    variables[f"{drafted.walk.key}_{side}"] = cursor
    text = drafted.name if drafted.key == drafted.name else f"{drafted.key}: {drafted.name}"
    if arguments:
        text += f"({', '.join(f'{name}: {value}' for name, value in arguments.items())})"
    text += directives
    if drafted.scope is not None:
        text += " " + _rendered(below, cursors, variables)[:-2] + more + " }"
    return text


class Values:
    """What filters and arguments are filled with: values of the county's rows, and some that no row has."""

    def __init__(self, county: County, places: Sequence[tuple[float, float]], areas: Sequence[Any]) -> None:
        self.county = county
        self.places = places
        self.areas = areas
        self.moments = moments(county)
        self.meters = (0.5, 500, 2500.25, 10000, 40000, 200000)
        points = [row["label_point"] for row in county.rows["Ward"]]
        self.edges = sorted({point.x for point in points}), sorted({point.y for point in points})

    def of(self, entity: str, name: str) -> list[Any]:
        column = snake(name)
        return sorted({row[column] for row in self.county.rows[entity] if row[column] is not None})


def moments(county: County) -> list[datetime]:
    """When something changed, was learned or was measured, and right before and after it."""
    versions = [
        row[span] for name in ("Incident", "Vehicle") for row in county.past[name] for span in ("valid", "known")
    ]
    happened = {end for span in versions for end in (span.lower, span.upper) if end is not None}
    happened |= {row[column] for row in county.past["LatestPosition"] for column in ("recorded_at", "received_at")}
    happened |= {row["at"] for row in county.rows["IncidentEntry"]}
    return sorted({moment + timedelta(microseconds=off) for moment in happened for off in (-1, 0, 1)})


class Draft:
    """One operation in the making."""

    def __init__(self, number: Callable[[int, int], int], schema: GraphQLSchema, values: Values) -> None:
        self.number = number  # from and to, both included
        self.schema = schema
        self.values = values
        self.definitions: dict[str, str] = {}
        self.variables: dict[str, Any] = {}
        self.known: dict[tuple[str, str], list[str]] = {}
        self.fragments: dict[str, tuple[str, list[Any]]] = {}
        self.spreadable: dict[tuple[str, int], list[str]] = {}
        self.walks: list[Walk] = []
        self.count = 0
        self.depth = 0
        self.past = 0

    def chance(self, percent: int) -> bool:
        return self.number(0, 99) >= 100 - percent

    def pick(self, options: Sequence[T]) -> T:
        return options[self.number(0, len(options) - 1)]

    def some(self, options: Sequence[T], most: int) -> list[T]:
        rest = list(options)
        return [rest.pop(self.number(0, len(rest) - 1)) for _ in range(min(self.number(1, most), len(rest)))]

    def next(self) -> int:
        self.count += 1
        return self.count

    def operation(self) -> Operation:
        query = self.schema.query_type
        assert query is not None
        items = self.selections(Scope(query), depth=0, rows=1)
        name, beside = None, ""
        if self.chance(15):
            name = "Asked"
            beside = self.pick(
                ("", "query Other { county { id } }", "query Other($n: Int) { wards(first: $n) { totalCount } }")
            )
        return Operation(name, beside, items, self.fragments, self.definitions, self.variables, self.walks)

    # -- selections

    def selections(self, scope: Scope, depth: int, rows: int) -> list[Any]:
        items = []
        for _ in range(self.number(1, 3 if depth < 2 else 2)):
            kind = self.number(0, 99)
            if isinstance(scope.type, GraphQLInterfaceType) and kind < 70:
                # Keys of their own: a response key means one thing for all types of an interface.
                on = self.schema.type_map[self.pick(NODES)]
                below = self.selections(Scope(on, f"n{self.next()}_", past=scope.past), depth + 1, rows)
                items.append(("inline", on.name, self.directives(), below))
            elif kind < 80 or depth > 6:
                items.append(self.field(scope, depth, rows))
            elif kind < 90:
                on = self.pick((scope.type.name, None))
                items.append(("inline", on, self.directives(), self.selections(scope, depth + 1, rows)))
            else:
                items.append(("spread", self.fragment(scope, depth, rows), self.directives(), []))
        return items

    def fragment(self, scope: Scope, depth: int, rows: int) -> str:
        name = scope.type.name
        known = self.spreadable.setdefault((name, scope.past), [])
        if known and self.chance(40):
            return self.pick(known)
        number = self.next()
        items = self.selections(Scope(scope.type, f"f{number}_", past=scope.past), depth + 1, rows)
        self.fragments[f"F{number}"] = (name, items)
        known.append(f"F{number}")
        return f"F{number}"

    def directives(self) -> str:
        text = ""
        if self.chance(10):
            for name in self.some(("skip", "include"), 2):
                text += f" @{name}(if: {self.value(GraphQLNonNull(self.schema.type_map['Boolean']))})"
        return text

    def field(self, scope: Scope, depth: int, rows: int) -> Any:
        drafted = None
        if scope.fields and self.chance(15):
            drafted = self.pick(list(scope.fields.values()))
        elif depth > 0 and self.chance(6):
            drafted = Drafted(f"{scope.prefix}__typename", "__typename", {}, None)
        else:
            drafted = self.new_field(scope, rows)
        drafted = scope.fields.setdefault(drafted.key, drafted)
        below = []
        if drafted.scope is not None:
            more = rows * (ROWS.get(_listed(drafted.scope.type), 2) if _is_list(drafted.scope.type) else 1)
            below = self.selections(drafted.scope, depth + 1, more)
        return ("field", drafted, self.directives(), below)

    def new_field(self, scope: Scope, rows: int) -> Drafted:
        fields = scope.type.fields
        names = list(ROOTS) if scope.type is self.schema.query_type else self.known_fields(scope.type)
        if scope.past:
            names = [name for name in names if (scope.type.name, name) not in NO_PAST]
        if rows > MOST_ROWS:
            names = [name for name in names if is_leaf_type(get_named_type(fields[name].type))] or names
        relations = [name for name in names if not is_leaf_type(get_named_type(fields[name].type))]
        name = self.pick(relations) if relations and self.chance(40) else self.pick(names)
        type_ = get_named_type(fields[name].type)
        plain = not fields[name].args
        key = name
        if scope.prefix or not plain or self.chance(15):
            key = f"{scope.prefix}{name}{self.next() if not plain or self.chance(50) else ''}"
        below = Scope(type_) if isinstance(type_, (GraphQLObjectType, GraphQLInterfaceType)) else None
        self.past = scope.past
        then = {
            moment: self.value(fields[name].args[moment].type, name=moment)
            for moment, percent in zip(MOMENTS, (30, 20), strict=True)
            if moment in fields[name].args and self.chance(percent)
        }
        if then:
            self.past = self.next()
        if below is not None:
            below.past = self.past
        arguments, walk = self.arguments(
            {name: definition for name, definition in fields[name].args.items() if name not in MOMENTS}, name
        )
        return Drafted(key, name, {**arguments, **then}, below, walk)

    def known_fields(self, type_: GraphQLObjectType | GraphQLInterfaceType) -> list[str]:
        """Those whose meaning the plain side knows."""
        return [
            name
            for name, field in type_.fields.items()
            if (type_.name, name) not in LEFT_OUT
            and _target(get_named_type(field.type)) in (None, *self.values.county.rows)
            and not {"from", "to"} <= set(field.args)
        ]

    def arguments(self, definitions: Any, root: str) -> tuple[dict[str, str], Walk | None]:
        if root in BY_KEY and definitions:
            entity, keys = BY_KEY[root]
            key = self.pick(keys)
            return {key: self.value(GraphQLNonNull(definitions[key].type), entity=entity, name=key)}, None
        if "orderBy" not in definitions:
            entity = (
                get_named_type(definitions["where"].type).name.removesuffix("Filter") if "where" in definitions else ""
            )
            return {
                name: self.argument("few" if name == "first" else name, definition.type, entity)
                for name, definition in definitions.items()
                if isinstance(definition.type, GraphQLNonNull) or self.chance(60)
            }, None
        arguments: dict[str, str] = {}
        entity = get_named_type(definitions["where"].type).name.removesuffix("Filter")
        if self.chance(55):
            arguments["where"] = self.value(definitions["where"].type, entity=entity)
        if self.chance(60):
            arguments["orderBy"] = self.value(definitions["orderBy"].type, entity=entity)
        page: dict[str, str] = {}
        if self.chance(50):
            side = self.pick(("first", "first", "last"))
            page[side] = self.value(definitions[side].type, name="page")
        for name in ("where", "orderBy", "first", "last", "after", "before"):
            if name not in arguments and name not in page and self.chance(2):
                page[name] = self.pick(("null", self.nothing(definitions[name].type)))
        if self.chance(30):
            sides = self.some(("after", "before"), 2)
            walk = Walk(
                self.next(),
                {side: self.number(0, 100) / 100 for side in sides},
                self.chance(50),
                {name: value for name, value in page.items() if name not in sides},
            )
            self.walks.append(walk)
            return arguments, walk
        return {**arguments, **page}, None

    def nothing(self, type_: GraphQLInputType) -> str:
        """A variable that is not sent, or sent as null."""
        name = f"v{self.next()}"
        self.definitions[name] = str(type_)
        if self.chance(50):
            self.variables[name] = None
        return f"${name}"

    def argument(self, name: str, type_: GraphQLInputType, entity: str = "") -> str:
        if name == "id":
            entity = self.pick(NODES)
        entity = entity or ("Ward" if self.chance(70) else "SubCounty")
        return self.value(type_, entity=entity, name=name)

    # -- values

    def value(self, type_: GraphQLInputType, entity: str = "", name: str = "", *, one_of: bool = False) -> str:
        """A value as it stands in the document; the variables that it names are declared."""
        return self.made(type_, entity, name, one_of=one_of)[0]

    def made(self, type_: GraphQLInputType, entity: str, name: str, *, one_of: bool = False) -> tuple[str, Any]:
        """A value as text, and as JSON (... where a variable stands in it)."""
        required = isinstance(type_, GraphQLNonNull) or one_of
        inner = get_nullable_type(type_)
        use = (str(inner), f"{entity}.{name}")
        if self.known.get(use) and self.chance(15):
            again = self.pick(self.known[use])
            if not required or self.definitions[again].split(" = ")[0].endswith("!"):
                return f"${again}", ...
        text, given = self.bare(inner, entity, name)
        if given is ... or not self.chance(30):
            return text, given
        variable = f"v{self.next()}"
        declared, sends = str(inner), True
        if required or self.chance(30):
            declared += "!"
        how = self.number(0, 99)
        if how >= 80 and not one_of:
            declared = f"{inner!s} = {text}" if how < 90 or not required else f"{inner!s}! = {text}"
            sends = self.chance(30)
        elif how >= 75 and not required and not declared.endswith("!"):
            sends = False  # as if the member were not there
        self.definitions[variable] = declared
        if sends:
            self.variables[variable] = given
        self.known.setdefault(use, []).append(variable)
        return f"${variable}", ...

    def bare(self, type_: Any, entity: str, name: str) -> tuple[str, Any]:
        if isinstance(type_, GraphQLList):
            named = get_named_type(type_)
            most = 3 if isinstance(named, GraphQLInputObjectType) else 4
            size = self.number(0, most)
            made = [self.made(type_.of_type, entity, name) for _ in range(size)]
            if size == 1 and made[0][1] is not ... and self.chance(30):
                return made[0]  # a single value stands for a list of one
            given = [json_ for _, json_ in made]
            return f"[{', '.join(text for text, _ in made)}]", ... if ... in given else given
        if isinstance(type_, GraphQLInputObjectType):
            return self.object(type_, entity, name)
        if isinstance(type_, GraphQLEnumType):
            value = self.pick(list(type_.values))
            return value, value
        match type_.name:
            case "Position":
                return self.numbers(self.pick(self.values.places))
            case "BBox":
                return self.numbers(self.box())
            case "AreaGeoJSON":
                area = self.pick(self.values.areas)
                return literal(area), area
            case _:
                value = self.scalar(type_.name, entity, name)
                return literal(value), value

    def numbers(self, given: Sequence[float]) -> tuple[str, Any]:
        """A position or a box, now and then with a variable for one of its numbers."""
        texts = [repr(number) for number in given]
        if self.chance(10):
            at = self.number(0, len(given) - 1)
            variable = f"v{self.next()}"
            self.definitions[variable] = "Float!"
            self.variables[variable] = given[at]
            texts[at] = f"${variable}"
            return f"[{', '.join(texts)}]", ...
        return f"[{', '.join(texts)}]", list(given)

    def box(self) -> tuple[float, float, float, float]:
        if self.chance(30):
            (x, y), size = self.pick(self.values.places), self.pick((0.0, 0.003, 0.05, 0.2))
            return x - size, y - size, x + size, y + size
        west, east = sorted((self.side(self.values.edges[0]), self.side(self.values.edges[0])))
        south, north = sorted((self.side(self.values.edges[1]), self.side(self.values.edges[1])))
        return west, south, east, north

    def side(self, edges: Sequence[float]) -> float:
        return self.pick(edges) + self.pick((0.0, 1e-7, -1e-7, 0.01, -0.01))

    def object(self, type_: GraphQLInputObjectType, entity: str, name: str) -> tuple[str, Any]:
        owner = next(
            (known for known in self.values.county.rows if re.fullmatch(f"{known}(List)?(Filter|Order)", type_.name)),
            "",
        )
        self.depth += 1
        texts, given = [], {}
        for member in self.members(type_):
            column = member if owner and member not in ("and", "or", "not") else name
            value = self.made(
                type_.fields[member].type, owner or entity, column, one_of=type_.is_one_of or member == "distance"
            )
            texts.append(f"{member}: {value[0]}")
            given[member] = value[1]
        self.depth -= 1
        return f"{{{', '.join(texts)}}}", ... if ... in given.values() else given

    def members(self, type_: GraphQLInputObjectType) -> list[str]:
        """Which members an object has: relations and logic only down to some depth."""
        names = [
            name
            for name, field in type_.fields.items()
            if _known(type_, name, get_named_type(field.type).name, self.values.county.rows, self.schema)
            and not (self.past and (re.sub("(Filter|Order)$", "", type_.name), name) in NO_PAST)
        ]
        if type_.is_one_of:
            if self.depth > 3:
                names = [
                    name for name in names if not get_named_type(type_.fields[name].type).name.endswith("Order")
                ] or names
            return [self.pick(names)]
        required = [name for name in names if isinstance(type_.fields[name].type, GraphQLNonNull)]
        if required or type_.name == "GeometryOrder":
            return required or names
        if self.chance(4):
            return []
        if names[0] == "and":
            logic, columns = names[:3], names[3:]
            if self.depth > 4:
                columns = [name for name in columns if not self.leads(type_, name)]
            elif self.chance(30):
                columns = logic
            names = columns
        return self.some(names, 2)

    def leads(self, type_: GraphQLInputObjectType, name: str) -> bool:
        """Whether a member of a filter leads to other rows."""
        named = get_named_type(type_.fields[name].type).name
        return named.endswith("ListFilter") or named.removesuffix("Filter") in self.values.county.rows

    def scalar(self, type_: str, entity: str, name: str) -> Any:
        match type_:
            case "Boolean":
                return self.chance(50)
            case "Int" if name == "page":
                return self.pick((0, 1, 2, 3, 5, 10, 50, 5000))
            case "Int" if name == "few":
                return self.pick((0, 1, 2, 5, 100))
        pool = self.values.moments if type_ == "DateTime" and name in MOMENTS else self.pool(entity, name)
        match type_:
            case "ID":
                return str(self.pick(pool)) if pool and self.chance(85) else "0190b4a2-7c1e-7d3a-9f00-1b2c3d4e5f60"
            case "Int":
                value = int(self.pick(pool)) if pool else 7
                return value + self.pick((0, 0, 0, 1, -1))
            case "Float":
                if not pool or isinstance(pool[0], str):
                    return self.pick(self.values.meters)
                return float(self.pick(pool)) + self.pick((0.0, 0.0, 0.0, 0.5, -1.0))
            case "DateTime":
                return self.pick(pool).isoformat() if pool and self.chance(80) else "2026-03-02T06:30:00+03:00"
            case "Date":
                return self.pick(pool).isoformat() if pool and self.chance(80) else "2012-03-06"
        text = str(self.pick(pool)) if pool and self.chance(75) else self.pick(TEXTS)
        if len(text) > 1 and self.chance(30):
            start = self.number(0, len(text) - 1)
            text = text[start : start + 4]
        return text.swapcase() if self.chance(15) else text

    def pool(self, entity: str, name: str) -> list[Any]:
        if name == "aliases":
            return sorted({alias for row in self.values.county.rows[entity] for alias in row["aliases"]})
        if (
            not entity
            or name not in self.schema.type_map[entity].fields
            or name in ("boundary", "labelPoint", "location")
        ):  # type: ignore[attr-defined]
            return []
        rows = self.values.county.rows[entity]
        return self.values.of(entity, name) if rows and snake(name) in rows[0] else []


@st.composite
def operations(draw: Any, schema: GraphQLSchema, values: Values) -> Operation:
    return Draft(lambda low, high: draw(st.integers(low, high)), schema, values).operation()


def _target(named: Any) -> str | None:
    """The entity that a field leads to; None for a value, or for a row with something beside it."""
    if not isinstance(named, GraphQLObjectType) or "node" in named.fields or named.name == "PageInfo":
        return None
    if "nodes" in named.fields:
        return named.name.removesuffix("Connection")
    return None if named.name.startswith("Nearest") else named.name


def _known(type_: GraphQLInputObjectType, member: str, named: str, rows: Any, schema: GraphQLSchema) -> bool:
    """Whether a member of a filter or an order is about something that the plain side knows."""
    owner = re.fullmatch(r"(\w+?)(List)?(Filter|Order)", type_.name)
    if owner is None or owner[1] not in rows or member in ("and", "or", "not", "some", "every", "none"):
        return True
    target = named.removesuffix("Filter").removesuffix("Order").removesuffix("List")
    known = target in rows or not isinstance(schema.type_map.get(target), GraphQLObjectType)
    return known and (owner[1], member) not in LEFT_OUT


def _is_list(type_: GraphQLObjectType) -> bool:
    return type_.name.endswith("Connection")


def _listed(type_: GraphQLObjectType) -> str:
    return type_.name.removesuffix("Connection")


def literal(value: Any) -> str:
    """JSON as a GraphQL literal."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {literal(member)}" for name, member in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(literal(member) for member in value) + "]"
    return json.dumps(value, ensure_ascii=False)
