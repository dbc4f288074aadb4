"""`where`: from a tree of conditions to one SQL expression. Values are bound, never written into the statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geoalchemy2 import Geometry
from sqlalchemy import (
    ColumnElement,
    Double,
    Integer,
    Select,
    and_,
    case,
    exists,
    false,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY

from geo import sql as spatial
from schema.compiler.mapping import ColumnSpec, Entity, FewSpec, ManySpec, OneSpec
from schema.compiler.selection import Argument, Leaf
from schema.errors import BadUserInput, QueryTooComplex

if TYPE_CHECKING:
    from schema.compiler.render import Renderer

MAX_NEAR_METERS = 200_000.0
MAX_RELATIONS = 4
"""Relations that one filter may lead through."""

MAX_CONDITIONS = 500
"""Conditions in one statement, a filter counted wherever it is asked (page, count, whether rows are left behind): a
variable of 5,000 values, used in twenty lists, would take half a minute to become SQL."""

_ZERO = literal_column("0", Integer)


def condition(
    render: Renderer, entity: Entity, row: Any, where: dict[str, Argument], place: str, relations: int = 0
) -> ColumnElement[bool]:
    """The condition that `where` puts on `row` (the columns of an alias of the entity's table).

    `relations` is how many relations lead to this `where`: each multiplies what the database has to look at.
    """
    parts: list[ColumnElement[bool]] = []
    for name, value in where.items():
        here = f"{place}.{name}"
        _given(value, here)
        _counted(render, len(value) if isinstance(value, (list, dict)) else 1)
        if name == "and":
            parts += [condition(render, entity, row, each, here, relations) for each in value]
        elif name == "or":
            parts.append(or_(false(), *(condition(render, entity, row, each, here, relations) for each in value)))
        elif name == "not":
            parts.append(_fails(condition(render, entity, row, value, here, relations)))
        else:
            parts.append(_member(render, entity, row, name, value, here, relations))
    return and_(true(), *parts)


def _fails(expression: ColumnElement[bool]) -> ColumnElement[bool]:
    """Not true: a comparison with a missing value fails like any other, so that `not` and its opposite cover all."""
    return not_(func.coalesce(expression, false()))


def _member(
    render: Renderer, entity: Entity, row: Any, name: str, value: Any, place: str, relations: int
) -> ColumnElement[bool]:
    field = render.mapping.field(entity, name)
    spec = field.spec
    if isinstance(spec, (OneSpec, ManySpec, FewSpec)):
        if relations == MAX_RELATIONS:
            raise QueryTooComplex(
                f"{place}: a filter leads through at most {MAX_RELATIONS} relations", limit=MAX_RELATIONS
            )

        def found(where: dict[str, Argument], here: str, *, fails: bool = False) -> ColumnElement[bool]:
            other = render.alias(field.target)
            inner = condition(render, field.target, other.c, where, here, relations + 1)
            rows: Select[Any] = select(literal_column("1")).select_from(other)
            rows = rows.where(spec.on(row, other.c), _fails(inner) if fails else inner)
            return exists(rows.correlate_except(other))

        if isinstance(spec, OneSpec):
            return found(value, place)
        parts = []
        for quantifier, where in value.items():
            _given(where, f"{place}.{quantifier}")
            some = found(where, f"{place}.{quantifier}", fails=quantifier == "every")
            parts.append(some if quantifier == "some" else not_(some))
        return and_(true(), *parts)
    assert isinstance(spec, ColumnSpec)
    column = row[spec.column or field.python_name]
    match column.type:
        case Geometry():
            make = _spatial
        case ARRAY():
            make = _texts
        case _:
            make = _scalar
    return and_(
        true(), *(make(render, column, operator, given, f"{place}.{operator}") for operator, given in value.items())
    )


def _counted(render: Renderer, conditions: int) -> None:
    render.conditions += conditions
    if render.conditions > MAX_CONDITIONS:
        raise QueryTooComplex(
            f"The operation's filters make over {MAX_CONDITIONS} conditions, counted for each list that has them: "
            "ask for many values of one field by `in`.",
            limit=MAX_CONDITIONS,
        )


def _given(value: Any, place: str) -> Any:
    if value is None:
        raise BadUserInput(f"{place} is null: leave it out, or ask for rows without a value by isNull")
    return value


def _scalar(render: Renderer, column: Any, operator: str, value: Any, place: str) -> ColumnElement[bool]:
    _given(value, place)
    if operator == "isNull":
        return column.is_(None) if value else column.is_not(None)
    if operator in ("in", "notIn"):
        listed = (
            func.any(render.bind(value, ARRAY(column.type)))
            if operator == "in"
            else func.all(render.bind(value, ARRAY(column.type)))
        )
        if operator == "in":
            return column == listed
        return _or_missing(column, column != listed)
    bound = render.bind(value, column.type)
    match operator:
        case "eq":
            return column == bound
        case "ne":
            return _or_missing(column, column != bound)
        case "lt":
            return column < bound
        case "lte":
            return column <= bound
        case "gt":
            return column > bound
        case "gte":
            return column >= bound
        case "contains":
            return func.strpos(func.lower(column), func.lower(bound)) > _ZERO
        case "startsWith":
            return func.starts_with(func.lower(column), func.lower(bound))
    raise AssertionError(operator)


def _or_missing(column: Any, differs: ColumnElement[bool]) -> ColumnElement[bool]:
    # Of a row of the past not every column says whether it may be missing: then it may.
    return or_(differs, column.is_(None)) if getattr(column, "nullable", True) else differs


def _texts(render: Renderer, column: Any, operator: str, value: Any, place: str) -> ColumnElement[bool]:
    bound = func.lower(render.bind(_given(value, place), column.type.item_type))
    texts = func.unnest(column).table_valued("text").render_derived(name=render.name("u"))
    text = func.lower(texts.c.text)
    found = text == bound if operator == "has" else func.strpos(text, bound) > _ZERO
    return exists(select(literal_column("1")).select_from(texts).where(found).correlate_except(texts))


def _spatial(render: Renderer, column: Any, operator: str, value: Any, place: str) -> ColumnElement[bool]:
    _given(value, place)
    match operator:
        case "isNull":
            return column.is_(None) if value else column.is_not(None)
        case "bbox":
            box = render.box(value)
            if column.type.geometry_type != "POINT":
                return spatial.meets(column, box)
            # The index compares boxes in single precision, half a metre here: what it finds is looked at once more. In
            # a CASE, of which the planner thinks nothing: from two comparisons beside the box it would conclude that
            # hardly any row is left, and read and sort all of the box's rows instead of the newest few.
            west, south, east, north = render.sides(value)
            x, y = func.st_x(column, type_=Double), func.st_y(column, type_=Double)
            exact = case((and_(x.between(west, east), y.between(south, north)), true()), else_=false())
            return and_(spatial.overlaps(column, box), exact)
        case "within":
            return spatial.lies_within(column, render.area(value))
        case "intersects":
            return spatial.meets(column, render.area(value))
        case "near":
            assert isinstance(value["meters"], Leaf)
            return spatial.near(column, render.point(value["point"]), render.meters(value["meters"], MAX_NEAR_METERS))
    raise AssertionError(operator)
