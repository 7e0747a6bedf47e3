"""Quotas in the API: what a device or a tenant may send (docs/overload.md)."""

import math
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection

from gongfu.kernel.errors import invalid
from gongfu.registry import quota_records

Policy = Literal["delay", "shed"]
_MOST = 1e12
_LONGEST_BURST = 3600.0


class QuotaDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What the records say of one device or tenant; None is the node's setting (``[quotas]``), 0 is no limit."""

    points_per_second: float | None = None
    messages_per_second: float | None = None
    bytes_per_second: float | None = None
    burst_seconds: float | None = None
    policy: Policy | None = None


class QuotaPatch(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Change of a quota; what is left out stays, null is the node's setting again, 0 is no limit."""

    points_per_second: float | msgspec.UnsetType | None = msgspec.UNSET
    messages_per_second: float | msgspec.UnsetType | None = msgspec.UNSET
    bytes_per_second: float | msgspec.UnsetType | None = msgspec.UNSET
    burst_seconds: float | msgspec.UnsetType | None = msgspec.UNSET
    policy: Policy | msgspec.UnsetType | None = msgspec.UNSET


def check_quota(patch: QuotaPatch | None) -> dict[str, Any]:
    """Return the columns that a patch changes; None sets all of them to the node's settings again.

    Raises:
        Problem: 400 when a figure is out of range.
    """
    if patch is None:
        return dict.fromkeys(quota_records.FIELDS)
    values = {name: value for name in quota_records.FIELDS if (value := getattr(patch, name)) is not msgspec.UNSET}
    for name, value in values.items():
        if name == "policy" or value is None:
            continue
        if name == "burst_seconds":
            if not 0.1 <= value <= _LONGEST_BURST:
                raise invalid(f"burst_seconds must be 0.1 to {_LONGEST_BURST:g}")
        elif not math.isfinite(value) or not (value == 0 or 0.001 <= value <= _MOST):
            raise invalid(f"{name} must be 0 (no limit) or 0.001 to {_MOST:g}")
    return values


def quota_document(row: Any | None) -> QuotaDocument | None:
    """Return the document of a row, None without one."""
    if row is None:
        return None
    return QuotaDocument(**{name: getattr(row, name) for name in quota_records.FIELDS})


def change_quota(connection: Connection, tenant: int, device: int, patch: QuotaPatch | None) -> str:
    """Change the quota of a device, or of a tenant (device 0); return what was changed, for the audit.

    Raises:
        Problem: 400 when a figure is out of range.
    """
    values = check_quota(patch)
    quota_records.put(connection, tenant, device, values)
    return ", ".join(f"quota.{name}={value}" for name, value in sorted(values.items()))
