"""Every question that the API takes, drawn from its schema: what is added there is asked here by itself.

Lists, single rows, relations up to three deep, counts; every operator of every filter and every order, with values of
rows that the caller may see and of rows that it may not; distances, boxes and circles that close in on them; cursors
that somebody else was given. A root field or an argument that no question reaches fails `test_answers.py`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from graphql import (
    ArgumentNode,
    FieldNode,
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    ObjectFieldNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    parse,
    visit,
)

from schema.api import schema
from schema.compiler.mapping import ColumnSpec, Entity
from schema.compiler.render import MOMENT_ARGUMENTS
from tests.leaks.rights import NOUNS, Facts

SDL = schema._schema
MAPPING = schema.mapping
AT_ONCE = 18
"""Root fields in an operation; at most 20 are taken."""

FIGURES_AT_ONCE = 9
"""The same for figures over rows, which cost more."""

DEPTH = 3
NOBODYS = "01900000-0000-7000-8000-000000000000"
SAMPLES: dict[str, list[Any]] = {
    # What is asked of things that everybody may see, where it is only a way to others.
    "String": ["1208", "e"],
    "ID": [NOBODYS],
    "Int": [1],
    "Float": [0.5],
    "Boolean": [True, False],
    "Date": ["2012-03-06"],
    "DateTime": ["2026-03-02T06:00:00Z"],
    "Position": [[34.9190, -0.1724]],
    "BBox": [[34.4, -0.45, 35.4, 0.1]],
}


@dataclass(frozen=True)
class Question:
    """An operation and what it is about."""

    about: str
    document: str


def guarded(type_: Any) -> bool:
    """Whether rows of this type are for some and not for others."""
    entity = MAPPING.entities.get(type_.name)
    return entity is not None and entity.table.name in NOUNS


def fields(type_: Any) -> dict[str, GraphQLField]:
    return dict(type_.fields)


def node_type(type_: Any) -> GraphQLObjectType | None:
    """What a connection is of."""
    named = get_named_type(type_)
    if isinstance(named, GraphQLObjectType) and "nodes" in named.fields:
        return get_named_type(named.fields["nodes"].type)  # type: ignore[return-value]
    return None


def literal(value: Any) -> str:
    if isinstance(value, Word):
        return value.text
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {literal(member)}" for name, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    return json.dumps(value)


@dataclass(frozen=True)
class Word:
    """An enum's value, or anything else that stands in a document as it is."""

    text: str


# -- selections --------------------------------------------------------------------------------------------------------


def leaves(type_: Any) -> list[str]:
    """The fields of a type that hold values; outlines of areas are left out, they are everybody's and large."""
    named = []
    for name, field in fields(type_).items():
        if not is_leaf_type(get_named_type(field.type)):
            continue
        if not guarded(type_) and str(get_named_type(field.type)) == "GeoJSON":
            continue
        if (given := arguments(field.args)) is not None:
            named.append(name + given)
    return named


def arguments(definitions: dict[str, GraphQLArgument]) -> str | None:
    """Values for the arguments that must be given; None where nobody knows one."""
    given = {}
    for name, definition in definitions.items():
        if isinstance(definition.type, GraphQLNonNull):
            value = sample(definition.type)
            if value is None:
                return None
            given[name] = value
    return f"({', '.join(f'{name}: {literal(value)}' for name, value in given.items())})" if given else ""


def sample(type_: Any) -> Any:
    named, inner = get_named_type(type_), get_nullable_type(type_)
    if isinstance(named, GraphQLEnumType):
        value: Any = Word(next(iter(named.values)))
    elif named.name in SAMPLES:
        value = SAMPLES[named.name][0]
    elif isinstance(named, GraphQLInputObjectType):
        value = {
            name: sample(field.type) for name, field in named.fields.items() if isinstance(field.type, GraphQLNonNull)
        }
    else:
        return None
    return [value] if is_list_type(inner) else value


