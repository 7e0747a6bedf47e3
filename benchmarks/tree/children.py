"""The children of ``sessions``: ``python -m benchmarks.tree.children PORT COUNT LOSS``, until it is killed."""

import asyncio
import sys
import time
from collections.abc import Sequence

from benchmarks.tree.ends import Ends, session_name
from gongfu.bus.connection import BusAddress, open_bus
from gongfu.tree.link.effects import Deliver, Load
from tests.fixtures.nats import TOKEN

_TOGETHER = 250
_PAUSE_S = 0.05


class Children:
    """Ends that keep everything in memory and answer each message with a receipt."""

    def __init__(self, count: int, loss: float) -> None:
        self.ends = Ends(count, False, self._delivered, self._load, loss)

    def _load(self, number: int, load: Load) -> Sequence[bytes]:
        return [_receipt(number)] if load.first == 1 else []

    def _delivered(self, number: int, deliver: Deliver) -> None:
        session = self.ends.sessions[number]
        self.ends.act(number, session.committed(deliver.position))
        self.ends.act(number, session.queued(time.monotonic_ns(), 1, 1, [_receipt(number)]))


def _receipt(number: int) -> bytes:
    return b"receipt of " + session_name(number).encode()


async def _run(port: int, count: int, loss: float) -> None:
    children = Children(count, loss)
    bus = await open_bus(BusAddress((f"nats://127.0.0.1:{port}",), TOKEN), "children")
    await children.ends.listen(bus)
    timers = asyncio.create_task(children.ends.keep_time(bus))
    for number, session in enumerate(children.ends.sessions):
        children.ends.act(number, session.connected(time.monotonic_ns()))
        if number % _TOGETHER == _TOGETHER - 1:
            await children.ends.flush(bus)
            await asyncio.sleep(_PAUSE_S)
    await children.ends.flush(bus)
    await timers


if __name__ == "__main__":
    asyncio.run(_run(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
