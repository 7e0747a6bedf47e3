"""What travels along the tree about its nodes: chains down, memberships up, word of who has moved, certificates."""

import dataclasses

import msgspec

from gongfu.tree.host.section import Refusal, Turn
from gongfu.tree.membership.certificates import PEM_LIMIT, Usage, check_issued, issue, make_request
from gongfu.tree.membership.chain import ANY_STATE, decode_chain, encode_chain, extend_chain, verify_chain
from gongfu.tree.membership.documents import decode_document, pack, unpack
from gongfu.tree.membership.join import BACKDATED
from gongfu.tree.membership.keys import SIGNED_LIMIT, Signed
from gongfu.tree.membership.refusals import Reason, Refused
from gongfu.tree.membership.rehome import Release, take_chain, verify_release
from gongfu.tree.membership.token import revoke
from gongfu.tree.membership.types import Chain, NodeState
from gongfu.tree.nodes import records
from gongfu.tree.nodes.identity import Identity
from gongfu.tree.nodes.key_files import new_serial
from gongfu.tree.nodes.place import BATCH, CERTIFICATE, CERTIFICATE_REQUEST, MOVED, MemberItem, Place
from gongfu.tree.nodes.port_certificates import authority_of, ends_at
from gongfu.tree.nodes.records import Member, Status, membership_of
from gongfu.tree.nodes.validity import CERTIFICATE as CERTIFICATE_NS
from gongfu.tree.nodes.validity import is_due

_MEMBERS_LIMIT = 2 * BATCH * SIGNED_LIMIT
_STATUS_LIMIT = 1_000_000
_TEXT_LIMIT = 300


