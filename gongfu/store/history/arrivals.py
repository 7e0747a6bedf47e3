"""What arrives for the history against what it holds: resends are dropped, corrections keep what they replace. Pure.

Of all that ever arrived for one (series, source time), in the order of ingest times, equal neighbours (value and
quality) are one version. The newest version is in the table of points; when there is more than one, all of them are in
the table of versions as well.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.times import MILLISECOND
from gongfu.store.history.types import Batch

_DAY_NS = 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class Rows:
    """Points of one value type, all arrays of one length n.

    Attributes:
        series: ``uint32[n]``.
        times: ``int64[n]`` source times, UTC ns.
        values: ``float64[n]``, ``int64[n]``, ``uint8[n]`` or ``object[n]`` of texts.
        qualities: ``uint8[n]``.
        ingested: ``int64[n]`` ingest times, UTC ms.
    """

    series: NDArray[np.uint32]
    times: NDArray[np.int64]
    values: NDArray[Any]
    qualities: NDArray[np.uint8]
    ingested: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.series)

    def take(self, chosen: NDArray[Any]) -> "Rows":
        """Return the rows of a mask or of indices."""
        return Rows(
            self.series[chosen], self.times[chosen], self.values[chosen], self.qualities[chosen], self.ingested[chosen]
        )


def joined(first: Rows, second: Rows) -> Rows:
    """Return the rows of both."""
    return Rows(
        np.concatenate([first.series, second.series]),
        np.concatenate([first.times, second.times]),
        np.concatenate([first.values, second.values]),
        np.concatenate([first.qualities, second.qualities]),
        np.concatenate([first.ingested, second.ingested]),
    )


def rows_of(batch: Batch) -> Rows:
    """Return the rows of a batch by series and source time; of equal ones in the order they arrived."""
    columns = batch.columns
    values = columns.values
    if not isinstance(values, np.ndarray):
        texts = np.empty(len(values), dtype=object)
        texts[:] = values
        values = texts
    series = np.ascontiguousarray(columns.series, dtype="<u4")
    times = np.ascontiguousarray(columns.times, dtype="<i8")
    rows = Rows(series, times, values, np.asarray(columns.qualities), batch.ingested // MILLISECOND)
    if not _ascending(series, times):
        # By series alone first: the times of a series mostly ascend then.
        rows = rows.take(_by_series(series))
        if not _ascending(rows.series, rows.times):
            rows = rows.take(np.lexsort((rows.times, rows.series)))
    return rows


def _by_series(series: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return the stable order by series. NumPy sorts 16 bits by radix: two passes take half the time of one sort."""
    order = np.argsort(series.astype("<u2"), kind="stable")
    if int(series.max()) > 0xFFFF:
        order = order[np.argsort((series >> np.uint32(16)).astype("<u2")[order], kind="stable")]
    return order


def _ascending(series: NDArray[np.uint32], times: NDArray[np.int64]) -> bool:
    same = series[1:] == series[:-1]
    return bool(((series[1:] > series[:-1]) | (same & (times[1:] >= times[:-1]))).all())


def repeated(rows: Rows) -> NDArray[np.bool_]:
    """Return which rows have a neighbour of the same series and time; the rows are in their order."""
    same = (rows.series[1:] == rows.series[:-1]) & (rows.times[1:] == rows.times[:-1])
    edge = np.zeros(1, dtype=bool)
    return np.concatenate([edge, same]) | np.concatenate([same, edge])


def last_of_series(rows: Rows) -> NDArray[np.int64]:
    """Return the index of the last row of each series; the rows are in their order."""
    return np.flatnonzero(np.concatenate([rows.series[1:] != rows.series[:-1], np.ones(min(1, len(rows)), dtype=bool)]))


def resolve(stored: Rows, arrived: Rows) -> tuple[NDArray[np.bool_], Rows]:
    """Return which of the arrived rows become the present version of their point, and the rows of points that then have
    more than one version, the stored ones among them.

    Args:
        stored: the present versions of the points of ``arrived``, as far as there are any.
        arrived: in the order they arrived.
    """
    both = joined(stored, arrived)
    n = len(stored)
    order = np.lexsort((both.ingested, both.times, both.series))
    rows, is_stored = both.take(order), order < n
    first = _first_of_point(rows)
    point = np.cumsum(first) - 1
    known = np.full(int(point[-1]) + 1 if len(point) else 0, np.iinfo(np.int64).min)
    known[point[is_stored]] = rows.ingested[is_stored]
    # Older than the present version: what lies between is not known here, so it is kept, and reads join equal ones.
    older = rows.ingested < known[point]
    resent = ~first & ~is_stored & ~older & _equals_previous(rows)
    kept = np.flatnonzero(~resent)
    # Of several at one ingest time the last one counts.
    passed = np.zeros(len(kept), dtype=bool)
    passed[:-1] = (point[kept][1:] == point[kept][:-1]) & (rows.ingested[kept][1:] == rows.ingested[kept][:-1])
    kept = kept[~passed]
    of = point[kept]
    last = np.concatenate([of[1:] != of[:-1], np.ones(min(1, len(of)), dtype=bool)])
    present = np.zeros(len(arrived), dtype=bool)
    newest = order[kept[last]]
    present[newest[newest >= n] - n] = True
    several = np.bincount(of, minlength=len(known))[of] > 1 if len(of) else np.zeros(0, dtype=bool)
    return present, rows.take(kept[several])


def distinct_versions(rows: Rows) -> NDArray[np.int64]:
    """Return the indices of the rows that begin a version: equal neighbours in the order of ingest times are one."""
    return np.flatnonzero(_first_of_point(rows) | ~_equals_previous(rows))


def _first_of_point(rows: Rows) -> NDArray[np.bool_]:
    differs = (rows.series[1:] != rows.series[:-1]) | (rows.times[1:] != rows.times[:-1])
    return np.concatenate([np.ones(min(1, len(rows)), dtype=bool), differs])


def _equals_previous(rows: Rows) -> NDArray[np.bool_]:
    """Bits of doubles are compared: NaN equals itself, and -0 is not 0."""
    values = rows.values.view("<i8") if rows.values.dtype.kind == "f" else rows.values
    same = np.asarray(values[1:] == values[:-1], dtype=bool) & (rows.qualities[1:] == rows.qualities[:-1])
    return np.concatenate([np.zeros(min(1, len(rows)), dtype=bool), same])


def days_of(rows: Rows, before: int) -> tuple[NDArray[np.uint32], NDArray[np.uint16]]:
    """Return the distinct (series, UTC day since 1970) of the rows whose source time lies before a time (UTC ns)."""
    old = rows.times < before
    if not old.any():
        return np.empty(0, "<u4"), np.empty(0, "<u2")
    key = np.unique(rows.series[old].astype("<u8") << np.uint64(16) | (rows.times[old] // _DAY_NS).astype("<u8"))
    return (key >> np.uint64(16)).astype("<u4"), (key & np.uint64(0xFFFF)).astype("<u2")
