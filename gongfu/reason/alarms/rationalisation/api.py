"""HTTP of the master alarm database."""

import asyncio

import msgspec

from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Action
from gongfu.reason.alarms.rationalisation.service import Missing, RationalisationService, RecordItem
from gongfu.reason.alarms.rationalisation.types import Record
from gongfu.rest.routing import Call, Raw, Route


class RecordList(msgspec.Struct, frozen=True):
    """Rationalisation records."""

    items: list[RecordItem]


class MissingList(msgspec.Struct, frozen=True):
    """Alarms that nobody rationalised."""

    items: list[Missing]


class OfAlarm(msgspec.Struct, frozen=True):
    """The record that applies to an alarm, None where nobody rationalised it."""

    record: Record | None


class Written(msgspec.Struct, frozen=True):
    """What was written: the number of the record, or how many records."""

    id: int = 0
    count: int = 0


def routes(service: RationalisationService) -> list[Route]:
    """Return the operations."""

    async def listed(call: Call) -> RecordList:
        return RecordList(await asyncio.to_thread(service.list_of, call.subject))

    async def put(call: Call) -> Written:
        return Written(id=await asyncio.to_thread(service.put, call.subject, call.body), count=1)

    async def remove(call: Call) -> None:
        await asyncio.to_thread(service.remove, call.subject, call.integer("id"))

    async def missing(call: Call) -> MissingList:
        return MissingList(await asyncio.to_thread(service.missing, call.subject))

    async def of_alarm(call: Call) -> OfAlarm:
        rule = call.query.get("rule", "0")
        if not rule.isascii() or not rule.isdigit() or len(rule) > 18:
            raise invalid("rule must be the number of a rule, 0 for an alarm of a source")
        words = (call.query.get(name, "") for name in ("source", "asset", "point"))
        return OfAlarm(await asyncio.to_thread(service.of_alarm, call.subject, int(rule), *words))

    async def export(call: Call) -> Raw:
        text = await asyncio.to_thread(service.export, call.subject)
        return Raw(
            text.encode(), "text/csv; charset=utf-8", {"Content-Disposition": 'attachment; filename="alarms.csv"'}
        )

    async def take(call: Call) -> Written:
        return Written(count=await asyncio.to_thread(service.take, call.subject, call.body))

    path, one, engineer = "/alarm-rationalisations", "/alarm-rationalisations/{id}", Action.RULE_WRITE
    return [
        Route("GET", path, Action.READ, listed, "The master alarm database", None, RecordList),
        Route("PUT", path, engineer, put, "Rationalise an alarm", Record, Written),
        Route("DELETE", one, engineer, remove, "Remove a rationalisation", None, None, 204),
        Route(
            "GET", f"{path}:of", Action.READ, of_alarm, "Of an alarm (?rule, ?source, ?asset, ?point)", None, OfAlarm
        ),
        Route("GET", f"{path}:missing", Action.READ, missing, "Alarms that are not rationalised", None, MissingList),
        Route("GET", f"{path}:export", Action.READ, export, "The master alarm database as CSV", None, str),
        Route("POST", f"{path}:import", engineer, take, "Write records of a CSV file", bytes, Written),
    ]
