"""The GraphQL door over HTTP: POST of JSON in, JSON out. What an operation may ask is counted in `schema`, not here."""

from __future__ import annotations

import json
import logging
import re
import secrets
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import Any

import asyncpg
from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError

from hub import documents
from hub.database.session import Sessions, Transaction
from hub.identity import Caller
from hub.identity.door import Visit, visit_of
from hub.keeping import ENTRY_BYTES, Keeper
from hub.plans import explained
from hub.settings import Limits, Settings
from hub.sql import readable
from hub.watch import figures, traces
from hub.watch.statements import AT_WORK, fingerprint
from schema.api import schema
from schema.compiler.execution import BYTES_FOR_CHARACTER, Prepared, Raw
from schema.compiler.kept import Kept
from schema.compiler.statements import Statement
from schema.errors import ANSWERS, STATUS, BadUserInput, Forbidden, HubError, Internal, Unauthenticated

log = logging.getLogger(__name__)

RETRY_SECONDS = 1

KEPT_REQUESTS = 64 * 1024 * 1024
"""Bytes of requests that are kept with what they were compiled to, as if each had its document for itself."""
BYTES_FOR_BYTE = 20
"""Memory of a request's values, for each byte of it."""

STAMPED = frozenset(("counties", "sub_counties", "wards"))
"""Tables that seldom change: answers that are made from them alone are kept, for as long as they are as they were."""

_REQUEST_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
"""As nginx, Envoy and others make them: nothing that a person would be called or dialled by."""


class _Step:
    """Around the work of a step: how long it takes. Plain methods, because every request goes through four of them."""

    __slots__ = ("_begun", "_name", "_span", "_steps")

    def __init__(self, name: str, steps: dict[str, float]) -> None:
        self._name = name
        self._steps = steps
        self._span = traces.span(name) if traces.tracing() else None

    def __enter__(self) -> None:
        if self._span is not None:
            self._span.__enter__()
        self._begun = perf_counter()

    def __exit__(self, *raised: Any) -> None:
        seconds = perf_counter() - self._begun
        self._steps[self._name] = self._steps.get(self._name, 0.0) + seconds * 1000
        figures.took(figures.STEP_SECONDS, self._name, seconds)
        if self._span is not None:
            self._span.__exit__(*raised)


@dataclass
class Context:
    """What an operation runs with; see `schema.compiler.execution.Context`."""

    limits: Limits
    caller: Caller
    sessions: Sessions
    visit: Visit | None = None
    request: str = ""
    """The id that a proxy gave the request."""
    operation: str = ""
    cost: int | None = None
    answers: Keeper[Sequence[bytes]] | None = None
    """Where answers are kept that seldom change; None: each is made anew."""
    steps: dict[str, float] = field(default_factory=dict)
    """Milliseconds by step, for Server-Timing."""

    def step(self, name: str) -> _Step:
        return _Step(name, self.steps)

    def change(self) -> AbstractAsyncContextManager[Transaction]:
        if self.caller.seen_by:
            raise Forbidden("You are looking at what others see: be yourself again to change something.")
        return self.sessions.change(self.caller)

    async def fetch_json(self, statement: Statement, parameters: Sequence[Any]) -> Sequence[bytes]:
        async def ask() -> Sequence[bytes]:
            return await self.sessions.fetch_json(self.caller, statement.sql, parameters, one_plan=statement.one_plan)

        with self.step("database"):
            if self.answers is None or not statement.tables or not STAMPED.issuperset(statement.tables):
                return await ask()
            asked = [tuple(each) if isinstance(each, list) else each for each in parameters]
            return await self.answers.kept("answer", statement.tables, (statement.sql, *asked), self.caller, ask)

    async def sign_in(self, name: str, password: str) -> Signed:
        assert self.visit is not None, "only a request can sign in"
        signed = await self.visit.sign_in(name, password)
        return Signed(signed.token, signed.expires_at, signed.presence.caller, self.sessions)

    async def sign_out(self) -> bool:
        return self.visit is not None and await self.visit.sign_out()


@dataclass(frozen=True)
class Signed:
    """Somebody who has just signed in; see `schema.people.Signed`."""

    token: str
    expires_at: datetime
    caller: Caller
    sessions: Sessions

    async def fetch_json(self, sql: str, parameters: Sequence[Any]) -> Sequence[bytes]:
        return await self.sessions.fetch_json(self.caller, sql, parameters)


