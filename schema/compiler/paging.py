"""Connections: keyset pages over an ordered list, never OFFSET.

A cursor is the order's values of a row and the row's id, beside a digest of what was ordered and filtered: a cursor of
another list is refused. It is input, not a right: whoever sends one sees only the rows that are theirs.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final, Generic, TypeVar

import strawberry

from schema.errors import BadUserInput

T = TypeVar("T")

DEFAULT_PAGE: Final = 50
MAX_CURSOR_LENGTH: Final = 4096


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether rows come after this page.")
    has_previous_page: bool = strawberry.field(description="Whether rows come before this page.")
    start_cursor: str | None = strawberry.field(description="Cursor of the page's first row; null when it is empty.")
    end_cursor: str | None = strawberry.field(description="Cursor of the page's last row; null when it is empty.")


@strawberry.type(description="A row with its place in the list.")
class Edge(Generic[T]):
    cursor: str = strawberry.field(description="This row's place: send it as `after` or `before`.")
    node: T = strawberry.field(description="The row.")
    distance_meters: float | None = strawberry.field(
        description="Metres from the place that the list is ordered by the distance from (the first, where `orderBy` "
        "names several); null in any other order, and where the row has no such shape."
    )


@strawberry.type(description="A page of a list.")
class Connection(Generic[T]):
    total_count: int = strawberry.field(
        description="Rows in the whole list under the same filter. Counted only when it is selected."
    )
    nodes: list[T] = strawberry.field(description="The page's rows.")
    edges: list[Edge[T]] = strawberry.field(description="The page's rows with a cursor each.")
    page_info: PageInfo = strawberry.field(description="Where this page stands in its list.")


def decode_cursor(text: str, digest: str, keys: int, place: str) -> list[Any]:
    """The order's values in a cursor. Refuses what is no cursor, or one of another list."""
    try:
        if len(text) > MAX_CURSOR_LENGTH:
            raise ValueError("too long")
        values = json.loads(base64.b64decode(text.encode("ascii"), validate=True))
        if not isinstance(values, list) or not values or not isinstance(values[0], str):
            raise ValueError("not a cursor")
    except (ValueError, binascii.Error, RecursionError) as error:
        raise BadUserInput(f"{place}: this is no cursor; send one that a page of this list gave") from error
    if values[0] != digest or len(values) != keys + 1:
        raise BadUserInput(
            f"{place}: this cursor belongs to a list with another order or filter; start again without it"
        )
    return values[1:]
