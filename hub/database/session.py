"""The one place that gives out database connections, and that says on them who is asking.

A pooled connection keeps the role of its last caller: PostgreSQL's RESET ALL exempts it, and `set role` brings none of
the role's own settings. So nobody gets a connection but through `Sessions.connection(caller)`: role, person, areas and
time limit are set in one round trip whenever the caller differs from the connection's last, and a connection whose
state is in doubt (cancelled, broken) is closed instead of being given back.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from time import perf_counter
from typing import Any

import asyncpg
from sqlalchemy import Executable
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

from hub.identity import NOBODY, Caller
from hub.settings import Database
from hub.watch import figures
from hub.watch.statements import timed
from schema.access import Scope
from schema.errors import Conflict, HubError, RateLimited, Unavailable, refusal

_DIALECT = asyncpg_dialect()

_BECOME = """
select set_config('role', $1, false), set_config('hub.person', $2, false), set_config('hub.roles', $3, false),
       set_config('hub.areas', $4, false), set_config('statement_timeout', $5, false),
       set_config('default_transaction_read_only', $6, false)
"""

_PLAN = "select set_config('plan_cache_mode', $1, false)"

SLOWEST_READER = "10min"
"""How long whoever takes a stream may need for one list of rows."""

_LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the driver's word for a line that was cut while it was about to send
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)
"""The database, or the way to it, is away: another try may succeed."""


class _Connection(asyncpg.Connection):
    """A connection that knows for whom it was set last."""

    __slots__ = ("caller", "one_plan")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.caller: Caller | None = None
        self.one_plan = False

    async def become(self, caller: Caller, statement_seconds: float) -> None:
        if self.caller is caller or self.caller == caller:
            return
        self.caller = None  # until the round trip below has come back
        await self.fetchrow(
            _BECOME,
            caller.scope.value if caller.scope else "none",
            caller.person,
            ",".join(caller.roles),
            "{" + ",".join(caller.areas) + "}" if caller.areas else "",
            f"{round(statement_seconds * 1000)}ms",
            # What all roles of a scope may write is theirs by the scope alone: who only looks as one writes nothing.
            "on" if caller.seen_by else "off",
        )
        self.caller = caller

    async def plan(self, *, once: bool) -> None:
        """Have statements planned once for all of their values, or for each anew."""
        if self.one_plan is not once:
            await self.fetchrow(_PLAN, "force_generic_plan" if once else "force_custom_plan")
            self.one_plan = once

    def forget(self) -> None:
        self.caller = None


class Transaction:
    """An open transaction that acts as the caller; see `schema.compiler.writes.Change`."""

    def __init__(self, connection: asyncpg.Connection, caller: Caller, slow_ms: float) -> None:
        self._connection = connection
        self._caller = caller
        self._slow_ms = slow_ms

    @property
    def person(self) -> str | None:
        return self._caller.person or None

    @property
    def roles(self) -> frozenset[str]:
        return frozenset(self._caller.roles)

    async def rows(self, statement: Executable) -> list[Any]:
        compiled = statement.compile(dialect=_DIALECT)  # type: ignore[attr-defined]
        values, sql = compiled.params, str(compiled)
        with timed(self._caller.scope, sql, self._slow_ms):
            return await self._connection.fetch(sql, *(values[name] for name in compiled.positiontup or ()))

    async def fetch_json(self, sql: str, parameters: Sequence[Any]) -> tuple[bytes, ...]:
        with timed(self._caller.scope, sql, self._slow_ms):
            return tuple(await self._connection.fetchrow(sql, *parameters))

    async def claim(self, key: str, digest: bytes) -> dict[str, Any] | None:
        found = await self._connection.fetchrow("select fresh, same, members from claim_write($1, $2)", key, digest)
        if found["fresh"]:
            return None
        if not found["same"]:
            raise Conflict(
                f"clientMutationId {key!r} was used for another input before: send a new one for a new change.",
                clientMutationId=key,
            )
        return dict(json.loads(found["members"]))

    async def settle(self, key: str, members: dict[str, Any]) -> None:
        await self._connection.execute("select settle_write($1, $2)", key, json.dumps(members, default=str))


class _Turns:
    """How many connections each caller uses: whoever asks much waits for their own questions, not others for them."""

    def __init__(self, most: int, wait_seconds: float) -> None:
        self._most = most
        self._wait_seconds = wait_seconds
        self._used: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def take(self, caller: Caller) -> str | None:
        """From now on the caller uses one more, until what comes back is given to `give`. Raises RateLimited where
        none becomes free in time."""
        if caller.scope in (None, Scope.SERVICE):
            return None
        key = caller.person or caller.seen_by or caller.scope.value
        if self._used.get(key, 0) >= self._most:
            await self._turn(key)
        else:
            self._used[key] = self._used.get(key, 0) + 1
        return key

    async def _turn(self, key: str) -> None:
        """Wait until somebody with the same key hands on their turn."""
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(mine)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await mine
        except BaseException as error:
            if mine.done() and not mine.cancelled():  # it came just then: it is for the next one
                self.give(key)
            elif key in self._waiting:
                with suppress(ValueError):  # it was passed over already
                    self._waiting[key].remove(mine)
            if isinstance(error, TimeoutError):
                raise RateLimited(
                    f"{self._most} of your questions are being answered (HUB_CALLER_CONNECTIONS): wait for them.",
                    limit=self._most,
                ) from error
            raise

    def give(self, key: str | None) -> None:
        """The caller uses one less."""
        if key is None:
            return
        waiting = self._waiting.get(key)
        while waiting:
            first = waiting.popleft()
            if not first.done():  # who gave up is still on the way out
                first.set_result(None)
                return
        self._waiting.pop(key, None)
        self._used[key] -= 1
        if not self._used[key]:
            del self._used[key]


class _Held:
    """A connection while it is somebody's. A class, not a generator: every request goes through it."""

    __slots__ = ("_caller", "_connection", "_key", "_one_plan", "_pool", "_sessions")

    def __init__(self, sessions: Sessions, caller: Caller, one_plan: bool) -> None:
        self._sessions = sessions
        self._caller = caller
        self._one_plan = one_plan

    async def __aenter__(self) -> asyncpg.Connection:
        pool = self._sessions.pool
        if pool is None:
            raise Unavailable
        self._pool = pool
        self._key = await self._sessions.turns.take(self._caller)
        try:
            self._connection: Any = await self._acquired(pool)
            try:
                await self._connection.become(self._caller, self._sessions.seconds(self._caller))
                await self._connection.plan(once=self._one_plan)
            except BaseException as error:
                await self._leave(error)
                raise
        except BaseException:
            self._sessions.turns.give(self._key)
            raise
        return self._connection

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            await self._leave(error)
        finally:
            self._sessions.turns.give(self._key)

    async def _acquired(self, pool: asyncpg.Pool) -> asyncpg.Connection:
        begun, sessions = perf_counter(), self._sessions
        # A clock costs more than what it is for: it runs only where somebody else must finish first.
        patience = None if sessions.used < sessions.size else sessions.wait_seconds
        sessions.used += 1
        found = None
        try:
            found = await pool.acquire(timeout=patience)
        except (*_LOST, asyncpg.PostgresError) as error:
            if isinstance(error, TimeoutError) and patience is not None:
                figures.count(figures.POOL_TIMEOUTS, sessions.name)
                raise Unavailable("All of the hub's connections are in use: try again in a moment.") from error
            raise Unavailable("The database does not answer: try again in a moment.") from error
        finally:
            if found is None:
                sessions.used -= 1
            figures.took(figures.POOL_WAIT_SECONDS, sessions.name, perf_counter() - begun)
        return found

    async def _leave(self, error: BaseException | None) -> None:
        """Give the connection back, or end it; raises what the error is for the caller, where that is another."""
        try:
            await self._left(self._connection, error)
        finally:
            self._sessions.used -= 1

    async def _left(self, connection: Any, error: BaseException | None) -> None:
        match error:
            # Our own refusal, between two statements, is none of the connection: its transaction was rolled back on the
            # way here. Were each one to cost a connection, whoever sends nothing but bad writes would keep the database
            # busy connecting.
            case None | HubError():
                await self._pool.release(connection)
            case asyncpg.QueryCanceledError():
                _forget(connection)
                await self._pool.release(connection)
                seconds = self._sessions.seconds(self._caller)
                raise Unavailable(f"The answer took over {seconds:g} seconds: ask for less, or try again.") from error
            case _ if isinstance(error, _LOST):
                await self._sessions.end(connection)
                raise Unavailable("The database went away: try again in a moment.") from error
            case asyncpg.PostgresError():
                _forget(connection)
                await self._pool.release(connection)
            case _:
                # Cancelled, or broken in a way that nobody foresaw: never to be used again.
                await self._sessions.end(connection)


