"""Re-homing: without the release nobody becomes a parent; with it, exactly one of two does."""

from typing import Any

import msgspec
import pytest

from gongfu.tree.membership.chain import ANY_STATE, known_of, sign_membership
from gongfu.tree.membership.keys import NodeKey, Signed, sign
from gongfu.tree.membership.prefixes import grant_prefix
from gongfu.tree.membership.refusals import Reason
from gongfu.tree.membership.rehome import RELEASE_CONTEXT, accept_release, release, take_chain, verify_release
from gongfu.tree.membership.transitions import AuditNote, renew, retire, suspend
from gongfu.tree.membership.types import Chain, Membership, PrefixGrant
from tests.unit.tree.membership.trees import DAY, FROM, NOW, OTHER_TREE, TREE, UNTIL, refused

CHILD = TREE.chains["enterprise"]
OLD, NEW = TREE.chains["province"], TREE.chains["sibling"]
GRANT = grant_prefix(
    TREE.keys["nation"], PrefixGrant(node=CHILD.node, prefix="88.1.7", valid_from=FROM, valid_until=UNTIL)
)


def let_go(by: str = "province", child: Chain = CHILD, to: str = NEW.node, **changes: Any) -> Signed:
    options: dict[str, Any] = {"keep_prefix": True, "valid_from": NOW - 1, "valid_until": NOW + DAY} | changes
    return release(TREE.keys[by], child, to, **options)[0]


def accept(signed: Signed, child: Chain = CHILD, parent: Chain = NEW, now: int = NOW, **changes: Any) -> Membership:
    options: dict[str, Any] = {"valid_from": FROM, "valid_until": UNTIL, "grant": GRANT} | changes
    return accept_release(signed, child, parent, now, **options).membership


def offer(membership: Membership, by: str = "sibling") -> tuple[Signed, ...]:
    return (*TREE.signed(by), sign_membership(TREE.keys[by], membership))


def test_the_whole_way() -> None:
    signed, audit = release(
        TREE.keys["province"],
        CHILD,
        NEW.node,
        keep_prefix=True,
        valid_from=NOW,
        valid_until=NOW + 1,
        reason="new district",
    )
    assert audit == AuditNote("node.release", f"node/{CHILD.node}", f"to {NEW.node}: new district")
    transition = accept_release(signed, CHILD, NEW, NOW, valid_from=FROM, valid_until=UNTIL, grant=GRANT)
    assert transition.audit == AuditNote("node.accept", f"node/{CHILD.node}", f"from {OLD.node}")
    assert transition.membership == msgspec.structs.replace(
        CHILD.membership, parent=NEW.node, path=NEW.nodes, revision=2, grant=GRANT
    )
    chain, taken = take_chain(CHILD, offer(transition.membership), NOW, release=signed)
    assert taken == AuditNote("node.rehome", f"node/{CHILD.node}", f"from {OLD.node} to {NEW.node}")
    assert chain.nodes == (*NEW.nodes, CHILD.node)
    # The former parent is not obeyed any more, and its old word not believed.
    with refused(Reason.NOT_IN_CHAIN):
        chain.key_of(OLD.node)
    with refused(Reason.REVISION_REPLAYED):
        take_chain(chain, CHILD.signed, NOW)
    later = renew(CHILD.membership, OLD.membership, valid_until=UNTIL).membership
    later = msgspec.structs.replace(later, revision=9)
    with refused(Reason.RELEASE_MISSING):
        take_chain(chain, offer(later, "province"), NOW)
    # Its own release is void too.
    with refused(Reason.NOT_IN_CHAIN):
        take_chain(chain, offer(later, "province"), NOW, release=signed)


def test_without_the_release_no_node_makes_itself_the_parent() -> None:
    grabbed = msgspec.structs.replace(
        CHILD.membership, parent=NEW.node, path=NEW.nodes, revision=7, prefix="", grant=None
    )
    with refused(Reason.RELEASE_MISSING):
        take_chain(CHILD, offer(grabbed), NOW)
    forged = let_go()
    body = sign(TREE.keys["sibling"], RELEASE_CONTEXT, forged.body)
    with refused(Reason.NOT_IN_CHAIN):
        take_chain(CHILD, offer(grabbed), NOW, release=body)
    renamed = msgspec.structs.replace(body, signer=OLD.node)
    with refused(Reason.SIGNATURE_WRONG):
        take_chain(CHILD, offer(grabbed), NOW, release=renamed)


