"""What was so, and what was known: incidents and vehicles as they were at any moment, made from the journal."""

from __future__ import annotations

import dataclasses
import json
import random
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.county.load import load_county
from hub.database.migrate import FOLDER, migrate
from schema.access import ACCESS, Access
from tests.conftest import County, Hub, make_person, running

AHERO, TOWN, LAKE = [34.9189, -0.1723], [34.7617, -0.0917], [34.6, -0.2]
REPORT = "mutation ($input: ReportIncidentInput!) { reportIncident(input: $input) { incident { id version } } }"
MOVE = "mutation ($input: ChangeIncidentStatusInput!) { changeIncidentStatus(input: $input) { incident { id } } }"
EDIT = "mutation ($input: EditIncidentInput!) { editIncident(input: $input) { incident { id version } } }"
SHOWN = "id reference title status severity location version ward { code }"
THEN = (
    f"query ($then: DateTime, $known: DateTime) {{ incidents(asOf: $then, knownAt: $known) {{ nodes {{ {SHOWN} }} }} }}"
)
NOW = f"{{ incidents {{ nodes {{ {SHOWN} }} }} }}"


@pytest_asyncio.fixture
async def place(fresh_database: County) -> AsyncIterator[Hub]:
    for name, areas in (("dispatcher", ()), ("planner", ()), ("citizen", ()), ("ward_administrator", ("1208",))):
        make_person(fresh_database, name, name, areas=areas)
    make_person(fresh_database, "manager", "fleet_manager")
    async with running(fresh_database.login_url) as hub:
        yield hub


def now() -> str:
    return datetime.now(UTC).isoformat()


async def seen(hub: Hub, who: str, then: str | None = None, known: str | None = None) -> list[dict[str, Any]]:
    given = {name: value for name, value in (("then", then), ("known", known)) if value is not None}
    return (await hub.ask(THEN if given else NOW, given, token=await hub.token(who)))["incidents"]["nodes"]


async def lived(hub: Hub) -> tuple[str, list[tuple[str, list[dict[str, Any]]]]]:
    """An incident's life: its id, and what was there after each step."""
    token = await hub.token("dispatcher")
    given = {"kind": "FLOOD", "title": "Water in the road", "location": AHERO, "occurredAt": now()}
    id_ = (await hub.ask(REPORT, {"input": given}, token=token))["reportIncident"]["incident"]["id"]
    told = [(now(), await seen(hub, "dispatcher"))]
    for mutation, change in (
        (MOVE, {"status": "VERIFIED"}),
        (EDIT, {"expectedVersion": 2, "severity": "SEVERE", "title": "The bridge is under water"}),
        (EDIT, {"expectedVersion": 3, "location": TOWN}),
        (MOVE, {"status": "RESPONDING"}),
    ):
        await hub.ask(mutation, {"input": {"id": id_, **change}}, token=token)
        told.append((now(), await seen(hub, "dispatcher")))
    return id_, told


async def test_an_incident_is_shown_as_it_was_at_each_moment_of_its_life(place: Hub) -> None:
    before = now()
    _, told = await lived(place)
    assert len({json.dumps(nodes) for _, nodes in told}) == 5
    for then, nodes in told:
        assert await seen(place, "planner", then) == nodes
        assert await seen(place, "planner", known=then) == nodes
        assert await seen(place, "planner", then, then) == nodes
        assert await seen(place, "planner", now(), then) == nodes, "nothing is known of what came after"
    assert await seen(place, "planner", before) == []
    one = await place.ask(
        f"query ($id: ID!, $then: DateTime) {{ incident(id: $id, asOf: $then) {{ {SHOWN} }} }}",
        {"id": told[0][1][0]["id"], "then": told[2][0]},
        token=await place.token("planner"),
    )
    assert one["incident"] == told[2][1][0]


async def test_the_past_is_for_whoever_it_was_for(place: Hub) -> None:
    """The administrator of Ahero sees what was in Ahero, and nothing from when the incident had left it."""
    _, told = await lived(place)
    for then, nodes in told:
        there = [node for node in nodes if node["ward"] == {"code": "1208"}]
        assert await seen(place, "ward_administrator", then) == there
        assert await seen(place, "citizen", then) == []
    public = await place.ask(THEN, {"then": told[0][0]})
    assert public["incidents"]["nodes"] == []


