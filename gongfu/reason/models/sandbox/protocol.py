"""Messages between the platform and a model's process. Pure.

A message is a msgpack header and, behind it, columns as they are in memory: little endian, each ``int64[·]`` or
``float64[·]`` by the header. What comes from the model's process is checked against what was asked.
"""

import struct
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from gongfu.reason.models.sandbox.types import Column, Description, FailureReason, Rows

_LENGTH = struct.Struct("<I")


class Open(msgspec.Struct, frozen=True, tag="open"):
    """First request: load the artifact and describe it."""

    kind: str
    artifact: str
    scratch: str
    parameters: dict[str, float]


class Evaluate(msgspec.Struct, frozen=True, tag="evaluate"):
    """Evaluate rows; behind it stand assets, offsets, times, dt, and the columns of ``inputs``."""

    assets: int
    rows: int
    inputs: tuple[str, ...]
    states: list[bytes | None]
    keep: bool


class Fetch(msgspec.Struct, frozen=True, tag="fetch"):
    """Return the states of these assets; ``only``: let go of all but those."""

    assets: list[int]
    only: list[int] | None = None


class Described(msgspec.Struct, frozen=True, tag="described"):
    """Answer to Open."""

    description: Description


class Evaluated(msgspec.Struct, frozen=True, tag="evaluated"):
    """Answer to Evaluate; behind it stand the columns of ``outputs``."""

    outputs: tuple[str, ...]
    states: list[bytes | None]
    failures: dict[int, str]
    notes: dict[int, str]


class Fetched(msgspec.Struct, frozen=True, tag="fetched"):
    """Answer to Fetch."""

    states: list[bytes | None]


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """Answer to anything that went wrong, and left the process alive."""

    reason: FailureReason
    detail: str


Request = Open | Evaluate | Fetch
Answer = Described | Evaluated | Fetched | Failed

_request = msgspec.msgpack.Decoder(Request)
_answer = msgspec.msgpack.Decoder(Answer)
_encoder = msgspec.msgpack.Encoder()


class ProtocolError(ValueError):
    """What came is no message of this conversation."""


def encode(header: Request | Answer, columns: Sequence[NDArray[np.int64] | Column] = ()) -> list[bytes | memoryview]:
    """Return the parts of a frame. Columns are sent from where they are, without a copy."""
    head = _encoder.encode(header)
    parts: list[bytes | memoryview] = [_LENGTH.pack(len(head)) + head]
    parts.extend(np.ascontiguousarray(column).view(np.uint8).data for column in columns if column.size)
    return parts


def _split(frame: bytes) -> tuple[bytes, memoryview]:
    if len(frame) < _LENGTH.size:
        raise ProtocolError("a message is too short")
    (length,) = _LENGTH.unpack_from(frame)
    if length > len(frame) - _LENGTH.size:
        raise ProtocolError("a message is shorter than its header says")
    view = memoryview(frame)
    return bytes(view[4 : 4 + length]), view[4 + length :]


def decode_request(frame: bytes) -> tuple[Request, memoryview]:
    """Return a request and the bytes behind it.

    Raises:
        ProtocolError: it is none.
    """
    head, rest = _split(frame)
    try:
        return _request.decode(head), rest
    except msgspec.MsgspecError as error:
        raise ProtocolError(str(error)) from None


def decode_answer(frame: bytes) -> tuple[Answer, memoryview]:
    """Return an answer and the bytes behind it.

    Raises:
        ProtocolError: it is none.
    """
    head, rest = _split(frame)
    try:
        return _answer.decode(head), rest
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ProtocolError(str(error)) from None


def encode_rows(rows: Rows, keep: bool) -> list[bytes | memoryview]:
    """Return the parts of an Evaluate.

    Raises:
        ProtocolError: lengths do not fit one another.
    """
    k, n = len(rows.assets), len(rows.times)
    fits = len(rows.offsets) == k + 1 and len(rows.states) == k and len(rows.dt) == n
    if not fits or any(len(column) != n for column in rows.columns.values()):
        raise ProtocolError("lengths of assets, offsets, states, times and columns do not fit one another")
    steps = np.diff(rows.offsets)
    if k and (rows.offsets[0] != 0 or rows.offsets[-1] != n or (steps < 0).any()):
        raise ProtocolError("offsets do not cover the rows")
    header = Evaluate(k, n, tuple(rows.columns), rows.states, keep)
    return encode(header, (*_integers(rows), *_floats(rows)))


def _integers(rows: Rows) -> list[NDArray[np.int64]]:
    return [np.asarray(each, dtype=np.int64) for each in (rows.assets, rows.offsets, rows.times)]


def _floats(rows: Rows) -> list[Column]:
    return [np.asarray(each, dtype=np.float64) for each in (rows.dt, *rows.columns.values())]


def decode_rows(header: Evaluate, rest: memoryview) -> Rows:
    """Return the rows of an Evaluate; the arrays are read-only views of the frame's bytes.

    Raises:
        ProtocolError: the columns are not there.
    """
    k, n = header.assets, header.rows
    if len(rest) != 8 * (k + k + 1 + 2 * n + n * len(header.inputs)) or len(header.states) != k:
        raise ProtocolError("the columns of a request are not of the length that its header says")
    position = 0

    def take(length: int, kind: type) -> NDArray[np.int64]:
        nonlocal position
        found = np.frombuffer(rest, dtype=kind, count=length, offset=position)
        position += 8 * length
        return found

    assets, offsets, times = (take(length, np.int64) for length in (k, k + 1, n))
    dt = take(n, np.float64)
    columns = {name: take(n, np.float64) for name in header.inputs}
    return Rows(assets, offsets, times, columns, dt, header.states)  # pyright: ignore[reportArgumentType]


def decode_outputs(header: Evaluated, rest: memoryview, outputs: Sequence[str], rows: int) -> dict[str, Column]:
    """Return the columns of an answer, float64[rows] by output; writable copies.

    Raises:
        ProtocolError: they are not those that were asked for.
    """
    if set(header.outputs) != set(outputs) or len(rest) != 8 * rows * len(header.outputs):
        raise ProtocolError("the columns of an answer are not those that were asked for")
    found = np.frombuffer(rest, dtype=np.float64).reshape(len(header.outputs), rows)
    return {name: found[index].copy() for index, name in enumerate(header.outputs)}
