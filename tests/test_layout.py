"""`hub`, `schema` and `geo` exist on the package index too: what is imported must be ours."""

from __future__ import annotations

from pathlib import Path

import pytest

import geo
import hub
import schema
from tests.conftest import LONGEST

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("package", [geo, hub, schema], ids=lambda package: package.__name__)
def test_the_packages_that_are_imported_are_those_of_this_checkout(package: object) -> None:
    assert Path(package.__file__).parent == ROOT / package.__name__  # type: ignore[attr-defined]


def test_the_files_that_are_begun_first_are_there() -> None:
    assert [name for name in LONGEST if not (ROOT / "tests" / name).is_file()] == []
