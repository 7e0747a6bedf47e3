"""The sending half of a link's end: what is on its way, what is sent again and when."""

from collections.abc import Sequence
from typing import Literal

from gongfu.kernel.counters import Counters
from gongfu.tree.link.claims import judge
from gongfu.tree.link.effects import Effect, Forget, Load, NewEpoch, PeerRewound, RenewalReason, Send
from gongfu.tree.link.frames import Ack, Data
from gongfu.tree.link.limits import FOREVER, Limits
from gongfu.tree.link.position import MAX_EPOCH, Durable, Position, chain, confirmed
from gongfu.tree.link.roundtrip import RoundTrip


class _Flight:
    """A frame that is on its way."""

    __slots__ = ("bodies", "first", "resent", "sent", "size")

    def __init__(self, first: int, bodies: tuple[bytes, ...], size: int, sent: int) -> None:
        self.first = first
        self.bodies = bodies
        self.size = size
        self.sent = sent
        self.resent = False

    @property
    def last(self) -> int:
        return self.first + len(self.bodies) - 1


class Outgoing:
    """Sends the outbox, from what the other end has to its last message. Times are monotonic nanoseconds.

    Attributes:
        epoch: of the outbox.
        last: number of the last message that is stored in it.
        acknowledged: what the other end has.
        trip: round trips.
        due: when ``tick`` must be called.
    """

    __slots__ = (
        "_asked",
        "_asks",
        "_burst",
        "_claim",
        "_counters",
        "_digest",
        "_flights",
        "_limits",
        "_loading",
        "_recovery",
        "_recovery_began",
        "_renew_after",
        "_renewing",
        "_sent",
        "_size",
        "_state",
        "_tag",
        "acknowledged",
        "due",
        "epoch",
        "last",
        "trip",
    )

    def __init__(self, durable: Durable, limits: Limits, counters: Counters) -> None:
        self.epoch = durable.epoch
        self.last = durable.last
        self.acknowledged = durable.acknowledged
        self.trip = RoundTrip()
        self.due = FOREVER
        self._limits = limits
        self._counters = counters
        self._tag = 0
        self._claim: Position | None = None
        self._renewing: NewEpoch | None = None
        self._renew_after = -FOREVER
        self._flights: list[_Flight] = []
        self._reset("closed")

    def _reset(self, state: Literal["closed", "renewing", "waiting", "checking", "open"]) -> None:
        self._state = state
        self._flights.clear()
        self._size = 0
        self._sent = self._base
        self._loading = 0
        self._digest = 0
        self._asked = self._asks = 0
        self._recovery = self._recovery_began = 0
        self._burst = 1
        self.due = FOREVER

    @property
    def _base(self) -> int:
        return confirmed(self.epoch, self.acknowledged).number

    @property
    def idle(self) -> bool:
        """Whether the other end has everything."""
        return self._base == self.last and self._renewing is None

    @property
    def on_its_way(self) -> tuple[int, int]:
        """Messages and bytes that are sent and not acknowledged."""
        return sum(len(f.bodies) for f in self._flights), self._size

    def close(self) -> None:
        """The connection ended."""
        self._claim = None
        self._reset("closed")

    def open(self, t: int, tag: int, claim: Position) -> list[Effect]:
        """A connection began whose frames bear ``tag``; the other end says what it has."""
        self._tag = tag
        self._claim = claim
        self._reset("renewing")
        return [] if self._renewing else self._judge(t, claim)

    def _judge(self, t: int, claim: Position) -> list[Effect]:
        verdict = judge(self.epoch, self.last, self.acknowledged, claim)
        if verdict == "agreed":
            self._reset("open")
            return self._load()
        if verdict == "check":
            self._reset("checking")
            start = confirmed(self.epoch, self.acknowledged)
            self._digest = start.digest
            self._sent = start.number
            return self._load()
        return self._renew(t, verdict, claim)

    def _renew(self, t: int, reason: RenewalReason, claim: Position) -> list[Effect]:
        if t < self._renew_after:
            self._reset("waiting")
            self.due = self._renew_after
            return []
        epoch = max(self.epoch, claim.epoch) + 1
        if epoch > MAX_EPOCH:
            self._counters.add("link_frames_dropped.epoch-exhausted")
            self._reset("closed")
            return []
        self._renew_after = t + self._limits.renew_every
        self._counters.add(f"link_epochs_renewed.{reason}")
        self._reset("renewing")
        self._renewing = NewEpoch(epoch, claim, reason)
        if reason == "peer-rewound":
            return [PeerRewound(self.acknowledged, claim), self._renewing]
        return [self._renewing]

    def renewed(self, t: int, last: int) -> list[Effect]:
        """``NewEpoch`` was carried out; the outbox ends at ``last`` now."""
        renewal = self._renewing
        if renewal is None:
            return []
        self._renewing = None
        self.epoch, self.acknowledged, self.last = renewal.epoch, renewal.acknowledged, last
        self._reset("closed")
        return [] if self._claim is None else self._judge(t, self._claim)

    def queued(self, t: int, epoch: int, first: int, bodies: Sequence[bytes]) -> list[Effect]:
        """Messages were stored in the outbox ``epoch``, committed, under ``first``, ``first + 1``, …"""
        if epoch != self.epoch or self._renewing is not None:
            # They were numbered anew; ``renewed`` has told or will tell.
            return []
        self.last = max(self.last, first + len(bodies) - 1)
        if self._state != "open" or self._loading:
            return []
        effects: list[Effect] = []
        room = self._limits.window_messages - (self._sent - self._base)
        if first == self._sent + 1 and room > 0:
            effects = self._send(t, bodies[:room])
        return effects + self._load()

    def stored(self, t: int, epoch: int, last: int) -> list[Effect]:
        """The outbox ``epoch`` is stored, committed, up to ``last``."""
        return self.queued(t, epoch, last + 1, ())

    def _load(self) -> list[Effect]:
        """Ask for the messages that are next, if there is room for them."""
        if self._loading or self._state not in ("open", "checking"):
            return []
        limits, end = self._limits, self.last
        room, size = limits.window_messages - (self._sent - self._base), limits.window_bytes - self._size
        if self._state == "checking":
            room, size = limits.window_messages, limits.window_bytes
            end = self._claim.number if self._claim else end
        elif self._flights and (room < limits.window_messages // 4 or size < limits.window_bytes // 4):
            # Not one by one as each is acknowledged.
            return []
        if self._sent >= end or room <= 0:
            return []
        self._loading = self._sent + 1
        return [Load(self.epoch, self._loading, min(room, end - self._sent), max(size, 1))]

    def loaded(self, t: int, epoch: int, first: int, bodies: Sequence[bytes]) -> list[Effect]:
        """Answer to ``Load``: messages from ``first`` on; none if the outbox lacks the first, which must not be."""
        if epoch != self.epoch or first != self._loading or self._claim is None:
            return []
        self._loading = 0
        if not bodies:
            return self._renew(t, "outbox-gap", self.acknowledged)
        if self._state == "open":
            effects = self._send(t, bodies)
            return effects + self._load()
        bodies = bodies[: self._claim.number - self._sent]
        self._digest = chain(self._digest, bodies)
        self._sent += len(bodies)
        if self._sent < self._claim.number:
            return self._load()
        if self._digest != self._claim.digest:
            return self._renew(t, "diverged", self._claim)
        self.acknowledged = self._claim
        self._reset("open")
        return [Forget(self.acknowledged), *self._load()]

    def _send(self, t: int, bodies: Sequence[bytes]) -> list[Effect]:
        """Send as many as the window has room for, in frames."""
        limits, effects, start = self._limits, list[Effect](), 0
        while start < len(bodies) and (not self._flights or self._size < limits.window_bytes):
            stop, size = start, 0
            while stop < len(bodies) and stop - start < limits.frame_messages:
                size += len(bodies[stop])
                if size > limits.frame_bytes and stop > start:
                    size -= len(bodies[stop])
                    break
                stop += 1
            flight = _Flight(self._sent + 1, tuple(bodies[start:stop]), size, t)
            if not self._flights:
                self.due = t + self.trip.timeout
            self._flights.append(flight)
            self._sent, self._size = flight.last, self._size + size
            effects.append(Send(Data(self._tag, self.epoch, flight.first, flight.bodies)))
            start = stop
        self._counters.add("link_messages_sent", start)
        return effects

    def ack(self, t: int, frame: Ack) -> list[Effect]:
        """An acknowledgement came."""
        if self._state != "open" or frame.epoch != self.epoch or frame.number > self._sent:
            self._counters.add("link_frames_dropped.ack-unexpected")
            return []
        effects = self._progress(t, frame.number) if frame.number > self._base else []
        if frame.missing:
            effects += self._fill(t, frame.missing, frame.until)
        return effects + self._load()

    def _progress(self, t: int, number: int) -> list[Effect]:
        flights, digest, done, sample = self._flights, confirmed(self.epoch, self.acknowledged).digest, 0, -1
        resent = False
        for flight in flights:
            if flight.first > number:
                break
            covered = flight.bodies[: number - flight.first + 1]
            digest = chain(digest, covered)
            resent = resent or flight.resent
            sample = t - flight.sent
            if len(covered) < len(flight.bodies):
                flight.first += len(covered)
                flight.bodies = flight.bodies[len(covered) :]
                shorter = sum(map(len, covered))
                flight.size -= shorter
                self._size -= shorter
                break
            self._size -= flight.size
            done += 1
        del flights[:done]
        self.acknowledged = Position(self.epoch, number, digest)
        if sample >= 0 and not resent:
            # What waited behind a frame that was lost says nothing of the way.
            self.trip.sample(sample)
        self.trip.progress()
        self._asks = 0
        effects: list[Effect] = [Forget(self.acknowledged)]
        if number < self._recovery:
            self._burst *= 2
            late = [f for f in flights if f.sent < self._recovery_began]
            effects += [self._resend(t, f) for f in late[: self._burst]]
        self.due = t + self.trip.timeout if flights else FOREVER
        return effects

    def _fill(self, t: int, missing: int, until: int) -> list[Effect]:
        """Send a gap again once it was asked for often enough, and not again within a round trip."""
        if missing != self._asked:
            self._asked, self._asks = missing, 0
        self._asks += 1
        if self._asks < self._limits.ask_after:
            return []
        effects: list[Effect] = []
        for flight in self._flights:
            if flight.first > until:
                break
            if flight.last >= missing and t - flight.sent >= self.trip.smoothed:
                effects.append(self._resend(t, flight))
        return effects

    def _resend(self, t: int, flight: _Flight) -> Send:
        flight.sent, flight.resent = t, True
        self._counters.add("link_frames_resent")
        return Send(Data(self._tag, self.epoch, flight.first, flight.bodies))

    def tick(self, t: int) -> list[Effect]:
        """Time has passed."""
        if t < self.due:
            return []
        self.due = FOREVER
        if self._state == "waiting" and self._claim is not None:
            return self._judge(t, self._claim)
        if not self._flights:
            return []
        self.trip.expired()
        self.due = t + self.trip.timeout
        # The others follow as this one is acknowledged, twice as many each time: the way may be narrow.
        self._recovery, self._recovery_began, self._burst = self._sent, t, 1
        return [self._resend(t, self._flights[0])]
