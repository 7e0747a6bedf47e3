"""Reading again and again, for drivers of protocols that have no subscriptions."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from gongfu.connect.kit.types import Address, Reading, Sink, Timing

# Reads some addresses; the indices of the readings are those of the addresses given.
Read = Callable[[Sequence[Address]], Awaitable[list[Reading]]]


class Poller:
    """Reads addresses at their rates and hands the readings to the sink.

    Addresses of one rate are read together, one rate after the other. A read that takes longer than its period is
    followed by the next at once, and the turns that were left out are counted: time does not pile up.

    Attributes:
        overruns: turns that were left out because the machine was slower than asked.
        last_s: seconds the last round took.
    """

    def __init__(self, addresses: Sequence[Address], read: Read, sink: Sink, timing: Timing) -> None:
        self._read = read
        self._sink = sink
        self._timing = timing
        groups: dict[float, list[int]] = {}
        for index, address in enumerate(addresses):
            groups.setdefault(address.every, []).append(index)
        self._groups = [(every, indices, [addresses[i] for i in indices]) for every, indices in sorted(groups.items())]
        self.overruns = 0
        self.last_s = 0.0

    async def run(self) -> None:
        """Read until cancelled.

        Raises:
            DriverError: a read failed.
        """
        timing = self._timing
        start = timing.monotonic()
        due = [start] * len(self._groups)
        while True:
            now = timing.monotonic()
            for n, (every, indices, addresses) in enumerate(self._groups):
                if due[n] > now:
                    continue
                began = timing.monotonic()
                readings = await self._read(addresses)
                received = timing.now_ns()
                if indices[-1] != len(indices) - 1:
                    readings = [Reading(indices[r[0]], r[1], r[2], r[3]) for r in readings]
                self._sink.take(readings, received)
                self.last_s = timing.monotonic() - began
                missed = int((timing.monotonic() - due[n]) / every)
                if missed > 1:
                    self.overruns += missed - 1
                due[n] += every * max(1, missed)
            wait = min(due) - timing.monotonic()
            if self._sink.saturated:
                # The node has no room: what is not read is not lost, and no device is asked in vain.
                wait = max(wait, 0.1)
            await timing.sleep(max(0.0, wait)) if wait > 0 else await asyncio.sleep(0)
