"""Joining, from both sides: the whole way, repeated answers, and each way in which either side is lied to."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.tree.membership.certificates import (
    CertificateAuthority,
    Usage,
    certificate_node,
    check_issued,
    issue,
    make_request,
)
from gongfu.tree.membership.chain import ANY_STATE, sign_membership
from gongfu.tree.membership.documents import pack
from gongfu.tree.membership.join import (
    Admission,
    JoinParent,
    OpenedRequest,
    accept_answer,
    answer_join,
    open_request,
    sign_request,
)
from gongfu.tree.membership.join_documents import (
    ANSWER_CONTEXT,
    REQUEST_CONTEXT,
    AnswerMessage,
    Former,
    JoinAnswer,
    JoinRequest,
    RequestMessage,
)
from gongfu.tree.membership.keys import NodeKey, Signed, decode_signed, encode_signed, sign
from gongfu.tree.membership.prefixes import grant_prefix
from gongfu.tree.membership.refusals import Reason, Refused
from gongfu.tree.membership.rehome import release
from gongfu.tree.membership.token import JoinToken, TokenRecord, TokenState, encode_token, issue_record, revoke
from gongfu.tree.membership.transitions import AuditNote, renew, retire, suspend
from gongfu.tree.membership.types import Attributes, Membership, NodeState, PrefixGrant
from tests.unit.tree.membership.tls import make_authority_of
from tests.unit.tree.membership.trees import (
    DAY,
    FROM,
    NOW,
    OTHER_TREE,
    TREE,
    UNTIL,
    make_child,
    make_key,
    refused,
    seed,
)

CHILD = make_key("child")
TLS_KEY = NodeKey(seed("child tls"))


def make_parent(name: str) -> JoinParent:
    authority = make_authority_of(name, NOW, 365 * DAY)
    return JoinParent(TREE.keys[name], TREE.chains[name], authority, f"{name}.example:7422")


PROVINCE, SIBLING = make_parent("province"), make_parent("sibling")


def make_token(parent: JoinParent = PROVINCE, **changes: Any) -> JoinToken:
    token = JoinToken(
        id=seed("token")[:16],
        parent_key=parent.key.public_key,
        address="province.example:8443",
        authority=parent.authority.fingerprint,
        tier="enterprise",
        prefix="88.1.9",
        valid_from=NOW,
        valid_until=NOW + DAY,
    )
    return msgspec.structs.replace(token, **changes)


TOKEN = make_token()
RECORD = issue_record(TOKEN, NOW)


def ask(token: JoinToken = TOKEN, parent: JoinParent = PROVINCE, key: NodeKey = CHILD, **changes: Any) -> JoinRequest:
    request = JoinRequest(
        public_key=key.public_key,
        name="Steel works",
        tier="enterprise",
        attributes=Attributes(region="3202"),
        csr=make_request(TLS_KEY, key.id),
        token=encode_token(parent.key, token),
        nonce=seed("nonce")[:16],
        time=NOW - 5 * DAY,
    )
    return msgspec.structs.replace(request, **changes)


REQUEST = ask()


def open_of(request: JoinRequest = REQUEST, former: Former | None = None, **options: Any) -> OpenedRequest:
    parent, key, now = options.get("parent", PROVINCE), options.get("key", CHILD), options.get("now", NOW)
    return open_request(sign_request(key, request, former), parent.key.id, now)


def answer(
    opened: OpenedRequest | None = None,
    record: TokenRecord | None = RECORD,
    now: int = NOW,
    existing: Signed | None = None,
    parent: JoinParent = PROVINCE,
    **options: Any,
) -> Admission:
    return answer_join(
        parent,
        opened or open_of(),
        record,
        now,
        existing=existing,
        valid_until=UNTIL,
        certificate_until=now + 30 * DAY,
        serial=seed("serial")[:16],
        **options,
    )


FIRST = answer()


def test_the_whole_way() -> None:
    opened = open_of()
    assert (opened.node, opened.request, opened.token, opened.former) == (CHILD.id, REQUEST, TOKEN, None)
    admission = answer(opened)
    assert admission.record == msgspec.structs.replace(RECORD, state=TokenState.USED, node=CHILD.id, changed=NOW)
    assert admission.audit == AuditNote("node.join", f"node/{CHILD.id}", f"token {TOKEN.name}")
    assert admission.membership == Membership(
        node=CHILD.id,
        public_key=CHILD.public_key,
        name="Steel works",
        tier="enterprise",
        parent=PROVINCE.key.id,
        path=PROVINCE.chain.nodes,
        prefix="88.1.9",
        attributes=Attributes(region="3202"),
        state=NodeState.ACTIVE,
        revision=1,
        valid_from=NOW - 300_000_000_000,
        valid_until=UNTIL,
    )
    joined = accept_answer(admission.message, REQUEST, root_key=TREE.root_key)
    assert joined.chain == TREE.verify((*PROVINCE.chain.signed, admission.signed), CHILD.id)
    assert (joined.answer.time, joined.answer.leaf_address, joined.audit) == (NOW, "province.example:7422", None)
    assert certificate_node(joined.answer.certificate) == CHILD.id
    check_issued(joined.answer.certificate, PROVINCE.authority.pem, REQUEST.csr, CHILD.id)
    # Without knowing the root it believes the parent of its token.
    assert accept_answer(admission.message, REQUEST) == joined


def test_what_the_parent_knows_goes_before_what_the_child_says() -> None:
    attributes = Attributes(region="11", size="small")
    assert answer(attributes=attributes).membership.attributes == attributes


def test_who_did_not_hear_the_answer_gets_it_again() -> None:
    again = answer(record=FIRST.record, existing=FIRST.signed, now=NOW + 5)
    assert again.signed == FIRST.signed
    assert again.record == FIRST.record
    assert accept_answer(again.message, REQUEST).chain.membership.revision == 1
    # Who did hear it may ask again too, with another nonce; it is still the same membership.
    later = ask(revision=1, nonce=bytes(16))
    assert answer(open_of(later), FIRST.record, existing=FIRST.signed).signed == FIRST.signed


def test_a_second_token_makes_a_new_membership() -> None:
    token = make_token(id=bytes(16), prefix="88.1.10")
    second = answer(open_of(ask(token)), issue_record(token, NOW), existing=FIRST.signed)
    assert (second.membership.revision, second.membership.prefix) == (2, "88.1.10")


def test_the_revision_is_larger_than_any_the_child_has_had() -> None:
    assert answer(open_of(ask(revision=7))).membership.revision == 8


def test_another_child_with_the_same_token() -> None:
    other = make_key("other")
    opened = open_of(ask(key=other), key=other)
    with refused(Reason.TOKEN_USED):
        answer(opened, FIRST.record)


@pytest.mark.parametrize(
    ("record", "now", "reason"),
    [
        (None, NOW, Reason.TOKEN_UNKNOWN),
        (issue_record(make_token(id=bytes(16)), NOW), NOW, Reason.TOKEN_UNKNOWN),
        (revoke(RECORD, NOW), NOW, Reason.TOKEN_REVOKED),
        (revoke(FIRST.record, NOW), NOW, Reason.TOKEN_REVOKED),
        (RECORD, NOW + DAY, Reason.TOKEN_EXPIRED),
    ],
)
def test_what_the_ledger_refuses(record: TokenRecord | None, now: int, reason: Reason) -> None:
    with refused(reason):
        answer(record=record, now=now)


@pytest.mark.parametrize(
    ("request_", "options", "reason"),
    [
        (ask(tier="province"), {}, Reason.TIER_WRONG),
        (ask(), {"parent": SIBLING}, Reason.TOKEN_WRONG_PARENT),
        (ask(), {"now": NOW - 1}, Reason.TOKEN_NOT_YET_VALID),
        (ask(), {"now": NOW + DAY}, Reason.TOKEN_EXPIRED),
        (ask(token=make_token(parent=SIBLING), parent=SIBLING), {}, Reason.TOKEN_WRONG_PARENT),
        (msgspec.structs.replace(REQUEST, token="gfj1.AAAA"), {}, Reason.TOKEN_MALFORMED),
    ],
)
def test_what_a_token_refuses(request_: JoinRequest, options: dict[str, Any], reason: Reason) -> None:
    with refused(reason):
        open_of(request_, **options)


@pytest.mark.parametrize(("change", "reason"), [(suspend, Reason.NODE_SUSPENDED), (retire, Reason.NODE_RETIRED)])
def test_a_token_does_not_bring_back_who_was_suspended_or_retired(change: Any, reason: Reason) -> None:
    stopped = sign_membership(PROVINCE.key, change(FIRST.membership, "").membership)
    with refused(reason):
        answer(record=FIRST.record, existing=stopped)
    token = make_token(id=bytes(16))
    with refused(reason):
        answer(open_of(ask(token)), issue_record(token, NOW), existing=stopped)


def test_who_has_been_elsewhere_does_not_come_back_with_a_used_token() -> None:
    with refused(Reason.TOKEN_USED):
        answer(open_of(ask(revision=2)), FIRST.record, existing=FIRST.signed)


def test_the_membership_of_another_node_is_not_its_own() -> None:
    with refused(Reason.NODE_WRONG):
        answer(existing=TREE.signed("enterprise")[-1])
    with refused(Reason.SIGNER_WRONG):
        answer(existing=TREE.signed("sibling")[-1])


def test_a_parent_that_is_not_active_admits_nobody() -> None:
    nation = TREE.keys["nation"]
    stopped = sign_membership(nation, suspend(PROVINCE.chain.membership, "").membership)
    chain = TREE.verify((*TREE.signed("nation"), stopped), PROVINCE.key.id, accept=ANY_STATE)
    with refused(Reason.NODE_SUSPENDED):
        answer(parent=replace(PROVINCE, chain=chain))
    with refused(Reason.MEMBERSHIP_EXPIRED):
        answer(record=msgspec.structs.replace(RECORD, valid_until=UNTIL + 1), now=UNTIL)


def test_an_ancestor_does_not_join_below_itself() -> None:
    nation = TREE.keys["nation"]
    with refused(Reason.NODE_REPEATED):
        answer(open_of(ask(key=nation), key=nation))


def test_a_prefix_that_the_parent_does_not_have() -> None:
    token = make_token(prefix="88.2.1")
    with refused(Reason.PREFIX_WRONG):
        answer(open_of(ask(token)), issue_record(token, NOW))


def test_a_request_of_another_key_is_refused() -> None:
    with refused(Reason.KEY_WRONG):
        sign_request(make_key("other"), REQUEST)
    # Proof of possession: the thief names the child's key and signs with its own.
    body = msgspec.json.encode(REQUEST)
    thief = sign(make_key("thief"), REQUEST_CONTEXT, body)
    with refused(Reason.SIGNER_WRONG):
        open_request(pack(RequestMessage(thief, None)), PROVINCE.key.id, NOW)
    renamed = msgspec.structs.replace(thief, signer=CHILD.id)
    with refused(Reason.SIGNATURE_WRONG):
        open_request(pack(RequestMessage(renamed, None)), PROVINCE.key.id, NOW)


@pytest.mark.parametrize("change", [{"revision": 2**41}, {"nonce": b""}, {"name": ""}, {"csr": "x" * 9_000}])
def test_a_request_outside_what_is_allowed_is_not_made(change: dict[str, Any]) -> None:
    with refused(Reason.REQUEST_MALFORMED):
        sign_request(CHILD, ask(**change))


def test_a_csr_that_is_none() -> None:
    with refused(Reason.CSR_MALFORMED):
        answer(open_of(ask(csr="none")))


def forge(key: NodeKey = PROVINCE.key, chain: tuple[Signed, ...] | None = None, **changes: Any) -> bytes:
    """Return the first answer with changes, signed by ``key``."""
    message = msgspec.msgpack.decode(FIRST.message, type=AnswerMessage)
    good = msgspec.json.decode(message.answer.body, type=JoinAnswer)
    body = msgspec.json.encode(msgspec.structs.replace(good, **changes))
    return pack(AnswerMessage(sign(key, ANSWER_CONTEXT, body), message.chain if chain is None else chain))


ALIEN: CertificateAuthority = make_authority_of("sibling", NOW, DAY)
OF_ALIEN = issue(ALIEN, REQUEST.csr, CHILD.id, Usage.CLIENT, serial=bytes(16), now=NOW, valid_until=NOW + DAY)
BELOW_SIBLING = sign_membership(
    SIBLING.key, make_child(SIBLING.chain.membership, CHILD, "Steel works", "enterprise", "")
)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.ANSWER_MALFORMED),
        (forge(leaf_address=""), Reason.ANSWER_MALFORMED),
        (forge(chain=()), Reason.ANSWER_MALFORMED),
        (forge(key=TREE.keys["sibling"]), Reason.SIGNER_WRONG),
        (forge(nonce=bytes(16)), Reason.ANSWER_WRONG),
        (forge(node=make_key("z").id), Reason.ANSWER_WRONG),
        (forge(revision=2), Reason.ANSWER_WRONG),
        (forge(authorities=(ALIEN.pem,)), Reason.CERTIFICATE_WRONG),
        (forge(authorities=(ALIEN.pem,), certificate=OF_ALIEN), Reason.CERTIFICATE_WRONG),
        (forge(chain=(*SIBLING.chain.signed, BELOW_SIBLING)), Reason.ANSWER_WRONG),
        (forge(authorities=("x",)), Reason.CERTIFICATE_MALFORMED),
        (forge(certificate="x"), Reason.CERTIFICATE_MALFORMED),
        (forge(certificate=PROVINCE.authority.pem), Reason.CERTIFICATE_WRONG),
        (forge(time=UNTIL), Reason.MEMBERSHIP_EXPIRED),
        (forge(chain=TREE.signed("enterprise")), Reason.NODE_WRONG),
        (forge(chain=TREE.child_of("sibling", CHILD)), Reason.ANSWER_WRONG),
        (forge(chain=TREE.child_of("province", CHILD)), Reason.ANSWER_WRONG),
        (forge(chain=OTHER_TREE.child_of("province", CHILD)), Reason.KEY_WRONG),
    ],
)
def test_an_answer_that_is_not_to_be_believed(data: bytes, reason: Reason) -> None:
    assert accept_answer(forge(), REQUEST, root_key=TREE.root_key)
    # Another tree is noticed by its root: the signer of what should be the first membership.
    wanted = Reason.SIGNER_WRONG if reason is Reason.KEY_WRONG else reason
    with refused(wanted):
        accept_answer(data, REQUEST, root_key=TREE.root_key)


def test_a_newer_authority_beside_that_of_the_token() -> None:
    both = forge(authorities=(ALIEN.pem, PROVINCE.authority.pem))
    assert accept_answer(both, REQUEST).answer.authorities == (ALIEN.pem, PROVINCE.authority.pem)


@settings(deadline=None, max_examples=200)
@given(place=st.integers(0), change=st.integers(1, 255))
def test_no_changed_byte_of_a_request_or_an_answer_is_believed(place: int, change: int) -> None:
    request = bytearray(sign_request(CHILD, REQUEST))
    request[place % len(request)] ^= change
    with pytest.raises(Refused):
        open_request(bytes(request), PROVINCE.key.id, NOW)
    message = bytearray(FIRST.message)
    message[place % len(message)] ^= change
    with pytest.raises(Refused):
        accept_answer(bytes(message), REQUEST, root_key=TREE.root_key)


# The enterprise moves from the province to the sibling, and keeps its prefix.
MOVING, MOVER = TREE.chains["enterprise"], TREE.keys["enterprise"]
RELEASE, _ = release(
    TREE.keys["province"], MOVING, SIBLING.key.id, keep_prefix=True, valid_from=NOW, valid_until=NOW + DAY
)
GRANT = grant_prefix(
    TREE.keys["nation"], PrefixGrant(node=MOVER.id, prefix="88.1.7", valid_from=FROM, valid_until=UNTIL)
)
MOVE_TOKEN = make_token(SIBLING, prefix="")
MOVE = ask(MOVE_TOKEN, SIBLING, MOVER, revision=1)


def move(former: Former | None, request: JoinRequest = MOVE) -> Admission:
    opened = open_of(request, former, parent=SIBLING, key=MOVER)
    return answer(opened, issue_record(MOVE_TOKEN, NOW), parent=SIBLING)


def test_joining_from_another_parent() -> None:
    admission = move(Former(MOVING.signed, RELEASE, GRANT))
    assert admission.audit.detail == f"token {MOVE_TOKEN.name}, from another parent"
    joined = accept_answer(admission.message, MOVE, current=MOVING, release=RELEASE)
    assert joined.chain.nodes == (*SIBLING.chain.nodes, MOVER.id)
    assert (joined.chain.membership.prefix, joined.chain.membership.revision) == ("88.1.7", 2)
    assert joined.audit == AuditNote("node.rehome", f"node/{MOVER.id}", f"from {PROVINCE.key.id} to {SIBLING.key.id}")


def test_from_another_parent_without_what_is_needed() -> None:
    with refused(Reason.PREFIX_WRONG):
        move(Former(MOVING.signed, RELEASE))
    with refused(Reason.NODE_WRONG):
        move(Former(TREE.signed("site"), RELEASE, GRANT))
    with refused(Reason.SIGNATURE_WRONG):
        move(Former(MOVING.signed, msgspec.structs.replace(RELEASE, signature=bytes(64)), GRANT))
    admission = move(Former(MOVING.signed, RELEASE, GRANT))
    with refused(Reason.RELEASE_MISSING):
        accept_answer(admission.message, MOVE, current=MOVING)
    with refused(Reason.KEY_WRONG):
        accept_answer(admission.message, MOVE, current=MOVING, release=RELEASE, root_key=CHILD.public_key)


def test_a_child_that_kept_its_chain_takes_no_other_parent_by_a_token_alone() -> None:
    admission = move(None)
    assert (admission.membership.revision, admission.membership.prefix) == (2, "")
    with refused(Reason.RELEASE_MISSING):
        accept_answer(admission.message, MOVE, current=MOVING)
    # Its operator may have decided to begin anew.
    assert accept_answer(admission.message, MOVE).chain.membership.parent == SIBLING.key.id


def test_who_renews_at_its_own_parent_needs_no_release() -> None:
    current = accept_answer(FIRST.message, REQUEST).chain
    token = make_token(id=bytes(16))
    request = ask(token, revision=1)
    second = answer(open_of(request), issue_record(token, NOW), existing=FIRST.signed)
    joined = accept_answer(second.message, request, current=current)
    assert (joined.chain.membership.revision, joined.audit) == (2, None)


def test_what_was_renewed_meanwhile_is_what_is_answered() -> None:
    renewed = sign_membership(
        PROVINCE.key, renew(FIRST.membership, PROVINCE.chain.membership, valid_until=UNTIL, prefix="88.1.11").membership
    )
    again = answer(record=FIRST.record, existing=renewed)
    assert accept_answer(again.message, REQUEST).chain.membership.prefix == "88.1.11"


def test_signed_documents_in_messages_are_the_same_as_alone() -> None:
    message = msgspec.msgpack.decode(FIRST.message, type=AnswerMessage)
    assert decode_signed(encode_signed(message.chain[-1])) == FIRST.signed
