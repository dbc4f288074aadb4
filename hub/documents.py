"""Documents that clients send by their id instead of whole: `{"documentId": "…", "variables": {…}}`.

The file is what GraphQL code generators write: a JSON object of document texts by id. Such a document goes through the
same limits as any other; to be in the file is no right.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path


class NoDocuments(ValueError):
    """The file cannot be used. The message says why."""


@cache
def kept(path: Path) -> Mapping[str, str]:
    """The documents of a file, by id; read once. Raises NoDocuments."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise NoDocuments(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(text, str) and text.strip() for text in found.values()):
        raise NoDocuments(f"{path} is no JSON object of documents by id")
    return found
