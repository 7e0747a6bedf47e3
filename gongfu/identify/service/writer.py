"""The one thread that writes: whatever waits is decided in order and becomes durable together, then it is answered."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from gongfu.identify.service.contents import Contents
from gongfu.identify.service.group import Group
from gongfu.identify.service.writes import Allowed, BatchError, Outcome, Write, WriteReason

logger = logging.getLogger(__name__)

# Writes that may wait, and that become durable together.
MAX_WAITING = 200_000
MAX_GROUP = 20_000

Watcher = Callable[[frozenset[str], frozenset[str]], None]
"""Is told on the event loop, before those who wrote are answered: keys of handles, and keys of prefixes of which
anything may have changed."""


class _Batch:
    __slots__ = ("allowed", "answer", "digest", "key", "writes")

    def __init__(
        self,
        writes: Sequence[Write],
        key: bytes,
        digest: bytes,
        allowed: Allowed | None,
        answer: "asyncio.Future[list[Outcome]]",
    ) -> None:
        self.writes = writes
        self.key = key
        self.digest = digest
        self.allowed = allowed
        self.answer = answer


class Turn:
    """Something else that is done on the writer's thread, alone."""

    __slots__ = ("action", "answer")

    def __init__(
        self, action: Callable[[], tuple[Any, frozenset[str], frozenset[str]]], answer: "asyncio.Future[Any]"
    ) -> None:
        """Take what is done: it returns its answer, and what watchers are told."""
        self.action = action
        self.answer = answer


class Writer:
    """The thread, and what waits for it."""

    def __init__(self, contents: Contents, now: Callable[[], int], watchers: Sequence[Watcher]) -> None:
        """Make it; it runs from ``start`` on.

        Args:
            contents: what it changes.
            now: UTC seconds.
            watchers: who is told.
        """
        self._contents = contents
        self._now = now
        self._watchers = watchers
        self._waiting: deque[_Batch | Turn] = deque()
        self._writes = 0
        self._wake = threading.Condition()
        self._closed = False
        self._failure = ""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="identifiers", daemon=True)
        self._thread.start()

    def submit(
        self, writes: Sequence[Write], key: bytes, allowed: Allowed | None, digest: bytes = b""
    ) -> "asyncio.Future[list[Outcome]]":
        """Let a batch wait for its turn.

        Raises:
            BatchError: BUSY, CLOSED, FAILED.
        """
        answer: asyncio.Future[list[Outcome]] = self._loop.create_future()
        self._put(_Batch(writes, key, digest, allowed, answer))
        return answer

    def turn(self, action: Callable[[], tuple[Any, frozenset[str], frozenset[str]]]) -> "asyncio.Future[Any]":
        """Let an action wait for its turn, in which nothing else is written.

        Raises:
            BatchError: CLOSED, FAILED. However much waits, it is taken: what it follows is done already.
        """
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._put(Turn(action, answer))
        return answer

    def _put(self, job: _Batch | Turn) -> None:
        size = len(job.writes) if isinstance(job, _Batch) else 0
        with self._wake:
            if self._failure:
                raise BatchError(WriteReason.FAILED, self._failure)
            if self._closed:
                raise BatchError(WriteReason.CLOSED)
            if size and self._writes + size > MAX_WAITING:
                raise BatchError(WriteReason.BUSY, f"{self._writes:,} writes are waiting")
            self._waiting.append(job)
            self._writes += size
            self._wake.notify()

    @property
    def failure(self) -> str:
        """Why nothing is written any more; "" as it should be."""
        return self._failure

    @property
    def waiting(self) -> int:
        """Writes that wait."""
        return self._writes

    async def close(self) -> None:
        """Do what waits, then end."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._closed:
                    self._wake.wait()
                if not self._waiting:
                    return
            jobs = self._take()
            if self._failure:
                self._refuse(jobs)
            elif isinstance(jobs, Turn):
                self._do(jobs)
            else:
                self._commit(jobs)
            # What was answered is the caller's alone.
            del jobs

    def _take(self) -> "Turn | list[_Batch]":
        taken: list[_Batch] = []
        size = 0
        with self._wake:
            while self._waiting and size < MAX_GROUP:
                job = self._waiting[0]
                if isinstance(job, Turn):
                    if taken:
                        break
                    self._waiting.popleft()
                    return job
                taken.append(job)
                self._waiting.popleft()
                self._writes -= len(job.writes)
                size += len(job.writes)
        return taken

    def _do(self, job: Turn) -> None:
        try:
            answer, handles, prefixes = job.action()
        except OSError as error:
            self._fail(error)
            self._tell([(job.answer, None, BatchError(WriteReason.FAILED, str(error)))], frozenset(), frozenset())
        except Exception as error:
            self._tell([(job.answer, None, error)], frozenset(), frozenset())
        else:
            self._tell([(job.answer, answer, None)], handles, prefixes)

    def _commit(self, jobs: list[_Batch]) -> None:
        answers: list[tuple[asyncio.Future[Any], Any, Exception | None]] = []
        while True:
            group = Group(self._contents, self._now())
            answers = []
            failed: _Batch | None = None
            for job in jobs:
                try:
                    answers.append((job.answer, group.batch(job.writes, job.key, job.allowed, job.digest), None))
                except BatchError as error:
                    answers.append((job.answer, None, error))
                except Exception as error:
                    logger.exception("a batch could not be decided")
                    self._tell([(job.answer, None, error)], frozenset(), frozenset())
                    failed = job
                    break
            if failed is None:
                break
            # What it has begun is of the group: all others are decided anew without it.
            jobs = [job for job in jobs if job is not failed]
        try:
            group.commit()
        except Exception as error:
            self._fail(error)
            lost = BatchError(WriteReason.FAILED, str(error))
            self._tell([(answer, None, lost) for answer, _, _ in answers], frozenset(), frozenset())
            return
        self._tell(answers, frozenset(group.handles), frozenset(group.prefixes))

    def _refuse(self, jobs: "Turn | list[_Batch]") -> None:
        """Answer what has waited when writing ended."""
        lost = BatchError(WriteReason.FAILED, self._failure)
        waited = [jobs] if isinstance(jobs, Turn) else jobs
        self._tell([(job.answer, None, lost) for job in waited], frozenset(), frozenset())

    def _fail(self, error: Exception) -> None:
        """Write no more: what is on the disk is not known until it is opened again."""
        logger.error("the store of identifiers has failed", exc_info=error)
        with self._wake:
            self._failure = str(error) or type(error).__name__

    def _tell(
        self,
        answers: list[tuple["asyncio.Future[Any]", Any, Exception | None]],
        handles: frozenset[str],
        prefixes: frozenset[str],
    ) -> None:
        def tell() -> None:
            if handles or prefixes:
                for watcher in self._watchers:
                    try:
                        watcher(handles, prefixes)
                    except Exception:
                        logger.exception("who watches identifiers has failed")
            for future, answer, error in answers:
                if not future.done():
                    if error is None:
                        future.set_result(answer)
                    else:
                        future.set_exception(error)

        # Without a loop there is nobody to be told.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(tell)
