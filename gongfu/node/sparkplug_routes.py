"""The API of Sparkplug edge nodes on this node: its routes ask the front doors."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from nats.aio.client import Client
from sqlalchemy import Engine

from gongfu.bus.gather import gather
from gongfu.bus.requests import request
from gongfu.ingest.sparkplug import api
from gongfu.ingest.sparkplug.host import Outcome
from gongfu.ingest.sparkplug.services import CommandRequest, NodesRequest, command_service
from gongfu.kernel.permissions import Subject
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import Clock
from gongfu.registry import audit, device_records
from gongfu.rest.routing import Route
from gongfu.store.records.engine import reading, writing
from gongfu.thing.conformity import Conformity

_NODES_S = 2.0
_MORE_S = 5.0


def sparkplug_routes(
    bus: Client, subjects: Subjects, engine: Engine, clock: Clock, doors: Callable[[], int], conformity: Conformity
) -> list[Route]:
    """Return the routes; ``doors`` tells how many front doors there are, ``conformity`` judges commands."""

    async def ask_nodes(question: NodesRequest) -> list[dict[str, Any]]:
        answers = await gather(bus, subjects.service("sparkplug"), question, _NODES_S, doors())
        return [item for answer in answers for item in answer["items"]]

    async def ask_command(door: str, command: CommandRequest) -> Outcome:
        return await request(bus, subjects.service(command_service(door)), command, command.wait + _MORE_S, Outcome)

    def judge(tenant: int, device: int, child: str, values: Mapping[str, Any]) -> None:
        with reading(engine) as connection:
            row = device_records.by_id(connection, tenant, device)
        if row is not None:
            conformity.check_writes(tenant, device, f"{row.asset_path}/{child}", values)

    async def check(tenant: int, device: int, child: str, values: Mapping[str, Any]) -> None:
        await asyncio.to_thread(judge, tenant, device, child, values)

    def write(subject: Subject, resource: str, detail: str) -> None:
        with writing(engine) as connection:
            audit.record(connection, subject, "sparkplug.command", resource, clock.now_ns(), detail)

    async def note(subject: Subject, resource: str, detail: str) -> None:
        await asyncio.to_thread(write, subject, resource, detail)

    return api.routes(ask_nodes, ask_command, note, check)
