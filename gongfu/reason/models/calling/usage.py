"""Usage of models as a service: counted in memory, added to the records every few seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, insert, select, update

from gongfu.kernel.times import SECOND
from gongfu.reason.models.tables import model_usage

HOUR_NS = 3600 * SECOND


@dataclass(slots=True)
class Usage:
    """Sums: calls that were answered or failed, their rows, CPU microseconds, failures, and calls over the quota."""

    calls: int = 0
    rows: int = 0
    cpu_us: int = 0
    failures: int = 0
    refused: int = 0


# (tenant, model, caller, hour)
UsageKey = tuple[int, str, str, int]


class UsageMeter:
    """Counts calls until ``drain``."""

    def __init__(self) -> None:
        self._counted: dict[UsageKey, Usage] = {}

    def count(
        self,
        tenant: int,
        model: str,
        caller: str,
        now: int,
        *,
        rows: int = 0,
        cpu_s: float = 0.0,
        failed: bool = False,
        refused: bool = False,
    ) -> None:
        """Count a call.

        Args:
            tenant: whose model.
            model: its id.
            caller: who called.
            now: UTC ns.
            rows: rows computed.
            cpu_s: CPU seconds of the model's process.
            failed: the model failed.
            refused: the quota was used up; it is no call then.
        """
        used = self._counted.setdefault((tenant, model, caller[:200], now // HOUR_NS), Usage())
        used.calls += not refused
        used.rows += rows
        used.cpu_us += round(cpu_s * 1e6)
        used.failures += failed
        used.refused += refused

    def drain(self) -> Mapping[UsageKey, Usage]:
        """Return what was counted, and begin anew."""
        counted, self._counted = self._counted, {}
        return counted

    def put_back(self, counted: Mapping[UsageKey, Usage]) -> None:
        """Count again what could not be written."""
        for key, usage in counted.items():
            mine = self._counted.setdefault(key, Usage())
            mine.calls += usage.calls
            mine.rows += usage.rows
            mine.cpu_us += usage.cpu_us
            mine.failures += usage.failures
            mine.refused += usage.refused


def add_usage(connection: Connection, counted: Mapping[UsageKey, Usage]) -> None:
    """Add what was counted to the records."""
    c = model_usage.c
    for (tenant, model, caller, hour), usage in counted.items():
        where = and_(c.tenant_id == tenant, c.model == model, c.caller == caller, c.hour == hour)
        more = {
            "calls": c.calls + usage.calls,
            "rows": c.rows + usage.rows,
            "cpu_us": c.cpu_us + usage.cpu_us,
            "failures": c.failures + usage.failures,
            "refused": c.refused + usage.refused,
        }
        if connection.execute(update(model_usage).where(where).values(more)).rowcount:
            continue
        connection.execute(
            insert(model_usage).values(
                tenant_id=tenant,
                model=model,
                caller=caller,
                hour=hour,
                calls=usage.calls,
                rows=usage.rows,
                cpu_us=usage.cpu_us,
                failures=usage.failures,
                refused=usage.refused,
            )
        )


def usage_of(
    connection: Connection, tenant: int, model: str | None, hour_from: int, hour_to: int, limit: int
) -> Sequence[Any]:
    """Return sums by model and caller over hours (the last one not included), most CPU time first; at most
    ``limit``."""
    c = model_usage.c
    sums = [func.sum(column).label(column.name) for column in (c.calls, c.rows, c.cpu_us, c.failures, c.refused)]
    query = select(c.model, c.caller, *sums).where(c.tenant_id == tenant, c.hour >= hour_from, c.hour < hour_to)
    if model is not None:
        query = query.where(c.model == model)
    query = query.group_by(c.model, c.caller).order_by(func.sum(c.cpu_us).desc(), c.model, c.caller).limit(limit)
    return connection.execute(query).all()
