"""Handle requests over UDP (RFC 3652 §2.1, §2.3).

A request that comes again while its answer is being made, or soon after, is not done twice: clients send again when
they hear nothing. Answers have a greatest length here, because anybody can write anybody's address on a datagram.
"""

import asyncio
from collections import OrderedDict
from typing import cast

from gongfu.identify.handle.answering import Answering, Later, Reply, envelope_of
from gongfu.identify.handle.codes import ResponseCode
from gongfu.identify.handle.datagrams import Assembly, packets
from gongfu.identify.handle.envelope import ENVELOPE_BYTES, Envelope, decode_envelope
from gongfu.identify.handle.kept import answer_packet, is_single, kept_key, kept_value
from gongfu.identify.handle.wire import MalformedError

# Messages in several packets that are being put together; each at most this large. More than that comes over TCP.
_ASSEMBLIES = 1000
_ASSEMBLY_BYTES = 64 * 1024
_ANSWER_BYTES = 64 * 1024
# Answers of requests that change something, for those that come again.
_REMEMBERED = 1000

Address = tuple[str, int]
_Request = tuple[Address, int, int, bytes]


class Datagrams(asyncio.DatagramProtocol):
    """One UDP socket."""

    def __init__(self, answering: Answering) -> None:
        """Make it."""
        self._answering = answering
        self._kept = answering.kept
        self._counters = answering.counters
        self._transport: asyncio.DatagramTransport | None = None
        self._assemblies: OrderedDict[tuple[Address, int, int], Assembly] = OrderedDict()
        # None while the answer is being made.
        self._later: OrderedDict[_Request, Reply | None] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        # asyncio's own is no subclass of it.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Answer a datagram."""
        kept = self._kept.get(kept_key(data))
        if kept is not None and self._transport is not None and is_single(kept):
            self._counters.add("handle_answers.success")
            self._transport.sendto(answer_packet(data, kept), addr)
            return
        try:
            envelope = decode_envelope(data)
            message = self._whole(envelope, data[ENVELOPE_BYTES:], addr)
        except MalformedError as error:
            # Without a sure envelope there is nobody to answer: who sends nonsense must not get more back.
            self._counters.add(f"handle_requests_dropped.{error.reason}")
            return
        if message is None:
            return
        request = addr, envelope.session, envelope.request, message
        if request in self._later:
            self._again(envelope, request)
            return
        reply = self._answering.answer(envelope, message)
        if isinstance(reply, Reply):
            if reply.depends and not envelope.truncated:
                self._kept.put(kept_key(data), kept_value(reply), (reply.depends,))
            self._send(envelope, reply, addr)
        elif reply is not None:
            self._begin(envelope, request, reply)

    def _whole(self, envelope: Envelope, data: bytes, addr: Address) -> bytes | None:
        if not envelope.truncated:
            if len(data) != envelope.length:
                raise MalformedError("length", f"{len(data)} of {envelope.length} bytes")
            return data
        if envelope.length > _ASSEMBLY_BYTES:
            raise MalformedError("length", "so long a message comes over TCP")
        key = addr, envelope.session, envelope.request
        assembly = self._assemblies.get(key)
        if assembly is None:
            while len(self._assemblies) >= _ASSEMBLIES:
                self._assemblies.popitem(last=False)
                self._counters.add("handle_requests_dropped.incomplete")
            assembly = self._assemblies[key] = Assembly(envelope.length)
        message = assembly.add(envelope, data)
        if message is not None:
            del self._assemblies[key]
        return message

    def _again(self, envelope: Envelope, request: _Request) -> None:
        self._counters.add("handle_requests_repeated")
        reply = self._later[request]
        if reply is not None:
            self._send(envelope, reply, request[0])

    def _begin(self, envelope: Envelope, request: _Request, later: Later) -> None:
        while len(self._later) >= _REMEMBERED:
            self._later.popitem(last=False)
        self._later[request] = None

        async def answer() -> None:
            reply = await later
            if request in self._later:
                self._later[request] = reply
            self._send(envelope, reply, request[0])

        task = asyncio.get_running_loop().create_task(answer())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _send(self, envelope: Envelope, reply: Reply, addr: Address) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if len(reply.data) > _ANSWER_BYTES:
            reply = self._answering.refuse(envelope, ResponseCode.ERROR, "the answer is too long for UDP: ask over TCP")
        for packet in packets(envelope_of(envelope, reply), reply.data):
            self._transport.sendto(packet, addr)

    def error_received(self, exc: Exception) -> None:
        """See asyncio."""
        self._counters.add("handle_datagrams_unreachable")

    def cancel(self) -> None:
        """Give up what is to be answered later."""
        for task in self._tasks:
            task.cancel()
