"""`hub …` as an operator meets it: real processes, real ports, real signals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import click
import psycopg
import pytest

from hub.cli import main
from hub.database.embedded import Cluster
from hub.settings import PROJECT
from tests.commands import STOPPING, Process, crowd, eventually_gone, hub, new_home, processes

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home that the first test which starts a hub fills, and the others find full."""
    place = new_home()
    yield place
    shutil.rmtree(place.parent, ignore_errors=True)


@pytest.fixture(scope="module")
def running(home: Path) -> Iterator[Process]:
    with Process("up", HUB_HOME=str(home)) as process:
        process.address()
        yield process


# -- help --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(main.commands))
def test_every_command_explains_itself(name: str) -> None:
    command = main.commands[name]
    with click.Context(command, info_name=f"hub {name}") as context:
        summary = command.get_short_help_str(100)
        assert summary.endswith(".")
        assert not summary.endswith("...")
        assert summary in command.get_help(context)


def test_help_is_there_at_once() -> None:
    began = time.monotonic()
    told = hub("--help").stdout
    assert time.monotonic() - began < 2 * crowd()
    listed = [line.split()[0] for line in told.split("Commands:\n")[1].splitlines() if line.startswith("  ")][:8]
    assert listed == ["up", "serve", "migrate", "sdl", "sql", "journal", "doctor", "user"]
    assert "hub/docs/settings.md" in told


# -- beside a running hub ----------------------------------------------------------------------------------------------


def test_up_brings_the_county(running: Process) -> None:
    with urllib.request.urlopen(f"{running.address()}/health/ready", timeout=10) as answer:
        assert json.load(answer)["status"] == "ready"
        assert "server" not in answer.headers


def test_a_second_hub_from_the_same_folder_hears_of_the_first(running: Process, home: Path) -> None:
    second = hub("up", HUB_HOME=str(home))
    assert second.returncode == 1
    assert second.stderr == (
        f"Another hub is running from here (process {running.process.pid}, {running.address()}). "
        "Stop it, or set HUB_HOME and HUB_PORT.\n"
    )


@needs_proc
def test_a_taken_port_is_named_with_its_holder_before_anything_slow(running: Process) -> None:
    place = new_home()
    port = running.address().rpartition(":")[2]
    second = hub("up", HUB_HOME=str(place), HUB_PORT=port)
    assert second.returncode == 1
    assert second.stderr == (
        f"Port {port} is taken (by hub, process {running.process.pid}). "
        f"Stop that program or choose another: HUB_PORT={int(port) + 1} make up\n"
    )
    assert not (place / "data").exists()
    shutil.rmtree(place.parent)


def test_serve_is_a_second_server_on_the_same_database(running: Process, home: Path) -> None:
    with Process("serve", HUB_HOME=str(home)) as second:
        assert second.address() != running.address()
        with urllib.request.urlopen(f"{second.address()}/health/ready", timeout=10) as answer:
            assert json.load(answer)["checks"]["database"]
        assert second.end() == 0
    assert processes(home)


def test_migrate_and_doctor_work_beside_it(running: Process, home: Path) -> None:
    assert hub("migrate", HUB_HOME=str(home)).stdout.endswith("The database is up to date.\n")
    examined = hub("doctor", HUB_HOME=str(home))
    assert examined.returncode == 0, examined.stdout
    for checked in ("fsync", "wal_level", "data_checksums", "migrations", "hub_login", "clock", "free at"):
        assert checked in examined.stdout
    assert processes(home)


def test_with_a_database_of_ones_own_the_embedded_one_is_never_touched(running: Process, home: Path) -> None:
    elsewhere = new_home()
    cluster = Cluster(home)
    login, owner = cluster.url(Cluster.LOGIN), cluster.url(Cluster.OWNER)
    for more in ({}, {"HUB_OWNER_URL": owner}):
        with Process("up", HUB_HOME=str(elsewhere), HUB_DATABASE_URL=login, **more) as own:
            own.address()
            assert own.end() == 0
    assert not elsewhere.exists()
    cluster.create_database("empty")
    refused = hub("up", HUB_HOME=str(elsewhere), HUB_DATABASE_URL=cluster.url(Cluster.OWNER, "empty"))
    assert refused.returncode == 1
    assert "HUB_OWNER_URL is not set: set it to a role that may migrate" in refused.stderr
    refused = hub("migrate", HUB_DATABASE_URL=login)
    assert refused.stderr.startswith("HUB_OWNER_URL is not set")
    shutil.rmtree(elsewhere.parent)


def test_doctor_finds_what_is_wrong(running: Process, home: Path) -> None:
    with psycopg.connect(Cluster(home).url(Cluster.OWNER), autocommit=True) as owner:
        owner.execute("alter system set synchronous_commit = off")
        owner.execute("select pg_reload_conf()")
        owner.execute("alter role hub_login inherit bypassrls")
        owner.execute("create table hub_login_table ()")
        owner.execute("alter table hub_login_table owner to hub_login")
        try:
            examined = hub("doctor", HUB_HOME=str(home))
        finally:
            owner.execute("alter system reset synchronous_commit")
            owner.execute("select pg_reload_conf()")
            owner.execute("alter role hub_login noinherit nobypassrls")
            owner.execute("drop table hub_login_table")
    assert examined.returncode == 1
    wrong = [line for line in examined.stdout.splitlines() if line.startswith("mend")]
    assert len(wrong) == 3
    assert "synchronous_commit is off, so an acknowledged report may be lost" in wrong[0]
    assert "hub_login is inherit, bypassrls: it would see what policies hide" in wrong[1]
    assert "alter role hub_login noinherit nobypassrls" in wrong[1]
    assert "owns 1 objects" in wrong[2]


