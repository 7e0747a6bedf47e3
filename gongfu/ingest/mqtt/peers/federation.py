"""Several front doors as one broker: who is there, what they say to each other. Pure: bytes and time are passed in.

``post`` sends bytes to a front door by name, ``wake`` asks for a call of ``flush`` at the end of this turn.
"""

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import msgspec

from gongfu.ingest.mqtt.broker.broker import Broker
from gongfu.ingest.mqtt.broker.messages import Message
from gongfu.ingest.mqtt.journal.loading import Kept
from gongfu.ingest.mqtt.peers.fences import Fences
from gongfu.ingest.mqtt.peers.handover import HandOver
from gongfu.ingest.mqtt.peers.interest import OwnInterest
from gongfu.ingest.mqtt.peers.peer import Peer
from gongfu.ingest.mqtt.peers.retained import RetainedVersions
from gongfu.ingest.mqtt.peers.wire import (
    Answer,
    Ask,
    Digest,
    Discard,
    Echo,
    Fence,
    Forward,
    Ghost,
    Given,
    Interest,
    Keep,
    Names,
    Part,
    Return,
    Settled,
    Tail,
    decode_envelope,
    encode_item,
)
from gongfu.kernel.counters import Counters

log = logging.getLogger(__name__)

SILENT_S = 10.0
HELLO_S = 1.0
FORGET_S = 60.0
INTEREST_ROWS = 1000
# Messages between front doors, when the bus does not tell its own bound.
LARGEST = 8 * 1024 * 1024

Callback = Callable[[], None]


