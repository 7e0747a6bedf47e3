"""Targets that move, come or go while their orders are in force: the directory has changed."""

from collections.abc import Iterable
from typing import Any

from gongfu.tree.host.section import Turn
from gongfu.tree.orders import order_records, target_records
from gongfu.tree.orders.combined import TERMINAL, Shown
from gongfu.tree.orders.context import Context, Gathering
from gongfu.tree.orders.effects import Audit
from gongfu.tree.orders.register_book import RegisterBook
from gongfu.tree.orders.register_intake import RegisterIntake
from gongfu.tree.orders.relaying import Relaying
from gongfu.tree.orders.types import Reason

_GATHER_SECONDS = 0.05


class Rerouting:
    """Follows the directory.

    Args:
        context: of the node.
        book: registers of the targets.
        relaying: what hands orders on.
        intake: what registers wait in until the directory knows of their targets.
    """

    def __init__(self, context: Context, book: RegisterBook, relaying: Relaying, intake: RegisterIntake) -> None:
        self._context = context
        self._book = book
        self._relaying = relaying
        self._intake = intake
        self._places: dict[str, str] = {}
        self._gathering = Gathering(_GATHER_SECONDS, self._follow)
        self._end_watch = lambda: None

    async def start(self) -> None:
        """Make up for what changed while nobody watched, then watch."""
        self._places = self._now()
        self._end_watch = self._context.directory.watch(self._gathering.soon)
        await self._context.host.turn(lambda turn: self._reroute(turn, None))

    def stop(self) -> None:
        """Watch no longer."""
        self._end_watch()
        self._gathering.stop()

    def _now(self) -> dict[str, str]:
        directory = self._context.directory
        return {member.node: directory.towards(member.node) or "" for member in directory.descendants()}

    def _follow(self) -> None:
        before, after = self._places, self._now()
        self._places = after
        changed = [node for node in before.keys() | after.keys() if before.get(node) != after.get(node)]
        self._context.host.submit(lambda turn: self._reroute(turn, changed))

    def _reroute(self, turn: Turn, nodes: Iterable[str] | None) -> None:
        """Let orders follow some nodes, or all targets of open orders, to where they are now."""
        self._intake.unpark(turn)
        by_order: dict[int, list[Any]] = {}
        for row in target_records.of_nodes(turn.connection, nodes):
            if row.node != self._context.node and row.child != self._context.child_of(row.node):
                by_order.setdefault(row.order_key, []).append(row)
        for order in order_records.by_keys(turn.connection, by_order):
            self._follow_order(turn, order, by_order[order.key])

    def _follow_order(self, turn: Turn, order: order_records.OrderRow, rows: list[Any]) -> None:
        context = self._context
        moved = [row for row in rows if context.child_of(row.node)]
        # A node that is gone from below a child which is still there, is that child's to give up.
        lost = [row.node for row in rows if not context.child_of(row.node) and not context.child_of(row.child)]
        self._book.reroute(turn, order.key, moved)
        self._relaying.give_up(turn, order, lost, Reason.TARGET_RETIRED)
        by_child: dict[str, list[str]] = {}
        for row in moved:
            state = Shown(row.shown)
            # One that was given up is tried again, as long as something can come of it.
            late = state is Shown.UNDELIVERABLE and row.deadline >= turn.now
            if order.body is not None and (late or state not in TERMINAL):
                by_child.setdefault(context.child_of(row.node), []).append(row.node)
        self._relaying.hand(turn, order, by_child)
        for child, handed in by_child.items():
            said = f"{', '.join(handed[:20])}: {len(handed)} by way of {child}"
            context.note(turn, Audit(order.id, "rerouted", turn.now, "", "", said))
