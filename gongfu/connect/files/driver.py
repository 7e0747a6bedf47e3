"""The driver of a folder: rows of files become readings at their own time, old files first (backfill)."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gongfu.connect.files.folder import Batch, Folder
from gongfu.connect.files.tables import time_of, value_of
from gongfu.connect.kit.manifest import load_manifest
from gongfu.connect.kit.types import (
    Address,
    Context,
    DriverError,
    Found,
    Manifest,
    Node,
    NodePage,
    Reading,
    Reason,
    Sink,
    Value,
    WriteResult,
)
from gongfu.kernel.quality import Quality

_FULL_S = 0.1
# So many are handed over before the sink is asked again whether it has room.
_AT_ONCE = 5_000


class FolderDriver:
    """Implements ``Driver``. Rows may be read twice after a crash, never left out: a point is known by its time."""

    manifest: ClassVar[Manifest] = load_manifest(Path(__file__).parent / "manifest.toml")

    def __init__(self, context: Context) -> None:
        options = context.options
        parts = urlsplit(context.url)
        self._host = parts.netloc
        self._path = Path(unquote(parts.path))
        pattern, delimiter = str(options.get("pattern", "*")), str(options.get("delimiter", ","))
        self._folder = Folder(self._path, pattern, delimiter, context.directory / "positions.json")
        self._time_column = str(options.get("time_column", "time"))
        self._name_column = str(options.get("name_column", ""))
        self._value_column = str(options.get("value_column", "value"))
        self._zone_name = str(options.get("zone", "")) or "UTC"
        self._zone = ZoneInfo("UTC")
        self._scan = float(options.get("scan", 5.0))
        self._timing = context.timing
        self._places: dict[str, int] = {}
        self._sink: Sink | None = None
        self._rows = self._without_time = 0

    async def open(self) -> None:
        """See that the folder may be read."""
        try:
            self._zone = ZoneInfo(self._zone_name)
        except (ZoneInfoNotFoundError, ValueError):
            raise DriverError(
                Reason.UNSUPPORTED, f"{self._zone_name!r} is no time zone.", "Say, for example, Asia/Shanghai."
            ) from None
        if self._host:
            raise DriverError(
                Reason.ADDRESS_UNKNOWN, "files are read from this machine.", "Say files:///path with three slashes."
            )
        await asyncio.to_thread(self._folder.open)

    async def close(self) -> None:
        """Nothing is held."""

    async def discover(self) -> list[Found]:
        """Return the folder."""
        await self.open()
        return [Found(url=f"files://{self._path}", name=self._path.name)]

    async def browse(self, parent: str, limit: int, cursor: str = "") -> NodePage:
        """Return the columns of the newest file, or the names in it, with the first value of each."""
        if parent:
            return NodePage(items=[])
        rows = await asyncio.to_thread(self._folder.sample)
        if rows and self._time_column not in rows[0]:
            raise DriverError(
                Reason.ADDRESS_UNKNOWN,
                f"the newest file has no column {self._time_column!r}, but {', '.join(map(str, rows[0]))[:200]}.",
                "Name the column of the time with time_column.",
            )
        first: dict[str, Value] = {}
        for row in rows:
            for name, value in self._cells(row):
                if first.get(name) is None:
                    first[name] = value
        nodes = [Node(where=name, name=name, sample=value) for name, value in first.items()]
        start = int(cursor or 0)
        following = start + limit
        return NodePage(items=nodes[start:following], next=str(following) if following < len(nodes) else "")

    async def read(self, addresses: Sequence[Address]) -> list[Reading]:
        """Return the first values of the newest file."""
        found: dict[str, tuple[Value, int]] = {}
        for row in await asyncio.to_thread(self._folder.sample):
            time = time_of(row.get(self._time_column), self._zone)
            for name, value in self._cells(row):
                if value is not None:
                    found.setdefault(name, (value, time))
        readings: list[Reading] = []
        for index, address in enumerate(addresses):
            value, time = found.get(address.where, (None, 0))
            readings.append(Reading(index, value, Quality.GOOD if value is not None else Quality.BAD_NO_DATA, time))
        return readings

    async def subscribe(self, addresses: Sequence[Address], sink: Sink) -> None:
        """Read what is new from now on, from where the last life of the connection stopped."""
        self._places = {address.where: index for index, address in enumerate(addresses)}
        self._sink = sink

    async def wait(self) -> None:
        """Look at the folder again and again."""
        while True:
            if self._sink is not None:
                await self._look(self._sink)
            await self._timing.sleep(self._scan)

    async def write(self, address: Address, value: Value) -> WriteResult:
        """Refuse."""
        raise DriverError(Reason.UNSUPPORTED, "files are only read.", "Send to the machine another way.")

    async def health(self) -> Mapping[str, Any]:
        """Return files and rows that were read, and rows without a time, which are left out."""
        return {"files": len(self._folder.positions), "rows": self._rows, "rows_without_time": self._without_time}

    async def _look(self, sink: Sink) -> None:
        # What was handed over a turn ago is durable by now, or was counted as shed.
        await asyncio.to_thread(self._folder.save)
        batches = self._folder.new()
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            readings = self._readings(batch)
            for start in range(0, len(readings), _AT_ONCE):
                while sink.saturated:
                    await self._timing.sleep(_FULL_S)
                sink.take(readings[start : start + _AT_ONCE], self._timing.now_ns())
            self._folder.taken(batch)

    def _readings(self, batch: Batch) -> list[Reading]:
        readings: list[Reading] = []
        for row in batch.rows:
            self._rows += 1
            time = time_of(row.get(self._time_column), self._zone)
            if time == 0:
                self._without_time += 1
                continue
            for name, value in self._cells(row):
                index = self._places.get(name)
                # An empty cell says nothing: it is no value.
                if index is not None and value is not None:
                    readings.append(Reading(index, value, Quality.GOOD, time))
        return readings

    def _cells(self, row: Mapping[str, Any]) -> list[tuple[str, Value]]:
        if self._name_column:
            name = row.get(self._name_column)
            return [(str(name), value_of(row.get(self._value_column)))] if name else []
        return [(name, value_of(cell)) for name, cell in row.items() if name != self._time_column]
