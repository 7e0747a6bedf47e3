"""The SLA clocks of the orders issued here: who is late is noted, and told where the kind says so."""

from gongfu.tree.host.section import Turn
from gongfu.tree.orders import order_records
from gongfu.tree.orders.combined import Shown
from gongfu.tree.orders.context import Alarm, Context
from gongfu.tree.orders.effects import Audit
from gongfu.tree.orders.kinds import OrderKind, Step
from gongfu.tree.orders.order_records import OrderRow
from gongfu.tree.orders.timers import late, timers
from gongfu.tree.orders.types import OrderDocument


class Clocks:
    """Timers are rows; each fires once, after however many restarts."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._alarm = Alarm(context, lambda: context.host.submit(self._fire))

    async def start(self) -> None:
        """Go on with what is stored."""
        self._alarm.set(await self._context.host.read(order_records.next_due))

    def stop(self) -> None:
        """Wait no longer."""
        self._alarm.clear()

    def begin(self, turn: Turn, order: OrderRow, document: OrderDocument, kind: OrderKind) -> None:
        """Start the clocks of an order that is issued."""
        pending = timers(document, kind)
        order_records.add_timers(turn.connection, order.key, pending)
        if pending:
            turn.then(lambda: self._alarm.set(pending[0].due))

    def _fire(self, turn: Turn) -> None:
        connection = turn.connection
        due = order_records.due_timers(connection, turn.now)
        order_records.fire(connection, [timer.key for timer in due])
        counts = order_records.counts(connection, {timer.order_key for timer in due})
        for timer in due:
            self._note(turn, timer.id, Step(timer.step), timer.escalation, timer.escalate_to, counts[timer.order_key])
        following = order_records.next_due(connection)
        turn.then(lambda: self._alarm.set(following))

    def _note(
        self, turn: Turn, order_id: str, step: Step, escalation: bool, to: str, counts: list[tuple[str, str, str, int]]
    ) -> None:
        behind = sum(targets for _, _, shown, targets in counts if late(step, Shown(shown)))
        if not behind:
            return
        said = f"{behind} targets late to {step}"
        if escalation:
            said += f", told to {to}"
            turn.audit("order.escalate", f"order/{order_id}", said)
        self._context.note(turn, Audit(order_id, "escalated" if escalation else "overdue", turn.now, step, "", said))
        turn.then(lambda: self._context.host.nudge("orders", f"order/{order_id}"))
