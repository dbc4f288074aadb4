"""`hub load vehicles FILE`: a department's list of vehicles, looked at row by row before any of it is written.

A list is CSV (UTF-8, comma or semicolon) or XLSX (its first sheet), with a head that names columns: `plate` and `kind`
must be there; `call_sign`, `status` and `department` may. Plates are the key: a known one is changed where the list
says otherwise, a new one added. Either the whole list is written or none of it.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from schema.fleet import VehicleKind, VehicleStatus

COLUMNS: Final = ("plate", "kind", "call_sign", "status", "department")
NEEDED: Final = ("plate", "kind")
MOST_ROWS: Final = 20_000
MOST_BYTES: Final = 20 * 1024 * 1024

_PLATE = re.compile(r"[A-Z0-9][A-Z0-9 -]{1,14}[A-Z0-9]")
_KINDS = {str(kind.value) for kind in VehicleKind}
_STATUSES = {str(status.value) for status in VehicleStatus}


class CannotLoad(ValueError):
    """The file as a whole cannot be read; the sentence says why, and what would be right."""


@dataclass(frozen=True)
class Row:
    """A vehicle of the list, as the database would have it. None: the list does not say."""

    number: int
    """Its row in the file, the head being row 1."""
    plate: str
    kind: str
    call_sign: str | None = None
    status: str | None = None
    department: str | None = None


@dataclass
class Report:
    """What a list would do."""

    added: list[Row] = field(default_factory=list)
    changed: list[tuple[Row, list[str]]] = field(default_factory=list)
    """Rows, and what they change: `status: available becomes assigned`."""
    same: int = 0
    wrong: list[str] = field(default_factory=list)
    """`row 7, kind: …`: nothing is written while there is one."""


def read(path: Path) -> tuple[list[Row], list[str]]:
    """The rows of a list, and what is wrong with it, row by row. Raises CannotLoad."""
    if path.stat().st_size > MOST_BYTES:
        raise CannotLoad(f"{path} is over {MOST_BYTES // 1024**2} MB: no list of vehicles is.")
    table = _sheet(path) if path.suffix.lower() in (".xlsx", ".xlsm") else _csv(path)
    if not table:
        raise CannotLoad(f"{path} is empty: its first row names the columns, {', '.join(COLUMNS)}.")
    head = [_name(cell) for cell in table[0]]
    if unknown := [cell for cell in head if cell and cell not in COLUMNS]:
        close = get_close_matches(unknown[0], COLUMNS, 1)
        meant = f": {close[0]} is meant?" if close else f"; known are {', '.join(COLUMNS)}."
        raise CannotLoad(f"{path}, row 1: there is no column “{unknown[0]}”{meant}")
    if missing := [name for name in NEEDED if name not in head]:
        raise CannotLoad(f"{path}, row 1: the column {missing[0]} is missing.")
    if twice := {name for name in head if name and head.count(name) > 1}:
        raise CannotLoad(f"{path}, row 1: the column {min(twice)} is there twice.")
    if len(table) > MOST_ROWS:
        raise CannotLoad(f"{path} has over {MOST_ROWS:,} rows: split it.")
    rows: list[Row] = []
    wrong: list[str] = []
    seen: dict[str, int] = {}
    for number, cells in enumerate(table[1:], 2):
        said = {name: _text(cell) for name, cell in zip(head, cells, strict=False) if name}
        if not any(said.values()):
            continue
        row, flaws = _row(number, said)
        if row.plate and row.plate in seen:
            flaws.append(f"row {number}, plate: {row.plate} stands in row {seen[row.plate]} already")
        seen.setdefault(row.plate, number)
        wrong += flaws
        rows.append(row)
    return rows, wrong


def look(connection: psycopg.Connection[Any], rows: list[Row], wrong: list[str]) -> Report:
    """What the rows would add and change in the database."""
    report = Report(wrong=list(wrong))
    with connection.cursor(row_factory=dict_row) as cursor:
        there = {
            row["plate"]: row
            for row in cursor.execute(
                "select v.plate, v.kind, v.call_sign, v.status, d.name as department, v.demonstration from vehicles v "
                "left join departments d on d.id = v.department_id where v.plate = any (%s)",
                ([row.plate for row in rows],),
            )
        }
    for row in rows:
        known = there.get(row.plate)
        if known is None:
            report.added.append(row)
            continue
        said = {name: value for name in COLUMNS[1:] if (value := getattr(row, name)) is not None}
        changes = [
            f"{name}: {known[name] or 'none'} becomes {value}" for name, value in said.items() if known[name] != value
        ]
        if changes:
            report.changed.append((row, changes))
        else:
            report.same += 1
    return report


def write(connection: psycopg.Connection[Any], report: Report) -> None:
    """Write what the report says, in the connection's transaction."""
    assert not report.wrong
    for row in [*report.added, *(row for row, _ in report.changed)]:
        connection.execute(
            "with d as (insert into departments (name) "
            "select %(department)s::text where %(department)s::text is not null "
            "on conflict (name) do update set name = excluded.name returning id) "
            "insert into vehicles as v (plate, kind, call_sign, status, department_id) "
            "values (%(plate)s, %(kind)s, %(call_sign)s, coalesce(%(status)s, 'available'), (select id from d)) "
            "on conflict (plate) do update set kind = excluded.kind, "
            "call_sign = coalesce(%(call_sign)s, v.call_sign), status = coalesce(%(status)s, v.status), "
            "department_id = coalesce(excluded.department_id, v.department_id)",
            {name: getattr(row, name) for name in COLUMNS},
        )


