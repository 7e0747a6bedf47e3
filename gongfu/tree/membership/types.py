"""What a parent says of a child, and the memberships from the root to a node."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import msgspec

from gongfu.kernel.times import MAX_NS
from gongfu.tree.membership.keys import NodeId, PublicKey, Signed
from gongfu.tree.membership.refusals import Reason, Refused

MEMBERSHIP_CONTEXT = b"gongfu/membership/1\n"
GRANT_CONTEXT = b"gongfu/prefix-grant/1\n"

DEPTH_LIMIT = 16

# What every language's JSON can hold without loss.
_REVISION_LIMIT = 2**53 - 1
# Characters that can be shown: no control characters, line separators or halves of surrogate pairs.
_SHOWN = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]*\Z"

Instant = Annotated[int, msgspec.Meta(ge=0, le=MAX_NS)]
Revision = Annotated[int, msgspec.Meta(ge=1, le=_REVISION_LIMIT)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=_SHOWN)]
# Free text such as "province"; what is above what is said by the depth, not by the name.
Tier = Annotated[str, msgspec.Meta(min_length=1, max_length=40, pattern=_SHOWN)]
# Small letters, digits and hyphens in parts between dots; empty for none. Prefixes are compared without regard to case,
# so only one case is written.
Prefix = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^([0-9a-z-]+(\.[0-9a-z-]+)*)?\Z")]
FreeKey = Annotated[str, msgspec.Meta(min_length=1, max_length=40, pattern=_SHOWN)]
FreeText = Annotated[str, msgspec.Meta(max_length=100, pattern=_SHOWN)]


class NodeState(StrEnum):
    """What a parent lets a child be.

    A suspended node is told so and cut off until it is resumed: it takes no orders and its reports are not counted. A
    retired one never comes back under this parent.
    """

    ACTIVE = "active"
    SUSPENDED = "suspended"
    RETIRED = "retired"


_GRAVITY = {NodeState.ACTIVE: 0, NodeState.SUSPENDED: 1, NodeState.RETIRED: 2}


class Attributes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a node is selected and counted by.

    Attributes:
        region: GB/T 2260 code of a province, prefecture or county (2, 4 or 6 digits); empty for none.
        industry: GB/T 4754 code, a section letter and/or 2 to 4 digits; empty for none.
        size: class of size in the words of the tree; empty for none.
        free: at most 16 own ones.
    """

    region: Annotated[str, msgspec.Meta(pattern=r"^([0-9]{2}|[0-9]{4}|[0-9]{6})?\Z")] = ""
    industry: Annotated[str, msgspec.Meta(pattern=r"^([A-T]|[A-T]?[0-9]{2,4})?\Z")] = ""
    size: Annotated[str, msgspec.Meta(max_length=40, pattern=_SHOWN)] = ""
    free: Annotated[dict[FreeKey, FreeText], msgspec.Meta(max_length=16)] = {}


class Membership(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a parent says of a child, and signs. The root signs its own.

    Attributes:
        node: id of the child.
        public_key: its raw public key, 32 bytes.
        name: what people call it.
        tier: what it is in the tree, free text.
        parent: id of the signer; empty for the root.
        path: ids of the ancestors, root first; empty for the root.
        prefix: identifiers at home here begin with it; empty for none. See ``prefixes``.
        attributes: what it is selected and counted by.
        state: what the parent lets it be.
        revision: 1, 2, …; of two memberships of a node the larger one holds, whoever signed it.
        valid_from: UTC ns.
        valid_until: UTC ns, the first moment at which it is not valid.
        grant: a ``PrefixGrant`` of an ancestor, when the prefix is not one that the parent can delegate.
    """

    node: NodeId
    public_key: PublicKey
    name: Name
    tier: Tier
    parent: Annotated[str, msgspec.Meta(pattern=r"^([a-z2-7]{24})?\Z")]
    path: Annotated[tuple[NodeId, ...], msgspec.Meta(max_length=DEPTH_LIMIT - 1)]
    prefix: Prefix
    attributes: Attributes
    state: NodeState
    revision: Revision
    valid_from: Instant
    valid_until: Instant
    grant: Signed | None = None


class PrefixGrant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Says that a node may have a prefix which its parent cannot delegate; signed by an ancestor that could.

    Attributes:
        node: id of the node that has the prefix.
        prefix: the prefix.
        valid_from: UTC ns.
        valid_until: UTC ns, the first moment at which it is not valid.
    """

    node: NodeId
    prefix: Prefix
    valid_from: Instant
    valid_until: Instant


@dataclass(frozen=True, slots=True)
class Chain:
    """The memberships from the root to a node, verified (``chain.verify_chain`` makes it).

    Attributes:
        signed: as they were signed, root first; what is stored and passed on.
        memberships: the same, decoded.
    """

    signed: tuple[Signed, ...]
    memberships: tuple[Membership, ...]

    @property
    def root(self) -> Membership:
        """The root's membership."""
        return self.memberships[0]

    @property
    def membership(self) -> Membership:
        """The node's own membership."""
        return self.memberships[-1]

    @property
    def node(self) -> str:
        """Id of the node."""
        return self.memberships[-1].node

    @property
    def nodes(self) -> tuple[str, ...]:
        """Ids from the root to the node."""
        return tuple(membership.node for membership in self.memberships)

    @property
    def state(self) -> NodeState:
        """The gravest of all states: who is below a suspended node is as good as suspended."""
        return max((membership.state for membership in self.memberships), key=_GRAVITY.__getitem__)

    @property
    def valid_until(self) -> int:
        """UTC ns at which the first of the memberships ends."""
        return min(membership.valid_until for membership in self.memberships)

    def key_of(self, node: str) -> bytes:
        """Return the public key of an ancestor or of the node itself.

        Raises:
            Refused: ``not-in-chain``.
        """
        for membership in self.memberships:
            if membership.node == node:
                return membership.public_key
        raise Refused(Reason.NOT_IN_CHAIN, f"{node[:24]} is not above {self.node}")
