"""Identifier services told through a tree of hosts: up, down, and who may say that something has changed."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import pytest

from gongfu.identify.handle.predefined import HS_SITE, Interface, Server, Site, encode_site
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.namespace.types import PrefixState
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import NODE_TENANT, Role, Subject
from gongfu.tree.membership.keys import NodeKey, Signed
from gongfu.tree.membership.types import Attributes, Membership, NodeState
from gongfu.tree.services import records
from gongfu.tree.services.delegating import delegations
from gongfu.tree.services.messages import (
    MessageError,
    PrefixesChanged,
    StatedService,
    StatedServices,
    decode_values,
    encode,
    encode_values,
    read_services,
)
from gongfu.tree.services.records import ABOVE
from gongfu.tree.services.section import CHANGE, SERVICE, SERVICE_ABOVE, OwnService, ServicesSection
from tests.fixtures.tree import TreeNode, TreeOfHosts, until

NOBODY = Subject(0, "identifier", NODE_TENANT, Role.ADMIN)


def site(port: int) -> tuple[bytes, ...]:
    one = Site(1, servers=(Server(1, "192.0.2.1", interfaces=(Interface(2, 0, port),)),))
    return encode_values((HandleValue(1, HS_SITE, encode_site(one)),))


@dataclass
class Small:
    """nation (99) – province (99.1) – site (99.1.2), and another province (99.3)."""

    tree: TreeOfHosts
    changes: dict[str, list[PrefixesChanged]] = field(default_factory=dict)

    async def state(self, name: str, port: int) -> None:
        await self.command(name, "identifier-service", OwnService(site(port) if port else ()))
        await self.tree.idle()

    async def command(self, name: str, command: str, body: object) -> None:
        section = self.section(name)
        (one,) = [c for c in section.commands() if c.name == command]
        await one.answer(NOBODY, body)

    def section(self, name: str) -> ServicesSection:
        (section,) = self.tree.node(name).sections
        assert isinstance(section, ServicesSection)
        return section

    async def known(self, name: str) -> dict[str, tuple[bytes, ...]]:
        """Return what a node knows, by name of the node."""
        found = await self.tree.node(name).host.read(records.services)
        names = {node.id: other for other, node in self.tree.nodes.items()}
        return {names.get(node, node): values for node, values in found.items()}

    async def delegated(self, name: str) -> dict[str, tuple[PrefixState, int]]:
        directory = self.tree.node(name).directory
        stated = await self.tree.node(name).host.read(records.services)
        found = [directory.member(node.id) for other, node in self.tree.nodes.items() if other != name]
        members = [member for member in found if member is not None]
        return {d.name: (d.state, len(d.values)) for d in delegations(directory.chain.membership, members, stated)}


@pytest.fixture
async def small(make_tree: Callable[..., TreeOfHosts]) -> Small:
    changes: dict[str, list[PrefixesChanged]] = {}

    def sections(node: TreeNode) -> list[ServicesSection]:
        heard = changes.setdefault(node.name, [])
        return [ServicesSection(node.directory, heard.append, node.counters)]

    tree = make_tree(sections)
    for name, parent, prefix in (
        ("nation", "", "99"),
        ("province", "nation", "99.1"),
        ("site", "province", "99.1.2"),
        ("other", "nation", "99.3"),
    ):
        await tree.add(name, parent, prefix=prefix)
    await tree.idle()
    for heard in changes.values():
        heard.clear()
    return Small(tree, changes)


async def test_services_go_one_level_up_and_the_first_goes_all_the_way_down(small: Small):
    await small.state("site", 3)
    await small.state("nation", 1)
    await small.state("province", 2)
    assert await small.known("nation") == {"nation": site(1), "province": site(2)}
    assert await small.known("province") == {"province": site(2), "site": site(3), ABOVE: site(1)}
    assert await small.known("site") == {"site": site(3), ABOVE: site(1)}
    assert await small.delegated("nation") == {"99.1": (PrefixState.ACTIVE, 1), "99.3": (PrefixState.ACTIVE, 0)}
    assert await small.delegated("province") == {"99.1.2": (PrefixState.ACTIVE, 1)}


async def test_without_a_service_at_the_root_the_next_one_is_the_first(small: Small):
    await small.state("province", 2)
    assert (await small.known("site"))[ABOVE] == site(2)
    assert ABOVE not in await small.known("province")
    await small.state("nation", 1)
    assert (await small.known("site"))[ABOVE] == site(1)
    await small.state("nation", 0)
    assert (await small.known("site"))[ABOVE] == site(2)


async def test_what_was_said_while_a_link_was_cut_is_said_again(small: Small):
    await small.tree.cut("nation", "province")
    await small.command("province", "identifier-service", OwnService(site(2)))
    await small.command("nation", "identifier-service", OwnService(site(1)))
    await small.tree.join("nation", "province")
    await small.tree.idle()
    assert (await small.known("nation"))["province"] == site(2)
    assert (await small.known("site"))[ABOVE] == site(1)


async def test_a_restart_forgets_nothing(small: Small):
    await small.state("site", 3)
    await small.tree.kill("province")
    await small.tree.start("province")
    await small.tree.idle()
    assert (await small.known("province"))["site"] == site(3)


async def test_the_membership_decides(small: Small):
    await small.state("province", 2)
    nation = small.tree.node("nation").directory
    member = nation.member(small.tree.id("province"))
    assert member is not None
    nation.replace(changed=[msgspec.structs.replace(member, state=NodeState.SUSPENDED)])
    assert (await small.delegated("nation"))["99.1"] == (PrefixState.SUSPENDED, 1)
    nation.replace(changed=[msgspec.structs.replace(member, state=NodeState.RETIRED)])
    assert (await small.delegated("nation"))["99.1"][0] is PrefixState.REVOKED
    nation.replace(gone=[member.node])
    assert "99.1" not in await small.delegated("nation")
    async with asyncio.timeout(60):
        while "province" in await small.known("nation"):
            await small.tree.node("nation").host.turn(lambda turn: None)


async def test_a_kept_prefix_is_delegated_by_the_ancestor_that_granted_it(small: Small):
    """A node below the other province has 99.1.7, as after a move: the nation delegates that itself."""
    tree = small.tree
    grant = Signed(b"grant", tree.id("nation"), b"", bytes(64))
    kept = await tree.add("kept", "other")
    for name in ("nation", "other"):
        directory = tree.node(name).directory
        member = directory.member(kept.id)
        assert member is not None
        directory.replace(changed=[msgspec.structs.replace(member, prefix="99.1.7", grant=grant)])
    await small.state("kept", 7)
    assert (await small.known("nation"))["kept"] == site(7)
    assert (await small.delegated("nation"))["99.1.7"] == (PrefixState.ACTIVE, 1)
    assert "99.1.7" not in await small.delegated("other")


async def test_changes_reach_all_but_those_who_said_it(small: Small):
    change = PrefixesChanged(("99.1.2/a", "0.NA/99.1.2.3"), ("99.1.2",))
    await small.command("site", "identifier-change", change)
    await small.tree.idle()
    assert small.changes == {"nation": [change], "province": [change], "site": [], "other": [change]}


async def test_who_was_away_forgets_all(small: Small):
    await small.tree.cut("nation", "other")
    await until(lambda: not any(link.up for link in small.tree.node("other").host.links()), "the link is down")
    await small.command("province", "identifier-change", PrefixesChanged(prefixes=("99.1",)))
    await small.tree.join("nation", "other")
    await small.tree.idle()
    assert PrefixesChanged(prefixes=("",)) in small.changes["other"]


@pytest.mark.parametrize(
    ("name", "topic", "body", "reason"),
    [
        ("site", CHANGE, encode(PrefixesChanged(prefixes=("99.3",))), "prefix-wrong"),
        ("site", CHANGE, encode(PrefixesChanged(prefixes=("",))), "prefix-wrong"),
        ("site", CHANGE, encode(PrefixesChanged(handles=("99.3/a",))), "prefix-wrong"),
        ("site", CHANGE, encode(PrefixesChanged(handles=("0.NA/99.1",))), "prefix-wrong"),
        ("site", SERVICE, encode(StatedServices((StatedService("a" * 24, ()),))), "node-wrong"),
        ("site", SERVICE, b"\x93", "service-malformed"),
        ("site", SERVICE_ABOVE, encode(site(1)), "way-wrong"),
    ],
)
async def test_a_child_speaks_for_what_is_its_own(small: Small, name: str, topic: str, body: bytes, reason: str):
    tree = small.tree
    parent = tree.node(name).directory.parent
    assert parent is not None
    await tree.node(name).host.turn(lambda turn: turn.send(parent, topic, body))
    await tree.idle()
    assert any(reason in key for key in tree.node("province").counters.snapshot())
    assert not small.changes["province"]


async def test_what_no_service_says_of_itself():
    secret = encode_values((HandleValue(3, "HS_SECKEY", b"x"),))
    twice = site(1) * 2
    for values in (secret, twice, (b"junk",), encode_values((HandleValue(1, HS_SITE, b"junk"),))):
        with pytest.raises(MessageError):
            decode_values(values)
        with pytest.raises(MessageError):
            read_services(encode(StatedServices((StatedService("a" * 24, values),))))


async def test_the_own_service_is_checked(small: Small):
    with pytest.raises(Problem, match="state"):
        await small.command("site", "identifier-service", OwnService(encode_values((HandleValue(3, "URL", b"x"),))))


def test_who_delegates_what():
    keys = [NodeKey(bytes([n]) * 32) for n in range(3)]

    def member(n: int, prefix: str, parent: int | None) -> Membership:
        above = "" if parent is None else keys[parent].id
        return Membership(
            node=keys[n].id, public_key=keys[n].public_key, name="n", tier="t", parent=above, path=(), prefix=prefix,
            attributes=Attributes(), state=NodeState.ACTIVE, revision=1, valid_from=0, valid_until=1,
        )  # fmt: skip

    own = member(0, "99", None)
    below = [member(1, "99.1", 0), member(2, "99.1.2", 1)]
    assert [d.name for d in delegations(own, below, {})] == ["99.1"]
    assert not delegations(own, [member(1, "", 0), member(2, "98.1", 0)], {})
