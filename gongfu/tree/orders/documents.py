"""What is asked of the order engine and what it answers: the documents of the commands and of the API."""

from typing import Any

import msgspec

from gongfu.kernel.errors import Problem, invalid
from gongfu.kernel.times import format_rfc3339, parse_rfc3339
from gongfu.tree.orders.draft import Content, Draft, Refused
from gongfu.tree.orders.kinds import Clock, Guard, Step
from gongfu.tree.orders.kinds import Probe as KindProbe
from gongfu.tree.orders.selection import Listed, Query, Selection, with_section
from gongfu.tree.orders.types import Priority


class QueryDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Nodes by what they are; ``subtree`` is one node id or several. Empty means every node of this subtree."""

    subtree: list[str] | str = []
    tiers: list[str] = []
    regions: list[str] = []
    industries: list[str] = []
    sizes: list[str] = []
    attributes: dict[str, list[str]] = {}


class SelectionDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A list of node ids, or a query; exactly one of them."""

    nodes: list[str] | None = None
    query: QueryDocument | None = None


class DraftRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An order to be decided. ``id`` may be chosen by the caller, who can then repeat the request."""

    kind: str
    payload: msgspec.Raw
    selection: SelectionDocument
    deadline: str
    not_before: str | None = None
    priority: Priority = Priority.ROUTINE
    reason: str = ""
    id: str | None = None


class ChangeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another content for a draft."""

    id: str
    draft: DraftRequest


class OrderRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order by its id."""

    id: str


class ApproveRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A yes to the text with this digest."""

    id: str
    digest: str


class ReasonRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order by its id, and a person's words."""

    id: str
    reason: str = ""


class AllowRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether this node obeys a kind; None is what the kind itself says."""

    kind: str
    allowed: bool | None = None


class ListRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of orders, newest first."""

    state: str | None = None
    limit: int = 50
    before: int | None = None


class TargetsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of the targets of an order, by node id."""

    id: str
    state: str | None = None
    tier: str | None = None
    limit: int = 50
    after: str = ""


class EventsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of what happened to an order at this node, newest first."""

    id: str
    limit: int = 50
    before: int | None = None


