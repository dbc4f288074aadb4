"""The journal keeps what it promises, also while it is being worked against."""

from __future__ import annotations

import asyncio
import json
import random
import re
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import asyncpg
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import errors

from hub.database.embedded import Cluster
from hub.database.migrate import MigrationFailed, migrate
from hub.database.policies import rendered
from hub.journal import (
    Anchor,
    Position,
    Proof,
    Resync,
    Sealer,
    after,
    anchor,
    check_anchors,
    compare,
    drop_anchor,
    erase,
    head,
    prove,
    verify,
)
from schema.access import ACCESS, EVERYTHING, Access, Noun, Reach, Right, Role, Scope
from schema.errors import BadUserInput

if TYPE_CHECKING:
    from tests.conftest import County

EAST, WEST = UUID(int=1), UUID(int=2)
AMINA = UUID(int=11)

THINGS = """
create table things (
  id uuid primary key default public.uuidv7(),
  name text not null,
  amount numeric,
  place geometry(point, 4326),
  ward_id uuid,
  seen_at timestamptz,
  occurred_at timestamptz,
  stated_at timestamptz,
  tags text[],
  more jsonb,
  doubled numeric generated always as (amount * 2) stored,
  number bigint generated always as identity,
  secret text,
  version integer not null default 1
);
create table tellers (id uuid primary key default public.uuidv7(), name text, phone text, ward_id uuid);
call guard_table('things');
call guard_table('tellers');
call journal_table(
  'things', areas => 'array[it.ward_id]', audience => 'things', left_out => '{secret, version}',
  occurred => 'occurred_at', stated => 'stated_at'
);
call journal_table('tellers', areas => 'array[it.ward_id]', audience => 'tellers');
"""

TRIED = Access(
    nouns={
        **ACCESS.nouns,
        "things": Noun(("things",), area="ward_id"),
        "tellers": Noun(("tellers",), area="ward_id"),
    },
    roles={
        **ACCESS.roles,
        "ward": Role(Scope.AREA, {"things": Right(Reach.AREA, Reach.AREA)}, hears={"things": Reach.AREA}),
        "desk": Role(
            Scope.COUNTY,
            {"things": Right(Reach.COUNTY, Reach.COUNTY), "tellers": Right(Reach.COUNTY, Reach.COUNTY)},
            hears={"things": Reach.COUNTY, "tellers": Reach.AREA},
        ),
        "auditor": Role(Scope.COUNTY, hears={EVERYTHING: Reach.COUNTY}),
    },
)


# -- a county with two made-up tables under the journal ----------------------------------------------------------------


@contextmanager
def made(copies: Callable[[], AbstractContextManager[County]]) -> Iterator[County]:
    with copies() as county:
        with psycopg.connect(county.owner_url) as owner:
            owner.execute("set role hub_owner")
            owner.execute(THINGS)
            owner.execute(rendered(TRIED).encode())
        yield county


@pytest.fixture(scope="module")
def county(copies: Callable[[], AbstractContextManager[County]]) -> Iterator[County]:
    """For tests that take back what they did."""
    with made(copies) as county:
        yield county


@pytest.fixture
def own_county(copies: Callable[[], AbstractContextManager[County]]) -> Iterator[County]:
    with made(copies) as county:
        yield county


@pytest.fixture
def owner(county: County) -> Iterator[psycopg.Connection]:
    """In a transaction that is taken back."""
    with psycopg.connect(county.owner_url) as connection:
        connection.execute("set role hub_owner")
        connection.commit()
        yield connection
        connection.rollback()


def one(connection: psycopg.Connection, question: str, *values: object) -> Any:
    row = connection.execute(question.encode(), values or None).fetchone()
    return row[0] if row and len(row) == 1 else row


def rows(connection: psycopg.Connection, question: str, *values: object) -> list[Any]:
    found = connection.execute(question.encode(), values or None).fetchall()
    return [row[0] if len(row) == 1 else row for row in found]


def add(connection: psycopg.Connection, name: str = "drain", ward: UUID | None = EAST, **columns: Any) -> UUID:
    columns = {"name": name, "ward_id": ward, **columns}
    asked = f"insert into things ({', '.join(columns)}) values ({', '.join(['%s'] * len(columns))}) returning id"
    made_id: UUID = one(connection, asked, *columns.values())
    return made_id


def entries(connection: psycopg.Connection, id_: UUID) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        return cursor.execute("select * from journal where object_id = %s order by entry", (id_,)).fetchall()


def seal(county: County, most: int = 20_000) -> int:
    with psycopg.connect(county.login_url) as service:
        service.execute("set role hub_service")
        sealed: int = one(service, "select seal(%s)", most)
        return sealed


def service(county: County) -> psycopg.Connection:
    connection = psycopg.connect(county.login_url, autocommit=True)
    connection.execute("set role hub_service")
    return connection


def superuser(county: County) -> psycopg.Connection:
    """Somebody who can do anything, and switches off what stands in the way."""
    connection = psycopg.connect(county.owner_url)
    connection.execute("set session_replication_role = replica")
    for table in ("journal", "chain", "cursors", "epochs", "things"):
        connection.execute(f"alter table {table} disable trigger all".encode())
    return connection


# -- what is written ---------------------------------------------------------------------------------------------------


def test_an_insert_is_kept_whole_and_an_update_by_its_fields(owner: psycopg.Connection) -> None:
    owner.execute("select set_config('hub.person', %s, true)", (str(AMINA),))
    id_ = add(owner, amount=1, place="srid=4326;point(34.75 -0.1)")
    owner.execute("update things set amount = 2, name = name, ward_id = %s where id = %s", (WEST, id_))
    first, second = entries(owner, id_)
    assert (first["op"], first["before"], first["actor"], first["areas"]) == ("insert", None, AMINA, [EAST])
    assert first["after"] == {
        "id": str(id_),
        "name": "drain",
        "amount": 1,
        "place": one(owner, "select place::text from things where id = %s", id_),
        "ward_id": str(EAST),
        "seen_at": None,
        "occurred_at": None,
        "stated_at": None,
        "tags": None,
        "more": None,
        "number": one(owner, "select number from things where id = %s", id_),
    }
    assert (second["op"], second["before"]) == ("update", {"amount": 1, "ward_id": str(EAST)})
    assert second["after"] == {"amount": 2, "ward_id": str(WEST)}
    # Whoever loses sight of it hears of that, too.
    assert second["areas"] == [EAST, WEST]
    assert (second["node"], second["tbl"], second["audience"], second["schema_version"]) == (
        "county",
        "things",
        "things",
        1,
    )
    assert second["arrival"] == second["entry"]
    assert first["hlc"] < second["hlc"]
    assert one(owner, "select count(distinct xid) from journal where object_id = %s", id_) == 1


