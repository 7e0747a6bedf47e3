"""The Sparkplug host application of a front door: births, deaths, order, rebirths, STATE, commands."""

import asyncio
import json
import math
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from gongfu.ingest.columnise.sparkplug_schema import Payload
from gongfu.ingest.mqtt.codec.packets import MQTT_3_1_1
from gongfu.ingest.sparkplug.services import command_service
from gongfu.kernel.quality import Quality
from gongfu.node.sparkplug_settings import SparkplugSettings
from tests.contract.mqtt.raw_client import RawClient
from tests.contract.sparkplug.conftest import (
    PATIENCE_S,
    SECRET,
    SUBJECTS,
    Edge,
    HostDoor,
    make_runtime,
    start_door,
    start_role,
)
from tests.contract.telemetry.sparkplug_bytes import M
from tests.fixtures.nats import NatsServer, free_port

EDGE = "工厂/边缘 1"
NODE = f"machine/{EDGE}"


async def eventually(condition: Callable[[], Any]) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if found := await condition():
                return found
            await asyncio.sleep(0.05)


async def test_a_node_lives_and_dies(door: HostDoor) -> None:
    edge = await Edge(door.client(), bd_seq=3).connect()
    await edge.birth([M(10, 1.5, "温度", alias=1), M(12, "an", "状态", alias=2), M(4, 7, "count", alias=3)])
    await edge.send("DBIRTH", [M(11, True, "运行", alias=4)], "泵")
    await edge.send("DBIRTH", [M(10, 0.5, "开度", alias=5)], "阀")
    await edge.send("DDEATH", [], "阀")  # of one device; all else lives on
    for step in range(5):
        await edge.send("NDATA", [M(10, 2.0 + step, alias=1, typed=False)])
        await edge.send("DDATA", [M(11, bool(step % 2), alias=4, typed=False)], "泵")
    await door.until_stored((NODE, "温度"), (Quality.GOOD, 6.0))
    (node,) = (await door.nodes()).values()
    assert (node["online"], node["bd_seq"], node["gaps"]) == (True, 3, 0)
    assert node["devices"] == {"泵": True, "阀": False}
    (_, opened), (quality, gone) = (await door.stored())[f"{NODE}/阀", "开度"]
    assert (opened, quality, math.isnan(float(str(gone)))) == (0.5, Quality.BAD_STALE, True)
    edge.client.vanish()  # the will is the death
    values = await eventually(lambda: dead(door))
    assert [value for _, value in values[:-1]] == [1.5, *(2.0 + step for step in range(5))]
    stored = await door.stored()
    for point, nothing in (("状态", ""), ("count", 0)):
        assert stored[NODE, point][-1] == (Quality.BAD_STALE, nothing)
    assert stored[f"{NODE}/泵", "运行"][-1] == (Quality.BAD_STALE, False)
    (node,) = (await door.nodes()).values()
    assert (node["online"], node["phase"], node["devices"]) == (False, "dead", {"泵": False, "阀": False})


async def test_a_node_that_leaves_without_a_death_is_dead_too(door: HostDoor) -> None:
    """A clean DISCONNECT takes the will away, and the edge node has not published its NDEATH: its points go stale."""
    edge = await Edge(door.client(), bd_seq=5).connect()
    await edge.birth([M(10, 1.5, "温度", alias=1)])
    await edge.send("DBIRTH", [M(11, True, "运行", alias=4)], "泵")
    await door.until_stored((f"{NODE}/泵", "运行"), (Quality.GOOD, True))
    # Another connection of the same device keeps it alive.
    second = await door.client(client_id="second").connect()
    await edge.client.disconnect()
    back = await Edge(door.client(client_id="m"), bd_seq=5).connect()
    await second.disconnect()
    await back.client.disconnect()
    values = await eventually(lambda: dead(door))
    assert [value for _, value in values[:-1]] == [1.5]
    assert (await door.stored())[f"{NODE}/泵", "运行"][-1] == (Quality.BAD_STALE, False)
    (node,) = (await door.nodes()).values()
    assert (node["online"], node["phase"]) == (False, "dead")
    # Born again, its values are good again.
    again = await Edge(door.client(), bd_seq=6).connect()
    await again.birth([M(10, 2.5, "温度", alias=1)])
    await door.until_stored((NODE, "温度"), (Quality.GOOD, 2.5))
    await again.send("NDEATH", [M(4, 6, "bdSeq")])
    await again.client.disconnect()


