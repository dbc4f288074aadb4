"""Where compiled reads meet Strawberry: one executor, one preparation, one cache.

The executor takes the entity roots of a query out of the operation, answers them with one statement, and lets ordinary
root fields (introspection, `me`, health) run beside it. A compiled operation succeeds or fails whole.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import strawberry
from graphql import (
    ASTValidationRule,
    FieldNode,
    GraphQLError,
    MaxIntrospectionDepthRule,
    OperationDefinitionNode,
    OperationType,
    located_error,
    specified_rules,
    validate,
)
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.values import VariableValues, get_argument_values, get_variable_values
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule
from strawberry.types.arguments import convert_arguments
from strawberry.types.execution import ExecutionContext, PreExecutionError

from schema.compiler.admit import Ceilings, admit_document, admit_variables
from schema.compiler.aggregates import MAX_GROUPS, too_many
from schema.compiler.documents import Document, fragments_of, operation_of, reading_of
from schema.compiler.events import EventSpec, Heard, Told, render_events
from schema.compiler.kept import Kept
from schema.compiler.mapping import SPEC, Mapping
from schema.compiler.moves import Followed, Following, MovesSpec, render_moves
from schema.compiler.render import render, render_payload
from schema.compiler.selection import Request, collected, select_field, select_root, shape_of
from schema.compiler.statements import Statement
from schema.compiler.writes import WriteSpec, once
from schema.errors import BadUserInput, HubError, QueryTooComplex

KEPT_SOURCE = 256 * 1024
"""Characters of documents whose parse and validation are kept: some hundred times as many bytes of memory at most, and
an object for each, which Python's collector looks at again and again while nobody is answered."""
KEPT_REFUSALS = 4 * 1024 * 1024
"""Bytes of documents that were refused, each with its refusal."""
REFUSAL_BYTES = 2000
"""What a refusal takes beside its document, at most."""
KEPT_SQL = 32 * 1024 * 1024
"""Bytes of statements that are kept, each with the document that it keeps alive."""
BYTES_FOR_CHARACTER = 150
"""Memory of a document's tokens and nodes: a short statement may hang on a long document."""


class Context(Protocol):
    """What an operation needs from the running service: who asks, what they may ask, and the way to the database."""

    operation: str
    """The operation's name, once the document was read; empty where it has none."""
    cost: int | None
    """Rows that it may return, once they were counted."""

    @property
    def limits(self) -> Ceilings: ...

    def step(self, name: str) -> AbstractContextManager[None]:
        """Around the work of a step, to learn how long it takes: `parse`, `compile`, `database`."""
        ...

    async def fetch_json(self, statement: Statement, parameters: Sequence[Any]) -> Sequence[bytes]:
        """Run one statement as the caller; its one row's columns, each finished JSON."""
        ...


@dataclass(frozen=True)
class Prepared:
    """A read that was admitted and compiled, with its values: all that is left is to run it as somebody."""

    name: str
    statement: Statement
    parameters: list[Any]
    cost: int


class Raw:
    """Finished answers by response key: JSON bytes for compiled roots, values for the others."""

    def __init__(self, members: dict[str, Any]) -> None:
        self.members = members


@dataclass(frozen=True)
class Finished:
    """What a resolver gives back that the compiler answered (`inside.py`): nothing of it is left to complete."""

    value: Any


