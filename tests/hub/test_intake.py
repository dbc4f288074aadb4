"""What trackers send: the bytes of each protocol over a socket, what is stored of it, and what is refused and how."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio

from hub.settings import Intake
from tests.conftest import County, make_person
from tests.sockets import Listening, serving

ADD = "mutation ($input: AddVehicleInput!) { addVehicle(input: $input) { vehicle { id version } } }"
REGISTER = "mutation ($input: RegisterDeviceInput!) { registerDevice(input: $input) { device { id } key } }"
REVOKE = "mutation ($input: RevokeDeviceInput!) { revokeDevice(input: $input) { device { revokedAt } } }"
WHERE = """query ($plate: String!) { vehicle(plate: $plate) { latestPosition {
  recordedAt location speedKmh heading altitudeMeters accuracyMeters battery ward { code } } } }"""
MOVED = """subscription ($after: String, $bbox: BBox) { vehicleMoved(after: $after, bbox: $bbox) {
  cursor positions { vehicle { plate } recordedAt location speedKmh heading } } }"""
AHERO = (34.9189, -0.1723)  # ward 1208


@dataclass
class Tracker:
    """A vehicle with a device, and its key."""

    plate: str
    vehicle: str
    device: str
    key: str


@pytest.fixture
def county(fresh_database: County) -> County:
    make_person(fresh_database, "fleet", "fleet_manager")
    make_person(fresh_database, "citizen", "citizen")
    return fresh_database


@pytest_asyncio.fixture
async def place(county: County) -> AsyncIterator[Listening]:
    async with serving(county.login_url) as hub:
        yield hub


async def tracker(hub: Listening, plate: str = "KDA 123B") -> Tracker:
    vehicle = (await hub.ask("fleet", ADD, input={"plate": plate, "kind": "PICKUP", "department": "Works"}))[
        "addVehicle"
    ]
    made = await hub.ask("fleet", REGISTER, input={"vehicle": vehicle["vehicle"]["id"], "label": "Teltonika"})
    device = made["registerDevice"]
    return Tracker(plate, vehicle["vehicle"]["id"], device["device"]["id"], device["key"])


@contextmanager
def rows(county: County) -> Iterator[psycopg.Connection]:
    with psycopg.connect(county.owner_url, autocommit=True) as connection:
        yield connection


def count(county: County, table: str = "positions") -> int:
    with rows(county) as connection:
        return int(connection.execute(f"select count(*) from {table}").fetchone()[0])  # type: ignore[index]


async def latest(hub: Listening, plate: str = "KDA 123B") -> Any:
    return (await hub.ask("fleet", WHERE, plate=plate))["vehicle"]["latestPosition"]


def seconds(ago: float = 0) -> int:
    return round(time.time() - ago)


# -- what real clients send --------------------------------------------------------------------------------------------

# A process of its own with a bare socket: what goes over the line is what the protocol's document shows.
SEND = """
import socket, sys
host, port = sys.argv[1].removeprefix("http://").split(":")
with socket.create_connection((host, int(port)), 10) as line:
    line.sendall(sys.stdin.buffer.read())
    answer = b""
    while piece := line.recv(65536):
        answer += piece
sys.stdout.buffer.write(answer)
"""


async def sent(hub: Listening, request: str, body: bytes = b"") -> tuple[int, bytes]:
    """The status and body of the answer to a request, sent byte by byte as it stands."""
    raw = request.strip().replace("\n", "\r\n").encode() + b"\r\nConnection: close\r\n\r\n" + body
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SEND, hub.address, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    answer, _ = await process.communicate(raw)
    head, _, rest = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), rest


async def test_traccar_client_sends_a_query(place: Listening) -> None:
    it = await tracker(place)
    at, measured = seconds(), "&speed=21.598&bearing=87.5&altitude=1144.2&accuracy=6.5&batt=81.0"
    status, _ = await sent(
        place,
        f"""POST /intake/osmand?id={it.key}&timestamp={at}&lat=-0.1723&lon=34.9189{measured} HTTP/1.1
