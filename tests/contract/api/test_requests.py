"""What a request may look like, and what is answered when it does not."""

import contextlib
from collections.abc import Iterator

import httpx
import pytest

from tests.contract.api.conftest import Web, problem

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "malformed-json"),
        (b"{", "malformed-json"),
        (b'{"name": NaN}', "malformed-json"),
        (b'{"name": "\xff"}', "malformed-json"),
        (b"[]", "invalid-request"),
        (b"null", "invalid-request"),
        (b"{}", "invalid-request"),
        (b'{"name": 5}', "invalid-request"),
        (b'{"name": null}', "invalid-request"),
        (b'{"name": "d", "colour": "red"}', "invalid-request"),
        (b'{"name": "d", "publish_filters": "a/b"}', "invalid-request"),
        (b'{"name": "d", "attributes": []}', "invalid-request"),
        (b'{"name": "a\\u0000b"}', "invalid-request"),
        (b'{"name": "a/b"}', "invalid-request"),
        (b"[" * 100_000, "invalid-request"),
    ],
)
def test_bad_bodies(web: Web, content: bytes, code: str) -> None:
    document = problem(web.clients["engineer"].post("/v1/devices", content=content, headers=JSON), 400, code)
    assert document["detail"]


def test_detail_says_where_the_fault_is(web: Web) -> None:
    bad = {"name": "d", "publish_filters": ["a", 5]}
    document = problem(web.clients["engineer"].post("/v1/devices", json=bad), 400, "invalid-request")
    assert "$.publish_filters[1]" in document["detail"]


def test_nul_is_refused_everywhere_but_an_escaped_backslash_is_none(web: Web) -> None:
    client = web.clients["engineer"]
    for path in ("/v1/assets?path=a%00b", "/v1/devices?search=%00", "/v1/alarms/%00"):
        problem(client.get(path), 400, "invalid-request")
    made = client.post("/v1/assets", content=b'{"path": "back\\\\u0000slash"}', headers=JSON)
    assert made.json()["path"] == "back\\u0000slash"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_body_must_be_declared_as_json(web: Web, content_type: str) -> None:
    response = web.clients["engineer"].post(
        "/v1/devices", content=b'{"name":"d"}', headers={"content-type": content_type}
    )
    problem(response, 415, "unsupported-media-type")


def test_oversize_bodies_are_refused_with_and_without_a_length(web: Web) -> None:
    client = web.clients["engineer"]
    problem(client.post("/v1/devices", content=b" " * 200_001, headers=JSON), 413, "body-too-large")
    for count in (21, 300):
        chunks = (b" " * 10_000 for _ in range(count))
        problem(client.post("/v1/devices", content=chunks, headers=JSON), 413, "body-too-large")
    # The connection goes on to be used.
    assert client.get("/v1/session").status_code == 200


def test_body_without_end_is_cut_off(web: Web) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 65_536
            yield b" " * 65_536

    with web.client() as client, contextlib.suppress(httpx.TransportError):
        client.headers = web.clients["engineer"].headers
        problem(client.post("/v1/devices", content=endless(), headers=JSON), 413, "body-too-large")
    assert sent < 64 * 1_048_576


def test_unknown_paths_and_methods(web: Web) -> None:
    client = web.clients["engineer"]
    for path in ("/v1", "/v1/", "/v1/nothing", "/v1/devices/1/2", "/v1/devices/", "/v1//devices"):
        problem(client.get(path), 404, "not-found")
    answer = client.delete("/v1/devices")
    problem(answer, 405, "method-not-allowed")
    assert {"GET", "POST"} <= set(answer.headers["allow"].replace(",", " ").split())
    problem(client.get("/v1/devices/1:rotateSecret"), 405, "method-not-allowed")
    problem(client.post("/anything"), 405, "method-not-allowed")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/devices?limit=0",
        "/v1/devices?limit=1001",
        "/v1/devices?limit=x",
        "/v1/devices?limit=" + "9" * 5000,
        "/v1/devices?cursor=%21%21",
        "/v1/devices?cursor=NQ",
        "/v1/devices?online=maybe",
        "/v1/points?asset=abc",
        "/v1/points?asset=" + "9" * 19,
        "/v1/points?cursor=WyJhIl0",
        "/v1/audit?cursor=Wzk5OTk5OTk5OTk5OTk5OTk5OTk5OTld",
        "/v1/events?from=yesterday",
        "/v1/devices/abc",
        "/v1/devices/" + "9" * 19,
        "/v1/devices/-1",
        "/v1/devices?search=" + "x" * 201,
        "/v1/stream?series=1,b",
    ],
)
def test_bad_parameters(web: Web, path: str) -> None:
    problem(web.clients["admin"].get(path), 400, "invalid-request")


def test_greatest_id_is_not_found(web: Web) -> None:
    problem(web.clients["admin"].get("/v1/devices/" + "9" * 18), 404, "not-found")


def test_every_answer_has_security_headers(web: Web) -> None:
    for response in (
        httpx.get(web.url + "/", timeout=60),
        httpx.get(web.url + "/v1/health", timeout=60),
        httpx.get(web.url + "/v1/nothing", timeout=60),
    ):
        policy = response.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "'unsafe-eval'" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
    assert httpx.get(web.url + "/v1/health", timeout=60).headers["cache-control"] == "no-store"


def test_health_needs_no_sign_in_and_tells_nothing_else(web: Web) -> None:
    assert httpx.get(web.url + "/v1/health", timeout=60).json() == {"status": "ok"}


def test_large_answers_are_compressed_when_the_client_reads_it(web: Web) -> None:
    plain = httpx.get(web.url + "/v1/openapi.json", headers={"accept-encoding": "identity"}, timeout=60)
    packed = httpx.get(web.url + "/v1/openapi.json", headers={"accept-encoding": "gzip"}, timeout=60)
    refused = httpx.get(web.url + "/v1/openapi.json", headers={"accept-encoding": "gzip;q=0"}, timeout=60)
    assert "content-encoding" not in plain.headers
    assert "content-encoding" not in refused.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "accept-encoding"
    assert packed.json() == plain.json()
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 3


def test_parts_that_do_not_answer_are_a_503_and_not_an_error(web: Web) -> None:
    client = web.clients["engineer"]
    device = client.post("/v1/devices", json={"name": "lonely"}).json()["device"]
    problem(client.post(f"/v1/devices/{device['id']}:send", json={"payload": {"on": True}}), 503, "unavailable")
    # Reads go on without live values.
    assert client.get(f"/v1/devices/{device['id']}").json()["online"] is False
    assert client.get("/v1/points").status_code == 200


def test_nothing_in_the_log_is_an_unexpected_failure(web: Web) -> None:
    assert "Traceback" not in web.log.read_text()