async def test_a_node_that_is_born_at_another_front_door(
    door: HostDoor, nats_server: NatsServer, tmp_path: Path, settings: SparkplugSettings
) -> None:
    """Its connection at the first door is half open: what that one says afterwards, and its death, mean nothing."""
    port = free_port()
    runtime = make_runtime(tmp_path, nats_server, port, sparkplug=settings)
    other = start_role(tmp_path, runtime, "gongfu.node.roles.door", "door-2")
    try:
        first = await Edge(door.client(), bd_seq=0).connect()
        await first.birth([M(10, 1.0, "t", alias=1)])
        await door.until_stored((NODE, "t"), (Quality.GOOD, 1.0))
        client = RawClient(port, MQTT_3_1_1, "second", username="machine", password=SECRET.encode())
        second = await Edge(client, bd_seq=1).connect()
        await second.birth([M(10, 2.0, "t", alias=1)])
        await second.send("NDATA", [M(10, 3.0, alias=1, typed=False)])
        await door.until_stored((NODE, "t"), (Quality.GOOD, 3.0))
        await eventually(lambda: lives_at(door, {"door-2"}))
        ignored_before = await deaths_ignored(door, "door-1")
        first.client.vanish()
        await eventually(lambda: more_than(ignored_before, deaths_ignored(door, "door-1")))
        await second.send("NDATA", [M(10, 4.0, alias=1, typed=False)])
        await door.until_stored((NODE, "t"), (Quality.GOOD, 4.0))
        assert [quality for quality, _ in (await door.stored())[NODE, "t"]] == [0, 0, 0, 0]
        # Its own death, at the door where it lives, counts.
        second.client.vanish()
        await eventually(lambda: stale(door, "t"))
    finally:
        other.send_signal(signal.SIGTERM)
        assert other.wait(PATIENCE_S) == 0


async def lives_at(door: HostDoor, wanted: set[str]) -> bool:
    """Ask all front doors; True when the edge node is known and alive at these only."""
    inbox = door.bus.new_inbox()
    answers = await door.bus.subscribe(inbox)
    await door.bus.publish(SUBJECTS.service("sparkplug"), b'{"tenant":1}', reply=inbox)
    found: set[str] = set()
    for _ in range(2):
        message = await answers.next_msg(timeout=PATIENCE_S)
        found |= {item["door"] for item in json.loads(message.data)["result"]["items"] if item["online"]}
    await answers.unsubscribe()
    return found == wanted


async def deaths_ignored(door: HostDoor, role: str) -> int:
    """Return a counter as the role publishes it each second."""
    heard = await door.bus.subscribe(SUBJECTS.metrics(role))
    message = await heard.next_msg(timeout=PATIENCE_S)
    await heard.unsubscribe()
    return int(json.loads(message.data)["counters"].get("sparkplug.deaths_ignored", 0))


async def more_than(least: int, number: Awaitable[int]) -> bool:
    return await number > least


async def stale(door: HostDoor, point: str) -> bool:
    values = (await door.stored()).get((NODE, point), [])
    return bool(values) and values[-1][0] == Quality.BAD_STALE


async def dead(door: HostDoor) -> list[tuple[int, object]]:
    values = (await door.stored()).get((NODE, "温度"), [])
    if not values or values[-1][0] != Quality.BAD_STALE:
        return []
    assert math.isnan(values[-1][1])  # pyright: ignore[reportArgumentType]
    return values


async def test_the_death_of_a_session_before_does_no_harm(door: HostDoor) -> None:
    first = await Edge(door.client(client_id="first"), bd_seq=0).connect()
    await first.birth([M(10, 1.0, "t", alias=1)])
    # The connection is half open: the node is back with another client id before the server notices.
    second = await Edge(door.client(client_id="second"), bd_seq=1).connect()
    await second.birth([M(10, 2.0, "t", alias=1)], start=200)
    first.client.vanish()
    await second.send("NDATA", [M(10, 3.0, alias=1, typed=False)])
    await door.until_stored((NODE, "t"), (Quality.GOOD, 3.0))
    node = await eventually(lambda: ignored(door))
    assert node["online"]
    assert [quality for quality, _ in (await door.stored())[NODE, "t"]] == [0, 0, 0]
    await second.client.disconnect()


