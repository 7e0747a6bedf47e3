"""An order is decided and issued here: drafts, approvals, the guard, the signature, revocation."""

import uuid
from collections import Counter
from typing import Any

import msgspec
from sqlalchemy import Connection

from gongfu.kernel.errors import conflict, invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.tree.host.section import Turn
from gongfu.tree.orders import draft as drafts
from gongfu.tree.orders import order_records
from gongfu.tree.orders.admission import Believed
from gongfu.tree.orders.clocks import Clocks
from gongfu.tree.orders.context import Context
from gongfu.tree.orders.documents import (
    DraftRequest,
    GuardView,
    PreviewView,
    content_of,
    drawn,
    refusal,
)
from gongfu.tree.orders.draft import HOUR, Draft, DraftState, Issued, Refusal, Refused, draft_digest
from gongfu.tree.orders.effects import Audit
from gongfu.tree.orders.kinds import OrderKind, may_issue, payload_error
from gongfu.tree.orders.order_records import ISSUED, OrderRow
from gongfu.tree.orders.relaying import Relaying
from gongfu.tree.orders.selection import Listed, Selection, absent, resolve
from gongfu.tree.orders.types import (
    Revocation,
    Signed,
    body_digest,
    encode_document,
    order_message,
    revocation_message,
)

_draft_in = msgspec.json.Decoder(Draft)


