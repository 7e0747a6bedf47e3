"""This node as a target: takes orders in, asks its people, calls drivers, and says what came of it.

The rules are in ``execution``. Here its outcomes are stored first, in the turn, and done after the commit.
"""

from collections.abc import Callable

from gongfu.kernel.errors import conflict, not_found
from gongfu.tree.host.section import Turn
from gongfu.tree.orders import execution, order_records, target_records
from gongfu.tree.orders.admission import Believed
from gongfu.tree.orders.combined import Registers
from gongfu.tree.orders.context import Context
from gongfu.tree.orders.driving import Driving
from gongfu.tree.orders.effects import Audit, CallDriver, Outcome, Send, TargetRecord, Wake
from gongfu.tree.orders.order_records import OrderRow
from gongfu.tree.orders.plugins import DriverCall, DriverResult
from gongfu.tree.orders.register_book import RegisterBook
from gongfu.tree.orders.types import Execution, OrderDocument, Revocation, State, driver_key, rollback_key

_UNFINISHED = (State.DELIVERED, State.ACCEPTED, State.EXECUTING, State.ROLLING_BACK)


class CarryingOut:
    """What this node does with the orders that mean it.

    Args:
        context: of the node.
        book: where its registers are written.
    """

    def __init__(self, context: Context, book: RegisterBook) -> None:
        self._context = context
        self._book = book
        self._driving = Driving(context, self._finishing)
        self._wakes: dict[str, Callable[[], None]] = {}

    async def start(self) -> None:
        """Go on with what a crash interrupted, and wait for what is to come."""
        for order_id in await self._context.host.read(lambda c: target_records.own_in(c, _UNFINISHED)):
            await self._context.host.turn(lambda turn, order_id=order_id: self._recover(turn, order_id))

    async def stop(self) -> None:
        """End all calls."""
        for cancel in self._wakes.values():
            cancel()
        self._wakes.clear()
        await self._driving.stop()

    def received(self, turn: Turn, order: OrderRow, believed: Believed[OrderDocument]) -> None:
        """An order has come that was issued to this node."""
        record = self._record(turn, order.id, believed.document)
        standing = self._context.standing(turn.connection)
        outcome = execution.receive(record, believed, standing, turn.now)
        if outcome.refused is not None:
            turn.audit("order.disbelieve", f"order/{order.id}", str(outcome.refused))
        self._commit(turn, order.id, record, outcome)

    def revoked(self, turn: Turn, believed: Believed[Revocation]) -> None:
        """A revocation has come, of an order that this node knows of or may yet come to know."""
        order_id = believed.document.order
        record = self._record(turn, order_id)
        outcome = execution.revoke(record, believed, self._context.standing(turn.connection), turn.now)
        self._commit(turn, order_id, record, outcome)

    def accept(self, turn: Turn, order_id: str, person: str) -> None:
        """A person says yes.

        Raises:
            Problem: 404, or 409 when the order does not wait for an answer.
        """
        self._answer(turn, order_id, lambda record: execution.accept(record, person, turn.now))
        turn.then(lambda: self._context.host.nudge("orders", f"order/{order_id}"))

    def refuse(self, turn: Turn, order_id: str, person: str, why: str) -> None:
        """A person says no.

        Raises:
            Problem: 404, or 409 when the order does not wait for an answer.
        """
        self._answer(turn, order_id, lambda record: execution.refuse(record, person, why, turn.now))

    def remember(self, turn: Turn, reported: Execution) -> None:
        """The parent tells what this node said before it was restored from a backup."""
        record = self._record(turn, reported.order)
        back = record is not None and record.execution is not None and record.execution.state is State.ROLLING_BACK
        key = (rollback_key if back else driver_key)(reported.order, reported.target)
        standing = self._context.standing(turn.connection)
        outcome = execution.remember(record, reported, standing, turn.now, self._driving.calling(key))
        self._commit(turn, reported.order, record, outcome)

    def _answer(self, turn: Turn, order_id: str, say: Callable[[TargetRecord], Outcome]) -> None:
        record = self._record(turn, order_id)
        if record is None or record.document is None:
            raise not_found(f"order {order_id} was not issued to this node")
        outcome = say(record)
        if outcome.refused is not None:
            state = "" if record.execution is None else record.execution.state
            raise conflict(f"the order does not wait for an answer here: it is {state}")
        self._commit(turn, order_id, record, outcome)

    def _record(self, turn: Turn, order_id: str, document: OrderDocument | None = None) -> TargetRecord | None:
        if document is None:
            document = self._context.document(order_records.by_id(turn.connection, order_id))
        return target_records.own(turn.connection, order_id, self._context.node, document)

    def _commit(self, turn: Turn, order_id: str, before: TargetRecord | None, outcome: Outcome) -> None:
        """Store what has come of an event; do the rest after the commit."""
        connection, context, record = turn.connection, self._context, outcome.record
        if record is not None and record != before:
            target_records.keep_own(connection, record, turn.now)
        sent: Execution | None = None
        events: list[Audit] = []
        for effect in outcome.effects:
            if isinstance(effect, Send):
                sent = effect.execution
            elif isinstance(effect, Audit):
                events.append(effect)
            elif isinstance(effect, CallDriver):
                self._then_call(turn, order_id, record, effect)
            elif isinstance(effect, Wake):
                self._then_wake(turn, order_id, effect.at)
        context.note(turn, *events)
        if sent is None:
            return
        order = order_records.by_id(connection, order_id)
        if order is None:
            order = order_records.add(connection, id=order_id, state=order_records.UNKNOWN, created_at=turn.now)
        self._book.merge(turn, order, {context.node: Registers(sent)}, context.node)
        if not context.directory.children():
            # Nothing else is to be gathered at a leaf.
            self._book.flush(turn)

    def _then_call(self, turn: Turn, order_id: str, record: TargetRecord | None, effect: CallDriver) -> None:
        document = None if record is None else record.document
        if document is None:
            return
        call = DriverCall(
            key=effect.key,
            order=order_id,
            target=self._context.node,
            kind=document.kind,
            payload=effect.payload,
            attempt=effect.attempt,
            rollback=effect.rollback,
            deadline=document.deadline,
            issued_at=document.issued_at,
            issuer=document.issuer,
        )
        turn.then(lambda: self._driving.call(effect.driver, call))

    def _then_wake(self, turn: Turn, order_id: str, when: int) -> None:
        context = self._context

        def rung() -> None:
            self._wakes.pop(order_id, None)
            context.host.submit(lambda turn: self._woken(turn, order_id))

        def wait() -> None:
            earlier = self._wakes.pop(order_id, None)
            if earlier is not None:
                earlier()
            self._wakes[order_id] = context.host.at(when, rung)

        if when <= turn.now:
            turn.then(lambda: context.host.submit(lambda turn: self._woken(turn, order_id)))
        else:
            turn.then(wait)

    def _woken(self, turn: Turn, order_id: str) -> None:
        record = self._record(turn, order_id)
        if record is None or record.execution is None:
            return
        if record.execution.state is State.ACCEPTED:
            standing = self._context.standing(turn.connection)
            self._commit(turn, order_id, record, execution.begin(record, standing, turn.now))
        elif record.execution.state is State.DELIVERED:
            outcome = execution.tick(record, turn.now)
            self._commit(turn, order_id, record, outcome)
            if not outcome.effects and record.document is not None:
                # The clock was set back meanwhile.
                self._then_wake(turn, order_id, record.document.deadline + 1)

    def _recover(self, turn: Turn, order_id: str) -> None:
        record = self._record(turn, order_id)
        if record is None:
            return
        kind = None if record.document is None else self._context.kinds.get(record.document.kind)
        self._commit(turn, order_id, record, execution.recover(record, kind, turn.now))

    def _finishing(self, order_id: str, attempt: int, result: DriverResult) -> Callable[[Turn], None]:
        def finish(turn: Turn) -> None:
            record = self._record(turn, order_id)
            if record is None:
                return
            kind = None if record.document is None else self._context.kinds.get(record.document.kind)
            outcome = execution.finished(record, attempt, result.succeeded, result.detail, kind, turn.now)
            self._commit(turn, order_id, record, outcome)

        return finish
