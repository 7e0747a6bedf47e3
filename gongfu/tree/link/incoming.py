"""The receiving half of a link's end: what is delivered, what waits for a gap to be filled, what is acknowledged."""

from gongfu.kernel.counters import Counters
from gongfu.tree.link.effects import Deliver, Effect, Send
from gongfu.tree.link.frames import Ack, Data
from gongfu.tree.link.limits import Limits
from gongfu.tree.link.position import Position, chain

# An empty message takes memory too.
_BODY_OVERHEAD = 40


def _size(bodies: tuple[bytes, ...]) -> int:
    return sum(map(len, bodies)) + _BODY_OVERHEAD * len(bodies)


class Incoming:
    """Delivers the other end's messages in order, each once.

    Attributes:
        received: committed position in the other end's outbox.
        taken: position up to which messages were handed out to be delivered; not before ``received``.
    """

    __slots__ = ("_counters", "_held", "_held_size", "_limits", "_pending", "_pending_size", "received", "taken")

    def __init__(self, received: Position, limits: Limits, counters: Counters) -> None:
        self.received = received
        self.taken = received
        self._limits = limits
        self._counters = counters
        # Frames that came too early, by the number of their first message.
        self._held: dict[int, tuple[bytes, ...]] = {}
        self._held_size = 0
        # Handed out and not committed: position after it, bytes.
        self._pending: list[tuple[Position, int]] = []
        self._pending_size = 0

    @property
    def busy(self) -> bool:
        """Whether something was handed out and is not committed."""
        return bool(self._pending)

    def reconnected(self) -> None:
        """A connection is about to begin, while nothing is being delivered: the other end may have another outbox now.

        What waits is let go, and what is known of an epoch of which nothing was committed.
        """
        self._let_go()
        self.taken = self.received

    def data(self, tag: int, frame: Data) -> list[Effect]:
        """Messages came."""
        if frame.epoch < self.taken.epoch:
            self._counters.add("link_frames_dropped.data-stale")
            return []
        if frame.epoch > self.taken.epoch:
            self._let_go()
            self.taken = Position(frame.epoch)
        last = frame.first + len(frame.bodies) - 1
        if last <= self.taken.number:
            self._counters.add("link_frames_dropped.data-repeated")
            # Being delivered still: the acknowledgement follows.
            return [self._ack(tag)] if last <= self._committed else []
        if frame.first > self.taken.number + 1:
            self._hold(frame)
            until = min(self._held, default=frame.first) - 1
            return [Send(Ack(tag, self.taken.epoch, self._committed, self.taken.number + 1, until))]
        pending = self.taken.number - self._committed
        if self._pending_size > self._limits.window_bytes or pending > self._limits.window_messages:
            self._counters.add("link_frames_dropped.data-busy")
            return []
        return [self._deliver(frame)]

    @property
    def _committed(self) -> int:
        return self.received.number if self.received.epoch == self.taken.epoch else 0

    def _ack(self, tag: int) -> Send:
        return Send(Ack(tag, self.taken.epoch, self._committed))

    def _hold(self, frame: Data) -> None:
        before = self._held.get(frame.first)
        if before is not None and len(before) >= len(frame.bodies):
            self._counters.add("link_frames_dropped.data-repeated")
            return
        size = _size(frame.bodies)
        full = len(self._held) >= self._limits.held_frames or self._held_size + size > self._limits.window_bytes
        if before is not None or full:
            self._counters.add("link_frames_dropped.data-early")
            return
        self._held[frame.first] = frame.bodies
        self._held_size += size

    def _deliver(self, frame: Data) -> Deliver:
        first = self.taken.number + 1
        bodies = frame.bodies[first - frame.first :]
        next_number = first + len(bodies)
        while self._held:
            held_first = min(self._held)
            if held_first > next_number:
                break
            held = self._held.pop(held_first)
            self._held_size -= _size(held)
            bodies += held[next_number - held_first :]
            next_number = first + len(bodies)
        self.taken = Position(frame.epoch, next_number - 1, chain(self.taken.digest, bodies))
        size = _size(bodies)
        self._pending.append((self.taken, size))
        self._pending_size += size
        self._counters.add("link_messages_received", len(bodies))
        return Deliver(first, bodies, self.taken)

    def committed(self, tag: int, position: Position) -> list[Effect]:
        """What was handed out up to ``position`` is taken and committed; ``tag`` is 0 without a connection."""
        self.received = position
        if self.taken.before(position):
            # Rolled back, it was said, and committed after all.
            self.taken = position
        done = 0
        for pending, size in self._pending:
            if position.before(pending):
                break
            self._pending_size -= size
            done += 1
        del self._pending[:done]
        return [self._ack(tag)] if tag and position.epoch == self.taken.epoch else []

    def failed(self) -> None:
        """What was handed out and is not committed was rolled back; it comes again when the sender's time is out."""
        self._counters.add("link_deliveries_failed")
        self._let_go()
        self._pending.clear()
        self._pending_size = 0
        same = self.received.epoch == self.taken.epoch
        self.taken = self.received if same else Position(self.taken.epoch)

    def _let_go(self) -> None:
        self._held.clear()
        self._held_size = 0
