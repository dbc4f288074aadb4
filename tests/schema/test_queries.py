"""Each case is a family of files: the question (`.graphql`, with `# variables: {…}` in its head), the statement that it
becomes (`.sql`) and the answer over the county as it is shipped (`.json`), or, with `# as: a role` in its head, the
answer to somebody with that role over what happens in `queries/morning.sql` and `queries/incidents.sql`. `pytest
--update` writes the last two; read the diff like prose."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from graphql import (
    GraphQLEnumType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    OperationDefinitionNode,
    parse,
)

from hub.sql import compiled_file, shown
from schema.api import schema
from schema.compiler.selection import Request, collected
from tests.conftest import County, Hub, make_person, running

QUERIES = Path(__file__).parent.parent / "queries"
CASES = sorted(QUERIES.glob("*/*.graphql"))


def named(path: Path) -> str:
    return str(path.relative_to(QUERIES).with_suffix(""))


def variables_of(path: Path) -> dict[str, Any]:
    for line in path.read_text().splitlines():
        if line.startswith("# variables: "):
            return json.loads(line.removeprefix("# variables: "))
    return {}


def role_of(path: Path) -> str | None:
    for line in path.read_text().splitlines():
        if line.startswith("# as: "):
            return line.removeprefix("# as: ").strip()
    return None


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def morning(copies: Callable[[], AbstractContextManager[County]]) -> AsyncIterator[Hub]:
    """The hub over a morning's work: the same rows with the same keys each time."""
    with copies() as county:
        for role in sorted({role for path in CASES if (role := role_of(path))}):
            make_person(county, f"the-{role.replace('_', '-')}", role)
        with psycopg.connect(county.owner_url) as connection:
            connection.execute("set role hub_owner")
            for file in ("morning.sql", "incidents.sql"):
                connection.execute((QUERIES / file).read_text().encode())
        async with running(county.login_url) as made:
            yield made


@pytest.mark.parametrize("path", CASES, ids=named)
def test_an_operation_becomes_this_statement(path: Path, request: pytest.FixtureRequest) -> None:
    same(path.with_suffix(".sql"), shown(*compiled_file(path, variables_of(path))), request)


@pytest.mark.parametrize("path", CASES, ids=named)
@pytest.mark.asyncio(loop_scope="session")
async def test_an_operation_has_this_answer(path: Path, hub: Hub, morning: Hub, request: pytest.FixtureRequest) -> None:
    if role := role_of(path):
        token = await morning.token(f"the-{role.replace('_', '-')}")
        data = await morning.ask(path.read_text(), variables_of(path), token=token)
    else:
        data = await hub.ask(path.read_text(), variables_of(path))
    fits(path, data)
    same(path.with_suffix(".json"), written(data) + "\n", request)


def same(kept: Path, made: str, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update"):
        kept.write_text(made)
    assert kept.exists(), f"{kept.name} is missing: run pytest --update and read what it wrote"
    assert made == kept.read_text()


def written(data: Any) -> str:
    """JSON with a line for each member, and one line for a whole geometry."""
    shapes: list[str] = []

    def without_shapes(value: Any) -> Any:
        if isinstance(value, dict) and set(value) == {"type", "coordinates"}:
            shapes.append(json.dumps(value, separators=(",", ":")))
            return f"shape {len(shapes) - 1}"
        if isinstance(value, dict):
            return {key: without_shapes(member) for key, member in value.items()}
        return [without_shapes(item) for item in value] if isinstance(value, list) else value

    text = json.dumps(without_shapes(data), ensure_ascii=False, indent=1)
    return re.sub(r'"shape (\d+)"', lambda found: shapes[int(found[1])], text)


def fits(path: Path, data: Any) -> None:
    """graphql-core's completion is skipped for compiled reads, so what it would have checked is checked here: response
    keys and their order, nullability, lists, enums and scalars against the SDL."""
    document = parse(path.read_text())
    operation = next(node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    fragments = {node.name.value: node for node in document.definitions if node.kind == "fragment_definition"}
    values = schema.variable_values(operation, variables_of(path))
    request = Request(schema._schema, operation, fragments, values)

    def shown(type_: GraphQLObjectType, nodes: list[Any]) -> list[str]:
        return list(collected(request, type_, [node.selection_set for node in nodes]))

    def check(type_: GraphQLOutputType, value: Any, nodes: list[Any], place: str) -> None:
        if isinstance(type_, GraphQLNonNull):
            assert value is not None, f"{place} is null"
            type_ = type_.of_type
        if value is None:
            return
        if isinstance(type_, GraphQLList):
            assert isinstance(value, list), place
            for at, item in enumerate(value):
                check(type_.of_type, item, nodes, f"{place}[{at}]")
        elif isinstance(type_, GraphQLInterfaceType):
            # An object says by its keys, or by its name, which of the types it is.
            possible = [each for each in schema._schema.get_possible_types(type_) if shown(each, nodes) == list(value)]
            named = [each for each in possible if value.get("__typename", each.name) == each.name]
            assert named, place
            check(named[0], value, nodes, place)
        elif isinstance(type_, GraphQLObjectType):
            fields = collected(request, type_, [node.selection_set for node in nodes])
            assert list(value) == list(fields), place
            for key, below in fields.items():
                name = below[0].name.value
                if name == "__typename":
                    assert value[key] == type_.name, place
                elif not name.startswith("__"):
                    check(type_.fields[name].type, value[key], below, f"{place}.{key}")
        elif isinstance(type_, GraphQLEnumType):
            assert value in type_.values, f"{place}: {value}"
        else:
            assert isinstance(type_, GraphQLScalarType)
            assert SCALARS[type_.name](value), f"{place}: {value!r} is no {type_.name}"

    query = schema._schema.query_type
    assert query is not None
    check(query, data, [operation], "data")


SCALARS = {
    "DateTime": lambda value: datetime.fromisoformat(value).utcoffset() == timedelta(0),
    "ID": lambda value: isinstance(value, str) and len(value) == 36,
    "String": lambda value: isinstance(value, str),
    "Int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "Float": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "Boolean": lambda value: isinstance(value, bool),
    "Date": lambda value: isinstance(value, str) and len(value) == 10,
    "BBox": lambda value: len(value) == 4 and value[0] <= value[2] and value[1] <= value[3],
    "GeoJSON": lambda value: set(value) == {"type", "coordinates"},
}
