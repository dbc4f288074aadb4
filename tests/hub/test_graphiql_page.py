"""The query editor: self-hosted, with questions to begin with and the statement behind each answer."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from playwright.async_api import Browser, Page, expect
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from hub import pages
from tests.conftest import PASSWORD, County, make_person
from tests.sockets import serving

EXAMPLES = (
    "Wards",
    "Here",
    "Within a shape",
    "Sub-counties and wards",
    "By another name",
    "What is disputed",
    "Open incidents",
    "Floods as published",
    "Nearest vehicles",
    "What patrols covered",
    "What is a ward?",
)


@pytest.fixture
async def door() -> AsyncIterator[httpx.AsyncClient]:
    async def editor(request):
        return pages.graphiql_page(request)

    app = Starlette(routes=[Route("/graphql", editor)], middleware=[Middleware(pages.SecurityHeaders)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub") as client:
        yield client


async def test_the_page_has_no_inline_script_and_the_same_policy(door: httpx.AsyncClient) -> None:
    answer = await door.get("/graphql")
    assert answer.headers["content-security-policy"] == pages.CONTENT_SECURITY_POLICY
    assert answer.headers["vary"] == "Accept, Accept-Encoding"
    assert re.findall(r"<script(?![^>]*\bsrc=)", answer.text) == []
    assert "http" not in answer.text


async def choose(page: Page, example: str) -> None:
    await page.locator(
        ".examples button", has=page.locator("strong", has_text=re.compile(f"^{re.escape(example)}$"))
    ).click()


@pytest.mark.browser
async def test_every_example_is_answered(visit) -> None:
    page = await visit("/graphql", width=1440, height=900)
    await expect(page.locator(".examples button")).to_have_count(len(EXAMPLES))
    for example in EXAMPLES:
        async with page.expect_response(
            lambda answer: answer.url.endswith("/graphql") and answer.request.method == "POST"
        ) as answering:
            await choose(page, example)
        answer = await (await answering.value).json()
        assert "errors" not in answer, example
        assert answer["data"], example
        # A parameter is no mistake, whatever shape it has.
        await expect(page.locator(".CodeMirror-lint-mark-error")).to_have_count(0)
    await expect(page.locator(".statement")).to_contain_text("Answered from the schema itself")


@pytest.mark.browser
async def test_beside_the_answer_stand_its_statement_and_its_steps(visit) -> None:
    page = await visit("/graphql", width=1440, height=900)
    await choose(page, "Here")
    await expect(page.locator(".result-window")).to_contain_text("Ahero")
    panel = page.locator("#answer")
    await expect(panel.locator(".timing")).to_contain_text("PostGIS answers")
    await expect(panel.locator(".timing")).to_contain_text(re.compile(r"In the hub, all together\s*[\d.]+ ms"))
    statement = panel.locator(".statement pre")
    await expect(statement).to_contain_text("select")
    await expect(statement).to_contain_text("from wards")
    await expect(statement).to_contain_text("st_covers")
    await expect(panel.locator(".values")).to_contain_text("34.9189")


@pytest.mark.browser
async def test_a_refused_question_has_no_statement(visit) -> None:
    page = await visit("/graphql", width=1440, height=900)
    await page.route(
        "**/graphql", lambda route: route.fulfill(status=400, json={"errors": [{"message": "No such field."}]})
    )
    await choose(page, "Here")
    await expect(page.locator(".result-window")).to_contain_text("No such field.")
    await expect(page.locator(".statement")).to_contain_text("refused before it reached the database")


@pytest.mark.browser
async def test_what_somebody_wrote_stays_in_its_tab(visit) -> None:
    page = await visit("/graphql", width=1440, height=900)
    editor = page.locator(".graphiql-query-editor .CodeMirror")
    await editor.click()
    await page.keyboard.press("Control+a")
    await page.keyboard.type("{ county { name } }")
    await choose(page, "Here")
    tabs = page.get_by_role("tab")
    await expect(tabs).to_have_count(2)
    await expect(editor).to_contain_text("wardAt")
    await tabs.first.click()
    await expect(editor).to_contain_text("county")


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1024, 1920])
async def test_every_width_fits(visit, width: int) -> None:
    page = await visit("/graphql", width=width, height=844, dark=width == 1920)
    await choose(page, "Here")
    await expect(page.locator(".result-window")).to_contain_text("Ahero")
    assert await page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.browser
async def test_who_signs_in_sees_the_plan_beside_the_answer(browser: Browser, fresh_database: County) -> None:
    make_person(fresh_database, "chebet", "planner", display="Chebet Planner")
    async with serving(fresh_database.login_url) as hub:
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        try:
            await page.goto(f"{hub.address}/graphql")
            await page.wait_for_selector("body[data-ready]")
            await choose(page, "Open incidents")
            explained = page.locator(".explained")
            await expect(explained).to_contain_text("to see how PostgreSQL goes about it")
            await explained.get_by_role("link", name="Sign in").click()
            await page.wait_for_selector("body[data-ready]")
            await page.fill("#name", "chebet")
            await page.fill("[name=password]", PASSWORD)
            await page.keyboard.press("Enter")
            await page.wait_for_url("**/graphql")
            await page.wait_for_selector("body[data-ready]")
            await expect(page.locator("#asker")).to_contain_text("Chebet Planner")
            await choose(page, "Open incidents")
            await expect(explained.locator(".plan")).to_contain_text("on incidents")
            await expect(explained).to_contain_text(re.compile(r"[\d.]+ ms to plan, [\d.]+ ms to run"))
            await expect(explained.locator(".step").first).to_contain_text("row")
            # Planners see no names of callers: of a statement that reads them there is no plan.
            editor = page.locator(".graphiql-query-editor .CodeMirror")
            await editor.click()
            await page.keyboard.press("Control+a")
            await page.keyboard.type("{ incidents { nodes { title reporter { name } } } }")
            await page.wait_for_timeout(1500)  # the editor follows with a delay which operation is meant
            await page.keyboard.press("Control+Enter")
            await expect(explained).to_contain_text("you do not see every row")
            await expect(explained.locator(".plan")).to_have_count(0)
        finally:
            await page.close()
