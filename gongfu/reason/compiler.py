"""Compile what the records say into what the worker runs: rules to series. Runs in threads.

A compiler serves one partition of the block log: it gives the points whose blocks are there.
"""

from array import array
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from gongfu.kernel.partitions import partition_of
from gongfu.reason.rules import records
from gongfu.reason.rules.instances import Assignment
from gongfu.reason.rules.matching import Matches, RuleBook, resolved, why_none
from gongfu.reason.rules.records import Enabled, PointRow
from gongfu.reason.rules.resolving import Resolved, concerns
from gongfu.reason.rules.types import Rule
from gongfu.store.records.engine import reading

# Gives the series (``uint32``) a rule applies to in the engine.
SeriesOf = Callable[[int], NDArray[np.uint32]]


@dataclass(slots=True)
class Program:
    """All rules that run, and the points they apply to. The engine keeps the series; here are those it lacks.

    Attributes:
        enabled: the rules as they were read.
        book: the rules.
        matches: points by rule id; of rules that are ``kept`` those of the program before, where it ran here.
        highest: greatest series id at that time; all up to it were matched.
        revision: see ``records.revision``.
        kept: rules that match what they matched in the program before, and perhaps more.
        whole: what the rules apply to that are resolved as a whole; they are in ``book``, not in ``matches``.
        stale: points have come that may concern one of them.
        gone: rules whose points were deleted.
        pending: rules that have points which the engine lacks.
    """

    enabled: Enabled
    book: RuleBook
    matches: dict[int, Matches]
    highest: int
    revision: int
    kept: frozenset[int] = frozenset()
    whole: dict[int, Resolved] = field(default_factory=dict[int, Resolved])
    stale: bool = False
    gone: frozenset[int] = frozenset()
    pending: set[int] = field(default_factory=set[int])
    _patterns: NDArray[np.uint8] | None = None

    def add(self, points: Sequence[PointRow]) -> frozenset[int]:
        """Add points that have come; return the rules that they concern."""
        whole = self.book.whole.values()
        self.stale = self.stale or any(concerns(rule, point) for rule in whole for point in points)
        found = self.book.match(points)
        for rule, more in found.items():
            known = self.matches[rule]
            known.series += more.series
            known.texts += more.texts
            if more.series:
                self.pending.add(rule)
        return frozenset(found)

    def lacking(self) -> list[Assignment]:
        """Return the rules with the series that the engine does not have yet."""
        return [Assignment(self.book.rules[rule], _unique(self.matches[rule])) for rule in sorted(self.pending)]

    def settle(self) -> None:
        """The engine has them all now."""
        for matches in map(self.matches.__getitem__, self.pending):
            matches.settled, matches.series = matches.count, array("I")
        self.pending.clear()

    def extends(self, rules: Mapping[int, Rule]) -> bool:
        """Return whether only points have come to rules that run: nothing else is different."""
        return self.book.rules == rules and self.kept >= rules.keys()

    def assignments(self, series_of: SeriesOf | None = None) -> list[Assignment]:
        """Return what the engine takes; ``series_of`` gives the series of the rules that are ``kept``."""
        nothing = np.zeros(0, dtype=np.uint32)
        found = [item.assignment or Assignment(self.book.rules[key], nothing) for key, item in self.whole.items()]
        for key, rule in self.book.rules.items():
            if key in self.whole:
                continue
            series = _unique(self.matches[key]) if key in self.pending else nothing
            if series_of is not None and key in self.kept:
                had = series_of(key)
                series = had if not len(series) else np.concatenate([had, np.setdiff1d(series, had)])
            found.append(Assignment(rule, series))
        return found

    def errors(self, before: "Program | None") -> dict[int, str]:
        """Return, by rule id, why a rule applies to no point or does not run.

        Args:
            before: the program that ran before; tells points that went from points that never were.
        """
        gone: set[int] = set()
        for key, rule in self.book.rules.items():
            if before is None or before.book.rules.get(key) != rule:
                continue
            if key in self.whole:
                had = key in before.whole and before.whole[key].count and not self.whole[key].count
            else:
                had = key in before.matches and before.matches[key].count
            if had or key in before.gone:
                gone.add(key)
        self.gone = frozenset(gone)
        found = {key: reason for key in self.book.rules if (reason := self.error(key))}
        return found | self.enabled.failed

    def error(self, key: int) -> str:
        """Return why a rule applies to no point; empty when it applies to some."""
        rule, whole = self.book.rules[key], self.whole.get(key)
        reason = why_none(rule, self.matches[key]) if whole is None else whole.error(rule)
        if not reason or key not in self.gone or (whole is not None and whole.count):
            return reason
        if whole is not None and whole.reason:
            return f"its points were deleted: {whole.reason}"
        return f"its points were deleted: asset {rule.asset!r}, point {rule.point!r}"

    def document(self) -> dict[str, Any]:
        """Return what a checkpoint needs to go on from here besides ``patterns``; the series are in the engine's
        columns."""
        texts = {str(key): matches.texts for key, matches in self.matches.items() if matches.texts}
        return {"highest": self.highest, "revision": self.revision, "texts": texts}

    def patterns(self) -> NDArray[np.uint8]:
        """Return what decides which points each rule gets, as JSON: always the same array, which is not changed."""
        if self._patterns is None:
            # One by one: encoded at once, nothing else runs in the process meanwhile.
            encode, rules = msgspec.json.encode, self.book.rules
            written = b",".join([b'"%d":%b' % (key, encode(_pattern(rules[key]))) for key in self.matches])
            self._patterns = np.frombuffer(b"{%b}" % written, dtype=np.uint8)
        return self._patterns


