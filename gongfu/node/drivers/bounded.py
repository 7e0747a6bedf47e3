"""Bounds around a driver or a probe: so many at once, so long each."""

import asyncio

from gongfu.kernel.errors import Problem
from gongfu.tree.orders.plugins import Driver, DriverCall, DriverResult, Probe, ProbeCall, Seen
from gongfu.tree.orders.verification import Sight


class BoundedDriver:
    """Runs at most ``at_once`` calls of a driver; each has ``seconds``, waiting for its turn not counted."""

    def __init__(self, driver: Driver, at_once: int, seconds: float) -> None:
        self._driver = driver
        self._turns = asyncio.Semaphore(at_once)
        self._seconds = seconds

    async def run(self, call: DriverCall) -> DriverResult:
        """Run the driver; a time-out and a ``Problem`` are failures that say what was wrong."""
        async with self._turns:
            try:
                async with asyncio.timeout(self._seconds):
                    return await self._driver.run(call)
            except TimeoutError:
                return DriverResult(False, f"the driver was not done after {self._seconds:g} s")
            except Problem as problem:
                return DriverResult(False, problem.detail or problem.title)


class BoundedProbe:
    """Takes at most ``at_once`` looks of a probe; each has ``seconds``, waiting for its turn not counted."""

    def __init__(self, probe: Probe, at_once: int, seconds: float) -> None:
        self._probe = probe
        self._turns = asyncio.Semaphore(at_once)
        self._seconds = seconds

    async def look(self, call: ProbeCall) -> Seen:
        """Look; a time-out and a ``Problem`` are ``unknown``."""
        async with self._turns:
            try:
                async with asyncio.timeout(self._seconds):
                    return await self._probe.look(call)
            except TimeoutError:
                return Seen(Sight.UNKNOWN, f"nothing was seen within {self._seconds:g} s")
            except Problem as problem:
                return Seen(Sight.UNKNOWN, problem.detail or problem.title)
