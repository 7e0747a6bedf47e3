"""One end of a link, driven frame by frame."""

from itertools import count

from gongfu.kernel.counters import Counters
from gongfu.tree.link.effects import (
    Effect,
    Send,
)
from gongfu.tree.link.frames import VERSION, Frame, Hello, connection_tag
from gongfu.tree.link.limits import Limits
from gongfu.tree.link.position import NOWHERE, Durable, Position
from gongfu.tree.link.session import Session

MS = 1_000_000
PEER_TAG = 999
# The first tag of the session under test is 1.
TAG = connection_tag(1, PEER_TAG)


def sent(effects: list[Effect], kind: type[Frame] | None = None) -> list[Frame]:
    frames = [e.frame for e in effects if isinstance(e, Send)]
    return [f for f in frames if kind is None or isinstance(f, kind)]


def session(durable: Durable | None = None, limits: Limits | None = None) -> tuple[Session, Counters]:
    counters, tags = Counters(), count(1)
    new = Session("a", "b", durable or Durable(), lambda: next(tags), limits=limits or Limits(), counters=counters)
    return new, counters


def met(
    durable: Durable | None = None, have: Position = NOWHERE, limits: Limits | None = None, t: int = 0
) -> tuple[Session, list[Effect], Counters]:
    """Return a session that knows its peer, and what it did when it met it. The round trip is 10 ms."""
    new, counters = session(durable, limits)
    (hello,) = sent(new.connected(t))
    assert isinstance(hello, Hello)
    effects = new.received(t + 10 * MS, Hello(VERSION, "b", PEER_TAG, hello.tag, True, 1, 0, have))
    assert new.up
    return new, effects, counters


def store(link: Session, t: int, *bodies: bytes) -> list[Effect]:
    return link.queued(t, link.outgoing.epoch, link.outgoing.last + 1, bodies)