@dataclass
class Asked:
    """A GraphQL request's body."""

    query: str
    variables: dict[str, Any] | None
    operation_name: str | None
    body: bytes = b""
    """What it was read from, where the same bytes mean the same; empty: it came otherwise."""
    prepared: Prepared | None = None
    """What it was compiled to, where an equal request was answered before."""


_ASKED: Kept[tuple[Asked, Limits]] = Kept(KEPT_REQUESTS)
"""Requests that were prepared, by their bytes: pages and maps send the same again and again."""


class Refused(Exception):
    """A request that is no GraphQL request, with its HTTP status."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.response = JSONResponse(
            {"errors": [{"message": message, "extensions": {"code": "BAD_USER_INPUT"}}]},
            status,
            {"cache-control": "no-store", **headers},
        )


async def answer(request: Request) -> Response:
    """POST /graphql."""
    begun = perf_counter()
    settings: Settings = request.app.state.settings
    try:
        asked, visit = await read_request(request, again=True)
    except Refused as refusal:
        return refusal.response
    except HubError as error:
        return turned_away(error)
    context = Context(settings.limits, visit.caller, request.app.state.sessions, visit, request_id(request.headers))
    context.answers = request.app.state.answers
    data, errors = await execute(asked, context)
    status = STATUS[errors[0]["extensions"]["code"]] if data is None and errors else 200
    body, headers = encode(data, errors), {"cache-control": "no-store"}
    if status in (429, 503):
        headers["retry-after"] = str(errors[0]["extensions"].get("retryAfter", RETRY_SECONDS))
    total = perf_counter() - begun
    figures.took(figures.STEP_SECONDS, "total", total)
    if settings.server.shows_statements:
        context.steps["total"] = total * 1000
        headers["server-timing"] = ", ".join(f"{step};dur={ms:.2f}" for step, ms in context.steps.items())
    response = Response(body, status, headers, "application/json")
    for each in visit.cookies:
        response.headers.append("set-cookie", each)
    return response


async def read_request(request: Request, *, again: bool = False) -> tuple[Asked, Visit]:
    """What is asked, and by whom; see `read_body`. Raises Refused or HubError."""
    settings: Settings = request.app.state.settings
    asked = await read_body(request, settings.limits, again=again)
    return asked, await visit_of(request)


async def execute(asked: Asked, context: Context) -> tuple[Any, list[dict[str, Any]]]:
    """Data and errors of a query or a mutation, whichever door it came by."""
    before = AT_WORK.set(context)
    with traces.span("operation") as span:
        try:
            data, errors = await _executed(asked, context)
        finally:
            AT_WORK.reset(before)
        code = errors[0]["extensions"]["code"] if errors else "OK"
        count_operation(context, code)
        if span is not None:
            span.set_attributes({"graphql.operation.name": context.operation, "hub.code": code})
    return data, errors


async def _executed(asked: Asked, context: Context) -> tuple[Any, list[dict[str, Any]]]:
    try:
        prepared = asked.prepared
        if prepared is None:
            prepared = schema.prepare(asked.query, asked.variables, asked.operation_name, context)
            if prepared is not None and asked.body:
                _keep(asked, prepared, context.limits)
        if prepared is not None:
            return await schema.read(prepared, context), []
    except HubError as error:
        return None, [as_answer(error)]
    except Exception as error:  # noqa: BLE001 - as graphql-core does: the caller learns its number, the log the rest
        return None, [as_answer(GraphQLError("", original_error=error))]
    try:
        result = await schema.execute(
            asked.query,
            variable_values=asked.variables,
            context_value=context,
            operation_name=asked.operation_name,
        )
    except (CannotGetOperationTypeError, InvalidOperationTypeError):
        return None, [as_answer(BadUserInput("operationName: say which of the document's operations is meant"))]
    return result.data, [as_answer(error) for error in result.errors or ()]


def _keep(asked: Asked, prepared: Prepared, limits: Limits) -> None:
    weight = BYTES_FOR_BYTE * len(asked.body) + BYTES_FOR_CHARACTER * len(asked.query) + len(prepared.statement.sql)
    _ASKED.put((asked.body, id(limits)), (Asked("", None, asked.operation_name, prepared=prepared), limits), weight)


def count_operation(context: Context, code: str) -> None:
    """Count an operation by its name, if that is one of the known."""
    figures.count(figures.OPERATIONS, figures.operation(context.operation), code)


def subscribed(asked: Asked, context: Context) -> None:
    """Count a subscription that begins, and let what this task asks of the database from now on be known as its."""
    context.operation = schema.name_of(asked.query, asked.operation_name, context.limits)
    AT_WORK.set(context)
    count_operation(context, "OK")


def request_id(headers: Mapping[str, str]) -> str:
    """The id that a proxy gave a request, if it looks like one: what else stands in the header is the caller's."""
    said = headers.get("x-request-id", "")
    return said if _REQUEST_ID.fullmatch(said) else ""


