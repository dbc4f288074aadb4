"""A list as columns instead of JSON, for files that other programs open: with the API's filters, orders and policies.

A layer names an operation whose list it is, so that a filter means in a file what it means in GraphQL, and is refused
in the same words; what its columns are stands in `schema/layers.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from graphql import OperationDefinitionNode
from sqlalchemy import BigInteger, Double, Text, cast, func, literal_column, select

from geo import sql as spatial
from schema.compiler.admit import Ceilings, admit_variables
from schema.compiler.connections import Page
from schema.compiler.execution import CompiledSchema
from schema.compiler.mapping import ENTITIES
from schema.compiler.pieces import fixed
from schema.compiler.render import Renderer
from schema.compiler.selection import Request, collected, select_root


class Kind(Enum):
    """What a column holds."""

    TEXT = "text"
    KEY = "key"
    """Letters, digits, hyphens and blanks: what the hub or the law made, never what a person wrote."""
    WORD = "word"
    """A value of an enum: written as the API names it."""
    WORDS = "words"
    """Several, or several texts: joined by commas."""
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    MOMENT = "moment"
    DAY = "day"
    GEOMETRY = "geometry"


@dataclass(frozen=True)
class Column:
    """One column of a layer."""

    name: str
    kind: Kind
    description: str


@dataclass(frozen=True)
class Layer:
    """A list of the API as a table. Its geometry is the column `geometry`, EPSG:4326, and may be missing in a row."""

    name: str
    description: str
    entity: type
    document: str
    """An operation with `$where` and `$orderBy`, one list of which this is."""
    columns: tuple[Column, ...]
    build: Callable[[Any], tuple[Any, Sequence[Any]]]
    """From an alias of the entity's table to what is read (`select_from`), and an expression for each column."""

    path: tuple[str, ...] = ()
    """The way from the operation's root to that list, by names of fields; empty where it is the root's."""

    @property
    def packed(self) -> tuple[int, ...]:
        """Which columns Form.BINARY packs into one, joined by SEPARATOR; an empty value is a missing one."""
        return tuple(at for at, column in enumerate(self.columns) if column.kind in (Kind.KEY, Kind.WORD))


SEPARATOR = "\x1f"
"""Stands between packed values; in none of them."""


class Form(Enum):
    """How values leave the database."""

    BINARY = "binary"
    """As a columnar file takes them: moments as microseconds since 1970, days since 1970, shapes as WKB. Keys and words
    come packed into one text, the first column: each value of a row has its price, and these are half of them."""
    TEXT = "text"
    """As a CSV takes them: everything as text, shapes as WKT."""
    FEATURE = "feature"
    """One column: a GeoJSON feature."""


def exported(
    schema: CompiledSchema, layer: Layer, variables: dict[str, Any], limits: Ceilings, form: Form, first: int | None
) -> tuple[str, list[Any]]:
    """The statement and parameters that read a layer, row by row. Raises HubError or GraphQLError for a bad filter."""
    admit_variables(variables, limits)
    document = schema.document(layer.document, limits)
    assert not document.errors, document.errors
    (operation,) = (node for node in document.ast.definitions if isinstance(node, OperationDefinitionNode))
    values = schema.variable_values(operation, variables)
    request = Request(schema._schema, operation, {}, values)
    query = schema._schema.query_type
    assert query is not None
    ((key, nodes),) = collected(request, query, [operation.selection_set]).items()
    selected = select_root(request, key, nodes)
    for name in layer.path:
        (selected,) = (child for child in selected.children if child.name == name)
    renderer = Renderer(schema.mapping, limits)
    entity = ENTITIES[layer.entity]
    alias = renderer.alias(entity)
    source, expressions = layer.build(alias)
    shown = [
        _written(column.kind, expression, form) for column, expression in zip(layer.columns, expressions, strict=True)
    ]
    if form is Form.BINARY:
        packed = func.concat_ws(fixed(SEPARATOR), *(func.coalesce(shown[at], fixed("")) for at in layer.packed))
        shown = [packed, *(each for at, each in enumerate(shown) if at not in layer.packed)]
    if form is Form.FEATURE:
        shown = [_feature(layer.columns, expressions)]
    named = [expression.label(f"c{at}") for at, expression in enumerate(shown)]
    page = Page(renderer, entity, selected, lambda _: None)
    read = page.whole(select(*named).select_from(source), alias.c)
    if first is not None:
        read = read.limit(literal_column(str(int(first))))
    statement = renderer.finished(read, ())
    return statement.sql, statement.parameters(values)


def _written(kind: Kind, value: Any, form: Form) -> Any:
    binary = form is Form.BINARY
    match kind:
        case Kind.WORD:
            return func.upper(cast(value, Text))
        case Kind.WORDS:
            return func.array_to_string(value, fixed(", "), type_=Text)
        case Kind.MOMENT if binary:
            return _microseconds(value)
        case Kind.MOMENT:
            return func.to_char(func.timezone(fixed("UTC"), value), fixed('YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
        case Kind.DAY if binary:
            return value - literal_column("date '1970-01-01'")
        case Kind.GEOMETRY:
            return func.st_asbinary(value) if binary else func.st_astext(value, literal_column("7"))
        case Kind.NUMBER if binary:
            return cast(value, Double)
        case Kind.INTEGER | Kind.BOOLEAN if binary:
            return value
        case _:
            return cast(value, Text)


def _microseconds(value: Any) -> Any:
    return cast(func.extract("epoch", value) * literal_column("1000000"), BigInteger)


def _feature(columns: Sequence[Column], expressions: Sequence[Any]) -> Any:
    members: list[Any] = []
    shape: Any = literal_column("null")
    for column, expression in zip(columns, expressions, strict=True):
        if column.kind is Kind.GEOMETRY:
            shape = expression
            continue
        value = expression
        if column.kind in (Kind.WORD, Kind.WORDS, Kind.MOMENT):
            value = _written(column.kind, expression, Form.TEXT)
        members += [fixed(column.name), value]
    geometry = func.coalesce(spatial.as_geojson(shape), fixed("null"))
    properties = cast(func.json_build_object(*members), Text)
    return func.concat(
        fixed('{"type":"Feature","geometry":'), geometry, fixed(',"properties":'), properties, fixed("}")
    )
