"""Each notebook answers its question from a hub with a week's work in it, and is committed without answers."""

from __future__ import annotations

import json
import logging
import os
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import nbclient
import nbformat
import psycopg
import pytest

from hub.client import Hub
from tests.conftest import PASSWORD, County, make_person
from tests.hub.test_incidents_page import Served

PROJECT = Path(__file__).parent.parent
logging.getLogger("traitlets").setLevel(logging.WARNING)  # it would tell every answer

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def served(copies: Callable[[], AbstractContextManager[County]]) -> Iterator[Served]:
    """A hub with incidents of the last days, two patrols of today and a vehicle that drove this hour."""
    with copies() as county:
        make_person(county, "supervisor", "enforcement_supervisor")
        with psycopg.connect(county.owner_url) as connection:
            connection.execute("set role hub_owner")
            connection.execute(
                "insert into incidents (kind, title, severity, certainty, urgency, location, occurred_at, source) "
                "select case when n %% 3 = 0 then 'fire' else 'flood' end, 'Number ' || n, 'severe', 'observed', "
                "'immediate', st_point(34.65 + n / 200.0, -0.1, 4326), now() - n * interval '2 hours', 'phone' "
                "from generate_series(1, %s) n",
                (60,),
            )
            connection.execute(
                """
                with v as (insert into vehicles (plate, kind) values ('KDA 123B', 'patrol_car') returning id),
                d as (insert into devices (vehicle_id, label) select id, 'tracker' from v returning id)
                -- All of them today, also in the first half hour of a day in Kenya.
                select take_fixes(array_fill(d.id, array[30]),
                  array(select extract(epoch from now() - n * least(interval '1 minute', (
                    now() - date_trunc('day', now(), 'Africa/Nairobi')
                  ) / 31)) from generate_series(0, 29) n),
                  array(select 34.75 + n * 0.001 from generate_series(0, 29) n), array_fill(-0.1::float8, array[30]),
                  array_fill(12::real, array[30]), array_fill(90::real, array[30]), array_fill(null::real, array[30]),
                  array_fill(null::real, array[30]), array_fill(null::real, array[30]), array_fill(''::text, array[30]),
                  array_fill(null::jsonb, array[30])) from d
                """
            )
            connection.execute(
                """
                with u as (insert into units (name) values ('City enforcement') returning id),
                b as (insert into beats (name, line) values ('Oginga Odinga Street',
                  st_geomfromtext('MULTILINESTRING((34.74 -0.1, 34.79 -0.1))', 4326)) returning id)
                insert into patrols (unit_id, beat_id, vehicle_id, planned_start, planned_end)
                select u.id, b.id, v.id, now() - interval '40 minutes', now() + interval '1 hour'
                from u, b, vehicles v
                """
            )
            connection.execute("update patrols set status = 'under_way', started_at = now() - interval '35 minutes'")
        hub = Served(county)
        hub.start()
        yield hub
        hub.end()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_answers_its_question(path: Path, served: Served, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    with Hub.sign_in(served.address, "supervisor", PASSWORD) as hub:
        token = hub.asynchronous._asking.token
    # A home of its own: nothing of whoever runs this comes in.
    kernel = {**os.environ, "HUB_URL": served.address, "HUB_TOKEN": token or ""}
    kernel |= {
        name: str(tmp_path / name.lower()) for name in ("HOME", "IPYTHONDIR", "JUPYTER_DATA_DIR", "MPLCONFIGDIR")
    }
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute(env=kernel)
    shown = json.dumps(notebook)
    expected = {
        "incidents_this_week": ("Number 59", "leaflet", "per km\\u00b2 of land", "image/png"),
        "patrol_coverage": ("Oginga Odinga Street", "PAT-", "leaflet", "image/png"),
        "fleet_day": ("KDA 123B", "30 fixes of 1 vehicles", "jupyter.widget-view+json", "image/png"),
    }[path.stem]
    for words in expected:
        assert words in shown, f"{words!r} is in no answer of {path.name}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_begins_with_its_question_and_holds_no_answers(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[0].source.splitlines()[0].endswith("?")
    for cell in notebook.cells:
        assert not cell.get("outputs"), f"{path.name}, {cell.id}: clear its output before it is committed"
        assert cell.get("execution_count") is None


def test_the_clients_lock_is_of_the_extra() -> None:
    extra = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["client"]
    assert (PROJECT / "requirements/client.in").read_text().split() == extra
