"""Vehicles on the operations map: devices that send over HTTP, and pages in a real browser that follow them."""

# ruff: noqa: F811 - the fixture `enter` comes from the incidents' tests

from __future__ import annotations

import asyncio
import json
import os
import re
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.conftest import PASSWORD, SIGN_IN, County, make_person
from tests.hub.test_incidents_page import Enter, Served, Teller, click_the_map, enter  # noqa: F401

ADD = "mutation ($input: AddVehicleInput!) { addVehicle(input: $input) { vehicle { id plate } } }"
REGISTER = "mutation ($input: RegisterDeviceInput!) { registerDevice(input: $input) { key } }"

AHERO = (34.9192, -0.1738)
HELD = "name => document.getElementById('map').held(name)"
SHOTS = os.environ.get("VEHICLE_SHOTS")


@pytest.fixture(scope="module")
def county(copies: Callable[[], AbstractContextManager[County]]) -> Iterator[County]:
    with copies() as made:
        make_person(made, "akinyi", "dispatcher", display="Akinyi Odhiambo")
        make_person(made, "achieng", "fleet_manager", display="Achieng Ouma")
        make_person(made, "wanjiru", "ward_administrator", areas=("1208",), display="Wanjiru Njoroge")
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


class Vehicle:
    """A vehicle with a tracker in it."""

    def __init__(self, http: httpx.AsyncClient, id: str, plate: str, key: str) -> None:
        self.http, self.id, self.plate, self.key = http, id, plate, key

    async def is_at(self, lon: float, lat: float, *, ago: float = 0, **more: Any) -> None:
        told = {"id": self.key, "lat": lat, "lon": lon, "timestamp": round(time.time() - ago, 3), **more}
        answer = await self.http.get("/intake/osmand", params=told)
        assert answer.status_code == 200, answer.text


class Fleet:
    """Whoever keeps the vehicles."""

    def __init__(self, teller: Teller) -> None:
        self.teller = teller

    async def add(self, plate: str, kind: str = "AMBULANCE", **more: Any) -> Vehicle:
        made = (await self.teller.ask(ADD, input={"plate": plate, "kind": kind, **more}))["addVehicle"]["vehicle"]
        told = await self.teller.ask(REGISTER, input={"vehicle": made["id"], "label": f"Tracker of {plate}"})
        return Vehicle(self.teller.http, made["id"], plate, told["registerDevice"]["key"])


@pytest.fixture
async def fleet(hub_url: str) -> AsyncIterator[Fleet]:
    async with httpx.AsyncClient(base_url=hub_url) as http:
        told = {"query": SIGN_IN, "variables": {"input": {"name": "achieng", "password": PASSWORD}}}
        token = (await http.post("/graphql", json=told)).json()["data"]["signIn"]["token"]
    teller = Teller(hub_url, token)
    yield Fleet(teller)
    await teller.http.aclose()


async def on_map(page: Page, vehicle: Vehicle) -> dict[str, Any] | None:
    """What the map's source holds of a vehicle."""
    data = await page.evaluate(HELD, "vehicles")
    found = [each for each in (data or {"features": []})["features"] if each["properties"]["id"] == vehicle.id]
    assert len(found) <= 1
    return found[0] if found else None


async def until_at(page: Page, vehicle: Vehicle, lon: float, lat: float, seconds: float = 10) -> float:
    """The seconds until the map has it there."""
    begun = time.monotonic()
    while True:
        shown = await on_map(page, vehicle)
        if shown and shown["geometry"]["coordinates"] == pytest.approx([lon, lat], abs=1e-6):
            return time.monotonic() - begun
        assert time.monotonic() - begun < seconds, shown
        await asyncio.sleep(0.02)


async def picture(page: Page, name: str) -> None:
    if SHOTS:
        await page.wait_for_timeout(600)
        await page.screenshot(path=Path(SHOTS) / f"{name}.png")


