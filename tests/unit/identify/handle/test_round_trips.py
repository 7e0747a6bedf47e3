"""What is written is read again, and no bytes at all make a reader fail in another way than it says."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.identify.handle import bodies, predefined
from gongfu.identify.handle.codes import MessageFlag
from gongfu.identify.handle.datagrams import DATA_BYTES, PACKET_BYTES, Assembly, packets
from gongfu.identify.handle.envelope import (
    ENVELOPE_BYTES,
    Envelope,
    Header,
    Message,
    decode_envelope,
    decode_message,
    encode_message,
)
from gongfu.identify.handle.names import folded, parents, parse_handle
from gongfu.identify.handle.wire import MalformedError
from tests.unit.identify.handle import messages

CODECS: list[tuple[st.SearchStrategy[Any], Callable[[Any], bytes], Callable[[bytes], Any]]] = [
    (messages.RESOLUTIONS, bodies.encode_resolution, bodies.decode_resolution),
    (messages.RECORDS, bodies.encode_record, bodies.decode_record),
    (messages.REMOVALS, bodies.encode_removal, bodies.decode_removal),
    (messages.ANSWERS, bodies.encode_challenge_answer, bodies.decode_challenge_answer),
    (messages.TEXTS, bodies.encode_handle, bodies.decode_handle),
    (st.lists(messages.TEXTS, max_size=4).map(tuple), bodies.encode_handles, bodies.decode_handles),
    (st.binary(max_size=30), bodies.encode_challenge, bodies.decode_challenge),
    (messages.ADMINISTRATORS, predefined.encode_administrator, predefined.decode_administrator),
    (
        st.lists(messages.REFERENCES, max_size=4).map(tuple),
        predefined.encode_references,
        predefined.decode_references,
    ),
    (messages.SITES, predefined.encode_site, predefined.decode_site),
]


@given(st.data(), st.sampled_from(CODECS))
def test_round_trip(data: st.DataObject, codec: tuple[Any, Any, Any]) -> None:
    strategy, encode, decode = codec
    value = data.draw(strategy)
    assert decode(encode(value)) == value


@given(st.data(), st.sampled_from(CODECS))
def test_damaged_bytes_are_malformed_or_something_else_that_is_whole(
    data: st.DataObject, codec: tuple[Any, Any, Any]
) -> None:
    strategy, encode, decode = codec
    encoded = bytearray(encode(data.draw(strategy)))
    for _ in range(data.draw(st.integers(1, 3))):
        if encoded:
            encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(encoded[: data.draw(st.integers(0, len(encoded)))])
    for damaged in (bytes(encoded), cut):
        try:
            read = decode(damaged)
        except MalformedError:
            continue
        assert decode(encode(read)) == read


@given(st.binary(max_size=80))
def test_any_bytes_as_a_message(data: bytes) -> None:
    try:
        message = decode_message(data)
    except MalformedError:
        return
    assert encode_message(message) == data or not message.credential


HEADERS = st.builds(
    Header,
    operation=messages.INTEGERS,
    response=messages.INTEGERS,
    flags=messages.INTEGERS,
    site_serial=st.integers(0, 0xFFFF),
    recursions=st.integers(0, 255),
    expires=messages.INTEGERS,
)


@given(HEADERS, st.binary(max_size=60), st.binary(max_size=20))
def test_message(header: Header, body: bytes, credential: bytes) -> None:
    encoded = encode_message(Message(header, body, credential))
    assert decode_message(encoded) == Message(header, body, credential, encoded[: 24 + len(body)])


@given(st.integers(24, 6 * DATA_BYTES), st.data())
def test_packets_in_any_order_and_twice(size: int, data: st.DataObject) -> None:
    message = bytes(n % 251 for n in range(size))
    cut = packets(Envelope(request=7, length=size, session=3), message)
    assert all(len(packet) <= PACKET_BYTES for packet in cut)
    assert [decode_envelope(packet).sequence for packet in cut] == list(range(len(cut)))
    assert all(decode_envelope(packet).truncated is (len(cut) > 1) for packet in cut)
    order = data.draw(st.permutations(cut + data.draw(st.lists(st.sampled_from(cut), max_size=3))))
    assembly = Assembly(size)
    found = [assembly.add(decode_envelope(packet), packet[ENVELOPE_BYTES:]) for packet in order]
    assert message in found
    assert all(item in (None, message) for item in found)


@pytest.mark.parametrize(
    ("envelope", "size"),
    [
        (Envelope(1, 1000, sequence=0, flags=MessageFlag.TRUNCATED), DATA_BYTES - 1),
        (Envelope(1, 1000, sequence=2, flags=MessageFlag.TRUNCATED), DATA_BYTES),
        (Envelope(1, 1000, sequence=3, flags=MessageFlag.TRUNCATED), 1),
        (Envelope(1, 2000, sequence=0, flags=MessageFlag.TRUNCATED), DATA_BYTES),
        (Envelope(1, 1000, sequence=2**32 - 1, flags=MessageFlag.TRUNCATED), 1),
    ],
)
def test_packet_that_does_not_fit(envelope: Envelope, size: int) -> None:
    with pytest.raises(MalformedError) as raised:
        Assembly(1000).add(envelope, bytes(size))
    assert raised.value.reason == "length"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("99.ab/C", "99.AB/C"),
        ("99.1/a/b?c#d%20 工", "99.1/a/b?c#d%20 工"),
        ("0.na/99.ab", "0.NA/99.AB"),
        ("99.é/x", "99.é/x"),
        ("99.1/", "99.1/"),
    ],
)
def test_names(name: str, key: str) -> None:
    parsed = parse_handle(name)
    assert (str(parsed), parsed.key) == (name, key)


@pytest.mark.parametrize("name", ["", "/", "99", "/a", ".1/a", "1./a", "1..2/a", "9 9/a", "9\n/a", "9/" + "工" * 683])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(MalformedError):
        parse_handle(name)


def test_prefixes_above() -> None:
    assert parents("99.1.ab") == ("99.1", "99")
    assert parents("99") == ()
    assert folded("99.aß") == "99.Aß"
