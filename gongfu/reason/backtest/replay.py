"""A rule over columns that come in order of time: the engine of the worker, and what need not be asked of it left out.

A threshold changes its mind only when a value comes to lie in another band (beyond the limit, back by the deadband,
between) than the value before. Of values that stay in a band only the first matters, and the last for how long it
lasted; the others are dropped before the engine sees them. What it tells is the same (property test).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.block import Block, Columns
from gongfu.kernel.points import ValueType
from gongfu.reason.rules.conditions import ThresholdCondition
from gongfu.reason.rules.engine import RuleEngine
from gongfu.reason.rules.instances import Assignment
from gongfu.reason.rules.transitions import Transition
from gongfu.reason.rules.types import Rule
from gongfu.store.twins.latest import Twins

# Alarms beyond this are counted, not kept.
MAX_ALARMS = 200_000


@dataclass(slots=True)
class Replay:
    """The alarms a rule raises; ``take`` columns, then ``finish``.

    Attributes:
        raised: number of alarms.
        alarms: (series, raised, returned or -1, value) in the order in which they return or the end finds them.
    """

    assignment: Assignment
    time_from: int
    whole: bool = False
    raised: int = 0
    left_out: int = 0
    samples: int = 0
    alarms: list[tuple[int, int, int, float | None]] = field(default_factory=list[tuple[int, int, int, float | None]])
    _open: dict[int, tuple[int, float | None]] = field(default_factory=dict[int, tuple[int, float | None]])
    _engine: RuleEngine = field(default_factory=lambda: RuleEngine(1 << 60))

    def __post_init__(self) -> None:
        """Begin with nothing known at the beginning of the range."""
        self._engine.assign([self.assignment], Twins(), self.time_from)

    def take(
        self, series: NDArray[np.uint32], times: NDArray[np.int64], values: NDArray[Any], value_type: ValueType
    ) -> None:
        """Take samples of good or uncertain quality, of each series in order of time."""
        if not len(series):
            return
        if values.dtype.kind == "f":
            finite = np.isfinite(values)
            if not bool(finite.all()):
                self.left_out += len(values) - int(np.count_nonzero(finite))
                series, times, values = series[finite], times[finite], values[finite]
        self.samples += len(series)
        if not len(series):
            return
        kept = None if self.whole else interesting(self.assignment, series, values)
        if kept is not None:
            series, times, values = series[kept], times[kept], values[kept]
        columns = Columns(series, times, np.zeros(len(series), dtype=np.uint8), values)
        self._note(self._engine.evaluate(Block(1, int(times[-1]), {value_type: columns})))

    def finish(self, time_to: int) -> None:
        """Let time pass until the end of the range; alarms that stand then are noted without a return."""
        self._engine.follow_sources(self.time_from)
        # What waits may wait again for what follows from it.
        for _ in range(2):
            self._note(self._engine.tick(time_to, 0))
        for series, (at, value) in sorted(self._open.items()):
            self._keep((series, at, -1, value))
        self._open.clear()

    def _note(self, transitions: list[Transition]) -> None:
        for item in transitions:
            if item.raised:
                self.raised += 1
                self._open[item.series] = (item.raised_at, item.value)
                continue
            at, value = self._open.pop(item.series, (item.raised_at, None))
            self._keep((item.series, at, item.time, value))

    def _keep(self, alarm: tuple[int, int, int, float | None]) -> None:
        if len(self.alarms) < MAX_ALARMS:
            self.alarms.append(alarm)


def interesting(assignment: Assignment, series: NDArray[np.uint32], values: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return which samples can change what the engine tells, None where all of them may.

    Kept are the first and the last of each series, and each whose band is not that of the one before.
    """
    rule: Rule = assignment.rule
    condition = rule.condition
    if not isinstance(condition, ThresholdCondition) or assignment.factor is not None:
        return None
    sign = 1.0 if condition.direction == "above" else -1.0
    limit = sign * condition.limit
    # As the kernel does it, to the last bit: signed values against signed limits.
    signed = values.astype(np.float64, copy=False)
    if sign < 0:
        signed = -signed
    over, under = signed > limit, signed <= limit - condition.deadband
    kept = np.ones(len(values), dtype=np.bool_)
    np.not_equal(over[1:], over[:-1], out=kept[1:])
    kept[1:] |= under[1:] != under[:-1]
    if int(series[0]) != int(series[-1]) or bool((series[1:] != series[:-1]).any()):
        turn = series[1:] != series[:-1]
        kept[1:] |= turn
        kept[:-1] |= turn
    kept[-1] = True
    return kept
