"""The world of the leak matrix, everybody signed in, and what was logged meanwhile."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from hub.settings import Database, Limits, Settings
from hub.users import accounts, disable
from schema.api import schema
from tests.conftest import County, Hub, copied, running
from tests.leaks.callers import CALLERS, Caller
from tests.leaks.rights import Facts
from tests.leaks.world import build, canaries, canary, sign_in_name

if TYPE_CHECKING:
    from hub.database.embedded import Cluster

LIMITS = Limits()
"""One object for every hub: statements are kept by it, so that each question is compiled once."""

ROOM = 16
"""So many times as much is kept of documents and statements as a hub keeps: every question of the matrix, so that the
next caller's are not compiled anew."""


@dataclass
class World:
    """A county of known rows, and everybody's token."""

    county: County
    still: County
    """The same, where nobody is connected: what copies are made of."""
    cluster: Cluster
    facts: Facts
    tokens: dict[str, str]
    kept: ExitStack = field(repr=False)
    said: list[str] = field(repr=False)
    """Every line that was logged since the world began."""
    questions: list[Any] = field(default_factory=list, repr=False)
    """Everything that can be asked, once it was drawn."""

    def headers(self, caller: Caller) -> dict[str, str]:
        shown = {}
        if caller.person:
            shown["authorization"] = f"Bearer {self.tokens[caller.name]}"
        if caller.sees_as:
            shown["x-hub-see-as"] = caller.sees_as
        return shown

    def copy(self) -> County:
        """The same world once more, gone with the run."""
        return self.kept.enter_context(copied(self.cluster, self.still.name))


@asynccontextmanager
async def opened(county: County, **database: float) -> AsyncIterator[Hub]:
    settings = Settings(database=Database(database_url=county.login_url, **database), limits=LIMITS)  # type: ignore[arg-type]
    async with running(county.login_url, settings) as hub:
        yield hub


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(f"{record.name}: {record.getMessage()}")
        if record.exc_info:
            self._lines.append(logging.Formatter().formatException(record.exc_info))


@pytest.fixture(scope="session")
def said() -> Iterator[list[str]]:
    """What every logger says, from DEBUG up."""
    lines: list[str] = []
    handler, root = _Lines(lines), logging.getLogger()
    before = root.level
    for ours in ("httpx", "httpcore", "websockets.client"):
        logging.getLogger(ours).setLevel(logging.WARNING)  # the tests' own side of the line
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lines
    root.removeHandler(handler)
    root.setLevel(before)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(
    cluster: Cluster, copies: Callable[[], AbstractContextManager[County]], said: list[str]
) -> AsyncIterator[World]:
    with ExitStack() as kept:
        for store in (schema._documents, schema._statements):
            kept.callback(setattr, store, "capacity", store.capacity)
            store.capacity *= ROOM
        county = kept.enter_context(copies())
        build(county)
        async with opened(county) as hub:
            tokens = {
                each.name: await hub.token(sign_in_name(each.person)) for each in CALLERS if each.person is not None
            }
            for each in CALLERS:
                if each.gone == "signed out":
                    assert await hub.ask("mutation { signOut }", token=tokens[each.name]) == {"signOut": True}
                elif each.gone == "disabled":
                    with accounts(county.login_url) as connection:
                        disable(connection, sign_in_name(str(each.person)))
        still = kept.enter_context(copied(cluster, county.name))
        facts = Facts(county.owner_url)
        yield World(county, still, cluster, facts, tokens, kept, said)
        # Everything that was asked in this run, of this world and of its copies, by every caller.
        secrets = facts.register.keys() | {canary("fresh", str(number)) for number in range(99)} | {canary("sent")}
        assert [line for line in said if canaries(line) & secrets] == [], "the hub's log holds what somebody told it"
        written = "".join(file.read_text(errors="replace") for file in cluster.log.glob("*.log"))
        assert not canaries(written) & secrets, "the database's log holds what somebody told the hub"
