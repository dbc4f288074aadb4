"""Columns that many tables have, declared once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, Integer, Text, Uuid, func, text


def key() -> Column[Any]:
    """The primary key: a UUIDv7 that the database makes, never used again."""
    return Column("id", Uuid, primary_key=True, server_default=func.uuidv7())


def origin() -> tuple[Column[Any], Column[Any]]:
    """Which hub made a row, and how often it was changed since."""
    return (
        Column("node", Text, nullable=False, server_default=text("'county'::text")),
        Column("version", Integer, nullable=False, server_default=text("1")),
    )


def demonstration() -> Column[Any]:
    """True where the row is made up."""
    return Column("demonstration", Boolean, nullable=False, server_default=text("false"))
