"""Quota of callers: calls and rows in a minute. Pure; takes the time as an argument."""

from gongfu.kernel.errors import Problem
from gongfu.reason.models.spec import Quota

_MINUTE_S = 60.0
# Callers that are remembered; all are forgotten when their minute is over.
_MANY = 100_000


class CallerQuotas:
    """What callers used in their present minute, which begins with a call."""

    def __init__(self) -> None:
        self._used: dict[tuple[int, str, str], tuple[float, int, int]] = {}

    def take(self, tenant: int, model: str, caller: str, quota: Quota, rows: int, now: float) -> None:
        """Count a call.

        Args:
            tenant: whose model.
            model: its id.
            caller: who calls.
            quota: what the version grants to each caller.
            rows: rows of the call.
            now: seconds of a monotonic clock.

        Raises:
            Problem: 429 ``quota-exceeded``; nothing is counted.
        """
        if len(self._used) >= _MANY:
            self._used = {key: used for key, used in self._used.items() if now - used[0] < _MINUTE_S}
        key = (tenant, model, caller)
        began, calls, taken = self._used.get(key, (now, 0, 0))
        if now - began >= _MINUTE_S:
            began, calls, taken = now, 0, 0
        if calls + 1 > quota.calls_per_minute or taken + rows > quota.rows_per_minute:
            wait = max(_MINUTE_S - (now - began), 0.0)
            raise Problem(
                429,
                "quota-exceeded",
                "The quota of this caller is used up",
                f"{model} grants {quota.calls_per_minute} calls and {quota.rows_per_minute} rows a minute to each "
                f"caller; the minute of {caller} ends in {wait:.0f} s",
                {"retry_after_s": round(wait, 1)},
            )
        self._used[key] = (began, calls + 1, taken + rows)