def _row(number: int, said: dict[str, str]) -> tuple[Row, list[str]]:
    flaws = []

    def flaw(column: str, what: str) -> None:
        flaws.append(f"row {number}, {column}: {what}")

    plate = " ".join(said.get("plate", "").upper().split())
    if not plate:
        flaw("plate", "is empty")
    elif not _PLATE.fullmatch(plate):
        flaw("plate", f"{plate[:40]} is none: 3 to 16 capitals, digits, blanks and hyphens, such as KDA 123B")
    words = {}
    for column, known in (("kind", _KINDS), ("status", _STATUSES)):
        word = words[column] = re.sub(r"[\s-]+", "_", said.get(column, "").lower())
        if word and word not in known:
            close = get_close_matches(word, known, 1)
            flaw(
                column,
                f"{word[:40]} is none"
                + (f": {close[0]} is meant?" if close else f"; known: {', '.join(sorted(known))}"),
            )
    if not words["kind"]:
        flaw("kind", "is empty")
    for column, most in (("call_sign", 40), ("department", 120)):
        if said.get(column) and not 2 <= len(said[column]) <= most:
            flaw(column, f"has {len(said[column])} letters: 2 to {most} are taken")
    return (
        Row(
            number,
            plate,
            words["kind"],
            said.get("call_sign") or None,
            words["status"] or None,
            said.get("department") or None,
        ),
        flaws,
    )


def _csv(path: Path) -> list[list[Any]]:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CannotLoad(f"{path} is no UTF-8: save it as “CSV UTF-8”, or as XLSX.") from error
    if "\0" in text:
        raise CannotLoad(f"{path} is no CSV: it holds NUL bytes.")
    head = text.partition("\n")[0]
    try:
        return list(
            csv.reader(io.StringIO(text), delimiter=";" if head.count(";") > head.count(",") else ",", strict=True)
        )
    except csv.Error as error:
        raise CannotLoad(f"{path} is no CSV: {error}.") from error


def _sheet(path: Path) -> list[list[Any]]:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_path(str(path))
        return list(book.get_sheet_by_index(0).to_python(nrows=MOST_ROWS + 2))
    except (CalamineError, ValueError, IndexError, OSError) as error:
        raise CannotLoad(f"{path} is no XLSX that can be read: {error}.") from error


def _name(cell: Any) -> str:
    return re.sub(r"[\s-]+", "_", _text(cell).lower())


def _text(cell: Any) -> str:
    """A cell as text: 7.0 is what a sheet makes of a 7."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return " ".join(str("" if cell is None else cell).split())
