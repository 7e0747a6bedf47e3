"""Live figures of nodes further below: asked of their parent, which knows its own children.

What a node holds of its subtree is merged: which node below a child has how much, only that child's side knows. So
the console's way down asks, along the links, and says when there was no answer.
"""

import asyncio
from collections.abc import Callable, Collection

import msgspec

from gongfu.kernel.counters import Counters
from gongfu.tree.host.section import Host, Refusal, Turn
from gongfu.tree.nodes.directory import Directory
from gongfu.tree.reports.live_report import LiveDoc
from gongfu.tree.reports.messages import LIVE_ANSWER, LIVE_ASK, LiveAnswer, LiveAsk, pack, unpack
from gongfu.tree.reports.pace import SECOND

ANSWER_S = 1.0
FRESH_S = 1.0
_MOST_WAITING = 100
_MOST_KEPT = 10_000
_MOST_DOCS = 5_000


class LiveRequests:
    """Asks, passes on, answers. In memory on the event loop: an answer that is lost is asked for again.

    Args:
        directory: of the node.
        counters: of the role.
        own: returns the figures of the node itself and of one of its children.
    """

    def __init__(self, directory: Directory, counters: Counters, own: Callable[[str], LiveDoc | None]) -> None:
        self._directory = directory
        self._counters = counters
        self._own = own
        self._number = 0
        self._waiting: dict[int, asyncio.Future[None]] = {}
        # Node → (loop time at which it was learnt, what is known).
        self._kept: dict[str, tuple[float, LiveDoc]] = {}
        # Parent → the question about its children that is on its way.
        self._asked: dict[str, asyncio.Future[None]] = {}

    def start(self, host: Host) -> None:
        """Begin."""
        self._host = host
        self._number = host.now()

    def stop(self) -> None:
        """End."""
        for future in self._waiting.values():
            future.cancel()

    def known(self, node: str) -> LiveDoc | None:
        """Return what is known of a node without asking: the node itself, children, and what was learnt just now."""
        doc = self._own(node)
        if doc is not None:
            return doc
        learnt = self._kept.get(node)
        if learnt is None or asyncio.get_running_loop().time() - learnt[0] > FRESH_S:
            return None
        return learnt[1]

    async def live(self, nodes: Collection[str]) -> dict[str, LiveDoc]:
        """Return the figures of some nodes of the subtree; who could not be reached within a second is not in it."""
        missing = [node for node in nodes if self.known(node) is None]
        parents: set[str] = set()
        for node in missing:
            membership = self._directory.member(node)
            if membership is not None and self._directory.towards(membership.parent) is not None:
                parents.add(membership.parent)
        if parents:
            await asyncio.gather(*(self._ask(parent) for parent in sorted(parents)[:_MOST_WAITING]))
        return {node: doc for node in nodes if (doc := self.known(node)) is not None}

    async def _ask(self, node: str) -> None:
        pending = self._asked.get(node)
        if pending is None:
            towards = self._directory.towards(node)
            if towards is None or not self._up(towards) or len(self._waiting) >= _MOST_WAITING:
                return
            self._number += 1
            number = self._number
            pending = asyncio.get_running_loop().create_future()
            self._waiting[number] = self._asked[node] = pending
            body = pack(LiveAsk(self._directory.node, number, node, self._host.now() + int(ANSWER_S * SECOND)))
            self._host.submit(lambda turn: turn.send(towards, LIVE_ASK, body))
            try:
                await asyncio.wait({pending}, timeout=ANSWER_S)
            finally:
                del self._waiting[number], self._asked[node]
                if not pending.done():
                    self._counters.add("reports_live_unanswered")
                    pending.cancel()
            return
        await asyncio.wait({pending}, timeout=ANSWER_S)

    def _up(self, peer: str) -> bool:
        return any(link.peer == peer and link.up for link in self._host.links())

    def received(self, turn: Turn, peer: str, topic: str, body: bytes) -> None:
        """Take a question from above, or an answer from below."""
        if topic == LIVE_ASK:
            if peer != self._directory.parent:
                raise Refusal("not-the-parent")
            ask = unpack(body, LiveAsk)
            if ask.deadline < turn.now:
                return
            if ask.node == self._directory.node:
                turn.then(lambda: self._answer(ask))
            elif (towards := self._directory.towards(ask.node)) is not None:
                turn.then(lambda: self._pass_on(towards, LIVE_ASK, body))
            return
        answer = unpack(body, LiveAnswer)
        if answer.asker == self._directory.node:
            # A node is told of by the side that it is on, and by no other.
            docs = {node: doc for node, doc in answer.docs.items() if self._directory.towards(node) == peer}
            turn.then(lambda: self._learn(answer.number, docs))
        elif self._directory.parent is not None:
            parent = self._directory.parent
            turn.then(lambda: self._pass_on(parent, LIVE_ANSWER, body))

    def _pass_on(self, peer: str, topic: str, body: bytes) -> None:
        # Figures of a minute ago are worth nothing: what cannot go now does not go.
        if self._up(peer):
            self._host.submit(lambda turn: turn.send(peer, topic, body))
        else:
            self._counters.add("reports_live_dropped")

    def _answer(self, ask: LiveAsk) -> None:
        parent = self._directory.parent
        children = [child.node for child in self._directory.children()][:_MOST_DOCS]
        docs = {node: msgspec.msgpack.encode(doc) for node in children if (doc := self._own(node)) is not None}
        if parent is not None:
            self._pass_on(parent, LIVE_ANSWER, pack(LiveAnswer(ask.asker, ask.number, docs)))

    def _learn(self, number: int, docs: dict[str, bytes]) -> None:
        now = asyncio.get_running_loop().time()
        if len(self._kept) > _MOST_KEPT:
            self._kept = {node: kept for node, kept in self._kept.items() if now - kept[0] <= FRESH_S}
        for node, data in docs.items():
            try:
                self._kept[node] = (now, msgspec.msgpack.decode(data, type=LiveDoc))
            except msgspec.MsgspecError:
                self._counters.add("reports_live_refused")
        waiting = self._waiting.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
