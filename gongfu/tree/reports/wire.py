"""Bytes of a report stream: each batch is the difference to what both ends remember of the ones before.

::

    batch    magic "GFR1", u32 CRC-32 of the rest, MessagePack array of ``Wire``
    body     zlib of columns (``planes``): new keys, ordinals, presence, periods, nodes, silent, lag, exact measures,
             contributors, sketches

A value is written as the difference to what its cell (whatever the period) had in the last batch that named it; equal
contributors and sketches are one zero. A batch names its predecessor's checksum, so that two ends that remember
different things notice. ``encoder`` writes it and ``decoder`` reads it.
"""

import struct
import zlib
from enum import StrEnum

import msgspec

from gongfu.tree.reports.cells import MAX_CELLS
from gongfu.tree.reports.kinds import ReportKind
from gongfu.tree.reports.planes import PlaneReader
from gongfu.tree.reports.stream import MAX_EPOCH, MAX_SEQUENCE

MAX_BATCH_BYTES = 8 << 20
MAX_BODY_BYTES = 64 << 20
MAX_COVERAGE = 1_000
_MAGIC = b"GFR1"
_HEAD = struct.Struct("<4sI")


class CodecReason(StrEnum):
    """Why a batch is refused."""

    DAMAGED = "damaged"
    LIMIT = "too-large"
    KIND = "other-kind"
    MEASURES = "measures-differ"
    GAP = "gap"
    BASE = "other-base"
    CELLS = "cells-malformed"


class CodecError(ValueError):
    """A batch is refused; the decoder is as it was.

    Attributes:
        reason: the stable code. After ``gap`` and ``other-base`` only a new epoch helps.
    """

    def __init__(self, reason: CodecReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Wire(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Head and body of a batch; see ``Statement`` for what it says.

    Attributes:
        measures: (name, form) in the order of the columns: exact ones, then sketches.
        least: how many contributors a cell names at most.
        base: checksum of the batch before; 0 for the first of an epoch.
        rows, new: cells, and new keys among them; ``values``: for each key the different values of the new keys.
        size: of the body when it is decompressed.
    """

    kind: str
    version: int
    measures: list[tuple[str, str]]
    least: int
    epoch: int
    sequence: int
    base: int
    as_of: int
    complete: tuple[int, int] | None
    coverage: list[tuple[int, int, int]]
    rows: int
    new: int
    values: list[list[str]]
    size: int
    body: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Wire)


def declared_measures(kind: ReportKind) -> list[tuple[str, str]]:
    """Return name and form of every measure, in the order of the columns."""
    return [(measure.name, str(measure.form)) for measure in (*kind.exact, *kind.sketches)]


def pack_batch(wire: Wire) -> tuple[bytes, int]:
    """Return the bytes of a batch and their checksum."""
    packed = _encoder.encode(wire)
    checksum = zlib.crc32(packed)
    return _HEAD.pack(_MAGIC, checksum) + packed, checksum


def unpack_batch(data: bytes) -> tuple[Wire, int]:
    """Return a batch and its checksum, with all that the head says in range.

    Raises:
        CodecError: damaged, or beyond a limit.
    """
    if len(data) < _HEAD.size or len(data) > MAX_BATCH_BYTES:
        raise CodecError(CodecReason.LIMIT if len(data) > _HEAD.size else CodecReason.DAMAGED, "length of the batch")
    magic, checksum = _HEAD.unpack_from(data)
    packed = memoryview(data)[_HEAD.size :]
    if magic != _MAGIC or zlib.crc32(packed) != checksum:
        raise CodecError(CodecReason.DAMAGED, "not a batch of reports, or its checksum does not match")
    try:
        wire = _decoder.decode(packed)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError, UnicodeDecodeError):
        raise CodecError(CodecReason.DAMAGED, "the batch does not have its form") from None
    numbers = [wire.rows, wire.new, wire.size, wire.as_of, *(x for row in wire.coverage for x in row)]
    if not all(0 <= x <= 2**62 for x in (*numbers, *(wire.complete or ()))):
        raise CodecError(CodecReason.DAMAGED, "a number of the head is out of range")
    if wire.rows > MAX_CELLS or wire.new > wire.rows or wire.size > MAX_BODY_BYTES:
        raise CodecError(CodecReason.LIMIT, f"a batch has at most {MAX_CELLS} cells")
    if not 1 <= wire.epoch <= MAX_EPOCH or not 1 <= wire.sequence <= MAX_SEQUENCE or not 1 <= wire.version <= 65_535:
        raise CodecError(CodecReason.LIMIT, "epoch, sequence or version is out of range")
    if len(wire.coverage) > MAX_COVERAGE or any(reported > known for _, reported, known in wire.coverage):
        raise CodecError(CodecReason.LIMIT, "coverage is out of range")
    if wire.complete is not None and wire.complete[1] > wire.sequence:
        raise CodecError(CodecReason.DAMAGED, "complete with batches that are still to come")
    return wire, checksum


def open_body(wire: Wire) -> PlaneReader:
    """Return the columns of a batch.

    Raises:
        CodecError: the body is damaged.
    """
    # Never more than the head says, and that is bounded: a few bytes may stand for gigabytes.
    try:
        inflater = zlib.decompressobj()
        raw = inflater.decompress(wire.body, wire.size + 1)
    except zlib.error:
        raise CodecError(CodecReason.DAMAGED, "the body cannot be decompressed") from None
    if len(raw) != wire.size or not inflater.eof or inflater.unused_data:
        raise CodecError(CodecReason.DAMAGED, "the body has another length than the head says")
    return PlaneReader(raw)
