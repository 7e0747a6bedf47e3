"""The broker: sessions by device and client id, routing inside a tenant, retained messages, wills, expiry."""

import heapq
import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from gongfu.ingest.mqtt.access import OWN_PREFIX, inner_topic, telemetry_form
from gongfu.ingest.mqtt.broker.durability import Durability, Key, SessionRecord, WillRecord
from gongfu.ingest.mqtt.broker.limits import Limits
from gongfu.ingest.mqtt.broker.messages import Delivery, Message
from gongfu.ingest.mqtt.broker.outbox import Desk, Link
from gongfu.ingest.mqtt.broker.retained import RetainedMessages
from gongfu.ingest.mqtt.broker.sessions import NEVER_EXPIRES, Received, Session
from gongfu.ingest.mqtt.broker.subscriptions import Group, Matched, Subscription, SubscriptionTrie
from gongfu.ingest.mqtt.codec.reasons import Reason
from gongfu.ingest.types import Intake
from gongfu.kernel.counters import Counters
from gongfu.kernel.times import SECOND, Clock

log = logging.getLogger(__name__)


class Peers(Protocol):
    """The other front doors of the node, when there are any."""

    def forward(self, tenant: int, message: Message, publisher: Key | None, done: Callable[[], None]) -> bool:
        """Send a message where others subscribe; return False if nobody does, else call ``done`` once they have it."""
        ...

    def takes(self, tenant: int, group: Group[Session], message: Message) -> bool:
        """Return whether this door serves the message for a shared group it has members of."""
        ...

    def changed(self) -> None:
        """Subscriptions changed: tell the others."""
        ...


class Tenant:
    """Topics of one tenant."""

    __slots__ = ("identifier", "retained", "trie")

    def __init__(self, identifier: int, limits: Limits) -> None:
        self.identifier = identifier
        self.trie: SubscriptionTrie[Session] = SubscriptionTrie()
        self.retained = RetainedMessages(limits.max_retained, limits.max_retained_bytes)


