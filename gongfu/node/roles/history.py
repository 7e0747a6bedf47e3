"""Role ``history``: owns ``<data_dir>/history`` and serves it in ClickHouse's HTTP protocol on loopback."""

import asyncio
import logging
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import uvloop

from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.metrics import MetricsPublisher
from gongfu.kernel.subjects import Subjects
from gongfu.node.runtime import Runtime, load_runtime, report_ready
from gongfu.store.history.engine import DirectoryInUse, EngineError
from gongfu.store.history.node import HistoryNode
from gongfu.store.history.retention import Keep

logger = logging.getLogger("gongfu.history")


async def _serve(runtime: Runtime, node: HistoryNode) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), "history")
    disk = str(Path(runtime.data_dir))

    def gauges() -> dict[str, float]:
        usage = psutil.disk_usage(disk)
        return {"disk_free_bytes": float(usage.free), "disk_total_bytes": float(usage.total)}

    metrics = MetricsPublisher(bus, Subjects(runtime.node), "history", node.counters, gauges)
    metrics.start()
    report_ready()
    logger.info("history serves on port %d", node.port)
    await stop.wait()
    logger.info("history stops")
    await metrics.stop()
    await loop.run_in_executor(None, node.close)
    await bus.close()


def main() -> int:
    """Run the role until SIGTERM; return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    runtime = load_runtime()
    address = urlsplit(runtime.history_url)
    try:
        node = HistoryNode(
            Path(runtime.data_dir) / "history",
            address.hostname or "127.0.0.1",
            address.port or 0,
            runtime.history_user,
            runtime.history_password,
            keep=Keep(runtime.history_retention, runtime.history_rollup_retention),
        )
    except (DirectoryInUse, EngineError, OSError) as error:
        logger.error("history cannot start: %s", error)
        return 1
    uvloop.run(_serve(runtime, node))
    return 0


if __name__ == "__main__":
    sys.exit(main())
