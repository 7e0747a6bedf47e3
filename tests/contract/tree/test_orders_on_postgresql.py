"""The order engine on PostgreSQL: the same life of an order, the same counts, the same pages."""

import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from gongfu.store.records.engine import writing
from gongfu.tree.orders import order_records, target_records
from gongfu.tree.orders.combined import Registers
from gongfu.tree.orders.documents import OrderRequest
from gongfu.tree.orders.effects import Audit, TargetRecord
from gongfu.tree.orders.kinds import Place, Probe, Step
from gongfu.tree.orders.timers import Timer
from gongfu.tree.orders.types import Execution, State
from gongfu.tree.orders.verification import Watch
from tests.fixtures.tree import until
from tests.unit.tree.orders_at_work.nodes_with_orders import BOB, MS, OrderTree, World, kind, sections

NODES = [letter * 24 for letter in "abcde"]


@pytest.fixture
async def postgres_tree(
    tmp_path: Path, sqlite_template: Path, postgres_server: Any, postgres_template: str
) -> AsyncIterator[OrderTree]:
    names: list[str] = []

    def url(node: str) -> str:
        names.append(f"orders_{uuid.uuid4().hex}")
        postgres_server.execute(f'CREATE DATABASE "{names[-1]}" TEMPLATE "{postgres_template}"')
        return postgres_server.url(names[-1])

    kinds = [
        kind(probe=Probe("resolve", Place.PARENT, every=10 * MS, within=1000 * MS)),
        kind("asked", accept="operator", probe=None),
    ]
    world = World()
    tree = OrderTree(tmp_path, sqlite_template, sections(world, kinds), urls=url)
    tree.world, tree.kinds = world, kinds
    yield tree
    for name in [node.name for node in tree.nodes.values() if node.running is not None]:
        await tree.crash(name)
    for name in names:
        postgres_server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


async def test_life_of_orders(postgres_tree: OrderTree) -> None:
    tree = postgres_tree
    await tree.grow(("nation", ""), ("province", "nation"), ("site", "province"))
    issued = await tree.issue("nation", reason="with \\u0000 and 中文")
    await tree.settled("nation", issued.id, "verified")
    asked = await tree.issue("nation", kind="asked")
    await until(lambda: set(tree.shown("nation", asked.id).values()) == {"delivered"}, "it waits")
    await tree.crash("province")
    await tree.orders("site").accept(BOB, OrderRequest(asked.id))
    await tree.start("province")
    await tree.settled("nation", asked.id, "unverifiable")
    await tree.revoke("nation", issued.id)
    await until(lambda: set(tree.shown("nation", issued.id).values()) == {"rolled_back_verified"}, "it is taken back")
    await tree.idle()
    for name in tree.nodes:
        tree.counts_are_right(name)
    assert len(tree.world.log) == 3
    assert (await tree.events("nation", issued.id))[0] == ("drafted", "")
    page = await tree.targets("nation", issued.id, state="rolled_back_verified", tier="site")
    assert list(page) == ["site"]


def test_rows(records: Engine) -> None:
    now = time.time_ns()
    with writing(records) as connection:
        order = order_records.add(connection, id="order-one", state="issued", created_at=now, deadline=now)
        rows = [
            {
                "order_key": order.key,
                "node": node,
                "child": NODES[0],
                "tier": "site",
                "name": "a site",
                "shown": "issued",
                "registers": None,
                "changed_at": now,
                "change": None,
            }
            for node in NODES
        ]
        target_records.add(connection, rows)
        order_records.add_counts(connection, order.key, {("site", NODES[0], "issued"): 5})
        order_records.add_targets(connection, order.key, 5, 5)
        assert target_records.next_change(connection) == 1
        said = Execution("order-one", NODES[1], State.FAILED, 3, now, NODES[1], 1, 3, "driver-failed")
        target_records.change(
            connection,
            [
                {
                    "of_order": order.key,
                    "of_node": NODES[1],
                    "new_registers": target_records.registers_bytes(Registers(said)),
                    "new_shown": "failed",
                    "new_change": 1,
                    "new_changed_at": now,
                }
            ],
        )
        order_records.add_counts(
            connection, order.key, {("site", NODES[0], "issued"): -1, ("site", NODES[0], "failed"): 1}
        )
        assert order_records.counts(connection, [order.key])[order.key] == target_records.recount(connection, order.key)
        ((change, data),) = target_records.changes_after(connection, 0, 10)
        assert target_records.registers_of(data) == Registers(said)
        target_records.set_sent(connection, change)
        assert target_records.changes_after(connection, target_records.sent(connection), 10) == []
        assert target_records.next_change(connection) == 2
        assert [row.node for row in target_records.page(connection, order.key, None, "site", NODES[2], 1)] == [NODES[3]]
        kept = TargetRecord("order-one", NODES[0], "", None, said)
        for _ in range(2):
            target_records.keep_own(connection, kept, now)
        assert target_records.own(connection, "order-one", NODES[0], None) == kept
        assert target_records.own_in(connection, ["failed"]) == ["order-one"]
        watch = Watch("order-one", NODES[1], 3, open=True, next_at=now, until=now + 1)
        target_records.keep_watches(connection, [watch])
        assert target_records.due_watches(connection, now, 5) == [watch]
        assert target_records.next_look(connection, now) is None
        order_records.add_timers(connection, order.key, [Timer(now, "order-one", Step.ACCEPT, True, "duty")])
        (timer,) = order_records.due_timers(connection, now)
        assert (timer.id, timer.step, timer.escalation, timer.escalate_to) == ("order-one", "accept", True, "duty")
        order_records.fire(connection, [timer.key])
        assert order_records.next_due(connection) is None
        order_records.add_events(connection, [Audit("order-one", "drafted", now, detail="a\0b")])
        assert order_records.events_of(connection, "order-one", None, 5)[0].detail == "ab"
        order_records.allow(connection, "block", False, "ann", now)
        order_records.allow(connection, "block", True, "ann", now)
        assert order_records.allowances(connection) == {"block": True}
        assert target_records.park(connection, NODES[0], Registers(said), now, 1)
        assert not target_records.park(connection, NODES[0], Registers(said), now, 1)
        assert target_records.take_parked(connection) == [(NODES[0], now, Registers(said))]
        assert target_records.take_parked(connection) == []
        assert order_records.forget(connection, now + 1) == [], "it has open targets"
        order_records.change(connection, order.key, open_targets=0)
        assert order_records.forget(connection, now + 1) == ["order-one"]
        assert target_records.recount(connection, order.key) == []
        assert order_records.events_of(connection, "order-one", None, 5) == []
