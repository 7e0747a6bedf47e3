"""Several workers of one node that share its partitions, on a real nats-server, fed with blocks by the test."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
from dataclasses import dataclass, field

from nats.aio.client import Client

from gongfu.bus.blocklog import BlockLog, ensure_streams
from gongfu.bus.gather import gather
from gongfu.kernel.counters import Counters
from gongfu.node.runtime import ROLE_VARIABLE, RUNTIME_VARIABLE
from tests.fixtures.processes import WatchedProcess
from tests.system.worker_bench import SUBJECTS, Worker, until

# A busy machine hands over slowly; what counts is the outcome.
PATIENCE_S = 180.0
PARTITIONS = 4


@dataclass
class Fleet(Worker):
    """Workers of the node ``test`` with one data directory; ``alone`` has one without leases."""

    alone: bool = False
    running: dict[str, WatchedProcess] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        path = self.directory / "runtime.json"
        runtime = json.loads(path.read_text())
        runtime["telemetry"] = {"partitions": PARTITIONS}
        runtime["worker"] = {"processes": 1 if self.alone else 2}
        path.write_text(json.dumps(runtime))

    def launch(self, name: str) -> WatchedProcess:
        environment = {
            RUNTIME_VARIABLE: str(self.directory / "runtime.json"),
            ROLE_VARIABLE: name,
            "PYTHONPATH": os.getcwd(),
        }
        self.running[name] = WatchedProcess([sys.executable, "-m", "gongfu.node.roles.worker"], env=environment)
        return self.running[name]

    async def begin(self, name: str) -> None:
        process = self.launch(name)
        await asyncio.to_thread(process.wait_for, "worker reads", 60.0)

    def end(self, name: str) -> None:
        """Kill a worker as a crash would."""
        process = self.running.pop(name)
        process.process.kill()
        process.wait()

    def signal(self, name: str, number: signal.Signals) -> None:
        self.running[name].signal(number)

    async def suspend(self, name: str) -> None:
        """Stop a worker as a debugger does, but not while it holds the lock of SQLite, which would stop all others."""

        async def stopped() -> bool:
            self.signal(name, signal.SIGSTOP)
            if await asyncio.to_thread(self._is_unlocked):
                return True
            self.signal(name, signal.SIGCONT)
            return False

        await until(stopped, f"{name} is stopped", PATIENCE_S)

    def _is_unlocked(self) -> bool:
        with contextlib.closing(sqlite3.connect(self.directory / "records.db", timeout=0.2)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            return True

    def close(self) -> None:
        for process in self.running.values():
            process.process.kill()
            process.wait()
        super().close()


async def states(bus: Client, expected: int = 0, wait_s: float = 0.5) -> list[dict[str, dict[str, object]]]:
    """Return what each worker that answers says of itself; at once when as many as expected have."""
    return await gather(bus, SUBJECTS.service("reason"), None, wait_s, expected)


async def shares_are(bus: Client, *sizes: int) -> None:
    """Wait until the workers have so many partitions each, together all."""

    async def probe() -> bool:
        owned = [sorted(state["position"]) for state in await states(bus, len(sizes), 5.0)]
        everything = sorted(partition for share in owned for partition in share)
        return sorted(map(len, owned)) == sorted(sizes) and everything == [str(n) for n in range(PARTITIONS)]

    await until(probe, f"shares of {sizes}", PATIENCE_S)


async def all_taken(bus: Client, ends: dict[int, int]) -> None:
    """Wait until the workers have taken the blocks up to these, by partition."""

    async def probe() -> bool:
        reached: dict[str, int] = {}
        for state in await states(bus):
            for partition, sequence in state["position"].items():
                assert isinstance(sequence, int)
                reached[partition] = max(sequence, reached.get(partition, 0))
        return all(reached.get(str(partition), 0) >= end for partition, end in ends.items())

    await until(probe, "all blocks taken", PATIENCE_S)


async def open_fleet_log(bus: Client) -> BlockLog:
    await ensure_streams(bus, SUBJECTS, PARTITIONS, 86_400, 1_000_000_000)
    log = BlockLog(bus, SUBJECTS, Counters())
    await log.start()
    return log
