"""Signed batches on the disk, a file each: what is needed to prove any of their records.

::

    header      length 4 (big-endian), MessagePack: signature, prefix, size, time
    names       16 bytes for each record, ascending: the beginning of SHA-256 of the handle's key
    leaves      32 bytes for each record, in the order of the names

48 bytes a record; the tree above the leaves is made when somebody asks, and kept for the batches asked last.
"""

import bisect
import functools
import hashlib
import os
import struct
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gongfu.identify.trust.merkle import DIGEST_BYTES, MerkleTree

MAX_BATCH = 1_000_000
_NAME_BYTES = 16
_LENGTH = struct.Struct(">I")
_MAX_HEADER = 64 * 1024
_KEPT_TREES = 4


class BatchHeader(msgspec.Struct, frozen=True):
    """What a batch is: the signature of its root, the prefix of its records, how many, when (UTC seconds)."""

    signature: str
    prefix: str
    size: int
    signed_at: int


def name_hash(key: str) -> bytes:
    """Return by what a record is found in a batch, from the key of its handle."""
    return hashlib.sha256(key.encode()).digest()[:_NAME_BYTES]


class BatchFiles:
    """The signed batches of a service; numbers ascend, and the newest that has a record counts."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which is made.

        Raises:
            OSError: it cannot be.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._opened: dict[int, _Batch] = {}
        self._numbers = sorted(int(path.stem) for path in folder.glob("*.batch") if path.stem.isdigit())
        self._tree = functools.lru_cache(maxsize=_KEPT_TREES)(self._make_tree)

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, header: BatchHeader, entries: Sequence[tuple[bytes, bytes]]) -> int:
        """Keep a batch, on the disk when this returns; returns its number.

        Args:
            header: with the number of entries.
            entries: (name hash, leaf hash), ascending.

        Raises:
            OSError: it cannot be written.
        """
        number = self._numbers[-1] + 1 if self._numbers else 1
        coded = msgspec.msgpack.encode(header)
        path = self._folder / f"{number}.batch"
        scratch = path.with_suffix(".new")
        with scratch.open("wb") as file:
            file.write(_LENGTH.pack(len(coded)) + coded)
            file.writelines(name for name, _ in entries)
            file.writelines(leaf for _, leaf in entries)
            file.flush()
            os.fsync(file.fileno())
        scratch.rename(path)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._numbers.append(number)
        return number

    def find(self, key: str) -> tuple[int, int] | None:
        """Return batch and position of the newest batch that has a record."""
        name = name_hash(key)
        for number in reversed(self._numbers):
            position = self._batch(number).position(name)
            if position is not None:
                return number, position
        return None

    def header(self, number: int) -> BatchHeader:
        """Return what a batch is.

        Raises:
            OSError: it cannot be read.
        """
        return self._batch(number).header

    def leaf(self, number: int, position: int) -> bytes:
        """Return the leaf hash of a record as it was signed."""
        return self._batch(number).leaf(position)

    def tree(self, number: int) -> MerkleTree:
        """Return the tree of a batch."""
        return self._tree(number)

    def _make_tree(self, number: int) -> MerkleTree:
        batch = self._batch(number)
        return MerkleTree([batch.leaf(position) for position in range(batch.header.size)])

    def _batch(self, number: int) -> "_Batch":
        batch = self._opened.get(number)
        if batch is None:
            batch = self._opened[number] = _Batch(self._folder / f"{number}.batch")
        return batch


class _Batch:
    """One file; names and leaves are read from it when they are asked for."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY)
        (length,) = _LENGTH.unpack(os.pread(self._file, _LENGTH.size, 0))
        if length > _MAX_HEADER:
            raise OSError(f"{path} is no batch")
        try:
            self.header = msgspec.msgpack.decode(os.pread(self._file, length, _LENGTH.size), type=BatchHeader)
        except msgspec.MsgspecError as error:
            raise OSError(f"{path} is no batch: {error}") from None
        self._names = _LENGTH.size + length
        self._leaves = self._names + self.header.size * _NAME_BYTES
        if os.fstat(self._file).st_size != self._leaves + self.header.size * DIGEST_BYTES:
            raise OSError(f"{path} is cut off")

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)

    def _name(self, position: int) -> bytes:
        return os.pread(self._file, _NAME_BYTES, self._names + position * _NAME_BYTES)

    def position(self, name: bytes) -> int | None:
        at = bisect.bisect_left(range(self.header.size), name, key=self._name)
        return at if at < self.header.size and self._name(at) == name else None

    def leaf(self, position: int) -> bytes:
        return os.pread(self._file, DIGEST_BYTES, self._leaves + position * DIGEST_BYTES)
