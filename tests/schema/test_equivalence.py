"""The compiled answer equals the plain one: for random operations of random callers over the areas, incidents and the
fleet, answered by one statement in the database and by loops in Python (`plain.py`).

HUB_TEST_OPERATIONS=20000 draws that many new ones; without it the same few hundred are asked each time.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
import shapely
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from strawberry.printer import print_schema

from hub.database.embedded import Cluster
from hub.settings import Database, Limits, Settings
from schema.api import schema
from tests.conftest import County as Place
from tests.conftest import Hub, copied, make_person, running
from tests.schema.happenings import happen
from tests.schema.operations import Draft, Operation, Values, operations
from tests.schema.plain import CALLERS, CURSOR, Caller, Plain, id_in, read_county

ASKED = int(os.environ.get("HUB_TEST_OPERATIONS", "0"))
COUNT = ASKED or 300

drawn = settings(
    max_examples=COUNT,
    deadline=None,
    derandomize=not ASKED,
    database=None,
    print_blob=True,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)

SEED = int(os.environ.get("HUB_TEST_SEED", random.randrange(10**6) if ASKED else 7))
"""Of what happens in the county that is asked about."""

SEASONING = (Path(__file__).parent / "seasoning.sql").read_text()


@pytest.fixture(scope="module")
def seasoned(cluster: Cluster, template: str) -> Iterator[Place]:
    """The county with rows that make filters, orders and pages hard."""
    with copied(cluster, template) as county:
        with psycopg.connect(county.owner_url) as connection:
            connection.execute(SEASONING)
        for caller in CALLERS:
            if caller.name is not None:
                make_person(county, caller.name, *caller.roles, areas=caller.areas, display=f"{caller.name} Ouma")
        with psycopg.connect(county.owner_url) as connection:
            connection.execute("set role hub_owner")
            happen(connection, random.Random(SEED))
        yield county


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def seasoned_hub(seasoned: Place) -> AsyncIterator[Hub]:
    async with running(seasoned.login_url, generous(seasoned.login_url)) as hub:
        yield hub


def generous(url: str) -> Settings:
    """Ceilings that no drawn operation meets: `tests/attacks` is about them."""
    limits = Limits(
        max_aliases=5000,
        max_cost=10**12,
        max_repeats=500,
        max_selections=10**5,
        max_depth=50,
        max_root_fields=100,
        max_tokens=10**5,
        max_document_bytes=10**6,
        max_body_bytes=10**7,
    )
    return Settings(database=Database(database_url=url), limits=limits)


PLACES = (
    (34.75, -0.1),
    (34.7617, -0.0917),
    (34.9, -0.2),
    (35.05, -0.17),
    (34.5, -0.05),
    (34.45, -0.2),
    (34.6, -0.25),
    (34.95, -0.35),
    (33.0, -2.0),
    (36.5, 1.5),
    (34.2, -0.3),
    (35.3, -0.05),
)
"""In wards, on the lake, outside of the county, far away. Label points and corners of outlines come with them."""


@pytest.fixture(scope="module")
def places(seasoned: Place) -> list[tuple[float, float]]:
    return _places(seasoned.owner_url)


def _places(url: str) -> list[tuple[float, float]]:
    with psycopg.connect(url) as connection:
        incidents = connection.execute(
            "select distinct st_x(location), st_y(location) from incident_versions"
        ).fetchall()
        found = connection.execute(
            "select st_x(label_point), st_y(label_point) from wards where code in ('1186', '1197', '1210') union all "
            "select st_x(p), st_y(p) from wards, st_pointn(st_exteriorring(st_geometryn(boundary, 1)), 3) p "
            "where code in ('1188', '1200', '1212')"
        )
        return [*PLACES, *found, *incidents]


@pytest.fixture(scope="module")
def plain(seasoned: Place, places: list[tuple[float, float]]) -> Plain:
    """The county as its tables have it, which no policy hides."""
    return Plain(print_schema(schema), read_county(seasoned.owner_url, places))


@pytest.fixture(scope="module")
def seen(plain: Plain) -> dict[Caller, Plain]:
    """The county as each caller may see it."""
    return {caller: Plain(print_schema(schema), plain.county.seen_by(caller)) for caller in CALLERS}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tokens(seasoned_hub: Hub) -> dict[Caller, str | None]:
    return {caller: await seasoned_hub.token(caller.name) if caller.name else None for caller in CALLERS}


@pytest.fixture(scope="module")
def values(plain: Plain, places: list[tuple[float, float]]) -> Values:
    return _values(plain, places)


def _values(plain: Plain, places: list[tuple[float, float]]) -> Values:
    outlines = [shapely.to_geojson(row["boundary"]) for row in plain.county.rows["Ward"] if row["code"] < "1202"]
    areas = [shapely.from_geojson(text).__geo_interface__ for text in outlines]
    areas += [
        shapely.box(x - d, y - d / 2, x + d, y + d).__geo_interface__ for x, y in places[:6] for d in (0.01, 0.1, 2)
    ]
    ring = shapely.box(34.4, -0.5, 35.4, 0.1).difference(shapely.box(34.7, -0.15, 34.9, -0.05))
    two = shapely.union(shapely.box(34.5, -0.2, 34.7, 0), shapely.box(34.8, -0.2, 34.9, 0))
    areas += [ring.__geo_interface__, two.__geo_interface__]
    return Values(plain.county, places, areas)


async def answered(
    hub: Hub, document: str, variables: dict[str, Any], name: str | None, token: str | None = None
) -> Any:
    response = await hub.post(document, variables, name, token=token)
    answer = response.json()
    assert "errors" not in answer, answer["errors"]
    return answer["data"]


def same(said: Any, expected: Any, place: str = "data") -> None:
    """The hub's JSON against the plain one, in the order of its keys. A cursor must be one of the right row."""
    if isinstance(expected, dict):
        assert isinstance(said, dict), place
        assert list(said) == list(expected), place
        for key, value in expected.items():
            same(said[key], value, f"{place}.{key}")
    elif isinstance(expected, list):
        assert isinstance(said, list), place
        assert len(said) == len(expected), f"{place}: {len(said)} rows instead of {len(expected)}"
        for at, value in enumerate(expected):
            same(said[at], value, f"{place}[{at}]")
    elif isinstance(expected, str) and expected.startswith(CURSOR):
        id_ = expected.removeprefix(CURSOR)
        assert id_in(said, {id_}) == id_, f"{place}: {said} is no cursor of {id_}"
    else:
        assert type(said) is type(expected) or {type(said), type(expected)} == {int, float}, f"{place}: {said!r}"
        assert said == expected, place


