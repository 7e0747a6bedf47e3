"""Mergeable states of measures.

Exact forms (count, sum, min, max) are whole numbers of 10^-decimals of the unit, within ±(2^53 - 1). Rounding happens
once, where a value enters; from there on merging is exact, commutative and associative: the same bits in any order.
Sketches merge within their error (``sketches``). A measure that a cell does not have is ABSENT, never zero.
"""

from collections.abc import Sequence
from enum import StrEnum
from fractions import Fraction

import msgspec
import numpy as np
from numpy.typing import NDArray

from gongfu.tree.reports.kinds import Form, Measure
from gongfu.tree.reports.sketches import (
    LARGEST,
    SketchError,
    check_sketch,
    distinct_estimate,
    merge_sketches,
)

# int64 of an exact measure that a cell does not have (an older version of the kind, nothing measured).
ABSENT = -(2**63)

State = int | bytes


class MeasureReason(StrEnum):
    """Why a state is refused."""

    RANGE = "out-of-range"
    DAMAGED = "state-damaged"
    FORM = "wrong-form"
    NOT_FINITE = "not-finite"


class MeasureError(ValueError):
    """A value or state of a measure is refused.

    Attributes:
        reason: the stable code.
    """

    def __init__(self, reason: MeasureReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Figure(msgspec.Struct, frozen=True):
    """A state as a number for people: value, and the bounds of a sketch at two standard deviations (else the value)."""

    value: float
    low: float
    high: float


def _whole(measure: Measure, value: float | Fraction) -> int:
    """Return a value as a whole number of 10^-decimals, half to even."""
    return round(Fraction(value) * 10**measure.decimals)


def _exact_sum(values: NDArray[np.float64]) -> Fraction:
    """Return the sum of finite values without any rounding: whole mantissas, added by exponent."""
    fractions, exponents = np.frexp(values)
    mantissas = np.ldexp(fractions, 53).astype(np.int64)
    total = Fraction(0)
    for exponent in np.unique(exponents).tolist():
        some = mantissas[exponents == exponent]
        # In two halves, so that adding up many does not overflow.
        whole = (int((some >> 26).sum()) << 26) + int((some & (1 << 26) - 1).sum())
        total += whole * Fraction(2) ** (exponent - 53)
    return total


def _in_range(measure: Measure, whole: int) -> int:
    least = 0 if measure.form is Form.COUNT else -LARGEST
    if not least <= whole <= LARGEST:
        raise MeasureError(MeasureReason.RANGE, f"{measure.name} of {whole} is out of range")
    return whole


def exact_state(measure: Measure, values: Sequence[float] | NDArray[np.float64]) -> int:
    """Return the state of an exact measure over values in its unit; ``ABSENT`` for the least and largest of none.

    A sum is taken exactly and rounded once; a count is the number of values.

    Raises:
        MeasureError: a value is not finite, the result is out of range, or the measure is a sketch.
    """
    if measure.form is Form.COUNT:
        return _in_range(measure, len(values))
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise MeasureError(MeasureReason.NOT_FINITE, f"{measure.name} of a value that is not finite")
    if measure.form is Form.SUM:
        return _in_range(measure, _whole(measure, _exact_sum(array)))
    if measure.form not in (Form.MIN, Form.MAX):
        raise MeasureError(MeasureReason.FORM, f"{measure.name} is not exact")
    if not len(array):
        return ABSENT
    return _in_range(measure, _whole(measure, float(array.min() if measure.form is Form.MIN else array.max())))


def merge(measure: Measure, states: Sequence[State]) -> State:
    """Return the state of everything in some states of one measure; absent ones say nothing.

    Raises:
        MeasureError: there is none, the result is out of range, or a state has another form.
    """
    if not states:
        raise MeasureError(MeasureReason.FORM, f"no state of {measure.name}")
    if measure.exact:
        numbers = [state for state in states if isinstance(state, int)]
        if len(numbers) != len(states):
            raise MeasureError(MeasureReason.FORM, f"a state of {measure.name} is not a number")
        known = [number for number in numbers if number != ABSENT]
        if not known:
            return ABSENT
        if measure.form is Form.MIN:
            return min(known)
        if measure.form is Form.MAX:
            return max(known)
        return _in_range(measure, sum(known))
    sketches = [state for state in states if isinstance(state, bytes)]
    if len(sketches) != len(states):
        raise MeasureError(MeasureReason.FORM, f"a state of {measure.name} is not a sketch")
    known_sketches = [sketch for sketch in sketches if sketch]
    try:
        return merge_sketches(measure, known_sketches) if known_sketches else b""
    except SketchError as error:
        raise MeasureError(MeasureReason.RANGE, f"{measure.name}: {error}") from None


def encode_state(measure: Measure, state: State) -> bytes:
    """Return the bytes of a state: a variable-length integer (zigzag, 7 bits a byte), or the sketch itself.

    Absent is no byte at all.

    Raises:
        MeasureError: the state has another form, or is out of range.
    """
    if isinstance(state, bytes) != (not measure.exact):
        raise MeasureError(MeasureReason.FORM, f"a state of {measure.name} has another form")
    if isinstance(state, bytes):
        return state
    if state == ABSENT:
        return b""
    rest = _in_range(measure, state)
    rest = rest << 1 if rest >= 0 else (-rest << 1) - 1
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def decode_state(measure: Measure, data: bytes) -> State:
    """Return the state in bytes.

    Raises:
        MeasureError: the bytes are damaged.
    """
    if not measure.exact:
        if data:
            check_state(measure, data)
        return data
    if not data:
        return ABSENT
    rest = 0
    for i, byte in enumerate(data):
        rest |= (byte & 0x7F) << (7 * i)
        last = i == len(data) - 1
        # One form for one number: no padding with empty groups of bits, and no more than 54 bits and a sign.
        if bool(byte & 0x80) == last or i > 7 or (last and i and not byte):
            raise MeasureError(MeasureReason.DAMAGED, f"a state of {measure.name} is not a number")
    return _in_range(measure, (rest >> 1) if not rest & 1 else -((rest + 1) >> 1))


def check_state(measure: Measure, state: State) -> None:
    """Check a state from elsewhere; absent ones are right.

    Raises:
        MeasureError: it is damaged, out of range, or has another form.
    """
    if isinstance(state, int):
        if not measure.exact:
            raise MeasureError(MeasureReason.FORM, f"a state of {measure.name} is not a sketch")
        if state != ABSENT:
            _in_range(measure, state)
    elif measure.exact:
        raise MeasureError(MeasureReason.FORM, f"a state of {measure.name} is not a number")
    elif state:
        try:
            check_sketch(measure, state)
        except SketchError as error:
            raise MeasureError(MeasureReason.DAMAGED, f"{measure.name}: {error}") from None


def figure(measure: Measure, state: State) -> Figure | None:
    """Return an exact measure or a distinct count in its unit; None when it is absent.

    Raises:
        MeasureError: quantiles and top have no single figure (``sketches.quantile_values``, ``sketches.top_items``).
    """
    if isinstance(state, int):
        value = state / 10**measure.decimals
        return None if state == ABSENT else Figure(value, value, value)
    if measure.form is not Form.DISTINCT:
        raise MeasureError(MeasureReason.FORM, f"{measure.name} has no single figure")
    return Figure(*distinct_estimate(state)) if state else None
