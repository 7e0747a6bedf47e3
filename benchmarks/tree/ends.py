"""Many ends of links in one process over a NATS connection, with their timers and with loss; for benchmarks."""

import asyncio
import heapq
import random
import secrets
import time
from collections.abc import Callable, Sequence

from nats.aio.client import Client
from nats.aio.msg import Msg

from gongfu.bus.connection import subscribe
from gongfu.kernel.counters import Counters
from gongfu.tree.link.effects import Deliver, Effect, Load, Send
from gongfu.tree.link.frames import FrameError, decode, encode
from gongfu.tree.link.limits import FOREVER
from gongfu.tree.link.position import Durable
from gongfu.tree.link.session import Session

Delivered = Callable[[int, Deliver], None]


def session_name(number: int) -> str:
    """Return the id of a child."""
    return f"n{number:07}"


def _draw() -> int:
    return secrets.randbits(61) + 1


class Ends:
    """One end of each of many links.

    Attributes:
        sessions: by number of the child.
        lost: frames that were dropped on purpose.
        counters: of all sessions.
    """

    def __init__(
        self,
        count: int,
        parent: bool,
        deliver: Delivered,
        load: Callable[[int, Load], Sequence[bytes]],
        loss: float = 0.0,
    ):
        self.counters = Counters()
        self.sessions: list[Session] = []
        self.lost = 0
        self._out, self._in = ("tree.down", "tree.up") if parent else ("tree.up", "tree.down")
        self._deliver = deliver
        self._load = load
        self._loss = loss
        self._random = random.Random(1)
        self._due: list[tuple[int, int]] = []
        self._wanted = [FOREVER] * count
        self._to_send: list[tuple[str, bytes]] = []
        self._subjects = [f"{self._out}.{session_name(i)}" for i in range(count)]
        for i in range(count):
            ends = ("parent", session_name(i))
            node, peer = ends if parent else ends[::-1]
            self.sessions.append(Session(node, peer, Durable(), _draw, counters=self.counters))

    async def listen(self, bus: Client) -> None:
        """Take the frames of the other ends."""

        async def take(message: Msg) -> None:
            number = int(message.subject.rpartition(".n")[2])
            try:
                frame = decode(message.data)
            except FrameError as error:
                raise AssertionError("a damaged frame") from error
            self.act(number, self.sessions[number].received(time.monotonic_ns(), frame))
            await self.flush(bus)

        await subscribe(bus, f"{self._in}.*", take)

    def act(self, number: int, effects: Sequence[Effect]) -> None:
        """Carry out what a session asks for."""
        session = self.sessions[number]
        for effect in effects:
            if isinstance(effect, Send):
                if self._loss and self._random.random() < self._loss:
                    self.lost += 1
                else:
                    self._to_send.append((self._subjects[number], encode(effect.frame)))
            elif isinstance(effect, Deliver):
                self._deliver(number, effect)
            elif isinstance(effect, Load):
                bodies = self._load(number, effect)
                self.act(number, session.loaded(time.monotonic_ns(), effect.epoch, effect.first, bodies))
        due = session.due
        if due < self._wanted[number]:
            self._wanted[number] = due
            heapq.heappush(self._due, (due, number))

    async def flush(self, bus: Client) -> None:
        """Send what ``act`` has left to be sent."""
        while self._to_send:
            ready, self._to_send = self._to_send, []
            for subject, data in ready:
                await bus.publish(subject, data)

    async def keep_time(self, bus: Client) -> None:
        """Let all sessions act whose time has come, for ever."""
        while True:
            await asyncio.sleep(0.01)
            await self._tick(bus)

    async def _tick(self, bus: Client) -> None:
        now = time.monotonic_ns()
        while self._due and self._due[0][0] <= now:
            _, number = heapq.heappop(self._due)
            self._wanted[number] = FOREVER
            session = self.sessions[number]
            self.act(number, session.tick(now) if session.due <= now else [])
        await self.flush(bus)
