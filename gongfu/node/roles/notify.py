"""Role ``notify``: tells people of alarms. It runs once a channel exists; everything it has to do is in the records."""

import asyncio
import logging
import random
import sys
from functools import partial
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.ending import end_tasks
from gongfu.bus.metrics import MetricsPublisher
from gongfu.connect.connections.secrets import ConnectionSecrets
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node.data_directory import DataDirectory, secret_of
from gongfu.node.role_start import run_role, stop_by_signal
from gongfu.node.runtime import Runtime, report_ready
from gongfu.reason.notify.channels.catalogue import send_message
from gongfu.reason.notify.channels.destinations import Destinations
from gongfu.reason.notify.dispatch import BATCH, Dispatcher
from gongfu.reason.notify.service import MEMBER

logger = logging.getLogger("gongfu.notify")

_TURN_S = 1.0


async def _serve(runtime: Runtime, name: str, engine: Engine) -> None:
    stop = stop_by_signal()
    subjects, counters = Subjects(runtime.node), Counters()
    directory = DataDirectory(Path(runtime.data_dir))
    secrets = ConnectionSecrets(directory.notify_secrets)
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), name)

    def secret(channel: int) -> str:
        return str(secrets.read(channel).get(MEMBER, ""))

    dispatcher = Dispatcher(
        engine,
        SystemClock(),
        counters,
        partial(send_message, destinations=Destinations.of(runtime.notify.allow)),
        secret,
        bytes.fromhex(secret_of(directory.notify_key)),
        random.random,
    )

    async def work() -> None:
        while True:
            tried = 0
            try:
                tried = await dispatcher.turn()
            except SQLAlchemyError as error:
                counters.add("notifications_retries")
                logger.warning("the records do not answer, trying again: %s", type(error).__name__)
            except Exception:
                counters.add("notifications_retries")
                logger.exception("notifications were not handled")
            if tried < BATCH:
                await asyncio.sleep(_TURN_S)

    metrics = MetricsPublisher(bus, subjects, name, counters, dict)
    metrics.start()
    working = asyncio.create_task(work(), name="notifications")
    report_ready()
    try:
        await stop.wait()
        logger.info("notify stops")
    finally:
        await end_tasks([working])
        await metrics.stop()
        await bus.close()


def main() -> int:
    """Run the role until SIGTERM; return the exit status."""
    return run_role("notify", _serve)


if __name__ == "__main__":
    sys.exit(main())
