"""What people do with photos of an incident: add one, see it, add it again, and have one forgotten."""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
from collections.abc import AsyncIterator
from typing import Any
from weakref import WeakKeyDictionary

import httpx
import psycopg
import pytest
import pytest_asyncio
from PIL import Image, ImageCms
from psycopg.types.json import Jsonb

from tests.conftest import County, Hub, make_person, running
from tests.pictures import SECRET, noise, picture, secretive, written

REPORT = "mutation($input: ReportIncidentInput!) { reportIncident(input: $input) { incident { id reference } } }"
SEEN = """query($id: ID) {
  incident(id: $id) { photos { id width height addedAt addedBy { name } url thumbnailUrl } }
}"""
AHERO = [34.9189, -0.1723]


@pytest_asyncio.fixture
async def place(fresh_database: County) -> AsyncIterator[Hub]:
    """A hub of its own with people who may and may not."""
    make_person(fresh_database, "dispatcher", "dispatcher")
    make_person(fresh_database, "ahero", "field_officer", areas=("1208",))
    make_person(fresh_database, "seme", "field_officer", areas=("1202",))
    make_person(fresh_database, "citizen", "citizen")
    make_person(fresh_database, "other", "citizen")
    make_person(fresh_database, "planner", "planner")
    async with running(fresh_database.login_url) as hub:
        yield hub


async def reported(hub: Hub, who: str = "dispatcher") -> dict[str, str]:
    given = {"kind": "FLOOD", "title": "Nyando over its banks", "location": AHERO}
    return (await hub.ask(REPORT, {"input": given}, token=await token(hub, who)))["reportIncident"]["incident"]


SIGNED: WeakKeyDictionary[Hub, dict[str, str]] = WeakKeyDictionary()


async def token(hub: Hub, who: str) -> str:
    """Signs somebody in, once."""
    signed = SIGNED.setdefault(hub, {})
    if who not in signed:
        signed[who] = await hub.token(who)
    return signed[who]


async def send(hub: Hub, who: str, incident: str, body: bytes, kind: str = "jpeg", **headers: str) -> httpx.Response:
    shown = {"authorization": f"Bearer {await token(hub, who)}", "content-type": f"image/{kind}", **headers}
    return await hub.http.post(f"/incidents/{incident}/photos", content=body, headers=shown)


async def get(hub: Hub, who: str | None, url: str, method: str = "GET", **headers: str) -> httpx.Response:
    shown = {"authorization": f"Bearer {await token(hub, who)}"} if who else {}
    return await hub.http.request(method, url, headers={**shown, **headers})


def read(response: httpx.Response) -> Image.Image:
    assert response.status_code == 200, response.text
    image = Image.open(io.BytesIO(response.content))
    assert image.format == "JPEG"
    return image


