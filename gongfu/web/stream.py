"""Server-sent events (``GET /v1/stream``): overview, alarms, changes of the tree, newest values of chosen series."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import NODE_TENANT, Subject
from gongfu.web.live import latest_value
from gongfu.web.overview import OverviewSource

HEARTBEAT_S = 15.0
OVERVIEW_S = 1.0
LATEST_S = 0.5
# Of a client that does not read, the oldest events are dropped and counted.
QUEUE_EVENTS = 256
MAX_CLIENTS = 200
MAX_SERIES = 1000

LatestItems = Callable[[list[int]], Awaitable[dict[int, dict[str, Any]]]]

log = logging.getLogger(__name__)


class Client:
    """One reader of the stream: a bounded queue of encoded events."""

    def __init__(self, subject: Subject, series: frozenset[int], counters: Counters) -> None:
        self.subject = subject
        self.series = series
        self.shown: dict[int, Any] = {}
        self._counters = counters
        self._events: deque[bytes] = deque()
        self._wake = asyncio.Event()

    def put(self, name: str, data: bytes) -> None:
        """Queue an event; when the queue is full the oldest one goes."""
        if len(self._events) >= QUEUE_EVENTS:
            self._events.popleft()
            self._counters.add("stream_events_dropped")
        self._events.append(b"event: " + name.encode() + b"\ndata: " + data + b"\n\n")
        self._wake.set()

    def end(self) -> None:
        """Wake the reader, so that it sees that the stream ends."""
        self._wake.set()

    async def next(self, wait_s: float) -> bytes:
        """Return what is queued, or nothing after a time."""
        if not self._events:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait_s)
        chunk = b"".join(self._events)
        self._events.clear()
        return chunk


class Hub:
    """All readers of the stream. Nothing is asked of other roles while there are none."""

    def __init__(self, overview: OverviewSource, latest: LatestItems, counters: Counters) -> None:
        self._overview = overview
        self._latest = latest
        self._counters = counters
        self._clients: set[Client] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closing = False

    @property
    def size(self) -> int:
        """Number of readers."""
        return len(self._clients)

    def open(self, subject: Subject, series: frozenset[int]) -> Client:
        """Add a reader.

        Raises:
            Problem: 503 when there are too many.
        """
        if len(self._clients) >= MAX_CLIENTS:
            raise Problem(
                503, "too-many-streams", "Too many open streams", f"at most {MAX_CLIENTS}", {"retry_after": 30}
            )
        client = Client(subject, series, self._counters)
        self._clients.add(client)
        for name, seconds, send in (
            ("overview", OVERVIEW_S, self._send_overviews),
            ("latest", LATEST_S, self._send_latest),
        ):
            if name not in self._tasks or self._tasks[name].done():
                self._tasks[name] = asyncio.create_task(self._every(seconds, send), name=f"stream {name}")
        return client

    def alarm(self, tenant: int, document: bytes) -> None:
        """Give an alarm document (JSON) to the readers of a tenant."""
        for client in self._clients:
            if client.subject.tenant == tenant:
                client.put("alarm", document)

    def tree(self, document: bytes) -> None:
        """Give the readers of the node's own tenant a document (JSON) that says what has changed in the tree."""
        for client in self._clients:
            if client.subject.tenant == NODE_TENANT:
                client.put("tree", document)

    async def events(self, client: Client, still_valid: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
        """Yield the bytes for a reader until it goes away or its session ends.

        Args:
            client: from ``open``.
            still_valid: asked with each heartbeat whether the session has not ended.
        """
        loop = asyncio.get_running_loop()
        try:
            # Proxies and browsers show the stream as open only after the first bytes.
            yield b": gongfu\nretry: 2000\n\n"
            beat = loop.time() + HEARTBEAT_S
            while not self._closing:
                chunk = await client.next(max(beat - loop.time(), 0))
                if loop.time() >= beat:
                    if not await still_valid():
                        yield b'event: end\ndata: {"reason":"session"}\n\n'
                        return
                    beat = loop.time() + HEARTBEAT_S
                    chunk += b": heartbeat\n\n"
                if chunk:
                    yield chunk
        finally:
            self._clients.discard(client)

    async def close(self) -> None:
        """End all streams."""
        self._closing = True
        for client in self._clients:
            client.end()
        # They see the flag when they wake; a cancellation could be lost inside nats-py.
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    async def _every(self, seconds: float, send: Callable[[], Awaitable[None]]) -> None:
        """Send again and again as long as somebody reads."""
        while self._clients and not self._closing:
            try:
                await send()
            except Exception:
                log.exception("stream")
            await asyncio.sleep(seconds)

    async def _send_overviews(self) -> None:
        made: dict[int, bytes] = {}
        for client in list(self._clients):
            tenant = client.subject.tenant
            if tenant not in made:
                made[tenant] = msgspec.json.encode(await self._overview.document(client.subject, history=False))
            client.put("overview", made[tenant])

    async def _send_latest(self) -> None:
        wanted = sorted(frozenset().union(*(client.series for client in self._clients)))
        if not wanted:
            return
        items = await self._latest(wanted)
        for client in list(self._clients):
            marks = {key: _mark(items[key]) for key in client.series if key in items}
            changed = [key for key, mark in marks.items() if client.shown.get(key) != mark]
            client.shown.update(marks)
            if changed:
                documents = [{"series": key, **_shown(items[key])} for key in sorted(changed)]
                client.put("latest", msgspec.json.encode(documents))


def _mark(item: dict[str, Any]) -> tuple[Any, ...]:
    return (item.get("time"), item.get("value"), item.get("quality"), item.get("ingested"))


def _shown(item: dict[str, Any]) -> dict[str, Any]:
    value = latest_value(item)
    return {"value": value.value, "quality": value.quality, "time": value.time}
