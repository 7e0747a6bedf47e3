"""Compile what the records say into what the worker runs: rules to series, bindings to points. Runs in threads.

A compiler serves one partition of the block log: it gives the points whose blocks are there, and the bindings whose
inputs are there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
from gongfu.store.records.engine import reading, writing


@dataclass(slots=True)
class Program:
    """All rules that run, and the points they apply to.

    Attributes:
        book: the rules.
        matches: points by rule id.
        points: number of points known when it was compiled, plus those added since.
        highest: greatest series id at that time; all up to it are in ``matches`` if they match.
    """

    book: RuleBook
    matches: dict[int, Matches]
    points: int
    highest: int

    def add(self, points: Sequence[PointRow]) -> bool:
        """Add points that have come; return whether a rule applies to one of them."""
        found = self.book.match(points)
        for rule, more in found.items():
            known = self.matches[rule]
            known.series += more.series
            known.texts += more.texts
        self.points += sum(point.series > self.highest for point in points)
        return any(more.series for more in found.values())

    def assignments(self) -> list[Assignment]:
        """Return what the engine takes."""
        return self.book.assignments(self.matches)

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
            had = before is not None and key in before.matches and before.matches[key].series
            same = before is not None and before.book.rules.get(key) == rule
            if had and same:
                reason = f"its points were deleted: asset {rule.asset!r}, point {rule.point!r}"
            found[key] = reason
        return found


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

    def rules(self) -> Program:
        """Return the program of all enabled rules."""
        with reading(self._engine) as connection:
            points, highest = records.count_points(connection)
            book = RuleBook(records.enabled(connection))
            mine = self._is_mine if self._partitions > 1 else None
            return Program(book, book.compile(connection, mine), points, highest)

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

    def count(self) -> int:
        """Return the number of points."""
        with reading(self._engine) as connection:
            return records.count_points(connection)[0]
