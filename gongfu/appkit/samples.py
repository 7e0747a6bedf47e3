"""What an app is given of its points: samples, and the windows they come in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of one point in ascending source time, all arrays of one length n >= 0 and read-only.

    Attributes:
        times: ``int64[n]`` source times, UTC nanoseconds.
        values: as the type of the point: ``float64[n]`` (double), ``int64[n]``, ``bool[n]`` (boolean), ``object[n]`` of
            ``str`` (string, and json as JSON text). There is no None among them: a sample without a value is bad.
        qualities: ``uint8[n]``: below 0x40 good, below 0x80 uncertain, else bad (OPC 10000-4 §7.39). The value of a bad
            one means nothing: NaN, 0, False, "" or "null", or what the device sent.
        unit: UCUM code of the values, empty when the point has none.
    """

    times: NDArray[np.int64]
    values: NDArray[Any]
    qualities: NDArray[np.uint8]
    unit: str = ""

    def __len__(self) -> int:
        return len(self.times)

    @property
    def good(self) -> "Samples":
        """The samples that are not bad."""
        keep = self.qualities < 0x80
        return Samples(self.times[keep], self.values[keep], self.qualities[keep], self.unit)


@dataclass(frozen=True, slots=True)
class Window:
    """Samples of the points of one asset with source times in ``[start, end)``, UTC nanoseconds.

    Attributes:
        asset: path of the asset.
        points: samples by name of point; a point without samples in the window is not there.
        state: what the function keeps for this asset from window to window: text, numbers, booleans, bytes, lists and
            dictionaries of these, at most 1 MiB. Change it in place.
        late: samples that came after their window and were left out since the last one.
    """

    asset: str
    start: int
    end: int
    points: Mapping[str, Samples]
    state: dict[str, Any] = field(default_factory=dict[str, Any])
    late: int = 0

    def __getitem__(self, point: str) -> Samples:
        """Return the samples of a point; none when it had none in the window."""
        found = self.points.get(point)
        return found if found is not None else Samples(_NO_TIMES, _NO_VALUES, _NO_QUALITIES)

    def table(self, points: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return points side by side at all source times at which any of them has a good or uncertain sample.

        A point has its last value in the window until then; NaN before the first one. Booleans are 0 and 1; integers
        beyond 2^53 are rounded.

        Args:
            points: names, m of them.

        Returns:
            ``int64[n]`` times, ascending; ``float64[n, m]`` values.

        Raises:
            ValueError: a point is of text.
        """
        columns = [self[name].good for name in points]
        for name, column in zip(points, columns, strict=True):
            if column.values.dtype == object:
                raise ValueError(f"{name!r} is a point of text; a table holds numbers")
        times = np.unique(np.concatenate([column.times for column in columns])) if columns else _NO_TIMES
        table = np.full((len(times), len(columns)), np.nan)
        for place, column in enumerate(columns):
            index = np.searchsorted(column.times, times, side="right") - 1
            known = index >= 0
            table[known, place] = column.values[index[known]]
        return times, table


_NO_TIMES = np.empty(0, np.int64)
_NO_VALUES = np.empty(0, np.float64)
_NO_QUALITIES = np.empty(0, np.uint8)
