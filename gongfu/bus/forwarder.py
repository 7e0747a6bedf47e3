"""Site link: forwards a stream of this site to a stream of the parent, in order and exactly once.

The site's nats-server is connected to the parent's as a leaf (``bus/server.py``). JetStream's own ``sources`` take 40 s
to resume after a cut (measured, nats-server 2.15); this forwarder needs the leaf's reconnect interval, and:

- it asks the destination for its last message, whose ``Nats-Msg-Id`` tells where to go on: nothing twice, however long
  the cut and whatever was lost on either side;
- each message is published with ``Nats-Expected-Last-Sequence``: when one is lost the destination refuses those behind
  it until the link begins anew, so nothing is out of order;
- a window of messages is on its way at a time, of bounded number and bytes.

The destination stream has this one writer, and keeps its messages for a while (``destination_stream``). When it is
empty the sender's own file tells the position (saved every second: messages of the last second before a crash may then
come again, unless they are in the destination's window of duplicates).

Sources: NATS ADR-1 (JetStream API), documentation "JetStream headers" and "Leaf nodes".
"""

import asyncio
import base64
import contextlib
import logging
from dataclasses import dataclass
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from gongfu.bus.connection import subscribe
from gongfu.bus.jetstream import JetStreamError, call_api
from gongfu.bus.link_position import (
    Acknowledged,
    ForeignMessageError,
    PositionFile,
    SendWindow,
    Source,
    resume_after,
)
from gongfu.bus.server import MAX_PAYLOAD_BYTES
from gongfu.bus.streamreader import StreamReader
from gongfu.kernel.counters import Counters

logger = logging.getLogger(__name__)

WINDOW_MESSAGES = 512
WINDOW_BYTES = 8 * 1024 * 1024
# Must exceed the largest message.
_BATCH_BYTES = MAX_PAYLOAD_BYTES + 1024 * 1024
_ANSWER_S = 0.5
# Without any confirmation for so long the link counts as cut.
_SILENT_S = 1.0
_RETRY_S = 0.1
_IDLE_S = 0.25
_PING_S = 1.0
_SAVE_S = 1.0
_LOG_S = 30.0
_NO_MESSAGE = 10037


@dataclass(frozen=True, slots=True)
class LinkRoute:
    """From where to where.

    Attributes:
        source: stream of this site.
        destination: stream of the parent, written by this link only.
        prefix: beginning of the subjects there: a message of subject ``s`` gets ``<prefix>.s``.
        domain: JetStream domain of the parent.
        replies: beginning of the subjects on which the parent answers; each site has its own, since they cross the
            link.
    """

    source: str
    destination: str
    prefix: str
    domain: str
    replies: str

    @property
    def may_publish(self) -> tuple[str, ...]:
        """Subjects that the site must be allowed to publish at the parent."""
        api = f"$JS.{self.domain}.API.STREAM"
        return (f"{self.prefix}.>", f"{api}.INFO.{self.destination}", f"{api}.MSG.GET.{self.destination}")

    @property
    def may_subscribe(self) -> tuple[str, ...]:
        """Subjects that the site must be allowed to receive from the parent."""
        return (f"{self.replies}.>",)


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """How a link is.

    Attributes:
        connected: the parent answered within the last seconds.
        behind: messages of the source not yet confirmed, at most; None before the source was first seen.
        acknowledged: sequence in the source of the last message that the parent has confirmed.
        forwarded: messages confirmed since the start.
        error: why it is not connected, or empty.
    """

    connected: bool
    behind: int | None
    acknowledged: int
    forwarded: int
    error: str


class LinkDownError(Exception):
    """The link does not work now; it begins anew."""


class _Confirmation(msgspec.Struct):
    seq: int = 0
    stream: str = ""
    error: dict[str, Any] | None = None


def destination_stream(route: LinkRoute, *, max_age_seconds: float = 0.0, replicas: int = 1) -> dict[str, Any]:
    """Return the configuration of the destination, for whoever makes it at the parent (``STREAM.CREATE``)."""
    return {
        "name": route.destination,
        "subjects": [f"{route.prefix}.>"],
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "max_age": int(max_age_seconds * 1e9),
        "num_replicas": replicas,
        "duplicate_window": 120_000_000_000,
    }


