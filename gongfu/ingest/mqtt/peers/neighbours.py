"""The federation on NATS: one subject for each front door, greetings to all, a timer."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from gongfu.bus.connection import subscribe
from gongfu.ingest.mqtt.broker.broker import Broker
from gongfu.ingest.mqtt.broker.durability import Key
from gongfu.ingest.mqtt.journal.loading import Kept
from gongfu.ingest.mqtt.peers.federation import Federation
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects

log = logging.getLogger(__name__)

TICK_S = 0.25
GREET_S = 2.0
# How long a front door waits at its start for those that are to be on its machine.
MEET_S = 3.0
LEAVE_S = 1.0
# Of the largest NATS message: the envelope, a frame begun before, topics and properties.
LEAST_SPARE = 64 * 1024


class Neighbours:
    """This front door's side of the traffic among front doors.

    Args:
        bus: an open connection.
        subjects: names of the node.
        name: name of this front door's role, unique among all of the cluster.
        broker: its broker, with everything restored.
        kept: what the journal kept.
        counters: what is done and dropped.
        expected: names of the front doors on this machine.
        former: names of front doors whose journals have been taken over.
    """

    def __init__(
        self,
        bus: Client,
        subjects: Subjects,
        name: str,
        broker: Broker,
        kept: Kept,
        counters: Counters,
        expected: Iterable[str] = (),
        former: Iterable[str] = (),
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._loop = asyncio.get_running_loop()
        self._expected = [item for item in expected if item != name]
        self._out: list[tuple[str, bytes]] = []
        self._some = asyncio.Event()
        self._woken = False
        self._timer: asyncio.TimerHandle | None = None
        self._greet_at = 0.0
        self._sender: asyncio.Task[None] | None = None
        self._subscriptions: list[Subscription] = []
        self.federation = Federation(name, broker, counters, self._post, self._wake, former, self._loop.time())
        self.federation.largest = max(bus.max_payload - LEAST_SPARE, 0)
        self.federation.restore(kept)
        for item in self._expected:
            self.federation.peer(item)

    async def start(self) -> None:
        """Begin to listen to the others, tell them, and wait a little for those of this machine."""
        name = self.federation.name
        self._subscriptions = [
            await subscribe(self._bus, self._subject(name, "*"), self._take),
            await subscribe(self._bus, self._subjects.door("hello"), self._met),
        ]
        self._sender = self._loop.create_task(self._send())
        self._tick()
        deadline = self._loop.time() + (MEET_S if self._expected else 0.0)
        while not self.federation.ready(self._expected) and self._loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Say what is left and goodbye."""
        if self._timer is not None:
            self._timer.cancel()
        self._flush()
        if self._sender is not None:
            self._some.set()
            deadline = self._loop.time() + LEAVE_S
            while self._out and self._loop.time() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            self._sender.cancel()
        for subscription in self._subscriptions:
            with contextlib.suppress(NatsError, OSError):
                await subscription.unsubscribe()

    @property
    def active(self) -> bool:
        """True when there are other front doors."""
        return self.federation.active

    def must_ask(self, key: Key) -> bool:
        """Return whether ``fetch`` is needed before a client is connected."""
        return self.federation.active and self.federation.handover.must_ask(key)

    async def fetch(self, key: Key, clean: bool) -> tuple[int, bool]:
        """Bring a client's session here; return (ticket for ``release``, whether a later connection has won)."""
        done: asyncio.Future[bool] = self._loop.create_future()

        def decided(superseded: bool) -> None:
            if not done.done():
                done.set_result(superseded)

        self.federation.now = self._loop.time()
        ticket = self.federation.handover.fetch(key, clean, decided)
        try:
            superseded = await done
        except asyncio.CancelledError:
            self.release(key, ticket)
            raise
        return self.federation.handover.joining[key].ticket, superseded

    def release(self, key: Key, ticket: int) -> None:
        """The CONNECT has been answered or given up."""
        self.federation.now = self._loop.time()
        self.federation.handover.release(key, ticket)

    def ticket(self) -> int:
        """Return the number of a connection that needs no question."""
        return self.federation.handover.ticket()

    # --- NATS ----------------------------------------------------------------------------------------------------

    def _subject(self, receiver: str, sender: str) -> str:
        return self._subjects.door(f"peer.{_token(receiver)}.{_token(sender) if sender != '*' else '*'}")

    async def _take(self, message: Msg) -> None:
        self.federation.now = self._loop.time()
        sender = message.subject.rpartition(".")[2].replace("%2E", ".").replace("%25", "%")
        if message.data:
            self.federation.receive(sender, message.data)
        elif message.headers is not None:  # NATS: nobody listens there
            self.federation.down(sender)

    async def _met(self, message: Msg) -> None:
        self.federation.now = self._loop.time()
        self.federation.meet(message.data.decode(errors="replace"))

    def _post(self, name: str, data: bytes) -> None:
        self._out.append((name, data))
        self._some.set()

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._woken = False
        self.federation.now = self._loop.time()
        self.federation.flush()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(TICK_S, self._tick)
        now = self.federation.now = self._loop.time()
        self.federation.tick()
        if now >= self._greet_at:
            self._greet_at = now + GREET_S
            self._post("", self.federation.name.encode())

    async def _send(self) -> None:
        name = self.federation.name
        while True:
            await self._some.wait()
            self._some.clear()
            while self._out:
                out = self._out[:]
                for receiver, data in out:
                    subject = self._subject(receiver, name) if receiver else self._subjects.door("hello")
                    # The reply subject is where NATS says that nobody listens.
                    reply = self._subject(name, receiver) if receiver else ""
                    try:
                        await self._bus.publish(subject, data, reply)
                    except (NatsError, OSError):
                        self.federation.counters.add("door_messages_unsent")
                del self._out[: len(out)]


def _token(name: str) -> str:
    return name.replace("%", "%25").replace(".", "%2E")
