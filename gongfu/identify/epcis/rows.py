"""How events and their indexes lie in the key-value store: keys sort as they are read. Pure.

Events are numbered from 1 in the order in which they were stored. Tables, by the first byte of a key:

``E`` number → event · ``I`` digest of identity → number and fingerprint · ``T`` event time, number · ``P`` thing,
event time, number, role · ``G``/``B`` transformation and business transaction, number · ``F`` field, value, first
number → numbers · ``C`` number of a context → context · ``D`` number → disregarded (declared in error) · ``V`` name →
master data · ``J`` capture job · ``Q`` named query · ``S`` subscription.
"""

import struct
from enum import IntEnum
from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from gongfu.identify.epcis.facts import Facts

EVENT: Final = b"E"
IDENTITY: Final = b"I"
TIME: Final = b"T"
THING: Final = b"P"
TRANSFORMATION: Final = b"G"
TRANSACTION: Final = b"B"
FIELD: Final = b"F"
CONTEXT: Final = b"C"
DISREGARDED: Final = b"D"
VOCABULARY: Final = b"V"
JOB: Final = b"J"
QUERY: Final = b"Q"
SUBSCRIPTION: Final = b"S"

END: Final = b"\xff" * 9
_NUMBER = struct.Struct(">Q")
_TIMED = struct.Struct(">QQ")
_MENTION = struct.Struct(">QQB")
_HEAD = struct.Struct(">Iq")
_IDENTITY = struct.Struct(">Q16s")
_BIAS = 1 << 63
_MOST = (1 << 64) - 1


def _biased(time: int) -> int:
    """Return a time as it sorts in keys; those before 1678 and after 2262 are the first and the last."""
    return min(max(time + _BIAS, 0), _MOST)


class Role(IntEnum):
    """What an event says of a thing; LOT_OF: of a lot, that an instance is of it; OF_LOT: of that instance."""

    OBJECT = 1
    CHILD = 2
    PARENT = 3
    INPUT = 4
    OUTPUT = 5
    LOT_OF = 6
    OF_LOT = 7


class Field(IntEnum):
    """Fields with few values, whose events are listed by value."""

    KIND = 1
    ACTION = 2
    BIZ_STEP = 3
    DISPOSITION = 4
    READ_POINT = 5
    BIZ_LOCATION = 6


class Mention(NamedTuple):
    """That an event names a thing."""

    time: int
    number: int
    role: Role


def number_key(table: bytes, number: int) -> bytes:
    """Return the key of a number in a table."""
    return table + _NUMBER.pack(number)


def number_of(key: bytes) -> int:
    """Return the number at a key's end."""
    return _NUMBER.unpack(key[-8:])[0]


def identity_key(identity: str, *, in_error: bool) -> bytes:
    """Return the key of an event's identity; the declaration that it was in error has the same identity."""
    return IDENTITY + blake2b(identity.encode(), digest_size=16, salt=b"error" if in_error else b"").digest()


def identity_row(number: int, fingerprint: bytes) -> bytes:
    """Return what stands at an identity."""
    return _IDENTITY.pack(number, fingerprint)


def identity_of(row: bytes) -> tuple[int, bytes]:
    """Return number and fingerprint of an identity's row."""
    return _IDENTITY.unpack(row)


def time_key(time: int, number: int = 0) -> bytes:
    """Return the key of an event in the order of event times."""
    return TIME + _TIMED.pack(_biased(time), number)


def time_of(key: bytes) -> tuple[int, int]:
    """Return event time and number of a key in the order of event times."""
    time, number = _TIMED.unpack(key[1:])
    return time - _BIAS, number


def thing_start(thing: str) -> bytes:
    """Return what the keys of a thing's mentions start with."""
    return THING + thing.encode() + b"\0"


def mention_of(key: bytes) -> Mention:
    """Return the mention that a key is."""
    time, number, role = _MENTION.unpack(key[-17:])
    return Mention(time - _BIAS, number, Role(role))


def thing_of(key: bytes) -> str:
    """Return the thing of a mention's key."""
    return key[1:-18].decode()


def group_start(table: bytes, identifier: str) -> bytes:
    """Return what the keys of a transformation or business transaction start with."""
    return table + identifier.encode() + b"\0"


def field_start(field: int, value: str) -> bytes:
    """Return what the keys of a field's value start with."""
    return FIELD + bytes((field,)) + value.encode() + b"\0"


def event_row(context: int, record_time: int, document: bytes) -> bytes:
    """Return what is stored of an event."""
    return _HEAD.pack(context, record_time) + document


class StoredEvent(NamedTuple):
    """An event as it is stored.

    Attributes:
        number: place in the order of storing.
        context: number of the ``@context`` it came with.
        record_time: UTC nanoseconds.
        document: JSON.
    """

    number: int
    context: int
    record_time: int
    document: bytes


def stored_event(number: int, row: bytes) -> StoredEvent:
    """Return a stored event of its row."""
    context, record_time = _HEAD.unpack_from(row)
    return StoredEvent(number, context, record_time, row[_HEAD.size :])


# As plain numbers: members of an enumeration are slow as keys.
_OBJECT, _CHILD, _PARENT, _INPUT, _OUTPUT, _LOT_OF, _OF_LOT = (int(role) for role in Role)
_CHILDREN: Final = frozenset(("AggregationEvent", "AssociationEvent"))


def mention_keys(facts: Facts, number: int) -> list[bytes]:
    """Return the keys under which an event is found by what it names, and by when it happened."""
    kind, biased = facts.kind, _biased(facts.time)
    role = _CHILD if kind in _CHILDREN else _OBJECT
    named = [(thing, role) for thing in facts.things]
    named += [(item.thing, role) for item in facts.classes]
    if facts.parent:
        named.append((facts.parent, _PARENT if role == _CHILD else _OBJECT))
    if kind == "TransformationEvent":
        named += [(thing, _INPUT) for thing in facts.inputs]
        named += [(thing, _OUTPUT) for thing in facts.outputs]
        named += [(item.thing, _INPUT) for item in facts.input_classes]
        named += [(item.thing, _OUTPUT) for item in facts.output_classes]
    for thing, of in facts.lots():
        named += ((of, _LOT_OF), (thing, _OF_LOT))
    pack = _MENTION.pack
    keys = [THING + thing.encode() + b"\0" + pack(biased, number, role) for thing, role in named]
    if facts.transformation:
        keys.append(number_key(group_start(TRANSFORMATION, facts.transformation), number))
    if "bizTransactionList" in facts.event:
        keys += [
            number_key(group_start(TRANSACTION, party.who), number) for party in facts.parties("bizTransactionList")
        ]
    keys.append(time_key(facts.time, number))
    return keys


def field_values(facts: Facts) -> list[tuple[int, str]]:
    """Return the values of the fields with few values; the fields are those of ``Field``."""
    values = (
        (1, facts.kind),
        (2, facts.action),
        (3, facts.biz_step),
        (4, facts.disposition),
        (5, facts.read_point),
        (6, facts.biz_location),
    )
    return [value for value in values if value[1]]


def numbers_row(numbers: list[int], first: int) -> bytes:
    """Return numbers of events as differences to the first of their batch."""
    return (np.array(numbers, dtype=np.uint64) - first).astype("<u4").tobytes()


def numbers_of(key: bytes, row: bytes) -> npt.NDArray[np.uint32]:
    """Return the numbers that a field's row lists."""
    return (np.frombuffer(row, dtype="<u4") + number_of(key)).astype(np.uint32)
