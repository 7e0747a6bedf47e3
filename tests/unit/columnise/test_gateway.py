"""Gateway payloads read together: when they are, when their routes end, and what their receipts say."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine

from gongfu.ingest.columnise import gateway
from gongfu.ingest.columnise.columniser import Columniser
from gongfu.ingest.columnise.gateway import GatewayReader, Reading
from gongfu.ingest.types import Form, Receipt, Writer
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.registry.tables import asset, point
from tests.fixtures.telemetry import NOW, FixedClock, Settings, points_of, registry
from tests.unit.columnise.memory_log import MemoryLog

T = NOW // 10**6
__all__ = ["registry"]


@dataclass
class Door:
    """A columniser on a log in memory; ``read`` has how many payloads were read together."""

    columniser: Columniser
    log: MemoryLog
    writers: list[Writer]
    engine: Engine
    read: list[bool]

    async def send(self, *documents: Any, device: int = 0) -> list[Receipt]:
        """Submit documents in one turn and return their receipts."""
        waiting: list[asyncio.Future[Receipt]] = []
        for document in documents:
            settled = asyncio.get_running_loop().create_future()
            data = json.dumps(document).encode()
            self.columniser.submit(self.writers[device], Form.JSON_GATEWAY, data, NOW, settled.set_result)
            waiting.append(settled)
        return [await asyncio.wait_for(settled, 60) for settled in waiting]

    def stored(self) -> list[tuple[str, str, int, float]]:
        """Return (asset, point, time in ms, value) in the order of the log."""
        names = {series.series: key for key, series in points_of(self.engine).items()}
        return [
            (*names.get(int(series), ("", "")), int(time) // 10**6, float(value))
            for block in self.log.blocks
            for columns in block.columns.values()
            for series, time, value in zip(columns.series, columns.times, columns.values, strict=True)
        ]


def made(registry: tuple[Engine, list[Writer]], monkeypatch: pytest.MonkeyPatch, partitions: int) -> Door:
    engine, writers = registry
    log, read = MemoryLog(), list[bool]()
    limits, counters = Settings(partitions=partitions), Counters()
    columniser = Columniser(None, Subjects("test"), engine, limits, counters, FixedClock(), log=log)  # type: ignore[arg-type]
    original = GatewayReader.read

    def spy(self: GatewayReader, *given: Any) -> Reading | None:
        found = original(self, *given)
        read.append(found is not None)
        return found

    monkeypatch.setattr(GatewayReader, "read", spy)
    return Door(columniser, log, writers, engine, read)


@pytest.fixture
async def door(registry: tuple[Engine, list[Writer]], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    door = made(registry, monkeypatch, 1)
    yield door
    door.columniser._executor.shutdown()


def message(n: float = 1.0, *, ts: int = T, children: tuple[str, ...] = ("k", "l/m")) -> dict[str, Any]:
    return {child: [{"ts": ts, "values": {"a": n, "b": n + 1}}] for child in children}


async def test_from_the_second_message_on_they_are_read_together(door: Door) -> None:
    for n in range(4):
        assert await door.send(message(n, ts=T + n)) == [Receipt(4)]
    assert door.read == [False, True, True, True]
    assert await door.send(message(4, ts=T + 4), message(5, ts=T + 5)) == [Receipt(4)] * 2
    assert len(door.log.blocks) == 5
    rows = [
        (path, name, T + n, n + at) for n in range(6) for path in ("a1/k", "a1/l/m") for at, name in enumerate("ab")
    ]
    assert door.stored() == rows


async def test_a_route_ends_when_an_asset_has_moved(door: Door) -> None:
    for n in range(3):
        await door.send(message(n))
    with door.engine.begin() as connection:
        connection.execute(asset.update().where(asset.c.path == "a1/k").values(path="a1/moved"))
    door.columniser._catalogue.forget()
    assert await door.send(message(9)) == [Receipt(4)]
    assert door.read[-1] is False
    # The gateway still says "k": that is a new asset now.
    assert door.stored()[-4:-2] == [("a1/k", "a", T, 9.0), ("a1/k", "b", T, 10.0)]


async def test_a_route_ends_when_its_points_were_deleted(door: Door) -> None:
    for n in range(3):
        await door.send(message(n))
    before = points_of(door.engine)["a1/k", "a"]
    with door.engine.begin() as connection:
        connection.execute(point.delete().where(point.c.id == before.series))
    door.columniser._catalogue.forget()
    assert await door.send(message(9)) == [Receipt(4)]
    assert points_of(door.engine)["a1/k", "a"].series != before.series
    assert door.stored()[-4] == ("a1/k", "a", T, 9.0)


async def test_names_with_separators_are_not_taken_for_several_names(door: Door) -> None:
    for n in range(3):
        await door.send(message(n))
    odd = {"k\0l/m": [{"ts": T, "values": {"a": 1, "b": 2}}, {"ts": T, "values": {"a": 1, "b": 2}}]}
    assert await door.send(odd) == [
        Receipt(0, {"name_invalid": 4}, {}, "asset 'k\\x00l/m': name has control characters")
    ]
    odd = {"k": [{"ts": T, "values": {"a\0b": 1}}], "l/m": [{"ts": T, "values": {"a": 1, "b": 2}}]}
    (receipt,) = await door.send(odd)
    assert receipt.accepted == 2
    assert receipt.rejected == {"name_invalid": 1}


async def test_what_a_gateway_sends_after_a_refused_message_stays_behind_it(door: Door) -> None:
    for n in range(3):
        await door.send(message(n))
    receipts = await door.send(message(1), message(2.0**60), message(3))
    assert [receipt.accepted for receipt in receipts] == [4, 4, 4]
    assert [row[3] for row in door.stored() if row[1] == "a"][-6:] == [1.0, 1.0, 2.0**60, 2.0**60, 3.0, 3.0]


async def test_after_another_form_a_gateway_is_tried_seldom(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []
    original = gateway._decode

    def spy(payload: bytes) -> Any:
        decoded.append(payload)
        return original(payload)

    monkeypatch.setattr(gateway, "_decode", spy)
    for _ in range(20):
        await door.send({"k": [{"ts": T, "values": {"a": 1, "text": "on"}}], "l/m": [{"ts": T, "values": {"b": 2}}]})
    assert len(decoded) == 5
    for n in range(40):
        await door.send(message(n))
    # It is left alone for 16 messages, makes its points with the first of them, and is read again as before.
    assert door.read[20:] == [False] * 16 + [True] * 24


async def test_messages_with_the_same_names_everywhere_are_decoded_into_fields(door: Door) -> None:
    for n in range(3):
        await door.send(message(n))
    assert list(door.columniser._gateways._expected) == [door.writers[0].asset]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateway, "_decode", None)
        assert await door.send(message(3)) == [Receipt(4)]
        # Names in another order are the same names.
        swapped = {"k": [{"values": {"b": 5, "a": 4}, "ts": T}], "l/m": [{"ts": T, "values": {"b": 5, "a": 4}}]}
        assert await door.send(swapped) == [Receipt(4)]
    assert door.stored()[-4:] == [
        ("a1/k", "a", T, 4.0), ("a1/k", "b", T, 5.0), ("a1/l/m", "a", T, 4.0), ("a1/l/m", "b", T, 5.0),
    ]  # fmt: skip
    # Other names, or children in a message that is new: read with names again, and still together.
    assert await door.send({"k": [{"ts": T, "values": {"b": 7}}]}) == [Receipt(1)]
    assert door.read[-1] is True
    assert door.stored()[-1] == ("a1/k", "b", T, 7.0)


@pytest.mark.parametrize("form", ["careful", "of a known layout"])
async def test_a_device_does_not_wait_for_what_is_gathered_of_gateways(door: Door, form: str) -> None:
    columniser, device = door.columniser, door.writers[1]
    for n in range(3):
        await door.send(message(n))

    def submit(n: int) -> "asyncio.Future[Receipt]":
        settled = asyncio.get_running_loop().create_future()
        columniser.submit(device, Form.JSON, json.dumps({"a": 1.5 + n}).encode(), NOW, settled.set_result)
        return settled

    if form != "careful":
        for n in range(4):
            await asyncio.wait_for(submit(n), 60)
    columniser._accumulator.pace.gateway_s = 3600.0
    waiting = asyncio.ensure_future(door.send(message(3)))
    blocks = len(door.log.blocks)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.1)
    assert len(door.log.blocks) == blocks
    assert await asyncio.wait_for(submit(9), 60) == Receipt(1)
    assert await asyncio.wait_for(waiting, 60) == [Receipt(4)]
    assert len(door.log.blocks) <= blocks + 2


async def test_a_message_in_several_blocks_has_one_receipt(
    registry: tuple[Engine, list[Writer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    door = made(registry, monkeypatch, 3)
    children = tuple(f"k{n}" for n in range(8))
    for n in range(3):
        assert await door.send(message(n, children=children)) == [Receipt(16)]
    assert door.read == [False, True, True]
    assert len(door.log.blocks) > 3
    values = [row[3] for row in sorted(door.stored(), key=lambda row: (row[1], row[3]))]
    assert values == [float(n + at) for at in range(2) for n in range(3) for _ in children]
    door.log.hold = True
    settled = asyncio.get_running_loop().create_future()
    data = json.dumps(message(9, children=children)).encode()
    door.columniser.submit(door.writers[0], Form.JSON_GATEWAY, data, NOW, settled.set_result)
    door.columniser._batch.flush()
    drained = asyncio.create_task(door.columniser._accumulator.drain())
    await asyncio.sleep(0)
    assert len(door.log.waiting) > 1
    block, future = door.log.waiting.pop()
    future.set_result(1)
    door.log.release(fail=True)
    receipt = await asyncio.wait_for(settled, 60)
    assert (receipt.accepted, receipt.shed) == (len(block), {"log_unavailable": 16 - len(block)})
    await drained
    door.columniser._executor.shutdown()