async def test_figures_and_pages_are_of_the_same_moment(place: Hub) -> None:
    token = await place.token("planner")
    for _ in range(3):
        await lived(place)
    middle = now()
    await lived(place)
    figures = "query ($then: DateTime) { incidentStats(groupBy: [STATUS], asOf: $then) { status count } }"
    assert (await place.ask(figures, {"then": middle}, token=token))["incidentStats"] == [
        {"status": "RESPONDING", "count": 3}
    ]
    page = """query ($then: DateTime, $after: String) {
      incidents(asOf: $then, first: 2, after: $after) { totalCount nodes { id } pageInfo { hasNextPage endCursor } }
    }"""
    first = (await place.ask(page, {"then": middle}, token=token))["incidents"]
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (3, True)
    cursor = first["pageInfo"]["endCursor"]
    second = (await place.ask(page, {"then": middle, "after": cursor}, token=token))["incidents"]
    assert len({node["id"] for node in first["nodes"] + second["nodes"]}) == 3
    assert not second["pageInfo"]["hasNextPage"]
    status, code, message = await place.refusal(page, {"then": now(), "after": cursor}, token=token)
    assert (status, code) == (400, "BAD_USER_INPUT")
    assert "another order or filter" in message


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ('{ incidents(asOf: "2999-01-01T00:00:00Z") { totalCount } }', "incidents(asOf) lies in the future"),
        ('{ incidents(knownAt: "2999-01-01T00:00:00Z") { totalCount } }', "incidents(knownAt) lies in the future"),
        (
            '{ incidents(asOf: "2026-01-01T00:00:00Z") { nodes { reporter { name } } } }',
            "IncidentReporter has no history",
        ),
        (
            '{ incidents(asOf: "2026-01-01T00:00:00Z", where: { reporter: { } }) { totalCount } }',
            "IncidentReporter has no history",
        ),
        (
            '{ incidentStats(asOf: "2026-01-01T00:00:00Z") { responseMinutes { avg } } }',
            "incidentStats.responseMinutes is known of the present alone",
        ),
    ],
)
async def test_what_nobody_knows_is_refused(place: Hub, question: str, says: str) -> None:
    status, code, message = await place.refusal(question, token=await place.token("dispatcher"))
    assert (status, code) == (400, "BAD_USER_INPUT")
    assert says in message


async def test_a_vehicle_is_shown_in_the_state_and_where_it_was(place: Hub, fresh_database: County) -> None:
    token = await place.token("manager")
    add = 'mutation { addVehicle(input: { plate: "KDA 123B", kind: AMBULANCE }) { vehicle { id version } } }'
    id_ = (await place.ask(add, token=token))["addVehicle"]["vehicle"]["id"]
    change = "mutation ($input: ChangeVehicleStatusInput!) { changeVehicleStatus(input: $input) { vehicle { id } } }"
    read = """query ($then: DateTime) {
      vehicles(asOf: $then) { nodes { plate status latestPosition { recordedAt location } } }
    }"""
    begun = datetime.now(UTC) - timedelta(minutes=30)
    with psycopg.connect(fresh_database.owner_url) as owner:
        owner.execute("set role hub_owner")
        device = owner.execute(
            "insert into devices (vehicle_id, label) values (%s, 'A') returning id", (id_,)
        ).fetchone()
        for number in range(4):
            owner.execute(
                "select take_fixes(array[%s::uuid], array[extract(epoch from %s::timestamptz)], array[%s::float8], "
                "array[-0.1::float8], "
                "array[1::real], array[1::real], array[1::real], array[1::real], array[1::real], array[%s], "
                "array[null::jsonb])",
                # The last one's device had no clock: it moves the vehicle, now as then.
                (
                    device[0],  # type: ignore[index]
                    begun + timedelta(minutes=10 * number),
                    34.7 + number / 100,
                    "no_clock" if number == 3 else "",
                ),
            )
    told = []
    for status in ("ASSIGNED", "OUT_OF_SERVICE", "AVAILABLE"):
        await place.ask(change, {"input": {"id": id_, "status": status}}, token=token)
        told.append((now(), status))
    for then, status in told:
        (node,) = (await place.ask(read, {"then": then}, token=token))["vehicles"]["nodes"]
        assert (node["plate"], node["status"]) == ("KDA 123B", status)
        assert node["latestPosition"]["location"]["coordinates"] == [34.73, -0.1]
    # It was no vehicle of the hub's yet, but its device knows where it was.
    with psycopg.connect(fresh_database.owner_url) as owner:
        owner.execute("set role hub_owner")
        at = owner.execute(
            "select st_x(location) from latest_positions_on(%s, 'infinity')", (begun + timedelta(minutes=15),)
        ).fetchone()
    assert at == (34.71,)


