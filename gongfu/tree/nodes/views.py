"""Nodes as they are shown: what the directory, the links and the last status say together."""

from collections.abc import Sequence

import msgspec

from gongfu.kernel.errors import not_found
from gongfu.kernel.times import format_rfc3339
from gongfu.rest.paging import encode_cursor
from gongfu.tree.host.section import LinkView
from gongfu.tree.membership.types import Membership
from gongfu.tree.nodes.directory import Directory
from gongfu.tree.nodes.documents import NodeDoc, NodePage, NodePlace, OwnNodeDoc, enrolled_doc, link_doc
from gongfu.tree.nodes.place import Place
from gongfu.tree.nodes.requests import NodeQuery

OK, DEGRADED, SILENT, UNKNOWN = "ok", "degraded", "silent", "unknown"


class NodeViews:
    """Documents of the nodes around this one.

    Args:
        place: of this node.
        version: of this node's software.
        console: http address of this node's console, or empty.
    """

    def __init__(self, place: Place, version: str, console: str) -> None:
        self._place = place
        self._version = version
        self._console = console
        self._counted: Sequence[Membership] = ()
        self._counts: dict[str, tuple[int, int]] = {}

    def own(self, now: int) -> OwnNodeDoc:
        """Return this node; ``now`` is UTC ns."""
        place, directory = self._place, self._place.directory
        views = {view.peer: view for view in place.running.links()}
        return msgspec.structs.replace(
            enrolled_doc(place.identity, self._version),
            children=len(directory.children()),
            descendants=len(directory.descendants()),
            console=self._console or None,
            link=link_doc(views.get(directory.parent or ""), now),
        )

    def one(self, node: str, now: int) -> NodeDoc:
        """Return this node or one below, with its path.

        Raises:
            Problem: 404.
        """
        path = self._place.directory.path(node)
        if not path or path[-1].node != node or (len(path) < len(self._place.directory.chain.nodes)):
            raise not_found(f"node {node[:40]}")
        views = {view.peer: view for view in self._place.running.links()}
        return self._document(path, views, now, _places(path))

    def page(self, query: NodeQuery, now: int) -> NodePage:
        """Return nodes below, by name."""
        directory = self._place.directory
        wanted = query.search.casefold()
        found = [
            m
            for m in directory.descendants()
            if (not query.parent or m.parent == query.parent)
            and (not wanted or wanted in m.name.casefold() or wanted in m.node or m.prefix.startswith(wanted))
        ]
        found.sort(key=lambda m: (m.name, m.node))
        if query.cursor is not None:
            found = [m for m in found if (m.name, m.node) > query.cursor]
        if query.state is not None:
            found = [m for m in found if directory.state(m.node) is query.state]
        shown = found[: query.limit]
        views = {view.peer: view for view in self._place.running.links()}
        items = [self._document(directory.path(m.node), views, now) for m in shown if directory.path(m.node)]
        more = len(found) > query.limit
        return NodePage(items, encode_cursor((shown[-1].name, shown[-1].node)) if more else None)

    def _document(
        self,
        path: Sequence[Membership],
        views: dict[str, LinkView],
        now: int,
        places: tuple[NodePlace, ...] | None = None,
    ) -> NodeDoc:
        place, membership = self._place, path[-1]
        node, own = membership.node, place.key.id
        directory = place.directory
        state = directory.state(node) or membership.state
        children, descendants = self._count(directory).get(node, (0, 0))
        health, heard, version, console = self._health(path, views, now)
        return NodeDoc(
            id=node,
            name=membership.name,
            tier=membership.tier,
            parent=membership.parent,
            prefix=membership.prefix,
            state=state.value,
            attributes=membership.attributes,
            revision=membership.revision,
            valid_until=format_rfc3339(membership.valid_until),
            children=children,
            descendants=descendants,
            version=version or None,
            health=health,
            heard_at=format_rfc3339(heard) if heard else None,
            console=console or None,
            link=link_doc(views.get(node), now) if membership.parent == own else None,
            path=places,
        )

    def _health(self, path: Sequence[Membership], views: dict[str, LinkView], now: int) -> tuple[str, int, str, str]:
        """Return health, when it was heard of, version and console of the last node of a path.

        Nothing is known of who is below a silent node, or of a node that has never said anything.
        """
        place = self._place
        own, node = place.key.id, path[-1].node
        if node == own:
            return OK, now, self._version, self._console
        below = path[[m.node for m in path].index(own) + 1 :]
        status = place.status.get(node)
        heard, health = (status.heard_at, status.health) if status else (0, UNKNOWN)
        for step in below:
            view = views.get(step.node) if step.parent == own else None
            of_step = place.status.get(step.node)
            silent = (view is not None and not view.up) or of_step is None or of_step.health == SILENT
            if silent and step.node != node:
                health = UNKNOWN
                break
            if view is not None and not view.up and status is not None:
                health = SILENT
        if health in (OK, DEGRADED):
            heard = now
        return health, heard, status.version if status else "", status.console if status else ""

    def _count(self, directory: Directory) -> dict[str, tuple[int, int]]:
        below = directory.descendants()
        if below is not self._counted:
            counts: dict[str, list[int]] = {directory.node: [0, 0]}
            by_id = {m.node: m for m in below}
            for membership in below:
                parent = membership.parent
                counts.setdefault(parent, [0, 0])[0] += 1
                while True:
                    counts.setdefault(parent, [0, 0])[1] += 1
                    above = by_id.get(parent)
                    if above is None:
                        break
                    parent = above.parent
            self._counted = below
            self._counts = {node: (count[0], count[1]) for node, count in counts.items()}
        return self._counts


def _places(path: Sequence[Membership]) -> tuple[NodePlace, ...]:
    return tuple(NodePlace(m.node, m.name, m.tier) for m in path)
