"""Q1 to Q5 from every server in turns, after their answers were held against each other."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from bench import load
from bench.questions import Question, check
from bench.report import Figure


def asker(url: str, token: str) -> Callable[[bytes], bytes]:
    """Sends GraphQL to a server over one connection, which is kept."""
    parts = urlsplit(url)
    line = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})

    def ask(body: bytes) -> bytes:
        line.request("POST", "/graphql", body, headers)
        return line.getresponse().read()

    return ask


def measured(
    question: Question,
    urls: dict[str, str],
    token: str,
    owner: psycopg.Connection,
    work: Path,
    rounds: int,
    seconds: int,
    lack: Callable[[str, str], None],
) -> Figure:
    """One question. Who answers otherwise than the hub is told of by `lack` and left out. Raises Broken."""
    tokens = {name: token if name in ("hub", "anew") else "" for name in urls}
    wrong = check(question, {name: asker(url, tokens[name]) for name, url in urls.items()})
    for name, why in wrong.items():
        lack(name, f"it is answered otherwise: {why}")
    targets = {
        name: load.Target(url, load.post("/graphql", question.bodies(name)), tokens[name])
        for name, url in urls.items()
        if name not in wrong
    }
    return _figure(question, load.in_turns(targets, owner, work, rounds=rounds, seconds=seconds, lack=lack))


def _figure(question: Question, heard: dict[str, load.Heard]) -> Figure:
    rates = {name: one.rate for name, one in heard.items()}
    return Figure(
        question.name,
        question.says,
        "requests/s",
        "higher",
        rates.pop("hub"),
        rates,
        {name: (one.at("p50"), one.at("p95"), one.at("p99")) for name, one in heard.items()},
    )
