"""Which requests read a set of values: neighbouring registers together, as few requests as the limits allow. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from gongfu.connect.modbus.addressing import BIT_TABLES, Spec

# V1.1b3 §6.1, §6.3: most bits and registers of one request.
MAX_BITS = 2000
MAX_REGISTERS = 125
# A bit is a sixteenth of a register.
_BITS_A_REGISTER = 16


class Block(NamedTuple):
    """One request.

    Attributes:
        unit, table: where.
        start, size: registers or bits.
        members: indices of the values it brings, in order of their start.
    """

    unit: int
    table: str
    start: int
    size: int
    members: tuple[int, ...]


def plan(specs: Sequence[Spec], max_registers: int, max_gap: int, members: Sequence[int] | None = None) -> list[Block]:
    """Return blocks that together bring every value once, whole.

    Args:
        specs: the values.
        max_registers: most registers of a request, 1 to 125; a value longer than that still gets one.
        max_gap: registers nobody asked for that are read along between two values rather than asked twice.
        members: indices of the values to read, default all.
    """
    order = sorted(
        range(len(specs)) if members is None else members,
        key=lambda i: (specs[i].unit, specs[i].table, specs[i].start, specs[i].size),
    )
    blocks: list[Block] = []
    open_members: list[int] = []
    unit, table, start, end = -1, "", 0, 0

    def close() -> None:
        if open_members:
            blocks.append(Block(unit, table, start, end - start, tuple(open_members)))

    for index in order:
        spec = specs[index]
        bits = spec.table in BIT_TABLES
        most = MAX_BITS if bits else max_registers
        gap = max_gap * _BITS_A_REGISTER if bits else max_gap
        stop = spec.start + spec.size
        if (spec.unit, spec.table) == (unit, table) and spec.start - end <= gap and max(stop, end) - start <= most:
            open_members.append(index)
            end = max(end, stop)
            continue
        close()
        open_members = [index]
        unit, table, start, end = spec.unit, spec.table, spec.start, stop
    close()
    return blocks


def split(block: Block, specs: Sequence[Spec]) -> list[Block]:
    """Return smaller blocks in place of one that the device refuses: without gaps; else halves; [] for one value."""
    if len(block.members) == 1:
        return []
    exact = plan(specs, MAX_REGISTERS, 0, block.members)
    if len(exact) > 1:
        return exact
    middle = len(block.members) // 2
    return [
        part
        for half in (block.members[:middle], block.members[middle:])
        for part in plan(specs, MAX_REGISTERS, 0, half)
    ]
