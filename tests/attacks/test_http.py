"""Requests that are no GraphQL requests: refused by type, size and form before anything looks at the operation."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from hub.settings import Limits
from tests.attacks.conftest import DOORS, Refusal, Watch
from tests.conftest import County, running

JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
ASKED = {"query": "{ county { id } }"}
BODY = json.dumps(ASKED)
MOST = Limits().max_body_bytes

CASES = sorted((Path(__file__).parent.parent / "queries").glob("*/*.graphql"))


async def refused(
    watch: Watch, body: str | bytes | AsyncIterator[bytes], headers: dict[str, str] | None = None
) -> Refusal:
    """The refusal of a body, the same at every door."""
    found = set()
    for door in DOORS:
        found.add(await watch.refuses(door, "bodies", content=body, headers=JSON if headers is None else headers))
    assert len(found) == 1, found
    return found.pop()


# -- methods and types -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["{ county { id } }", "mutation { county { id } }", "{ __typename }", ""])
@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html"])
async def test_operations_do_not_come_by_get(watch: Watch, query: str, accept: str) -> None:
    refusal = await watch.refuses("/graphql", method="GET", params={"query": query}, headers={"accept": accept})
    assert refusal == (405, "BAD_USER_INPUT", "Send operations by POST.")


@pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("door", DOORS)
async def test_operations_come_by_no_other_method(watch: Watch, door: str, method: str) -> None:
    watch.sessions.statements.clear()
    response = await watch.hub.http.request(method, door, content=BODY, headers=JSON)
    assert response.status_code == 405
    assert "POST" in response.headers["allow"]
    assert not watch.sessions.statements


@pytest.mark.parametrize(
    "type_",
    [
        None,
        "",
        "text/plain",
        "text/plain; charset=utf-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        "application/xml",
        "application/json-patch+json",
        "application/jsonp",
        "application/json, text/plain",
        "text/plain, application/json",
        "text/plain; application/json",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        'application/json; charset="utf-7"',
        "application/json; charset=utf-7; note=utf-8",
    ],
)
async def test_a_body_of_another_type_is_refused(watch: Watch, type_: str | None) -> None:
    refusal = await refused(watch, BODY, {} if type_ is None else {"content-type": type_})
    assert refusal[:2] == (415, "BAD_USER_INPUT"), refusal
    assert "application/json" in refusal.message


@pytest.mark.parametrize(
    "type_",
    ["application/json", "APPLICATION/JSON", "application/json; charset=utf-8", 'application/json;charset="UTF-8"'],
)
async def test_json_may_name_its_letters(watch: Watch, type_: str) -> None:
    response = await watch.hub.http.post("/graphql", content=BODY, headers={"content-type": type_})
    assert response.status_code == 200


async def test_a_form_runs_nothing(watch: Watch) -> None:
    for headers, body in (
        (FORM, "query=%7Bcounty%7Bid%7D%7D"),
        (FORM, BODY),
        (
            {"content-type": "multipart/form-data; boundary=x"},
            '--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n' + BODY + "\r\n--x--\r\n",
        ),
    ):
        assert (await refused(watch, body, headers)).status == 415


# -- sizes -------------------------------------------------------------------------------------------------------------


async def in_pieces(body: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


async def test_a_body_has_so_many_bytes(watch: Watch) -> None:
    fits = BODY.encode().ljust(MOST)
    response = await watch.hub.http.post("/graphql", content=fits, headers=JSON)
    assert response.status_code == 200
    response = await watch.hub.http.post("/graphql", content=in_pieces(fits), headers=JSON)
    assert response.status_code == 200
    for body in (fits + b" ", BODY.encode().ljust(50 * MOST)):
        refusal = await refused(watch, body)
        assert refusal[:2] == (413, "BAD_USER_INPUT")
        assert f"{MOST:,}" in refusal.message
    for door in DOORS:  # without a length in its head
        refusal = await watch.refuses(door, "bodies", content=in_pieces(fits + b" "), headers=JSON)
        assert refusal.status == 413
        # A length that lies, or is none.
        for length in ("5", "-1", "ten", "", "0x10", "1e3", "٣"):
            headers = [(b"content-type", b"application/json"), (b"content-length", length.encode())]
            refusal = await watch.refuses(door, "bodies", content=in_pieces(fits + b" "), headers=headers)
            assert refusal.status == 413, length


async def test_an_endless_body_is_not_read_to_its_end(watch: Watch) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 65536
            yield b" " * 65536

    for door in DOORS:
        read = 0
        assert (await watch.refuses(door, "bodies", content=endless(), headers=JSON)).status == 413
        assert read <= MOST + 2 * 65536


async def test_a_packed_body_is_not_unpacked(watch: Watch) -> None:
    packed = gzip.compress(BODY.encode().ljust(10**7))
    refusal = await refused(watch, packed, {**JSON, "content-encoding": "gzip"})
    assert refusal.status in (400, 415)


# -- forms of JSON -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{} {}",
        b"null",
        b"true",
        b"1",
        b'"{ county { id } }"',
        b"{}",
        b'{"query": null}',
        b'{"query": 1}',
        b'{"query": ["{ county { id } }"]}',
        b'{"query": {"a": 1}}',
        b'{"query": ""}',
        b'{"query": " "}',
        b'{"Query": "{ county { id } }"}',
        b'{"query": "{ county { id } }", "variables": []}',
        b'{"query": "{ county { id } }", "variables": "{}"}',
        b'{"query": "{ county { id } }", "variables": 1}',
        b'{"query": "{ county { id } }", "operationName": 1}',
        b'{"query": "{ county { id } }", "operationName": ["A"]}',
        b'{"query": "{ county { id } }", "variables": {"a": NaN}}',
        b'{"query": "{ county { id } }", "variables": {"a": Infinity}}',
        b'{"query": "{ county { id } }", "variables": {"a": -Infinity}}',
        b'{"query": "{ county { id } }", "variables": {"a": 01}}',
        b'{"query": "{ county { id } }",}',
        b"{'query': '{ county { id } }'}",
        b'{"query": "{ county { id } }", "variables": {"a": ' + b"1" * 5000 + b"}}",
        b'{"query": "{ county { id } }", "variables": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"query": "{ county { id } }", "variables": ' + b'{"a":' * 40_000 + b"1" + b"}" * 40_000 + b"}",
        b"[" * 200_000,
        b"\xff\xfe{}",
        b'{"query": "\xc3\x28"}',
        '{"query": "{ county { id } }"}'.encode("utf-16"),
        b"\xef\xbb\xbf" + BODY.encode(),
        b"\x00" * 1000,
        b"--x\r\n",
        b"query=1",
    ],
    ids=lambda body: repr(body[:40]),
)
async def test_a_body_that_is_no_request_is_bad_input(watch: Watch, body: bytes) -> None:
    refusal = await refused(watch, body)
    assert refusal[:2] == (400, "BAD_USER_INPUT"), refusal


@pytest.mark.parametrize("body", ["[]", f"[{BODY}]", f"[{BODY}, {BODY}]", "[[]]", "[null]", "[1, 2]"])
async def test_a_list_of_operations_is_refused(watch: Watch, body: str) -> None:
    refusal = await refused(watch, body)
    assert refusal[:2] == (400, "BAD_USER_INPUT")
    assert "One operation" in refusal.message


async def test_variables_have_so_many_values(watch: Watch) -> None:
    limits = Limits()
    query = "query($v: WardFilter) { wards(where: $v) { totalCount } }"

    def rows(count: int) -> dict[str, Any]:
        lists = [1] * count
        return {"v": {"or": [{"population": {"in": lists[at : at + 1000]}} for at in range(0, count, 1000)]}}

    await watch.passes(query, rows(limits.max_variable_leaves))
    for count in (limits.max_variable_leaves + 1, 40_000):
        refusal = await watch.refused(query, rows(count), kind="variables")
        assert refusal[:2] == (400, "QUERY_TOO_COMPLEX"), refusal
        assert "5,000" in refusal.message
    refusal = await watch.refused(query, {"v": {"or": [{}] * 20_000}}, kind="variables")
    assert refusal[:2] == (400, "QUERY_TOO_COMPLEX"), "empty members are values too"
    refusal = await watch.refused(query, {f"v{at}": {} for at in range(9_000)}, kind="variables")
    assert refusal[:2] == (400, "QUERY_TOO_COMPLEX")


async def test_variables_nest_so_deep(watch: Watch) -> None:
    query = "query($v: WardFilter) { wards(where: $v) { totalCount } }"

    def nested(levels: int) -> dict[str, Any]:
        where: dict[str, Any] = {"code": {"eq": "1186"}}  # two levels, and the value
        for _ in range(levels - 2):
            where = {"not": where}
        return {"v": where}

    most = Limits().max_variable_depth
    assert await watch.passes(query, nested(most - 1))
    for levels in (most + 1, 200):
        refusal = await watch.refused(query, nested(levels), kind="variables")
        assert refusal[:2] == (400, "QUERY_TOO_COMPLEX"), refusal
        assert "16" in refusal.message
    # Unknown variables count as well.
    refusal = await watch.refused("{ county { id } }", nested(200), kind="variables")
    assert refusal.code == "QUERY_TOO_COMPLEX"


async def test_the_last_of_two_members_of_one_name_counts(watch: Watch) -> None:
    """Whoever looks at the body before the hub does must see what the hub sees: what JSON readers mostly do."""
    response = await watch.hub.http.post(
        "/graphql", content='{"query": "{ nothing }", "query": "{ county { code } }"}', headers=JSON
    )
    assert response.json() == {"data": {"county": {"code": "042"}}}


async def test_members_that_nobody_knows_are_passed_over(watch: Watch) -> None:
    asked = {**ASKED, "extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0"}}, "id": 1, "operations": []}
    response = await watch.hub.http.post("/graphql", json=asked)
    assert response.status_code == 200


# -- answers -----------------------------------------------------------------------------------------------------------


async def test_a_refusal_is_json_that_nobody_keeps(watch: Watch) -> None:
    for content in ("{", BODY.replace("county", "nothing"), BODY.replace("id", "id " * 30)):
        response = await watch.hub.http.post("/graphql", content=content, headers=JSON)
        assert response.status_code == 400
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "no-store" in response.headers.get("cache-control", "")


async def test_a_refusal_repeats_letters_that_no_encoding_has(watch: Watch) -> None:
    for body in (
        '{"query": "{ county { id } }", "operationName": "\\ud800"}',
        '{"query": "query($v: Int) { wards(first: $v) { totalCount } }", "variables": {"v": "\\ud800"}}',
        '{"query": "query($v: Int) { wards(first: $v) { totalCount } }", "variables": {"v": {"\\udfff": 1}}}',
        '{"query": "query($v: WardFilter) { wards(where: $v) { totalCount } }", "variables": {"v": {"\\udfff": 1}}}',
        '{"query": "query($v: Position!) { wardAt(point: $v) { code } }", "variables": {"v": ["\\udfff"]}}',
        '{"query": "{ county { id \\ud800 } }"}',
    ):
        refusal = await refused(watch, body)
        assert refusal[:2] == (400, "BAD_USER_INPUT"), refusal


SECRET = "canary-3141592"


class Broken(Exception):
    """An error that nobody foresaw, with what no caller may see in it."""


@pytest.mark.parametrize(
    "error",
    [
        Broken(f"select {SECRET} from people"),
        KeyError(SECRET),
        ValueError(SECRET),
        asyncpg.UndefinedColumnError(f"column {SECRET} does not exist"),
        asyncpg.UniqueViolationError(f"Key (phone)=({SECRET}) already exists."),
        RecursionError(SECRET),
        MemoryError(SECRET),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_broke_inside_is_answered_with_a_number_only(
    database: County, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    async with running(database.login_url) as hub:

        async def fails(*_: Any) -> Any:
            raise error

        monkeypatch.setattr(hub.app.state.sessions, "_fetch", fails)  # the database itself stays as it is
        with caplog.at_level(logging.DEBUG):
            response = await hub.post("{ county { id } }")
        assert response.status_code == 500
        told = response.json()["errors"][0]
        assert told["extensions"]["code"] == "INTERNAL"
        assert told["extensions"]["number"] in told["message"]
        for text in (response.text, str(response.headers)):
            assert SECRET not in text
            assert "Traceback" not in text
            assert ".py" not in text
        assert told["extensions"]["number"] in caplog.text
        assert SECRET not in caplog.text


# -- one statement -----------------------------------------------------------------------------------------------------


def variables_of(path: Path) -> Any:
    heads = (
        line.removeprefix("# variables: ") for line in path.read_text().splitlines() if line.startswith("# variables: ")
    )
    return next((json.loads(line) for line in heads), None)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
async def test_an_operation_is_one_statement(watch: Watch, path: Path) -> None:
    await watch.passes("{ county { id } }")  # the caller has been told to the connection
    watch.sessions.sent()
    await watch.passes(path.read_text(), variables_of(path))
    sent = watch.sessions.sent()
    assert len(sent) == 1, sent
    assert sent[0].startswith("SELECT convert_to(")


async def test_a_question_for_its_statement_sends_none(watch: Watch) -> None:
    watch.sessions.sent()
    for path in CASES:
        asked = {"query": path.read_text(), "variables": variables_of(path)}
        response = await watch.hub.http.post("/graphql/sql", json=asked)
        assert response.status_code == 200, response.text
        assert response.json()["statement"].startswith("select")
    assert not watch.sessions.statements
