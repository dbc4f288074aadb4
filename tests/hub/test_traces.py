"""Traces go to a collector that the environment names, and hold no value; without one nothing of it is loaded."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hub.settings import Limits
from hub.watch.statements import fingerprint
from schema.api import schema
from schema.errors import ANSWERS
from tests.commands import Process
from tests.conftest import County

HERE = "query Here($at: Position!) { wardAt(point: $at) { code } }"


class Collector:
    """A tiny OTLP receiver on loopback: keeps the bytes that it was sent."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/traces":
                    collector.bodies.append(body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def spans(self) -> list[tuple[str, dict[str, Any], bytes, bytes]]:
        """Name, attributes, own id and parent's id."""
        found = []
        for body in self.bodies:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        said = {each.key: each.value.string_value or each.value.int_value for each in span.attributes}
                        found.append((span.name, said, span.span_id, span.parent_span_id))
        return found


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        collector.server.shutdown()
        thread.join()
        collector.server.server_close()


def sent(address: str, document: str, **variables: Any) -> int:
    body = json.dumps({"query": document, "variables": variables}).encode()
    request = urllib.request.Request(f"{address}/graphql", body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_collector_gets_what_took_how_long_and_no_value(database: County, workers: str) -> None:
    with collecting() as collector:
        given = {"HUB_DATABASE_URL": database.login_url, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address}
        with Process("serve", "--workers", workers, OTEL_BSP_SCHEDULE_DELAY="200", **given) as process:
            assert sent(process.address(), HERE, at=[34.9189, -0.1723]) == 200
            refused = 'query Wrong { wards(where: { code: { eq: "Canary Akinyi" } }) { nodes { secretOfCanary } } }'
            assert sent(process.address(), refused) == 400
            began = time.monotonic()
            while len([name for name, *_ in collector.spans() if name == "request"]) < 2:
                assert time.monotonic() - began < 20, collector.spans()
                time.sleep(0.05)
    spans = collector.spans()
    of = {name: said for name, said, _, _ in spans if said.get("hub.code") != "BAD_USER_INPUT"}
    statement, _ = schema.compiled(HERE, {"at": [34.9189, -0.1723]}, None, Limits())
    assert of["operation"] == {"graphql.operation.name": "Here", "hub.code": "OK"}
    stated = [said for name, said, _, _ in spans if name == "statement"]
    assert {"hub.statement": fingerprint(statement.sql), "hub.scope": "hub_public"} in stated
    doors = [said for name, said, _, _ in spans if name == "request"]
    assert {"hub.door": "/graphql", "http.response.status_code": 200} in doors
    assert {"hub.door": "/graphql", "http.response.status_code": 400} in doors
    codes = {said["hub.code"] for name, said, _, _ in spans if name == "operation"}
    assert codes == {"OK", "BAD_USER_INPUT"} <= {"OK", *(code for code, _ in ANSWERS.values())}
    # Each lies in the one around it.
    ids = {own: name for name, _, own, _ in spans}
    # What the hub asks by itself meanwhile lies in nothing.
    asked = [span for span in spans if span[1].get("hub.scope") in (None, "hub_public")]
    around = {name: ids.get(parent) for name, _, _, parent in asked}
    assert around["operation"] == "request"
    assert (around["parse"], around["compile"], around["database"]) == ("operation",) * 3
    assert around["statement"] == "database"
    everything = b"".join(collector.bodies)
    assert b"kisumu-hub" in everything
    for value in (b"34.9189", b"-0.1723", b"Canary", b"SELECT", b"wardAt"):
        assert value not in everything, value


def test_nothing_of_it_is_loaded_without_a_collector() -> None:
    """With one it would be: so that the look itself is seen to find something."""
    script = """
import asyncio, sys
from hub.app import create_app
from hub.settings import Database, Settings
app = create_app(Settings(database=Database(database_url="postgresql://hub_login@/nowhere?host=/nonexistent")))
async def main():
    async with app.router.lifespan_context(app):
        print(sorted(name for name in sys.modules if name.split(".")[0] in ("opentelemetry", "google", "requests")))
asyncio.run(main())
"""
    own = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    without = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=own, check=False)
    assert without.stdout == "[]\n", without.stderr
    with_one = own | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=with_one, check=False)
    assert "opentelemetry.sdk.trace" in told.stdout, told.stderr
