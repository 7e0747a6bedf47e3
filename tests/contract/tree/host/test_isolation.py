"""What a child reaches: its own two subjects and nothing else, whatever its server says."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from gongfu.tree.host.server_config import CHILDREN_USER, PARENT_USER, SYSTEM_USER, down_subject, up_subject
from tests.contract.tree.host.raw_leaf import RawLeaf
from tests.contract.tree.host.servers import ServedNode
from tests.fixtures.tree import until


@pytest.fixture
def family(tmp_path: Path) -> Iterator[tuple[ServedNode, ServedNode, ServedNode]]:
    """A nation and two provinces that may connect to it; only the nation's server runs."""
    nation = ServedNode(tmp_path, "nation")
    east, west = ServedNode(tmp_path, "east", nation), ServedNode(tmp_path, "west", nation)
    nation.serve(east, west)
    yield nation, east, west
    for node in (west, east, nation):
        node.kill()


async def hear(bus: Client, subject: str) -> list[tuple[str, bytes]]:
    """Return a list to which everything on a subject is appended."""
    heard: list[tuple[str, bytes]] = []

    async def take(message: Msg) -> None:
        heard.append((message.subject, message.data))

    await bus.subscribe(subject, cb=take)
    await bus.flush()
    return heard


SIBLING = "sibling"


@pytest.mark.parametrize(
    "wanted", [">", "tree.>", "tree.down.*", "tree.*.>", "tree.up.*", "$SYS.>", "_INBOX.>", f"tree.down.{SIBLING}"]
)
async def test_child_hears_nothing_of_others_whatever_it_subscribes(family, wanted: str) -> None:
    nation, east, west = family
    leaf, own = RawLeaf(east), RawLeaf(west)
    await leaf.connect()
    await own.connect()
    leaf.say(f"LS+ {wanted.replace(SIBLING, west.id)}")
    own.say(f"LS+ {down_subject(west.id)}")
    await leaf.ping()
    await own.ping()
    async with await nation.client_of(CHILDREN_USER) as bus:
        await bus.publish(down_subject(west.id), b"for west")
        await bus.flush()
        await until(lambda: own.received != [], "the sibling hears it")
        await leaf.ping()
        assert leaf.received == []
    await leaf.close()
    await own.close()


@pytest.mark.parametrize(
    "subject", [f"tree.up.{SIBLING}", f"tree.down.{SIBLING}", "tree.up.x.y", "$SYS.REQ.SERVER.PING"]
)
async def test_child_is_not_heard_under_another_name(family, subject: str) -> None:
    nation, east, west = family
    leaf = RawLeaf(east)
    await leaf.connect()
    async with await nation.client_of(CHILDREN_USER) as bus, await nation.client_of(SYSTEM_USER) as system:
        heard = await hear(bus, "tree.up.*")
        of_system = await hear(system, "$SYS.REQ.>")
        leaf.publish(up_subject(east.id), b"true")
        leaf.publish(subject.replace(SIBLING, west.id), b"forged")
        leaf.publish(up_subject(east.id), b"true")
        await leaf.ping()
        await bus.flush()
        await until(lambda: len(heard) >= 2 or leaf.closed.is_set(), "it was read")
        assert set(heard) == {(up_subject(east.id), b"true")}
        assert of_system == []
    await leaf.close()


async def test_password_of_no_kind_gives_a_childs_user(family) -> None:
    nation, east, _ = family
    for password in ("", "x"):
        reader, writer = await asyncio.open_connection("127.0.0.1", nation.port.clients)
        await reader.readline()
        user = f"urn:gongfu:node:{east.id}"
        writer.write(f'CONNECT {{"user": "{user}", "pass": "{password}", "verbose": false}}\r\nPING\r\n'.encode())
        assert b"Authorization Violation" in await asyncio.wait_for(reader.readline(), 30)
        writer.close()


async def test_nothing_but_the_links_own_subjects_crosses_several_levels(tmp_path: Path) -> None:
    nation = ServedNode(tmp_path, "nation")
    province = ServedNode(tmp_path, "province", nation)
    site = ServedNode(tmp_path, "site", province)
    try:
        nation.serve(province)
        province.serve(site)
        site.serve()
        async with (
            await nation.client_of(CHILDREN_USER) as top,
            await province.client_of(CHILDREN_USER) as below,
            await province.client_of(PARENT_USER) as above,
            await site.client_of(PARENT_USER) as leaf,
        ):
            at_top, at_middle = await hear(top, "tree.up.*"), await hear(below, "tree.up.*")
            at_province = await hear(above, down_subject(province.id))
            at_leaf = await hear(leaf, down_subject(site.id))

            async def cross(bus: Client, subject: str, heard: list[tuple[str, bytes]]) -> None:
                for _ in range(3000):
                    await bus.publish(subject, b"x")
                    await asyncio.sleep(0.02)
                    if heard:
                        return
                raise TimeoutError(subject)

            for bus, subject, heard in (
                (leaf, up_subject(site.id), at_middle),
                (above, up_subject(province.id), at_top),
                (top, down_subject(province.id), at_province),
                (below, down_subject(site.id), at_leaf),
            ):
                await cross(bus, subject, heard)
            # Everything that anybody could send to another than its neighbour.
            for bus in (top, below, above, leaf):
                for node in (nation, province, site):
                    await bus.publish(up_subject(node.id), b"astray")
                    await bus.publish(down_subject(node.id), b"astray")
                    await bus.publish("anything", b"astray")
                await bus.flush()
            await asyncio.sleep(0.3)
            pairs = {
                (name, subject) for name, heard in (("top", at_top), ("middle", at_middle)) for subject, _ in heard
            }
            assert pairs == {("top", up_subject(province.id)), ("middle", up_subject(site.id))}
            assert {subject for subject, _ in at_province} == {down_subject(province.id)}
            assert {subject for subject, _ in at_leaf} == {down_subject(site.id)}
    finally:
        for node in (site, province, nation):
            node.kill()
