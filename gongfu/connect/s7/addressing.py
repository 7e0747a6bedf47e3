"""Addresses of values in an S7 PLC, and their bytes. Pure.

``DB<n>,<TYPE><byte>[.<bit or length>]`` as in nodeS7 and step-by-step guides: ``DB1,REAL4``, ``DB1,X0.3``,
``DB1,S10.20`` (a STRING of 20 characters at byte 10). Flags, inputs and outputs are ``M``, ``I`` (``E``), ``Q``
(``A``): ``MW20``, ``IX0.0``, ``QB4``. Numbers are big-endian, offsets are bytes, as in the PLC's own view of a block
that is not optimised.
"""

import re
import struct
from typing import Any, NamedTuple

from gongfu.connect.kit.types import DriverError, Reason, Value

_FORMATS = {
    "B": "B", "BYTE": "B", "USINT": "B", "SINT": "b",
    "I": "h", "INT": "h", "W": "H", "WORD": "H", "UINT": "H",
    "DI": "i", "DINT": "i", "D": "I", "DW": "I", "DWORD": "I", "UDINT": "I", "TIME": "i",
    "R": "f", "REAL": "f", "LR": "d", "LREAL": "d",
    "LI": "q", "LINT": "q", "ULI": "Q", "ULINT": "Q", "LW": "Q", "LWORD": "Q",
}  # fmt: skip
_DB = re.compile(r"DB(\d{1,5})[,.](?:DB)?([A-Z]+?)(\d{1,5})(?:\.(\d{1,3}))?")
_AREA = re.compile(r"([MIEQA])([A-Z]*?)(\d{1,5})(?:\.(\d{1,3}))?")
_AREAS = {"M": "M", "I": "I", "E": "I", "Q": "Q", "A": "Q"}
_LONGEST_STRING = 254
_LAST = 65_535


class Spec(NamedTuple):
    """What to read for one value.

    Attributes:
        area: DB, M, I or Q.
        block: number of the data block, else 0.
        start, size: bytes.
        kind: bit, number, string or char.
        layout: how to unpack a number.
        bit: of a bit.
    """

    area: str
    block: int
    start: int
    size: int
    kind: str
    layout: struct.Struct | None = None
    bit: int = 0


def parse(where: str) -> Spec:
    """Return what an address means.

    Raises:
        DriverError: it cannot be understood.
    """
    text = where.strip().upper().replace(" ", "")
    if found := _DB.fullmatch(text):
        area, block, kind, start, tail = "DB", int(found[1]), found[2], int(found[3]), found[4]
    elif found := _AREA.fullmatch(text):
        area, block, kind, start, tail = _AREAS[found[1]], 0, found[2] or "X", int(found[3]), found[4]
    else:
        raise _wrong(where, "it is of none of the known forms")
    if start > _LAST:
        raise _wrong(where, f"byte offsets are 0 to {_LAST}")
    if kind in ("X", "BOOL"):
        if tail is None or int(tail) > 7:
            raise _wrong(where, "a bit is given as byte.bit, the bit 0 to 7")
        return Spec(area, block, start, 1, "bit", None, int(tail))
    if kind in ("S", "STRING"):
        length = int(tail or 0)
        if not 1 <= length <= _LONGEST_STRING:
            raise _wrong(where, f"a string needs its length, 1 to {_LONGEST_STRING}: DB1,S10.20")
        return Spec(area, block, start, length + 2, "string")
    if tail is not None:
        raise _wrong(where, f"nothing stands after the offset of {kind}")
    if kind in ("C", "CHAR"):
        return Spec(area, block, start, 1, "char")
    letter = _FORMATS.get(kind)
    if letter is None:
        raise _wrong(where, f"{kind!r} is no type; known are X, S, C, {', '.join(_FORMATS)}")
    layout = struct.Struct(">" + letter)
    return Spec(area, block, start, layout.size, "number", layout)


def value_type_of(spec: Spec) -> str:
    """Return the type of a point that takes the values."""
    if spec.kind == "bit":
        return "boolean"
    if spec.kind in ("string", "char"):
        return "string"
    return "int64" if spec.layout is not None and spec.layout.format[1] in "qQ" else "double"


def decode(spec: Spec, data: bytes, offset: int) -> Value:
    """Return the value at a byte of a block; None for a string whose length byte is beyond its length."""
    if spec.layout is not None:
        return spec.layout.unpack_from(data, offset)[0]
    if spec.kind == "bit":
        return bool(data[offset] >> spec.bit & 1)
    if spec.kind == "char":
        return chr(data[offset])
    length = data[offset + 1]
    if length > spec.size - 2:
        return None
    return data[offset + 2 : offset + 2 + length].decode("latin-1")


def encode(spec: Spec, value: Any) -> bytes:
    """Return the bytes to write; not for bits.

    Raises:
        DriverError: it does not fit the type.
    """
    if spec.kind in ("string", "char"):
        if not isinstance(value, str):
            raise _misfit(value, "a text is needed")
        raw = value.encode("latin-1", "replace")
        if spec.kind == "char":
            if len(raw) != 1:
                raise _misfit(value, "one character is needed")
            return raw
        if len(raw) > spec.size - 2:
            raise _misfit(value, f"it has {len(raw)} characters, {spec.size - 2} fit")
        return bytes((spec.size - 2, len(raw))) + raw.ljust(spec.size - 2, b"\0")
    assert spec.layout is not None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _misfit(value, "a number is needed")
    if spec.layout.format[1] not in "fd":
        if isinstance(value, float) and not value.is_integer():
            raise _misfit(value, "a whole number is needed")
        value = int(value)
    try:
        return spec.layout.pack(value)
    except (struct.error, OverflowError):
        raise _misfit(value, f"{spec.layout.size} bytes of this type do not hold it") from None


def plan(specs: list[Spec], max_gap: int) -> list[tuple[str, int, int, int, tuple[int, ...]]]:
    """Return requests (area, block, start, size, indices of the values) that bring each value once, whole.

    A request may be longer than the PLC's PDU: the library then asks in parts.
    """
    order = sorted(range(len(specs)), key=lambda i: (specs[i].area, specs[i].block, specs[i].start))
    found: list[tuple[str, int, int, int, tuple[int, ...]]] = []
    for index in order:
        spec = specs[index]
        if found:
            area, block, start, size, members = found[-1]
            if (area, block) == (spec.area, spec.block) and spec.start - (start + size) <= max_gap:
                end = max(start + size, spec.start + spec.size)
                found[-1] = (area, block, start, end - start, (*members, index))
                continue
        found.append((spec.area, spec.block, spec.start, spec.size, (index,)))
    return found


def _wrong(where: str, what: str) -> DriverError:
    return DriverError(
        Reason.ADDRESS_UNKNOWN, f"{where[:100]!r} is no S7 address: {what}.", "Say, for example, DB1,REAL4 or DB1,X0.3."
    )


def _misfit(value: Any, why: str) -> DriverError:
    return DriverError(Reason.TYPE_MISMATCH, f"{str(value)[:80]!r} cannot be written: {why}.", "Give another value.")
