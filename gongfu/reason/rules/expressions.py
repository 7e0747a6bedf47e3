"""Expressions of pattern rules: a small language, parsed here and evaluated over NumPy columns. Nothing else runs.

    "discharge pressure" < 2 and ("motor/current" > 80 or not running)
    abs("inlet" - to("outlet", "kPa")) >= 3

A point is a name in double quotes, or a bare word; ``below/it/point`` is of an asset below. Numbers, ``+ - * /``,
comparisons (also chained), ``and or not``, ``true false``, and the functions of ``FUNCTIONS``. ``to(point, "unit")``
gives a point in another unit. A point alone is true when it is not 0.

Truth has three values: 1, 0 and NaN, which is "not known" (Kleene): false and unknown is false, true or unknown is
true, everything else that needs the unknown is unknown.

The numbers of an expression are kept apart from its form, so that a thousand rules that differ in their limits are
evaluated as one.
"""

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NoReturn

import numpy as np

from gongfu.kernel.errors import invalid
from gongfu.kernel.units import UnitError, check_unit
from gongfu.reason.rules.operators import COMPARE, FUNCTIONS, Column, both, divide, either

MAX_EXPRESSION = 2000
MAX_POINTS = 16
_MAX_DEPTH = 40
# In the place of a slot: any unit, as a bare number has; a unit of its own; 1, 0 or NaN.
_ANY, _OWN, _TRUTH = -1, -2, -3

# Values of the slots, and of the numbers, each broadcast against n rows.
Values = tuple[Sequence[Column], Sequence[Column]]
Evaluate = Callable[[Values], Column]

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)|(?P<string>"(?:[^"\\]|\\.)*")"""
    r"""|(?P<word>[^\W\d]\w*)|(?P<sign><=|>=|==|!=|[-+*/<>(),])|(?P<end>$))"""
)
_KEYWORDS = frozenset({"and", "or", "not", "true", "false"})


@dataclass(frozen=True, slots=True)
class Reference:
    """A point in an expression.

    Attributes:
        text: as written, without quotes.
        unit: UCUM code it is wanted in; empty for its own.
        step: number of the expression in its sequence, from 0.
        position: of its first character in the expression, from 1.
    """

    text: str
    unit: str
    step: int
    position: int


@dataclass(frozen=True, slots=True)
class SameUnit:
    """Two slots that are compared, added or subtracted and so must have one unit."""

    one: int
    other: int
    step: int
    position: int


@dataclass(frozen=True, slots=True)
class Program:
    """One or several expressions in order, compiled.

    Attributes:
        slots: what is read, each once.
        numbers: the numbers in the text, in order.
        shape: the text of the form: programs with one shape differ in names and numbers only.
        steps: a function for each expression.
        pairs: slots whose units must agree.
    """

    slots: tuple[Reference, ...]
    numbers: tuple[float, ...]
    shape: str
    steps: tuple[Evaluate, ...]
    pairs: tuple[SameUnit, ...]

    @property
    def names(self) -> list[str]:
        """The points as written."""
        return list(dict.fromkeys(slot.text for slot in self.slots))


@dataclass(slots=True)
class _Node:
    """A part of an expression: its form, its value, and the slot whose unit it has, or one of the below."""

    shape: str
    evaluate: Evaluate
    unit: int = _ANY


@dataclass(slots=True)
class _Tables:
    slots: list[Reference] = field(default_factory=list[Reference])
    places: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    numbers: list[float] = field(default_factory=list[float])
    pairs: list[SameUnit] = field(default_factory=list[SameUnit])


@lru_cache(maxsize=4096)
def compile_steps(texts: tuple[str, ...], *, sequence: bool = False) -> Program:
    """Return the program of expressions.

    Raises:
        Problem: 400; the detail names the member of the condition, the position in it (from 1) and what is wrong.
    """
    tables, nodes = _Tables(), list[_Node]()
    for step, text in enumerate(texts):
        member = f"condition.sequence[{step}]" if sequence else "condition.expression"
        nodes.append(_Parser(text, step, member, tables).whole())
    return Program(
        tuple(tables.slots),
        tuple(tables.numbers),
        "; ".join(node.shape for node in nodes),
        tuple(node.evaluate for node in nodes),
        tuple(tables.pairs),
    )