Host: 127.0.0.1
User-Agent: Dalvik/2.1.0 (Linux; U; Android 12)
Accept-Encoding: gzip
Content-Length: 0
Content-Type: application/x-www-form-urlencoded""",
    )
    assert status == 200
    found = await latest(place)
    assert found["recordedAt"] == f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S}.000000Z"
    assert found["location"] == {"type": "Point", "coordinates": [34.9189, -0.1723]}
    assert found["speedKmh"] == pytest.approx(40.0, abs=0.01)
    assert (found["heading"], found["accuracyMeters"]) == (87.5, 6.5)
    assert found["battery"] == pytest.approx(0.81)
    assert found["ward"] == {"code": "1208"}


async def test_traccar_client_nine_sends_json(place: Listening) -> None:
    it = await tracker(place)
    body = json.dumps(
        {
            "location": {
                "timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.123Z}",
                "coords": {
                    "latitude": -0.1723, "longitude": 34.9189, "accuracy": 4.1, "speed": 11.11, "heading": 361.5,
                    "altitude": 1140,
                },
                "is_moving": True,
                "odometer": 1234.5,
                "event": "motionchange",
                "battery": {"level": 0.5, "is_charging": False},
                "activity": {"type": "in_vehicle"},
                "extras": {},
            },
            "device_id": it.key,
        }
    ).encode()  # fmt: skip
    head = f"""POST /intake/osmand HTTP/1.1
Host: 127.0.0.1
Content-Type: application/json
Content-Length: {len(body)}"""
    assert (await sent(place, head, body))[0] == 200
    found = await latest(place)
    assert found["speedKmh"] == pytest.approx(39.996, abs=0.01)
    assert (found["heading"], found["battery"]) == (1.5, 0.5)
    unknown = body.replace(it.key.encode(), b"x" * len(it.key))
    assert (await sent(place, head, unknown))[0] == 404


async def test_owntracks_sends_json_with_a_password(place: Listening) -> None:
    it = await tracker(place)
    body = json.dumps(
        {"_type": "location", "acc": 12, "alt": 1140, "batt": 63, "bs": 1, "cog": 270, "conn": "m", "lat": -0.1723,
         "lon": 34.9189, "t": "u", "tid": "k1", "tst": seconds(), "vac": 3, "vel": 36}
    ).encode()  # fmt: skip
    shown = base64.b64encode(f"driver:{it.key}".encode()).decode()

    def head(shown: str, body: bytes) -> str:
        return f"""POST /intake/owntracks HTTP/1.1