class Sessions:
    """The hub's connections to its database."""

    def __init__(self, url: str, settings: Database, size: int | None = None, name: str = "answers") -> None:
        """`size` is how many connections there are at most; unset: as many as the settings say. `name` tells these
        sessions from the hub's others where they are counted."""
        self.name = name
        self._url = url
        self._settings = settings
        self.size = size or settings.pool_size
        self.pool: asyncpg.Pool | None = None
        self.wait_seconds = settings.wait_seconds
        self.used = 0
        """Connections that are somebody's, or on the way to be."""
        self.turns = _Turns(settings.caller_connections, settings.wait_seconds)
        self._ending: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Get ready. Connections are made when they are first needed, so that the hub starts without its database."""
        self.pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=self.size,
            connection_class=_Connection,
            reset=_keep,
            max_inactive_connection_lifetime=0,
            statement_cache_size=500,
            timeout=self.wait_seconds,
            server_settings={
                "application_name": "hub",
                "search_path": "public",
                "timezone": "UTC",
                "jit": "off",
                # Answers of milliseconds: to start helpers for one costs more than they save, and keeps others waiting.
                "max_parallel_workers_per_gather": "0",
                # From its sixth run a prepared box query would get a plan that reads every row of the box. What reads
                # few rows whatever its values are says so (`_Connection.plan`), and is spared the planning.
                "plan_cache_mode": "force_custom_plan",
            },
        )

    async def close(self) -> None:
        if self.pool is not None:
            try:
                await asyncio.wait_for(self.pool.close(), 5)
            except TimeoutError:
                self.pool.terminate()
            self.pool = None

    def seconds(self, caller: Caller) -> float:
        """How long a statement of this caller may run."""
        seconds = self._settings.statement_seconds
        narrow = caller.scope in (Scope.PUBLIC, Scope.OWN)
        return min(seconds, self._settings.public_statement_seconds) if narrow else seconds

    def held(self) -> tuple[int, int, int]:
        """How many connections are open, how many of them in use, and how many there may be."""
        if self.pool is None:
            return 0, 0, self.size
        size = self.pool.get_size()
        return size, size - self.pool.get_idle_size(), self.size

    def connection(self, caller: Caller = NOBODY, *, one_plan: bool = False) -> _Held:
        """`async with` it for a connection that acts for `caller` and for nobody else. Raises Unavailable when there is
        none to be had."""
        return _Held(self, caller, one_plan)

    async def end(self, connection: Any) -> None:
        """Close a connection for good, which also frees its place in the pool. To the end, even if the caller is
        cancelled meanwhile: to give it back at the same time would free its place twice."""
        task = asyncio.create_task(_close(connection))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        await asyncio.shield(task)

    @asynccontextmanager
    async def change(self, caller: Caller) -> AsyncIterator[Transaction]:
        """A transaction as the caller. What a constraint refuses is raised as the domain's error for it.

        When the connection is lost after COMMIT was sent, nobody knows whether it happened: the error says so, and the
        same `clientMutationId` may be sent again until there is an answer.
        """
        try:
            async with self.connection(caller) as connection, connection.transaction():
                yield Transaction(connection, caller, self._settings.slow_statement_ms)
        except asyncpg.PostgresError as error:
            raise refusal(error) from error
        except Unavailable as error:
            if isinstance(error.__cause__, _LOST) and not isinstance(error.__cause__, TimeoutError):
                raise Unavailable(
                    "The database went away; it is unknown whether the change was made. Send it again with the same "
                    "clientMutationId: it happens once.",
                    reason="UNKNOWN",
                ) from error.__cause__
            raise

    async def fetch_json(
        self, caller: Caller, sql: str, parameters: Sequence[Any], *, one_plan: bool = False
    ) -> Sequence[bytes]:
        """One statement's one row: the compiled read of an operation."""
        (row,) = await self.fetch(caller, sql, parameters, one_plan=one_plan)
        return tuple(row)

    async def fetch(
        self, caller: Caller, sql: str, parameters: Sequence[Any], *, one_plan: bool = False
    ) -> list[asyncpg.Record]:
        """The rows of one statement that may be run twice. A lost connection is replaced once. `one_plan`: one plan
        serves all of its values."""
        try:
            return await self._fetch(caller, sql, parameters, one_plan)
        except Unavailable as error:
            lost = isinstance(error.__cause__, _LOST) and not isinstance(error.__cause__, TimeoutError)
            if not lost or self.pool is None:
                raise  # a pool that is full is not helped by a second wait, nor by new connections
            # A restarted database leaves a pool of dead connections. Reads change nothing: ask once more on a new one.
            await self.pool.expire_connections()
            return await self._fetch(caller, sql, parameters, one_plan)

    async def stream(
        self, caller: Caller, sql: str, parameters: Sequence[Any], at_once: int
    ) -> AsyncIterator[list[asyncpg.Record]]:
        """The rows of one statement in one snapshot, so many at a time; at least one list, which may be empty. The
        connection is held until the last is taken, or the iterator is closed."""
        async with self.connection(caller) as connection, connection.transaction(readonly=True):
            # Over a bad link ten thousand rows take minutes, in which the transaction has nothing to do.
            await connection.execute(f"set local idle_in_transaction_session_timeout = '{SLOWEST_READER}'")
            cursor = await connection.cursor(sql, *parameters)
            coming = asyncio.ensure_future(cursor.fetch(at_once))
            try:
                first, more = True, True
                while more:
                    rows = await coming
                    more = len(rows) == at_once
                    if more:  # the database works on the next ones while these are taken
                        coming = asyncio.ensure_future(cursor.fetch(at_once))
                    if rows or first:
                        yield rows
                    first = False
            finally:
                # Nothing may go on on a connection that is given back.
                coming.cancel()
                with suppress(asyncio.CancelledError, asyncpg.PostgresError):
                    await coming

    async def _fetch(self, caller: Caller, sql: str, parameters: Sequence[Any], one_plan: bool) -> list[asyncpg.Record]:
        async with self.connection(caller, one_plan=one_plan) as connection:
            with timed(caller.scope, sql, self._settings.slow_statement_ms):
                return await connection.fetch(sql, *parameters)


def _forget(connection: Any) -> None:
    with suppress(asyncpg.InterfaceError):  # it was gone already
        if not connection.is_closed():
            connection.forget()


async def _close(connection: Any) -> None:
    """A statement that still runs is cancelled at the server: the end of the line alone would let it run on, up to its
    time limit, for nobody."""
    with suppress(asyncpg.InterfaceError):  # it was gone already
        try:
            await connection.close(timeout=1)
        except (*_LOST, asyncpg.PostgresError):
            connection.terminate()


async def _keep(_: asyncpg.Connection) -> None:
    """asyncpg's own reset costs a round trip each time and leaves the role as it is: `become` does what is needed."""
