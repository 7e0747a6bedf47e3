"""Prefixes: what a parent can delegate, and what only an ancestor can grant."""

from typing import Any

import msgspec
import pytest

from gongfu.tree.membership.chain import ANY_STATE, extend_chain, sign_membership
from gongfu.tree.membership.keys import Signed, sign
from gongfu.tree.membership.prefixes import extends, grant_prefix, overlapping
from gongfu.tree.membership.refusals import Reason
from gongfu.tree.membership.types import GRANT_CONTEXT, MEMBERSHIP_CONTEXT, PrefixGrant
from tests.unit.tree.membership.trees import FROM, NOW, OTHER_TREE, TREE, UNTIL, make_child, make_key, refused

KEY = make_key("moved")
KEPT = "88.1.7"


def make_grant(by: str = "nation", **changes: Any) -> Signed:
    grant = PrefixGrant(node=KEY.id, prefix=KEPT, valid_from=FROM, valid_until=UNTIL)
    return grant_prefix(TREE.keys[by], msgspec.structs.replace(grant, **changes))


def test_extends_is_by_whole_parts() -> None:
    assert extends("88.1.7", "88.1")
    assert extends("88.1.7", "88")
    assert not extends("88.1", "88.1")
    assert not extends("88.17", "88.1")
    assert not extends("88.1", "88.1.7")
    assert not extends("88.1", "")
    assert not extends("", "")


def test_overlapping_is_the_same_above_and_below() -> None:
    assert overlapping("88.1", ["88", "88.1", "88.1.7", "88.17", "88.2", ""]) == ["88", "88.1", "88.1.7"]


@pytest.mark.parametrize("prefix", ["88.1.7", "88.1.7.4", "88.1.a-b", ""])
def test_what_a_parent_can_delegate(prefix: str) -> None:
    assert TREE.verify(TREE.child_of("province", KEY, prefix), KEY.id).membership.prefix == prefix


@pytest.mark.parametrize("prefix", ["88", "88.1", "88.2", "88.2.1", "88.17", "8", "99.1", "188.1.7"])
def test_what_a_parent_cannot_delegate(prefix: str) -> None:
    with refused(Reason.PREFIX_WRONG):
        TREE.verify(TREE.child_of("province", KEY, prefix), KEY.id)


def test_who_has_no_prefix_delegates_none() -> None:
    chain = TREE.verify(TREE.child_of("province", KEY, ""), KEY.id)
    child = make_key("child")
    for prefix, believed in (("", True), ("88.1.7", False)):
        signed = sign_membership(KEY, make_child(chain.membership, child, "x", "x", prefix))
        if believed:
            assert TREE.verify((*chain.signed, signed), child.id)
        else:
            with refused(Reason.PREFIX_WRONG):
                TREE.verify((*chain.signed, signed), child.id)


def test_a_kept_prefix_with_the_grant_of_an_ancestor_and_what_is_below_it() -> None:
    chain = TREE.verify(TREE.child_of("sibling", KEY, KEPT, grant=make_grant()), KEY.id)
    assert chain.membership.prefix == KEPT
    child = make_key("child")
    below = sign_membership(KEY, make_child(chain.membership, child, "x", "x", "88.1.7.5"))
    assert extend_chain(chain, below, NOW).membership.prefix == "88.1.7.5"
    beside = sign_membership(KEY, make_child(chain.membership, child, "x", "x", "88.2.5"))
    with refused(Reason.PREFIX_WRONG):
        extend_chain(chain, beside, NOW)


@pytest.mark.parametrize(
    ("grant", "reason"),
    [
        # Of another node, or of another prefix.
        (make_grant(node=make_key("z").id), Reason.GRANT_WRONG),
        (make_grant(prefix="88.1.8"), Reason.GRANT_WRONG),
        (make_grant(prefix="88.1"), Reason.GRANT_WRONG),
        # By the old parent, who is not above any more; by the new one, who has another prefix; by a stranger.
        (make_grant(by="province"), Reason.GRANT_WRONG),
        (make_grant(by="sibling"), Reason.GRANT_WRONG),
        (
            grant_prefix(
                OTHER_TREE.keys["nation"], PrefixGrant(node=KEY.id, prefix=KEPT, valid_from=0, valid_until=UNTIL)
            ),
            Reason.GRANT_WRONG,
        ),
        (make_grant(valid_from=NOW + 1), Reason.GRANT_NOT_YET_VALID),
        (make_grant(valid_until=NOW), Reason.GRANT_EXPIRED),
        (sign(TREE.keys["nation"], MEMBERSHIP_CONTEXT, b"{}"), Reason.CONTEXT_WRONG),
        (sign(TREE.keys["nation"], GRANT_CONTEXT, b"{}"), Reason.GRANT_MALFORMED),
        (msgspec.structs.replace(make_grant(), signature=bytes(64)), Reason.SIGNATURE_WRONG),
    ],
)
def test_a_grant_that_does_not_hold(grant: Signed, reason: Reason) -> None:
    with refused(reason):
        TREE.verify(TREE.child_of("sibling", KEY, KEPT, grant=grant), KEY.id, accept=ANY_STATE)


def test_a_grant_where_none_is_needed_is_refused() -> None:
    with refused(Reason.GRANT_WRONG):
        TREE.verify(TREE.child_of("province", KEY, KEPT, grant=make_grant()), KEY.id)


def test_a_grant_outside_what_is_allowed_is_not_signed() -> None:
    with refused(Reason.GRANT_MALFORMED):
        make_grant(prefix="88..1")
