"""Several front doors under ``gongfu up``: one port, one broker; a killed one drops its own connections only."""

import asyncio
import json

from gongfu.ingest.mqtt.codec.packets import MQTT_5, Pingreq
from tests.contract.mqtt.raw_client import RawClient
from tests.fixtures.node import Node
from tests.fixtures.processes import wait_until

CLIENTS = 40


async def test_a_killed_front_door_drops_only_its_connections(node: Node) -> None:
    configuration = node.data_dir.parent / "gongfu.toml"
    configuration.write_text("[mqtt]\nprocesses = 3\n")
    node.environment["GONGFU_CONFIG"] = str(configuration)
    node.start()
    assert [name for name in node.roles() if name.startswith("door")] == ["door-1", "door-2", "door-3"]
    secret = json.loads(node.cli("device", "add", "press", "--json"))["secret"]

    def client(n: int) -> RawClient:
        kept = {"session_expiry_interval": 600}
        options = {"username": "press", "password": secret.encode(), "clean_start": False, "properties": kept}
        return RawClient(node.mqtt_port, MQTT_5, f"c{n}", **options)

    clients = [await client(n).connect() for n in range(CLIENTS)]
    for item in clients:
        await item.subscribe("v1/devices/me/rpc/request/+", 1)
    killed = node.kill_role("door-2")

    async def alive(item: RawClient) -> bool:
        try:
            item.send(Pingreq())
            return await item.next() is not None
        except ConnectionError:
            return False

    answers = await asyncio.gather(*(alive(item) for item in clients))
    assert 0 < sum(answers) < CLIENTS
    wait_until(lambda: node.pid_of("door-2") not in (0, killed), "another door-2")
    node.wait_healthy()
    again = [await client(n).connect() for n in range(CLIENTS)]  # each at the front door the kernel chooses
    absent = [n for n, item in enumerate(again) if item.connack is None or not item.connack.session_present]
    assert absent == []
    for item in again:
        await item.disconnect()
