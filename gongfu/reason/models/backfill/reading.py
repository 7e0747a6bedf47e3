"""Samples of series from the history, in windows that hold a bounded number of them."""

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Engine, select

from gongfu.kernel.block import Block, Columns
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import SECOND
from gongfu.registry.tables import point
from gongfu.store.history.types import HistoryStore
from gongfu.store.records.engine import reading

# Samples of one series in one window.
SAMPLES = 20_000
_LEAST_NS = SECOND // 1000
_FIRST_NS, _LONGEST_NS = 86_400 * SECOND, 64 * 86_400 * SECOND


class Windows:
    """Reads series from a time on; the length of its windows follows the density of the samples."""

    def __init__(
        self, history: HistoryStore, engine: Engine, tenant: int, series: Sequence[int], longest: int = _LONGEST_NS
    ) -> None:
        """Read ``series`` in windows of at most ``longest`` ns."""
        self._longest = max(min(longest, _LONGEST_NS), _LEAST_NS)
        self._history = history
        self._tenant = tenant
        self._by_type = _types(engine, series)
        self._length = min(_FIRST_NS, self._longest)

    async def next(self, time_from: int, time_to: int) -> tuple[Block, int]:
        """Return the samples from a time on, and the time up to which they are all there is.

        Raises:
            HistoryError: the history does not answer.
        """
        while True:
            end = min(time_from + self._length, time_to)
            columns: dict[ValueType, Columns] = {}
            most = 0
            for value_type, series in self._by_type.items():
                found = await self._history.query(value_type, series, time_from, end, limit=SAMPLES)
                if found.truncated and self._length > _LEAST_NS:
                    break
                columns[value_type] = found.columns
                most = max(most, int(np.bincount(found.columns.series).max(initial=0)) if len(found.columns) else 0)
            else:
                if most < SAMPLES // 4:
                    self._length = min(self._length * 2, self._longest)
                return Block(self._tenant, 0, columns), end
            self._length = max(self._length // 4, _LEAST_NS)


def _types(engine: Engine, series: Sequence[int]) -> dict[ValueType, list[int]]:
    found: dict[ValueType, list[int]] = {}
    with reading(engine) as connection:
        for start in range(0, len(series), 500):
            query = select(point.c.id, point.c.value_type).where(point.c.id.in_(series[start : start + 500]))
            for row in connection.execute(query.order_by(point.c.id)):
                found.setdefault(ValueType(row.value_type), []).append(row.id)
    return found
