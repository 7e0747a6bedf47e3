"""The corpora of documents beside the repository: tests that need them are skipped where they are not."""

import json
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[5] / "shared" / "data"
SCHEMA = DATA / "gs1" / "epcis" / "EPCIS-JSON-Schema.json"
CONTEXT = DATA / "gs1" / "epcis" / "epcis-context.jsonld"
FILES = sorted([*(DATA / "gs1" / "epcis" / "examples").glob("*"), *(DATA / "openepcis").glob("*.json")])

needs_corpora = pytest.mark.skipif(not FILES, reason=f"the EPCIS corpora are not at {DATA}")


def documents(*, valid: bool | None = None) -> list[tuple[str, Any]]:
    """Return names and contents; a file is invalid where its name says so."""
    found = [(path.name, json.loads(path.read_text())) for path in FILES]
    return found if valid is None else [(name, value) for name, value in found if ("Invalid" in name) != valid]


def events_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events of a document of any kind; none of a query's definition."""
    body = document.get("epcisBody")
    if body is None:
        return [document] if "type" in document else []
    return body["eventList"] if "eventList" in body else body["queryResults"]["resultsBody"]["eventList"]
