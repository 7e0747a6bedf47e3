"""Bodies of requests and answers (RFC 3652 §3).

A body that bears a digest of the request (``OpFlag.REQUEST_DIGEST`` of an answer) begins with it. A digest is of the
request's header and body, as they came.
"""

import hashlib

import msgspec

from gongfu.identify.handle import wire
from gongfu.identify.handle.codes import DigestAlgorithm
from gongfu.identify.handle.values import LEAST_VALUE, HandleValue, encode_value, read_value
from gongfu.identify.handle.wire import MalformedError, Reader

# Of one message, named or there: more than a handle has. Anybody may send them before it is known who asks.
MOST_VALUES = 2048

_DIGESTS: dict[int, int] = {DigestAlgorithm.MD5: 16, DigestAlgorithm.SHA1: 20, DigestAlgorithm.SHA256: 32}


class Resolution(msgspec.Struct, frozen=True, gc=False):
    """A request for values; neither indexes nor types is all of them (§3.2.1)."""

    handle: str
    indexes: tuple[int, ...] = ()
    types: tuple[str, ...] = ()


class Record(msgspec.Struct, frozen=True, gc=False):
    """A handle with values: an answer to a resolution, a referral, or a request to create, add or modify (§3.2.2)."""

    handle: str
    values: tuple[HandleValue, ...] = ()


class Removal(msgspec.Struct, frozen=True, gc=False):
    """A request to remove the values with these indexes (§3.6.2)."""

    handle: str
    indexes: tuple[int, ...]


class ChallengeAnswer(msgspec.Struct, frozen=True, gc=False):
    """Who answers a challenge, and how (§3.5.2).

    Attributes:
        type: of the key: ``HS_SECKEY`` or ``HS_PUBKEY``.
        handle: that has the key.
        index: of the value in which the key is.
        response: what the key made of the nonce and the digest of the request.
    """

    type: str
    handle: str
    index: int
    response: bytes


def encode_resolution(body: Resolution) -> bytes:
    """Return the bytes of a request for values."""
    return (
        wire.text(body.handle)
        + wire.many([wire.integer(index) for index in body.indexes])
        + wire.many([wire.text(kind) for kind in body.types])
    )


def decode_resolution(data: bytes) -> Resolution:
    """Return the request for values that the bytes say.

    Raises:
        MalformedError: they say none.
    """
    reader = Reader(data)
    body = Resolution(
        reader.text(), reader.many(Reader.integer, 4, MOST_VALUES), reader.many(Reader.text, 4, MOST_VALUES)
    )
    reader.finish()
    return body


def encode_record(body: Record) -> bytes:
    """Return the bytes of a handle with values."""
    return wire.text(body.handle) + wire.many([encode_value(value) for value in body.values])


def decode_record(data: bytes) -> Record:
    """Return the handle with values that the bytes say. A referral may end after the handle.

    Raises:
        MalformedError: they say none.
    """
    reader = Reader(data)
    handle = reader.text()
    values = reader.many(read_value, LEAST_VALUE, MOST_VALUES) if reader.left else ()
    reader.finish()
    return Record(handle, values)


def encode_removal(body: Removal) -> bytes:
    """Return the bytes of a request to remove values."""
    return wire.text(body.handle) + wire.many([wire.integer(index) for index in body.indexes])


def decode_removal(data: bytes) -> Removal:
    """Return the request to remove values that the bytes say.

    Raises:
        MalformedError: they say none.
    """
    reader = Reader(data)
    body = Removal(reader.text(), reader.many(Reader.integer, 4, MOST_VALUES))
    reader.finish()
    return body


def encode_handle(handle: str) -> bytes:
    """Return the body of a request that names a handle and nothing else: delete, site information, homing, listing."""
    return wire.text(handle)


def decode_handle(data: bytes) -> str:
    """Return the handle of a request that names nothing else.

    Raises:
        MalformedError: there is none.
    """
    reader = Reader(data)
    handle = reader.text()
    reader.finish()
    return handle


def encode_handles(handles: tuple[str, ...]) -> bytes:
    """Return the body of an answer that lists handles (§3.7.2)."""
    return wire.many([wire.text(handle) for handle in handles])


def decode_handles(data: bytes) -> tuple[str, ...]:
    """Return the handles of an answer that lists some.

    Raises:
        MalformedError: it is none.
    """
    reader = Reader(data)
    handles = reader.many(Reader.text, 4)
    reader.finish()
    return handles


def encode_error(message: str, indexes: tuple[int, ...] = ()) -> bytes:
    """Return the body of an error: words, and perhaps the indexes of the values that it is about (§3.3)."""
    more = wire.many([wire.integer(index) for index in indexes]) if indexes else b""
    return wire.text(message) + more


def decode_error(data: bytes) -> tuple[str, tuple[int, ...]]:
    """Return words and indexes of an error; servers may leave out both.

    Raises:
        MalformedError: it is none.
    """
    reader = Reader(data)
    message = reader.text() if reader.left else ""
    indexes = reader.many(Reader.integer, 4) if reader.left else ()
    reader.finish()
    return message, indexes


def encode_challenge(nonce: bytes) -> bytes:
    """Return the body of a challenge, behind the digest of the request (§3.5.1)."""
    return wire.string(nonce)


def decode_challenge(data: bytes) -> bytes:
    """Return the nonce of a challenge.

    Raises:
        MalformedError: it is none.
    """
    reader = Reader(data)
    nonce = reader.string()
    reader.finish()
    return nonce


def encode_challenge_answer(body: ChallengeAnswer) -> bytes:
    """Return the bytes of an answer to a challenge."""
    return wire.text(body.type) + wire.text(body.handle) + wire.integer(body.index) + wire.string(body.response)


def decode_challenge_answer(data: bytes) -> ChallengeAnswer:
    """Return the answer to a challenge that the bytes say.

    Raises:
        MalformedError: they say none.
    """
    reader = Reader(data)
    body = ChallengeAnswer(reader.text(), reader.text(), reader.integer(), reader.string())
    reader.finish()
    return body


def request_digest(algorithm: DigestAlgorithm, signed: bytes) -> bytes:
    """Return what stands before a body: the algorithm and the digest of a request (``Message.signed``)."""
    name = {DigestAlgorithm.MD5: "md5", DigestAlgorithm.SHA1: "sha1", DigestAlgorithm.SHA256: "sha256"}[algorithm]
    return bytes([algorithm]) + hashlib.new(name, signed, usedforsecurity=False).digest()


def split_digest(data: bytes) -> tuple[bytes, bytes]:
    """Return the digest at the beginning of a body, with its algorithm, and the body behind it.

    Raises:
        MalformedError: ``digest``: of an unknown algorithm; ``short``.
    """
    reader = Reader(data)
    number = reader.byte()
    size = _DIGESTS.get(number)
    if size is None:
        raise MalformedError("digest", f"algorithm {number}")
    return bytes([number]) + reader.raw(size), reader.rest()
