"""Where a node stands: its children that are counted, its tier, the enterprise that its figures are of."""

from gongfu.tree.membership.types import NodeState
from gongfu.tree.nodes.directory import Directory

ENTERPRISE_TIERS = frozenset({"enterprise", "企业"})


def counted_children(directory: Directory) -> set[str]:
    """Return the children whose reports are counted: the active ones."""
    return {child.node for child in directory.children() if child.state is NodeState.ACTIVE}


def tier_of(directory: Directory) -> str:
    """Return the node's own tier."""
    return directory.chain.membership.tier


def enterprise_of(directory: Directory) -> str:
    """Return the enterprise that the node's own figures count for: itself, or the nearest above it; else itself."""
    for membership in reversed(directory.chain.memberships):
        if membership.tier.lower() in ENTERPRISE_TIERS:
            return membership.node
    return directory.node
