"""Joining over the network: HTTPS, tokens good and bad, repeated joining, restarts in between."""

import asyncio
import base64
import time
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gongfu.kernel.errors import Problem
from gongfu.tree.membership.refusals import Reason, Refused
from gongfu.tree.membership.token import decode_token, encode_token
from gongfu.tree.membership.types import Attributes
from gongfu.tree.nodes.enrolment import found
from gongfu.tree.nodes.requests import Founding, OneToken
from tests.fixtures.enrolled_tree import ADMIN, EnrolledTree
from tests.fixtures.tree import until

Change = Callable[[str, EnrolledTree], Any]


async def refused(tree: EnrolledTree, name: str, token: str, **options: Any) -> str:
    """Return the code with which joining fails."""
    with pytest.raises(Problem) as caught:
        await tree.join(name, token, **options)
    return caught.value.code


async def test_a_node_joins_and_both_ends_know_each_other(enrolled: EnrolledTree) -> None:
    nation = await enrolled.found()
    attributes = Attributes(region="32")
    province = await enrolled.add("province", "nation", "88.1", attributes=attributes)
    await enrolled.idle()
    chain = province.section.directory.chain
    assert (chain.nodes, chain.membership.prefix, chain.membership.tier) == (
        (nation.id, province.id),
        "88.1",
        "province",
    )
    assert [m.attributes for m in nation.section.directory.children()] == [attributes]
    assert nation.section.allowed() == [province.id]
    assert nation.changes[-1] == [province.id]
    assert (province.files.node_key().id, province.files.joined.read_text()) == (province.id, province.id)
    for path in province.files.root.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path
    assert nation.audited("node.join")
    assert province.audited("node.joined")
    shown = await province.ask("node-show")
    assert (shown.parent.id, shown.link.up, [step.name for step in shown.path]) == (
        nation.id,
        True,
        ["nation", "province"],
    )


async def test_memberships_travel_up_and_survive_a_kill_of_both_ends(enrolled: EnrolledTree) -> None:
    await enrolled.found()
    await enrolled.add("province", "nation", "88.1")
    await enrolled.add("enterprise", "province", "88.1.7")
    await enrolled.add("site", "enterprise")
    await enrolled.idle()
    for name in ("nation", "enterprise"):
        await enrolled.kill(name)
    for name in ("enterprise", "nation"):
        await enrolled.start(name)
    await enrolled.idle()
    directory = enrolled["nation"].section.directory
    assert {m.name for m in directory.descendants()} == {"province", "enterprise", "site"}
    assert directory.towards(enrolled["site"].id) == enrolled["province"].id
    page = await enrolled["nation"].ask("node-list", {})
    assert [(doc.name, doc.children, doc.descendants) for doc in page.items] == [
        ("enterprise", 1, 1),
        ("province", 1, 2),
        ("site", 0, 0),
    ]
    site = await enrolled["nation"].ask("node-get", {"id": enrolled["site"].id})
    assert [step.name for step in site.path] == ["nation", "province", "enterprise", "site"]


async def test_a_token_is_good_for_one_node_once_and_for_that_node_again(enrolled: EnrolledTree) -> None:
    nation = await enrolled.found()
    token = await enrolled.token("nation")
    await enrolled.join("province", token)
    first = enrolled["province"].files.node_key()
    await enrolled.join("province", token)
    assert enrolled["province"].files.node_key() == first
    assert await refused(enrolled, "other", token) == "token-used"
    await enrolled.start("province")
    await enrolled.idle()
    assert [m.node for m in nation.section.directory.children()] == [first.id]
    [listed] = (await nation.ask("token-list", {})).items
    assert (listed.state, listed.node) == ("used", first.id)
    assert "token-used" in nation.audited("node.join-refused")[0]


