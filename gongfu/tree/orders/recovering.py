"""An issuer that was restored from a backup gets back the orders it issued since: those below have them, signed by it.

Registers of an order that is not known here, or not known to be issued, make this node ask the child they came from.
The child answers with the document, its targets, and then their registers. Only what bears this node's own signature
is taken back.
"""

from gongfu.tree.host.section import Turn
from gongfu.tree.orders import messages, order_records, target_records
from gongfu.tree.orders.admission import Believed, believe_order, believe_revocation
from gongfu.tree.orders.clocks import Clocks
from gongfu.tree.orders.context import Context
from gongfu.tree.orders.draft import Content, Draft, DraftState
from gongfu.tree.orders.effects import Audit
from gongfu.tree.orders.order_records import ISSUED, OrderRow
from gongfu.tree.orders.register_book import RegisterBook
from gongfu.tree.orders.types import OrderDocument, Reason, Signed

RECOVERED = "recovered"
_ASKED = "asked"
_PAUSE = 60_000_000_000


class Recovering:
    """Asks for lost orders, and answers who asks.

    Args:
        context: of the node.
        book: registers of the targets.
        clocks: SLA of what is taken back.
    """

    def __init__(self, context: Context, book: RegisterBook, clocks: Clocks) -> None:
        self._context = context
        self._book = book
        self._clocks = clocks

    def ask(self, turn: Turn, child: str, order_id: str) -> None:
        """Ask a child for an order, once a minute at most: its answer may make this node ask again."""
        if order_records.happened(turn.connection, order_id, _ASKED, child, turn.now - _PAUSE):
            return
        self._context.note(turn, Audit(order_id, _ASKED, turn.now, "", child))
        try:
            turn.send(child, messages.WANT, messages.encode(order_id))
        except KeyError:
            return  # When its link opens, its registers come again.

    def wanted(self, turn: Turn, peer: str, body: bytes) -> None:
        """The parent asks for an order: send it, and what its targets said."""
        order_id = messages.decode_want(body)
        if peer != self._context.directory.parent:
            return
        connection = turn.connection
        order = order_records.by_id(connection, order_id)
        if order is None or order.body is None:
            return
        rows = target_records.everything(connection, order.key)
        revocation = order_records.revocation_of(connection, order_id) or Signed(b"", b"")
        for chunk in target_records.chunks([row.node for row in rows], messages.TARGETS_LIMIT):
            copy = messages.CopyMessage(
                order.body, order.signature, tuple(chunk), revocation.body, revocation.signature
            )
            turn.send(peer, messages.COPY, messages.encode(copy))
        for message in messages.encode_registers([row.registers for row in rows if row.registers is not None]):
            turn.send(peer, messages.REGISTERS, message)

    def copied(self, turn: Turn, peer: str, body: bytes) -> None:
        """A child has sent an order that this node asked for."""
        message = messages.decode_copy(body)
        standing = self._context.standing(turn.connection)
        believed = believe_order(message.signed, standing)
        if not isinstance(believed, Believed):
            if believed.issuer == self._context.node:
                event = Audit(believed.order, "disbelieved", turn.now, believed.reason, believed.issuer, "a copy")
                self._context.disbelieve(turn, peer, event)
            return
        document = believed.document
        if document.issuer != self._context.node or self._context.directory.towards(peer) != peer:
            return
        order = order_records.by_id(turn.connection, document.id)
        if order is not None and order.state == ISSUED:
            if order.digest != believed.digest:
                event = Audit(document.id, "disbelieved", turn.now, Reason.ORDER_ID_REUSED, document.issuer, "a copy")
                self._context.disbelieve(turn, peer, event)
                return
            if not order_records.happened(turn.connection, document.id, RECOVERED):
                return  # It was never lost: its targets are known.
        else:
            order = self._take_back(turn, order, believed, message.signed)
        self._book.expect(turn, order, (node for node in message.targets if self._context.child_of(node) == peer))
        self._revocation_copied(turn, peer, order, message)

    def _revocation_copied(self, turn: Turn, peer: str, order: OrderRow, message: messages.CopyMessage) -> None:
        """Take a revocation back, and see that all children of the order have it."""
        connection = turn.connection
        known = order_records.revocation_of(connection, order.id)
        tell: list[str] = []
        if known is not None:
            tell = [] if message.revocation_body else [peer]
        elif message.revocation_body:
            believed = believe_revocation(message.revocation, self._context.standing(connection))
            if isinstance(believed, Believed) and believed.document.order == order.id:
                known = message.revocation
                order_records.keep_revocation(connection, believed.document, known)
                order_records.change(connection, order.key, revoked=True)
                tell = [child for child in target_records.children(connection, order.key) if child != peer]
        if known is not None:
            body = messages.encode(messages.RevocationMessage(known.body, known.signature))
            for child in tell:
                if child in ("", self._context.node):
                    continue
                try:
                    turn.send(child, messages.REVOCATION, body)
                except KeyError:
                    continue  # It is told everything when its link opens.

    def _take_back(
        self, turn: Turn, present: OrderRow | None, believed: Believed[OrderDocument], signed: Signed
    ) -> OrderRow:
        connection, document = turn.connection, believed.document
        values = {
            "kind": document.kind,
            "issuer": document.issuer,
            "own": True,
            "state": ISSUED,
            "draft": order_records.json_of(_draft(document)),
            "body": signed.body,
            "signature": signed.signature,
            "digest": believed.digest,
            "issued_at": document.issued_at,
            "deadline": document.deadline,
        }
        if present is None:
            order_records.add(connection, id=document.id, created_at=document.issued_at, **values)
        else:
            order_records.change(connection, present.key, **values)
        order = order_records.by_ids(connection, [document.id])[document.id]
        self._book.judge_all(turn, order)
        kind = self._context.kinds.get(document.kind)
        if kind is not None:
            self._clocks.begin(turn, order, document, kind)
        self._context.note(turn, Audit(document.id, RECOVERED, turn.now, "", "", "a child had it"))
        turn.audit("order.recover", f"order/{document.id}", "issued before this node was restored from a backup")
        turn.then(lambda: self._context.host.nudge("orders", f"order/{document.id}"))
        for child in self._context.directory.children():
            # Those that have heard nothing of their targets yet would not say so by themselves.
            self.ask(turn, child.node, document.id)
        return order


def _draft(document: OrderDocument) -> Draft:
    return Draft(
        id=document.id,
        issuer=document.issuer,
        content=Content(
            kind=document.kind,
            payload=document.payload,
            selection=document.selection,
            not_before=document.not_before,
            deadline=document.deadline,
            priority=document.priority,
            reason=document.reason,
        ),
        authors=document.authors,
        state=DraftState.ISSUED,
        approvals=document.approvals,
    )