Host: 127.0.0.1
Content-Type: application/json
Authorization: Basic {shown}
X-Limit-U: driver
X-Limit-D: phone
Content-Length: {len(body)}"""

    assert await sent(place, head(shown, body), body) == (200, b"[]")
    found = await latest(place)
    assert (found["speedKmh"], found["heading"], found["battery"]) == (36, 270, pytest.approx(0.63))
    # Empty bodies and other messages are normal.
    for other in (b"", b'{"_type": "lwt", "tst": 1}', b'{"_type": "status"}'):
        assert await sent(place, head(shown, other), other) == (200, b"[]")
    wrong = base64.b64encode(b"driver:nothing").decode()
    assert (await sent(place, head(wrong, body), body))[0] == 401


async def test_a_fix_reaches_an_open_map_within_a_second(place: Listening) -> None:
    it = await tracker(place)
    async with place.socket("fleet") as map_, place.socket("citizen") as citizen:
        for each in (map_, citizen):
            await each.subscribe(MOVED, bbox=[34.8, -0.3, 35.0, -0.1])
        await asyncio.sleep(0.3)
        begun = time.monotonic()
        given = {"id": it.key, "lat": AHERO[1], "lon": AHERO[0], "timestamp": seconds(), "speed": 10, "bearing": 90}
        assert (await place.http.get("/intake/osmand", params=given)).status_code == 200
        event = (await map_.hear())["payload"]["data"]["vehicleMoved"]
        took = time.monotonic() - begun
        assert [each["vehicle"]["plate"] for each in event["positions"]] == ["KDA 123B"]
        assert event["positions"][0]["location"]["coordinates"] == list(AHERO)
        assert took < 1
        # Elsewhere, and for whoever sees no fleet: nothing.
        given = {"id": it.key, "lat": -0.05, "lon": 34.5, "timestamp": seconds() + 1}
        assert (await place.http.get("/intake/osmand", params=given)).status_code == 200
        await map_.silence()
        await citizen.silence()


async def test_whoever_was_cut_off_goes_on_right_there(place: Listening) -> None:
    it = await tracker(place)
    async with place.socket("fleet") as map_:
        await map_.subscribe(MOVED)
        await asyncio.sleep(0.3)
        given = {"id": it.key, "lat": AHERO[1], "lon": AHERO[0], "timestamp": seconds(600)}
        assert (await place.http.get("/intake/osmand", params=given)).status_code == 200
        cursor = (await map_.hear())["payload"]["data"]["vehicleMoved"]["cursor"]
    for step in range(30):
        given["timestamp"] = seconds(500 - step)
        assert (await place.http.get("/intake/osmand", params=given)).status_code == 200
    async with place.socket("fleet") as map_:
        await map_.subscribe(MOVED, after=cursor)
        seen: list[str] = []
        while len(seen) < 30:
            event = (await map_.hear())["payload"]["data"]["vehicleMoved"]
            seen += [each["recordedAt"] for each in event["positions"]]
        assert len(seen) == len(set(seen)) == 30
        await map_.silence()
        await map_.subscribe(MOVED, "2", after="0" * 32 + ":1")
        refused = await map_.hear()
        assert refused["payload"][0]["extensions"]["reason"] == "RESYNC"


# -- late, twice, shuffled ---------------------------------------------------------------------------------------------


def day(trackers: list[Tracker], began: datetime) -> list[tuple[str, dict[str, Any]]]:
    """What some vehicles send in an hour, each fix with its key; a few are doubtful, a few cannot be true."""
    made = []
    draw = random.Random(7)
    for it in trackers:
        lon, lat = AHERO
        for minute in range(60):
            lon, lat = lon + draw.uniform(-0.002, 0.002), lat + draw.uniform(-0.002, 0.002)
            row = {
                "recordedAt": (began + timedelta(minutes=minute)).isoformat(),
                "location": [round(lon, 6), round(lat, 6)],
                "speedKmh": round(draw.uniform(0, 60), 1),
                "accuracyMeters": 900 if minute == 30 else 5,
                "valid": minute != 59,
            }
            if minute == 20:
                row["location"] = [0, 0]
            made.append((it.key, row))
    return made


async def test_a_day_in_any_order_with_duplicates_gives_the_same_rows(county: County) -> None:
    """Hours late, shuffled, in batches of any size, by two senders at once."""
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=5)
    facts = []
    async with serving(county.login_url) as hub:
        trackers = [await tracker(hub, f"KDA 10{number}A") for number in range(4)]
        sent_rows = day(trackers, began)
        for order in range(3):
            draw = random.Random(order)
            told = [*sent_rows, *draw.sample(sent_rows, 60)]
            if order:
                draw.shuffle(told)
            size = (300, 7, 61)[order]
            bodies = [told[at : at + size] for at in range(0, len(told), size)]

            async def send(rows_: list[Any]) -> Any:
                text = "\n".join(json.dumps({**row, "key": key}) for key, row in rows_)
                answer = await hub.http.post(
                    "/intake/batch", content=text, headers={"content-type": "application/x-ndjson"}
                )
                assert answer.status_code == 200, answer.text
                return answer.json()

            answers: list[Any] = []
            for at in range(0, len(bodies), 2):
                answers += await asyncio.gather(*(send(each) for each in bodies[at : at + 2]))
            assert sum(each["stored"] for each in answers) == 4 * 59
            assert sum(len(each["refused"]) for each in answers) == 0
            with rows(county) as connection:
                facts.append(
                    (
                        connection.execute(
                            "select id, device_id, recorded_at, vehicle_id, location, ward_id, speed_kmh, doubts "
                            "from positions order by device_id, recorded_at"
                        ).fetchall(),
                        connection.execute(
                            "select vehicle_id, device_id, recorded_at, location from latest_positions order by 1"
                        ).fetchall(),
                        connection.execute(
                            "select device_id, reason, said from quarantined_fixes order by 1"
                        ).fetchall(),
                    )
                )
                connection.execute("set role hub_owner")
                for table in ("positions", "latest_positions", "quarantined_fixes"):
                    connection.execute(f"delete from {table}")
    assert facts[0] == facts[1] == facts[2]
    # The last fix but one is the latest: the device itself says that the last is none.
    assert {row[2] for row in facts[0][1]} == {began + timedelta(minutes=58)}


async def test_only_known_fixes_are_told_and_move_nothing(place: Listening, county: County) -> None:
    it = await tracker(place)
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)

    def take(connection: psycopg.Connection, *given: tuple[int, float]) -> list[int]:
        at, lon = [began.timestamp() + second for second, _ in given], [lon for _, lon in given]
        devices = [it.device] * len(given)
        said = "select take_fixes(%s::uuid[], %s, %s, array_fill(-0.1::float8, array[%s]), "
        empty = "'{}', '{}', '{}', '{}', '{}', '{}', '{}')"
        return sorted(connection.execute(said + empty, (devices, at, lon, len(given))).fetchone()[0])  # type: ignore[index]

    with rows(county) as connection:
        assert take(connection, (2, 34.8), (1, 34.7)) == []
        assert take(connection, (2, 35.0), (3, 34.9), (3, 35.1), (1, 35.0)) == [1, 3, 4]
        assert take(connection, (3, 35.0), (2, 35.0)) == [1, 2]
        kept = connection.execute("select st_x(location) from positions order by recorded_at").fetchall()
        batches = connection.execute("select count from position_batches order by cursor").fetchall()
    assert kept == [(34.7,), (34.8,), (34.9,)]
    assert batches == [(2,), (1,)], "what brought nothing new is no batch"
    assert (await latest(place))["location"]["coordinates"] == [34.9, -0.1]


async def test_each_fix_has_the_ward_that_holds_it_also_when_boundaries_move(place: Listening, county: County) -> None:
    """Places by chance and on outlines; sent right after a change, when the worker still knows the old outlines, and
    once it knows the new ones."""
    it, dice = await tracker(place), random.Random(11)
    wards = place.app.state.taking._wards
    wrong = """
      select count(*) filter (where p.ward_id is distinct from (
        select w.id from wards w where st_covers(w.boundary, p.location) order by w.code limit 1
      )), count(*), count(p.ward_id) from positions p where p.recorded_at >= %s
    """

    async def sends(began: datetime, outlines: list[Any]) -> None:
        where = [(dice.uniform(34.3, 35.4), dice.uniform(-0.5, 0.1)) for _ in range(1500)]
        where += [(x + nudge, y - nudge) for x, y in dice.sample(outlines, 250) for nudge in (0, 1e-9)]
        sent_rows = [
            row(number, location=at, recordedAt=(began + timedelta(seconds=number)).isoformat())
            for number, at in enumerate(where)
        ]
        head = {**NDJSON, "authorization": f"Bearer {it.key}"}
        answer = await place.http.post("/intake/batch", content=nd(sent_rows), headers=head)
        assert answer.json()["stored"] == len(where), answer.text[:300]

    with rows(county) as connection:
        corners = "select st_x(p), st_y(p) from (select (st_dumppoints(boundary)).geom from wards) d (p)"
        await wards.look()
        for turn in range(3):
            began = datetime.now(UTC) - timedelta(days=1 + turn)
            await sends(began, connection.execute(corners).fetchall())
            (errors, count_, inside) = connection.execute(wrong, (began,)).fetchone()  # type: ignore[misc]
            assert (errors, count_ >= 2000, inside > 500) == (0, True, True), turn
            connection.execute("delete from positions")
            if turn == 0:  # the worker is not told: what comes next finds it behind
                known = wards._known
                connection.execute(
                    "update wards set boundary = st_translate(boundary, 0.023, -0.011), "
                    "label_point = st_translate(label_point, 0.023, -0.011)"
                )
            else:
                await wards.look()
        assert wards._known.stamp > known.stamp


async def test_an_older_fix_is_kept_and_moves_nothing_back(place: Listening, county: County) -> None:
    it = await tracker(place)
    for ago, lon in ((60, 34.91), (3600, 34.70), (30, 34.92), (45, 34.80)):
        given = {"id": it.key, "lat": -0.17, "lon": lon, "timestamp": seconds(ago)}
        assert (await place.http.get("/intake/osmand", params=given)).status_code == 200
    assert (await latest(place))["location"]["coordinates"] == [34.92, -0.17]
    assert count(county) == 4


@pytest.mark.parametrize(
    ("given", "doubt"),
    [
        ({"valid": "false"}, "INVALID"),
        ({"accuracy": "800"}, "INACCURATE"),
        ({"speed": "150"}, "TOO_FAST"),
    ],
)
async def test_a_doubtful_fix_is_kept_says_so_and_moves_nothing(
    place: Listening, given: dict[str, str], doubt: str
) -> None:
    it = await tracker(place)
    fix = {"id": it.key, "lat": "-0.17", "lon": "34.92", "timestamp": str(seconds())} | given
    assert (await place.http.get("/intake/osmand", params=fix)).status_code == 200
    assert await latest(place) is None
    asked = '{ vehicle(plate: "KDA 123B") { positions { nodes { doubts } } } }'
    assert (await place.ask("fleet", asked))["vehicle"]["positions"]["nodes"] == [{"doubts": [doubt]}]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"timestamp": 3600}, "FUTURE"),
        ({"timestamp": -100 * 86400}, "TOO_OLD"),
        ({"lat": "34.92", "lon": "-0.17"}, "FAR_AWAY"),
        ({"lat": "0", "lon": "0"}, "FAR_AWAY"),
    ],
)
async def test_what_cannot_be_true_is_put_aside_once(
    place: Listening, county: County, given: dict[str, Any], reason: str
) -> None:
    it = await tracker(place)
    fix = {"id": it.key, "lat": "-0.17", "lon": "34.92", "timestamp": 0} | given
    fix["timestamp"] = str(seconds() + int(fix["timestamp"]))
    for _ in range(2):
        assert (await place.http.get("/intake/osmand", params=fix)).status_code == 200
    assert count(county) == 0
    asked = "{ quarantinedFixes { nodes { reason device { label } } } }"
    assert (await place.ask("fleet", asked))["quarantinedFixes"]["nodes"] == [
        {"reason": reason, "device": {"label": "Teltonika"}}
    ]


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"lat": "NaN"}, "lat: a finite number"),
        ({"lat": "1e400"}, "lat: a finite number"),
        ({"lon": "inf"}, "lon: a finite number"),
        ({"lat": "٣"}, "lat: a number is expected"),
        ({"lat": "ten"}, "lat: a number is expected"),
        ({"lat": "91"}, "lat: 91 is no latitude"),
        ({"lon": "181"}, "lon: 181 is no longitude"),
        ({"lon": ""}, "lon: it is missing"),
        ({"timestamp": "yesterday"}, "timestamp: "),
        ({"timestamp": "1e30"}, "timestamp: a time is expected"),
        ({"speed": "fast"}, "speed: a number is expected"),
        ({"batt": "101"}, "batt: 101 is more than 100"),
        ({"valid": "perhaps"}, "valid: true or false"),
        ({"note": "x" * 300}, "note: a text of at most"),
        ({"note": "a\x00b"}, "note: a text of at most"),
        ({"id": ""}, "id: the device's key is missing"),
    ],
)
async def test_a_fix_that_is_none_is_refused_by_the_name_of_what_is_wrong(
    place: Listening, county: County, given: dict[str, str], says: str
) -> None:
    it = await tracker(place)
    fix = {"id": it.key, "lat": "-0.17", "lon": "34.92", "timestamp": str(seconds())} | given
    answer = await place.http.get("/intake/osmand", params=fix)
    assert answer.status_code == 400
    error = answer.json()["errors"][0]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["message"].startswith(says), error
    assert count(county) == 0


async def test_a_key_is_its_own_devices_and_ends_when_it_is_revoked(place: Listening, county: County) -> None:
    it = await tracker(place)
    fix = {"lat": "-0.17", "lon": "34.92", "timestamp": str(seconds())}
    for key in ("nothing", it.device, it.plate, "' or true --"):
        answer = await place.http.get("/intake/osmand", params={"id": key, **fix})
        assert (answer.status_code, answer.json()["errors"][0]["message"]) == (
            400,
            "The key is unknown, or was revoked.",
        )
    # A device writes, and reads nothing.
    asked = await place.http.post(
        "/graphql", json={"query": "{ vehicles { totalCount } }"}, headers={"authorization": f"Bearer {it.key}"}
    )
    assert asked.status_code == 401
    assert (await place.http.get("/intake/osmand", params={"id": it.key, **fix})).status_code == 200
    revoked = await place.ask("fleet", REVOKE, input={"id": it.device})
    assert revoked["revokeDevice"]["device"]["revokedAt"]
    for _ in range(60):
        if (await place.http.get("/intake/osmand", params={"id": it.key, **fix})).status_code == 400:
            break
        await asyncio.sleep(0.1)
    else:
        pytest.fail("the key still works after 6 s")
    with rows(county) as connection:
        kept = connection.execute("select digest from device_keys").fetchall()
    assert all(it.key.encode() not in bytes(row[0]) for row in kept)


async def test_who_may_not_keep_the_fleet_registers_nothing(place: Listening) -> None:
    it = await tracker(place)
    answer = await place.http.post(
        "/graphql",
        json={"query": REGISTER, "variables": {"input": {"vehicle": it.vehicle, "label": "mine"}}},
        headers={"authorization": f"Bearer {await place.token('citizen')}"},
    )
    assert answer.json()["errors"][0]["extensions"]["code"] in ("NOT_FOUND", "FORBIDDEN")


# -- batches -----------------------------------------------------------------------------------------------------------


def row(number: int, **more: Any) -> dict[str, Any]:
    at = datetime.now(UTC) - timedelta(hours=1) + timedelta(seconds=number)
    return {"recordedAt": at.isoformat(), "location": [34.9 + number / 10_000, -0.17], "speedKmh": number % 60, **more}


def nd(rows_: list[Any]) -> bytes:
    return b"\n".join(each if isinstance(each, bytes) else json.dumps(each).encode() for each in rows_)


NDJSON = {"content-type": "application/x-ndjson"}


@pytest.mark.parametrize("at", [0, 3, 6])
async def test_a_bad_row_takes_no_other_along(place: Listening, county: County, at: int) -> None:
    it = await tracker(place)
    good = [row(number) for number in range(6)]
    bad: list[Any] = [
        row(9, location=[34.9, "x"]), row(9, location=None), row(9, recordedAt=None), b"{", b"[1]",
        b'{"recordedAt": "2026-03-02T06:00:00Z", "location": [NaN, 0]}', row(9, heading=10_000), row(9, note="\x00"),
        row(9, key="somebody's"),
    ]  # fmt: skip
    head = {**NDJSON, "authorization": f"Bearer {it.key}"}
    answer = await place.http.post("/intake/batch", content=nd([*good[:at], *bad, *good[at:]]), headers=head)
    told = answer.json()
    assert (answer.status_code, told["stored"]) == (200, 6), told
    assert [each["row"] for each in told["refused"]] == list(range(at + 1, at + 1 + len(bad)))
    assert all(each["field"] and each["message"] for each in told["refused"])
    again = (await place.http.post("/intake/batch", content=nd(good), headers=head)).json()
    assert (again["stored"], again["duplicates"]) == (0, 6)
    assert count(county) == 6


async def test_of_two_fixes_of_one_moment_the_first_counts_however_many_come(place: Listening, county: County) -> None:
    """More than are stored together, with each moment's second fix far behind its first."""
    it = await tracker(place)
    good = [row(number) for number in range(3_000)]
    second = [{**each, "location": [34.5, -0.3]} for each in good[::2]]
    head = {**NDJSON, "authorization": f"Bearer {it.key}"}
    answer = (await place.http.post("/intake/batch", content=nd([*good, *second]), headers=head)).json()
    assert (answer["stored"], answer["duplicates"], answer["quarantined"]) == (3_000, 1_500, [])
    with rows(county) as connection:
        places_ = connection.execute("select count(*) from positions where st_x(location) < 34.8").fetchone()
    assert places_ == (0,)


