"""Rule: a condition on points that raises alarms. Definitions are checked when they are written, not when they run."""

import hashlib
import math
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec

from gongfu.kernel.errors import Problem, invalid
from gongfu.kernel.times import SECOND

Direction = Literal["above", "below"]

MAX_SECONDS = 31 * 86_400.0


class Priority(StrEnum):
    """Priority of the alarms of a rule (ISA-18.2 §4; four levels as EEMUA 191 recommends)."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Kind(StrEnum):
    """What a rule looks at."""

    THRESHOLD = "threshold"
    RATE = "rate"
    ABSENCE = "absence"


class ThresholdCondition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The value passes a limit.

    ``above``: true when value > limit, false again when value <= limit - deadband; in between it stays as it was.
    ``below`` is the mirror image. The alarm is raised when this has been true for ``delay_s`` of source time without a
    break (on-delay) and returns when it has been false for ``off_delay_s`` (off-delay). Booleans count as 0 and 1.
    """

    direction: Direction
    limit: float
    deadband: float = 0.0
    delay_s: float = 0.0
    off_delay_s: float = 0.0


class RateCondition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The value changes faster than ``per_s`` (units of the point a second, positive): ``above`` rising, ``below``
    falling.

    The rate at a sample is its difference to the newest sample that is at least ``window_s`` older (to within a
    sixteenth of the window), divided by the time between them; until there is such a sample the rate is not known and
    changes nothing. Deadband (in units a second) and delays work on the rate as they do on a threshold's value.
    """

    direction: Direction
    per_s: float
    window_s: float
    deadband: float = 0.0
    delay_s: float = 0.0
    off_delay_s: float = 0.0


class AbsenceCondition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """No usable sample for ``timeout_s``. Raised at the time of the last sample plus the timeout; returns with the
    next sample. A gap found later in the source times is raised and returned too."""

    timeout_s: float


Condition = ThresholdCondition | RateCondition | AbsenceCondition

_CONDITIONS: dict[Kind, type[Condition]] = {
    Kind.THRESHOLD: ThresholdCondition,
    Kind.RATE: RateCondition,
    Kind.ABSENCE: AbsenceCondition,
}


class RuleBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user writes: the request of POST and PUT /v1/rules."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    kind: Kind
    # Path of an asset or a glob: * is any characters but "/", ** any characters, ? one character but "/".
    asset: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    # Name of a point or a glob: * is any characters, ? one character.
    point: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    condition: dict[str, Any]
    priority: Priority = Priority.MEDIUM
    # Template with {asset} {point} {value} {limit} {unit} {rule}; empty for a standard text.
    message: Annotated[str, msgspec.Meta(max_length=500)] = ""
    enabled: bool = True


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as it runs."""

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

    @property
    def fingerprint(self) -> int:
        """63 bits that change when what the rule computes changes; state is kept over edits that leave it the same."""
        text = f"{self.kind}\0".encode() + msgspec.json.encode(self.condition, order="deterministic")
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1

    @property
    def limit(self) -> float | None:
        """What an alarm shows as its limit: the threshold, the rate, or the time-out in seconds."""
        condition = self.condition
        if isinstance(condition, ThresholdCondition):
            return condition.limit
        return condition.per_s if isinstance(condition, RateCondition) else condition.timeout_s


def nanoseconds(seconds: float) -> int:
    """Return whole nanoseconds."""
    return round(seconds * SECOND)


def parse_condition(kind: Kind, document: dict[str, Any]) -> Condition:
    """Return the condition in a document.

    Raises:
        Problem: 400; the detail names the member and what is wrong with it.
    """
    try:
        condition = msgspec.convert(document, type=_CONDITIONS[kind])
    except msgspec.ValidationError as error:
        raise invalid(f"condition of a {kind} rule: {error}") from None
    for name in condition.__struct_fields__:
        value = getattr(condition, name)
        if not isinstance(value, float):
            continue
        if not math.isfinite(value):
            raise invalid(f"condition.{name} must be a finite number")
        if name == "deadband" and value < 0:
            raise invalid("condition.deadband must not be negative")
        if name in ("delay_s", "off_delay_s") and not 0 <= value <= MAX_SECONDS:
            raise invalid(f"condition.{name} must be 0 to {MAX_SECONDS:g} seconds")
        if name in ("window_s", "timeout_s") and not 0.001 <= value <= MAX_SECONDS:
            raise invalid(f"condition.{name} must be 0.001 to {MAX_SECONDS:g} seconds")
        if name == "per_s" and value <= 0:
            raise invalid("condition.per_s must be positive; the direction says rising (above) or falling (below)")
    return condition


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
    return parse_condition(body.kind, body.condition)


def unknown_rule(rule: int) -> Problem:
    """Return the problem for a rule that is not there."""
    return Problem(404, "not-found", "Not found", f"rule {rule}")
