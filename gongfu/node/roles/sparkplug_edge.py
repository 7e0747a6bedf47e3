"""Role ``sparkplug-edge``: this node as a Sparkplug edge node of a host above; runs with ``[sparkplug_edge] url``."""

import asyncio
import logging
import sys
from pathlib import Path

from sqlalchemy import Engine

from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.metrics import MetricsPublisher
from gongfu.connect.sparkplug.edge.progress import ProgressFile
from gongfu.connect.sparkplug.edge.publisher import EdgePublisher, EdgeSettings
from gongfu.connect.sparkplug.edge.source import EdgeSource
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.node.role_start import run_role, stop_by_signal
from gongfu.node.runtime import Runtime, report_ready

logger = logging.getLogger("gongfu.sparkplug_edge")


def edge_settings(runtime: Runtime) -> EdgeSettings:
    """Return the settings as the publisher takes them; without a node id it is the name of the node."""
    given = runtime.sparkplug_edge
    return EdgeSettings(
        given.url,
        given.group,
        given.node or runtime.node,
        given.primary_host,
        given.client_id,
        given.user,
        given.password,
        given.tls_ca,
        runtime.telemetry.partitions,
        given.publish_seconds,
    )


async def _serve(runtime: Runtime, name: str, engine: Engine) -> None:
    stop = stop_by_signal()
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), name)
    counters, subjects = Counters(), Subjects(runtime.node)
    edge = runtime.sparkplug_edge
    source = EdgeSource(bus, subjects, engine, edge.tenant, edge.assets)
    progress = ProgressFile(Path(runtime.data_dir) / "sparkplug-edge.json")
    publisher = EdgePublisher(edge_settings(runtime), source, progress, counters)
    metrics = MetricsPublisher(bus, subjects, name, counters, lambda: {"online": float(publisher.state == "online")})
    metrics.start()
    report_ready()
    running = asyncio.create_task(publisher.run(), name="edge node")
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        logger.info("sparkplug-edge stops")
        publisher.stop()
        await running
    finally:
        stopping.cancel()
        await metrics.stop()
        await bus.close()


def main() -> int:
    """Run the role until SIGTERM; return the exit status."""
    return run_role("sparkplug-edge", _serve, migrates=False)


if __name__ == "__main__":
    sys.exit(main())
