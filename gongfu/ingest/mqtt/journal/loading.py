"""Reading the journal back after a start."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gongfu.ingest.mqtt.broker.durability import SessionRecord, WillRecord
from gongfu.ingest.mqtt.broker.messages import Delivery, Message
from gongfu.ingest.mqtt.broker.subscriptions import Subscription
from gongfu.ingest.mqtt.journal.journal import decode_writer
from gongfu.ingest.mqtt.journal.schema import open_database

_OPTIONS = msgspec.msgpack.Decoder(tuple[int, bool, bool, int, int, bool])
_DELIVERY = msgspec.msgpack.Decoder(tuple[str, int, bool, tuple[int, ...], str])

_SESSION = "SELECT id, device, client_id, tenant, prefix, expiry, ends, epoch, claim, claim_ordinal, door FROM session"
# How long it is remembered that a retained message has been cleared.
CLEARED_NS = 7 * 86_400 * 1_000_000_000


@dataclass(slots=True)
class Kept:
    """What a front door takes over at its start."""

    sessions: list[SessionRecord] = field(default_factory=list)
    retained: list[tuple[int, Message, int]] = field(default_factory=list)
    wills: list[WillRecord] = field(default_factory=list)
    cleared: list[tuple[int, str, int]] = field(default_factory=list)
    forwards: list[tuple[str, int, bytes]] = field(default_factory=list)
    seen: list[tuple[str, str, int]] = field(default_factory=list)
    interest: list[tuple[str, int, str, str, int, int]] = field(default_factory=list)


def load(connection: sqlite3.Connection, door: int = 0) -> Kept:
    """Return all that the journal of a front door keeps, by its index.

    Messages that no delivery needs, left by a crash, are deleted.

    ``retained`` and ``cleared`` come with the version of the topic; ``forwards`` as (door, ordinal, item) in order;
    ``seen`` as (sender, target, ordinal); ``interest`` as (door, tenant, share, filter, online, kept).
    """
    for table in ("subscription", "delivery", "received"):
        connection.execute(f"DELETE FROM {table} WHERE session NOT IN (SELECT id FROM session)")  # noqa: S608
    connection.execute("DELETE FROM message WHERE id NOT IN (SELECT message FROM delivery)")
    kept = Kept()
    messages: dict[int, Message] = {}
    for row in connection.execute(_SESSION).fetchall():
        kept.sessions.append(_session(connection, row, messages, door))
    for tenant, topic, body, version in connection.execute("SELECT tenant, topic, body, version FROM retained"):
        if body:
            kept.retained.append((tenant, Message.from_bytes(body), version))
        else:
            kept.cleared.append((tenant, topic, version))
    kept.wills = list(_wills(connection.execute("SELECT device, client_id, topic, writer, body, delay, due FROM will")))
    kept.forwards = connection.execute("SELECT door, ordinal, item FROM forward ORDER BY door, ordinal").fetchall()
    kept.seen = connection.execute("SELECT sender, target, ordinal FROM seen").fetchall()
    kept.interest = connection.execute("SELECT door, tenant, share, filter, online, kept FROM interest").fetchall()
    return kept


def take_over(connection: sqlite3.Connection, other: Path) -> None:
    """Take all that another front door's journal keeps into this one, and delete its file.

    A crash in between repeats it with the same outcome, as nothing has been served yet. Identifiers of rows are unique
    among the front doors of a node.

    Raises:
        sqlite3.Error: it cannot be read or written.
    """
    open_database(other).close()  # brings its tables up to date
    connection.execute("ATTACH DATABASE ? AS other", (str(other),))
    connection.execute("BEGIN IMMEDIATE")
    newer = "(SELECT id FROM other.session o WHERE NOT EXISTS (SELECT 1 FROM main.session m WHERE"
    newer += " m.device = o.device AND m.client_id = o.client_id AND m.epoch > o.epoch))"
    for table in ("subscription", "delivery", "received"):
        connection.execute(f"REPLACE INTO main.{table} SELECT * FROM other.{table} WHERE session IN {newer}")  # noqa: S608
    connection.execute("REPLACE INTO main.message SELECT * FROM other.message")
    columns = "id, device, client_id, tenant, prefix, expiry, ends, door, epoch, claim, claim_ordinal"
    connection.execute(
        f"REPLACE INTO main.session ({columns}) SELECT {columns} FROM other.session WHERE id IN {newer}"  # noqa: S608
    )
    connection.execute("REPLACE INTO main.will SELECT * FROM other.will")
    connection.execute(
        "REPLACE INTO main.retained (tenant, topic, body, version) SELECT tenant, topic, body, version"
        " FROM other.retained o WHERE NOT EXISTS (SELECT 1 FROM main.retained m WHERE"
        " m.tenant = o.tenant AND m.topic = o.topic AND m.version >= o.version)"
    )
    connection.execute("REPLACE INTO main.forward SELECT * FROM other.forward")
    connection.execute("REPLACE INTO main.seen SELECT * FROM other.seen")
    connection.execute("COMMIT")
    connection.execute("DETACH DATABASE other")
    for suffix in ("", "-wal", "-shm"):
        other.with_name(other.name + suffix).unlink(missing_ok=True)


def _wills(rows: Iterable[tuple[int, str, str, bytes, bytes, int, int]]) -> Iterable[WillRecord]:
    for device, client_id, topic, writer, body, delay, due in rows:
        message = Message.from_bytes(body)
        yield WillRecord((device, client_id), decode_writer(writer), topic, message, delay, due)


def _session(
    connection: sqlite3.Connection,
    row: tuple[int, int, str, int, str, int, int, int, str, int, int],
    messages: dict[int, Message],
    door: int,
) -> SessionRecord:
    identifier, device, client_id, tenant, prefix, expiry, ends, epoch, claim, ordinal, home = row
    record = SessionRecord(identifier, (device, client_id), tenant, prefix, expiry, ends, epoch, claim, ordinal)
    record.home = home if home != door else -1
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
