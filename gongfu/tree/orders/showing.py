"""Orders as people see them: queries on what is committed."""

from collections import Counter
from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

from gongfu.kernel.errors import invalid, not_found
from gongfu.kernel.times import format_rfc3339
from gongfu.tree.orders import order_records, target_records
from gongfu.tree.orders.combined import Shown
from gongfu.tree.orders.context import Context
from gongfu.tree.orders.documents import (
    ApprovalView,
    EventList,
    EventsRequest,
    EventView,
    HereView,
    KindView,
    ListRequest,
    NodeName,
    OrderList,
    OrderView,
    TargetList,
    TargetsRequest,
    TargetView,
    TierProgress,
    VerdictView,
    selection_document,
    time_or_none,
)
from gongfu.tree.orders.draft import Draft
from gongfu.tree.orders.issuing import draft_of
from gongfu.tree.orders.kinds import OrderKind, allow_list, may_issue
from gongfu.tree.orders.order_records import OrderRow
from gongfu.tree.orders.target_records import TargetRow, registers_of
from gongfu.tree.orders.timers import Flags, flags
from gongfu.tree.orders.types import Execution, OrderDocument, State, content_digest

# Stored states and whether all targets are terminal, by what is asked for.
_STATES: dict[str, tuple[tuple[str, ...], bool | None]] = {
    "drafted": (("drafted",), None),
    "approved": (("approved",), None),
    "issued": (("issued",), False),
    "closed": (("issued",), True),
    "discarded": (("discarded",), None),
}
_LIMIT = 1000
_execution_in = msgspec.json.Decoder(Execution)