# -- late, erased, drawn anew ------------------------------------------------------------------------------------------


@pytest.fixture
def owner(fresh_database: County) -> Iterator[psycopg.Connection]:
    with psycopg.connect(fresh_database.owner_url, autocommit=True) as connection:
        connection.execute("insert into nodes (node, letter) values ('seme', 'S'), ('alego', 'A')")
        connection.execute("set role hub_owner")
        yield connection


def report(owner: psycopg.Connection, title: str = "Water", x: float = 34.9189, y: float = -0.1723) -> UUID:
    (id_,) = owner.execute(
        "insert into incidents (kind, title, severity, certainty, urgency, location, occurred_at, source) "
        "values ('flood', %s, 'minor', 'likely', 'future', st_point(%s, %s, 4326), now() - interval '1 hour', 'phone') "
        "returning id",
        (title, x, y),
    ).fetchone() or (None,)
    return id_


def arrive(
    owner: psycopg.Connection, id_: UUID, said: dict[str, Any], number: int, at: datetime, node: str = "seme"
) -> None:
    """A change that another hub made at a moment, and that comes now."""
    with owner.transaction():
        owner.execute("reset role")
        owner.execute(
            "insert into journal (node, entry, hlc, effective_at, recorded_at, tbl, object_id, op, after, areas, "
            "audience, schema_version, payload_hash, salt) "
            "values (%s, %s, %s, %s, %s, 'incidents', %s, 'update', %s, '{}', 'incidents', 1, %s, %s)",
            (node, number, round(at.timestamp() * 1e6), at, at, id_, json.dumps(said), bytes(32), bytes(16)),
        )
        owner.execute("set role hub_owner")


def believed(owner: psycopg.Connection, id_: UUID, then: datetime, known: datetime | str = "infinity") -> Any:
    return owner.execute(
        "select title, severity, ward_id is null from incident_versions "
        "where id = %s and valid @> %s::timestamptz and known @> %s::timestamptz",
        (id_, then, known),
    ).fetchall()


def clock(owner: psycopg.Connection) -> datetime:
    (at,) = owner.execute("select clock_timestamp()").fetchone() or (None,)
    return at


def test_what_comes_late_changes_what_was_and_not_what_was_known(owner: psycopg.Connection) -> None:
    id_ = report(owner)
    owner.execute("update incidents set title = 'Much water' where id = %s", (id_,))
    between = clock(owner)
    owner.execute("update incidents set title = 'Very much water' where id = %s", (id_,))
    known = clock(owner)
    assert believed(owner, id_, between) == [("Much water", "minor", False)]
    # Seme said in between that it was severe, and out on the lake; and the network was down.
    arrive(owner, id_, {"severity": "severe"}, 1, between)
    lake = owner.execute("select st_point(34.6, -0.2, 4326)::text").fetchone()
    arrive(owner, id_, {"location": lake[0]}, 2, between)  # type: ignore[index]
    assert believed(owner, id_, between, known) == [("Much water", "minor", False)]
    assert believed(owner, id_, between) == [("Much water", "severe", True)]
    assert believed(owner, id_, clock(owner)) == [("Very much water", "severe", True)]
    assert believed(owner, id_, between - timedelta(minutes=50)) == [("Water", "minor", False)]


