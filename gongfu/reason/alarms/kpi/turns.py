"""Bounds how many key figures are computed at once: each reads up to millions of rows."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gongfu.kernel.errors import Problem

T = TypeVar("T")

AT_ONCE = 1
# Of the node, and of one tenant, with those at work.
MOST = 6
MOST_OF_TENANT = 3
_RETRY_S = 5


class Turns:
    """Runs functions in turn on threads of its own. Whoever goes away gives up a turn that has not begun; what has
    begun counts until it ends, since a thread cannot be stopped."""

    def __init__(self, at_once: int = AT_ONCE, most: int = MOST, most_of_tenant: int = MOST_OF_TENANT) -> None:
        """Set up.

        Args:
            at_once: how many work.
            most: how many work or wait.
            most_of_tenant: how many of one tenant work or wait.
        """
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="key-figures")
        self._most = most
        self._most_of_tenant = most_of_tenant
        self._lock = threading.Lock()
        self._present: Counter[int] = Counter()

    async def run(self, tenant: int, function: Callable[[], T]) -> T:
        """Return what a function returns, when its turn has come.

        Args:
            tenant: for whom.
            function: blocks.

        Raises:
            Problem: 429 when the tenant has too many of these at once, 503 when all together have; with
                ``retry_after``.
        """
        with self._lock:
            if self._present[tenant] >= self._most_of_tenant:
                raise _refused(429, "too-many-requests", "Too many requests", f"{self._most_of_tenant} of your tenant")
            if self._present.total() >= self._most:
                raise _refused(503, "unavailable", "Not available now", f"{self._most} requests")
            self._present[tenant] += 1
        try:
            future = self._threads.submit(function)
        except RuntimeError:
            self._leave(tenant)
            raise
        future.add_done_callback(lambda _: self._leave(tenant))
        return await asyncio.wrap_future(future)

    def _leave(self, tenant: int) -> None:
        with self._lock:
            self._present[tenant] -= 1
            if not self._present[tenant]:
                del self._present[tenant]


def _refused(status: int, code: str, title: str, who: str) -> Problem:
    detail = f"{who} for key figures are at work or wait; try again in {_RETRY_S} s"
    return Problem(status, code, title, detail, {"retry_after": _RETRY_S})
