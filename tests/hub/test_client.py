"""A planner's first questions in Python: frames that are right, errors that say what is wrong, lines that heal."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas
import pandas
import psycopg
import pytest
import shapely
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from hub.client import AsyncHub, BadUserInput, Forbidden, Hub, HubError, NotAnHub, Unauthenticated, Unavailable
from tests.conftest import PASSWORD, County, make_person
from tests.hub.test_incidents_page import Served

MORNING = Path(__file__).parent.parent / "queries" / "morning.sql"
REPORT = """mutation ($input: ReportIncidentInput!) { reportIncident(input: $input) { incident { reference } } }"""
CHANGED = "subscription ($after: String) { incidentChanged(after: $after) { cursor incident { title } } }"


@pytest.fixture(scope="module")
def served(copies: Callable[[], AbstractContextManager[County]]) -> Iterator[Served]:
    with copies() as county:
        make_person(county, "coordinator", "coordinator")
        make_person(county, "citizen")
        with psycopg.connect(county.owner_url) as connection:
            connection.execute("set role hub_owner")
            connection.execute(MORNING.read_text().encode())
            connection.execute(
                "insert into incidents (kind, title, severity, certainty, urgency, location, occurred_at, source) "
                "select case when n % 2 = 0 then 'flood' else 'fire' end, 'Number ' || n, 'severe', 'observed', "
                "'immediate', st_setsrid(st_point(34.7 + n / 1000.0, -0.1), 4326), "
                "'2026-03-02T06:00:00Z'::timestamptz + n * interval '1 hour', 'phone' from generate_series(1, 120) n"
            )
        hub = Served(county)
        hub.start()
        yield hub
        hub.end()


@pytest.fixture
def hub(served: Served) -> Iterator[Hub]:
    with Hub.sign_in(served.address, "coordinator", PASSWORD) as made:
        yield made


def test_a_layer_is_a_frame_with_its_crs_and_types(hub: Hub) -> None:
    frame = hub.incidents(kind="FLOOD", order_by=[{"occurredAt": "DESC"}])
    assert isinstance(frame, geopandas.GeoDataFrame)
    assert (len(frame), frame.crs.to_epsg()) == (60, 4326)
    assert frame["occurred_at"].is_monotonic_decreasing
    assert str(frame["occurred_at"].dtype) == "datetime64[us, UTC]"
    assert frame["title"].iloc[0] == "Number 120"
    assert frame.geometry.iloc[0].equals(shapely.Point(34.82, -0.1))
    assert set(frame["kind"]) == {"FLOOD"}
    wards = hub.wards()
    assert (len(wards), str(wards["population"].dtype)) == (35, "Int64")
    assert wards.geometry.is_valid.all()
    assert hub.sub_counties()["code"].nunique() == 7
    vehicles = hub.vehicles(order_by=[{"plate": "ASC"}])
    assert vehicles.geometry.isna().tolist() == [False, False, True]


def test_what_is_empty_has_the_same_columns(hub: Hub) -> None:
    some, none = hub.incidents(), hub.incidents(title="Nothing is called this")
    assert len(none) == 0
    assert none.crs == some.crs
    assert none.dtypes.to_dict() == some.dtypes.to_dict()


def test_filters_are_keywords(hub: Hub) -> None:
    def number(**given: Any) -> int:
        return len(hub.incidents(**given))

    box = shapely.box(34.7, -0.2, 34.7205, 0)
    assert number(kind=["FLOOD", "FIRE"]) == 120
    assert number(kind="FIRE", bbox=(34.7, -0.2, 34.7205, 0)) == number(kind="FIRE", within=box) == 10
    assert number(near=((34.75, -0.1), 1_000)) == 17  # a thousandth of a degree is 111.3 m here
    assert number(near=(shapely.Point(34.75, -0.1), 100)) == 1
    # Three hours of a morning in Kenya, the end left out: from 7 in UTC.
    began, ended = datetime(2026, 3, 2, 10), datetime(2026, 3, 2, 13)
    assert number(occurred_at=(began, ended)) == 3
    assert number(occurred_at=(datetime(2026, 3, 2, 7, tzinfo=UTC), None)) == 120
    assert number(place=None) == 120
    assert number(where={"not": {"kind": {"eq": "FIRE"}}}) == 60
    assert len(hub.positions(vehicle="KDA 123B")) == 6
    assert len(hub.wards(sub_county="239")) == 5
    ward = hub.wards(code="1198")
    assert 0 < number(within=ward) <= number(ward="1198") + 1


def test_any_question_is_a_frame_or_data(hub: Hub) -> None:
    document = """query ($first: Int!, $after: String) { incidents(first: $first, after: $after) {
      nodes { reference occurredAt location ward { name } } pageInfo { hasNextPage endCursor } } }"""
    frame = hub.frame(document, first=50)  # three pages
    assert list(frame.columns) == ["reference", "occurredAt", "location", "ward.name"]
    assert (len(frame), frame.geometry.name, frame.crs.to_epsg()) == (120, "location", 4326)
    assert str(frame["occurredAt"].dtype).startswith("datetime64[")
    assert len(hub.rows(document, first=7)) == 120
    stats = hub.frame("{ incidentStats(groupBy: [KIND]) { kind count } }")
    assert type(stats) is pandas.DataFrame
    assert stats.set_index("kind")["count"].to_dict() == {"FIRE": 60, "FLOOD": 60}
    assert hub.query("{ wardAt(point: [34.7617, -0.0917]) { code } }") == {"wardAt": {"code": "1198"}}


def test_a_frame_says_where_it_is_from_and_is_asked_again(hub: Hub, served: Served) -> None:
    layer, frame = hub.incidents(kind="FLOOD", first=5), hub.frame("{ wards(first: 3) { nodes { code } } }")
    for made in (layer, frame):
        told = made.attrs["hub"]
        assert (told["person"], told["url"], bool(told["version"])) == ("coordinator", served.address, True)
        assert datetime.fromisoformat(told["time"]).tzinfo
        again = hub.rerun(made)
        assert again.equals(made)
    with Hub(served.address) as public:
        assert len(public.rerun(layer)) == 0
        assert public.rerun(layer).attrs["hub"]["person"] == "the public"
    with pytest.raises(BadUserInput, match="does not say which question"):
        hub.rerun(pandas.DataFrame())


def test_errors_have_the_hubs_own_kinds(hub: Hub, served: Served) -> None:
    with pytest.raises(BadUserInput, match="FLOOOD"):
        hub.incidents(kind="FLOOOD")
    with pytest.raises(BadUserInput, match="there is none of this name; there are wards"):
        hub.layer("people")
    with pytest.raises(BadUserInput, match="nam"):
        hub.query("{ wards { nodes { nam } } }")
    with pytest.raises(BadUserInput, match="several things"):
        hub.frame("{ wards { nodes { code } } counties: subCounties { nodes { code } } }")
    with Hub(served.address, "no token at all") as stranger, pytest.raises(Unauthenticated):
        stranger.incidents()
    with Hub(served.address) as public, pytest.raises((Unauthenticated, Forbidden)):
        public.query(REPORT, input={"kind": "FIRE", "title": "Fire", "location": [34.75, -0.1]})
    with pytest.raises(HubError):
        Hub.sign_in(served.address, "coordinator", "wrong")
    with Hub("http://127.0.0.1:9") as nobody:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="does not answer"):
            nobody.query(REPORT, input={})
        assert time.monotonic() - began < 2  # a change without a key of its own is not sent twice
    with Hub(f"{served.address}/static/main.js") as wrong, pytest.raises((NotAnHub, HubError)):
        wrong.wards()


def test_a_read_waits_for_a_hub_that_comes_back(hub: Hub, served: Served) -> None:
    served.end(kill=True)
    begin = threading.Timer(1.5, served.start)
    begin.start()
    try:
        assert len(hub.wards()) == 35
    finally:
        begin.join()


def test_a_subscription_goes_on_behind_what_was_heard(hub: Hub, served: Served) -> None:
    heard: list[str] = []
    said: list[str] = []

    def listen() -> None:
        for event in hub.listen(CHANGED):
            heard.append(event["incidentChanged"]["incident"]["title"])
            if heard[-1] == "Last":
                return

    def report(title: str) -> None:
        given = {"kind": "FIRE", "title": title, "location": [34.75, -0.1], "clientMutationId": title}
        hub.query(REPORT, input=given)
        said.append(title)

    ear = threading.Thread(target=listen)
    ear.start()
    deadline = time.monotonic() + 20
    while not heard and time.monotonic() < deadline:  # the line stands when it has told something
        report(f"Begin {len(said)}")
        time.sleep(0.3)
    report("One")
    served.end(kill=True)
    served.start()
    report("Two")
    report("Last")
    ear.join(30)
    assert not ear.is_alive()
    assert heard[heard.index("One") :] == ["One", "Two", "Last"]
    assert len(heard) == len(set(heard))


def test_a_cell_is_a_question(served: Served) -> None:
    quiet = Config()
    quiet.HistoryManager.enabled = False  # it would keep a database in somebody's home
    shell = InteractiveShell(config=quiet)
    with Hub.sign_in(served.address, "coordinator", PASSWORD) as hub:
        shell.user_ns |= {"hub": hub, "first": 4}
        shell.run_line_magic("load_ext", "hub.client")
        cell = "query ($first: Int!) { incidents(first: $first) { nodes { reference location } } }"
        shell.run_cell_magic("graphql", "some", cell)
        assert (len(shell.user_ns["some"]), shell.user_ns["some"].crs.to_epsg()) == (4, 4326)
        assert shell.run_cell_magic("graphql", "", "{ me { name } }") == {"me": {"name": "coordinator"}}


async def test_it_works_where_a_loop_runs_and_where_one_awaits(served: Served) -> None:
    hub = Hub.sign_in(served.address, "coordinator", PASSWORD)
    assert len(hub.wards()) == 35
    hub.close()
    async with await AsyncHub.sign_in(served.address, "coordinator", PASSWORD) as waiting:
        wards, floods = await asyncio.gather(waiting.layer("wards"), waiting.layer("incidents", kind="FLOOD"))
        assert (len(wards), len(floods)) == (35, 60)
        seen: list[int] = []
        await waiting.layer("wards", progress=seen.append)
        assert seen == sorted(seen)
        assert seen


def test_the_client_needs_nothing_of_the_server() -> None:
    server = [
        "asyncpg",
        "strawberry",
        "graphql",
        "starlette",
        "sqlalchemy",
        "geoalchemy2",
        "psycopg",
        "uvicorn",
        "alembic",
    ]
    code = f"""
import sys
for name in {server!r}: sys.modules[name] = None
import hub.client, hub.client.frames, hub.client.maps, hub.client.magic
"""
    subprocess.run([sys.executable, "-c", code], check=True)
