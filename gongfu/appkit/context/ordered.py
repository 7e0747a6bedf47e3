"""Carries out orders, asks probes and files reports in the process of the app."""

import contextlib
from typing import Any

import msgspec

from gongfu.appkit.context.looking import LookingContext
from gongfu.appkit.context.order_messages import CallOrder, CallProbe, CallReport, SeenTold
from gongfu.appkit.context.records import SqliteRecords
from gongfu.appkit.contract import AppError, Cell, Context, Order, Period, Question, Seen
from gongfu.appkit.declarations import Declared

_TOLD = 1000
_CELLS_BYTES = 4 << 20


def carry_out(declared: Declared, context: Context, call: CallOrder, records: SqliteRecords | None) -> bytes:
    """Return what the app says of an order, UTF-8; the order is carried out unless it was.

    Raises:
        AppError: the app has no records, or its function returned what is no text.
        Exception: what the function raises; what it wrote into the records is undone.
    """
    if records is None:
        raise AppError(500, "an app that carries out orders has records: write [needs] records = true")
    _, function = declared.orders[call.handler]
    order = Order(
        call.key, call.order, call.kind, _object(call.body), call.issued, call.issuer, call.attempt, call.rollback
    )

    def work() -> str:
        said = function(context, order)
        if said is not None and not isinstance(said, str):
            raise AppError(500, f"what carries out {call.kind!r} returns a text or None, not {type(said).__name__}")
        return (said or "")[:_TOLD]

    return records.once(call.key, call.issued, work).encode()


def look(declared: Declared, context: Context, call: CallProbe, records: SqliteRecords | None) -> bytes:
    """Return what a probe sees, as JSON of ``SeenTold``.

    Raises:
        AppError: the function returned no ``Seen``.
        Exception: what the function raises.
    """
    probe, function = declared.probes[call.handler]
    question = Question(_object(call.body), call.order, call.kind, call.since)
    looking: Any = LookingContext(context)
    with records.read_only() if records is not None else contextlib.nullcontext():
        seen = function(looking, question)
    if not isinstance(seen, Seen):
        raise AppError(500, f"probe {probe.name!r} returns Seen('present' | 'absent' | 'unknown', 'evidence')")
    return msgspec.json.encode(SeenTold(seen.sight, str(seen.evidence)[:4000]))


def cells_of(declared: Declared, context: Context, call: CallReport) -> bytes:
    """Return the cells of a period as a JSON list.

    Raises:
        AppError: the function returned what are no cells, or too many.
        Exception: what the function raises.
    """
    _, function = declared.reports[call.handler]
    found: Any = function(context, Period(call.start, call.end))
    if not isinstance(found, (list, tuple)):
        raise AppError(500, f"report {call.kind!r} returns a list of Cell, not {type(found).__name__}")
    cells: list[dict[str, Any]] = []
    for cell in found:
        if not isinstance(cell, Cell):
            raise AppError(500, f"report {call.kind!r} returns a list of Cell, not of {type(cell).__name__}")
        cells.append({"keys": dict(cell.keys), "measures": dict(cell.measures)})
    body = as_json(cells)
    if len(body) > _CELLS_BYTES:
        raise AppError(500, f"the cells of {call.kind!r} have {len(body)} bytes, at most {_CELLS_BYTES}")
    return body


def as_json(value: Any) -> bytes:
    """Return JSON; NumPy's numbers and arrays become those of JSON, NaN and infinities null.

    Raises:
        TypeError: something cannot be JSON.
    """

    def other(item: Any) -> Any:
        if hasattr(item, "tolist"):
            return item.tolist()
        raise TypeError(f"{type(item).__name__} cannot be JSON")

    return msgspec.json.encode(value, enc_hook=other)


def _object(body: bytes) -> dict[str, Any]:
    return msgspec.json.decode(body, type=dict[str, Any])
