"""The sender's end of a report stream (``wire``)."""

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gongfu.tree.reports.cells import Cells, check_cells, take
from gongfu.tree.reports.kinds import ReportKind
from gongfu.tree.reports.planes import pack_column
from gongfu.tree.reports.stream import MAX_EPOCH, MAX_KEYS, StreamState, numbers_of
from gongfu.tree.reports.wire import (
    MAX_BATCH_BYTES,
    CodecError,
    CodecReason,
    Wire,
    declared_measures,
    pack_batch,
)

_LEVEL = 6


def _differences(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.diff(values, prepend=np.int64(0))


class Encoder:
    """The sender's end of a stream of one kind.

    A new one needs an epoch larger than any before, and first sends everything.
    """

    def __init__(self, kind: ReportKind, epoch: int) -> None:
        if not 1 <= epoch <= MAX_EPOCH:
            raise ValueError(f"an epoch is between 1 and {MAX_EPOCH}")
        self._state = StreamState(kind)
        self._state.begin(epoch)

    @property
    def sequence(self) -> int:
        """Return the number of the last batch."""
        return self._state.sequence

    def encode(
        self,
        cells: Cells,
        as_of: int,
        *,
        complete: tuple[int, int] | None = None,
        coverage: Sequence[tuple[int, int, int]] = (),
    ) -> bytes:
        """Return the next batch; it must reach the other end, in order, or a new epoch must follow.

        Cells that are just as they were last said to be are left out. ``complete`` is that of ``Statement``.

        Raises:
            CellError: cells are wrong.
            CodecError: too many for one batch.
        """
        check_cells(cells, check_sketches=False)
        state = self._state
        new = [key for key in dict.fromkeys(cells.keys) if key not in state.ordinals]
        if len(state.keys) + len(new) > MAX_KEYS:
            raise CodecError(CodecReason.LIMIT, f"a stream has at most {MAX_KEYS} different keys")
        known = len(state.keys)
        state.add(new)
        ordinals = np.fromiter(map(state.ordinals.__getitem__, cells.keys), np.int64, len(cells))
        order = np.lexsort((ordinals, cells.periods))
        cells, ordinals = take(cells, order), ordinals[order]
        numbers = numbers_of(cells, as_of)
        if complete is None:
            cells, ordinals, numbers = self._changed(cells, ordinals, numbers, known)
        body = [pack_column(column) for column in self._codes(new)] + self._rows(cells, ordinals, numbers)
        raw = b"".join(body)
        values = [list(dict.fromkeys(key[i] for key in new)) for i in range(len(state.kind.keys))]
        wire = Wire(
            state.kind.name,
            state.kind.version,
            declared_measures(state.kind),
            state.kind.least_contributors,
            state.epoch,
            state.sequence + 1,
            state.checksum,
            as_of,
            complete,
            list(coverage),
            len(cells),
            len(new),
            values,
            len(raw),
            zlib.compress(raw, _LEVEL),
        )
        data, checksum = pack_batch(wire)
        if len(data) > MAX_BATCH_BYTES:
            state.forget(known)
            raise CodecError(CodecReason.LIMIT, f"a batch of {len(data)} bytes; send fewer cells at a time")
        state.remember(cells, ordinals, numbers)
        state.sequence, state.checksum = wire.sequence, checksum
        return data

    def _changed(
        self, cells: Cells, ordinals: NDArray[np.int64], numbers: NDArray[np.int64], known: int
    ) -> tuple[Cells, NDArray[np.int64], NDArray[np.int64]]:
        state = self._state
        same = (ordinals < known) & (state.present[ordinals] == cells.present)
        same &= (state.numbers[:, ordinals] == numbers).all(axis=0)
        same &= (state.contributors[ordinals] == cells.contributors).all(axis=1)
        if len(state.kind.sketches):
            same &= (state.sketches[:, ordinals] == cells.sketches).all(axis=0)
        if not bool(same.any()):
            return cells, ordinals, numbers
        return take(cells, ~same), ordinals[~same], numbers[:, ~same]

    def _codes(self, new: list[tuple[str, ...]]) -> list[NDArray[np.int64]]:
        columns: list[NDArray[np.int64]] = []
        for i in range(len(self._state.kind.keys)):
            codes: dict[str, int] = {}
            columns.append(np.array([codes.setdefault(key[i], len(codes)) for key in new], dtype=np.int64))
        return columns

    def _rows(self, cells: Cells, ordinals: NDArray[np.int64], numbers: NDArray[np.int64]) -> list[bytes]:
        state, n = self._state, len(cells)
        body = [pack_column(_differences(ordinals)), pack_column(cells.present.astype(np.int64))]
        before = np.zeros_like(numbers) if not n else state.numbers[:, ordinals]
        # Wraps around for absent measures, and comes back by wrapping around again. All periods moved by the same.
        change = numbers - before
        change[0] = _differences(change[0])
        body += [pack_column(column) for column in change]
        moved = (state.contributors[ordinals] != cells.contributors).any(axis=1)
        body += [pack_column(moved.astype(np.int64)), cells.contributors[moved].astype("<u8").tobytes()]
        for old, now in zip(state.sketches[:, ordinals], cells.sketches, strict=True):
            states = [b"" if a == b else b or b"\0" for a, b in zip(old.tolist(), now.tolist(), strict=True)]
            body += [pack_column(np.array([len(s) for s in states], dtype=np.int64)), b"".join(states)]
        return body
