"""A role that stays on one machine: a second one says so and does nothing."""

import asyncio
import logging

import pytest
from nats.aio.client import Client

from gongfu.bus.registers import Registers
from gongfu.kernel.subjects import Subjects
from gongfu.node.runtime import MqttSettings, Runtime, TelemetrySettings, WebSettings
from gongfu.node.settled_role import settle
from tests.system.worker_bench import until


def runtime(instance: str) -> Runtime:
    return Runtime(
        node="test", data_dir="", nats_servers=[], nats_token="", history_url="", history_user="", history_password="",
        records_url="", mqtt=MqttSettings(), web=WebSettings(), telemetry=TelemetrySettings(), instance=instance,
    )  # fmt: skip


async def test_the_first_machine_keeps_the_role(bus: Client, caplog: pytest.LogCaptureFixture) -> None:
    stop = asyncio.Event()

    async def told() -> bool:
        return bool(caplog.records)

    assert await settle(runtime("east"), bus, "models", stop)
    assert await settle(runtime("east"), bus, "models", stop), "after a restart, too"
    assert await settle(runtime("west"), bus, "apps", stop), "another role is another matter"
    with caplog.at_level(logging.ERROR):
        second = asyncio.create_task(settle(runtime("west"), bus, "models", stop))
        await until(told, "what the second machine says")
    assert "models is planned on this machine, west, but belongs to east" in caplog.text
    assert not second.done()
    stop.set()
    assert await second is False


async def test_a_role_whose_home_was_removed_goes_to_who_asks(bus: Client) -> None:
    assert await settle(runtime("east"), bus, "models", asyncio.Event())
    subjects = Subjects("test")
    registers = Registers(bus, subjects.registers_stream(), subjects.registers())
    await registers.put("home", "models", b"", None)
    assert await settle(runtime("west"), bus, "models", asyncio.Event())
