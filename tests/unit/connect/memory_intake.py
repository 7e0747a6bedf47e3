"""An intake in memory: keeps what it was given, and gives receipts when it is told to."""

from collections.abc import Sequence

from gongfu.ingest.types import Done, ReadingColumns, Receipt, Writer

WRITER = Writer(1, 7, "plc-1", 3, "line/press")
Row = tuple[str, str, object, int, int]


class MemoryIntake:
    """Implements ``ColumnIntake``; ``rows`` are (child, point, value, quality, time) in the order of arrival."""

    def __init__(self, *, prompt: bool = True) -> None:
        self.saturated = False
        self.rows: list[Row] = []
        self.shed: dict[str, int] = {}
        self._prompt = prompt
        self._open: list[tuple[int, Done | None]] = []

    def submit_columns(
        self, writer: Writer, columns: Sequence[ReadingColumns], received: int, done: Done | None = None
    ) -> None:
        assert writer == WRITER
        n = 0
        for one in columns:
            cells = zip(one.name_of, one.values, one.qualities, one.times, strict=True)
            self.rows += [(one.child, one.names[name], value, q, time) for name, value, q, time in cells]
            n += len(one.values)
        self._open.append((n, done))
        if self._prompt:
            self.settle()

    def shed_readings(self, writer: Writer, n: int, reason: str) -> None:
        self.shed[reason] = self.shed.get(reason, 0) + n

    def settle(self) -> None:
        """Make durable what was given."""
        given, self._open = self._open, []
        for n, done in given:
            if done is not None:
                done(Receipt(n))
