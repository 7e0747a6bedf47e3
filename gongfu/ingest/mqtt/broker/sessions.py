"""Session state of one client (MQTT 5.0 §4.1)."""

from collections.abc import Callable

from gongfu.ingest.mqtt.access import device_prefix
from gongfu.ingest.mqtt.broker.durability import Key, SessionRecord, WillRecord
from gongfu.ingest.mqtt.broker.outbox import Desk, Link, Outbox
from gongfu.ingest.mqtt.broker.subscriptions import Subscription

NEVER_EXPIRES = 0xFFFFFFFF


class Received:
    """A QoS 2 message of the client between PUBLISH and PUBREL.

    Attributes:
        time: UTC ns at which it first came; telemetry that is repeated after a crash is submitted with the same time.
        submitted: its message has been handed on in this process.
        finished: its message has been taken, PUBREC may be sent.
        waiting: sends the PUBREC on the present connection once finished; empty bytes stand for plain success.
    """

    __slots__ = ("finished", "submitted", "time", "waiting")

    def __init__(self, time: int) -> None:
        self.time = time
        self.submitted = False
        self.finished = False
        self.waiting: Callable[[bytes], None] | None = None


class Arriving:
    """What a session waits for that has come from another front door, until all messages from there have come.

    Attributes:
        source: the front door that still has messages, or empty once they are here.
        ordinal: the last delivery that came with the session.
        seen: uids of the messages it has got meanwhile; the same may come the other way.
        held: deliveries wait, so that older messages go first.
        shift: added to the ordinals of the other front door, so that they do not meet those given out here.
    """

    __slots__ = ("held", "ordinal", "seen", "shift", "source")

    def __init__(self, source: str, ordinal: int, shift: int = 0) -> None:
        self.shift = shift
        self.source = source
        self.ordinal = ordinal
        self.seen: set[int] = set()
        self.held = True


# Empty ones shared by all: most devices never subscribe and never send at QoS 2.
NO_SUBSCRIPTIONS: dict[tuple[str, str], Subscription] = {}
NO_RECEIVED: dict[int, Received] = {}


class Session:
    """One session; ``link`` is its connection or None.

    Attributes:
        expiry: seconds it is kept without a connection; 0 ends it with the connection.
        ends: UTC ns at which it ends while offline, 0 while online.
        will: will of the present connection.
        epoch: when its client last connected, UTC us.
        home: index of the front door, no longer started, from whose journal it has been taken over, or -1.
        arriving: set while another front door still has messages for it.
    """

    __slots__ = (
        "_desk",
        "_identifier",
        "_outbox",
        "_prefix",
        "arriving",
        "client_id",
        "device",
        "ends",
        "epoch",
        "expiry",
        "home",
        "link",
        "received",
        "subscriptions",
        "tenant",
        "will",
    )

    def __init__(self, desk: Desk, identifier: int, key: Key, tenant: int, prefix: str, expiry: int) -> None:
        self._desk = desk
        self._identifier = identifier  # 0: none yet
        self.device, self.client_id = key
        self.tenant = tenant
        self.subscriptions = NO_SUBSCRIPTIONS
        self._prefix = ""
        self.prefix = prefix
        self.expiry = expiry
        self.ends = 0
        self.epoch = 0
        self.home = -1
        self.arriving: Arriving | None = None
        self.link: Link | None = None
        self.will: WillRecord | None = None
        self.received = NO_RECEIVED
        self._outbox: Outbox | None = None

    def subscribed(self, subscription: Subscription) -> None:
        """Remember a subscription."""
        if not self.subscriptions:
            self.subscriptions = {}
            self._prefix = self.prefix  # every delivery asks for it
        self.subscriptions[subscription.key] = subscription

    def receiving(self, packet_id: int, received: Received) -> None:
        """Remember a QoS 2 packet id that the client has not released."""
        if not self.received:
            self.received = {}
        self.received[packet_id] = received

    @property
    def identifier(self) -> int:
        """Key in the journal; given when first needed, since most sessions are never in it."""
        if not self._identifier:
            self._identifier = self._desk.durability.new_identifier()
        return self._identifier

    @property
    def prefix(self) -> str:
        """What stands for ``v1/devices/me/`` inside the broker; not kept where the client id is the device's name."""
        return self._prefix or device_prefix(self.client_id)

    @prefix.setter
    def prefix(self, prefix: str) -> None:
        self._prefix = "" if prefix == device_prefix(self.client_id) and not self.subscriptions else prefix

    @property
    def key(self) -> Key:
        """Device id and client id."""
        return self.device, self.client_id

    @property
    def online(self) -> bool:
        """True while a client is connected."""
        return self.link is not None

    @property
    def durable(self) -> bool:
        """True when the session outlives its connection and is therefore in the journal."""
        return self.expiry > 0

    @property
    def outbox(self) -> Outbox:
        """Deliveries; made when first needed, since most devices only publish."""
        if self._outbox is None:
            self._outbox = Outbox(self._desk, self.identifier)
            if self.link is not None and (self.arriving is None or not self.arriving.held):
                self._outbox.attach(self.link)
        return self._outbox

    @property
    def waiting(self) -> Outbox | None:
        """The outbox if there is one."""
        return self._outbox

    @property
    def idle(self) -> bool:
        """True when nothing waits for the client."""
        return self._outbox is None or not (self._outbox.queue or self._outbox.held)

    def record(self) -> SessionRecord:
        """Return the durable form of the session itself."""
        claim, ordinal = ("", 0) if self.arriving is None else (self.arriving.source, self.arriving.ordinal)
        return SessionRecord(
            self.identifier,
            self.key,
            self.tenant,
            self.prefix,
            self.expiry,
            self.ends,
            self.epoch,
            claim,
            ordinal,
            self.home,
        )
