"""`hub …`: what an operator types. Each command imports what it needs when it runs, so that help is there at once."""

from __future__ import annotations

import difflib
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from hub.database.installations import ClusterFailed
from hub.settings import Settings
from hub.users import user

if TYPE_CHECKING:
    from hub.database.embedded import Cluster


class Refusal(click.ClickException):
    """What cannot be done and the way out, as one plain sentence."""

    def show(self, file: Any = None) -> None:
        click.echo(self.message, file=file, err=True)


class Hub(click.Group):
    """The commands in the order of their use, and every refusal as one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ClusterFailed as refusal:
            raise Refusal(str(refusal)) from refusal


@click.group(
    cls=Hub,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Settings are environment variables, HUB_PORT=8001 for one; hub/docs/settings.md lists them all.",
)
@click.version_option(package_name="kisumu-hub", prog_name="hub")
def main() -> None:
    """The operations hub of Kisumu County."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)


# -- commands ----------------------------------------------------------------------------------------------------------


@main.command()
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that answer, instead of HUB_WORKERS.")
def up(workers: int | None) -> None:
    """Start everything: database, migrations, county, server.

    The database is a private PostGIS in a folder of the hub (HUB_HOME), unless HUB_DATABASE_URL names one of your
    own. A new private one opens in the demonstration county; `hub seed --clear` removes that. Ctrl-C stops all of it.

    \b
    Examples:
      hub up
      HUB_PORT=8001 hub up
      HUB_DATABASE_URL=postgresql://hub_login@db/hub HUB_OWNER_URL=postgresql://postgres@db/hub hub up
    """
    from hub.database.embedded import DEMONSTRATION
    from hub.serving import Ending, address_of, listen

    settings = _with_workers(_settings(), workers)
    code = 0
    play: subprocess.Popen[bytes] | None = None
    with Ending(say).caught() as ending, _sentences():
        try:
            if settings.database.database_url is None:
                ending.cluster = _cluster(settings)
                # Before the port: a second hub from the same folder should hear of the first one, not of a port.
                ending.cluster.lock(_address(settings))
            listener = listen(settings.server.host, settings.server.port)
            if ending.cluster is not None:
                ending.cluster.lock(address_of(listener))
                with ending.preparing():
                    ending.cluster.start()
                with ending.preparing():
                    _make_databases(settings, ending.cluster)
            settings = _with_url(settings, ending.cluster)
            _migrate(settings, ending.cluster, ending.preparing)
            address = address_of(listener)
            if ending.cluster is not None and ending.cluster.opens(settings.database) == DEMONSTRATION:
                play = _open_demonstration(settings, ending.cluster, address, ending.preparing)
            else:
                _welcome(settings, address, ending.preparing)
            code = _serve(settings, listener, ending)
        finally:
            if play is not None:
                play.terminate()
                play.wait()
            if ending.cluster is not None:
                ending.cluster.stop()
    sys.exit(code)


@main.command()
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that answer, instead of HUB_WORKERS.")
def serve(workers: int | None) -> None:
    """Start the server alone, against a database that runs.

    That is HUB_DATABASE_URL, or the private database that `hub up` started from this folder: a second server beside
    the first needs a HUB_PORT of its own. It migrates nothing.

    \b
    Examples:
      HUB_PORT=8001 hub serve
      HUB_PORT=8001 hub serve --workers 2
    """
    from hub.serving import Ending, listen

    settings = _with_workers(_settings(), workers)
    code = 0
    with Ending(say).caught() as ending, _sentences():
        listener = listen(settings.server.host, settings.server.port)
        cluster = None
        if settings.database.database_url is None:
            cluster = _cluster(settings)
            if not cluster.running():
                raise Refusal(
                    f"No database runs in {cluster.home}. `hub up` starts it together with a server; "
                    "or set HUB_DATABASE_URL to one of your own."
                )
        code = _serve(_with_url(settings, cluster), listener, ending)
    sys.exit(code)


