"""What the server answers, packet by packet, in both versions."""

import asyncio
import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from gongfu.ingest.mqtt.codec.encoding import encode
from gongfu.ingest.mqtt.codec.fields import encode_variable
from gongfu.ingest.mqtt.codec.packets import (
    MQTT_3_1_1,
    MQTT_5,
    Acknowledgement,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Pingreq,
    Publish,
    Request,
    Suback,
    Subscribe,
    Will,
)
from gongfu.ingest.mqtt.codec.reasons import PacketError, PacketType, Reason
from tests.contract.mqtt.conftest import Door, until
from tests.contract.mqtt.raw_client import RawClient

both = pytest.mark.parametrize("version", [MQTT_3_1_1, MQTT_5])
TELEMETRY = "v1/devices/me/telemetry"


@both
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_messages_at_each_qos(door: Door, version: int, qos: int) -> None:
    async with await door.client(version).connect() as client:
        assert await client.subscribe(f"basic/{version}/#", 2) == 2
        assert await client.publish(f"basic/{version}/x", b"hello", qos) == 0
        message = await client.message()
        assert (message.topic, message.payload, message.qos) == (f"basic/{version}/x", b"hello", qos)
        await client.silence()


@both
@pytest.mark.parametrize(
    "topic",
    ["a b", "工厂/泵 1/温度", "a.b", "a//b", "a/", "/a", "$x/y", "a>b/*/c", "x" * 300 + "/y", "é" * 32_767 + "e"],
    ids=["space", "chinese", "dot", "empty level", "trailing", "leading", "dollar", "nats", "long level", "65535"],
)
async def test_unusual_topics(door: Door, version: int, topic: str) -> None:
    async with await door.client(version, keep_alive=0).connect() as client:
        await client.subscribe(topic, 1)
        await client.publish(topic, b"x", 1)
        assert (await client.message()).topic == topic


@both
@pytest.mark.parametrize(
    ("device", "password", "return_code", "reason"),
    [
        ("dev", b"wrong", 4, Reason.BAD_USER_NAME_OR_PASSWORD),
        ("nobody", b"secret-of-dev", 4, Reason.BAD_USER_NAME_OR_PASSWORD),
        (None, None, 4, Reason.BAD_USER_NAME_OR_PASSWORD),
        ("disabled", b"secret-of-disabled", 5, Reason.NOT_AUTHORIZED),
    ],
)
async def test_wrong_credentials(
    door: Door, version: int, device: str | None, password: bytes | None, return_code: int, reason: int
) -> None:
    before = door.count("auth_failures")
    began = time.monotonic()
    client = await RawClient(door.port, version, "x", username=device, password=password).connect()
    assert client.connack == Connack(False, reason if version == MQTT_5 else return_code)
    assert time.monotonic() - began > 0.2
    await client.ended()
    assert door.count("auth_failures") == before + 1


@both
async def test_client_identifiers(door: Door, version: int) -> None:
    client = await door.client(version, "", clean_start=False).connect()
    assert client.connack is not None
    if version == MQTT_3_1_1:
        assert client.connack.reason == 2
    else:
        assert client.connack.properties["assigned_client_identifier"]
    async with await door.client(version, "").connect() as client:
        assert client.connack == Connack(False, 0, client.connack.properties if client.connack else {})
    async with await door.client(version, "with space 与中文").connect() as client:
        await client.silence()


@both
async def test_a_second_connect_is_a_protocol_error(door: Door, version: int) -> None:
    client = await door.client(version, "twice").connect()
    client.send(Connect(version, "twice"))
    await client.refused(Reason.PROTOCOL_ERROR)


@pytest.mark.parametrize(
    "data", [b"\x30\x03\0\1a", b"GET / HTTP/1.1\r\n\r\n", b"\x10\x0c\0\2hj\4\2\0\0\0\0aaaa", b"\0\0"]
)
async def test_anything_but_a_connect_first_is_closed(door: Door, data: bytes) -> None:
    client = await door.client(MQTT_5).open()
    client.send_bytes(data)
    await client.ended()


