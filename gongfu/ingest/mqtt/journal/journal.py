"""The broker's durability on SQLite."""

import time
from collections.abc import Callable

import msgspec

from gongfu.ingest.mqtt.broker.durability import Key, SessionRecord, WillRecord
from gongfu.ingest.mqtt.broker.messages import Delivery, Message
from gongfu.ingest.mqtt.broker.subscriptions import Subscription
from gongfu.ingest.mqtt.journal.writer import CommitThread
from gongfu.ingest.types import Writer

_PUT_SESSION = (
    "REPLACE INTO session (id, device, client_id, tenant, prefix, expiry, ends, door, epoch, claim, claim_ordinal)"
    " VALUES (?,?,?,?,?,?,?,?,?,?,?)"
)
_DROP_SESSION = (
    "DELETE FROM session WHERE id=?",
    "DELETE FROM subscription WHERE session=?",
    "DELETE FROM delivery WHERE session=?",
    "DELETE FROM received WHERE session=?",
)
_PUT_SUBSCRIPTION = "REPLACE INTO subscription (session, share, filter, options) VALUES (?,?,?,?)"
_DROP_SUBSCRIPTION = "DELETE FROM subscription WHERE session=? AND share=? AND filter=?"
_PUT_MESSAGE = "INSERT INTO message (id, body) VALUES (?,?)"
_DROP_MESSAGE = "DELETE FROM message WHERE id=?1 AND NOT EXISTS (SELECT 1 FROM delivery WHERE message=?1)"
_PUT_DELIVERY = "REPLACE INTO delivery (session, ordinal, message, packet_id, released, options) VALUES (?,?,?,?,?,?)"
_DROP_DELIVERY = "DELETE FROM delivery WHERE session=? AND ordinal=?"
_PUT_RECEIVED = "REPLACE INTO received (session, packet_id, time) VALUES (?,?,?)"
_DROP_RECEIVED = "DELETE FROM received WHERE session=? AND packet_id=?"
_PUT_RETAINED = "REPLACE INTO retained (tenant, topic, body, version) VALUES (?,?,?,?)"
_DROP_RETAINED = "DELETE FROM retained WHERE tenant=? AND topic=?"
_PUT_WILL = "REPLACE INTO will (device, client_id, topic, writer, body, delay, due, door) VALUES (?,?,?,?,?,?,?,?)"
_DROP_WILL = "DELETE FROM will WHERE device=? AND client_id=?"

_PUT_FORWARD = "INSERT INTO forward (door, ordinal, item) VALUES (?,?,?)"
_DROP_FORWARD = "DELETE FROM forward WHERE door=? AND ordinal=?"
_PUT_SEEN = "REPLACE INTO seen (sender, target, ordinal) VALUES (?,?,?)"
_PUT_INTEREST = "REPLACE INTO interest (door, tenant, share, filter, online, kept) VALUES (?,?,?,?,?,?)"
_DROP_INTEREST = "DELETE FROM interest WHERE door=? AND tenant=? AND share=? AND filter=?"

_encode = msgspec.msgpack.encode


