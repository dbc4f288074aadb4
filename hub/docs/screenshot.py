"""Takes the picture of the map from a running hub: `python hub/docs/screenshot.py http://127.0.0.1:8000 --as NAME`.

Needs what tests need: Chromium and playwright. NAME is a dispatcher or coordinator; the password is asked for. With
`--flood-night` a night is reported first: give it a hub that was made for the picture, never one that people use. With
a folder as second argument it writes the three widths that a change of the page is looked at in, by day and by night,
instead of the picture.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.async_api import APIRequestContext, Browser, async_playwright

PICTURE = Path(__file__).with_name("map.png")
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
WIDTHS = {390: 844, 1024: 768, 1920: 1080}

SIGN_IN = "mutation SignIn($input: SignInInput!) { signIn(input: $input) { expiresAt } }"
REPORT = "mutation Report($input: ReportIncidentInput!) { reportIncident(input: $input) { incident { id reference } } }"
CHANGE = (
    "mutation Change($input: ChangeIncidentStatusInput!) { changeIncidentStatus(input: $input) { incident { id } } }"
)

SEEN = ("VERIFIED",)
GOING = (*SEEN, "RESPONDING")
HELD = (*GOING, "CONTAINED")
NIGHT: list[tuple[str, str, str, Any, str | None, int, tuple[str, ...]]] = [
    ("FLOOD", "Nyando over its banks at the Ahero bridge", "EXTREME", [34.923, -0.1725], "Ahero bridge", 55, GOING),
    ("DROWNING", "Boy swept away at the ford", "EXTREME", [34.9523, -0.1451], "Above the rice scheme", 12, ()),
    ("FLOOD", "Families on the roof of the primary school", "SEVERE", [34.8893, -0.2091], "Ombaka", 41, SEEN),
    ("MEDICAL", "Woman in labour cannot leave Kakola", "SEVERE", [34.8731, -0.2251], "Kakola", 20, GOING),
    ("BOAT_ACCIDENT", "Fishing boat adrift, three on board", "SEVERE", [34.702, -0.212], "Off Dunga", 33, SEEN),
    ("ROAD_CRASH", "Matatu and boda boda collide", "SEVERE", [34.7911, -0.0611], "Mamboleo", 26, HELD),
    ("BLOCKED_ROAD", "Ahero to Bunde road under water", "MODERATE", [34.9411, -0.1893], "Bunde", 90, SEEN),
    ("WATER_FAILURE", "Borehole flooded, water unsafe", "MODERATE", [34.8611, -0.1989], "Kabonyo", 125, ()),
    ("FIRE", "Market stalls on fire", "MODERATE", [34.7755, -0.0887], "Kondele", 8, GOING),
    ("DISEASE_OUTBREAK", "Three cases of diarrhoea in the camp", "MODERATE", [34.939, -0.1595], "Ahero", 300, SEEN),
    ("POWER_FAILURE", "No electricity in Ahero town", "MINOR", [34.9021, -0.1602], "Ahero", 70, HELD),
    ("WILD_ANIMAL", "Hippo among the houses", "MINOR", [34.7341, -0.1451], "Dunga", 150, ()),
    ("FLOOD", "Water in the houses, the caller was cut off", "UNKNOWN", "1209", None, 4, ()),
]  # fmt: skip


async def ask(hub: APIRequestContext, query: str, told: dict[str, Any]) -> Any:
    """The answer's data."""
    answer = await (
        await hub.post("/graphql", headers={"X-Hub": "1"}, data={"query": query, "variables": {"input": told}})
    ).json()
    if "errors" in answer:
        raise SystemExit(answer["errors"][0]["message"])
    return answer["data"]


async def flood_night(hub: APIRequestContext) -> None:
    """What a night at Ahero reports, worst last, as far as it has come."""
    for kind, title, severity, where, place, minutes, steps in reversed(NIGHT):
        told = {
            "kind": kind,
            "title": title,
            "severity": severity,
            "certainty": "OBSERVED",
            "urgency": "IMMEDIATE" if severity in ("EXTREME", "SEVERE") else "EXPECTED",
            "place": place,
            "occurredAt": (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat(),
            "source": "PHONE",
            "description": "Water stands at the deck. The road to Katito is cut." if minutes == 55 else None,
            **({"ward": where} if isinstance(where, str) else {"location": where}),
        }
        made = (await ask(hub, REPORT, told))["reportIncident"]["incident"]
        for status in steps:
            note = "Ambulance and Red Cross boat are on their way." if status == "RESPONDING" else None
            await ask(hub, CHANGE, {"id": made["id"], "status": status, "note": note})


async def take(
    browser: Browser, address: str, file: Path, width: int, height: int, who: dict[str, str], dark: bool = False
) -> None:
    """One picture, once the map says that it is drawn, the card has what it shows, and the page is live."""
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
        base_url=address.partition("/#")[0],
    )
    if who:
        await ask(context.request, SIGN_IN, who)
    page = await context.new_page()
    await page.goto(address)
    await page.wait_for_selector("body[data-ready]")
    await page.wait_for_selector("#card[hidden], .origin, .nearest, .timeline", state="attached")
    if who:
        await page.wait_for_selector("body[data-live=live]")
    await page.wait_for_timeout(1000)
    await page.screenshot(path=file)
    await context.close()


async def main(hub: str, folder: Path | None, who: dict[str, str], night: bool) -> None:
    """The README's picture, or the set to look at."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        worst = ""
        if who:
            context = await browser.new_context(base_url=hub)
            await ask(context.request, SIGN_IN, who)
            if night:
                await flood_night(context.request)
            found = await context.request.post(
                "/graphql",
                headers={"X-Hub": "1"},
                data={"query": '{ incidents(where: {title: {contains: "Nyando"}}, first: 1) { nodes { reference } } }'},
            )
            nodes = (await found.json())["data"]["incidents"]["nodes"]
            worst = f"incident={nodes[0]['reference']}" if nodes else ""
            await context.close()
        if folder is None:
            await take(browser, f"{hub}/#{worst or 'ward=1208'}&view=10.9/-0.165/34.92", PICTURE, 1600, 900, who)
        else:
            views = {"county": "", "ward": "#ward=1189", "lake": "#place=-0.2/34.68"}
            if worst:
                views["incident"] = f"#{worst}"
            for width, height in WIDTHS.items():
                for dark in (False, True):
                    for name, place in views.items():
                        file = folder / f"{name}-{width}-{'night' if dark else 'day'}.png"
                        await take(browser, f"{hub}/{place}", file, width, height, who, dark)
        await browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hub")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--as", dest="name", help="sign-in name of a dispatcher or coordinator")
    parser.add_argument("--flood-night", action="store_true", help="report a night first: only on a hub made for it")
    asked = parser.parse_args()
    if asked.folder:
        asked.folder.mkdir(parents=True, exist_ok=True)
    person = {"name": asked.name, "password": getpass.getpass()} if asked.name else {}
    asyncio.run(main(asked.hub.rstrip("/"), asked.folder, person, asked.flood_night))
