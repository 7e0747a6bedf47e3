"""JetStream in simulated time: streams that lose their leader, forget ids after a while, and answer late or never."""

import asyncio
import base64
import heapq
import json
import random
import selectors
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from nats.errors import NoRespondersError

WINDOW_S = 120.0
_EPOCH_S = 1_700_000_000
Callback = Callable[[Any], Awaitable[None]]


class _JumpingSelector(selectors.DefaultSelector):
    """Does not sleep: the time jumps to when something is due."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while it waits."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


@dataclass
class Stream:
    """What is stored, as ``sequence: (id, payload, time)``."""

    name: str
    subject: str
    leader: bool = True
    last: int = 0
    first: int = 1
    stored: dict[int, tuple[str, bytes, float]] = field(default_factory=dict)
    ids: dict[str, tuple[int, float]] = field(default_factory=dict)
    staged: dict[str, list[tuple[dict[str, str], bytes]]] = field(default_factory=dict)

    def take(self, headers: dict[str, str], payload: bytes, now: float) -> dict[str, Any] | None:
        """Store a message, or a batch whole; an id is looked at before a place."""
        name, batch = headers["Nats-Msg-Id"], headers.get("Nats-Batch-Id")
        if batch is None:
            if not self._knows(name, now) and (wrong := self._misplaced(headers)):
                return wrong
            sequence, duplicate = self.store(name, payload, now)
            return {"stream": self.name, "seq": sequence, "duplicate": duplicate}
        staged = self.staged.setdefault(batch, [])
        staged.append((headers, payload))
        if "Nats-Batch-Commit" not in headers:
            return None
        del self.staged[batch]
        if [int(one["Nats-Batch-Sequence"]) for one, _ in staged] != list(range(1, len(staged) + 1)):
            return {"seq": 0, "error": {"err_code": 10200, "description": "batch is incomplete"}}
        if any(self._knows(one["Nats-Msg-Id"], now) for one, _ in staged):
            return {"seq": 0, "error": {"err_code": 10201, "description": "batch contains duplicates"}}
        if wrong := self._misplaced(staged[0][0]):
            return wrong
        for one, content in staged:
            self.store(one["Nats-Msg-Id"], content, now)
        return {"stream": self.name, "seq": self.last, "batch": batch, "count": len(staged)}

    def _knows(self, name: str, now: float) -> bool:
        return name in self.ids and now - self.ids[name][1] < WINDOW_S

    def _misplaced(self, headers: dict[str, str]) -> dict[str, Any] | None:
        if headers.get("Nats-Expected-Last-Sequence", str(self.last)) == str(self.last):
            return None
        return {"seq": 0, "error": {"err_code": 10071, "description": f"wrong last sequence: {self.last}"}}

    def store(self, name: str, payload: bytes, now: float) -> tuple[int, bool]:
        known = self.ids.get(name)
        if known is not None and now - known[1] < WINDOW_S:
            return known[0], True
        self.last += 1
        self.stored[self.last] = (name, payload, now)
        self.ids[name] = (self.last, now)
        return self.last, False

    def purge(self, sequence: int) -> None:
        self.first = max(self.first, sequence)
        self.stored = {n: entry for n, entry in self.stored.items() if n >= self.first}


def _stamp(now: float) -> str:
    return datetime.fromtimestamp(_EPOCH_S + now, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Cluster:
    """The servers."""

    def __init__(self, streams: list[Stream], draws: random.Random) -> None:
        self.streams = {stream.name: stream for stream in streams}
        self.subjects = {stream.subject: stream for stream in streams}
        self.clients: list[SimulatedClient] = []
        self.consumers: list[list[int]] = []
        self.draws = draws

    def delay(self) -> float:
        return self.draws.choice((0.0005, 0.002, 0.02, self.draws.random() * 0.2))

    def publish(self, subject: str, payload: bytes, reply: str, headers: dict[str, str]) -> None:
        """What arrives at the servers."""
        now = asyncio.get_running_loop().time()
        stream = self.subjects.get(subject)
        if stream is not None:
            if not stream.leader:
                self.answer(reply, b"", {"Status": "503"})
            else:
                answer = stream.take(headers, payload, now)
                if answer is not None:
                    self._tell(reply, answer)
        elif subject.startswith("$JS.API."):
            self._api(subject.removeprefix("$JS.API."), json.loads(payload or b"{}"), reply)
        else:
            self.answer(subject, payload, reply=reply)

    def answer(self, subject: str, data: bytes, headers: dict[str, str] | None = None, reply: str = "") -> None:
        if not subject:
            return
        for client in self.clients:
            client.deliver(SimpleNamespace(subject=subject, data=data, headers=headers, reply=reply))

    def lose_leader(self, stream: Stream) -> None:
        """What is on its way is dropped, or stored and not acknowledged."""
        stream.leader = False
        stream.staged.clear()
        for client in self.clients:
            client.forget(stream)

    def _api(self, name: str, body: dict[str, Any], reply: str) -> None:
        stream = next(self.streams[part] for part in name.split(".") if part in self.streams)
        verb = name.partition(f".{stream.name}")[0]
        if name.startswith("CONSUMER.CREATE"):
            self.consumers.append([body["config"]["opt_start_seq"], 0])
            self._tell(reply, {"name": f"c{len(self.consumers) - 1}"})
            return
        if name.startswith("CONSUMER.DELETE"):
            self._tell(reply, {"success": True})
            return
        if not stream.leader:
            return  # no answer
        now = asyncio.get_running_loop().time()
        if verb == "STREAM.INFO":
            state = {"first_seq": stream.first, "last_seq": stream.last, "messages": len(stream.stored)}
            server = f"server of {stream.name}"
            self._tell(reply, {"state": state, "ts": _stamp(now), "cluster": {"leader": server}})
        elif verb == "STREAM.PURGE":
            stream.purge(body["seq"])
            self._tell(reply, {"success": True})
        elif verb == "STREAM.MSG.GET":
            if body["seq"] not in stream.stored:
                self._tell(reply, {"error": {"err_code": 10037, "description": "no message found"}})
                return
            found, payload, at = stream.stored[body["seq"]]
            header = base64.b64encode(f"NATS/1.0\r\nNats-Msg-Id: {found}\r\n\r\n".encode()).decode()
            data = base64.b64encode(payload).decode()
            self._tell(reply, {"message": {"seq": body["seq"], "time": _stamp(at), "hdrs": header, "data": data}})

    def next_messages(self, name: str, consumer: str, reply: str, batch: int) -> None:
        cursor = self.consumers[int(consumer[1:])]
        for sequence, (found, payload, at) in list(self.streams[name].stored.items()):
            if sequence >= cursor[0] and batch:
                cursor[:] = sequence + 1, cursor[1] + 1
                batch -= 1
                ack = f"$JS.ACK.{name}.{consumer}.1.{sequence}.{cursor[1]}.{_EPOCH_S * 10**9 + int(at * 1e9)}.0"
                self.answer(reply, payload, {"Nats-Msg-Id": found}, ack)

    def _tell(self, reply: str, answer: dict[str, Any]) -> None:
        self.answer(reply, json.dumps(answer).encode())


class SimulatedClient:
    """What the block log uses of nats-py's client. What one sends arrives in order; so does what it receives."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster, self._name = cluster, name
        self._inboxes = 0
        self._subscriptions: list[tuple[str, Callback]] = []
        self._out: list[tuple[float, int, tuple[str, bytes, str, dict[str, str]]]] = []
        self._count = 0
        self._arrives = self._comes = 0.0
        self._handed: set[asyncio.Future[None]] = set()
        self.stats = {"reconnects": 0}
        self.is_connected = True
        cluster.clients.append(self)

    def new_inbox(self) -> str:
        self._inboxes += 1
        return f"_INBOX.{self._name}-{self._inboxes}"

    def crash(self) -> None:
        """Nothing is sent or received any more; what was sent arrives."""
        self.is_connected = False
        self._cluster.clients.remove(self)

    async def subscribe(self, subject: str, queue: str = "", cb: Callback | None = None) -> Any:
        assert cb is not None
        entry = (subject, cb)
        self._subscriptions.append(entry)

        async def unsubscribe() -> None:
            self._subscriptions.remove(entry)

        return SimpleNamespace(unsubscribe=unsubscribe)

    async def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        if not self.is_connected:
            return
        loop = asyncio.get_running_loop()
        self._arrives = max(self._arrives, loop.time() + self._cluster.delay())
        self._count += 1
        heapq.heappush(self._out, (self._arrives, self._count, (subject, payload, reply, headers or {})))
        loop.call_at(self._arrives, self._arrive)

    async def request(
        self, subject: str, payload: bytes, *, headers: dict[str, str] | None = None, **options: float
    ) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def take(message: Any) -> None:
            if not answer.done():
                answer.set_result(message)

        inbox = self.new_inbox()
        subscription = await self.subscribe(inbox, cb=take)
        try:
            await self.publish(subject, payload, inbox, headers)
            async with asyncio.timeout(options["timeout"]):
                message = await answer
        finally:
            await subscription.unsubscribe()
        if (message.headers or {}).get("Status") == "503":
            raise NoRespondersError
        return message

    def deliver(self, message: Any) -> None:
        for subject, callback in list(self._subscriptions):
            if subject == message.subject or (subject.endswith(".*") and message.subject.startswith(subject[:-1])):
                loop = asyncio.get_running_loop()
                # Timers that are equal have no order.
                self._comes = max(self._comes + 1e-6, loop.time() + self._cluster.delay())
                loop.call_at(self._comes, self._hand, callback, message)

    def _hand(self, callback: Callback, message: Any) -> None:
        # In order, as nats-py does: these callbacks wait for nothing.
        task = asyncio.ensure_future(callback(message))
        self._handed.add(task)
        task.add_done_callback(self._handed.discard)

    def forget(self, stream: Stream) -> None:
        """The leader of a stream died: what is under way to it from here is lost, from some point on unacknowledged."""
        ours = sorted(entry for entry in self._out if entry[2][0] == stream.subject)
        stored = self._cluster.draws.randint(0, len(ours))
        now = asyncio.get_running_loop().time()
        for _, _, (_, payload, _, headers) in ours[:stored]:
            stream.take(headers, payload, now)
        stream.staged.clear()
        self._out = [entry for entry in self._out if entry[2][0] != stream.subject]
        heapq.heapify(self._out)

    def _arrive(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._out and self._out[0][0] <= now:
            subject, payload, reply, headers = heapq.heappop(self._out)[2]
            if subject.startswith("$JS.API.CONSUMER.MSG.NEXT."):
                stream, consumer = subject.split(".")[-2:]
                self._cluster.next_messages(stream, consumer, reply, json.loads(payload)["batch"])
            else:
                self._cluster.publish(subject, payload, reply, headers)
