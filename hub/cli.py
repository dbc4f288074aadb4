"""`hub …`: what an operator types. Each command imports what it needs when it runs, so that help is there at once."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub.backup_commands import backup, restore
from hub.database.installations import ClusterFailed
from hub.demonstration.commands import open_demonstration, seed, simulate
from hub.load_commands import boundaries, load
from hub.opening import (
    Refusal,
    bring_up_to_date,
    cluster_of,
    database_of,
    make_databases,
    say,
    settings_read,
    with_url,
)
from hub.settings import Settings
from hub.users import user

if TYPE_CHECKING:
    pass


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

    settings = _with_workers(settings_read(), workers)
    code = 0
    play: subprocess.Popen[bytes] | None = None
    with Ending(say).caught() as ending, _sentences():
        try:
            if settings.database.database_url is None:
                ending.cluster = cluster_of(settings)
                # Before the port: a second hub from the same folder should hear of the first one, not of a port.
                ending.cluster.lock(_address(settings))
            listener = listen(settings.server.host, settings.server.port)
            if ending.cluster is not None:
                ending.cluster.lock(address_of(listener))
                with ending.preparing():
                    ending.cluster.start()
                with ending.preparing():
                    make_databases(settings, ending.cluster)
            settings = with_url(settings, ending.cluster)
            bring_up_to_date(settings, ending.cluster, ending.preparing)
            address = address_of(listener)
            if ending.cluster is not None and ending.cluster.opens(settings.database) == DEMONSTRATION:
                play = open_demonstration(settings, ending.cluster, address, ending.preparing)
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

    settings = _with_workers(settings_read(), workers)
    code = 0
    with Ending(say).caught() as ending, _sentences():
        listener = listen(settings.server.host, settings.server.port)
        cluster = None
        if settings.database.database_url is None:
            cluster = cluster_of(settings)
            if not cluster.running():
                raise Refusal(
                    f"No database runs in {cluster.home}. `hub up` starts it together with a server; "
                    "or set HUB_DATABASE_URL to one of your own."
                )
        code = _serve(with_url(settings, cluster), listener, ending)
    sys.exit(code)


@main.command()
def migrate() -> None:
    """Bring the database up to date: migrations, roles, county.

    Works on HUB_DATABASE_URL by way of HUB_OWNER_URL, otherwise on the private database of this folder, which it
    starts for the time if it does not run. Doing it twice changes nothing.
    """
    settings = settings_read()
    if settings.database.database_url is not None and settings.database.owner_url is None:
        raise Refusal(
            "HUB_OWNER_URL is not set: the login role of HUB_DATABASE_URL may not migrate. "
            "Set it to a `postgresql://…` of a superuser, or of the database's owner where PostGIS is installed."
        )
    with database_of(settings) as cluster:
        bring_up_to_date(with_url(settings, cluster), cluster)
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
    from hub.sql import compiled_file, shown
    from hub.watch.statements import fingerprint

    given: dict[str, Any] = {}
    if variables is not None:
        try:
            given = json.loads(variables)
        except ValueError as error:
            raise click.BadParameter(f"no JSON: {error}", param_hint="--variables") from None
        if not isinstance(given, dict):
            raise click.BadParameter('an object is needed, like {"first": 5}', param_hint="--variables")
    statement, parameters = compiled_file(file, given, operation)
    click.echo(f"{shown(statement, parameters)}-- Its fingerprint in the log: {fingerprint(statement)}\n")


@main.group()
def journal() -> None:
    """The journal: prove that nothing in it was changed."""


@journal.command()
def verify() -> None:
    """Recompute the whole chain; ends with 1 and names the first bad cursor when an entry was changed or removed."""
    from hub.journal import verify as verified

    settings = settings_read()
    with database_of(settings) as cluster:
        login = with_url(settings, cluster).database.database_url
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

    settings = settings_read()
    findings = []
    if settings.database.database_url is None and not (cluster_of(settings).data).exists():
        findings += examine(settings, None)
        say(f"No database yet in {cluster_of(settings).home}: `hub up` makes it.")
    else:
        with database_of(settings) as cluster:
            whole = with_url(settings, cluster)
            findings += examine(whole, cluster)
            if anchor_file is not None and not _anchored(whole, anchor_file):
                sys.exit(1)
    for finding in findings:
        say(str(finding))
    if any(finding.must_be_mended for finding in findings):
        sys.exit(1)


main.add_command(user)


main.add_command(backup)
main.add_command(restore)
main.add_command(load)
main.add_command(boundaries)
main.add_command(seed)
main.add_command(simulate)


# -- what they share ---------------------------------------------------------------------------------------------------


@contextmanager
def _sentences() -> Iterator[None]:
    """Refusals of the server's and the database's as sentences; the rest stays a traceback, because it is a bug."""
    from hub.serving import CannotListen

    try:
        yield
    except CannotListen as refusal:
        raise Refusal(str(refusal)) from None


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
