"""Role ``worker``: block log to history, latest values, rules, models and alarms."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop
from nats.aio.client import Client
from nats.errors import Error as NatsError
from sqlalchemy import Engine

from gongfu.appkit.catalogue import find_models
from gongfu.bus.blocklog import BlockLog, ensure_streams
from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.metrics import MetricsPublisher
from gongfu.bus.requests import serve
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node.history_store import open_history
from gongfu.node.runtime import Runtime, load_runtime, report_ready, role_name
from gongfu.reason.alarms.ledger import AlarmLedger
from gongfu.reason.alarms.types import AlarmEvent
from gongfu.reason.compiler import Compiler
from gongfu.reason.partition import HISTORY_S, PartitionRun, Surroundings
from gongfu.reason.pipeline import ReasonPipeline
from gongfu.reason.shares import Shares
from gongfu.reason.status import LatestAnswer, LatestRequest, ReasonState
from gongfu.store.history.writer import HistoryWriter
from gongfu.store.records.engine import open_records
from gongfu.store.records.migrations import migrate
from gongfu.store.twins.checkpoint import CheckpointFile

logger = logging.getLogger("gongfu.worker")


class _AlarmPublisher:
    """Publishes alarms on ``evt.alarm`` in order; the console asks again for what a lost event would have told."""

    def __init__(self, bus: Client, subjects: Subjects) -> None:
        self._bus = bus
        self._subject = subjects.event("alarm")

    async def publish(self, events: Sequence[AlarmEvent]) -> None:
        """Publish alarms that are committed."""
        try:
            for event in events:
                await self._bus.publish(self._subject, msgspec.json.encode(event))
        except (NatsError, OSError) as error:
            logger.warning("alarms were not announced: %s", type(error).__name__)


def checkpoint_path(data_dir: Path, partition: int, partitions: int) -> Path:
    """Return where a worker that is alone keeps the state of a partition."""
    return data_dir / "twins" / ("checkpoint" if partitions == 1 else f"checkpoint-{partition}-of-{partitions}")


async def _serve(runtime: Runtime, name: str, engine: Engine) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    subjects, counters, clock = Subjects(runtime.node), Counters(), SystemClock()
    data_dir, partitions = Path(runtime.data_dir), runtime.telemetry.partitions
    (data_dir / "twins").mkdir(mode=0o700, parents=True, exist_ok=True)
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), name)
    bounds = runtime.block_log
    await ensure_streams(bus, subjects, partitions, bounds.max_age_seconds, bounds.max_bytes)
    log = BlockLog(bus, subjects, counters)
    await log.start()
    history = open_history(runtime)
    writer = HistoryWriter(history, data_dir, counters)
    writer.start()
    models, announce = find_models(), _AlarmPublisher(bus, subjects).publish
    around = Surroundings(bus, subjects, counters, clock, writer)
    shares = Shares()
    feeds: list[asyncio.Task[None]] = []
    for partition in range(partitions):
        pipeline = ReasonPipeline(
            Compiler(engine, models, partition, partitions),
            AlarmLedger(engine, partition, partitions),
            log,
            CheckpointFile(checkpoint_path(data_dir, partition, partitions)),
            counters,
            clock,
            announce,
        )
        shares.runs[partition] = PartitionRun(partition, pipeline, around)
        feeds.append(await shares.runs[partition].start())

    async def latest(request: LatestRequest) -> LatestAnswer:
        return shares.latest(request)

    async def state(_: object) -> ReasonState:
        return shares.state()

    def gauges() -> dict[str, float]:
        of_writer = writer.gauges
        return {**shares.gauges(), **of_writer, "history_seconds": of_writer["history_lag_seconds"]}

    await serve(bus, subjects.service("latest"), latest, LatestRequest)
    await serve(bus, subjects.service("reason"), state)
    metrics = MetricsPublisher(bus, subjects, name, counters, gauges)
    metrics.start()
    # What is alive now stays alive: full collections need not look at it again.
    gc.collect()
    gc.freeze()
    report_ready()
    logger.info("worker reads %d partitions", partitions)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({stopping, *feeds}, return_when=asyncio.FIRST_COMPLETED)
    logger.info("worker stops")
    broken = [feed.exception() for feed in feeds if feed.done() and not feed.cancelled()]
    await asyncio.gather(*(run.close() for run in shares.runs.values()))
    await writer.stop(HISTORY_S)
    await metrics.stop()
    await log.close()
    await bus.close()
    stopping.cancel()
    if broken:
        raise RuntimeError("a block feed ended") from broken[0]


def main() -> int:
    """Run the role until SIGTERM; return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    runtime = load_runtime()
    engine = open_records(runtime.records_url)
    try:
        migrate(engine)
        uvloop.run(_serve(runtime, role_name("worker"), engine))
    except (OSError, TimeoutError, ValueError) as error:
        logger.error("worker cannot start: %s", error)
        return 1
    finally:
        engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
