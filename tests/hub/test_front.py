"""Operations go straight to their answer, past routes and middleware: they must be answered as if they had not."""

from __future__ import annotations

import pytest

from hub import events, front, graphql
from hub.outlets.tiles import PACKED_FROM
from hub.pages import DATA_STRICT
from hub.settings import Limits, Settings
from hub.watch import figures
from schema.compiler.kept import Kept
from tests.conftest import County, Hub, make_person, running

SHORT = '{ ward(code: "1186") { name } }'
LONG = "{ wards(first: 100) { nodes { name boundary } } }"


@pytest.mark.parametrize("query", [SHORT, LONG], ids=("short", "long"))
async def test_an_answer_is_the_same_packed_and_plain(hub: Hub, query: str) -> None:
    plain = await hub.post(query, headers={"accept-encoding": "identity"})
    packed = await hub.post(query, headers={"accept-encoding": "gzip"})
    assert plain.status_code == packed.status_code == 200
    assert plain.content == packed.content
    long = len(plain.content) >= PACKED_FROM
    assert (packed.headers.get("content-encoding") == "gzip") is long
    assert plain.headers.get("vary") == packed.headers.get("vary") == ("Accept-Encoding" if long else None)
    for answer in (plain, packed):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/json"
        for name, value in DATA_STRICT:
            assert answer.headers.get_list(name.decode()) == [value.decode()]


async def test_an_answer_is_the_same_as_by_the_route(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a proxy that serves the hub under a path of its own has it: then the route answers."""
    straight = await hub.post(LONG)
    monkeypatch.setattr(front, "PATH", "/elsewhere")
    routed = await hub.post(LONG)
    volatile = {"server-timing"}
    assert routed.content == straight.content
    assert {name: value for name, value in routed.headers.items() if name not in volatile} == {
        name: value for name, value in straight.headers.items() if name not in volatile
    }


async def test_who_names_another_host_asks_nothing(hub: Hub) -> None:
    answer = await hub.post(SHORT, headers={"host": "evil.example"})
    assert (answer.status_code, answer.text) == (400, "Invalid host header")
    assert (await hub.post(SHORT, headers={"host": "localhost:8000"})).status_code == 200
    for _ in range(2):
        assert (await hub.post(SHORT, headers={"host": "evil.example"})).status_code == 400


async def test_who_wants_events_gets_them(hub: Hub) -> None:
    answer = await hub.post(SHORT, headers={"accept": events.MEDIA})
    assert answer.headers["content-type"].startswith(events.MEDIA)
    assert answer.text.startswith("event: next\ndata: ")


async def test_of_a_header_that_came_twice_the_first_counts(hub: Hub) -> None:
    token = "hub1.00000000.1.x.y"
    asked = await hub.http.post(
        "/graphql",
        json={"query": SHORT},
        headers=[
            ("authorization", f"Bearer {token}"),
            ("authorization", "Basic eDp5"),
            ("accept-encoding", "identity"),
        ],
    )
    assert asked.status_code == 401
    assert asked.json()["errors"][0]["message"].startswith("The token is not one of this hub's")
    turned = await hub.http.post(
        "/graphql",
        json={"query": SHORT},
        headers=[("authorization", "Basic eDp5"), ("authorization", f"Bearer {token}")],
    )
    assert turned.status_code == 401


async def test_what_is_asked_again_is_answered_anew_and_to_whoever_asks(fresh_database: County, hub: Hub) -> None:
    """The same bytes mean the same question, never the same answer."""
    make_person(fresh_database, "dispatcher", "dispatcher")
    async with running(fresh_database.login_url) as own:
        token = await own.token("dispatcher")
        open_ = "{ incidents { totalCount } me { name } }"
        counted = "{ incidents { totalCount } }"
        report = """mutation { reportIncident(input: { kind: FIRE, title: "Smoke", location: [34.75, -0.1] })
          { incident { id } } }"""
        for number in range(3):
            assert await own.ask(counted, token=token) == {"incidents": {"totalCount": number}}
            assert await own.ask(counted) == {"incidents": {"totalCount": 0}}
            assert (await own.ask(open_, token=token))["me"] == {"name": "dispatcher"}
            assert (await own.ask(open_))["me"] is None
            await own.ask(report, token=token)
        # Who wants the statement, or events, sends the same bytes elsewhere.
        asked = {"query": counted, "variables": None, "operationName": None}
        shown = await own.http.post("/graphql/sql", json=asked)
        assert "from incidents" in shown.json()["statement"]
        told = await own.post(counted, headers={"accept": events.MEDIA})
        assert '{"data":{"incidents":{"totalCount":0}}}' in told.text
    small = Settings(database=hub.settings.database, limits=Limits(max_page=10))
    large = "{ wards(first: 35) { totalCount } }"
    assert (await hub.ask(large))["wards"] == {"totalCount": 35}
    async with running(str(hub.settings.database.database_url), small) as strict:
        assert "at most" in (await strict.refusal(large))[2] or "0 to 10 rows" in (await strict.refusal(large))[2]
    assert (await hub.ask(large))["wards"] == {"totalCount": 35}


async def test_operations_are_counted_by_their_door(hub: Hub) -> None:
    key = (figures.REQUESTS, ("/graphql", "200"))
    before = figures._counts.get(key, 0.0)
    await hub.post(SHORT)
    assert figures._counts.get(key, 0.0) == before + 1


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("query ($n: Int = 2) { wards(first: $n) { nodes { code } } }", None),
        ("query ($n: Int) { wards(first: $n) { nodes { code } } }", {}),
        ("query ($n: Int) { wards(first: $n) { nodes { code } } }", {"n": None}),
        ("query A { ward(code: \"1186\") { name } } query B { ward(code: \"1187\") { name } }", None),
        ("query ($no: Boolean!) { wards(first: 1) @skip(if: $no) { nodes { code } } county { name } }", {"no": True}),
        ("query ($no: Boolean!) { ...W @include(if: $no) } fragment W on Query { county { name } }", {"no": False}),
        ("{ ...W } fragment W on Query { county { name } again: county { code } }", None),
        ("{ __typename county { name } }", None),
        ("{ __schema { queryType { name } } county { name } }", None),
        ("query ($n: Int!) { wards(first: $n) { nodes { code } } }", {"n": "two"}),
        ("query ($n: Int!) { wards(first: $n) { nodes { code } } }", {}),
        ("query ($n: Int!) { wards(first: $n) { nodes { code } } }", {"n": -1}),
        ("query ($at: Position!) { wardAt(point: $at) { code } }", {"at": [34.75]}),
        ("{ nothing }", None),
        ("{ county { name }", None),
        ("subscription { incidentChanged { cursor } }", None),
        ("mutation { signOut }", None),
    ],
)  # fmt: skip
async def test_an_executor_would_have_said_the_same(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, query: str, variables: dict[str, object] | None
) -> None:
    ours = await hub.post(query, variables)

    monkeypatch.setattr(graphql.schema, "prepare", lambda *_: None)
    monkeypatch.setattr(graphql, "_ASKED", Kept(0))
    theirs = await hub.post(query, variables)
    assert (ours.status_code, ours.json()) == (theirs.status_code, theirs.json())
