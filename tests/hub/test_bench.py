"""What the benchmark decides by itself: who answers the same, what is met, and which part is meant."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bench import report, steady
from bench.__main__ import PARTS, parts
from bench.county import LARGE, ORDINARY
from bench.peers.installing import HERE
from bench.questions import QUESTIONS, Unequal, common, compare
from bench.report import Figure
from hub.settings import Limits
from schema.api import schema


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
