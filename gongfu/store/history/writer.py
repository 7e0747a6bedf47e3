"""History writer: blocks in, batches out, and a position that moves only after the insert is durable.

Position file ``<data_dir>/history-position.json``: ``{"positions": {"<partition>": sequence}}``, the last block of each
partition whose points are in the history. After a crash between insert and file, blocks are inserted again; the same
points collapse in the history, so nothing is lost and nothing shows twice.
"""

import asyncio
import json
import logging
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from gongfu.kernel.block import Block, BlockError, Columns, decode_block
from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType
from gongfu.store.history.types import Batch, HistoryError, HistoryFull, HistoryStore, HistoryUnavailable

logger = logging.getLogger(__name__)

FLUSH_POINTS = 2_000_000
FLUSH_SECONDS = 1.0
# After an insert of so many points the next one waits longer: half as many inserts, each of which costs 20 ms of CPU
# however few points it has, and each point is merged a third of a time less. 58 MB of plain columns at a million.
BUSY_POINTS = 10_000
BUSY_FLUSH_SECONDS = 2.0
# Blocks wait here while an insert runs; beyond it ``add`` waits, and the block log keeps the rest.
PENDING_POINTS = 3_000_000
PENDING_BYTES = 128 * 1024 * 1024
BACKOFF_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_LOG_EVERY_SECONDS = 30.0


@dataclass
class _Pending:
    """Blocks that are not yet in the history."""

    columns: dict[ValueType, list[tuple[Columns, int]]] = field(default_factory=dict)
    positions: dict[int, int] = field(default_factory=dict)
    points: int = 0
    size: int = 0
    blocks: int = 0
    oldest: int = 0


class PositionStore(Protocol):
    """Keeps the positions of the partitions that this process has."""

    def load(self) -> dict[int, int]:
        """Return the positions at the start.

        Raises:
            ValueError: they are damaged.
        """
        ...

    async def keep(self, positions: dict[int, int]) -> None:
        """Replace the positions. One that is kept late means that blocks are inserted again, and show once."""
        ...


