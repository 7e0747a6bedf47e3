"""What the death of an edge node or device does to its points: each gets a value of quality *bad, stale*.

Sparkplug 3.0.0 §6.4.11 and §6.4.13 (host actions on NDEATH and DDEATH). The value itself is no measurement: not a
number, 0, false or empty, so that no aggregate takes it for one.
"""

from collections.abc import Mapping
from math import nan
from struct import pack

from gongfu.ingest.columnise.accumulator import OpenBlock
from gongfu.ingest.columnise.elements import PointTable, Refusals
from gongfu.ingest.columnise.reasons import Reject
from gongfu.kernel.block import TEXT_TYPES
from gongfu.kernel.points import Series, ValueType
from gongfu.kernel.quality import Quality

_NOTHING = {ValueType.DOUBLE: pack("<d", nan), ValueType.INT64: pack("<q", 0), ValueType.BOOLEAN: b"\0"}
_TEXT = {ValueType.STRING: "", ValueType.JSON: "null"}


class Stale:
    """An ``Element``: the points that a birth named are stale from ``time`` (UTC ns) on.

    Attributes:
        child: path of the asset below the writer's own.
    """

    __slots__ = ("_names", "_time", "child")

    def __init__(self, child: str, names: list[str], time: int) -> None:
        self.child = child
        self._names = names
        self._time = time

    @property
    def points(self) -> int:
        """None that the sender has sent."""
        return 0

    def missing(self, names: Mapping[str, Series]) -> dict[str, ValueType]:
        """Return nothing: what has no series has no value that could be stale."""
        return {}

    def write_planned(self, table: PointTable, block: OpenBlock) -> bool:
        """Append a stale value for each point."""
        series: dict[ValueType, list[int]] = {}
        for name in self._names:
            known = table.names.get(name)
            if known is not None:
                series.setdefault(known.value_type, []).append(known.series)
        stamp = self._time.to_bytes(8, "little")
        for value_type, ids in series.items():
            n = len(ids)
            packed, qualities = pack(f"<{n}I", *ids), bytes((Quality.BAD_STALE,)) * n
            if value_type in TEXT_TYPES:
                block.add_texts(value_type, packed, stamp * n, qualities, [_TEXT[value_type]] * n)
            else:
                block.add(value_type, n, packed, stamp * n, qualities, _NOTHING[value_type] * n)
        return True

    def write(self, table: PointTable, block: OpenBlock, reject: Reject, refused: Refusals) -> None:
        """Append the same: there is one way."""
        self.write_planned(table, block)
