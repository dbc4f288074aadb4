"""Makes `flood-night.webp` from a hub that demonstrates: `python hub/docs/animation.py http://127.0.0.1:8000`.

Needs what tests need: Chromium and playwright. It begins the flood night anew and takes the six minutes that the night
takes. Run it when the map looks otherwise, and look at what it made.
"""

from __future__ import annotations

import asyncio
import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.async_api import async_playwright

FILE = Path(__file__).with_name("flood-night.webp")
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
EVERY, FRAMES = 7.0, 48


async def film(address: str) -> list[Image.Image]:
    """The page, every few seconds, as a coordinator sees it."""
    frames = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = await browser.new_page(viewport={"width": 1100, "height": 680})
        await page.goto(address)
        await page.select_option("#demonstration-role", "coordinator")
        await page.wait_for_selector("body[data-live=live]")
        await page.get_by_role("button", name="Flood night").click()
        for _ in range(FRAMES):
            await asyncio.sleep(EVERY)
            frames.append(Image.open(io.BytesIO(await page.screenshot())).convert("RGB"))
        await browser.close()
    return frames


def main(address: str) -> None:
    first, *rest = (frame.resize((880, 544), Image.Resampling.LANCZOS) for frame in asyncio.run(film(address)))
    first.save(FILE, save_all=True, append_images=rest, duration=600, loop=0, quality=50, method=6)


if __name__ == "__main__":
    main(sys.argv[1])
