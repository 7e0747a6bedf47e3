"""Which rules a worker runs (``svc.rules``): for those who want to see for themselves what is in force."""

from collections.abc import Iterable
from typing import Any

import msgspec

from gongfu.reason.rules.types import Rule


class RunningRequest(msgspec.Struct, frozen=True):
    """Request of ``svc.rules``: names of rules of a tenant."""

    tenant: int
    names: list[str]


class RunningRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as a worker runs it, which is what counts, whatever is written down; members as of ``RuleBody``."""

    id: int
    name: str
    kind: str
    asset: str
    point: str
    condition: dict[str, Any]
    priority: str
    message: str
    unit: str = ""
    lateness_s: float | None = None


class RunningAnswer(msgspec.Struct, frozen=True):
    """Answer of ``svc.rules``, by partition: the rules with those names."""

    partitions: dict[str, list[RunningRule]]


def running_rules(rules: Iterable[Rule], request: RunningRequest) -> list[RunningRule]:
    """Return the rules of a tenant with the names asked for, as they run."""
    names = frozenset(request.names)
    return [
        RunningRule(
            id=rule.id,
            name=rule.name,
            kind=str(rule.kind),
            asset=rule.asset,
            point=rule.point,
            condition=msgspec.to_builtins(rule.condition),
            priority=str(rule.priority),
            message=rule.message,
            unit=rule.unit,
            lateness_s=rule.lateness_s,
        )
        for rule in rules
        if rule.tenant == request.tenant and rule.name in names
    ]
