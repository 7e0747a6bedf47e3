"""One kind on its way to the parent: what changed in the ledger, as it may leave the tier, in batches of a stream."""

import numpy as np

from gongfu.tree.reports.cells import Cells, take
from gongfu.tree.reports.encoder import Encoder
from gongfu.tree.reports.kind_ledger import KindLedger
from gongfu.tree.reports.leaving import Departures, Projection
from gongfu.tree.reports.messages import Opening, Said

# A message on a link has less than a megabyte.
_BATCH_BYTES = 400_000
_MAX_COVERAGE = 900


class Uplink:
    """The sender's end of the stream of a kind.

    It begins with everything from a period on (of a node that was moved here: from when it was). What it returns
    must reach the parent, in order; else another one with a larger epoch must follow.

    Raises:
        LeavingError: nothing of the kind leaves this tier.
    """

    def __init__(self, book: KindLedger, tier: str, epoch: int, since: int) -> None:
        self._book = book
        self._projection = Projection(book.kind, tier)
        self._departures = Departures(book.ledger, self._projection)
        self._encoder = Encoder(self._projection.kind, epoch)
        self._since = book.kind.period_start(since)
        self._sent = 0
        self._coverage: dict[int, tuple[int, int]] = {}
        self.epoch = epoch
        self.spoke_at = 0

    @property
    def begun(self) -> bool:
        """Whether something was said."""
        return self._encoder.sequence > 0

    @property
    def pending(self) -> bool:
        """Whether something is to be said."""
        return not self.begun or self._book.ledger.revision != self._sent or bool(self._book.changed)

    def speak(self, now: int, *, heartbeat: bool = False) -> list[Said]:
        """Return what is to be said now (UTC ns, the parent's time); nothing, when nothing changed.

        A heartbeat says that all is as it was.
        """
        ledger, first = self._book.ledger, not self.begun
        revision, before = ledger.revision, self._sent
        cells = self._departures.since(before)
        if self._since:
            cells = take(cells, cells.periods >= self._since)
        periods = set(ledger.periods) if first else self._book.changed | set(np.unique(cells.periods).tolist())
        coverage = self._coverages({period for period in periods if period >= self._since})
        self._sent = revision
        self._book.changed = set()
        chunks = self._chunks(cells)
        while len(chunks) * _MAX_COVERAGE < len(coverage):
            chunks.append(take(cells, np.zeros(0, dtype=np.intp)))
        if not chunks and not coverage and not first and not heartbeat:
            return []
        if not chunks:
            chunks.append(cells)
        if not coverage:
            coverage = self._latest()
        out: list[Said] = []
        for i, chunk in enumerate(chunks):
            last = i == len(chunks) - 1
            complete = (self._since, 1) if first and last else None
            said = coverage[i * _MAX_COVERAGE : (i + 1) * _MAX_COVERAGE]
            opening = Opening(self._book.declared_by, self._projection.kind.keys) if first and i == 0 else None
            data = self._encoder.encode(chunk, now, complete=complete, coverage=said)
            out.append(Said(self._book.kind.name, opening, data))
        self.spoke_at = now
        return out

    def _coverages(self, periods: set[int]) -> list[tuple[int, int, int]]:
        out: list[tuple[int, int, int]] = []
        for period in sorted(periods):
            coverage = self._book.ledger.coverage(period)
            figures = (coverage.reported, coverage.known)
            if self._coverage.get(period) != figures:
                self._coverage[period] = figures
                out.append((period, *figures))
        known = set(self._book.ledger.periods)
        self._coverage = {period: said for period, said in self._coverage.items() if period in known or not period}
        return out

    def _latest(self) -> list[tuple[int, int, int]]:
        """Return the coverage of the latest period: how many nodes there are is always said."""
        period = max(self._book.ledger.periods, default=self._since)
        coverage = self._book.ledger.coverage(period)
        return [(period, min(coverage.reported, coverage.known), coverage.known)]

    def _chunks(self, cells: Cells) -> list[Cells]:
        n = len(cells)
        if not n:
            return []
        kind = self._projection.kind
        fixed = 8 * kind.least_contributors + 6 * (4 + len(kind.exact)) + 40 * len(kind.keys)
        sizes = np.full(n, fixed, dtype=np.int64)
        for row in cells.sketches:
            sizes += np.fromiter(map(len, row.tolist()), np.int64, n)
        number = np.cumsum(sizes) // _BATCH_BYTES
        return [take(cells, np.flatnonzero(number == i)) for i in np.unique(number).tolist()]
