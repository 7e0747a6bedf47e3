"""What people do with rules: write, read, remove."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import Engine

from gongfu.kernel.errors import Problem, conflict, invalid
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock
from gongfu.reason.rules import records
from gongfu.reason.rules.matching import resolved, tally, why_none
from gongfu.reason.rules.types import Rule, RuleBody, check_body, parse_condition, unknown_rule
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
    unit: str = ""
    lateness_s: float | None = None
    owner: str = ""


_Applying = Literal["created", "updated", "unchanged"]


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a rule of a file: ``created``, ``updated`` or ``unchanged``."""

    name: str
    id: int
    change: _Applying
    status: RuleState | None = None


class AppliedRules(msgspec.Struct, frozen=True):
    """Answer of POST /v1/rules:apply, in the order of the file."""

    items: list[Applied]
    dry_run: bool


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
        unit=rule.unit,
        lateness_s=rule.lateness_s,
        owner=rule.owner,
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

    def create(self, subject: Subject, body: RuleBody, owner: str = "") -> tuple[Rule, RuleState]:
        """Add a rule; return it with the number of series it applies to now, or why there are none.

        Raises:
            Problem: 400 when the rule makes no sense, or none of the points it names fits it.
        """
        check_body(body)
        now = self._clock.now_ns()
        self._check_points(subject, body)
        with writing(self._engine) as connection:
            rule = records.add(connection, subject.tenant, body, now, owner)
            audit.record(connection, subject, "rule.create", f"rule/{rule.id}", now, body.name)
        self._announce(RuleChange("rule", rule.id, rule.tenant, "created"))
        return rule, self._first_state(rule)

    def replace(self, subject: Subject, key: int, body: RuleBody) -> tuple[Rule, RuleState]:
        """Replace a rule. Its state is kept unless kind or condition change; else its standing alarms return.

        Raises:
            Problem: 400 when the rule makes no sense, or none of the points it names fits it; 404 when it is not there.
        """
        check_body(body)
        now = self._clock.now_ns()
        self._check_points(subject, body)
        with writing(self._engine) as connection:
            rule = records.change(connection, subject.tenant, key, body, now)
            if rule is None:
                raise unknown_rule(key)
            audit.record(connection, subject, "rule.update", f"rule/{key}", now, body.name)
        self._announce(RuleChange("rule", key, rule.tenant, "updated"))
        return rule, self._first_state(rule)

    def put(self, subject: Subject, body: RuleBody, owner: str = "") -> tuple[Rule, RuleState]:
        """Add a rule of an owner (``app:…``; empty: of people), or replace the one with its name.

        Raises:
            Problem: as ``create``.
        """
        with reading(self._engine) as connection:
            present = records.named(connection, subject.tenant, body.name, owner)
        if present is None:
            return self.create(subject, body, owner)
        if present.body() == _settled(body):
            return present, self._first_state(present)
        return self.replace(subject, present.id, body)

    def owned(self, subject: Subject, owner: str) -> list[Rule]:
        """Return the rules of an owner."""
        with reading(self._engine) as connection:
            return records.owned(connection, subject.tenant, owner)

    def remove_owned(self, subject: Subject, owner: str, keep: Collection[str] = ()) -> int:
        """Remove the rules of an owner but those with some names; return how many went.

        Raises:
            ValueError: no owner is named: the rules of people do not go all at once.
        """
        if not owner:
            raise ValueError("no owner")
        gone = [rule for rule in self.owned(subject, owner) if rule.name not in keep]
        for rule in gone:
            self._remove(subject, rule.id)
        return len(gone)

    def apply(self, subject: Subject, bodies: Sequence[RuleBody], *, dry_run: bool = False) -> AppliedRules:
        """Add or replace rules of people by their names, all or, when one makes no sense, none.

        Raises:
            Problem: 400 with the name of the rule.
        """
        for body in bodies:
            try:
                check_body(body)
                self._check_points(subject, body)
            except Problem as problem:
                raise invalid(f"rule {body.name!r}: {problem.detail}", **problem.extra) from None
        now, done = self._clock.now_ns(), list[tuple[Rule, _Applying]]()
        with writing(self._engine) as connection:
            for body in bodies:
                present = records.named(connection, subject.tenant, body.name, "")
                if present is not None and present.body() == _settled(body):
                    done.append((present, "unchanged"))
                    continue
                change: _Applying = "created" if present is None else "updated"
                if dry_run:
                    done.append((present or draft_of(subject.tenant, body), change))
                    continue
                if present is None:
                    rule = records.add(connection, subject.tenant, body, now)
                else:
                    rule = records.change(connection, subject.tenant, present.id, body, now) or present
                audit.record(connection, subject, f"rule.{change.removesuffix('d')}", f"rule/{rule.id}", now, body.name)
                done.append((rule, change))
        for rule, change in done:
            if change != "unchanged" and not dry_run:
                self._announce(
                    RuleChange("rule", rule.id, rule.tenant, "created" if change == "created" else "updated")
                )
        items = [
            Applied(name=rule.name, id=rule.id, change=change, status=self._first_state(rule)) for rule, change in done
        ]
        return AppliedRules(items, dry_run)

    def bodies(self, subject: Subject) -> list[RuleBody]:
        """Return all rules of people, as they were written, in order of id."""
        found: list[RuleBody] = []
        after: int | None = 0
        while after is not None:
            page, after = self.page(subject, after, 1000)
            found += [rule.body() for rule in page if not rule.owner]
        return found

    def _check_points(self, subject: Subject, body: RuleBody) -> None:
        """Refuse a rule none of whose points fits it, where some are there; one for points to come is taken."""
        rule = draft_of(subject.tenant, body)
        if not rule.whole:
            return
        with reading(self._engine) as connection:
            found = resolved(connection, [rule])[rule.id]
        if not found.count and found.left_out:
            raise invalid(found.reason)

    def remove(self, subject: Subject, key: int) -> None:
        """Remove a rule; its standing alarms return, its journal stays.

        Raises:
            Problem: 404 when it is not there; 409 when an app installed it.
        """
        with reading(self._engine) as connection:
            present = records.get(connection, subject.tenant, key)
        if present is not None and present.owner:
            raise conflict(f"the rule belongs to {present.owner}: disable it, or remove the app")
        self._remove(subject, key)

    def _remove(self, subject: Subject, key: int) -> None:
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
            if rule.whole:
                found = resolved(connection, [rule])[rule.id]
                return RuleState(series=found.count, error=found.error(rule))
            matches = tally(connection, rule)
        return RuleState(series=matches.count, error=why_none(rule, matches))


def draft_of(tenant: int, body: RuleBody) -> Rule:
    """Return a rule as it would be."""
    return Rule(
        id=0,
        tenant=tenant,
        name=body.name,
        kind=body.kind,
        asset=body.asset,
        point=body.point,
        condition=parse_condition(body.kind, body.condition),
        priority=body.priority,
        message=body.message,
        enabled=body.enabled,
        unit=body.unit,
        lateness_s=body.lateness_s,
    )


def _settled(body: RuleBody) -> RuleBody:
    """Return a body with all members of its condition, as records give it."""
    return draft_of(0, body).body()
