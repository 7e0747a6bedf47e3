"""Three servers, three replicas: the leader is killed under load; nothing acknowledged is lost or read twice."""

import asyncio
from pathlib import Path

import pytest

from gongfu.bus.blocklog import BlockLog, ensure_streams
from gongfu.bus.blockreader import BlockReader
from gongfu.bus.connection import open_bus
from gongfu.bus.jetstream import JetStreamError, call_api
from gongfu.bus.partition_leases import Lease, LeaseDocument, PartitionLeases
from gongfu.bus.registers import RegisterConflictError, Registers
from gongfu.bus.state_store import CHUNK_BYTES, StateStore
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from tests.fixtures.nats_cluster import NatsCluster
from tests.system.worker_bench import until

SUBJECTS = Subjects("three")
DEADLINE_S = 90.0


async def test_leader_killed_under_load(nats_cluster: NatsCluster, tmp_path: Path) -> None:
    async with asyncio.timeout(DEADLINE_S):
        bus = await open_bus(nats_cluster.address, "test")
        await ensure_streams(bus, SUBJECTS, 1, 3600, 1 << 28, replicas=3)
        log, counters = BlockLog(bus, SUBJECTS, Counters()), Counters()
        await log.start()
        reader = BlockReader(bus, SUBJECTS, 0, 1, counters)
        read: list[tuple[int, bytes]] = []

        async def follow() -> None:
            async for batch in reader:
                read.extend(batch)

        following = asyncio.create_task(follow())
        acknowledged: dict[int, int] = {}

        async def append(number: int) -> None:
            acknowledged[number] = await log.append(0, b"%d" % number)

        stream = SUBJECTS.blocks_stream(0)
        leader = (await call_api(bus, f"STREAM.INFO.{stream}"))["cluster"]["leader"]
        outstanding: set[asyncio.Task[None]] = set()
        killed, number = False, 0
        # Until acknowledgements come again after the kill, with appends under way all the time.
        while not killed or len(acknowledged) < 400:
            if len(outstanding) < 32:
                outstanding.add(asyncio.create_task(append(number)))
                number += 1
            else:
                _, outstanding = await asyncio.wait(outstanding, return_when=asyncio.FIRST_COMPLETED)
            if not killed and len(acknowledged) >= 100:
                await asyncio.to_thread(nats_cluster.kill, leader)
                killed = True
        await asyncio.gather(*outstanding)
        info = await call_api(bus, f"STREAM.INFO.{stream}")
        assert info["cluster"]["leader"] != leader
        last = int(info["state"]["last_seq"])

        async def all_read() -> bool:
            return bool(read) and read[-1][0] >= last

        await until(all_read, "the reader is at the end", DEADLINE_S)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        assert [sequence for sequence, _ in read] == list(range(1, last + 1))
        by_sequence = dict(read)
        assert all(by_sequence[sequence] == b"%d" % n for n, sequence in acknowledged.items())
        contents = [int(data) for _, data in read]
        assert len(contents) == len(set(contents)) == number, "each block once, though appended again"
        assert counters.snapshot().get("blocks_missed", 0) == 0
        await _state_survives(nats_cluster, bus, tmp_path)
        await log.close()
        await bus.close()


async def _state_survives(cluster: NatsCluster, bus: object, tmp_path: Path) -> None:
    """Two of three servers: registers and state are still taken, and a former owner can commit nothing."""
    from nats.aio.client import Client

    assert isinstance(bus, Client)
    registers = Registers(bus, SUBJECTS.registers_stream(), SUBJECTS.registers(), 3)
    store = StateStore(bus, SUBJECTS, 3)
    await registers.start()
    await store.start()
    source, target = tmp_path / "state", tmp_path / "copy"
    source.write_bytes(bytes(range(256)) * (CHUNK_BYTES // 200))
    where = await store.put(3, 7, source)
    loop = asyncio.get_running_loop()
    mine = LeaseDocument("one", "p1", 7)
    revision = await registers.put("lease", "3", b'{"owner":"one","process":"p1","epoch":7}', 0)
    lease = Lease(registers, 3, mine, revision, loop.time() + 4)
    await lease.commit(where)
    with pytest.raises(RegisterConflictError):
        await registers.put("lease", "3", b"{}", revision)
    taken: list[Lease] = []

    async def gained(found: Lease) -> None:
        taken.append(found)

    async def leaving(_: Lease, __: bool) -> None: ...

    other = PartitionLeases(registers, "two", 4, gained, leaving)
    await other.start()

    async def has_it() -> bool:
        return 3 in {found.partition for found in taken}

    await until(has_it, "the lease ends and another takes it", DEADLINE_S)
    theirs = next(found for found in taken if found.partition == 3)
    assert theirs.epoch > lease.epoch
    with pytest.raises(Exception, match="two"):
        await lease.commit("elsewhere:1")
    assert lease.lost
    await store.get(3, theirs.checkpoint, target)
    assert target.read_bytes() == source.read_bytes()
    await store.remove_before(3, theirs.epoch, "")
    with pytest.raises(JetStreamError):
        await store.get(3, where, target)
    await other.stop()
