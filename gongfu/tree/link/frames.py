"""What the two ends of a link send to each other, as MessagePack.

``decode`` gives a valid frame or raises ``FrameError``, whatever the bytes are. Each end chooses a random tag for a
connection and tells it in its ``Hello``; all other frames bear both (as those of SCTP bear their receiver's, RFC 9260
§8.5): what was sent over an earlier connection, or by an earlier life of either end, is recognised however late it
comes.
"""

from typing import Annotated, TypeAlias

import msgspec

from gongfu.tree.link.position import MAX_EPOCH, MAX_NUMBER, Position

VERSION = 1
MAX_FRAME_BYTES = 1024 * 1024
MAX_BODY_BYTES = MAX_FRAME_BYTES - 1024
MAX_BODIES = 1024
MAX_NODE_LENGTH = 64

_Tag = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
_Epoch = Annotated[int, msgspec.Meta(ge=0, le=MAX_EPOCH)]
_Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)]
_Nanoseconds = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]


class FrameError(Exception):
    """A frame, or a message to be sent, that breaks the rules.

    Attributes:
        reason: ``frame-too-large``, ``frame-malformed``, ``frame-empty``, ``version-unsupported``, ``bodies-too-many``,
            ``body-too-large`` or ``number-out-of-range``.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


def connection_tag(own: int, peer: int) -> int:
    """Return what all frames but hellos bear: the tags of the two ends in one."""
    return own ^ peer


class Hello(msgspec.Struct, tag=1, array_like=True, frozen=True, gc=False):
    """Begins a connection.

    Attributes:
        version: of this protocol.
        node: id of the sender.
        tag: of the sender, chosen at random for this connection, not 0.
        to: tag of the receiver that this answers, 0 in the first.
        answer: the sender waits for a hello that bears its tag.
        epoch: of the sender's outbox.
        last: number of the last message in it.
        have: what the sender has of the receiver's outbox.
        retired: the link has ended.
    """

    version: int
    node: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NODE_LENGTH)]
    tag: Annotated[int, msgspec.Meta(gt=0, lt=2**62)]
    to: _Tag
    answer: bool
    epoch: _Epoch
    last: _Number
    have: Position
    retired: bool = False


class Data(msgspec.Struct, tag=2, array_like=True, frozen=True, gc=False):
    """Messages ``first``, ``first + 1``, … of an epoch; ``tag`` is that of the connection."""

    tag: _Tag
    epoch: _Epoch
    first: Annotated[int, msgspec.Meta(ge=1, le=MAX_NUMBER)]
    bodies: tuple[bytes, ...]


class Ack(msgspec.Struct, tag=3, array_like=True, frozen=True, gc=False):
    """Everything up to ``number`` is taken and committed.

    Attributes:
        tag: of the connection.
        epoch: of the receiver's outbox.
        number: last message that is committed.
        missing: first message that is missing though a later one is there; 0 when none is.
        until: last message of that gap.
    """

    tag: _Tag
    epoch: _Epoch
    number: _Number
    missing: _Number = 0
    until: _Number = 0


class Ping(msgspec.Struct, tag=4, array_like=True, frozen=True, gc=False):
    """Asks for the other clock.

    Attributes:
        tag: of the connection.
        sent: clock of the sender, nanoseconds; comes back.
    """

    tag: _Tag
    sent: _Nanoseconds


class Pong(msgspec.Struct, tag=5, array_like=True, frozen=True, gc=False):
    """Answers a ping: its ``sent``, and the clock of the one that answers, nanoseconds."""

    tag: _Tag
    sent: _Nanoseconds
    clock: _Nanoseconds


Frame: TypeAlias = Hello | Data | Ack | Ping | Pong

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Hello | Data | Ack | Ping | Pong)


def check_body(body: bytes) -> None:
    """Check a message before it is stored: one that is too large would stop the link for good.

    Raises:
        FrameError: ``body-too-large``.
    """
    if len(body) > MAX_BODY_BYTES:
        raise FrameError("body-too-large", f"{len(body)} bytes, at most {MAX_BODY_BYTES}")


def encode(frame: Frame) -> bytes:
    """Return the bytes of a frame.

    Raises:
        FrameError: the frame breaks a limit.
    """
    _check(frame)
    data = _encoder.encode(frame)
    if len(data) > MAX_FRAME_BYTES:
        raise FrameError("frame-too-large", f"{len(data)} bytes, at most {MAX_FRAME_BYTES}")
    return data


def decode(data: bytes) -> Frame:
    """Return the frame of these bytes.

    Raises:
        FrameError: they are not a frame, or break a limit. Nothing else is raised.
    """
    if len(data) > MAX_FRAME_BYTES:
        raise FrameError("frame-too-large", f"{len(data)} bytes, at most {MAX_FRAME_BYTES}")
    try:
        frame = _decoder.decode(data)
    except (ValueError, RecursionError) as error:
        # ValueError: msgspec's own errors and UnicodeDecodeError. RecursionError: deep nesting behind the last field.
        raise FrameError("frame-malformed", str(error)[:200]) from None
    _check(frame)
    return frame


def _check(frame: Frame) -> None:
    if isinstance(frame, Data):
        count = len(frame.bodies)
        if not count:
            raise FrameError("frame-empty")
        if count > MAX_BODIES:
            raise FrameError("bodies-too-many", f"{count}, at most {MAX_BODIES}")
        for body in frame.bodies:
            check_body(body)
        if frame.first + count - 1 > MAX_NUMBER:
            raise FrameError("number-out-of-range", "data")
    elif isinstance(frame, Hello):
        if frame.version != VERSION:
            raise FrameError("version-unsupported", str(frame.version))
        have = frame.have
        if not (0 <= have.epoch <= MAX_EPOCH and 0 <= have.number <= MAX_NUMBER and 0 <= have.digest < 2**63):
            raise FrameError("number-out-of-range", "hello")
    elif isinstance(frame, Ack) and frame.until < frame.missing:
        raise FrameError("number-out-of-range", "ack")
