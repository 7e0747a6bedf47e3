"""The leader of a three-replica stream is killed under load, on three real nats-servers."""

import asyncio
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from demo.cluster.engines import nats_servers
from demo.cluster.kept import Kept
from gongfu.bus.blocklog import BlockLog, ensure_streams
from gongfu.bus.blockreader import BlockReader
from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.jetstream import call_api
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects

_SUBJECTS = Subjects("bench")
_PAYLOAD = 4096
_OUTSTANDING = 32
_RESTART_S = 12.0


@dataclass
class LeaderResult:
    """What was found.

    Attributes:
        gaps: longest time without an acknowledgement, of each kill, in seconds.
        acknowledged: blocks acknowledged.
        lost: of them not in the log.
        repeated: blocks that are in the log twice.
    """

    gaps: list[float] = field(default_factory=list[float])
    acknowledged: int = 0
    lost: int = 0
    repeated: int = 0


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
    bus = await open_bus(BusAddress(tuple(urls), "benchmark"), "benchmark")
    await ensure_streams(bus, _SUBJECTS, 1, 3600, 1 << 30, replicas=3)
    log, result = BlockLog(bus, _SUBJECTS, Counters()), LeaderResult()
    await log.start()
    stream, stopping = _SUBJECTS.blocks_stream(0), asyncio.Event()
    acknowledged: dict[int, int] = {}
    last, gap, number = time.monotonic(), 0.0, 0

    async def append() -> None:
        nonlocal last, gap, number
        while not stopping.is_set():
            mine, number = number, number + 1
            acknowledged[mine] = await log.append(0, mine.to_bytes(8, "big") + bytes(_PAYLOAD))
            now = time.monotonic()
            gap, last = max(gap, now - last), now
            await asyncio.sleep(0.01)

    appending = [asyncio.create_task(append()) for _ in range(_OUTSTANDING)]
    for _ in range(kills):
        await asyncio.sleep(3)
        leader = (await call_api(bus, f"STREAM.INFO.{stream}"))["cluster"]["leader"]
        last, gap = time.monotonic(), 0.0
        os.kill(servers[leader].pid, 9)
        await asyncio.sleep(_RESTART_S + 3)
        result.gaps.append(gap)
        await asyncio.to_thread(servers[leader].wait_ready, 60)
    stopping.set()
    await asyncio.gather(*appending)
    end = int((await call_api(bus, f"STREAM.INFO.{stream}"))["state"]["last_seq"])
    reader, seen = BlockReader(bus, _SUBJECTS, 0, 1, Counters()), dict[int, int]()
    while reader.position <= end:
        for sequence, data in await reader.next_batch(5):
            mine = int.from_bytes(data[:8], "big")
            result.repeated += mine in seen
            seen[mine] = sequence
    result.acknowledged = len(acknowledged)
    result.lost = len(acknowledged.keys() - seen.keys())
    await log.close()
    await bus.close()
    return result
