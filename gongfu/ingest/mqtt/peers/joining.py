"""A client connects here: the other front doors are asked for its session."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from gongfu.ingest.mqtt.broker.durability import Key
from gongfu.ingest.mqtt.broker.moving import StoredDelivery
from gongfu.ingest.mqtt.peers.moves import LONG_PATIENCE_S, PATIENCE_S, Found, Join
from gongfu.ingest.mqtt.peers.wire import Answer, Ask, AskRow, Given, Part, Return

if TYPE_CHECKING:
    from gongfu.ingest.mqtt.peers.handover import HandOver
    from gongfu.ingest.mqtt.peers.peer import Peer

# Questions without answer; more connections than that wait for their turn.
MAX_JOINS = 2048
ROWS = 512


class Joins:
    """Questions of this front door, from the CONNECT to its answer.

    Attributes:
        joining: the one question of each client that is being decided.
    """

    def __init__(self, moves: "HandOver") -> None:
        self._moves = moves
        self._federation = moves.federation
        self._broker = moves.broker
        self.joining: dict[Key, Join] = {}
        self._serials: dict[int, Join] = {}
        # Numbers of an earlier process, which may still be on their way, must not come again.
        self._serial = self._broker.desk.clock.now_ns() // 1000
        self._ticket = 0
        self._queue: deque[Join] = deque()
        self._followers: dict[Key, deque[Join]] = {}
        self._asks: list[Join] = []
        self._parts: dict[tuple[Peer, int], list[StoredDelivery]] = {}

    # --- tickets -------------------------------------------------------------------------------------------------

    def ticket(self) -> int:
        """Return a number greater than all before: of two connections of a client the later one wins."""
        self._ticket = max(self._ticket + 1, self._broker.desk.clock.now_ns() // 1000)
        return self._ticket

    def saw(self, ticket: int) -> None:
        """Take note of a ticket of another front door: what happens here from now on is later, whatever the clocks."""
        self._ticket = max(self._ticket, ticket)

    # --- from CONNECT to its answer ------------------------------------------------------------------------------

    def fetch(self, key: Key, clean: bool, done: Callable[[bool], None]) -> int:
        """Bring the session of a client here (see ``HandOver.fetch``)."""
        ticket = self.ticket()
        join = Join(key, clean, ticket, 0, done, self._federation.now, first=ticket)
        if key in self.joining:
            self._followers.setdefault(key, deque()).append(join)
        else:
            self.joining[key] = join
            self._begin(join)
        return ticket

    def _begin(self, join: Join) -> None:
        if join.key in self._broker.sessions:  # a connection before it has brought it
            self._conclude(join)
        elif self.full:
            self._queue.append(join)
        else:
            self._ask(join)

    @property
    def full(self) -> bool:
        """True when questions have to wait for their turn."""
        return len(self._serials) >= MAX_JOINS

    def _ask(self, join: Join) -> None:
        join.since = self._federation.now
        for peer in self._federation.peers.values():
            if peer.up or (not join.clean and join.since - peer.down_since < LONG_PATIENCE_S):
                join.waiting.add(peer)
            else:
                self._moves.arrivals.remember(peer.name, join.key, join.clean)
        if not join.waiting:
            self._conclude(join)
            return
        self.number(join)
        self._asks.append(join)
        self._federation.wake()

    def number(self, join: Join) -> None:
        """Give a question its serial."""
        self._serial += 1
        join.serial = self._serial
        self._serials[join.serial] = join

    def flush(self) -> None:
        """Send the questions of this turn, one message for all."""
        asks, self._asks = self._asks, []
        rows = [_row(join) for join in asks if not join.concluded]
        for start in range(0, len(rows), ROWS):
            item = Ask(rows[start : start + ROWS])
            for peer in self._federation.peers.values():
                if peer.up:
                    peer.say(item)

    def release(self, key: Key, ticket: int) -> None:
        """The CONNECT has been answered or given up: others may ask for the session now."""
        join = self.joining.get(key)
        if join is None or ticket not in (join.ticket, join.first):
            followers = self._followers.get(key)
            if followers:
                self._followers[key] = deque(item for item in followers if item.first != ticket)
            return
        join.concluded = True
        self._serials.pop(join.serial, None)
        del self.joining[key]
        for found in join.found:  # given up before all had answered
            found.peer.say(Return(*key, join.serial))
        self._moves.ask_again(join.deferred)
        followers = self._followers.get(key)
        if followers:
            following = followers.popleft()
            self.joining[key] = following
            self._begin(following)
        else:
            self._followers.pop(key, None)
        while self._queue and not self.full:
            waiting = self._queue.popleft()
            if not waiting.concluded:
                self._ask(waiting)

    def cancel(self, join: Join) -> None:
        """A late question need not be answered any more: what is given is sent back."""
        join.concluded = True
        self._serials.pop(join.serial, None)

    # --- answers -------------------------------------------------------------------------------------------------

    def answered(self, peer: "Peer", item: Answer) -> None:
        """A front door has nothing for some questions."""
        for serial, superseded in item.rows:
            join = self._serials.get(serial)
            if join is not None and peer in join.waiting:
                join.superseded |= superseded
                join.denied.add(peer)
                self._heard(join, peer)

    def part(self, peer: "Peer", item: Part) -> None:
        """Deliveries of a session that follows."""
        self._parts.setdefault((peer, item.serial), []).extend(item.deliveries)

    def given(self, peer: "Peer", item: Given) -> None:
        """A front door gives a session."""
        deliveries = self._parts.pop((peer, item.serial), [])
        join = self._serials.get(item.serial)
        if join is None or peer not in join.waiting:
            # Too late for the connection that asked. Its front door keeps it; if need be it is asked once more.
            peer.say(Return(item.device, item.client_id, item.serial))
            return
        self.saw(item.state.epoch)
        join.found.append(Found(peer, item.state, deliveries))
        self._heard(join, peer)

    def _heard(self, join: Join, peer: "Peer") -> None:
        join.waiting.discard(peer)
        if not join.waiting and not join.concluded:
            self._conclude(join)

    def _conclude(self, join: Join) -> None:
        join.concluded = True
        self._serials.pop(join.serial, None)
        found, join.found = sorted(join.found, key=lambda item: item.state.epoch, reverse=True), []
        if join.late:
            self._moves.arrivals.late_concluded(join, found)
            return
        session = self._broker.sessions.get(join.key)
        busy = session is not None and session.arriving is not None and bool(session.arriving.source)
        for other in found[0 if busy else 1 :]:
            # Made while another was out of reach: one after the other.
            other.peer.say(Return(*join.key, join.serial))
            self._moves.arrivals.remember(other.peer.name, join.key)
        if found and not busy:
            join.ticket = max(join.ticket, found[0].state.epoch + 1)
            found[0].state.epoch = join.ticket
            self._moves.arrivals.arrive(join.key, found[0])
        elif not join.superseded and session is None:
            self._moves.leavings.reclaim(join)
        self._broker.desk.durability.then(lambda: join.done(join.superseded))

    # --- losses and time -----------------------------------------------------------------------------------------

    def awaits(self, key: Key, peer: "Peer", serial: int) -> bool:
        """Return whether a session given by a front door is, or will be, taken."""
        join = self.joining.get(key)
        if join is not None and any(item.peer is peer for item in join.found):
            return True
        join = self._serials.get(serial)
        return join is not None and peer in join.waiting

    def forget(self, peer: "Peer") -> None:
        """What a front door has begun to say will not be finished; what it has asked is not waited for."""
        for key in [key for key in self._parts if key[0] is peer]:
            del self._parts[key]
        for join in self.joining.values():
            join.deferred = [question for question in join.deferred if question.peer is not peer]

    def lost(self, peer: "Peer") -> None:
        """A front door is down."""
        for join in list(self._serials.values()):
            if peer in join.waiting and (join.clean or join.late):
                self._moves.arrivals.remember(peer.name, join.key, join.clean, join.after)
                self._heard(join, peer)

    def established(self, peer: "Peer") -> None:
        """The link to a front door begins anew: ask again."""
        asked = {join.serial for join in self._asks}
        open_ones = [join for join in self._serials.values() if peer in join.waiting and join.serial not in asked]
        for late in (False, True):
            rows = [_row(join) for join in open_ones if join.late is late]
            if rows:
                peer.say(Ask(rows, late))

    def tick(self) -> None:
        """Give up waiting where it has been long enough."""
        now = self._federation.now
        for join in list(self._serials.values()):
            if now - join.since < PATIENCE_S:
                continue
            for peer in list(join.waiting):
                if now - join.since > LONG_PATIENCE_S or not peer.up:
                    self._federation.counters.add("handover_timeouts")
                    self._moves.arrivals.remember(peer.name, join.key, join.clean, join.after)
                    self._heard(join, peer)


def _row(join: Join) -> AskRow:
    return (join.serial, *join.key, join.clean, join.ticket, join.after)
