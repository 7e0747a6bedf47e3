"""What an app costs a tenant in a month. Integers only: hundredths of the currency. Nothing is paid here."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

PlanKind = Literal["free", "per-call", "per-device-month", "flat"]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
Amount = Annotated[int, Meta(ge=0, le=10**12)]


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price plan.

    Attributes:
        kind: ``free``; ``per-call`` of a model or route; ``per-device-month`` for each device active on a day, a
            month's share a day; ``flat`` a month in which the app was installed.
        amount: hundredths of the currency, for one call, device and month, or month.
        currency: ISO 4217.
        included: calls a month, or device-days a month, that cost nothing.
    """

    kind: PlanKind = "free"
    amount: Amount = 0
    currency: Currency = "CNY"
    included: Amount = 0


class MonthUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant used of an app in a month.

    Attributes:
        calls: of models and routes.
        device_days: sum over the days of the devices that were active.
        installed: whether it was installed on any of them.
        days: of the month, 28 to 31.
    """

    calls: int
    device_days: int
    installed: bool
    days: int


def amount_of(plan: Plan, usage: MonthUsage) -> int:
    """Return what a month costs, in hundredths; halves are rounded up."""
    match plan.kind:
        case "per-call":
            return max(0, usage.calls - plan.included) * plan.amount
        case "per-device-month":
            billed = max(0, usage.device_days - plan.included) * plan.amount
            return (2 * billed + usage.days) // (2 * usage.days)
        case "flat":
            return plan.amount if usage.installed else 0
        case "free":
            return 0
