"""Drivers and probes on a running node, with foreign MQTT clients as devices: one obeys, one only says so."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import paho.mqtt.client as paho
import pytest

from gongfu.bus.connection import BusAddress, open_bus
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node.drivers.builtin import DriverContext, drivers, probes
from gongfu.node.event_publisher import EventPublisher
from gongfu.node.runtime import Runtime
from gongfu.store.records.engine import open_records
from gongfu.tree.orders.plugins import DriverCall, DriverResult, ProbeCall, Seen
from gongfu.tree.orders.verification import Sight
from tests.fixtures.node import Node
from tests.fixtures.processes import wait_until

WAIT_S = 60.0


class Device:
    """A device that reports its set point twice a second; it takes commands at QoS 1 and answers all of them."""

    def __init__(self, node: Node, name: str, secret: str, *, obeys: bool) -> None:
        self.obeys = obeys
        self.value = 1.0
        self.commands: list[tuple[str, Any]] = []
        self._stop = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name)
        self._client.username_pw_set(name, secret)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("v1/devices/me/rpc/request/+", 1)
        self._client.on_message = self._commanded
        self._client.connect("127.0.0.1", node.mqtt_port)
        self._client.loop_start()
        self._thread = threading.Thread(target=self._report, daemon=True)
        self._thread.start()
        wait_until(self.is_connected, f"{name} is connected", WAIT_S)

    def is_connected(self) -> bool:
        return self._client.is_connected()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()

    def _commanded(self, client: paho.Client, _: object, message: paho.MQTTMessage) -> None:
        command = json.loads(message.payload)
        self.commands.append((message.topic, command))
        if self.obeys:
            self.value = command["params"]["value"]
        client.publish(message.topic.replace("request", "response"), '{"ok":true}', qos=1)

    def _report(self) -> None:
        while not self._stop.wait(0.5):
            if self._client.is_connected():
                self._client.publish("v1/devices/me/telemetry", json.dumps({"setpoint": self.value}), qos=1)


class Engine:
    """Calls drivers and probes as the order engine does."""

    def __init__(self, context: DriverContext) -> None:
        self.drivers = drivers(context)
        self.probes = probes(context)
        self._claims: dict[str, int] = {}

    async def run(self, kind: str, order: str, payload: dict[str, Any], *, rollback: bool = False) -> DriverResult:
        call = DriverCall(
            key=f"{order}/target" + ("/rollback" if rollback else ""),
            order=order,
            target="target",
            kind=kind,
            payload=msgspec.Raw(json.dumps(payload).encode()),
            attempt=1,
            rollback=rollback,
        )
        result = await self.drivers[kind].run(call)
        self._claims[order] = time.time_ns()
        return result

    def claim(self, order: str, at: int) -> None:
        """Let an order be claimed at a time."""
        self._claims[order] = at

    async def look(self, kind: str, order: str, payload: dict[str, Any], expected: Sight = Sight.PRESENT) -> Seen:
        call = ProbeCall(
            order=order,
            target="target",
            kind=kind,
            payload=msgspec.Raw(json.dumps(payload).encode()),
            expected=expected,
            claimed_at=self._claims.get(order, 0),
        )
        return await self.probes[kind].look(call)

    async def until(
        self, sight: Sight, kind: str, order: str, payload: dict[str, Any], expected: Sight = Sight.PRESENT
    ) -> Seen:
        """Look again and again until the probe sees what it should."""
        deadline = time.monotonic() + WAIT_S
        while True:
            seen = await self.look(kind, order, payload, expected)
            if seen.sight is sight:
                return seen
            assert time.monotonic() < deadline, f"saw {seen}, not {sight}"
            await asyncio.sleep(0.2)


@pytest.fixture(scope="module")
def secrets(running_node: Node) -> dict[str, str]:
    return {
        name: json.loads(running_node.cli("device", "add", name, "--asset", f"plant/{name}", "--json"))["secret"]
        for name in ("honest", "liar")
    }


@pytest.fixture
def honest(running_node: Node, secrets: dict[str, str]) -> Iterator[Device]:
    device = Device(running_node, "honest", secrets["honest"], obeys=True)
    yield device
    device.close()


@pytest.fixture
def liar(running_node: Node, secrets: dict[str, str]) -> Iterator[Device]:
    device = Device(running_node, "liar", secrets["liar"], obeys=False)
    yield device
    device.close()


@pytest.fixture
async def engine(running_node: Node) -> AsyncIterator[Engine]:
    runtime = msgspec.json.decode((running_node.data_dir / "run" / "runtime.json").read_bytes(), type=Runtime)
    subjects = Subjects(runtime.node)
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), "test")
    records = open_records(runtime.records_url)
    publisher = EventPublisher(bus, subjects, asyncio.get_running_loop())
    yield Engine(DriverContext(records, bus, runtime, subjects, SystemClock(), publisher.publish))
    await publisher.close()
    await bus.close()
    records.dispose()


async def test_a_device_is_shut_out_and_let_in_again(engine: Engine, honest: Device) -> None:
    payload = {"action": "block", "devices": ["honest"]}
    await engine.until(Sight.ABSENT, "device-block", "order-before", payload)
    assert (await engine.run("device-block", "order-0001", payload)).succeeded
    seen = await engine.until(Sight.PRESENT, "device-block", "order-0001", payload)
    assert seen.evidence == "no front door has a connection, and nothing arrived: honest"
    await asyncio.to_thread(wait_until, lambda: not honest.is_connected(), "the device noticed", WAIT_S)
    # It goes on trying; three seconds later it is still out, and no value came after the claim.
    await asyncio.sleep(3.0)
    assert (await engine.look("device-block", "order-0001", payload)).sight is Sight.PRESENT
    assert (await engine.run("device-block", "order-0001", payload, rollback=True)).succeeded
    seen = await engine.until(Sight.ABSENT, "device-block", "order-0001", payload, Sight.ABSENT)
    assert "honest connected from 127.0.0.1" in seen.evidence


async def test_a_block_without_effect_is_seen(engine: Engine, honest: Device) -> None:
    """A driver that only claims: the probe sees the connection, and the values."""
    payload = {"action": "block", "devices": ["honest"]}
    seen = await engine.until(Sight.ABSENT, "device-block", "order-claimed", payload)
    assert "honest connected" in seen.evidence
    reported = {"asset": "plant/honest", "point": "setpoint", "value": 1}
    await engine.until(Sight.PRESENT, "point-write", "order-none", reported)
    # Not connected any more, but values have come since the claim: whichever way, the block has no effect.
    honest.close()
    engine.claim("order-claimed", 1)
    deadline = time.monotonic() + WAIT_S
    while "connected" in seen.evidence and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        seen = await engine.until(Sight.ABSENT, "device-block", "order-claimed", payload)
    assert "asset arrived at" in seen.evidence


async def test_a_rule_is_verified_by_what_the_worker_runs(engine: Engine, running_node: Node) -> None:
    rule = {
        "name": "set point high",
        "kind": "threshold",
        "asset": "plant/*",
        "point": "setpoint",
        "condition": {"direction": "above", "limit": 1e9},
        "priority": "low",
    }
    assert (await engine.look("alarm-rule", "order-0001", rule)).sight is Sight.ABSENT
    assert (await engine.run("alarm-rule", "order-0001", rule)).succeeded
    await engine.until(Sight.PRESENT, "alarm-rule", "order-0001", rule)
    other = {**rule, "condition": {"direction": "above", "limit": 2e9}}
    assert (await engine.run("alarm-rule", "order-0002", other)).succeeded
    await engine.until(Sight.PRESENT, "alarm-rule", "order-0002", other)
    seen = await engine.look("alarm-rule", "order-0001", rule)
    assert seen.sight is Sight.ABSENT
    assert '"limit":2000000000.0' in seen.evidence
    assert (await engine.run("alarm-rule", "order-0002", other, rollback=True)).succeeded
    await engine.until(Sight.PRESENT, "alarm-rule", "order-0001", rule)
    assert (await engine.run("alarm-rule", "order-0001", rule, rollback=True)).succeeded
    seen = await engine.until(Sight.ABSENT, "alarm-rule", "order-0001", rule, Sight.ABSENT)
    assert "no rule of that name" in seen.evidence


async def test_a_set_point_is_verified_by_the_value_that_comes_back(engine: Engine, honest: Device) -> None:
    payload = {"asset": "plant/honest", "point": "setpoint", "value": 42.5, "tolerance": 0.1}
    first = await engine.run("point-write", "order-0001", payload)
    assert first.succeeded, first
    seen = await engine.until(Sight.PRESENT, "point-write", "order-0001", payload)
    assert "setpoint = 42.5" in seen.evidence
    # The same key again is the same request of the same number.
    assert await engine.run("point-write", "order-0001", payload) == first
    await asyncio.to_thread(wait_until, lambda: len(honest.commands) == 2, "the second command", WAIT_S)
    assert honest.commands[0] == honest.commands[1]
    assert honest.commands[0][1] == {
        "method": "writePoint",
        "params": {"asset": "plant/honest", "point": "setpoint", "value": 42.5},
    }


async def test_a_device_that_only_says_so_is_contradicted(engine: Engine, liar: Device) -> None:
    payload = {"asset": "plant/liar", "point": "setpoint", "value": 42.5}
    assert (await engine.run("point-write", "order-0001", payload)).succeeded
    await asyncio.to_thread(wait_until, lambda: bool(liar.commands), "the device has the command", WAIT_S)
    seen = await engine.until(Sight.ABSENT, "point-write", "order-0001", payload)
    assert "setpoint = 1.0" in seen.evidence
    assert "ordered 42.5" in seen.evidence


async def test_what_cannot_be_sent_or_seen_says_why(engine: Engine, liar: Device) -> None:
    nowhere = {"asset": "elsewhere", "point": "setpoint", "value": 1}
    done = await engine.run("point-write", "order-0009", nowhere)
    assert done == DriverResult(False, "neither elsewhere nor an asset above it has a device")
    assert (await engine.look("point-write", "order-0009", nowhere)).sight is Sight.UNKNOWN
    liar.close()
    payload = {"asset": "plant/liar/valve", "point": "setpoint", "value": 1}
    done = await engine.run("point-write", "order-0010", payload)
    assert done == DriverResult(False, "device liar is not subscribed to its requests")
    missing = {"action": "block", "devices": ["nobody"]}
    assert (await engine.look("device-block", "order-0011", missing)).sight is Sight.UNKNOWN
