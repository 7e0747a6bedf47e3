"""Role ``apps``: the apps that are installed on this machine, each in a process behind walls."""

import logging
import sys

from sqlalchemy import Engine

from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.metrics import MetricsPublisher
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.node.apps_host import AppsHost
from gongfu.node.role_start import run_role, stop_by_signal
from gongfu.node.runtime import Runtime, report_ready

logger = logging.getLogger("gongfu.apps")


async def _serve(runtime: Runtime, name: str, engine: Engine) -> None:
    stop = stop_by_signal()
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), name)
    counters = Counters()
    if runtime.instance:
        from gongfu.node.settled_role import settle

        # A role that is another machine's does not hold up the start of this one.
        report_ready()
        if not await settle(runtime, bus, "apps", stop):
            return await bus.close()
    host = AppsHost(runtime, bus, engine, counters)
    metrics = MetricsPublisher(bus, Subjects(runtime.node), name, counters, host.gauges)
    await host.start()
    metrics.start()
    report_ready()
    try:
        await stop.wait()
        logger.info("apps stop")
    finally:
        await host.stop()
        await metrics.stop()
        await bus.close()


def main() -> int:
    """Run the role until SIGTERM; return the exit status."""
    return run_role("apps", _serve)


if __name__ == "__main__":
    sys.exit(main())
