"""What happens beyond a quota, on the wire: MQTT 5 is refused or waits, MQTT 3.1.1 waits, QoS 0 is shed in the end.

The quotas here give next to nothing after their burst, so that nothing depends on how fast the machine is.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from gongfu.ingest.mqtt.codec.encoding import encode
from gongfu.ingest.mqtt.codec.packets import MQTT_3_1_1, MQTT_5, Acknowledgement, Connack, Pingreq, Publish
from gongfu.ingest.mqtt.codec.reasons import PacketType, Reason
from tests.contract.mqtt.conftest import Door, until

TELEMETRY = "v1/devices/me/telemetry"
ONE_MESSAGE = {"messages": 0.001, "burst_s": 0.1}
SHED = {**ONE_MESSAGE, "policy": "shed"}
SILENT_S = 0.5

Doors = Callable[..., Door]


async def test_shed_refuses_mqtt_5_with_quota_exceeded_and_keeps_the_connection(own_door: Doors) -> None:
    door = own_door(device_quota=SHED)
    async with await door.client(MQTT_5, "c").connect() as client:
        assert await client.publish(TELEMETRY, b"1", 1) == Reason.SUCCESS
        assert await client.publish(TELEMETRY, b"2", 1) == Reason.QUOTA_EXCEEDED
        assert await client.publish(TELEMETRY, b"3", 2) == Reason.QUOTA_EXCEEDED  # in the PUBREC, so the id is free
        assert await client.publish("plain", b"4", 1) == Reason.QUOTA_EXCEEDED
        await client.publish(TELEMETRY, b"5", 0)
        await client.silence()
        assert await client.publish(TELEMETRY, b"6", 2) == Reason.QUOTA_EXCEEDED
    assert [row["payload"] for row in door.taken()] == ["1"]
    assert door.count("refused.device_quota") == 4
    assert door.count("messages_dropped.device_quota") == 1


async def test_a_refusal_tells_why_in_words(own_door: Doors) -> None:
    door = own_door(device_quota=SHED)
    async with await door.client(MQTT_5, "c").connect() as client:
        await client.publish(TELEMETRY, b"1", 1)
        client.send(Publish(TELEMETRY, b"2", 1, packet_id=77))
        answer = await client.acknowledged(PacketType.PUBACK, 77)
    assert answer.properties["reason_string"] == "1 device_quota"


@pytest.mark.parametrize("version", [MQTT_3_1_1, MQTT_5])
async def test_delay_withholds_the_acknowledgement_until_there_is_something_again(
    own_door: Doors, version: int
) -> None:
    door = own_door(device_quota=ONE_MESSAGE)
    client = await door.client(version, "c").connect(keep_alive=1)
    for n in range(1, 17):
        client.send(Publish(TELEMETRY, b"%d" % n, 1, packet_id=n))
    assert (await client.expect(Acknowledgement)).packet_id == 1
    # A client that is not read is not taken for silent: the keep alive of 1 s does not end it.
    with pytest.raises(TimeoutError):
        await client.next(2.2)
    assert door.count("connections_delayed") == 1
    door.ask("free")
    assert [(await client.expect(Acknowledgement)).packet_id for _ in range(15)] == list(range(2, 17))
    await client.silence()
    assert [row["payload"] for row in door.taken()] == [str(n) for n in range(1, 17)]
    assert door.count("refused.device_quota") == 0
    assert door.count("connections_delayed") == 0
    await client.close()


async def test_mqtt_3_1_1_waits_at_qos_1_although_the_policy_is_shed(own_door: Doors) -> None:
    door = own_door(device_quota=SHED)
    client = await door.client(MQTT_3_1_1, "c").connect()
    client.send(Publish(TELEMETRY, b"1", 1, packet_id=1))
    client.send(Publish(TELEMETRY, b"2", 0))
    client.send(Publish(TELEMETRY, b"3", 1, packet_id=3))
    client.send(Publish(TELEMETRY, b"4", 0))
    assert (await client.expect(Acknowledgement)).packet_id == 1
    with pytest.raises(TimeoutError):
        await client.next(SILENT_S)
    assert door.count("refused.device_quota") == 1  # the QoS 0 message before the one that waits
    door.ask("free")
    assert (await client.expect(Acknowledgement)).packet_id == 3
    await client.silence()
    assert [row["payload"] for row in door.taken()] == ["1", "3", "4"]
    await client.close()


async def test_qos_0_waits_at_first_and_is_shed_when_it_never_ends(own_door: Doors) -> None:
    door = own_door(device_quota=ONE_MESSAGE, max_delay_s=0.2)
    async with await door.client(MQTT_3_1_1, "c").connect() as client:
        client.send_bytes(encode(Publish(TELEMETRY, b"x"), MQTT_3_1_1) * 1000)
        until(lambda: door.count("refused.device_quota") == 999)
        await client.silence()
    assert len(door.taken()) == 1


async def test_a_tenant_quota_holds_for_all_its_devices_and_no_others(own_door: Doors) -> None:
    door = own_door(tenant_quota=SHED)
    async with (
        await door.client(MQTT_5, "a").connect() as one,
        await door.client(MQTT_5, "b", "dev2").connect() as other,
        await door.client(MQTT_5, "c", "foreign").connect() as stranger,
    ):
        assert await one.publish(TELEMETRY, b"1", 1) == Reason.SUCCESS
        assert await other.publish(TELEMETRY, b"2", 1) == Reason.QUOTA_EXCEEDED
        assert await stranger.publish(TELEMETRY, b"3", 1) == Reason.SUCCESS
    assert door.count("refused.tenant_quota") == 1


async def test_all_connections_of_a_device_share_its_quota(own_door: Doors) -> None:
    door = own_door(device_quota=SHED)
    async with await door.client(MQTT_5, "a").connect() as one, await door.client(MQTT_5, "b").connect() as other:
        assert await one.publish(TELEMETRY, b"1", 1) == Reason.SUCCESS
        assert await other.publish(TELEMETRY, b"2", 1) == Reason.QUOTA_EXCEEDED
    async with await door.client(MQTT_5, "c").connect() as again:  # coming back does not help
        assert await again.publish(TELEMETRY, b"3", 1) == Reason.QUOTA_EXCEEDED


@pytest.mark.parametrize(("burst_s", "expected"), [(2.0, 20), (3600.0, 1024)])
async def test_the_receive_maximum_is_what_the_quota_lets_through_at_once(
    own_door: Doors, burst_s: float, expected: int
) -> None:
    door = own_door(device_quota={"messages": 10.0, "burst_s": burst_s})
    async with await door.client(MQTT_5, "c").connect() as client:
        connack = client.connack
        assert isinstance(connack, Connack)
        assert connack.properties["receive_maximum"] == expected


def _peak_bytes(door: Door) -> int:
    assert door.process is not None
    status = Path(f"/proc/{door.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def test_memory_is_bounded_while_a_device_floods_at_qos_0(own_door: Doors) -> None:
    door = own_door(device_quota=ONE_MESSAGE)
    clients = [await door.client(MQTT_3_1_1, f"c{n}").connect() for n in range(40)]
    before = _peak_bytes(door)
    flood = encode(Publish(TELEMETRY, b"x" * 1000), MQTT_3_1_1) * 4_000
    for client in clients:
        client.send_bytes(flood)
    until(lambda: door.count("connections_delayed") == len(clients))
    assert sum(client.writer.transport.get_write_buffer_size() for client in clients) > 0  # it stays with the sender
    async with await door.client(MQTT_5, "other", "dev2").connect() as other:
        assert await other.publish(TELEMETRY, b"calm", 1) == Reason.SUCCESS
        other.send(Pingreq())
        await other.next()
    # 160 MB were offered. At most 2 MiB and one read for each connection that had not been stopped yet are kept.
    assert _peak_bytes(door) - before < 24_000_000
    for client in clients:
        client.vanish()
    await asyncio.sleep(0)
