"""Attacks on the websocket: each is answered by a close code or an error, never by an exception, and leaves nothing."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.typing import Origin, Subprotocol

from hub import websocket
from hub.settings import Limits
from tests.conftest import County, make_person
from tests.sockets import LIVE, PROTOCOL, Client, Listening, serving

INIT = {"type": "connection_init"}
ASK = {"query": "{ wards { totalCount } }"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(copies: Any) -> AsyncIterator[Listening]:
    with copies() as county:
        people(county)
        async with serving(county.login_url) as hub:
            yield hub


def people(county: County) -> None:
    make_person(county, "dispatcher", "dispatcher")


@pytest.fixture(autouse=True)
def _nothing_breaks(caplog: pytest.LogCaptureFixture) -> Any:
    """No attack is worth an error in the log."""
    yield
    assert [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR] == []


@pytest_asyncio.fixture
async def raw(place: Listening) -> AsyncIterator[Client]:
    """A client that has not said who it is."""
    async with connect(place.socket_address, subprotocols=[PROTOCOL]) as connection:
        yield Client(connection)


@pytest_asyncio.fixture
async def client(place: Listening) -> AsyncIterator[Client]:
    async with place.socket() as made:
        yield made


# -- the handshake -----------------------------------------------------------------------------------------------------


async def status(place: Listening, **options: Any) -> int:
    with pytest.raises(InvalidHandshake) as refusal:
        async with connect(place.socket_address, **options):
            pass
    assert isinstance(refusal.value, InvalidStatus)
    return refusal.value.response.status_code


@pytest.mark.parametrize("protocols", [None, ["graphql-ws"], ["chat", "graphql-ws"], ["graphql-transport-wss"]])
async def test_other_protocols_are_refused_at_the_handshake(place: Listening, protocols: list[str] | None) -> None:
    offered = [Subprotocol(each) for each in protocols] if protocols else None
    assert await status(place, subprotocols=offered) == 403


async def test_ours_is_taken_among_others(place: Listening) -> None:
    async with connect(place.socket_address, subprotocols=[Subprotocol("graphql-ws"), PROTOCOL]) as connection:
        assert connection.subprotocol == PROTOCOL


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "null",
        "",
        "file://",
        "{own}.evil.example",
        "{own}/",
        "{own}@evil.example",
        "http://user@{host}",
        "ftp://{host}",
        "HTTP://{host}",
    ],
)
async def test_pages_of_others_do_not_connect(place: Listening, origin: str) -> None:
    told = origin.format(own=place.address, host=place.address.removeprefix("http://"))
    assert await status(place, subprotocols=[PROTOCOL], origin=Origin(told)) == 403


async def test_the_cookie_counts_for_our_own_page_alone(place: Listening) -> None:
    token = await place.token("dispatcher")
    headers = {"cookie": f"__Host-hub={token}"}
    me = "{ me { name } }"
    for origin, wanted in ((place.address, {"name": "dispatcher"}), (None, None)):
        options: Any = {"additional_headers": headers, "origin": Origin(origin) if origin else None}
        async with connect(place.socket_address, subprotocols=[PROTOCOL], **options) as connection:
            client = Client(connection)
            await client.say(INIT)
            assert await client.hear() == {"type": "connection_ack"}
            assert await client.ask(me) == {"data": {"me": wanted}}


# -- saying who one is -------------------------------------------------------------------------------------------------


async def test_whoever_says_nothing_is_sent_away(raw: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await raw.closed(8))[0] == 4408


async def test_one_says_it_once(client: Client) -> None:
    await client.say(INIT)
    assert (await client.closed())[0] == 4429


async def test_two_at_once_are_one_too_many(raw: Client) -> None:
    await raw.say(INIT)
    await raw.say(INIT)
    assert (await raw.closed())[0] == 4429


async def test_nothing_is_asked_before(raw: Client) -> None:
    await raw.say({"id": "1", "type": "subscribe", "payload": ASK})
    assert (await raw.closed())[0] == 4401


@pytest.mark.parametrize("shown", ["Bearer nonsense", "Bearer ", "nonsense", "", "Basic YTpi", "Bearer \ud800"])
async def test_a_bad_token_opens_nothing(raw: Client, shown: str) -> None:
    await raw.say(json.dumps({**INIT, "payload": {"authorization": shown}}))
    assert (await raw.closed())[0] == 4403


@pytest.mark.parametrize("payload", [[], "x", 1, True, {"authorization": 1}, {"authorization": []}, {"seeAs": {}}])
async def test_what_says_nothing_is_refused(raw: Client, payload: Any) -> None:
    await raw.say({**INIT, "payload": payload})
    assert (await raw.closed())[0] == 4400


async def test_the_public_looks_as_nobody_else(raw: Client) -> None:
    pytest.importorskip("hub.identity.seeing")
    await raw.say({**INIT, "payload": {"seeAs": "coordinator"}})
    assert (await raw.closed())[0] == 4403


# -- messages ----------------------------------------------------------------------------------------------------------

BROKEN = [
    "",
    "nonsense",
    "null",
    "1",
    "[]",
    '"x"',
    "{}",
    "NaN",
    '{"type": NaN}',
    "[" * 30_000,
    '{"a":' * 9_000,
    '{"type": 1}',
    '{"type": []}',
    '{"type": "unknown"}',
    '{"type": "start", "id": "1", "payload": {"query": "{ me { id } }"}}',
    '{"type": "connection_terminate"}',
    '{"type": "next", "id": "1", "payload": {}}',
    '{"type": "subscribe"}',
    '{"type": "subscribe", "id": "1"}',
    '{"type": "subscribe", "payload": {"query": "{ me { id } }"}}',
    '{"type": "subscribe", "id": 1, "payload": {"query": "{ me { id } }"}}',
    '{"type": "subscribe", "id": [], "payload": {"query": "{ me { id } }"}}',
    '{"type": "subscribe", "id": "", "payload": {"query": "{ me { id } }"}}',
    json.dumps({"type": "subscribe", "id": "x" * 201, "payload": ASK}),
    '{"type": "subscribe", "id": "1", "payload": []}',
    '{"type": "subscribe", "id": "1", "payload": {}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": 1}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": " "}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": "{ me { id } }", "variables": []}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": "{ me { id } }", "operationName": 1}}',
    '{"type": "complete"}',
    '{"type": "complete", "id": {}}',
]


@pytest.mark.parametrize("message", BROKEN, ids=range(len(BROKEN)))
async def test_a_broken_message_ends_the_socket(client: Client, message: str) -> None:
    await client.say(message)
    assert (await client.closed())[0] == 4400


async def test_bytes_are_no_message(client: Client) -> None:
    await client.say(json.dumps({"type": "ping"}).encode())
    assert (await client.closed())[0] == 4400


async def test_a_frame_over_64_kib_is_refused(client: Client) -> None:
    await client.say(json.dumps({"type": "ping", "payload": {"x": "x" * (64 * 1024)}}))
    assert (await client.closed())[0] == 1009


async def test_a_large_frame_that_fits_is_taken(client: Client) -> None:
    await client.say(json.dumps({"type": "ping", "payload": {"x": "x" * (63 * 1024)}}))
    assert await client.hear() == {"type": "pong"}


async def test_an_id_is_used_once_at_a_time(client: Client) -> None:
    await client.subscribe()
    await client.subscribe()
    assert (await client.closed())[0] == 4409


async def test_an_id_is_free_again_when_its_operation_has_ended(place: Listening) -> None:
    async with place.socket("dispatcher") as client:
        for _ in range(50):
            assert (await client.ask("{ wards { totalCount } }", id="same"))["data"]["wards"]["totalCount"] == 35
        for _ in range(50):
            await client.subscribe(id="same")
            await client.say({"id": "same", "type": "complete"})
        assert (await client.ask("{ wards { totalCount } }", id="same"))["data"]["wards"]["totalCount"] == 35
        await client.say({"id": "never", "type": "complete"})
        await client.say({"type": "pong", "payload": {}})
        await client.say({"type": "ping"})
        assert await client.hear() == {"type": "pong"}


async def test_twenty_operations_run_on_a_socket(place: Listening) -> None:
    async with place.socket("dispatcher") as client:
        for number in range(websocket.MOST_OPERATIONS):
            await client.subscribe(id=str(number))
        for _ in range(30):
            await client.subscribe(id="more")
            said = await client.hear()
            assert (said["type"], said["id"]) == ("error", "more")
            assert said["payload"][0]["extensions"] == {"code": "RATE_LIMITED", "limit": 20}
        await client.say({"id": "0", "type": "complete"})
        await client.subscribe(id="more")
        await client.silence(0.2)


async def test_an_id_comes_back_as_it_was_sent(client: Client) -> None:
    for id in ('"', "\\", "\u2028", "é", "\x00", "</script>", "\ud800"):
        await client.say(json.dumps({"id": id, "type": "subscribe", "payload": ASK}))
        said = [await client.hear(), await client.hear()]
        assert [(each["type"], each["id"]) for each in said] == [("next", id), ("complete", id)]


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["subscribe", "complete", "ping", "pong", "next", "error"]) | JSONS,
        "id": st.sampled_from(["1", "2"]) | JSONS,
        "payload": st.fixed_dictionaries(
            {},
            optional={
                "query": st.sampled_from([LIVE, ASK["query"], "subscription { __typename }", "{"]) | JSONS,
                "variables": st.dictionaries(st.sampled_from(["bbox", "where", "after"]), JSONS, max_size=3) | JSONS,
                "operationName": JSONS,
            },
        )
        | JSONS,
    },
)


class Chatter:
    """A hub that outlives the examples of the test below."""

    def __init__(self, runner: asyncio.Runner, hub: Listening) -> None:
        self.runner = runner
        self.hub = hub

    def run(self, messages: list[Any]) -> None:
        self.runner.run(self._run(messages))

    async def _run(self, messages: list[Any]) -> None:
        async with self.hub.socket("dispatcher") as client:
            for message in messages:
                await client.say(json.dumps(message))
            await client.say({"type": "complete", "id": ""})  # which ends it, if nothing did before
            code, _ = await client.closed()
            assert code in {4400, 4409}, (code, messages)


@pytest.fixture(scope="module")
def chatter(copies: Any) -> Iterator[Chatter]:
    with copies() as county, asyncio.Runner() as runner:
        people(county)
        up = serving(county.login_url)
        yield Chatter(runner, runner.run(up.__aenter__()))
        runner.run(up.__aexit__(None, None, None))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=st.lists(PARTS, min_size=1, max_size=4))
def test_whatever_is_sent_is_answered_or_refused(chatter: Chatter, messages: list[Any]) -> None:
    chatter.run(messages)


# -- documents ---------------------------------------------------------------------------------------------------------


def doubling(times: int) -> str:
    parts = [f"fragment F{n} on IncidentChange {{ ...F{n + 1} ...F{n + 1} }}" for n in range(times)]
    return " ".join(
        ["subscription { incidentChanged { ...F0 } }", *parts, f"fragment F{times} on IncidentChange {{ id }}"]
    )


DOCUMENTS = {
    "aliases": "subscription { incidentChanged { " + " ".join(f"a{n}: id" for n in range(51)) + " } }",
    "depth": "subscription { incidentChanged { incident { ward { subCounty "
    + "{ wards { nodes { subCounty " * 4
    + "{ name } "
    + "} } } " * 4
    + "} } } }",
    "the same key": "subscription { incidentChanged { " + "id " * 21 + " } }",
    "directives": "subscription { incidentChanged { id " + "@include(if: true) " * 11 + " } }",
    "doubling fragments": doubling(20),
    "circular fragments": "subscription { incidentChanged { ...A } } fragment A on IncidentChange { ...A }",
    "length": "subscription { incidentChanged { id } } #" + "x" * 16_384,
    "tokens": "subscription { incidentChanged { id } } " + "{" * 2000,
    "rows": "subscription { incidentChanged { incident { timeline(first: 5000) { nodes { actor { areas { parts "
    "{ id } } } } } } } }",
    "page": "subscription { incidentChanged { incident { timeline(first: 5001) { nodes { id } } } } }",
    "two roots": "subscription { a: incidentChanged { id } b: incidentChanged { id } }",
    "a skipped root": "subscription { incidentChanged @skip(if: true) { id } }",
    "introspection": "subscription { __typename }",
    "no such field": "subscription { incidentsChanged { id } }",
    "no GraphQL": "subscription {",
    "a wrong box": "subscription { incidentChanged(bbox: [1, 2]) { id } }",
    "a null condition": "subscription { incidentChanged(where: { title: { eq: null } }) { id } }",
    "a crossing area": 'subscription { incidentChanged(where: { location: { within: { type: "Polygon", coordinates: '
    "[[[34, 0], [35, 1], [35, 0], [34, 1], [34, 0]]] } } }) { id } }",
    "which one": "subscription A { incidentChanged { id } } subscription B { incidentChanged { id } }",
}


@pytest.mark.parametrize("query", DOCUMENTS.values(), ids=DOCUMENTS)
async def test_a_document_is_refused_at_each_door_alike(place: Listening, client: Client, query: str) -> None:
    await client.subscribe(query)
    said = await client.hear()
    assert (said["type"], said["id"]) == ("error", "1"), said
    code = said["payload"][0]["extensions"]["code"]
    assert code in {"QUERY_TOO_COMPLEX", "BAD_USER_INPUT"}
    assert await client.ask("{ wards { totalCount } }") == {"data": {"wards": {"totalCount": 35}}}  # it still serves
    response = await place.http.post("/graphql", json={"query": query}, headers={"accept": "text/event-stream"})
    assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (400, code)
    plain = await place.http.post("/graphql", json={"query": query})
    assert plain.status_code == 400


async def test_variables_are_counted_at_each_door(place: Listening, client: Client) -> None:
    many = {"id": {"in": ["x"] * (Limits().max_in_list + 1)}}
    nested: dict[str, Any] = {}
    for _ in range(20):
        nested = {"and": [nested]}
    for where in (many, nested):
        await client.subscribe(where=where)
        assert (await client.hear())["type"] == "error"
        response = await place.http.post(
            "/graphql", json={"query": LIVE, "variables": {"where": where}}, headers={"accept": "text/event-stream"}
        )
        assert response.status_code == 400
