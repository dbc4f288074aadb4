"""Photos as attackers send them: bombs, halves, two things in one, other people's forms, and nothing at all."""

from __future__ import annotations

import ast
import asyncio
import io
import logging
import os
import sys
import tempfile
import zipfile
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import httpx
import psycopg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hub.photos.developing import Developing
from hub.photos.kinds import Kind
from hub.settings import Database, Photos, Settings
from schema.errors import BadUserInput
from tests.conftest import County, Hub, make_person, running
from tests.pictures import (
    SECRET,
    chunk,
    endless_scans,
    noise,
    picture,
    profile,
    secretive,
    segment,
    with_chunk,
    written,
    zeros,
)

REPORT = "mutation($input: ReportIncidentInput!) { reportIncident(input: $input) { incident { id } } }"
FLOOD = {"kind": "FLOOD", "title": "Nyando over its banks", "location": [34.9189, -0.1723]}
JPEG = written(picture(), "JPEG")


class Door:
    """The door for photos of one incident, and somebody who may use it."""

    def __init__(self, hub: Hub, county: County, incident: str, token: str) -> None:
        self.hub = hub
        self.county = county
        self.incident = incident
        self.url = f"/incidents/{incident}/photos"
        self.token = token

    async def send(self, body: Any, kind: str | None = "image/jpeg", **headers: str) -> httpx.Response:
        shown = {"authorization": f"Bearer {self.token}", **headers}
        return await self.hub.http.post(
            self.url, content=body, headers=shown | ({"content-type": kind} if kind is not None else {})
        )

    async def refused(self, body: Any, kind: str | None = "image/jpeg", **headers: str) -> tuple[int, str]:
        """Status and sentence of a refusal that stores nothing, holds nothing and says nothing of ours."""
        before = self.stored()
        answer = await self.send(body, kind, **headers)
        told = answer.json()
        assert answer.status_code >= 400, told
        (error,) = told["errors"]
        assert set(error) == {"message", "extensions"}
        for word in ("Traceback", "asyncpg", "PIL", ".py", "select "):
            assert word not in error["message"]
        assert self.stored() == before
        assert self.hub.app.state.photos.held == 0
        return answer.status_code, error["message"]

    def stored(self) -> int:
        with psycopg.connect(self.county.owner_url) as owner:
            (count,) = owner.execute("select count(*) from photos").fetchone() or (-1,)
        return count


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def door(copies: Any) -> AsyncIterator[Door]:
    """One for all attacks: what they leave behind would show in the next."""
    with copies() as county:
        async with opened(county) as made:
            yield made


class opened:
    """A hub with a dispatcher and an incident."""

    def __init__(self, county: County, photos: Photos | None = None) -> None:
        self.county = county
        self.settings = Settings(database=Database(database_url=county.login_url), photos=photos)

    async def __aenter__(self) -> Door:
        make_person(self.county, "dispatcher", "dispatcher")
        self.running = running(self.county.login_url, self.settings)
        hub = await self.running.__aenter__()
        token = await hub.token("dispatcher")
        made = await hub.ask(REPORT, {"input": FLOOD}, token=token)
        return Door(hub, self.county, made["reportIncident"]["incident"]["id"], token)

    async def __aexit__(self, *error: Any) -> None:
        await self.running.__aexit__(*error)


async def in_pieces(body: bytes, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


# -- types -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("multipart/form-data; boundary=x", "Forms are not taken: the photo's bytes are the whole body."),
        ("multipart/mixed", "Forms are not taken"),
        ("application/x-www-form-urlencoded", "Send one photo as it is"),
        ("text/plain", "Send one photo as it is"),
        ("application/octet-stream", "Send one photo as it is"),
        (None, "Send one photo as it is"),
        ("", "Send one photo as it is"),
        ("image/*", "Send one photo as it is"),
        ("image/svg+xml", "SVG is not taken"),
        ("image/gif", "GIF is not taken"),
        ("image/tiff", "TIFF is not taken"),
        ("image/heic", "HEIC is not taken: let the camera save JPEG."),
        ("image/jpeg, text/html", "Send one photo as it is"),
    ],
)
async def test_a_body_of_another_type_is_refused_and_told_what_to_send(door: Door, kind: str | None, says: str) -> None:
    status, message = await door.refused(JPEG, kind)
    assert status == 415
    assert message.startswith(says)
    assert "image/jpeg, image/png or image/webp" in message


