"""Messages of the Handle protocol in HTTP: what clients do with the HTTP interface of a site when UDP and TCP are shut.

::

    POST / HTTP/1.1
    Content-Type: application/x-hdl-message

    envelope and message; the answer has the same form
"""

from collections.abc import Awaitable

from gongfu.identify.handle.answering import Answering, Reply, envelope_of
from gongfu.identify.handle.envelope import ENVELOPE_BYTES, Envelope, decode_envelope, encode_envelope
from gongfu.identify.handle.wire import MalformedError
from gongfu.identify.http.types import Face, Request, Response
from gongfu.kernel.errors import invalid

MEDIA_TYPE = "application/x-hdl-message"
BODY_BYTES = 1024 * 1024 + ENVELOPE_BYTES


class TunnelFace:
    """Answers messages, and leaves all other requests to another face."""

    def __init__(self, answering: Answering, others: Face) -> None:
        """Make it."""
        self._answering = answering
        self._others = others

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a request."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request.method != "POST" or kind != MEDIA_TYPE:
            return self._others(request)
        try:
            envelope = decode_envelope(request.body)
        except MalformedError as error:
            raise invalid(f"no message of the Handle protocol: {error}") from None
        message = request.body[ENVELOPE_BYTES:]
        if envelope.truncated or len(message) != envelope.length:
            raise invalid("the message is not whole")
        reply = self._answering.answer(envelope, message)
        if reply is None:
            raise invalid("the message is an answer")
        return _response(envelope, reply) if isinstance(reply, Reply) else self._later(envelope, reply)

    async def _later(self, envelope: Envelope, later: Awaitable[Reply]) -> Response:
        return _response(envelope, await later)


def _response(envelope: Envelope, reply: Reply) -> Response:
    body = encode_envelope(envelope_of(envelope, reply)) + reply.data
    return Response(200, body, (("Content-Type", MEDIA_TYPE),))
