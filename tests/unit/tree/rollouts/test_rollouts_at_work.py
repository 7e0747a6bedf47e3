"""Roll-outs on a tree of hosts with order engines: waves, gates, approvals, and the issuer killed between waves."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gongfu.kernel.errors import Problem
from gongfu.kernel.times import format_rfc3339
from gongfu.tree.host.section import Section
from gongfu.tree.orders.documents import QueryDocument, SelectionDocument
from gongfu.tree.rollouts.documents import (
    NewRollout,
    RolloutApproval,
    RolloutPause,
    RolloutRequest,
    RolloutsRequest,
    RolloutStop,
    RolloutView,
)
from gongfu.tree.rollouts.section import RolloutsSection
from tests.fixtures.tree import DEADLINE_S, TreeNode, until
from tests.unit.tree.orders_at_work.nodes_with_orders import (
    ANN,
    BOB,
    CAT,
    SECOND,
    OrderTree,
    World,
    kind,
    sections,
)

SITES = 6


class RolloutTree(OrderTree):
    """A nation with sites below it, whose orders come in waves."""

    def rollouts(self) -> RolloutsSection:
        return self.node("nation").section(RolloutsSection)

    async def create(self, **changed: Any) -> RolloutView:
        declared: dict[str, Any] = {
            "kind": "block",
            "payload": msgspec.Raw(b'{"address":"192.0.2.1"}'),
            "selection": SelectionDocument(query=QueryDocument(tiers=["site"])),
            "deadline": format_rfc3339(time.time_ns() + 3600 * SECOND),
            "canaries": 1,
            "shares": (0.5,),
            "within_seconds": 600.0,
        }
        return await self.rollouts().create(ANN, NewRollout(**{**declared, **changed}))

    async def see(self, key: str) -> RolloutView:
        return await self.rollouts().show(ANN, RolloutRequest(key))

    async def until(self, key: str, state: str) -> RolloutView:
        deadline = time.monotonic() + DEADLINE_S
        while (seen := await self.see(key)).state != state or not self.settled_waves(seen):
            assert time.monotonic() < deadline, seen
            await asyncio.sleep(0.01)
        return seen

    def settled_waves(self, seen: RolloutView) -> bool:
        over = {"failed", "stopped"}
        return seen.state not in over or all(wave.state in ("revoked", "discarded") for wave in seen.waves)

    def touched(self, order: str) -> set[str]:
        """Return the sites at which an order has had an effect at any time."""
        return {key.split("/")[1] for key, _ in self.world.log if key.startswith(order)}


@pytest.fixture
async def tree(tmp_path: Path, sqlite_template: Path) -> AsyncIterator[RolloutTree]:
    world = World()
    kinds = [kind(), kind("upgrade", approvals=2)]
    orders = sections(world, kinds)

    def make(node: TreeNode) -> Sequence[Section]:
        own = list(orders(node))
        return [*own, RolloutsSection(node.directory, own[0], look_seconds=0.02)]

    made = RolloutTree(tmp_path, sqlite_template, make)
    made.world, made.kinds = world, kinds
    await made.grow(("nation", ""), *((f"site-{number}", "nation") for number in range(1, SITES + 1)))
    yield made
    await made.close()


async def test_waves_follow_each_other_and_every_target_is_reached_once(tree: RolloutTree) -> None:
    made = await tree.create()
    assert (made.state, made.why, [wave.targets for wave in made.waves]) == ("paused", "not started", [1, 2, 3])
    assert {wave.state for wave in made.waves} == {"waiting"}
    await tree.rollouts().resume(ANN, RolloutRequest(made.id))
    done = await tree.until(made.id, "done")
    assert [wave.totals for wave in done.waves] == [{"verified": 1}, {"verified": 2}, {"verified": 3}]
    assert len(tree.world.log) == SITES
    # Each wave was issued after the one before it was through the gate.
    for before, after in zip(done.waves, done.waves[1:], strict=False):
        assert str(before.passed_at) <= str(after.issued_at)
    times = {key.split("/")[0]: at for key, at in reversed(tree.world.log)}
    last = [max(at for key, at in tree.world.log if key.startswith(wave.order)) for wave in done.waves]
    assert all(last[index] < times[done.waves[index + 1].order] for index in range(2))


async def test_a_canary_that_fails_stops_it_and_nobody_else_is_touched(tree: RolloutTree) -> None:
    tree.world.succeeds = False
    made = await tree.create()
    await tree.rollouts().resume(ANN, RolloutRequest(made.id))
    seen = await tree.until(made.id, "failed")
    assert seen.why == "wave 1: at most 0 of 1"
    assert [wave.state for wave in seen.waves] == ["revoked", "discarded", "discarded"]
    assert len({key.split("/")[1] for key in tree.world.began}) == 1


async def test_a_later_wave_that_fails_takes_the_earlier_ones_back(tree: RolloutTree) -> None:
    made = await tree.create()
    section = tree.rollouts()
    await section.resume(ANN, RolloutRequest(made.id))
    # Paused, so that the first wave is surely all there is.
    await section.pause(ANN, RolloutPause(made.id))
    await tree.settled("nation", made.waves[0].order, "verified")
    tree.world.blind = True  # probes see nothing any more
    await section.resume(ANN, RolloutRequest(made.id))
    seen = await tree.until(made.id, "failed")
    assert seen.waves[0].state == "revoked"
    tree.world.blind = False
    canary = made.waves[0].order
    # The targets were in an end before they were revoked, and are in one again afterwards.
    await until(
        lambda: not any(there for (order, _), there in tree.world.present.items() if order == canary), "it is undone"
    )
    await tree.settled("nation", canary)
    assert tree.touched(canary)


async def test_the_issuer_is_killed_between_waves_and_goes_on(tree: RolloutTree) -> None:
    tree.world.gate = asyncio.Event()
    made = await tree.create()
    await tree.rollouts().resume(ANN, RolloutRequest(made.id))
    await until(lambda: bool(tree.world.began), "the canary's driver was called")
    await tree.crash("nation")
    tree.world.gate.set()
    await tree.start("nation")
    done = await tree.until(made.id, "done")
    assert [wave.totals for wave in done.waves] == [{"verified": 1}, {"verified": 2}, {"verified": 3}]
    assert len(tree.world.log) == SITES, "no order twice"


async def test_without_the_approvals_no_wave_goes(tree: RolloutTree) -> None:
    made = await tree.create(kind="upgrade")
    assert (made.approvals_needed, made.approvals) == (2, [])
    section = tree.rollouts()
    await section.resume(ANN, RolloutRequest(made.id))
    seen = await tree.until(made.id, "paused")
    assert seen.why.startswith("approvals-missing")
    with pytest.raises(Problem, match=made.id):
        await section.approve(BOB, RolloutApproval(made.id, "0" * 64))
    with pytest.raises(Problem, match="author"):
        await section.approve(ANN, RolloutApproval(made.id, made.digest))
    await section.approve(BOB, RolloutApproval(made.id, made.digest))
    approved = await section.approve(CAT, RolloutApproval(made.id, made.digest))
    assert approved.approvals == ["bob", "cat"]
    await section.resume(ANN, RolloutRequest(made.id))
    assert (await tree.until(made.id, "done")).targets == SITES


async def test_a_person_pauses_and_stops_it(tree: RolloutTree) -> None:
    made = await tree.create(soak_seconds=3600.0)
    section = tree.rollouts()
    await section.resume(ANN, RolloutRequest(made.id))
    await tree.settled("nation", made.waves[0].order, "verified")
    paused = await section.pause(BOB, RolloutPause(made.id))
    assert (paused.state, paused.why) == ("paused", "by bob")
    with pytest.raises(Problem, match="is paused"):
        await section.pause(BOB, RolloutPause(made.id))
    stopped = await section.end(BOB, RolloutStop(made.id, "wrong version"))
    assert (stopped.state, stopped.why) == ("stopped", "wrong version")
    assert [wave.state for wave in stopped.waves] == ["revoked", "discarded", "discarded"]
    await tree.settled("nation", made.waves[0].order, "rolled_back_verified")
    told = {action for _, action, *_ in tree.node("nation").audited("rollout.")}
    assert told >= {"rollout.create", "rollout.resume", "rollout.issue", "rollout.pause", "rollout.stop"}


async def test_what_makes_no_sense_is_refused(tree: RolloutTree) -> None:
    section = tree.rollouts()
    with pytest.raises(Problem, match="no node is meant"):
        await tree.create(selection=SelectionDocument(query=QueryDocument(tiers=["moon"])))
    with pytest.raises(Problem, match="not below this node"):
        await tree.create(selection=SelectionDocument(nodes=["a" * 24]))
    with pytest.raises(Problem, match="there is no kind"):
        await tree.create(kind="nonsense")
    with pytest.raises(Problem, match="roll-out"):
        await section.show(ANN, RolloutRequest("unknown"))
    for _ in range(3):
        await tree.create()
    first = await section.page(ANN, RolloutsRequest(2))
    rest = await section.page(ANN, RolloutsRequest(2, first.next))
    assert (len(first.items), len(rest.items), rest.next) == (2, 1, None)


async def test_one_that_was_never_started_is_left_alone_until_it_is(tree: RolloutTree) -> None:
    """Also by an issuer that was started anew and had nothing to look at."""
    made = await tree.create()
    await tree.crash("nation")
    await tree.start("nation")
    section = tree.rollouts()
    await until(lambda: not section.is_looking, "it looks no more")
    assert (await tree.see(made.id)).state == "paused"
    assert tree.world.began == []
    await section.resume(ANN, RolloutRequest(made.id))
    await tree.until(made.id, "done")
    await until(lambda: not section.is_looking, "it looks no more")
