"""Group commit: operations of many clients in one transaction, callbacks after it is on disk."""

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from gongfu.ingest.mqtt.journal.schema import open_database
from gongfu.kernel.counters import Counters

log = logging.getLogger(__name__)

Operation = tuple[str, tuple[Any, ...]]
Callback = Callable[[], None]

# Operations that wait for the disk; beyond it front doors stop reading sockets.
SATURATED = 50_000
RETRY_SECONDS = 0.5


class CommitThread:
    """Runs operations in order in a thread; everything handed over in one turn of the event loop commits together.

    When the disk refuses (full, read only), the operations are kept and tried again; nothing is called back until then.
    """

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop, counters: Counters) -> None:
        self._loop = loop
        self._counters = counters
        self._path = path
        self._operations: list[Operation] = []
        self._callbacks: list[Callback] = []
        self._scheduled = False
        self._outstanding = 0
        self._stop = threading.Event()
        self._inbox: queue.SimpleQueue[tuple[list[Operation], list[Callback]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def saturated(self) -> bool:
        """True while too many operations wait for the disk."""
        return self._outstanding > SATURATED

    def write(self, sql: str, parameters: tuple[Any, ...]) -> None:
        """Take one operation."""
        self._operations.append((sql, parameters))
        self._outstanding += 1
        self._schedule()

    def then(self, callback: Callback) -> None:
        """Call back when all operations so far are durable; at once when there are none."""
        if not self._outstanding and not self._callbacks:
            callback()
            return
        self._callbacks.append(callback)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._scheduled = False
        if self._operations or self._callbacks:
            self._inbox.put((self._operations, self._callbacks))
            self._operations, self._callbacks = [], []

    def _committed(self, operations: int, callbacks: list[Callback]) -> None:
        self._outstanding -= operations
        for callback in callbacks:
            try:
                callback()
            except Exception:
                log.exception("a callback after a journal commit failed")

    async def close(self) -> None:
        """Commit what is left and end the thread."""
        self._hand_over()
        self._stop.set()
        self._inbox.put(None)
        await asyncio.to_thread(self._thread.join)

    # --- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        running = True
        while running:
            item = self._inbox.get()
            operations: list[Operation] = []
            callbacks: list[Callback] = []
            while item is not None:
                operations += item[0]
                callbacks += item[1]
                try:
                    item = self._inbox.get_nowait()
                except queue.Empty:
                    break
            running = item is not None
            while operations or callbacks:
                try:
                    if connection is None:
                        connection = open_database(self._path)
                    _commit(connection, operations)
                except sqlite3.Error as error:
                    self._report(error)
                    if connection is not None:
                        with contextlib.suppress(sqlite3.Error):
                            connection.execute("ROLLBACK")
                    if self._stop.wait(RETRY_SECONDS):
                        break
                    continue
                with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
                    self._loop.call_soon_threadsafe(self._committed, len(operations), callbacks)
                break
        if connection is not None:
            connection.close()

    def _report(self, error: sqlite3.Error) -> None:
        log.error("session journal cannot be written, acknowledgements wait: %s", error)
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._counters.add, "journal_errors")


def _commit(connection: sqlite3.Connection, operations: list[Operation]) -> None:
    if not operations:
        return
    connection.execute("BEGIN IMMEDIATE")
    for sql, rows in groupby(operations, key=itemgetter(0)):
        connection.executemany(sql, [row[1] for row in rows])
    connection.execute("COMMIT")
