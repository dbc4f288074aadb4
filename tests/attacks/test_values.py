"""Values that no column, map or page can hold: refused with the place and what would be right, before the database sees
them; and values that look like SQL, JSON or patterns, which are values and nothing else."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.settings import Limits
from schema.api import schema
from tests.attacks.conftest import Refusal, Watch

LIMITS = Limits()
NOWHERE = "0190b4a2-7c1e-7d3a-9f00-1b2c3d4e5f60"


async def bad_input(watch: Watch, query: str, *said: str, kind: str = "values", **variables: Any) -> Refusal:
    refusal = await watch.refused(query, variables or None, kind=kind)
    assert refusal[:2] == (400, "BAD_USER_INPUT"), refusal
    for word in said:
        assert word in refusal.message, refusal
    return refusal


def literal(value: Any) -> str:
    """JSON as a GraphQL literal."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {literal(member)}" for name, member in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value)


async def refused_both_ways(watch: Watch, type_: str, argument: str, value: Any, *said: str, kind: str) -> None:
    """As a variable and as it stands in the document. In `argument` the value's place is $v."""
    query = f"query($v: {type_}) {{ {argument} }}"
    await bad_input(watch, query, *said, kind=kind, v=value)
    await bad_input(watch, f"{{ {argument.replace('$v', literal(value))} }}", *said, kind=kind)


# -- positions ---------------------------------------------------------------------------------------------------------

POSITIONS: list[tuple[Any, tuple[str, ...]]] = [
    ([-0.1, 34.75], ("latitude first", "34.75")),
    ([0, 0], ("outside",)),
    ([34.75, 91], ("outside",)),
    ([3475, -0.1], ("outside",)),
    ([34.75], ("two numbers",)),
    ([34.75, -0.1, 0], ("two numbers",)),
    ([], ("two numbers",)),
    (["34.75", "-0.1"], ("number",)),
    ([34.75, None], ("number",)),
    ([True, -0.1], ("number",)),
    ([[34.75], [-0.1]], ("number",)),
    ([{}, {}], ("number",)),
    ("34.75,-0.1", ("two numbers",)),
    ("POINT(34.75 -0.1)", ("two numbers",)),
    (34.75, ("two numbers",)),
    (True, ("two numbers",)),
    ({"type": "Point", "coordinates": [34.75, -0.1]}, ("two numbers",)),
    ({"lon": 34.75, "lat": -0.1}, ("two numbers",)),
    ([10**400, -0.1], ("finite",)),
]


@pytest.mark.parametrize(("value", "said"), POSITIONS, ids=lambda value: repr(value)[:40])
async def test_a_position_that_is_none(watch: Watch, value: Any, said: tuple[str, ...]) -> None:
    await refused_both_ways(watch, "Position!", "wardAt(point: $v) { code }", value, *said, kind="positions")
    near = "wards(where: {boundary: {near: {point: $v, meters: 5}}}) { totalCount }"
    await refused_both_ways(watch, "Position!", near, value, *said, kind="positions")
    order = "wards(orderBy: {boundary: {distance: {from: $v}}}) { nodes { code } }"
    await refused_both_ways(watch, "Position!", order, value, *said, kind="positions")
    await refused_both_ways(
        watch, "Position!", "wards { nodes { distanceMeters(from: $v) } }", value, *said, kind="positions"
    )


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" * 400, "1" * 5000, "9" * 309 + ".0"])
async def test_a_number_beyond_all_numbers(watch: Watch, number: str) -> None:
    for argument in (
        "wardAt(point: [34.75, %s]) { code }",
        "wards(where: {boundary: {near: {point: [%s, 0], meters: 5}}}) { totalCount }",
        "wards(where: {boundary: {near: {point: [34.75, 0], meters: %s}}}) { totalCount }",
        "wards(where: {boundary: {bbox: [34, -1, %s, 0]}}) { totalCount }",
        'wards(where: {boundary: {within: {type: "Polygon", coordinates: [[[34, 0], [35, 0], [35, %s], [34, 0]]]}}}) '
        "{ totalCount }",
        "wards(where: {areaKm2: {gt: %s}}) { totalCount }",
        "wards(where: {population: {in: [1, %s]}}) { totalCount }",
        "wards(first: %s) { totalCount }",
    ):
        await bad_input(watch, "{ " + argument % number + " }", kind="numbers")
        # Beside a variable, a literal is read when the request is.
        if "[34" in argument and "Polygon" not in argument:
            mixed = argument.replace("[34", "[$x").replace("$x.75", "$x")
            await bad_input(watch, "query($x: Float!) { " + mixed % number + " }", kind="numbers", x=34.75)
    for query, path in (
        ("query($v: Position!) { wardAt(point: $v) { code } }", f"[34.75, {number}]"),
        ("query($v: BBox!) { wards(where: {boundary: {bbox: $v}}) { totalCount } }", f"[34, -1, {number}, 0]"),
        ("query($v: Float!) { wards(where: {areaKm2: {gt: $v}}) { totalCount } }", number),
        ("query($v: Int!) { wards(first: $v) { totalCount } }", number),
    ):
        body = f'{{"query": {json.dumps(query)}, "variables": {{"v": {path}}}}}'
        refusal = await watch.refuses("/graphql", "numbers", content=body, headers={"content-type": "application/json"})
        assert refusal[:2] == (400, "BAD_USER_INPUT"), refusal


