"""How far a parent has the stream of a child: what came, what is missing, what older batches may no longer say."""

import msgspec

from gongfu.tree.reports.stream import MAX_SEQUENCE, SEQUENCE_BITS, Statement

MAX_BEYOND = 4_096


class Missing(msgspec.Struct, frozen=True):
    """What to ask a child for.

    Attributes:
        complete: it has to state everything there is.
        ranges: (first, last) sequence numbers of its epoch that did not come although later ones did.
    """

    complete: bool
    ranges: tuple[tuple[int, int], ...]


class Position(msgspec.Struct):
    """What a ledger knows of one child besides its cells; stored with them.

    Attributes:
        epoch, upto: everything of the epoch up to there was applied.
        beyond: numbers after ``upto`` that were applied.
        complete: a complete statement was applied since the child joined.
        floors: (period, revision): in periods from that one on, older revisions say nothing any more.
        newest: the largest revision that was applied; ``as_of`` and ``known`` are its.
        as_of: UTC ns, the child's time. ``heard``: UTC ns, the parent's time; 0: never.
        known: nodes there are below and at the child.
        coverage: period → (revision, nodes that reported, nodes there are).
        member: False: it was a child.
        silent: not heard for too long.
    """

    epoch: int = 0
    upto: int = 0
    beyond: set[int] = msgspec.field(default_factory=set[int])
    complete: bool = False
    floors: list[tuple[int, int]] = msgspec.field(default_factory=list[tuple[int, int]])
    newest: int = 0
    as_of: int = 0
    heard: int = 0
    known: int = 1
    coverage: dict[int, tuple[int, int, int]] = msgspec.field(default_factory=dict[int, tuple[int, int, int]])
    member: bool = True
    silent: bool = False

    def repeated(self, statement: Statement) -> bool:
        """Whether a statement was applied before."""
        if statement.epoch != self.epoch:
            return False
        return statement.sequence <= self.upto or statement.sequence in self.beyond

    def full(self, statement: Statement) -> bool:
        """Whether so much is missing that a statement cannot be taken; a complete one always can."""
        waiting = statement.epoch == self.epoch and statement.complete is None
        return waiting and statement.sequence > self.upto + 1 and len(self.beyond) >= MAX_BEYOND

    def floor(self, period: int) -> int:
        """Return the least revision that may say something of a period."""
        return max((revision for start, revision in self.floors if start <= period), default=0)

    def raise_floor(self, period: int, revision: int) -> None:
        """Let revisions below one say nothing any more, in periods from one on."""
        self.floors.append((period, revision))
        self._prune()

    def _prune(self) -> None:
        kept: list[tuple[int, int]] = []
        for start, revision in sorted(set(self.floors), key=lambda floor: (floor[0], -floor[1])):
            if not kept or revision > kept[-1][1]:
                kept.append((start, revision))
        self.floors = kept

    def forget(self, before: int) -> None:
        """Forget what concerns periods before one."""
        self.coverage = {period: said for period, said in self.coverage.items() if period >= before}
        self.floors = [(max(start, before), revision) for start, revision in self.floors]
        self._prune()

    def note(self, statement: Statement, now: int) -> None:
        """Note that a statement was applied; ``now`` is the parent's time, UTC ns."""
        if statement.epoch > self.epoch:
            self.epoch, self.upto, self.beyond = statement.epoch, 0, set()
        if statement.epoch == self.epoch:
            if statement.complete is not None:
                self.upto = max(self.upto, statement.complete[1] - 1)
            self.beyond.add(statement.sequence)
            while self.upto + 1 in self.beyond:
                self.upto += 1
            self.beyond = {sequence for sequence in self.beyond if sequence > self.upto}
        if statement.complete is not None:
            self.complete = True
            period, sequence = statement.complete
            self.raise_floor(period, statement.epoch << SEQUENCE_BITS | sequence)
        revision = statement.revision
        for period, reported, known in statement.coverage:
            if self.coverage.get(period, (0, 0, 0))[0] <= revision:
                self.coverage[period] = (revision, reported, known)
        if revision > self.newest:
            self.newest, self.as_of = revision, statement.as_of
            if statement.coverage:
                self.known = max(statement.coverage)[2]
        self.heard = max(self.heard, now)

    def leave(self, from_period: int) -> None:
        """Note that the child is one no more; what it said of earlier periods stays."""
        self.member, self.complete, self.silent = False, False, False
        # Nothing that was on its way when it left may come back after it returned: it will state everything anew.
        self.raise_floor(from_period, ((self.epoch << SEQUENCE_BITS) | MAX_SEQUENCE) + 1)
        self.coverage = {period: said for period, said in self.coverage.items() if period < from_period}

    def missing(self) -> Missing:
        """Return what to ask for."""
        ranges: list[tuple[int, int]] = []
        expected = self.upto + 1
        for sequence in sorted(self.beyond):
            if sequence > expected:
                ranges.append((expected, sequence - 1))
            expected = sequence + 1
        return Missing(not self.complete, tuple(ranges))
