"""What a database must have before the first migration and beside it: extensions, roles, and who may do what in it.

Roles belong to the whole cluster while migrations belong to one database, and several databases of a cluster may be
migrated at once: whatever touches roles looks first, changes only what differs, and tries again when another was first.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict

from hub.database.policies import JOURNAL, OWNER
from schema.access import Scope

Say = Callable[[str], None]

OLDEST = 150000
"""PostgreSQL 15: `security_invoker` views need it."""

EXTENSIONS = ("postgis", "btree_gist")

LEAKPROOF = (
    "geometry_overlaps(geometry, geometry)",
    "geometry_contains(geometry, geometry)",
    "geometry_within(geometry, geometry)",
)
"""PostGIS functions behind `&&`, `~` and `@`: they compare boxes, fail on no value and tell nothing but the answer.

Marked leakproof, a spatial index may be searched before a policy has looked at each row; unmarked, an area-scoped
caller's box reads the whole table.
"""


class MigrationFailed(RuntimeError):
    """The database cannot be brought up to date; the message says why and what to do, for a person at a terminal."""


def check_server(connection: psycopg.Connection) -> None:
    """Refuse a server that is too old, or one that takes no changes, before anything is changed."""
    if connection.info.server_version < OLDEST:
        raise MigrationFailed(
            "The hub needs PostgreSQL 15 or newer; this server is "
            f"{connection.info.parameter_status('server_version')}."
        )
    if _one(connection, "select pg_is_in_recovery()"):
        raise MigrationFailed("This server is a standby and takes no changes: migrate its primary.")


def make_extensions(connection: psycopg.Connection) -> None:
    """PostGIS, and the index support for "no two at a time"."""
    for name in EXTENSIONS:
        place = _one(
            connection,
            "select nspname from pg_extension join pg_namespace n on n.oid = extnamespace where extname = %s",
            name,
        )
        if place == "public":
            continue
        if place:
            raise MigrationFailed(
                f"The extension {name} is installed in the schema {place}; the hub expects it in public. "
                f"Move it with `alter extension {name} set schema public` where it can be moved, or give the hub a "
                "database of its own."
            )
        try:
            connection.execute(sql.SQL("create extension {} with schema public").format(sql.Identifier(name)))
        except errors.InsufficientPrivilege as error:
            raise MigrationFailed(
                f"The role {_user(connection)} may not create the extension {name} in the database "
                f'"{connection.info.dbname}". Let a superuser run `create extension {name}` there once, then start '
                "again."
            ) from error
        except (errors.UndefinedFile, errors.FeatureNotSupported) as error:
            package = (
                "PostGIS (on Debian `postgresql-postgis`)" if name == "postgis" else "PostgreSQL's contrib modules"
            )
            raise MigrationFailed(
                f"The database server lacks the extension {name}: install {package} beside it, then start again."
            ) from error


def make_roles(connection: psycopg.Connection) -> None:
    """The owner, the journal's hand and the scopes: roles that nobody logs in as."""
    for name in (OWNER, JOURNAL, *Scope):
        if not _one(connection, "select exists (select from pg_roles where rolname = %s)", name):
            _settle(connection, sql.SQL("create role {} nologin").format(sql.Identifier(name)), "create roles")
        strong = _one(
            connection,
            "select rolsuper or rolcreaterole or rolcreatedb or rolbypassrls or rolreplication or rolcanlogin "
            "from pg_roles where rolname = %s",
            name,
        )
        if strong:
            raise MigrationFailed(
                f"The role {name} may log in, or has rights over the whole server. It must have none of that: "
                f"`alter role {name} nologin nosuperuser nocreaterole nocreatedb nobypassrls noreplication`."
            )
    if not may_become(connection, OWNER):
        _settle(
            connection,
            sql.SQL("grant {} to current_user").format(sql.Identifier(OWNER)),
            f"become {OWNER}",
        )
    if not _one(connection, f"select pg_has_role('{OWNER}', '{JOURNAL}', 'member')"):
        # Migrations run as the owner and hand over the functions that act as the journal's hand.
        _settle(
            connection,
            sql.SQL("grant {} to {}").format(sql.Identifier(JOURNAL), sql.Identifier(OWNER)),
            f"let {OWNER} become {JOURNAL}",
        )
    if not _one(connection, f"select pg_has_role('{JOURNAL}', '{Scope.PUBLIC}', 'member')"):
        # Where it writes a row, the table's own triggers look up what anybody may see: the ward of a place, for one.
        _settle(
            connection,
            sql.SQL("grant {} to {}").format(sql.Identifier(Scope.PUBLIC), sql.Identifier(JOURNAL)),
            f"grant {Scope.PUBLIC} to {JOURNAL}",
        )