async def test_a_position_may_take_its_numbers_from_variables(watch: Watch) -> None:
    query = "query($x: Float!, $y: Float!) { wardAt(point: [$x, $y]) { code } }"
    assert await watch.passes(query, {"x": 34.75, "y": -0.1})
    await bad_input(watch, query, "latitude first", kind="positions", x=-0.1, y=34.75)
    for type_, value in (
        ("Float", None),
        ("String", "34.75"),
        ("Boolean", True),
        ("[Float!]", [34.75]),
        ("ID", "34.75"),
    ):
        await bad_input(watch, query.replace("$x: Float!", f"$x: {type_}"), "number", kind="positions", x=value, y=-0.1)
    refusal = await watch.refused(query.replace("$x: Float!", "$x: Float"), {"y": -0.1})  # not sent
    assert refusal[:2] == (400, "BAD_USER_INPUT")


# -- boxes -------------------------------------------------------------------------------------------------------------

BOXES: list[tuple[Any, tuple[str, ...]]] = [
    ([-0.45, 34.4, 0.1, 35.4], ("latitude first",)),
    ([35.4, -0.45, 34.4, 0.1], ("west to east",)),
    ([34.4, 0.1, 35.4, -0.45], ("south to north",)),
    ([-180, -90, 180, 90], ("spans", "20")),
    ([30, -1, 50.1, 1], ("spans", "20")),
    ([181, 0, 182, 1], ("longitude",)),
    ([34, -91, 35, 0], ("latitude",)),
    ([34, -1, 35], ("four numbers",)),
    ([34, -1, 0, 35, 1, 0], ("four numbers",)),
    ([], ("four numbers",)),
    ("34,-1,35,0", ("four numbers",)),
    ({"west": 34}, ("four numbers",)),
    ([None, None, None, None], ("number",)),
    (["34", "-1", "35", "0"], ("number",)),
    ([True, False, True, False], ("number",)),
    ([[34, -1], [35, 0], 1, 1], ("number",)),
]


@pytest.mark.parametrize(("value", "said"), BOXES, ids=lambda value: repr(value)[:40])
async def test_a_box_that_is_none(watch: Watch, value: Any, said: tuple[str, ...]) -> None:
    for field in ("boundary", "labelPoint"):
        query = f"wards(where: {{{field}: {{bbox: $v}}}}) {{ totalCount }}"
        await refused_both_ways(watch, "BBox", query, value, *said, kind="boxes")


# -- areas -------------------------------------------------------------------------------------------------------------


def polygon(*rings: Any, type_: str = "Polygon", **more: Any) -> dict[str, Any]:
    return {"type": type_, "coordinates": list(rings), **more}


def circle(vertices: int, radius: float = 0.1, x: float = 34.75, y: float = -0.1) -> list[list[float]]:
    ring = [
        [x + radius * math.cos(2 * math.pi * at / vertices), y + radius * math.sin(2 * math.pi * at / vertices)]
        for at in range(vertices)
    ]
    return [*ring, ring[0]]


