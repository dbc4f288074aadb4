"""Accounts, from the terminal of the hub's machine: `hub user …`, and the one-time link of the first start.

Nobody ever types or sees another one's password: an account is made with a link that opens once, on a page where its
person chooses the name that others read and the password. There is no default password anywhere.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import click
import psycopg
from psycopg.rows import namedtuple_row

from hub.identity.sign_ins import SIGNS_AFTER, said
from hub.identity.tokens import digest
from hub.settings import Settings
from schema.access import ACCESS, Scope
from schema.errors import HubError

FIRST = "administrator"
"""Sign-in name of the person who is made when there is nobody yet."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}[a-z0-9]")


class UserRefused(click.ClickException):
    """What cannot be done with an account and the way out, as one plain sentence."""

    def show(self, file: Any = None) -> None:
        click.echo(self.message, file=file, err=True)


@dataclass(frozen=True)
class User:
    """One line of `hub user list`."""

    name: str
    display_name: str
    roles: list[str]
    areas: list[str]
    state: str
    """invited, active or disabled."""
    last_seen: datetime | None


# -- what can be done --------------------------------------------------------------------------------------------------


@contextmanager
def accounts(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that acts as the hub's own service: all of the block or nothing of it."""
    try:
        with psycopg.connect(url, application_name="hub user", row_factory=namedtuple_row) as connection:
            connection.execute(f"set role {Scope.SERVICE}".encode())
            yield connection
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedObject, psycopg.errors.InvalidParameterValue):
        raise UserRefused("This database has no accounts yet: `hub migrate` brings it up to date.") from None
    except psycopg.OperationalError as error:
        raise UserRefused(f"The database does not answer: {' '.join(str(error).split())}") from None


def add(
    connection: psycopg.Connection[Any],
    name: str,
    display_name: str | None = None,
    roles: Sequence[str] = (),
    areas: Sequence[str] = (),
) -> str:
    """Make an account; its sign-in name in lower case. Nobody can sign in to it before its link was used."""
    name = name.strip().lower()
    if not _NAME.fullmatch(name):
        raise UserRefused(
            f"“{name}” is no sign-in name: 2 to 64 letters from a to z or figures, and . - _ between them."
        )
    try:
        shown = said(display_name or name)
    except HubError as error:
        raise UserRefused(str(error)) from None
    made = connection.execute(
        "insert into people (name, display_name) values (%s, %s) on conflict (name) do nothing returning id",
        (name, shown),
    ).fetchone()
    if made is None:
        raise UserRefused(f"There is somebody called {name} already; names are never given twice.")
    _grant(connection, made.id, [_role(role) for role in roles])
    _place(connection, made.id, _areas(connection, areas))
    return name


def change_roles(
    connection: psycopg.Connection[Any], name: str, gained: Sequence[str], lost: Sequence[str]
) -> list[str]:
    """Give and take roles; the person signs in anew. The roles that are held then."""
    person = _person(connection, name)
    gained, lost = [_role(role) for role in gained], [_role(role) for role in lost]
    if both := sorted(set(gained) & set(lost)):
        raise UserRefused(f"{', '.join(both)} cannot be given and taken at once.")
    taken = connection.execute(
        "update person_roles set revoked_at = greatest(now(), granted_at) "
        "where person_id = %s and role = any(%s) and revoked_at is null",
        (person, list(lost)),
    ).rowcount
    if _grant(connection, person, gained) + taken:
        _end_sign_ins(connection, person, "rights")
    held = connection.execute(
        "select role from person_roles where person_id = %s and revoked_at is null order by role", (person,)
    )
    return [row.role for row in held]


def change_areas(
    connection: psycopg.Connection[Any], name: str, gained: Sequence[str], lost: Sequence[str]
) -> list[str]:
    """Put somebody in charge of units of the county, by their codes, or no longer. The codes that are held then."""
    person = _person(connection, name)
    ended = connection.execute(
        "update person_areas set until = greatest(now(), since) "
        "where person_id = %s and area_id = any(%s) and until is null",
        (person, _areas(connection, lost)),
    ).rowcount
    if _place(connection, person, _areas(connection, gained)) + ended:
        _end_sign_ins(connection, person, "rights")
    held = connection.execute(
        "select code from person_areas join areas on areas.id = area_id where person_id = %s and until is null "
        "order by code",
        (person,),
    )
    return [row.code for row in held]


