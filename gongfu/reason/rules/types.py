"""Rule: a condition on points that raises alarms. Definitions are checked when they are written, not when they run."""

import hashlib
import math
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from gongfu.kernel.errors import Problem, invalid
from gongfu.kernel.times import SECOND
from gongfu.kernel.units import UnitError, check_unit
from gongfu.reason.rules.conditions import (
    DEFAULT_LATENESS_S,
    SEVERAL_POINTS,
    AbsenceCondition,
    Condition,
    DeviationCondition,
    Kind,
    PatternCondition,
    RateCondition,
    ThresholdCondition,
    WindowCondition,
    parse_condition,
)

__all__ = [
    "AbsenceCondition",
    "Condition",
    "DeviationCondition",
    "Kind",
    "PatternCondition",
    "Priority",
    "RateCondition",
    "Rule",
    "RuleBody",
    "ThresholdCondition",
    "WindowCondition",
    "check_body",
    "nanoseconds",
    "parse_condition",
    "unknown_rule",
]

MAX_LATENESS_S = 86_400.0


class Priority(StrEnum):
    """Priority of the alarms of a rule (ISA-18.2 §4; four levels as EEMUA 191 recommends)."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class RuleBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user writes: the request of POST and PUT /v1/rules, and an item of a YAML file of rules."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    kind: Kind
    # Path of an asset or a glob: * is any characters but "/", ** any characters, ? one character but "/".
    asset: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    # Name of a point or a glob: * is any characters, ? one character. Patterns name their points themselves; here
    # they may name the one that alarms show.
    point: Annotated[str, msgspec.Meta(max_length=200)] = ""
    condition: dict[str, Any]
    # UCUM code of the limit, where it is not that of the points.
    unit: Annotated[str, msgspec.Meta(max_length=40)] = ""
    # How long samples may come after newer ones (of the same series, or of the same asset or group where the rule looks
    # at several points). None: 0, and 2 s for kinds that look at several points.
    lateness_s: float | None = None
    priority: Priority = Priority.MEDIUM
    # Template with {asset} {point} {value} {limit} {unit} {rule}; empty for a standard text.
    message: Annotated[str, msgspec.Meta(max_length=500)] = ""
    enabled: bool = True


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as it runs. ``owner`` is empty for what people wrote, else names the app that installed it."""

    id: int
    tenant: int
    name: str
    kind: Kind
    asset: str
    point: str
    condition: Condition
    priority: Priority
    message: str
    enabled: bool
    unit: str = ""
    lateness_s: float | None = None
    owner: str = ""

    @property
    def fingerprint(self) -> int:
        """63 bits that change when what the rule computes changes; state is kept over edits that leave it the same."""
        condition = msgspec.json.encode(self.condition, order="deterministic")
        return _fingerprint(self.kind, condition, self.unit, self.lateness)

    @property
    def whole(self) -> bool:
        """Whether the points it reads are found together, see ``resolving``, and not one by one."""
        return self.kind in SEVERAL_POINTS or bool(self.unit)

    @property
    def lateness(self) -> int:
        """How long samples are waited for, ns; 0: not at all."""
        if self.lateness_s is None:
            return nanoseconds(DEFAULT_LATENESS_S) if self.kind in SEVERAL_POINTS else 0
        return nanoseconds(self.lateness_s)

    @property
    def limit(self) -> float | None:
        """What an alarm shows as its limit: the threshold, the rate, or the time-out in seconds."""
        condition = self.condition
        if isinstance(condition, RateCondition):
            return condition.per_s
        if isinstance(condition, AbsenceCondition):
            return condition.timeout_s
        return None if isinstance(condition, PatternCondition) else condition.limit

    def body(self) -> RuleBody:
        """Return what a user would write to get this rule."""
        return RuleBody(
            name=self.name,
            kind=self.kind,
            asset=self.asset,
            point=self.point,
            condition=msgspec.to_builtins(self.condition),
            unit=self.unit,
            lateness_s=self.lateness_s,
            priority=self.priority,
            message=self.message,
            enabled=self.enabled,
        )


@lru_cache(maxsize=4096)
def _fingerprint(kind: Kind, condition: bytes, unit: str, lateness: int) -> int:
    # Rules have many twins: the same condition on other points. What is written is that of versions before 0.8 where
    # the members were not there yet.
    text = f"{kind}\0".encode() + condition
    if unit or lateness:
        text += f"\0{unit}\0{lateness}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


def nanoseconds(seconds: float) -> int:
    """Return whole nanoseconds."""
    return round(seconds * SECOND)


def check_body(body: RuleBody) -> Condition:
    """Return the condition of a rule that a user wrote.

    Raises:
        Problem: 400 with what is wrong.
    """
    for member in ("name", "asset", "point", "message"):
        text = getattr(body, member)
        if not text.isprintable():
            raise invalid(f"{member} has control characters")
    if body.asset.startswith("/") or body.asset.endswith("/"):
        raise invalid("asset is a path such as plant/line 1, without a slash at its ends")
    if not body.point and body.kind is not Kind.PATTERN:
        raise invalid("point: name a point, or * for all")
    late = body.lateness_s
    if late is not None and not (math.isfinite(late) and 0 <= late <= MAX_LATENESS_S):
        raise invalid(f"lateness_s must be 0 to {MAX_LATENESS_S:g} seconds")
    condition = parse_condition(body.kind, body.condition)
    if body.unit:
        if isinstance(condition, PatternCondition | AbsenceCondition):
            raise invalid(f"unit: a {body.kind} rule has no limit with a unit")
        try:
            check_unit(body.unit)
        except UnitError as error:
            raise invalid(f"unit: {error}") from None
    if isinstance(condition, PatternCondition) and body.point:
        from gongfu.reason.rules.expressions import compile_steps

        names = compile_steps(tuple(condition.steps), sequence=condition.sequence is not None).names
        if body.point not in names:
            raise invalid(f"point: {body.point!r} is not in the pattern; leave it empty, or name one of {names}")
    return condition


def unknown_rule(rule: int) -> Problem:
    """Return the problem for a rule that is not there."""
    return Problem(404, "not-found", "Not found", f"rule {rule}")
