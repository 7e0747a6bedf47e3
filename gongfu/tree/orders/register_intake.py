"""Registers that come from a child, and from the parent to a restored node: who may say what, and of whom."""

from collections.abc import Iterable
from typing import Any

from gongfu.tree.host.section import Turn
from gongfu.tree.orders import messages, order_records, target_records
from gongfu.tree.orders.carrying_out import CarryingOut
from gongfu.tree.orders.combined import NOTHING, Registers, merge
from gongfu.tree.orders.context import Context
from gongfu.tree.orders.effects import Audit
from gongfu.tree.orders.kinds import OrderKind, Place
from gongfu.tree.orders.order_records import UNKNOWN, OrderRow
from gongfu.tree.orders.recovering import RECOVERED, Recovering
from gongfu.tree.orders.register_book import RegisterBook
from gongfu.tree.orders.types import Finding, Reason, State
from gongfu.tree.orders.verification import Watch


class RegisterIntake:
    """Takes registers in.

    Args:
        context: of the node.
        book: where they are merged.
        carrying_out: this node as a target, for what it is reminded of.
        recovering: what asks for orders that are not known.
    """

    def __init__(self, context: Context, book: RegisterBook, carrying_out: CarryingOut, recovering: Recovering) -> None:
        self._context = context
        self._book = book
        self._carrying_out = carrying_out
        self._recovering = recovering

    def unpark(self, turn: Turn) -> None:
        """Look again at what waits for the directory."""
        self.take(turn, target_records.take_parked(turn.connection))

    def remembered(self, turn: Turn, peer: str, body: bytes) -> None:
        """The parent tells what this node and those below it said, for one of us was restored from a backup."""
        if self._context.directory.parent != peer:
            self._context.disbelieve(turn, peer, Audit("", "disbelieved", turn.now, Reason.NOT_OWN, peer, "remember"))
            return
        own = self._context.node
        by_order: dict[str, dict[str, Registers]] = {}
        for one in messages.decode_registers(body):
            order_id, target = _of(one)
            by_order.setdefault(order_id, {})[target] = one
        rows = order_records.by_ids(turn.connection, by_order)
        for order_id, found in by_order.items():
            order = rows.get(order_id) or order_records.add(
                turn.connection, id=order_id, state=UNKNOWN, created_at=turn.now
            )
            self._remember_verdicts(turn, order_id, found)
            self._book.merge(turn, order, found)
            mine = found.get(own)
            if mine is not None and mine.execution is not None and mine.execution.signer == own:
                self._carrying_out.remember(turn, mine.execution)

    def _remember_verdicts(self, turn: Turn, order_id: str, found: dict[str, Registers]) -> None:
        """Go on from the verdicts that this node has written: the next one must be larger."""
        own = self._context.node
        watches = target_records.watches(turn.connection, order_id, found)
        kept: list[Watch] = []
        for target, registers in found.items():
            verdict = registers.verdict
            if verdict is None or verdict.signer != own:
                continue
            watch = watches.get(target) or Watch(order_id, target)
            if verdict.revision > watch.revision:
                # The claim that it was about has its verdict; another one, or none yet, is looked at as ever.
                closed = verdict.claim >= watch.claim
                kept.append(
                    Watch(
                        order_id,
                        target,
                        max(watch.claim, verdict.claim),
                        watch.expected,
                        watch.open and not closed,
                        watch.next_at,
                        watch.until,
                        verdict.revision,
                        watch.mismatch,
                    )
                )
        target_records.keep_watches(turn.connection, kept)

    def take(self, turn: Turn, incoming: Iterable[tuple[str, int, Registers]]) -> None:
        """Take registers that came from children: (child, since when they are here, registers)."""
        by_order: dict[str, list[tuple[str, int, str, Registers]]] = {}
        for peer, since, registers in incoming:
            order_id, target = _of(registers)
            by_order.setdefault(order_id, []).append((peer, since, target, registers))
        orders = order_records.by_ids(turn.connection, by_order)
        for order_id, found in by_order.items():
            self._take_of(turn, order_id, orders.get(order_id), found)

    def _take_of(
        self, turn: Turn, order_id: str, order: OrderRow | None, found: list[tuple[str, int, str, Registers]]
    ) -> None:
        context, connection = self._context, turn.connection
        rows = {} if order is None else target_records.load(connection, order.key, {one[2] for one in found})
        kind = None if order is None else context.kinds.get(order.kind)
        taken: dict[str, dict[str, Registers]] = {}
        lost: set[str] = set()
        for peer, since, target, registers in found:
            towards, row = context.directory.towards(target), rows.get(target)
            if towards != peer and not (towards is None and row is not None and row.child == peer):
                self._park(turn, peer, since, registers)
                continue
            if self._lost(turn, order, row):
                lost.add(peer)
            wrong = self._wrong(order, kind, row, registers)
            if wrong and peer in lost:
                continue  # It comes again, after the order.
            if wrong:
                said = f"of {target}: {wrong}"
                context.disbelieve(turn, peer, Audit(order_id, "disbelieved", turn.now, Reason.NOT_OWN, peer, said))
                continue
            there = taken.setdefault(peer, {})
            there[target] = merge(there.get(target, NOTHING), registers)
        for peer in sorted(lost):
            self._recovering.ask(turn, peer, order_id)
        if not taken:
            return
        if order is None:
            if order_records.unknown_count(connection) >= context.limits.unknown_orders:
                said = "too many orders that are not known here"
                peer = next(iter(taken))
                context.disbelieve(turn, peer, Audit(order_id, "disbelieved", turn.now, Reason.NOT_OWN, peer, said))
                return
            order = order_records.add(connection, id=order_id, state=UNKNOWN, created_at=turn.now)
        for peer, registers_of in taken.items():
            here = {target: rows[target] for target in registers_of if target in rows}
            self._book.merge(turn, order, registers_of, peer, here)

    def _lost(self, turn: Turn, order: OrderRow | None, row: Any) -> bool:
        """Return whether a child may have an order, or its targets, that this node has lost."""
        if order is None:
            return True
        if order.body is None:
            return row is None
        # Of one that was taken back, further children have targets.
        return row is None and order.own and order_records.happened(turn.connection, order.id, RECOVERED)

    def _park(self, turn: Turn, peer: str, since: int, registers: Registers) -> None:
        """Keep what a child says of a node that is not below it: news of its move may not be in the directory yet."""
        limits, (order_id, target) = self._context.limits, _of(registers)
        waited = turn.now - since
        if 0 <= waited < limits.parked_for and target_records.park(
            turn.connection, peer, registers, since, limits.parked
        ):
            turn.then(lambda: self._look_later(since + limits.parked_for))
            return
        said = f"{target} is not below it"
        self._context.disbelieve(turn, peer, Audit(order_id, "disbelieved", turn.now, Reason.NOT_OWN, peer, said))

    def _look_later(self, when: int) -> None:
        self._context.host.at(when, lambda: self._context.host.submit(self.unpark))

    def _wrong(self, order: OrderRow | None, kind: OrderKind | None, row: Any, registers: Registers) -> str:
        """Return why a register of a node below a child is not believed, "" when it is."""
        _, target = _of(registers)
        if order is not None and order.own and row is None:
            return "it is not a target"
        if order is not None and not order_records.issued_or_unknown(order):
            return "the order is not issued"
        execution, verdict = registers.execution, registers.verdict
        if (
            execution is not None
            and execution.signer != execution.target
            and execution.state is not State.UNDELIVERABLE
        ):
            return f"{execution.state}, signed by {execution.signer}"
        # Of a target that is gone its last parent says that nothing can be seen, wherever the probe is.
        if verdict is None or kind is None or (verdict.finding is Finding.UNVERIFIABLE and verdict.signer != target):
            return ""
        where = Place.TARGET if kind.probe is None else kind.probe.where
        if where is Place.ISSUER:
            right = order is not None and verdict.signer == order.issuer
        elif where is Place.PARENT:
            right = verdict.signer != target or (order is not None and target == order.issuer)
        else:
            right = verdict.signer == target
        return "" if right else f"verdict, signed by {verdict.signer}, where the probe is not"


def _of(registers: Registers) -> tuple[str, str]:
    """Return the order and the target of registers that ``messages`` has decoded."""
    register = registers.execution or registers.verdict
    if register is None:
        raise ValueError("empty registers")
    return register.order, register.target
