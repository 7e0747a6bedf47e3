"""Another front door: the link to it, what it wants, and what must not be lost on the way to it."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from gongfu.ingest.mqtt.broker.messages import Message
from gongfu.ingest.mqtt.broker.neighbour import GroupKey
from gongfu.ingest.mqtt.peers.link import PeerLink
from gongfu.ingest.mqtt.peers.wire import Answer, Forward, Interest, Item, encode_item

if TYPE_CHECKING:
    from gongfu.ingest.mqtt.peers.federation import Federation

# Bytes of messages kept in the journal for a front door that does not take them; beyond it publishers are refused.
KEPT_BYTES = 64 * 1024 * 1024
# What an item may have beside its message.
HEAD_ROOM = 32 * 1024


class Peer:
    """One other front door; a ``Neighbour`` of the broker.

    Attributes:
        up: it answers.
        synced: all its filters are known here since it is up.
        heard: time of the loop at which it was last heard.
        down_since: the same at which it was found to be down.
    """

    def __init__(self, federation: "Federation", name: str, generation: int) -> None:
        self._federation = federation
        self._name = name
        self.link = PeerLink(generation)
        self.up = False
        self.synced = False
        self.heard = federation.now
        self.down_since = federation.now
        self.kept: dict[tuple[str, int], bytes] = {}
        self._kept_bytes = 0
        self._rows: dict[tuple[int, GroupKey], tuple[int, int]] = {}
        self._fresh: set[tuple[int, GroupKey]] | None = None
        self._answers: list[tuple[int, bool]] = []

    @property
    def name(self) -> str:
        """Name of its role."""
        return self._name

    @property
    def full(self) -> bool:
        """True when no more messages can be kept for it."""
        return self._kept_bytes > KEPT_BYTES

    @property
    def largest(self) -> int:
        """Bytes of the largest message it can be given."""
        return self._federation.largest

    @property
    def idle(self) -> bool:
        """True when nothing would be lost if it were forgotten."""
        return not (self.up or self.kept or self._rows)

    # --- messages ------------------------------------------------------------------------------------------------

    def send(self, tenant: int, message: Message, direct: bool, groups: Sequence[GroupKey], durable: bool) -> bool:
        """Give it a message (see ``Neighbour``); what must not be lost waits in the journal until it has it."""
        federation = self._federation
        if not durable:
            if not self.up or self.link.congested:
                federation.counters.add("messages_dropped.door_down" if not self.up else "messages_dropped.door_slow")
                return False
            self.say(Forward(tenant, message.to_bytes(), direct, list(groups)))
            federation.counters.add("messages_forwarded")
            return False
        durability = federation.broker.desk.durability
        ordinal = durability.new_identifier()
        item = encode_item(
            Forward(tenant, message.to_bytes(), direct, list(groups), federation.name, self._name, ordinal)
        )
        place = self._name, ordinal
        self.keep(place, item)
        durability.put_forward(*place, item)
        # Only what is on disk goes out: after a crash it must be known here what may be there.
        durability.then(partial(self._send_kept, place))
        federation.counters.add("messages_forwarded")
        return True

    def keep(self, place: tuple[str, int], item: bytes) -> None:
        """Take a message that is in the journal, by the door it is for and its ordinal."""
        self.kept[place] = item
        self._kept_bytes += len(item)

    def _send_kept(self, place: tuple[str, int]) -> None:
        item = self.kept.get(place)
        if item is not None and self.up:
            self.queue(item, partial(self._taken, place))

    def _taken(self, place: tuple[str, int]) -> None:
        item = self.kept.pop(place, None)
        if item is not None:
            self._kept_bytes -= len(item)
            self._federation.broker.desk.durability.drop_forward(*place)

    def send_all_kept(self) -> None:
        """The link begins anew: say again what has not been taken."""
        for place in list(self.kept):
            self._send_kept(place)

    def hand_kept_to(self, other: "Peer") -> None:
        """Another front door has taken over the sessions of this one."""
        for place, item in self.kept.items():
            other.keep(place, item)
            if other.up:
                other._send_kept(place)
        self.kept.clear()
        self._kept_bytes = 0

    def say(self, item: Item, acknowledged: "partial[None] | None" = None) -> None:
        """Queue an item."""
        self.queue(encode_item(item), acknowledged)

    def queue(self, item: bytes, acknowledged: "partial[None] | None" = None) -> None:
        """Queue an encoded item; one that NATS would not carry is counted and left out, or nothing would follow it."""
        if len(item) > self._federation.largest + HEAD_ROOM:
            self._federation.counters.add("messages_dropped.door_too_large")
            return
        self.link.queue(item, acknowledged)
        self._federation.wake()

    def answer(self, serial: int, superseded: bool) -> None:
        """Answer a question with nothing; the answers of a turn go together."""
        self._answers.append((serial, superseded))
        self._federation.wake()

    def flush(self) -> None:
        """Queue the answers of this turn."""
        if self._answers:
            rows, self._answers = self._answers, []
            if self.up:
                self.link.queue(encode_item(Answer(rows)))

    # --- what it wants -------------------------------------------------------------------------------------------

    def wants(self, item: Interest) -> None:
        """Take what it wants."""
        if item.first:
            self._fresh = set()
        for tenant, share, topic_filter, online, kept in item.rows:
            place = tenant, (share, topic_filter)
            self._set(place, online, kept)
            if self._fresh is not None and (online or kept):
                self._fresh.add(place)
        if item.last and self._fresh is not None:
            for place in [place for place in self._rows if place not in self._fresh]:
                self._set(place, 0, 0)
            self._fresh = None
            self.synced = True

    def _set(self, place: tuple[int, GroupKey], online: int, kept: int) -> None:
        tenant, key = place
        durability = self._federation.broker.desk.durability
        before = self._rows.get(place, (0, 0))
        if before == (online, kept):
            return
        if online or kept:
            self._rows[place] = online, kept
        else:
            self._rows.pop(place, None)
        self._federation.broker.router.tenant(tenant).trie.set_door(key, self, online, kept)
        if kept:
            durability.put_interest(self._name, tenant, key, online, kept)
        elif before[1]:
            durability.drop_interest(self._name, tenant, key)

    def restore(self, tenant: int, key: GroupKey, kept: int) -> None:
        """Take a filter from the journal: of sessions that outlive their connections."""
        self._rows[tenant, key] = 0, kept
        self._federation.broker.router.tenant(tenant).trie.set_door(key, self, 0, kept)

    def forget_connected(self) -> None:
        """It is down: only what outlives connections is still wanted."""
        self.synced = False
        self._fresh = None
        for (tenant, key), (_, kept) in list(self._rows.items()):
            trie = self._federation.broker.router.tenant(tenant).trie
            trie.set_door(key, self, 0, kept)
            if kept:
                self._rows[tenant, key] = 0, kept
            else:
                del self._rows[tenant, key]

    def forget_all(self) -> None:
        """It will not come back."""
        for place in list(self._rows):
            self._set(place, 0, 0)