def star(vertices: int) -> list[list[float]]:
    """A ring that crosses itself some thousand times: repairing it would take minutes."""
    points = circle(vertices)[:-1]
    ring = [points[at * (vertices // 2 - 1) % vertices] for at in range(vertices)]
    return [*ring, ring[0]]


SQUARE = [[34.7, -0.2], [34.8, -0.2], [34.8, -0.1], [34.7, -0.1], [34.7, -0.2]]
HOLE = [[34.72, -0.18], [34.78, -0.18], [34.78, -0.12], [34.72, -0.12], [34.72, -0.18]]

AREAS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "a text": ("POLYGON((34 0, 35 0, 35 1, 34 0))", ("GeoJSON",)),
    "a number": (1, ("GeoJSON",)),
    "a list": (SQUARE, ("GeoJSON",)),
    "no type": ({"coordinates": [SQUARE]}, ("type",)),
    "a point": ({"type": "Point", "coordinates": [34.75, -0.1]}, ("Point", "Polygon")),
    "a line": ({"type": "LineString", "coordinates": SQUARE}, ("LineString", "Polygon")),
    "a collection": ({"type": "GeometryCollection", "geometries": []}, ("GeometryCollection", "Polygon")),
    "a feature": ({"type": "Feature", "geometry": polygon(SQUARE)}, ("Feature", "Polygon")),
    "a type in other letters": (polygon(SQUARE, type_="POLYGON"), ("POLYGON", "Polygon")),
    "a type that is a list": ({"type": ["Polygon"], "coordinates": [SQUARE]}, ("type",)),
    "a type that is an object": ({"type": {"a": 1}, "coordinates": [SQUARE]}, ("type",)),
    "a foreign reference system": (polygon(SQUARE, crs={"type": "name"}), ("crs",)),
    "no coordinates": ({"type": "Polygon"}, ("coordinates",)),
    "coordinates that are null": ({"type": "Polygon", "coordinates": None}, ("coordinates",)),
    "coordinates that are a text": ({"type": "Polygon", "coordinates": "34 0"}, ("coordinates",)),
    "coordinates that are an object": ({"type": "Polygon", "coordinates": {"a": 1}}, ("coordinates",)),
    "no rings": (polygon(), ("coordinates",)),
    "an empty ring": (polygon([]), ("coordinates",)),
    "a ring of three": (polygon([[34.7, -0.2], [34.8, -0.2], [34.7, -0.2]]), ("coordinates[0]", "four")),
    "an open ring": (polygon(SQUARE[:-1]), ("coordinates[0]", "open")),
    "an open hole": (polygon(SQUARE, HOLE[:-1]), ("coordinates[1]", "open")),
    "a ring without area": (polygon([[34.7, -0.2]] * 5), ()),
    "a ring on one line": (polygon([[34.7, -0.2], [34.8, -0.2], [34.75, -0.2], [34.7, -0.2]]), ()),
    "too flat": (polygon(*SQUARE), ("coordinates",)),
    "too deep": (polygon([SQUARE]), ("coordinates",)),
    "far too deep": ({"type": "Polygon", "coordinates": json.loads("[" * 12 + "]" * 12)}, ()),
    "a polygon as many": (polygon(SQUARE, type_="MultiPolygon"), ("coordinates",)),
    "swapped axes": (polygon([[y, x] for x, y in SQUARE]), ("latitude first",)),
    "text in it": (polygon([["34.7", "-0.2"], *SQUARE[1:]]), ("coordinates[0][0]", "number")),
    "null in it": (polygon([SQUARE[0], [None, None], *SQUARE[2:]]), ("coordinates[0][1]", "number")),
    "a boolean in it": (polygon([SQUARE[0], [True, 0], *SQUARE[2:]]), ("coordinates[0][1]", "number")),
    "a height in it": (polygon([[*pair, 1100] for pair in SQUARE]), ("coordinates[0][0]", "two numbers")),
    "one number in it": (polygon([[34.7], *SQUARE[1:]]), ("coordinates[0][0]", "two numbers")),
    "off the globe": (polygon([[340, 0], [350, 0], [350, 1], [340, 0]]), ("coordinates[0][0]",)),
    "the whole globe": (polygon([[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]), ("spans", "20")),
    "a bow tie": (
        polygon([[34.7, -0.2], [34.8, -0.1], [34.8, -0.2], [34.7, -0.1], [34.7, -0.2]]),
        ("not valid", "34.75 -0.15"),
    ),
    "a hole outside": (polygon(SQUARE, [[x + 1, y] for x, y in HOLE]), ("not valid",)),
    "a hole that crosses its ring": (polygon(SQUARE, [[x + 0.05, y] for x, y in HOLE]), ("not valid",)),
    "a hole twice": (polygon(SQUARE, HOLE, HOLE), ("not valid",)),
    "parts that overlap": (
        {"type": "MultiPolygon", "coordinates": [[SQUARE], [[[x + 0.05, y] for x, y in SQUARE]]]},
        ("not valid",),
    ),
    "over 1,000 rings": (polygon(SQUARE, *[HOLE] * 1001), ("1000",)),
    "over 1,000 parts": ({"type": "MultiPolygon", "coordinates": [[SQUARE]] * 1001}, ("1000",)),
    "over 2,000 vertices": (polygon(circle(2001)), ("2,000",)),
    "a long ring of one place": (polygon([[34.7, -0.2]] * 2000), ()),
}


@pytest.mark.parametrize("name", AREAS)
async def test_an_area_that_is_none(watch: Watch, name: str) -> None:
    value, said = AREAS[name]
    for operator in ("within", "intersects"):
        query = f"query($v: AreaGeoJSON) {{ wards(where: {{boundary: {{{operator}: $v}}}}) {{ totalCount }} }}"
        refusal = await watch.refused(query, {"v": value}, kind="areas")
        assert refusal.status == 400, refusal
        if refusal.code == "QUERY_TOO_COMPLEX":  # so large that it was not looked at
            assert "5,000" in refusal.message
            continue
        assert refusal.code == "BAD_USER_INPUT"
        for word in said:
            assert word in refusal.message, refusal


@pytest.mark.parametrize("vertices", [100, 200, 800, 1998])
async def test_a_crossing_area_is_refused_with_the_place_and_not_repaired(watch: Watch, vertices: int) -> None:
    query = "query($v: AreaGeoJSON) { wards(where: {boundary: {within: $v}}) { totalCount } }"
    refusal = await bad_input(watch, query, "not valid", kind=f"crossing, {vertices}", v=polygon(star(vertices)))
    assert "34." in refusal.message
    assert "-0." in refusal.message


async def test_an_area_of_2000_vertices_is_taken(watch: Watch) -> None:
    query = "query($v: AreaGeoJSON) { wards(where: {labelPoint: {within: $v}}) { totalCount } }"
    answer = await watch.passes(query, {"v": polygon(circle(1999))})
    assert answer["wards"]["totalCount"] > 0


@pytest.mark.parametrize("meters", [-1, -0.001, 200_000.001, 1e300])
async def test_a_circle_that_is_none(watch: Watch, meters: float) -> None:
    query = "query($v: Float!) { wards(where: {boundary: {near: {point: [34.75, -0.1], meters: $v}}}) { totalCount } }"
    await bad_input(watch, query, "200,000", "meters", v=meters)


# -- texts and ids -----------------------------------------------------------------------------------------------------

TEXT_OPERATORS = ("eq", "ne", "lt", "lte", "gt", "gte", "contains", "startsWith")


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\ud800", "a\ud83d"], ids=ascii)
async def test_a_text_that_no_database_can_store(watch: Watch, text: str) -> None:
    for operator in TEXT_OPERATORS:
        query = f"query($v: String!) {{ wards(where: {{name: {{{operator}: $v}}}}) {{ totalCount }} }}"
        await bad_input(watch, query, f"where).name.{operator}", "NUL", v=text)
    for operator in ("in", "notIn"):
        query = f"query($v: [String!]) {{ wards(where: {{name: {{{operator}: $v}}}}) {{ totalCount }} }}"
        await bad_input(watch, query, f"name.{operator}", "NUL", v=["Ahero", text])
    for operator in ("has", "contains"):
        query = f"query($v: String!) {{ wards(where: {{aliases: {{{operator}: $v}}}}) {{ totalCount }} }}"
        await bad_input(watch, query, f"aliases.{operator}", "NUL", v=text)
    await bad_input(watch, "query($v: String!) { ward(code: $v) { id } }", "code", "NUL", v=text)
    await bad_input(watch, "query($v: String!) { wards(after: $v) { totalCount nodes { id } } }", "after", v=text)


SPECIAL = ("%", "_", "\\", "%%", "_____", "A%", "A_ero", "\\%", "' or true --", "'; drop table wards; --", "$1", "{}")
ODD = ("a:b", '"', "\u202e", "\ufeff", "\ufffe", "\U0010ffff", "a" * 10_000, "\r\n", "\x01", "\x7f")


@pytest.mark.parametrize("text", [*SPECIAL, *ODD], ids=lambda text: ascii(text)[:20])
async def test_letters_of_patterns_and_of_sql_are_plain_letters(watch: Watch, text: str) -> None:
    names = [ward["name"] for ward in (await watch.passes("{ wards { nodes { name } } }"))["wards"]["nodes"]]
    counts = {
        "contains": sum(text.lower() in name.lower() for name in names),
        "startsWith": sum(name.lower().startswith(text.lower()) for name in names),
        "eq": names.count(text),
        "ne": len(names) - names.count(text),
    }
    for operator, count in counts.items():
        query = f"query($v: String!) {{ wards(where: {{name: {{{operator}: $v}}}}) {{ totalCount }} }}"
        assert await watch.passes(query, {"v": text}) == {"wards": {"totalCount": count}}, operator
    assert await watch.passes("query($v: String!) { ward(code: $v) { id } }", {"v": text}) == {"ward": None}
    inside = json.dumps(text)
    if "\x7f" not in text:
        assert await watch.passes(f"{{ wards(where: {{name: {{contains: {inside}}}}}) {{ totalCount }} }}") == {
            "wards": {"totalCount": counts["contains"]}
        }


@pytest.mark.parametrize("id_", ["", "1", "1186", NOWHERE[:-1], NOWHERE + "0", "x" * 36, "%", "null", "\x00", "\ud800"])
async def test_an_id_that_is_none(watch: Watch, id_: str) -> None:
    for operator in ("eq", "ne"):
        query = f"query($v: ID!) {{ wards(where: {{id: {{{operator}: $v}}}}) {{ totalCount }} }}"
        await bad_input(watch, query, f"id.{operator}", "an id looks like", v=id_)
    query = "query($v: [ID!]) { wards(where: {id: {in: $v}}) { totalCount } }"
    await bad_input(watch, query, "id.in", "an id looks like", v=[NOWHERE, id_])


async def test_an_id_that_nobody_has_finds_nothing(watch: Watch) -> None:
    query = "query($v: ID!) { wards(where: {id: {eq: $v}}) { totalCount nodes { id } } }"
    for id_ in (NOWHERE, NOWHERE.upper()):
        assert await watch.passes(query, {"v": id_}) == {"wards": {"totalCount": 0, "nodes": []}}


# -- numbers, nulls and lists ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**63, 2**64, 10**100, 1.5, "1", True, [1, 2], {}, None])
async def test_a_whole_number_that_is_none(watch: Watch, value: Any) -> None:
    for operator in ("eq", "ne", "lt", "gte"):
        query = f"query($v: Int!) {{ wards(where: {{population: {{{operator}: $v}}}}) {{ totalCount }} }}"
        await bad_input(watch, query, "$v", v=value)
        await bad_input(watch, f"{{ wards(where: {{population: {{{operator}: {literal(value)}}}}}) {{ totalCount }} }}")
    await bad_input(watch, "query($v: [Int!]) { wards(where: {population: {in: $v}}) { totalCount } }", v=[1, value])


async def test_the_ends_of_whole_numbers_are_numbers(watch: Watch) -> None:
    for value in (2**31 - 1, -(2**31), 0, 1.0):
        query = "query($v: Int!) { wards(where: {population: {in: [$v, 7]}}) { totalCount } }"
        assert await watch.passes(query, {"v": value}) == {"wards": {"totalCount": 0}}


@pytest.mark.parametrize("value", ["1", True, [1.5, 2], {}, None, "NaN", "Infinity"])
async def test_a_number_that_is_none(watch: Watch, value: Any) -> None:
    await bad_input(watch, "query($v: Float!) { wards(where: {areaKm2: {gt: $v}}) { totalCount } }", "$v", v=value)


@pytest.mark.parametrize(
    "value", ["2012-13-01", "2012-02-30", "yesterday", "", "2012", "infinity", "0000-01-01", 20120306, True, "\x00"]
)
async def test_a_day_that_is_none(watch: Watch, value: Any) -> None:
    query = "query($v: Date!) { wards { nodes { figures(where: {asOf: {eq: $v}}) { totalCount } } } }"
    await bad_input(watch, query, "$v", v=value)
    await bad_input(watch, query.replace("query($v: Date!) ", "").replace("$v", literal(value)))


@pytest.mark.parametrize("value", ["asc", "ASC;", "1", 1, True, None, [], {}])
async def test_a_direction_that_is_none(watch: Watch, value: Any) -> None:
    await bad_input(watch, "query($v: Direction!) { wards(orderBy: {code: $v}) { nodes { id } } }", "$v", v=value)


@pytest.mark.parametrize(
    "where",
    [
        {"code": None},
        {"code": {"eq": None}},
        {"code": {"isNull": None}},
        {"code": {"in": None}},
        {"and": None},
        {"or": None},
        {"not": None},
        {"not": {"code": {"ne": None}}},
        {"or": [{"code": {"eq": "1186"}}, {"name": {"contains": None}}]},
        {"subCounty": None},
        {"subCounty": {"code": {"eq": None}}},
        {"names": None},
        {"names": {"some": None}},
        {"names": {"every": {"kind": {"eq": None}}}},
        {"boundary": None},
        {"boundary": {"bbox": None}},
        {"boundary": {"within": None}},
        {"boundary": {"near": None}},
        {"aliases": {"has": None}},
    ],
    ids=str,
)
async def test_null_in_a_filter_is_refused_with_its_place(watch: Watch, where: Any) -> None:
    def path(value: Any) -> str:
        name, below = next(iter(value.items()))
        below = below[-1] if isinstance(below, list) and below else below
        return name if below is None else f"{name}.{path(below)}"

    last = path(where).rsplit(".", 1)[-1]
    query = "query($v: WardFilter) { wards(where: $v) { totalCount } }"
    await bad_input(watch, query, f".{last} is null", "leave it out", v=where)
    await bad_input(watch, f"{{ wards(where: {literal(where)}) {{ totalCount }} }}", f".{last} is null")


@pytest.mark.parametrize(
    "where",
    [
        {"nothing": {"eq": 1}},
        {"code": {"like": "1"}},
        {"code": "1186"},
        {"code": ["1186"]},
        {"code": {"eq": {"ne": "1"}}},
        {"code": {"eq": 1186}},
        {"code": {"eq": ["1186"]}},
        {"code": {"in": [None]}},
        {"code": {"in": [["1186"]]}},
        {"and": [None]},
        {"and": "1"},
        {"subCounty": []},
        {"boundary": {"near": {"point": [34.75, -0.1]}}},
        {"boundary": {"near": {}}},
        {"boundary": {"near": {"point": [34.75, -0.1], "meters": "5"}}},
        [],
        "code = 1",
        1,
        {"__proto__": {}},
        {"code": {"eq": "1", "__typename": "x"}},
    ],
    ids=str,
)
async def test_a_filter_of_another_form_is_refused(watch: Watch, where: Any) -> None:
    await bad_input(watch, "query($v: WardFilter!) { wards(where: $v) { totalCount } }", "$v", v=where)


@pytest.mark.parametrize(
    "order", [{}, {"code": "ASC", "name": "ASC"}, {"code": None}, {"nothing": "ASC"}, {"aliases": "ASC"}]
)
async def test_an_order_has_one_key_in_each_item(watch: Watch, order: Any) -> None:
    await bad_input(watch, "query($v: [WardOrder!]) { wards(orderBy: $v) { nodes { id } } }", v=[order])


@pytest.mark.parametrize(
    "order",
    [
        "{}",
        "{ code: ASC, name: ASC }",
        "{ code: null }",
        "{ subCounty: {} }",
        "{ subCounty: { code: ASC, name: ASC } }",
    ],
)
async def test_so_it_has_where_it_stands_in_the_document(watch: Watch, order: str) -> None:
    await bad_input(watch, f"{{ wards(orderBy: [{order}]) {{ nodes {{ id }} }} }}", v=None)


@pytest.mark.parametrize("order", [{"boundary": {}}, {"boundary": {"distance": None}}], ids=str)
async def test_an_order_by_distance_needs_a_place(watch: Watch, order: Any) -> None:
    query = "query($v: [WardOrder!]) { wards(orderBy: $v) { nodes { id } } }"
    await bad_input(watch, query, "distance", "longitude, latitude", v=[order])


async def test_a_list_of_values_is_so_long(watch: Watch) -> None:
    for column, type_, value in (("name", "String", "a"), ("population", "Int", 1), ("id", "ID", NOWHERE)):
        for operator in ("in", "notIn"):
            query = f"query($v: [{type_}!]) {{ wards(where: {{{column}: {{{operator}: $v}}}}) {{ totalCount }} }}"
            await watch.passes(query, {"v": [value] * LIMITS.max_in_list})
            await bad_input(
                watch, query, "1,001", "1,000", f"{column}.{operator}", v=[value] * (LIMITS.max_in_list + 1)
            )
    listed = ", ".join(["1"] * 1001)
    await bad_input(watch, f"{{ wards(where: {{population: {{in: [{listed}]}}}}) {{ totalCount }} }}", "1,001", "1,000")


# -- pages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [-1, -5000, 5001, 99_999_999, 2**31 - 1, -(2**31)])
async def test_a_page_of_a_size_that_no_page_has(watch: Watch, size: int) -> None:
    for argument in ("first", "last"):
        query = f"query($v: Int) {{ wards({argument}: $v) {{ nodes {{ code }} }} }}"
        await bad_input(watch, query, argument, "5,000", v=size)
        nested = f"query($v: Int) {{ subCounties {{ nodes {{ wards({argument}: $v) {{ totalCount }} }} }} }}"
        await bad_input(watch, nested, argument, "5,000", v=size)
        await bad_input(watch, query.replace("query($v: Int) ", "").replace("$v", str(size)), argument, "5,000")


async def test_a_page_has_up_to_5000_rows(watch: Watch) -> None:
    query = "query($v: Int) { wards(first: $v) { nodes { code } } }"
    for size, rows in ((5000, 35), (0, 0), (None, 35), (1, 1)):
        assert len((await watch.passes(query, {"v": size}))["wards"]["nodes"]) == rows
    assert len((await watch.passes(query))["wards"]["nodes"]) == 35


async def test_a_page_is_counted_from_one_end(watch: Watch) -> None:
    query = "query($f: Int, $l: Int) { wards(first: $f, last: $l) { nodes { code } } }"
    await bad_input(watch, query, "first and last", f=1, l=1)
    assert len((await watch.passes(query, {"f": None, "l": 2}))["wards"]["nodes"]) == 2
    assert len((await watch.passes(query, {"f": 2, "l": None}))["wards"]["nodes"]) == 2
    assert len((await watch.passes(query, {"f": 2}))["wards"]["nodes"]) == 2
    assert len((await watch.passes(query, {"f": 3, "l": None}))["wards"]["nodes"]) == 3


# -- cursors -----------------------------------------------------------------------------------------------------------

PAGE = """
query($v: String, $w: WardFilter, $o: [WardOrder!]) {
  wards(after: $v, where: $w, orderBy: $o, first: 3) { nodes { code } pageInfo { endCursor hasPreviousPage } }
}
"""


async def end_of(watch: Watch, **variables: Any) -> str:
    return (await watch.passes(PAGE, variables))["wards"]["pageInfo"]["endCursor"]


def packed(value: Any) -> str:
    return base64.b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).decode()


def opened(cursor: str) -> list[Any]:
    return json.loads(base64.b64decode(cursor))


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        " ",
        "0",
        "a",
        "=",
        "====",
        "!!!!",
        "nonsense",
        "bm9uc2Vuc2U=",
        "é",
        packed(b""),
        packed(b"\xff\xfe\x00"),
        packed(b"[" * 3000),
        packed(b"[" * 1000 + b"]" * 1000),
        packed(b'{"a":' * 600 + b"1" + b"}" * 600),
        packed(b"[NaN]"),
        packed(b"1" * 3000),
        packed(None),
        packed(1),
        packed("text"),
        packed({}),
        packed([]),
        packed([[]]),
        packed([None]),
        packed([1, 2, 3]),
        packed(["x"]),
        packed(["x", "1186", NOWHERE]),
        "A" * 4096,
        "A" * 5000,
        "A" * 100_000,
    ],
    ids=lambda cursor: repr(cursor[:24]),
)
async def test_a_cursor_that_is_none(watch: Watch, cursor: str) -> None:
    for side in ("after", "before"):
        query = f"query($v: String) {{ wards({side}: $v) {{ nodes {{ code }} }} }}"
        await bad_input(watch, query, side, "cursor", kind="cursors", v=cursor)
        query = f"query($v: String) {{ wards({side}: $v) {{ pageInfo {{ hasPreviousPage hasNextPage }} }} }}"
        await bad_input(watch, query, side, "cursor", kind="cursors", v=cursor)