def found(answer: Any, key: str) -> list[Any]:
    """Every value under a response key, wherever it stands."""
    if isinstance(answer, dict):
        return [value for name, value in answer.items() if name == key] + [
            each for value in answer.values() for each in found(value, key)
        ]
    return [each for value in answer for each in found(value, key)] if isinstance(answer, list) else []


@drawn
@given(data=st.data())
async def test_any_operation_is_answered_as_by_reading_row_by_row(
    data: st.DataObject,
    seasoned_hub: Hub,
    plain: Plain,
    seen: dict[Caller, Plain],
    tokens: dict[Caller, str | None],
    values: Values,
) -> None:
    caller = data.draw(st.sampled_from(CALLERS))
    operation = data.draw(operations(plain.schema, values))
    await compared(operation, seasoned_hub, seen[caller], tokens[caller])


async def compared(operation: Operation, hub: Hub, plain: Plain, token: str | None) -> int:
    """Ask both and compare; walked lists are asked for their cursors first. Returns how often it asked."""
    cursors: dict[str, list[str]] = {}
    if operation.walks:
        said = await asked_of_both(*operation.document(), operation.name, hub, plain, token)
        cursors = {
            walk.key: [edge["cursor"] for edges in found(said, walk.key) for edge in edges] for walk in operation.walks
        }
    await asked_of_both(*operation.document(cursors), operation.name, hub, plain, token)
    return 2 if operation.walks else 1


async def asked_of_both(
    document: str, variables: dict[str, Any], name: str | None, hub: Hub, plain: Plain, token: str | None = None
) -> Any:
    try:
        said = await answered(hub, document, variables, name, token)
        expected = plain.answer(document, variables, name)
        assert not expected.errors, expected.errors
        same(said, expected.data)
    except BaseException as error:
        error.add_note(f"HUB_TEST_SEED={SEED}\n{document}\n{variables}")
        raise
    return said


FOUND = {
    "a yes or no that equals": "{ wards { nodes { memberships(where: { accepted: { eq: false } }) { totalCount } } } }",
    "a kind that equals, one that does not": (
        "{ wards { nodes { a: names(where: { kind: { eq: ALIAS } }) { nodes { name } } "
        "b: names(where: { kind: { ne: ALIAS } }) { nodes { name } } } } }"
    ),
    "a decimal that equals": "{ wards(where: { figures: { some: { value: { in: [1.9, 38.3] } } } }) { totalCount } }",
    "a box without height": "{ wards(where: { boundary: { bbox: [34.5, -0.1, 34.9, -0.1] } }) { totalCount } }",
    "a box of one place": "{ wards(where: { boundary: { bbox: [34.75, -0.1, 34.75, -0.1] } }) { totalCount } }",
    "a speed that no vehicle's column can hold": (
        "{ vehicles { totalCount } a: vehicles(where: { latestPosition: { speedKmh: { lt: 1e300 } } }) { totalCount } "
        "b: vehicles(where: { latestPosition: { speedKmh: { notIn: [-1e300, 42.5] } } }) { totalCount } "
        "c: vehicles(where: { latestPosition: { speedKmh: { eq: 1e39 } } }) { totalCount } }"
    ),
    "rows beside each of a long list, of which nothing is asked": (
        "{ wards(first: 100) { nodes { subCounty { __typename } again: subCounty { id @skip(if: true) } } } }"
    ),
    "a condition on what may be missing, denied": (
        "{ wards(where: { not: { generalisedMeters: { gt: 100 } } }) { totalCount nodes { generalisedMeters } } }"
    ),
}
"""What random operations found, or might find too seldom."""