class Issuing:
    """The orders of this node, until they go out and when they are taken back. Every method but the last is a turn, and
    returns the id of the order.

    Args:
        context: of the node.
        relaying: what sends them.
        clocks: their SLA.
    """

    def __init__(self, context: Context, relaying: Relaying, clocks: Clocks) -> None:
        self._context = context
        self._relaying = relaying
        self._clocks = clocks

    def draft(self, turn: Turn, subject: Subject, request: DraftRequest) -> str:
        """Begin an order under an id that was chosen; the same request again does nothing."""
        order_id = request.id or uuid.uuid4().hex
        content = content_of(request)
        self._check(content)
        found = drawn(drafts.draft(order_id, self._context.node, content, subject.name))
        row = order_records.by_id(turn.connection, order_id)
        if row is not None:
            if row.own and row.draft and _draft_in.decode(row.draft).content == content:
                return order_id
            raise conflict(f"there is another order {order_id}")
        order_records.add(
            turn.connection,
            id=order_id,
            own=True,
            issuer=self._context.node,
            created_at=turn.now,
            **self._columns(found),
        )
        self._noted(turn, subject, "drafted", found)
        return order_id

    def change(self, turn: Turn, subject: Subject, order_id: str, request: DraftRequest) -> str:
        """Write another content; all approvals are void."""
        row, present = self._draft(turn.connection, order_id)
        content = content_of(request)
        self._check(content)
        found = drawn(drafts.change(present, content, subject.name))
        order_records.change(turn.connection, row.key, **self._columns(found))
        self._noted(turn, subject, "changed", found)
        return order_id

    def approve(self, turn: Turn, subject: Subject, order_id: str, digest: str) -> str:
        """Say yes to the text with a digest."""
        row, present = self._draft(turn.connection, order_id)
        if any(one.person == subject.name and one.digest == digest for one in present.approvals):
            return order_id
        found = drawn(drafts.approve(present, subject.name, digest, turn.now))
        order_records.change(turn.connection, row.key, **self._columns(found))
        self._noted(turn, subject, "approved", found)
        return order_id

    def discard(self, turn: Turn, subject: Subject, order_id: str, why: str) -> str:
        """Give an order up that was not issued; one of its authors does."""
        row, present = self._draft(turn.connection, order_id)
        if row.state == "discarded":
            return order_id
        gone = drawn(drafts.withdraw(present, subject.name, why[:1000]))
        order_records.change(turn.connection, row.key, **self._columns(gone))
        self._noted(turn, subject, "discarded", gone, why)
        return order_id

    def issue(self, turn: Turn, subject: Subject, order_id: str) -> str:
        """Sign an order and send it out, once; again it does nothing."""
        connection, context = turn.connection, self._context
        row, present = self._draft(connection, order_id)
        if row.state == ISSUED:
            return order_id
        if not context.directory.active:
            raise conflict("this node, or one above it, is suspended: nobody would obey it")
        kind = self._kind(present.content.kind)
        targets, missing = self._targets(present.content.selection)
        result = drafts.issue(
            present,
            kind,
            context.directory.chain.membership.tier,
            len(targets),
            len(context.directory.descendants()) + 1,
            order_records.issued_since(connection, kind.name, turn.now - HOUR),
            turn.now,
        )
        if isinstance(result, Refused):
            raise refusal(result)
        issued, document = result
        body = encode_document(document)
        believed = Believed(document, body_digest(body))
        order_records.change(
            connection,
            row.key,
            **{
                **self._columns(issued),
                "state": ISSUED,
                "body": body,
                "signature": context.directory.key.sign(order_message(body)),
                "digest": believed.digest,
                "issued_at": document.issued_at,
            },
        )
        stored = order_records.by_keys(connection, [row.key])[0]
        self._noted(turn, subject, "issued", issued, f"{len(targets) + len(missing)} targets")
        self._clocks.begin(turn, stored, document, kind)
        self._relaying.issue(turn, stored, believed, (*targets, *missing))
        return order_id

    def revoke(self, turn: Turn, subject: Subject, order_id: str, why: str) -> str:
        """Take an issued order of this node back; again it does nothing."""
        connection, context = turn.connection, self._context
        row = order_records.by_id(connection, order_id)
        document = context.document(row)
        if row is None:
            raise not_found(f"order {order_id}")
        if not row.own or document is None:
            raise conflict("only its issuer revokes an order" if not row.own else f"the order is {row.state}")
        if row.revoked:
            return order_id
        revocation = Revocation(
            order=order_id,
            issuer=context.node,
            person=subject.name[:200] or "-",
            reason=why[:1000],
            deadline=document.deadline,
            issued_at=turn.now,
        )
        body = encode_document(revocation)
        signed = Signed(body, context.directory.key.sign(revocation_message(body)))
        turn.audit("order.revoke", f"order/{order_id}", why[:1000].replace("\0", ""), subject=subject)
        context.note(turn, Audit(order_id, "revoked", turn.now, "", subject.name, why))
        self._relaying.revoke(turn, row, Believed(revocation, body_digest(body)), signed)
        return order_id

    def preview(self, connection: Connection, request: DraftRequest, now: int) -> PreviewView:
        """Return whom an order would reach, and what stands against it. A query, not a turn."""
        content = content_of(request)
        kind = self._kind(content.kind)
        members = self._context.members()
        found = resolve(content.selection, members)
        history: list[Issued] = order_records.issued_since(connection, kind.name, now - HOUR)
        reasons = [reason.value for reason in drafts.guard(kind.guard, len(found), len(members), history, now)]
        if not self.issuable(kind):
            reasons.insert(0, Refusal.ISSUER_TIER.value)
        if payload_error(kind, bytes(content.payload)):
            reasons.insert(0, Refusal.PAYLOAD_INVALID.value)
        by_tier = Counter(member.tier for member in found)
        return PreviewView(len(found), dict(sorted(by_tier.items())), GuardView(not reasons, reasons))

    def issuable(self, kind: OrderKind) -> bool:
        """Return whether this node may issue orders of a kind."""
        return may_issue(kind, self._context.directory.chain.membership.tier)

    def _check(self, content: drafts.Content) -> None:
        kind = self._kind(content.kind)
        wrong = payload_error(kind, bytes(content.payload))
        if wrong:
            raise invalid(f"payload: {wrong}")
        if not self.issuable(kind):
            raise refusal(Refused((Refusal.ISSUER_TIER,), f"{kind.name} is issued by {', '.join(kind.may_issue)}"))

    def _kind(self, name: str) -> OrderKind:
        kind = self._context.kinds.get(name)
        if kind is None:
            raise invalid(f"there is no kind {name[:60]!r} here")
        return kind

    def _targets(self, selection: Selection) -> tuple[list[str], list[str]]:
        """Return the nodes that are meant, and those of a list that are not here."""
        if isinstance(selection, Listed):
            # A list is looked up: going through all members for it takes 50 ms where there are 84,000.
            own, towards = self._context.node, self._context.directory.towards
            here = {node: node == own or towards(node) is not None for node in selection.nodes}
            return [node for node in here if here[node]], [node for node in here if not here[node]]
        members = self._context.members()
        return [member.node for member in resolve(selection, members)], absent(selection, members)

    def _draft(self, connection: Connection, order_id: str) -> tuple[OrderRow, Draft]:
        row = order_records.by_id(connection, order_id)
        if row is None:
            raise not_found(f"order {order_id}")
        if not row.own:
            raise conflict("the order was issued by another node")
        return row, _draft_in.decode(row.draft)

    def _columns(self, draft: Draft) -> dict[str, Any]:
        kind = self._context.kinds.get(draft.content.kind)
        needed = 0 if kind is None else kind.approvals
        state = "approved" if len(draft.approvals) >= needed else "drafted"
        return {
            "kind": draft.content.kind,
            "state": "discarded" if draft.state is DraftState.WITHDRAWN else state,
            "draft": order_records.json_of(draft),
            "digest": draft_digest(draft),
            "deadline": draft.content.deadline,
        }

    def _noted(self, turn: Turn, subject: Subject, event: str, draft: Draft, detail: str = "") -> None:
        turn.audit(
            f"order.{_VERBS[event]}",
            f"order/{draft.id}",
            f"{draft.content.kind} {draft_digest(draft)[:12]} {detail}".strip()[:1000].replace("\0", ""),
            subject=subject,
        )
        self._context.note(turn, Audit(draft.id, event, turn.now, "", subject.name, detail))
        turn.then(lambda: self._context.host.nudge("orders", f"order/{draft.id}"))


_VERBS = {"drafted": "draft", "changed": "change", "approved": "approve", "discarded": "discard", "issued": "issue"}


def draft_of(row: OrderRow) -> Draft:
    """Return the draft of an order of this node."""
    return _draft_in.decode(row.draft)