def test_what_was_forgotten_was_never_there(owner: psycopg.Connection) -> None:
    id_ = report(owner, "Canary Otieno drowned")
    owner.execute("update incidents set title = 'Canary Atieno drowned' where id = %s", (id_,))
    owner.execute("reset role")
    owner.execute("select erase('incidents', %s, %s)", (id_, json.dumps({"title": "Somebody drowned"})))
    owner.execute("set role hub_owner")
    left = owner.execute("select v::text from incident_versions v").fetchall()
    assert left
    assert "Canary" not in str(left)
    assert believed(owner, id_, clock(owner))[0][0] == "Somebody drowned"


def test_a_ward_that_is_drawn_anew_moves_what_was_in_it(owner: psycopg.Connection) -> None:
    id_ = report(owner)
    owner.execute("update incidents set title = 'Much water' where id = %s", (id_,))
    other = owner.execute("select id from wards where code = '1210'").fetchone()
    owner.execute("alter table incidents disable trigger a_place")
    owner.execute("update incidents set ward_id = %s where id = %s", (other[0], id_))  # type: ignore[index]
    wards = owner.execute("select distinct ward_id from incident_versions where id = %s", (id_,)).fetchall()
    assert wards == [other]


def test_two_who_change_one_incident_at_once_leave_one_history(
    owner: psycopg.Connection, fresh_database: County
) -> None:
    id_ = report(owner)

    def change(name: str) -> None:
        with psycopg.connect(fresh_database.owner_url, autocommit=True) as connection:
            connection.execute("set role hub_owner")
            for number in range(25):
                connection.execute("update incidents set title = %s where id = %s", (f"{name} {number}", id_))

    with ThreadPoolExecutor(3) as at_once:
        list(at_once.map(change, ("Amina", "Baraka", "Chebet")))
    versions = owner.execute(
        "select lower(valid), upper(valid) from incident_versions where id = %s and upper_inf(known) order by 1", (id_,)
    ).fetchall()
    assert len(versions) == 76
    assert [end for _, end in versions[:-1]] == [begin for begin, _ in versions[1:]], "one ends where the next begins"
    assert versions[-1][1] is None


def test_two_hubs_that_change_one_incident_in_the_same_microsecond_make_one_version(owner: psycopg.Connection) -> None:
    id_ = report(owner)
    at = clock(owner)
    known = []
    for node, severity in (("alego", "severe"), ("seme", "extreme")):
        arrive(owner, id_, {"severity": severity}, 1, at, node)
        known.append((severity, clock(owner)))
    assert believed(owner, id_, at) == [("Water", "extreme", False)]
    for severity, then in known:
        assert believed(owner, id_, at, then) == [("Water", severity, False)]
    assert believed(owner, id_, at - timedelta(microseconds=1)) == [("Water", "minor", False)]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.sampled_from(["title", "severity", "place"]), st.integers(0, 2)),
        st.tuples(st.just("move"), st.floats(34.6, 34.95), st.floats(-0.2, -0.1)),
        st.tuples(st.just("late"), st.sampled_from(["title", "severity", "place"]), st.integers(1, 3000)),
    ),
    min_size=1,
    max_size=12,
)
WORDS = {"title": ["one", "two", "three"], "severity": ["minor", "severe", "extreme"], "place": [None, "here", "there"]}


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=steps, seed=st.integers(0, 1000))
def test_versions_are_what_the_journal_says_whatever_happens(
    owner: psycopg.Connection, steps: list[Any], seed: int
) -> None:
    """At every moment, by what was known at every moment: the entries of then, folded one by one."""
    some = random.Random(seed)
    id_ = report(owner)
    for step in steps:
        if step[0] == "change":
            value = WORDS[step[1]][step[2]]
            owner.execute(f"update incidents set {step[1]} = %s where id = %s".encode(), (value, id_))
        elif step[0] == "move":
            owner.execute(
                "update incidents set location = st_point(%s, %s, 4326) where id = %s", (step[1], step[2], id_)
            )
        else:
            at = clock(owner) - timedelta(seconds=step[2])
            arrive(owner, id_, {step[1]: some.choice(WORDS[step[1]])}, uuid4().int >> 66, at)
    entries = owner.execute(
        "select effective_at, hlc, node, arrived_at, after from journal where object_id = %s", (id_,)
    ).fetchall()
    moments = sorted(
        {
            moment + timedelta(microseconds=off)
            for entry in entries
            for moment in (entry[0], entry[3])
            for off in (-1, 0, 1)
        }
    )
    for then in some.sample(moments, min(8, len(moments))):
        for known in [*some.sample(moments, min(5, len(moments))), datetime.max.replace(tzinfo=UTC)]:
            if then > known:
                continue
            fold: dict[str, Any] = {}
            for entry in sorted((each for each in entries if each[3] <= known), key=lambda each: each[:3]):
                if entry[0] <= then:
                    fold.update(entry[4])
            found = owner.execute(
                "select title, severity, place, location::text from incident_versions "
                "where id = %s and valid @> %s and known @> %s",
                (id_, then, known),
            ).fetchall()
            expected = [(fold["title"], fold["severity"], fold["place"], fold["location"])] if fold else []
            if fold and any(known - entry[3] < timedelta(milliseconds=20) for entry in entries):
                continue  # a change is known the moment it is there, which is a little after its clock was read
            assert found == expected, (then, known)
    present = owner.execute("select i::text from incidents i where id = %s", (id_,)).fetchall()
    columns = "id, reference, node, kind, title, severity, status, location, place, ward_id, beyond_border, occurred_at"
    kept = owner.execute(
        f"select {columns} from incident_versions where id = %s and upper_inf(valid) and upper_inf(known)".encode(),
        (id_,),
    ).fetchall()
    assert kept == owner.execute(f"select {columns} from incidents where id = %s".encode(), (id_,)).fetchall()
    assert present


