"""Which suppression applies to an alarm. Pure."""

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from gongfu.reason.alarms.states import SUPPRESSION_CHANGES, State
from gongfu.reason.alarms.suppression.types import Design, Pattern, Place, Scope, Suppression
from gongfu.reason.rules.patterns import asset_pattern, is_glob, point_pattern

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Suppressed(NamedTuple):
    """An alarm's suppression: G, H or I, and the number of what suppresses it (0: a design at a raise)."""

    state: State
    by: int


def holds(value: float, sign: str, limit: float) -> bool:
    """Return whether a value compares as said; NaN compares with nothing."""
    return value == value and _COMPARE[sign](value, limit)


def matches(pattern: Pattern, place: Place) -> bool:
    """Return whether a pattern of alarms covers one."""
    return (
        pattern.rule_id in (0, place.rule_id)
        and asset_pattern(pattern.asset).fullmatch(place.asset) is not None
        and point_pattern(pattern.point).fullmatch(place.point) is not None
    )


def in_scope(scope: Scope, cause: str, asset: str) -> bool:
    """Return whether a cause at one asset speaks for alarms of another."""
    if scope is Scope.ANY:
        return True
    if scope is Scope.SAME:
        return asset == cause
    if scope is Scope.BELOW:
        return asset == cause or asset.startswith(cause + "/")
    parent = cause.rpartition("/")[0]
    return asset.startswith(parent + "/") if parent else True


def escape(name: str) -> str:
    """Return the pattern that matches a name only."""
    return "".join("\\" + one if one in "*?\\" else one for one in name)


class Suppressor:
    """The suppressions in force."""

    def __init__(self, rows: Iterable[Suppression], designs: Mapping[int, Design]) -> None:
        self._designs = designs
        self._exact: dict[tuple[int, str], list[Suppression]] = {}
        self._globs: list[Suppression] = []
        self._tenants: set[int] = set()
        for row in rows:
            self._tenants.add(row.tenant)
            if row.kind is State.SUPPRESSED_BY_DESIGN or is_glob(row.asset):
                self._globs.append(row)
            else:
                self._exact.setdefault((row.tenant, row.asset), []).append(row)

    def has(self, tenant: int) -> bool:
        """Return whether there is a suppression of a tenant."""
        return tenant in self._tenants

    def of(
        self, place: Place, now: int, by_design: Callable[[Place], int | None] = lambda place: None
    ) -> Suppressed | None:
        """Return what suppresses an alarm, None where nothing does; of several, out of service goes first.

        Args:
            place: the alarm.
            now: UTC ns.
            by_design: tells the design whose cause holds at this moment, where it is not on record yet.
        """
        found: dict[State, int] = {}
        for row in (*self._exact.get((place.tenant, place.asset), ()), *self._globs):
            if row.kind not in found and self._covers(row, place, now):
                found[row.kind] = row.id
        if State.SUPPRESSED_BY_DESIGN not in found and by_design(place) is not None:
            found[State.SUPPRESSED_BY_DESIGN] = 0
        for state in SUPPRESSION_CHANGES:
            if state in found:
                return Suppressed(state, found[state])
        return None

    def _covers(self, row: Suppression, place: Place, now: int) -> bool:
        if row.tenant != place.tenant or (row.until is not None and row.until <= now):
            return False
        if row.kind is State.SUPPRESSED_BY_DESIGN:
            design = self._designs.get(row.design_id)
            return (
                design is not None
                and in_scope(design.scope, row.asset, place.asset)
                and any(matches(one, place) for one in design.suppresses)
            )
        return matches(Pattern(rule_id=row.rule_id, asset=row.asset, point=row.point), place)