async def test_a_cursor_of_another_list_is_refused(watch: Watch) -> None:
    cursor = await end_of(watch)
    named = {"o": [{"name": "ASC"}]}
    filtered = {"w": {"population": {"gt": 0}}}
    for other in (
        named,
        filtered,
        {"o": [{"code": "DESC"}]},
        {"o": [{"code": "ASC"}, {"name": "ASC"}]},
        {"w": {"population": {"gte": 0}}},
        {"w": {"not": {"population": {"lt": 0}}}},
        {"o": [{"boundary": {"distance": {"from": [34.75, -0.1]}}}]},
    ):
        await bad_input(watch, PAGE, "after", "another order or filter", kind="cursors", v=cursor, **other)
        await bad_input(watch, PAGE, "after", "another order or filter", kind="cursors", v=await end_of(watch, **other))
    await bad_input(watch, PAGE, "another", kind="cursors", v=await end_of(watch, **named), **filtered)
    sub_counties = "query($v: String) { subCounties(after: $v) { nodes { code } } }"
    await bad_input(watch, sub_counties, "another", kind="cursors", v=cursor)


async def test_a_cursor_of_an_order_from_another_place_is_refused(watch: Watch) -> None:
    """From elsewhere the same rows stand in another order: such a page would leave rows out in silence."""
    here = {"o": [{"boundary": {"distance": {"from": [34.75, -0.1]}}}]}
    there = {"o": [{"boundary": {"distance": {"from": [34.9, -0.2]}}}]}
    cursor = await end_of(watch, **here)
    assert len((await watch.passes(PAGE, {"v": cursor, **here}))["wards"]["nodes"]) == 3
    await bad_input(watch, PAGE, "after", "another order", kind="cursors", v=cursor, **there)