def open_schema(connection: psycopg.Connection) -> None:
    """Schema `public` is for the owner and the scopes; the public of the server has no business there."""
    database = sql.Identifier(connection.info.dbname)
    scopes = sql.SQL(", ").join(sql.Identifier(name) for name in Scope)
    owner = sql.Identifier(OWNER)
    wanted = (
        (
            "select not exists (select from pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) "
            "where nspname = 'public' and grantee = 0)",
            sql.SQL("revoke all on schema public from public"),
        ),
        (
            "select bool_and(has_schema_privilege(oid, 'public', 'usage')) from pg_roles "  # noqa: S608
            f"where rolname = any ('{{{','.join(Scope)}}}')",
            sql.SQL("grant usage on schema public to {}").format(scopes),
        ),
        (
            f"select has_schema_privilege('{OWNER}', 'public', 'create')",
            sql.SQL("grant usage, create on schema public to {}").format(owner),
        ),
        # Without it no function could be handed over to it.
        (
            f"select has_schema_privilege('{JOURNAL}', 'public', 'create')",
            sql.SQL("grant usage, create on schema public to {}").format(sql.Identifier(JOURNAL)),
        ),
        # Temporary tables are a place to put things in: for the scopes, not for a login without a role.
        (
            "select not exists (select from pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) "
            "where datname = current_database() and grantee = 0 and privilege_type = 'TEMPORARY')",
            sql.SQL("revoke temporary on database {} from public").format(database),
        ),
        (
            "select bool_and(has_database_privilege(oid, current_database(), 'temporary')) from pg_roles "  # noqa: S608
            f"where rolname = any ('{{{','.join(Scope)}}}')",
            sql.SQL("grant temporary on database {} to {}").format(database, scopes),
        ),
    )
    for question, statement in wanted:
        if not _one(connection, question):
            try:
                connection.execute(statement)
            except errors.InsufficientPrivilege as error:
                raise MigrationFailed(
                    f"The role {_user(connection)} lacks the right to run `{statement.as_string(connection)}`. "
                    f'Migrate as a superuser, or as the owner of the database "{connection.info.dbname}".'
                ) from error
            if not _one(connection, question):
                # Somebody who may not revoke gets a warning from PostgreSQL, not an error.
                raise MigrationFailed(
                    f"`{statement.as_string(connection)}` had no effect: migrate as a superuser, or as the owner of "
                    f'the database "{connection.info.dbname}".'
                )


def mark_leakproof(connection: psycopg.Connection, say: Say) -> None:
    """Let spatial indexes be searched under policies. Only a superuser may say that a function is leakproof."""
    unmarked = [
        name
        for name in LEAKPROOF
        if not _one(connection, "select proleakproof from pg_proc where oid = %s::regprocedure", f"public.{name}")
    ]
    if not unmarked:
        return
    if not _one(connection, "select rolsuper from pg_roles where rolname = current_user"):
        say(
            f"{_user(connection)} is no superuser: spatial indexes stay unused for callers who see only their areas, "
            "who will wait longer. `hub doctor` says how to change that."
        )
        return
    for name in unmarked:
        connection.execute(f"alter function public.{name} leakproof")


