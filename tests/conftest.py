"""What several tests need: one PostGIS cluster per run, and databases in it that hold the county.

Under xdist the controller starts the cluster and the workers share it, each with a database of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
import pytest_asyncio
from hypothesis import settings
from psycopg import sql

from hub.app import create_app
from hub.county.load import load_county
from hub.database.embedded import Cluster
from hub.database.ground import open_schema
from hub.database.migrate import migrate
from hub.identity.passwords import HASHER
from hub.settings import Database, Settings
from hub.users import accounts, add

PREFIX = "hub-tests-"
TEMPLATE = "template_county"

LONGEST = (
    "hub/test_incidents_page.py",
    "leaks/test_answers.py",
    "hub/test_map_page.py",
    "hub/test_vehicles_page.py",
    "faults/test_faults.py",
    "test_notebooks.py",
    "hub/test_crowded_page.py",
    "hub/test_graphiql_page.py",
    "leaks/test_doors.py",
    "leaks/test_live.py",
    "leaks/test_changes.py",
    "hub/test_embedded.py",
    "hub/test_workers.py",
)
"""Files that take longest. They are begun first, so that no process works on one of them while the others are done."""

shared: dict[str, Cluster] = {}  # the controller's cluster under xdist, from its first worker to its end


@dataclass(frozen=True)
class County:
    """A database on the run's cluster."""

    name: str
    owner_url: str
    login_url: str


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="write what query cases and the printed schema become now")


def pytest_configure(config: pytest.Config) -> None:
    # A shell that starts us in the background has Ctrl-C ignored, and every command that a test ends by it would go on.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # xdist would begin with the files of most tests, and those of few that take minutes would be left for the end.
    config.option.loadscopereorder = False
    # On a full machine anything may take a second, and says nothing of the code.
    settings.register_profile("unhurried", settings.default, deadline=None)
    settings.load_profile("unhurried")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {Path(__file__).parent / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(LONGEST)))


# -- the cluster -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A running cluster, gone after the run."""
    elsewhere = getattr(request.config, "workerinput", {}).get("home")
    if elsewhere is not None:
        yield Cluster(Path(elsewhere))  # only asked for URLs: it runs in the controller
        return
    cluster = started(durable=False)
    try:
        yield cluster
    finally:
        ended(cluster)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    if not shared:
        shared["cluster"] = started(durable=False)
    node.workerinput["home"] = str(shared["cluster"].home)  # type: ignore[attr-defined]


def pytest_unconfigure() -> None:
    if shared:
        ended(shared.pop("cluster"))


def started(*, durable: bool = True) -> Cluster:
    sweep()
    # Its name holds our number, so that a later run can tell whether anybody still needs it. Not pytest's own folder:
    # when root runs the tests, the cluster's user may not enter that.
    place = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    place.chmod(0o711)
    cluster = Cluster(place / "home")
    try:
        cluster.start()
        if not durable:
            # Hundreds of databases come and go, each waiting for all the disk has to write; nothing outlives the run.
            with psycopg.connect(cluster.url(cluster.OWNER, "postgres"), autocommit=True) as connection:
                connection.execute("alter system set fsync = off")
                connection.execute("select pg_reload_conf()")
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return cluster


def ended(cluster: Cluster) -> None:
    cluster.stop()
    shutil.rmtree(cluster.home.parent, ignore_errors=True)


def sweep() -> None:
    """Remove what killed runs left behind."""
    for place in Path(tempfile.gettempdir()).glob(f"{PREFIX}[0-9]*-*"):
        with suppress(ValueError, PermissionError):
            try:
                os.kill(int(place.name.removeprefix(PREFIX).split("-")[0]), 0)
            except ProcessLookupError:
                shutil.rmtree(place, ignore_errors=True)


# -- databases ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def template(cluster: Cluster) -> str:
    """Name of a database that was migrated and loaded once, to be copied."""
    with psycopg.connect(cluster.url(cluster.OWNER, "postgres"), autocommit=True) as connection:
        # The first worker makes it, the others wait here; only a whole one gets the name.
        connection.execute("select pg_advisory_lock(hashtext(%s))", (TEMPLATE,))
        if connection.execute("select from pg_database where datname = %s", (TEMPLATE,)).fetchone() is None:
            made = at(cluster, "template_in_the_making")
            cluster.create_database(made.name)
            migrate(made.owner_url, made.login_url)
            load_county(made.owner_url)
            connection.execute(f"alter database template_in_the_making rename to {TEMPLATE}")
    return TEMPLATE


@pytest.fixture(scope="session")
def database(cluster: Cluster, template: str) -> Iterator[County]:
    """The county for tests that only read: one for the run, or for each worker."""
    with copied(cluster, template) as county:
        yield county


