"""Control packets as values (MQTT 3.1.1 and 5.0 §3). MQTT 3.1.1 packets have no properties and no reasons."""

from dataclasses import dataclass, field

from gongfu.ingest.mqtt.codec.properties import Properties
from gongfu.ingest.mqtt.codec.reasons import PacketType

MQTT_3_1_1 = 4
MQTT_5 = 5


def _no_properties() -> Properties:
    return {}


@dataclass(slots=True)
class Will:
    """Will message of a CONNECT."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = field(default_factory=_no_properties)


@dataclass(slots=True)
class Connect:
    """CONNECT. ``version`` is 4 (MQTT 3.1.1) or 5; ``keep_alive`` in seconds, 0 is off."""

    version: int
    client_id: str
    clean_start: bool = True
    keep_alive: int = 0
    username: str | None = None
    password: bytes | None = field(default=None, repr=False)
    will: Will | None = None
    properties: Properties = field(default_factory=_no_properties)


@dataclass(slots=True)
class Connack:
    """CONNACK. ``reason`` is the return code in MQTT 3.1.1."""

    session_present: bool
    reason: int
    properties: Properties = field(default_factory=_no_properties)


@dataclass(slots=True)
class Publish:
    """PUBLISH. ``packet_id`` is 0 at QoS 0; an empty topic needs a topic alias."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    duplicate: bool = False
    packet_id: int = 0
    properties: Properties = field(default_factory=_no_properties)


@dataclass(slots=True)
class Acknowledgement:
    """PUBACK, PUBREC, PUBREL or PUBCOMP, by ``kind``."""

    kind: PacketType
    packet_id: int
    reason: int = 0
    properties: Properties = field(default_factory=_no_properties)


@dataclass(slots=True)
class Request:
    """One topic filter of a SUBSCRIBE with its options (§3.8.3.1)."""

    topic_filter: str
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


@dataclass(slots=True)
class Subscribe:
    """SUBSCRIBE."""

    packet_id: int
    requests: list[Request]
    properties: Properties = field(default_factory=_no_properties)


@dataclass(slots=True)
class Suback:
    """SUBACK: one reason a filter."""

    packet_id: int
    reasons: list[int]
    properties: Properties = field(default_factory=_no_properties)


@dataclass(slots=True)
class Unsubscribe:
    """UNSUBSCRIBE."""

    packet_id: int
    topic_filters: list[str]
    properties: Properties = field(default_factory=_no_properties)


@dataclass(slots=True)
class Unsuback:
    """UNSUBACK: one reason a filter in MQTT 5, none in MQTT 3.1.1."""

    packet_id: int
    reasons: list[int]
    properties: Properties = field(default_factory=_no_properties)


@dataclass(slots=True)
class Pingreq:
    """PINGREQ."""


@dataclass(slots=True)
class Pingresp:
    """PINGRESP."""


@dataclass(slots=True)
class Disconnect:
    """DISCONNECT."""

    reason: int = 0
    properties: Properties = field(default_factory=_no_properties)


@dataclass(slots=True)
class Auth:
    """AUTH (MQTT 5 only)."""

    reason: int = 0
    properties: Properties = field(default_factory=_no_properties)


Packet = (
    Connect
    | Connack
    | Publish
    | Acknowledgement
    | Subscribe
    | Suback
    | Unsubscribe
    | Unsuback
    | Pingreq
    | Pingresp
    | Disconnect
    | Auth
)
