"""Addresses of values in a Modbus device, as text and as what to read. Pure.

``[unit/]table:number[:type[:order]]``: ``table`` is coil, discrete, input or holding; ``number`` counts from 0, as on
the wire. The old notation ``40101`` (or ``400101``) is holding 100, ``30001`` input 0, ``10001`` discrete 0, ``00001``
coil 0; it counts from 1.

Source: MODBUS Application Protocol Specification V1.1b3 §4.3 (data model), §4.4 (addressing).
"""

import re
import struct
from typing import NamedTuple

from gongfu.connect.kit.types import DriverError, Reason

TABLES = ("coil", "discrete", "input", "holding")
BIT_TABLES = frozenset({"coil", "discrete"})
ORDERS = ("abcd", "badc", "cdab", "dcba")
LAST = 65_535

_SHORT = {"co": "coil", "di": "discrete", "ir": "input", "hr": "holding"}
_DIGIT = {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}
# By type: (struct format, registers).
FORMATS = {
    "uint16": ("H", 1),
    "int16": ("h", 1),
    "uint32": ("I", 2),
    "int32": ("i", 2),
    "uint64": ("Q", 4),
    "int64": ("q", 4),
    "float32": ("f", 2),
    "float64": ("d", 4),
}
_BITS = re.compile(r"(uint16|uint32)\.(\d{1,2})(?:-(\d{1,2}))?")
_STRING = re.compile(r"string(\d{1,3})")
_BCD = {"bcd16": 1, "bcd32": 2}
_OLD = re.compile(r"[0134]\d{4,5}")


class Spec(NamedTuple):
    """What to read for one value, and how.

    Attributes:
        unit: unit id.
        table: coil, discrete, input or holding.
        start: first register or bit, from 0.
        size: registers or bits.
        kind: bit, number, field, string or bcd.
        type: as in the address, without the field.
        order: abcd, badc, cdab or dcba.
        layout: how to unpack it, None for bits and strings.
        swapped: whether the bytes of each register are exchanged first.
        shift, mask: of a bit field.
    """

    unit: int
    table: str
    start: int
    size: int
    kind: str
    type: str
    order: str
    layout: struct.Struct | None
    swapped: bool
    shift: int = 0
    mask: int = 0


def parse(where: str, unit: int, order: str) -> Spec:
    """Return what an address means.

    Args:
        where: the address.
        unit: unit id where it names none.
        order: where it names none.

    Raises:
        DriverError: it cannot be understood; the text says what would be right.
    """
    rest = where.strip().lower()
    head, slash, tail = rest.partition("/")
    if slash:
        if not head.isdigit() or not 0 <= int(head) <= 255:
            raise _wrong(where, f"{head!r} is no unit id (0 to 255)")
        unit, rest = int(head), tail
    parts = rest.split(":")
    if _OLD.fullmatch(parts[0]):
        table, start = _DIGIT[parts[0][0]], int(parts[0][1:]) - 1
        kind_parts = parts[1:]
    else:
        table = _SHORT.get(parts[0], parts[0])
        if table not in TABLES:
            raise _wrong(where, f"{parts[0]!r} is none of {', '.join(TABLES)}")
        if len(parts) < 2 or not parts[1].isdigit():
            raise _wrong(where, "a number from 0 is needed after the table")
        start, kind_parts = int(parts[1]), parts[2:]
    if len(kind_parts) > 2:
        raise _wrong(where, "there is more than type and order")
    kind = kind_parts[0] if kind_parts and kind_parts[0] else ("bit" if table in BIT_TABLES else "uint16")
    if len(kind_parts) > 1:
        order = kind_parts[1]
    if order not in ORDERS:
        raise _wrong(where, f"{order!r} is none of the orders {', '.join(ORDERS)}")
    spec = _typed(where, unit, table, start, kind, order)
    if start < 0 or start + spec.size - 1 > LAST:
        raise DriverError(
            Reason.RANGE,
            f"{where}: registers {start} to {start + spec.size - 1} are not between 0 and {LAST}.",
            "Numbers count from 0; 40001 is holding:0.",
        )
    return spec


def _typed(where: str, unit: int, table: str, start: int, kind: str, order: str) -> Spec:
    if table in BIT_TABLES:
        if kind not in ("bit", "bool"):
            raise _wrong(where, f"{table} holds bits, no {kind}")
        return Spec(unit, table, start, 1, "bit", "bit", order, None, False)
    swapped = order in ("badc", "cdab")
    mark = ">" if order in ("abcd", "badc") else "<"
    if kind in FORMATS:
        letter, count = FORMATS[kind]
        return Spec(unit, table, start, count, "number", kind, order, struct.Struct(mark + letter), swapped)
    if kind in _BCD:
        count = _BCD[kind]
        layout = struct.Struct(mark + FORMATS["uint16" if count == 1 else "uint32"][0])
        return Spec(unit, table, start, count, "bcd", kind, order, layout, swapped)
    if found := _BITS.fullmatch(kind):
        letter, count = FORMATS[found[1]]
        low = int(found[2])
        high = int(found[3]) if found[3] else low
        if not low <= high < 16 * count:
            raise _wrong(where, f"bits must be 0 to {16 * count - 1}, the lower one first")
        layout = struct.Struct(mark + letter)
        mask = (1 << (high - low + 1)) - 1
        return Spec(unit, table, start, count, "field", found[1], order, layout, swapped, low, mask)
    if found := _STRING.fullmatch(kind):
        size = int(found[1])
        if not 1 <= size <= 250:
            raise _wrong(where, "a string has 1 to 250 bytes")
        # Of the orders only that inside a register means something.
        return Spec(unit, table, start, (size + 1) // 2, "string", kind, order, None, order in ("badc", "dcba"))
    known = ", ".join([*FORMATS, *_BCD, "uint16.<bit>", "uint16.<low>-<high>", "string<bytes>"])
    raise _wrong(where, f"{kind!r} is no type; known are {known}")


def value_type_of(spec: Spec) -> str:
    """Return the type of a point that takes the values."""
    if spec.kind == "bit" or (spec.kind == "field" and spec.mask == 1):
        return "boolean"
    if spec.kind == "string":
        return "string"
    return "int64" if spec.type in ("int64", "uint64") else "double"


def _wrong(where: str, what: str) -> DriverError:
    return DriverError(
        Reason.ADDRESS_UNKNOWN,
        f"{where[:100]!r} is no Modbus address: {what}.",
        "Say, for example, holding:100:float32.",
    )
