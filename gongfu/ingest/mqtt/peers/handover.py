"""Hand-over of sessions between front doors: one client id, one session, wherever its client connects.

Pure: messages go out through the peers' links, time is passed in. docs/front-door.md tells the protocol and why each
crash leaves one session.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from gongfu.ingest.mqtt.broker.broker import Broker
from gongfu.ingest.mqtt.broker.durability import Key
from gongfu.ingest.mqtt.broker.moving import (
    SessionState,
    StoredDelivery,
    adopt,
    begin,
    deliveries_of,
    let_go,
    receive,
    state_of,
)
from gongfu.ingest.mqtt.broker.sessions import Arriving, Session
from gongfu.ingest.mqtt.peers.wire import (
    Answer,
    Ask,
    Discard,
    Ghost,
    Given,
    Part,
    Return,
    Settled,
    Tail,
)

if TYPE_CHECKING:
    from gongfu.ingest.mqtt.peers.federation import Federation
    from gongfu.ingest.mqtt.peers.peer import Peer

# Questions without answer; more connections than that wait for their turn.
MAX_JOINS = 2048
# How long a front door that is down is waited for, and one that is only slow: NATS tells at once who is not there.
PATIENCE_S = 2.0
LONG_PATIENCE_S = 8.0
PART_BYTES = 256 * 1024
MAX_UNASKED = 200_000
MAX_CLOSED = 10_000


@dataclass(slots=True, eq=False)
class Question:
    """Another front door's question that waits until the connection it is about is accepted or settled here."""

    peer: "Peer"
    serial: int
    clean: bool
    ticket: int
    late: bool


@dataclass(slots=True, eq=False)
class Join:
    """A CONNECT that waits for the answers of the other front doors."""

    key: Key
    clean: bool
    ticket: int
    serial: int
    done: Callable[[bool], None]
    since: float
    late: bool = False
    concluded: bool = False
    superseded: bool = False
    waiting: set["Peer"] = field(default_factory=set)
    found: list[tuple["Peer", SessionState, list[StoredDelivery]]] = field(default_factory=list)
    deferred: list[Question] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Leaving:
    """A session that has been given to another front door, until that one has it for certain."""

    session: Session
    peer: "Peer"
    ticket: int
    elsewhere: list[str]
    ordinal: int = -1
    tailing: bool = False