@pytest.mark.parametrize("name", FOUND)
async def test_an_operation_that_was_answered_wrongly_once(
    seasoned_hub: Hub, plain: Plain, tokens: dict[Caller, str | None], name: str
) -> None:
    """As somebody who sees everything."""
    await asked_of_both(FOUND[name], {}, None, seasoned_hub, plain, tokens[CALLERS[-1]])


async def test_a_box_ends_at_its_sides(seasoned_hub: Hub, plain: Plain) -> None:
    """Not half a metre farther, as the boxes of the index do."""
    query = "query($box: BBox!) { wards(where: { labelPoint: { bbox: $box } }) { nodes { code } } }"
    for row in plain.county.rows["Ward"][:12]:
        x, y = row["label_point"].x, row["label_point"].y
        for shift in (1e-7, 1e-6):
            for box in (
                (x + shift, y - 0.1, x + 0.1, y + 0.1),
                (x - 0.1, y - 0.1, x - shift, y + 0.1),
                (x - 0.1, y + shift, x + 0.1, y + 0.1),
                (x - 0.1, y - 0.1, x + 0.1, y - shift),
                (x, y, x, y),
            ):
                await asked_of_both(query, {"box": list(box)}, None, seasoned_hub, plain)


# -- pages -------------------------------------------------------------------------------------------------------------

LISTS = {
    "WardOrder": "{ list: wards%s }",
    "AreaNameOrder": '{ ward(code: "1186") { list: names%s } }',
    "AreaFigureOrder": '{ ward(code: "1186") { list: figures%s } }',
    "AreaMembershipOrder": '{ ward(code: "1190") { list: memberships%s } }',
    "WaterOrder": "{ county { list: waters%s } }",
}
"""A list for each order."""
PAGE = """
(orderBy: $o, %s: $p, after: $a, before: $b)
{ totalCount nodes { id } edges { cursor node { id } } pageInfo { startCursor endCursor hasNextPage hasPreviousPage } }
"""


@settings(drawn, max_examples=max(40, ASKED // 20))
@given(data=st.data())
async def test_walking_all_pages_gives_every_row_once_and_in_order(
    data: st.DataObject, seasoned_hub: Hub, plain: Plain, values: Values
) -> None:
    type_ = data.draw(st.sampled_from(sorted(LISTS)))
    draft = Draft(lambda low, high: data.draw(st.integers(low, high)), plain.schema, values)
    order = [draft.bare(plain.schema.type_map[type_], "", "")[1] for _ in range(data.draw(st.integers(0, 3)))]
    order = [item for item in order if item is not ...]
    size = data.draw(st.integers(1, 40))

    async def page(direction: str, **variables: Any) -> Any:
        head = f"query($o: [{type_}!], $p: Int, $a: String, $b: String) "
        document = head + LISTS[type_] % (PAGE % direction)
        answer = found(await answered(seasoned_hub, document, {"o": order, **variables}, None), "list")[0]
        assert answer["nodes"] == [edge["node"] for edge in answer["edges"]]
        cursors = [edge["cursor"] for edge in answer["edges"]]
        assert [answer["pageInfo"]["startCursor"], answer["pageInfo"]["endCursor"]] == (
            [cursors[0], cursors[-1]] if cursors else [None, None]
        )
        return answer

    whole = await page("first", p=5000)
    ids = [node["id"] for node in whole["nodes"]]
    assert len(ids) == len(set(ids)) == whole["totalCount"]
    for direction, cursor, forward in (("first", "a", True), ("last", "b", False)):
        walked: list[str] = []
        at: dict[str, Any] = {}
        while True:
            each = await page(direction, p=size, **at)
            nodes = [node["id"] for node in each["nodes"]]
            assert each["totalCount"] == len(ids)
            walked = [*walked, *nodes] if forward else [*nodes, *walked]
            ahead, behind = ("hasNextPage", "hasPreviousPage") if forward else ("hasPreviousPage", "hasNextPage")
            assert each["pageInfo"][behind] is (len(walked) > len(nodes))
            assert each["pageInfo"][ahead] is (len(walked) < len(ids))
            if not each["pageInfo"][ahead]:
                break
            assert len(nodes) == size
            at = {cursor: each["pageInfo"]["endCursor" if forward else "startCursor"]}
        assert walked == ids
