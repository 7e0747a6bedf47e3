"""Drivers against the records: what they write, once and again, and what is left when it is taken back."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client
from sqlalchemy import Engine

from gongfu.kernel.permissions import NODE_TENANT, Role, Subject
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node.drivers import standing
from gongfu.node.drivers.alarm_rule import AlarmRuleDriver
from gongfu.node.drivers.bounded import BoundedDriver
from gongfu.node.drivers.context import DriverContext
from gongfu.node.drivers.device_block import DeviceBlockDriver
from gongfu.node.drivers.notice import NoticeProbe
from gongfu.node.runtime import MqttSettings, Runtime, TelemetrySettings, WebSettings
from gongfu.reason.rules import records as rule_records
from gongfu.registry import audit
from gongfu.registry.devices import DevicePatch, NewDevice
from gongfu.registry.service import Registry, open_registry
from gongfu.registry.users import NewUser, ensure_first_admin
from gongfu.store.records.engine import reading, writing
from gongfu.tree.orders.plugins import Driver, DriverCall, DriverResult, ProbeCall
from gongfu.tree.orders.verification import Sight

KEY = bytes(range(32))
ADMIN = Subject(1, "admin", NODE_TENANT, Role.ADMIN)
RULE = {
    "name": "pressure high",
    "kind": "threshold",
    "asset": "plant/**",
    "point": "pressure",
    "condition": {"direction": "above", "limit": 8.0},
    "priority": "high",
    "message": "",
}


@dataclass
class Plant:
    registry: Registry
    engine: Engine
    context: DriverContext
    published: list[tuple[str, Any]] = field(default_factory=list)
    ids: dict[str, int] = field(default_factory=dict)

    def enabled(self, name: str) -> bool:
        return self.registry.devices.get(ADMIN, self.ids[name]).enabled

    def rule(self, name: str = "order: pressure high") -> Any:
        with reading(self.engine) as connection:
            return rule_records.named(connection, NODE_TENANT, name)


@pytest.fixture
def plant(records: Engine, tmp_path: Path) -> Plant:
    ensure_first_admin(records, clock=SystemClock())
    published: list[tuple[str, Any]] = []
    runtime = Runtime(
        node="test",
        data_dir=str(tmp_path),
        nats_servers=[],
        nats_token="",
        history_url="",
        history_user="",
        history_password="",
        records_url="",
        mqtt=MqttSettings(),
        web=WebSettings(),
        telemetry=TelemetrySettings(),
    )
    context = DriverContext(
        records,
        Client(),
        runtime,
        Subjects("test"),
        SystemClock(),
        lambda kind, document: published.append((kind, document)),
    )
    made = Plant(open_registry(records, KEY), records, context, published)
    for name in ("pump-1", "pump-2", "fan-1"):
        made.ids[name] = made.registry.devices.create(ADMIN, NewDevice(name)).device.id
    return made


def call(order: str, kind: str, payload: object, attempt: int = 1, rollback: bool = False) -> DriverCall:
    key = f"{order}/target" + ("/rollback" if rollback else "")
    raw = msgspec.Raw(msgspec.json.encode(payload))
    return DriverCall(key=key, order=order, target="target", kind=kind, payload=raw, attempt=attempt, rollback=rollback)


async def block(driver: Driver, order: str, *devices: str, action: str = "block", **options: Any) -> DriverResult:
    return await driver.run(call(order, "device-block", {"action": action, "devices": devices}, **options))


async def test_devices_are_blocked_once_and_let_in_again(plant: Plant) -> None:
    driver = DeviceBlockDriver(plant.context, KEY)
    done = await block(driver, "order-0001", "pump-1", "pump-2", "pump-1")
    assert done == DriverResult(True, "block: 2 devices, 2 changed")
    assert [plant.enabled(name) for name in ("pump-1", "pump-2", "fan-1")] == [False, False, True]
    told = [(kind, change.name, change.change) for kind, change in plant.published]
    assert told == [("registry", "pump-1", "updated"), ("registry", "pump-2", "updated")]

    # The same call after a crash: the same state, and the announcement that may have been missing.
    again = await block(driver, "order-0001", "pump-1", "pump-2", attempt=2)
    assert again.succeeded
    assert len(plant.published) == 4
    assert not plant.enabled("pump-1")

    undone = await block(driver, "order-0001", "pump-1", "pump-2", rollback=True)
    assert undone.succeeded
    assert plant.enabled("pump-1")
    assert plant.enabled("pump-2")
    with reading(plant.engine) as connection:
        assert standing.things_of(connection, "device-block", "order-0001") == []
    # Nothing is left to take back: doing it again does nothing.
    await plant_disable(plant, "pump-2")
    assert (await block(driver, "order-0001", "pump-1", "pump-2", attempt=2, rollback=True)).succeeded
    assert not plant.enabled("pump-2")


async def plant_disable(plant: Plant, name: str) -> None:
    plant.registry.devices.change(ADMIN, plant.ids[name], DevicePatch(enabled=False))


async def test_an_order_is_taken_back_beneath_another_one(plant: Plant) -> None:
    driver = DeviceBlockDriver(plant.context, KEY)
    await plant_disable(plant, "pump-2")  # by an operator, before any order
    await block(driver, "order-000a", "pump-1", "pump-2")
    await block(driver, "order-000b", "pump-1")
    await block(driver, "order-000a", "pump-1", "pump-2", rollback=True)
    assert not plant.enabled("pump-1"), "the second order stands"
    assert not plant.enabled("pump-2"), "it was disabled before"
    await block(driver, "order-000b", "pump-1", rollback=True)
    assert plant.enabled("pump-1")


async def test_the_latest_of_contrary_orders_decides(plant: Plant) -> None:
    driver = DeviceBlockDriver(plant.context, KEY)
    await block(driver, "order-000a", "pump-1")
    await block(driver, "order-000b", "pump-1", action="unblock")
    assert plant.enabled("pump-1")
    # The first one is called again: it does not undo the second.
    await block(driver, "order-000a", "pump-1", attempt=2)
    assert plant.enabled("pump-1")
    await block(driver, "order-000b", "pump-1", action="unblock", rollback=True)
    assert not plant.enabled("pump-1")


async def test_a_device_that_is_not_here_stops_the_whole_order(plant: Plant) -> None:
    driver = DeviceBlockDriver(plant.context, KEY)
    failed = await block(driver, "order-0001", "pump-1", "pump-9")
    assert failed == DriverResult(False, "not here, so nothing was done: pump-9")
    assert plant.enabled("pump-1")
    assert plant.published == []


async def test_a_device_that_was_removed_does_not_stop_the_way_back(plant: Plant) -> None:
    driver = DeviceBlockDriver(plant.context, KEY)
    await block(driver, "order-0001", "pump-1", "pump-2")
    plant.registry.devices.delete(ADMIN, plant.ids["pump-1"])
    assert (await block(driver, "order-0001", "pump-1", "pump-2", rollback=True)).succeeded
    assert plant.enabled("pump-2")


async def test_the_audit_tells_the_order(plant: Plant) -> None:
    await block(DeviceBlockDriver(plant.context, KEY), "order-0001", "pump-1")
    entries, _ = audit.entries(plant.engine, NODE_TENANT, None, 1)
    assert (entries[0].user, entries[0].action, entries[0].resource) == (
        "order/order-0001",
        "device.update",
        "device/pump-1",
    )


async def test_a_rule_is_written_changed_and_taken_back(plant: Plant) -> None:
    driver = AlarmRuleDriver(plant.context)
    first = await driver.run(call("order-000a", "alarm-rule", RULE))
    assert first.succeeded, first
    rule = plant.rule()
    assert (rule.condition.limit, rule.priority, rule.enabled) == (8.0, "high", True)
    await driver.run(call("order-000a", "alarm-rule", RULE, attempt=2))
    assert plant.rule().id == rule.id, "a repeated call adds no second rule"

    higher = {**RULE, "condition": {"direction": "above", "limit": 9.5}}
    await driver.run(call("order-000b", "alarm-rule", higher))
    assert (plant.rule().id, plant.rule().condition.limit) == (rule.id, 9.5)
    await driver.run(call("order-000b", "alarm-rule", higher, rollback=True))
    assert plant.rule().condition.limit == 8.0
    await driver.run(call("order-000a", "alarm-rule", RULE, rollback=True))
    assert plant.rule() is None
    assert {kind for kind, _ in plant.published} == {"rule"}


async def test_a_rule_without_sense_fails_with_the_reason(plant: Plant) -> None:
    driver = BoundedDriver(AlarmRuleDriver(plant.context), 1, 30.0)
    wrong = {**RULE, "condition": {"direction": "sideways", "limit": 8.0}}
    done = await driver.run(call("order-0001", "alarm-rule", wrong))
    assert not done.succeeded
    assert "sideways" in done.detail
    assert plant.rule() is None


async def test_a_notice_counts_when_a_person_of_the_node_has_confirmed(plant: Plant) -> None:
    probe = NoticeProbe(plant.context)
    plant.registry.users.create(ADMIN, NewUser("li", Role.OPERATOR))

    def asked(order: str) -> ProbeCall:
        return ProbeCall(order=order, target="t", kind="notice", payload=msgspec.Raw(b"{}"), expected=Sight.PRESENT)

    def accept(order: str, name: str) -> None:
        with writing(plant.engine) as connection:
            subject = Subject(9, name, NODE_TENANT, Role.OPERATOR)
            audit.record(connection, subject, "order.accept", f"order/{order}", 1_700_000_000_000_000_000)

    accept("order-0001", "nobody-we-know")
    assert (await probe.look(asked("order-0001"))).sight is Sight.UNKNOWN
    accept("order-0002", "li")
    seen = await probe.look(asked("order-0002"))
    assert seen.sight is Sight.PRESENT
    assert seen.evidence == "confirmed by li at 2023-11-14T22:13:20Z"
    assert (await probe.look(asked("order-0001"))).sight is Sight.UNKNOWN
