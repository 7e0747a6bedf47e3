"""Calls between nodes of different branches on real hosts and records: only what a contract says, once, or not."""

import asyncio
from collections.abc import Callable

import pytest

from gongfu.kernel.errors import Problem
from gongfu.tree.peers.contract import Party
from gongfu.tree.peers.requests import ContractEnding, ContractListing, NewContract
from tests.contract.tree.peers.peer_tree import PeerTree
from tests.fixtures.tree import TreeOfHosts, until

MakeTree = Callable[..., TreeOfHosts]


async def grown(make_tree: MakeTree) -> PeerTree:
    return await PeerTree(make_tree).grow()


async def test_a_call_goes_over_the_common_ancestor_and_its_answer_comes_back(make_tree: MakeTree) -> None:
    tree = await grown(make_tree)
    contract = await tree.contract()
    answer = await tree.call(contract.id, payload={"ask": [1, 2]})
    assert answer.answer == {"ask": [1, 2]}
    assert answer.by == tree.tree.id("west-site")
    await tree.tree.idle()
    for name in ("east-site", "east-works", "east", "nation", "west", "west-works", "west-site"):
        await tree.becomes(name, answer.id, "answered")
    summary = await tree.call(contract.id, "node-summary")
    assert (summary.answer["name"], summary.answer["tier"], summary.answer["version"]) == (
        "west-site",
        "west-site",
        "1.0",
    )
    assert any("contract-made" in entry for entry in tree.audited("nation"))
    assert any("call-made: echo" in entry for entry in tree.audited("east-site"))


async def test_without_a_contract_nothing_goes_sideways(make_tree: MakeTree) -> None:
    tree = await grown(make_tree)
    assert await tree.denied("contract-of-nobody") == (404, "not-found")
    call = await tree.inject("east-site", "contract-of-nobody")
    assert await tree.state("east-works", call) == "contract-unknown"
    assert any("contract-unknown" in entry for entry in tree.audited("east-works", "peers.call-denied"))
    assert tree.audited("east", "peers.call-denied") == []
    # A contract is for its parties, and in one direction.
    contract = await tree.contract()
    assert await tree.denied(contract.id, caller="west-site", callee=tree.tree.id("east-site")) == (
        403,
        "caller-not-party",
    )
    back = await tree.inject("west-site", contract.id, callee="east-site")
    assert await tree.state("west-works", back) == "caller-not-party"
    other = await tree.inject("east-site", contract.id, callee="west")
    assert await tree.state("east-works", other) == "callee-not-party"


async def test_an_expired_contract_is_over_everywhere(make_tree: MakeTree) -> None:
    tree = await grown(make_tree)
    contract = await tree.contract(seconds=1.5)
    assert (await tree.call(contract.id)).answer == 1
    end = tree.tree.node("east-site").host.now() + 1_500_000_000
    await until(lambda: tree.tree.node("east-site").host.now() > end, "the contract has expired")
    assert await tree.denied(contract.id) == (403, "contract-expired")
    call = await tree.inject("east-site", contract.id)
    assert await tree.state("east-works", call) == "contract-expired"
    page = await tree.command("west-site", "contract-list", ContractListing())
    assert [(item.id, item.state, item.own) for item in page.items] == [(contract.id, "contract-expired", False)]


async def test_a_revoked_contract_is_over_everywhere_and_only_its_ancestor_revokes(make_tree: MakeTree) -> None:
    tree = await grown(make_tree)
    contract = await tree.contract()
    with pytest.raises(Problem, match="which made it"):
        await tree.command("east", "contract-revoke", ContractEnding(contract.id, "mine"))
    ended = await tree.command("nation", "contract-revoke", ContractEnding(contract.id, "abused"))
    assert (ended.state, ended.end_reason) == ("contract-revoked", "abused")
    await tree.tree.idle()
    assert await tree.denied(contract.id) == (403, "contract-revoked")
    call = await tree.inject("east-site", contract.id)
    assert await tree.state("east-works", call) == "contract-revoked"
    assert tree.audited("west-site", "peers.contract-ended") == ["peers.contract-ended: abused"]


