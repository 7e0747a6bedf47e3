"""Chains of memberships: made by adding one to the parent's, believed from the root key on."""

from collections.abc import Collection, Mapping, Sequence

from gongfu.tree.membership.documents import decode_document, encode_document, pack, unpack
from gongfu.tree.membership.keys import SIGNED_LIMIT, NodeKey, Signed, node_id, sign, verify
from gongfu.tree.membership.prefixes import check_prefix
from gongfu.tree.membership.refusals import Reason, Refused
from gongfu.tree.membership.types import DEPTH_LIMIT, MEMBERSHIP_CONTEXT, Attributes, Chain, Membership, NodeState

CHAIN_LIMIT = DEPTH_LIMIT * SIGNED_LIMIT + 8

ACTIVE = frozenset({NodeState.ACTIVE})
ANY_STATE = frozenset(NodeState)

_REFUSAL_OF_STATE = {
    NodeState.ACTIVE: Reason.TRANSITION_WRONG,
    NodeState.SUSPENDED: Reason.NODE_SUSPENDED,
    NodeState.RETIRED: Reason.NODE_RETIRED,
}


def root_membership(
    key: NodeKey,
    *,
    name: str,
    tier: str,
    prefix: str = "",
    valid_from: int,
    valid_until: int,
    attributes: Attributes | None = None,
    revision: int = 1,
) -> Membership:
    """Return what a root says of itself; times are UTC ns."""
    return Membership(
        node=key.id,
        public_key=key.public_key,
        name=name,
        tier=tier,
        parent="",
        path=(),
        prefix=prefix,
        attributes=attributes or Attributes(),
        state=NodeState.ACTIVE,
        revision=revision,
        valid_from=valid_from,
        valid_until=valid_until,
    )


def sign_membership(key: NodeKey, membership: Membership) -> Signed:
    """Return a membership signed by the parent, or by the root itself.

    Raises:
        Refused: ``membership-malformed``, a field is outside what its type allows; ``parent-wrong``, the key is not of
            the parent that the membership names.
    """
    if key.id != (membership.parent or membership.node):
        raise Refused(Reason.PARENT_WRONG, f"{key.id} cannot sign for {membership.parent or membership.node}")
    return sign(key, MEMBERSHIP_CONTEXT, encode_document(membership, Reason.MEMBERSHIP_MALFORMED))


def verify_chain(
    chain: Sequence[Signed],
    root_key: bytes,
    now: int,
    node: str,
    *,
    accept: Collection[NodeState] = ACTIVE,
    known: Mapping[str, Membership] | None = None,
) -> Chain:
    """Return the chain of ``node`` if everything in it is as it must be.

    Args:
        chain: memberships as they were signed, root first.
        root_key: raw public key of the root in which the caller believes.
        now: UTC ns, in the parent's time.
        node: id of the node whose chain it is said to be.
        accept: states that are accepted, of the node and of all above it. Who learns news of itself accepts any state
            and looks at ``Chain.state``; who is to be obeyed or counted must be active.
        known: latest membership that the caller has seen, by node. An older one is refused, and another one of the same
            revision.

    Raises:
        Refused: by the first that is wrong, root first: ``chain-empty``, ``chain-too-long``, ``context-wrong``,
            ``signer-wrong``, ``signature-wrong``, ``key-malformed`` (of ``root_key``), ``membership-malformed``,
            ``key-wrong``, ``node-repeated``, ``parent-wrong``, ``path-wrong``, the reasons of
            ``prefixes.check_prefix``, ``membership-not-yet-valid``, ``membership-expired``, ``node-suspended``,
            ``node-retired``, ``revision-replayed``, ``revision-conflict``; at last ``node-wrong``.
    """
    if not chain:
        raise Refused(Reason.CHAIN_EMPTY)
    if len(chain) > DEPTH_LIMIT:
        raise Refused(Reason.CHAIN_TOO_LONG, f"{len(chain)} levels, more than {DEPTH_LIMIT}")
    memberships: list[Membership] = []
    for signed in chain:
        memberships.append(_next(memberships, signed, root_key, now, accept, known or {}))
    if memberships[-1].node != node:
        raise Refused(Reason.NODE_WRONG, f"the chain is of {memberships[-1].node}, not of {node[:24]}")
    return Chain(tuple(chain), tuple(memberships))


