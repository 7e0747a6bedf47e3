"""Links under loss, repetition, reordering, partitions, crashes at every commit point, and restored databases.

A failure names its seed; the same seed fails again.
"""

import pytest

from gongfu.tree.link import incoming, outgoing
from gongfu.tree.link.effects import Deliver, Effect, Send
from gongfu.tree.link.frames import Ack, Frame
from gongfu.tree.link.session import Session
from simulator.network import Way
from simulator.node import Node
from simulator.run import NotSettledError, Trouble, settle
from simulator.simulation import MILLISECOND, SECOND
from simulator.store import Store
from simulator.tree import Tree
from tests.unit.tree.link.ledger import (
    CLEAN,
    QUIET_WITHIN,
    ROUGH,
    Ledger,
    Outcome,
    check_after_restores,
    check_agreement,
    check_exactly_once,
    run,
)

CRASHES = Trouble(crashes=0.5, commit_crashes=0.01, partitions=0.5)
RESTORES = Trouble(crashes=0.3, commit_crashes=0.005, partitions=0.3, backups=1.0, restores=0.5)


@pytest.mark.parametrize("seed", range(12))
def test_exactly_once_in_order_without_restores(seed: int) -> None:
    print("seed", seed)
    outcome = run(seed, (1,) if seed % 2 else (2, 2), CRASHES)
    check_exactly_once(outcome)
    check_agreement(outcome)


@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_lost_behind_a_restore_at_either_end(seed: int) -> None:
    print("seed", seed)
    outcome = run(seed, (1,) if seed % 2 else (2, 2), RESTORES)
    check_after_restores(outcome)
    check_agreement(outcome)


class Moments:
    """Counts the commit points of a short talk; copies the disks at one, crashes (and restores) a node at another."""

    def __init__(self, crash_at: int, copy_at: int = 0) -> None:
        self.seen = 0
        self.restored: dict[str, int] = {}
        self._crash_at = crash_at
        self._copy_at = copy_at
        self._copies: dict[str, Store] = {}

    def watch(self, node: Node) -> None:
        node.watch = True
        node.hazard = lambda point: self._point(node)
        node.on_crash = self._crashed

    def _point(self, node: Node) -> bool:
        self.seen += 1
        if self.seen == self._copy_at:
            self._copies = {peer: self.tree.nodes[peer].store.copy() for peer in self.tree.nodes}
        return self.seen == self._crash_at

    def _crashed(self, node: Node) -> None:
        if self._copies:
            node.restore(self._copies[node.name])
            self.restored[node.name] = node.simulation.now
        node.simulation.after(50 * MILLISECOND, node.start)

    def run(self) -> Outcome:
        ledgers: list[Ledger] = []

        def application(tree: Tree) -> Ledger:
            ledgers.append(Ledger(tree))
            return ledgers[0]

        self.tree = Tree((1,), application, way=Way(latency=5 * MILLISECOND), commit_time=2 * MILLISECOND)
        for node in self.tree.nodes.values():
            self.watch(node)
        self.tree.start()
        for i in range(40):
            node, peer = (("n", "n.0"), ("n.0", "n"))[i % 2]
            kind = ("fact", "event")[i // 2 % 2]
            self.tree.simulation.at((20 + 4 * i) * MILLISECOND, ledgers[0].say, node, peer, kind)
        self.tree.simulation.run(300 * MILLISECOND)
        settle(self.tree, QUIET_WITHIN)
        return Outcome(self.tree, {("n", "n.0"): [], ("n.0", "n"): []}, self.restored)


def test_a_crash_at_each_commit_point() -> None:
    undisturbed = Moments(0)
    check_exactly_once(undisturbed.run())
    assert undisturbed.seen > 100
    for crash_at in range(1, undisturbed.seen + 1):
        print("crash at commit point", crash_at)
        outcome = Moments(crash_at).run()
        check_exactly_once(outcome)
        check_agreement(outcome)


def test_a_restore_at_each_commit_point() -> None:
    undisturbed = Moments(0)
    undisturbed.run()
    renewed = 0
    for crash_at in range(2, undisturbed.seen + 1, 3):
        for copy_at in range(1, crash_at, 11):
            print("copied at commit point", copy_at, "restored at", crash_at)
            outcome = Moments(crash_at, copy_at).run()
            check_after_restores(outcome)
            check_agreement(outcome)
            renewed += bool(outcome.renewals)
    assert renewed > 100


def fails(seed: int, trouble: Trouble, way: Way = ROUGH) -> bool:
    try:
        outcome = run(seed, (1,), trouble, way=way)
        if trouble.restores:
            check_after_restores(outcome)
        else:
            check_exactly_once(outcome)
        check_agreement(outcome)
    except (AssertionError, NotSettledError):
        return True
    return False


class AcknowledgesBeforeCommit(Session):
    __slots__ = ()

    def received(self, t: int, frame: Frame) -> list[Effect]:
        effects = super().received(t, frame)
        early: list[Effect] = [
            Send(Ack(self._both, e.position.epoch, e.position.number)) for e in effects if isinstance(e, Deliver)
        ]
        return early + effects


def test_acknowledging_before_the_commit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Node, "session_type", AcknowledgesBeforeCommit)
    assert any(fails(seed, CRASHES) for seed in range(5))


def say_others_under_the_same_numbers(more: int) -> Outcome:
    """A node is restored and, still cut off, says ``more`` than it had said after the copy."""
    ledgers: list[Ledger] = []

    def application(tree: Tree) -> Ledger:
        ledgers.append(Ledger(tree))
        return ledgers[0]

    tree = Tree((1,), application, way=CLEAN)
    node, simulation = tree.root, tree.simulation
    node.watch = True
    tree.start()
    for i in range(10):
        simulation.at(i * SECOND, ledgers[0].say, "n", "n.0", "event")
    simulation.run(int(4.5 * SECOND))
    copy = node.store.copy()
    simulation.run(10 * SECOND)
    node.crash()
    node.restore(copy)
    tree.network.cut("n", "n.0", SECOND)
    node.start()
    for _ in range(5 + more):
        ledgers[0].say("n", "n.0", "event")
    settle(tree, QUIET_WITHIN)
    return Outcome(tree, {("n", "n.0"): [], ("n.0", "n"): []}, {"n": 10 * SECOND})


@pytest.mark.parametrize("more", [-2, 0, 3])
def test_other_messages_under_numbers_that_the_peer_has_arrive(more: int) -> None:
    outcome = say_others_under_the_same_numbers(more)
    check_after_restores(outcome)
    check_agreement(outcome)
    assert len(outcome.renewals) == 1


def test_positions_without_digest_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (incoming, outgoing):
        monkeypatch.setattr(module, "chain", lambda digest, bodies: 0)
    with pytest.raises(AssertionError):
        check_after_restores(say_others_under_the_same_numbers(3))


def test_believing_every_claim_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "judge", lambda epoch, last, acknowledged, claim: "agreed")
    assert any(fails(seed, RESTORES, CLEAN) for seed in range(5))