class HandOver:
    """Sessions that come and go between this front door and the others."""

    def __init__(self, federation: "Federation", broker: Broker) -> None:
        self._federation = federation
        self._broker = broker
        self.joining: dict[Key, Join] = {}
        self.leaving: dict[Key, Leaving] = {}
        self._serials: dict[int, Join] = {}
        # Numbers of an earlier process, which may still be on their way, must not come again.
        self._serial = broker.desk.clock.now_ns() // 1000
        self._ticket = 0
        self._queue: deque[Join] = deque()
        self._followers: dict[Key, deque[Join]] = {}
        self._asks: list[Join] = []
        self._parts: dict[tuple[Peer, int], list[StoredDelivery]] = {}
        self._tails: dict[tuple[Peer, Key], list[StoredDelivery]] = {}
        self._arriving: dict[Key, tuple[Session, float]] = {}
        self._arrival_questions: dict[Key, list[Question]] = {}
        self._unasked: dict[str, dict[Key, bool]] = {}
        self._closed: dict[str, deque[tuple[Key, int]]] = {}

    def restore(self, now: float) -> None:
        """Go on with sessions that were arriving when this front door ended."""
        for key, session in self._broker.sessions.items():
            if session.arriving is None and session.home >= 0:
                # What is still on its way to the front door it was at may be on its way to this one too.
                session.arriving = Arriving("", 0)
                session.arriving.held = False
                self._arriving[key] = session, now + LONG_PATIENCE_S
            elif session.arriving is not None:
                self._arriving[key] = session, now + PATIENCE_S

    # --- a client connects here ----------------------------------------------------------------------------------

    def must_ask(self, key: Key) -> bool:
        """Return whether another front door may have the session: this one has not, or it is just being decided."""
        return key in self.joining or key not in self._broker.sessions

    def ticket(self) -> int:
        """Return a number greater than all before: of two connections of a client the later one wins."""
        self._ticket = max(self._ticket + 1, self._broker.desk.clock.now_ns() // 1000)
        return self._ticket

    def fetch(self, key: Key, clean: bool, done: Callable[[bool], None]) -> int:
        """Bring the session of a client here; ``done`` tells whether a later connection has superseded this one.

        ``release`` has to be called afterwards, whatever the outcome. Returns the ticket of the connection.
        """
        join = Join(key, clean, self.ticket(), 0, done, self._federation.now)
        if key in self.joining:
            self._followers.setdefault(key, deque()).append(join)
        else:
            self.joining[key] = join
            self._begin(join)
        return join.ticket

    def _begin(self, join: Join) -> None:
        if join.key in self._broker.sessions:  # a connection before it has brought it
            self._conclude(join)
        elif len(self._serials) >= MAX_JOINS:
            self._queue.append(join)
        else:
            self._ask(join)

    def _ask(self, join: Join) -> None:
        join.since = self._federation.now
        for peer in self._federation.peers.values():
            if peer.up or (not join.clean and join.since - peer.down_since < LONG_PATIENCE_S):
                join.waiting.add(peer)
            else:
                self._remember(peer, join)
        if not join.waiting:
            self._conclude(join)
            return
        self._number(join)
        self._asks.append(join)
        self._federation.wake()

    def _number(self, join: Join) -> None:
        self._serial += 1
        join.serial = self._serial
        self._serials[join.serial] = join

    def flush(self) -> None:
        """Send the questions of this turn, one message for all."""
        asks, self._asks = self._asks, []
        rows = [(j.serial, *j.key, j.clean, j.ticket) for j in asks if not j.concluded]
        for start in range(0, len(rows), 512):
            item = Ask(rows[start : start + 512])
            for peer in self._federation.peers.values():
                if peer.up:
                    peer.say(item)

    def release(self, key: Key, ticket: int) -> None:
        """The CONNECT has been answered or given up: others may ask for the session now."""
        join = self.joining.get(key)
        if join is None or join.ticket != ticket:
            followers = self._followers.get(key)
            if followers:
                self._followers[key] = deque(item for item in followers if item.ticket != ticket)
            return
        join.concluded = True
        self._serials.pop(join.serial, None)
        del self.joining[key]
        for question in join.deferred:
            self.asked(question.peer, question.serial, key, question.clean, question.ticket, question.late)
        followers = self._followers.get(key)
        if followers:
            following = followers.popleft()
            self.joining[key] = following
            self._begin(following)
        else:
            self._followers.pop(key, None)
        while self._queue and len(self._serials) < MAX_JOINS:
            waiting = self._queue.popleft()
            if not waiting.concluded:
                self._ask(waiting)

    def _remember(self, peer: "Peer", join: Join) -> None:
        keys = self._unasked.setdefault(peer.name, {})
        if len(keys) < MAX_UNASKED:
            keys[join.key] = join.clean
        else:
            self._federation.counters.add("handover_unasked")

    def answered(self, peer: "Peer", item: Answer) -> None:
        """A front door has nothing for some questions."""
        for serial, superseded in item.rows:
            join = self._serials.get(serial)
            if join is not None and peer in join.waiting:
                join.superseded |= superseded
                self._heard(join, peer)

    def part(self, peer: "Peer", item: Part) -> None:
        """Deliveries of a session that follows."""
        self._parts.setdefault((peer, item.serial), []).extend(item.deliveries)

    def given(self, peer: "Peer", item: Given) -> None:
        """A front door gives a session."""
        deliveries = self._parts.pop((peer, item.serial), [])
        key = item.device, item.client_id
        join = self._serials.get(item.serial)
        if join is None or peer not in join.waiting:
            # Too late for the connection that asked; what came meanwhile must not be lost.
            if key in self._broker.sessions:
                self._arrive(key, peer, item.state, deliveries)
            else:
                peer.say(Return(*key))
            return
        join.found.append((peer, item.state, deliveries))
        self._heard(join, peer)

    def _heard(self, join: Join, peer: "Peer") -> None:
        join.waiting.discard(peer)
        if not join.waiting and not join.concluded:
            self._conclude(join)

    def _conclude(self, join: Join) -> None:
        join.concluded = True
        self._serials.pop(join.serial, None)
        found = sorted(join.found, key=lambda item: item[1].epoch, reverse=True)
        join.found = []
        for peer, state, _ in found[1:]:
            self._federation.counters.add("sessions_discarded")
            peer.say(Discard(*join.key, state.epoch))
        if found:
            found[0][1].epoch = join.ticket
            self._arrive(join.key, *found[0])
        elif not join.late and join.key not in self._broker.sessions:
            self._take_back(join.key)
        if join.late:
            return
        self._broker.desk.durability.then(lambda: join.done(join.superseded))

    def _arrive(self, key: Key, peer: "Peer", state: SessionState, deliveries: list[StoredDelivery]) -> None:
        leaving = self.leaving.pop(key, None)
        if leaving is not None:  # it was here before and comes back before it had left for good
            deliveries = [*deliveries, *deliveries_of(leaving.session, max(leaving.ordinal, 0))]
            self._forget(leaving.session)
        session = adopt(self._broker, key, state, deliveries, peer.name)
        for name in state.elsewhere:
            self._unasked.setdefault(name, {})[key] = False
        self._federation.counters.add("sessions_taken")
        self._arriving[key] = session, self._federation.now + PATIENCE_S
        self._broker.desk.durability.then(partial(self._settle, session))

    def _settle(self, session: Session) -> None:
        arriving = session.arriving
        if arriving is None or not arriving.source:
            return

        def known() -> None:
            peer = self._federation.peers.get(arriving.source)
            if session.arriving is arriving and peer is not None and peer.up:
                peer.say(Settled(*session.key, session.epoch, arriving.ordinal))

        if session.subscriptions:
            self._federation.announced(known)
        else:
            known()

    def tail(self, peer: "Peer", item: Tail) -> None:
        """What came for a session at its old front door after it was given."""
        key = item.device, item.client_id
        kept = self._tails.setdefault((peer, key), [])
        kept.extend(item.deliveries)
        if not item.last:
            return
        del self._tails[peer, key]
        session = self._broker.sessions.get(key)
        arriving = session.arriving if session is not None else None
        if session is None or arriving is None or arriving.source != peer.name:
            return
        if kept:
            receive(session, kept)
        arriving.source = ""
        if session.durable:
            self._broker.desk.durability.put_session(session.record())
        closed = self._closed.setdefault(peer.name, deque(maxlen=MAX_CLOSED))
        closed.append((key, session.epoch))
        self._arriving.pop(key, None)
        begin(self._broker, session)

        def nothing_twice() -> None:
            if session.arriving is arriving:
                session.arriving = None

        # A message may have gone both ways, and its way through the old front door was the shorter one.
        self._federation.fence(nothing_twice)
        self._answer_questions(key)

    def _answer_questions(self, key: Key) -> None:
        for question in self._arrival_questions.pop(key, ()):
            self.asked(question.peer, question.serial, key, question.clean, question.ticket, question.late)

    # --- a client has connected elsewhere ------------------------------------------------------------------------

    def asked(self, peer: "Peer", serial: int, key: Key, clean: bool, ticket: int, late: bool) -> None:
        """Another front door asks for a session."""
        question = Question(peer, serial, clean, ticket, late)
        join = self.joining.get(key)
        if join is not None:
            if (ticket, peer.name) > (join.ticket, self._federation.name):
                join.deferred.append(question)
            else:
                peer.answer(serial, True)
            return
        leaving = self.leaving.get(key)
        if leaving is not None:
            if leaving.peer.up and leaving.peer is not peer:
                peer.answer(serial, ticket < leaving.ticket)
                return
            self._take_back(key)
        session = self._broker.sessions.get(key)
        if session is None or (late and session.epoch > ticket):
            peer.answer(serial, False)
            return
        if session.arriving is not None and session.arriving.held:
            self._arrival_questions.setdefault(key, []).append(question)
            return
        gone = let_go(self._broker, key, clean)
        elsewhere = [name for name, keys in self._unasked.items() if keys.pop(key, None) is not None]
        if gone is None:
            peer.answer(serial, False)
            return
        leaving = self.leaving[key] = Leaving(gone, peer, ticket, elsewhere)
        self._federation.counters.add("sessions_given")
        self._broker.desk.durability.then(partial(self._give, leaving, serial))

    def _give(self, leaving: Leaving, serial: int) -> None:
        session, peer = leaving.session, leaving.peer
        if self.leaving.get(session.key) is not leaving or not peer.up:
            return
        state = state_of(session)
        state.elsewhere += leaving.elsewhere
        leaving.ordinal = state.ordinal
        for part in _chunks(deliveries_of(session)):
            peer.say(Part(serial, part))
        peer.say(Given(serial, *session.key, state))

    def settled(self, peer: "Peer", item: Settled) -> None:
        """The new front door has the session: give it what came since, and forget it."""
        key = item.device, item.client_id
        leaving = self.leaving.get(key)
        if leaving is None:
            session = self._broker.sessions.get(key)
            if session is not None and session.epoch < item.epoch and session.link is None and key not in self.joining:
                # This front door has been started again since it gave the session.
                self._broker.release(session)
                leaving = self.leaving[key] = Leaving(session, peer, item.epoch, [])
        if leaving is None or leaving.peer is not peer:
            peer.say(Tail(*key, [], True))
            return
        leaving.ordinal = item.ordinal
        if leaving.tailing:
            return
        leaving.tailing = True
        if leaving.session.subscriptions:
            self._federation.fence(partial(self._tail, leaving))
        else:
            self._tail(leaving)

    def _tail(self, leaving: Leaving) -> None:
        key = leaving.session.key
        if self.leaving.get(key) is not leaving or not leaving.tailing or not leaving.peer.up:
            return
        parts = _chunks(deliveries_of(leaving.session, leaving.ordinal)) or [[]]
        for part in parts[:-1]:
            leaving.peer.say(Tail(*key, part, False))
        leaving.peer.say(Tail(*key, parts[-1], True), partial(self._gone, leaving))

    def _gone(self, leaving: Leaving) -> None:
        if self.leaving.get(leaving.session.key) is leaving:
            del self.leaving[leaving.session.key]
            self._forget(leaving.session)

    def _forget(self, session: Session) -> None:
        self._broker.forget(session)
        if session.waiting is not None:
            session.waiting.discard(given=True)

    def _take_back(self, key: Key) -> None:
        leaving = self.leaving.pop(key, None)
        if leaving is not None:
            self._broker.hold(leaving.session)
            self._broker.keep_offline(leaving.session)

    def evict(self, device: int) -> None:
        """A device has been deleted: its sessions on their way end too."""
        for key in [key for key in self.leaving if key[0] == device]:
            self._forget(self.leaving.pop(key).session)

    # --- after a loss --------------------------------------------------------------------------------------------

    def ghost(self, peer: "Peer", item: Ghost) -> None:
        """A front door asks what became of a session it gave."""
        key = item.device, item.client_id
        session = self._broker.sessions.get(key)
        if key in self.joining or (session is not None and session.arriving is not None and session.arriving.source):
            return  # the question, or that it is settled, is on its way
        if session is not None or key in self.leaving:
            peer.say(Discard(*key, item.epoch))
        else:
            peer.say(Return(*key))

    def returned(self, peer: "Peer", item: Return) -> None:
        """A session that was given has not been taken."""
        key = item.device, item.client_id
        leaving = self.leaving.get(key)
        if leaving is not None and leaving.peer is peer:
            self._take_back(key)

    def discard(self, peer: "Peer", item: Discard) -> None:
        """A later session of the same client is elsewhere."""
        key = item.device, item.client_id
        leaving = self.leaving.get(key)
        if leaving is not None and leaving.session.epoch <= item.epoch:
            self._gone(leaving)
            return
        session = self._broker.sessions.get(key)
        if session is not None and session.link is None and session.epoch <= item.epoch and key not in self.joining:
            self._broker.release(session)
            self._forget(session)

    def established(self, peer: "Peer") -> None:
        """The link to a front door begins anew: say again what it may not have heard."""
        for leaving in list(self.leaving.values()):
            if leaving.peer is peer:
                leaving.tailing = False
                peer.say(Ghost(*leaving.session.key, leaving.session.epoch))
        for session, _ in list(self._arriving.values()):
            if session.arriving is not None and session.arriving.source == peer.name:
                self._broker.desk.durability.then(partial(self._settle, session))
        for key, epoch in self._closed.pop(peer.name, ()):
            session = self._broker.sessions.get(key)
            if session is not None:
                peer.say(Discard(*key, epoch - 1))
        rows = [(j.serial, *j.key, j.clean, j.ticket) for j in self._serials.values() if peer in j.waiting]
        if rows:
            asked = {join.serial for join in self._asks}
            peer.say(Ask([row for row in rows if row[0] not in asked]))
        self._ask_late(peer)

    def lost(self, peer: "Peer") -> None:
        """A front door is down."""
        for key in [key for key in self._parts if key[0] is peer]:
            del self._parts[key]
        for place in [place for place in self._tails if place[0] is peer]:
            del self._tails[place]
        for join in list(self._serials.values()):
            if peer in join.waiting and (join.clean or join.late):
                self._remember(peer, join)
                self._heard(join, peer)

    def _ask_late(self, peer: "Peer") -> None:
        """Ask for the sessions of clients that connected while a front door was not there."""
        waiting = self._unasked.get(peer.name)
        if not waiting or len(self._serials) >= MAX_JOINS:
            return
        rows: list[tuple[int, int, str, bool, int]] = []
        for key, clean in list(waiting.items()):
            session = self._broker.sessions.get(key)
            if session is not None and session.arriving is not None:
                continue  # one after the other
            del waiting[key]
            if session is None:
                continue
            join = Join(key, clean, session.epoch, 0, _nothing, self._federation.now, late=True)
            join.waiting.add(peer)
            self._number(join)
            rows.append((join.serial, *key, clean, join.ticket))
            if len(rows) >= 512:
                break
        if rows:
            peer.say(Ask(rows, late=True))

    def tick(self) -> None:
        """Give up waiting where it has been long enough; call a few times a second."""
        now = self._federation.now
        for join in list(self._serials.values()):
            if now - join.since < PATIENCE_S:
                continue
            for peer in list(join.waiting):
                if now - join.since > LONG_PATIENCE_S or not peer.up:
                    self._federation.counters.add("handover_timeouts")
                    self._remember(peer, join)
                    self._heard(join, peer)
        for key, (session, deadline) in list(self._arriving.items()):
            if self._broker.sessions.get(key) is not session:
                del self._arriving[key]
                self._answer_questions(key)
            elif now > deadline and session.arriving is not None and not session.arriving.source:
                session.arriving = None
                del self._arriving[key]
            elif now > deadline:
                # The older messages come when their front door is back; the session need not wait for them.
                begin(self._broker, session)
                self._answer_questions(key)
        for peer in self._federation.peers.values():
            if peer.up:
                self._ask_late(peer)


def _nothing(_: bool) -> None:
    return None


def _chunks(deliveries: list[StoredDelivery]) -> list[list[StoredDelivery]]:
    found: list[list[StoredDelivery]] = []
    size = PART_BYTES
    for delivery in deliveries:
        if size >= PART_BYTES:
            found.append([])
            size = 0
        found[-1].append(delivery)
        size += len(delivery.message) + 100
    return found
