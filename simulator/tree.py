"""A tree of nodes with given fan-outs."""

from collections.abc import Callable, Sequence

from gongfu.kernel.counters import Counters
from gongfu.tree.link.limits import DEFAULT_LIMITS, Limits
from simulator.network import Network, Way
from simulator.node import Application, Clock, Node
from simulator.simulation import MILLISECOND, Simulation


class Tree:
    """Nodes and links. Names are paths: the root is ``n``, its children ``n.0``, ``n.1``, …

    Attributes:
        simulation: virtual time.
        network: between the nodes.
        nodes: by name.
        levels: names, root first.
        children: names, by name of the parent.
        counters: of all links.
    """

    def __init__(
        self,
        fan_outs: Sequence[int],
        application: Callable[["Tree"], Application],
        *,
        seed: int = 0,
        way: Way | None = None,
        commit_time: int = MILLISECOND,
        limits: Limits = DEFAULT_LIMITS,
        clock: Callable[[str], Clock] | None = None,
        parents_active: bool = True,
    ) -> None:
        """Build a tree; nothing runs before ``start``.

        Args:
            fan_outs: children of the root, of each of these, …
            application: makes what all nodes do with messages.
            seed: of everything random.
            way: of all links; ``Way()`` by default.
            commit_time: of one transaction, nanoseconds.
            limits: of the links.
            clock: makes the clock of a node.
            parents_active: parents say hello too; else they wait for their children.
        """
        self.simulation = Simulation(seed)
        self.network = Network(self.simulation, way or Way())
        self.nodes: dict[str, Node] = {}
        self.children: dict[str, list[str]] = {}
        self.levels: list[list[str]] = [["n"]]
        self.counters = Counters()
        shared = application(self)

        def add(name: str) -> Node:
            node = Node(
                self.simulation,
                self.network,
                name,
                shared,
                clock=clock(name) if clock else None,
                commit_time=commit_time,
                limits=limits,
                counters=self.counters,
            )
            self.nodes[name] = node
            self.children[name] = []
            return node

        add("n")
        for fan_out in fan_outs:
            level: list[str] = []
            for parent in self.levels[-1]:
                for i in range(fan_out):
                    name = f"{parent}.{i}"
                    add(name).add_link(parent)
                    self.nodes[parent].add_link(name, active=parents_active)
                    self.children[parent].append(name)
                    level.append(name)
            self.levels.append(level)

    @property
    def root(self) -> Node:
        """The root."""
        return self.nodes["n"]

    @staticmethod
    def parent(name: str) -> str | None:
        """Return the parent's name; None for the root."""
        return name.rpartition(".")[0] or None

    def start(self) -> None:
        """Start all nodes."""
        for node in self.nodes.values():
            node.start()

    @property
    def idle(self) -> bool:
        """Whether all nodes run and every message has arrived."""
        return all(node.idle for node in self.nodes.values())
