"""The demonstration county: it opens by itself, says what it is, can be steered, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.async_api import expect

from hub.demonstration.seeding import ACCOUNTS, BEATS, seed, state
from tests.commands import Process, hub, new_home
from tests.conftest import County, copied, running
from tests.hub.test_patrols import went
from tests.sockets import serving

X_HUB = {"x-hub": "1"}


@pytest.fixture
def demonstrated(cluster: Any, template: str, tmp_path: Path) -> Iterator[County]:
    with copied(cluster, template) as county:
        assert state(county.owner_url, tmp_path) == "nothing"
        seed(county.owner_url, county.login_url, tmp_path)
        assert state(county.owner_url, tmp_path) == "all"
        assert state(county.owner_url, tmp_path / "elsewhere") == "half"
        yield county


async def test_where_the_county_works_there_is_no_demonstration_and_nobody_gets_in_by_it(database: County) -> None:
    async with running(database.login_url) as hub_:
        assert (await hub_.http.get("/demonstration")).json() == {"demonstration": None}
        for path, given in (
            ("/demonstration", {"paused": True}),
            ("/demonstration", {"script": "flood-night"}),
            ("/demonstration/sign-in", {"role": "administrator"}),
        ):
            answer = await hub_.http.post(path, json=given, headers=X_HUB)
            assert answer.status_code == 404
            assert "set-cookie" not in answer.headers


async def test_one_looks_on_as_somebody_without_a_password(demonstrated: County) -> None:
    async with running(demonstrated.login_url) as hub_:
        told = (await hub_.http.get("/demonstration")).json()["demonstration"]
        assert told["roles"] == [role for role, _ in ACCOUNTS]
        # Another site can neither sign a browser in nor steer.
        for path in ("/demonstration", "/demonstration/sign-in"):
            assert (await hub_.http.post(path, json={"role": "planner"})).status_code == 403
        for role, name in ACCOUNTS:
            answer = await hub_.http.post("/demonstration/sign-in", json={"role": role}, headers=X_HUB)
            token = answer.headers["set-cookie"].partition("=")[2].partition(";")[0]
            me = await hub_.ask("{ me { displayName roles } }", token=token)
            assert me["me"]["displayName"] == name
            assert role.upper() in [str(each).upper() for each in me["me"]["roles"]]
        for wrong in ({"role": "public"}, {"role": None}, {}, [], {"role": "administrator' or 1=1"}):
            answer = await hub_.http.post("/demonstration/sign-in", json=wrong, headers=X_HUB)
            assert answer.status_code == 400, wrong


async def test_the_play_stands_still_when_somebody_says_so(demonstrated: County) -> None:
    async with running(demonstrated.login_url) as hub_:

        async def steer(given: Any) -> int:
            return (await hub_.http.post("/demonstration", json=given, headers=X_HUB)).status_code

        assert await steer({"paused": True}) == 200
        assert (await hub_.http.get("/demonstration")).json()["demonstration"]["paused"] is True
        assert await steer({"script": "ordinary-day"}) == 200  # which goes on, too
        assert (await hub_.http.get("/demonstration")).json()["demonstration"]["paused"] is False
        for wrong in ({}, {"paused": "yes"}, {"script": "the end"}, {"paused": True, "more": 1}, [True], "x" * 20_000):
            assert await steer(wrong) == 400, wrong


def test_everything_in_it_says_that_it_is_made_up(demonstrated: County) -> None:
    with psycopg.connect(demonstrated.owner_url) as connection:
        for question in (
            "select plate from vehicles",
            "select name from units",
            "select name from beats",
            "select display_name from people",
        ):
            words = [word for (word,) in connection.execute(question.encode())]
            assert words
            assert all(word.startswith("DEMO") for word in words), words
        assert connection.execute("select count(*) from beats").fetchone() == (len(BEATS),)
        # On land: no street of a beat is in the lake.
        assert connection.execute(
            "select count(*) from beats b "
            "join waters w on st_length(st_intersection(b.line, w.boundary)::geography) > 300"
        ).fetchone() == (0,)


def test_a_new_hub_opens_in_it_and_clearing_leaves_the_county_alone() -> None:
    home = new_home()
    settings = {"HUB_HOME": str(home), "HUB_DEMONSTRATION": "1"}
    try:
        with Process("up", **settings) as process:
            address = process.address()
            assert process.says("DEMONSTRATION DATA")
            curl = process.says("  curl ")
            first = re.search(r'"(http[^"]+)"', curl)
            assert first is not None
            assert not any("one-time" in line or "administrator" in line for line in process.lines)
            with urllib.request.urlopen(first[1], timeout=10) as answer:
                assert answer.status == 200
            assert hub("seed", "--clear", **settings).returncode == 1  # not while it runs
            deadline = time.monotonic() + 30
            while True:
                with urllib.request.urlopen(f"{address}/demonstration", timeout=10) as answer:
                    told = json.load(answer)["demonstration"]
                if told["script"] and told["time"] != "19:00":
                    break
                assert time.monotonic() < deadline, told
                time.sleep(0.3)
            assert told["script"] == "flood-night"
            listed = hub("user", "list", **settings).stdout
            assert "enforcement_supervisor" in listed
            process.end()
        assert hub("seed", "--clear", **settings).stdout.endswith("`hub up` opens the county.\n")
        assert not (home / "demonstration").exists()
        with Process("up", **settings) as process:
            address = process.address()
            assert process.says("Nobody administers this hub yet.")
            with urllib.request.urlopen(f"{address}/demonstration", timeout=10) as answer:
                assert json.load(answer) == {"demonstration": None}
            process.end()
    finally:
        shutil.rmtree(home.parent)


def test_a_database_of_ones_own_is_never_made_into_one() -> None:
    refused = hub("seed", HUB_DATABASE_URL="postgresql://hub_login@127.0.0.1/hub")
    assert refused.returncode == 1
    assert "HUB_DATABASE_URL is set" in refused.stderr


async def test_with_the_database_stopped_it_says_later(demonstrated: County, cluster: Any) -> None:
    async with running("postgresql://hub_login@/nothing?host=%2Fnowhere&port=7432") as hub_:
        for answer in (
            await hub_.http.get("/demonstration"),
            await hub_.http.post("/demonstration", json={"paused": True}, headers=X_HUB),
            await hub_.http.post("/demonstration/sign-in", json={"role": "planner"}, headers=X_HUB),
        ):
            assert answer.status_code == 503, answer.text
            assert answer.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"


@pytest.mark.browser
async def test_the_bar_says_what_it_is_and_signs_somebody_in(demonstrated: County, browser: Any) -> None:
    """In a telephone's browser: whom to look on as is there without sliding; pausing is said by the button."""
    with psycopg.connect(demonstrated.owner_url) as connection:
        connection.execute(
            "update demonstrations set script = 'flood-night', title = 'Night', time_of_day = '20:31', "
            "caption = 'The river rises <b>fast</b>.'"
        )
    async with serving(demonstrated.login_url) as hub_:
        page = await browser.new_page(viewport={"width": 390, "height": 844})
        try:
            await page.goto(hub_.address)
            bar = page.locator("#demonstration")
            await expect(bar).to_contain_text("DEMONSTRATION DATA")
            await expect(bar).to_contain_text("20:31The river rises <b>fast</b>.")
            role = page.locator("#demonstration-role")
            box = await role.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= 390
            await page.get_by_role("button", name="Pause").click()
            await expect(page.get_by_role("button", name="Go on")).to_be_visible()
            await role.select_option("fleet_manager")
            await expect(page.locator("#account")).to_contain_text("DEMO Fleet manager")
            await expect(page.locator("#map")).to_have_attribute("data-vehicles", "0")
        finally:
            await page.close()


