"""Maps that a planner makes and hands on: right without internet, with the classes and the year said."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import folium
import pandas
import psycopg
import pytest
from playwright.async_api import Browser, Page

from hub.client import BadUserInput, Hub
from hub.client.maps import LEAFLET, NoLocalCopy, OfflineMap
from tests.conftest import PASSWORD
from tests.hub.test_client import served  # noqa: F401
from tests.hub.test_incidents_page import Served

CANARY = '</script><img src=x onerror="window.stolen = 1">'
SHOTS = os.environ.get("MAP_SHOTS")


@pytest.fixture
def hub(served: Served) -> Iterator[Hub]:  # noqa: F811
    with psycopg.connect(served.county.owner_url) as connection:
        connection.execute("set role hub_owner")
        connection.execute("update incidents set title = %s where title = 'Number 7'", (CANARY,))
    with Hub.sign_in(served.address, "coordinator", PASSWORD) as made:
        yield made


async def opened(browser: Browser, path: Path, asked: list[str]) -> Page:
    """A file in a browser that reaches nothing else."""
    page = await browser.new_page()

    async def refuse(route: Any) -> None:
        asked.append(route.request.url)
        await route.abort()

    await page.route(lambda url: not url.startswith("file:"), refuse)
    await page.goto(path.as_uri())
    await page.wait_for_function("document.querySelector('.leaflet-container') !== null")
    return page


@pytest.mark.browser
async def test_a_map_is_one_file_that_asks_for_nothing(hub: Hub, browser: Browser, tmp_path: Path) -> None:
    frame = hub.incidents(kind="FIRE")
    path = hub.map(frame, tooltip=["reference", "title", "place"]).save(tmp_path / "map.html")
    asked: list[str] = []
    page = await opened(browser, path, asked)
    try:
        assert asked == []
        # Sixty fires and 35 wards: drawn on a canvas, so that the map's own layers are counted.
        counted = await page.evaluate(
            "() => { const map = Object.values(window).find((each) => each instanceof L.Map);"
            " let points = 0, areas = 0; map.eachLayer((layer) => { if (layer instanceof L.CircleMarker) points++;"
            " else if (layer instanceof L.Polygon) areas++; }); return [points, areas]; }"
        )
        assert counted == [60, 35]
        # What a reporter wrote is text, also when it is shown.
        await page.wait_for_timeout(500)  # until it stands still
        x, y = await page.evaluate(
            "() => { const map = Object.values(window).find((each) => each instanceof L.Map); let at;"
            " map.eachLayer((layer) => { if (layer.feature?.properties?.title?.includes('onerror'))"
            " at = map.latLngToContainerPoint(layer.getLatLng()); }); return [at.x, at.y]; }"
        )
        for step in range(8):  # the canvas looks at the pointer every so often only
            await page.mouse.move(x - 1 + step / 4, y)
            await page.wait_for_timeout(50)
        if SHOTS:
            await page.screenshot(path=Path(SHOTS) / "fires.png")
        assert CANARY in await page.inner_text(".leaflet-tooltip", timeout=3000)
        await page.wait_for_timeout(300)
        assert await page.evaluate("window.stolen") is None
        assert CANARY not in path.read_text()
    finally:
        await page.close()


@pytest.mark.browser
async def test_wards_are_coloured_by_classes_and_the_year_is_said(hub: Hub, browser: Browser, tmp_path: Path) -> None:
    counts = hub.incidents().groupby("ward_code").size()
    rates = hub.rates(counts, per="people")
    assert rates.attrs["per"] == "per 10,000 people (2009)"
    some = rates[rates["count"] > 0].iloc[0]
    assert some["rate"] == pytest.approx(some["count"] / some["population"] * 10_000)
    assert (len(rates), int(rates["count"].sum())) == (35, int(counts.sum()))
    made = hub.choropleth(rates, "rate", title=f"Incidents {rates.attrs['per']} <b>")
    path = made.save(tmp_path / "rates.html")
    asked: list[str] = []
    page = await opened(browser, path, asked)
    try:
        assert asked == []
        body = await page.inner_text("body")
        assert "Incidents per 10,000 people (2009) <b>" in body
        assert "(3" in body  # most wards had none, and the legend says how many
        if SHOTS:
            await page.screenshot(path=Path(SHOTS) / "rates.png")
    finally:
        await page.close()
    land = hub.rates(counts, per="km2")
    assert (land["rate"] * land["area_km2"]).round().astype(int).tolist() == land["count"].tolist()
    none = hub.choropleth(pandas.DataFrame({"ward_code": ["1208"], "rate": [None]}), "rate", title="Nothing")
    assert "no value" in none.page


def test_what_has_no_local_copy_is_refused(hub: Hub) -> None:
    made = hub.map(hub.incidents(first=1))
    from folium.plugins import HeatMap

    HeatMap([[-0.1, 34.7]]).add_to(made.folium)
    with pytest.raises(NoLocalCopy, match="the hub has no copy"):
        assert made.page
    plain = folium.Map()  # with tiles of somebody else's
    with pytest.raises(NoLocalCopy):
        assert OfflineMap(plain, hub).page
    with pytest.raises(NoLocalCopy):
        assert OfflineMap(plain, hub)._repr_html_()


def test_what_is_asked_wrongly_is_named(hub: Hub) -> None:
    frame = hub.incidents(first=3)
    with pytest.raises(BadUserInput, match="takes a GeoDataFrame"):
        hub.map(pandas.DataFrame({"a": [1]}))
    with pytest.raises(BadUserInput, match="none of this name"):
        hub.choropleth(frame, "rate", title="Rates")
    with pytest.raises(BadUserInput, match="send one of NaturalBreaks"):
        hub.choropleth(frame, "id", title="Rates", scheme="Rainbow")
    with pytest.raises(BadUserInput, match="'km2' or 'people'"):
        hub.rates(pandas.Series(dtype=int), per="cow")
    with pytest.raises(BadUserInput, match="no ward's code"):
        hub.rates(pandas.Series([1], index=["Ahero"]))
    assert "leaflet" in hub.map(hub.incidents(title="nothing is called this"))._repr_html_()


def test_the_live_map_moves_as_vehicles_do(hub: Hub, served: Served) -> None:  # noqa: F811
    made = hub.live_map()
    try:
        assert set(made.vehicles) == {"KDA 123B", "KDB 456C"}
        late = {"recordedAt": "2026-03-01T00:00:00Z", "location": {"coordinates": [34.7, -0.1]}, "doubts": []}
        vehicle = {"plate": "KDA 123B", "callSign": "Lima 2", "status": "ASSIGNED"}
        before = made.vehicles["KDA 123B"]
        made._take([{**late, "vehicle": vehicle}])
        assert made.vehicles["KDA 123B"] == before
        made._take([{**late, "recordedAt": "2026-04-01T00:00:00Z", "vehicle": vehicle}])
        assert (made.vehicles["KDA 123B"]["lon"], made.vehicles["KDA 123B"]["status"]) == (34.7, "ASSIGNED")
    finally:
        made.close()


def test_the_client_and_the_page_have_one_leaflet() -> None:
    package = json.loads((Path(__file__).parents[2] / "hub/web/package.json").read_text())
    assert package["dependencies"]["leaflet"] == LEAFLET
