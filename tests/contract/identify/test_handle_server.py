"""A Handle server on real sockets: its own client, bytes by hand, and what does not belong there."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from gongfu.identify.handle.answering import Answering, Operation
from gongfu.identify.handle.bodies import Resolution, decode_error, decode_record, encode_resolution
from gongfu.identify.handle.client import ask_tcp, ask_udp
from gongfu.identify.handle.codes import MessageFlag, OpCode, OpFlag, ResponseCode
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
from gongfu.identify.handle.names import HandleName
from gongfu.identify.handle.resolution import Found, Nowhere, answer
from gongfu.identify.handle.server import HandleServer
from gongfu.identify.handle.values import HandleValue
from gongfu.kernel.counters import Counters

SMALL = HandleValue(1, "URL", "http://例子/工?a#b".encode())
LARGE = tuple(HandleValue(n, "DESC", bytes([n]) * 300) for n in range(1, 60))
WAIT_S = 30


def lookup(name: HandleName) -> Found | Nowhere:
    records = {"99.1/工 厂/%2F?#": (SMALL,), "99.1/large": LARGE}
    if name.suffix == "fault":
        raise RuntimeError("a fault of the store")
    return Found(records[name.key]) if name.key in records else Nowhere()


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest_asyncio.fixture
async def port(counters: Counters) -> AsyncIterator[int]:
    operations: dict[int, Operation] = {OpCode.RESOLUTION: lambda asked: answer(asked.message, lookup)}
    server = HandleServer(Answering(operations, counters, now=lambda: 1_000))
    yield await server.start(port=0)
    await server.stop()


def resolution(handle: str, flags: int = 0, expires: int = 0) -> Message:
    header = Header(OpCode.RESOLUTION, flags=flags, expires=expires)
    return Message(header, encode_resolution(Resolution(handle)))


@pytest.mark.parametrize("ask", [ask_tcp, ask_udp], ids=["tcp", "udp"])
@pytest.mark.parametrize(
    ("handle", "values"), [("99.1/工 厂/%2F?#", (SMALL,)), ("99.1/large", LARGE)], ids=["small", "large"]
)
async def test_values(
    ask: Callable[[str, int, Message, float], Awaitable[Message]],
    port: int,
    handle: str,
    values: tuple[HandleValue, ...],
) -> None:
    said = await ask("127.0.0.1", port, resolution(handle), WAIT_S)
    assert said.header.response == ResponseCode.SUCCESS
    assert decode_record(said.body).values == values


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (resolution("99.1/none"), ResponseCode.HANDLE_NOT_FOUND),
        (resolution("99.1/fault"), ResponseCode.ERROR),
        (resolution("99.1/large", expires=999), ResponseCode.ERROR),
        (Message(Header(OpCode.CREATE_HANDLE), b""), ResponseCode.OPERATION_DENIED),
        (Message(Header(7777), b""), ResponseCode.PROTOCOL_ERROR),
        (Message(Header(OpCode.RESOLUTION), b"\xff\xff"), ResponseCode.PROTOCOL_ERROR),
    ],
)
async def test_errors_have_words(port: int, counters: Counters, message: Message, code: ResponseCode) -> None:
    for said in (
        await ask_tcp("127.0.0.1", port, message, WAIT_S),
        await ask_udp("127.0.0.1", port, message, WAIT_S),
    ):
        assert said.header.response == code
        assert decode_error(said.body)[0]
    assert counters.snapshot()[f"handle_answers.{code.name.lower().replace('_', '-')}"] == 2


async def test_a_connection_that_is_kept(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    encoded = encode_message(resolution("99.1/large", OpFlag.KEEP_CONNECTION))
    # Three at once, the last one in two pieces; the last is not to be kept.
    last = encode_message(resolution("99.1/none"))
    sent = b"".join(encode_envelope(Envelope(n, len(encoded))) + encoded for n in (1, 2))
    sent += encode_envelope(Envelope(3, len(last))) + last
    writer.write(sent[:-5])
    await asyncio.sleep(0)
    writer.write(sent[-5:])
    async with asyncio.timeout(WAIT_S):
        received = await reader.read()
    codes: list[tuple[int, int]] = []
    while received:
        envelope = decode_envelope(received)
        end = ENVELOPE_BYTES + envelope.length
        codes.append((envelope.request, decode_message(received[ENVELOPE_BYTES:end]).header.response))
        received = received[end:]
    assert codes == [(1, 1), (2, 1), (3, 100)]
    writer.close()


async def test_what_is_no_message_ends_a_connection(port: int, counters: Counters) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    async with asyncio.timeout(WAIT_S):
        assert await reader.read() == b""
    writer.close()
    assert counters.snapshot()["handle_requests_dropped.value"] == 1


async def test_answers_are_not_answered(port: int, counters: Counters) -> None:
    message = encode_message(Message(Header(OpCode.RESOLUTION, ResponseCode.SUCCESS), b""))
    with pytest.raises(TimeoutError):
        await ask_udp("127.0.0.1", port, decode_message(message), 0.05, 1)
    assert counters.snapshot()["handle_requests_dropped.not-a-request"] == 1


async def test_packets_that_never_become_a_message_are_bounded(port: int, counters: Counters) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        request = 0
        async with asyncio.timeout(WAIT_S):
            while not counters.snapshot().get("handle_requests_dropped.incomplete"):
                request += 1
                envelope = Envelope(request, 1000, flags=MessageFlag.TRUNCATED)
                sender.sendto(encode_envelope(envelope) + bytes(492), ("127.0.0.1", port))
                await asyncio.sleep(0)
    assert request > 1000
    said = await ask_udp("127.0.0.1", port, resolution("99.1/none"), WAIT_S)
    assert said.header.response == ResponseCode.HANDLE_NOT_FOUND


@pytest.mark.parametrize("seed", range(3))
async def test_damaged_packets(port: int, seed: int) -> None:
    rng = random.Random(seed)
    encoded = encode_message(resolution("99.1/large"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for request in range(300):
            packet = bytearray(encode_envelope(Envelope(request, len(encoded))) + encoded)
            for _ in range(rng.randint(1, 4)):
                packet[rng.randrange(len(packet))] = rng.randrange(256)
            sender.sendto(packet[: rng.randint(0, len(packet))], ("127.0.0.1", port))
            await asyncio.sleep(0)
    said = await ask_udp("127.0.0.1", port, resolution("99.1/large"), WAIT_S)
    assert decode_record(said.body).values == LARGE
