"""The inputs that every list speaks: filters and orders, made from the entities, documented like everything else.

For an entity `Ward` this module comes to hold `WardFilter`, `WardListFilter` and `WardOrder`; operators for scalars and
geometry are the same everywhere. Made once, when the API is put together.
"""

from __future__ import annotations

import datetime
import sys
from enum import Enum
from typing import Any, Optional, get_type_hints  # noqa: F401 - generated annotations name Optional

import strawberry
from geoalchemy2 import Geometry
from sqlalchemy import types as sql
from sqlalchemy.dialects.postgresql import ARRAY
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField

from schema.compiler.aggregates import AGGREGATES, TotalsSpec
from schema.compiler.mapping import (
    ENTITIES,
    SPEC,
    ColumnSpec,
    Entity,
    FewSpec,
    History,
    ManySpec,
    OneSpec,
    RootSpec,
    Spec,
)
from schema.compiler.nearest import DEFAULT_NEAREST, MAX_NEAREST, NearestSpec
from schema.scalars import AreaGeoJSON, BBox, Position

_COMPARISONS = {
    "eq": "Equal to this.",
    "ne": "Not equal to this; rows without a value are among them.",
    "in": "Equal to one of these (at most 1,000).",
    "not_in": "Equal to none of these (at most 1,000); rows without a value are among them.",
}
_RANGES = {
    "lt": "Less than this.",
    "lte": "Less than or equal to this.",
    "gt": "Greater than this.",
    "gte": "Greater than or equal to this.",
}
_TEXTS = {"contains": "Holds this text, ignoring case.", "starts_with": "Begins with this text, ignoring case."}
_IS_NULL = {"is_null": "`true`: rows without a value; `false`: rows with one."}


@strawberry.enum(description="Direction of an order.")
class Direction(Enum):
    ASC = strawberry.enum_value(
        "asc", description="Smallest, earliest or first in the alphabet comes first; rows without a value last."
    )
    DESC = strawberry.enum_value(
        "desc", description="Largest, latest or last in the alphabet comes first; rows without a value first."
    )


def _input(name: str, description: str, members: dict[str, tuple[Any, str]], *, one_of: bool = False) -> type:
    """An input type of optional members: python name -> (type, description). Its names resolve in this module."""
    body: dict[str, Any] = {"__module__": __name__, "__annotations__": {}}
    for python_name, (type_, text) in members.items():
        body["__annotations__"][python_name] = f"Optional[{type_}]" if isinstance(type_, str) else type_ | None
        body[python_name] = strawberry.field(
            name=python_name.rstrip("_") if python_name.endswith("_") else None,
            description=text,
            default=strawberry.UNSET,
        )
    made = strawberry.input(type(name, (), body), name=name, description=description, one_of=one_of or None)
    setattr(sys.modules[__name__], name, made)
    return made


def _operators(name: str, type_: Any, described: str, *kinds: dict[str, str]) -> None:
    members: dict[str, tuple[Any, str]] = {}
    for kind in kinds:
        for operator, text in kind.items():
            python_name = f"{operator}_" if operator == "in" else operator
            listed = operator in ("in", "not_in")
            members[python_name] = (bool if operator == "is_null" else list[type_] if listed else type_, text)
    _input(name, f"Conditions on {described}; all that are given must hold.", members)


_operators("StringFilter", str, "a text", _COMPARISONS, _RANGES, _TEXTS, _IS_NULL)
_operators("IDFilter", strawberry.ID, "an id", _COMPARISONS, _IS_NULL)
_operators("IntFilter", int, "a whole number", _COMPARISONS, _RANGES, _IS_NULL)
_operators("FloatFilter", float, "a number", _COMPARISONS, _RANGES, _IS_NULL)
_operators("BooleanFilter", bool, "a yes or no", {"eq": "Equal to this."}, _IS_NULL)
_operators("DateFilter", datetime.date, "a day", _COMPARISONS, _RANGES, _IS_NULL)
_operators("DateTimeFilter", datetime.datetime, "a moment", _COMPARISONS, _RANGES, _IS_NULL)
_input(
    "StringListFilter",
    "Conditions on a list of texts; all that are given must hold.",
    {
        "has": (str, "The list holds this text, ignoring case."),
        "contains": (str, "One of the list's texts holds this text, ignoring case."),
    },
)


@strawberry.input(description="A circle around a place.")
class Near:
    point: Position = strawberry.field(description="The circle's middle, `[longitude, latitude]`.")
    meters: float = strawberry.field(description="The circle's radius in metres, at most 200,000.")


@strawberry.input(description="Where to measure a distance from.")
class DistanceFrom:
    from_: Position = strawberry.field(name="from", description="The place, `[longitude, latitude]`.")


