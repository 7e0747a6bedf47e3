"""Whether the registers that change here are claims that this node's probe has to look at."""

from collections.abc import Mapping

import msgspec

from gongfu.tree.host.section import Turn
from gongfu.tree.orders import target_records
from gongfu.tree.orders.combined import Registers, with_verdict
from gongfu.tree.orders.context import Context
from gongfu.tree.orders.order_records import OrderRow
from gongfu.tree.orders.target_records import TargetRow
from gongfu.tree.orders.types import Verdict
from gongfu.tree.orders.verification import Watch, claimed, probes_here


class Judging:
    """The watches of one order in one turn.

    Args:
        context: of the node.
        turn: now.
        order: the order.
        rows: its targets that may change.
    """

    def __init__(self, context: Context, turn: Turn, order: OrderRow, rows: Mapping[str, TargetRow]) -> None:
        self._context = context
        self._turn = turn
        self._order = order
        self._kind = context.probed_kind(order.kind)
        self._document = context.document(order)
        self._watched = frozenset(node for node, row in rows.items() if self._here(node, row.child))
        self._watches = target_records.watches(turn.connection, order.id, sorted(self._watched))
        self._changed: dict[str, Watch] = {}

    def judge(self, node: str, before: Registers, after: Registers) -> Registers:
        """Return what is known when the probe's side has seen the change: a verdict may be due at once."""
        execution = after.execution
        if node not in self._watched or execution is None or execution == before.execution or self._kind is None:
            return after
        watch = self._after(self._watches.get(node), node, after.verdict)
        looked = claimed(watch, execution, self._kind, self._context.node, self._turn.now)
        if looked.watch != watch and looked.watch.claim:
            self._changed[node] = looked.watch
        return after if looked.verdict is None else with_verdict(after, looked.verdict)

    def _after(self, watch: Watch | None, node: str, verdict: Verdict | None) -> Watch | None:
        """Return the watch as it goes on from a verdict that is known already: this node may have been restored."""
        if verdict is None or verdict.revision <= (0 if watch is None else watch.revision):
            return watch
        watch = watch or Watch(self._order.id, node)
        still_open = watch.open and verdict.claim < watch.claim
        claim = max(watch.claim, verdict.claim)
        return msgspec.structs.replace(watch, revision=verdict.revision, claim=claim, open=still_open)

    def keep(self) -> int | None:
        """Store the watches; return when the first of them is to be looked at."""
        changed = list(self._changed.values())
        target_records.keep_watches(self._turn.connection, changed)
        return min((watch.next_at for watch in changed if watch.open), default=None)

    def _here(self, node: str, child: str) -> bool:
        document, own = self._document, self._context.node
        if document is None or self._kind is None:
            return False
        parent = ""
        if node != own:
            # Who the parent of a deeper target is does not matter: it is not this node.
            parent = own if child == node else child
        elif not self._order.own:
            # An issuer above does not hear of a target that gives orders to itself; that one looks for itself.
            parent = self._context.directory.parent or ""
        return probes_here(self._kind, document, own, node, parent)
