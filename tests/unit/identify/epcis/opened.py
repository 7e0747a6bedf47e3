"""Stores of events with what serves them, opened for a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gongfu.identify.epcis.capture import Capture, Limits, read_document
from gongfu.identify.epcis.jobs import ROLLBACK, Job
from gongfu.identify.epcis.store import EventStore


class Opened:
    """A store that takes documents at once."""

    def __init__(self, path: Path, clock: Any = None) -> None:
        self.store = EventStore(path, cache_bytes=8 << 20)
        self.capture = Capture(self.store, clock=clock)
        self._jobs = 0

    def take(self, body: bytes, behaviour: str = ROLLBACK) -> Job:
        """Capture a document."""
        self._jobs += 1
        job = Job(f"job-{self._jobs}", "2026-03-01T00:00:00Z", capture_error_behaviour=behaviour)
        return self.capture.process(job, read_document(body, Limits()))


@contextmanager
def opened(path: Path, clock: Any = None) -> Iterator[Opened]:
    """Open a store and close it."""
    it = Opened(path, clock)
    try:
        yield it
    finally:
        it.store.close()
