"""From a document's nodes to a tree of what is selected, with arguments whose scalars are still open.

The tree depends on the document and on the variables' shape (what is null, how lists of inputs run, enums and
booleans), never on a scalar's value: a statement made from it serves every request of the same shape.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLError,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    InlineFragmentNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    Undefined,
    ValueNode,
    VariableNode,
    coerce_input_literal,
    get_named_type,
    type_from_ast,
)
from graphql.execution.values import VariableValues

from schema.errors import BadUserInput, QueryTooComplex
from schema.scalars import holds_variable

MAX_MEMBERS = 2000
"""Members of input objects in an operation's variables, counted wherever a variable is used."""

LONG_PAGE = 100
"""From so many rows on, what a page's rows have in common is made beforehand. Part of a variable's shape, because the
statement is another one."""

SHAPING: set[str] = set()
"""Enums whose lists decide the statement's text as well: what figures are grouped by."""

Read = Callable[[VariableValues], Any]


@dataclass(frozen=True, eq=False)
class Leaf:
    """A scalar (or a list of scalars) whose value each request brings anew."""

    type: GraphQLNamedType
    many: bool
    read: Read
    place: str
    """Where it stands in the arguments, for messages: `where.code.eq`."""


Argument = Any
"""A Leaf, an enum's value, a boolean, None, a list of arguments, or a dict of them by GraphQL name."""


@dataclass
class Selected:
    """One response key: which field it reads, with which arguments, and what is selected below it."""

    key: str
    name: str
    field: GraphQLField | None
    """None for `__typename`."""
    arguments: dict[str, Argument]
    children: list[Selected] = dataclasses.field(default_factory=list)
    variants: dict[str, list[Selected]] = dataclasses.field(default_factory=dict)
    """Of a field whose type is an interface: what is selected below it, by the name of the row's own type."""

    @property
    def type(self) -> GraphQLNamedType:
        assert self.field is not None
        return get_named_type(self.field.type)


@dataclass(frozen=True)
class Request:
    """One operation with the variables of one request."""

    schema: GraphQLSchema
    operation: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: VariableValues
    met: list[int] = dataclasses.field(default_factory=lambda: [0])
    """Members of variables met so far."""

    def count(self, members: int) -> None:
        self.met[0] += members
        if self.met[0] > MAX_MEMBERS:
            raise QueryTooComplex(
                f"The operation's variables make over {MAX_MEMBERS:,} conditions, counted wherever they are used: "
                "ask for many values of one field by `in`.",
                limit=MAX_MEMBERS,
            )


def select_root(request: Request, key: str, nodes: list[FieldNode]) -> Selected:
    """The tree under one root field of a query."""
    query = request.schema.query_type
    assert query is not None
    return select_field(request, query, key, nodes)


def select_field(request: Request, parent: GraphQLObjectType, key: str, nodes: list[FieldNode]) -> Selected:
    """The tree under one field of any type."""
    return _selected(request, parent, key, nodes, "")


def _selected(request: Request, parent: GraphQLObjectType, key: str, nodes: list[FieldNode], place: str) -> Selected:
    name = nodes[0].name.value
    if name == "__typename":
        return Selected(key, name, None, {})
    definition = parent.fields[name]
    here = f"{place}{key}"
    selected = Selected(key, name, definition, _arguments(request, definition, nodes[0], here))
    below = get_named_type(definition.type)
    sets = [node.selection_set for node in nodes if node.selection_set]

    def selected_of(type_: GraphQLObjectType) -> list[Selected]:
        grouped = collected(request, type_, sets).items()
        return [_selected(request, type_, child, child_nodes, f"{here}.") for child, child_nodes in grouped]

    if isinstance(below, GraphQLObjectType):
        selected.children = selected_of(below)
    elif isinstance(below, GraphQLInterfaceType):
        selected.variants = {type_.name: selected_of(type_) for type_ in request.schema.get_possible_types(below)}
    return selected


def collected(
    request: Request, parent: GraphQLObjectType, sets: Iterable[SelectionSetNode]
) -> dict[str, list[FieldNode]]:
    """Fields by response key in the order that the specification gives them (CollectFields)."""
    grouped: dict[str, list[FieldNode]] = {}
    visited: set[str] = set()

    def visit(selection_set: SelectionSetNode) -> None:
        for node in selection_set.selections:
            if not _included(request, node):
                continue
            if isinstance(node, FieldNode):
                grouped.setdefault(node.alias.value if node.alias else node.name.value, []).append(node)
            elif isinstance(node, InlineFragmentNode):
                if _applies(request.schema, node, parent):
                    visit(node.selection_set)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in visited:
                visited.add(node.name.value)
                fragment = request.fragments[node.name.value]
                if _applies(request.schema, fragment, parent):
                    visit(fragment.selection_set)

    for selection_set in sets:
        visit(selection_set)
    return grouped


def _included(request: Request, node: Any) -> bool:
    for directive in node.directives or ():
        name = directive.name.value
        if name in ("skip", "include"):
            value = next(argument.value for argument in directive.arguments if argument.name.value == "if")
            given = request.variables.coerced[value.name.value] if isinstance(value, VariableNode) else value.value
            if bool(given) is (name == "skip"):
                return False
    return True


def _applies(schema: GraphQLSchema, node: Any, parent: GraphQLObjectType) -> bool:
    if node.type_condition is None:
        return True
    condition = type_from_ast(schema, node.type_condition)
    if isinstance(condition, (GraphQLInterfaceType, GraphQLUnionType)):
        return schema.is_sub_type(condition, parent)
    return condition is parent


