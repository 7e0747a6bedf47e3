"""A client has connected elsewhere: its session goes there."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from gongfu.ingest.mqtt.broker.durability import Key
from gongfu.ingest.mqtt.broker.moving import deliveries_of, let_go, state_of
from gongfu.ingest.mqtt.broker.outbox import EVERYTHING
from gongfu.ingest.mqtt.broker.sessions import Session
from gongfu.ingest.mqtt.peers.moves import GIVEN_TO, PATIENCE_S, Join, Leaving, Question, chunks
from gongfu.ingest.mqtt.peers.wire import Discard, Ghost, Given, Part, Return, Settled, Tail

if TYPE_CHECKING:
    from gongfu.ingest.mqtt.peers.handover import HandOver
    from gongfu.ingest.mqtt.peers.peer import Peer

MAX_DEPARTED = 50_000


class Leavings:
    """Sessions given to other front doors.

    Once a session has been given, this front door serves it again only when the other one says that it has not taken
    it, or is down and cannot have served it. That holds over a crash here too: the journal says where it has gone.

    Attributes:
        leaving: sessions given that may still come back.
    """

    def __init__(self, moves: "HandOver") -> None:
        self._moves = moves
        self._federation = moves.federation
        self._broker = moves.broker
        self.leaving: dict[Key, Leaving] = {}
        # Of sessions that have gone: (ticket, name) of the connection, epoch here, doors that have older messages.
        self._departed: dict[Key, tuple[tuple[int, str], int, list[str]]] = {}

    def restore(self) -> None:
        """Go on with sessions that had been given when this front door ended."""
        for session in list(self._broker.sessions.values()):
            arriving = session.arriving
            if arriving is None or not arriving.source.startswith(GIVEN_TO):
                continue
            session.arriving = None
            name = arriving.source.removeprefix(GIVEN_TO)
            if self._federation.is_here(name):
                self._broker.keep_offline(session)
            else:
                self._broker.release(session)
                self.leaving[session.key] = Leaving(session, self._federation.peer(name), 0, session.epoch, [])

    # --- questions -----------------------------------------------------------------------------------------------

    def asked(self, question: Question) -> None:
        """Another front door asks for a session."""
        peer, key, serial = question.peer, question.key, question.serial
        mark = question.ticket, peer.name
        join = self._moves.joins.joining.get(key)
        if join is not None:
            if question.late or mark > (join.ticket, self._federation.name):
                join.deferred.append(question)
            else:
                peer.answer(serial, True)
            return
        waiting: list[Question] = []
        leaving = self.leaving.get(key)
        if leaving is not None:
            if leaving.peer is not peer:
                if question.late and question.after != EVERYTHING and leaving.ordinal >= 0:
                    # The session has gone on from there, and with it the claim on what is left.
                    waiting = self.take_back(leaving)
                    self._give_or_deny(question)
                    self._moves.ask_again(waiting)
                elif question.late or mark > (leaving.ticket, leaving.peer.name):
                    leaving.questions.append(question)
                else:
                    peer.answer(serial, True)
                return
            if leaving.serial == serial:
                if not leaving.pending and not leaving.said:  # lost with the former link
                    self._prepare(leaving)
                return
            if leaving.told:
                peer.answer(serial, False)
                return
            # It has not taken it, and will send back what is still on its way.
            waiting = self.take_back(leaving)
        self._give_or_deny(question)
        self._moves.ask_again(waiting)

    def _give_or_deny(self, question: Question) -> None:
        peer, key, serial = question.peer, question.key, question.serial
        mark = question.ticket, peer.name
        session = self._broker.sessions.get(key)
        if session is None:
            departed = self._departed.get(key)
            peer.answer(serial, not question.late and departed is not None and departed[0] > mark)
            return
        if question.late and (session.epoch, self._federation.name) > mark:
            # This session is the later one: what the other has comes here.
            peer.answer(serial, False)
            self._moves.arrivals.remember(peer.name, key)
            return
        if question.epoch and question.epoch != session.epoch and session.link is not None:
            peer.answer(serial, True)  # its client has connected here while the question waited
            return
        if self._moves.arrivals.must_wait(question, session):
            return
        gone = let_go(self._broker, key, question.clean)
        elsewhere = self._moves.arrivals.pass_on(key)
        if gone is None:
            peer.answer(serial, False)
            return
        leaving = Leaving(gone, peer, serial, question.ticket, elsewhere, question.after)
        self.leaving[key] = leaving
        self._broker.desk.durability.put_session(replace(gone.record(), claim=GIVEN_TO + peer.name))
        self._federation.counters.add("sessions_given")
        self._prepare(leaving)

    def _prepare(self, leaving: Leaving) -> None:
        leaving.pending = True
        self._broker.desk.durability.then(partial(self._give, leaving))

    def _give(self, leaving: Leaving) -> None:
        session, peer = leaving.session, leaving.peer
        leaving.pending = False
        if self.leaving.get(session.key) is not leaving or not peer.up:
            return
        state = state_of(session)
        state.elsewhere = _claims(leaving)
        leaving.ordinal = state.ordinal
        leaving.said = True
        for part in chunks(deliveries_of(session, leaving.after)):
            peer.say(Part(leaving.serial, part))
        peer.say(Given(leaving.serial, *session.key, state))

    # --- the other has it ----------------------------------------------------------------------------------------

    def settled(self, peer: "Peer", item: Settled) -> None:
        """The new front door has the session: give it what came since, and forget it."""
        key = item.device, item.client_id
        leaving = self.leaving.get(key)
        session = self._broker.sessions.get(key)
        if leaving is None and session is not None and key not in self._moves.joins.joining:
            if session.epoch < item.epoch and session.link is None:
                # Taken back meanwhile, but the client has gone on there.
                self._broker.release(session)
                elsewhere = self._moves.arrivals.pass_on(key)
                leaving = self.leaving[key] = Leaving(session, peer, 0, item.epoch, elsewhere)
                self._moves.arrivals.answer_questions(key)
            else:
                self._moves.arrivals.remember(peer.name, key)  # the client is here: what was taken there has to come
        if leaving is None or leaving.peer is not peer:
            peer.say(Tail(*key, [], True))
            return
        leaving.ordinal = item.ordinal
        if leaving.tailing:
            return
        leaving.tailing = True
        if leaving.session.subscriptions:
            self._federation.fences.fence(partial(self._tail, leaving))
        else:
            self._tail(leaving)

    def _tail(self, leaving: Leaving) -> None:
        key = leaving.session.key
        if self.leaving.get(key) is not leaving or not leaving.tailing or leaving.told or not leaving.peer.up:
            return
        leaving.told = True
        parts = chunks(deliveries_of(leaving.session, leaving.ordinal)) or [[]]
        for part in parts[:-1]:
            leaving.peer.say(Tail(*key, part, False, leaving.serial))
        leaving.peer.say(Tail(*key, parts[-1], True, leaving.serial))

    def _gone(self, leaving: Leaving) -> None:
        key = leaving.session.key
        if self.leaving.get(key) is not leaving:
            return
        del self.leaving[key]
        self._departed.pop(key, None)
        older = [name for name, _ in _claims(leaving)]
        self._departed[key] = (leaving.ticket, leaving.peer.name), leaving.session.epoch, older
        if len(self._departed) > MAX_DEPARTED:
            del self._departed[next(iter(self._departed))]
        self._forget(leaving.session)
        self._moves.ask_again(leaving.questions)

    def _forget(self, session: Session) -> None:
        self._broker.forget(session)
        if session.waiting is not None:
            session.waiting.discard(given=True)

    # --- the other has not ---------------------------------------------------------------------------------------

    def take_back(self, leaving: Leaving) -> list[Question]:
        """Serve a session again that has been given but not taken; return the questions that waited for it."""
        session = leaving.session
        del self.leaving[session.key]
        questions, leaving.questions = leaving.questions, []
        if session.key in self._broker.sessions:  # the client has got a new one meanwhile
            state, deliveries = state_of(session), deliveries_of(session)
            self._forget(session)
            self._moves.arrivals.merge(session.key, state, deliveries)
        else:
            self._broker.hold(session)
            self._broker.keep_offline(session)
            self._moves.arrivals.resume(session)
        for name, after in leaving.elsewhere:
            self._moves.arrivals.remember(name, session.key, after=after)
        return questions

    def reclaim(self, join: Join) -> None:
        """The client is back and no other front door has its session: it goes on here if it has not been taken."""
        leaving = self.leaving.get(join.key)
        if leaving is not None and (leaving.peer in join.denied or (not leaving.peer.up and not leaving.told)):
            self._moves.ask_again(self.take_back(leaving))

    def take_out(self, key: Key) -> Leaving | None:
        """The session comes back from where it had gone: return what is left of it here, no longer kept."""
        leaving = self.leaving.pop(key, None)
        if leaving is not None:
            self._broker.forget(leaving.session)
        return leaving

    def returned(self, peer: "Peer", item: Return) -> None:
        """A session that was given has not been taken."""
        leaving = self.leaving.get((item.device, item.client_id))
        if leaving is not None and leaving.peer is peer and leaving.serial == item.serial:
            self._moves.ask_again(self.take_back(leaving))

    def discard(self, peer: "Peer", item: Discard) -> None:
        """A session that was given has been taken, with all that came later."""
        leaving = self.leaving.get((item.device, item.client_id))
        if leaving is not None and leaving.peer is peer and leaving.serial == item.serial:
            self._gone(leaving)

    def evict(self, device: int) -> None:
        """A device has been deleted: its sessions on their way end too."""
        for key in [key for key in self.leaving if key[0] == device]:
            leaving = self.leaving.pop(key)
            self._forget(leaving.session)
            self._moves.ask_again(leaving.questions)

    # --- losses and time -----------------------------------------------------------------------------------------

    def passed_on(self, name: str, key: Key) -> bool:
        """Return whether a session has gone on from here before all had come from another front door."""
        leaving, departed = self.leaving.get(key), self._departed.get(key)
        if leaving is not None:
            return any(name == other for other, _ in _claims(leaving))
        return departed is not None and name in departed[2]

    def ghost(self, peer: "Peer", item: Ghost) -> None:
        """A front door asks what became of a session it gave."""
        key = item.device, item.client_id
        session = self._broker.sessions.get(key)
        if session is not None and session.arriving is not None and session.arriving.source == peer.name:
            return  # that it is settled is on its way
        if self._moves.joins.awaits(key, peer, item.serial):
            return  # the question is on its way
        leaving, departed = self.leaving.get(key), self._departed.get(key)
        if self._moves.arrivals.remembers(peer.name, key):
            taken = False
        elif session is not None:
            taken = True
        else:
            taken = departed is not None and departed[1] > item.epoch
            taken = (taken or leaving is not None) and not self.passed_on(peer.name, key)
        if taken:
            self._federation.counters.add("sessions_discarded")
        peer.say(Discard(*key, item.serial) if taken else Return(*key, item.serial))

    def forget(self, peer: "Peer") -> None:
        """What a front door has asked is not waited for any more: it asks again."""
        for leaving in self.leaving.values():
            leaving.questions = [question for question in leaving.questions if question.peer is not peer]

    def established(self, peer: "Peer") -> None:
        """The link to a front door begins anew: what was said may not have been heard."""
        for leaving in self.leaving.values():
            if leaving.peer is peer:
                leaving.said = leaving.tailing = leaving.told = False
                peer.say(Ghost(*leaving.session.key, leaving.session.epoch, leaving.serial))

    def renamed(self, former: "Peer", peer: "Peer") -> None:
        """A front door has taken over what another one had."""
        for leaving in self.leaving.values():
            if leaving.peer is former:
                leaving.peer = peer
                peer.say(Ghost(*leaving.session.key, leaving.session.epoch, leaving.serial))

    def tick(self) -> None:
        """Do not let others wait too long for a front door that is down."""
        now = self._federation.now
        for leaving in list(self.leaving.values()):
            down = not leaving.peer.up and now - leaving.peer.down_since > PATIENCE_S
            if down and leaving.questions and not leaving.told:
                self._moves.ask_again(self.take_back(leaving))


def _claims(leaving: Leaving) -> list[tuple[str, int]]:
    return [*state_of(leaving.session).elsewhere, *leaving.elsewhere]
