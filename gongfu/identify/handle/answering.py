"""Messages in, messages out: what a server answers to any request, whatever the operation."""

from collections.abc import Callable, Mapping

from gongfu.identify.handle.bodies import encode_error
from gongfu.identify.handle.codes import OpCode, ResponseCode
from gongfu.identify.handle.envelope import Envelope, Header, Message, decode_message, encode_message
from gongfu.identify.handle.resolution import respond
from gongfu.identify.handle.wire import MalformedError
from gongfu.kernel.counters import Counters

Operation = Callable[[Message], Message | None]
"""Answers a request; None where the client has to prove first who it is."""


class Answering:
    """What a server does with a request. Pure but for the operations that it was given."""

    def __init__(self, operations: Mapping[int, Operation], counters: Counters, *, now: Callable[[], int]) -> None:
        """Make it.

        Args:
            operations: by ``OpCode``; any other is denied.
            counters: ``handle_answers.<response>`` and ``handle_requests_dropped.<reason>``.
            now: UTC seconds.
        """
        self._operations = operations
        self._counters = counters
        self._now = now

    def answer(self, data: bytes) -> bytes | None:
        """Return the answer to a message (without envelopes); None where the message is an answer itself."""
        try:
            request = decode_message(data)
        except MalformedError as error:
            return self.refuse(ResponseCode.PROTOCOL_ERROR, str(error))
        if request.header.response != ResponseCode.RESERVED:
            # Two servers that answered each other's answers would never end.
            self._counters.add("handle_requests_dropped.not-a-request")
            return None
        return self._said(self._answer(request))

    def _answer(self, request: Message) -> Message:
        head = request.header
        if head.expires and head.expires < self._now():
            return respond(request, ResponseCode.ERROR, encode_error("the request has expired"))
        operation = self._operations.get(head.operation)
        if operation is None:
            known = head.operation in _OPERATIONS
            return respond(
                request,
                ResponseCode.OPERATION_DENIED if known else ResponseCode.PROTOCOL_ERROR,
                encode_error(f"operation {head.operation} is not served here"),
            )
        answer = operation(request)
        if answer is None:
            return respond(
                request, ResponseCode.UNABLE_TO_AUTHENTICATE, encode_error("this server knows no administrators yet")
            )
        return answer

    def refuse(self, code: ResponseCode, words: str) -> bytes:
        """Return an answer to something that is no request."""
        return self._said(Message(Header(0, code), encode_error(words)))

    def _said(self, message: Message) -> bytes:
        code = message.header.response
        name = ResponseCode(code).name.lower().replace("_", "-") if code in _RESPONSES else str(code)
        self._counters.add(f"handle_answers.{name}")
        return encode_message(message)


_RESPONSES = frozenset(int(code) for code in ResponseCode)
_OPERATIONS = frozenset(int(code) for code in OpCode)


def envelope_of(request: Envelope, length: int) -> Envelope:
    """Return the envelope of the answer to a request."""
    return Envelope(request.request, length, request.session, version=min(request.version, (2, 1)))
