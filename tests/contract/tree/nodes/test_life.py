"""What becomes of a node: suspended, resumed, retired, released, moved, silent, renewed; and who hears of it."""

import asyncio
from typing import Any

import msgspec
import pytest

from gongfu.kernel.errors import Problem
from gongfu.kernel.times import SECOND
from gongfu.tree.membership.chain import sign_membership
from gongfu.tree.membership.documents import pack
from gongfu.tree.membership.types import Membership
from gongfu.tree.nodes import records
from gongfu.tree.nodes.place import MEMBER, MemberItem
from gongfu.tree.nodes.port_certificates import ends_at
from gongfu.tree.nodes.requests import Rehoming, ReleaseNode
from gongfu.tree.nodes.validity import DAY
from tests.fixtures.enrolled_tree import EnrolledTree
from tests.fixtures.tree import until


async def two_provinces(tree: EnrolledTree) -> None:
    """Nation; provinces 88.1 and 88.2; an enterprise 88.1.7 with a site 88.1.7.1 in the first."""
    await tree.found()
    await tree.add("province1", "nation", "88.1")
    await tree.add("province2", "nation", "88.2")
    await tree.add("enterprise", "province1", "88.1.7")
    await tree.add("site", "enterprise", "88.1.7.1")
    await tree.idle()


def names(tree: EnrolledTree, name: str) -> set[str]:
    return {m.name for m in tree[name].section.directory.descendants()}


async def move(tree: EnrolledTree, releaser: str, child: str, to: str, *, keep: bool = True, prefix: str = "") -> Any:
    release = await tree[releaser].ask("node-release", ReleaseNode(tree[child].id, tree[to].id, keep, "a new owner"))
    tier = tree[child].section.directory.chain.membership.tier
    token = await tree.token(to, tier, prefix)
    return await tree[child].ask("node-rehome", Rehoming(token, release.release))


async def test_a_suspended_child_hears_so_and_is_not_allowed_until_it_is_resumed(enrolled: EnrolledTree) -> None:
    await two_provinces(enrolled)
    nation, province, site = enrolled["nation"], enrolled["province1"], enrolled["site"]
    shown = await enrolled.change("nation", "suspend", "province1", "does not answer the telephone")
    assert shown.state == "suspended"
    await until(lambda: site.state == "suspended", "the site knows")
    await until(lambda: nation.section.allowed() == [enrolled["province2"].id], "its way is closed")
    assert nation.changes[-1] == [enrolled["province2"].id]
    assert nation.section.directory.state(site.id) == "suspended"
    assert "does not answer the telephone" in nation.audited("node.suspend")
    with pytest.raises(Problem, check=lambda problem: problem.code == "transition-wrong"):
        await enrolled.change("nation", "suspend", "province1")
    await enrolled.change("nation", "resume", "province1")
    await until(lambda: site.state == "active", "the site is active")
    assert province.id in nation.section.allowed()
    await enrolled.idle()
    assert nation.section.directory.state(site.id) == "active"


async def test_a_suspension_that_the_child_could_not_hear_is_heard_when_it_is_resumed(enrolled: EnrolledTree) -> None:
    await enrolled.found()
    province = await enrolled.add("province", "nation")
    await enrolled.cut("nation", "province")
    await enrolled.change("nation", "suspend", "province")
    await until(lambda: enrolled["nation"].section.allowed() == [], "closed at once")
    assert province.state == "active"
    await enrolled.kill("nation")
    await enrolled.start("nation")
    assert enrolled["nation"].section.allowed() == []
    await enrolled.change("nation", "resume", "province")
    enrolled.wires.join(enrolled["nation"].id, province.id)
    await until(lambda: province.section.directory.chain.membership.revision == 3, "both are heard")
    assert province.state == "active"
    assert len(province.audited("node.state")) == 2


