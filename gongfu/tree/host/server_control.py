"""Changes a running ``tree-nats``: its configuration is read again, and who no longer may is cut off.

A reload admits new children and follows a new parent, but leaves connected who was removed (nats-server 2.15); that
connection is ended by its id.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError

from gongfu.bus.connection import BusAddress, open_bus
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem, unavailable
from gongfu.tree.host.server_config import SYSTEM_USER, down_subject

_TIMEOUT_S = 5.0
_RETRY_S = 1.0

logger = logging.getLogger(__name__)


class _Leaf(msgspec.Struct):
    id: int
    account: str = ""
    subscriptions_list: list[str] = []


class _Leafs(msgspec.Struct):
    leafs: list[_Leaf] = []


class _Server(msgspec.Struct):
    id: str


class _Answer(msgspec.Struct):
    server: _Server
    data: msgspec.Raw = msgspec.Raw(b"null")
    error: Any = None


class ServerControl:
    """Writes the configuration of ``tree-nats`` and lets the server follow it."""

    def __init__(
        self,
        path: Path,
        render: Callable[[Collection[str]], str],
        server: str,
        token: str,
        counters: Counters | None = None,
    ) -> None:
        """Make it; see ``start``.

        Args:
            path: of the configuration file that the server was started with.
            render: returns its text for the ids of the children that may connect (``render_tree_server``).
            server: URL of the server.
            token: password of its users.
            counters: of the process.
        """
        self._path = path
        self._render = render
        self._server = server
        self._token = token
        self._counters = counters or Counters()
        self._nodes: frozenset[str] = frozenset()
        self._bus: Client | None = None
        self._lock = asyncio.Lock()
        self._again: asyncio.Task[None] | None = None

    async def start(self, nodes: Collection[str]) -> None:
        """Connect to the server, and let in these children and no others."""
        self._nodes = frozenset(nodes)
        address = BusAddress((self._server,), self._token, SYSTEM_USER)
        self._bus = await open_bus(address, "tree control", on_state=self._changed)
        await self.admit(nodes)

    async def stop(self) -> None:
        """End."""
        if self._again is not None:
            self._again.cancel()
        if self._bus is not None:
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                await asyncio.wait_for(self._bus.close(), _TIMEOUT_S)

    async def _changed(self, state: str) -> None:
        # A server that was started again may have read a file from before the last change.
        if state == "reconnected":
            self.admit_soon(self._nodes)

    def admit_soon(self, nodes: Collection[str]) -> None:
        """As ``admit``, and again until it has succeeded."""
        self._nodes = frozenset(nodes)
        if self._again is None or self._again.done():
            self._again = asyncio.create_task(self._until_done(), name="tree control")

    async def _until_done(self) -> None:
        while True:
            nodes = self._nodes
            try:
                await self.admit(nodes)
            except Problem as problem:
                self._counters.add("tree_server_changes_failed")
                logger.warning("tree-nats does not follow its configuration: %s", problem)
                await asyncio.sleep(_RETRY_S)
                continue
            if nodes == self._nodes:
                return

    async def admit(self, nodes: Collection[str]) -> None:
        """Let in these children and no others: who is connected and is not among them is cut off before this returns.

        The file is written first, so that a server which is down follows when it starts.

        Raises:
            Problem: 503, the server does not answer; 500, it refuses the configuration.
        """
        async with self._lock:
            self._nodes = frozenset(nodes)
            write_config(self._path, self._render(sorted(nodes)))
            server = (await self._ask("PING")).server.id
            reloaded = await self._ask(f"{server}.RELOAD")
            if reloaded.error:
                raise Problem(500, "tree-server-refuses", "tree-nats refuses its configuration", str(reloaded.error))
            await self._cut_off(server, {down_subject(node) for node in nodes})

    async def _cut_off(self, server: str, allowed: set[str]) -> None:
        answer = await self._ask(f"{server}.LEAFZ", {"subscriptions": True})
        for leaf in msgspec.json.decode(answer.data, type=_Leafs).leafs:
            # A child may subscribe to one subject, which says who it is; who has not yet comes again.
            if leaf.account == "children" and allowed.isdisjoint(leaf.subscriptions_list):
                await self._ask(f"{server}.KICK", {"cid": leaf.id})
                self._counters.add("tree_leaves_cut_off")

    async def _ask(self, what: str, body: Any = None) -> _Answer:
        if self._bus is None or not self._bus.is_connected:
            raise unavailable("tree-nats is away")
        data = b"" if body is None else msgspec.json.encode(body)
        try:
            message = await self._bus.request(f"$SYS.REQ.SERVER.{what}", data, timeout=_TIMEOUT_S)
            return msgspec.json.decode(message.data, type=_Answer)
        except (NatsError, OSError, TimeoutError, msgspec.MsgspecError) as error:
            raise unavailable(f"tree-nats: {type(error).__name__}") from error


def write_config(path: Path, text: str) -> None:
    """Replace the configuration file; it holds a token and is readable by the node only."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
