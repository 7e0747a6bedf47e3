"""A forwarder in a process of its own: ``python -m tests.system.link_program <port of the site> <position file>``."""

import asyncio
import logging
import os
import sys
from pathlib import Path

from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.forwarder import LinkForwarder
from gongfu.bus.link_position import PositionFile
from gongfu.kernel.counters import Counters
from tests.fixtures.link import ROUTE
from tests.fixtures.nats import TOKEN


async def _run() -> None:
    bus = await open_bus(BusAddress((f"nats://127.0.0.1:{sys.argv[1]}",), TOKEN), "forwarder")
    await LinkForwarder(bus, ROUTE, PositionFile(Path(sys.argv[2])), Counters()).run()


if __name__ == "__main__":
    if os.environ.get("LINK_LOG"):
        logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(_run())
