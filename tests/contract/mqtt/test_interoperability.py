"""What MQTT 5 negotiates, as paho-mqtt sees it: identifiers, bounds, keep-alive, expiry, refusals."""

import queue
from collections.abc import Callable, Iterator
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.contract.mqtt.conftest import DEVICES, Door
from tests.contract.mqtt.foreign import PATIENCE_S

Connect = Callable[..., "Caller"]


def properties(kind: int, **values: Any) -> Properties:
    """Return properties of a packet."""
    made = Properties(kind)
    for name, value in values.items():
        setattr(made, name, value)
    return made


class Caller:
    """paho-mqtt in MQTT 5 with every answer in a queue."""

    def __init__(self, door: Door, client_id: str, *, device: str = "dev", clean: bool = True, **connect: Any) -> None:
        self.inbox: queue.Queue[paho.MQTTMessage] = queue.Queue()
        self.answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
        self.acknowledged: queue.Queue[Any] = queue.Queue()
        self.granted: queue.Queue[list[int]] = queue.Queue()
        self.ended: queue.Queue[Any] = queue.Queue()
        self.client = client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5, reconnect_on_failure=False
        )
        client.username_pw_set(device, DEVICES[device]["secret"])
        client.on_connect = lambda _c, _u, flags, _r, props: self.answers.put((flags, props))
        client.on_message = lambda _c, _u, message: self.inbox.put(message)
        client.on_publish = lambda _c, _u, _m, reason, _p: self.acknowledged.put(reason.value)
        client.on_subscribe = lambda _c, _u, _m, reasons, _p: self.granted.put([reason.value for reason in reasons])
        client.on_disconnect = lambda _c, _u, _f, reason, _p: self.ended.put(reason.value)
        made = properties(PacketTypes.CONNECT, **connect)
        client.connect("127.0.0.1", door.port, clean_start=clean, properties=made)
        client.loop_start()
        self.flags, self.told = self.answers.get(timeout=PATIENCE_S)

    def subscribe(self, topic_filter: str, qos: int, identifier: int = 0) -> int:
        """Return the reason code."""
        options = SubscribeOptions(qos=qos)
        made = properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=identifier) if identifier else None
        self.client.subscribe(topic_filter, options=options, properties=made)
        return self.granted.get(timeout=PATIENCE_S)[0]

    def publish(self, topic: str, payload: bytes, qos: int = 1) -> int:
        """Return the reason code of the last acknowledgement."""
        self.client.publish(topic, payload, qos)
        return self.acknowledged.get(timeout=PATIENCE_S)

    def message(self) -> paho.MQTTMessage:
        """Return the next message."""
        return self.inbox.get(timeout=PATIENCE_S)

    def leave(self) -> None:
        """Disconnect."""
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def connect(door: Door) -> Iterator[Connect]:
    """Connects callers and ends them after the test."""
    callers: list[Caller] = []

    def make(client_id: str, **options: Any) -> Caller:
        callers.append(Caller(door, client_id, **options))
        return callers[-1]

    yield make
    for caller in callers:
        caller.leave()


def test_subscription_identifiers(connect: Connect) -> None:
    caller = connect("identifiers")
    caller.subscribe("identifiers/#", 1, 7)
    caller.subscribe("identifiers/+/b", 1, 268_435_455)
    caller.publish("identifiers/a/b", b"x")
    # One copy with both identifiers or one a subscription (MQTT 5.0 §3.3.4); both are right.
    seen = list(caller.message().properties.SubscriptionIdentifier)
    if len(seen) == 1:
        seen += caller.message().properties.SubscriptionIdentifier
    assert sorted(seen) == [7, 268_435_455]


def test_maximum_packet_size_of_the_client_is_kept(connect: Connect) -> None:
    caller = connect("small", MaximumPacketSize=200)
    caller.subscribe("small/#", 1)
    caller.publish("small/a", b"x" * 300)
    caller.publish("small/a", b"y")
    assert caller.message().payload == b"y"


def test_what_the_server_grants_is_told(connect: Connect) -> None:
    caller = connect("granted", SessionExpiryInterval=60)
    assert not caller.flags.session_present
    assert caller.told.ReceiveMaximum > 0
    assert caller.told.MaximumPacketSize > 0
    assert caller.told.TopicAliasMaximum > 0
    for name in ("WildcardSubscriptionAvailable", "SubscriptionIdentifierAvailable", "SharedSubscriptionAvailable"):
        assert getattr(caller.told, name, 1) == 1, name


def test_a_session_is_there_until_it_expires(connect: Connect) -> None:
    first = connect("expiring", SessionExpiryInterval=3600)
    first.subscribe("expiring/#", 2)
    first.leave()
    connect("other").publish("expiring/a", b"kept", 2)
    second = connect("expiring", clean=False, SessionExpiryInterval=0)
    assert second.flags.session_present
    assert second.message().payload == b"kept"
    second.leave()
    # It ended with its connection: expiry 0 (§3.1.2.11.2).
    assert not connect("expiring", clean=False).flags.session_present


def test_takeover_is_told(connect: Connect) -> None:
    first = connect("same")
    connect("same")
    assert first.ended.get(timeout=PATIENCE_S) == 0x8E


def test_refusals_carry_reasons(connect: Connect) -> None:
    caller = connect("refused", device="limited")
    assert caller.subscribe("other/#", 1) == 0x87
    assert caller.publish("other", b"x") == 0x87
    assert caller.publish("mine/a", b"x", 2) == 0


def test_more_messages_in_flight_than_the_client_takes(connect: Connect) -> None:
    caller = connect("flow", ReceiveMaximum=2)
    caller.subscribe("flow/#", 1)
    sender = connect("flow-sender")
    for number in range(20):
        sender.publish("flow/a", b"%d" % number)
    assert [caller.message().payload for _ in range(20)] == [b"%d" % number for number in range(20)]
