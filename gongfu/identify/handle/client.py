"""A small client of the Handle protocol: one request, one answer. For referrals, the command line and tests."""

import asyncio
import secrets

import msgspec

from gongfu.identify.handle.datagrams import Assembly, packets
from gongfu.identify.handle.envelope import (
    ENVELOPE_BYTES,
    Envelope,
    Message,
    decode_envelope,
    decode_message,
    encode_envelope,
    encode_message,
)
from gongfu.identify.handle.wire import MalformedError


def draw_request() -> int:
    """Return a random id of a request, which a stranger cannot guess."""
    return secrets.randbits(32)


async def ask_tcp(host: str, port: int, message: Message, seconds: float = 5.0) -> Message:
    """Return the answer to a request over TCP. The session of both is ``Message.session``.

    Raises:
        OSError: there is no connection, or it ended.
        TimeoutError: no answer in time.
        MalformedError: the answer is none, or of another request.
    """
    encoded = encode_message(message)
    request = draw_request()
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(encode_envelope(Envelope(request, len(encoded), message.session or 0)) + encoded)
            envelope = decode_envelope(await _exactly(reader, ENVELOPE_BYTES))
            if envelope.request != request:
                raise MalformedError("value", "the answer is of another request")
            return _received(envelope, await _exactly(reader, envelope.length))
        finally:
            writer.close()


def _received(envelope: Envelope, data: bytes) -> Message:
    return msgspec.structs.replace(decode_message(data), session=envelope.session)


async def _exactly(reader: asyncio.StreamReader, size: int) -> bytes:
    try:
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("the server ended the connection") from error


class _Waiting(asyncio.DatagramProtocol):
    def __init__(self, request: int, answer: "asyncio.Future[Message]") -> None:
        self._request = request
        self._answer = answer
        self._assembly: Assembly | None = None

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            envelope = decode_envelope(data)
            if envelope.request != self._request or self._answer.done():
                return
            if self._assembly is None:
                self._assembly = Assembly(envelope.length)
            whole = self._assembly.add(envelope, data[ENVELOPE_BYTES:])
            if whole is not None:
                self._answer.set_result(_received(envelope, whole))
        except MalformedError as error:
            if not self._answer.done():
                self._answer.set_exception(error)

    def error_received(self, exc: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc)


async def ask_udp(host: str, port: int, message: Message, seconds: float = 1.0, tries: int = 3) -> Message:
    """Return the answer to a request over UDP, which is sent again when none comes. Sessions as with ``ask_tcp``.

    Raises:
        OSError: nobody listens.
        TimeoutError: no answer, each time.
        MalformedError: the answer is none.
    """
    encoded = encode_message(message)
    request = draw_request()
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Message] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Waiting(request, answer), remote_addr=(host, port))
    try:
        for _ in range(tries):
            for packet in packets(Envelope(request, len(encoded), message.session or 0), encoded):
                transport.sendto(packet)
            done, _ = await asyncio.wait([answer], timeout=seconds)
            if done:
                return answer.result()
        raise TimeoutError(f"no answer from {host}:{port}")
    finally:
        transport.close()
        answer.cancel()
