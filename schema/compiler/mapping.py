"""What an entity is made of: its table, and which field reads which column, relation or expression.

    @entity(wards, order=("code",))
    class Ward:
        '''A ward …'''
        code: str = column("IEBC code.")
        sub_county: SubCounty = one("…", lambda ward, sub_county: sub_county.id == ward.sub_county_id)

    @rows(Ward)
    def wards(ward):
        '''The county's wards.'''

An entity holds no resolver and no permission class: what a field cannot say in SQL cannot be declared.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin, get_type_hints

import strawberry
from graphql import GraphQLField, GraphQLNonNull, GraphQLObjectType, GraphQLSchema, get_named_type
from sqlalchemy import MetaData, Table
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField

metadata = MetaData()
"""Every table of the hub, declared beside its type in `schema/<domain>.py`; migrations are proven equal to it."""

T = TypeVar("T")
SPEC: Final = "hub.spec"


@dataclass(frozen=True)
class ColumnSpec:
    """The field reads one column."""

    column: str | None
    json: str | None
    """A column that keeps the value as finished JSON text (outlines of areas)."""
    filterable: bool


@dataclass(frozen=True)
class OneSpec:
    """The field is one row of another entity."""

    on: Callable[[Any, Any], Any]


@dataclass(frozen=True)
class ManySpec:
    """The field is a connection over rows of another entity."""

    on: Callable[[Any, Any], Any]


@dataclass(frozen=True)
class FewSpec:
    """The field is all rows of another entity that belong to this one, which are few by their nature: no pages."""

    on: Callable[[Any, Any], Any]
    most: int
    """How many there can be, for the cost of an operation."""


@dataclass(frozen=True)
class ComputedSpec:
    """The field is an SQL expression over its row and its arguments."""

    expression: Callable[..., Any]


class CompiledRoot:
    """What stands behind a root field that is compiled, of whatever kind."""


@dataclass(frozen=True)
class RootSpec(CompiledRoot):
    """A root field over an entity: `body(row, **arguments)` gives the condition, or None for every row."""

    entity: type
    many: bool
    body: Callable[..., Any]


@dataclass(frozen=True)
class ValueSpec(CompiledRoot):
    """A root field that is one SQL expression and reads no row."""

    expression: Callable[[], Any]


Spec = ColumnSpec | OneSpec | ManySpec | FewSpec | ComputedSpec | RootSpec | ValueSpec


@dataclass(frozen=True)
class Moment:
    """A time to look from (`asOf`), and the time of which the hub's knowledge counts (`knownAt`), as SQL."""

    as_of: Any
    known_at: Any
    leaves: tuple[Any, ...]
    """The arguments that say so."""


@dataclass(frozen=True)
class History:
    """How an entity's rows at a moment are found: a select of the columns of its table."""

    at: Callable[[Moment], Any]
    known: bool = False
    """Whether it tells what was known from what was: only then lists of it take `knownAt`."""


@dataclass(frozen=True)
class Entity:
    """A Strawberry type, its table, and the order that its lists have when none is asked for."""

    type: type
    table: Table
    order: tuple[str, ...]
    key: str
    """The column that tells a row from every other."""
    history: History | None = None
    lasting: bool = False
    """Whether its rows are shown as they are now beside what was: names of people, places on a map."""
    few: bool = False
    """Whether a county has a few dozen of them at most, so that all are quickly read."""

    @property
    def name(self) -> str:
        return self.type.__name__


ENTITIES: dict[type, Entity] = {}


def entity(
    table: Table,
    *,
    order: tuple[str, ...] = (),
    key: str | None = None,
    history: History | None = None,
    lasting: bool = False,
    few: bool = False,
) -> Callable[[type[T]], type[T]]:
    """Declare a Strawberry type that is read from `table`; its docstring describes it in the API. `key` where it is not
    the primary key that tells rows apart: that of a partitioned table holds the time. What has neither a `history` nor
    is `lasting` cannot be asked for with `asOf`."""

    def declare(cls: type[T]) -> type[T]:
        for name, value in vars(cls).items():
            if isinstance(value, StrawberryField):
                if value.base_resolver or value.permission_classes or value.extensions:
                    raise TypeError(f"{cls.__name__}.{name}: an entity's fields are compiled; resolvers do not run")
                spec = value.metadata.get(SPEC)
                if spec is None:
                    raise TypeError(f"{cls.__name__}.{name}: say column, one, many or computed")
                if isinstance(spec, ColumnSpec):
                    for part in (spec.column or name, spec.json):
                        if part is not None and part not in table.c:
                            raise TypeError(f"{cls.__name__}.{name}: {table.name} has no column {part}")
        for name, value in vars(cls).items():
            if isinstance(value, StrawberryField) and name not in cls.__annotations__:
                # A decorated function: what it declares, or its own return annotation, is the field's.
                declared = value.type_annotation
                cls.__annotations__[name] = (
                    declared.raw_annotation if declared else value.metadata[SPEC].expression.__annotations__["return"]
                )
        undeclared = [name for name in cls.__annotations__ if not isinstance(vars(cls).get(name), StrawberryField)]
        if undeclared:
            raise TypeError(f"{cls.__name__}.{undeclared[0]}: say column, one, many or computed")
        made = strawberry.type(cls, description=inspect.getdoc(cls))
        named = key or str(next(iter(table.primary_key.columns)).name)
        ENTITIES[made] = Entity(made, table, order, named, history, lasting, few)
        return made

    return declare


def _field(description: str, spec: Spec) -> Any:
    return strawberry.field(description=description, metadata={SPEC: spec})


