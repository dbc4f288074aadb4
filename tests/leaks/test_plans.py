"""EXPLAIN counts what policies hide. So nobody gets a plan but who sees every row of every table in it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from schema.access import ACCESS, Reach
from tests.leaks.callers import CALLERS, Caller
from tests.leaks.conftest import World, opened
from tests.leaks.questions import Question, walks
from tests.leaks.test_answers import leaked
from tests.leaks.world import canaries

ALIKE = [
    Question("wards", "{ wards(first: 5) { totalCount nodes { name subCounty { name } } } }"),
    Question("severe", "{ incidents(where: { severity: { in: [SEVERE] } }) { totalCount nodes { title } } }"),
    Question("in a box", "{ incidents(where: { location: { bbox: [33.9, -0.6, 35.5, 0.2] } }) { totalCount } }"),
    Question("callers", "{ incidents { nodes { title reporter { name } } } }"),
    Question("people", "{ people { totalCount nodes { displayName } } }"),
    Question("fleet", "{ vehicles { totalCount nodes { plate } } }"),
    Question("where it was", "{ vehicles { nodes { plate latestPosition { location } } } }"),
    Question("patrols", "{ patrols { totalCount nodes { reference } } }"),
    Question("nothing at all", '{ incident(reference: "INC-2026-999999") { title } }'),
]


def steps(step: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield step
    for below in step["steps"]:
        yield from steps(below)


def whole(table: str) -> str:
    """Weeks of positions are tables of their own."""
    return "positions" if table.startswith("positions_") else table


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
async def test_a_plan_counts_no_row_that_its_reader_does_not_see(world: World, caller: Caller) -> None:
    facts = world.facts
    found: Counter[int] = Counter()
    async with opened(world.county) as hub:
        for question in [*ALIKE, *walks()]:
            answer = await hub.http.post(
                "/graphql/explain", json={"query": question.document}, headers=world.headers(caller)
            )
            found[answer.status_code] += 1
            assert leaked(facts, caller, answer, question.document) == []
            if answer.status_code != 200:
                told = answer.json()
                assert told.keys() == {"data", "errors"}, told
                continue
            tables = {whole(step["table"]) for step in steps(answer.json()["plan"]) if "table" in step}
            for table in tables & facts.rows.keys():
                # What the rows say, not what the door thinks of roles.
                assert facts.seen(caller, table) == facts.rows[table].keys(), (question, table)
            assert not canaries(answer.text) - canaries(question.document) & facts.register.keys()
    if caller.person is None or caller.gone:
        assert set(found) == {401}
    elif caller.sees_as:
        assert set(found) == {403}
    else:
        assert set(found) <= {200, 403}
        assert found[200] > 0, "everybody who is signed in sees how wards are found"
        everything = all(
            any(ACCESS.right(role, noun).read is Reach.COUNTY for role in caller.roles)
            for noun in ("incidents", "people", "callers", "fleet", "drivers", "positions", "patrols")
        )
        assert (found[403] == 0) == everything


async def test_an_operator_sees_where_time_and_rows_went(world: World) -> None:
    (administrator,) = (caller for caller in CALLERS if caller.name == "administrator")
    total = len(world.facts.rows["incidents"])
    async with opened(world.county) as hub:
        answer = await hub.http.post(
            "/graphql/explain", json={"query": "{ incidents { totalCount } }"}, headers=world.headers(administrator)
        )
    told = answer.json()
    assert told["executionMs"] > 0
    scans = [step for step in steps(told["plan"]) if step.get("table") == "incidents"]
    assert scans
    assert {step["rows"] for step in scans} == {total}
    assert all(step["ms"] >= 0 and step["pages"] >= 0 for step in scans)


async def test_a_plan_changes_nothing_and_reads_as_its_reader(world: World) -> None:
    (planner,) = (caller for caller in CALLERS if caller.name == "planner")
    async with opened(world.county) as hub:
        writing = "mutation { signOut }"
        answer = await hub.http.post("/graphql/explain", json={"query": writing}, headers=world.headers(planner))
        assert answer.status_code == 400
        assert (await hub.ask("{ me { name } }", token=world.tokens[planner.name]))["me"] is not None


def test_what_is_refused_would_have_told(world: World) -> None:
    """The danger is real: an officer's own EXPLAIN gives the number of incidents that a policy hides."""
    (officer,) = (caller for caller in CALLERS if caller.name == "field officer of Ahero")
    facts = world.facts
    hidden = len(facts.rows["incidents"]) - len(facts.seen(officer, "incidents"))
    assert hidden > 0
    with psycopg.connect(world.still.login_url) as connection:
        connection.execute("set role hub_area")
        for name, value in {
            "hub.person": facts.person(officer),
            "hub.roles": "citizen,field_officer",
            "hub.areas": "{" + ",".join(facts.areas(officer)) + "}",
            "enable_indexscan": "off",
            "enable_bitmapscan": "off",
        }.items():
            connection.execute("select set_config(%s, %s, false)", (name, value))
        ((plan,),) = connection.execute("explain (analyze, format json) select * from incidents").fetchall()
    assert f'"Rows Removed by Filter": {hidden}' in json.dumps(plan)