@dataclass(frozen=True, slots=True)
class Compiled:
    """What was matched before, by this process or by one that wrote a checkpoint.

    Attributes:
        highest, revision: as in ``Program``.
        series_of: the series of a rule.
        patterns: what decided which points a rule got, by rule id; of a checkpoint.
        texts: points with text, by rule id; of a checkpoint.
        program: the one that runs in this process.
    """

    highest: int
    revision: int
    series_of: SeriesOf
    patterns: dict[int, list[Any]] = field(default_factory=dict[int, list[Any]])
    texts: dict[int, int] = field(default_factory=dict[int, int])
    program: Program | None = None

    @classmethod
    def read(cls, document: dict[str, Any], patterns: NDArray[np.uint8] | None, series_of: SeriesOf) -> "Compiled":
        """Return what ``Program.document`` and ``Program.patterns`` wrote; earlier versions had both in one."""
        written = document["rules"] if patterns is None else msgspec.json.decode(patterns.tobytes())
        return cls(
            int(document["highest"]),
            int(document["revision"]),
            series_of,
            {int(key): pattern for key, pattern in written.items()},
            {int(key): int(number) for key, number in document["texts"].items()},
        )

    @classmethod
    def of(cls, program: Program, series_of: SeriesOf) -> "Compiled":
        """Return what a program of this process matched."""
        return cls(program.highest, program.revision, series_of, program=program)

    def same(self, rule: Rule) -> bool:
        """Return whether the rule was there, and got its points by the same pattern."""
        if self.program is None:
            return self.patterns.get(rule.id) == _pattern(rule)
        had = self.program.book.rules.get(rule.id)
        return had is rule or (had is not None and rule.id in self.program.matches and _pattern(had) == _pattern(rule))

    def matches(self, key: int, more: Matches | None) -> Matches:
        """Return the points of a rule that is the same, with those that have come."""
        if self.program is not None and (more is None or not more.count + more.texts):
            return self.program.matches[key]
        found = more or Matches()
        found.settled = len(self.series_of(key))
        found.texts += self.texts.get(key, 0) if self.program is None else self.program.matches[key].texts
        return found


def _pattern(rule: Rule) -> list[Any]:
    """Return all that decides which points a rule applies to."""
    return [rule.tenant, rule.asset, rule.point, str(rule.kind)]


def _unique(matches: Matches) -> NDArray[np.uint32]:
    return np.unique(np.array(matches.series, dtype=np.uint32))


class Compiler:
    """Reads the records. Methods block: call them in a thread."""

    def __init__(self, engine: Engine, partition: int = 0, partitions: int = 1) -> None:
        """Compile for one of ``partitions``."""
        self._engine = engine
        self._partition = partition
        self._partitions = partitions

    def rules(self, before: Compiled | None = None) -> Program:
        """Return the program of all enabled rules.

        Rules that are in ``before`` with the same pattern keep what they matched, unless a point has gone or an asset
        has moved since; only points that are new are matched. So a node with ten million points starts in seconds.
        """
        mine = self._is_mine if self._partitions > 1 else None
        with reading(self._engine) as connection:
            revision, highest = records.revision(connection), records.newest_point(connection)
            running = before.program if before is not None else None
            enabled = records.enabled(connection, running.enabled if running is not None else None)
            book = RuleBook(list(enabled.rules.values()))
            kept: frozenset[int] = frozenset()
            fresh: Set[int] | None = None
            plain = self.rules_of(book)
            if before is not None and before.revision == revision and before.highest <= highest:
                kept = frozenset(key for key, rule in plain.items() if before.same(rule))
            matches = book.compile(connection, mine, plain.keys() - kept)
            if before is not None and kept:
                # With ``after`` the database starts from the new points.
                more = book.compile(connection, mine, kept, before.highest) if before.highest < highest else {}
                matches.update((key, before.matches(key, more.get(key))) for key in kept)
                fresh = plain.keys() - kept | {key for key, found in more.items() if found.series}
            home = (lambda asset: partition_of(asset, self._partitions)) if self._partitions > 1 else None
            whole = resolved(connection, book.whole.values(), self._partition, home)
            # What is taken over as it is may change under our hands: the pipeline adds to it.
            pending = {key for key in (plain.keys() if fresh is None else fresh) if matches[key].series}
            matches = {key: matches[key] for key in plain}
            program = Program(enabled, book, matches, highest, revision, kept, whole, pending=pending)
            program.patterns()
            return program

    @staticmethod
    def rules_of(book: RuleBook) -> dict[int, Rule]:
        """Return the rules of a book that are matched point by point."""
        return {key: rule for key, rule in book.rules.items() if key not in book.whole}

    def _is_mine(self, point: PointRow) -> bool:
        return partition_of(point.asset, self._partitions) == self._partition

    def points(self, series: Sequence[int]) -> list[PointRow]:
        """Return the points of series; those that are gone are left out."""
        with reading(self._engine) as connection:
            return records.points_by_series(connection, series)

    def revision(self) -> int:
        """Return a number that changes when a point may have gone or moved."""
        with reading(self._engine) as connection:
            return records.revision(connection)
