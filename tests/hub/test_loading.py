"""A department's list of vehicles comes in: as CSV or XLSX, reported first, whole or not at all."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.loading import CannotLoad, look, read, write
from tests.commands import hub
from tests.conftest import County, copied

GOOD = """\
Plate;Kind;Call sign;Status;Department
kda 001x;ambulance;Tiba 1;available;Health
KDA 002X;Patrol car;;;Enforcement

KDA 003X;on foot;Doria 9;Out of service;
"""


@pytest.fixture
def county(cluster: Any, template: str) -> Iterator[County]:
    with copied(cluster, template) as made:
        yield made


def load(county: County, file: Path, *more: str) -> tuple[int, list[str]]:
    ran = hub("load", "vehicles", str(file), *more, HUB_DATABASE_URL=county.login_url, HUB_OWNER_URL=county.owner_url)
    return ran.returncode, (ran.stdout + ran.stderr).splitlines()


def fleet(county: County) -> list[tuple[Any, ...]]:
    with psycopg.connect(county.owner_url) as connection:
        return connection.execute(
            "select plate, kind, call_sign, status, d.name from vehicles v "
            "left join departments d on d.id = department_id order by plate"
        ).fetchall()


def test_a_list_is_reported_and_then_written(county: County, tmp_path: Path) -> None:
    file = tmp_path / "fleet.csv"
    file.write_text(GOOD, "utf-8-sig")
    code, said = load(county, file)
    assert (code, said[-1]) == (0, "3 new, 0 changed, 0 as they are. Nothing is written yet: say --write.")
    assert said[0] == "row 2: KDA 001X is new, ambulance"
    assert fleet(county) == []
    assert load(county, file, "--write")[1][-1] == "3 new, 0 changed, 0 as they are: written."
    assert fleet(county) == [
        ("KDA 001X", "ambulance", "Tiba 1", "available", "Health"),
        ("KDA 002X", "patrol_car", None, "available", "Enforcement"),
        ("KDA 003X", "on_foot", "Doria 9", "out_of_service", None),
    ]
    file.write_text("plate,kind,status\nKDA 001X,ambulance,assigned\nKDA 002X,patrol_car,\n")
    code, said = load(county, file, "--write")
    assert said == [
        "row 2: KDA 001X, status: available becomes assigned",
        "0 new, 1 changed, 1 as they are: written.",
    ]
    assert fleet(county)[0] == ("KDA 001X", "ambulance", "Tiba 1", "assigned", "Health")
    with psycopg.connect(county.owner_url) as connection:
        assert connection.execute("select count(*) from journal where tbl = 'vehicles'").fetchone() == (4,)


def test_wrong_rows_are_named_and_nothing_is_written(county: County, tmp_path: Path) -> None:
    file = tmp_path / "fleet.csv"
    file.write_text("plate,kind,status\nKDA 001X,ambulance,\nKDA 001X,car,\n!,ambulence,broken\n,,assigned\n")
    code, said = load(county, file, "--write")
    assert code == 1
    assert said[-1].endswith("6 mistakes: nothing was written.")
    told = "\n".join(said)
    for sentence in (
        "row 3, plate: KDA 001X stands in row 2 already",
        "row 4, plate: ! is none: 3 to 16 capitals",
        "row 4, kind: ambulence is none: ambulance is meant?",
        "row 4, status: broken is none",
        "row 5, plate: is empty",
        "row 5, kind: is empty",
    ):
        assert sentence in told
    assert fleet(county) == []


def test_a_sheet_is_read_like_a_list(county: County, tmp_path: Path) -> None:
    file = tmp_path / "fleet.xlsx"
    sheet(file, [["Plate", "Kind", "Call sign"], ["KDA 001X", "tipper", 7], ["KDA 002X", "bus", "Basi 2"]])
    rows, wrong = read(file)
    assert [(row.plate, row.kind, row.call_sign) for row in rows] == [
        ("KDA 001X", "tipper", "7"),
        ("KDA 002X", "bus", "Basi 2"),
    ]
    assert wrong == ["row 2, call_sign: has 1 letters: 2 to 40 are taken"]


def sheet(file: Path, rows: list[list[Any]]) -> None:
    """The least that is an XLSX (ECMA-376): a workbook, a sheet, inline texts."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    package = "http://schemas.openxmlformats.org/package/2006"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    cells = "".join(
        "<row>"
        + "".join(
            f"<c><v>{cell}</v></c>" if isinstance(cell, int) else f'<c t="inlineStr"><is><t>{cell}</t></is></c>'
            for cell in row
        )
        + "</row>"
        for row in rows
    )
    with zipfile.ZipFile(file, "w") as made:
        made.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>',
        )
        made.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
            f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        made.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="Fleet" sheetId="1" r:id="r1"/></sheets>'
            "</workbook>",
        )
        made.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{office}/worksheet" '
            'Target="worksheets/sheet1.xml"/></Relationships>',
        )
        made.writestr(
            "xl/worksheets/sheet1.xml", f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>'
        )


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"plate,knd\n", "there is no column “knd”: kind is meant?"),
        ("a.csv", b"plate\nKDA 001X\n", "the column kind is missing"),
        ("a.csv", b"plate,kind,kind\n", "there twice"),
        ("a.csv", b"plate,kind\n\xff\xfe,car\n", "is no UTF-8"),
        ("a.csv", b"plate,kind\nKDA\x00,car\n", "NUL"),
        ("a.csv", b'plate,kind\n"KDA 001X,car\n', "is no CSV"),
        ("a.xlsx", b"PK\x03\x04nothing", "is no XLSX that can be read"),
        ("a.xlsx", b"plate,kind\n", "is no XLSX that can be read"),
    ],
)
def test_a_file_that_is_no_list_is_refused_whole(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(CannotLoad) as refused:
        read(file)
    assert says in str(refused.value)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_a_list_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    for name in ("any.csv", "any.xlsx"):
        file = tmp_path_factory.getbasetemp() / name
        file.write_bytes(b"plate,kind\n" + content if name.endswith("csv") else content)
        try:
            rows, wrong = read(file)
        except CannotLoad:
            continue
        assert isinstance(rows, list)
        assert isinstance(wrong, list)


def test_looking_changes_nothing(county: County, tmp_path: Path) -> None:
    file = tmp_path / "fleet.csv"
    file.write_text(GOOD)
    rows, wrong = read(file)
    with psycopg.connect(county.owner_url) as connection:
        connection.execute("set role hub_owner")
        report = look(connection, rows, wrong)
        assert (len(report.added), report.changed, report.wrong) == (3, [], [])
        write(connection, report)
        again = look(connection, rows, wrong)
        assert (again.added, again.changed, again.same) == ([], [], 3)
