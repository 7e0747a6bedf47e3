"""Who may do what, over every operation of the API."""

from typing import Any

import pytest

from gongfu.kernel.permissions import Action, Role, Subject, can
from tests.contract.api.conftest import ROLES, Web, problem


def operations(web: Web) -> list[tuple[str, str, dict[str, Any]]]:
    document = web.clients["root"].get("/v1/openapi.json").json()
    return [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_operation_is_described(web: Web) -> None:
    found = operations(web)
    assert len(found) > 35
    for method, path, operation in found:
        assert operation["summary"], (method, path)
        assert operation["responses"]["default"]["$ref"] == "#/components/responses/problem"
    names = [operation["operationId"] for _, _, operation in found]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("role", ROLES)
def test_every_operation_with_every_role(web: Web, role: str) -> None:
    """What a role may not do is 403 whatever the request holds; what it may do is never 401 or 403."""
    tenant = Subject(1, "u", 1, Role(role))
    for method, path, operation in operations(web):
        if "x-action" not in operation or path.startswith("/v1/session"):
            continue
        url = path.replace("{id}", "999999").replace("{series}", "999999")
        # A body that is never valid, so that nothing is written.
        response = web.clients[role].request(method, url, json={"no such member": 1} if method != "GET" else None)
        if can(tenant, Action(operation["x-action"])):
            assert response.status_code not in (401, 403), (method, path, response.text)
        else:
            problem(response, 403, "forbidden")


def test_every_operation_needs_a_session_but_the_public_ones(web: Web) -> None:
    with web.client() as client:
        for method, path, operation in operations(web):
            if operation.get("security") == []:
                continue
            url = path.replace("{id}", "1").replace("{series}", "1")
            problem(client.request(method, url, json={}), 401, "unauthenticated")
    public = {path for _, path, operation in operations(web) if operation.get("security") == []}
    # The link in a notification and the call of another node sign themselves; pages of apps are code without data, in
    # frames that have no session.
    signed = {"/v1/notifications/acknowledge/{token}", "/v1/calls:receive"}
    assert public <= {"/v1/session", "/v1/telemetry", "/v1/apps/{app}/pages/{rest}", *signed}


def test_requests_with_unknown_members_are_refused_by_every_operation(web: Web) -> None:
    document = web.clients["root"].get("/v1/openapi.json").json()
    for method, path, operation in operations(web):
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body is None:
            continue
        schema = body["schema"]
        while "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        assert schema.get("additionalProperties") is False, (method, path)


def test_ids_of_another_tenant_are_not_found(web: Web) -> None:
    owner, stranger = web.clients["engineer"], web.clients["stranger"]
    device = owner.post("/v1/devices", json={"name": "secret-pump", "asset": "secret/pump"}).json()["device"]
    event = {"asset": "secret/pump", "kind": "note", "from": "2026-01-01T00:00:00Z"}
    assert owner.post("/v1/events", json=event).status_code == 201
    user = web.users["viewer-user"]
    attempts = [
        ("GET", f"/v1/devices/{device['id']}", None),
        ("PATCH", f"/v1/devices/{device['id']}", {"enabled": False}),
        ("DELETE", f"/v1/devices/{device['id']}", None),
        ("POST", f"/v1/devices/{device['id']}:rotateSecret", None),
        ("POST", f"/v1/devices/{device['id']}:send", {"payload": "x"}),
        ("GET", f"/v1/assets/{device['asset_id']}", None),
        ("PATCH", f"/v1/assets/{device['asset_id']}", {"name": "mine"}),
        ("DELETE", f"/v1/assets/{device['asset_id']}?force=true", None),
        ("POST", "/v1/assets", {"name": "x", "parent_id": device["asset_id"]}),
        ("GET", f"/v1/points?asset={device['asset_id']}", None),
        ("POST", "/v1/events", event),
        ("PATCH", f"/v1/users/{user['id']}", {"role": "admin"}),
        ("DELETE", f"/v1/users/{user['id']}", None),
        ("POST", "/v1/series:latest", {"series": [1]}),
        ("GET", "/v1/stream?series=1", None),
    ]
    for method, path, body in attempts:
        problem(stranger.request(method, path, json=body), 404, "not-found")
    for path in ("/v1/devices", "/v1/assets", "/v1/points", "/v1/events", "/v1/drops", "/v1/alarms"):
        assert stranger.get(path).json()["items"] == [], path
    assert stranger.get("/v1/assets?search=secret").json()["items"] == []
    assert [user["name"] for user in stranger.get("/v1/users").json()["items"]] == ["stranger"]
    assert all("secret" not in entry["resource"] for entry in stranger.get("/v1/audit").json()["items"])
    assert owner.get(f"/v1/devices/{device['id']}").json()["enabled"] is True


def test_other_tenants_do_not_operate_the_node(web: Web) -> None:
    stranger = web.clients["stranger"]
    for method, path, body in (
        ("GET", "/v1/tenants", None),
        ("POST", "/v1/tenants", {"name": "third"}),
        ("GET", "/v1/users?tenant=1", None),
        ("POST", "/v1/users", {"name": "spy", "role": "admin", "tenant_id": 1}),
        ("GET", "/metrics", None),
    ):
        problem(stranger.request(method, path, json=body), 403, "forbidden")
    overview = stranger.get("/v1/overview").json()
    assert (overview["roles"], overview["totals"]["devices"], overview["history"]) == ([], 0, [])
