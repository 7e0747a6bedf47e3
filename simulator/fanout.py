"""How long an order takes from the root to every node and every receipt back; ``python -m simulator`` prints it."""

import gc
import time
from dataclasses import dataclass

from gongfu.tree.link.limits import DEFAULT_LIMITS, Limits
from simulator.network import Way
from simulator.run import settle
from simulator.simulation import MILLISECOND, SECOND
from simulator.store import Transaction
from simulator.tree import Tree

ORDER = b"order"
RECEIPTS = "receipts"


class OrderAndReceipts:
    """Every node stores an order, hands it to its children and sends a receipt that goes up to the root.

    An order is ``order`` and its document; the root's log ``receipts`` has (node, virtual time) for each receipt.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def issue(self, document: bytes) -> None:
        """Issue an order at the root."""
        root = self._tree.root
        root.submit(lambda transaction: self._hand_on(transaction, root.name, ORDER + document))

    def _hand_on(self, transaction: Transaction, node: str, body: bytes) -> None:
        transaction.append("orders", body)
        for child in self._tree.children[node]:
            transaction.queue(child, body)

    def received(self, transaction: Transaction, node: str, peer: str, body: bytes) -> None:
        """Take an order or a receipt."""
        if body.startswith(ORDER):
            self._hand_on(transaction, node, body)
            body = b"receipt of " + node.encode()
        parent = self._tree.parent(node)
        if parent is None:
            transaction.append(RECEIPTS, (body.rpartition(b" ")[2].decode(), self._tree.simulation.now))
        else:
            transaction.queue(parent, body)

    def resend(self, transaction: Transaction, node: str, peer: str) -> list[bytes]:
        """Nothing is said again: no database is restored here."""
        return []


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured. Virtual times from the order's issue, in seconds.

    Attributes:
        nodes: with the root.
        median, p99, last: receipts at the root.
        cpu: seconds of this process from the issue to the last receipt.
        connect_cpu: seconds until all links were up.
        frames, resent: sent between the issue and the last receipt.
        counters: of all links, over the whole run.
    """

    nodes: int
    median: float
    p99: float
    last: float
    cpu: float
    connect_cpu: float
    frames: int
    resent: int
    counters: dict[str, int]


def measure(
    fan_outs: tuple[int, ...],
    way: Way,
    *,
    seed: int = 1,
    document: bytes = b"x" * 600,
    commit_time: int = MILLISECOND,
    limits: Limits = DEFAULT_LIMITS,
) -> Result:
    """Connect a tree, issue one order, wait for all receipts.

    Raises:
        NotSettledError: not all came within two virtual minutes.
    """
    applications: list[OrderAndReceipts] = []

    def application(tree: Tree) -> OrderAndReceipts:
        applications.append(OrderAndReceipts(tree))
        return applications[0]

    tree = Tree(fan_outs, application, seed=seed, way=way, commit_time=commit_time, limits=limits)
    began = time.process_time()
    tree.start()
    settle(tree, 120 * SECOND, step=SECOND)
    connect_cpu = time.process_time() - began
    # The first pings are over then.
    tree.simulation.run(tree.simulation.now + 8 * SECOND)
    # The collector would look through all nodes again and again.
    gc.collect()
    gc.freeze()
    issued, frames = tree.simulation.now, tree.network.sent
    resent = tree.counters.snapshot().get("link_frames_resent", 0)
    applications[0].issue(document)
    receipts = tree.root.store.logs.setdefault(RECEIPTS, [])
    wanted = len(tree.nodes) - 1
    began = time.process_time()
    tree.simulation.run(issued + 120 * SECOND, stop=lambda: len(receipts) >= wanted)
    cpu = time.process_time() - began
    gc.unfreeze()
    counters = tree.counters.snapshot()
    frames, resent = tree.network.sent - frames, counters.get("link_frames_resent", 0) - resent
    settle(tree, 120 * SECOND)
    if len({node for node, _ in receipts}) != wanted or len(receipts) != wanted:
        raise AssertionError(f"{len(receipts)} receipts of {wanted} nodes")
    times = sorted((at - issued) / SECOND for _, at in receipts)
    return Result(
        nodes=len(tree.nodes),
        median=times[len(times) // 2],
        p99=times[int(len(times) * 0.99)],
        last=times[-1],
        cpu=cpu,
        connect_cpu=connect_cpu,
        frames=frames,
        resent=resent,
        counters=counters,
    )
