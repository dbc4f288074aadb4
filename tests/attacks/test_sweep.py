"""Rubbish at every door: what is refused, how, and that nothing changes by it.

The table in hub/docs/refused.md is made here (`pytest --update`): a new path without a row fails, and so does a refusal
that changed without the table. What GraphQL itself refuses is in the other files beside this one.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from tests.conftest import PASSWORD, SIGN_IN, County, make_person
from tests.sockets import Listening, serving

TABLE = Path(__file__).parents[2] / "hub/docs/refused.md"
HEAD = """# What is refused, and how

Made by `tests/attacks/test_sweep.py`: every path of the hub with what it does not take. Nothing of it changes a row.
What GraphQL refuses in operations (depth, aliases, cost, bad shapes) is tried in `tests/attacks` beside it.

| path | sent | status | says |
|---|---|---|---|
"""
NOBODYS = "018f0000-0000-7000-8000-000000000000"
JSON = {"content-type": "application/json"}
OURS = {"x-hub": "1", **JSON}
LONG = "x" * 300_000


@dataclass(frozen=True, eq=False)
class Attempt:
    """One bad request. `path` is the route that it tries."""

    route: str
    what: str
    method: str
    address: str
    status: int
    says: str
    """Words of the answer's message: which part is wrong, or what would be right."""
    content: bytes | str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    signed_in: bool = False


def _graphql() -> list[Attempt]:
    def post(what: str, status: int, says: str, content: bytes | str, **head: str) -> Attempt:
        return Attempt("/graphql", what, "POST", "/graphql", status, says, content, {**JSON, **head})

    return [
        post("no JSON", 400, "JSON", "{"),
        post("a list of operations", 400, "One operation", '[{"query":"{ me { name } }"}]'),
        post("an unknown field", 400, "Cannot query field", '{"query":"{ nothing }"}'),
        post("a body over 256 KiB", 413, "bytes", json.dumps({"query": LONG})),
        Attempt("/graphql", "a form", "POST", "/graphql", 415, "application/json", "query=x",
                {"content-type": "application/x-www-form-urlencoded"}),
        Attempt("/graphql", "an operation by GET", "GET", "/graphql?query={me{name}}", 405, "by POST"),
        post("a token that is none", 401, "token", '{"query":"{ me { name } }"}', authorization="Bearer x"),
        Attempt("/graphql/sql", "no JSON", "POST", "/graphql/sql", 400, "JSON", "{", JSON),
        Attempt("/graphql/explain", "no JSON", "POST", "/graphql/explain", 400, "JSON", "{", JSON),
        Attempt("/graphql/explain", "from nobody", "POST", "/graphql/explain", 401, "Sign in",
                '{"query":"{ wards { totalCount } }"}', JSON),
        Attempt("/graphql/explain", "what reads no table", "POST", "/graphql/explain", 400, "no table",
                '{"query":"{ __typename }"}', JSON),
    ]  # fmt: skip


def _tiles() -> list[Attempt]:
    route = "/tiles/{layer}/{z}/{x}/{y}.mvt"
    return [
        Attempt(route, what, "GET", f"/tiles/{address}.mvt", status, says)
        for what, address, status, says in (
            ("an unknown layer", "people/0/0/0", 404, "there are wards"),
            ("a zoom beyond 22", "wards/23/0/0", 400, "0 to 22"),
            ("a column outside of its zoom", "wards/1/2/0", 400, "0 to 1"),
            ("a number with a sign", "wards/1/-1/0", 400, "whole number"),
            ("a fraction", "wards/1.5/0/0", 400, "whole number"),
            ("digits of another script", "wards/1/%D9%A1/0", 400, "plain decimal digits"),
        )
    ]


