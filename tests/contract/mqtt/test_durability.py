"""What survives ``kill -9``: sessions, queued and in-flight messages, retained messages, wills, QoS 2 ids."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from gongfu.ingest.mqtt.codec.packets import MQTT_3_1_1, MQTT_5, Acknowledgement, Publish, Will
from gongfu.ingest.mqtt.codec.reasons import PacketType, Reason
from tests.contract.mqtt.conftest import Door, until
from tests.contract.mqtt.raw_client import RawClient

both = pytest.mark.parametrize("version", [MQTT_3_1_1, MQTT_5])
TELEMETRY = "v1/devices/me/telemetry"
KEPT = {"session_expiry_interval": 3600}


def kept(door: Door, version: int, client_id: str, **options: object) -> RawClient:
    """A client whose session outlives its connection."""
    properties = {**KEPT, **options.pop("properties", {})} if version == MQTT_5 else {}  # type: ignore[dict-item]
    return door.client(version, client_id, clean_start=False, properties=properties, **options)


def submitted(door: Door, payload: str) -> list[int]:
    """Return the times at which a payload went to the intake."""
    return [row["received"] for row in door.taken() if row["payload"] == payload]


@both
async def test_every_acknowledged_message_comes_after_a_crash(own_door: Callable[..., Door], version: int) -> None:
    door = own_door()
    client = await kept(door, version, "reader").connect()
    await client.subscribe("t/#", 2)
    await client.close()
    sender = await door.client(MQTT_5, "sender").connect()
    for n in range(300):
        assert await sender.publish(f"t/{n}", b"%d" % n, 1 + n % 2) == 0
    door.restart()
    client = await kept(door, version, "reader").connect()
    assert client.connack is not None
    assert client.connack.session_present
    found = [message.payload for message in await client.messages(300)]
    assert found == [b"%d" % n for n in range(300)]
    await client.unsubscribe("none")  # its answer waits until the acknowledgements before it are on disk
    await client.disconnect()
    door.restart()
    client = await kept(door, version, "reader").connect()
    await client.silence()
    await client.close()


@both
async def test_outbound_qos_2_is_exactly_once_over_crashes(own_door: Callable[..., Door], version: int) -> None:
    door = own_door()
    client = await kept(door, version, "reader").connect()
    await client.subscribe("t", 2)
    sender = await door.client(MQTT_5, "sender").connect()
    await sender.publish("t", b"once", 2)
    first = await client.expect(Publish)
    door.restart()  # before PUBREC: the same id again, as a duplicate
    client = await kept(door, version, "reader").connect()
    again = await client.expect(Publish)
    assert (again.packet_id, again.duplicate, again.payload) == (first.packet_id, True, b"once")
    client.send(Acknowledgement(PacketType.PUBREC, first.packet_id))
    await client.acknowledged(PacketType.PUBREL, first.packet_id)
    door.restart()  # before PUBCOMP: PUBREL again, never the message
    client = await kept(door, version, "reader").connect()
    await client.acknowledged(PacketType.PUBREL, first.packet_id)
    client.send(Acknowledgement(PacketType.PUBCOMP, first.packet_id))
    await client.unsubscribe("none")
    door.restart()
    client = await kept(door, version, "reader").connect()
    await client.silence()
    await client.close()


@both
@pytest.mark.parametrize("crash", [False, True], ids=["reconnect", "crash"])
async def test_inbound_qos_2_telemetry_is_submitted_once(
    own_door: Callable[..., Door], version: int, crash: bool
) -> None:
    door = own_door()
    client = await kept(door, version, "writer").connect()
    message = Publish(TELEMETRY, b"exactly", 2, packet_id=7)
    client.send(message)
    await client.acknowledged(PacketType.PUBREC, 7)
    for _ in range(2):
        client.send(Publish(TELEMETRY, b"exactly", 2, packet_id=7, duplicate=True))
        await client.acknowledged(PacketType.PUBREC, 7)
    client.vanish()
    if crash:
        door.restart()
    client = await kept(door, version, "writer").connect()
    client.send(Publish(TELEMETRY, b"exactly", 2, packet_id=7, duplicate=True))
    await client.acknowledged(PacketType.PUBREC, 7)
    assert len(submitted(door, "exactly")) == 1
    client.send(Acknowledgement(PacketType.PUBREL, 7))
    await client.acknowledged(PacketType.PUBCOMP, 7)
    # The id is free: the next message under it is another one.
    client.send(Publish(TELEMETRY, b"exactly", 2, packet_id=7))
    await client.acknowledged(PacketType.PUBREC, 7)
    assert len(submitted(door, "exactly")) == 2
    await client.close()


async def test_a_repetition_while_the_first_is_under_way_is_not_submitted(own_door: Callable[..., Door]) -> None:
    door = own_door()
    client = await kept(door, MQTT_5, "writer").connect()
    client.send(Publish(TELEMETRY, b"slow", 2, packet_id=7))
    until(lambda: len(submitted(door, "slow")) == 1)
    client.vanish()
    client = await kept(door, MQTT_5, "writer").connect()
    client.send(Publish(TELEMETRY, b"slow", 2, packet_id=7, duplicate=True))
    await client.acknowledged(PacketType.PUBREC, 7)
    assert len(submitted(door, "slow")) == 1
    await client.close()


async def test_telemetry_repeated_after_a_crash_before_pubrec_keeps_its_time(own_door: Callable[..., Door]) -> None:
    door = own_door()
    client = await kept(door, MQTT_5, "writer").connect()
    client.send(Publish(TELEMETRY, b"slow", 2, packet_id=7))
    until(lambda: len(submitted(door, "slow")) == 1)
    door.restart()
    client = await kept(door, MQTT_5, "writer").connect()
    client.send(Publish(TELEMETRY, b"slow", 2, packet_id=7, duplicate=True))
    await client.acknowledged(PacketType.PUBREC, 7)
    first, second = submitted(door, "slow")
    assert first == second  # the same points: the history shows them once
    await client.close()


@both
async def test_inbound_qos_2_plain_is_routed_once(own_door: Callable[..., Door], version: int) -> None:
    door = own_door()
    reader = await kept(door, MQTT_5, "reader").connect()
    await reader.subscribe("t", 2)
    client = await kept(door, version, "writer").connect()
    client.send(Publish("t", b"once", 2, packet_id=7))
    await client.acknowledged(PacketType.PUBREC, 7)
    door.restart()
    client = await kept(door, version, "writer").connect()
    client.send(Publish("t", b"once", 2, packet_id=7, duplicate=True))
    await client.acknowledged(PacketType.PUBREC, 7)
    reader = await kept(door, MQTT_5, "reader").connect()
    assert (await reader.message()).payload == b"once"
    await reader.silence()
    for item in (reader, client):
        await item.close()


async def test_subscriptions_with_their_options_survive(own_door: Callable[..., Door]) -> None:
    door = own_door()
    client = await kept(door, MQTT_5, "reader").connect()
    await client.subscribe(
        "t/+", 1, retain_as_published=True, no_local=True, properties={"subscription_identifier": [9]}
    )
    await client.subscribe("v1/devices/me/rpc/#", 1)
    await client.subscribe("gone", 1)
    await client.unsubscribe("gone")
    door.restart()
    client = await kept(door, MQTT_5, "reader").connect()
    async with await door.client(MQTT_5, "sender").connect() as sender:
        await sender.publish("gone", b"x", 1)
        await sender.publish("t/1", b"x", 1, retain=True)
        await sender.publish("v1/devices/dev/rpc/1", b"x", 1)
    message = await client.message()
    assert (message.topic, message.retain, message.properties["subscription_identifier"]) == ("t/1", True, [9])
    assert (await client.message()).topic == "v1/devices/me/rpc/1"
    await client.publish("t/2", b"mine", 1)
    await client.silence()
    await client.close()


@both
async def test_retained_messages_survive_and_cleared_ones_do_not(own_door: Callable[..., Door], version: int) -> None:
    door = own_door()
    client = await door.client(version).connect()
    await client.publish("keep/工厂", b"1", 1, retain=True)
    await client.publish("clear", b"1", 1, retain=True)
    await client.publish("clear", b"", 1, retain=True)
    door.restart()
    async with await door.client(version).connect() as client:
        await client.subscribe("#", 1)
        message = await client.message()
        assert (message.topic, message.retain) == ("keep/工厂", True)
        await client.silence()


async def test_wills_of_a_crashed_server_go_out(own_door: Callable[..., Door]) -> None:
    door = own_door()
    watcher = await kept(door, MQTT_5, "watcher").connect()
    await watcher.subscribe("will/#", 1)
    now = await door.client(MQTT_5, "now", will=Will("will/now", b"x", 1)).connect()
    later = await kept(
        door, MQTT_5, "later", will=Will("will/later", b"x", 1, properties={"will_delay_interval": 2})
    ).connect()
    polite = await door.client(MQTT_5, "polite", will=Will("will/polite", b"x", 1)).connect()
    await polite.disconnect()
    until(lambda: door.count("connections_closed.client") == 1)
    await watcher.unsubscribe("none")  # its answer waits until the end of the polite client's will is on disk
    door.restart()
    watcher = await kept(door, MQTT_5, "watcher").connect()
    assert [m.topic for m in await watcher.messages(2)] == ["will/now", "will/later"]
    await watcher.silence()
    for client in (watcher, now, later):
        await client.close()


async def test_sessions_end_while_the_server_is_away(own_door: Callable[..., Door]) -> None:
    door = own_door()
    client = await kept(door, MQTT_5, "short", properties={"session_expiry_interval": 1}).connect()
    await client.subscribe("t", 1)
    await client.disconnect()
    until(lambda: door.count("connections") == 0)
    door.kill()
    door.start()
    until(lambda: door.count("sessions") == 0)
    client = await kept(door, MQTT_5, "short").connect()
    assert client.connack is not None
    assert not client.connack.session_present
    await client.close()


async def test_an_orderly_stop_acknowledges_says_goodbye_and_ends_with_0(own_door: Callable[..., Door]) -> None:
    door = own_door()
    five = await door.client(MQTT_5, "five").connect()
    four = await door.client(MQTT_3_1_1, "four").connect()
    five.send(Publish(TELEMETRY, b"slow", 1, packet_id=1))
    until(lambda: len(submitted(door, "slow")) == 1)
    assert door.stop() == 0
    assert (await five.expect(Acknowledgement)).packet_id == 1
    await five.refused(Reason.SERVER_SHUTTING_DOWN)
    await four.ended()


async def test_a_disk_that_refuses_holds_acknowledgements_back(own_door: Callable[..., Door]) -> None:
    door = own_door()
    client = await door.client(MQTT_5).connect()
    database = sqlite3.connect(Path(door.directory) / "door" / "sessions.db")
    database.execute("CREATE TRIGGER full BEFORE INSERT ON retained BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    database.commit()
    client.send(Publish("t", b"x", 1, retain=True, packet_id=1))
    client.send(Publish("plain", b"x", 1, packet_id=2))
    until(lambda: door.count("journal_errors") > 0)
    with pytest.raises(TimeoutError):
        await client.next(0.3)
    database.execute("DROP TRIGGER full")
    database.commit()
    assert [(await client.expect(Acknowledgement)).packet_id for _ in range(2)] == [1, 2]
    database.close()
    await client.close()
