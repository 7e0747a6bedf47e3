"""What executes an order at a target, and what looks at its effect: the two plug-ins of a kind.

A kind names its driver and its probe; the node that composes the section gives both by name. The engine calls them on
the event loop, with a time-out, and never twice at once with the same key.
"""

from typing import Protocol

import msgspec

from gongfu.tree.orders.verification import Sight


class DriverCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a driver.

    Attributes:
        key: idempotency key of the effect at this target: ``<order>/<target>``, ``…/rollback`` for taking it back.
        order: id of the order.
        target: the node itself.
        kind: name of the order's kind.
        payload: JSON, valid by the kind's schema.
        attempt: 1, 2, …: calls for this order so far, taking back included. A kind that says it is idempotent is
            called again with the same key after a crash.
        rollback: whether the effect is to be taken back.
        deadline: by when the order had to be accepted, UTC ns in the parent's time; for information.
        issued_at: when the order was issued, UTC ns in the parent's time; the same at every call.
        issuer: id of the node that issued it.
    """

    key: str
    order: str
    target: str
    kind: str
    payload: msgspec.Raw
    attempt: int
    rollback: bool = False
    deadline: int = 0
    issued_at: int = 0
    issuer: str = ""


class DriverResult(msgspec.Struct, frozen=True):
    """What a driver says it has done. ``detail`` is for people, cut at 1,000 characters; no secrets."""

    succeeded: bool
    detail: str = ""


class Driver(Protocol):
    """Executes orders of the kinds that name it."""

    async def run(self, call: DriverCall) -> DriverResult:
        """Bring the effect about, or take it back.

        An exception counts as a failure with its text as detail; so does a time-out, which cancels the call.
        """
        ...


class ProbeCall(msgspec.Struct, frozen=True, kw_only=True):
    """A question to a probe.

    Attributes:
        order: id of the order.
        target: node whose effect is looked at; this node, a child or any node below.
        kind: name of the order's kind.
        payload: JSON of the order.
        expected: what the target's claim lets one expect; a probe must not be guided by it, it may choose by it how to
            look.
        claimed_at: when the target made its claim, by this node's own clock (UTC ns); 0 when nobody knows.
    """

    order: str
    target: str
    kind: str
    payload: msgspec.Raw
    expected: Sight
    claimed_at: int = 0


class Seen(msgspec.Struct, frozen=True):
    """What one look saw, and words for people (cut at 4,000 characters; no secrets)."""

    sight: Sight
    evidence: str = ""


class Probe(Protocol):
    """Looks at effects of the kinds that name it."""

    async def look(self, call: ProbeCall) -> Seen:
        """Look once. An exception or a time-out counts as ``unknown`` with its text as evidence."""
        ...