async def test_a_form_with_a_photo_in_it_is_no_photo(door: Door) -> None:
    body = b'--x\r\ncontent-disposition: form-data; name="f"; filename="../a.jpg"\r\n\r\n' + JPEG + b"\r\n--x--\r\n"
    assert (await door.refused(body, "multipart/form-data; boundary=x"))[0] == 415
    assert (await door.refused(body))[0] == 415
    ten_thousand = b"--x\r\n\r\n\r\n" * 10_000
    assert (await door.refused(ten_thousand, "multipart/form-data; boundary=x"))[0] == 415


SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (SVG, "This is an SVG or another text of marks."),
        (b"\xef\xbb\xbf \n" + SVG, "This is an SVG or another text of marks."),
        (b"<!doctype html><script>alert(1)</script>", "This is an SVG or another text of marks."),
        (written(picture(mode="P"), "GIF"), "This is a GIF."),
        (b"II*\x00" + bytes(100), "This is a TIFF."),
        (b"\x00\x00\x00\x18ftypheic" + bytes(100), "This is a HEIC photo."),
        (b"\x00\x00\x00\x18ftypavif" + bytes(100), "This is an AVIF image."),
        (b"%PDF-1.7\n" + bytes(100), "This is a PDF."),
        (b"PK\x03\x04" + JPEG, "This is a ZIP archive."),
        (b"MZ" + JPEG, "This is no photo."),
        (b"\xff\xd8", "This is no photo."),
    ],
)
async def test_what_is_no_photo_is_named(door: Door, body: bytes, says: str) -> None:
    for kind in ("image/jpeg", "image/png", "image/webp"):
        status, message = await door.refused(body, kind)
        assert status == 415
        assert message.startswith(says)
        assert (await door.refused(in_pieces(body, 3), kind)) == (status, message)


async def test_bytes_of_another_kind_than_they_are_said_to_be_are_refused(door: Door) -> None:
    files = {f"image/{kind.lower()}": written(picture(), kind) for kind in ("JPEG", "PNG", "WEBP")}
    for said in files:
        for kind, body in files.items():
            if said != kind:
                status, message = await door.refused(body, said)
                assert status == 400
                assert said in message
                assert kind in message


async def test_nothing_and_packed_bytes_are_refused(door: Door) -> None:
    assert (await door.refused(b""))[0] == 400
    assert (await door.refused(zlib.compress(JPEG), **{"content-encoding": "gzip"}))[0] == 415
    assert (await door.refused(JPEG, **{"x-hub-see-as": "public"}))[0] == 403


# -- sizes -------------------------------------------------------------------------------------------------------------


async def test_a_photo_has_so_many_bytes(door: Door) -> None:
    most = Photos().max_photo_bytes
    assert most == 10 * 1024 * 1024
    fits = JPEG.ljust(most, b"\0")
    assert (await door.send(fits)).status_code == 201
    assert (await door.send(in_pieces(fits))).status_code == 200
    for body in (fits + b"\0", JPEG.ljust(11 * 1024 * 1024, b"\0")):
        status, message = await door.refused(body)
        assert status == 413
        assert f"{most:,}" in message
        assert (await door.refused(in_pieces(body)))[0] == 413  # without a length in its head
        for length in ("5", "-1", "ten", "٣", "1e3"):
            said = [(b"content-length", length.encode()), (b"content-type", b"image/jpeg")]
            said.append((b"authorization", f"Bearer {door.token}".encode()))
            answer = await door.hub.http.post(door.url, content=in_pieces(body), headers=said)
            assert answer.status_code == 413, length


