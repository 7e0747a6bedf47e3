"""Windows from samples: by source time and asset, the same for any order of arrival within the lateness. Pure.

Of each asset the watermark is the newest source time. A window closes when the watermark is ``lateness`` past its end.
A sample is late when all windows it belongs to have closed. What is open is plain data: it is stored with the position
in the log, so that after a crash the same windows come again with the same samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gongfu.appkit.declarations import OnPoints
from gongfu.appkit.samples import Samples
from gongfu.appkit.value_columns import Kind, array_of, from_bytes, kind_of, to_bytes

# An asset that has sent nothing for so long closes its windows by the time of the log instead of its own.
IDLE_NS = 5 * 10**9
MAX_SAMPLES = 200_000
# Of all assets and functions of an app: they wait in the memory of the host, which all apps share.
MAX_WAITING = 2_000_000
# So many characters of text take the room of one more sample.
_CHARACTERS = 16


@dataclass(slots=True)
class Waiting:
    """How many samples wait in the open windows of all functions of an app; long text counts as several."""

    samples: int = 0


class Piece(msgspec.Struct):
    """Samples of a point that came together; text is in ``texts``, all else in ``values``."""

    point: str
    unit: str
    times: bytes
    values: bytes
    qualities: bytes
    kind: Kind = "double"
    texts: list[str] = msgspec.field(default_factory=list[str])


class OpenAsset(msgspec.Struct):
    """What is open of one asset.

    Attributes:
        watermark: newest source time, UTC ns.
        closed: ends of windows up to this are closed.
        arrived: when the last sample was taken into the log, UTC ns.
        given: when the last group was given (``by_arrival``), UTC ns.
        late: samples left out since the last window.
        samples: how many there are in ``pieces``; long text counts as several.
        pieces: in order of arrival.
    """

    watermark: int = 0
    closed: int = 0
    arrived: int = 0
    given: int = 0
    late: int = 0
    samples: int = 0
    pieces: list[Piece] = msgspec.field(default_factory=list[Piece])


@dataclass(frozen=True, slots=True)
class Ready:
    """A window that has closed."""

    asset: str
    start: int
    end: int
    points: Mapping[str, Samples]
    late: int


class Windowing:
    """The open windows of one function.

    Attributes:
        assets: what is open, by path; store it, and give it to ``restore``.
        late: samples that came too late, ever.
        shed: samples that were dropped since more than 200,000 of an asset or 2,000,000 of the app waited, ever.
    """

    def __init__(self, handler: OnPoints, waiting: Waiting | None = None) -> None:
        self.handler = handler
        self._waiting = waiting or Waiting()
        self.assets: dict[str, OpenAsset] = {}
        self.late = 0
        self.shed = 0
        self._due: set[str] = set()

    def add(self, asset: str, point: str, samples: Samples, arrived: int) -> None:
        """Take samples of a point, in any order of their times.

        Args:
            asset: path of the asset.
            point: name of the point.
            samples: n >= 1 samples, of one type for each point.
            arrived: when they were taken into the log, UTC ns.
        """
        handler = self.handler
        state = self.assets.setdefault(asset, OpenAsset())
        state.arrived = max(state.arrived, arrived)
        times, values, qualities = samples.times, samples.values, samples.qualities
        if not handler.by_arrival:
            last = times // handler.slide * handler.slide + handler.window
            keep = last > state.closed
            dropped = len(times) - int(np.count_nonzero(keep))
            if dropped:
                state.late += dropped
                self.late += dropped
                times, values, qualities = times[keep], values[keep], qualities[keep]
        if len(times):
            piece = _piece(point, Samples(times, values, qualities, samples.unit))
            room = _room(piece)
            if state.samples + room > MAX_SAMPLES or self._waiting.samples + room > MAX_WAITING:
                self.shed += len(times)
            else:
                state.pieces.append(piece)
                state.samples += room
                self._waiting.samples += room
        if len(samples.times):
            state.watermark = max(state.watermark, int(samples.times.max()))
        if handler.by_arrival and state.given == 0:
            state.given = arrived
        self._due.add(asset)

    def ready(self, now: int) -> list[Ready]:
        """Return the windows that have closed, by asset in order of their ends, and forget their samples.

        Args:
            now: time of the log: when its last block was taken in, or the present once all is read. UTC ns.
        """
        found: list[Ready] = []
        for asset in sorted(self._due):
            state = self.assets[asset]
            found += self._by_arrival(asset, state, now) if self.handler.by_arrival else self._close(asset, state, now)
            if not state.samples:
                self._due.discard(asset)
        return found

    def restore(self, assets: dict[str, OpenAsset]) -> None:
        """Go on with what was stored."""
        self._waiting.samples += sum(state.samples for state in assets.values())
        self._waiting.samples -= sum(state.samples for state in self.assets.values())
        self.assets = assets
        self._due = set(assets)

    def _by_arrival(self, asset: str, state: OpenAsset, now: int) -> list[Ready]:
        if not state.samples or now < state.given + self.handler.window:
            return []
        columns = _columns(state.pieces)
        first = min(int(samples.times[0]) for samples in columns.values())
        last = max(int(samples.times[-1]) for samples in columns.values())
        self._waiting.samples -= state.samples
        state.pieces, state.samples, state.given = [], 0, now
        return [Ready(asset, first, last + 1, columns, 0)]

    def _close(self, asset: str, state: OpenAsset, now: int) -> list[Ready]:
        handler = self.handler
        if not state.samples:
            return []
        until = (state.watermark - handler.lateness) // handler.slide * handler.slide
        if state.arrived + IDLE_NS <= now:
            last = state.watermark // handler.slide * handler.slide + handler.window
            if last + handler.lateness + IDLE_NS <= now:
                until = max(until, last)
        if until <= state.closed:
            return []
        columns = _columns(state.pieces)
        first = min(int(samples.times[0]) for samples in columns.values())
        end = max(first // handler.slide * handler.slide + handler.slide, state.closed + handler.slide)
        found: list[Ready] = []
        while end <= until:
            cut = {name: _between(samples, end - handler.window, end) for name, samples in columns.items()}
            points = {name: samples for name, samples in cut.items() if len(samples)}
            if points:
                found.append(Ready(asset, end - handler.window, end, points, state.late))
                state.late = 0
                end += handler.slide
            else:
                later = [int(t) for c in columns.values() for t in c.times[c.times >= end - handler.window][:1]]
                if not later:
                    break
                end = max(min(later) // handler.slide * handler.slide + handler.slide, end + handler.slide)
        state.closed = until
        kept = until + handler.slide - handler.window
        state.pieces = [_piece(n, rest) for n, c in columns.items() if len(rest := _between(c, kept, 2**62))]
        self._waiting.samples -= state.samples
        state.samples = sum(map(_room, state.pieces))
        self._waiting.samples += state.samples
        return found


def _columns(pieces: list[Piece]) -> dict[str, Samples]:
    """Return the samples by point in order of source time; of equal times the last that came."""
    by_point: dict[str, list[Piece]] = {}
    for piece in pieces:
        by_point.setdefault(piece.point, []).append(piece)
    found: dict[str, Samples] = {}
    for point in sorted(by_point):
        # A point that was made anew may be of text now, or no more: what was before cannot stand beside it.
        text = by_point[point][-1].kind == "text"
        own = [piece for piece in by_point[point] if (piece.kind == "text") is text]
        times = np.frombuffer(b"".join([piece.times for piece in own]), np.int64)
        values = _values(own)
        qualities = np.frombuffer(b"".join([piece.qualities for piece in own]), np.uint8)
        order = np.argsort(times, kind="stable")
        keep = np.ones(len(order), bool)
        keep[:-1] = times[order][1:] != times[order][:-1]
        order = order[keep]
        found[point] = Samples(times[order], values[order], qualities[order], own[-1].unit)
    return found


def _values(pieces: list[Piece]) -> NDArray[Any]:
    """Return the values of pieces of one point, all of the kind of the last: earlier ones were perhaps stored by a
    version that kept every number as a double."""
    kind = pieces[-1].kind
    if kind == "text":
        return array_of([text for piece in pieces for text in piece.texts], "text")
    if all(piece.kind == kind for piece in pieces):
        return from_bytes(b"".join([piece.values for piece in pieces]), kind)
    parts = [np.nan_to_num(from_bytes(piece.values, piece.kind)) for piece in pieces]
    return np.concatenate([array_of(part, kind) for part in parts])


def _room(piece: Piece) -> int:
    return len(piece.qualities) + sum(map(len, piece.texts)) // _CHARACTERS


def _between(samples: Samples, start: int, end: int) -> Samples:
    first, last = np.searchsorted(samples.times, [start, end]).tolist()
    return Samples(samples.times[first:last], samples.values[first:last], samples.qualities[first:last], samples.unit)


def _piece(point: str, samples: Samples) -> Piece:
    values, times, qualities = samples.values, samples.times.tobytes(), samples.qualities.tobytes()
    kind = kind_of(values)
    if kind == "text":
        return Piece(point, samples.unit, times, b"", qualities, kind, values.tolist())
    return Piece(point, samples.unit, times, to_bytes(values), qualities, kind)
