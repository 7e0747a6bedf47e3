"""What all connections of a front door share."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, cast

from gongfu.ingest.admission.admission import Admission
from gongfu.ingest.admission.quota import Defaults
from gongfu.ingest.mqtt.access import Authenticator
from gongfu.ingest.mqtt.broker.broker import Broker
from gongfu.ingest.mqtt.broker.limits import Limits
from gongfu.ingest.mqtt.codec.reasons import Reason
from gongfu.ingest.mqtt.server.answering import Answerer
from gongfu.ingest.mqtt.server.fairness import FairReader
from gongfu.ingest.types import Intake
from gongfu.kernel.counters import Counters

if TYPE_CHECKING:
    from gongfu.ingest.mqtt.peers.neighbours import Neighbours
    from gongfu.ingest.mqtt.server.connection import Connection

# How often a held connection asks whether the intake takes points again.
HOLD_SECONDS = 0.005


class Clients(Collection["Connection"]):
    """The authenticated connections: those that have a session, found through it rather than kept once more.

    Attributes:
        count: their number; the dialogue keeps it.
    """

    __slots__ = ("_sessions", "count")

    def __init__(self, broker: Broker) -> None:
        self._sessions = broker.sessions
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> "Iterator[Connection]":
        return (cast("Connection", session.link) for session in self._sessions.values() if session.link is not None)

    def __contains__(self, connection: object) -> bool:
        return any(one is connection for one in self)


class DoorContext:
    """Broker, intake, authenticator, counters and the lists of connections that wait for something.

    Attributes:
        clients: authenticated connections.
        others: open sockets before their CONNECT is accepted, or about to close; a connection is in one of the two.
        max_packet: bytes of the largest packet, one number for all connections.
        admission: quotas and accounts of the devices connected here.
        fair: the connections that wait for their turn.
        peers: the other front doors, or None.
        reserved: topics that only the node itself publishes to.
        answerer: answers questions of devices.
        on_client: called with (connection, online) when a client connects or leaves.
    """

    def __init__(
        self,
        broker: Broker,
        intake: Intake,
        authenticator: Authenticator,
        counters: Counters,
        limits: Limits,
        max_connections: int,
        loop: asyncio.AbstractEventLoop,
        journal_saturated: Callable[[], bool] = lambda: False,
        quotas: Defaults | None = None,
    ) -> None:
        self.broker = broker
        self.intake = intake
        self.authenticator = authenticator
        self.counters = counters
        self.limits = limits
        self.max_connections = max_connections
        self.loop = loop
        self.admission = Admission(quotas or Defaults(), loop.time)
        self.fair = FairReader(loop, self.admission, intake, counters, lambda: self.clients)
        self.clients = Clients(broker)
        self.others: set[Connection] = set()
        self.max_packet = limits.max_packet
        self.on_client: Callable[[Connection, bool], None] = _ignore
        self.peers: Neighbours | None = None
        self.reserved: frozenset[str] = frozenset()
        self.answerer = Answerer()
        self.stopping = False
        self.now_ns = time.time_ns
        self.time = loop.time
        self._journal_saturated = journal_saturated
        self.tasks: set[asyncio.Task[None]] = set()
        self._dirty: list[Connection] = []
        self._held: list[Connection] = []
        self._wheel: dict[int, set[Connection]] = {}

    @property
    def sockets(self) -> int:
        """Number of open sockets."""
        return len(self.clients) + len(self.others)

    @property
    def connections(self) -> "list[Connection]":
        """All open sockets."""
        return [*self.clients, *self.others]

    @property
    def saturated(self) -> bool:
        """True while nothing more may be read: the block log or the journal is behind, or the door closes."""
        return self.intake.saturated or self.stopping or self._journal_saturated()

    def mark(self, connection: "Connection") -> None:
        """Write a connection's pending bytes once at the end of this turn of the event loop."""
        if not self._dirty:
            self.loop.call_soon(self._flush)
        self._dirty.append(connection)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()

    def hold(self, connection: "Connection") -> None:
        """Go on with a connection when the intake takes points again."""
        if not self._held:
            self.counters.add("intake_saturated")
            self.loop.call_later(HOLD_SECONDS, self._release)
        self._held.append(connection)

    def _release(self) -> None:
        if self.saturated:
            self.loop.call_later(HOLD_SECONDS, self._release)
            return
        held, self._held = self._held, []
        for connection in held:
            connection.go_on()

    # --- keep alive ----------------------------------------------------------------------------------------------

    def watch(self, connection: "Connection") -> None:
        """Close the connection when its client has been silent for its keep alive (§3.1.2.10)."""
        if connection.dialogue.keep_alive and not connection.closed:
            slot = self._wheel.setdefault(int(connection.active + connection.dialogue.patience) + 1, set())
            slot.add(connection)
            connection.slot = slot

    def unwatch(self, connection: "Connection") -> None:
        """The connection is gone."""
        if connection.slot is not None:
            connection.slot.discard(connection)
            connection.slot = None

    def tick(self) -> None:
        """Look for silent clients; call at least once a second."""
        now = self.loop.time()
        for slot in [slot for slot in self._wheel if slot <= now]:
            for connection in self._wheel.pop(slot):
                # A client that is not read is not silent.
                if connection.active + connection.dialogue.patience <= now and not connection.queued:
                    connection.close(Reason.KEEP_ALIVE_TIMEOUT)
                else:
                    self.watch(connection)


def _ignore(_connection: "Connection", _online: bool) -> None:
    return None
