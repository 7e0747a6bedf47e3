"""The stream of notifications: publish requests kept waiting at the server, answers to the sink, breaks healed.

Source: OPC 10000-4 §5.14.1 (sequence numbers, keep-alive, republish), §6.7 (re-establishing subscriptions). After a
break the session is activated again and its subscriptions go on; a new session has them transferred; what the server
has forgotten is made anew, and the time in between is reported to ``Gaps``.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from gongfu.connect.kit.machine_alarms import ALARMS, document
from gongfu.connect.kit.types import DriverError, Reason, Sink, Timing
from gongfu.connect.opcua import subscriptions
from gongfu.connect.opcua.conditions import Conditions
from gongfu.connect.opcua.events import REFRESH_BEGINS, REFRESH_ENDS, about_stream, detail_of
from gongfu.connect.opcua.failures import unreachable
from gongfu.connect.opcua.gaps import Gaps, LastHeard
from gongfu.connect.opcua.quality import overflowed, semantics_changed
from gongfu.connect.opcua.sequence import Order
from gongfu.connect.opcua.session import Session
from gongfu.connect.opcua.sinking import readings
from gongfu.connect.opcua.subscriptions import Feed
from gongfu.connect.opcua.wire.columns import Columns
from gongfu.connect.opcua.wire.requests import PUBLISH_REQUEST, REPUBLISH_REQUEST, publish_body, republish_body
from gongfu.connect.opcua.wire.responses import (
    Notification,
    ServiceFault,
    publish_response,
    republish_response,
)
from gongfu.connect.opcua.wire.variants import WireError

WAITING = 4
"""Publish requests kept at the server."""

RECOVER = 30.0
"""Seconds a break may last before the connection counts as lost and the kit makes a new one."""

SAVE_EVERY = 5_000_000_000

REFRESH_PAUSE = 5.0
"""Seconds between two times that the server is asked for its alarms."""

_NO_SUBSCRIPTION, _TOO_MANY_PUBLISH, _TIMEOUT = 0x8079, 0x8078, 0x800A
_UNKNOWN_SUBSCRIPTION = 0x8028


class _Broken(Exception):
    """The connection or session is gone."""


class Stream:
    """The subscriptions of one connection.

    Attributes:
        feeds: one a sampling interval.
        counts: messages, values, republished, repeated, overflows, breaks, moved, remade, refreshes of alarms.
        conditions: alarms of the server.
        on_semantics: called when the server says that the meaning of values has changed.
    """

    def __init__(
        self,
        session: Session,
        feeds: Sequence[Feed],
        sink: Sink,
        gaps: Gaps,
        heard: LastHeard,
        timing: Timing,
        queue: int,
        batch: int,
        conditions: Conditions,
    ) -> None:
        self.conditions = conditions
        self.feeds = list(feeds)
        self.counts = dict.fromkeys(
            (
                "messages",
                "values",
                "republished",
                "repeated",
                "overflows",
                "breaks",
                "moved",
                "remade",
                "malformed",
                "refreshes",
                "semantics",
            ),
            0,
        )
        self.on_semantics: Callable[[], None] | None = None
        self._session = session
        self._sink = sink
        self._gaps = gaps
        self._heard = heard
        self._timing = timing
        self._queue = queue
        self._batch = batch
        self._acknowledge: list[tuple[int, int]] = []
        self._saved = 0
        # When the server is to be asked for its alarms, monotonic seconds; 0 never.
        self._refresh_at = 0.0

    async def set_up(self) -> None:
        """Make the subscriptions.

        Raises:
            DriverError: the server refused, or the connection failed.
        """
        for feed in self.feeds:
            await self._make(feed)

    async def run(self) -> None:
        """Pass on what comes until the connection is lost for longer than RECOVER.

        Raises:
            DriverError: why.
        """
        while True:
            try:
                await self._pump()
            except _Broken as broken:
                self.counts["breaks"] += 1
                await self._recover(broken)

    async def _make(self, feed: Feed) -> None:
        await subscriptions.create(self._session, feed, self._queue, self._batch, self._timing.monotonic())
        feed.received = self._timing.now_ns()

    # --- the pump

    async def _pump(self) -> None:
        waiting: list[asyncio.Future[Any]] = []
        width = WAITING
        try:
            while self.feeds:
                while self._sink.saturated:  # the server's queues hold it back; what they drop is flagged
                    await self._timing.sleep(0.05)
                while len(waiting) < width:
                    waiting.append(self._send())
                done, _ = await asyncio.wait(waiting, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
                for answer in [one for one in waiting if one in done]:
                    waiting.remove(answer)
                    if not await self._answered(answer):
                        width = max(1, width - 1)
                await self._check_silence()
                if self._refresh_at and self._timing.monotonic() >= self._refresh_at:
                    await self.refresh_alarms()
            await self._session.lost.wait()
            raise _Broken("the connection broke")
        finally:
            for answer in waiting:
                answer.cancel()

    def _send(self) -> asyncio.Future[Any]:
        acknowledged, self._acknowledge = self._acknowledge, []
        try:
            return self._session.send(PUBLISH_REQUEST, publish_body(acknowledged))
        except (ConnectionError, DriverError, UaError) as error:
            raise _Broken(str(error)) from error

    async def _answered(self, answer: asyncio.Future[Any]) -> bool:
        """Handle one answer; False when fewer requests should wait."""
        try:
            buffer = answer.result()
            publish = publish_response(buffer.read(len(buffer)))
        except ServiceFault as fault:
            return await self._refused(fault.status)
        except WireError:
            # Not our message, or a broken one: the number it had is missing and will be asked for again.
            self.counts["malformed"] += 1
            return True
        except UaStatusCodeError as error:
            raise _Broken(str(error)) from error
        except (OSError, TimeoutError, UaError, asyncio.CancelledError) as error:
            raise _Broken(str(error)) from error
        received = self._timing.now_ns()
        for feed in self.feeds:
            if feed.id == publish.subscription:
                await self._notified(feed, publish.message, received)
        return True

    async def _refused(self, status: int) -> bool:
        code = status >> 16
        if code == _TOO_MANY_PUBLISH:
            return False
        if code == _TIMEOUT:
            return True
        if code == _NO_SUBSCRIPTION:
            for feed in self.feeds:
                await self._remake(feed, "the server forgot the subscription")
            return True
        raise _Broken(f"the server answered 0x{status:08X}")

    async def _notified(self, feed: Feed, message: Notification, received: int) -> None:
        since = feed.received
        feed.heard = self._timing.monotonic()
        order, missing = feed.watch.seen(message.sequence, message.empty)
        if missing:
            await self._fetch(feed, missing, since, received)
        feed.received = received
        if received - self._saved > SAVE_EVERY:
            self._saved = received
            self._heard.save(received)
        if order is Order.KEEP_ALIVE:
            return
        self._acknowledge.append((feed.id, message.sequence))
        del self._acknowledge[:-1000]
        if order is Order.REPEATED:
            self.counts["repeated"] += 1
            return
        self._deliver(feed, message, since, received)
        if message.status is not None and message.status & 0x8000_0000:
            await self._remake(feed, "the server ended the subscription")

    def _deliver(self, feed: Feed, message: Notification, since: int, received: int) -> None:
        self.counts["messages"] += 1
        for columns in message.changes:
            self.counts["values"] += len(columns)
            if any(columns.status):
                self._judge(columns, since, received)
            self._sink.take(readings(columns), received)
        for event in message.events:
            found = detail_of(event.fields)
            if found is None:
                self._about_stream(about_stream(event.fields))
                continue
            self._sink.event(*found)
            if "condition" in found[1] and (alarms := self.conditions.take(found[1], received)):
                self._sink.event(ALARMS, document(alarms))

    def _judge(self, columns: Columns, since: int, received: int) -> None:
        """Tell what the status of values says beside their quality, before they are taken: a gap lies before them."""
        if any(map(semantics_changed, columns.status)):
            self.counts["semantics"] += 1
            if self.on_semantics is not None:
                self.on_semantics()
        lost = [key for key, status in zip(columns.keys, columns.status, strict=True) if overflowed(status)]
        if lost:
            self.counts["overflows"] += len(lost)
            self._gaps.report(sorted(set(lost)), since, received, "the server's queue overflowed")

    # --- alarms

    def _about_stream(self, kind: str) -> None:
        if kind == REFRESH_BEGINS:
            self.conditions.refresh_begins()
        elif kind == REFRESH_ENDS:
            self._sink.event(ALARMS, document([], self.conditions.refresh_ends()))
        else:  # events were lost, or the server says that we should ask
            self._want_refresh()

    def _want_refresh(self) -> None:
        if any(feed.events for feed in self.feeds):
            self._refresh_at = self._refresh_at or self._timing.monotonic() + REFRESH_PAUSE

    async def refresh_alarms(self) -> None:
        """Ask for the alarms that the server has; a server that has no such service is left alone."""
        self._refresh_at = 0.0
        with suppress(OSError, TimeoutError, DriverError):
            for feed in self.feeds:
                if feed.events and await subscriptions.refresh(self._session, feed):
                    self.counts["refreshes"] += 1

    async def _fetch(self, feed: Feed, missing: Sequence[int], since: int, until: int) -> None:
        """Ask for messages again that did not come; what the server no longer has is a gap."""
        lost = len(missing) > 500
        for number in missing if not lost else ():
            try:
                raw = await self._session.ask(REPUBLISH_REQUEST, republish_body(feed.id, number))
                message = republish_response(raw)
            except (DriverError, WireError, ServiceFault):
                lost = True
                continue
            if message.sequence != number or message.empty:  # a server that answers anything
                lost = True
                continue
            self.counts["republished"] += 1
            self._acknowledge.append((feed.id, number))
            self._deliver(feed, message, since, until)
        if lost:
            self._want_refresh()
            self._gaps.report(feed.addresses, since, until, "notifications were lost")

    async def _check_silence(self) -> None:
        now = self._timing.monotonic()
        if self._session.lost.is_set():
            raise _Broken("the connection broke")
        if any(now - feed.heard > feed.silence for feed in self.feeds):
            raise _Broken("the server fell silent")

    # --- healing

    async def _recover(self, broken: _Broken) -> None:
        ends = self._timing.monotonic() + RECOVER
        pause = 0.2
        while True:
            try:
                await self._resume(await self._session.reopen())
                return
            except DriverError as error:
                fatal = error.reason not in (
                    Reason.UNREACHABLE, Reason.REFUSED, Reason.TIMEOUT, Reason.BUSY, Reason.PROTOCOL,
                )  # fmt: skip
                if fatal or self._timing.monotonic() + pause > ends:
                    raise DriverError(error.reason, f"{error.what} Before that, {broken}.", error.advice) from error
            await self._timing.sleep(pause)
            pause = min(pause * 2, 5.0)

    async def _resume(self, same_session: bool) -> None:
        self._acknowledge.clear()
        gone: list[Feed] = []
        if not same_session:
            try:
                gone = await subscriptions.transfer(self._session, self.feeds)
                self.counts["moved"] += len(self.feeds) - len(gone)
            except DriverError:
                if self._session.lost.is_set():
                    raise
                gone = list(self.feeds)  # many servers do not know this service
        for feed in self.feeds:
            feed.heard = self._timing.monotonic()
            if feed in gone or not await self._catch_up(feed):
                await self._remake(feed, "the connection was interrupted")
            elif feed.events:  # its queue may have been too short for what happened meanwhile
                await self.refresh_alarms()

    async def _catch_up(self, feed: Feed) -> bool:
        """Fetch what was published during the break; False when the subscription is no more."""
        since = feed.received
        while True:
            number = feed.watch.following(feed.watch.last)
            try:
                message = republish_response(
                    await self._session.ask(REPUBLISH_REQUEST, republish_body(feed.id, number))
                )
            except (DriverError, ServiceFault, WireError) as error:
                if self._session.lost.is_set():
                    raise unreachable(self._session.url, ConnectionError()) from error
                cause = error.__cause__ if isinstance(error, DriverError) else error
                status = cause.status if isinstance(cause, ServiceFault) else 0
                return status >> 16 != _UNKNOWN_SUBSCRIPTION
            if message.sequence != number or message.empty:  # a server that answers anything
                return True
            received = self._timing.now_ns()
            feed.watch.seen(number, empty=False)
            self.counts["republished"] += 1
            self._acknowledge.append((feed.id, number))
            self._deliver(feed, message, since, received)

    async def _remake(self, feed: Feed, reason: str) -> None:
        since = feed.received
        self.counts["remade"] += 1
        await self._make(feed)
        self._gaps.report(feed.addresses, since, feed.received, reason)

    async def close(self) -> None:
        """Note when the machine was last heard."""
        latest = max((feed.received for feed in self.feeds), default=0)
        if latest:
            with suppress(OSError):
                self._heard.save(latest)
