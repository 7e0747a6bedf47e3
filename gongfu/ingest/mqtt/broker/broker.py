"""The broker: sessions by device and client id, their subscriptions, wills and expiry."""

import heapq
import logging
from collections.abc import Callable

from gongfu.ingest.mqtt.access import telemetry_form
from gongfu.ingest.mqtt.broker.durability import Durability, Key, SessionRecord, WillRecord
from gongfu.ingest.mqtt.broker.limits import Limits
from gongfu.ingest.mqtt.broker.messages import Delivery, Message
from gongfu.ingest.mqtt.broker.outbox import Desk, Link
from gongfu.ingest.mqtt.broker.routing import Router
from gongfu.ingest.mqtt.broker.session_table import SessionTable
from gongfu.ingest.mqtt.broker.sessions import NEVER_EXPIRES, Arriving, Received, Session
from gongfu.ingest.mqtt.broker.subscriptions import Subscription
from gongfu.ingest.mqtt.codec.reasons import Reason
from gongfu.ingest.types import Intake
from gongfu.kernel.counters import Counters
from gongfu.kernel.times import SECOND, Clock

# Ordinals left free for what the old front door of a session got after it had given the session.
ROOM = 1_000_000_000

log = logging.getLogger(__name__)


class Broker:
    """All state of one front door that is not a socket.

    Args:
        durability: the journal.
        counters: what is done and dropped.
        limits: bounds.
        clock: UTC time; expiry is measured with it so that it goes on over a restart.
        intake: takes the telemetry inside wills (Sparkplug NDEATH).

    Attributes:
        interest: called with (tenant, key) when sessions here begin or end to want a filter, or come and go; None while
            this is the only front door.
    """

    def __init__(
        self, durability: Durability, counters: Counters, limits: Limits, clock: Clock, intake: Intake
    ) -> None:
        self.desk = Desk(durability, counters, limits, clock)
        self.limits = limits
        self.sessions = SessionTable()
        self.wills: dict[Key, WillRecord] = {}
        self.stopping = False  # wills stay in the journal; they are due after the next start, as after a crash
        self.router = Router(self.desk)
        self.interest: Callable[[int, tuple[str, str]], None] | None = None
        self._due: list[tuple[int, Key]] = []
        self._intake = intake
        self._sweep_at = 0

    # --- restart -------------------------------------------------------------------------------------------------

    def restore_session(self, record: SessionRecord) -> Session:
        """Take a session of the journal as offline; return it."""
        session = self.add(record.key, record.tenant, record.prefix, record.expiry, record.identifier)
        session.ends = record.ends or self._end_of(session)
        session.epoch = record.epoch
        session.home = record.home
        if record.claim:
            session.arriving = Arriving(record.claim, record.claim_ordinal, -4 * ROOM)
            session.arriving.seen.update(delivery.message.uid for delivery in record.deliveries)
        self._schedule(session.ends, session.key)
        for subscription in record.subscriptions:
            session.subscribed(subscription)
            self.router.tenant(session.tenant).trie.add(session, subscription)
        if record.deliveries:
            session.outbox.restore(record.deliveries)
        for packet_id, time in record.received.items():
            received = Received(time)
            session.receiving(packet_id, received)
            received.submitted = received.finished = not time
        return session

    def restore_retained(self, tenant: int, message: Message) -> None:
        """Take a retained message of the journal."""
        self.router.tenant(tenant).retained.put(message)

    def restore_will(self, will: WillRecord) -> None:
        """Take a will of the journal; the crash was the loss of its client's connection."""
        if not will.due:
            session = self.sessions.get(will.key)
            delay = min(will.delay, session.expiry) if session else 0
            will.due = self.desk.clock.now_ns() + delay * SECOND
        self.wills[will.key] = will
        self._schedule(will.due, will.key)

    # --- sessions ------------------------------------------------------------------------------------------------

    def add(self, key: Key, tenant: int, prefix: str, expiry: int, identifier: int = 0) -> Session:
        """Make a session."""
        session = Session(self.desk, identifier, key, tenant, prefix, expiry)
        self.hold(session)
        return session

    def hold(self, session: Session) -> None:
        """Take a session among those of this front door."""
        self.sessions[session.key] = session

    def release(self, session: Session) -> bool:
        """Take a session away from those of this front door; its subscriptions stay. Return whether it was there."""
        key = session.key
        if self.sessions.get(key) is not session:
            return False
        del self.sessions[key]
        return True

    def touch(self, session: Session) -> None:
        """What other front doors know of the session's subscriptions may have changed."""
        if self.interest is not None:
            for key in session.subscriptions:
                self.interest(session.tenant, key)

    def admits(self, key: Key) -> bool:
        """Return whether the device may have this session beside its others."""
        return key in self.sessions or self.sessions.of_device(key[0]) < self.limits.max_sessions_per_device

    def open(
        self,
        key: Key,
        tenant: int,
        prefix: str,
        clean: bool,
        expiry: int,
        will: WillRecord | None,
        link: Link,
        epoch: int = 0,
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
        self.resolve_will(key, session is not None)
        present = session is not None
        if session is None:
            session = self.add(key, tenant, prefix, expiry)
        elif not session.durable and expiry and session.waiting:
            session.waiting.make_durable()
        was_durable = present and session.durable
        session.prefix = prefix
        session.expiry = expiry
        session.ends = 0
        session.epoch = epoch or session.epoch
        session.link = link
        session.will = will
        self.touch(session)
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
        held = session.arriving is not None and session.arriving.held
        if session.waiting is not None and session.link is not None and not held:
            session.waiting.attach(session.link)

    def change_expiry(self, session: Session, expiry: int) -> None:
        """Set the expiry given in DISCONNECT (§3.14.2.2.2)."""
        session.expiry = expiry
        self.touch(session)
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
        self.keep_offline(session)

    def keep_offline(self, session: Session) -> None:
        """A session without connection begins to wait for its client."""
        session.ends = self._end_of(session)
        self.touch(session)
        self.desk.durability.put_session(session.record())
        self._schedule(session.ends, session.key)

    def _end_of(self, session: Session) -> int:
        expiry = min(session.expiry, self.limits.max_session_expiry)
        return self.desk.clock.now_ns() + expiry * SECOND

    def end(self, session: Session) -> None:
        """End an offline session: its will goes out, its subscriptions and deliveries are gone."""
        if not self.release(session):
            return
        self.forget(session)
        if (will := self.wills.get(session.key)) is not None:
            self._publish_will(will)
        orphans = session.waiting.discard() if session.waiting is not None else []
        for delivery in orphans:
            self.router.give_to_group(session.tenant, delivery)

    def forget(self, session: Session) -> None:
        """Take a session's subscriptions away and delete it from the journal."""
        trie = self.router.tenant(session.tenant).trie
        for subscription in session.subscriptions.values():
            trie.remove(session, subscription)
        self.touch(session)
        if session.durable:
            self.desk.durability.drop_session(session.identifier)

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
            for tenant in self.router.tenants:
                for topic in tenant.retained.expired(now):
                    tenant.retained.remove(topic)
                    self.desk.durability.drop_retained(tenant.identifier, topic)

    # --- wills ---------------------------------------------------------------------------------------------------

    def resolve_will(self, key: Key, resumed: bool) -> None:
        """A client is back: a resumed session cancels a delayed will; any other goes out now (§3.1.3.2.2)."""
        pending = self.wills.get(key)
        if pending is not None:
            if resumed and pending.delay:
                self._drop_will(key)
            else:
                self._publish_will(pending)

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
        self.router.publish(will.writer.tenant, will.message, self.sessions.get(will.key))

    # --- subscriptions -------------------------------------------------------------------------------------------

    def subscribe(self, session: Session, subscription: Subscription) -> bool:
        """Add or replace a subscription; return whether there was one."""
        tenant = self.router.tenant(session.tenant)
        known = subscription.key in session.subscriptions
        session.subscribed(subscription)
        tenant.trie.add(session, subscription)
        if self.interest is not None:
            self.interest(session.tenant, subscription.key)
        if session.durable:
            self.desk.durability.put_subscription(session.identifier, subscription)
        return known

    def retained_for(self, session: Session, subscription: Subscription, known: bool) -> list[Delivery]:
        """Return the retained messages of a subscription that has just been made, or was ``known`` before."""
        handling = subscription.retain_handling
        if subscription.share or handling == 2 or (handling == 1 and known):
            return []
        tenant = self.router.tenant(session.tenant)
        now = self.desk.clock.now_ns()
        identifiers = (subscription.identifier,) if subscription.identifier else ()
        return [
            Delivery(
                message,
                self.router.outer(session, subscription.own, message.topic),
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
        self.router.tenant(session.tenant).trie.remove(session, subscription)
        if self.interest is not None:
            self.interest(session.tenant, key)
        if session.durable:
            self.desk.durability.drop_subscription(session.identifier, subscription)
        return True


def bounded_expiry(requested: int, limits: Limits) -> int:
    """Return the session expiry granted for the one asked for, seconds."""
    return min(requested, limits.max_session_expiry) if requested != NEVER_EXPIRES else limits.max_session_expiry
