"""Reading the journal back after a start."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from gongfu.ingest.mqtt.broker.durability import SessionRecord, WillRecord
from gongfu.ingest.mqtt.broker.messages import Delivery, Message
from gongfu.ingest.mqtt.broker.subscriptions import Subscription
from gongfu.ingest.mqtt.journal.journal import decode_writer

_OPTIONS = msgspec.msgpack.Decoder(tuple[int, bool, bool, int, int, bool])
_DELIVERY = msgspec.msgpack.Decoder(tuple[str, int, bool, tuple[int, ...], str])

_SESSION = "SELECT id, device, client_id, tenant, prefix, expiry, ends FROM session"


@dataclass(slots=True)
class Kept:
    """What a front door takes over at its start."""

    sessions: list[SessionRecord] = field(default_factory=list)
    retained: list[tuple[int, Message]] = field(default_factory=list)
    wills: list[WillRecord] = field(default_factory=list)


def load(connection: sqlite3.Connection, door: int, doors: int) -> Kept:
    """Return the sessions and wills of a door, and all retained messages.

    Door 0 also takes what doors kept that are no longer started (index ``doors`` and above). Messages that no
    delivery needs, left by a crash, are deleted by door 0.
    """
    mine = "door = :door OR (:door = 0 AND door >= :doors)"
    bind = {"door": door, "doors": doors}
    if door == 0:
        connection.execute("DELETE FROM message WHERE id NOT IN (SELECT message FROM delivery)")
    kept = Kept()
    messages: dict[int, Message] = {}
    for row in connection.execute(f"{_SESSION} WHERE {mine}", bind).fetchall():
        kept.sessions.append(_session(connection, row, messages))
    for tenant, body in connection.execute("SELECT tenant, body FROM retained"):
        kept.retained.append((tenant, Message.from_bytes(body)))
    query = f"SELECT device, client_id, topic, writer, body, delay, due FROM will WHERE {mine}"  # noqa: S608
    kept.wills = list(_wills(connection.execute(query, bind)))
    return kept


def _wills(rows: Iterable[tuple[int, str, str, bytes, bytes, int, int]]) -> Iterable[WillRecord]:
    for device, client_id, topic, writer, body, delay, due in rows:
        message = Message.from_bytes(body)
        yield WillRecord((device, client_id), decode_writer(writer), topic, message, delay, due)


def _session(
    connection: sqlite3.Connection,
    row: tuple[int, int, str, int, str, int, int],
    messages: dict[int, Message],
) -> SessionRecord:
    identifier, device, client_id, tenant, prefix, expiry, ends = row
    record = SessionRecord(identifier, (device, client_id), tenant, prefix, expiry, ends)
    query = "SELECT share, filter, options FROM subscription WHERE session=?"
    for share, topic_filter, options in connection.execute(query, (identifier,)):
        record.subscriptions.append(Subscription(topic_filter, share, *_OPTIONS.decode(options)))
    query = (
        "SELECT d.ordinal, d.packet_id, d.released, d.options, m.id, m.body FROM delivery d"
        " JOIN message m ON m.id = d.message WHERE d.session=? ORDER BY d.ordinal"
    )
    for ordinal, packet_id, released, options, message_id, body in connection.execute(query, (identifier,)):
        message = messages.get(message_id)
        if message is None:
            message = messages[message_id] = Message.from_bytes(body)
            message.identifier = message_id
        message.references += 1
        topic, qos, retain, identifiers, group = _DELIVERY.decode(options)
        delivery = Delivery(message, topic, qos, retain, identifiers, group)
        delivery.ordinal = ordinal
        delivery.packet_id = packet_id
        delivery.released = bool(released)
        delivery.durable = True
        record.deliveries.append(delivery)
    query = "SELECT packet_id, time FROM received WHERE session=?"
    record.received = dict(connection.execute(query, (identifier,)).fetchall())
    return record
