"""A node gets another parent in the same tree: one node above it releases it, the new parent accepts it, it takes that.

The child decides between its parents, by revision: a release is of one revision of the membership, and the acceptance
has a larger one. If the old parent changes the membership after the release (it suspends the child, say) and the
child hears that first, the release is void; if the child has taken the new parent's membership first, the old
parent's word is not one of its parent any more. Without a release no node can make itself the parent of a stranger,
though all of them have good chains.

The old parent releases; a node above the old parent may do so too, since the old one may be gone for ever. The
release is judged at the moment it is accepted and again when it is taken: a child that was away for longer needs it
anew.
"""

from typing import Annotated

import msgspec

from gongfu.tree.membership.chain import ACTIVE, ANY_STATE, ancestor_key, check_state, known_of, verify_chain
from gongfu.tree.membership.documents import decode_document, encode_document
from gongfu.tree.membership.keys import NodeId, NodeKey, Signed, sign, verify
from gongfu.tree.membership.prefixes import check_prefix, extends
from gongfu.tree.membership.refusals import Reason, Refused
from gongfu.tree.membership.transitions import AuditNote, Transition, check_transition, note
from gongfu.tree.membership.types import Chain, Instant, Membership, Revision

RELEASE_CONTEXT = b"gongfu/release/1\n"