async def test_an_endless_body_is_not_read_to_its_end(door: Door) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        yield JPEG
        while True:
            read += 65536
            yield bytes(65536)

    assert (await door.refused(endless()))[0] == 413
    assert read <= 10 * 1024 * 1024 + 2 * 65536


async def test_nobody_fills_the_memory_with_halves(fresh_database: County, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.photos.door.MOST_HELD_BYTES", 3 * 1024 * 1024)
    async with opened(fresh_database) as door:
        taken, waiting = asyncio.Event(), asyncio.Event()

        async def half() -> AsyncIterator[bytes]:
            yield JPEG.ljust(2 * 1024 * 1024, b"\0")
            taken.set()
            await waiting.wait()

        first = asyncio.create_task(door.send(half()))
        await asyncio.wait_for(taken.wait(), 20)
        second = await door.send(JPEG.ljust(2 * 1024 * 1024, b"\1"))
        assert (second.status_code, second.headers["retry-after"]) == (503, "1")
        waiting.set()
        assert (await first).status_code == 201
        assert door.hub.app.state.photos.held == 0


async def test_a_slow_sender_is_let_go(fresh_database: County) -> None:
    async def drip(pause: float) -> AsyncIterator[bytes]:
        for at in range(0, len(JPEG), 100):
            yield JPEG[at : at + 100]
            await asyncio.sleep(pause)

    async with opened(fresh_database, Photos(upload_idle_seconds=0.2, upload_seconds=1)) as door:
        for pause in (5.0, 0.1):
            answer = await door.send(drip(pause))
            assert (answer.status_code, answer.headers["connection"]) == (408, "close")
        assert door.stored() == 0
        assert door.hub.app.state.photos.held == 0
        assert (await door.send(JPEG)).status_code == 201


# -- bombs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "height"), [(10_000, 10_000), (8000, 6251), (100_000_001, 1), (2**31 - 1, 2**31 - 1)]
)
async def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(door: Door, width: int, height: int) -> None:
    body = zeros(width, height) if width * height < 10**9 else with_size(zeros(8, 8), width, height)
    assert len(body) < 200_000
    status, message = await door.refused(body, "image/png")
    assert status == 400
    assert "over 50 megapixels" in message


def with_size(png: bytes, width: int, height: int) -> bytes:
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + png[24:29]
    return png[:8] + chunk(b"IHDR", head) + png[33:]


async def test_a_webp_that_says_it_is_huge_is_refused(door: Door) -> None:
    made = bytearray(written(picture(), "WEBP", icc_profile=profile()))
    assert made[12:16] == b"VP8X"
    made[24:30] = b"\xfe\x3f\x00\xfe\x3f\x00"
    status, message = await door.refused(bytes(made), "image/webp")
    assert status == 400
    assert "as WebP over 25" in message


async def test_fifty_megapixels_are_taken(door: Door) -> None:
    answer = await door.send(zeros(8000, 6250), "image/png")
    assert answer.status_code == 201
    assert (answer.json()["photo"]["width"], answer.json()["photo"]["height"]) == (2560, 2000)


@pytest.mark.parametrize(
    "bomb",
    [
        with_chunk(written(picture(), "PNG"), b"iCCP", b"icc\0\0" + zlib.compress(bytes(200_000_000), 9)),
        with_chunk(written(picture(), "PNG"), b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200_000_000), 9)),
        with_chunk(written(picture(), "PNG"), b"iTXt", b"C\0\1\0\0\0" + zlib.compress(bytes(200_000_000), 9)),
    ],
    ids=["iCCP", "zTXt", "iTXt"],
)
async def test_a_text_that_unpacks_to_much_is_refused(door: Door, bomb: bytes) -> None:
    assert len(bomb) < 1_000_000
    status, message = await door.refused(bomb, "image/png")
    assert status == 400
    assert message.startswith("The image ")