class KindView(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of order. Durations are ns. ``obeyed``: whether this node carries such orders out."""

    name: str
    title: dict[str, str]
    schema: dict[str, Any]
    approvals: int
    guard: Guard
    clocks: dict[Step, Clock]
    may_issue: list[str]
    issuable_here: bool
    obeyed: bool
    accept: str
    driver: str
    probe: KindProbe | None
    idempotent: bool
    can_roll_back: bool


class NodeName(msgspec.Struct, frozen=True):
    """A node."""

    id: str
    name: str


class ApprovalView(msgspec.Struct, frozen=True):
    """Who approved, and when."""

    person: str
    at: str


class TierProgress(msgspec.Struct, frozen=True):
    """Targets of a tier by shown state."""

    tier: str
    counts: dict[str, int]


class HereView(msgspec.Struct, frozen=True):
    """What this node itself does with an order. ``waits``: a person here has to accept or refuse."""

    state: str
    reason: str
    detail: str
    at: str
    attempt: int
    waits: bool


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An order as this node knows it."""

    id: str
    kind: str
    title: dict[str, str]
    payload: msgspec.Raw
    selection: SelectionDocument
    priority: Priority
    not_before: str | None
    deadline: str
    reason: str
    issuer: NodeName
    own: bool
    authors: list[str]
    approvals: list[ApprovalView]
    approvals_needed: int
    digest: str
    state: str
    created_at: str
    issued_at: str | None
    targets: int
    progress: list[TierProgress]
    totals: dict[str, int]
    overdue: int
    escalated: int
    revoked: bool
    here: HereView | None


class OrderList(msgspec.Struct, frozen=True):
    """Orders, and the key of the next page."""

    items: list[OrderView]
    next: int | None


class VerdictView(msgspec.Struct, frozen=True):
    """What a probe saw."""

    finding: str
    reason: str
    evidence: str
    at: str


class TargetView(msgspec.Struct, frozen=True, kw_only=True):
    """A target. ``path`` are the names of the nodes above it, root first; ``said`` is the target's own word."""

    node: str
    name: str
    tier: str
    path: list[str]
    state: str
    said: str
    reason: str
    detail: str
    at: str | None
    attempt: int
    conflict: bool
    verdict: VerdictView | None
    overdue: str
    escalated: str


class TargetList(msgspec.Struct, frozen=True):
    """Targets, and the node id after which the next page begins."""

    items: list[TargetView]
    next: str | None


class EventView(msgspec.Struct, frozen=True):
    """Something that happened to an order at this node; ``user`` is a person or a node, "" for this one."""

    time: str
    user: str
    action: str
    resource: str
    reason: str
    detail: str


class EventList(msgspec.Struct, frozen=True):
    """Events, and the key of the next page."""

    items: list[EventView]
    next: int | None


class GuardView(msgspec.Struct, frozen=True):
    """Whether an order could be issued as it is, apart from approvals."""

    ok: bool
    reasons: list[str]


class PreviewView(msgspec.Struct, frozen=True):
    """Whom an order would reach."""

    targets: int
    by_tier: dict[str, int]
    guard: GuardView


def content_of(request: DraftRequest) -> Content:
    """Return what a request says.

    Raises:
        Problem: 400; it does not say it properly.
    """
    return Content(
        kind=request.kind,
        payload=msgspec.Raw(bytes(request.payload)),
        selection=selection_of(request.selection),
        not_before=0 if request.not_before is None else _time(request.not_before, "not_before"),
        deadline=_time(request.deadline, "deadline"),
        priority=request.priority,
        reason=request.reason,
    )


def selection_of(document: SelectionDocument) -> Selection:
    """Return the selection of a document.

    Raises:
        Problem: 400; not exactly one of a list and a query, or not well formed.
    """
    if (document.nodes is None) == (document.query is None):
        raise invalid("selection must have either nodes or query")
    selection: Selection
    if document.nodes is not None:
        selection = Listed(tuple(dict.fromkeys(document.nodes)))
    else:
        query = document.query or QueryDocument()
        selection = Query(
            under=(query.subtree,) if isinstance(query.subtree, str) else tuple(query.subtree),
            tiers=tuple(query.tiers),
            regions=tuple(query.regions),
            industries=tuple(map(with_section, query.industries)),
            sizes=tuple(query.sizes),
            attributes={name: tuple(values) for name, values in query.attributes.items()},
        )
    try:
        return msgspec.convert(msgspec.to_builtins(selection), Listed | Query)
    except msgspec.ValidationError as error:
        raise invalid(f"selection: {error}") from None


def selection_document(selection: Selection) -> SelectionDocument:
    """Return how a selection is shown."""
    if isinstance(selection, Listed):
        return SelectionDocument(nodes=list(selection.nodes))
    return SelectionDocument(
        query=QueryDocument(
            list(selection.under),
            list(selection.tiers),
            list(selection.regions),
            list(selection.industries),
            list(selection.sizes),
            {name: list(values) for name, values in selection.attributes.items()},
        )
    )


def refusal(refused: Refused) -> Problem:
    """Return the problem of a draft that cannot be taken further; its code is the first reason."""
    reasons = [reason.value for reason in refused.reasons]
    first = reasons[0] if reasons else "refused"
    detail = ", ".join(reasons) + (f": {refused.detail}" if refused.detail else "")
    status = 400 if first == "malformed" else 409
    return Problem(status, first, "The order cannot be taken further", detail, {"reasons": reasons})


def drawn(result: Draft | Refused) -> Draft:
    """Return a draft.

    Raises:
        Problem: it was refused.
    """
    if isinstance(result, Refused):
        raise refusal(result)
    return result


def time_or_none(moment: int) -> str | None:
    """Return a time as it is shown, None for 0."""
    return format_rfc3339(moment) if moment else None


def _time(text: str, name: str) -> int:
    try:
        return parse_rfc3339(text)
    except ValueError as error:
        raise invalid(f"{name}: {error}") from None
