"""`make fuzz`: the public and somebody of each role send what schemathesis makes of the schema, for some minutes.

    python -m tests.faults.fuzz [--minutes N] [--seed N]

A county with a morning in it and a hub of two workers, of its own. Whatever is asked, the hub answers with data or with
a refusal that says why. Ends with 1 where it did neither, and prints that operation so that it can be sent again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import SkipTest

import graphql
import schemathesis
from graphql import FieldNode, ListValueNode, ObjectValueNode, TypeInfo, TypeInfoVisitor, Visitor, get_named_type
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from strawberry.printer import print_schema

from hub.settings import PROJECT, Database
from schema.access import ACCESS, Scope
from schema.api import schema
from tests.commands import crowd
from tests.faults.ground import Answer, Cut, Door, Ground, NotSent
from tests.schema.happenings import happen
from tests.schema.operations import literal

SDL = print_schema(schema)
PRINTED = graphql.build_schema(SDL)
AREA = "1208"
LEFT_OUT = {"Mutation.signOut"}
"""Who is signed out has no role any more: the public alone sends it."""
BATCH = 20
"""Operations of one root field in a row: making the strategy takes longer than drawing from it."""
ASKERS = 3
"""Processes that ask at once. To make an operation takes 40 ms, so that each is sent as everybody."""
ON_ITS_WAY_SECONDS = 2.0
"""What an answer may take beside its statement, on a machine that is not full."""

MORNING = ("tests/queries/morning.sql", "tests/queries/incidents.sql")
KNOWN = """
select id::text from incidents union all select id::text from vehicles union all select id::text from people
union all select id::text from wards union all select id::text from units union all select id::text from beats
union all select id::text from patrols union all select id::text from landmarks union all select id::text from devices
"""
NAMED = """
select code from wards union all select code from sub_counties union all select reference from incidents
union all select plate from vehicles union all select name from wards union all select name from people
"""


@dataclass
class Told:
    """What one role was told."""

    role: str
    sent: int = 0
    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    wrong: int = 0

    def add(self, other: Told) -> None:
        self.sent += other.sent
        self.answered += other.answered
        self.refused += other.refused
        self.wrong += other.wrong

    def __str__(self) -> str:
        codes = ", ".join(f"{code} {count:,}" for code, count in self.refused.most_common()) or "nothing"
        return f"{self.role:26} {self.sent:7,} sent, {self.answered:7,} answered, {self.wrong} wrong; refused: {codes}"


def wrong(answer: Answer, seconds: float) -> str | None:
    """What is wrong with an answer, whatever was asked."""
    if answer.status >= 500 and not (answer.status == 503 and answer.retry_after):
        return f"HTTP {answer.status}"
    if answer.seconds > seconds:
        return f"{answer.seconds:.1f} s"
    try:
        said = json.loads(answer.body)
    except ValueError:
        return f"no JSON: {answer.body[:200]!r}"
    codes = {error.get("extensions", {}).get("code") for error in said.get("errors") or ()}
    return (
        "INTERNAL" if "INTERNAL" in codes else f"an error without a code: {said['errors']}" if None in codes else None
    )


# -- what is asked -----------------------------------------------------------------------------------------------------


class _Mended(Visitor):
    """Schemathesis knows nothing of @oneOf, of nulls that say nothing, or of two ends of one page."""

    def __init__(self, info: TypeInfo) -> None:
        super().__init__()
        self.info = info

    def leave_object_value(self, node: ObjectValueNode, *_: Any) -> ObjectValueNode:
        kept = tuple(each for each in node.fields or () if each.value.kind != "null_value")
        type_ = get_named_type(self.info.get_input_type())
        return ObjectValueNode(fields=kept[:1] if getattr(type_, "is_one_of", False) else kept)

    def leave_list_value(self, node: ListValueNode, *_: Any) -> ListValueNode:
        if not getattr(get_named_type(self.info.get_input_type()), "is_one_of", False):
            return node
        return ListValueNode(values=tuple(each for each in node.values if getattr(each, "fields", ("?",))))

    def leave_field(self, node: FieldNode, *_: Any) -> FieldNode:
        given_ = {each.name.value: each for each in node.arguments or () if each.value.kind != "null_value"}
        for name in ("after", "before", "last" if "first" in given_ else "after"):
            given_.pop(name, None)
        return FieldNode(
            alias=node.alias,
            name=node.name,
            arguments=tuple(given_.values()),
            directives=node.directives,
            selection_set=node.selection_set,
        )


def mended(document: str) -> str:
    """The same with fewer reasons to refuse it."""
    info = TypeInfo(PRINTED)
    visitor = TypeInfoVisitor(info, _Mended(info))
    return graphql.print_ast(graphql.visit(graphql.parse(document, no_location=True), visitor))


def fill(ids: list[str], names: list[str]) -> None:
    """What scalars are filled with: now and then what is there."""
    lon, lat = st.floats(34.3, 35.4), st.floats(-0.6, 0.2)
    near, anywhere = st.tuples(lon, lat), st.tuples(st.floats(-200, 200), st.floats(-100, 100))
    somewhere = st.integers(0, 9).flatmap(lambda number: near if number else anywhere).map(list)
    line = st.lists(somewhere, min_size=2, max_size=6)
    boxes = st.tuples(lon, lat, st.floats(0, 0.5), st.floats(0, 0.5)).map(
        lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
    )
    lines = line.map(lambda way: {"type": "LineString", "coordinates": way})
    areas = line.map(lambda way: {"type": "Polygon", "coordinates": [[*way, way[0]]]}) | boxes.map(_ring)
    moments = st.datetimes(datetime(2026, 2, 1), datetime.now() + timedelta(days=30))
    filled: dict[str, st.SearchStrategy[Any]] = {
        "Position": somewhere,
        "BBox": boxes | st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5),
        "LineGeoJSON": lines,
        "AreaGeoJSON": areas,
        "GeoJSON": lines | areas,
        "DateTime": moments.map(lambda moment: moment.replace(tzinfo=UTC).isoformat()),
        "Date": st.dates(datetime(2000, 1, 1).date(), datetime(2030, 1, 1).date()).map(str),
        "ID": st.sampled_from(ids) | st.uuids().map(str) | st.text(max_size=40),
        "String": st.sampled_from(names) | st.text(max_size=60),
        "Int": st.integers(0, 20) | st.integers(-(2**31), 2**31 - 1),
    }
    for name, strategy in filled.items():
        schemathesis.graphql.scalar(
            name, strategy.map(lambda value: graphql.parse_value(literal(value), no_location=True))
        )


def _ring(box: list[float]) -> dict[str, Any]:
    west, south, east, north = box
    return {
        "type": "Polygon",
        "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
    }


def documents(dice: random.Random) -> Iterator[tuple[str, str]]:
    """Root fields and operations of them, for ever: some of one in a row, of which one in six breaks the schema."""
    made = schemathesis.graphql.from_file(SDL)
    operations = [each.ok() for each in made.get_all_operations()]
    while True:
        mode = GenerationMode.NEGATIVE if dice.random() < 1 / 6 else GenerationMode.POSITIVE
        operation = dice.choice(operations)
        strategy = operation.as_strategy(generation_mode=mode)
        with suppress(SkipTest):  # where nothing can be broken
            for document in drawn(strategy, dice.getrandbits(32)):
                as_made = mode is GenerationMode.NEGATIVE or dice.random() < 0.2
                yield operation.label, document if as_made else mended(document)


def drawn(strategy: st.SearchStrategy[Any], number: int) -> list[str]:
    """A batch of documents."""
    found = []

    @seed(number)
    @settings(
        max_examples=BATCH,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def draw(case: Any) -> None:
        found.append(str(case.body))

    draw()
    return found


# -- who asks ----------------------------------------------------------------------------------------------------------


class Asker:
    """One line for each role, on which the same is asked, one after the other."""

    def __init__(self, port: int, tokens: dict[str, str | None]) -> None:
        database = Database(database_url="postgresql://nobody@127.0.0.1:9/none")
        self.seconds = {
            role: database.statement_seconds if token else database.public_statement_seconds
            for role, token in tokens.items()
        }
        self.doors = {role: Door(port, token, timeout=120) for role, token in tokens.items()}
        self.told = {role: Told(role) for role in tokens}

    def ask(self, document: str, roles: Iterable[str]) -> None:
        for role in roles:
            told = self.told[role]
            told.sent += 1
            try:
                answer = self.doors[role].ask(document)
                found = wrong(answer, self.seconds[role] + ON_ITS_WAY_SECONDS * crowd())
            except (Cut, NotSent) as error:
                found = repr(error)
            if found is not None:
                told.wrong += 1
                print(f"WRONG   {role}: {found}\n        {json.dumps({'query': document})}", flush=True)
            elif answer.code:
                told.refused[answer.code] += 1
            else:
                told.answered += 1


def ask(
    port: int, tokens: dict[str, str | None], until: float, number: int, known: tuple[list[str], list[str]], told: Any
) -> None:
    """As everybody, until a time; a process of its own."""
    fill(*known)
    asker = Asker(port, tokens)
    for root, document in documents(random.Random(number)):
        if time.monotonic() > until:
            break
        asker.ask(document, [role for role in tokens if role == ACCESS.public or root not in LEFT_OUT])
    told.put(asker.told)


def people() -> dict[str, tuple[str, ...]]:
    """A role and the areas of whoever has it; the public has none."""
    areas = {role: (AREA,) if ACCESS.roles[role].scope is Scope.AREA else () for role in ACCESS.personal}
    return {ACCESS.public: (), **areas}


def named(role: str) -> str:
    """How somebody with a role signs in."""
    return role.replace("_", ".")


def prepared(ground: Ground) -> tuple[list[str], list[str]]:
    """Somebody of each role and a morning's work; gives the ids and the names in it."""
    for role, areas in people().items():
        if role != ACCESS.public:
            ground.person(named(role), role, areas=areas)
    with ground.owner() as owner:
        owner.execute("set role hub_owner")
        for file in MORNING:
            owner.execute((PROJECT / file).read_text().encode())
        happen(owner, random.Random(7))
        ids, names = ([each for (each,) in owner.execute(sql.encode())] for sql in (KNOWN, NAMED))
    return ids, names


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5, help="how long (default: 5)")
    parser.add_argument("--seed", type=int, help="draws the same operations, as far as time goes")
    chosen = parser.parse_args()
    number = secrets.randbelow(1_000_000) if chosen.seed is None else chosen.seed
    print(f"A county of its own and a hub of two workers, for {chosen.minutes:g} min, seed {number} …", flush=True)
    start = multiprocessing.get_context("spawn")
    queue = start.Queue()
    with Ground(workers=2) as ground:
        known = prepared(ground)
        ground.start_hub()
        tokens = {role: None if role == ACCESS.public else ground.token(named(role)) for role in people()}
        until = time.monotonic() + 60 * chosen.minutes
        askers = [
            start.Process(target=ask, args=(ground.port, tokens, until, number + at, known, queue), daemon=True)
            for at in range(ASKERS)
        ]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        assert ground.hub is not None
        said = list(ground.hub.lines)
    lost = sum(asker.exitcode != 0 for asker in askers)
    told = {role: Told(role) for role in tokens}
    for _ in range(ASKERS - lost):
        for role, each in queue.get().items():
            told[role].add(each)
    print(*told.values(), sep="\n")
    sent, bad = sum(each.sent for each in told.values()), sum(each.wrong for each in told.values())
    print(f"{sent:,} sent, {sum(each.answered for each in told.values()):,} answered with data, {bad} wrong.")
    if bad or lost:
        print(f"{lost} of {ASKERS} askers did not come back. The hub's last words:", *said[-30:], sep="\n        ")
    return 1 if bad or lost else 0


if __name__ == "__main__":
    sys.exit(main())
