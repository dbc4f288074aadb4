"""A small county of known rows, where every value that somebody might not be meant to see is a word of its own.

Nine incidents in two sub-counties, on the lake and beyond the border, and nine more in town that only make counts; who
reported them, what was noted on them, and the people who ask (`callers.py`) with two more who never do. A canary begins
and ends with `zq`: found in an answer, it says whose secret came out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from hub.identity.passwords import HASHER
from hub.users import accounts, add
from tests.conftest import PASSWORD
from tests.leaks.callers import CALLERS

if TYPE_CHECKING:
    from tests.conftest import County


@dataclass(frozen=True)
class Told:
    """One incident of the world."""

    letter: str
    where: str
    place: tuple[float, float]
    by: str | None
    """Who entered it."""
    kind: str
    severity: str
    steps: tuple[str, ...]
    """How far it went."""
    reporter: bool = True
    notes: int = 1
    photos: int = 0


AHERO, KOBURA, SEME, LAKE, BORDER, TOWN = (
    (34.9371, -0.1668),
    (34.8726, -0.1594),
    (34.4792, -0.1464),
    (34.6000, -0.2000),
    (34.9000, -0.4000),
    (34.7617, -0.0917),
)
"""Wards 1208 and 1210 of Nyando (242), 1202 of Seme (241), the lake, less than 2 km outside of the county, and the
town of Kisumu, which is nobody's area."""

TOLD = (
    Told("A", "Ahero", AHERO, "otieno", "flood", "severe", ("verified", "responding"), notes=2, photos=2),
    Told("B", "Ahero", AHERO, "akinyi", "road_crash", "moderate", ("verified",), photos=1),
    Told("C", "Kobura", KOBURA, "odera", "fire", "extreme", ()),
    Told("D", "Seme", SEME, "otieno", "crime", "minor", ("verified", "responding", "contained")),
    Told("E", "Seme", SEME, "wasonga", "medical", "unknown", (), reporter=False, photos=1),
    Told("F", "the lake", LAKE, "otieno", "drowning", "extreme", ("verified", "responding", "contained", "closed")),
    Told("G", "the lake", LAKE, "akinyi", "boat_accident", "severe", (), photos=1),
    Told("H", "beyond the border", BORDER, None, "landslide", "moderate", ()),
    Told("I", "Kobura", KOBURA, "moraa", "lightning", "minor", ("rejected",), notes=0),
    # Four of a kind in a ward on a day, and five of another.
    *(Told(letter, "Kisumu", TOWN, "otieno", "wild_animal", "minor", (), False, 0) for letter in "JKLM"),
    *(Told(letter, "Kisumu", TOWN, "otieno", "water_failure", "minor", (), False, 0) for letter in "NOPQR"),
)

FLEET = (
    ("a", "ambulance", "available", AHERO),
    ("b", "rescue_boat", "assigned", LAKE),
    ("c", "patrol_car", "out_of_service", SEME),
)
"""Vehicles: a letter, what it is, its status, and where it is."""

BEGAN = datetime(2026, 3, 2, 5, 0, 0, tzinfo=UTC)
BYSTANDERS = {"wasonga": ("field_officer", "1202"), "odera": ("field_officer", "1210")}
"""People who never ask: officers of Seme and of Kobura."""


def canary(*words: str) -> str:
    return f"zq{''.join(words)}zq"


def sign_in_name(person: str) -> str:
    return canary(person, "name")


def build(county: County) -> None:
    """Fill a copy of the county. People are made as `hub user add` makes them; the rest as the tables' owner, so that
    its own rules (places, numbers, steps) hold and no policy has a say."""
    hashed = HASHER.hash(PASSWORD)
    people = {each.person: (each.roles, each.areas) for each in CALLERS if each.person and not each.sees_as}
    people |= {name: ((role,), (area,)) for name, (role, area) in BYSTANDERS.items()}
    with accounts(county.login_url) as connection:
        for name, (roles, areas) in people.items():
            add(connection, sign_in_name(name), canary(name, "display"), roles, areas)
            connection.execute(
                "insert into credentials (person_id, password_hash) select id, %s from people where name = %s",
                (hashed, sign_in_name(name)),
            )
        # Each person's version and closing is another one's, so that they tell people apart.
        for number, name in enumerate(people, 1):
            connection.execute("update people set version = %s where name = %s", (100 + number, sign_in_name(name)))
    with psycopg.connect(county.owner_url) as connection:
        connection.execute("set role hub_owner")
        ids = {
            name: connection.execute("select id from people where name = %s", (sign_in_name(name),)).fetchone()[0]  # type: ignore[index]
            for name in people
        }
        for number, told in enumerate(TOLD):
            _tell(connection, number, told, ids)
        for number, driven in enumerate(FLEET):
            _drive(connection, number, *driven, driver=ids[("otieno", "odera", "wasonga")[number]])
            _patrol(connection, number, driven[0], driven[3], ids["otieno"])


