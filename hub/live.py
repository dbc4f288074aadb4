"""What goes on live: from what was announced (`following.py`) to the events of each subscription.

Each subscription *pulls*: it holds a place in the order, waits until the stream is beyond it, and asks the database as
its caller of now what became of what was announced since. Nothing is queued for anybody: whoever reads slowly falls
behind, and catches up from the database.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from random import uniform
from typing import Any, Final, Protocol
from uuid import UUID

import asyncpg

from hub.database.session import Sessions
from hub.following import Announcement, Moves, Stream, forgotten, pause
from hub.identity import Caller
from hub.journal import Position
from hub.watch import figures
from schema.access import ACCESS, Reach, Scope
from schema.compiler.events import ChangeKind, Heard
from schema.compiler.moves import Following
from schema.errors import Unavailable

log = logging.getLogger(__name__)

MOST_KNOWN: Final = 2_000
"""Rows of which a subscription remembers whether they were last told as fitting."""

_MOST_CANCELLED = 3

_HEARD = """
select distinct e.id from unnest($1::uuid[], $2::text[], $3::bigint[]) e (id, node, entry)
join journal j on j.node = e.node and j.entry = e.entry
"""


class Sight(Enum):
    """How a caller stands to a row that changed."""

    FITS = "fits"  # it is seen, and is what was asked for
    ELSE = "else"  # it is seen, and is something else
    LOST = "lost"  # it is not seen, and the caller may know that it changed
    HIDDEN = "hidden"  # it is not seen


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an announced row for a caller, with the event that says so."""

    cursor: int
    id: UUID
    created: bool
    sight: Sight
    said: bytes
    """CREATED or UPDATED where it fits, else GONE."""


@dataclass(frozen=True)
class Pulled:
    """What a caller could be told at once, and where they are then."""

    upto: Position
    outcomes: tuple[Outcome | bytes, ...]
    """Bytes are an event as it is, for everybody who asks."""


class Live:
    """A worker's subscriptions."""

    def __init__(self, sessions: Sessions, stream: Stream, moves: Moves, turns: int) -> None:
        """`turns` is how many of the hub's connections events may use at a time: the others are for questions."""
        self._sessions = sessions
        self.stream = stream
        self.moves = moves
        self._turns = asyncio.Semaphore(max(1, turns))
        self._pulls: dict[Any, asyncio.Task[Pulled]] = {}
        self.listening: set[Listener] = set()
        """The subscriptions that are open."""
        self.guests: set[Guest] = set()
        """The connections that stay open, which are told when the hub stops."""
        self.draining = False

    async def pull(self, heard: Heard | Following, caller: Caller, position: Position) -> Pulled:
        """What this caller is told of what came after a position. Asked once for all who ask the same."""
        key = (heard.question, caller, position)
        task = self._pulls.get(key)
        if task is None:
            pulling = (
                self._pull_moves(heard, caller, position)
                if isinstance(heard, Following)
                else self._pull(heard, caller, position)
            )
            task = self._pulls[key] = asyncio.create_task(pulling)
            task.add_done_callback(lambda done: forgotten(self._pulls, key, done))
        return await asyncio.shield(task)

    async def _pull(self, heard: Heard, caller: Caller, position: Position) -> Pulled:
        async with self._turns:
            # What came while others had their turn is read with the rest: load makes fewer statements, not more.
            window = await self.stream.window(position, heard.most)
            made = [each for each in window.announcements if each.table == heard.table]
            if not made or _reads_nothing(caller, heard.table):
                return Pulled(window.upto, ())
            ids = list({each.id for each in made})
            rows = await self._sessions.fetch(caller, heard.sql, heard.parameters(ids))
            seen = {row["id"]: row for row in rows}
            lost = await self._heard_of(caller, [each for each in made if each.id not in seen and not each.created])
        outcomes = []
        for each in made:
            row = seen.get(each.id)
            if row is None:
                sight = Sight.LOST if each.id in lost else Sight.HIDDEN
            else:
                sight = Sight.FITS if row["fits"] else Sight.ELSE
            change = ChangeKind.CREATED if each.created else ChangeKind.UPDATED
            said = heard.event(
                str(Position(window.upto.epoch, each.cursor)),
                change if sight is Sight.FITS else ChangeKind.GONE,
                each.id,
                each.at,
                tuple(row)[2:] if row is not None and sight is Sight.FITS else None,
            )
            outcomes.append(Outcome(each.cursor, each.id, each.created, sight, said))
        return Pulled(window.upto, tuple(outcomes))

    async def _pull_moves(self, following: Following, caller: Caller, position: Position) -> Pulled:
        async with self._turns:
            upto, batches = await self.moves.batches(position, following.most)
            if not batches or _reads_nothing(caller, following.table):
                return Pulled(upto, ())
            (row,) = await self._sessions.fetch(caller, following.sql, following.parameters(batches))
        if not row["count"]:
            return Pulled(upto, ())
        return Pulled(upto, (following.event(str(upto), tuple(row)[1:]),))

    async def _heard_of(self, caller: Caller, made: list[Announcement]) -> set[UUID]:
        """Of which rows the journal itself tells this caller, though they see the row no more."""
        if caller.scope is Scope.AREA:
            # Nobody in this scope hears of what never touched their areas (`Access` sees to it): spare the question.
            areas = {UUID(area) for area in caller.areas}
            made = [each for each in made if each.areas & areas]
        elif caller.scope is not Scope.COUNTY:
            made = []  # nobody in a narrower scope hears anything: the journal is closed to them
        entries = [(each.id, node, entry) for each in made for node, entry in each.entries]
        if not entries:
            return set()
        rows = await self._sessions.fetch(caller, _HEARD, [list(column) for column in zip(*entries, strict=True)])
        return {row[0] for row in rows}

    def listen(self, heard: Heard | Following, who: Callable[[], Awaitable[Caller]]) -> Listener:
        """A subscription that begins now, or after its cursor. `who` says, each time anew, as whom it asks."""
        position = Position.read(heard.after) if heard.after is not None else None
        return Listener(self, heard, who, position)

    async def drain(self) -> None:
        """Tell everybody who stays that the hub stops, and where they can go on."""
        self.draining = True
        guests = list(self.guests)
        await asyncio.gather(*(guest.dismiss() for guest in guests))