# -- a hub that has worked before --------------------------------------------------------------------------------------


def test_a_hub_that_has_worked_before_gets_its_past(empty_database: County, tmp_path: Path) -> None:
    """The migration makes versions of what the journal holds by then."""
    later = {"incident_history", "fleet_history", "stamps"}
    before = Access(
        {name: noun for name, noun in ACCESS.nouns.items() if name not in later},
        {
            name: dataclasses.replace(role, rights={noun: it for noun, it in role.rights.items() if noun not in later})
            for name, role in ACCESS.roles.items()
        },
    )
    for path in FOLDER.glob("*.sql"):
        if path.name < "0016":
            (tmp_path / path.name).write_text(path.read_text())
    urls = empty_database.owner_url, empty_database.login_url
    migrate(*urls, folder=tmp_path, access=before)
    load_county(empty_database.owner_url)
    with psycopg.connect(empty_database.owner_url, autocommit=True) as owner:
        owner.execute("set role hub_owner")
        many = [report(owner, f"Water {number}") for number in range(20)]
        owner.execute("update incidents set title = 'Much water' where id = %s", (many[0],))
        between = clock(owner)
        owner.execute("update incidents set severity = 'severe' where id = %s", (many[0],))
        begun = time.monotonic()
        migrate(*urls)
        assert time.monotonic() - begun < 10
        assert believed(owner, many[0], between) == [("Much water", "minor", False)]
        assert believed(owner, many[0], clock(owner)) == [("Much water", "severe", False)]
        versions = owner.execute("select count(*), count(distinct id) from incident_versions").fetchone()
        assert versions == (22, 20)
        owner.execute("update incidents set severity = 'extreme' where id = %s", (many[0],))
        assert believed(owner, many[0], clock(owner)) == [("Much water", "extreme", False)]


async def test_what_a_row_of_the_past_may_lack_is_filtered_as_what_one_of_now_lacks(hub: Hub, database: County) -> None:
    make_person(database, "past_fleet", "fleet_manager")
    token = await hub.token("past_fleet")
    then = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    for moment in ("", f'asOf: "{then}", ', f'knownAt: "{then}", '):
        for where in ("{ until: { notIn: [$t] } }", "{ until: { ne: $t } }", "{ since: { notIn: [$t] } }"):
            wanted = f"{moment}where: {{ drivers: {{ every: {where} }} }}"
            query = f"query ($t: DateTime!) {{ vehicles({wanted}) {{ totalCount }} }}"
            assert (await hub.ask(query, {"t": then}, token=token))["vehicles"]