async def ignored(door: HostDoor) -> dict[str, Any] | None:
    node = (await door.nodes()).get(EDGE)
    return node if node and node["deaths_ignored"] else None


async def test_a_gap_ends_in_one_rebirth_request_and_loses_nothing_that_came(door: HostDoor) -> None:
    edge = await Edge(door.client()).connect()
    await edge.birth([M(10, 1.0, "t", alias=1)])
    await edge.send("NDATA", [M(10, 2.0, alias=1, typed=False)], skip=1)
    await edge.send("NDATA", [M(10, 3.0, alias=1, typed=False)])
    command = await edge.command()
    assert command.topic == edge.topic("NCMD")
    assert (command.qos, command.retain) == (0, False)
    (metric,) = Payload.FromString(command.payload).metrics
    assert (metric.name, metric.datatype, metric.boolean_value) == ("Node Control/Rebirth", 11, True)
    assert not Payload.FromString(command.payload).HasField("seq")
    await edge.birth([M(10, 4.0, "t", alias=1)])
    await door.until_stored((NODE, "t"), (Quality.GOOD, 4.0))
    assert [value for _, value in (await door.stored())[NODE, "t"]] == [1.0, 2.0, 3.0, 4.0]
    await edge.client.silence()
    await edge.client.disconnect()


async def test_data_without_a_birth_asks_for_it(door: HostDoor) -> None:
    """A front door that was started again knows no births: aliases mean nothing before the next one."""
    edge = await Edge(door.client(), seq=41).connect()
    await edge.send("NDATA", [M(10, 2.0, alias=1, typed=False), M(10, 5.0, "named")])
    assert (await edge.command()).topic == edge.topic("NCMD")
    await edge.birth([M(10, 4.0, "t", alias=1)])
    await edge.send("NDATA", [M(10, 6.0, alias=1, typed=False)])
    await door.until_stored((NODE, "t"), (Quality.GOOD, 6.0))
    assert (await door.stored())[NODE, "named"] == [(0, 5.0)]
    # A device that was not born, and an alias that no birth names, are asked for as well.
    await edge.send("DDATA", [M(10, 6.0, alias=9, typed=False)], "泵")
    assert (await edge.command()).topic == edge.topic("NCMD")
    await edge.client.disconnect()


async def test_state_of_the_host(door: HostDoor, nats_server: NatsServer, tmp_path: Path) -> None:
    client = await door.client(client_id="other").connect()
    assert await client.subscribe("spBv1.0/STATE/主机-1", 1) == 1
    message = await client.message()
    assert (message.qos, message.retain) == (1, True)
    birth = json.loads(message.payload)
    assert birth == {"online": True, "timestamp": birth["timestamp"]}
    assert await client.subscribe("STATE/主机-1", 1) == 1
    assert (await client.message()).payload == b"ONLINE"
    # Nobody else speaks for the host.
    watcher = await door.client("watcher", "w").connect()
    await watcher.publish("spBv1.0/STATE/主机-1", b'{"online":false,"timestamp":99999999999999}', 0, retain=True)
    await watcher.publish("spBv1.0/STATE/another", b'{"online":true,"timestamp":1}', 1, retain=True)
    await client.silence()
    await watcher.disconnect()
    door.process.send_signal(signal.SIGTERM)
    death = json.loads((await client.message(PATIENCE_S)).payload)
    assert death["online"] is False
    assert death["timestamp"] >= birth["timestamp"]
    assert (await client.message(PATIENCE_S)).payload == b"OFFLINE"
    await client.close()
    assert door.process.wait(PATIENCE_S) == 0
    settings = SparkplugSettings(host_ids=("主机-1",), state_version_2=True)
    door.process = start_door(tmp_path, nats_server, door.port, settings)
    client = await door.client(client_id="other").connect()
    await client.subscribe("spBv1.0/STATE/+", 1)
    states: dict[str, Any] = {}
    while not states.get("主机-1", {}).get("online"):
        message = await client.message(PATIENCE_S)
        states[message.topic.split("/")[2]] = json.loads(message.payload)
    assert states["another"] == {"online": True, "timestamp": 1}  # other primary hosts live beside it
    assert states["主机-1"]["timestamp"] >= death["timestamp"]
    await client.disconnect()