def test_a_change_that_changes_nothing_is_none(owner: psycopg.Connection) -> None:
    id_ = add(owner, amount="1.0", place="srid=4326;point(34.75 -0.1)", more='{"a": 1}', tags=["a"])
    owner.execute("update things set name = name, place = place, more = '{\"a\": 1}' where id = %s", (id_,))
    owner.execute("update things set version = version + 1, secret = 'x' where id = %s", (id_,))
    assert len(entries(owner, id_)) == 1
    # Equal is not the same: what is kept must be what was there.
    owner.execute("update things set amount = 1.00 where id = %s", (id_,))
    assert [str(entry["after"]["amount"]) for entry in entries(owner, id_)] == ["1.0", "1.0"]
    assert one(owner, "select after ->> 'amount' from journal where object_id = %s and op = 'update'", id_) == "1.00"


def test_what_is_left_out_never_enters(owner: psycopg.Connection) -> None:
    canary = uuid4().hex
    id_ = add(owner, secret=canary)
    owner.execute("update things set secret = %s, name = 'a' where id = %s", (canary[::-1], id_))
    text = " ".join(rows(owner, "select j::text from journal j"))
    assert len(entries(owner, id_)) == 2
    assert canary not in text
    assert canary[::-1] not in text
    assert '"version"' not in text


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("delete from things", "rows of things are never deleted"),
        ("truncate things", "rows of things are never deleted"),
        ("update things set id = gen_random_uuid()", "an id of things is never changed"),
        ("update journal set op = 'update'", "never overwritten or removed"),
        ("update journal set before = null, after = null, salt = null", "never overwritten or removed"),
        ("delete from journal", "never overwritten or removed"),
        ("truncate journal", "never overwritten or removed"),
        ("update chain set seq = -seq", "rows are added to chain"),
        ("delete from cursors", "rows are added to cursors"),
        ("truncate epochs", "rows are added to epochs"),
    ],
)
@pytest.mark.parametrize("who", ["hub_owner", "hub_admin"])
def test_nothing_is_taken_back(owner: psycopg.Connection, statement: str, refusal: str, who: str) -> None:
    add(owner)
    owner.execute("reset role")
    one(owner, "select seal(100)")
    # Also for a superuser who plays a replica, under which ordinary triggers rest.
    owner.execute("set session_replication_role = replica" if who == "hub_admin" else f"set role {who}")
    with pytest.raises(errors.RestrictViolation, match=refusal):
        owner.execute(statement.encode())


def test_the_journals_hand_blanks_and_nothing_else(owner: psycopg.Connection) -> None:
    id_ = add(owner)
    owner.execute("set local role hub_journal")
    for change in ("before = '{}', after = null, salt = null", "after = '{}'"):
        with pytest.raises((errors.RestrictViolation, errors.CheckViolation)), owner.transaction():
            owner.execute(f"update journal set {change} where object_id = %s".encode(), (id_,))
    for change in ("op = 'erase'", "payload_hash = sha256('')", "hlc = 1"):
        with pytest.raises(errors.InsufficientPrivilege), owner.transaction():
            owner.execute(f"update journal set {change} where object_id = %s".encode(), (id_,))


def test_an_id_is_never_used_again(owner: psycopg.Connection) -> None:
    id_ = add(owner)
    owner.execute("reset role; alter table things disable trigger journal_keeps; set role hub_owner")
    owner.execute("delete from things where id = %s", (id_,))
    with pytest.raises(errors.UniqueViolation, match="was used in things before"):
        add(owner, id=id_)


def test_a_session_cannot_bend_what_is_written(owner: psycopg.Connection) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    id_ = add(owner, seen_at=at, place="srid=4326;point(34.12345678901234 -0.1)")
    owner.execute("update things set more = '{\"at\": 1.10}' where id = %s", (id_,))
    owner.execute(
        "set local timezone = 'Africa/Nairobi'; set local datestyle = 'German'; set local extra_float_digits = -5;"
        "set local bytea_output = 'escape'; set local search_path = ''"
    )
    bent = one(
        owner,
        "insert into public.things (name, ward_id, seen_at, place) select name, ward_id, seen_at, place "
        "from public.things where id = %s returning id",
        id_,
    )
    owner.execute("set local search_path = public; set local datestyle = 'ISO'; set local bytea_output = 'hex'")
    said, again = (entries(owner, each)[0]["after"] for each in (id_, bent))
    assert said["seen_at"] == "2026-01-02T03:04:05.678901+00:00"
    assert {**said, "id": 0, "number": 0} == {**again, "id": 0, "number": 0}
    assert one(owner, "select count(*) from differences('things')") == 0


def test_a_caller_writes_through_the_policies_and_the_journal_knows_who(county: County) -> None:
    with psycopg.connect(county.login_url) as login:
        login.execute("set role hub_area")
        for name, value in (("roles", "ward"), ("person", AMINA), ("areas", f"{{{EAST}}}")):
            login.execute("select set_config(%s, %s, true)", (f"hub.{name}", str(value)))
        id_ = add(login)
        assert rows(login, "select actor, op from journal where object_id = %s", id_) == [(AMINA, "insert")]
        with pytest.raises(errors.InsufficientPrivilege):
            login.execute("insert into journal select * from journal")
        login.rollback()


@pytest.mark.parametrize(
    ("table", "call", "refusal"),
    [
        ("id uuid, a text", "null, 'things'", "primary key of odd must be a uuid called id"),
        ("id bigint primary key", "null, 'things'", "primary key of odd must be a uuid called id"),
        ("id uuid primary key, a json", "null, 'things'", "cannot keep odd.a exactly: it is json"),
        ("id uuid primary key, a geometry[]", "null, 'things'", r"cannot keep odd.a exactly: it is geometry\[\]"),
        ("id uuid primary key, a sources", "null, 'things'", "cannot keep odd.a exactly"),
        ("id uuid primary key", "null, 'things', '{b}'", "b cannot be left out"),
        ("id uuid primary key", "null, 'things', '{id}'", "id cannot be left out"),
        ("id uuid primary key", "null, 'Two words'", "is no audience"),
        ("id uuid primary key, a text", "null, 'things', '{}', 'a'", "no column a that could say when"),
        ("id uuid primary key", "null, 'things', '{}', null, 'b'", "no column b that could say when"),
    ],
)
def test_a_table_that_cannot_be_kept_is_refused(owner: psycopg.Connection, table: str, call: str, refusal: str) -> None:
    owner.execute(f"create table odd ({table})".encode())
    with pytest.raises(psycopg.Error, match=refusal):
        owner.execute(f"call journal_table('odd', {call})".encode())


def test_a_json_null_is_refused(owner: psycopg.Connection) -> None:
    with pytest.raises(errors.CheckViolation, match="more holds a JSON null"):
        add(owner, more="null")


