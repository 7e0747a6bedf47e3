"""Capture jobs (EPCIS 2.0 §12.6): what became of a document, and of each event that was not taken."""

from collections.abc import Iterator

import msgspec

from gongfu.identify.epcis import rows
from gongfu.identify.epcis.store import EventStore
from gongfu.kernel.times import format_rfc3339

ROLLBACK = "rollback"
PROCEED = "proceed"
# Errors that a job lists; it counts all.
MAX_ERRORS = 1000
MAX_JOBS = 10_000


class JobError(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Why an event, or all of it, was not taken: a problem document of the standard.

    Attributes:
        type: ``epcisException:…``.
        title: what is wrong, the same words for every occurrence.
        status: of HTTP.
        detail: what is wrong this time.
        instance: JSON Pointer of the place in the document.
    """

    type: str
    title: str
    status: int = 400
    detail: str = ""
    instance: str = ""


class Job(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A capture job.

    Attributes:
        capture_id: its name.
        created_at: RFC 3339.
        finished_at: RFC 3339; "" while it runs.
        running: not done yet.
        success: all events are stored (with ``proceed``: no error so far).
        capture_error_behaviour: ``rollback`` or ``proceed``.
        errors: the first of them.
        error_count: all of them.
        event_count: events in the document.
        captured_count: events that this job has stored.
        repeated_count: events that were there before, the same.
        owner: who sent it, as far as the node knows.
    """

    capture_id: str = msgspec.field(name="captureID")
    created_at: str
    finished_at: str = ""
    running: bool = True
    success: bool = True
    capture_error_behaviour: str = ROLLBACK
    errors: tuple[JobError, ...] = ()
    error_count: int = 0
    event_count: int = 0
    captured_count: int = 0
    repeated_count: int = 0
    owner: str = ""


def job_row(job: Job) -> tuple[bytes, bytes]:
    """Return key and value of a job in the store."""
    return rows.JOB + job.capture_id.encode(), msgspec.json.encode(job)


def find_job(store: EventStore, capture_id: str) -> Job | None:
    """Return a job."""
    row = store.row(rows.JOB + capture_id.encode())
    return msgspec.json.decode(row, type=Job) if row is not None else None


def jobs_before(store: EventStore, before: str = "") -> Iterator[Job]:
    """Yield jobs, newest first; names sort by time."""
    end = rows.JOB + before.encode() if before else rows.JOB + rows.END
    for key in store.keys_down(rows.JOB, end):
        if (job := find_job(store, key[1:].decode())) is not None:
            yield job


def end_interrupted(store: EventStore, now: int) -> int:
    """Say of jobs that were running when the node stopped that they were not done; returns how many."""
    why = JobError(
        "epcisException:ImplementationException",
        "The node stopped before the capture was done",
        503,
        "None of it was stored. Send it again: events that are there count once.",
    )
    ended = [
        msgspec.structs.replace(
            job, running=False, success=False, finished_at=format_rfc3339(now), errors=(why,), error_count=1
        )
        for _, row in store.rows_from(rows.JOB)
        if (job := msgspec.json.decode(row, type=Job)).running
    ]
    store.write(job_row(job) for job in ended)
    return len(ended)


def forget_oldest(store: EventStore, most: int = MAX_JOBS) -> int:
    """Forget the oldest jobs above a number; returns how many."""
    keys = list(store.keys_from(rows.JOB))
    gone = keys[: max(0, len(keys) - most)]
    store.write((), gone, sync=False)
    return len(gone)
