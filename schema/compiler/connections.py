"""A connection as SQL: its rows, its order, its cursors, and what of it is selected."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ColumnElement,
    Double,
    Integer,
    Select,
    Text,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.sql.selectable import FromClause

from geo import sql as spatial
from schema.compiler.filters import MAX_RELATIONS, condition
from schema.compiler.mapping import ColumnSpec, Entity, OneSpec
from schema.compiler.paging import DEFAULT_PAGE, decode_cursor
from schema.compiler.pieces import (
    Piece,
    as_boolean,
    as_json,
    fixed,
    in_cursor,
    joined,
    joined_around_long,
    members,
    or_null,
    quoted,
)
from schema.compiler.selection import LONG_PAGE, Argument, Leaf, Read, Selected
from schema.compiler.values import converter
from schema.errors import BadUserInput, QueryTooComplex

if TYPE_CHECKING:
    from schema.compiler.render import Beside, Renderer

MAX_RELATED_KEYS = 3
"""Keys of an order that lead through relations: each is a look-up for every row, wherever it is compared."""

MAX_KEYS = 10
"""Keys of an order: what comes after a cursor takes a comparison for each key and each key before it."""


@dataclass(frozen=True)
class _Key:
    """One key of an order: an expression over a row, made anew for each alias that it is asked of."""

    of: Callable[[Any], ColumnElement[Any]]
    descending: bool
    nullable: bool
    type: Any
    said: str
    place: Leaf | None = None
    """Where a distance is measured from: from elsewhere the same rows stand in another order."""
    related: bool = False
    """Whether it leads through a relation."""


@dataclass(frozen=True)
class _Made:
    """The page as a subquery, and what its columns are."""

    source: Any
    items: dict[int, Any]
    """The JSON of a row, by the selection (`nodes`, `edges`) that wants it."""
    keys: list[Any]
    """What a row's cursor is made of; empty where nobody asks for those of the page's ends."""
    number: Any
    """The row's place among those that were read, from 1; None where nobody asks."""
    size: Any


