"""Open blocks: when they are closed, what waits, who hears."""

import asyncio
from struct import pack

from gongfu.ingest.columnise.accumulator import Accumulator, OpenBlock
from gongfu.ingest.columnise.limits import BLOCK_INTERVAL_S, BLOCK_POINTS, BLOCKS_IN_LOG, PENDING_POINTS
from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType
from tests.fixtures.telemetry import FixedClock
from tests.unit.columnise.memory_log import MemoryLog


class Setup:
    def __init__(self, *, hold: bool) -> None:
        self.log = MemoryLog(hold=hold)
        self.settled: list[tuple[int, bool]] = []
        self.counters = Counters()
        self.accumulator = Accumulator(self.log, FixedClock(), self.counters, self._settle)  # type: ignore[arg-type]

    def _settle(self, block: OpenBlock, durable: bool) -> None:
        self.settled.append((block.points, durable))

    def write(self, n: int, tenant: int = 1) -> None:
        lane = self.accumulator.lane(tenant, 0)
        lane.block.add(ValueType.BOOLEAN, n, pack("<I", 1) * n, bytes(8 * n), bytes(n), bytes(n))
        self.accumulator.written(lane)


async def test_single_message_goes_at_once_and_a_stream_in_batches() -> None:
    setup = Setup(hold=True)
    for _ in range(3):
        setup.write(1)
    assert setup.log.outstanding == 0
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [len(block) for block, _ in setup.log.waiting] == [3]
    # So long that a machine that stands still for a moment does not close the block.
    setup.accumulator.pace.interval_s = 3600.0
    setup.write(1)
    await asyncio.sleep(2 * BLOCK_INTERVAL_S)
    setup.write(1)
    assert setup.log.outstanding == 1
    lane = setup.accumulator.lane(1, 0)
    setup.accumulator._close_due(lane)
    assert [len(block) for block, _ in setup.log.waiting] == [3, 2]


async def test_a_stream_is_closed_after_the_interval() -> None:
    setup = Setup(hold=False)
    for closed in (1, 2):
        setup.write(1)
        for _ in range(12_000):
            if len(setup.log.blocks) == closed:
                break
            await asyncio.sleep(BLOCK_INTERVAL_S)
        assert len(setup.log.blocks) == closed


async def test_block_is_closed_at_its_bound_of_points() -> None:
    setup = Setup(hold=False)
    setup.write(BLOCK_POINTS)
    assert [len(block) for block in setup.log.blocks] == [BLOCK_POINTS]


async def test_tenants_never_share_a_block() -> None:
    setup = Setup(hold=False)
    setup.write(1, tenant=1)
    setup.write(2, tenant=2)
    await setup.accumulator.drain()
    assert sorted((block.tenant, len(block)) for block in setup.log.blocks) == [(1, 1), (2, 2)]


async def test_slow_log_makes_blocks_grow_and_then_saturates() -> None:
    setup = Setup(hold=True)
    for _ in range(4 * BLOCKS_IN_LOG):
        setup.write(10)
        await asyncio.sleep(1.5 * BLOCK_INTERVAL_S)
    assert setup.log.outstanding == BLOCKS_IN_LOG
    while not setup.accumulator.saturated:
        setup.write(BLOCK_POINTS)
    assert not setup.accumulator.overfull
    while not setup.accumulator.overfull:
        setup.write(BLOCK_POINTS)
    assert 2 * PENDING_POINTS < setup.accumulator.pending_points < 2 * PENDING_POINTS + 2 * BLOCK_POINTS
    setup.log.release(fail=True)
    await asyncio.sleep(0)
    assert not setup.accumulator.saturated
    assert {durable for _, durable in setup.settled} == {False}
    setup.log.hold = False
    setup.write(5)
    await setup.accumulator.drain()
    assert setup.settled[-1][1]
    assert setup.accumulator.pending_points == 0
    assert setup.counters.snapshot()["points_accepted"] == sum(n for n, durable in setup.settled if durable)


async def test_what_is_still_gathered_goes_with_a_block_that_is_due() -> None:
    setup = Setup(hold=False)
    gathered = [2]

    def flush() -> None:
        if gathered:
            setup.write(gathered.pop())

    setup.accumulator.before_close = flush
    setup.write(1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [len(block) for block in setup.log.blocks] == [3]
