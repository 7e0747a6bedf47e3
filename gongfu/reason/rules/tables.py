"""Which table evaluates a rule: rules of one form share one."""

import hashlib
from collections.abc import Sequence

from gongfu.reason.rules.conditions import SEVERAL_POINTS, Kind, WindowCondition
from gongfu.reason.rules.deviation import DeviationTable
from gongfu.reason.rules.instances import Assignment, Columns, InstanceTable
from gongfu.reason.rules.latches import AbsenceTable, RateTable, ThresholdTable
from gongfu.reason.rules.pattern import PatternTable, program_of
from gongfu.reason.rules.session import SessionTable
from gongfu.reason.rules.types import Rule
from gongfu.reason.rules.window import WindowTable, panes_of

_TABLES: dict[str, type[InstanceTable]] = {
    "threshold": ThresholdTable,
    "rate": RateTable,
    "absence": AbsenceTable,
    "window": WindowTable,
    "session": SessionTable,
    "pattern": PatternTable,
    "deviation": DeviationTable,
}
_LATE = "late-"


def table_name(rule: Rule) -> str:
    """Return the name of the table of a rule; checkpoints know it."""
    name = str(rule.kind)
    if rule.kind is Kind.WINDOW:
        assert isinstance(rule.condition, WindowCondition)
        name = "session" if rule.condition.window == "session" else f"window-{panes_of(rule)}"
    elif rule.kind is Kind.PATTERN:
        name = f"pattern-{hashlib.blake2b(program_of(rule).shape.encode(), digest_size=6).hexdigest()}"
    if rule.unit:
        name = f"unit-{name}"
    return f"{_LATE}{name}" if rule.lateness and rule.kind not in SEVERAL_POINTS else name


def make_table(name: str, assignments: Sequence[Assignment], carried: Columns | None = None) -> InstanceTable:
    """Return a table of rules that all have this name."""
    kind = name.removeprefix(_LATE).removeprefix("unit-").partition("-")[0]
    return _TABLES[kind](assignments, carried, late=name.startswith(_LATE))
