import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.tree.link.frames import (
    MAX_BODIES,
    MAX_BODY_BYTES,
    MAX_FRAME_BYTES,
    VERSION,
    Ack,
    Data,
    Frame,
    FrameError,
    Hello,
    Ping,
    Pong,
    check_body,
    decode,
    encode,
)
from gongfu.tree.link.position import MAX_NUMBER, Position

tags = st.integers(1, 2**62 - 1)
epochs = st.integers(0, 2**53)
numbers = st.integers(0, 2**53 - 100)
times = st.integers(-(2**62), 2**62)
positions = st.builds(Position, epochs, numbers, st.integers(0, 2**63 - 1))
gaps = st.tuples(numbers, numbers).map(sorted)
frames: st.SearchStrategy[Frame] = st.one_of(
    st.builds(
        Hello,
        st.just(VERSION),
        st.text(min_size=1, max_size=64),
        tags,
        st.one_of(st.just(0), tags),
        st.booleans(),
        epochs,
        numbers,
        positions,
        st.booleans(),
    ),
    st.builds(Data, tags, epochs, numbers.map(lambda n: n + 1), st.lists(st.binary(), min_size=1).map(tuple)),
    st.builds(lambda to, e, n, gap: Ack(to, e, n, gap[0], gap[1]), tags, epochs, numbers, gaps),
    st.builds(Ping, tags, times),
    st.builds(Pong, tags, times, times),
)


@settings(deadline=None)
@given(frames)
def test_what_is_encoded_is_decoded(frame: Frame) -> None:
    assert decode(encode(frame)) == frame


def decode_or_refuse(data: bytes) -> None:
    """Any exception but FrameError fails the test."""
    try:
        frame = decode(data)
    except FrameError:
        return
    # What is let through is within every limit, so that it could be sent on.
    assert len(encode(frame)) <= MAX_FRAME_BYTES


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_a_frame_or_refused(data: bytes) -> None:
    decode_or_refuse(data)


@settings(deadline=None)
@given(frames, st.data())
def test_a_damaged_frame_is_a_frame_or_refused(frame: Frame, data: st.DataObject) -> None:
    raw = bytearray(encode(frame))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    decode_or_refuse(bytes(raw[: data.draw(st.integers(0, len(raw)))]))


@settings(deadline=None)
@given(st.recursive(st.one_of(st.none(), st.integers(-(2**63), 2**64 - 1), st.text(), st.binary()), st.lists))
def test_any_msgpack_is_a_frame_or_refused(value: object) -> None:
    decode_or_refuse(msgspec.msgpack.encode([2, value, 1, 1, [b"x"]]))
    decode_or_refuse(msgspec.msgpack.encode(value))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "frame-malformed"),
        (b"\x91" * 100_000, "frame-malformed"),
        # Behind the last field of a valid ping.
        (b"\x94\x04\x01\x01" + b"\x91" * 100_000, "frame-malformed"),
        # A list of 2**32 - 1 bodies that are not there.
        (b"\x95\x02\x01\x01\x01\xdd\xff\xff\xff\xff", "frame-malformed"),
        # A node's name that is not UTF-8.
        (b"\x99\x01\x01\xa2\xff\xff\x01\x00\xc3\x01\x00\x93\x00\x00\x00", "frame-malformed"),
        (b"\0" * (MAX_FRAME_BYTES + 1), "frame-too-large"),
        (msgspec.msgpack.encode(Data(1, 1, 1, ())), "frame-empty"),
        (msgspec.msgpack.encode(Data(1, 1, 1, (b"",) * (MAX_BODIES + 1))), "bodies-too-many"),
        (msgspec.msgpack.encode(Data(1, 1, 1, (b"x" * (MAX_BODY_BYTES + 1),))), "body-too-large"),
        (msgspec.msgpack.encode(Data(1, 1, MAX_NUMBER, (b"", b""))), "number-out-of-range"),
        (msgspec.msgpack.encode(Data(1, 1, 0, (b"",))), "frame-malformed"),
        (msgspec.msgpack.encode(Hello(VERSION + 1, "n", 1, 0, True, 1, 0, Position())), "version-unsupported"),
        (msgspec.msgpack.encode(Hello(VERSION, "n", 1, 0, True, 1, 0, Position(-1))), "number-out-of-range"),
        (msgspec.msgpack.encode(Hello(VERSION, "n", 1, 0, True, 1, 0, Position(1, 1, -1))), "number-out-of-range"),
        (msgspec.msgpack.encode(Hello(VERSION, "n", 0, 0, True, 1, 0, Position())), "frame-malformed"),
        (msgspec.msgpack.encode(Ack(1, 1, 1, 5, 4)), "number-out-of-range"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(FrameError) as caught:
        decode(data)
    assert caught.value.reason == reason


def test_what_would_be_refused_is_not_sent() -> None:
    with pytest.raises(FrameError, match="frame-too-large"):
        encode(Data(1, 1, 1, (b"x" * (MAX_BODY_BYTES - 1),) * 2))
    with pytest.raises(FrameError, match="body-too-large"):
        check_body(b"x" * (MAX_BODY_BYTES + 1))
    check_body(b"x" * MAX_BODY_BYTES)
    decode(encode(Data(2**62 - 1, 2**53, 2**53, (b"x" * MAX_BODY_BYTES,))))
