"""One SQL transaction of the tree: jobs run one after the other, each in a savepoint of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from gongfu.kernel.counters import Counters
from gongfu.kernel.permissions import NODE_TENANT, Subject
from gongfu.registry import audit_records
from gongfu.tree.host import link_records
from gongfu.tree.host.link_records import LinkRow
from gongfu.tree.link.frames import check_body
from gongfu.tree.link.position import Position, confirmed

_DETAIL_LIMIT = 2000
# Of one outbox: weeks of an ordinary link.
OUTBOX_MESSAGES = 500_000

_encode = msgspec.msgpack.Encoder().encode

After = Callable[[], None]


class Queued(msgspec.Struct, frozen=True, gc=False):
    """Messages that were put into an outbox: what a session is told after the commit."""

    peer: str
    epoch: int
    first: int
    bodies: list[bytes]
    stored_at: int


class Batch:
    """A transaction that is being written. Lives on the writer's thread.

    Attributes:
        connection: in the transaction.
        links: rows by peer, as this batch sees them.
        now: the parent's time, UTC ns.
        wall: own clock, UTC ns.
        counters: of the process.
        node: own id.
        after: what the event loop does after the commit, in order.
    """

    def __init__(
        self,
        connection: Connection,
        node: str,
        links: dict[str, LinkRow],
        now: int,
        wall: int,
        counters: Counters,
        queued: Callable[[Queued], None],
    ) -> None:
        self.connection = connection
        self.node = node
        self.links = links
        self.now = now
        self.wall = wall
        self.counters = counters
        self.after: list[After] = []
        self._queued = queued
        self._sends: dict[str, list[bytes]] = {}
        self._received: dict[int, Position] = {}

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Roll back to here if the block raises.

        In plain SQL, a fifth of the cost of SQLAlchemy's.
        """
        execute = self.connection.exec_driver_sql
        # The innermost of a name is meant.
        execute("SAVEPOINT turn")
        try:
            yield
        except BaseException:
            # A connection that is gone has nothing to roll back; what was raised says so.
            with suppress(DBAPIError, InvalidRequestError):
                execute("ROLLBACK TO SAVEPOINT turn")
                execute("RELEASE SAVEPOINT turn")
            raise
        execute("RELEASE SAVEPOINT turn")

    def turn(self, actor: str = "") -> "SqlTurn":
        """Return a turn; ``actor`` is the neighbour that causes it, by default the node itself."""
        return SqlTurn(self, actor or self.node)

    def accept(self, turn: "SqlTurn") -> None:
        """Take over what a turn has done, once its savepoint is released."""
        self.links.update(turn.links)
        for peer, bodies in turn.sends.items():
            self._sends.setdefault(peer, []).extend(bodies)
        self.after += turn.actions

    def received(self, link: LinkRow, position: Position) -> None:
        """Note what this end has; written once at the end."""
        link.received = position
        self._received[link.id] = position

    def forget(self, link: LinkRow, acknowledged: Position) -> None:
        """Delete what the other end has, unless that was done."""
        if link.acknowledged.before(acknowledged) and acknowledged.epoch == link.epoch:
            link_records.forget(self.connection, link, acknowledged)
            link.acknowledged = acknowledged

    def flush(self) -> None:
        """Number the messages of the turns so far and write them."""
        sends, self._sends = self._sends, {}
        rows: list[tuple[int, int, int, bytes]] = []
        for peer, bodies in sends.items():
            link = self.links[peer]
            if link.retired:
                continue
            first = link.last + 1
            link.last += len(bodies)
            if link.last - max(link.floor, confirmed(link.epoch, link.acknowledged).number) > OUTBOX_MESSAGES:
                self._overflow(link)
                continue
            rows += [(link.id, link.epoch, number, body) for number, body in enumerate(bodies, first)]
            self._tell(Queued(peer, link.epoch, first, bodies, self.wall))
        if rows:
            link_records.append(self.connection, rows, self.wall)

    def _overflow(self, link: LinkRow) -> None:
        """A neighbour was away for too long: what waits is dropped, and the sections will say what is so then."""
        link_records.drop(self.connection, link)
        link.floor = link.last
        self.turn().audit("link.overflow", f"node/{link.peer}", f"more than {OUTBOX_MESSAGES} messages waited")
        self.after.append(lambda: self.counters.add("tree_outboxes_dropped"))
        self._tell(Queued(link.peer, link.epoch, link.last + 1, [], self.wall))

    def _tell(self, queued: Queued) -> None:
        self.after.append(lambda: self._queued(queued))

    def renew(self, link: LinkRow, epoch: int, acknowledged: Position, turn: "SqlTurn") -> None:
        """Begin a new epoch of an outbox: what ``turn`` sends to the peer comes first, then what was still there."""
        bodies = turn.sends.pop(link.peer, [])
        self.flush()
        last = link_records.renumber(self.connection, link, epoch, acknowledged, len(bodies))
        rows = [(link.id, epoch, number, body) for number, body in enumerate(bodies, 1)]
        link_records.append(self.connection, rows, self.wall)
        link.epoch, link.acknowledged, link.last, link.stated = epoch, acknowledged, last, True
        link.floor = 0

    def finish(self) -> None:
        """Write what was put off to the end of the transaction."""
        self.flush()
        link_records.set_received(self.connection, self._received)