def _exports() -> list[Attempt]:
    route = "/export/{layer}.{format}"
    return [
        Attempt(route, what, "GET", f"/export/{address}", status, says)
        for what, address, status, says in (
            ("an unknown layer", "people.csv", 404, "there are wards"),
            ("an unknown format", "wards.xlsx", 404, "there are arrow"),
            ("an unknown parameter", "wards.csv?limit=1", 400, "limit"),
            ("a filter that is no JSON", "wards.csv?where={", 400, "where: send JSON"),
            ("a filter of another list", 'wards.csv?where={"plate":{"eq":"x"}}', 400, "plate"),
            ("a box of three numbers", 'wards.csv?where={"boundary":{"bbox":[1,2,3]}}', 400, "four numbers"),
            ("a negative number of rows", "wards.csv?first=-1", 400, "first"),
        )
    ]


def _intake() -> list[Attempt]:
    ndjson, geojson = {"content-type": "application/x-ndjson"}, {"content-type": "application/geo+json"}
    keyed = {"authorization": "Bearer none"}
    line = json.dumps({"recordedAt": "2026-03-02T06:00:00Z", "location": [34.7, -0.1]})
    bomb = gzip.compress(b" " * 40_000_000)
    return [
        Attempt("/intake/osmand", "no key", "GET", "/intake/osmand?lat=1&lon=34", 400, ""),
        Attempt("/intake/osmand", "an unknown key", "GET", "/intake/osmand?id=x&lat=-0.1&lon=34.7", 400, ""),
        Attempt("/intake/osmand", "a latitude of 91", "GET", "/intake/osmand?id=x&lat=91&lon=34", 400, ""),
        Attempt("/intake/osmand", "a body over its size", "POST", "/intake/osmand", 413, "", LONG, JSON),
        Attempt("/intake/owntracks", "no password", "POST", "/intake/owntracks", 401, "", '{"_type":"location"}', JSON),
        Attempt("/intake/owntracks", "no JSON", "POST", "/intake/owntracks", 401, "", "{", {**JSON}),
        Attempt("/intake/batch", "another type", "POST", "/intake/batch", 415, "", line, {**JSON, **keyed}),
        Attempt("/intake/batch", "an unknown key", "POST", "/intake/batch", 401, "key", line, {**ndjson, **keyed}),
        Attempt("/intake/batch", "no gzip", "POST", "/intake/batch", 400, "gzip", line,
                {**ndjson, **keyed, "content-encoding": "gzip"}),
        Attempt("/intake/batch", "a gzip bomb", "POST", "/intake/batch", 413, "nothing of it was stored", bomb,
                {**ndjson, **keyed, "content-encoding": "gzip"}),
        Attempt("/intake/batch", "a line without end", "POST", "/intake/batch", 413, "line 1", LONG,
                {**ndjson, **keyed}),
        Attempt("/intake/batch", "GeoJSON of another kind", "POST", "/intake/batch", 400, "FeatureCollection",
                '{"type":"Point"}', {**geojson, **keyed}),
    ]  # fmt: skip


def _photos() -> list[Attempt]:
    image = {"content-type": "image/jpeg", "x-hub": "1"}
    to = f"/incidents/{NOBODYS}/photos"
    return [
        Attempt("/incidents/{id}/photos", "from nobody", "POST", to, 401, "Sign in", b"\xff\xd8\xff", image),
        Attempt("/incidents/{id}/photos", "to no incident", "POST", to, 404, "", b"\xff\xd8\xff", image, True),
        Attempt("/photos/{id}", "no id", "GET", "/photos/x", 404, ""),
        Attempt("/photos/{id}", "an id of nothing", "GET", f"/photos/{NOBODYS}", 404, ""),
        Attempt("/photos/{id}/thumbnail", "an id of nothing", "GET", f"/photos/{NOBODYS}/thumbnail", 404, ""),
    ]


