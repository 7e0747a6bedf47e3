"""Stream snapshots against a real nats-server."""

import base64
import os
from pathlib import Path

import pytest

from gongfu.bus.blocklog import ensure_streams
from gongfu.bus.connection import open_bus
from gongfu.bus.jetstream import JetStreamError, call_api, stream_state
from gongfu.bus.snapshot import load_stream, save_stream, snapshot_file
from gongfu.kernel.subjects import Subjects
from tests.fixtures.nats import NatsServer

SUBJECTS = Subjects("t")


async def test_snapshot_keeps_messages_and_sequence_numbers(tmp_path: Path, nats_server: NatsServer) -> None:
    bus = await open_bus(nats_server.address, "test")
    try:
        await ensure_streams(bus, SUBJECTS, 1, 3600.0, 1_000_000_000)
        name = SUBJECTS.blocks_stream(0)
        blocks = [os.urandom(700_000) for _ in range(12)]
        for block in blocks:
            await bus.request(SUBJECTS.blocks(0), block, timeout=5)
        await call_api(bus, f"STREAM.PURGE.{name}", {"seq": 4})
        before = await stream_state(bus, name)
        file = snapshot_file(tmp_path, name)
        assert await save_stream(bus, name, file) == before
        with pytest.raises(JetStreamError):
            await load_stream(bus, name, file)
        await call_api(bus, f"STREAM.DELETE.{name}")
        after = await load_stream(bus, name, file)
        assert (after["first_seq"], after["last_seq"], after["messages"]) == (4, 12, 9)
        stored = await call_api(bus, f"STREAM.MSG.GET.{name}", {"seq": 5})
        assert base64.b64decode(stored["message"]["data"]) == blocks[4]
        await bus.request(SUBJECTS.blocks(0), b"next", timeout=5)
        assert (await stream_state(bus, name))["last_seq"] == 13
    finally:
        await bus.close()


async def test_snapshot_of_an_absent_stream_and_a_damaged_file_are_errors(
    tmp_path: Path, nats_server: NatsServer
) -> None:
    bus = await open_bus(nats_server.address, "test")
    try:
        with pytest.raises(JetStreamError):
            await save_stream(bus, "absent", tmp_path / "absent.snapshot")
        await ensure_streams(bus, SUBJECTS, 1, 3600.0, 1_000_000_000)
        name = SUBJECTS.blocks_stream(0)
        await bus.request(SUBJECTS.blocks(0), os.urandom(100_000), timeout=5)
        file = snapshot_file(tmp_path, name)
        await save_stream(bus, name, file)
        await call_api(bus, f"STREAM.DELETE.{name}")
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(content)
        with pytest.raises(JetStreamError):
            await load_stream(bus, name, file)
    finally:
        await bus.close()
