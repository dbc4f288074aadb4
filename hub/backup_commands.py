"""`hub backup` and `hub restore`."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from hub.opening import Refusal, cluster_of, say, settings_read


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--follow", is_flag=True, help="Receive the log as it comes, until stopped: the way to any second.")
@click.option("--keep", type=click.IntRange(1), default=14, show_default=True, help="Days that stay restorable.")
def backup(folder: Path, follow: bool, keep: int) -> None:
    """Copy the private database into FOLDER while the hub works.

    The copy is verified. FOLDER belongs on another disk.

    \b
    Examples:
      hub backup /mnt/backup --follow     # always running: at most some seconds are lost
      hub backup /mnt/backup              # once a day
    """
    from hub import backup as backups

    settings = settings_read()
    if settings.database.database_url is not None:
        raise Refusal("HUB_DATABASE_URL is set: back up that server by its own means; hub/docs/production.md says how.")
    cluster = cluster_of(settings)
    if not cluster.running():
        raise Refusal("The database does not run: start the hub (`make up`), and back it up meanwhile.")
    if follow:
        sys.exit(backups.follow(cluster, folder, say))
    backups.take(cluster, folder, keep, say)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--home", required=True, type=click.Path(path_type=Path), help="A new folder for the database: HUB_HOME.")
@click.option("--to", metavar="TIME", help="2026-11-28T06:00:00+03:00; without a zone in Kenya. Unset: the latest.")
def restore(folder: Path, home: Path, to: str | None) -> None:
    """Make a new home from the backups in FOLDER, as it was at TIME.

    Its journal is verified. Nothing that is there is replaced.

    \b
    Examples:
      hub restore /mnt/backup --home /var/lib/kisumu-hub-restored --to "2026-11-28 05:59:30"
      HUB_HOME=/var/lib/kisumu-hub-restored hub up
    """
    import psycopg

    from hub import backup as backups
    from hub.database.embedded import Cluster
    from hub.journal import verify

    moment = None
    if to is not None:
        try:
            moment = datetime.fromisoformat(to)
        except ValueError:
            raise Refusal(f"--to {to}: send a time such as 2026-11-28T06:00:00+03:00.") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=ZoneInfo("Africa/Nairobi"))
    last = backups.restore(folder, home, moment, say)
    say(f"The last change is of {last.astimezone(ZoneInfo('Africa/Nairobi')).isoformat(timespec='milliseconds')}.")
    cluster = Cluster(home, say)
    with cluster:
        if not cluster.has_database("hub"):
            raise Refusal("The backup holds no database `hub`.")
        with psycopg.connect(cluster.url(cluster.OWNER)) as connection:
            for table in ("incidents", "incident_entries", "vehicles", "positions", "patrols", "journal"):
                (many,) = connection.execute(f"select count(*) from {table}".encode()).fetchone() or (0,)  # noqa: S608
                say(f"{table}: {many:,}")
        proof = verify(cluster.url(cluster.LOGIN), say)
    for flaw in proof.flaws:
        say(str(flaw))
    if proof.flaws:
        raise Refusal("The journal does not prove itself: do not work with this copy before somebody knows why.")
    say(f"Journal: {proof.entries:,} entries, all as they were written. Start it: HUB_HOME={home} hub up")
