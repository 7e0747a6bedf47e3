"""From readings of a driver to columns of the device: scaled, typed, in order, compressed, bounded and counted.

The rules are written down in docs/connect.md. A sink never blocks: what the log cannot take is shed and counted.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gongfu.connect.kit.compression import Compression, Point, compression_of
from gongfu.connect.kit.types import Address, Reading
from gongfu.connect.kit.values import Conversion, Rejection, nothing_of
from gongfu.ingest.types import ColumnIntake, ReadingColumns, Receipt, Writer
from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import SEVERITY_MASK, Quality
from gongfu.kernel.times import SECOND

logger = logging.getLogger(__name__)

# A value is kept at the latest so long after the one before, whatever the compression says.
HOLD_S = 60.0
# Points of one connection that may wait for durability; what comes beyond is shed.
MAX_PENDING = 100_000
# Readings wait for others so long at most before they are handed over together.
GATHER_S = 0.02
_BATCH = 5_000

OnEvent = Callable[[str, Mapping[str, Any]], None]
# Returns why so many points may not be taken now (a quota), or "".
Admit = Callable[[int], str]


class Channel:
    """What is known of one address.

    Attributes:
        last_time: source time of the newest value, UTC ns; 0 before the first.
        last_value: that value, as stored.
        last_quality: and its quality.
        lag: by how much the machine's clock was behind ours when the newest value came, ns.
        silent: no value is to be expected now: told by a gap.
    """

    __slots__ = (
        "address", "compression", "conversion", "key", "lag", "last_quality", "last_time", "last_value", "silent",
    )  # fmt: skip

    def __init__(self, address: Address, hold: int) -> None:
        self.address = address
        self.conversion = Conversion(address)
        self.key = (address.asset, self.conversion.value_type)
        self.compression: Compression | None = compression_of(address.deadband, address.swinging_door, hold)
        self.last_time = 0
        self.last_value: Any = None
        self.last_quality: int = Quality.GOOD
        self.lag = 0
        self.silent = False


class Figures:
    """Counts of one connection since its role started.

    Attributes:
        readings: that came from the driver.
        accepted: points that are durable.
        compressed, duplicates: left out by rule.
        late: kept although older than a value that was there.
        rejected, shed: dropped, by reason.
        detail: the last rejection in words.
    """

    def __init__(self) -> None:
        self.readings = 0
        self.accepted = 0
        self.compressed = 0
        self.duplicates = 0
        self.late = 0
        self.gaps = 0
        self.rejected: dict[str, int] = {}
        self.shed: dict[str, int] = {}
        self.detail = ""

    def reject(self, reason: str, detail: str) -> None:
        """Count one rejected reading."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1
        self.detail = detail[:200]


class _Bucket:
    """Columns that are being gathered for one asset and type."""

    __slots__ = ("index", "name_of", "names", "qualities", "times", "values")

    def __init__(self) -> None:
        self.names: list[str] = []
        self.index: dict[str, int] = {}
        self.name_of: list[int] = []
        self.values: list[Any] = []
        self.times: list[int] = []
        self.qualities: list[int] = []

    def add(self, name: str, value: Any, time: int, quality: int) -> None:
        index = self.index.get(name)
        if index is None:
            index = self.index[name] = len(self.names)
            self.names.append(name)
        self.name_of.append(index)
        self.values.append(value)
        self.times.append(time)
        self.qualities.append(quality)