def disable(connection: psycopg.Connection[Any], name: str) -> bool:
    """Close an account: its sign-ins and links end. False when it was closed before."""
    person = _person(connection, name)
    closed = connection.execute(
        "update people set disabled_at = now(), version = version + 1 where id = %s and disabled_at is null", (person,)
    ).rowcount
    _end_sign_ins(connection, person, "disabled")
    _end_links(connection, person)
    return bool(closed)


def enable(connection: psycopg.Connection[Any], name: str) -> bool:
    """Open a closed account again, with the password that it had. False when it was open."""
    opened = connection.execute(
        "update people set disabled_at = null, version = version + 1 where id = %s and disabled_at is not null",
        (_person(connection, name),),
    ).rowcount
    return bool(opened)


def link(connection: psycopg.Connection[Any], name: str, base_url: str, hours: float) -> str:
    """A one-time link by which the person chooses a password; older ones end. Shown once, kept as a digest."""
    person = _person(connection, name)
    if connection.execute("select 1 from people where id = %s and disabled_at is not null", (person,)).fetchone():
        raise UserRefused(f"The account of {name} is closed: `hub user enable {name}` opens it again.")
    _end_links(connection, person)
    code = secrets.token_urlsafe(32)
    connection.execute(
        "insert into invitations (person_id, digest, expires_at) values (%s, %s, now() + %s)",
        (person, digest(code), timedelta(hours=hours)),
    )
    # After the #, so that the code is in no request, no log and no Referer.
    return f"{base_url.rstrip('/')}/welcome#{code}"


def listed(connection: psycopg.Connection[Any]) -> list[User]:
    """Everybody, in the order of their names."""
    rows = connection.execute(
        """
        select name, display_name,
          array(select role from person_roles r where r.person_id = p.id and revoked_at is null order by role) as roles,
          array(select code from person_areas h join areas a on a.id = h.area_id
                where h.person_id = p.id and until is null order by code) as areas,
          case when disabled_at is not null then 'disabled'
            when exists (select from credentials c where c.person_id = p.id) then 'active'
            else 'invited' end as state,
          (select max(created_at) from sign_ins s where s.person_id = p.id) as last_seen
        from people p order by name
        """
    )
    return [User(*row) for row in rows]


def first_link(login_url: str, base_url: str, hours: float = 24) -> str | None:
    """The link that the first start prints: for as long as no administrator has a password, each start makes a new
    one and the former ends. None once somebody can administer the hub."""
    with accounts(login_url) as connection:
        # Two hubs may start at once on one database: the second finds what the first made.
        connection.execute("select pg_advisory_xact_lock(hashtext('first_link'))")
        administrators = connection.execute(
            "select name, exists (select from credentials c where c.person_id = p.id) as chosen "
            "from people p join person_roles r on r.person_id = p.id "
            "where r.role = 'administrator' and r.revoked_at is null and p.disabled_at is null order by p.id"
        ).fetchall()
        if any(one.chosen for one in administrators):
            return None
        if administrators:
            return link(connection, administrators[0].name, base_url, hours)
        if connection.execute("select 1 from people limit 1").fetchone():
            return None  # somebody took the last administrator away on purpose; `hub user` gives another
        return link(connection, add(connection, FIRST, "Administrator", ["administrator"]), base_url, hours)


def new_key(connection: psycopg.Connection[Any], longest: timedelta, *, at_once: bool) -> None:
    """Another key for tokens. The former stays good until its last token has expired, those before it end now; with
    `at_once` all of them end now, and everybody signs in anew."""
    connection.execute("select pg_advisory_xact_lock(hashtext('token_keys'))")
    if not at_once and connection.execute("select 1 from token_keys where signs_from > now()").fetchone():
        raise UserRefused("A key was made within the last minute and does not sign yet: wait for it.")
    wait = timedelta(0) if at_once else SIGNS_AFTER
    connection.execute(
        "update token_keys set valid_until = now() where (valid_until is null or valid_until > now()) "
        "and (%s or id <> (select id from token_keys order by signs_from desc limit 1))",
        (at_once,),
    )
    connection.execute(
        "update token_keys set valid_until = now() + %s where valid_until is null or valid_until > now() + %s",
        (wait + longest, wait + longest),
    )
    connection.execute(
        "insert into token_keys (id, secret, signs_from) values (%s, %s, now() + %s)",
        (secrets.token_hex(4), secrets.token_bytes(32), wait),
    )


