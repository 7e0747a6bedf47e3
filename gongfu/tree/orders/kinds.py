"""What a kind of order declares: its payload, who may issue it and how widely, its clocks, its driver and its probe.

A kind is data, so that an app can bring it and every node can be shown it. Durations are ns.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gongfu.tree.orders.payload_schema import PayloadType, SchemaError, compiled
from gongfu.tree.orders.types import MAX_PAYLOAD, KindName

Duration = Annotated[int, Meta(ge=0, le=10 * 366 * 86_400 * 1_000_000_000)]
Name = Annotated[str, Meta(min_length=1, max_length=100)]


class Step(StrEnum):
    """What a target has reached, in order; each has a clock."""

    DELIVER = "deliver"
    ACCEPT = "accept"
    EXECUTE = "execute"
    VERIFY = "verify"


class Place(StrEnum):
    """Where a probe runs. ``issuer`` is the node that issued the order."""

    TARGET = "target"
    PARENT = "parent"
    ISSUER = "issuer"


class Clock(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A step must be done ``within`` this long; later it is overdue, and ``escalate_after`` more it is escalated.

    Deliver and accept count from when the order was issued, execute and verify from when it may start. ``within`` 0 is
    no clock. ``escalate_to`` is a tier, a role or a person: whoever is told; "" is nobody.
    """

    within: Duration = 0
    escalate_after: Duration = 0
    escalate_to: Annotated[str, Meta(max_length=100)] = ""


class Guard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The blast-radius guard of one issuer.

    Attributes:
        most_targets: targets of one order.
        most_share: of the nodes of the issuer's subtree, 0 to 1.
        share_from: orders of fewer targets than this are not measured by their share: one node of one is not a blast.
        most_per_hour: targets of all orders of the kind within an hour.
    """

    most_targets: Annotated[int, Meta(ge=1)] = 1000
    most_share: Annotated[float, Meta(gt=0, le=1)] = 1.0
    share_from: Annotated[int, Meta(ge=1)] = 10
    most_per_hour: Annotated[int, Meta(ge=1)] = 10_000


class Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How an effect is looked at: first ``delay`` after the claim, then every ``every`` until ``within`` after that."""

    name: Name
    where: Place = Place.TARGET
    delay: Duration = 0
    every: Annotated[int, Meta(ge=1_000_000)] = 10_000_000_000
    within: Duration = 60_000_000_000


class OrderKind(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The declaration of a kind.

    Attributes:
        name: in kebab case; stable.
        title: for people, by language (``zh``, ``en``).
        schema: JSON Schema of the payload (``payload_schema`` says which part of it).
        may_issue: tiers of nodes that may issue it; ``*`` is any tier.
        approvals: persons who must approve, none of them an author; the two-person rule is 2.
        guard: blast-radius guard.
        clocks: SLA of the steps.
        driver: what executes it.
        probe: what looks at the effect; without one every effect is unverifiable.
        idempotent: whether the driver may be called again with the same key, for the effect and for taking it back.
        can_roll_back: whether the driver can take an effect back.
        accept: who says yes at a target.
        start_within: how long after it may start an accepted order still starts; 0 is for ever.
        allowed: whether nodes obey it unless they say otherwise.
    """

    name: KindName
    title: dict[str, str] = {}
    schema: dict[str, Any]
    may_issue: Annotated[tuple[Name, ...], Meta(min_length=1)]
    approvals: Annotated[int, Meta(ge=0, le=5)] = 0
    guard: Guard = Guard()
    clocks: dict[Step, Clock] = {}
    driver: Name
    probe: Probe | None = None
    idempotent: bool = False
    can_roll_back: bool = False
    accept: Literal["automatic", "operator"] = "automatic"
    start_within: Duration = 0
    allowed: bool = False


class KindError(ValueError):
    """A declaration that contradicts itself, or whose schema is not of the subset."""


_ENCODER = msgspec.json.Encoder()
ANY_TIER = "*"


def checked(kind: OrderKind) -> OrderKind:
    """Return the kind after checking all that it declares.

    Raises:
        KindError: says what is wrong.
    """
    try:
        kind = msgspec.convert(msgspec.to_builtins(kind), OrderKind)
        payload_type(kind)
    except (msgspec.ValidationError, SchemaError) as error:
        raise KindError(f"kind {kind.name}: {error}") from None
    last = 0
    for step in Step:
        clock = kind.clocks.get(step)
        if clock is None or not clock.within:
            continue
        if clock.within < last:
            raise KindError(f"kind {kind.name}: {step} must not be due before the step that comes before it")
        last = clock.within
    return kind


def may_issue(kind: OrderKind, tier: str) -> bool:
    """Return whether nodes of a tier may issue orders of the kind."""
    return tier in kind.may_issue or ANY_TIER in kind.may_issue


def payload_type(kind: OrderKind) -> PayloadType:
    """Return the compiled schema of the payload, cached.

    Raises:
        SchemaError: the schema is not of the subset.
    """
    return compiled(_ENCODER.encode(kind.schema))


def payload_error(kind: OrderKind, payload: bytes) -> str:
    """Return what is wrong with a payload, "" when it is right."""
    if len(payload) > MAX_PAYLOAD:
        return f"{len(payload)} bytes; at most {MAX_PAYLOAD}"
    return payload_type(kind).error(payload)


def allow_list(
    kinds: Mapping[str, OrderKind], allowed: Iterable[str] = (), denied: Iterable[str] = ()
) -> frozenset[str]:
    """Return the kinds a node obeys: those allowed by default and by the node, without those it denies."""
    defaults = {name for name, kind in kinds.items() if kind.allowed}
    return frozenset((defaults | set(allowed)) - set(denied))