@pytest.mark.parametrize("body", [b"\0\4MQTT\3\2\0\0\0\0", b"\0\6MQIsdp\3\2\0\0\0\0", b"\0\4MQTT\x09\2\0\0\0\0"])
async def test_other_protocol_versions_are_told(door: Door, body: bytes) -> None:
    client = await door.client(MQTT_3_1_1).open()
    client.send_bytes(b"\x10" + bytes([len(body)]) + body)
    assert (await client.expect(Connack)).reason == 1
    await client.ended()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x36\x05\0\1a\0\1", Reason.MALFORMED_PACKET),
        (b"\x30\x06\0\3a/#\0", Reason.TOPIC_NAME_INVALID),
        (b"\x30\x03\0\0\0", Reason.PROTOCOL_ERROR),
        (b"\x82\x03\0\1\0", Reason.PROTOCOL_ERROR),
        (b"\x20\x03\0\0\0", Reason.PROTOCOL_ERROR),
        (b"\x30\xff\xff\xff\xff\x7f", Reason.MALFORMED_PACKET),
        (b"\x30\xff\xff\xff\x7f", Reason.PACKET_TOO_LARGE),
    ],
)
async def test_malformed_packets_say_why_and_close(door: Door, data: bytes, reason: Reason) -> None:
    name = f"packets_refused.{reason.name.lower()}"
    before = door.count(name)
    client = await door.client(MQTT_5).connect()
    client.send_bytes(data)
    await client.refused(reason)
    assert door.count(name) == before + 1


async def test_enhanced_authentication_is_refused(door: Door) -> None:
    client = await door.client(MQTT_5, properties={"authentication_method": "SCRAM"}).connect()
    assert client.connack == Connack(False, Reason.BAD_AUTHENTICATION_METHOD)
    client = await door.client(MQTT_5).connect()
    client.send(Auth(0x18))
    await client.refused(Reason.PROTOCOL_ERROR)


@both
async def test_an_oversize_packet_is_refused_before_it_has_come(own_door: Callable[..., Door], version: int) -> None:
    door = own_door(limits={"max_payload": 1000})
    client = await door.client(version).connect()
    if version == MQTT_5:
        assert client.connack is not None
        assert client.connack.properties["maximum_packet_size"] == 1000 + 131_072
    client.send_bytes(b"\x30" + encode_variable(1000 + 131_073))
    await client.refused(Reason.PACKET_TOO_LARGE)
    client = await door.client(version).connect()
    client.send(Publish("plain", b"x" * 1001))
    await client.refused(Reason.PACKET_TOO_LARGE)


async def test_a_connection_without_connect_ends(door: Door) -> None:
    client = await door.client(MQTT_5).open()
    client.send_bytes(b"\x10")
    began = time.monotonic()
    assert await client.next() is None
    assert 8 < time.monotonic() - began < 40


async def test_the_number_of_connections_is_bounded(own_door: Callable[..., Door]) -> None:
    door = own_door(max_connections=2)
    clients = [await door.client(MQTT_5, f"c{n}").connect() for n in range(2)]
    third = await door.client(MQTT_5, "c3").open()
    third.send(Connect(MQTT_5, "c3"))
    await third.ended()
    assert door.count("connections_refused.limit") == 1
    await clients[0].disconnect()
    until(lambda: door.count("sockets") == 1)
    await (await door.client(MQTT_5, "c3").connect()).disconnect()


@both
async def test_permissions(door: Door, version: int) -> None:
    client = await door.client(version, device="limited").connect()
    assert await client.subscribe("mine/a", 1) == 1
    assert await client.subscribe("mine/#", 1) == 1
    assert await client.subscribe("v1/devices/me/#", 1) == 1
    denied = Reason.NOT_AUTHORIZED if version == MQTT_5 else 0x80
    for topic_filter in ("#", "+/a", "v1/devices/dev/#", "v1/devices/+/telemetry", "$share/g/#", "other"):
        assert await client.subscribe(topic_filter, 1) == denied, topic_filter
    bad = Reason.TOPIC_FILTER_INVALID if version == MQTT_5 else 0x80
    for topic_filter in ("mine/#/x", "mine+", "$share//x", ""):
        assert await client.subscribe(topic_filter, 1) == bad, topic_filter
    assert await client.publish("mine/a", b"1", 1) == 0
    assert (await client.message()).topic == "mine/a"
    assert await client.publish("v1/devices/me/rpc/response/1", b"{}", 1) == 0
    assert (await client.message()).topic == "v1/devices/me/rpc/response/1"
    await client.publish("other", b"dropped")
    await client.silence()
    if version == MQTT_5:
        assert await client.publish("other", b"1", 1) == Reason.NOT_AUTHORIZED
        assert await client.publish("other", b"1", 2) == Reason.NOT_AUTHORIZED
        await client.disconnect()
    else:
        client.send(Publish("other", b"1", 1, packet_id=99))
        await client.ended()


@both
async def test_a_will_needs_permission_too(door: Door, version: int) -> None:
    client = await door.client(version, device="limited", will=Will("other", b"x")).connect()
    assert client.connack is not None
    assert client.connack.reason == (Reason.NOT_AUTHORIZED if version == MQTT_5 else 5)


