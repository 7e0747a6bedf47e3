"""Rate limit of sign-ins: wrong passwords per user name and address, and per address."""

import threading
from collections import OrderedDict

from gongfu.kernel.errors import Problem
from gongfu.kernel.times import SECOND

_PER_NAME = 5
# One address may be a whole plant behind a router, but not a list of names.
_PER_ADDRESS = 50
_WINDOW_SECONDS = 300
_ENTRIES = 20_000


class SignInLimit:
    """Counts failures in windows of 5 minutes in memory, bounded; the oldest entries are forgotten first.

    A user name is not locked for other addresses, so nobody can lock a user out from afar.
    """

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()
        self._lock = threading.Lock()

    def attempt(self, name: str, address: str, now: int) -> None:
        """Let a try pass or refuse it. It counts as a failure until ``succeeded``, so tries at once do not slip by.

        Raises:
            Problem: 429 with ``retry_after`` seconds.
        """
        bounds = (((name, address), _PER_NAME), (("", address), _PER_ADDRESS))
        with self._lock:
            for key, bound in bounds:
                count, start = self._failures.get(key, (0, now))
                rest = start + _WINDOW_SECONDS * SECOND - now
                if count >= bound and rest > 0:
                    seconds = rest // SECOND + 1
                    raise Problem(
                        429,
                        "too-many-sign-ins",
                        "Too many failed sign-ins",
                        f"try again in {seconds} s",
                        {"retry_after": seconds},
                    )
            for key, _ in bounds:
                count, start = self._failures.pop(key, (0, now))
                if now - start >= _WINDOW_SECONDS * SECOND:
                    count, start = 0, now
                self._failures[key] = (count + 1, start)
            while len(self._failures) > _ENTRIES:
                self._failures.popitem(last=False)

    def succeeded(self, name: str, address: str) -> None:
        """Forget the failures of a name from an address, and the try that was right."""
        with self._lock:
            self._failures.pop((name, address), None)
            count, start = self._failures.get(("", address), (0, 0))
            if count > 1:
                self._failures["", address] = (count - 1, start)
            else:
                self._failures.pop(("", address), None)
