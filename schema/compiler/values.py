"""From a GraphQL value to what the database driver binds, refused where no column could hold it."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from sqlalchemy import types as sqltypes

from schema.errors import BadUserInput

MAX_EXPONENT = 300
MAX_BITS = 1000
"""A forged cursor's `1e9999999` is short to write and long to work with, or too large for a float."""

LARGEST_SINGLE = 3.4028234663852886e38


def storable(text: str, place: str) -> str:
    """The text, refused where it holds what PostgreSQL cannot: a NUL, or half of a surrogate pair."""
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise BadUserInput(f"{place}: the text holds a character that no database can store (NUL or half a pair)")
    return text


def converter(type_: Any, place: str) -> Callable[[Any], Any]:
    """The function that turns values for a column of this type into what the driver binds. A cursor's values are text
    where JSON has no form of its own for them."""

    def text(value: Any) -> str:
        if not isinstance(value, str):
            raise BadUserInput(f"{place}: a text is expected")
        return storable(value, place)

    def key(value: Any) -> uuid.UUID:
        try:
            return uuid.UUID(str(value))
        except ValueError as error:
            raise BadUserInput(f"{place}: an id looks like 0190b4a2-7c1e-7d3a-9f00-1b2c3d4e5f60") from error

    def number(value: Any) -> Any:
        made = value
        if isinstance(value, str):
            try:
                made = Decimal(value)  # to the last digit: a page begins right after its cursor
            except ArithmeticError:
                made = math.nan
        match made:
            case bool():
                fits = False
            case int():
                fits = made.bit_length() <= MAX_BITS
            case float():
                fits = math.isfinite(made)
            case Decimal():
                fits = made.is_finite() and abs(made.adjusted()) <= MAX_EXPONENT
            case _:
                fits = False
        if not fits:
            raise BadUserInput(f"{place}: a finite number is expected")
        return made

    def whole(value: Any) -> int:
        bits = 64 if isinstance(type_, sqltypes.BigInteger) else 32
        made = int(number(value))
        if not -(1 << bits - 1) <= made < 1 << bits - 1:
            raise BadUserInput(f"{place}: a whole number of at most {bits} bits is expected")
        return made

    def single(value: float) -> float:
        # Beyond what a column of this type can hold, and on the same side of all that it does hold.
        return value if abs(value) <= LARGEST_SINGLE else math.copysign(math.inf, value)

    def exact(value: Any) -> Decimal:
        return Decimal(str(number(value)))  # not Decimal(38.3), which is 38.2999999999999971578

    def moment(value: Any) -> Any:
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError as error:
                raise BadUserInput(f"{place}: a time is expected") from error
        return value if value.tzinfo else value.replace(tzinfo=UTC)

    def day(value: Any) -> Any:
        if isinstance(value, str):
            try:
                return datetime.fromisoformat(value).date()
            except ValueError as error:
                raise BadUserInput(f"{place}: a day is expected") from error
        return value

    match type_:
        case sqltypes.Uuid():
            return key
        case sqltypes.Integer():
            return whole
        case sqltypes.REAL():
            return lambda value: single(float(number(value)))
        case sqltypes.Float():
            return lambda value: float(number(value))
        case sqltypes.Numeric():
            return exact
        case sqltypes.DateTime():
            return moment
        case sqltypes.Date():
            return day
        case sqltypes.Boolean():
            return bool
        case _:
            return lambda value: text(value.value if isinstance(value, Enum) else value)
