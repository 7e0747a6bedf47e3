"""Units that births of edge nodes and devices say: the metric properties ``engUnit``, ``engLow`` and ``engHigh``.

Sparkplug 3.0.0 §6.4.9 has properties of metrics without naming these; they are what Ignition and most edge nodes write
(upper and lower case of the first letter are both met). Births are read a second time for them, and only those that
have one: data messages never cost anything here.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from math import isfinite
from typing import Any

from google.protobuf.message import DecodeError

from gongfu.ingest.columnise.sparkplug_schema import DataType, Payload, Template
from gongfu.ingest.columnise.sparkplug_structures import DEEPEST
from gongfu.ingest.types import Done, Receipt, Writer
from gongfu.registry.source_units import MAX_STATED, StatedUnit, Statement

UNIT, LOW, HIGH = "engunit", "englow", "enghigh"
_MARKS = (b"engUnit", b"EngUnit", b"engunit")
# Births whose units were handed over: the same again is not looked at.
KEPT = 100_000

# Hands a statement over to whom keeps units; never blocks.
Hand = Callable[[Statement], None]


class UnitFollower:
    """Reads the units of births, once their points are made. Use from one event loop.

    Attributes:
        stated: called with what a birth says, when it is not what it said before.
    """

    def __init__(self, stated: Hand) -> None:
        self.stated = stated
        self._known: OrderedDict[tuple[int, str], int] = OrderedDict()

    def watch(self, writer: Writer, child: str, payload: bytes, done: Done | None) -> Done | None:
        """Return what is to be called with the receipt of a birth in place of ``done``: the units follow the points.

        Args:
            writer: the sender.
            child: asset of the edge node or device, below the sender's own.
            payload: of the birth.
            done: who waits for the receipt.
        """
        if not any(mark in payload for mark in _MARKS):
            return done

        def settled(receipt: Receipt) -> None:
            if done is not None:
                done(receipt)
            self._state(writer, child, payload)

        return settled

    def again(self, statement: Statement) -> None:
        """Forget that the assets of a statement have said their units: it was not taken, and is made anew next time."""
        for asset in {item.asset for item in statement.units}:
            self._known.pop((statement.tenant, asset), None)

    def _state(self, writer: Writer, child: str, payload: bytes) -> None:
        asset = f"{writer.asset_path}/{child}"
        units = tuple(stated_units(payload, asset))[:MAX_STATED]
        key, mark = (writer.tenant, asset), hash(units)
        if self._known.get(key) == mark:
            return
        self._known[key] = mark
        self._known.move_to_end(key)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        if units:
            self.stated(Statement(tenant=writer.tenant, source=f"sparkplug {child}", units=list(units)))


def stated_units(payload: bytes, asset: str) -> Iterator[StatedUnit]:
    """Yield what the metrics of a birth, and members of template instances in it, say of their units.

    Args:
        payload: of an NBIRTH or DBIRTH; one that cannot be read says nothing.
        asset: path of the asset of the metrics.
    """
    try:
        message = Payload.FromString(payload)
    except DecodeError:
        return
    for metric in message.metrics:
        if type(metric.name) is str and metric.name:
            yield from _of_metric(metric, metric.name, asset, 0)


def _of_metric(metric: Any, name: str, asset: str, depth: int) -> Iterator[StatedUnit]:
    if metric.HasField("properties"):
        said = _properties(metric.properties)
        text = said.get(UNIT)
        if isinstance(text, str) and text.strip():
            yield StatedUnit(
                asset=asset, point=name, text=text, low=_number(said.get(LOW)), high=_number(said.get(HIGH))
            )
    if metric.datatype != DataType.TEMPLATE or depth >= DEEPEST or not metric.HasField("template_value"):
        return
    try:
        template = Template.FromString(metric.template_value)
    except DecodeError:
        return
    if template.is_definition:
        return
    for member in template.metrics:
        if type(member.name) is str and member.name:
            yield from _of_metric(member, f"{name}/{member.name}", asset, depth + 1)


def _properties(found: Any) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for key, value in zip(found.keys, found.values, strict=False):
        which = value.WhichOneof("value")
        if type(key) is str and which is not None and not value.is_null and key.lower() in (UNIT, LOW, HIGH):
            content = getattr(value, which)
            # Integers below zero travel as two's complement (§6.4.16).
            bits = {"int_value": 32, "long_value": 64}.get(which, 0)
            signed = value.type in (DataType.INT8, DataType.INT16, DataType.INT32, DataType.INT64)
            if bits and signed and content >= 1 << (bits - 1):
                content -= 1 << bits
            said[key.lower()] = content
    return said


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = float(value)
    return number if isfinite(number) else None
