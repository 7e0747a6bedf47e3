"""Another front door, as the broker sees it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gongfu.ingest.mqtt.broker.messages import Message

GroupKey = tuple[str, str]
"""Share name and filter."""


class Neighbour(Protocol):
    """A front door with subscribers of its own; ``peers/`` implements it."""

    @property
    def name(self) -> str:
        """Name of its role."""
        ...

    @property
    def full(self) -> bool:
        """True when no more messages can be kept for it: what must not be lost has to be refused."""
        ...

    @property
    def largest(self) -> int:
        """Bytes of the largest message it can be given."""
        ...

    def send(self, tenant: int, message: "Message", direct: bool, groups: Sequence[GroupKey], durable: bool) -> bool:
        """Give it a message; return whether that went into the journal here.

        Args:
            tenant: whose topics.
            message: what has been published.
            direct: for its subscribers that are in no group.
            groups: shared groups of which a member there has to get it.
            durable: a subscriber there outlives its connection, so the message must not be lost.
        """
        ...
