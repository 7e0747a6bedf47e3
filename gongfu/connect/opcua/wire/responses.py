"""Answers of the services that carry many values: Publish, Republish, Read, HistoryRead.

Source: OPC 10000-4 §5.14.5, §5.14.6, §5.11.2, §5.11.3 and the encoding ids of OPC 10000-6 (NodeIds.csv). Pure: bytes
in, columns out.
"""

import struct
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from gongfu.connect.kit.types import Value
from gongfu.connect.opcua.wire import variants
from gongfu.connect.opcua.wire.columns import Columns, data_values
from gongfu.connect.opcua.wire.variants import WireError, count, i64, text, ticks_to_nanoseconds, u32

SERVICE_FAULT = "i=397"
READ_RESPONSE = "i=634"
HISTORY_READ_RESPONSE = "i=667"
PUBLISH_RESPONSE = "i=829"
REPUBLISH_RESPONSE = "i=835"
DATA_CHANGE = "i=811"
STATUS_CHANGE = "i=820"
EVENTS = "i=916"
HISTORY_DATA = ("i=658", "i=661")

T = TypeVar("T")


class ServiceFault(Exception):
    """The server answered with a bad ServiceResult.

    Attributes:
        status: the StatusCode.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"0x{status:08X}")
        self.status = status


class Event(NamedTuple):
    """One event: the client handle of its monitored item and the fields in the order of the select clauses."""

    handle: int
    fields: list[Value]


class Notification(NamedTuple):
    """A NotificationMessage. ``empty``: a keep-alive, whose sequence number is the one that comes next."""

    sequence: int
    publish_time: int
    changes: list[Columns]
    events: list[Event]
    status: int | None
    empty: bool


class Publish(NamedTuple):
    """A PublishResponse. ``available``: sequence numbers the server still can send again."""

    subscription: int
    available: list[int]
    more: bool
    message: Notification
    results: list[int]


class History(NamedTuple):
    """One result of HistoryRead; ``more``: the continuation point, empty at the end."""

    status: int
    more: bytes
    values: Columns


def _header(data: bytes, expected: str) -> int:
    """Check type id and ResponseHeader; return the position of the parameters."""
    kind, at = variants.node_id(data, 0)
    if kind not in (expected, SERVICE_FAULT):
        raise WireError(f"expected answer {expected}, got {kind}")
    status, _ = u32(data, at + 12)
    at = variants.diagnostic_info(data, at + 16)
    size, at = count(data, at, 4)
    for _ in range(size):
        _, at = text(data, at)
    _, _, at = variants.extension_object(data, at)
    if kind == SERVICE_FAULT or status & 0x8000_0000:
        raise ServiceFault(status)
    return at


def _guarded(decode: Callable[[bytes], T], data: bytes) -> T:
    try:
        return decode(data)
    except (struct.error, IndexError) as error:
        raise WireError(f"the message ends too early: {error}") from None
    except RecursionError:
        raise WireError("the message is nested too deeply") from None


def _numbers(data: bytes, at: int) -> tuple[list[int], int]:
    size, at = count(data, at, 4)
    return list(struct.unpack_from(f"<{size}I", data, at)), at + 4 * size


def _events(body: bytes) -> list[Event]:
    size, at = count(body, 0, 8)
    events: list[Event] = []
    for _ in range(size):
        handle, at = u32(body, at)
        fields_, at = count(body, at, 1)
        values: list[Value] = []
        for _ in range(fields_):
            value, at = variants.variant(body, at)
            values.append(value)
        events.append(Event(handle, values))
    return events


def _notification(data: bytes, at: int) -> tuple[Notification, int]:
    sequence, at = u32(data, at)
    published, at = i64(data, at)
    size, at = count(data, at, 3)
    changes: list[Columns] = []
    events: list[Event] = []
    status: int | None = None
    for _ in range(size):
        kind, body, at = variants.extension_object(data, at)
        if kind == DATA_CHANGE:
            items, inside = count(body, 0, 5)
            changes.append(data_values(body, inside, items, keyed=True)[0])
        elif kind == EVENTS:
            events += _events(body)
        elif kind == STATUS_CHANGE:
            status, _ = u32(body, 0)
    return Notification(sequence, ticks_to_nanoseconds(published), changes, events, status, size == 0), at


def publish_response(data: bytes) -> Publish:
    """Decode a PublishResponse.

    Raises:
        ServiceFault: the server refused.
        WireError: the bytes are none.
    """

    def decode(data: bytes) -> Publish:
        at = _header(data, PUBLISH_RESPONSE)
        subscription, at = u32(data, at)
        available, at = _numbers(data, at)
        more = data[at] != 0
        message, at = _notification(data, at + 1)
        results, at = _numbers(data, at)
        return Publish(subscription, available, more, message, results)

    return _guarded(decode, data)


def republish_response(data: bytes) -> Notification:
    """Decode a RepublishResponse; raises as ``publish_response``."""
    return _guarded(lambda data: _notification(data, _header(data, REPUBLISH_RESPONSE))[0], data)


def read_response(data: bytes) -> Columns:
    """Decode a ReadResponse; keys are 0, 1, 2… in the order asked; raises as ``publish_response``."""

    def decode(data: bytes) -> Columns:
        at = _header(data, READ_RESPONSE)
        size, at = count(data, at, 1)
        return data_values(data, at, size, keyed=False)[0]

    return _guarded(decode, data)


def history_response(data: bytes) -> list[History]:
    """Decode a HistoryReadResponse of raw values, one result a node; raises as ``publish_response``."""

    def decode(data: bytes) -> list[History]:
        at = _header(data, HISTORY_READ_RESPONSE)
        size, at = count(data, at, 11)
        results: list[History] = []
        for _ in range(size):
            status, at = u32(data, at)
            more, at = variants.byte_string(data, at)
            kind, body, at = variants.extension_object(data, at)
            values = Columns()
            if kind in HISTORY_DATA:
                items, inside = count(body, 0, 1)
                values = data_values(body, inside, items, keyed=False)[0]
            results.append(History(status, more or b"", values))
        return results

    return _guarded(decode, data)
