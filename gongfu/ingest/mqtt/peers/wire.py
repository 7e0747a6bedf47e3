"""What front doors say to each other: MessagePack arrays, tagged by number (docs/front-door.md)."""

import msgspec

from gongfu.ingest.mqtt.broker.moving import SessionState, StoredDelivery

InterestRow = tuple[int, str, str, int, int]
"""Tenant, share name or empty, filter, online, kept (see ``SubscriptionTrie.set_door``)."""

AskRow = tuple[int, int, str, bool, int, int]
"""Serial, device, client id, clean start, ticket, ordinal above which deliveries are asked for."""


class Item(msgspec.Struct, array_like=True):
    """One thing said."""


class Forward(Item, tag=1):
    """A message for subscribers there.

    Attributes:
        message: ``Message.to_bytes``.
        sender: front door that wrote it down; another one may have taken over its journal.
        target: front door it was sent to first; another one may have taken over that one's sessions.
        ordinal: grows from message to message of one sender and target; 0 when it may be lost with the process.
    """

    tenant: int
    message: bytes
    direct: bool
    groups: list[tuple[str, str]]
    sender: str = ""
    target: str = ""
    ordinal: int = 0


class Interest(Item, tag=2):
    """Filters that sessions here want; ``first`` begins anew, ``last`` says that it is complete."""

    rows: list[InterestRow]
    first: bool = False
    last: bool = True


class Keep(Item, tag=3):
    """Retained messages: tenant, topic, version, ``Message.to_bytes`` or empty when cleared."""

    rows: list[tuple[int, str, int, bytes]]


class Digest(Item, tag=4):
    """Sums over all retained messages by bucket; where they differ, the other side sends what it has."""

    sums: list[int]


class Ask(Item, tag=5):
    """Whose sessions are these?

    ``late`` asks again of a front door that was not there when the client connected.
    """

    rows: list[AskRow]
    late: bool = False


class Answer(Item, tag=6):
    """No session for these serials; True when a later connection of the same client is being accepted here."""

    rows: list[tuple[int, bool]]


class Part(Item, tag=7):
    """Deliveries of a session that follows."""

    serial: int
    deliveries: list[StoredDelivery]


class Given(Item, tag=8):
    """A session; its deliveries have come before."""

    serial: int
    device: int
    client_id: str
    state: SessionState


class Fence(Item, tag=9):
    """Answer with ``Echo``: then all that was said before has been taken, and what you said before is here."""

    number: int


class Echo(Item, tag=10):
    """Answer to ``Fence``."""

    number: int


class Settled(Item, tag=11):
    """The session is in the journal here and all know its filters: give what came since the ordinal, and forget it."""

    device: int
    client_id: str
    epoch: int
    ordinal: int


class Tail(Item, tag=12):
    """What came for a session after it was given for that serial; ``last`` says that nothing more comes.

    Answered with ``Discard`` once it is in the journal, or ``Return`` when the session has gone on.
    """

    device: int
    client_id: str
    deliveries: list[StoredDelivery]
    last: bool
    serial: int = 0


class Ghost(Item, tag=13):
    """I have given you this session for that serial and heard no more: have you got it?"""

    device: int
    client_id: str
    epoch: int
    serial: int


class Discard(Item, tag=14):
    """I have all of the session you gave for that serial: forget your copy."""

    device: int
    client_id: str
    serial: int


class Return(Item, tag=15):
    """I have not taken the session you gave for that serial: it is yours."""

    device: int
    client_id: str
    serial: int


class Names(Item, tag=16):
    """Front doors that are no longer started and whose sessions are here."""

    names: list[str]


AnyItem = (
    Forward
    | Interest
    | Keep
    | Digest
    | Ask
    | Answer
    | Part
    | Given
    | Fence
    | Echo
    | Settled
    | Tail
    | Ghost
    | Discard
    | Return
    | Names
)


class Envelope(msgspec.Struct, array_like=True):
    """One NATS message between two front doors.

    Attributes:
        mine: generation of the link at the sender.
        theirs: generation at the receiver as the sender knows it, or 0.
        sequence: number of the frame from 1, 0 without items.
        acknowledged: all frames up to this number have been taken and what they changed is durable.
        items: what is said, in order.
    """

    mine: int
    theirs: int
    sequence: int
    acknowledged: int
    items: list[AnyItem]


class RawEnvelope(msgspec.Struct, array_like=True):
    """The same with items encoded already."""

    mine: int
    theirs: int
    sequence: int
    acknowledged: int
    items: list[msgspec.Raw]


_encoder = msgspec.msgpack.Encoder()
_envelope = msgspec.msgpack.Decoder(Envelope)


def encode_item(item: Item) -> bytes:
    """Return an item as it travels."""
    return _encoder.encode(item)


def encode_envelope(envelope: RawEnvelope) -> bytes:
    """Return an envelope as it travels."""
    return _encoder.encode(envelope)


def decode_envelope(data: bytes) -> Envelope:
    """Return an envelope.

    Raises:
        msgspec.MsgspecError: it is none, or of another release.
    """
    return _envelope.decode(data)
