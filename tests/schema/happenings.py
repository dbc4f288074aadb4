"""What happens in the county that random operations ask about: drawn from a seed, with ties, gaps and odd letters."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

BEGAN = datetime(2026, 3, 2, 5, tzinfo=UTC)
SPOTS = ((34.9189, -0.1723), (34.8726, -0.1594), (34.7617, -0.0917), (34.6, -0.2), (34.9, -0.4), (34.4792, -0.1464))
"""In wards of three sub-counties, on the lake, and beyond the border."""


def happen(connection: psycopg.Connection[Any], some: random.Random) -> None:
    """A few dozen incidents with their timelines and reporters, a dozen vehicles, and what became of them."""

    def add(table: str, **values: Any) -> Any:
        made = sql.SQL("insert into {} ({}) values ({}) returning id").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join([sql.Placeholder()] * len(values)),
        )
        (id_,) = connection.execute(made, tuple(values.values())).fetchone() or (None,)
        return id_

    def spot(jitter: float = 0.0) -> str:
        x, y = some.choice(SPOTS)
        off = some.choice((0.0, jitter))
        x, y = (round(each + some.uniform(-off, off), 7) for each in (x, y))
        return f"SRID=4326;POINT({x} {y})"

    people = [None, *(id_ for (id_,) in connection.execute("select id from people order by name"))]
    for _ in range(45):
        at = BEGAN + timedelta(minutes=10 * some.randint(0, 9))
        incident = add(
            "incidents",
            kind=some.choice(("flood", "fire", "crime")),
            title=some.choice(("Water in the road", 'The "bridge"', "Fire\\100%", "É_ß 😀", "water")),
            description=some.choice((None, "Long", "long")),
            severity=some.choice(("minor", "severe", "extreme")),
            certainty="observed",
            urgency=some.choice(("immediate", "past")),
            location=spot(0.003),
            place=some.choice((None, "here")),
            occurred_at=at - timedelta(minutes=some.choice((0, 5, 5, 50))),
            reported_at=at,
            source=some.choice(("phone", "radio")),
            reported_by=some.choice(people),
            precision=some.choice(("point", "ward")),
        )
        for status in ("verified", "responding", "contained", "closed")[: some.randint(0, 4)]:
            connection.execute("update incidents set status = %s where id = %s", (status, incident))
        for number in range(some.randint(0, 4)):
            add(
                "incident_entries",
                incident_id=incident,
                at=at + timedelta(minutes=some.choice((0, number))),
                kind="note",
                note=some.choice(("a note", "A note")),
                actor_id=some.choice(people),
            )
        if some.random() < 0.5:
            add("incident_reporters", incident_id=incident, name=some.choice(("Otieno", "Atieno")))
    departments = [None, *(add("departments", name=name) for name in ("Roads", "Works"))]
    for number in range(14):
        vehicle = add(
            "vehicles",
            plate=f"KDA {100 + number}A",
            kind=some.choice(("ambulance", "truck")),
            call_sign=some.choice((None, "Lima")),
            status=some.choice(("available", "assigned", "out_of_service")),
            department_id=some.choice(departments),
        )
        if number % 5 == 4:  # it never said where it is
            continue
        device = add("devices", vehicle_id=vehicle, label="A")
        x, y = some.choice(SPOTS)
        fix = (device, BEGAN + timedelta(minutes=some.randint(0, 3)), x, y, some.choice((None, 0, 42.5)))
        connection.execute(
            "select take_fixes(array[%s::uuid], array[extract(epoch from %s::timestamptz)::float8], "
            "array[%s::float8], array[%s::float8], "
            "array[%s::real], array[null::real], array[null::real], array[5::real], array[0.5::real], array[''], "
            "array[null::jsonb])",
            fix,
        )
        if number % 2:
            connection.execute(
                "update vehicles set status = %s, call_sign = %s, department_id = %s where id = %s",
                (
                    some.choice(("available", "assigned")),
                    some.choice((None, "Mike")),
                    some.choice(departments),
                    vehicle,
                ),
            )
        for doubts in some.choices(("", "too_fast", "no_clock"), k=some.randint(0, 3)):
            x, y = some.choice(SPOTS)
            connection.execute(
                "select take_fixes(array[%s::uuid], array[extract(epoch from clock_timestamp()) - %s], "
                "array[%s::float8], array[%s::float8], array[null::real], array[null::real], array[null::real], "
                "array[5::real], array[0.5::real], array[%s], array[null::jsonb])",
                (device, some.choice((0, 0, 60)), x, y, doubts),
            )
    _changed(connection, some, spot)


def _changed(connection: psycopg.Connection[Any], some: random.Random, spot: Callable[[], str]) -> None:
    """What was learned of incidents afterwards, now and then from another hub, and late."""
    incidents = [id_ for (id_,) in connection.execute("select id from incidents order by reference")]
    connection.execute("insert into nodes (node, letter) values ('seme', 'S')")
    for number in range(60):
        id_ = some.choice(incidents)
        column, value = some.choice(
            (
                ("title", some.choice(("Water", "Fire"))),
                ("severity", some.choice(("minor", "extreme"))),
                ("place", some.choice((None, "there"))),
                ("location", spot()),
            )
        )
        if some.random() < 0.6:
            change = sql.SQL("update incidents set {} = %s where id = %s").format(sql.Identifier(column))
            connection.execute(change, (value, id_))
            continue
        connection.execute("reset role")
        connection.execute(
            "insert into journal (node, entry, hlc, effective_at, recorded_at, tbl, object_id, op, after, areas, "
            "audience, schema_version, payload_hash, salt) "
            "select 'seme', %s, extract(epoch from t.at) * 1e6, t.at, t.at, 'incidents', %s, 'update', "
            "jsonb_build_object(%s::text, %s::text), '{}', 'incidents', 1, sha256(''), decode(md5(''), 'hex') "
            "from (select %s::timestamptz) t (at)",
            (
                number,
                id_,
                column,
                _as_stored(connection, column, value),
                BEGAN + timedelta(minutes=some.randint(80, 200)),
            ),
        )
        connection.execute("set role hub_owner")


def _as_stored(connection: psycopg.Connection[Any], column: str, value: Any) -> Any:
    if column != "location":
        return value
    (stored,) = connection.execute("select %s::geometry::text", (value,)).fetchone() or (None,)
    return stored