class Showing:
    """Queries. They run on a reader's thread.

    Args:
        context: of the node.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def kinds(self, connection: Connection) -> list[KindView]:
        """Return the kinds this node knows."""
        said = order_records.allowances(connection)
        known = self._context.kinds
        obeyed = allow_list(known, (n for n, yes in said.items() if yes), (n for n, yes in said.items() if not yes))
        tier = self._context.directory.chain.membership.tier
        return [
            KindView(
                name=kind.name,
                title=kind.title,
                schema=kind.schema,
                approvals=kind.approvals,
                guard=kind.guard,
                clocks=kind.clocks,
                may_issue=list(kind.may_issue),
                issuable_here=may_issue(kind, tier),
                obeyed=kind.name in obeyed,
                accept=kind.accept,
                driver=kind.driver,
                probe=kind.probe,
                idempotent=kind.idempotent,
                can_roll_back=kind.can_roll_back,
            )
            for kind in sorted(known.values(), key=lambda kind: kind.name)
        ]

    def order(self, connection: Connection, order_id: str, now: int) -> OrderView:
        """Return an order.

        Raises:
            Problem: 404.
        """
        return self._views(connection, [self._row(connection, order_id)], now)[0]

    def orders(self, connection: Connection, request: ListRequest, now: int) -> OrderList:
        """Return a page of orders."""
        if request.state is not None and request.state not in _STATES:
            raise invalid(f"state must be one of {', '.join(_STATES)}")
        states, closed = (None, None) if request.state is None else _STATES[request.state]
        limit = min(max(request.limit, 1), _LIMIT)
        rows = order_records.page(connection, states, closed, request.before, limit + 1)
        shown = rows[:limit]
        return OrderList(self._views(connection, shown, now), shown[-1].key if len(rows) > limit else None)

    def targets(self, connection: Connection, request: TargetsRequest, now: int) -> TargetList:
        """Return a page of the targets of an order."""
        if request.state is not None and request.state not in set(Shown):
            raise invalid(f"state must be one of {', '.join(Shown)}")
        row = self._row(connection, request.id)
        limit = min(max(request.limit, 1), _LIMIT)
        rows = target_records.page(connection, row.key, request.state, request.tier, request.after, limit + 1)
        document, kind = self._context.document(row), self._context.kinds.get(row.kind)
        items = [self._target(target, document, kind, now) for target in rows[:limit]]
        return TargetList(items, items[-1].node if len(rows) > limit else None)

    def events(self, connection: Connection, request: EventsRequest) -> EventList:
        """Return what happened to an order here; also to one that is not known, such as a forged one."""
        limit = min(max(request.limit, 1), _LIMIT)
        rows = order_records.events_of(connection, request.id, request.before, limit + 1)
        items = [
            EventView(format_rfc3339(row.at), row.who, row.event, f"order/{row.id}", row.reason, row.detail)
            for row in rows[:limit]
        ]
        if not items and order_records.by_id(connection, request.id) is None:
            raise not_found(f"order {request.id}")
        return EventList(items, rows[limit - 1].key if len(rows) > limit else None)

    def _row(self, connection: Connection, order_id: str) -> OrderRow:
        row = order_records.by_id(connection, order_id)
        if row is None or (row.body is None and not row.draft):
            raise not_found(f"order {order_id}")
        return row

    def _views(self, connection: Connection, rows: Sequence[OrderRow], now: int) -> list[OrderView]:
        counts = order_records.counts(connection, [row.key for row in rows])
        answers = order_records.own_answers(connection, [row.id for row in rows])
        return [self._view(row, counts[row.key], answers.get(row.id, ""), now) for row in rows]

    def _view(self, row: OrderRow, counts: list[tuple[str, str, str, int]], answer: str, now: int) -> OrderView:
        document = self._context.document(row)
        kind = self._context.kinds.get(row.kind)
        source: OrderDocument | Draft
        if document is not None:
            content = source = document
            digest = content_digest(document)
        else:
            source = draft_of(row)
            content, digest = source.content, row.digest
        totals: Counter[str] = Counter()
        tiers: dict[str, Counter[str]] = {}
        for tier, _, shown, targets in counts:
            totals[shown] += targets
            tiers.setdefault(tier, Counter())[shown] += targets
        late = {shown: self._flags(document, kind, Shown(shown), now) for shown in totals}
        state = "closed" if row.state == "issued" and not row.open_targets else row.state
        return OrderView(
            id=row.id,
            kind=row.kind,
            title={} if kind is None else kind.title,
            payload=content.payload,
            selection=selection_document(content.selection),
            priority=content.priority,
            not_before=time_or_none(content.not_before),
            deadline=format_rfc3339(content.deadline),
            reason=content.reason,
            issuer=NodeName(row.issuer, self._name(row.issuer)),
            own=row.own,
            authors=list(source.authors),
            approvals=[ApprovalView(one.person, format_rfc3339(one.at)) for one in source.approvals],
            approvals_needed=0 if kind is None else kind.approvals,
            digest=digest,
            state=state,
            created_at=format_rfc3339(row.created_at),
            issued_at=time_or_none(row.issued_at),
            targets=row.targets,
            progress=[TierProgress(tier, dict(found)) for tier, found in sorted(tiers.items())],
            totals=dict(totals),
            overdue=sum(totals[shown] for shown, one in late.items() if one.overdue is not None),
            escalated=sum(totals[shown] for shown, one in late.items() if one.escalated is not None),
            revoked=row.revoked,
            here=_here(answer, kind),
        )

    def _target(self, row: TargetRow, document: OrderDocument | None, kind: OrderKind | None, now: int) -> TargetView:
        registers = registers_of(row.registers)
        execution, verdict = registers.execution, registers.verdict
        late = self._flags(document, kind, Shown(row.shown), now)
        directory = self._context.directory
        return TargetView(
            node=row.node,
            name=row.name,
            tier=row.tier,
            path=[membership.name for membership in directory.path(row.node)[:-1]],
            state=row.shown,
            said=State.ISSUED if execution is None else execution.state,
            reason="" if execution is None else execution.reason,
            detail="" if execution is None else execution.detail,
            at=None if execution is None else format_rfc3339(execution.at),
            attempt=0 if execution is None else execution.attempt,
            conflict=registers.execution_conflict or registers.verdict_conflict,
            verdict=None
            if verdict is None
            else VerdictView(verdict.finding, verdict.reason, verdict.evidence, format_rfc3339(verdict.at)),
            overdue=late.overdue or "",
            escalated=late.escalated or "",
        )

    def _flags(self, document: OrderDocument | None, kind: OrderKind | None, state: Shown, now: int) -> Flags:
        if document is None or kind is None:
            return Flags()
        return flags(document, kind, state, now)

    def _name(self, node: str) -> str:
        membership = self._context.directory.member(node)
        return "" if membership is None else membership.name


def _here(answer: str, kind: OrderKind | None) -> HereView | None:
    if not answer:
        return None
    execution = _execution_in.decode(answer)
    waits = execution.state is State.DELIVERED and (kind is None or kind.accept == "operator")
    return HereView(
        execution.state,
        execution.reason,
        execution.detail,
        format_rfc3339(execution.at),
        execution.attempt,
        waits,
    )
