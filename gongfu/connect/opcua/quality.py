"""OPC UA StatusCodes and our quality byte.

Source: OPC 10000-4 §7.39 (bits 30-31 severity, 16-27 sub code, info bits) and OPC 10000-8 §6.3 (codes of data access).
Severity is kept as it is; the sub codes that say why become our reasons. Pure.
"""

from collections.abc import Sequence

from gongfu.connect.kit.types import Value
from gongfu.kernel.quality import Quality

_OVERFLOW = 0x0480
"""Info type DataValue with the overflow bit: the server's queue lost values of this item."""

_SEMANTICS = 0x4000
"""Bit 14, SemanticsChanged: properties of the variable have changed."""

_REASONS: dict[int, Quality] = {
    0x8031: Quality.BAD_DEVICE,  # BadNoCommunication
    0x808B: Quality.BAD_DEVICE,  # BadDeviceFailure
    0x808C: Quality.BAD_DEVICE,  # BadSensorFailure
    0x808D: Quality.BAD_DEVICE,  # BadOutOfService
    0x808A: Quality.BAD_DEVICE,  # BadNotConnected
    0x8089: Quality.BAD_DEVICE,  # BadConfigurationError
    0x8032: Quality.BAD_NO_DATA,  # BadWaitingForInitialData
    0x809B: Quality.BAD_NO_DATA,  # BadNoData
    0x809D: Quality.BAD_NO_DATA,  # BadDataLost
    0x8034: Quality.BAD_NO_DATA,  # BadNodeIdUnknown
    0x8033: Quality.BAD_NO_DATA,  # BadNodeIdInvalid
    0x408F: Quality.UNCERTAIN,  # UncertainNoCommunicationLastUsableValue
    0x4090: Quality.UNCERTAIN,  # UncertainLastUsableValue
    0x4095: Quality.UNCERTAIN_SUBNORMAL,  # UncertainSubNormal
    0x4094: Quality.UNCERTAIN_SUBNORMAL,  # UncertainEngineeringUnitsExceeded
    0x4093: Quality.UNCERTAIN_SUBNORMAL,  # UncertainSensorNotAccurate
}

_BACK: dict[int, int] = {
    Quality.GOOD: 0,
    Quality.UNCERTAIN: 0x4000_0000,
    Quality.UNCERTAIN_CLOCK: 0x4000_0000,
    Quality.UNCERTAIN_SUBNORMAL: 0x4095_0000,
    Quality.BAD: 0x8000_0000,
    Quality.BAD_NOT_A_NUMBER: 0x8000_0000,
    Quality.BAD_STALE: 0x8031_0000,
    Quality.BAD_DEVICE: 0x808B_0000,
    Quality.BAD_NO_DATA: 0x809B_0000,
}


def quality_of(status: int) -> int:
    """Return our quality byte of a StatusCode; the reserved severity 11 counts as bad, as Part 4 asks."""
    if not status:
        return 0
    known = _REASONS.get(status >> 16)
    if known is not None:
        return int(known)
    severity = status >> 30
    return 0 if severity == 0 else int(Quality.UNCERTAIN) if severity == 1 else int(Quality.BAD)


def status_of(quality: int) -> int:
    """Return the StatusCode that our server answers for a quality byte."""
    known = _BACK.get(quality)
    return known if known is not None else (quality & 0xC0) << 24


def overflowed(status: int) -> bool:
    """Return whether the status says that the server's queue lost values before this one."""
    return status & 0x0C80 == _OVERFLOW


def semantics_changed(status: int) -> bool:
    """Return whether the status says that the value has another meaning than the last one: unit, range or type."""
    return bool(status & _SEMANTICS)


def qualities(status: Sequence[int], values: Sequence[Value]) -> list[int]:
    """Return the quality bytes of columns; a good value that is null has no data."""
    if any(status):
        cache = {code: quality_of(code) for code in set(status)}
        found = [cache[code] for code in status]
    else:
        found = [0] * len(status)
    if None in values:
        missing = int(Quality.BAD_NO_DATA)
        return [missing if v is None and not q & 0x80 else q for q, v in zip(found, values, strict=True)]
    return found
