"""The clocks of the machine, as drivers and connections take them."""

import asyncio
import time


class SystemTiming:
    """Implements ``Timing`` with the machine's clocks."""

    def now_ns(self) -> int:
        """Return UTC nanoseconds since 1970."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Return seconds of a clock that only goes forward."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