def column(description: str, *, name: str | None = None, json: str | None = None, filterable: bool = True) -> Any:
    """A field that reads the column of its own name, or `name`."""
    return _field(description, ColumnSpec(name, json, filterable))


def one(description: str, on: Callable[[Any, Any], Any]) -> Any:
    """A field that is the one row of another entity for which `on(this, other)` holds."""
    return _field(description, OneSpec(on))


def many(description: str, on: Callable[[Any, Any], Any]) -> Any:
    """A connection over the rows of another entity for which `on(this, other)` holds, annotated `Connection[Other]`."""
    return _field(description, ManySpec(on))


def few(description: str, on: Callable[[Any, Any], Any], *, most: int) -> Any:
    """All rows of another entity for which `on(this, other)` holds, annotated `list[Other]`; `most` are possible."""
    return _field(description, FewSpec(on, most))


def computed(expression: Callable[..., Any]) -> Any:
    """A field that is an SQL expression: `expression(row, **arguments)`, described by its docstring."""
    field = _field(described(expression), ComputedSpec(expression))
    field.arguments = arguments_of(expression)
    return field


def rows(cls: type) -> Callable[[Callable[..., Any]], StrawberryField]:
    """Declare a root connection over an entity."""
    return _root(cls, many=True)


def row(cls: type) -> Callable[[Callable[..., Any]], StrawberryField]:
    """Declare a root field that is one row of an entity, or null."""
    return _root(cls, many=False)


def _root(cls: type, *, many: bool) -> Callable[[Callable[..., Any]], StrawberryField]:
    def declare(body: Callable[..., Any]) -> StrawberryField:
        from schema.compiler.paging import Connection

        field: StrawberryField = _field(described(body), RootSpec(cls, many, body))
        # The plural is the table's name in most domains: `wards_` declares the root field `wards`.
        field.python_name = field.name = body.__name__.rstrip("_")
        field.type_annotation = StrawberryAnnotation(Connection[cls] if many else cls | None)  # type: ignore[valid-type]
        field.arguments = arguments_of(body)
        return field

    return declare


def value(body: Callable[[], Any]) -> StrawberryField:
    """Declare a root field that is an SQL expression of the statement itself, null where that is NULL."""
    field: StrawberryField = _field(described(body), ValueSpec(body))
    field.python_name = field.name = body.__name__
    field.type_annotation = StrawberryAnnotation(get_type_hints(body)["return"])
    return field


def described(body: Callable[..., Any]) -> str:
    """What the API says of a declared body: its docstring."""
    text = inspect.getdoc(body)
    if not text:
        raise TypeError(f"{body.__name__}: its docstring is its description in the API")
    return text


def arguments_of(body: Callable[..., Any]) -> list[StrawberryArgument]:
    """A declared body's parameters, all but the first, as GraphQL arguments."""
    hints = get_type_hints(body, include_extras=True)
    made = []
    for name in list(inspect.signature(body).parameters)[1:]:
        hint = hints[name]
        if get_origin(hint) is not Annotated:
            raise TypeError(
                f"{body.__name__}({name}): annotate it with its type and strawberry.argument(description=…)"
            )
        said = next(part for part in get_args(hint)[1:] if hasattr(part, "description"))
        made.append(
            StrawberryArgument(
                python_name=name,
                graphql_name=said.name,
                type_annotation=StrawberryAnnotation(get_args(hint)[0]),
                description=said.description,
            )
        )
    return made


@dataclass(frozen=True)
class Field:
    """A field of an entity as the API shows it, with how it is read."""

    spec: Spec
    python_name: str
    target: Entity
    """The entity it leads to, for relations; its own entity for the rest."""
    nullable: bool


class Mapping:
    """Which entity and which spec stand behind each type and field of the printed schema."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema
        self.entities = {entity.name: entity for entity in ENTITIES.values() if entity.name in schema.type_map}
        self._fields = {
            (name, field_name): self._read(entity, schema.type_map[name].fields[field_name])  # type: ignore[attr-defined]
            for name, entity in self.entities.items()
            for field_name in schema.type_map[name].fields  # type: ignore[attr-defined]
        }
        for (name, field_name), each in self._fields.items():
            self._check(self.entities[name], field_name, each)

    def _read(self, entity: Entity, definition: Any) -> Field:
        declared: StrawberryField = definition.extensions["strawberry-definition"]
        named = get_named_type(definition.type)
        target = entity
        # What lists rows with something beside them (how far they are) is no entity, and no relation.
        if isinstance(named, GraphQLObjectType) and not isinstance(declared.metadata[SPEC], CompiledRoot):
            inner = get_named_type(named.fields["nodes"].type) if "nodes" in named.fields else named
            target = self.entities[inner.name]
        return Field(
            declared.metadata[SPEC], declared.python_name, target, not isinstance(definition.type, GraphQLNonNull)
        )

    @staticmethod
    def _check(entity: Entity, name: str, each: Field) -> None:
        if isinstance(each.spec, ColumnSpec) and not each.nullable:
            column = entity.table.c[each.spec.json or each.spec.column or each.python_name]
            if column.nullable:
                raise TypeError(f"{entity.name}.{name} is declared non-null, but {column} may be null")

    def field(self, entity: Entity, name: str) -> Field:
        return self._fields[entity.name, name]

    def root(self, definition: GraphQLField) -> CompiledRoot | None:
        """The spec of a root field that is compiled, or None for one that a resolver answers."""
        declared = definition.extensions.get("strawberry-definition")
        spec = declared.metadata.get(SPEC) if declared is not None else None
        return spec if isinstance(spec, CompiledRoot) else None
