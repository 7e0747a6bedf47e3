"""Role ``opcua``: the node's assets over OPC UA, read only. Runs when ``[opcua] enabled`` says so."""

import logging
import sys
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import Engine

from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.metrics import MetricsPublisher
from gongfu.connect.opcua.certificates import identity
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node.data_directory import DataDirectory
from gongfu.node.opcua_source import NodeSource
from gongfu.node.role_start import run_role, stop_by_signal
from gongfu.node.runtime import Runtime, report_ready, shares_partitions

logger = logging.getLogger("gongfu.opcua")


async def _serve(runtime: Runtime, name: str, engine: Engine) -> None:
    from gongfu.connect.opcua.server.server import AssetServer, ServerSettings

    stop = stop_by_signal()
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), name)
    subjects, settings = Subjects(runtime.node), runtime.opcua
    source = NodeSource(bus, subjects, engine, SystemClock(), shares_partitions(runtime))
    pki = DataDirectory(Path(runtime.data_dir)).connection_secrets / identity.FOLDER
    server = AssetServer(
        ServerSettings(
            host=settings.host,
            port=settings.port,
            anonymous=settings.anonymous,
            open_channel=settings.unencrypted,
        ),
        source,
        pki,
    )
    metrics = MetricsPublisher(
        bus, subjects, name, Counters(), lambda: {f"opcua_{key}": float(value) for key, value in server.counts.items()}
    )
    try:
        await server.start()
        metrics.start()
        report_ready()
        logger.info("listening on opc.tcp://%s:%d/gongfu", settings.host, settings.port)
        await stop.wait()
    finally:
        await server.stop()
        await metrics.stop()
        await bus.close()


def main() -> int:
    """Run the role until SIGTERM; return the exit status."""
    if find_spec("asyncua") is None:
        logger.error("the OPC UA library is not installed: pip install 'gongfu[opcua]'")
        return 1
    return run_role("opcua", _serve, migrates=False)


if __name__ == "__main__":
    sys.exit(main())
