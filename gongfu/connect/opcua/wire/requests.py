"""Requests that are sent again and again with the same body: encoded once, sent as bytes.

Asking for 20,000 nodes each second would otherwise cost more than reading the answers. Source: OPC 10000-4 §5.11.2.2,
§5.14.5.2, §7.33 (RequestHeader); OPC 10000-6 §5.2. Pure.
"""

import struct
from collections.abc import Iterable, Sequence

READ_REQUEST = 631
PUBLISH_REQUEST = 826
REPUBLISH_REQUEST = 832

VALUE = 13
"""AttributeId of a Variable's value."""

SOURCE_TIMES, BOTH_TIMES = 0, 2

_NULL_STRING = b"\xff\xff\xff\xff"
_READ_TAIL = struct.Struct("<I4sH4s")
_HEADER = struct.Struct("<qII4sI3s")


def request(type_id: int, token: bytes, ticks: int, handle: int, timeout: float, body: bytes) -> bytes:
    """Return a whole request: type id, RequestHeader, body.

    Args:
        type_id: encoding id of the request, namespace 0.
        token: the session's authentication token as an encoded NodeId.
        ticks: time of the request in 100 ns since 1601.
        handle: RequestHandle.
        timeout: seconds, 0: none.
        body: encoded parameters.
    """
    header = _HEADER.pack(ticks, handle, 0, _NULL_STRING, int(timeout * 1000), b"\0\0\0")
    return b"\x01\x00" + type_id.to_bytes(2, "little") + token + header + body


def read_body(nodes: Sequence[bytes], attribute: int = VALUE, times: int = BOTH_TIMES) -> bytes:
    """Return the parameters of a ReadRequest for encoded NodeIds: MaxAge 0 (fresh from the machine)."""
    tail = _READ_TAIL.pack(attribute, _NULL_STRING, 0, _NULL_STRING)
    head = struct.pack("<dii", 0.0, times, len(nodes))
    return head + b"".join([part for node in nodes for part in (node, tail)])


def publish_body(acknowledged: Iterable[tuple[int, int]]) -> bytes:
    """Return the parameters of a PublishRequest that acknowledges (subscription, sequence number) pairs."""
    pairs = list(acknowledged)
    return struct.pack("<i", len(pairs)) + b"".join(struct.pack("<II", *pair) for pair in pairs)


def republish_body(subscription: int, sequence: int) -> bytes:
    """Return the parameters of a RepublishRequest."""
    return struct.pack("<II", subscription, sequence)
