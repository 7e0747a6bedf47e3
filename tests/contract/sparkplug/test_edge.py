"""This node as an edge node: what it publishes to the host of another node, over a real front door."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from gongfu.connect.sparkplug.edge.messages import EdgeMessages, Metric, Sample, asset_of, device_id, wants_rebirth
from gongfu.connect.sparkplug.edge.progress import ProgressFile
from gongfu.connect.sparkplug.edge.publisher import EdgePublisher, EdgeSettings
from gongfu.connect.sparkplug.edge.source import EdgeSource
from gongfu.ingest.columnise.sparkplug_schema import Payload
from gongfu.ingest.sparkplug.commands import rebirth_payload
from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import Quality
from gongfu.node.sparkplug_settings import SparkplugEdgeSettings
from tests.contract.sparkplug.conftest import PATIENCE_S, SECRET, HostDoor, make_runtime, start_role
from tests.contract.sparkplug.recorder import Recorder
from tests.fixtures.nats import NatsServer
from tests.fixtures.telemetry import NOW, Settings, Telemetry, make_registry, open_telemetry

HOST = "主机-1"


@pytest.fixture
async def site(bus: Client, tmp_path: Path) -> AsyncIterator[Telemetry]:
    """The site below: a columniser and a registry of its own on another name of the bus."""
    registry = make_registry(f"sqlite:///{tmp_path / 'site.db'}")
    setup = await open_telemetry(bus, registry, Settings(), "site")
    setup.columniser._future = 10**18  # pyright: ignore[reportPrivateUsage]
    yield setup
    await setup.columniser.close()
    registry[0].dispose()


class Running:
    """An edge publisher that runs."""

    def __init__(self, site: Telemetry, door: HostDoor, directory: Path, **settings: Any) -> None:
        self.counters = Counters()
        self.publisher = EdgePublisher(
            EdgeSettings(
                f"mqtt://127.0.0.1:{door.port}",
                "省/级".replace("/", "·"),
                "site 1",
                user="machine",
                password=SECRET,
                publish_seconds=0.05,
                **settings,
            ),
            EdgeSource(site.bus, site.subjects, site.engine, 1),
            ProgressFile(directory / "edge.json"),
            self.counters,
        )
        self.task = asyncio.create_task(self.publisher.run())

    async def stop(self) -> None:
        self.publisher.stop()
        await asyncio.wait_for(self.task, PATIENCE_S)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


async def test_the_edge_node_role_end_to_end(door: HostDoor, site: Telemetry, tmp_path: Path) -> None:
    recorder = await Recorder.open(door)
    await site.send(json.dumps({"温度": 21.5, "on": True, "n": 2**60, "text": "x"}))
    running = Running(site, door, tmp_path, primary_host=HOST)
    births = await recorder.until(lambda found: any("DBIRTH" in one.topic for one in found))
    node = next(one for one in births if "NBIRTH" in one.topic)
    assert node.metric("bdSeq").long_value == 0
    await until(lambda: running.publisher.state == "online")
    # Data by change, of points that were there and of new ones.
    await site.send(json.dumps({"温度": 22.5, "new": 1.0}))
    await site.send(json.dumps({"温度": 22.5}))
    await site.send(json.dumps({"values": {"温度": 23.5}, "quality": "bad"}))
    key = ("machine/省·级/site 1/a1", "温度")
    values = await door.until_stored(key, (Quality.BAD, 23.5), nulls=False)
    assert values == [(0, 22.5), (Quality.BAD, 23.5)] or values[-2:] == [(0, 22.5), (Quality.BAD, 23.5)]
    assert running.counters.snapshot()["edge.unchanged"] >= 1
    # A rebirth begins the sequence anew.
    before = len(recorder.messages)
    await recorder.publish("spBv1.0/省·级/NCMD/site 1", rebirth_payload(NOW // 1_000_000))
    await recorder.until(lambda found: sum("NBIRTH" in one.topic for one in found[before:]) == 1)
    # The end in order: the death is published, and the next session has the next bdSeq.
    await running.stop()
    await recorder.until(lambda found: "NDEATH" in found[-1].topic)
    assert recorder.messages[-1].metric("bdSeq").long_value == 0
    running = Running(site, door, tmp_path, primary_host=HOST)
    await recorder.until(lambda found: "NBIRTH" in found[-1].topic or "DBIRTH" in found[-1].topic)
    assert [one.metric("bdSeq").long_value for one in recorder.messages if "NBIRTH" in one.topic] == [0, 0, 1]
    await running.stop()
    recorder.check_sequences()
    await recorder.close()


async def test_data_waits_while_the_primary_host_is_offline(door: HostDoor, site: Telemetry, tmp_path: Path) -> None:
    recorder = await Recorder.open(door)
    await site.send(json.dumps({"t": 1.0}))

    async def state(online: bool, timestamp: int) -> None:
        body = json.dumps({"online": online, "timestamp": timestamp}).encode()
        await recorder.publish("spBv1.0/STATE/main", body, retain=True)

    await state(False, 10)
    running = Running(site, door, tmp_path, primary_host="main")
    await until(lambda: running.publisher.state == "waiting for the primary host")
    assert not recorder.messages
    await state(True, 9)  # older than the last: counts for nothing
    await state(True, 11)
    await recorder.until(lambda found: any("DBIRTH" in one.topic for one in found))
    await state(False, 12)
    await recorder.until(lambda found: "NDEATH" in found[-1].topic)
    before = len(recorder.messages)
    for value in (2.0, 3.0):
        await site.send(json.dumps({"t": value}))
    await asyncio.sleep(0.3)
    assert len(recorder.messages) == before
    await state(True, 13)
    found = await recorder.until(lambda found: sum("DDATA" in one.topic for one in found[before:]) >= 1)
    late = [metric for one in found[before:] if "DDATA" in one.topic for metric in one.payload.metrics]
    assert [metric.double_value for metric in late] == [2.0, 3.0]
    assert all(metric.is_historical for metric in late)
    await running.stop()
    recorder.check_sequences()
    await recorder.close()


async def test_the_role_as_the_supervisor_runs_it(door: HostDoor, nats_server: NatsServer, tmp_path: Path) -> None:
    """Born when it starts, dead when it is told to stop; its next life has the next bdSeq."""
    recorder = await Recorder.open(door)
    url = f"mqtt://127.0.0.1:{door.port}"
    edge = SparkplugEdgeSettings(url=url, user="machine", password=SECRET, primary_host=HOST, assets=("none",))
    runtime = make_runtime(tmp_path, nats_server, door.port, sparkplug_edge=edge)
    for life in range(2):
        process = start_role(tmp_path, runtime, "gongfu.node.roles.sparkplug_edge", "sparkplug-edge")
        await recorder.until(lambda found, n=life: [one.kind for one in found].count("NBIRTH") == n + 1)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, PATIENCE_S) == 0
        await recorder.until(lambda found: found[-1].kind == "NDEATH")
    assert [(one.kind, one.metric("bdSeq").long_value) for one in recorder.messages] == [
        ("NBIRTH", 0),
        ("NDEATH", 0),
        ("NBIRTH", 1),
        ("NDEATH", 1),
    ]
    assert recorder.messages[0].topic == "spBv1.0/gongfu/NBIRTH/test"
    await recorder.close()


def test_ids_of_devices_are_one_level_and_come_back() -> None:
    for path in ("a", "line 2/泵 #1", "50%/+", "a%2Fb"):
        assert "/" not in device_id(path)
        assert asset_of(device_id(path)) == path
    assert device_id("a/b") != device_id("a%2Fb")


def test_names_differ_by_more_than_their_case() -> None:
    points = [("Pump", "Temp"), ("Pump", "temp"), ("pump", "temp"), ("Pump", "TEMP"), ("Pump", "Temp (2)"), ("泵", "ß")]
    metrics = [Metric(n, asset, name, ValueType.DOUBLE) for n, (asset, name) in enumerate(points, 1)]

    def published(edge: EdgeMessages) -> dict[int, tuple[str, str]]:
        found: dict[int, tuple[str, str]] = {}
        for asset in edge.assets:
            birth = edge.device_birth(asset, {}, NOW)
            device = birth.topic.split("/")[4]
            found |= {m.alias: (device, m.name) for m in Payload.FromString(birth.payload).metrics}
        return found

    edge = EdgeMessages("g", "n", metrics)
    first = published(edge)
    assert first[1] == ("Pump", "Temp")  # the one that was there first keeps its name
    devices = {device for device, _ in first.values()}
    assert len({device.lower() for device in devices}) == len(devices) == 3
    assert len({(device, name.lower()) for device, name in first.values()}) == len(points)
    # The same after a restart, in whatever order they are read, and data goes where the birth was.
    assert published(EdgeMessages("g", "n", metrics[::-1])) == first
    (message,) = edge.data([Sample(3, NOW, Quality.GOOD, 1.0)], 0, NOW)
    assert message.topic.split("/")[4] == first[3][0]
    edge.add([Metric(9, "PUMP", "x", ValueType.DOUBLE)])
    assert {alias: name for alias, name in published(edge).items() if alias != 9} == first


def test_messages_have_what_the_specification_asks_for() -> None:
    metrics = [
        Metric(1, "a", "x", ValueType.DOUBLE, "Cel"),
        Metric(2, "a", "n", ValueType.INT64),
        Metric(3, "b", "s", ValueType.STRING),
        Metric(4, "b", "flag", ValueType.BOOLEAN),
    ]
    edge = EdgeMessages("g", "n", metrics)
    now = NOW
    latest = {1: Sample(1, now - 10**9, Quality.GOOD, 1.5), 2: Sample(2, now, Quality.BAD_STALE, -(2**63))}
    birth = Payload.FromString(edge.node_birth(7, now).payload)
    assert (birth.seq, birth.timestamp) == (0, now // 10**6)
    first = Payload.FromString(edge.device_birth("a", latest, now).payload)
    assert [(m.name, m.alias, m.datatype) for m in first.metrics] == [("x", 1, 10), ("n", 2, 4)]
    assert (
        dict(zip(first.metrics[0].properties.keys, first.metrics[0].properties.values, strict=True))[
            "engUnit"
        ].string_value
        == "Cel"
    )
    assert first.metrics[1].long_value == 2**63
    assert first.metrics[1].properties.values[0].int_value == 500
    second = Payload.FromString(edge.device_birth("b", latest, now).payload)
    assert [metric.is_null for metric in second.metrics] == [True, True]
    data = [
        Payload.FromString(one.payload)
        for one in edge.data([Sample(4, now, 0, True), Sample(1, now - 1, 0, 2.0)], now, now)
    ]
    assert [one.seq for one in (first, second, *data)] == [1, 2, 3, 4]
    assert [(m.name, m.alias, m.HasField("datatype"), m.is_historical) for one in data for m in one.metrics] == [
        ("", 4, False, False),
        ("", 1, False, True),
    ]
    death = Payload.FromString(edge.death(7, now).payload)
    assert (death.HasField("seq"), death.metrics[0].name, death.metrics[0].long_value) == (False, "bdSeq", 7)
    gone = edge.device_death("a", now)
    assert gone.topic == "spBv1.0/g/DDEATH/n/a"
    assert Payload.FromString(gone.payload).seq == 5
    assert not edge.knows(1)
    for _ in range(600):
        edge.device_birth("b", latest, now)
    assert Payload.FromString(edge.device_birth("b", latest, now).payload).seq == (6 + 600) % 256
    assert wants_rebirth(rebirth_payload(1))
    assert not wants_rebirth(b"\xff")


def test_progress_survives_a_restart_and_damage(tmp_path: Path) -> None:
    path = tmp_path / "edge.json"
    file = ProgressFile(path)
    assert [file.next_birth() for _ in range(257)] == [*range(256), 0]
    file.progress.positions[3] = 99
    file.save()
    again = ProgressFile(path)
    assert (again.next_birth(), again.progress.positions) == (1, {3: 99})
    path.write_bytes(b"{")
    assert ProgressFile(path).next_birth() == 0
    assert path.with_suffix(".damaged").exists()
