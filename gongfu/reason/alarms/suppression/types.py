"""Suppression: what keeps alarms from the operator, on record and for a reason (ISA-18.2-2016 §5.4 G, H, I)."""

from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

import msgspec

from gongfu.kernel.errors import invalid
from gongfu.reason.alarms.states import State
from gongfu.reason.rules.patterns import is_glob

# A shelf is for a shift or a day (ISA-18.2-2016 §11.7); what needs longer is out of service or wrong.
MAX_SHELF_S = 7 * 86_400
MAX_DESIGNS = 500

Operator = Literal["==", "!=", "<", "<=", ">", ">="]


class Scope(StrEnum):
    """Which assets a cause at asset A speaks for: A itself, A and below, those beside it (below A's parent), or all."""

    SAME = "same"
    BELOW = "below"
    BESIDE = "beside"
    ANY = "any"


_Glob = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
_Point = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class Pattern(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Alarms by rule (0: of any rule and source), asset and point (paths or globs, as those of rules)."""

    rule_id: Annotated[int, msgspec.Meta(ge=0)] = 0
    asset: _Glob = "**"
    point: _Point = "*"


class ShelveBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Request of ``POST /v1/alarms:shelve``: which alarms, why, and for how long (at most 7 days)."""

    asset: _Glob
    reason: _Text
    seconds: Annotated[int, msgspec.Meta(ge=1, le=MAX_SHELF_S)]
    rule_id: Annotated[int, msgspec.Meta(ge=0)] = 0
    point: _Point = "*"


class ServiceBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Request of ``POST /v1/alarms:out-of-service``: which alarms, why, and the work order that says so."""

    asset: _Glob
    reason: _Text
    work_order: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    rule_id: Annotated[int, msgspec.Meta(ge=0)] = 0
    point: _Point = "*"


class PointCause(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="point", kw_only=True):
    """A point whose latest value compares as said, such as ``running == 0``."""

    asset: _Glob
    point: _Point
    operator: Operator
    value: float


class AlarmCause(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="alarm", kw_only=True):
    """An alarm that stands: the cause whose consequences need no alarm."""

    rule_id: Annotated[int, msgspec.Meta(ge=1)]
    asset: _Glob = "**"
    point: _Point = "*"


class FirstOut(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="first_out", kw_only=True
):
    """Whichever of the suppressed alarms came first: it is told, the others wait until it has returned."""


class Design(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Suppression by design: while the cause holds at an asset, alarms that match and are in scope are suppressed.

    ``hold_s`` keeps them suppressed a while after a point's cause has ended, such as a pump that is starting.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    cause: PointCause | AlarmCause | FirstOut
    suppresses: Annotated[list[Pattern], msgspec.Meta(min_length=1, max_length=50)]
    scope: Scope = Scope.SAME
    hold_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 0.0
    reason: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    enabled: bool = True


class Suppression(NamedTuple):
    """A suppression in force. ``kind`` is G, H or I; of H, ``asset`` is where the cause holds."""

    id: int
    tenant: int
    kind: State
    rule_id: int
    asset: str
    point: str
    until: int | None
    design_id: int


class Place(NamedTuple):
    """What a suppression looks at of an alarm."""

    tenant: int
    rule_id: int
    asset: str
    point: str


def check_design(design: Design) -> None:
    """Check what the types cannot.

    Raises:
        Problem: 400 with what is wrong.
    """
    cause = design.cause
    if isinstance(cause, PointCause):
        if is_glob(cause.point):
            raise invalid("cause.point must be the name of a point, not a pattern")
        if design.scope is Scope.ANY and is_glob(cause.asset):
            raise invalid("with scope any, cause.asset must be one asset, not a pattern")
    elif design.hold_s:
        raise invalid("hold_s is for causes that are points")
