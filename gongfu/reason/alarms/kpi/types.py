"""Key figures of an alarm system (EEMUA 191 ed. 3; ISA-18.2-2016 §16). docs/alarms.md defines each."""

import msgspec

from gongfu.kernel.times import SECOND

PERIOD = 600 * SECOND
FLOOD_BEGINS_ABOVE = 10
FLOOD_ENDS_BELOW = 5
CHATTER_COUNT = 3
CHATTER_WITHIN = 60 * SECOND
FLEETING_BELOW = 10 * SECOND
STALE_AFTER = 86_400 * SECOND
TOP = 10
# Stale and chattering alarms that are told by name.
NAMED = 50


class PositionFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What one operator position was told.

    Attributes:
        position: its name, empty for assets that belong to none.
        annunciations: in the window.
        average: annunciations by period of 10 minutes.
        peak: in one period.
        percent_periods_over_10: periods with more than 10, percent.
        percent_in_flood: periods in flood, percent; a flood goes from a period with more than 10 to one with fewer
            than 5.
    """

    position: str
    annunciations: int
    average: float
    peak: int
    percent_periods_over_10: float
    percent_in_flood: float


class Offender(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm by name, with a count; ``percent`` is its share of all annunciations."""

    rule_id: int
    rule_name: str
    source: str
    source_key: str
    series: int
    asset_path: str
    point: str
    count: int
    percent: float


class Stale(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm that stands for more than a day."""

    id: str
    rule_name: str
    asset_path: str
    point: str
    priority: str
    raised_at: str


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """Distribution of durations in seconds; zeros where there are none."""

    count: int
    average_s: float
    median_s: float
    p95_s: float


class Flood(msgspec.Struct, frozen=True, kw_only=True):
    """A flood as it was seen while it lasted; ``collapsed`` notifications went into digests."""

    position: str
    began_at: str
    ended_at: str | None
    alarms: int
    peak: int
    collapsed: int


class Kpi(msgspec.Struct, frozen=True, kw_only=True):
    """Key figures of a window, of one position or of all.

    ``rate`` has the annunciations by period; its first begins at ``rate_from``. ``suppressed`` counts what is shelved,
    suppressed by design and out of service at present, and ``raised`` what was raised in the window unseen.
    """

    time_from: str
    time_to: str
    position: str | None
    total: PositionFigures
    positions: list[PositionFigures]
    rate_from: str
    rate: list[int]
    priorities: dict[str, int]
    top: list[Offender]
    top_percent: float
    chattering: list[Offender]
    chattering_alarms: int
    fleeting: int
    fleeting_percent: float
    stale: list[Stale]
    stale_alarms: int
    acknowledge: Times
    standing: Times
    suppressed: dict[str, int]
    floods: list[Flood]
