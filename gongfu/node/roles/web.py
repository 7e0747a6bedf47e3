"""Role ``web``: the API and the console."""

import asyncio
import contextlib
import logging
import signal
import sys

import uvloop
from sqlalchemy import Engine

from gongfu.bus.connection import BusAddress, open_bus
from gongfu.node.runtime import Runtime, load_runtime, report_ready, role_name
from gongfu.node.web_host import open_web_host
from gongfu.store.records.engine import open_records
from gongfu.store.records.migrations import migrate
from gongfu.store.records.revisions import MigrationError
from gongfu.web.http_server import HttpServer

logger = logging.getLogger("gongfu.web")


async def _serve(runtime: Runtime, engine: Engine) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), role_name("web"))
    host = open_web_host(runtime, bus, engine)
    web = runtime.web
    server = HttpServer(host.app, web.host, web.port, certificate=web.tls_certificate, key=web.tls_key)
    await host.start()
    await server.start()
    report_ready()
    logger.info("web serves on %s:%d", web.host, web.port)
    waits = {asyncio.create_task(server.wait()), asyncio.create_task(stop.wait())}
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    logger.info("web stops")
    await host.end_streams()
    await server.stop()
    await host.stop()
    await bus.close()
    for task in waits:
        task.cancel()


def main() -> int:
    """Run the role until SIGTERM; return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    runtime = load_runtime()
    engine = open_records(runtime.records_url)
    try:
        migrate(engine)
        uvloop.run(_serve(runtime, engine))
    except (OSError, TimeoutError, MigrationError) as error:
        logger.error("web cannot start: %s", error)
        return 1
    finally:
        with contextlib.suppress(Exception):
            engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
