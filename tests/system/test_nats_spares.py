"""Three servers, three replicas, two writers: the leader is killed, and blocks are acknowledged again within the bar;
then the writer that moves blocks back goes as well.

``GONGFU_LEADER_KILLS`` kills more often.
"""

import asyncio
import json
import os
import random
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from nats.aio.client import Client

from gongfu.bus.block_streams import SettledLog
from gongfu.bus.blocklog import BlockLog, ensure_streams
from gongfu.bus.blockreader import BlockReader
from gongfu.bus.connection import open_bus
from gongfu.bus.jetstream import JetStreamError, call_api
from gongfu.bus.spare_move import SpareMove
from gongfu.bus.spares import Spares
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from tests.fixtures.nats_cluster import NatsCluster
from tests.system.worker_bench import until

pytestmark = pytest.mark.alone

SUBJECTS = Subjects("spares")
LOG, SPARE = SUBJECTS.blocks_stream(0), SUBJECTS.spare_stream(0)
KILLS = int(os.environ.get("GONGFU_LEADER_KILLS", "1"))
GAP_S = 5.0
DEVICES = 8
PATIENCE_S = 90.0


class Writer:
    """A block log with its own connection, that may be lost."""

    def __init__(self, bus: Client) -> None:
        self.bus = bus
        self.counters = Counters()
        self.spares = Spares(bus, SUBJECTS, 1, self.counters)
        self.log = BlockLog(bus, SUBJECTS, self.counters, spares=self.spares)
        self.gone = asyncio.Event()

    async def crash(self) -> None:
        """Nothing is sent or heard any more."""
        await self.bus.close()
        self.gone.set()


@dataclass
class Load:
    """Devices that wait for each acknowledgement and go to another writer now and then."""

    writers: list[Writer]
    acknowledged: set[tuple[int, int]] = field(default_factory=set)
    last: float = 0.0
    gap: float = 0.0
    stopping: bool = False

    async def device(self, number: int) -> None:
        draws, block = random.Random(number), 0
        writer = draws.choice(self.writers)
        while not self.stopping:
            if writer.gone.is_set() or draws.random() < 0.05:
                writer = draws.choice([one for one in self.writers if not one.gone.is_set()])
            future = writer.log.append(0, json.dumps([number, block]).encode() + bytes(1000))
            gone = asyncio.create_task(writer.gone.wait())
            await asyncio.wait([future, gone], return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            if future.done():
                future.result()
                self.acknowledged.add((number, block))
                now = time.monotonic()
                self.gap, self.last = max(self.gap, now - self.last), now
            block += 1
            await asyncio.sleep(0.02)


async def info(bus: Client, stream: str) -> dict[str, Any]:
    try:
        return await call_api(bus, f"STREAM.INFO.{stream}", timeout_s=1.0)
    except JetStreamError:
        return {"cluster": {}, "state": {}}


async def leaders_apart(bus: Client) -> tuple[str, str] | None:
    """The leaders of the log and of the spare, on two servers while all three are there and nothing is in the spare."""
    log, spare = await info(bus, LOG), await info(bus, SPARE)
    mine, other = log["cluster"].get("leader"), spare["cluster"].get("leader")
    replicas = [one for found in (log, spare) for one in found["cluster"].get("replicas", [])]
    ready = len(replicas) == 4 and all(one.get("current") and not one.get("offline") for one in replicas)
    return (mine, other) if mine and other and mine != other and ready and not spare["state"]["messages"] else None


async def test_a_killed_leader_is_not_waited_for(nats_cluster: NatsCluster) -> None:
    bus = await open_bus(nats_cluster.address, "test")
    await ensure_streams(bus, SUBJECTS, 1, 3600, 1 << 28, replicas=3)
    writers = [Writer(await open_bus(nats_cluster.address, f"writer {number}")) for number in range(2)]
    for writer in writers:
        await writer.log.start()
    load, gaps = Load(writers), list[float]()
    await until(lambda: leaders_apart(bus), "leaders on two servers", PATIENCE_S)
    devices = [asyncio.create_task(load.device(number)) for number in range(DEVICES)]
    for kill in range(KILLS):
        leader, _other = await until(lambda: leaders_apart(bus), "leaders on two servers", PATIENCE_S)
        load.last, load.gap = time.monotonic(), 0.0
        await asyncio.to_thread(nats_cluster.kill, leader)

        async def is_replaced(gone: str = leader) -> bool:
            return (await info(bus, LOG))["cluster"].get("leader", gone) != gone

        await until(is_replaced, "another leader", PATIENCE_S)
        if kill == KILLS - 1:
            # It is the one that moves blocks.
            await min(writers, key=lambda writer: writer.spares.name).crash()

        async def is_empty() -> bool:
            return (await info(bus, SPARE))["state"].get("messages") == 0

        await until(is_empty, "the log has what was in the spare", PATIENCE_S)
        gaps.append(load.gap)
        print(f"gap {load.gap:.2f} s")
        await asyncio.to_thread(nats_cluster.start, leader)
    load.stopping = True
    await asyncio.gather(*devices)
    await until(lambda: leaders_apart(bus), "nothing in the spare", PATIENCE_S)
    assert sum(writer.counters.snapshot().get("blocks_from_spare", 0) for writer in writers) > 0
    await check_log(bus, load.acknowledged)
    assert max(gaps) <= GAP_S, gaps
    for writer in writers:
        if not writer.gone.is_set():
            await writer.log.close()
            await writer.bus.close()
    await bus.close()


async def test_a_log_is_not_settled_while_its_spare_has_blocks(nats_cluster: NatsCluster) -> None:
    bus = await open_bus(nats_cluster.address, "test")
    await ensure_streams(bus, SUBJECTS, 1, 3600, 1 << 28, replicas=3)
    settled = SettledLog(bus, SUBJECTS, 0)
    log = BlockLog(bus, SUBJECTS, Counters())
    await log.start()
    log.route(0, to_spare=True)
    await log.append(0, b"one")
    assert await settled.state() is None
    move = SpareMove(bus, SUBJECTS, 0, Counters())
    assert await move.move(PATIENCE_S) == 1
    state = await settled.state()
    assert state is not None
    assert state["last_seq"] == 1
    await move.close()
    await log.close()
    await bus.close()


async def check_log(bus: Client, acknowledged: set[tuple[int, int]]) -> None:
    """Everything is in the log once, in the order of each device."""
    end = int((await info(bus, LOG))["state"]["last_seq"])
    reader, seen, newest = BlockReader(bus, SUBJECTS, 0, 1, Counters()), set[tuple[int, int]](), dict[int, int]()
    while reader.position <= end:
        for _, data in await reader.next_batch(10):
            number, block = json.loads(data.rstrip(b"\0"))
            assert (number, block) not in seen, "each block once"
            seen.add((number, block))
            # Of a block that was not acknowledged, since its writer crashed, nobody knows when it comes.
            if (number, block) in acknowledged:
                assert block > newest.get(number, -1), "in order"
                newest[number] = block
    assert acknowledged <= seen
    assert acknowledged
    await reader.close()