class LinkForwarder:
    """Forwards one stream until it is stopped. One task runs it.

    Counters: ``link_messages``, ``link_bytes`` (confirmed), ``link_sessions``, ``link_cuts``, ``link_messages_missed``
    (left the source before they were forwarded).
    """

    def __init__(self, bus: Client, route: LinkRoute, position: PositionFile, counters: Counters) -> None:
        """Prepare; ``bus`` is connected to the site's own server.

        Raises:
            ValueError: the position file is damaged.
        """
        self._bus = bus
        self._route = route
        self._file = position
        self._counters = counters
        self._acknowledged = position.load()
        self._saved = self._acknowledged
        self._inbox = f"{route.replies}.{bus.new_inbox().rpartition('.')[2]}"
        self._stopping = asyncio.Event()
        self._progress = asyncio.Event()
        self._answers: dict[str, asyncio.Future[Msg]] = {}
        self._window: SendWindow | None = None
        self._session = 0
        self._failure = ""
        self._connected = False
        self._source_last: int | None = None
        self._forwarded = 0
        self._error = "not started"
        self._subscribed = False
        self._logged = -_LOG_S
        self._heard = 0.0

    @property
    def status(self) -> LinkStatus:
        """How the link is now."""
        last, done = self._source_last, self._acknowledged.sequence
        behind = None if last is None else max(0, last - done)
        return LinkStatus(self._connected, behind, done, self._forwarded, "" if self._connected else self._error)

    async def run(self) -> None:
        """Forward until ``stop``; a cut or an error of either side is waited for, never raised."""
        saving = asyncio.create_task(self._save_often())
        try:
            while not self._stopping.is_set():
                try:
                    await self._forward()
                except (LinkDownError, JetStreamError, ForeignMessageError, NatsError, OSError) as error:
                    self._report(error)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), _RETRY_S)
        finally:
            self._connected = False
            saving.cancel()
            await asyncio.gather(saving, return_exceptions=True)
            await self._save()

    async def stop(self) -> None:
        """End ``run`` after what is on its way was confirmed, or within a second."""
        self._stopping.set()
        self._progress.set()

    async def _forward(self) -> None:
        """Forward from where the destination is, until something fails."""
        await self._listen()
        self._session += 1
        self._window = None
        self._failure = ""
        destination_last, last_id = await self._destination()
        source = await self._source()
        position = resume_after(source, last_id, self._acknowledged)
        self._acknowledged = Acknowledged(source.created, position)
        window = self._window = SendWindow(position, destination_last, WINDOW_MESSAGES, WINDOW_BYTES)
        self._counters.add("link_sessions")
        reader = StreamReader(
            self._bus, source.stream, position + 1, self._counters, counted="link_messages", batch_bytes=_BATCH_BYTES
        )
        self._connected = True
        self._heard = self._now()
        logger.info("link of %s goes on after %d", source.stream, position)
        try:
            await self._pump(reader, window, source)
        finally:
            self._window = None
            await reader.close()

    async def _pump(self, reader: StreamReader, window: SendWindow, source: Source) -> None:
        pinged = self._now()
        while not self._stopping.is_set():
            messages = await reader.next_messages(_IDLE_S)
            for sequence, message in messages:
                size = len(message.data)
                while not window.has_room(size):
                    await self._await_progress()
                self._check()
                if sequence <= window.newest:
                    raise LinkDownError(f"{source.stream} was made anew")
                await self._publish(window, source, sequence, message)
            if messages:
                self._source_last = max(self._source_last or 0, messages[-1][0])
                continue
            self._check()
            if len(window) and self._now() - self._heard > _SILENT_S:
                raise LinkDownError("no confirmation from the parent")
            if not len(window) and self._now() - pinged > _PING_S:
                pinged = self._now()
                await self._destination()
                if await self._source() != source:
                    raise LinkDownError(f"{source.stream} was made anew")
                self._heard = self._now()
        deadline = self._now() + _SILENT_S
        while len(window) and self._now() < deadline:
            await self._await_progress()

    async def _publish(self, window: SendWindow, source: Source, sequence: int, message: Msg) -> None:
        if not len(window):
            self._heard = self._now()
        expected = window.send(sequence, len(message.data))
        kept = {name: value for name, value in (message.headers or {}).items() if not name.startswith("Nats-")}
        headers = {
            **kept,
            "Nats-Msg-Id": source.message_id(sequence),
            "Nats-Expected-Stream": self._route.destination,
            "Nats-Expected-Last-Sequence": str(expected),
        }
        await self._bus.publish(
            f"{self._route.prefix}.{message.subject}",
            message.data,
            reply=f"{self._inbox}.{self._session}.{expected}",
            headers=headers,
        )

    async def _await_progress(self) -> None:
        self._progress.clear()
        self._check()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._progress.wait(), _IDLE_S)
        self._check()
        if self._now() - self._heard > _SILENT_S:
            raise LinkDownError("no confirmation from the parent")

    def _check(self) -> None:
        if self._failure:
            raise LinkDownError(self._failure)

    async def _receive(self, message: Msg) -> None:
        """Take an answer of the parent: ``<inbox>.r.<id>`` to a request, else ``<inbox>.<session>.<expected>``."""
        *_, kind, name = message.subject.split(".")
        if kind == "r":
            waiting = self._answers.pop(name, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
            return
        window = self._window
        if window is None or kind != str(self._session):
            return
        self._heard = self._now()
        self._progress.set()
        try:
            answer = msgspec.json.decode(message.data or b"{}", type=_Confirmation)
        except msgspec.MsgspecError:
            answer = _Confirmation(error={"description": "unreadable confirmation"})
        if answer.error is not None or answer.stream != self._route.destination:
            told = answer.error or {"description": f"no stream {self._route.destination!r} listens at the parent"}
            self._failure = self._failure or str(told.get("description"))
        elif window.confirm(int(name), answer.seq):
            self._acknowledged = Acknowledged(self._acknowledged.created, window.position)
            self._forwarded += 1
            self._counters.add("link_messages")
        else:
            self._failure = self._failure or "the destination stored a message elsewhere than expected"

    async def _destination(self) -> tuple[int, str | None]:
        """Return the destination's last sequence, and the id of its last message: None when it has none."""
        info = await self._ask(f"INFO.{self._route.destination}", b"")
        last = int(info["state"]["last_seq"])
        if not info["state"]["messages"]:
            return last, None
        try:
            found = await self._ask(f"MSG.GET.{self._route.destination}", msgspec.json.encode({"seq": last}))
        except JetStreamError as error:
            if error.code == _NO_MESSAGE:
                # The last one was removed by itself.
                return last, None
            raise
        head = base64.b64decode(found["message"].get("hdrs", "")).decode(errors="replace")
        for line in head.split("\r\n"):
            name, _, value = line.partition(":")
            if name.lower() == "nats-msg-id":
                return last, value.strip()
        return last, ""

    async def _source(self) -> Source:
        info = await call_api(self._bus, f"STREAM.INFO.{self._route.source}", timeout_s=_ANSWER_S)
        self._source_last = int(info["state"]["last_seq"])
        return Source(self._route.source, str(info["created"]))

    async def _ask(self, name: str, body: bytes) -> dict[str, Any]:
        """Return the answer of the parent's JetStream API to ``STREAM.<name>``.

        Raises:
            LinkDownError: no answer.
            JetStreamError: it answered with an error.
        """
        number = self._bus.new_inbox().rpartition(".")[2]
        waiting = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            subject = f"$JS.{self._route.domain}.API.STREAM.{name}"
            await self._bus.publish(subject, body, reply=f"{self._inbox}.r.{number}")
            message = await asyncio.wait_for(waiting, _ANSWER_S)
        except TimeoutError:
            raise LinkDownError("the parent does not answer") from None
        finally:
            self._answers.pop(number, None)
        if not message.data:
            raise LinkDownError("the parent is not connected")
        answer: dict[str, Any] = msgspec.json.decode(message.data)
        if "error" in answer:
            raise JetStreamError(answer["error"].get("err_code", 0), answer["error"].get("description", "error"))
        return answer

    async def _listen(self) -> None:
        if not self._bus.is_connected:
            raise LinkDownError("the site's own server is away")
        if not self._subscribed:
            await subscribe(self._bus, f"{self._inbox}.>", self._receive)
            self._subscribed = True

    def _report(self, error: Exception) -> None:
        if self._connected:
            self._counters.add("link_cuts")
        self._connected = False
        self._error = str(error) or type(error).__name__
        if self._now() - self._logged > _LOG_S:
            self._logged = self._now()
            logger.warning("link of %s waits: %s", self._route.source, self._error)

    async def _save_often(self) -> None:
        while True:
            await asyncio.sleep(_SAVE_S)
            await self._save()

    async def _save(self) -> None:
        position = self._acknowledged
        if position != self._saved:
            try:
                await asyncio.to_thread(self._file.save, position)
                self._saved = position
            except OSError as error:
                logger.warning("the position of the link cannot be saved: %s", error)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
