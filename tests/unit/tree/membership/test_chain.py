"""Chains: each way in which one can be wrong is refused for its reason, and no changed byte is believed."""

from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gongfu.tree.membership.chain import (
    ANY_STATE,
    ancestor_key,
    decode_chain,
    encode_chain,
    extend_chain,
    known_of,
    root_membership,
    sign_membership,
    verify_chain,
)
from gongfu.tree.membership.documents import DOCUMENT_LIMIT
from gongfu.tree.membership.keys import Signed, sign
from gongfu.tree.membership.refusals import Reason, Refused
from gongfu.tree.membership.types import MEMBERSHIP_CONTEXT, Attributes, NodeState
from tests.unit.tree.membership.trees import FROM, NOW, OTHER_TREE, TREE, UNTIL, make_child, make_key, refused

SITE = TREE.keys["site"].id


def test_a_good_chain_is_believed() -> None:
    chain = TREE.verify(TREE.signed("site"), SITE)
    assert chain.nodes == tuple(TREE.keys[name].id for name in ("nation", "province", "enterprise", "site"))
    assert chain.node == SITE
    assert chain.membership.path == chain.nodes[:-1]
    assert chain.root.parent == ""
    assert chain.state is NodeState.ACTIVE
    assert chain.valid_until == UNTIL


def test_a_chain_extended_is_the_chain_verified() -> None:
    assert extend_chain(TREE.chains["enterprise"], TREE.signed("site")[-1], NOW) == TREE.chains["site"]


def test_keys_of_ancestors_only() -> None:
    chain = TREE.chains["site"]
    assert ancestor_key(chain, TREE.keys["province"].id) == TREE.keys["province"].public_key
    assert chain.key_of(SITE) == TREE.keys["site"].public_key
    for stranger in (TREE.keys["sibling"].id, SITE, OTHER_TREE.keys["nation"].id, ""):
        with refused(Reason.NOT_IN_CHAIN):
            ancestor_key(chain, stranger)
    with refused(Reason.NOT_IN_CHAIN):
        chain.key_of(TREE.keys["sibling"].id)


def test_an_empty_chain_is_refused() -> None:
    with refused(Reason.CHAIN_EMPTY):
        TREE.verify((), SITE)


def test_the_chain_of_another_node_is_refused() -> None:
    with refused(Reason.NODE_WRONG):
        TREE.verify(TREE.signed("enterprise"), SITE)


def test_another_tree_is_refused() -> None:
    with refused(Reason.SIGNER_WRONG):
        TREE.verify(OTHER_TREE.signed("site"), OTHER_TREE.keys["site"].id)


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_chain_spliced_from_two_trees_is_refused(cut: int) -> None:
    spliced = TREE.signed("site")[:cut] + OTHER_TREE.signed("site")[cut:]
    with refused(Reason.SIGNER_WRONG):
        TREE.verify(spliced, OTHER_TREE.keys["site"].id)


def test_a_node_of_two_trees_does_not_bring_one_into_the_other() -> None:
    # The same province key is a member of both trees; its children there are not its children here.
    key = TREE.keys["province"]
    elsewhere = OTHER_TREE.child_of("nation", key, "88.9")
    there = OTHER_TREE.verify(elsewhere, key.id)
    child = make_key("child")
    signed = sign_membership(key, make_child(there.membership, child, "child", "child", ""))
    assert OTHER_TREE.verify((*elsewhere, signed), child.id).node == child.id
    with refused(Reason.PATH_WRONG):
        TREE.verify((*TREE.signed("province"), signed), child.id)


@pytest.mark.parametrize(
    ("without", "reason"), [(0, Reason.KEY_WRONG), (1, Reason.SIGNER_WRONG), (2, Reason.SIGNER_WRONG)]
)
def test_a_level_that_is_missing_is_noticed(without: int, reason: Reason) -> None:
    chain = list(TREE.signed("site"))
    del chain[without]
    with refused(reason):
        TREE.verify(tuple(chain), SITE)