def turned_away(error: HubError | GraphQLError) -> Response:
    """The answer to a request of which nothing was run: its caller is in doubt, or it is refused as it stands."""
    told = as_answer(error)
    status = STATUS[told["extensions"]["code"]]
    body = _json({"data": None, "errors": [told]})  # a message may repeat letters that no encoding has
    response = Response(body, status, {"cache-control": "no-store"}, "application/json")
    for name, value in getattr(error, "headers", ()):
        response.headers.append(name, value)
    if status in (429, 503):
        response.headers["retry-after"] = str(told["extensions"].get("retryAfter", RETRY_SECONDS))
    return response


async def statement(request: Request) -> Response:
    """POST /graphql/sql: the statement that would answer, without running it."""

    async def told(made: Statement, parameters: list[Any]) -> dict[str, Any]:
        return {
            "statement": readable(made.sql),
            "fingerprint": fingerprint(made.sql),
            "parameters": [_shown(value) for value in parameters],
        }

    return await _of_a_statement(request, told)


async def explain(request: Request) -> Response:
    """POST /graphql/explain: how PostgreSQL goes about the statement, run as the caller; see `plans`."""

    async def told(made: Statement, parameters: list[Any]) -> dict[str, Any]:
        visit = await visit_of(request)
        if visit.presence is None:
            raise Unauthenticated("Sign in to see how PostgreSQL goes about it.")
        return await explained(request.app.state.sessions, visit.caller, made.sql, parameters)

    return await _of_a_statement(request, told)


async def _of_a_statement(
    request: Request, told: Callable[[Statement, list[Any]], Awaitable[dict[str, Any]]]
) -> Response:
    """What there is to tell of the statement that an operation becomes, where statements are shown."""
    settings: Settings = request.app.state.settings
    if not settings.server.shows_statements:
        return JSONResponse({"errors": [{"message": "Statements are not shown here (HUB_STATEMENTS)."}]}, 404)
    try:
        asked = await read_body(request, settings.limits)
        made, parameters = schema.compiled(asked.query, asked.variables, asked.operation_name, settings.limits)
        answered = await told(made, parameters)
    except Refused as refusal:
        return refusal.response
    except (HubError, GraphQLError) as error:
        return turned_away(error)
    except asyncpg.PostgresError as error:
        return turned_away(GraphQLError("", original_error=error))
    return Response(_json(answered), 200, {"cache-control": "no-store"}, "application/json")


def _shown(value: Any) -> str:
    return repr(value) if not isinstance(value, bytes) else f"<{len(value)} bytes of well-known binary>"


async def read_body(request: Request, limits: Limits, *, again: bool = False) -> Asked:
    """The request's body, refused by type, size and form before anything else looks at it. `again`: of a body that was
    prepared before nothing but that is wanted."""
    media_type, _, options = request.headers.get("content-type", "").partition(";")
    letters = re.search(r'charset\s*=\s*"?([^\s;"]*)', options, re.IGNORECASE)
    if media_type.strip().lower() != "application/json" or (letters and letters[1].lower() != "utf-8"):
        raise Refused(
            415, 'Send the operation as application/json: {"query": "…", "variables": {…}}.', accept="application/json"
        )
    declared = request.headers.get("content-length", "0")
    too_large = f"The body is over {limits.max_body_bytes:,} bytes (HUB_MAX_BODY_BYTES)."
    if declared.isdigit() and int(declared) > limits.max_body_bytes:
        raise Refused(413, too_large)
    body, more = b"", True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "The request ended before its body did.")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > limits.max_body_bytes:
            raise Refused(413, too_large)
    known = _ASKED.get((body, id(limits))) if again else None
    if known is not None:
        return known[0]
    try:
        parsed = read_json(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"The body is no JSON: {error}") from error
    if isinstance(parsed, list):
        raise Refused(400, "One operation a request: a list of them is not taken.")
    if not isinstance(parsed, dict):
        raise Refused(400, "The body must be a JSON object with query, variables and operationName.")
    asked = read_operation(parsed, limits)
    if "documentId" not in parsed:  # the documents that are kept may be others tomorrow
        asked.body = body
    return asked


