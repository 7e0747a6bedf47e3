"""The fast decoder against asyncua's own encoder and decoder, and against broken bytes."""

import contextlib
import math
import random
import struct
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gongfu.connect.opcua.wire import requests, variants
from gongfu.connect.opcua.wire.columns import data_values
from gongfu.connect.opcua.wire.responses import (
    ServiceFault,
    history_response,
    publish_response,
    read_response,
)
from gongfu.connect.opcua.wire.variants import WireError

ua = pytest.importorskip("asyncua.ua", reason="the extra opcua is not installed")
binary = pytest.importorskip("asyncua.ua.ua_binary")
struct_from_binary, struct_to_binary = binary.struct_from_binary, binary.struct_to_binary

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

V = ua.VariantType
moments = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)).map(lambda d: d.replace(tzinfo=UTC))
SCALARS = {
    V.Boolean: st.booleans(),
    V.SByte: st.integers(-128, 127),
    V.Byte: st.integers(0, 255),
    V.Int16: st.integers(-(2**15), 2**15 - 1),
    V.UInt16: st.integers(0, 2**16 - 1),
    V.Int32: st.integers(-(2**31), 2**31 - 1),
    V.UInt32: st.integers(0, 2**32 - 1),
    V.Int64: st.integers(-(2**63), 2**63 - 1),
    V.UInt64: st.integers(0, 2**64 - 1),
    V.Float: st.floats(width=32),
    V.Double: st.floats(),
    V.String: st.text(max_size=20) | st.none(),
    V.ByteString: st.binary(max_size=20),
    V.Guid: st.uuids(),
    V.DateTime: moments,
}
kinds = st.sampled_from(list(SCALARS))


def variant_of(draw, kind):
    shape = draw(st.integers(0, 9))
    if shape == 8:
        return ua.Variant(draw(st.lists(SCALARS[kind], max_size=5)), kind, is_array=True)
    if shape == 9 and kind in (V.Double, V.Int32):
        rows = draw(st.integers(1, 3))
        return ua.Variant(
            [[draw(SCALARS[kind]) for _ in range(2)] for _ in range(rows)], kind, Dimensions=[rows, 2], is_array=True
        )
    return ua.Variant(draw(SCALARS[kind]), kind)


@st.composite
def items(draw):
    """Runs of equal shape between single values of any shape, as servers send them."""
    result = []
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(kinds)
        times = draw(st.integers(0, 3))
        status = draw(st.sampled_from([None, 0, 0x80310000, 0x40000000, 0x480]))
        same = draw(st.sampled_from([1, 1, 2, 9, 40]))
        result += [
            ua.DataValue(
                variant_of(draw, kind) if draw(st.integers(0, 20)) else None,
                ua.StatusCode(status) if status is not None else None,
                SourceTimestamp=draw(moments) if times & 1 else None,
                ServerTimestamp=draw(moments) if times & 2 else None,
            )
            for _ in range(same)
        ]
    return result


def plain(value):
    """Return asyncua's value in our terms."""
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, uuid.UUID):
        return str(value)
    return value


def equal(ours, theirs):
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(equal, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, float) and math.isnan(theirs):
        return math.isnan(ours)
    return ours == theirs and type(ours) is type(theirs)


