"""The role ``door`` as the supervisor runs it: registry, columniser, a real nats-server, its words on the bus."""

import asyncio
import base64
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from gongfu.bus.connection import open_bus, subscribe
from gongfu.bus.requests import request
from gongfu.ingest.mqtt.codec.packets import MQTT_3_1_1, MQTT_5, Acknowledgement, Publish, Will
from gongfu.ingest.mqtt.codec.reasons import Reason
from gongfu.kernel.errors import Problem
from gongfu.kernel.subjects import Subjects
from gongfu.node.runtime import MqttSettings, Runtime, TelemetrySettings, WebSettings
from gongfu.registry.device_secrets import hash_secret, load_device_key
from gongfu.registry.tables import asset, device, tenant
from gongfu.store.records.engine import metadata, open_records
from tests.contract.mqtt.raw_client import RawClient
from tests.fixtures.nats import TOKEN, NatsServer, free_port

SUBJECTS = Subjects("test")
SECRET = "a secret of the machine"


@dataclass
class Role:
    process: subprocess.Popen[bytes]
    port: int
    device: int

    def client(self, version: int = MQTT_5, client_id: str = "m", password: str = SECRET) -> RawClient:
        return RawClient(self.port, version, client_id, username="machine", password=password.encode())


@pytest.fixture
def role(tmp_path: Path, nats_server: NatsServer) -> Iterator[Role]:
    yield from start(tmp_path, nats_server, MqttSettings(port=free_port(), websocket_port=0, max_payload_bytes=10_000))


def start(directory: Path, server: NatsServer, mqtt: MqttSettings) -> Iterator[Role]:
    runtime = Runtime(
        node=SUBJECTS.node,
        data_dir=str(directory),
        nats_servers=list(server.address.servers),
        nats_token=TOKEN,
        history_url="",
        history_user="",
        history_password="",
        records_url=f"sqlite:///{directory / 'records.db'}",
        mqtt=mqtt,
        web=WebSettings(),
        telemetry=TelemetrySettings(),
    )
    engine = open_records(runtime.records_url)
    metadata.create_all(engine)
    key = load_device_key(directory)
    with engine.begin() as connection:
        connection.execute(tenant.insert().values(id=1, name="node", created_at=0))
        row: dict[str, Any] = {"tenant_id": 1, "name": "a", "path": "a", "type": "", "attributes": {}, "created_at": 0}
        owner = connection.execute(asset.insert().values(**row)).inserted_primary_key[0]
        row = {
            "tenant_id": 1,
            "name": "machine",
            "asset_id": owner,
            "secret_hash": hash_secret(key, SECRET),
            "enabled": True,
            "publish_filters": ["plain/#"],
            "subscribe_filters": ["plain/#"],
            "created_at": 0,
        }
        identifier = connection.execute(device.insert().values(**row)).inserted_primary_key[0]
    engine.dispose()
    file = directory / "runtime.json"
    file.write_bytes(msgspec.json.encode(runtime))
    ready, ready_end = os.pipe()
    environment = {
        **os.environ,
        "GONGFU_RUNTIME": str(file),
        "GONGFU_ROLE": "door-1",
        "GONGFU_READY_FD": str(ready_end),
    }
    with (directory / "door.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gongfu.node.roles.door"], env=environment, pass_fds=(ready_end,), stderr=log
        )
    os.close(ready_end)
    said = os.read(ready, 64)
    os.close(ready)
    assert said == b"READY\n", (directory / "door.log").read_text()
    yield Role(process, mqtt.port, identifier)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Client]:
    client = await open_bus(nats_server.address, "test")
    yield client
    await client.close()


