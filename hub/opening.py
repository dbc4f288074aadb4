"""What every command stands on: settings as the operator gave them, the database that they mean, and plain refusals."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from hub.settings import Settings

if TYPE_CHECKING:
    from hub.database.embedded import Cluster


class Refusal(click.ClickException):
    """What cannot be done and the way out, as one plain sentence."""

    def show(self, file: Any = None) -> None:
        click.echo(self.message, file=file, err=True)


def say(sentence: str) -> None:
    """To the person who started the hub. A terminal that was closed must not keep it from ending well."""
    with suppress(OSError):
        click.echo(sentence)


def settings_read() -> Settings:
    """The settings of this process. A wrong one is refused by its name, one that nobody knows is told."""
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


def cluster_of(settings: Settings) -> Cluster:
    """The private cluster of this folder, running or not."""
    from hub.database.embedded import Cluster, forget_environment, home_for

    forget_environment()
    return Cluster(home_for(settings.database, say), say)


@contextmanager
def database_of(settings: Settings) -> Iterator[Cluster | None]:
    """The private cluster, running for as long as the block, or None where HUB_DATABASE_URL stands for it."""
    if settings.database.database_url is not None:
        yield None
        return
    cluster = cluster_of(settings)
    if cluster.running():
        yield cluster
        return
    with cluster:
        make_databases(settings, cluster)
        yield cluster


def with_url(settings: Settings, cluster: Cluster | None) -> Settings:
    """The settings with the private cluster's database in them: the demonstration, for as long as it is there."""
    if cluster is None:
        return settings
    name = cluster.opens(settings.database)
    urls = {"database_url": cluster.url(cluster.LOGIN, name), "owner_url": cluster.url(cluster.OWNER, name)}
    # Whoever watches the disk must know where the data lies.
    return settings.but(database=settings.database.model_copy(update={**urls, "home": cluster.home}))


def make_databases(settings: Settings, cluster: Cluster) -> None:
    """The county's database; before it, in a new cluster, the demonstration's: an interrupted start does both again."""
    from hub.database.embedded import DEMONSTRATION

    if settings.database.demonstration and not cluster.has_database("hub"):
        cluster.create_database(DEMONSTRATION)
    cluster.create_database()


def bring_up_to_date(
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
