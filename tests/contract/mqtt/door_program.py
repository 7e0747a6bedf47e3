"""A front door process for tests: the real server and journal, an intake that writes what it takes to a file.

Run as ``python -m tests.contract.mqtt.door_program <settings.json>``; prints its ports as one JSON line when it serves.
"""

import asyncio
import hashlib
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

import uvloop

from gongfu.bus.connection import BusAddress, open_bus
from gongfu.ingest.admission.quota import Defaults, Override, Policy, Quota
from gongfu.ingest.mqtt.access import DeviceAccess, Refusal
from gongfu.ingest.mqtt.broker.limits import Limits
from gongfu.ingest.mqtt.front_door import DoorSettings, FrontDoor, open_front_door
from gongfu.ingest.mqtt.node_services import NodeServices
from gongfu.ingest.mqtt.server.listeners import Addresses, server_tls
from gongfu.ingest.types import Done, Form, Receipt, Writer
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from tests.fixtures.intake import QuietIntake

SLOW = b"slow"
BAD = b"bad"
HALF = b"half"
SHED = b"shed"


class FileIntake(QuietIntake):
    """Appends each payload to a file before its receipt; the payload itself chooses the outcome."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.saturated = False
        self._file = path.open("a", buffering=1)
        self._loop = loop

    def submit(
        self, writer: Writer, form: Form, payload: bytes, received: int, done: Done | None = None, context: str = ""
    ) -> None:
        receipt = Receipt(1)
        if payload.startswith(BAD):
            receipt = Receipt(0, {"malformed_json": 1}, {}, "not JSON")
        elif payload.startswith(HALF):
            receipt = Receipt(1, {"type_mismatch": 1})
        elif payload.startswith(SHED):
            receipt = Receipt(0, {}, {"log_unavailable": 1})
        else:
            self.points_in += 1
            row = [writer.name, form.name, payload.decode("latin-1"), received, context]
            self._file.write(json.dumps(row) + "\n")
        if done is None:
            return
        if payload.startswith(SLOW):
            self._loop.call_later(0.5, done, receipt)
        else:
            self._loop.call_soon(done, receipt)


class Table:
    """Credentials of tests: name -> tenant, id, filters, secret, certificate, enabled."""

    def __init__(self, devices: dict[str, dict[str, Any]]) -> None:
        self._devices = devices

    async def check(
        self, username: str | None, password: bytes | None, certificate_sha256: str | None
    ) -> DeviceAccess | Refusal | None:
        for name, device in self._devices.items():
            by_secret = username == name and password == device["secret"].encode()
            by_certificate = certificate_sha256 is not None and certificate_sha256 == device.get("certificate")
            if by_secret or by_certificate:
                if not device.get("enabled", True):
                    return Refusal.DISABLED
                writer = Writer(device["tenant"], device["id"], name, device["id"], name)
                return DeviceAccess(writer, device["publish"], device["subscribe"])
        return None


async def serve(settings: dict[str, Any]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    directory = Path(settings["directory"])
    counters = Counters()
    limits = Limits(**settings.get("limits", {}))
    addresses = Addresses("127.0.0.1", settings["tcp"], settings["websocket"], settings.get("tls"))
    number, doors = settings.get("door", 0), settings.get("doors", 1)
    intake = FileIntake(directory / f"intake-{number}.jsonl", loop)
    door: FrontDoor = open_front_door(
        DoorSettings(
            directory,
            addresses,
            limits,
            settings.get("max_connections", 1000),
            number,
            doors,
            Defaults(
                quota_of(settings.get("device_quota", {})),
                quota_of(settings.get("tenant_quota", {})),
                settings.get("max_delay_s", 3600.0),
            ),
        ),
        intake,
        Table(settings["devices"]),
        counters,
    )
    services = None
    if "nats" in settings:
        bus = await open_bus(BusAddress((settings["nats"],), settings["token"]), f"door-{number + 1}")
        name = f"door-{number + 1}"
        services = NodeServices(bus, Subjects("test"), door, lambda _: None, name)
        await services.start()
        await door.join(bus, Subjects("test"), name)
    tls = None
    if settings.get("tls") is not None:
        tls = server_tls(settings["certificate"], settings["key"], settings["ca"])
    await door.listen(tls)

    def control() -> None:
        """Lines on standard input: ``saturate``, ``flow``, ``free`` (device 1 has no quota any more), ``counters``."""
        command = sys.stdin.readline().strip()
        if command == "counters":
            refused = {f"refused.{reason}": 0 for _, _, reason in intake.refused}
            for _, _, reason in intake.refused:
                refused[f"refused.{reason}"] += 1
            print(json.dumps({**counters.snapshot(), **door.gauges(), **refused}), flush=True)
        elif command == "free":
            door.context.admission.change((1, 1), Override(0.0, 0.0, 0.0))
            door.context.fair.changed()
            print("{}", flush=True)
        elif command in ("saturate", "flow"):
            intake.saturated = command == "saturate"
            print("{}", flush=True)
        elif not command:
            loop.remove_reader(0)

    loop.add_reader(0, control)
    print(json.dumps(door.ports), flush=True)
    await stop.wait()
    await door.close()
    if services is not None:
        await services.stop()


def quota_of(figures: dict[str, Any]) -> Quota:
    return Quota(**{**figures, "policy": Policy(figures.get("policy", "delay"))})


def fingerprint(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    uvloop.run(serve(json.loads(Path(sys.argv[1]).read_text())))