class Broker:
    """All state of one front door that is not a socket.

    Args:
        durability: the journal.
        counters: what is done and dropped.
        limits: bounds.
        clock: UTC time; expiry is measured with it so that it goes on over a restart.
        intake: takes the telemetry inside wills (Sparkplug NDEATH).
    """

    def __init__(
        self, durability: Durability, counters: Counters, limits: Limits, clock: Clock, intake: Intake
    ) -> None:
        self.desk = Desk(durability, counters, limits, clock)
        self.limits = limits
        self.sessions: dict[Key, Session] = {}
        self.wills: dict[Key, WillRecord] = {}
        self.peers: Peers | None = None
        self.stopping = False  # wills stay in the journal; they are due after the next start, as after a crash
        self._tenants: dict[int, Tenant] = {}
        self._per_device: dict[int, int] = {}
        self._due: list[tuple[int, Key]] = []
        self._intake = intake
        self._sweep_at = 0

    def tenant(self, identifier: int) -> Tenant:
        """Return a tenant's topics."""
        tenant = self._tenants.get(identifier)
        if tenant is None:
            tenant = self._tenants[identifier] = Tenant(identifier, self.limits)
        return tenant

    @property
    def tenants(self) -> Iterable[Tenant]:
        """Every tenant that has been seen."""
        return self._tenants.values()

    # --- restart -------------------------------------------------------------------------------------------------

    def restore_session(self, record: SessionRecord) -> Session:
        """Take a session of the journal as offline; return it."""
        session = self._add(record.key, record.tenant, record.prefix, record.expiry, record.identifier)
        session.ends = record.ends or self._end_of(session)
        self._schedule(session.ends, session.key)
        for subscription in record.subscriptions:
            session.subscriptions[subscription.key] = subscription
            self.tenant(session.tenant).trie.add(session, subscription)
        if record.deliveries:
            session.outbox.restore(record.deliveries)
        for packet_id, time in record.received.items():
            received = session.received[packet_id] = Received(time)
            received.submitted = received.finished = not time
        return session

    def restore_retained(self, tenant: int, message: Message) -> None:
        """Take a retained message of the journal."""
        self.tenant(tenant).retained.put(message)

    def restore_will(self, will: WillRecord) -> None:
        """Take a will of the journal; the crash was the loss of its client's connection."""
        if not will.due:
            session = self.sessions.get(will.key)
            delay = min(will.delay, session.expiry) if session else 0
            will.due = self.desk.clock.now_ns() + delay * SECOND
        self.wills[will.key] = will
        self._schedule(will.due, will.key)

    # --- sessions ------------------------------------------------------------------------------------------------

    def _add(self, key: Key, tenant: int, prefix: str, expiry: int, identifier: int = 0) -> Session:
        identifier = identifier or self.desk.durability.new_identifier()
        session = Session(self.desk, identifier, key, tenant, prefix, expiry)
        self.sessions[key] = session
        self._per_device[key[0]] = self._per_device.get(key[0], 0) + 1
        return session

    def admits(self, key: Key) -> bool:
        """Return whether the device may have this session beside its others."""
        return key in self.sessions or self._per_device.get(key[0], 0) < self.limits.max_sessions_per_device

    def open(
        self, key: Key, tenant: int, prefix: str, clean: bool, expiry: int, will: WillRecord | None, link: Link
    ) -> tuple[Session, bool]:
        """Connect a client; return (session, whether it was there before).

        A client connected under the same key is told that it is taken over (§3.1.4). Call ``start`` after CONNACK.
        """
        session = self.sessions.get(key)
        if session is not None:
            if session.link is not None:
                old = session.link
                self.detach(session, old, publish_will=True)
                old.close(Reason.SESSION_TAKEN_OVER)
                session = self.sessions.get(key)
            if session is not None and (clean or (session.tenant, session.prefix) != (tenant, prefix)):
                self.end(session)
                session = None
        pending = self.wills.get(key)
        if pending is not None:
            # A resumed session cancels a delayed will; a will without delay had to go out already (§3.1.3.2.2).
            if session is not None and pending.delay:
                self._drop_will(key)
            else:
                self._publish_will(pending)
        present = session is not None
        if session is None:
            session = self._add(key, tenant, prefix, expiry)
        elif not session.durable and expiry and session.waiting:
            session.waiting.make_durable()
        was_durable = present and session.durable
        session.prefix = prefix
        session.expiry = expiry
        session.ends = 0
        session.link = link
        session.will = will
        if session.durable:
            self.desk.durability.put_session(session.record())
        elif was_durable:
            # Clean start 0 with expiry 0: goes on now, ends with this connection; it must not come back after a crash.
            self.desk.durability.drop_session(session.identifier)
        if will is not None:
            self.desk.durability.put_will(will)
        return session, present

    def start(self, session: Session) -> None:
        """Begin deliveries: call after CONNACK has been sent."""
        if session.waiting is not None and session.link is not None:
            session.waiting.attach(session.link)

    def change_expiry(self, session: Session, expiry: int) -> None:
        """Set the expiry given in DISCONNECT (§3.14.2.2.2)."""
        session.expiry = expiry
        if not session.durable:
            self.desk.durability.drop_session(session.identifier)

    def detach(self, session: Session, link: Link, publish_will: bool) -> None:
        """The connection of a session is gone."""
        if session.link is not link:
            return
        session.link = None
        for received in session.received.values():
            received.waiting = None
        if session.waiting is not None:
            session.waiting.detach()
        will, session.will = session.will, None
        now = self.desk.clock.now_ns()
        if will is not None and not self.stopping:
            delay = min(will.delay, session.expiry)
            if not publish_will:
                self.desk.durability.drop_will(session.key)
            elif not delay:
                self._publish_will(will)
            else:
                will.due = now + delay * SECOND
                self.wills[session.key] = will
                self.desk.durability.put_will(will)
                self._schedule(will.due, session.key)
        if not session.durable:
            self.end(session)
            return
        session.ends = self._end_of(session)
        self.desk.durability.put_session(session.record())
        self._schedule(session.ends, session.key)

    def _end_of(self, session: Session) -> int:
        expiry = min(session.expiry, self.limits.max_session_expiry)
        return self.desk.clock.now_ns() + expiry * SECOND

    def end(self, session: Session) -> None:
        """End an offline session: its will goes out, its subscriptions and deliveries are gone."""
        key = session.key
        if self.sessions.get(key) is not session:
            return
        del self.sessions[key]
        left = self._per_device[key[0]] - 1
        if left:
            self._per_device[key[0]] = left
        else:
            del self._per_device[key[0]]
        trie = self.tenant(session.tenant).trie
        for subscription in session.subscriptions.values():
            trie.remove(session, subscription)
        if session.subscriptions and self.peers is not None:
            self.peers.changed()
        if session.durable:
            self.desk.durability.drop_session(session.identifier)
        if (will := self.wills.get(key)) is not None:
            self._publish_will(will)
        orphans = session.waiting.discard() if session.waiting is not None else []
        for delivery in orphans:
            self._give_to_group(session.tenant, delivery)

    def _give_to_group(self, tenant: int, delivery: Delivery) -> None:
        """A member left before its message was sent: another member gets it (§4.8.2)."""
        for group in self.tenant(tenant).trie.match(delivery.message.topic).groups:
            if "/".join(group.key) == delivery.group:
                self._deliver(*group.choose(), delivery.message, delivery.group)
                return
        self.desk.counters.add("messages_dropped.session_ended")

    def forget(self, session: Session) -> None:
        """Drop a session from memory and leave it in the journal: another front door has it now."""
        trie = self.tenant(session.tenant).trie
        for subscription in session.subscriptions.values():
            trie.remove(session, subscription)
        self.sessions.pop(session.key, None)
        self.wills.pop(session.key, None)
        left = self._per_device.get(session.device, 1) - 1
        if left:
            self._per_device[session.device] = left
        else:
            self._per_device.pop(session.device, None)
        if self.peers is not None:
            self.peers.changed()

    # --- time ----------------------------------------------------------------------------------------------------

    def _schedule(self, due: int, key: Key) -> None:
        if due:
            heapq.heappush(self._due, (due, key))

    def tick(self) -> None:
        """Publish wills and end sessions that are due; call a few times a second."""
        now = self.desk.clock.now_ns()
        while self._due and self._due[0][0] <= now:
            _, key = heapq.heappop(self._due)
            will = self.wills.get(key)
            if will is not None and will.due <= now:
                self._publish_will(will)
            session = self.sessions.get(key)
            if session is not None and session.ends and session.ends <= now:
                self.desk.counters.add("sessions_expired")
                self.end(session)
        if now >= self._sweep_at:
            self._sweep_at = now + 60 * SECOND
            for tenant in self._tenants.values():
                for topic in tenant.retained.expired(now):
                    tenant.retained.remove(topic)
                    self.desk.durability.drop_retained(tenant.identifier, topic)

    # --- wills ---------------------------------------------------------------------------------------------------

    def _drop_will(self, key: Key) -> None:
        self.wills.pop(key, None)
        self.desk.durability.drop_will(key)

    def _publish_will(self, will: WillRecord) -> None:
        self._drop_will(will.key)
        self.desk.counters.add("wills_published")
        if will.message.expires:
            # Until now it has been an interval: a will's expiry counts from its publication (§3.1.3.2.4).
            will.message.expires += self.desk.clock.now_ns()
        form = telemetry_form(will.topic)
        if form is not None:
            self._intake.submit(will.writer, form, will.message.payload, self.desk.clock.now_ns(), None, will.topic)
        self.publish(will.writer.tenant, will.message, self.sessions.get(will.key))

    # --- subscriptions -------------------------------------------------------------------------------------------

    def subscribe(self, session: Session, subscription: Subscription) -> list[Delivery]:
        """Add or replace a subscription; return the retained messages to deliver after SUBACK."""
        tenant = self.tenant(session.tenant)
        known = subscription.key in session.subscriptions
        session.subscriptions[subscription.key] = subscription
        tenant.trie.add(session, subscription)
        if session.durable:
            self.desk.durability.put_subscription(session.identifier, subscription)
        if self.peers is not None:
            self.peers.changed()
        handling = subscription.retain_handling
        if subscription.share or handling == 2 or (handling == 1 and known):
            return []
        now = self.desk.clock.now_ns()
        identifiers = (subscription.identifier,) if subscription.identifier else ()
        return [
            Delivery(
                message,
                self._outer(session, subscription.own, message.topic),
                min(message.qos, subscription.qos),
                True,
                identifiers,
            )
            for message in tenant.retained.match(subscription.topic_filter)
            if not message.expires or message.expires > now
        ]

    def unsubscribe(self, session: Session, key: tuple[str, str]) -> bool:
        """Remove a subscription; return whether there was one."""
        subscription = session.subscriptions.pop(key, None)
        if subscription is None:
            return False
        self.tenant(session.tenant).trie.remove(session, subscription)
        if session.durable:
            self.desk.durability.drop_subscription(session.identifier, subscription)
        if self.peers is not None:
            self.peers.changed()
        return True

    @staticmethod
    def _outer(session: Session, own: bool, topic: str) -> str:
        if own and topic.startswith(session.prefix):
            return OWN_PREFIX + topic[len(session.prefix) :]
        return topic

    # --- routing -------------------------------------------------------------------------------------------------

    def refuses(self, tenant: int, message: Message) -> bool:
        """Return whether the message must be retained but there is no room for it."""
        return message.retain and bool(message.payload) and not self.tenant(tenant).retained.fits(message)

    def publish(
        self, tenant: int, message: Message, publisher: Session | None, done: Callable[[], None] | None = None
    ) -> None:
        """Route a message and retain it if it says so; ``done`` once all who must have it have it durably."""
        durable = self.route(tenant, message, publisher)
        if message.retain:
            self.retain(tenant, message)
            durable = True
        wait = done
        if self.peers is not None:
            key = publisher.key if publisher is not None else None
            if done is None:
                self.peers.forward(tenant, message, key, _nothing)
            else:
                countdown = _Countdown(2, done)
                wait = countdown
                if not self.peers.forward(tenant, message, key, countdown):
                    countdown()
        if wait is not None:
            if durable:
                self.desk.durability.then(wait)
            else:
                wait()

    def retain(self, tenant: int, message: Message) -> None:
        """Keep the message as the retained one of its topic; an empty payload clears it (§3.3.1.3)."""
        retained = self.tenant(tenant).retained
        if not message.payload:
            retained.remove(message.topic)
            self.desk.durability.drop_retained(tenant, message.topic)
        elif retained.fits(message):
            retained.put(message)
            self.desk.durability.put_retained(tenant, message)
        else:
            self.desk.counters.add("messages_dropped.retained_full")

    def route(self, tenant: int, message: Message, publisher: Session | None) -> bool:
        """Deliver to the subscribers at this door; return whether anything went into the journal."""
        matched = self.tenant(tenant).trie.match(message.topic)
        return self._route_direct(matched, message, publisher) | self._route_groups(tenant, matched, message)

    def _route_direct(self, matched: Matched[Session], message: Message, publisher: Session | None) -> bool:
        durable = False
        for session, subscriptions in matched.direct.items():
            if session is publisher and any(item.no_local for item in subscriptions):
                subscriptions = [item for item in subscriptions if not item.no_local]
                if not subscriptions:
                    continue
            if len(subscriptions) == 1:
                durable |= self._deliver(session, subscriptions[0], message)
            else:
                durable |= self._deliver(session, _merge(subscriptions), message, "", subscriptions)
        return durable

    def _route_groups(self, tenant: int, matched: Matched[Session], message: Message) -> bool:
        durable = False
        for group in matched.groups:
            if self.peers is not None and not self.peers.takes(tenant, group, message):
                continue
            durable |= self._deliver(*group.choose(), message, "/".join(group.key))
        return durable

    def deliver_to_group(self, tenant: int, key: tuple[str, str], message: Message) -> bool:
        """Deliver to one member of a group at this door, as another door decided; return whether it is journalled."""
        for group in self.tenant(tenant).trie.match(message.topic).groups:
            if group.key == key:
                return self._deliver(*group.choose(), message, "/".join(group.key))
        return False

    def _deliver(
        self,
        session: Session,
        subscription: Subscription,
        message: Message,
        group: str = "",
        merged: list[Subscription] | None = None,
    ) -> bool:
        qos = min(message.qos, subscription.qos)
        retain = message.retain and subscription.retain_as_published
        link = session.link
        if link is None and not session.durable:
            return False
        identifiers = tuple(
            item.identifier for item in ((subscription,) if merged is None else merged) if item.identifier
        )
        if not (qos or identifiers or subscription.own or message.expires) and link is not None:
            packet = message.plain(link.version, retain)
            if session.idle and not link.congested and len(packet) <= link.maximum_packet and not link.aliases:
                link.send(packet)
                self.desk.counters.add("messages_sent")
                return False
        topic = self._outer(session, subscription.own, message.topic)
        return session.outbox.offer(Delivery(message, topic, qos, retain, identifiers, group), session.durable)


class _Countdown:
    """Calls back when called ``n`` times."""

    __slots__ = ("_done", "_left")

    def __init__(self, left: int, done: Callable[[], None]) -> None:
        self._left = left
        self._done = done

    def __call__(self) -> None:
        self._left -= 1
        if not self._left:
            self._done()


def _nothing() -> None:
    return None


def _merge(subscriptions: list[Subscription]) -> Subscription:
    """Return one subscription for several overlapping ones: the highest QoS, one delivery (§3.3.4)."""
    first = subscriptions[0]
    return Subscription(
        first.topic_filter,
        qos=max(item.qos for item in subscriptions),
        retain_as_published=any(item.retain_as_published for item in subscriptions),
        own=any(item.own for item in subscriptions),
    )


def bounded_expiry(requested: int, limits: Limits) -> int:
    """Return the session expiry granted for the one asked for, seconds."""
    return min(requested, limits.max_session_expiry) if requested != NEVER_EXPIRES else limits.max_session_expiry


__all__ = ["Broker", "Peers", "Tenant", "bounded_expiry", "inner_topic"]
