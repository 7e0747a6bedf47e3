"""Orders on nodes that really join, move, are suspended and retired: directory, links and orders change together."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gongfu.kernel.times import format_rfc3339
from gongfu.store.records.engine import reading
from gongfu.tree.nodes.requests import Rehoming, ReleaseNode
from gongfu.tree.orders import order_records, target_records
from gongfu.tree.orders.documents import (
    DraftRequest,
    EventsRequest,
    OrderRequest,
    OrderView,
    QueryDocument,
    SelectionDocument,
    TargetsRequest,
)
from gongfu.tree.orders.section import OrdersSection
from tests.fixtures.enrolled_tree import EnrolledTree
from tests.fixtures.tree import until
from tests.unit.tree.orders_at_work.nodes_with_orders import ANN, BOB, SECOND, Firewall, Resolve, World, kind


class Ordered(EnrolledTree):
    """Enrolled nodes with order engines."""

    world: World

    def orders(self, name: str) -> OrdersSection:
        return next(one for one in self[name].more if isinstance(one, OrdersSection))

    async def issue(self, name: str, **changed: Any) -> OrderView:
        declared: dict[str, Any] = {
            "kind": "block",
            "payload": msgspec.Raw(b"{}"),
            "selection": SelectionDocument(query=QueryDocument(tiers=["site"])),
            "deadline": format_rfc3339(time.time_ns() + 3600 * SECOND),
        }
        drawn = await self.orders(name).draft(ANN, DraftRequest(**{**declared, **changed}))
        return await self.orders(name).issue(ANN, OrderRequest(drawn.id))

    def shown(self, name: str, order: str) -> dict[str, str]:
        """Return the state of each target as a node knows it, by name."""
        names = {node.id: node.name for node in self.nodes.values()}
        with reading(self[name].engine) as connection:
            row = order_records.by_id(connection, order)
            rows = [] if row is None else target_records.page(connection, row.key, None, None, "", 100)
            return {names[row.node]: row.shown for row in rows}

    async def events(self, name: str, order: str) -> set[str]:
        found = await self.orders(name).events(ANN, EventsRequest(order, 100))
        return {event.action for event in found.items}

    async def move(self, child: str, to: str) -> None:
        release = await self["nation"].ask(
            "node-release", ReleaseNode(self[child].id, self[to].id, False, "a new owner")
        )
        token = await self.token(to, "site", "")
        await self[child].ask("node-rehome", Rehoming(token, release.release))


@pytest.fixture
async def ordered(tmp_path: Path, sqlite_template: Path) -> AsyncIterator[Ordered]:
    world = World()

    def more(nodes: Any) -> list[OrdersSection]:
        return [
            OrdersSection(
                nodes.directory,
                [kind(), kind("asked", accept="operator")],
                {"firewall": Firewall(world, True)},
                {"resolve": Resolve(world)},
            )
        ]

    tree = Ordered(tmp_path, sqlite_template, None, more)
    tree.world = world
    await tree.found()
    for name, parent in (
        ("province1", "nation"),
        ("province2", "nation"),
        ("site1", "province1"),
        ("site2", "province1"),
    ):
        await tree.add(name, parent)
    await tree.idle()
    yield tree
    await tree.close()


async def became(tree: Ordered, name: str, order: str, wanted: dict[str, str]) -> None:
    def so() -> bool:
        return tree.shown(name, order) == wanted

    try:
        await until(so, "")
    except AssertionError:
        raise AssertionError(f"{tree.shown(name, order)} at {name}, not {wanted}") from None


async def known(tree: Ordered, name: str, below: str) -> None:
    await until(lambda: tree[name].section.directory.towards(tree[below].id) is not None, f"{name} knows {below}")


async def test_an_order_to_nodes_that_joined(ordered: Ordered) -> None:
    await known(ordered, "nation", "site2")
    issued = await ordered.issue("nation")
    await became(ordered, "nation", issued.id, {"site1": "verified", "site2": "verified"})


@pytest.mark.parametrize("up", [True, False])
async def test_a_target_that_moves_gets_the_order_at_its_new_place(ordered: Ordered, up: bool) -> None:
    await known(ordered, "nation", "site2")
    if not up:
        # It moves before the order has reached it.
        ordered.wires.cut(ordered["province1"].id, ordered["site1"].id)
    issued = await ordered.issue("nation", kind="asked")
    await until(lambda: ordered.shown("nation", issued.id).get("site2") == "delivered", "the other one has it")
    if up:
        await became(ordered, "nation", issued.id, {"site1": "delivered", "site2": "delivered"})
    await ordered.move("site1", "province2")
    await until(lambda: ordered.shown("province2", issued.id).get("site1") == "delivered", "it has it there")
    await became(ordered, "nation", issued.id, {"site1": "delivered", "site2": "delivered"})
    for name in ("site1", "site2"):
        await ordered.orders(name).accept(BOB, OrderRequest(issued.id))
    await became(ordered, "nation", issued.id, {"site1": "verified", "site2": "verified"})
    assert len(ordered.world.log) == 2
    assert "rerouted" in await ordered.events("nation", issued.id)
    targets = (await ordered.orders("nation").targets(ANN, TargetsRequest(issued.id))).items
    assert {target.name: target.path[-1] for target in targets} == {"site1": "province2", "site2": "province1"}


async def test_a_suspended_target_refuses_and_a_retired_one_is_undeliverable(ordered: Ordered) -> None:
    await known(ordered, "nation", "site2")
    waiting = await ordered.issue("nation", kind="asked")
    await became(ordered, "nation", waiting.id, {"site1": "delivered", "site2": "delivered"})
    await ordered.change("province1", "retire", "site2", "sold")
    await became(ordered, "nation", waiting.id, {"site1": "delivered", "site2": "undeliverable"})
    await ordered.change("province1", "suspend", "site1", "a leak")
    await until(lambda: ordered["site1"].state == "suspended", "it hears so")
    await ordered.orders("site1").accept(BOB, OrderRequest(waiting.id))
    await until(lambda: ordered.shown("site1", waiting.id) == {"site1": "refused"}, "it does not obey")
    await ordered.change("province1", "resume", "site1", "mended")
    await became(ordered, "nation", waiting.id, {"site1": "refused", "site2": "undeliverable"})
    assert ordered.world.log == []


async def test_one_that_joins_later_is_no_target(ordered: Ordered) -> None:
    await known(ordered, "nation", "site2")
    issued = await ordered.issue("nation", kind="asked")
    await ordered.add("site3", "province1")
    await known(ordered, "nation", "site3")
    await became(ordered, "nation", issued.id, {"site1": "delivered", "site2": "delivered"})
    again = await ordered.issue("nation")
    await became(ordered, "nation", again.id, {"site1": "verified", "site2": "verified", "site3": "verified"})
    assert ordered.shown("site3", issued.id) == {}
