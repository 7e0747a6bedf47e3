"""Messages in, messages out: what a server answers to any request, whatever the operation."""

import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import msgspec

from gongfu.identify.handle.answer_cache import AnswerCache
from gongfu.identify.handle.bodies import encode_error
from gongfu.identify.handle.codes import MessageFlag, OpCode, OpFlag, ResponseCode
from gongfu.identify.handle.envelope import (
    VERSION,
    Envelope,
    Header,
    Message,
    decode_message,
    encode_message,
    encode_signed,
)
from gongfu.identify.handle.resolution import respond
from gongfu.identify.handle.wire import MalformedError
from gongfu.kernel.counters import Counters

NO_SITE = 0xFFFF
# Requests that wait for a writer, or for another server.
_MOST_WAITING = 1000

logger = logging.getLogger(__name__)


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A request with the envelope in which it came, and as it came."""

    message: Message
    envelope: Envelope
    data: bytes


class Reply(msgspec.Struct, frozen=True, gc=False):
    """An answer: message without envelope, and the session of its envelope.

    Attributes:
        depends: see ``Message.depends``.
    """

    session: int
    data: bytes
    depends: str = ""


Operation = Callable[[Asked], Message | Awaitable[Message] | None]
"""Answers a request, at once or later; None where the client would have to prove first who it is, and cannot here."""

Certify = Callable[[bytes], bytes | None]
"""Returns a credential for header and body of an answer; None where it has no time to."""

Later = Coroutine[Any, Any, Reply]


class Answering:
    """What a server does with a request. Pure but for the operations that it was given."""

    def __init__(
        self,
        operations: Mapping[int, Operation],
        counters: Counters,
        *,
        now: Callable[[], int],
        site_serial: Callable[[], int] = lambda: NO_SITE,
        certify: Certify | None = None,
        kept: AnswerCache | None = None,
    ) -> None:
        """Make it.

        Args:
            operations: by ``OpCode``; any other is denied.
            counters: ``handle_answers.<response>`` and ``handle_requests_dropped.<reason>``.
            now: UTC seconds.
            site_serial: version of this site's information (``Site.serial``); clients that have an older one are told.
            certify: signs answers for clients that want it.
            kept: answers that are given again, by ``kept_key``.
        """
        self._operations = operations
        self.counters = counters
        self._now = now
        self._site_serial = site_serial
        self._certify = certify
        self.kept = kept if kept is not None else AnswerCache()
        self._waiting = 0
        # Is told of each request who sent it (the address as bytes), and its packet.
        self.noted: Callable[[bytes, bytes], None] | None = None

    def answer(self, envelope: Envelope, data: bytes) -> Reply | Later | None:
        """Return the answer to a message, or what gives it later; None where the message is an answer itself.

        Args:
            envelope: in which it came.
            data: the message.
        """
        try:
            request = decode_message(data)
        except MalformedError as error:
            if envelope.flags & (MessageFlag.ENCRYPTED | MessageFlag.COMPRESSED):
                return self.refuse(envelope, ResponseCode.SESSION_NOT_SUPPORTED, "no sessions, no compression here")
            return self.refuse(envelope, ResponseCode.PROTOCOL_ERROR, str(error))
        if request.header.response != ResponseCode.RESERVED:
            # Two servers that answered each other's answers would never end.
            self.counters.add("handle_requests_dropped.not-a-request")
            return None
        try:
            said = self._answer(Asked(request, envelope, data))
        except Exception:
            said = self._failed(request)
        if isinstance(said, Message):
            return self._said(envelope, request, said)
        if self._waiting >= _MOST_WAITING:
            if isinstance(said, Coroutine):
                said.close()
            return self._said(envelope, request, respond(request, ResponseCode.SERVER_BUSY, encode_error("busy")))
        return self._later(envelope, request, said)

    async def _later(self, envelope: Envelope, request: Message, answer: Awaitable[Message]) -> Reply:
        self._waiting += 1
        try:
            said = await answer
        except Exception:
            said = self._failed(request)
        finally:
            self._waiting -= 1
        return self._said(envelope, request, said)

    def _failed(self, request: Message) -> Message:
        logger.exception("a Handle request failed: operation %d", request.header.operation)
        return respond(request, ResponseCode.ERROR, encode_error("internal error"))

    def _answer(self, asked: Asked) -> Message | Awaitable[Message]:
        request = asked.message
        head = request.header
        if head.expires and head.expires < self._now():
            return respond(request, ResponseCode.ERROR, encode_error("the request has expired"))
        if head.site_serial != NO_SITE and self._site_serial() != NO_SITE and head.site_serial < self._site_serial():
            words = encode_error(f"the site's information is of version {self._site_serial()}")
            return respond(request, ResponseCode.EXPIRED_SITE_INFO, words)
        if head.flags & _ENCRYPTION or asked.envelope.flags & _ENCRYPTED:
            return respond(request, ResponseCode.SESSION_NOT_SUPPORTED, encode_error("no encrypted sessions here"))
        operation = self._operations.get(head.operation)
        if operation is None:
            if head.operation in _SESSIONS:
                return respond(request, ResponseCode.SESSION_NOT_SUPPORTED, encode_error("no sessions here"))
            known = head.operation in _OPERATIONS
            return respond(
                request,
                ResponseCode.OPERATION_DENIED if known else ResponseCode.PROTOCOL_ERROR,
                encode_error(f"operation {head.operation} is not served here"),
            )
        answer = operation(asked)
        if answer is None:
            return respond(
                request, ResponseCode.UNABLE_TO_AUTHENTICATE, encode_error("this server knows no administrators yet")
            )
        return answer

    def refuse(self, envelope: Envelope, code: ResponseCode, words: str) -> Reply:
        """Return an answer to something that is no request."""
        self._count(code)
        return Reply(envelope.session, encode_message(Message(Header(0, code), encode_error(words))))

    def _said(self, envelope: Envelope, request: Message, message: Message) -> Reply:
        header = message.header
        serial = self._site_serial()
        if serial != NO_SITE:
            header = Header(header.operation, header.response, header.flags, serial, header.recursions, header.expires)
        # A kept answer bears our version.
        depends = "" if request.header.expires or envelope.version < VERSION else message.depends
        credential = message.credential
        if request.header.flags & _CERTIFIED and self._certify is not None and not credential:
            signed = self._certify(encode_signed(header, message.body))
            if signed is None:
                header = msgspec.structs.replace(header, response=int(ResponseCode.SERVER_BUSY))
                message, depends = Message(header, encode_error("too many answers to sign")), ""
            else:
                credential = signed
        self._count(header.response)
        session = envelope.session if message.session is None else message.session
        return Reply(session, encode_message(Message(header, message.body, credential)), depends)

    def _count(self, code: int) -> None:
        self.counters.add(_COUNTED.get(code) or f"handle_answers.{code}")


_COUNTED = {int(code): f"handle_answers.{code.name.lower().replace('_', '-')}" for code in ResponseCode}
# Plain numbers: arithmetic with flags makes objects.
_CERTIFIED, _ENCRYPTION, _ENCRYPTED = int(OpFlag.CERTIFIED), int(OpFlag.ENCRYPTION), int(MessageFlag.ENCRYPTED)
_OPERATIONS = frozenset(int(code) for code in OpCode)
_SESSIONS = frozenset(int(c) for c in (OpCode.SESSION_SETUP, OpCode.SESSION_TERMINATE, OpCode.SESSION_EXCHANGE_KEY))


def envelope_of(request: Envelope, reply: Reply) -> Envelope:
    """Return the envelope of the answer to a request."""
    return Envelope(request.request, len(reply.data), reply.session, version=min(request.version, (2, 1)))
