"""CPU cost of columnising: payload bytes to column block, per point, without a broker and without NATS.

    python benchmarks/columnise/columnise_cost.py [messages]

Prints CPU-µs per point (least of sixty short runs, because other load only ever adds) of the columniser alone:
parsing, typing, appending, encoding the block, receipts. The block log is replaced by one that acknowledges at once.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from gongfu.ingest.columnise.columniser import Columniser
from gongfu.ingest.columnise.sparkplug_schema import Payload
from gongfu.ingest.types import Form, Receipt, Writer
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node.runtime import TelemetrySettings
from gongfu.registry.tables import asset, device, tenant
from gongfu.store.records.engine import metadata, open_records

POINTS = 20


class NoLog:
    """Acknowledges blocks at once and keeps nothing."""

    outstanding = 0
    available = True

    def __init__(self) -> None:
        self.bytes = 0

    def append(self, _partition: int, payload: bytes, _since: float | None = None) -> "asyncio.Future[int]":
        self.bytes += len(payload)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        future.set_result(1)
        return future

    def commit_ms(self) -> tuple[float, float]:
        return 0.0, 0.0


def records(directory: Path, devices: int) -> tuple[Any, list[Writer]]:
    engine = open_records(f"sqlite:///{directory / 'records.db'}")
    metadata.create_all(engine)
    writers = []
    with engine.begin() as connection:
        connection.execute(tenant.insert().values(id=1, name="node", created_at=0))
        for n in range(1, devices + 1):
            values = {"tenant_id": 1, "name": f"a{n}", "path": f"a{n}", "type": "", "attributes": {}, "created_at": 0}
            connection.execute(asset.insert().values(id=n, **values))
            connection.execute(
                device.insert().values(
                    id=n,
                    tenant_id=1,
                    name=f"d{n}",
                    asset_id=n,
                    secret_hash=str(n),
                    enabled=True,
                    publish_filters=[],
                    subscribe_filters=[],
                    created_at=0,
                )
            )
            writers.append(Writer(1, n, f"d{n}", n, f"a{n}"))
    return engine, writers


def values(n: int) -> dict[str, Any]:
    return {f"sensor_{i:02d}": round(20.0 + i + n * 0.013, 3) for i in range(POINTS)}


def mixed(n: int) -> dict[str, Any]:
    body: dict[str, Any] = values(n)
    body["sensor_03"], body["sensor_07"], body["sensor_11"] = n % 2 == 0, "running", n
    return body


def sparse(n: int) -> dict[str, Any]:
    return {f"sensor_{(i * 7 + n * n) % 60:02d}": round(20.0 + i + n * 0.013, 3) for i in range(POINTS)}


FORMS: dict[str, tuple[Form, Callable[[int], bytes], int, str]] = {
    "A 20 doubles": (Form.JSON, lambda n: orjson.dumps(values(n)), POINTS, ""),
    "A mixed types": (Form.JSON, lambda n: orjson.dumps(mixed(n)), POINTS, ""),
    "A names vary": (Form.JSON, lambda n: orjson.dumps(sparse(n)), POINTS, ""),
    "A 3 doubles": (Form.JSON, lambda n: orjson.dumps({"a": n * 0.5, "b": 2.5, "c": n * 0.1}), 3, ""),
    "B with ts": (Form.JSON, lambda n: orjson.dumps({"ts": 1_700_000_000_000 + n, "values": values(n)}), POINTS, ""),
    "C list of 10": (
        Form.JSON,
        lambda n: orjson.dumps([{"ts": 1_700_000_000_000 + n * 10 + i, "values": values(n)} for i in range(10)]),
        10 * POINTS,
        "",
    ),
    "D 10 children": (
        Form.JSON_GATEWAY,
        lambda n: orjson.dumps({f"child {i}": [{"ts": 1_700_000_000_000 + n, "values": values(n)}] for i in range(10)}),
        10 * POINTS,
        "",
    ),
}


def sparkplug(n: int, aliases: int, birth: bool = False) -> bytes:
    message = Payload(timestamp=1_700_000_000_000 + n, seq=n % 256)
    for i in range(aliases):
        metric = message.metrics.add(alias=i + 1, timestamp=1_700_000_000_000 + n, double_value=20.0 + i + n * 0.013)
        if birth:
            metric.name, metric.datatype = f"sensor {i:02d}", 10
    return message.SerializeToString()


TOPIC = "spBv1.0/group/{}/edge"
FORMS["Sparkplug 20"] = (Form.SPARKPLUG, lambda n: sparkplug(n, POINTS), POINTS, TOPIC.format("NDATA"))
FORMS["Sparkplug 3"] = (Form.SPARKPLUG, lambda n: sparkplug(n, 3), 3, TOPIC.format("NDATA"))


def arrow(n: int) -> bytes:
    rows = 50 * POINTS
    table = pa.table(
        {
            "time": pa.array([1_700_000_000_000 + n + i // POINTS for i in range(rows)], pa.timestamp("ms")),
            "name": [f"sensor_{i % POINTS:02d}" for i in range(rows)],
            "value": [20.0 + i + n * 0.013 for i in range(rows)],
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


FORMS["Arrow 1000"] = (Form.ARROW, arrow, 50 * POINTS, "")


async def measure(form: Form, make: Callable[[int], bytes], points: int, context: str, messages: int) -> float:
    with tempfile.TemporaryDirectory() as directory:
        engine, writers = records(Path(directory), 50)
        log = NoLog()
        columniser = Columniser(
            None, Subjects("bench"), engine, TelemetrySettings(), Counters(), SystemClock(), log=log
        )  # type: ignore[arg-type]
        accepted, expected = 0, 0
        settled = asyncio.Event()

        def done(receipt: Receipt) -> None:
            nonlocal accepted
            accepted += receipt.accepted
            if accepted == expected:
                settled.set()

        payloads = [make(n) for n in range(500)]
        expected = 10 * points * len(writers)
        if form is Form.SPARKPLUG:
            for writer in writers:
                columniser.submit(writer, form, sparkplug(0, points, birth=True), 0, None, TOPIC.format("NBIRTH"))
        for writer in writers:
            for n in range(10):
                columniser.submit(writer, form, payloads[n], time.time_ns(), done, context)
        await settled.wait()
        rounds = []
        for _ in range(60):
            accepted, expected = 0, points * messages
            settled.clear()
            began = time.process_time()
            for n in range(messages):
                columniser.submit(
                    writers[n % 50], form, payloads[n % 500], 1_700_000_000_000_000_000 + n, done, context
                )
                if n % 100 == 99:
                    await asyncio.sleep(0)
            await settled.wait()
            rounds.append((time.process_time() - began) / (messages * points) * 1e6)
        engine.dispose()
        return min(rounds)


def main() -> None:
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    for name, (form, make, points, context) in FORMS.items():
        cost = asyncio.run(measure(form, make, points, context, max(50, messages * POINTS // points // 2)))
        print(f"{name:16s} {cost:6.3f} CPU-µs per point")


if __name__ == "__main__":
    main()
