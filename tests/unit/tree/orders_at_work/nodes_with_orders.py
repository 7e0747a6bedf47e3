"""A tree whose nodes have an order engine with a driver that notes what it did, and a probe that looks at that."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gongfu.kernel.permissions import Role, Subject
from gongfu.kernel.times import format_rfc3339
from gongfu.store.records.engine import reading
from gongfu.tree.host.section import Section
from gongfu.tree.orders import order_records, target_records
from gongfu.tree.orders.combined import TERMINAL, Shown
from gongfu.tree.orders.context import Limits
from gongfu.tree.orders.documents import (
    ApproveRequest,
    DraftRequest,
    EventsRequest,
    OrderRequest,
    OrderView,
    QueryDocument,
    ReasonRequest,
    SelectionDocument,
    TargetsRequest,
    TargetView,
)
from gongfu.tree.orders.kinds import Guard, OrderKind, Probe
from gongfu.tree.orders.plugins import DriverCall, DriverResult, ProbeCall, Seen
from gongfu.tree.orders.section import OrdersSection
from gongfu.tree.orders.verification import Sight
from tests.fixtures.tree import TreeNode, TreeOfHosts, until

SECOND = 1_000_000_000
MS = 1_000_000
ANN = Subject(1, "ann", 1, Role.ADMIN)
BOB = Subject(2, "bob", 1, Role.ADMIN)
CAT = Subject(3, "cat", 1, Role.ADMIN)
SCHEMA = {"type": "object", "properties": {"address": {"type": "string"}}, "additionalProperties": False}


@dataclass
class World:
    """What drivers do, which no restart of a node undoes."""

    present: dict[tuple[str, str], bool] = field(default_factory=dict[tuple[str, str], bool])
    log: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """Key and time of every effect."""
    keys: set[str] = field(default_factory=set[str])
    gate: asyncio.Event | None = None
    """Drivers wait for it after they began."""
    began: list[str] = field(default_factory=list[str])
    succeeds: bool = True
    blind: bool = False


@dataclass
class Firewall:
    """A driver. An idempotent one knows the keys it has done."""

    world: World
    idempotent: bool

    async def run(self, call: DriverCall) -> DriverResult:
        world = self.world
        world.began.append(call.key)
        if world.gate is not None:
            await world.gate.wait()
        if not world.succeeds:
            return DriverResult(False, "it did not work")
        if self.idempotent and call.key in world.keys:
            return DriverResult(True, "as before")
        world.keys.add(call.key)
        world.log.append((call.key, time.time_ns()))
        world.present[(call.order, call.target)] = not call.rollback
        return DriverResult(True, "done")


@dataclass
class Resolve:
    """A probe."""

    world: World

    async def look(self, call: ProbeCall) -> Seen:
        if self.world.blind:
            raise ConnectionError("no way there")
        there = self.world.present.get((call.order, call.target), False)
        return Seen(Sight.PRESENT if there else Sight.ABSENT, "looked")


def kind(name: str = "block", **changed: Any) -> OrderKind:
    declared: dict[str, Any] = {
        "name": name,
        "title": {"zh": "封堵", "en": "Block"},
        "schema": SCHEMA,
        "may_issue": ("*",),
        "guard": Guard(most_targets=100_000, most_per_hour=1_000_000),
        "driver": "firewall",
        "probe": Probe("resolve", every=10 * MS, within=100 * MS),
        "idempotent": True,
        "can_roll_back": True,
        "allowed": True,
    }
    return OrderKind(**{**declared, **changed})


class OrderTree(TreeOfHosts):
    """A tree of hosts with order engines."""

    world: World
    kinds: list[OrderKind]

    def orders(self, name: str) -> OrdersSection:
        return self.node(name).section(OrdersSection)

    async def crash(self, name: str) -> None:
        """Kill a node together with the drivers it was running."""
        section = self.orders(name)
        await self.kill(name)
        await section.stop()

    async def grow(self, *places: tuple[str, str]) -> None:
        for name, parent in places:
            await self.add(name, parent)

    async def draft(self, name: str, subject: Subject = ANN, **changed: Any) -> OrderView:
        declared: dict[str, Any] = {
            "kind": "block",
            "payload": msgspec.Raw(b'{"address":"192.0.2.1"}'),
            "selection": SelectionDocument(query=QueryDocument(tiers=["site"])),
            "deadline": format_rfc3339(time.time_ns() + 3600 * SECOND),
        }
        return await self.orders(name).draft(subject, DraftRequest(**{**declared, **changed}))

    async def issue(self, name: str, **changed: Any) -> OrderView:
        drawn = await self.draft(name, **changed)
        return await self.orders(name).issue(ANN, OrderRequest(drawn.id))

    async def revoke(self, name: str, order: str) -> OrderView:
        return await self.orders(name).revoke(ANN, ReasonRequest(order, "a mistake"))

    async def approve(self, name: str, order: OrderView, subject: Subject) -> OrderView:
        return await self.orders(name).approve(subject, ApproveRequest(order.id, order.digest))

    async def show(self, name: str, order: str) -> OrderView:
        return await self.orders(name).show(ANN, OrderRequest(order))

    async def targets(self, name: str, order: str, **query: Any) -> dict[str, TargetView]:
        found = await self.orders(name).targets(ANN, TargetsRequest(order, limit=1000, **query))
        return {target.name: target for target in found.items}

    async def events(self, name: str, order: str) -> list[tuple[str, str]]:
        found = await self.orders(name).events(ANN, EventsRequest(order, 1000))
        return [(event.action, event.reason) for event in reversed(found.items)]

    def shown(self, name: str, order: str) -> dict[str, str]:
        """Return the shown state of every target of an order at a node, by node id."""
        engine = self.node(name).engine
        assert engine is not None
        with reading(engine) as connection:
            row = order_records.by_id(connection, order)
            if row is None:
                return {}
            return {
                target.node: target.shown for target in target_records.page(connection, row.key, None, None, "", 10**6)
            }

    def counts_are_right(self, name: str) -> None:
        """Check that the counts of all orders at a node equal a recount."""
        engine = self.node(name).engine
        assert engine is not None
        with reading(engine) as connection:
            for row in order_records.page(connection, ("issued", "unknown"), None, None, 10**6):
                counted = order_records.counts(connection, [row.key])[row.key]
                recount = target_records.recount(connection, row.key)
                assert counted == recount, f"{name}: {counted} is counted, {recount} are there"
                assert row.targets == sum(count for *_, count in recount)
                still_open = sum(count for *_, shown, count in recount if Shown(shown) not in TERMINAL)
                assert row.open_targets == still_open, f"{name}: {row.open_targets} open, {still_open} are"

    async def settled(self, name: str, order: str, state: str = "", seconds: float = 60.0) -> OrderView:
        """Wait until all targets of an order are terminal at a node, and in a state if one is given."""

        def over() -> bool:
            states = self.shown(name, order)
            return bool(states) and all(one == state if state else Shown(one) in TERMINAL for one in states.values())

        try:
            await until(over, f"{order} is over at {name}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.shown(name, order)}") from None
        return await self.show(name, order)


def sections(world: World, kinds: Sequence[OrderKind], **limits: Any) -> Callable[[TreeNode], Sequence[Section]]:
    idempotent = all(one.idempotent for one in kinds)

    def make(node: TreeNode) -> Sequence[Section]:
        return [
            OrdersSection(
                node.directory,
                kinds,
                {"firewall": Firewall(world, idempotent)},
                {"resolve": Resolve(world)},
                limits=Limits(**limits),
                counters=node.counters,
            )
        ]

    return make


async def eventually(holds: Callable[[], Awaitable[bool]], what: str, seconds: float = 60.0) -> None:
    """Wait for a condition that takes a question to know."""
    deadline = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.01)
