"""A session on its way from one front door to another: what travels, and what both brokers do with it."""

import msgspec

from gongfu.ingest.mqtt.broker.broker import ROOM, Broker
from gongfu.ingest.mqtt.broker.durability import Key
from gongfu.ingest.mqtt.broker.messages import Delivery, Message
from gongfu.ingest.mqtt.broker.outbox import EVERYTHING
from gongfu.ingest.mqtt.broker.sessions import Arriving, Received, Session
from gongfu.ingest.mqtt.broker.subscriptions import Subscription
from gongfu.ingest.mqtt.codec.reasons import Reason


class SessionState(msgspec.Struct, array_like=True):
    """A session without its deliveries.

    Attributes:
        ordinal: of the last delivery that travels with it.
        subscriptions: (share name, filter, options) each.
        received: packet ids of unfinished QoS 2 messages of the client, as in the journal.
        elsewhere: front doors that may still have older messages for it, and the ordinal there up to which they have
            come.
    """

    tenant: int
    prefix: str
    expiry: int
    epoch: int
    ordinal: int
    subscriptions: list[tuple[str, str, tuple[int, bool, bool, int, int, bool]]]
    received: dict[int, int]
    elsewhere: list[tuple[str, int]]


class StoredDelivery(msgspec.Struct, array_like=True):
    """One delivery with its message."""

    ordinal: int
    packet_id: int
    released: bool
    topic: str
    qos: int
    retain: bool
    identifiers: tuple[int, ...]
    group: str
    message: bytes


def let_go(broker: Broker, key: Key, clean: bool) -> Session | None:
    """Its client has connected elsewhere: close the connection and return the session that has to go there, if any.

    The session is no longer among the broker's; its subscriptions go on until ``broker.forget``.
    """
    session = broker.sessions.get(key)
    if session is None:
        return None
    if session.link is not None:
        link = session.link
        broker.detach(session, link, publish_will=True)
        link.close(Reason.SESSION_TAKEN_OVER)
        if broker.sessions.get(key) is not session:
            return None
    if clean or not session.durable:
        broker.end(session)
        return None
    broker.resolve_will(key, True)
    broker.release(session)
    return session


def state_of(session: Session) -> SessionState:
    """Return what travels; the deliveries are ``deliveries_of``."""
    arriving = session.arriving
    return SessionState(
        session.tenant,
        session.prefix,
        session.expiry,
        session.epoch,
        session.waiting.last if session.waiting is not None else 0,
        [(item.share, item.topic_filter, _options(item)) for item in session.subscriptions.values()],
        {packet_id: 0 if item.finished else item.time for packet_id, item in session.received.items()},
        [(arriving.source, arriving.ordinal)] if arriving is not None and arriving.source else [],
    )


def _options(item: Subscription) -> tuple[int, bool, bool, int, int, bool]:
    return (item.qos, item.no_local, item.retain_as_published, item.retain_handling, item.identifier, item.own)


def deliveries_of(session: Session, after: int = EVERYTHING) -> list[StoredDelivery]:
    """Return the durable deliveries above an ordinal, in order."""
    return [
        StoredDelivery(
            item.ordinal,
            item.packet_id,
            item.released,
            item.topic,
            item.qos,
            item.retain,
            item.identifiers,
            item.group,
            item.message.to_bytes(),
        )
        for item in (session.waiting.kept(after) if session.waiting is not None else ())
    ]


def adopt(broker: Broker, key: Key, state: SessionState, deliveries: list[StoredDelivery], source: str) -> Session:
    """Take a session from another front door, offline as yet; return it.

    A session of the same key that is here already keeps what it has and gets what it lacks.
    """
    session = broker.sessions.get(key)
    shift = 0
    if session is not None:
        # All that is here already is younger.
        kept = session.waiting.kept() if session.waiting is not None else []
        shift = min([0, *(item.ordinal for item in kept)]) - state.ordinal - 2 * ROOM
    else:
        session = broker.add(key, state.tenant, state.prefix, state.expiry)
        session.epoch = state.epoch
        broker.keep_offline(session)
    if session.arriving is None:
        session.arriving = Arriving(source, state.ordinal, shift)
    elif source and not session.arriving.source:
        session.arriving.source, session.arriving.ordinal, session.arriving.shift = source, state.ordinal, shift
        session.arriving.held |= session.link is None
    broker.desk.durability.put_session(session.record())
    for share, topic_filter, options in state.subscriptions:
        if (share, topic_filter) not in session.subscriptions:
            broker.subscribe(session, Subscription(topic_filter, share, *options))
    for packet_id, time in state.received.items():
        if packet_id not in session.received:
            received = Received(time)
            session.receiving(packet_id, received)
            received.submitted = received.finished = not time
            broker.desk.durability.put_received(session.identifier, packet_id, time)
    if deliveries or state.subscriptions:
        receive(session, deliveries, shift, state.ordinal + ROOM)
    return session


def receive(session: Session, deliveries: list[StoredDelivery], shift: int, last: int = 0) -> None:
    """Take deliveries of its old front door, before what has come here since, without what is here already.

    ``shift`` is added to their ordinals (see ``Arriving``).
    """
    outbox = session.outbox
    known = {delivery.message.uid for delivery in outbox.kept()} - {0}
    if session.arriving is not None:
        known |= session.arriving.seen - {0}
    fresh: list[Delivery] = []
    for item in deliveries:
        message = Message.from_bytes(item.message)
        if message.uid in known:
            continue
        if session.arriving is not None:
            session.arriving.seen.add(message.uid)
        known |= {message.uid} - {0}
        delivery = Delivery(message, item.topic, item.qos, item.retain, item.identifiers, item.group)
        delivery.ordinal = item.ordinal + shift
        if item.packet_id not in outbox.flight:
            delivery.packet_id = item.packet_id
            delivery.released = item.released
        fresh.append(delivery)
    if fresh or last:
        outbox.import_kept(fresh, last)


def begin(broker: Broker, session: Session) -> None:
    """Nothing older will come: deliveries to the client begin."""
    if session.arriving is not None and session.arriving.held:
        session.arriving.held = False
        broker.start(session)
