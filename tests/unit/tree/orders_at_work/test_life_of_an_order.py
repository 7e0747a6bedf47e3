"""An order from its draft to its end, over four levels."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from gongfu.kernel.errors import Problem
from gongfu.kernel.times import format_rfc3339, parse_rfc3339
from gongfu.tree.orders.documents import (
    AllowRequest,
    ApproveRequest,
    ChangeRequest,
    DraftRequest,
    ListRequest,
    OrderRequest,
    OrderView,
    QueryDocument,
    ReasonRequest,
    SelectionDocument,
)
from gongfu.tree.orders.kinds import Clock, Guard, Place, Probe, Step
from tests.fixtures.tree import until
from tests.unit.tree.orders_at_work.nodes_with_orders import ANN, BOB, CAT, MS, SECOND, OrderTree, eventually, kind

MakeTree = Callable[..., Any]
LINE = (("nation", ""), ("province", "nation"), ("enterprise", "province"), ("site", "enterprise"))
PAIR = (("nation", ""), ("site", "nation"))


def soon(seconds: float) -> str:
    return format_rfc3339(time.time_ns() + int(seconds * SECOND))


def request_of(order: OrderView, **changed: Any) -> DraftRequest:
    declared: dict[str, Any] = {
        "kind": order.kind,
        "payload": order.payload,
        "selection": order.selection,
        "deadline": order.deadline,
    }
    return DraftRequest(**{**declared, **changed})


async def refused(command: Any) -> str:
    with pytest.raises(Problem) as caught:
        await command
    return caught.value.code


async def test_an_order_reaches_every_site_is_executed_once_and_verified(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree()
    issued = await tree.issue("nation")
    assert (issued.state, issued.targets, issued.own) == ("issued", 3, True)
    closed = await tree.settled("nation", issued.id, "verified")
    assert closed.state == "closed"
    assert closed.totals == {"verified": 3}
    assert [(one.tier, one.counts) for one in closed.progress] == [("site", {"verified": 3})]
    assert len(tree.world.log) == len({key for key, _ in tree.world.log}) == 3
    await tree.idle()
    for name in tree.nodes:
        tree.counts_are_right(name)
        if name != "nation":
            assert set(tree.shown(name, issued.id).values()) == {"verified"}
    at_site = await tree.show("site-1", issued.id)
    assert not at_site.own
    assert at_site.issuer.name == "nation"
    assert at_site.here is not None
    assert at_site.here.state == "executed"
    target = (await tree.targets("nation", issued.id))["site-3"]
    assert target.path == ["nation", "province-2", "enterprise-2"]
    assert (target.said, target.state) == ("executed", "verified")
    assert target.verdict is not None
    assert await tree.targets("nation", issued.id, state="failed") == {}
    assert ("issued", "") in await tree.events("nation", issued.id)
    # Everywhere below, and nowhere else.
    assert tree.node("nation").audited("order.issue")[0][:3] == ("ann", "order.issue", f"order/{issued.id}")
    await until(lambda: f"order/{issued.id}" in tree.node("nation").nudges, "the console is told")


async def test_nodes_of_every_tier_may_be_targets_also_the_issuer(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(places=LINE)
    issued = await tree.issue("province", selection=SelectionDocument(query=QueryDocument()))
    closed = await tree.settled("province", issued.id, "verified")
    assert {one.tier for one in closed.progress} == {"province", "enterprise", "site"}
    assert tree.shown("nation", issued.id) == {}, "who is above the issuer is not told"


async def test_a_draft_is_approved_by_two_who_did_not_write_it(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(kind(approvals=2), places=PAIR)
    drawn = await tree.draft("nation")
    assert (drawn.state, drawn.approvals_needed) == ("drafted", 2)
    orders = tree.orders("nation")
    assert await refused(orders.issue(ANN, OrderRequest(drawn.id))) == "approvals-missing"
    assert await refused(tree.approve("nation", drawn, ANN)) == "author-may-not-approve"
    await tree.approve("nation", drawn, BOB)
    again = await tree.approve("nation", drawn, BOB)
    assert len(again.approvals) == 1
    changed = await orders.change(ANN, ChangeRequest(drawn.id, request_of(drawn, reason="another")))
    assert changed.approvals == []
    assert await refused(orders.approve(BOB, ApproveRequest(drawn.id, drawn.digest))) == "text-has-changed"
    await tree.approve("nation", changed, BOB)
    assert await refused(orders.issue(ANN, OrderRequest(drawn.id))) == "approvals-missing"
    approved = await tree.approve("nation", changed, CAT)
    assert approved.state == "approved"
    first = await orders.issue(ANN, OrderRequest(drawn.id))
    second = await orders.issue(ANN, OrderRequest(drawn.id))
    assert first.issued_at == second.issued_at
    assert first.digest == changed.digest
    await tree.settled("nation", drawn.id, "verified")
    assert len(tree.world.log) == 1
    assert await refused(orders.change(ANN, ChangeRequest(drawn.id, request_of(drawn)))) == "not-open"
    assert [one[1] for one in tree.node("nation").audited("order.")] == [
        "order.draft",
        "order.approve",
        "order.change",
        "order.approve",
        "order.approve",
        "order.issue",
    ]


async def test_what_cannot_be_drafted_or_issued_says_why(order_tree: MakeTree) -> None:
    narrow = kind(guard=Guard(most_targets=1))
    tree: OrderTree = await order_tree(
        narrow, kind("local", may_issue=("province",)), places=(*PAIR, ("site-2", "nation"))
    )
    orders = tree.orders("nation")
    drawn = await tree.draft("nation")
    preview = await orders.preview(ANN, request_of(drawn))
    assert (preview.targets, preview.by_tier) == (2, {"site": 2})
    assert (preview.guard.ok, preview.guard.reasons) == (False, ["too-many-targets"])
    assert await refused(orders.issue(ANN, OrderRequest(drawn.id))) == "too-many-targets"
    assert (await tree.show("nation", drawn.id)).state == "approved"
    assert await refused(tree.draft("nation", kind="local")) == "issuer-tier"
    assert await refused(tree.draft("nation", kind="unheard-of")) == "invalid-request"
    assert await refused(tree.draft("nation", payload=b'{"adress":1}')) == "invalid-request"
    assert await refused(tree.draft("nation", deadline="tomorrow")) == "invalid-request"
    assert await refused(tree.draft("nation", selection=SelectionDocument())) == "invalid-request"
    assert await refused(tree.draft("nation", selection=SelectionDocument(nodes=["no-id"]))) == "invalid-request"
    assert await refused(tree.draft("nation", id="a")) == "malformed"
    late = await tree.draft("nation", deadline=soon(-1), selection=SelectionDocument(nodes=[tree.id("site")]))
    assert await refused(orders.issue(ANN, OrderRequest(late.id))) == "deadline-passed"
    assert await refused(orders.discard(BOB, ReasonRequest(late.id))) == "not-an-author"
    assert (await orders.discard(ANN, ReasonRequest(late.id))).state == "discarded"
    assert await refused(orders.issue(ANN, OrderRequest(late.id))) == "not-open"
    assert await refused(tree.show("nation", "order-nobody-knows")) == "not-found"
    page = await orders.orders(ANN, ListRequest("discarded"))
    assert [one.id for one in page.items] == [late.id]
    first = await orders.orders(ANN, ListRequest(limit=1))
    assert [one.id for one in first.items] == [late.id]
    assert [one.id for one in (await orders.orders(ANN, ListRequest(None, 1, first.next))).items] == [drawn.id]


async def test_a_draft_with_an_id_may_be_sent_again(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(places=PAIR)
    one = await tree.draft("nation", id="order-of-today", deadline="2200-01-01T00:00:00Z")
    two = await tree.draft("nation", id="order-of-today", deadline="2200-01-01T00:00:00Z")
    assert one == two
    assert await refused(tree.draft("nation", id="order-of-today", reason="other")) == "conflict"


async def test_a_person_at_the_target_says_yes_or_no(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(kind(accept="operator"), places=(*PAIR, ("site-2", "nation")))
    issued = await tree.issue("nation")

    async def waits(name: str) -> None:
        await until(lambda: tree.shown("nation", issued.id).get(tree.id(name)) == "delivered", f"{name} has it")

    await waits("site")
    await waits("site-2")
    here = (await tree.show("site", issued.id)).here
    assert here is not None
    assert here.waits
    await tree.orders("site").accept(BOB, OrderRequest(issued.id))
    await tree.orders("site-2").refuse(BOB, ReasonRequest(issued.id, "not here"))
    closed = await tree.settled("nation", issued.id)
    assert closed.totals == {"verified": 1, "refused": 1}
    assert (await tree.targets("nation", issued.id))["site-2"].detail == "not here"
    assert await refused(tree.orders("site-2").accept(BOB, OrderRequest(issued.id))) == "conflict"
    assert await refused(tree.orders("site").accept(BOB, OrderRequest("never-heard-of"))) == "not-found"
    assert tree.node("site-2").audited("order.refuse")[0][0] == "bob"


async def test_an_order_that_nobody_answers_expires_at_its_deadline(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(kind(accept="operator"), places=PAIR)
    issued = await tree.issue("nation", deadline=soon(1))
    await tree.settled("nation", issued.id, "expired")
    assert tree.world.log == []


async def test_an_order_starts_at_its_time_and_not_before(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(places=PAIR)
    start = time.time_ns() + SECOND
    issued = await tree.issue("nation", not_before=format_rfc3339(start))
    await tree.settled("nation", issued.id, "verified")
    assert tree.world.log[0][1] >= start


async def test_a_node_obeys_only_the_kinds_it_allows(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(places=(*PAIR, ("site-2", "nation")))
    kinds = await tree.orders("site").allow(BOB, AllowRequest("block", False))
    assert [(one.name, one.obeyed) for one in kinds] == [("block", False)]
    issued = await tree.issue("nation")
    closed = await tree.settled("nation", issued.id)
    assert closed.totals == {"verified": 1, "refused": 1}
    assert (await tree.targets("nation", issued.id))["site"].reason == "kind-not-allowed"
    await tree.orders("site").allow(BOB, AllowRequest("block", None))
    again = await tree.issue("nation")
    await tree.settled("nation", again.id, "verified")
    assert tree.node("site").audited("order.allow")[0][2] == "order-kind/block"


@pytest.mark.parametrize("where", list(Place))
async def test_the_probe_looks_where_the_kind_says(order_tree: MakeTree, where: Place) -> None:
    tree: OrderTree = await order_tree(kind(probe=Probe("resolve", where, every=10 * MS, within=SECOND)), places=LINE)
    issued = await tree.issue("nation")
    await tree.settled("nation", issued.id, "verified")
    signer = {Place.TARGET: "site", Place.PARENT: "enterprise", Place.ISSUER: "nation"}[where]
    events = await tree.events(signer, issued.id)
    assert ("verified", "") in events
    if where is not Place.ISSUER:
        assert set(tree.shown("site", issued.id).values()) == {"verified" if where is Place.TARGET else "executed"}


async def test_what_a_probe_does_not_see_is_contradicted_and_what_none_can_see_is_unverifiable(
    order_tree: MakeTree,
) -> None:
    tree: OrderTree = await order_tree(
        kind(),
        kind("unprobed", probe=None),
        kind("elsewhere", probe=Probe("radar")),
        kind("lost", driver="nobody"),
        places=PAIR,
    )
    tree.world.succeeds = False
    failed = await tree.issue("nation")
    assert (await tree.settled("nation", failed.id, "failed")).totals == {"failed": 1}
    tree.world.succeeds = True

    async def deceived() -> OrderView:
        order = await tree.draft("nation", id="order-deceived")
        # Claims success and does nothing, for it says that it knows the key.
        tree.world.keys.add(f"{order.id}/{tree.id('site')}")
        return await tree.orders("nation").issue(ANN, OrderRequest(order.id))

    await tree.settled("nation", (await deceived()).id, "contradicted")
    for name in ("unprobed", "elsewhere"):
        await tree.settled("nation", (await tree.issue("nation", kind=name)).id, "unverifiable")
    tree.world.blind = True
    blind = await tree.issue("nation")
    await tree.settled("nation", blind.id, "unverifiable")
    target = (await tree.targets("nation", blind.id))["site"]
    assert target.verdict is not None
    assert target.verdict.evidence == "ConnectionError: no way there"
    tree.world.blind = False
    lost = await tree.issue("nation", kind="lost")
    await tree.settled("nation", lost.id, "failed")
    assert (await tree.targets("nation", lost.id))["site"].detail == "there is no driver nobody here"


async def test_a_revocation_stops_what_has_not_begun_and_takes_back_what_was_done(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(
        kind(), kind("asked", accept="operator"), kind("lasting", can_roll_back=False), places=LINE
    )
    site = tree.id("site")
    done = await tree.issue("nation")
    await tree.settled("nation", done.id, "verified")
    assert (await tree.revoke("nation", done.id)).revoked
    await tree.revoke("nation", done.id)
    await until(lambda: tree.shown("nation", done.id)[site] == "rolled_back_verified", "it is taken back")
    assert tree.world.present[(done.id, site)] is False
    assert [key for key, _ in tree.world.log] == [f"{done.id}/{site}", f"{done.id}/{site}/rollback"]
    waiting = await tree.issue("nation", kind="asked")
    await until(lambda: tree.shown("nation", waiting.id)[site] == "delivered", "it waits")
    await tree.revoke("nation", waiting.id)
    await tree.settled("nation", waiting.id, "revoked")
    lasting = await tree.issue("nation", kind="lasting")
    await tree.settled("nation", lasting.id, "verified")
    await tree.revoke("nation", lasting.id)

    async def too_late() -> bool:
        return (await tree.targets("nation", lasting.id))["site"].reason == "revoke-too-late"

    await eventually(too_late, "it says that it is too late")
    assert set(tree.shown("nation", lasting.id).values()) == {"verified"}
    assert await refused(tree.revoke("site", done.id)) == "conflict"
    drawn = await tree.draft("nation")
    assert await refused(tree.revoke("nation", drawn.id)) == "conflict"
    assert tree.node("nation").audited("order.revoke")[0][2] == f"order/{done.id}"


async def test_a_revocation_of_what_is_executing_waits_for_its_end(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(places=PAIR)
    gate = tree.world.gate = asyncio.Event()
    issued = await tree.issue("nation")
    await until(lambda: bool(tree.world.began), "the driver runs")
    await tree.revoke("nation", issued.id)

    async def pending() -> bool:
        return (await tree.targets("nation", issued.id))["site"].reason == "revoke-pending"

    await eventually(pending, "the revocation waits")
    gate.set()
    await tree.settled("nation", issued.id, "rolled_back_verified")


async def test_targets_that_are_not_there_are_undeliverable(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(kind(accept="operator"), places=(*LINE, ("site-2", "enterprise")))
    stranger = "a" * 24
    nodes = [tree.id("site"), tree.id("site-2"), stranger]
    issued = await tree.issue("nation", selection=SelectionDocument(nodes=nodes))
    await until(
        lambda: sorted(tree.shown("nation", issued.id).values()) == ["delivered", "delivered", "undeliverable"], ""
    )
    gone = tree.id("site-2")
    for name in ("enterprise", "province", "nation"):
        tree.node(name).directory.replace(gone=[gone])
    await until(lambda: tree.shown("nation", issued.id)[gone] == "undeliverable", "the retired one is given up")
    await tree.orders("site").accept(BOB, OrderRequest(issued.id))
    closed = await tree.settled("nation", issued.id)
    assert closed.totals == {"undeliverable": 2, "verified": 1}
    events = await tree.events("enterprise", issued.id)
    assert ("undeliverable", "target-retired") in events
    await tree.idle("nation", "province", "enterprise", "site")
    for name in ("nation", "province", "enterprise", "site"):
        tree.counts_are_right(name)


async def test_who_is_late_is_overdue_then_escalated_also_over_restarts(order_tree: MakeTree) -> None:
    clocks = {Step.ACCEPT: Clock(300 * MS, 900 * MS, "duty officer")}
    tree: OrderTree = await order_tree(kind(accept="operator", clocks=clocks), places=PAIR)
    issued = await tree.issue("nation")

    async def flagged(overdue: int, escalated: int) -> None:
        async def so() -> bool:
            now = await tree.show("nation", issued.id)
            return now.overdue >= overdue and now.escalated >= escalated

        await eventually(so, f"{overdue} overdue, {escalated} escalated")

    await flagged(1, 0)
    await tree.crash("nation")
    await tree.start("nation")
    await flagged(1, 1)
    await until(lambda: bool(tree.node("nation").audited("order.escalate")), "it is told")
    assert tree.node("nation").audited("order.escalate")[0][3] == "1 targets late to accept, told to duty officer"
    assert (await tree.targets("nation", issued.id))["site"].escalated == "accept"
    events = await tree.events("nation", issued.id)
    assert [event for event in events if event[0] in ("overdue", "escalated")] == [
        ("overdue", "accept"),
        ("escalated", "accept"),
    ]
    await tree.orders("site").accept(BOB, OrderRequest(issued.id))
    closed = await tree.settled("nation", issued.id, "verified")
    assert (closed.overdue, closed.escalated) == (0, 0)


async def test_what_is_over_and_old_is_forgotten_everywhere(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(places=LINE, keep=0)
    issued = await tree.issue("nation", deadline=soon(4))
    await tree.settled("nation", issued.id, "verified")
    await tree.idle()
    for name in tree.nodes:
        await tree.node(name).host.turn(tree.orders(name).forget)
        assert tree.shown(name, issued.id), "it is before the deadline"
    await until(lambda: time.time_ns() > parse_rfc3339(issued.deadline), "the deadline")
    for name in tree.nodes:
        await tree.node(name).host.turn(tree.orders(name).forget)
        assert tree.shown(name, issued.id) == {}
        assert await refused(tree.show(name, issued.id)) == "not-found"
