"""Calls and contracts that come from where they cannot come from, and nodes that are not what they were."""

import secrets
import time
from collections.abc import Callable

import msgspec

from gongfu.kernel.times import SECOND
from gongfu.tree.membership.keys import NodeKey
from gongfu.tree.membership.types import NodeState
from gongfu.tree.peers import records
from gongfu.tree.peers.contract import Contract, Party, signed_contract
from tests.contract.tree.peers.peer_tree import PeerTree
from tests.fixtures.tree import TreeOfHosts

MakeTree = Callable[..., TreeOfHosts]


async def test_a_call_that_the_caller_signed_is_not_taken_from_its_sibling(make_tree: MakeTree) -> None:
    tree = await PeerTree(make_tree).grow()
    contract = await tree.contract()
    await tree.tree.add("east-twin", "east-works")
    await tree.tree.idle()
    stolen = tree.tree.node("east-site").key
    call = await tree.inject("east-twin", contract.id, caller="east-site", key=stolen)
    assert await tree.state("east-works", call) is None
    assert tree.refused("east-works", "wrong-way")


async def test_a_parent_brings_no_calls_for_other_branches_nor_for_its_own_contracts(make_tree: MakeTree) -> None:
    tree = await PeerTree(make_tree).grow()
    contract = await tree.contract()
    call = await tree.inject("east", contract.id, caller="east-site", callee="west-site", to="east-works")
    assert await tree.state("east-works", call) is None
    assert tree.refused("east-works", "wrong-way")
    await tree.tree.add("east-mill", "east")
    await tree.tree.idle()
    below = await tree.contract("east", "east-works", "east-mill")
    call = await tree.inject("nation", below.id, caller="east-works", callee="east-mill", to="east")
    assert await tree.state("east", call) == "node-unknown"
    assert tree.counted("east-mill", "peer_calls_received") == 0


def foreign(tree: PeerTree, key: NodeKey) -> Contract:
    now = time.time_ns()
    return Contract(
        id=f"contract-{secrets.token_hex(8)}", ancestor=key.id, caller=Party(tree.tree.id("east-site")),
        callee=Party(tree.tree.id("west-site")), kinds=("echo",), calls_per_minute=10, payload_bytes=100,
        valid_from=now - SECOND, valid_until=now + 600 * SECOND, person="eve", made_at=now,
    )  # fmt: skip


async def test_a_contract_comes_from_above_and_is_signed_there(make_tree: MakeTree) -> None:
    tree = await PeerTree(make_tree).grow()
    nation, site = tree.tree.node("nation"), tree.tree.node("east-site")
    works = tree.tree.id("east-works")
    # Even a right one is not taken from below.
    right = signed_contract(nation.key, foreign(tree, nation.key))
    await site.host.turn(lambda turn: turn.send(works, "contract", right))
    await tree.tree.idle()
    assert tree.refused("east-works", "wrong-way")
    # From above, but signed by a node that is not in the chain.
    west = tree.tree.node("west").key
    wrong = signed_contract(west, foreign(tree, west))
    await tree.tree.node("east-works").host.turn(lambda turn: turn.send(site.id, "contract", wrong))
    await tree.tree.idle()
    assert tree.refused("east-site", "ancestor-not-above")
    forged = signed_contract(west, foreign(tree, nation.key))
    await tree.tree.node("east-works").host.turn(lambda turn: turn.send(site.id, "contract", forged))
    await tree.tree.idle()
    assert len(tree.refused("east-site", "message.refuse")) == 2


async def test_a_contract_of_a_former_ancestor_is_worth_nothing(make_tree: MakeTree) -> None:
    tree = await PeerTree(make_tree).grow()
    former = NodeKey(b"f" * 32)
    contract = foreign(tree, former)
    for name in ("east-site", "east-works"):
        node = tree.tree.node(name)
        signed = signed_contract(former, contract)
        await node.host.turn(lambda turn, s=signed: records.add_contract(turn.connection, contract, s))
    assert await tree.denied(contract.id) == (403, "ancestor-not-above")
    call = await tree.inject("east-site", contract.id)
    assert await tree.state("east-works", call) == "ancestor-not-above"


async def test_a_suspended_node_neither_calls_nor_is_called(make_tree: MakeTree) -> None:
    tree = await PeerTree(make_tree).grow()
    contract = await tree.contract()
    for number, name in enumerate(("east-site", "west-site"), start=1):
        above = tree.tree.node("nation").directory
        member = above.member(tree.tree.id(name))
        assert member is not None
        suspended = msgspec.structs.replace(member, state=NodeState.SUSPENDED, revision=2)
        above.replace(changed=[suspended])
        await tree.inject("east-site", contract.id)
        assert tree.counted("nation", "peer_calls_denied.node-suspended") == number, name
        assert tree.counted("west-site", "peer_calls_received") == 0
        above.replace(changed=[msgspec.structs.replace(member, revision=3)])
    assert (await tree.call(contract.id)).answer == 1