async def soon(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_telemetry_is_durable_when_it_is_acknowledged(role: Role, bus: Client) -> None:
    for version in (MQTT_3_1_1, MQTT_5):
        async with await role.client(version).connect() as client:
            for qos in (1, 2):
                reason = await client.publish("v1/devices/me/telemetry", b'{"temp": %d}' % (10 * version + qos), qos)
                assert reason == 0
    info = await bus.request(f"$JS.API.STREAM.INFO.{SUBJECTS.blocks_stream(0)}", b"")
    assert json.loads(info.data)["state"]["messages"] >= 1


@pytest.mark.parametrize(
    ("payload", "reason", "words"),
    [
        (b"{broken", Reason.PAYLOAD_FORMAT_INVALID, "malformed_json"),
        (b'{"a":1,"a/b":NaN}', Reason.PAYLOAD_FORMAT_INVALID, "malformed_json"),
        (b'{"ts":4000000000000,"values":{"a":1}}', Reason.PAYLOAD_FORMAT_INVALID, "timestamp_in_future"),
        (b'{"a":' + b"1" * 20_000 + b"}", Reason.PAYLOAD_FORMAT_INVALID, "payload_too_large"),
    ],
)
async def test_rejected_telemetry_says_why(role: Role, payload: bytes, reason: int, words: str) -> None:
    async with await role.client().connect() as client:
        assert await client.publish("v1/devices/me/telemetry", b'{"first": 1}', 1) == 0
        client.send(Publish("v1/devices/me/telemetry", payload, 1, packet_id=77))
        answer = await client.expect(Acknowledgement)
        assert answer.reason == reason
        assert words in answer.properties["reason_string"]
    async with await role.client(MQTT_3_1_1).connect() as client:
        assert await client.publish("v1/devices/me/telemetry", payload, 1) == 0


async def test_devices_coming_and_going_are_events(role: Role, bus: Client) -> None:
    events: list[dict[str, Any]] = []

    async def take(message: Msg) -> None:
        events.append(json.loads(message.data))

    await subscribe(bus, SUBJECTS.event("device"), take)
    await bus.flush()
    first = await role.client(client_id="1").connect()
    await soon(lambda: len(events) == 1)
    second = await role.client(client_id="2").connect()
    await first.disconnect()
    await second.silence()
    await second.disconnect()
    await soon(lambda: len(events) == 2)
    assert [(e["device"], e["tenant"], e["online"]) for e in events] == [
        (role.device, 1, True),
        (role.device, 1, False),
    ]
    assert events[0]["time"].endswith("Z")


async def test_sparkplug_deaths_are_events_sent_or_as_wills(role: Role, bus: Client) -> None:
    paths: list[str] = []

    async def take(message: Msg) -> None:
        event = json.loads(message.data)
        assert event["tenant"] == 1
        paths.extend(event["paths"])

    await subscribe(bus, SUBJECTS.event("death"), take)
    await bus.flush()
    will = Will("spBv1.0/line 4/NDEATH/edge", b"", 1)
    client = await role.client(MQTT_3_1_1).connect(will=will)
    assert await client.publish("spBv1.0/line 4/DDEATH/edge/pump", b"", 1) == 0
    await soon(lambda: paths == ["a/line 4/edge/pump"])
    await client.close()
    await soon(lambda: paths[1:] == ["a/line 4/edge"])


async def test_connections_are_listed(role: Role, bus: Client) -> None:
    async with await role.client(client_id="客户端").connect():
        for body in ({"devices": None}, {"devices": [role.device]}):
            answer = await request(bus, SUBJECTS.service("connections"), body)
            [item] = answer["items"]
            assert (item["device"], item["client_id"], item["protocol"]) == (role.device, "客户端", "MQTT 5")
            assert item["address"].startswith("127.0.0.1:")
            assert answer["total"] == 1
        assert (await request(bus, SUBJECTS.service("connections"), {"devices": [99]}))["items"] == []


async def test_the_node_sends_to_a_device(role: Role, bus: Client) -> None:
    body = {
        "tenant": 1,
        "topic": "v1/devices/machine/rpc/request/1",
        "payload": base64.b64encode("开".encode()).decode(),
        "qos": 1,
        "retain": False,
    }
    subject = SUBJECTS.door("publish")
    assert (await request(bus, subject, body))["delivered"] is False
    async with await role.client().connect() as client:
        await client.subscribe("v1/devices/me/rpc/request/+", 1)
        assert (await request(bus, subject, body))["delivered"] is True
        message = await client.message()
        assert (message.topic, message.payload.decode(), message.qos) == ("v1/devices/me/rpc/request/1", "开", 1)
        assert (await request(bus, subject, {**body, "tenant": 2}))["delivered"] is False
        await client.silence()
    for change in ({"topic": "a/#"}, {"topic": ""}, {"qos": 3}, {"payload": "%%"}, {"tenant": "x"}):
        with pytest.raises(Problem) as caught:
            await request(bus, subject, {**body, **change})
        assert caught.value.status == 400


@pytest.mark.parametrize("change", ["updated", "secret", "deleted"])
async def test_a_change_of_the_registry_ends_connections(role: Role, bus: Client, tmp_path: Path, change: str) -> None:
    client = await role.client().connect()
    engine = open_records(f"sqlite:///{tmp_path / 'records.db'}")
    with engine.begin() as connection:
        connection.execute(device.update().values(secret_hash="0" * 64))
    engine.dispose()
    event = {"kind": "device", "id": role.device, "name": "machine", "tenant": 1, "change": change}
    await bus.publish(SUBJECTS.event("registry"), json.dumps(event).encode())
    await client.refused(Reason.ADMINISTRATIVE_ACTION)
    # The credentials are not taken from the cache either.
    client = await role.client().connect()
    assert client.connack is not None
    assert client.connack.reason == Reason.BAD_USER_NAME_OR_PASSWORD


async def test_disabled_devices_are_told_so(role: Role, tmp_path: Path) -> None:
    engine = open_records(f"sqlite:///{tmp_path / 'records.db'}")
    with engine.begin() as connection:
        connection.execute(device.update().values(enabled=False))
    engine.dispose()
    for password, reason in ((SECRET, Reason.NOT_AUTHORIZED), ("wrong", Reason.BAD_USER_NAME_OR_PASSWORD)):
        client = await role.client(password=password).connect()
        assert client.connack is not None
        assert client.connack.reason == reason


async def test_metrics(role: Role, bus: Client) -> None:
    found: list[dict[str, Any]] = []

    async def take(message: Msg) -> None:
        found.append(json.loads(message.data))

    await subscribe(bus, SUBJECTS.metrics("door-1"), take)
    async with await role.client().connect() as client:
        await client.publish("v1/devices/me/telemetry", b'{"a": 1}', 1)
        await client.publish("plain/x", b"x", 1)
        await soon(lambda: bool(found) and found[-1]["counters"].get("messages_received") == 2)
        assert found[-1]["gauges"]["connections"] == 1
        assert found[-1]["counters"]["points_accepted"] == 1


def test_a_taken_port_is_told(tmp_path: Path, nats_server: NatsServer) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        settings = MqttSettings(port=holder.getsockname()[1], websocket_port=0)
        with pytest.raises(AssertionError, match=r"port \d+ on 127.0.0.1: Address already in use"):
            next(start(tmp_path, nats_server, settings))
