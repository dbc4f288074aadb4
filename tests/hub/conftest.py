"""What browser tests share: one Chromium per worker, and pages that may neither complain nor ask anybody else."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SOFTWARE_GL = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-gpu-compositing"]
NO_GL = ["--disable-gpu", "--disable-3d-apis"]

Visit = Callable[..., Awaitable[Page]]


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium with WebGL in software, as machines without a graphics card have it."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=_chromium(), args=[*FLAGS, *SOFTWARE_GL])
        yield chromium
        await chromium.close()


@pytest.fixture
async def browser_without_gl() -> AsyncIterator[Browser]:
    """Chromium that can draw no map."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=_chromium(), args=[*FLAGS, *NO_GL])
        yield chromium
        await chromium.close()


@pytest.fixture
async def visit(browser: Browser, hub_url: str) -> AsyncIterator[Visit]:
    """Opens a page of the hub and waits until it is ready; an error or a request to another origin fails the test."""
    pages: list[Page] = []
    errors: list[str] = []
    strangers: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not _is_of_the_graphics_driver(message.text):
            errors.append(message.text)

    def on_request(request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in {"data", "blob"} and f"{address.scheme}://{address.netloc}" != hub_url:
            strangers.append(request.url)

    async def open_page(
        path: str = "/",
        *,
        width: int = 1280,
        height: int = 800,
        dark: bool = False,
        on: Browser | None = None,
        ready: bool = True,
        before: Callable[[Page], Awaitable[None]] | None = None,
    ) -> Page:
        page = await (on or browser).new_page(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        pages.append(page)
        page.set_default_timeout(20_000)
        page.on("console", on_console)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", on_request)
        if before:
            await before(page)
        await page.goto(hub_url + path)
        if ready:
            await page.wait_for_selector("body[data-ready]")
        return page

    yield open_page
    for page in pages:
        await page.close()
    # A request or a socket that the test itself broke is told by the browser; nothing else may be.
    broken = ("Failed to load resource", "WebSocket connection to")
    assert [error for error in errors if not any(words in error for words in broken)] == []
    assert strangers == []


def _chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "browser tests need Chromium: `make test` installs it"
    return found


def _is_of_the_graphics_driver(text: str) -> bool:
    """Software GL speaks of its own slowness; no page can help that."""
    return "GL Driver Message" in text
