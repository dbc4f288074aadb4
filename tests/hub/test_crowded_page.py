"""More incidents and vehicles than a page should hold: the map draws the hub's tiles, and leaves nothing out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.async_api import Page, expect

from tests.conftest import County, make_person
from tests.hub.test_incidents_page import Enter, Served, enter  # noqa: F401

MANY = 4_300
SEEN = "layers => document.getElementById('map').seen(layers)"
HELD = "name => document.getElementById('map').held(name)"


@pytest.fixture(scope="module")
def county(copies: Callable[[], AbstractContextManager[County]]) -> Iterator[County]:
    with copies() as made:
        make_person(made, "akinyi", "dispatcher", display="Akinyi Odhiambo")
        with psycopg.connect(made.owner_url) as connection:
            connection.execute("set role hub_owner")
            connection.execute("select setseed(0.5)")
            connection.execute(
                "insert into incidents (kind, title, severity, certainty, urgency, location, occurred_at, source) "
                "select 'flood', 'Flood ' || n, 'moderate', 'observed', 'immediate', "
                "st_setsrid(st_point(34.6 + random() * 0.4, -0.2 + random() * 0.15), 4326), now(), 'phone' "
                "from generate_series(1, %s) n",
                (MANY,),
            )
            connection.execute(
                "with v as (insert into vehicles (plate, kind) select 'KTX ' || n, 'truck' "
                "from generate_series(1, %s) n returning id), "
                "d as (insert into devices (vehicle_id, label) select id, 'tracker' from v returning id) "
                "select take_fixes(array_agg(id), array_agg(extract(epoch from now())), "
                "array_agg(34.6 + random() * 0.4), "
                "array_agg(-0.2 + random() * 0.15), array_agg(null::real), array_agg(null::real), "
                "array_agg(null::real), array_agg(null::real), array_agg(null::real), array_agg(''::text), "
                "array_agg(null::jsonb)) from d",
                (MANY,),
            )
        yield made


@pytest.fixture(scope="module")
def served(county: County) -> Iterator[Served]:
    hub = Served(county)
    hub.start()
    yield hub
    hub.end()


@pytest.fixture(scope="module")
def hub_url(served: Served) -> str:
    return served.address


async def shown(page: Page, *layers: str) -> int:
    """How many stand on the screen, one by one or counted."""
    return sum(each["count"] for each in await page.evaluate(SEEN, layers))


@pytest.mark.browser
async def test_thousands_are_drawn_from_tiles_and_none_is_left_out(enter: Enter) -> None:  # noqa: F811
    page = await enter("akinyi", "/#view=10/-0.13/34.8")
    stage = page.locator("#map")
    await expect(stage).to_have_attribute("data-tiled", "incidents vehicles", timeout=20_000)
    await expect(page.locator("#open-count")).to_have_text("4,300")
    await expect(page.locator("#incidents-list")).to_contain_text("300 more are open")
    await expect(page.locator("#fleet summary")).to_have_text("Vehicles over 4,000")
    assert await shown(page, "incident-tiles", "incident-tile-heaps") == MANY
    assert await shown(page, "vehicle-tiles", "vehicle-tile-heaps") == MANY
    if shots := os.environ.get("VEHICLE_SHOTS"):
        await page.screenshot(path=Path(shots) / "crowded.png")
    # A filter looks among what is listed: the page draws those itself.
    await page.locator(".filters summary").click()
    await page.locator("[data-filter=severity]").select_option("MODERATE")
    await expect(stage).to_have_attribute("data-tiled", "vehicles")
    await expect(page.locator("#incidents-list")).to_contain_text("This filter looks among the newest")
    await page.locator("#fleet summary").click()
    await page.locator("[data-vehicles=status]").select_option("ASSIGNED")
    await expect(stage).to_have_attribute("data-tiled", "")
    assert len((await page.evaluate(HELD, "vehicles"))["features"]) == 0


@pytest.mark.browser
async def test_what_is_only_on_a_tile_opens_all_the_same(enter: Enter, county: County) -> None:  # noqa: F811
    with psycopg.connect(county.owner_url) as connection:
        connection.execute("set role hub_owner")
        # The oldest report is the last of the list, and beyond it.
        (reference, lon, lat) = connection.execute(
            "select reference, st_x(location), st_y(location) from incidents order by reported_at, id limit 1"
        ).fetchone() or ("", 0, 0)
        (plate, x, y) = connection.execute(
            "select v.plate, st_x(p.location), st_y(p.location) from vehicles v "
            "join latest_positions p on p.vehicle_id = v.id order by v.plate desc limit 1"
        ).fetchone() or ("", 0, 0)
    for at, opened in (((lon, lat), f"incident={reference}"), ((x, y), f"vehicle={plate.replace(' ', '%20')}")):
        page = await enter("akinyi", f"/#view=18/{at[1]}/{at[0]}")
        await expect(page.locator("#map")).to_have_attribute("data-tiled", "incidents vehicles", timeout=20_000)
        await page.evaluate(SEEN, ["incident-tiles", "vehicle-tiles"])
        await page.locator("#map canvas").focus()
        await page.keyboard.press("Enter")
        await page.wait_for_function("what => decodeURI(location.hash).includes(decodeURI(what))", arg=opened)


def test_the_fixture_has_what_it_says(county: County) -> None:
    with psycopg.connect(county.owner_url) as connection:
        counted: Any = connection.execute(
            "select (select count(*) from incidents), (select count(*) from latest_positions)"
        ).fetchone()
    assert counted == (MANY, MANY)
