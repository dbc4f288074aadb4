"""Whether a database holds made-up data: one row where it does, none where the county works. See hub/demonstration."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, Table, Text, func, text

from schema.compiler.mapping import metadata

demonstrations = Table(
    "demonstrations",
    metadata,
    Column("single", Boolean, primary_key=True, server_default=text("true")),
    Column("began_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("script", Text),
    Column("title", Text),
    Column("time_of_day", Text),
    Column("caption", Text),
    Column("paused", Boolean, nullable=False, server_default=text("false")),
    Column("wish", Text),
)

ROOTS = ()