@pytest.mark.browser
async def test_where_the_county_works_there_is_no_bar(database: County, browser: Any) -> None:
    async with serving(database.login_url) as hub_:
        page = await browser.new_page()
        try:
            await page.goto(hub_.address)
            await expect(page.locator("#units-count")).to_contain_text("35 wards")
            await expect(page.locator("#demonstration")).to_be_hidden()
        finally:
            await page.close()


@pytest.mark.browser
async def test_a_card_says_what_the_patrol_covered_and_the_map_draws_it(demonstrated: County, browser: Any) -> None:
    began = datetime.now(UTC) - timedelta(minutes=10)
    with psycopg.connect(demonstrated.owner_url) as connection:
        connection.execute("set role hub_owner")
        (patrol, device) = connection.execute(
            "insert into patrols (unit_id, beat_id, vehicle_id, planned_start, planned_end) "
            "select u.id, b.id, v.id, now(), now() + interval '1 hour' from units u, beats b, vehicles v "
            "where u.call_sign = 'Doria 1' and b.name = 'DEMO Kisumu to Dunga beach' and v.plate = 'DEMO 010' "
            "returning id, (select d.id from devices d where d.vehicle_id = patrols.vehicle_id)"
        ).fetchone() or (None, None)
        connection.execute("update patrols set status = 'under_way', started_at = %s where id = %s", (began, patrol))
        line = connection.execute(
            "select st_x(p), st_y(p) from patrols, lateral (select (st_dumppoints(route)).geom as p) d "
            "where patrols.id = %s limit 4",
            (patrol,),
        ).fetchall()
    went(
        demonstrated,
        str(device),
        [(began + timedelta(minutes=at), *place) for at, place in enumerate(line, 1)],
    )
    async with serving(demonstrated.login_url) as hub_:
        page = await browser.new_page()
        try:
            await page.goto(f"{hub_.address}/#vehicle=DEMO%20010")
            await page.locator("#demonstration-role").select_option("enforcement_supervisor")
            await expect(page.locator("#map")).to_have_attribute("data-patrols", "1", timeout=20_000)
            card = page.locator(".patrol")
            await expect(card).to_contain_text("On patrol PAT-")
            await expect(card).to_contain_text(re.compile(r"[0-9.]+ km of [0-9.]+ km covered \([1-9][0-9]* %\)"))
            # And in the list, which can be narrowed, and leads back to the vehicle.
            await page.locator("#patrols summary").click()
            row = page.locator(f"[data-patrol='{patrol}']")
            await expect(row).to_contain_text("DEMO Kisumu to Dunga beach")
            await expect(row).to_contain_text("% covered")
            await page.locator("[data-patrols=status]").select_option("CANCELLED")
            await expect(page.locator("#patrols")).to_contain_text("No patrol fits this filter.")
            await expect(page.locator("#map")).to_have_attribute("data-patrols", "0")
            await page.locator("[data-patrols=status]").select_option("UNDER_WAY")
            await expect(page.locator("#map")).to_have_attribute("data-patrols", "1")
            await row.locator(".patrol-row").click()
            await expect(row.locator(".patrol")).to_contain_text("On patrol PAT-")
            if shots := os.environ.get("VEHICLE_SHOTS"):
                await page.wait_for_timeout(1200)
                await page.screenshot(path=Path(shots) / "patrols.png")
            await row.get_by_text("Open DEMO 010").click()
            await expect(page.locator("#card-name")).to_be_visible()
        finally:
            await page.close()
