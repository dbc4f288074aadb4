"""I1: no caller learns a value, a count, an order, a distance or the existence of a row that policies hide.

Each caller asks everything that the API can be asked (`questions.py`), of the world and of a county in which what the
caller may not see never was (`twins.py`): the bytes must be the same. Beside that, every canary in every byte answered
is looked up: all of them must be the caller's to see, and all that are must have come out.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from schema.compiler.mapping import ColumnSpec
from tests.conftest import Hub
from tests.leaks import matrix
from tests.leaks.callers import CALLERS, Caller
from tests.leaks.conftest import World, opened
from tests.leaks.questions import (
    MAPPING,
    SDL,
    Question,
    askable,
    asked,
    cursor_sources,
    reads,
    walks,
    with_cursors,
)
from tests.leaks.rights import Facts
from tests.leaks.twins import first_difference, twin
from tests.leaks.world import canaries

if TYPE_CHECKING:
    import httpx

PRESENT = [pytest.param(each, id=each.name) for each in CALLERS if not each.gone]
GONE = [pytest.param(each, id=each.name) for each in CALLERS if each.gone]
NOBODY = CALLERS[0]
EVERYTHING = next(each for each in CALLERS if each.roles == ("dispatcher",))
"""Somebody who sees every incident with whoever told of it."""


async def ask(hub: Hub, world: World, caller: Caller, question: Question) -> httpx.Response:
    return await hub.post(question.document, headers=world.headers(caller))


@cache
def exposed(facts: Facts, caller: Caller) -> set[str]:
    """The canaries that a caller must find: of rows that it may see, in columns that the API has a field for."""
    columns = set()
    for entity in MAPPING.entities.values():
        for name in SDL.type_map[entity.name].fields:  # type: ignore[attr-defined]
            field = MAPPING.field(entity, name)
            if isinstance(field.spec, ColumnSpec):
                columns.add((entity.table.name, field.spec.column or field.python_name))
    seen = {table: facts.seen(caller, table) for table in facts.rows}
    return {
        word
        for word, places in facts.register.items()
        if any(key in seen[table] and (table, column) in columns for table, key, column in places)
    }


def leaked(facts: Facts, caller: Caller, response: httpx.Response, said: str) -> list[str]:
    """Canaries in an answer that are neither the caller's to see nor of the caller's own words."""
    head = "\n".join(f"{name}: {value}" for name, value in response.headers.items())
    told = canaries(response.text) | canaries(head)
    return sorted(
        describe(facts, word) for word in told & (facts.register.keys() - exposed(facts, caller) - canaries(said))
    )


def describe(facts: Facts, word: str) -> str:
    return f"{word} ({', '.join(sorted({f'{table}.{column}' for table, _, column in facts.register[word]}))})"


async def all_questions(world: World, hub: Hub) -> list[Question]:
    """Those that everybody can think of, and those with cursors that somebody was given who sees everything."""
    if world.questions:
        return world.questions
    questions = reads(world.facts)
    for root, by, source in cursor_sources(world.facts):
        edges = (await ask(hub, world, EVERYTHING, source)).json()["data"][root]["edges"]
        assert edges, source
        questions += with_cursors(root, by, [edge["cursor"] for edge in edges[::2]])
    world.questions += questions
    return questions


SPREAD = 5


def share(caller: Caller, questions: list[Question]) -> list[Question]:
    """A caller's questions: all that show something, and a fifth of the thousands that only sift, another fifth for the
    next caller: whoever reads alike asks all of them together."""
    turn = CALLERS.index(caller)
    return [
        question
        for number, question in enumerate(questions)
        if not question.about.endswith(SIFTING) or (number + turn) % SPREAD == 0
    ]


SIFTING = ("filtered", "filtered and ordered", "somebody else's cursor", "node by id")


async def compared(
    world: World, hub: Hub, other: Hub, caller: Caller, questions: list[Question]
) -> tuple[list[str], set[str]]:
    """What is wrong with the world's answers to a caller, and every canary in them."""
    wrong: list[str] = []
    found: set[str] = set()
    for question in questions:
        # Whom an administrator sees as is nobody in particular.
        there = ask(other, world, NOBODY if caller.sees_as else caller, question)
        answer, expected = await asyncio.gather(ask(hub, world, caller, question), there)
        assert answer.status_code == 200, (caller.name, question, answer.text)
        if answer.content != expected.content:
            wrong.append(f"{caller.name}: {question.about}: {first_difference(answer.json(), expected.json())}")
        wrong += [
            f"{caller.name}: {question.about}: {each}"
            for each in leaked(world.facts, caller, answer, question.document)
        ]
        found |= canaries(answer.text)
    return wrong, found


@pytest.mark.parametrize("caller", PRESENT)
async def test_a_caller_cannot_tell_the_county_from_one_without_what_is_hidden(world: World, caller: Caller) -> None:
    async with opened(world.county) as hub:
        questions = await all_questions(world, hub)
        questions = share(caller, questions)
        async with opened(twin(world, caller)) as other:
            wrong, found = await compared(world, hub, other, caller, questions)
    assert wrong == []
    missed = exposed(world.facts, caller) - found
    assert not missed, sorted(describe(world.facts, word) for word in missed)


@pytest.mark.parametrize("caller", GONE)
async def test_whose_token_has_ended_gets_no_answer(world: World, caller: Caller) -> None:
    async with opened(world.county) as hub:
        answers = {(await ask(hub, world, caller, question)).content for question in walks()}
        assert len(answers) == 1
        (answer,) = answers
        assert canaries(answer.decode()) == set()
        assert b'"UNAUTHENTICATED"' in answer


async def test_the_reviewed_file_says_who_sees_what(world: World, request: pytest.FixtureRequest) -> None:
    seen: matrix.Seen = defaultdict(dict)
    async with opened(world.county) as hub:
        for caller in (each for each in CALLERS if not each.gone):
            noted: dict[str, set[str]] = defaultdict(set)
            for question in walks():
                data: Any = (await ask(hub, world, caller, question)).json()["data"]
                matrix.read(world.facts, data, SDL.query_type, noted)
            for name, rows in noted.items():
                seen[name][caller.name] = rows
    made = matrix.text(world.facts, seen)
    if request.config.getoption("--update"):
        matrix.FILE.write_text(made)
    assert made == matrix.FILE.read_text(), (
        "run pytest tests/leaks --update and read the difference: who sees more now?"
    )


async def test_everything_that_can_be_asked_was_asked(world: World) -> None:
    """What no question reaches (a root field, an argument, an operator, a field of a guarded type) is taught there."""
    async with opened(world.county) as hub:
        questions = await all_questions(world, hub)
    assert sorted(askable() - asked(questions)) == []


async def test_counts_under_five_are_nobodys_to_learn(world: World) -> None:
    """Five of a kind in a ward on a day are published, four are not; nor by any filter, and it makes no difference who
    asks."""
    everywhere = "nodes { kind count ward { code } } totalCount"
    asked = Question(
        "counts",
        f"{{ all: incidentCounts {{ {everywhere} }} few: incidentCounts(where: {{count: {{lt: 5}}}}) {{ totalCount }} "
        "kind: incidentCounts(where: {kind: {eq: WILD_ANIMAL}}) { totalCount } }",
    )
    async with opened(world.county) as hub:
        for caller in (each for each in CALLERS if not each.gone):
            data = (await ask(hub, world, caller, asked)).json()["data"]
            (count,) = data["all"]["nodes"]
            assert (count["kind"], count["count"]) == ("WATER_FAILURE", 5)
            assert [data[name]["totalCount"] for name in ("all", "few", "kind")] == [1, 0, 0]
