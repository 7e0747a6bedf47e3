"""A worker process on a real nats-server, with or without a history, fed with blocks by the test."""

import asyncio
import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from nats.aio.client import Client
from sqlalchemy import Engine

from gongfu.bus.blocklog import BlockLog, ensure_streams
from gongfu.bus.requests import request
from gongfu.kernel.block import Block, Columns, encode_block
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem
from gongfu.kernel.points import ValueType
from gongfu.kernel.subjects import Subjects
from gongfu.node.runtime import RUNTIME_VARIABLE
from gongfu.reason.alarms.service import AlarmService
from gongfu.reason.alarms.types import Alarm
from gongfu.reason.status import LatestAnswer, ReasonState
from gongfu.store.records.engine import open_records
from tests.contract.reason.plant import Plant
from tests.fixtures.nats import NatsServer, free_port
from tests.fixtures.processes import WatchedProcess

NODE = "test"
SUBJECTS = Subjects(NODE)
ARRAY_TYPES = {ValueType.DOUBLE: "<f8", ValueType.INT64: "<i8", ValueType.BOOLEAN: "u1"}


def block_of(
    rows: list[tuple[int, int, Any]], ingested: int, value_type: ValueType = ValueType.DOUBLE, quality: int = 0
) -> bytes:
    series, times, values = zip(*rows, strict=True)
    columns = Columns(
        np.array(series, dtype=np.uint32),
        np.array(times, dtype=np.int64),
        np.full(len(rows), quality, dtype=np.uint8),
        np.array(values, dtype=ARRAY_TYPES[value_type]),
    )
    return encode_block(Block(1, ingested, {value_type: columns}))


@dataclass
class Worker:
    """A worker of the node ``test``. Several may read the same log, each with its own directory and records."""

    directory: Path
    server: NatsServer
    template: Path
    history_port: int = field(default_factory=free_port)
    process: WatchedProcess | None = None
    history: WatchedProcess | None = None
    models: WatchedProcess | None = None

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True)
        shutil.copyfile(self.template, self.directory / "records.db")
        self.engine: Engine = open_records(f"sqlite:///{self.directory / 'records.db'}")
        self.plant = Plant(self.engine)
        runtime = {
            "node": NODE,
            "data_dir": str(self.directory),
            "nats_servers": list(self.server.address.servers),
            "nats_token": self.server.address.token,
            "history_url": f"http://127.0.0.1:{self.history_port}",
            "history_user": "gongfu",
            "history_password": "history password of a test",
            "records_url": f"sqlite:///{self.directory / 'records.db'}",
            "mqtt": {},
            "web": {},
            "telemetry": {},
            "notify": {"allow": ["127.0.0.1"]},
        }
        (self.directory / "runtime.json").write_text(json.dumps(runtime))

    def _start(self, role: str) -> WatchedProcess:
        return WatchedProcess(
            [sys.executable, "-m", f"gongfu.node.roles.{role}"],
            env={RUNTIME_VARIABLE: str(self.directory / "runtime.json"), "PYTHONPATH": os.getcwd()},
        )

    async def start(self) -> "Worker":
        self.process = self._start("worker")
        await asyncio.to_thread(self.process.wait_for, "worker reads")
        return self

    async def start_models(self) -> None:
        """Start the role models; bindings that are in the records run then."""
        self.models = self._start("models")
        await asyncio.to_thread(self.models.wait_for, "models serve")

    def kill_models(self) -> None:
        assert self.models is not None
        self.models.process.kill()
        self.models.wait()

    async def start_history(self) -> None:
        self.history = self._start("history")
        await asyncio.to_thread(self.history.wait_for, "history serves")

    async def has_checkpoint(self) -> bool:
        return await asyncio.to_thread((self.directory / "twins" / "checkpoint").exists)

    def kill(self) -> None:
        assert self.process is not None
        self.process.process.kill()
        self.process.wait()

    async def stop(self) -> int:
        assert self.process is not None
        self.process.process.terminate()
        return await asyncio.to_thread(self.process.wait, 120)

    def close(self) -> None:
        for process in (self.models, self.process, self.history):
            if process is not None and process.process.poll() is None:
                process.process.kill()
                process.wait()
        self.engine.dispose()

    def alarms(self) -> list[Alarm]:
        """All alarms with their journals, by id."""
        service = AlarmService(self.engine, self.plant.clock, lambda _: None)
        subject = self.plant.subject()
        found, _ = service.page(subject, "all", None, None, None, 100_000)
        return sorted((service.get(subject, item.id) for item in found), key=lambda item: item.id)


async def state_of(bus: Client) -> ReasonState | None:
    try:
        return await request(bus, SUBJECTS.service("reason"), None, 10.0, response_type=ReasonState)
    except Problem:
        return None


async def latest_of(bus: Client, *series: int) -> LatestAnswer:
    body = {"series": list(series)}
    return await request(bus, SUBJECTS.service("latest"), body, 60.0, response_type=LatestAnswer)


async def until(probe: Any, what: str, timeout_s: float = 60.0) -> Any:
    """Return the first true answer of a coroutine function."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while asyncio.get_running_loop().time() < deadline:
        if value := await probe():
            return value
        await asyncio.sleep(0.03)
    raise AssertionError(f"not within {timeout_s} s: {what}")


async def taken(bus: Client, sequence: int) -> None:
    """Wait until the worker has taken a block of partition 0."""

    async def probe() -> bool:
        state = await state_of(bus)
        return state is not None and state.position.get("0", 0) >= sequence

    await until(probe, f"block {sequence} taken", 60)


async def open_log(bus: Client) -> BlockLog:
    await ensure_streams(bus, SUBJECTS, 1, 86_400, 1_000_000_000)
    log = BlockLog(bus, SUBJECTS, Counters())
    await log.start()
    return log
