"""Tables of the kinds that look at one sample, at the rate between samples, and at their absence."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.reason.rules.instances import Columns, InstanceTable
from gongfu.reason.rules.kernels import evaluate_absence, evaluate_threshold, tick_absence
from gongfu.reason.rules.rate import Windows, empty_windows, evaluate_rate
from gongfu.reason.rules.state import Changes, Samples


class ThresholdTable(InstanceTable):
    """Thresholds."""

    def _evaluate(self, samples: Samples) -> tuple[Changes, int]:
        return evaluate_threshold(self.state, self.limits, samples)


class RateTable(InstanceTable):
    """Rates of change; see ``rate.Windows`` for what an instance keeps."""

    _shifted = 0.0

    def _fresh(self, rule: NDArray[np.int32]) -> Columns:
        windows = empty_windows(len(rule))
        return {"window_times": windows.times, "window_values": windows.values}

    def _evaluate(self, samples: Samples) -> tuple[Changes, int]:
        windows = Windows(self.extra["window_times"], self.extra["window_values"])
        return evaluate_rate(self.state, windows, self.limits, samples)


class AbsenceTable(InstanceTable):
    """Absences; an instance's time-out is repeated for it, since it is asked for every second."""

    _timeout: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    def _view(self, size: int) -> None:
        super()._view(size)
        self._timeout = self.limits.window[self.rule]

    def _evaluate(self, samples: Samples) -> tuple[Changes, int]:
        return evaluate_absence(self.state, self._timeout, samples)

    def _elapse(self, now: int, floor: int) -> Changes:
        clock: Any = self._source_clock(now, floor)
        return tick_absence(self.state, self._timeout, now, floor, clock)
