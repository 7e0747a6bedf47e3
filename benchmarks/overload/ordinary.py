"""The ordinary devices: a process that publishes at a steady rate, one message after the other, and times each PUBACK.

Reads one JSON document (``Load``, ``messages_per_s`` above 0) from standard input, writes ``connected``, publishes when
a line arrives, and writes one JSON document (``Ordinary``) at its end.
"""

import asyncio
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import uvloop

from benchmarks.ingest.generator import CONNECT_S, Load, Run


@dataclass
class Ordinary:
    """What happened.

    Attributes:
        sent, acknowledged, lost_connections: messages and connections.
        latency_ms: write to PUBACK of every message, in the order of the answers.
        lag_ms: how late this process itself was with each message: what the cores did to the measuring client.
    """

    sent: int = 0
    acknowledged: int = 0
    lost_connections: int = 0
    latency_ms: list[float] = field(default_factory=list[float])
    lag_ms: list[float] = field(default_factory=list[float])


class SteadyRun(Run):
    """Publishes one message at a time, at equal distances, over all connections in turn."""

    def __init__(self, load: Load) -> None:
        super().__init__(load)
        self.lag: list[float] = []

    async def _publish_paced(self) -> None:
        began, number = time.monotonic(), 0
        while (due := began + number / self.load.messages_per_s) < began + self.load.seconds:
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            self.lag.append(max(0.0, time.monotonic() - due) * 1e3)
            self._connections[number % len(self._connections)].publish(1)
            number += 1


async def _main() -> None:
    loop = asyncio.get_running_loop()
    fields: dict[str, Any] = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    run = SteadyRun(Load(**fields))
    await asyncio.wait_for(run.connect(), CONNECT_S)
    print("connected", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    await run.publish()
    outcome = Ordinary(
        run.outcome.sent,
        run.outcome.acknowledged,
        run.outcome.lost_connections,
        [round(ns / 1e6, 3) for ns in run.latencies],
        [round(ms, 3) for ms in run.lag],
    )
    print(json.dumps(asdict(outcome)), flush=True)
    os._exit(0)


if __name__ == "__main__":
    uvloop.run(_main())
