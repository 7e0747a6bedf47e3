"""Drops by device: what was rejected or shed, kept here and written to the registry every two seconds."""

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import Executor
from contextlib import suppress

from sqlalchemy import Engine

from gongfu.ingest.columnise.reasons import DETAIL_LIMIT
from gongfu.ingest.columnise.records import Drops, add_drops
from gongfu.ingest.types import Writer
from gongfu.kernel.times import Clock

INTERVAL_S = 2.0
# Between two writes; more kinds of drops than this are kept under no device (0), never forgotten.
MAX_ENTRIES = 20_000

logger = logging.getLogger(__name__)

Kind = str
REJECTED: Kind = "rejected"
SHED: Kind = "shed"
# Not lost but made to wait: the count is milliseconds.
DELAYED: Kind = "delayed"
# Stored, but as uncertain: the thing model of the asset does not allow them.
MARKED: Kind = "marked"
# Requests that were told to come later (HTTP 429): nothing of them was read, so the count is requests.
REFUSED: Kind = "refused"


class DropRecorder:
    """Counts drops by (tenant, device, kind, reason) with the last detail."""

    def __init__(self, engine: Engine, executor: Executor, clock: Clock) -> None:
        self._engine = engine
        self._executor = executor
        self._clock = clock
        self._drops: dict[tuple[int, int, str, str], Drops] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write every two seconds when there is something to write."""
        self._task = asyncio.create_task(self._run(), name="drop counts")

    async def stop(self) -> None:
        """End, and write what is left."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self.flush()

    def add(self, writer: Writer, kind: Kind, counts: Mapping[str, int], detail: str) -> None:
        """Count points of a device by reason."""
        now = self._clock.now_ns()
        for reason, n in counts.items():
            device = writer.device if len(self._drops) < MAX_ENTRIES else 0
            key = (writer.tenant, device, kind, reason)
            entry = self._drops.get(key)
            if entry is None:
                self._drops[key] = Drops(n, now, detail[:DETAIL_LIMIT])
            else:
                entry.count += n
                entry.last_at = now
                entry.detail = detail[:DETAIL_LIMIT]

    async def flush(self) -> None:
        """Write the counts; what cannot be written is kept for the next time."""
        drops, self._drops = self._drops, {}
        if not drops:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, add_drops, self._engine, drops)
        except Exception:
            logger.exception("drop counts were not written; they are kept")
            for key, entry in drops.items():
                newer = self._drops.setdefault(key, entry)
                if newer is not entry:
                    newer.count += entry.count

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self.flush()
