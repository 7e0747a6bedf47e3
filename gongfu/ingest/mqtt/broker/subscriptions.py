"""Subscriptions of one tenant in a trie, with shared groups (MQTT 5.0 §4.7, §4.8.2)."""

from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class Subscriber(Protocol):
    """What the trie needs to know of a session."""

    @property
    def online(self) -> bool:
        """True while a client is connected."""
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
    """Members of one shared subscription; every message goes to exactly one of them, in turn."""

    __slots__ = ("key", "members", "turn")

    def __init__(self, key: tuple[str, str]) -> None:
        self.key = key
        self.members: dict[S, Subscription] = {}
        self.turn = 0

    def choose(self) -> tuple[S, Subscription]:
        """Return the next member; connected ones are preferred."""
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
    """All that matches one topic: subscriptions by session, and shared groups."""

    direct: dict[S, list[Subscription]] = field(default_factory=dict)
    groups: list[Group[S]] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """True when nobody subscribes."""
        return not self.direct and not self.groups


class _Node(Generic[S]):
    __slots__ = ("children", "groups", "subscriptions")

    def __init__(self) -> None:
        self.children: dict[str, _Node[S]] = {}
        self.subscriptions: dict[S, Subscription] = {}
        self.groups: dict[str, Group[S]] = {}

    @property
    def empty(self) -> bool:
        return not (self.children or self.subscriptions or self.groups)


class SubscriptionTrie(Generic[S]):
    """Filters to subscribers. ``version`` grows with every change, so that callers may cache."""

    def __init__(self) -> None:
        self.version = 0
        self._root: _Node[S] = _Node()
        self._cache: dict[str, Matched[S]] = {}

    def add(self, session: S, subscription: Subscription) -> None:
        """Add a subscription or replace the one of the same key."""
        node = self._root
        for level in subscription.topic_filter.split("/"):
            child = node.children.get(level)
            if child is None:
                child = node.children[level] = _Node()
            node = child
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
        path: list[tuple[_Node[S], str]] = []
        node = self._root
        for level in subscription.topic_filter.split("/"):
            child = node.children.get(level)
            if child is None:
                return
            path.append((node, level))
            node = child
        if subscription.share:
            group = node.groups.get(subscription.share)
            if group is not None:
                group.members.pop(session, None)
                if not group.members:
                    del node.groups[subscription.share]
        else:
            node.subscriptions.pop(session, None)
        for parent, level in reversed(path):
            if not parent.children[level].empty:
                break
            del parent.children[level]
        self._changed()

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
