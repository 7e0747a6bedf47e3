"""Export: all points of a selection as one file, streamed. Memory is bounded whatever the range."""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gongfu.kernel.errors import invalid, unavailable
from gongfu.kernel.times import MAX_NS, SECOND, format_rfc3339
from gongfu.rest.routing import Streamed
from gongfu.store.history.directory import PointInfo
from gongfu.store.history.documents import SeriesExport
from gongfu.store.history.query import HistoryQueries
from gongfu.store.history.requests import moment_of
from gongfu.store.history.surroundings import Run

if TYPE_CHECKING:
    from gongfu.store.history.export_formats import FileWriter

# Values of one piece: 5 MB of a CSV file; two are held at a time.
PAGE = 100_000
# Exports of a process at one time.
MAX_EXPORTS = 4
_ZONE = re.compile(r"([+-])(\d\d):([0-5]\d)", re.ASCII)


def zone_ns(text: str) -> int:
    """Return the distance of a zone from UTC in ns, from ``Z`` or ``+08:00``.

    Raises:
        Problem: 400.
    """
    if text in ("Z", "z"):
        return 0
    match = _ZONE.fullmatch(text)
    if match is None or int(match.group(2)) > 23:
        raise invalid(f"zone must be Z or an offset such as +08:00, not {text[:20]!r}")
    minutes = int(match.group(2)) * 60 + int(match.group(3))
    return (-1 if match.group(1) == "-" else 1) * minutes * 60 * SECOND


def request_of(query: Mapping[str, str]) -> SeriesExport:
    """Return the request of a link: ``?series=1,2&from=…&to=…&format=csv``.

    Raises:
        Problem: 400.
    """
    given: dict[str, object] = {name: value for name, value in query.items() if name != "series"}
    series = query.get("series", "").split(",")
    if not all(part.isascii() and part.isdigit() and len(part) <= 10 for part in series):
        raise invalid("series must be ids with commas between them")
    given["series"] = [int(part) for part in series]
    for name in ("from", "to", "as_of"):
        text = query.get(name, "")
        if text.isascii() and text.isdigit():
            given[name] = int(text[:19])
    if "bom" in query:
        given["bom"] = query["bom"] in ("1", "true", "yes")
    try:
        return msgspec.convert(given, SeriesExport)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from None


class Exports:
    """Exports of one process."""

    def __init__(self, queries: HistoryQueries) -> None:
        self._queries = queries
        self._running = 0

    async def start(self, tenant: int, request: SeriesExport) -> Streamed:
        """Return the file, to be made as it is read; the first piece is read before this returns.

        Raises:
            Problem: 400, 404 for a series the tenant does not have, 503 when the history is away or too many run.
        """
        time_from = moment_of(request.start, "from")
        time_to = MAX_NS if request.to is None else moment_of(request.to, "to")
        if time_to < time_from:
            raise invalid("to must not be before from: swap them")
        as_of = None if request.as_of is None else moment_of(request.as_of, "as_of")
        zone = zone_ns(request.zone)
        points = await self._queries.points(tenant, request.series, request.points)
        if self._running >= MAX_EXPORTS:
            raise unavailable(f"{MAX_EXPORTS} exports run already: try again when one has ended")
        # The formats take 40 MB and half a second to import.
        from gongfu.store.history import export_formats as formats

        writer = formats.writer_for(request.format, points, times=request.times, zone_ns=zone, bom=request.bom)
        pages = self._pages(points, time_from, time_to, as_of, good_only=request.quality == "good")
        chunks = self._chunks(pages, writer)
        first = await anext(chunks)
        name = f"gongfu-{format_rfc3339(time_from)[:19].replace(':', '-')}.{formats.SUFFIXES[request.format]}"
        headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
        return Streamed(self._counted(first, chunks), formats.MEDIA_TYPES[request.format], headers)

    async def _counted(self, first: bytes, chunks: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
        # Counted from here on: a caller that went away before never comes here.
        self._running += 1
        try:
            yield first
            async with contextlib.aclosing(chunks):
                async for chunk in chunks:
                    yield chunk
        finally:
            self._running -= 1

    async def _chunks(
        self, pages: AsyncGenerator[tuple[PointInfo, Run], None], writer: "FileWriter"
    ) -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(pages) as found:
            async for point, run in found:
                if len(run):
                    written = await asyncio.to_thread(writer.write, point, run)
                    if written:
                        yield written
        yield await asyncio.to_thread(writer.finish)

    async def _pages(
        self, points: Sequence[PointInfo], time_from: int, time_to: int, as_of: int | None, *, good_only: bool
    ) -> AsyncGenerator[tuple[PointInfo, Run], None]:
        """Yield the values page by page; the next page is read while one is written."""

        async def read(point: PointInfo, start: int) -> tuple[Run, bool]:
            return await self._queries.guarded(self._queries.reader(point, as_of).read(start, time_to, PAGE))

        waiting = list(reversed(points))
        point = waiting.pop()
        reading = asyncio.ensure_future(read(point, time_from))
        try:
            while True:
                run, more = await reading
                current, finished = point, not more and not waiting
                if more:
                    reading = asyncio.ensure_future(read(point, int(run.times[-1]) + 1))
                elif waiting:
                    point = waiting.pop()
                    reading = asyncio.ensure_future(read(point, time_from))
                yield current, run.part(np.flatnonzero(run.qualities < 0x40)) if good_only else run
                if finished:
                    return
        finally:
            reading.cancel()
