"""What sessions cost: CPU a message through both ends with the codec, and memory of sessions at rest."""

import secrets
import time
import tracemalloc

from gongfu.kernel.counters import Counters
from gongfu.tree.link.effects import Deliver, Effect, Send
from gongfu.tree.link.frames import decode, encode
from gongfu.tree.link.position import Durable
from gongfu.tree.link.session import Session
from simulator.simulation import MILLISECOND


def _session(node: str, peer: str, counters: Counters) -> Session:
    return Session(node, peer, Durable(), lambda: secrets.randbits(61) + 1, counters=counters)


def _exchange(t: int, ends: tuple[Session, Session], effects: tuple[list[Effect], list[Effect]]) -> None:
    """Carry frames and commits to and fro until both are quiet."""
    todo = [(0, effect) for effect in effects[0]] + [(1, effect) for effect in effects[1]]
    while todo:
        following: list[tuple[int, Effect]] = []
        for side, effect in todo:
            if isinstance(effect, Send):
                other = 1 - side
                following += [(other, e) for e in ends[other].received(t, decode(encode(effect.frame)))]
            elif isinstance(effect, Deliver):
                following += [(side, e) for e in ends[side].committed(effect.position)]
        todo = following


def message_cost(messages: int, size: int, together: int) -> float:
    """Return CPU microseconds a message: queue, encode, decode, deliver, commit, acknowledge, forget; both ends.

    Args:
        messages: to send in all.
        size: of a body, bytes.
        together: messages that are stored in one transaction.
    """
    counters = Counters()
    ends = (_session("a", "b", counters), _session("b", "a", counters))
    _exchange(0, ends, (ends[0].connected(0), ends[1].connected(0, active=False)))
    bodies, number, t = [b"x" * size] * together, 1, 0
    began = time.process_time()
    while number <= messages:
        t += MILLISECOND
        _exchange(t, ends, (ends[0].queued(t, 1, number, bodies), []))
        number += together
    spent = time.process_time() - began
    if not ends[0].idle or ends[1].incoming.received.number != number - 1:
        raise AssertionError("messages are missing")
    return spent / (number - 1) * 1e6


def session_memory(sessions: int) -> int:
    """Return bytes of Python memory a session that is connected, at one of few parents, and at rest."""
    counters = Counters()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept: list[Session] = []
    for i in range(sessions):
        name = f"node-{i:020}"
        child, parent = _session(name, "parent", counters), _session("parent", name, counters)
        _exchange(0, (child, parent), (child.connected(0), parent.connected(0, active=False)))
        _exchange(1, (child, parent), (child.queued(1, 1, 1, [b"report"]), parent.queued(1, 1, 1, [b"order"])))
        kept.append(parent)
        del child
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    if not all(session.up and session.idle for session in kept):
        raise AssertionError("a session is not connected")
    return used // sessions
