"""The matrix notices: policies broken on purpose, and it must say whose they were and what came out."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tests.leaks.callers import CALLERS, Caller
from tests.leaks.conftest import World, opened
from tests.leaks.test_answers import all_questions, compared
from tests.leaks.twins import twin

OFFICER = next(each for each in CALLERS if each.roles == ("field_officer",) and each.areas)
CITIZEN = next(each for each in CALLERS if each.roles == ("citizen",))

Complain = Callable[[Caller, str], object]


async def complaints(world: World, caller: Caller, breaking: str) -> list[str]:
    async with opened(world.county) as hub:
        # What is broken is about incidents: the thousand questions about others say nothing of it.
        questions = [each for each in await all_questions(world, hub) if each.about.startswith("incident")]
    broken = world.copy()
    with psycopg.connect(broken.owner_url) as connection:
        connection.execute(breaking.encode())
    async with opened(broken) as hub, opened(twin(world, caller)) as other:
        wrong, _ = await compared(world, hub, other, caller, questions)
    return wrong


@pytest.mark.parametrize(
    ("caller", "breaking", "named"),
    [
        pytest.param(
            OFFICER,
            "create policy forgotten on incident_reporters for select using (true)",
            ["incidents.nodes[0].reporter", "incident_reporters.phone", "incidents, filtered"],
            id="a policy too many",
        ),
        pytest.param(
            CITIZEN,
            "alter table incidents disable row level security",
            [
                "incidents.totalCount",
                "incidents.title",
                "incidents, ordered",
                "somebody else's cursor",
                "distanceMeters",
            ],
            id="a table without policies",
        ),
    ],
)
async def test_the_matrix_notices(world: World, caller: Caller, breaking: str, named: list[str]) -> None:
    wrong = await complaints(world, caller, breaking)
    assert all(each.startswith(f"{caller.name}: ") for each in wrong)
    for words in named:
        assert any(words in each for each in wrong), (words, wrong[:20])
