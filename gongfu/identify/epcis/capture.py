"""Capture: documents in, judged and stored, each as one job. One thread does it, in the order of coming."""

import asyncio
import gc
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import orjson

from gongfu.identify.epcis.documents import DOCUMENT, QUERY_DOCUMENT, document_head
from gongfu.identify.epcis.documents import findings as document_findings
from gongfu.identify.epcis.event_hash import event_hash
from gongfu.identify.epcis.event_rules import event as check_event
from gongfu.identify.epcis.facts import Facts
from gongfu.identify.epcis.findings import Finding, errors
from gongfu.identify.epcis.jobs import (
    MAX_ERRORS,
    MAX_JOBS,
    ROLLBACK,
    Job,
    JobError,
    end_interrupted,
    find_job,
    forget_oldest,
    job_row,
)
from gongfu.identify.epcis.master_data import vocabulary_rows
from gongfu.identify.epcis.store import EventStore, NewEvent
from gongfu.identify.epcis.uris import Namespaces
from gongfu.kernel.times import MILLISECOND, Clock, SystemClock, format_rfc3339

_EVENT_BYTES = 1 << 20
_INVALID = "epcisException:ValidationException"


class Limits(NamedTuple):
    """How much is taken.

    Attributes:
        events: in a document.
        bytes: of a document.
        waiting_bytes: of documents that wait their turn, together.
    """

    events: int = 20_000
    bytes: int = 16 << 20
    waiting_bytes: int = 32 << 20


class DocumentError(ValueError):
    """A document is refused as a whole.

    Attributes:
        findings: where and why; none for what is not JSON.
    """

    def __init__(self, detail: str, findings: tuple[Finding, ...] = ()) -> None:
        super().__init__(detail)
        self.findings = findings


class TooMuchError(ValueError):
    """A document has more than the limits allow."""


class BusyError(RuntimeError):
    """Too much is waiting; it may be sent again later."""


class Document(NamedTuple):
    """A document whose frame is right.

    Attributes:
        context: its ``@context``.
        events: as they stand in it, not judged yet.
        start: JSON Pointer of the list of events.
        vocabularies: master data in its header.
    """

    context: Any
    events: list[Any]
    start: str
    vocabularies: list[Any]


def read_document(body: bytes, limits: Limits) -> Document:
    """Return a document's context and events.

    Raises:
        DocumentError: not JSON, or its frame is wrong.
        TooMuchError: more than the limits allow.
    """
    if len(body) > limits.bytes:
        raise TooMuchError(f"a document has at most {limits.bytes} bytes; this one has {len(body)}")
    try:
        with _no_collection():
            value = orjson.loads(body)
    except ValueError as error:
        raise DocumentError(f"not JSON: {error}") from None
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == DOCUMENT:
        wrong = errors(document_head(value))
        if not wrong:
            header = value.get("epcisHeader") or {}
            vocabularies = header.get("epcisMasterData", {}).get("vocabularyList", [])
            document = Document(
                value["@context"], value["epcisBody"]["eventList"], "/epcisBody/eventList", vocabularies
            )
            return _counted(document, limits)
    elif kind == QUERY_DOCUMENT:
        # What one node answers, another may capture as it is.
        results = value.get("epcisBody")
        results = results.get("queryResults") if isinstance(results, dict) else None
        results = results.get("resultsBody") if isinstance(results, dict) else None
        listed = results.get("eventList") if isinstance(results, dict) else None
        start = "/epcisBody/queryResults/resultsBody/eventList"
        wrong = [
            found
            for found in errors(document_findings(value))
            if not (found.path.startswith(start + "/") and isinstance(listed, list))
        ]
        if not wrong and isinstance(results, dict) and isinstance(listed, list):
            return _counted(Document(value["@context"], listed, start, results.get("vocabularyList", [])), limits)
    elif isinstance(value, dict) and "@context" in value and isinstance(kind, str):
        return Document(value["@context"], [{key: item for key, item in value.items() if key != "@context"}], "", [])
    else:
        wrong = errors(document_findings(value)) if kind is not None else []
        wrong = wrong or [Finding("", "neither an EPCISDocument nor an event with a @context")]
    raise DocumentError("; ".join(f"{path or '/'}: {reason}" for path, reason, _ in wrong[:5]), tuple(wrong))


def _counted(document: Document, limits: Limits) -> Document:
    if len(document.events) > limits.events:
        raise TooMuchError(f"a document has at most {limits.events} events; this one has {len(document.events)}")
    return document


