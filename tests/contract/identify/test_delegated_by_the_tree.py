"""Nation, province and site: who joins the tree with a prefix is resolved from above, by what the tree tells."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest_asyncio

from gongfu.identify.handle.codes import ResponseCode
from gongfu.identify.handle.names import parse_handle
from gongfu.identify.handle.resolution import Found
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.namespace.types import PrefixState
from gongfu.identify.service.writes import Operation
from gongfu.kernel.counters import Counters
from gongfu.kernel.permissions import NODE_TENANT, Role, Subject
from gongfu.node.identifier_delegations import IdentifierDelegations
from gongfu.tree.nodes.section import NodesSection
from gongfu.tree.services.messages import PrefixesChanged, encode_values
from gongfu.tree.services.section import OwnService, ServicesSection
from tests.contract.identify.nodes import Node, node
from tests.fixtures.enrolled_tree import EnrolledTree

ADMIN = Subject(0, "identifier", NODE_TENANT, Role.ADMIN)
LEVELS = (("nation", "", "98"), ("province", "nation", "98.1"), ("site", "province", "98.1.2"))
HANDLE = "98.1.2/泵/1"


class Nodes:
    """A node of the tree and its identifiers, by name."""

    def __init__(self, tree: EnrolledTree) -> None:
        self.tree = tree
        self.identifiers: dict[str, Node] = {}
        self.delegations: dict[str, IdentifierDelegations] = {}

    async def state(self, name: str) -> None:
        """Let a node say where its service is, and all others take what the tree tells them."""
        values = encode_values((self.identifiers[name].site(),))
        section = next(one for one in self.tree[name].more if isinstance(one, ServicesSection))
        (command,) = [one for one in section.commands() if one.name == "identifier-service"]
        await command.answer(ADMIN, OwnService(values))
        await self.look()

    async def look(self) -> None:
        await self.tree.idle()
        for delegations in self.delegations.values():
            await delegations.look()

    async def follow(self, name: str) -> None:
        made = self.identifiers[name]
        engine = self.tree[name].engine
        delegations = IdentifierDelegations(engine, made.core.identifiers, made.resolver, (), Counters())
        made.find_roots = lambda: delegations.roots
        self.delegations[name] = delegations
        await delegations.look()

    async def resolve(self, name: str, handle: str = HANDLE) -> tuple[ResponseCode, int]:
        resolved = await self.identifiers[name].resolver.resolve(parse_handle(handle))
        return resolved.code, resolved.questions


@pytest_asyncio.fixture
async def nodes(tmp_path: Path, sqlite_template: Path) -> AsyncIterator[Nodes]:
    made: Nodes

    def changed(name: str, change: PrefixesChanged) -> None:
        if name in made.identifiers:
            made.identifiers[name].resolver.forget(change.handles, change.prefixes)

    def sections(section: NodesSection) -> list[ServicesSection]:
        name = section.identity.chain.membership.name
        return [ServicesSection(section.directory, lambda change: changed(name, change))]

    tree = EnrolledTree(tmp_path, sqlite_template, more=sections)
    made = Nodes(tree)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(tree.close)
        for name, parent, prefix in LEVELS:
            await (tree.add(name, parent, prefix) if parent else tree.found(name, prefix))
            core = await stack.enter_async_context(node(tmp_path / f"{name}-identifiers"))
            await core.core.add_prefix(core.prefix, state=PrefixState.REVOKED)
            await core.core.add_prefix(prefix)
            made.identifiers[name] = core
            await made.follow(name)
        for name, _, _ in LEVELS:
            await made.state(name)
        await made.identifiers["site"].core.create(HANDLE, HandleValue(1, "URL", b"here"))
        yield made


FOUND, NOTHING = ResponseCode.SUCCESS, ResponseCode.HANDLE_NOT_FOUND


async def test_down_up_and_across(nodes: Nodes):
    assert await nodes.resolve("site") == (FOUND, 0)
    assert await nodes.resolve("province") == (FOUND, 1)
    assert await nodes.resolve("nation") == (FOUND, 2)
    assert await nodes.resolve("nation") == (FOUND, 0)
    await nodes.identifiers["nation"].core.create("98/top", HandleValue(1, "URL", b"top"))
    assert await nodes.resolve("site", "98/top") == (FOUND, 1)
    assert await nodes.resolve("site", "98.7/none") == (NOTHING, 1)
    assert await nodes.resolve("site", "97/none") == (NOTHING, 1)


async def test_a_retired_node_is_delegated_to_no_more(nodes: Nodes):
    assert await nodes.resolve("nation") == (FOUND, 2)
    await nodes.tree.change("province", "retire", "site", reason="closed")
    await nodes.tree["province"].host.turn(lambda turn: None)
    await nodes.delegations["province"].look()
    assert await nodes.resolve("province") == (NOTHING, 0)
    # The nation keeps what it was told until it hears of it.
    assert await nodes.resolve("nation") == (FOUND, 0)
    nodes.identifiers["nation"].resolver.forget((), ("98.1.2",))
    assert (await nodes.resolve("nation"))[0] == NOTHING


async def test_a_service_that_moves(nodes: Nodes):
    assert await nodes.resolve("province") == (FOUND, 1)
    site = nodes.identifiers["site"]
    former = site.handle_port
    await site.stop()
    await site.start()
    assert site.handle_port != former
    await nodes.state("site")
    assert await nodes.resolve("province") == (FOUND, 1)


async def test_a_suspended_node_is_still_resolved(nodes: Nodes):
    await nodes.tree.change("province", "suspend", "site", reason="inspection")
    await nodes.tree["province"].host.turn(lambda turn: None)
    await nodes.delegations["province"].look()
    assert await nodes.resolve("province") == (FOUND, 1)


async def test_what_the_owner_registered_of_its_prefix_stays(nodes: Nodes):
    upper = nodes.identifiers["province"].core
    own = HandleValue(50, "DESC", "第一工厂".encode())
    assert (await upper.write(Operation.ADD_VALUES, "0.NA/98.1.2", values=(own,))).done
    await nodes.state("site")
    await nodes.look()
    found = upper.identifiers.lookup(parse_handle("0.NA/98.1.2"))
    assert isinstance(found, Found)
    assert [value.index for value in found.values] == [1, 50]
