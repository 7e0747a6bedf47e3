"""A recorded session as a driver: ``recording:///path/to/file.ndjson`` shows and sends what the machine did."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from gongfu.connect.kit.manifest import load_manifest
from gongfu.connect.kit.types import (
    Address,
    Context,
    DriverError,
    Found,
    Manifest,
    NodePage,
    Reading,
    Reason,
    Sink,
    Value,
    WriteResult,
)
from gongfu.connect.preview.recording import Recording, RecordingError, read_recording
from gongfu.kernel.quality import SEVERITY_MASK, Quality
from gongfu.kernel.times import SECOND


class ReplayDriver:
    """Implements ``Driver`` over a recording."""

    manifest: ClassVar[Manifest] = load_manifest(Path(__file__).parent / "manifest.toml")

    def __init__(self, context: Context) -> None:
        self._file = Path(unquote(urlsplit(context.url).path))
        self._speed = float(context.options.get("speed", 1.0))
        self._shifts = bool(context.options.get("now", True))
        self._timing = context.timing
        self._recording: Recording | None = None
        self._of: dict[str, int] = {}
        self._play: asyncio.Task[None] | None = None
        self._played = 0

    async def open(self) -> None:
        """Read the file."""
        if self._file.suffix != ".ndjson":
            raise DriverError(Reason.UNSUPPORTED, f"{self._file} is not an .ndjson file.", "Give a recording.")
        try:
            self._recording = await asyncio.to_thread(read_recording, self._file)
        except RecordingError as error:
            raise DriverError(
                Reason.ADDRESS_UNKNOWN, f"{error}.", "Record one with: gongfu connect URL --record FILE."
            ) from None
        self._of = {address.where: n for n, address in enumerate(self._recording.header.addresses)}

    async def close(self) -> None:
        """Stop playing."""
        if self._play is not None:
            self._play.cancel()

    async def discover(self) -> list[Found]:
        """Return the recording."""
        return [Found(url=f"recording://{self._file}", name=self._file.stem)]

    async def browse(self, parent: str, limit: int, cursor: str = "") -> NodePage:
        """Return the nodes of the recording, all at the top."""
        start = int(cursor or 0)
        nodes = self._opened().header.nodes
        items = [] if parent else nodes[start : start + limit]
        more = not parent and start + limit < len(nodes)
        return NodePage(items=items, next=str(start + limit) if more else "")

    async def read(self, addresses: Sequence[Address]) -> list[Reading]:
        """Return the first recorded value of each address."""
        first: dict[int, Reading] = {}
        for line in self._opened().lines:
            for reading in map(_reading, line.readings or ()):
                first.setdefault(reading.address, reading)
        wanted = [self._index(address) for address in addresses]
        return [
            first[index]._replace(address=n) if index in first else Reading(n, None, Quality.BAD_NO_DATA)
            for n, index in enumerate(wanted)
        ]

    async def subscribe(self, addresses: Sequence[Address], sink: Sink) -> None:
        """Play the recording to the sink."""
        self._opened()
        places = {self._index(address): n for n, address in enumerate(addresses)}
        self._play = asyncio.create_task(self._run(places, sink), name="replay")

    async def wait(self) -> None:
        """Wait until the recording has ended, which is no failure: the connection then stays as it is."""
        if self._play is not None:
            await asyncio.shield(self._play)
        await asyncio.Event().wait()

    async def write(self, address: Address, value: Value) -> WriteResult:
        """Refuse."""
        raise DriverError(Reason.UNSUPPORTED, "a recording cannot be written to.", "Connect to the machine itself.")

    async def health(self) -> Mapping[str, Any]:
        """Return how far it has played."""
        lines = 0 if self._recording is None else len(self._recording.lines)
        return {"lines": lines, "played": self._played}

    def _opened(self) -> Recording:
        if self._recording is None:
            raise DriverError(Reason.BUSY, "the recording is not open.", "Open it first.")
        return self._recording

    def _index(self, address: Address) -> int:
        index = self._of.get(address.where)
        if index is None:
            raise DriverError(
                Reason.ADDRESS_UNKNOWN, f"{address.where} is not in the recording.", "Browse it to see what is."
            )
        return index

    async def _run(self, places: Mapping[int, int], sink: Sink) -> None:
        lines = self._opened().lines
        timing = self._timing
        if not lines:
            return
        began, start = lines[0].at, timing.now_ns()
        shift = start - began if self._shifts else 0
        for line in lines:
            if self._speed > 0:
                due = start + int((line.at - began) / self._speed)
                if (wait := (due - timing.now_ns()) / SECOND) > 0:
                    await timing.sleep(wait)
            elif self._played % 100 == 0:
                await asyncio.sleep(0)
            self._played += 1
            if line.readings is not None:
                readings = [
                    Reading(places[r.address], r.value, r.quality, r.source_time + shift if r.source_time else 0)
                    for r in map(_reading, line.readings)
                    if r.address in places
                ]
                sink.take(readings, line.at + shift)
            elif line.gap is not None:
                indices = [places[index] for index in line.gap.addresses if index in places]
                sink.gap(indices, line.gap.since + shift, line.gap.until + shift, line.gap.reason)
            elif line.event is not None:
                sink.event(line.event.kind, line.event.detail)


def _reading(cells: tuple[int, Any, int, int]) -> Reading:
    """JSON has no not-a-number: it was written as null."""
    reading = Reading(*cells)
    missing = reading.value is None and reading.quality & SEVERITY_MASK != Quality.BAD
    return reading._replace(value=math.nan) if missing else reading
