"""What both ends of a report stream remember: the cells by ordinal, as the last batch that named them had them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gongfu.tree.reports.cells import NO_CONTRIBUTOR, Cells, empty_objects
from gongfu.tree.reports.kinds import ReportKind

MAX_KEYS = 2_000_000


SEQUENCE_BITS = 40
MAX_EPOCH = 2**22
MAX_SEQUENCE = 2**SEQUENCE_BITS - 1


@dataclass(frozen=True, slots=True)
class Statement:
    """One batch of a child, as it is to be applied to the parent's ledger.

    Attributes:
        epoch, sequence: which batch of the stream; a cell's revision is that of the batch that stated it last.
        as_of: UTC ns; everything that is not said to lag was so at that time.
        cells: changed cells, withdrawn ones included.
        complete: (period, sequence): the batches of this epoch from that sequence on name every cell there is in
            the periods from that one on; others are withdrawn. None: only what changed.
        coverage: (period, nodes that reported, nodes there are) of the child's subtree.
        unknown_measures: how many measures of the child's version are not known here, and were left out.
    """

    epoch: int
    sequence: int
    as_of: int
    cells: Cells
    complete: tuple[int, int] | None = None
    coverage: tuple[tuple[int, int, int], ...] = ()
    unknown_measures: int = 0

    @property
    def revision(self) -> int:
        """Return the revision of the cells in this batch; larger ones win."""
        return self.epoch << SEQUENCE_BITS | self.sequence


@dataclass(slots=True)
class StreamState:
    """Memory of one stream. ``kind`` has the measures of the sender, in the sender's order."""

    kind: ReportKind
    epoch: int = 0
    sequence: int = 0
    checksum: int = 0
    keys: list[tuple[str, ...]] = field(default_factory=list)
    ordinals: dict[tuple[str, ...], int] = field(default_factory=dict)
    # int64[4 + m, capacity]: period, nodes, silent, lag, then the exact measures.
    numbers: NDArray[np.int64] = field(init=False)
    present: NDArray[np.bool_] = field(init=False)
    contributors: NDArray[np.uint64] = field(init=False)
    sketches: NDArray[np.object_] = field(init=False)

    def __post_init__(self) -> None:
        self.numbers = np.zeros((4 + len(self.kind.exact), 0), dtype=np.int64)
        self.present = np.zeros(0, dtype=np.bool_)
        self.contributors = np.zeros((0, self.kind.least_contributors), dtype=np.uint64)
        self.sketches = empty_objects(len(self.kind.sketches), 0)

    def begin(self, epoch: int) -> None:
        """Forget everything: a new epoch."""
        self.epoch, self.sequence, self.checksum = epoch, 0, 0
        self.keys, self.ordinals = [], {}
        self.__post_init__()

    def add(self, keys: Sequence[tuple[str, ...]]) -> None:
        """Give the next ordinals to keys that are not known yet."""
        for key in keys:
            self.ordinals[key] = len(self.keys)
            self.keys.append(key)
        missing = len(self.keys) - len(self.present)
        if missing > 0:
            grow = max(missing, len(self.present) // 2, 64)
            self.numbers = np.pad(self.numbers, ((0, 0), (0, grow)))
            self.present = np.pad(self.present, (0, grow))
            self.contributors = np.pad(self.contributors, ((0, grow), (0, 0)), constant_values=NO_CONTRIBUTOR)
            self.sketches = np.concatenate([self.sketches, empty_objects(len(self.sketches), grow)], axis=1)

    def forget(self, known: int) -> None:
        """Forget the keys beyond the first ``known`` ones, which were never said."""
        for key in self.keys[known:]:
            del self.ordinals[key]
        del self.keys[known:]

    def remember(self, cells: Cells, ordinals: NDArray[np.int64], numbers: NDArray[np.int64]) -> None:
        """Remember rows as the last that were said.

        A key may be in a batch for several periods: the rows are in order of period, and the last one is remembered.
        """
        self.numbers[:, ordinals] = numbers
        self.present[ordinals] = cells.present
        self.contributors[ordinals] = cells.contributors
        self.sketches[:, ordinals] = cells.sketches


def numbers_of(cells: Cells, as_of: int) -> NDArray[np.int64]:
    """Return ``int64[4 + m, n]`` as ``StreamState.numbers`` has them; a lag is ns before ``as_of``, 0: none."""
    lag = np.where(cells.as_of == 0, 0, np.maximum(as_of - cells.as_of, 0))
    return np.vstack([cells.periods, cells.nodes, cells.silent, lag, cells.exact])