class SqlTurn:
    """A ``Turn``: what it does outside of SQL is kept here until its savepoint is released.

    Attributes:
        links: rows that it added or ended, by peer.
        sends: messages by peer.
        actions: for the event loop.
    """

    __slots__ = ("_actor", "_batch", "_before", "actions", "links", "sends")

    def __init__(self, batch: Batch, actor: str, before: "SqlTurn | None" = None) -> None:
        self._batch = batch
        self._actor = actor
        self._before = before
        self.links: dict[str, LinkRow] = {}
        self.sends: dict[str, list[bytes]] = {}
        self.actions: list[After] = []

    @property
    def connection(self) -> Connection:
        """The transaction."""
        return self._batch.connection

    @property
    def now(self) -> int:
        """The parent's time, UTC ns."""
        return self._batch.now

    @property
    def wall(self) -> int:
        """The own clock, UTC ns."""
        return self._batch.wall

    def link(self, peer: str) -> LinkRow | None:
        """Return the link to a neighbour as this turn sees it, retired ones too."""
        before = self._before.link(peer) if self._before is not None else self._batch.links.get(peer)
        return self.links.get(peer) or before

    def part(self) -> "SqlTurn":
        """Return a turn for a part of this one, which has a savepoint of its own."""
        return SqlTurn(self._batch, self._actor, self)

    def accept(self, part: "SqlTurn") -> None:
        """Take over what a part has done, once its savepoint is released."""
        self.links.update(part.links)
        for peer, bodies in part.sends.items():
            self.sends.setdefault(peer, []).extend(bodies)
        self.actions += part.actions

    def send(self, peer: str, topic: str, body: bytes) -> None:
        """Put a message for a neighbour into its outbox.

        Raises:
            KeyError: there is no link to it.
            FrameError: the message is too large to be sent.
        """
        link = self.link(peer)
        if link is None or link.retired:
            raise KeyError(peer)
        message = _encode((topic, body))
        check_body(message)
        self.sends.setdefault(peer, []).append(message)

    def then(self, action: After) -> None:
        """Do this on the event loop after the commit."""
        self.actions.append(action)

    def audit(self, action: str, resource: str, detail: str = "", *, subject: Subject | None = None) -> None:
        """Write an audit entry."""
        tenant, name = (subject.tenant, subject.name) if subject else (NODE_TENANT, f"node/{self._actor}")
        audit_records.insert(
            self.connection, self.wall, tenant, name[:120], action[:60], resource[:300], detail[:_DETAIL_LIMIT]
        )
