"""Tiles that are kept: given out again to whoever sees the same, and only while everything is as it was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, LiteralString

import psycopg
import pytest
import pytest_asyncio

from hub.identity import PUBLIC, SERVICE, Caller
from hub.outlets import keeping, tiles
from hub.outlets.keeping import Keeper, Tile, sight
from hub.settings import Database, Server, Settings
from hub.watch import figures
from schema.access import Scope
from schema.errors import Unavailable
from tests.conftest import County, Hub, make_person, running
from tests.hub.test_tiles import AHERO, SEME, Reader, reader, report, tile_of

AT = tile_of(14, AHERO)
MADE, KEPT, SHARED, PASSING = "made", "kept", "shared", "passing"


@pytest_asyncio.fixture
async def place(fresh_database: County) -> AsyncIterator[Hub]:
    for name, role in (
        ("dispatcher", "dispatcher"),
        ("planner", "planner"),
        ("citizen", "citizen"),
        ("other", "citizen"),
    ):
        make_person(fresh_database, name, role)
    make_person(fresh_database, "root", "administrator")
    make_person(fresh_database, "ahero", "ward_administrator", areas=("1208",))
    make_person(fresh_database, "officer", "field_officer", areas=("1208",))
    make_person(fresh_database, "seme", "ward_administrator", areas=("1202",))
    async with running(fresh_database.login_url) as hub:
        yield hub


@pytest.fixture
def owner(fresh_database: County) -> Iterator[psycopg.Connection]:
    with psycopg.connect(fresh_database.owner_url, autocommit=True) as connection:
        yield connection


class Counted:
    """How tiles were had since it was made."""

    def __init__(self) -> None:
        self._before = self._now()

    def _now(self) -> dict[str, float]:
        figures.settle()
        return {
            how: sum(figures.TILES.labels(layer, how)._value.get() for layer in tiles.LAYERS)
            for how in (MADE, KEPT, SHARED, PASSING)
        }

    def __call__(self) -> dict[str, float]:
        before, self._before = self._before, self._now()
        return {how: more for how, times in self._before.items() if (more := times - before[how])}


async def ids(reader: Reader, at: tuple[int, int, int] = AT) -> set[str]:
    return {feature["id"] for feature in await reader.features("incidents", *at)}


# -- as long as nothing changes ----------------------------------------------------------------------------------------


async def test_a_tile_is_made_once_until_something_changes(place: Hub) -> None:
    dispatcher, counted = await reader(place), Counted()
    first = await report(dispatcher, AHERO)
    assert await ids(dispatcher) == {first}
    assert await ids(dispatcher) == {first}
    assert counted() == {MADE: 1, KEPT: 1}
    second = await report(dispatcher, AHERO)
    assert await ids(dispatcher) == {first, second}
    assert counted() == {MADE: 1}
    held = await dispatcher.get("incidents", *AT)
    again = await dispatcher.get("incidents", *AT, **{"if-none-match": held.headers["etag"]})
    assert (again.status_code, counted()) == (304, {KEPT: 2})
    for layer in ("wards", "patrols"):
        before = await dispatcher.get(layer, *AT)
        assert (await dispatcher.get(layer, *AT)).content == before.content
        assert counted() == {MADE: 1, KEPT: 1}
    for layer in ("vehicles", "tracks"):
        assert await dispatcher.features(layer, *AT) == []
        assert counted() == {PASSING: 1}


async def test_whatever_changes_shows_at_the_next_request_of_anybody_at_any_worker(
    place: Hub, fresh_database: County
) -> None:
    async with running(fresh_database.login_url) as beside:
        here, there = await reader(place), await reader(beside)
        expected: set[str] = set()
        for number in range(6):
            expected.add(await report(there if number % 2 else here, AHERO))
            assert await ids(here) == await ids(there) == expected


async def test_of_writers_that_commit_out_of_order_each_is_seen_from_its_commit_on(
    place: Hub, fresh_database: County
) -> None:
    dispatcher = await reader(place)
    first, second = await report(dispatcher, AHERO, "MINOR"), await report(dispatcher, AHERO, "MINOR")

    async def severities() -> tuple[Any, Any]:
        found = {each["id"]: each["severity"] for each in await dispatcher.features("incidents", *AT)}
        return found[first], found[second]

    def write(writer: psycopg.Connection, id: str, severity: str) -> None:
        writer.execute("update incidents set severity = %s where id = %s", (severity, id))

    url, counted = fresh_database.owner_url, Counted()
    with psycopg.connect(url) as early, psycopg.connect(url) as late:
        assert await severities() == ("minor", "minor")
        write(early, first, "severe")
        write(late, second, "extreme")
        assert await severities() == ("minor", "minor")
        assert counted() == {MADE: 1, KEPT: 1}
        late.commit()
        assert await severities() == ("minor", "extreme")
        assert await severities() == ("minor", "extreme")
        assert counted() == {MADE: 1, KEPT: 1}
        early.commit()
        assert await severities() == ("severe", "extreme")
        assert counted() == {MADE: 1}
        write(early, first, "unknown")
        early.rollback()
        assert await severities() == ("severe", "extreme")
        assert counted() == {KEPT: 1}


async def test_what_is_written_past_the_journal_or_past_all_triggers_shows(
    place: Hub, owner: psycopg.Connection
) -> None:
    dispatcher, counted = await reader(place), Counted()
    id = await report(dispatcher, AHERO)

    async def severity() -> str:
        (feature,) = await dispatcher.features("incidents", *AT)
        assert feature["id"] == id
        return str(feature["severity"])

    def write(value: str, *around: LiteralString) -> None:
        with owner.transaction():
            for statement in around[:1]:
                owner.execute(statement)
            owner.execute("update incidents set severity = %s", (value,))
            for statement in around[1:]:
                owner.execute(statement)

    assert (await severity(), await severity()) == ("severe", "severe")
    write("minor", "set local session_replication_role = replica")
    assert (await severity(), await severity()) == ("minor", "minor")
    # Off and on again within one transaction: nobody sees it off.
    write("extreme", "alter table incidents disable trigger all", "alter table incidents enable always trigger stamped")
    assert await severity() == "extreme"
    assert counted() == {MADE: 3, KEPT: 2}
    # And while it is off, nothing is kept.
    owner.execute("alter table incidents disable trigger stamped")
    for value in ("minor", "moderate"):
        write(value)
        assert await severity() == value
    assert counted() == {PASSING: 2}
    owner.execute("alter table incidents enable trigger stamped")
    assert (await severity(), counted()) == ("moderate", {PASSING: 1})
    owner.execute("alter table incidents enable always trigger stamped")
    assert (await severity(), await severity(), counted()) == ("moderate", "moderate", {MADE: 1, KEPT: 1})
    # A table whose rows were written anew without a statement that writes.
    owner.execute("alter table incidents alter column severity type text using 'unknown'")
    assert await severity() == "unknown"


async def test_what_is_forgotten_is_on_no_tile(place: Hub, owner: psycopg.Connection) -> None:
    dispatcher = await reader(place)
    id = await report(dispatcher, AHERO)
    (before,) = await dispatcher.features("incidents", *AT)
    assert before["kind"] == "flood"
    owner.execute("set role hub_service")
    owner.execute("select erase('incidents', %s, %s)", (id, json.dumps({"kind": "other"})))
    (after,) = await dispatcher.features("incidents", *AT)
    assert (after["id"], after["kind"]) == (id, "other")


async def test_boundaries_that_are_redrawn_show(place: Hub, owner: psycopg.Connection) -> None:
    public, ahero = await reader(place, None), await reader(place, "ahero")
    id = await report(await reader(place), AHERO)
    drawn = await public.features("wards", *tile_of(10, AHERO))
    assert await ids(ahero) == {id}
    owner.execute("update wards set name = name || ' East' where code = '1208'")
    renamed = await public.features("wards", *tile_of(10, AHERO))
    assert {each["name"] for each in renamed} ^ {each["name"] for each in drawn} == {"Ahero", "Ahero East"}
    # The ward of an incident is no entry of the journal.
    owner.execute("set session_replication_role = replica")
    owner.execute("update incidents set ward_id = (select id from wards where code = '1202')")
    assert await ids(ahero) == set()
    assert await ids(await reader(place, "seme")) == {id}


# -- for whom ----------------------------------------------------------------------------------------------------------


async def test_a_tile_goes_to_those_who_see_the_same_and_to_nobody_else(place: Hub) -> None:
    dispatcher = await reader(place)
    citizen = await reader(place, "citizen")
    mine, all_ = await report(citizen, AHERO), await report(dispatcher, AHERO)
    far = await report(dispatcher, SEME)
    counted = Counted()
    expected = {"dispatcher": {mine, all_}, "planner": {mine, all_}, "root": {mine, all_}, "ahero": {mine, all_}}
    expected |= {"officer": {mine, all_}, "seme": set(), "citizen": {mine}, "other": set()}
    had = {}
    for name, seen in expected.items():
        assert await ids(await reader(place, name)) == seen, name
        had[name] = counted()
    # Everybody who comes in the county's scope sees all of it. Whoever sees less has tiles of their own.
    assert {name for name, how in had.items() if how == {KEPT: 1}} == {"planner", "root"}
    assert all(how == {MADE: 1} for name, how in had.items() if name not in ("planner", "root"))
    assert await ids(await reader(place, None)) == set()
    root = await reader(place, "root")
    for words, seen in (
        ("public", set()),
        ("ward_administrator@1202", set()),
        ("ward_administrator@1208", {mine, all_}),
    ):
        answer = await root.get("incidents", *AT, **{"x-hub-see-as": words})
        assert (answer.content != b"") is bool(seen), words
    assert await ids(await reader(place, "seme"), tile_of(14, SEME)) == {far}


async def test_a_change_of_policies_holds_at_once(place: Hub, owner: psycopg.Connection) -> None:
    dispatcher = await reader(place)
    id = await report(dispatcher, AHERO)
    assert await ids(dispatcher) == {id}
    owner.execute("alter policy county_reads_county on incidents using (false)")
    assert await ids(dispatcher) == set()
    owner.execute("alter policy county_reads_county on incidents using (true)")
    assert await ids(dispatcher) == {id}
    owner.execute("drop policy county_reads_county on incidents")
    assert await ids(dispatcher) == set()
    owner.execute("create policy county_reads_county on incidents for select to hub_county using (true)")
    assert await ids(dispatcher) == {id}
    owner.execute("revoke select on incidents from hub_county")
    assert (await dispatcher.get("incidents", *AT)).status_code != 200
    owner.execute("grant select on incidents to hub_county")
    assert await ids(dispatcher) == {id}


def test_who_sees_alike() -> None:
    planner = Caller(Scope.COUNTY, "1", ("planner",))
    auditor = Caller(Scope.COUNTY, "2", ("auditor", "citizen"), ("a",))
    assert sight(("incidents",), planner) == sight(("incidents",), auditor)
    for other in (Caller(Scope.AREA, "2", ("field_officer",), ("a",)), Caller(Scope.OWN, "2", ("citizen",)), PUBLIC):
        assert sight(("incidents",), other) not in (sight(("incidents",), planner), other.scope)
        assert sight(("wards",), other) == other.scope


async def test_every_table_that_a_kept_layer_reads_is_stamped(place: Hub, owner: psycopg.Connection) -> None:
    stamped = {
        name for (name,) in owner.execute("select tgrelid::regclass::text from pg_trigger where tgname = 'stamped'")
    }
    assert stamped == set(tiles.STAMPED)

    def tables(plan: Any) -> set[str]:
        if isinstance(plan, list):
            return set().union(*map(tables, plan))
        if not isinstance(plan, dict):
            return set()
        return {plan[key] for key in plan if key == "Relation Name"}.union(*map(tables, plan.values()))

    callers = [
        Caller(Scope.COUNTY, "", ("dispatcher",)),
        Caller(Scope.AREA, "01a19257-f820-76a8-8cd3-2afa9287e6c7", ("ward_administrator", "citizen")),
        Caller(Scope.OWN, "01a19257-f820-76a8-8cd3-2afa9287e6c7", ("citizen",)),
        PUBLIC,
    ]
    for layer in (each for each in tiles.LAYERS.values() if each.tables):
        for z in (8, 14):
            at = tile_of(z, AHERO)
            box = tiles._box(layer, *at)
            assert box is not None
            for caller in callers:
                async with place.app.state.sessions.connection(caller) as connection:
                    asked = f"explain (format json) {layer.statement(z)}"
                    plan = json.loads(await connection.fetchval(asked, *layer.parameters(*at, box)))
                assert tables(plan) <= set(layer.tables), (layer.name, caller.scope)


# -- stamps ------------------------------------------------------------------------------------------------------------


async def test_stamps_are_added_up_and_what_is_kept_stays_kept(
    place: Hub, owner: psycopg.Connection, fresh_database: County, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatcher = await reader(place)
    for number in range(60):
        owner.execute("update wards set name = name where code = %s", (str(1186 + number % 35),))
    assert await dispatcher.features("wards", *AT)
    count = "select count(*) from stamps where tbl = 'wards'"
    (many,) = owner.execute(count).fetchone() or (0,)
    counted = Counted()
    with psycopg.connect(fresh_database.owner_url) as open_:
        open_.execute("update wards set name = name where code = '1186'")
        monkeypatch.setattr(keeping, "FOLD_SECONDS", 0.01)
        chores = [asyncio.create_task(place.app.state.keeper.run()) for _ in range(2)]
        async with asyncio.timeout(10):
            while owner.execute(count).fetchone() == (many,):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for chore in chores:
            chore.cancel()
        assert owner.execute(count).fetchone() == (1,)
        assert await dispatcher.features("wards", *AT)
        assert counted() == {KEPT: 1}
        open_.commit()
    assert await dispatcher.features("wards", *AT)
    assert counted() == {MADE: 1}


async def test_no_caller_reads_or_writes_stamps(place: Hub) -> None:
    for caller in (Caller(Scope.COUNTY, "", ("administrator",)), PUBLIC):
        async with place.app.state.sessions.connection(caller) as connection:
            for statement in ("select from stamps", "insert into stamps (tbl) values ('wards')", "delete from stamps"):
                with pytest.raises(Exception, match="permission denied"):
                    await connection.execute(statement)


# -- memory, and many at once ------------------------------------------------------------------------------------------


class Counting:
    """Stands for the database: says one version until told another, and how often it was asked."""

    def __init__(self) -> None:
        self.version = "1"
        self.asked = 0

    async def fetch(self, caller: Caller, sql: str, parameters: Any) -> list[dict[str, str]]:
        assert caller is SERVICE
        self.asked += 1
        version = self.version
        await asyncio.sleep(0.001)
        return [{"name": "wards", "version": version}]


def keeper(database: Counting, megabytes: int = 1) -> Keeper:
    return Keeper(database, ("wards",), megabytes, 1)  # type: ignore[arg-type]


class Maker:
    def __init__(self, body: bytes = b"tile", fails: int = 0) -> None:
        self.body, self.fails, self.times = body, fails, 0

    async def __call__(self) -> bytes:
        self.times += 1
        await asyncio.sleep(0.01)
        if self.times <= self.fails:
            raise Unavailable
        return self.body


async def test_of_equal_requests_at_once_one_makes_the_tile_and_few_ask_whether_it_holds() -> None:
    database, maker = Counting(), Maker()
    kept = keeper(database)
    had = await asyncio.gather(*(kept.tile("wards", ("wards",), (1,), PUBLIC, maker) for _ in range(200)))
    assert {tile.body for tile in had} == {b"tile"}
    assert (maker.times, database.asked) == (1, 1)


async def test_who_waits_for_one_that_fails_makes_it_themselves() -> None:
    maker = Maker(fails=2)
    kept = keeper(Counting())
    asked = (kept.tile("wards", ("wards",), (1,), PUBLIC, maker) for _ in range(5))
    had = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in had].count(Unavailable) == 2
    assert [each.body for each in had if isinstance(each, Tile)] == [b"tile"] * 3
    assert maker.times == 3


async def test_every_request_is_told_how_things_stand_after_it_came() -> None:
    database = Counting()
    kept = keeper(database)

    async def make() -> bytes:
        return database.version.encode()

    async def ask(number: int) -> None:
        database.version = str(number)
        tile = await kept.tile("wards", ("wards",), (1,), PUBLIC, make)
        assert int(tile.body) >= number

    for number in range(100):
        await asyncio.gather(*(ask(number * 10 + each) for each in range(3)))
    tasks = []
    for number in range(1000, 1100):
        tasks.append(asyncio.create_task(ask(number)))
        await asyncio.sleep(0.0003)
    await asyncio.gather(*tasks)


async def test_memory_is_bounded_and_what_was_wanted_last_stays() -> None:
    kept, maker = keeper(Counting()), Maker(b"x" * 99_500)  # with room for its packed form 0.2 MB
    for number in range(5):
        await kept.tile("wards", ("wards",), (number,), PUBLIC, maker)
    await kept.tile("wards", ("wards",), (0,), PUBLIC, maker)
    assert maker.times == 5
    await kept.tile("wards", ("wards",), (5,), PUBLIC, maker)
    await kept.tile("wards", ("wards",), (0,), PUBLIC, maker)
    assert (maker.times, kept._store.bytes) == (6, 1_000_000)
    await kept.tile("wards", ("wards",), (1,), PUBLIC, maker)
    assert maker.times == 7
    large = Maker(b"x" * 600_000)
    for _ in range(2):
        await kept.tile("wards", ("wards",), (9,), PUBLIC, large)
    assert (large.times, kept._store.bytes) == (2, 1_000_000)


async def test_without_memory_nothing_is_kept_and_nothing_asked(fresh_database: County) -> None:
    database, maker = Counting(), Maker()
    for _ in range(2):
        await keeper(database, megabytes=0).tile("wards", ("wards",), (1,), PUBLIC, maker)
    assert (maker.times, database.asked) == (2, 0)
    url = fresh_database.login_url
    settings = Settings(server=Server(tile_megabytes=0), database=Database(database_url=url))
    async with running(url, settings) as hub:
        public, counted = Reader(hub, None), Counted()
        for _ in range(2):
            assert await public.features("wards", *AT)
        assert counted() == {PASSING: 2}


async def test_a_tile_is_packed_once() -> None:
    for size in (3_000, keeping.PACKED_ASIDE_FROM + 1):
        tile = Tile.of(b"x" * size)
        first = await tile.gzip()
        assert await tile.gzip() is first
        assert len(first) < size
