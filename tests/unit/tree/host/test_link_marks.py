"""When the oldest message of an outbox was stored."""

import random
from collections import deque

from gongfu.tree.host.link_end import Link
from gongfu.tree.host.link_records import LinkRow
from gongfu.tree.host.links import draw_tag
from gongfu.tree.link.session import Session


def test_the_oldest_is_never_younger_than_it_is() -> None:
    rng = random.Random(2)
    row = LinkRow(1, "peer", False)
    link = Link(row, Session("me", "peer", row.durable(), draw_tag))
    stored: deque[tuple[int, int]] = deque()
    last = acknowledged = 0
    for at in range(1, 5_000):
        last += rng.randrange(1, 5)
        stored.append((last, at))
        link.stored(last, at)
        if rng.random() < 0.2:
            acknowledged = rng.randrange(acknowledged, min(last, acknowledged + 10) + 1)
            link.forget(acknowledged)
        while stored and stored[0][0] <= acknowledged:
            stored.popleft()
        if stored:
            assert link.marks[0][1] <= stored[0][1]
        assert len(link.marks) <= 256
    link.forget(last)
    assert not link.marks
