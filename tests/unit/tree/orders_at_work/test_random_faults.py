"""Random cuts, losses, crashes, restarts and restored backups while orders and revocations run; seeds are printed.

Afterwards every target of every order is in one terminal state, the same at every level; no effect was brought about
twice or after its order had expired; and the counts at every level equal a recount.
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gongfu.kernel.errors import Problem
from gongfu.kernel.times import format_rfc3339
from gongfu.tree.orders.documents import OrderRequest, QueryDocument, ReasonRequest, SelectionDocument
from gongfu.tree.orders.kinds import Place, Probe
from tests.fixtures.tree import until
from tests.unit.tree.orders_at_work.nodes_with_orders import BOB, MS, SECOND, OrderTree, kind

MakeTree = Callable[..., Any]
LINKS = (
    ("nation", "province-1"),
    ("nation", "province-2"),
    ("province-1", "enterprise-1"),
    ("province-2", "enterprise-2"),
    ("enterprise-1", "site-1"),
    ("enterprise-1", "site-2"),
    ("enterprise-2", "site-3"),
)
SEEDS = [int(text) for text in os.environ.get("ORDER_SEEDS", "1,2,3").split(",")]
STEPS = int(os.environ.get("ORDER_STEPS", "40"))


class Storm:
    """What happens to a tree."""

    def __init__(self, tree: OrderTree, seed: int, backups: Path) -> None:
        self.tree = tree
        self.backups = backups
        self.rng = random.Random(seed)
        self.orders: dict[str, str] = {}
        """Issuer by order."""
        self.deadlines: dict[str, int] = {}
        self.revoked: set[str] = set()
        self.down: set[str] = set()
        self.cuts: set[tuple[str, str]] = set()
        self.done: Counter[str] = Counter()
        self.forgetful: set[str] = set()
        """Nodes that were restored: what nobody above had heard of is forgotten."""

    def up(self, *prefixes: str) -> list[str]:
        return [name for name in self.tree.nodes if name not in self.down and name.startswith(prefixes or "")]

    async def step(self) -> None:
        rng = self.rng
        doing = rng.choices(
            [
                self.issue,
                self.revoke,
                self.answer,
                self.crash,
                self.start,
                self.cut,
                self.join,
                self.backup,
                self.restore,
            ],
            weights=[4, 2, 4, 3, 4, 3, 3, 1, 1],
        )[0]
        try:
            await asyncio.wait_for(doing(), 30)
            self.done[doing.__name__] += 1
        except Problem as problem:
            if problem.status not in (404, 409):
                raise
        self.tree.world.succeeds = rng.random() > 0.1
        await asyncio.sleep(rng.random() * 0.05)

    async def issue(self) -> None:
        issuers = self.up("nation", "province")
        if not issuers:
            return
        issuer = self.rng.choice(issuers)
        name = f"order-{len(self.orders):04}-{self.rng.randrange(10**6)}"
        life = self.rng.choice([0.3, 1.0, 60.0])
        self.deadlines[name] = time.time_ns() + int(life * SECOND)
        self.orders[name] = issuer
        tiers = self.rng.choice([["site"], ["site", "enterprise"], []])
        await self.tree.issue(
            issuer,
            id=name,
            kind=self.rng.choice(self.tree.kinds).name,
            deadline=format_rfc3339(self.deadlines[name]),
            selection=SelectionDocument(query=QueryDocument(tiers=tiers)),
        )

    async def revoke(self) -> None:
        if self.orders:
            order = self.rng.choice(list(self.orders))
            if self.orders[order] not in self.down:
                self.revoked.add(order)
                await self.tree.revoke(self.orders[order], order)

    async def answer(self) -> None:
        if self.orders and (names := self.up()):
            order, name = self.rng.choice(list(self.orders)), self.rng.choice(names)
            section = self.tree.orders(name)
            if self.rng.random() < 0.8:
                await section.accept(BOB, OrderRequest(order))
            else:
                await section.refuse(BOB, ReasonRequest(order, "no"))

    async def crash(self) -> None:
        if names := self.up():
            name = self.rng.choice(names)
            self.down.add(name)
            await self.tree.crash(name)

    async def start(self) -> None:
        if self.down:
            name = self.rng.choice(sorted(self.down))
            self.down.discard(name)
            await self.tree.start(name)

    async def backup(self) -> None:
        if names := self.up():
            name = self.rng.choice(names)
            await self.tree.crash(name)
            self.tree.copy(name, self.backups / name)
            await self.tree.start(name)

    async def restore(self) -> None:
        """Put an old backup in the place of a node."""
        names = [name for name in self.up() if (self.backups / name).exists()]
        if names:
            name = self.rng.choice(names)
            await self.tree.crash(name)
            self.forgetful.add(self.tree.id(name))
            self.tree.restore(name, self.backups / name)
            await self.tree.start(name)

    async def cut(self) -> None:
        link = self.rng.choice(LINKS)
        self.cuts.add(link)
        await self.tree.cut(*link, silent=self.rng.random() < 0.3)

    async def join(self) -> None:
        if self.cuts:
            link = self.rng.choice(sorted(self.cuts))
            self.cuts.discard(link)
            await self.tree.join(*link)

    async def calm(self) -> None:
        """Mend everything, and let everybody answer what waits for an answer."""
        self.tree.wires.loss = 0.0
        self.tree.world.succeeds = True
        for link in self.cuts:
            await self.tree.join(*link)
        for name in sorted(self.down):
            await self.tree.start(name)
        self.down.clear()
        await self.tree.idle()
        for order in self.orders:
            for name in self.tree.nodes:
                try:
                    await self.tree.orders(name).accept(BOB, OrderRequest(order))
                except Problem as problem:
                    if problem.status not in (404, 409):
                        raise


@pytest.mark.parametrize("seed", SEEDS)
async def test_after_a_storm_every_target_has_one_end_everywhere(
    order_tree: MakeTree, tmp_path: Path, seed: int
) -> None:
    print(f"seed {seed}")
    quick: dict[str, Any] = {"every": 20 * MS, "within": 200 * MS}
    tree: OrderTree = await order_tree(
        kind(),
        kind("asked", accept="operator", probe=Probe("resolve", Place.PARENT, **quick)),
        kind("from-above", probe=Probe("resolve", Place.ISSUER, **quick)),
        kind("unprobed", probe=None, can_roll_back=False),
        seed=seed,
    )
    await tree.idle()
    tree.wires.loss = 0.02
    storm = Storm(tree, seed, tmp_path)
    for _ in range(STEPS):
        await storm.step()
    await storm.calm()
    issued: dict[str, str] = {}
    for order, issuer in storm.orders.items():
        try:
            state = (await tree.show(issuer, order)).state
        except Problem:
            continue  # It died before the draft was there.
        if state == "approved":
            # It died between the draft and the issue; the turn was not committed.
            assert tree.shown(issuer, order) == {}
            continue
        issued[order] = issuer
        await tree.settled(issuer, order)
    ends = Counter(state for order, issuer in issued.items() for state in tree.shown(issuer, order).values())
    print(dict(storm.done), dict(ends), f"{len(tree.world.log)} effects")
    await agreed(tree, issued)
    for name in tree.nodes:
        tree.counts_are_right(name)
    keys = [key for key, _ in tree.world.log]
    assert len(keys) == len(set(keys)), "an effect was brought about twice"
    for key, _ in tree.world.log:
        order, node, *back = key.split("/")
        assert order in issued
        if not back and node not in storm.forgetful:
            assert tree.shown(issued[order], order)[node] not in ("expired", "revoked", "refused", "undeliverable")


async def agreed(tree: OrderTree, issued: dict[str, str]) -> None:
    """Wait until every level says the same of every target, and check that it stays so."""

    def differences() -> list[str]:
        found: list[str] = []
        for order, issuer in issued.items():
            at_issuer = tree.shown(issuer, order)
            # Those above the issuer may have heard something while it did not know that the order was its own.
            below = [name for name in tree.nodes if tree.id(issuer) in tree.node(name).directory.chain.nodes]
            for name in below:
                for node, state in tree.shown(name, order).items():
                    if same(state, at_issuer[node]):
                        continue
                    found.append(f"{order}: {node} is {state} at {name}, {at_issuer[node]} at {issuer}")
        return found

    try:
        await until(lambda: not differences(), "all levels agree")
    except AssertionError:
        raise AssertionError("\n".join(differences())) from None


def same(below: str, above: str) -> bool:
    """Whether a level below has the state of the issuer; one below the probe does not hear of its verdict."""
    unjudged = {
        "executed": ("verified", "contradicted", "unverifiable"),
        "rolled_back": ("rolled_back_verified", "contradicted", "unverifiable"),
        "failed": ("contradicted",),
    }
    return below == above or above in unjudged.get(below, ())
