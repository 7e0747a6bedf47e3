"""A child asks to join with a token, and the parent answers. Both sides, pure.

The child makes a ``JoinRequest`` (``sign_request``), signed with its own key, which proves that it has it. The parent
opens it (``open_request``), reads what it knows of that token and that node, and decides in the same transaction
(``answer_join``). The child believes the answer (``accept_answer``) because it is signed by the parent whose key is
in the token that its operator was given.

An answer holds no secrets, so a request that is repeated by a stranger gains nothing; the time in it is not judged,
since a child that joins may have no good clock yet. It learns the time from the answer.
"""

from dataclasses import dataclass

from gongfu.tree.membership.certificates import CertificateAuthority, Usage, check_issued, fingerprint, issue
from gongfu.tree.membership.chain import ANY_STATE, extend_chain, sign_membership, verify_chain
from gongfu.tree.membership.documents import decode_document, encode_document, pack, unpack
from gongfu.tree.membership.join_documents import (
    ANSWER_CONTEXT,
    MESSAGE_LIMIT,
    REQUEST_CONTEXT,
    AnswerMessage,
    Former,
    JoinAnswer,
    JoinRequest,
    RequestMessage,
)
from gongfu.tree.membership.keys import NodeKey, Signed, node_id, sign, verify
from gongfu.tree.membership.refusals import Reason, Refused
from gongfu.tree.membership.rehome import accept_release, take_chain
from gongfu.tree.membership.token import JoinToken, TokenRecord, TokenState, decode_token, redeem, verify_token
from gongfu.tree.membership.transitions import AuditNote, note
from gongfu.tree.membership.types import MEMBERSHIP_CONTEXT, Attributes, Chain, Membership, NodeState

# A membership begins so long before it is signed, for those whose clocks are slow. ns.
BACKDATED = 300_000_000_000


@dataclass(frozen=True, slots=True)
class OpenedRequest:
    """A request whose signature and token are good; whether the token was used, the ledger knows.

    Attributes:
        node: id of the child.
        request: what it says.
        token: what the token says; ``token.name`` is the key of its record.
        former: what it shows of another parent, not verified.
    """

    node: str
    request: JoinRequest
    token: JoinToken
    former: Former | None


@dataclass(frozen=True, slots=True)
class JoinParent:
    """The parent that answers: its key, its own chain, its certificate authority, and where leaves connect."""

    key: NodeKey
    chain: Chain
    authority: CertificateAuthority
    leaf_address: str


@dataclass(frozen=True, slots=True)
class Admission:
    """What the parent stores in one transaction, and what it sends.

    Attributes:
        record: of the token.
        signed: membership of the child, as it was signed.
        membership: the same, decoded.
        message: bytes of the answer.
        audit: what the audit log says.
    """

    record: TokenRecord
    signed: Signed
    membership: Membership
    message: bytes
    audit: AuditNote


@dataclass(frozen=True, slots=True)
class Joined:
    """What the child stores: the chain it believes from now on, and the answer. ``audit`` if it left another parent."""

    chain: Chain
    answer: JoinAnswer
    audit: AuditNote | None


def sign_request(key: NodeKey, request: JoinRequest, former: Former | None = None) -> bytes:
    """Return the bytes of a request, signed by the child.

    Raises:
        Refused: ``request-malformed``; ``key-wrong``, the request is of another key.
    """
    if request.public_key != key.public_key:
        raise Refused(Reason.KEY_WRONG, "the request is of another key")
    return pack(RequestMessage(sign(key, REQUEST_CONTEXT, encode_document(request, Reason.REQUEST_MALFORMED)), former))


def open_request(data: bytes, parent: str, now: int) -> OpenedRequest:
    """Return a request if the child has the key it names and the token is good for it.

    Args:
        data: what ``sign_request`` made.
        parent: id of the node that was asked.
        now: UTC ns, the parent's clock.

    Raises:
        Refused: ``request-malformed``, ``context-wrong``, ``signer-wrong``, ``signature-wrong``; as
            ``verify_token``.
    """
    message = unpack(data, RequestMessage, Reason.REQUEST_MALFORMED, MESSAGE_LIMIT)
    # The key is in what is signed: whoever has it may say so.
    request = decode_document(message.request.body, JoinRequest, Reason.REQUEST_MALFORMED)
    verify(request.public_key, REQUEST_CONTEXT, message.request)
    token = verify_token(request.token, parent=parent, tier=request.tier, now=now)
    return OpenedRequest(node_id(request.public_key), request, token, message.former)


