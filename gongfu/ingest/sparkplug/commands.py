"""Commands of people to edge nodes and devices: NCMD and DCMD payloads, and how their effect is seen.

Sparkplug 3.0.0 §6.4.9 (NCMD), §6.4.10 (DCMD). A command has no answer of its own: what it wrote comes back in an NDATA,
DDATA or birth of the same edge node or device, and only that confirms it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from struct import pack, unpack
from typing import Any

from google.protobuf.message import DecodeError

from gongfu.ingest.columnise.sparkplug_births import Birth
from gongfu.ingest.columnise.sparkplug_schema import DataType, Payload
from gongfu.ingest.columnise.sparkplug_values import FIELDS, value_of
from gongfu.kernel.errors import Problem, invalid

REBIRTH = "Node Control/Rebirth"
_BITS = {
    DataType.INT8: 8,
    DataType.INT16: 16,
    DataType.INT32: 32,
    DataType.INT64: 64,
    DataType.UINT8: 8,
    DataType.UINT16: 16,
    DataType.UINT32: 32,
    DataType.UINT64: 64,
    DataType.DATETIME: 64,
}
_SIGNED = frozenset({DataType.INT8, DataType.INT16, DataType.INT32, DataType.INT64})


def rebirth_payload(milliseconds: int) -> bytes:
    """Return the NCMD that asks for a birth (§6.4.9: metric ``Node Control/Rebirth``, Boolean, true)."""
    message = Payload(timestamp=milliseconds)
    metric = message.metrics.add(name=REBIRTH, timestamp=milliseconds, datatype=DataType.BOOLEAN)
    metric.boolean_value = True
    return message.SerializeToString()


def command_payload(values: Mapping[str, Any], birth: Birth, milliseconds: int) -> bytes:
    """Return the payload of an NCMD or DCMD.

    A metric that the birth gave an alias has the alias and no name, as in data (``alias-data-cmd-requirement``).

    Args:
        values: what to write, by metric name.
        birth: the birth of the edge node or device.
        milliseconds: UTC, time of the payload and its metrics.

    Raises:
        Problem: 400 when the birth does not name a metric, or a value does not fit its data type.
    """
    aliases = {name: alias for alias, (name, _) in birth.by_alias.items()}
    message = Payload(timestamp=milliseconds)
    for name, value in values.items():
        datatype = birth.types.get(name)
        if datatype is None:
            raise Problem(
                404,
                "metric-unknown",
                "The birth does not name this metric",
                f"{name[:100]!r}; names are case-sensitive",
            )
        metric = message.metrics.add(timestamp=milliseconds, datatype=datatype)
        if name in aliases:
            metric.alias = aliases[name]
        else:
            metric.name = name
        _set(metric, name, datatype, value)
    return message.SerializeToString()


def _set(metric: Any, name: str, datatype: int, value: Any) -> None:
    attribute = FIELDS.get(datatype)
    if attribute is None:
        raise invalid(f"{name[:100]!r}: values of data type {datatype} cannot be written")
    if value is None:
        metric.is_null = True
        return
    if (bits := _BITS.get(DataType(datatype))) is not None:
        signed = datatype in _SIGNED
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is not int or not low <= value <= high:
            raise invalid(f"{name[:100]!r}: not an integer from {low} to {high}")
        setattr(metric, attribute, value & ((1 << (64 if bits == 64 else 32)) - 1))
    elif datatype in (DataType.FLOAT, DataType.DOUBLE):
        if type(value) not in (int, float):
            raise invalid(f"{name[:100]!r}: not a number")
        try:
            setattr(metric, attribute, single(value) if datatype == DataType.FLOAT else float(value))
        except OverflowError:
            raise invalid(f"{name[:100]!r}: beyond the range of its data type") from None
    elif datatype == DataType.BOOLEAN:
        if type(value) is not bool:
            raise invalid(f"{name[:100]!r}: not true or false")
        metric.boolean_value = value
    else:
        if type(value) is not str:
            raise invalid(f"{name[:100]!r}: not a text")
        metric.string_value = value


def single(value: float) -> float:
    """Return the nearest number of single precision.

    Raises:
        OverflowError: it is too large.
    """
    return unpack("<f", pack("<f", value))[0]


@dataclass(slots=True)
class Expectation:
    """What must come back before a command is confirmed.

    Attributes:
        child: path of the edge node or device.
        values: what was written and has not come back, by name.
        seen: other values that came back instead, by name.
        rebirth: an NBIRTH confirms it.
    """

    child: str
    values: dict[str, Any]
    rebirth: bool = False
    seen: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def fulfilled(self) -> bool:
        """Everything has come back."""
        return not self.values and not self.rebirth

    def look(self, kind: str, child: str, payload: bytes, birth: Birth | None) -> None:
        """Look at a message of the edge node; ``birth`` is that of the message itself when it is one."""
        if kind == "NBIRTH":
            self.rebirth = False
        if child != self.child or kind in ("NDEATH", "DDEATH") or not self.values:
            return
        try:
            metrics: Sequence[Any] = Payload.FromString(payload).metrics
        except DecodeError:
            return
        for metric in metrics:
            name, datatype = metric.name, metric.datatype
            if not name and birth is not None:
                name, datatype = birth.by_alias.get(metric.alias, ("", 0))
            if name not in self.values:
                continue
            datatype = datatype or (birth.types.get(name, 0) if birth is not None else 0)
            if datatype not in FIELDS:
                continue
            reason, value = value_of(metric, datatype)
            value = None if reason is not None else value
            if _same(self.values[name], value, datatype):
                del self.values[name]
                self.seen.pop(name, None)
            else:
                self.seen[name] = value


def _same(wanted: Any, seen: Any, datatype: int) -> bool:
    if wanted is None or seen is None:
        return wanted is seen
    return bool((single(wanted) if datatype == DataType.FLOAT else wanted) == seen)
