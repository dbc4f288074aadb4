"""An entity inside an ordinary resolver's answer: `signIn { person { … } }`, read by a statement of its own."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import strawberry
from graphql.execution.values import VariableValues

from schema.compiler.execution import CompiledSchema, Finished
from schema.compiler.render import render
from schema.compiler.selection import Request, select_field

FetchJson = Callable[[str, Sequence[Any]], Awaitable[Sequence[bytes]]]


async def as_root(info: strawberry.Info, root: str, fetch_json: FetchJson) -> Any:
    """What is selected below the field that is being resolved, as the root field `root` (which takes no arguments)
    answers it. Resolvers give it back as it is."""
    raw = info._raw_info
    schema: CompiledSchema = raw.schema.extensions["strawberry-definition"]
    # Strawberry hands resolvers the coerced values only; where each came from matters to no scalar of ours.
    variables = VariableValues({}, cast("dict[str, Any]", raw.variable_values))
    request = Request(raw.schema, raw.operation, raw.fragments, variables)
    query = raw.schema.query_type
    assert query is not None
    selected = select_field(request, raw.parent_type, str(raw.path.key), list(raw.field_nodes))
    selected = dataclasses.replace(selected, name=root, field=query.fields[root])
    limits = info.context.limits
    statement = render(schema.mapping, [selected], limits)
    schema.check_cost(statement, variables, limits)
    (answer,) = await fetch_json(statement.sql, statement.parameters(variables))
    value = json.loads(answer)
    return None if value is None else Finished(value)
