"""Makes a database into the demonstration county: accounts, vehicles, devices, units and beats, none of which is real.

It is a database of its own beside the county's. What is made up and what is true never share a table, a journal or a
cursor, and to clear the one is to drop it.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Final

import psycopg

from geo.routing import quickest
from hub.demonstration.county import CAST, ENFORCEMENT, ROAD, called, ways
from hub.identity.passwords import HASHER
from hub.users import accounts, add
from schema.fleet import digest_of

ACCOUNTS: Final = (
    ("coordinator", "DEMO Coordinator"),
    ("dispatcher", "DEMO Dispatcher"),
    ("fleet_manager", "DEMO Fleet manager"),
    ("enforcement_supervisor", "DEMO Enforcement supervisor"),
    ("planner", "DEMO Planner"),
    ("administrator", "DEMO Administrator"),
)
"""Roles that one can look on as, each an account of the same name. Nobody has a password: see `door.py`."""

BEATS: Final = (
    ("Doria 1", "flood-night", "Kisumu", "Dunga beach"),
    ("Doria 2", "flood-night", "Ahero", "Awasi"),
    ("Doria 3", "flood-night", "Kisumu", "Rabuor"),
    ("Doria 1", "ordinary-day", "Kisumu", "Nyamasaria"),
    ("Doria 2", "ordinary-day", "Ahero", "Katito"),
    ("Doria 3", "ordinary-day", "Maseno", "Kombewa"),
)
"""Who goes where in which play: call sign, script, and the places between which the beat lies."""

KEYS: Final = "keys.json"


def beat_of(start: str, end: str) -> str:
    """What the beat between two places is called."""
    return f"DEMO {start} to {end}"


def seed(owner_url: str, login_url: str, folder: Path) -> None:
    """Fill an empty, migrated database, and keep its devices' keys and the dispatcher's password in `folder`."""
    kept: dict[str, object] = {}
    with accounts(login_url) as connection:
        for role, name in ACCOUNTS:
            add(connection, role, name, [role])
            password = secrets.token_urlsafe(24)
            connection.execute(
                "insert into credentials (person_id, password_hash) select id, %s from people where name = %s",
                (HASHER.hash(password), role),
            )
            if role == "dispatcher":
                kept["dispatcher"] = password
    keys: dict[str, str] = {}
    with psycopg.connect(owner_url) as connection:
        connection.execute("set role hub_owner")
        for vehicle in CAST:
            key = keys[vehicle.plate] = secrets.token_urlsafe(16)
            connection.execute(
                "with d as (insert into departments (name) values (%(department)s) on conflict (name) do update "
                "set name = excluded.name returning id), v as (insert into vehicles "
                "(plate, kind, call_sign, department_id, demonstration) "
                "select %(plate)s, %(kind)s, %(call_sign)s, id, true from d returning id) "
                "insert into devices (vehicle_id, label) select id, 'DEMO tracker' from v",
                {
                    "department": vehicle.department,
                    "plate": vehicle.plate,
                    "kind": vehicle.kind,
                    "call_sign": vehicle.call_sign,
                },
            )
            connection.execute(
                "insert into device_keys (device_id, digest) select d.id, %s from devices d "
                "join vehicles v on v.id = d.vehicle_id where v.plate = %s",
                (digest_of(key), vehicle.plate),
            )
        for call_sign in dict.fromkeys(each[0] for each in BEATS):
            connection.execute(
                "insert into units (name, call_sign, department_id, demonstration) "
                "select %s, %s, id, true from departments where name = %s",
                (f"DEMO {call_sign}", call_sign, ENFORCEMENT),
            )
        for _, _, start, end in dict.fromkeys((None, None, *each[2:]) for each in BEATS):
            line = quickest(ways(ROAD), start, end).line
            connection.execute(
                "insert into beats (name, line, demonstration) "
                "values (%s, st_multi(st_setsrid(st_geomfromgeojson(%s), 4326)), true)",
                (beat_of(start, end), json.dumps({"type": "LineString", "coordinates": [list(each) for each in line]})),
            )
        connection.execute("insert into demonstrations default values on conflict do nothing")
    kept["keys"] = keys
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / KEYS, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(kept, file)


def state(owner_url: str, folder: Path) -> str:
    """How much of it is there: `all`, `nothing`, or `half` from a start that was interrupted."""
    with psycopg.connect(owner_url) as connection:
        people, made = connection.execute(
            "select exists (select from people), exists (select from demonstrations)"
        ).fetchone() or (False, False)
    if made and (folder / KEYS).is_file():
        return "all"
    return "half" if people or made else "nothing"


def plate_of(call_sign: str) -> str:
    """The plate of the vehicle of the cast with this call sign."""
    return called(call_sign).plate
