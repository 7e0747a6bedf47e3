"""Columniser: telemetry payloads of authenticated devices into the block log, and receipts when they are durable."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from sqlalchemy import Engine

from gongfu.bus.blocklog import BlockLog
from gongfu.bus.connection import subscribe
from gongfu.ingest.columnise.accumulator import Accumulator, OpenBlock
from gongfu.ingest.columnise.batch import Batch
from gongfu.ingest.columnise.careful import CarefulWay, give
from gongfu.ingest.columnise.catalogue import SeriesCatalogue
from gongfu.ingest.columnise.columns import columns_of
from gongfu.ingest.columnise.drops import DELAYED, REFUSED, SHED, DropRecorder
from gongfu.ingest.columnise.elements import PointTable
from gongfu.ingest.columnise.gateway import GatewayReader
from gongfu.ingest.columnise.gateway_group import Given
from gongfu.ingest.columnise.job import Job
from gongfu.ingest.columnise.json import parse
from gongfu.ingest.columnise.json_shape import shape_of
from gongfu.ingest.columnise.limits import BUSY_BYTES, BUSY_POINTS, PENDING_BYTES, TelemetryLimits
from gongfu.ingest.columnise.reading import PayloadReader
from gongfu.ingest.columnise.reasons import Shed
from gongfu.ingest.columnise.snapshot import write_by_plan
from gongfu.ingest.types import Done, Form, ReadingColumns, Receipt, Writer
from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import Quality
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import MILLISECOND, SECOND, Clock

if TYPE_CHECKING:
    from gongfu.ingest.columnise.sparkplug_births import Birth, Order

logger = logging.getLogger(__name__)

# The hot path knows the members of the enumeration by a name of its own: a third of the cost of looking them up.
_JSON, _SPARKPLUG, _GATEWAY = Form.JSON, Form.SPARKPLUG, Form.JSON_GATEWAY
_RECEIPTS = [Receipt(n) for n in range(257)]


class Columniser:
    """Implements ``gongfu.ingest.types.Intake``. Use from one event loop; ``start`` before, ``close`` after.

    Payloads of one device are handled in the order they came. Counters: ``messages_received``, ``points_accepted``
    (durable), ``points_rejected.<reason>``, ``points_shed.<reason>``.
    """

    def __init__(
        self,
        bus: Client,
        subjects: Subjects,
        engine: Engine,
        limits: TelemetryLimits,
        counters: Counters,
        clock: Clock,
        *,
        max_payload_bytes: int = 1_048_576,
        log: BlockLog | None = None,
    ) -> None:
        """Compose the parts.

        Args:
            bus: an open connection; the streams of all partitions exist.
            subjects: names of the node.
            engine: the records.
            limits: bounds for incoming points.
            counters: where to count.
            clock: present time.
            max_payload_bytes: larger payloads are rejected.
            log: the block log, default one of its own on ``bus``.
        """
        self._bus = bus
        self._subjects = subjects
        self._limits = limits
        self._counters = counters
        self._max_bytes = max_payload_bytes
        self._future = int(limits.max_future_seconds * SECOND)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="columnise-records")
        self._log = log or BlockLog(bus, subjects, counters)
        self._catalogue = SeriesCatalogue(engine, self._executor, limits, clock)
        self._reader = PayloadReader(limits)
        self._tables = self._catalogue.own
        self._drops = DropRecorder(engine, self._executor, clock)
        self._accumulator = Accumulator(self._log, clock, counters, self._settle_block)
        self._batch = Batch(self._accumulator, counters, self._future, self._stamp, self._take_refused, self._shed_part)
        self._batch.screen = self._catalogue.screen
        self._gateways = GatewayReader(self._catalogue, self._future, limits.max_points_per_payload)
        self._careful = CarefulWay(
            self._catalogue,
            self._reader,
            self._accumulator,
            self._drops,
            limits,
            counters,
            self._stamp,
            self._took,
            max_payload_bytes,
        )
        self._parked = self._careful.parked
        self._last_stamp = 0
        self.points_in = 0
        self._closing = False
        self._sequence: Callable[[Writer, bytes, int, Done | None, str], None] | None = None

    async def start(self) -> None:
        """Connect to the block log and to announcements of the registry."""
        await self._log.start()
        self._drops.start()
        self._registry = await subscribe(self._bus, self._subjects.event("registry"), self._registry_changed)

    async def close(self) -> None:
        """Take no more, make durable what was taken, write the drop counts."""
        self._closing = self._careful.closing = True
        while tasks := self._careful.tasks:
            await asyncio.wait(set(tasks))
        self._batch.flush()
        await self._accumulator.drain()
        await self._log.close()
        await self._drops.stop()
        await self._registry.unsubscribe()
        self._executor.shutdown()

    @property
    def saturated(self) -> bool:
        """True while accepted points wait for durability beyond the bound; protocols then stop reading sockets."""
        return self._accumulator.saturated or self._careful.parked_bytes > PENDING_BYTES

    @property
    def busy(self) -> bool:
        """True while those who send much should wait (see ``Intake.busy``)."""
        pending = self._accumulator
        return pending.pending_points > BUSY_POINTS or pending.pending_bytes + self._careful.parked_bytes > BUSY_BYTES

    def follow_commits(self, follow: Callable[[float], None]) -> None:
        """Call ``follow`` with the seconds each block took to become durable."""
        self._accumulator.on_commit = follow

    def refuse(
        self,
        writer: Writer,
        form: Form,
        payload: bytes,
        received: int,
        done: Done | None,
        context: str,
        reason: str,
    ) -> None:
        """Shed one payload (see ``Intake.refuse``); it is read to count its points."""
        self._counters.add("messages_received")
        self._settle_order(writer)
        job = Job(writer, form, payload, received, done, context)
        if len(payload) <= self._max_bytes:
            try:
                self._reader.read(job, partial(self._stamp, received))
            except Exception:
                logger.exception("payload of device %s was not understood", writer.name)
        if job.elements or not job.rejected:
            self._careful.shed_rest(job, Shed(reason))
        else:
            self._careful.finish_writing(job)

    def turned_away(self, writer: Writer, reason: str) -> None:
        """Count a request that was not read (see ``Intake.turned_away``)."""
        self._counters.add(f"requests_refused.{reason}")
        self._drops.add(writer, REFUSED, {reason: 1}, "")

    def delayed(self, writer: Writer, milliseconds: Mapping[str, int]) -> None:
        """Count for how long a device had to wait (see ``Intake.delayed``)."""
        for reason, n in milliseconds.items():
            self._counters.add(f"delayed_ms.{reason}", n)
        self._drops.add(writer, DELAYED, milliseconds, "")

    def follow_deaths(self, follow: Callable[[Writer, str], None]) -> None:
        """Call ``follow`` with the sender and the path below its asset of what died; before the first payload."""
        self._reader.on_death = follow

    def follow_sparkplug(
        self,
        sequence: Callable[[Writer, bytes, int, Done | None, str], None],
        order_of: Callable[[int, str], "Order | None"],
        unknown: Callable[[Writer, str], None],
    ) -> None:
        """Let a Sparkplug host decide when payloads are taken; before the first payload.

        ``sequence`` gets every payload that is not known to be the next and gives it to ``take_in_order`` when it is;
        ``order_of`` returns what knows the order, for the others; ``unknown`` hears of data with an unknown alias.
        """
        self._sequence = sequence
        self._reader.order_of = order_of
        self._reader.on_unknown = unknown

    def birth(self, device: int, child: str) -> "Birth | None":
        """Return the Sparkplug birth that counts now of an asset below the sender's own."""
        return self._reader.birth(device, child)

    @property
    def log_available(self) -> bool:
        """False while the block log refuses blocks or does not answer."""
        return self._log.available

    def gauges(self) -> dict[str, float]:
        """Return the figures for ``MetricsPublisher``."""
        median, high = self._log.commit_ms()
        return {
            "pending_points": self._accumulator.pending_points,
            "pending_bytes": self._accumulator.pending_bytes,
            "parked_devices": len(self._parked),
            "blocks_outstanding": self._log.outstanding,
            "log_available": float(self._log.available),
            "commit_ms_p50": median,
            "commit_ms_p99": high,
        }

    def submit(
        self, writer: Writer, form: Form, payload: bytes, received: int, done: Done | None = None, context: str = ""
    ) -> None:
        """Take one payload (see ``Intake.submit``)."""
        document: Any = None
        batch = self._batch
        if form is _GATEWAY:
            if writer.device in batch.devices and writer.device not in batch.gateways:
                batch.flush()
        elif batch.gateways and writer.device in batch.gateways:
            batch.flush()
        if (
            (form is _JSON or form is _SPARKPLUG or form is _GATEWAY)
            and not self._accumulator.overfull
            and not self._closing
            and writer.device not in self._parked
            and len(payload) <= self._max_bytes
        ):
            if form is _SPARKPLUG:
                template = self._reader.template(writer.device, context, payload)
                if template is not None:
                    self.points_in += template.layout.count
                    batch.take_sparkplug(writer, template, payload, received, done, context)
                    return
            elif form is _GATEWAY:
                reading = self._gateways.read(writer.asset, payload, received)
                if reading is not None:
                    self.points_in += reading.route.points
                    batch.take_gateway(writer, reading, payload, received, done)
                    return
            elif (table := self._tables.get(writer.asset)) is not None:
                shape = table.expected
                if shape is not None and batch.take_json(writer, table, payload, received, done):
                    self.points_in += shape.count
                    return
                self._settle_order(writer)
                try:
                    document = parse(payload)
                except ValueError:
                    document = None
                if type(document) is dict and self._write_known(writer, table, document, received, done):
                    self._counters.add("messages_received")
                    return
        if form is _SPARKPLUG and self._sequence is not None:
            self._sequence(writer, payload, received, done, context)
            return
        self._counters.add("messages_received")
        self._settle_order(writer)
        job = Job(writer, form, payload, received, done, context)
        job.document = document
        self._careful.take(job)

    def take_in_order(self, writer: Writer, payload: bytes, received: int, done: Done | None, context: str) -> None:
        """Take a Sparkplug payload whose turn it is (see ``follow_sparkplug``)."""
        self._counters.add("messages_received")
        self._settle_order(writer)
        self._careful.take(Job(writer, _SPARKPLUG, payload, received, done, context))

    def submit_columns(
        self, writer: Writer, columns: Sequence[ReadingColumns], received: int, done: Done | None = None
    ) -> None:
        """Take readings of a driver (see ``ColumnIntake.submit_columns``)."""
        self._counters.add("messages_received")
        self._settle_order(writer)
        job = Job(writer, Form.COLUMNS, b"", received, done, "")
        horizon, stamp = received + self._future, partial(self._stamp, received)
        job.elements = [columns_of(one, horizon, stamp, job.reject) for one in columns]
        self._careful.take(job)

    def shed_readings(self, writer: Writer, n: int, reason: str) -> None:
        """Count readings that were dropped (see ``ColumnIntake.shed_readings``)."""
        self._careful.count(writer, SHED, {reason: n}, "")

    def _took(self, n: int) -> None:
        self.points_in += n

    def _settle_order(self, writer: Writer) -> None:
        """Let what a device sent before come first."""
        if writer.device in self._batch.devices:
            self._batch.flush()

    def _take_refused(self, refused: list[Given]) -> None:
        """Judge payloads by themselves that did not fit the layout they seemed to have."""
        for given in refused:
            self._careful.take(Job(*given))

    def _shed_part(self, writer: Writer, n: int) -> None:
        self._careful.count(writer, SHED, {Shed.LOG_UNAVAILABLE.value: n}, "")

    def _write_known(
        self, writer: Writer, table: PointTable, document: dict[str, Any], received: int, done: Done | None
    ) -> bool:
        """Write a payload of form A or B of a known shape; return False, with nothing done, when it is not one."""
        time = 0
        names = tuple(document)
        plan = table.plan_of(names)
        if plan is None:
            ts = document.get("ts")
            if type(ts) is not int or len(document) != 2:
                return False
            document = document.get("values", ts)
            if type(document) is not dict:
                return False
            names = tuple(document)
            plan = table.plan_of(names)
            time = ts * MILLISECOND
            if plan is None or not 0 < time <= received + self._future:
                return False
        lane = table.lane
        if lane is None:
            lane = table.lane = self._accumulator.lane(writer.tenant, table.partition)
        block, last = lane.block, self._last_stamp
        if not write_by_plan(plan, document, time or self._stamp(received), Quality.GOOD, block):
            self._last_stamp = last
            return False
        self.points_in += len(document)
        block.known.append((writer, done, len(document)))
        self._accumulator.written(lane)
        if len(plan.columns) == 1 and plan.columns[0].value_type is ValueType.DOUBLE:
            # Twice the same in a row: the next is expected to be so too.
            if table.expected_plan is plan:
                table.expected = shape_of(names, time != 0)
            table.expected_plan = plan
        return True

    def _settle_block(self, block: OpenBlock, durable: bool) -> None:
        if durable:
            for _, dones, n in block.batches:
                _give_all(dones, _RECEIPTS[n] if n < len(_RECEIPTS) else Receipt(n))
            for _, done, n in block.known:
                if done is not None:
                    give(done, _RECEIPTS[n] if n < len(_RECEIPTS) else Receipt(n))
        else:
            batches = (
                (one, done, n) for writers, dones, n in block.batches for one, done in zip(writers, dones, strict=True)
            )
            for writer, done, n in chain(batches, block.known):
                shed = {Shed.LOG_UNAVAILABLE.value: n}
                self._careful.count(writer, SHED, shed, "")
                if done is not None:
                    give(done, Receipt(0, {}, shed))
        for settled, n, _ in block.others:
            settled(n, durable)

    def _stamp(self, received: int) -> int:
        """Return the time of arrival, made later than every one given before (unless the clock was set back)."""
        last = self._last_stamp
        stamp = received if received > last or last - received > SECOND else last + 1
        self._last_stamp = stamp
        return stamp

    async def _registry_changed(self, message: Msg) -> None:
        try:
            change = msgspec.json.decode(message.data, type=_RegistryChange)
        except msgspec.MsgspecError:
            logger.warning("announcement of the registry cannot be read")
            return
        if change.kind == "device":
            # The catalogue is by asset: a device that reports for another one comes with that after it has reconnected.
            if change.change == "deleted":
                self._reader.forget(change.id)
        elif change.change == "deleted" or (change.change == "updated" and change.kind == "asset" and change.moved):
            # A point keeps its name and type for ever, so only its end matters; an asset may get another path.
            self._catalogue.forget()
            self._reader.forget_points()
        elif change.typed:
            self._catalogue.retyped(change.id, self._reader.forget_points)


class _RegistryChange(msgspec.Struct):
    """Part of ``evt.registry`` that matters here."""

    kind: str
    change: str
    id: int = 0
    moved: bool = False
    typed: bool = False


def _give_all(dones: list[Done | None], receipt: Receipt) -> None:
    """Call all back with one receipt."""
    rest = iter(dones)
    while True:
        try:
            for done in rest:
                if done is not None:
                    done(receipt)
            return
        except Exception:
            logger.exception("receipt was not taken")