def test_order_and_repetition_are_noticed() -> None:
    nation, province, enterprise, site = TREE.signed("site")
    for chain in (
        (nation, enterprise, province, site),
        (nation, province, province, enterprise, site),
        (nation, nation, province, enterprise, site),
    ):
        with pytest.raises(Refused):
            TREE.verify(chain, SITE)


def test_a_node_that_is_above_itself_is_refused() -> None:
    chain = TREE.child_of("enterprise", TREE.keys["province"])
    with refused(Reason.NODE_REPEATED):
        TREE.verify(chain, TREE.keys["province"].id)


def test_the_root_is_not_its_own_child() -> None:
    nation = TREE.signed("nation")[0]
    with refused(Reason.NODE_REPEATED):
        TREE.verify((nation, nation), TREE.keys["nation"].id)


def test_a_siblings_signature_is_refused_whatever_it_says() -> None:
    # The sibling signs what the province would: as itself, and under the province's name.
    forged = make_child(TREE.membership("province"), make_key("victim"), "x", "x", "88.1.9")
    body = msgspec.json.encode(forged)
    sibling = sign(TREE.keys["sibling"], MEMBERSHIP_CONTEXT, body)
    with refused(Reason.SIGNER_WRONG):
        TREE.verify((*TREE.signed("province"), sibling), forged.node)
    renamed = Signed(MEMBERSHIP_CONTEXT, TREE.keys["province"].id, body, sibling.signature)
    with refused(Reason.SIGNATURE_WRONG):
        TREE.verify((*TREE.signed("province"), renamed), forged.node)


def test_sixteen_levels_and_not_seventeen() -> None:
    chain = TREE.chains["nation"]
    key = TREE.keys["nation"]
    for level in range(1, 16):
        child = make_key(f"level {level}")
        chain = extend_chain(chain, sign_membership(key, make_child(chain.membership, child, "x", "x", "")), NOW)
        key = child
    assert len(TREE.verify(chain.signed, key.id).nodes) == 16
    with refused(Reason.CHAIN_TOO_LONG):
        extend_chain(chain, chain.signed[-1], NOW)
    with refused(Reason.CHAIN_TOO_LONG):
        TREE.verify((*chain.signed, chain.signed[-1]), key.id)
    # The seventeenth cannot even be signed: its path is too long.
    with refused(Reason.MEMBERSHIP_MALFORMED):
        sign_membership(key, make_child(chain.membership, make_key("17"), "x", "x", ""))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"path": ()}, Reason.PATH_WRONG),
        ({"path": (TREE.keys["sibling"].id, TREE.keys["province"].id)}, Reason.PATH_WRONG),
        ({"public_key": make_key("z").public_key}, Reason.KEY_WRONG),
        ({"valid_from": NOW + 1}, Reason.MEMBERSHIP_NOT_YET_VALID),
        ({"valid_until": NOW}, Reason.MEMBERSHIP_EXPIRED),
        ({"state": NodeState.SUSPENDED}, Reason.NODE_SUSPENDED),
        ({"state": NodeState.RETIRED}, Reason.NODE_RETIRED),
        ({"prefix": "88.2.1"}, Reason.PREFIX_WRONG),
    ],
)
def test_what_a_membership_says_wrongly_is_refused(changes: dict[str, Any], reason: Reason) -> None:
    key = make_key("child")
    assert TREE.verify(TREE.child_of("province", key), key.id)
    with refused(reason):
        TREE.verify(TREE.child_of("province", key, **changes), key.id)


def test_another_parent_than_the_signer_is_refused() -> None:
    key = make_key("child")
    wrong = make_child(TREE.membership("sibling"), key, "x", "x", "")
    with refused(Reason.PARENT_WRONG):
        sign_membership(TREE.keys["province"], wrong)
    signed = sign(TREE.keys["province"], MEMBERSHIP_CONTEXT, msgspec.json.encode(wrong))
    with refused(Reason.PARENT_WRONG):
        TREE.verify((*TREE.signed("province"), signed), key.id)