def leads_to_guarded(type_: Any, depth: int) -> bool:
    if guarded(type_):
        return True
    below = (relation(field) for field in fields(type_).values())
    return depth > 0 and any(leads_to_guarded(each, depth - 1) for each in below if each is not None)


def relation(field: GraphQLField) -> GraphQLObjectType | None:
    named = node_type(field.type) or get_named_type(field.type)
    return named if isinstance(named, GraphQLObjectType) else None


def selection(type_: Any, depth: int = DEPTH, *, edges: bool = False) -> str:
    """Everything of a type, and what it leads to as long as that may be somebody's secret."""
    parts = leaves(type_)
    for name, field in fields(type_).items():
        other = relation(field)
        matters = (
            guarded(type_) or type_.name not in MAPPING.entities
        )  # figures and payloads: all that they are made of
        if other is None or depth == 0 or not (matters or leads_to_guarded(other, depth - 1)):
            continue
        inner = selection(other, depth - 1 if guarded(other) else min(depth - 1, 1), edges=edges)
        if node_type(field.type) is not None:
            parts.append(f"{name}(first: 12) {page(inner, edges=edges)}")
        else:
            given = arguments(field.args)
            parts.append(f"{name}{given or ''} {{ {inner} }}")
    return " ".join(parts) or "__typename"


def page(inner: str, *, edges: bool = False) -> str:
    info = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
    if edges:
        return f"{{ edges {{ cursor node {{ {inner} }} }} {info} }}"
    return f"{{ totalCount nodes {{ {inner} }} }}"


# -- roots -------------------------------------------------------------------------------------------------------------


def roots() -> dict[str, GraphQLField]:
    assert SDL.query_type is not None
    return SDL.query_type.fields


def lists() -> Iterator[tuple[str, GraphQLField, GraphQLObjectType]]:
    for name, field in roots().items():
        if (type_ := node_type(field.type)) is not None:
            yield name, field, type_


def walks() -> list[Question]:
    """Everything that one can see without asking for anything."""
    made = []
    for name, _, type_ in lists():
        made.append(Question(f"{name}, nodes", f"{{ {name}(first: 20) {page(selection(type_))} }}"))
        made.append(Question(f"{name}, edges", f"{{ {name}(first: 20) {page(selection(type_), edges=True)} }}"))
        made.append(Question(f"{name}, the last", f"{{ {name}(last: 2) {page(selection(type_, 1))} }}"))
    for name, field in roots().items():
        type_ = relation(field)
        if node_type(field.type) is None and not set(field.args) - set(MOMENT_ARGUMENTS):
            below = f" {{ {selection(type_)} }}" if type_ is not None else ""
            made.append(Question(name, f"{{ {name}{below} }}"))
    return made


THEN = "2026-03-02T12:00:00Z"
"""After everything that is told of incidents, and before it was told."""


def past() -> list[Question]:
    """What was: everything of a list and what it leads to that has a history."""
    made = []
    for name, field, type_ in lists():
        if "asOf" not in field.args:
            continue
        parts = leaves(type_)
        for below, each in fields(type_).items():
            other = relation(each)
            entity = MAPPING.entities.get(other.name) if other is not None else None
            if other is not None and entity is not None and (entity.history or entity.lasting):
                inner = " ".join(leaves(other))
                if node_type(each.type) is not None:
                    inner = f"nodes {{ {inner} }}"
                parts.append(f"{below}{'(first: 12)' if node_type(each.type) is not None else ''} {{ {inner} }}")
        moments = [f'{argument}: "{THEN}"' for argument in ("asOf", "knownAt") if argument in field.args]
        whole = page(" ".join(parts))
        moments += [", ".join(moments), 'asOf: "2026-11-01T00:00:00Z"']
        made += [Question(f"{name} as it was", f"{{ {name}(first: 20, {each}) {whole} }}") for each in moments]
    return made


