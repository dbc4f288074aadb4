"""The reviewed file: what each caller sees of each field, as few lines as a person can read."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from graphql import GraphQLObjectType, get_named_type, is_leaf_type

from schema.access import ACCESS
from tests.leaks.callers import CALLERS
from tests.leaks.questions import MAPPING, SDL, guarded, node_type
from tests.leaks.rights import NOUNS, Facts
from tests.leaks.world import TOLD, canaries

FILE = Path(__file__).parent / "matrix.txt"

Seen = dict[str, dict[str, set[str]]]
"""Type.field -> caller -> keys of the rows in which the caller sees a value of it."""


def read(facts: Facts, data: Any, type_: Any, seen: dict[str, set[str]]) -> None:
    """Note which rows' fields an answer holds."""
    if isinstance(data, list):
        for item in data:
            read(facts, item, type_, seen)
    elif isinstance(data, dict):
        row = _row(facts, type_, data)
        for name, value in data.items():
            field = type_.fields.get(name)
            if field is None or value is None or value == []:
                continue
            if row is not None and not (node_type(field.type) is not None and not _rows(value)):
                seen[f"{type_.name}.{name}"].add(row)
            if not is_leaf_type(get_named_type(field.type)):
                read(facts, value, get_named_type(field.type), seen)


def _rows(connection: Any) -> bool:
    return bool(connection.get("nodes") or connection.get("edges"))


def _row(facts: Facts, type_: Any, data: dict[str, Any]) -> str | None:
    """Which row of the world an object is."""
    if not guarded(type_):
        return None
    table = MAPPING.entities[type_.name].table.name
    if data.get("id") in facts.rows[table]:
        return str(data["id"])
    plain = " ".join(str(value) for value in data.values() if isinstance(value, str))
    for word in sorted(canaries(plain)):
        for at, key, _ in facts.register.get(word, ()):
            if at == table:
                return key
    return None


def label(facts: Facts, table: str, key: str) -> str:
    """What the reviewed file calls a row: its incident's letter, its vehicle's small one, its person's name."""
    row = facts.rows[table].get(key)
    if row is None:
        return "?"
    through = ACCESS.nouns[NOUNS[table]].through
    if through is not None:
        return label(facts, ACCESS.nouns[through[1]].tables[0], row[through[0]])
    said = re.search(
        r"zqtitle(\w)zq|zq(?:department|sign|device|unit|beat|checkpoint|patrol)(\w)zq|zq(\w+?)namezq",
        " ".join(str(value) for value in row.values()),
    )
    if said is None:  # it belongs to something that has a name
        for owner, column in (("devices", "device_id"), ("vehicles", "vehicle_id"), ("patrols", "patrol_id")):
            if row.get(column) in facts.rows.get(owner, ()):
                return label(facts, owner, row[column])
        return key
    return said[1].upper() if said[1] else said[2] or said[3]


def cell(facts: Facts, table: str, keys: Iterable[str]) -> str:
    """`A B2 C`: the rows, and how many where there are several of one."""
    keys = set(keys)
    if not keys:
        return "-"
    if keys == set(facts.rows[table]):
        return f"all {len(keys)}"
    counts = Counter(label(facts, table, key) for key in keys)
    return " ".join(_runs([f"{name}{number if number > 1 else ''}" for name, number in sorted(counts.items())]))


def _runs(names: list[str]) -> Iterator[str]:
    """`J K L M` as `J-M`."""
    run: list[str] = []
    for name in [*names, ""]:
        if run and len(name) == 1 == len(run[-1]) and ord(name) == ord(run[-1]) + 1:
            run.append(name)
            continue
        yield from [f"{run[0]}-{run[-1]}"] if len(run) > 3 else run
        run = [name] if name else []


HEAD = """\
Who sees what: the leak matrix, made by asking (tests/leaks) and to be read by a person.

`pytest tests/leaks --update` writes it anew. Each block names fields that are seen alike; below it a line a caller:
the rows in which that caller finds a value, `-` where there is none. Incidents are letters, `B4` is four rows of B;
vehicles and what belongs to them are small ones.
{gone}

{world}
"""


def text(facts: Facts, seen: Seen) -> str:
    """The whole file."""
    blocks: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    present = [each for each in CALLERS if not each.gone]
    for name in sorted(MAPPING.entities):
        type_ = SDL.type_map[name]
        assert isinstance(type_, GraphQLObjectType)
        if guarded(type_):
            table = MAPPING.entities[name].table.name
            for field in type_.fields:
                cells = tuple(cell(facts, table, seen[f"{name}.{field}"].get(each.name, ())) for each in present)
                blocks[name, cells].append(field)
    width = max(len(each.name) for each in present)
    parts = []
    for (name, cells), fields in blocks.items():
        parts.append(_wrapped(f"{name}: {' '.join(sorted(fields))}"))
        parts += [f"  {each.name:<{width}}  {said}" for each, said in zip(present, cells, strict=True)]
        parts.append("")
    public = sorted(name for name in MAPPING.entities if not guarded(SDL.type_map[name]))
    parts.append(_wrapped(f"For everybody, every field: {' '.join(public)}"))
    alike: dict[str, list[str]] = defaultdict(list)
    for told in TOLD:
        kind = told.kind.lower().replace("_", " ")
        said = f"{kind}, {told.where}, by {told.by or 'nobody'}{'' if told.reporter else ', without a reporter'}"
        alike[said].append(told.letter)
    world = [f"  {' '.join(_runs(letters)):<4} {said}" for said, letters in alike.items()]
    gone = [f"{each.name}: every question is answered 401." for each in CALLERS if each.gone]
    head = HEAD.format(world="\n".join(world), gone="\n".join(gone))
    return "\n".join([head, *(line.rstrip() for line in parts)]) + "\n"


def _wrapped(line: str, width: int = 118) -> str:
    made, rest = [], line
    while len(rest) > width:
        at = rest.rfind(" ", 0, width)
        made.append(rest[:at])
        rest = "  " + rest[at + 1 :]
    return "\n".join([*made, rest])
