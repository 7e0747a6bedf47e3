"""One end of a link: a state machine without I/O. Events go in, effects come out (``effects.py``).

Connection: each end chooses a random tag and says hello; it counts as connected when the other end's hello bears that
tag, which proves that the other end spoke after it. What it then says to have is compared with the own outbox
(``claims.py``), and a database that was restored from a backup is found out before anything is sent. A hello of an
unknown tag (the other end has started anew) makes an end choose a new tag, so that no late frame counts.

What must survive a crash is ``Durable``; a crash is a new ``Session`` from it. Times ``t`` are monotonic nanoseconds.
"""

from collections.abc import Callable, Sequence

from gongfu.kernel.counters import Counters
from gongfu.tree.link.clock import ClockOffset
from gongfu.tree.link.effects import ClockSkew, Down, Effect, PeerRetired, Send, Up
from gongfu.tree.link.frames import VERSION, Ack, Data, Frame, Hello, Ping, Pong, connection_tag
from gongfu.tree.link.incoming import Incoming
from gongfu.tree.link.limits import DEFAULT_LIMITS, FOREVER, SECOND, Limits
from gongfu.tree.link.outgoing import Outgoing
from gongfu.tree.link.position import Durable, Position

_HELLO_FIRST = 200_000_000
_HELLO_MOST = 5 * SECOND
_FAST_PINGS = 5


