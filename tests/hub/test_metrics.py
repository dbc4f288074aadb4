"""What an operator reads at `/metrics` and in the log: it adds up over all workers, and tells of nobody."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml
from prometheus_client import Histogram
from prometheus_client.parser import text_string_to_metric_families

from hub.settings import PROJECT, Database, Server, Settings
from hub.watch.figures import OTHER, QUICK, own_operations, settle, took
from hub.watch.statements import fingerprint
from tests.commands import Process, hub
from tests.conftest import SIGN_IN, County, make_person, running
from tests.hub.test_workers import within, workers
from tests.sockets import Listening, serving

Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]
WARDS = "query Wards { wards(first: 3) { nodes { code } } }"


def read(text: str) -> Figures:
    """The figures of a scrape, as Prometheus' own reader understands them."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def at(figures: Figures, name: str, **labels: str) -> float:
    return figures.get((name, tuple(sorted(labels.items()))), 0.0)


async def scraped(http: httpx.AsyncClient, **headers: str) -> Figures:
    answer = await http.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return read(answer.text)


async def test_requests_operations_steps_and_refusals_are_counted(database: County) -> None:
    async with serving(database.login_url) as hub:
        before = await scraped(hub.http)
        for _ in range(3):
            await hub.http.post("/graphql", json={"query": WARDS})
        await hub.http.post("/graphql", json={"query": "query Wards { wards { none } }", "operationName": "Wards"})
        await hub.http.get("/photos/018f0000-0000-7000-8000-000000000000")
        await hub.http.get("/nowhere/at/all")
        after = await scraped(hub.http)

        def more(name: str, **labels: str) -> float:
            return at(after, name, **labels) - at(before, name, **labels)

        assert more("hub_requests_total", door="/graphql", code="200") == 3
        assert more("hub_requests_total", door="/graphql", code="400") == 1
        assert more("hub_requests_total", door="/photos/{id}", code="404") == 1
        assert more("hub_requests_total", door="none", code="404") == 1
        assert more("hub_operations_total", operation="Wards", code="OK") == 3
        assert more("hub_refusals_total", code="BAD_USER_INPUT") == 1
        assert more("hub_step_seconds_count", step="database") == 3
        assert more("hub_step_seconds_count", step="total") == 4
        assert more("hub_request_seconds_count", door="/graphql") == 4
        assert more("hub_statement_seconds_count", scope="hub_public") >= 1  # what it asks for again is kept
        assert more("hub_pool_wait_seconds_count", pool="answers") >= 1
        assert more("hub_kept_total", what="answer", outcome="kept") >= 2
        assert at(after, "hub_pool_most", pool="answers") == 4
        assert at(after, "hub_database_up") == 1
        assert at(after, "hub_disk_free_bytes") > 0
        assert at(after, "hub_worker_memory_bytes", worker="1") > 20e6


def test_times_fall_into_the_buckets_in_which_prometheus_would_put_them() -> None:
    """They are added up by us, and written by its own library: the two must agree about every border."""
    bounds = [*QUICK, 60.0]
    ours, theirs = (Histogram(f"of_{who}", "", ("step",), buckets=QUICK, registry=None) for who in ("us", "them"))
    for seconds in [each * by for each in bounds for by in (0.9, 1.0, 1.1)]:
        took(ours, "x", seconds)
        theirs.labels("x").observe(seconds)
    settle()
    (told,), (expected,) = ours.collect(), theirs.collect()
    for mine, right in zip(told.samples, expected.samples, strict=True):
        assert mine.name.removeprefix("of_us") == right.name.removeprefix("of_them")
        assert mine.labels == right.labels
        assert mine.value == pytest.approx(right.value)


async def test_callers_cannot_write_into_the_figures(database: County) -> None:
    """Whatever an operation is called: only names that the hub knows beforehand are counted by name."""
    async with serving(database.login_url) as hub:
        before = await scraped(hub.http)
        for name in ("Atieno_0712345678", *(f"Made_up_{number}" for number in range(50))):
            answer = await hub.http.post("/graphql", json={"query": f"query {name} {{ county {{ name }} }}"})
            assert answer.status_code == 200
        text = (await hub.http.get("/metrics")).text
        assert "Atieno" not in text
        assert "Made_up" not in text
        more = at(read(text), "hub_operations_total", operation=OTHER, code="OK")
        assert more - at(before, "hub_operations_total", operation=OTHER, code="OK") == 51
        assert {"Wards", "SignIn"} <= own_operations()
        assert len(own_operations()) < 100


