"""A node gets another parent: what the nodes' section does, on the directories alone."""

from functools import partial
from typing import Any

import msgspec

from gongfu.tree.membership.chain import extend_chain, sign_membership
from gongfu.tree.membership.types import NodeState
from tests.fixtures.tree import TreeOfHosts


async def move(tree: TreeOfHosts, name: str, old: str, new: str, at: int) -> None:
    """Move a node with all below it."""
    node, before, above = tree.node(name), tree.node(old), tree.node(new)
    below = list(node.directory.descendants())
    membership = msgspec.structs.replace(
        node.directory.chain.membership,
        parent=above.id,
        path=above.directory.chain.nodes,
        revision=node.directory.chain.membership.revision + 1,
        valid_from=at,
    )
    chain = extend_chain(above.directory.chain, sign_membership(above.key, membership), at + 1)
    moved = {membership.node: membership}
    for member in below:
        index = member.path.index(node.id)
        moved[member.node] = msgspec.structs.replace(member, path=(*membership.path, *member.path[index:]))
    gone = list(moved)
    await before.host.turn(lambda turn: before.host.close_link(turn, node.id))
    await node.host.turn(lambda turn: node.host.close_link(turn, before.id))
    for other in tree.nodes.values():
        if other.id in moved:
            mine = {m.node for m in other.directory.descendants()}
            other.directory.replace(changed=[m for m in moved.values() if m.node in mine])
        elif other.id in membership.path:
            other.directory.replace(changed=moved.values())
        elif any(member in {m.node for m in other.directory.descendants()} for member in gone):
            other.directory.replace(gone=gone)
    node.directory.replace(chain=chain)
    for child in below:
        holder = next(n for n in tree.nodes.values() if n.id == child.node)
        parent = next(n for n in tree.nodes.values() if n.id == child.parent)
        renewed = extend_chain(parent.directory.chain, sign_membership(parent.key, moved[child.node]), at + 1)
        holder.directory.replace(chain=renewed)
    await above.host.turn(partial(_open, above.host, node.id, False))
    await node.host.turn(partial(_open, node.host, above.id, True))


def _open(host: Any, peer: str, parent: bool, turn: Any) -> None:
    host.open_link(turn, peer, parent=parent)


async def change_state(tree: TreeOfHosts, name: str, state: NodeState) -> None:
    """Suspend, resume or retire a node, in all directories; the link of a retired one is closed."""
    node = tree.node(name)
    old = node.directory.chain.membership
    membership = msgspec.structs.replace(old, state=state, revision=old.revision + 1)
    above = next(other for other in tree.nodes.values() if other.id == old.parent)
    chain = extend_chain(
        above.directory.chain, sign_membership(above.key, membership), old.valid_from + 1, accept=frozenset(NodeState)
    )
    if state is NodeState.RETIRED:
        await above.host.turn(lambda turn: above.host.close_link(turn, node.id))
    for other in tree.nodes.values():
        if other.id in membership.path:
            other.directory.replace(changed=[membership])
    node.directory.replace(chain=chain)
