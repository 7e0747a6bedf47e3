"""Role ``connect``: the connections to machines. A protocol's library is loaded when its first connection needs it.

In a cluster, one machine has them and others stand by (docs/cluster.md).
"""

import logging
import sys

from sqlalchemy import Engine

from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.metrics import MetricsPublisher
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.node.connect_host import ConnectHost
from gongfu.node.role_start import run_role, stop_by_signal
from gongfu.node.runtime import Runtime, report_ready

logger = logging.getLogger("gongfu.connect")


async def _serve(runtime: Runtime, name: str, engine: Engine) -> None:
    stop = stop_by_signal()
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), name)
    counters = Counters()
    if runtime.instance:
        from gongfu.node.leased_role import serve_leased

        await serve_leased(
            runtime, bus, "connect", name, counters, stop, lambda _: ConnectHost(runtime, bus, engine, counters)
        )
        await bus.close()
        return
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
    return run_role("connect", _serve)


if __name__ == "__main__":
    sys.exit(main())
