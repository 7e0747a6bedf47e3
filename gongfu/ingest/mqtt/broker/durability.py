"""What the broker writes down so that it survives a crash; ``journal/`` implements it on SQLite."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from gongfu.ingest.types import Writer

if TYPE_CHECKING:
    from gongfu.ingest.mqtt.broker.messages import Delivery, Message
    from gongfu.ingest.mqtt.broker.subscriptions import Subscription

Key = tuple[int, str]
"""Identity of a session: device id and client id. A device cannot take another device's sessions."""


@dataclass(slots=True)
class SessionRecord:
    """Durable part of a session.

    Attributes:
        ends: UTC ns when it ends if nobody connects, 0 while connected.
        epoch: when its client last connected; of two front doors that keep one session, the later has the right one.
        claim: front door that still has messages for it, or empty.
        claim_ordinal: ordinal of the last delivery that has come from there.
        home: index of the front door from whose journal it has been taken over, or -1.
    """

    identifier: int
    key: Key
    tenant: int
    prefix: str
    expiry: int
    ends: int = 0
    epoch: int = 0
    claim: str = ""
    claim_ordinal: int = 0
    home: int = -1
    subscriptions: list["Subscription"] = field(default_factory=list)
    deliveries: list["Delivery"] = field(default_factory=list)
    received: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class WillRecord:
    """A will that has not been published. ``due`` is UTC ns, 0 while its client is connected."""

    key: Key
    writer: Writer
    topic: str
    message: "Message"
    delay: int
    due: int = 0


class Durability(Protocol):
    """Ordered writes with group commit. All calls return at once; ``then`` tells when they are durable."""

    def then(self, callback: Callable[[], None]) -> None:
        """Call back when every write so far is durable; at once when nothing is outstanding."""
        ...

    def put_session(self, record: SessionRecord) -> None:
        """Insert or update the session itself (not its parts)."""
        ...

    def drop_session(self, identifier: int) -> None:
        """Delete a session with all its parts."""
        ...

    def put_subscription(self, session: int, subscription: "Subscription") -> None:
        """Insert or replace a subscription."""
        ...

    def drop_subscription(self, session: int, subscription: "Subscription") -> None:
        """Delete a subscription."""
        ...

    def put_message(self, message: "Message") -> None:
        """Insert a message and give it its identifier."""
        ...

    def drop_message(self, message: "Message") -> None:
        """Delete a message that no delivery needs any more."""
        ...

    def put_delivery(self, session: int, delivery: "Delivery") -> None:
        """Insert or replace a delivery."""
        ...

    def drop_delivery(self, session: int, delivery: "Delivery") -> None:
        """Delete a delivery."""
        ...

    def put_received(self, session: int, packet_id: int, received: int) -> None:
        """Remember a QoS 2 packet id of the client: UTC ns at which it first came, 0 once its message is taken."""
        ...

    def drop_received(self, session: int, packet_id: int) -> None:
        """Forget a QoS 2 packet id."""
        ...

    def put_retained(self, tenant: int, message: "Message", version: int = 0) -> None:
        """Keep a retained message."""
        ...

    def drop_retained(self, tenant: int, topic: str, version: int = 0) -> None:
        """Delete a retained message; with a version remember that it has been cleared."""
        ...

    def put_forward(self, door: str, ordinal: int, item: bytes) -> None:
        """Keep a message that another front door must get."""
        ...

    def drop_forward(self, door: str, ordinal: int) -> None:
        """The other front door has it."""
        ...

    def put_seen(self, sender: str, target: str, ordinal: int) -> None:
        """Remember the last message of another front door that has been taken, by the name it was sent to."""
        ...

    def put_interest(self, door: str, tenant: int, key: tuple[str, str], online: int, kept: int) -> None:
        """Remember a filter of another front door's sessions that outlive their connection."""
        ...

    def drop_interest(self, door: str, tenant: int, key: tuple[str, str]) -> None:
        """Forget a filter of another front door."""
        ...

    def put_will(self, will: WillRecord) -> None:
        """Insert or replace a will."""
        ...

    def drop_will(self, key: Key) -> None:
        """Delete a will."""
        ...

    def new_identifier(self) -> int:
        """Return an identifier greater than all before, also those before a restart."""
        ...
