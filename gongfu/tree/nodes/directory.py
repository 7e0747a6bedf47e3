"""Who is in the tree as this node knows it: itself, its ancestors, its descendants."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from gongfu.tree.membership.keys import NodeKey
from gongfu.tree.membership.types import Chain, Membership, NodeState


@dataclass(frozen=True)
class _Snapshot:
    """One state of the directory; never changed, so that any thread may read it."""

    chain: Chain
    below: Mapping[str, Membership]

    @cached_property
    def children(self) -> tuple[Membership, ...]:
        own = self.chain.node
        return tuple(m for m in self.below.values() if m.parent == own and m.state is not NodeState.RETIRED)

    @cached_property
    def towards(self) -> Mapping[str, str]:
        """The child through which each node below is reached."""
        own, found = self.chain.node, dict[str, str]()
        for node in self.below:
            way: list[str] = []
            at = node
            while at not in found:
                way.append(at)
                membership = self.below.get(at)
                if membership is None or membership.state is NodeState.RETIRED or at in way[:-1]:
                    break
                if membership.parent == own:
                    found[at] = at
                else:
                    at = membership.parent
            if at in found:
                found.update((step, found[at]) for step in way)
        return found

    @cached_property
    def descendants(self) -> tuple[Membership, ...]:
        return tuple(m for node, m in self.below.items() if node in self.towards)


class Directory:
    """The memberships around a node, in memory. It is read on any thread and changed on the event loop only.

    Each change replaces the whole state, so what one call returns fits together; two calls may see different states.

    Args:
        key: of the node.
        chain: from the root to the node.
        members: memberships of the nodes below.
    """

    def __init__(self, key: NodeKey, chain: Chain, members: Iterable[Membership] = ()) -> None:
        self._key = key
        self._snapshot = _Snapshot(chain, MappingProxyType({m.node: m for m in members}))
        self._watchers: dict[object, Callable[[], None]] = {}

    @property
    def node(self) -> str:
        """Own id."""
        return self._key.id

    @property
    def key(self) -> NodeKey:
        """Own key."""
        return self._key

    @property
    def chain(self) -> Chain:
        """From the root to this node."""
        return self._snapshot.chain

    @property
    def parent(self) -> str | None:
        """Id of the parent; None at the root."""
        return self._snapshot.chain.membership.parent or None

    @property
    def active(self) -> bool:
        """Whether this node and all above it are active: else its orders and reports are not believed by others."""
        return self._snapshot.chain.state is NodeState.ACTIVE

    def member(self, node: str) -> Membership | None:
        """Return the latest membership of the node itself, an ancestor or a node below (retired ones, too)."""
        snapshot = self._snapshot
        if (below := snapshot.below.get(node)) is not None:
            return below
        return next((m for m in snapshot.chain.memberships if m.node == node), None)

    def children(self) -> Sequence[Membership]:
        """Return the children, active or suspended."""
        return self._snapshot.children

    def descendants(self) -> Sequence[Membership]:
        """Return all nodes below, active or suspended, at any depth."""
        return self._snapshot.descendants

    def towards(self, node: str) -> str | None:
        """Return the child through which a node below is reached (the child itself for a child), None for others."""
        return self._snapshot.towards.get(node)

    def path(self, node: str) -> Sequence[Membership]:
        """Return the memberships from the root to a node that ``member`` knows; empty when it does not."""
        snapshot, way = self._snapshot, list[Membership]()
        at = node
        while (membership := snapshot.below.get(at)) is not None and len(way) <= len(snapshot.below):
            way.append(membership)
            at = membership.parent
        chain = snapshot.chain
        if at not in chain.nodes:
            return ()
        return (*chain.memberships[: chain.nodes.index(at) + 1], *reversed(way))

    def state(self, node: str) -> NodeState | None:
        """Return the gravest state of a node and all above it, None for a node that is not known."""
        path = self.path(node)
        return max((m.state for m in path), key=list(NodeState).index) if path else None

    def watch(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call this on the event loop after each change; returns what ends it."""
        token = object()
        self._watchers[token] = callback

        def end() -> None:
            self._watchers.pop(token, None)

        return end

    def replace(
        self, *, chain: Chain | None = None, changed: Iterable[Membership] = (), gone: Iterable[str] = ()
    ) -> None:
        """Change what is known, on the event loop, after it was committed.

        Args:
            chain: the node's new chain; None for the same.
            changed: new memberships of nodes below.
            gone: nodes that are below no more.
        """
        below = dict(self._snapshot.below)
        for node in gone:
            below.pop(node, None)
        below.update((m.node, m) for m in changed)
        self._snapshot = _Snapshot(chain or self._snapshot.chain, MappingProxyType(below))
        for callback in tuple(self._watchers.values()):
            callback()