async def test_operations_of_ones_own_are_counted_when_the_operator_names_them(database: County) -> None:
    async with serving(database.login_url, server=Server(metrics_operations=("DailyReport",))) as hub:
        await hub.http.post("/graphql", json={"query": "query DailyReport { county { name } }"})
        assert at(await scraped(hub.http), "hub_operations_total", operation="DailyReport", code="OK") >= 1


async def test_failed_sign_ins_are_counted_and_nothing_else_of_them(fresh_database: County) -> None:
    make_person(fresh_database, "akinyi", "dispatcher")
    async with serving(fresh_database.login_url) as hub:
        before = await scraped(hub.http)
        for _ in range(7):
            given = {"input": {"name": "akinyi", "password": "wrong wrong wrong"}}
            await hub.http.post("/graphql", json={"query": SIGN_IN, "variables": given})
        text = (await hub.http.get("/metrics")).text
        after = read(text)
        wrong = at(after, "hub_login_failures_total", why="wrong") - at(before, "hub_login_failures_total", why="wrong")
        held = at(after, "hub_login_failures_total", why="held_back")
        assert wrong == 5
        assert held - at(before, "hub_login_failures_total", why="held_back") == 2
        assert "akinyi" not in text


async def test_the_sealer_transactions_and_the_fleet_are_looked_at(fresh_database: County) -> None:
    make_person(fresh_database, "dispatcher", "dispatcher")
    async with serving(fresh_database.login_url) as hub:
        await a_fleet(hub)
        with psycopg.connect(fresh_database.owner_url) as forgotten:
            forgotten.execute("select 1")  # as somebody leaves it open in psql, whose beginning we may not read
            assert await comes(hub, lambda found: at(found, "hub_oldest_transaction_seconds", database="hub") > 4)
            found = await scraped(hub.http)
        assert at(found, "hub_sealer_lag_seconds") < 5
        assert at(found, "hub_notify_queue_ratio") < 0.1
        assert at(found, "hub_intake_fixes_total", outcome="stored") >= 1
        assert at(found, "hub_intake_fixes_total", outcome="duplicate") >= 1
        assert at(found, "hub_intake_fixes_total", outcome="quarantined") >= 1
        assert at(found, "hub_intake_fixes_total", outcome="refused") >= 1
        assert at(found, "hub_quarantined_fixes", reason="far_away") == 1
        assert at(found, "hub_devices", ward="1208") == 1
        assert at(found, "hub_devices_silent", ward="1208") == 0
        assert at(found, "hub_devices_silent", ward="never heard") == 1
        with psycopg.connect(fresh_database.owner_url) as owner:
            owner.execute("set session_replication_role = replica")
            owner.execute("update latest_positions set received_at = now() - interval '20 minutes'")
        assert await comes(hub, lambda found: at(found, "hub_devices_silent", ward="1208") == 1)


async def test_open_subscriptions_and_what_they_are_told_are_counted(fresh_database: County) -> None:
    make_person(fresh_database, "dispatcher", "dispatcher")
    async with serving(fresh_database.login_url) as hub, hub.socket("dispatcher") as client:
        before = at(await scraped(hub.http), "hub_events_told_total", about="incidents")
        await client.subscribe()
        assert await comes(hub, lambda found: at(found, "hub_subscriptions", about="incidents") == 1)
        await hub.report()
        await client.event()
        found = await scraped(hub.http)
        assert at(found, "hub_events_told_total", about="incidents") == before + 1
        assert at(found, "hub_requests_total", door="ws /graphql", code="101") >= 1
        await client.say({"id": "1", "type": "complete"})
        assert await comes(hub, lambda found: at(found, "hub_subscriptions", about="incidents") == 0)