async def test_tenants_do_not_see_each_other(door: Door) -> None:
    async with (
        await door.client(MQTT_5, "f", "foreign").connect() as foreign,
        await door.client(MQTT_5, "t1").connect() as client,
    ):
        await foreign.subscribe("#", 1)
        await foreign.subscribe("$share/g/tenant/#", 1)
        await client.publish("tenant/x", b"secret", 1, retain=True)
        await client.publish(TELEMETRY, b"{}", 1)
        await foreign.silence()
        await foreign.subscribe("tenant/#", 1)
        await foreign.silence()
        await client.publish("tenant/x", b"", 1, retain=True)


async def test_own_topics_of_two_devices_do_not_meet(door: Door) -> None:
    async with (
        await door.client(MQTT_5, "o1", "dev").connect() as first,
        await door.client(MQTT_5, "o2", "dev2").connect() as second,
    ):
        await first.subscribe("v1/devices/me/#", 1)
        await second.subscribe("v1/devices/me/#", 1)
        await second.publish("v1/devices/dev/rpc/request/1", b"go", 1)
        message = await first.message()
        assert (message.topic, message.payload) == ("v1/devices/me/rpc/request/1", b"go")
        await second.silence()


@both
async def test_takeover(door: Door, version: int) -> None:
    first = await door.client(version, "taken").connect()
    async with await door.client(version, "taken").connect() as second:
        await first.refused(Reason.SESSION_TAKEN_OVER)
        await second.silence()


async def test_another_device_with_the_same_client_id_is_another_client(door: Door) -> None:
    async with (
        await door.client(MQTT_5, "same", "dev").connect() as first,
        await door.client(MQTT_5, "same", "dev2").connect() as second,
    ):
        await first.silence()
        await second.silence()


async def test_server_keep_alive_and_expiry_are_told(door: Door) -> None:
    client = await door.client(
        MQTT_5, keep_alive=120, properties={"session_expiry_interval": 0xFFFFFFFF, "request_response_information": 1}
    ).connect()
    assert client.connack is not None
    assert client.connack.properties["server_keep_alive"] == 60
    assert client.connack.properties["session_expiry_interval"] == 30 * 86_400
    assert client.connack.properties["response_information"] == "v1/devices/me/"
    client.send(Disconnect(0, {"session_expiry_interval": 0}))
    await client.ended()


async def test_an_expiry_cannot_be_set_at_the_end_only(door: Door) -> None:
    client = await door.client(MQTT_5).connect()
    client.send(Disconnect(0, {"session_expiry_interval": 5}))
    await client.refused(Reason.PROTOCOL_ERROR)


@both
async def test_a_silent_client_is_disconnected(door: Door, version: int) -> None:
    client = await door.client(version, keep_alive=1).connect()
    began = time.monotonic()
    await client.refused(Reason.KEEP_ALIVE_TIMEOUT)
    assert 1.4 < time.monotonic() - began < 40
    # One that speaks stays, longer than one and a half times its keep alive.
    async with await door.client(version, keep_alive=2).connect() as client:
        for _ in range(6):
            await asyncio.sleep(0.6)
            await client.silence()


async def test_topic_alias_from_the_client(door: Door) -> None:
    client = await door.client(MQTT_5).connect()
    await client.subscribe("alias/#")
    await client.publish("alias/1", b"1", properties={"topic_alias": 7})
    await client.publish("", b"2", properties={"topic_alias": 7})
    await client.publish("alias/2", b"3", properties={"topic_alias": 7})
    await client.publish("", b"4", 1, properties={"topic_alias": 7})
    assert [m.topic for m in await client.messages(4)] == ["alias/1", "alias/1", "alias/2", "alias/2"]
    client.send(Publish("alias/1", b"", properties={"topic_alias": 65}))
    await client.refused(Reason.TOPIC_ALIAS_INVALID)
    client = await door.client(MQTT_5).connect()
    client.send(Publish("", b"", properties={"topic_alias": 7}))
    await client.refused(Reason.PROTOCOL_ERROR)


async def test_topic_alias_for_telemetry(door: Door) -> None:
    before = len(door.taken())
    async with await door.client(MQTT_5).connect() as client:
        await client.publish(TELEMETRY, b"1", 1, properties={"topic_alias": 1})
        await client.publish("", b"2", 1, properties={"topic_alias": 1})
    assert [row["payload"] for row in door.taken()[before:]] == ["1", "2"]


