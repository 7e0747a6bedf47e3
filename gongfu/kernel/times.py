"""Time: UTC nanoseconds since 1970 inside, RFC 3339 outside, and a clock that is passed in."""

import re
import time
from datetime import UTC, datetime
from typing import Protocol

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
MICROSECOND = 1_000

# DateTime64(9) of the history ends in 2262; int64 nanoseconds do too.
MIN_NS = 0
MAX_NS = 9_223_372_036_854_775_807

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)$",
    re.ASCII,
)


class Clock(Protocol):
    """Source of the present time; tests pass their own."""

    def now_ns(self) -> int:
        """Return UTC nanoseconds since 1970-01-01."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        """Return UTC nanoseconds since 1970-01-01."""
        return time.time_ns()


def parse_rfc3339(text: str) -> int:
    """Return UTC nanoseconds of an RFC 3339 date-time (§5.6), up to nine digits of fraction.

    Raises:
        ValueError: not an RFC 3339 date-time with a zone, or before 1970 or after 2262.
    """
    match = _RFC3339.match(text)
    if match is None:
        raise ValueError(f"not an RFC 3339 date-time with a zone: {text!r}")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    moment = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    seconds = int(moment.timestamp())
    if zone not in "Zz":
        sign = 1 if zone[0] == "+" else -1
        seconds -= sign * (int(zone[1:3]) * 3600 + int(zone[4:6]) * 60)
    nanoseconds = seconds * SECOND + int((fraction or "0").ljust(9, "0"))
    if not MIN_NS <= nanoseconds <= MAX_NS:
        raise ValueError(f"time outside 1970 to 2262: {text!r}")
    return nanoseconds


def format_rfc3339(nanoseconds: int) -> str:
    """Return an RFC 3339 date-time in UTC with as many fraction digits (0, 3, 6, 9) as needed."""
    seconds, rest = divmod(nanoseconds, SECOND)
    head = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    if rest == 0:
        return head + "Z"
    digits = f"{rest:09d}"
    if rest % MILLISECOND == 0:
        digits = digits[:3]
    elif rest % MICROSECOND == 0:
        digits = digits[:6]
    return f"{head}.{digits}Z"