def _person(connection: psycopg.Connection[Any], name: str) -> Any:
    found = connection.execute("select id from people where name = %s", (name.strip().lower(),)).fetchone()
    if found is None:
        raise UserRefused(f"There is nobody called {name}; `hub user list` says who there is.")
    return found.id


def _role(role: str) -> str:
    plain = role.strip().lower().replace("-", "_")
    if plain not in ACCESS.personal:
        raise UserRefused(f"“{role}” is no role. There are {', '.join(ACCESS.personal)}.")
    return plain


def _areas(connection: psycopg.Connection[Any], codes: Sequence[str]) -> list[Any]:
    found = []
    for code in codes:
        area = connection.execute("select id from areas where code = %s", (code.strip(),)).fetchone()
        if area is None:
            raise UserRefused(
                f"No unit of the county has the code {code}: wards have 1186 to 1220, sub-counties 238 to 244."
            )
        found.append(area.id)
    return found


def _grant(connection: psycopg.Connection[Any], person: Any, roles: Sequence[str]) -> int:
    return connection.execute(
        "insert into person_roles (person_id, role) select %s, unnest(%s::text[]) "
        "on conflict (person_id, role) where revoked_at is null do nothing",
        (person, sorted(set(roles))),
    ).rowcount


def _place(connection: psycopg.Connection[Any], person: Any, areas: Sequence[Any]) -> int:
    return connection.execute(
        "insert into person_areas (person_id, area_id) select %s, unnest(%s::uuid[]) "
        "on conflict (person_id, area_id) where until is null do nothing",
        (person, list(dict.fromkeys(areas))),
    ).rowcount


def _end_sign_ins(connection: psycopg.Connection[Any], person: Any, why: str) -> None:
    connection.execute(
        "update sign_ins set revoked_at = now(), revoked_reason = %s where person_id = %s and revoked_at is null "
        "and expires_at > now()",
        (why, person),
    )


def _end_links(connection: psycopg.Connection[Any], person: Any) -> None:
    # now() is when we began: what we waited for may have been made since.
    connection.execute(
        "update invitations set expires_at = greatest(now(), created_at) "
        "where person_id = %s and used_at is null and expires_at > now()",
        (person,),
    )


# -- commands ----------------------------------------------------------------------------------------------------------

ROLE_HELP = "Role to give; may be said several times. " + ", ".join(ACCESS.personal) + "."


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def user() -> None:
    """People who sign in: make accounts, give and take roles, close accounts.

    Works on HUB_DATABASE_URL, otherwise on the private database of this folder, which is started for the time if it
    does not run. What is taken from somebody who is signed in acts within ten seconds.
    """


_ADDRESS = click.option(
    "--address", metavar="URL", help="Where the person reaches the hub. Default: HUB_HOST and HUB_PORT on this machine."
)


@user.command("add")
@click.argument("name")
@click.option("--display", metavar="TEXT", help="What the others read; the person can change it with the link.")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help=ROLE_HELP)
@click.option("--area", "areas", multiple=True, metavar="CODE", help="Ward or sub-county by its code; several times.")
@_ADDRESS
def add_command(name: str, display: str | None, roles: tuple[str, ...], areas: tuple[str, ...], address: str) -> None:
    """Make an account and print the one-time link by which its person chooses a password.

    \b
    Examples:
      hub user add achieng --display "Achieng Otieno" --role dispatcher
      hub user add okello --role ward_administrator --area 1208
    """
    settings = Settings()
    with _connected(settings) as connection:
        name = add(connection, name, display, roles, areas)
        made = link(connection, name, address or _here(settings), settings.sign_in.link_hours)
    click.echo(f"Made the account {name}.")
    narrow = [_role(role) for role in roles if ACCESS.roles[_role(role)].scope is Scope.AREA]
    if narrow and not areas:
        click.echo(f"As {', '.join(narrow)} {name} sees nothing before `hub user area {name} +CODE`.")
    _hand_over(made, settings.sign_in.link_hours)


