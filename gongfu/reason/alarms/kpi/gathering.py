"""Columns of annunciations from rows or from groups of rows. Pure."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gongfu.reason.alarms.kpi.figures import Annunciations


class AlarmName(NamedTuple):
    """What an annunciation is of."""

    rule_id: int
    series: int
    source: str
    source_key: str


class Found(NamedTuple):
    """Annunciations, and what their numbers mean."""

    annunciations: Annunciations
    alarms: list[AlarmName]
    assets: list[str]
    priorities: list[str]


# Rule, series, source, key, asset path, priority.
Name = tuple[int, int, str, str, str, str]


class Gathering:
    """Takes rows and gives columns. It holds 32 bytes a row, and each name once."""

    def __init__(self) -> None:
        self.count = 0
        self._names: dict[Any, int] = {}
        self._numbers: list[NDArray[np.int64]] = []
        self._of: list[NDArray[np.int64]] = []

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add rows of a time, two durations (ns), and the six columns of a name."""
        times, acknowledged, standing, *names = zip(*rows, strict=True)
        give = self._names.setdefault
        self._of.append(np.array([give(name, len(self._names)) for name in zip(*names, strict=True)], dtype=np.int64))
        self._numbers.append(np.array((times, acknowledged, standing), dtype=np.int64).T)
        self.count += len(rows)

    def add_named(self, name: Name, numbers: NDArray[np.int64]) -> None:
        """Add the rows of one name; ``int64[n, 3]``: a time and two durations."""
        number = self._names.setdefault(name, len(self._names))
        self._of.append(np.full(len(numbers), number, dtype=np.int64))
        self._numbers.append(numbers)
        self.count += len(numbers)

    def result(self) -> Found:
        """Return the columns. Alarms, assets and priorities are numbered in order, whatever order the rows had."""
        names: list[Name] = list(self._names)
        alarms, alarm_of = _numbered(AlarmName(*name[:4]) for name in names)
        assets, asset_of = _numbered(name[4] for name in names)
        priorities, priority_of = _numbered(name[5] for name in names)
        of = _joined(self._of, (0,))
        numbers = _joined(self._numbers, (0, 3))
        self._of, self._numbers = [], []
        columns = Annunciations(
            times=np.ascontiguousarray(numbers[:, 0]),
            alarms=alarm_of[of],
            assets=asset_of[of],
            priorities=priority_of[of],
            acknowledged=np.ascontiguousarray(numbers[:, 1]),
            standing=np.ascontiguousarray(numbers[:, 2]),
        )
        return Found(columns, alarms, assets, priorities)


def _joined(parts: list[NDArray[np.int64]], shape: tuple[int, ...]) -> NDArray[np.int64]:
    return np.concatenate(parts) if parts else np.zeros(shape, dtype=np.int64)


def _numbered(items: Iterable[Hashable]) -> tuple[list[Any], NDArray[np.int64]]:
    """Return the different items in order, and for each item its place among them."""
    whole: list[Any] = list(items)
    different = sorted(set(whole))
    place = {item: number for number, item in enumerate(different)}
    return different, np.array([place[item] for item in whole], dtype=np.int64)
