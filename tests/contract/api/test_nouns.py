"""The nouns of the registry over HTTP: from the first request to the last."""

import threading
import time

import httpx
import pytest

from tests.contract.api.conftest import Web, problem


def pages(client: httpx.Client, path: str, limit: int, **query: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    cursor = None
    while True:
        page = client.get(path, params={**query, "limit": limit, **({"cursor": cursor} if cursor else {})}).json()
        assert len(page["items"]) <= limit
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            return found


def test_life_of_a_device(web: Web) -> None:
    client = web.clients["engineer"]
    request = {"name": "泵-7", "asset": "hall/pump 7", "attributes": {"kW": 5.5}, "publish_filters": ["site/+/log"]}
    created = client.post("/v1/devices", json=request)
    assert created.status_code == 201
    device, secret = created.json()["device"], created.json()["secret"]
    assert len(secret) >= 22
    assert (device["asset_path"], device["online"], device["last_seen"]) == ("hall/pump 7", False, None)
    assert secret not in client.get(f"/v1/devices/{device['id']}").text
    problem(client.post("/v1/devices", json=request), 409, "conflict")
    changed = client.patch(f"/v1/devices/{device['id']}", json={"enabled": False, "subscribe_filters": ["a/#"]})
    assert (changed.json()["enabled"], changed.json()["subscribe_filters"]) == (False, ["a/#"])
    assert client.post(f"/v1/devices/{device['id']}:rotateSecret").json()["secret"] != secret
    asset = client.get(f"/v1/assets/{device['asset_id']}").json()
    assert (asset["path"], asset["attributes"]) == ("hall/pump 7", {"kW": 5.5})
    problem(client.delete(f"/v1/assets/{asset['id']}"), 409, "conflict")
    assert client.delete(f"/v1/devices/{device['id']}").status_code == 204
    problem(client.get(f"/v1/devices/{device['id']}"), 404, "not-found")
    assert client.delete(f"/v1/assets/{asset['id']}").status_code == 204


def test_lists_are_paged_by_cursor(web: Web) -> None:
    client = web.clients["engineer"]
    names = [f"page-{number:02d}" for number in range(13)]
    for name in names:
        assert client.post("/v1/devices", json={"name": name, "asset": f"page/{name}"}).status_code == 201
    for limit in (1, 5, 13, 1000):
        assert [item["name"] for item in pages(client, "/v1/devices", limit, search="^page-")] == names
    assert [item["path"] for item in pages(client, "/v1/assets", 4, search="^page/")] == [f"page/{n}" for n in names]
    audit = pages(web.clients["admin"], "/v1/audit", 7)
    assert len({item["id"] for item in audit}) == len(audit)
    created = [item["resource"] for item in audit if item["action"] == "device.create"]
    assert created[: len(names)] == [f"device/{name}" for name in reversed(names)]


def test_move_of_an_asset(web: Web) -> None:
    client = web.clients["engineer"]
    child = client.post("/v1/assets", json={"path": "old/line/robot"}).json()
    line = client.get(f"/v1/assets/{child['parent_id']}").json()
    target = client.post("/v1/assets", json={"path": "new"}).json()
    moved = client.patch(f"/v1/assets/{line['id']}", json={"parent_id": target["id"], "name": "line 2"})
    assert moved.json()["path"] == "new/line 2"
    assert client.get("/v1/assets", params={"path": "new/line 2/robot"}).json()["items"][0]["id"] == child["id"]
    roots = [item["path"] for item in client.get("/v1/assets?parent=0&limit=1000").json()["items"]]
    assert {"old", "new"} <= set(roots)
    assert all("/" not in path for path in roots)
    problem(client.patch(f"/v1/assets/{target['id']}", json={"parent_id": child["id"]}), 409, "conflict")


def test_last_admin_stays(web: Web) -> None:
    stranger = web.clients["stranger"]
    problem(stranger.delete(f"/v1/users/{web.users['stranger']['id']}"), 409, "conflict")
    problem(stranger.patch(f"/v1/users/{web.users['stranger']['id']}", json={"role": "viewer"}), 409, "conflict")


def test_events_of_an_asset(web: Web) -> None:
    client = web.clients["engineer"]
    client.post("/v1/assets", json={"path": "bearing"})
    body = {"asset": "bearing", "kind": "label", "from": "2014-02-08T00:00:00+08:00", "to": "2014-02-09T00:00:00Z"}
    made = client.post("/v1/events", json={**body, "text": "轴承失效"}).json()
    assert (made["from"], made["source"]) == ("2014-02-07T16:00:00Z", "engineer-user")
    listed = client.get("/v1/events", params={"asset": "bearing", "from": "2014-02-08T12:00:00Z"}).json()
    assert listed == {"items": [made], "next": None}
    problem(client.post("/v1/events", json={**body, "asset": "nowhere"}), 404, "not-found")


def test_overview_counts_what_there_is(web: Web) -> None:
    client = web.clients["viewer"]
    overview = client.get("/v1/overview").json()
    assert {"time", "node", "rates", "totals", "lag", "roles", "disk", "history"} == set(overview)
    assert overview["node"]["name"] == "test"
    assert set(overview["rates"]) == {"messages", "points", "stored", "rejected", "shed"}
    assert overview["disk"]["free_bytes"] > 0
    assert overview["totals"]["alarms"] == {"unacknowledged": 0, "acknowledged": 0, "returned": 0}
    assert overview["totals"]["devices_online"] == 0


def test_history_that_is_away_is_a_503(web: Web) -> None:
    answer = web.clients["operator"].post("/v1/sql", json={"query": "SELECT 1"})
    problem(answer, 503, answer.json()["code"])


def test_metrics_are_prometheus_text(web: Web) -> None:
    deadline = time.monotonic() + 20
    while True:
        response = web.clients["viewer"].get("/metrics")
        if "gongfu_streams{" in response.text or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert '# TYPE gongfu_streams gauge\ngongfu_streams{role="web"} ' in response.text


def read_events(response: httpx.Response, count: int) -> list[str]:
    names: list[str] = []
    for line in response.iter_lines():
        if line.startswith("event: "):
            names.append(line[7:])
            if len(names) == count:
                break
    return names


def test_stream_sends_overviews_and_ends_with_the_session(web: Web) -> None:
    client = web.clients["viewer"]
    with client.stream("GET", "/v1/stream") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert read_events(response, 2) == ["overview", "overview"]
    problem(client.get("/v1/stream?series=424242"), 404, "not-found")


@pytest.mark.parametrize("readers", [20])
def test_many_readers_that_come_and_go_leave_nothing_behind(web: Web, readers: int) -> None:
    client = web.clients["viewer"]

    def read() -> None:
        with client.stream("GET", "/v1/stream") as response:
            read_events(response, 1)

    threads = [threading.Thread(target=read) for _ in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    deadline = time.monotonic() + 30
    while 'gongfu_streams{role="web"} 0.0' not in client.get("/metrics").text:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_console_is_served_for_every_page_but_not_for_missing_files(web: Web) -> None:
    for path in ("/", "/devices", "/trend/12"):
        response = httpx.get(web.url + path, timeout=60)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/html")
    problem(httpx.get(web.url + "/assets/missing.js", timeout=60), 404, "not-found")
    for path in ("/%2e%2e/%2e%2e/pyproject.toml", "/..%2f..%2fpyproject.toml", "/static/%2e%2e%2fapp.py"):
        assert (
            "gongfu" not in httpx.get(web.url + path, timeout=60).text.lower()
            or "<html" in httpx.get(web.url + path, timeout=60).text
        )
