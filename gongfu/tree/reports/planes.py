"""Columns of whole numbers as byte planes: what a general compressor then makes small.

A column is a byte w (0 to 8) and w planes of n bytes: the lowest bytes of all numbers, the next bytes, and so on, after
zigzag coding. Small differences are mostly zero bytes in one plane.
"""

import numpy as np
from numpy.typing import NDArray


class PlaneError(ValueError):
    """The bytes are shorter than their columns, or longer."""


def pack_column(values: NDArray[np.int64]) -> bytes:
    """Return the bytes of ``int64[n]``."""
    zigzag = ((values << 1) ^ (values >> 63)).view(np.uint64)
    largest = int(zigzag.max()) if len(zigzag) else 0
    width = (largest.bit_length() + 7) // 8
    planes = np.ascontiguousarray(zigzag, dtype="<u8").view(np.uint8).reshape(-1, 8)[:, :width]
    return bytes([width]) + planes.T.tobytes()


class PlaneReader:
    """Takes columns from bytes, in the order in which they were packed."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, size: int) -> bytes:
        """Return the next bytes as they are.

        Raises:
            PlaneError: there are not so many.
        """
        start = self._position
        if size < 0 or start + size > len(self._data):
            raise PlaneError("a column is shorter than it should be")
        self._position = start + size
        return self._data[start : start + size]

    def column(self, n: int) -> NDArray[np.int64]:
        """Return the next ``int64[n]``.

        Raises:
            PlaneError: the bytes are no column of n numbers.
        """
        width = self.take(1)[0]
        if width > 8:
            raise PlaneError("a number has more than 8 bytes")
        planes = np.frombuffer(self.take(width * n), dtype=np.uint8).reshape(width, n)
        zigzag = np.zeros((n, 8), dtype=np.uint8)
        zigzag[:, :width] = planes.T
        raw = zigzag.view("<u8").ravel()
        return ((raw >> np.uint64(1)).view(np.int64)) ^ -((raw & np.uint64(1)).view(np.int64))

    def end(self) -> None:
        """Check that everything was taken.

        Raises:
            PlaneError: something is left.
        """
        if self._position != len(self._data):
            raise PlaneError("something follows the last column")
