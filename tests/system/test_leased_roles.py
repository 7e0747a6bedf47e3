"""Roles that a machine has by a lease: killed, stopped and ended, they go on elsewhere; nothing is lost or doubled."""

import asyncio
import json
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from nats.aio.client import Client
from sqlalchemy import Engine

from gongfu.bus.blocklog import ensure_streams
from gongfu.bus.jetstream import call_api, stream_state
from gongfu.connect.connections.service import ConnectionService
from gongfu.connect.connections.types import NewConnection
from gongfu.connect.files.folder import CONSENT
from gongfu.connect.kit.types import Address
from gongfu.kernel.block import decode_block
from gongfu.kernel.quality import Quality
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SECOND, SystemClock, format_rfc3339
from gongfu.node.leased_role import LOST_STATUS
from gongfu.node.shared_files.secrets import connection_folder, notify_folder, secrets_in
from gongfu.reason.alarms.service import AlarmService
from gongfu.reason.notify.channels.destinations import Destinations
from gongfu.reason.notify.channels.webhook import signature
from gongfu.reason.notify.service import NotificationService
from gongfu.reason.notify.types import ChannelBody, Webhook
from gongfu.registry.service import open_registry
from gongfu.store.records.engine import open_records
from tests.contract.reason.plant import START, Plant
from tests.fixtures.machines import DEVICE_KEY, NODE, Machine, make_machines
from tests.fixtures.nats import NatsServer
from tests.fixtures.postgres import PostgresServer
from tests.system.worker_bench import until

SUBJECTS = Subjects(NODE)
PATIENCE_S = 30.0


@pytest.fixture
def engine(postgres_server: PostgresServer, postgres_template: str) -> Iterator[Engine]:
    name = f"test_{uuid.uuid4().hex}"
    postgres_server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{postgres_template}"')
    found = open_records(postgres_server.url(name))
    yield found
    found.dispose()
    postgres_server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


