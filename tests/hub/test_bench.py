"""What the benchmark decides by itself: who answers the same, what is met, and which part is meant."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from bench import growth, report, steady
from bench.__main__ import PARTS, parts
from bench.county import LARGE, ORDINARY, Scale, end_of_seeds, numbers_between, seed
from bench.growth import Grown, Part, Spent
from bench.peers.installing import HERE
from bench.questions import QUESTIONS, Unequal, common, compare
from bench.report import Figure
from hub.settings import Limits
from schema.api import schema
from tests.conftest import County


def told(**data: object) -> bytes:
    return json.dumps({"data": data}).encode()


def test_the_same_rows_are_the_same_in_everybodys_words() -> None:
    ours = told(incidents={"nodes": [{"kind": "FIRE", "reportedAt": "2026-11-27T00:00:00.000000Z", "x": 1}]})
    theirs = told(incidents=[{"kind": "fire", "reportedAt": "2026-11-27T03:00:00+03:00", "x": 1.0}])
    compare(common(ours), common(theirs))


@pytest.mark.parametrize(
    ("theirs", "place"),
    [
        ([{"id": "a", "at": 1.0}], "2 and 1 rows"),
        ([{"id": "b", "at": 2.0}, {"id": "a", "at": 1.0}], r"data\.rows\[0\]"),
        ([{"id": "a", "at": 1.0}, {"id": "b", "at": 2.000001}], r"data\.rows\[1\]\.at"),
        ([{"id": "a", "at": 1.0}, {"id": "b"}], r"data\.rows\[1\]"),
    ],
    ids=("a row less", "another order", "another value", "a field less"),
)
def test_what_differs_is_named_by_its_place(theirs: list[dict[str, object]], place: str) -> None:
    ours = [{"id": "a", "at": 1.0}, {"id": "b", "at": 2.0}]
    with pytest.raises(Unequal, match=place):
        compare(common(told(rows=ours)), common(told(rows=theirs)))


def test_an_answer_with_errors_equals_nothing() -> None:
    with pytest.raises(Unequal, match="no data"):
        common(b'{"data": null, "errors": [{"message": "no"}]}')


def test_targets_are_met_by_ratios_in_the_better_direction() -> None:
    figures = [
        Figure("q1", "", "requests/s", "higher", 300, {"postgraphile": 100, "raw": 310}, {}),
        Figure("q2", "", "requests/s", "higher", 100, {"postgraphile": 100, "raw": 100}, {}),
        Figure("export_50k_ms", "", "ms", "lower", 300, {"read_postgis": 600}),
        Figure("fanout_p99_ms", "fan-out", "ms", "lower", 501),
    ]
    met = {one.says: one.met for one in report.verdicts(figures)}
    assert met == {
        "Q1–Q5 against PostGraphile": False,
        "Q1–Q5 against PostGraphile, geometric mean of 2": False,
        "Q1–Q5 against raw": True,
        "Q1–Q5 against raw, geometric mean of 2": True,
        "50,000 incidents into a GeoDataFrame against read_postgis": True,
        "fan-out": False,
    }


def test_parts_are_named_whole_or_by_their_beginning() -> None:
    assert parts("") == set(PARTS)
    assert parts("q1, ingest") == {"q1", "ingest_5000", "ingest_500"}
    with pytest.raises(ValueError, match="no part q9"):
        parts("q9")


def test_the_hub_answers_every_question_with_a_statement() -> None:
    for question in QUESTIONS:
        bodies = question.bodies("hub")
        assert len(bodies) == len(set(bodies)) == len(question.bodies("postgraphile"))
        asked = json.loads(bodies[-1])
        statement, _ = schema.compiled(asked["query"], asked.get("variables"), None, Limits())
        assert statement.sql.startswith("SELECT")


def test_locks_name_versions_and_hashes_and_no_place() -> None:
    pinned = (HERE / "requirements.txt").read_text()
    assert "--hash=sha256:" in pinned
    packages = json.loads((HERE / "package-lock.json").read_text())["packages"]
    assert all(one.get("integrity") for name, one in packages.items() if name)
    for lock in (pinned, json.dumps(packages)):
        assert not re.search(r"https?://", lock)


def test_the_readme_has_a_place_for_each_kind_of_run() -> None:
    text = report.README.read_text()
    for part in ("ordinary", "large", "steady"):
        assert text.index(f"<!-- {part} -->") < text.index(f"<!-- end of {part} -->")
    assert (ORDINARY.incidents, LARGE.incidents) == (200_000, 10_000_000)


def test_a_part_of_the_readme_is_replaced_and_the_rest_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "README", tmp_path / "README.md")
    report.README.write_text("a\n<!-- steady -->\nold\n<!-- end of steady -->\nb\n")
    report.put("steady", "new\n")
    assert report.README.read_text() == "a\n<!-- steady -->\nnew\n<!-- end of steady -->\nb\n"
    with pytest.raises(ValueError, match="no place for the table of large"):
        report.put("large", "new\n")


def test_memory_is_compared_after_what_is_bounded_has_filled() -> None:
    resident = {10: 100, 20: 300, 30: 301, 40: 302, 50: 303, 60: 330}
    samples = [steady.Sample(60.0 * minute, [resident[-(-minute // 10) * 10], 200], [0, 0]) for minute in range(1, 61)]
    assert steady.growth(samples, 60) == [pytest.approx(0.1), 0]
    told = ['hub_kept_bytes{what="tiles",worker="1"} 5.0', *(f'hub_subscriptions{{about="{n}"}} {n}.0' for n in (1, 2))]
    assert steady.metrics("\n".join(told)) == {'hub_kept_bytes{what="tiles",worker="1"}': 5, "hub_subscriptions": 3}


def test_what_growth_asks_is_what_the_benchmark_asks_and_a_day() -> None:
    found = {part.name: part for part in growth.questions(ORDINARY, LARGE)}
    assert list(found) == ["q1", "q3", "q3_anew", "q4", "q5", "day"]
    for question in QUESTIONS:
        if question.name in found:
            part = found[question.name]
            assert part.ordinary == part.large
            assert [line.split(b"\t")[2] for line in part.large] == [
                body.replace(b"\n", b" ") for body in question.bodies("hub")
            ]
    assert len(set(found["day"].ordinary)) == len(set(found["day"].large)) == len(found["day"].large)


@pytest.mark.parametrize("scale", [ORDINARY, LARGE], ids=("ordinary", "large"))
def test_a_vehicles_day_lies_where_there_are_positions_of_it(scale: Scale) -> None:
    question = growth.days(scale)
    assert question == growth.days(scale)
    for given in question.variables:
        begin, end = (datetime.fromisoformat(given[side]) for side in ("from", "to"))
        assert end - begin == timedelta(days=1)
        newest, oldest = numbers_between(scale, begin, end)
        assert 0 <= newest < oldest < scale.positions
        statement, _ = schema.compiled(growth.DAY, given, None, Limits())
        assert statement.sql.startswith("SELECT")
    assert len({given["from"] for given in question.variables}) > 10


def test_a_day_holds_as_many_positions_at_either_scale() -> None:
    assert ORDINARY.positions / ORDINARY.position_days == LARGE.positions / LARGE.position_days
    assert ORDINARY.vehicles == LARGE.vehicles


def test_every_position_lies_in_a_week_that_is_filled() -> None:
    first = end_of_seeds() - timedelta(days=ORDINARY.position_days + 8)
    weeks = [first + timedelta(days=7 * number) for number in range(5)]
    reached = 0
    for newest, oldest in sorted(numbers_between(ORDINARY, monday, monday + timedelta(days=7)) for monday in weeks):
        if newest <= oldest:
            assert newest <= reached
            reached = oldest + 1
    assert reached == ORDINARY.positions


def test_growth_is_how_many_times_as_long_it_takes() -> None:
    part = Part("q1", "a box", (), ())
    fast, slow = Spent(300, 1, 2, 3, 4), Spent(200, 1, 2, 3, 4)
    assert (Grown(part, fast, slow).times, Grown(part, fast, slow).verdict) == (1.5, "≤ 1.5: met")
    assert Grown(part, fast, Spent(199, 1, 2, 3, 4)).verdict == "≤ 1.5: missed"
    told = Part("same_z8", "the same tile", (), (), promised=False)
    tile = Grown(told, Spent(300, 1, 2, 3, 4, 10), Spent(3, 1, 2, 3, 4, 500))
    assert tile.verdict == "no promise"
    lines = growth.table([tile], ["q5: it failed"], (ORDINARY, LARGE), {"wrk": "4.1.0"}).splitlines()
    assert lines[0].startswith(f"{datetime.now(end_of_seeds().tzinfo):%Y-%m-%d}; ordinary: 200,000 incidents")
    assert "| `same_z8` the same tile (10 and 500 incidents) | 300/s | 3.0/s | 100.00 | no promise |" in lines[4]
    assert lines[-1] == "- not measured: q5: it failed"


def test_a_seeded_county_has_its_rows_and_all_that_it_had(fresh_database: County) -> None:
    made = (
        "select array_agg(pg_get_indexdef(indexrelid) order by indexrelid::regclass::text) from pg_index "
        "where indrelid in ('incidents'::regclass, 'positions'::regclass) and indisvalid",
        "select array_agg(pg_get_triggerdef(oid) || tgenabled::text order by oid) from pg_trigger "
        "where tgrelid in ('incidents'::regclass, 'vehicles'::regclass)",
    )
    with psycopg.connect(fresh_database.owner_url, autocommit=True) as owner:
        before = [owner.execute(one).fetchone() for one in made]
        seed(fresh_database.owner_url, Scale(incidents=1_000, vehicles=10, positions=2_000, position_days=20))
        assert [owner.execute(one).fetchone() for one in made] == before
        counts = "select {}, (select count(*) from journal where tbl in ('incidents', 'vehicles'))"
        rows = ("incidents", "vehicles", "positions", "latest_positions")
        counted = owner.execute(
            counts.format(", ".join(f"(select count(*) from {table})" for table in rows))
        ).fetchone()
        assert counted == (1_000, 10, 2_000, 10, 0)
        # Batches as if the positions had come in them.
        wrong = owner.execute(
            "select count(*) from position_batches b full join "
            "(select batch, max(received_at) as stored_at, count(*) as count from positions group by batch) p "
            "using (batch, stored_at, count) where b.cursor is null or p is null"
        ).fetchone()
        assert wrong == (0,)
        left = owner.execute("select count(*) from pg_class where relname like 'bench%'").fetchone()
        assert left == (0,)
