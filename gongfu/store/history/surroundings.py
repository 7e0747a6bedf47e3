"""What lies around a range of a series: the values that bounds are made of (OPC 10000-13 §3.1.7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import SEVERITY_MASK, Quality
from gongfu.kernel.times import MAX_NS
from gongfu.store.history.types import HistoryStore, Order, Samples

# A search for a usable value looks at 8 values, then at more, and gives up behind the last of these.
SEARCH = (8, 512, 32_768)


@dataclass(frozen=True, slots=True)
class Run:
    """Values of one series, ascending in time: times (UTC ns), values and qualities of one length."""

    times: NDArray[np.int64]
    values: NDArray[Any] | Sequence[str]
    qualities: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.times)

    def numbers(self) -> NDArray[Any]:
        """Return the values as numbers; texts as numbers that differ when they do."""
        if isinstance(self.values, np.ndarray):
            return self.values
        if not len(self.values):
            return np.empty(0, np.int64)
        return np.unique(np.asarray(self.values, dtype=object), return_inverse=True)[1].astype(np.int64)

    def usable(self, *, uncertain: bool) -> NDArray[np.bool_]:
        """Return which values are finite and not bad; uncertain ones count when told so."""
        severity = self.qualities & SEVERITY_MASK
        usable = severity <= (Quality.UNCERTAIN if uncertain else Quality.GOOD)
        if isinstance(self.values, np.ndarray) and self.values.dtype.kind == "f":
            usable &= np.isfinite(self.values)
        return usable

    def part(self, chosen: NDArray[np.int64] | slice) -> "Run":
        """Return some of the values."""
        if isinstance(self.values, np.ndarray):
            values: Any = self.values[chosen]
        elif isinstance(chosen, slice):
            values = self.values[chosen]
        else:
            values = [self.values[i] for i in chosen.tolist()]
        return Run(self.times[chosen], values, self.qualities[chosen])


def joined(runs: Sequence[Run]) -> Run:
    """Return runs that follow each other as one."""
    values: NDArray[Any] | list[str]
    if all(isinstance(run.values, np.ndarray) for run in runs):
        values = np.concatenate([np.asarray(run.values) for run in runs])
    else:
        values = [value for run in runs for value in run.values]
    return Run(np.concatenate([run.times for run in runs]), values, np.concatenate([run.qualities for run in runs]))


def run_of(samples: Samples, order: Order = Order.ASCENDING) -> Run:
    """Return what was found of one series, ascending."""
    columns = samples.columns
    run = Run(columns.times, columns.values, columns.qualities)
    return run if order is Order.ASCENDING else run.part(slice(None, None, -1))


class SeriesReader:
    """Reads one series as it is known at a time (``as_of``, UTC ns; None for now)."""

    def __init__(self, store: HistoryStore, value_type: ValueType, series: int, as_of: int | None) -> None:
        self._store = store
        self._type = value_type
        self._series = series
        self._as_of = as_of

    async def read(self, time_from: int, time_to: int, limit: int, order: Order = Order.ASCENDING) -> tuple[Run, bool]:
        """Return at most ``limit`` values of a range, ascending, and whether there are more."""
        samples = await self._store.query(
            self._type, [self._series], time_from, time_to, order=order, limit=limit, as_of=self._as_of
        )
        return run_of(samples, order), samples.truncated

    async def before(self, moment: int, *, uncertain: bool) -> Run:
        """Return the last value before a time and the last two usable ones, as far as they are near."""
        found, usable = Run(np.empty(0, np.int64), [], np.empty(0, np.uint8)), np.empty(0, np.int64)
        for limit in SEARCH:
            found, more = await self.read(0, moment, limit, Order.DESCENDING)
            usable = np.flatnonzero(found.usable(uncertain=uncertain))
            if len(usable) >= 2 or not more:
                break
        last = [len(found) - 1] if len(found) else []
        return found.part(np.unique(np.array([*usable[-2:].tolist(), *last], np.int64)))

    async def after(self, moment: int, *, uncertain: bool) -> Run:
        """Return the first value from a time on and the first usable one, as far as it is near."""
        found, usable = Run(np.empty(0, np.int64), [], np.empty(0, np.uint8)), np.empty(0, np.int64)
        for limit in SEARCH:
            found, more = await self.read(moment, MAX_NS, limit)
            usable = np.flatnonzero(found.usable(uncertain=uncertain))
            if len(usable) or not more:
                break
        first = [0] if len(found) else []
        return found.part(np.unique(np.array([*first, *usable[:1].tolist()], np.int64)))
