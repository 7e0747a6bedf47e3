"""Hosts that are killed at any commit point, and records that are restored from a copy."""

import asyncio
import random
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gongfu.store.records.engine import reading
from gongfu.tree.host.section import Turn
from gongfu.tree.link.limits import Limits
from tests.contract.tree.host.notes import Notes, notes_of, tell, told
from tests.fixtures.tree import TreeNode, TreeOfHosts, until

MILLISECOND = 1_000_000
# Waits short enough for many crashes in a test.
QUICK = Limits(window_messages=16, frame_messages=4, renew_every=10 * MILLISECOND)


class CommitHazard:
    """Kills a node at some of its commits, before or after; the test starts it again."""

    def __init__(self, tree: TreeOfHosts, name: str, rng: random.Random, share: float) -> None:
        self.crashes = 0
        self._tree = tree
        self._name = name
        self._rng = rng
        self._share = share
        self._loop = asyncio.get_running_loop()
        self._restart: asyncio.Task[None] | None = None
        # Guards what follows: the writer's thread decides, the test ends.
        self._lock = threading.Lock()
        self._crashing = False
        self.arm()

    def arm(self) -> None:
        node = self._tree.node(self._name)
        host, engine = node.host, node.engine
        assert engine is not None
        commit = engine.dialect.do_commit

        def hazardous(connection: Any) -> None:
            with self._lock:
                crash = self._rng.random() < self._share and node.running is host
                self._crashing = self._crashing or crash
            if not crash:
                return commit(connection)
            if self._rng.random() < 0.5:
                commit(connection)
            # As ``abandon``, on this thread.
            host._writer._abandoned = True
            self._loop.call_soon_threadsafe(self._crashed)
            raise ConnectionAbortedError

        engine.dialect.do_commit = hazardous  # type: ignore[method-assign]

    def _crashed(self) -> None:
        self.crashes += 1
        self._restart = asyncio.ensure_future(self._again())

    async def _again(self) -> None:
        await self._tree.kill(self._name)
        await self._tree.start(self._name)
        with self._lock:
            self._crashing = False
        if self._share:
            self.arm()

    async def end(self) -> None:
        """No more crashes; returns when the node runs."""
        with self._lock:
            self._share = 0.0
        await until(lambda: not self._crashing, "it runs")


def sent(node: TreeNode) -> list[bytes]:
    """Return what a node has told, in order; a crash before the commit takes it back."""
    assert node.engine is not None
    with reading(node.engine) as connection:
        return list(connection.execute(select(told.c.body).order_by(told.c.name)).scalars())


@pytest.mark.parametrize("seed", range(3))
async def test_every_message_is_taken_once_and_in_order_whatever_commit_is_the_last(make_tree, seed: int) -> None:
    print("seed", seed)
    rng = random.Random(seed)
    tree: TreeOfHosts = make_tree(lambda node: [Notes()], seed=seed, limits=QUICK)
    await tree.add("nation")
    await tree.add("site", "nation")
    await tree.idle()
    # One of them loses frames, too, and lets them overtake each other.
    tree.wires.loss, tree.wires.delay_s = (0.02, 0.002) if seed == 2 else (0.0, 0.0)
    hazards = [CommitHazard(tree, name, rng, 0.12) for name in ("nation", "site")]
    number = 0

    def send(turn: Turn, peer: str, first: int, count: int) -> None:
        for i in range(first, first + count):
            tell(turn, peer, f"{i:06}", b"%06d" % i)

    while number < 1500 or min(hazard.crashes for hazard in hazards) < 5:
        for name, peer in (("nation", "site"), ("site", "nation")):
            host, count = tree.node(name).running, rng.randrange(1, 12)
            if host is not None:
                host.submit(partial(send, peer=tree.id(peer), first=number, count=count))
            number += count
        await asyncio.sleep(rng.random() * 0.006)
        assert number < 200_000, [hazard.crashes for hazard in hazards]
    for hazard in hazards:
        await hazard.end()
    await tree.idle()
    nation, site = tree.node("nation"), tree.node("site")
    assert notes_of(site.engine) == sent(nation) != []
    assert notes_of(nation.engine) == sent(site) != []
    # A crash is no reason to begin anew.
    assert nation.audited("link.renew") == site.audited("link.renew") == []


