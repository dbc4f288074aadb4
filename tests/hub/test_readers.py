"""How fixes are read: any query, row or body is a fix or is refused by name, whichever way it is looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hub.intake import batch, osmand
from hub.intake.fixes import Fix, Fixes, Unfit
from hub.intake.osmand import strict_json


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text(max_size=12), st.text(max_size=40), max_size=12))
def test_any_query_is_a_fix_or_is_refused_by_name(given_: dict[str, str]) -> None:
    try:
        key, fix = osmand.from_form(urlencode(given_, errors="surrogatepass"))
    except Unfit as error:
        key, fix = error.field, None
    assert key
    assert fix is None or (-180 <= fix.longitude <= 180 and -90 <= fix.latitude <= 90)


json_values: Any = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["recordedAt", "location", "speedKmh", "heading", "battery", "valid", "x"]), json_values
    )
)
def test_any_row_is_a_fix_or_is_refused_by_name(row_: dict[str, Any]) -> None:
    fix: Any
    try:
        _, fix = batch.from_line(json.dumps(row_).encode())
    except Unfit as error:
        fix = error
    assert fix.field if isinstance(fix, Unfit) else isinstance(fix, Fix)
    if isinstance(fix, Fix):
        json.dumps(fix.extra, allow_nan=False)


@given(
    st.fixed_dictionaries(
        {
            "recordedAt": st.one_of(
                st.datetimes(timezones=st.just(UTC)).map(lambda at: at.isoformat()),
                st.datetimes().map(lambda at: at.isoformat()),
                st.sampled_from(["2026-03-02T06:00:00+03:00", "2026-03-02T06:00:00Z", "1969-12-31T23:59:59Z", "T", ""]),
            ),
            "location": st.lists(st.floats(-200, 200) | st.integers(-200, 200), min_size=1, max_size=3),
        },
        optional={
            "speedKmh": st.floats() | st.integers() | st.none() | st.booleans(),
            "heading": st.floats(-10, 800) | st.integers(-10, 800),
            "battery": st.floats(-1, 2),
            "altitudeMeters": st.floats(-1000, 2e5) | st.integers(),
            "accuracyMeters": st.floats(-1, 1e8) | st.text(max_size=3),
            "valid": st.booleans() | st.none() | st.integers(0, 2),
            "mock": st.booleans() | st.sampled_from(["yes", "no", ""]),
            "key": st.text(max_size=5) | st.none() | st.integers(),
            "extra": st.integers(),
        },
    )
)
def test_the_quick_look_at_a_row_sees_what_the_close_one_sees(row_: dict[str, Any]) -> None:
    line = json.dumps(row_).encode()
    assert told(batch.from_line, line) == told(batch._closely, strict_json(line)) == told(batch.from_row, row_)


def plain_line(at: str = "2026-03-02T06:00:00Z", more: str = "") -> bytes:
    return f'{{"recordedAt": "{at}", "location": [34.7, -0.1]{more}}}'.encode()


PLAIN_LINES = [
    plain_line(),
    plain_line("2026-03-02T06:00:00.123456+03:00", ', "heading": 1, "key": "k"'),
    plain_line(more=', "speedKmh": 250, "mock": true'),
    plain_line(more=', "accuracyMeters": 501, "battery": 1'),
    plain_line(more=', "valid": false, "altitudeMeters": 9'),
]
ODD_LINES = [
    *(b"", b" ", b"\r", b"{", b"}", b"{}", b"x", b'{"recordedAt":', plain_line()[14:], plain_line() * 2),
    *map(plain_line, ("2026-03-02T06:00:00", "2026-03-02 06:00:00Z", "T", "1969-12-31T23:59:59Z")),
    plain_line("9999-12-31T23:59:59-05:00"),
    plain_line(more=', "note": "further"'),
]


@given(st.lists(st.sampled_from(PLAIN_LINES) | st.sampled_from(ODD_LINES), min_size=1, max_size=6))
@example(PLAIN_LINES)
@example([plain_line() * 2, *plain_line().split(b",", 1)])  # as many rows as lines
def test_lines_that_are_read_together_are_read_as_each_by_itself(lines_: list[bytes]) -> None:
    made = batch.plain(b"\n".join(lines_))
    singly = [told(batch.from_line, line) for line in lines_]
    if made is None:
        assert not all(line in PLAIN_LINES for line in lines_)
        return
    keys, fixes = made
    assert [(key, fix) for key, fix in singly if isinstance(fix, Fix)] == singly
    one_by_one = Fixes.of(fix for _, fix in singly if isinstance(fix, Fix))
    assert keys == [key for key, _ in singly]
    assert all(getattr(fixes, name) == getattr(one_by_one, name) for name in Fixes.__slots__)


@given(
    st.lists(st.sampled_from([b"", b" ", b"{}", b"x" * 40, b"\r"]), max_size=30), st.integers(1, 60), st.integers(0, 30)
)
@example([b"{}", b"", b"", b"{}"], 1, 2)
def test_lines_keep_their_numbers_and_blank_ones_do_not_count(lines_: list[bytes], piece: int, most: int) -> None:
    body = b"\n".join(lines_)
    found = [
        (number, line)
        for first, text in batch.lines(body, piece)
        for number, line in enumerate(text.split(b"\n"), first)
        if line
    ]
    assert found == [(number, line) for number, line in enumerate(lines_, 1) if line]
    filled = sum(bool(line.strip()) for line in lines_)
    if filled > most:
        with pytest.raises(batch.TooLarge, match="over"):
            batch.check(body, most)
    else:
        batch.check(body, most)


def told(read: Callable[[Any], tuple[str | None, Fix]], said: Any) -> tuple[str | None, Fix] | tuple[str, str]:
    """What a row is read as, or what is said to be wrong with it."""
    try:
        return read(said)
    except Unfit as error:
        return error.field, str(error)


@pytest.mark.parametrize(
    "line",
    [
        '{"recordedAt": "2026-03-02T06:00:00.1234567Z", "location": [34.7, -0.1]}',
        '{"recordedAt": "2026-03-02t06:00:00z", "location": [34.7, -0.1]}',
        '{"recordedAt": "2026-03-02x06:00:00Z", "location": [34.7, -0.1]}',
        '{"recordedAt": "2026-03-02 06:00:00Z", "location": [34.7, -0.1]}',
        '{"recordedAt": "20260302T0600Z", "location": [34.7, -0.1]}',
        '{"recordedAt": "0001-01-01T00:00:00+05:00", "location": [34.7, -0.1]}',
        '{"recordedAt": "9999-12-31T23:59:59-05:00", "location": [34.7, -0.1]}',
        '{"recordedAt": "2026-03-02T06:00:00Z", "location": [NaN, -0.1]}',
        '{"recordedAt": "2026-03-02T06:00:00Z", "location": [1e999, -0.1]}',
        '{"recordedAt": "2026-03-02T06:00:00Z", "location": [34, -0, 3]}',
        '{"recordedAt": "2026-03-02T06:00:00Z", "location": [34, -0]}',
        '{"recordedAt": "2026-03-02T06:00:00Z", "location": [' + "9" * 400 + ", 0]}",
        '{"recordedAt": "2026-03-02T06:00:00Z", "location": [34, 0], "location": [35, 0]}',
        '{"recordedAt": "2026-03-02T06:00:00Z", "location": "x", "location": [35, 0]}',
        '{"recordedAt": "2026-03-02T06:00:00Z", "location": [34, 0], "location": "x"}',
        '{"recordedAt": "2026-03-02T06:00:00Z", "location": [34, 0], "key": "\\ud800"}',
        '{"recordedAt": "2026-03-02T06:00:00Z", "location": [34, 0], "key": "a\tb"}',
        '{"recordedAt": "2026-03-02T06:00:00Z", "location": [34, 0], "key": "k", "valid": false, "mock": true}',
        '{"recordedAt": "2026-03-02T06:00:00Z", "location": [34, 0], "key": 7}',
        '{"recordedAt": "2026-03-02T06:00:00Z", "location": [34, 0], "valid": "yes", "battery": -1}',
        '{"recordedAt": "2026-03-02T06:00:00Z", "location": [34, 0], "speed_kmh": 7, "extra": {"a": 1}}',
        '{"recordedAt": "2026-03-02T06:00:00Z", "location": [34, 0], "heading": 360, "altitudeMeters": 1131}',
        '\ufeff{"recordedAt": "2026-03-02T06:00:00Z", "location": [34, 0]}',
        '{"recordedAt": "2026-03-02T06:00:00Z", "location": [34, 0]} x',
        '{"recordedAt": "2026-03-02T06:00:00Z", "location": [34, 0],}',
        "[" * 5000,
        "7",
    ],
)
def test_an_odd_line_is_read_as_the_close_look_reads_it(line: str) -> None:
    def closely(said: bytes) -> tuple[str | None, Fix]:
        return batch._closely(strict_json(said))

    assert told(batch.from_line, line.encode()) == told(closely, line.encode())
    encoded = line.encode("utf-16")
    assert told(batch.from_line, encoded) == told(closely, encoded)