def nanoseconds(moment):
    return 0 if moment is None else (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def agree(columns, values):
    assert len(columns) == len(values)
    for i, value in enumerate(values):
        theirs = plain(value.Value.Value) if value.Value is not None else None
        assert equal(columns.values[i], theirs), (columns.values[i], theirs)
        assert columns.status[i] == (value.StatusCode.value if value.StatusCode is not None else 0)
        assert columns.source[i] == nanoseconds(value.SourceTimestamp)
        assert columns.server[i] == nanoseconds(value.ServerTimestamp)


def publish(values, sequence=7, extra=()):
    response = ua.PublishResponse()
    response.ResponseHeader.StringTable = ["x", "泵"]
    response.Parameters.SubscriptionId = 4
    response.Parameters.AvailableSequenceNumbers = [6, sequence]
    response.Parameters.MoreNotifications = True
    message = response.Parameters.NotificationMessage
    message.SequenceNumber = sequence
    message.PublishTime = datetime(2026, 1, 2, tzinfo=UTC)
    change = ua.DataChangeNotification(
        MonitoredItems=[ua.MonitoredItemNotification(1000 + i, v) for i, v in enumerate(values)]
    )
    message.NotificationData = [change, *extra] if values or extra else []
    return struct_to_binary(response)


@FEW
@given(items())
def test_publish_equals_asyncua(values):
    raw = publish(values)
    theirs = struct_from_binary(ua.PublishResponse, ua.utils.Buffer(raw))
    ours = publish_response(raw)
    assert (ours.subscription, ours.available, ours.more, ours.message.sequence) == (4, [6, 7], True, 7)
    assert ours.message.empty is not bool(values)
    if values:
        sent = theirs.Parameters.NotificationMessage.NotificationData[0].MonitoredItems
        assert ours.message.changes[0].keys == [m.ClientHandle for m in sent]
        agree(ours.message.changes[0], [m.Value for m in sent])


@FEW
@given(items())
def test_read_and_history_equal_asyncua(values):
    response = ua.ReadResponse()
    response.Results = values
    raw = struct_to_binary(response)
    agree(read_response(raw), struct_from_binary(ua.ReadResponse, ua.utils.Buffer(raw)).Results)
    history = ua.HistoryReadResponse()
    history.Results = [
        ua.HistoryReadResult(ContinuationPoint=b"next", HistoryData=ua.HistoryData(DataValues=values)),
        ua.HistoryReadResult(StatusCode=ua.StatusCode(0x80340000)),
    ]
    first, second = history_response(struct_to_binary(history))
    agree(first.values, values)
    assert (first.more, second.status, len(second.values)) == (b"next", 0x80340000, 0)


@FEW
@given(items(), st.data())
def test_no_bytes_do_more_than_raise(values, data):
    raw = bytearray(publish(values))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    for message in (bytes(raw), cut):
        with contextlib.suppress(WireError, ServiceFault):
            publish_response(message)


def test_runs_meet_short_and_long_neighbours():
    """Run lengths around the bounds where NumPy takes over and where its window ends."""
    source = random.Random(5)
    for length in (1, 7, 8, 9, 63, 64, 65, 72, 73, 200, 201):
        values = [ua.DataValue(ua.Variant(source.random(), V.Double)) for _ in range(length)]
        values.append(ua.DataValue(ua.Variant(True, V.Boolean)))
        values += [ua.DataValue(ua.Variant(i, V.Int64)) for i in range(length)]
        ours = publish_response(publish(values)).message.changes[0]
        assert ours.values == [v.Value.Value for v in values]
        assert ours.keys == [1000 + i for i in range(len(values))]


def test_events_and_status_changes():
    fields = [ua.Variant("泵过热", V.String), ua.Variant(ua.LocalizedText("高温", "zh"), V.LocalizedText)]
    extra = [
        ua.EventNotificationList(Events=[ua.EventFieldList(ClientHandle=9, EventFields=fields)]),
        ua.StatusChangeNotification(Status=ua.StatusCode(0x800A0000)),
    ]
    message = publish_response(publish([], extra=extra)).message
    assert message.events[0].handle == 9
    assert message.events[0].fields == ["泵过热", "高温"]
    assert message.status == 0x800A0000


def test_a_refusal_is_a_service_fault():
    fault = ua.ServiceFault()
    fault.ResponseHeader.ServiceResult = ua.StatusCode(0x80790000)
    with pytest.raises(ServiceFault) as raised:
        publish_response(struct_to_binary(fault))
    assert raised.value.status == 0x80790000


def test_lengths_that_lie_are_refused_before_memory_is_taken():
    lying = struct.pack("<BBi", 1, 0x80 | 11, 2**30)
    with pytest.raises(WireError, match="does not fit"):
        data_values(lying, 0, 1, keyed=False)
    with pytest.raises(WireError, match="nested too deeply"):
        data_values(b"\x01" + b"\x18" * 5000, 0, 1, keyed=False)


@given(moments)
def test_times_there_and_back(moment):
    ns = nanoseconds(moment)
    assert variants.ticks_to_nanoseconds(variants.nanoseconds_to_ticks(ns)) == ns


def test_requests_are_what_asyncua_would_send():
    nodes = [ua.NodeId("泵.1", 2), ua.NodeId(7, 0), ua.NodeId(70000, 3), ua.NodeId(300, 1), ua.NodeId(b"\1\2", 4)]
    from gongfu.connect.opcua.addressing import resolve

    texts = ["ns=2;s=泵.1", "i=7", "ns=3;i=70000", "ns=1;i=300", "ns=4;b=AQI="]
    body = requests.read_body([resolve(t, []) for t in texts])
    raw = requests.request(requests.READ_REQUEST, b"\0\5", variants.TICKS_AT_UNIX_EPOCH + 10, 3, 1.5, body)
    read = struct_from_binary(ua.ReadRequest, ua.utils.Buffer(raw))
    assert [n.NodeId for n in read.Parameters.NodesToRead] == nodes
    assert {int(n.AttributeId) for n in read.Parameters.NodesToRead} == {13}
    assert read.RequestHeader.TimeoutHint == 1500
    assert read.RequestHeader.RequestHandle == 3
    raw = requests.request(requests.PUBLISH_REQUEST, b"\0\0", 0, 1, 0, requests.publish_body([(4, 7), (5, 1)]))
    sent = struct_from_binary(ua.PublishRequest, ua.utils.Buffer(raw)).Parameters.SubscriptionAcknowledgements
    assert [(a.SubscriptionId, a.SequenceNumber) for a in sent] == [(4, 7), (5, 1)]