@pytest.mark.parametrize("restored", ["nation", "site"])
async def test_restored_copy_is_noticed_and_both_ends_know_all_again(make_tree, tmp_path: Path, restored: str) -> None:
    tree: TreeOfHosts = make_tree(lambda node: [Notes()], limits=QUICK)
    await tree.add("nation")
    await tree.add("site", "nation")
    nation, site = tree.node("nation"), tree.node("site")

    async def say(node: TreeNode, peer: TreeNode, *names: str) -> None:
        await node.host.turn(lambda turn: [tell(turn, peer.id, name, name.encode()) for name in names] and None)

    await say(nation, site, "n1", "n2")
    await say(site, nation, "s1", "s2")
    await tree.idle()
    await tree.stop(restored)
    tree.copy(restored, tmp_path / "backup")
    await tree.start(restored)
    await say(nation, site, "n3", "n4")
    await say(site, nation, "s3", "s4")
    await tree.idle()
    await tree.kill(restored)
    tree.restore(restored, tmp_path / "backup")
    await tree.start(restored)
    other = site if restored == "nation" else nation
    # Before it knows: other messages under the numbers that the other end has seen.
    await say(tree.node(restored), other, "later")
    await tree.idle()
    known = {"nation": {b"n1", b"n2"}, "site": {b"s1", b"s2"}}
    for name in known:
        known[name] |= {b"later"} if name == restored else {b"%c3" % name[0].encode(), b"%c4" % name[0].encode()}
    # What the restored one has lost of its own, it does not know; all else is known at both ends.
    assert known["nation"] <= set(notes_of(site.engine))
    assert known["site"] <= set(notes_of(nation.engine))
    for node in (nation, site):
        assert [entry[1] for entry in node.audited("link.renew")] == ["link.renew"]
    rewinds = other.audited("link.rewind")
    assert len(rewinds) == 1
    assert "older than they were" in rewinds[0][3]
    reasons = {node.name: node.audited("link.renew")[0][3].partition(":")[0] for node in (nation, site)}
    assert reasons[restored] in ("own-rewound", "diverged")
    assert reasons[other.name] == "peer-rewound"


async def test_link_that_is_closed_and_opened_again_begins_anew(make_tree) -> None:
    tree: TreeOfHosts = make_tree(lambda node: [Notes()], limits=QUICK)
    await tree.add("nation")
    await tree.add("site", "nation")
    nation, site = tree.node("nation"), tree.node("site")
    await nation.host.turn(lambda turn: tell(turn, site.id, "n1", b"n1"))
    await tree.idle()
    await nation.host.turn(lambda turn: nation.host.close_link(turn, site.id))
    await until(lambda: site.audited("link.end") != [], "the child is told")
    assert nation.host.links() == []
    with pytest.raises(KeyError):
        await nation.host.turn(lambda turn: turn.send(site.id, "note", b"nobody"))
    await tree.kill("nation")
    await tree.start("nation")
    assert nation.host.links() == []
    await nation.host.turn(lambda turn: nation.host.open_link(turn, site.id))
    await nation.host.turn(lambda turn: turn.send(site.id, "note", b"n2"))
    await tree.idle()
    taken = notes_of(site.engine)
    # Said at the first opening, restated at the second.
    assert taken[0] == b"n1"
    assert set(taken[1:]) == {b"n1", b"n2"}


@pytest.mark.parametrize("restarts", [False, True])
async def test_outbox_that_grew_too_long_is_replaced_by_what_there_is_to_know(
    make_tree, monkeypatch: pytest.MonkeyPatch, restarts: bool
) -> None:
    monkeypatch.setattr("gongfu.tree.host.batch.OUTBOX_MESSAGES", 100)
    tree: TreeOfHosts = make_tree(lambda node: [Notes()], limits=QUICK)
    await tree.add("nation")
    await tree.add("site", "nation")
    nation, site = tree.node("nation"), tree.node("site")
    await nation.host.turn(lambda turn: tell(turn, site.id, "must", b"must"))
    await tree.idle()
    await tree.cut("nation", "site")
    for i in range(11):
        await nation.host.turn(lambda turn, i=i: [turn.send(site.id, "note", b"%d" % i) for _ in range(10)] and None)
    assert [entry[1] for entry in nation.audited("link")] == ["link.overflow"]
    await nation.host.turn(lambda turn: turn.send(site.id, "note", b"after"))
    if restarts:
        await tree.kill("nation")
        await tree.start("nation")
    await tree.join("nation", "site")
    await tree.idle()
    taken = notes_of(site.engine)
    assert taken[0] == b"must"
    assert b"must" in taken[1:]
    assert b"after" in taken
    assert len(taken) < 30
