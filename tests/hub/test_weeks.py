"""Weeks of positions that are over get their index, old ones go, and nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import psycopg
import pytest

from hub.database.session import Sessions
from hub.following import Moves
from hub.intake.weeks import Weeks
from hub.journal import Position, Resync
from hub.settings import Database
from tests.conftest import County, copied
from tests.hub.test_patrols import went

NOW = datetime(2026, 6, 3, 12, tzinfo=UTC)


@pytest.fixture
def county(cluster: Any, template: str) -> Iterator[County]:
    with copied(cluster, template) as made:
        with psycopg.connect(made.owner_url) as connection:
            connection.execute("set role hub_owner")
            (vehicle,) = connection.execute(
                "insert into vehicles (plate, kind) values ('KDA 001X', 'car') returning id"
            ).fetchone()  # type: ignore[misc]
            (device,) = connection.execute(
                "insert into devices (vehicle_id, label) values (%s, 'tracker') returning id", (vehicle,)
            ).fetchone()  # type: ignore[misc]
        went(made, str(device), [(NOW - timedelta(days=5 * number), 34.75, -0.1) for number in range(40)])
        yield made


def stored(county: County) -> list[datetime]:
    with psycopg.connect(county.owner_url) as connection:
        return [at for (at,) in connection.execute("select recorded_at from positions order by 1")]


async def test_weeks_older_than_what_is_kept_go_and_none_else(county: County) -> None:
    before = stored(county)
    gone = await Weeks(county.owner_url, 90).tend(NOW)
    assert len(gone) > 10
    after = stored(county)
    assert after == before[-len(after) :]
    assert NOW - timedelta(days=98) < after[0] <= NOW - timedelta(days=90)
    assert await Weeks(county.owner_url, 90).tend(NOW) == []


def indexed(county: County) -> dict[str, bool]:
    """Which weeks have an index of places, and whether it may be used."""
    with psycopg.connect(county.owner_url) as connection:
        return dict(
            connection.execute(
                "select c.relname, x.indisvalid from pg_inherits i join pg_class c on c.oid = i.inhrelid "
                "join pg_index x on x.indrelid = c.oid and pg_get_indexdef(x.indexrelid) like '%USING gist (location)' "
                "where i.inhparent = 'positions'::regclass"
            )
        )


async def test_a_box_finds_what_was_there_in_weeks_that_are_over_by_an_index(county: County) -> None:
    assert indexed(county) == {}
    await Weeks(county.owner_url, 90).tend(NOW)
    found = indexed(county)
    # NOW is a Wednesday: of its week, which grows, none; of all before it that are kept.
    assert len(found) == 13
    assert max(found) == "positions_20260525"
    assert all(found.values())
    with psycopg.connect(county.owner_url) as connection:
        connection.execute("set enable_seqscan = off")
        said = connection.execute(
            "explain select count(*) from positions where location && st_makeenvelope(34.7, -0.2, 34.8, 0, 4326) "
            "and recorded_at < '2026-05-25T00:00Z'"
        ).fetchall()
    assert "positions_20260518_location" in str(said)


async def test_what_all_vehicles_did_in_some_hours_of_a_week_that_grows_is_found_by_the_time(county: County) -> None:
    with psycopg.connect(county.owner_url, autocommit=True) as connection:
        connection.execute(
            "insert into positions (id, device_id, recorded_at, vehicle_id, batch, received_at, location) "
            "select gen_random_uuid(), d.id, '2026-06-01T00:00Z'::timestamptz + n * interval '2 seconds', "
            "d.vehicle_id, n, now(), st_setsrid(st_makepoint(34.5 + n % 700 / 1000.0, -0.1), 4326) "
            "from devices d cross join generate_series(1, 100000) n"
        )
        connection.execute("vacuum analyze positions")
        said = connection.execute(
            "explain select count(*) from positions where location && st_makeenvelope(34.7, -0.2, 34.8, 0, 4326) "
            "and recorded_at between '2026-06-03T04:00Z' and '2026-06-03T06:00Z'"
        ).fetchall()
    assert "Bitmap Index Scan on positions_20260601_recorded_at_idx" in str(said), said


async def test_a_week_that_has_just_ended_waits_for_who_is_late(county: County) -> None:
    await Weeks(county.owner_url, 90).tend(datetime(2026, 6, 1, 12, tzinfo=UTC))
    assert max(indexed(county)) == "positions_20260518"
    await Weeks(county.owner_url, 90).tend(datetime(2026, 6, 2, 1, tzinfo=UTC))
    assert max(indexed(county)) == "positions_20260525"


async def test_half_an_index_is_made_anew(county: County) -> None:
    await Weeks(county.owner_url, 90).tend(NOW)
    with psycopg.connect(county.owner_url) as connection:
        connection.execute(
            "update pg_index set indisvalid = false where indexrelid = 'positions_20260525_location'::regclass"
        )
    assert not all(indexed(county).values())
    await Weeks(county.owner_url, 90).tend(NOW)
    assert all(indexed(county).values())


async def test_a_long_reader_is_waited_for_and_holds_up_nobody(county: County) -> None:
    reader = await asyncpg.connect(county.owner_url)
    try:
        await reader.execute("begin isolation level repeatable read")
        before = await reader.fetchval("select count(*) from positions")
        tending = asyncio.create_task(Weeks(county.owner_url, 90).tend(NOW))
        await asyncio.sleep(1)
        assert not tending.done()
        # Meanwhile fixes are stored and read.
        other = await asyncpg.connect(county.owner_url)
        await other.execute("set lock_timeout = '500ms'")
        (device,) = await other.fetchrow("select id from devices")
        await asyncio.to_thread(went, county, str(device), [(NOW, 34.76, -0.1), (NOW + timedelta(days=1), 34.76, -0.1)])
        assert await other.fetchval("select count(*) from positions where recorded_at > $1", NOW) == 1
        await other.close()
        assert await reader.fetchval("select count(*) from positions") == before
        await reader.execute("commit")
        assert len(await asyncio.wait_for(tending, 10)) > 10
    finally:
        await reader.close()


async def test_a_subscriber_of_before_is_told_to_read_anew(county: County) -> None:
    """Instead of going on behind a hole that nobody mentions."""
    with psycopg.connect(county.owner_url) as connection:
        connection.execute("set role hub_owner")
        connection.execute("update position_batches set stored_at = %s", (NOW - timedelta(days=120),))
        (device,) = connection.execute("select id from devices").fetchone() or (None,)
        connection.commit()
    went(county, str(device), [(NOW + timedelta(minutes=1), 34.75, -0.1)])
    await Weeks(county.owner_url, 90).tend(NOW)
    sessions = Sessions(county.login_url, Database(database_url=county.login_url))
    await sessions.open()
    following = Moves(county.login_url, sessions)
    task = asyncio.create_task(following.run())
    try:
        for _ in range(500):
            if following.position is not None:
                break
            await asyncio.sleep(0.02)
        here = following.position
        assert here is not None
        assert here.cursor == 2
        upto, batches = await following.batches(Position(here.epoch, 1), 100)
        assert (upto.cursor, len(batches)) == (2, 1)
        with pytest.raises(Resync):
            await following.batches(Position(here.epoch, 0), 100)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await sessions.close()


async def test_an_interrupted_run_is_finished_by_the_next(county: County) -> None:
    connection = await asyncpg.connect(county.owner_url)
    names = await connection.fetch(
        "select inhrelid::regclass::text from pg_inherits where inhparent = 'positions'::regclass order by 1"
    )
    first = names[0][0]
    await connection.execute(f"alter table positions detach partition {first}")
    await connection.close()
    assert first in await Weeks(county.owner_url, 90).tend(NOW)