def test_a_wide_table_and_one_that_holds_rows_already(owner: psycopg.Connection) -> None:
    columns = [f"c{number}" for number in range(130)]
    owner.execute(
        f"create table wide (id uuid primary key default public.uuidv7(), {' int, '.join(columns)} int)".encode()
    )
    owner.execute("call guard_table('wide')")
    owner.execute("insert into wide (c0, c129) select n, n from generate_series(1, 3) n")
    owner.execute("call journal_table('wide', null, 'wide')")
    owner.execute("insert into wide (c0, c41) values (4, 4); update wide set c129 = c129 + 1 where c0 < 3")
    assert rows(owner, "select op, count(*) from journal where tbl = 'wide' group by op order by op") == [
        ("insert", 4),
        ("update", 2),
    ]
    assert rows(owner, "select differences('wide')") == []
    # A column that comes later is found until it is said, and what it holds by then enters.
    owner.execute("alter table wide add column late text")
    owner.execute("update wide set late = 'x' where c0 = 1")
    assert rows(owner, "select tbl, col from unjournalled()") == [("wide", "late")]
    owner.execute("call journal_table('wide', null, 'wide')")
    owner.execute("update wide set late = 'y' where c0 = 2")
    assert rows(owner, "select tbl, col from unjournalled()") == []
    assert rows(owner, "select differences('wide')") == []
    assert rows(owner, "select after, schema_version from journal where after ? 'late' order by entry") == [
        ({"late": "x"}, 2),
        ({"late": "y"}, 2),
    ]


def test_a_migration_that_forgets_the_journal_is_refused(own_county: County) -> None:
    with tempfile.TemporaryDirectory() as place:
        from hub.database.migrate import FOLDER

        for path in FOLDER.glob("*.sql"):
            (Path(place) / path.name).write_text(path.read_text())
        (Path(place) / "9000_wider.sql").write_text("alter table things add column wide integer;")
        with pytest.raises(MigrationFailed, match=r"whether the journal holds things\.wide"):
            migrate(own_county.owner_url, own_county.login_url, folder=Path(place), access=TRIED)


# -- when it happened, and what the rows are ---------------------------------------------------------------------------


def ago(minutes: float) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


def test_what_is_said_late_goes_where_it_belongs(owner: psycopg.Connection) -> None:
    id_ = add(owner, name="at noon", amount=1, occurred_at=ago(120))
    owner.execute("update things set name = 'now' where id = %s", (id_,))
    owner.execute("update things set name = 'an hour ago', amount = 5, stated_at = %s where id = %s", (ago(60), id_))
    assert rows(owner, "select name, amount from things where id = %s", id_) == [("now", 5)]
    assert rows(owner, "select differences('things')") == []
    first, now, late = entries(owner, id_)
    assert first["effective_at"] < late["effective_at"] < now["effective_at"] < late["recorded_at"]
    # Who changed what without knowing of it stays visible.
    seen = rows(owner, "select field, entry, expected, met from conflicts('things', %s)", id_)
    assert seen == [("name", late["entry"], "now", "at noon"), ("name", now["entry"], "at noon", "an hour ago")]


def test_a_derived_column_follows_what_it_is_derived_from(owner: psycopg.Connection) -> None:
    owner.execute("""
        create table finds (id uuid primary key default public.uuidv7(), place geometry(point, 4326), ward_id uuid,
                            changed_at timestamptz, version integer not null default 0);
        call guard_table('finds');
        create function place_find() returns trigger language plpgsql set search_path = public, pg_temp as $$
        begin
          new.ward_id := (select w.id from wards w where st_covers(w.boundary, new.place) order by w.code limit 1);
          new.version := new.version + 1;
          return new;
        end $$;
        create trigger place before insert or update on finds for each row execute function place_find();
        call journal_table('finds', areas => 'array[it.ward_id]', audience => 'finds', left_out => '{ward_id, version}',
                           occurred => 'changed_at', stated => 'changed_at');
    """)
    one_ward, other = rows(owner, "select id, label_point from wards order by code limit 2")
    id_ = one(owner, "insert into finds (place, changed_at) values (%s, %s) returning id", one_ward[1], ago(60))
    owner.execute("update finds set place = st_translate(place, 0.00001, 0) where id = %s", (id_,))
    owner.execute("update finds set place = %s, changed_at = %s where id = %s", (other[1], ago(30), id_))
    # It had been in the other ward, and is not any more; its ward was never told in between.
    assert one(owner, "select ward_id from finds where id = %s", id_) == one_ward[0]
    assert rows(owner, "select differences('finds')") == []
    assert [entry["areas"] for entry in entries(owner, id_)] == [
        [one_ward[0]],
        [one_ward[0]],
        sorted([one_ward[0], other[0]]),
    ]
    assert one(owner, "select version from finds where id = %s", id_) == 4


def test_when_it_came_to_be_may_be_corrected(owner: psycopg.Connection) -> None:
    # By the time that it corrects, the correction would lose to what it corrects.
    id_ = add(owner, occurred_at=ago(60))
    earlier = ago(90)
    owner.execute("update things set occurred_at = %s, name = 'earlier' where id = %s", (earlier, id_))
    assert rows(owner, "select occurred_at, name from things where id = %s", id_) == [(earlier, "earlier")]
    assert rows(owner, "select differences('things')") == []


@pytest.mark.parametrize("column", ["occurred_at", "stated_at"])
@pytest.mark.parametrize("when", [datetime(2999, 1, 1, tzinfo=UTC), "infinity", "-infinity"])
def test_what_has_not_happened_yet_is_refused(owner: psycopg.Connection, column: str, when: Any) -> None:
    with pytest.raises(errors.CheckViolation, match="has not happened yet"):
        add(owner, **{column: when})


