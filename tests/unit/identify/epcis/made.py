"""Events made for tests."""

from typing import Any

import orjson

CONTEXT = ["https://ref.gs1.org/standards/epcis/epcis-context.jsonld", {"example": "https://ns.example.com/epcis/"}]


def at(second: int, zone: str = "Z") -> str:
    """Return a time of a day of 2026."""
    return f"2026-03-01T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}{zone}"


def item(number: int | str) -> str:
    """Return an instance of a trade item."""
    return f"https://id.gs1.org/01/04012345111118/21/{number}"


def case(number: int | str) -> str:
    """Return a logistic unit."""
    return f"https://id.gs1.org/00/{number:018d}" if isinstance(number, int) else f"https://id.gs1.org/00/{number}"


def lot(number: int | str) -> str:
    """Return a lot of the trade item."""
    return f"https://id.gs1.org/01/04012345111118/10/{number}"


def event(kind: str, second: int, **fields: Any) -> dict[str, Any]:
    """Return an event of a type."""
    return {"type": kind, "eventTime": at(second), "eventTimeZoneOffset": "+00:00", **fields}


def observed(second: int, *things: str, **fields: Any) -> dict[str, Any]:
    """Return an ObjectEvent."""
    return event("ObjectEvent", second, **{"action": "OBSERVE", "epcList": list(things), **fields})


def packed(second: int, parent: str, *children: str, action: str = "ADD", **fields: Any) -> dict[str, Any]:
    """Return an AggregationEvent."""
    return event(
        "AggregationEvent", second, **{"parentID": parent, "childEPCs": list(children), "action": action}, **fields
    )


def made_into(second: int, inputs: list[str], outputs: list[str], **fields: Any) -> dict[str, Any]:
    """Return a TransformationEvent; lots go into its lists of quantities."""
    lists: dict[str, Any] = {}
    for name, things in (("input", inputs), ("output", outputs)):
        instances = [thing for thing in things if "/10/" not in thing]
        lots = [{"epcClass": thing, "quantity": 1} for thing in things if "/10/" in thing]
        lists |= {f"{name}EPCList": instances} if instances else {}
        lists |= {f"{name}QuantityList": lots} if lots else {}
    return event("TransformationEvent", second, **lists, **fields)


def document(*events: dict[str, Any], **head: Any) -> bytes:
    """Return an EPCISDocument."""
    return orjson.dumps(
        {
            "@context": CONTEXT,
            "type": "EPCISDocument",
            "schemaVersion": "2.0",
            "creationDate": "2026-03-01T00:00:00Z",
            "epcisBody": {"eventList": list(events)},
            **head,
        }
    )