class Outcome(NamedTuple):
    """What a document came to, before it is stored.

    Attributes:
        new: events to store.
        repeated: how many are there already.
        errors: (place in the list, why).
        identities: of every event, in order; "" where it is wrong.
    """

    new: list[NewEvent]
    repeated: int
    errors: list[tuple[int, JobError]]
    identities: list[str]


def judge(store: EventStore, document: Document, record_time: int) -> Outcome:
    """Judge the events of a document and see which are new."""
    context = store.context_number(document.context)
    namespaces = store.context(context)[1]
    recorded = format_rfc3339(record_time)
    wrong = list[tuple[int, JobError]]()
    good = list[tuple[int, NewEvent]]()
    for place, event in enumerate(document.events):
        # What findings are there are remarks, as a rule none.
        if (found := check_event(event)) and (faults := errors(found)):
            wrong.append((place, _job_error(document, place, faults)))
            continue
        # A record time is the repository's to give.
        said = {key: value for key, value in event.items() if key != "recordTime"} if "recordTime" in event else event
        print_ = blake2b(orjson.dumps(said, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
        try:
            identity = said.get("eventID") or event_hash(said, namespaces)
            facts = Facts({**said, "eventID": identity, "recordTime": recorded}, namespaces)
        except RecursionError:
            wrong.append((place, _job_error(document, place, [Finding("", "nested too deeply")])))
            continue
        good.append((place, NewEvent(facts, identity, print_, context)))
    stored = store.known([(event.identity, event.facts.in_error) for _, event in good])
    new: dict[tuple[str, bool], NewEvent] = {}
    repeated = 0
    identities = [""] * len(document.events)
    for (place, event), there in zip(good, stored, strict=True):
        key = event.identity, event.facts.in_error
        before = there[1] if there is not None else (new[key].fingerprint if key in new else None)
        if before is None or (event.facts.in_error and before != event.fingerprint):
            new[key] = event
        elif before == event.fingerprint or _same(store, there, new.get(key), event):
            repeated += 1
        else:
            reason = f"the eventID {event.identity} is that of another event, which says something else"
            wrong.append((place, _job_error(document, place, [Finding("/eventID", reason)])))
            continue
        identities[place] = event.identity
    return Outcome(list(new.values()), repeated, sorted(wrong, key=lambda item: item[0]), identities)


def _same(store: EventStore, there: tuple[int, bytes] | None, earlier: NewEvent | None, event: NewEvent) -> bool:
    """Tell whether an event says, in other words, what one of the same eventID says."""
    if there is not None:
        stored = store.event(there[0])
        other = store.facts(stored) if stored is not None else None
    else:
        other = earlier.facts if earlier is not None else None
    mine = event.facts
    return other is not None and event_hash(other.event, other.namespaces) == event_hash(mine.event, mine.namespaces)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the cycle collector from going through a document's many objects, none of which are in cycles."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _job_error(document: Document, place: int, faults: list[Finding]) -> JobError:
    start = f"{document.start}/{place}" if document.start else ""
    detail = "; ".join(f"{start}{path}: {reason}" for path, reason, _ in faults[:10])
    return JobError(_INVALID, "The event is not valid", 400, detail, f"{start}{faults[0].path}")


class Capture:
    """Takes documents for a store."""

    def __init__(
        self,
        store: EventStore,
        *,
        limits: Limits | None = None,
        clock: Clock | None = None,
        on_stored: Callable[[int], None] | None = None,
    ) -> None:
        """Make it.

        Args:
            store: where events go; jobs that were running in it when a node stopped are ended.
            limits: how much is taken.
            clock: gives record times.
            on_stored: called in the event loop with the number of the newest event, when there are more.
        """
        self.store = store
        self.limits = limits or Limits()
        self._clock = clock or SystemClock()
        self._on_stored = on_stored
        self._thread = ThreadPoolExecutor(1, "epcis-capture")
        self._waiting = 0
        self._jobs = 0
        self._running: dict[str, asyncio.Task[Job]] = {}
        self._begun: dict[str, Job] = {}
        end_interrupted(store, self._clock.now_ns())

    async def submit(self, body: bytes, behaviour: str = ROLLBACK, owner: str = "") -> Job:
        """Take a document and return its job, which runs.

        Raises:
            DocumentError: its frame is wrong.
            TooMuchError: it has more than the limits allow.
            BusyError: too much is waiting.
        """
        if self._waiting + len(body) > self.limits.waiting_bytes:
            raise BusyError("documents are waiting to be captured; send it again later")
        self._waiting += len(body)
        loop = asyncio.get_running_loop()
        try:
            document = await loop.run_in_executor(self._thread, read_document, body, self.limits)
            now = self._clock.now_ns()
            name = f"{now:019d}{secrets.token_hex(4)}"
            job = Job(
                name,
                format_rfc3339(now // MILLISECOND * MILLISECOND),
                capture_error_behaviour=behaviour,
                event_count=len(document.events),
                owner=owner,
            )
            self.store.write([job_row(job)], sync=False)
        except BaseException:
            self._waiting -= len(body)
            raise
        self._begun[name] = job
        self._running[name] = asyncio.create_task(self._run(job, document, len(body)))
        return job

    def as_seen(self, job: Job) -> Job:
        """Return a stored job as others may see it: done only when what it has stored can be read."""
        return self._begun.get(job.capture_id, job)

    async def finished(self, capture_id: str) -> Job | None:
        """Wait until a job is done and return it; None for one that is not there."""
        task = self._running.get(capture_id)
        return await asyncio.shield(task) if task is not None else find_job(self.store, capture_id)

    async def _run(self, job: Job, document: Document, size: int) -> Job:
        before = self.store.head
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self.process, job, document)
        finally:
            self._waiting -= size
            self._running.pop(job.capture_id, None)
            self._begun.pop(job.capture_id, None)
            if self._on_stored is not None and self.store.head != before:
                self._on_stored(self.store.head)

    def process(self, job: Job, document: Document) -> Job:
        """Judge and store a document; in the one thread that writes. The job it returns is on the disk."""
        try:
            done = self._stored(job, document)
        except Exception as error:
            # Whoever asks for the job is told; nothing of it is stored.
            why = JobError("epcisException:ImplementationException", "Capture failed", 500, type(error).__name__)
            done = msgspec.structs.replace(job, running=False, success=False, errors=(why,), error_count=1)
            done = msgspec.structs.replace(done, finished_at=format_rfc3339(self._clock.now_ns()))
            self.store.write([job_row(done)])
        self._jobs += 1
        if self._jobs % 256 == 0:
            forget_oldest(self.store, MAX_JOBS)
        return done

    def _stored(self, job: Job, document: Document) -> Job:
        now = self._clock.now_ns() // MILLISECOND * MILLISECOND
        record_time = max(now, self.store.last_record_time + MILLISECOND)
        with _no_collection():
            outcome = judge(self.store, document, record_time)
        rolled_back = bool(outcome.errors) and job.capture_error_behaviour == ROLLBACK
        new = [] if rolled_back else outcome.new
        done = msgspec.structs.replace(
            job,
            running=False,
            success=not outcome.errors,
            finished_at=format_rfc3339(max(now, self._clock.now_ns() // MILLISECOND * MILLISECOND)),
            errors=tuple(error for _, error in outcome.errors[:MAX_ERRORS]),
            error_count=len(outcome.errors),
            captured_count=len(new),
            repeated_count=0 if rolled_back else outcome.repeated,
        )
        others = [job_row(done)]
        if not rolled_back and document.vocabularies:
            others += vocabulary_rows(document.vocabularies, Namespaces().within(document.context))
        with _no_collection():
            self.store.append(new, record_time, others)
        return done

    async def capture_event(self, body: bytes, owner: str = "") -> tuple[Job, str]:
        """Take one event and wait for it; returns its job and its identity ("" where it is wrong).

        Raises:
            DocumentError, TooMuchError, BusyError: as ``submit``; also a document of more than one event.
        """
        if len(body) > _EVENT_BYTES:
            raise TooMuchError(f"one event has at most {_EVENT_BYTES} bytes")
        document = read_document(body, self.limits)
        if len(document.events) != 1 or document.start:
            raise DocumentError("one event with its @context is taken here")
        job = await self.submit(body, ROLLBACK, owner)
        done = await self.finished(job.capture_id)
        assert done is not None
        event = document.events[0]
        identity = ""
        if done.success:
            identity = event.get("eventID") or event_hash(
                event, self.store.context(self.store.context_number(document.context))[1]
            )
        return done, identity

    async def close(self) -> None:
        """Wait for what runs, then stop."""
        while self._running:
            await asyncio.gather(*list(self._running.values()), return_exceptions=True)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)
