"""The codec of the channel: any cutting gives the same frames; nothing that comes can hold more than the limit."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.confine.frames import FrameDecoder, FrameError, head

LIMIT = 1000
frames = st.lists(st.binary(max_size=LIMIT), max_size=8)


def wire(sent: list[bytes]) -> bytes:
    return b"".join(head(len(each), LIMIT) + each for each in sent)


def taken(decoder: FrameDecoder) -> list[bytes]:
    found = []
    while (frame := decoder.take()) is not None:
        found.append(frame)
    return found


@given(frames, st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_any_cutting_of_the_bytes_gives_the_same_frames(sent: list[bytes], cuts: list[int]) -> None:
    decoder, data, found = FrameDecoder(LIMIT), wire(sent), []
    position = 0
    while position < len(data):
        for cut in cuts:
            decoder.feed(data[position : position + cut])
            position += cut
            found += taken(decoder)
    assert found == sent
    assert not decoder.unfinished


@given(st.lists(st.binary(max_size=3000), max_size=10))
def test_garbage_gives_bounded_frames_or_an_error_and_nothing_else(portions: list[bytes]) -> None:
    decoder = FrameDecoder(LIMIT)
    for portion in portions:
        try:
            decoder.feed(portion)
        except FrameError:
            break
        assert all(len(frame) <= LIMIT for frame in taken(decoder))
        # What is kept of an unfinished frame is what came of it, and no more than the limit.
        assert sum(map(len, decoder._parts)) <= LIMIT


def test_a_length_above_the_limit_is_refused_before_a_byte_of_it_is_kept() -> None:
    decoder = FrameDecoder(LIMIT)
    with pytest.raises(FrameError, match="1001"):
        decoder.feed(struct.pack("<I", LIMIT + 1) + b"x" * 10)
    with pytest.raises(FrameError, match="longer than 1000"):
        head(LIMIT + 1, LIMIT)


def test_an_empty_frame_is_a_frame() -> None:
    decoder = FrameDecoder(LIMIT)
    decoder.feed(wire([b"", b"a", b""]))
    assert taken(decoder) == [b"", b"a", b""]