class Page:
    """One connection: `{ totalCount nodes edges pageInfo }` over rows of an entity."""

    def __init__(self, renderer: Renderer, entity: Entity, selected: Selected, on: Callable[[Any], Any]) -> None:
        self.renderer = renderer
        self.entity = entity
        self.selected = selected
        self.on = on
        arguments = selected.arguments
        self.where: dict[str, Argument] = arguments.get("where") or {}
        self.after: Leaf | None = arguments.get("after")
        self.before: Leaf | None = arguments.get("before")
        first, last = arguments.get("first"), arguments.get("last")
        if first is not None and last is not None:
            raise BadUserInput(f"{selected.key}: first and last together make no page; send one of them")
        self.backward = last is not None
        self.size = self._size(last or first)
        self.keys = self._keys(arguments.get("orderBy"))
        self._told = (entity.name, [(key.said, key.descending) for key in self.keys], _sketch(self.where))
        self._places = [key.place for key in self.keys if key.place is not None]
        if renderer.moment is not None:  # another moment has other rows
            self._places += renderer.moment.leaves

    def _size(self, leaf: Leaf | None) -> Read:
        if leaf is None:
            return lambda _: DEFAULT_PAGE
        most, place = self.renderer.limits.max_page, leaf.place

        def read(variables: Any) -> int:
            value: int = leaf.read(variables)
            if not 0 <= value <= most:
                raise BadUserInput(f"{place} is {value}: a page has 0 to {most:,} rows")
            return value

        return read

    # -- order ------------------------------------------------------------------------------------------------------

    def _keys(self, order_by: list[dict[str, Argument]] | None) -> list[_Key]:
        if order_by and len(order_by) > MAX_KEYS:
            place = f"{self.selected.key}(orderBy)"
            raise QueryTooComplex(f"{place} has {len(order_by)} keys; at most {MAX_KEYS} are taken", limit=MAX_KEYS)
        keys = [
            self._key(self.entity, name, direction, f"{self.selected.key}(orderBy)[{at}].{name}")
            for at, item in enumerate(order_by or ())
            for name, direction in item.items()
        ]
        if sum(key.related for key in keys) > MAX_RELATED_KEYS:
            raise QueryTooComplex(
                f"{self.selected.key}(orderBy) leads through relations in over {MAX_RELATED_KEYS} keys",
                limit=MAX_RELATED_KEYS,
            )
        keys = keys or [_column_key(self.entity, name, descending=False) for name in self.entity.order]
        if not any(key.said == self.entity.key for key in keys):
            keys.append(_column_key(self.entity, self.entity.key, descending=False))
        return keys

    def _key(self, entity: Entity, name: str, direction: Argument, place: str, relations: int = 0) -> _Key:
        field = self.renderer.mapping.field(entity, name)
        if isinstance(field.spec, OneSpec):
            if relations == MAX_RELATIONS:
                raise QueryTooComplex(
                    f"{place}: an order leads through at most {MAX_RELATIONS} relations", limit=MAX_RELATIONS
                )
            ((below, lower),) = direction.items()
            inner = self._key(field.target, below, lower, f"{place}.{below}", relations + 1)
            on = field.spec.on

            def related(row: Any) -> ColumnElement[Any]:
                other = self.renderer.alias(field.target)
                value = select(inner.of(other.c)).select_from(other)
                found = self.renderer.only(field.target, other, on(row, other.c), value)
                return found.correlate_except(other).scalar_subquery()

            return _Key(related, inner.descending, True, inner.type, f"{name}.{inner.said}", inner.place, related=True)
        assert isinstance(field.spec, ColumnSpec)
        column = field.spec.column or field.python_name
        if not isinstance(direction, dict):
            return _column_key(entity, column, descending=direction.value == "desc")
        from_ = (direction.get("distance") or {}).get("from")
        if from_ is None:
            raise BadUserInput(f"{place}.distance is missing: send {{ distance: {{ from: [longitude, latitude] }} }}")

        def distance(row: Any) -> ColumnElement[float]:
            return spatial.meters_between(row[column], self.renderer.point(from_))

        return _Key(distance, False, bool(entity.table.c[column].nullable), Double(), f"{name}.distance", from_)

    def _digest(self, variables: Any) -> str:
        """What a cursor of this list begins with."""
        told = (*self._told, *(place.read(variables) for place in self._places))
        return hashlib.blake2s(repr(told).encode(), digest_size=6).hexdigest()

    # -- rows -------------------------------------------------------------------------------------------------------

    def _rows(self, query: Select[Any], row: Any) -> Select[Any]:
        """The list without its page: its relation and its filter."""
        related = self.on(row)
        if related is not None:
            query = query.where(related)
        if self.where:
            place = f"{self.selected.key}(where)"
            query = query.where(condition(self.renderer, self.entity, row, self.where, place))
        return query

    def whole(self, query: Select[Any], row: Any) -> Select[Any]:
        """The list without pages, in its order: other columns of the same rows."""
        query = self._rows(query, row)
        for key in self.keys:
            query = query.order_by(key.of(row).desc() if key.descending else key.of(row).asc())
        return query

    def _beyond(self, row: Any, cursor: Leaf, *, after: bool) -> ColumnElement[bool]:
        """Whether a row comes after (or before) the cursor in the list's order."""
        bound = [
            self.renderer.parameter(self._cursor_read(cursor, at), key.type, (self, cursor, at))
            for at, key in enumerate(self.keys)
        ]
        mine = [key.of(row) for key in self.keys]
        falling = {key.descending for key in self.keys}
        if len(falling) == 1 and not any(key.nullable for key in self.keys):
            # One comparison of rows, which an index on the same columns answers.
            left, right = (mine[0], bound[0]) if len(mine) == 1 else (tuple_(*mine), tuple_(*bound))
            return left < right if after is (True in falling) else left > right
        return or_(
            *(
                and_(
                    *(mine[before].is_not_distinct_from(bound[before]) for before in range(at)),
                    self._strictly(key, mine[at], bound[at], after=after),
                )
                for at, key in enumerate(self.keys)
            )
        )

    @staticmethod
    def _strictly(key: _Key, expression: Any, value: Any, *, after: bool) -> ColumnElement[bool]:
        """Beyond the value in one key's order. Missing values are the greatest: last ascending, first descending."""
        greater = after is not key.descending
        compared = expression > value if greater else expression < value
        if not key.nullable:
            return compared
        missing = (
            and_(expression.is_(None), value.is_not(None))
            if greater
            else and_(expression.is_not(None), value.is_(None))
        )
        return or_(compared, missing)

    def _cursor_read(self, cursor: Leaf, at: int) -> Read:
        convert = converter(self.keys[at].type, cursor.place)

        def read(variables: Any) -> Any:
            values = decode_cursor(cursor.read(variables), self._digest(variables), len(self.keys), cursor.place)
            return None if values[at] is None else convert(values[at])

        return read

    def _cursor(self, expressions: Iterable[Any]) -> ColumnElement[str]:
        """The cursor of a row whose values of the order's keys these are."""
        values = (in_cursor(each, key.type) for each, key in zip(expressions, self.keys, strict=True))
        digest: ColumnElement[str] = (
            self.renderer.parameter(self._digest, Text(), (self, "digest"))
            if self._places
            else fixed(self._digest(None))
        )
        made = cast(func.json_build_array(digest, *values), Text)
        encoded = func.encode(func.convert_to(made, fixed("UTF8")), fixed("base64"))
        return func.translate(encoded, literal_column(r"E'\n'"), fixed(""))

    # -- JSON -------------------------------------------------------------------------------------------------------

    def render(self) -> ColumnElement[str]:
        children = self.selected.children
        items = [child for child in children if child.name in ("nodes", "edges")]
        variables = self.renderer.variables
        if variables is not None and self.size(variables) >= LONG_PAGE:
            self.renderer.many_rows = True
        info = {below.name for child in children if child.name == "pageInfo" for below in child.children}
        edge = {below.name for child in children if child.name == "edges" for below in child.children}
        ends = bool(info & {"startCursor", "endCursor"})
        # Whether there is more is seen by reading one row more than the page holds.
        peeks = self._more_name in info
        page = None
        if items or ends or peeks:
            page = self._page(items, with_cursor=ends, edge_cursor="cursor" in edge, peeks=peeks)
        pieces = members([(child.key, self._member(child, page)) for child in children])
        answer = select(joined_around_long(*pieces).label("json"))
        return (answer if page is None else answer.select_from(page.source)).scalar_subquery()

    @property
    def _more_name(self) -> str:
        return "hasPreviousPage" if self.backward else "hasNextPage"

    def _member(self, child: Selected, page: _Made | None) -> list[Piece]:
        if child.field is None:
            return [f'"{self.entity.name}Connection"']
        if child.name == "totalCount":
            return [self._count()]
        if child.name == "pageInfo":
            return members([(below.key, [self._info(below, page)]) for below in child.children])
        assert page is not None
        return self._items(page.items[id(child)], page)

    def _page(self, items: list[Selected], *, with_cursor: bool, edge_cursor: bool, peeks: bool) -> _Made:
        alias = self.renderer.alias(self.entity)
        row = alias.c
        cursor = self._cursor(key.of(row) for key in self.keys) if edge_cursor else None
        beside: list[Beside] = []
        made: dict[int, Any] = {id(child): self._item(child, row, cursor, beside) for child in items}
        listed = [expression.label(f"j{at}") for at, expression in enumerate(made.values())]
        keys = [key.of(row).label(f"k{at}") for at, key in enumerate(self.keys)] if with_cursor else []
        listed += keys
        rows: FromClause = alias
        for other in beside:
            rows = rows.outerjoin(other.row, other.on)
        query = self._rows(select(*(listed or [literal_column("1").label("j0")])).select_from(rows), row)
        if self.after is not None:
            query = query.where(self._beyond(row, self.after, after=True))
        if self.before is not None:
            query = query.where(self._beyond(row, self.before, after=False))
        for key in self.keys:  # PostgreSQL's own order of missing values: last ascending, first descending
            query = query.order_by(key.of(row).desc() if key.descending is not self.backward else key.of(row).asc())
        size = self.renderer.parameter(self.size, Integer(), (self, "size"))
        query = query.limit(size + literal_column("1") if peeks else size)
        own = (alias, *(other.row for other in beside))
        source: Any = query.correlate_except(*own).subquery(self.renderer.name("p"))
        number = None
        if peeks or self.backward:
            source = select(*source.c, func.row_number().over().label("n")).subquery(self.renderer.name("p"))
            number = source.c.n
        return _Made(
            source,
            {name: source.c[f"j{at}"] for at, name in enumerate(made)},
            [source.c[key.name] for key in keys],
            number,
            size if peeks else None,
        )

    def _item(self, child: Selected, row: Any, cursor: Any, beside: list[Beside]) -> ColumnElement[str]:
        """One row of `nodes` or `edges`."""
        if child.name == "nodes":
            return self.renderer.object(self.entity, row, child.children, beside)
        named: list[tuple[str, list[Piece]]] = []
        for below in child.children:
            if below.field is None:
                named.append((below.key, [f'"{self.entity.name}Edge"']))
            elif below.name == "cursor":
                named.append((below.key, ['"', cursor, '"']))
            elif below.name == "distanceMeters":
                named.append((below.key, [self._distance(row, below)]))
            else:
                named.append((below.key, [self.renderer.object(self.entity, row, below.children, beside)]))
        return joined(*members(named))

    def _distance(self, row: Any, selected: Selected) -> Piece:
        """How far a row is from where the order measures."""
        key = next((key for key in self.keys if key.place is not None), None)
        return "null" if key is None else or_null(as_json(key.of(row), Double(), selected.type))

    def _items(self, column: Any, page: _Made) -> list[Piece]:
        """`[…]` of the page's rows, in the list's order."""
        if self.backward:
            text = func.string_agg(column, aggregate_order_by(fixed(","), page.number.desc()))
        else:
            # The subquery's order stands: aggregation reads it row by row, and nothing else is in the FROM.
            text = func.string_agg(column, fixed(","))
        return ["[", func.coalesce(self._on_page(text, page), fixed("")), "]"]

    @staticmethod
    def _on_page(aggregate: Any, page: _Made) -> Any:
        """Without the row that was read only to see whether there is more."""
        return aggregate if page.size is None else aggregate.filter(page.number <= page.size)

    def _count(self) -> ColumnElement[str]:
        alias = self.renderer.alias(self.entity)
        counted = self._rows(select(func.count()).select_from(alias), alias.c)
        return cast(counted.correlate_except(alias).scalar_subquery(), Text)

    def _info(self, child: Selected, page: _Made | None) -> Piece:
        if child.field is None:
            return '"PageInfo"'
        if child.name in ("startCursor", "endCursor"):
            assert page is not None
            return self._end(page, first=(child.name == "startCursor") is not self.backward)
        told: list[ColumnElement[bool]] = []
        if child.name == self._more_name:
            assert page is not None
            told.append(func.count() > page.size)
        behind = self.after if child.name == "hasPreviousPage" else self.before
        if behind is not None:
            told.append(self._left_behind(behind, after=child.name == "hasPreviousPage"))
        return as_boolean(or_(*told)) if told else "false"

    def _end(self, page: _Made, *, first: bool) -> ColumnElement[str]:
        """The cursor of the row that was read first or last, which is made once: only its keys come from every row."""
        count = func.count() if page.size is None else func.least(func.count(), page.size)
        at = literal_column("1", Integer) if first else cast(count, Integer)
        # Read in their order, as `_items` says.
        keys = (Grouping(func.array_agg(key, type_=ARRAY(key.type)))[at] for key in page.keys)
        return case((count > literal_column("0"), quoted(self._cursor(keys))), else_=fixed("null"))

    def _left_behind(self, cursor: Leaf, *, after: bool) -> ColumnElement[bool]:
        """Whether the list has rows on the far side of the cursor that this page begins or ends at."""
        alias = self.renderer.alias(self.entity)
        query = self._rows(select(literal_column("1")).select_from(alias), alias.c)
        beyond = func.coalesce(self._beyond(alias.c, cursor, after=after), false())  # unknown beside missing values
        return exists(query.where(not_(beyond)).correlate_except(alias))


def _column_key(entity: Entity, column: str, *, descending: bool) -> _Key:
    declared = entity.table.c[column]
    return _Key(lambda row: row[column], descending, bool(declared.nullable), declared.type, column)


def _sketch(argument: Argument) -> Any:
    """An argument's form without its values, for a cursor's digest."""
    if isinstance(argument, dict):
        return sorted((name, _sketch(member)) for name, member in argument.items())
    if isinstance(argument, list):
        return [_sketch(member) for member in argument]
    return "*" if isinstance(argument, Leaf) else str(argument)