async def test_a_retired_child_is_gone_with_all_below_it_and_does_not_come_back(enrolled: EnrolledTree) -> None:
    await two_provinces(enrolled)
    token = await enrolled.token("province1", "enterprise")
    await enrolled.change("province1", "retire", "enterprise", "closed down")
    await until(lambda: enrolled["enterprise"].state == "retired", "it hears so")
    await until(lambda: names(enrolled, "nation") == {"province1", "province2"}, "the nation knows")
    await until(lambda: enrolled["province1"].section.allowed() == [], "its way is closed")
    with pytest.raises(Problem, check=lambda problem: problem.code == "node-retired"):
        await enrolled.join("enterprise", token)
    with pytest.raises(Problem):
        await enrolled.change("province1", "resume", "enterprise")


async def test_only_children_are_changed_and_only_nodes_below_released(enrolled: EnrolledTree) -> None:
    await two_provinces(enrolled)
    with pytest.raises(Problem, check=lambda problem: problem.status == 404):
        await enrolled.change("nation", "suspend", "site")
    with pytest.raises(Problem, check=lambda problem: problem.status == 404):
        await enrolled["province2"].ask("node-release", ReleaseNode(enrolled["site"].id, enrolled["province2"].id))


async def test_a_node_moves_with_all_below_it_and_keeps_its_prefix(enrolled: EnrolledTree) -> None:
    await two_provinces(enrolled)
    enterprise, site = enrolled["enterprise"], enrolled["site"]
    shown = await move(enrolled, "nation", "enterprise", "province2")
    assert [step.name for step in shown.path] == ["nation", "province2", "enterprise"]
    await until(lambda: names(enrolled, "province1") == set(), "the former parent knows")
    await until(lambda: names(enrolled, "province2") == {"enterprise", "site"}, "the new parent knows")
    path = ["nation", "province2", "enterprise", "site"]
    await until(lambda: [m.name for m in site.section.directory.chain.memberships] == path, "the site knows")
    await until(
        lambda: enrolled["nation"].section.directory.towards(site.id) == enrolled["province2"].id, "the nation knows"
    )
    chain = site.section.directory.chain
    assert (chain.membership.prefix, chain.memberships[2].prefix) == ("88.1.7.1", "88.1.7")
    assert enrolled["province1"].section.allowed() == []
    assert [view.peer for view in enterprise.host.links() if view.up] == [enrolled["province2"].id, site.id]
    # The tokens of the former parent that it had used are worth nothing now.
    listed = (await enrolled["province1"].ask("token-list", {})).items
    assert [token.state for token in listed if token.node == enterprise.id] == ["revoked"]
    assert enrolled["province1"].audited("node.moved")
    assert enterprise.audited("node.rehome")
    for name in ("nation", "province1", "province2", "enterprise"):
        await enrolled.kill(name)
        await enrolled.start(name)
    await until(lambda: enrolled["nation"].section.directory.towards(site.id) == enrolled["province2"].id, "kept")
    assert names(enrolled, "province1") == set()


async def test_a_node_moves_although_its_parent_is_dead_and_the_parent_learns_it_later(enrolled: EnrolledTree) -> None:
    await two_provinces(enrolled)
    await enrolled.kill("province1")
    await move(enrolled, "nation", "enterprise", "province2", keep=False, prefix="88.2.5")
    site = enrolled["site"]
    await until(lambda: site.section.directory.chain.membership.prefix == "88.2.5.1", "prefixes below move, too")
    await until(lambda: names(enrolled, "province2") == {"enterprise", "site"}, "they are there")
    await enrolled.start("province1")
    await until(lambda: names(enrolled, "province1") == set(), "the former parent learns it")
    assert enrolled["province1"].section.allowed() == []


