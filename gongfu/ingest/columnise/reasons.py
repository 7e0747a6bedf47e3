"""Reason codes of points that do not go into the log (docs/telemetry.md lists them for people)."""

from collections.abc import Callable
from enum import StrEnum


class Reason(StrEnum):
    """Why a point, or a payload that cannot be read, was rejected: the sender must change something."""

    MALFORMED_JSON = "malformed_json"
    MALFORMED_ARROW = "malformed_arrow"
    MALFORMED_SPARKPLUG = "malformed_sparkplug"
    FORM_INVALID = "form_invalid"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    TOO_MANY_POINTS = "too_many_points"
    NAME_INVALID = "name_invalid"
    NULL_VALUE = "null_value"
    TYPE_MISMATCH = "type_mismatch"
    PRECISION_LOSS = "precision_loss"
    INTEGER_OVERFLOW = "integer_overflow"
    TIMESTAMP_INVALID = "timestamp_invalid"
    TIMESTAMP_IN_FUTURE = "timestamp_in_future"
    QUALITY_INVALID = "quality_invalid"
    ALIAS_UNKNOWN = "alias_unknown"
    DATATYPE_UNSUPPORTED = "datatype_unsupported"
    ASSET_UNKNOWN = "asset_unknown"
    ASSET_QUOTA = "asset_quota"
    POINT_QUOTA = "point_quota"
    MODEL_TYPE = "model_type"
    MODEL_RANGE = "model_range"
    MODEL_UNKNOWN_POINT = "model_unknown_point"


class Shed(StrEnum):
    """Why good points were dropped: the sender may send them again."""

    LOG_UNAVAILABLE = "log_unavailable"
    REGISTRY_UNAVAILABLE = "registry_unavailable"
    SATURATED = "saturated"
    STOPPING = "stopping"
    DEVICE_QUOTA = "device_quota"
    TENANT_QUOTA = "tenant_quota"


# Reports a rejection: the reason, the number of points, and what is wrong in words.
Reject = Callable[[Reason, int, str], None]

DETAIL_LIMIT = 200
_NAME_LIMIT = 60


def shown(name: object) -> str:
    """Return a name as it stands in a detail: quoted and cut."""
    text = str(name)
    return repr(text if len(text) <= _NAME_LIMIT else text[:_NAME_LIMIT] + "…")
