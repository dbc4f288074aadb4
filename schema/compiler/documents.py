"""A document once it was admitted, and what of it is a read: a query that needs nothing of an executor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    Undefined,
    coerce_input_value,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource

from schema.compiler.admit import Ceilings
from schema.compiler.selection import Request, collected
from schema.errors import BadUserInput


@dataclass
class Document:
    """A document that was admitted under these limits and validated."""

    ast: DocumentNode
    errors: list[GraphQLError]
    limits: Ceilings
    reads: dict[str | None, Reading | None] = field(default_factory=dict)
    """Its operations that are answered by a statement alone, by the name that a request asks for them with."""


@dataclass(frozen=True)
class Reading:
    """A query whose root fields are all compiled, whatever its variables say."""

    operation: OperationDefinitionNode
    name: str
    fragments: dict[str, FragmentDefinitionNode]
    roots: dict[str, list[FieldNode]]
    variables: tuple[tuple[str, GraphQLVariableSignature], ...]

    def values(self, given: dict[str, Any]) -> VariableValues | None:
        """The variables, coerced; None where one is missing or does not fit, which graphql-core takes from there."""
        sources, coerced = {}, {}
        for name, signature in self.variables:
            if name not in given:
                return None
            value = coerced[name] = coerce_input_value(given[name], signature.type)
            if value is Undefined:
                return None
            sources[name] = VariableValueSource(signature, given[name])
        return VariableValues(sources, coerced)


def reading_of(
    schema: GraphQLSchema, document: Document, operation_name: str | None, is_compiled: Callable[[str], bool]
) -> Reading | None:
    """The operation as a read, made once for each name; None where it is no read, or there is no such operation."""
    if operation_name in document.reads:
        return document.reads[operation_name]
    if document.errors:
        return None
    try:
        operation = operation_of(document.ast, operation_name)
    except BadUserInput:
        return None  # and nothing is kept for a name that anybody may have made up
    reading = document.reads[operation_name] = _made(schema, document.ast, operation, is_compiled)
    return reading


def _made(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    is_compiled: Callable[[str], bool],
) -> Reading | None:
    query, fragments = schema.query_type, fragments_of(document)
    assert query is not None
    if operation.operation is not OperationType.QUERY or _may_skip(operation.selection_set, fragments):
        return None
    request = Request(schema, operation, fragments, VariableValues({}, {}))
    roots = collected(request, query, [operation.selection_set])
    if not all(is_compiled(nodes[0].name.value) for nodes in roots.values()):
        return None
    signatures = [get_variable_signature(schema, each) for each in operation.variable_definitions or ()]
    known = tuple((each.name, each) for each in signatures if not isinstance(each, GraphQLError))
    return Reading(operation, operation.name.value if operation.name else "", fragments, roots, known)


def fragments_of(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}


def _may_skip(selection_set: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]) -> bool:
    """Whether directives may say which fields of this level are asked for."""
    for node in selection_set.selections:
        if node.directives:
            return True
        if isinstance(node, InlineFragmentNode) and _may_skip(node.selection_set, fragments):
            return True
        if isinstance(node, FragmentSpreadNode) and _may_skip(fragments[node.name.value].selection_set, fragments):
            return True
    return False


def operation_of(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    chosen = [node for node in operations if name is None or (node.name is not None and node.name.value == name)]
    if len(chosen) != 1:
        raise BadUserInput("operationName: say which of the document's operations is meant")
    return chosen[0]
