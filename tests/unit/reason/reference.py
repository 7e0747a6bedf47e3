"""Slow scalar reference of the rule kernels: one sample of one instance at a time, written from the definitions."""

from dataclasses import dataclass, field

Transition = tuple[bool, int, int]  # raised, source time, source time of the raise


@dataclass
class Latch:
    """Deadband, then delays."""

    above: bool
    limit: float
    deadband: float
    on_delay: int
    off_delay: int
    last: int | None = None
    latched: bool = False
    since: int = 0
    active: bool = False
    raised_at: int = 0
    ignored: int = 0
    transitions: list[Transition] = field(default_factory=list)

    def elapse(self, until: int) -> None:
        """The condition has been what it is until a time."""
        delay = self.on_delay if self.latched else self.off_delay
        if self.latched != self.active and until - self.since >= delay:
            self.active = self.latched
            at = self.since + delay
            if self.active:
                self.raised_at = at
            else:
                at = max(at, self.raised_at)
            self.transitions.append((self.active, at, self.raised_at))

    def take(self, time: int, value: float | None) -> None:
        """``value`` None: not known."""
        if self.last is not None and time <= self.last:
            self.ignored += 1
            return
        self.last = time
        self.elapse(time)
        condition = self.latched
        if value is not None:
            signed, limit = (value, self.limit) if self.above else (-value, -self.limit)
            if signed > limit:
                condition = True
            elif signed <= limit - self.deadband:
                condition = False
        if condition != self.latched:
            self.latched, self.since = condition, time
            self.elapse(time)


@dataclass
class Rate:
    """The rate against the newest kept sample at least a window older; the first of each slot is kept."""

    latch: Latch
    window: int
    kept: list[tuple[int, float]] = field(default_factory=list)
    last: int | None = None

    def take(self, time: int, value: float) -> None:
        if self.last is None or time > self.last:
            slot = self.window // 16
            if self.last is None or self.last // slot != time // slot:
                self.kept.append((time, value))
            self.last = time
        old = [sample for sample in self.kept if sample[0] <= time - self.window]
        rate = None if not old else (value - old[-1][1]) / ((time - old[-1][0]) / 1e9)
        self.latch.take(time, rate)


@dataclass
class Absence:
    """Gaps between samples."""

    timeout: int
    last: int | None = None
    active: bool = False
    raised_at: int = 0
    ignored: int = 0
    transitions: list[Transition] = field(default_factory=list)

    def take(self, time: int) -> None:
        if self.last is not None and time <= self.last:
            self.ignored += 1
            return
        if self.last is not None and not self.active and time > self.last + self.timeout:
            self.raise_at(self.last + self.timeout)
        if self.active:
            self.active = False
            self.transitions.append((False, max(time, self.raised_at), self.raised_at))
        self.last = time

    def raise_at(self, time: int) -> None:
        self.active, self.raised_at = True, time
        self.transitions.append((True, time, time))
