"""A refusal of an outlet, in the shape of GraphQL's; of what nobody foresaw only a number."""

from __future__ import annotations

import asyncpg
from graphql import GraphQLError
from starlette.responses import JSONResponse, Response

from hub.graphql import RETRY_SECONDS, as_answer
from schema.errors import STATUS, HubError


def refusal(error: HubError | GraphQLError | asyncpg.PostgresError) -> Response:
    told = as_answer(GraphQLError("", original_error=error) if isinstance(error, asyncpg.PostgresError) else error)
    status = STATUS[told["extensions"]["code"]]
    response = JSONResponse({"errors": [told]}, status, {"cache-control": "no-store"})
    for name, value in getattr(error, "headers", ()):
        response.headers.append(name, value)
    if status in (429, 503):
        response.headers["retry-after"] = str(told["extensions"].get("retryAfter", RETRY_SECONDS))
    return response
