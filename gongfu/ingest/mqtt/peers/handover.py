"""Hand-over of sessions between front doors: one client id, one session, wherever its client connects.

Pure: messages go out through the peers' links, time is passed in. docs/front-door.md tells the protocol and why each
crash leaves one session.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from gongfu.ingest.mqtt.broker.broker import Broker
from gongfu.ingest.mqtt.broker.durability import Key
from gongfu.ingest.mqtt.peers.arriving import Arrivals
from gongfu.ingest.mqtt.peers.joining import Joins
from gongfu.ingest.mqtt.peers.leaving import Leavings
from gongfu.ingest.mqtt.peers.moves import Join, Leaving, Question
from gongfu.ingest.mqtt.peers.wire import Ask

if TYPE_CHECKING:
    from gongfu.ingest.mqtt.peers.federation import Federation
    from gongfu.ingest.mqtt.peers.peer import Peer


class HandOver:
    """Sessions that come and go between this front door and the others.

    Attributes:
        joins: clients that connect here.
        leavings: sessions that go.
        arrivals: sessions that have come.
    """

    def __init__(self, federation: "Federation", broker: Broker) -> None:
        self.federation = federation
        self.broker = broker
        self.joins = Joins(self)
        self.leavings = Leavings(self)
        self.arrivals = Arrivals(self)

    @property
    def joining(self) -> dict[Key, Join]:
        """The CONNECT of each client that waits for other front doors."""
        return self.joins.joining

    @property
    def leaving(self) -> dict[Key, Leaving]:
        """Sessions that have been given and may still come back."""
        return self.leavings.leaving

    def restore(self, now: float) -> None:
        """Go on with sessions that were moving when this front door ended."""
        for session in self.broker.sessions.values():
            self.joins.saw(session.epoch)
        self.leavings.restore()
        self.arrivals.restore(now)

    def must_ask(self, key: Key) -> bool:
        """Return whether another front door may have the session: this one has not, or it is just being decided."""
        return key in self.joining or key not in self.broker.sessions

    def ticket(self) -> int:
        """Return a number greater than all before: of two connections of a client the later one wins."""
        return self.joins.ticket()

    def fetch(self, key: Key, clean: bool, done: Callable[[bool], None]) -> int:
        """Bring the session of a client here; ``done`` tells whether a later connection has superseded this one.

        ``release`` has to be called afterwards, whatever the outcome. Returns the ticket of the connection;
        ``joining[key].ticket`` is the epoch of its session once it is decided.
        """
        return self.joins.fetch(key, clean, done)

    def release(self, key: Key, ticket: int) -> None:
        """The CONNECT has been answered or given up: others may ask for the session now."""
        self.joins.release(key, ticket)

    def flush(self) -> None:
        """Send the questions of this turn."""
        self.joins.flush()

    def asked(self, peer: "Peer", item: Ask) -> None:
        """Another front door asks for sessions."""
        for serial, device, client_id, clean, ticket, after in item.rows:
            self.joins.saw(ticket)
            self.leavings.asked(Question(peer, serial, (device, client_id), clean, ticket, item.late, after))

    def ask_again(self, questions: Iterable[Question]) -> None:
        """What the questions waited for has been decided."""
        for question in list(questions):
            self.leavings.asked(question)

    def established(self, peer: "Peer") -> None:
        """The link to a front door begins anew: say again what it may not have heard."""
        self._forget(peer)
        self.leavings.established(peer)
        self.arrivals.established(peer)
        self.joins.established(peer)
        self.arrivals.ask_late(peer)

    def lost(self, peer: "Peer") -> None:
        """A front door is down."""
        self._forget(peer)
        self.joins.lost(peer)

    def _forget(self, peer: "Peer") -> None:
        self.joins.forget(peer)
        self.leavings.forget(peer)
        self.arrivals.forget(peer)

    def renamed(self, former: "Peer", peer: "Peer") -> None:
        """A front door has taken over what another one had, that is no longer started."""
        self.leavings.renamed(former, peer)
        self.arrivals.renamed(former, peer)

    def evict(self, device: int) -> None:
        """A device has been deleted: its sessions on their way end too."""
        self.leavings.evict(device)

    def tick(self) -> None:
        """Give up waiting where it has been long enough; call a few times a second."""
        self.joins.tick()
        self.leavings.tick()
        self.arrivals.tick()
