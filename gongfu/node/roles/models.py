"""Role ``models``: mechanism models on the stream, on history and as a service, each in a process behind walls."""

import logging
import sys

from sqlalchemy import Engine

from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.metrics import MetricsPublisher
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.node.models_host import ModelsHost
from gongfu.node.role_start import run_role, stop_by_signal
from gongfu.node.runtime import Runtime, report_ready

logger = logging.getLogger("gongfu.models")


async def _serve(runtime: Runtime, name: str, engine: Engine) -> None:
    stop = stop_by_signal()
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), name)
    counters = Counters()
    if runtime.instance:
        from gongfu.node.settled_role import settle

        # A role that is another machine's does not hold up the start of this one.
        report_ready()
        if not await settle(runtime, bus, "models", stop):
            return await bus.close()
    host = ModelsHost(runtime, bus, engine, counters)
    metrics = MetricsPublisher(bus, Subjects(runtime.node), name, counters, host.gauges)
    await host.start()
    metrics.start()
    report_ready()
    logger.info("models serve: %d run on the stream", len(host.fleet.runs))
    try:
        await stop.wait()
        logger.info("models stop")
    finally:
        await host.stop()
        await metrics.stop()
        await bus.close()


def main() -> int:
    """Run the role until SIGTERM; return the exit status."""
    return run_role("models", _serve)


if __name__ == "__main__":
    sys.exit(main())
