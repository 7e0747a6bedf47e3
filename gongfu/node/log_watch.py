"""Notices a block log that stays shut although the disk has room again.

nats-server 2.15 takes no more blocks after a write error (a full disk), also when there is room again; only a restart
cures it (measured, docs/performance.md). This decides when to restart it; it does no I/O.
"""

# The log must be refused this long without a break, in seconds.
REFUSED_S = 10.0
# A restart that did not help is not repeated sooner than this, in seconds.
REPEAT_S = 60.0
# Free space without which a restart could not help, in bytes.
ROOM_BYTES = 256 * 1024 * 1024


class LogWatch:
    """State of one log as its writers report it."""

    def __init__(self) -> None:
        self._refused_since: dict[str, float] = {}
        self._restarted_at = float("-inf")

    def heard(self, role: str, available: bool, now: float) -> None:
        """Take note of what a writer said of the log (the gauge ``log_available``) at monotonic second ``now``."""
        if available:
            self._refused_since.pop(role, None)
        else:
            self._refused_since.setdefault(role, now)

    def should_restart(self, free_bytes: int, now: float) -> bool:
        """Return whether the log's server is to be restarted now; true at most once in ``REPEAT_S``."""
        refused = any(now - since >= REFUSED_S for since in self._refused_since.values())
        if not refused or free_bytes < ROOM_BYTES or now - self._restarted_at < REPEAT_S:
            return False
        self._restarted_at = now
        self._refused_since.clear()
        return True
