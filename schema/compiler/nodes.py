"""Rows by their id alone, of whatever type: `node(id:)`, as Relay's clients and people with a link ask.

    @entity(incidents)
    class Incident(Node):
        ...

Ids are UUIDv7 and no two rows have the same, so that one statement looks in each type's table in turn; the caller's
policies stand in all of them, and a row that is hidden is answered as one that is not there.
"""

from __future__ import annotations

import strawberry
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField

from schema.compiler.mapping import SPEC, CompiledRoot


@strawberry.interface(description="A row that `node` finds by its id alone.")
class Node:
    id: strawberry.ID = strawberry.field(description="Key of the row, a UUIDv7.")


class NodeSpec(CompiledRoot):
    """The root field that gives a row by its id."""


def node() -> StrawberryField:
    """The root field `node`."""
    field: StrawberryField = strawberry.field(
        description="The row with this id, of whatever type: say what you want of it by `... on Incident { … }`. Null "
        "where there is none that you may see.",
        metadata={SPEC: NodeSpec()},
    )
    field.python_name = field.name = "node"
    field.type_annotation = StrawberryAnnotation(Node | None)
    field.arguments = [
        StrawberryArgument(
            python_name="id",
            graphql_name=None,
            type_annotation=StrawberryAnnotation(strawberry.ID),
            description="Its id.",
        )
    ]
    return field
