"""What one client and the server say to each other after the bytes are packets: every packet but the fast PUBLISH."""

from typing import TYPE_CHECKING

from gongfu.ingest.mqtt.access import (
    DeviceAccess,
    inner_topic,
    is_own,
    may_subscribe,
)
from gongfu.ingest.mqtt.broker.messages import Delivery
from gongfu.ingest.mqtt.broker.sessions import Session
from gongfu.ingest.mqtt.broker.subscriptions import Subscription
from gongfu.ingest.mqtt.codec.encoding import encode
from gongfu.ingest.mqtt.codec.packets import (
    MQTT_5,
    Acknowledgement,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Publish,
    Request,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
)
from gongfu.ingest.mqtt.codec.reasons import PacketError, PacketType, Reason, violation
from gongfu.ingest.mqtt.codec.topics import is_topic_filter, split_share
from gongfu.ingest.mqtt.server.context import DoorContext
from gongfu.ingest.mqtt.server.joining import KEEP_ALIVE_FACTOR, join
from gongfu.ingest.mqtt.server.publishing import acknowledgement, handle_publish
from gongfu.ingest.mqtt.server.unacknowledged import Unacknowledged
from gongfu.ingest.types import Receipt, Writer
from gongfu.kernel.times import MICROSECOND

if TYPE_CHECKING:
    from gongfu.ingest.mqtt.server.connection import Connection

_TICKET_US = 60_000_000
_FAILURE = 0x80  # MQTT 3.1.1 §3.9.3
_UNSUPPORTED = b"\x20\x02\x00\x01"