def test_a_release_is_to_one_parent_only() -> None:
    signed = let_go(to=TREE.keys["nation"].id)
    with refused(Reason.RELEASE_WRONG):
        accept(signed)
    grabbed = msgspec.structs.replace(CHILD.membership, parent=NEW.node, path=NEW.nodes, revision=7, prefix="")
    with refused(Reason.RELEASE_WRONG):
        take_chain(CHILD, offer(grabbed), NOW, release=signed)


def test_an_ancestor_releases_the_child_of_a_parent_that_is_gone() -> None:
    signed = let_go(by="nation")
    chain, _ = take_chain(CHILD, offer(accept(signed)), NOW, release=signed)
    assert chain.membership.parent == NEW.node


@pytest.mark.parametrize("by", ["enterprise", "site", "sibling"])
def test_who_cannot_release(by: str) -> None:
    with refused(Reason.NOT_IN_CHAIN):
        let_go(by=by)


def with_province(change: Membership) -> Chain:
    """Return the enterprise's chain below a changed province."""
    nation, _, enterprise = CHILD.signed
    changed = sign_membership(TREE.keys["nation"], change)
    return TREE.verify((nation, changed, enterprise), CHILD.node, accept=ANY_STATE)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (suspend(OLD.membership, "").membership, Reason.NODE_SUSPENDED),
        (retire(OLD.membership, "").membership, Reason.NODE_RETIRED),
    ],
)
def test_a_parent_that_is_not_active_cannot_release_but_those_above_it_can(change: Membership, reason: Reason) -> None:
    child = with_province(change)
    with refused(reason):
        let_go(child=child)
    with refused(reason):
        verify_release(let_go(), child, NOW)
    assert accept(let_go(by="nation", child=child), child=child).parent == NEW.node


@pytest.mark.parametrize("to", [OLD.node, CHILD.node])
def test_where_a_child_cannot_go(to: str) -> None:
    with refused(Reason.RELEASE_WRONG):
        let_go(to=to)


def test_a_child_that_is_suspended_or_retired_stays() -> None:
    for change in (suspend, retire):
        stopped = sign_membership(TREE.keys["province"], change(CHILD.membership, "").membership)
        chain = TREE.verify((*OLD.signed, stopped), CHILD.node, accept=ANY_STATE)
        with refused(Reason.TRANSITION_WRONG):
            let_go(child=chain)


def test_a_suspension_that_comes_first_voids_the_release() -> None:
    signed = let_go()
    offered = offer(accept(signed))
    suspended = sign_membership(TREE.keys["province"], suspend(CHILD.membership, "").membership)
    current, _ = take_chain(CHILD, (*OLD.signed, suspended), NOW)
    # Both have revision 2.
    with refused(Reason.REVISION_CONFLICT):
        take_chain(current, offered, NOW, release=signed)
    # A new parent that has noticed and takes a larger one has no release of that revision.
    again = sign_membership(TREE.keys["sibling"], msgspec.structs.replace(accept(signed), revision=3))
    with refused(Reason.RELEASE_WRONG):
        take_chain(current, (*NEW.signed, again), NOW, release=signed)


def test_a_suspension_that_comes_second_is_not_of_the_parent() -> None:
    signed = let_go()
    current, _ = take_chain(CHILD, offer(accept(signed)), NOW, release=signed)
    suspended = sign_membership(TREE.keys["province"], suspend(CHILD.membership, "").membership)
    with refused(Reason.REVISION_CONFLICT):
        take_chain(current, (*OLD.signed, suspended), NOW)


def test_the_time_of_a_release() -> None:
    signed = let_go(valid_from=NOW, valid_until=NOW + 10)
    for now, reason in ((NOW - 1, Reason.RELEASE_NOT_YET_VALID), (NOW + 10, Reason.RELEASE_EXPIRED)):
        with refused(reason):
            accept(signed, now=now)
        with refused(reason):
            take_chain(CHILD, offer(accept(signed)), now, release=signed)
    assert accept(signed, now=NOW + 9)