class PositionFile:
    """Durable positions by partition: written beside, synced, then renamed over the old file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[int, int]:
        """Return the positions; none when there is no file.

        Raises:
            ValueError: the file is not a position file; starting over would hide a fault.
        """
        try:
            document = json.loads(self._path.read_bytes())
            return {int(partition): int(sequence) for partition, sequence in document["positions"].items()}
        except FileNotFoundError:
            return {}
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{self._path} is not a position file: {error}") from None

    async def keep(self, positions: dict[int, int]) -> None:
        """See ``PositionStore``."""
        await asyncio.to_thread(self.save, positions)

    def save(self, positions: dict[int, int]) -> None:
        """Replace the file; on return it is durable."""
        temporary = self._path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(json.dumps({"positions": {str(key): value for key, value in positions.items()}}).encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class HistoryWriter:
    """Takes blocks of all partitions and writes them to a history. One task adds, one inner task inserts.

    Counters: ``history_blocks``, ``points_stored``, ``history_inserts``, ``history_blocks_quarantined``,
    ``history_retries.<unavailable|full|refused>``, ``history_insert_us`` (wall time of inserts).
    """

    def __init__(
        self, store: HistoryStore, data_dir: Path, counters: Counters, positions: PositionStore | None = None
    ) -> None:
        """Load the positions; they are in a file of the data directory unless another store is given.

        Raises:
            ValueError: the position file is damaged.
        """
        self._store = store
        self._counters = counters
        self._quarantine = data_dir / "quarantine"
        self._store_of_positions = positions or PositionFile(data_dir / "history-position.json")
        self._positions = self._store_of_positions.load()
        self._left: set[int] = set()
        self._pending = _Pending()
        self._in_flight = _Pending()
        self._changed = asyncio.Event()
        # Set when what is pending is not to wait for its time.
        self._hurry = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._stopping = False
        self._urgent = False
        self._task: asyncio.Task[None] | None = None
        self._logged = 0.0

    def position(self, partition: int) -> int:
        """Return the sequence of the last block of a partition that is durable in the history; 0 is none."""
        return self._positions.get(partition, 0)

    @property
    def gauges(self) -> dict[str, float]:
        """Waiting blocks and points, and seconds since the oldest of them was closed by the front door."""
        oldest = self._in_flight.oldest or self._pending.oldest
        return {
            "history_pending_blocks": float(self._pending.blocks + self._in_flight.blocks),
            "history_pending_points": float(self._pending.points + self._in_flight.points),
            "history_lag_seconds": max(0.0, (time.time_ns() - oldest) / 1e9) if oldest else 0.0,
        }

    def start(self) -> None:
        """Begin to insert; call with a running loop."""
        self._task = asyncio.create_task(self._run(), name="history writer")

    async def add(self, partition: int, batch: Sequence[tuple[int, bytes]]) -> list[Block]:
        """Take blocks ``(sequence, bytes)`` of a partition in ascending order; return those that decode.

        Waits while too much is pending. Blocks at or before the position are known and left out of the insert, but
        still returned. A damaged block is kept in quarantine, counted, and passed over.
        """
        await self._room.wait()
        blocks: list[Block] = []
        for sequence, data in batch:
            try:
                block = decode_block(data)
            except BlockError as error:
                await asyncio.to_thread(self._keep, partition, sequence, data, str(error))
                self._pending.positions[partition] = max(sequence, self._pending.positions.get(partition, 0))
                continue
            blocks.append(block)
            self.add_block(partition, sequence, block, len(data))
        self._wake()
        return blocks

    @property
    def name(self) -> str:
        """Name among the consumers of a block feed."""
        return "history"

    async def take(self, partition: int, sequence: int, block: Block | None, data: bytes) -> None:
        """Take one block that a block feed decoded; None is a damaged one. Waits while too much is pending."""
        await self._room.wait()
        if block is None:
            await asyncio.to_thread(self._keep, partition, sequence, data, "not a column block")
            self._pending.positions[partition] = max(sequence, self._pending.positions.get(partition, 0))
        else:
            self.add_block(partition, sequence, block, len(data))
        self._wake()

    def forget(self, partition: int) -> None:
        """Begin a partition anew: its log was replaced, and sequences mean other blocks than before."""
        self._positions.pop(partition, None)

    def adopt(self, partition: int, position: int) -> None:
        """Take over a partition from another worker, whose last durable block is ``position``."""
        self._left.discard(partition)
        self._positions[partition] = position
        # The other worker has inserted points that this process does not know of.
        self._store.forget()

    def leave(self, partition: int) -> None:
        """Give up a partition: what is pending of it may still be inserted, but its position is another worker's."""
        self._left.add(partition)
        self._positions.pop(partition, None)
        self._pending.positions.pop(partition, None)

    def add_block(self, partition: int, sequence: int, block: Block, size: int) -> None:
        """Take one decoded block; the caller looks after ``add``'s waiting and quarantine."""
        if sequence <= self._positions.get(partition, 0):
            return
        pending = self._pending
        for value_type, columns in block.columns.items():
            if len(columns):
                pending.columns.setdefault(value_type, []).append((columns, block.ingested))
        pending.positions[partition] = max(sequence, pending.positions.get(partition, 0))
        pending.points += len(block)
        pending.size += size
        pending.blocks += 1
        pending.oldest = pending.oldest or block.ingested

    def _wake(self) -> None:
        pending = self._pending
        self._changed.set()
        if pending.points >= PENDING_POINTS or pending.size >= PENDING_BYTES:
            self._room.clear()
        if pending.points >= FLUSH_POINTS or not self._room.is_set():
            self._hurry.set()

    async def flush(self) -> None:
        """Insert everything that is pending now; returns when it is durable. Waits as long as the history is away."""
        self._urgent = True
        self._changed.set()
        self._hurry.set()
        while self._pending.positions or self._in_flight.positions:
            if self._task is None or self._task.done():
                return
            await asyncio.sleep(0.01)

    async def settle(self, partition: int, seconds: float) -> bool:
        """Wait until everything taken of a partition is durable; return whether it is, after ``seconds`` at most.

        Its feed must have ended, so that nothing more is taken.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        while partition in self._pending.positions or partition in self._in_flight.positions:
            if asyncio.get_running_loop().time() > deadline:
                return False
            self._urgent = True
            self._changed.set()
            self._hurry.set()
            await asyncio.sleep(0.01)
        return True

    async def stop(self, seconds: float = 10.0) -> None:
        """Flush within a time, then end; what is left stays in the block log."""
        self._stopping = True
        try:
            await asyncio.wait_for(self.flush(), seconds)
        except TimeoutError:
            logger.warning("history writer stops with %d blocks not yet inserted", self._pending.blocks)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        last, points = 0.0, 0
        loop = asyncio.get_running_loop()
        while True:
            await self._changed.wait()
            wait = last + (FLUSH_SECONDS if points < BUSY_POINTS else BUSY_FLUSH_SECONDS) - loop.time()
            if wait > 0 and self._pending.points < FLUSH_POINTS and self._room.is_set() and not self._urgent:
                # Wake at once when enough has come or somebody waits for a flush.
                self._hurry.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._hurry.wait()
            self._changed.clear()
            self._urgent = False
            if not self._pending.blocks and not self._pending.positions:
                continue
            last, points = loop.time(), self._pending.points
            self._in_flight, self._pending = self._pending, _Pending()
            self._room.set()
            await self._write(self._in_flight)
            self._in_flight = _Pending()

    async def _write(self, pending: _Pending) -> None:
        batches = await asyncio.to_thread(_batches, pending.columns)
        attempt = 0
        while True:
            begin = time.perf_counter_ns()
            try:
                await self._store.insert(batches)
                break
            except HistoryUnavailable as error:
                reason = "full" if isinstance(error, HistoryFull) else "unavailable"
                self._report(reason, error)
            except HistoryError as error:
                # Our own statement with our own types was refused: wait for an operator rather than lose points.
                self._report("refused", error)
            await asyncio.sleep(BACKOFF_SECONDS[min(attempt, len(BACKOFF_SECONDS) - 1)])
            attempt += 1
        self._counters.add("history_insert_us", (time.perf_counter_ns() - begin) // 1000)
        await self._store_of_positions.keep(self._after(pending))
        # Partitions may have come and gone meanwhile.
        self._positions = self._after(pending)
        self._counters.add("history_inserts", len(batches))
        self._counters.add("history_blocks", pending.blocks)
        self._counters.add("points_stored", pending.points)

    def _after(self, pending: _Pending) -> dict[int, int]:
        """Return the positions with what is durable now, of the partitions that this process still has."""
        known = self._positions
        moved = {k: max(v, known.get(k, 0)) for k, v in pending.positions.items() if k not in self._left}
        return {**known, **moved}

    def _report(self, reason: str, error: Exception) -> None:
        self._counters.add(f"history_retries.{reason}")
        now = time.monotonic()
        if now - self._logged > _LOG_EVERY_SECONDS:
            self._logged = now
            logger.warning("history insert failed (%s), trying again: %s", reason, str(error)[:300])

    def _keep(self, partition: int, sequence: int, data: bytes, why: str) -> None:
        """Put a damaged block aside for a person to look at."""
        self._quarantine.mkdir(parents=True, exist_ok=True)
        path = self._quarantine / f"{partition}-{sequence}.block"
        if not path.exists():
            path.write_bytes(data)
        self._counters.add("history_blocks_quarantined")
        logger.error("block %d of partition %d is damaged (%s); kept as %s", sequence, partition, why, path)


def _batches(columns: dict[ValueType, list[tuple[Columns, int]]]) -> list[Batch]:
    """Return one batch a value type, in the order of arrival; the store sorts."""
    batches: list[Batch] = []
    for value_type, pieces in columns.items():
        ingested = np.repeat(
            np.array([moment for _, moment in pieces], dtype="<i8"), [len(piece) for piece, _ in pieces]
        )
        values: Any
        if isinstance(pieces[0][0].values, np.ndarray):
            values = np.concatenate([np.asarray(piece.values) for piece, _ in pieces])
        else:
            values = [value for piece, _ in pieces for value in piece.values]
        joined = Columns(
            np.concatenate([piece.series for piece, _ in pieces]),
            np.concatenate([piece.times for piece, _ in pieces]),
            np.concatenate([piece.qualities for piece, _ in pieces]),
            values,
        )
        batches.append(Batch(value_type, joined, ingested))
    return batches