def read_operation(parsed: dict[str, Any], limits: Limits) -> Asked:
    """What is asked in a request's JSON, or in the payload of a websocket's `subscribe`."""
    query, variables, name = parsed.get("query"), parsed.get("variables"), parsed.get("operationName")
    if "documentId" in parsed:
        query = _kept(parsed, limits)
    if not isinstance(query, str) or not query.strip():
        raise Refused(400, "query is missing: send the operation's text.")
    if variables is not None and not isinstance(variables, dict):
        raise Refused(400, "variables must be a JSON object.")
    if name is not None and not isinstance(name, str):
        raise Refused(400, "operationName must be a text.")
    return Asked(query, variables, name or None)


def _kept(parsed: dict[str, Any], limits: Limits) -> str:
    """The document that a request names by its id."""
    id_ = parsed["documentId"]
    if parsed.get("query") is not None:
        raise Refused(400, "Send query or documentId, one of them.")
    if limits.documents is None:
        raise Refused(400, "documentId: this hub keeps no documents (HUB_DOCUMENTS): send the operation as query.")
    text = documents.kept(limits.documents).get(id_) if isinstance(id_, str) else None
    if text is None:
        raise Refused(400, "documentId: no document that this hub keeps has this id.")
    return text


def read_json(text: str) -> Any:
    """JSON as the specification has it: NaN and Infinity are none. Raises ValueError, or RecursionError for a bomb."""
    return _JSON.decode(text)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


_JSON = json.JSONDecoder(parse_constant=_no_constant)


def as_answer(error: HubError | GraphQLError) -> dict[str, Any]:
    """An error as the caller sees it: message, place and `extensions.code`; of the unexpected only a number."""
    cause = error if isinstance(error, HubError) else error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    told: dict[str, Any] = dict(error.formatted) if isinstance(error, GraphQLError) else {"message": str(error)}
    if isinstance(cause, HubError):
        code, details = _code(cause), cause.details
    elif cause is None or (
        isinstance(cause, ValueError) and isinstance(error, GraphQLError) and error.nodes and not error.path
    ):
        # The document or its variables do not fit the schema: such an error names its place in the document.
        code, details = "BAD_USER_INPUT", {}
    else:
        number = secrets.token_hex(4)
        # Where it broke, not with which values: messages of drivers and parsers repeat what the caller sent.
        log.error("number %s: %s\n%s", number, type(cause).__name__, "".join(traceback.format_tb(cause.__traceback__)))
        code, details = ANSWERS[Internal][0], {"number": number}
        told = {"message": f"{Internal()} Number: {number}."}
    figures.count(figures.REFUSALS, code)
    return {**told, "extensions": {"code": code, **details}}


def _code(error: HubError) -> str:
    return next(ANSWERS[kind][0] for kind in type(error).__mro__ if kind in ANSWERS)


def weight(answer: Sequence[bytes]) -> int:
    """What a kept answer takes, with the statement that it is found by."""
    return sum(map(len, answer)) + 5 * ENTRY_BYTES


def encode(data: Any, errors: list[dict[str, Any]]) -> bytes:
    """The answer's bytes. What was compiled is JSON already and goes through as it is."""
    parts = [b'{"data":']
    if isinstance(data, Raw):
        opening = b"{"
        for key, value in data.members.items():
            parts += [opening, b'"', key.encode(), b'":', value if isinstance(value, bytes) else _json(value)]
            opening = b","
        parts.append(b"}")
    else:
        parts.append(_json(data))
    if errors:
        parts += [b',"errors":', _json(errors)]
    parts.append(b"}")
    return b"".join(parts)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