async def test_kind_and_size_are_those_of_the_contract(make_tree: MakeTree) -> None:
    tree = await grown(make_tree)
    contract = await tree.contract(kinds=("echo",), payload_bytes=10)
    assert await tree.denied(contract.id, "node-summary") == (403, "kind-not-covered")
    assert await tree.denied(contract.id, "echo", "x" * 20) == (413, "payload-too-large")
    kind = await tree.inject("east-site", contract.id, "node-summary")
    size = await tree.inject("east-site", contract.id, payload=b"1" * 11)
    assert await tree.state("east-works", kind) == "kind-not-covered"
    assert await tree.state("east-works", size) == "payload-too-large"


async def test_a_flood_is_limited_at_the_caller_and_at_the_first_hop(make_tree: MakeTree) -> None:
    tree = await grown(make_tree)
    contract = await tree.contract(calls_per_minute=3)
    for number in range(3):
        assert (await tree.call(contract.id, payload=number)).answer == number
    for _ in range(5):
        assert await tree.denied(contract.id) == (429, "rate-exceeded")
    for _ in range(5):
        await tree.inject("east-site", contract.id)
    assert tree.counted("east-works", "peer_calls_denied.rate-exceeded") == 5
    assert tree.counted("east", "peer_calls_passed") == 3
    # A flood does not fill the audit.
    assert len(tree.audited("east-works", "peers.call-denied")) == 1
    # The count survives a restart.
    await tree.tree.kill("east-works")
    await tree.tree.start("east-works")
    await tree.inject("east-site", contract.id)
    assert tree.counted("east-works", "peer_calls_denied.rate-exceeded") == 6


async def test_a_forged_or_repeated_call_is_refused_and_audited(make_tree: MakeTree) -> None:
    tree = await grown(make_tree)
    contract = await tree.contract()
    # Another node says that it is the caller; who is on the way sees that it is not there, or has not signed.
    sideways = await tree.inject("west-site", contract.id, caller="east-site")
    assert await tree.state("west-works", sideways) is None
    assert tree.refused("west-works", "wrong-way")
    forged = await tree.inject("east-works", contract.id, caller="east-site")
    assert await tree.state("east", forged) is None
    assert tree.refused("east", "signature-bad")
    # The same call again is not made again.
    call = await tree.inject("east-site", contract.id)
    await tree.becomes("east", call, "answered")
    await tree.inject("east-site", contract.id, call_id=call)
    assert tree.refused("east-works", "call-repeated")
    assert tree.counted("west-site", "peer_calls_received") == 1


async def test_only_who_was_asked_answers_and_only_once(make_tree: MakeTree) -> None:
    tree = await grown(make_tree)
    contract = await tree.contract()
    waiting = asyncio.create_task(tree.call(contract.id, "slow", timeout_seconds=12))
    await until(lambda: bool(tree.tree and tree.slow[True].begun), "the handler has begun")
    call = tree.slow[True].begun[0]
    await tree.inject_answer("east-works", call)
    assert tree.refused("east", "call-unknown")
    assert not waiting.done()
    tree.slow[True].go.set()
    assert (await waiting).answer == {"begun": 1}
    await tree.tree.idle()
    await tree.inject_answer("west-site", call)
    assert tree.counted("west-works", "peer_answers_late") == 1


async def test_the_ancestor_is_killed_during_a_call(make_tree: MakeTree) -> None:
    tree = await grown(make_tree)
    contract = await tree.contract()
    await tree.tree.kill("nation")
    # Nobody waits longer than was said.
    assert await tree.denied(contract.id, timeout_seconds=0.3) == (504, "timed-out")
    # One that waits long enough is answered once the ancestor is back.
    waiting = asyncio.create_task(tree.call(contract.id, payload=2, timeout_seconds=12))
    await until(lambda: tree.counted("east", "peer_calls_passed") == 2, "both calls wait for the ancestor")
    await tree.tree.start("nation")
    answer = await waiting
    assert answer.answer == 2
    await tree.tree.idle()
    # The first one was over: the callee never saw it.
    assert tree.counted("west-site", "peer_calls_received") == 1
    assert tree.counted("nation", "peer_calls_denied.call-expired") == 1
    assert len(tree.audited("east-site", "peers.call-given-up")) == 1


