"""Role ``worker``: block log to history, latest values, rules and alarms."""

import asyncio
import gc
import logging
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from sqlalchemy import Engine

from gongfu.bus.blocklog import BlockLog, ensure_streams
from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.ending import end_tasks
from gongfu.bus.metrics import MetricsPublisher
from gongfu.bus.partition_leases import Lease
from gongfu.bus.registers import Registers
from gongfu.bus.requests import serve
from gongfu.bus.spares import open_spares
from gongfu.bus.state_store import StateStore
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node.history_store import open_history
from gongfu.node.leased_partitions import LeasedPartitions, LeasePositions
from gongfu.node.role_start import run_role, stop_by_signal
from gongfu.node.runtime import Runtime, report_ready, shares_partitions
from gongfu.reason.alarms.asking_latest import LatestNumbers
from gongfu.reason.alarms.caretaker import Caretaker
from gongfu.reason.alarms.ledger import AlarmLedger
from gongfu.reason.alarms.sources.ledger import SourceLedger
from gongfu.reason.alarms.sources.types import SERVICE, SourceAlarms, SourceAnswer
from gongfu.reason.alarms.types import AlarmEvent
from gongfu.reason.compiler import Compiler
from gongfu.reason.partition import HISTORY_S, PartitionRun, Surroundings
from gongfu.reason.pipeline import ReasonPipeline
from gongfu.reason.running import RunningAnswer, RunningRequest
from gongfu.reason.seen import AssetsOfSeries, SeenAnswer, SeenRequest
from gongfu.reason.shares import Shares
from gongfu.reason.status import LatestAnswer, LatestRequest, ReasonState, StateRequest
from gongfu.store.history.writer import HistoryWriter
from gongfu.store.twins.checkpoint import CheckpointFile, CheckpointStore
from gongfu.store.twins.leased_checkpoint import LeasedCheckpoint, SharedDirectory, StatePlace

logger = logging.getLogger("gongfu.worker")

# Rules are compiled in a thread; the feed must not wait 5 ms for each of its steps meanwhile.
_SWITCH_S = 0.001


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
    stop = stop_by_signal()
    subjects, counters, clock = Subjects(runtime.node), Counters(), SystemClock()
    data_dir, partitions = Path(runtime.data_dir), runtime.telemetry.partitions
    twins = data_dir / "twins"
    twins.mkdir(mode=0o700, parents=True, exist_ok=True)
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), name)
    bounds = runtime.block_log
    await ensure_streams(bus, subjects, partitions, bounds.max_age_seconds, bounds.max_bytes, bounds.replicas)
    log = BlockLog(bus, subjects, counters, spares=open_spares(bus, subjects, partitions, bounds.replicas, counters))
    await log.start()
    history = open_history(runtime)
    shared, positions = shares_partitions(runtime), LeasePositions()
    writer = HistoryWriter(history, data_dir, counters, positions if shared else None)
    writer.start()
    announce = _AlarmPublisher(bus, subjects).publish
    around = Surroundings(bus, subjects, counters, clock, writer)
    shares = Shares()
    sys.setswitchinterval(_SWITCH_S)
    # One partition after the other, and not in the threads that alarms are written in.
    compiling = ThreadPoolExecutor(1, thread_name_prefix="compile")

    def make(partition: int, checkpoints: CheckpointStore, lease: Lease | None = None) -> PartitionRun:
        pipeline = ReasonPipeline(
            Compiler(engine, partition, partitions),
            AlarmLedger(engine, partition, partitions, lease.epoch if lease else None),
            checkpoints,
            counters,
            clock,
            announce,
            lease,
            compiling,
        )
        return PartitionRun(partition, pipeline, around)

    def file(partition: int) -> CheckpointFile:
        return CheckpointFile(checkpoint_path(data_dir, partition, partitions))

    async def latest(request: LatestRequest) -> LatestAnswer:
        return shares.latest(request)

    async def state(request: StateRequest | None) -> ReasonState:
        return shares.state(request)

    async def running(request: RunningRequest) -> RunningAnswer:
        return shares.running(request)

    sources = SourceLedger(engine)
    numbers = LatestNumbers(bus, subjects, 0 if runtime.instance else max(1, runtime.worker.processes))
    caretaker = Caretaker(engine, clock, numbers, announce, counters)

    async def report(request: SourceAlarms) -> SourceAnswer:
        states, events = await asyncio.to_thread(sources.apply, request.alarms, clock.now_ns())
        await announce(events)
        return SourceAnswer(states)

    assets = AssetsOfSeries(engine)

    async def seen(request: SeenRequest) -> SeenAnswer:
        return await asyncio.to_thread(shares.seen, request, assets)

    def gauges() -> dict[str, float]:
        of_writer = writer.gauges
        return {**shares.gauges(), **of_writer, "history_seconds": of_writer["history_lag_seconds"]}

    leased: LeasedPartitions | None = None
    ends: list[asyncio.Future[None]] = []
    if shared:
        place = await _state_place(runtime, bus, subjects, twins)
        scratch = twins / name
        scratch.mkdir(mode=0o700, exist_ok=True)
        registers = Registers(bus, subjects.registers_stream(), subjects.registers(), bounds.replicas)
        leased = LeasedPartitions(
            registers,
            name,
            partitions,
            engine,
            writer,
            positions,
            shares,
            lambda lease: make(lease.partition, LeasedCheckpoint(lease, place, scratch, file(lease.partition)), lease),
        )
        ends.append(leased.broken)
        await leased.start()
        logger.info("worker %s shares %d partitions with others", name, partitions)
    else:
        for partition in range(partitions):
            shares.runs[partition] = make(partition, file(partition))
            ends.append(await shares.runs[partition].start())
    await serve(bus, subjects.service("latest"), latest, LatestRequest)
    await serve(bus, subjects.service("reason"), state, StateRequest | None)
    await serve(bus, subjects.service("rules"), running, RunningRequest)
    await serve(bus, subjects.service("seen"), seen, SeenRequest)
    await serve(bus, subjects.service(SERVICE), report, SourceAlarms, queue=SERVICE)
    metrics = MetricsPublisher(bus, subjects, name, counters, gauges)
    metrics.start()
    caring = asyncio.create_task(caretaker.run(), name="alarms")
    # What is alive now stays alive: full collections need not look at it again.
    gc.collect()
    gc.freeze()
    report_ready()
    logger.info("worker reads %d partitions", len(shares.runs))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({stopping, *ends}, return_when=asyncio.FIRST_COMPLETED)
    logger.info("worker stops")
    await end_tasks([caring])
    broken = [end.exception() for end in ends if end.done() and not end.cancelled()]
    if leased is not None:
        await leased.stop()
    await asyncio.gather(*(run.close() for run in shares.runs.values()))
    compiling.shutdown(wait=False, cancel_futures=True)
    await writer.stop(HISTORY_S)
    await metrics.stop()
    await log.close()
    await bus.close()
    stopping.cancel()
    if broken:
        raise RuntimeError("a block feed ended") from broken[0]


async def _state_place(runtime: Runtime, bus: Client, subjects: Subjects, directory: Path) -> StatePlace:
    """Return where checkpoints are that another worker may need: another machine's reads the block log's servers."""
    if not runtime.instance:
        return SharedDirectory(directory)
    store = StateStore(bus, subjects, runtime.block_log.replicas)
    await store.start()
    return store


def main() -> int:
    """Run the role until SIGTERM; return the exit status."""
    return run_role("worker", _serve, (ValueError,))


if __name__ == "__main__":
    sys.exit(main())
