"""What parent and child say to each other about reports: the bodies of messages on a link (MessagePack)."""

from typing import Any, TypeVar

import msgspec

from gongfu.tree.host.section import Refusal
from gongfu.tree.membership.keys import Signed
from gongfu.tree.reports.claims import Answer, Claim, Claims

T = TypeVar("T")

STATEMENT = "statement"
MISSING = "missing"
KINDS = "report-kinds"
LIVE_ASK = "live-ask"
LIVE_ANSWER = "live-answer"
CLAIM = "claim"
ANSWER = "claim-answer"
GONE = "claimers-gone"
RECORD = "record"
RECORD_POSITIONS = "record-positions"
# Child to parent, without a body: tell your positions.
RECORDS_ASK = "records-ask"


class Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base of all bodies."""


class Opening(Message, frozen=True):
    """First of an epoch: who declared the kind, and the keys that the child's cells have, in the kind's order."""

    declared_by: str
    keys: tuple[str, ...]


class Said(Message, frozen=True):
    """Child to parent: a batch of the stream of a kind."""

    kind: str
    opening: Opening | None
    data: bytes


class Missing(Message, frozen=True):
    """Parent to child: state everything of a kind anew, in a new epoch.

    Attributes:
        known: largest epoch that the parent knows; the new one is larger.
        about: epoch of the statement that could not be taken; 0: whatever the child's epoch is.
    """

    kind: str
    known: int
    about: int


class Declared(Message, frozen=True):
    """A declaration as it travels: ``form`` is ``cells`` or ``record``."""

    form: str
    declared_by: str
    document: bytes


class KindList(Message, frozen=True):
    """Parent to child: all kinds that the parent has."""

    kinds: tuple[Declared, ...]


class LiveAsk(Message, frozen=True):
    """Ancestor to a node below: how are your children? ``deadline`` is UTC ns in the parent's time."""

    asker: str
    number: int
    node: str
    deadline: int


class LiveAnswer(Message, frozen=True):
    """What it answers: documents (MessagePack of ``LiveDoc``) by node."""

    asker: str
    number: int
    docs: dict[str, bytes]


class ClaimMessage(Message, frozen=True):
    """Claimer to home. ``home`` is empty until a node knows where identifiers with this prefix are at home."""

    prefix: str
    node: str
    home: str
    claims: tuple[Claim, ...] = ()
    whole: Claims | None = None


class AnswerMessage(Message, frozen=True):
    """Home to claimer."""

    prefix: str
    node: str
    home: str
    answers: tuple[Answer, ...]


class Gone(Message, frozen=True):
    """To all nodes of the tree: these are nodes no more; what they claimed is released."""

    nodes: tuple[str, ...]


class RecordMessage(Message, frozen=True):
    """Child to parent: signed records, of the child and of nodes below it."""

    records: tuple[Signed, ...]


class RecordPositions(Message, frozen=True):
    """Parent to child: up to which sequence it has all records, by ``<kind> <node>``; what follows is sent again."""

    upto: dict[str, int]


def pack(message: Any) -> bytes:
    """Return the bytes of a message."""
    return msgspec.msgpack.encode(message)


def unpack(body: bytes, message_type: type[T]) -> T:
    """Return the message in a body.

    Raises:
        Refusal: ``malformed``.
    """
    try:
        return msgspec.msgpack.decode(body, type=message_type)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise Refusal("malformed", f"not a {message_type.__name__}") from None
