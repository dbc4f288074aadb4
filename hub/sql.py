"""The statement behind an operation, made readable: `hub sql FILE.graphql` and the editor's panel."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hub.settings import Limits
from schema.api import schema

_WORDS = re.compile(
    r"""'(?:[^']|'')*' | \( | \) | \s+
    | \b(?:SELECT|FROM|WHERE|ORDER\ BY|LIMIT)\b
    | [^'()\s]+""",
    re.VERBOSE,
)
_OPENS_LINE = ("FROM", "WHERE", "ORDER BY", "LIMIT")


def readable(sql: str) -> str:
    """The same statement with a line for each clause and each JSON member, indented by its subqueries.

    >>> print(readable("SELECT (SELECT '{\\"a\\":' || t.a FROM t WHERE t.b = $1) AS r0"))
    select (
      select '{"a":' || t.a
      from t
      where t.b = $1
    ) as r0
    """
    lines: list[str] = []
    line = ""
    subqueries: list[bool] = []
    """For each open parenthesis, whether a subquery stands in it."""

    def end_line() -> None:
        nonlocal line
        if line.strip():
            lines.append("  " * sum(subqueries) + line.strip())
        line = ""

    words = _WORDS.findall(sql)
    for at, word in enumerate(words):
        if word.isspace():
            line += " "
        elif word == "(":
            line += word
            opens = next((after for after in words[at + 1 :] if not after.isspace()), "") == "SELECT"
            if opens:
                end_line()
            subqueries.append(opens)
        elif word == ")":
            if subqueries[-1]:
                end_line()
            subqueries.pop()
            line += word
        elif word in _OPENS_LINE and (not subqueries or subqueries[-1]):
            end_line()
            line = word.lower()
        elif word.startswith("',\""):  # the next member of a JSON object
            end_line()
            line = word
        else:
            line += word if word.startswith(("'", '"')) else word.lower()
    end_line()
    return "\n".join(lines)


def compiled_file(
    path: Path, variables: dict[str, Any] | None = None, operation: str | None = None
) -> tuple[str, list[Any]]:
    """The statement and parameters of the operation in a `.graphql` file. Needs no database.

    Raises HubError or GraphQLError when the operation cannot be answered.
    """
    statement, parameters = schema.compiled(path.read_text("utf-8"), variables, operation, Limits())
    return statement.sql, parameters


def shown(sql: str, parameters: list[Any]) -> str:
    """A statement and its parameters, for a person to read."""
    listed = "\n".join(f"-- ${at} = {value!r}" for at, value in enumerate(parameters, 1))
    return f"{readable(sql)};\n{listed}".rstrip() + "\n"