class Session:
    """One end of a link.

    Call ``connected`` when the transport is there, ``received`` for each frame, ``tick`` when ``due`` has come, and the
    answers to effects when they were carried out. One caller at a time.
    """

    __slots__ = (
        "_active",
        "_both",
        "_counters",
        "_draw",
        "_heard",
        "_hello_due",
        "_hello_sent",
        "_hellos",
        "_limits",
        "_node",
        "_peer",
        "_peer_tag",
        "_ping_due",
        "_pings",
        "_tag",
        "_wall",
        "clock",
        "incoming",
        "outgoing",
        "retired",
    )

    def __init__(
        self,
        node: str,
        peer: str,
        durable: Durable,
        draw: Callable[[], int],
        *,
        wall: int = 0,
        limits: Limits = DEFAULT_LIMITS,
        counters: Counters | None = None,
    ) -> None:
        """Begin from what is in the database.

        Args:
            node: id of this end.
            peer: id of the other end.
            durable: from the database.
            draw: random numbers, 1 … 2**62 - 1; must not repeat over restarts.
            wall: own clock minus monotonic time, nanoseconds.
            limits: bounds.
            counters: where what is sent, received and dropped is counted; may be shared by many sessions.
        """
        self._node = node
        self._peer = peer
        self._draw = draw
        self._wall = wall
        self._limits = limits
        self._counters = Counters() if counters is None else counters
        self.outgoing = Outgoing(durable, limits, self._counters)
        self.incoming = Incoming(durable.received, limits, self._counters)
        self.clock = ClockOffset(durable.clock_offset)
        self.retired = durable.retired
        # 0: no transport. The peer's is 0 until it has answered ours.
        self._tag = self._peer_tag = self._both = 0
        self._active = True
        self._hello_due = self._ping_due = FOREVER
        self._hellos = self._hello_sent = self._heard = self._pings = 0

    @property
    def due(self) -> int:
        """When ``tick`` must be called next; ``FOREVER`` if only something else can happen."""
        return min(self.outgoing.due, self._hello_due, self._ping_due)

    @property
    def up(self) -> bool:
        """Whether the two ends know each other."""
        return self._peer_tag != 0

    @property
    def idle(self) -> bool:
        """Whether the other end has the whole outbox."""
        return self.outgoing.idle

    def durable(self) -> Durable:
        """Return what the database must hold now if every effect so far was carried out."""
        out = self.outgoing
        received, offset = self.incoming.received, self.clock.offset
        return Durable(out.epoch, out.last, out.acknowledged, received, self.retired, offset)

    # The transport.

    def connected(self, t: int, *, active: bool = True) -> list[Effect]:
        """The transport is there. ``active``: say hello until it is answered; else wait for the other end's."""
        self._active = active
        self._open()
        return [self._say_hello(t)] if active and not self.retired else []

    def disconnected(self) -> None:
        """The transport is gone."""
        self._forget_peer()
        self._tag = 0

    def _open(self) -> None:
        self._forget_peer()
        self._tag = self._draw()

    def _forget_peer(self) -> None:
        self._peer_tag = 0
        self._hellos = 0
        self._hello_due = self._ping_due = FOREVER
        self.outgoing.close()

    def _hello(self, to: int, answer: bool) -> Send:
        out = self.outgoing
        have = self.incoming.received
        return Send(Hello(VERSION, self._node, self._tag, to, answer, out.epoch, out.last, have, self.retired))

    def _say_hello(self, t: int, to: int = 0) -> Send:
        """Say hello and wait for the answer, twice as long each time."""
        self._hello_sent = t
        self._hello_due = t + min(_HELLO_FIRST << min(self._hellos, 5), _HELLO_MOST) if self._active or to else FOREVER
        self._hellos += 1
        return self._hello(to, answer=True)

    # Frames.

    def received(self, t: int, frame: Frame) -> list[Effect]:
        """A frame came (``frames.decode``)."""
        if not self._tag:
            return self._drop("no-transport")
        if isinstance(frame, Hello):
            return self._hello_came(t, frame)
        if not self._peer_tag or frame.tag != self._both:
            return self._unexpected(t)
        self._heard = t
        if self.retired:
            self._drop("retired")
            return [self._hello(self._peer_tag, answer=False)]
        if isinstance(frame, Data):
            return self.incoming.data(self._both, frame)
        if isinstance(frame, Ack):
            return self.outgoing.ack(t, frame)
        if isinstance(frame, Ping):
            return [Send(Pong(self._both, frame.sent, t + self._wall))]
        return self._pong_came(t, frame)

    def _drop(self, reason: str) -> list[Effect]:
        self._counters.add(f"link_frames_dropped.{reason}")
        return []

    def _unexpected(self, t: int) -> list[Effect]:
        """The other end believes in a connection that this one does not know: tell it, now and then."""
        self._drop("tag-unknown")
        if self.retired or (self._hellos and t - self._hello_sent < _HELLO_FIRST):
            return []
        if self._peer_tag:
            self._hello_sent = t
            return [self._hello(self._peer_tag, answer=False)]
        return [self._say_hello(t)]

    def _hello_came(self, t: int, hello: Hello) -> list[Effect]:
        if hello.node != self._peer:
            return self._drop("node-wrong")
        if self.retired:
            return [self._hello(hello.tag, answer=False)] if hello.answer and not hello.retired else []
        if hello.to not in (0, self._tag):
            return self._drop("hello-stale")
        if hello.retired:
            if not hello.to:
                return self._drop("retired")
            self._forget_peer()
            return [PeerRetired()]
        effects: list[Effect] = []
        if self._peer_tag:
            if hello.tag == self._peer_tag:
                self._heard = t
                return [self._hello(hello.tag, answer=False)] if hello.answer else []
            effects.append(Down("reconnected"))
            self._open()
            if hello.to:
                # Two connections of the other end answered the same tag; which is the later one?
                return [*effects, self._say_hello(t)]
        if self.incoming.busy:
            # What is being delivered may be of an outbox that the other end no longer has. It says hello again.
            return [*effects, *self._drop("hello-busy")]
        self.incoming.reconnected()
        if not hello.to:
            return [*effects, self._say_hello(t, hello.tag)]
        return self._meet(t, hello)

    def _meet(self, t: int, hello: Hello) -> list[Effect]:
        if self._hellos == 1:
            self.outgoing.trip.sample(t - self._hello_sent)
        self._hello_due = FOREVER
        self._peer_tag, self._both, self._heard = hello.tag, connection_tag(self._tag, hello.tag), t
        self._pings, self._ping_due = 0, t + SECOND
        effects: list[Effect] = [Up(hello.last)]
        if hello.answer:
            effects.append(self._hello(hello.tag, answer=False))
        effects.append(Send(Ping(self._both, t + self._wall)))
        return effects + self.outgoing.open(t, self._both, hello.have)

    def _pong_came(self, t: int, pong: Pong) -> list[Effect]:
        before = self.clock.skewed
        self.clock.sample(pong.sent, pong.clock, t + self._wall)
        if not self.outgoing.trip.smoothed:
            self.outgoing.trip.sample(t + self._wall - pong.sent)
        if self.clock.offset is None or self.clock.skewed == before:
            return []
        return [ClockSkew(self.clock.offset, self.clock.skewed)]

    def wall_changed(self, wall: int) -> None:
        """The own clock minus monotonic time is ``wall`` now (it was set)."""
        self.clock.stepped(wall - self._wall)
        self._wall = wall

    # Time.

    def tick(self, t: int) -> list[Effect]:
        """Time has passed."""
        effects = self.outgoing.tick(t)
        if t >= self._hello_due:
            effects.append(self._say_hello(t))
        if t >= self._ping_due:
            effects += self._ping(t)
        return effects

    def _ping(self, t: int) -> list[Effect]:
        if t - self._heard >= self._limits.silent_after:
            self._counters.add("link_peers_silent")
            self._open()
            return [Down("silent"), *([self._say_hello(t)] if self._active else [])]
        self._pings += 1
        self._ping_due = t + (SECOND if self._pings < _FAST_PINGS else self._limits.ping_every)
        return [Send(Ping(self._both, t + self._wall))]

    # Answers to effects, and what happens at this end.

    def queued(self, t: int, epoch: int, first: int, bodies: Sequence[bytes]) -> list[Effect]:
        """Messages were stored in the outbox ``epoch`` and committed, under ``first``, ``first + 1``, …"""
        return self.outgoing.queued(t, epoch, first, bodies)

    def stored(self, t: int, epoch: int, last: int) -> list[Effect]:
        """The outbox ``epoch`` is committed up to ``last``; the session reads what it needs with ``Load``."""
        return self.outgoing.stored(t, epoch, last)

    def loaded(self, t: int, epoch: int, first: int, bodies: Sequence[bytes]) -> list[Effect]:
        """Answer to ``Load``: the messages that are there from ``first`` on, in order and without a gap."""
        return self.outgoing.loaded(t, epoch, first, bodies)

    def renewed(self, t: int, last: int) -> list[Effect]:
        """Answer to ``NewEpoch``: committed; the outbox ends at ``last`` now."""
        return self.outgoing.renewed(t, last)

    def committed(self, position: Position) -> list[Effect]:
        """Answer to ``Deliver``: messages and position are committed."""
        return self.incoming.committed(self._both if self._peer_tag else 0, position)

    def failed(self) -> None:
        """Answer to ``Deliver``: rolled back. Later ``Deliver`` that were not begun yet must be left out."""
        self.incoming.failed()

    def retire(self, t: int) -> list[Effect]:
        """The link ends: write ``Durable.retired`` and delete the outbox first. The other end is told."""
        self.retired = True
        self.outgoing.close()
        self._hello_due = self._ping_due = FOREVER
        return [self._hello(self._peer_tag, answer=False)] if self._peer_tag else []
