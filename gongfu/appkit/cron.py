"""Times by the five fields of cron (POSIX.1-2017, crontab): ``minute hour day month weekday``, in UTC."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_YEARS = 5


@dataclass(frozen=True, slots=True)
class Cron:
    """The values of each field; ``either`` when both day and weekday are restricted, so that one of them suffices."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def next_after(self, moment: int) -> int:
        """Return the first time after a moment, both UTC ns; the moment 100 years on when there is none."""
        when = datetime.fromtimestamp(moment // 10**9, UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        end = when + timedelta(days=366 * _YEARS)
        while when < end:
            if when.month not in self.months or not self._day(when):
                when = when.replace(hour=0, minute=0) + timedelta(days=1)
            elif when.hour not in self.hours:
                when = when.replace(minute=0) + timedelta(hours=1)
            elif when.minute not in self.minutes:
                when += timedelta(minutes=1)
            else:
                return int(when.timestamp()) * 10**9
        return moment + 36_525 * 86_400 * 10**9

    def _day(self, when: datetime) -> bool:
        day, weekday = when.day in self.days, when.isoweekday() % 7 in self.weekdays
        return day or weekday if self.either else day and weekday


def parse_cron(text: str) -> Cron:
    """Return the times a text means.

    Raises:
        ValueError: it is not five fields of ``*``, numbers, ranges, lists and steps.
    """
    parts = text.split()
    if len(parts) != 5:
        raise ValueError(f"cron has five fields, 'minute hour day month weekday', not {text!r}")
    sets = [_field(part, *field) for part, field in zip(parts, _FIELDS, strict=True)]
    weekdays = frozenset(day % 7 for day in sets[4])
    return Cron(text, sets[0], sets[1], sets[2], sets[3], weekdays, parts[2] != "*" and parts[4] != "*")


def _field(text: str, name: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        try:
            if span == "*":
                begin, end = low, high
            else:
                begin = int(first)
                end = int(last) if dash else high if step else begin
            width = int(step) if step else 1
        except ValueError:
            raise ValueError(f"{name} of cron: {part!r} is not a number, a range, a list or a step") from None
        if not low <= begin <= end <= high or width < 1:
            raise ValueError(f"{name} of cron: {part!r} is not within {low} to {high}")
        found.update(range(begin, end + 1, width))
    return frozenset(found)
