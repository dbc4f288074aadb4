"""The county's scalars: what they hold, in which unit and CRS, and how bad values are refused."""

from __future__ import annotations

from typing import Any, NewType

import strawberry
from graphql import GraphQLError, ListValueNode, ObjectValueNode, ValueNode, VariableNode, value_from_ast_untyped
from strawberry.types.scalar import ScalarDefinition

from geo import shapes

Position = NewType("Position", tuple[float, float])
BBox = NewType("BBox", tuple[float, float, float, float])
GeoJSON = NewType("GeoJSON", dict[str, Any])
"""A shape in an answer."""
AreaGeoJSON = NewType("AreaGeoJSON", dict[str, Any])
"""A shape in a question: a Polygon or MultiPolygon."""
LineGeoJSON = NewType("LineGeoJSON", dict[str, Any])
"""A line that is sent: a LineString or MultiLineString."""


def _scalar(name: str, description: str, parse: Any, specified_by: str | None = None) -> ScalarDefinition:
    def checked(value: Any) -> Any:
        try:
            return parse(value)
        except shapes.ShapeError as error:
            raise GraphQLError(str(error)) from error

    def literal(node: ValueNode, variables: dict[str, Any] | None = None) -> Any:
        if variables is None and holds_variable(node):
            return node  # a document is validated before its variables are known; they are checked when they are
        return checked(value_from_ast_untyped(node, variables))

    return strawberry.scalar(
        name=name,
        description=description,
        parse_value=checked,
        parse_literal=literal,
        serialize=lambda value: value,
        specified_by_url=specified_by,
    )


def holds_variable(node: ValueNode) -> bool:
    """Whether a literal leaves something to a variable: `[$longitude, -0.1]`."""
    if isinstance(node, VariableNode):
        return True
    if isinstance(node, ListValueNode):
        return any(holds_variable(item) for item in node.values)
    return isinstance(node, ObjectValueNode) and any(holds_variable(member.value) for member in node.fields)


def _no_input(_: Any) -> Any:
    raise GraphQLError("this scalar is for answers only")


SCALARS: dict[object, ScalarDefinition] = {
    Position: _scalar(
        "Position",
        "A place: `[longitude, latitude]` in degrees, EPSG:4326, longitude first. Example: `[34.7617, -0.0917]`.",
        shapes.position,
    ),
    BBox: _scalar(
        "BBox",
        "A box: `[west, south, east, north]` in degrees, EPSG:4326, at most 20 degrees wide. "
        "Example: `[34.4, -0.45, 35.4, 0.1]`.",
        shapes.box,
    ),
    GeoJSON: _scalar(
        "GeoJSON",
        "A GeoJSON geometry (RFC 7946): longitude first, EPSG:4326, at most seven decimals.",
        _no_input,
        "https://datatracker.ietf.org/doc/html/rfc7946",
    ),
    AreaGeoJSON: _scalar(
        "AreaGeoJSON",
        "A GeoJSON Polygon or MultiPolygon (RFC 7946) of at most 2,000 vertices: longitude first, EPSG:4326, rings "
        "closed and not crossing.",
        shapes.area,
        "https://datatracker.ietf.org/doc/html/rfc7946",
    ),
    LineGeoJSON: _scalar(
        "LineGeoJSON",
        "A GeoJSON LineString or MultiLineString (RFC 7946) of at most 2,000 vertices: longitude first, EPSG:4326.",
        shapes.line,
        "https://datatracker.ietf.org/doc/html/rfc7946",
    ),
}
