"""Application messages inside the broker, and their way to one subscriber."""

from collections.abc import Sequence

import msgspec

from gongfu.ingest.mqtt.codec.fields import encode_text, encode_variable
from gongfu.ingest.mqtt.codec.packets import MQTT_5
from gongfu.ingest.mqtt.codec.properties import Properties, encode_property_fields
from gongfu.kernel.times import SECOND

# Properties a server forwards unaltered (MQTT 5.0 §3.3.2.3).
FORWARDED = ("payload_format_indicator", "content_type", "response_topic", "correlation_data", "user_property")


class Message:
    """One application message, shared by all its subscribers.

    Attributes:
        topic: inner topic name.
        payload: the bytes.
        qos: QoS it was published with.
        retain: RETAIN flag it was published with.
        fields: forwarded MQTT 5 properties, encoded.
        expires: UTC ns at which it expires, or 0.
        identifier: row in the journal, or 0 while it has none.
        references: deliveries that still need the journal row.
        uid: the same at all front doors, or 0 while nobody needs one.
    """

    __slots__ = ("_plain", "expires", "fields", "identifier", "payload", "qos", "references", "retain", "topic", "uid")

    def __init__(
        self, topic: str, payload: bytes, qos: int = 0, retain: bool = False, fields: bytes = b"", expires: int = 0
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.fields = fields
        self.expires = expires
        self.identifier = 0
        self.references = 0
        self.uid = 0
        self._plain: dict[tuple[int, bool], bytes] | None = None

    @property
    def size(self) -> int:
        """Approximate bytes it holds."""
        return len(self.payload) + len(self.topic) + len(self.fields)

    def plain(self, version: int, retain: bool) -> bytes:
        """Return the QoS 0 packet without any per-subscriber property; encoded once for all subscribers."""
        if self._plain is None:
            self._plain = {}
        packet = self._plain.get((version, retain))
        if packet is None:
            packet = encode_delivery(self, self.topic, version, 0, retain, False, 0, b"")
            self._plain[version, retain] = packet
        return packet

    def to_bytes(self) -> bytes:
        """Return the durable form."""
        return msgspec.msgpack.encode(
            (self.topic, self.payload, self.qos, self.retain, self.fields, self.expires, self.uid)
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Message":
        """Return the message of ``to_bytes``."""
        kept = _STORED.decode(data)
        message = cls(kept.topic, kept.payload, kept.qos, kept.retain, kept.fields, kept.expires)
        message.uid = kept.uid
        return message


class _Stored(msgspec.Struct, array_like=True):
    """Durable form of a message; rows of release 1 end before ``uid``."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    fields: bytes
    expires: int
    uid: int = 0


_STORED = msgspec.msgpack.Decoder(_Stored)


def message_of(topic: str, payload: bytes, qos: int, retain: bool, properties: Properties, now: int) -> Message:
    """Return the message of a PUBLISH or a will that arrived at ``now`` (UTC ns)."""
    if not properties:
        return Message(topic, payload, qos, retain)
    kept = {name: properties[name] for name in FORWARDED if name in properties}
    expiry = properties.get("message_expiry_interval")
    expires = 0 if expiry is None else now + expiry * SECOND
    return Message(topic, payload, qos, retain, encode_property_fields(kept), expires)


def delivery_fields(message: Message, now: int, identifiers: Sequence[int], alias: int) -> bytes:
    """Return the encoded MQTT 5 properties of one delivery: what is left of the expiry, identifiers, alias."""
    fields = message.fields
    if message.expires:
        left = max(1, -(-(message.expires - now) // SECOND))
        fields += b"\x02" + left.to_bytes(4, "big")
    for identifier in identifiers:
        fields += b"\x0b" + encode_variable(identifier)
    if alias:
        fields += b"\x23" + alias.to_bytes(2, "big")
    return fields


def encode_delivery(
    message: Message,
    topic: str,
    version: int,
    qos: int,
    retain: bool,
    duplicate: bool,
    packet_id: int,
    fields: bytes,
) -> bytes:
    """Return the PUBLISH packet of one delivery; ``fields`` are its encoded MQTT 5 properties."""
    head = encode_text(topic)
    if qos:
        head += packet_id.to_bytes(2, "big")
    if version == MQTT_5:
        fields = fields or message.fields
        head += encode_variable(len(fields)) + fields
    first = 0x30 | (8 if duplicate else 0) | qos << 1 | retain
    return bytes((first,)) + encode_variable(len(head) + len(message.payload)) + head + message.payload


class Delivery:
    """A message on its way to one session.

    Attributes:
        message: what to deliver.
        topic: topic name as this subscriber knows it.
        qos: QoS of this delivery.
        retain: RETAIN flag of this delivery.
        identifiers: subscription identifiers.
        ordinal: place in the session's order; key of the journal row.
        packet_id: 0 until first sent.
        released: QoS 2, PUBREC received.
        durable: has a row in the journal.
        group: shared subscription it came through, or empty.
    """

    __slots__ = (
        "durable",
        "group",
        "identifiers",
        "message",
        "ordinal",
        "packet_id",
        "qos",
        "released",
        "retain",
        "topic",
    )

    def __init__(
        self, message: Message, topic: str, qos: int, retain: bool, identifiers: tuple[int, ...], group: str = ""
    ) -> None:
        self.message = message
        self.topic = topic
        self.qos = qos
        self.retain = retain
        self.identifiers = identifiers
        self.ordinal = 0
        self.packet_id = 0
        self.released = False
        self.durable = False
        self.group = group
