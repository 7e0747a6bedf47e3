"""Registers to values and back. Pure.

A block is decoded from its bytes as they came (big-endian registers) or with the bytes of each register exchanged; with
that, each of the four orders is a plain big- or little-endian number.
"""

import struct
from collections.abc import Sequence
from typing import Any

from gongfu.connect.kit.types import DriverError, Reason, Value
from gongfu.connect.modbus.addressing import FORMATS, ORDERS, Spec


class BlockBytes:
    """The registers of one answer, as bytes in both orders; ``uint16`` each."""

    __slots__ = ("_exchanged", "plain")

    def __init__(self, registers: Sequence[int]) -> None:
        self.plain = struct.pack(f">{len(registers)}H", *registers)
        self._exchanged: bytes | None = None

    @property
    def exchanged(self) -> bytes:
        """The same with the two bytes of each register exchanged."""
        if self._exchanged is None:
            n = len(self.plain) // 2
            self._exchanged = struct.pack(f"<{n}H", *struct.unpack(f">{n}H", self.plain))
        return self._exchanged


def decode(spec: Spec, block: BlockBytes, offset: int) -> Value:
    """Return the value at a register of a block; ``offset`` counts registers from its start.

    None for digits that are no BCD.
    """
    source = block.exchanged if spec.swapped else block.plain
    if spec.layout is None:
        raw = source[2 * offset : 2 * (offset + spec.size)]
        return raw.split(b"\0", 1)[0].decode("utf-8", "replace").rstrip()
    (value,) = spec.layout.unpack_from(source, 2 * offset)
    if spec.kind == "number":
        return value
    if spec.kind == "field":
        field = value >> spec.shift & spec.mask
        return bool(field) if spec.mask == 1 else field
    digits = f"{value:x}"
    return int(digits) if digits.isdigit() else None


def encode(spec: Spec, value: Value) -> list[int]:
    """Return the registers to write for a value; not for bits and bit fields.

    Raises:
        DriverError: it does not fit the type.
    """
    if spec.kind == "string":
        if not isinstance(value, str):
            raise _misfit(spec, value, "a text is needed")
        raw = value.encode()
        if len(raw) > 2 * spec.size:
            raise _misfit(spec, value, f"it has {len(raw)} bytes, {2 * spec.size} fit")
        raw = raw.ljust(2 * spec.size, b"\0")
    else:
        assert spec.layout is not None
        raw = _pack(spec, value, spec.layout)
    registers = struct.unpack(f"{'<' if spec.swapped else '>'}{spec.size}H", raw)
    return list(registers)


def _pack(spec: Spec, value: Value, layout: struct.Struct) -> bytes:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _misfit(spec, value, "a number is needed")
    number: Any = value
    if spec.type not in ("float32", "float64"):
        if isinstance(value, float) and not value.is_integer():
            raise _misfit(spec, value, "a whole number is needed")
        number = int(value)
    if spec.kind == "bcd":
        if not 0 <= number < 10 ** (4 * spec.size):
            raise _misfit(spec, value, f"{spec.type} takes 0 to {10 ** (4 * spec.size) - 1}")
        number = int(str(number), 16)
    try:
        return layout.pack(number)
    except (struct.error, OverflowError):
        raise _misfit(spec, value, f"it does not fit {spec.type}") from None


def replace_field(spec: Spec, registers: Sequence[int], value: Value) -> list[int]:
    """Return registers in which a bit field has a value and all other bits are as they were.

    Raises:
        DriverError: it does not fit the field.
    """
    number = int(value) if isinstance(value, (bool, int)) or (isinstance(value, float) and value.is_integer()) else -1
    if not 0 <= number <= spec.mask:
        raise _misfit(spec, value, f"the field takes 0 to {spec.mask}")
    assert spec.layout is not None
    block = BlockBytes(registers)
    (whole,) = spec.layout.unpack(block.exchanged if spec.swapped else block.plain)
    whole = whole & ~(spec.mask << spec.shift) | number << spec.shift
    raw = spec.layout.pack(whole)
    return list(struct.unpack(f"{'<' if spec.swapped else '>'}{spec.size}H", raw))


def in_orders(spec: Spec, value: Any) -> dict[str, Any]:
    """Return what the registers of a number would be in each order; its own is ``value`` itself."""
    if spec.kind != "number" or spec.size == 1:
        return {}
    registers = encode(spec, value)
    letter = FORMATS[spec.type][0]
    found: dict[str, Any] = {}
    for order in ORDERS:
        block = BlockBytes(registers)
        source = block.exchanged if order in ("badc", "cdab") else block.plain
        (found[order],) = struct.unpack((">" if order in ("abcd", "badc") else "<") + letter, source)
    return found


def _misfit(spec: Spec, value: Value, why: str) -> DriverError:
    return DriverError(
        Reason.TYPE_MISMATCH, f"{str(value)[:80]!r} cannot be written as {spec.type}: {why}.", "Give another value."
    )
