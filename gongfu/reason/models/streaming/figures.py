"""What a model on the stream did since its process started, by slot."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gongfu.store.twins.latest import NEVER

# Notes of assets that are kept, the newest.
_NOTES = 1000


class Figures:
    """Counts by slot, and the last error.

    Attributes:
        rows: int64[s], rows computed.
        lost: int64[s], rows that were not, because the model failed.
        odd: int64[s], rows computed with an output that is no number.
        last_at: int64[s], source time of the last row computed, UTC ns; NEVER before the first.
        failing: bool[s], its last row was not computed.
        error: the last failure, empty while all is well.
        cpu_s: CPU seconds of the model's process.
        calls: calls of the model.
        notes: what the model said of single assets, by asset id.
    """

    def __init__(self) -> None:
        self.rows: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.lost: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.odd: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.last_at: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.failing: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        self.error = ""
        self.cpu_s = 0.0
        self.calls = 0
        self.notes: dict[int, str] = {}

    def grow(self, slots: int) -> None:
        """Have at least so many slots."""
        more = slots - len(self.rows)
        if more > 0:
            none = np.zeros(more, dtype=np.int64)
            self.rows, self.lost = np.concatenate([self.rows, none]), np.concatenate([self.lost, none])
            self.odd = np.concatenate([self.odd, none])
            self.last_at = np.concatenate([self.last_at, np.full(more, NEVER, dtype=np.int64)])
            self.failing = np.concatenate([self.failing, np.zeros(more, dtype=np.bool_)])

    def forget(self, slots: NDArray[np.int64]) -> None:
        """Begin some slots anew."""
        self.rows[slots] = self.lost[slots] = self.odd[slots] = 0
        self.last_at[slots] = NEVER
        self.failing[slots] = False

    def evaluated(
        self,
        slots: NDArray[np.int64],
        times: NDArray[np.int64],
        columns: Mapping[str, NDArray[np.float64]],
        cpu_s: float,
        notes: Mapping[int, str],
    ) -> None:
        """Count rows that were computed; ordered by slot and time."""
        np.add.at(self.rows, slots, 1)
        odd = np.zeros(len(slots), dtype=np.bool_)
        for column in columns.values():
            odd |= ~np.isfinite(column)
        np.add.at(self.odd, slots[odd], 1)
        self.last_at[slots] = times
        self.failing[slots] = False
        self.error = ""
        self.cpu_s += cpu_s
        self.calls += 1
        for asset, note in notes.items():
            self.notes.pop(asset, None)
            if len(self.notes) >= _NOTES:
                self.notes.pop(next(iter(self.notes)))
            self.notes[asset] = note

    def failed(self, slots: NDArray[np.int64], error: str, *, whole: bool = False) -> None:
        """Count rows that were not computed; ``whole``: the call did not come back well."""
        np.add.at(self.lost, slots, 1)
        self.failing[slots] = True
        self.error = error
        self.calls += whole
