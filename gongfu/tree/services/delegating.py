"""Which prefixes a node delegates, and where their services are: from memberships and what was stated. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from gongfu.identify.handle.values import HandleValue
from gongfu.identify.namespace.types import Delegation, PrefixState
from gongfu.tree.membership.prefixes import extends
from gongfu.tree.membership.types import Membership, NodeState
from gongfu.tree.nodes.identity import load_identity
from gongfu.tree.nodes.records import all_members
from gongfu.tree.services.messages import decode_values
from gongfu.tree.services.records import ABOVE, services

# A suspended node takes no orders, and what it registered is still true.
_STATES = {
    NodeState.ACTIVE: PrefixState.ACTIVE,
    NodeState.SUSPENDED: PrefixState.SUSPENDED,
    NodeState.RETIRED: PrefixState.REVOKED,
}


@dataclass(frozen=True, slots=True)
class Around:
    """What the tree tells of identifier services.

    Attributes:
        delegations: to nodes below.
        above: HS_SITE and other values of the service to begin with for all that is not below; none at the root.
    """

    delegations: tuple[Delegation, ...] = ()
    above: tuple[HandleValue, ...] = ()


def delegates(own: Membership, member: Membership) -> bool:
    """Return whether a node delegates the prefix of one below it by itself.

    It does to its children, and to nodes that kept their prefix where they are now: their parents cannot delegate it,
    the ancestor that granted it can.
    """
    return (member.parent == own.node or member.grant is not None) and extends(member.prefix, own.prefix)


def delegations(
    own: Membership, members: Iterable[Membership], stated: Mapping[str, tuple[bytes, ...]]
) -> tuple[Delegation, ...]:
    """Return the delegations of a node, by prefix.

    Args:
        own: its membership.
        members: those below it.
        stated: values of their services by node.
    """
    found = [
        Delegation(
            name=member.prefix,
            state=_STATES[member.state],
            values=decode_values(stated.get(member.node, ())),
        )
        for member in members
        if delegates(own, member)
    ]
    return tuple(sorted(found, key=lambda delegation: delegation.name))


def read_around(connection: Connection) -> Around:
    """Return what is stored of the tree; nothing where the node is in none."""
    identity = load_identity(connection)
    if identity is None:
        return Around()
    known = services(connection)
    members = [member.membership for member in all_members(connection)]
    own = identity.chain.membership
    return Around(delegations(own, members, known), decode_values(known.get(ABOVE, ())))
