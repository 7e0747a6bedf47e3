"""CPU cost of the front door's Python a message: bytes of a read to PUBACK bytes, without sockets and without NATS.

    python -m benchmarks.columnise.door_cost [connections] [messages a read]

Every connection is a real ``Connection`` with a transport that throws away what is written. Prints CPU-µs a message,
the least of several runs, for QoS 1 messages of 20 values and of one.
"""

import asyncio
import gc
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.columnise.columnise_cost import NoLog, records
from benchmarks.ingest.payloads import connect_packet, json_payloads, publish_head, sparkplug_payloads
from gongfu.ingest.columnise.columniser import Columniser
from gongfu.ingest.mqtt.access import DeviceAccess
from gongfu.ingest.mqtt.front_door import DoorSettings, open_front_door
from gongfu.ingest.mqtt.server.connection import Connection
from gongfu.ingest.mqtt.server.listeners import Addresses
from gongfu.ingest.types import Writer
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node.runtime import TelemetrySettings

ROUNDS = 40


class Sink:
    """A transport that counts."""

    def __init__(self) -> None:
        self.written = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)

    def set_write_buffer_limits(self, **_: int) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, _name: str) -> Any:
        return None


class Everyone:
    """Lets every device of a table in."""

    def __init__(self, writers: list[Writer]) -> None:
        self._writers = {writer.name: writer for writer in writers}

    async def check(self, username: str | None, _password: bytes | None, _certificate: str | None) -> Any:
        return DeviceAccess(self._writers[str(username)], (), ())


async def measure(folder: Path, connections: int, a_read: int) -> None:
    engine, writers = records(folder, connections)
    counters = Counters()
    columniser = Columniser(
        None,  # type: ignore[arg-type]
        Subjects("bench"),
        engine,
        TelemetrySettings(),
        counters,
        SystemClock(),
        log=NoLog(),  # type: ignore[arg-type]
    )
    door = open_front_door(
        DoorSettings(folder, Addresses(), max_connections=connections + 1), columniser, Everyone(writers), counters
    )
    clients = []
    for writer in writers:
        connection, sink = Connection(door.context), Sink()
        connection.connection_made(sink)  # type: ignore[arg-type]
        connection.data_received(connect_packet(writer.name, writer.name, "x"))
        clients.append((connection, sink, writer.name))
    while len(door.context.clients) < connections:  # noqa: ASYNC110 - nothing tells when
        await asyncio.sleep(0.01)
    forms = {
        "JSON, 20 values": ("v1/devices/me/telemetry", json_payloads(20)),
        "JSON, 1 value": ("v1/devices/me/telemetry", json_payloads(1)),
        "Sparkplug, 20 metrics": ("spBv1.0/group/NDATA/{}", sparkplug_payloads(20)),
    }
    identifier, moment = (7).to_bytes(2, "big"), time.time_ns() // 10**6 - 10**6
    for form, (topic, make) in forms.items():
        if "Spark" in form:
            for connection, _, name in clients:
                body = make(0, moment)
                connection.data_received(
                    publish_head(topic.format(name).replace("NDATA", "NBIRTH"), len(body)) + identifier + body
                )
            await asyncio.sleep(1.0)
        best = float("inf")
        for turn in range(ROUNDS):
            moment += 1
            body = make(7, moment)
            reads = [
                (publish_head(topic.format(name), len(body)) + identifier + body) * a_read for _, _, name in clients
            ]
            before = sum(sink.written for _, sink, _ in clients)
            began = time.process_time()
            # As the kernel hands them out: a few hundred readable sockets a turn of the loop.
            for at in range(0, connections, 256):
                for (connection, _, _), data in zip(clients[at : at + 256], reads[at : at + 256], strict=True):
                    connection.data_received(data)
                await asyncio.sleep(0)
            want = before + 4 * connections * a_read
            while sum(sink.written for _, sink, _ in clients) < want:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
            if turn > 3:
                best = min(best, time.process_time() - began)
        print(f"{form:24} {best / connections / a_read * 1e6:6.2f} us/message")


def main() -> None:
    gc.set_threshold(20_000, 10, 10)  # as in node/door.py
    connections = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    a_read = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(measure(Path(folder), connections, a_read))


if __name__ == "__main__":
    main()
