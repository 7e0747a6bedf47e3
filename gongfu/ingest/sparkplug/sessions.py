"""Sessions of edge nodes: which births and deaths count, and in which order messages are taken. Pure: time is given.

Sparkplug 3.0.0 §5.3 and §6.4: a session begins with an NBIRTH, each further message of the node or of its devices has
the next ``seq`` (0 to 255 and round again), and it ends with the NDEATH of the same ``bdSeq``. A message that comes too
early waits for those before it up to the *reorder window* (§5.8, ``host-reordering``); when they do not come, what
waited is taken and a rebirth is asked for. NBIRTH may start anywhere in 0 to 255: both readings of the specification.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from gongfu.ingest.sparkplug.arrivals import SEQUENCE, Arrival

# Further ahead than half the circle is behind.
_AHEAD = SEQUENCE // 2
Key = tuple[int, str]


class Why(StrEnum):
    """Why an edge node is asked to be born again."""

    GAP = "sequence-gap"
    UNKNOWN = "no-birth"
    RESTARTED = "sequence-restarted"
    DEVICE = "device-without-birth"
    ALIAS = "unknown-alias"
    OPERATOR = "operator"


class Phase(Enum):
    """Where an edge node is in its life, as this front door knows it.

    ``UNSEEN``: nothing but data so far, its birth may be on its way; ``UNBORN``: it is not; ``ELSEWHERE``: it was born
    at another front door.
    """

    UNSEEN = auto()
    UNBORN = auto()
    ALIVE = auto()
    DEAD = auto()
    ELSEWHERE = auto()


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of the sessions.

    Attributes:
        window: nanoseconds that messages wait for those before them.
        held: messages of one edge node that wait, below 128.
        held_bytes: bytes of all messages that wait.
        sessions: edge nodes that are remembered.
    """

    window: int = 2_000_000_000
    held: int = 64
    held_bytes: int = 32 * 1024 * 1024
    sessions: int = 200_000


def tail_of(sequence: int) -> bytes:
    """Return the bytes with which a payload of this ``seq`` ends, when ``seq`` is its last member."""
    return bytes((0x18, sequence)) if sequence < 0x80 else bytes((0x18, sequence & 0x7F | 0x80, sequence >> 7))


_TAILS = [tail_of(sequence) for sequence in range(SEQUENCE)]
# Ends no payload: longer than the varint of a seq can be, and not of this form.
_NEVER = b"\x18" + b"\xff" * 15


class EdgeSession:
    """What the host knows of one edge node.

    Attributes:
        key: device id of its sender, and ``<group>/<edge node>``.
        bd_seq: ``bdSeq`` of the last NBIRTH, None when it had none.
        phase: where it is in its life.
        expected: ``seq`` of the next message.
        tail: the bytes that the next payload ends with; such a payload needs no further look.
        held: messages that wait, by ``seq``.
        deadline: until when, UTC ns, 0 while none wait.
        devices: paths of its devices, and whether each is alive.
        since: UTC ns of the last birth or death.
        watched: every message must be looked at: a command waits for its effect.
        gaps, duplicates, deaths_ignored: counts.
    """

    __slots__ = (
        "bd_seq", "deadline", "deaths_ignored", "devices", "duplicates", "expected", "gaps", "held", "key", "phase",
        "since", "tail", "tenant", "watched",
    )  # fmt: skip

    def __init__(self, key: Key, tenant: int) -> None:
        self.key = key
        self.tenant = tenant
        self.bd_seq: int | None = None
        self.phase = Phase.UNSEEN
        self.watched = False
        self.expected = 0
        self.tail = _NEVER
        self.held: dict[int, Arrival] = {}
        self.deadline = 0
        self.devices: dict[str, bool] = {}
        self.since = 0
        self.gaps = self.duplicates = self.deaths_ignored = 0

    @property
    def alive(self) -> bool:
        """Born and not dead."""
        return self.phase is Phase.ALIVE

    def advance(self) -> None:
        """The expected message has come."""
        self.expected = expected = (self.expected + 1) % SEQUENCE
        self.tail = _TAILS[expected]

    def settle(self) -> None:
        """Set ``tail`` after a change of anything it depends on."""
        plain = self.alive and not self.held and not self.watched
        self.tail = _TAILS[self.expected] if plain else _NEVER


