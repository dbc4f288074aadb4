"""Columns that many tables have, declared once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Identity, Integer, Table, Text, Uuid, func, select, text
from sqlalchemy.dialects.postgresql import TSTZRANGE

from schema.compiler.mapping import History, Moment


def key() -> Column[Any]:
    """The primary key: a UUIDv7 that the database makes, never used again."""
    return Column("id", Uuid, primary_key=True, server_default=func.uuidv7())


def origin() -> tuple[Column[Any], Column[Any]]:
    """Which hub made a row, and how often it was changed since."""
    return (
        Column("node", Text, nullable=False, server_default=text("'county'::text")),
        Column("version", Integer, nullable=False, server_default=text("1")),
    )


def versions(of: Table, name: str) -> Table:
    """The table of what the rows of another one were (migration 0016): its columns, and two stretches of time."""
    return Table(
        name,
        of.metadata,
        *(Column(column.name, column.type, nullable=column.nullable) for column in of.columns),
        Column("number", BigInteger, Identity(always=True), primary_key=True),
        Column("valid", TSTZRANGE, nullable=False),
        Column("known", TSTZRANGE, nullable=False),
    )


def as_versions(of: Table, kept: Table) -> History:
    """The history of an entity whose versions are kept."""

    def rows(moment: Moment) -> Any:
        version = kept.alias()
        named = [version.c[column.name] for column in of.columns]
        then = version.c.valid.contains(moment.as_of) & version.c.known.contains(moment.known_at)
        return select(*named).where(then)

    return History(rows, known=True)


def as_dated(of: Table, happened: str, learned: str | None = None) -> History:
    """The history of an entity whose rows are added, and stay as they are: those that were there."""

    def rows(moment: Moment) -> Any:
        row = of.alias()
        return select(row).where(row.c[happened] <= moment.as_of, row.c[learned or happened] <= moment.known_at)

    return History(rows)


def demonstration() -> Column[Any]:
    """True where the row is made up."""
    return Column("demonstration", Boolean, nullable=False, server_default=text("false"))
