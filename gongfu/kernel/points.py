"""Point: a typed time series of an asset. Its type is fixed when it is first seen and its series id never changes."""

from dataclasses import dataclass
from enum import IntEnum

# JSON numbers are IEEE 754 doubles; integers beyond this bound are not exact in one (RFC 8259 §6).
EXACT_INTEGER_LIMIT = 2**53


class ValueType(IntEnum):
    """Type of a point's values; the number is the section tag in a column block and never changes."""

    DOUBLE = 1
    INT64 = 2
    BOOLEAN = 3
    STRING = 4
    JSON = 5

    @property
    def label(self) -> str:
        """Name used in the API and in the registry: ``double``, ``int64``, ``boolean``, ``string``, ``json``."""
        return self.name.lower()


VALUE_TYPES: dict[str, ValueType] = {value_type.label: value_type for value_type in ValueType}


@dataclass(frozen=True, slots=True)
class Series:
    """What the data path knows of a point: its series id (dense, from 1) and its type."""

    series: int
    value_type: ValueType
