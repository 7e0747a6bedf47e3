"""What an expert checks first: crashes, forgeries, replays, skewed clocks, re-homing, restored backups, cut links."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gongfu.kernel.errors import Problem
from gongfu.kernel.times import format_rfc3339
from gongfu.tree.host.section import Turn
from gongfu.tree.membership.chain import ANY_STATE, extend_chain, sign_membership
from gongfu.tree.membership.keys import NodeKey
from gongfu.tree.orders import messages, order_records
from gongfu.tree.orders.combined import Registers
from gongfu.tree.orders.documents import OrderRequest, QueryDocument, SelectionDocument
from gongfu.tree.orders.kinds import Clock, Place, Probe, Step
from gongfu.tree.orders.selection import Query
from gongfu.tree.orders.types import (
    Execution,
    OrderDocument,
    State,
    decode_order,
    encode_document,
    order_message,
)
from tests.fixtures.tree import until
from tests.unit.tree.orders_at_work.nodes_with_orders import ANN, BOB, CAT, SECOND, OrderTree, kind

MakeTree = Callable[..., Any]
DAY = 86_400 * SECOND
LINE = (("nation", ""), ("province", "nation"), ("enterprise", "province"), ("site", "enterprise"))
FORK = (*LINE, ("site-2", "enterprise"))


def soon(seconds: float) -> str:
    return format_rfc3339(time.time_ns() + int(seconds * SECOND))


def signed_message(document: OrderDocument, key: NodeKey, *targets: str) -> bytes:
    body = encode_document(document)
    return messages.encode(messages.OrderMessage(body, key.sign(order_message(body)), targets))


def captured(tree: OrderTree, name: str, order: str) -> OrderDocument:
    engine = tree.node(name).engine
    assert engine is not None
    with engine.connect() as connection:
        row = order_records.by_id(connection, order)
    assert row is not None
    return decode_order(row.body)


async def inject(tree: OrderTree, sender: str, receiver: str, topic: str, body: bytes) -> None:
    """Put a message into the outbox of a node, as whoever has broken into it could."""
    peer = tree.id(receiver)
    await tree.node(sender).host.turn(lambda turn: turn.send(peer, topic, body))
    await tree.idle()


async def test_a_province_killed_between_approved_and_issued_issues_once(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(kind(approvals=2), places=LINE)
    drawn = await tree.draft("province")
    for subject in (BOB, CAT):
        approved = await tree.approve("province", drawn, subject)
    assert approved.state == "approved"
    # The turn of issuing is begun and the process dies before its transaction is committed, or after.
    issuing = asyncio.ensure_future(tree.orders("province").issue(ANN, OrderRequest(drawn.id)))
    await asyncio.sleep(0)
    await tree.crash("province")
    issuing.cancel()
    await asyncio.gather(issuing, return_exceptions=True)
    await tree.start("province")
    after = await tree.show("province", drawn.id)
    assert after.state in ("approved", "issued", "closed")
    assert len(after.approvals) == 2
    for _ in range(2):
        await tree.orders("province").issue(ANN, OrderRequest(drawn.id))
    await tree.settled("province", drawn.id, "verified")
    assert len(tree.world.log) == 1
    issues = [one for one in tree.node("province").audited("order.issue") if one[2] == f"order/{drawn.id}"]
    assert len(issues) == 1


async def test_an_issue_that_fails_leaves_the_order_approved(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(places=LINE)
    drawn = await tree.draft("nation")

    def broken(turn: Turn) -> None:
        tree.orders("nation")._issuing.issue(turn, ANN, drawn.id)
        raise OSError("no power")

    with pytest.raises(OSError, match="no power"):
        await tree.node("nation").host.turn(broken)
    assert (await tree.show("nation", drawn.id)).state == "approved"
    assert tree.shown("site", drawn.id) == {}
    await tree.orders("nation").issue(ANN, OrderRequest(drawn.id))
    await tree.settled("nation", drawn.id, "verified")


@pytest.mark.parametrize("idempotent", [True, False])
async def test_a_crash_while_the_driver_runs(order_tree: MakeTree, idempotent: bool) -> None:
    tree: OrderTree = await order_tree(kind(idempotent=idempotent), places=LINE)
    gate = tree.world.gate = asyncio.Event()
    issued = await tree.issue("nation")
    await until(lambda: bool(tree.world.began), "the driver runs")
    await tree.crash("site")
    gate.set()
    await tree.start("site")
    closed = await tree.settled("nation", issued.id)
    target = (await tree.targets("nation", issued.id))["site"]
    if idempotent:
        assert closed.totals == {"verified": 1}
        assert target.attempt == 2
        assert len(tree.world.log) == 1
    else:
        assert (target.said, target.reason) == ("failed", "interrupted")
        assert tree.world.log == []
        # The probe looks: there is no effect, so it did fail.
        await until(lambda: tree.shown("nation", issued.id)[tree.id("site")] == "failed", "the probe agrees")


@pytest.mark.parametrize("skewed", ["site", "province"])
@pytest.mark.parametrize("offset", [-DAY, DAY])
async def test_a_clock_that_is_a_day_off_changes_nothing(order_tree: MakeTree, skewed: str, offset: int) -> None:
    tree: OrderTree = await order_tree(kind(accept="operator"), places=())
    for name, parent in LINE:
        await tree.add(name, parent, clock=offset if name == skewed else 0)
    await tree.idle()
    below = tree.node("site").host
    await until(lambda: abs(below.now() - time.time_ns()) < 5 * SECOND, "the site knows its parent's time")
    issued = await tree.issue("nation")
    await until(lambda: set(tree.shown("nation", issued.id).values()) == {"delivered"}, "it is not expired")
    await tree.orders("site").accept(BOB, OrderRequest(issued.id))
    await tree.settled("nation", issued.id, "verified")
    short = await tree.issue("nation", deadline=soon(0.5))
    await tree.settled("nation", short.id, "expired")
    above = {"site": "enterprise", "province": "nation"}[skewed]
    assert any(one[1] == "clock.skew" for one in tree.node(skewed).audited() + tree.node(above).audited())


async def test_a_captured_order_that_is_sent_again_does_nothing(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(places=FORK, keep=0)
    issued = await tree.issue("nation", deadline=soon(4))
    await tree.settled("nation", issued.id, "verified")
    document = captured(tree, "site", issued.id)
    again = signed_message(document, tree.node("nation").key, tree.id("site"))
    await inject(tree, "enterprise", "site", messages.ORDER, again)
    assert ("repeated", "") in await tree.events("site", issued.id)
    assert len(tree.world.log) == 2
    # Once it is forgotten it comes again, after its deadline.
    await until(lambda: time.time_ns() > document.deadline, "the deadline")
    await tree.node("site").host.turn(tree.orders("site").forget)
    assert tree.shown("site", issued.id) == {}
    await inject(tree, "enterprise", "site", messages.ORDER, again)
    assert set(tree.shown("site", issued.id).values()) == {"expired"}
    assert ("expired", "expired") in await tree.events("site", issued.id)
    assert len(tree.world.log) == 2
    assert set(tree.shown("nation", issued.id).values()) == {"verified"}, "an old register does not come back"


async def test_a_forged_order_is_refused_and_shown(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(places=FORK)
    issued = await tree.issue("nation")
    await tree.settled("nation", issued.id, "verified")
    genuine = captured(tree, "site", issued.id)
    site, sibling, nation = tree.id("site"), tree.node("site-2"), tree.id("nation")
    forged = msgspec.structs.replace(genuine, id="forged-order-1", selection=Query())
    from_sibling = msgspec.structs.replace(forged, id="forged-order-2", issuer=sibling.id)
    unsigned = signed_message(forged, sibling.key, site)
    other_text = msgspec.structs.replace(genuine, reason="other words")
    cases = [
        # A sibling in its own name: by way of the parent, and at the site (whose parent was broken into).
        (
            "site-2",
            "enterprise",
            "forged-order-2",
            signed_message(from_sibling, sibling.key, site),
            "issuer-not-ancestor",
        ),
        (
            "enterprise",
            "site",
            "forged-order-2",
            signed_message(from_sibling, sibling.key, site),
            "issuer-not-ancestor",
        ),
        # In the nation's name.
        ("enterprise", "site", "forged-order-1", unsigned, "signature-bad"),
        ("site-2", "enterprise", "forged-order-1", unsigned, "signature-bad"),
        # The nation's own document, from below.
        (
            "site-2",
            "enterprise",
            issued.id,
            signed_message(genuine, tree.node("nation").key, site),
            "issuer-not-ancestor",
        ),
        # Another order under an id that was used; the key was stolen.
        ("enterprise", "site", issued.id, signed_message(other_text, tree.node("nation").key, site), "order-id-reused"),
    ]
    for sender, receiver, order, message, reason in cases:
        await inject(tree, sender, receiver, messages.ORDER, message)
        assert ("disbelieved", reason) in await tree.events(receiver, order)
        audited = tree.node(receiver).audited("order.disbelieve")[-1]
        assert audited[2] == f"order/{order}"
        assert audited[3].startswith(f"{reason}: said to be of ")
        if order != issued.id:
            assert tree.shown(receiver, order) == {}
    assert len(tree.world.log) == 2
    await inject(tree, "enterprise", "site", messages.ORDER, b"\x93\x01\x02\x03")
    assert tree.node("site").audited("message.refuse")
    # An order that is signed for others only.
    elsewhere = msgspec.structs.replace(genuine, id="for-others-only", selection=Query(tiers=("province",)))
    await inject(tree, "enterprise", "site", messages.ORDER, signed_message(elsewhere, tree.node("nation").key, site))
    assert ("received", "not-meant") in await tree.events("site", "for-others-only")
    assert nation not in {key for key, _ in tree.world.log}
    assert len(tree.world.log) == 2


async def test_a_flood_of_forgeries_is_counted_and_not_all_noted(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(places=(("nation", ""), ("site", "nation")), disbelieved=3)
    stranger = NodeKey(b"s" * 32)
    body = signed_message(
        OrderDocument(
            id="forged-order",
            kind="block",
            payload=msgspec.Raw(b"{}"),
            selection=Query(),
            not_before=0,
            deadline=2**62,
            issuer=stranger.id,
            authors=("mallory",),
            issued_at=0,
        ),
        stranger,
        tree.id("site"),
    )
    for _ in range(5):
        await inject(tree, "nation", "site", messages.ORDER, body)
    assert len(await tree.events("site", "forged-order")) == 3
    assert len(tree.node("site").audited("order.disbelieve")) == 3
    counts = tree.node("site").counters.snapshot()
    assert counts["tree_orders_disbelieved.issuer-not-ancestor"] == 5
    assert counts["tree_orders_events_shed.disbelieved-full"] == 2


async def test_a_register_of_another_node_is_refused_and_shown(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(kind(accept="operator"), places=FORK, parked_for=SECOND // 10)
    issued = await tree.issue("nation")
    await until(lambda: set(tree.shown("nation", issued.id).values()) == {"delivered"}, "both have it")
    site = tree.id("site")
    lie = Execution(issued.id, site, State.REFUSED, 9, time.time_ns(), site)
    (message,) = messages.encode_registers([msgspec.msgpack.encode(Registers(lie))])
    await inject(tree, "site-2", "enterprise", messages.REGISTERS, message)
    await until(lambda: bool(tree.node("enterprise").audited("order.disbelieve")), "it is not believed")
    signed = msgspec.structs.replace(lie, target=tree.id("site-2"))
    (message,) = messages.encode_registers([msgspec.msgpack.encode(Registers(signed))])
    await inject(tree, "site-2", "enterprise", messages.REGISTERS, message)
    await until(lambda: len(tree.node("enterprise").audited("order.disbelieve")) == 2, "nor is that")
    assert set(tree.shown("nation", issued.id).values()) == {"delivered"}
    # Of an order that does not mean it.
    uninvited = Execution(issued.id, tree.id("enterprise"), State.EXECUTED, 9, 1, tree.id("enterprise"), claim=9)
    (message,) = messages.encode_registers([msgspec.msgpack.encode(Registers(uninvited))])
    await inject(tree, "enterprise", "province", messages.REGISTERS, message)
    await until(lambda: bool(tree.node("nation").audited("order.disbelieve")), "it comes to the issuer")
    assert "it is not a target" in tree.node("nation").audited("order.disbelieve")[0][3]
    assert tree.id("enterprise") not in tree.shown("nation", issued.id)


async def rehome(tree: OrderTree, name: str, parent: str) -> None:
    """Move a node without children to below another, as the sections of nodes do it."""
    node, above = tree.node(name), tree.node(parent)
    before = node.directory.chain.membership
    former = next(one for one in tree.nodes.values() if one.id == before.parent)
    membership = msgspec.structs.replace(
        before, parent=above.id, path=above.directory.chain.nodes, revision=before.revision + 1
    )
    chain = extend_chain(above.directory.chain, sign_membership(above.key, membership), time.time_ns())
    for other in tree.nodes.values():
        if other.id in before.path and other.id not in membership.path:
            other.directory.replace(gone=[node.id])
        elif other.id in membership.path:
            other.directory.replace(changed=[membership])
    node.directory.replace(chain=chain)
    if former.running is not None:
        await former.host.turn(lambda turn: former.host.close_link(turn, node.id))
    await node.host.turn(lambda turn: node.host.close_link(turn, former.id))
    await above.host.turn(partial(_open, above.host, node.id, False))
    await node.host.turn(partial(_open, node.host, above.id, True))


def _open(host: Any, peer: str, parent: bool, turn: Turn) -> None:
    host.open_link(turn, peer, parent=parent)


@pytest.mark.parametrize("reached", [True, False])
async def test_a_target_that_is_rehomed_during_an_order_comes_to_its_end(order_tree: MakeTree, reached: bool) -> None:
    tree: OrderTree = await order_tree(kind(accept="operator"))
    if not reached:
        await tree.cut("enterprise-1", "site-1")
    issued = await tree.issue("nation")
    site = tree.id("site-1")
    await until(lambda: site in tree.shown("enterprise-1", issued.id), "its parent has it")
    if reached:
        await until(lambda: tree.shown("nation", issued.id)[site] == "delivered", "it has it")
    await rehome(tree, "site-1", "enterprise-2")
    await until(lambda: tree.shown("site-1", issued.id).get(site) == "delivered", "it has it")
    for name in ("site-1", "site-2", "site-3"):
        await until(lambda name=name: tree.shown(name, issued.id) != {}, f"{name} has it")
        await tree.orders(name).accept(BOB, OrderRequest(issued.id))
    closed = await tree.settled("nation", issued.id, "verified")
    assert closed.targets == 3
    assert len(tree.world.log) == 3
    assert (await tree.targets("nation", issued.id))["site-1"].path[-1] == "enterprise-2"
    assert "rerouted" in [event for event, _ in await tree.events("nation", issued.id)]
    assert ("undeliverable", "target-retired") in await tree.events("enterprise-1", issued.id)
    await tree.idle()
    for name in tree.nodes:
        tree.counts_are_right(name)


async def test_an_order_that_expires_while_the_child_is_away_is_not_executed(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(places=FORK)
    await tree.cut("enterprise", "site")
    issued = await tree.issue("nation", deadline=soon(3))
    await until(lambda: tree.shown("nation", issued.id)[tree.id("site-2")] == "verified", "the other one does it")
    await until(lambda: time.time_ns() > captured(tree, "nation", issued.id).deadline, "the deadline")
    assert tree.shown("nation", issued.id)[tree.id("site")] == "issued", "nobody knows more"
    await tree.join("enterprise", "site")
    closed = await tree.settled("nation", issued.id)
    assert closed.totals == {"expired": 1, "verified": 1}
    assert [key for key, _ in tree.world.log] == [f"{issued.id}/{tree.id('site-2')}"]


async def test_a_target_restored_from_a_backup_does_not_do_it_again(order_tree: MakeTree, tmp_path: Path) -> None:
    tree: OrderTree = await order_tree(kind(idempotent=False), places=LINE)
    await tree.idle()
    await tree.crash("site")
    tree.copy("site", tmp_path / "backup.db")
    await tree.start("site")
    issued = await tree.issue("nation")
    await tree.settled("nation", issued.id, "verified")
    await tree.idle()
    await tree.crash("site")
    tree.restore("site", tmp_path / "backup.db")
    await tree.start("site")
    await tree.settled("site", issued.id, "verified")
    await tree.idle()
    assert len(tree.world.log) == 1
    here = (await tree.show("site", issued.id)).here
    assert here is not None
    assert here.state == "executed"
    # It goes on from there: what is revoked now is taken back.
    await tree.revoke("nation", issued.id)
    await until(lambda: set(tree.shown("nation", issued.id).values()) == {"rolled_back_verified"}, "it is taken back")
    assert len(tree.world.log) == 2


@pytest.mark.parametrize("name", ["province", "nation"])
async def test_a_node_above_restored_from_a_backup_hears_everything_again(
    order_tree: MakeTree, tmp_path: Path, name: str
) -> None:
    tree: OrderTree = await order_tree(places=FORK)
    await tree.idle()
    early = await tree.issue("nation")
    await tree.settled("nation", early.id, "verified")
    await tree.idle()
    await tree.crash(name)
    tree.copy(name, tmp_path / "backup.db")
    await tree.start(name)
    later = await tree.issue("nation")
    await tree.settled("nation", later.id, "verified")
    await tree.idle()
    await tree.crash(name)
    tree.restore(name, tmp_path / "backup.db")
    await tree.start(name)
    for order in (early, later):
        sites = {tree.id("site"), tree.id("site-2")}
        await until(
            lambda order=order, sites=sites: tree.shown(name, order.id) == dict.fromkeys(sites, "verified"),
            f"{name} knows of {order.id} again",
        )
    await tree.idle()
    tree.counts_are_right(name)
    assert len(tree.world.log) == 4
    # Also the text of what it issued itself.
    if name == "nation":
        await until(lambda: bool(tree.node(name).audited("order.recover")), "it is told the text")
    shown = await tree.show(name, later.id)
    assert (shown.state, shown.own, shown.digest, shown.targets) == ("closed", name == "nation", later.digest, 2)
    third = await tree.issue("nation")
    await tree.settled("nation", third.id, "verified")


@pytest.mark.parametrize("drawn_before", [True, False])
async def test_an_issuer_restored_from_a_backup_takes_its_order_back(
    order_tree: MakeTree, tmp_path: Path, drawn_before: bool
) -> None:
    clocks = {Step.ACCEPT: Clock(3600 * SECOND)}
    tree: OrderTree = await order_tree(kind(accept="operator", clocks=clocks))
    await tree.idle()

    async def backup() -> None:
        await tree.crash("nation")
        tree.copy("nation", tmp_path / "backup.db")
        await tree.start("nation")

    if not drawn_before:
        await backup()
    drawn = await tree.draft("nation", id="order-of-today")
    if drawn_before:
        await backup()
    await tree.orders("nation").issue(ANN, OrderRequest(drawn.id))
    await until(lambda: set(tree.shown("nation", drawn.id).values()) == {"delivered"}, "all have it")
    await tree.orders("site-1").accept(BOB, OrderRequest(drawn.id))
    await until(lambda: tree.shown("nation", drawn.id)[tree.id("site-1")] == "verified", "one has done it")
    await tree.idle()
    await tree.crash("nation")
    tree.restore("nation", tmp_path / "backup.db")
    await tree.start("nation")
    states = {tree.id("site-1"): "verified", tree.id("site-2"): "delivered", tree.id("site-3"): "delivered"}
    await until(lambda: tree.shown("nation", drawn.id) == states, "it knows again")
    await until(lambda: bool(tree.node("nation").audited("order.recover")), "it is told the text")
    shown = await tree.show("nation", drawn.id)
    assert (shown.state, shown.own, shown.targets) == ("issued", True, 3)
    assert ("recovered", "") in await tree.events("nation", drawn.id)
    # It is its issuer again.
    await tree.revoke("nation", drawn.id)
    closed = await tree.settled("nation", drawn.id)
    await until(lambda: tree.shown("nation", drawn.id)[tree.id("site-1")] == "rolled_back_verified", "it is taken back")
    assert closed.revoked
    await tree.orders("nation").issue(ANN, OrderRequest(drawn.id))
    assert len(tree.world.log) == 2
    await tree.idle()
    tree.counts_are_right("nation")


async def test_a_revocation_that_its_issuer_has_lost_reaches_everybody(order_tree: MakeTree, tmp_path: Path) -> None:
    tree: OrderTree = await order_tree()
    await tree.idle()
    await tree.crash("nation")
    tree.copy("nation", tmp_path / "backup.db")
    await tree.start("nation")
    issued = await tree.issue("nation")
    await tree.settled("nation", issued.id, "verified")
    await tree.cut("nation", "province-2")
    await tree.revoke("nation", issued.id)
    await until(lambda: set(tree.shown("province-1", issued.id).values()) == {"rolled_back_verified"}, "one has heard")
    await tree.crash("nation")
    tree.restore("nation", tmp_path / "backup.db")
    await tree.join("nation", "province-2")
    await tree.start("nation")
    sites = {tree.id(f"site-{number}") for number in (1, 2, 3)}
    wanted = dict.fromkeys(sites, "rolled_back_verified")
    await until(lambda: tree.shown("nation", issued.id) == wanted, "all have heard")
    assert (await tree.show("nation", issued.id)).revoked
    assert len(tree.world.log) == 6


@pytest.mark.parametrize(("where", "name"), [(Place.PARENT, "enterprise"), (Place.ISSUER, "nation")])
async def test_a_prober_that_is_restored_before_it_has_looked_looks_all_the_same(
    order_tree: MakeTree, tmp_path: Path, where: Place, name: str
) -> None:
    tree: OrderTree = await order_tree(kind(probe=Probe("resolve", where, delay=2 * SECOND)), places=LINE)
    await tree.idle()
    await tree.crash(name)
    tree.copy(name, tmp_path / "backup.db")
    await tree.start(name)
    issued = await tree.issue("nation")
    await until(lambda: set(tree.shown(name, issued.id).values()) == {"executed"}, "it is executed")
    await tree.idle()
    await tree.crash(name)
    tree.restore(name, tmp_path / "backup.db")
    await tree.start(name)
    await tree.settled("nation", issued.id, "verified")
    await tree.idle()
    tree.counts_are_right(name)


async def test_a_suspended_node_issues_nothing_and_obeys_nothing(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(places=LINE)
    above, site = tree.node("enterprise"), tree.node("site")
    before = site.directory.chain.membership
    suspended = msgspec.structs.replace(before, state="suspended", revision=2)
    parents = above.directory.chain
    signed = sign_membership(above.key, msgspec.convert(msgspec.to_builtins(suspended), type(before)))
    chain = extend_chain(parents, signed, time.time_ns(), accept=ANY_STATE)
    site.directory.replace(chain=chain)
    issued = await tree.issue("nation")
    await tree.settled("nation", issued.id, "refused")
    assert (await tree.targets("nation", issued.id))["site"].reason == "node-suspended"
    with pytest.raises(Problem, match="suspended"):
        await tree.issue("site", selection=SelectionDocument(query=QueryDocument()))
