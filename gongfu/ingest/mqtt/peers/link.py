"""A reliable, ordered link between two front doors over core NATS, which may lose messages. Pure: time is passed in.

Frames are numbered from 1 for each pair of generations; they are acknowledged together, resent from the first that is
not, and taken in order only. A side that was restarted, or gave the other up, has a new generation: both begin anew,
and the owner of the link says again what must not be lost.
"""

from collections import deque
from collections.abc import Callable

import msgspec

from gongfu.ingest.mqtt.peers.wire import AnyItem, Envelope, RawEnvelope, encode_envelope

FRAME_BYTES = 256 * 1024
WINDOW_BYTES = 8 * 1024 * 1024
PENDING_BYTES = 64 * 1024 * 1024
RESEND_SECONDS = 1.0
RESEND_FRAMES = 32

Acknowledged = Callable[[], None]


class PeerLink:
    """One side of a link. The owner calls ``due`` after it has queued or received, and ``tick`` now and then.

    Attributes:
        mine: generation of this side.
        theirs: generation of the other side, or 0 while unknown.
    """

    def __init__(self, generation: int) -> None:
        self.mine = generation
        self.theirs = 0
        self._reset()

    def _reset(self) -> None:
        self._pending: list[tuple[bytes, Acknowledged | None]] = []
        self._pending_bytes = 0
        self._frames: deque[tuple[int, list[msgspec.Raw], int, list[Acknowledged]]] = deque()
        self._frame_bytes = 0
        self._next = 1
        self._sent_at = 0.0
        self._expected = 1
        self._durable = 0
        self._ack_due = False
        self._ack_soon = False

    def restart(self, generation: int) -> None:
        """Give the other side up: what is queued is forgotten, and it has to introduce itself again."""
        self.mine = generation
        self.theirs = 0
        self._reset()

    @property
    def congested(self) -> bool:
        """True while so much waits that what may be lost should not be queued."""
        return self._pending_bytes > PENDING_BYTES

    @property
    def unacknowledged(self) -> int:
        """Bytes sent or queued that the other side has not taken."""
        return self._pending_bytes + self._frame_bytes

    def queue(self, item: bytes, acknowledged: Acknowledged | None = None) -> None:
        """Say something; ``acknowledged`` is called when the other side has it durably, never if it does not."""
        self._pending.append((item, acknowledged))
        self._pending_bytes += len(item)

    def due(self, now: float) -> list[bytes]:
        """Return the envelopes to send now."""
        if not self.theirs:
            return []
        found: list[bytes] = []
        while self._pending and self._frame_bytes < WINDOW_BYTES:
            found.append(self._frame(now))
        if self._ack_due and not found:
            found.append(self._envelope(0, []))
        return found

    def hello(self) -> bytes:
        """Return an envelope without items: tells who is here and what has been taken."""
        return self._envelope(0, [])

    def _frame(self, now: float) -> bytes:
        items: list[msgspec.Raw] = []
        callbacks: list[Acknowledged] = []
        size = count = 0
        for item, acknowledged in self._pending:
            if size and size + len(item) > FRAME_BYTES:
                break
            items.append(msgspec.Raw(item))
            if acknowledged is not None:
                callbacks.append(acknowledged)
            size += len(item)
            count += 1
        del self._pending[:count]
        self._pending_bytes -= size
        if not self._frames:
            self._sent_at = now
        self._frames.append((self._next, items, size, callbacks))
        self._frame_bytes += size
        self._next += 1
        return self._envelope(self._next - 1, items)

    def _envelope(self, sequence: int, items: list[msgspec.Raw]) -> bytes:
        self._ack_due = self._ack_soon = False
        return encode_envelope(RawEnvelope(self.mine, self.theirs, sequence, self._durable, items))

    def meet(self, generation: int) -> bool:
        """Learn the generation of the other side; return whether the link begins anew."""
        if generation <= self.theirs:
            return False
        self._reset()
        self.theirs = generation
        return True

    def receive(self, envelope: Envelope, now: float) -> list[AnyItem]:
        """Return the items to take now; call ``taken`` when what they changed is durable.

        ``meet`` comes first. What is not for this pair of generations, comes again or comes too early is left out.
        """
        if envelope.mine != self.theirs or envelope.theirs != self.mine:
            return []
        self._acknowledge(envelope.acknowledged, now)
        if not envelope.sequence:
            return []
        if envelope.sequence != self._expected:
            self._ack_due = True
            return []
        self._expected += 1
        return envelope.items

    @property
    def position(self) -> tuple[int, int]:
        """Token for ``taken`` after ``receive``."""
        return self.theirs, self._expected - 1

    def taken(self, position: tuple[int, int], urgent: bool = True) -> None:
        """All up to a position is durable."""
        generation, sequence = position
        if generation == self.theirs and sequence > self._durable:
            self._durable = sequence
            self._ack_soon = True
            self._ack_due |= urgent

    def _acknowledge(self, sequence: int, now: float) -> None:
        while self._frames and self._frames[0][0] <= sequence:
            _, _, size, callbacks = self._frames.popleft()
            self._frame_bytes -= size
            self._sent_at = now
            for callback in callbacks:
                callback()

    def tick(self, now: float) -> list[bytes]:
        """Return what has to be sent again, or an acknowledgement that has waited."""
        if not self.theirs:
            return []
        if self._frames and now - self._sent_at > RESEND_SECONDS:
            self._sent_at = now
            frames = list(self._frames)[:RESEND_FRAMES]
            return [self._envelope(sequence, items) for sequence, items, _, _ in frames]
        return [self._envelope(0, [])] if self._ack_soon else []