@main.command()
def migrate() -> None:
    """Bring the database up to date: migrations, roles, county.

    Works on HUB_DATABASE_URL by way of HUB_OWNER_URL, otherwise on the private database of this folder, which it
    starts for the time if it does not run. Doing it twice changes nothing.
    """
    settings = _settings()
    if settings.database.database_url is not None and settings.database.owner_url is None:
        raise Refusal(
            "HUB_OWNER_URL is not set: the login role of HUB_DATABASE_URL may not migrate. "
            "Set it to a `postgresql://…` of a superuser, or of the database's owner where PostGIS is installed."
        )
    with _database(settings) as cluster:
        _migrate(_with_url(settings, cluster), cluster)
    say("The database is up to date.")


@main.command()
def sdl() -> None:
    """Print the GraphQL schema.

    \b
    Example:
      hub sdl > schema/schema.graphql
    """
    from schema.api import schema

    click.echo(schema.as_str())


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--variables", metavar="JSON", help="The operation's variables, as a JSON object.")
@click.option("--operation", metavar="NAME", help="Which operation, where the file holds several.")
def sql(file: Path, variables: str | None, operation: str | None) -> None:
    """Print the statement that a GraphQL file becomes. Needs no database.

    \b
    Example:
      hub sql tests/queries/areas/wards.graphql --variables '{"first": 5}'
    """
    from hub.sql import explain_file

    given: dict[str, Any] = {}
    if variables is not None:
        try:
            given = json.loads(variables)
        except ValueError as error:
            raise click.BadParameter(f"no JSON: {error}", param_hint="--variables") from None
        if not isinstance(given, dict):
            raise click.BadParameter('an object is needed, like {"first": 5}', param_hint="--variables")
    click.echo(explain_file(file, given, operation))


@main.group()
def journal() -> None:
    """The journal: prove that nothing in it was changed."""


@journal.command()
def verify() -> None:
    """Recompute the whole chain; ends with 1 and names the first bad cursor when an entry was changed or removed."""
    from hub.journal import verify as verified

    settings = _settings()
    with _database(settings) as cluster:
        login = _with_url(settings, cluster).database.database_url
        assert login is not None
        proof = verified(login, say)
    for flaw in proof.flaws:
        say(str(flaw))
    say(f"{proof.entries:,} entries looked at, {proof.erased:,} of them erased by law.")
    if proof.flaws:
        sys.exit(1)
    say("All of them are as they were written.")


@main.command()
@click.option(
    "--anchor",
    "anchor_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Check the journal against the heads in this file, then add today's. Keep the file on another machine.",
)
def doctor(anchor_file: Path | None) -> None:
    """Check this installation and say what to mend.

    Looks at versions, the database's durability, roles and migrations, disk and clock. Where the private database
    does not run, it is started for the time. Ends with 1 when something must be mended, with 0 otherwise.
    """
    from hub.doctor import examine

    settings = _settings()
    findings = []
    if settings.database.database_url is None and not (_cluster(settings).data).exists():
        findings += examine(settings, None)
        say(f"No database yet in {_cluster(settings).home}: `hub up` makes it.")
    else:
        with _database(settings) as cluster:
            whole = _with_url(settings, cluster)
            findings += examine(whole, cluster)
            if anchor_file is not None and not _anchored(whole, anchor_file):
                sys.exit(1)
    for finding in findings:
        say(str(finding))
    if any(finding.must_be_mended for finding in findings):
        sys.exit(1)


main.add_command(user)


@main.group()
def load() -> None:
    """Read lists kept elsewhere: a report first, then all or nothing."""


