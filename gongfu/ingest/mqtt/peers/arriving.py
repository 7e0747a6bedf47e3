"""A session comes from another front door: what is still to follow, and what has to be asked for later."""

from functools import partial
from typing import TYPE_CHECKING

from gongfu.ingest.mqtt.broker.broker import ROOM
from gongfu.ingest.mqtt.broker.durability import Key
from gongfu.ingest.mqtt.broker.moving import SessionState, StoredDelivery, adopt, begin, deliveries_of, receive
from gongfu.ingest.mqtt.broker.outbox import EVERYTHING
from gongfu.ingest.mqtt.broker.sessions import Arriving, Session
from gongfu.ingest.mqtt.peers.moves import LONG_PATIENCE_S, PATIENCE_S, Found, Join, Question
from gongfu.ingest.mqtt.peers.wire import Ask, AskRow, Discard, Return, Settled, Tail

if TYPE_CHECKING:
    from gongfu.ingest.mqtt.peers.handover import HandOver
    from gongfu.ingest.mqtt.peers.peer import Peer

MAX_UNASKED = 200_000
LATE_ROWS = 512


class Arrivals:
    """Sessions that have come, until all that belongs to them is here."""

    def __init__(self, moves: "HandOver") -> None:
        self._moves = moves
        self._federation = moves.federation
        self._broker = moves.broker
        self._tails: dict[tuple[Peer, Key], list[StoredDelivery]] = {}
        self._arriving: dict[Key, tuple[Session, float]] = {}
        self._questions: dict[Key, list[Question]] = {}
        # By front door: (clean start, ordinal up to which its messages are here) of sessions it has to be asked for.
        self._unasked: dict[str, dict[Key, tuple[bool, int]]] = {}
        self._late: dict[tuple[str, Key], Join] = {}

    def restore(self, now: float) -> None:
        """Go on with sessions that were arriving when this front door ended."""
        for key, session in self._broker.sessions.items():
            arriving = session.arriving
            if arriving is not None:
                kept = session.waiting.kept() if session.waiting is not None else []
                arriving.shift = min([0, *(item.ordinal for item in kept)]) - arriving.ordinal - 2 * ROOM
                self._arriving[key] = session, now + PATIENCE_S
            elif session.home >= 0:
                # What is still on its way to the front door it was at may be on its way to this one too.
                session.arriving = Arriving("", 0)
                session.arriving.held = False
                self._arriving[key] = session, now + LONG_PATIENCE_S

    # --- it comes ------------------------------------------------------------------------------------------------

    def arrive(self, key: Key, found: Found) -> None:
        """Take a session another front door has given."""
        peer, state, deliveries = found.peer, found.state, found.deliveries
        leaving = self._moves.leavings.take_out(key)
        own = self._federation.name
        here = [after for name, after in state.elsewhere if name == own]
        state.elsewhere = [item for item in state.elsewhere if item[0] != own]
        rest: list[StoredDelivery] = []
        if leaving is not None and here:  # it was here and comes back before it has got all of it
            rest = deliveries_of(leaving.session, here[0])
            if here[0] != EVERYTHING:
                # In one order with what has come from there before.
                deliveries, rest = [*deliveries, *rest], []
        session = adopt(self._broker, key, state, deliveries, peer.name)
        if rest:
            session = adopt(self._broker, key, state, rest, "")
        for name, after in [*state.elsewhere, *(leaving.elsewhere if leaving is not None else ())]:
            self.remember(name, key, after=after)
        self._federation.counters.add("sessions_taken")
        self._arriving[key] = session, self._federation.now + PATIENCE_S
        self._broker.desk.durability.then(partial(self._settle, session))
        if leaving is not None:
            if leaving.session.waiting is not None:
                leaving.session.waiting.discard(given=True)
            self._moves.ask_again(leaving.questions)

    def merge(self, key: Key, state: SessionState, deliveries: list[StoredDelivery]) -> None:
        """Add what was kept here of an earlier session of the client to the one it has now."""
        before = self._broker.sessions[key].arriving
        session = adopt(self._broker, key, state, deliveries, "")
        for name, after in state.elsewhere:
            self.remember(name, key, after=after)
        if before is None:
            self._complete(session)

    def resume(self, session: Session) -> None:
        """A session is back that had been given away before all had come that belongs to it."""
        if session.arriving is not None:
            self._arriving[session.key] = session, self._federation.now + PATIENCE_S
            self._broker.desk.durability.then(partial(self._settle, session))

    def _complete(self, session: Session) -> None:
        arriving = session.arriving
        if arriving is None:
            return
        arriving.source = ""
        if session.durable:
            self._broker.desk.durability.put_session(session.record())
        self._arriving.pop(session.key, None)
        begin(self._broker, session)

        def nothing_twice() -> None:
            if session.arriving is arriving and not arriving.source:
                session.arriving = None

        # A message may have gone both ways, and its way through the old front door was the shorter one.
        self._federation.fences.fence(nothing_twice)

    def _settle(self, session: Session) -> None:
        arriving = session.arriving
        if arriving is None or not arriving.source:
            return

        def known() -> None:
            peer = self._federation.peers.get(arriving.source)
            ours = self._broker.sessions.get(session.key) is session and session.arriving is arriving
            if ours and peer is not None and peer.up:
                peer.say(Settled(*session.key, session.epoch, arriving.ordinal))

        if session.subscriptions:
            self._federation.fences.announced_to_all(known)
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
            wanted = self._moves.leavings.passed_on(peer.name, key) or self.remembers(peer.name, key)
            peer.say(Return(*key, item.serial) if wanted else Discard(*key, item.serial))
            return
        if kept:
            receive(session, kept, arriving.shift)
        self._complete(session)
        self._broker.desk.durability.then(partial(peer.say, Discard(*key, item.serial)))
        self.answer_questions(key)

    # --- questions that wait -------------------------------------------------------------------------------------

    def must_wait(self, question: Question, session: Session) -> bool:
        """Return whether a question has to wait until the session is here as a whole; it is asked again then."""
        arriving = session.arriving
        if arriving is None or not arriving.held:
            return False
        question.epoch = session.epoch
        self._questions.setdefault(question.key, []).append(question)
        return True

    def answer_questions(self, key: Key) -> None:
        """The session is here as a whole, or not any more."""
        self._moves.ask_again(self._questions.pop(key, ()))

    # --- front doors that could not be asked ---------------------------------------------------------------------

    def remember(self, name: str, key: Key, clean: bool = False, after: int = EVERYTHING) -> None:
        """A front door may have something for a session here: ask it when it is there."""
        keys = self._unasked.setdefault(name, {})
        if key in keys or len(keys) < MAX_UNASKED:
            keys[key] = clean, after
        else:
            self._federation.counters.add("handover_unasked")

    def remembers(self, name: str, key: Key) -> bool:
        """Return whether a front door will be asked."""
        return key in self._unasked.get(name, ())

    def pass_on(self, key: Key) -> list[tuple[str, int]]:
        """The session goes to another front door, and with it what has to be asked for; return that."""
        found: list[tuple[str, int]] = []
        for name, keys in self._unasked.items():
            row = keys.pop(key, None)
            if row is not None:
                found.append((name, row[1]))
            late = self._late.pop((name, key), None)
            if late is not None:
                self._moves.joins.cancel(late)
        return found

    def ask_late(self, peer: "Peer") -> None:
        """Ask for the sessions of clients that connected while a front door was not there."""
        waiting = self._unasked.get(peer.name)
        if not waiting or self._moves.joins.full:
            return
        rows: list[AskRow] = []
        for key, (clean, after) in list(waiting.items()):
            session = self._broker.sessions.get(key)
            if session is None:
                if key not in self._moves.joins.joining:
                    del waiting[key]
                continue
            if session.arriving is not None or (peer.name, key) in self._late:
                continue  # one after the other
            join = Join(key, clean, session.epoch, 0, _nothing, self._federation.now, late=True, after=after)
            join.waiting.add(peer)
            self._moves.joins.number(join)
            self._late[peer.name, key] = join
            rows.append((join.serial, *key, clean, join.ticket, after))
            if len(rows) >= LATE_ROWS:
                break
        if rows:
            peer.say(Ask(rows, late=True))

    def late_concluded(self, join: Join, found: list[Found]) -> None:
        """A front door that was asked late has answered, or is not there again."""
        names = [name for name, key in self._late if key == join.key and self._late[name, key] is join]
        for name in names:
            del self._late[name, join.key]
        session = self._broker.sessions.get(join.key)
        for item in found:
            if session is None or session.arriving is not None:
                item.peer.say(Return(*join.key, join.serial))  # asked again when it can be taken
                continue
            self._unasked[item.peer.name].pop(join.key, None)
            self.arrive(join.key, item)
        for peer in join.denied:
            self._unasked[peer.name].pop(join.key, None)

    # --- losses and time -----------------------------------------------------------------------------------------

    def forget(self, peer: "Peer") -> None:
        """What a front door has begun to say will not be finished; what it has asked is not waited for."""
        for place in [place for place in self._tails if place[0] is peer]:
            del self._tails[place]
        for key, questions in self._questions.items():
            self._questions[key] = [question for question in questions if question.peer is not peer]

    def established(self, peer: "Peer") -> None:
        """The link to a front door begins anew: claim again what is to follow."""
        for session, _ in list(self._arriving.values()):
            if session.arriving is not None and session.arriving.source == peer.name:
                self._broker.desk.durability.then(partial(self._settle, session))

    def renamed(self, former: "Peer", peer: "Peer") -> None:
        """A front door has taken over what another one had."""
        for key, (clean, after) in self._unasked.pop(former.name, {}).items():
            self._late.pop((former.name, key), None)
            self.remember(peer.name, key, clean, after)
        for session, _ in self._arriving.values():
            if session.arriving is not None and session.arriving.source == former.name:
                session.arriving.source = peer.name

    def tick(self) -> None:
        """Begin without what has not come for long."""
        now = self._federation.now
        for key, (session, deadline) in list(self._arriving.items()):
            arriving = session.arriving
            if self._broker.sessions.get(key) is not session or arriving is None:
                del self._arriving[key]
                self.answer_questions(key)
            elif now > deadline and not arriving.source:
                session.arriving = None
                del self._arriving[key]
            elif now > deadline:
                # The older messages come when their front door is back; the session need not wait for them.
                begin(self._broker, session)
                self.answer_questions(key)
        for peer in self._federation.peers.values():
            if peer.up:
                self.ask_late(peer)


def _nothing(_: bool) -> None:
    return None
