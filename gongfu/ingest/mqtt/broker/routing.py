"""Routing inside a tenant: subscriptions, shared groups, retained messages."""

from collections.abc import Callable, Iterable, Sequence

from gongfu.ingest.mqtt.access import OWN_PREFIX
from gongfu.ingest.mqtt.broker.limits import Limits
from gongfu.ingest.mqtt.broker.messages import Delivery, Message
from gongfu.ingest.mqtt.broker.neighbour import GroupKey, Neighbour
from gongfu.ingest.mqtt.broker.outbox import Desk
from gongfu.ingest.mqtt.broker.retained import RetainedMessages
from gongfu.ingest.mqtt.broker.sessions import Session
from gongfu.ingest.mqtt.broker.subscriptions import Group, Matched, Subscription, SubscriptionTrie
from gongfu.ingest.thingsboard.topics import GATEWAY_PREFIX, gateway_prefix


class Tenant:
    """Topics of one tenant."""

    __slots__ = ("identifier", "retained", "trie")

    def __init__(self, identifier: int, limits: Limits) -> None:
        self.identifier = identifier
        self.trie: SubscriptionTrie[Session] = SubscriptionTrie()
        self.retained = RetainedMessages(limits.max_retained, limits.max_retained_bytes)


class Router:
    """Delivers messages to the sessions that subscribe to them; tenants are closed to each other.

    Attributes:
        several: there are other front doors, so messages of QoS 1 and 2 need a uid.
        keep: called with (tenant, message) to retain it at every front door; None while this is the only one.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.several = False
        self.keep: Callable[[int, Message], None] | None = None
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
        """Return whether there is no room to keep the message: as a retained one, or for another front door."""
        if message.retain and message.payload and not self.tenant(tenant).retained.fits(message):
            return True
        if not message.qos or not self.several:
            return False
        matched = self.tenant(tenant).trie.match(message.topic)
        return any(kept and (door.full or message.size > door.largest) for door, kept in matched.doors.items())

    def publish(
        self, tenant: int, message: Message, publisher: Session | None, done: Callable[[], None] | None = None
    ) -> None:
        """Route a message and retain it if it says so; ``done`` once all who must have it have it durably.

        What another front door's sessions must not lose is durable when it is in the journal here.
        """
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
        if self.keep is not None:
            self.keep(tenant, message)
        else:
            self.retain_here(tenant, message)

    def retain_here(self, tenant: int, message: Message, version: int = 0) -> None:
        """The same at this front door only; ``version`` orders what different front doors say of a topic."""
        retained = self.tenant(tenant).retained
        if not message.payload:
            retained.remove(message.topic)
            self.desk.durability.drop_retained(tenant, message.topic, version)
        elif retained.fits(message):
            retained.put(message)
            self.desk.durability.put_retained(tenant, message, version)
        else:
            self.desk.counters.add("messages_dropped.retained_full")

    def route(self, tenant: int, message: Message, publisher: Session | None) -> bool:
        """Deliver to the subscribers here and at other front doors; return whether anything went into the journal."""
        if self.several and message.qos and not message.uid:
            message.uid = self.desk.durability.new_identifier()
        matched = self.tenant(tenant).trie.match(message.topic)
        durable = self._route_direct(matched, message, publisher)
        if matched.groups or matched.doors:
            durable |= self._route_away(tenant, matched, message)
        return durable

    def take(
        self, tenant: int, message: Message, direct: bool, groups: Sequence[GroupKey], home: int | None = None
    ) -> None:
        """Deliver what another front door has routed here, only to sessions of one ``home`` if that is given."""
        matched = self.tenant(tenant).trie.match(message.topic)
        if direct and home is not None:
            of_home = {session: items for session, items in matched.direct.items() if session.home == home}
            self._route_direct(Matched(of_home), message, None)
        elif direct:
            self._route_direct(matched, message, None)
        for key in groups:
            group = next((group for group in matched.groups if group.key == key), None)
            if group is not None:
                self._give(tenant, group, message, prefer_here=True)
            else:
                self.desk.counters.add("messages_dropped.session_ended")

    def _route_direct(self, matched: Matched[Session], message: Message, publisher: Session | None) -> bool:
        durable = False
        for session, subscriptions in matched.direct.items():
            if session is publisher and any(item.no_local for item in subscriptions):
                subscriptions = [item for item in subscriptions if not item.no_local]
                if not subscriptions:
                    if session.arriving is not None:
                        session.arriving.seen.add(message.uid)
                    continue
            if len(subscriptions) == 1:
                durable |= self._deliver(session, subscriptions[0], message)
            else:
                durable |= self._deliver(session, _merge(subscriptions), message, "", subscriptions)
        return durable

    def _route_away(self, tenant: int, matched: Matched[Session], message: Message) -> bool:
        """Deliver through shared groups and to other front doors, to each of them once."""
        durable = False
        chosen: dict[Neighbour, list[GroupKey]] = {}
        for group in matched.groups:
            member = group.choose()
            if isinstance(member, tuple):
                durable |= self._deliver(*member, message, "/".join(group.key))
            else:
                chosen.setdefault(member, []).append(group.key)
        for door, kept in matched.doors.items():
            groups = chosen.pop(door, ())
            durable |= door.send(tenant, message, True, groups, message.qos > 0 and (kept or bool(groups)))
        for door, groups in chosen.items():
            durable |= door.send(tenant, message, False, groups, message.qos > 0)
        return durable

    def _give(self, tenant: int, group: Group[Session], message: Message, prefer_here: bool = False) -> None:
        member = group.choose_here() if prefer_here and group.members else group.choose()
        if isinstance(member, tuple):
            self._deliver(*member, message, "/".join(group.key))
        else:
            member.send(tenant, message, False, (group.key,), message.qos > 0)

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
        if session.arriving is not None and message.qos:
            # Until its old front door has given all it had, the same message may come from both.
            if message.uid in session.arriving.seen:
                return False
            session.arriving.seen.add(message.uid)
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
                self._give(tenant, group, delivery.message)
                return
        self.desk.counters.add("messages_dropped.session_ended")

    @staticmethod
    def outer(session: Session, own: bool, topic: str) -> str:
        """Return a topic as a subscriber knows it: its own prefix is ``v1/devices/me/`` when it asked by that name."""
        if own:
            if topic.startswith(session.prefix):
                return OWN_PREFIX + topic[len(session.prefix) :]
            gateway = gateway_prefix(session.prefix)
            if topic.startswith(gateway):
                return GATEWAY_PREFIX + topic[len(gateway) :]
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
