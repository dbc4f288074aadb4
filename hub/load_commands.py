"""`hub load …` and `hub boundaries …`: lists and outlines that are kept elsewhere."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from hub.opening import Refusal, database_of, say, settings_read, with_url


@click.group()
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

    settings = settings_read()
    if settings.database.database_url is not None and settings.database.owner_url is None:
        raise Refusal("HUB_OWNER_URL is not set: the login role of HUB_DATABASE_URL may not load lists.")
    try:
        rows, wrong = read(file)
    except CannotLoad as refusal:
        raise Refusal(str(refusal)) from refusal
    with database_of(settings) as cluster:
        owner = with_url(settings, cluster).database.owner_url
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


@load.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--level", type=click.Choice(["ward", "sub_county"]), default="ward", show_default=True, help="What it draws."
)
@click.option("--layer", help="The file's layer, where it has several.")
@click.option(
    "--columns", "given", multiple=True, metavar="WHAT=COLUMN", help="Which column is name, code, parent, county."
)
@click.option("--source", "slug", help="Short name that the version gets: letters, digits, hyphens.")
@click.option("--title", help="What the data set is called. Unset: the file's name.")
@click.option("--publisher", default="Not said", help="Who made it.")
@click.option("--published", type=click.DateTime(["%Y-%m-%d"]), help="When it was published.")
@click.option("--licence", help="Its licence, such as CC-BY-4.0.")
@click.option("--attribution", help="How its maker wants to be named. Unset: the publisher.")
@click.option("--from", "from_day", type=click.DateTime(["%Y-%m-%d"]), help="First day that it holds. Unset: today.")
@click.option(
    "--generalised", type=click.IntRange(1), metavar="METERS", help="How far its lines may be off. Unset: surveyed."
)
@click.option("--dry-run", is_flag=True, help="Print the report, and write nothing.")
@click.option("--looked-at", is_flag=True, help="Write although the report says LOOK: somebody did.")
@click.option("--activate", is_flag=True, help="And follow it from its first day on.")
def areas(
    file: Path, level: str, layer: str | None, given: tuple[str, ...], slug: str | None, title: str | None,
    publisher: str, published: datetime | None, licence: str | None, attribution: str | None,
    from_day: datetime | None, generalised: int | None, dry_run: bool, looked_at: bool, activate: bool,
) -> None:  # fmt: skip
    """Load official outlines of wards or sub-counties, after a report of how they differ from what the hub holds.

    FILE is what GDAL reads: Shapefile, GeoPackage, GeoJSON, zipped or not, in any reference system; of a national file
    the county's features are taken. What is loaded stands beside what is followed, until it is activated here or by
    `hub boundaries use`. Ends with 1, and writes nothing, when a unit is missing or the report says LOOK.

    \b
    Examples:
      hub load areas ken_admbnda_adm3.zip --dry-run
      hub load areas wards.gpkg --source iebc-2026 --publisher IEBC --activate
      hub load areas wards.shp --columns name=WARD_NM --columns code=WARD_ID --dry-run
    """
    import psycopg

    from hub import boundaries
    from hub.loading import CannotLoad

    settings = settings_read()
    if settings.database.database_url is not None and settings.database.owner_url is None:
        raise Refusal("HUB_OWNER_URL is not set: the login role of HUB_DATABASE_URL may not load outlines.")
    if not dry_run and not slug:
        raise Refusal("--source is missing: say what the version shall be called, or --dry-run.")
    named = dict(each.partition("=")[::2] for each in given)
    if unknown := named.keys() - {"name", "code", "parent", "county"}:
        raise Refusal(f"--columns {min(unknown)}=…: say name, code, parent or county.")
    with database_of(settings) as cluster:
        owner = with_url(settings, cluster).database.owner_url
        assert owner is not None
        try:
            with psycopg.connect(owner) as connection:
                connection.execute("set role hub_owner")
                held = boundaries.units(connection, level)  # type: ignore[arg-type]
                columns, crs, drawn, others = boundaries.read(
                    file, level, named, boundaries.plain("Kisumu"), connection, layer  # type: ignore[arg-type]
                )  # fmt: skip
                report = boundaries.look(columns, crs, drawn, held, boundaries.waters(connection), others)
                for line in boundaries.told(report):
                    say(line)
                if dry_run:
                    return
                if report.wrong or (report.doubts and not looked_at):
                    say("Nothing was written" + ("." if report.wrong else ": say --looked-at once you did."))
                    sys.exit(1)
                today = datetime.now(ZoneInfo("Africa/Nairobi")).date()
                day = from_day.date() if from_day else today
                assert slug is not None
                source = boundaries.Source(
                    slug, title or file.name, publisher, attribution or publisher,
                    published.date() if published else None, licence,
                )  # fmt: skip
                many = boundaries.write(connection, report, level, held, source, day, generalised)  # type: ignore[arg-type]
                say(f"{many} outlines are stored as {slug}, from {day} on.")
                if activate:
                    boundaries.follow(connection, slug, day, today)
                    say("They are followed. `hub boundaries` lists the versions, `hub boundaries use` goes back.")
        except CannotLoad as refusal:
            raise Refusal(str(refusal)) from refusal
        except psycopg.errors.IntegrityError as error:
            raise Refusal(f"The database refuses it: {error.diag.message_primary}. Nothing was written.") from error


@click.group(invoke_without_command=True)
@click.pass_context
def boundaries(context: click.Context) -> None:
    """List the versions of outlines, and which is followed; `use` chooses another."""
    if context.invoked_subcommand is not None:
        return
    import psycopg

    from hub.boundaries import versions

    settings = settings_read()
    with database_of(settings) as cluster:
        owner = with_url(settings, cluster).database.owner_url
        if owner is None:
            raise Refusal("HUB_OWNER_URL is not set: the login role of HUB_DATABASE_URL may not choose outlines.")
        with psycopg.connect(owner) as connection:
            connection.execute("set role hub_owner")
            for row in versions(connection):
                shown = f"{row['units']} units, {row['followed']} followed today"
                say(f"{row['slug']}: {row['title']}; from {row['since']}, {shown}")


@boundaries.command()
@click.argument("slug")
@click.option("--from", "from_day", type=click.DateTime(["%Y-%m-%d"]), help="First day. Unset: today.")
def use(slug: str, from_day: datetime | None) -> None:
    """Follow the outlines of a source from a day on: also the way back. Nothing is lost; facts of both stay on record.

    \b
    Examples:
      hub boundaries use iebc-2026
      hub boundaries use omare-2017
    """
    import psycopg

    from hub.boundaries import follow
    from hub.loading import CannotLoad

    settings = settings_read()
    today = datetime.now(ZoneInfo("Africa/Nairobi")).date()
    day = from_day.date() if from_day else today
    with database_of(settings) as cluster:
        owner = with_url(settings, cluster).database.owner_url
        if owner is None:
            raise Refusal("HUB_OWNER_URL is not set: the login role of HUB_DATABASE_URL may not choose outlines.")
        try:
            with psycopg.connect(owner) as connection:
                connection.execute("set role hub_owner")
                say(f"{follow(connection, slug, day, today)} outlines of {slug} are followed from {day} on.")
        except CannotLoad as refusal:
            raise Refusal(str(refusal)) from refusal