class Guest(Protocol):
    """A connection that stays open."""

    async def dismiss(self) -> None:
        """The hub stops: say goodbye. Comes back when it was said, or cannot be."""


class Listener:
    """One subscription: its place in the order, and what its caller was told."""

    def __init__(
        self, live: Live, heard: Heard | Following, who: Callable[[], Awaitable[Caller]], position: Position | None
    ) -> None:
        self._live = live
        self._heard = heard
        self._who = who
        self._known: OrderedDict[UUID, bool] = OrderedDict()
        self.position = position
        """Everything up to here was handed on."""

    @property
    def about(self) -> str:
        """The table whose rows it is told of."""
        return self._heard.table

    async def events(self) -> AsyncGenerator[bytes]:
        """Each event's answer as JSON, without end. Raises Resync where it cannot go on; a database that is away is
        waited for."""
        stream = self._live.moves if isinstance(self._heard, Following) else self._live.stream
        self._live.listening.add(self)
        try:
            begun = self.position
            resuming = begun is not None
            here = await stream.now()
            if begun is None:
                begun = self.position = here
            while True:
                # What cannot be resumed is refused at once, not when something happens next.
                if not resuming or begun is None:
                    begun = await stream.beyond(begun)
                resuming = False
                pulled = await self._pulled(begun)
                for outcome in pulled.outcomes:
                    if isinstance(outcome, bytes):
                        self.position = pulled.upto
                        figures.count(figures.EVENTS, self.about)
                        yield outcome
                        continue
                    if self._is_news(outcome):
                        figures.count(figures.EVENTS, self.about)
                        yield outcome.said
                    self.position = Position(pulled.upto.epoch, outcome.cursor)
                if pulled.upto == begun:
                    await stream.moved()  # this worker's stream has not come as far as the subscription
                begun = self.position = pulled.upto
        finally:
            self._live.listening.discard(self)

    async def _pulled(self, position: Position) -> Pulled:
        failures = cancelled = 0
        while True:
            try:
                return await self._live.pull(self._heard, await self._who(), position)
            except Unavailable as error:
                failures += 1
                cancelled += isinstance(error.__cause__, asyncpg.QueryCanceledError)
                if cancelled >= _MOST_CANCELLED:
                    raise
                await pause(failures)

    def _is_news(self, outcome: Outcome) -> bool:
        """Whether this subscription has to hear it. It may have read before what it was never told of, so that what it
        may know and what no longer fits is told as gone, once; of what is new and does not fit, only a later change."""
        before = self._known.get(outcome.id)
        match outcome.sight:
            case Sight.FITS:
                self._remember(outcome.id, fits=True)
                return True
            case Sight.HIDDEN:
                told = before is True
            case _:
                told = before is True or (before is None and not outcome.created)
        # A new row is looked at as it is now: it may have fitted when it was made, and have stood in a list that was
        # read then. So the next change of it must be told, unless this one was.
        if told or (outcome.sight is not Sight.HIDDEN and not outcome.created):
            self._remember(outcome.id, fits=False)
        return told

    def _remember(self, id: UUID, *, fits: bool) -> None:
        self._known[id] = fits
        self._known.move_to_end(id)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)


def _reads_nothing(caller: Caller, table: str) -> bool:
    """Whether no row can be this caller's, so that nobody need ask: the public, where a noun is closed to it."""
    if caller.scope is not Scope.PUBLIC:
        return False
    noun = next(name for name, noun in ACCESS.nouns.items() if table in noun.tables)
    return ACCESS.right(ACCESS.public, noun).read <= Reach.COUNTS


def goodbye(positions: Iterable[Position | None], *, retry: bool) -> str:
    """Why a connection is closed, for a program to read: the cursor from which nothing is missed, and after how many
    seconds to come back. At most 123 bytes, which is what a websocket's close can say."""
    known = [position for position in positions if position is not None]
    told: dict[str, Any] = {}
    if known:
        told["after"] = str(min(known, key=lambda position: position.cursor))
    if retry:
        told["retry"] = round(uniform(0, 10), 1)  # noqa: S311 - so that not all come back at once
    return json.dumps(told)
