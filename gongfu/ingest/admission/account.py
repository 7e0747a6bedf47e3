"""What a front door knows of one device: its quota, what it sends now, why it waits."""

import math

from gongfu.ingest.admission.limiter import Limiter
from gongfu.ingest.types import Writer

WINDOW_S = 1.0
DEVICE_QUOTA = "device_quota"
TENANT_QUOTA = "tenant_quota"
FAIR_SHARE = "fair_share"


# Shared by all that never had to wait: an account is small, there may be a million.
_NO_DELAY: dict[str, float] = {}
_NO_DELAY_MS: dict[str, int] = {}
_NO_RATES = (0.0, 0.0, 0.0)
_NO_WINDOW = (0, 0, 0)
_NEVER = -math.inf


class Group:
    """A tenant: its limiter and its number of accounts."""

    __slots__ = ("accounts", "key", "limiter")

    def __init__(self, key: int, limiter: Limiter) -> None:
        self.key = key
        self.limiter = limiter
        self.accounts = 0


class Account:
    """A device with connections here, one object for all of them.

    Attributes:
        writer: the device.
        limiter, group: its own quota, and its tenant's.
        counts: there is a limit of points, messages or bytes to be charged.
        users: number of connections.
        rolls_at: when ``roll`` has something to do; 0 before the first message.
        turn, credit: the moment (as the event loop tells it) and what may still be read directly in it.
        shut: time before which everything of this device waits for its turn.
        over_since: since when it is over quota without a pause, None when it is not.
        points, messages, bytes: totals since the account was opened.
        delayed: seconds its connections waited, by reason, not yet written to the drop counts.
        delayed_ms: milliseconds its connections have waited since the account was opened, by reason.
        waiting: connections that wait now.
        held_bytes: bytes that were read and wait to be handled.
        stopped: so many that no connection of the device is read.
    """

    __slots__ = (
        "_rates",
        "_window",
        "bytes",
        "counts",
        "credit",
        "delayed",
        "delayed_ms",
        "group",
        "held_bytes",
        "limiter",
        "messages",
        "over_since",
        "points",
        "rolls_at",
        "shut",
        "stopped",
        "turn",
        "users",
        "waiting",
        "writer",
    )

    def __init__(self, writer: Writer, limiter: Limiter, group: Group) -> None:
        self.writer = writer
        self.limiter = limiter
        self.group = group
        self.counts = limiter.limited or group.limiter.limited
        self.users = 0
        self.turn = _NEVER
        self.credit = 0.0
        self.shut = 0.0
        self.over_since: float | None = None
        self.points = self.messages = self.bytes = 0
        self.delayed = _NO_DELAY
        self.delayed_ms = _NO_DELAY_MS
        self.waiting = 0
        self.held_bytes = 0
        self.stopped = False
        self._window = _NO_WINDOW
        self.rolls_at = 0.0
        self._rates = _NO_RATES

    def take(self, points: int, messages: int, size: int, now: float) -> None:
        """Charge what was read."""
        self.points += points
        self.messages += messages
        self.bytes += size
        if self.counts:
            if self.limiter.limited:
                self.limiter.take(points, messages, size, now)
            if self.group.limiter.limited:
                self.group.limiter.take(points, messages, size, now)

    def roll(self, now: float) -> None:
        """Begin a new second of the rates when the last is over; the first begins with the first message."""
        if not self.rolls_at:
            self.rolls_at = now + WINDOW_S
            return
        passed = now - self.rolls_at + WINDOW_S
        if passed >= WINDOW_S:
            points, messages, size = self._window
            self._rates = (
                (self.points - points) / passed,
                (self.messages - messages) / passed,
                (self.bytes - size) / passed,
            )
            self._window = (self.points, self.messages, self.bytes)
            self.rolls_at = now + WINDOW_S

    def rates(self, now: float) -> tuple[float, float, float]:
        """Return points, messages and bytes per second of the last second or so."""
        self.roll(now)
        return self._rates

    def over_quota(self, now: float) -> str:
        """Return why nothing may be read now, empty when something may."""
        if self.limiter.shut > now:
            return DEVICE_QUOTA
        return TENANT_QUOTA if self.group.limiter.shut > now else ""

    def wait(self, now: float) -> float:
        """Return the seconds until the quotas let something through again."""
        return max(self.limiter.shut - now, self.group.limiter.shut - now, 0.0)

    def look_at_pause(self, now: float) -> None:
        """Notice that the device has paused for so long that half of its burst is there again."""
        if self.over_since is not None and self.limiter.rested(now) and self.group.limiter.rested(now):
            self.over_since = None

    def waited(self, reason: str, seconds: float) -> None:
        """Count for how long a connection had to wait."""
        if self.delayed is _NO_DELAY:
            self.delayed, self.delayed_ms = {}, {}
        self.delayed[reason] = self.delayed.get(reason, 0.0) + seconds

    def take_delays(self) -> dict[str, int]:
        """Return the whole milliseconds that were counted since the last call, by reason."""
        whole: dict[str, int] = {}
        for reason, seconds in self.delayed.items():
            if milliseconds := int(seconds * 1000):
                whole[reason] = milliseconds
                self.delayed[reason] -= milliseconds / 1000
                self.delayed_ms[reason] = self.delayed_ms.get(reason, 0) + milliseconds
        return whole

    def sheds(self, reason: str) -> bool:
        """Return whether the policy of a quota is to refuse."""
        return (self.limiter if reason == DEVICE_QUOTA else self.group.limiter).sheds

    def messages_left(self, now: float, most: int) -> int:
        """Return how many messages may be read at once, from 1 to ``most``, going by the size of those before."""
        if not self.counts:
            return most
        # Of the first messages nothing is known: one at a time.
        points = self.points / self.messages if self.messages else math.inf
        size = self.bytes / self.messages if self.messages else math.inf
        left: float = most
        for limiter in (self.limiter, self.group.limiter):
            if limiter.limited:
                left = min(left, limiter.messages_left(now, points, size))
        return max(1, int(left))
