"""One load against a running node: rate until queryable, CPU by process, exactness."""

import time
from dataclasses import dataclass

from benchmarks.ingest.generator import Load, Outcome
from benchmarks.ingest.load import Generator
from benchmarks.ingest.processes import Usage, cpu_by_name, usage
from benchmarks.ingest.stored import count_points, wait_until_queryable, wait_until_stored
from demo.node import NodeProcess

STORED_TIMEOUT_S = 180.0


@dataclass(frozen=True)
class Throughput:
    """What one load did.

    Attributes:
        outcome: of the generator.
        points: acknowledged points.
        stored: points that the history gained.
        seconds: from the first publish until the last point was queryable.
        cpu: CPU seconds by process name, all processes of the node.
        after: memory and CPU of the processes at the end.
    """

    outcome: Outcome
    points: int
    stored: int
    seconds: float
    cpu: dict[str, float]
    after: list[Usage]

    @property
    def points_per_s(self) -> float:
        """Points a second from the first publish until the last is queryable."""
        return self.points / self.seconds

    @property
    def cpu_us_per_point(self) -> float:
        """CPU microseconds a point over all processes of the node."""
        return sum(self.cpu.values()) / max(self.points, 1) * 1e6

    @property
    def exact(self) -> bool:
        """Everything sent was acknowledged, and the history gained exactly that."""
        return self.outcome.sent == self.outcome.acknowledged and self.stored == self.points


def run_load(node: NodeProcess, load: Load, assets: str) -> Throughput:
    """Run a load and wait until all of it is in the history.

    Args:
        node: the node.
        load: what to send.
        assets: path of the asset that a device writes to; ``{device}`` is replaced.
    """
    api = node.api()
    try:
        before_count = count_points(api)
        with Generator(load) as generator:
            before = usage(node.pid)
            generator.start()
            outcome = generator.outcome()
            points = outcome.acknowledged * load.points
            last = {assets.format(device=name): moment for name, moment in outcome.last_ms.items()}
            seen = wait_until_queryable(api, last, STORED_TIMEOUT_S)
            after = usage(node.pid)
        if (count := count_points(api)) < before_count + points:
            # The sample was not the last: what follows is part of the time, and counting part of the CPU.
            count = wait_until_stored(api, before_count + points, STORED_TIMEOUT_S)
            seen, after = time.time_ns(), usage(node.pid)
        seconds = (seen - outcome.first_at) / 1e9
        return Throughput(outcome, points, count - before_count, seconds, cpu_by_name(before, after), after)
    finally:
        api.close()
