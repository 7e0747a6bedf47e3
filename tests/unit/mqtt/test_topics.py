"""Topic filters: matching, what covers what, and the trie against the plain definition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.ingest.mqtt.broker.messages import Message
from gongfu.ingest.mqtt.broker.retained import RetainedMessages
from gongfu.ingest.mqtt.broker.subscriptions import Subscription, SubscriptionTrie
from gongfu.ingest.mqtt.codec.topics import covers, is_topic_filter, matches, split_share

levels = st.sampled_from(["", "a", "b", "$s", "泵 1", "c.d"])
topics = st.lists(levels, min_size=1, max_size=4).map("/".join).filter(bool)
filters = (
    st.tuples(st.lists(levels | st.just("+"), max_size=4), st.booleans())
    .map(lambda item: "/".join([*item[0], "#"] if item[1] else item[0]))
    .filter(bool)
)


class Listener:
    durable = False

    def __init__(self, name: int) -> None:
        self.name = name
        self.online = True


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/", True),
        ("a/+", "a", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "a/b", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("+/+", "/b", True),
        ("/+", "/b", True),
        ("+", "/b", False),
        ("a//b", "a//b", True),
        ("a/+/b", "a//b", True),
    ],
)
def test_matches(topic_filter: str, topic: str, expected: bool) -> None:
    assert matches(topic_filter, topic) is expected


@pytest.mark.parametrize("topic_filter", ["", "a#", "#/a", "a/#/b", "a+", "+a/b", "a/b+"])
def test_bad_filters(topic_filter: str) -> None:
    assert not is_topic_filter(topic_filter)


@pytest.mark.parametrize("text", ["$share/", "$share/g", "$share//a", "$share/g/", "$share/+/a", "$share/g#/a"])
def test_bad_shares(text: str) -> None:
    with pytest.raises(ValueError, match="shared"):
        split_share(text)


def test_share() -> None:
    assert split_share("$share/g/a/#") == ("g", "a/#")
    assert split_share("$shared/g") == ("", "$shared/g")


@given(filters, filters, st.lists(topics, max_size=20))
def test_covers_means_that_every_match_of_the_inner_is_one_of_the_outer(
    outer: str, inner: str, names: list[str]
) -> None:
    if covers(outer, inner):
        assert all(matches(outer, name) for name in names if matches(inner, name))


@pytest.mark.parametrize(
    ("allowed", "wanted", "expected"),
    [
        ("#", "a/+/b", True),
        ("#", "$SYS/#", False),
        ("a/#", "a", True),
        ("a/#", "a/#", True),
        ("a/#", "+/b", False),
        ("a/+", "a/#", False),
        ("a/+", "a/+", True),
        ("a/+", "a/b", True),
        ("a/b", "a/+", False),
        ("v1/devices/me/#", "v1/devices/+/telemetry", False),
    ],
)
def test_covers(allowed: str, wanted: str, expected: bool) -> None:
    assert covers(allowed, wanted) is expected


@given(
    st.lists(st.tuples(filters, st.booleans(), st.integers(0, 2)), max_size=12), st.lists(topics, max_size=8), st.data()
)
def test_trie_finds_what_the_definition_says(
    items: list[tuple[str, bool, int]], names: list[str], data: st.DataObject
) -> None:
    trie: SubscriptionTrie[Listener] = SubscriptionTrie()
    listeners = [Listener(n) for n in range(3)]
    held: dict[tuple[int, str, str], Subscription] = {}
    for topic_filter, shared, owner in items:
        subscription = Subscription(topic_filter, "g" if shared else "")
        trie.add(listeners[owner], subscription)
        held[owner, *subscription.key] = subscription
    for key in data.draw(st.lists(st.sampled_from(sorted(held)), unique=True) if held else st.just([])):
        trie.remove(listeners[key[0]], held.pop(key))
    for name in names:
        matched = trie.match(name)
        direct = {(s.name, "", x.topic_filter) for s, found in matched.direct.items() for x in found}
        groups = {(s.name, *g.key) for g in matched.groups for s in g.members}
        assert direct | groups == {key for key in held if matches(key[2], name)}
    for key in list(held):
        trie.remove(listeners[key[0]], held.pop(key))
    assert all(trie.match(name).empty for name in names)


def test_shared_group_takes_turns_among_the_connected() -> None:
    trie: SubscriptionTrie[Listener] = SubscriptionTrie()
    listeners = [Listener(n) for n in range(3)]
    for listener in listeners:
        trie.add(listener, Subscription("a", "g"))
    [group] = trie.match("a").groups
    assert {group.choose_here()[0].name for _ in range(3)} == {0, 1, 2}
    listeners[1].online = False
    assert {group.choose_here()[0].name for _ in range(4)} == {0, 2}
    trie.remove(listeners[0], Subscription("a", "g"))
    assert {group.choose_here()[0].name for _ in range(4)} == {2}


@given(st.lists(st.tuples(topics, st.booleans()), max_size=20), filters)
def test_retained_matches_like_the_definition(changes: list[tuple[str, bool]], topic_filter: str) -> None:
    kept = RetainedMessages(1000, 1_000_000)
    expected: dict[str, bytes] = {}
    for index, (topic, put) in enumerate(changes):
        if put:
            kept.put(Message(topic, b"%d" % index, retain=True))
            expected[topic] = b"%d" % index
        else:
            assert kept.remove(topic) is (expected.pop(topic, None) is not None)
    assert {m.topic: m.payload for m in kept.match(topic_filter)} == {
        topic: payload for topic, payload in expected.items() if matches(topic_filter, topic)
    }
    assert kept.count == len(expected)
    for topic in expected:
        kept.remove(topic)
    assert kept.bytes == 0