def singles(facts: Facts) -> list[Question]:
    """Roots that give one thing: by every key of every row, and by keys of other things and of none."""
    made = []
    for name, field in roots().items():
        type_ = relation(field)
        if node_type(field.type) is not None or not field.args or type_ is None or is_list_type(_bare(field.type)):
            continue
        entity = MAPPING.entities.get(type_.name)
        asked = []
        for argument, definition in field.args.items():
            if argument in MOMENT_ARGUMENTS:
                continue
            values = [sample(definition.type)]
            if entity is not None and guarded(type_):
                values = [*values_of(facts, entity, argument), *SAMPLES[get_named_type(definition.type).name]]
                if str(get_named_type(definition.type)) == "ID":
                    values += list(itertools.islice(facts.rows["people"], 3))
            others = {
                other: sample(each.type)
                for other, each in field.args.items()
                if other != argument and isinstance(each.type, GraphQLNonNull)
            }
            asked += [{argument: value, **others} for value in values]
        inner = selection(type_, 2)
        aliases = [
            f"{name}({', '.join(f'{argument}: {literal(value)}' for argument, value in each.items())}) {{ {inner} }}"
            for each in asked
        ]
        made += together(f"{name} by key", aliases, 5)
        for argument in set(field.args) & set(MOMENT_ARGUMENTS):
            shown = " ".join(leaves(type_))
            then = [f"{name}({_given({**each, argument: THEN})}) {{ {shown} }}" for each in asked or [{}]]
            made += together(f"{name} as it was", then)
    return made


def nodes(facts: Facts) -> list[Question]:
    """Rows by their ids alone: of every row that is somebody's secret, as what it is."""
    asked = []
    interface = SDL.type_map["Node"]
    assert isinstance(interface, GraphQLInterfaceType)
    for type_ in SDL.get_possible_types(interface):
        rows = facts.rows.get(MAPPING.entities[type_.name].table.name, {}) if guarded(type_) else {NOBODYS: {}}
        inner = f"id __typename ... on {type_.name} {{ {selection(type_, 1)} }}"
        asked += [f"node(id: {json.dumps(str(id_))}) {{ {inner} }}" for id_ in rows]
    return together("node by id", asked, 5)


def others(facts: Facts) -> list[Question]:
    """Roots that give lists without pages, such as figures over rows: by each way to group, and under each filter."""
    made = []
    for name, field in roots().items():
        if node_type(field.type) is not None or not field.args or not is_list_type(_bare(field.type)):
            continue
        type_ = relation(field)
        assert type_ is not None, f"teach tests/leaks/questions.py to ask {name}"
        ways: list[dict[str, Any]] = [{}]
        for argument, definition in field.args.items():
            named = get_named_type(definition.type)
            if isinstance(named, GraphQLEnumType):
                words = [Word(value) for value in named.values]
                chosen = [[word] for word in words] + [
                    list(pair) for pair in list(itertools.combinations(words, 2))[::9]
                ]
                ways = [{**way, argument: words_} for way in ways for words_ in chosen]
            elif isinstance(definition.type, GraphQLNonNull):
                ways = [{**way, argument: sample(definition.type)} for way in ways]
        if "first" in field.args:  # the nearest, from places close to what is hidden: three of them would tell where
            ways = [{**way, "first": first, "to": place} for way in ways for first in (1, 12) for place in _near(facts)]
        if "cellMeters" in field.args:  # cells that close in on a place
            ways += [
                {"groupBy": [Word(cell)], "cellMeters": size} for cell in ("SQUARE", "HEXAGON") for size in (50, 5000)
            ]
        inner = selection(type_, 2)
        made += together(name, [f"{name}({_given(way)}) {{ {inner} }}" for way in ways], FIGURES_AT_ONCE)
        then = set(field.args) & set(MOMENT_ARGUMENTS)
        made += together(
            f"{name} as it was", [f'{name}({each}: "{THEN}") {{ {" ".join(leaves(type_))} }}' for each in then]
        )
        for argument, definition in field.args.items():
            named = get_named_type(definition.type)
            if isinstance(named, GraphQLInputObjectType) and named.name.endswith("Filter"):
                made += together(
                    f"{name}, filtered",
                    [
                        f"{name}({_given({**ways[0], argument: Word(where)})}) {{ {inner} }}"
                        for where in conditions(facts, named.name.removesuffix("Filter"), 0, few=True)
                    ],
                    FIGURES_AT_ONCE,
                )
    return made