class CompiledExecutor(StrawberryGraphQLCoreExecutionContext):
    """Answers a query's entity roots by one statement."""

    def complete_value(
        self, return_type: Any, field_details_list: Any, info: Any, path: Any, result: Any, position_context: Any
    ) -> Any:
        if isinstance(result, Finished):
            return result.value
        return super().complete_value(return_type, field_details_list, info, path, result, position_context)

    def execute_collected_root_fields(
        self, root_type: Any, root_value: Any, grouped_field_set: Any, serially: bool, new_defer_usages: Any
    ) -> Any:
        schema: CompiledSchema = self.schema.extensions["strawberry-definition"]
        compiled = {
            key: details
            for key, details in grouped_field_set.items()
            if root_type is self.schema.query_type and schema.is_compiled(details[0].node.name.value)
        }
        if root_type is self.schema.mutation_type:
            return self._written(schema, root_type, root_value, grouped_field_set)
        if not compiled:
            return super().execute_collected_root_fields(
                root_type, root_value, grouped_field_set, serially, new_defer_usages
            )
        return self._with_compiled(schema, root_type, root_value, grouped_field_set, compiled, serially)

    async def _with_compiled(
        self,
        schema: CompiledSchema,
        root_type: Any,
        root_value: Any,
        grouped: dict[str, list[FieldDetails]],
        compiled: dict[str, list[FieldDetails]],
        serially: bool,
    ) -> Any:
        fragments = {name: details.definition for name, details in self.fragments.items()}
        request = Request(self.schema, self.operation, fragments, self.variable_values)
        nodes = {key: [d.node for d in details] for key, details in compiled.items()}
        context: Context = self.context_value
        answers = await schema.answers(schema.prepared(request, nodes, context, context.operation), context)
        ordinary = {key: details for key, details in grouped.items() if key not in compiled}
        others: Any = {}
        if ordinary:
            others = self.execute_root_grouped_field_set(root_type, root_value, ordinary, serially, None)
            if inspect.isawaitable(others):
                others = await others
        return Raw(
            {key: answers[key] if key in answers else others[key] for key in grouped if key in answers or key in others}
        )

    async def _written(
        self, schema: CompiledSchema, root_type: Any, root_value: Any, grouped: dict[str, list[FieldDetails]]
    ) -> Any:
        """Mutations, one after the other, each in a transaction of its own. The first that fails ends the operation:
        what came before it stands, and the answer says which those were."""
        members: dict[str, Any] = {}
        for key, details in grouped.items():
            nodes = [each.node for each in details]
            spec = schema.write_spec(nodes[0].name.value)
            if spec is None:
                others = self.execute_root_grouped_field_set(root_type, root_value, {key: details}, True, None)
                members.update(await others if inspect.isawaitable(others) else others)
                continue
            try:
                members[key] = await self._write(schema, spec, root_type, key, nodes)
            except HubError as error:
                if members:
                    error.details["done"] = list(members)
                raise located_error(error, nodes, [key]) from error
        return Raw(members)

    async def _write(
        self, schema: CompiledSchema, spec: WriteSpec, root_type: Any, key: str, nodes: list[FieldNode]
    ) -> bytes:
        context = self.context_value
        definition = root_type.fields[nodes[0].name.value]
        given = get_argument_values(definition, nodes[0], self.variable_values)
        declared = definition.extensions["strawberry-definition"]
        arguments = convert_arguments(
            given, declared.arguments, config=schema.config, scalar_registry=schema.schema_converter.scalar_registry
        )
        fragments = {name: details.definition for name, details in self.fragments.items()}
        request = Request(self.schema, self.operation, fragments, self.variable_values)
        selected = select_field(request, root_type, key, nodes)
        with context.step("database"):
            async with context.change() as change:
                result = await once(change, declared.name, spec.body, arguments)
                statement = render_payload(schema.mapping, selected, result, context.limits)
                context.cost = schema.check_cost(statement, self.variable_values, context.limits)
                answer: bytes = (await change.fetch_json(statement.sql, statement.parameters(self.variable_values)))[0]
        return answer


