"""Subscriptions at work: new events are matched and delivered; what was delivered is never sent again.

Each subscription has a position, the number of the newest event it is done with. Before a delivery the number it goes
up to is on the disk, so that every attempt at it, before and after a restart, is the same one under the same
``Idempotency-Key``; after the receiver has taken it the new position is on the disk before anything else is sent. Only
a node that dies between the receiver's answer and that write sends one delivery a second time, under the same key.
"""

import asyncio
import logging
from functools import lru_cache

import msgspec

from gongfu.identify.epcis.answers import query_document
from gongfu.identify.epcis.delivery import Deliver, DeliveryError, signature
from gongfu.identify.epcis.master_data import StoredMasterData
from gongfu.identify.epcis.named_queries import (
    Subscription,
    find_query,
    find_subscription,
    save_subscription,
    subscriptions_of,
)
from gongfu.identify.epcis.query import Query, matches
from gongfu.identify.epcis.rows import StoredEvent
from gongfu.identify.epcis.schedule import Schedule
from gongfu.identify.epcis.store import EventStore
from gongfu.kernel.times import SECOND, Clock, SystemClock, format_rfc3339

# Events that are looked at, and delivered, at a time.
_LOOKED_AT = 2000
_DELIVERED = 500
_DELIVERED_BYTES = 4 << 20
# Events that all subscriptions look at are read once, if they do it about the same time.
_KEPT_FACTS = 2048
_LONGEST_SLEEP_S = 3600.0

logger = logging.getLogger(__name__)

Key = tuple[str, str]


