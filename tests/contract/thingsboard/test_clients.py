"""The MQTT API of ThingsBoard on our front door: its own client unchanged, and what a raw client sees."""

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from sqlalchemy import Engine, insert, select, update

from gongfu.bus.requests import request
from gongfu.ingest.mqtt.codec.packets import MQTT_3_1_1
from gongfu.ingest.mqtt.codec.reasons import Reason
from gongfu.registry.tables import asset, point
from gongfu.store.records.engine import open_records
from tests.contract.mqtt.raw_client import RawClient
from tests.contract.mqtt.test_door_role import SECRET, SUBJECTS, Role, bus, role

__all__ = ["bus", "role"]

TOKEN = f"machine:{SECRET}"
ROOT = Path(__file__).parents[3]
CLIENT = Path(os.environ.get("GONGFU_THINGSBOARD_CLIENT", ROOT / ".venv-thingsboard"))
PATIENCE_S = 60.0


@pytest.fixture
def records(role: Role, tmp_path: Path) -> Engine:
    """The records of the front door, with attributes of the device's asset and of one below it."""
    engine = open_records(f"sqlite:///{tmp_path / 'records.db'}")
    with engine.begin() as connection:
        connection.execute(update(asset).values(attributes={"limit": 7, "名": "泵"}))
        row = {"tenant_id": 1, "parent_id": 1, "name": "泵 1", "path": "a/泵 1", "type": "", "created_at": 0}
        connection.execute(insert(asset).values(attributes={"limit": 9}, **row))
    return engine


def points(engine: Engine) -> set[tuple[str, str]]:
    with engine.connect() as connection:
        query = select(asset.c.path, point.c.name).join(point, point.c.asset_id == asset.c.id)
        return {(row.path, row.name) for row in connection.execute(query)}


def by_token(role: Role, client_id: str = "t", token: str = TOKEN) -> RawClient:
    return RawClient(role.port, MQTT_3_1_1, client_id, username=token)


async def send(bus: Client, topic: str, document: Any) -> None:
    payload = base64.b64encode(json.dumps(document).encode()).decode()
    body = {"tenant": 1, "topic": topic, "payload": payload, "qos": 1}
    await request(bus, SUBJECTS.door("publish"), body)


async def test_access_token_is_name_and_secret(role: Role) -> None:
    async with await by_token(role).connect() as client:
        assert client.connack is not None
        assert client.connack.reason == Reason.SUCCESS
    for wrong in ("machine:wrong", SECRET, "machine:", ":" + SECRET, "other:" + SECRET):
        client = by_token(role, token=wrong)
        await client.connect()
        assert client.connack is not None
        assert client.connack.reason != Reason.SUCCESS, wrong
        await client.close()


async def test_questions_are_answered_to_the_device_that_asks(role: Role, records: Engine) -> None:
    async with await by_token(role).connect() as client, await by_token(role, "other").connect() as other:
        for topic in ("rpc/request/+", "rpc/response/+", "attributes", "attributes/response/+"):
            assert await client.subscribe(f"v1/devices/me/{topic}", 1) == 1
        assert await client.subscribe("v1/gateway/attributes/response", 1) == 1
        call = {"method": "getSessionLimits", "params": {}}
        await client.publish("v1/devices/me/rpc/request/5", json.dumps(call).encode(), 1)
        message = await client.message()
        assert message.topic == "v1/devices/me/rpc/response/5"
        limits = json.loads(message.payload)
        assert limits["maxPayloadSize"] == 10_000
        assert limits["rateLimits"].keys() == {"messages", "telemetryMessages", "telemetryDataPoints"}
        await client.publish("v1/devices/me/attributes/request/6", b'{"sharedKeys": "limit,nothing"}', 1)
        message = await client.message()
        assert (message.topic, json.loads(message.payload)) == (
            "v1/devices/me/attributes/response/6", {"shared": {"limit": 7}},
        )  # fmt: skip
        question = {"id": 3, "device": "泵 1", "client": False, "key": "limit"}
        await client.publish("v1/gateway/attributes/request", json.dumps(question).encode(), 1)
        message = await client.message()
        assert message.topic == "v1/gateway/attributes/response"
        assert json.loads(message.payload) == {"id": 3, "device": "泵 1", "value": 9}
        # What a device says does not come back to it, neither its attributes nor its calls.
        await client.publish("v1/devices/me/attributes", b'{"firmware": "1"}', 1)
        await client.publish("v1/devices/me/rpc/request/7", b'{"method": "else", "params": 1}', 1)
        await client.publish("v1/gateway/attributes/request", b"no question", 1)
        await client.silence()
        await other.silence()
    assert ("a", "firmware") in points(records)


async def test_gateways_hear_only_what_is_for_them(role: Role, bus: Client) -> None:
    async with await by_token(role).connect() as client:
        for topic in ("rpc", "attributes", "attributes/response"):
            assert await client.subscribe(f"v1/gateway/{topic}", 1) == 1
        for topic in ("v1/gateway/telemetry", "v1/gateway/#", "v1/gateways/#", "v1/gateway/+"):
            assert await client.subscribe(topic, 1) == 0x80
        await client.publish("v1/gateway/connect", b'{"device": "b"}', 1)
        await send(bus, "v1/gateways/somebody/rpc", {"device": "b"})
        await client.silence()
        await send(bus, "v1/gateways/machine/rpc", {"device": "b", "data": {"id": 1, "method": "m"}})
        message = await client.message()
        assert message.topic == "v1/gateway/rpc"


@pytest.fixture
async def programs(role: Role) -> AsyncIterator[Any]:
    """Starts programs of foreign clients."""
    if not (CLIENT / "tb_device_mqtt.py").exists():
        pytest.skip(f"tb-mqtt-client is not in {CLIENT} (requirements/thingsboard.txt)")
    started: list[asyncio.subprocess.Process] = []

    async def start(kind: str) -> asyncio.subprocess.Process:
        file = Path(__file__).with_name("device_program.py")
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(file), str(role.port), TOKEN, kind,
            env={**os.environ, "PYTHONPATH": str(CLIENT), "PIP_NO_INDEX": "1"},
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
        assert line == b"ready\n", line
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def heard(process: asyncio.subprocess.Process) -> Any:
    assert process.stdout is not None
    return json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE_S))


async def test_device_of_the_foreign_client(role: Role, bus: Client, records: Engine, programs: Any) -> None:
    process = await programs("device")
    await send(bus, "v1/devices/machine/rpc/request/1", {"method": "reboot", "params": {}})
    await send(bus, "v1/devices/machine/attributes", {"limit": 8})
    found = await heard(process)
    assert found["limits"]["maxInflightMessages"] > 0
    assert found["shared"] == {"shared": {"limit": 7, "名": "泵"}}
    assert found["rpc"] == {"method": "reboot", "params": {}}
    assert found["update"] == {"limit": 8}
    assert (found["telemetry"], found["attributes"]) == (0, 0)
    assert points(records) >= {("a", "flow"), ("a", "on"), ("a", "firmware")}


async def test_gateway_of_the_foreign_client(role: Role, bus: Client, records: Engine, programs: Any) -> None:
    process = await programs("gateway")
    await send(bus, "v1/gateways/machine/rpc", {"device": "泵 1", "data": {"id": 4, "method": "stop", "params": {}}})
    found = await heard(process)
    assert found["gateway shared"] == {"id": 1, "device": "泵 1", "value": 9}
    assert found["gateway rpc"]["data"]["method"] == "stop"
    assert points(records) >= {("a/泵 1", "flow"), ("a/泵 1", "serial")}
