"""Which points a rule reads that needs more than one of them, or another unit: patterns, deviations, rules with a unit.

Such a rule is resolved as a whole whenever points come or go; what does not fit is left out and told.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from gongfu.kernel.points import ValueType
from gongfu.kernel.units import UnitError, convert_factor
from gongfu.reason.rules.conditions import DeviationCondition, Kind, PatternCondition
from gongfu.reason.rules.expressions import Program, Reference
from gongfu.reason.rules.instances import Assignment
from gongfu.reason.rules.pattern import program_of
from gongfu.reason.rules.patterns import asset_pattern, point_pattern
from gongfu.reason.rules.records import PointRow
from gongfu.reason.rules.types import Rule

_TEXT = frozenset({ValueType.STRING, ValueType.JSON})
# Gives the partition of an asset; None where there is one only.
PartitionOf = Callable[[int], int] | None


@dataclass(slots=True)
class Resolved:
    """What a rule applies to.

    Attributes:
        assignment: the instances; None when there are none.
        left_out: how many assets or points do not fit.
        reason: why the first of them does not; empty when there is none.
    """

    assignment: Assignment | None = None
    left_out: int = 0
    reason: str = ""

    @property
    def count(self) -> int:
        """Number of instances."""
        return 0 if self.assignment is None else len(self.assignment.series)

    def leave_out(self, reason: str) -> None:
        """Note something that does not fit."""
        self.left_out += 1
        self.reason = self.reason or reason

    def error(self, rule: Rule) -> str:
        """Return what to tell of the rule, empty when it applies to all it names."""
        if not self.left_out:
            what = "asset" if rule.kind is Kind.PATTERN else "point"
            return "" if self.count else f"matches no {what} yet: asset {rule.asset!r}, point {rule.point or '-'!r}"
        if not self.count:
            return self.reason
        return f"{self.left_out} left out, the first because: {self.reason}"


def names_read(rule: Rule) -> set[str] | None:
    """Return the names of the points a rule may read; None: any that its pattern matches."""
    if rule.kind is not Kind.PATTERN:
        return None
    found: set[str] = set()
    for name in program_of(rule).names:
        parts = name.split("/")
        found.update("/".join(parts[at:]) for at in range(len(parts)))
    return found


def concerns(rule: Rule, point: PointRow) -> bool:
    """Return whether a new point may change what a rule applies to."""
    if point.tenant != rule.tenant:
        return False
    names = names_read(rule)
    if names is not None:
        return point.name in names
    return bool(point_pattern(rule.point).fullmatch(point.name)) and bool(
        asset_pattern(rule.asset).fullmatch(point.asset_path)
    )


def resolve(rule: Rule, points: Iterable[PointRow], partition: int = 0, partition_of: PartitionOf = None) -> Resolved:
    """Return what a rule applies to among points that may concern it.

    Args:
        rule: one that is ``whole``.
        points: in order of series id.
        partition: the one whose instances are wanted.
        partition_of: partitions of assets, where there are several.
    """
    if rule.kind is Kind.PATTERN:
        return _resolve_pattern(rule, points, partition, partition_of)
    pattern, name = asset_pattern(rule.asset), point_pattern(rule.point)
    found = Resolved()
    rows: list[PointRow] = []
    for point in points:
        if not pattern.fullmatch(point.asset_path) or not name.fullmatch(point.name):
            continue
        if point.value_type in _TEXT:
            found.leave_out(
                f"point {point.name!r} of {point.asset_path!r} holds text; a {rule.kind} rule needs numbers"
            )
        else:
            rows.append(point)
    if rule.kind is Kind.DEVIATION:
        return _resolve_deviation(rule, rows, found, partition, partition_of)
    if partition_of is not None:
        rows = [row for row in rows if partition_of(row.asset) == partition]
    return _assigned(rule, _converted(rule, rows, rule.unit, found), found)


@dataclass(slots=True)
class _Columns:
    series: list[int] = field(default_factory=list[int])
    labels: list[int] = field(default_factory=list[int])
    members: list[list[int]] = field(default_factory=list[list[int]])
    factor: list[float] = field(default_factory=list[float])
    offset: list[float] = field(default_factory=list[float])
    factors: list[list[float]] = field(default_factory=list[list[float]])
    offsets: list[list[float]] = field(default_factory=list[list[float]])


def _converted(rule: Rule, rows: Iterable[PointRow], unit: str, found: Resolved, label: int = 0) -> _Columns:
    """Return points with what converts their values into a unit; those that do not convert are left out."""
    columns = _Columns()
    for row in rows:
        try:
            conversion = _conversion(row, unit)
        except UnitError as error:
            found.leave_out(f"unit: point {row.name!r} of {row.asset_path!r}: {error}")
            continue
        columns.series.append(row.series)
        columns.labels.append(label)
        columns.factor.append(conversion[0])
        columns.offset.append(conversion[1])
    return columns


def _conversion(row: PointRow, unit: str) -> tuple[float, float]:
    if not row.unit and unit:
        raise UnitError(f"it declares no unit, so {unit} cannot be compared with it")
    conversion = convert_factor(row.unit, unit) if unit else None
    return (1.0, 0.0) if conversion is None else (conversion.factor, conversion.offset)


def _assigned(rule: Rule, columns: _Columns, found: Resolved) -> Resolved:
    if columns.series:
        found.assignment = Assignment(
            rule,
            np.array(columns.series, dtype=np.uint32),
            labels=np.array(columns.labels, dtype=np.int64) if rule.kind is Kind.DEVIATION else None,
            factor=np.array(columns.factor),
            offset=np.array(columns.offset),
        )
    return found


def _resolve_deviation(
    rule: Rule, rows: list[PointRow], found: Resolved, partition: int, partition_of: PartitionOf
) -> Resolved:
    condition = rule.condition
    assert isinstance(condition, DeviationCondition)
    groups: dict[str, list[PointRow]] = {}
    for row in rows:
        label = row.asset_path.rpartition("/")[0] if condition.among == "siblings" else ""
        groups.setdefault(label, []).append(row)
    columns = _Columns()
    for label, members in groups.items():
        if partition_of is not None:
            homes = {partition_of(row.asset) for row in members}
            if len(homes) > 1:
                if partition in homes:
                    found.leave_out(
                        f"the assets below {label!r} are in partitions {', '.join(map(str, sorted(homes)))}; with "
                        "[telemetry] partitions above 1 what is compared must be in one"
                    )
                continue
            if partition not in homes:
                continue
        if len(members) < 2:
            found.leave_out(f"{members[0].asset_path!r} has no sibling with point {members[0].name!r}")
            continue
        key = int.from_bytes(hashlib.blake2b(label.encode(), digest_size=8).digest(), "little") >> 1
        # Without a unit of the rule, that of the first: what is compared has one.
        more = _converted(rule, members, rule.unit or members[0].unit, found, key)
        for name in ("series", "labels", "factor", "offset"):
            getattr(columns, name).extend(getattr(more, name))
    return _assigned(rule, columns, found)


def _resolve_pattern(rule: Rule, points: Iterable[PointRow], partition: int, partition_of: PartitionOf) -> Resolved:
    program, pattern = program_of(rule), asset_pattern(rule.asset)
    by_asset: dict[str, dict[str, PointRow]] = {}
    for point in points:
        by_asset.setdefault(point.asset_path, {})[point.name] = point
    found, columns = Resolved(), _Columns()
    for path in sorted(_candidates(by_asset, program)):
        if not pattern.fullmatch(path):
            continue
        rows = [_look_up(by_asset, path, slot) for slot in program.slots]
        present = [row for row in rows if row is not None]
        if partition_of is not None and present and partition_of(present[0].asset) != partition:
            continue
        reason = _why_not(rule, program, path, rows, partition_of)
        if reason:
            found.leave_out(reason)
            continue
        conversions = [_conversion(row, slot.unit) for row, slot in zip(present, program.slots, strict=True)]
        anchor = program.names.index(rule.point) if rule.point else 0
        named = next(at for at, slot in enumerate(program.slots) if slot.text == program.names[anchor])
        columns.series.append(present[named].series)
        columns.members.append([row.series for row in present])
        columns.factors.append([factor for factor, _ in conversions])
        columns.offsets.append([offset for _, offset in conversions])
    if columns.series:
        found.assignment = Assignment(
            rule,
            np.array(columns.series, dtype=np.uint32),
            members=np.array(columns.members, dtype=np.uint32),
            factor=np.array(columns.factors),
            offset=np.array(columns.offsets),
        )
    return found


def _splits(text: str) -> list[tuple[str, str]]:
    """Return how a reference can be read: (path below the asset, name of the point), the point of the asset first."""
    parts = text.split("/")
    return [("/".join(parts[:at]), "/".join(parts[at:])) for at in range(len(parts)) if at == 0 or all(parts[:at])]


def _candidates(by_asset: dict[str, dict[str, PointRow]], program: Program) -> set[str]:
    """Return the assets that have one of the points at least."""
    found: set[str] = set()
    for name in program.names:
        for below, point in _splits(name):
            for path, points in by_asset.items():
                if point not in points:
                    continue
                if not below:
                    found.add(path)
                elif path.endswith(f"/{below}"):
                    found.add(path[: -len(below) - 1])
    return found


def _look_up(by_asset: dict[str, dict[str, PointRow]], path: str, slot: Reference) -> PointRow | None:
    for below, name in _splits(slot.text):
        row = by_asset.get(f"{path}/{below}" if below else path, {}).get(name)
        if row is not None:
            return row
    return None


def _why_not(rule: Rule, program: Program, path: str, rows: list[PointRow | None], partition_of: PartitionOf) -> str:
    """Return why an asset does not fit a pattern, with the member and the position; empty when it does."""
    condition = rule.condition
    assert isinstance(condition, PatternCondition)

    def at(step: int, position: int) -> str:
        member = f"condition.sequence[{step}]" if condition.sequence is not None else "condition.expression"
        return f"{member}: position {position}: "

    for slot, row in zip(program.slots, rows, strict=True):
        place = at(slot.step, slot.position)
        if row is None:
            return f"{place}asset {path!r} has no point {slot.text!r}"
        if row.value_type in _TEXT:
            return f"{place}point {slot.text!r} of {path!r} holds text; an expression needs numbers"
        try:
            _conversion(row, slot.unit)
        except UnitError as error:
            return f"{place}point {slot.text!r} of {path!r}: {error}"
    units = [slot.unit or (row.unit if row is not None else "") for slot, row in zip(program.slots, rows, strict=True)]
    for pair in program.pairs:
        one, other = units[pair.one], units[pair.other]
        if one == other:
            continue
        names = f"{program.slots[pair.one].text!r} in {one or 'no unit'} and {program.slots[pair.other].text!r} in "
        place = f"{at(pair.step, pair.position)}{names}{other or 'no unit'} are compared ({path!r})"
        try:
            convertible = bool(one and other) and convert_factor(other, one).identity
        except UnitError as error:
            return f"{place}: {error}"
        if not convertible:
            hint = f'; write to("{program.slots[pair.other].text}", "{one}")' if one and other else ""
            return f"{place}{hint}"
    homes = {partition_of(row.asset) for row in rows if row is not None} if partition_of is not None else {0}
    if len(homes) > 1:
        return (
            f"the points of {path!r} are in partitions {', '.join(map(str, sorted(homes)))}; with [telemetry] "
            "partitions above 1 the points of a pattern must be in one"
        )
    return ""
