"""The block log on a real nats-server that is killed, stopped, full or unreachable."""

import asyncio
import os
import random
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from gongfu.bus import streamreader
from gongfu.bus.blocklog import BlockLog, BlockReader, LogUnavailableError, ensure_streams
from gongfu.bus.connection import open_bus
from gongfu.bus.jetstream import call_api, stream_state
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from tests.fixtures.nats import NatsServer

SUBJECTS = Subjects("test")
DAY_S = 86400.0
MIB = 1 << 20


@pytest.fixture
async def counters() -> Counters:
    return Counters()


@pytest.fixture
async def log(bus: Client, counters: Counters) -> AsyncIterator[BlockLog]:
    await ensure_streams(bus, SUBJECTS, 2, DAY_S, 1 << 30)
    block_log = BlockLog(bus, SUBJECTS, counters, ack_timeout_s=1.0)
    await block_log.start()
    yield block_log
    await block_log.close()


async def read_all(bus: Client, partition: int = 0, start: int = 1) -> list[tuple[int, bytes]]:
    reader = BlockReader(bus, SUBJECTS, partition, start, Counters())
    blocks: list[tuple[int, bytes]] = []
    while batch := await reader.next_batch(1.0):
        blocks += batch
    await reader.close()
    return blocks


async def test_five_kills_during_pipelined_appends_lose_and_repeat_nothing(
    nats_server: NatsServer, bus: Client, log: BlockLog, counters: Counters
) -> None:
    acked: dict[int, bytes] = {}
    random_bytes = random.Random(1).randbytes
    stop = asyncio.Event()
    sent = 0

    async def producer() -> None:
        nonlocal sent
        outstanding: set[asyncio.Task[None]] = set()

        async def one(payload: bytes) -> None:
            sequence = await log.append(0, payload)
            assert sequence not in acked, "one sequence for two blocks"
            acked[sequence] = payload

        while not stop.is_set():
            while len(outstanding) < 64:
                sent += 1
                payload = sent.to_bytes(8, "big") + random_bytes(3000)
                outstanding.add(asyncio.create_task(one(payload)))
            done, outstanding = await asyncio.wait(outstanding, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        await asyncio.gather(*outstanding)

    async def acked_more(n: int) -> None:
        goal = len(acked) + n
        while len(acked) < goal:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    task = asyncio.create_task(producer())
    for _ in range(5):
        await asyncio.wait_for(acked_more(150), 30)
        await asyncio.to_thread(nats_server.kill)
        await asyncio.to_thread(nats_server.start)
    await asyncio.wait_for(acked_more(150), 30)
    stop.set()
    await asyncio.wait_for(task, 30)

    stored = await read_all(bus)
    assert {sequence: data for sequence, data in stored if sequence in acked} == acked
    payloads = [data for _, data in stored]
    assert len(set(payloads)) == len(payloads), "a block was stored twice"
    assert len(acked) == sent == len(stored)
    assert [sequence for sequence, _ in stored] == list(range(1, sent + 1))
    assert sum(n for name, n in counters.snapshot().items() if name.startswith("blocks_retried")) > 0


async def test_reader_follows_in_order_over_kills_of_the_server(
    nats_server: NatsServer, bus: Client, log: BlockLog
) -> None:
    counters = Counters()
    reader = BlockReader(bus, SUBJECTS, 0, 1, counters)
    seen: list[tuple[int, bytes]] = []

    async def follow() -> None:
        async for batch in reader:
            seen.extend(batch)

    task = asyncio.create_task(follow())
    for step in range(4):
        futures = [log.append(0, f"{step}.{n}".encode()) for n in range(100)]
        await asyncio.wait_for(asyncio.gather(*futures), 30)
        if step % 2:
            await asyncio.to_thread(nats_server.kill)
            await asyncio.to_thread(nats_server.start)

    async def caught_up() -> None:
        while len(seen) < 400:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    await asyncio.wait_for(caught_up(), 30)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await reader.close()
    assert [sequence for sequence, _ in seen] == list(range(1, 401))
    assert sorted(data for _, data in seen) == sorted(f"{a}.{b}".encode() for a in range(4) for b in range(100))
    assert reader.position == 401
    assert "blocks_missed" not in counters.snapshot()


async def test_reading_begins_anywhere_and_partitions_are_apart(bus: Client, log: BlockLog) -> None:
    await asyncio.gather(*[log.append(n % 2, str(n).encode()) for n in range(600)])
    assert (await log.last_sequence(0), await log.last_sequence(1)) == (300, 300)
    assert [sequence for sequence, _ in await read_all(bus, 1, 290)] == list(range(290, 301))
    assert all(int(data) % 2 == 1 for _, data in await read_all(bus, 1))
    assert await read_all(bus, 0, 301) == []


async def test_gap_is_counted_and_a_replaced_log_is_noticed(
    bus: Client, log: BlockLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamreader, "REPLACED_S", 0.2)
    await asyncio.gather(*[log.append(0, str(n).encode()) for n in range(20)])
    await call_api(bus, f"STREAM.PURGE.{SUBJECTS.blocks_stream(0)}", {"seq": 11})
    counters = Counters()
    reader = BlockReader(bus, SUBJECTS, 0, 5, counters)
    assert [sequence for sequence, _ in await reader.next_batch(5)] == list(range(11, 21))
    assert counters.snapshot()["blocks_missed"] == 6
    await reader.close()

    await call_api(bus, f"STREAM.DELETE.{SUBJECTS.blocks_stream(0)}")
    await ensure_streams(bus, SUBJECTS, 1, DAY_S, 1 << 30)
    await log.append(0, b"new")
    reader = BlockReader(bus, SUBJECTS, 0, 21, counters)
    assert await reader.next_batch(30) == [(1, b"new")]
    assert counters.snapshot()["blocks_log_reset"] == 1
    await reader.close()


async def test_a_stream_that_ends_before_the_position_for_a_moment_is_not_read_again(
    bus: Client, log: BlockLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen in a cluster: a follower had delivered block 350 when the leader still said that the last one was 349."""
    monkeypatch.setattr(streamreader, "REPLACED_S", 600.0)
    counters = Counters()
    await asyncio.gather(*(log.append(0, bytes([n])) for n in range(3)))
    reader = BlockReader(bus, SUBJECTS, 0, 6, counters)
    assert await reader.next_batch(0.5) == []
    await asyncio.gather(*(log.append(0, bytes([n])) for n in range(4)))
    assert [sequence for sequence, _ in await reader.next_batch(30)][:1] == [6]
    assert "blocks_log_reset" not in counters.snapshot()
    await reader.close()


async def test_idle_reader_costs_next_to_nothing(bus: Client, log: BlockLog) -> None:
    await log.append(0, b"x")
    reader = BlockReader(bus, SUBJECTS, 0, 1, Counters())
    assert len(await reader.next_batch(5)) == 1
    costs: list[float] = []
    while min(costs, default=1.0) >= 0.05 and len(costs) < 3:  # the process of the tests has other things to do, too
        began = time.process_time()
        assert await reader.next_batch(2.0) == []
        costs.append(time.process_time() - began)
    assert min(costs) < 0.05
    assert [data for _, data in (await asyncio.gather(reader.next_batch(5), log.append(0, b"y")))[0]] == [b"y"]
    await reader.close()


async def test_limits_of_streams_can_be_changed(bus: Client, log: BlockLog) -> None:
    await log.append(0, b"kept")
    await ensure_streams(bus, SUBJECTS, 2, 3600, 64 * MIB)
    config = (await call_api(bus, f"STREAM.INFO.{SUBJECTS.blocks_stream(0)}"))["config"]
    assert (config["max_age"], config["max_bytes"]) == (3600 * 10**9, 64 * MIB)
    assert [data for _, data in await read_all(bus)] == [b"kept"]


async def test_oldest_blocks_leave_when_the_log_is_at_its_bound(bus: Client, log: BlockLog) -> None:
    await ensure_streams(bus, SUBJECTS, 2, DAY_S, MIB)
    await asyncio.gather(*[log.append(0, bytes(100_000)) for _ in range(30)])
    state = await stream_state(bus, SUBJECTS.blocks_stream(0))
    assert state["last_seq"] == 30
    assert state["first_seq"] > 20


async def test_full_log_acknowledges_nothing_until_there_is_room(bus: Client, counters: Counters) -> None:
    """A stream that refuses new messages stands for a full disk: the server answers with an error instead."""
    await ensure_streams(bus, SUBJECTS, 1, DAY_S, 1 << 30)
    name = SUBJECTS.blocks_stream(0)
    config = (await call_api(bus, f"STREAM.INFO.{name}"))["config"]
    await call_api(bus, f"STREAM.UPDATE.{name}", config | {"discard": "new", "max_bytes": MIB})
    log = BlockLog(bus, SUBJECTS, counters, deadline_s=1.5, ack_timeout_s=0.5)
    await log.start()
    futures = [log.append(0, bytes([n]) * 100_000) for n in range(20)]
    outcomes = await asyncio.gather(*futures, return_exceptions=True)
    acked = [outcome for outcome in outcomes if isinstance(outcome, int)]
    failed = [outcome for outcome in outcomes if isinstance(outcome, LogUnavailableError)]
    assert len(acked) + len(failed) == 20
    assert len(failed) >= 9
    assert {error.reason for error in failed} == {"refused"}
    assert not log.available
    counts = counters.snapshot()
    assert (counts["blocks_failed.refused"], counts["blocks_appended"]) == (len(failed), len(acked))
    assert counts["blocks_retried.refused"] >= len(failed)
    assert len(await read_all(bus)) == len(acked)

    waiting = log.append(0, b"later" * 20_000)
    await asyncio.wait([waiting], timeout=0.3)
    assert not waiting.done()
    await call_api(bus, f"STREAM.UPDATE.{name}", config | {"discard": "old"})
    assert await asyncio.wait_for(waiting, 60) > 0
    assert log.available
    await log.close()


async def test_disk_that_is_full_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """A real file system at its end: a tmpfs of 20 MB in a mount namespace of its own."""
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:  # noqa: ASYNC221
        pytest.skip("this kernel gives no mount namespaces; the full stream above stands for the full disk")
    store = tmp_path / "store"
    store.mkdir()
    size = "size=20m"
    script = f'mount -t tmpfs -o {size} tmpfs "{store}" && exec "$0" "$@"'
    server = NatsServer(tmp_path, wrapper=[*namespace, "sh", "-c", script])
    server.start()
    bus = await asyncio.wait_for(open_bus(server.address, "test"), 10)
    counters = Counters()
    log = BlockLog(bus, SUBJECTS, counters, deadline_s=3, ack_timeout_s=0.5)
    await log.start()
    try:
        await ensure_streams(bus, SUBJECTS, 1, DAY_S, 1 << 30)
        futures = [log.append(0, n.to_bytes(4, "big") + random.randbytes(400_000)) for n in range(80)]
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        acked = {outcome for outcome in outcomes if isinstance(outcome, int)}
        assert 20 < len(acked) < 80
        assert counters.snapshot()["blocks_appended"] == len(acked)
        assert sum(n for name, n in counters.snapshot().items() if name.startswith("blocks_failed.")) == 80 - len(acked)
        assert not log.available
        assert "no space left on device" in server.log
        assert {sequence for sequence, _ in await read_all(bus)} >= acked
    finally:
        await log.close()
        await bus.close()
        server.kill()


async def test_append_fails_at_its_deadline_when_the_server_is_away(
    nats_server: NatsServer, bus: Client, counters: Counters
) -> None:
    await ensure_streams(bus, SUBJECTS, 1, DAY_S, 1 << 30)
    log = BlockLog(bus, SUBJECTS, counters, deadline_s=0.6, ack_timeout_s=0.3)
    await log.start()
    nats_server.kill()
    with pytest.raises(LogUnavailableError):
        await asyncio.wait_for(log.append(0, b"x"), 5)
    assert log.outstanding == 0
    nats_server.start()
    await log.close()
    closed = log.append(0, b"y")
    with pytest.raises(LogUnavailableError, match="closed"):
        await closed


async def test_a_block_on_its_way_when_the_leader_died_waits_no_longer_than_the_others(
    bus: Client, counters: Counters
) -> None:
    """Only the refusal of a later block tells that the leader is gone; the time-out of the first would never come."""
    log = BlockLog(bus, SUBJECTS, counters, deadline_s=600, ack_timeout_s=600)
    await log.start()
    swallowed = asyncio.Event()

    async def swallow(_: Msg) -> None:
        swallowed.set()

    leader = await bus.subscribe(SUBJECTS.blocks(0), cb=swallow)
    await bus.flush()
    first = log.append(0, b"first")
    await asyncio.wait_for(swallowed.wait(), 30)
    await leader.unsubscribe()
    await bus.flush()
    second = log.append(0, b"second, and longer")
    deadline = asyncio.get_running_loop().time() + 30
    while log.available:
        assert asyncio.get_running_loop().time() < deadline, "the second block was not refused"
        await asyncio.sleep(0.01)
    await ensure_streams(bus, SUBJECTS, 1, DAY_S, 1 << 30)
    assert sorted(await asyncio.wait_for(asyncio.gather(first, second), 30)) == [1, 2]
    assert {data for _, data in await read_all(bus)} == {b"first", b"second, and longer"}
    await log.close()


async def test_block_beyond_the_bound_of_the_server_fails_at_once(bus: Client, log: BlockLog) -> None:
    with pytest.raises(LogUnavailableError, match="too_large"):
        await asyncio.wait_for(log.append(0, bytes(17 * MIB)), 5)
    assert await log.append(0, bytes(9 * MIB)) == 1
    assert [len(data) for _, data in await read_all(bus)] == [9 * MIB]


async def test_wrong_token_is_refused(nats_server: NatsServer) -> None:
    for token in ("wrong", None):
        with pytest.raises(Error):
            await nats.connect(
                nats_server.address.servers[0], token=token, allow_reconnect=False, max_reconnect_attempts=0
            )