@pytest.mark.browser
async def test_a_fix_moves_the_vehicle_at_once_and_a_late_one_does_not(enter: Enter, fleet: Fleet) -> None:
    ambulance = await fleet.add("KBX 101A", callSign="Ambulance 1", department="Health")
    await ambulance.is_at(*AHERO, ago=120, bearing=90, speed=20)
    page = await enter("akinyi", f"/#view=13/{AHERO[1]}/{AHERO[0]}")
    await until_at(page, ambulance, *AHERO)
    shown = await on_map(page, ambulance)
    assert shown
    assert shown["properties"]["icon"] == "vehicle AMBULANCE AVAILABLE"
    assert shown["properties"]["name"] == "Ambulance 1"
    assert shown["properties"]["heading"] == 90
    took = []
    for step in range(1, 6):
        to = (AHERO[0] + step * 0.002, AHERO[1])
        await ambulance.is_at(*to, ago=60 - step, bearing=90, speed=20)
        took.append(await until_at(page, ambulance, *to))
    print(
        f"\nfrom the fix's answer to the map's source: median {statistics.median(took):.3f} s, worst {max(took):.3f} s"
    )
    assert max(took) < 1
    # What comes late, out of a hole in the network, is part of the track, and moves nothing.
    await ambulance.is_at(AHERO[0], AHERO[1] + 0.01, ago=90)
    other = await fleet.add("KBX 102B", "PATROL_CAR")
    await other.is_at(AHERO[0], AHERO[1] - 0.004)
    # A vehicle that is new to the page comes with its first fix.
    await until_at(page, other, AHERO[0], AHERO[1] - 0.004)
    await until_at(page, ambulance, *to, seconds=0.1)


@pytest.mark.browser
async def test_the_card_says_what_it_is_and_how_old_and_the_map_follows(enter: Enter, fleet: Fleet) -> None:
    engine = await fleet.add("KBX 201C", "FIRE_ENGINE", callSign="<b>Simba</b>", department="Fire & rescue")
    start = (34.75, -0.1)
    for step in range(4):
        await engine.is_at(
            start[0] + step * 0.004,
            start[1] + (step % 2) * 0.003,
            ago=50 - step * 10,
            bearing=45,
            speed=27,
            batt=80,
            accuracy=6,
        )
    page = await enter("akinyi", "/#vehicle=KBX%20201C")
    card = page.locator("#card")
    await expect(page.locator("#card-name")).to_have_text("<b>Simba</b>")
    for words in (
        "KBX 201C",
        "Fire engine",
        "Available",
        "Fire & rescue",
        "50 km/h",
        "north-east (45°)",
        "80 %",
        "within 6 m",
    ):
        await expect(card).to_contain_text(words)
    await expect(card.locator(".heard")).to_have_text("Last heard of just now")
    await expect(card.locator(".place a")).to_be_visible()
    await expect(page.locator("#map")).to_have_attribute("data-track", re.compile(r"^[2-9]$"))
    line = await page.evaluate(HELD, "vehicle-track")
    assert line["features"][0]["geometry"]["coordinates"][0] == pytest.approx(start, abs=1e-4)
    await picture(page, "card")
    follow = card.get_by_role("button", name="Follow")
    await follow.focus()
    await page.keyboard.press("Enter")
    await expect(follow).to_have_attribute("aria-pressed", "true")
    to = (34.83, -0.13)
    await engine.is_at(*to, bearing=120, speed=30)
    await until_at(page, engine, *to)
    await expect(page).to_have_url(re.compile(r"view=[\d.]+/-0\.1\d+/34\.8\d"))
    line = await page.evaluate(HELD, "vehicle-track")
    assert line["features"][0]["geometry"]["coordinates"][-1] == pytest.approx(to, abs=1e-4)
    # A hand on the map ends it.
    box = await page.locator("#map").bounding_box()
    assert box
    await page.mouse.move(box["x"] + 300, box["y"] + 500)
    await page.mouse.down()
    for step in range(1, 5):
        await page.mouse.move(box["x"] + 300 + step * 20, box["y"] + 500 + step * 10)
        await page.wait_for_timeout(100)
    await page.mouse.up()
    await expect(follow).to_have_attribute("aria-pressed", "false")
    await page.keyboard.press("Escape")
    await expect(card).to_be_hidden()
    assert (await page.evaluate(HELD, "vehicle-track"))["features"] == []
    # By a click on its mark, which comes to the middle.
    await page.goto(page.url.partition("#")[0] + f"#view=14/{to[1]}/{to[0]}")
    await page.wait_for_timeout(800)
    await page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await expect(page.locator("#card-name")).to_have_text("<b>Simba</b>")
    await expect(page).to_have_url(re.compile("vehicle=KBX%20201C"))


