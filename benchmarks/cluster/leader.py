"""The leader of a three-replica stream is killed under load that does not pause, on three real nats-servers."""

import asyncio
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from demo.cluster.engines import nats_servers
from demo.cluster.kept import Kept
from gongfu.bus.blocklog import BlockLog, ensure_streams
from gongfu.bus.blockreader import BlockReader
from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.jetstream import JetStreamError, call_api
from gongfu.bus.spares import Spares
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects

_SUBJECTS = Subjects("bench")
_LOG, _SPARE = _SUBJECTS.blocks_stream(0), _SUBJECTS.spare_stream(0)
_PAYLOAD = 4096
_WRITERS = 2
_SENDERS = 32
_RESTART_S = 12.0
_PATIENCE_S = 180.0


@dataclass
class LeaderResult:
    """What was found.

    Attributes:
        gaps: longest time without an acknowledgement, of each kill, in seconds.
        backs: from each kill until the log had all blocks again, with the load going on, in seconds.
        diverted: blocks that the spare stream took.
        acknowledged: blocks acknowledged.
        lost: of them not in the log.
        repeated: blocks that are in the log twice.
        exchanged: blocks of a sender that are in the log before one that was acknowledged earlier.
    """

    gaps: list[float] = field(default_factory=list[float])
    backs: list[float] = field(default_factory=list[float])
    diverted: int = 0
    acknowledged: int = 0
    lost: int = 0
    repeated: int = 0
    exchanged: int = 0


@dataclass
class _Load:
    """Senders that wait for each acknowledgement, send again after 10 ms, and take another writer each time."""

    logs: list[BlockLog]
    acknowledged: Counter[int] = field(default_factory=Counter[int])
    last: float = 0.0
    gap: float = 0.0
    stopping: bool = False

    async def send(self, sender: int) -> None:
        while not self.stopping:
            number = self.acknowledged[sender]
            payload = sender.to_bytes(8, "big") + number.to_bytes(8, "big") + bytes(_PAYLOAD)
            await self.logs[number % len(self.logs)].append(0, payload)
            self.acknowledged[sender] += 1
            now = time.monotonic()
            self.gap, self.last = max(self.gap, now - self.last), now
            await asyncio.sleep(0.01)


def kill_leaders(root: Path, kills: int) -> LeaderResult:
    """Kill the leader ``kills`` times; each server is started again 12 s later."""
    specs, ports = nats_servers(root, "benchmark", restart_s=_RESTART_S)
    servers = {spec.name: Kept(spec).start() for spec in specs}
    try:
        for server in servers.values():
            server.wait_ready(60)
        return asyncio.run(_run(servers, [f"nats://127.0.0.1:{port}" for port in ports], kills))
    finally:
        for server in servers.values():
            server.stop()


async def _run(servers: dict[str, Kept], urls: list[str], kills: int) -> LeaderResult:
    address, result = BusAddress(tuple(urls), "benchmark"), LeaderResult()
    bus = await open_bus(address, "benchmark")
    await ensure_streams(bus, _SUBJECTS, 1, 3600, 1 << 31, replicas=3)
    counters = Counters()
    writers = [await open_bus(address, f"writer {number}") for number in range(_WRITERS)]
    logs = [BlockLog(one, _SUBJECTS, counters, spares=Spares(one, _SUBJECTS, 1, counters)) for one in writers]
    for log in logs:
        await log.start()
    load = _Load(logs)
    senders = [asyncio.create_task(load.send(number)) for number in range(_SENDERS)]
    for _ in range(kills):
        leader = await _leader_apart(bus)
        await asyncio.sleep(3)
        acknowledged = load.acknowledged.total()
        began = load.last = time.monotonic()
        load.gap = 0.0
        os.kill(servers[leader].pid, 9)
        await _another_leads(bus, leader)
        await _spare_empty(bus)
        result.backs.append(time.monotonic() - began)
        result.gaps.append(max(load.gap, time.monotonic() - load.last))
        print(
            f"gap {result.gaps[-1]:.2f} s, all in the log after {result.backs[-1]:.1f} s, acknowledged meanwhile "
            f"{load.acknowledged.total() - acknowledged}, load average {os.getloadavg()[0]:.0f}",
            flush=True,
        )
        await asyncio.to_thread(servers[leader].wait_ready, 60)
    load.stopping = True
    await asyncio.gather(*senders)
    await _spare_empty(bus)
    result.acknowledged = load.acknowledged.total()
    result.diverted = counters.snapshot().get("blocks_from_spare", 0)
    await _read(bus, load.acknowledged, result)
    for log in logs:
        await log.close()
    for client in (*writers, bus):
        await client.close()
    return result


async def _info(bus: Client, stream: str) -> dict[str, Any]:
    try:
        return await call_api(bus, f"STREAM.INFO.{stream}", timeout_s=1.0)
    except JetStreamError:
        return {"cluster": {}, "state": {}}


async def _leader_apart(bus: Client) -> str:
    """Return the leader of the log once all servers have everything and the spare's leader is another."""
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            log, spare = await _info(bus, _LOG), await _info(bus, _SPARE)
            leader, other = log["cluster"].get("leader"), spare["cluster"].get("leader")
            replicas = [one for found in (log, spare) for one in found["cluster"].get("replicas", [])]
            ready = len(replicas) == 4 and all(one["current"] and not one.get("offline") for one in replicas)
            if leader and other and leader != other and ready:
                return str(leader)
            await asyncio.sleep(0.2)


async def _another_leads(bus: Client, gone: str) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            if (await _info(bus, _LOG))["cluster"].get("leader", gone) != gone:
                return
            await asyncio.sleep(0.05)


async def _spare_empty(bus: Client) -> None:
    """Return when the spare has had nothing for half a second."""
    async with asyncio.timeout(_PATIENCE_S):
        empty = 0
        while empty < 5:
            empty = empty + 1 if (await _info(bus, _SPARE))["state"].get("messages") == 0 else 0
            await asyncio.sleep(0.1)


async def _read(bus: Client, acknowledged: Counter[int], result: LeaderResult) -> None:
    end = int((await _info(bus, _LOG))["state"]["last_seq"])
    reader, seen = BlockReader(bus, _SUBJECTS, 0, 1, Counters()), dict[int, list[int]]()
    while reader.position <= end:
        for _, data in await reader.next_batch(5):
            sender, number = int.from_bytes(data[:8], "big"), int.from_bytes(data[8:16], "big")
            seen.setdefault(sender, []).append(number)
    for sender, count in acknowledged.items():
        numbers = seen.get(sender, [])
        result.repeated += len(numbers) - len(set(numbers))
        result.lost += len(set(range(count)) - set(numbers))
        result.exchanged += sum(later < earlier for earlier, later in pairwise(numbers))
    await reader.close()