_input(
    "GeometryFilter",
    "Spatial conditions; all that are given must hold.",
    {
        "bbox": (BBox, "The shape meets this box. Example: `[34.70, -0.15, 34.80, -0.05]`."),
        "within": (AreaGeoJSON, "The shape lies wholly within this area."),
        "intersects": (AreaGeoJSON, "The shape and this area share at least one point."),
        "near": (Near, "The shape comes within so many metres of a place."),
        "is_null": (bool, _IS_NULL["is_null"]),
    },
)
_input(
    "GeometryOrder",
    "Order by distance.",
    {"distance": (DistanceFrom, "Nearest first, in true metres; ties by id.")},
)


def scalar_name(entity: Entity, python_name: str, spec: ColumnSpec) -> str | None:
    """Which operators a column takes: `String`, `Geometry`, an enum's name …; None for one that cannot be filtered."""
    hint = get_type_hints(entity.type, localns=vars(sys.modules[entity.type.__module__]))[python_name]
    for part in (hint, *getattr(hint, "__args__", ())):
        if isinstance(part, type) and issubclass(part, Enum):
            name = part.__name__
            if f"{name}Filter" not in globals():
                globals()[name] = part
                _operators(f"{name}Filter", part, f"a {name}", _COMPARISONS, _IS_NULL)
            return name
    type_ = entity.table.c[spec.column or python_name].type
    if isinstance(type_, Geometry):
        return "Geometry"
    if isinstance(type_, ARRAY):
        return "StringList"
    if isinstance(type_, sql.Uuid):
        return "ID"
    for kind, name in _NAMES.items():
        if isinstance(type_, kind):
            return name
    return None


_NAMES: dict[type, str] = {
    sql.Boolean: "Boolean",
    sql.Integer: "Int",
    sql.Float: "Float",
    sql.Numeric: "Float",
    sql.DateTime: "DateTime",
    sql.Date: "Date",
    sql.Text: "String",
}


def build() -> None:
    """Make every entity's filter and order, and give its connections their arguments."""
    for entity in ENTITIES.values():
        if f"{entity.name}Filter" in globals():
            continue
        _build_inputs(entity)
    for entity in ENTITIES.values():
        for field in entity.type.__strawberry_definition__.fields:  # type: ignore[attr-defined]
            spec = spec_of(field)
            if isinstance(spec, ManySpec):
                field.arguments = list_arguments(_target(entity, field))
            elif isinstance(spec, NearestSpec):
                field.arguments = _nearest_arguments(spec)


def _build_inputs(entity: Entity) -> None:
    name = entity.name
    filters: dict[str, tuple[Any, str]] = {
        "and_": (f"list[{name}Filter]", "All of these hold; an empty list holds always."),
        "or_": (f"list[{name}Filter]", "At least one of these holds; an empty list never holds."),
        "not_": (f"{name}Filter", "This does not hold."),
    }
    orders: dict[str, tuple[Any, str]] = {}
    for field in entity.type.__strawberry_definition__.fields:  # type: ignore[attr-defined]
        spec = spec_of(field)
        said = field.description or ""
        if isinstance(spec, ColumnSpec):
            kind = scalar_name(entity, field.python_name, spec)
            if kind is None or not spec.filterable:
                continue
            filters[field.python_name] = (f"{kind}Filter", said)
            if kind == "Geometry":
                orders[field.python_name] = ("GeometryOrder", f"By distance. {said}")
            elif kind != "StringList":
                orders[field.python_name] = ("Direction", said)
        elif isinstance(spec, OneSpec):
            filters[field.python_name] = (f"{_target(entity, field)}Filter", said)
            if _has_order(_target(entity, field)):
                orders[field.python_name] = (f"{_target(entity, field)}Order", f"By a field of it. {said}")
        elif isinstance(spec, (ManySpec, FewSpec)):
            filters[field.python_name] = (f"{_target(entity, field)}ListFilter", said)
    _input(f"{name}Filter", f"Conditions on {name}; all that are given must hold.", filters)
    _input(
        f"{name}ListFilter",
        f"Conditions on a list of {name}; all that are given must hold.",
        {
            "some": (f"{name}Filter", "At least one row of the list is like this."),
            "every": (f"{name}Filter", "Every row of the list is like this; an empty list too."),
            "none": (f"{name}Filter", "No row of the list is like this."),
        },
    )
    _input(f"{name}Order", f"One key of an order over {name}.", orders, one_of=True)


def _has_order(name: str) -> bool:
    """Whether rows of an entity can be ordered by any column of their own."""
    entity = next(known for known in ENTITIES.values() if known.name == name)
    fields = entity.type.__strawberry_definition__.fields  # type: ignore[attr-defined]
    specs = ((field.python_name, spec_of(field)) for field in fields)
    columns = [(each, spec) for each, spec in specs if isinstance(spec, ColumnSpec) and spec.filterable]
    return any(scalar_name(entity, each, spec) not in (None, "StringList") for each, spec in columns)


