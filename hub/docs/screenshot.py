"""Takes the README's picture from a running hub: `python hub/docs/screenshot.py http://127.0.0.1:8000`.

Needs what tests need: Chromium and playwright. With a second argument, a folder, it writes the three widths that a
change of the page is looked at in, by day and by night, instead of the picture.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

from playwright.async_api import Browser, async_playwright

PICTURE = Path(__file__).with_name("map.png")
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
WIDTHS = {390: 844, 1024: 768, 1920: 1080}


async def take(browser: Browser, address: str, file: Path, width: int, height: int, dark: bool = False) -> None:
    """One picture, once the map says that it is drawn and the card has its sources."""
    page = await browser.new_page(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    )
    await page.goto(address)
    await page.wait_for_selector("body[data-ready]")
    await page.wait_for_selector("#card[hidden], .origin, .nearest", state="attached")
    await page.screenshot(path=file)
    await page.close()


async def main(hub: str, folder: Path | None) -> None:
    """The README's picture, or the set to look at."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        if folder is None:
            await take(browser, f"{hub}/#ward=1208&view=9.9/-0.19/34.97", PICTURE, 1600, 900)
        else:
            for width, height in WIDTHS.items():
                for dark in (False, True):
                    for name, place in (("county", ""), ("ward", "#ward=1189"), ("lake", "#place=-0.2/34.68")):
                        file = folder / f"{name}-{width}-{'night' if dark else 'day'}.png"
                        await take(browser, f"{hub}/{place}", file, width, height, dark)
        await browser.close()


if __name__ == "__main__":
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(sys.argv[1].rstrip("/"), folder))
