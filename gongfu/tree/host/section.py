"""What a part of the tree (nodes, orders, reports, peers) is to the host that runs it.

The host has one writer. Everything that is written happens in *turns*: functions of a ``Turn``, run one after the
other on the writer's thread, many in one SQL transaction. A turn must depend on nothing but the transaction and its
arguments: what a section keeps in memory it changes in ``Turn.then``, which runs on the event loop after the commit.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol, TypeVar

import msgspec
from sqlalchemy import Connection

from gongfu.bus.commands import Command
from gongfu.kernel.permissions import Subject

T = TypeVar("T")

Request = TypeVar("Request")


class Refusal(Exception):
    """A message of a neighbour is not taken: it is committed as refused, counted by reason and audited.

    Attributes:
        reason: kebab case, from a closed list of its section.
        detail: for people; no secrets.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Turn(Protocol):
    """One unit of writing."""

    @property
    def connection(self) -> Connection:
        """The transaction; write with SQLAlchemy Core."""
        ...

    @property
    def now(self) -> int:
        """The parent's time: own clock plus the measured offset, UTC ns. Deadlines are judged by it."""
        ...

    @property
    def wall(self) -> int:
        """The own clock, UTC ns."""
        ...

    def send(self, peer: str, topic: str, body: bytes) -> None:
        """Put a message for a neighbour (parent or child, by node id) into its outbox, in this transaction.

        Raises:
            KeyError: there is no link to it.
        """
        ...

    def then(self, action: Callable[[], None]) -> None:
        """Do this on the event loop after the commit; not at all if the turn fails."""
        ...

    def audit(self, action: str, resource: str, detail: str = "", *, subject: Subject | None = None) -> None:
        """Write an audit entry in this transaction; without a subject the node itself, or a neighbour, did it."""
        ...


class Section(Protocol):
    """One subject of conversation between parent and child."""

    @property
    def topics(self) -> Collection[str]:
        """The topics of messages that it takes, such as ``order``; no other section has them."""
        ...

    def received(self, turn: Turn, peer: str, topic: str, body: bytes) -> None:
        """Take a message of a neighbour; called once for each, in the order in which the neighbour sent them.

        Raises:
            Refusal: not taken. What this call has written is rolled back, the message counts as received.
        """
        ...

    def restate(self, turn: Turn, peer: str) -> None:
        """Send everything that the neighbour must know (its database, or ours, was restored): see ``Turn.send``.

        Called in the order of the host's sections; a section sends registers before revocations before orders.
        """
        ...

    def link_changed(self, peer: str, up: bool) -> None:
        """The link to a neighbour came up or went down. On the event loop."""
        ...

    def commands(self) -> Sequence[Command]:
        """What other processes of the node may ask of it."""
        ...

    async def start(self, host: "Host") -> None:
        """Begin; the links start after all sections have. What was interrupted by a crash is resumed here."""
        ...

    async def stop(self) -> None:
        """End; the host takes no turns afterwards."""
        ...


class LinkView(msgspec.Struct, frozen=True, kw_only=True):
    """A link as it is shown.

    Attributes:
        peer: node id.
        up: whether both ends know each other.
        changed: since when, own clock, UTC ns; 0 is never.
        waiting: messages in the own outbox that the other end has not acknowledged.
        oldest: when the oldest of them was stored, UTC ns; 0 without one.
        offset: other end's clock minus own, ns; None while unknown.
        skewed: more than the allowed 5 s.
        round_trip: smoothed, ns; 0 while unknown.
    """

    peer: str
    up: bool
    changed: int
    waiting: int
    oldest: int
    offset: int | None
    skewed: bool
    round_trip: int


class Host(Protocol):
    """What sections see of the host."""

    async def turn(self, work: Callable[[Turn], T]) -> T:
        """Run a turn and return what it returns, after the commit.

        Raises:
            Problem: 503 when too many turns wait, or the host stops.
            Exception: whatever the turn raised; it was rolled back, others of its transaction were not.
        """
        ...

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run a query on another thread, on what is committed."""
        ...

    def submit(self, work: Callable[[Turn], object]) -> None:
        """Run a turn some time; an exception is logged and counted."""
        ...

    def at(self, when: int, action: Callable[[], None]) -> Callable[[], None]:
        """Do this on the event loop when the parent's time (``Turn.now``) is ``when``; returns what cancels it.

        It is forgotten by a crash: what must survive is found again in ``Section.start``.
        """
        ...

    def now(self) -> int:
        """The parent's time, UTC ns."""
        ...

    def links(self) -> Sequence[LinkView]:
        """All links, the parent's first."""
        ...

    def open_link(self, turn: Turn, peer: str, *, parent: bool = False) -> None:
        """Begin a link to a new neighbour, with the commit of the turn. Nothing happens if it is there.

        Soon after the commit all sections restate what the neighbour must know.
        """
        ...

    def close_link(self, turn: Turn, peer: str) -> None:
        """End the link to a neighbour that was retired or moved, with the commit of the turn.

        What waits for it is deleted. Who shall hear of it first is told, and closed when ``LinkView.waiting`` is 0.
        """
        ...

    def nudge(self, *what: str) -> None:
        """Tell the console's streams what changed (``nodes``, ``order/<id>``, ``reports``); many become one."""
        ...