def _target(entity: Entity, field: StrawberryField) -> str:
    """The name of the entity that a relation leads to, from its annotation: `Connection[Ward]`, `Ward | None`."""
    text = str(field.type_annotation.raw_annotation) if field.type_annotation else ""
    names = {known.name for known in ENTITIES.values()}
    found = [word for word in text.replace("[", " ").replace("]", " ").replace("|", " ").split() if word in names]
    if not found:
        raise TypeError(f"{entity.name}.{field.python_name}: no entity in its annotation {text!r}")
    return found[-1]


def spec_of(field: StrawberryField) -> Spec | None:
    """How a field is read, or None for an ordinary field."""
    return field.metadata.get(SPEC)


def list_arguments(target: str) -> list[StrawberryArgument]:
    """What every connection over `target` takes."""
    return [
        _argument("where", f"{target}Filter", "Which rows; without it all of them."),
        _argument("order_by", f"list[{target}Order]", "Order by these keys in turn, one key in each; then by id."),
        _argument("first", "int", "Size of the page, counted from its start. Default 50, at most 5,000."),
        _argument("after", "str", "Cursor: the page begins after this row."),
        _argument("last", "int", "Size of the page, counted back from its end. At most 5,000."),
        _argument("before", "str", "Cursor: the page ends before this row."),
    ]


def crossing_arguments(target: str) -> list[StrawberryArgument]:
    """What a subscription to the edges of an area takes, over `target` that goes in and out."""
    return [
        StrawberryArgument(
            python_name="area",
            graphql_name=None,
            type_annotation=StrawberryAnnotation("AreaGeoJSON", namespace=globals()),
            description="The area; its edge belongs to it.",
        ),
        _argument("where", f"{target}Filter", "Only of those that are like this."),
        event_arguments(target)[-1],
    ]


def event_arguments(target: str) -> list[StrawberryArgument]:
    """What every subscription to changes of `target` takes."""
    return [
        _argument("bbox", "BBox", "Only what meets this box. Example: `[34.70, -0.15, 34.80, -0.05]`."),
        _argument("within", "AreaGeoJSON", "Only what lies wholly within this area."),
        _argument("where", f"{target}Filter", "Only what is like this, by the words of the list's own filter."),
        _argument(
            "after",
            "str",
            "Tell from right after this cursor on: that of the last event, or `liveCursor`. Without it: from now on.",
        ),
    ]


def _moment_arguments(history: History) -> list[StrawberryArgument]:
    moment = "datetime.datetime"
    made = [
        _argument("as_of", moment, "As it was at this moment, by what is known now. Example: `2026-03-02T18:00:00Z`.")
    ]
    if history.known:
        said = "As the hub knew it at this moment; without `asOf`: of the same moment. Exact a minute after it."
        made.append(_argument("known_at", moment, said))
    return made


def _argument(name: str, type_: str, description: str) -> StrawberryArgument:
    return StrawberryArgument(
        python_name=name,
        graphql_name=None,
        type_annotation=StrawberryAnnotation(f"Optional[{type_}]", namespace=globals()),
        description=description,
        default=strawberry.UNSET,
    )


def _nearest_arguments(spec: NearestSpec) -> list[StrawberryArgument]:
    return [
        _argument("first", "int", f"How many; default {DEFAULT_NEAREST}, at most {MAX_NEAREST}."),
        _argument("where", f"{spec.entity.__name__}Filter", "Of which rows; without it of all."),
    ]


def complete_root(field: StrawberryField) -> StrawberryField:
    """Give a root connection its list arguments, beside those of its own."""
    spec = spec_of(field)
    if isinstance(spec, TotalsSpec):
        counted = AGGREGATES[spec.aggregate].of.__name__
        field.arguments = [
            *field.arguments,
            _argument("where", f"{counted}Filter", "Which rows; without it all of them."),
        ]
    if isinstance(spec, NearestSpec):
        field.arguments = [
            StrawberryArgument(
                python_name="to",
                graphql_name=None,
                type_annotation=StrawberryAnnotation("Position", namespace=globals()),
                description="The place, `[longitude, latitude]`.",
            ),
            *_nearest_arguments(spec),
        ]
    if isinstance(spec, RootSpec) and spec.many:
        field.arguments = [*field.arguments, *list_arguments(spec.entity.__name__)]
    history = None
    if isinstance(spec, RootSpec):
        history = ENTITIES[spec.entity].history
    elif isinstance(spec, TotalsSpec) and AGGREGATES[spec.aggregate].past:
        history = ENTITIES[AGGREGATES[spec.aggregate].of].history
    if history is not None:
        field.arguments = [*field.arguments, *_moment_arguments(history)]
    return field
