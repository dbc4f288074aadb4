"""Writes: a body changes rows as the caller in one transaction, and the payload is read back by the compiler in it.

    @write
    async def report_incident(
        change: Change, input: Annotated[ReportIncidentInput, strawberry.argument(description="…")]
    ) -> ReportIncidentPayload:
        '''Report an incident.'''
        …
        return {"incident": id}

The body returns the ids of the payload's entities by field name (and values for its other fields). Two statements, not
one: in one, nested reads would miss the new row. Under a `clientMutationId` a write happens once: asked again with the
same input it changes nothing and reads the same objects, with other input it is CONFLICT.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any, Protocol, get_type_hints

import strawberry
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Executable
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.field import StrawberryField
from strawberry.utils.str_converters import to_camel_case

from schema.compiler.mapping import SPEC, arguments_of, described
from schema.compiler.values import storable
from schema.errors import BadUserInput, Conflict

MAX_KEY = 200


class Change(Protocol):
    """An open transaction that acts as the caller."""

    @property
    def person(self) -> str | None:
        """Id of the caller; None for the public."""

    @property
    def roles(self) -> frozenset[str]:
        """Roles that the caller holds."""

    async def rows(self, statement: Executable) -> list[Any]:
        """Run a statement; the rows that it returns, by column name."""

    async def fetch_json(self, sql: str, parameters: list[Any]) -> tuple[bytes, ...]:
        """Run a compiled read."""

    async def claim(self, key: str, digest: bytes) -> dict[str, Any] | None:
        """Take a `clientMutationId`: None when it is new, else what the first write left. Raises Conflict for other
        input."""

    async def settle(self, key: str, members: dict[str, Any]) -> None:
        """Leave what a repetition of this write has to find."""


class Transactions(Protocol):
    """What a write needs from its context."""

    def change(self) -> AbstractAsyncContextManager[Change]:
        """A transaction as the caller: committed when the block ends, undone when it raises."""


@dataclass(frozen=True)
class WriteSpec:
    """A root field of the mutations: `body(change, **arguments)`."""

    body: Callable[..., Awaitable[dict[str, Any]]]


def write(body: Callable[..., Any]) -> StrawberryField:
    """Declare a mutation; its docstring describes it, its return annotation is the payload."""
    field: StrawberryField = strawberry.field(description=described(body), metadata={SPEC: WriteSpec(body)})
    field.python_name = field.name = body.__name__
    field.type_annotation = StrawberryAnnotation(get_type_hints(body)["return"])
    field.arguments = arguments_of(body)
    return field


async def once(
    change: Change, name: str, body: Callable[..., Awaitable[dict[str, Any]]], arguments: dict[str, Any]
) -> dict[str, Any]:
    """Run a write's body, once under its `clientMutationId`."""
    for argument, value in arguments.items():
        _check_texts(value, argument)
    key = getattr(arguments.get("input"), "client_mutation_id", None)
    if not isinstance(key, str):
        return await body(change, **arguments)
    if not 0 < len(key) <= MAX_KEY:
        raise BadUserInput(f"input.clientMutationId has {len(key)} characters: send 1 to {MAX_KEY}")
    digest = hashlib.sha256(json.dumps([name, _plain(arguments)], sort_keys=True).encode()).digest()
    before = await change.claim(key, digest)
    if before is not None:
        return before
    members = await body(change, **arguments)
    await change.settle(key, members)
    return members


def _check_texts(value: Any, place: str) -> None:
    """Refuse what could not be stored in any field of an input, before anything is written."""
    if isinstance(value, str):
        storable(value, place)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            _check_texts(getattr(value, field.name), f"{place}.{to_camel_case(field.name)}")
    elif isinstance(value, (list, tuple)):
        for at, item in enumerate(value):
            _check_texts(item, f"{place}[{at}]")


def _plain(value: Any) -> Any:
    """An input as JSON, the same for the same input."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if value is strawberry.UNSET:
        return None
    if isinstance(value, BaseGeometry):
        return value.wkt
    return value


def stale(expected: int | None, actual: int, shown: dict[str, Any]) -> None:
    """Refuse a change that was made on an older version; both are shown."""
    if expected is not None and expected != actual:
        raise Conflict(
            f"input.expectedVersion is {expected}, but the object is at version {actual}: read it again first.",
            expectedVersion=expected,
            version=actual,
            present=shown,
        )
