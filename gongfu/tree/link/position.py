"""Positions in an outbox, and what an end of a link keeps in its database.

A position names a number *and* a digest over all bodies of the epoch up to it. Without the digest a sender that was
restored from a backup and has since numbered other messages would take the receiver's number for a confirmation of
these, and lose them.
"""

from collections.abc import Iterable
from hashlib import blake2b

import msgspec

# Far beyond any number that is reached; below it, arithmetic stays within 63 bits and SQL integers.
MAX_EPOCH = 2**53
MAX_NUMBER = 2**53


class Position(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How far one end has the other's messages.

    Attributes:
        epoch: of the outbox; 0 is before the first.
        number: of the last message that is there; 0 is none of this epoch.
        digest: ``chain`` over the bodies 1 … ``number``; 0 at number 0. Unsigned, 63 bits.
    """

    epoch: int = 0
    number: int = 0
    digest: int = 0

    def before(self, other: "Position") -> bool:
        """Whether this position has less than the other, by epoch and number."""
        return (self.epoch, self.number) < (other.epoch, other.number)


NOWHERE = Position()


class Durable(msgspec.Struct, frozen=True, gc=False):
    """What an end of a link must find in its database after a crash, besides the bodies of the outbox.

    Attributes:
        epoch: of the own outbox, from 1.
        last: number of the last message stored in it.
        acknowledged: what the other end has of the own outbox, as far as it told; messages up to it are forgotten. Its
            epoch is smaller than ``epoch`` while nothing of this epoch was acknowledged.
        received: what this end has of the other's outbox; written in the transaction that takes the messages.
        retired: the link has ended.
        clock_offset: other end's clock minus own, as last measured, nanoseconds; None when never.
    """

    epoch: int = 1
    last: int = 0
    acknowledged: Position = NOWHERE
    received: Position = NOWHERE
    retired: bool = False
    clock_offset: int | None = None


def chain(digest: int, bodies: Iterable[bytes]) -> int:
    """Return the digest after more bodies: 63 bits of BLAKE2b over the digest before and each body."""
    for body in bodies:
        hashed = blake2b(digest.to_bytes(8, "big") + body, digest_size=8).digest()
        digest = int.from_bytes(hashed, "big") >> 1
    return digest


def confirmed(epoch: int, acknowledged: Position) -> Position:
    """Return what the other end has of the outbox ``epoch``: nothing if ``acknowledged`` is of an older one."""
    return acknowledged if acknowledged.epoch == epoch else Position(epoch)