class SqliteJournal:
    """``Durability`` on a commit thread.

    Args:
        thread: where operations go.
        door: index of this front door, from 0, at most 1023.
    """

    def __init__(self, thread: CommitThread, door: int) -> None:
        self._thread = thread
        self._door = door
        # Microseconds above, door below: unique over doors and restarts.
        self._last = time.time_ns() // 1000 << 10 | door

    def then(self, callback: Callable[[], None]) -> None:
        """Call back when every write so far is durable; at once when nothing is outstanding."""
        self._thread.then(callback)

    def new_identifier(self) -> int:
        """Return an identifier greater than all before, also those before a restart."""
        self._last = max(self._last + (1 << 10), time.time_ns() // 1000 << 10 | self._last & 1023)
        return self._last

    def put_session(self, record: SessionRecord) -> None:
        """Insert or update the session itself (not its parts)."""
        home = record.home if record.home >= 0 else self._door
        row = (record.identifier, *record.key, record.tenant, record.prefix, record.expiry, record.ends, home)
        self._thread.write(_PUT_SESSION, (*row, record.epoch, record.claim, record.claim_ordinal))

    def drop_session(self, identifier: int) -> None:
        """Delete a session with all its parts."""
        for sql in _DROP_SESSION:
            self._thread.write(sql, (identifier,))

    def put_subscription(self, session: int, subscription: Subscription) -> None:
        """Insert or replace a subscription."""
        options = _encode(subscription_options(subscription))
        row = (session, subscription.share, subscription.topic_filter, options)
        self._thread.write(_PUT_SUBSCRIPTION, row)

    def drop_subscription(self, session: int, subscription: Subscription) -> None:
        """Delete a subscription."""
        self._thread.write(_DROP_SUBSCRIPTION, (session, subscription.share, subscription.topic_filter))

    def put_message(self, message: Message) -> None:
        """Insert a message and give it its identifier."""
        message.identifier = self.new_identifier()
        self._thread.write(_PUT_MESSAGE, (message.identifier, message.to_bytes()))

    def drop_message(self, message: Message) -> None:
        """Delete a message that no delivery needs any more."""
        self._thread.write(_DROP_MESSAGE, (message.identifier,))

    def put_delivery(self, session: int, delivery: Delivery) -> None:
        """Insert or replace a delivery."""
        options = _encode((delivery.topic, delivery.qos, delivery.retain, delivery.identifiers, delivery.group))
        row = (session, delivery.ordinal, delivery.message.identifier, delivery.packet_id, delivery.released, options)
        self._thread.write(_PUT_DELIVERY, row)

    def drop_delivery(self, session: int, delivery: Delivery) -> None:
        """Delete a delivery."""
        self._thread.write(_DROP_DELIVERY, (session, delivery.ordinal))

    def put_received(self, session: int, packet_id: int, received: int) -> None:
        """Remember a QoS 2 packet id of the client with the UTC ns at which it first came."""
        self._thread.write(_PUT_RECEIVED, (session, packet_id, received))

    def drop_received(self, session: int, packet_id: int) -> None:
        """Forget a QoS 2 packet id."""
        self._thread.write(_DROP_RECEIVED, (session, packet_id))

    def put_retained(self, tenant: int, message: Message, version: int = 0) -> None:
        """Keep a retained message."""
        self._thread.write(_PUT_RETAINED, (tenant, message.topic, message.to_bytes(), version))

    def drop_retained(self, tenant: int, topic: str, version: int = 0) -> None:
        """Delete a retained message; with a version remember that it has been cleared."""
        if version:
            self._thread.write(_PUT_RETAINED, (tenant, topic, b"", version))
        else:
            self._thread.write(_DROP_RETAINED, (tenant, topic))

    def put_will(self, will: WillRecord) -> None:
        """Insert or replace a will."""
        row = (*will.key, will.topic, _encode(will.writer), will.message.to_bytes(), will.delay, will.due, self._door)
        self._thread.write(_PUT_WILL, row)

    def drop_will(self, key: Key) -> None:
        """Delete a will."""
        self._thread.write(_DROP_WILL, key)

    def put_forward(self, door: str, ordinal: int, item: bytes) -> None:
        """Keep a message that another front door must get."""
        self._thread.write(_PUT_FORWARD, (door, ordinal, item))

    def drop_forward(self, door: str, ordinal: int) -> None:
        """The other front door has it."""
        self._thread.write(_DROP_FORWARD, (door, ordinal))

    def put_seen(self, sender: str, target: str, ordinal: int) -> None:
        """Remember the last message of another front door that has been taken, by the name it was sent to."""
        self._thread.write(_PUT_SEEN, (sender, target, ordinal))

    def put_interest(self, door: str, tenant: int, key: tuple[str, str], online: int, kept: int) -> None:
        """Remember a filter of another front door's sessions that outlive their connection."""
        self._thread.write(_PUT_INTEREST, (door, tenant, *key, online, kept))

    def drop_interest(self, door: str, tenant: int, key: tuple[str, str]) -> None:
        """Forget a filter of another front door."""
        self._thread.write(_DROP_INTEREST, (door, tenant, *key))


def subscription_options(subscription: Subscription) -> tuple[int, bool, bool, int, int, bool]:
    """Return the options of a subscription in their durable order."""
    return (
        subscription.qos,
        subscription.no_local,
        subscription.retain_as_published,
        subscription.retain_handling,
        subscription.identifier,
        subscription.own,
    )


def decode_writer(data: bytes) -> Writer:
    """Return the writer of a stored will."""
    return msgspec.msgpack.decode(data, type=Writer)
