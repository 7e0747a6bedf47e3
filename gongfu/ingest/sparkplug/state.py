"""STATE messages of a Sparkplug host application: what edge nodes wait for before they are born.

Sparkplug 3.0.0 §6.4.7 (``spBv1.0/STATE/<host id>``, JSON with ``online`` and ``timestamp``); Sparkplug 2.2 §10
(``STATE/<host id>``, text ``ONLINE`` or ``OFFLINE``). Both are retained, with QoS 1.
"""

from typing import NamedTuple

import msgspec

from gongfu.kernel.times import MILLISECOND

QOS = 1


class StateMessage(NamedTuple):
    """One retained message."""

    topic: str
    payload: bytes


class _State(msgspec.Struct, frozen=True):
    online: bool
    timestamp: int


def topic_of(host: str) -> str:
    """Return the topic of a host's state, version 3."""
    return f"spBv1.0/STATE/{host}"


def topic_of_2(host: str) -> str:
    """Return the topic of a host's state, version 2."""
    return f"STATE/{host}"


def state_messages(host: str, online: bool, now: int, *, version_2: bool = False) -> list[StateMessage]:
    """Return what a host publishes when it comes or goes.

    Args:
        host: host id, one topic level.
        online: it takes data.
        now: UTC ns of the birth, or of the death that belongs to it.
        version_2: in the format of version 2.2 as well.
    """
    payload = msgspec.json.encode(_State(online, now // MILLISECOND))
    messages = [StateMessage(topic_of(host), payload)]
    if version_2:
        messages.append(StateMessage(topic_of_2(host), b"ONLINE" if online else b"OFFLINE"))
    return messages


def read_state(topic: str, payload: bytes) -> tuple[str, bool, int] | None:
    """Return (host id, online, timestamp in ms) of a STATE message of either version; None when it is none.

    Messages of version 2 have no timestamp: 0.
    """
    levels = topic.split("/")
    if len(levels) == 3 and levels[:2] == ["spBv1.0", "STATE"]:
        try:
            state = msgspec.json.decode(payload, type=_State)
        except msgspec.MsgspecError:
            return None
        return levels[2], state.online, state.timestamp
    if len(levels) == 2 and levels[0] == "STATE" and payload in (b"ONLINE", b"OFFLINE"):
        return levels[1], payload == b"ONLINE", 0
    return None
