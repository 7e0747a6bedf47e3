"""Data types of a server -> value types of points. Pure.

Source: OPC 10000-3 §8 (base data types), OPC 10000-6 §5.1.2 (built-in types).
"""

from gongfu.connect.kit.types import DriverError, Reason, Value

BUILT_IN = {f"i={number}": number for number in range(1, 26)} | {
    "i=26": 11, "i=27": 8, "i=28": 9, "i=29": 6, "i=290": 11, "i=294": 13, "i=295": 12,
}  # fmt: skip
"""NodeId of a data type -> the built-in type it is encoded as (abstract ones: what a server is most likely to take)."""

_RANGES = {2: (-(2**7), 2**7 - 1), 3: (0, 2**8 - 1), 4: (-(2**15), 2**15 - 1), 5: (0, 2**16 - 1),
           6: (-(2**31), 2**31 - 1), 7: (0, 2**32 - 1), 8: (-(2**63), 2**63 - 1), 9: (0, 2**64 - 1)}  # fmt: skip


def value_type_of(data_type: str, value_rank: int) -> str:
    """Return double, int64, boolean, string or json; ``""`` for a type that is not a basic one.

    Args:
        data_type: NodeId text (``i=11``).
        value_rank: OPC 10000-3 §5.6.2: 0 and more are arrays, -1 is a scalar.
    """
    built_in = BUILT_IN.get(data_type)
    if built_in is None:
        return ""
    if value_rank >= 0 or built_in in (22, 23, 24):
        return "json"
    if data_type == "i=26" or built_in in (10, 11):
        return "double"
    if built_in == 1:
        return "boolean"
    return "int64" if 2 <= built_in <= 9 or built_in == 19 else "string"


def to_machine(value: Value, built_in: int, where: str) -> Value:
    """Return ``value`` as a server takes it for a built-in type, element by element for lists.

    Raises:
        DriverError: it does not fit the type or its range.
    """
    if isinstance(value, list):
        return [to_machine(element, built_in, where) for element in value]
    wrong = DriverError(
        Reason.TYPE_MISMATCH,
        f"{where} does not take {value!r}: its type is another one.",
        "Give a value of the type browsing shows.",
    )
    if built_in == 1:
        if isinstance(value, bool):
            return value
        raise wrong
    if built_in in _RANGES:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            raise wrong
        low, high = _RANGES[built_in]
        if not low <= value <= high:
            raise DriverError(Reason.RANGE, f"{where} does not take {value!r}.", f"Its type holds {low} to {high}.")
        return int(value)
    if built_in in (10, 11):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong
        return float(value)
    if built_in in (12, 21):
        if not isinstance(value, str):
            raise wrong
        return value
    if built_in == 15 and isinstance(value, str | bytes):
        return value.encode() if isinstance(value, str) else value
    raise DriverError(
        Reason.UNSUPPORTED, f"Values of the type of {where} cannot be written.", "Write numbers, booleans or strings."
    )
