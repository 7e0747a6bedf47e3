"""Role ``opcua``: the node's assets over OPC UA, read only. Runs when ``[opcua] enabled`` says so."""

import asyncio
import logging
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import uvloop
from sqlalchemy import Engine

from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.metrics import MetricsPublisher
from gongfu.connect.opcua.certificates import identity
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node.data_directory import DataDirectory
from gongfu.node.opcua_source import NodeSource
from gongfu.node.runtime import Runtime, load_runtime, report_ready, role_name, shares_partitions
from gongfu.store.records.engine import open_records

logger = logging.getLogger("gongfu.opcua")


async def _serve(runtime: Runtime, name: str, engine: Engine) -> None:
    from gongfu.connect.opcua.server.server import AssetServer, ServerSettings

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
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
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if find_spec("asyncua") is None:
        logger.error("the OPC UA library is not installed: pip install 'gongfu[opcua]'")
        return 1
    runtime = load_runtime()
    engine = open_records(runtime.records_url)
    try:
        uvloop.run(_serve(runtime, role_name("opcua"), engine))
    except (OSError, TimeoutError) as error:
        logger.error("opcua cannot start: %s", error)
        return 1
    finally:
        engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
