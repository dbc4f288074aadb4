"""`hub`, `schema` and `geo` exist on the package index too: what is imported must be ours."""

from __future__ import annotations

from pathlib import Path

import pytest

import geo
import hub
import schema

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("package", [geo, hub, schema], ids=lambda package: package.__name__)
def test_the_packages_that_are_imported_are_those_of_this_checkout(package: object) -> None:
    assert Path(package.__file__).parent == ROOT / package.__name__  # type: ignore[attr-defined]