class Receiver:
    """Somebody who gets webhooks."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, bytes]] = []
        self.times: list[float] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.times.append(time.monotonic())
                outer.got.append((self.headers["Gongfu-Message-Id"], self.headers["Gongfu-Signature"] or "", body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


async def test_every_notification_is_sent_once_whichever_machine_is_killed(
    engine: Engine, nats_server: NatsServer, bus: Client, receiver: Receiver, tmp_path: Path
) -> None:
    machines = make_machines(tmp_path, "notify", nats_server, engine, ("east", "west"))
    east, west = machines["east"], machines["west"]
    subject, clock = Plant(engine).subject(), SystemClock()
    # As the web of the other machine makes it: the secret must come to the one that sends.
    secrets = secrets_in(west.directory.notify_secrets, notify_folder(west.runtime, engine))
    alarms, here = AlarmService(engine, clock, lambda _: None), Destinations.of(["127.0.0.1"])
    service = NotificationService(engine, clock, secrets, alarms, lambda: None, here)
    body = ChannelBody(name="hook", settings=Webhook(url=receiver.url), secret="key")
    channel = service.put_channel(subject, 0, body).id
    queued = 0

    def queue(count: int) -> None:
        nonlocal queued
        for number in range(queued, queued + count):
            service.test(subject, channel, f"r{number}")
        queued += count

    async def told() -> bool:
        return service.state(subject).states["delivered"] == queued

    async def said(machine: Machine, words: str) -> None:
        await asyncio.to_thread(machine.says, words)

    try:
        await asyncio.to_thread(east.start, "notify serves")
        await asyncio.to_thread(west.start, "stands by: notify@east")
        queue(20)
        await until(told, "the first notifications", PATIENCE_S)
        killed = time.monotonic()
        east.end()
        queue(20)
        await until(told, "those after the kill", PATIENCE_S)
        print(f"first message {min(t for t in receiver.times if t > killed) - killed:.2f} s after the kill")
        assert "notify serves" in west.output
        # Stopped as by a debugger: it believes to have the role when it goes on.
        await asyncio.to_thread(east.start, "stands by: notify@west")
        west.send(signal.SIGSTOP)
        queue(20)
        await until(told, "those while the holder was stopped", PATIENCE_S)
        west.send(signal.SIGCONT)
        queue(20)
        await said(west, "stands by: notify@east")
        # In order: at once.
        east.end(signal.SIGTERM)
        assert "gives the role notify back" in east.output
        queue(20)
        await until(told, "those after the orderly end", PATIENCE_S)
        west.end(signal.SIGTERM)
    finally:
        for machine in machines.values():
            machine.close()
    times = Counter(key for key, _, _ in receiver.got)
    assert len(times) == queued
    assert set(times.values()) == {1}, "each was sent once"
    for _, given, content in receiver.got:
        seconds = int(given.partition(",")[0].removeprefix("t="))
        assert given == signature("key", seconds * SECOND, content)


class _Stored(msgspec.Struct):
    data: bytes


class Log:
    """How often each time and value is in the log; what a connection says of its own end is no value."""

    def __init__(self, bus: Client) -> None:
        self._bus = bus
        self._read = 0
        self.points: Counter[tuple[int, float]] = Counter()

    async def times(self) -> Counter[tuple[int, float]]:
        stream = SUBJECTS.blocks_stream(0)
        last = int((await stream_state(self._bus, stream))["last_seq"])
        while self._read < last:
            answer = await call_api(self._bus, f"STREAM.MSG.GET.{stream}", {"seq": self._read + 1})
            self._read += 1
            for columns in decode_block(msgspec.convert(answer["message"], _Stored).data).columns.values():
                good = columns.qualities == int(Quality.GOOD)
                self.points.update(
                    zip(columns.times[good].tolist(), np.asarray(columns.values)[good].tolist(), strict=True)
                )
        return self.points


def last_term(machine: Machine) -> str:
    """Return what a process has said since it last had the role."""
    return machine.output.rpartition("connect serves")[2]


async def test_a_connection_goes_on_where_it_stopped_on_another_machine(
    engine: Engine, nats_server: NatsServer, bus: Client, tmp_path: Path
) -> None:
    machines = make_machines(tmp_path, "connect", nats_server, engine, ("east", "west"))
    east, west = machines["east"], machines["west"]
    await ensure_streams(bus, SUBJECTS, 1, 86_400, 1_000_000_000)
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / CONSENT).touch()
    file = folder / "values.csv"
    file.write_text("time,t\n")
    rows = 0

    def write(count: int) -> None:
        nonlocal rows
        with file.open("a") as opened:
            for number in range(rows, rows + count):
                opened.write(f"{format_rfc3339(START + number * SECOND)},{number}\n")
        rows += count

    def expected() -> set[tuple[int, float]]:
        return {(START + number * SECOND, float(number)) for number in range(rows)}

    log = Log(bus)

    async def all_there() -> bool:
        return set(await log.times()) == expected()

    async def noted(machine: Machine) -> bool:
        """Whether the driver has noted that it has read the whole file."""
        found = list(machine.directory.connection_secrets.glob("*/positions.json"))
        return bool(found) and json.loads(found[0].read_text()).get("values.csv", [0])[0] == file.stat().st_size

    async def stood_down(machine: Machine) -> bool:
        assert machine.process is not None
        return machine.process.process.poll() == LOST_STATUS or "stands by: connect@west" in last_term(machine)

    subject, clock = Plant(engine).subject(), SystemClock()
    registry = open_registry(engine, bytes.fromhex(DEVICE_KEY), clock=clock)
    secrets = secrets_in(west.directory.connection_secrets, connection_folder(west.runtime, engine))
    service = ConnectionService(engine, clock, registry.devices, secrets, lambda _: None)
    address = Address(point="t", where="t")
    new = NewConnection(name="press", url=f"files://{folder}", options={"scan": 0.2}, addresses=[address])
    service.create(subject, new)
    try:
        await asyncio.to_thread(east.start, "connect serves")
        await asyncio.to_thread(west.start, "stands by: connect@east")
        write(50)
        await until(all_there, "the first rows", PATIENCE_S)
        await until(lambda: noted(east), "that they are read", PATIENCE_S)
        east.end(signal.SIGTERM)
        write(50)
        await until(all_there, "rows after the orderly end", PATIENCE_S)
        assert set((await log.times()).values()) == {1}, "each was read once"
        assert "connect serves" in west.output
        await asyncio.to_thread(east.start, "stands by: connect@west")
        write(50)
        west.end()
        write(50)
        await until(all_there, "all rows after the kill", PATIENCE_S)
        # Stopped as by a debugger: when it goes on, another machine has the connections.
        await asyncio.to_thread(west.start, "stands by: connect@east")
        east.send(signal.SIGSTOP)
        write(50)
        await until(all_there, "rows while the holder was stopped", PATIENCE_S)
        east.send(signal.SIGCONT)
        await until(lambda: stood_down(east), "that it ends all connections, or itself", PATIENCE_S)
    finally:
        for machine in machines.values():
            machine.close()
