"""Payload bytes to elements, by form."""

from collections.abc import Callable, Sequence

from gongfu.ingest.columnise.elements import Element
from gongfu.ingest.columnise.job import Job
from gongfu.ingest.columnise.json import SourceTimes, parse, parse_exactly, read_json
from gongfu.ingest.columnise.limits import TelemetryLimits
from gongfu.ingest.columnise.ndjson import read_ndjson
from gongfu.ingest.columnise.reasons import Reason, Reject
from gongfu.ingest.columnise.snapshot import Snapshot
from gongfu.ingest.types import Form
from gongfu.kernel.times import SECOND


def read_payload(job: Job, stamp: Callable[[], int], limits: TelemetryLimits) -> None:
    """Fill ``job.elements``; what cannot be read is rejected.

    Args:
        job: the payload.
        stamp: returns the time for values without one, UTC ns, each call later than the last.
        limits: bounds of the node.
    """
    elements = _read(job, _times(job, stamp, limits), job.reject)
    points = sum(element.points for element in elements)
    if points > limits.max_points_per_payload:
        job.reject(Reason.TOO_MANY_POINTS, points, f"{points} points, at most {limits.max_points_per_payload}")
        elements = []
    job.elements = list(elements)


def _read(job: Job, times: SourceTimes, reject: Reject) -> Sequence[Element]:
    form = job.form
    if form is Form.NDJSON:
        return read_ndjson(job.payload, parse, times, reject)
    if form is Form.JSON or form is Form.JSON_GATEWAY:
        try:
            document = parse(job.payload) if job.document is None else job.document
        except ValueError as error:
            reject(Reason.MALFORMED_JSON, 1, str(error))
            return []
        return read_json(document, form is Form.JSON_GATEWAY, times, reject)
    raise ValueError(f"form {form} is not known")


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