async def test_a_truncated_or_changed_cursor_is_refused_or_a_place_in_the_list(watch: Watch) -> None:
    cursor = await end_of(watch)
    for at in range(len(cursor)):
        await bad_input(watch, PAGE, "after", kind="cursors", v=cursor[:at])
    digest, *values = opened(cursor)
    for forged in (
        [digest],
        [digest, *values, "more"],
        [digest, *values[:-1]],
        [digest.upper() + "x", *values],
        [digest, values[0], "no id"],
        [digest, values[0], 1],
        [digest, values[0], []],
        [digest, values[0], {}],
        [digest, 1186, values[1]],
        [digest, [], values[1]],
        [digest, {"a": 1}, values[1]],
        [digest, True, values[1]],
        [digest, "\x00", values[1]],
        [digest, "\ud800", values[1]],
    ):
        await bad_input(watch, PAGE, "after", kind="cursors", v=packed(forged))
    for code, rows in (("", 3), ("1219", 2), ("9999", 0), ("' or true --", 3)):
        page = await watch.passes(PAGE, {"v": packed([digest, code, NOWHERE])})
        assert len(page["wards"]["nodes"]) == rows


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("population", [2**31, -(2**31) - 1, 2**63, 10**300, 1e300, "1e9999999", "NaN", "Infinity", "x", [], True]),
        ("areaKm2", ["NaN", "Infinity", "1e9999999", "1e400", 10**400, "x", [], True]),
        ("generalisedMeters", [2**31, "1e99", {}, True]),
    ],
)
async def test_a_forged_cursor_holds_no_value_that_its_column_cannot_hold(
    watch: Watch, column: str, values: list[Any]
) -> None:
    order = {"o": [{column: "ASC"}]}
    digest, *_, id_ = opened(await end_of(watch, **order))
    for value in values:
        await bad_input(watch, PAGE, "after", kind="cursors", v=packed([digest, value, id_]), **order)


