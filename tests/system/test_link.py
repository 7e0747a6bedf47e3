"""Site link on real servers: cut, killed at both ends, and started anew, nothing is lost, repeated or out of order."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gongfu.bus.forwarder import LinkForwarder
from gongfu.bus.jetstream import call_api
from tests.fixtures.link import ROUTE, Site, retried, until


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    held = Site(tmp_path)
    await held.start()
    yield held
    await held.close()


@contextlib.asynccontextmanager
async def running(forwarder: LinkForwarder) -> AsyncIterator[LinkForwarder]:
    task = asyncio.create_task(forwarder.run())
    yield forwarder
    await forwarder.stop()
    await asyncio.wait_for(task, 20)


async def _has(site: Site, count: int) -> bool:
    return await site.count() >= count


async def test_cuts_lose_and_repeat_nothing(site: Site) -> None:
    total = 0
    async with running(site.forwarder()) as forwarder:
        for _ in range(2):
            await site.send(range(total, total + 600))
            total += 600
            # Cut while messages are on their way; more come meanwhile.
            await until(lambda n=total: _has(site, n - 500), "forwarding has begun")
            await site.wire.cut()
            await site.send(range(total, total + 200))
            total += 200

            async def away() -> bool:
                return not forwarder.status.connected

            await until(away, "the cut is seen")
            assert forwarder.status.error
            await site.wire.join()
            await until(lambda n=total: _has(site, n), "all is there")
        assert await site.arrived() == list(range(total))

        async def settled() -> bool:
            return forwarder.status.behind == 0

        await until(settled, "all is confirmed")
        status = forwarder.status
        assert status.connected
        assert status.acknowledged == total
        assert site.counters.snapshot()["link_cuts"] >= 2
    assert "link_messages_missed" not in site.counters.snapshot()


async def test_both_servers_and_the_forwarder_are_killed(site: Site, tmp_path: Path) -> None:
    program = [sys.executable, "-m", "tests.system.link_program", str(site.site.port), str(tmp_path / "p.json")]
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(*program, cwd=root)
    total = 0
    try:
        for _ in range(2):
            await site.send(range(total, total + 600))
            total += 600
            assert await site.stored() == total
            await until(lambda n=total: _has(site, n - 500), "forwarding has begun")
            process.send_signal(signal.SIGKILL)
            site.hub.kill()
            site.site.kill()
            await process.wait()
            site.site.start()
            site.hub.start()
            process = await asyncio.create_subprocess_exec(*program, cwd=root)
            await until(lambda n=total: _has(site, n), "all is there")
        assert await site.arrived() == list(range(total))
    finally:
        process.kill()
        await process.wait()


async def test_a_purged_destination_goes_on_from_the_file(site: Site) -> None:
    async with running(site.forwarder()):
        await site.send(range(10))
        await until(lambda: _has(site, 10), "all is there")
    await call_api(site.hub_bus, f"STREAM.PURGE.{ROUTE.destination}")
    await site.send(range(10, 15))
    async with running(site.forwarder()):
        await until(lambda: _has(site, 5), "the new ones are there")
        assert await site.arrived() == list(range(10, 15))


async def test_the_destination_tells_where_to_go_on_when_the_file_is_lost(site: Site, tmp_path: Path) -> None:
    async with running(site.forwarder()):
        await site.send(range(10))
        await until(lambda: _has(site, 10), "all is there")
    (tmp_path / "link" / "position.json").unlink()
    await site.send(range(10, 15))
    async with running(site.forwarder()):
        await until(lambda: _has(site, 15), "all is there")
        assert await site.arrived() == list(range(15))


async def test_a_source_made_anew_is_forwarded_from_its_start(site: Site) -> None:
    async with running(site.forwarder()):
        await site.send(range(5))
        await until(lambda: _has(site, 5), "all is there")
        await call_api(site.site_bus, f"STREAM.DELETE.{ROUTE.source}")
        await retried(site.site_bus, f"STREAM.CREATE.{ROUTE.source}", {"name": ROUTE.source, "subjects": ["evt.>"]})
        await site.send(range(5, 9))
        await until(lambda: _has(site, 9), "all is there")
        assert await site.arrived() == list(range(9))


async def test_messages_that_left_the_source_are_counted(site: Site) -> None:
    await site.send(range(20))
    await call_api(site.site_bus, f"STREAM.PURGE.{ROUTE.source}", {"seq": 11})
    async with running(site.forwarder()):
        await until(lambda: _has(site, 10), "the rest is there")
        assert await site.arrived() == list(range(10, 20))
    assert site.counters.snapshot()["link_messages_missed"] == 10


async def test_another_writer_stops_the_link_and_is_told(site: Site) -> None:
    await site.hub_bus.request(f"{ROUTE.prefix}.x", b"somebody else")
    async with running(site.forwarder()) as forwarder:
        await site.send(range(3))

        async def told() -> bool:
            return "last message" in forwarder.status.error

        await until(told, "the reason is told")
        assert not forwarder.status.connected
        assert await site.count() == 1


async def test_a_child_reaches_nothing_else_of_its_parent(site: Site) -> None:
    """What the link carries is a list of the parent's, not of the child's."""
    heard: list[str] = []

    async def note(message: object) -> None:
        heard.append(str(getattr(message, "subject", "")))

    await site.hub_bus.subscribe("gf.>", cb=note)
    await site.site_bus.subscribe("secret.>", cb=note)
    await site.hub_bus.subscribe("other.>", cb=note)
    await site.hub_bus.flush()
    async with running(site.forwarder()):
        await site.send([1])
        await until(lambda: _has(site, 1), "the link works")
        await site.site_bus.publish("gf.site.evt.x", b"")
        await site.site_bus.publish("other.x", b"")
        await site.hub_bus.publish("secret.x", b"")
        await site.hub_bus.publish("gf.hub.svc.x", b"")
        for bus in (site.site_bus, site.hub_bus):
            await bus.flush()
        # The link carries messages in order: behind these, one that may pass.
        await site.send([2])
        await until(lambda: _has(site, 2), "the link works")
        await site.hub_bus.flush()
    # The parent heard its own message; nothing of the child's crossed.
    assert heard == ["gf.hub.svc.x"]