async def test_topic_alias_from_the_server(door: Door) -> None:
    async with await door.client(MQTT_5, properties={"topic_alias_maximum": 1}).connect() as client:
        await client.subscribe("sa/#", 2)
        for qos in range(3):
            await client.publish("sa/1", b"x", qos)
        await client.publish("sa/2", b"x")
        first, second, third, fourth = await client.messages(4)
        assert (first.topic, first.properties["topic_alias"]) == ("sa/1", 1)
        assert [(m.topic, m.properties["topic_alias"]) for m in (second, third)] == [("", 1)] * 2
        assert (fourth.topic, fourth.properties) == ("sa/2", {})


async def test_receive_maximum_of_the_client(door: Door) -> None:
    async with await door.client(MQTT_5, properties={"receive_maximum": 2}).connect() as client:
        await client.subscribe("rm", 1)
        for n in range(4):
            await client.publish("rm", b"%d" % n, 1)
        one = await client.expect(Publish)
        two = await client.expect(Publish)
        await client.silence()
        client.send(Acknowledgement(PacketType.PUBACK, two.packet_id))
        three = await client.expect(Publish)
        assert three.payload == b"2"
        client.send(Acknowledgement(PacketType.PUBACK, one.packet_id))
        assert (await client.expect(Publish)).payload == b"3"


@pytest.mark.parametrize("topic", ["plain", TELEMETRY])
async def test_receive_maximum_of_the_server(own_door: Callable[..., Door], topic: str) -> None:
    door = own_door(limits={"receive_maximum": 10})
    client = await door.client(MQTT_5).connect()
    assert client.connack is not None
    assert client.connack.properties["receive_maximum"] == 10
    for n in range(1, 12):
        client.send(Publish(topic, b"slow", 2, packet_id=n))
    while isinstance(packet := await client.next(), Acknowledgement):
        assert packet.kind is PacketType.PUBREC
    assert packet == Disconnect(Reason.RECEIVE_MAXIMUM_EXCEEDED, packet.properties if packet else {})
    client = await door.client(MQTT_5).connect()
    for n in range(1, 12):
        client.send(Publish(TELEMETRY, b"slow", 1, packet_id=n))
    await client.refused(Reason.RECEIVE_MAXIMUM_EXCEEDED)


async def test_maximum_packet_size_of_the_client(door: Door) -> None:
    async with await door.client(MQTT_5, properties={"maximum_packet_size": 64}).connect() as client:
        await client.subscribe("mps", 1)
        await client.publish("mps", b"x" * 100, 1)
        await client.publish("mps", b"x" * 30, 1)
        assert len((await client.message()).payload) == 30


async def test_properties_are_forwarded(door: Door) -> None:
    properties = {
        "payload_format_indicator": 1,
        "content_type": "text/plain",
        "response_topic": "answers/1",
        "correlation_data": b"\0\1",
        "user_property": [("a", "1"), ("a", "2"), ("键", "值")],
    }
    async with await door.client(MQTT_5).connect() as client:
        await client.subscribe("props", 2, properties={"subscription_identifier": [268_435_455]})
        for qos in range(3):
            await client.publish("props", b"x", qos, properties=properties)
        for message in await client.messages(3):
            assert message.properties == {**properties, "subscription_identifier": [268_435_455]}


@both
async def test_retained_messages(door: Door, version: int) -> None:
    topic = f"retained/{version}/泵"
    async with await door.client(version).connect() as client:
        await client.publish(topic, b"old", 1, retain=True)
        await client.publish(topic, b"kept", 2, retain=True)
        await client.subscribe(f"retained/{version}/#", 1)
        message = await client.message()
        assert (message.topic, message.payload, message.retain, message.qos) == (topic, b"kept", True, 1)
        await client.publish(topic, b"live", 1, retain=True)
        assert (await client.message()).retain is False
        await client.publish(topic, b"", 1, retain=True)
        assert (await client.message()).payload == b""
        await client.subscribe(f"retained/{version}/#", 1)
        await client.silence()


@both
async def test_unsubscribe(door: Door, version: int) -> None:
    async with await door.client(version).connect() as client:
        await client.subscribe("un/1", 1)
        answer = await client.unsubscribe("un/1")
        again = await client.unsubscribe("un/1")
        if version == MQTT_5:
            assert (answer.reasons, again.reasons) == ([0], [Reason.NO_SUBSCRIPTION_EXISTED])
        await client.publish("un/1", b"x", 1)
        await client.silence()


async def test_one_subscribe_with_many_filters(door: Door) -> None:
    async with await door.client(MQTT_5).connect() as client:
        client.send(Subscribe(9, [Request(f"many/{n}", n % 3) for n in range(100)]))
        assert (await client.expect(Suback)).reasons == [n % 3 for n in range(100)]


