"""Role ``door``: MQTT front door on the columniser and the registry."""

import asyncio
import gc
import logging
import signal
import sqlite3
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import uvloop

from gongfu.bus.blocklog import BlockLog, ensure_streams
from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.metrics import MetricsPublisher
from gongfu.bus.spares import open_spares
from gongfu.ingest.admission.book import QuotaBook
from gongfu.ingest.columnise.columniser import Columniser
from gongfu.ingest.mqtt.broker.limits import Limits
from gongfu.ingest.mqtt.front_door import DoorSettings, open_front_door
from gongfu.ingest.mqtt.node_services import NodeServices
from gongfu.ingest.mqtt.registry_access import RegistryAuthenticator
from gongfu.ingest.mqtt.registry_attributes import RegistryAttributes
from gongfu.ingest.mqtt.server.listeners import Addresses, server_tls
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node.quotas import defaults_of
from gongfu.node.runtime import MqttSettings, Runtime, load_runtime, report_ready, role_name
from gongfu.node.sparkplug_host import DoorHost
from gongfu.registry.credentials import Credentials
from gongfu.registry.device_secrets import load_device_key
from gongfu.store.records.engine import open_records

logger = logging.getLogger("gongfu.door")

AUTHENTICATION_THREADS = 2


def door_index(name: str) -> int:
    """Return the index, from 0, of the front door ``door-<number>``.

    Raises:
        ValueError: the name is not of that form.
    """
    prefix, _, number = name.partition("@")[0].partition("-")
    if prefix != "door" or not number.isdigit() or not 1 <= int(number) <= 1023:
        raise ValueError(f"{name!r} is not the name of a front door (door-1 to door-1023)")
    return int(number) - 1


def addresses_of(settings: MqttSettings) -> Addresses:
    """Return where to listen; a port of 0 in the configuration is off."""
    return Addresses(settings.host, settings.port or None, settings.websocket_port or None, settings.tls_port or None)


def tls_of(settings: MqttSettings) -> ssl.SSLContext | None:
    """Return the TLS context when there is a TLS port.

    Raises:
        OSError, ssl.SSLError: a file is missing or is not what it should be.
    """
    if not settings.tls_port:
        return None
    return server_tls(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)


async def _serve(runtime: Runtime, name: str) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    settings = runtime.mqtt
    tls = tls_of(settings)
    subjects, counters, clock = Subjects(runtime.node), Counters(), SystemClock()
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), name)
    log_bounds = runtime.block_log
    await ensure_streams(
        bus,
        subjects,
        runtime.telemetry.partitions,
        log_bounds.max_age_seconds,
        log_bounds.max_bytes,
        log_bounds.replicas,
    )
    engine = open_records(runtime.records_url)
    spares = open_spares(bus, subjects, runtime.telemetry.partitions, log_bounds.replicas, counters)
    intake = Columniser(
        bus,
        subjects,
        engine,
        runtime.telemetry,
        counters,
        clock,
        max_payload_bytes=settings.max_payload_bytes,
        log=BlockLog(bus, subjects, counters, spares=spares),
    )
    await intake.start()
    executor = ThreadPoolExecutor(AUTHENTICATION_THREADS, thread_name_prefix="authentication")
    authenticator = RegistryAuthenticator(Credentials(engine, load_device_key(runtime.data_dir)), executor, loop)
    door = open_front_door(
        DoorSettings(
            Path(runtime.data_dir),
            addresses_of(settings),
            Limits(max_payload=settings.max_payload_bytes),
            settings.max_connections,
            door_index(name),
            settings.processes,
            defaults_of(runtime.quotas),
        ),
        intake,
        authenticator,
        counters,
        clock,
    )
    door.context.answerer.attributes_of = RegistryAttributes(engine, executor).of
    services = NodeServices(bus, subjects, door, authenticator.forget, name)
    intake.follow_deaths(services.died)
    sparkplug = (
        DoorHost(runtime.sparkplug, runtime.node, door, intake, counters, clock) if runtime.sparkplug.enabled else None
    )
    quotas = QuotaBook(bus, subjects, engine, executor, door.context.admission, door.context.fair.changed)
    await quotas.start()
    await services.start()
    if sparkplug is not None:
        await sparkplug.start(bus, subjects, name)
    await door.join(bus, subjects, name)
    await door.listen(tls)
    metrics = MetricsPublisher(bus, subjects, name, counters, lambda: {**intake.gauges(), **door.gauges()})
    metrics.start()
    # What is alive now stays alive: full collections need not look at it again.
    gc.collect()
    gc.freeze()
    # Thousands of messages on their way are objects that no cycle holds; to look at all of them again and again took
    # a fifth of the CPU.
    gc.set_threshold(20_000, 20, 50)
    report_ready()
    logger.info("front door %s serves on %s", name, ", ".join(f"{kind} {port}" for kind, port in door.ports.items()))
    await stop.wait()
    logger.info("front door %s stops", name)
    if sparkplug is not None:
        await sparkplug.stop()
    await door.close()
    await intake.close()
    await services.stop()
    await quotas.stop()
    await metrics.stop()
    await bus.close()
    executor.shutdown()
    engine.dispose()


def main() -> int:
    """Run the role until SIGTERM; return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    runtime = load_runtime()
    try:
        uvloop.run(_serve(runtime, role_name("door-1")))
    except (OSError, ValueError, sqlite3.Error) as error:
        logger.error("front door cannot start: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
