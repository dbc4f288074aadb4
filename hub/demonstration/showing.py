"""The play that a demonstration opens with: `python -m hub.demonstration.showing URL FOLDER DATABASE`.

A process beside the hub. It drives the vehicles and tells the reports by the hub's public doors alone, as anybody
could; what it has come to, and whether somebody wants it to pause, stands in the database (`demonstrations`). It begins
with the flood night and goes on with the ordinary day, over and over.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import asyncpg

from hub.demonstration.client import Client, Unreachable
from hub.demonstration.days import SCRIPTS, events_of
from hub.demonstration.player import Played, play
from hub.demonstration.script import Script
from hub.demonstration.seeding import BEATS, KEYS, beat_of, plate_of

SPEED = 60.0
ORDER = ("flood-night", "ordinary-day")

SIGN_IN = "mutation($input: SignInInput!) { signIn(input: $input) { token } }"
READ = """{
  patrols(where: { status: { in: [PLANNED, UNDER_WAY] } }, first: 100) { nodes { id status } }
  units(first: 100) { nodes { id callSign } } beats(first: 100) { nodes { id name } }
  vehicles(first: 100) { nodes { id plate } }
}"""
OPEN = "{ incidents(where: { status: { notIn: [CLOSED, REJECTED] } }, first: 200) { nodes { id status } } }"
CHANGE = "mutation($input: ChangeIncidentStatusInput!) { changeIncidentStatus(input: $input) { incident { id } } }"
PLAN = "mutation($input: PlanPatrolInput!) { planPatrol(input: $input) { patrol { id } } }"
STEP = "mutation($input: ChangePatrolStatusInput!) { changePatrolStatus(input: $input) { patrol { id } } }"


class Showing:
    """One play after the other, until the process is ended."""

    def __init__(self, url: str, folder: Path, database: str) -> None:
        kept = json.loads((folder / KEYS).read_text())
        self._url = url
        self._keys: dict[str, str] = kept["keys"]
        self._password: str = kept["dispatcher"]
        self._database = database
        self._paused = asyncio.Event()
        self._said: dict[str, Any] = {}

    async def run(self) -> None:
        connection = await asyncpg.connect(self._database, server_settings={"application_name": "hub demonstration"})
        await connection.execute("set role hub_service")
        self._connection = connection
        await connection.execute("update demonstrations set paused = false, wish = null")
        await self._answered()
        plays = cycle(ORDER)
        wish: str | None = None
        while True:
            wish = await self._show(SCRIPTS[wish or next(plays)])

    async def _answered(self) -> None:
        """Wait until the hub serves."""
        client = Client(self._url)
        while True:
            with suppress(Unreachable):
                if (await client.get("/health/ready")).status == 200:
                    break
            await asyncio.sleep(0.3)
        await client.close()

    async def _show(self, script: Script) -> str | None:
        """One play; the name of another one when somebody wishes for it before its end."""
        played = Played()
        self._said = {"caption": f"{script.title}."}
        token = await self._sign_in()
        with suppress(Unreachable, LookupError, TypeError, ValueError):  # a play without patrols is a play
            await self._close_incidents(token)
            await self._send_patrols(script, token)
        # Another seed each time: under the keys of the last play the hub would know its reports again.
        events = events_of(script, int(time.time()))
        playing = asyncio.create_task(
            play(
                events,
                self._url,
                self._keys,
                token,
                SPEED,
                self._paused,
                caption=self._say,
                played=played,
            )
        )
        try:
            while not playing.done():
                wish = await self._look(script, played)
                if wish is not None:
                    return wish
                await asyncio.wait([playing], timeout=0.4)
        finally:
            playing.cancel()
            with suppress(asyncio.CancelledError):
                await playing
        return None

    def _say(self, caption: str) -> None:
        self._said = {"caption": caption.partition(" ")[2] or caption}

    async def _look(self, script: Script, played: Played) -> str | None:
        """Say how far it is, and hear what is wanted."""
        row = await self._connection.fetchrow(
            "update demonstrations d set script = $1, title = $2, time_of_day = $3, caption = $4, wish = null "
            "from (select wish from demonstrations) before returning d.paused, before.wish",
            script.name,
            script.title,
            script.time(played.at_seconds),
            self._said["caption"],
        )
        if row["paused"]:
            self._paused.set()
        else:
            self._paused.clear()
        return row["wish"]

    async def _ask(self, query: str, token: str | None = None, **given: Any) -> Any:
        client = Client(self._url)
        try:
            body = {"query": query, "variables": {"input": given} if given else {}}
            return (await client.post("/graphql", body, token)).json()["data"]
        finally:
            await client.close()

    async def _sign_in(self) -> str | None:
        for _ in range(20):
            with suppress(Unreachable, LookupError, TypeError, ValueError):
                told = await self._ask(SIGN_IN, name="dispatcher", password=self._password)
                return str(told["signIn"]["token"])
            await asyncio.sleep(1)
        return None

    async def _close_incidents(self, token: str | None) -> None:
        """What the last play left open is over."""
        there = await self._ask(OPEN, token)
        for incident in there["incidents"]["nodes"]:
            ends = "REJECTED" if incident["status"] == "REPORTED" else "CLOSED"
            await self._ask(CHANGE, token, id=incident["id"], status=ends, note="The play begins anew.")

    async def _send_patrols(self, script: Script, token: str | None) -> None:
        """End the patrols of the last play and begin those of this one."""
        there = await self._ask(READ, token)
        for patrol in there["patrols"]["nodes"]:
            ends = "COMPLETED" if patrol["status"] == "UNDER_WAY" else "CANCELLED"
            await self._ask(STEP, token, id=patrol["id"], status=ends)
        units = {each["callSign"]: each["id"] for each in there["units"]["nodes"]}
        beats = {each["name"]: each["id"] for each in there["beats"]["nodes"]}
        vehicles = {each["plate"]: each["id"] for each in there["vehicles"]["nodes"]}
        now = datetime.now(UTC)
        lasts = timedelta(seconds=script.seconds(script.end) / SPEED)
        for call_sign, name, start, end in BEATS:
            if name == script.name:
                planned = await self._ask(
                    PLAN,
                    token,
                    unit=units[call_sign],
                    beat=beats[beat_of(start, end)],
                    vehicle=vehicles[plate_of(call_sign)],
                    plannedStart=now.isoformat(),
                    plannedEnd=(now + lasts).isoformat(),
                    note="DEMO",
                )
                await self._ask(STEP, token, id=planned["planPatrol"]["patrol"]["id"], status="UNDER_WAY")


def main(url: str, folder: str, database: str) -> None:
    with suppress(KeyboardInterrupt, asyncio.CancelledError, asyncpg.PostgresConnectionError, OSError):
        asyncio.run(Showing(url, Path(folder), database).run())


if __name__ == "__main__":
    main(*sys.argv[1:])