async def test_acknowledgements_come_in_the_order_of_the_messages(door: Door) -> None:
    async with await door.client(MQTT_5).connect() as client:
        for packet_id, (topic, payload) in enumerate(
            [(TELEMETRY, b"slow"), ("plain", b"x"), (TELEMETRY, b"fast"), (TELEMETRY, b"bad")], start=1
        ):
            client.send(Publish(topic, payload, 1, packet_id=packet_id))
        acks = [await client.expect(Acknowledgement) for _ in range(4)]
        assert [ack.packet_id for ack in acks] == [1, 2, 3, 4]
        assert [ack.reason for ack in acks] == [0, 0, 0, Reason.PAYLOAD_FORMAT_INVALID]


async def test_a_slow_reader_does_not_fill_the_memory(own_door: Callable[..., Door]) -> None:
    door = own_door(limits={"max_queued": 100, "max_queued_bytes": 2_000_000})
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", door.port))
    raw.sendall(encode(Connect(MQTT_5, "slow", username="dev", password=b"secret-of-dev"), MQTT_5))
    raw.sendall(encode(Subscribe(1, [Request("bulk")]), MQTT_5))
    async with await door.client(MQTT_5, "fast").connect() as client:
        until(lambda: door.count("subscriptions") == 1)
        for _ in range(300):
            await client.publish("bulk", b"x" * 100_000, 1)
        assert door.count("messages_dropped.slow_subscriber") > 100
        assert door.count("messages_queued") <= 100
    raw.close()


async def test_reading_stops_while_the_intake_is_full(own_door: Callable[..., Door]) -> None:
    door = own_door()
    client = await door.client(MQTT_3_1_1).connect()
    door.ask("saturate")
    for n in range(1, 6):
        client.send(Publish(TELEMETRY, b"%d" % n, 1, packet_id=n))
    with pytest.raises(TimeoutError):
        await client.next(0.5)
    assert door.taken() == []
    door.ask("flow")
    assert [(await client.expect(Acknowledgement)).packet_id for _ in range(5)] == [1, 2, 3, 4, 5]


async def test_one_flooding_connection_does_not_hold_up_another(door: Door) -> None:
    flood = encode(Publish(TELEMETRY, b"{}"), MQTT_3_1_1) * 200_000
    loud = await door.client(MQTT_3_1_1, "loud").connect()
    async with await door.client(MQTT_3_1_1, "calm").connect() as calm:
        loud.send_bytes(flood)
        worst = 0.0
        for _ in range(50):
            began = time.monotonic()
            calm.send(Pingreq())
            await calm.next()
            worst = max(worst, time.monotonic() - began)
        assert worst < 0.5
    await loud.close()


async def test_wildcards_do_not_match_dollar_topics(own_door: Callable[..., Door]) -> None:
    door = own_door()
    async with await door.client(MQTT_5).connect() as client:
        await client.subscribe("#", 1)
        await client.subscribe("+/B", 1)
        await client.publish("$TopicA/B", b"hidden", 1)
        await client.silence()
        await client.subscribe("$TopicA/#", 1)
        await client.publish("$TopicA/B", b"asked for", 1)
        assert (await client.message()).payload == b"asked for"


@both
async def test_any_bytes_after_connect_leave_the_server_well(own_door: Callable[..., Door], version: int) -> None:
    door = own_door()
    chance = random.Random(20_261_122)
    seeds = [
        Publish("plain", b"x" * 20, 1, packet_id=3),
        Publish(TELEMETRY, b"{}", 2, packet_id=4),
        Publish(TELEMETRY, b"{}", 1, packet_id=5),
        Subscribe(6, [Request("a/#", 1), Request("$share/g/a", 2)]),
        Acknowledgement(PacketType.PUBREL, 4),
        Acknowledgement(PacketType.PUBREC, 9),
        Acknowledgement(PacketType.PUBCOMP, 9),
        Disconnect(),
        Pingreq(),
    ]
    for _ in range(150):
        client = await door.client(version, "fuzz", clean_start=chance.random() < 0.5).connect()
        stream = bytearray(b"".join(encode(chance.choice(seeds), version) for _ in range(12)))
        for _ in range(chance.randrange(4)):
            stream[chance.randrange(len(stream))] = chance.randrange(256)
        client.send_bytes(bytes(stream))
        client.send(Pingreq())
        with suppress(TimeoutError, PacketError):
            while await client.next(0.02) is not None:
                pass
        client.vanish()
    async with await door.client(version, "after").connect() as client:
        await client.silence()
    log = door.log.read_text()
    assert "Traceback" not in log, log