def _near(facts: Facts) -> list[Any]:
    """Where vehicles are, and a little beside."""
    places = [row["location"]["coordinates"] for row in facts.rows["latest_positions"].values()]
    return [[round(x + off, 6), round(y - off, 6)] for x, y in places for off in (0, 0.0013)]


def _given(way: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {literal(value)}" for name, value in way.items())


def _bare(type_: Any) -> Any:
    return get_nullable_type(type_)


def together(about: str, fields_: Iterable[str], size: int = AT_ONCE) -> list[Question]:
    """Many root fields, so many to an operation."""
    made, rest = [], list(fields_)
    for at in range(0, len(rest), size):
        body = " ".join(f"q{at + number}: {each}" for number, each in enumerate(rest[at : at + size]))
        made.append(Question(about, f"{{ {body} }}"))
    return made


# -- filters -----------------------------------------------------------------------------------------------------------


def values_of(facts: Facts, entity: Entity, name: str) -> list[Any]:
    """Values of a column, of every row there is, in the form that the API takes."""
    field = MAPPING.field(entity, name)
    if not isinstance(field.spec, ColumnSpec) or entity.table.name not in facts.rows:
        return []
    rows = facts.rows[entity.table.name].values()
    column = field.spec.column or field.python_name
    return sorted({json.dumps(row[column]): row[column] for row in rows if row[column] is not None}.values(), key=str)


def conditions(facts: Facts, entity_name: str, relations: int = 2, *, few: bool = False) -> Iterator[str]:
    """Filters over an entity, as they stand in a document: every operator of every field; `few` of them behind a
    relation, where it is the rows that are led to that matter."""
    type_ = SDL.type_map.get(f"{entity_name}Filter")
    if not isinstance(type_, GraphQLInputObjectType):
        return
    entity = MAPPING.entities[entity_name]
    yield from ("{}", "{and: []}", "{or: []}", "{not: {or: []}}")
    for name, field in type_.fields.items():
        named = get_named_type(field.type)
        if name in ("and", "or", "not") or not isinstance(named, GraphQLInputObjectType):
            continue
        target = named.name.removesuffix("Filter").removesuffix("List")
        if target in MAPPING.entities:
            if not relations or (few and not leads_to_guarded(SDL.type_map[target], relations)):
                continue
            # What no list of its own is filtered by is filtered here or nowhere.
            brief = few or target in _filtered()
            for number, inner in enumerate(conditions(facts, target, relations - 1, few=brief)):
                if "some" in named.fields:
                    for quantifier in named.fields if number < 6 else ["some"]:
                        yield f"{{{name}: {{{quantifier}: {inner}}}}}"
                else:
                    yield f"{{{name}: {inner}}}"
        else:
            known = guarded(SDL.type_map[entity_name])
            for operator, value in operations(named, values_of(facts, entity, name), few=few):
                yield f"{{{name}: {{{operator}: {literal(value)}}}}}"
                if few and not known:
                    break


@cache
def _filtered() -> set[str]:
    """Names of the types that some list is of which takes `where`."""
    return {
        below.name
        for type_ in SDL.type_map.values()
        if isinstance(type_, GraphQLObjectType)
        for field in type_.fields.values()
        if "where" in field.args and (below := node_type(field.type)) is not None
    }


FEW = {"eq", "isNull", "contains", "gt", "near", "bbox"}


def operations(filter_: GraphQLInputObjectType, values: list[Any], *, few: bool) -> Iterator[tuple[str, Any]]:
    """Every operator with values of real rows: the first, the last and some between."""
    known = bool(values)
    for operator, field in filter_.fields.items():
        named = get_named_type(field.type)
        if few and operator not in FEW:
            continue
        if isinstance(named, GraphQLEnumType) and known:
            picked = [Word(str(value).upper()) for value in values]
        elif known:
            picked = values
        else:
            picked = SAMPLES.get(named.name) or [one for one in [sample(named)] if one is not None]
        if filter_.name == "GeometryFilter":
            for value in _shapes(operator, values[:1] if few else values):
                yield operator, value
            continue
        spread = picked[:1] + picked[-1:] + picked[len(picked) // 2 :][:1]
        match operator:
            case "isNull":
                yield operator, True
            case "in" | "notIn":
                yield operator, picked[::2]
            case "eq":
                for value in picked[:2] if few else picked[:9]:
                    yield operator, value
            case "contains" | "startsWith" | "has":
                for value in spread[:1] if few else spread:
                    yield operator, value[: len(value) // 2] if operator == "startsWith" else value[1:-1] or value
            case _ if not few:
                for value in spread[:2]:
                    yield operator, value
            case _:
                yield operator, spread[0]


def _shapes(operator: str, values: list[Any]) -> Iterator[Any]:
    """Boxes and circles that close in on each place."""
    if operator == "isNull":
        yield from (True, False)
    for value in values:
        x, y = _first(value) if isinstance(value, dict) else value or SAMPLES["Position"][0]
        match operator:
            case "bbox":
                for half in (0.01, 0.00001):
                    yield _box(x, y, half)
            case "near":
                for meters in (0.5, 3000.0):
                    yield {"point": [x, y], "meters": meters}
            case "within" | "intersects":
                west, south, east, north = _box(x, y, 0.0005)
                ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
                yield {"type": Word('"Polygon"'), "coordinates": [ring]}


def _first(shape: dict[str, Any]) -> list[float]:
    """A shape's first position."""
    at = shape["coordinates"]
    while isinstance(at[0], list):
        at = at[0]
    return list(at[:2])


def _box(x: float, y: float, half: float) -> list[float]:
    return [round(x - half, 7), round(y - half, 7), round(x + half, 7), round(y + half, 7)]


def filters(facts: Facts) -> list[Question]:
    """What a filter tells by what it leaves."""
    made = []
    for name, field, type_ in lists():
        if "where" not in field.args or not leads_to_guarded(type_, 2):
            continue
        key = "{ totalCount nodes { id } }" if "id" in fields(type_) else "{ totalCount }"
        wheres = [f"{name}(where: {where}) {key}" for where in conditions(facts, type_.name)]
        made += together(f"{name}, filtered", wheres)
        made += nested_filters(facts, name, type_)
    return made


def nested_filters(facts: Facts, root: str, type_: Any) -> list[Question]:
    """The same inside of a list's rows."""
    made = []
    for name, field in fields(type_).items():
        below = node_type(field.type)
        if below is None and "where" in field.args:
            made += nearest_filters(facts, root, name, field)
        if below is None or not guarded(below):
            continue
        # What has no list of its own is asked for by its relations here or nowhere.
        far = 0 if any(listed.name == below.name for _, _, listed in lists()) else 1
        inner = [
            f"{name}(where: {where}) {{ totalCount nodes {{ id }} }}" for where in conditions(facts, below.name, far)
        ]
        inner += [f"{name}(orderBy: [{order}], first: 2) {{ nodes {{ id }} }}" for order in orders(facts, below.name)]
        for at in range(0, len(inner), AT_ONCE):
            body = " ".join(f"n{number}: {each}" for number, each in enumerate(inner[at : at + AT_ONCE]))
            made.append(Question(f"{root}.{name}, filtered and ordered", f"{{ {root} {{ nodes {{ id {body} }} }} }}"))
    return made


def nearest_filters(facts: Facts, root: str, name: str, field: GraphQLField) -> list[Question]:
    """Which rows are nearest to another one, of those that a filter leaves."""
    answer = get_named_type(field.type)
    below = next(each for each in map(relation, fields(answer).values()) if each is not None)
    if not guarded(below):
        return []
    row = next(each for each, of in fields(answer).items() if relation(of) is below)
    inner = [
        f"{name}(first: 9, where: {where}) {{ distanceMeters {row} {{ id }} }}"
        for where in conditions(facts, below.name, 0, few=True)
    ]
    made = []
    for at in range(0, len(inner), AT_ONCE):
        body = " ".join(f"n{number}: {each}" for number, each in enumerate(inner[at : at + AT_ONCE]))
        made.append(Question(f"{root}.{name}, filtered", f"{{ {root}(first: 20) {{ nodes {{ id {body} }} }} }}"))
    return made


# -- orders and cursors ------------------------------------------------------------------------------------------------


def orders(facts: Facts, entity_name: str, relations: int = 1) -> Iterator[str]:
    """Orders over an entity, as they stand in a document; those that lead to another one only upwards."""
    type_ = SDL.type_map.get(f"{entity_name}Order")
    if not isinstance(type_, GraphQLInputObjectType):
        return
    for name, field in type_.fields.items():
        target = get_named_type(field.type).name.removesuffix("Order")
        if target in MAPPING.entities:
            if relations:
                # What has no list of its own is ordered by its relations here or nowhere.
                inner = orders(facts, target, relations - (target in _filtered()))
                inner = (order for order in inner if not order.endswith(": DESC}"))
                yield from (
                    f"{{{name}: {order}}}"
                    for order in itertools.islice(inner, None if guarded(SDL.type_map[target]) else 1)
                )
        elif isinstance(get_named_type(field.type), GraphQLEnumType):
            yield f"{{{name}: ASC}}"
            yield f"{{{name}: DESC}}"
        else:
            values = values_of(facts, MAPPING.entities[entity_name], name)
            for place in [_first(value) for value in values[::3]] or SAMPLES["Position"]:
                yield f"{{{name}: {{distance: {{from: {literal(place)}}}}}}}"


def ordered(facts: Facts) -> list[Question]:
    """Where a row stands among others, and how the page goes on."""
    made = []
    for name, field, type_ in lists():
        if "orderBy" not in field.args or not guarded(type_):
            continue
        info = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
        inner = f"{{ edges {{ cursor distanceMeters node {{ id }} }} {info} }}"
        for first in ("first: 2", "last: 2"):
            made += together(
                f"{name}, ordered, {first}",
                [f"{name}(orderBy: [{order}], {first}) {inner}" for order in orders(facts, type_.name)],
            )
    return made


def distances(facts: Facts) -> list[Question]:
    """How far something is from places close to it: three of them would tell where it is."""
    made = []
    for name, _, type_ in lists():
        for each, field in fields(type_).items():
            needs = {argument for argument, definition in field.args.items() if str(definition.type) == "Position!"}
            if not guarded(type_) or not needs:
                continue
            places = [
                _first(value)
                for column in fields(type_)
                for value in values_of(facts, MAPPING.entities[type_.name], column)
                if isinstance(value, dict) and "coordinates" in value
            ]
            measured = " ".join(
                f"d{number}: {each}({', '.join(f'{need}: {literal(place)}' for need in sorted(needs))})"
                for number, place in enumerate(places)
            )
            made.append(Question(f"{name}, {each}", f"{{ {name} {{ nodes {{ id {measured} }} }} }}"))
    return made


def cursor_sources(facts: Facts) -> list[tuple[str, str, Question]]:
    """Lists whose cursors somebody who sees them all is asked for: root, order, question."""
    made = []
    for name, field, type_ in lists():
        if "after" not in field.args or not guarded(type_):
            continue
        for order in [None, *list(orders(facts, type_.name))[::5]]:
            by = f"orderBy: [{order}], " if order else ""
            made.append(
                (name, by, Question(f"{name}, cursors", f"{{ {name}({by}first: 50) {{ edges {{ cursor }} }} }}"))
            )
    return made


def with_cursors(root: str, by: str, cursors: list[str]) -> list[Question]:
    """Pages that begin and end at rows that the asker may never have seen."""
    inner = "{ totalCount edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage } }"
    asked = []
    for cursor in cursors:
        asked.append(f"{root}({by}first: 3, after: {json.dumps(cursor)}) {inner}")
        asked.append(f"{root}({by}last: 3, before: {json.dumps(cursor)}) {inner}")
    return together(f"{root}, from somebody else's cursor", asked)


def reads(facts: Facts) -> list[Question]:
    """Every question but those with cursors, which somebody has to be asked for first."""
    return [
        *walks(),
        *past(),
        *singles(facts),
        *nodes(facts),
        *others(facts),
        *filters(facts),
        *ordered(facts),
        *distances(facts),
    ]


# -- what was asked ----------------------------------------------------------------------------------------------------


class _Asked(Visitor):
    """Which fields, arguments and members of inputs stand in a document."""

    def __init__(self, info: TypeInfo) -> None:
        super().__init__()
        self.info = info
        self.found: set[str] = set()
        self.trail: list[tuple[str, str]] = []

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        parent = self.info.get_parent_type()
        if parent is not None:
            self.found.add(f"{parent.name}.{node.name.value}")

    def enter_argument(self, node: ArgumentNode, *_: Any) -> None:
        field, parent = self.info.get_field_def(), self.info.get_parent_type()
        if field is not None and parent is not None:
            names = [name for name, each in fields(parent).items() if each is field]
            self.found |= {f"{parent.name}.{name}({node.name.value})" for name in names}

    def enter_object_field(self, node: ObjectFieldNode, *_: Any) -> None:
        parent = get_named_type(self.info.get_parent_input_type())  # type: ignore[arg-type]
        name = parent.name if parent is not None else "?"
        self.found.add(f"{name}.{node.name.value}")
        if self.trail:
            above, member = self.trail[-1]
            self.found.add(f"{above}.{member}.{node.name.value}")
        self.trail.append((name, node.name.value))

    def leave_object_field(self, *_: Any) -> None:
        self.trail.pop()


def asked(questions: Iterable[Question]) -> set[str]:
    found: set[str] = set()
    for question in questions:
        info = TypeInfo(SDL)
        visitor = _Asked(info)
        visit(parse(question.document), TypeInfoVisitor(info, visitor))
        found |= visitor.found
    return found


def askable() -> set[str]:
    """Everything that may be asked of guarded things: roots with their arguments, fields, and operators by field."""
    wanted = {f"Query.{name}" for name in roots()}
    for name, field in roots().items():
        type_ = relation(field)
        entity = type_ is not None and type_.name in MAPPING.entities
        if type_ is not None and (leads_to_guarded(type_, 2) or not entity):
            wanted |= {f"Query.{name}({argument})" for argument in field.args}
    for type_ in map(SDL.type_map.__getitem__, _reached()):
        assert isinstance(type_, GraphQLObjectType)
        wanted |= {f"{type_.name}.{name}" for name in type_.fields}
        for name, field in type_.fields.items():
            wanted |= {f"{type_.name}.{name}({argument})" for argument, each in field.args.items() if _matters(each)}
        for kind in ("Filter", "Order"):
            inputs = SDL.type_map.get(f"{type_.name}{kind}")
            if not isinstance(inputs, GraphQLInputObjectType):
                continue
            for name, member in inputs.fields.items():
                wanted.add(f"{inputs.name}.{name}")
                named = get_named_type(member.type)
                target = named.name.removesuffix("Filter").removesuffix("Order").removesuffix("List")
                if isinstance(named, GraphQLInputObjectType) and target not in MAPPING.entities:
                    wanted |= {f"{inputs.name}.{name}.{operator}" for operator in named.fields}
    return wanted


def _matters(definition: GraphQLArgument) -> bool:
    return isinstance(definition.type, GraphQLNonNull)


def _reached() -> set[str]:
    """Names of the guarded types."""
    return {name for name in MAPPING.entities if guarded(SDL.type_map[name])}
