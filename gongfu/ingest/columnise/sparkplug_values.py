"""Values and quality of Sparkplug metrics (Sparkplug 3.0.0 §6.4.16; quality §6.4.7)."""

from collections.abc import Callable
from typing import Any

from gongfu.ingest.columnise.reasons import Reason
from gongfu.ingest.columnise.sparkplug_schema import DataType
from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import Quality

# Integers up to 32 bits are exact in a double, so they share a type with other measurements.
VALUE_TYPES: dict[int, ValueType] = {
    DataType.INT8: ValueType.DOUBLE,
    DataType.INT16: ValueType.DOUBLE,
    DataType.INT32: ValueType.DOUBLE,
    DataType.INT64: ValueType.INT64,
    DataType.UINT8: ValueType.DOUBLE,
    DataType.UINT16: ValueType.DOUBLE,
    DataType.UINT32: ValueType.DOUBLE,
    DataType.UINT64: ValueType.INT64,
    DataType.FLOAT: ValueType.DOUBLE,
    DataType.DOUBLE: ValueType.DOUBLE,
    DataType.BOOLEAN: ValueType.BOOLEAN,
    DataType.STRING: ValueType.STRING,
    DataType.DATETIME: ValueType.INT64,
    DataType.TEXT: ValueType.STRING,
    DataType.UUID: ValueType.STRING,
}

FIELDS: dict[int, str] = {
    DataType.INT8: "int_value",
    DataType.INT16: "int_value",
    DataType.INT32: "int_value",
    DataType.INT64: "long_value",
    DataType.UINT8: "int_value",
    DataType.UINT16: "int_value",
    DataType.UINT32: "int_value",
    DataType.UINT64: "long_value",
    DataType.FLOAT: "float_value",
    DataType.DOUBLE: "double_value",
    DataType.BOOLEAN: "boolean_value",
    DataType.STRING: "string_value",
    DataType.DATETIME: "long_value",
    DataType.TEXT: "string_value",
    DataType.UUID: "string_value",
}


def _signed(bits: int) -> Callable[[int], int]:
    mask, sign = (1 << bits) - 1, 1 << (bits - 1)
    return lambda value: ((value & mask) ^ sign) - sign


# Negative numbers travel as two's complement in an unsigned field; encoders fill 8, 16 or all 32 bits.
SIGNED: dict[int, Callable[[int], int]] = {
    DataType.INT8: _signed(8),
    DataType.INT16: _signed(16),
    DataType.INT32: _signed(32),
    DataType.INT64: _signed(64),
}

_QUALITY = "Quality"
_QUALITIES = {0: Quality.BAD, 192: Quality.GOOD, 500: Quality.BAD_STALE}


def value_of(metric: Any, datatype: int) -> tuple[Reason | None, Any]:
    """Return ``(None, value)`` of a metric with a supported data type, or ``(reason, what is wrong)``."""
    if metric.is_null:
        return Reason.NULL_VALUE, "value is null"
    field = FIELDS[datatype]
    present = metric.WhichOneof("value")
    if present is None:
        return Reason.NULL_VALUE, "there is no value"
    if present != field:
        return Reason.TYPE_MISMATCH, f"{present} for data type {DataType(datatype).name}"
    value = getattr(metric, field)
    convert = SIGNED.get(datatype)
    if convert is not None:
        return None, convert(value)
    if type(value) is bytes:
        return Reason.MALFORMED_SPARKPLUG, "text is not UTF-8"
    return None, value


def quality_of(metric: Any) -> Quality:
    """Return the quality of a metric from its property ``Quality``: 0 bad, 192 good, 500 stale."""
    if not metric.HasField("properties"):
        return Quality.GOOD
    properties = metric.properties
    for key, value in zip(properties.keys, properties.values, strict=False):
        if key == _QUALITY:
            return _QUALITIES.get(value.int_value, Quality.UNCERTAIN)
    return Quality.GOOD
