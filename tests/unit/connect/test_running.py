"""A running connection on a simulated clock: back-off with jitter, state, gaps told, requests, polling at its rates."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar

import pytest

from gongfu.connect.kit.backoff import Backoff
from gongfu.connect.kit.polling import Poller
from gongfu.connect.kit.running import RunningConnection
from gongfu.connect.kit.sink import ReadingSink
from gongfu.connect.kit.status import State, Status
from gongfu.connect.kit.types import (
    Address,
    Driver,
    DriverError,
    Found,
    Manifest,
    NodePage,
    Reading,
    Reason,
    Sink,
    Value,
    WriteResult,
)
from gongfu.kernel.quality import Quality
from tests.unit.connect.memory_intake import WRITER, MemoryIntake
from tests.unit.connect.simulated import START, SimulatedTiming


class Machine:
    """What a ``MemoryDriver`` talks to: values that the test sets, and a switch."""

    def __init__(self, timing: SimulatedTiming) -> None:
        self.timing = timing
        self.values: dict[str, Value] = {"a": 1.0, "b": 2.0}
        self.refuses: DriverError | None = None
        self.breaks = asyncio.Event()
        self.opened = self.closed = 0


class MemoryDriver:
    """A driver of a machine in memory, complete but for the wire."""

    manifest: ClassVar[Manifest] = Manifest(
        protocol="memory", schemes=("memory",), title={"zh": "内存", "en": "Memory"}
    )

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._poller: Poller | None = None

    async def open(self) -> None:
        if self._machine.refuses is not None:
            raise self._machine.refuses
        self._machine.opened += 1

    async def close(self) -> None:
        self._machine.closed += 1

    async def discover(self) -> list[Found]:
        return []

    async def browse(self, parent: str, limit: int, cursor: str = "") -> NodePage:
        return NodePage(items=[])

    async def read(self, addresses: Sequence[Address]) -> list[Reading]:
        return [Reading(n, self._machine.values[address.where]) for n, address in enumerate(addresses)]

    async def subscribe(self, addresses: Sequence[Address], sink: Sink) -> None:
        self._poller = Poller(addresses, self.read, sink, self._machine.timing)

    async def wait(self) -> None:
        assert self._poller is not None
        polling = asyncio.ensure_future(self._poller.run())
        broken = asyncio.ensure_future(self._machine.breaks.wait())
        try:
            await asyncio.wait({polling, broken}, return_when=asyncio.FIRST_COMPLETED)
            raise DriverError(Reason.UNREACHABLE, "memory: the line is cut.", "Plug it in.")
        finally:
            polling.cancel()
            broken.cancel()

    async def write(self, address: Address, value: Value) -> WriteResult:
        self._machine.values[address.where] = value
        return WriteResult(confirmed=True, read_back=value)

    async def health(self) -> Mapping[str, Any]:
        return {"opened": self._machine.opened}


ADDRESSES = [Address(point="a", where="a", every=1.0), Address(point="b", where="b", every=10.0)]


class Bench:
    """A connection to a machine in memory."""

    def __init__(self) -> None:
        self.timing = SimulatedTiming()
        self.machine = Machine(self.timing)
        self.intake = MemoryIntake()
        self.events: list[str] = []
        self.left = asyncio.Event()
        self.sink = ReadingSink(ADDRESSES, WRITER, self.intake, lambda kind, _: self.events.append(kind), gather=0.0)
        self.connection = RunningConnection(
            1, 1, "plc", self._make, ADDRESSES, self.sink, self.timing, random.Random(1).random, self._changed
        )

    def _make(self) -> Driver:
        return MemoryDriver(self.machine)

    def _changed(self, status: Status) -> None:
        if status.state is State.WAITING:
            self.left.set()

    def values(self, point: str) -> list[tuple[object, int]]:
        return [(value, quality) for _, name, value, quality, _ in self.intake.rows if name == point]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    one = Bench()
    task = asyncio.create_task(one.connection.run())
    yield one
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert one.machine.closed >= one.machine.opened


async def test_each_address_at_its_rate(bench: Bench) -> None:
    await bench.timing.advance(20.5)
    bench.sink.close()
    assert bench.connection.status.state is State.ONLINE
    assert [len(bench.values(name)) for name in "ab"] == [21, 3]
    status = await bench.connection.refresh()
    assert status.counters["readings"] == status.counters["accepted"] == 24
    assert status.health == {"opened": 1}
    assert status.values_per_second > 0


async def test_a_lost_connection_comes_back_and_nothing_is_silent(bench: Bench) -> None:
    await bench.timing.advance(3.5)
    bench.machine.refuses = DriverError(Reason.REFUSED, "memory: connection refused.", "Start the machine.")
    bench.machine.breaks.set()
    async with asyncio.timeout(20):
        await bench.left.wait()
    bench.machine.breaks.clear()
    await bench.timing.advance(120)
    status = bench.connection.status
    assert status.state is State.WAITING
    assert status.attempts >= 5
    assert status.last_error is not None
    assert (status.last_error.reason, status.last_error.advice) == ("refused", "Start the machine.")
    assert status.next_attempt > bench.timing.now_ns() - 1
    # Told once, at once, with a bad quality.
    assert [quality for _, quality in bench.values("a")][-2:] == [Quality.GOOD, Quality.BAD_NO_DATA]
    assert bench.events == ["connection.gap"]
    bench.machine.refuses = None
    bench.machine.values["a"] = 7.0
    await bench.timing.advance(61)
    assert status.state is State.ONLINE
    assert status.attempts == 0
    bench.sink.close()
    assert bench.values("a")[-1] == (7.0, Quality.GOOD)
    assert status.since > START


async def test_requests_go_over_the_open_connection(bench: Bench) -> None:
    await bench.timing.settle()
    result = await bench.connection.request(lambda driver: driver.write(ADDRESSES[0], 9.0))
    assert result.confirmed
    await bench.timing.advance(1.5)
    bench.sink.close()
    assert bench.values("a")[-1][0] == 9.0


async def test_what_is_closed_is_known_no_more() -> None:
    bench = Bench()
    task = asyncio.create_task(bench.connection.run())
    await bench.timing.advance(1.5)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert bench.values("a")[-1][1] == Quality.BAD_NO_DATA
    assert bench.events == ["connection.gap"]


async def test_a_request_without_a_connection_says_why() -> None:
    bench = Bench()
    bench.machine.refuses = DriverError(Reason.CREDENTIALS, "memory: wrong password.", "Give the right one.")
    task = asyncio.create_task(bench.connection.run())
    await bench.timing.settle()
    with pytest.raises(DriverError, match="wrong password") as caught:
        await bench.connection.request(lambda driver: driver.read(ADDRESSES))
    assert caught.value.advice == "Give the right one."
    task.cancel()


async def test_a_driver_that_fails_is_a_failure_of_one_connection() -> None:
    bench = Bench()
    del bench.machine.values["a"]
    bench.machine.refuses = None

    def broken() -> Driver:
        raise ZeroDivisionError

    connection = RunningConnection(
        1, 1, "plc", broken, ADDRESSES, bench.sink, bench.timing, random.Random(1).random, lambda _: None
    )
    task = asyncio.create_task(connection.run())
    await bench.timing.settle()
    assert connection.status.state is State.WAITING
    assert connection.status.last_error is not None
    assert "ZeroDivisionError" in connection.status.last_error.what
    task.cancel()


def test_back_off_grows_is_bounded_and_spread() -> None:
    draw = random.Random(3).random
    backoff = Backoff()
    delays = [backoff.next_delay(0.0, draw()) for _ in range(20)]
    assert delays[0] <= 0.5
    assert all(delay <= 60 for delay in delays)
    assert min(delays[10:]) >= 30
    assert len(set(delays[10:])) == 10
    assert backoff.next_delay(31.0, 1.0) == 0.5


async def test_a_slow_machine_does_not_pile_up_reads() -> None:
    timing = SimulatedTiming()
    intake = MemoryIntake()
    sink = ReadingSink(ADDRESSES[:1], WRITER, intake, lambda *_: None)
    at: list[float] = []

    async def read(addresses: Sequence[Address]) -> list[Reading]:
        at.append(timing.monotonic())
        await timing.sleep(2.5)
        return [Reading(0, 1.0)]

    poller = Poller(ADDRESSES[:1], read, sink, timing)
    task = asyncio.create_task(poller.run())
    await timing.advance(26)
    task.cancel()
    sink.close()
    assert 9 <= len(at) <= 11
    assert poller.overruns >= 10
