"""The envelope and the header of a message (RFC 3652 §2.2.1 and §2.2.2), and messages as a whole.

::

    envelope    version 2, flags 2, session 4, request 4, sequence 4, length of all that follows 4
    header      operation 4, response 4, flags 4, site's serial number 2, recursions 1, 0, expiry 4, length of body 4
    body
    credential  length 4, credential; the length is there also without one
"""

import struct

import msgspec

from gongfu.identify.handle import wire
from gongfu.identify.handle.codes import MessageFlag
from gongfu.identify.handle.wire import MalformedError, Reader

ENVELOPE_BYTES = 20
HEADER_BYTES = 24
MAX_MESSAGE_BYTES = 1024 * 1024
VERSION = (2, 1)

_ENVELOPE = struct.Struct(">BBHIIII")
_HEADER = struct.Struct(">IIIHBxII")


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What stands before a message, and before each packet of one that was cut into several.

    Attributes:
        request: chosen by the client; the answer bears it.
        session: 0 without a session.
        sequence: number of the packet from 0.
        length: bytes of the message without envelope.
        flags: ``MessageFlag``; the lowest 10 bits may name a version that the sender would rather speak.
        version: (major, minor).
    """

    request: int
    length: int
    session: int = 0
    sequence: int = 0
    flags: int = 0
    version: tuple[int, int] = VERSION

    @property
    def truncated(self) -> bool:
        """Whether the message goes on in other packets."""
        return bool(self.flags & MessageFlag.TRUNCATED)


class Header(msgspec.Struct, frozen=True, gc=False):
    """What a message is about.

    Attributes:
        operation: an ``OpCode``; others are possible and answered with an error.
        response: a ``ResponseCode``; 0 in requests.
        flags: ``OpFlag``.
        site_serial: version of the site information that the client has; 0xFFFF is none.
        recursions: how often it was passed on.
        expires: seconds since 1970 (UTC) at which it ends; 0 is unset.
    """

    operation: int
    response: int = 0
    flags: int = 0
    site_serial: int = 0xFFFF
    recursions: int = 0
    expires: int = 0


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message.

    Attributes:
        header: what it is about.
        body: see ``bodies``.
        credential: empty, or who signs (``credential``).
        signed: header and body as they came, which is what a signature and a digest are of.
        session: of the envelope of an answer; None is the request's.
        depends: key of the handle (``HandleName.key``) that an answer depends on and on nothing else: it may be given
            again to the same request until that changes. "" is none.
    """

    header: Header
    body: bytes
    credential: bytes = b""
    signed: bytes = b""
    session: int | None = None
    depends: str = ""


def encode_envelope(envelope: Envelope) -> bytes:
    """Return the 20 bytes of an envelope."""
    return _ENVELOPE.pack(
        *envelope.version, envelope.flags, envelope.session, envelope.request, envelope.sequence, envelope.length
    )


def decode_envelope(data: bytes) -> Envelope:
    """Return the envelope at the beginning of some bytes.

    Raises:
        MalformedError: ``short``; ``length``: the message would be larger than ``MAX_MESSAGE_BYTES``, or smaller than a
            header; ``value``: a major version other than 2.
    """
    if len(data) < ENVELOPE_BYTES:
        raise MalformedError("short", f"an envelope has {ENVELOPE_BYTES} bytes, not {len(data)}")
    major, minor, flags, session, request, sequence, length = _ENVELOPE.unpack_from(data)
    if major != VERSION[0]:
        raise MalformedError("value", f"version {major}.{minor}")
    if not HEADER_BYTES <= length <= MAX_MESSAGE_BYTES:
        raise MalformedError("length", f"a message of {length} bytes")
    return Envelope(request, length, session, sequence, flags, (major, minor))


def encode_signed(header: Header, body: bytes) -> bytes:
    """Return the bytes of header and body: what a signature and a digest are of."""
    packed = _HEADER.pack(
        header.operation,
        header.response,
        header.flags,
        header.site_serial,
        header.recursions,
        header.expires,
        len(body),
    )
    return packed + body


def encode_message(message: Message) -> bytes:
    """Return the bytes of a message without its envelope."""
    return encode_signed(message.header, message.body) + wire.string(message.credential)


def decode_message(data: bytes) -> Message:
    """Return the message that stands behind an envelope. A missing credential is taken as none.

    Raises:
        MalformedError: ``short``, ``long``.
    """
    reader = Reader(data)
    operation, response, flags, serial, recursions, expires, size = _HEADER.unpack(reader.raw(HEADER_BYTES))
    body = reader.raw(size)
    signed = data[: reader.at]
    credential = reader.string() if reader.left else b""
    reader.finish()
    return Message(Header(operation, response, flags, serial, recursions, expires), body, credential, signed)
