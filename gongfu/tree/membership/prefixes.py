"""Who may have which prefix.

A prefix is parts between dots; below ``88.1`` are ``88.1.7`` and ``88.1.7.2``. The rule, at every level of a chain:

1. The root has the prefix it says it has. A node without a prefix delegates none.
2. **Delegated**: a child's prefix is its parent's and at least one part more. The parent's signature is all it takes.
3. **Kept**: a node that was re-homed may keep its prefix although its new parent cannot delegate it. Else a parent
   could give any child the prefix of a stranger, so an ancestor must say so: the membership carries a ``PrefixGrant``
   for this node and exactly this prefix, signed by a node above it in this chain whose own prefix the kept one
   extends, and valid now. It is in practice the nearest common ancestor of the old and the new parent, through which
   the release travels and which must know anyway that the prefix is not where its parts say.
4. What is below a node with a kept prefix is judged from that prefix on, by rule 2.

When the ancestor that granted is no longer above the node, because a node in between was re-homed, the grant is void
and another ancestor must grant anew. A chain cannot show that two children of a parent have the same prefix: whoever
delegates looks at what it has delegated (``overlapping``).
"""

from collections.abc import Iterable, Sequence

from gongfu.tree.membership.documents import decode_document, encode_document
from gongfu.tree.membership.keys import NodeKey, Signed, sign, verify
from gongfu.tree.membership.refusals import Reason, Refused
from gongfu.tree.membership.types import GRANT_CONTEXT, Membership, PrefixGrant


def extends(prefix: str, base: str) -> bool:
    """Return whether ``prefix`` is ``base`` and at least one part more; nothing extends the empty prefix."""
    return base != "" and prefix.startswith(base + ".")


def overlapping(prefix: str, others: Iterable[str]) -> list[str]:
    """Return those of ``others`` that are the same as ``prefix``, above it or below it."""
    return [
        other for other in others if other and (other == prefix or extends(prefix, other) or extends(other, prefix))
    ]


def grant_prefix(key: NodeKey, grant: PrefixGrant) -> Signed:
    """Return the grant signed by the ancestor whose key this is.

    Raises:
        Refused: ``grant-malformed``.
    """
    return sign(key, GRANT_CONTEXT, encode_document(grant, Reason.GRANT_MALFORMED))


def check_prefix(membership: Membership, ancestors: Sequence[Membership], now: int) -> None:
    """Check that a node may have its prefix.

    Args:
        membership: of the node.
        ancestors: memberships from the root to its parent, themselves checked; empty for the root.
        now: UTC ns.

    Raises:
        Refused: ``prefix-wrong``, ``grant-malformed``, ``grant-wrong``, ``grant-not-yet-valid`` or ``grant-expired``.
    """
    prefix = membership.prefix
    if not ancestors or prefix == "" or extends(prefix, ancestors[-1].prefix):
        if membership.grant is not None:
            raise Refused(Reason.GRANT_WRONG, f"the prefix {prefix!r} needs no grant")
        return
    if membership.grant is None:
        raise Refused(Reason.PREFIX_WRONG, f"{prefix!r} does not extend {ancestors[-1].prefix!r} and is not granted")
    by = next((ancestor for ancestor in ancestors if ancestor.node == membership.grant.signer), None)
    if by is None:
        raise Refused(Reason.GRANT_WRONG, f"{prefix!r} is granted by {membership.grant.signer}, which is not above")
    body = verify(by.public_key, GRANT_CONTEXT, membership.grant)
    grant = decode_document(body, PrefixGrant, Reason.GRANT_MALFORMED)
    if grant.node != membership.node or grant.prefix != prefix:
        raise Refused(Reason.GRANT_WRONG, f"it grants {grant.prefix!r} to {grant.node}")
    if not extends(prefix, by.prefix):
        raise Refused(Reason.GRANT_WRONG, f"{by.node} has the prefix {by.prefix!r} and cannot grant {prefix!r}")
    if now < grant.valid_from:
        raise Refused(Reason.GRANT_NOT_YET_VALID)
    if now >= grant.valid_until:
        raise Refused(Reason.GRANT_EXPIRED)
