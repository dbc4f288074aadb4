"""What an operation may ask: counted before anything is validated, expanded or executed, at every door.

Validation itself can be the attack: the same response key two hundred times, or fragments that double twenty times,
cost more to check than any honest query costs to answer. So the document is cut by length and tokens, counted through
its fragments without expanding them, and only what passes goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSyntaxError,
    InlineFragmentNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    parse,
)

from schema.errors import BadUserInput, QueryTooComplex

MAX_OPERATIONS = 10
"""Operations in one document: an editor's tab holds a few, an attack holds hundreds."""
MAX_FRAGMENTS = 50
"""Fragments in one document: validation compares each with each."""
MAX_INTROSPECTION_DEPTH = 18
"""The editor's standard query nests `ofType` this deep; it goes by this ceiling instead of `max_depth`."""
MAX_COMMENTS = 200


class Ceilings(Protocol):
    """The limits of `hub.settings.Limits`, each a documented setting."""

    @property
    def max_document_bytes(self) -> int: ...
    @property
    def max_tokens(self) -> int: ...
    @property
    def max_depth(self) -> int: ...
    @property
    def max_root_fields(self) -> int: ...
    @property
    def max_aliases(self) -> int: ...
    @property
    def max_directives(self) -> int: ...
    @property
    def max_repeats(self) -> int: ...
    @property
    def max_selections(self) -> int: ...
    @property
    def max_cost(self) -> int: ...
    @property
    def max_page(self) -> int: ...
    @property
    def max_variable_leaves(self) -> int: ...
    @property
    def max_variable_depth(self) -> int: ...
    @property
    def max_in_list(self) -> int: ...


def admit_document(source: str, limits: Ceilings) -> DocumentNode:
    """Parse a document that stays within the limits. Raises QueryTooComplex, or BadUserInput for what is no GraphQL."""
    size = len(source.encode("utf-8", "surrogatepass"))
    if size > limits.max_document_bytes:
        raise QueryTooComplex(f"The document has {size:,} bytes; at most {limits.max_document_bytes:,} are taken.")
    try:
        document = parse(
            source,
            max_tokens=limits.max_tokens,
            max_comments=MAX_COMMENTS,
            max_lexical_tokens=limits.max_tokens,
            allow_empty_selection_sets=False,
        )
    except GraphQLSyntaxError as error:
        if error.message.endswith("too deeply. Parsing aborted."):
            raise QueryTooComplex("The document nests too deep to be read.") from error
        if error.message.endswith("Parsing aborted."):
            raise QueryTooComplex(
                f"The document has over {limits.max_tokens:,} tokens or {MAX_COMMENTS} comments."
            ) from error
        raise BadUserInput(
            error.message, locations=[{"line": at.line, "column": at.column} for at in error.locations or ()]
        ) from error
    except RecursionError as error:
        raise QueryTooComplex("The document nests too deep to be read.") from error
    _Count(document, limits).check()
    return document


def admit_variables(variables: Any, limits: Ceilings) -> None:
    """Count the values and the nesting of a request's variables."""
    if variables is None:
        return
    values, level, depth = 0, [variables], 0
    while level:
        depth += 1
        if depth > limits.max_variable_depth + 1:
            raise QueryTooComplex(f"The variables nest over {limits.max_variable_depth} levels deep.")
        below: list[Any] = []
        for value in level:
            inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
            below.extend(inside)
            values += not inside
        if values + len(below) > limits.max_variable_leaves:  # whatever stands below is a value, or holds one
            raise QueryTooComplex(f"The variables hold over {limits.max_variable_leaves:,} values.")
        level = below


@dataclass(frozen=True)
class _Size:
    """What a selection set holds, through its fragments."""

    selections: int
    depth: int
    aliases: int
    fields: int
    """Fields of the set's own level."""