def test_the_clock_never_goes_back_for_an_object(owner: psycopg.Connection) -> None:
    id_ = add(owner)
    for number in range(50):
        owner.execute("update things set amount = %s where id = %s", (number, id_))
    clock = [(entry["hlc"], entry["effective_at"]) for entry in entries(owner, id_)]
    assert clock == sorted(clock)
    assert len({hlc for hlc, _ in clock}) == 51


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),  # which object
        st.fixed_dictionaries(
            {},
            optional={
                "name": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
                "amount": st.none() | st.decimals(-1000, 1000, places=3) | st.just("NaN"),
                "ward_id": st.sampled_from([None, EAST, WEST]),
                "place": st.none()
                | st.tuples(st.floats(33, 37), st.floats(-2, 2)).map(
                    lambda at: f"srid=4326;point({at[0]!r} {at[1]!r})"
                ),
                "tags": st.none() | st.lists(st.text("ab,{}\"\\'", max_size=3), max_size=3),
                "more": st.none()
                | st.dictionaries(st.text("xy", max_size=2), st.floats(allow_nan=False, allow_infinity=False)).map(
                    json.dumps
                ),
                "seen_at": st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
            },
        ),
        st.none() | st.integers(1, 100_000),  # how many seconds late it is said
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_rows_are_what_their_entries_say_whatever_happens(owner: psycopg.Connection, steps: list[Any]) -> None:
    try:
        ids: dict[int, UUID] = {}
        told: dict[UUID, list[tuple[Any, dict[str, Any]]]] = {}
        for which, columns, late in steps:
            stated = {} if late is None else {"stated_at": datetime.now(UTC) - timedelta(seconds=late)}
            if which not in ids:
                ids[which] = add(owner, **{"occurred_at": ago(1000), **columns, **stated})
            elif columns | stated:
                changes = columns | stated
                said = ", ".join(f"{name} = %s" for name in changes)
                owner.execute(f"update things set {said} where id = %s".encode(), (*changes.values(), ids[which]))
        assert rows(owner, "select differences('things')") == []
        # The same by plain means: entries in the order of the one key, the last to name a field wins.
        for id_ in ids.values():
            told[id_] = [((e["effective_at"], e["hlc"], e["node"]), e["after"]) for e in entries(owner, id_)]
            fields: dict[str, Any] = {}
            for _, says in sorted(told[id_], key=lambda pair: pair[0]):
                fields |= says
            assert fields == one(owner, "select rebuilt('things', %s)", id_)
            row = one(owner, "select row(t.name, t.amount::text, t.place::text) from things t where id = %s", id_)
            amount = one(owner, "select rebuilt('things', %s) ->> 'amount'", id_)
            assert row == (fields["name"], amount, fields["place"])
    finally:
        owner.rollback()


# -- what comes from another hub ---------------------------------------------------------------------------------------


def arrive(
    connection: psycopg.Connection, id_: UUID, op: str, said: dict[str, Any], number: int, **columns: Any
) -> None:
    """As a subscription, or a signed file, would bring it."""
    now = datetime.now(UTC)
    columns = {
        "node": "seme",
        "entry": number,
        "hlc": int(now.timestamp() * 1_000_000),
        "effective_at": now,
        "recorded_at": now,
        "tbl": "things",
        "object_id": id_,
        "op": op,
        "after": json.dumps(said),
        "areas": [EAST],
        "audience": "things",
        "schema_version": 1,
        "payload_hash": bytes(32),
        "salt": bytes(16),
        **columns,
    }
    asked = f"insert into journal ({', '.join(columns)}) values ({', '.join(['%s'] * len(columns))})"
    connection.execute(asked.encode(), list(columns.values()))


@pytest.fixture
def subscriber(county: County) -> Iterator[psycopg.Connection]:
    with psycopg.connect(county.owner_url) as connection:
        connection.execute("insert into nodes (node, letter) values ('seme', 'S')")
        # Replication applies changes like this, and with an empty search path.
        connection.execute("set local session_replication_role = replica; set local search_path = public")
        yield connection
        connection.rollback()


def test_what_arrives_is_put_into_the_rows_once(subscriber: psycopg.Connection) -> None:
    id_, whole = uuid4(), {"name": "from Seme", "amount": 7, "unheard_of": 1}
    arrive(subscriber, id_, "update", {"amount": 8}, 2)  # before what it changes
    assert rows(subscriber, "select id from things where id = %s", id_) == []
    arrive(subscriber, id_, "insert", {"id": str(id_), **whole}, 1, hlc=1, effective_at=ago(60))
    arrive(subscriber, id_, "insert", {"id": str(id_), **whole}, 1)
    assert rows(subscriber, "select name, amount, version from things where id = %s", id_) == [("from Seme", 8, 1)]
    assert len(entries(subscriber, id_)) == 2
    assert rows(subscriber, "select count(*) from journal where node = 'county' and object_id = %s", id_) == [0]
    # What is changed here comes after what came, however fast the other clock is.
    fast = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1_000_000)
    arrive(subscriber, id_, "update", {"name": "fast"}, 3, hlc=fast)
    subscriber.execute("update things set name = 'here' where id = %s", (id_,))
    assert one(subscriber, "select name from things where id = %s", id_) == "here"
    assert one(subscriber, "select max(hlc) from journal where node = 'county' and object_id = %s", id_) == fast + 1


def test_what_nobody_can_have_sent_is_refused(subscriber: psycopg.Connection) -> None:
    with (
        pytest.raises(errors.ForeignKeyViolation, match="no hub of the county is called nyando"),
        subscriber.transaction(),
    ):
        arrive(subscriber, uuid4(), "insert", {}, 1, node="nyando")
    with pytest.raises(errors.RestrictViolation, match="was not made by it"), subscriber.transaction():
        arrive(subscriber, uuid4(), "insert", {}, 10**9, node="county")


def test_an_erasure_that_arrives_forgets_here_too(subscriber: psycopg.Connection) -> None:
    id_ = add(subscriber, name="Canary Otieno")
    arrive(subscriber, id_, "erase", {"id": str(id_), "name": "erased"}, 1)
    assert one(subscriber, "select name from things where id = %s", id_) == "erased"
    assert "Canary" not in " ".join(rows(subscriber, "select j::text from journal j"))


# -- sealing -----------------------------------------------------------------------------------------------------------


def order(county: County) -> list[Any]:
    with psycopg.connect(county.owner_url) as connection:
        return rows(
            connection,
            "select c.cursor, c.ends, j.after ->> 'name' from cursors c join journal j using (node, entry) order by 1",
        )


def test_commits_out_of_order_lose_nothing_and_a_stuck_writer_blocks_nobody(own_county: County) -> None:
    with psycopg.connect(own_county.owner_url) as first, psycopg.connect(own_county.owner_url) as second:
        add(first, "first")
        add(second, "second")
        assert seal(own_county) == 0
        second.commit()
        assert seal(own_county) == 1
        for number in range(3):
            add(second, f"meanwhile {number}")
            second.commit()
            assert seal(own_county) == 1
        first.commit()
        assert seal(own_county) == 1
        assert seal(own_county) == 0
    assert [name for _, _, name in order(own_county)] == [
        "second",
        "meanwhile 0",
        "meanwhile 1",
        "meanwhile 2",
        "first",
    ]
    assert verify(own_county.owner_url) == Proof(5, 0, ())