class _Parser:
    """Recursive descent over one expression."""

    def __init__(self, text: str, step: int, member: str, tables: _Tables) -> None:
        self._text, self._step, self._member, self._tables = text, step, member, tables
        self._next, self._depth = 0, 0
        self._kind, self._lexeme, self._at = "", "", 0
        if len(text) > MAX_EXPRESSION:
            raise invalid(f"{member}: at most {MAX_EXPRESSION} characters")
        self._step_on()

    def _fail(self, what: str, at: int | None = None) -> NoReturn:
        raise invalid(f"{self._member}: position {(self._at if at is None else at) + 1}: {what}")

    def _step_on(self) -> None:
        match = _TOKEN.match(self._text, self._next)
        if match is None or match.lastgroup is None:
            rest = self._text[self._next :].lstrip()
            self._at = len(self._text) - len(rest)
            self._fail("the quotation mark is not closed" if rest.startswith('"') else f"{rest[0]!r} has no meaning")
        self._kind, self._lexeme = match.lastgroup, match.group(match.lastgroup)
        self._at, self._next = match.start(match.lastgroup), match.end()

    def _taken(self, *lexemes: str) -> str:
        if self._kind in ("sign", "word") and self._lexeme in lexemes:
            lexeme = self._lexeme
            self._step_on()
            return lexeme
        return ""

    def whole(self) -> _Node:
        """Return the expression as a truth."""
        if self._kind == "end":
            self._fail("the expression is empty")
        node = _truth(self._either())
        if self._kind != "end":
            self._fail(f"{self._lexeme!r} is not expected here; write and, or, or an operator before it")
        if "$" not in node.shape:
            self._fail("the expression names no point", 0)
        return node

    def _either(self) -> _Node:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._fail(f"more than {_MAX_DEPTH} levels of parentheses")
        node = self._both()
        while self._taken("or"):
            one, other = _truth(node), _truth(self._both())
            node = _Node(f"({one.shape} or {other.shape})", _joined(either, one, other), _TRUTH)
        self._depth -= 1
        return node

    def _both(self) -> _Node:
        node = self._negated()
        while self._taken("and"):
            one, other = _truth(node), _truth(self._negated())
            node = _Node(f"({one.shape} and {other.shape})", _joined(both, one, other), _TRUTH)
        return node

    def _negated(self) -> _Node:
        negated, words = False, 0
        while self._taken("not"):
            negated, words = not negated, words + 1
        node = self._comparison()
        if words:
            node = _truth(node)
        return _negation(node) if negated else node

    def _comparison(self) -> _Node:
        left, found = self._sum(), None
        while True:
            at = self._at
            sign = self._taken("<", "<=", ">", ">=", "==", "!=")
            if not sign:
                return left if found is None else found
            right = self._sum()
            self._agree(left, right, at)
            one = _Node(f"({left.shape} {sign} {right.shape})", _joined(COMPARE[sign], left, right), _TRUTH)
            if found is not None:
                one = _Node(f"({found.shape} and {one.shape})", _joined(both, found, one), _TRUTH)
            found, left = one, right

    def _agree(self, one: _Node, other: _Node, at: int) -> int:
        """Note that two parts must have one unit; return it."""
        if one.unit >= 0 and other.unit >= 0 and one.unit != other.unit:
            self._tables.pairs.append(SameUnit(one.unit, other.unit, self._step, at + 1))
        return max(one.unit, other.unit)

    def _sum(self) -> _Node:
        node = self._product()
        while True:
            at = self._at
            sign = self._taken("+", "-")
            if not sign:
                return node
            other = self._product()
            unit = self._agree(node, other, at)
            function = np.add if sign == "+" else np.subtract
            node = _Node(f"({node.shape} {sign} {other.shape})", _joined(function, node, other), unit)

    def _product(self) -> _Node:
        node = self._signed()
        while sign := self._taken("*", "/"):
            other = self._signed()
            # A number times a point keeps its unit as little as a point times a point: who scales knows what he does.
            function = np.multiply if sign == "*" else divide
            node = _Node(f"({node.shape} {sign} {other.shape})", _joined(function, node, other), _OWN)
        return node

    def _signed(self) -> _Node:
        negative = False
        while sign := self._taken("-", "+"):
            negative ^= sign == "-"
        node = self._atom()
        if not negative:
            return node
        inner = node.evaluate
        return _Node(f"(-{node.shape})", lambda values: -inner(values), node.unit)

    def _atom(self) -> _Node:
        kind, lexeme, at = self._kind, self._lexeme, self._at
        if kind == "end":
            self._fail("the expression ends where a point, a number or a parenthesis is expected")
        if self._taken("("):
            node = self._either()
            self._close()
            return node
        if kind == "number":
            self._step_on()
            return self._number(float(lexeme), at)
        if kind == "string":
            self._step_on()
            return self._point(_unquoted(lexeme), "", at)
        if kind == "word" and lexeme in ("true", "false"):
            self._step_on()
            return self._number(float(lexeme == "true"), at)
        if kind != "word" or lexeme in _KEYWORDS:
            self._fail(f"{lexeme!r} is not expected here; a point, a number or a parenthesis is")
        self._step_on()
        if self._kind == "sign" and self._lexeme == "(":
            self._step_on()
            return self._call(lexeme, at)
        return self._point(lexeme, "", at)

    def _close(self) -> None:
        if not self._taken(")"):
            self._fail("a closing parenthesis is missing")

    def _number(self, value: float, at: int) -> _Node:
        if not np.isfinite(value):
            self._fail("the number is too large", at)
        place = len(self._tables.numbers)
        self._tables.numbers.append(value)
        return _Node("#", lambda values: values[1][place])

    def _point(self, text: str, unit: str, at: int) -> _Node:
        if not text.strip() or not text.isprintable() or len(text) > 1200:
            self._fail("the name of a point is empty, too long or has control characters", at)
        tables = self._tables
        place = tables.places.get((text, unit))
        if place is None:
            place = tables.places[text, unit] = len(tables.slots)
            if place >= MAX_POINTS:
                self._fail(f"more than {MAX_POINTS} points", at)
            tables.slots.append(Reference(text, unit, self._step, at + 1))
        slot = place
        return _Node(f"${slot}", lambda values: values[0][slot], slot)

    def _call(self, name: str, at: int) -> _Node:
        if name == "to":
            return self._converted(at)
        if name not in FUNCTIONS:
            self._fail(f"there is no function {name!r}; there are to, {', '.join(FUNCTIONS)}", at)
        function, least, most, keeps = FUNCTIONS[name]
        arguments = [self._either()]
        while self._taken(","):
            arguments.append(self._either())
        self._close()
        if not least <= len(arguments) <= most:
            number = str(least) if least == most else f"{least} to {most}"
            self._fail(f"{name} takes {number} arguments, not {len(arguments)}", at)
        unit = _OWN
        if keeps:
            unit = arguments[0].unit
            for one, other in itertools.pairwise(arguments):
                unit = max(unit, self._agree(one, other, at))
        parts = [argument.evaluate for argument in arguments]
        shape = f"{name}({', '.join(argument.shape for argument in arguments)})"
        return _Node(shape, lambda values: function(*(part(values) for part in parts)), unit)

    def _converted(self, at: int) -> _Node:
        kind, lexeme = self._kind, self._lexeme
        if kind not in ("string", "word"):
            self._fail('to takes a point and a unit: to("outlet", "kPa")', at)
        self._step_on()
        comma, unit_at = self._taken(","), self._at
        if not comma or self._kind != "string":
            self._fail('to takes a point and a unit in quotation marks: to("outlet", "kPa")', at)
        unit = _unquoted(self._lexeme)
        self._step_on()
        self._close()
        try:
            check_unit(unit)
        except UnitError as error:
            self._fail(str(error), unit_at)
        return self._point(_unquoted(lexeme) if kind == "string" else lexeme, unit, at)


def _unquoted(lexeme: str) -> str:
    return re.sub(r"\\(.)", r"\1", lexeme[1:-1])


def _joined(function: Callable[[Column, Column], Column], one: _Node, other: _Node) -> Evaluate:
    left, right = one.evaluate, other.evaluate
    return lambda values: function(left(values), right(values))


def _truth(node: _Node) -> _Node:
    """Return a part as 1, 0 or NaN."""
    if node.unit == _TRUTH:
        return node
    inner = node.evaluate

    def evaluate(values: Values) -> Column:
        column = inner(values)
        return np.where(np.isnan(column), np.nan, column != 0)

    return _Node(f"true({node.shape})", evaluate, _TRUTH)


def _negation(node: _Node) -> _Node:
    inner = node.evaluate
    return _Node(f"(not {node.shape})", lambda values: 1.0 - inner(values), _TRUTH)
