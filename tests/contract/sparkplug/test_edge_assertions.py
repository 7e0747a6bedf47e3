"""What the edge node role sends, message by message, against the assertions of the specification that it must keep.

One session is recorded: CONNECT, births, data, a rebirth, an orderly end. Each check names its assertion ids; the table
of all ids is in ``assertions.py``.
"""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from gongfu.connect.sparkplug.edge.progress import ProgressFile
from gongfu.connect.sparkplug.edge.publisher import EdgePublisher, EdgeSettings
from gongfu.connect.sparkplug.edge.source import EdgeSource
from gongfu.ingest.columnise.sparkplug_schema import Payload
from gongfu.ingest.mqtt.codec.decoding import decode
from gongfu.ingest.mqtt.codec.encoding import encode
from gongfu.ingest.mqtt.codec.packets import MQTT_3_1_1, Connack, Connect, Publish, Suback, Subscribe
from gongfu.ingest.mqtt.codec.splitter import Splitter
from gongfu.ingest.sparkplug.commands import rebirth_payload
from gongfu.kernel.counters import Counters
from tests.contract.sparkplug.conftest import PATIENCE_S
from tests.contract.sparkplug.recorder import Recorded
from tests.fixtures.telemetry import Settings, make_registry, open_telemetry

GROUP, NODE = "省级", "site 1"


@dataclass
class Transcript:
    """Everything one session sent, in order."""

    connect: Connect
    subscribed: list[str]
    messages: list[Recorded]
    subscribed_before: int

    def of(self, *kinds: str) -> list[Recorded]:
        return [one for one in self.messages if one.kind in kinds]

    @property
    def will(self) -> Any:
        assert self.connect.will is not None
        return Payload.FromString(self.connect.will.payload)


