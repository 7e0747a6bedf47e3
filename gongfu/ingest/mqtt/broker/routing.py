"""Routing inside a tenant: subscriptions, shared groups, retained messages."""

from collections.abc import Callable, Iterable

from gongfu.ingest.mqtt.access import OWN_PREFIX
from gongfu.ingest.mqtt.broker.limits import Limits
from gongfu.ingest.mqtt.broker.messages import Delivery, Message
from gongfu.ingest.mqtt.broker.outbox import Desk
from gongfu.ingest.mqtt.broker.retained import RetainedMessages
from gongfu.ingest.mqtt.broker.sessions import Session
from gongfu.ingest.mqtt.broker.subscriptions import Matched, Subscription, SubscriptionTrie


class Tenant:
    """Topics of one tenant."""

    __slots__ = ("identifier", "retained", "trie")

    def __init__(self, identifier: int, limits: Limits) -> None:
        self.identifier = identifier
        self.trie: SubscriptionTrie[Session] = SubscriptionTrie()
        self.retained = RetainedMessages(limits.max_retained, limits.max_retained_bytes)


class Router:
    """Delivers messages to the sessions that subscribe to them; tenants are closed to each other."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._tenants: dict[int, Tenant] = {}

    def tenant(self, identifier: int) -> Tenant:
        """Return a tenant's topics."""
        tenant = self._tenants.get(identifier)
        if tenant is None:
            tenant = self._tenants[identifier] = Tenant(identifier, self.desk.limits)
        return tenant

    @property
    def tenants(self) -> Iterable[Tenant]:
        """Every tenant that has been seen."""
        return self._tenants.values()

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
        if done is not None:
            if durable:
                self.desk.durability.then(done)
            else:
                done()

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
        return self._route_direct(matched, message, publisher) | self._route_groups(matched, message)

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

    def _route_groups(self, matched: Matched[Session], message: Message) -> bool:
        durable = False
        for group in matched.groups:
            durable |= self._deliver(*group.choose(), message, "/".join(group.key))
        return durable

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
        topic = self.outer(session, subscription.own, message.topic)
        return session.outbox.offer(Delivery(message, topic, qos, retain, identifiers, group), session.durable)

    def give_to_group(self, tenant: int, delivery: Delivery) -> None:
        """A member left before its message was sent: another member gets it (§4.8.2)."""
        for group in self.tenant(tenant).trie.match(delivery.message.topic).groups:
            if "/".join(group.key) == delivery.group:
                self._deliver(*group.choose(), delivery.message, delivery.group)
                return
        self.desk.counters.add("messages_dropped.session_ended")

    @staticmethod
    def outer(session: Session, own: bool, topic: str) -> str:
        """Return a topic as a subscriber knows it: its own prefix is ``v1/devices/me/`` when it asked by that name."""
        if own and topic.startswith(session.prefix):
            return OWN_PREFIX + topic[len(session.prefix) :]
        return topic


def _merge(subscriptions: list[Subscription]) -> Subscription:
    """Return one subscription for several overlapping ones: the highest QoS, one delivery (§3.3.4)."""
    first = subscriptions[0]
    return Subscription(
        first.topic_filter,
        qos=max(item.qos for item in subscriptions),
        retain_as_published=any(item.retain_as_published for item in subscriptions),
        own=any(item.own for item in subscriptions),
    )