def make_login(connection: psycopg.Connection, login_url: str) -> None:
    """The role that the hub logs in as: it has no right of its own, only the choice among the scopes."""
    asked = conninfo_to_dict(login_url)
    name, password = asked.get("user"), asked.get("password")
    if not isinstance(name, str) or not name:
        raise MigrationFailed("The hub's database URL names no role to log in as: postgresql://ROLE@…")
    login = sql.Identifier(name)
    if name in (OWNER, JOURNAL, *Scope) or name == connection.info.user:
        raise MigrationFailed(
            f"The hub cannot log in as {name}, which owns or may do more than the hub should: name a role of its own "
            "in the hub's database URL."
        )
    found = connection.execute(
        "select rolsuper or rolcreaterole or rolcreatedb or rolbypassrls or rolreplication, "
        "rolcanlogin and not rolinherit from pg_roles where rolname = %s",
        (name,),
    ).fetchone()
    if found is None:
        _settle(connection, sql.SQL("create role {} login noinherit").format(login), "create roles")
    elif found[0]:
        # It is somebody's administrator: taking its rights away would be worse than refusing.
        raise MigrationFailed(
            f"The hub must not log in as {name}: that role is a superuser, bypasses row security, or may create roles, "
            "databases or replicas. Name a role of its own in the hub's database URL; it is made if it is not there."
        )
    elif not found[1]:
        _settle(connection, sql.SQL("alter role {} login noinherit").format(login), f"change the role {name}")
    if password:
        # Digested here, so that the server's log never holds it.
        digest = connection.pgconn.encrypt_password(str(password).encode(), name.encode(), b"scram-sha-256").decode()
        _settle(
            connection,
            sql.SQL("alter role {} password {}").format(login, sql.Literal(digest)),
            f"set the password of {name}",
        )
    held = {
        role
        for (role,) in connection.execute(
            "select roleid::regrole::text from pg_auth_members where member = %s::regrole", (_quoted(connection, name),)
        )
    }
    if beyond := held - set(Scope):
        raise MigrationFailed(
            f"The role {name} is a member of {', '.join(sorted(beyond))}. The hub's login may be a member of its "
            f"scopes only: `revoke {', '.join(sorted(beyond))} from {name}`."
        )
    how = " with inherit false, set true" if connection.info.server_version >= 160000 else ""
    for scope in Scope:
        if scope not in held:
            grant = sql.SQL("grant {} to {}" + how).format(sql.Identifier(scope), login)
            _settle(connection, grant, f"grant {scope}")
    if not _one(connection, "select has_database_privilege(%s, current_database(), 'connect')", name):
        connection.execute(
            sql.SQL("grant connect on database {} to {}").format(sql.Identifier(connection.info.dbname), login)
        )


def _settle(connection: psycopg.Connection, statement: sql.Composed, deed: str) -> None:
    """Run a statement about roles, which another database's migration may be running at the same moment."""
    for attempt in range(20):
        try:
            connection.execute(statement)
        except (errors.DuplicateObject, errors.UniqueViolation):
            return
        except errors.InternalError_ as error:
            # "tuple concurrently updated": the other one has the row; ours comes after it.
            if "concurrently" not in str(error) or attempt == 19:
                raise
            time.sleep(0.05)
        except errors.InsufficientPrivilege as error:
            raise MigrationFailed(
                f"The role {_user(connection)} may not {deed}. Migrate as a superuser, or as a role with CREATEROLE "
                "that owns the database."
            ) from error
        else:
            return


def may_become(connection: psycopg.Connection, role: str) -> bool:
    """Whether `set role` to it would work."""
    # Until 15 a member may always become the role; since 16 membership says separately whether it may.
    right = "set" if connection.info.server_version >= 160000 else "member"
    return bool(_one(connection, f"select pg_has_role(current_user, '{role}', '{right}')"))


def _one(connection: psycopg.Connection, question: str, *values: object) -> object:
    row = connection.execute(question.encode(), values or None).fetchone()
    return row[0] if row else None


def _user(connection: psycopg.Connection) -> str:
    return connection.info.user


def _quoted(connection: psycopg.Connection, name: str) -> str:
    return sql.Identifier(name).as_string(connection)
