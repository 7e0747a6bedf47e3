"""The keys of a shard and what is stored under them, but for records and ranges. Pure."""

import struct

import msgspec

_PREFIX = struct.Struct(">I")
_COUNT = struct.Struct(">QQQ")
# Prefixes have lower numbers.
MAX_PREFIX = 0xFFFF_FF00
COUNTS = _PREFIX.pack(0xFFFF_FF01)
BATCHES = _PREFIX.pack(0xFFFF_FF02)
RANGES = _PREFIX.pack(0xFFFF_FF03)
BINDINGS = _PREFIX.pack(0xFFFF_FF04)
# What a key of a record begins with, of the number of its prefix.
packed = _PREFIX.pack


def record_key(prefix: int, suffix: bytes) -> bytes:
    """Return the key of a record."""
    return _PREFIX.pack(prefix) + suffix


def count_key(prefix: int) -> bytes:
    """Return the key of a prefix's count."""
    return COUNTS + _PREFIX.pack(prefix)


def prefix_of_count(key: bytes) -> int:
    """Return the number of the prefix whose count has this key."""
    return int(_PREFIX.unpack_from(key, len(COUNTS))[0])


class Count(msgspec.Struct, frozen=True, gc=False):
    """How many identifiers there are of a prefix; each counts once.

    Attributes:
        explicit: that have a record of their own.
        members: of ranges.
        overridden: members that have a record of their own as well.
    """

    explicit: int = 0
    members: int = 0
    overridden: int = 0

    @property
    def ranged(self) -> int:
        """Members of ranges without a record of their own."""
        return self.members - self.overridden

    @property
    def total(self) -> int:
        """All."""
        return self.explicit + self.members - self.overridden

    def plus(self, explicit: int, members: int, overridden: int) -> "Count":
        """Return it with so many more."""
        return Count(self.explicit + explicit, self.members + members, self.overridden + overridden)

    def encode(self) -> bytes:
        """Return its bytes."""
        return _COUNT.pack(self.explicit, self.members, self.overridden)


def decode_count(data: bytes) -> Count:
    """Return what ``Count.encode`` wrote."""
    return Count(*_COUNT.unpack(data))


class Answered(msgspec.Struct, frozen=True, array_like=True):
    """What a batch was answered that had a key of idempotency.

    Attributes:
        at: UTC seconds.
        digest: of what it wished.
        codes: one byte a write; 255 stands for one that another shard has.
        details: by place in the batch, where there are any.
    """

    at: int
    digest: bytes
    codes: bytes
    details: dict[int, str]


_decode_answered = msgspec.msgpack.Decoder(Answered).decode


def batch_key(key: bytes) -> bytes:
    """Return the key of what a batch was answered."""
    return BATCHES + key


def encode_answered(answered: Answered) -> bytes:
    """Return its bytes."""
    return msgspec.msgpack.encode(answered)


def decode_answered(data: bytes) -> Answered:
    """Return what ``encode_answered`` wrote."""
    return _decode_answered(data)
