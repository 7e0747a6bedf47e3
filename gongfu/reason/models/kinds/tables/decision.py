"""Decision tables on columns. Pure."""

import math
import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gongfu.reason.models.kinds.tables.document import Decision, Hit
from gongfu.reason.models.kinds.tables.lookup import finite
from gongfu.reason.models.kinds.types import refused
from gongfu.reason.models.sandbox.types import Column

Test = Callable[[Column], NDArray[np.bool_]]
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_COMPARE = re.compile(rf"\s*(<=|>=|<|>|==|=|!=)\s*({_NUMBER})\s*$")
_RANGE = re.compile(rf"\s*({_NUMBER})\s*\.\.\s*(<?)\s*({_NUMBER})\s*$")
_MOST_RULES = 10_000


def condition(text: str | float | list[float]) -> Test:
    """Return the test of a condition: ``">= 80"``, ``"10..20"`` (both ends in), ``"10..<20"``, a number, a list of
    numbers of which one must be met, or ``"-"`` for any.

    Raises:
        KindError: it is none of these.
    """
    if isinstance(text, list):
        wanted = np.array(text, dtype=np.float64)
        return lambda values: np.isin(values, wanted)
    if isinstance(text, int | float):
        number = float(text)
        return lambda values: values == number
    if text.strip() == "-":
        return lambda values: np.ones(len(values), dtype=bool)
    if found := _COMPARE.match(text):
        limit = float(found[2])
        tests: dict[str, Test] = {
            "<": lambda values: values < limit,
            "<=": lambda values: values <= limit,
            ">": lambda values: values > limit,
            ">=": lambda values: values >= limit,
            "=": lambda values: values == limit,
            "==": lambda values: values == limit,
            "!=": lambda values: values != limit,
        }
        return tests[found[1]]
    if found := _RANGE.match(text):
        low, high, open_end = float(found[1]), float(found[3]), bool(found[2])
        if low > high:
            raise refused(f"condition {text[:60]!r}: the range is empty")
        return lambda values: (values >= low) & ((values < high) if open_end else (values <= high))
    raise refused(f"condition {text[:60]!r} is none: '>= 80', '10..20', '10..<20', a number, a list of numbers, or '-'")


class DecisionTable:
    """A checked decision table."""

    def __init__(self, table: Decision) -> None:
        if not table.gives or not 1 <= len(table.rules) <= _MOST_RULES:
            raise refused(f"a decision gives something, and has 1 to {_MOST_RULES} rules")
        for number, rule in enumerate(table.rules, 1):
            if not rule.when:
                raise refused(f"decision {table.gives[0]!r}: rule {number} has no condition; use otherwise")
            if set(rule.then) != set(table.gives):
                raise refused(f"decision {table.gives[0]!r}: rule {number} does not give exactly {table.gives}")
        if unknown := set(table.otherwise) - set(table.gives):
            raise refused(f"decision {table.gives[0]!r}: otherwise gives {sorted(unknown)[0]!r}")
        self._table = table
        self._rules = [({name: condition(text) for name, text in rule.when.items()}, rule.then) for rule in table.rules]

    def evaluate(self, known: dict[str, Column]) -> dict[str, Column]:
        """Return the results, float64[n] each; NaN where an input that the table reads is NaN."""
        read = {name: known[name] for tests, _ in self._rules for name in tests}
        good = finite(read)
        n = len(good)
        found = {name: np.full(n, self._table.otherwise.get(name, math.nan)) for name in self._table.gives}
        hits = np.zeros(n, dtype=np.int64)
        for tests, then in self._rules:
            fits = good.copy()
            for name, test in tests.items():
                fits &= test(read[name])
            if self._table.hit is Hit.FIRST:
                fits &= hits == 0
            for name, column in found.items():
                self._put(column, fits, hits > 0, then[name])
            hits += fits
        for column in found.values():
            column[~good] = math.nan
            if self._table.hit is Hit.UNIQUE:
                # Two rules fit: the table contradicts itself there, and no answer is the right one.
                column[hits > 1] = math.nan
        return found

    def _put(self, column: Column, fits: NDArray[np.bool_], again: NDArray[np.bool_], value: float) -> None:
        column[fits & ~again] = value
        both = fits & again
        if self._table.hit is Hit.SUM:
            column[both] += value
        elif self._table.hit is Hit.MINIMUM:
            column[both] = np.minimum(column[both], value)
        elif self._table.hit is Hit.MAXIMUM:
            column[both] = np.maximum(column[both], value)
