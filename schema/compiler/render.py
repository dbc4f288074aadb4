"""From a tree of selections to one SQL statement that returns finished JSON."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import shapely
from geoalchemy2 import Geometry
from graphql import get_named_type
from graphql.execution.values import VariableValues
from sqlalchemy import (
    ColumnElement,
    Double,
    LargeBinary,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    false,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, aggregate_order_by
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.sql.elements import ColumnClause, Grouping
from sqlalchemy.sql.selectable import FromClause

from geo import sql as spatial
from schema.compiler import aggregates, nearest
from schema.compiler.admit import Ceilings
from schema.compiler.aggregates import MAX_GROUPS, TotalsSpec
from schema.compiler.connections import Page
from schema.compiler.mapping import (
    ENTITIES,
    ColumnSpec,
    CompiledRoot,
    ComputedSpec,
    Entity,
    FewSpec,
    ManySpec,
    Mapping,
    Moment,
    OneSpec,
    RootSpec,
    ValueSpec,
)
from schema.compiler.nearest import NearestSpec
from schema.compiler.nodes import NodeSpec
from schema.compiler.pieces import Piece, as_json, as_pieces, fixed, joined, or_null
from schema.compiler.pieces import members as pieces_of
from schema.compiler.selection import Argument, Leaf, Read, Selected, always
from schema.compiler.statements import Cost, Statement, sources_of
from schema.compiler.values import converter
from schema.errors import BadUserInput

SQL_TYPES: dict[str, Any] = {
    "String": Text(),
    "ID": sqltypes.Uuid(),
    "Int": sqltypes.Integer(),
    "Float": Double(),
    "Boolean": sqltypes.Boolean(),
    "Date": sqltypes.Date(),
    "DateTime": sqltypes.DateTime(timezone=True),
}
"""What an argument of a root or computed field is in SQL, by its scalar."""

IDS: Final = object()
"""Stands among the parameters of `Renderer.changed` where each batch of events puts the ids that it asks for."""

MOMENT_ARGUMENTS = ("asOf", "knownAt")

_FOREVER = literal_column("'infinity'::timestamptz", sqltypes.DateTime(timezone=True))
_AHEAD = timedelta(minutes=1)
"""By how much a caller's clock may be ahead."""

MAX_BESIDE = 4
"""Rows that are joined to those of a page: with each more there are more orders of joining to weigh."""

_LIST_ARGUMENTS = ("where", "orderBy", "first", "after", "last", "before")


def render(
    mapping: Mapping, roots: list[Selected], limits: Ceilings, variables: VariableValues | None = None
) -> Statement:
    """One statement for all of an operation's compiled roots."""
    return Renderer(mapping, limits, variables).statement(roots)


def render_payload(mapping: Mapping, selected: Selected, members: dict[str, Any], limits: Ceilings) -> Statement:
    """One statement for a write's payload: entities by the ids in `members`, its other fields by their values there."""
    return Renderer(mapping, limits).payload(selected, members)


class Beside(NamedTuple):
    """A row that stands beside each of a long page's rows, or none: joined, which takes less than to look it up."""

    row: FromClause
    on: ColumnElement[bool]


