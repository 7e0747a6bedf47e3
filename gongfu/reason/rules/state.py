"""Columns of rule instances: one instance is one rule on one series.

A *transition* is the raise or the return of one instance, with its source time.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.store.twins.latest import NEVER

Instances = NDArray[np.uint32]
# Broadcasts against any number of instances.
_ONLY = np.zeros(1, dtype=np.int32)


@dataclass(slots=True)
class LatchState:
    """State of m threshold or rate instances; 35 bytes each.

    Attributes:
        last_time: ``int64[m]`` source time of the newest sample evaluated, ``NEVER`` before the first.
        seen: ``int64[m]`` ingest time of that sample.
        latched: ``bool[m]`` the condition after the deadband, before the delays.
        since: ``int64[m]`` source time at which ``latched`` took its present value.
        since_value: ``float64[m]`` the value at that time.
        active: ``bool[m]`` the condition after the delays: an alarm is raised.
        raised_at: ``int64[m]`` source time of the last raise.
        withheld: ``bool[m]`` active, but the alarm was withheld because the rule raised too many.
    """

    last_time: NDArray[np.int64]
    seen: NDArray[np.int64]
    latched: NDArray[np.bool_]
    since: NDArray[np.int64]
    since_value: NDArray[np.float64]
    active: NDArray[np.bool_]
    raised_at: NDArray[np.int64]
    withheld: NDArray[np.bool_]


def empty_state(m: int) -> LatchState:
    """Return the state of m instances that have seen nothing."""
    return LatchState(
        last_time=np.full(m, NEVER, dtype=np.int64),
        seen=np.zeros(m, dtype=np.int64),
        latched=np.zeros(m, dtype=np.bool_),
        since=np.zeros(m, dtype=np.int64),
        since_value=np.full(m, np.nan),
        active=np.zeros(m, dtype=np.bool_),
        raised_at=np.zeros(m, dtype=np.int64),
        withheld=np.zeros(m, dtype=np.bool_),
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """Parameters of k threshold or rate rules, turned so that every direction is ``above``, and the rule of each of m
    instances: millions of instances have a few rules, so nothing is repeated for each instance.

    Attributes:
        sign: ``float64[k]`` 1 for above, -1 for below; values are multiplied by it.
        raise_above: ``float64[k]`` true when signed value > this.
        return_at: ``float64[k]`` false when signed value <= this.
        on_delay: ``int64[k]`` ns.
        off_delay: ``int64[k]`` ns.
        window: ``int64[k]`` ns for rates, 0 for thresholds.
        rule: ``int32[m]`` position of the rule of each instance in the others.
    """

    sign: NDArray[np.float64]
    raise_above: NDArray[np.float64]
    return_at: NDArray[np.float64]
    on_delay: NDArray[np.int64]
    off_delay: NDArray[np.int64]
    window: NDArray[np.int64]
    rule: NDArray[np.int32]

    def of(self, instances: NDArray[Any]) -> NDArray[np.int32]:
        """Return the positions of the rules of some instances; one that stands for all when there is one rule."""
        return self.rule[instances] if len(self.sign) != 1 else _ONLY


@dataclass(frozen=True, slots=True)
class Samples:
    """Rows for instances: every array has one length n; an instance's rows are in order of arrival."""

    instances: Instances
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    ingested: int

    def __len__(self) -> int:
        return len(self.instances)


@dataclass(frozen=True, slots=True)
class Changes:
    """Transitions of instances; those of one instance follow each other in time.

    Attributes:
        instances: ``uint32[k]``.
        raised: ``bool[k]`` True for a raise, False for a return.
        times: ``int64[k]`` source times.
        raised_at: ``int64[k]`` source time of the raise that this is or that this ends.
        values: ``float64[k]`` the value that crossed; NaN when there is none.
    """

    instances: Instances
    raised: NDArray[np.bool_]
    times: NDArray[np.int64]
    raised_at: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.instances)

    def where(self, chosen: NDArray[Any]) -> "Changes":
        """Return some of them, by mask or by positions."""
        return Changes(*(getattr(self, field.name)[chosen] for field in fields(self)))


NO_CHANGES = Changes(
    np.zeros(0, dtype=np.uint32),
    np.zeros(0, dtype=np.bool_),
    np.zeros(0, dtype=np.int64),
    np.zeros(0, dtype=np.int64),
    np.zeros(0),
)