@load.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--write", "writes", is_flag=True, help="Write it. Without this, only the report is printed.")
def vehicles(file: Path, writes: bool) -> None:
    """Report what a list of vehicles (CSV or XLSX) would add and change; with --write, do it.

    Its first row names the columns: plate and kind, and where they are known call_sign, status and department. Ends
    with 1, and writes nothing, when a row is wrong.

    \b
    Examples:
      hub load vehicles fleet.csv
      hub load vehicles fleet.xlsx --write
    """
    import psycopg

    from hub.loading import CannotLoad, look, read, write

    settings = _settings()
    if settings.database.database_url is not None and settings.database.owner_url is None:
        raise Refusal("HUB_OWNER_URL is not set: the login role of HUB_DATABASE_URL may not load lists.")
    try:
        rows, wrong = read(file)
    except CannotLoad as refusal:
        raise Refusal(str(refusal)) from refusal
    with _database(settings) as cluster:
        owner = _with_url(settings, cluster).database.owner_url
        assert owner is not None
        with psycopg.connect(owner) as connection:
            connection.execute("set role hub_owner")
            report = look(connection, rows, wrong)
            for row in report.added:
                say(f"row {row.number}: {row.plate} is new, {row.kind}")
            for row, changes in report.changed:
                say(f"row {row.number}: {row.plate}, {'; '.join(changes)}")
            for flaw in report.wrong:
                say(flaw)
            counts = f"{len(report.added)} new, {len(report.changed)} changed, {report.same} as they are"
            if report.wrong:
                say(f"{counts}; {len(report.wrong)} mistakes: nothing was written.")
                sys.exit(1)
            if not writes:
                say(f"{counts}. Nothing is written yet: say --write.")
                return
            write(connection, report)
    say(f"{counts}: written.")


@main.command()
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

    settings = _settings()
    if settings.database.database_url is not None:
        raise Refusal("HUB_DATABASE_URL is set: a demonstration is never made in a database of your own.")
    if not settings.database.demonstration:
        raise Refusal("HUB_DEMONSTRATION is off: unset it to make or remove the demonstration.")
    cluster = _cluster(settings)
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
        made = _with_url(settings, cluster)
        _migrate(made, cluster)
        _seed(made, cluster)
    say("The demonstration is made. `hub up` opens it.")


@main.command()
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


# -- what they share ---------------------------------------------------------------------------------------------------


def say(sentence: str) -> None:
    """To the person who started the hub. A terminal that was closed must not keep it from ending well."""
    with suppress(OSError):
        click.echo(sentence)


@contextmanager
def _sentences() -> Iterator[None]:
    """Refusals of the server's and the database's as sentences; the rest stays a traceback, because it is a bug."""
    from hub.serving import CannotListen

    try:
        yield
    except CannotListen as refusal:
        raise Refusal(str(refusal)) from None


def _keys(file: Path) -> dict[str, str]:
    """Device keys by plate, and the token, as somebody wrote them down."""
    try:
        given = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise click.BadParameter(f"{file} holds no JSON: {error}", param_hint="--keys") from None
    if not isinstance(given, dict) or not all(isinstance(key, str) and key for key in given.values()):
        raise click.BadParameter(f'{file}: an object of texts is needed, like {{"DEMO 001": "…"}}', param_hint="--keys")
    return given


def _settings() -> Settings:
    try:
        settings = Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"HUB_{'_'.join(str(part) for part in each['loc'][:1]).upper()}={each['input']}: {each['msg']}"
            for each in error.errors()
        )
        raise Refusal(f"{wrong}. hub/docs/settings.md says what is possible.") from None
    known = {f"HUB_{name.upper()}" for concern in Settings.concerns for name in concern.model_fields}
    for name in sorted(os.environ):
        if name.startswith("HUB_") and name not in known:
            meant = difflib.get_close_matches(name, known, 1)
            click.echo(f"{name} is no setting of the hub{f': {meant[0]} is meant?' if meant else '.'}", err=True)
    return settings


def _cluster(settings: Settings) -> Cluster:
    from hub.database.embedded import Cluster, forget_environment, home_for

    forget_environment()
    return Cluster(home_for(settings.database, say), say)


@contextmanager
def _database(settings: Settings) -> Iterator[Cluster | None]:
    """The private cluster, running for as long as the block, or None where HUB_DATABASE_URL stands for it."""
    if settings.database.database_url is not None:
        yield None
        return
    cluster = _cluster(settings)
    if cluster.running():
        yield cluster
        return
    with cluster:
        _make_databases(settings, cluster)
        yield cluster


def _with_url(settings: Settings, cluster: Cluster | None) -> Settings:
    """The settings with the private cluster's database in them: the demonstration, for as long as it is there."""
    if cluster is None:
        return settings
    name = cluster.opens(settings.database)
    urls = {"database_url": cluster.url(cluster.LOGIN, name), "owner_url": cluster.url(cluster.OWNER, name)}
    return settings.but(database=settings.database.model_copy(update=urls))


