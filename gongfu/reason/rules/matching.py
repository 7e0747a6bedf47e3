"""Which points a rule applies to."""

from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from gongfu.kernel.errors import Problem
from gongfu.kernel.globs import Glob
from gongfu.kernel.points import ValueType
from gongfu.reason.rules.patterns import asset_pattern, is_glob, literal_prefix, point_pattern
from gongfu.reason.rules.records import PointRow, count_by_type, points_for, points_named
from gongfu.reason.rules.resolving import PartitionOf, Resolved, names_read, resolve
from gongfu.reason.rules.types import Kind, Rule

_TEXT = frozenset({ValueType.STRING, ValueType.JSON})
# Asset paths whose rules are remembered while points are matched; more are matched anew.
_REMEMBERED = 10_000


@dataclass(slots=True)
class Matches:
    """Points found for one rule.

    Attributes:
        series: those the engine does not have yet.
        texts: how many were left out because they hold text.
        settled: how many the engine has.
    """

    series: "array[int]" = field(default_factory=lambda: array("I"))
    texts: int = 0
    settled: int = 0

    @property
    def count(self) -> int:
        """Number of points the rule applies to."""
        return self.settled + len(self.series)


class RuleBook:
    """Rules in a form that finds those of a point fast.

    Attributes:
        rules: by id.
        whole: those of them that are resolved as a whole, see ``resolving``; points are not matched with them.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = {rule.id: rule for rule in rules}
        self.whole = {rule.id: rule for rule in rules if rule.whole}
        self._exact: dict[tuple[int, str], list[Rule]] = {}
        self._globs: dict[int, list[tuple[Glob, Rule]]] = {}
        self._of_asset: dict[tuple[int, str], list[tuple[Glob, Rule]]] = {}
        for rule in rules:
            if rule.id in self.whole:
                continue
            if is_glob(rule.asset):
                self._globs.setdefault(rule.tenant, []).append((asset_pattern(rule.asset), rule))
            else:
                self._exact.setdefault((rule.tenant, rule.asset), []).append(rule)

    def match(self, points: Iterable[PointRow]) -> dict[int, Matches]:
        """Return the points of each rule among ``points``; rules without any are left out."""
        found: dict[int, Matches] = {}
        rules: list[tuple[Glob, Rule]] = []
        asset = None
        for point in points:
            # Points of an asset mostly follow each other.
            if point.asset != asset:
                asset, rules = point.asset, self._rules_of(point.tenant, point.asset_path)
            for pattern, rule in rules:
                if pattern.fullmatch(point.name) is None:
                    continue
                matches = found.get(rule.id)
                if matches is None:
                    matches = found[rule.id] = Matches()
                if fits(rule, point.value_type not in _TEXT):
                    matches.series.append(point.series)
                else:
                    matches.texts += 1
        return found

    def _rules_of(self, tenant: int, path: str) -> list[tuple[Glob, Rule]]:
        known = self._of_asset.get((tenant, path))
        if known is not None:
            return known
        rules = list(self._exact.get((tenant, path), ()))
        rules += [rule for pattern, rule in self._globs.get(tenant, ()) if pattern.fullmatch(path)]
        if len(self._of_asset) >= _REMEMBERED:
            self._of_asset.clear()
        return self._of_asset.setdefault((tenant, path), [(point_pattern(rule.point), rule) for rule in rules])

    def compile(
        self,
        connection: Connection,
        mine: Callable[[PointRow], bool] | None = None,
        rules: Collection[int] | None = None,
        after: int = 0,
    ) -> dict[int, Matches]:
        """Return the points of rules among all that the records know; every rule has an entry.

        Args:
            connection: the records.
            mine: points to consider, default all.
            rules: ids of the rules, default all.
            after: only series ids beyond this.
        """
        wanted = [
            rule for rule in self.rules.values() if rule.id not in self.whole and (rules is None or rule.id in rules)
        ]
        points = points_for(connection, ((rule.tenant, rule.asset) for rule in wanted), after)
        found = self.match(points if mine is None else filter(mine, points))
        return {rule.id: found.get(rule.id, Matches()) for rule in wanted}


def fits(rule: Rule, numeric: bool) -> bool:
    """Return whether a rule can apply to a point; only absence applies to texts."""
    return numeric or rule.kind is Kind.ABSENCE


def resolved(
    connection: Connection, rules: Iterable[Rule], partition: int = 0, partition_of: PartitionOf = None
) -> dict[int, Resolved]:
    """Return what rules that are resolved as a whole apply to."""
    found: dict[int, Resolved] = {}
    for rule in rules:
        try:
            names = names_read(rule)
        except (Problem, ValueError) as error:
            found[rule.id] = Resolved(left_out=1, reason=f"cannot be compiled: {error}")
            continue
        found[rule.id] = resolve(rule, points_named(connection, rule, names), partition, partition_of)
    return found


def tally(connection: Connection, rule: Rule) -> Matches:
    """Return how many points a rule applies to now.

    The database counts where the patterns are plain (``plant/**`` and ``*`` or a name): among ten million points, the
    caller would wait half a minute for them to be read.
    """
    if rule.whole:
        return Matches(settled=resolved(connection, [rule])[rule.id].count)
    prefix = literal_prefix(rule.asset)
    every = rule.point == "*"
    if rule.asset != f"{prefix}**" or not (every or not is_glob(rule.point)):
        return RuleBook([rule]).compile(connection)[rule.id]
    found = Matches()
    for kind, number in count_by_type(connection, rule.tenant, prefix, None if every else rule.point).items():
        if fits(rule, kind not in _TEXT):
            found.settled += number
        else:
            found.texts += number
    return found


def why_none(rule: Rule, matches: Matches) -> str:
    """Return why a rule applies to nothing; empty when it applies to something."""
    if matches.count:
        return ""
    if matches.texts:
        return f"its {matches.texts} points hold text; a {rule.kind} rule needs numbers"
    return f"matches no point yet: asset {rule.asset!r}, point {rule.point!r}"