def colours(image: Image.Image) -> list[str]:
    """The four quarters of `picture`, as they lie."""
    names = {(1, 0, 0): "red", (0, 1, 0): "lime", (0, 0, 1): "blue", (1, 1, 1): "white"}
    quarters = [(x, y) for y in (1, 3) for x in (1, 3)]
    found = [image.getpixel((image.width * x // 4, image.height * y // 4)) for x, y in quarters]
    return [names[tuple(round(part / 255) for part in pixel)] for pixel in found]  # type: ignore[union-attr, arg-type]


async def test_an_officer_adds_a_photo_and_everybody_who_sees_the_incident_sees_it(place: Hub) -> None:
    incident = await reported(place)
    answer = await send(place, "ahero", incident["id"], written(picture(), "JPEG"))
    assert answer.status_code == 201
    added = answer.json()["photo"]
    url = f"/photos/{added['id']}"
    assert added == {"id": added["id"], "url": url, "thumbnailUrl": f"{url}/thumbnail", "width": 640, "height": 480}
    assert answer.headers["location"] == url

    seen = await place.ask(SEEN, {"id": incident["id"]}, token=await token(place, "dispatcher"))
    (listed,) = seen["incident"]["photos"]
    assert {name: listed[name] for name in added} == added
    assert listed["addedBy"] == {"name": "ahero"}
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT.*", listed["addedAt"])
    for who in ("dispatcher", "planner", "ahero"):
        assert colours(read(await get(place, who, url))) == ["red", "lime", "blue", "white"]
        assert read(await get(place, who, f"{url}/thumbnail")).size == (320, 240)


async def test_it_goes_out_as_a_file_that_no_page_runs_and_no_cache_shares(place: Hub) -> None:
    incident = await reported(place)
    added = (await send(place, "dispatcher", incident["id"], written(picture(), "PNG"), "png")).json()["photo"]
    for url, mark in ((added["url"], ""), (added["thumbnailUrl"], "-small")):
        answer = await get(place, "dispatcher", url, **{"accept-encoding": "gzip"})
        digest = hashlib.sha256((await get(place, "dispatcher", added["url"])).content).hexdigest()
        named = f'attachment; filename="{incident["reference"]}-{digest[:8]}{mark}.jpg"'
        assert answer.headers["content-disposition"] == named
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["cache-control"] == "private, no-cache"
        assert answer.headers["etag"] == f'"{digest}{mark}"'
        assert "content-encoding" not in answer.headers

        head = await get(place, "dispatcher", url, "HEAD")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(answer.content))

        part = await get(place, "dispatcher", url, range="bytes=0-10")
        assert (part.status_code, part.content) == (200, answer.content)

        tag = answer.headers["etag"]
        known = await get(place, "dispatcher", url, **{"if-none-match": f'"x", W/{tag}'})
        assert (known.status_code, known.content) == (304, b"")
        assert (await get(place, "dispatcher", url, **{"if-none-match": '"x"'})).status_code == 200
        # Who may not see it is not told that the copy is good.
        for who in ("seme", "other", None):
            assert (await get(place, who, url, **{"if-none-match": tag})).status_code == 404
            assert (await get(place, who, url, **{"if-none-match": "*"})).status_code == 404


async def test_the_same_file_sent_twice_is_one_photo(place: Hub) -> None:
    incident, other = await reported(place), await reported(place)
    body = written(picture(), "JPEG")
    first = await send(place, "ahero", incident["id"], body)
    again = await send(place, "dispatcher", incident["id"], body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    at_once = await asyncio.gather(*(send(place, "dispatcher", other["id"], body) for _ in range(6)))
    assert sorted(answer.status_code for answer in at_once) == [200, 200, 200, 200, 200, 201]
    assert len({answer.json()["photo"]["id"] for answer in at_once}) == 1
    assert at_once[0].json()["photo"]["id"] != first.json()["photo"]["id"]


UPRIGHT = {
    1: ["red", "lime", "blue", "white"],
    2: ["lime", "red", "white", "blue"],
    3: ["white", "blue", "lime", "red"],
    4: ["blue", "white", "red", "lime"],
    5: ["red", "blue", "lime", "white"],
    6: ["blue", "red", "white", "lime"],
    7: ["white", "lime", "blue", "red"],
    8: ["lime", "white", "red", "blue"],
}
"""The quarters of `picture` as they stand when it is turned as EXIF says."""


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_a_photo_stands_upright_and_says_nothing_but_its_pixels(
    place: Hub, fresh_database: County, kind: str
) -> None:
    incident = await reported(place)
    for orientation, expected in UPRIGHT.items():
        sent = secretive(kind, orientation)
        assert sent.count(SECRET.encode()) >= 5  # in more places than one
        named = {"content-disposition": f'attachment; filename="../{SECRET}-name.jpg"', "slug": f"{SECRET}-slug"}
        answer = await send(place, "dispatcher", incident["id"], sent, kind.lower(), **named)
        assert answer.status_code == 201, answer.text
        added = answer.json()["photo"]
        shown = [answer, *[await get(place, "dispatcher", added[each]) for each in ("url", "thumbnailUrl")]]
        image = read(shown[1])
        assert colours(image) == expected
        assert image.size == ((480, 640) if orientation > 4 else (640, 480)) == (added["width"], added["height"])
        for each in map(read, shown[1:]):
            assert set(each.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
            assert not each.getexif()
        for each in shown:
            assert SECRET not in str(each.headers)
            for word in (SECRET.encode(), b"PK\x03\x04", b"script"):
                assert word not in each.content
    with psycopg.connect(fresh_database.owner_url) as owner:
        rows = owner.execute("select image, thumbnail, photos::text from photos").fetchall()
        entries = owner.execute("select journal::text from journal").fetchall()
    assert len(rows) == len(UPRIGHT)
    for stored in (part for row in (*rows, *entries) for part in row):
        held = stored if isinstance(stored, bytes) else stored.encode()
        assert SECRET.encode() not in held
        assert SECRET.encode().hex().encode() not in held
    for image_bytes, thumbnail_bytes, _ in rows:
        for held in (image_bytes, thumbnail_bytes):
            assert held.endswith(b"\xff\xd9")


@pytest.mark.parametrize(
    ("mode", "kind"),
    [(mode, "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")]
    + [(mode, "JPEG") for mode in ("L", "RGB", "CMYK")]
    + [(mode, "WEBP") for mode in ("RGB", "RGBA")],
)
async def test_every_form_of_colour_becomes_one(place: Hub, mode: str, kind: str) -> None:
    incident = await reported(place)
    if mode == "I;16":
        made = Image.new("I;16", (300, 200), 32768)
    elif mode in ("RGBA", "LA"):
        made = Image.new(mode, (300, 200))  # one sees through it
    else:
        made = Image.new("RGB", (300, 200), (128, 128, 128)).convert(mode, palette=Image.Palette.ADAPTIVE)
    answer = await send(place, "dispatcher", incident["id"], written(made, kind), kind.lower())
    assert answer.status_code == 201, answer.text
    image = read(await get(place, "dispatcher", answer.json()["photo"]["url"]))
    assert image.mode == "RGB"
    pixel = image.getpixel((150, 100))
    assert isinstance(pixel, tuple)
    if mode in ("RGBA", "LA"):
        assert pixel == (255, 255, 255)
    elif mode != "1":
        assert all(abs(part - 128) <= 4 for part in pixel), pixel


async def test_colours_of_another_profile_are_those_that_were_meant(place: Hub) -> None:
    incident = await reported(place)
    made = Image.new("RGB", (40, 40), (200, 30, 30))
    ours = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # A profile whose red and blue are exchanged: what it calls red is blue.
    swapped = ours.replace(b"rXYZ", b"tmp_").replace(b"bXYZ", b"rXYZ").replace(b"tmp_", b"bXYZ")
    answer = await send(
        place, "dispatcher", incident["id"], written(made, "JPEG", icc_profile=swapped, quality=95, subsampling=0)
    )
    pixel = read(await get(place, "dispatcher", answer.json()["photo"]["url"])).getpixel((20, 20))
    assert isinstance(pixel, tuple)
    assert pixel[2] > 150 > 80 > pixel[0], pixel


@pytest.mark.parametrize(("width", "height"), [(1, 1), (5200, 2000), (2000, 5200), (30_000, 1), (1, 9000)])
async def test_large_ones_become_smaller_and_small_ones_stay(place: Hub, width: int, height: int) -> None:
    incident = await reported(place)
    sent = written(picture(width, height), "PNG", compress_level=1)
    added = (await send(place, "dispatcher", incident["id"], sent, "png")).json()["photo"]
    longest = max(width, height)
    for url, most in ((added["url"], 2560), (added["thumbnailUrl"], 320)):
        image = read(await get(place, "dispatcher", url))
        assert max(image.size) == min(longest, most)
        assert abs(min(image.size) - max(1, min(width, height) * max(image.size) / longest)) <= 1
        if min(width, height) > 1000:
            assert colours(image) == ["red", "lime", "blue", "white"]


async def test_adding_one_is_an_event_of_its_incident(place: Hub, fresh_database: County) -> None:
    incident = await reported(place)
    answer = await send(place, "ahero", incident["id"], written(picture(), "JPEG"))
    added = answer.json()["photo"]
    image = (await get(place, "ahero", added["url"])).content
    with psycopg.connect(fresh_database.owner_url) as owner:
        found = owner.execute(
            "select op, after, audience, areas = array(select id from wards where code = '1208'), "
            "actor = (select id from people where name = 'ahero') from journal where tbl = 'photos'"
        ).fetchall()
        ((op, after, audience, in_ahero, by_them),) = found
        assert (op, audience, in_ahero, by_them) == ("insert", "photos", True, True)
        assert after["incident_id"] == incident["id"]
        assert after["digest"] == f"\\x{hashlib.sha256(image).hexdigest()}"
        assert {"image", "thumbnail", "sent"}.isdisjoint(after)
        assert owner.execute("select differences('photos')").fetchall() == []
        assert owner.execute(
            "select distinct attstorage::text from pg_attribute where attrelid = 'photos'::regclass "
            "and attname in ('image', 'thumbnail')"
        ).fetchall() == [("e",)]


async def test_an_incident_holds_twenty_however_many_come_at_once(place: Hub, fresh_database: County) -> None:
    incident = await reported(place)
    desk, officer = await token(place, "dispatcher"), await token(place, "ahero")

    async def add(number: int) -> int:
        body = written(Image.new("RGB", (32, 32), (number * 8, 0, 0)), "PNG")
        shown = {"authorization": f"Bearer {officer if number % 2 else desk}", "content-type": "image/png"}
        for _ in range(20):
            answer = await place.http.post(f"/incidents/{incident['id']}/photos", content=body, headers=shown)
            if answer.status_code != 503:  # many wait for their turn
                break
        return answer.status_code

    statuses = await asyncio.gather(*map(add, range(30)))
    assert sorted(statuses) == [201] * 20 + [409] * 10
    refused = await send(place, "dispatcher", incident["id"], noise(30), "png")
    assert refused.json()["errors"] == [
        {"message": "The incident holds 20 photos already: no more are taken.", "extensions": {"code": "CONFLICT"}}
    ]
    with psycopg.connect(fresh_database.owner_url) as owner:
        assert owner.execute("select count(*) from photos").fetchone() == (20,)
        assert owner.execute("select differences('photos')").fetchall() == []
    again = await send(
        place, "dispatcher", incident["id"], written(Image.new("RGB", (32, 32), (0, 0, 0)), "PNG"), "png"
    )
    assert again.status_code in (200, 409)  # 200 where this one was among the twenty
    seen = await place.ask(SEEN, {"id": incident["id"]}, token=desk)
    assert len(seen["incident"]["photos"]) == 20


def test_the_database_holds_twenty_by_itself(fresh_database: County) -> None:
    """Without the hub before it: two transactions that both see nineteen."""
    make_person(fresh_database, "dispatcher", "dispatcher")
    image = written(picture(8, 8), "JPEG")
    insert = (
        "insert into photos (incident_id, sent, digest, image, thumbnail, width, height) "
        "select id, sha256(%s), sha256(%s), %s, %s, 8, 8 from incidents"
    )
    with psycopg.connect(fresh_database.owner_url) as one, psycopg.connect(fresh_database.owner_url) as two:
        for connection in (one, two):
            connection.execute("set role hub_owner")
        one.execute(
            "insert into incidents (kind, title, severity, certainty, urgency, location, occurred_at, source) values "
            "('flood', 'Flood', 'minor', 'likely', 'past', 'srid=4326;point(34.9189 -0.1723)', now(), 'radio')"
        )
        for number in range(19):
            one.execute(insert, (str(number).encode(), image, image, image))
        one.commit()
        one.execute(insert, (b"a", image, image, image))
        two.execute("set lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            two.execute(insert, (b"b", image, image, image))
        two.rollback()
        one.commit()
        two.execute("set role hub_owner")
        with pytest.raises(psycopg.errors.CheckViolation) as refused:
            two.execute(insert, (b"b", image, image, image))
        assert refused.value.diag.constraint_name == "photos_most"


async def test_a_photo_that_the_law_wants_forgotten_is(place: Hub, fresh_database: County) -> None:
    incident = await reported(place)
    body = written(picture(), "JPEG")
    added = (await send(place, "ahero", incident["id"], body)).json()["photo"]
    kept = (await send(place, "ahero", incident["id"], noise(64), "png")).json()["photo"]
    with psycopg.connect(fresh_database.login_url) as hub:
        hub.execute("set role hub_service")
        (now,) = hub.execute("select now()::text").fetchone() or ("",)
        blanks = Jsonb({"erased_at": now, "digest": None})
        assert hub.execute("select erase('photos', %s, %s)", (added["id"], blanks)).fetchone() == (1,)
    for url in (added["url"], added["thumbnailUrl"]):
        assert (await get(place, "dispatcher", url)).status_code == 404
    seen = await place.ask(SEEN, {"id": incident["id"]}, token=await token(place, "dispatcher"))
    assert [each["id"] for each in seen["incident"]["photos"]] == [kept["id"]]
    with psycopg.connect(fresh_database.owner_url) as owner:
        assert owner.execute(
            "select num_nulls(image, thumbnail, sent, digest), added_by is not null, erased_at is not null "
            "from photos where id = %s",
            (added["id"],),
        ).fetchone() == (4, True, True)
        assert owner.execute("select differences('photos')").fetchall() == []
        assert owner.execute(
            "select op, after is null from journal where object_id = %s order by hlc", (added["id"],)
        ).fetchall() == [("insert", True), ("erase", False)]
    # Somebody may judge otherwise later: then it is another photo.
    again = (await send(place, "ahero", incident["id"], body)).json()["photo"]
    assert again["id"] != added["id"]


@pytest.mark.parametrize("role", ["hub_county", "hub_own", "hub_area"])
async def test_nobody_changes_or_removes_a_photo(place: Hub, fresh_database: County, role: str) -> None:
    incident = await reported(place, "citizen")
    await send(place, "citizen", incident["id"], written(picture(), "JPEG"))
    with psycopg.connect(fresh_database.owner_url) as owner:
        (person, ward) = owner.execute(
            "select p.id::text, w.id::text from people p, wards w where p.name = 'citizen' and w.code = '1208'"
        ).fetchone() or ("", "")
    with psycopg.connect(fresh_database.login_url, autocommit=True) as login:
        login.execute(
            "select set_config('role', %s, false), set_config('hub.person', %s, false), "
            "set_config('hub.roles', 'citizen,dispatcher,field_officer', false), set_config('hub.areas', %s, false)",
            (role, person, f"{{{ward}}}"),
        )
        assert login.execute("select count(*) from photos").fetchone() == (1,)
        for change in (
            "width = 1",
            "image = null, thumbnail = null, sent = null",
            "erased_at = now()",
            "added_by = null",
        ):
            with pytest.raises(psycopg.errors.RestrictViolation):
                login.execute(f"update photos set {change}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            login.execute("delete from photos")
    with psycopg.connect(fresh_database.owner_url) as owner:
        owner.execute("set role hub_owner")
        with pytest.raises(psycopg.errors.RestrictViolation):
            owner.execute("delete from photos")


async def test_a_picture_on_our_own_page_is_shown_by_its_cookie(place: Hub) -> None:
    incident = await reported(place)
    added = (await send(place, "dispatcher", incident["id"], written(picture(), "JPEG"))).json()["photo"]
    cookie = {"cookie": f"__Host-hub={await token(place, 'dispatcher')}"}
    shown = await get(
        place, None, added["url"], **cookie, **{"sec-fetch-site": "same-origin", "sec-fetch-dest": "image"}
    )
    assert shown.status_code == 200
    for site in ("cross-site", "same-site", "none"):
        hidden = await get(place, None, added["url"], **cookie, **{"sec-fetch-site": site})
        assert hidden.status_code == 404


async def test_who_may_not_is_told_the_same_as_if_there_were_nothing(place: Hub, fresh_database: County) -> None:
    incident, theirs = await reported(place), await reported(place, "citizen")
    body = written(picture(), "JPEG")
    absent = "01900000-0000-7000-8000-000000000000"
    added = (await send(place, "dispatcher", incident["id"], body)).json()["photo"]
    own = (await send(place, "citizen", theirs["id"], body)).json()["photo"]

    def told(answer: httpx.Response) -> Any:
        hidden = {"date", "content-length"}
        return answer.status_code, answer.content, {k: v for k, v in answer.headers.items() if k not in hidden}

    for who in ("seme", "citizen", "other"):
        nothing = told(await send(place, who, absent, body))
        assert nothing[0] == 404
        assert told(await send(place, who, incident["id"], body)) == nothing
    # Planners see it; they may not add.
    assert told(await send(place, "planner", incident["id"], body)) == told(await send(place, "planner", absent, body))
    assert (await send(place, "other", theirs["id"], body)).status_code == 404
    for who in ("seme", "citizen", "other", None):
        nothing = told(await get(place, who, f"/photos/{absent}"))
        assert nothing[0] == 404
        for url in (added["url"], added["thumbnailUrl"]):
            assert told(await get(place, who, url)) == nothing
    assert (await get(place, "citizen", own["url"])).status_code == 200
    assert (await get(place, "other", own["url"])).status_code == 404
    seen = await place.ask(SEEN, {"id": incident["id"]}, token=await token(place, "other"))
    assert seen["incident"] is None
    with psycopg.connect(fresh_database.owner_url) as owner:
        assert owner.execute("select count(*) from photos").fetchone() == (2,)