def _make_databases(settings: Settings, cluster: Cluster) -> None:
    """The county's database; before it, in a new cluster, the demonstration's: an interrupted start does both again."""
    from hub.database.embedded import DEMONSTRATION

    if settings.database.demonstration and not cluster.has_database("hub"):
        cluster.create_database(DEMONSTRATION)
    cluster.create_database()


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
        _migrate(settings, cluster)
    filled(owner, login, folder)


def _open_demonstration(
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


def _migrate(
    settings: Settings, cluster: Cluster | None, during: Callable[[], AbstractContextManager[None]] = nullcontext
) -> None:
    """The embedded database always; one of the operator's own only by way of the owner that they named."""
    from psycopg import OperationalError

    from hub.county.load import load_county
    from hub.database.migrate import MigrationFailed, migrate, pending

    owner, login = settings.database.owner_url, settings.database.database_url
    assert login is not None
    missing: list[str] = []
    try:
        with during():
            if owner is not None:
                migrate(owner, login, say)
                load_county(owner, say)
            else:
                missing = pending(login)
    except (MigrationFailed, OperationalError) as refusal:
        which = "HUB_DATABASE_URL" if owner is None else "HUB_OWNER_URL"
        whose = "" if cluster is not None else f" (It is the database of {which}.)"
        raise Refusal(" ".join(str(refusal).split()) + whose) from refusal
    if missing:
        raise Refusal(
            f"The database of HUB_DATABASE_URL lacks {', '.join(missing)}, and HUB_OWNER_URL is not set: "
            "set it to a role that may migrate, or run `hub migrate` with it once."
        )


def _anchored(settings: Settings, file: Path) -> bool:
    """Whether the journal still holds every head that the file knows; then the file learns the present one."""
    from hub.journal import check_anchors, drop_anchor

    login = settings.database.database_url
    assert login is not None
    flaws = check_anchors(login, file) if file.exists() else []
    for flaw in flaws:
        say(f"journal: {flaw}")
    if not flaws:
        drop_anchor(login, file)
        say(f"journal: agrees with {file}, which now knows its present head.")
    return not flaws


def _welcome(settings: Settings, address: str, during: Callable[[], AbstractContextManager[None]]) -> None:
    """The one-time link of the first start, for as long as nobody can administer the hub. No password is a default."""
    from hub.users import first_link

    login = settings.database.database_url
    assert login is not None
    with during():
        made = first_link(login, address, settings.sign_in.link_hours)
    if made is not None:
        say(f"Nobody administers this hub yet. Open this link once to become its administrator:\n  {made}")


def _serve(settings: Settings, listener: Any, ending: Any) -> int:
    if settings.server.workers > 1:
        from hub.supervising import supervise

        return supervise(settings, listener, say, ending)
    from hub.app import create_app
    from hub.serving import address_of, serve

    return serve(
        create_app(settings),
        settings.server,
        listener,
        ready=lambda: say(f"Kisumu hub: {address_of(listener)}"),
        ending=ending,
    )


def _with_workers(settings: Settings, workers: int | None) -> Settings:
    """As the command line says, and no more than the private database has room for."""
    if workers is not None:
        server = settings.server.model_copy(update={"workers": workers})
        settings = settings.but(server=server)
    if settings.database.database_url is None and settings.server.workers > 1:
        from hub.database.embedded import SETTINGS
        from hub.supervising import connections_of

        wanted, there = connections_of(settings), int(SETTINGS["max_connections"]) - 5
        if wanted > there:
            raise Refusal(
                f"HUB_WORKERS={settings.server.workers} with HUB_POOL_SIZE={settings.database.pool_size} may take "
                f"{wanted} connections, and the private database has room for {there}: lower one of them."
            )
    return settings


def _address(settings: Settings) -> str:
    server = settings.server
    return f"http://{server.host}:{server.port}" if server.port else ""


if __name__ == "__main__":
    main()
