"""Role ``notify``: tells people of alarms. It runs once a channel exists; everything it has to do is in the records.

In a cluster, one machine does and others stand by (docs/cluster.md).
"""

import logging
import sys

from sqlalchemy import Engine

from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.metrics import MetricsPublisher
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.node.notify_host import NotifyHost
from gongfu.node.role_start import run_role, stop_by_signal
from gongfu.node.runtime import Runtime, report_ready

logger = logging.getLogger("gongfu.notify")


async def _serve(runtime: Runtime, name: str, engine: Engine) -> None:
    stop = stop_by_signal()
    counters = Counters()
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), name)
    if runtime.instance:
        from gongfu.node.leased_role import serve_leased

        await serve_leased(
            runtime, bus, "notify", name, counters, stop, lambda sure: NotifyHost(runtime, engine, counters, sure)
        )
        await bus.close()
        return
    host = NotifyHost(runtime, engine, counters)
    metrics = MetricsPublisher(bus, Subjects(runtime.node), name, counters, host.gauges)
    metrics.start()
    await host.start()
    report_ready()
    try:
        await stop.wait()
        logger.info("notify stops")
    finally:
        await host.stop()
        await metrics.stop()
        await bus.close()


def main() -> int:
    """Run the role until SIGTERM; return the exit status."""
    return run_role("notify", _serve)


if __name__ == "__main__":
    sys.exit(main())
