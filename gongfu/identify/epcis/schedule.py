"""Schedules of subscriptions (EPCIS 2.0 §8.2.5.3): when a query is run. Pure; times are UTC."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

_BOUNDS: Final = {
    "second": (0, 59),
    "minute": (0, 59),
    "hour": (0, 23),
    "dayOfMonth": (1, 31),
    "month": (1, 12),
    "dayOfWeek": (1, 7),
}
_RANGE = re.compile(r"\[?(\d{1,2})-(\d{1,2})\]?", re.ASCII)
# A schedule that does not come within these days (29 February within eight years) never comes.
_DAYS = 366 * 8 + 2


class Schedule:
    """When a query is run: allowed values of each field; Monday is day 1 of the week."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        """Read it.

        Args:
            fields: text by name; ``0``, ``0,30``, ``[1-5]``, ``*`` or nothing at all.

        Raises:
            ValueError: it is none, or never comes.
        """
        if not isinstance(fields, Mapping) or not fields:
            raise ValueError("a schedule is an object of second, minute, hour, dayOfMonth, month, dayOfWeek")
        for name in fields:
            if name not in _BOUNDS:
                raise ValueError(f"{name!r} is no field of a schedule")
        # Within a minute a query runs once, unless seconds say otherwise.
        self._allowed = {name: _values(name, fields.get(name, "0" if name == "second" else "*")) for name in _BOUNDS}
        self.next(0)

    def next(self, after: int) -> int:
        """Return the first time behind a time, both UTC nanoseconds.

        Raises:
            ValueError: there is none.
        """
        allowed = self._allowed
        start = datetime.fromtimestamp(after // 1_000_000_000, UTC).replace(microsecond=0) + timedelta(seconds=1)
        day = start.replace(hour=0, minute=0, second=0)
        for _ in range(_DAYS):
            if (
                day.day in allowed["dayOfMonth"]
                and day.month in allowed["month"]
                and day.isoweekday() in allowed["dayOfWeek"]
                and (moment := self._within(day, start)) is not None
            ):
                return int(moment.timestamp()) * 1_000_000_000
            day += timedelta(days=1)
        raise ValueError("the schedule never comes")

    def _within(self, day: datetime, start: datetime) -> datetime | None:
        for hour in self._allowed["hour"]:
            if day.replace(hour=hour, minute=59, second=59) < start:
                continue
            for minute in self._allowed["minute"]:
                if day.replace(hour=hour, minute=minute, second=59) < start:
                    continue
                for second in self._allowed["second"]:
                    if (moment := day.replace(hour=hour, minute=minute, second=second)) >= start:
                        return moment
        return None


def _values(name: str, text: Any) -> tuple[int, ...]:
    low, high = _BOUNDS[name]
    found = set[int]()
    for part in str(text).replace(" ", "").split(","):
        if part in ("*", ""):
            return tuple(range(low, high + 1))
        if match := _RANGE.fullmatch(part):
            first, last = int(match[1]), int(match[2])
        elif part.isascii() and part.isdigit() and len(part) <= 2:
            first = last = int(part)
        else:
            raise ValueError(f"{name}: {part[:20]!r} is neither a number, a range [a-b] nor *")
        if not low <= first <= last <= high:
            raise ValueError(f"{name} is from {low} to {high}: {part!r}")
        found.update(range(first, last + 1))
    return tuple(sorted(found))
