"""What the bodies of mutations have in common: who may begin, which row is meant, and that it is held."""

from __future__ import annotations

import uuid
from typing import Any, Final

from sqlalchemy import Table, select

from schema.compiler.writes import Change
from schema.errors import BadUserInput, NotFound, Unauthenticated

REPEATED: Final = (
    "Your own key for this change, such as a UUID: sent again with the same input it changes nothing more."
)
"""What the API says of `clientMutationId`."""


def signed_in(change: Change) -> str:
    """The id of who changes something. Raises Unauthenticated for the public."""
    if change.person is None:
        raise Unauthenticated
    return change.person


def id_of(value: Any, place: str, of: str) -> uuid.UUID:
    """An id that was sent at a `place` in the input. Raises BadUserInput, naming what it should be the id `of`."""
    try:
        return uuid.UUID(str(value))
    except ValueError as error:
        raise BadUserInput(f"{place} is no id: send the `id` of {of}") from error


async def seen(change: Change, table: Table, value: Any, place: str, of: str) -> uuid.UUID:
    """The id of a row that the caller sees. Raises BadUserInput and NotFound, naming the place in the input."""
    key = id_of(value, place, of)
    if not await change.rows(select(table.c.id).where(table.c.id == key)):
        raise NotFound(f"{place}: there is no such row, or you may not see it; send the `id` of {of}")
    return key


async def locked(change: Change, table: Table, key: uuid.UUID, *columns: Any) -> list[Any]:
    """A row that the caller may change, held for this change; nothing where they may not, or do not see it. Looked for
    first: whoever sees none of a table may not lock any row of it, and must not be answered otherwise for that."""
    if not await change.rows(select(table.c.id).where(table.c.id == key)):
        return []
    return await change.rows(select(*columns).where(table.c.id == key).with_for_update())
