"""The careful way of a payload: element by element, with the registry asked for what is new.

Payloads of a device that wait for the registry are *parked*, and so is all that it sends after them.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial

from gongfu.ingest.columnise.accumulator import Accumulator, OpenBlock
from gongfu.ingest.columnise.catalogue import RegistryUnavailableError, SeriesCatalogue
from gongfu.ingest.columnise.drops import MARKED, REJECTED, SHED, DropRecorder
from gongfu.ingest.columnise.elements import Element, PointTable
from gongfu.ingest.columnise.job import Job
from gongfu.ingest.columnise.judging import by_model, pass_on
from gongfu.ingest.columnise.limits import PENDING_BYTES, TelemetryLimits
from gongfu.ingest.columnise.reading import PayloadReader, read_wide
from gongfu.ingest.columnise.reasons import Reason, Shed
from gongfu.ingest.types import Done, Receipt, Writer
from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType
from gongfu.thing.compiled import Binding

logger = logging.getLogger(__name__)

_ATTEMPTS = 3


class CarefulWay:
    """Writes payloads by themselves; use from one event loop.

    Attributes:
        parked: devices of which a job asks the registry, and the jobs behind it, None when there are none.
        parked_bytes: size of their payloads.
        tasks: questions to the registry that are under way.
        closing: all that comes is shed.
    """

    def __init__(
        self,
        catalogue: SeriesCatalogue,
        reader: PayloadReader,
        accumulator: Accumulator,
        drops: DropRecorder,
        limits: TelemetryLimits,
        counters: Counters,
        stamp: Callable[[int], int],
        took: Callable[[int], None],
        max_payload_bytes: int,
    ) -> None:
        """Set up.

        Args:
            catalogue: what is known of names.
            reader: of payloads.
            accumulator: where the points go.
            drops: where drops are kept by device.
            limits: bounds for incoming points.
            counters: where to count.
            stamp: returns the time for values without one for a time of arrival, UTC ns.
            took: called with the number of points put into a block.
            max_payload_bytes: larger payloads are rejected.
        """
        self._catalogue = catalogue
        self._reader = reader
        self._accumulator = accumulator
        self._drops = drops
        self._limits = limits
        self._counters = counters
        self._stamp = stamp
        self._took = took
        self._max_bytes = max_payload_bytes
        self.parked: dict[int, deque[Job] | None] = {}
        self.parked_bytes = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self.closing = False
        reader.on_null = self._null

    def _null(self, writer: Writer, n: int) -> None:
        """Count metrics that said that they have no value: their points say so, with a bad quality."""
        self.count(writer, MARKED, {Reason.NULL_VALUE.value: n}, "a metric says that it has no value (is_null)")

    def take(self, job: Job) -> None:
        """Write a payload, or park it behind those of its device that wait."""
        size = len(job.payload)
        if self.closing:
            self.shed_rest(job, Shed.STOPPING)
        elif size > self._max_bytes:
            job.reject(Reason.PAYLOAD_TOO_LARGE, 1, f"{size} bytes, at most {self._max_bytes}")
            self.finish_writing(job)
        elif self._accumulator.overfull or self.parked_bytes > 2 * PENDING_BYTES:
            self.shed_rest(job, Shed.SATURATED)
        elif job.writer.device in self.parked:
            self._behind(job.writer.device).append(job)
            self.parked_bytes += size
        else:
            self._advance(job)

    def _advance(self, job: Job) -> None:
        """Write the elements of a job as far as possible; park it when the registry is needed."""
        try:
            if job.elements is None:
                self._reader.read(job, partial(self._stamp, job.received))
            if self._write_elements(job):
                self.finish_writing(job)
            else:
                self._park(job)
        except Exception:
            logger.exception("payload of device %s was not understood", job.writer.name)
            job.reject(Reason.FORM_INVALID, max(1, job.remaining()), "payload was not understood")
            job.index = len(job.elements or ())
            self.finish_writing(job)

    def _write_elements(self, job: Job) -> bool:
        """Return True when all elements are written, False when names must be asked for first."""
        writer = job.writer
        elements = job.elements or []
        catalogue = self._catalogue
        while job.index < len(elements):
            element = elements[job.index]
            table = catalogue.find(writer, element.child)
            if table is not None and self._write_one(job, element, table, planned=True):
                job.index += 1
                continue
            if not job.exact:
                read_wide(job, partial(self._stamp, job.received), self._limits)
            missing = _missing(element, table)
            if missing and catalogue.refusal(writer, element.child) is None:
                return False
            self._write_one(job, element, table or PointTable(0, 0), planned=False)
            job.index += 1
        return True

    def _write_one(self, job: Job, element: Element, table: PointTable, *, planned: bool) -> bool:
        lane = table.lane
        if lane is None:
            lane = table.lane = self._accumulator.lane(job.writer.tenant, table.partition)
        block = lane.block
        points = block.points
        if table.model is not None:
            if not self._write_judged(job, element, table, block, table.model, planned=planned):
                return False
        elif planned:
            if not element.write_planned(table, block):
                return False
        else:
            element.write(table, block, job.reject, partial(self._catalogue.refusal, job.writer))
        n = block.points - points
        if n:
            self._took(n)
            job.open_parts += 1
            block.others.append((partial(self._settle, job), n, job.writer.device))
            self._accumulator.written(lane)
        return True

    def _write_judged(
        self, job: Job, element: Element, table: PointTable, block: OpenBlock, bound: Binding, *, planned: bool
    ) -> bool:
        """Write an element of an asset with a thing model as far as this allows it; see ``_write_one``."""
        taken = OpenBlock(block.tenant, block.partition)
        if planned:
            if not element.write_planned(table, taken):
                return False
        else:
            refusal = partial(self._catalogue.refusal, job.writer)
            element.write(
                table, taken, by_model(job.reject), lambda child: refusal(child) or Reason.MODEL_UNKNOWN_POINT
            )

        def mark(reason: Reason, detail: str) -> None:
            self.count(job.writer, MARKED, {reason.value: 1}, detail)

        pass_on(taken, block, bound, self._catalogue.screen, job.reject, mark)
        return True

    def _park(self, job: Job) -> None:
        if job.attempts >= _ATTEMPTS:
            self.shed_rest(job, Shed.REGISTRY_UNAVAILABLE)
            return
        job.attempts += 1
        self.parked.setdefault(job.writer.device, None)
        self.parked_bytes += len(job.payload)
        task = asyncio.create_task(self._ask_registry(job))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _behind(self, device: int) -> deque[Job]:
        """Return the jobs that wait behind the one that asks; a wave of new devices has none, and a deque is large."""
        queue = self.parked[device]
        if queue is None:
            queue = self.parked[device] = deque()
        return queue

    async def _ask_registry(self, job: Job) -> None:
        """Bring all names of the rest of the payload into memory, then go on with it and with those behind it."""
        wanted: dict[str, dict[str, ValueType]] = {}
        for element in (job.elements or [])[job.index :]:
            table = self._catalogue.find(job.writer, element.child)
            missing = _missing(element, table)
            if missing:
                names = wanted.setdefault(element.child, {})
                for name, value_type in missing.items():
                    names.setdefault(name, value_type)
        resolve = self._catalogue.resolve
        resolved: list[BaseException | None] = []
        if len(wanted) == 1:
            # Without a further task: thousands of new devices may ask at once.
            ((child, names),) = wanted.items()
            try:
                await resolve(job.writer, child, names)
            except Exception as error:
                resolved.append(error)
        else:
            questions = [resolve(job.writer, child, names) for child, names in wanted.items()]
            resolved = await asyncio.gather(*questions, return_exceptions=True)
        queue = self.parked.pop(job.writer.device)
        self.parked_bytes -= len(job.payload)
        if any(isinstance(outcome, RegistryUnavailableError) for outcome in resolved):
            self.shed_rest(job, Shed.REGISTRY_UNAVAILABLE)
        else:
            self._advance(job)
        while queue and job.writer.device not in self.parked:
            following = queue.popleft()
            self.parked_bytes -= len(following.payload)
            self._advance(following)
        if queue:
            self._behind(job.writer.device).extend(queue)

    def shed_rest(self, job: Job, reason: Shed) -> None:
        """Shed what is not yet written of a payload."""
        job.shed_points(reason, job.remaining())
        job.index = len(job.elements or ())
        self.count(job.writer, SHED, {reason.value: job.shed[reason.value]}, "")
        self.finish_writing(job)

    def finish_writing(self, job: Job) -> None:
        """All that can be written is; what was rejected is known."""
        job.release()
        if job.rejected:
            self.count(job.writer, REJECTED, job.rejected, job.detail)
        self._finish(job)

    def _settle(self, job: Job, n: int, durable: bool) -> None:
        job.open_parts -= 1
        if durable:
            job.accepted += n
        else:
            job.shed_points(Shed.LOG_UNAVAILABLE, n)
            self.count(job.writer, SHED, {Shed.LOG_UNAVAILABLE.value: n}, "")
        self._finish(job)

    def _finish(self, job: Job) -> None:
        if job.written and job.open_parts == 0 and job.done is not None:
            done, job.done = job.done, None
            give(done, job.receipt())

    def count(self, writer: Writer, kind: str, counts: Mapping[str, int], detail: str) -> None:
        """Count dropped points by reason, and for the device."""
        for reason, n in counts.items():
            self._counters.add(f"points_{kind}.{reason}", n)
        self._drops.add(writer, kind, counts, detail)


def _missing(element: Element, table: PointTable | None) -> dict[str, ValueType]:
    """Return the names that the registry is to be asked for: not those that the model of the asset does not take."""
    if table is None:
        return element.missing({})
    missing = element.missing(table.names)
    bound = table.model
    if bound is None or not missing:
        return missing
    return {name: value_type for name, value_type in missing.items() if bound.model.takes(name)}


def give(done: Done, receipt: Receipt) -> None:
    """Call back; a failure of one caller must not keep others from their receipts."""
    try:
        done(receipt)
    except Exception:
        logger.exception("receipt was not taken")