@pytest.mark.browser
async def test_an_old_position_is_faded_and_said_and_the_filter_hides(enter: Enter, fleet: Fleet) -> None:
    boat = await fleet.add("KSM 301", "RESCUE_BOAT")
    await boat.is_at(34.7, -0.14, ago=23 * 60 + 5)
    page = await enter("akinyi", "/#vehicle=KSM%20301")
    await expect(page.locator(".heard")).to_have_text("Last heard of 23 min ago: it may be elsewhere by now.")
    shown = await on_map(page, boat)
    assert shown
    assert shown["properties"]["stale"] == 1
    await page.keyboard.press("Escape")
    panel = page.locator("#fleet")
    await panel.locator("summary").click()
    await panel.get_by_label("Kind").select_option("BUS")
    await expect(page.locator("#map")).to_have_attribute("data-vehicles", "0")
    await panel.get_by_label("Kind").select_option("RESCUE_BOAT")
    await expect(page.locator("#map")).to_have_attribute("data-vehicles", "1")
    await panel.get_by_label("Show vehicles").uncheck()
    await expect(page.locator("#map")).to_have_attribute("data-vehicles", "0")
    await expect(panel.locator("summary")).to_have_text("Vehicles hidden")


@pytest.mark.browser
async def test_others_load_none_and_see_none(visit: Any, enter: Enter, fleet: Fleet) -> None:
    page = await visit("/#vehicle=KBX%20101A")
    await expect(page.locator("#card-name")).to_have_text("Sign in to see vehicles")
    loaded = await page.evaluate("performance.getEntriesByType('resource').map((r) => r.name)")
    assert [name for name in loaded if re.search(r"/(fleet|vehicle[\w-]*|desk)\.js", name)] == []
    assert await page.evaluate(HELD, "vehicles") is None
    # Signed in, in a role that sees none: no panel, no marks.
    ward = await enter("wanjiru")
    await expect(ward.locator("#fleet")).to_be_hidden()
    assert (await ward.evaluate(HELD, "vehicles"))["features"] == []
    await ward.goto(ward.url.partition("#")[0] + "#vehicle=KBX%20101A")
    await expect(ward.locator("#card")).to_contain_text("There is no such vehicle, or you may not see it.")


@pytest.mark.browser
async def test_what_moved_while_the_hub_was_away_is_right_again(enter: Enter, served: Served, fleet: Fleet) -> None:
    car = await fleet.add("KBX 401D", "PATROL_CAR")
    still = await fleet.add("KBX 402E", "TRUCK")
    await car.is_at(34.8, -0.1, ago=60)
    await still.is_at(34.81, -0.1, ago=60)
    page = await enter("akinyi")
    await until_at(page, car, 34.8, -0.1)
    await car.is_at(34.802, -0.1, ago=30)
    await until_at(page, car, 34.802, -0.1)
    served.end(kill=True)
    await expect(page.locator("#live")).to_contain_text(re.compile(r"Stale since \d\d:\d\d — trying again"))
    served.start()
    await car.is_at(34.82, -0.11)
    await expect(page.locator("#live")).to_have_text("Live", timeout=20_000)
    await until_at(page, car, 34.82, -0.11)
    await until_at(page, still, 34.81, -0.1)
    await car.is_at(34.821, -0.11)
    await until_at(page, car, 34.821, -0.11)


