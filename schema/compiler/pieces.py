"""JSON as text, put together in SQL from fixed pieces and values.

`||` is faster than `json_build_object` and knows no limit of a hundred arguments; but with one NULL the whole is NULL,
so each value that can be missing goes through `or_null`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from itertools import groupby
from typing import Any

from geoalchemy2 import Geometry
from graphql import GraphQLEnumType, GraphQLNamedType
from sqlalchemy import ColumnElement, Text, cast, collate, func, literal_column
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.elements import Grouping

from geo import sql as spatial

Piece = str | ColumnElement[Any]
"""A fixed part of the answer (braces, keys, type names: never a value), or an expression of type text."""


def fixed(text: str) -> ColumnElement[str]:
    """A fixed piece as SQL. Its letters come from the document's names, which are letters, digits and underscores."""
    return literal_column("'" + text.replace("'", "''") + "'", Text)


def joined(*pieces: Piece) -> ColumnElement[str]:
    """The pieces one after the other; neighbouring fixed ones become one."""
    return reduce(lambda left, right: left.concat(right), _run_together(pieces))


def joined_around_long(*pieces: Piece) -> ColumnElement[str]:
    """The same, put together from its end: each `||` copies what stands on its left, and a long piece among short ones
    would be copied again for each of those that follow."""
    return reduce(lambda right, left: left.concat(Grouping(right)), reversed(_run_together(pieces)))


def _run_together(pieces: Iterable[Piece]) -> list[ColumnElement[Any]]:
    parts: list[ColumnElement[Any]] = []
    for is_fixed, run in groupby(pieces, key=lambda piece: isinstance(piece, str)):
        together = list(run)
        parts.extend([fixed("".join(map(str, together)))] if is_fixed else together)  # type: ignore[arg-type]
    return parts


def members(named: list[tuple[str, list[Piece]]]) -> list[Piece]:
    """`{"key": value, …}`."""
    pieces: list[Piece] = ["{"]
    for at, (key, value) in enumerate(named):
        pieces += [f'{"," if at else ""}"{key}":', *value]
    return [*pieces, "}"]


def quoted(expression: ColumnElement[Any]) -> ColumnElement[str]:
    """A text that needs no escaping, in quotes."""
    return joined('"', expression, '"')


def as_boolean(expression: ColumnElement[Any]) -> ColumnElement[str]:
    return cast(expression, Text)


def or_null(expression: ColumnElement[Any]) -> ColumnElement[str]:
    return func.coalesce(expression, fixed("null"))


def as_json(value: ColumnElement[Any], type_: Any, api_type: GraphQLNamedType) -> ColumnElement[str]:
    """One value as JSON text. NULL stays NULL."""
    return joined(*as_pieces(value, type_, api_type))


def as_pieces(value: ColumnElement[Any], type_: Any, api_type: GraphQLNamedType) -> list[Piece]:
    """The same as pieces: fixed ones become one with their neighbours, which saves a copy of a long row each."""
    named = _named(value, type_, api_type)
    return ['"', named, '"'] if named is not None else [_written(value, type_, api_type)]


def _named(value: ColumnElement[Any], type_: Any, api_type: GraphQLNamedType) -> ColumnElement[str] | None:
    """The letters of a value that stands in quotes and needs no escaping; None for any other."""
    if isinstance(api_type, GraphQLEnumType) and not isinstance(type_, ARRAY):
        # Tables keep an enum's name in lower case; its letters are plain, and rules of languages cost time.
        return func.upper(collate(value, "C"))
    return cast(value, Text) if isinstance(type_, sqltypes.Uuid) else None


def _written(value: ColumnElement[Any], type_: Any, api_type: GraphQLNamedType) -> ColumnElement[str]:
    if isinstance(type_, Geometry):
        return spatial.as_geojson(value)
    if isinstance(api_type, GraphQLEnumType) and isinstance(type_, ARRAY):
        return cast(func.to_json(cast(func.upper(cast(value, Text)), ARRAY(Text))), Text)
    match type_:
        case sqltypes.Boolean() | sqltypes.Integer():
            return cast(value, Text)
        case sqltypes.DateTime():
            return func.to_char(func.timezone(fixed("UTC"), value), fixed('"\\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\\""'))
        case _:
            return cast(func.to_json(value), Text)


def in_cursor(value: ColumnElement[Any], type_: Any) -> ColumnElement[Any]:
    """A value inside a cursor, such that reading it back gives the same value."""
    match type_:
        case sqltypes.DateTime():
            return func.to_char(func.timezone(fixed("UTC"), value), fixed('YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'))
        case sqltypes.Float():
            return value
        case sqltypes.Numeric() | sqltypes.Uuid():
            return cast(value, Text)
        case _:
            return value