async def test_a_database_that_is_away_is_told_and_the_rest_goes_on() -> None:
    async with running("postgresql://hub_login@/nowhere?host=/nonexistent") as hub:
        found = await scraped(hub.http)
        assert ("hub_database_up", ()) in found
        assert at(found, "hub_database_up") == 0
        assert at(found, "hub_disk_free_bytes") > 0


async def comes(hub: Listening, what: Any, seconds: float = 30) -> bool:
    async with asyncio.timeout(seconds):
        while not what(await scraped(hub.http)):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    return True


async def a_fleet(hub: Listening) -> None:
    """A vehicle whose device sent a fix from Ahero, twice, one from far away, and rubbish; another that never did."""
    keys = []
    for plate in ("KBX 123A", "KBX 124A"):
        made = await hub.ask(
            "dispatcher",
            "mutation ($input: AddVehicleInput!) { addVehicle(input: $input) { vehicle { id } } }",
            input={"plate": plate, "kind": "AMBULANCE"},
        )
        registered = await hub.ask(
            "dispatcher",
            "mutation ($input: RegisterDeviceInput!) { registerDevice(input: $input) { key } }",
            input={"vehicle": made["addVehicle"]["vehicle"]["id"], "label": "Tracker"},
        )
        keys.append(registered["registerDevice"]["key"])
    for place in ("lat=-0.1723&lon=34.9189", "lat=-0.1723&lon=34.9189", "lat=51.5&lon=0.1"):
        answer = await hub.http.get(f"/intake/osmand?id={keys[0]}&timestamp={_now()}&{place}")
        assert answer.status_code == 200, answer.text
    assert (await hub.http.get(f"/intake/osmand?id={keys[0]}&lat=100&lon=34")).status_code == 400


def _now() -> int:
    from time import time

    return int(time()) // 60 * 60 - 60


# -- who may read them -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "41.90.1.1"},
        {"x-forwarded-proto": "https"},
        {"via": "1.1 proxy"},
        {"host": "hub.kisumu.go.ke"},
    ],
    ids=str,
)
async def test_nobody_reads_them_through_a_proxy(database: County, headers: dict[str, str]) -> None:
    server = Server(allowed_hosts=("127.0.0.1", "hub.kisumu.go.ke"))
    async with serving(database.login_url, server=server) as hub:
        assert (await hub.http.get("/metrics")).status_code == 200
        refused = await hub.http.get("/metrics", headers=headers)
        assert (refused.status_code, refused.json()["errors"][0]["extensions"]["code"]) == (403, "FORBIDDEN")


async def test_nobody_reads_them_from_another_machine(database: County) -> None:
    async with running(database.login_url) as made:
        elsewhere = httpx.ASGITransport(made.app, client=("192.0.2.7", 4711))
        async with httpx.AsyncClient(transport=elsewhere, base_url="http://127.0.0.1") as http:
            assert (await http.get("/metrics")).status_code == 403


async def test_whoever_has_the_token_reads_them_and_nobody_else(database: County) -> None:
    settings = Settings(
        server=Server(metrics_token="corridor-lantern-9"), database=Database(database_url=database.login_url)
    )
    async with running(database.login_url, settings) as made:
        for shown in (
            {},
            {"authorization": "Bearer corridor-lantern-8"},
            {"authorization": "Basic corridor-lantern-9"},
        ):
            refused = await made.http.get("/metrics", headers=shown)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        head = {"authorization": "Bearer corridor-lantern-9"}
        elsewhere = httpx.ASGITransport(made.app, client=("192.0.2.7", 4711))
        async with httpx.AsyncClient(transport=elsewhere, base_url="http://127.0.0.1") as http:
            assert (await http.get("/metrics", headers=head)).status_code == 200


def test_the_token_is_read_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hub_metrics_token").write_text("corridor-lantern-9\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert Server().metrics_token == "corridor-lantern-9"


# -- alarms ------------------------------------------------------------------------------------------------------------

ALARMS = PROJECT / "hub/docs/alarms.yml"