def test_the_first_and_the_last_moment() -> None:
    key = make_key("child")
    chain = TREE.child_of("province", key, valid_from=NOW, valid_until=NOW + 10)
    assert TREE.verify(chain, key.id, NOW)
    assert TREE.verify(chain, key.id, NOW + 9)
    with refused(Reason.MEMBERSHIP_NOT_YET_VALID):
        TREE.verify(chain, key.id, NOW - 1)
    with refused(Reason.MEMBERSHIP_EXPIRED):
        TREE.verify(chain, key.id, NOW + 10)


def test_an_ancestor_that_ended_ends_those_below() -> None:
    nation, *_ = TREE.signed("nation")
    province = TREE.membership("province")
    short = sign_membership(TREE.keys["nation"], msgspec.structs.replace(province, valid_until=NOW))
    with refused(Reason.MEMBERSHIP_EXPIRED):
        TREE.verify((nation, short, *TREE.signed("site")[2:]), SITE)


@pytest.mark.parametrize(
    ("state", "reason"),
    [(NodeState.SUSPENDED, Reason.NODE_SUSPENDED), (NodeState.RETIRED, Reason.NODE_RETIRED)],
)
def test_below_a_node_that_is_not_active(state: NodeState, reason: Reason) -> None:
    nation, *_ = TREE.signed("nation")
    changed = msgspec.structs.replace(TREE.membership("province"), state=state, revision=2)
    chain = (nation, sign_membership(TREE.keys["nation"], changed), *TREE.signed("site")[2:])
    with refused(reason):
        TREE.verify(chain, SITE)
    # The node can learn of it all the same.
    assert TREE.verify(chain, SITE, accept=ANY_STATE).state is state


def test_an_older_membership_after_a_newer_one_is_refused() -> None:
    key = make_key("child")
    old = TREE.child_of("province", key)
    new = TREE.child_of("province", key, revision=2, state=NodeState.SUSPENDED)
    known = known_of(TREE.verify(new, key.id, accept=ANY_STATE))
    assert TREE.verify(new, key.id, accept=ANY_STATE, known=known)
    with refused(Reason.REVISION_REPLAYED):
        TREE.verify(old, key.id, known=known)


def test_an_older_membership_of_an_ancestor_is_refused() -> None:
    nation, *_ = TREE.signed("nation")
    newer = sign_membership(TREE.keys["nation"], msgspec.structs.replace(TREE.membership("province"), revision=5))
    known = known_of(TREE.verify((nation, newer, *TREE.signed("site")[2:]), SITE))
    with refused(Reason.REVISION_REPLAYED):
        TREE.verify(TREE.signed("site"), SITE, known=known)


def test_two_memberships_of_one_revision_are_refused() -> None:
    key = make_key("child")
    known = known_of(TREE.verify(TREE.child_of("province", key), key.id))
    with refused(Reason.REVISION_CONFLICT):
        TREE.verify(TREE.child_of("province", key, valid_until=UNTIL + 1), key.id, known=known)


def test_a_root_that_is_not_signed_by_itself_is_refused() -> None:
    key = make_key("usurper")
    fake = root_membership(key, name="nation", tier="nation", valid_from=FROM, valid_until=UNTIL)
    with refused(Reason.SIGNER_WRONG):
        TREE.verify((sign_membership(key, fake),), key.id)
    # Signed by the true root, as a root.
    signed = sign(TREE.keys["nation"], MEMBERSHIP_CONTEXT, msgspec.json.encode(fake))
    with refused(Reason.KEY_WRONG):
        TREE.verify((signed,), key.id)
    with refused(Reason.KEY_MALFORMED):
        verify_chain([Signed(signed.context, "4oymiquy7qobjgx36tejs35z", signed.body, signed.signature)], b"", NOW, "")