def answer_join(
    parent: JoinParent,
    opened: OpenedRequest,
    record: TokenRecord | None,
    now: int,
    *,
    existing: Signed | None,
    valid_until: int,
    certificate_until: int,
    serial: bytes,
    attributes: Attributes | None = None,
) -> Admission:
    """Return what becomes of a request.

    The same child may ask again with the same token and gets the same membership, with a new certificate: it did not
    hear the answer. A child that was suspended or retired does not come back by a token.

    Args:
        parent: the node that answers.
        opened: the request.
        record: of the token, None when there is none.
        now: UTC ns, the parent's clock.
        existing: latest membership that this parent signed for the child; None for none.
        valid_until: UTC ns, of the membership.
        certificate_until: UTC ns, of the certificate.
        serial: 16 random bytes, serial number of the certificate.
        attributes: what the parent knows of the child; None for what the child says.

    Raises:
        Refused: as ``redeem``, and ``token-used`` by the same node when it has had another parent since; as
            ``verify_chain``, the parent itself is not active or has ended; ``node-suspended``, ``node-retired``; as
            ``accept_release``; ``csr-malformed``; ``chain-too-long``, ``node-repeated``, ``prefix-wrong``, the child
            cannot be there.
    """
    if record is not None and record.name != opened.token.name:
        raise Refused(Reason.TOKEN_UNKNOWN, "the record is of another token")
    redeemed = redeem(record, opened.node, now)
    own = verify_chain(parent.chain.signed, parent.chain.root.public_key, now, parent.key.id)
    previous = None if existing is None else _previous(parent, opened.node, existing)
    repeated = record is not None and record.state is TokenState.USED
    if repeated and previous is not None and opened.request.revision > previous.revision:
        # It did hear the answer, and has been elsewhere since: that is another joining, which needs another token.
        raise Refused(Reason.TOKEN_USED, "by the same node, which has left since")
    if repeated and existing is not None and previous is not None and _still_good(previous, own, opened.token, now):
        signed = existing
    else:
        signed = sign_membership(
            parent.key, _admit(own, opened, now, previous, valid_until, attributes or opened.request.attributes)
        )
    chain = extend_chain(own, signed, now)
    answer = JoinAnswer(
        node=opened.node,
        nonce=opened.request.nonce,
        revision=chain.membership.revision,
        time=now,
        leaf_address=parent.leaf_address,
        authorities=(parent.authority.pem,),
        certificate=issue(
            parent.authority,
            opened.request.csr,
            opened.node,
            Usage.CLIENT,
            serial=serial,
            now=now,
            valid_until=certificate_until,
        ),
    )
    body = encode_document(answer, Reason.ANSWER_MALFORMED)
    message = pack(AnswerMessage(sign(parent.key, ANSWER_CONTEXT, body), chain.signed))
    detail = f"token {opened.token.name}" + (", from another parent" if opened.former else "")
    return Admission(redeemed, signed, chain.membership, message, note("join", opened.node, detail))


