"""Payload bytes to elements, by form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gongfu.ingest.columnise.elements import Element
from gongfu.ingest.columnise.job import Job
from gongfu.ingest.columnise.json import SourceTimes, parse, parse_exactly, read_json
from gongfu.ingest.columnise.limits import TelemetryLimits
from gongfu.ingest.columnise.ndjson import read_ndjson
from gongfu.ingest.columnise.reasons import Reason, Reject
from gongfu.ingest.columnise.snapshot import Snapshot
from gongfu.ingest.types import Form, Writer
from gongfu.kernel.times import SECOND

if TYPE_CHECKING:
    from gongfu.ingest.columnise.sparkplug import SparkplugReader
    from gongfu.ingest.columnise.sparkplug_births import Birth, Order
    from gongfu.ingest.columnise.sparkplug_wire import WireTemplate


class PayloadReader:
    """Reads payloads of all forms; keeps the Sparkplug births. The readers of rare forms are loaded when first used."""

    def __init__(self, limits: TelemetryLimits) -> None:
        self._limits = limits
        self._sparkplug: SparkplugReader | None = None
        # See SparkplugReader.
        self.on_death: Callable[[Writer, str], None] | None = None
        self.on_unknown: Callable[[Writer, str], None] | None = None
        self.order_of: Callable[[int, str], Order | None] | None = None
        self.on_null: Callable[[Writer, int], None] | None = None

    def read(self, job: Job, stamp: Callable[[], int]) -> None:
        """Fill ``job.elements``; what cannot be read is rejected.

        Args:
            job: the payload.
            stamp: returns the time for values without one, UTC ns, each call later than the last.
        """
        elements = self._read(job, _times(job, stamp, self._limits), job.reject)
        points = sum([element.points for element in elements])
        most = self._limits.max_points_per_payload
        if points > most:
            job.reject(Reason.TOO_MANY_POINTS, points, f"{points} points, at most {most}")
            elements = []
        job.elements = elements

    def forget(self, device: int) -> None:
        """Forget the births of a device that is no more."""
        if self._sparkplug is not None:
            self._sparkplug.forget(device)

    def forget_points(self) -> None:
        """Forget where points go: an asset or point has changed."""
        if self._sparkplug is not None:
            self._sparkplug.forget_points()

    def template(self, device: int, topic: str, payload: bytes) -> WireTemplate | None:
        """Return the way to read a Sparkplug payload with others of its length, None when there is none (yet).

        None as well when it is not the next in order; with an answer it counts as taken.
        """
        if self._sparkplug is None:
            return None
        templates = self._sparkplug.templates.get((device, topic))
        if templates is None:
            return None
        template = templates.get(len(payload))
        order = templates.order
        if template is not None and order is not None:
            if not payload.endswith(order.tail):
                return None
            order.advance()
        return template

    def birth(self, device: int, child: str) -> Birth | None:
        """Return the Sparkplug birth that counts now of an asset below the sender's own."""
        return None if self._sparkplug is None else self._sparkplug.birth(device, child)

    def _read(self, job: Job, times: SourceTimes, reject: Reject) -> Sequence[Element]:
        form = job.form
        if form is Form.NDJSON:
            return read_ndjson(job.payload, parse, times, reject)
        if form is Form.SPARKPLUG:
            reader = self._sparkplug or self._open_sparkplug()
            return reader.read(job.payload, job.context, job.writer, times, reject)
        if form is Form.ARROW:
            from gongfu.ingest.columnise.arrow import read_arrow

            return read_arrow(job.payload, times, self._limits.max_points_per_payload, reject)
        try:
            document = parse(job.payload) if job.document is None else job.document
        except ValueError as error:
            reject(Reason.MALFORMED_JSON, 1, str(error))
            return []
        return read_json(document, form is Form.JSON_GATEWAY, times, reject)

    def _open_sparkplug(self) -> SparkplugReader:
        from gongfu.ingest.columnise.sparkplug import SparkplugReader

        self._sparkplug = SparkplugReader(self._limits.max_points_per_payload)
        self._sparkplug.on_death = self.on_death
        self._sparkplug.on_unknown = self.on_unknown
        self._sparkplug.order_of = self.order_of
        self._sparkplug.on_null = self.on_null
        return self._sparkplug


def _silent(_reason: Reason, _n: int, _detail: str) -> None:
    """Rejections of the second reading were counted in the first."""


def read_wide(job: Job, stamp: Callable[[], int], limits: TelemetryLimits) -> None:
    """Read a JSON payload again with integers of any length as integers, when it has some that look like doubles.

    The elements stay the same in number and order; those already written are not touched.
    """
    job.exact = True
    if job.elements is None or job.form not in (Form.JSON, Form.JSON_GATEWAY, Form.NDJSON):
        return
    rest = job.elements[job.index :]
    if not any(isinstance(element, Snapshot) and element.wide for element in rest):
        return
    times = _times(job, stamp, limits)
    try:
        if job.form is Form.NDJSON:
            again = read_ndjson(job.payload, parse_exactly, times, _silent)
        else:
            again = read_json(parse_exactly(job.payload), job.form is Form.JSON_GATEWAY, times, _silent)
    except ValueError:
        return
    for old, new in zip(rest, again[job.index :], strict=True):
        if isinstance(old, Snapshot):
            old.values = new.values


def _times(job: Job, stamp: Callable[[], int], limits: TelemetryLimits) -> SourceTimes:
    return SourceTimes(stamp, job.received + int(limits.max_future_seconds * SECOND))