@pytest.mark.parametrize(
    "change",
    [
        {"unknown": 1},
        {"revision": 0},
        {"revision": 2**53},
        {"tier": ""},
        {"name": "a\nb"},
        {"name": "x" * 201},
        {"prefix": "88..1"},
        {"prefix": "88.A"},
        {"prefix": ".88"},
        {"prefix": "88.1\n"},
        {"state": "lost"},
        {"parent": "x"},
        {"valid_from": -1},
        {"valid_until": 2**63},
        {"attributes": {"region": "32011"}},
        {"attributes": {"industry": "Z1"}},
        {"attributes": {"free": {"": "x"}}},
        {"attributes": {"free": {str(n): "" for n in range(17)}}},
        {"public_key": "AAAA"},
    ],
)
def test_a_membership_outside_what_is_allowed_is_refused_though_it_is_signed(change: dict[str, Any]) -> None:
    key = make_key("child")
    document = msgspec.json.decode(msgspec.json.encode(make_child(TREE.membership("province"), key, "x", "x", "")))
    good = sign(TREE.keys["province"], MEMBERSHIP_CONTEXT, msgspec.json.encode(document))
    assert TREE.verify((*TREE.signed("province"), good), key.id)
    bad = sign(TREE.keys["province"], MEMBERSHIP_CONTEXT, msgspec.json.encode(document | change))
    with refused(Reason.MEMBERSHIP_MALFORMED):
        TREE.verify((*TREE.signed("province"), bad), key.id)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b"[" * 5_000, b'{"node":' * 2_000, b" " * 40_000])
def test_what_is_no_membership_is_refused_though_it_is_signed(body: bytes) -> None:
    with refused(Reason.MEMBERSHIP_MALFORMED):
        TREE.verify((sign(TREE.keys["nation"], MEMBERSHIP_CONTEXT, body),), SITE)


def test_what_is_too_long_is_not_read() -> None:
    body = TREE.signed("nation")[0].body
    for blanks, believed in ((b" ", True), (b" " * DOCUMENT_LIMIT, False)):
        signed = sign(TREE.keys["nation"], MEMBERSHIP_CONTEXT, body + blanks)
        if believed:
            assert TREE.verify((signed,), TREE.keys["nation"].id)
        else:
            with refused(Reason.MEMBERSHIP_MALFORMED):
                TREE.verify((signed,), TREE.keys["nation"].id)
    assert len(decode_chain(encode_chain(TREE.signed("site") * 20))) == 80
    with refused(Reason.CHAIN_MALFORMED):
        decode_chain(encode_chain(TREE.signed("site") * 400))


def test_the_largest_membership_fits() -> None:
    wide = "\U0001f3ed"
    attributes = Attributes(
        region="320102",
        industry="C3411",
        size=wide * 40,
        free={f"{n:02}" + wide * 38: wide * 100 for n in range(16)},
    )
    key = make_key("child")
    ids = tuple(make_key(str(level)).id for level in range(14))
    parent = msgspec.structs.replace(TREE.membership("province"), path=ids)
    large = make_child(parent, key, wide * 200, wide * 40, "8" * 64, attributes=attributes)
    signed = sign_membership(TREE.keys["province"], msgspec.structs.replace(large, grant=TREE.signed("nation")[0]))
    assert len(signed.body) < DOCUMENT_LIMIT / 2


@settings(deadline=None, max_examples=300)
@given(place=st.integers(0), change=st.integers(1, 255))
@example(place=0, change=0x01)
@example(place=-1, change=0x80)
def test_no_changed_byte_of_a_chain_is_believed(place: int, change: int) -> None:
    data = bytearray(encode_chain(TREE.signed("site")))
    assert TREE.verify(decode_chain(bytes(data)), SITE) == TREE.chains["site"]
    data[place % len(data)] ^= change
    with pytest.raises(Refused):
        TREE.verify(decode_chain(bytes(data)), SITE)


@settings(deadline=None)
@given(place=st.integers(0), length=st.integers(1, 40), inserted=st.binary(max_size=40))
def test_no_cut_or_exchanged_piece_of_a_chain_is_believed(place: int, length: int, inserted: bytes) -> None:
    good = encode_chain(TREE.signed("site"))
    place %= len(good)
    data = good[:place] + inserted + good[place + length :]
    if data != good:
        with pytest.raises(Refused):
            TREE.verify(decode_chain(data), SITE)


@settings(deadline=None)
@given(data=st.binary(max_size=500))
@example(data=b"\x90")
@example(data=b"\x91" * 100_000)
def test_arbitrary_bytes_are_no_chain(data: bytes) -> None:
    with pytest.raises(Refused):
        TREE.verify(decode_chain(data), SITE)