class EdgeSessions:
    """All sessions of one front door.

    Args:
        bounds: bounds.
        ask: called with a session and why its node should be born again.
        count: called with the name of what happened.
        drop: called with each message that is not taken.
    """

    def __init__(
        self,
        bounds: Bounds,
        ask: Callable[[EdgeSession, Why], None],
        count: Callable[[str], None],
        drop: Callable[[Arrival], None],
    ) -> None:
        self._bounds = bounds
        self._ask = ask
        self._count = count
        self._dropped = drop
        self._sessions: dict[Key, EdgeSession] = {}
        self._waiting: dict[Key, EdgeSession] = {}
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[EdgeSession]:
        return iter(self._sessions.values())

    def find(self, key: Key) -> EdgeSession | None:
        """Return the session of an edge node."""
        return self._sessions.get(key)

    @property
    def next_deadline(self) -> int:
        """UTC ns at which ``due`` has something to do next, 0 when nothing waits."""
        # In the order of their deadlines, since all wait equally long.
        for session in self._waiting.values():
            return session.deadline
        return 0

    def arrive(self, arrival: Arrival, now: int) -> list[Arrival]:
        """Take a message in; return those that are to be taken now, in this order.

        Args:
            arrival: the message.
            now: UTC ns.
        """
        session = self._session(arrival)
        kind = arrival.kind
        if kind == "NBIRTH":
            return self._born(session, arrival, now)
        if kind == "NDEATH":
            return self._died(session, arrival, now)
        sequence = arrival.sequence
        if sequence is None:
            self._count("sequence_missing")
            return self._take(session, arrival)
        if not session.alive:
            return self._without_birth(session, arrival, sequence, now)
        ahead = (sequence - session.expected) % SEQUENCE
        if not ahead:
            return self._next(session, arrival, now)
        if ahead < _AHEAD:
            return self._hold(session, arrival, sequence, now)
        session.duplicates += 1
        self._count("behind")
        if ahead != SEQUENCE - 1:
            self._ask(session, Why.RESTARTED)
        # Points are known by their time, so late ones do no harm; a late birth or death would.
        return [arrival] if kind in ("NDATA", "DDATA") else self._drop(arrival)

    def due(self, now: int) -> list[Arrival]:
        """Return what has waited for too long, in order; rebirths are asked for."""
        released: list[Arrival] = []
        while (at := self.next_deadline) and at <= now:
            released += self._give_up(next(iter(self._waiting.values())))
        return released

    def elsewhere(self, key: Key, bd_seq: int | None) -> None:
        """The edge node has been born at another front door: deaths of before mean nothing any more."""
        session = self._sessions.get(key)
        if session is None:
            return
        for item in self._release_all(session):
            self._drop(item)
        session.phase = Phase.ELSEWHERE
        session.bd_seq = bd_seq
        session.settle()

    def forget(self, device: int) -> None:
        """Forget all edge nodes of a sender."""
        for key in [key for key in self._sessions if key[0] == device]:
            self._end(self._sessions.pop(key))

    # --- births and deaths -----------------------------------------------------------------------------------------

    def _born(self, session: EdgeSession, arrival: Arrival, now: int) -> list[Arrival]:
        start = arrival.sequence
        if start is None or start >= SEQUENCE:
            self._count("birth_sequence_invalid")
            start = 0
        after: list[Arrival] = []
        expected = (start + 1) % SEQUENCE
        # Data that overtook the birth follows it; all else that waits is of the session before.
        while session.phase is Phase.UNSEEN and expected in session.held:
            after.append(self._let_go(session, expected))
            expected = (expected + 1) % SEQUENCE
        before = self._release_all(session)
        self._count("rebirths" if session.alive and session.bd_seq == arrival.birth_sequence else "births")
        session.bd_seq = arrival.birth_sequence
        session.phase = Phase.ALIVE
        session.since = now
        session.expected = expected
        session.devices = {}
        for item in after:
            self._note(session, item)
        session.settle()
        return [*before, arrival, *after]

    def _died(self, session: EdgeSession, arrival: Arrival, now: int) -> list[Arrival]:
        given, known = arrival.birth_sequence, session.bd_seq
        other = session.alive and known is not None and given is not None and given != known
        if other or session.phase in (Phase.DEAD, Phase.ELSEWHERE):
            session.deaths_ignored += 1
            self._count("deaths_ignored")
            return self._drop(arrival)
        self._count("deaths")
        released = self._release_all(session)
        session.phase = Phase.DEAD
        session.since = now
        session.devices = dict.fromkeys(session.devices, False)
        session.settle()
        return [*released, arrival]

    # --- order -----------------------------------------------------------------------------------------------------

    def _take(self, session: EdgeSession, arrival: Arrival) -> list[Arrival]:
        self._note(session, arrival)
        return [arrival]

    def _next(self, session: EdgeSession, arrival: Arrival, now: int) -> list[Arrival]:
        taken = self._take(session, arrival)
        session.advance()
        while session.expected in session.held:
            item = self._let_go(session, session.expected)
            taken += self._take(session, item)
            session.advance()
        if session.held:
            # Another gap behind the one that closed: those that wait get the whole window again.
            self._wait(session, now)
        elif session.deadline:
            self._count("reordered")
            session.deadline = 0
            self._waiting.pop(session.key, None)
        session.settle()
        return taken

    def _hold(self, session: EdgeSession, arrival: Arrival, sequence: int, now: int) -> list[Arrival]:
        if sequence in session.held:
            session.duplicates += 1
            self._count("behind")
            # Another message of the same number is of another session; if it is data, it need not be lost.
            other = session.held[sequence].payload != arrival.payload and arrival.kind in ("NDATA", "DDATA")
            return [arrival] if other else self._drop(arrival)
        session.held[sequence] = arrival
        self.held_bytes += len(arrival.payload)
        if not session.deadline:
            self._wait(session, now)
        session.settle()
        if len(session.held) >= self._bounds.held or self.held_bytes > self._bounds.held_bytes:
            return self._give_up(session)
        return []

    def _wait(self, session: EdgeSession, now: int) -> None:
        self._waiting.pop(session.key, None)
        self._waiting[session.key] = session
        session.deadline = now + self._bounds.window

    def _without_birth(self, session: EdgeSession, arrival: Arrival, sequence: int, now: int) -> list[Arrival]:
        if session.phase is Phase.UNSEEN:
            # Perhaps its birth is on its way.
            return self._hold(session, arrival, sequence, now)
        self._ask(session, Why.UNKNOWN)
        return [arrival]

    def _give_up(self, session: EdgeSession) -> list[Arrival]:
        if not session.alive:
            session.phase = Phase.UNBORN
            self._ask(session, Why.UNKNOWN)
            return self._release_all(session)
        session.gaps += 1
        self._count("gaps")
        last = session.expected - 1
        released = self._release_all(session)
        for item in released:
            self._note(session, item)
            last = item.sequence if item.sequence is not None else last
        session.expected = (last + 1) % SEQUENCE
        session.settle()
        self._ask(session, Why.GAP)
        return released

    def _note(self, session: EdgeSession, arrival: Arrival) -> None:
        kind, child = arrival.kind, arrival.child
        if kind == "DBIRTH":
            session.devices[child] = True
        elif kind == "DDEATH":
            if child in session.devices:
                session.devices[child] = False
        elif kind == "DDATA" and session.alive and not session.devices.get(child):
            self._ask(session, Why.DEVICE)

    # --- what waits ------------------------------------------------------------------------------------------------

    def _let_go(self, session: EdgeSession, sequence: int) -> Arrival:
        item = session.held.pop(sequence)
        self.held_bytes -= len(item.payload)
        return item

    def _release_all(self, session: EdgeSession) -> list[Arrival]:
        start = session.expected if session.alive else 0
        ordered = sorted(session.held, key=lambda sequence: (sequence - start) % SEQUENCE)  # held are few
        released = [self._let_go(session, sequence) for sequence in ordered]
        session.deadline = 0
        self._waiting.pop(session.key, None)
        return released

    def _drop(self, arrival: Arrival) -> list[Arrival]:
        self._dropped(arrival)
        return []

    def _end(self, session: EdgeSession) -> None:
        session.phase = Phase.UNBORN
        session.settle()
        for item in self._release_all(session):
            self._drop(item)

    def _session(self, arrival: Arrival) -> EdgeSession:
        key = (arrival.writer.device, arrival.edge)
        session = self._sessions.get(key)
        if session is None:
            if len(self._sessions) >= self._bounds.sessions:
                # The one that was met first; when it sends again, a rebirth is asked for.
                oldest = next(iter(self._sessions))
                self._end(self._sessions.pop(oldest))
                self._count("sessions_forgotten")
            session = self._sessions[key] = EdgeSession(key, arrival.writer.tenant)
        return session
