"""Brings the county's own table of its units into a database, and shows the units of today."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors, sql

from hub.county.files import FOLDER, TABLES, Row, read
from hub.database.ground import OWNER, MigrationFailed

Say = Callable[[str], None]


class CountyRefused(MigrationFailed):
    """The county's files and the database say different things; the message names the row."""


def load_county(owner_url: str, say: Say = lambda sentence: None, *, folder: Path = FOLDER) -> None:
    """Add the facts that the database lacks, close those that the files close, refresh what maps read. All or nothing.

    Idempotent. A fact that the county closed by itself stays closed; one that differs in any other way is refused,
    because facts are never overwritten.
    """
    added = closed = 0
    with psycopg.connect(owner_url, application_name="hub county") as connection:
        connection.execute(f"set local role {OWNER}")
        ids = {
            **{f"area {row['code']}": row["id"] for row in read("areas", folder)},
            **{f"source {row['slug']}": row["id"] for row in read("sources", folder)},
        }
        for table in TABLES:
            for row in read(table, folder):
                try:
                    one_added, one_closed = _bring(connection, table, _as_columns(table, row, ids))
                except errors.IntegrityError as error:
                    raise CountyRefused(
                        _told(table, row, str(error.diag.message_primary), error.diag.message_detail)
                    ) from error
                added += one_added
                closed += one_closed
        # The county's day, whatever zone the server keeps.
        connection.execute("select refresh_areas((now() at time zone 'Africa/Nairobi')::date)")
        units = connection.execute(
            "select (select count(*) from sub_counties), (select count(*) from wards), (select count(*) from waters)"
        ).fetchone()
        assert units is not None
    news = f"{added} facts added, {closed} closed" if added or closed else "nothing new"
    say(f"County: {units[0]} sub-counties, {units[1]} wards, {units[2]} water ({news})")


def _as_columns(table: str, row: Row, ids: dict[str, str]) -> dict[str, Any]:
    """A row of a file as columns of its table."""
    columns = dict(row)
    for name in ("area", "parent", "county"):
        if name in columns:
            columns[f"{name}_id"] = _known(ids, f"area {columns.pop(name)}", table, row)
    if "source" in columns:
        columns["source_id"] = _known(ids, f"source {columns.pop('source')}", table, row)
    if "from" in columns:
        columns["valid"] = f"[{columns.pop('from')},{columns.pop('until') or ''})"
    if "longitude" in columns:
        columns["location"] = (float(columns.pop("longitude")), float(columns.pop("latitude")))
    return columns


def _known(ids: dict[str, str], name: str, table: str, row: Row) -> str:
    if name not in ids:
        raise CountyRefused(_told(table, row, f"there is no {name}"))
    return ids[name]


def _bring(connection: psycopg.Connection, table: str, row: dict[str, Any]) -> tuple[int, int]:
    """Add a row or find it there; the numbers of rows added and closed."""
    target = sql.Identifier(table)
    values = {name: _value(name, value) for name, value in row.items()}
    names = sql.SQL(", ").join(map(sql.Identifier, values))
    given = sql.SQL(", ").join(values.values())
    insert = sql.SQL("insert into {} ({}) values ({}) on conflict (id) do nothing").format(target, names, given)
    if connection.execute(insert).rowcount:
        return 1, 0
    this = sql.SQL("id = {}").format(values["id"])
    compare = sql.SQL("select {}, ({}) is not distinct from ({}) from {} where {}")
    if _one(connection, compare.format(sql.SQL("null"), names, given, target, this))[1]:
        return 0, 0
    closed = 0
    for name, value in values.items():
        column = sql.Identifier(name)
        there, same = _one(connection, compare.format(sql.SQL("{}::text").format(column), column, value, target, this))
        if same:
            continue
        change = sql.SQL("update {} set {} = {} where {}").format(target, column, value, this)
        if table in ("sources", "landmarks"):
            # No facts about the county but words about a publication, or about where: those may be put better.
            connection.execute(change)
        elif name == "valid" and _closes(there, row[name]):
            connection.execute(change)
            closed = 1
        elif not (name == "valid" and _closes(row[name], there)):
            raise CountyRefused(
                _told(table, row, f"{name} differs from what the database has", "a fact is closed, never overwritten")
            )
    return 0, closed


def _one(connection: psycopg.Connection, statement: sql.Composed) -> tuple[Any, ...]:
    row = connection.execute(statement).fetchone()
    assert row is not None
    return row


def _value(name: str, value: Any) -> sql.Composable:
    """A value as SQL takes it; coordinates in the file's own digits, so that they are the same every time."""
    if name == "boundary":
        return sql.SQL("st_geomfromgeojson({})").format(json.dumps(value))
    if name in ("label_point", "location"):
        return sql.SQL("st_point({}, {}, 4326)").format(*value)
    return sql.Literal(value)


def _closes(open_: str, end: str) -> bool:
    """Whether the second range is the first, open one with an end."""
    return open_.endswith(",)") and not end.endswith(",)") and open_.split(",")[0] == end.split(",")[0]


def _told(table: str, row: Row, what: str, why: str | None = None) -> str:
    return f"hub/county, {table} {row['id']}: {what}{f' ({why})' if why else ''}. Nothing was changed."
