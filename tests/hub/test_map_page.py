"""The county's page: what it is made of, and what a coordinator can do on it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from playwright.async_api import Browser, Page, Route, expect
from starlette.applications import Starlette
from starlette.middleware import Middleware

from hub import assets, pages
from hub.settings import Server, Settings

# -- files and headers -------------------------------------------------------------------------------------------------


@pytest.fixture
async def files() -> AsyncIterator[httpx.AsyncClient]:
    assets.bring()
    app = Starlette(routes=pages.routes(Settings()), middleware=[Middleware(pages.SecurityHeaders)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub") as client:
        yield client


async def test_every_answer_carries_the_strict_headers(files: httpx.AsyncClient) -> None:
    for path in ("/", "/static/map.css", "/static/nothing.js", "/favicon.ico"):
        headers = (await files.get(path)).headers
        policy = headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "unsafe-eval" not in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-opener-policy"] == "same-origin"


async def test_packages_are_kept_for_ever_and_our_files_are_asked_after(files: httpx.AsyncClient) -> None:
    vendored = f"/static/vendor/maplibre-gl-{assets.versions()['maplibre-gl']}/maplibre-gl.mjs"
    package = await files.get(vendored)
    assert package.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert package.headers["content-type"].startswith("text/javascript")
    assert package.headers["content-encoding"] == "gzip"
    own = await files.get("/static/main.js")
    assert own.headers["cache-control"] == "no-cache"
    again = await files.get("/static/main.js", headers={"if-none-match": own.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == own.headers["etag"]


async def test_packed_and_plain_forms_differ_in_tag_and_agree_in_content(files: httpx.AsyncClient) -> None:
    packed = await files.get("/static/map.css", headers={"accept-encoding": "gzip"})
    plain = await files.get("/static/map.css", headers={"accept-encoding": "gzip;q=0"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.headers["etag"] != plain.headers["etag"]
    assert packed.text == plain.text
    assert packed.headers["vary"] == "Accept-Encoding"


async def test_head_tells_the_length_and_sends_nothing(files: httpx.AsyncClient) -> None:
    whole = await files.get("/static/main.js", headers={"accept-encoding": "identity"})
    head = await files.head("/static/main.js", headers={"accept-encoding": "identity"})
    assert head.status_code == 200
    assert head.content == b""
    assert int(head.headers["content-length"]) == len(whole.content)


@pytest.mark.parametrize(
    ("asked", "status", "first", "last"),
    [
        ("bytes=0-9", 206, 0, 9),
        ("bytes=10-", 206, 10, None),
        ("bytes=-5", 206, -5, None),
        ("bytes=0-99999999", 206, 0, None),
        ("bytes=99999999-", 416, None, None),
        ("bytes=-0", 416, None, None),
        ("bytes=5-1", 200, 0, None),
        ("bytes=0-1,4-5", 200, 0, None),
        ("bytes=" + "9" * 5000 + "-", 416, None, None),
        ("lines=1-2", 200, 0, None),
    ],
)
async def test_parts_of_a_file(
    files: httpx.AsyncClient, asked: str, status: int, first: int | None, last: int | None
) -> None:
    whole = (assets.WEB / "main.js").read_bytes()
    part = await files.get("/static/main.js", headers={"range": asked, "accept-encoding": "identity"})
    assert part.status_code == status
    if first is not None:
        assert part.content == whole[first : None if last is None else last + 1]


@pytest.mark.parametrize(
    "path",
    [
        "/static/../settings.py",
        "/static/%2e%2e/settings.py",
        "/static/..%2fsettings.py",
        "/static//etc/passwd",
        "/static/vendor/../../pages.py",
        "/static/package.json",
        "/static/package-lock.json",
        "/static/.npmrc",
        "/static/index.html",
        "/static/vendor/stamp.json",
        "/static/vendor",
        "/static/",
        "/static/main.js%00",
    ],
)
async def test_what_is_not_on_the_list_does_not_exist(files: httpx.AsyncClient, path: str) -> None:
    assert (await files.get(path)).status_code == 404


async def test_the_editor_is_not_offered_where_it_is_off() -> None:
    app = Starlette(routes=pages.routes(Settings(server=Server(graphiql=False))))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub") as client:
        assert "data-editor" not in (await client.get("/")).text


# -- in a browser ------------------------------------------------------------------------------------------------------


async def ask(hub_url: str, query: str, **variables: object) -> dict:
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{hub_url}/graphql", json={"query": query, "variables": variables})
    data = answer.json()
    assert "errors" not in data, data
    return data["data"]


async def click_the_middle(page: Page) -> None:
    box = await page.locator("#map").bounding_box()
    assert box
    await page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


@pytest.mark.browser
async def test_all_wards_are_listed_and_drawn(visit) -> None:
    page = await visit()
    await expect(page.locator("#map")).to_have_attribute("data-wards", "35")
    await expect(page.locator(".row-ward")).to_have_count(35)
    await expect(page.locator(".row-subcounty")).to_have_count(7)
    await expect(page.locator("#key")).to_contain_text("Generalised boundaries (about 100–200 m), not for legal use")
    await expect(page.locator("#key")).to_contain_text("CC BY 4.0")


@pytest.mark.browser
@pytest.mark.parametrize("code", ["1197", "1207"])
async def test_a_click_on_a_ward_opens_its_card(visit, hub_url: str, code: str) -> None:
    ward = (await ask(hub_url, "query($c: String!) { ward(code: $c) { name labelPoint population } }", c=code))["ward"]
    lon, lat = ward["labelPoint"]["coordinates"]
    page = await visit(f"/#view=12.5/{lat}/{lon}")
    await click_the_middle(page)
    await expect(page.locator("#card-name")).to_have_text(ward["name"])
    await expect(page.locator(".card .eyebrow")).to_have_text(f"Ward {code}")
    await expect(page.locator(".measures")).to_contain_text(f"{ward['population']:,}")
    await expect(page.locator(".measures")).to_contain_text("2009 census")
    await expect(page).to_have_url(re.compile(rf"#ward={code}&view="))
    await expect(page.locator(f".row[href='#ward={code}']")).to_have_attribute("aria-current", "true")


@pytest.mark.browser
async def test_a_card_says_what_is_disputed_and_where_it_knows_things_from(visit) -> None:
    page = await visit("/#ward=1189")
    await expect(page.locator(".dispute")).to_contain_text("Membership disputed")
    await expect(page.locator(".dispute")).to_contain_text("Kisumu East")
    await expect(page.locator(".dispute")).to_contain_text("Kisumu Central")
    await page.get_by_text("Sources and names").click()
    await expect(page.locator(".origin li").first).to_be_visible()
    await expect(page.locator(".origin")).to_contain_text("IEBC")


WRITTEN = {
    "shaurimoyo": "Shauri Moyo Kaloleni",
    "nyangoma": "Masogo/Nyang'oma",
    "north kisumu": "Kisumu North",
    "1208": "Ahero",
    "KABONYO-kanyagwal": "Kabonyo/Kanyagwal",
    "ahéro": "Ahero",
    "muhoroni koru": "Muhoroni/Koru",
    "nylenda b": "Nyalenda B",
    "seme": "Seme",
    "-0.1723, 34.9189": "In Ahero",
    "34.9189 -0.1723": "In Ahero",
}


@pytest.mark.browser
async def test_search_finds_a_unit_however_it_is_written(visit) -> None:
    page = await visit()
    for typed, name in WRITTEN.items():
        await page.locator("#search").fill(typed)
        await expect(page.get_by_role("option").first).to_be_visible()
        await page.keyboard.press("Enter")
        await expect(page.locator("#card-name"), typed).to_have_text(name)
        await page.keyboard.press("Escape")


@pytest.mark.browser
async def test_search_says_when_nothing_fits(visit) -> None:
    page = await visit()
    await page.locator("#search").fill("mombasa")
    await expect(page.locator("#found-none")).to_have_text("No ward or sub-county is called “mombasa”.")
    await expect(page.locator("#found")).to_be_hidden()


@pytest.mark.browser
async def test_a_journey_by_keyboard_alone(visit) -> None:
    page = await visit()
    search = page.locator("#search")

    await page.keyboard.press("/")
    await expect(search).to_be_focused()
    await page.keyboard.type("nyakach")
    await expect(search).to_have_attribute("aria-expanded", "true")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowDown")
    active = await search.get_attribute("aria-activedescendant")
    await expect(page.locator(f"#{active}")).to_have_attribute("aria-selected", "true")
    await expect(page.locator(f"#{active} .label")).to_have_text("Central Nyakach")
    await page.keyboard.press("Enter")
    await expect(page.locator("#card-name")).to_have_text("Central Nyakach")
    await expect(page.locator("#card-name")).to_be_focused()

    await page.keyboard.press("Escape")
    await expect(page.locator("#card")).to_be_hidden()
    await expect(search).to_be_focused()

    # One Escape puts away what was typed, and only the next one the card behind it.
    await page.locator(".row[href='#ward=1186']").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#card-name")).to_have_text("Kajulu")
    await page.keyboard.press("/")
    await page.keyboard.type("ko")
    await page.keyboard.press("Escape")
    await expect(search).to_have_value("")
    await expect(page.locator("#card")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("#card")).to_be_hidden()
    await expect(page.locator(".row[href='#ward=1186']")).to_be_focused()

    await page.keyboard.press("ArrowDown")
    await expect(page.locator(".row[href='#ward=1187']")).to_be_focused()
    await page.keyboard.press("End")
    await expect(page.locator(".row[href='#ward=1220']")).to_be_focused()


@pytest.mark.browser
async def test_the_map_itself_works_by_keyboard(visit, hub_url: str) -> None:
    ward = (await ask(hub_url, '{ ward(code: "1214") { name labelPoint } }'))["ward"]
    lon, lat = ward["labelPoint"]["coordinates"]
    page = await visit(f"/#view=11/{lat}/{lon}")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await expect(page.get_by_text("Skip to the map")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#map canvas")).to_be_focused()
    await expect(page.locator(".crosshair")).to_be_visible()
    await page.keyboard.press("Enter")
    await expect(page.locator("#card-name")).to_have_text(ward["name"])
    before = page.url
    await page.keyboard.press("ArrowRight")
    await page.wait_for_url(lambda url: url != before)


@pytest.mark.browser
async def test_a_click_on_the_lake_says_so_in_words(visit, hub_url: str) -> None:
    point = [34.68, -0.2]
    query = "query($p: Position!) { nearestWard(point: $p) { name distanceMeters(from: $p) } }"
    near = (await ask(hub_url, query, p=point))["nearestWard"]
    page = await visit(f"/#view=11/{point[1]}/{point[0]}")
    await click_the_middle(page)
    card = page.locator("#card")
    await expect(card).to_contain_text("On the water")
    await expect(card).to_contain_text("this point lies on the lake, in no ward")
    await expect(card.locator(".nearest")).to_contain_text(near["name"])
    await expect(card.locator(".nearest strong")).to_have_text(f"{near['distanceMeters'] / 1000:.1f} km")
    await card.locator(".nearest a").click()
    await expect(page.locator("#card-name")).to_have_text(near["name"])


@pytest.mark.browser
async def test_links_and_the_back_button(visit) -> None:
    page = await visit("/#ward=1208")
    await expect(page.locator("#card-name")).to_have_text("Ahero")
    await page.locator(".row[href='#ward=1210']").click()
    await expect(page.locator("#card-name")).to_have_text("Kobura")
    await page.locator(".row[href='#subcounty=244']").click()
    await expect(page.locator("#card-name")).to_have_text("Nyakach")
    await expect(page.locator(".members li")).to_have_count(5)
    await page.go_back()
    await expect(page.locator("#card-name")).to_have_text("Kobura")
    await page.go_back()
    await expect(page.locator("#card-name")).to_have_text("Ahero")
    await page.reload()
    await page.wait_for_selector("body[data-ready]")
    await expect(page.locator("#card-name")).to_have_text("Ahero")


@pytest.mark.browser
async def test_a_broken_link_still_shows_the_county(visit, hub_url: str) -> None:
    page = await visit("/#view=99/99/999&ward=9999")
    await expect(page.locator("#map")).to_have_attribute("data-wards", "35")
    await expect(page.locator("#card")).to_be_hidden()
    await expect(page.locator("#spoken")).to_have_text("There is no ward 9999.")
    for fragment in ("#ward=%3Cb%3E", "#view=a/b/c", "#place=1", "#place=99/999", "#=&&="):
        await page.goto(f"{hub_url}/{fragment}")
        await expect(page.locator("#card"), fragment).to_be_hidden()
    await page.goto(f"{hub_url}/#ward=1208")
    await expect(page.locator("#card-name")).to_have_text("Ahero")


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(390, 844), (1024, 768), (1920, 1080)])
async def test_every_width_fits_and_can_be_touched(visit, width: int, height: int) -> None:
    page = await visit("/#ward=1213", width=width, height=height)
    await expect(page.locator("#card-name")).to_be_in_viewport()
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    small = await page.evaluate(
        """() => [...document.querySelectorAll("button, input, .row, .editor")]
            .filter((part) => part.checkVisibility())
            .map((part) => [part.outerHTML.slice(0, 80), part.getBoundingClientRect()])
            .filter(([, { width, height }]) => width < 44 || height < 44)
            .map(([what]) => what)"""
    )
    assert small == []


@pytest.mark.browser
async def test_on_a_phone_the_list_is_a_sheet(visit) -> None:
    page = await visit(width=390, height=844)
    row = page.locator(".row[href='#ward=1186']")
    await expect(row).to_be_hidden()
    await page.get_by_role("button", name="7 sub-counties, 35 wards").click()
    await row.click()
    await expect(page.locator("#card-name")).to_have_text("Kajulu")
    await expect(row).to_be_hidden()


@pytest.mark.browser
async def test_night_comes_while_the_map_is_open(visit) -> None:
    page = await visit("/#ward=1200")
    await page.emulate_media(color_scheme="dark")
    await expect(page.locator("body")).to_have_css("background-color", "rgb(20, 24, 27)")
    await expect(page.locator("#card-name")).to_have_text("Kondele")
    await page.locator(".row[href='#ward=1201']").click()
    await expect(page.locator("#card-name")).to_have_text("Nyalenda B")


@pytest.mark.browser
async def test_a_hub_that_is_away_is_told_and_tried_again(visit) -> None:
    answers = iter(["away", "unavailable"])

    async def broken(route: Route) -> None:
        match next(answers, None):
            case "away":
                await route.abort()
            case "unavailable":
                error = {"message": "The database does not answer.", "extensions": {"code": "UNAVAILABLE"}}
                await route.fulfill(status=503, json={"errors": [error]})
            case _:
                await route.continue_()

    page = await visit(ready=False, before=lambda page: page.route("**/graphql", broken))
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("The wards did not load")
    await expect(alert).to_contain_text("The hub can’t be reached.")
    await page.get_by_role("button", name="Try again now").click()
    await expect(alert).to_contain_text("The database does not answer.")
    # The rest it does by itself.
    await page.wait_for_selector("body[data-ready]")
    await expect(page.locator("#map")).to_have_attribute("data-wards", "35")
    await expect(page.locator("#notice")).to_be_hidden()


@pytest.mark.browser
async def test_a_card_whose_sources_do_not_come_says_so(visit) -> None:
    page = await visit()
    await page.route("**/graphql", lambda route: route.abort())
    await page.locator(".row[href='#ward=1208']").click()
    await expect(page.locator(".measures")).to_contain_text("36,306")
    await expect(page.locator(".failed")).to_contain_text("The sources did not load.")
    await page.unroute("**/graphql")
    await page.locator(".card").get_by_role("button", name="Try again").click()
    await expect(page.get_by_text("Sources and names")).to_be_visible()


@pytest.mark.browser
async def test_without_webgl_list_search_and_cards_work(visit, browser_without_gl: Browser) -> None:
    page = await visit(on=browser_without_gl)
    await expect(page.locator("body")).to_have_attribute("data-map", "missing")
    await expect(page.locator("#notice")).to_contain_text("The map can’t be drawn here")
    await page.locator("#search").fill("kobura")
    await page.keyboard.press("Enter")
    await expect(page.locator("#card-name")).to_have_text("Kobura")
    await page.locator(".row[href='#ward=1208']").click()
    await expect(page.get_by_text("Sources and names")).to_be_visible()


@pytest.mark.browser
async def test_a_name_cannot_become_markup(visit) -> None:
    evil = "<img src=x onerror=document.body.dataset.owned=1>"

    async def tampered(route: Route) -> None:
        answer = await route.fetch()
        data = json.loads(await answer.text())
        for ward in data["data"].get("wards", {}).get("nodes", []):
            ward["name"] = evil
            ward["aliases"] = [evil]
        await route.fulfill(response=answer, json=data)

    page = await visit("/#ward=1208", before=lambda page: page.route("**/graphql", tampered))
    await expect(page.locator("#card-name")).to_have_text(evil)
    await page.locator("#search").fill("onerror")
    await expect(page.get_by_role("option").first).to_contain_text(evil)
    assert await page.locator("img").count() == 0
    assert await page.get_attribute("body", "data-owned") is None
