"""Kind ``notice`` (通知): a text that a named person at the target has to confirm.

The effect of a notice is that somebody has read it. The driver does nothing: it is called after a person has accepted.
The probe does not believe that either; it looks into the audit log of the API for an accept of this order by a user who
has an account at this node. A notice that was accepted in no person's name stays unverifiable.
"""

import asyncio

from gongfu.kernel.permissions import NODE_TENANT
from gongfu.kernel.times import format_rfc3339
from gongfu.node.drivers.context import DriverContext
from gongfu.registry import audit_records
from gongfu.store.records.engine import reading
from gongfu.tree.orders.kinds import Clock, Guard, OrderKind, Probe, Step
from gongfu.tree.orders.plugins import DriverCall, DriverResult, ProbeCall, Seen
from gongfu.tree.orders.verification import Sight

_MINUTE = 60 * 1_000_000_000
_HOUR = 60 * _MINUTE

KIND = OrderKind(
    name="notice",
    title={"zh": "通知", "en": "Notice"},
    schema={
        "type": "object",
        "properties": {
            "title": {"type": "string", "minLength": 1, "maxLength": 200},
            "text": {"type": "string", "minLength": 1, "maxLength": 20_000},
        },
        "required": ["title", "text"],
        "additionalProperties": False,
    },
    may_issue=("*",),
    guard=Guard(most_targets=100_000, most_per_hour=1_000_000),
    clocks={
        Step.DELIVER: Clock(within=10 * _MINUTE, escalate_after=_HOUR, escalate_to="operator"),
        Step.ACCEPT: Clock(within=24 * _HOUR, escalate_after=24 * _HOUR, escalate_to="operator"),
    },
    driver="notice",
    probe=Probe(name="notice", delay=0, every=2_000_000_000, within=30_000_000_000),
    idempotent=True,
    accept="operator",
    allowed=True,
)


class NoticeDriver:
    """Says that a person has confirmed; there is nothing else to do."""

    async def run(self, call: DriverCall) -> DriverResult:
        """Return at once."""
        return DriverResult(not call.rollback, "confirmed" if not call.rollback else "a notice cannot be unread")


class NoticeProbe:
    """Looks for the person in the audit log."""

    def __init__(self, context: DriverContext) -> None:
        self._engine = context.engine

    async def look(self, call: ProbeCall) -> Seen:
        """Look for an accept of the order by a user of this node."""
        return await asyncio.to_thread(self._look, call.order)

    def _look(self, order: str) -> Seen:
        with reading(self._engine) as connection:
            row = audit_records.first_by_user(connection, NODE_TENANT, "order.accept", f"order/{order}")
        if row is None:
            return Seen(Sight.UNKNOWN, "the audit log has no accept by a user of this node")
        return Seen(Sight.PRESENT, f"confirmed by {row.user_name} at {format_rfc3339(row.time)}")
