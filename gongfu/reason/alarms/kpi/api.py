"""HTTP of key figures and operator positions."""

import asyncio
from typing import Annotated

import msgspec
from sqlalchemy import Engine

from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Action, Subject
from gongfu.kernel.times import Clock
from gongfu.reason.alarms.kpi.service import KpiService
from gongfu.reason.alarms.kpi.turns import Turns
from gongfu.reason.alarms.kpi.types import Kpi
from gongfu.reason.alarms.load.positions import mapping_of, replace_mapping
from gongfu.reason.alarms.suppression.records import note
from gongfu.registry import audit
from gongfu.rest.routing import Call, Route
from gongfu.store.records.engine import reading, writing


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Assets (a path or a glob) that an operator position looks after."""

    position: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    asset: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class Positions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All positions; of patterns that cover an asset the one that says most counts."""

    items: Annotated[list[Position], msgspec.Meta(max_length=1000)]


def routes(service: KpiService, engine: Engine, clock: Clock) -> list[Route]:
    """Return the operations."""
    turns = Turns()

    async def kpi(call: Call) -> Kpi:
        window = service.window(call.query.get("from") or None, call.query.get("to") or None)
        subject, position = call.subject, call.query.get("position")
        return await turns.run(subject.tenant, lambda: service.kpi(subject, window, position))

    def read(subject: Subject) -> Positions:
        with reading(engine) as connection:
            return Positions([Position(*item) for item in mapping_of(connection, subject.tenant)])

    def write(subject: Subject, body: Positions) -> Positions:
        if len({item.asset for item in body.items}) < len(body.items):
            raise invalid("an asset pattern belongs to one position only")
        now = clock.now_ns()
        with writing(engine) as connection:
            replace_mapping(connection, subject.tenant, ((item.position, item.asset) for item in body.items))
            detail = msgspec.json.encode(body).decode()
            note(connection, subject.tenant, now, "positions", "positions", subject.name, detail)
            audit.record(connection, subject, "alarm.positions", "alarm-positions", now, detail)
        return body

    async def positions(call: Call) -> Positions:
        return await asyncio.to_thread(read, call.subject)

    async def put(call: Call) -> Positions:
        return await asyncio.to_thread(write, call.subject, call.body)

    summary = "Key figures by EEMUA 191 and ISA-18.2 (?from, ?to, ?position)"
    return [
        Route("GET", "/alarms:kpi", Action.READ, kpi, summary, None, Kpi),
        Route("GET", "/alarm-positions", Action.READ, positions, "Operator positions", None, Positions),
        Route("PUT", "/alarm-positions", Action.RULE_WRITE, put, "Write operator positions", Positions, Positions),
    ]