class Dialogue:
    """State of one connection above the codec.

    Attributes:
        session: None until CONNECT has been accepted, and after the end.
        explains: the client wants reason strings (request problem information).
        keep_alive: seconds between packets that the client has been told or has told; 0 is none.
    """

    __slots__ = (
        "_access",
        "_alias_limit",
        "_aliases",
        "_inbound_aliases",
        "_since",
        "_will",
        "connection",
        "explains",
        "keep_alive",
        "session",
    )

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection
        self.session: Session | None = None
        self.explains = True
        self.keep_alive = 0
        self._since = 0  # us, which takes less than ns
        self._access: DeviceAccess | None = None  # of a device that may do more than every device
        self._will = True
        self._alias_limit = 0
        self._aliases: dict[str, int] | None = None
        self._inbound_aliases: dict[int, str] | None = None

    @property
    def context(self) -> DoorContext:
        """What all connections share."""
        return self.connection.context

    @property
    def greeted(self) -> bool:
        """True once a CONNACK has been sent."""
        return self.connection.writer is not None

    @property
    def patience(self) -> float:
        """Seconds without a packet after which the connection is closed, if there is a keep alive."""
        return self.keep_alive * KEEP_ALIVE_FACTOR

    @property
    def since(self) -> int:
        """UTC ns at which CONNECT was accepted."""
        return self._since * MICROSECOND

    @property
    def present(self) -> Session:
        """The session; only after CONNECT."""
        assert self.session is not None
        return self.session

    @property
    def access(self) -> DeviceAccess:
        """The device; only after CONNECT."""
        return self._access if self._access is not None else DeviceAccess(self.writer)

    @property
    def writer(self) -> Writer:
        """The device, as the columniser knows it; only after CONNECT."""
        assert self.connection.writer is not None
        return self.connection.writer

    @property
    def inbound_aliases(self) -> dict[int, str]:
        """Topic aliases the client has set."""
        if self._inbound_aliases is None:
            self._inbound_aliases = {}
        return self._inbound_aliases

    def alias(self, topic: str) -> tuple[str, int]:
        """Return (topic to send, topic alias or 0) and remember a new alias; the first topics get the aliases."""
        if not self._alias_limit:
            return topic, 0
        if self._aliases is None:
            self._aliases = {}
        alias = self._aliases.get(topic)
        if alias is not None:
            return "", alias
        if len(self._aliases) >= self._alias_limit:
            return topic, 0
        alias = self._aliases[topic] = len(self._aliases) + 1
        return topic, alias

    def expect(self, packet_id: int) -> Unacknowledged:
        """Return a new entry in the connection's order of acknowledgements."""
        entry = Unacknowledged(self.connection, packet_id.to_bytes(2, "big"))
        self.connection.ordered.append(entry)
        return entry

    def refusal(self, kind: PacketType, identifier: bytes, receipt: Receipt) -> bytes:
        """Return the acknowledgement of a telemetry payload that was not wholly accepted."""
        return acknowledgement(self, kind, identifier, receipt)

    # --- begin and end -------------------------------------------------------------------------------------------

    def joined(self, access: DeviceAccess, session: Session, alias_limit: int) -> None:
        """CONNECT has been accepted."""
        if access.publish_filters or access.subscribe_filters:
            self._access = access
        connection, context = self.connection, self.context
        self.session = session
        context.clients.count += 1
        self._alias_limit = alias_limit
        now = int(context.now_ns() / MICROSECOND)
        # The ticket of its CONNECT, one number for both, unless it was lifted above one of a clock that was ahead.
        self._since = session.epoch if 0 <= now - session.epoch < _TICKET_US else now
        connection.aliases = alias_limit > 0
        connection.writer = access.writer
        connection.trie = context.broker.router.tenant(session.tenant).trie
        connection.limit = context.max_packet
        connection.connected()
        context.others.discard(connection)
        context.on_client(connection, True)

    def lost(self) -> None:
        """The connection is gone, whoever closed it."""
        session, self.session = self.session, None
        if session is None:
            return
        self.context.clients.count -= 1
        self.context.broker.detach(session, self.connection, self._will)
        self.context.on_client(self.connection, False)

    def malformed(self, error: PacketError) -> None:
        """Bytes that are no packet, or a packet the protocol forbids."""
        self.context.counters.add(f"packets_refused.{error.reason.name.lower()}")
        if not self.greeted and error.reason is Reason.UNSUPPORTED_PROTOCOL_VERSION:
            self.connection.send(_UNSUPPORTED)
        self.connection.close(error.reason, error.detail)

    # --- packets -------------------------------------------------------------------------------------------------

    def handle(self, packet: Packet, received: int) -> None:
        """Take a packet that arrived at ``received`` (UTC ns).

        Raises:
            PacketError: it breaks the protocol; the connection has to be closed.
        """
        if self.session is None:
            if not isinstance(packet, Connect) or self.connection.waiting:
                raise violation("the first packet is not CONNECT")
            self.connection.version = packet.version
            self.connection.waiting = True
            task = self.context.loop.create_task(join(self, packet))
            self.context.tasks.add(task)
            task.add_done_callback(self.context.tasks.discard)
        elif isinstance(packet, Publish):
            handle_publish(self, packet, received)
        elif isinstance(packet, Acknowledgement):
            self._acknowledged(packet)
        elif isinstance(packet, Pingreq):
            self.connection.send(b"\xd0\0")
        elif isinstance(packet, Subscribe):
            self._subscribe(packet)
        elif isinstance(packet, Unsubscribe):
            self._unsubscribe(packet)
        elif isinstance(packet, Disconnect):
            self._disconnect(packet)
        else:
            raise violation("a client may not send this packet now")

    def _acknowledged(self, packet: Acknowledgement) -> None:
        session = self.present
        outbox = session.outbox
        if packet.kind is PacketType.PUBACK:
            outbox.acknowledge(packet.packet_id)
        elif packet.kind is PacketType.PUBREC:
            outbox.receive(packet.packet_id, packet.reason)
        elif packet.kind is PacketType.PUBCOMP:
            outbox.finish(packet.packet_id)
        else:
            self._released(packet)

    def _released(self, packet: Acknowledgement) -> None:
        session, connection = self.present, self.connection
        known = session.received.pop(packet.packet_id, None)
        reason = Reason.SUCCESS if known is not None else Reason.PACKET_IDENTIFIER_NOT_FOUND
        answer = encode(Acknowledgement(PacketType.PUBCOMP, packet.packet_id, reason), connection.version)
        if known is None or not session.durable:
            connection.send(answer)
            return
        # If the id came back after a crash, the client's next message under it would be taken for a repetition.
        durability = self.context.broker.desk.durability
        durability.drop_received(session.identifier, packet.packet_id)
        durability.then(lambda: connection.send(answer))

    def _disconnect(self, packet: Disconnect) -> None:
        session = self.present
        expiry = packet.properties.get("session_expiry_interval")
        if expiry is not None and expiry != session.expiry:
            if not session.expiry:
                raise violation("DISCONNECT sets a session expiry although CONNECT set none")
            self.context.broker.change_expiry(session, min(expiry, self.context.limits.max_session_expiry))
        self._will = packet.reason != Reason.SUCCESS
        self.connection.drop("client")

    # --- subscriptions -------------------------------------------------------------------------------------------

    def _subscribe(self, packet: Subscribe) -> None:
        session, connection = self.present, self.connection
        identifier = packet.properties.get("subscription_identifier", [0])[0]
        reasons: list[int] = []
        made: list[tuple[Subscription, bool]] = []
        broker = self.context.broker
        for request in packet.requests:
            subscription = self._permit(request, identifier)
            if isinstance(subscription, Reason):
                self.context.counters.add(f"subscriptions_refused.{subscription.name.lower()}")
                reasons.append(subscription if connection.version == MQTT_5 else _FAILURE)
            else:
                reasons.append(subscription.qos)
                made.append((subscription, broker.subscribe(session, subscription)))
        answer = encode(Suback(packet.packet_id, reasons), connection.version)
        neighbours = self.context.peers
        peers = None if neighbours is None or not neighbours.active else neighbours.federation

        def retained() -> list[Delivery]:
            return [delivery for item, known in made for delivery in broker.retained_for(session, item, known)]

        # With other front doors: what they retained before they knew of the subscription is here when they know it.
        found = retained() if peers is None else None

        def send() -> None:
            if session.link is not connection:
                return
            connection.send(answer)
            for delivery in retained() if found is None else found:
                session.outbox.offer(delivery, session.durable)

        def known_everywhere() -> None:
            if peers is None:
                send()
            else:
                peers.announced(send)

        if session.durable:
            broker.desk.durability.then(known_everywhere)
        else:
            known_everywhere()

    def _permit(self, request: Request, identifier: int) -> Subscription | Reason:
        session = self.present
        try:
            share, topic_filter = split_share(request.topic_filter)
        except ValueError:
            return Reason.TOPIC_FILTER_INVALID
        if not is_topic_filter(topic_filter):
            return Reason.TOPIC_FILTER_INVALID
        if share and request.no_local:
            raise violation("No Local on a shared subscription")
        if not may_subscribe(self.access, topic_filter):
            return Reason.NOT_AUTHORIZED
        inner = inner_topic(session.prefix, topic_filter)
        limit = self.context.limits.max_subscriptions
        if len(session.subscriptions) >= limit and (share, inner) not in session.subscriptions:
            return Reason.QUOTA_EXCEEDED
        return Subscription(
            inner,
            share,
            request.qos,
            request.no_local,
            request.retain_as_published,
            request.retain_handling,
            identifier,
            is_own(topic_filter),
        )

    def _unsubscribe(self, packet: Unsubscribe) -> None:
        session, connection = self.present, self.connection
        reasons: list[int] = []
        for topic_filter in packet.topic_filters:
            try:
                share, rest = split_share(topic_filter)
            except ValueError:
                reasons.append(Reason.TOPIC_FILTER_INVALID)
                continue
            removed = self.context.broker.unsubscribe(session, (share, inner_topic(session.prefix, rest)))
            reasons.append(Reason.SUCCESS if removed else Reason.NO_SUBSCRIPTION_EXISTED)
        answer = encode(Unsuback(packet.packet_id, reasons), connection.version)
        if session.durable:
            self.context.broker.desk.durability.then(lambda: connection.send(answer))
        else:
            connection.send(answer)
