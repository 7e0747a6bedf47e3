"""Every packet round-trips; no bytes raise anything but the defined error; the splitter does not care about pieces."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.ingest.mqtt.codec.decoding import decode
from gongfu.ingest.mqtt.codec.encoding import encode
from gongfu.ingest.mqtt.codec.fields import Reader, encode_variable
from gongfu.ingest.mqtt.codec.packets import MQTT_3_1_1, MQTT_5, Connect, Packet, Publish
from gongfu.ingest.mqtt.codec.reasons import PacketError, Reason
from gongfu.ingest.mqtt.codec.splitter import Splitter
from tests.unit.mqtt.packets_strategy import packets, versions

LIMIT = 1_000_000


def unpack(data: bytes, version: int) -> Packet:
    [(first, body)] = Splitter(LIMIT).feed(data)
    return decode(first, body, version)


@given(st.data(), versions)
def test_round_trip(data: st.DataObject, version: int) -> None:
    packet = data.draw(packets(version))
    assert unpack(encode(packet, version), version) == packet


@settings(max_examples=400)
@given(st.integers(0, 255), st.binary(max_size=80), versions)
def test_any_bytes_decode_or_raise_the_defined_error(first: int, body: bytes, version: int) -> None:
    with suppress(PacketError):
        decode(first, body, version)


@settings(max_examples=400)
@given(st.data(), versions)
def test_damaged_packets_decode_or_raise_the_defined_error(data: st.DataObject, version: int) -> None:
    good = bytearray(encode(data.draw(packets(version)), version))
    for _ in range(data.draw(st.integers(1, 3))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    with suppress(PacketError):
        for first, body in Splitter(LIMIT).feed(bytes(good)):
            decode(first, body, version)


@given(st.data(), versions)
def test_truncated_packets_never_decode_to_something_longer(data: st.DataObject, version: int) -> None:
    whole = encode(data.draw(packets(version)), version)
    [(first, body)] = Splitter(LIMIT).feed(whole)
    cut = body[: data.draw(st.integers(0, len(body)))]
    try:
        again = decode(first, cut, version)
    except PacketError:
        return
    # What is left may be a packet (a shorter payload, one filter fewer), but never with bytes that were cut off.
    assert len(encode(again, version)) <= len(whole)


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=8), st.data())
def test_splitter_gives_the_same_packets_for_any_pieces(items: list[tuple[int, bytes]], data: st.DataObject) -> None:
    stream = b"".join(bytes([first]) + encode_variable(len(body)) + body for first, body in items)
    splitter = Splitter(LIMIT)
    found: list[tuple[int, bytes]] = []
    position = 0
    while position < len(stream):
        size = data.draw(st.integers(1, 40))
        found += splitter.feed(stream[position : position + size])
        position += size
    assert found == items


def test_splitter_refuses_a_large_packet_from_its_header_on() -> None:
    splitter = Splitter(1000)
    with pytest.raises(PacketError) as caught:
        splitter.feed(b"\x30" + encode_variable(1001))
    assert caught.value.reason is Reason.PACKET_TOO_LARGE


@given(st.integers(0, 268_435_455))
def test_variable_integer_round_trip(value: int) -> None:
    assert Reader(encode_variable(value)).variable() == value


@pytest.mark.parametrize("data", [b"\x80\x00", b"\xff\xff\xff\xff\x01", b"\x80\x80\x80\x80\x01", b"\xff"])
def test_variable_integer_only_in_its_shortest_form(data: bytes) -> None:
    with pytest.raises(PacketError):
        Reader(data).variable()


CONNECT_4 = b"\0\4MQTT\4"
CASES: list[tuple[str, int, bytes, int, Reason]] = [
    ("reserved packet type", 0x00, b"", MQTT_5, Reason.MALFORMED_PACKET),
    ("flags of CONNECT", 0x11, CONNECT_4, MQTT_5, Reason.MALFORMED_PACKET),
    ("reserved connect flag", 0x10, CONNECT_4 + b"\x03\0\0\0\0", MQTT_5, Reason.MALFORMED_PACKET),
    ("will QoS without will", 0x10, CONNECT_4 + b"\x0a\0\0\0\0", MQTT_5, Reason.MALFORMED_PACKET),
    ("will QoS 3", 0x10, CONNECT_4 + b"\x1e\0\0\0\0\0\1a\0\0", MQTT_5, Reason.MALFORMED_PACKET),
    ("password without user in 3.1.1", 0x10, CONNECT_4 + b"\x42\0\0\0\0\0\1p", MQTT_5, Reason.MALFORMED_PACKET),
    ("MQTT 3.1", 0x10, b"\0\6MQIsdp\3\2\0\0\0\0", MQTT_5, Reason.UNSUPPORTED_PROTOCOL_VERSION),
    ("MQTT 6", 0x10, b"\0\4MQTT\6\2\0\0\0\0", MQTT_5, Reason.UNSUPPORTED_PROTOCOL_VERSION),
    ("another protocol", 0x10, b"\0\2hj\4\2\0\0\0\0", MQTT_5, Reason.PROTOCOL_ERROR),
    ("bytes after CONNECT", 0x10, CONNECT_4 + b"\x02\0\0\0\0\0", MQTT_5, Reason.MALFORMED_PACKET),
    ("receive maximum 0", 0x10, b"\0\4MQTT\5\2\0\0\3\x21\0\0\0\0", MQTT_5, Reason.PROTOCOL_ERROR),
    ("auth data without method", 0x10, b"\0\4MQTT\5\2\0\0\4\x16\0\1x\0\0", MQTT_5, Reason.PROTOCOL_ERROR),
    ("QoS 3", 0x36, b"\0\1a\0\1", MQTT_3_1_1, Reason.MALFORMED_PACKET),
    ("DUP at QoS 0", 0x38, b"\0\1a", MQTT_3_1_1, Reason.MALFORMED_PACKET),
    ("packet id 0", 0x32, b"\0\1a\0\0", MQTT_3_1_1, Reason.MALFORMED_PACKET),
    ("empty topic", 0x30, b"\0\0", MQTT_3_1_1, Reason.PROTOCOL_ERROR),
    ("empty topic without alias", 0x30, b"\0\0\0", MQTT_5, Reason.PROTOCOL_ERROR),
    ("wildcard in topic", 0x30, b"\0\3a/#", MQTT_3_1_1, Reason.TOPIC_NAME_INVALID),
    ("U+0000 in topic", 0x30, b"\0\3a\0b", MQTT_3_1_1, Reason.MALFORMED_PACKET),
    ("surrogate in topic", 0x30, b"\0\3\xed\xa0\x80", MQTT_3_1_1, Reason.MALFORMED_PACKET),
    ("topic longer than packet", 0x30, b"\0\x09a", MQTT_3_1_1, Reason.MALFORMED_PACKET),
    ("topic alias 0", 0x30, b"\0\1a\3\x23\0\0", MQTT_5, Reason.TOPIC_ALIAS_INVALID),
    ("unknown property", 0x30, b"\0\1a\2\x7f\0", MQTT_5, Reason.MALFORMED_PACKET),
    ("property of another packet", 0x30, b"\0\1a\3\x21\0\1", MQTT_5, Reason.PROTOCOL_ERROR),
    ("property twice", 0x30, b"\0\1a\4\1\0\1\0", MQTT_5, Reason.PROTOCOL_ERROR),
    ("flag property of 2", 0x30, b"\0\1a\2\1\2", MQTT_5, Reason.PROTOCOL_ERROR),
    ("property length beyond packet", 0x30, b"\0\1a\x09\1", MQTT_5, Reason.MALFORMED_PACKET),
    ("flags of SUBSCRIBE", 0x80, b"\0\1\0\1a\0", MQTT_3_1_1, Reason.MALFORMED_PACKET),
    ("SUBSCRIBE without filters", 0x82, b"\0\1", MQTT_3_1_1, Reason.PROTOCOL_ERROR),
    ("subscription QoS 3", 0x82, b"\0\1\0\1a\3", MQTT_3_1_1, Reason.MALFORMED_PACKET),
    ("reserved options in 3.1.1", 0x82, b"\0\1\0\1a\4", MQTT_3_1_1, Reason.MALFORMED_PACKET),
    ("retain handling 3", 0x82, b"\0\1\0\0\1a\x30", MQTT_5, Reason.MALFORMED_PACKET),
    ("subscription identifier 0", 0x82, b"\0\1\2\x0b\0\0\1a\0", MQTT_5, Reason.PROTOCOL_ERROR),
    ("UNSUBSCRIBE without filters", 0xA2, b"\0\1", MQTT_3_1_1, Reason.PROTOCOL_ERROR),
    ("flags of PUBREL", 0x60, b"\0\1", MQTT_3_1_1, Reason.MALFORMED_PACKET),
    ("body of PINGREQ", 0xC0, b"x", MQTT_3_1_1, Reason.MALFORMED_PACKET),
    ("reason in 3.1.1 DISCONNECT", 0xE0, b"\0", MQTT_3_1_1, Reason.MALFORMED_PACKET),
    ("AUTH in 3.1.1", 0xF0, b"", MQTT_3_1_1, Reason.MALFORMED_PACKET),
]


@pytest.mark.parametrize(("name", "first", "body", "version", "reason"), CASES, ids=[case[0] for case in CASES])
def test_bad_packets_have_their_reason(name: str, first: int, body: bytes, version: int, reason: Reason) -> None:
    with pytest.raises(PacketError) as caught:
        decode(first, body, version)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    "topic", ["a b", "工厂/泵 1/温度", "a.b", "a//b", "a/", "$x/y", "a>b/*", "x" * 300 + "/y", "t" * 65_535]
)
@pytest.mark.parametrize("version", [MQTT_3_1_1, MQTT_5])
def test_unusual_topics_are_topics(topic: str, version: int) -> None:
    packet = Publish(topic, b"x", 1, packet_id=7)
    assert unpack(encode(packet, version), version) == packet


def test_a_password_is_not_shown() -> None:
    assert "hush" not in repr(Connect(MQTT_5, "c", username="u", password=b"hush"))
