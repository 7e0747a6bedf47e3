"""What a child and its parent say to each other when the child joins."""

from typing import Annotated

import msgspec

from gongfu.tree.membership.certificates import PEM_LIMIT
from gongfu.tree.membership.chain import CHAIN_LIMIT
from gongfu.tree.membership.keys import SIGNED_LIMIT, NodeId, PublicKey, Signed
from gongfu.tree.membership.token import TOKEN_LIMIT, Address
from gongfu.tree.membership.types import DEPTH_LIMIT, Attributes, Instant, Name, Revision, Tier

REQUEST_CONTEXT = b"gongfu/join-request/1\n"
ANSWER_CONTEXT = b"gongfu/join-answer/1\n"
NONCE_BYTES = 16

# A request with a chain, a release and a grant; an answer with a chain.
MESSAGE_LIMIT = CHAIN_LIMIT + 3 * SIGNED_LIMIT + 64

Nonce = Annotated[bytes, msgspec.Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
Pem = Annotated[str, msgspec.Meta(min_length=1, max_length=PEM_LIMIT)]
Memberships = Annotated[tuple[Signed, ...], msgspec.Meta(min_length=1, max_length=DEPTH_LIMIT)]


class JoinRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a child says when it wants to join.

    Attributes:
        public_key: the child's, raw.
        name: what people call it.
        tier: what it wants to be.
        attributes: what it says of itself; the parent may know better.
        csr: certificate signing request for its TLS key, PEM.
        token: text of the join token.
        nonce: 16 random bytes, which the answer repeats.
        time: UTC ns, the child's clock.
        revision: of the latest membership it has of any parent; 0 for none.
            A new one is larger.
    """

    public_key: PublicKey
    name: Name
    tier: Tier
    attributes: Attributes
    csr: Pem
    token: Annotated[str, msgspec.Meta(max_length=TOKEN_LIMIT)]
    nonce: Nonce
    time: Instant
    # Far below the largest there is, so that no child can bring itself to where there is no larger one.
    revision: Annotated[int, msgspec.Meta(ge=0, le=2**40)] = 0


class Former(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a child shows that comes from another parent.

    Attributes:
        chain: its memberships there, root first.
        release: see ``rehome``.
        grant: see ``prefixes``; needed when it keeps a prefix that the new parent cannot delegate.
    """

    chain: Memberships
    release: Signed
    grant: Signed | None = None


class JoinAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the parent says to a child that may join. Its prefix, tier and path are in its membership.

    Attributes:
        node: id of the child.
        nonce: of the request.
        revision: of the child's membership.
        time: UTC ns, the parent's clock.
        leaf_address: where the child's NATS leaf connects, ``host:port`` or a URL.
        authorities: certificate authorities to believe on that link, PEM.
        certificate: of the child's TLS key, PEM.
    """

    node: NodeId
    nonce: Nonce
    revision: Revision
    time: Instant
    leaf_address: Address
    authorities: Annotated[tuple[Pem, ...], msgspec.Meta(min_length=1, max_length=2)]
    certificate: Pem


class RequestMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a child sends: its ``JoinRequest``, signed, and what comes from another parent."""

    request: Signed
    former: Former | None


class AnswerMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a parent sends: its ``JoinAnswer``, signed, and the child's memberships, root first."""

    answer: Signed
    chain: Memberships
