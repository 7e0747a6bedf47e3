"""The API of connections on this node: its routes ask the role ``connect``, which runs once somebody has asked."""

import asyncio
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from sqlalchemy import Engine

from gongfu.bus.requests import NobodyServesError, request
from gongfu.connect.connections import api
from gongfu.connect.connections.models import ModelMaker
from gongfu.connect.connections.service import ConnectionService
from gongfu.connect.connections.types import Ask, ConnectionChange, StatusAsk
from gongfu.connect.kit.status import Status
from gongfu.connect.opcua import api as opcua
from gongfu.connect.opcua.certificates import identity
from gongfu.kernel.errors import Problem, unavailable
from gongfu.kernel.permissions import Subject
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import Clock
from gongfu.node.connect_host import SERVICE
from gongfu.node.data_directory import DataDirectory
from gongfu.node.event_publisher import EventPublisher
from gongfu.node.runtime import Runtime
from gongfu.node.shared_files.secrets import connection_folder, secrets_in
from gongfu.registry import audit
from gongfu.registry.devices import Devices
from gongfu.rest.routing import Route
from gongfu.store.records.engine import writing
from gongfu.thing.conformity import Conformity

_ASK_S = 90.0
_STATUS_S = 2.0
# A role that was not needed before has started after this.
_START_S = 30.0


def connect_routes(
    runtime: Runtime,
    bus: Client,
    subjects: Subjects,
    engine: Engine,
    clock: Clock,
    devices: Devices,
    publisher: EventPublisher,
    models: ModelMaker,
    conformity: Conformity,
) -> list[Route]:
    """Return the routes of connections.

    Args:
        runtime: addresses and settings.
        bus: an open connection to the bus.
        subjects: names on the bus.
        engine: migrated records.
        clock: present time.
        devices: where the device of a connection is made.
        publisher: announces changes.
        models: makes thing models.
        conformity: judges calls by them.
    """
    directory = DataDirectory(Path(runtime.data_dir))
    name = subjects.service(SERVICE)
    shared = connection_folder(runtime, engine)
    if shared is not None:
        shared.start()

    def announce(change: ConnectionChange) -> None:
        directory.want_connect()
        publisher.publish("connection", change)

    secrets = secrets_in(directory.connection_secrets, shared)
    service = ConnectionService(engine, clock, devices, secrets, announce)

    async def ask(question: Ask, answer: Any) -> Any:
        if runtime.connect.enabled == "off" and not runtime.instance:
            raise unavailable('connections are off on this node: [connect] enabled = "off"')
        await asyncio.to_thread(directory.want_connect)
        deadline = asyncio.get_running_loop().time() + _START_S
        while True:
            try:
                return await request(bus, name, question, _ASK_S + question.record, answer)
            except NobodyServesError:
                if asyncio.get_running_loop().time() > deadline:
                    where = " on any machine" if runtime.instance else ""
                    raise unavailable(f"the role connect does not answer{where}; see `gongfu status`") from None
            await asyncio.sleep(0.2)

    async def status_of(keys: list[int]) -> dict[int, Status]:
        if not keys or not (runtime.instance or directory.connection_secrets.exists()):
            return {}
        try:
            found = await request(bus, f"{name}.status", StatusAsk(keys), _STATUS_S, list[Status])
        except Problem:
            return {}
        return {status.connection: status for status in found}

    def note_write(subject: Subject, resource: str, detail: str, action: str) -> None:
        with writing(engine) as connection:
            audit.record(connection, subject, action, resource, clock.now_ns(), detail)

    def note_trust(subject: Subject, action: str, resource: str, detail: str) -> None:
        with writing(engine) as connection:
            audit.record(connection, subject, action, f"certificate/{resource}", clock.now_ns(), detail)
        if shared is not None:
            shared.sync()

    pki = directory.connection_secrets / identity.FOLDER
    return [
        *api.routes(service, models, ask, status_of, note_write, conformity),
        *opcua.routes(pki, clock, note_trust),
    ]