@pytest.mark.parametrize("name", ['"key"', '"k\\u0065y"'])
async def test_a_row_may_be_another_devices(place: Listening, county: County, name: str) -> None:
    it, other = await tracker(place), await tracker(place, "KDB 321C")
    theirs = nd([row(1)])[:-1] + f', {name}: "{other.key}"}}'.encode()
    nobodys = nd([row(2)])[:-1] + f', {name}: "nobody"}}'.encode()
    head = {**NDJSON, "authorization": f"Bearer {it.key}"}
    answer = (await place.http.post("/intake/batch", content=nd([row(0), theirs, nobodys]), headers=head)).json()
    assert (answer["stored"], [each["row"] for each in answer["refused"]]) == (2, [3])
    with rows(county) as connection:
        kept = connection.execute("select device_id from positions order by recorded_at").fetchall()
    assert [str(device) for (device,) in kept] == [it.device, other.device]


async def test_geojson_and_gzip_are_taken(place: Listening, county: County) -> None:
    it = await tracker(place)
    head = {"authorization": f"Bearer {it.key}"}
    features = [
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": each.pop("location")}, "properties": each}
        for each in (row(number) for number in range(5))
    ]
    features.append({"type": "Feature", "geometry": None, "properties": {}})
    body = json.dumps({"type": "FeatureCollection", "features": features})
    answer = await place.http.post(
        "/intake/batch", content=body, headers={**head, "content-type": "application/geo+json"}
    )
    assert (answer.json()["stored"], [each["row"] for each in answer.json()["refused"]]) == (5, [6])
    packed = gzip.compress(nd([row(number) for number in range(10, 1000)]))
    answer = await place.http.post(
        "/intake/batch", content=packed, headers={**head, **NDJSON, "content-encoding": "gzip"}
    )
    assert answer.json()["stored"] == 990, answer.text
    assert count(county) == 995


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (gzip.compress(b"\n" * 40_000_000), 413, "inflated"),
        (gzip.compress(b" " * 200_000), 413, "line 1 is over"),
        (b"x" * 70_000, 413, "line 1 is over"),
        (gzip.compress(gzip.compress(b"\n" * 1000)), 200, ""),
        (gzip.compress(nd([row(1)]))[:-9], 400, "ends before its end"),
        (gzip.compress(b"\n") + gzip.compress(b"\n"), 400, "one member"),
        (nd([{"location": [34, 0]}] * 20_001), 413, "over 20,000 rows"),
    ],
    # Named, because packed bytes hold the time: the suite's processes must agree on what a test is called.
    ids=["inflates", "a long line packed", "a long line", "packed twice", "cut off", "two members", "too many rows"],
)
async def test_a_bomb_is_refused_whole(place: Listening, county: County, body: bytes, status: int, says: str) -> None:
    it = await tracker(place)
    packed = {"content-encoding": "gzip"} if body[:2] == b"\x1f\x8b" else {}
    begun = time.monotonic()
    answer = await place.http.post(
        "/intake/batch", content=body, headers={**NDJSON, **packed, "authorization": f"Bearer {it.key}"}
    )
    assert (answer.status_code, count(county)) == (status, 0), answer.text
    assert says in answer.text
    assert time.monotonic() - begun < 5


