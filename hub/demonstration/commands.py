"""`hub seed` and `hub simulate`, and the play that `hub up` opens with where there is a demonstration."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hub.opening import Refusal, bring_up_to_date, cluster_of, say, settings_read, with_url
from hub.settings import Settings

if TYPE_CHECKING:
    from hub.database.embedded import Cluster


@click.command()
@click.option("--clear", is_flag=True, help="Remove the demonstration: `hub up` opens the county's own database then.")
def seed(clear: bool) -> None:
    """Make the demonstration county, or remove it.

    It is a database of its own beside the county's: nothing that is made up ever stands among what is true, and
    removing it leaves nothing behind. Only for the private database; the hub must not be running.

    \b
    Examples:
      hub seed --clear
      hub seed
    """
    from hub.database.embedded import DEMONSTRATION

    settings = settings_read()
    if settings.database.database_url is not None:
        raise Refusal("HUB_DATABASE_URL is set: a demonstration is never made in a database of your own.")
    if not settings.database.demonstration:
        raise Refusal("HUB_DEMONSTRATION is off: unset it to make or remove the demonstration.")
    cluster = cluster_of(settings)
    if cluster.running():
        raise Refusal("A hub is running from here: stop it first (Ctrl-C), and start it again afterwards.")
    if clear and not cluster.data.exists():
        raise Refusal(f"There is no database in {cluster.home} yet, and so no demonstration.")
    with cluster:
        cluster.create_database()
        if clear:
            there = cluster.has_database(DEMONSTRATION)
            cluster.drop_database(DEMONSTRATION)
            shutil.rmtree(cluster.home / "demonstration", ignore_errors=True)
            say("The demonstration is removed. `hub up` opens the county." if there else "There was no demonstration.")
            return
        cluster.create_database(DEMONSTRATION)
        made = with_url(settings, cluster)
        bring_up_to_date(made, cluster)
        _seed(made, cluster)
    say("The demonstration is made. `hub up` opens it.")


@click.command()
@click.argument("script", type=click.Choice(("flood-night", "ordinary-day")), default="flood-night")
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="The hub that is told.")
@click.option(
    "--keys",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help='JSON: device keys by plate, {"DEMO 001": "…"}, and under "token" one of a dispatcher for the reports.',
)
@click.option(
    "--speed",
    type=click.FloatRange(0.1, 3600),
    default=60.0,
    show_default=True,
    help="How many seconds of the script pass in one.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Another number moves everything a little.")
def simulate(script: str, url: str, file: Path, speed: float, seed: int) -> None:
    """Play a made-up day on a hub for demonstrations.

    Vehicles drive and calls come in, by the doors that devices and dispatchers use, under the times of now. At speed 60
    the flood night takes six minutes. Ctrl-C stops it. Every plate and report says that it is DEMO, and yet: never do
    it to the hub that the county works with.

    \b
    Examples:
      hub simulate --keys keys.json
      hub simulate ordinary-day --keys keys.json --speed 120 --seed 7
    """
    import asyncio

    from hub.demonstration.client import Client, Unreachable
    from hub.demonstration.county import CAST
    from hub.demonstration.days import SCRIPTS, events_of
    from hub.demonstration.player import Played, play

    keys = _keys(file)
    token = keys.pop("token", None)
    silent = [vehicle.plate for vehicle in CAST if vehicle.plate not in keys]
    if len(silent) == len(CAST):
        raise Refusal(f"{file} has a key for none of the vehicles, {silent[0]} to {silent[-1]}.")
    chosen, played = SCRIPTS[script], Played()

    async def told() -> None:
        probe = Client(url)
        try:
            await probe.get("/health/live")
        finally:
            await probe.close()
        if silent:
            say(f"No key for {', '.join(silent)}: they stay silent.")
        if token is None:
            say(f'No "token" in {file}: nothing is reported, vehicles drive all the same.')
        say(
            f"{chosen.title}, {chosen.time(0)} to {chosen.time(chosen.seconds(chosen.end))}, on {url}. Ctrl-C stops it."
        )
        await play(events_of(chosen, seed), url, keys, token, speed, caption=say, say=say, played=played)

    how = "Played to its end"
    try:
        asyncio.run(told())
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--url") from None
    except Unreachable as error:
        raise Refusal(f"No hub answers at {url} ({error}): start it with `hub up`, or say --url.") from None
    except KeyboardInterrupt:
        how = f"Stopped at {chosen.time(played.at_seconds)}"
    say(
        f"{how}: {played.positions:,} positions, {played.reports} reports and {played.steps} steps taken; "
        f"{played.retries} tries again, {played.refused} refused, {played.lost} lost."
    )


def _keys(file: Path) -> dict[str, str]:
    """Device keys by plate, and the token, as somebody wrote them down."""
    try:
        given = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise click.BadParameter(f"{file} holds no JSON: {error}", param_hint="--keys") from None
    if not isinstance(given, dict) or not all(isinstance(key, str) and key for key in given.values()):
        raise click.BadParameter(f'{file}: an object of texts is needed, like {{"DEMO 001": "…"}}', param_hint="--keys")
    return given


def _seed(settings: Settings, cluster: Cluster) -> None:
    """Fill the demonstration's database, which is migrated; half of it, from an interrupted start, is made anew."""
    from hub.database.embedded import DEMONSTRATION
    from hub.demonstration.seeding import seed as filled
    from hub.demonstration.seeding import state

    owner, login = settings.database.owner_url, settings.database.database_url
    assert owner is not None
    assert login is not None
    folder = cluster.home / "demonstration"
    there = state(owner, folder)
    if there == "all":
        return
    say("Making the demonstration county …")
    if there == "half":
        cluster.drop_database(DEMONSTRATION)
        cluster.create_database(DEMONSTRATION)
        bring_up_to_date(settings, cluster)
    filled(owner, login, folder)


def open_demonstration(
    settings: Settings, cluster: Cluster, address: str, during: Callable[[], AbstractContextManager[None]]
) -> subprocess.Popen[bytes]:
    """The play, as a process beside the hub that ends with it."""
    from hub.database.embedded import die_with_parent
    from hub.demonstration.seeding import KEYS, plate_of

    with during():
        _seed(settings, cluster)
    folder = cluster.home / "demonstration"
    key = json.loads((folder / KEYS).read_text())["keys"][plate_of("Jembe 1")]
    say(
        "DEMONSTRATION DATA: a county in which nothing is real, in a flood night. `hub seed --clear` removes it.\n"
        f"Open {address} and choose whom to look on as. This moves {plate_of('Jembe 1')} in the open page:\n"
        f'  curl "{address}/intake/osmand?id={key}&lat=-0.0917&lon=34.7617"'
    )
    login = settings.database.database_url
    assert login is not None
    return subprocess.Popen(
        [sys.executable, "-m", "hub.demonstration.showing", address, str(folder), login],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        preexec_fn=die_with_parent(),
    )
