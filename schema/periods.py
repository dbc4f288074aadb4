"""Days, weeks and hours as the county keeps them: in Kenya's time (EAT, UTC+3, no summer time)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Date, DateTime, Double, Integer, cast, func, literal_column

_ZONE: Any = literal_column("'Africa/Nairobi'")
_SECONDS_OF_A_MINUTE: Any = literal_column("60", Double)


def _there(moment: Any) -> Any:
    return func.timezone(_ZONE, moment)


def day(moment: Any) -> Any:
    """The day, midnight to midnight."""
    return cast(_there(moment), Date)


def week(moment: Any) -> Any:
    """The Monday that the week (ISO 8601) begins with."""
    return cast(func.date_trunc(literal_column("'week'"), _there(moment)), Date)


def month(moment: Any) -> Any:
    """The month's first day."""
    return cast(func.date_trunc(literal_column("'month'"), _there(moment)), Date)


def hour(moment: Any) -> Any:
    """When the hour begins."""
    begins = func.date_trunc(literal_column("'hour'"), _there(moment))
    return func.timezone(_ZONE, begins, type_=DateTime(timezone=True))


def hour_of_day(moment: Any) -> Any:
    """0 to 23."""
    return cast(func.date_part(literal_column("'hour'"), _there(moment)), Integer)


def day_of_week(moment: Any) -> Any:
    """1 (Monday) to 7 (Sunday), as ISO 8601 counts."""
    return cast(func.date_part(literal_column("'isodow'"), _there(moment)), Integer)


def minutes(begin: Any, end: Any) -> Any:
    """Minutes from one moment to another."""
    return func.date_part(literal_column("'epoch'"), end - begin, type_=Double) / _SECONDS_OF_A_MINUTE
