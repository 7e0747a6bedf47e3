"""What people do with rules: write, read, remove."""

from collections.abc import Callable
from typing import Any, Literal

import msgspec
from sqlalchemy import Engine

from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock
from gongfu.reason.rules import records
from gongfu.reason.rules.matching import tally, why_none
from gongfu.reason.rules.types import Rule, RuleBody, check_body, unknown_rule
from gongfu.reason.status import RuleState
from gongfu.registry import audit
from gongfu.store.records.engine import reading, writing


class RuleChange(msgspec.Struct, frozen=True):
    """Document of ``evt.rule``: the worker compiles its rules or bindings anew."""

    kind: Literal["rule", "binding"]
    id: int
    tenant: int
    change: Literal["created", "updated", "deleted"]


# Called on the thread that made the change, after its commit; must not raise and not block.
Announce = Callable[[RuleChange], None]


class RuleDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as the API shows it; ``status`` is null while the worker does not answer."""

    id: int
    name: str
    enabled: bool
    kind: str
    asset: str
    point: str
    condition: dict[str, Any]
    priority: str
    message: str
    status: RuleState | None


def document(rule: Rule, status: RuleState | None) -> RuleDocument:
    """Return the API's form of a rule."""
    return RuleDocument(
        id=rule.id,
        name=rule.name,
        enabled=rule.enabled,
        kind=str(rule.kind),
        asset=rule.asset,
        point=rule.point,
        condition=msgspec.to_builtins(rule.condition),
        priority=str(rule.priority),
        message=rule.message,
        status=status,
    )


class RuleService:
    """Rules of the caller's tenant. Methods block on the records: call them in a thread."""

    def __init__(self, engine: Engine, clock: Clock, announce: Announce) -> None:
        self._engine = engine
        self._clock = clock
        self._announce = announce

    def page(self, subject: Subject, after: int, limit: int) -> tuple[list[Rule], int | None]:
        """Return rules in order of id, and the key of the next page."""
        with reading(self._engine) as connection:
            found = records.page(connection, subject.tenant, after, limit + 1)
        return found[:limit], found[limit - 1].id if len(found) > limit else None

    def get(self, subject: Subject, key: int) -> Rule:
        """Return a rule.

        Raises:
            Problem: 404 when it is not there.
        """
        with reading(self._engine) as connection:
            rule = records.get(connection, subject.tenant, key)
        if rule is None:
            raise unknown_rule(key)
        return rule

    def create(self, subject: Subject, body: RuleBody) -> tuple[Rule, RuleState]:
        """Add a rule; return it with the number of series it applies to now, or why there are none.

        Raises:
            Problem: 400 when the rule makes no sense.
        """
        check_body(body)
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            rule = records.add(connection, subject.tenant, body, now)
            audit.record(connection, subject, "rule.create", f"rule/{rule.id}", now, body.name)
        self._announce(RuleChange("rule", rule.id, rule.tenant, "created"))
        return rule, self._first_state(rule)

    def replace(self, subject: Subject, key: int, body: RuleBody) -> tuple[Rule, RuleState]:
        """Replace a rule. Its state is kept unless kind or condition change; else its standing alarms return.

        Raises:
            Problem: 400 when the rule makes no sense; 404 when it is not there.
        """
        check_body(body)
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            rule = records.change(connection, subject.tenant, key, body, now)
            if rule is None:
                raise unknown_rule(key)
            audit.record(connection, subject, "rule.update", f"rule/{key}", now, body.name)
        self._announce(RuleChange("rule", key, rule.tenant, "updated"))
        return rule, self._first_state(rule)

    def remove(self, subject: Subject, key: int) -> None:
        """Remove a rule; its standing alarms return, its journal stays.

        Raises:
            Problem: 404 when it is not there.
        """
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            if not records.remove(connection, subject.tenant, key):
                raise unknown_rule(key)
            audit.record(connection, subject, "rule.delete", f"rule/{key}", now)
        self._announce(RuleChange("rule", key, subject.tenant, "deleted"))

    def _first_state(self, rule: Rule) -> RuleState:
        """Return what a rule applies to at this moment; the worker follows."""
        if not rule.enabled:
            return RuleState(error="disabled")
        with reading(self._engine) as connection:
            matches = tally(connection, rule)
        return RuleState(series=matches.count, error=why_none(rule, matches))