@user.command("role", context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("changes", nargs=-1, required=True, metavar="+ROLE|-ROLE...")
def role_command(name: str, changes: tuple[str, ...]) -> None:
    """Give (+) and take (-) roles. The person signs in anew.

    \b
    Example:
      hub user role achieng +coordinator -dispatcher
    """
    gained, lost = _signed(changes, "role")
    with _connected(Settings()) as connection:
        held = change_roles(connection, name, gained, lost)
    click.echo(f"{name} now holds {', '.join(held) if held else 'no role'}.")


@user.command("area", context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("changes", nargs=-1, required=True, metavar="+CODE|-CODE...")
def area_command(name: str, changes: tuple[str, ...]) -> None:
    """Put somebody in charge of wards and sub-counties (+), or no longer (-). The person signs in anew.

    \b
    Example:
      hub user area okello +1208 -1210
    """
    gained, lost = _signed(changes, "code")
    with _connected(Settings()) as connection:
        held = change_areas(connection, name, gained, lost)
    click.echo(f"{name} now answers for {', '.join(held) if held else 'no unit of the county'}.")


@user.command("disable")
@click.argument("name")
def disable_command(name: str) -> None:
    """Close an account: its person is signed out everywhere within ten seconds. What they did stays theirs."""
    with _connected(Settings()) as connection:
        closed = disable(connection, name)
        left = [one for one in listed(connection) if "administrator" in one.roles and one.state == "active"]
    click.echo(f"The account of {name} is closed." if closed else f"The account of {name} was closed before.")
    if not left:
        click.echo("No administrator can sign in now: `hub user role NAME +administrator` makes one.")


@user.command("enable")
@click.argument("name")
def enable_command(name: str) -> None:
    """Open a closed account again, with the password and the roles that it had."""
    with _connected(Settings()) as connection:
        opened = enable(connection, name)
    click.echo(f"The account of {name} is open." if opened else f"The account of {name} was open before.")


@user.command("list")
def list_command() -> None:
    """Print everybody with roles, areas and state (invited: the link was not used yet)."""
    with _connected(Settings()) as connection:
        people = listed(connection)
    if not people:
        click.echo("There is nobody yet: `hub user add NAME --role administrator` makes the first account.")
        return
    table = [("name", "called", "roles", "areas", "state", "last signed in")] + [
        (
            one.name,
            one.display_name,
            ", ".join(one.roles) or "-",
            ", ".join(one.areas) or "-",
            one.state,
            f"{one.last_seen:%Y-%m-%d %H:%M} UTC" if one.last_seen else "-",
        )
        for one in people
    ]
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    for row in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@user.command("link")
@click.argument("name")
@_ADDRESS
def link_command(name: str, address: str | None) -> None:
    """Print a new one-time link for somebody who lost the first one or the password. Older links end."""
    settings = Settings()
    with _connected(settings) as connection:
        made = link(connection, name, address or _here(settings), settings.sign_in.link_hours)
    _hand_over(made, settings.sign_in.link_hours)


@user.command("new-key")
@click.option("--at-once", is_flag=True, help="End every token now, for a key that leaked: everybody signs in anew.")
def new_key_command(at_once: bool) -> None:
    """Make a new key for tokens. It signs a minute from now; the former is good until its last token has expired."""
    settings = Settings()
    with _connected(settings) as connection:
        new_key(connection, timedelta(hours=settings.sign_in.token_hours), at_once=at_once)
    click.echo("Everybody signs in anew." if at_once else "The new key signs in a minute. Nobody has to sign in anew.")


def _signed(changes: Sequence[str], what: str) -> tuple[list[str], list[str]]:
    if wrong := [change for change in changes if change[:1] not in "+-" or not change[1:]]:
        raise UserRefused(f"“{wrong[0]}”: say +{what} to give and -{what} to take.")
    return [each[1:] for each in changes if each[0] == "+"], [each[1:] for each in changes if each[0] == "-"]


def _hand_over(made: str, hours: float) -> None:
    click.echo(f"Hand over this link; it opens once, within {hours:g} hours:\n  {made}")


def _here(settings: Settings) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.server.host, settings.server.host)  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.server.port}"


@contextmanager
def _connected(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """The service's connection, with the private database running for as long as the block."""
    from hub.opening import cluster_of, database_of, with_url

    if settings.database.database_url is None and not (cluster := cluster_of(settings)).data.exists():
        raise UserRefused(f"No database yet in {cluster.home}: `hub up` makes it.")
    with database_of(settings) as running:
        login = with_url(settings, running).database.database_url
        assert login is not None
        with accounts(login) as connection:
            yield connection