def _arguments(request: Request, definition: GraphQLField, node: FieldNode, place: str) -> dict[str, Argument]:
    given = {argument.name.value: argument.value for argument in node.arguments or ()}
    return _members(request, definition.args, given, place, separator="(")


def _members(
    request: Request,
    definitions: Mapping[str, GraphQLArgument] | Mapping[str, GraphQLInputField],
    given: Mapping[str, ValueNode],
    place: str,
    separator: str = ".",
) -> dict[str, Argument]:
    members: dict[str, Argument] = {}
    for name, definition in definitions.items():
        here = f"{place}{separator}{name}" if separator != "(" else f"{place}({name})"
        value = given.get(name)
        if isinstance(value, VariableNode) and value.name.value not in request.variables.coerced:
            value = None  # a variable that was not sent leaves the argument to its default
        if value is not None:
            members[name] = _from_node(request, definition.type, value, here)
        elif definition.default_value is not Undefined:
            default = definition.default_value
            members[name] = _from_value(request, definition.type, default, always(default), here)
    return members


def _from_node(request: Request, type_: GraphQLInputType, node: ValueNode, place: str) -> Argument:
    if isinstance(node, VariableNode):
        name = node.name.value
        value = request.variables.coerced[name]
        return _from_value(request, type_, value, lambda variables: variables.coerced[name], place)
    if isinstance(type_, GraphQLNonNull):
        type_ = type_.of_type
    if isinstance(node, NullValueNode):
        return None
    named = get_named_type(type_)
    if isinstance(type_, GraphQLList):
        items = list(node.values) if isinstance(node, ListValueNode) else [node]
        if isinstance(named, GraphQLInputObjectType):
            return [_from_node(request, type_.of_type, item, f"{place}[{at}]") for at, item in enumerate(items)]
    elif isinstance(named, GraphQLInputObjectType):
        assert isinstance(node, ObjectValueNode)
        given = {member.name.value: member.value for member in node.fields}
        return _members(request, named.fields, given, place)
    if _is_structural(named) and (named.name in SHAPING or not isinstance(type_, GraphQLList)):
        return coerce_input_literal(node, type_, request.variables)
    if not holds_variable(node):
        fixed = coerce_input_literal(node, type_, request.variables)
        return Leaf(named, isinstance(type_, GraphQLList), always(fixed), place)

    def read(variables: VariableValues) -> Any:
        try:
            if isinstance(named, GraphQLScalarType) and not isinstance(type_, GraphQLList):
                return named.parse_literal(node, variables.coerced)
            value = coerce_input_literal(node, type_, variables)
        except GraphQLError as error:
            raise BadUserInput(f"{place}: {error.message}") from error
        if value is Undefined:
            raise BadUserInput(f"{place}: the variables do not make a list of {named}")
        return value

    return Leaf(named, isinstance(type_, GraphQLList), read, place)


def always(value: Any) -> Read:
    """A value that no request changes."""
    return lambda _: value


def _at(read: Read, key: str | int) -> Read:
    return lambda variables: read(variables)[key]


def _from_value(request: Request, type_: GraphQLInputType, value: Any, read: Read, place: str) -> Argument:
    """An argument from a value that was coerced already; `read` finds it again in another request of the same shape."""
    if isinstance(type_, GraphQLNonNull):
        type_ = type_.of_type
    if value is None:
        return None
    named = get_named_type(type_)
    if isinstance(type_, GraphQLList):
        if isinstance(named, GraphQLInputObjectType):
            request.count(len(value))
            return [
                _from_value(request, type_.of_type, item, _at(read, at), f"{place}[{at}]")
                for at, item in enumerate(value)
            ]
        if named.name in SHAPING:
            return value
    elif isinstance(named, GraphQLInputObjectType):
        request.count(len(value))
        return {
            name: _from_value(request, named.fields[name].type, member, _at(read, name), f"{place}.{name}")
            for name, member in value.items()
        }
    elif _is_structural(named):
        return value
    return Leaf(named, isinstance(type_, GraphQLList), read, place)


def shape(type_: GraphQLInputType, value: Any) -> Any:
    """What a statement may depend on in a variable's value: a hashable without any scalar."""
    if isinstance(type_, GraphQLNonNull):
        type_ = type_.of_type
    if value is None:
        return None
    named = get_named_type(type_)
    if isinstance(type_, GraphQLList):
        if isinstance(named, GraphQLInputObjectType):
            return tuple(shape(type_.of_type, item) for item in value)
        if named.name in SHAPING:
            return tuple(value)
    elif isinstance(named, GraphQLInputObjectType):
        return tuple((name, shape(named.fields[name].type, member)) for name, member in value.items())
    elif _is_structural(named):
        return value
    elif named.name == "Int":
        return "long" if value >= LONG_PAGE else "*"
    return "*"


def shape_of(request: Request) -> tuple[Any, ...]:
    """The shape of all variables of a request, in the order of their definitions."""
    coerced, sources = request.variables.coerced, request.variables.sources
    return tuple(
        shape(source.signature.type, coerced[name]) if name in coerced else "-" for name, source in sources.items()
    )


def _is_structural(type_: GraphQLNamedType) -> bool:
    """Enums and booleans decide the statement's text (a direction, a skipped field, `isNull`); there are few."""
    return isinstance(type_, GraphQLEnumType) or (isinstance(type_, GraphQLScalarType) and type_.name == "Boolean")
