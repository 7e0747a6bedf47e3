"""A front door with the Sparkplug host, and edge nodes of the tests' own."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client
from nats.errors import NoRespondersError
from sqlalchemy import Engine

from gongfu.bus.blocklog import BlockReader
from gongfu.bus.connection import open_bus
from gongfu.ingest.mqtt.codec.packets import MQTT_3_1_1, Publish, Will
from gongfu.kernel.block import Block, decode_block
from gongfu.kernel.counters import Counters
from gongfu.kernel.quality import Quality
from gongfu.kernel.subjects import Subjects
from gongfu.node.runtime import MqttSettings, Runtime, TelemetrySettings, WebSettings
from gongfu.node.sparkplug_settings import SparkplugSettings
from gongfu.registry.device_secrets import hash_secret, load_device_key
from gongfu.registry.tables import asset, device, tenant
from gongfu.store.records.engine import metadata, open_records
from tests.contract.mqtt.raw_client import RawClient
from tests.contract.telemetry.sparkplug_bytes import M, payload
from tests.fixtures.nats import TOKEN, NatsServer, free_port
from tests.fixtures.telemetry import points_of, rows_of

SUBJECTS = Subjects("test")
SECRET = "a secret of the machine"
PATIENCE_S = 60.0


@dataclass
class HostDoor:
    """A front door process with the host; ``machine`` and ``other`` are devices, ``watcher`` may read everything."""

    directory: Path
    process: subprocess.Popen[bytes]
    port: int
    engine: Engine
    devices: dict[str, int]
    bus: Client

    def client(self, name: str = "machine", client_id: str = "m", version: int = MQTT_3_1_1, **more: Any) -> RawClient:
        return RawClient(self.port, version, client_id, username=name, password=SECRET.encode(), **more)

    async def blocks(self) -> list[Block]:
        blocks: list[Block] = []
        reader = BlockReader(self.bus, SUBJECTS, 0, 1, Counters())
        while batch := await reader.next_batch(0.3):
            blocks += [decode_block(data) for _, data in batch]
        await reader.close()
        return blocks

    async def stored(self) -> dict[tuple[str, str], list[tuple[int, object]]]:
        """Return (quality, value) in order of time, by (asset path, point name)."""
        blocks = await self.blocks()
        names = {series.series: key for key, series in points_of(self.engine).items()}
        found: dict[tuple[str, str], list[tuple[int, object]]] = {}
        for series, _, quality, value in rows_of(blocks):
            found.setdefault(names[series], []).append((quality, value))
        return found

    async def ask(self, service: str, body: Any) -> Any:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(NoRespondersError):  # the server has not yet heard of the subscription
                    name = SUBJECTS.service(service)
                    answer = await self.bus.request(name, msgspec.json.encode(body), timeout=PATIENCE_S)
                    return json.loads(answer.data)
                await asyncio.sleep(0.05)

    async def nodes(self) -> dict[str, dict[str, Any]]:
        answer = await self.ask("sparkplug", {"tenant": 1})
        return {item["edge"]: item for item in answer["result"]["items"]}

    async def until_stored(
        self, key: tuple[str, str], last: tuple[int, object], *, nulls: bool = True
    ) -> list[tuple[int, object]]:
        """Wait until the last value of a point is as said; return all its values, without nulls if they do not matter.

        An edge node without a worker knows no latest values, so that its births say null.
        """
        async with asyncio.timeout(PATIENCE_S):
            while True:
                values = (await self.stored()).get(key, [])
                values = [one for one in values if nulls or one[0] != Quality.BAD_NO_DATA]
                if values and values[-1] == last:
                    return values
                await asyncio.sleep(0.05)


def start_door(directory: Path, server: NatsServer, port: int, settings: SparkplugSettings) -> subprocess.Popen[bytes]:
    runtime = make_runtime(directory, server, port, sparkplug=settings)
    return start_role(directory, runtime, "gongfu.node.roles.door", "door-1")


def make_runtime(directory: Path, server: NatsServer, port: int, **more: Any) -> Runtime:
    return Runtime(
        node=SUBJECTS.node,
        data_dir=str(directory),
        nats_servers=list(server.address.servers),
        nats_token=TOKEN,
        history_url="",
        history_user="",
        history_password="",
        records_url=f"sqlite:///{directory / 'records.db'}",
        mqtt=MqttSettings(port=port, websocket_port=0),
        web=WebSettings(),
        telemetry=TelemetrySettings(),
        **more,
    )


def start_role(directory: Path, runtime: Runtime, module: str, name: str) -> subprocess.Popen[bytes]:
    """Start a role as the supervisor does and wait until it is ready."""
    file = directory / f"runtime-{name}.json"
    file.write_bytes(msgspec.json.encode(runtime))
    ready, ready_end = os.pipe()
    environment = {
        **os.environ,
        "GONGFU_RUNTIME": str(file),
        "GONGFU_ROLE": name,
        "GONGFU_READY_FD": str(ready_end),
    }
    with (directory / f"{name}.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", module], env=environment, pass_fds=(ready_end,), stderr=log)
    os.close(ready_end)
    said = os.read(ready, 64)
    os.close(ready)
    assert said == b"READY\n", (directory / f"{name}.log").read_text()
    return process


def make_records(directory: Path) -> tuple[Engine, dict[str, int]]:
    engine = open_records(f"sqlite:///{directory / 'records.db'}")
    metadata.create_all(engine)
    key = load_device_key(directory)
    devices: dict[str, int] = {}
    with engine.begin() as connection:
        connection.execute(tenant.insert().values(id=1, name="node", created_at=0))
        for name in ("machine", "other", "watcher"):
            common: dict[str, Any] = {"tenant_id": 1, "created_at": 0}
            row = {**common, "name": name, "path": name, "type": "", "attributes": {}}
            owner = connection.execute(asset.insert().values(**row).returning(asset.c.id)).scalar_one()
            everything = ["#"] if name == "watcher" else []
            row = {
                **common,
                "name": name,
                "asset_id": owner,
                "secret_hash": hash_secret(key, SECRET),
                "enabled": True,
                "publish_filters": everything,
                "subscribe_filters": everything,
            }
            devices[name] = connection.execute(device.insert().values(**row).returning(device.c.id)).scalar_one()
    return engine, devices


@pytest.fixture(scope="module")
def settings() -> SparkplugSettings:
    return SparkplugSettings(host_ids=("主机-1",), state_version_2=True, reorder_seconds=0.3)


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Client]:
    client = await open_bus(nats_server.address, "test")
    yield client
    await client.close()


@pytest.fixture
def door(tmp_path: Path, nats_server: NatsServer, bus: Client, settings: SparkplugSettings) -> Iterator[HostDoor]:
    engine, devices = make_records(tmp_path)
    port = free_port()
    process = start_door(tmp_path, nats_server, port, settings)
    host = HostDoor(tmp_path, process, port, engine, devices, bus)
    yield host
    if host.process.poll() is None:
        host.process.send_signal(signal.SIGTERM)
    assert host.process.wait(PATIENCE_S) == 0
    engine.dispose()


@dataclass
class Edge:
    """An edge node written for these tests."""

    client: RawClient
    group: str = "工厂"
    node: str = "边缘 1"
    bd_seq: int = 0
    seq: int = -1
    now: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def topic(self, kind: str, device: str = "") -> str:
        return f"spBv1.0/{self.group}/{kind}/{self.node}" + (f"/{device}" if device else "")

    async def connect(self) -> "Edge":
        death = payload([M(4, self.bd_seq, "bdSeq")], timestamp=self.now)
        await self.client.connect(will=Will(self.topic("NDEATH"), death, 1))
        assert await self.client.subscribe(self.topic("NCMD")) == 0
        assert await self.client.subscribe(self.topic("DCMD") + "/#") == 0
        return self

    async def birth(self, metrics: list[M], *, start: int = 0) -> None:
        self.seq = start - 1
        await self.send("NBIRTH", [M(4, self.bd_seq, "bdSeq"), M(11, False, "Node Control/Rebirth"), *metrics])

    async def send(self, kind: str, metrics: list[M], device: str = "", *, skip: int = 0) -> None:
        """Send the next message in order; ``skip`` loses so many before it. QoS 1, so that it has been taken."""
        self.seq = (self.seq + 1 + skip) % 256
        self.now += 1
        data = payload(metrics, timestamp=self.now, seq=self.seq)
        await self.client.publish(self.topic(kind, device), data, 0)

    async def command(self) -> Publish:
        """Return the next command."""
        return await self.client.message(PATIENCE_S)