async def test_a_forged_cursor_of_figures_holds_no_value_that_takes_long(watch: Watch) -> None:
    query = """
      query($v: String) { ward(code: "1186") { figures(orderBy: {value: ASC}, after: $v) { pageInfo { endCursor } } } }
    """
    cursor = (await watch.passes(query))["ward"]["figures"]["pageInfo"]["endCursor"]
    digest, value, id_ = opened(cursor)
    assert isinstance(value, str)
    for forged in ("1e9999999", "-1e-9999999", "NaN", "sNaN", "Infinity", "", " ", "x", [], True):
        await bad_input(watch, query, "after", kind="cursors", v=packed([digest, forged, id_]))


# -- statements --------------------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
anything = st.fixed_dictionaries(
    {
        "text": texts,
        "texts": st.lists(texts, max_size=5),
        "id": st.uuids().map(str),
        "int": st.integers(-(2**31), 2**31 - 1),
        "float": st.floats(allow_nan=False, allow_infinity=False),
        "at": st.tuples(st.floats(33, 37), st.floats(-2, 2)).map(list),
        "meters": st.floats(0, 200_000),
        "box": st.tuples(st.floats(33, 34), st.floats(-2, -1), st.floats(35, 36), st.floats(0, 1)).map(list),
        "size": st.integers(0, 50),
        "day": st.dates().map(lambda day: day.isoformat()),
    }
)

