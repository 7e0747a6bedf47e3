"""Bounds of the broker: what one session, device or tenant may hold."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """All bounds in one place; times in seconds, sizes in bytes.

    Attributes:
        max_payload: payload of a PUBLISH.
        receive_maximum: QoS 1 and 2 messages a client may have unacknowledged towards us.
        send_maximum: the same from us towards a client, whatever it offers.
        max_queued: deliveries waiting for one session.
        max_queued_bytes: bytes waiting for or in flight to one session.
        max_subscriptions: subscriptions of one session.
        max_sessions_per_device: sessions, connected or kept, of one device.
        max_session_expiry: longest time a session is kept without a connection.
        max_keep_alive: keep alive that MQTT 5 clients are lowered to; 0 (off) stays off.
        topic_alias_maximum: topic aliases per connection, each way.
        max_retained: retained messages of one tenant.
        max_retained_bytes: their bytes.
    """

    max_payload: int = 1_048_576
    receive_maximum: int = 1024
    send_maximum: int = 1024
    max_queued: int = 10_000
    max_queued_bytes: int = 32 * 1024 * 1024
    max_subscriptions: int = 10_000
    max_sessions_per_device: int = 100
    max_session_expiry: int = 30 * 86_400
    max_keep_alive: int = 60
    topic_alias_maximum: int = 64
    max_retained: int = 100_000
    max_retained_bytes: int = 256 * 1024 * 1024

    @property
    def max_packet(self) -> int:
        """Largest packet body: payload, a topic of 65,535 bytes and as much again for properties."""
        return self.max_payload + 2 * 65_536