class Subscriptions:
    """Serves all subscriptions of a store."""

    def __init__(
        self,
        store: EventStore,
        deliver: Deliver,
        *,
        clock: Clock | None = None,
        attempts: int = 10,
        first_pause_s: float = 1.0,
        longest_pause_s: float = 300.0,
        together: int = 8,
    ) -> None:
        """Make it; ``start`` begins.

        Args:
            store: of events.
            deliver: sends once.
            clock: says when schedules come.
            attempts: at one delivery, before a subscription has failed.
            first_pause_s: before the second attempt; doubled before each further one.
            longest_pause_s: between attempts.
            together: deliveries at a time.
        """
        self._store = store
        self._deliver = deliver
        self._clock = clock or SystemClock()
        self._attempts = attempts
        self._pauses = first_pause_s, longest_pause_s
        self._together = asyncio.Semaphore(together)
        # Few look at events at a time: others of the process use its threads, too.
        self._looking = asyncio.Semaphore(2)
        self._facts = lru_cache(maxsize=_KEPT_FACTS)(store.facts)
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._stored = asyncio.Event()

    def start(self) -> None:
        """Serve what is stored."""
        for subscription in subscriptions_of(self._store):
            self.serve(subscription.query_name, subscription.name)

    def __len__(self) -> int:
        return len(self._tasks)

    def serve(self, query_name: str, name: str) -> None:
        """Serve a subscription from now on, or again after it had failed."""
        key = query_name, name
        if key not in self._tasks or self._tasks[key].done():
            self._tasks[key] = asyncio.create_task(self._serve(key))

    async def stop(self, query_name: str, name: str = "") -> None:
        """Serve a subscription no longer; without a name, none of a query."""
        keys = [key for key in self._tasks if key[0] == query_name and name in ("", key[1])]
        for key in keys:
            task = self._tasks.pop(key)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def stored(self, _head: int) -> None:
        """Say that there are new events."""
        self._stored.set()
        self._stored = asyncio.Event()

    async def close(self) -> None:
        """Stop all; what is not delivered yet is delivered after the next start."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, key: Key) -> None:
        try:
            await self._serve_until_failed(key)
        except Exception:
            logger.exception("the subscription %s of %s ends", key[1], key[0])

    async def _serve_until_failed(self, key: Key) -> None:
        named, subscription = find_query(self._store, key[0]), find_subscription(self._store, *key)
        if named is None or subscription is None or subscription.state != "active":
            return
        query = named.parsed()
        schedule = Schedule(subscription.schedule) if subscription.schedule is not None else None
        ran = self._clock.now_ns()
        while subscription.state == "active":
            stored = self._stored
            if schedule is not None and not subscription.sending_to:
                coming = schedule.next(ran)
                left = (coming - self._clock.now_ns()) / SECOND
                await asyncio.sleep(min(max(left, 0), _LONGEST_SLEEP_S))
                if left > _LONGEST_SLEEP_S:
                    continue
                ran = max(coming, self._clock.now_ns() - SECOND)
            subscription = await self._send_until(subscription, query, subscription.sending_to or self._store.head)
            if schedule is None and subscription.state == "active" and self._store.head <= subscription.position:
                await stored.wait()

    async def _send_until(self, subscription: Subscription, query: Query, until: int) -> Subscription:
        """Match and deliver all events up to a number, or till the subscription has failed."""
        if subscription.sending_to == 0 and subscription.position >= until:
            return await self._report_empty(subscription) if subscription.report_if_empty else subscription
        delivered = False
        while subscription.state == "active" and subscription.position < until:
            last = subscription.sending_to or min(until, subscription.position + _LOOKED_AT)
            async with self._looking:
                events, last = await asyncio.to_thread(self._matching, query, subscription.position + 1, last)
            if events:
                delivered = True
                subscription = await self._send(subscription, events, last)
            else:
                subscription = msgspec.structs.replace(subscription, position=last, sending_to=0, attempts=0)
                # Looking at them again would do no harm: this need not be on the disk at once.
                await self._save(subscription, sync=False)
        if not delivered and subscription.report_if_empty and subscription.schedule is not None:
            subscription = await self._report_empty(subscription)
        return subscription

    def _matching(self, query: Query, first: int, last: int) -> tuple[list[StoredEvent], int]:
        """Return the events that match, and the number up to which they are all."""
        found, size = list[StoredEvent](), 0
        master = StoredMasterData(self._store)
        for stored in self._store.events(range(first, last + 1)):
            in_time = (query.from_record is None or stored.record_time >= query.from_record) and (
                query.to_record is None or stored.record_time < query.to_record
            )
            if in_time and matches(query, self._facts(stored), master):
                found.append(stored)
                size += len(stored.document)
                if len(found) == _DELIVERED or size > _DELIVERED_BYTES:
                    return found, stored.number
        return found, last

    async def _report_empty(self, subscription: Subscription) -> Subscription:
        return await self._send(subscription, [], subscription.position)

    async def _send(self, subscription: Subscription, events: list[StoredEvent], last: int) -> Subscription:
        """Deliver events, by as many attempts as are allowed."""
        if events and subscription.sending_to != last:
            subscription = msgspec.structs.replace(subscription, sending_to=last, attempts=0)
            await self._save(subscription)
        now = format_rfc3339(self._clock.now_ns())
        body = await asyncio.to_thread(
            query_document,
            self._store,
            events,
            created=now,
            query_name=subscription.query_name,
            subscription=subscription.name,
        )
        headers = {"Idempotency-Key": f"{subscription.name}-{subscription.position + 1}-{last}"}
        if subscription.signature_token:
            headers["GS1-Signature"] = signature(subscription.signature_token, body)
        while True:
            try:
                async with self._together:
                    await self._deliver(subscription.dest, body, headers)
            except DeliveryError as error:
                subscription = await self._after_failure(subscription, error)
                if subscription.state != "active":
                    return subscription
                await asyncio.sleep(min(self._pauses[1], self._pauses[0] * 2 ** (subscription.attempts - 1)))
                continue
            subscription = msgspec.structs.replace(
                subscription,
                position=last,
                sending_to=0,
                attempts=0,
                last_error="",
                last_notified_at=format_rfc3339(self._clock.now_ns()),
                delivered=subscription.delivered + len(events),
            )
            await self._save(subscription)
            return subscription

    async def _after_failure(self, subscription: Subscription, error: DeliveryError) -> Subscription:
        attempts = subscription.attempts + 1
        failed = error.final or attempts >= self._attempts
        subscription = msgspec.structs.replace(
            subscription,
            attempts=attempts,
            last_error=str(error)[:500],
            state="failed" if failed else "active",
        )
        await self._save(subscription)
        if failed:
            logger.warning("the subscription %s has failed: %s", subscription.name, subscription.last_error)
        return subscription

    async def _save(self, subscription: Subscription, *, sync: bool = True) -> None:
        await asyncio.to_thread(self._save_now, subscription, sync)

    def _save_now(self, subscription: Subscription, sync: bool) -> None:
        # One that was removed meanwhile stays removed.
        with self._store.turn:
            if find_subscription(self._store, subscription.query_name, subscription.name) is not None:
                save_subscription(self._store, subscription, sync=sync)


def resume(store: EventStore, subscription: Subscription) -> Subscription:
    """Return a failed subscription to work; it goes on where it stopped."""
    active = msgspec.structs.replace(subscription, state="active", attempts=0)
    save_subscription(store, active)
    return active
