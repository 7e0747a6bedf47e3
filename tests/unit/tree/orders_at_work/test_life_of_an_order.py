"""An order from its draft to its end, over four levels."""

from collections.abc import Callable
from typing import Any

import pytest

from gongfu.kernel.errors import Problem
from gongfu.tree.orders.documents import OrderRequest, SelectionDocument
from gongfu.tree.orders.kinds import Guard, Place, Probe
from tests.unit.tree.orders_at_work.nodes_with_orders import ANN, BOB, CAT, MS, kind

MakeTree = Callable[..., Any]


async def test_an_order_reaches_every_site_is_executed_once_and_verified(order_tree: MakeTree) -> None:
    tree = await order_tree()
    issued = await tree.issue("nation")
    assert (issued.state, issued.targets, issued.own) == ("issued", 3, True)
    closed = await tree.settled("nation", issued.id, "verified")
    assert closed.state == "closed"
    assert closed.totals == {"verified": 3}
    assert [(one.tier, one.counts) for one in closed.progress] == [("site", {"verified": 3})]
    assert len(tree.world.log) == len({key for key, _ in tree.world.log}) == 3
    await tree.settled("province-1", issued.id, "verified")
    await tree.idle()
    for name in tree.nodes:
        tree.counts_are_right(name)
    at_site = await tree.show("site-1", issued.id)
    assert not at_site.own
    assert (at_site.issuer.name, at_site.here.state) == ("nation", "executed")
    targets = await tree.targets("nation", issued.id)
    assert targets["site-3"].path == ["nation", "province-2", "enterprise-2"]
    assert targets["site-3"].verdict.finding == "verified"
    assert ("issued", "") in await tree.events("nation", issued.id)