async def test_bad_tokens_are_refused_with_reasons_and_audited(enrolled: EnrolledTree) -> None:
    nation = await enrolled.found()
    await enrolled.add("province", "nation", "88.1")
    token = await enrolled.token("nation", valid_seconds=60)
    assert await refused(enrolled, "a", token, tier="enterprise") == "tier-wrong"
    assert await refused(enrolled, "a", token[:-1]) == "token-malformed"
    revoked = await enrolled.token("nation")
    await nation.ask("token-revoke", OneToken(decode_token(revoked).name))
    assert await refused(enrolled, "a", revoked) == "token-revoked"
    assert await refused(enrolled, "a", _tampered(token)) == "token-tampered"
    # A token of the nation that the province would have to answer.
    nation_token = decode_token(token)
    elsewhere = _resigned(enrolled, "nation", nation_token, address=f"127.0.0.1:{enrolled['province'].join_port}")
    assert await refused(enrolled, "a", elsewhere) == "certificate-wrong"
    unknown = _resigned(enrolled, "nation", nation_token, id=bytes(16))
    assert await refused(enrolled, "a", unknown) == "token-unknown"
    nation.clock.offset += 61 * 10**9
    assert await refused(enrolled, "a", token) == "token-expired"
    await until(lambda: len(nation.audited("node.join-refused")) == 4, "refusals are audited")
    codes = [detail.partition(":")[0] for detail in nation.audited("node.join-refused")]
    assert codes == ["tier-wrong", "token-revoked", "token-unknown", "token-expired"]
    assert not (await nation.ask("node-list", {"search": "a-"})).items


async def test_a_token_for_another_parent_is_refused_by_the_one_that_is_asked(enrolled: EnrolledTree) -> None:
    nation = await enrolled.found()
    province = await enrolled.add("province", "nation", "88.1")
    of_province = decode_token(await enrolled.token("province", "enterprise"))
    of_nation = decode_token(await enrolled.token("nation"))
    crossed = _resigned(enrolled, "province", of_province, address=of_nation.address, authority=of_nation.authority)
    assert await refused(enrolled, "a", crossed) == "token-wrong-parent"
    await until(lambda: bool(nation.audited("node.join-refused")), "it is audited")
    assert province.id in nation.audited("node.join-refused")[0]


async def test_what_is_not_a_request_is_a_problem(enrolled: EnrolledTree) -> None:
    nation = await enrolled.found()
    with pytest.raises(Refused) as caught:
        await nation.section.admit(b"nonsense", "192.0.2.1")
    assert caught.value.reason is Reason.REQUEST_MALFORMED


async def test_a_node_has_one_place(enrolled: EnrolledTree) -> None:
    await enrolled.found()
    province = await enrolled.add("province", "nation", "88.1")
    with pytest.raises(Problem, check=lambda problem: problem.code == "already-in-a-tree"):
        await asyncio.to_thread(found, province.engine, province.files, Founding("x", "y"), time.time_ns(), ADMIN)
    assert province.section.directory.parent == enrolled["nation"].id


@pytest.mark.parametrize(
    ("prefix", "code"),
    [("88.1.5", "prefix-taken"), ("88.1", "prefix-taken"), ("89.1", "prefix-wrong"), ("88", "prefix-wrong")],
)
async def test_prefixes_of_tokens_nest_and_do_not_overlap(enrolled: EnrolledTree, prefix: str, code: str) -> None:
    await enrolled.found()
    await enrolled.token("nation", prefix="88.1")
    with pytest.raises(Problem) as caught:
        await enrolled.token("nation", prefix=prefix)
    assert caught.value.code == code


async def test_nobody_listens_at_the_address(enrolled: EnrolledTree) -> None:
    await enrolled.found()
    token = await enrolled.token("nation")
    await enrolled.kill("nation")
    assert await refused(enrolled, "province", token) == "parent-unreachable"
    await enrolled.start("nation")
    await enrolled.join("province", token)


def _tampered(token: str) -> str:
    """Return a token of another tier, with the old signature and a new checksum."""
    data = base64.urlsafe_b64decode(token.removeprefix("gfj1.") + "==")
    body = data[:-4].replace(b"province", b"hamlet..")
    text = body + zlib.crc32(b"gfj1." + body).to_bytes(4, "big")
    return "gfj1." + base64.urlsafe_b64encode(text).decode().rstrip("=")


def _resigned(tree: EnrolledTree, parent: str, token: Any, **changes: Any) -> str:
    return encode_token(tree[parent].files.node_key(), msgspec.structs.replace(token, **changes))
