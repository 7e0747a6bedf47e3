"""What the rule engine tells: transitions, and the status of each rule."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Transition:
    """The raise or the return of one rule on one series.

    Attributes:
        rule: rule id.
        series: series id.
        raised: True for a raise.
        time: source time, UTC ns.
        raised_at: source time of the raise that this is, or that this ends.
        value: the value that crossed (for rates, the rate); None when there is none.
        removed: the rule or the point is gone; ``time`` is the time of its removal.
    """

    rule: int
    series: int
    raised: bool
    time: int
    raised_at: int
    value: float | None
    removed: bool = False


@dataclass(slots=True)
class RuleStatus:
    """What a rule does at present.

    Attributes:
        series: series it applies to.
        active: instances whose alarm is raised.
        evaluated: samples evaluated since the worker started.
        withheld: alarms not raised because the rule raised too many at once, since the worker started.
        late: samples that came after their watermark and were left out.
        bad: samples left out because of their quality or because they are no finite numbers.
        waiting: samples that wait for their watermark.
        error: what keeps the rule from working, empty when nothing does.
    """

    series: int = 0
    active: int = 0
    evaluated: int = 0
    withheld: int = 0
    late: int = 0
    bad: int = 0
    waiting: int = 0
    error: str = ""