class CompiledSchema(strawberry.Schema):
    """A Strawberry schema whose reads over entities are compiled, and whose documents are admitted first."""

    def __init__(self, rules: Sequence[type[ASTValidationRule]] = (), **arguments: Any) -> None:
        """`rules` are the domains' own, beside those of the specification: they refuse before anything runs."""
        super().__init__(**arguments, execution_context_class=CompiledExecutor)
        # Keys hold the id of an object that the value keeps alive, so that no other object can have it meanwhile.
        self._documents: Kept[Document] = Kept(KEPT_SOURCE)
        self._refused: Kept[tuple[HubError, Ceilings]] = Kept(KEPT_REFUSALS)
        self._statements: Kept[tuple[Statement, OperationDefinitionNode, Ceilings]] = Kept(KEPT_SQL)
        self._told: Kept[tuple[Told | Followed, OperationDefinitionNode, Ceilings]] = Kept(KEPT_SQL)
        self._rules = (*specified_rules, OneOfInputValidationRule, MaxIntrospectionDepthRule, *rules)

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Nothing: Strawberry would log what callers sent. The doors log what they did not expect, without values."""

    @cached_property
    def mapping(self) -> Mapping:
        return Mapping(self._schema)

    def is_compiled(self, root: str) -> bool:
        return root in self._compiled_roots

    @cached_property
    def _compiled_roots(self) -> frozenset[str]:
        query = self._schema.query_type
        assert query is not None
        return frozenset(name for name, definition in query.fields.items() if self.mapping.root(definition) is not None)

    def write_spec(self, root: str) -> WriteSpec | None:
        """How a mutation is written, or None for one that a resolver answers."""
        mutation = self._schema.mutation_type
        assert mutation is not None
        declared = mutation.fields[root].extensions.get("strawberry-definition") if root in mutation.fields else None
        spec = declared.metadata.get(SPEC) if declared is not None else None
        return spec if isinstance(spec, WriteSpec) else None

    # -- documents --------------------------------------------------------------------------------------------------

    def document(self, source: str, limits: Ceilings) -> Document:
        """The document, admitted and validated: from the cache when it was seen before."""
        key = (source, id(limits))
        known = self._documents.get(key)
        if known is None:
            refused = self._refused.get(key)
            if refused is not None:
                raise refused[0].again()
            try:
                known = self._admitted(source, limits)
            except HubError as error:
                # To read a document takes milliseconds, and whoever floods the hub sends the same one.
                self._refused.put(key, (error.again(), limits), len(source) + REFUSAL_BYTES)
                raise
            self._documents.put(key, known, len(source))
        return known

    def _admitted(self, source: str, limits: Ceilings) -> Document:
        ast = admit_document(source, limits)
        errors = validate(self._schema, ast, self._rules, max_errors=20)
        if any(error.message == "Maximum introspection depth exceeded" for error in errors):
            raise QueryTooComplex("The introspection nests lists of types, fields or values too deep.")
        return Document(ast, errors, limits)

    async def _prepare_operation_async(
        self, context: ExecutionContext, extensions_runner: Any
    ) -> PreExecutionError | None:
        """Admit, parse and validate: every door (HTTP, websocket, SSE) comes through here before anything runs."""
        ours: Context = context.context
        try:
            with ours.step("parse"):
                admit_variables(context.variables, ours.limits)
                document = self.document(context.query, ours.limits) if context.query else None
            if document is not None:
                context.graphql_document = document.ast
                context.pre_execution_errors = document.errors or []
                if not document.errors:  # Strawberry would run the first of several when none is named
                    operation = operation_of(document.ast, context._provided_operation_name)
                    ours.operation = operation.name.value if operation.name else ""
                    if operation.operation is OperationType.SUBSCRIPTION:  # whoever can be told again asks `heard`
                        raise BadUserInput(
                            "A subscription comes over a websocket (graphql-transport-ws), or with "
                            "Accept: text/event-stream: a single answer cannot hold it."
                        )
        except HubError as error:
            context.pre_execution_errors = [located(error)]
            return PreExecutionError(data=None, errors=context.pre_execution_errors)
        return await super()._prepare_operation_async(context, extensions_runner)

    # -- the short way ----------------------------------------------------------------------------------------------

    def prepare(
        self, source: str, variables: dict[str, Any] | None, operation_name: str | None, context: Context
    ) -> Prepared | None:
        """A query whose root fields are all compiled, for which nothing of an executor is needed; None for any other
        operation, and for one that is wrong: `execute` answers or refuses those. Raises HubError for what is not
        admitted."""
        with context.step("parse"):
            admit_variables(variables, context.limits)
            document = self.document(source, context.limits)
            reading = reading_of(self._schema, document, operation_name, self.is_compiled)
            if reading is None:
                return None
            given = variables or {}
            values = reading.values(given)
            if values is None:
                known = get_variable_values(self._schema, reading.operation.variable_definitions or (), given)
                if isinstance(known, list):
                    return None
                values = known
        context.operation = reading.name
        request = Request(self._schema, reading.operation, reading.fragments, values)
        return self.prepared(request, reading.roots, context, reading.name)

    def prepared(
        self, request: Request, roots: MappingType[str, list[FieldNode]], context: Context, name: str
    ) -> Prepared:
        """Compiled root fields with a request's values. Raises HubError for what costs too much or no column holds."""
        with context.step("compile"):
            statement = self.statement(request, roots, context.limits)
            cost = context.cost = self.check_cost(statement, request.variables, context.limits)
            return Prepared(name, statement, statement.parameters(request.variables), cost)

    async def read(self, prepared: Prepared, context: Context) -> Raw:
        """The answer to what was prepared, now or for an equal request before. Raises what the database raises."""
        context.operation, context.cost = prepared.name, prepared.cost
        return Raw(await self.answers(prepared, context))

    async def answers(self, prepared: Prepared, context: Context) -> dict[str, bytes]:
        """The JSON of compiled root fields, by response key."""
        found = await context.fetch_json(prepared.statement, prepared.parameters)
        answers = dict(zip(prepared.statement.keys, found, strict=True))
        for key, answer in answers.items():
            if answer is None:  # figures alone may say so: a connection and a row are always some JSON
                raise QueryTooComplex(too_many(key), limit=MAX_GROUPS)
        return answers

    # -- statements -------------------------------------------------------------------------------------------------

    def statement(self, request: Request, roots: MappingType[str, list[Any]], limits: Ceilings) -> Statement:
        """The statement for a request's compiled roots: made once for each shape of its variables. What it costs is for
        the caller to check, each time."""
        key = (id(request.operation), id(limits), shape_of(request))
        known = self._statements.get(key)
        if known is not None:
            statement = known[0]
        else:
            selected = [select_root(request, name, nodes) for name, nodes in roots.items()]
            statement = render(self.mapping, selected, limits, request.variables)
            document = len(request.operation.loc.source.body) if request.operation.loc else 0
            weight = len(statement.sql) + BYTES_FOR_CHARACTER * document
            self._statements.put(key, (statement, request.operation, limits), weight)
        return statement

    @staticmethod
    def check_cost(statement: Statement, variables: VariableValues, limits: Ceilings) -> int:
        """How many rows a statement may return. Raises QueryTooComplex where that is too many."""
        cost = statement.cost(variables)
        if cost > limits.max_cost:
            raise QueryTooComplex(
                f"The operation asks for up to {cost:,} rows; at most {limits.max_cost:,} are given. "
                "Ask for smaller pages, or nest fewer lists.",
                cost=cost,
                limit=limits.max_cost,
            )
        return cost

    # -- subscriptions ----------------------------------------------------------------------------------------------

    @cached_property
    def journalled(self) -> dict[str, tuple[str, str]]:
        """Which journalled tables subscriptions are about: the table whose rows are told of, and the column that holds
        their ids."""
        subscription = self._schema.subscription_type
        specs = [self._told_spec(name) for name in subscription.fields] if subscription is not None else []
        return {
            table: (spec.table, column)
            for spec in specs
            if isinstance(spec, EventSpec)
            for table, column in spec.journalled.items()
        }

    def _told_spec(self, root: str) -> EventSpec | MovesSpec:
        subscription = self._schema.subscription_type
        assert subscription is not None
        spec: EventSpec | MovesSpec = subscription.fields[root].extensions["strawberry-definition"].metadata[SPEC]
        return spec

    def name_of(self, source: str, operation_name: str | None, limits: Ceilings) -> str:
        """What an operation is called that was admitted before; empty where it has no name."""
        named = operation_of(self.document(source, limits).ast, operation_name).name
        return named.value if named else ""

    def heard(
        self, source: str, variables: dict[str, Any] | None, operation_name: str | None, limits: Ceilings
    ) -> Heard | Following | None:
        """A subscription, admitted and compiled; None for anything else, which `execute` answers or refuses.

        Raises HubError or GraphQLError for a subscription that cannot be."""
        admit_variables(variables, limits)
        document = self.document(source, limits)
        if document.errors:
            return None
        operation = operation_of(document.ast, operation_name)
        if operation.operation is not OperationType.SUBSCRIPTION:
            return None
        values = self.variable_values(operation, variables)
        request = Request(self._schema, operation, fragments_of(document.ast), values)
        key = (id(operation), id(limits), shape_of(request))
        known = self._told.get(key)
        if known is not None:
            told = known[0]
        else:
            root = self._schema.subscription_type
            assert root is not None
            roots = collected(request, root, [operation.selection_set])
            if len(roots) != 1:  # validation counts fields before any is skipped
                raise BadUserInput("A subscription has one root field that is not skipped.")
            ((name, nodes),) = roots.items()
            spec = self._told_spec(nodes[0].name.value)
            make = render_events if isinstance(spec, EventSpec) else render_moves
            told = make(self.mapping, select_field(request, root, name, nodes), limits)
            document_length = len(operation.loc.source.body) if operation.loc else 0
            weight = len(told.statement.sql) + BYTES_FOR_CHARACTER * document_length
            self._told.put(key, (told, operation, limits), weight)
        self.check_cost(told.statement, values, limits)
        return told.bind(values, limits.max_cost)

    def variable_values(self, operation: OperationDefinitionNode, variables: dict[str, Any] | None) -> VariableValues:
        """A request's variables, checked and coerced. Raises GraphQLError for the first that does not fit."""
        values = get_variable_values(self._schema, operation.variable_definitions or (), variables or {})
        if isinstance(values, list):
            raise values[0]
        return values

    def compiled(
        self, source: str, variables: dict[str, Any] | None, operation_name: str | None, limits: Ceilings
    ) -> tuple[Statement, list[Any]]:
        """The statement and parameters that would answer a query, without running it: `hub sql`, the editor's panel."""
        admit_variables(variables, limits)
        document = self.document(source, limits)
        if document.errors:
            raise document.errors[0]
        heard = self.heard(source, variables, operation_name, limits)
        if heard is not None:
            return heard.told.statement, heard.parameters(())
        operation = operation_of(document.ast, operation_name)
        values = self.variable_values(operation, variables)
        request = Request(self._schema, operation, fragments_of(document.ast), values)
        query = self._schema.query_type
        assert query is not None
        roots = {
            key: nodes
            for key, nodes in collected(request, query, [operation.selection_set]).items()
            if self.is_compiled(nodes[0].name.value)
        }
        if not roots:
            raise BadUserInput("This operation reads no table: there is no statement to show.")
        statement = self.statement(request, roots, limits)
        self.check_cost(statement, values, limits)
        return statement, statement.parameters(values)


def located(error: HubError) -> GraphQLError:
    """A hub error as GraphQL reports it; `extensions` are filled where answers are made."""
    return GraphQLError(str(error), original_error=error)