async def test_other_bodies_are_refused_before_they_are_read(place: Listening) -> None:
    it = await tracker(place)
    head = {"authorization": f"Bearer {it.key}"}
    for more in ({"content-type": "text/plain"}, {**NDJSON, "content-encoding": "gzip, gzip"}):
        assert (await place.http.post("/intake/batch", content=b"{}", headers={**head, **more})).status_code == 415
    assert (await place.http.post("/intake/batch", content=nd([row(1)]), headers=NDJSON)).status_code == 401
    long = {"id": it.key, "lat": "0", "lon": "34", "x": "y" * 20_000}
    assert (await place.http.post("/intake/osmand", data=long)).status_code == 413


async def test_a_device_that_floods_is_held_back_and_others_are_not(county: County) -> None:
    async with serving(county.login_url, intake=Intake(fixes_at_once=50, fixes_per_second=5)) as hub:
        one, other = await tracker(hub), await tracker(hub, "KDA 124B")
        head = {**NDJSON, "authorization": f"Bearer {one.key}"}
        assert (await hub.http.post("/intake/batch", content=nd([row(n) for n in range(50)]), headers=head)).is_success
        held = await hub.http.post("/intake/batch", content=nd([row(n) for n in range(50, 90)]), headers=head)
        assert (held.status_code, held.json()["errors"][0]["extensions"]["code"]) == (429, "RATE_LIMITED")
        assert 1 <= int(held.headers["retry-after"]) <= 9
        fix = {"id": other.key, "lat": "-0.17", "lon": "34.92", "timestamp": str(seconds())}
        assert (await hub.http.get("/intake/osmand", params=fix)).status_code == 200
    assert count(county) == 51