class CertificateAnswer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A new certificate for the link up: PEM, the authorities to believe, where to connect."""

    certificate: str
    authorities: str
    leaf_address: str


def take_new_chain(place: Place, turn: Turn, peer: str, body: bytes) -> None:
    """Take what the parent says of this node and of those above.

    Raises:
        Refusal: it is not from the parent, or not to be believed.
    """
    identity = place.stored(turn.connection)
    _from_parent(identity, peer)
    try:
        chain, _ = take_chain(identity.chain, decode_chain(body), turn.now)
    except Refused as refused:
        raise Refusal(refused.code, refused.detail) from None
    if chain.signed == identity.chain.signed:
        return
    was, now = identity.chain.state, chain.state
    if was is not now:
        turn.audit("node.state", f"node/{chain.node}", f"{was} to {now}, as those above say")
    place.adopt(turn, dataclasses.replace(identity, chain=chain))


def take_members(place: Place, turn: Turn, peer: str, body: bytes) -> None:
    """Take what nodes below say of those below them; what is not to be believed is audited, the others are taken.

    Raises:
        Refusal: the message cannot be read.
    """
    try:
        items = unpack(body, tuple[MemberItem, ...], Reason.MEMBERSHIP_MALFORMED, _MEMBERS_LIMIT)
    except Refused as refused:
        raise Refusal(refused.code, refused.detail) from None
    own = place.stored(turn.connection).chain
    taken: list[Member] = []
    # Those of one message mostly have the same parent.
    chains: dict[str, Chain | None] = {}
    for item in items:
        try:
            member = _take_member(place, turn, own, peer, item, chains)
        except Refused as refused:
            place.counters.add("tree_members_refused")
            node = item.signed.signer
            turn.audit("node.member-refused", f"node/{peer}", f"{refused.code}, signed by {node}: {refused.detail}")
            continue
        if member is not None:
            # The next of the same message may be below it.
            records.put_member(turn.connection, member)
            taken.append(member)
            node = member.membership.node
            for parent in [one for one, chain in chains.items() if chain is None or node in chain.nodes]:
                del chains[parent]
    if taken:
        place.announce(turn, taken)


def _take_member(
    place: Place, turn: Turn, own: Chain, peer: str, item: MemberItem, chains: dict[str, Chain | None]
) -> Member | None:
    connection = turn.connection
    membership = membership_of(item.signed)
    node = membership.node
    known = records.find_member(connection, node)
    if known is not None and not known.gone and known.signed == item.signed:
        return None
    if membership.parent not in chains:
        chains[membership.parent] = records.chain_of(connection, own, membership.parent)
    parent = chains[membership.parent]
    if parent is None or peer not in parent.nodes:
        raise Refused(Reason.PARENT_WRONG, f"{membership.parent} is not below {peer}")
    of_node = {node: known.membership} if known is not None else None
    extend_chain(parent, item.signed, turn.now, accept=ANY_STATE, known=of_node)
    released = item.released
    if known is not None and not known.gone:
        if known.membership.parent == membership.parent:
            released = released or known.released
        else:
            old = records.chain_of(connection, own, node)
            if old is not None:
                if released is None:
                    raise Refused(Reason.RELEASE_MISSING, f"{known.membership.parent} is the parent of {node}")
                # The new parent judged it when it accepted; the way here may have taken longer than it is good for.
                at = min(turn.now, membership.valid_from + BACKDATED)
                document = verify_release(released, _as_released(old, released), at)
                if document.to != membership.parent:
                    raise Refused(Reason.RELEASE_WRONG, f"it releases {node} to {document.to}")
                old_way = old.nodes[len(own.nodes)]
                if old_way not in (peer, node):
                    place.send(turn, old_way, MOVED, encode_chain((*parent.signed, item.signed)))
                elif old_way == node:
                    _let_go(place, turn, node)
    return Member(item.signed, membership, released)


def _as_released(old: Chain, released: Signed) -> Chain:
    """Return the chain of the node that was released, at the revision that was.

    The former parent may have changed the node before it released it, and that has not come here: it was cut off.
    """
    membership = old.membership
    document = decode_document(released.body, Release, Reason.RELEASE_MALFORMED)
    if document.revision <= membership.revision:
        return old
    later = msgspec.structs.replace(membership, revision=document.revision)
    return Chain(old.signed, (*old.memberships[:-1], later))


def take_moved(place: Place, turn: Turn, peer: str, body: bytes) -> None:
    """Take the parent's word that a node below has another parent now, which is not below.

    Raises:
        Refusal: it is not from the parent, or not to be believed.
    """
    connection = turn.connection
    identity = place.stored(connection)
    _from_parent(identity, peer)
    own = identity.chain
    try:
        signed = decode_chain(body)
        if not signed:
            raise Refused(Reason.CHAIN_EMPTY)
        node = membership_of(signed[-1]).node
        known = records.find_member(connection, node)
        if known is None or known.gone:
            return
        known_of = {node: known.membership}
        chain = verify_chain(signed, own.root.public_key, turn.now, node, accept=ANY_STATE, known=known_of)
    except Refused as refused:
        raise Refusal(refused.code, refused.detail) from None
    if own.node in chain.nodes or chain.membership.parent == known.membership.parent:
        return
    old = records.chain_of(connection, own, node)
    lost = records.descendants_of(records.all_members(connection), node)
    records.mark_gone(connection, lost)
    records.put_member(connection, Member(signed[-1], chain.membership, gone=True))
    turn.then(lambda: place.directory.replace(gone=lost))
    turn.then(lambda: place.running.nudge("nodes"))
    turn.audit("node.moved", f"node/{node}", f"from {known.membership.parent} to {chain.membership.parent}")
    way = old.nodes[len(own.nodes)] if old is not None else None
    if way == node:
        _let_go(place, turn, node)
    elif way is not None:
        place.send(turn, way, MOVED, body)


def _let_go(place: Place, turn: Turn, node: str) -> None:
    """End what a former child had here: its tokens and its link."""
    for token in records.tokens_of(turn.connection, node):
        records.change_token(turn.connection, token.record, revoke(token.record, turn.now))
    place.running.close_link(turn, node)


def ask_for_certificate(place: Place, turn: Turn) -> None:
    """Ask the parent for a new certificate for the link up, if the present one is due."""
    identity = place.stored(turn.connection)
    parent = identity.chain.membership.parent
    if parent and is_due(ends_at(identity.certificate), turn.wall, CERTIFICATE_NS):
        request = make_request(place.files.tls_key(place.files.link_key), place.key.id)
        place.send(turn, parent, CERTIFICATE_REQUEST, request.encode())


def give_certificate(place: Place, turn: Turn, peer: str, body: bytes, leaf_address: str) -> None:
    """Answer a child's request for a new certificate.

    Raises:
        Refusal: it is not of an active child, or not a request.
    """
    child = place.child(turn.connection, peer)
    if child is None or child.membership.state is not NodeState.ACTIVE:
        raise Refusal(Reason.NODE_WRONG, f"{peer} is not an active child")
    identity = place.stored(turn.connection)
    try:
        certificate = issue(
            authority_of(identity, place.files),
            body[: PEM_LIMIT + 1].decode("ascii", "replace"),
            peer,
            Usage.CLIENT,
            serial=new_serial(),
            now=turn.wall,
            valid_until=turn.wall + CERTIFICATE_NS,
        )
    except Refused as refused:
        raise Refusal(refused.code, refused.detail) from None
    turn.audit("node.certificate", f"node/{peer}", "renewed")
    place.send(turn, peer, CERTIFICATE, pack(CertificateAnswer(certificate, identity.authority, leaf_address)))


def take_certificate(place: Place, turn: Turn, peer: str, body: bytes) -> None:
    """Take a new certificate from the parent.

    Raises:
        Refusal: it is not from the parent, or not what was asked for.
    """
    identity = place.stored(turn.connection)
    _from_parent(identity, peer)
    try:
        answer = unpack(body, CertificateAnswer, Reason.ANSWER_MALFORMED, 4 * PEM_LIMIT)
        request = make_request(place.files.tls_key(place.files.link_key), place.key.id)
        check_issued(answer.certificate, answer.authorities, request, place.key.id)
    except Refused as refused:
        raise Refusal(refused.code, refused.detail) from None
    renewed = dataclasses.replace(
        identity,
        leaf_address=answer.leaf_address or identity.leaf_address,
        parent_authorities=answer.authorities,
        certificate=answer.certificate,
    )
    turn.audit("node.certificate", f"node/{place.key.id}", "renewed by the parent")
    place.adopt(turn, renewed)


def take_status(place: Place, turn: Turn, peer: str, body: bytes) -> list[Status]:
    """Take how a child and those below it do; return what has changed.

    Raises:
        Refusal: the message cannot be read.
    """
    try:
        items = unpack(body, tuple[Status, ...], Reason.REQUEST_MALFORMED, _STATUS_LIMIT)
    except Refused as refused:
        raise Refusal(refused.code, refused.detail) from None
    own = place.stored(turn.connection).chain
    taken: list[Status] = []
    for item in items:
        chain = records.chain_of(turn.connection, own, item.node)
        if chain is None or peer not in chain.nodes:
            place.counters.add("tree_status_refused")
            continue
        heard = turn.wall if item.node == peer else item.heard_at
        health = item.health if item.health in ("ok", "degraded", "silent") else "degraded"
        console = item.console if item.console.startswith(("http://", "https://")) else ""
        taken.append(Status(item.node, item.version[:40], health, console[:_TEXT_LIMIT], heard))
    return taken


def _from_parent(identity: Identity, peer: str) -> None:
    if peer != identity.chain.membership.parent:
        raise Refusal(Reason.PARENT_WRONG, f"{peer} is not the parent")