async def test_a_move_is_believed_although_the_former_parent_was_cut_off_before_it(enrolled: EnrolledTree) -> None:
    await two_provinces(enrolled)
    nation, former = enrolled["nation"], enrolled["province1"]
    await enrolled.cut("nation", "province1")
    for verb in ("suspend", "resume"):
        await enrolled.change("province1", verb, "enterprise")
    await until(lambda: enrolled["enterprise"].section.directory.chain.membership.revision == 3, "it knows")
    known = nation.section.directory.member(enrolled["enterprise"].id)
    assert known is not None
    assert known.revision == 1
    await move(enrolled, "province1", "enterprise", "province2", keep=False)
    site = enrolled["site"].id
    await until(lambda: nation.section.directory.towards(site) == enrolled["province2"].id, "the nation believes it")
    enrolled.wires.join(nation.id, former.id)
    await until(lambda: not former.section.directory.descendants(), "the former parent hears of it")
    assert nation.section.directory.towards(site) == enrolled["province2"].id


async def test_a_node_does_not_move_without_a_release_or_with_one_for_another(enrolled: EnrolledTree) -> None:
    await two_provinces(enrolled)
    nation, enterprise = enrolled["nation"], enrolled["enterprise"]
    token = await enrolled.token("province2", "enterprise")
    with pytest.raises(Problem, check=lambda problem: problem.code == "already-in-a-tree"):
        await enterprise.ask("node-join", {"token": token, "name": "enterprise"})
    release = await nation.ask("node-release", ReleaseNode(enrolled["site"].id, enrolled["province2"].id))
    with pytest.raises(Problem, check=lambda problem: problem.code == "release-wrong"):
        await enterprise.ask("node-rehome", Rehoming(token, release.release))
    with pytest.raises(Problem, check=lambda problem: problem.code == "release-malformed"):
        await enterprise.ask("node-rehome", Rehoming(token, "gfr1.AAAA"))
    assert names(enrolled, "province1") == {"enterprise", "site"}


async def test_a_node_cannot_claim_what_is_below_another(enrolled: EnrolledTree) -> None:
    """Province 2 says that the enterprise is its child, without a release."""
    await two_provinces(enrolled)
    nation, thief = enrolled["nation"], enrolled["province2"]
    stolen = enrolled["enterprise"].section.directory.chain.membership
    own = thief.section.directory.chain
    claim = msgspec.structs.replace(stolen, parent=own.node, path=own.nodes, prefix="", revision=stolen.revision + 1)
    await claim_up(enrolled, "province2", claim)
    await until(lambda: len(nation.audited("node.member-refused")) == 1, "it is refused and audited")
    assert "release-missing" in nation.audited("node.member-refused")[0]
    # Nor can it speak for the other province.
    other = enrolled["province1"].section.directory.chain
    sideways = msgspec.structs.replace(claim, parent=other.node, path=other.nodes)
    signed = enrolled["province1"].files.node_key()
    item = MemberItem(sign_membership(signed, sideways))
    await thief.host.turn(lambda turn: turn.send(nation.id, MEMBER, pack((item,))))
    await until(lambda: len(nation.audited("node.member-refused")) == 2, "refused, too")
    assert "parent-wrong" in nation.audited("node.member-refused")[1]
    assert nation.section.directory.towards(enrolled["enterprise"].id) == enrolled["province1"].id


async def claim_up(tree: EnrolledTree, name: str, membership: Membership) -> None:
    node = tree[name]
    item = MemberItem(sign_membership(node.files.node_key(), membership))
    parent = node.section.directory.parent
    assert parent is not None
    await node.host.turn(lambda turn: turn.send(parent, MEMBER, pack((item,))))