# -- many at once, and a database that goes away -----------------------------------------------------------------------


async def test_many_senders_share_commits(place: Listening, county: County) -> None:
    trackers = [await tracker(place, f"KDB 10{number}A") for number in range(4)]

    async def send(number: int) -> int:
        it = trackers[number % 4]
        fix = {"id": it.key, "lat": "-0.17", "lon": "34.92", "timestamp": str(seconds(400) + number)}
        return (await place.http.get("/intake/osmand", params=fix)).status_code

    limits = httpx.Limits(max_connections=50)
    async with httpx.AsyncClient(base_url=place.address, limits=limits, timeout=30) as many:
        place.http, own = many, place.http
        try:
            assert set(await asyncio.gather(*(send(number) for number in range(400)))) == {200}
        finally:
            place.http = own
    assert count(county) == 400
    with rows(county) as connection:
        cursors = [row_[0] for row_ in connection.execute("select cursor from position_batches order by 1")]
    assert cursors == list(range(1, len(cursors) + 1))
    assert len(cursors) < 300


async def test_what_was_acknowledged_is_there_once_when_connections_are_cut(place: Listening, county: County) -> None:
    it = await tracker(place)
    told: list[int] = []

    async def send(at: int) -> None:
        fix = {"id": it.key, "lat": "-0.17", "lon": "34.92", "timestamp": str(at)}
        for _ in range(200):
            answer = await place.http.get("/intake/osmand", params=fix)
            if answer.status_code == 200:
                told.append(at)
                return
            assert answer.status_code == 503, answer.text
            assert answer.headers["retry-after"]
            await asyncio.sleep(0.05)
        pytest.fail("the fix was never taken")

    async def cut() -> None:
        with rows(county) as connection:
            for _ in range(8):
                await asyncio.sleep(0.08)
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and application_name like 'hub%%' and pid <> pg_backend_pid()"
                )

    begun = seconds(1000)

    async def sender(number: int) -> None:
        for at in range(40):
            await send(begun + number * 100 + at)

    await asyncio.gather(cut(), *(sender(number) for number in range(8)))
    with rows(county) as connection:
        found = [int(row_[0].timestamp()) for row_ in connection.execute("select recorded_at from positions")]
    assert sorted(found) == sorted(told)
    assert len(found) == 320
