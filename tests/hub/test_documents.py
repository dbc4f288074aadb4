"""Documents that are sent by their id, through each door, and no right more than any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from hub.settings import Database, Limits, Settings
from tests.conftest import County, running

WARDS = "query Wards($code: String) { wards(where: { code: { eq: $code } }) { nodes { code } } }"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "documents.json"
    path.write_text(
        json.dumps({"sha256:wards": WARDS, "deep": "{ wards { nodes { subCounty { wards { totalCount } } } } }"})
    )
    return path


async def test_a_document_is_asked_for_by_its_id(database: County, manifest: Path) -> None:
    settings = Settings(
        database=Database(database_url=database.login_url), limits=Limits(documents=manifest, max_depth=3)
    )
    async with running(database.login_url, settings) as hub:
        answer = await hub.http.post(
            "/graphql", json={"documentId": "sha256:wards", "variables": {"code": "1208"}, "operationName": "Wards"}
        )
        assert answer.json() == {"data": {"wards": {"nodes": [{"code": "1208"}]}}}
        for body, says in (
            ({"documentId": "unknown"}, "no document that this hub keeps"),
            ({"documentId": ["sha256:wards"]}, "no document that this hub keeps"),
            ({"documentId": "sha256:wards", "query": WARDS}, "one of them"),
        ):
            answer = await hub.http.post("/graphql", json=body)
            assert answer.status_code == 400
            assert says in answer.json()["errors"][0]["message"]
        # To be in the file is no right: the limits hold.
        answer = await hub.http.post("/graphql", json={"documentId": "deep"})
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (400, "QUERY_TOO_COMPLEX")
        stream = await hub.http.post(
            "/graphql", json={"documentId": "sha256:wards"}, headers={"accept": "text/event-stream"}
        )
        assert '"1208"' in stream.text


async def test_a_hub_without_documents_says_so(database: County) -> None:
    async with running(database.login_url) as hub:
        answer = await hub.http.post("/graphql", json={"documentId": "sha256:wards"})
        assert answer.status_code == 400
        assert "HUB_DOCUMENTS" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": ""}', "{"])
def test_a_file_that_is_none_is_refused_when_the_hub_starts(tmp_path: Path, text: str) -> None:
    path = tmp_path / "documents.json"
    path.write_text(text)
    with pytest.raises(ValidationError, match=r"cannot be read|is no JSON object"):
        Limits(documents=path)