def extend_chain(
    parent: Chain,
    signed: Signed,
    now: int,
    *,
    accept: Collection[NodeState] = ACTIVE,
    known: Mapping[str, Membership] | None = None,
) -> Chain:
    """Return the chain of a child from its parent's, which is verified already; only the last membership is checked.

    Raises:
        Refused: as ``verify_chain``.
    """
    if len(parent.signed) >= DEPTH_LIMIT:
        raise Refused(Reason.CHAIN_TOO_LONG, f"more than {DEPTH_LIMIT} levels")
    last = _next(parent.memberships, signed, parent.root.public_key, now, accept, known or {})
    return Chain((*parent.signed, signed), (*parent.memberships, last))


def _next(
    above: Sequence[Membership],
    signed: Signed,
    root_key: bytes,
    now: int,
    accept: Collection[NodeState],
    known: Mapping[str, Membership],
) -> Membership:
    body = verify(above[-1].public_key if above else root_key, MEMBERSHIP_CONTEXT, signed)
    membership = decode_document(body, Membership, Reason.MEMBERSHIP_MALFORMED)
    _check_place(membership, above, root_key)
    check_prefix(membership, above, now)
    if now < membership.valid_from:
        raise Refused(Reason.MEMBERSHIP_NOT_YET_VALID, f"of {membership.node}")
    if now >= membership.valid_until:
        raise Refused(Reason.MEMBERSHIP_EXPIRED, f"of {membership.node}")
    check_state(membership, accept)
    check_revision(membership, known.get(membership.node))
    return membership


def _check_place(membership: Membership, above: Sequence[Membership], root_key: bytes) -> None:
    node = membership.node
    if node != node_id(membership.public_key):
        raise Refused(Reason.KEY_WRONG, f"the key is not of {node}")
    if not above and membership.public_key != root_key:
        raise Refused(Reason.KEY_WRONG, f"{node} is not the root")
    path = tuple(ancestor.node for ancestor in above)
    if node in path:
        raise Refused(Reason.NODE_REPEATED, f"{node} is above itself")
    if membership.parent != (path[-1] if path else ""):
        raise Refused(Reason.PARENT_WRONG, f"{node} has the parent {membership.parent or '(none)'}")
    if membership.path != path:
        raise Refused(Reason.PATH_WRONG, f"the path of {node} is not that of its ancestors")


def check_state(membership: Membership, accept: Collection[NodeState]) -> None:
    """Check that a node is in one of some states.

    Raises:
        Refused: ``node-suspended`` or ``node-retired``; ``transition-wrong`` for an active one.
    """
    if membership.state not in accept:
        raise Refused(_REFUSAL_OF_STATE[membership.state], f"{membership.node} is {membership.state}")


def check_revision(membership: Membership, known: Membership | None) -> None:
    """Check that a membership is not older than the one that is known of the same node, if one is.

    Raises:
        Refused: ``revision-replayed``; ``revision-conflict``, another membership with the same revision.
    """
    if known is None or membership == known:
        return
    if membership.revision < known.revision:
        raise Refused(Reason.REVISION_REPLAYED, f"{membership.revision} of {known.node} after {known.revision}")
    if membership.revision == known.revision:
        raise Refused(Reason.REVISION_CONFLICT, f"two memberships of {known.node} have revision {known.revision}")


def known_of(chain: Chain) -> dict[str, Membership]:
    """Return the memberships of a chain by node, as ``verify_chain`` wants to know them."""
    return {membership.node: membership for membership in chain.memberships}


def ancestor_key(chain: Chain, node: str) -> bytes:
    """Return the public key of a node above the chain's own; ``Chain.key_of`` knows the node itself too.

    Raises:
        Refused: ``not-in-chain``; a sibling, a former parent, a stranger or the node itself.
    """
    if node == chain.node:
        raise Refused(Reason.NOT_IN_CHAIN, f"{node} is not above itself")
    return chain.key_of(node)


def encode_chain(chain: Sequence[Signed]) -> bytes:
    """Return the one byte form of a chain (MessagePack)."""
    return pack(tuple(chain))


def decode_chain(data: bytes) -> tuple[Signed, ...]:
    """Return the memberships in ``data``; nothing is verified.

    Raises:
        Refused: ``chain-malformed``; not exactly what ``encode_chain`` writes.
    """
    return unpack(data, tuple[Signed, ...], Reason.CHAIN_MALFORMED, CHAIN_LIMIT)
