"""What the other roles say reaches the API: metrics, connections, newest values, alarms. The test plays the roles."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import msgspec
import pytest
from nats.aio.client import Client
from sqlalchemy import insert

from gongfu.bus.connection import open_bus, subscribe
from gongfu.bus.requests import serve
from gongfu.kernel.subjects import Subjects
from gongfu.registry.tables import point
from gongfu.store.records.engine import open_records, writing
from tests.contract.api.conftest import Web

SUBJECTS = Subjects("test")


@pytest.fixture
async def roles(web: Web) -> AsyncIterator[Client]:
    client = await open_bus(web.nats.address, "played roles")
    yield client
    await client.close()


@pytest.fixture
async def viewer(web: Web) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=web.url, headers=dict(web.clients["viewer"].headers), timeout=30) as client:
        yield client


async def eventually(check: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not await check():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.05)


def add_point(web: Web, asset_id: int, name: str) -> int:
    url = json.loads((web.data_dir / "runtime.json").read_text())["records_url"]
    engine = open_records(url)
    with writing(engine) as connection:
        key = connection.execute(
            insert(point)
            .values(tenant_id=1, asset_id=asset_id, name=name, value_type=1, unit="", description="", created_at=1)
            .returning(point.c.id)
        ).scalar_one()
    engine.dispose()
    return key


def metrics(role: str, counters: dict[str, int], pid: int = 7, **more: Any) -> bytes:
    now = time.time_ns()
    return msgspec.json.encode({"role": role, "pid": pid, "time": now, "counters": counters, "gauges": {}, **more})


async def test_metrics_become_rates_totals_and_the_role_table(
    web: Web, roles: Client, viewer: httpx.AsyncClient
) -> None:
    before = (await viewer.get("/v1/overview")).json()["totals"]
    table = [
        {
            "role": "door-1",
            "pid": 7,
            "state": "ready",
            "restarts": 2,
            "cpu_percent": 1.5,
            "rss_bytes": 1000,
            "started_at": 1_700_000_000_000_000_000,
        }
    ]
    sent = 0

    async def counted() -> bool:
        nonlocal sent
        sent += 1
        counters = {"messages_received": 10 * sent, "points_accepted": 30 * sent, "points_shed.saturated": 5 * sent}
        await roles.publish(SUBJECTS.metrics("door-1"), metrics("door-1", counters, gauges={"connections": 3}))
        await roles.publish(SUBJECTS.metrics("worker"), metrics("worker", {"points_stored": 30 * sent}))
        await roles.publish(SUBJECTS.metrics("supervisor"), metrics("supervisor", {}, roles=table))
        await roles.flush()
        document = (await viewer.get("/v1/overview")).json()
        rates, totals = document["rates"], document["totals"]
        return (
            rates["points"] > 0
            and rates["shed"] > 0
            and rates["messages"] > 0
            and rates["stored"] > 0
            and totals["points_accepted"] > before["points_accepted"]
            and totals["connections"] == 3
            and any(sample["points"] > 0 for sample in document["history"])
            and document["roles"] == [{**table[0], "started_at": "2023-11-14T22:13:20Z"}]
        )

    await eventually(counted)
    total = (await viewer.get("/v1/overview")).json()["totals"]["points_accepted"]
    # A restarted door counts from zero; what its earlier process counted stays in the total.
    await roles.publish(SUBJECTS.metrics("door-1"), metrics("door-1", {"points_accepted": 4}, pid=8))

    async def added() -> bool:
        return (await viewer.get("/v1/overview")).json()["totals"]["points_accepted"] == total + 4

    await eventually(added)
    text = (await viewer.get("/metrics")).text
    assert 'gongfu_points_accepted_total{role="door-1"} 4' in text


async def test_unreadable_messages_of_other_roles_do_no_harm(
    web: Web, roles: Client, viewer: httpx.AsyncClient
) -> None:
    for content in (b"", b"{", b"[]", b'{"role": "x"}', b'{"device": "x"}', b"null"):
        for subject in (
            SUBJECTS.metrics("door-1"),
            SUBJECTS.event("device"),
            SUBJECTS.event("alarm"),
            SUBJECTS.event("registry"),
        ):
            await roles.publish(subject, content)
    await roles.flush()
    assert (await viewer.get("/v1/overview")).status_code == 200


async def test_connected_devices_are_online(web: Web, roles: Client, viewer: httpx.AsyncClient) -> None:
    engineer = web.clients["engineer"]
    made = [engineer.post("/v1/devices", json={"name": f"online-{n}"}).json()["device"] for n in range(3)]
    connected = {made[1]["id"]}

    async def connections(request: dict[str, Any]) -> dict[str, Any]:
        wanted = request["devices"]
        items = [
            {
                "device": key,
                "client_id": "c1",
                "address": "192.0.2.9:5000",
                "protocol": "MQTT 5",
                "connected_at": "2026-01-01T00:00:00Z",
            }
            for key in connected
            if wanted is None or key in wanted
        ]
        return {"items": items, "total": len(items)}

    service = await serve(roles, SUBJECTS.service("connections"), connections)
    event = {"device": made[1]["id"], "tenant": 1, "online": True, "time": "2026-01-01T00:00:00Z"}
    await roles.publish(SUBJECTS.event("device"), msgspec.json.encode(event))

    async def listed() -> bool:
        items = (await viewer.get("/v1/devices?search=^online-&online=true")).json()["items"]
        return [item["name"] for item in items] == ["online-1"]

    await eventually(listed)
    items = (await viewer.get("/v1/devices?search=^online-&online=false")).json()["items"]
    assert [item["name"] for item in items] == ["online-0", "online-2"]
    for flag, wanted in (("true", ["online-1"]), ("false", ["online-0", "online-2"])):
        for more in ("&search=^online-", "&parent=0&search=online-", "&parent=0&limit=1000"):
            items = (await viewer.get(f"/v1/assets?online={flag}{more}")).json()["items"]
            assert [item["path"] for item in items if item["path"].startswith("online-")] == wanted
            assert all(item["online"] == (flag == "true") for item in items)
    shown = (await viewer.get(f"/v1/devices/{made[1]['id']}")).json()
    assert shown["online"] is True
    assert (shown["client_id"], shown["address"], shown["protocol"]) == ("c1", "192.0.2.9:5000", "MQTT 5")
    assert shown["last_seen"] == "2026-01-01T00:00:00Z"
    connected.clear()
    await roles.publish(SUBJECTS.event("device"), msgspec.json.encode({**event, "online": False}))

    async def gone() -> bool:
        return (await viewer.get("/v1/devices?search=^online-&online=true")).json()["items"] == []

    await eventually(gone)
    await service.unsubscribe()


async def test_newest_values_in_lists_and_on_the_stream(web: Web, roles: Client, viewer: httpx.AsyncClient) -> None:
    asset = web.clients["engineer"].post("/v1/assets", json={"path": "newest"}).json()
    first, second = add_point(web, asset["id"], "a"), add_point(web, asset["id"], "b")
    values = {first: {"series": first, "value": 1.5, "quality": 0, "time": 10**18, "ingested": 10**18 + 5}}

    async def latest(request: dict[str, Any]) -> dict[str, Any]:
        return {"items": [values[key] for key in request["series"] if key in values]}

    service = await serve(roles, SUBJECTS.service("latest"), latest)
    items = (await viewer.get(f"/v1/points?asset={asset['id']}")).json()["items"]
    assert items[0]["latest"] == {
        "value": 1.5,
        "quality": "good",
        "time": "2001-09-09T01:46:40Z",
        "ingested_at": "2001-09-09T01:46:40.000000005Z",
    }
    assert items[1]["latest"] is None
    answer = (await viewer.post("/v1/series:latest", json={"series": [second, first]})).json()
    assert [(item["series"], item["value"]) for item in answer["items"]] == [(first, 1.5)]

    seen: list[Any] = []
    async with viewer.stream("GET", f"/v1/stream?series={first},{second}") as response:
        name = ""
        async for line in response.aiter_lines():
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: ") and name == "latest":
                seen.append(json.loads(line[6:]))
                if len(seen) == 1:
                    values[second] = {"series": second, "value": "on", "quality": 0x80, "time": 10**18, "ingested": 1}
                if len(seen) == 2:
                    break
    moment = "2001-09-09T01:46:40Z"
    assert seen == [
        [{"series": first, "value": 1.5, "quality": "good", "time": moment}],
        # Only what has changed.
        [{"series": second, "value": "on", "quality": "bad", "time": moment}],
    ]
    await service.unsubscribe()


async def test_alarms_reach_the_readers_of_their_tenant_and_the_tree_those_of_the_node(web: Web, roles: Client) -> None:
    received: dict[str, list[Any]] = {"viewer": [], "stranger": []}
    tree: dict[str, list[Any]] = {"viewer": [], "stranger": []}
    opened = asyncio.Event()

    async def read(name: str) -> None:
        headers = dict(web.clients[name].headers)
        async with (
            httpx.AsyncClient(base_url=web.url, headers=headers, timeout=30) as client,
            client.stream("GET", "/v1/stream") as response,
        ):
            event = ""
            async for line in response.aiter_lines():
                opened.set()
                if line.startswith("event: "):
                    event = line[7:]
                elif line.startswith("data: ") and event == "alarm":
                    received[name].append(json.loads(line[6:]))
                elif line.startswith("data: ") and event == "tree":
                    tree[name].append(json.loads(line[6:]))

    readers = [asyncio.create_task(read(name)) for name in received]
    await opened.wait()

    async def arrived() -> bool:
        await roles.publish(SUBJECTS.event("tree"), b'{"changed":["nodes"]}')
        for number in (1, 2):
            document = {"tenant": number, "alarm": {"id": f"alarm of {number}"}}
            await roles.publish(SUBJECTS.event("alarm"), msgspec.json.encode(document))
        return bool(received["viewer"] and received["stranger"] and tree["viewer"])

    await eventually(arrived)
    for task in readers:
        task.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    assert {item["id"] for item in received["viewer"]} == {"alarm of 1"}
    assert {item["id"] for item in received["stranger"]} == {"alarm of 2"}
    assert tree["viewer"][0] == {"changed": ["nodes"]}
    assert tree["stranger"] == []


async def test_messages_for_a_device_go_to_its_own_topics(web: Web, roles: Client) -> None:
    engineer = web.clients["engineer"]
    device = engineer.post("/v1/devices", json={"name": "rpc 100%"}).json()["device"]
    published: list[dict[str, Any]] = []

    async def publish(request: dict[str, Any]) -> dict[str, Any]:
        published.append({**request, "payload": base64.b64decode(request["payload"])})
        return {"delivered": len(published) == 1, "subscribers": 1}

    service = await serve(roles, SUBJECTS.door("publish"), publish)
    path = f"/v1/devices/{device['id']}:send"
    first = await asyncio.to_thread(engineer.post, path, json={"payload": {"on": True}})
    second = await asyncio.to_thread(engineer.post, path, json={"payload": "泵", "topic": "v1/devices/me/attributes"})
    assert (first.json(), second.json()) == ({"delivered": True}, {"delivered": False})
    assert published[0]["topic"].startswith("v1/devices/rpc 100%25/rpc/request/")
    assert (published[0]["payload"], published[0]["tenant"], published[0]["qos"]) == (b'{"on":true}', 1, 1)
    assert published[1]["topic"] == "v1/devices/rpc 100%25/attributes"
    assert published[1]["payload"] == "泵".encode()
    for topic in ("a/#", "$SYS/x", "a/+"):
        refused = await asyncio.to_thread(engineer.post, path, json={"payload": "", "topic": topic})
        assert refused.status_code == 400
    await service.unsubscribe()


async def test_changes_are_announced_after_they_are_committed(web: Web, roles: Client) -> None:
    changes: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def take(message: Any) -> None:
        changes.put_nowait(json.loads(message.data))

    subscription = await subscribe(roles, SUBJECTS.event("registry"), take)
    await roles.flush()
    engineer = web.clients["engineer"]
    device = (await asyncio.to_thread(engineer.post, "/v1/devices", json={"name": "told"})).json()["device"]
    await asyncio.to_thread(engineer.patch, f"/v1/devices/{device['id']}", json={"enabled": False})
    await asyncio.to_thread(engineer.delete, f"/v1/devices/{device['id']}")
    told = [await asyncio.wait_for(changes.get(), 10) for _ in range(3)]
    assert told == [
        {"kind": "device", "id": device["id"], "name": "told", "tenant": 1, "change": change}
        for change in ("created", "updated", "deleted")
    ]
    await subscription.unsubscribe()


async def test_telemetry_over_http_is_mounted(web: Web) -> None:
    made = web.clients["engineer"].post("/v1/devices", json={"name": "http-device"}).json()
    async with httpx.AsyncClient(base_url=web.url, auth=("http-device", made["secret"]), timeout=30) as client:
        answer = await client.post("/v1/telemetry", json={"temp": 42.5})
        assert answer.json() == {"accepted": 1, "rejected": {}, "detail": ""}
    points = web.clients["viewer"].get(f"/v1/points?asset={made['device']['asset_id']}").json()["items"]
    assert [item["name"] for item in points] == ["temp"]
    async with httpx.AsyncClient(base_url=web.url, auth=("http-device", "wrong"), timeout=30) as client:
        assert (await client.post("/v1/telemetry", json={"temp": 42.5})).status_code == 401