class Renderer:
    """The state of one rendering: numbered aliases, the parameters met so far, the cost of the lists met so far."""

    def __init__(self, mapping: Mapping, limits: Ceilings, variables: VariableValues | None = None) -> None:
        """`variables` are those of a request of the shape that the statement is for: see `selection.LONG_PAGE`."""
        self.mapping = mapping
        self.limits = limits
        self._names = 0
        self._reads: dict[str, Read] = {}
        self._bound: dict[Any, ColumnElement[Any]] = {}
        self._costs: list[list[Cost]] = [[]]
        self.moment: Moment | None = None
        self.variables = variables
        self._one_plan = variables is not None
        self.many_rows = False
        """Whether what is rendered is rendered for each row of a long page."""
        self.conditions = 0
        """Conditions of filters met so far; see `filters.py`."""

    def statement(self, roots: list[Selected]) -> Statement:
        columns = []
        for at, selected in enumerate(roots):
            assert selected.field is not None
            with self.at(selected):
                answer = self._root(self.mapping.root(selected.field), selected)
            columns.append(func.convert_to(answer, fixed("UTF8"), type_=BYTEA).label(f"r{at}"))
        return self.finished(select(*columns), tuple(selected.key for selected in roots))

    def _root(self, spec: CompiledRoot | None, selected: Selected) -> ColumnElement[str]:
        if isinstance(spec, ValueSpec):
            expression = spec.expression()
            return or_null(as_json(expression, expression.type, selected.type))
        if isinstance(spec, TotalsSpec):
            self._one_plan = False
            self._costs[-1].append(Cost(always(MAX_GROUPS)))
            return aggregates.rendered(self, spec, selected)
        if isinstance(spec, NearestSpec):
            place = selected.arguments["to"]
            assert isinstance(place, Leaf)
            return self._nearest(spec, selected, self.point(place))
        if isinstance(spec, NodeSpec):
            return self._node(selected)
        assert isinstance(spec, RootSpec)
        make = self.list if spec.many else self.one
        return make(ENTITIES[spec.entity], selected, lambda row: self._called(spec.body, row, selected))

    def changed(
        self, entity: Entity, wanted: list[Selected], conditions: Callable[[Any], Sequence[ColumnElement[bool]]]
    ) -> Statement:
        """Rows by their ids: the id, whether the conditions hold, and where they do a column of JSON for each of
        `wanted`. The ids are the one parameter whose value is IDS."""
        alias = self.alias(entity)
        row = alias.c
        fits = func.coalesce(and_(true(), *conditions(row)), false())
        self._costs.append([])
        answers = [
            case((fits, func.convert_to(self.object(entity, row, child.children), fixed("UTF8"), type_=BYTEA)))
            for child in wanted
        ]
        below = self._costs.pop()
        self._costs[-1].append(Cost(always(1), below))
        ids = self.parameter(always(IDS), ARRAY(sqltypes.Uuid()), ("ids",))
        named = [answer.label(f"r{at}") for at, answer in enumerate(answers)]
        query = select(row[entity.key].label("id"), fits.label("fits"), *named).select_from(alias)
        return self.finished(query.where(row[entity.key] == func.any(ids)), tuple(child.key for child in wanted))

    def stored(
        self,
        entity: Entity,
        wanted: list[Selected],
        conditions: Callable[[Any], Sequence[ColumnElement[bool]]],
        batch: str,
        *,
        sides: Callable[[Selected, Any], Any] | None = None,
        beside: Sequence[ColumnElement[Any]] = (),
    ) -> Statement:
        """Rows by the batches that they were stored with: how many, and a JSON list of them for each of `wanted`, in
        the entity's order; of all of them, or of those on one of its `sides`. `beside` are numbers that come with them.
        The batches are the one parameter whose value is IDS."""
        alias = self.alias(entity)
        row = alias.c
        self._costs.append([])
        items = [self.object(entity, row, child.children) for child in wanted]
        if sides is not None:  # what is NULL is left out of a list
            items = [case((sides(child, row), item)) for child, item in zip(wanted, items, strict=True)]
        items = [item.label(f"r{at}") for at, item in enumerate(items)]
        below = self._costs.pop()
        self._costs[-1].append(Cost(always(1), below))
        batches = self.parameter(always(IDS), ARRAY(sqltypes.BigInteger()), ("batches",))
        order = [row[name].label(self.name("o")) for name in (*entity.order, entity.key)]
        found = (
            select(*items, *order)
            .select_from(alias)
            .where(row[batch] == func.any(batches), *conditions(row))
            .subquery(self.name("q"))
        )
        by = [found.c[each.name] for each in order]
        answers = [
            func.convert_to(
                joined(
                    "[",
                    func.coalesce(
                        func.string_agg(found.c[item.name], aggregate_order_by(fixed(","), *by), type_=Text), fixed("")
                    ),
                    "]",
                ),
                fixed("UTF8"),
                type_=BYTEA,
            ).label(item.name)
            for item in items
        ]
        numbers = [func.convert_to(cast(each, Text), fixed("UTF8"), type_=BYTEA) for each in beside]
        query = select(func.count().label("count"), *answers, *numbers).select_from(found)
        return self.finished(query, tuple(child.key for child in wanted))

    def payload(self, selected: Selected, members: dict[str, Any]) -> Statement:
        pieces = [(child.key, [self._member(selected, child, members)]) for child in selected.children]
        answer = func.convert_to(joined(*pieces_of(pieces)), fixed("UTF8"), type_=BYTEA).label("r0")
        return self.finished(select(answer), (selected.key,))

    def finished(self, query: Any, keys: tuple[str, ...]) -> Statement:
        """The statement with a reading for each of its parameters."""
        compiled = query.compile(dialect=asyncpg_dialect())
        constants = compiled.params  # values that a domain's own expressions hold
        reads = tuple(self._reads.get(name) or always(constants[name]) for name in compiled.positiontup or ())
        return Statement(str(compiled), reads, keys, tuple(self._costs[0]), self._one_plan, sources_of(query))

    def _member(self, payload: Selected, child: Selected, members: dict[str, Any]) -> Piece:
        if child.field is None:
            return f'"{payload.type.name}"'
        value = members.get(child.field.extensions["strawberry-definition"].python_name)
        entity = self.mapping.entities.get(child.type.name)
        if entity is None:
            return cast(bindparam(None, json.dumps(value), type_=Text()), Text)
        if value is None:
            return "null"
        key = uuid.UUID(str(value))
        return self.one(entity, child, lambda row: row.id == key)

    # -- names and values -------------------------------------------------------------------------------------------

    def name(self, letter: str) -> str:
        """A name that no other part of the statement has; numbered: the same question has the same statement."""
        self._names += 1
        return f"{letter}{self._names}"

    def alias(self, entity: Entity) -> FromClause:
        """The entity's rows: those of now, or within a question with `asOf` or `knownAt` those of then."""
        if self.moment is None or entity.lasting:
            return entity.table.alias(self.name("t"))
        if entity.history is None:
            raise BadUserInput(f"{entity.name} has no history: leave it out of a question with asOf or knownAt")
        return entity.history.at(self.moment).correlate(None).subquery(self.name("t"))

    def alias_of(self, table: Table) -> FromClause:
        """The same for the entity that a table is of."""
        return self.alias(next(entity for entity in ENTITIES.values() if entity.table is table))

    @contextmanager
    def at(self, selected: Selected) -> Iterator[None]:
        """Within it, rows are those of the moment that a root's arguments name."""
        as_of, known_at = selected.arguments.get("asOf"), selected.arguments.get("knownAt")
        leaves = tuple(leaf for leaf in (as_of, known_at) if leaf is not None)
        if leaves:
            known = _FOREVER if known_at is None else self._past(known_at)
            then = known if as_of is None else self._past(as_of)
            # Nothing is known of what comes after the hub's knowledge.
            self._one_plan = False
            self.moment = Moment(func.least(then, known) if len(leaves) == 2 else then, known, leaves)
        yield
        self.moment = None

    def _past(self, leaf: Leaf) -> ColumnElement[Any]:
        convert = converter(SQL_TYPES["DateTime"], leaf.place)

        def read(variables: VariableValues) -> datetime:
            value: datetime = convert(leaf.read(variables))
            if value > datetime.now(UTC) + _AHEAD:
                raise BadUserInput(f"{leaf.place} lies in the future: nobody knows yet")
            return value

        return self.parameter(read, SQL_TYPES["DateTime"], (leaf, "past"))

    def parameter(self, read: Read, type_: Any, key: tuple[Any, ...]) -> ColumnElement[Any]:
        """A parameter of the statement; with the same `key` (whose value, which part) it is the same one."""
        if key not in self._bound:
            name = f"p{len(self._reads) + 1}"
            self._reads[name] = read
            self._bound[key] = bindparam(name, type_=type_, required=True)
        return self._bound[key]

    def bind(self, leaf: Argument, type_: Any) -> ColumnElement[Any]:
        """A parameter for a scalar, or for a list of scalars: then `type_` is an array."""
        if not isinstance(leaf, Leaf):  # an enum or a boolean: the statement is made for this one
            value = converter(type_, "")(leaf)
            return self.parameter(always(value), type_, (str(value), str(type_)))
        convert = converter(type_.item_type if leaf.many else type_, leaf.place)
        most = self.limits.max_in_list

        def one(variables: VariableValues) -> Any:
            return convert(leaf.read(variables))

        def listed(variables: VariableValues) -> list[Any]:
            values = leaf.read(variables)
            if len(values) > most:
                raise BadUserInput(f"{leaf.place} lists {len(values):,} values; at most {most:,} are taken")
            return [convert(value) for value in values]

        return self.parameter(listed if leaf.many else one, type_, (leaf, str(type_)))

    def point(self, leaf: Leaf) -> ColumnElement[Any]:
        return spatial.point(*self._numbers(leaf, 2))

    def box(self, leaf: Leaf) -> ColumnElement[Any]:
        # Without width or height it is a line or a point; as a polygon it would be invalid, and meet anything.
        return func.st_envelope(spatial.envelope(*self.sides(leaf)))

    def sides(self, leaf: Leaf) -> list[ColumnElement[float]]:
        """West, south, east and north of a box."""
        return self._numbers(leaf, 4)

    def _numbers(self, leaf: Leaf, count: int) -> list[ColumnElement[float]]:
        def nth(at: int) -> Read:
            return lambda variables: leaf.read(variables)[at]

        return [self.parameter(nth(at), Double(), (leaf, at)) for at in range(count)]

    def area(self, leaf: Leaf) -> ColumnElement[Any]:
        def read(variables: VariableValues) -> bytes:
            return shapely.to_wkb(leaf.read(variables))

        return spatial.from_wkb(self.parameter(read, LargeBinary(), (leaf, "wkb")))

    def meters(self, leaf: Leaf, most: float) -> ColumnElement[float]:
        def read(variables: VariableValues) -> float:
            value = float(leaf.read(variables))
            if not 0 <= value <= most:
                raise BadUserInput(f"{leaf.place} is {value:g}: it goes from 0 to {most:,.0f} metres")
            return value if value > 1e-6 else 0.0  # PostgreSQL fails where a division leaves nothing of a number

        return self.parameter(read, Double(), (leaf, "meters"))

    def _argument(self, argument: Argument) -> Any:
        if not isinstance(argument, Leaf):
            return argument
        match argument.type.name:
            case "Position":
                return self.point(argument)
            case "BBox":
                return self.box(argument)
            case "AreaGeoJSON":
                return self.area(argument)
            case name:
                return self.bind(argument, SQL_TYPES[name])

    def _called(self, body: Callable[..., Any], row: Any, selected: Selected) -> Any:
        """What a declared body says for this row, with its arguments bound."""
        assert selected.field is not None
        listed = "orderBy" in selected.field.args
        values = {
            definition.extensions["strawberry-definition"].python_name: self._argument(selected.arguments.get(name))
            for name, definition in selected.field.args.items()
            if not (listed and name in _LIST_ARGUMENTS) and name not in MOMENT_ARGUMENTS
        }
        return body(row, **values)

    # -- objects and lists ------------------------------------------------------------------------------------------

    def object(
        self, entity: Entity, row: Any, children: list[Selected], beside: list[Beside] | None = None
    ) -> ColumnElement[str]:
        """`{"key": value, …}` of one row. `beside`: where rows may be noted that stand beside it by a join."""
        return joined(*pieces_of([(child.key, self._value(entity, row, child, beside)) for child in children]))

    def _value(self, entity: Entity, row: Any, selected: Selected, beside: list[Beside] | None) -> list[Piece]:
        if selected.field is None:
            return [f'"{entity.name}"']
        field = self.mapping.field(entity, selected.name)
        match field.spec:
            case ColumnSpec() as spec:
                column = row[spec.column or field.python_name]
                if field.nullable:
                    return [or_null(row[spec.json] if spec.json else as_json(column, column.type, selected.type))]
                return [row[spec.json]] if spec.json else as_pieces(column, column.type, selected.type)
            case ComputedSpec() as spec:
                expression = self._called(spec.expression, row, selected)
                # Whether an expression can be NULL cannot be seen: a NULL here must not swallow the object around it.
                return [or_null(as_json(expression, expression.type, get_named_type(selected.type)))]
            case OneSpec(on):
                return [self.one(field.target, selected, lambda other: on(row, other), beside)]
            case ManySpec(on):
                return [self.list(field.target, selected, lambda other: on(row, other))]
            case FewSpec(on, most):
                return [self._few(field.target, selected, lambda other: on(row, other), most)]
            case NearestSpec() as spec:
                assert spec.at is not None
                self._costs[-1].append(Cost(always(nearest.SEARCH)))
                return [self._nearest(spec, selected, row[spec.at])]
        raise AssertionError(field.spec)

    def one(
        self, entity: Entity, selected: Selected, on: Callable[[Any], Any], beside: list[Beside] | None = None
    ) -> ColumnElement[str]:
        """`{…}` of the row for which `on` holds, or null."""
        alias = self.alias(entity)
        where = on(alias.c)
        if self.many_rows and self.moment is None and _is_by_key(where, alias.c[entity.key]):
            if entity.few and self._is_plain(entity, selected):
                return self._looked_up(entity, alias, selected, where.right)
            if beside is not None and len(beside) < MAX_BESIDE and not entity.few and _is_whole_key(entity):
                beside.append(Beside(alias, where))
                item = self.object(entity, alias.c, selected.children, beside)
                return case((alias.c[entity.key].is_not(None), item), else_=fixed("null"))
        found = select(self.object(entity, alias.c, selected.children).label("json")).select_from(alias)
        return or_null(self.only(entity, alias, where, found).correlate_except(alias).scalar_subquery())

    def _is_plain(self, entity: Entity, selected: Selected) -> bool:
        """Whether what is selected of a row takes no more than a look at it, and at rows of others that are few."""
        for child in selected.children:
            if child.field is None:
                continue
            field = self.mapping.field(entity, child.name)
            match field.spec:
                case ColumnSpec() as spec:
                    if spec.json or isinstance(entity.table.c[spec.column or field.python_name].type, Geometry):
                        return False
                case OneSpec():
                    if not (field.target.few and self._is_plain(field.target, child)):
                        return False
                case _:
                    return False
        return True

    def _looked_up(self, entity: Entity, alias: FromClause, selected: Selected, key: Any) -> ColumnElement[str]:
        """`{…}` of the row with this key, or null, for a list of many rows: each of the entity's few is made JSON once,
        and found by its place. Two lists that depend on no row are made once for the statement, whoever asks."""
        item, own = self.object(entity, alias.c, selected.children), alias.c[entity.key]
        if isinstance(item, ColumnClause):  # nothing of the row is in it: a bare literal has no type
            item = cast(item, Text)
        made = func.array_agg(aggregate_order_by(item, own), type_=ARRAY(Text))
        again = self.alias(entity)
        keys = func.array_agg(aggregate_order_by(again.c[entity.key], again.c[entity.key]), type_=ARRAY(own.type))
        all_made = select(made).select_from(alias).correlate(None).scalar_subquery()
        all_keys = select(keys).select_from(again).correlate(None).scalar_subquery()
        place = func.array_position(all_keys, key, type_=sqltypes.Integer())
        return or_null(Grouping(all_made)[place])

    @staticmethod
    def only(entity: Entity, alias: FromClause, where: Any, found: Select[Any]) -> Select[Any]:
        """The one row of `alias` for which `where` holds."""
        if where is not None:
            found = found.where(where)
        if not _is_by_key(where, alias.c[entity.key]):
            # Several rows may answer (a point on a border): the first in the list's own order does.
            found = found.order_by(*(alias.c[name] for name in (*entity.order, entity.key))).limit(literal_column("1"))
        return found

    def _few(self, entity: Entity, selected: Selected, on: Callable[[Any], Any], most: int) -> ColumnElement[str]:
        """`[{…}, …]` in the entity's own order."""
        alias = self.alias(entity)
        self._costs.append([])
        item = self.object(entity, alias.c, selected.children)
        below = self._costs.pop()
        self._costs[-1].append(Cost(always(most), below))
        order = [alias.c[name] for name in (*entity.order, entity.key)]
        listed = func.string_agg(item, aggregate_order_by(fixed(","), *order), type_=Text)
        found = select(joined("[", func.coalesce(listed, fixed("")), "]")).select_from(alias).where(on(alias.c))
        return found.correlate_except(alias).scalar_subquery()

    def _nearest(self, spec: NearestSpec, selected: Selected, to: Any) -> ColumnElement[str]:
        """`[{…}, …]`, nearest first: see `nearest.py`."""
        self._costs.append([])
        answer = nearest.rendered(self, spec, selected, to)
        below = self._costs.pop()
        self._costs[-1].append(Cost(nearest.size_of(selected), below))
        return answer

    def _node(self, selected: Selected) -> ColumnElement[str]:
        """`{…}` of the row with an id, of whatever type it is, or null."""
        key = self.bind(selected.arguments["id"], sqltypes.Uuid())
        answers = []
        for name, children in selected.variants.items():
            entity = self.mapping.entities[name]
            alias = self.alias(entity)
            found = select(self.object(entity, alias.c, children)).select_from(alias)
            answers.append(found.where(alias.c[entity.key] == key).correlate_except(alias).scalar_subquery())
        return func.coalesce(*answers, fixed("null"))

    def list(self, entity: Entity, selected: Selected, on: Callable[[Any], Any]) -> ColumnElement[str]:
        """A connection: see `connections.py`."""
        self._one_plan = self._one_plan and entity.few
        page = Page(self, entity, selected, on)
        self._costs.append([])
        answer = page.render()
        below = self._costs.pop()
        self._costs[-1].append(Cost(page.size, below))
        return answer


def _is_whole_key(entity: Entity) -> bool:
    return [column.name for column in entity.table.primary_key.columns] == [entity.key]


def _is_by_key(where: Any, key: Any) -> bool:
    """Whether the condition is `key = …`, so that there is one row at most and no order to ask for."""
    return where is not None and getattr(where, "left", None) is key and where.operator.__name__ == "eq"