def accept_answer(
    data: bytes,
    request: JoinRequest,
    *,
    current: Chain | None = None,
    release: Signed | None = None,
    root_key: bytes | None = None,
) -> Joined:
    """Return what a child believes after the parent's answer.

    Args:
        data: what ``answer_join`` made.
        request: what the child had asked.
        current: the chain it believes until now; None to begin anew, as its operator has decided who gave it the token.
        release: needed when ``current`` has another parent.
        root_key: public key of the root, when the child was told it; else it believes the parent.

    Raises:
        Refused: ``answer-malformed``; ``context-wrong``, ``signer-wrong``, ``signature-wrong``, not of the token's
            parent; ``answer-wrong``, of another request or not as the token says; ``certificate-malformed``,
            ``certificate-wrong``; as ``verify_chain`` and ``take_chain``.
    """
    token = decode_token(request.token)
    message = unpack(data, AnswerMessage, Reason.ANSWER_MALFORMED, MESSAGE_LIMIT)
    body = verify(token.parent_key, ANSWER_CONTEXT, message.answer)
    answer = decode_document(body, JoinAnswer, Reason.ANSWER_MALFORMED)
    node = node_id(request.public_key)
    if answer.nonce != request.nonce or answer.node != node:
        raise Refused(Reason.ANSWER_WRONG, "it is of another request")
    audit = None
    if current is not None:
        if root_key is not None and root_key != current.root.public_key:
            raise Refused(Reason.KEY_WRONG, "another root than before")
        _, audit = take_chain(current, message.chain, answer.time, release=release)
        root_key = current.root.public_key
    chain = verify_chain(message.chain, root_key or _root_key(message.chain[0]), answer.time, node)
    _check_answer(chain, answer, token, request)
    return Joined(chain, answer, audit)


def _previous(parent: JoinParent, node: str, existing: Signed) -> Membership:
    body = verify(parent.key.public_key, MEMBERSHIP_CONTEXT, existing)
    previous = decode_document(body, Membership, Reason.MEMBERSHIP_MALFORMED)
    if previous.node != node:
        raise Refused(Reason.NODE_WRONG, f"the membership is of {previous.node}")
    if previous.state is NodeState.SUSPENDED:
        raise Refused(Reason.NODE_SUSPENDED)
    if previous.state is NodeState.RETIRED:
        raise Refused(Reason.NODE_RETIRED)
    return previous


def _still_good(previous: Membership, own: Chain, token: JoinToken, now: int) -> bool:
    return (
        previous.tier == token.tier and previous.path == own.nodes and previous.valid_from <= now < previous.valid_until
    )


def _admit(
    own: Chain,
    opened: OpenedRequest,
    now: int,
    previous: Membership | None,
    valid_until: int,
    attributes: Attributes,
) -> Membership:
    token, request = opened.token, opened.request
    valid_from = max(now - BACKDATED, 0)
    if opened.former is not None:
        # Its old parent may be suspended or retired; a node above it has released the child then.
        former = verify_chain(opened.former.chain, own.root.public_key, now, opened.node, accept=ANY_STATE)
        return accept_release(
            opened.former.release,
            former,
            own,
            now,
            valid_from=valid_from,
            valid_until=valid_until,
            tier=token.tier,
            prefix=token.prefix or None,
            grant=opened.former.grant,
        ).membership
    return Membership(
        node=opened.node,
        public_key=request.public_key,
        name=request.name,
        tier=token.tier,
        parent=own.node,
        path=own.nodes,
        # Who joins again, for a new certificate, keeps its prefix: no token could give it, since it is taken.
        prefix=token.prefix or (previous.prefix if previous else ""),
        attributes=attributes,
        state=NodeState.ACTIVE,
        revision=max(previous.revision if previous else 0, request.revision) + 1,
        valid_from=valid_from,
        valid_until=valid_until,
    )


def _root_key(signed: Signed) -> bytes:
    return decode_document(signed.body, Membership, Reason.MEMBERSHIP_MALFORMED).public_key


def _check_answer(chain: Chain, answer: JoinAnswer, token: JoinToken, request: JoinRequest) -> None:
    membership = chain.membership
    if membership.parent != token.parent:
        raise Refused(Reason.ANSWER_WRONG, f"the parent is {membership.parent}, not {token.parent}")
    if membership.revision != answer.revision or membership.revision < request.revision:
        raise Refused(Reason.ANSWER_WRONG, f"the membership has revision {membership.revision}")
    if membership.tier != request.tier:
        raise Refused(Reason.ANSWER_WRONG, f"the tier is {membership.tier}, not {request.tier}")
    if token.authority not in map(fingerprint, answer.authorities):
        raise Refused(Reason.CERTIFICATE_WRONG, "the authority is not the one of the token")
    refusals: list[Refused] = []
    for authority in answer.authorities:
        try:
            return check_issued(answer.certificate, authority, request.csr, membership.node)
        except Refused as refusal:
            refusals.append(refusal)
    raise refusals[0]
