"""Subscriptions of one tenant in a trie, with shared groups (MQTT 5.0 §4.7, §4.8.2)."""

from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from gongfu.ingest.mqtt.broker.neighbour import GroupKey, Neighbour


class Subscriber(Protocol):
    """What the trie needs to know of a session."""

    @property
    def online(self) -> bool:
        """True while a client is connected."""
        ...

    @property
    def durable(self) -> bool:
        """True when the session outlives its connection."""
        ...


S = TypeVar("S", bound=Subscriber)

CACHE_TOPICS = 4096


@dataclass(slots=True)
class Subscription:
    """One subscription of one session.

    Attributes:
        topic_filter: inner filter, without ``$share``.
        share: name of the shared group, or empty.
        own: written with ``v1/devices/me/``; topics are rewritten back on delivery.
        identifier: subscription identifier, or 0.
    """

    topic_filter: str
    share: str = ""
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0
    identifier: int = 0
    own: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Identity within a session: share name and filter."""
        return self.share, self.topic_filter


class Group(Generic[S]):
    """Members of one shared subscription; every message goes to exactly one of them, in turn.

    Attributes:
        members: those at this front door.
        doors: other front doors with members: how many are connected there, and how many are kept without connection.
    """

    __slots__ = ("_served", "doors", "key", "members", "turn")

    def __init__(self, key: GroupKey) -> None:
        self.key = key
        self.members: dict[S, Subscription] = {}
        self.doors: dict[Neighbour, tuple[int, int]] | None = None
        self.turn = 0
        self._served: dict[Neighbour | None, int] = {}

    def set_door(self, door: Neighbour, online: int, kept: int) -> None:
        """Set how many members another front door has."""
        doors = dict(self.doors or {})
        if online or kept:
            doors[door] = (online, kept)
        else:
            doors.pop(door, None)
        self.doors = doors or None
        self._served.clear()

    def choose(self) -> tuple[S, Subscription] | Neighbour:
        """Return the next member, or the front door that has to choose one; connected members are preferred.

        Front doors get messages in proportion to their members.
        """
        if self.doors is None:
            return self.choose_here()
        online = sum(member.online for member in self.members)
        shares: list[tuple[Neighbour | None, int]] = [(None, online)]
        shares += [(door, count[0]) for door, count in self.doors.items()]
        if not any(weight for _, weight in shares):
            shares = [(None, len(self.members)), *((door, count[1]) for door, count in self.doors.items())]
        served = self._served
        _, place = min(
            ((served.get(door, 0) + 1) / weight, index) for index, (door, weight) in enumerate(shares) if weight
        )
        chosen = shares[place][0]
        served[chosen] = served.get(chosen, 0) + 1
        return self.choose_here() if chosen is None else chosen

    def choose_here(self) -> tuple[S, Subscription]:
        """Return the next member of this front door; there must be one."""
        members = list(self.members.items())
        size = len(members)
        for step in range(size):
            candidate = members[(self.turn + step) % size]
            if candidate[0].online:
                self.turn = (self.turn + step + 1) % size
                return candidate
        self.turn = (self.turn + 1) % size
        return members[self.turn]


@dataclass(slots=True)
class Matched(Generic[S]):
    """All that matches one topic: subscriptions by session, shared groups, and other front doors with subscribers.

    ``doors`` tells for each whether a subscriber there outlives its connection.
    """

    direct: dict[S, list[Subscription]] = field(default_factory=dict)
    groups: list[Group[S]] = field(default_factory=list)
    doors: dict[Neighbour, bool] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """True when nobody subscribes."""
        return not self.direct and not self.groups and not self.doors


class _Node(Generic[S]):
    __slots__ = ("children", "doors", "groups", "subscriptions")

    def __init__(self) -> None:
        self.children: dict[str, _Node[S]] = {}
        self.subscriptions: dict[S, Subscription] = {}
        self.groups: dict[str, Group[S]] = {}
        self.doors: dict[Neighbour, bool] | None = None

    @property
    def empty(self) -> bool:
        return not (self.children or self.subscriptions or self.groups or self.doors)


class SubscriptionTrie(Generic[S]):
    """Filters to subscribers. ``version`` grows with every change, so that callers may cache."""

    def __init__(self) -> None:
        self.version = 0
        self._root: _Node[S] = _Node()
        self._cache: dict[str, Matched[S]] = {}

    def add(self, session: S, subscription: Subscription) -> None:
        """Add a subscription or replace the one of the same key."""
        node = self._made(subscription.topic_filter)
        if subscription.share:
            group = node.groups.get(subscription.share)
            if group is None:
                group = node.groups[subscription.share] = Group(subscription.key)
            group.members[session] = subscription
        else:
            node.subscriptions[session] = subscription
        self._changed()

    def remove(self, session: S, subscription: Subscription) -> None:
        """Remove a subscription; nothing happens when it is not there."""
        path = self._path(subscription.topic_filter)
        if path is None:
            return
        node = path[-1]
        if subscription.share:
            group = node.groups.get(subscription.share)
            if group is not None:
                group.members.pop(session, None)
                if not group.members and not group.doors:
                    del node.groups[subscription.share]
        else:
            node.subscriptions.pop(session, None)
        self._prune(path, subscription.topic_filter)
        self._changed()

    def set_door(self, key: GroupKey, door: Neighbour, online: int, kept: int) -> None:
        """Set what another front door has under (share name or empty, filter); both 0 removes it.

        Outside groups ``online`` is 1 when there is any subscriber and ``kept`` 1 when one outlives its connection.
        """
        share, topic_filter = key
        if online or kept:
            node = self._made(topic_filter)
            if share:
                group = node.groups.get(share)
                if group is None:
                    group = node.groups[share] = Group(key)
                group.set_door(door, online, kept)
            else:
                node.doors = {**(node.doors or {}), door: bool(kept)}
        else:
            path = self._path(topic_filter)
            if path is None:
                return
            node = path[-1]
            if share:
                group = node.groups.get(share)
                if group is not None:
                    group.set_door(door, 0, 0)
                    if not group.members and not group.doors:
                        del node.groups[share]
            elif node.doors is not None:
                node.doors.pop(door, None)
                node.doors = node.doors or None
            self._prune(path, topic_filter)
        self._changed()

    def here(self, key: GroupKey) -> tuple[int, int]:
        """Return what this front door has under a key, counted as in ``set_door``."""
        share, topic_filter = key
        path = self._path(topic_filter)
        if path is None:
            return 0, 0
        if share:
            group = path[-1].groups.get(share)
            members = group.members if group is not None else {}
            online = sum(member.online for member in members)
            return online, sum(member.durable and not member.online for member in members)
        sessions = path[-1].subscriptions
        return int(bool(sessions)), int(any(session.durable for session in sessions))

    def _made(self, topic_filter: str) -> _Node[S]:
        node = self._root
        for level in topic_filter.split("/"):
            child = node.children.get(level)
            if child is None:
                child = node.children[level] = _Node()
            node = child
        return node

    def _path(self, topic_filter: str) -> list[_Node[S]] | None:
        """Return the nodes from the root to a filter, or None."""
        path = [self._root]
        for level in topic_filter.split("/"):
            child = path[-1].children.get(level)
            if child is None:
                return None
            path.append(child)
        return path

    def _prune(self, path: list[_Node[S]], topic_filter: str) -> None:
        levels = topic_filter.split("/")
        for index in range(len(levels) - 1, -1, -1):
            if not path[index + 1].empty:
                return
            del path[index].children[levels[index]]

    def _changed(self) -> None:
        self.version += 1
        self._cache.clear()

    def match(self, topic: str) -> Matched[S]:
        """Return all that matches a topic name; the result must not be changed."""
        matched = self._cache.get(topic)
        if matched is None:
            matched = Matched()
            nodes = [self._root]
            levels = topic.split("/")
            hidden = topic.startswith("$")
            for index, level in enumerate(levels):
                following: list[_Node[S]] = []
                for node in nodes:
                    children = node.children
                    if not children:
                        continue
                    if not (hidden and index == 0):
                        if (child := children.get("#")) is not None:
                            _collect(child, matched)
                        if (child := children.get("+")) is not None:
                            following.append(child)
                    if (child := children.get(level)) is not None:
                        following.append(child)
                nodes = following
                if not nodes:
                    break
            for node in nodes:
                _collect(node, matched)
                if (child := node.children.get("#")) is not None:
                    _collect(child, matched)
            if len(self._cache) >= CACHE_TOPICS:
                self._cache.clear()
            self._cache[topic] = matched
        return matched


def _collect(node: _Node[S], matched: Matched[S]) -> None:
    for session, subscription in node.subscriptions.items():
        matched.direct.setdefault(session, []).append(subscription)
    matched.groups.extend(node.groups.values())
    if node.doors is not None:
        for door, kept in node.doors.items():
            matched.doors[door] = kept or matched.doors.get(door, False)
