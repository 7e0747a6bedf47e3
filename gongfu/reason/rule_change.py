"""A change of rules: prepared beside the feed, in a thread, and taken over between two blocks.

While it is prepared the feed goes on under the old rules. What has come meanwhile, points and the state of instances,
is brought in at the moment of the change; so the alarms are those of a change that stops the world at that block.
"""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.reason.compiler import Compiled, Compiler, Program
from gongfu.reason.rules.carried import series_by_rule, series_in
from gongfu.reason.rules.engine import RuleEngine
from gongfu.reason.rules.instances import Assignment
from gongfu.reason.rules.records import PointRow
from gongfu.reason.rules.succession import Outline, Succession, prepare
from gongfu.reason.rules.transitions import Transition
from gongfu.reason.rules.types import Rule
from gongfu.store.twins.latest import Twins


@dataclass(frozen=True, slots=True)
class Present:
    """What runs when a change begins.

    Attributes:
        program: the program.
        rules: the engine's rules.
        outlines: the engine's tables.
        revision: that of the records, read before; see ``records.revision``.
    """

    program: Program
    rules: dict[int, Rule]
    outlines: dict[str, Outline]
    revision: int


@dataclass(frozen=True, slots=True)
class Change:
    """What is taken over.

    Attributes:
        program: the new program.
        errors: why rules apply to nothing, by rule id.
        more: further points of the same rules, where nothing else changes.
        succession: the tables of all rules, otherwise.
        moved: points may have gone or moved after the change was begun and before the records were read.
    """

    program: Program
    errors: dict[int, str]
    more: list[Assignment]
    succession: Succession | None
    moved: bool


def prepare_change(compiler: Compiler, present: Present) -> Change:
    """Read the rules and make all that does not depend on state. Blocks; for a thread, one at a time.

    Raises:
        SQLAlchemyError: the records do not answer.
    """
    # A collection looks at all that is made here, again and again, and stops the feed each time; next to nothing of it
    # is garbage that reference counts do not free.
    collects = gc.isenabled()
    gc.disable()
    try:
        return _prepared(compiler, present)
    finally:
        if collects:
            gc.enable()


def _prepared(compiler: Compiler, present: Present) -> Change:
    series: dict[int, NDArray[np.uint32]] = {}
    for outline in present.outlines.values():
        series.update(series_by_rule(outline.identity))
    series_of = lookup(series)
    program = compiler.rules(Compiled.of(present.program, series_of))
    more: list[Assignment] = []
    succession: Succession | None = None
    if program.extends(present.rules):
        more = program.lacking()
    else:
        succession = prepare(program.assignments(series_of), present.outlines)
    program.settle()
    errors = program.errors(present.program)
    return Change(program, errors, more, succession, program.revision != present.revision)


def take_change(
    change: Change, came: Sequence[PointRow], engine: RuleEngine, twins: Twins, now: int
) -> list[Transition]:
    """Let an engine take over a change; the program takes the points that have come since it was begun.

    Args:
        change: what was prepared from what the engine still runs.
        came: points that have come since.
        engine: the engine.
        twins: the latest values.
        now: UTC ns.
    """
    program = change.program
    touched = program.add(came)
    if came and change.moved:
        # Some of these may have gone since; by this, all is soon matched anew.
        program.revision = -1
    added = program.lacking()
    for key in touched:
        change.errors[key] = program.error(key)
    program.settle()
    if change.succession is None:
        return engine.extend([*change.more, *added], twins, now)
    if engine.allows(change.succession):
        return engine.take_over(change.succession, added, twins, now)
    # Points have come to a rule whose pattern changes: rare, and made anew while the feed waits.
    return engine.assign(_assignments(program, change.succession, added), twins, now)


def _assignments(program: Program, succession: Succession, added: Sequence[Assignment]) -> list[Assignment]:
    """Return what a succession was made of, with further series."""
    series: dict[int, NDArray[np.uint32]] = {}
    for name, heir in succession.heirs.items():
        identity = succession.before[name].identity if heir.table is None else heir.table.identity()
        series.update(series_by_rule(identity))
    for item in added:
        had = series[item.rule.id]
        series[item.rule.id] = np.concatenate([had, np.setdiff1d(item.series, had)])
    of_rule = lookup(series)
    nothing = np.zeros(0, dtype=np.uint32)
    found = [item.assignment or Assignment(program.book.rules[key], nothing) for key, item in program.whole.items()]
    return found + [Assignment(rule, of_rule(key)) for key, rule in program.book.rules.items() if not rule.whole]


def compiled(arrays: dict[str, NDArray[Any]], document: dict[str, Any]) -> Compiled | None:
    """Return what the program of a checkpoint matched; None when it does not tell (versions before 0.3)."""
    if "program" not in document:
        return None
    columns = {name.removeprefix("rules."): column for name, column in arrays.items() if name.startswith("rules.")}
    return Compiled.read(document["program"], arrays.get("program.patterns"), lookup(series_in(columns)))


def lookup(series: dict[int, NDArray[np.uint32]]) -> Callable[[int], NDArray[np.uint32]]:
    """Return a function that gives the series of a rule, none where there are none."""
    nothing = np.zeros(0, dtype=np.uint32)
    return lambda rule: series.get(rule, nothing)
