"""How nodes do: each tells its parent when it changes, the parent notices who is silent, both travel up."""

import asyncio
from collections.abc import Sequence

from gongfu.tree.host.section import Turn
from gongfu.tree.membership.documents import pack
from gongfu.tree.nodes import records
from gongfu.tree.nodes.facts import NodeFacts
from gongfu.tree.nodes.place import BATCH, STATUS, Place
from gongfu.tree.nodes.records import Status
from gongfu.tree.nodes.views import SILENT

# A status goes up at most so often.
STATUS_S = 10.0
# A child whose link is down for so long is silent.
SILENT_S = 10.0


class Statuses:
    """What this node says of itself and of those below.

    Args:
        place: of this node.
        facts: of this node.
    """

    def __init__(self, place: Place, facts: NodeFacts) -> None:
        self._place = place
        self._facts = facts
        self._told: Status | None = None
        self._told_at = -STATUS_S
        self._silences: dict[str, asyncio.TimerHandle] = {}

    def start(self) -> None:
        """Give all children time to speak."""
        for child in self._place.directory.children():
            self._await(child.node)

    def stop(self) -> None:
        """End."""
        for timer in self._silences.values():
            timer.cancel()

    def restate(self, turn: Turn, parent: str) -> None:
        """Tell the parent everything."""
        self._tell(turn, parent, [self._own(turn.wall), *records.all_status(turn.connection).values()])

    def put(self, turn: Turn, items: Sequence[Status]) -> None:
        """Store how nodes do and tell the parent."""
        place = self._place
        if not items:
            return
        for item in items:
            records.put_status(turn.connection, item)
        parent = place.stored(turn.connection).chain.membership.parent
        if parent:
            self._tell(turn, parent, items)

        def remember() -> None:
            place.status.update((item.node, item) for item in items)
            place.running.nudge("nodes")

        turn.then(remember)

    def link_changed(self, peer: str, up: bool) -> None:
        """Wait for a child whose link is down; tell the parent again when the link up is back."""
        place = self._place
        if up and peer == place.directory.parent:
            self._told, self._told_at = None, -STATUS_S
        if (timer := self._silences.pop(peer, None)) is not None:
            timer.cancel()
        if not up and place.directory.towards(peer) == peer:
            self._await(peer)

    async def look(self) -> None:
        """Tell the parent how this node does, if that has changed."""
        place, host = self._place, self._place.running
        now = asyncio.get_running_loop().time()
        status = self._own(0)
        if status != self._told and now - self._told_at >= STATUS_S and (parent := place.directory.parent):
            self._told, self._told_at = status, now
            told = self._own(host.now())
            await host.turn(lambda turn: self._tell(turn, parent, [told]))

    def _own(self, now: int) -> Status:
        facts = self._facts
        return Status(self._place.key.id, facts.version, facts.health(), facts.console, now)

    def _tell(self, turn: Turn, peer: str, items: Sequence[Status]) -> None:
        for start in range(0, len(items), BATCH):
            self._place.send(turn, peer, STATUS, pack(tuple(items[start : start + BATCH])))

    def _await(self, child: str) -> None:
        since = self._place.running.now()
        self._silences[child] = asyncio.get_running_loop().call_later(SILENT_S, self._silent, child, since)

    def _silent(self, child: str, since: int) -> None:
        place = self._place
        self._silences.pop(child, None)
        status = place.status.get(child)
        up = any(view.peer == child and view.up for view in place.running.links())
        if status is not None and status.health != SILENT and not up:
            silent = Status(child, status.version, SILENT, status.console, since)
            place.running.submit(lambda turn: self.put(turn, [silent]))
