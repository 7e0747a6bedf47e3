"""What a machine's value becomes at a point: scaled, of the point's type, or told apart (docs/connect.md, rules)."""

import math
from typing import Any

import orjson

from gongfu.connect.kit.types import Address, Value
from gongfu.kernel.points import EXACT_INTEGER_LIMIT, VALUE_TYPES, ValueType
from gongfu.kernel.quality import SEVERITY_MASK, Quality

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

_NOTHING: dict[ValueType, Any] = {
    ValueType.DOUBLE: math.nan,
    ValueType.INT64: 0,
    ValueType.BOOLEAN: False,
    ValueType.STRING: "",
    ValueType.JSON: "null",
}


class Rejection(Exception):
    """A value that does not fit its point.

    Attributes:
        reason: code as of docs/telemetry.md.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def nothing_of(value_type: ValueType, last: Any) -> Any:
    """Return what stands beside a bad quality when there is no value: not-a-number, or else the last value."""
    return math.nan if value_type is ValueType.DOUBLE else _NOTHING[value_type] if last is None else last


class Conversion:
    """Turns the values of one address into what is stored. Pure.

    Attributes:
        value_type: type of the point.
        numeric: whether the type is a number.
    """

    __slots__ = ("_offset", "_scale", "_scaled", "numeric", "value_type")

    def __init__(self, address: Address) -> None:
        self.value_type = VALUE_TYPES[address.value_type]
        self.numeric = self.value_type is ValueType.DOUBLE or self.value_type is ValueType.INT64
        self._scale = address.scale
        self._offset = address.offset
        self._scaled = address.scale != 1.0 or address.offset != 0.0

    def store(self, value: Value, quality: int) -> tuple[Any, int]:
        """Return (value of the point's type, quality byte).

        Raises:
            Rejection: it does not fit the type of the point.
        """
        kind = type(value)
        value_type = self.value_type
        if value_type is ValueType.DOUBLE:
            if kind is float or kind is int or kind is bool:
                number: Any = value
                if kind is int and not -EXACT_INTEGER_LIMIT <= number <= EXACT_INTEGER_LIMIT and not self._scaled:
                    raise Rejection("precision_loss", "an integer beyond 2^53 at a point of type double")
                if self._scaled:
                    number = number * self._scale + self._offset
                return _finite(float(number), quality)
        elif value_type is ValueType.INT64:
            if kind is int or kind is float or kind is bool:
                return self._whole(value), quality
        elif value_type is ValueType.BOOLEAN:
            if kind is bool or value in (0, 1):
                return bool(value), quality
        elif value_type is ValueType.STRING:
            if kind is str:
                return value, quality
            if isinstance(value, bytes):
                return value.hex(), quality
            if kind is int or kind is float or kind is bool:
                return str(value), quality
        elif kind is list or kind is dict or kind is str or kind is int or kind is float or kind is bool:
            return orjson.dumps(value, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY).decode(), quality
        raise Rejection("type_mismatch", f"{kind.__name__} at a point of type {value_type.label}")

    def _whole(self, value: Any) -> int:
        number = value * self._scale + self._offset if self._scaled else value
        if isinstance(number, float):
            if not math.isfinite(number):
                raise Rejection("type_mismatch", "not a number at a point of type int64")
            if not self._scaled and not number.is_integer():
                raise Rejection("type_mismatch", "a fraction at a point of type int64")
            if abs(number) > EXACT_INTEGER_LIMIT:
                raise Rejection("precision_loss", "a number beyond 2^53 that went through a double, at int64")
            number = round(number)
        if not INT64_MIN <= number <= INT64_MAX:
            raise Rejection("integer_overflow", "an integer beyond 64 bits")
        return int(number)

    def undo(self, value: Value) -> Value:
        """Return the machine's own value for one in the point's terms: what a write sends.

        Raises:
            Rejection: the value is of another type than the point.
        """
        if not self.numeric:
            if self.value_type is ValueType.BOOLEAN and not isinstance(value, bool):
                raise Rejection("type_mismatch", "true or false is needed")
            if self.value_type is ValueType.STRING and not isinstance(value, str):
                raise Rejection("type_mismatch", "a text is needed")
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Rejection("type_mismatch", f"a number is needed, not {type(value).__name__}")
        if not self._scaled:
            return value
        raw = (value - self._offset) / self._scale
        # 21.3 / 0.1 is 213.00000000000003: what is meant is the step of the machine.
        near = round(raw)
        return near if abs(raw - near) <= 1e-9 * max(1.0, abs(raw)) else raw


def _finite(number: float, quality: int) -> tuple[float, int]:
    if math.isfinite(number) or quality & SEVERITY_MASK == Quality.BAD:
        return number, quality
    return number, Quality.BAD_NOT_A_NUMBER


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else float(value)