def test_the_release_of_another_child_is_refused() -> None:
    site = TREE.chains["site"]
    with refused(Reason.RELEASE_WRONG):
        verify_release(let_go(by="nation", child=site), CHILD, NOW)


def test_a_release_with_other_contents_is_refused() -> None:
    with refused(Reason.RELEASE_MALFORMED):
        verify_release(sign(TREE.keys["province"], RELEASE_CONTEXT, b"{}"), CHILD, NOW)
    with refused(Reason.RELEASE_MALFORMED):
        let_go(reason="x" * 501)


def test_a_parent_does_not_go_below_its_own_child() -> None:
    # The province to the enterprise that is below it.
    province = TREE.chains["province"]
    signed = let_go(by="nation", child=province, to=CHILD.node)
    with refused(Reason.NODE_REPEATED):
        accept(signed, child=province, parent=CHILD, grant=None, prefix="")


def test_a_child_does_not_go_to_another_tree() -> None:
    other = OTHER_TREE.chains["sibling"]
    with refused(Reason.KEY_WRONG):
        accept(let_go(to=other.node), parent=other)


def test_the_prefix_is_given_back_when_it_is_not_let_go() -> None:
    assert accept(let_go(keep_prefix=False)).prefix == ""
    assert accept(let_go(keep_prefix=False)).grant is None
    assert accept(let_go(keep_prefix=False), prefix="88.2.3").prefix == "88.2.3"
    with refused(Reason.PREFIX_WRONG):
        accept(let_go(), grant=None)


def test_up_to_the_grandparent_no_grant_is_needed() -> None:
    nation = TREE.chains["nation"]
    signed = let_go(to=nation.node)
    membership = accept(signed, parent=nation, grant=None, tier="central enterprise")
    assert (membership.prefix, membership.tier) == ("88.1.7", "central enterprise")
    chain, _ = take_chain(CHILD, offer(membership, "nation"), NOW, release=signed)
    assert chain.nodes == (nation.node, CHILD.node)


def test_those_below_are_renewed_with_the_new_path() -> None:
    signed = let_go()
    enterprise, _ = take_chain(CHILD, offer(accept(signed)), NOW, release=signed)
    site = TREE.chains["site"]
    with refused(Reason.PATH_WRONG):
        take_chain(site, (*enterprise.signed, site.signed[-1]), NOW)
    renewed = renew(site.membership, enterprise.membership, valid_until=UNTIL).membership
    chain, audit = take_chain(site, (*enterprise.signed, sign_membership(TREE.keys["enterprise"], renewed)), NOW)
    assert chain.nodes == (*NEW.nodes, CHILD.node, site.node)
    assert chain.membership.prefix == "88.1.7.1"
    # Its parent is the same.
    assert audit is None


def test_news_of_the_same_parent_are_taken_in_order_only() -> None:
    chains = [CHILD]
    for _ in range(2):
        renewed = renew(chains[-1].membership, OLD.membership, valid_until=UNTIL).membership
        chains.append(take_chain(chains[-1], offer(renewed, "province"), NOW)[0])
    assert [chain.membership.revision for chain in chains] == [1, 2, 3]
    assert take_chain(chains[2], chains[2].signed, NOW) == (chains[2], None)
    with refused(Reason.REVISION_REPLAYED):
        take_chain(chains[2], chains[1].signed, NOW)
    assert known_of(chains[2])[CHILD.node].revision == 3


def test_another_root_is_not_taken() -> None:
    with refused(Reason.SIGNER_WRONG):
        take_chain(CHILD, OTHER_TREE.signed("enterprise"), NOW)


def test_a_release_by_a_stranger_with_a_key_of_the_same_name_is_refused() -> None:
    stranger = NodeKey(bytes(32))
    fake = sign(stranger, RELEASE_CONTEXT, let_go().body)
    with refused(Reason.NOT_IN_CHAIN):
        verify_release(fake, CHILD, NOW)