async def test_many_texts_at_once_are_refused(door: Door) -> None:
    body = written(picture(), "PNG")
    for number in range(100):
        body = with_chunk(body, b"zTXt", f"C{number}".encode() + b"\0\0" + zlib.compress(bytes(1_000_000), 9))
    assert (await door.refused(body, "image/png"))[0] == 400


async def test_what_takes_the_processor_for_long_is_ended(fresh_database: County) -> None:
    async with opened(fresh_database, Photos(photo_seconds=3)) as door:
        with no_child_left():
            status, message = await door.refused(endless_scans())
        # Where the machine is too busy to give it its share, the time on the clock ends first.
        assert (status, message[:20]) in ((400, "The image takes too "), (503, "The photo took over "))
        assert (await door.send(JPEG)).status_code == 201


async def test_what_hangs_is_ended_and_the_hub_goes_on(fresh_database: County, tmp_path: Path) -> None:
    numbers = tmp_path / "numbers"
    hangs = f"import os, time; open({str(numbers)!r}, 'a').write(f'{{os.getpid()}} '); time.sleep(600)"
    photos = Photos(photo_seconds=1, photo_wait_seconds=0.5)
    async with opened(fresh_database, photos) as door:
        desk = door.hub.app.state.photos
        whole, desk.developing = desk.developing, Developing(photos, (sys.executable, "-I", "-c", hangs))
        first, second = await asyncio.gather(door.send(JPEG), door.send(written(picture(), "PNG"), "image/png"))
        said = [answer.json()["errors"][0]["message"] for answer in (first, second)]
        assert [each for each in sorted(said) if each.startswith(("Many photos", "The photo took over 1 seconds"))] == (
            sorted(said)
        )
        for answer in (first, second):
            assert answer.status_code == 503
            assert answer.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
            assert answer.headers["retry-after"] == "1"
        begun = numbers.read_text().split()
        assert len(begun) == 1
        assert not alive(int(begun[0]))
        assert (await door.hub.ask("{ wards { totalCount } }"))["wards"]["totalCount"] == 35
        desk.developing = whole
        assert (await door.send(JPEG)).status_code == 201
        assert door.stored() == 1


async def test_a_darkroom_that_was_taken_over_gets_nothing_past_the_hub(fresh_database: County) -> None:
    """What it says is not believed: too much, too little, and what is no photo."""
    photos = Photos()
    page = b"<script>alert(1)</script>"
    head = f"struct.pack('<HHII', 8, 8, {len(page)}, {len(page)})"
    write = "import sys, struct; sys.stdout.buffer.write"
    async with opened(fresh_database) as door:
        desk = door.hub.app.state.photos
        for says in (
            f"{write}(b'\\1' + {head} + {page!r} * 2)",
            f"{write}(b'\\1' + {head} + {page!r})",
            f"{write}(bytes(40_000_000))",
            "raise SystemExit(1)",
            f"{write}(b'')",
        ):
            desk.developing = Developing(photos, (sys.executable, "-I", "-c", says))
            with no_child_left():
                status, message = await door.refused(JPEG)
            assert status == 500, (says, message)
            assert page.decode() not in message


@contextmanager
def kept(body: bytes) -> Iterator[IO[bytes]]:
    """A body as the door keeps it."""
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(body)
        yield file


def alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def no_child_left() -> Iterator[None]:
    def children() -> set[str]:
        return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())

    before = children()
    yield
    assert {number for number in children() - before if alive(int(number))} == set()