class _Count:
    def __init__(self, document: DocumentNode, limits: Ceilings) -> None:
        self.limits = limits
        self.definitions = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
        self.fragments = {node.name.value: node for node in self.definitions}
        self.operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        self.sizes: dict[str, _Size] = {}
        self.open: set[str] = set()

    def check(self) -> None:
        if len(self.operations) > MAX_OPERATIONS:
            raise QueryTooComplex(
                f"The document has {len(self.operations)} operations; at most {MAX_OPERATIONS} are taken."
            )
        if len(self.definitions) > MAX_FRAGMENTS:
            raise QueryTooComplex(
                f"The document has {len(self.definitions)} fragments; at most {MAX_FRAGMENTS} are taken."
            )
        for definition in (*self.operations, *self.definitions):
            self._place(definition)
            for variable in definition.variable_definitions or ():
                self._place(variable)
        for fragment in self.definitions:  # validation looks at each, used or not, and at both of one name
            self._fragment(fragment.name.value)
            whole = self._sum([fragment.selection_set])
            self._ceiling("selections", whole.selections, self.limits.max_selections)
            self._repeats([fragment.selection_set])
        for operation in self.operations:
            whole = self._sum([operation.selection_set])
            self._ceiling("selections", whole.selections, self.limits.max_selections)
            self._ceiling("aliases", whole.aliases, self.limits.max_aliases)
            self._ceiling("root fields", whole.fields, self.limits.max_root_fields)
            # Only now may fragments be expanded: doubling ones make millions of fields.
            plain, introspection = self._by_kind(operation.selection_set)
            depth = 1 + max((self._field(node).depth for node in plain), default=0)
            self._ceiling("levels of nesting", depth, self.limits.max_depth)
            deepest = 1 + max((self._field(node).depth for node in introspection), default=0)
            self._ceiling("levels of introspection", deepest, MAX_INTROSPECTION_DEPTH)
            self._repeats([operation.selection_set])

    @staticmethod
    def _ceiling(what: str, number: int, most: int) -> None:
        if number > most:
            raise QueryTooComplex(
                f"The operation has {_counted(number)} {what}; at most {most:,} are taken.", limit=most
            )

    def _by_kind(self, selection_set: SelectionSetNode) -> tuple[list[FieldNode], list[FieldNode]]:
        """Root fields, and those of them that introspect: told by the field itself, never by a fragment's name."""
        fields = list(self._fields([selection_set]))
        introspection = [node for node in fields if node.name.value in ("__schema", "__type")]
        return [node for node in fields if node not in introspection], introspection

    def _sum(self, sets: Iterable[SelectionSetNode]) -> _Size:
        selections = depth = aliases = fields = 0
        for selection_set in sets:
            for node in selection_set.selections:
                selections += 1
                self._place(node)
                if isinstance(node, FieldNode):
                    below = self._field(node)
                    fields += 1
                    aliases += bool(node.alias)
                    depth = max(depth, 1 + below.depth)
                elif isinstance(node, InlineFragmentNode):
                    below = self._sum([node.selection_set])
                    fields += below.fields
                    depth = max(depth, below.depth)
                else:
                    assert isinstance(node, FragmentSpreadNode)
                    below = self._fragment(node.name.value)
                    fields += below.fields
                    depth = max(depth, below.depth)
                selections += below.selections
                aliases += below.aliases
        return _Size(selections, depth, aliases, fields)

    def _field(self, node: FieldNode) -> _Size:
        return self._sum([node.selection_set]) if node.selection_set else _Size(0, 0, 0, 0)

    def _fragment(self, name: str) -> _Size:
        if name in self.sizes:
            return self.sizes[name]
        if name not in self.fragments:
            return _Size(0, 0, 0, 0)  # validation names it
        if name in self.open:
            raise QueryTooComplex(f"The fragment {name} spreads itself.")
        self.open.add(name)
        size = self._sum([self.fragments[name].selection_set])
        self.open.discard(name)
        self.sizes[name] = size
        return size

    def _fields(self, sets: Iterable[SelectionSetNode]) -> Iterable[FieldNode]:
        """The fields of one level, fragments expanded. Call it only once `selections` is known to be small."""
        for selection_set in sets:
            for node in selection_set.selections:
                if isinstance(node, FieldNode):
                    yield node
                elif isinstance(node, InlineFragmentNode):
                    yield from self._fields([node.selection_set])
                elif isinstance(node, FragmentSpreadNode) and node.name.value in self.fragments:
                    yield from self._fields([self.fragments[node.name.value].selection_set])

    def _repeats(self, sets: list[SelectionSetNode]) -> None:
        """Validation compares every pair of fields of one response key, merged over all places that name it."""
        named: dict[str, list[SelectionSetNode]] = {}
        counts: Counter[str] = Counter()
        for node in self._fields(sets):
            key = node.alias.value if node.alias else node.name.value
            counts[key] += 1
            if counts[key] > self.limits.max_repeats:
                raise QueryTooComplex(
                    f"The operation names {key} over {self.limits.max_repeats} times in one selection set."
                )
            if node.selection_set:
                named.setdefault(key, []).append(node.selection_set)
        for below in named.values():
            self._repeats(below)

    def _place(self, node: Any) -> None:
        count = len(node.directives or ())
        if count > self.limits.max_directives:
            raise QueryTooComplex(f"One place has {count} directives; at most {self.limits.max_directives} are taken.")
        for argument in getattr(node, "arguments", None) or ():
            level, depth = [argument.value], 0
            while level:
                depth += 1
                if depth > self.limits.max_variable_depth:
                    most = self.limits.max_variable_depth
                    raise QueryTooComplex(f"The argument {argument.name.value} nests over {most} levels deep.")
                level = [below for value in level for below in _inside(value)]


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, ListValueNode):
        return value.values
    return (member.value for member in value.fields) if isinstance(value, ObjectValueNode) else ()


def _counted(number: int) -> str:
    """Doubling fragments make numbers of any length: say that there are many, not how many."""
    return f"{number:,}" if number < 1_000_000 else "millions of"