def _tell(connection: psycopg.Connection[Any], number: int, told: Told, ids: dict[str, Any]) -> None:
    letter = told.letter.lower()
    at = BEGAN + timedelta(minutes=40 * number, microseconds=111_117 * (number + 1))
    place = (round(told.place[0] + 0.000101 * (number + 1), 6), round(told.place[1] - 0.000101 * (number + 1), 6))
    by = ids[told.by] if told.by else None
    columns = {
        "kind": told.kind,
        "title": f"{canary('title', letter)} in {told.where}",
        "description": canary("description", letter),
        "severity": told.severity,
        "certainty": ("observed", "likely", "possible", "unlikely", "unknown")[number % 5],
        "urgency": ("immediate", "expected", "future", "past", "unknown")[number % 5],
        "place": canary("place", letter),
        "occurred_at": at - timedelta(minutes=30, microseconds=7_013),
        "reported_at": at,
        "source": ("phone", "public", "field", "radio", "partner", "sensor")[number % 6],
        "reported_by": by,
    }
    (incident,) = connection.execute(
        sql.SQL("insert into incidents ({}, location) values ({}, st_point(%s, %s, 4326)) returning id").format(
            sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(", ").join([sql.Placeholder()] * len(columns))
        ),
        (*columns.values(), *place),
    ).fetchone() or (None,)
    _note(connection, incident, at, by, "reported", f"reported{letter}")
    before = "reported"
    for step, status in enumerate(told.steps, 1):
        connection.execute("update incidents set status = %s where id = %s", (status, incident))
        moment = at + timedelta(minutes=step, microseconds=step)
        _note(connection, incident, moment, ids["otieno"], "status", f"{status}{letter}", before, status)
        before = status
    for note in range(told.notes):
        moment = at + timedelta(minutes=20 + note, microseconds=note)
        _note(connection, incident, moment, ids["odera"], "note", f"note{letter}{note}")
    for photo in range(told.photos):
        moment = at + timedelta(minutes=30 + photo, microseconds=photo)
        _photograph(connection, incident, letter, photo, moment, by)
    for _ in range(2 * number):  # versions differ from row to row
        connection.execute("update incidents set place = place where id = %s", (incident,))
    if told.reporter:
        connection.execute(
            "insert into incident_reporters (incident_id, name, phone) values (%s, %s, %s)",
            (incident, canary("reporter", letter), f"+254 700 1{number}1 9{number}3"),
        )


def _drive(
    connection: Any, number: int, letter: str, kind: str, status: str, place: tuple[float, float], *, driver: Any
) -> None:
    """A vehicle of a department of its own, with a driver, a device, three positions and a fix that was put aside."""
    (department,) = connection.execute(
        "insert into departments (name) values (%s) returning id", (canary("department", letter),)
    ).fetchone()
    (vehicle,) = connection.execute(
        "insert into vehicles (plate, kind, call_sign, status, department_id) values (%s, %s, %s, %s, %s) returning id",
        (f"KZQ 10{number}Q", kind, canary("sign", letter), status, department),
    ).fetchone()
    connection.execute(
        "insert into vehicle_drivers (vehicle_id, person_id, since) values (%s, %s, %s)",
        (vehicle, driver, BEGAN - timedelta(hours=1, microseconds=6_011 * (number + 1))),
    )
    (device,) = connection.execute(
        "insert into devices (vehicle_id, label) values (%s, %s) returning id", (vehicle, canary("device", letter))
    ).fetchone()
    for step in range(3):
        at = BEGAN + timedelta(minutes=7 * step, microseconds=10_031 * (number + 1) + step)
        connection.execute(
            "select take_fixes(array[%s], array[extract(epoch from %s)], array[%s::float8], array[%s::float8], "
            "array[%s::real], array[%s::real], array[900::real], array[5::real], array[0.5::real], array[%s], "
            "array[null::jsonb])",
            (
                device,
                at,
                round(place[0] + 0.00131 * (step + 1) + 0.000107 * number, 6),
                place[1],
                30.0 + number,
                10.0 * step,
                "" if step < 2 else "mock",
            ),
        )
    connection.execute(
        "insert into quarantined_fixes (device_id, reason, said) values (%s, 'future', %s)",
        (device, f'{{"number": {number}}}'),
    )