async def test_health_and_version_come_up_and_a_silent_node_hides_who_is_below(
    enrolled: EnrolledTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gongfu.tree.nodes.statuses.SILENT_S", 0.05)
    monkeypatch.setattr("gongfu.tree.nodes.statuses.STATUS_S", 0.05)
    await two_provinces(enrolled)

    async def health() -> dict[str, str]:
        return {doc.name: doc.health for doc in (await enrolled["nation"].ask("node-list", {})).items}

    async def wait_for(wanted: dict[str, str]) -> None:
        shown: dict[str, str] = {}
        for _ in range(3000):
            shown = {name: word for name, word in (await health()).items() if name in wanted}
            if shown == wanted:
                return
            await asyncio.sleep(0.02)
        assert shown == wanted

    await wait_for({"province1": "ok", "province2": "ok", "enterprise": "ok", "site": "ok"})
    site = await enrolled["nation"].ask("node-get", {"id": enrolled["site"].id})
    assert (site.version, site.console) == ("1.2.3", "http://site.example")
    enrolled["site"].health = "degraded"
    await wait_for({"site": "degraded"})
    await enrolled.kill("enterprise")
    await wait_for({"province1": "ok", "enterprise": "silent", "site": "unknown"})
    silent = await enrolled["nation"].ask("node-get", {"id": enrolled["enterprise"].id})
    assert silent.heard_at is not None
    await enrolled.start("enterprise")
    await wait_for({"enterprise": "ok", "site": "degraded"})
    # Who went while its parent was away is silent, too.
    await enrolled.kill("enterprise")
    await enrolled.kill("site")
    await enrolled.start("enterprise")
    await wait_for({"enterprise": "ok", "site": "silent"})


async def test_memberships_and_certificates_are_renewed_long_before_they_end(enrolled: EnrolledTree) -> None:
    await enrolled.found()
    province = await enrolled.add("province", "nation")
    await enrolled.idle()
    before = province.section.identity
    later = 200 * DAY
    for name in ("nation", "province"):
        await enrolled.kill(name)
        enrolled[name].clock.offset = later
    for name in ("nation", "province"):
        await enrolled.start(name)
    await until(
        lambda: all(m.revision > 1 for m in province.section.directory.chain.memberships), "memberships are renewed"
    )
    await until(lambda: province.section.identity.certificate != before.certificate, "the certificate is renewed")
    chain = province.section.directory.chain
    assert chain.valid_until > before.chain.valid_until + 100 * DAY
    assert ends_at(province.section.identity.certificate) > ends_at(before.certificate) + 100 * DAY
    assert province.files.link_certificate.read_text() == province.section.identity.certificate
    assert province.changes


async def test_a_node_joins_its_parent_again_for_a_new_certificate(enrolled: EnrolledTree) -> None:
    nation = await enrolled.found()
    province = await enrolled.add("province", "nation", "88.1")
    before = province.section.identity
    joining = {"token": await enrolled.token("nation"), "name": "province"}
    shown = await province.ask("node-join", joining)
    assert (shown.prefix, shown.revision) == ("88.1", 2)
    assert province.section.identity.certificate != before.certificate
    assert province.changes[-1] == []
    await enrolled.idle()
    assert nation.section.directory.children() == (province.section.directory.chain.membership,)
    await enrolled.kill("province")
    await enrolled.start("province")
    assert province.files.link_certificate.read_text() == province.section.identity.certificate


async def test_a_node_restored_without_members_learns_them_again(enrolled: EnrolledTree) -> None:
    await two_provinces(enrolled)
    nation = enrolled["nation"]

    def forget(turn: Any) -> None:
        records.mark_gone(turn.connection, [enrolled[name].id for name in ("enterprise", "site")])

    await nation.host.turn(forget)
    await enrolled.kill("nation")
    await enrolled.start("nation")
    assert names(enrolled, "nation") == {"province1", "province2"}
    province = enrolled["province1"]
    await province.host.turn(lambda turn: province.section.restate(turn, nation.id))
    await until(lambda: names(enrolled, "nation") == {"province1", "province2", "enterprise", "site"}, "learnt again")


async def test_a_skewed_clock_is_shown_and_audited(enrolled: EnrolledTree) -> None:
    nation = await enrolled.found()
    province = enrolled.make("province")
    province.clock.offset = 86_400 * SECOND
    await enrolled.join("province", await enrolled.token("nation"))
    await enrolled.start("province")
    await until(lambda: nation.link(province.id).skewed, "the skew is seen")
    [shown] = (await nation.ask("node-list", {})).items
    assert shown.link.skewed
    assert shown.link.clock_offset_seconds == pytest.approx(86_400, abs=60)
    await until(lambda: bool(nation.audited("clock.skew")), "it is audited")
