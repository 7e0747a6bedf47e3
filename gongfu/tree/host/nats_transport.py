"""Frames over ``tree-nats`` (``server_config.py``).

NATS says at once when nobody listens to a subject: every frame names a reply subject of its neighbour, and what comes
there is the server's "no responders". So a leaf connection that is gone is noticed with the first frame, and it is
asked for again from then on; a link resumes as soon as the connection is back.
"""

import asyncio
import contextlib
import logging
import secrets
from collections import deque
from collections.abc import Callable

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from gongfu.bus.connection import BusAddress, open_bus, subscribe
from gongfu.kernel.counters import Counters
from gongfu.tree.host.server_config import CHILDREN_USER, PARENT_USER, down_subject, up_subject

# How soon a neighbour that is away is tried again, the parent and a child: the child is the one that comes back.
_RETRY_S = 0.25
_PARENT_RETRY_S = 1.0
_CHILD_RETRY_S = 5.0
# Frames that wait for the connection to the server.
_WAITING_BYTES = 8 * 1024 * 1024

logger = logging.getLogger(__name__)


class _Neighbour:
    """Somebody frames are sent to."""

    __slots__ = ("parent", "retry_s", "there", "timer")

    def __init__(self, parent: bool) -> None:
        self.parent = parent
        self.there = False
        self.retry_s = _RETRY_S
        self.timer: asyncio.Handle | None = None


