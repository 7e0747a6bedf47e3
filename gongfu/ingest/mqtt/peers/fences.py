"""Fences: what has been said to the other front doors has been taken, and what they said before is here."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from gongfu.ingest.mqtt.peers.wire import Echo, Fence

if TYPE_CHECKING:
    from gongfu.ingest.mqtt.peers.federation import Federation
    from gongfu.ingest.mqtt.peers.peer import Peer

FENCE_S = 2.0
# How long a fence that has to be passed by all waits for a front door that is down: it may keep messages.
ABSENT_S = 60.0

Callback = Callable[[], None]


@dataclass(slots=True, eq=False)
class _Fence:
    waiting: set["Peer"]
    since: float
    callbacks: list[Callback]
    absent: bool


@dataclass(slots=True, eq=False)
class _Announcements:
    """Those that wait until the filters told so far are known; all of a turn share a fence."""

    waiting: list[Callback] = field(default_factory=list)
    fence: _Fence | None = None


class Fences:
    """Fences of one front door."""

    def __init__(self, federation: "Federation") -> None:
        self._federation = federation
        # Numbers of an earlier process, which may still be on their way, must not come again.
        self._number = federation.broker.desk.clock.now_ns() // 1000
        self._fences: dict[int, _Fence] = {}
        self._announcements = _Announcements()

    def fence(self, callback: Callback) -> None:
        """Call back when every front door has taken all that was said to it and all it said before is here.

        One that is down is waited for, a minute at most: what it keeps for this one comes when it is back.
        """
        self._raise([callback], absent=True)

    def _raise(self, callbacks: list[Callback], absent: bool) -> _Fence | None:
        federation = self._federation
        now = federation.now
        peers = federation.peers.values()
        waiting = {peer for peer in peers if peer.up or (absent and now - peer.down_since < ABSENT_S)}
        if not waiting:
            for callback in callbacks:
                callback()
            return None
        self._number += 1
        fence = self._fences[self._number] = _Fence(waiting, now, callbacks, absent)
        item = Fence(self._number)
        for peer in waiting:
            if peer.up:
                peer.say(item)
        return fence

    def asked(self, peer: "Peer", item: Fence) -> None:
        """Answer after all messages that are on their way to the disk here."""
        self._federation.broker.desk.durability.then(partial(peer.say, Echo(item.number)))

    def echoed(self, peer: "Peer", item: Echo) -> None:
        """A front door has taken all."""
        self._without(peer, item.number)

    def _without(self, peer: "Peer", number: int) -> None:
        fence = self._fences.get(number)
        if fence is not None:
            fence.waiting.discard(peer)
            if not fence.waiting:
                self._passed(number)

    def _passed(self, number: int) -> None:
        fence = self._fences.pop(number)
        if fence is self._announcements.fence:
            self._announcements.fence = None
        for callback in fence.callbacks:
            callback()

    # --- announcements -------------------------------------------------------------------------------------------

    def announced(self, callback: Callback) -> None:
        """Call back when the others that are there know of all subscriptions made here so far."""
        if not self._federation.peers:
            callback()
            return
        self._announcements.waiting.append(callback)
        self._federation.wake()

    def announced_to_all(self, callback: Callback) -> None:
        """The same, and those that are down are waited for as ``fence`` does: they are told when they are back."""

        def told() -> None:
            if all(peer.up for peer in self._federation.peers.values()):
                callback()
            else:
                self.fence(callback)

        self.announced(told)

    def flush(self, told: bool) -> None:
        """At the end of a turn: ``told`` says that filters have been told in it."""
        waiting = self._announcements
        if not (waiting.waiting or told):
            return
        callbacks, waiting.waiting = waiting.waiting, []
        if told:
            waiting.fence = self._raise(callbacks, absent=False)
        elif waiting.fence is not None:
            waiting.fence.callbacks += callbacks
        else:
            for callback in callbacks:
                callback()

    # --- losses and time -----------------------------------------------------------------------------------------

    def established(self, peer: "Peer") -> None:
        """The link to a front door begins anew; what is told and kept has been said on it before."""
        for number, fence in self._fences.items():
            if peer in fence.waiting:
                peer.say(Fence(number))

    def lost(self, peer: "Peer", for_good: bool = False) -> None:
        """A front door is down."""
        for number, fence in list(self._fences.items()):
            if peer in fence.waiting and (for_good or not fence.absent):
                self._without(peer, number)

    def tick(self) -> None:
        """Give up waiting where it has been long enough."""
        for number, fence in list(self._fences.items()):
            if self._federation.now - fence.since > (ABSENT_S if fence.absent else FENCE_S):
                self._federation.counters.add("fences_timed_out")
                self._passed(number)