class Server:
    """A server of one client that takes everything and remembers it."""

    def __init__(self) -> None:
        self.transcript = Transcript(Connect(MQTT_3_1_1, ""), [], [], -1)
        self.writer: asyncio.StreamWriter | None = None
        self.changed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        splitter = Splitter(1 << 20)
        found = self.transcript
        while data := await reader.read(65536):
            for first, body in splitter.feed(data):
                packet = decode(first, body, MQTT_3_1_1)
                if isinstance(packet, Connect):
                    found.connect = packet
                    writer.write(encode(Connack(False, 0), MQTT_3_1_1))
                elif isinstance(packet, Subscribe):
                    found.subscribed += [request.topic_filter for request in packet.requests]
                    writer.write(encode(Suback(packet.packet_id, [1]), MQTT_3_1_1))
                elif isinstance(packet, Publish):
                    if found.subscribed_before < 0:
                        found.subscribed_before = len(found.subscribed)
                    payload = Payload.FromString(packet.payload)
                    found.messages.append(Recorded(packet.topic, payload, packet.qos, packet.retain))
                self.changed.set()
        writer.close()

    async def until(self, condition: Callable[[Transcript], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition(self.transcript):
                self.changed.clear()
                await self.changed.wait()

    def send(self, topic: str, payload: bytes) -> None:
        assert self.writer is not None
        self.writer.write(encode(Publish(topic, payload, 0), MQTT_3_1_1))


async def record(bus: Client, directory: Path) -> Transcript:
    """Run one session of the edge node: birth, data of known and new points, rebirth, end."""
    registry = make_registry(f"sqlite:///{directory / 'site.db'}")
    site = await open_telemetry(bus, registry, Settings(), "site")
    await site.send(json.dumps({"温度": 21.5, "on": True}))
    await site.send(json.dumps({"other": 1.0}), writer=site.writers[1])
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    publisher = EdgePublisher(
        EdgeSettings(f"mqtt://127.0.0.1:{port}", GROUP, NODE, publish_seconds=0.01),
        EdgeSource(bus, site.subjects, site.engine, 1),
        ProgressFile(directory / "edge.json"),
        Counters(),
    )
    task = asyncio.create_task(publisher.run())
    await server.until(lambda found: len(found.of("DBIRTH")) == 2)
    await site.send(json.dumps({"温度": 22.5}))
    await server.until(lambda found: len(found.of("DDATA")) == 1)
    await site.send(json.dumps({"新": 1.0}))
    await server.until(lambda found: len(found.of("DDATA")) == 2)
    server.send(f"spBv1.0/{GROUP}/NCMD/{NODE}", rebirth_payload(1))
    await server.until(lambda found: len(found.of("NBIRTH")) == 2 and len(found.of("DBIRTH")) == 5)
    await site.send(json.dumps({"温度": 23.5}), writer=site.writers[1])
    await server.until(lambda found: len(found.of("DDATA")) == 3)
    publisher.stop()
    await asyncio.wait_for(task, PATIENCE_S)
    await server.until(lambda found: bool(found.of("NDEATH")))
    listening.close()
    await site.columniser.close()
    registry[0].dispose()
    return server.transcript


def topics(t: Transcript) -> None:
    for one in t.messages:
        levels = one.topic.split("/")
        assert levels[0] == "spBv1.0"
        assert (levels[1], levels[3]) == (GROUP, NODE)
        assert len(levels) == (5 if one.kind.startswith("D") else 4)
        assert not any(set("+#") & set(level) for level in levels)


def qos_and_retain(t: Transcript) -> None:
    assert all((one.qos, one.retain) == (0, False) for one in t.messages)


def sequences(t: Transcript) -> None:
    expected = 0
    for one in t.of("NBIRTH", "DBIRTH", "DDATA"):
        expected = 0 if one.kind == "NBIRTH" else expected
        assert one.payload.HasField("seq")
        assert one.payload.seq == expected
        expected += 1
    assert not any(one.payload.HasField("seq") for one in t.of("NDEATH"))


def times(t: Transcript) -> None:
    for one in t.messages:
        assert abs(one.payload.timestamp - time.time() * 1000) < 600_000
        assert one.payload.timestamp > 1_600_000_000_000
        assert all(metric.timestamp > 1_600_000_000_000 for metric in one.payload.metrics)


def order(t: Transcript) -> None:
    kinds = [one.kind for one in t.messages]
    assert kinds[:3] == ["NBIRTH", "DBIRTH", "DBIRTH"]
    again = kinds.index("NBIRTH", 1)
    assert kinds[again : again + 3] == ["NBIRTH", "DBIRTH", "DBIRTH"]
    assert kinds[-1] == "NDEATH"
    born: set[str] = set()
    for one in t.messages:
        device = one.topic.rpartition("/")[2]
        if one.kind == "NBIRTH":
            born.clear()
        elif one.kind == "DBIRTH":
            born.add(device)
        elif one.kind == "DDATA":
            assert device in born


def births(t: Transcript) -> None:
    for one in t.of("NBIRTH"):
        assert one.metric("bdSeq").datatype == 4
        control = one.metric("Node Control/Rebirth")
        assert (control.datatype, control.boolean_value, control.HasField("alias")) == (11, False, False)
    for one in t.of("NBIRTH", "DBIRTH"):
        for metric in one.payload.metrics:
            assert metric.name
            assert metric.datatype
            assert metric.is_null or metric.WhichOneof("value")
    assert len({one.topic for one in t.of("DBIRTH")}) == 2


def birth_sequence(t: Transcript) -> None:
    (will,) = t.will.metrics
    numbers = {one.metric("bdSeq").long_value for one in t.of("NBIRTH", "NDEATH")}
    assert numbers == {will.long_value}


def will(t: Transcript) -> None:
    given = t.connect.will
    assert given is not None
    assert (given.topic, given.qos, given.retain) == (f"spBv1.0/{GROUP}/NDEATH/{NODE}", 1, False)
    assert [metric.name for metric in t.will.metrics] == ["bdSeq"]
    assert not t.will.HasField("seq")
    assert t.connect.clean_start


def subscriptions(t: Transcript) -> None:
    assert f"spBv1.0/{GROUP}/NCMD/{NODE}" in t.subscribed
    assert f"spBv1.0/{GROUP}/DCMD/{NODE}/#" in t.subscribed
    assert t.subscribed_before == len(t.subscribed)


def aliases(t: Transcript) -> None:
    known: dict[int, tuple[str, str]] = {}
    for one in t.of("DBIRTH"):
        for metric in one.payload.metrics:
            key = (one.topic, metric.name)
            assert known.setdefault(metric.alias, key) == key
    for one in t.of("DDATA"):
        for metric in one.payload.metrics:
            assert metric.alias in known
            assert not metric.HasField("name")
            assert not metric.HasField("datatype")


def properties(t: Transcript) -> None:
    seen = 0
    for one in t.messages:
        for metric in one.payload.metrics:
            keys, values = metric.properties.keys, metric.properties.values
            assert len(keys) == len(values)
            for key, value in zip(keys, values, strict=True):
                seen += 1
                assert value.type
                assert value.WhichOneof("value") or value.is_null
                if key == "Quality":
                    assert (value.type, value.int_value in (0, 192, 500)) == (3, True)
    assert seen


def change(t: Transcript) -> None:
    data = [(metric.alias, metric.double_value) for one in t.of("DDATA") for metric in one.payload.metrics]
    assert len(data) == len(set(data)) == 3
    # A new point of an asset: its DBIRTH comes again before the data, with all its points.
    repeated = [one for one in t.of("DBIRTH") if one.topic == t.of("DBIRTH")[0].topic]
    assert [len(one.payload.metrics) for one in repeated] == [2, 3, 3]


CHECKS: list[Callable[[Transcript], None]] = [
    topics, qos_and_retain, sequences, times, order, births, birth_sequence, will, subscriptions, aliases, properties,
    change,
]  # fmt: skip


@pytest.fixture
async def transcript(bus: Client, tmp_path: Path) -> Transcript:
    """One session of the edge node."""
    return await record(bus, tmp_path)


async def test_every_check_holds_for_a_session_of_the_edge_node(transcript: Transcript) -> None:
    failed: dict[str, AssertionError] = {}
    for check in CHECKS:
        try:
            check(transcript)
        except AssertionError as error:
            failed[check.__name__] = error
    assert not failed