def test_a_second_signal_ends_a_request_that_does_not_end(running: Process, home: Path) -> None:
    port = int(running.address().rpartition(":")[2])
    with Process("serve", HUB_HOME=str(home), HUB_DRAIN_SECONDS="60") as second:
        port = int(second.address().rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as client:
            head = b"POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            client.sendall(head + b"content-length: 9\r\n\r\n{")
            time.sleep(0.3)
            second.process.send_signal(signal.SIGINT)
            second.says(STOPPING)
            time.sleep(1)
            assert second.process.poll() is None
            assert second.end() == 0


# -- its end -----------------------------------------------------------------------------------------------------------


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_with_one_line(
    home: Path, number: signal.Signals, request: pytest.FixtureRequest
) -> None:
    place = stopped(home, request)
    with Process("up", HUB_HOME=str(place)) as process:
        process.address()
        assert time.monotonic() - process.began < 10 * crowd()
        assert process.end(number) == 0
        assert process.lines[-1] == STOPPING
        assert process.lines.count(STOPPING) == 1
        assert not processes(place)


@needs_proc
def test_a_signal_during_the_first_start_leaves_nothing() -> None:
    place = new_home()
    for moment in ("Making a private", "Migration", "County"):
        with Process("up", HUB_HOME=str(place)) as process:
            process.says(moment)
            assert process.end() == 0
            # The step that was under way when the signal came may still be told of.
            assert STOPPING in process.lines[-2:]
            assert not processes(place)
    with Process("up", HUB_HOME=str(place)) as process:
        process.address()
    shutil.rmtree(place.parent)


@needs_proc
def test_a_killed_hub_leaves_no_process_and_starts_again(home: Path, request: pytest.FixtureRequest) -> None:
    place = stopped(home, request)
    with Process("up", HUB_HOME=str(place)) as process:
        process.address()
        assert processes(place)
        process.end(signal.SIGKILL)
        assert eventually_gone(place)
    with Process("up", HUB_HOME=str(place)) as process:
        process.address()


@needs_proc
def test_it_says_so_when_its_database_dies(home: Path, request: pytest.FixtureRequest) -> None:
    place = stopped(home, request)
    with Process("up", HUB_HOME=str(place)) as process:
        process.address()
        postmaster = int((place / "data/postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGQUIT)
        assert process.wait() == 1
        told = "\n".join(process.lines)
        assert "PostgreSQL ended by itself, so the hub stops. Its last lines:" in told
        assert "received immediate shutdown request" in told
        assert not processes(place)


def stopped(home: Path, request: pytest.FixtureRequest) -> Path:
    """The filled home, once the hub that the tests above shared has ended."""
    running: Process = request.getfixturevalue("running")
    if running.process.poll() is None:
        assert running.end() == 0
    return home


# -- without a database ------------------------------------------------------------------------------------------------


def test_serve_and_doctor_say_when_there_is_no_database() -> None:
    place = new_home()
    refused = hub("serve", HUB_HOME=str(place))
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"No database runs in {place}. `hub up` starts it")
    examined = hub("doctor", HUB_HOME=str(place))
    assert examined.returncode == 0
    assert f"No database yet in {place}: `hub up` makes it." in examined.stdout
    assert not place.exists()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"HUB_PORT": "many"}, "HUB_PORT=many: Input should be a valid integer"),
        ({"HUB_HOST": "192.0.2.1"}, "HUB_HOST=192.0.2.1 is no address of this machine."),
        ({"HUB_PROT": "8001", "HUB_HOST": "192.0.2.1"}, "HUB_PROT is no setting of the hub: HUB_PORT is meant?"),
        (
            {"HUB_DATABASE_URL": "postgresql://hub_login@127.0.0.1:9/hub"},
            "(It is the database of HUB_DATABASE_URL.)",
        ),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, str], sentence: str) -> None:
    place = new_home()
    refused = hub("up", HUB_HOME=str(place), **settings)
    assert refused.returncode == 1
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr
    shutil.rmtree(place.parent)


def test_sdl_prints_the_schema() -> None:
    assert "type Query {" in hub("sdl").stdout


def test_sql_prints_a_statement_without_a_database(tmp_path: Path) -> None:
    file = tmp_path / "wards.graphql"
    file.write_text("query Wards($first: Int) { wards(first: $first) { edges { node { name } } } }")
    told = hub("sql", str(file), "--variables", '{"first": 3}', HUB_HOME=str(tmp_path / "none"))
    assert told.returncode == 0, told.stderr
    assert "select" in told.stdout
    assert not (tmp_path / "none").exists()
    assert "no JSON" in hub("sql", str(file), "--variables", "{first: 3}").stderr
    assert "an object is needed" in hub("sql", str(file), "--variables", "[3]").stderr


def test_the_module_runs_as_a_program() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "hub.cli", "--version"], capture_output=True, text=True, cwd=PROJECT, check=True
    )
    assert told.stdout.startswith("hub, version ")
