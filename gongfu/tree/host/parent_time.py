"""The parent's time: own clock plus the measured offset, steady when the own clock is set."""

import time
from collections.abc import Callable

from gongfu.kernel.times import Clock, SystemClock

# Goes on while the machine sleeps; Linux has it.
_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
# Less is the slewing of the clock, which pings measure anyway.
_STEP = 1_000_000


def boot_time() -> int:
    """Return monotonic nanoseconds that go on while the machine sleeps, as its clock does."""
    return time.clock_gettime_ns(_BOOT)


class ParentTime:
    """Own clock, monotonic time, and the parent's time that follows from both."""

    def __init__(self, clock: Clock | None = None, monotonic: Callable[[], int] = boot_time) -> None:
        """Begin without a parent: its time is the own."""
        self._clock = clock or SystemClock()
        self.monotonic = monotonic
        # Own clock minus monotonic time.
        self.wall_base = self._clock.now_ns() - monotonic()
        # The parent's clock minus monotonic time. One value, since other threads read it.
        self._parent_base: int | None = None

    def wall(self) -> int:
        """Return the own clock, UTC ns."""
        return self._clock.now_ns()

    def now(self) -> int:
        """Return the parent's time, UTC ns; the own without a parent. On any thread."""
        base = self._parent_base
        return self._clock.now_ns() if base is None else self.monotonic() + base

    @property
    def base(self) -> int:
        """The parent's time minus monotonic time: what children are told, so that the whole tree goes by its root."""
        base = self._parent_base
        return self.wall_base if base is None else base

    def set_offset(self, offset: int) -> bool:
        """The parent's clock minus the own is ``offset``; returns whether the parent's time has moved."""
        base = self.wall_base + offset
        moved = base != self._parent_base
        self._parent_base = base
        return moved

    def look(self) -> bool:
        """Look whether the own clock was set: ``wall_base`` is another then. The parent's time goes on as it was."""
        base = self._clock.now_ns() - self.monotonic()
        if abs(base - self.wall_base) < _STEP:
            return False
        self.wall_base = base
        return True