@pytest.fixture
def fresh_database(cluster: Cluster, template: str) -> Iterator[County]:
    """The county for a test that changes it: a copy of its own."""
    with copied(cluster, template) as county:
        yield county


@pytest.fixture(scope="session")
def copies(cluster: Cluster, template: str) -> Callable[[], AbstractContextManager[County]]:
    """Makes copies of the county for fixtures that live longer than a test."""
    return lambda: copied(cluster, template)


@pytest.fixture
def empty_database(cluster: Cluster) -> Iterator[County]:
    """A database with nothing in it, as a server makes it."""
    with copied(cluster, None) as county:
        yield county


@contextmanager
def copied(cluster: Cluster, template: str | None) -> Iterator[County]:
    county = at(cluster, f"test_{uuid4().hex}")
    cluster.create_database(county.name, template)
    try:
        if template is not None:
            # A copy has the template's content, but not what was granted on the database itself.
            with psycopg.connect(county.owner_url) as connection:
                open_schema(connection)
        yield county
    finally:
        with psycopg.connect(cluster.url(cluster.OWNER, "postgres"), autocommit=True) as connection:
            # A test may leave connections behind, of a server that it killed for instance.
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(county.name)))


def at(cluster: Cluster, name: str) -> County:
    return County(name, cluster.url(cluster.OWNER, name), cluster.url(cluster.LOGIN, name))


# -- the hub -----------------------------------------------------------------------------------------------------------


PASSWORD = "lantern harbour millet drum"
"""Everybody's in tests; made as people make it, so that it is nowhere in the product."""

SIGN_IN = "mutation SignIn($input: SignInInput!) { signIn(input: $input) { token } }"


class Hub:
    """The application over the run's county, asked without a network."""

    def __init__(self, login_url: str, settings: Settings | None = None) -> None:
        self.settings = settings or Settings(database=Database(database_url=login_url))
        self.app = create_app(self.settings)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://127.0.0.1")

    async def post(
        self,
        query: str,
        variables: dict[str, Any] | None = None,
        name: str | None = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        asked = {"query": query, "variables": variables, "operationName": name}
        shown = {"authorization": f"Bearer {token}"} if token else {}
        return await self.http.post("/graphql", json=asked, headers=shown | (headers or {}))

    async def ask(self, query: str, variables: dict[str, Any] | None = None, *, token: str | None = None) -> Any:
        """The answer's data; an answer with errors fails the test."""
        response = await self.post(query, variables, token=token)
        answer = response.json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    async def refusal(
        self, query: str, variables: dict[str, Any] | None = None, *, token: str | None = None
    ) -> tuple[int, str, str]:
        """Status, code and message of an answer that must be a refusal."""
        response = await self.post(query, variables, token=token)
        answer = response.json()
        assert answer.get("data") is None, answer
        return response.status_code, answer["errors"][0]["extensions"]["code"], answer["errors"][0]["message"]

    async def token(self, name: str, password: str = PASSWORD) -> str:
        """Signs somebody in."""
        signed = await self.ask(SIGN_IN, {"input": {"name": name, "password": password}})
        return signed["signIn"]["token"]


def make_person(county: County, name: str, *roles: str, areas: tuple[str, ...] = (), display: str = "") -> None:
    """Somebody with an account and a password, who can sign in."""
    with accounts(county.login_url) as connection:
        add(connection, name, display, roles, areas)
        connection.execute(
            "insert into credentials (person_id, password_hash) select id, %s from people where name = %s",
            (HASHER.hash(PASSWORD), name),
        )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hub(database: County) -> AsyncIterator[Hub]:
    """The hub in this process, over the county that nobody changes."""
    async with running(database.login_url) as made:
        yield made


@asynccontextmanager
async def running(login_url: str, settings: Settings | None = None) -> AsyncIterator[Hub]:
    made = Hub(login_url, settings)
    await made.app.state.sessions.open()
    await made.app.state.exporting.open()
    await made.app.state.looking.open()
    await made.app.state.stamps.open()
    try:
        yield made
    finally:
        await made.http.aclose()
        await made.app.state.stamps.close()
        await made.app.state.looking.close()
        await made.app.state.exporting.close()
        await made.app.state.sessions.close()


@pytest.fixture(scope="session")
def hub_url(database: County) -> Iterator[str]:
    """Address of `hub serve` in a process of its own, for browsers and real clients."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    environment |= {"HUB_DATABASE_URL": database.login_url, "HUB_PORT": "0"}
    command = [sys.executable, "-c", "from hub.cli import main; main()", "serve"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert "http://" in said, f"hub serve said: {said!r}"
            yield said.split()[-1]
        finally:
            process.terminate()
            process.wait(20)
