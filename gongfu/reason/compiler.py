"""Compile what the records say into what the worker runs: rules to series, bindings to points. Runs in threads.

A compiler serves one partition of the block log: it gives the points whose blocks are there, and the bindings whose
inputs are there.
"""

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine

from gongfu.kernel.partitions import partition_of
from gongfu.reason.models.records import bindings
from gongfu.reason.models.resolver import resolve
from gongfu.reason.models.runner import Binding, BindingStatus
from gongfu.reason.models.types import ModelDefinition
from gongfu.reason.rules import records
from gongfu.reason.rules.instances import Assignment
from gongfu.reason.rules.matching import Matches, RuleBook, why_none
from gongfu.reason.rules.records import PointRow
from gongfu.reason.rules.types import Rule
from gongfu.store.records.engine import reading, writing

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
    """

    book: RuleBook
    matches: dict[int, Matches]
    highest: int
    revision: int
    kept: frozenset[int] = frozenset()

    def add(self, points: Sequence[PointRow]) -> list[Assignment]:
        """Add points that have come; return what the engine lacks."""
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
        found: list[Assignment] = []
        for key, rule in self.book.rules.items():
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
            reason = why_none(rule, self.matches[key])
            if not reason:
                continue
            had = before is not None and key in before.matches and before.matches[key].count
            same = before is not None and before.book.rules.get(key) == rule
            if had and same:
                reason = f"its points were deleted: asset {rule.asset!r}, point {rule.point!r}"
            found[key] = reason
        return found

    def document(self) -> dict[str, Any]:
        """Return what a checkpoint needs to go on from here; the series are in the engine's columns."""
        return {
            "highest": self.highest,
            "revision": self.revision,
            "rules": {str(key): _pattern(rule) for key, rule in self.book.rules.items()},
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

    def __init__(
        self, engine: Engine, models: Mapping[str, ModelDefinition], partition: int = 0, partitions: int = 1
    ) -> None:
        """Compile for one of ``partitions``."""
        self._engine = engine
        self._models = models
        self._partition = partition
        self._partitions = partitions
        self._homes: dict[int, int] = {}

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
            if before is not None and before.revision == revision and before.highest <= highest:
                kept = frozenset(key for key, rule in book.rules.items() if before.patterns.get(key) == _pattern(rule))
            matches = book.compile(connection, mine, book.rules.keys() - kept)
            if before is not None and kept:
                # With ``after`` the database starts from the new points.
                more = book.compile(connection, mine, kept, before.highest) if before.highest < highest else {}
                for key in kept:
                    found = matches[key] = more.get(key, Matches())
                    found.settled, found.texts = len(before.series_of(key)), found.texts + before.texts.get(key, 0)
            return Program(book, {key: matches[key] for key in book.rules}, highest, revision, kept)

    def _is_mine(self, point: PointRow) -> bool:
        return partition_of(point.asset, self._partitions) == self._partition

    def bindings(self, now: int) -> tuple[list[Binding], dict[int, BindingStatus]]:
        """Return the bindings that can run, and the status of the others; makes missing output points."""
        with reading(self._engine) as connection:
            rows = bindings(connection)
        if not rows:
            return [], {}
        with writing(self._engine) as connection:
            rows = bindings(connection)
            ready, others = resolve(connection, rows, self._models, now)
            if self._partitions == 1:
                return ready, others
            self._homes = {row.id: partition_of(row.asset, self._partitions) for row in rows}
            return self._mine(connection, ready, others), others

    def _mine(
        self, connection: Connection, ready: Sequence[Binding], others: dict[int, BindingStatus]
    ) -> list[Binding]:
        """Return the bindings whose inputs are in this partition; one with inputs in several cannot run."""
        series = sorted({port.series for binding in ready for port in binding.inputs})
        assets = {point.series: point.asset for point in records.points_by_series(connection, series)}
        mine: list[Binding] = []
        for binding in ready:
            where = {partition_of(assets.get(port.series, 0), self._partitions) for port in binding.inputs}
            if len(where) > 1:
                text = ", ".join(map(str, sorted(where)))
                others[binding.id] = BindingStatus(
                    "refused",
                    f"its inputs are points of several assets, whose blocks are in partitions {text}; with [telemetry] "
                    "partitions above 1 the inputs of a model must be points of one asset",
                )
            elif where == {self._partition}:
                mine.append(binding)
        return mine

    def elsewhere(self, bindings: Sequence[Binding]) -> dict[int, int]:
        """Return, by output series, the partition of the binding's asset, where it is not this one."""
        return {
            port.series: self._homes[binding.id]
            for binding in bindings
            if self._homes.get(binding.id, self._partition) != self._partition
            for port in binding.outputs
        }

    def points(self, series: Sequence[int]) -> list[PointRow]:
        """Return the points of series; those that are gone are left out."""
        with reading(self._engine) as connection:
            return records.points_by_series(connection, series)

    def revision(self) -> int:
        """Return a number that changes when a point may have gone or moved."""
        with reading(self._engine) as connection:
            return records.revision(connection)