class Federation:
    """This front door among the others.

    Args:
        name: name of this front door's role, unique among all.
        broker: sessions and subscriptions here.
        counters: what is done and dropped.
        post: sends bytes to a front door.
        wake: asks for ``flush`` at the end of this turn.
        former: names of front doors that are no longer started and whose journals are here.

    Attributes:
        now: seconds of a clock that does not jump; set before each call.
        largest: bytes of the largest message that can go to another front door.
    """

    def __init__(
        self,
        name: str,
        broker: Broker,
        counters: Counters,
        post: Callable[[str, bytes], None],
        wake: Callback,
        former: Iterable[str] = (),
        now: float = 0.0,
    ) -> None:
        self.name = name
        self.broker = broker
        self.counters = counters
        self.now = now
        self.wake = wake
        self.largest = LARGEST
        self.peers: dict[str, Peer] = {}
        self.fences = Fences(self)
        self.handover = HandOver(self, broker)
        self._post = post
        self._former = list(former)
        self._interest = OwnInterest(broker.router)
        self._retained = RetainedVersions(broker.router)
        self._seen: dict[tuple[str, str], int] = {}
        self._generation = 0
        self._hello_at = 0.0
        handover = self.handover
        self._handlers: dict[type[Any], Callable[[Peer, Any], None]] = {
            Forward: lambda _, item: self._take_forward(item),
            Interest: lambda peer, item: peer.wants(item),
            Keep: lambda _, item: self._retained.take(item),
            Digest: self._compare,
            Ask: handover.asked,
            Answer: handover.joins.answered,
            Part: handover.joins.part,
            Given: handover.joins.given,
            Fence: self.fences.asked,
            Echo: self.fences.echoed,
            Settled: handover.leavings.settled,
            Tail: handover.arrivals.tail,
            Ghost: handover.leavings.ghost,
            Discard: handover.leavings.discard,
            Return: handover.leavings.returned,
            Names: self._renamed,
        }
        broker.router.keep = self._keep

    @property
    def active(self) -> bool:
        """True when there are other front doors, or have been."""
        return bool(self.peers)

    def restore(self, kept: Kept) -> None:
        """Take what the journal kept of the others; the broker's sessions are restored before."""
        self._retained.restore([(tenant, m.topic, version) for tenant, m, version in kept.retained], kept.cleared)
        for sender, target, ordinal in kept.seen:
            self._seen[sender, target] = ordinal
        for door, tenant, share, topic_filter, _, count in kept.interest:
            if self.is_here(door):
                self.broker.desk.durability.drop_interest(door, tenant, (share, topic_filter))
            else:
                self.peer(door).restore(tenant, (share, topic_filter), count)
        for door, ordinal, item in kept.forwards:
            if self.is_here(door):
                self._take_forward(msgspec.msgpack.decode(item, type=Forward))
                self.broker.desk.durability.drop_forward(door, ordinal)
            else:
                self.peer(door).keep((door, ordinal), item)
        self.handover.restore(self.now)

    def is_here(self, name: str) -> bool:
        """Return whether a front door is this one, or one whose journal has been taken over."""
        return name == self.name or name in self._former

    def peer(self, name: str) -> Peer:
        """Return a front door by name; the first one makes this broker one of several."""
        peer = self.peers.get(name)
        if peer is None:
            peer = self.peers[name] = Peer(self, name, self._new_generation())
            if len(self.peers) == 1:
                self._begin()
        return peer

    def _begin(self) -> None:
        self.broker.router.several = True
        self.broker.interest = self._touched
        for session in self.broker.sessions.values():
            self.broker.touch(session)
        self._interest.changes()

    def _new_generation(self) -> int:
        self._generation = max(self._generation + 1, self.broker.desk.clock.now_ns() // 1000)
        return self._generation

    def _touched(self, tenant: int, key: tuple[str, str]) -> None:
        self._interest.touch(tenant, key)
        self.wake()

    # --- retained ------------------------------------------------------------------------------------------------

    def _keep(self, tenant: int, message: Message) -> None:
        version = self.broker.desk.durability.new_identifier()
        version = self._retained.following(tenant, message.topic, version)
        if not self.peers:
            self._retained.keep_alone(tenant, message, version)
            return
        row = self._retained.keep(tenant, message, version)
        if row is not None:
            item = encode_item(Keep([row]))
            for peer in self.peers.values():
                if peer.up:
                    peer.queue(item)

    def announced(self, callback: Callback) -> None:
        """Call back when the others know of all subscriptions made here so far."""
        self.fences.announced(callback)

    # --- out -----------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Send what this turn has brought."""
        rows = self._interest.changes() if self._interest.pending else []
        for start in range(0, len(rows), INTEREST_ROWS):
            item = Interest(rows[start : start + INTEREST_ROWS])
            for peer in self.peers.values():
                if peer.up:
                    peer.say(item)
        self.fences.flush(bool(rows))
        self.handover.flush()
        for peer in list(self.peers.values()):
            peer.flush()
            for data in peer.link.due(self.now):
                self._post(peer.name, data)

    def tick(self) -> None:
        """Resend, greet, and give up those that are silent; call a few times a second."""
        greet = self.now - self._hello_at >= HELLO_S
        if greet:
            self._hello_at = self.now
        for peer in list(self.peers.values()):
            if peer.up and self.now - peer.heard > SILENT_S:
                self.down(peer.name)
            for data in peer.link.tick(self.now):
                self._post(peer.name, data)
            if greet:
                self._post(peer.name, peer.link.hello())
        self.fences.tick()
        self.handover.tick()
        self.flush()

    # --- in ------------------------------------------------------------------------------------------------------

    def meet(self, name: str) -> None:
        """A front door has told all that it is there: greet it."""
        if name != self.name:
            self._post(name, self.peer(name).link.hello())

    def receive(self, sender: str, data: bytes) -> None:
        """Take bytes of another front door."""
        try:
            envelope = decode_envelope(data)
        except msgspec.MsgspecError:
            self.counters.add("door_messages_unreadable")
            return
        peer = self.peer(sender)
        peer.heard = self.now
        if peer.link.meet(envelope.mine):
            self._established(peer)
        if envelope.theirs != peer.link.mine:
            self._post(peer.name, peer.link.hello())
        items = peer.link.receive(envelope, self.now)
        for item in items:
            try:
                self._handlers[type(item)](peer, item)
            except Exception:
                log.exception("a message of front door %s could not be taken", sender)
                self.counters.add("errors")
        if items:
            urgent = any(isinstance(item, Tail) or (isinstance(item, Forward) and item.ordinal) for item in items)
            self.broker.desk.durability.then(partial(self._durable, peer, peer.link.position, urgent))
        self.wake()

    def _durable(self, peer: Peer, position: tuple[int, int], urgent: bool) -> None:
        peer.link.taken(position, urgent)
        self.wake()

    def _take_forward(self, item: Forward) -> None:
        """Deliver what another front door has routed here, once."""
        if item.ordinal:
            place = item.sender, item.target
            if item.ordinal <= self._seen.get(place, 0):
                return
            self._seen[place] = item.ordinal
        home = None
        if item.target in self._former:
            home = int(item.target.partition("@")[0].removeprefix("door-")) - 1
        self.broker.router.take(item.tenant, Message.from_bytes(item.message), item.direct, item.groups, home)
        if item.ordinal:
            self.broker.desk.durability.put_seen(item.sender, item.target, item.ordinal)

    def _compare(self, peer: Peer, item: Digest) -> None:
        for rows in self._retained.differing(item):
            peer.say(rows)

    def _renamed(self, peer: Peer, item: Names) -> None:
        """A front door has taken over others."""
        for name in item.names:
            former = self.peers.get(name)
            if former is not None and former is not peer and not former.up:
                former.hand_kept_to(peer)
                self.fences.lost(former, for_good=True)
                self.handover.renamed(former, peer)
                former.forget_all()
                del self.peers[name]

    def _established(self, peer: Peer) -> None:
        peer.up = True
        peer.synced = False
        log.info("front door %s is there", peer.name)
        if self._former:
            peer.say(Names(self._former))
        rows = self._interest.all()
        starts = range(0, max(len(rows), 1), INTEREST_ROWS)
        for start in starts:
            part = rows[start : start + INTEREST_ROWS]
            peer.say(Interest(part, start == 0, start + INTEREST_ROWS >= len(rows)))
        peer.say(self._retained.digest())
        peer.send_all_kept()
        self.fences.established(peer)
        self.handover.established(peer)

    def down(self, name: str) -> None:
        """A front door does not answer."""
        peer = self.peers.get(name)
        if peer is None or not peer.up:
            return
        log.warning("front door %s is down", name)
        peer.up = False
        peer.down_since = self.now
        peer.link.restart(self._new_generation())
        peer.forget_connected()
        self.fences.lost(peer)
        self.handover.lost(peer)
        self.wake()

    def ready(self, expected: Iterable[str]) -> bool:
        """Return whether all front doors of a list are there and have told what they want."""
        return all(name == self.name or ((p := self.peers.get(name)) is not None and p.synced) for name in expected)

    def evict(self, device: int) -> None:
        """A device has been deleted."""
        self.handover.evict(device)

    def gauges(self) -> dict[str, float]:
        """Return what is now."""
        peers = self.peers.values()
        return {
            "doors_up": 1 + sum(peer.up for peer in peers),
            "doors_known": 1 + len(self.peers),
            "handover_waiting": len(self.handover.joining),
            "sessions_leaving": len(self.handover.leaving),
            "forwards_kept": sum(len(peer.kept) for peer in peers),
            "links_unacknowledged_bytes": sum(peer.link.unacknowledged for peer in peers),
        }
