"""Which members of a table have a series: found for all rows of a block at once."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_GROWTH = 1.25
_NONE = np.int32(-1)


class MembersBySeries:
    """The members of a series are a chain: ``_head`` has the first, ``_next`` the one after each; the latter is made
    when a second member has a series. 4 bytes a series id, and 4 a member where there is a second one."""

    def __init__(self) -> None:
        self._head: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        self._next: NDArray[np.int32] | None = None

    def add(self, members: NDArray[np.int32], series: NDArray[np.uint32]) -> None:
        """Put members, ascending and beyond all present ones, in front of those of their series."""
        if not len(series):
            return
        size = int(members[-1]) + 1
        top = int(series.max()) + 1
        if top > len(self._head):
            grown = np.full(max(top, int(len(self._head) * _GROWTH)), _NONE, dtype=np.int32)
            grown[: len(self._head)] = self._head
            self._head = grown
        if self._next is not None and size > len(self._next):
            longer = np.full(max(size, int(len(self._next) * _GROWTH)), _NONE, dtype=np.int32)
            longer[: len(self._next)] = self._next
            self._next = longer
        if bool((series[1:] < series[:-1]).any()):
            order = np.argsort(series, kind="stable")
            members, series = members[order], series[order]
        # Within one call, each member of a series points to the one before it.
        behind = self._head[series]
        repeated = np.flatnonzero(series[1:] == series[:-1]) + 1
        behind[repeated] = members[repeated - 1]
        if self._next is None and bool((behind != _NONE).any()):
            self._next = np.full(size, _NONE, dtype=np.int32)
        if self._next is not None:
            self._next[members] = behind
        last = np.ones(len(series), dtype=np.bool_)
        last[:-1] = series[1:] != series[:-1]
        self._head[series[last]] = members[last]

    def find(self, series: NDArray[np.uint32]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.int32]]]:
        """Yield rows of ``series`` and a member of each until all members of all of them were given."""
        rows = np.flatnonzero(series < len(self._head))
        members = self._head[series[rows]]
        while True:
            some = members != _NONE
            if not bool(some.all()):
                rows, members = rows[some], members[some]
            if not len(rows):
                return
            yield rows, members
            if self._next is None:
                return
            members = self._next[members]