class _Side:
    """One connection to the server: the children's, or the parent's."""

    def __init__(self, user: str, state: Callable[[bool], None], counters: Counters) -> None:
        self._user = user
        self._state = state
        self._counters = counters
        self.bus: Client | None = None
        self.inbox = f"_INBOX.{secrets.token_hex(11)}"
        self._frames: deque[tuple[str, str, bytes]] = deque()
        self._size = 0
        self._more = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None

    @property
    def there(self) -> bool:
        return self.bus is not None and self.bus.is_connected

    async def open(
        self,
        server: str,
        token: str,
        name: str,
        subject: str,
        arrived: Callable[[str, bytes], None],
        absent: Callable[[str], None],
    ) -> None:
        self.bus = await open_bus(BusAddress((server,), token, self._user), name, on_state=self._changed)

        async def take(message: Msg) -> None:
            arrived(message.subject.rpartition(".")[2], message.data)

        async def nobody(message: Msg) -> None:
            if message.headers and message.headers.get("Status") == "503":
                absent(message.subject.rpartition(".")[2])

        await subscribe(self.bus, subject, take)
        await subscribe(self.bus, f"{self.inbox}.*", nobody)
        await self.bus.flush()
        self._pump = asyncio.create_task(self._publish(self.bus), name=f"{name} frames")

    async def _changed(self, state: str) -> None:
        if state == "disconnected":
            self._frames.clear()
            self._size = 0
        self._state(state == "reconnected")

    def send(self, subject: str, peer: str, frame: bytes) -> None:
        if not self.there:
            return
        if self._size + len(frame) > _WAITING_BYTES:
            self._counters.add("tree_frames_shed.waiting-full")
            return
        self._size += len(frame)
        self._frames.append((subject, f"{self.inbox}.{peer}", frame))
        self._more.set()

    async def _publish(self, bus: Client) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._frames:
                subject, reply, frame = self._frames.popleft()
                self._size -= len(frame)
                try:
                    await bus.publish(subject, frame, reply)
                except (NatsError, OSError, ValueError) as error:
                    self._counters.add("tree_frames_shed.publish-failed")
                    logger.debug("a frame was not published: %s", type(error).__name__)

    async def close(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
        if self.bus is not None:
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                await asyncio.wait_for(self.bus.close(), 5)


class NatsTransport:
    """Implements ``Transport``."""

    def __init__(self, node: str, server: str, token: str, counters: Counters | None = None) -> None:
        """Make a transport that is not connected.

        Args:
            node: own id.
            server: URL of the node's ``tree-nats``.
            token: password of its users.
            counters: of the process.
        """
        self._node = node
        self._server = server
        self._token = token
        self._counters = counters or Counters()
        self._neighbours: dict[str, _Neighbour] = {}
        self._parent: str | None = None
        self._below = _Side(CHILDREN_USER, lambda there: self._server_changed(False, there), self._counters)
        self._above = _Side(PARENT_USER, lambda there: self._server_changed(True, there), self._counters)
        self._arrived: Callable[[str, bytes], None] | None = None
        self._reachable: Callable[[str, bool], None] | None = None

    async def start(self, arrived: Callable[[str, bytes], None], reachable: Callable[[str, bool], None]) -> None:
        """Connect to the server, waiting for it if need be."""
        self._arrived, self._reachable = arrived, reachable
        server, token, node = self._server, self._token, self._node
        await self._below.open(server, token, "tree children", "tree.up.*", self._from_child, self._absent)
        await self._above.open(server, token, "tree parent", down_subject(node), self._from_parent, self._absent)

    async def stop(self) -> None:
        """Disconnect."""
        for peer in list(self._neighbours):
            self.close(peer)
        self._arrived = self._reachable = None
        await self._below.close()
        await self._above.close()

    def open(self, peer: str, parent: bool) -> None:
        """Carry frames for a neighbour from now on."""
        if parent:
            self._parent = peer
        neighbour = self._neighbours[peer] = _Neighbour(parent)
        neighbour.timer = asyncio.get_running_loop().call_soon(self._try, peer, neighbour)

    def close(self, peer: str) -> None:
        """No longer do."""
        neighbour = self._neighbours.pop(peer, None)
        if neighbour is not None and neighbour.timer is not None:
            neighbour.timer.cancel()
        if self._parent == peer:
            self._parent = None

    def send(self, peer: str, frame: bytes) -> None:
        """Send a frame, if it can be."""
        neighbour = self._neighbours.get(peer)
        if neighbour is None:
            return
        if neighbour.parent:
            self._above.send(up_subject(self._node), peer, frame)
        else:
            self._below.send(down_subject(peer), peer, frame)

    def _from_child(self, peer: str, frame: bytes) -> None:
        neighbour = self._neighbours.get(peer)
        if neighbour is None or neighbour.parent:
            self._counters.add("link_frames_dropped.link-unknown")
            return
        self._take(peer, neighbour, frame)

    def _from_parent(self, node: str, frame: bytes) -> None:
        neighbour = self._neighbours.get(self._parent or "")
        if node == self._node and self._parent is not None and neighbour is not None:
            self._take(self._parent, neighbour, frame)

    def _take(self, peer: str, neighbour: _Neighbour, frame: bytes) -> None:
        neighbour.retry_s = _RETRY_S
        self._found(peer, neighbour)
        if self._arrived is not None:
            self._arrived(peer, frame)

    # Who is there.

    def _found(self, peer: str, neighbour: _Neighbour) -> None:
        if neighbour.there or self._reachable is None:
            return
        if neighbour.timer is not None:
            neighbour.timer.cancel()
            neighbour.timer = None
        neighbour.there = True
        self._reachable(peer, True)

    def _absent(self, peer: str) -> None:
        """Nobody listens: the leaf connection is gone, or the tree role behind it."""
        neighbour = self._neighbours.get(peer)
        if neighbour is not None:
            self._lost(peer, neighbour)

    def _lost(self, peer: str, neighbour: _Neighbour) -> None:
        if not neighbour.there or self._reachable is None:
            return
        neighbour.there = False
        self._reachable(peer, False)
        neighbour.timer = asyncio.get_running_loop().call_later(neighbour.retry_s, self._try, peer, neighbour)
        neighbour.retry_s = min(2 * neighbour.retry_s, _PARENT_RETRY_S if neighbour.parent else _CHILD_RETRY_S)

    def _try(self, peer: str, neighbour: _Neighbour) -> None:
        """Say hello: if nobody is there, the server says so."""
        neighbour.timer = None
        side = self._above if neighbour.parent else self._below
        if side.there and self._neighbours.get(peer) is neighbour:
            self._found(peer, neighbour)

    def _server_changed(self, parent: bool, there: bool) -> None:
        """The own server went or came back."""
        for peer, neighbour in list(self._neighbours.items()):
            if neighbour.parent != parent:
                continue
            if there:
                neighbour.retry_s = _RETRY_S
                self._try(peer, neighbour)
            else:
                self._lost(peer, neighbour)
