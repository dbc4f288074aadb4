"""The documents name what is there: every setting with its default, every command, every path that the hub answers."""

from __future__ import annotations

import re
from typing import Any

import click
import pytest
from pydantic.fields import FieldInfo
from starlette.routing import BaseRoute, Mount

from hub.app import create_app
from hub.cli import main
from hub.settings import PROJECT, Database, Settings

DOCS = PROJECT / "hub/docs"
SETTINGS = [
    pytest.param(concern, name, field, id=name)
    for concern in Settings.concerns
    for name, field in concern.model_fields.items()
]


def shown(value: Any) -> str:
    """A default as one would type it into a shell."""
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{','.join(value) if isinstance(value, tuple) else value}`"


@pytest.mark.parametrize(("concern", "name", "field"), SETTINGS)
def test_every_setting_is_documented_as_it_is(concern: type, name: str, field: FieldInfo) -> None:
    row = f"| `HUB_{name.upper()}` | {shown(field.default)} | {field.description} |".replace("|  |", "| |")
    assert row in (DOCS / "settings.md").read_text().splitlines(), f"settings.md lacks the row\n{row}"


def test_no_document_names_a_setting_that_is_gone() -> None:
    known = {f"HUB_{name.upper()}" for concern in Settings.concerns for name in concern.model_fields}
    for document in [*DOCS.glob("*.md"), PROJECT / "README.md", PROJECT / "docker-compose.yml", PROJECT / "Dockerfile"]:
        named = set(re.findall(r"\bHUB_[A-Z_]+", document.read_text()))
        assert named <= known, document.name


@pytest.mark.parametrize("name", list(main.commands))
def test_every_command_is_documented(name: str) -> None:
    command = main.commands[name]
    text = (DOCS / "running.md").read_text()
    assert f"| `hub {name}" in text
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.opts[0] in text


def paths() -> list[str]:
    def below(routes: list[BaseRoute], prefix: str = "") -> list[str]:
        found = []
        for route in routes:
            path = prefix + getattr(route, "path", "")
            found += below(route.routes or [], path) if isinstance(route, Mount) else [path]
        return found

    settings = Settings(database=Database(database_url="postgresql://nobody@127.0.0.1:9/none"))
    return below(create_app(settings).routes)


@pytest.mark.parametrize("path", paths())
def test_every_path_is_documented(path: str) -> None:
    plain = path.replace(":path}", "}")
    documents = {document.name: document.read_text() for document in DOCS.glob("*.md")}
    assert any(f"`{plain}`" in text or f" {plain}`" in text for text in documents.values()), (
        f"no document names `{plain}`"
    )


def test_every_link_between_documents_leads_somewhere() -> None:
    for document in [*DOCS.glob("*.md"), PROJECT / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_tour_stops_once_at_every_case() -> None:
    linked = re.findall(
        r"\]\(\.\./\.\./tests/queries/(\w+/\w+\.(?:graphql|sql|json))\)", (DOCS / "tour.md").read_text()
    )
    cases = [path.relative_to(PROJECT / "tests/queries") for path in PROJECT.glob("tests/queries/*/*.graphql")]
    ends = (".graphql", ".sql", ".json")
    assert sorted(linked) == sorted(str(case.with_suffix(end)) for case in cases for end in ends)
