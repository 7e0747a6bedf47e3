"""Parameters of rules as columns of the kernels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gongfu.reason.rules.conditions import AbsenceCondition, PatternCondition, RateCondition
from gongfu.reason.rules.state import Limits
from gongfu.reason.rules.types import Rule, nanoseconds


def limits_of(rules: Sequence[Rule], of: NDArray[np.int32]) -> Limits:
    """Return the parameters of rules; ``of`` is the rule of each instance."""
    sign, limit, deadband = np.ones(len(rules)), np.zeros(len(rules)), np.zeros(len(rules))
    on, off, window = (np.zeros(len(rules), dtype=np.int64) for _ in range(3))
    for at, rule in enumerate(rules):
        condition = rule.condition
        if isinstance(condition, AbsenceCondition):
            window[at] = nanoseconds(condition.timeout_s)
            continue
        on[at], off[at] = nanoseconds(condition.delay_s), nanoseconds(condition.off_delay_s)
        if isinstance(condition, PatternCondition):
            # Truth is 1, 0 or NaN.
            limit[at] = 0.5
            continue
        sign[at] = -1.0 if condition.direction == "below" else 1.0
        if isinstance(condition, RateCondition):
            # A falling rate beyond -per_s is a signed rate above per_s.
            limit[at] = condition.per_s
            window[at] = nanoseconds(condition.window_s)
        else:
            limit[at] = sign[at] * condition.limit
        deadband[at] = condition.deadband
    return Limits(sign, limit, limit - deadband, on, off, window, of)