class ReadingSink:
    """Implements ``Sink`` for one connection. Use from one event loop.

    Attributes:
        figures: counts.
        pending: points handed over whose durability is not known yet.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        writer: Writer,
        intake: ColumnIntake,
        on_event: OnEvent,
        *,
        figures: Figures | None = None,
        admit: Admit | None = None,
        hold: float = HOLD_S,
        max_pending: int = MAX_PENDING,
        gather: float = GATHER_S,
    ) -> None:
        """Set up.

        Args:
            addresses: what the driver's indices mean.
            writer: the device of the connection.
            intake: where points go.
            on_event: told of events.
            figures: where to count, default of its own.
            admit: asked before points are handed over.
            hold: seconds after which a value is kept whatever the compression says.
            max_pending: bound of ``pending``.
            gather: seconds that readings wait for others.
        """
        self.channels = [Channel(address, int(hold * SECOND)) for address in addresses]
        self.figures = figures or Figures()
        self.pending = 0
        self._writer = writer
        self._intake = intake
        self._on_event = on_event
        self._admit = admit
        self._max_pending = max_pending
        self._gather = gather
        self._buckets: dict[tuple[str, ValueType], _Bucket] = {}
        self._gathered = 0
        self._received = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def saturated(self) -> bool:
        """True while no more can be taken without shedding."""
        # Before the bound: who asks, and then takes some more, must not lose that.
        return self._intake.saturated or self.pending + self._gathered >= self._max_pending * 4 // 5

    def take(self, readings: Sequence[Reading], received: int) -> None:
        """Take readings (see ``Sink.take``)."""
        figures, channels = self.figures, self.channels
        figures.readings += len(readings)
        self._received = received
        for index, value, quality, source_time in readings:
            channel = channels[index]
            try:
                if value is None:
                    if quality & SEVERITY_MASK != Quality.BAD:
                        raise Rejection("null_value", "no value, though its quality is not bad")
                    stored = nothing_of(channel.conversion.value_type, channel.last_value)
                else:
                    stored, quality = channel.conversion.store(value, quality)
            except Rejection as rejection:
                figures.reject(rejection.reason, f"{channel.address.point!r} ({channel.address.where}): {rejection}")
                continue
            last = channel.last_time
            if source_time == 0:
                # The machine gives no time: that of arrival, and later than the one before.
                time = received if received > last else last + 1
            elif source_time > last:
                time = source_time
                channel.lag = received - source_time
            else:
                self._old(channel, stored, quality, source_time)
                continue
            channel.last_time, channel.last_value, channel.last_quality = time, stored, quality
            channel.silent = False
            self._keep(channel, stored, quality, time)
        self._schedule()

    def gap(self, addresses: Sequence[int], since: int, until: int, reason: str) -> None:
        """Say that values are missing (see ``Sink.gap``)."""
        told = 0
        for index in addresses:
            channel = self.channels[index]
            if channel.silent:
                continue
            self._flush(channel)
            # In the machine's own time: were it ahead of it, the values that follow would all be late.
            time = max(since - channel.lag, channel.last_time + 1)
            stored = nothing_of(channel.conversion.value_type, channel.last_value)
            if channel.last_time == 0 or time <= until - channel.lag:
                self._add(channel, stored, Quality.BAD_NO_DATA, time)
                channel.last_time, channel.last_quality, channel.silent = time, Quality.BAD_NO_DATA, True
            told += 1
        if told:
            self.figures.gaps += 1
            self._on_event("connection.gap", {"since": since, "until": until, "reason": reason, "points": told})
            self._schedule()

    def lost(self, now: int, reason: str) -> None:
        """The connection is lost: from now on (UTC ns) no value is known, which each point says."""
        self.gap([i for i, channel in enumerate(self.channels) if channel.last_time], now, now, reason)

    def event(self, kind: str, detail: Mapping[str, Any]) -> None:
        """Pass on an event of the machine (see ``Sink.event``)."""
        self._on_event(kind, detail)

    def due(self, now: int) -> None:
        """Hand over points that compression has held back for long enough; call now and then (UTC ns)."""
        for channel in self.channels:
            if channel.compression is not None:
                for point in channel.compression.due(now):
                    self._add(channel, point.value, point.quality, point.time)
        self._schedule()

    def close(self) -> None:
        """Hand over all that is held back or gathered."""
        for channel in self.channels:
            self._flush(channel)
        self._submit()

    # --- rules ---------------------------------------------------------------------------------------------------

    def _old(self, channel: Channel, stored: Any, quality: int, time: int) -> None:
        """A value with the source time of the last one is a duplicate or a correction; an older one is late."""
        if time == channel.last_time:
            same = stored == channel.last_value or (stored != stored and channel.last_value != channel.last_value)
            if same and quality == channel.last_quality:
                self.figures.duplicates += 1
                return
            channel.last_value, channel.last_quality = stored, quality
        else:
            self.figures.late += 1
        self._add(channel, stored, quality, time)

    def _keep(self, channel: Channel, stored: Any, quality: int, time: int) -> None:
        compression = channel.compression
        if compression is None:
            self._add(channel, stored, quality, time)
            return
        if quality & SEVERITY_MASK == Quality.BAD:
            self._flush(channel)
            self._add(channel, stored, quality, time)
            return
        kept = compression.feed(Point(time, stored, quality))
        if not kept:
            self.figures.compressed += 1
            return
        for point in kept:
            # What was held back had been counted as left out.
            if point.time != time:
                self.figures.compressed -= 1
            self._add(channel, point.value, point.quality, point.time)
        if kept[-1].time != time:
            self.figures.compressed += 1

    def _flush(self, channel: Channel) -> None:
        if channel.compression is not None:
            for point in channel.compression.flush():
                self.figures.compressed -= 1
                self._add(channel, point.value, point.quality, point.time)

    # --- handing over --------------------------------------------------------------------------------------------

    def _add(self, channel: Channel, stored: Any, quality: int, time: int) -> None:
        bucket = self._buckets.get(channel.key)
        if bucket is None:
            bucket = self._buckets[channel.key] = _Bucket()
        bucket.add(channel.address.point, stored, time, quality)
        self._gathered += 1

    def _schedule(self) -> None:
        if self._gathered >= _BATCH:
            self._submit()
        elif self._gathered and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._gather, self._submit)

    def _submit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        n, buckets = self._gathered, self._buckets
        if not n:
            return
        self._gathered, self._buckets = 0, {}
        reason = "saturated" if self.pending + n > self._max_pending else self._admit(n) if self._admit else ""
        if reason:
            self.figures.shed[reason] = self.figures.shed.get(reason, 0) + n
            self._intake.shed_readings(self._writer, n, reason)
            return
        columns = [
            ReadingColumns(child, value_type, one.names, one.name_of, one.values, one.times, one.qualities)
            for (child, value_type), one in buckets.items()
        ]
        self.pending += n
        self._intake.submit_columns(self._writer, columns, self._received, lambda receipt: self._settle(n, receipt))

    def _settle(self, n: int, receipt: Receipt) -> None:
        self.pending -= n
        figures = self.figures
        figures.accepted += receipt.accepted
        for reason, count in receipt.rejected.items():
            figures.rejected[reason] = figures.rejected.get(reason, 0) + count
            figures.detail = receipt.detail
        for reason, count in receipt.shed.items():
            figures.shed[reason] = figures.shed.get(reason, 0) + count