async def test_every_alarm_watches_what_there_is_and_says_what_to_do(fresh_database: County) -> None:
    """A renamed figure would leave an alarm that never rings."""
    make_person(fresh_database, "dispatcher", "dispatcher")
    async with serving(fresh_database.login_url) as hub:
        await a_fleet(hub)
        text = (await hub.http.get("/metrics")).text
        written = (await hub.http.get("/metrics")).text
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    there = {"up"}
    labels: dict[str, set[str]] = {"up": {"job"}}
    for name, kind in kinds.items():
        for each in [name, f"{name}_bucket", f"{name}_count", f"{name}_sum"] if kind == "histogram" else [name]:
            there.add(each)
            labels[each] = set().union(*({label for label, _ in key} for found, key in read(written) if found == each))
    (group,) = yaml.safe_load(ALARMS.read_text())["groups"]
    assert len(group["rules"]) > 10
    for rule in group["rules"]:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        assert rule["labels"] == {"severity": "page"}
        assert rule["annotations"].keys() == {"summary", "do"}
        named = set(re.findall(r"\b(hub_\w+|up)\b", rule["expr"]))
        assert named, rule["alert"]
        assert named <= there, (rule["alert"], named - there)
        for name, chosen in re.findall(r"\b(hub_\w+|up)\{([^}]*)\}", rule["expr"]):
            asked = set(re.findall(r"(\w+)(?==|!)", chosen))
            # What nothing has happened to has no labels to show yet.
            assert asked <= (labels[name] or asked), (rule["alert"], name, asked)
        assert set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) <= set().union(
            *(labels[each] for each in named)
        )


def test_the_alarms_stand_in_the_operators_guide() -> None:
    assert "(alarms.yml)" in (PROJECT / "hub/docs/production.md").read_text()


# -- several workers ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def three(database: County) -> Iterator[Process]:
    with Process("serve", "--workers", "3", HUB_DATABASE_URL=database.login_url) as process:
        process.address()
        yield process


