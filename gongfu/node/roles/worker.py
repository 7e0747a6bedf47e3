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
from gongfu.bus.blockfeed import BlockFeed
from gongfu.bus.blocklog import BlockLog, ensure_streams
from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.jetstream import stream_state
from gongfu.bus.metrics import MetricsPublisher
from gongfu.bus.requests import serve
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node.runtime import Runtime, load_runtime, report_ready, role_name
from gongfu.reason.alarms.ledger import AlarmLedger
from gongfu.reason.alarms.types import AlarmEvent
from gongfu.reason.compiler import Compiler
from gongfu.reason.latest import answer_latest
from gongfu.reason.pipeline import ReasonPipeline
from gongfu.reason.status import LatestAnswer, LatestRequest, ReasonState
from gongfu.reason.watch import Watch
from gongfu.store.history.client import ClickHouseHistory
from gongfu.store.history.writer import HistoryWriter
from gongfu.store.records.engine import open_records
from gongfu.store.records.migrations import migrate

logger = logging.getLogger("gongfu.worker")

CLOSE_S = 10.0
# What is not in the history by then is in the block log, and comes after the next start.
HISTORY_S = 5.0


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


async def _forget_replaced_logs(
    bus: Client, subjects: Subjects, partitions: int, pipeline: ReasonPipeline, writer: HistoryWriter
) -> None:
    """Begin partitions anew whose log ends before our positions: it was replaced."""
    for partition in range(partitions):
        last = int((await stream_state(bus, subjects.blocks_stream(partition)))["last_seq"])
        for consumer in (pipeline, writer):
            if consumer.position(partition) > last:
                logger.error(
                    "%s is at block %d of partition %d, but the log, replaced, ends at %d: reading from its start",
                    consumer.name, consumer.position(partition), partition, last,
                )  # fmt: skip
                consumer.forget(partition)


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
    history = ClickHouseHistory(runtime.history_url, runtime.history_user, runtime.history_password)
    writer = HistoryWriter(history, data_dir, counters)
    pipeline = ReasonPipeline(
        Compiler(engine, find_models()),
        AlarmLedger(engine),
        log,
        data_dir / "twins" / "checkpoint",
        counters,
        clock,
        _AlarmPublisher(bus, subjects).publish,
    )
    await pipeline.start()
    await _forget_replaced_logs(bus, subjects, partitions, pipeline, writer)
    writer.start()
    watch = Watch(pipeline, bus, subjects, partitions, clock, writer.position)

    async def latest(request: LatestRequest) -> LatestAnswer:
        return answer_latest(pipeline.twins, request)

    async def state(_: object) -> ReasonState:
        positions = {str(partition): pipeline.position(partition) for partition in range(partitions)}
        return ReasonState(pipeline.rule_states(), pipeline.binding_states(), positions, watch.lag)

    def gauges() -> dict[str, float]:
        of_writer = writer.gauges
        return {
            **pipeline.gauges(),
            **of_writer,
            **watch.lag,
            "history_seconds": of_writer["history_lag_seconds"],
        }

    await serve(bus, subjects.service("latest"), latest, LatestRequest)
    await serve(bus, subjects.service("reason"), state)
    feeds = [
        asyncio.create_task(BlockFeed(bus, subjects, partition, counters, [pipeline, writer]).run())
        for partition in range(partitions)
    ]
    await watch.start()
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
    await watch.stop()
    try:
        await asyncio.wait_for(pipeline.close(), CLOSE_S)
    except TimeoutError:
        logger.warning("no last checkpoint: a block is still being evaluated; it will be taken again")
    broken = [feed.exception() for feed in feeds if feed.done() and not feed.cancelled()]
    for feed in feeds:
        feed.cancel()
    await asyncio.gather(*feeds, return_exceptions=True)
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
