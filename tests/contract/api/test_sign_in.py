import contextlib

import httpx
import pytest

from tests.contract.api.conftest import PASSWORD, Web, problem


def cookie_client(web: Web, name: str, **headers: str) -> httpx.Client:
    client = web.client(**headers)
    assert client.post("/v1/session", json={"username": name, "password": PASSWORD}).status_code == 200
    return client


def test_cookie_is_kept_from_scripts_and_other_sites(web: Web) -> None:
    response = web.sign_in("viewer-user", PASSWORD)
    cookie = response.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert "token" not in response.json()
    user = response.json()["user"]
    assert (user["name"], user["role"], user["tenant"]["id"]) == ("viewer-user", "viewer", 1)
    assert (user["must_change_password"], user["language"]) == (False, "zh")


def test_one_time_password_opens_nothing_but_the_own_session(web: Web) -> None:
    made = web.clients["admin"].post("/v1/users", json={"name": "newcomer", "role": "admin"}).json()
    with web.client(web.token_of("newcomer", made["password"])) as client:
        assert client.get("/v1/session").json()["user"]["must_change_password"] is True
        problem(client.get("/v1/devices"), 403, "password-change-needed")
        problem(client.get("/v1/stream"), 403, "password-change-needed")
        problem(client.get("/metrics"), 403, "password-change-needed")
        body = {"old": made["password"], "new": "123"}
        problem(client.post("/v1/session:changePassword", json=body), 400, "invalid-request")
        body["new"] = "another long one"
        assert client.post("/v1/session:changePassword", json=body).json()["user"]["must_change_password"] is False
        assert client.get("/v1/devices").status_code == 200


def test_first_admin_signs_in_with_the_printed_password(web: Web) -> None:
    assert web.sign_in("admin", web.one_time_password).json()["user"]["must_change_password"] is True


def test_calls_without_a_session(web: Web) -> None:
    for method, path in (("GET", "/v1/devices"), ("POST", "/v1/devices"), ("GET", "/v1/stream"), ("GET", "/metrics")):
        response = httpx.request(method, web.url + path, timeout=60)
        problem(response, 401, "unauthenticated")
        assert response.headers["www-authenticate"] == "Bearer"
    for token in ("x", "x" * 10_000, "."):
        with web.client(authorization=f"Bearer {token}") as client:
            problem(client.get("/v1/devices"), 401, "unauthenticated")
    with web.client(authorization="Basic YTpi") as client:
        problem(client.get("/v1/devices"), 401, "unauthenticated")


def test_sign_out_ends_the_session_and_removes_the_cookie(web: Web) -> None:
    token = web.token_of("viewer-user", PASSWORD)
    with web.client(token) as client:
        response = client.delete("/v1/session")
        assert response.status_code == 204
        assert "Max-Age=0" in response.headers["set-cookie"]
        problem(client.get("/v1/session"), 401, "unauthenticated")


def test_language_of_the_own_session(web: Web) -> None:
    client = web.clients["operator"]
    assert client.patch("/v1/session", json={"language": "en"}).json()["user"]["language"] == "en"
    assert client.get("/v1/session").json()["user"]["language"] == "en"
    problem(client.patch("/v1/session", json={"language": "<script>"}), 400, "invalid-request")


def test_wrong_sign_ins_are_limited(web: Web) -> None:
    web.clients["admin"].post("/v1/users", json={"name": "victim", "role": "viewer"})
    for _ in range(5):
        problem(web.sign_in("victim", "wrong"), 401, "unauthenticated")
    response = web.sign_in("victim", "wrong")
    problem(response, 429, "too-many-sign-ins")
    assert 0 < int(response.headers["retry-after"]) <= 301
    assert web.sign_in("viewer-user", PASSWORD).status_code == 200


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({}, False),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "SELF"}, True),
        ({"origin": "http://evil.example", "sec-fetch-site": "same-origin"}, True),
        ({"origin": "SELF", "sec-fetch-site": "cross-site"}, False),
    ],
)
def test_writes_with_the_cookie_must_come_from_the_console(web: Web, headers: dict[str, str], passes: bool) -> None:
    headers = {name: web.url if value == "SELF" else value for name, value in headers.items()}
    with contextlib.closing(cookie_client(web, "engineer-user")) as client:
        response = client.patch("/v1/session", json={"language": "zh"}, headers=headers)
        assert client.get("/v1/session", headers=headers).status_code == 200
    if passes:
        assert response.status_code == 200
    else:
        problem(response, 403, "cross-site-request")


def test_another_site_cannot_sign_a_browser_in(web: Web) -> None:
    body = {"username": "viewer-user", "password": PASSWORD}
    with web.client(origin="http://evil.example") as client:
        problem(client.post("/v1/session", json=body), 403, "cross-site-request")


def test_bearer_needs_no_origin(web: Web) -> None:
    headers = {"origin": "http://tool.example", "sec-fetch-site": "cross-site"}
    assert web.clients["viewer"].patch("/v1/session", json={"language": "zh"}, headers=headers).status_code == 200
