"""Damaged frames sent to a live Handle server: it answers with a code of the protocol or not at all, and goes on.

The frames are valid ones of every operation with bytes changed, cut, doubled, and lengths and counts that lie.
"""

import asyncio
import logging
import tempfile
from pathlib import Path

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.identify.handle.bodies import (
    ChallengeAnswer,
    Record,
    Removal,
    Resolution,
    encode_challenge_answer,
    encode_handle,
    encode_record,
    encode_removal,
    encode_resolution,
)
from gongfu.identify.handle.codes import OpCode, OpFlag, ResponseCode
from gongfu.identify.handle.datagrams import packets
from gongfu.identify.handle.envelope import (
    ENVELOPE_BYTES,
    Envelope,
    Header,
    Message,
    decode_envelope,
    decode_message,
    encode_envelope,
    encode_message,
)
from gongfu.identify.handle.names import parse_handle
from gongfu.identify.handle.values import HandleValue, Reference
from tests.fixtures.handle_service import OWNER, HandleNode, handle_node
from tests.fixtures.identifiers import PREFIX

EXAMPLES = 60
FRAMES = 12
WAIT_S = 60
KEEP = OpFlag.KEEP_CONNECTION
VALUES = (HandleValue(1, "URL", b"a"), HandleValue(7, "X", b"\xff" * 600, references=(Reference(OWNER, 1),)))

BODIES: dict[int, bytes] = {
    OpCode.RESOLUTION: encode_resolution(Resolution(OWNER, (100, 300), ("HS_ADMIN", "URL"))),
    OpCode.GET_SITE_INFO: encode_handle(""),
    OpCode.CREATE_HANDLE: encode_record(Record(f"{PREFIX}/泵", VALUES)),
    OpCode.DELETE_HANDLE: encode_handle(f"{PREFIX}/泵"),
    OpCode.ADD_VALUE: encode_record(Record(OWNER, VALUES)),
    OpCode.MODIFY_VALUE: encode_record(Record(OWNER, VALUES[:1])),
    OpCode.REMOVE_VALUE: encode_removal(Removal(OWNER, (1, 2, 3))),
    OpCode.LIST_HANDLE: encode_handle(f"0.NA/{PREFIX}"),
    OpCode.CHALLENGE_RESPONSE: encode_challenge_answer(ChallengeAnswer("HS_SECKEY", OWNER, 300, b"\x03" + bytes(32))),
    OpCode.VERIFY_RESPONSE: b"",
    OpCode.SESSION_SETUP: bytes(20),
    OpCode.LOGIN: b"{}",
}
# Where 4 bytes that lie are most likely to be believed: lengths and counts.
LIES = st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**20, 492, 20])


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    operation = draw(st.sampled_from(sorted(BODIES)))
    flags = draw(st.one_of(st.just(int(KEEP)), st.integers(0, 2**32 - 1)))
    message = bytearray(encode_message(Message(Header(operation, flags=flags), BODIES[operation])))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(message) - 4))
        if draw(st.booleans()):
            message[at : at + 4] = draw(LIES).to_bytes(4, "big")
        else:
            message[at] = draw(st.integers(0, 255))
    if draw(st.integers(0, 4)) == 0:
        message = message[: draw(st.integers(0, len(message)))]
    elif draw(st.integers(0, 6)) == 0:
        message = message * 2
    # The envelope says the truth in most frames, or nobody would read on.
    head = bytearray(encode_envelope(Envelope(draw(st.integers(0, 2**32 - 1)), len(message))))
    if draw(st.integers(0, 5)) == 0:
        head[draw(st.integers(0, len(head) - 1))] = draw(st.integers(0, 255))
    return bytes(head + message)


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.some = asyncio.Event()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.received.append(data)
        self.some.set()


def check(data: bytes) -> None:
    """All that came back is whole, and of codes that the protocol has."""
    while data:
        envelope = decode_envelope(data)
        end = ENVELOPE_BYTES + envelope.length
        assert len(data) >= end
        ResponseCode(decode_message(data[ENVELOPE_BYTES:end]).header.response)
        data = data[end:]


async def said_over_tcp(port: int, sent: list[bytes]) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        for frame in sent:
            writer.write(frame)
        writer.write_eof()
        async with asyncio.timeout(WAIT_S):
            received = await reader.read()
    except ConnectionError:
        pass
    finally:
        writer.close()
    return received


async def attack(node: HandleNode, sent: list[bytes]) -> None:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(Datagrams, remote_addr=("127.0.0.1", node.port))
    try:
        for frame in sent:
            if len(frame) <= 60_000:
                transport.sendto(frame)
        received = await said_over_tcp(node.port, sent)
        # One that was cut off by a frame before it says nothing of those behind it.
        for frame in sent[1:]:
            received += await said_over_tcp(node.port, [frame])
    finally:
        transport.close()
    check(received)
    for packet in protocol.received:
        decode_envelope(packet)
    # It still answers, what it should.
    header = Header(OpCode.RESOLUTION)
    for ask in (node.udp, node.tcp):
        said = await ask(Message(header, encode_resolution(Resolution(OWNER, (100,)))))
        assert said.header.response == ResponseCode.SUCCESS


def test_damaged_frames(caplog: pytest.LogCaptureFixture) -> None:
    with tempfile.TemporaryDirectory() as directory, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        opened = handle_node(Path(directory))
        node = runner.run(opened.__aenter__())
        held = node.node.identifiers.lookup(parse_handle(OWNER))

        @settings(max_examples=EXAMPLES, deadline=None, database=None)
        @given(st.lists(frames(), min_size=1, max_size=FRAMES))
        def damaged(sent: list[bytes]) -> None:
            runner.run(attack(node, sent))

        try:
            damaged()
            # Nothing was changed by who has proved nothing.
            assert node.node.identifiers.lookup(parse_handle(OWNER)) == held
            assert node.node.identifiers.handles(PREFIX) == [OWNER]
            # Faults of ours are logged.
            assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
        finally:
            runner.run(opened.__aexit__(None, None, None))


async def test_large_requests_over_udp(tmp_path: Path) -> None:
    """Packets of a request in any order, some of them twice, some never."""
    async with handle_node(tmp_path) as node:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(Datagrams, remote_addr=("127.0.0.1", node.port))
        record = Record(f"{PREFIX}/large", tuple(HandleValue(n, "NOTE", bytes(200)) for n in range(1, 60)))
        encoded = encode_message(Message(Header(OpCode.CREATE_HANDLE), encode_record(record)))
        cut = packets(Envelope(77, len(encoded)), encoded)
        for packet in (*cut[3:], *cut[3:6], *cut[1:3], cut[0], cut[0]):
            transport.sendto(packet)
        async with asyncio.timeout(WAIT_S):
            await protocol.some.wait()
        transport.close()
        answer = protocol.received[0]
        assert decode_envelope(answer).request == 77
        said = decode_message(answer[ENVELOPE_BYTES:])
        assert said.header.response == ResponseCode.AUTHENTICATION_NEEDED
