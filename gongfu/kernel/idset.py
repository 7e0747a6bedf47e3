"""Sets of ids that are dense: a byte an id, so a million devices are a megabyte and sets are combined by vectors."""

import base64
import zlib
from collections.abc import Collection, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

# Ids beyond this are damage, not data.
MAX_ID = 100_000_000
_GROWTH = 1.25


class IdSet(Collection[int]):
    """A set of ids from 0 to ``MAX_ID``; others are never in it."""

    __slots__ = ("_flags",)

    def __init__(self, ids: Iterable[int] = ()) -> None:
        self._flags: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        for key in ids:
            self.add(key)

    @classmethod
    def of_flags(cls, flags: NDArray[np.bool_]) -> "IdSet":
        """Return the set of positions that are true; ``flags`` becomes the set's own."""
        made = cls()
        made._flags = flags
        return made

    def __contains__(self, key: object) -> bool:
        return isinstance(key, int) and 0 <= key < len(self._flags) and bool(self._flags[key])

    def __iter__(self) -> Iterator[int]:
        return iter(np.flatnonzero(self._flags).tolist())

    def __len__(self) -> int:
        return int(np.count_nonzero(self._flags))

    def add(self, key: int) -> None:
        """Put an id in."""
        if 0 <= key <= MAX_ID:
            self._reserve(key + 1)
            self._flags[key] = True

    def discard(self, key: int) -> None:
        """Take an id out if it is in."""
        if 0 <= key < len(self._flags):
            self._flags[key] = False

    def flags(self, size: int) -> NDArray[np.bool_]:
        """Return ``bool[size]``: which of the ids below ``size`` are in; a copy."""
        flags = np.zeros(size, dtype=np.bool_)
        part = self._flags[:size]
        flags[: len(part)] = part
        return flags

    @property
    def bound(self) -> int:
        """Number that is greater than all ids in the set."""
        return len(self._flags)

    def __or__(self, other: "IdSet") -> "IdSet":
        size = max(self.bound, other.bound)
        return IdSet.of_flags(self.flags(size) | other.flags(size))

    def _reserve(self, size: int) -> None:
        if size > len(self._flags):
            self._flags = self.flags(max(size, int(len(self._flags) * _GROWTH), 1024))


def pack_flags(flags: NDArray[np.bool_]) -> str:
    """Return flags as text for a message: bits, compressed, base64. A million take 170 KB at most."""
    return base64.b64encode(zlib.compress(np.packbits(flags).tobytes(), 1)).decode()


def unpack_flags(text: str, size: int) -> NDArray[np.bool_]:
    """Return ``bool[size]`` of what ``pack_flags`` gave; missing flags are false.

    Raises:
        ValueError: the text is not one of ``pack_flags``, or has more than ``size`` flags.
    """
    try:
        unpacked = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), size // 8 + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    flags = np.unpackbits(np.frombuffer(unpacked, dtype=np.uint8), count=size).astype(np.bool_)
    return flags
