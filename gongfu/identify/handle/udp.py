"""Handle requests over UDP (RFC 3652 §2.1, §2.3).

A request that comes again while its answer is being made, or soon after, is not done twice: clients send again when
they hear nothing. Answers have a greatest length here, because anybody can write anybody's address on a datagram.
"""

import asyncio
import socket
from collections import OrderedDict

from gongfu.identify.datagram_socket import Address, DatagramSocket
from gongfu.identify.handle.answering import Answering, Later, Reply, envelope_of
from gongfu.identify.handle.codes import ResponseCode
from gongfu.identify.handle.datagrams import Assembly, packets
from gongfu.identify.handle.envelope import ENVELOPE_BYTES, Envelope, decode_envelope
from gongfu.identify.handle.kept import HEAD, SINGLE_BYTES, kept_key, kept_value
from gongfu.identify.handle.wire import MalformedError

# Messages in several packets that are being put together; each at most this large. More than that comes over TCP.
_ASSEMBLIES = 1000
_ASSEMBLY_BYTES = 64 * 1024
_ANSWER_BYTES = 64 * 1024
# Answers of requests that change something, for those that come again.
_REMEMBERED = 1000

_Request = tuple[Address, int, int, bytes]


class Datagrams:
    """One UDP socket; ``ready`` is for ``loop.add_reader``."""

    def __init__(self, answering: Answering, opened: socket.socket) -> None:
        """Make it."""
        self._answering = answering
        self._kept = answering.kept
        self._get = answering.kept.get
        self._counters = answering.counters
        self._socket = DatagramSocket(opened, self._again_kept, self._received, self._counters, "handle")
        self._socket.noted = answering.noted
        self.ready = self._socket.ready
        self._assemblies: OrderedDict[tuple[Address, int, int], Assembly] = OrderedDict()
        # None while the answer is being made.
        self._later: OrderedDict[_Request, Reply | None] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def _again_kept(self, data: bytes) -> bytes | None:
        # ``kept_key`` and ``answer_packet`` without the calls: most of a busy server's time is here.
        key = data[:4] + data[12:]
        found = self._kept.young.get(key)
        kept = self._get(key) if found is None else found[0]
        if kept is None or len(kept) > SINGLE_BYTES:
            return None
        return HEAD + data[4:12] + kept

    def _received(self, data: bytes, addr: Address) -> None:
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
        if len(reply.data) > _ANSWER_BYTES:
            reply = self._answering.refuse(envelope, ResponseCode.ERROR, "the answer is too long for UDP: ask over TCP")
        for packet in packets(envelope_of(envelope, reply), reply.data):
            self._socket.send(packet, addr)

    def cancel(self) -> None:
        """Give up what is to be answered later."""
        for task in self._tasks:
            task.cancel()
