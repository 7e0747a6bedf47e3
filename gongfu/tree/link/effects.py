"""What a session asks of the code around it. Effects are carried out in the order in which they are returned."""

from typing import Literal, TypeAlias

import msgspec

from gongfu.tree.link.frames import Frame
from gongfu.tree.link.position import Position

# own-rewound: the other end has what this one never sent (this database was restored). peer-rewound: it lacks what it
# has acknowledged (its database was restored). diverged: it has other messages at these numbers. outbox-gap: messages
# that must be in the outbox are not.
RenewalReason: TypeAlias = Literal["own-rewound", "peer-rewound", "diverged", "outbox-gap"]


class Send(msgspec.Struct, frozen=True, gc=False):
    """Send this frame; it may be lost."""

    frame: Frame


class Load(msgspec.Struct, frozen=True, gc=False):
    """Read messages from the outbox and answer with ``loaded``.

    Attributes:
        epoch: of the outbox.
        first: number of the first that is wanted.
        messages: so many at most, at least 1.
        size: stop before so many bytes are exceeded, but read one at least.
    """

    epoch: int
    first: int
    messages: int
    size: int


class Deliver(msgspec.Struct, frozen=True, gc=False):
    """Take these messages and write ``position`` in one transaction, then answer with ``committed`` (or ``failed``).

    Attributes:
        first: number of the first of them.
        bodies: the messages, in order.
        position: after the last of them: ``Durable.received``.
    """

    first: int
    bodies: tuple[bytes, ...]
    position: Position


class Forget(msgspec.Struct, frozen=True, gc=False):
    """Write ``Durable.acknowledged`` and delete what is not behind it. May be done late; the last one is enough."""

    acknowledged: Position


class NewEpoch(msgspec.Struct, frozen=True, gc=False):
    """One of the two databases is older than the other believes; answer with ``renewed`` after one transaction.

    In that transaction: write ``epoch`` and ``acknowledged``; put everything that there is to know into the outbox
    (open orders, latest cells, memberships), behind it what was still there; number all from 1.

    Attributes:
        epoch: larger than any that the two ends have seen.
        acknowledged: what the other end says that it has; of an older epoch, or of one that this end does not know.
        reason: why.
    """

    epoch: int
    acknowledged: Position
    reason: RenewalReason


class PeerRewound(msgspec.Struct, frozen=True, gc=False):
    """The other end's database is older than it was; for the audit. ``NewEpoch`` follows.

    Attributes:
        acknowledged: what it had.
        claimed: what it says that it has.
    """

    acknowledged: Position
    claimed: Position


class PeerRetired(msgspec.Struct, frozen=True, gc=False):
    """The other end says that the link has ended."""


class Up(msgspec.Struct, frozen=True, gc=False):
    """The two ends know each other now.

    Attributes:
        last: number of the last message in the other end's outbox.
    """

    last: int


class Down(msgspec.Struct, frozen=True, gc=False):
    """They no longer do: ``silent``, ``reconnected`` (by the other end)."""

    reason: Literal["silent", "reconnected"]


class ClockSkew(msgspec.Struct, frozen=True, gc=False):
    """The clocks differ by more than the bound, or do so no longer.

    Attributes:
        offset: other end's clock minus own, nanoseconds.
        skewed: beyond the bound.
    """

    offset: int
    skewed: bool


Effect: TypeAlias = Send | Load | Deliver | Forget | NewEpoch | PeerRewound | PeerRetired | Up | Down | ClockSkew
