"""Whatever a client sends to whatever operation: a documented answer, never an unexpected failure."""

import json
from typing import Any

import hypothesis
from hypothesis import strategies as st

from tests.contract.api.conftest import Web
from tests.contract.api.test_access import operations

TEXT = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["a/b", "2026-01-01T00:00:00Z", "admin", "%", "'; DROP TABLE device; --", "\0", "\uffff", "x" * 3000]
)
NUMBER = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([2**63, -1, 0, 2**64])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def body_of(schema: dict[str, Any], components: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that mostly fit the members of a schema by name, with arbitrary content."""
    while "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    members = {name: fitting(member) | JSON for name, member in schema.get("properties", {}).items()}
    return st.fixed_dictionaries({}, optional=members) | JSON


def fitting(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    by_type = {
        "string": TEXT,
        "integer": st.integers(),
        "number": NUMBER,
        "boolean": st.booleans(),
        "array": st.lists(TEXT | st.integers(0, 9), max_size=3),
        "object": st.dictionaries(TEXT, JSON, max_size=3),
    }
    kind = schema.get("type")
    return by_type.get(kind, JSON) if isinstance(kind, str) else JSON


# What people open from an e-mail: their errors are pages, too.
PAGES = {"/v1/notifications/acknowledge/{token}"}


def test_arbitrary_requests(web: Web) -> None:
    document = web.clients["root"].get("/v1/openapi.json").json()
    components = document["components"]["schemas"]
    # Not those that would end the test's own session or answer for parts that do not run here.
    found = [
        item
        for item in operations(web)
        if not item[1].startswith("/v1/session") and item[1] not in ("/v1/sql", "/v1/series:query", "/v1/telemetry")
    ]
    client = web.clients["root"]

    @hypothesis.given(data=st.data())
    @hypothesis.settings(
        max_examples=150, deadline=None, suppress_health_check=list(hypothesis.HealthCheck), database=None
    )
    def send(data: st.DataObject) -> None:
        method, path, operation = data.draw(st.sampled_from(found))
        segment = st.integers(0, 30).map(str) | st.sampled_from(["a", "9" * 18, "9" * 40, "%20", "泵", "%00", "%ff"])
        for name in ("id", "series"):
            path = path.replace(f"{{{name}}}", data.draw(segment))
        names = [item["name"] for item in operation["parameters"] if item["in"] == "query"]
        query = {name: data.draw(TEXT) for name in names if data.draw(st.booleans())}
        content, headers = None, {}
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body is not None:
            content = json.dumps(data.draw(body_of(body["schema"], components))).encode()
            headers = {"content-type": "application/json"}
        response = client.request(method, path, params=query, content=content, headers=headers)
        assert response.status_code < 500 or response.status_code == 503, (method, path, query, content, response.text)
        if response.status_code >= 400 and path in PAGES:
            assert response.headers["content-type"] == "text/html; charset=utf-8"
        elif response.status_code >= 400:
            assert response.headers["content-type"] == "application/problem+json"
            assert response.json()["status"] == response.status_code

    send()
    assert "Traceback" not in web.log.read_text()
