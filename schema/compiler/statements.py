"""A finished statement: its SQL, where its parameters come from, what it may cost, and what may be said of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from graphql.execution.values import VariableValues
from sqlalchemy import Table
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.sql.functions import FunctionElement

from schema.compiler.selection import Read


@dataclass
class Cost:
    """Rows that a list may return: its page, times what each row brings."""

    size: Read
    children: list[Cost] = field(default_factory=list)

    def rows(self, variables: VariableValues) -> int:
        below: int = sum(child.rows(variables) for child in self.children)
        return int(self.size(variables)) * (1 + below)


@dataclass(frozen=True)
class Statement:
    """SQL that answers the compiled roots of an operation, one column of JSON bytes each."""

    sql: str
    reads: tuple[Read, ...]
    """A function for each parameter, in order: from a request's variables to its value."""
    keys: tuple[str, ...]
    """Response keys, in the order of the columns."""
    costs: tuple[Cost, ...]
    one_plan: bool = False
    """Whether one plan serves all values: it reads single rows by their keys, lists of entities that are few, and what
    is nearest, none of which is better found in another way for other values."""
    tables: tuple[str, ...] = ()
    """The tables whose rows, beside its parameters and who asks, are all that it depends on; none where that cannot be
    said."""

    def parameters(self, variables: VariableValues) -> list[Any]:
        return [read(variables) for read in self.reads]

    def cost(self, variables: VariableValues) -> int:
        """Rows that the operation may return: the product of page sizes along each path, added up."""
        return sum(cost.rows(variables) for cost in self.costs)


_LASTING = frozenset(
    {
        "array_agg", "array_position", "coalesce", "convert_to", "count", "encode", "json_build_array", "least",
        "row_number", "st_asgeojson", "string_agg", "timezone", "to_char", "to_json", "translate", "upper",
    }
)  # fmt: skip
"""Functions that say the same of the same tomorrow. None of places: hardly anybody asks twice about the same one."""


def sources_of(query: Any) -> tuple[str, ...]:
    """The tables that a statement reads, where it reads nothing else: no clock, no setting, no function of ours."""
    tables = set()
    for part in visitors.iterate(query):
        if isinstance(part, Table):
            tables.add(part.name)
        elif isinstance(part, TextClause) or (isinstance(part, FunctionElement) and part.name.lower() not in _LASTING):
            return ()
    return tuple(sorted(tables))