async def test_only_ones_own_commands_can_be_heard(door: HostDoor) -> None:
    client = await door.client(client_id="x").connect()
    for refused in ("spBv1.0/#", "spBv1.0/+/NCMD/#", "spBv1.0/g/NCMD/+", "spBv1.0/g/NDATA/e", "spBv1.0/g/+/e"):
        assert await client.subscribe(refused) == 0x80, refused
    for allowed in ("spBv1.0/g/NCMD/e", "spBv1.0/g/DCMD/e/#", "spBv1.0/g/DCMD/e/d", "spBv1.0/STATE/any", "STATE/any"):
        assert await client.subscribe(allowed) == 0, allowed
    await client.disconnect()


async def test_other_hosts_get_births_and_deaths_too(door: HostDoor) -> None:
    watcher = await door.client("watcher", "w").connect()
    await watcher.subscribe("spBv1.0/+/NDEATH/#")
    await watcher.subscribe("spBv1.0/+/NBIRTH/#")
    edge = await Edge(door.client()).connect()
    await edge.birth([])
    assert (await watcher.message(PATIENCE_S)).topic == edge.topic("NBIRTH")
    edge.client.vanish()
    assert (await watcher.message(PATIENCE_S)).topic == edge.topic("NDEATH")
    await watcher.disconnect()


async def test_commands_are_confirmed_by_the_values_that_come_back(door: HostDoor) -> None:
    edge = await Edge(door.client()).connect()
    await edge.birth([M(3, 1, "设定", alias=1), M(9, 0.5, "f")])
    await edge.send("DBIRTH", [M(11, False, "阀门", alias=2)], "泵")
    await door.until_stored((f"{NODE}/泵", "阀门"), (Quality.GOOD, False))
    machine = door.devices["machine"]

    def command(child: str, values: dict[str, Any], wait: float = PATIENCE_S) -> "asyncio.Task[Any]":
        body = {"tenant": 1, "device": machine, "edge": EDGE, "child": child, "values": values, "wait": wait}
        return asyncio.create_task(door.ask(command_service("door-1"), body))

    asked = command("", {"设定": -5, "f": 0.1})
    message = await edge.command()
    first, second = Payload.FromString(message.payload).metrics
    assert (first.alias, first.HasField("name"), first.int_value) == (1, False, 2**32 - 5)
    assert (second.name, second.HasField("alias")) == ("f", False)
    await edge.send("NDATA", [M(3, 4, alias=1, typed=False)])
    await edge.send("NDATA", [M(3, -5, alias=1, typed=False), M(9, 0.1, "f", typed=False)])
    outcome = (await asked)["result"]
    assert (outcome["confirmed"], outcome["missing"]) == (True, {})

    asked = command("泵", {"阀门": True}, 1.0)
    assert (await edge.command()).topic == edge.topic("DCMD", "泵")
    await edge.send("DDATA", [M(11, False, alias=2, typed=False)], "泵")
    outcome = (await asked)["result"]
    assert (outcome["confirmed"], outcome["missing"], outcome["reported"]) == (False, {"阀门": True}, {"阀门": False})

    asked = command("", {"Node Control/Rebirth": True})
    assert (await edge.command()).topic == edge.topic("NCMD")
    await edge.birth([M(3, 1, "设定", alias=1)])
    assert (await asked)["result"]["confirmed"] is True

    for child, values, code in (
        ("", {"nothing": 1}, "metric-unknown"),
        ("", {"设定": 2**31}, "invalid-request"),
        ("", {"设定": "x"}, "invalid-request"),
        ("", {}, "invalid-request"),
        ("泵", {"阀门": True}, "edge-node-offline"),
    ):
        assert (await command(child, values))["problem"]["code"] == code
    assert (
        await door.ask(
            command_service("door-1"), {"tenant": 2, "device": machine, "edge": EDGE, "child": "", "values": {"a": 1}}
        )
    )["problem"]["code"] == "not-found"
    await edge.client.disconnect()
