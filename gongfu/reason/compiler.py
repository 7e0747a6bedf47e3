"""Compile what the records say into what the worker runs: rules to series. Runs in threads.

A compiler serves one partition of the block log: it gives the points whose blocks are there.
"""

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from gongfu.kernel.partitions import partition_of
from gongfu.reason.rules import records
from gongfu.reason.rules.instances import Assignment
from gongfu.reason.rules.matching import Matches, RuleBook, resolved, why_none
from gongfu.reason.rules.records import PointRow
from gongfu.reason.rules.resolving import Resolved, concerns
from gongfu.reason.rules.types import Rule
from gongfu.store.records.engine import reading

# Gives the series (``uint32``) a rule applies to in the engine.
SeriesOf = Callable[[int], NDArray[np.uint32]]


@dataclass(slots=True)
class Program:
    """All rules that run, and the points they apply to. The engine keeps the series; here are those it lacks.

    Attributes:
        book: the rules.
        matches: points by rule id.
        highest: greatest series id at that time; all up to it were matched.
        revision: see ``records.revision``.
        kept: rules that match what they matched in the program before, and perhaps more.
        whole: what the rules apply to that are resolved as a whole; they are in ``book``, not in ``matches``.
        stale: points have come that may concern one of them.
    """

    book: RuleBook
    matches: dict[int, Matches]
    highest: int
    revision: int
    kept: frozenset[int] = frozenset()
    whole: dict[int, Resolved] = field(default_factory=dict[int, Resolved])
    stale: bool = False

    def add(self, points: Sequence[PointRow]) -> list[Assignment]:
        """Add points that have come; return what the engine lacks."""
        whole = self.book.whole.values()
        self.stale = self.stale or any(concerns(rule, point) for rule in whole for point in points)
        for rule, more in self.book.match(points).items():
            known = self.matches[rule]
            known.series += more.series
            known.texts += more.texts
        return self.lacking()

    def lacking(self) -> list[Assignment]:
        """Return the rules with the series that the engine does not have yet."""
        return [
            Assignment(self.book.rules[rule], _unique(matches))
            for rule, matches in self.matches.items()
            if matches.series
        ]

    def settle(self) -> None:
        """The engine has them all now."""
        for matches in self.matches.values():
            matches.settled, matches.series = matches.count, array("I")

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
            series = _unique(self.matches[key])
            if series_of is not None and key in self.kept:
                had = series_of(key)
                series = had if not len(series) else np.concatenate([had, np.setdiff1d(series, had)])
            found.append(Assignment(rule, series))
        return found

    def errors(self, before: "Program | None") -> dict[int, str]:
        """Return, by rule id, why a rule applies to no point.

        Args:
            before: the program that ran before; tells points that went from points that never were.
        """
        found: dict[int, str] = {}
        for key, rule in self.book.rules.items():
            whole = self.whole.get(key)
            reason = why_none(rule, self.matches[key]) if whole is None else whole.error(rule)
            if not reason:
                continue
            if whole is not None:
                had = not whole.count and before is not None and key in before.whole and before.whole[key].count
            else:
                had = before is not None and key in before.matches and before.matches[key].count
            same = before is not None and before.book.rules.get(key) == rule
            if had and same:
                reason = f"its points were deleted: asset {rule.asset!r}, point {rule.point!r}"
                if whole is not None and whole.reason:
                    reason = f"its points were deleted: {whole.reason}"
            found[key] = reason
        return found

    def document(self) -> dict[str, Any]:
        """Return what a checkpoint needs to go on from here; the series are in the engine's columns."""
        return {
            "highest": self.highest,
            "revision": self.revision,
            "rules": {str(key): _pattern(self.book.rules[key]) for key in self.matches},
            "texts": {str(key): matches.texts for key, matches in self.matches.items()},
        }


@dataclass(frozen=True, slots=True)
class Compiled:
    """What was matched before, by this process or by one that wrote a checkpoint.

    Attributes:
        highest, revision: as in ``Program``.
        patterns: what decided which points a rule got, by rule id.
        texts: points with text, by rule id.
        series_of: the series of a rule.
    """

    highest: int
    revision: int
    patterns: dict[int, list[Any]]
    texts: dict[int, int]
    series_of: SeriesOf

    @classmethod
    def read(cls, document: dict[str, Any], series_of: SeriesOf) -> "Compiled":
        """Return what ``Program.document`` wrote."""
        return cls(
            int(document["highest"]),
            int(document["revision"]),
            {int(key): pattern for key, pattern in document["rules"].items()},
            {int(key): int(number) for key, number in document["texts"].items()},
            series_of,
        )


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
            book = RuleBook(records.enabled(connection))
            kept: frozenset[int] = frozenset()
            plain = self.rules_of(book)
            if before is not None and before.revision == revision and before.highest <= highest:
                kept = frozenset(key for key, rule in plain.items() if before.patterns.get(key) == _pattern(rule))
            matches = book.compile(connection, mine, plain.keys() - kept)
            if before is not None and kept:
                # With ``after`` the database starts from the new points.
                more = book.compile(connection, mine, kept, before.highest) if before.highest < highest else {}
                for key in kept:
                    found = matches[key] = more.get(key, Matches())
                    found.settled, found.texts = len(before.series_of(key)), found.texts + before.texts.get(key, 0)
            home = (lambda asset: partition_of(asset, self._partitions)) if self._partitions > 1 else None
            whole = resolved(connection, book.whole.values(), self._partition, home)
            return Program(book, {key: matches[key] for key in plain}, highest, revision, kept, whole)

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
