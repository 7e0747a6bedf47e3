"""Role ``connect``: the connections to machines. A protocol's library is loaded when its first connection needs it."""

import asyncio
import logging
import signal
import sys

import uvloop
from sqlalchemy import Engine

from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.metrics import MetricsPublisher
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.node.connect_host import ConnectHost
from gongfu.node.runtime import Runtime, load_runtime, report_ready, role_name
from gongfu.store.records.engine import open_records
from gongfu.store.records.migrations import migrate
from gongfu.store.records.revisions import MigrationError

logger = logging.getLogger("gongfu.connect")


async def _serve(runtime: Runtime, name: str, engine: Engine) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), name)
    counters = Counters()
    host = ConnectHost(runtime, bus, engine, counters)
    metrics = MetricsPublisher(bus, Subjects(runtime.node), name, counters, host.gauges)
    await host.start()
    metrics.start()
    report_ready()
    try:
        await stop.wait()
        logger.info("connect stops")
    finally:
        await host.stop()
        await metrics.stop()
        await bus.close()


def main() -> int:
    """Run the role until SIGTERM; return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    runtime = load_runtime()
    engine = open_records(runtime.records_url)
    try:
        migrate(engine)
        uvloop.run(_serve(runtime, role_name("connect"), engine))
    except (OSError, TimeoutError, MigrationError) as error:
        logger.error("connect cannot start: %s", error)
        return 1
    finally:
        engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
