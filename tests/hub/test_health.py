"""`/health/live` says that the process answers, `/health/ready` whether the hub can serve."""

from __future__ import annotations

from importlib.metadata import version

import psycopg

from tests.conftest import County, Hub, running


async def test_a_hub_with_its_county_is_live_and_ready(hub: Hub) -> None:
    live = await hub.http.get("/health/live")
    assert (live.status_code, live.json()) == (200, {"status": "live", "version": version("kisumu-hub")})
    ready = await hub.http.get("/health/ready")
    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ready",
        "checks": {"serving": True, "database": True, "migrations": True},
    }
    assert ready.headers["cache-control"] == "no-store"


async def test_a_hub_without_its_database_lives_but_is_not_ready(cluster: object) -> None:
    async with running("postgresql://hub_login@/nowhere?host=/nonexistent") as hub:
        assert (await hub.http.get("/health/live")).status_code == 200
        ready = await hub.http.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["checks"] == {"serving": True, "database": False, "migrations": False}
        assert ready.headers["retry-after"] == "1"
        status, code, message = await hub.refusal("{ wards { totalCount } }")
        assert (status, code) == (503, "UNAVAILABLE")
        assert "database" in message


async def test_a_hub_whose_database_lacks_a_migration_is_not_ready(fresh_database: County) -> None:
    with psycopg.connect(fresh_database.owner_url) as connection:
        connection.execute("delete from migration_log where step = '0001_areas'")
    async with running(fresh_database.login_url) as hub:
        ready = await hub.http.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["checks"] == {"serving": True, "database": True, "migrations": False}


async def test_a_hub_that_is_told_to_stop_is_not_ready(database: County) -> None:
    async with running(database.login_url) as hub:
        hub.app.state.readiness.draining = True
        assert (await hub.http.get("/health/ready")).json()["checks"]["serving"] is False


async def test_a_request_that_names_another_host_is_refused(hub: Hub) -> None:
    for host in ("evil.example", "evil.example:8000", ""):
        response = await hub.http.get("/health/live", headers={"host": host})
        assert response.status_code == 400, host
    for host in ("localhost:8000", "127.0.0.1", "[::1]:8000"):
        response = await hub.http.get("/health/live", headers={"host": host})
        assert response.status_code == 200, host
