"""Runs: faults that are planned or drawn, and waiting until all is quiet."""

from collections.abc import Callable
from dataclasses import dataclass

from simulator.network import Way
from simulator.node import Node
from simulator.simulation import MILLISECOND, SECOND
from simulator.store import Store
from simulator.tree import Tree

_Action = Callable[[Node], None]


class NotSettledError(Exception):
    """Something is still not delivered when it should be."""


def settle(tree: Tree, limit: int, step: int = 50 * MILLISECOND) -> int:
    """Run until every message has arrived; returns the virtual time that it took, nanoseconds.

    Raises:
        NotSettledError: after ``limit`` nanoseconds it has not; names the nodes that still wait.
    """
    began = tree.simulation.now
    while not tree.idle:
        if tree.simulation.now - began >= limit:
            waiting = [node.name for node in tree.nodes.values() if not node.idle]
            raise NotSettledError(f"seed {tree.simulation.seed}: {len(waiting)} nodes wait: {waiting[:10]}")
        tree.simulation.run(tree.simulation.now + step)
    return tree.simulation.now - began


@dataclass(frozen=True, slots=True)
class Trouble:
    """What may happen while there is trouble; rates are events a second of virtual time over the whole tree.

    Attributes:
        crashes: nodes that crash between two events, a second.
        commit_crashes: share of the commit points at which the node crashes.
        partitions: links that are cut, in one or both directions, a second.
        backups: copies of a node's disk, a second.
        restores: nodes that crash and come back with one of their last copies, a second.
        longest: a node is down and a link is cut for so long at most, nanoseconds.
        copies_kept: of each node.
    """

    crashes: float = 0.0
    commit_crashes: float = 0.0
    partitions: float = 0.0
    backups: float = 0.0
    restores: float = 0.0
    longest: int = 2 * SECOND
    copies_kept: int = 4


class Faults:
    """Draws faults from the simulation's randomness until it is told to end.

    Attributes:
        log: what happened, for people: (virtual time, text).
        restored: times at which each node was restored.
    """

    def __init__(self, tree: Tree, trouble: Trouble) -> None:
        """Plan the first faults."""
        self.log: list[tuple[int, str]] = []
        self.restored: dict[str, list[int]] = {}
        self._tree = tree
        self._trouble = trouble
        self._names = list(tree.nodes)
        self._copies: dict[str, list[Store]] = {}
        self._running = True
        for node in tree.nodes.values():
            node.hazard = self._hazard
            node.on_crash = self._down
        actions = (
            (trouble.crashes, self._crash),
            (trouble.partitions, self._partition),
            (trouble.backups, self._backup),
            (trouble.restores, self._restore),
        )
        for rate, action in actions:
            if rate:
                self._plan(rate, action)

    def end(self, way: Way) -> None:
        """End the trouble: the network is whole and like ``way``; nodes that are down come back in their time."""
        self._running = False
        self._tree.network.heal(way)

    def _plan(self, rate: float, action: _Action) -> None:
        delay = int(self._tree.simulation.rng.expovariate(rate) * SECOND)
        self._tree.simulation.after(delay, self._happen, rate, action)

    def _happen(self, rate: float, action: _Action) -> None:
        if self._running:
            action(self._tree.nodes[self._tree.simulation.rng.choice(self._names)])
            self._plan(rate, action)

    def _note(self, text: str) -> None:
        self.log.append((self._tree.simulation.now, text))

    def _hazard(self, point: str) -> bool:
        return self._running and self._tree.simulation.rng.random() < self._trouble.commit_crashes

    def _down(self, node: Node) -> None:
        self._note(f"{node.name} down")
        duration = int(self._tree.simulation.rng.random() * self._trouble.longest)
        self._tree.simulation.after(duration, node.start)

    def _crash(self, node: Node) -> None:
        if node.up:
            node.crash()
            self._down(node)

    def _backup(self, node: Node) -> None:
        copies = self._copies.setdefault(node.name, [])
        copies.append(node.store.copy())
        del copies[: -self._trouble.copies_kept]

    def _restore(self, node: Node) -> None:
        copies = self._copies.get(node.name)
        if not copies:
            return
        if node.up:
            node.crash()
            self._down(node)
        node.restore(self._tree.simulation.rng.choice(copies))
        self._note(f"{node.name} restored")
        self.restored.setdefault(node.name, []).append(self._tree.simulation.now)

    def _partition(self, node: Node) -> None:
        rng, network = self._tree.simulation.rng, self._tree.network
        peer = rng.choice(list(node.store.links))
        duration = int(rng.random() * self._trouble.longest)
        network.cut(node.name, peer, duration)
        both = rng.random() < 0.5
        if both:
            network.cut(peer, node.name, duration)
        self._note(f"{node.name} to {peer} cut, both directions: {both}")
