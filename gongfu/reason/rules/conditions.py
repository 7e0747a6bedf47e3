"""Conditions of rules, one structure a kind, checked when they are written, not when they run."""

import math
from enum import StrEnum
from typing import Any, Literal

import msgspec

from gongfu.kernel.errors import invalid

Direction = Literal["above", "below"]

MAX_SECONDS = 31 * 86_400.0
# Panes a sliding window may be made of: each keeps eight numbers an instance.
MAX_PANES = 60
MAX_STEPS = 5


class Kind(StrEnum):
    """What a rule looks at."""

    THRESHOLD = "threshold"
    RATE = "rate"
    ABSENCE = "absence"
    WINDOW = "window"
    PATTERN = "pattern"
    DEVIATION = "deviation"


class Aggregate(StrEnum):
    """What a window's samples become; ``stddev`` is that of a sample (n - 1), ``range`` is maximum minus minimum,
    ``delta`` is last minus first."""

    MEAN = "mean"
    MINIMUM = "min"
    MAXIMUM = "max"
    SUM = "sum"
    COUNT = "count"
    STDDEV = "stddev"
    RANGE = "range"
    FIRST = "first"
    LAST = "last"
    DELTA = "delta"


class ThresholdCondition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The value passes a limit.

    ``above``: true when value > limit, false again when value <= limit - deadband; in between it stays as it was.
    ``below`` is the mirror image. The alarm is raised when this has been true for ``delay_s`` of source time without a
    break (on-delay) and returns when it has been false for ``off_delay_s`` (off-delay). Booleans count as 0 and 1.
    """

    direction: Direction
    limit: float
    deadband: float = 0.0
    delay_s: float = 0.0
    off_delay_s: float = 0.0


class RateCondition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The value changes faster than ``per_s`` (units of the point a second, positive): ``above`` rising, ``below``
    falling.

    The rate at a sample is its difference to the newest sample that is at least ``window_s`` older (to within a
    sixteenth of the window), divided by the time between them; until there is such a sample the rate is not known and
    changes nothing. Deadband (in units a second) and delays work on the rate as they do on a threshold's value.
    """

    direction: Direction
    per_s: float
    window_s: float
    deadband: float = 0.0
    delay_s: float = 0.0
    off_delay_s: float = 0.0


class AbsenceCondition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """No usable sample for ``timeout_s``. Raised at the time of the last sample plus the timeout; returns with the
    next sample. A gap found later in the source times is raised and returned too."""

    timeout_s: float


class WindowCondition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An aggregate over a window of source time passes a limit.

    ``tumbling``: ``[k size_s, (k + 1) size_s)`` since 1970. ``sliding``: ``[t - size_s, t)`` at every ``t`` that is a
    multiple of ``every_s``, of which ``size_s`` is a multiple. ``session``: samples less than ``gap_s`` apart. The
    aggregate is compared at the window's end (a session's: its last sample plus ``gap_s``), with deadband and delays as
    a threshold's value. A window without samples has count and sum 0; its other aggregates are not known and change
    nothing.
    """

    window: Literal["tumbling", "sliding", "session"]
    aggregate: Aggregate
    direction: Direction
    limit: float
    size_s: float | None = None
    every_s: float | None = None
    gap_s: float | None = None
    deadband: float = 0.0
    delay_s: float = 0.0
    off_delay_s: float = 0.0


class PatternCondition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An expression over points of an asset and of the assets below it, or several of them in order.

    ``expression`` is true or false at every sample of one of its points, with the latest value of each. A value older
    than ``tolerance_s`` is not known; what cannot be decided without it changes nothing. ``sequence``: the first
    expression is true, and later (by source time) the next one, and so on to the last, all within ``within_s``; the
    alarm stands until the last one is false. See ``expressions`` for what may be written.
    """

    expression: str | None = None
    sequence: list[str] | None = None
    within_s: float | None = None
    tolerance_s: float = 60.0
    delay_s: float = 0.0
    off_delay_s: float = 0.0

    @property
    def steps(self) -> list[str]:
        """The expressions in order; a pattern that is no sequence has one."""
        return self.sequence if self.sequence is not None else [self.expression or ""]