EVERYTHING = """
query($text: String!, $texts: [String!]!, $id: ID!, $int: Int!, $float: Float!, $at: Position!, $meters: Float!,
      $box: BBox!, $size: Int!, $day: Date!) {
  wards(
    where: { and: [
      { name: { eq: $text, contains: $text, startsWith: $text, in: $texts, notIn: $texts } }
      { id: { ne: $id }, population: { lt: $int }, areaKm2: { gte: $float }, aliases: { has: $text } }
      { or: [{ boundary: { bbox: $box, near: { point: $at, meters: $meters } } }, { labelPoint: { bbox: $box } }] }
      { figures: { some: { asOf: { eq: $day }, value: { gt: $float } } }, subCounty: { code: { eq: $text } } }
    ] }
    orderBy: [{ boundary: { distance: { from: $at } } }, { name: DESC }]
    first: $size
  ) {
    totalCount nodes { code distanceMeters(from: $at) names(first: $size) { nodes { name } } } pageInfo { endCursor }
  }
  ward(code: $text) { id }
  wardAt(point: $at) { id }
  nearestWard(point: $at) { id }
}
"""


@settings(deadline=None, max_examples=100, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(variables=anything)
def test_the_statement_never_changes_with_values(variables: dict[str, Any]) -> None:
    made, parameters = schema.compiled(EVERYTHING, variables, None, LIMITS)
    known = _seen.setdefault("sql", made.sql)
    assert made.sql == known
    assert len(parameters) == len(_seen.setdefault("parameters", parameters))  # type: ignore[arg-type]


_seen: dict[str, Any] = {}


@settings(deadline=None, max_examples=60, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(variables=anything)
async def test_the_database_takes_every_value_that_was_admitted(watch: Watch, variables: dict[str, Any]) -> None:
    await watch.passes(EVERYTHING, variables)


@settings(deadline=None, max_examples=60, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(one=texts, other=texts)
def test_values_in_the_document_are_bound_like_variables(one: str, other: str) -> None:
    def compiled(text: str) -> str:
        quoted = json.dumps(text)
        query = f"{{ wards(where: {{ name: {{ eq: {quoted} }} }}) {{ nodes {{ id }} }} ward(code: {quoted}) {{ id }} }}"
        return schema.compiled(query, None, None, LIMITS)[0].sql

    if "\x7f" not in one + other:
        assert compiled(one) == compiled(other)


async def test_shapes_of_variables_do_not_mix_their_statements(watch: Watch) -> None:
    """The same document with other shapes of variables, in every order: each answer is that of its own statement."""
    query = (
        "query($w: WardFilter, $d: Direction! = ASC, $n: Int, $yes: Boolean = true, $k: [WardOrder!]) "
        "{ wards(where: $w, orderBy: $k, first: $n) { totalCount nodes { code @include(if: $yes) } } "
        "  sorted: wards(orderBy: { code: $d }, first: 1) { nodes { code } } }"
    )
    shapes: list[dict[str, Any]] = [
        {},
        {"w": None},
        {"w": {}},
        {"w": {"code": {"eq": "1186"}}},
        {"w": {"code": {"ne": "1186"}}},
        {"w": {"code": {"isNull": True}}},
        {"w": {"code": {"isNull": False}}},
        {"w": {"or": []}},
        {"w": {"and": []}},
        {"w": {"or": [{"code": {"eq": "1186"}}, {"code": {"eq": "1187"}}]}},
        {"w": {"or": [{"code": {"eq": "1186"}}]}},
        {"w": {"or": {"code": {"eq": "1186"}}}},
        {"w": {"not": {"code": {"eq": "1186"}}}},
        {"w": {"memberships": {"some": {"accepted": {"eq": True}}}}},
        {"w": {"memberships": {"some": {"accepted": {"eq": False}}}}},
        {"w": {"names": {"every": {"kind": {"eq": "OFFICIAL"}}}}},
        {"w": {"names": {"every": {"kind": {"eq": "ALIAS"}}}}},
        {"d": "DESC"},
        {"d": "ASC"},
        {"n": None},
        {"n": 1},
        {"n": 2, "yes": False},
        {"yes": True},
        {"k": []},
        {"k": [{"code": "DESC"}]},
        {"k": {"code": "DESC"}},
        {"k": [{"population": "DESC"}, {"code": "ASC"}]},
    ]
    first = [await watch.passes(query, shape) for shape in shapes]
    assert first[0]["wards"]["totalCount"] == 35
    assert first[3]["wards"] == {"totalCount": 1, "nodes": [{"code": "1186"}]}
    assert first[4]["wards"]["totalCount"] == 34
    assert [answer["wards"]["totalCount"] for answer in first[5:13]] == [0, 35, 0, 35, 2, 1, 1, 34]
    assert [answer["wards"]["totalCount"] for answer in first[13:15]] == [35, 1]
    assert first[15]["wards"]["totalCount"] + first[16]["wards"]["totalCount"] <= 35
    assert first[17]["sorted"]["nodes"] == [{"code": "1220"}]
    assert first[21]["wards"]["nodes"] == [{}, {}]
    assert first[24]["wards"]["nodes"][0] == {"code": "1220"}
    for order in (reversed(range(len(shapes))), range(0, len(shapes), 3), range(len(shapes))):
        for at in order:
            assert await watch.passes(query, shapes[at]) == first[at], shapes[at]
