"""The role of connections on a machine of a cluster, whose records and other processes may hang."""

import asyncio
import fcntl
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from sqlalchemy import Engine, update

from gongfu.connect.connections.records import connection
from gongfu.connect.connections.secrets import ConnectionSecrets
from gongfu.connect.connections.service import ConnectionService
from gongfu.connect.connections.types import NewConnection
from gongfu.kernel.counters import Counters
from gongfu.kernel.times import SystemClock
from gongfu.node import connect_host
from gongfu.node.connect_host import ConnectHost
from gongfu.node.data_directory import DataDirectory
from gongfu.node.runtime import MqttSettings, Runtime, TelemetrySettings, WebSettings
from gongfu.registry.service import open_registry
from gongfu.store.records.engine import writing
from tests.contract.reason.plant import Plant
from tests.fixtures.machines import DEVICE_KEY
from tests.system.worker_bench import until


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    found = DataDirectory(tmp_path / "data")
    found.create()
    (found.secrets / "device-key").write_text(DEVICE_KEY)
    return found


@pytest.fixture
def runtime(directory: DataDirectory) -> Runtime:
    return Runtime(
        node="test", data_dir=str(directory.root), nats_servers=[], nats_token="", history_url="", history_user="",
        history_password="", records_url="", mqtt=MqttSettings(), web=WebSettings(), telemetry=TelemetrySettings(),
        instance="east",
    )  # fmt: skip


class Connections:
    """The API of connections, and the role."""

    def __init__(self, bus: Client, engine: Engine, runtime: Runtime, directory: DataDirectory) -> None:
        clock = SystemClock()
        devices = open_registry(engine, bytes.fromhex(DEVICE_KEY), clock=clock).devices
        secrets = ConnectionSecrets(directory.connection_secrets)
        self._service = ConnectionService(engine, clock, devices, secrets, lambda _: None)
        self._subject = Plant(engine).subject()
        self.host = ConnectHost(runtime, bus, engine, Counters())

    def make(self, name: str, folder: Path) -> int:
        """Make one of a folder that does not say that it may be read: the driver tries again and again."""
        return self._service.create(self._subject, NewConnection(name=name, url=f"files://{folder}")).id

    async def attempts(self, key: int) -> int:
        found = await self.host._fleet.statuses([key])  # pyright: ignore[reportPrivateUsage]
        return found[0].attempts if found else 0


@pytest.fixture
async def connections(bus: Client, records: Engine, runtime: Runtime, directory: DataDirectory) -> Connections:
    return Connections(bus, records, runtime, directory)


async def test_drivers_begin_while_the_directory_cannot_be_shared(
    connections: Connections, directory: DataDirectory, tmp_path: Path
) -> None:
    key = connections.make("press", tmp_path)
    released = threading.Event()
    await connections.host.start()
    lock = os.open(directory.secrets / ".connections.lock", os.O_RDWR | os.O_CREAT)
    # As a process of the web has it whose records do not answer.
    fcntl.flock(lock, fcntl.LOCK_EX)

    def release() -> None:
        released.set()
        fcntl.flock(lock, fcntl.LOCK_UN)

    timer = threading.Timer(30.0, release)
    timer.start()
    try:
        await asyncio.sleep(1.0)  # until what was shared at the start is not taken for fresh any more
        before = await connections.attempts(key)

        async def again() -> bool:
            return await connections.attempts(key) >= before + 2

        await until(again, "further attempts", 60.0)
        assert not released.is_set(), "the event loop has waited"
    finally:
        timer.cancel()
        os.close(lock)
        await connections.host.stop()


async def test_a_connection_that_cannot_be_read_does_not_end_the_looking(
    connections: Connections,
    records: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(connect_host, "_RELOAD_S", 0.1)
    await connections.host.start()

    def write(addresses: list[Any]) -> None:
        values = {"addresses": addresses, "changed_at": connection.c.changed_at + 1}
        with writing(records) as transaction:
            transaction.execute(update(connection).where(connection.c.id == key).values(**values))

    async def failed() -> bool:
        return "were not looked at" in caplog.text

    async def tried() -> bool:
        return await connections.attempts(key) > 0

    try:
        key = connections.make("press", tmp_path)
        write(["?"])
        await until(failed, "that the connection cannot be read")
        write([])
        await until(tried, "an attempt once it is in order")
    finally:
        await connections.host.stop()