def _patrol(connection: Any, number: int, letter: str, place: tuple[float, float], member: Any) -> None:
    """A unit of a vehicle's department went out with it, on a beat with one place to be at."""
    x, y = round(place[0] + 0.000211 * (number + 1), 6), round(place[1] + 0.000307 * (number + 1), 6)
    (vehicle, department) = connection.execute(
        "select id, department_id from vehicles where call_sign = %s", (canary("sign", letter),)
    ).fetchone()
    (unit,) = connection.execute(
        "insert into units (name, call_sign, department_id) values (%s, %s, %s) returning id",
        (canary("unit", letter), canary("called", letter), department),
    ).fetchone()
    shape = "st_multi(st_makeline(st_point(%s, %s, 4326), st_point(%s, %s, 4326)))"
    if number == 2:
        shape = "st_multi(st_makeenvelope(%s, %s, %s, %s, 4326))"
    (beat,) = connection.execute(
        f"insert into beats (name, {'area' if number == 2 else 'line'}) values (%s, {shape}) returning id",
        (canary("beat", letter), x, y, round(x + 0.00911, 6), round(y + 0.00313, 6)),
    ).fetchone()
    connection.execute(
        "insert into checkpoints (beat_id, name, location) values (%s, %s, st_point(%s, %s, 4326))",
        (beat, canary("checkpoint", letter), round(place[0] + 0.00131 * 2 + 0.000107 * number, 6), place[1]),
    )
    begins = BEGAN + timedelta(microseconds=20_047 * (number + 1))
    (patrol,) = connection.execute(
        "insert into patrols (unit_id, beat_id, vehicle_id, planned_start, planned_end, note) "
        "values (%s, %s, %s, %s, %s, %s) returning id",
        (unit, beat, vehicle, begins, begins + timedelta(hours=6, microseconds=1_303), canary("patrol", letter)),
    ).fetchone()
    connection.execute(
        "insert into patrol_members (patrol_id, person_id, leads) values (%s, %s, %s)", (patrol, member, number == 0)
    )
    if number == 0:  # nobody is out on two at once
        connection.execute(
            "update patrols set status = 'under_way', started_at = %s where id = %s",
            (BEGAN - timedelta(microseconds=4_409), patrol),
        )


def _photograph(connection: Any, incident: Any, letter: str, number: int, at: datetime, by: Any) -> None:
    """A photo that is none but for its first bytes: what goes out at `/photos` is the canary after them."""
    image, thumbnail = (b"\xff\xd8\xff" + canary(size, letter, str(number)).encode() for size in ("image", "thumbnail"))
    connection.execute(
        "insert into photos (incident_id, digest, sent, width, height, image, thumbnail, added_at, added_by) "
        "values (%s, sha256(%s), sha256(%s), %s, %s, %s, %s, %s, %s)",
        (incident, image, thumbnail, 640 + number, 480 + ord(letter), image, thumbnail, at, by),
    )


def _note(connection: Any, incident: Any, at: datetime, by: Any, kind: str, word: str, *steps: str) -> None:
    from_status, to_status = steps or (None, None)
    connection.execute(
        "insert into incident_entries (incident_id, at, kind, from_status, to_status, note, actor_id) "
        "values (%s, %s, %s, %s, %s, %s, %s)",
        (incident, at, kind, from_status, to_status, canary(word), by),
    )


# -- finding canaries again --------------------------------------------------------------------------------------------

_FORMS = re.compile(
    r"zq[a-z0-9]+?zq"  # words
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"  # ids
    r"|(?:INC|PAT)-\d{4}-\d{6}"  # references
    r"|KZQ 10\dQ"  # plates
    r"|\+254 \d{3} \d{3} \d{3}"  # numbers of telephones
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\.\d{3,6}"  # moments
    r"|3[3-6]\.\d{4,7}"  # longitudes
    r"|(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])",  # digests
    re.IGNORECASE,
)
_ENCODED = re.compile(r"[A-Za-z0-9+/]{24,}={0,2}")


def canaries(text: str) -> set[str]:
    """Everything in a text that has a canary's form, in one spelling; what cursors hold is looked at, too."""
    found = {_spelt(word) for word in _FORMS.findall(text)}
    for encoded in _decoded(text):
        found |= {_spelt(word) for word in _FORMS.findall(encoded)}
    return found


def _spelt(word: str) -> str:
    word = word.lower().replace(" ", "t") if word[:2] == "20" else word.lower()
    return word.rstrip("0") if "." in word else word


def _decoded(text: str) -> Iterator[str]:
    import base64
    import binascii

    for piece in _ENCODED.findall(text):
        try:
            yield base64.b64decode(piece, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            continue
