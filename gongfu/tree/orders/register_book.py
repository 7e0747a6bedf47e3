"""The registers of all targets at and below this node: merged, counted, judged where the probe is, and told upward.

Every change of a target goes through ``RegisterBook.change``, which writes the row, moves the counts of the order by
the same step, and gives the row a number. What has a larger number than the last one that was sent is told to the
parent, many registers in a message; while the link is down nothing is sent, and only what is so then goes up later.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gongfu.tree.host.section import Turn
from gongfu.tree.orders import messages, order_records, target_records
from gongfu.tree.orders.combined import NOTHING, TERMINAL, Registers, Shown, merge, shown
from gongfu.tree.orders.context import Alarm, Context, Gathering
from gongfu.tree.orders.judging import Judging
from gongfu.tree.orders.order_records import OrderRow
from gongfu.tree.orders.target_records import TargetRow, registers_bytes, registers_of

_FLUSH = 2000
"""Registers that go up in one turn."""

Step = Callable[[str, Registers], Registers]
"""(target, what is known) → what is known then; the same object for no change."""


class RegisterBook:
    """What is known of targets. Its methods with a turn run on the writer's thread, the rest on the event loop."""

    def __init__(self, context: Context, looks: Alarm) -> None:
        self._context = context
        self._looks = looks
        self._up = False
        self._gathering = Gathering(context.limits.gather_seconds, self._submit)

    def expect(self, turn: Turn, order: OrderRow, nodes: Iterable[str]) -> dict[str, list[str]]:
        """Add targets that are not there yet; return those that are new by the child they are reached through.

        Those that are not below this node are under "".
        """
        return self._add(turn, order, [(node, self._context.child_of(node)) for node in nodes])

    def merge(
        self,
        turn: Turn,
        order: OrderRow,
        incoming: Mapping[str, Registers],
        child: str = "",
        rows: Mapping[str, TargetRow] | None = None,
    ) -> None:
        """Merge registers that have come, by target; a target that is not there yet is added below ``child``.

        ``rows`` are those of the targets as they are now, where the caller has them.
        """
        connection, key = turn.connection, order.key
        known = dict(rows) if rows is not None else target_records.load(connection, key, incoming)
        absent = [(node, child or self._context.child_of(node)) for node in incoming if node not in known]
        if absent:
            self._add(turn, order, absent)
            known.update(target_records.load(connection, key, (node for node, _ in absent)))
        self._change(
            turn,
            order,
            {node: known[node] for node in incoming},
            lambda node, present: merge(present, incoming[node]),
        )

    def change(self, turn: Turn, order: OrderRow, nodes: Iterable[str], step: Step) -> None:
        """Let targets take a step; what is not there is left out."""
        self._change(turn, order, target_records.load(turn.connection, order.key, nodes), step)

    def judge_all(self, turn: Turn, order: OrderRow) -> None:
        """Let the probe's side see all claims of an order whose document has come after its registers."""
        rows = {row.node: row for row in target_records.everything(turn.connection, order.key) if row.registers}
        judging = Judging(self._context, turn, order, rows)
        verdicts: dict[str, Registers] = {}
        for node, row in rows.items():
            present = registers_of(row.registers)
            judged = judging.judge(node, NOTHING, present)
            if judged is not present:
                verdicts[node] = Registers(verdict=judged.verdict)
        next_look = judging.keep()
        if next_look is not None:
            turn.then(lambda: self._looks.set(next_look))
        if verdicts:
            self.merge(turn, order, verdicts)

    def _change(self, turn: Turn, order: OrderRow, rows: Mapping[str, TargetRow], step: Step) -> None:
        connection = turn.connection
        steps: list[tuple[TargetRow, Registers, Registers]] = []
        claims: dict[str, TargetRow] = {}
        for node, row in rows.items():
            present = registers_of(row.registers)
            after = step(node, present)
            if after is not present and after != present:
                steps.append((row, present, after))
                if after.execution is not present.execution:
                    claims[node] = row
        if not steps:
            return
        judging = Judging(self._context, turn, order, claims)
        told = not order.own and self._context.directory.parent is not None
        number = target_records.next_change(connection) if told else None
        written: list[dict[str, Any]] = []
        moves: Counter[order_records.Group] = Counter()
        opened = 0
        for row, present, stepped in steps:
            after = judging.judge(row.node, present, stepped)
            state = shown(after)
            if state.value != row.shown:
                moves[(row.tier, row.child, row.shown)] -= 1
                moves[(row.tier, row.child, state.value)] += 1
                opened += (Shown(row.shown) in TERMINAL) - (state in TERMINAL)
            written.append(
                {
                    "of_order": order.key,
                    "of_node": row.node,
                    "new_registers": registers_bytes(after),
                    "new_shown": state.value,
                    "new_change": number,
                    "new_changed_at": turn.now,
                }
            )
            if number is not None:
                number += 1
        target_records.change(connection, written)
        order_records.add_counts(connection, order.key, moves)
        order_records.add_targets(connection, order.key, 0, opened)
        next_look = judging.keep()
        if next_look is not None:
            turn.then(lambda: self._looks.set(next_look))
        name = f"order/{order.id}"
        turn.then(lambda: self._changed(name, told))

    def reroute(self, turn: Turn, order_key: int, moved: Iterable[Any]) -> None:
        """Note that targets (rows of ``target_records.of_nodes``) are reached through another child now."""
        moves: Counter[order_records.Group] = Counter()
        written: list[dict[str, Any]] = []
        for row in moved:
            child = self._context.child_of(row.node)
            tier, name = self._tier_and_name(row.node)
            moves[(row.tier, row.child, row.shown)] -= 1
            moves[(tier or row.tier, child, row.shown)] += 1
            written.append(
                {
                    "of_order": order_key,
                    "of_node": row.node,
                    "new_child": child,
                    "new_tier": tier or row.tier,
                    "new_name": name,
                }
            )
        target_records.move(turn.connection, written)
        order_records.add_counts(turn.connection, order_key, moves)

    def flush(self, turn: Turn) -> None:
        """Put changes into the outbox to the parent, while there are any."""
        parent = self._context.directory.parent
        if parent is None or not self._up:
            return
        connection = turn.connection
        rows = target_records.changes_after(connection, target_records.sent(connection), _FLUSH)
        if not rows:
            return
        try:
            for message in messages.encode_registers([row.registers for row in rows if row.registers is not None]):
                turn.send(parent, messages.REGISTERS, message)
        except KeyError:
            # The parent is another one since a moment; when the link to it opens, everything is told.
            return
        target_records.set_sent(connection, rows[-1].change)
        if len(rows) == _FLUSH:
            turn.then(self._gathering.soon)

    def tell_all(self, turn: Turn) -> None:
        """Tell the parent everything again."""
        target_records.renumber(turn.connection)
        turn.then(self._gathering.soon)

    def link_changed(self, up: bool) -> None:
        """The link to the parent came up or went down."""
        self._up = up
        if up:
            self._gathering.soon()

    def stop(self) -> None:
        """Tell nothing more."""
        self._gathering.stop()

    def _changed(self, name: str, told: bool) -> None:
        self._context.host.nudge("orders", name)
        if told:
            self._gathering.soon()

    def _submit(self) -> None:
        if self._up:
            self._context.host.submit(self.flush)

    def _add(self, turn: Turn, order: OrderRow, places: list[tuple[str, str]]) -> dict[str, list[str]]:
        connection = turn.connection
        there = target_records.load(connection, order.key, [node for node, _ in places])
        rows: list[dict[str, Any]] = []
        by_child: dict[str, list[str]] = {}
        moves: Counter[order_records.Group] = Counter()
        for node, child in sorted(places):
            if node in there:
                continue
            tier, name = self._tier_and_name(node)
            rows.append(
                {
                    "order_key": order.key,
                    "node": node,
                    "child": child,
                    "tier": tier,
                    "name": name,
                    "shown": Shown.ISSUED.value,
                    "registers": None,
                    "changed_at": turn.now,
                    "change": None,
                }
            )
            by_child.setdefault(child, []).append(node)
            moves[(tier, child, Shown.ISSUED.value)] += 1
        if rows:
            target_records.add(connection, rows)
            order_records.add_counts(connection, order.key, moves)
            order_records.add_targets(connection, order.key, len(rows), len(rows))
        return by_child

    def _tier_and_name(self, node: str) -> tuple[str, str]:
        membership = self._context.directory.member(node)
        return ("", "") if membership is None else (membership.tier, membership.name)