class DeviationCondition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A point differs from the ``against`` (median, mean) of the same points of other assets.

    The others are those with the same parent asset (``siblings``) or ``all`` the rule applies to. Every ``every_s`` of
    source time the latest values, those not older than ``tolerance_s``, are compared: the value minus the reference,
    above or below ``limit``, ``either`` for its absolute value; with ``relative`` in percent of the reference. Fewer
    than ``at_least`` values, the asset's own among them, change nothing.
    """

    against: Literal["median", "mean"]
    among: Literal["siblings", "all"] = "siblings"
    direction: Literal["above", "below", "either"]
    limit: float
    relative: bool = False
    every_s: float = 10.0
    tolerance_s: float = 60.0
    at_least: int = 3
    deadband: float = 0.0
    delay_s: float = 0.0
    off_delay_s: float = 0.0


Condition = (
    ThresholdCondition | RateCondition | AbsenceCondition | WindowCondition | PatternCondition | DeviationCondition
)

CONDITIONS: dict[Kind, type[Condition]] = {
    Kind.THRESHOLD: ThresholdCondition,
    Kind.RATE: RateCondition,
    Kind.ABSENCE: AbsenceCondition,
    Kind.WINDOW: WindowCondition,
    Kind.PATTERN: PatternCondition,
    Kind.DEVIATION: DeviationCondition,
}
# Kinds that look at several points, which do not arrive in the order of each other.
SEVERAL_POINTS = frozenset({Kind.PATTERN, Kind.DEVIATION})
DEFAULT_LATENESS_S = 2.0

_POSITIVE = ("window_s", "timeout_s", "size_s", "every_s", "gap_s", "within_s", "tolerance_s")


def parse_condition(kind: Kind, document: dict[str, Any]) -> Condition:
    """Return the condition in a document.

    Raises:
        Problem: 400; the detail names the member and what is wrong with it.
    """
    try:
        condition = msgspec.convert(document, type=CONDITIONS[kind])
    except msgspec.ValidationError as error:
        raise invalid(f"condition of a {kind} rule: {error}") from None
    for name in condition.__struct_fields__:
        value = getattr(condition, name)
        if not isinstance(value, float):
            continue
        if not math.isfinite(value):
            raise invalid(f"condition.{name} must be a finite number")
        if name == "deadband" and value < 0:
            raise invalid("condition.deadband must not be negative")
        if name in ("delay_s", "off_delay_s") and not 0 <= value <= MAX_SECONDS:
            raise invalid(f"condition.{name} must be 0 to {MAX_SECONDS:g} seconds")
        if name in _POSITIVE and not 0.001 <= value <= MAX_SECONDS:
            raise invalid(f"condition.{name} must be 0.001 to {MAX_SECONDS:g} seconds")
        if name == "per_s" and value <= 0:
            raise invalid("condition.per_s must be positive; the direction says rising (above) or falling (below)")
    if isinstance(condition, WindowCondition):
        _check_window(condition)
    elif isinstance(condition, PatternCondition):
        _check_pattern(condition)
    elif isinstance(condition, DeviationCondition):
        _check_deviation(condition)
    return condition


def _check_window(condition: WindowCondition) -> None:
    needed = {"tumbling": ("size_s",), "sliding": ("size_s", "every_s"), "session": ("gap_s",)}[condition.window]
    for name in ("size_s", "every_s", "gap_s"):
        there = getattr(condition, name) is not None
        if there != (name in needed):
            word = "needs" if not there else "has no"
            raise invalid(f"condition.{name}: a {condition.window} window {word} {name}")
    if condition.window == "sliding":
        assert condition.size_s is not None
        assert condition.every_s is not None
        panes = condition.size_s / condition.every_s
        if abs(panes - round(panes)) > 1e-9 or not 1 <= round(panes) <= MAX_PANES:
            raise invalid(f"condition.size_s must be 1 to {MAX_PANES} times every_s, and a multiple of it")


def _check_pattern(condition: PatternCondition) -> None:
    if (condition.expression is None) == (condition.sequence is None):
        raise invalid("condition: a pattern rule has either expression or sequence")
    if condition.sequence is None:
        if condition.within_s is not None:
            raise invalid("condition.within_s belongs to a sequence")
    elif not 2 <= len(condition.sequence) <= MAX_STEPS:
        raise invalid(f"condition.sequence has 2 to {MAX_STEPS} expressions")
    elif condition.within_s is None:
        raise invalid("condition.within_s: a sequence needs it")
    from gongfu.reason.rules.expressions import compile_steps

    compile_steps(tuple(condition.steps), sequence=condition.sequence is not None)


def _check_deviation(condition: DeviationCondition) -> None:
    if not 2 <= condition.at_least <= 100_000:
        raise invalid("condition.at_least must be 2 to 100000")
    if condition.direction == "either" and condition.limit < 0:
        raise invalid("condition.limit must not be negative when the direction is either")