def asked(address: str) -> None:
    """One operation, on a connection of its own: by whichever worker takes it."""
    request = urllib.request.Request(
        f"{address}/graphql", json.dumps({"query": WARDS}).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200


def told(address: str) -> Figures:
    with urllib.request.urlopen(f"{address}/metrics", timeout=20) as answer:
        return read(answer.read().decode())


def counted(address: str) -> float:
    return at(told(address), "hub_operations_total", operation="Wards", code="OK")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_any_worker_answers_for_all_of_them_also_for_those_that_died(three: Process) -> None:
    address = three.address()
    before = counted(address)
    for _ in range(30):
        asked(address)
    within(10, lambda: counted(address) == before + 30)  # a worker adds up once a second
    # Whoever answers the scrape: each on a new connection, many times.
    assert {counted(address) for _ in range(20)} == {before + 30}
    os.kill(workers(three)[1], signal.SIGKILL)
    within(30, lambda: len(workers(three)) == 3 and any("answers again" in line for line in three.lines))
    assert {counted(address) for _ in range(20)} == {before + 30}, "what the dead one counted is gone"
    for _ in range(30):
        asked(address)
    within(10, lambda: counted(address) == before + 60)
    assert {counted(address) for _ in range(20)} == {before + 60}
    memory = {labels for name, labels in told(address) if name == "hub_worker_memory_bytes"}
    assert memory == {(("worker", str(number)),) for number in (1, 2, 3)}


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /dev/shm")
def test_no_figure_falls_while_workers_die_and_nothing_is_left_behind(database: County) -> None:
    def folders(pid: int) -> list[Path]:
        return [*Path("/dev/shm").glob(f"hub-figures-{pid}-*")]

    with Process("serve", "--workers", "2", HUB_DATABASE_URL=database.login_url) as process:
        address, pid = process.address(), process.process.pid
        (folder,) = folders(pid)
        assert folder.stat().st_mode & 0o077 == 0
        over = threading.Event()

        def ask() -> None:
            while not over.is_set():
                try:
                    asked(address)
                except OSError:
                    continue

        asker = threading.Thread(target=ask)
        asker.start()
        try:
            seen = [0.0]
            for round_ in range(2):
                os.kill(workers(process)[round_ % 2], signal.SIGKILL)
                for _ in range(15):
                    try:
                        seen.append(counted(address))
                    except OSError:
                        continue
                within(30, lambda: len(workers(process)) == 2)
        finally:
            over.set()
            asker.join()
        assert seen == sorted(seen), seen
        assert seen[-1] > 0
        process.end()
    assert folders(pid) == []


def test_what_a_killed_hub_left_behind_is_cleared(tmp_path: Path) -> None:
    from hub.watch.figures import place

    here = place()
    left = here.with_name("hub-figures-999999999-gone")
    left.mkdir()
    try:
        again = place()
        assert not left.exists()
        assert here.exists(), "ours is in use"
        again.rmdir()
    finally:
        here.rmdir()


# -- slow statements ---------------------------------------------------------------------------------------------------


async def test_a_slow_statement_is_told_by_its_operation_and_never_with_values(
    database: County, caplog: pytest.LogCaptureFixture
) -> None:
    query = "query Here($at: Position!) { wardAt(point: $at) { code } wards(first: 7) { nodes { code } } }"
    request = "0123456789abcdef0123456789abcdef"
    async with serving(database.login_url, database={"slow_statement_ms": 0}) as hub:
        with caplog.at_level(logging.WARNING, "hub.slow"):
            asked = {"query": query, "variables": {"at": [34.9189, -0.1723]}}
            answer = await hub.http.post("/graphql", json=asked, headers={"x-request-id": request})
            assert answer.json()["data"]["wardAt"]["code"] == "1208"
            shown = (await hub.http.post("/graphql/sql", json=asked)).json()
    lines = [record.getMessage() for record in caplog.records if record.name == "hub.slow"]
    (told,) = [each for line in lines if (each := json.loads(line.removeprefix("slow statement ")))["operation"]]
    assert told.pop("ms") > 0
    assert told == {
        "operation": "Here",
        "request": request,
        "scope": "hub_public",
        "statement": shown["fingerprint"],
        "cost": 7,
    }
    assert "34.9189" not in "".join(lines)


async def test_quick_statements_are_not_told(database: County, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(database.login_url, database={"slow_statement_ms": 9_000}) as hub:
        await hub.http.post("/graphql", json={"query": WARDS})
    assert [record for record in caplog.records if record.name == "hub.slow"] == []


async def test_a_request_id_that_a_caller_made_up_is_not_told(
    database: County, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(database.login_url, database={"slow_statement_ms": 0}) as hub:
        await hub.http.post("/graphql", json={"query": WARDS}, headers={"x-request-id": "0712345678"})
    assert "Wards" in caplog.text
    assert "0712345678" not in caplog.text


async def test_a_change_and_a_subscription_are_told_by_their_names(
    fresh_database: County, caplog: pytest.LogCaptureFixture
) -> None:
    make_person(fresh_database, "dispatcher", "dispatcher")
    async with (
        serving(fresh_database.login_url, database={"slow_statement_ms": 0}) as hub,
        hub.socket("dispatcher") as client,
    ):
        await client.subscribe()
        assert await comes(hub, lambda found: at(found, "hub_subscriptions", about="incidents") == 1)
        query = "mutation Flooded($input: ReportIncidentInput!) { reportIncident(input: $input) { incident { id } } }"
        given = {"kind": "FLOOD", "title": "Canary of Kanyagwegi", "location": [34.9189, -0.1723]}
        await hub.ask("dispatcher", query, input=given)
        await client.event()
    told = [
        json.loads(line.split("slow statement ")[1]) for line in caplog.text.splitlines() if "slow statement" in line
    ]
    assert {("Flooded", "hub_county"), ("Live", "hub_county"), (None, "hub_service")} <= {
        (each["operation"], each["scope"]) for each in told
    }
    assert "Canary" not in caplog.text


def test_the_fingerprint_in_the_log_is_that_of_the_command(tmp_path: Path) -> None:
    file = tmp_path / "wards.graphql"
    file.write_text(WARDS)
    said = hub("sql", str(file)).stdout
    (shown,) = re.findall(r"-- Its fingerprint in the log: ([0-9a-f]{16})", said)
    from schema.api import schema

    statement, _ = schema.compiled(WARDS, None, None, Settings().limits)
    assert shown == fingerprint(statement.sql)