@pytest.mark.browser
async def test_a_cursor_of_another_time_brings_the_fleet_anew(enter: Enter, fleet: Fleet) -> None:
    car = await fleet.add("KBX 451G", "CAR")
    await car.is_at(34.9, -0.2, ago=60)
    cut = asyncio.Event()
    asked: list[Any] = []
    closing: list[Any] = []

    async def connected(ws: Any) -> None:
        server = ws.connect_to_server()

        def heard(message: Any) -> None:
            if "vehicleMoved" in message:
                asked.append(json.loads(message)["payload"]["variables"]["after"])
                if cut.is_set() and asked[-1] and len(asked) == 2:
                    message = message.replace(asked[-1], "00000000000000000000000000000000:7")
            server.send(message)

        def told(message: Any) -> None:
            ws.send(message)
            if '"vehicleMoved"' in message and not cut.is_set():
                cut.set()
                closing.append(asyncio.ensure_future(ws.close(code=4000)))

        ws.on_message(heard)
        server.on_message(told)

    page = await enter("akinyi")
    await page.route_web_socket(re.compile(r"/graphql$"), connected)
    await page.reload()
    await expect(page.locator("body")).to_have_attribute("data-live", "live")
    await car.is_at(34.901, -0.2, ago=30)
    await until_at(page, car, 34.901, -0.2)
    await car.is_at(34.902, -0.2, ago=20)
    await until_at(page, car, 34.902, -0.2, seconds=20)
    for _ in range(200):  # the mark may have moved before the line was cut
        if len(asked) > 2:
            break
        await asyncio.sleep(0.05)
    await expect(page.locator("#live")).to_have_text("Live")
    assert asked[0] is None
    assert asked[1]
    assert asked[2] is None
    await car.is_at(34.903, -0.2)
    await until_at(page, car, 34.903, -0.2)


@pytest.mark.browser
async def test_where_an_incident_lies_on_the_same_spot_both_are_offered(enter: Enter, fleet: Fleet) -> None:
    spot = (35.05, -0.25)
    truck = await fleet.add("KBX 461H", "TRUCK", callSign="<img src=x onerror=alert(1)>")
    await truck.is_at(*spot)
    status = "mutation ($input: ChangeVehicleStatusInput!) { changeVehicleStatus(input: $input) { vehicle { id } } }"
    await fleet.teller.ask(status, input={"id": truck.id, "status": "OUT_OF_SERVICE"})
    page = await enter("akinyi", f"/#view=14/{spot[1]}/{spot[0]}")
    report = """mutation ($input: ReportIncidentInput!) { reportIncident(input: $input) { incident { reference } } }"""
    told = {"kind": "FIRE", "title": "Lorry on fire", "location": list(spot), "severity": "MINOR"}
    answer = await page.context.request.post(
        "/graphql".join([page.url.partition("/#")[0], ""]),
        headers={"X-Hub": "1"},
        data={"query": report, "variables": {"input": told}},
    )
    assert "errors" not in await answer.json()
    await expect(page.locator("#map")).to_have_attribute("data-incidents", "1")
    shown = await on_map(page, truck)
    assert shown
    assert shown["properties"]["icon"] == "vehicle TRUCK OUT_OF_SERVICE"
    await page.wait_for_timeout(800)
    await click_the_map(page)
    await expect(page.locator("#card-name")).to_have_text("1 incident, 1 vehicle")
    await picture(page, "several")
    await page.locator("#card").get_by_role("link", name="<img").click()
    await expect(page.locator("#card")).to_contain_text("Out of service")
    await expect(page).to_have_url(re.compile("vehicle=KBX%20461H"))


