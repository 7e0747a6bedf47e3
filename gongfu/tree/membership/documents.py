"""Bytes of documents: JSON for what is signed, MessagePack in one form only for what carries it.

A signed document is kept and passed on as the very bytes that were signed, so its encoding need not be canonical.
What carries signed documents is not itself signed; there, bytes that are not exactly what the encoder writes are
refused, so that no changed byte goes unnoticed (base64 and MessagePack know many ways to write one value).
"""

from typing import Any, TypeVar

import msgspec

from gongfu.tree.membership.refusals import Reason, Refused

# A membership with all its fields at their limits has about 11 KiB, one with a grant 12.
DOCUMENT_LIMIT = 32 * 1024

Document = TypeVar("Document")


def encode_document(document: msgspec.Struct, reason: Reason) -> bytes:
    """Return the JSON of a ``msgspec.Struct`` after checking it against its own constraints.

    Raises:
        Refused: ``reason``; a field is outside what its type allows, or the document is larger than
            ``DOCUMENT_LIMIT``.
    """
    try:
        data = msgspec.json.encode(document)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise Refused(reason, str(error)) from None
    decode_document(data, type(document), reason)
    return data


def decode_document(data: bytes, kind: type[Document], reason: Reason) -> Document:
    """Return the document in ``data`` (JSON).

    Raises:
        Refused: ``reason``; too large, not JSON, unknown or missing fields, or values outside what is allowed.
    """
    if len(data) > DOCUMENT_LIMIT:
        raise Refused(reason, f"larger than {DOCUMENT_LIMIT} bytes")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Refused(reason, str(error)) from None


def pack(value: Any) -> bytes:
    """Return the MessagePack of a carrier of signed documents."""
    return msgspec.msgpack.encode(value)


def unpack(data: bytes, kind: type[Document], reason: Reason, limit: int) -> Document:
    """Return the carrier in ``data``.

    Raises:
        Refused: ``reason``; larger than ``limit`` bytes, or not exactly the bytes that ``pack`` writes for it.
    """
    if len(data) > limit:
        raise Refused(reason, f"larger than {limit} bytes")
    try:
        value = msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Refused(reason, str(error)) from None
    if msgspec.msgpack.encode(value) != data:
        raise Refused(reason, "not in canonical form")
    return value