async def test_the_ancestor_is_killed_while_the_answer_is_on_its_way(make_tree: MakeTree) -> None:
    tree = await grown(make_tree)
    contract = await tree.contract()
    waiting = asyncio.create_task(tree.call(contract.id, "slow", timeout_seconds=12))
    await until(lambda: bool(tree.slow[True].begun), "the handler has begun")
    await tree.tree.kill("nation")
    tree.slow[True].go.set()
    await until(lambda: tree.counted("west-site", "peer_calls_answered") == 1, "it is answered below")
    await tree.tree.start("nation")
    assert (await waiting).answer == {"begun": 1}


async def test_a_callee_that_crashed_answers_again_what_it_may_and_says_interrupted_of_the_rest(
    make_tree: MakeTree,
) -> None:
    tree = await grown(make_tree)
    contract = await tree.contract()
    waiting = [asyncio.create_task(tree.call(contract.id, kind, timeout_seconds=12)) for kind in ("slow", "once")]
    await until(lambda: all(slow.begun for slow in tree.slow.values()), "both handlers have begun")
    await tree.tree.kill("west-site")
    await tree.tree.start("west-site")
    await until(lambda: len(tree.slow[True].begun) == 2, "the repeatable one is begun again")
    tree.slow[True].go.set()
    assert (await waiting[0]).answer == {"begun": 2}
    with pytest.raises(Problem) as problem:
        await waiting[1]
    assert problem.value.code == "interrupted"
    assert len(tree.slow[False].begun) == 1


async def test_what_goes_wrong_at_the_callee_is_told_without_its_secrets(make_tree: MakeTree) -> None:
    tree = await grown(make_tree)
    contract = await tree.contract(payload_bytes=1000)
    assert await tree.denied(contract.id, "absent") == (501, "handler-unknown")
    assert await tree.denied(contract.id, "broken", "large") == (502, "answer-too-large")
    with pytest.raises(Problem) as value:
        await tree.call(contract.id, "broken", "value")
    assert (value.value.code, value.value.detail) == ("handler-failed", "no such machine")
    with pytest.raises(Problem) as secret:
        await tree.call(contract.id, "broken", "secret")
    assert secret.value.code == "handler-failed"
    assert "hunter2" not in secret.value.detail
    assert not any("hunter2" in entry for entry in tree.audited("west-site"))


async def test_a_contract_is_made_at_the_nearest_common_ancestor_and_nowhere_else(make_tree: MakeTree) -> None:
    tree = await grown(make_tree)
    for at, caller, callee, words in (
        ("east", "east-site", "west-site", "not below this node"),
        ("nation", "east-site", "east-works", "both parties are below"),
        ("nation", "nation", "west", "not below this node"),
    ):
        with pytest.raises(Problem, match=words):
            await tree.contract(at, caller, callee)
    with pytest.raises(Problem, match="valid_until"):
        await tree.contract(seconds=-1)
    parties = Party(tree.tree.id("east")), Party(tree.tree.id("west"))
    request = NewContract(caller=parties[0], callee=parties[1], kinds=("echo",), valid_until="tomorrow")
    with pytest.raises(Problem, match="RFC 3339"):
        await tree.command("nation", "contract-make", request)


async def test_a_subtree_is_a_party_with_the_nodes_that_join_later(make_tree: MakeTree) -> None:
    tree = await grown(make_tree)
    contract = await tree.contract(caller="east", callee="west", whole=True)
    site = tree.tree.id("west-site")
    assert (await tree.call(contract.id, callee=site)).by == site
    await tree.tree.add("east-late", "east-works")
    await tree.tree.idle()
    assert (await tree.call(contract.id, caller="east-late", callee=site)).by == site
    late = await tree.tree.add("west-late", "west")
    await tree.tree.idle()
    assert (await tree.call(contract.id, callee=late.id)).by == late.id
    assert await tree.denied(contract.id, callee=tree.tree.id("east-works")) == (403, "callee-not-party")


async def test_contracts_are_listed_in_pages(make_tree: MakeTree) -> None:
    tree = await grown(make_tree)
    made = [(await tree.contract()).id for _ in range(3)]
    first = await tree.command("nation", "contract-list", ContractListing(limit=2))
    rest = await tree.command("nation", "contract-list", ContractListing(limit=2, after=first.next))
    assert [item.id for item in (*first.items, *rest.items)] == made
    assert rest.next is None
    assert {item.caller.name for item in first.items} == {"east-site"}