def test_a_transaction_that_was_open_for_long_is_not_looked_behind_for_ever(own_county: County) -> None:
    def seen_from(connection: psycopg.Connection) -> bool:
        """Whether the next look begins behind everything that is there."""
        return bool(
            one(
                connection,
                "select not exists (select from journal, sealer_state where xid >= pg_snapshot_xmin(snapshot))",
            )
        )

    with (
        psycopg.connect(own_county.owner_url) as stuck,
        psycopg.connect(own_county.owner_url, autocommit=True) as writer,
    ):
        add(stuck)
        for _ in range(3):
            add(writer)
        assert seal(own_county) == 3
        assert not seen_from(writer)
        stuck.rollback()
        for _ in range(100):  # transaction numbers are the whole cluster's: it may be cleaning up another database
            assert seal(own_county) == 0
            if seen_from(writer):
                break
            time.sleep(0.1)
        assert seen_from(writer)
        before = one(writer, "select xmin from sealer_state")
        assert seal(own_county) == 0
        # What costs nothing to look at costs no write either.
        assert one(writer, "select xmin from sealer_state") == before


def test_transactions_stay_whole_and_what_was_rolled_back_is_not_there(own_county: County) -> None:
    with psycopg.connect(own_county.owner_url) as writer, psycopg.connect(own_county.owner_url) as other:
        add(writer, "a1")
        add(other, "b1")
        with suppress(ZeroDivisionError), writer.transaction():
            add(writer, "taken back to the savepoint")
            raise ZeroDivisionError
        with writer.transaction():
            add(writer, "a2")
        add(other, "taken back")
        other.rollback()
        add(other, "c1")
        add(writer, "a3")
        other.commit()
        writer.commit()
    # In the order of each one's last entry; a transaction is not cut where "most" is reached.
    assert [seal(own_county, most=2) for _ in range(3)] == [4, 0, 0]
    assert order(own_county) == [(1, 1, "c1"), (2, 4, "a1"), (3, 4, "a2"), (4, 4, "a3")]
    with psycopg.connect(own_county.owner_url) as writer:
        for number in range(5):
            add(writer, f"d{number}")
            writer.commit()
    assert [seal(own_county, most=2) for _ in range(4)] == [2, 2, 1, 0]
    with service(own_county) as reader:
        epoch, _ = one(reader, "select epoch, cursor from journal_head()")
        windows = [
            rows(reader, "select distinct upto from journal_after(%s, %s, %s)", epoch, since, window)
            for since, window in ((0, 1), (0, 2), (1, 1), (1, 2), (0, 4), (4, 3), (4, 500), (9, 1))
        ]
        assert windows == [[1], [1], [4], [4], [4], [7], [9], [9]]


def test_a_cursor_counts_in_its_epoch(own_county: County) -> None:
    with psycopg.connect(own_county.owner_url, autocommit=True) as connection:
        for _ in range(3):
            add(connection)
        seal(own_county)
        before = one(connection, "select epoch from journal_head()")
        add(connection)
        # As after a restore into another cluster: older, and with transaction numbers that mean nothing here.
        connection.execute("update sealer_state set system_identifier = 1, snapshot = '999999999:999999999:'")
        assert seal(own_county) == 1
        now = one(connection, "select epoch from journal_head()")
        assert now != before
        assert rows(connection, "select cause, after_cursor from epochs order by number") == [
            ("first", 0),
            ("restore", 3),
        ]
        assert seal(own_county) == 0
        add(connection)
        assert seal(own_county) == 1
        assert verify(own_county.owner_url).flaws == ()

        def upto(epoch: UUID | None, since: int) -> Any:
            return one(connection, "select sealed_upto(%s, %s, 200)", epoch, since)

        assert (upto(before, 0), upto(before, 3), upto(now, 2), upto(now, 5)) == (5, 5, 5, 5)
        for epoch, since in ((before, 4), (now, 6), (uuid4(), 0), (now, -1), (None, 0)):
            with pytest.raises(psycopg.Error, match="does not know") as refusal:
                upto(epoch, since)
            assert refusal.value.sqlstate == "HJ001"


def test_numbers_of_a_former_cluster_are_not_met_twice(own_county: County) -> None:
    with psycopg.connect(own_county.owner_url, autocommit=True) as connection:
        connection.execute("alter table journal alter column xid set default '50000000'")
        for _ in range(3):
            add(connection)
        connection.execute("alter table journal alter column xid set default pg_current_xact_id()")
        connection.execute("update sealer_state set snapshot = '60000000:60000000:', system_identifier = 1")
        assert seal(own_county) == 3
        # The cluster's own numbers come as far as theirs.
        coming = one(connection, "select pg_current_xact_id()::text::bigint") + 3
        connection.execute("alter table journal disable trigger all")
        connection.execute("update journal set xid = %s::text::xid8", (coming,))
        connection.execute("alter table journal enable always trigger append_only")
        for _ in range(8):
            add(connection)
            assert seal(own_county) == 1
    assert verify(own_county.owner_url).entries == 11


# -- sealing while everything goes wrong -------------------------------------------------------------------------------


@asynccontextmanager
async def sealers(county: County, number: int = 1, **pauses: float) -> AsyncIterator[list[Sealer]]:
    every = [Sealer(county.login_url, **pauses) for _ in range(number)]  # type: ignore[arg-type]
    tasks = [asyncio.create_task(each.run()) for each in every]
    try:
        yield every
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended


async def until(holds: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(holds):
        assert time.monotonic() < deadline, "it does not come about"
        await asyncio.sleep(0.02)


async def test_sealers_are_killed_under_load(own_county: County) -> None:
    """Four writers change the same objects and take back a tenth; whoever seals is ended again and again."""
    with psycopg.connect(own_county.owner_url, autocommit=True) as connection:
        ids = [add(connection, occurred_at=ago(1000)) for _ in range(12)]
    stop = threading.Event()
    committed = [0] * 4

    def write(seat: int) -> None:
        dice = random.Random(seat)
        with psycopg.connect(own_county.owner_url) as writer:
            while not stop.is_set():
                # In one order, so that nobody waits in a circle.
                chosen = sorted(dice.sample(ids, dice.randint(1, 3)))
                for id_ in chosen:
                    late = ago(dice.uniform(1, 600)) if dice.random() < 0.2 else None
                    writer.execute(
                        "update things set amount = %s, name = %s, stated_at = coalesce(%s, stated_at) where id = %s",
                        (dice.random(), str(dice.random()), late, id_),
                    )
                if dice.random() < 0.1:
                    writer.rollback()
                else:
                    writer.commit()
                    committed[seat] += len(chosen)

    threads = [threading.Thread(target=write, args=(seat,)) for seat in range(4)]
    async with sealers(own_county, 2, stand_by_seconds=0.03):
        for thread in threads:
            thread.start()
        try:
            with psycopg.connect(own_county.owner_url, autocommit=True) as connection:
                for _ in range(6):
                    await asyncio.sleep(0.25)
                    connection.execute(
                        "select pg_terminate_backend(pid) from pg_stat_activity "
                        "where datname = current_database() and application_name = 'hub sealer' and pid in "
                        "(select pid from pg_locks where locktype = 'advisory' and granted)"
                    )
        finally:
            stop.set()
            for thread in threads:
                await asyncio.to_thread(thread.join)
        written = sum(committed) + len(ids)
        with psycopg.connect(own_county.owner_url, autocommit=True) as connection:
            await until(lambda: one(connection, "select cursor from sealer_state") == written)
    with psycopg.connect(own_county.owner_url, autocommit=True) as connection:
        assert written > 100
        assert rows(connection, "select count(*), min(cursor), max(cursor) from cursors") == [(written, 1, written)]
        # No change comes before one that it builds on.
        assert (
            rows(
                connection,
                "select object_id from (select object_id, hlc, lag(hlc) over (partition by object_id order by cursor) "
                "was from journal join cursors using (node, entry)) o where was > hlc",
            )
            == []
        )
        # Whole transactions have neighbouring cursors.
        assert (
            rows(
                connection,
                "select xid::text from journal join cursors using (node, entry) group by xid "
                "having max(cursor) - min(cursor) + 1 <> count(*) or min(ends) <> max(cursor) "
                "or max(ends) <> max(cursor)",
            )
            == []
        )
        assert rows(connection, "select differences('things')") == []
    assert verify(own_county.owner_url) == Proof(written, 0, ())


async def test_readers_lose_nothing_while_writers_commit_out_of_order(own_county: County) -> None:
    """Eight writers sleep at random before they commit; a reader polls all the while."""
    made_ids: set[UUID] = set()
    done = threading.Event()

    def write(seat: int) -> None:
        dice = random.Random(seat)
        with psycopg.connect(own_county.owner_url) as writer:
            for _ in range(12):
                new = [add(writer) for _ in range(dice.randint(1, 3))]
                time.sleep(dice.uniform(0, 0.05))
                writer.commit()
                made_ids.update(new)

    heard: list[tuple[int, UUID]] = []
    async with sealers(own_county):
        reader = await asyncpg.connect(own_county.login_url, server_settings={"role": "hub_service"})
        try:
            while (position := await head(reader)) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            threads = [threading.Thread(target=write, args=(seat,)) for seat in range(8)]
            for thread in threads:
                thread.start()
            waiting = asyncio.create_task(asyncio.to_thread(lambda: ([t.join() for t in threads], done.set())))
            deadline = time.monotonic() + 30
            while not (done.is_set() and len(heard) >= len(made_ids)):
                assert time.monotonic() < deadline
                batch = await after(reader, position, 3)
                # What is handed out ends where a transaction ends.
                assert not batch.entries or batch.entries[-1].cursor == batch.entries[-1].ends
                position = batch.position
                heard += [(entry.cursor, entry.object_id) for entry in batch.entries]
                await asyncio.sleep(0.001)
            await waiting
        finally:
            await reader.close()
    assert [cursor for cursor, _ in heard] == list(range(1, len(heard) + 1))
    assert {id_ for _, id_ in heard} == made_ids


async def test_the_sealer_outlives_the_database() -> None:
    with tempfile.TemporaryDirectory(prefix="hub-test-") as place:
        Path(place).chmod(0o711)
        cluster = Cluster(Path(place) / "home")
        cluster.start()
        try:
            cluster.create_database("county")
            owner_url, login_url = cluster.url(cluster.OWNER, "county"), cluster.url(cluster.LOGIN, "county")
            task = asyncio.create_task(Sealer(login_url).run())  # before there is anything to seal
            await asyncio.to_thread(migrate, owner_url, login_url)
            with psycopg.connect(owner_url, autocommit=True) as owner:
                owner.execute("set role hub_owner")
                owner.execute(THINGS)
                add(owner)
                await until(lambda: one(owner, "select cursor from sealer_state") == 1)
                before = one(owner, "select epoch from journal_head()")
            await asyncio.to_thread(cluster.stop)
            await asyncio.sleep(0.2)
            assert not task.done()
            await asyncio.to_thread(cluster.start)
            with psycopg.connect(owner_url, autocommit=True) as owner:
                add(owner)
                await until(lambda: one(owner, "select cursor from sealer_state") == 2)
                # Nobody can tell whether it started on the same files: whoever has seen less than they hold reads on.
                assert rows(owner, "select cause, after_cursor from epochs order by number") == [
                    ("first", 0),
                    ("restart", 1),
                ]
                assert one(owner, "select sealed_upto(%s, 1, 200)", before) == 2
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert verify(owner_url).flaws == ()
            assert verify(login_url) == verify(owner_url)
        finally:
            cluster.stop()


def test_a_bulk_load_is_sealed_in_pieces(own_county: County) -> None:
    with psycopg.connect(own_county.owner_url) as connection:
        for _ in range(3):
            connection.execute(
                "insert into things (name, ward_id, amount, place) "
                "select 'x', %s, n, st_setsrid(st_point(34, 0), 4326) from generate_series(1, 1500) n",
                (EAST,),
            )
            connection.commit()
    assert [seal(own_county, most=2000) for _ in range(3)] == [3000, 1500, 0]
    assert verify(own_county.login_url) == Proof(4500, 0, ())


async def test_listeners_hear_how_far_sealing_has_come(own_county: County) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    listener = await asyncpg.connect(own_county.login_url)
    try:
        await listener.add_listener("sealed", lambda *said: heard.put_nowait(said[3]))
        async with sealers(own_county, idle_seconds=30) as (sealer,):
            await until(lambda: sealer.sealing)
            with psycopg.connect(own_county.owner_url) as connection:
                add(connection)
                add(connection)
            sealer.wake()
            assert await asyncio.wait_for(heard.get(), 20) == "2"
    finally:
        await listener.close()


# -- who may hear what -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def heard(copies: Callable[[], AbstractContextManager[County]]) -> Iterator[tuple[County, UUID]]:
    """Six sealed entries: a thing east, one west, one that moves from east to west, a caller east and one west."""
    with made(copies) as county:
        with psycopg.connect(county.owner_url) as owner:
            add(owner, "east", EAST)
            add(owner, "west", WEST)
            moved = add(owner, "moved", EAST)
            owner.execute("update things set ward_id = %s where id = %s", (WEST, moved))
            owner.execute("insert into tellers (name, ward_id) values ('c east', %s), ('c west', %s)", (EAST, WEST))
        seal(county)
        with psycopg.connect(county.owner_url) as owner:
            yield county, one(owner, "select epoch from epochs")


ALL = [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("scope", "roles", "areas", "cursors"),
    [
        (Scope.AREA, "ward", [EAST], [1, 3, 4]),
        (Scope.AREA, "ward", [WEST], [2, 4]),
        (Scope.AREA, "ward", [EAST, WEST], [1, 2, 3, 4]),
        (Scope.AREA, "ward", [], []),
        (Scope.AREA, "", [EAST], []),
        (Scope.COUNTY, "desk", [], [1, 2, 3, 4]),
        (Scope.COUNTY, "desk", [WEST], [1, 2, 3, 4, 6]),
        (Scope.COUNTY, "auditor", [], ALL),
        (Scope.COUNTY, "ward", [EAST], [1, 3, 4]),
        (Scope.COUNTY, "", [EAST], []),
        (Scope.SERVICE, "", [], ALL),
    ],
)
def test_roles_hear_of_their_nouns_in_their_areas(
    heard: tuple[County, UUID], scope: Scope, roles: str, areas: list[UUID], cursors: list[int]
) -> None:
    county, epoch = heard
    with psycopg.connect(county.login_url) as login:
        come = {"role": scope, "hub.roles": roles, "hub.areas": f"{{{','.join(map(str, areas))}}}" if areas else ""}
        for name, value in come.items():
            login.execute("select set_config(%s, %s, true)", (name, str(value)))
        seen = rows(login, "select upto, cursor from journal_after(%s, 0, 200)", epoch)
        # Where one stands is said also to those who see nothing.
        assert {upto for upto, _ in seen} == {6}
        assert [cursor for _, cursor in seen if cursor] == cursors
        assert one(login, "select count(*) from journal where node = 'county'") == len(cursors)
        if scope is not Scope.SERVICE:
            with pytest.raises(errors.InsufficientPrivilege):
                login.execute("select salt from journal")


@pytest.mark.parametrize(
    ("scope", "closed"),
    [
        (Scope.PUBLIC, ("select node from journal", "select journal_after('{epoch}', 0, 9)", "select journal_head()")),
        # Whoever is signed in may know how far the journal goes: they hear what becomes of their own reports.
        (Scope.OWN, ("select node from journal", "select journal_after('{epoch}', 0, 9)")),
    ],
)
def test_who_hears_nothing_reads_nothing_of_the_journal(
    heard: tuple[County, UUID], scope: Scope, closed: tuple[str, ...]
) -> None:
    county, epoch = heard
    for question in closed:
        with psycopg.connect(county.login_url) as login:
            login.execute(f"set role {scope}".encode())
            with pytest.raises(errors.InsufficientPrivilege):
                login.execute(question.format(epoch=epoch).encode())


async def test_a_reader_with_a_cursor_from_elsewhere_reads_anew(heard: tuple[County, UUID]) -> None:
    county, epoch = heard
    reader = await asyncpg.connect(county.login_url, server_settings={"role": "hub_service"})
    try:
        assert await head(reader) == Position(epoch, 6)
        batch = await after(reader, Position(epoch, 4))
        assert [entry.after and entry.after["name"] for entry in batch.entries] == ["c east", "c west"]
        assert batch.position == Position(epoch, 6)
        assert (await after(reader, batch.position)).entries == ()
        for stranger in (Position(uuid4(), 0), Position(epoch, 7)):
            with pytest.raises(Resync) as refusal:
                await after(reader, stranger)
            assert refusal.value.details == {"reason": "RESYNC"}
    finally:
        await reader.close()


def test_a_position_is_read_as_it_was_written() -> None:
    position = Position(uuid4(), 12)
    assert Position.read(str(position)) == position
    for nonsense in (
        "",
        ":",
        "12",
        f"{position.epoch}:",
        f"{position.epoch}:-1",
        "x:1",
        f"{position.epoch}:²",
        "1" * 99,
    ):
        with pytest.raises(BadUserInput, match="no cursor"):
            Position.read(nonsense)


# -- forgetting --------------------------------------------------------------------------------------------------------


async def test_a_person_is_forgotten_and_the_chain_still_proves(own_county: County) -> None:
    canary = "Achieng Canary"
    with psycopg.connect(own_county.owner_url, autocommit=True) as connection:
        id_ = one(connection, "insert into tellers (name, ward_id) values (%s, %s) returning id", canary, EAST)
        connection.execute("update tellers set phone = '0700 canary' where id = %s", (id_,))
        other = add(connection, "stays")
        seal(own_county)
        as_service = await asyncpg.connect(own_county.login_url, server_settings={"role": "hub_service"})
        try:
            with pytest.raises(asyncpg.InvalidParameterValueError, match="must name columns that the journal holds"):
                await erase(as_service, "tellers", id_, {"nickname": None})
            assert await erase(as_service, "tellers", id_, {"name": "erased", "phone": None}) == 2
        finally:
            await as_service.close()
        assert verify(own_county.owner_url) == Proof(3, 2, ())
        seal(own_county)
        everything = " ".join(
            rows(connection, "select j::text from journal j") + rows(connection, "select c::text from tellers c")
        )
        assert "anary" not in everything
        assert rows(connection, "select name, phone, ward_id from tellers where id = %s", id_) == [
            ("erased", None, EAST)
        ]
        # Life goes on, and what comes later may be forgotten again.
        connection.execute("update tellers set ward_id = %s where id = %s", (WEST, id_))
        assert rows(connection, "select differences('tellers')") == []
        assert one(connection, "select erase('tellers', %s, '{}')", id_) == 2
        seal(own_county)
        assert verify(own_county.owner_url) == Proof(6, 4, ())
        assert rows(connection, "select op, salt is null from journal where object_id = %s order by entry", id_) == [
            ("insert", True),
            ("update", True),
            ("erase", True),
            ("update", True),
            ("erase", False),
        ]
        assert entries(connection, other)[0]["salt"]


@pytest.mark.parametrize("scope", [Scope.PUBLIC, Scope.OWN, Scope.AREA, Scope.COUNTY])
def test_nobody_else_erases(county: County, scope: Scope) -> None:
    with psycopg.connect(county.login_url) as login:
        login.execute(f"set role {scope}".encode())
        with pytest.raises(errors.InsufficientPrivilege):
            login.execute("select erase('tellers', gen_random_uuid(), '{}')")


# -- proving -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def proven(copies: Callable[[], AbstractContextManager[County]]) -> Iterator[tuple[County, Anchor]]:
    """Twenty entries, sealed and anchored at fifteen."""
    with made(copies) as county:
        with psycopg.connect(county.owner_url, autocommit=True) as connection:
            for number in range(20):
                add(connection, f"thing {number}")
                seal(county)
                if number == 14:
                    anchored = anchor(county.owner_url)
        assert verify(county.owner_url) == Proof(20, 0, ())
        assert anchored is not None
        yield county, anchored


def rechain(connection: psycopg.Connection) -> None:
    """What somebody does who knows how the chain is made: all hashes anew, so that it fits again."""
    connection.execute(
        """
        do $$
        declare
          link record;
          last bytea := decode(repeat('00', 32), 'hex');
          place bigint := 0;
        begin
          update journal set payload_hash =
            sha256(salt || convert_to(coalesce(before::text, '') || e'\\n' || coalesce(after::text, ''), 'UTF8'));
          for link in select h.seq, j from chain h join journal j using (node, entry) order by h.seq loop
            place := place + 1;
            last := sha256(last || convert_to(journal_text(link.j), 'UTF8'));
            update chain set hash = last, seq = place where seq = link.seq;
            update cursors set cursor = place, ends = place where node = (link.j).node and entry = (link.j).entry;
          end loop;
          update sealer_state set hash = last, seq = place, cursor = place;
        end
        $$
        """
    )


TAIL = "(select entry from chain where seq > 12)"
TENTH = "(select entry from chain where seq = 10)"


@pytest.mark.parametrize(
    ("tampering", "cursor", "sentence"),
    [
        (f'update journal set after = after || \'{{"name": "x"}}\' where entry = {TENTH}', 10, "was changed"),
        (f"update journal set before = '{{}}' where entry = {TENTH}", 10, "was changed"),
        (f"update journal set actor = gen_random_uuid() where entry = {TENTH}", 10, "does not fit the chain"),
        (f"update journal set effective_at = effective_at - interval '1 s' where entry = {TENTH}", 10, "does not fit"),
        (f"update journal set areas = '{{}}' where entry = {TENTH}", 10, "does not fit the chain"),
        (f"update journal set hlc = hlc + 1 where entry = {TENTH}", 10, "does not fit the chain"),
        (
            f"update journal set after = null, before = null, salt = null where entry = {TENTH}",
            10,
            "was blanked, but nobody erased it",
        ),
        (f"delete from journal where entry = {TENTH}", 10, "was removed"),
        (
            f"delete from journal where entry = {TENTH}; delete from cursors where cursor = 10; "
            "delete from chain where seq = 10",
            10,
            "links of the chain before it were removed",
        ),
        ("delete from chain where seq = 10", 10, "links of the chain before it were removed"),
        ("update chain set hash = sha256('') where seq = 10", 10, "does not fit the chain"),
        ("delete from cursors where cursor = 10", 10, "lost its cursor"),
        (
            "update cursors set cursor = 121 - cursor, ends = 121 - cursor; "
            "update cursors set cursor = cursor - 100, ends = cursor - 100",
            1,
            "stands elsewhere",
        ),
        (
            "insert into journal select node, 1000, hlc, effective_at, recorded_at, actor, tbl, gen_random_uuid(), op, "
            f"before, after, areas, audience, schema_version, payload_hash, salt, xid, arrived_at, arrival "
            f"from journal where entry = {TENTH}",
            10,
            "was inserted among sealed ones",
        ),
        (
            "insert into cursors select 21, 21, node, entry + 1000, sealed_at from cursors where cursor = 10",
            21,
            "was removed|cursors end at 21",
        ),
        (f"delete from journal where entry in {TAIL}", 13, "was removed"),
        (
            f"delete from journal where entry in {TAIL}; delete from cursors where cursor > 12; "
            "delete from chain where seq > 12",
            13,
            "its tail was cut",
        ),
        ("update sealer_state set cursor = 12", 13, "cursors end at 20, sealing had come to 12"),
        ("delete from sealer_state", 1, "how far sealing had come was removed"),
        ("update things set name = 'x' where name = 'thing 3'", None, "is not what its entries say"),
        ("delete from things where name = 'thing 3'", None, "is not what its entries say"),
        ("insert into things (name) values ('without an entry')", None, "is not what its entries say"),
    ],
)
def test_tampering_is_found_where_it_is(
    proven: tuple[County, Anchor], tampering: str, cursor: int | None, sentence: str
) -> None:
    with superuser(proven[0]) as connection:
        connection.execute(tampering.encode())
        flaws = prove(connection).flaws
        connection.rollback()
    assert flaws, "not found"
    assert flaws[0].cursor == cursor, flaws
    assert any(re.search(sentence, str(flaw)) for flaw in flaws), flaws


def test_an_entry_that_was_made_up_is_sealed_and_still_found(own_county: County) -> None:
    with superuser(own_county) as connection:
        id_ = add(connection, "never reported")
        connection.execute(
            """
            insert into journal (
              node, entry, hlc, effective_at, recorded_at, tbl, object_id, op, after, areas, audience, schema_version,
              payload_hash, salt
            ) values (
              'county', nextval('journal_entry'), 1, now(), now(), 'things', %s, 'insert', '{"name": "made up"}', '{}',
              'things', 1, sha256('salt' || convert_to(e'\\n{"name": "made up"}', 'UTF8')), 'salt'
            )
            """,
            (id_,),
        )
    assert seal(own_county) == 1
    assert [str(flaw) for flaw in verify(own_county.owner_url).flaws] == [f"things {id_} is not what its entries say."]


GONE = "; ".join(f"delete from {table} where entry in {{0}}" for table in ("journal", "cursors", "chain"))


@pytest.mark.parametrize(
    ("tampering", "sentence"),
    [
        ("select", None),
        (f'update journal set after = after || \'{{"name": "x"}}\' where entry = {TENTH}', "it was rewritten"),
        (GONE.format(TENTH), "it was rewritten"),
        (GONE.format(TAIL), "its tail was cut"),
    ],
)
def test_what_was_rewritten_whole_is_found_against_the_anchor(
    proven: tuple[County, Anchor], tampering: str, sentence: str | None
) -> None:
    county, anchored = proven
    with superuser(county) as connection:
        connection.execute(tampering.encode())
        rechain(connection)
        # The rows, too: from within there is nothing left to see.
        connection.execute("delete from things")
        connection.execute("select project('things', object_id) from journal")
        assert prove(connection).flaws == ()
        flaws = compare(connection, [str(anchored)])
        connection.rollback()
    if sentence is None:
        assert flaws == []
    else:
        (flaw,) = flaws
        assert flaw.cursor == 15
        assert sentence in flaw.sentence


def test_anchors_are_kept_in_a_file(own_county: County, tmp_path: Path) -> None:
    file = tmp_path / "anchors"
    assert drop_anchor(own_county.login_url, file) is None
    for number in range(3):
        with psycopg.connect(own_county.owner_url) as connection:
            add(connection)
        seal(own_county)
        dropped = drop_anchor(own_county.login_url, file)
        assert dropped is not None
        assert (dropped.node, dropped.seq, dropped.cursor) == ("county", number + 1, number + 1)
    lines = file.read_text().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [1, 2, 3]
    assert check_anchors(own_county.login_url, file) == check_anchors(own_county.owner_url, file) == []
    file.write_text("{}\n" + "\n".join(lines))
    assert [str(flaw) for flaw in check_anchors(own_county.login_url, file)] == ["Line 1 is no anchor."]
