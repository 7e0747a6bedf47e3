"""The identifier service on a node's bus: what it says to the tree role, and what it hears of it."""

from pathlib import Path

from sqlalchemy import Engine

from gongfu.bus.commands import Command, serve_command
from gongfu.bus.connection import open_bus
from gongfu.identify.handle.names import parse_handle
from gongfu.identify.handle.resolution import Found
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.node.identifier_delegations import IdentifierDelegations
from gongfu.tree.services.messages import PrefixesChanged, decode_values
from gongfu.tree.services.section import OwnService
from tests.contract.identify.nodes import node
from tests.fixtures.nats import NatsServer
from tests.fixtures.resolution import chain
from tests.fixtures.tree import until


async def test_said_and_heard(tmp_path: Path, nats_server: NatsServer, sqlite_records: Engine):
    subjects, counters = Subjects("n"), Counters()
    stated, announced = list[OwnService](), list[PrefixesChanged]()

    async def state(_: object, service: OwnService) -> None:
        stated.append(service)

    async def announce(_: object, change: PrefixesChanged) -> None:
        announced.append(change)

    bus = await open_bus(nats_server.address, "test")
    for command in (
        Command("identifier-service", OwnService, state),
        Command("identifier-change", PrefixesChanged, announce),
    ):
        await serve_command(bus, subjects.service(f"tree.{command.name}"), command, at_once=4)
    async with node(tmp_path / "node") as made, chain("97") as (stranger,):
        stranger.put("97/a", "old")
        delegations = IdentifierDelegations(
            sqlite_records, made.core.identifiers, made.resolver, (made.site(),), counters
        )
        made.roots = (stranger.site(),)
        await made.refer_to_roots()
        await delegations.start(bus, subjects)
        await until(lambda: bool(stated), "it is said or heard")
        assert [value.data for value in decode_values(stated[0].values)] == [made.site().data]

        # A prefix of this node is revoked: others are told.
        await made.core.add_prefix("99.1000.3")
        await until(lambda: PrefixesChanged(prefixes=("99.1000.3",)) in announced, "it is said or heard")

        # Another node says that a prefix has changed: what is kept of it is forgotten.
        async def text() -> str:
            found = await made.resolver.found(parse_handle("97/a"))
            assert isinstance(found, Found)
            return found.values[0].data.decode()

        assert await text() == "old"
        stranger.put("97/a", "new")
        assert await text() == "old"
        await bus.publish(subjects.event("identifier-change"), b'{"handles":[],"prefixes":["97"]}')
        await until(lambda: made.resolver.figures()["resolver_records"] == 0, "it is said or heard")
        assert await text() == "new"

        for junk in (b"[" * 2000, b"junk", b'{"prefixes":[1]}'):
            await bus.publish(subjects.event("identifier-change"), junk)
            await bus.publish(subjects.event("tree"), junk)
        await bus.publish(subjects.event("tree"), b'{"changed":["nodes"]}')
        await until(lambda: counters.snapshot().get("identifier_tree_failed.change") == 3, "it is said or heard")
        await delegations.stop()
    await bus.close()
