"""Bytes in which positions, cells and the memory of streams are stored. Written and read by one node."""

import zlib
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gongfu.tree.reports.cells import Cells
from gongfu.tree.reports.decoder import Decoder
from gongfu.tree.reports.kinds import ReportKind
from gongfu.tree.reports.position import Position
from gongfu.tree.reports.stream import StreamState

_LEVEL = 1


class _Columns(msgspec.Struct, frozen=True, array_like=True):
    """Cells: the kind they follow, key values by key, and the columns as bytes."""

    kind: ReportKind
    keys: list[list[str]]
    n: int
    periods: bytes
    present: bytes
    exact: bytes
    sketches: list[list[bytes]]
    contributors: bytes
    numbers: bytes
    revisions: bytes


class _Stream(msgspec.Struct, frozen=True, array_like=True):
    """Memory of a stream, and the names of the keys that its cells have."""

    kind: ReportKind
    epoch: int
    sequence: int
    checksum: int
    keys: list[list[str]]
    n: int
    numbers: bytes
    present: bytes
    contributors: bytes
    sketches: list[list[bytes]]


def _pack(document: msgspec.Struct) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(document), _LEVEL)


def _transposed(keys: list[tuple[str, ...]], arity: int) -> list[list[str]]:
    return [[key[i] for key in keys] for i in range(arity)]


def _tuples(columns: list[list[str]], n: int) -> list[tuple[str, ...]]:
    return list(zip(*columns, strict=True)) if columns else [()] * n


def _objects(rows: list[list[bytes]], n: int) -> NDArray[Any]:
    column = np.empty((len(rows), n), dtype=object)
    for i, row in enumerate(rows):
        column[i] = row
    return column


def pack_position(position: Position) -> bytes:
    """Return the bytes of a position."""
    return msgspec.msgpack.encode(position)


def unpack_position(data: bytes) -> Position:
    """Return a position."""
    return msgspec.msgpack.decode(data, type=Position)


def pack_cells(cells: Cells, revisions: NDArray[np.int64]) -> bytes:
    """Return the bytes of cells and the revision of each."""
    numbers = np.vstack([cells.nodes, cells.silent, cells.as_of])
    return _pack(
        _Columns(
            cells.kind,
            _transposed(list(cells.keys), len(cells.kind.keys)),
            len(cells),
            cells.periods.tobytes(),
            cells.present.tobytes(),
            np.ascontiguousarray(cells.exact).tobytes(),
            cells.sketches.tolist(),
            np.ascontiguousarray(cells.contributors).tobytes(),
            numbers.tobytes(),
            revisions.tobytes(),
        )
    )


def unpack_cells(data: bytes) -> tuple[Cells, NDArray[np.int64]]:
    """Return cells, as the kind was when they were stored, and the revision of each."""
    columns = msgspec.msgpack.decode(zlib.decompress(data), type=_Columns)
    kind, n = columns.kind, columns.n
    numbers = np.frombuffer(columns.numbers, dtype=np.int64).reshape(3, n)
    cells = Cells(
        kind,
        np.frombuffer(columns.periods, dtype=np.int64),
        _tuples(columns.keys, n),
        np.frombuffer(columns.present, dtype=np.bool_),
        np.frombuffer(columns.exact, dtype=np.int64).reshape(len(kind.exact), n),
        _objects(columns.sketches, n),
        np.frombuffer(columns.contributors, dtype=np.uint64).reshape(n, kind.least_contributors),
        numbers[0],
        numbers[1],
        numbers[2],
    )
    return cells, np.frombuffer(columns.revisions, dtype=np.int64)


def pack_stream(state: StreamState) -> bytes:
    """Return the bytes of a stream's memory."""
    n = len(state.keys)
    return _pack(
        _Stream(
            state.kind,
            state.epoch,
            state.sequence,
            state.checksum,
            _transposed(state.keys, len(state.kind.keys)),
            n,
            np.ascontiguousarray(state.numbers[:, :n]).tobytes(),
            state.present[:n].tobytes(),
            np.ascontiguousarray(state.contributors[:n]).tobytes(),
            state.sketches[:, :n].tolist(),
        )
    )


def unpack_stream(data: bytes, kind: ReportKind) -> Decoder:
    """Return a decoder that goes on; ``kind`` is the declaration here, with the keys that the child's cells have."""
    stored = msgspec.msgpack.decode(zlib.decompress(data), type=_Stream)
    state, n = StreamState(stored.kind), stored.n
    state.epoch, state.sequence, state.checksum = stored.epoch, stored.sequence, stored.checksum
    state.keys = _tuples(stored.keys, n)
    state.ordinals = {key: i for i, key in enumerate(state.keys)}
    rows, k = len(state.numbers), stored.kind.least_contributors
    state.numbers = np.frombuffer(stored.numbers, dtype=np.int64).reshape(rows, n).copy()
    state.present = np.frombuffer(stored.present, dtype=np.bool_).copy()
    state.contributors = np.frombuffer(stored.contributors, dtype=np.uint64).reshape(n, k).copy()
    state.sketches = _objects(stored.sketches, n)
    return Decoder.resume(msgspec.structs.replace(kind, keys=stored.kind.keys), state)
