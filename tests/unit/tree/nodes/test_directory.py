"""Directory: who is below through which child, after joining, moving, suspension and retirement."""

import msgspec
import pytest

from gongfu.tree.membership.types import Membership, NodeState
from gongfu.tree.nodes.directory import Directory
from tests.unit.tree.membership.trees import TREE, make_child, make_key

BELOW = ("province", "sibling", "enterprise", "site")


def of(name: str) -> str:
    return TREE.keys[name].id


def directory_of(name: str, below: tuple[str, ...] = BELOW) -> Directory:
    return Directory(TREE.keys[name], TREE.chains[name], [TREE.membership(other) for other in below])


def changed(name: str, **fields: object) -> Membership:
    before = TREE.membership(name)
    return msgspec.structs.replace(before, revision=before.revision + 1, **fields)


def test_knows_itself_ancestors_children_and_all_below() -> None:
    directory = directory_of("nation")
    assert (directory.node, directory.parent, directory.active) == (of("nation"), None, True)
    assert {m.name for m in directory.children()} == {"province", "sibling"}
    assert {m.name for m in directory.descendants()} == set(BELOW)
    below = directory_of("enterprise", ("site",))
    assert below.parent == of("province")
    assert [below.member(of(name)) == TREE.membership(name) for name in ("nation", "enterprise", "site")] == [True] * 3
    assert below.member(of("sibling")) is None
    assert [m.name for m in below.path(of("site"))] == ["nation", "province", "enterprise", "site"]
    assert [m.name for m in below.path(of("nation"))] == ["nation"]
    assert below.path(of("sibling")) == ()


@pytest.mark.parametrize("name", BELOW)
def test_says_through_which_child_a_node_is_reached(name: str) -> None:
    directory = directory_of("nation")
    assert directory.towards(of(name)) == of("sibling" if name == "sibling" else "province")
    assert directory.towards(of("nation")) is None
    assert directory_of("province", ("enterprise", "site")).towards(of("nation")) is None


def test_a_move_is_followed_before_the_paths_below_are_renewed() -> None:
    directory = directory_of("nation")
    seen: list[str | None] = []
    end = directory.watch(lambda: seen.append(directory.towards(of("site"))))
    directory.replace(changed=[changed("enterprise", parent=of("sibling"), path=(of("nation"), of("sibling")))])
    end()
    directory.replace(gone=[of("site")])
    assert seen == [of("sibling")]
    assert directory.towards(of("site")) is None
    assert directory.member(of("site")) is None


def test_who_is_below_a_suspended_node_is_there_and_as_good_as_suspended() -> None:
    directory = directory_of("nation")
    directory.replace(changed=[changed("province", state=NodeState.SUSPENDED)])
    assert {m.name for m in directory.descendants()} == set(BELOW)
    assert directory.state(of("site")) is NodeState.SUSPENDED
    assert directory.state(of("sibling")) is NodeState.ACTIVE
    assert directory.state("a" * 24) is None


def test_a_retired_node_and_all_below_it_are_not_counted() -> None:
    directory = directory_of("nation")
    directory.replace(changed=[changed("province", state=NodeState.RETIRED)])
    assert {m.name for m in directory.descendants()} == {"sibling"}
    assert directory.towards(of("site")) is None
    retired = directory.member(of("province"))
    assert retired is not None
    assert retired.state is NodeState.RETIRED


def test_nodes_in_a_circle_are_not_below() -> None:
    one, two = make_key("one"), make_key("two")
    top = TREE.membership("nation")
    first = msgspec.structs.replace(make_child(top, one, "one", "x", ""), parent=two.id)
    second = msgspec.structs.replace(make_child(top, two, "two", "x", ""), parent=one.id)
    directory = Directory(TREE.keys["nation"], TREE.chains["nation"], [first, second])
    assert directory.descendants() == ()
    assert directory.path(one.id) == ()
