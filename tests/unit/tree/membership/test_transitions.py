"""What may become of a membership from which state."""

from collections.abc import Callable

import msgspec
import pytest

from gongfu.tree.membership.chain import extend_chain, sign_membership
from gongfu.tree.membership.refusals import Reason
from gongfu.tree.membership.transitions import AuditNote, Transition, renew, resume, retire, suspend
from gongfu.tree.membership.types import Attributes, Membership, NodeState
from tests.unit.tree.membership.test_prefixes import KEPT, KEY, make_grant
from tests.unit.tree.membership.trees import DAY, NOW, TREE, UNTIL, refused

ENTERPRISE = TREE.membership("enterprise")
PROVINCE = TREE.membership("province")

TABLE: dict[Callable[[Membership, str], Transition], tuple[str, dict[NodeState, NodeState | None]]] = {
    suspend: (
        "suspend",
        {NodeState.ACTIVE: NodeState.SUSPENDED, NodeState.SUSPENDED: None, NodeState.RETIRED: None},
    ),
    resume: ("resume", {NodeState.ACTIVE: None, NodeState.SUSPENDED: NodeState.ACTIVE, NodeState.RETIRED: None}),
    retire: (
        "retire",
        {NodeState.ACTIVE: NodeState.RETIRED, NodeState.SUSPENDED: NodeState.RETIRED, NodeState.RETIRED: None},
    ),
}


@pytest.mark.parametrize("function", list(TABLE))
@pytest.mark.parametrize("state", list(NodeState))
def test_every_state(function: Callable[[Membership, str], Transition], state: NodeState) -> None:
    verb, becomes = TABLE[function]
    before = msgspec.structs.replace(ENTERPRISE, state=state, revision=4)
    if (after := becomes[state]) is None:
        with refused(Reason.TRANSITION_WRONG):
            function(before, "why")
        return
    transition = function(before, "why")
    assert transition.membership == msgspec.structs.replace(before, state=after, revision=5)
    assert transition.audit == AuditNote(f"node.{verb}", f"node/{ENTERPRISE.node}", "why")


@pytest.mark.parametrize("function", [suspend, retire])
def test_the_root_cannot_do_it_to_itself(function: Callable[[Membership, str], Transition]) -> None:
    with refused(Reason.TRANSITION_WRONG):
        function(TREE.membership("nation"), "why")


def test_a_child_whose_clock_is_slow_learns_that_it_is_suspended() -> None:
    signed = sign_membership(TREE.keys["province"], suspend(ENTERPRISE, "").membership)
    with refused(Reason.NODE_SUSPENDED):
        extend_chain(TREE.chains["province"], signed, ENTERPRISE.valid_from)


def test_renew_keeps_what_is_not_changed() -> None:
    transition = renew(ENTERPRISE, PROVINCE, valid_until=UNTIL + DAY)
    assert transition.membership == msgspec.structs.replace(ENTERPRISE, revision=2, valid_until=UNTIL + DAY)
    assert transition.audit == AuditNote("node.renew", f"node/{ENTERPRISE.node}", "")


def test_renew_changes_what_is_given_and_says_so() -> None:
    attributes = Attributes(region="44")
    transition = renew(
        ENTERPRISE, PROVINCE, valid_until=UNTIL, name="n", tier="t", prefix="88.1.8", attributes=attributes
    )
    assert transition.membership == msgspec.structs.replace(
        ENTERPRISE, revision=2, name="n", tier="t", prefix="88.1.8", attributes=attributes
    )
    assert transition.audit.detail == "name, tier, prefix, attributes"


def test_renew_takes_the_parents_new_path() -> None:
    moved = msgspec.structs.replace(PROVINCE, path=(*PROVINCE.path, TREE.keys["sibling"].id))
    transition = renew(ENTERPRISE, moved, valid_until=UNTIL)
    assert transition.membership.path == (*moved.path, moved.node)
    assert transition.audit.detail == "path"


def test_renew_of_a_suspended_child_leaves_it_suspended() -> None:
    suspended = suspend(ENTERPRISE, "").membership
    assert renew(suspended, PROVINCE, valid_until=UNTIL).membership.state is NodeState.SUSPENDED


def test_renew_of_the_root() -> None:
    nation = TREE.membership("nation")
    renewed = renew(nation, None, valid_until=UNTIL + DAY).membership
    signed = sign_membership(TREE.keys["nation"], renewed)
    assert TREE.verify((signed, *TREE.signed("site")[1:]), TREE.keys["site"].id, NOW).root.revision == 2


def test_renew_keeps_the_grant_as_long_as_the_prefix() -> None:
    sibling = TREE.membership("sibling")
    kept = TREE.verify(TREE.child_of("sibling", KEY, KEPT, grant=make_grant()), KEY.id).membership
    assert renew(kept, sibling, valid_until=UNTIL).membership.grant == kept.grant
    other = make_grant(valid_until=UNTIL + DAY)
    assert renew(kept, sibling, valid_until=UNTIL, grant=other).membership.grant == other
    for prefix in ("", "88.2.4"):
        assert renew(kept, sibling, valid_until=UNTIL, prefix=prefix).membership.grant is None


def test_what_cannot_be_renewed() -> None:
    with refused(Reason.TRANSITION_WRONG):
        renew(retire(ENTERPRISE, "").membership, PROVINCE, valid_until=UNTIL)
    for parent in (TREE.membership("sibling"), None):
        with refused(Reason.PARENT_WRONG):
            renew(ENTERPRISE, parent, valid_until=UNTIL)
