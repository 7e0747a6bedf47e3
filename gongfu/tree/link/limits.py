"""How much a link may have on its way and in memory."""

import msgspec

SECOND = 1_000_000_000


class Limits(msgspec.Struct, frozen=True, gc=False):
    """Bounds of one link. The byte bounds may be exceeded by one message.

    Attributes:
        window_messages: not acknowledged, at most.
        window_bytes: likewise, bytes of bodies.
        frame_messages: in one frame.
        frame_bytes: of bodies in one frame; a larger message travels alone.
        held_frames: that came too early, at the receiver.
        ask_after: a gap is filled when it was asked for so often; more than 1, since frames may overtake each other.
        ping_every: nanoseconds.
        silent_after: nanoseconds without any frame, after which the connection begins anew.
        renew_every: nanoseconds between two new epochs, at least: the other end can call for them.
    """

    window_messages: int = 256
    window_bytes: int = 256 * 1024
    frame_messages: int = 64
    frame_bytes: int = 64 * 1024
    held_frames: int = 256
    ask_after: int = 2
    ping_every: int = 20 * SECOND
    silent_after: int = 60 * SECOND
    renew_every: int = SECOND


DEFAULT_LIMITS = Limits()
FOREVER = 2**63 - 1