def _pages() -> list[Attempt]:
    return [
        Attempt("/static/{name:path}", "a way out of the folder", "GET", "/static/..%2Fsettings.py", 404, ""),
        Attempt("/static/{name:path}", "a NUL", "GET", "/static/main.js%00", 404, ""),
        Attempt("/sign-in", "another method", "PUT", "/sign-in", 405, ""),
        Attempt("/welcome/invitation", "a code that is none", "POST", "/welcome/invitation", 404, "",
                '{"code":"x"}', OURS),
        Attempt("/welcome/acceptance", "no JSON", "POST", "/welcome/acceptance", 400, "", "{", OURS),
        Attempt("/demonstration", "where the county works", "POST", "/demonstration", 404, "no demonstration",
                '{"paused":true}', OURS),
        Attempt("/demonstration", "what it does not know", "POST", "/demonstration", 400, "paused",
                '{"stop":true}', OURS),
        Attempt("/demonstration/sign-in", "where the county works", "POST", "/demonstration/sign-in", 404,
                "no demonstration", '{"role":"administrator"}', OURS),
        Attempt("/", "another method", "POST", "/", 405, ""),
        Attempt("/", "a forged host", "GET", "/", 400, "", None, {"host": "evil.example"}),
        Attempt("/welcome", "another method", "POST", "/welcome", 405, ""),
        Attempt("/favicon.ico", "another method", "POST", "/favicon.ico", 405, ""),
        Attempt("/health/live", "another method", "POST", "/health/live", 405, ""),
        Attempt("/health/ready", "another method", "POST", "/health/ready", 405, ""),
        Attempt("/metrics", "through a proxy", "GET", "/metrics", 403, "own machine", None,
                {"x-forwarded-for": "41.90.1.1"}),
        Attempt("/metrics", "another method", "POST", "/metrics", 405, ""),
        Attempt("/nowhere", "a path that there is not", "GET", "/nowhere", 404, ""),
    ]  # fmt: skip


ATTEMPTS = [*_graphql(), *_tiles(), *_exports(), *_intake(), *_photos(), *_pages()]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def swept(copies: Callable[[], AbstractContextManager[County]]) -> AsyncIterator[tuple[Listening, County]]:
    with copies() as county:
        make_person(county, "otieno", "dispatcher")
        async with serving(county.login_url) as hub:
            yield hub, county


def held(county: County) -> Any:
    """What bad input must not change: every table that people and devices write to."""
    with psycopg.connect(county.owner_url) as connection:
        return connection.execute(
            "select (select count(*) from journal), (select count(*) from positions), "
            "(select count(*) from quarantined_fixes), (select count(*) from incidents), "
            "(select count(*) from photos), (select count(*) from people), (select count(*) from demonstrations)"
        ).fetchone()


async def answers(swept: tuple[Listening, County]) -> dict[Attempt, tuple[int, str]]:
    hub, _ = swept
    given = {"query": SIGN_IN, "variables": {"input": {"name": "otieno", "password": PASSWORD}}}
    token = (await hub.http.post("/graphql", json=given)).json()["data"]["signIn"]["token"]
    found = {}
    for each in ATTEMPTS:
        head = {**each.headers, **({"authorization": f"Bearer {token}"} if each.signed_in else {})}
        answer = await hub.http.request(each.method, each.address, content=each.content, headers=head)
        message = ""
        if answer.headers.get("content-type", "").startswith("application/json"):
            told = answer.json()
            message = told["errors"][0]["message"] if "errors" in told else ""
        found[each] = (answer.status_code, message)
    return found


async def test_rubbish_is_refused_in_words_and_changes_nothing(
    swept: tuple[Listening, County], request: pytest.FixtureRequest
) -> None:
    before = held(swept[1])
    found = await answers(swept)
    wrong = [
        (each.route, each.what, status, message)
        for each, (status, message) in found.items()
        if status != each.status or each.says not in message
    ]
    assert not wrong, "\n".join(map(str, wrong))
    assert held(swept[1]) == before
    lines = [
        f"| `{each.route}` | {each.what} | {status} | {_cell(message)} |" for each, (status, message) in found.items()
    ]
    made = HEAD + "\n".join(lines) + "\n"
    if request.config.getoption("--update"):
        TABLE.write_text(made)
    assert TABLE.read_text() == made


def _cell(message: str) -> str:
    text = message.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
    return text if len(text) <= 160 else f"{text[:159]}…"


async def test_every_path_is_swept(swept: tuple[Listening, County]) -> None:
    paths = {getattr(route, "path", "") for route in swept[0].app.routes}
    assert paths <= {each.route for each in ATTEMPTS}
