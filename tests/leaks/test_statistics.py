"""What the database itself knows of hidden rows (CVE-2025-8713): its statistics hold their commonest values."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from schema.access import Scope
from tests.leaks.callers import CALLERS
from tests.leaks.conftest import World
from tests.leaks.rights import TABLES
from tests.leaks.test_answers import exposed
from tests.leaks.world import canaries

SCOPES = [*Scope, "hub_login"]
GUARDED = [*TABLES, "journal", "credentials", "sign_ins", "write_keys"]

VIEWS = {
    "pg_stats": "select * from pg_stats where tablename = any (%(tables)s)",
    "pg_stats_ext": "select * from pg_stats_ext where tablename = any (%(tables)s)",
    "pg_stats_ext_exprs": "select * from pg_stats_ext_exprs where tablename = any (%(tables)s)",
    "pg_stat_activity": "select query from pg_stat_activity",
    "pg_prepared_statements": "select statement from pg_prepared_statements",
    "pg_settings": "select name, setting from pg_settings where name like 'hub.%%'",
    "pg_description": "select description from pg_description",
    "pg_indexes": "select indexdef from pg_indexes",
}
CLOSED = ("pg_statistic", "pg_statistic_ext_data", "pg_authid", "pg_largeobject", "pg_hba_file_rules")


@pytest.fixture(scope="module")
def measured(world: World) -> tuple[str, str]:
    """The world after its statistics were taken, more closely than usual: every value is a common one."""
    county = world.copy()
    with psycopg.connect(county.owner_url, autocommit=True) as connection:
        for table in GUARDED:
            connection.execute(f"analyze {table}".encode())
        # They would give it away.
        shown = connection.execute("select histogram_bounds::text, most_common_vals::text from pg_stats").fetchall()
        assert canaries(str(shown)) & world.facts.register.keys()
    return county.login_url, county.owner_url


@pytest.mark.parametrize("scope", SCOPES)
def test_statistics_show_nobody_what_rows_hold(world: World, measured: tuple[str, str], scope: str) -> None:
    with psycopg.connect(measured[0], autocommit=True) as connection:
        connection.execute(f"set role {scope}".encode())
        for name, question in VIEWS.items():
            found = str(connection.execute(question.encode(), {"tables": GUARDED}).fetchall())
            assert not canaries(found) & world.facts.register.keys(), name
            if name.startswith("pg_stats"):
                assert found == "[]", name
        for name in CLOSED:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"select * from {name}".encode())
        assert connection.execute("select to_regclass('pg_stat_statements')").fetchone() == (None,)


def overheard(connection: psycopg.Connection[Any]) -> str:
    """What an operator of one's own is shown: of the rows, and by the planner of the statistics."""
    heard: list[str] = []
    connection.add_notice_handler(lambda notice: heard.append(str(notice.message_primary)))
    connection.execute(
        "create function pg_temp.told(text, text) returns boolean language plpgsql cost 0.0000001 as "
        "$$ begin raise notice '%', $1; return true; end $$"
    )
    connection.execute(
        "create operator pg_temp.=== (function = pg_temp.told, leftarg = text, rightarg = text, restrict = scalarltsel)"
    )
    for table, column in TEXTS:
        connection.execute(f"explain select from {table} where {column} operator(pg_temp.===) 'x'".encode())
        connection.execute(f"select from {table} where {column} operator(pg_temp.===) 'x'".encode())
    return " ".join(heard)


TEXTS = (("incident_reporters", "name"), ("incidents", "title"), ("incident_entries", "note"), ("people", "name"))


@pytest.mark.parametrize("scope", sorted(set(Scope) - {Scope.SERVICE}))
def test_an_operator_of_ones_own_is_shown_no_hidden_row(world: World, measured: tuple[str, str], scope: str) -> None:
    login, owner = measured
    with psycopg.connect(login, autocommit=True) as connection:
        connection.execute(f"set role {scope}".encode())
        holds = {Scope.AREA: "field_officer", Scope.COUNTY: "planner"}.get(Scope(scope), "")
        connection.execute("select set_config('hub.roles', %s, false)", (holds,))
        allowed: set[str] = set()
        for caller in CALLERS:  # whoever holds that role, where no person and no area is told
            if caller.roles == (holds,) and not caller.areas and scope == Scope.COUNTY:
                allowed = exposed(world.facts, caller)
        assert not canaries(overheard(connection)) & world.facts.register.keys() - allowed
    with psycopg.connect(owner, autocommit=True) as connection:
        everything = canaries(overheard(connection))
        assert len(everything & world.facts.register.keys()) > 40, "this operator would show nothing to anybody"