async def test_the_darkroom_knows_nothing_of_the_hub(fresh_database: County, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment, its open files and its folder, as it would tell whoever took it over."""
    monkeypatch.setenv("HUB_DATABASE_URL", f"postgresql://{SECRET}@db/hub")
    tells = "import os, sys; sys.stdout.write(repr((dict(os.environ), os.listdir('/proc/self/fd'), os.getcwd())))"
    developing = Developing(Photos(), (sys.executable, "-I", "-c", tells))
    with kept(JPEG) as file:
        status, told = await developing._run(Kind.JPEG, file)
    environment, files, folder = ast.literal_eval(told.decode())
    assert status == 0
    assert set(environment) <= {"LD_LIBRARY_PATH", "LC_CTYPE"}
    assert set(files) <= {"0", "1", "2", "3"}
    assert folder == "/"


# -- broken ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_a_file_that_ends_early_is_refused(door: Door, kind: str) -> None:
    whole = noise(200, kind)
    for tenth in range(1, 10):
        status, message = await door.refused(whole[: len(whole) * tenth // 10], f"image/{kind.lower()}")
        assert (status, message) == (400, "The image cannot be read: it ends early or is damaged.")


MAGIC = {
    "image/jpeg": b"\xff\xd8\xff",
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/webp": b"RIFF\x00\x10\x00\x00WEBP",
}
WHOLE = {f"image/{kind.lower()}": secretive(kind) for kind in ("JPEG", "PNG", "WEBP")}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(kind=st.sampled_from(sorted(MAGIC)), rest=st.binary(max_size=2000))
async def test_random_bytes_with_the_right_beginning_are_refused(door: Door, kind: str, rest: bytes) -> None:
    assert (await door.refused(MAGIC[kind] + rest, kind))[0] in (400, 415)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(kind=st.sampled_from(sorted(WHOLE)), data=st.data())
async def test_a_file_with_a_few_wrong_bytes_is_refused_or_gives_pixels_only(
    door: Door, kind: str, data: st.DataObject
) -> None:
    made = bytearray(WHOLE[kind])
    for at in data.draw(st.lists(st.integers(16, len(made) - 1), min_size=1, max_size=8)):
        made[at] = data.draw(st.integers(0, 255))
    developed, refusal = None, ""
    try:
        with kept(bytes(made)) as file:
            developed = await door.hub.app.state.photos.developing.develop(Kind(kind[6:]), file, "somebody")
    except BadUserInput as error:
        refusal = str(error)
    assert (developed is None) is refusal.startswith("The image ")
    if developed is not None:
        for each in (developed.image, developed.thumbnail):
            assert SECRET.encode() not in each
            Image.open(io.BytesIO(each)).load()


async def test_a_file_that_is_several_things_becomes_one(door: Door) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"{SECRET}.html", f"<script>{SECRET}</script>")
    inside = segment(0xFE, f"<!--{SECRET}--><html><script>alert('{SECRET}')</script>".encode())
    odd = written(picture(100, 60), "JPEG")
    body = odd[:2] + inside + odd[2:] + packed.getvalue()
    assert zipfile.is_zipfile(io.BytesIO(body))
    added = (await door.send(body)).json()["photo"]
    for url in (added["url"], added["thumbnailUrl"]):
        answer = await door.hub.http.get(url, headers={"authorization": f"Bearer {door.token}"})
        assert answer.status_code == 200
        assert not zipfile.is_zipfile(io.BytesIO(answer.content))
        for word in (SECRET.encode(), b"<script", b"PK\x05\x06"):
            assert word not in answer.content


async def test_only_the_first_picture_of_several_is_taken(door: Door) -> None:
    several = {
        "image/webp": written(picture(), "WEBP", save_all=True, append_images=[Image.new("RGB", (640, 480), "black")]),
        "image/png": written(picture(), "PNG", save_all=True, append_images=[Image.new("RGB", (640, 480), "black")]),
        "image/jpeg": written(picture(), "MPO", save_all=True, append_images=[Image.new("RGB", (64, 48), "black")]),
    }
    for kind, body in several.items():
        answer = await door.send(body, kind)
        assert answer.status_code == 201, (kind, answer.text)
        shown = await door.hub.http.get(
            answer.json()["photo"]["url"], headers={"authorization": f"Bearer {door.token}"}
        )
        pixel = Image.open(io.BytesIO(shown.content)).getpixel((10, 10))
        assert isinstance(pixel, tuple)
        assert pixel[0] > 200 > 50 > pixel[1]


# -- who ---------------------------------------------------------------------------------------------------------------


async def test_who_has_not_signed_in_adds_nothing(door: Door) -> None:
    read = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield JPEG

    before = door.stored()
    for headers in ({}, {"authorization": "Bearer no"}, {"authorization": "Basic no"}, {"x-hub": "1"}):
        answer = await door.hub.http.post(door.url, content=body(), headers={"content-type": "image/jpeg", **headers})
        assert answer.status_code == 401
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    for path in (
        "/incidents/no-id/photos",
        f"/incidents/{{{door.incident}}}/photos",
        f"/incidents/urn:uuid:{door.incident}/photos",
        "/incidents/01900000-0000-7000-8000-000000000000/photos",
    ):
        shown = {"authorization": f"Bearer {door.token}", "content-type": "image/jpeg"}
        answer = await door.hub.http.post(path, content=body(), headers=shown)
        assert answer.status_code == 404
    assert not read
    assert door.stored() == before


async def test_another_site_stores_nothing(door: Door) -> None:
    """What a foreign page can make a browser send along with our cookie."""
    cookie = f"__Host-hub={door.token}"
    before = door.stored()
    for site in ("cross-site", "same-site", "none", None):
        for kind in (
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "image/jpeg",
        ):
            headers = {"cookie": cookie, "content-type": kind, "origin": "https://evil.example"}
            headers |= {"sec-fetch-site": site, "sec-fetch-mode": "no-cors"} if site else {}
            answer = await door.hub.http.post(door.url, content=JPEG, headers=headers)
            assert answer.status_code == (401 if kind == "image/jpeg" else 415)
            assert "access-control-allow-origin" not in answer.headers
    asked = {"cookie": cookie, "origin": "https://evil.example", "access-control-request-method": "POST"}
    assert (await door.hub.http.options(door.url, headers=asked)).status_code == 405
    assert door.stored() == before
    own = {"cookie": cookie, "content-type": "image/png", "sec-fetch-site": "same-origin"}
    assert (await door.hub.http.post(door.url, content=noise(20), headers=own)).status_code == 201


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
async def test_photos_come_by_no_other_method(door: Door, method: str) -> None:
    shown = {"authorization": f"Bearer {door.token}", "content-type": "image/jpeg"}
    assert (await door.hub.http.request(method, door.url, content=JPEG, headers=shown)).status_code == 405
    if method not in ("GET", "HEAD"):
        assert (await door.hub.http.request(method, f"/photos/{door.incident}", headers=shown)).status_code == 405


@pytest.mark.parametrize("name", ["no-id", "..%2f..%2fetc", "%00", "{}", "' or true --", "1", "x" * 5000, "*"])
async def test_a_photo_that_cannot_be_is_not_there(door: Door, name: str) -> None:
    for path in (f"/photos/{name}", f"/photos/{name}/thumbnail"):
        answer = await door.hub.http.get(path, headers={"authorization": f"Bearer {door.token}"})
        assert answer.status_code == 404


async def test_ten_thousand_ranges_are_the_whole_photo_once(door: Door) -> None:
    added = (await door.send(noise(50), "image/png")).json()["photo"]
    ranges = "bytes=" + ",".join(f"{at}-{at}" for at in range(10_000))
    shown = {"authorization": f"Bearer {door.token}"}
    whole = await door.hub.http.get(added["url"], headers=shown)
    answer = await door.hub.http.get(added["url"], headers={**shown, "range": ranges})
    assert (answer.status_code, answer.content) == (200, whole.content)


async def test_what_went_wrong_leaves_no_word_of_the_file_in_the_log(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)  # as the hub logs, whatever a test before this one has set
    await door.refused(secretive("JPEG")[:700])
    await door.refused(MAGIC["image/png"] + SECRET.encode(), "image/png")
    assert SECRET not in caplog.text


async def test_after_everything_the_rows_are_what_their_entries_say(door: Door) -> None:
    with psycopg.connect(door.county.owner_url) as owner:
        assert owner.execute("select differences('photos')").fetchall() == []
