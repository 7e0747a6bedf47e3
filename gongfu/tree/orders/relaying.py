"""Orders and revocations on their way down: believed, stored, handed to the children that lead to targets."""

from collections.abc import Iterable, Mapping, Sequence

from gongfu.tree.host.section import Turn
from gongfu.tree.orders import messages, order_records, target_records
from gongfu.tree.orders.admission import Believed, Disbelief, Standing, believe_order, believe_revocation, may_revoke
from gongfu.tree.orders.carrying_out import CarryingOut
from gongfu.tree.orders.combined import Registers, given_up
from gongfu.tree.orders.context import Context, log
from gongfu.tree.orders.effects import Audit
from gongfu.tree.orders.execution import disbelieved
from gongfu.tree.orders.order_records import ISSUED, UNKNOWN, OrderRow
from gongfu.tree.orders.register_book import RegisterBook
from gongfu.tree.orders.types import OrderDocument, Reason, Revocation, Signed


class Relaying:
    """What this node does with orders on their way to it and to those below.

    Args:
        context: of the node.
        book: registers of the targets.
        carrying_out: this node as a target.
    """

    def __init__(self, context: Context, book: RegisterBook, carrying_out: CarryingOut) -> None:
        self._context = context
        self._book = book
        self._carrying_out = carrying_out

    def order_received(self, turn: Turn, peer: str, body: bytes) -> None:
        """An order has come from a neighbour."""
        message = messages.decode_order(body)
        standing = self._context.standing(turn.connection)
        believed = believe_order(message.signed, standing)
        if isinstance(believed, Believed) and peer != self._context.directory.parent:
            # The signature is right: someone hands on what was not for him to hand on.
            believed = _sideways(believed.document.issuer, believed.document.id)
        if isinstance(believed, Disbelief):
            self._disbelieve(turn, peer, believed)
            return
        order = self._known(turn, peer, believed, message.signed, standing)
        if order is not None:
            self._spread(turn, order, believed, message.targets)

    def revocation_received(self, turn: Turn, peer: str, body: bytes) -> None:
        """A revocation has come from a neighbour."""
        message = messages.decode_revocation(body)
        standing = self._context.standing(turn.connection)
        believed = believe_revocation(message.signed, standing)
        if isinstance(believed, Believed) and peer != self._context.directory.parent:
            believed = _sideways(believed.document.issuer, believed.document.order)
        if isinstance(believed, Disbelief):
            self._disbelieve(turn, peer, believed)
            return
        order = order_records.by_id(turn.connection, believed.document.order)
        document = self._context.document(order)
        if document is not None and not may_revoke(believed.document, document, standing.chain):
            wrong = Disbelief(Reason.REVOKER_BELOW_ISSUER, believed.document.issuer, document.id)
            self._disbelieve(turn, peer, wrong)
            return
        self.revoke(turn, order, believed, message.signed)

    def issue(self, turn: Turn, order: OrderRow, believed: Believed[OrderDocument], targets: Iterable[str]) -> None:
        """Send out an order of this node, which has just been stored."""
        self._spread(turn, order, believed, targets)

    def revoke(self, turn: Turn, order: OrderRow | None, believed: Believed[Revocation], signed: Signed) -> None:
        """Keep a revocation, hand it on, and obey it."""
        connection, order_id = turn.connection, believed.document.order
        if signed == order_records.revocation_of(connection, order_id):
            return
        order_records.keep_revocation(connection, believed.document, signed)
        if order is not None:
            order_records.change(connection, order.key, revoked=True)
            for child in target_records.children(connection, order.key):
                if child not in ("", self._context.node):
                    self._send(turn, child, messages.REVOCATION, _revocation_message(signed))
            turn.then(lambda: self._context.host.nudge("orders", f"order/{order_id}"))
        if order is None or target_records.load(connection, order.key, [self._context.node]):
            self._carrying_out.revoked(turn, believed)

    def hand(self, turn: Turn, order: OrderRow, by_child: Mapping[str, Sequence[str]]) -> None:
        """Send an order to children, each with the targets at or below it; its revocation goes before it."""
        revocation = order_records.revocation_of(turn.connection, order.id)
        signed = order_records.signed_of(order)
        for child, nodes in by_child.items():
            if child in ("", self._context.node):
                continue
            if revocation is not None:
                self._send(turn, child, messages.REVOCATION, _revocation_message(revocation))
            for chunk in target_records.chunks(nodes, messages.TARGETS_LIMIT):
                message = messages.OrderMessage(signed.body, signed.signature, tuple(chunk))
                self._send(turn, child, messages.ORDER, messages.encode(message))

    def give_up(self, turn: Turn, order: OrderRow, nodes: Iterable[str], reason: Reason) -> None:
        """Say of targets that nothing more will come of them."""
        lost = list(nodes)
        if not lost:
            return
        own, now = self._context.node, turn.now
        target_records.forget_watches(turn.connection, [(order.id, node) for node in lost])

        def step(node: str, present: Registers) -> Registers:
            return given_up(present, order.id, node, own, reason, now)

        self._book.change(turn, order, lost, step)
        some = ", ".join(lost[:20])
        self._context.note(turn, Audit(order.id, "undeliverable", now, reason, "", f"{len(lost)} targets: {some}"))

    def restate(self, turn: Turn, child: str) -> None:
        """Tell a child all that it must know: what it and those below it said, what was revoked, what was ordered."""
        connection = turn.connection
        places = [
            (order, target_records.through(connection, order.key, child))
            for order in order_records.of_child(connection, child)
        ]
        said = [row.registers for _, rows in places for row in rows if row.registers is not None]
        for message in messages.encode_registers(said):
            self._send(turn, child, messages.REMEMBER, message)
        for order, _ in places:
            revocation = order_records.revocation_of(connection, order.id)
            if revocation is not None:
                self._send(turn, child, messages.REVOCATION, _revocation_message(revocation))
        for order, rows in places:
            self.hand(turn, order, {child: [row.node for row in rows]})

    def _known(
        self, turn: Turn, peer: str, believed: Believed[OrderDocument], signed: Signed, standing: Standing
    ) -> OrderRow | None:
        """Return the row of an order that has come, made now or before; None for another one with the same id."""
        connection, document = turn.connection, believed.document
        row = order_records.by_id(connection, document.id)
        if row is not None and row.state != UNKNOWN:
            if row.digest == believed.digest:
                return row
            reused = Disbelief(Reason.ORDER_ID_REUSED, document.issuer, document.id, f"digest {believed.digest}")
            self._disbelieve(turn, peer, reused)
            return None
        revocation = order_records.revocation_of(connection, document.id)
        if revocation is not None and not self._revokes(revocation, document, standing):
            revocation = None
        values = {
            "kind": document.kind,
            "issuer": document.issuer,
            "state": ISSUED,
            "body": signed.body,
            "signature": signed.signature,
            "digest": believed.digest,
            "issued_at": document.issued_at,
            "deadline": document.deadline,
            "revoked": revocation is not None,
        }
        if row is None:
            return order_records.add(connection, id=document.id, created_at=turn.now, **values)
        order_records.change(connection, row.key, **values)
        known = order_records.by_id(connection, document.id)
        self._book.judge_all(turn, known)
        return known

    def _revokes(self, signed: Signed, document: OrderDocument, standing: Standing) -> bool:
        found = believe_revocation(signed, standing)
        return isinstance(found, Believed) and may_revoke(found.document, document, standing.chain)

    def _spread(self, turn: Turn, order: OrderRow, believed: Believed[OrderDocument], targets: Iterable[str]) -> None:
        wanted = list(dict.fromkeys(targets))
        new = self._book.expect(turn, order, wanted)
        ways = self._again(turn, order, wanted, new)
        self.hand(turn, order, ways)
        if not ways:
            # Restated by the parent, or captured and sent again: nothing comes of it.
            self._context.note(turn, Audit(order.id, "repeated", turn.now, "", order.issuer))
        self.give_up(turn, order, [node for node in wanted if not self._context.child_of(node)], Reason.TARGET_UNKNOWN)
        if self._context.node in wanted:
            self._carrying_out.received(turn, order, believed)
        turn.then(lambda: self._context.host.nudge("orders", f"order/{order.id}"))

    def _again(
        self, turn: Turn, order: OrderRow, wanted: Sequence[str], new: Mapping[str, Sequence[str]]
    ) -> dict[str, list[str]]:
        """Return the targets to hand on: the new ones, and those that have moved to below another child."""
        by_child = {child: list(nodes) for child, nodes in new.items()}
        if sum(map(len, by_child.values())) < len(wanted):
            moved = [
                row
                for row in target_records.load(turn.connection, order.key, wanted).values()
                if row.child != self._context.child_of(row.node)
            ]
            self._book.reroute(turn, order.key, moved)
            for row in moved:
                by_child.setdefault(self._context.child_of(row.node), []).append(row.node)
        return by_child

    def _disbelieve(self, turn: Turn, peer: str, disbelief: Disbelief) -> None:
        for effect in disbelieved(disbelief, turn.now).effects:
            if isinstance(effect, Audit):
                self._context.disbelieve(turn, peer, effect)

    def _send(self, turn: Turn, child: str, topic: str, body: bytes) -> None:
        try:
            turn.send(child, topic, body)
        except KeyError:
            # Its link is not open yet; when it opens, everything is restated.
            log.info("no link to %s: %s is told later", child, topic)


def _sideways(issuer: str, order: str) -> Disbelief:
    return Disbelief(Reason.ISSUER_NOT_ANCESTOR, issuer, order, "it did not come from the parent")


def _revocation_message(signed: Signed) -> bytes:
    return messages.encode(messages.RevocationMessage(signed.body, signed.signature))
