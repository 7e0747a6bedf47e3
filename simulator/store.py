"""What a logical node has on its disk: plain values, changed by transactions only."""

from typing import Any

from gongfu.tree.link.position import NOWHERE, Durable, Position


class LinkStore:
    """The durable part of one end of a link, with the bodies of its outbox by number."""

    __slots__ = ("acknowledged", "epoch", "last", "outbox", "received", "retired")

    def __init__(self) -> None:
        self.epoch = 1
        self.last = 0
        self.acknowledged = NOWHERE
        self.received = NOWHERE
        self.retired = False
        self.outbox: dict[int, bytes] = {}

    def durable(self) -> Durable:
        """Return it as a session needs it."""
        return Durable(self.epoch, self.last, self.acknowledged, self.received, self.retired)

    def append(self, body: bytes) -> int:
        """Store a message in the outbox and return its number."""
        self.last += 1
        self.outbox[self.last] = body
        return self.last

    def forget(self, acknowledged: Position) -> None:
        """Delete what the other end has."""
        self.acknowledged = acknowledged
        while self.outbox and (first := next(iter(self.outbox))) <= acknowledged.number:
            del self.outbox[first]

    def renumber(self, epoch: int, acknowledged: Position, said_again: list[bytes]) -> None:
        """Begin a new epoch: what is said again, then what was still there."""
        bodies = [*said_again, *self.outbox.values()]
        self.epoch, self.acknowledged, self.last = epoch, acknowledged, len(bodies)
        self.outbox = dict(enumerate(bodies, start=1))

    def copy(self) -> "LinkStore":
        """Return a copy that does not change with this one."""
        new = LinkStore()
        for name in ("epoch", "last", "acknowledged", "received", "retired"):
            setattr(new, name, getattr(self, name))
        new.outbox = dict(self.outbox)
        return new


class Store:
    """Everything durable of a node.

    Attributes:
        links: by the other end's name.
        values: of the application; the values themselves must not be changed in place.
        logs: of the application, appended to only.
    """

    __slots__ = ("links", "logs", "values")

    def __init__(self) -> None:
        self.links: dict[str, LinkStore] = {}
        self.values: dict[Any, Any] = {}
        self.logs: dict[Any, list[Any]] = {}

    def copy(self) -> "Store":
        """Return a backup."""
        new = Store()
        new.links = {peer: link.copy() for peer, link in self.links.items()}
        new.values = dict(self.values)
        new.logs = {name: list(log) for name, log in self.logs.items()}
        return new


class Transaction:
    """Changes of a store that come about together or not at all.

    Attributes:
        now: the node's own clock, nanoseconds.
        queued: messages for the outboxes, by the other end's name.
    """

    __slots__ = ("_logs", "_store", "_values", "now", "queued")

    def __init__(self, store: Store, now: int) -> None:
        self._store = store
        self._values: dict[Any, Any] = {}
        self._logs: list[tuple[Any, Any]] = []
        self.now = now
        self.queued: dict[str, list[bytes]] = {}

    def get(self, key: Any, default: Any = None) -> Any:
        """Return a value as this transaction sees it."""
        return self._values[key] if key in self._values else self._store.values.get(key, default)

    def put(self, key: Any, value: Any) -> None:
        """Set a value."""
        self._values[key] = value

    def append(self, log: Any, entry: Any) -> None:
        """Append to a log."""
        self._logs.append((log, entry))

    def queue(self, peer: str, body: bytes) -> None:
        """Put a message for a neighbour into its outbox."""
        self.queued.setdefault(peer, []).append(body)

    def apply(self) -> dict[str, tuple[int, list[bytes]]]:
        """Make the changes; returns (number of the first, bodies) of the messages that were queued, by neighbour."""
        self._store.values.update(self._values)
        for log, entry in self._logs:
            self._store.logs.setdefault(log, []).append(entry)
        numbered: dict[str, tuple[int, list[bytes]]] = {}
        for peer, bodies in self.queued.items():
            link = self._store.links[peer]
            numbered[peer] = (link.last + 1, bodies)
            for body in bodies:
                link.append(body)
        return numbered
