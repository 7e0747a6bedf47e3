"""What the identifier role learns of itself: how long an answer takes a client, and whether reports get through."""

import asyncio
import logging
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence

import msgspec
from nats.aio.client import Client

from gongfu.bus.commands import asked_by
from gongfu.bus.requests import NobodyServesError, request
from gongfu.identify.handle.bodies import encode_handle
from gongfu.identify.handle.codes import OpCode
from gongfu.identify.handle.envelope import Envelope, Header, Message, encode_envelope, encode_message
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import NODE_TENANT, Role, Subject
from gongfu.kernel.subjects import Subjects
from gongfu.node.configuration import is_every_address

_EVERY_S = 1.0
# Ten minutes.
_MOST = 600
_TREE_EVERY = 10
_ANSWER_S = 5.0
_BEHIND_S = 30.0
_DATAGRAM_BYTES = 65_536
_SERVICE = Subject(0, "identifier", NODE_TENANT, Role.ADMIN)

logger = logging.getLogger(__name__)


class _Link(msgspec.Struct):
    up: bool
    waiting: int = 0
    lag_seconds: float = 0.0


class _Tree(msgspec.Struct):
    enrolled: bool
    link: _Link | None = None


def percentile(times: Sequence[float], share: float) -> float | None:
    """Return the smallest time that so many are not longer than; None of none."""
    if not times:
        return None
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class IdentifierWatch:
    """Asks its own Handle port once a second, from another thread, and the tree role now and then."""

    def __init__(self, host: str, port: int, root: str) -> None:
        """Make it.

        Args:
            host: where the Handle port listens.
            port: of Handle over UDP; 0 is off.
            root: prefix of the service, for which it asks.
        """
        self._host = ("::1" if ":" in host else "127.0.0.1") if is_every_address(host) else host
        self._port = port
        # No resolution, which would be counted.
        question = encode_message(Message(Header(OpCode.GET_SITE_INFO), encode_handle(f"0.NA/{root}")))
        self._question = encode_envelope(Envelope(1, len(question))) + question
        self._times: deque[float] = deque(maxlen=_MOST)
        self._tree = _Tree(False)
        self._task: asyncio.Task[None] | None = None

    def start(self, bus: Client, subjects: Subjects) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(bus, subjects), name="identifier watch")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def latency(self) -> dict[str, float | None]:
        """Return ``p50`` and ``p99`` of the last ten minutes in milliseconds, as a client on this machine sees them."""
        times = tuple(self._times)
        return {"p50": percentile(times, 0.5), "p99": percentile(times, 0.99)}

    def reporting(self) -> Mapping[str, str | float | None]:
        """Return ``none`` in no tree and at its top, ``up``, or ``behind`` with what waits for the parent."""
        link = self._tree.link
        if not self._tree.enrolled or link is None:
            return {"state": "none", "lag_seconds": None, "waiting": 0}
        behind = not link.up or link.lag_seconds > _BEHIND_S
        return {"state": "behind" if behind else "up", "lag_seconds": link.lag_seconds, "waiting": link.waiting}

    async def _run(self, bus: Client, subjects: Subjects) -> None:
        round_ = 0
        while True:
            if self._port:
                self._times.append(await asyncio.to_thread(self._ask))
            if round_ % _TREE_EVERY == 0:
                try:
                    asked = asked_by(_SERVICE, None)
                    self._tree = await request(bus, subjects.service("tree.node-show"), asked, _ANSWER_S, _Tree)
                except NobodyServesError:
                    self._tree = _Tree(False)
                except Problem as problem:
                    logger.debug("the tree role does not say how its link is: %s", problem.detail)
            round_ += 1
            await asyncio.sleep(_EVERY_S)

    def _ask(self) -> float:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.settimeout(_ANSWER_S)
            began = time.perf_counter()
            try:
                asking.connect((self._host, self._port))
                asking.send(self._question)
                asking.recv(_DATAGRAM_BYTES)
            except OSError:
                return _ANSWER_S * 1000
            return (time.perf_counter() - began) * 1000
