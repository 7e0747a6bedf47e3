"""What a back-test is asked and what it tells. Times are RFC 3339 outside, UTC ns inside."""

from typing import Annotated, Literal

import msgspec

from gongfu.reason.rules.types import RuleBody

State = Literal["running", "done", "failed", "cancelled"]


class BacktestBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Request of POST /v1/rules:backtest: the rule as it would be written, the range, and perhaps fewer assets than the
    rule applies to."""

    rule: RuleBody
    start: Annotated[str, msgspec.Meta(max_length=40)] = msgspec.field(name="from")
    to: Annotated[str, msgspec.Meta(max_length=40)]
    assets: Annotated[list[str], msgspec.Meta(max_length=1000)] = []


class WouldBe(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm that the rule would have raised. ``returned_at`` is null when it stood at the end of the range."""

    series: int
    asset_path: str
    point: str
    raised_at: str
    returned_at: str | None
    value: float | None


class Day(msgspec.Struct, frozen=True):
    """Alarms raised in a day (UTC, or that of the zone asked for)."""

    day: str
    raised: int


class Offender(msgspec.Struct, frozen=True, kw_only=True):
    """A series with many alarms; ``chattering`` are those within a minute of two others of its (ISA-18.2)."""

    series: int
    asset_path: str
    point: str
    raised: int
    chattering: int
    active_s: float


class Durations(msgspec.Struct, frozen=True, kw_only=True):
    """How long alarms stood, s; those that stood at the end count as long as they had stood."""

    median: float
    p95: float
    longest: float
    total: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Against the alarms that were on the same points in the range.

    Attributes:
        real: alarms that were.
        both: would-be alarms that overlap with one that was.
        new: would-be alarms that overlap with none.
        missed: alarms that were and overlap with no would-be alarm.
    """

    real: int
    both: int
    new: int
    missed: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What the rule would have done.

    Attributes:
        series: instances that were looked at.
        samples: samples that were read, without those of bad quality and those that are no finite numbers.
        left_out: samples of bad quality or that are no finite numbers.
        raised: alarms raised, all of them.
        alarms: the first of them, in order of time; ``more`` are not listed.
        more: alarms beyond those.
        days: alarms by day, every day of the range.
        standing: alarms that stood at the end.
        chattering: alarms that chattered.
        peak: most alarms in ten minutes (EEMUA 191 calls more than 10 a flood).
        durations: how long they stood; null without alarms.
        offenders: the ten series with most alarms.
        comparison: with the alarms that were; null when they could not be read.
        seconds: CPU time it took beside that of the history.
    """

    series: int
    samples: int
    left_out: int
    raised: int
    alarms: list[WouldBe]
    more: int
    days: list[Day]
    standing: int
    chattering: int
    peak: int
    durations: Durations | None
    offenders: list[Offender]
    comparison: Comparison | None
    seconds: float


class Backtest(msgspec.Struct, frozen=True, kw_only=True):
    """A back-test as the API shows it. ``progress`` is 0 to 1; ``error`` is for people."""

    id: str
    state: State
    progress: float
    samples: int
    name: str
    start: str = msgspec.field(name="from")
    to: str
    started_at: str
    error: str = ""
    warning: str = ""
    result: Result | None = None


class Instances(msgspec.Struct, frozen=True, kw_only=True):
    """What the process of a back-test gets of an assignment: lists in the place of columns; factor and offset of
    patterns row after row."""

    series: list[int]
    labels: list[int] | None = None
    members: list[list[int]] | None = None
    factor: list[float] | None = None
    offset: list[float] | None = None


class Source(msgspec.Struct, frozen=True):
    """Series of one value type that one node of the history has."""

    url: str
    value_type: int
    series: list[int]


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What the process of a back-test reads from its standard input; times are UTC ns."""

    user: str
    password: str
    sources: list[Source]
    body: RuleBody
    instances: Instances
    time_from: int
    time_to: int
    memory_bytes: int


class Told(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of its standard output: progress, at the end the alarms (series, raised, returned or -1, value)."""

    progress: float = 0.0
    samples: int = 0
    left_out: int = 0
    alarms: list[tuple[int, int, int, float | None]] | None = None
    raised: int = 0
    seconds: float = 0.0
    error: str = ""
