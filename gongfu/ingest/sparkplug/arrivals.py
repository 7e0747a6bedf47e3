"""A Sparkplug message as it arrives: its kind, whose it is, and its place in the sequence."""

from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from gongfu.ingest.columnise.sparkplug_schema import DataType, Payload
from gongfu.ingest.types import Done, Writer

SEQUENCE = 256
BIRTH_SEQUENCE = "bdSeq"


@dataclass(slots=True)
class Arrival:
    """One message of an edge node or one of its devices.

    Attributes:
        kind: ``NBIRTH``, ``NDATA``, ``NDEATH``, ``DBIRTH``, ``DDATA`` or ``DDEATH``.
        edge: ``<group>/<edge node>``.
        child: ``edge``, or ``<group>/<edge node>/<device>``.
        sequence: member ``seq`` of the payload, None without one.
        birth_sequence: metric ``bdSeq`` of an NBIRTH or NDEATH, None without one.
        writer, payload, received, done, topic: as the intake was given them.
    """

    kind: str
    edge: str
    child: str
    sequence: int | None
    birth_sequence: int | None
    writer: Writer
    payload: bytes
    received: int
    done: Done | None
    topic: str


def _build_head() -> Any:
    # Without the metrics, which are then skipped by their length: a tenth of the cost of reading them.
    file = FileDescriptorProto(name="gongfu/sparkplug_head.proto", package="gongfu.sparkplug", syntax="proto2")
    message = DescriptorProto(name="Head")
    for name, number in (("timestamp", 1), ("seq", 3)):
        message.field.add(
            name=name,
            number=number,
            type=FieldDescriptorProto.TYPE_UINT64,
            label=FieldDescriptorProto.LABEL_OPTIONAL,
        )
    file.message_type.append(message)
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName("gongfu.sparkplug.Head"))


_Head: Any = _build_head()


def sequence_of(payload: bytes) -> int | None:
    """Return ``seq`` of a payload; None when it has none or cannot be read."""
    try:
        head = _Head.FromString(payload)
    except DecodeError:
        return None
    return head.seq if head.HasField("seq") else None


def death_payload(bd_seq: int | None, milliseconds: int) -> bytes:
    """Return an NDEATH that ends the session of a birth (§6.4.12); ``bd_seq`` is None for a birth without one."""
    message = Payload(timestamp=milliseconds)
    if bd_seq is not None:
        metric = message.metrics.add(name=BIRTH_SEQUENCE, timestamp=milliseconds, datatype=DataType.INT64)
        metric.long_value = bd_seq
    return message.SerializeToString()


def birth_sequence_of(payload: bytes) -> int | None:
    """Return the value of the metric ``bdSeq``; None when there is none or the payload cannot be read.

    Int64 by the specification (§6.4.8); some encoders write it as an integer of 32 bits, so both are read.
    """
    try:
        message = Payload.FromString(payload)
    except DecodeError:
        return None
    for metric in message.metrics:
        if metric.name == BIRTH_SEQUENCE:
            which = metric.WhichOneof("value")
            return int(getattr(metric, which)) if which in ("long_value", "int_value") else None
    return None