@pytest.mark.browser
async def test_two_thousand_that_move_are_drawn_ten_times_a_second_at_most(enter: Enter, fleet: Fleet) -> None:
    """The page's line is fed by the test: forty events a second, each with fifty fixes."""
    some = await fleet.add("KBX 501F")
    await some.is_at(34.7, -0.1)
    sockets: list[Any] = []

    async def before(page: Page) -> None:
        def connected(ws: Any) -> None:
            server = ws.connect_to_server()

            def heard(message: Any) -> None:
                if "vehicleMoved" in message:
                    sockets.append(ws)
                server.send(message)

            ws.on_message(heard)

        await page.route_web_socket(re.compile(r"/graphql$"), connected)

    page = await enter("akinyi")
    await before(page)
    await page.reload()
    await expect(page.locator("body")).to_have_attribute("data-live", "live")
    await expect(page.locator("#map")).to_have_attribute("data-vehicles", re.compile("[1-9]"))
    held = int(await page.locator("#map").get_attribute("data-vehicles") or 0)
    await page.evaluate(
        """() => { window.drawn = []; window.frames = []; let last = performance.now();
          const watch = new MutationObserver(() => window.drawn.push(performance.now()));
          watch.observe(document.getElementById('map'), { attributeFilter: ['data-vehicles'] });
          const tick = (now) => { window.frames.push(now - last); last = now; requestAnimationFrame(tick); };
          requestAnimationFrame(tick); }"""
    )

    def move(number: int, turn: int) -> dict[str, Any]:
        at = {"type": "Point", "coordinates": [34.4 + number % 50 * 0.015 + turn * 1e-4, -0.3 + number // 50 * 0.008]}
        vehicle = {"id": f"v{number}", "plate": f"T {number}", "kind": "CAR", "callSign": None, "status": "AVAILABLE"}
        when = f"2026-01-01T00:{turn // 60:02}:{turn % 60:02}Z"
        more = {"speedKmh": 30, "heading": number % 360, "accuracyMeters": None, "battery": None, "ward": None}
        vehicle |= {"demonstration": False, "department": None}
        return {"recordedAt": when, "location": at, **more, "doubts": [], "vehicle": vehicle}

    begun = time.monotonic()
    events = 0
    for turn in range(5):
        for first in range(0, 2000, 50):
            told = {"cursor": "x", "positions": [move(number, turn) for number in range(first, first + 50)]}
            sockets[-1].send(json.dumps({"id": "changes", "type": "next", "payload": {"data": {"vehicleMoved": told}}}))
            events += 1
            await asyncio.sleep(0.02)
    await expect(page.locator("#map")).to_have_attribute("data-vehicles", str(2000 + held))
    seconds = time.monotonic() - begun
    drawn = await page.evaluate("window.drawn.length")
    frames = sorted(await page.evaluate("window.frames"))
    took = await page.evaluate(
        """async () => { const { features } = await import('/static/vehicle-layers.js');
          const recordedAt = new Date().toISOString();
          const point = (i) => ({ type: 'Point', coordinates: [34.5 + i * 1e-4, -0.2] });
          const at = (i) => ({ location: point(i), recordedAt, heading: 3 });
          const one = (_, i) => ({ id: 'v' + i, plate: 'P' + i, kind: 'CAR', status: 'AVAILABLE', at: at(i) });
          const all = Array.from({ length: 2000 }, one);
          const begun = performance.now();
          for (let i = 0; i < 20; i++) features(all, null);
          return (performance.now() - begun) / 20; }"""
    )
    print(
        f"\n{events} events in {seconds:.1f} s: drawn {drawn} times; frame median {statistics.median(frames):.0f} ms, "
        f"95 % {frames[int(len(frames) * 0.95)]:.0f} ms, worst {frames[-1]:.0f} ms; 2,000 features in {took:.1f} ms"
    )
    assert drawn <= seconds * 10 + 2


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
@pytest.mark.parametrize("dark", [False, True], ids=["day", "night"])
async def test_nothing_is_wider_than_the_screen(
    enter: Enter,
    fleet: Fleet,
    width: int,
    height: int,
    dark: bool,
) -> None:
    kinds = ("AMBULANCE", "FIRE_ENGINE", "RESCUE_BOAT", "TRUCK", "BUS", "WATER_BOWSER", "EXCAVATOR", "MOTORCYCLE")
    for number, kind in enumerate(kinds):
        made = await fleet.add(f"K{width % 97} {number}{int(dark)}", kind, callSign=f"{kind.replace('_', ' ').title()}")
        await made.is_at(
            34.89 + number * 0.011,
            -0.17 - (number % 3) * 0.012,
            ago=1500 if number == 4 else 5,
            bearing=number * 50,
            speed=15,
        )
    page = await enter("akinyi", "/#view=12.6/-0.18/34.925", width=width, height=height, dark=dark)
    await expect(page.locator("#fleet")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    await picture(page, f"map-{width}-{'night' if dark else 'day'}")
    await page.goto(page.url.partition("#")[0] + f"#vehicle={made.plate.replace(' ', '%20')}")
    await expect(page.locator(".heard")).to_be_visible()
    if width > 700:
        await page.locator("#fleet summary").click()
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    await picture(page, f"card-{width}-{'night' if dark else 'day'}")
