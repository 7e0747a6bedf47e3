"""One kind at a node, in memory: its ledger, and the streams of the children that fill it."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from gongfu.tree.reports.applied import Applied, LedgerError
from gongfu.tree.reports.cells import NO_CONTRIBUTOR, Cells, empty_objects
from gongfu.tree.reports.decoder import Decoder
from gongfu.tree.reports.kinds import ReportKind
from gongfu.tree.reports.ledger import Ledger
from gongfu.tree.reports.measures import ABSENT, MeasureError
from gongfu.tree.reports.messages import Opening, Said
from gongfu.tree.reports.stream import Statement
from gongfu.tree.reports.wire import CodecError, unpack_batch


class Taken(msgspec.Struct, frozen=True):
    """What became of a statement.

    Attributes:
        applied: what it did; None when it was not taken.
        reason: why it was not.
        epoch: of the statement.
        periods: whose cells or coverage it may have changed.
        unknown: measures that are not known here, and were left out.
    """

    applied: Applied | None
    reason: str
    epoch: int
    periods: frozenset[int] = frozenset()
    unknown: int = 0


def rearranged(cells: Cells, kind: ReportKind) -> Cells:
    """Return cells as cells of another form of their kind: a key that did not come is empty, a measure absent."""
    if cells.kind == kind:
        return cells
    n, old = len(cells), cells.kind
    exact = np.full((len(kind.exact), n), ABSENT, dtype=np.int64)
    rows = {measure.name: row for row, measure in enumerate(old.exact)}
    for row, measure in enumerate(kind.exact):
        if measure.name in rows:
            exact[row] = cells.exact[rows[measure.name]]
    sketches = empty_objects(len(kind.sketches), n)
    rows = {measure.name: row for row, measure in enumerate(old.sketches)}
    for row, measure in enumerate(kind.sketches):
        if measure.name in rows:
            sketches[row] = cells.sketches[rows[measure.name]]
    contributors = np.full((n, kind.least_contributors), NO_CONTRIBUTOR, dtype=np.uint64)
    k = min(kind.least_contributors, old.least_contributors)
    contributors[:, :k] = cells.contributors[:, :k]
    keys = cells.keys
    if old.keys != kind.keys:
        at = [old.keys.index(key) if key in old.keys else None for key in kind.keys]
        keys = [tuple("" if i is None else values[i] for i in at) for values in cells.keys]
    return Cells(
        kind,
        cells.periods,
        keys,
        cells.present,
        exact,
        sketches,
        contributors,
        cells.nodes,
        cells.silent,
        cells.as_of,
    )


class KindLedger:
    """The ledger of a kind and the decoders of its children. On one thread at a time.

    Attributes:
        touched: by child the periods whose cells changed since they were last stored.
        upto: by child the id of the last stored statement that was applied.
        changed: periods whose coverage may have changed since the parent was told.
    """

    def __init__(self, kind: ReportKind, declared_by: str, node: str) -> None:
        self.declared_by = declared_by
        self.ledger = Ledger(kind, node)
        self.streams: dict[str, Decoder] = {}
        self.touched: dict[str, set[int]] = {}
        self.upto: dict[str, int] = {}
        self.changed: set[int] = set()

    @property
    def kind(self) -> ReportKind:
        """Return the declaration."""
        return self.ledger.kind

    def known_epoch(self, child: str) -> int:
        """Return the largest epoch that was seen of a child."""
        position, decoder = self.ledger.position(child), self.streams.get(child)
        return max(position.epoch if position else 0, decoder.position[0] if decoder else 0)

    def incomplete(self, child: str) -> bool:
        """Whether a child has to state everything anew."""
        missing = self.ledger.missing(child)
        return missing.complete or bool(missing.ranges)

    def take(self, child: str, said: Said, number: int, heard: int) -> Taken:
        """Take what a child said; ``number`` is the id under which it is stored."""
        self.upto[child] = max(self.upto.get(child, 0), number)
        self.touched.setdefault(child, set())
        try:
            wire, _ = unpack_batch(said.data)
        except CodecError as error:
            return Taken(None, str(error.reason), 0)
        decoder = self.streams.get(child)
        known = self.known_epoch(child)
        before = decoder.position if decoder else (0, 0)
        if wire.epoch < known or (wire.epoch, wire.sequence) <= before:
            # The link brings each message once: the child was restored and speaks with numbers of an earlier life.
            return Taken(None, "rewound", wire.epoch)
        if said.opening is not None:
            problem = self._problem(said.opening)
            if problem:
                return Taken(None, problem, wire.epoch)
            decoder = Decoder(msgspec.structs.replace(self.kind, keys=said.opening.keys))
        if decoder is None:
            return Taken(None, "gap", wire.epoch)
        try:
            statement = decoder.decode(said.data)
        except CodecError as error:
            return Taken(None, str(error.reason), wire.epoch)
        self.streams[child] = decoder
        if statement is None:
            return Taken(None, "rewound", wire.epoch)
        return self._apply(child, statement, heard)

    def _problem(self, opening: Opening) -> str:
        if opening.declared_by != self.declared_by:
            return "other-kind"
        ordered = tuple(key for key in self.kind.keys if key in opening.keys)
        return "" if ordered == opening.keys else "keys-differ"

    def _apply(self, child: str, statement: Statement, heard: int) -> Taken:
        cells = rearranged(statement.cells, self.kind)
        widened = Statement(
            statement.epoch,
            statement.sequence,
            statement.as_of,
            cells,
            statement.complete,
            statement.coverage,
            statement.unknown_measures,
        )
        # A complete statement withdraws what it does not name, in any period.
        periods = set(np.unique(cells.periods).tolist()) | {period for period, _, _ in statement.coverage}
        if statement.complete is not None:
            periods |= set(self.ledger.periods_of(child))
        silent = self._silent(child)
        try:
            applied = self.ledger.apply(child, widened, heard)
        except (LedgerError, MeasureError) as error:
            return Taken(None, str(error.reason), statement.epoch)
        self.touched[child] |= periods
        self.changed |= periods if not silent else set(self.ledger.periods) | periods
        return Taken(applied, "", statement.epoch, frozenset(periods), statement.unknown_measures)

    def _silent(self, child: str) -> bool:
        position = self.ledger.position(child)
        return position is not None and position.silent

    def join(self, child: str) -> bool:
        """Know of a child; return whether it is a new one."""
        position = self.ledger.position(child)
        if position is not None and position.member:
            return False
        self.ledger.add_child(child)
        self.touched.setdefault(child, set())
        self.changed |= {0} if not self.kind.period else set(self.ledger.periods[-1:])
        return True

    def leave(self, child: str, at: int, number: int = 0) -> None:
        """Take a child out of the totals, from the period of a time (UTC ns) on."""
        self.upto[child] = max(self.upto.get(child, 0), number)
        position = self.ledger.position(child)
        if position is None or not position.member:
            return
        from_period = self.kind.period_start(at)
        self.ledger.remove_child(child, from_period)
        self.streams.pop(child, None)
        self.touched.setdefault(child, set()).update(self.ledger.periods_of(child))
        self.changed |= set(self.ledger.periods)

    def refresh(self, now: int, silent_after: int) -> int:
        """Find silent children; return how many totals this changed."""
        before = [self._silent(child) for child in self.ledger.children]
        changed = self.ledger.refresh(now, silent_after)
        if before != [self._silent(child) for child in self.ledger.children]:
            self.changed |= set(self.ledger.periods[-1:])
        return changed

    def own(self, period: int, cells: Cells, as_of: int) -> Applied:
        """Replace the node's own cells of a period.

        Raises:
            CellError: the cells are wrong.
            LedgerError: a total would be out of range.
        """
        applied = self.ledger.state(period, cells, as_of)
        self.changed.add(period)
        return applied

    def evolved(self, kind: ReportKind) -> "KindLedger":
        """Return a ledger of another version of the kind with the same cells."""
        other = KindLedger(kind, self.declared_by, self.ledger.node)
        for source in self.ledger.sources:
            position, parts = self.ledger.stored(source)
            other.ledger.restore(source, position, [(rearranged(cells, kind), r) for cells, r in parts])
            other.touched[source] = set(self.ledger.periods_of(source))
        for child, decoder in self.streams.items():
            keys = decoder.state.kind.keys
            other.streams[child] = Decoder.resume(msgspec.structs.replace(kind, keys=keys), decoder.state)
        other.upto = dict(self.upto)
        return other

    def parts(self, child: str, periods: set[int]) -> list[tuple[int, Cells, NDArray[np.int64]]]:
        """Return the stored cells of a child by period."""
        _, parts = self.ledger.stored(child, periods)
        return [(int(cells.periods[0]), cells, revisions) for cells, revisions in parts if len(cells)]

    def forget(self, most_periods: int, most_cells: int) -> int | None:
        """Forget the oldest periods beyond so many, or beyond so many cells; return before which, None for none."""
        if not self.kind.period:
            return None
        periods = self.ledger.periods
        keep, cells = 0, 0
        counts: dict[int, int] = {}
        for source in self.ledger.sources:
            for period in self.ledger.periods_of(source):
                counts[period] = counts.get(period, 0) + self.ledger.cells_of(source, period)
        for period in reversed(periods):
            cells += counts.get(period, 0)
            if keep >= most_periods or (keep >= 2 and cells > most_cells):
                break
            keep += 1
        if keep == len(periods):
            return None
        before = periods[len(periods) - keep]
        self.ledger.forget(before)
        self.changed = {period for period in self.changed if period >= before}
        for touched in self.touched.values():
            touched -= {period for period in touched if period < before}
        return before
