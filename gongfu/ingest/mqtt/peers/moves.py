"""What the hand-over of a session is made of: questions of other front doors, own questions, sessions given away."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gongfu.ingest.mqtt.broker.durability import Key
from gongfu.ingest.mqtt.broker.moving import SessionState, StoredDelivery
from gongfu.ingest.mqtt.broker.outbox import EVERYTHING
from gongfu.ingest.mqtt.broker.sessions import Session

if TYPE_CHECKING:
    from gongfu.ingest.mqtt.peers.peer import Peer

# How long a front door that is down is waited for, and one that is only slow: NATS tells at once who is not there.
PATIENCE_S = 2.0
LONG_PATIENCE_S = 8.0
# Before the name of the front door that a session has been given to, as its claim in the journal.
GIVEN_TO = ">"

_PART_BYTES = 256 * 1024


@dataclass(slots=True, eq=False)
class Question:
    """Another front door's question that waits until it is decided here where the session is.

    Attributes:
        after: only deliveries above this ordinal are asked for.
        epoch: of the session when the question began to wait.
    """

    peer: "Peer"
    serial: int
    key: Key
    clean: bool
    ticket: int
    late: bool
    after: int = EVERYTHING
    epoch: int = 0


@dataclass(slots=True, eq=False)
class Found:
    """A session that another front door has given."""

    peer: "Peer"
    state: SessionState
    deliveries: list[StoredDelivery]


@dataclass(slots=True, eq=False)
class Join:
    """A question to other front doors, for a CONNECT that waits or, when it is late, for a session that is here.

    Attributes:
        first: ticket given out at first; ``ticket`` is raised when the session found is of a later one.
        waiting: front doors that have not answered.
        denied: front doors that have answered that they have nothing.
        deferred: questions of other front doors that wait for the outcome.
    """

    key: Key
    clean: bool
    ticket: int
    serial: int
    done: Callable[[bool], None]
    since: float
    late: bool = False
    after: int = EVERYTHING
    first: int = 0
    concluded: bool = False
    superseded: bool = False
    waiting: set["Peer"] = field(default_factory=set)
    denied: set["Peer"] = field(default_factory=set)
    found: list[Found] = field(default_factory=list)
    deferred: list[Question] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Leaving:
    """A session that is given to another front door, until that one has it for certain or says that it has not.

    Attributes:
        serial: of the question it answers; tells one giving from the next.
        elsewhere: front doors that have older messages for it, with the ordinal up to which they have been taken.
        after: only deliveries above this ordinal are given.
        ordinal: of the last delivery given, -1 before.
        pending: it goes out with the next commit.
        said: it has been said on the link as it is now.
        tailing: what came since is to follow.
        told: the last of it has been said on the link as it is now.
        questions: of other front doors, that wait for the outcome.
    """

    session: Session
    peer: "Peer"
    serial: int
    ticket: int
    elsewhere: list[tuple[str, int]]
    after: int = EVERYTHING
    ordinal: int = -1
    pending: bool = False
    said: bool = False
    tailing: bool = False
    told: bool = False
    questions: list[Question] = field(default_factory=list)


def chunks(deliveries: list[StoredDelivery]) -> list[list[StoredDelivery]]:
    """Return deliveries in parts of about 256 KiB."""
    found: list[list[StoredDelivery]] = []
    size = _PART_BYTES
    for delivery in deliveries:
        if size >= _PART_BYTES:
            found.append([])
            size = 0
        found[-1].append(delivery)
        size += len(delivery.message) + 100
    return found
