"""Role ``web``: the API and the console."""

import asyncio
import logging
import sys

from sqlalchemy import Engine

from gongfu.bus.connection import BusAddress, open_bus
from gongfu.node.role_start import run_role, stop_by_signal
from gongfu.node.runtime import Runtime, report_ready
from gongfu.node.web_host import open_web_host
from gongfu.web.http_server import HttpServer

logger = logging.getLogger("gongfu.web")


async def _serve(runtime: Runtime, name: str, engine: Engine) -> None:
    stop = stop_by_signal()
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), name)
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
    return run_role("web", _serve)


if __name__ == "__main__":
    sys.exit(main())
