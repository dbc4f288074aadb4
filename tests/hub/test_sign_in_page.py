"""From the link of the first start to signed in and out again, in a real browser over plain HTTP on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import psycopg
import pytest
from playwright.async_api import Browser, expect

from hub.sign_in import CONTENT_SECURITY_POLICY
from hub.users import accounts, disable, first_link, link
from tests.conftest import County, Hub

PASSWORD = "lantern harbour millet drum"


@pytest.fixture(scope="module")
def county(copies: Callable[[], AbstractContextManager[County]]) -> Iterator[County]:
    with copies() as made:
        yield made


@pytest.fixture(scope="module")
def address(county: County) -> Iterator[str]:
    """`hub serve` over a county of its own: people are made in it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    environment |= {"HUB_DATABASE_URL": county.login_url, "HUB_PORT": "0"}
    command = [sys.executable, "-c", "from hub.cli import main; main()", "serve"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert "http://" in said, f"hub serve said: {said!r}"
            yield said.split()[-1]
        finally:
            process.terminate()
            process.wait(20)


@pytest.mark.browser
async def test_welcome_signed_in_signed_out(browser: Browser, address: str, county: County) -> None:
    opened = first_link(county.login_url, address)
    assert opened is not None
    context = await browser.new_context()
    page = await context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    try:
        # The link: the code leaves the address at once and is in no request.
        await page.goto(opened)
        await page.wait_for_selector("body[data-ready=choose]")
        assert page.url == f"{address}/welcome"
        code = opened.partition("#")[2]
        assert not any(code in url for url in asked)
        await expect(page.get_by_label("Your sign-in name")).to_have_value("administrator")

        # What is wrong is said; nothing is used up by it.
        await page.get_by_label("What the others read").fill("Achieng Otieno")
        await page.get_by_label("Choose a password").fill("administrator1")
        await page.get_by_label("The same password again").fill("administrator1")
        await page.get_by_role("button", name="Set the password and sign in").click()
        await expect(page.get_by_role("alert").first).to_contain_text("part of the name")
        await page.get_by_label("Choose a password").fill(PASSWORD)
        await page.get_by_label("The same password again").fill(PASSWORD)
        await page.get_by_role("button", name="Set the password and sign in").click()
        await page.wait_for_url(f"{address}/")

        # The browser took the cookie over plain HTTP on loopback, and no script sees it.
        (held,) = await context.cookies()
        assert held["name"] == "__Host-hub"
        assert (held["secure"], held["httpOnly"], held["sameSite"], held["path"]) == (True, True, "Lax", "/")
        assert await page.evaluate("document.cookie") == ""
        assert await page.evaluate("localStorage.length + sessionStorage.length") == 0

        await page.goto(f"{address}/sign-in")
        await page.wait_for_selector("body[data-ready=signed-in]")
        await expect(page.get_by_role("heading")).to_have_text("Signed in as Achieng Otieno")
        # The page's own requests count without our header, too: the browser says where they come from.
        me = "fetch('/graphql', {method: 'POST', headers: {'content-type': 'application/json'}, "
        me += "body: JSON.stringify({query: '{ me { name roles } }'})}).then(a => a.json())"
        assert await page.evaluate(me) == {"data": {"me": {"name": "administrator", "roles": ["ADMINISTRATOR"]}}}

        await page.get_by_role("button", name="Sign out").click()
        await page.wait_for_selector("body[data-ready=sign-in]")
        assert await context.cookies() == []
        # The old token is worth nothing to whoever kept it.
        async with httpx.AsyncClient(base_url=address) as other:
            kept = {"authorization": f"Bearer {held['value']}"}
            assert (await other.post("/graphql", json={"query": "{ me { id } }"}, headers=kept)).status_code == 401

        # Wrong, then right, by the keyboard alone.
        await page.keyboard.type("administrator")
        await page.keyboard.press("Tab")
        await page.keyboard.type("not the password")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert").first).to_contain_text("do not fit")
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.keyboard.press("Enter")
        await page.wait_for_selector("body[data-ready=signed-in]")
        assert not any(held["value"] in url or PASSWORD in url for url in asked)

        # The link was used.
        await page.goto("about:blank")
        await page.goto(opened)
        await page.wait_for_selector("body[data-ready=closed]")
        await expect(page.get_by_role("alert").last).to_contain_text("ask for another")
    finally:
        await context.close()


@pytest.mark.browser
async def test_a_page_of_another_origin_can_do_nothing_with_the_cookie(
    browser: Browser, address: str, county: County
) -> None:
    with accounts(county.login_url) as connection:
        from hub.users import add

        add(connection, "baraka", "Baraka", ["coordinator"])
        opened = link(connection, "baraka", address, 1)
    context = await browser.new_context()
    page = await context.new_page()
    try:
        await page.goto(opened)
        await page.wait_for_selector("body[data-ready=choose]")
        await page.get_by_label("Choose a password").fill(PASSWORD)
        await page.get_by_label("The same password again").fill(PASSWORD)
        await page.get_by_role("button").click()
        await page.wait_for_url(f"{address}/")
        # Another port of this machine is the same site, so that the browser sends the cookie along.
        port = address.rpartition(":")[2]

        async def elsewhere(route: Any) -> None:
            await route.fulfill(content_type="text/html", body="<title>elsewhere</title>")

        await context.route("http://127.0.0.1:1/**", elsewhere)
        await page.goto("http://127.0.0.1:1/")
        for headers in ("{'content-type': 'application/json'}", "{'content-type': 'application/json', 'x-hub': '1'}"):
            blocked = await page.evaluate(
                f"fetch('http://127.0.0.1:{port}/graphql', {{method: 'POST', credentials: 'include', "
                f"headers: {headers}, body: '{{\"query\": \"mutation {{ signOut }}\"}}'}}).then(() => '', e => e.name)"
            )
            assert blocked == "TypeError"
        # A request that needs no permission of ours may arrive; it is refused by its type, and its answer kept back.
        await page.evaluate(
            f"fetch('http://127.0.0.1:{port}/graphql', {{method: 'POST', mode: 'no-cors', credentials: 'include', "
            "headers: {'content-type': 'text/plain'}, body: '{\"query\": \"mutation { signOut }\"}'}).catch(() => null)"
        )
        await page.goto(f"{address}/sign-in")
        await page.wait_for_selector("body[data-ready=signed-in]")
        # A disabled account: the page says so by asking to sign in, and the stale cookie goes.
        with accounts(county.login_url) as connection:
            disable(connection, "baraka")
        await page.wait_for_timeout(5200)
        await page.reload()
        await page.wait_for_selector("body[data-ready=sign-in]")
        assert await context.cookies() == []
    finally:
        await context.close()


async def test_the_pages_are_strict(hub: Hub) -> None:
    for path in ("/sign-in", "/welcome"):
        page = await hub.http.get(path)
        assert page.status_code == 200
        assert page.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert "<script>" not in page.text
        assert " style=" not in page.text
        assert "onclick" not in page.text


async def test_the_hub_keeps_no_code_and_no_token(address: str, county: County) -> None:
    with psycopg.connect(county.owner_url) as connection:
        for table, column in (("invitations", "digest"), ("sign_ins", "token_digest")):
            found = connection.execute(f"select {column} from {table}".encode()).fetchall()
            assert found
            assert all(len(value) == 32 for (value,) in found)
