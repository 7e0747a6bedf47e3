"""Who this node is to others: its key in the tree."""

from collections.abc import Callable
from dataclasses import dataclass

from gongfu.kernel.errors import Problem
from gongfu.tree.membership.keys import NodeKey


@dataclass(frozen=True, slots=True)
class Identity:
    """This node: its key and its name."""

    key: NodeKey
    name: str


# Returns who this node is, None while it is in no tree.
FindIdentity = Callable[[], Identity | None]


def needed(find: FindIdentity) -> Identity:
    """Return who this node is.

    Raises:
        Problem: 409 ``not-in-a-tree``.
    """
    found = find()
    if found is None:
        raise Problem(
            409,
            "not-in-a-tree",
            "This node is not in a tree",
            "calls between platforms are signed with the node's key in the tree: found a tree or join one first",
        )
    return found
