"""The history role as the supervisor starts it: readiness, metrics, memory, an idle processor, an orderly end."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from nats.aio.client import Client

from gongfu.bus.connection import subscribe
from gongfu.kernel.points import ValueType
from gongfu.kernel.subjects import Subjects
from gongfu.node.runtime import (
    READY_VARIABLE,
    RUNTIME_VARIABLE,
    MqttSettings,
    Runtime,
    TelemetrySettings,
    WebSettings,
)
from gongfu.store.history.client import ClickHouseHistory
from tests.contract.history.points import T0, batch
from tests.fixtures.nats import NatsServer, free_port

pytestmark = pytest.mark.alone

RSS_LIMIT = 230 * 2**20
IDLE_SECONDS = 8


def _start(runtime: Runtime, file: Path) -> tuple[subprocess.Popen[bytes], int]:
    file.write_bytes(msgspec.json.encode(runtime))
    reader, writer = os.pipe()
    environment = {**os.environ, RUNTIME_VARIABLE: str(file), READY_VARIABLE: str(writer)}
    process = subprocess.Popen(
        [sys.executable, "-m", "gongfu.node.roles.history"], env=environment, pass_fds=(writer,), stderr=subprocess.PIPE
    )
    os.close(writer)
    return process, reader


async def test_role(tmp_path: Path, nats_server: NatsServer, bus: Client) -> None:
    runtime = Runtime(
        node="test", data_dir=str(tmp_path), nats_servers=list(nats_server.address.servers),
        nats_token=nats_server.address.token, history_url=f"http://127.0.0.1:{free_port()}", history_user="gongfu",
        history_password="a secret of a test", records_url="sqlite://", mqtt=MqttSettings(), web=WebSettings(),
        telemetry=TelemetrySettings(),
    )  # fmt: skip
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def hear(message: Any) -> None:
        heard.put_nowait(json.loads(message.data))

    await subscribe(bus, Subjects("test").metrics("history"), hear)
    begin = time.monotonic()
    process, ready = _start(runtime, tmp_path / "runtime.json")
    try:
        assert await asyncio.to_thread(os.read, ready, 100) == b"READY\n"
        assert time.monotonic() - begin < 15
        await asyncio.wait_for(heard.get(), 10)
        measured = psutil.Process(process.pid)
        before = sum(measured.cpu_times()[:2])
        await asyncio.sleep(IDLE_SECONDS)
        idle = (sum(measured.cpu_times()[:2]) - before) / IDLE_SECONDS * 100
        assert measured.memory_info().rss < RSS_LIMIT
        assert idle < 1.0, f"{idle} % of a processor while idle"
        store = ClickHouseHistory(runtime.history_url, runtime.history_user, runtime.history_password)
        await store.insert([batch(ValueType.DOUBLE, [1, 2], [T0, T0], [1.0, 2.0])])
        while True:
            metrics = await asyncio.wait_for(heard.get(), 10)
            if metrics["counters"].get("points_inserted") == 2:
                break
        assert metrics["pid"] == process.pid
        assert metrics["gauges"]["disk_free_bytes"] > 0
        process.terminate()
        assert await asyncio.to_thread(process.wait, 20) == 0
        assert process.stderr is not None
        log = process.stderr.read().decode()
        assert "history stops" in log
        assert "a secret of a test" not in log
        # Acknowledged before the end, readable after it.
        process, ready = _start(runtime, tmp_path / "runtime.json")
        assert await asyncio.to_thread(os.read, ready, 100) == b"READY\n"
        assert len((await store.latest(ValueType.DOUBLE, [1, 2])).columns) == 2
        second, _ = _start(runtime, tmp_path / "runtime.json")
        _, said = await asyncio.to_thread(second.communicate, timeout=30)
        assert second.returncode == 1
        assert b"in use by process" in said
        assert b"Traceback" not in said
        await store.close()
    finally:
        process.kill()
        process.wait()
