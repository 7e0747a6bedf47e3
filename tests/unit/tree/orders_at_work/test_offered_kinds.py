"""Kinds that come and go while the engine runs: refused when unknown, and a visible end when withdrawn."""

from collections.abc import Callable
from typing import Any

import pytest

from gongfu.kernel.errors import Problem
from gongfu.tree.orders.kinds import KindError, Probe
from tests.fixtures.tree import until
from tests.unit.tree.orders_at_work.nodes_with_orders import MS, SECOND, OrderTree, kind

MakeTree = Callable[..., Any]
PAIR = (("nation", ""), ("site", "nation"))
PATIENT = kind("drill", probe=Probe("resolve", every=10 * MS, within=3600 * SECOND))


async def test_a_kind_is_known_from_its_offer_on_and_refused_where_nobody_offers_it(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(places=PAIR)
    with pytest.raises(Problem) as unknown:
        await tree.issue("nation", kind="drill")
    assert "there is no kind 'drill' here" in unknown.value.detail
    tree.orders("nation").offer([PATIENT])
    refused = await tree.issue("nation", kind="drill")
    await tree.settled("nation", refused.id, "refused")
    target = (await tree.targets("nation", refused.id))["site"]
    assert (target.reason, target.detail) == ("kind-unknown", "drill")
    tree.orders("site").offer([PATIENT])
    issued = await tree.issue("nation", kind="drill")
    await tree.settled("nation", issued.id, "verified")


async def test_what_is_being_verified_ends_visibly_when_its_kind_is_withdrawn(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(places=PAIR)
    for node in ("nation", "site"):
        tree.orders(node).offer([PATIENT])
    tree.world.blind = True
    issued = await tree.issue("nation", kind="drill")
    await until(lambda: set(tree.shown("nation", issued.id).values()) == {"executed"}, "it is executed")
    tree.orders("site").offer([])
    await tree.settled("nation", issued.id, "unverifiable")
    assert ("unverifiable", "kind-unknown") in await tree.events("site", issued.id)


async def test_all_that_is_being_verified_ends_however_much_there_is(
    order_tree: MakeTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gongfu.tree.orders.probing._AT_ONCE", 1)
    tree: OrderTree = await order_tree(places=PAIR)
    for node in ("nation", "site"):
        tree.orders(node).offer([PATIENT])
    tree.world.blind = True
    orders = [(await tree.issue("nation", kind="drill")).id for _ in range(6)]
    for order in orders:
        await until(lambda order=order: set(tree.shown("nation", order).values()) == {"executed"}, "it is executed")
    tree.orders("site").offer([])
    for order in orders:
        await tree.settled("nation", order, "unverifiable")


async def test_an_offer_cannot_replace_a_kind_of_the_node(order_tree: MakeTree) -> None:
    tree: OrderTree = await order_tree(places=PAIR)
    tree.orders("site").offer([PATIENT])
    with pytest.raises(KindError, match="block is there already"):
        tree.orders("site").offer([kind("block", allowed=False)])
    issued = await tree.issue("nation")
    await tree.settled("nation", issued.id, "verified")