class Release(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lets a node go to another parent; signed by its parent or a node above that.

    Attributes:
        node: who may go.
        parent: its parent until now.
        to: its parent then.
        revision: of the membership that is released; void once there is a larger one.
        keep_prefix: whether the node keeps its prefix.
        valid_from: UTC ns.
        valid_until: UTC ns, the first moment at which it is not valid.
        reason: why, for people.
    """

    node: NodeId
    parent: NodeId
    to: NodeId
    revision: Revision
    keep_prefix: bool
    valid_from: Instant
    valid_until: Instant
    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""


def release(
    key: NodeKey, child: Chain, to: str, *, keep_prefix: bool, valid_from: int, valid_until: int, reason: str = ""
) -> tuple[Signed, AuditNote]:
    """Return the signed release of a child, and what is to be audited.

    Args:
        key: of the child's parent, or of a node above that.
        child: the child's chain as the releasing node knows it.
        to: id of the new parent.
        keep_prefix: whether the child keeps its prefix.
        valid_from: UTC ns.
        valid_until: UTC ns.
        reason: why, for people.

    Raises:
        Refused: ``transition-wrong``, the child is not active; ``not-in-chain``, the key is not of a node above it;
            ``node-suspended``, ``node-retired``, that node may not release; ``release-wrong``, the child is there
            already or would be its own parent; ``release-malformed``.
    """
    membership = child.membership
    check_transition(membership, "release")
    _releaser_key(child, key.id)
    if to in (membership.parent, membership.node):
        raise Refused(Reason.RELEASE_WRONG, f"{membership.node} cannot go to {to}")
    document = Release(
        node=membership.node,
        parent=membership.parent,
        to=to,
        revision=membership.revision,
        keep_prefix=keep_prefix,
        valid_from=valid_from,
        valid_until=valid_until,
        reason=reason,
    )
    signed = sign(key, RELEASE_CONTEXT, encode_document(document, Reason.RELEASE_MALFORMED))
    return signed, note("release", membership.node, f"to {to}: {reason}" if reason else f"to {to}")


def verify_release(signed: Signed, child: Chain, now: int) -> Release:
    """Return a release of a child that holds now.

    Args:
        signed: the release.
        child: the child's chain under the parent that it leaves, verified.
        now: UTC ns.

    Raises:
        Refused: ``not-in-chain``, signed by a node that is not above the child; ``node-suspended``,
            ``node-retired``, that node may not release; ``context-wrong``, ``signature-wrong``,
            ``release-malformed``; ``release-wrong``, of another node, parent or revision; ``release-not-yet-valid``,
            ``release-expired``.
    """
    body = verify(_releaser_key(child, signed.signer), RELEASE_CONTEXT, signed)
    document = decode_document(body, Release, Reason.RELEASE_MALFORMED)
    membership = child.membership
    if (document.node, document.parent) != (membership.node, membership.parent):
        raise Refused(Reason.RELEASE_WRONG, f"it releases {document.node} from {document.parent}")
    if document.revision != membership.revision:
        raise Refused(Reason.RELEASE_WRONG, f"of revision {document.revision}; there is {membership.revision}")
    if now < document.valid_from:
        raise Refused(Reason.RELEASE_NOT_YET_VALID)
    if now >= document.valid_until:
        raise Refused(Reason.RELEASE_EXPIRED)
    return document


def accept_release(
    signed: Signed,
    child: Chain,
    parent: Chain,
    now: int,
    *,
    valid_from: int,
    valid_until: int,
    tier: str | None = None,
    prefix: str | None = None,
    grant: Signed | None = None,
) -> Transition:
    """Return what the new parent says of a child that was released to it.

    Args:
        signed: the release.
        child: the child's chain under its old parent, verified.
        parent: the new parent's own chain.
        now: UTC ns.
        valid_from: UTC ns, of the new membership.
        valid_until: UTC ns, of the new membership.
        tier: another tier; None for the same.
        prefix: another prefix, empty for none; None for the old one if the release lets the child keep it, else
            for none.
        grant: of the old prefix, when the new parent cannot delegate it.

    Raises:
        Refused: as ``verify_release``; ``release-wrong``, to another parent; ``key-wrong``, another tree;
            ``node-repeated``, the child is above the new parent; ``transition-wrong``, the child is not
            active; as ``prefixes.check_prefix``.
    """
    document = verify_release(signed, child, now)
    old = child.membership
    check_transition(old, "accept")
    if document.to != parent.node:
        raise Refused(Reason.RELEASE_WRONG, f"it releases {document.node} to {document.to}")
    if child.root.public_key != parent.root.public_key:
        raise Refused(Reason.KEY_WRONG, "the child is of another tree")
    if old.node in parent.nodes:
        raise Refused(Reason.NODE_REPEATED, f"{old.node} is above {parent.node}")
    if prefix is None:
        prefix = old.prefix if document.keep_prefix else ""
    membership = Membership(
        node=old.node,
        public_key=old.public_key,
        name=old.name,
        tier=old.tier if tier is None else tier,
        parent=parent.node,
        path=parent.nodes,
        prefix=prefix,
        attributes=old.attributes,
        state=old.state,
        revision=document.revision + 1,
        valid_from=valid_from,
        valid_until=valid_until,
        grant=grant if prefix and not extends(prefix, parent.membership.prefix) else None,
    )
    check_prefix(membership, parent.memberships, now)
    return Transition(membership, note("accept", old.node, f"from {old.parent}"))


def take_chain(
    current: Chain, offered: tuple[Signed, ...], now: int, *, release: Signed | None = None
) -> tuple[Chain, AuditNote | None]:
    """Return the chain that a node believes after it was offered one, and what is to be audited.

    Args:
        current: the chain that it believes now.
        offered: memberships as they were signed, root first.
        now: UTC ns, in the parent's time.
        release: needed when the parent is another one.

    Returns:
        The new chain, in whatever state it is (look at ``Chain.state``), and an audit entry if the parent is another
        one.

    Raises:
        Refused: as ``verify_chain``; ``release-missing``; as ``verify_release``; ``release-wrong``, to another parent.
    """
    chain = verify_chain(offered, current.root.public_key, now, current.node, accept=ANY_STATE, known=known_of(current))
    old, new = current.membership.parent, chain.membership.parent
    if old == new:
        return chain, None
    if release is None:
        raise Refused(Reason.RELEASE_MISSING, f"{new} is not the parent; {old} is")
    document = verify_release(release, current, now)
    if document.to != new:
        raise Refused(Reason.RELEASE_WRONG, f"it releases {document.node} to {document.to}, not to {new}")
    return chain, note("rehome", chain.node, f"from {old} to {new}")


def _releaser_key(child: Chain, node: str) -> bytes:
    key = ancestor_key(child, node)
    # Who is suspended, or below one who is, decides nothing.
    for membership in child.memberships[: child.nodes.index(node) + 1]:
        check_state(membership, ACTIVE)
    return key
