"""Role ``identifier``: the identifier service of the node; the only writer of its store and tables."""

import asyncio
import gc
import logging
import sys

from sqlalchemy import Engine

from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.metrics import MetricsPublisher
from gongfu.identify.service.bindings import BindingError
from gongfu.identify.service.writes import BatchError
from gongfu.identify.service_directory import ServiceError
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node.identifier_host import IdentifierHost
from gongfu.node.role_start import run_role, stop_by_signal
from gongfu.node.runtime import Runtime, report_ready

logger = logging.getLogger("gongfu.identifier")

_SWITCH_S = 0.0005


async def _serve(runtime: Runtime, name: str, engine: Engine) -> None:
    stop = stop_by_signal()
    subjects, counters = Subjects(runtime.node), Counters()
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), name)
    host = await IdentifierHost.open(runtime, engine, SystemClock(), counters)
    metrics = MetricsPublisher(bus, subjects, name, counters, host.gauges)
    try:
        await host.start(bus, subjects)
        metrics.start()
        # Prefixes, classes and ranges stay for long: the collector need not look at them again and again.
        gc.collect()
        gc.freeze()
        # A batch of writes lets those who look something up wait for at most this long at a time (seconds).
        sys.setswitchinterval(_SWITCH_S)
        report_ready()
        logger.info("identifiers below %s: %s", host.root, host.listening())
        stopped, broken = asyncio.create_task(stop.wait()), asyncio.create_task(host.broken())
        await asyncio.wait({stopped, broken}, return_when=asyncio.FIRST_COMPLETED)
        failure = broken.result() if broken.done() else ""
        for task in (stopped, broken):
            task.cancel()
        logger.info("identifier stops")
        if failure:
            raise OSError(f"the store takes nothing any more: {failure}")
    finally:
        await host.stop()
        await metrics.stop()
        await bus.close()


def main() -> int:
    """Run the role until SIGTERM; return the exit status."""
    return run_role("identifier", _serve, (ServiceError, BindingError, BatchError, Problem))


if __name__ == "__main__":
    sys.exit(main())
